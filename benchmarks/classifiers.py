"""Noise and domain classifiers trained on one part of real texts and judged on another; what is trained is shipped.

    OMP_NUM_THREADS=1 python benchmarks/classifiers.py --data FOLDER --law clauses.jsonl

FOLDER holds the public files that docs/classifiers.md names. Documents are parted by a hash of their beginning: half to
learn, half to judge. Clean texts are judged as they are, and spoiled by each of the corruptions; and each corruption is
judged by a classifier that never saw it. Law is judged on other tasks of LegalBench than it is learned from: what is
shipped has learned from all that are under free licences, and two classifiers that each miss half of the tasks are
judged on that half. The last line is one JSON object; its value is the recall of noise at `noise.threshold`.
"""

import argparse
import gzip
import hashlib
import json
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.config.classify import DomainConfig, NoiseConfig
from r1ray.data.classify.classifier import Classifier, load_classifier, train_on_embeddings
from r1ray.data.classify.corruptions import CORRUPTIONS
from r1ray.data.classify.domain import domains_of, train_domain
from r1ray.data.classify.noise import cut_passages, judge_noise, train_noise
from r1ray.data.generators.generate import generate

TARGET = 0.95
SHIPPED = Path(__file__).resolve().parents[1] / "r1ray" / "data" / "classify"
DOMAIN_OF = {
    "gsm8k": "mathematics", "aqua": "mathematics", "generated": "mathematics", "pubmedqa": "medical",
    "tatqa": "finance",
    "contracts": "law", "licences": "law", "other law": "law", "python": "code", "c": "code", "wiki": "general",
    "c4": "general", "strategyqa": "general",
}  # fmt: skip
LEARNED_LAW = ("cuad", "contract_nli", "maud", "nys", "definition", "corporate", "hearsay", "unfair")
LEFT_OUT_LAW = ("supply", "opp115")
"""Statements of companies about themselves."""
FREE_LAW = (
    "citation", "contract_qa", "diversity", "function", "insurance", "international", "jcrew", "legal", "oral",
    "personal", "proa", "ssla", "successor", "telemarketing", "ucc",
)  # fmt: skip
"""Tasks of other kinds of legal text, under CC BY 4.0. They are few: each text counts `LAW_REPEATS` times."""
LAW_REPEATS = 4


def main() -> None:
    args = _arguments()
    texts = _texts(Path(args.data), Path(args.law) if args.law else None, args.most)
    learn = {source: [text for text in found if _half(text)] for source, found in texts.items()}
    judge = {source: [text for text in found if not _half(text)] for source, found in texts.items()}
    for source in ("contracts", "licences"):
        learn[source] += judge.pop(source, [])
    judge["other law"] += learn.pop("other law")
    print("texts to learn from:", {source: len(found) for source, found in learn.items()})
    print("texts to judge:     ", {source: len(found) for source, found in judge.items()})
    noise = {"recall": 0.0} if args.domain_alone else _noise(learn, judge, Path(args.data), args)
    domain = _domain(learn, judge, args)
    report(
        "classifiers",
        noise["recall"],
        "recall of noise on texts that were not learned from",
        TARGET,
        1,
        **noise,
        **domain,
    )


def _noise(
    learn: dict[str, list[str]], judge: dict[str, list[str]], data: Path, args: argparse.Namespace
) -> dict[str, Any]:
    config = NoiseConfig()
    clean = [text for found in learn.values() for text in found]
    start = time.perf_counter()
    if not args.shipped:
        trained = train_noise(clean)
        trained.save(Path(args.write) / "noise.npz")
    model: Classifier = load_classifier((SHIPPED if args.shipped else Path(args.write)) / "noise.npz")
    seconds = time.perf_counter() - start
    draw = Random(1)
    passages = {source: [p for text in found for p in cut_passages(text, draw, 4)] for source, found in judge.items()}
    false = {source: _dropped(found, config, model) for source, found in passages.items()}
    every = [passage for found in passages.values() for passage in found]
    sample = Random(2).sample(every, min(len(every), args.noise_rows))
    spoiled = {name: [spoil(text, draw) for text in sample] for name, spoil in CORRUPTIONS.items()}
    kinds = {name: _dropped(found, config, model) for name, found in spoiled.items()}
    unseen = {}
    for name in () if args.shipped else CORRUPTIONS:
        without = {other: spoil for other, spoil in CORRUPTIONS.items() if other != name}
        blind = train_noise(clean[:: args.thin], corruptions=without)
        unseen[name] = _dropped(spoiled[name], config, blind)
    pages = [p for text in _pages(data / "web" / "warc_sample_0000.warc.gz") for p in cut_passages(text, draw, 20)]
    start = time.perf_counter()
    judge_noise(every, config, model)
    rate = len(every) / (time.perf_counter() - start)
    print(f"\nnoise classifier, ready in {seconds:.0f} s; dropped at {config.threshold}, of clean passages:")
    _table({source: (share, len(passages[source])) for source, share in false.items()})
    print(f"of {len(sample)} spoiled passages by corruption; in brackets where it was not among those learned:")
    for name, share in kinds.items():
        print(f"  {name:20} {share:.3f}" + (f"  ({unseen[name]:.3f})" if unseen else ""))
    print(f"of {len(pages)} passages of raw HTML from a crawl: {_dropped(pages, config, model):.3f}")
    return {
        "recall": float(np.mean(list(kinds.values()))),
        "recall_unseen": round(float(np.mean(list(unseen.values()))), 4) if unseen else None,
        "false_drops": round(float(np.average(list(false.values()), weights=[len(passages[s]) for s in false])), 5),
        "noise_rows_per_second": round(rate),
    }


