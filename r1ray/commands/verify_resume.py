"""`r1ray verify-resume sft`: prove that a killed and resumed run ends with the bits of an undisturbed one."""

import dataclasses
import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from r1ray.commands.arguments import parse
from r1ray.commands.plan import default_config
from r1ray.config.serialise import job_name
from r1ray.errors import CheckpointError, ConfigError
from r1ray.runs import Run
from r1ray.runs.run import resolved_config

USAGE = """usage: r1ray verify-resume JOB [--config FILE] [--group.field VALUE ...]

JOB is a job's name (`sft`) or its file (`jobs/sft.py`). Trains once undisturbed; then again, each time killed by
SIGKILL one step after a checkpoint (at an arbitrary step, and at an epoch's end) and resumed; then resumes the finished
run. Losses and weights must be equal bit for bit. Runs the job's ranks without Ray, examinations left out. Choose a
short run: `--sft.max-steps 8`."""

RANKS = {
    "sft": "r1ray.train.finetune:rehearse_rank",
    "reward_model": "r1ray.train.reward_job:rehearse_rank",
}
"""Where one rank of each job is found, to be run without Ray."""


def main(arguments: Sequence[str]) -> None:
    """Parse the job's own arguments, run, compare."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return
    config, _ = parse(
        default_config(arguments[0]), arguments[1:], prog=f"r1ray verify-resume {arguments[0]}", description=USAGE
    )
    with tempfile.TemporaryDirectory(prefix="r1ray-verify-") as folder:
        verify(config, Path(folder), Console())


def verify(config: Any, folder: Path, console: Console) -> None:
    """Make the runs in `folder` and compare them.

    Raises:
        CheckpointError: a resumed run has other losses or weights than the undisturbed one.
        ConfigError: the job cannot be run without Ray, or is too short to be interrupted.
    """
    job = job_name(config)
    if job not in RANKS:
        raise ConfigError(f"{job} jobs cannot be verified; expected one of {', '.join(RANKS)}.")
    from r1ray.train.rehearsal import last_figures, rehearse  # after parsing: it imports torch

    module, _, name = RANKS[job].partition(":")
    rank: Any = getattr(importlib.import_module(module), name)

    def make(name: str, every: int) -> tuple[Any, Run]:
        settings = dataclasses.replace(config.run, name=name, storage=str(folder), checkpoint_every=every, report=False)
        mine = dataclasses.replace(config, run=settings)
        if hasattr(config, "evaluation"):
            mine = dataclasses.replace(mine, evaluation=dataclasses.replace(config.evaluation, problems=0))
        run = Run.create(job, mine)
        return resolved_config(run, mine), run

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    mine, whole = make("undisturbed", 0)
    rehearse(rank, mine, whole)
    expected = last_figures(whole)
    say(f"undisturbed: {len(expected)} steps, last loss {expected[len(expected)]['train/loss']!r}")
    if len(expected) < 3:
        raise ConfigError(f"The run has {len(expected)} steps; verifying takes 3 at least.")
    for point, step in stops(expected).items():
        mine, run = make(point, step)
        if rehearse(rank, mine, run, kill_after=step + 1):
            raise CheckpointError(f"The run was to be killed at step {step + 1}, and ended before.")
        rehearse(rank, mine, run)
        _compare(point, step, run, whole, expected, say)
    mine, run = resolved_config(whole, mine), whole
    rehearse(rank, mine, run)
    _compare("past the last step", len(expected), run, whole, expected, say)
    say("A resumed run ends with the same bits.")


def stops(figures: dict[int, dict[str, float]]) -> dict[str, int]:
    """After which step's checkpoint to kill: in the middle of an epoch, and at the end of one if another follows."""
    last = len(figures)
    ends = [step for step, values in figures.items() if float(values["train/epoch"]).is_integer() and step < last]
    middle = [step for step in range(1, last) if step not in ends]
    found = {"arbitrary step": middle[len(middle) // 2]} if middle else {}
    return found | ({"end of an epoch": ends[0]} if ends else {})


def _compare(name: str, step: int, run: Run, whole: Run, expected: dict[int, dict[str, float]], say: Any) -> None:
    from r1ray.models.checkpoint import file_hashes
    from r1ray.train.rehearsal import last_figures

    found = last_figures(run)
    for number, values in expected.items():
        loss = found.get(number, {}).get("train/loss")
        if loss != values["train/loss"]:
            raise CheckpointError(
                f"Resumed at the {name} ({step}), step {number} has loss {loss!r}; undisturbed it has "
                f"{values['train/loss']!r}."
            )
    if sorted(found) != sorted(expected):
        raise CheckpointError(f"Resumed at the {name} ({step}) the run has steps {sorted(found)}.")
    weights, reference = file_hashes(run.model_path), file_hashes(whole.model_path)
    if different := [file for file in reference if weights.get(file) != reference[file]]:
        raise CheckpointError(f"Resumed at the {name} ({step}), {', '.join(different)} differ from undisturbed.")
    say(f"{name} ({step}): {len(found)} losses and {len(weights)} files of the model are equal, bit for bit")
