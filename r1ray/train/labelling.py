"""◆ Ray Data around the attempt worker: a pool of engines samples, grades and labels, task by task, and what is done
stays done."""

import contextlib
import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
import ray.data

from r1ray.cluster.threads import phase_threads
from r1ray.config.jobs import RewardModelJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.errors import R1RayError
from r1ray.runs.files import hash_path
from r1ray.train.attempt_worker import AttemptWorker, Task
from r1ray.train.attempts import Attempt, from_row
from r1ray.types import Problem

FOLDER = "attempts"
"""Folder of the run with one file for each finished task, and the labeller's cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Problems to be attempted for one purpose."""

    purpose: str
    """`train`, `validation` or `heldout`."""
    problems: Sequence[Problem]
    samples: int
    label: bool = False


def sample_attempts(
    wanted: Sequence[Wanted],
    config: RewardModelJobConfig,
    policy: Path,
    run_folder: Path,
    progress: Callable[[str], None],
) -> dict[str, list[Attempt]]:
    """Attempts by purpose, in the order of the problems. A task whose file is there is not done again; of one that was
    broken off, the completions that were graded are in the labeller's cache.

    Args:
        policy: folder of the model that solves.
        run_folder: where the run is.
        progress: told how far it is.
    """
    folder = run_folder / FOLDER
    folder.mkdir(exist_ok=True)
    size = config.step_labels.problems_per_task
    tasks = {
        one.purpose: [
            Task(
                name=f"{one.purpose}-{start // size:04d}",
                problems=list(one.problems[start : start + size]),
                samples=one.samples,
                label=one.label,
            )
            for start in range(0, len(one.problems), size)
        ]
        for one in wanted
    }
    every = [task for group in tasks.values() for task in group]
    missing = [task for task in every if not _file(folder, task.name).exists()]
    if missing:
        _run(missing, len(every), config, policy, folder, progress)
    return {
        purpose: [attempt for task in group for attempt in _read(_file(folder, task.name))]
        for purpose, group in tasks.items()
    }


def _run(
    tasks: Sequence[Task],
    total: int,
    config: RewardModelJobConfig,
    policy: Path,
    folder: Path,
    progress: Callable[[str], None],
) -> None:
    resources = config.resources
    workers = min(resources.rollout_workers, len(tasks))
    nodes = max(1, sum(node["Alive"] for node in ray.nodes()))
    starts = PolicyConfig(path=str(policy), dtype=config.policy.dtype)
    arguments = (config, starts, hash_path(policy), str(folder), phase_threads(resources, math.ceil(workers / nodes)))
    _quiet()
    rows = ray.data.from_items([task.row() for task in tasks], override_num_blocks=len(tasks)).map_batches(
        AttemptWorker,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        fn_constructor_args=arguments,
        num_cpus=resources.rollout_cpus,
        num_gpus=resources.rollout_gpus or None,
    )
    done, prefixes, tokens = total - len(tasks), 0, 0
    try:
        for row in rows.iter_rows():
            # The driver writes what is finished: the workers may have other disks.
            target = _file(folder, row["name"])
            temporary = target.with_suffix(".tmp")
            temporary.write_text(row["attempts"], encoding="utf-8")
            temporary.replace(target)
            done, prefixes, tokens = done + 1, prefixes + row["prefixes"], tokens + row["tokens"]
            progress(f"attempts: {done}/{total} tasks, {prefixes:,} prefixes completed with {tokens:,} tokens")
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, R1RayError):
            raise error.cause from None
        raise


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _read(path: Path) -> list[Attempt]:
    return [from_row(row) for row in json.loads(path.read_text(encoding="utf-8"))]


def _quiet() -> None:
    """No progress bars and no plan on the console; Ray's session folder keeps the log."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    with contextlib.suppress(AttributeError):
        context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
