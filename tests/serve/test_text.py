"""Text is cut and sorted alike however it arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.serve.text import Detokenizer, ReasoningSplitter, StopCutter, TokenNames
from tests.tiny import make_tiny_tokenizer


@given(st.text("ab<", max_size=20), st.lists(st.text("ab<", min_size=1, max_size=3), max_size=2), st.integers(1, 5))
def test_a_stop_text_is_cut_off_however_the_text_is_cut_up(text: str, stop: list[str], size: int) -> None:
    cutter = StopCutter(stop)
    shown = "".join(cutter.feed(text[start : start + size]) for start in range(0, len(text), size)) + cutter.finish()
    places = [place for one in stop if (place := text.find(one)) >= 0]
    # The earliest end decides: tokens come one by one, and the first stop text that is whole ends the answer.
    ends = [text.find(one) + len(one) for one in stop if one in text]
    if not places:
        assert shown == text and not cutter.stopped
    else:
        assert cutter.stopped and text.startswith(shown) and len(shown) <= min(ends)
        assert not any(one in shown for one in stop)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("text", "inside", "reasoning", "content"),
    [
        ("<think>so it is</think>\n\n4", False, "so it is", "4"),
        ("  <think>a</think>b", False, "a", "b"),
        ("so it is</think>4", True, "so it is", "4"),
        ("<think>cut off", False, "cut off", ""),
        ("plain <think>", False, "", "plain <think>"),
        ("<thin", False, "", "<thin"),
        ("1. 1 + 1 = 2", False, "", "1. 1 + 1 = 2"),
    ],
)
def test_reasoning_is_parted_from_the_answer(text: str, inside: bool, reasoning: str, content: str, size: int) -> None:
    splitter = ReasoningSplitter(inside)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.feed("", final=True)]
    assert "".join(part.reasoning for part in parts) == reasoning
    assert "".join(part.content for part in parts) == content


def test_characters_of_several_tokens_come_whole() -> None:
    tokenizer = make_tiny_tokenizer()
    ids, detokenizer = tokenizer("aé🙂")["input_ids"], Detokenizer(tokenizer)
    pieces = [detokenizer.feed(token) for token in ids]
    assert "".join(pieces) == "aé🙂" and pieces[0] == "a" and all("\ufffd" not in piece for piece in pieces)


def test_a_token_that_is_no_character_still_has_bytes() -> None:
    tokenizer = make_tiny_tokenizer()
    names = TokenNames(tokenizer)
    assert [names.bytes(token) for token in tokenizer("é")["input_ids"]] == [[0xC3], [0xA9]]
