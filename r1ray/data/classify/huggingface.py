"""A BERT-type checkpoint in the place of r1ray's own classifiers: any sequence classifier that transformers opens."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from r1ray.data.classify.logistic import Floats
from r1ray.errors import ModelError
from r1ray.models.embedding import batches_by_length
from r1ray.models.loading import load_network, resolve_model


class HuggingFaceClassifier:
    """Probabilities from a sequence classifier, texts of like length together.

    Args:
        path: folder or hub id.
        max_tokens: of a text that are read.
        batch_tokens: of a forward pass, padding included.

    Raises:
        ModelError: there is no such model, or its tokenizer cannot pad.
    """

    def __init__(self, path: str, max_tokens: int = 256, batch_tokens: int = 8192) -> None:
        folder = resolve_model(path)
        self._model = load_network(AutoModelForSequenceClassification, folder, dtype="float32").eval()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        if self._tokenizer.pad_token is None:
            raise ModelError(f"The tokenizer in {folder} names no pad_token. Set it in tokenizer_config.json.")
        self._model.config.pad_token_id = self._tokenizer.pad_token_id
        self._max_tokens, self._batch_tokens = max_tokens, batch_tokens
        names: dict[int, str] = self._model.config.id2label
        self.labels: Sequence[str] = [names[index] for index in range(len(names))]

    @torch.inference_mode()
    def probabilities(self, texts: Sequence[str]) -> Floats:
        """[N, C]"""
        ids = [self._tokenizer(text, truncation=True, max_length=self._max_tokens).input_ids for text in texts]
        found = np.zeros((len(texts), len(self.labels)))
        for rows in batches_by_length([len(row) for row in ids], self._batch_tokens):
            batch = self._tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
            logits = self._model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
            found[rows] = logits.float().softmax(dim=-1).numpy()
        return found
