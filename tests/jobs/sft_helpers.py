"""An SFT job small enough for a test, and workers of it that die."""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1ray.cli import run
from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.jobs import SFTJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.config.run import RunConfig
from r1ray.config.sft import SFTConfig
from r1ray.train import finetune
from r1ray.train.trainer import WorkerContext
from tests.jobs.helpers import Ended, MortalMailbox, keep_signals, note_attempt, press_ctrl_c_after

__all__ = ["learn_mortally", "press_ctrl_c_after", "run_sft", "tiny_sft"]

VERB = "r1ray.train.finetune:train_sft"


def tiny_sft(policy: Path, storage: Path) -> SFTJobConfig:
    """Six steps of four rows by a tiny policy, without examinations."""
    return SFTJobConfig(
        run=RunConfig(storage=str(storage), report=False, checkpoint_every=2, keep_checkpoints=8),
        policy=PolicyConfig(path=str(policy)),
        problems=ProblemsConfig(families=("chain:1-2",), count=60, heldout=8, max_prompt_tokens=400),
        sft=SFTConfig(examples=12, validation=4, batch=4, epochs=2, evaluate_every=3),
        optim=OptimConfig(lr=1e-3, schedule="cosine", tokens_per_microbatch=512),
        evaluation=EvaluationConfig(problems=0, max_new_tokens=8),
        resources=ResourcesConfig(learner_cpus=0.5, threads=1),
    )


def run_sft(config: SFTJobConfig, *arguments: str) -> Ended:
    """Run `jobs/sft.py` in this process, with `config` as its default and `arguments` on its command line."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with keep_signals(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run(VERB, config, arguments=arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
    named = [arguments[i + 1] for i, flag in enumerate(arguments) if flag in ("--resume", "--run.name")]
    return Ended(
        folder=Path(config.run.storage) / Path(named[0]).name, code=code, out=out.getvalue(), err=err.getvalue()
    )


def learn_mortally(payload: Mapping[str, Any], context: WorkerContext) -> None:
    """`learn`, whose process is killed after step 5 the first time; notes every attempt in the run folder."""
    if note_attempt(payload, context) == 1:
        payload = {**payload, "mailbox": MortalMailbox(payload["mailbox"], step=5)}
    finetune.learn(payload, context)
