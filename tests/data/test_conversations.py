"""Every form of row becomes the same conversation, or says why it cannot."""

from typing import Any

import pytest

from r1ray.data.conversations import Conversation, parse_conversation, solved_problem
from r1ray.data.sift import BadRow
from r1ray.types import Problem

SOLUTION = "1. 9 + 7 = 16\nAnswer: 16"


def turns(conversation: Conversation) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in conversation.messages]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": "9 + 7?"}, {"role": "assistant", "content": SOLUTION}]},
        {"conversations": [{"from": "human", "value": "9 + 7?"}, {"from": "gpt", "value": SOLUTION}]},
        {"question": "9 + 7?", "solution": "9 + 7 = 16", "answer": "16"},
        {"question": "9 + 7?", "answer": "9 + 7 = <<9+7=16>>16\n#### 16"},
        {"problem": "9 + 7?", "solution": "9 + 7 = 16\n\\boxed{16}"},
        {"prompt": "9 + 7?", "response": SOLUTION},
        {"prompt": "9 + 7?", "completion": SOLUTION},
        {"instruction": "9 + 7?", "input": "", "output": SOLUTION},
    ],
)
def test_every_form_is_the_same_conversation(fields: dict[str, Any]) -> None:
    (conversation,) = parse_conversation(fields)
    assert turns(conversation) == [("user", "9 + 7?"), ("assistant", SOLUTION)]


def test_a_system_line_is_added_where_the_row_brings_none() -> None:
    (plain,) = parse_conversation({"prompt": "a", "response": "b"}, system="Think.")
    assert turns(plain)[0] == ("system", "Think.")
    own = {"messages": [{"role": "system", "content": "Own."}, *({"role": "user", "content": "a"},)]}
    own["messages"].append({"role": "assistant", "content": "b"})
    (kept,) = parse_conversation(own, system="Think.")
    assert turns(kept)[0] == ("system", "Own.")


def test_alpacas_input_follows_its_instruction() -> None:
    (conversation,) = parse_conversation({"instruction": "Add.", "input": "9, 7", "output": "16"})
    assert turns(conversation)[0] == ("user", "Add.\n\n9, 7")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "no prompt"),
        ({"prompt": "a"}, "no response"),
        ({"prompt": "a", "response": "  "}, "no response"),
        ({"prompt": 3, "response": "b"}, "prompt is not text"),
        ({"question": "9 + 7?", "answer": "16"}, "no solution"),
        ({"question": "9 + 7?"}, "no answer"),
        ({"messages": []}, "no messages"),
        ({"messages": ["a"]}, "a turn is not an object"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "unknown role"),
        ({"messages": [{"role": "system", "content": "a"}]}, "no turns"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "turns out of order"),
        ({"messages": [{"role": "user", "content": "a"}]}, "does not end with the assistant"),
        ({"messages": [{"role": "user", "content": "a"}] * 2}, "turns out of order"),
    ],
)
def test_a_row_that_is_no_conversation_says_why(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRow) as caught:
        parse_conversation(fields)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "solution", ["9 + 7 = 16\n16 - 5 = 11\n", "1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11"], ids=["bare", "numbered"]
)
def test_a_solved_problem_is_in_the_form_that_is_trained(solution: str) -> None:
    problem = Problem(id="x", question="9 + 7 - 5?", answer="11", solution=solution)
    assert turns(solved_problem(problem, "Think.")) == [
        ("system", "Think."),
        ("user", "9 + 7 - 5?"),
        ("assistant", "1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11"),
    ]
