"""Numbers rounded to a quantized grid, as compressed-tensors defines it: what an integer kernel computes, in floats.

Training under quantization, measuring a layer's sensitivity and running dynamic activations on any machine all need the
grid and not the storage.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

FLOAT8_MAX = 448.0
"""Largest finite float8_e4m3fn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Which numbers there are, and how many neighbours share a scale."""

    bits: int = 8
    symmetric: bool = True
    """Zero is in the middle; else the grid spans [min, max] with a zero point."""
    group: int = 0
    """Neighbours along a row that share a scale; 0 = the whole row (an output channel, or a token)."""
    floating: bool = False
    """float8 (e4m3) instead of integers."""


def round_to(values: Tensor, grid: Grid) -> Tensor:
    """`values` (…, N), rows rounded to the grid that spans them; the same type and shape."""
    x = values.float().unflatten(-1, (-1, grid.group)) if grid.group else values.float()
    low, high = x.amin(-1, keepdim=True).clamp(max=0.0), x.amax(-1, keepdim=True).clamp(min=0.0)
    largest = torch.maximum(-low, high)
    tiny = torch.finfo(torch.float32).tiny
    if grid.floating:
        scale = (largest / FLOAT8_MAX).clamp(min=tiny)
        rounded = (x / scale).clamp(-FLOAT8_MAX, FLOAT8_MAX).to(torch.float8_e4m3fn).float() * scale
    else:
        steps, lowest = 2**grid.bits - 1, -(2 ** (grid.bits - 1))
        if grid.symmetric:
            scale, zero = (largest / (steps / 2)).clamp(min=tiny), torch.zeros_like(largest)
        else:
            scale = ((high - low) / steps).clamp(min=tiny)
            zero = (lowest - low / scale).clamp(lowest, lowest + steps).round()
        codes = (x / scale + zero).clamp(lowest, lowest + steps).round()  # in this order, or ties fall elsewhere
        rounded = (codes - zero) * scale
    return (rounded.flatten(-2) if grid.group else rounded).to(values.dtype)


def round_straight_through(values: Tensor, grid: Grid) -> Tensor:
    """`round_to`, whose gradient is that of the identity (Bengio et al. 2013, arXiv 1308.3432)."""
    result: Tensor = values + (round_to(values, grid) - values).detach()
    return result


class InputRounding:
    """Rounds what enters a linear layer, token by token: the activations' half of a W8A8 kernel."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def __call__(self, x: Tensor) -> Tensor:
        return round_to(x, self.grid)

    def hook(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """As a forward pre-hook."""
        return (self(args[0]), *args[1:])


def round_inputs(module: nn.Linear, grid: Grid) -> None:
    """From here on the module rounds its inputs; `input_rounding` says so to engines that bring their own forward."""
    rounding = InputRounding(grid)
    module.input_rounding = rounding  # type: ignore[assignment]
    module.register_forward_pre_hook(rounding.hook)
