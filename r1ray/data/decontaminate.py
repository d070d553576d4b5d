"""Rows that contain an evaluation problem are found by the share of the problem's n-grams that they hold.

One shared n-gram is no leak: instructions, templates and identities of mathematics are everywhere. So n-grams of many
evaluation problems count for nothing, and of the others a row must hold a good part.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from r1ray.config.corpus import DecontaminateConfig
from r1ray.data.dedup.shingles import Hashes, Ints, Ragged, offsets_of, shingle
from r1ray.data.verdict import Drop

STAGE = "decontaminate"

_LEAST = 3
"""n-grams that must be found, or all where a problem has fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationIndex:
    """The n-grams of evaluation problems, each with the problems that have it."""

    words: int
    names: tuple[str, ...]
    grams: Hashes
    """Ascending, each once [U]."""
    offsets: Ints
    """Problems of n-gram u are `problems[offsets[u]:offsets[u + 1]]` [U + 1]."""
    problems: Ints
    sizes: Ints
    """n-grams of each problem that count [E]."""
    needed: Ints
    """How many of them a row must hold to be a leak [E]."""


def index_problems(texts: Sequence[str], names: Sequence[str], config: DecontaminateConfig) -> EvaluationIndex:
    """Index the questions of evaluation problems.

    A problem of nothing but common n-grams, or too short for others, is found where a row holds all of it.

    Args:
        texts: E questions; solutions do not belong here, they are what training rows may share.
        names: what each is called in the report.
        config: n-gram length, containment, and when an n-gram is common.
    """
    shingles = shingle(texts, config.words)
    owners = np.repeat(np.arange(len(texts)), shingles.lengths)
    grams, codes = np.unique(shingles.values, return_inverse=True)
    pairs = np.unique(codes * len(texts) + owners)
    codes, owners = pairs // max(len(texts), 1), pairs % max(len(texts), 1)
    common = np.bincount(codes, minlength=len(grams)) > config.max_shared
    rare = np.bincount(owners[~common[codes]], minlength=len(texts))
    everything = rare < _LEAST
    counts = everything[owners] | ~common[codes]
    codes, owners = codes[counts], owners[counts]
    sizes = np.bincount(owners, minlength=len(texts))
    needed = np.maximum(np.ceil(config.containment * sizes), np.minimum(sizes, _LEAST)).astype(np.int64)
    needed[everything] = np.maximum(sizes[everything], 1)
    return EvaluationIndex(
        words=config.words,
        names=tuple(names),
        grams=grams,
        offsets=offsets_of(np.bincount(codes, minlength=len(grams))),
        problems=owners,
        sizes=sizes,
        needed=needed,
    )


def find_leaks(texts: Sequence[str], index: EvaluationIndex) -> list[Drop | None]:
    """For each text the evaluation problem that it holds, as a dropped row; `None` where it holds none."""
    verdicts: list[Drop | None] = [None] * len(texts)
    row, problem, found = _shared(shingle(texts, index.words), index)
    leaks = found >= index.needed[problem]
    share = found / np.maximum(index.sizes[problem], 1)
    for one, other, part in zip(row[leaks].tolist(), problem[leaks].tolist(), share[leaks].tolist(), strict=True):
        best = verdicts[one]
        if best is None or part > float(best.detail.rsplit(" ", 1)[1]):
            detail = f"{index.names[other]} {math.floor(part * 100) / 100:.2f}"
            verdicts[one] = Drop(stage=STAGE, reason="evaluation problem", detail=detail)
    return verdicts


def _shared(shingles: Ragged, index: EvaluationIndex) -> tuple[Ints, Ints, NDArray[np.int64]]:
    """(row, problem, number of n-grams in both), of all that have one."""
    if not len(index.grams):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    places = np.minimum(np.searchsorted(index.grams, shingles.values), len(index.grams) - 1)
    hits = np.flatnonzero(index.grams[places] == shingles.values)
    rows = np.searchsorted(shingles.offsets, hits, side="right") - 1
    once = np.unique(rows * len(index.grams) + places[hits])
    rows, grams = once // len(index.grams), once % len(index.grams)
    lengths = np.diff(index.offsets)[grams]
    ends = np.cumsum(lengths)
    problems = index.problems[
        np.arange(int(lengths.sum())) + np.repeat(index.offsets[grams] - (ends - lengths), lengths)
    ]
    codes, counts = np.unique(np.repeat(rows, lengths) * len(index.names) + problems, return_counts=True)
    return codes // len(index.names), codes % len(index.names), counts
