"""prune, prune-2-4: the smallest weights become zero, and the others learn to do without them.

A pruned file is as long as its parent: zeros take room, and neither transformers nor vLLM stores them apart.
"""

from pathlib import Path

import torch
from torch import Tensor

from r1ray.models.checkpoint import save_policy
from r1ray.quantize.bench import Bench
from r1ray.quantize.compress import linear_layers
from r1ray.quantize.recipe import ANYWHERE, VLLM, Built, Recipe
from r1ray.quantize.training import learn_from_parent


def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
    """1 on the weights that stay: all but the `sparsity` smallest of the matrix."""
    dropped = round(sparsity * weight.numel())
    mask = torch.ones(weight.numel(), dtype=weight.dtype)
    mask[weight.detach().abs().flatten().argsort(stable=True)[:dropped]] = 0
    return mask.view_as(weight)


def two_of_four_mask(weight: Tensor) -> Tensor:
    """1 on the two largest of every four neighbours along a row (what sparse tensor cores multiply)."""
    fours = weight.detach().abs().unflatten(-1, (-1, 4))
    mask = torch.zeros_like(fours).scatter_(-1, fours.topk(2, dim=-1).indices, 1.0)
    return mask.flatten(-2)


def _build(bench: Bench, out: Path, two_of_four: bool) -> Built:
    student, sparsity = bench.network(), bench.config.recovery.sparsity
    masks = {}
    for name, layer in linear_layers(student).items():
        mask = two_of_four_mask(layer.weight) if two_of_four else magnitude_mask(layer.weight, sparsity)
        masks[f"{name}.weight"] = mask
        layer.weight.data *= mask
    losses = learn_from_parent(bench, student, steps=bench.config.recovery.steps, what="recovery", masks=masks)
    zeros = sum(int((layer.weight == 0).sum()) for layer in linear_layers(student).values())
    share = zeros / sum(layer.weight.numel() for layer in linear_layers(student).values())
    save_policy(out, student.to(getattr(torch, bench.config.quantize.dtype)), bench.tokenizer)
    return Built(model=out, details={"zeros": share, "losses": losses})


UNSTRUCTURED = Recipe(
    name="prune",
    summary="magnitude pruning of each matrix, with recovery",
    runs_on=(ANYWHERE, VLLM),
    build=lambda bench, out: _build(bench, out, two_of_four=False),
)
TWO_OF_FOUR = Recipe(
    name="prune-2-4",
    summary="two of every four weights, with recovery",
    runs_on=(ANYWHERE, VLLM),
    build=lambda bench, out: _build(bench, out, two_of_four=True),
)
