"""How many examples a gradient step can use: the gradient noise scale (McCandlish et al., arXiv 1812.06162)."""

import math
from collections.abc import Mapping
from typing import Any

from r1ray.errors import DataError


def noise_estimates(small_square: float, big_square: float, small: float, big: float) -> tuple[float, float]:
    """Unbiased |G|² and tr Σ from squared gradient norms at two batch sizes (appendix A.1, equations A.2 and A.3).

    E|G_B|² = |G|² + tr Σ / B, so two sizes give both unknowns. Single estimates are noisy and may be negative.

    Args:
        small_square: mean squared norm of the gradient of `small` examples, each gradient a *mean* over its examples.
        big_square: the same for `big` examples.
        small, big: batch sizes in examples (or tokens: the answer is in the same unit), small < big.

    Raises:
        DataError: sizes that are not in this order.
    """
    if not 0 < small < big:
        raise DataError(f"Noise scale from batches of {small} and {big}: expected 0 < small < big.")
    signal = (big * big_square - small * small_square) / (big - small)
    noise = (small_square - big_square) / (1 / small - 1 / big)
    return signal, noise


class NoiseScale:
    """The simple noise scale tr Σ / |G|², each part smoothed for itself, since a mean of ratios would be biased."""

    def __init__(self, decay: float = 0.95) -> None:
        """
        Args:
            decay: of both moving averages, per optimizer step.
        """
        self._decay = decay
        self._signal = self._noise = self._weight = 0.0

    def update(self, small_square: float, big_square: float, small: float, big: float) -> None:
        """Take in one optimizer step: its micro-batches are the small batch, all of them together the big one. A step
        whose norms are not finite (an fp16 overflow) is passed over."""
        signal, noise = noise_estimates(small_square, big_square, small, big)
        if math.isfinite(signal) and math.isfinite(noise):
            self._signal = self._decay * self._signal + (1 - self._decay) * signal
            self._noise = self._decay * self._noise + (1 - self._decay) * noise
            self._weight = self._decay * self._weight + (1 - self._decay)

    @property
    def value(self) -> float | None:
        """Batch size, in the unit of `update`, at which noise and signal are equal; None before the first step, and
        infinite while the noise hides the signal."""
        if not self._weight:
            return None
        return max(0.0, self._noise) / self._signal if self._signal > 0 else math.inf

    def state_dict(self) -> dict[str, Any]:
        """What the next value depends on."""
        return {"signal": self._signal, "noise": self._noise, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._signal, self._noise, self._weight = (float(state[key]) for key in ("signal", "noise", "weight"))


def accumulation_for(noise_scale: float | None, microbatch: float, *, low: int, high: int, now: int) -> int:
    """Micro-batches of `microbatch` examples that make up one noise scale, from `low` to `high`.

    Moves by a factor of 2 at most: the estimate is noisy and the schedule of the learning rate should not jump.

    Args:
        noise_scale: `NoiseScale.value`; None keeps `now`.
        now: micro-batches of the last step.
    """
    if noise_scale is None:
        return min(high, max(low, now))
    wanted = min(2.0 * now, max(now / 2, noise_scale / microbatch))
    return min(high, max(low, math.ceil(wanted)))
