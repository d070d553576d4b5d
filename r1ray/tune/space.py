"""A search space: dotted configuration paths, each with a range, held against the configuration's types."""

import math
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from r1ray.config.serialise import flatten, from_dict, nearest
from r1ray.errors import ConfigError
from r1ray.tune.ranges import (
    Choice,
    Floats,
    Number,
    Range,
    Value,
    choice,
    integer,
    log,
    log_integer,
    log_quantised,
    parse_value,
    quantised,
    uniform,
)

C = TypeVar("C")

_FORMS: dict[str, tuple[Callable[..., Range], int, int]] = {
    "uniform": (uniform, 2, 2),
    "log": (log, 2, 2),
    "int": (integer, 2, 3),
    "logint": (log_integer, 2, 3),
    "quantised": (quantised, 3, 3),
    "logquantised": (log_quantised, 3, 3),
    "choice": (choice, 2, 1000),
}


class SearchSpace:
    """A mapping from dotted configuration paths to ranges, and the unit cube in which the optimiser works.

    The cube has one coordinate for each number and one for each choice of a categorical. Raises `ConfigError` for an
    empty space and for anything that is not a range: spaces in which one parameter's existence hangs on another's
    value are not supported.
    """

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        if not ranges:
            raise ConfigError("The search space is empty; expected at least one setting, `optim.lr=log(1e-6, 1e-4)`.")
        for path, span in ranges.items():
            if not isinstance(span, (Number, Choice)):
                raise ConfigError(
                    f"{path} is {span!r}; expected a range. Conditional parameters (a function, or settings nested in "
                    "the choices of another) are not supported: search each branch on its own."
                )
        self.ranges = dict(ranges)
        ends = np.cumsum([span.width for span in self.ranges.values()])
        starts = [0, *(int(end) for end in ends[:-1])]
        self._slices = [slice(start, int(end)) for start, end in zip(starts, ends, strict=True)]
        self.width = int(ends[-1])
        """Coordinates of the cube."""
        self.groups = np.repeat(np.arange(len(self.ranges)), [span.width for span in self.ranges.values()])
        """[width]: the number of the parameter that each coordinate belongs to."""
        self.continuous = np.concatenate([np.full(span.width, span.levels == 0) for span in self.ranges.values()])
        """[width]: which coordinates are a continuum."""

    @classmethod
    def parse(cls, entries: Sequence[str]) -> "SearchSpace":
        """From `path=range` entries, as a command line has them: `optim.lr=log(1e-6, 1e-4)`, `ppo.epochs=int(1, 4)`,
        `ppo.clip_eps=quantised(0.1, 0.3, 0.05)`, `ppo.algorithm=choice(grpo, rloo)`.
        """
        ranges: dict[str, Range] = {}
        for entry in entries:
            match = re.fullmatch(r"\s*([^=\s]+)\s*=\s*(\w+)\s*\((.*)\)\s*", entry)
            if match is None or match[2] not in _FORMS:
                forms = ", ".join(_FORMS)
                raise ConfigError(
                    f"{entry!r} is not part of a search space; expected `path=range(…)` with one of {forms}."
                )
            path, form, body = match.groups()
            if path in ranges:
                raise ConfigError(f"The search space names {path} twice.")
            make, fewest, most = _FORMS[form]
            arguments = [parse_value(part.strip()) for part in body.split(",")]
            numeric = form == "choice" or all(
                isinstance(item, (int, float)) and not isinstance(item, bool) for item in arguments
            )
            if not fewest <= len(arguments) <= most or not numeric:
                raise ConfigError(f"{entry!r}: {form} takes {fewest} to {most} numbers (choice: any values).")
            try:
                ranges[path] = make(*arguments)
            except ConfigError as error:
                raise ConfigError(f"{path}: {error}") from None
        return cls(ranges)

    def describe(self) -> list[str]:
        """The entries that `parse` reads; equal for equal spaces."""
        return [f"{path}={span}" for path, span in self.ranges.items()]

    @property
    def size(self) -> float:
        """How many different points there are; infinite where a number is continuous."""
        return math.prod(span.levels or math.inf for span in self.ranges.values())

    def encode(self, values: Mapping[str, Any]) -> Floats:
        """[width]: the point of the cube of one assignment of every parameter; `ConfigError` outside the ranges."""
        if values.keys() != self.ranges.keys():
            raise ConfigError(f"A point names {sorted(values)}; expected a value for each of {sorted(self.ranges)}.")
        for path, span in self.ranges.items():
            if not span.contains(values[path]):
                raise ConfigError(f"{path} is {values[path]!r}; the search space allows {span}.")
        return np.concatenate([span.encode(values[path]) for path, span in self.ranges.items()])

    def decode(self, point: Floats) -> dict[str, Value]:
        """The assignment at a point [width] of the cube."""
        return {
            path: span.decode(point[part]) for (path, span), part in zip(self.ranges.items(), self._slices, strict=True)
        }

    def canonical(self, values: Mapping[str, Any]) -> dict[str, Value]:
        """The assignment that `values` stand for: steps and choices as `decode` gives them, and a continuum's numbers
        to the last bit, which the way through the cube may lose. `ConfigError` outside the ranges."""
        point = self.decode(self.encode(values))
        return {path: float(values[path]) if span.levels == 0 else point[path] for path, span in self.ranges.items()}

    def snap(self, points: Floats) -> Floats:
        """[n, width] to [n, width]: every point to the one point that stands for its assignment."""
        parts = zip(self.ranges.values(), self._slices, strict=True)
        return np.hstack([span.snap(points[:, part]) for span, part in parts])

    def check(self, default: Any) -> None:
        """Hold every range against the configuration that it is to change, before anything starts.

        Raises `ConfigError` for a path that does not exist (naming the nearest right one) or is a group of settings,
        for a range whose values are not of the setting's type, and for ends (or choices) that the configuration
        refuses.
        """
        known = dict(flatten(default))
        for path, span in self.ranges.items():
            if path not in known:
                meant = nearest(path, list(known))
                hint = f"Did you mean {meant}?" if meant else "--help of the job lists every setting."
                group = any(name.startswith(f"{path}.") for name in known)
                raise ConfigError(f"{path} is {'a group of settings' if group else 'not a setting'}. {hint}")
            if isinstance(span, Number) and not span.whole and _field_type(default, path) is int:
                raise ConfigError(f"{path} is a whole number and its range is {span}; use int(…) or logint(…).")
            for value in span.extremes:
                try:
                    self.apply(default, {path: value})
                except ConfigError as error:
                    raise ConfigError(f"The search space allows {path} = {value!r}, but: {error}") from None

    @staticmethod
    def apply(default: C, values: Mapping[str, Any]) -> C:
        """`default` with the values of one trial."""
        return from_dict(default, nested(values))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"optim.lr": 1e-5} to {"optim": {"lr": 1e-5}}, the form of a `--config` file."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *groups, leaf = path.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = value
    return tree


def _field_type(config: Any, path: str) -> Any:
    *groups, leaf = path.split(".")
    for group in groups:
        config = getattr(config, group)
    return typing.get_type_hints(type(config))[leaf]
