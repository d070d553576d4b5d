"""What guardrails catch and what they stop by mistake, on labelled messages and on ordinary text.

    OMP_NUM_THREADS=1 python benchmarks/guard_quality.py --data FOLDER

FOLDER holds the public files that docs/guardrails.md names. Messages are parted by a hash of their text: half to
learn from, half to judge; the classifier that comes with r1ray is the one that this writes (`--write`). The last line
is one JSON object; its value is the catch rate of the classifier at `guard.threshold`, with the false-positive rate of
ordinary text beside it.
"""

import argparse
import asyncio
import csv
import hashlib
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.config.serve_parts import GuardConfig
from r1ray.data.classify.noise import cut_passages
from r1ray.data.generators.generate import generate
from r1ray.serve.guard.guard import Guard
from r1ray.serve.guard.toxicity import train_toxicity

KINDS = ("hate", "offensive", "neither")
TARGET = 0.8
FAMILIES = ("chain", "story", "shop", "compare")


def main() -> None:
    args = _arguments()
    data = Path(args.data)
    messages = _messages(data / "toxicity" / "davidson_labeled.csv")
    ordinary = _ordinary(data, args.most)
    model = args.model
    if not args.shipped:
        model = str(Path(args.write) / "toxicity.npz")
        start = time.perf_counter()
        toxic = [text for text, kind in messages if kind != "neither" and _half(text)]
        fine = [text for text, kind in messages if kind == "neither" and _half(text)]
        fine += [text for texts in ordinary.values() for text in texts if _half(text)]
        train_toxicity(toxic, fine).save(Path(model))
        print(f"learned from {len(toxic)} toxic and {len(fine)} other texts in {time.perf_counter() - start:.0f} s")
    held_out = {kind: [text for text, label in messages if label == kind and not _half(text)] for kind in KINDS}
    held_out |= {name: [text for text in texts if not _half(text)] for name, texts in ordinary.items()}
    words = str(data / "toxicity" / "ldnoobw_en.txt")
    guards = {
        "word list": GuardConfig(words=(words,)),
        **{f"classifier {level}": GuardConfig(classifier=model, threshold=level) for level in (0.5, 0.8, 0.9, 0.95)},
        "both": GuardConfig(words=(words,), classifier=model),
    }
    table = {}
    for name, config in guards.items():
        start = time.perf_counter()
        table[name] = {kind: _stopped(Guard(config), texts) for kind, texts in held_out.items()}
        texts_per_s = sum(map(len, held_out.values())) / (time.perf_counter() - start)
        print(f"{name:16} " + "  ".join(f"{kind} {share:.4f}" for kind, share in table[name].items())
              + f"  {texts_per_s:.0f} texts/s")  # fmt: skip
    print("texts judged:", json.dumps({kind: len(texts) for kind, texts in held_out.items()}))
    chosen = table[f"classifier {GuardConfig().threshold}"]
    toxic_texts = {kind: len(held_out[kind]) for kind in ("hate", "offensive")}
    caught = sum(chosen[kind] * count for kind, count in toxic_texts.items()) / sum(toxic_texts.values())
    plain = {name: len(held_out[name]) for name in ordinary}
    false = sum(chosen[name] * count for name, count in plain.items()) / sum(plain.values())
    report("guard_quality", caught, "share of toxic messages stopped", TARGET, 1,
           false_positives=round(false, 5), false_positives_of_messages=round(chosen["neither"], 4),
           texts=sum(map(len, held_out.values())), table=table)  # fmt: skip


def _stopped(guard: Guard, texts: list[str]) -> float:
    async def judge() -> list[bool]:
        return [(await guard.check_input(text)).allowed for text in texts]

    return round(1 - sum(asyncio.run(judge())) / max(1, len(texts)), 5)


def _messages(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["tweet"], KINDS[int(row["class"])]) for row in csv.DictReader(file)]


def _ordinary(data: Path, most: int) -> dict[str, list[str]]:
    """Problems and documents that a service must answer."""

    def column(path: str, *names: str) -> list[str]:
        lines = (data / path).read_text(encoding="utf-8").splitlines()
        return ["\n".join(str(json.loads(line)[name]) for name in names) for line in lines[:most]]

    draw = Random(0)
    c4 = [passage for text in column("web/c4_demo.jsonl", "text") for passage in cut_passages(text, draw, 2)]
    wiki_text = (data / "web" / "wiki_demo.txt").read_text(encoding="utf-8")
    strategy = json.loads((data / "logic" / "strategyqa_task.json").read_text(encoding="utf-8"))["examples"]
    dpo = json.loads((data / "preference" / "llamafactory_dpo_en_demo.json").read_text(encoding="utf-8"))
    pubmed = json.loads((data / "domain" / "pubmedqa_ori_pqal.json").read_text(encoding="utf-8"))
    return {
        "gsm8k": column("gsm8k/train.jsonl", "question", "answer"),
        "aqua": column("math/aqua_dev.jsonl", "question", "rationale"),
        "generated": [
            p.question for p in generate(("chain", "story", "shop", "compare"), count=most, max_number=50, seed=1)
        ],
        "strategyqa": [row["input"] for row in strategy[:most]],
        "requests": [turn["value"] for row in dpo for turn in row["conversations"][:1]],
        "medicine": [" ".join(row["CONTEXTS"])[:1500] for row in list(pubmed.values())[:most]],
        "wiki": _paragraphs(wiki_text.split("\n"), most),
        "c4": c4[:most],
    }


def _paragraphs(lines: Iterable[str], most: int) -> list[str]:
    return [line[:1500] for line in lines if len(line.split()) >= 8][:most]


def _half(text: str) -> bool:
    return hashlib.sha256(text[:200].encode()).digest()[0] < 128


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder of public data")
    parser.add_argument("--write", default="r1ray/serve/guard", help="where the classifier is written")
    parser.add_argument("--shipped", action="store_true", help="judge the classifier that is there; learn nothing")
    parser.add_argument("--model", default="toxicity", help="with --shipped: which")
    parser.add_argument("--most", type=int, default=1500, help="ordinary texts of a kind")
    return parser.parse_args()


if __name__ == "__main__":
    main()
