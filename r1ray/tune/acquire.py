"""Where a surrogate promises most: the maximum of an acquisition function over the unit cube."""

from collections.abc import Callable
from typing import Any

import numpy as np
from bayes_opt import acquisition
from numpy.typing import NDArray
from scipy.optimize import minimize

from r1ray.config.tune import SearcherConfig
from r1ray.tune.gp import Surrogate
from r1ray.tune.space import SearchSpace

Floats = NDArray[np.float64]

UNIFORM = 2000
"""Candidates anywhere."""
LOCAL = 100
"""Candidates around each of the best points, for each width below."""
WIDTHS = (0.2, 0.05, 0.01)
"""Standard deviations of the local candidates, in sides of the box."""
ASCENTS = 5
"""Candidates that are improved by gradient."""


def acquisition_values(
    config: SearcherConfig, surrogate: Surrogate, best: float, guided: int
) -> Callable[[Floats], Floats]:
    """The score of points [n, d], larger is better; `best` is the value to improve on, `guided` the points guided so
    far.

    Improvement is scored by its logarithm: the same maximum, and a slope where the plain value is all but 0 (Ament et
    al., arXiv 2310.20708).
    """
    decay = config.exploration_decay**guided
    function: Any  # the library's own annotation of y_max is None
    if config.acquisition == "ucb":
        function = acquisition.UpperConfidenceBound(kappa=config.kappa * decay)
    else:
        kind = {"ei": acquisition.ExpectedImprovement, "poi": acquisition.ProbabilityOfImprovement}[config.acquisition]
        function = kind(xi=config.xi * decay * surrogate.spread)
        function.y_max = best

    def score(points: Floats) -> Floats:
        values = function.base_acq(*surrogate.predict(points))
        return np.asarray(values if config.acquisition == "ucb" else np.log(np.maximum(values, 1e-300)))

    return score


def maximise(
    score: Callable[[Floats], Floats],
    space: SearchSpace,
    bounds: Floats,
    around: Floats,
    tried: Floats,
    rng: np.random.Generator,
) -> Floats:
    """[d]: the best point found in the box `bounds` [d, 2].

    Candidates anywhere in the box and close to the points `around` [m, d] are scored at once; the best climb by
    gradient in their continuous coordinates. A point of `tried` [k, d] is taken again only where nothing else is left.
    """
    low, high = bounds[:, 0], bounds[:, 1]
    candidates = space.snap(_candidates(space, low, high, around, rng))
    candidates = np.unique(candidates, axis=0)
    known = {point.tobytes() for point in np.round(tried, 9)}
    fresh = [point.tobytes() not in known for point in np.round(candidates, 9)]
    candidates = candidates[fresh] if any(fresh) else candidates
    scores = score(candidates)
    order = np.argsort(-scores, kind="stable")
    best, top = candidates[order[0]], scores[order[0]]
    free = np.flatnonzero(space.continuous & (high > low))
    if len(free):
        for start in candidates[order[:ASCENTS]]:
            point = _climb(score, start, free, bounds)
            value = score(point[None])[0]
            if value > top:
                best, top = point, value
    return np.asarray(best)


def _candidates(space: SearchSpace, low: Floats, high: Floats, around: Floats, rng: np.random.Generator) -> Floats:
    anywhere = low + rng.random((UNIFORM, len(low))) * (high - low)
    parts = [anywhere]
    for centre in around:
        for width in WIDTHS:
            near = centre + width * (high - low) * rng.standard_normal((LOCAL, len(low)))
            # Neighbours differ in some coordinates, not in all: a step in one discrete parameter is one of them.
            moved = rng.random(near.shape) < max(0.5, 1 / len(low))
            near = np.where(moved, near, centre)
            jump = ~space.continuous & (rng.random(near.shape) < 0.2)  # cells may be wider than the widths
            parts.append(np.clip(np.where(jump, rng.random(near.shape), near), low, high))
    return np.vstack(parts)


def _climb(score: Callable[[Floats], Floats], start: Floats, free: NDArray[np.intp], bounds: Floats) -> Floats:
    """L-BFGS-B from `start` in the coordinates `free`; each gradient is one call of `score`."""
    step = 1e-6
    shifts = np.vstack([np.zeros(len(free)), step * np.eye(len(free))])

    def negative(x: Floats) -> tuple[float, Floats]:
        points = np.tile(start, (len(shifts), 1))
        points[:, free] = x + shifts
        values = -score(points)
        return float(values[0]), (values[1:] - values[0]) / step

    found = minimize(
        negative, start[free], jac=True, bounds=bounds[free], method="L-BFGS-B", options={"maxiter": 20, "maxfun": 30}
    )
    point = start.copy()
    point[free] = np.clip(found.x, bounds[free, 0], bounds[free, 1])
    return point
