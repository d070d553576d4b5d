"""A PPO job small enough for a test, and what runs around it: its command line, its output, its processes."""

import contextlib
import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import ray

from r1ray.cli import run
from r1ray.cluster.mailbox import Mailbox
from r1ray.cluster.pool import ActorPool
from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.ppo import PPOConfig, SamplingConfig
from r1ray.config.problems import ColdStartConfig, ProblemsConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.config.run import RunConfig
from r1ray.rl import actors
from r1ray.rl.factories import make_rollout_worker
from r1ray.rl.rollout import RolloutRequest, RolloutWorker
from r1ray.train.trainer import WorkerContext
from r1ray.types import Problem, Rollout

VERB = "r1ray.rl.actors:train_ppo"


def tiny_job(policy: Path, storage: Path) -> PPOJobConfig:
    """Two steps of 4 × 2 rollouts by a tiny policy, without cold start and evaluation."""
    return PPOJobConfig(
        run=RunConfig(storage=str(storage), report=False),
        policy=PolicyConfig(path=str(policy)),
        problems=ProblemsConfig(families=("chain:1-2",), count=60, heldout=8, max_prompt_tokens=400),
        cold_start=ColdStartConfig(examples=0),
        sampling=SamplingConfig(max_new_tokens=12),
        ppo=PPOConfig(steps=2, prompts_per_step=4, samples_per_prompt=2),
        optim=OptimConfig(lr=1e-3, tokens_per_microbatch=1024),
        evaluation=EvaluationConfig(problems=0, max_new_tokens=8),
        resources=ResourcesConfig(learner_cpus=0.5, rollout_cpus=0.5, reward_cpus=0.25, threads=1),
    )


@dataclass
class Ended:
    """A job that has ended, as its user saw it."""

    folder: Path
    code: int
    """Exit code."""
    out: str
    err: str
    started: dict[str, list[int]] = field(default_factory=dict)
    """Processes of each pool at the start."""
    pids: dict[str, list[int]] = field(default_factory=dict)
    """Processes of each pool at the end."""

    def manifest(self) -> dict[str, Any]:
        """The run's manifest."""
        manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return manifest

    def rows(self, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
        """Rows of one of the run's files."""
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


def run_job(config: PPOJobConfig, *arguments: str) -> Ended:
    """Run `jobs/ppo.py` in this process, with `config` as its default and `arguments` on its command line."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        keep_signals(),
        recorded_pids() as (started, pids),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            run(VERB, config, arguments=arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
    named = [arguments[i + 1] for i, flag in enumerate(arguments) if flag in ("--resume", "--run.name")]
    folder = Path(config.run.storage) / Path(named[0]).name
    return Ended(folder=folder, code=code, out=out.getvalue(), err=err.getvalue(), started=started, pids=pids)


@contextlib.contextmanager
def keep_signals() -> Iterator[None]:
    """Put back the handler that a job sets."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def recorded_pids() -> Iterator[tuple[dict[str, list[int]], dict[str, list[int]]]]:
    """The processes of the pools that live meanwhile, at their start and at their end."""
    located: dict[str, list[Any]] = {}
    started: dict[str, list[int]] = {}
    ended: dict[str, list[int]] = {}

    class Recorded(ActorPool):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            located[self.name] = _locate(self)

        def close(self) -> None:
            started[self.name] = _pids(located[self.name])
            ended[self.name] = _pids(_locate(self))
            super().close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actors, "ActorPool", Recorded)
        yield started, ended


def _locate(pool: ActorPool) -> list[Any]:
    return [member.actor.locate.remote() for member in pool.members]


def _pids(refs: list[Any]) -> list[int]:
    """Process ids; 0 for a worker that cannot be reached."""
    ready, _ = ray.wait(refs, num_returns=len(refs), timeout=30)
    pids = []
    for ref in refs:
        try:
            pids.append(ray.get(ref).pid if ref in ready else 0)
        except ray.exceptions.RayActorError:
            pids.append(0)
    return pids


def press_ctrl_c_after(step: int, folder: Path) -> threading.Thread:
    """Send this process SIGINT once the run in `folder` has written the row of `step`."""

    def watch() -> None:
        end = time.monotonic() + 500
        while time.monotonic() < end:
            rows = folder / "metrics.jsonl"
            if rows.exists() and len(rows.read_text().splitlines()) >= step:
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


class MortalMailbox:
    """Kills its process once step `step` is posted, before a checkpoint of it can be made."""

    def __init__(self, mailbox: Mailbox, step: int) -> None:
        self._mailbox, self._step = mailbox, step

    def post(self, kind: str, payload: Any = None) -> None:
        self._mailbox.post(kind, payload)

    def ask(self, kind: str, payload: Any = None) -> bool:
        answer = self._mailbox.ask(kind, payload)
        if kind == "step" and payload[0] == self._step:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def learn_mortally(payload: Mapping[str, Any], context: WorkerContext) -> None:
    """`learn`, whose process is killed after step 3 the first time; notes every attempt in the run folder."""
    if note_attempt(payload, context) == 1:
        payload = {**payload, "mailbox": MortalMailbox(payload["mailbox"], step=3)}
    actors.learn(payload, context)


def learn_and_note(payload: Mapping[str, Any], context: WorkerContext) -> None:
    """`learn`, with every attempt noted in the run folder."""
    note_attempt(payload, context)
    actors.learn(payload, context)


def attempts(folder: Path, rank: int = 0) -> list[int]:
    """Processes in which a rank was started, one after another."""
    return [int(line) for line in (folder / f"attempts-{rank}").read_text().splitlines()]


def note_attempt(payload: Mapping[str, Any], context: WorkerContext) -> int:
    """Which attempt of this rank it is, counted from 1."""
    path = payload["run"].folder / f"attempts-{context.rank}"
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(attempts(payload["run"].folder, context.rank))


class MortalRolloutWorker(RolloutWorker):
    """One of them kills its process in the middle of step 1's generation."""

    storage: Path

    def generate(self, problems: Sequence[Problem], request: RolloutRequest) -> list[Rollout]:
        rollouts = super().generate(problems, request)
        if request.step == 1:
            with contextlib.suppress(FileExistsError):
                (self.storage / "died").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return rollouts


def make_mortal_rollout_worker(config: PPOJobConfig, threads: int) -> RolloutWorker:
    """Instead of `make_rollout_worker`."""
    worker = make_rollout_worker(config, threads)
    worker.__class__ = MortalRolloutWorker
    worker.storage = Path(config.run.storage)  # type: ignore[attr-defined]
    return worker
