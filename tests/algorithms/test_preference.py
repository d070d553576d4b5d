"""Bradley-Terry by hand, and under every way of cutting a batch up."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from r1ray.algorithms.preference import bradley_terry_loss, centering_loss, pairs_right


def pairs(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def everything(count: int) -> torch.Tensor:
    return torch.ones(count, dtype=torch.bool)


def test_equal_scores_cost_log_two() -> None:
    assert bradley_terry_loss(pairs(1.0), pairs(1.0), everything(1), 1.0).item() == pytest.approx(math.log(2))


def test_a_lead_of_log_three_is_believed_three_times_in_four() -> None:
    # σ(log 3) = 3 / (1 + 3)
    loss = bradley_terry_loss(pairs(math.log(3)), pairs(0.0), everything(1), 1.0)
    assert loss.item() == pytest.approx(-math.log(3 / 4))


def test_a_margin_is_taken_off_the_lead() -> None:
    loss = bradley_terry_loss(pairs(2.0 + math.log(3)), pairs(0.0), everything(1), 1.0, margin=pairs(2.0))
    assert loss.item() == pytest.approx(-math.log(3 / 4))


def test_an_offset_explains_part_of_the_preference_and_takes_its_gradient() -> None:
    chosen = pairs(0.0).requires_grad_()
    bradley_terry_loss(chosen, pairs(0.0), everything(1), 1.0, offset=pairs(math.log(3))).backward()
    assert chosen.grad is not None
    assert chosen.grad.item() == pytest.approx(-1 / 4)  # −(1 − σ); without the offset it would be −1/2


def test_smoothing_mixes_the_loss_of_the_swapped_pair() -> None:
    # 0.9 · −log 3/4 + 0.1 · −log 1/4
    loss = bradley_terry_loss(pairs(math.log(3)), pairs(0.0), everything(1), 1.0, label_smoothing=0.1)
    assert loss.item() == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))


@given(st.lists(st.tuples(*[st.floats(-20, 20)] * 2), min_size=2, max_size=8), st.data())
def test_loss_and_gradient_do_not_depend_on_the_split(scores: list[tuple[float, float]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(scores) - 1))
    chosen, rejected = (pairs(*side).requires_grad_() for side in zip(*scores, strict=True))
    count = float(len(scores))
    whole = bradley_terry_loss(chosen, rejected, everything(len(scores)), count)
    (together,) = torch.autograd.grad(whole, chosen)
    parts = [
        bradley_terry_loss(chosen[part], rejected[part], everything(len(scores))[part], count)
        for part in (slice(0, cut), slice(cut, None))
    ]
    (apart,) = torch.autograd.grad(parts[0] + parts[1], chosen)
    torch.testing.assert_close(parts[0] + parts[1], whole)
    torch.testing.assert_close(apart, together)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e30])
def test_what_lies_under_the_mask_changes_nothing(poison: float) -> None:
    mask = torch.tensor([True, False])
    chosen = pairs(1.0, poison).requires_grad_()
    loss = bradley_terry_loss(chosen, pairs(0.0, 0.0), mask, 1.0, margin=pairs(0.5, poison))
    loss = loss + centering_loss(chosen, pairs(0.0, 0.0), mask, 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-0.5)) + 1.0)
    assert chosen.grad is not None
    assert chosen.grad[1] == 0


def test_centering_leaves_differences_alone() -> None:
    assert centering_loss(pairs(3.0), pairs(-3.0), everything(1), 1.0).item() == 0
    assert centering_loss(pairs(3.0), pairs(1.0), everything(1), 1.0).item() == 16


def test_a_tie_is_half_right() -> None:
    assert pairs_right(pairs(1.0, 0.0, 2.0), pairs(0.0, 1.0, 2.0), everything(3)).item() == 1.5
