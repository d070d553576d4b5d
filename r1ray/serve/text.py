"""From tokens to the text that a client sees, piece by piece: whole characters, cut at stop texts, reasoning apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tokenizers.decoders import DecodeStream
from tokenizers.pre_tokenizers import ByteLevel

OPEN, CLOSE = "<think>", "</think>"


class Detokenizer:
    """Tokens of one answer to text; bytes of an unfinished character wait for the rest of it."""

    def __init__(self, tokenizer: Any, *, special: bool = False) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=not special)

    def feed(self, token: int) -> str:
        """What this token completes."""
        return self._stream.step(self._backend, token) or ""


class StopCutter:
    """Ends the text before the first stop text, and holds back what may be the beginning of one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """What can be shown now."""
        if self.stopped or not self._stop:
            return "" if self.stopped else text
        self._held += text
        found = [place for stop in self._stop if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = max(_overlap(self._held, stop) for stop in self._stop)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def finish(self) -> str:
        """Nothing more comes: what was held is text after all."""
        shown, self._held = self._held, ""
        return shown


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an answer: of its reasoning, or of what follows."""

    content: str = ""
    reasoning: str = ""


class ReasoningSplitter:
    """Parts `<think>…</think>` at the beginning of an answer from the rest.

    `inside`: the prompt has opened the block already.
    """

    def __init__(self, inside: bool = False) -> None:
        self._state = "inside" if inside else "start"
        self._held = ""

    def feed(self, text: str, final: bool = False) -> Part:
        """The next piece of text, sorted."""
        self._held += text
        reasoning = ""
        if self._state == "start":
            begun = self._held.lstrip()
            if begun.startswith(OPEN):
                self._state, self._held = "inside", begun[len(OPEN) :]
            elif not final and OPEN.startswith(begun):
                return Part()
            else:
                self._state = "after"
        if self._state == "inside":
            place = self._held.find(CLOSE)
            if place < 0:
                keep = 0 if final else _overlap(self._held, CLOSE)
                end = len(self._held) - keep
                reasoning, self._held = self._held[:end], self._held[end:]
                return Part(reasoning=reasoning)
            reasoning, self._held = self._held[:place], self._held[place + len(CLOSE) :]
            self._state = "gap"
        if self._state == "gap":  # white space between the two belongs to neither
            self._held = self._held.lstrip()
            if not self._held:
                return Part(reasoning=reasoning)
            self._state = "after"
        content, self._held = self._held, ""
        return Part(content=content, reasoning=reasoning)


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if stop.startswith(text[len(text) - size :]):
            return size
    return 0


class TokenNames:
    """Tokens as log-prob entries name them: their text and their bytes."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._byte_of = _byte_level()
        self._size = len(tokenizer)

    def text(self, token: int) -> str:
        """As text; a piece of a character has the replacement character."""
        return str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False)) if token < self._size else ""

    def bytes(self, token: int) -> list[int]:
        """As bytes."""
        text = self.text(token)
        if "\ufffd" in text:
            name = self._tokenizer.convert_ids_to_tokens(token)
            if all(character in self._byte_of for character in name):
                return [self._byte_of[character] for character in name]
        return list(text.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=1)
def _byte_level() -> dict[str, int]:
    """The alphabet of byte-level tokenizers: printable bytes are themselves, the others characters from 256 on."""
    itself = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    names = {chr(byte): byte for byte in itself}
    for place, byte in enumerate(byte for byte in range(256) if byte not in itself):
        names[chr(256 + place)] = byte
    assert set(names) == set(ByteLevel.alphabet())
    return names
