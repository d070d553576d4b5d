"""Recall and precision of the privacy detectors by kind, and false masks on problems of mathematics.

    python benchmarks/privacy_recall.py --labelled presidio_synth_v2.json --problems gsm8k/train.jsonl

`--labelled` is a JSON list of `{"full_text", "spans": [{"entity_type", "start_position", "end_position"}]}` as
presidio-research generates it; `--problems` is JSONL whose text fields hold nothing personal. A labelled span is found
where a detected one of its kind covers it. `--names` adds people and addresses (extra `pii`) with that spaCy pipeline,
for the labelled texts alone: the people of problems are invented. The last line is one JSON object; its value is the
share of problems with a mask, in percent.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.config.corpus import NAME_DETECTORS, PrivacyConfig
from r1ray.data.privacy.detectors import DETECTORS, Detector
from r1ray.data.privacy.names import extra_detectors
from r1ray.data.privacy.spans import Span, without_overlaps

TARGET = 0.1
LABELS: dict[str, tuple[str, ...]] = {
    "EMAIL": ("EMAIL_ADDRESS",),
    "PHONE": ("PHONE_NUMBER",),
    "CREDIT_CARD": ("CREDIT_CARD",),
    "IBAN": ("IBAN_CODE",),
    "IP": ("IP_ADDRESS",),
    "NATIONAL_ID": ("US_SSN",),
}
NAMES: dict[str, tuple[str, ...]] = {"PERSON": ("PERSON",), "ADDRESS": ("STREET_ADDRESS", "GPE")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--problems", type=Path, required=True)
    parser.add_argument("--names", default="", help="spaCy pipeline for people and addresses; empty = none")
    args = parser.parse_args()
    torch.set_num_threads(1)
    labels, extra = LABELS, ()
    if args.names:
        labels = LABELS | NAMES
        extra = extra_detectors(PrivacyConfig(detectors=NAME_DETECTORS, name_model=args.names))
    kinds = score(json.loads(args.labelled.read_text()), labels, extra)
    for kind, figures in kinds.items():
        print(f"{kind:12s} " + ", ".join(f"{name} {value}" for name, value in figures.items()))
    problems = [json.loads(line) for line in args.problems.read_text().splitlines()]
    masked = [row for row in problems if any(detect(value) for value in row.values() if isinstance(value, str))]
    for row in masked[:5]:
        print("masked:", row)
    report(
        "privacy_recall",
        100 * len(masked) / len(problems),
        "% of problems with a false mask (at most)",
        TARGET,
        1,
        problems=len(problems),
        by_kind=kinds,
    )


def detect(text: str, extra: Sequence[Detector] = ()) -> list[Span]:
    """All that the detectors find in a text."""
    return without_overlaps(span for detector in (*DETECTORS.values(), *extra) for span in detector(text))


def score(
    rows: list[dict[str, Any]], labels: Mapping[str, tuple[str, ...]] = LABELS, extra: Sequence[Detector] = ()
) -> dict[str, dict[str, float]]:
    """Labelled spans, recall and precision of each kind."""
    labelled: Counter[str] = Counter()
    found: Counter[str] = Counter()
    detected: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for row in rows:
        spans = detect(row["full_text"], extra)
        truth = [(span["entity_type"], span["start_position"], span["end_position"]) for span in row["spans"]]
        for span in spans:
            detected[span.kind] += 1
            right[span.kind] += any(
                label in labels[span.kind] and start < span.end and span.start < end for label, start, end in truth
            )
        for kind, wanted in labels.items():
            for label, start, end in truth:
                if label in wanted:
                    labelled[kind] += 1
                    found[kind] += any(s.kind == kind and s.start <= start and s.end >= end for s in spans)
    return {
        kind: {
            "labelled": labelled[kind],
            "recall": round(found[kind] / max(1, labelled[kind]), 4),
            "precision": round(right[kind] / max(1, detected[kind]), 4),
        }
        for kind in labels
    }


if __name__ == "__main__":
    main()
