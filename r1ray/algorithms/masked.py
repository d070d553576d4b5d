"""Sums, means and whitening over the entries that count. What lies under mask = 0, even nan, changes nothing."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

AllReduce = Callable[[Tensor], Tensor]
"""Adds a tensor up over all ranks and returns the sum."""


def one_rank(tensor: Tensor) -> Tensor:
    """The `AllReduce` of a single process."""
    return tensor


def masked_sum(
    values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], dim: int | None = None
) -> Float[Tensor, "*reduced"]:
    """Sum over mask = 1, of everything or along `dim`."""
    return torch.where(mask, values, 0.0).sum(dim)


def masked_mean(
    values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], dim: int | None = None
) -> Float[Tensor, "*reduced"]:
    """Mean over mask = 1; 0 where nothing counts."""
    return masked_sum(values, mask, dim) / mask.sum(dim).clamp(min=1)


def masked_var(
    values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"], dim: int | None = None
) -> Float[Tensor, "*reduced"]:
    """Population variance (divided by n) over mask = 1; 0 where nothing counts."""
    mean = masked_mean(values, mask, dim)
    # Selected before squaring: the gradient of a square is nan wherever the entry is.
    centred = torch.where(mask, values, 0.0) - (mean if dim is None else mean.unsqueeze(dim))
    return masked_mean(centred.square(), mask, dim)


def masked_whiten(
    values: Float[Tensor, "*shape"],
    mask: Bool[Tensor, "*shape"],
    *,
    center: bool = True,
    all_reduce: AllReduce = one_rank,
    eps: float = 1e-8,
) -> Float[Tensor, "*shape"]:
    """(x − μ) / √(σ² + eps) with μ and population σ² over mask = 1 on all ranks; 0 under mask = 0.

    Without `center` the mean stays: x / √(mean of x² + eps). Every rank must call it, with or without rows of its own.
    """
    wide = torch.where(mask, values, 0.0).double()
    count = all_reduce(mask.sum().double()).clamp(min=1)
    mean = all_reduce(wide.sum()) / count if center else wide.new_zeros(())
    centred = torch.where(mask, wide - mean, 0.0)
    variance = all_reduce(centred.square().sum()) / count
    return (centred / (variance + eps).sqrt()).to(values.dtype)
