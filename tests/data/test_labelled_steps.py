"""Labels sit where scores will be read: on the token that ends each step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.data.labelled_steps import LabelledSolution, encode_steps, place_labels
from r1ray.errors import DataError
from r1ray.reasoning.steps import find_steps, token_char_ends
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()


def decode(ids: list[int]) -> str:
    return str(TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def solution(steps: list[str], labels: list[float | None], **extra: object) -> LabelledSolution:
    return LabelledSolution(question="q", steps=tuple(steps), labels=tuple(labels), **extra)  # type: ignore[arg-type]


@given(st.lists(st.text("0123456789+= é€", min_size=1, max_size=9).filter(str.strip), min_size=1, max_size=6))
def test_labels_are_on_the_last_token_of_their_steps(steps: list[str]) -> None:
    row = encode_steps(solution(steps, [1.0] * len(steps)), TOKENIZER, decode)
    assert len(row.positions) == len(row.labels) == len(steps)
    start = TOKENIZER.encode("assistant\n", add_special_tokens=False)
    text = decode(row.token_ids)
    for position, step in zip(row.positions, steps, strict=True):
        assert decode(row.token_ids[: position + 1]).endswith(step)
    assert row.token_ids.index(start[-1]) < row.positions[0]
    assert text.endswith("\n".join(steps))


def test_they_are_where_reinforcement_finds_the_same_steps() -> None:
    steps = ["1. 9 + 7 = 16", "2. 16 - 5 = 11"]
    row = encode_steps(solution(steps, [1.0, 0.0]), TOKENIZER, decode)
    ids = TOKENIZER.encode("\n".join(steps), add_special_tokens=False)
    found = find_steps("\n".join(steps), token_char_ends(decode, ids))
    prompt = len(row.token_ids) - len(ids)
    assert row.positions == [prompt + step.last_token for step in found]


def test_unlabelled_steps_are_read_and_not_learned() -> None:
    row = encode_steps(solution(["a", "b", "c"], [1.0, None, 0.25], ratings=(1, None, -1)), TOKENIZER, decode)
    assert (row.labels, row.ratings) == ([1.0, 0.25], [1, -1])
    assert [decode([row.token_ids[position]]) for position in row.positions] == ["a", "c"]


def test_sampled_ids_are_taken_as_they_are() -> None:
    row = place_labels([1, 2], [7, 8, 9], [0, 2], solution(["a", "b"], [None, 1.0]))
    assert (row.token_ids, row.positions, row.labels) == ([1, 2, 7, 8, 9], [4], [1.0])


@pytest.mark.parametrize(
    ("steps", "labels", "message"),
    [(["a", "b"], [1.0], "2 steps have 1 labels"), (["a"], [None], "No step of the solution is labelled")],
)
def test_labels_that_are_lost_are_an_error(steps: list[str], labels: list[float | None], message: str) -> None:
    with pytest.raises(DataError, match=message):
        solution(steps, labels)
