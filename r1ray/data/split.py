"""Train and held-out sets that cannot share a question, and that do not depend on the order of the rows."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from r1ray.errors import DataError
from r1ray.types import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Two sets without a common id, and how many rows were dropped on the way to them."""

    train: list[Problem]
    heldout: list[Problem]
    duplicates: int
    """Rows whose normalised question had been seen already."""
    leaked: int = 0
    """Training rows dropped because the held-out file has the same question."""


def deduplicate(problems: Iterable[Problem]) -> tuple[list[Problem], int]:
    """One problem an id, sorted by id, and how many rows were dropped. Which one stays does not depend on the order."""
    kept: dict[str, Problem] = {}
    rows = 0
    for problem in problems:
        rows += 1
        other = kept.get(problem.id)
        if other is None or _content(problem) < _content(other):
            kept[problem.id] = problem
    return [kept[key] for key in sorted(kept)], rows - len(kept)


def split(problems: Sequence[Problem], heldout: int, seed: int) -> Split:
    """Hold out exactly `heldout` problems, those whose hash of (seed, id) is smallest; the rest is for training.

    Both sets come in hash order, so any prefix of them is a fair sample.

    Raises:
        DataError: fewer than `heldout + 1` distinct problems.
    """
    unique, duplicates = deduplicate(problems)
    if len(unique) <= heldout:
        raise DataError(
            f"Holding out {heldout} problems and training on at least one needs {heldout + 1} distinct problems; "
            "there are "
            f"{len(unique)} ({len(problems)} rows, {duplicates} duplicates). Give more problems or lower "
            "problems.heldout."
        )
    ranked = _hash_order(unique, seed)
    return Split(train=ranked[heldout:], heldout=ranked[:heldout], duplicates=duplicates)


def split_by_file(train: Sequence[Problem], heldout: Sequence[Problem], seed: int) -> Split:
    """The held-out problems are given; training rows with the question of one of them are dropped and counted.

    Raises:
        DataError: no training problem is left.
    """
    held, held_duplicates = deduplicate(heldout)
    held_ids = {problem.id for problem in held}
    clean = [problem for problem in train if problem.id not in held_ids]
    kept, train_duplicates = deduplicate(clean)
    leaked = len(train) - len(clean)
    if not kept:
        raise DataError(
            f"No training problem is left: {leaked} of {len(train)} rows are also in the held-out file. Give two "
            "different files, "
            "or leave problems.heldout_path empty to split one."
        )
    return Split(
        train=_hash_order(kept, seed),
        heldout=_hash_order(held, seed),
        duplicates=held_duplicates + train_duplicates,
        leaked=leaked,
    )


def _hash_order(problems: Sequence[Problem], seed: int) -> list[Problem]:
    return sorted(problems, key=lambda problem: hashlib.sha256(f"{seed}:{problem.id}".encode()).digest())


def _content(problem: Problem) -> tuple[str, ...]:
    return (
        problem.question,
        problem.answer,
        problem.family,
        problem.solution,
        str(problem.level),
        str(problem.metadata),
    )
