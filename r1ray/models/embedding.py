"""Texts as vectors: the hidden states of a language model or an encoder, averaged over each text's tokens."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from r1ray.models.loading import load_network, resolve_model


class Embedder:
    """Mean-pooled hidden states of the last layer, texts of like length together.

    The mask is made from lengths, never from ids: in SmolLM2 the token that pads also ends turns.

    Args:
        path: anything that `resolve_model` takes: the policy itself, or any encoder.
        max_tokens: of a text that are read.
        batch_tokens: of a forward pass, padding included.
        dtype: of the weights.
        device: where it runs.

    Raises:
        ModelError: there is no such model.
    """

    def __init__(
        self,
        path: str,
        *,
        max_tokens: int = 256,
        batch_tokens: int = 4096,
        dtype: str = "float32",
        device: str = "cpu",
    ) -> None:
        folder = resolve_model(path)
        self._model = load_network(AutoModel, folder, dtype=dtype).to(device).eval()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._max_tokens, self._batch_tokens, self._device = max_tokens, batch_tokens, device

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "N D"]:
        """One vector a text, float32 on the CPU; zero for a text without tokens."""
        ids = [self._tokenizer(text, truncation=True, max_length=self._max_tokens).input_ids for text in texts]
        vectors = torch.zeros(len(ids), self._model.config.hidden_size)
        for rows in batches_by_length([len(row) for row in ids], self._batch_tokens):
            lengths = torch.tensor([len(ids[row]) for row in rows])
            mask = torch.arange(int(lengths.max())) < lengths[:, None]
            tokens = torch.zeros(mask.shape, dtype=torch.long)
            tokens[mask] = torch.tensor([token for row in rows for token in ids[row]])
            tokens, mask = tokens.to(self._device), mask.to(self._device)
            hidden = self._model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state.float()
            total = (hidden * mask[..., None]).sum(dim=1)
            vectors[rows] = (total / lengths.to(self._device)[:, None]).cpu()
        return vectors


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Rows from the shortest to the longest, as many in a batch as `batch_tokens` holds once they are padded; at least
    one. Rows of length 0 are in none."""
    batches: list[list[int]] = []
    for row in sorted((row for row, length in enumerate(lengths) if length), key=lambda row: (lengths[row], row)):
        if batches and (len(batches[-1]) + 1) * lengths[row] <= batch_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches
