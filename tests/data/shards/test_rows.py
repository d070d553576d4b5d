import pytest

from r1ray.config.shards import ShardsConfig
from r1ray.data.shards.rows import tokenise_row
from r1ray.data.sift import BadRow
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
CONFIG = ShardsConfig(max_tokens=64, pack_tokens=64)
END = TOKENIZER.eos_token_id


def test_the_answer_of_a_conversation_is_what_is_learned():
    (row,) = tokenise_row({"id": "a", "prompt": "hi", "response": "yes"}, TOKENIZER, CONFIG)
    prompt, response = row.tokens.split()
    assert TOKENIZER.decode(prompt) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert response == [*TOKENIZER.encode("yes"), END]
    assert row.prompt_ids == prompt
    assert row.id == "a"


def test_all_turns_are_learned_where_that_is_asked():
    turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    chat = {"messages": [{"role": role, "content": content} for role, content in turns]}
    config = ShardsConfig(max_tokens=256, pack_tokens=256, turns="all")
    (row,) = tokenise_row(chat, TOKENIZER, config)
    learned = [row.token_ids[begin:end] for begin, end in zip(row.learned[::2], row.learned[1::2], strict=True)]
    assert learned == [[*TOKENIZER.encode("b"), END], [*TOKENIZER.encode("d"), END]]


def test_a_document_is_cut_into_pieces_that_make_the_whole():
    text = "abc " * 40
    rows = tokenise_row({"id": "d", "text": text}, TOKENIZER, CONFIG)
    assert [row.id for row in rows] == ["d", "d#1", "d#2"]
    assert all(len(row.token_ids) <= 64 and row.token_ids[0] == END for row in rows)
    assert [token for row in rows for token in row.token_ids[1:]] == [*TOKENIZER.encode(text), END]


def test_fields_without_a_value_are_no_fields():
    """A table gives every row every column."""
    row = {"id": "d", "text": "abc", "question": None, "solution": None}
    assert tokenise_row(row, TOKENIZER, CONFIG)[0].token_ids == [END, *TOKENIZER.encode("abc"), END]


def test_a_row_without_an_id_is_named_by_its_content():
    one, same, other = (tokenise_row({"text": text}, TOKENIZER, CONFIG)[0].id for text in ("abc", "abc", "abd"))
    assert one == same != other


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "  "}, "no text"),
        ({"number": 3}, "no text"),
        ({"question": "How many?", "answer": "3"}, "no solution"),
        ({"prompt": "x" * 80, "response": "y"}, "prompt too long"),
    ],
)
def test_rows_with_nothing_to_learn_are_bad(row, reason):
    with pytest.raises(BadRow) as error:
        tokenise_row(row, TOKENIZER, CONFIG)
    assert error.value.reason == reason
