"""The surrogate: a Gaussian process over the unit cube that sees every point as the assignment it stands for."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]

LENGTH = (0.05, 20.0)
"""Length scales, in sides of the cube."""
SIGNAL = (0.05, 20.0)
"""Variance of the function, in variances of the results."""
NOISE = (1e-6, 1.0)
"""Variance of the noise, in the same."""
RESTARTS = 3
"""Random starts of the hyperparameters' fit besides the prior's mode."""
MANY = 100
"""With so many points all starts end in one place and each costs: only the prior's mode is one."""


@dataclass(frozen=True, slots=True)
class Warp:
    """Results below the median, closer together: `middle - scale · log(1 + (middle - y) / scale)`.

    How bad a bad trial was matters little, and one that diverged would stretch the scale until good trials look alike.
    Above the median nothing changes; the order of results never does.
    """

    middle: float
    scale: float

    @classmethod
    def of(cls, results: Floats) -> "Warp":
        """By the median and the root mean square distance of the better half from it."""
        middle = float(np.median(results))
        better = results[results >= middle] - middle
        return cls(middle, float(np.sqrt(np.mean(better**2))))

    def forward(self, results: Floats) -> Floats:
        """[n] to [n]."""
        if not self.scale:
            return results
        below = np.maximum(self.middle - results, 0.0)
        return np.asarray(np.maximum(results, self.middle) - self.scale * np.log1p(below / self.scale))

    def back(self, warped: Floats) -> Floats:
        """[n] to [n]: the inverse."""
        if not self.scale:
            return warped
        below = np.maximum(self.middle - warped, 0.0)
        return np.asarray(np.maximum(warped, self.middle) - self.scale * np.expm1(below / self.scale))


