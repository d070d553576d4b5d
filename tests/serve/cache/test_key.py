"""Everything that may change an answer changes its key, and nothing else does."""

from dataclasses import fields, replace

import pytest

from r1ray.serve.cache.key import NEUTRAL, Origin, is_deterministic, response_key

CHAT = "/v1/chat/completions"
REQUEST = {
    "model": "m",
    "messages": [{"role": "user", "content": "2 + 2?"}],
    "temperature": 0,
    "max_completion_tokens": 64,
}
ORIGIN = Origin(model="m@1")
CHANGES = {
    "messages": [{"role": "user", "content": "2 + 3?"}],
    "temperature": 0.1,
    "max_completion_tokens": 65,
    "max_tokens": 64,
    "top_p": 0.9,
    "seed": 1,
    "stop": ["\n"],
    "n": 2,
    "logit_bias": {"1": -100},
    "logprobs": True,
    "tools": [{"type": "function"}],
    "tool_choice": "none",
    "response_format": {"type": "json_object"},
    "best_of": 4,
    "a_field_of_tomorrow": 1,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_field_that_may_change_the_answer_changes_the_key(name):
    assert response_key(CHAT, {**REQUEST, name: CHANGES[name]}, ORIGIN) != response_key(CHAT, REQUEST, ORIGIN)


@pytest.mark.parametrize("name", [field.name for field in fields(Origin)])
def test_weights_template_guard_and_tenant_change_the_key(name):
    assert response_key(CHAT, REQUEST, replace(ORIGIN, **{name: "other"})) != response_key(CHAT, REQUEST, ORIGIN)


def test_the_endpoint_changes_the_key():
    assert response_key("/v1/completions", REQUEST, ORIGIN) != response_key(CHAT, REQUEST, ORIGIN)


def test_neutral_fields_order_and_spelling_of_numbers_do_not():
    request = {**dict(reversed(REQUEST.items())), **dict.fromkeys(NEUTRAL, "x"), "temperature": 0.0, "seed": None}
    assert response_key(CHAT, request, ORIGIN) == response_key(CHAT, REQUEST, ORIGIN)


def test_true_is_not_the_number_one():
    assert response_key(CHAT, {"logprobs": True}, ORIGIN) != response_key(CHAT, {"logprobs": 1}, ORIGIN)


def test_half_a_surrogate_pair_has_a_key_too():
    assert response_key(CHAT, {"prompt": "\ud83d"}, ORIGIN).startswith("answer/")


@pytest.mark.parametrize(
    ("request_", "deterministic"),
    [
        ({"temperature": 0}, True),
        ({"temperature": 0.0}, True),
        ({"seed": 7, "temperature": 1}, True),
        ({"top_k": 1}, True),
        ({}, False),
        ({"temperature": None}, False),
        ({"temperature": 0.5}, False),
        ({"temperature": False}, False),
    ],
)
def test_only_greedy_or_seeded_requests_are_deterministic(request_, deterministic):
    assert is_deterministic(request_) is deterministic
