"""Rounding to a quantized grid."""

import pytest
import torch
from torch import nn

from r1ray.models.rounding import Grid, round_inputs, round_straight_through, round_to

GRIDS = [
    Grid(bits=8),
    Grid(bits=8, symmetric=False),
    Grid(bits=4, group=32),
    Grid(bits=4, group=32, symmetric=False),
    Grid(floating=True),
]


@pytest.mark.parametrize(("grid", "codes"), [(Grid(bits=4, group=32), 16), (Grid(bits=4, symmetric=False), 16)])
def test_a_group_has_no_more_values_than_the_grid(grid: Grid, codes: int) -> None:
    rounded = round_to(torch.randn(4, 32, generator=torch.Generator().manual_seed(0)), grid)
    assert all(len(row.unique()) <= codes for row in rounded)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_error_is_at_most_a_step(grid: Grid) -> None:
    x = torch.randn(16, 64, generator=torch.Generator().manual_seed(1))
    step = x.abs().amax() * (2 / 15 if grid.bits == 4 else 2 / 16)
    assert float((round_to(x, grid) - x).abs().max()) <= step


def test_symmetric_grid_is_the_published_one() -> None:
    """scale = max|x| / 127.5, codes in [-128, 127]: compressed-tensors' int8."""
    x = torch.tensor([[-2.55, 1.0, 0.011, 2.55]])
    torch.testing.assert_close(round_to(x, Grid(bits=8)), torch.tensor([[-2.56, 1.0, 0.02, 2.54]]))


def test_zero_rows_stay_zero() -> None:
    for grid in GRIDS:
        assert not round_to(torch.zeros(2, 32), grid).any()


def test_gradient_goes_straight_through() -> None:
    x = torch.randn(2, 32, requires_grad=True)
    round_straight_through(x, Grid(bits=4)).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.ones_like(x))


def test_inputs_are_rounded_token_by_token() -> None:
    layer = nn.Linear(32, 4, bias=False)
    x = torch.randn(3, 32) * torch.tensor([[1.0], [100.0], [0.01]])
    expected = layer(round_to(x, Grid(bits=8)))
    round_inputs(layer, Grid(bits=8))
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer(x[1:2]), expected[1:2])  # other tokens have no say
