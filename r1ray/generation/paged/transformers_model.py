"""The reference: any causal language model of transformers with keys and values in pages, one sequence at a time.

Slow and plain. It is what other networks are compared with, and what serves architectures that they do not know.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from r1ray.errors import ModelError
from r1ray.generation.named_weights import NamedShapes
from r1ray.generation.paged.blocks import PAGE
from r1ray.generation.paged.model import Piece
from r1ray.models.packed_weights import PackedMatrix


class TransformersPagedModel:
    """Gathers a sequence's pages into a cache of transformers', runs the model, and stores what is new."""

    def __init__(self, model: PreTrainedModel, *, tokens: int, page_size: int = PAGE) -> None:
        config = model.config
        if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
            raise ModelError("Pages hold full attention only; this model has layers of another kind.")
        self._model = model.eval()
        self.page_size, self.pages = page_size, -(-tokens // page_size)
        self.vocabulary, self.context_length = config.vocab_size, config.max_position_embeddings
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._layers = config.num_hidden_layers
        shape = (self._layers, 2, config.num_key_value_heads, self.pages * page_size, head_dim)
        self._store = torch.zeros(shape, dtype=model.dtype, device=model.device)

    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        """Store the keys and values of every new token; logits of the outputs."""
        return torch.cat([self._one(piece) for piece in pieces])

    def load_weights(self, weights: Mapping[str, Tensor | PackedMatrix]) -> None:
        """Copy new weights into the model."""
        NamedShapes.of(self._model).check(weights)
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                value = weights[name]
                parameter.copy_(torch.from_numpy(value.dense()) if isinstance(value, PackedMatrix) else value)

    def _one(self, piece: Piece) -> Tensor:
        offsets = torch.arange(self.page_size, device=self._store.device)
        places = (torch.tensor(piece.pages, device=offsets.device)[:, None] * self.page_size + offsets).flatten()
        end = piece.past + len(piece.tokens)
        cache = DynamicCache()
        if piece.past:
            for layer in range(self._layers):
                keys, values = self._store[layer, :, :, places[: piece.past]].unsqueeze(1).unbind(0)
                cache.update(keys, values, layer)
        outputs = torch.tensor(piece.outputs, dtype=torch.long, device=offsets.device)
        logits: Tensor = self._model(
            input_ids=torch.tensor([list(piece.tokens)], device=offsets.device),
            past_key_values=cache,
            position_ids=torch.arange(piece.past, end, device=offsets.device)[None],
            use_cache=True,
            logits_to_keep=outputs,
        ).logits
        for layer in range(self._layers):
            stored: Any = cache.layers[layer]
            self._store[layer, 0][:, places[piece.past : end]] = stored.keys[0, :, piece.past :]
            self._store[layer, 1][:, places[piece.past : end]] = stored.values[0, :, piece.past :]
        return logits[0].float()
