"""Corpus rows as rows of token ids: conversations and problems with what is learned, documents in pieces."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from r1ray.config.shards import ShardsConfig
from r1ray.data.conversations import parse_conversation
from r1ray.data.encoding import Tokenizer, TokenRow, cut, encode, encode_conversation
from r1ray.data.sift import BadRow

_CONVERSATION_FIELDS = frozenset({"messages", "conversations", "question", "problem", "prompt", "instruction"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRow:
    """Token ids of one row, under a name that stays."""

    id: str
    """The corpus row's id; with `#1`, `#2` … for the further pieces of a document."""
    token_ids: list[int]
    learned: list[int]
    """Where what is learned begins and ends: begin, end, begin, end, …"""

    @property
    def prompt_ids(self) -> list[int]:
        """What stands before the last that is learned: what a policy would be asked to continue."""
        return self.token_ids[: self.learned[-2]]

    @property
    def tokens(self) -> TokenRow:
        """With a mark for each token, as training reads it."""
        mask = [False] * len(self.token_ids)
        for begin, end in zip(self.learned[::2], self.learned[1::2], strict=True):
            mask[begin:end] = [True] * (end - begin)
        return TokenRow(token_ids=self.token_ids, response_mask=mask)


def tokenise_row(row: Mapping[str, Any], tokenizer: Tokenizer, config: ShardsConfig) -> list[ShardRow]:
    """The rows of token ids that one corpus row gives: one, or the pieces of a document (a row with `text` alone).

    Raises:
        BadRow: the row is neither a conversation nor a document, or its prompt leaves no room.
    """
    text = row.get("text")
    if _CONVERSATION_FIELDS.isdisjoint(key for key, value in row.items() if value is not None):
        if not isinstance(text, str) or not text.strip():
            raise BadRow("no text", f"fields: {', '.join(sorted(row))}")
        pieces = _pieces(text, tokenizer, config.max_tokens)
    else:
        given = {key: value for key, value in row.items() if value is not None}
        encoded = (encode_conversation(talk, tokenizer, turns=config.turns) for talk in parse_conversation(given))
        pieces = [cut(tokens, config.max_tokens) for tokens in encoded]
    name = str(row.get("id") or row_id(row))
    return [
        ShardRow(id=f"{name}#{number}" if number else name, token_ids=piece.token_ids, learned=_spans(piece))
        for number, piece in enumerate(pieces)
    ]


def row_id(row: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a row that brings no id."""
    content = json.dumps(dict(row), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _pieces(text: str, tokenizer: Tokenizer, max_tokens: int) -> list[TokenRow]:
    """A document after the token that ends texts, so that its first token is predicted too, and with it at its end."""
    end = int(tokenizer.eos_token_id)
    ids = [*encode(text, tokenizer), end]
    room = max_tokens - 1
    parts = [ids[start : start + room] for start in range(0, len(ids), room)]
    return [TokenRow(token_ids=[end, *part], response_mask=[False] + [True] * len(part)) for part in parts]


def _spans(row: TokenRow) -> list[int]:
    spans: list[int] = []
    place = 0
    for learned, run in groupby(row.response_mask):
        length = sum(1 for _ in run)
        if learned:
            spans += [place, place + length]
        place += length
    return spans
