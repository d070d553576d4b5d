"""◆ Ray Data around the plain row functions: files are read in parallel, anywhere in the cluster."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import ray
import ray.data

from r1ray.config.problems import ProblemsConfig
from r1ray.data.files import expand, file_size, is_local, read_rows
from r1ray.data.problem_set import ProblemSet, PromptLength, Rows, build_problem_set, read_files, sort_rows
from r1ray.data.quarantine import QuarantinedRow
from r1ray.data.sources import normalise_row, problem_row
from r1ray.types import Problem

SMALL_BYTES = 64 * 2**20
"""Local files of less than this in all are read in the driver: starting tasks would take longer."""
READ_CPUS = 0.25
"""Booked by one reading task: little, so that reading goes on beside actors that hold most of a small machine."""

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
