r"""Where the steps of a chain of thought begin and end, in characters and in the tokens as they were sampled.

    "1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11"
     ╰─ step 1 ──╯  ╰─ step 2 ───╯  ╰ outcome: no step

Text is only ever decoded, never encoded again: a step's last token is found by character offsets.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal

from r1ray.errors import DataError
from r1ray.types import ReasoningStep

Decode = Callable[[list[int]], str]
"""Token ids to text, special tokens skipped and nothing tidied up."""
Separator = Literal["lines", "paragraphs"]
"""What parts two steps: a line break, or a blank line."""
Span = tuple[int, int]
"""Start and end (exclusive) of a piece of text, in characters."""

ANSWER_LINE = re.compile(
    r"[ \t]*(?:[0-9]+[.)][ \t]*)?(?:\*\*)?"
    r"(?:(?:the[ ]+)?(?:final[ ]+)?answer(?:\*\*)?[ \t]*:|####|<answer>|\$*\\boxed\b)",
    re.IGNORECASE,
)
"""How a line that states the final answer begins."""
_BREAKS = {"lines": re.compile(r"\n"), "paragraphs": re.compile(r"\n[ \t]*(?:\n[ \t]*)+")}
_REPLACEMENT = "\ufffd"


def step_spans(text: str, separator: Separator = "lines") -> list[Span]:
    """The steps of a chain of thought: ordered, disjoint, without surrounding white space, never empty.

    Where the text has a `<think>` block, only what is inside counts (to the end, if the block is never closed). Lines
    that state the final answer are the outcome, and no step. A step that was cut off by the token limit is a step.
    """
    start, end = _thought(text)
    spans = []
    for low, high in _pieces(text, start, end, separator):
        answer = _answer_start(text, low, high)
        low, high = _strip(text, low, answer)
        if low < high:
            spans.append((low, high))
    return spans


def token_char_ends(decode: Decode, token_ids: Sequence[int]) -> list[int]:
    """For each token, how many characters of the whole decoded text are complete once it is there.

    The list never falls and ends with the length of the text. A character that several tokens spell (byte-level tokens
    of an emoji, say) belongs to the last of them; special tokens, which `decode` skips, add nothing.
    """
    ids = list(token_ids)
    if not ids:
        return []
    text = decode(ids)
    pieces = _incremental_pieces(decode, ids)
    if "".join(pieces) == text:
        return list(accumulate(map(len, pieces)))
    return _char_ends_by_prefix(decode, ids, text)


def step_end_indices(char_ends: Sequence[int], spans: Sequence[Span]) -> list[int]:
    """The token that ends each span: the first one after which the span's last character is there.

    One function for labels of process-reward training, for its evaluation and for rewards in reinforcement. The indices
    strictly increase and lie inside the completion; where two spans end within one token, the later one moves to the
    next token (or, at the very end, the earlier one to the token before).

    Raises:
        DataError: there are more spans than tokens.
    """
    tokens, count = len(char_ends), len(spans)
    if count > tokens:
        raise DataError(f"{count} steps cannot end on different tokens: the completion has {tokens}.")
    indices: list[int] = []
    for number, (_, end) in enumerate(spans):
        after_previous = indices[-1] + 1 if indices else 0
        room_for_the_rest = tokens - (count - number)
        indices.append(min(max(bisect_left(char_ends, end), after_previous), room_for_the_rest))
    return indices


def find_steps(text: str, char_ends: Sequence[int], separator: Separator = "lines") -> list[ReasoningStep]:
    """The steps of a sampled completion, with the token that ends each.

    Args:
        text: what the sampled ids decode to.
        char_ends: `token_char_ends` of the sampled ids.
    """
    spans = step_spans(text, separator)
    while len(spans) > len(char_ends):  # one token that holds several whole lines: they are scored as one step
        *spans, (start, _), (_, end) = spans
        spans.append((start, end))
    ends = step_end_indices(char_ends, spans)
    return [
        ReasoningStep(text=text[start:end], start=start, end=end, last_token=last)
        for (start, end), last in zip(spans, ends, strict=True)
    ]


def _thought(text: str) -> Span:
    """What lies between `<think>` and `</think>`, or everything where there is no such block."""
    opened = text.find("<think>")
    start = 0 if opened < 0 else opened + len("<think>")
    closed = text.find("</think>", start)
    return start, len(text) if closed < 0 else closed


def _pieces(text: str, start: int, end: int, separator: Separator) -> list[Span]:
    """Split `text[start:end]` at the separator, which belongs to no piece."""
    breaks = list(_BREAKS[separator].finditer(text, start, end))
    starts = [start, *(found.end() for found in breaks)]
    ends = [*(found.start() for found in breaks), end]
    return list(zip(starts, ends, strict=True))


def _answer_start(text: str, start: int, end: int) -> int:
    """Offset of the first answer line in `text[start:end]` (a paragraph may end with one), or `end`."""
    for low, _ in _pieces(text, start, end, "lines"):
        if ANSWER_LINE.match(text, low, end):
            return low
    return end


def _strip(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _incremental_pieces(decode: Decode, ids: list[int]) -> list[str]:
    """What each token adds, decoding a few tokens at a time: the last finished piece is the context of the next.

    Tokens inside an unfinished character add "" and the one that finishes it adds it.
    """
    pieces: list[str] = []
    context, unread, context_text = 0, 0, ""
    for index in range(len(ids)):
        window = decode(ids[context : index + 1])
        new = window[len(context_text) :]
        if not new or (new.endswith(_REPLACEMENT) and index + 1 < len(ids)):
            pieces.append("")
            continue
        pieces.append(new)
        context, unread = unread, index + 1
        context_text = decode(ids[context:unread])
    return pieces


def _char_ends_by_prefix(decode: Decode, ids: list[int], text: str) -> list[int]:
    """The same from its definition, at a quadratic price: for decoders whose pieces do not simply add up."""
    ends, reached = [], 0
    for count in range(1, len(ids)):
        prefix = decode(ids[:count])
        agreed = next(
            (i for i, (a, b) in enumerate(zip(prefix, text, strict=False)) if a != b), min(len(prefix), len(text))
        )
        reached = max(reached, agreed)
        ends.append(reached)
    return [*ends, len(text)]
