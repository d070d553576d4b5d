"""How much of a reward model's score is mere length, and what to do about it, in training and after.

People prefer the longer of two answers more often than it deserves, and a model of their preferences learns the short
cut first. In training, a length term beside the scores takes up what length explains, and is left out when scoring
(`length_offset`). After training, the slope of score on length, at equal preference, is subtracted (`fit_correction`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from r1ray.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthBias:
    """How scores and lengths go together over preference pairs."""

    correlation: float
    """Pearson's, of the difference in score with the difference in length; nan where one of them never varies."""
    accuracy_longer: float
    """Share of pairs ordered as labelled where the chosen answer is the longer; nan where there is none."""
    accuracy_shorter: float
    """The same where it is the shorter. A length-biased model is far worse here."""
    chosen_longer: float
    """Share of pairs whose chosen answer is the longer: the bias of the labels themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthCorrection:
    """A linear correction of scores for length."""

    slope: float
    """Score per token of length."""
    centre: float
    """Length, in tokens, at which a score stays as it is."""

    def __call__(self, score: float, length: int) -> float:
        """The score that an answer of `length` tokens would have at the centre's length."""
        return score - self.slope * (length - self.centre)


def length_offset(
    chosen_lengths: Float[Tensor, " P"], rejected_lengths: Float[Tensor, " P"], scale: float
) -> Float[Tensor, " P"]:
    """tanh((l_chosen − l_rejected) / scale), to be multiplied by one learned number γ and given to Bradley-Terry.

    The term of length-controlled AlpacaEval's regression (arXiv 2404.04475 section 3), fitted together with the scores.
    `scale` is the standard deviation of length differences over the training pairs, in tokens.
    """
    return torch.tanh((chosen_lengths - rejected_lengths) / scale)


def measure_length_bias(
    chosen: Sequence[float], rejected: Sequence[float], chosen_lengths: Sequence[int], rejected_lengths: Sequence[int]
) -> LengthBias:
    """Over pairs, in order: scores, and lengths in tokens. Pairs of equal length count for the correlation alone.

    Raises:
        DataError: there is no pair.
    """
    scores, lengths = _differences(chosen, rejected, chosen_lengths, rejected_lengths)
    longer = [score for score, length in zip(scores, lengths, strict=True) if length > 0]
    shorter = [score for score, length in zip(scores, lengths, strict=True) if length < 0]
    return LengthBias(
        correlation=_correlation(scores, lengths),
        accuracy_longer=_share_positive(longer),
        accuracy_shorter=_share_positive(shorter),
        chosen_longer=len(longer) / len(lengths),
    )


def fit_correction(
    chosen: Sequence[float], rejected: Sequence[float], chosen_lengths: Sequence[int], rejected_lengths: Sequence[int]
) -> LengthCorrection:
    """Least squares of r_chosen − r_rejected on l_chosen − l_rejected *with* an intercept.

    The intercept is what being preferred is worth, so the slope is what length is worth at equal preference: good long
    answers are not punished for being good. A linear form of post-hoc calibration (arXiv 2409.17407). Fit it on
    held-out pairs; where lengths never differ the slope is 0.

    Raises:
        DataError: there is no pair.
    """
    scores, lengths = _differences(chosen, rejected, chosen_lengths, rejected_lengths)
    spread = _covariance(lengths, lengths)
    everything = [*chosen_lengths, *rejected_lengths]
    return LengthCorrection(
        slope=_covariance(scores, lengths) / spread if spread else 0.0, centre=sum(everything) / len(everything)
    )


def _differences(
    chosen: Sequence[float], rejected: Sequence[float], chosen_lengths: Sequence[int], rejected_lengths: Sequence[int]
) -> tuple[list[float], list[float]]:
    if not chosen:
        raise DataError("Length bias of no pairs: give at least one preference pair.")
    scores = [good - bad for good, bad in zip(chosen, rejected, strict=True)]
    lengths = [float(good - bad) for good, bad in zip(chosen_lengths, rejected_lengths, strict=True)]
    if len(scores) != len(lengths):
        raise DataError(f"{len(scores)} pairs have scores and {len(lengths)} have lengths; expected the same pairs.")
    return scores, lengths


def _covariance(xs: Sequence[float], ys: Sequence[float]) -> float:
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    return math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / len(xs)


def _correlation(xs: Sequence[float], ys: Sequence[float]) -> float:
    spread = _covariance(xs, xs) * _covariance(ys, ys)
    return _covariance(xs, ys) / math.sqrt(spread) if spread else math.nan


def _share_positive(differences: Sequence[float]) -> float:
    if not differences:
        return math.nan
    return sum(1.0 if difference > 0 else 0.5 if difference == 0 else 0.0 for difference in differences) / len(
        differences
    )
