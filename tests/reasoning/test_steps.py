import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.errors import DataError
from r1ray.reasoning.steps import ANSWER_LINE, find_steps, step_end_indices, step_spans, token_char_ends
from tests.reasoning.helpers import byte_level_tokenizer, char_decode, pieces_decode

SOLUTION = "1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11"

# Texts that look like chains of thought: lines, blank lines, answers, tags, and characters of one to four bytes.
FRAGMENTS = st.sampled_from(
    [
        "\n",
        "\n\n",
        " ",
        "1. 9 + 7 = 16",
        "so",
        "é",
        "√",
        "🥚",
        "Answer: 11",
        "#### 3",
        "\\boxed{4}",
        "<think>",
        "</think>",
        "\t",
        "\ufffd",
    ]
)
TEXTS = st.lists(FRAGMENTS, max_size=14).map("".join)
BPE = byte_level_tokenizer()


def texts_of(text: str, separator: str = "lines") -> list[str]:
    return [text[start:end] for start, end in step_spans(text, separator)]  # type: ignore[arg-type]


def test_every_line_is_a_step_and_the_answer_line_is_none() -> None:
    assert texts_of(SOLUTION) == ["1. 9 + 7 = 16", "2. 16 - 5 = 11"]


@pytest.mark.parametrize("text", ["", " \n\t\n ", "Answer: 11", "#### 11", "<think></think>"])
def test_a_text_without_reasoning_has_no_steps(text: str) -> None:
    assert step_spans(text) == []
    assert find_steps(text, token_char_ends(char_decode, [ord(char) for char in text])) == []


@pytest.mark.parametrize(
    "line",
    [
        "Answer: 1",
        "answer : 1",
        "**Answer:** 1",
        "The final answer: 1",
        "3. Answer: 1",
        "#### 1",
        "<answer>1",
        "$\\boxed{1}$",
    ],
)
def test_a_line_that_states_the_answer_is_no_step_however_it_does(line: str) -> None:
    assert texts_of(f"2 + 2 = 4\n{line}") == ["2 + 2 = 4"]


def test_a_step_cut_off_by_the_token_limit_is_a_step() -> None:
    assert texts_of("1. 9 + 7 = 16\n2. 16 -") == ["1. 9 + 7 = 16", "2. 16 -"]


def test_of_a_think_block_only_the_inside_counts() -> None:
    assert texts_of("<think>\n9 + 7 = 16\nso 16\n</think>\nMia has 16.\nAnswer: 16") == ["9 + 7 = 16", "so 16"]
    assert texts_of("<think>\n9 + 7 = 16\nso") == ["9 + 7 = 16", "so"]
    assert texts_of("the prompt opened the block\n</think>\nAnswer: 16") == ["the prompt opened the block"]


def test_paragraphs_are_parted_by_blank_lines_and_end_before_the_answer() -> None:
    text = "First\nadd.\n \n\nThen\nsubtract.\nAnswer: 3"
    assert texts_of(text, "paragraphs") == ["First\nadd.", "Then\nsubtract."]


def test_each_step_ends_on_the_token_that_holds_its_last_character() -> None:
    #         0     1     2      3     4     5
    pieces = ["1. ", "9+7=", "16", "\n2. ", "ok", "\nAnswer: 16"]
    decode = pieces_decode(pieces)
    ends = token_char_ends(decode, range(6))
    assert ends == [3, 7, 9, 13, 15, 26]
    steps = find_steps(decode(list(range(6))), ends)
    assert [(step.text, step.start, step.end, step.last_token) for step in steps] == [
        ("1. 9+7=16", 0, 9, 2),
        ("2. ok", 10, 15, 4),
    ]


def test_special_tokens_end_no_step() -> None:
    ids = [ord("a"), ord("b"), 0, 0]
    assert token_char_ends(char_decode, ids) == [1, 2, 2, 2]
    assert [step.last_token for step in find_steps("ab", [1, 2, 2, 2])] == [1]


def test_a_character_of_several_tokens_belongs_to_the_last_of_them() -> None:
    text = "9 🥚\n√4"
    ids = BPE.encode(text).ids
    ends = token_char_ends(BPE.decode, ids)
    # "9", " " in one or two tokens, then four for the egg's bytes, one for "\n", three for the root's, one for "4".
    assert ends[-9:] == [2, 2, 2, 3, 4, 4, 4, 5, 6]
    assert [(step.text, step.last_token) for step in find_steps(text, ends)] == [
        ("9 🥚", len(ids) - 6),
        ("√4", len(ids) - 1),
    ]


