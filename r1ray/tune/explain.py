"""What the surrogate of a finished search says: which parameters mattered, and how the objective runs along each."""

from typing import Any

import numpy as np

from r1ray.tune.proposals import Floats, Proposals
from r1ray.tune.ranges import Choice

POINTS = 256
"""Random assignments of the other parameters, over which importance is averaged."""
LEVELS = 24
"""Values of a number at which it is looked at; a choice is looked at as a whole."""


def importance(proposals: Proposals) -> dict[str, float]:
    """Share of the surrogate's variance that each parameter explains alone (first-order Sobol index), 0 to 1."""
    surrogate, space = proposals.surrogate(), proposals.space
    rng = np.random.default_rng(proposals.seed)
    others = rng.random((POINTS, space.width))
    total = float(np.var(surrogate.predict(space.snap(others))[0]))
    shares = {}
    for number, path in enumerate(space.ranges):
        means = []
        for coordinates in _levels(proposals, path):
            points = others.copy()
            points[:, space.groups == number] = coordinates
            means.append(float(surrogate.predict(space.snap(points))[0].mean()))
        shares[path] = min(1.0, float(np.var(means)) / total) if total > 1e-12 else 0.0
    return shares


def slices(proposals: Proposals, sign: float = 1.0) -> dict[str, dict[str, Any]]:
    """For each parameter, with the others as in the incumbent: values, the surrogate's mean and its 95 % interval.

    `sign` −1 turns them back where the objective is minimised.
    """
    best = proposals.best
    if best is None:
        return {}
    surrogate, space = proposals.surrogate(), proposals.space
    incumbent = space.encode(best.values)
    found = {}
    for number, (path, span) in enumerate(space.ranges.items()):
        levels = _levels(proposals, path)
        points = np.tile(incumbent, (len(levels), 1))
        points[:, space.groups == number] = levels
        low, mean, high = surrogate.interval(space.snap(points))
        ends = np.sort(np.stack([sign * low, sign * high]), axis=0)
        found[path] = {
            "values": [span.decode(level) for level in levels],
            "positions": list(range(len(levels))) if isinstance(span, Choice) else levels[:, 0].tolist(),
            "choice": isinstance(span, Choice),
            "log": getattr(span, "log", False),
            "mean": (sign * mean).tolist(),
            "low": ends[0].tolist(),
            "high": ends[1].tolist(),
        }
    return found


def positions(proposals: Proposals, values: dict[str, Any]) -> list[float]:
    """Where an assignment lies on each parameter's axis, 0 to 1."""
    places = []
    for path, span in proposals.space.ranges.items():
        if isinstance(span, Choice):
            places.append(int(np.argmax(span.encode(values[path]))) / (len(span.choices) - 1))
        else:
            places.append(float(span.encode(values[path])[0]))
    return places


def _levels(proposals: Proposals, path: str) -> Floats:
    """[levels, coordinates] of one parameter."""
    span = proposals.space.ranges[path]
    if isinstance(span, Choice):
        return np.eye(len(span.choices))
    count = min(LEVELS, span.levels) if span.levels else LEVELS
    return np.linspace(0, 1, max(2, count))[:, None]
