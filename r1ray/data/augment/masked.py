"""`masked`: paraphrase by a masked language model, word by word, as BERT-style models fill gaps."""

from collections.abc import Sequence
from random import Random
from typing import Any, Protocol

from r1ray.data.augment.variant import Edit, Inapplicable, Operator, Row, each
from r1ray.data.augment.words import edit_text, find_words
from r1ray.errors import ModelError

RATE = 0.1
"""Share of the words that are masked; at least one."""
CHOICES = 5
"""Likeliest words for a gap of which one is drawn."""


class FillMask(Protocol):
    """Proposes words for a gap."""

    def fill(self, before: str, after: str, count: int) -> list[str]:
        """The `count` likeliest pieces of text between the two, the likeliest first."""
        ...


class HuggingFaceFillMask:
    """Any masked language model in the Hugging Face layout.

    Raises:
        ModelError: it cannot be loaded, or its tokenizer has no mask.
    """

    def __init__(self, path: str) -> None:
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
            self._model: Any = AutoModelForMaskedLM.from_pretrained(path).eval()
        except (OSError, ValueError) as error:
            raise ModelError(f"Masked language model {path!r}: {error}. Expected a folder or id of one.") from error
        if self._tokenizer.mask_token is None:
            raise ModelError(f"The tokenizer of {path!r} has no mask token: it is no masked language model's.")

    def fill(self, before: str, after: str, count: int) -> list[str]:
        """One forward pass over the text with one mask in it; a text that is too long is cut at its ends."""
        import torch

        tokenizer = self._tokenizer
        limit = min(tokenizer.model_max_length, getattr(self._model.config, "max_position_embeddings", 512)) // 8 * 4
        text = before[-4 * limit :] + tokenizer.mask_token + after[: 4 * limit]
        ids = tokenizer(text, return_tensors="pt").input_ids[0]
        place = int((ids == tokenizer.mask_token_id).nonzero()[0, 0])
        start = max(0, place - limit)
        with torch.inference_mode():
            logits = self._model(input_ids=ids[None, start : place + limit]).logits[0, place - start]
        return [
            str(tokenizer.decode([token])).strip() for token in logits.topk(min(count, len(logits))).indices.tolist()
        ]


def masked(model: FillMask) -> Operator:
    """An operator that replaces words by what the model would write in their place."""

    def make(row: Row, stream: Random) -> Edit:
        def change(text: str) -> str:
            words = [word for word in find_words(text) if word.free and word.text.islower()]
            if not words:
                raise Inapplicable("no word may be touched")
            chosen = stream.sample(words, min(len(words), max(1, round(RATE * len(text.split())))))
            for word in sorted(chosen, key=lambda word: -word.start):
                before, after = text[: word.start], text[word.end :]
                found = _usable(model.fill(before, after, 2 * CHOICES), word.text)
                if found:
                    text = before + stream.choice(found[:CHOICES]) + after
            return text

        return edit_text(row, change)

    return each(make)


def _usable(found: Sequence[str], word: str) -> list[str]:
    """Whole lower-case words that are another word and may themselves be touched: no number words, no `not`."""
    return [
        other
        for other in found
        if other != word and other.islower() and other.isalpha() and all(piece.free for piece in find_words(other))
        and find_words(other)
    ]  # fmt: skip
