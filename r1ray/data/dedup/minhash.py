"""MinHash signatures and the buckets of locality-sensitive hashing: which rows are worth comparing.

Broder 1997; banding as in Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4.
"""

import numpy as np
from numpy.typing import NDArray

from r1ray.data.dedup.shingles import Hashes, Ints, Ragged, blocks, mix, offsets_of

Signatures = NDArray[np.uint32]

EMPTY = np.iinfo(np.uint32).max
"""Every value of the signature of a text without words; such rows are in no bucket."""
_BLOCK = 1 << 14
"""Shingles worked on at a time: they stay in the processor's cache while all hash functions pass over them."""


def signatures(shingles: Ragged, permutations: int = 128, seed: int = 1) -> Signatures:
    """The smallest value of each hash function over each text's shingles.

    Args:
        shingles: of N texts; repetitions do not matter.
        permutations: number of hash functions.
        seed: of the hash functions. Signatures of different seeds cannot be compared.

    Returns:
        uint32 [N, permutations]
    """
    factors, shifts = _functions(permutations, seed)
    found = np.full((permutations, len(shingles)), EMPTY, np.uint32)
    lengths = shingles.lengths
    filled = np.flatnonzero(lengths)  # `reduceat` would give an empty text its neighbour's value
    offsets = offsets_of(lengths[filled])
    points = (shingles.values >> np.uint64(32)).astype(np.uint32)
    for begin, end in blocks(offsets, _BLOCK):
        rows, block = filled[begin:end], points[offsets[begin] : offsets[end]]
        local, hashed = offsets[begin:end] - offsets[begin], np.empty_like(block)
        minima = np.empty(len(local), np.uint32)
        for number in range(permutations):
            np.multiply(block, factors[number], out=hashed)
            hashed += shifts[number]
            np.minimum.reduceat(hashed, local, out=minima)
            found[number, rows] = minima
    return np.ascontiguousarray(found.T)


def band_keys(found: Signatures, bands: int = 16, rows: int = 8) -> Hashes:
    """One 64-bit key for each band of each signature; equal keys of one column = one bucket.

    Args:
        found: uint32 [N, bands * rows]

    Returns:
        uint64 [N, bands]; the number of the band is in the key, so that columns can be poured together.
    """
    values = found.reshape(len(found), bands, rows).astype(np.uint64)
    keys: Hashes = np.tile(mix(np.arange(bands, dtype=np.uint64)), (len(found), 1))
    for row in range(rows):
        keys = mix(np.bitwise_xor(keys, values[:, :, row]))
    return keys


def candidate_pairs(keys: Hashes, max_bucket: int = 1000, live: NDArray[np.bool_] | None = None) -> Ints:
    """Pairs of rows that share a bucket.

    The result depends on the order of rows: give them sorted by id, and it does not depend on the partitioning.

    Args:
        keys: uint64 [N, bands]
        max_bucket: in a bucket with more rows, each row is paired with this many that follow it.
        live: bool [N]; rows that are False are in no pair.

    Returns:
        int64 [P, 2], each pair once, smaller number first, ascending.
    """
    rows = np.arange(len(keys)) if live is None else np.flatnonzero(live)
    codes = [np.zeros(0, np.int64)]
    for band in range(keys.shape[1]):
        column = keys[rows, band]
        order = np.argsort(column, kind="stable")
        column, members = column[order], rows[order]
        # Buckets are runs: a row without a mate `step` places on has none farther on.
        first = np.arange(len(members))
        for step in range(1, max_bucket + 1):
            first = first[first < len(members) - step]
            first = first[column[first] == column[first + step]]
            if not len(first):
                break
            codes.append(members[first] * len(keys) + members[first + step])
    unique = np.unique(np.concatenate(codes))
    return np.stack((unique // max(len(keys), 1), unique % max(len(keys), 1)), axis=1)


def candidate_probability(similarity: float, bands: int = 16, rows: int = 8) -> float:
    """Chance that two texts of this Jaccard similarity share a bucket: 1 - (1 - s^rows)^bands."""
    return float(1 - (1 - similarity**rows) ** bands)


def _functions(number: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """h(x) = a x + b modulo 2^32; an odd a makes it a permutation."""
    stream = mix(np.add(mix(np.full(2 * number, seed, np.uint64)), np.arange(2 * number, dtype=np.uint64)))
    drawn = (stream >> np.uint64(32)).astype(np.uint32)
    return drawn[:number] | np.uint32(1), drawn[number:]
