"""Activation checkpointing: keep the input of every k-th layer, recompute the layers between in the backward pass.

With k = 1 every layer's input is kept and one layer at a time is recomputed; a larger k keeps fewer inputs, and holds k
layers' activations at a time (arXiv 1604.06174).
"""

from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from r1ray.errors import ModelError
from r1ray.models.trunk import find_trunk


def checkpoint_layers(model: nn.Module, every: int) -> None:
    """Let groups of `every` consecutive layers of a causal language model be recomputed, while it trains.

    Parameters keep their names. Every layer of a group gets the keyword arguments of its first.

    Raises:
        ModelError: the model has no list of layers.
    """
    layers = getattr(find_trunk(model), "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise ModelError(
            f"The layers of {type(model).__name__} cannot be grouped: it has no `layers`. Use "
            "policy.gradient_checkpointing."
        )
    for start in range(0, len(layers), every):
        _Group(list(layers[start : start + every]))


class _Group:
    """Consecutive layers: the first runs all of them under a checkpoint, the others hand on what comes."""

    def __init__(self, layers: list[nn.Module]) -> None:
        self._layers = layers
        self._running = False
        for index, layer in enumerate(layers):
            layer.forward = self._forward(layer.forward, first=index == 0)

    def _forward(self, original: Any, *, first: bool) -> Any:
        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self._running or not self._layers[0].training:
                return original(hidden_states, *args, **kwargs)
            if not first:
                return hidden_states
            return checkpoint(self._run, hidden_states, *args, use_reentrant=False, **kwargs)

        return forward

    def _run(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        self._running = True
        try:
            for layer in self._layers:
                hidden_states = layer(hidden_states, *args, **kwargs)
        finally:
            self._running = False
        return hidden_states
