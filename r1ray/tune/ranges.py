"""Ranges of single settings, and their picture in the unit cube."""

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r1ray.errors import ConfigError

Floats = NDArray[np.float64]
Value = bool | int | float | str


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`, both included; one coordinate of the cube.

    With a `step` only low, low + step, … up to high, and each has a cell of its own: in the linear scale all cells are
    of one size, in the logarithmic one a cell is as wide as the logarithms of its edges are apart.
    """

    low: float
    high: float
    log: bool = False
    step: float = 0.0
    """0 = continuous."""
    whole: bool = False
    """The values are ints."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"The range {self.low!r} to {self.high!r} is empty; expected finite low < high.")
        if self.whole and not all(float(x).is_integer() for x in (self.low, self.high, self.step)):
            raise ConfigError(
                f"The integer range {self.low!r} to {self.high!r}, step {self.step!r}, has bounds that are not whole."
            )
        if not 0 <= self.step <= self.high - self.low:
            raise ConfigError(f"The step {self.step!r} does not fit between {self.low!r} and {self.high!r}.")
        if self.log and self.low - self.step / 2 <= 0:
            raise ConfigError(
                f"A logarithmic range starts above half its step; low is {self.low!r}, step {self.step!r}."
            )

    @property
    def width(self) -> int:
        """Coordinates of the cube that this range takes."""
        return 1

    @property
    def levels(self) -> int:
        """How many values there are; 0 = a continuum."""
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1 if self.step else 0

    @property
    def extremes(self) -> tuple[Value, ...]:
        """The values at the ends."""
        return self.decode(np.zeros(1)), self.decode(np.ones(1))

    def contains(self, value: Any) -> bool:
        """Whether `value` is a number from low to high; one between two steps counts as the nearer."""
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high

    def encode(self, value: Any) -> Floats:
        """[1]: the coordinate of a value."""
        low, high = self._edges()
        return np.array([(self._scale(float(value)) - low) / (high - low)])

    def decode(self, unit: Floats) -> Value:
        """The value at a coordinate."""
        low, high = self._edges()
        position = low + float(np.clip(unit[0], 0, 1)) * (high - low)
        value = math.exp(position) if self.log else position
        if self.step:
            level = min(max(round((value - self.low) / self.step), 0), self.levels - 1)
            value = self.low + level * self.step
            if not self.whole:
                value = float(f"{value:.12g}")  # 0.1 + 2 · 0.1 is to be 0.3
        value = min(max(value, self.low), self.high)  # the exponential of a logarithm may be off by a rounding
        return int(value) if self.whole else float(value)

    def snap(self, units: Floats) -> Floats:
        """[n, 1] to [n, 1]: coordinates to the middle of their cells, so that the surrogate sees what will be run."""
        if not self.step:
            return units
        low, high = self._edges()
        values = low + np.clip(units, 0, 1) * (high - low)
        values = np.exp(values) if self.log else values
        level = np.clip(np.round((values - self.low) / self.step), 0, self.levels - 1)
        values = self.low + level * self.step
        return ((np.log(values) if self.log else values) - low) / (high - low)

    def __str__(self) -> str:
        numbers = f"{self.low:.12g}, {self.high:.12g}"
        if self.whole:
            name = "logint" if self.log else "int"
            return f"{name}({numbers}{f', {self.step:.12g}' if self.step != 1 else ''})"
        if self.step:
            return f"{'logquantised' if self.log else 'quantised'}({numbers}, {self.step:.12g})"
        return f"{'log' if self.log else 'uniform'}({numbers})"

    def _scale(self, value: float) -> float:
        return math.log(value) if self.log else value

    def _edges(self) -> tuple[float, float]:
        """Where the first cell begins and the last one ends, in the scale of the range."""
        last = self.low + (self.levels - 1) * self.step if self.step else self.high
        return self._scale(self.low - self.step / 2), self._scale(last + self.step / 2)


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One of several values without order; one coordinate of the cube for each."""

    choices: tuple[Value, ...]

    def __post_init__(self) -> None:
        for choice in self.choices:
            if not isinstance(choice, (bool, int, float, str)):
                raise ConfigError(
                    f"A choice is {choice!r}; expected numbers, strings or booleans. Parameters that exist only beside "
                    "one choice of another are not supported: search each branch on its own, or give the parameter a "
                    "range that has no effect elsewhere."
                )
        # 1, 1.0 and True are equal in Python and are three settings here
        if len({(type(choice), choice) for choice in self.choices}) != len(self.choices) or len(self.choices) < 2:
            raise ConfigError(f"The choices are {self.choices!r}; expected at least two, all different.")

    @property
    def width(self) -> int:
        """Coordinates of the cube that this range takes."""
        return len(self.choices)

    @property
    def levels(self) -> int:
        """How many values there are."""
        return len(self.choices)

    @property
    def extremes(self) -> tuple[Value, ...]:
        """Every value: none lies between others."""
        return self.choices

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the choices."""
        return any(type(choice) is type(value) and choice == value for choice in self.choices)

    def encode(self, value: Any) -> Floats:
        """[choices]: 1 at the value's place, 0 elsewhere."""
        return np.array([float(type(choice) is type(value) and choice == value) for choice in self.choices])

    def decode(self, unit: Floats) -> Value:
        """The choice with the largest coordinate."""
        return self.choices[int(np.argmax(unit))]

    def snap(self, units: Floats) -> Floats:
        """[n, choices] to [n, choices]: one-hot (Garrido-Merchán and Hernández-Lobato, arXiv 1805.03463)."""
        return np.asarray(np.eye(len(self.choices))[np.argmax(units, axis=1)])

    def __str__(self) -> str:
        words = (
            repr(item) if isinstance(item, str) and parse_value(item) != item else str(item) for item in self.choices
        )
        return f"choice({', '.join(words)})"


Range = Number | Choice


def uniform(low: float, high: float) -> Number:
    """Any number, each as likely as another."""
    return Number(low, high)


def log(low: float, high: float) -> Number:
    """Any number, each order of magnitude as likely as another."""
    return Number(low, high, log=True)


def integer(low: float, high: float, step: float = 1) -> Number:
    """Whole numbers."""
    return Number(low, high, step=step, whole=True)


def log_integer(low: float, high: float, step: float = 1) -> Number:
    """Whole numbers, each order of magnitude as likely as another."""
    return Number(low, high, log=True, step=step, whole=True)


def quantised(low: float, high: float, step: float) -> Number:
    """low, low + step, …"""
    return Number(low, high, step=step)


def log_quantised(low: float, high: float, step: float) -> Number:
    """low, low + step, …, each order of magnitude as likely as another."""
    return Number(low, high, log=True, step=step)


def choice(*choices: Value) -> Choice:
    """One of several values without order."""
    return Choice(choices)


def parse_value(text: str) -> Value:
    """What one word of an entry means: a boolean, an int, a float, or the word itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip("'\"")
