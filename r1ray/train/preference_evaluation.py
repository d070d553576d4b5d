"""What a preference reward model is worth on held-out pairs: accuracy, calibration, and how much of it is length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from r1ray.algorithms.length_bias import LengthBias, LengthCorrection, measure_length_bias
from r1ray.calibration import ReliabilityBin, brier_score, expected_calibration_error, reliability_bins
from r1ray.data.preferences import EncodedPair
from r1ray.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceResult:
    """The examination of one preference reward model."""

    pairs: int
    accuracy: float
    """Share of pairs ordered as labelled; a tie counts half."""
    longer_accuracy: float
    """The same for whoever prefers the longer answer."""
    calibration_error: float
    """Of σ(lead), the probability that the answer with the higher score is the chosen one."""
    brier: float
    mean_lead: float
    bias: LengthBias
    reliability: list[ReliabilityBin]

    @property
    def baseline(self) -> float:
        """Accuracy of the better of guessing and of always preferring the longer, or always the shorter answer."""
        return max(0.5, self.longer_accuracy, 1 - self.longer_accuracy)

    def figures(self) -> dict[str, float]:
        """Flat, for the summary and the report."""
        return {
            "pair_accuracy": self.accuracy,
            "longer_accuracy": self.longer_accuracy,
            "pairs": self.pairs,
            "pair_ece": self.calibration_error,
            "pair_brier": self.brier,
            "mean_lead": self.mean_lead,
            "length_correlation": self.bias.correlation,
            "accuracy_chosen_longer": self.bias.accuracy_longer,
            "accuracy_chosen_shorter": self.bias.accuracy_shorter,
        }


def examine_pairs(
    pairs: Sequence[EncodedPair],
    chosen: Sequence[float],
    rejected: Sequence[float],
    *,
    bins: int,
    correction: LengthCorrection | None = None,
) -> PreferenceResult:
    """Examine on held-out pairs, whose answers scored `chosen` and `rejected`.

    Calibration is that of a two-way choice (arXiv 1706.04599 section 2): the model prefers one answer with probability
    σ(|lead|), and is right or not. Stating it of the chosen answer instead would make every outcome true.

    Args:
        correction: for length, fitted on other pairs; None = none.

    Raises:
        DataError: there is no pair.
    """
    if not pairs:
        raise DataError("No held-out pair: give more pairs, or lower reward_model.heldout.")
    chosen_lengths, rejected_lengths = ([len(ids) for ids in side] for side in _answers(pairs))
    if correction is not None:
        chosen = [correction(score, length) for score, length in zip(chosen, chosen_lengths, strict=True)]
        rejected = [correction(score, length) for score, length in zip(rejected, rejected_lengths, strict=True)]
    leads = [good - bad for good, bad in zip(chosen, rejected, strict=True)]
    stated = [1 / (1 + math.exp(-min(abs(lead), 500.0))) for lead in leads]
    right = [lead > 0 for lead in leads]
    return PreferenceResult(
        pairs=len(pairs),
        accuracy=_ordered(leads),
        longer_accuracy=_ordered([float(a - b) for a, b in zip(chosen_lengths, rejected_lengths, strict=True)]),
        calibration_error=expected_calibration_error(stated, right, bins),
        brier=brier_score(stated, right),
        mean_lead=sum(leads) / len(leads),
        bias=measure_length_bias(chosen, rejected, chosen_lengths, rejected_lengths),
        reliability=reliability_bins(stated, right, bins),
    )


def _answers(pairs: Sequence[EncodedPair]) -> tuple[list[list[int]], list[list[int]]]:
    return [pair.chosen_ids for pair in pairs], [pair.rejected_ids for pair in pairs]


def _ordered(leads: Sequence[float]) -> float:
    return sum(1.0 if lead > 0 else 0.5 if lead == 0 else 0.0 for lead in leads) / len(leads)