def test_a_completion_cut_off_within_a_character_still_adds_up() -> None:
    ids = BPE.encode("9 🥚").ids[:-1]
    text = BPE.decode(ids)
    ends = token_char_ends(BPE.decode, ids)
    assert text.endswith("\ufffd")
    assert ends[-1] == len(text)
    assert ends == sorted(ends)


def test_decoders_that_drop_a_leading_space_only_at_the_very_start_are_followed() -> None:
    def decode(ids: list[int]) -> str:  # as SentencePiece does
        return "".join([" a", " b", "c", " d"][token] for token in ids).removeprefix(" ")

    assert decode([0, 1, 2, 3]) == "a bc d"
    assert token_char_ends(decode, [0, 1, 2, 3]) == [1, 3, 4, 6]


def test_decoders_whose_pieces_do_not_add_up_are_followed_by_prefixes() -> None:
    def decode(ids: list[int]) -> str:  # tidies " ." up to ".", and writes a lone middle token otherwise
        text = "".join(["a", "b", " ."][token] for token in ids).replace(" .", ".")
        return text if ids[0] == 0 else text.upper()

    assert decode([0, 1, 2]) == "ab."
    assert token_char_ends(decode, [0, 1, 2, 1, 1]) == [1, 2, 3, 4, 5]


@given(TEXTS)
def test_spans_are_ordered_disjoint_and_trimmed(text: str) -> None:
    spans = step_spans(text)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)


@given(TEXTS.filter(lambda text: "think>" not in text))
def test_every_line_with_ink_is_either_a_step_or_an_answer(text: str) -> None:
    steps = texts_of(text)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    assert steps == [line for line in lines if not ANSWER_LINE.match(line)]


@given(TEXTS, st.data())
def test_char_ends_never_fall_and_reach_the_end_of_the_text(text: str, data: st.DataObject) -> None:
    ids = BPE.encode(text).ids
    ids = ids[: data.draw(st.integers(0, len(ids)))]
    decoded = BPE.decode(ids)
    ends = token_char_ends(BPE.decode, ids)
    assert len(ends) == len(ids)
    assert ends == sorted(ends)
    assert not ids or ends[-1] == len(decoded)
    # Where a token ends on a whole character, the text up to there is what the tokens up to there say.
    for count, end in enumerate(ends, start=1):
        prefix = BPE.decode(ids[:count])
        if not prefix.endswith("\ufffd"):
            assert prefix == decoded[:end]


@given(TEXTS, st.data())
def test_last_tokens_strictly_increase_inside_the_completion(text: str, data: st.DataObject) -> None:
    # Any cutting of the text into tokens, empty ones and ones of many lines included.
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    ends = [*cuts, len(text)]
    steps = find_steps(text, ends)
    last_tokens = [step.last_token for step in steps]
    assert last_tokens == sorted(set(last_tokens))
    assert all(0 <= token < len(ends) for token in last_tokens)
    # No step is lost: where tokens are too few, the last ones are one step.
    assert "".join(step.text for step in steps).split() == "".join(texts_of(text)).split() or len(steps) == len(ends)


@given(TEXTS)
def test_a_step_ends_on_the_first_token_that_completes_it_where_tokens_are_characters(text: str) -> None:
    ends = list(range(1, len(text) + 1))
    assert [step.last_token for step in find_steps(text, ends)] == [end - 1 for _, end in step_spans(text)]


def test_two_steps_within_one_token_end_on_neighbouring_tokens() -> None:
    # "a\nb" is one token: b moves on to the next token; with none after it, a moves back.
    assert step_end_indices([3, 4], [(0, 1), (2, 3)]) == [0, 1]
    assert step_end_indices([1, 4], [(1, 2), (3, 4)]) == [0, 1]


def test_more_steps_than_tokens_are_refused_for_labels_and_merged_for_rewards() -> None:
    with pytest.raises(DataError, match="2 steps cannot end on different tokens: the completion has 1"):
        step_end_indices([3], [(0, 1), (2, 3)])
    assert [(step.text, step.last_token) for step in find_steps("a\nb", [3])] == [("a\nb", 0)]
