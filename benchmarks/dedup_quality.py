"""Recall and precision of near-duplicate pairs against brute-force Jaccard, on rows with planted near duplicates.

    OMP_NUM_THREADS=1 python benchmarks/dedup_quality.py --rows 5000

Every pair of rows is compared by the sets of their word n-grams (strings, not hashes) for the truth. The last line is
one JSON object; its value is the recall of the pairs at or above the threshold, `precision` that of the pairs found,
`proposed_recall` that of the MinHash buckets before verification, and `drops_equal` says whether the rows dropped are
those that the true pairs would drop.
"""

import argparse
import random
import re
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.sparse
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.config.corpus import DedupConfig
from r1ray.data.dedup.minhash import band_keys, candidate_pairs, candidate_probability, signatures
from r1ray.data.dedup.shingles import Ints, shingle
from r1ray.data.dedup.verify import near_pairs, select

TARGET = 0.99
_LETTERS = "etaoinshrdlu"


def main() -> None:
    args = _arguments()
    torch.set_num_threads(1)
    config = DedupConfig(threshold=args.threshold)
    texts = planted_rows(args.rows, args.seed)
    truth = brute_force(texts, config)
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        proposed, found = search(texts, config)
        seconds.append(time.perf_counter() - start)
    true, hits = _codes(truth), _codes(found)
    recall = len(true & hits) / len(true)
    precision = len(true & hits) / len(hits)
    print(f"{len(texts)} rows, {len(true)} true pairs, {len(proposed)} proposed, {len(found)} verified")
    print(f"chance of being proposed at {config.threshold}: {candidate_probability(config.threshold):.4f}")
    report(
        "dedup_quality",
        recall,
        f"recall of pairs with Jaccard >= {config.threshold}",
        TARGET,
        args.repeats,
        precision=precision,
        proposed_recall=round(len(true & _codes(proposed)) / len(true), 4),
        drops_equal=bool((select(len(texts), found) == select(len(texts), truth)).all()),
        rows=len(texts),
        true_pairs=len(true),
        rows_per_second=round(len(texts) / statistics.median(seconds)),
        settings=f"{config.bands} bands x {config.rows} rows, {config.words}-word shingles, seed {args.seed}",
    )


def planted_rows(number: int, seed: int) -> list[str]:
    """Rows of 20 to 400 words. A third are edited copies of earlier rows, from barely changed to clearly different."""
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choices(_LETTERS, k=draw.randint(2, 9))) for _ in range(4000)] + list(
        map(str, range(300))
    )
    weights = [1 / (rank + 3) for rank in range(len(vocabulary))]  # Zipf's law
    rows: list[list[str]] = []
    while len(rows) < number:
        if rows and draw.random() < 1 / 3:
            copy = list(draw.choice(rows))
            for _ in range(draw.randint(1, max(1, len(copy) // 25))):
                place = draw.randrange(len(copy))
                edit = draw.choice(("replace", "insert", "delete"))
                copy[place : place + (edit != "insert")] = [] if edit == "delete" else [draw.choice(vocabulary)]
            rows.append(copy)
        else:
            rows.append(draw.choices(vocabulary, weights, k=draw.randint(20, 400)))
    draw.shuffle(rows)
    return [" ".join(words) for words in rows]


def brute_force(texts: list[str], config: DedupConfig) -> Ints:
    """All pairs at or above the threshold, from products of the rows' sets of n-grams; int64 [P, 2]."""
    numbers: dict[tuple[str, ...], int] = {}
    columns: list[int] = []
    ends = [0]
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        grams = {tuple(words[i : i + config.words]) for i in range(max(1, len(words) - config.words + 1))}
        columns += [numbers.setdefault(gram, len(numbers)) for gram in grams]
        ends.append(len(columns))
    sets = scipy.sparse.csr_array((np.ones(len(columns), np.int32), columns, ends), shape=(len(texts), len(numbers)))
    assert all(b > a for a, b in pairwise(ends))
    common = (sets @ sets.T).tocoo()
    sizes = np.diff(ends)
    similarity = common.data / (sizes[common.row] + sizes[common.col] - common.data)
    near = (similarity >= config.threshold) & (common.row < common.col)
    pairs = np.stack((common.row[near], common.col[near]), axis=1).astype(np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def search(texts: list[str], config: DedupConfig) -> tuple[Ints, Ints]:
    """Pairs that MinHash proposes, and those of them that are verified."""
    shingles = shingle(texts, config.words)
    keys = band_keys(signatures(shingles, config.bands * config.rows, config.seed), config.bands, config.rows)
    proposed = candidate_pairs(keys, config.max_bucket)
    return proposed, near_pairs(shingles, proposed, config.threshold)


def _codes(pairs: Ints) -> set[tuple[int, int]]:
    return set(map(tuple, pairs.tolist()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--threshold", type=float, default=0.85)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
