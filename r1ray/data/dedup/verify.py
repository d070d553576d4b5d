"""Candidate pairs decided by their true Jaccard similarity, then clusters and the rows to drop.

MinHash proposes and never decides: without this step whole templated sources melt into one cluster.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from r1ray.data.dedup.shingles import Hashes, Ints, Ragged, blocks, offsets_of

_BLOCK = 1 << 20
"""Shingles compared at a time; 8 bytes each, a few copies."""


def jaccard(shingles: Ragged, pairs: Ints) -> NDArray[np.float64]:
    """|A ∩ B| / |A ∪ B| of the shingle sets of each pair; 0 where both are empty.

    Args:
        shingles: of N texts, with repetitions or without.
        pairs: int64 [P, 2], row numbers.

    Returns:
        float64 [P]
    """
    sets, pairs = _sets(shingles, pairs)
    lengths = sets.lengths
    sizes = lengths[pairs].sum(axis=1)
    found = np.zeros(len(pairs))
    for begin, end in blocks(offsets_of(sizes), _BLOCK):
        block = pairs[begin:end]
        # The number of the pair above the number of the shingle: what stands twice in the sorted array is shared.
        both = np.concatenate([_tagged(sets, block[:, 0]), _tagged(sets, block[:, 1])])
        both.sort(kind="stable")  # two sorted runs: a merge
        shared = both[1:][both[1:] == both[:-1]] >> np.uint64(32)
        common = np.bincount(shared.astype(np.int64), minlength=len(block))
        found[begin:end] = common / np.maximum(sizes[begin:end] - common, 1)
    return found


def near_pairs(shingles: Ragged, pairs: Ints, threshold: float) -> Ints:
    """Those of the pairs whose Jaccard similarity is at least the threshold."""
    return pairs[jaccard(shingles, pairs) >= threshold]


def clusters(rows: int, pairs: Ints) -> Ints:
    """The smallest row of each row's connected component (union-find with path halving).

    Args:
        rows: N
        pairs: int64 [P, 2], verified.

    Returns:
        int64 [N]; a row without a pair is its own cluster.
    """
    parent = list(range(rows))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other in pairs.tolist():
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(row) for row in range(rows)], np.int64)


def select(rows: int, pairs: Ints, families: Sequence[str] | None = None) -> Ints:
    """Which row each row is a duplicate of; -1 where it is kept.

    Rows are taken in order; a row is dropped if it is a verified duplicate of one that was kept. So every dropped row
    is near to a kept one, and a chain of small changes cannot wipe out a source. Rows of one family (a problem and its
    augmentation variants) never replace one another.

    Args:
        rows: N
        pairs: int64 [P, 2], verified, smaller number first.
        families: name of each row's family; empty = none.

    Returns:
        int64 [N]
    """
    earlier: dict[int, list[int]] = {}
    for one, other in pairs.tolist():
        earlier.setdefault(other, []).append(one)
    duplicate_of = np.full(rows, -1, np.int64)
    for row in sorted(earlier):
        for one in sorted(earlier[row]):
            related = families is not None and families[row] and families[row] == families[one]
            if duplicate_of[one] == -1 and not related:
                duplicate_of[row] = one
                break
    return duplicate_of


def _sets(shingles: Ragged, pairs: Ints) -> tuple[Ragged, Ints]:
    """The texts that occur in a pair, as ascending numbers of their distinct shingles; and pairs of their new rows."""
    rows, renumbered = np.unique(pairs, return_inverse=True)
    parts = [shingles[row] for row in rows.tolist()]
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    flat = np.concatenate(parts) if parts else shingles.values[:0]
    dense = np.unique(flat, return_inverse=True)[1].astype(np.uint64)
    tagged = np.unique(np.repeat(np.arange(len(parts), dtype=np.uint64) << np.uint64(32), lengths) | dense)
    counts = np.bincount((tagged >> np.uint64(32)).astype(np.int64), minlength=len(parts))
    return Ragged(tagged & np.uint64(0xFFFFFFFF), offsets_of(counts)), renumbered.reshape(pairs.shape).astype(np.int64)


def _tagged(sets: Ragged, rows: Ints) -> NDArray[np.uint64]:
    """The shingles of these rows one after the other, each with its row's place among them in the upper half."""
    lengths = sets.lengths[rows]
    ends = np.cumsum(lengths)
    places = np.arange(int(lengths.sum())) + np.repeat(sets.offsets[rows] - (ends - lengths), lengths)
    tags = np.arange(len(rows), dtype=np.uint64) << np.uint64(32)
    tagged: Hashes = np.repeat(tags, lengths) | sets.values[places]
    return tagged
