"""The surrogate against formulas worked otherwise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from r1ray.tune.gp import Surrogate, Warp

RNG = np.random.default_rng(0)
POINTS = RNG.random((14, 3))
RESULTS = np.sin(5 * POINTS[:, 0]) + POINTS[:, 1] + 0.05 * RNG.standard_normal(14)


def fitted(points: np.ndarray = POINTS, results: np.ndarray = RESULTS, seed: int = 0) -> Surrogate:
    return Surrogate(points, results, snap=lambda x: x, groups=np.arange(points.shape[1]), seed=seed)


def test_the_prediction_is_that_of_another_implementation_with_the_same_hyperparameters() -> None:
    ours = fitted()
    signal, lengths, noise = ours._unpack(ours._theta)
    kernel = ConstantKernel(signal) * Matern(lengths, nu=2.5) + WhiteKernel(noise)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0).fit(
        POINTS, (ours.known - ours._mean) / ours.spread
    )
    probes = RNG.random((9, 3))
    mean, deviation = theirs.predict(probes, return_std=True)  # its deviation includes a trial's noise
    found_mean, found_deviation = ours.predict(probes)
    np.testing.assert_allclose(found_mean, ours._mean + ours.spread * mean, rtol=1e-6)
    np.testing.assert_allclose(found_deviation, ours.spread * np.sqrt(deviation**2 - noise), rtol=1e-5)


def test_the_gradient_of_the_likelihood_is_that_of_finite_differences_with_coordinates_that_share_a_length() -> None:
    surrogate = Surrogate(POINTS, RESULTS, snap=lambda x: x, groups=np.array([0, 1, 1]), seed=0)
    theta = np.array([0.3, -0.5, 0.2, -2.0])
    value, gradient = surrogate._negative_likelihood(theta)
    numeric = approx_fprime(theta, lambda t: surrogate._negative_likelihood(t)[0], 1e-6)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-4)
    assert np.isfinite(value)


def test_a_parameter_that_does_not_matter_gets_the_longest_length() -> None:
    assert np.argmax(fitted().lengths) == 2


def test_noise_is_found_where_there_is_noise() -> None:
    points = np.repeat(np.linspace(0, 1, 8), 4)[:, None]
    clean = np.sin(4 * points[:, 0])
    noisy = clean + 0.3 * np.random.default_rng(1).standard_normal(len(clean))
    assert fitted(points, noisy).noise > 0.1
    assert fitted(points, clean).noise < 0.02


def test_a_believed_point_narrows_the_uncertainty_there_and_keeps_the_hyperparameters() -> None:
    surrogate, probe = fitted(), np.array([[0.9, 0.1, 0.9]])
    mean, before = surrogate.predict(probe)
    lengths = surrogate.lengths
    surrogate.believe(probe, mean)
    after_mean, after = surrogate.predict(probe)
    assert after[0] < 0.5 * before[0]
    assert after_mean == pytest.approx(mean, rel=1e-3, abs=1e-3)
    np.testing.assert_array_equal(surrogate.lengths, lengths)


def test_equal_results_make_a_flat_surrogate_and_no_error() -> None:
    mean, deviation = fitted(POINTS, np.full(14, 0.25)).predict(POINTS)
    np.testing.assert_allclose(mean, 0.25)
    assert np.isfinite(deviation).all()


@given(results=arrays(np.float64, st.integers(2, 12), elements=st.floats(-1e3, 1e3, width=32)))
def test_the_warp_keeps_the_order_and_the_better_half_and_can_be_undone(results: np.ndarray) -> None:
    warp = Warp.of(results)
    warped = warp.forward(results)
    upper = results >= np.median(results)
    np.testing.assert_allclose(warped[upper], results[upper], rtol=1e-9, atol=1e-9)
    assert (np.diff(warped[np.argsort(results)]) >= -1e-9).all()
    if warp.scale > 1:  # far smaller scales overflow on the way back
        np.testing.assert_allclose(warp.back(warped), results, rtol=1e-6, atol=1e-6)


def test_the_warp_by_hand() -> None:
    # median 1, better half 1, 2, 3: mean square distance (0 + 1 + 4) / 3; 0 lies 1 below
    scale = np.sqrt(5 / 3)
    warped = Warp.of(np.array([-9.0, 0.0, 1.0, 2.0, 3.0])).forward(np.array([0.0, 2.0]))
    np.testing.assert_allclose(warped, [1 - scale * np.log(1 + 1 / scale), 2.0])


def test_the_interval_is_in_the_units_of_the_results_and_in_order() -> None:
    low, middle, high = fitted().interval(POINTS)
    assert ((low < middle) & (middle < high)).all()
    assert np.corrcoef(middle, RESULTS)[0, 1] > 0.95
