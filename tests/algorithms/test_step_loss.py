"""The step loss by hand, beside PyTorch's cross-entropy, and under every way of cutting a batch up."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from r1ray.algorithms.step_loss import right_probability, step_loss, steps_right, three_way_targets, two_way_targets
from r1ray.errors import DataError


def every(count: int) -> torch.Tensor:
    return torch.ones(count, dtype=torch.bool)


def test_a_soft_label_is_cross_entropy_with_both_classes() -> None:
    # Logits (0, log 3): wrong 1/4, right 3/4. Label 0.25: −(0.75 log 1/4 + 0.25 log 3/4)
    logits = torch.tensor([[0.0, math.log(3)]])
    loss = step_loss(logits, two_way_targets(torch.tensor([0.25])), every(1), 1.0)
    assert loss.item() == pytest.approx(-(0.75 * math.log(1 / 4) + 0.25 * math.log(3 / 4)), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_hard_labels_give_pytorchs_cross_entropy(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, classes, generator=generator)
    if classes == 2:
        index = torch.tensor([0, 1, 1, 0, 1, 0])
        targets = two_way_targets(index.float())
    else:
        ratings = torch.tensor([-1, 0, 1, 1, 0, -1])
        index = torch.tensor([0, 2, 1, 1, 2, 0])  # wrong, neutral, right: class 1 is right, as with two classes
        targets = three_way_targets(ratings)
    torch.testing.assert_close(step_loss(logits, targets, every(6), 6.0), F.cross_entropy(logits, index))


@given(st.integers(2, 8), st.data())
def test_loss_and_gradient_do_not_depend_on_the_split(count: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, count - 1))
    generator = torch.Generator().manual_seed(count)
    logits = torch.randn(count, 2, generator=generator).requires_grad_()
    targets = two_way_targets(torch.rand(count, generator=generator))
    whole = step_loss(logits, targets, every(count), float(count))
    parts = sum(
        step_loss(logits[part], targets[part], every(count)[part], float(count))
        for part in (slice(0, cut), slice(cut, None))
    )
    assert isinstance(parts, torch.Tensor)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (parts, whole)))


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -1e30])
def test_steps_under_the_mask_change_nothing(poison: float) -> None:
    logits = torch.tensor([[0.0, 0.0], [poison, poison]]).requires_grad_()
    loss = step_loss(logits, two_way_targets(torch.tensor([1.0, 0.0])), torch.tensor([True, False]), 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert logits.grad is not None
    assert logits.grad[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("label", [-100.0, 1.5, float("nan")])
def test_a_label_that_is_no_probability_is_refused(label: float) -> None:
    with pytest.raises(DataError, match="expected 0 to 1"):
        two_way_targets(torch.tensor([1.0, label]))


def test_a_rating_outside_three_is_refused() -> None:
    with pytest.raises(DataError, match="expected -1, 0 or 1"):
        three_way_targets(torch.tensor([1, -100]))


def test_neutral_counts_as_right_when_scoring() -> None:
    # softmax of (log 1, log 2, log 5) = 1/8, 2/8, 5/8: right or neutral 7/8
    logits = torch.tensor([[1.0, 2.0, 5.0]]).log()
    assert right_probability(logits).item() == pytest.approx(7 / 8)
    assert right_probability(logits[:, :2]).item() == pytest.approx(2 / 3)
    assert right_probability(torch.zeros(1, 1)).item() == 0.5


def test_four_classes_are_refused() -> None:
    with pytest.raises(DataError, match="4 classes"):
        right_probability(torch.zeros(1, 4))


def test_right_steps_are_counted_where_the_mask_is() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    targets = two_way_targets(torch.tensor([0.0, 0.0, 1.0]))
    assert steps_right(logits, targets, torch.tensor([True, True, False])).item() == 1
