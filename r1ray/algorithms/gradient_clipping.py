"""Clip gradients by what their own norms have been, instead of by a fixed bound (ZClip, arXiv 2504.02507)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


class NormHistory:
    """The norm that a gradient should be scaled down to, from the mean and variance of the norms before it.

    With z = (‖g‖ − μ) / σ, a norm of z > `threshold` is brought to μ + (threshold² / z) σ: the further out, the closer
    to the mean (section 3.2, reciprocal clipping). μ and σ² are moving averages over *clipped* norms, so a spike does
    not raise the bar for the next one. The first `warmup` norms only fill the history, below `fallback`.
    """

    def __init__(self, *, threshold: float = 2.5, decay: float = 0.97, warmup: int = 25, fallback: float = 1.0) -> None:
        """
        Args:
            threshold: standard deviations above the mean from which a norm is clipped.
            decay: of the moving mean and variance, per optimizer step.
            warmup: optimizer steps, at least 2, that are clipped at `fallback` alone.
            fallback: fixed bound during the warm-up; 0 = none.
        """
        self._threshold, self._decay, self._warmup, self._fallback = threshold, decay, warmup, fallback
        self._first: list[float] = []
        self.mean = self.variance = 0.0

    def target(self, norm: float) -> float:
        """The norm to scale this step's gradient to: never more than `norm`; nan or infinite where `norm` is, and then
        nothing is learned from it. Call it once an optimizer step."""
        if not math.isfinite(norm):
            return norm
        if len(self._first) < self._warmup:
            target = min(norm, self._fallback) if self._fallback else norm
            self._first.append(target)
            if len(self._first) == self._warmup:
                self.mean, self.variance = _moments(self._first)
            return target
        deviation = math.sqrt(self.variance)
        target = norm
        if norm > self.mean + self._threshold * deviation:
            # threshold² σ / z, written so that σ = 0 gives 0.
            target = self.mean + (self._threshold * deviation) ** 2 / (norm - self.mean)
        self.mean = self._decay * self.mean + (1 - self._decay) * target
        self.variance = self._decay * self.variance + (1 - self._decay) * (target - self.mean) ** 2
        return target

    def state_dict(self) -> dict[str, Any]:
        """What the next target depends on."""
        return {"first": list(self._first), "mean": self.mean, "variance": self.variance}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._first = list(state["first"])
        self.mean, self.variance = float(state["mean"]), float(state["variance"])


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / len(values)
