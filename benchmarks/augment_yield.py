"""Every augmentation operator on rows of a GSM8K file: how many variants, how many verified, and samples.

    OMP_NUM_THREADS=1 python benchmarks/augment_yield.py --input gsm8k/train.jsonl --write docs/augmentation.md

`synonyms` needs WordNet and `back_translation` apertium (Debian: wordnet-base, apertium, apertium-eng-spa). `masked`
takes `--masked-model`, or counts which words stand beside which in the file's questions. Sequences and feature rows are
made from the same problems: the numbers of a solution in order; lengths and counts, with the number of steps as the
label. `--tables` adds the finance tables of a TAT-QA file. The last line is one JSON object: how many operators made a
usable variant of at least a tenth of their rows.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from benchmarks._masked_model import NeighbourModel
from r1ray.config.augment import OPERATORS, AugmentConfig
from r1ray.data.augment.masked import masked
from r1ray.data.augment.numbers import find_numbers
from r1ray.data.augment.registry import make_operator
from r1ray.data.augment.rows import Augmenter
from r1ray.data.augment.variant import Row, Variant

TARGET = 12
_MARKS = ("<!-- yield: begin -->", "<!-- yield: end -->")
_SAMPLES = 3

Result = tuple[str, str, Sequence[Row], list[Variant]]
"""Operator, kind of rows, rows, attempts."""


def main() -> None:
    args = _arguments()
    torch.set_num_threads(1)
    lines = Path(args.input).read_text(encoding="utf-8").splitlines()
    problems: list[Row] = [{"id": f"gsm8k-{n}", **json.loads(line)} for n, line in enumerate(lines[: args.rows])]
    config = AugmentConfig(probability=1.0, seed=args.seed, wordnet=args.wordnet, masked_model=args.masked_model)
    questions = [json.loads(line)["question"] for line in lines]
    runs = [(name, _rows_for(name, problems), "") for name in args.operators]
    if args.tables:
        runs.append(("numeric", _tables(args.tables)[: args.rows], "finance tables"))
    results = [(name, kind, rows, _run(name, rows, config, questions)) for name, rows, kind in runs]
    text = "\n".join([_table(results), *(_section(*result) for result in results)])
    print(text)
    if args.write:
        _write(Path(args.write), text)
    useful = {name for name, _, rows, variants in results if _usable(variants) >= len(rows) / 10}
    report("augment_yield", len(useful), "operators with a yield of 10 % or more", TARGET, 1, rows=len(problems))


def _run(name: str, rows: Sequence[Row], config: AugmentConfig, questions: Sequence[str]) -> list[Variant]:
    """Every attempt of one operator."""
    if name == "masked" and not config.masked_model:
        operator = masked(NeighbourModel(questions))
    else:
        operator = make_operator(name, config, pool=rows)
    return Augmenter(config, operators={name: operator}).variants(rows)


def _rows_for(name: str, problems: Sequence[Row]) -> list[Row]:
    if name == "time_window":
        return [
            {"id": row["id"], "series": [float(number.value) for number in find_numbers(_solution(row))]}
            for row in problems
        ]
    if name == "mixing":
        return [{"id": row["id"], **_features(row)} for row in problems]
    return list(problems)


def _solution(row: Row) -> str:
    return re.sub(r"<<.*?>>", "", str(row["answer"]).rpartition("####")[0])


def _features(row: Row) -> dict[str, Any]:
    question = str(row["question"])
    features = {
        "words": len(question.split()),
        "sentences": len(re.findall(r"[.?!]", question)),
        "numbers": len(find_numbers(question)),
        "largest": max((float(number.value) for number in find_numbers(question)), default=0.0),
    }
    return {"features": features, "label": len(_solution(row).strip().splitlines())}


def _tables(path: str) -> list[Row]:
    """Questions of TAT-QA that are answered by a calculation, each with its table."""
    rows: list[Row] = []
    for document in json.loads(Path(path).read_text(encoding="utf-8")):
        for question in document["questions"]:
            if question["answer_type"] == "arithmetic" and question.get("derivation"):
                derivation = str(question["derivation"])
                rows.append(
                    {
                        "id": question["uid"],
                        "table": document["table"]["table"],
                        "question": question["question"],
                        "derivation": f"({derivation})*100" if question["scale"] == "percent" else derivation,
                        "answer": str(question["answer"]),
                    }
                )
    return rows


def _usable(variants: Sequence[Variant]) -> int:
    return sum(variant.check != "rejected" for variant in variants)


def _table(results: Sequence[Result]) -> str:
    lines = [
        "| operator | rows | usable variants | verified | unverified | pass rate of the edits |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, kind, rows, variants in results:
        checks = Counter(variant.check for variant in variants)
        edits = sum(bool(variant.row) for variant in variants)
        label = f"`{name}`, {kind}" if kind else f"`{name}`"
        lines.append(
            f"| {label} | {len(rows)} | {_usable(variants)} ({_percent(_usable(variants), len(rows))}) | "
            f"{checks['verified']} | {checks['unverified']} | {_percent(_usable(variants), edits)} |"
        )
    return "\n".join(lines)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _section(name: str, kind: str, rows: Sequence[Row], variants: Sequence[Variant]) -> str:
    """Why rows were left alone, and the first few variants beside their parents."""
    reasons = Counter(variant.reason for variant in variants if variant.check == "rejected")
    parents = {str(row["id"]): row for row in rows}
    lines = [f"\n### `{name}`{f', {kind}' if kind else ''}\n"]
    if reasons:
        lines.append("Rejected: " + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(6)) + ".\n")
    made = [variant for variant in variants if variant.check != "rejected"]
    for variant in made[:: max(1, len(made) // _SAMPLES)][:_SAMPLES]:
        lines += ["```text", f"{variant.parent}  {variant.check}: {variant.reason}"]
        parent = parents[variant.parent]
        for field, value in variant.row.items():
            if field != "id" and value != parent.get(field):
                if field in parent:
                    lines.append(f"- {field}: {_shown(parent[field])}")
                lines.append(f"+ {field}: {_shown(value)}")
        lines.append("```\n")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return value.replace("\n", "\n      ") if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    """Replace what stands between the marks."""
    begin, end = _MARKS
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    path.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--input", required=True, help="JSONL with GSM8K's question and answer")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--operators", nargs="+", choices=OPERATORS, default=OPERATORS)
    parser.add_argument("--tables", default="", help="TAT-QA's JSON")
    parser.add_argument("--wordnet", default="/usr/share/wordnet")
    parser.add_argument("--masked-model", default="", help="path or id; empty = counts of neighbours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", default="", help="page whose part between the marks is replaced")
    return parser.parse_args()


if __name__ == "__main__":
    main()
