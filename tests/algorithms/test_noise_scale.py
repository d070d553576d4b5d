"""The noise scale of gradients whose noise is known."""

import json
import math

import pytest
import torch

from r1ray.algorithms.noise_scale import NoiseScale, accumulation_for, noise_estimates
from r1ray.errors import DataError


def test_expected_norms_give_signal_and_noise_back() -> None:
    # |G|² = 4, tr Σ = 12: batches of 2 and 8 have 4 + 12/2 = 10 and 4 + 12/8 = 5.5
    assert noise_estimates(10.0, 5.5, 2, 8) == pytest.approx((4.0, 12.0))


def test_the_scale_of_simulated_gradients_is_found() -> None:
    """Examples' gradients are G + ε in 50 dimensions, |G|² = 2 and tr Σ = 50 · 0.6² = 18: noise scale 9."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.full((50,), math.sqrt(2 / 50))
    scale = NoiseScale(decay=0.995)
    for _ in range(1500):
        micro = mean + 0.6 * torch.randn(4, 8, 50, generator=generator)
        small = micro.mean(1)
        scale.update(float(small.square().sum(1).mean()), float(small.mean(0).square().sum()), 8, 32)
    assert scale.value == pytest.approx(9, rel=0.1)


def test_there_is_no_scale_before_the_first_step_nor_from_an_overflow() -> None:
    scale = NoiseScale()
    assert scale.value is None
    scale.update(math.inf, math.inf, 1, 2)
    assert scale.value is None


def test_noise_that_hides_the_signal_asks_for_everything() -> None:
    scale = NoiseScale()
    scale.update(10.0, 4.0, 1, 2)  # |G|² = (2 · 4 − 10) / 1 < 0
    assert scale.value == math.inf


def test_the_scale_survives_a_checkpoint() -> None:
    scale, resumed = NoiseScale(), NoiseScale()
    scale.update(10.0, 5.5, 2, 8)
    resumed.load_state_dict(json.loads(json.dumps(scale.state_dict())))
    for each in (scale, resumed):
        each.update(9.0, 5.0, 2, 8)
    assert resumed.value == scale.value


@pytest.mark.parametrize(("small", "big"), [(8, 8), (8, 2), (0, 2)])
def test_one_batch_size_is_not_enough(small: int, big: int) -> None:
    with pytest.raises(DataError, match="small < big"):
        noise_estimates(1.0, 1.0, small, big)


@pytest.mark.parametrize(
    ("scale", "now", "expected"),
    [
        (None, 20, 20),
        (None, 4, 16),
        (120.0, 20, 30),  # 120 / 4
        (1000.0, 20, 40),  # twice at most
        (8.0, 40, 20),  # half at most
        (math.inf, 100, 128),
        (0.0, 16, 16),
    ],
)
def test_accumulation_follows_the_scale_within_its_bounds(scale: float | None, now: int, expected: int) -> None:
    assert accumulation_for(scale, 4, low=16, high=128, now=now) == expected
