"""Deduplication of rows in memory: order of precedence, exact pass, near pass, and a verdict for each row."""

from collections.abc import Mapping, Sequence

import numpy as np

from r1ray.config.corpus import DedupConfig
from r1ray.data.dedup.exact import digest, repeats
from r1ray.data.dedup.minhash import band_keys, candidate_pairs, signatures
from r1ray.data.dedup.shingles import shingle
from r1ray.data.dedup.verify import near_pairs, select
from r1ray.data.verdict import Drop

STAGE = "dedup"


def deduplicate(
    texts: Sequence[str], ids: Sequence[str], parents: Sequence[str], config: DedupConfig
) -> list[Drop | None]:
    """Why each row is dropped; `None` where it is kept. The rows may come in any order: the verdicts are the same.

    Originals come before variants, and smaller ids before larger ones.

    Args:
        texts: N texts.
        ids: their names, each once.
        parents: the id of the row that a row was augmented from; empty = an original.
        config: which passes, and their parameters.
    """
    order = sorted(range(len(ids)), key=lambda row: (bool(parents[row]), ids[row]))
    verdicts: list[Drop | None] = [None] * len(ids)
    if config.exact:
        digests = [digest(texts[row]) for row in order]
        same = repeats(digests, [ids[row] for row in order], [parents[row] for row in order])
        for row, first in zip(order, same, strict=True):
            if first >= 0:
                verdicts[row] = Drop(stage=STAGE, reason="exact duplicate", detail=ids[order[first]])
    if config.near:
        left = [row for row in order if verdicts[row] is None]
        roots = lineage(ids, parents)
        near = near_duplicates([texts[row] for row in left], [roots[ids[row]] for row in left], config)
        for row, first in zip(left, near, strict=True):
            if first >= 0:
                verdicts[row] = Drop(stage=STAGE, reason="near duplicate", detail=ids[left[first]])
    return verdicts


def near_duplicates(texts: Sequence[str], families: Sequence[str], config: DedupConfig) -> list[int]:
    """Which kept row each row is a near duplicate of; -1 where none. Rows are given in the order of precedence."""
    shingles = shingle(texts, config.words)
    keys = band_keys(signatures(shingles, config.bands * config.rows, config.seed), config.bands, config.rows)
    pairs = candidate_pairs(keys, config.max_bucket, live=np.asarray(shingles.lengths > 0))
    duplicate_of: list[int] = select(len(texts), near_pairs(shingles, pairs, config.threshold), families).tolist()
    return duplicate_of


def lineage(ids: Sequence[str], parents: Sequence[str]) -> Mapping[str, str]:
    """The first ancestor of each row, by id: rows that share it are one family. Parents need not be in the corpus."""
    parent = dict(zip(ids, parents, strict=True))
    roots = {}
    for name in ids:
        seen, root = {name}, name
        while (above := parent.get(root, "")) and above not in seen:
            seen.add(above)
            root = above
        roots[name] = root
    return roots
