"""Variants take their parents' places as often as the loss asks."""

import json

import pytest

from r1ray.config.augment import AdaptiveConfig
from r1ray.errors import CheckpointError
from r1ray.train.variants import Variants

OF = {"a": ["a2", "a1"], "b": ["b1"], "c": []}
ROWS = ["a", "b", "c", "d"]


def shares(variants: Variants, steps: int = 2000) -> dict[str, float]:
    """How often each row is learned, of all steps."""
    found = [row for step in range(steps) for row in variants.instead_of(ROWS, step)]
    return {row: found.count(row) / steps for row in sorted({*found})}


@pytest.mark.parametrize(("loss", "probability"), [(None, 0.3), (2.0, 0.45), (0.5, 0.3), (0.1, 0.21)])
def test_the_probability_follows_the_loss(loss: float | None, probability: float) -> None:
    variants = Variants(OF, AdaptiveConfig(), seed=0)
    if loss is not None:
        variants.observe(loss)
    found = shares(variants)
    assert found["a1"] == pytest.approx(probability / 2, abs=0.04)
    assert found["a2"] == pytest.approx(probability / 2, abs=0.04)
    assert found["a"] == pytest.approx(1 - probability, abs=0.04)
    assert found["b1"] == pytest.approx(probability, abs=0.04)
    assert found["c"] == found["d"] == 1, "they have no variants"
    assert variants.figures()["augment/probability"] == pytest.approx(probability)


def test_draws_are_a_function_of_seed_and_step() -> None:
    first, second = Variants(OF, AdaptiveConfig(), seed=1), Variants(OF, AdaptiveConfig(), seed=1)
    late = second.instead_of(ROWS, 7)
    assert [first.instead_of(ROWS, step) for step in range(8)][7] == late
    assert shares(first, 50) != shares(Variants(OF, AdaptiveConfig(), seed=2), 50)


def test_the_state_goes_into_a_checkpoint() -> None:
    variants = Variants(OF, AdaptiveConfig(), seed=1)
    variants.observe(0.01)
    again = Variants(OF, AdaptiveConfig(), seed=1)
    again.load_state_dict(json.loads(json.dumps(variants.state_dict())))
    assert again.figures() == variants.figures()
    with pytest.raises(CheckpointError, match="of the buckets"):
        again.load_state_dict({**variants.state_dict(), "sizes": {"x": 1}})
