"""What is learned is marked by position: endings are, though they look like padding; prompts are not."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.data.conversations import Conversation, Message
from r1ray.data.encoding import TokenRow, cut, encode_conversation
from r1ray.data.sift import BadRow
from r1ray.errors import DataError
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<|>"), min_size=1, max_size=12)


def conversation(*said: str, system: str = "") -> Conversation:
    messages = [Message(role=("user", "assistant")[index % 2], content=text) for index, text in enumerate(said)]
    return Conversation(messages=(*([Message(role="system", content=system)] if system else []), *messages))


def learned(row: TokenRow) -> list[str]:
    marked = groupby(zip(row.token_ids, row.response_mask, strict=True), key=lambda pair: pair[1])
    return [str(TOKENIZER.decode([token for token, _ in part])) for mark, part in marked if mark]


def rendered(talk: Conversation) -> str:
    return str(TOKENIZER.apply_chat_template([message.to_chat() for message in talk.messages], tokenize=False))


def test_answers_and_their_endings_are_learned_and_nothing_else() -> None:
    row = encode_conversation(conversation("Hi", "Hello", "9+7?", "16", system="Be brief."), TOKENIZER)
    assert learned(row) == ["Hello<|im_end|>", "16<|im_end|>"]


@given(st.lists(TEXT, min_size=1, max_size=3), st.lists(TEXT, min_size=1, max_size=3), TEXT)
def test_the_ids_are_the_templates_text(asked: list[str], answered: list[str], system: str) -> None:
    talk = conversation(*(text for pair in zip(asked, answered, strict=False) for text in pair), system=system)
    row = encode_conversation(talk, TOKENIZER)
    # The template writes a newline after the last ending; a policy stops before it.
    assert TOKENIZER.decode(row.token_ids) == rendered(talk).removesuffix("\n")
    assert learned(row) == [message.content + "<|im_end|>" for message in talk.messages if message.role == "assistant"]


def test_only_the_last_turn_can_be_learned() -> None:
    talk = conversation("Hi", "Hello", "9+7?", "16")
    every, last = (encode_conversation(talk, TOKENIZER, turns=turns) for turns in ("all", "last"))
    assert learned(last) == ["16<|im_end|>"]
    assert last.token_ids == every.token_ids
    prompt, response = last.split()
    assert (prompt + response, TOKENIZER.decode(response)) == (last.token_ids, "16<|im_end|>")
    with pytest.raises(DataError, match="turns='last'"):
        every.split()


def test_the_prompt_is_the_one_that_a_policy_is_sampled_from() -> None:
    talk = conversation("9+7?", "16", system="Think.")
    chat = [message.to_chat() for message in talk.messages[:-1]]
    expected = TOKENIZER.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
    assert encode_conversation(talk, TOKENIZER).split()[0] == expected


def test_a_template_that_rewrites_earlier_turns_is_found_out() -> None:
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['content'] if loop.last else '…' }}>{% endfor %}"
        "{% if add_generation_prompt %}!{% endif %}"
    )
    talk = conversation("Hi", "Hello", "9+7?", "16")
    with pytest.raises(BadRow, match="rewrites"):
        encode_conversation(talk, tokenizer)
    assert encode_conversation(talk, tokenizer, turns="last").split()[1][-1] == tokenizer.eos_token_id


def test_a_base_models_prompt_is_paragraphs_and_a_newline() -> None:
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = None
    prompt, response = encode_conversation(conversation("9+7?", "16", system="Think."), tokenizer).split()
    assert tokenizer.decode(prompt) == "Think.\n\n9+7?\n"
    assert tokenizer.decode(response) == "16<|im_end|>"


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        ([1, 2], [True], "2 tokens and 1 marks"),
        ([1, 2], [False, False], "nothing to learn"),
        ([1, 2], [True, True], "no token predicts it"),
    ],
)
def test_a_row_that_teaches_nothing_is_refused(ids: list[int], mask: list[bool], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TokenRow(token_ids=ids, response_mask=mask)


def test_a_long_row_is_cut_at_its_end_unless_only_the_prompt_would_be_left() -> None:
    row = TokenRow(token_ids=[5, 6, 7, 8], response_mask=[False, False, True, True])
    assert cut(row, 3).token_ids == [5, 6, 7]
    with pytest.raises(BadRow, match="prompt too long"):
        cut(row, 2)
