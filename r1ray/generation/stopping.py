"""When a completion is over: an end token, a stop text, or no room left."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from r1ray.types import FinishReason

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class StopRule:
    """Decides, after each token, whether a completion ends there."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", end_tokens: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self.end_tokens = frozenset(end_tokens)

    def __call__(self, token_ids: Sequence[int], stop: Sequence[str], max_new_tokens: int) -> FinishReason | None:
        """`token_ids` is everything sampled so far, and only its last token is new."""
        if token_ids[-1] in self.end_tokens or (stop and self._ends_with_stop_text(token_ids, stop)):
            return "stop"
        return "length" if len(token_ids) >= max_new_tokens else None

    def text(self, token_ids: Sequence[int]) -> str:
        """The completion's text: special tokens left out, nothing else tidied."""
        return str(
            self._tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def _ends_with_stop_text(self, token_ids: Sequence[int], stop: Sequence[str]) -> bool:
        # A token is at least one byte, so a stop text that ends in the newest token lies within as many tokens as it
        # has bytes; a few more keep its first character whole.
        window = max(len(text.encode()) for text in stop) + 4
        tail = self.text(token_ids[-window:])
        return any(text in tail for text in stop)


def end_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    """Every id that the tokenizer, the model's configuration or its generation configuration calls an end."""
    sources = (tokenizer, model.config, model.generation_config)
    found: set[int] = set()
    for source in sources:
        value = getattr(source, "eos_token_id", None)
        found.update([value] if isinstance(value, int) else value or [])
    return found
