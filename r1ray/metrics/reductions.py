"""A metric carries its own reduction, so that figures of many ranks and workers merge right by construction.

>>> ranks = [{"reward/outcome": Mean(0.5, weight=10)}, {"reward/outcome": Mean(1.0, weight=30)}]
>>> reduce_all(ranks)
{'reward/outcome': 0.875}
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from r1ray.errors import DataError


class Metric(Protocol):
    """A figure that knows how it is combined with the same figure of another worker."""

    @property
    def value(self) -> float:
        """The figure as it is logged."""
        ...

    def merge(self, other: Any) -> Self:
        """The figure of both workers together; associative."""
        ...


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over `weight` things (tokens, rollouts): merged by weight. Weight 0 is neutral and reads as NaN if it
    stays alone."""

    value: float
    weight: float = 1.0

    @classmethod
    def of(cls, values: Iterable[float]) -> "Mean":
        """The plain mean of `values`; of none, the neutral element."""
        numbers = list(values)
        return cls(sum(numbers) / len(numbers), len(numbers)) if numbers else cls(float("nan"), 0.0)

    def merge(self, other: "Mean") -> "Mean":
        if other.weight == 0:
            return self
        if self.weight == 0:
            return other
        weight = self.weight + other.weight
        return Mean(self.value + (other.value - self.value) * (other.weight / weight), weight)


@dataclass(frozen=True, slots=True)
class Sum:
    """A count or total."""

    value: float

    def merge(self, other: "Sum") -> "Sum":
        return Sum(self.value + other.value)


@dataclass(frozen=True, slots=True)
class Max:
    """The largest; NaN wins, because a NaN anywhere is what one wants to see."""

    value: float

    def merge(self, other: "Max") -> "Max":
        return other if other.value > self.value or other.value != other.value else self


@dataclass(frozen=True, slots=True)
class Min:
    """The smallest; NaN wins."""

    value: float

    def merge(self, other: "Min") -> "Min":
        return other if other.value < self.value or other.value != other.value else self


@dataclass(frozen=True, slots=True)
class Last:
    """The newest: for figures that every worker holds alike (learning rate, KL coefficient, policy version)."""

    value: float

    def merge(self, other: "Last") -> "Last":
        return other


def merge_all(metrics: Iterable[Mapping[str, Metric]]) -> dict[str, Metric]:
    """Merge by key, keys in order of first appearance; the result can be merged again.

    Raises `DataError` for a key that is not `group/name` and for one key with two kinds of reduction.
    """
    merged: dict[str, Metric] = {}
    for one in metrics:
        for key, metric in one.items():
            if key not in merged:
                group, slash, name = key.partition("/")
                if not (group and slash and name):
                    raise DataError(f"Metric key {key!r}: expected `group/name`, such as `reward/outcome`.")
                merged[key] = metric
            elif type(merged[key]) is not type(metric):
                kinds = f"{type(merged[key]).__name__} and as {type(metric).__name__}"
                raise DataError(f"Metric {key} came as {kinds}; use one of them.")
            else:
                merged[key] = merged[key].merge(metric)
    return merged


def reduce_all(metrics: Iterable[Mapping[str, Metric]]) -> dict[str, float]:
    """Merge by key and read the figures: what goes to the sinks."""
    return {key: float(metric.value) for key, metric in merge_all(metrics).items()}
