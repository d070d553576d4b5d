"""Duplicates by meaning on real questions: reworded ones are to be found, the same with other numbers are not.

    OMP_NUM_THREADS=1 python benchmarks/semantic_dedup.py --questions gsm8k/train.jsonl

Half of the questions come a second time with other words and their first sentences swapped, and a third time with all
numbers changed. The last line is one JSON object; its value is the share of reworded questions that are found, `false`
the number of pairs found that are neither reworded nor equal, and `cosine_alone` that of such pairs without the checks.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.config.classify import SemanticDedupConfig
from r1ray.data.dedup.semantic import cosine_pairs, verified
from r1ray.models.embedding import Embedder

TARGET = 0.8
_WORDS = (
    ("How many", "What number of"), ("altogether", "in total"), ("bought", "purchased"), ("gave", "handed"),
    ("each", "every"), ("has", "owns"), ("made", "produced"), ("needs", "requires"),
)  # fmt: skip


def main() -> None:
    args = _arguments()
    torch.set_num_threads(1)
    config = SemanticDedupConfig(enabled=True, model=args.policy, max_tokens=128, batch_tokens=2048)
    with open(args.questions, encoding="utf-8") as file:
        questions = [json.loads(line)["question"] for line, _ in zip(file, range(args.count), strict=False)]
    half = questions[: args.count // 2]
    texts = [*questions, *map(reword, half), *map(renumber, half)]
    embed = Embedder(config.model, max_tokens=config.max_tokens, batch_tokens=config.batch_tokens)
    start = time.perf_counter()
    vectors = embed(texts).numpy()
    seconds = time.perf_counter() - start
    wanted = {(row, len(questions) + row) for row in range(len(half))}
    unit = vectors - vectors.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = unit @ unit.T
    others = cosines[: len(questions), : len(questions)] - 2 * np.eye(len(questions))
    print("cosine of a question and its rewording, lowest tenth and median:",
          np.quantile([cosines[pair] for pair in wanted], [0.1, 0.5]).round(3))  # fmt: skip
    renumbered = [cosines[row, len(questions) + len(half) + row] for row in range(len(half))]
    print("of a question and the same with other numbers, median:", np.median(renumbered).round(3))
    print("of a question and the nearest other one, largest:", others.max().round(3))
    figures = {}
    for threshold in (0.95, 0.9, 0.85, 0.8):
        proposed = cosine_pairs(vectors, threshold)
        found = set(map(tuple, verified(texts, proposed, config).tolist()))
        false = [
            pair for pair in found - wanted if texts[pair[0]] != texts[pair[1]] and not _same(pair, len(questions))
        ]
        alone = [
            pair for pair in map(tuple, proposed.tolist()) if pair not in wanted and texts[pair[0]] != texts[pair[1]]
        ]
        share = len(found & wanted) / len(wanted)
        figures[threshold] = (share, len(false), len(alone))
        print(f"threshold {threshold}: found {share:.3f}, false {len(false)}, by cosine alone {len(alone)}")
    recall, false_pairs, alone_pairs = figures[config.threshold]
    report(
        "semantic_dedup",
        recall,
        "share of reworded questions found",
        TARGET,
        1,
        false=false_pairs,
        cosine_alone=alone_pairs,
        texts=len(texts),
        texts_per_second=round(len(texts) / seconds, 2),
    )


def reword(question: str) -> str:
    """Other words, and the first two sentences the other way round."""
    for word, other in _WORDS:
        question = question.replace(word, other)
    sentences = re.split(r"(?<=[.?!]) ", question)
    if len(sentences) > 2:
        sentences[0], sentences[1] = sentences[1], sentences[0]
    return " ".join(sentences)


def renumber(question: str) -> str:
    """Every number another one: a different problem."""
    return re.sub(r"\d+", lambda match: str(int(match[0]) + 7), question)


def _same(pair: tuple[int, int], questions: int) -> bool:
    """Both stand for one question whose numbers are all written out, so that renumbering left it as it was."""
    half = questions // 2
    return (pair[0] - questions) % half == (pair[1] - questions) % half and pair[1] >= questions + half


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--questions", required=True, help="JSONL with `question`")
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--policy", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    return parser.parse_args()


if __name__ == "__main__":
    main()
