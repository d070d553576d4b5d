"""Staleness and parity: what is let through, what is measured, and what is said."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.errors import ParityError, StaleWeights
from r1ray.metrics.reductions import merge_all
from r1ray.rl.checks import check_parity, check_staleness


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 9), max_size=6), st.integers(0, 9), st.integers(0, 1))
def test_exactly_the_versions_of_the_window_pass(versions: list[int], newest: int, allowed: int) -> None:
    tensor = torch.tensor(versions, dtype=torch.long)
    if all(newest - allowed <= version <= newest for version in versions):
        metric = check_staleness(tensor, newest, allowed)["rollout/staleness"]
        expected = newest - sum(versions) / len(versions) if versions else math.nan
        assert metric.value == pytest.approx(expected, nan_ok=True)
    else:
        with pytest.raises(StaleWeights):
            check_staleness(tensor, newest, allowed)


def test_the_message_names_both_versions_and_the_window() -> None:
    with pytest.raises(
        StaleWeights, match=r"version 3 reached the learner at version 5; ppo\.max_staleness allows 4 to 5"
    ):
        check_staleness(torch.tensor([5, 3]), 5, 1)


def test_the_gap_by_hand() -> None:
    trainer, engine = torch.tensor([-1.0, -2.0, -0.5, -4.0]), torch.tensor([-1.0, -2.25, -0.5, -3.25])
    metrics = check_parity(trainer, engine, version=1, bound=0.0)
    assert metrics["rollout/logprob_gap_max"].value == 0.75
    assert metrics["rollout/logprob_gap_mean"].value == (0.25 + 0.75) / 4
    assert check_parity(trainer, engine, version=1, bound=0.75) == metrics
    with pytest.raises(ParityError, match=r"version 1 differ by 0\.75; ppo\.parity_bound is 0\.7\."):
        check_parity(trainer, engine, version=1, bound=0.7)


def test_nan_is_a_gap() -> None:
    with pytest.raises(ParityError, match="nan"):
        check_parity(torch.tensor([-1.0, math.nan]), torch.tensor([-1.0, -1.0]), version=1, bound=0.05)


def test_nothing_to_compare_is_neutral() -> None:
    nothing = check_parity(torch.zeros(0), torch.zeros(0), version=1, bound=0.05)
    something = check_parity(torch.tensor([-1.0]), torch.tensor([-1.5]), version=1, bound=0.0)
    assert merge_all([nothing, something]) == merge_all([something, nothing]) == something
