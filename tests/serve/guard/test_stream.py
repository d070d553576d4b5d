"""However an answer is cut into pieces, what is sent is the same, and nothing forbidden is ever sent."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.data.privacy.detectors import DETECTORS
from r1ray.data.privacy.masking import Masker
from r1ray.serve.guard.patterns import Patterns
from r1ray.serve.guard.personal import PersonalData
from r1ray.serve.guard.stream import OutputStream
from r1ray.serve.guard.words import WordList

PIECES = [
    "mia@example.com", "(602) 272-9781", "+46 (0)8 928 571 38", "4111 1111 1111 1111", "GB82 WEST 1234 5698 7654 32",
    "AB 12 34 56 C", "123-45-6789", "8.8.8.8", "12345678Z", "phone", "555 12 34", "office", "12 + 30 = 42", "3.5", "16",
    "eggs", "Mia has", "is", " ", "\n", ", ", ".", "=", " = ", "x", "damn", "bad", "word", "sk-12", "sk-1", "d", "2",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.lists(st.sampled_from(PIECES)).map("".join)


def run(stream: OutputStream, pieces: list[str]) -> tuple[str, bool, list[str]]:
    async def drive() -> tuple[str, bool, list[str]]:
        sent = []
        for piece in pieces:
            checked = await stream.feed(piece)
            sent.append(checked.text)
            if checked.blocked:
                return "".join(sent), True, sent
        checked = await stream.finish()
        return "".join([*sent, checked.text]), checked.blocked, sent

    return asyncio.run(drive())


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[begin:end] for begin, end in pairwise(ends)]


@settings(max_examples=150)
@given(TEXTS, st.lists(st.integers(0, 300), max_size=12))
def test_masking_does_not_depend_on_the_pieces(text, places):
    whole = Masker(list(DETECTORS.values())).mask(text)
    for pieces in (cut(text, places), list(text)):
        assert run(OutputStream([], PersonalData(list(DETECTORS))), pieces)[:2] == (whole, False)


@settings(max_examples=100)
@given(TEXTS, st.lists(st.integers(0, 300), max_size=12))
def test_blocking_does_not_depend_on_the_pieces(text, places):
    rules = [WordList(["damn", "bad word"]), Patterns([r"sk-\d\d"]), PersonalData(["email"])]
    whole = run(OutputStream(rules), [text])[:2]
    for pieces in (cut(text, places), list(text)):
        sent, blocked, _ = run(OutputStream(rules), pieces)
        assert blocked == whole[1]
        if not blocked:
            assert sent == whole[0] == text
        assert text.startswith(sent)
        assert "damn" not in sent.split()
        assert "sk-12" not in sent


def test_nothing_is_held_that_cannot_become_forbidden():
    stream = OutputStream([WordList(["damn"]), Patterns([r"\bsk-\d+"])])
    pieces = ["Mia", " has", " 16", " eggs", ".", " s", "ome", " d", "ucks"]
    assert run(stream, pieces)[2] == ["Mia", " has", " 16", " eggs", ".", " ", "some", " ", "ducks"]


def test_a_blocked_answer_stays_blocked_and_says_which_rule():
    async def drive() -> None:
        stream = OutputStream([WordList(["damn"])])
        checked = await stream.feed("oh damn ")
        assert (checked.text, checked.blocked, checked.rule) == ("oh ", True, "words")
        again = await stream.feed("more")
        assert (again.text, again.blocked) == ("", True)
        assert (await stream.finish()).blocked

    asyncio.run(drive())


def test_an_expression_that_may_always_go_on_does_not_hold_an_answer_for_good():
    sent = run(OutputStream([Patterns([r"begin.*end"])]), ["begin " + "x" * 3000])[2]
    assert len(sent[0]) > 1900


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_classifier_sees_the_same_windows_however_the_answer_is_cut(size):
    seen: list[str] = []

    async def forbids(text: str) -> bool:
        seen.append(text)
        return False

    text = "".join(chr(97 + number % 26) for number in range(95))
    run(OutputStream([], forbids=forbids, stride=20), [text[at : at + size] for at in range(0, len(text), size)])
    assert seen == [text[max(0, end - 60) : end] for end in (20, 40, 60, 80, 95)]


def test_the_classifier_ends_an_answer():
    async def forbids(text: str) -> bool:
        return "hate" in text

    stream = OutputStream([], forbids=forbids, stride=10)
    sent, blocked, _ = run(stream, list("all is well until hate comes and goes on"))
    assert blocked
    assert sent == "all is well until hate comes "
