"""Masked statistics against plain ones over the selected entries."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.algorithms.masked import masked_mean, masked_sum, masked_var, masked_whiten

POISON = (0.0, 7e30, float("nan"), float("inf"), float("-inf"))


def draw(seed: int, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=rng), torch.rand(rows, columns, generator=rng) < 0.6


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6), st.sampled_from(POISON))
def test_statistics_are_those_of_the_selected_entries(seed: int, rows: int, columns: int, poison: float) -> None:
    values, mask = draw(seed, rows, columns)
    chosen = values[mask]
    values = values.masked_fill(~mask, poison)
    for function, expected in (
        (masked_sum, chosen.sum()),
        (masked_mean, chosen.mean() if len(chosen) else torch.tensor(0.0)),
        (masked_var, chosen.var(correction=0) if len(chosen) else torch.tensor(0.0)),
    ):
        torch.testing.assert_close(function(values, mask), expected)
        by_row = torch.stack([function(v, m) for v, m in zip(values, mask, strict=True)])
        torch.testing.assert_close(function(values, mask, dim=1), by_row)


@pytest.mark.parametrize("function", [masked_sum, masked_mean, masked_var])
@pytest.mark.parametrize("poison", POISON)
def test_masked_entries_get_a_zero_gradient_whatever_they_hold(function: object, poison: float) -> None:
    values = torch.tensor([1.0, poison, 3.0], requires_grad=True)
    function(values, torch.tensor([True, False, True])).backward()  # type: ignore[operator]
    assert values.grad is not None
    assert values.grad[1] == 0
    assert values.grad.isfinite().all()


@pytest.mark.parametrize("function", [masked_sum, masked_mean, masked_var])
def test_nothing_selected_gives_zero(function: object) -> None:
    assert function(torch.ones(3), torch.zeros(3, dtype=torch.bool)) == 0  # type: ignore[operator]


def test_whitening_by_hand() -> None:
    # Of 1 and 3: mean 2, population variance 1 -> −1 and 1. The 100 is masked.
    values, mask = torch.tensor([[1.0, 100.0, 3.0]]), torch.tensor([[True, False, True]])
    assert masked_whiten(values, mask)[0].tolist() == pytest.approx([-1.0, 0.0, 1.0])
    # Without centring: √((1 + 9) / 2) = √5.
    assert masked_whiten(values, mask, center=False)[0].tolist() == pytest.approx([5**-0.5, 0.0, 3 * 5**-0.5])


@pytest.mark.parametrize("poison", POISON)
@pytest.mark.parametrize("center", [True, False])
def test_whitening_ignores_what_is_masked(poison: float, center: bool) -> None:
    values, mask = draw(1, 3, 5)
    whitened = masked_whiten(values.masked_fill(~mask, poison), mask, center=center)
    assert torch.equal(whitened, masked_whiten(values, mask, center=center))
    assert (whitened[~mask] == 0).all()


def test_equal_entries_whiten_to_zero_and_nothing_to_nothing() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert (masked_whiten(torch.full((2, 3), 0.7), mask) == 0).all()
    assert (masked_whiten(torch.ones(2, 3), ~mask) == 0).all()
    assert (masked_whiten(torch.zeros(2, 3), mask, center=False) == 0).all()


@pytest.mark.parametrize("center", [True, False])
def test_ranks_whiten_as_one_batch(center: bool) -> None:
    values, mask = draw(2, 4, 5)
    values = values * 3 + 1
    ranks = [slice(0, 1), slice(1, 4)]
    # Sums of every rank, in the order in which whitening asks for them.
    totals = [mask.sum().double()]
    if center:
        totals.append(values[mask].double().sum())
    mean = totals[1] / totals[0] if center else 0
    totals.append((values[mask].double() - mean).square().sum())

    parts = []
    for rank in ranks:
        answers = iter(totals)
        part = masked_whiten(values[rank], mask[rank], center=center, all_reduce=lambda _, a=answers: next(a))  # type: ignore[misc]
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts), masked_whiten(values, mask, center=center))


def test_shapes_are_checked_while_tests_run() -> None:
    with pytest.raises(Exception, match="Expected type"):
        masked_mean(torch.ones(2), torch.ones(3, dtype=torch.bool))
