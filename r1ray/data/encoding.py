"""Conversations and preference pairs to token ids, with what is learned marked by *position*.

Never by id: in SmolLM2 the token that pads is the one that ends a turn, so a mask by id would forget to teach endings.
A response is encoded by itself, after the ids of its prompt: just as a policy continues a prompt when it is sampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from r1ray.data.conversations import Conversation, Message
from r1ray.data.sift import BadRow
from r1ray.errors import DataError


class Tokenizer(Protocol):
    """What encoding needs of a Hugging Face tokenizer."""

    chat_template: Any
    eos_token: Any
    eos_token_id: Any

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any:
        """Messages to text, by the model's own template."""
        ...

    def encode(self, text: str, **kwargs: Any) -> list[int]:
        """Text to ids."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRow:
    """Ids, and which of them are learned."""

    token_ids: list[int]
    response_mask: list[bool]
    """True on what the assistant says, the token that ends each of its turns included. Never True at index 0, which
    nothing predicts."""

    def __post_init__(self) -> None:
        if len(self.token_ids) != len(self.response_mask):
            raise DataError(f"{len(self.token_ids)} tokens and {len(self.response_mask)} marks: expected one each.")
        if not any(self.response_mask):
            raise DataError("A row has no response token: there is nothing to learn in it.")
        if self.response_mask[0]:
            raise DataError("The first token of a row cannot be learned: no token predicts it. Put a prompt before it.")

    def split(self) -> tuple[list[int], list[int]]:
        """(prompt, response) of a row whose response is one piece at its end.

        Raises:
            DataError: earlier turns are learned too.
        """
        start = self.response_mask.index(True)
        if not all(self.response_mask[start:]):
            raise DataError("Several turns of this row are learned; encode it with turns='last' to split it in two.")
        return self.token_ids[:start], self.token_ids[start:]


def encode_conversation(conversation: Conversation, tokenizer: Tokenizer, *, turns: str = "all") -> TokenRow:
    """The whole conversation; the assistant's turns are learned, all of them or the `last` one.

    Raises:
        BadRow: the template writes earlier turns anew once later ones follow (some strip thoughts): then only
            `turns="last"` shows the model what it will see.
    """
    messages = conversation.messages
    assistant = [index for index, message in enumerate(messages) if message.role == "assistant"]
    learned = assistant if turns == "all" else assistant[-1:]
    ids: list[int] = []
    mask: list[bool] = []
    before = ""
    for index in learned:
        prompt = prompt_text(messages[:index], tokenizer)
        if not prompt.startswith(before):
            raise BadRow("template rewrites earlier turns", "train on the last turn alone (sft.turns `last`)")
        between = prompt[len(before) :]
        if ids:
            # The turn's end is there already, as an id of its own.
            between = between.removeprefix(tokenizer.eos_token)
        gap, response = encode(between, tokenizer), encode_response(messages[index].content, tokenizer)
        ids += [*gap, *response]
        mask += [False] * len(gap) + [True] * len(response)
        before = prompt + messages[index].content
    return TokenRow(token_ids=ids, response_mask=mask)


def prompt_text(messages: Sequence[Message], tokenizer: Tokenizer) -> str:
    """The turns so far, up to the place where the assistant's words begin; without a template, paragraphs and a
    newline, as `reasoning.prompts` has it."""
    if not tokenizer.chat_template:
        return "\n\n".join(message.content for message in messages) + "\n"
    chat = [message.to_chat() for message in messages]
    return str(tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))


def encode(text: str, tokenizer: Tokenizer) -> list[int]:
    """Ids of a piece of text; the tokenizer adds nothing of its own, templates write their special tokens out."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def encode_response(text: str, tokenizer: Tokenizer) -> list[int]:
    """Ids of an answer and the token that ends it."""
    return [*encode(text, tokenizer), int(tokenizer.eos_token_id)]


def cut(row: TokenRow, max_tokens: int) -> TokenRow:
    """The row's first `max_tokens` tokens.

    Raises:
        BadRow: no response token would be left. What is cut loses its ending, so the count belongs in a report.
    """
    if not any(row.response_mask[:max_tokens]):
        raise BadRow("prompt too long", f"no response token within {max_tokens}")
    return TokenRow(token_ids=row.token_ids[:max_tokens], response_mask=row.response_mask[:max_tokens])
