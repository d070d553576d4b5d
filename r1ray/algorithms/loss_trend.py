"""What the course of a loss says: lower the learning rate when it no longer falls, stop when it no longer improves.

Both are plain counters with a state that a checkpoint holds, so that a resumed run decides as an undisturbed one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any


class LossTrend:
    """A factor on the learning rate that is cut whenever the training loss has stopped falling.

    The slope of the last `window` losses is estimated by least squares; unless it is below zero by `z` standard errors,
    the factor is multiplied by `cut` and a new window begins. A noisy loss that falls keeps its rate; a flat or rising
    one loses it.
    """

    def __init__(self, *, window: int = 50, cut: float = 0.5, floor: float = 0.01, z: float = 1.0) -> None:
        """
        Args:
            window: optimizer steps that are looked at, at least 3.
            cut: what the factor is multiplied by, 0 to 1.
            floor: the factor never falls below it.
            z: standard errors that the slope must lie below zero.
        """
        self._window, self._cut, self._floor, self._z = window, cut, floor, z
        self._losses: list[float] = []
        self.factor = 1.0

    def update(self, loss: float) -> float:
        """Take in one step's loss; returns the factor for the next step. A loss that is not finite is passed over."""
        if math.isfinite(loss):
            self._losses.append(loss)
        if len(self._losses) == self._window:
            slope, error = slope_and_error(self._losses)
            if slope < -self._z * error:
                del self._losses[0]
            else:
                self.factor = max(self._floor, self.factor * self._cut)
                self._losses = []
        return self.factor

    def state_dict(self) -> dict[str, Any]:
        """What the next decision depends on."""
        return {"losses": list(self._losses), "factor": self.factor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._losses, self.factor = list(state["losses"]), float(state["factor"])


class EarlyStopping:
    """Says when the validation loss has not improved for `patience` validations."""

    def __init__(self, *, patience: int, min_improvement: float = 0.0) -> None:
        """
        Args:
            patience: validations without improvement after which to stop; 0 = never.
            min_improvement: by how much a loss must undercut the best one, in its own unit.
        """
        self._patience, self._min_improvement = patience, min_improvement
        self.best, self.waited = math.inf, 0

    def update(self, loss: float) -> bool:
        """Take in one validation loss; returns whether it is the best so far. Nan never is."""
        improved = loss < self.best - self._min_improvement
        self.best, self.waited = (loss, 0) if improved else (self.best, self.waited + 1)
        return improved

    @property
    def stop(self) -> bool:
        """Whether patience is at its end."""
        return 0 < self._patience <= self.waited

    def state_dict(self) -> dict[str, Any]:
        """What the next decision depends on."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.best, self.waited = float(state["best"]), int(state["waited"])


def slope_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Least-squares slope per step and its standard error, of at least 3 values."""
    count = len(values)
    mean_step, mean_value = (count - 1) / 2, math.fsum(values) / count
    spread = count * (count * count - 1) / 12
    slope = math.fsum((step - mean_step) * (value - mean_value) for step, value in enumerate(values)) / spread
    residual = math.fsum((value - mean_value - slope * (step - mean_step)) ** 2 for step, value in enumerate(values))
    return slope, math.sqrt(residual / (count - 2) / spread)
