"""What a training job settles before anything starts: absolute paths, which models it starts from, its problems."""

import functools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from r1ray.config.policy import PolicyConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.config.run import RunConfig
from r1ray.data.pipeline import load_problems
from r1ray.data.problem_set import ProblemSet, PromptLength
from r1ray.errors import CheckpointError
from r1ray.models.loading import load_tokenizer, resolve_model
from r1ray.reasoning.prompts import prompt_ids
from r1ray.runs import Run
from r1ray.types import Problem

QUARANTINE = "quarantine.jsonl"
"""File of the run folder with the rows that could not be used."""


class Posed(Protocol):
    """What reading problems needs of a job's configuration."""

    @property
    def run(self) -> RunConfig: ...

    @property
    def policy(self) -> PolicyConfig: ...

    @property
    def problems(self) -> ProblemsConfig: ...


def model_path(path: str) -> str:
    """Absolute, if it is one: workers, and a resumed run, have other working directories. Else an alias or a hub id."""
    return str(Path(path).absolute()) if path and Path(path).exists() else path


def data_path(path: str) -> str:
    """Absolute, unless it is a URI."""
    return str(Path(path).absolute()) if path and "://" not in path else path


def record_models(models: Mapping[str, str], run: Run) -> None:
    """Write the models that a run starts from into its manifest, with their hashes.

    Args:
        models: path, or nothing, by role.
        run: to be written to.

    Raises:
        CheckpointError: the run is resumed, and a model that it started from has changed.
    """
    before = run.manifest()["parents"]
    for role, path in models.items():
        if not path:
            continue
        run.add_parent(role, resolve_model(path), source=path)
        was, now = (parents.get(role, {}).get("sha256") for parents in (before, run.manifest()["parents"]))
        if was is not None and was != now:
            run.update(parents=before)
            raise CheckpointError(
                f"The {role} at {path} is not what this run started from: its hash was {was[:12]}, and is {now[:12]}. "
                f"Put the old files back, or start a new run with --config {run.location}."
            )


def read_problems(config: Posed, run: Run, note: Callable[[str], None]) -> ProblemSet:
    """The problems; what became of every row goes into the manifest, and the rows that could not be used into a file
    beside it.

    Raises:
        DataError: there are too few problems, or none of them can be used.
    """
    paths = (config.problems.path, config.problems.heldout_path)
    problems = _load(config.problems, config.run.seed, config.policy.path, tuple(map(_stamp, paths)))
    report = problems.report.to_json()
    del report["quarantined_rows"]
    run.update(problems=report | {"train": len(problems.train), "heldout": len(problems.heldout)})
    if rows := problems.report.quarantined:
        text = "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
        (run.folder / QUARANTINE).write_text(text, encoding="utf-8")
        reasons = ", ".join(f"{reason} {count}" for reason, count in problems.report.reasons.items())
        note(f"{len(rows):,} of {report['rows_in']:,} rows were set aside ({reasons}): {run.folder / QUARANTINE}")
    return problems


@functools.lru_cache(maxsize=1)
def _load(settings: ProblemsConfig, seed: int, policy: str, stamps: tuple[Any, ...]) -> ProblemSet:
    """Kept for the next run of this process: the trials of a search share their data."""
    return load_problems(settings, seed, _prompt_length(settings, policy))


def _stamp(path: str) -> tuple[str, float, int]:
    """What changes when a file does; of a folder, a pattern or a URI, when this was asked: those are read each time."""
    if path and Path(path).is_file():
        found = Path(path).stat()
        return path, found.st_mtime, found.st_size
    return path, time.monotonic() if path else 0.0, 0


def _prompt_length(settings: ProblemsConfig, policy: str) -> PromptLength:
    """Tokens of a problem's prompt, or the upper bound on them where that is no more than allowed."""
    tokenizer, system = load_tokenizer(policy), settings.system
    frame = len(prompt_ids(tokenizer, Problem(id="", question="", answer=""), system))

    def length(problem: Problem) -> int:
        bound = frame + len(problem.question.encode())  # a token spells a byte at least
        if bound <= settings.max_prompt_tokens:
            return bound
        return len(prompt_ids(tokenizer, problem, system))

    return length
