"""`samples.jsonl`: sampled rollouts with what each token and each step of them earned. One JSON object a line.

{"step": 10, "policy_version": 9, "problem_id": "story-3-9f31", "family": "story", "sample": 0,
 "question": "Mia has 9 eggs ...", "reference": "16", "text": "1. 9 + 7 = 16\\nAnswer: 16",
 "tokens": ["1", ".", " ", "9", ...], "advantages": [0.1, 0.1, 0.2, 0.4, ...],
 "steps": [{"start": 0, "end": 13, "text": "1. 9 + 7 = 16", "score": 0.3, "last_token": 10}],
 "components": {"outcome": 1.0, "step": 1.0}, "correct": true, "finish_reason": "stop"}
"""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from r1ray.errors import DataError
from r1ray.types import ScoredRollout


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledStep:
    """A reasoning step as a span of characters, with its score."""

    start: int
    end: int
    text: str
    score: float
    last_token: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRow:
    """One rollout of one training step. `tokens` are the sampled ids, decoded one by one."""

    step: int
    policy_version: int
    problem_id: str
    family: str
    sample: int
    question: str
    reference: str
    text: str
    tokens: list[str]
    advantages: list[float]
    """One per token, as they entered the loss (after whitening); empty where the writer does not know them."""
    steps: list[SampledStep]
    components: dict[str, float]
    correct: bool
    finish_reason: str

    def __post_init__(self) -> None:
        if self.advantages and len(self.tokens) != len(self.advantages):
            raise DataError(
                f"Sample of {self.problem_id}: {len(self.tokens)} tokens with {len(self.advantages)} advantages; "
                "expected one for each."
            )

    @classmethod
    def from_scored(
        cls, scored: ScoredRollout, *, step: int, tokens: Sequence[str], advantages: Sequence[float]
    ) -> Self:
        """The row of a scored rollout; `tokens` are its sampled ids as text, one string per id."""
        rollout = scored.rollout
        spans = zip(scored.steps, scored.step_scores, strict=True)
        return cls(
            step=step,
            policy_version=rollout.policy_version,
            problem_id=rollout.problem.id,
            family=rollout.problem.family,
            sample=rollout.sample,
            question=rollout.problem.question,
            reference=rollout.problem.answer,
            text=rollout.completion.text,
            tokens=list(tokens),
            advantages=[round(float(advantage), 4) for advantage in advantages],
            steps=[
                SampledStep(start=s.start, end=s.end, text=s.text, score=float(score), last_token=s.last_token)
                for s, score in spans
            ],
            components=dict(scored.components),
            correct=scored.correct,
            finish_reason=rollout.completion.finish_reason,
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """A row as it was read; raises `DataError` if a field is missing or unknown."""
        try:
            return cls(**{**data, "steps": [SampledStep(**step) for step in data["steps"]]})
        except (TypeError, KeyError) as error:
            raise DataError(
                f"samples.jsonl has a row of another form: {error}. See r1ray/report/samples.py for the fields."
            ) from error


def append_samples(path: Path, rows: Iterable[SampleRow]) -> None:
    """Add rows to `samples.jsonl`."""
    text = "".join(json.dumps(dataclasses.asdict(row), ensure_ascii=False) + "\n" for row in rows)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def read_samples(path: Path) -> list[SampleRow]:
    """All rows, without a half-written last one; none if there is no file."""
    rows = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for number, line in enumerate(lines):
        try:
            rows.append(SampleRow.from_json(json.loads(line)))
        except json.JSONDecodeError:
            if number + 1 < len(lines):
                raise DataError(f"{path}, line {number + 1} is not JSON.") from None
    return rows
