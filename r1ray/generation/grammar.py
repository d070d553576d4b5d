"""Answers that must match a JSON schema or a grammar: which tokens may come next, by llguidance."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from r1ray.errors import DataError
from r1ray.generation.iteration import TokenGrammar

with contextlib.suppress(ImportError):  # an extra; whoever comes here has asked for it before
    import llguidance
    import llguidance.hf


def grammar_maker(tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> Callable[[str], TokenGrammar]:
    """From a grammar's text (JSON, of llguidance's own form) to an object for one request.

    The text comes from `llguidance.LLMatcher.grammar_from_json_schema` and its like, which need no tokenizer.
    """
    quick: Any = tokenizer  # its annotation names the class of fast tokenizers, of which ours is one
    shared = llguidance.hf.from_tokenizer(quick, n_vocab=vocabulary)
    return lambda text: Grammar(shared, text)


def json_schema_grammar(schema: str) -> str:
    """The grammar of JSON that a schema (itself JSON) describes.

    Raises:
        DataError: the schema cannot be one.
    """
    try:
        grammar = str(llguidance.LLMatcher.grammar_from_json_schema(schema))
        problem = llguidance.LLMatcher.validate_grammar(grammar)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise DataError(f"The JSON schema cannot be followed: {problem}")
    return grammar


class Grammar:
    """Where one answer is in its grammar."""

    def __init__(self, shared: Any, text: str) -> None:
        self._matcher = llguidance.LLMatcher(shared, text)
        if self._matcher.is_error():
            raise DataError(f"The response format cannot be followed: {self._matcher.get_error()}")

    def mask_(self, logits: Tensor) -> None:
        """Forbid what the grammar does not take next; where it takes nothing more, all but the end is forbidden."""
        allowed = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        bits = allowed[:, None].bitwise_right_shift(torch.arange(8, dtype=torch.uint8)).bitwise_and_(1).flatten().bool()
        logits[~bits[: logits.shape[-1]].to(logits.device)] = -torch.inf

    def accept(self, token: int) -> None:
        """The token was chosen."""
        if not self._matcher.is_stopped():
            self._matcher.consume_token(token)
