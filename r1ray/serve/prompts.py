"""From messages and texts to the ids that the engine reads, and back for `/tokenize`."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from r1ray.serve.api.requests import Message
from r1ray.serve.errors import invalid
from r1ray.serve.text import OPEN


class Prompts:
    """A tokenizer and its chat template."""

    def __init__(self, tokenizer: Any, system: str = "") -> None:
        self._tokenizer, self._system = tokenizer, system
        template = str(tokenizer.chat_template or "")
        self.knows_tools = "tools" in template
        self.version = hashlib.sha256(f"{template}\0{system}".encode()).hexdigest()[:12]
        """Changes with the template: part of what an answer depends on."""

    def chat(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """A conversation, up to where the assistant's words begin."""
        return self.encode(self.chat_text(messages, tools), special=False)

    def chat_text(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = (), *, open_answer: bool = True
    ) -> str:
        """The same as text."""
        plain = [self._plain(message) for message in messages]
        if self._system and not any(message["role"] == "system" for message in plain):
            plain.insert(0, {"role": "system", "content": self._system})
        if not self._tokenizer.chat_template:
            return "\n\n".join(message["content"] for message in plain) + "\n"
        options: dict[str, Any] = {"tools": list(tools)} if tools else {}
        try:
            text = self._tokenizer.apply_chat_template(
                plain, add_generation_prompt=open_answer, tokenize=False, **options
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise invalid(f"The chat template does not take these messages: {error}", "messages") from error
        return str(text)

    def text(self, text: str) -> list[int]:
        """A plain text, as a completion's prompt."""
        return self.encode(text, special=True)

    def opens_thought(self, prompt_ids: Sequence[int]) -> bool:
        """Whether the prompt ends inside a `<think>` that the template opened."""
        tail = self._tokenizer.decode(list(prompt_ids[-8:]), clean_up_tokenization_spaces=False)
        return str(tail).rstrip().endswith(OPEN)

    def check(self, token_ids: Sequence[int], param: str) -> None:
        """Ids that clients send must be in the vocabulary."""
        size = len(self._tokenizer)
        if wrong := [token for token in token_ids if not 0 <= token < size]:
            raise invalid(f"{param} has the token {wrong[0]}; the vocabulary ends at {size - 1}.", param)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Ids to text, special tokens included."""
        return str(self._tokenizer.decode(list(token_ids), clean_up_tokenization_spaces=False))

    def describe(self) -> dict[str, Any]:
        """The tokenizer as clients can build their own: its class, its special tokens, its chat template."""
        known = dict(self._tokenizer.special_tokens_map)
        return known | {
            "tokenizer_class": type(self._tokenizer).__name__,
            "chat_template": self._tokenizer.chat_template,
            "model_max_length": self._tokenizer.model_max_length,
            "vocab_size": len(self._tokenizer),
        }

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """The tokens' own names."""
        return [str(name) for name in self._tokenizer.convert_ids_to_tokens(list(token_ids))]

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Text to ids; `special`: with what the tokenizer puts around a text."""
        try:
            ids = self._tokenizer(text, add_special_tokens=special)["input_ids"]
        except (UnicodeEncodeError, TypeError) as error:
            raise invalid(f"The text is not valid Unicode: {error}") from error
        return [int(token) for token in ids]

    def given(self, given: Any) -> tuple[list[list[int]], str]:
        """Ids of each prompt of a plain completion (texts or ids, one or several); and all of them as one text."""
        if isinstance(given, str):
            return [self.text(given)], given
        if isinstance(given[0], int):
            given = [given]
        prompts, texts = [], []
        for one in given:
            if isinstance(one, str):
                prompts.append(self.text(one))
                texts.append(one)
            else:
                ids = list(one)
                self.check(ids, "prompt")
                prompts.append(ids)
                texts.append(self.decode(ids))
        return prompts, "\n".join(texts)

    def _plain(self, message: Message) -> dict[str, Any]:
        role = "system" if message.role == "developer" else message.role
        plain: dict[str, Any] = {"role": role, "content": message.text()}
        if message.tool_calls:
            plain["tool_calls"] = [call.model_dump() for call in message.tool_calls]
            if not self.knows_tools:
                import json

                calls = [{"name": c.function.name, "arguments": c.function.arguments} for c in message.tool_calls]
                plain["content"] += "".join(f"<tool_call>{json.dumps(call)}</tool_call>" for call in calls)
        return plain