def _dropped(texts: list[str], config: NoiseConfig, model: Classifier) -> float:
    verdicts = judge_noise(texts, config, model)
    return sum(verdict is not None for verdict in verdicts) / max(1, len(texts))


def _domain(learn: dict[str, list[str]], judge: dict[str, list[str]], args: argparse.Namespace) -> dict[str, Any]:
    by_domain: dict[str, list[str]] = {}
    for source, found in learn.items():
        by_domain.setdefault(DOMAIN_OF[source], []).extend(found)
    folds = _law_folds(Path(args.law)) if args.law else []
    free = [text for learned, _ in folds for text in learned]
    everything = by_domain | {"law": by_domain["law"] + LAW_REPEATS * free}
    if not args.shipped:
        train_domain(everything).save(Path(args.write) / "domain.npz")
    model = load_classifier((SHIPPED if args.shipped else Path(args.write)) / "domain.npz")
    draw = Random(1)
    judge = {source: found for source, found in judge.items() if source != "other law"}
    passages = {source: [p for text in found for p in cut_passages(text, draw, 4)] for source, found in judge.items()}
    models: dict[str, Classifier] = {"n-grams and word lists": model}
    if not args.shipped:
        models["n-grams alone"] = train_domain(everything, lexicons={})
    if args.embed:
        models["embeddings"] = _embedding_model(everything, args)
        rest = Random(3)
        passages = {source: rest.sample(found, min(len(found), 60)) for source, found in passages.items()}
    accuracy = {}
    for name, one in models.items():
        accuracy[name] = _domain_table(name, one, passages)
    return {"domain_accuracy": accuracy, "law": {} if args.shipped else _law(by_domain, folds)}


def _law(by_domain: dict[str, list[str]], folds: list[tuple[list[str], list[str]]]) -> dict[str, float]:
    """Share put right of tasks that were not learned from: with the other half's texts, and without."""
    without = train_domain(by_domain)
    right: dict[str, list[bool]] = {"learned from contracts": [], "from half of the other tasks too": []}
    for learned, judged in folds:
        draw = Random(1)
        found = [passage for text in judged for passage in cut_passages(text, draw, 4)]
        model = train_domain(by_domain | {"law": by_domain["law"] + LAW_REPEATS * learned})
        for name, one in zip(right, (without, model), strict=True):
            right[name] += [item.name == "law" for item in domains_of(found, DomainConfig(), one)]
    shares = {name: round(float(np.mean(found)), 4) for name, found in right.items()}
    print(f"law, of {len(right['learned from contracts'])} passages of tasks that were not learned from: {shares}")
    return shares


def _law_folds(path: Path) -> list[tuple[list[str], list[str]]]:
    """Other legal tasks in two halves: (texts to learn from, texts of the other half to judge), both ways round."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    rows = [row for row in rows if not row["task"].startswith((*LEARNED_LAW, *LEFT_OUT_LAW))]
    families = sorted({row["task"].partition("_")[0] for row in rows})
    halves = (set(families[::2]), set(families[1::2]))
    return [
        (
            [row["text"] for row in rows if row["task"].partition("_")[0] in half and row["task"].startswith(FREE_LAW)],
            [row["text"] for row in rows if row["task"].partition("_")[0] not in half],
        )
        for half in halves
    ]


def _embedding_model(by_domain: dict[str, list[str]], args: argparse.Namespace) -> Classifier:
    from r1ray.models.embedding import Embedder

    draw = Random(0)
    embed: Callable[..., Any] = Embedder(args.embed, max_tokens=128)
    pairs = [
        (passage, name)
        for name, found in by_domain.items()
        for passage in draw.sample([p for text in found for p in cut_passages(text, draw, 2)], args.embed_rows)
    ]
    return train_on_embeddings([text for text, _ in pairs], [name for _, name in pairs], embed, order=sorted(by_domain))


def _domain_table(name: str, model: Classifier, passages: dict[str, list[str]]) -> float:
    """Print where each source's passages were put; return the mean over domains of the share put right."""
    right: dict[str, list[bool]] = {}
    print(f"\ndomain classifier, {name}: share put right, and where the others went")
    for source, found in passages.items():
        domain = DOMAIN_OF[source]
        names = [item.name for item in domains_of(found, DomainConfig(), model)]
        wrong = {other: names.count(other) for other in sorted(set(names) - {domain})}
        right.setdefault(domain, []).extend(item == domain for item in names)
        print(f"  {source:12} {domain:12} {names.count(domain) / max(1, len(names)):.3f} of {len(names):5}  {wrong}")
    return round(float(np.mean([np.mean(found) for found in right.values()])), 4)


