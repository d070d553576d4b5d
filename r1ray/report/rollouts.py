"""Sampled rollouts, made ready for a page: which are shown, how strongly each token is coloured, where step scores
stand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from r1ray.report.samples import SampleRow

STRONGEST = 0.85
"""Opacity of the strongest advantage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A token as it is shown."""

    text: str
    sign: str
    """`pos`, `neg`, or empty where the colour would not be seen."""
    opacity: float
    advantage: str
    score: str
    """Score of the step that ends here, with its sign; empty where none ends."""
    score_sign: str
    newline: bool
    """A line break follows (after the score)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A rollout with its coloured text."""

    row: SampleRow
    pieces: list[Piece]


def choose(rows: Sequence[SampleRow], steps: int = 5, per_step: int = 4) -> list[tuple[int, list[SampleRow]]]:
    """Rollouts of the newest step, the first, and evenly between, newest first: (step, rows).

    Of each step the right and the wrong ones take turns, each in the order of the file: one wants to see both.
    """
    present = sorted({row.step for row in rows})
    if len(present) > steps:
        present = sorted({present[round(i * (len(present) - 1) / (steps - 1))] for i in range(steps)})
    return [(step, _alternate([row for row in rows if row.step == step])[:per_step]) for step in reversed(present)]


def colour_scale(rows: Sequence[SampleRow]) -> float:
    """The advantage that gets the full colour: the 95th percentile of |advantage| over what is shown, so that one
    outlier does not bleach everything else. 1 where all are zero."""
    sizes = sorted(abs(value) for row in rows for value in row.advantages if math.isfinite(value))
    return (sizes[math.ceil(0.95 * len(sizes)) - 1] if sizes else 0.0) or 1.0


def show(row: SampleRow, scale: float) -> Shown:
    """Colour a rollout's tokens by advantage / `scale`, and put each step's score behind its last token."""
    scores: dict[int, float] = {}
    for step in row.steps:
        scores[step.last_token] = scores.get(step.last_token, 0.0) + step.score
    pieces = []
    for i, (token, advantage) in enumerate(
        zip(row.tokens, row.advantages or [math.nan] * len(row.tokens), strict=True)
    ):
        strength = min(1.0, abs(advantage) / scale) if math.isfinite(advantage) else 0.0
        score = scores.get(i)
        pieces.append(
            Piece(
                text=token.replace("\n", "↵")
                or "∎",  # what decodes to nothing, such as the end of the answer, has an advantage too
                sign=("" if strength < 0.03 else "pos" if advantage > 0 else "neg"),
                opacity=round(strength * STRONGEST, 2),
                advantage=f"{advantage:+.3f}" if math.isfinite(advantage) else "",
                score="" if score is None else f"{score:+.2f}",
                score_sign="" if not score else "pos" if score > 0 else "neg",
                newline="\n" in token,
            )
        )
    return Shown(row=row, pieces=pieces)


def _alternate(rows: Sequence[SampleRow]) -> list[SampleRow]:
    right, wrong = [row for row in rows if row.correct], [row for row in rows if not row.correct]
    mixed = [row for pair in zip(right, wrong, strict=False) for row in pair]
    return mixed + right[len(wrong) :] + wrong[len(right) :]
