"""A completion ends at an end token, at a stop text, or when there is no room left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from r1ray.generation.stopping import StopRule, end_tokens
from tests.generation.conftest import make_model
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()


@pytest.fixture
def rule() -> StopRule:
    return StopRule(TOKENIZER, {2, 7})


def test_any_end_token_stops_even_at_the_limit(rule: StopRule) -> None:
    assert rule([5, 2], (), 10) == "stop"
    assert rule([5, 7], (), 2) == "stop"
    assert rule([5, 6], (), 2) == "length"
    assert rule([5, 6], (), 3) is None


@given(st.text(max_size=12), st.text(min_size=1, max_size=4))
def test_stop_text_ends_at_the_first_token_that_completes_it(before: str, stop: str) -> None:
    rule, ids = StopRule(TOKENIZER, ()), TOKENIZER(before + stop + " and more").input_ids
    ended = next(n for n in range(1, len(ids) + 1) if rule(ids[:n], (stop,), 1000))
    assert stop in rule.text(ids[:ended])
    assert all(stop not in rule.text(ids[:n]) for n in range(ended))


def test_text_leaves_special_tokens_out_and_spaces_alone(rule: StopRule) -> None:
    ids = TOKENIZER("so , 2 + 2 = 4 .").input_ids
    assert rule.text([*ids, 2]) == "so , 2 + 2 = 4 ."


def test_end_tokens_are_gathered_from_everywhere(tokenizer: PreTrainedTokenizerFast) -> None:
    model: PreTrainedModel = make_model("llama")
    model.config.eos_token_id = [4, 5]
    model.generation_config.eos_token_id = None
    assert end_tokens(model, tokenizer) == {2, 4, 5}