def _table(rows: dict[str, tuple[float, int]]) -> None:
    for name, (share, number) in rows.items():
        print(f"  {name:12} {share:.4f} of {number}")


def _half(text: str) -> bool:
    """Whether a document is learned from. Numbers are left out, so that problems of one template stay together."""
    head = "".join(char for char in text[:200] if not char.isdigit())
    return hashlib.sha256(head.encode("utf-8", "replace")).digest()[0] < 128


def _texts(data: Path, law: Path | None, most: int) -> dict[str, list[str]]:
    """Documents by source."""

    def lines(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (data / name).read_text(encoding="utf-8").splitlines() if line]

    tables = json.loads((data / "domain/tatqa_dev.json").read_text(encoding="utf-8"))
    medical = json.loads((data / "domain/pubmedqa_ori_pqal.json").read_text(encoding="utf-8"))
    found = {
        "gsm8k": [f"{row['question']}\n{row['answer']}" for row in lines("gsm8k/train.jsonl")],
        "aqua": [f"{row['question']}\n{row['rationale']}" for row in lines("math/aqua_dev.jsonl")],
        "generated": [
            f"{problem.question}\n{problem.solution}"
            for problem in generate(
                ("chain:1-4", "story:1-4", "shop:1-3", "compare:1-3"), count=600, max_number=99, seed=0
            )
        ],
        "pubmedqa": [" ".join([*row["CONTEXTS"], row["LONG_ANSWER"]]) for row in medical.values()],
        "tatqa": [
            "\n".join([*(p["text"] for p in row["paragraphs"]), *(" ".join(cells) for cells in row["table"]["table"])])
            for row in tables
        ],
        "wiki": (data / "web/wiki_demo.txt").read_text(encoding="utf-8").splitlines(),
        "c4": [row["text"] for row in lines("web/c4_demo.jsonl")],
        "strategyqa": [
            f"{row['input']} {row['target']}"
            for row in json.loads((data / "logic/strategyqa_task.json").read_text(encoding="utf-8"))["examples"]
        ],
        "python": _files(Path(sysconfig.get_path("stdlib")), "*.py"),
        "c": _files(Path("/usr/include"), "*.h"),
        "licences": sorted(set(_files(Path(sysconfig.get_path("purelib")), "*/licenses/LICENSE*"))),
    }
    clauses = lines(str(law)) if law else []
    found["contracts"] = [row["text"] for row in clauses if row["task"].startswith(LEARNED_LAW)]
    found["other law"] = [row["text"] for row in clauses if not row["task"].startswith((*LEARNED_LAW, *LEFT_OUT_LAW))]
    draw = Random(0)
    return {source: draw.sample(texts, min(len(texts), most)) for source, texts in found.items()}


def _files(folder: Path, pattern: str) -> list[str]:
    paths = [path for path in sorted(folder.glob(pattern)) if path.is_file() and 400 < path.stat().st_size < 200_000]
    return [path.read_text(encoding="utf-8", errors="replace") for path in paths]


def _pages(archive: Path) -> Iterator[str]:
    """The HTML of a crawl, as it came."""
    with gzip.open(archive) as file:
        for record in file.read().split(b"WARC/1.0\r\n"):
            _, _, page = record.partition(b"\r\n\r\nHTTP/")
            body = page.partition(b"\r\n\r\n")[2]
            if b"<html" in body[:2000].lower():
                yield body.decode("utf-8", "replace")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True, help="folder of public files, see docs/classifiers.md")
    parser.add_argument("--law", default="", help="JSONL of {task, text}: LegalBench's train.tsv files")
    parser.add_argument("--most", type=int, default=600, help="documents of one source")
    parser.add_argument("--noise-rows", type=int, default=300, help="held-out passages that each corruption spoils")
    parser.add_argument("--thin", type=int, default=12, help="one text in so many teaches those that miss a corruption")
    parser.add_argument("--embed", default="", help="model whose hidden states are tried as features; empty = none")
    parser.add_argument("--embed-rows", type=int, default=100, help="passages of each domain to learn from, embedded")
    parser.add_argument("--write", default=str(SHIPPED), help="folder for what is trained; default: into the package")
    parser.add_argument("--domain-alone", action="store_true", help="leave the noise classifier as it is")
    parser.add_argument("--shipped", action="store_true", help="train nothing: judge what the package holds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
