"""Duplicates in other words: embeddings propose pairs by their cosine, words and numbers decide.

A language model's averaged hidden states all point the same way, whatever the text says; their mean is taken away
first. And a cosine alone merges problems that differ in a number: a pair must hold the same numbers, and share words.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from r1ray.config.classify import SemanticDedupConfig
from r1ray.data.dedup.rows import STAGE, lineage
from r1ray.data.dedup.shingles import Ints, shingle
from r1ray.data.dedup.verify import jaccard, select
from r1ray.data.verdict import Drop

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_BLOCK = 1024


def deduplicate_by_meaning(
    texts: Sequence[str],
    ids: Sequence[str],
    parents: Sequence[str],
    config: SemanticDedupConfig,
    embed: Callable[[Sequence[str]], Any],
) -> list[Drop | None]:
    """Why each row is dropped; `None` where it is kept. The rows may come in any order: the verdicts are the same.

    Originals come before variants, and smaller ids before larger ones, as in `deduplicate`; run it on what that kept.

    Args:
        texts: N texts.
        ids: their names, each once.
        parents: the id of the row that a row was augmented from; empty = an original.
        config: thresholds.
        embed: texts to vectors [N, D], `models.embedding.Embedder`.
    """
    verdicts: list[Drop | None] = [None] * len(ids)
    if not config.enabled or not ids:
        return verdicts
    order = sorted(range(len(ids)), key=lambda row: (bool(parents[row]), ids[row]))
    ordered = [texts[row] for row in order]
    pairs = verified(ordered, cosine_pairs(np.asarray(embed(ordered)), config.threshold), config)
    roots = lineage(ids, parents)
    duplicate_of = select(len(order), pairs, [roots[ids[row]] for row in order]).tolist()
    for row, first in zip(order, duplicate_of, strict=True):
        if first >= 0:
            verdicts[row] = Drop(stage=STAGE, reason="same meaning", detail=ids[order[first]])
    return verdicts


def cosine_pairs(vectors: Any, threshold: float) -> Ints:
    """Pairs of rows whose centred vectors have at least this cosine; int64 [P, 2], the smaller number first.

    Every pair is compared, a thousand rows with a thousand at a time: N²·D operations and little memory.
    """
    centred = np.asarray(vectors, np.float64)
    centred = centred - centred.mean(axis=0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0).astype(np.float32)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(unit), _BLOCK):
        for other in range(start, len(unit), _BLOCK):
            cosines = unit[start : start + _BLOCK] @ unit[other : other + _BLOCK].T
            rows, columns = np.nonzero(cosines >= threshold)
            pairs = np.stack((rows + start, columns + other), axis=1)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate(found)


def verified(texts: Sequence[str], pairs: Ints, config: SemanticDedupConfig) -> Ints:
    """Those of the pairs that share enough words, and hold the same numbers."""
    if config.overlap:
        pairs = pairs[jaccard(shingle(texts, 1), pairs) >= config.overlap]
    if config.same_numbers:
        numbers = {row: Counter(_NUMBER.findall(texts[row])) for row in np.unique(pairs).tolist()}
        pairs = pairs[np.array([numbers[one] == numbers[other] for one, other in pairs.tolist()], bool)]
    return pairs