class Surrogate:
    """Matérn 5/2 with a length scale for each parameter, plus noise (Rasmussen and Williams 2006, algorithm 2.1).

    Hyperparameters are at their posterior mode. A log-normal prior on each keeps a fit to a handful of points sane:
    the likelihood of five points alone often has its maximum at an end of the range. Discrete parameters are rounded
    inside the kernel (Garrido-Merchán and Hernández-Lobato, arXiv 1805.03463): the process is flat within a cell, so
    its uncertainty there is gone once the cell has been tried.

    points [n, d] in the unit cube, results [n], finite. `snap` maps points to those that stand for their assignment;
    `groups` [d] numbers the parameter of each coordinate. Deterministic: the same data and seed, the same surrogate.
    """

    def __init__(
        self,
        points: Floats,
        results: Floats,
        *,
        snap: Callable[[Floats], Floats],
        groups: NDArray[np.intp],
        seed: int,
    ) -> None:
        self._snap = snap
        self._groups = groups
        self._warp = Warp.of(results)
        warped = self._warp.forward(results)
        self._mean = float(warped.mean())
        self.spread = float(warped.std()) or 1.0
        """Standard deviation of the warped results."""
        self._points = snap(points)
        self._results = (warped - self._mean) / self.spread
        self._theta = self._fit(np.random.default_rng(seed))
        self._condition()

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation [m] of the warped function, without the noise of a trial, at points [m, d]."""
        signal, _, _ = self._unpack(self._theta)
        covariance, _ = self._matern(self._snap(points), self._points, self._theta)
        mean = covariance @ self._weights
        explained = solve_triangular(self._root, covariance.T, lower=True, check_finite=False)
        variance = np.maximum(signal - np.einsum("nm,nm->m", explained, explained), 1e-10)
        return self._mean + self.spread * mean, self.spread * np.sqrt(variance)

    def interval(self, points: Floats, deviations: float = 1.96) -> tuple[Floats, Floats, Floats]:
        """Low end, middle and high end [m] of the function at points [m, d], in the units of the results."""
        mean, deviation = self.predict(points)
        low, middle, high = (self._warp.back(mean + k * deviation) for k in (-deviations, 0.0, deviations))
        return low, middle, high

    def believe(self, points: Floats, warped: Floats) -> None:
        """Take more points as known, results as `predict` gives them, with the hyperparameters as they are."""
        self._points = np.vstack([self._points, self._snap(points)])
        self._results = np.concatenate([self._results, (warped - self._mean) / self.spread])
        self._condition()

    @property
    def known(self) -> Floats:
        """[n]: the warped results behind the fit, those of `believe` at the end."""
        return self._mean + self.spread * self._results

    @property
    def noise(self) -> float:
        """Standard deviation of the noise of a trial."""
        return self.spread * math.sqrt(self._unpack(self._theta)[2])

    @property
    def lengths(self) -> Floats:
        """[parameters]: length scales; a parameter with a long one hardly matters."""
        return np.exp(self._theta[1:-1])

    def _unpack(self, theta: Floats) -> tuple[float, Floats, float]:
        """Variance of the function, length scale of each coordinate, variance of the noise."""
        return math.exp(theta[0]), np.exp(theta[1:-1])[self._groups], math.exp(theta[-1])

    def _matern(self, a: Floats, b: Floats, theta: Floats) -> tuple[Floats, Floats]:
        """Covariances [n, m], and the factor of the scaled squared distance in their derivative by a log length."""
        signal, lengths, _ = self._unpack(theta)
        distance = math.sqrt(5) * cdist(a / lengths, b / lengths)
        fading = signal * np.exp(-distance)
        return (1 + distance + distance**2 / 3) * fading, 5 / 3 * (1 + distance) * fading

    def _condition(self) -> None:
        covariance, _ = self._matern(self._points, self._points, self._theta)
        covariance[np.diag_indices_from(covariance)] += math.exp(self._theta[-1])
        self._root = cholesky(covariance, lower=True)
        self._weights = cho_solve((self._root, True), self._results)

    def _fit(self, rng: np.random.Generator) -> Floats:
        """Logarithms of the hyperparameters at their posterior mode."""
        parameters = int(self._groups.max()) + 1
        typical = math.log(0.5 * math.sqrt(parameters))  # two points of the cube are about this far apart
        means = np.array([0.0, *[typical] * parameters, math.log(1e-3)])
        spreads = np.array([1.0, *[1.0] * parameters, 2.0])
        bounds = np.log([SIGNAL, *[LENGTH] * parameters, NOISE])
        starts = [means]
        if len(self._points) < MANY:
            starts += [np.clip(rng.normal(means, spreads), *bounds.T) for _ in range(RESTARTS)]

        def objective(theta: Floats) -> tuple[float, Floats]:
            value, gradient = self._negative_likelihood(theta)
            away = (theta - means) / spreads
            return value + 0.5 * float(away @ away), gradient + away / spreads

        found = [
            minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 50})
            for start in starts
        ]
        return np.asarray(min(found, key=lambda result: float(result.fun)).x)

    def _negative_likelihood(self, theta: Floats) -> tuple[float, Floats]:
        """Minus the log marginal likelihood (equation 2.30 there) without its constant, and the gradient (5.9)."""
        points, results = self._points, self._results
        _, lengths, noise = self._unpack(theta)
        covariance, slope = self._matern(points, points, theta)
        noisy = covariance + noise * np.eye(len(points))
        root = cholesky(noisy, lower=True, check_finite=False)
        weights = cho_solve((root, True), results, check_finite=False)
        value = 0.5 * float(results @ weights) + float(np.log(np.diag(root)).sum())
        inverse = cho_solve((root, True), np.eye(len(points)), check_finite=False)
        outer = 0.5 * (inverse - np.outer(weights, weights))
        # Σ_ij G_ij (x_i - x_j)² for every coordinate at once, without the [n, n, d] differences
        pull = outer * slope
        scaled = points / lengths
        by_coordinate = 2 * (pull.sum(axis=1) @ scaled**2 - np.einsum("nd,nd->d", scaled, pull @ scaled))
        by_length = np.bincount(self._groups, by_coordinate)
        return value, np.array([float((outer * covariance).sum()), *by_length, noise * float(np.trace(outer))])
