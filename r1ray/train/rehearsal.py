"""A job's ranks without Ray: plain processes that can be killed at any step and started again.

Used to prove that a resumed run ends with the bits of an undisturbed one.
"""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist

from r1ray.errors import WorkerError
from r1ray.runs import Run
from r1ray.train.listener import Listener

STEPS = "steps.jsonl"
"""File of the run folder with the figures of every step, as often as it was made."""


class Rank(Protocol):
    """One rank of a job, from wherever the run folder stands to the job's end. A module-level function."""

    def __call__(self, config: Any, run: Run, listener: Listener, *, rank: int, world_size: int) -> None: ...


def rehearse(work: Rank, config: Any, run: Run, *, kill_after: int = 0) -> bool:
    """Run all ranks (`config.resources.learners`) to the job's end; with `kill_after`, rank 0 dies by SIGKILL once that
    step is reported, before it can be checkpointed. Returns whether the end was reached.

    Raises:
        WorkerError: a rank ended in another way than it was meant to.
    """
    ranks = config.resources.learners
    group = run.folder / ".group"
    group.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])  # imported once, not by every process
    started = [
        context.Process(target=_rank, args=(work, config, run, str(group), rank, ranks, kill_after))
        for rank in range(ranks)
    ]
    for process in started:
        process.start()
    started[0].join()
    killed = bool(kill_after) and started[0].exitcode == -signal.SIGKILL
    for process in started[1:]:
        if killed:
            process.kill()  # it waits for rank 0 in a collective
        process.join()
    codes = [process.exitcode for process in started]
    if not killed and any(codes):
        raise WorkerError(f"The ranks of the rehearsal ended with {codes}; their own messages stand above.")
    return not killed


def last_figures(run: Run) -> dict[int, dict[str, float]]:
    """The figures of every step, as they were when it was last made."""
    rows: dict[int, dict[str, float]] = {}
    path = run.folder / STEPS
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows[row["step"]] = row["values"]
    return rows


class _Notebook:
    """Writes steps down, and dies when it is told to."""

    def __init__(self, path: Path, kill_after: int) -> None:
        self._path, self._kill_after = path, kill_after

    def post(self, kind: str, payload: Any = None) -> None:
        """Nothing but steps is of interest."""

    def ask(self, kind: str, payload: Any = None) -> bool:
        """Write a step down."""
        if kind == "step":
            step, values = payload
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, "values": values}) + "\n")
            if step == self._kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
        return False


def _rank(work: Rank, config: Any, run: Run, group: str, rank: int, world_size: int, kill_after: int) -> None:
    torch.set_num_threads(max(1, config.resources.threads or (os.cpu_count() or 1) // world_size))
    on_gpu = config.resources.learner_gpus > 0
    if on_gpu:
        torch.cuda.set_device(rank)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo", init_method=f"file://{group}", rank=rank, world_size=world_size
    )
    work(config, run, _Notebook(run.folder / STEPS, kill_after), rank=rank, world_size=world_size)
    dist.barrier()
    dist.destroy_process_group()
