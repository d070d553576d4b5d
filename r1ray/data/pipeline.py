"""◆ Ray Data around the plain functions of this room: files are read, and corpora made, anywhere in the cluster."""

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import ray
import ray.data

from r1ray.cluster.connect import connect
from r1ray.config.jobs import CorpusJobConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.data.corpus.job import MakePieces, build_corpus, summary
from r1ray.data.corpus.plan import Stage
from r1ray.data.corpus.watch import Watch
from r1ray.data.files import expand, file_size, is_local, read_rows
from r1ray.data.problem_set import ProblemSet, PromptLength, Rows, build_problem_set, read_files, sort_rows
from r1ray.data.quarantine import QuarantinedRow
from r1ray.data.sources import normalise_row, problem_row
from r1ray.errors import ResourceError
from r1ray.metrics.sinks import JsonlSink
from r1ray.runs import Run
from r1ray.runs.files import write_json
from r1ray.types import Problem

SMALL_BYTES = 64 * 2**20
"""Local files of less than this in all are read in the driver: starting tasks would take longer."""
READ_CPUS = 0.25
"""Booked by one reading task: little, so that reading goes on beside actors that hold most of a small machine."""

TASKS_PER_SLOT, MOST_PIECES = 8, 16
"""Ray Data hands a slot its next task after 0.1 to 0.2 s. So a task makes several pieces, as long as every slot still
gets tasks enough to even out slow ones, and progress is told often."""

_NO_PROBLEM = {"id": "", "question": "", "answer": "", "family": "", "level": 0, "solution": "", "metadata": "{}"}
_NO_TROUBLE = {"file": "", "line": 0, "reason": "", "detail": "", "excerpt": ""}


def read_problems(path_or_paths: str | Sequence[str]) -> ray.data.Dataset:
    """The rows of the files that paths, URIs or globs name, as a lazy dataset.

    Every row has the columns of a problem (`id`, `question`, `answer`, `family`, `level`, `solution`, `metadata` as
    JSON) and those of the quarantine (`file`, `line`, `reason`, `detail`, `excerpt`); `reason` is empty exactly for the
    rows that can be used. One task reads one file, since a broken line must neither stop the file nor lose its number.

    Raises:
        DataError: a path matches nothing, or a file is of an unknown kind.
    """
    paths = [path_or_paths] if isinstance(path_or_paths, str) else path_or_paths
    files = [{"path": file} for path in paths for file in expand(path)]
    return ray.data.from_items(files, override_num_blocks=len(files)).flat_map(_file_rows, num_cpus=READ_CPUS)


def load_problems(config: ProblemsConfig, seed: int, prompt_length: PromptLength | None = None) -> ProblemSet:
    """Train and held-out problems. Large or remote files are read by Ray Data where Ray runs, all else right here.

    Arguments and errors are those of `build_problem_set`.
    """
    return build_problem_set(config, seed, read=_read, prompt_length=prompt_length)


def from_ray_row(row: dict[str, Any]) -> Problem | QuarantinedRow:
    """The problem or the quarantined row that a row of `read_problems` stands for."""
    if row["reason"]:
        return QuarantinedRow(**{name: row[name] for name in _NO_TROUBLE})
    return Problem(**{name: row[name] for name in _NO_PROBLEM} | {"metadata": json.loads(row["metadata"])})


def make_corpus(config: CorpusJobConfig, run: Run) -> dict[str, Any]:
    """The verb of `jobs/corpus.py`: make a corpus, or what is missing of it, and return its headline figures."""
    cpus = connect().resources.get("CPU", 0)
    if config.corpus.work_cpus > cpus:  # no task would ever start
        raise ResourceError(f"corpus.work_cpus is {config.corpus.work_cpus:g}, but the cluster has {cpus:g} CPUs.")
    with Watch() as watch:
        outcome = build_corpus(config, make_on_ray(config.corpus.work_cpus), watch)
    figures = summary(outcome)
    write_json(run.folder / "corpus.json", outcome)
    run.update(inputs={entry["name"]: {"path": entry["name"], **entry} for entry in outcome["manifest"]["inputs"]})
    sink = JsonlSink(run.metrics_path)
    sink.write(0, {"throughput/docs": figures["docs_per_s"], "time/total": outcome["total"]})
    sink.close()
    return figures


def make_on_ray(cpus: float) -> MakePieces:
    """Makes pieces in tasks of Ray Data; a task whose worker dies is given to another, which finds what is finished."""

    def make(stage: Stage, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # two lines on the console for each stage
        slots = max(1.0, ray.cluster_resources().get("CPU", 0) // cpus)
        each = min(MOST_PIECES, math.ceil(len(numbers) / (slots * TASKS_PER_SLOT)))
        tasks = math.ceil(len(numbers) / each)
        pieces = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=tasks)
        for row in pieces.map(_maker(stage.work), num_cpus=cpus).iter_rows():
            yield json.loads(row["result"])

    return make


def _maker(work: Callable[[int], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    # As text: results of one stage need not have the same fields, as rows of a block must.
    return lambda row: {"result": json.dumps(work(row["number"]))}


def _read(paths: Sequence[str]) -> Rows:
    small = all(map(is_local, paths)) and sum(map(file_size, paths)) < SMALL_BYTES
    if small or not ray.is_initialized():
        return read_files(paths)
    problems, quarantined = sort_rows(map(from_ray_row, read_problems(paths).iter_rows()))
    return problems, sorted(quarantined, key=lambda row: (row.file, row.line))


def _file_rows(file: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for raw in read_rows(file["path"]):
        row = normalise_row(raw)
        if isinstance(row, Problem):
            yield {**_NO_TROUBLE, "file": raw.file, "line": raw.line, **problem_row(row)}
        else:
            yield {**_NO_PROBLEM, **asdict(row)}
