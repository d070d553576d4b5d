"""Compiled layers: what lies between matrix products (norms, rotations, activations, sums) becomes few kernels."""

import torch
from torch import nn

from r1ray.errors import ModelError
from r1ray.models.trunk import find_trunk


def compile_layers(model: nn.Module) -> None:
    """Compile each layer of a language model at its first use; attention itself stays the kernel that it is.

    Parameters keep their names. Goes before `checkpoint_layers`. Layers of one kind share what was compiled, and a
    second length of input makes it good for all lengths.

    Raises:
        ModelError: the model has no list of layers.
    """
    trunk = find_trunk(model)
    layers = getattr(trunk, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise ModelError(
            f"The layers of {type(model).__name__} cannot be compiled: it has no `layers`. Turn policy.compile off."
        )
    for layer in layers:
        layer.forward = torch.compile(layer.forward)
    if isinstance(norm := getattr(trunk, "norm", None), nn.Module):
        norm.forward = torch.compile(norm.forward)
