"""Squared norms of each micro-batch's own gradient, taken as it flows into the parameters, whoever adds it up."""

import torch
from torch import Tensor, nn


class GradientMeter:
    """Hooks on every trainable parameter. `begin` before each backward pass, `take` after the step."""

    def __init__(self, module: nn.Module) -> None:
        self._weight, self._on = 1.0, False
        self._squares: list[Tensor] = []
        self._size, self._number = 0.0, 0
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_hook(self._see)

    def begin(self, *, weight: float, size: float) -> None:
        """The next backward pass is that of a micro-batch of `size`, whose gradient times `weight` is its mean."""
        self._weight, self._on = weight, True
        self._size += size
        self._number += 1

    def pause(self) -> None:
        """The next backward pass does not count."""
        self._on = False

    def take(self) -> tuple[float, float, float]:
        """Sums, since the last call, of squared norms and of sizes, and the number of micro-batches."""
        total = float(torch.stack(self._squares).sum()) if self._squares else 0.0
        taken = (total, self._size, float(self._number))
        self._squares, self._size, self._number = [], 0.0, 0
        return taken

    def _see(self, gradient: Tensor) -> None:
        if self._on:
            self._squares.append(gradient.detach().float().square().sum() * self._weight**2)
