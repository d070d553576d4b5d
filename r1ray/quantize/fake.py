"""Fake quantization: linear layers that compute as their quantized selves and still learn (straight-through)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from r1ray.models.rounding import round_straight_through
from r1ray.quantize.scheme import Scheme


@contextmanager
def fake_quantized(model: nn.Module, schemes: Mapping[str, Scheme]) -> Iterator[nn.Module]:
    """The model, computing under the schemes of its layers while the block lasts; its parameters keep their names."""
    layers = {name: model.get_submodule(name) for name in schemes}
    for name, layer in layers.items():
        layer.forward = partial(_forward, layer, schemes[name])
    try:
        yield model
    finally:
        for layer in layers.values():
            del layer.forward  # the class's own is behind it


def _forward(layer: nn.Module, scheme: Scheme, x: Tensor) -> Tensor:
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    if scheme.inputs is not None:
        x = round_straight_through(x, scheme.inputs)
    return F.linear(x, round_straight_through(weight, scheme.weights), bias)  # type: ignore[arg-type]
