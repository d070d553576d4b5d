"""Pairs of every form, and pairs of one's own rollouts on the sampled ids."""

from dataclasses import replace
from typing import Any

import pytest

from r1ray.data.preferences import PreferencePair, encode_pair, pairs_from_rollouts, parse_pair
from r1ray.data.sift import BadRow
from r1ray.types import Completion, Problem, Rollout, ScoredRollout
from tests.tiny import make_tiny_tokenizer

HH = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: 9+7?\n\nAssistant: "


def said(pair: PreferencePair) -> tuple[list[str], str, str, float]:
    return [message.content for message in pair.prompt], pair.chosen, pair.rejected, pair.strength


def test_hh_is_a_dialogue_with_two_endings() -> None:
    (pair,) = parse_pair({"chosen": HH + "16", "rejected": HH + "17"})
    assert said(pair) == (["Hi", "Hello", "9+7?"], "16", "17", 0.0)


@pytest.mark.parametrize(
    ("fields", "strength"),
    [
        ({"prompt": "9+7?", "chosen": "16", "rejected": "17"}, 0.0),
        ({"prompt": "9+7?", "chosen": "16", "rejected": "17", "score_chosen": 8, "score_rejected": 6.5}, 1.5),
        (
            {
                "prompt": "9+7?",
                "chosen": [{"role": "user", "content": "9+7?"}, {"role": "assistant", "content": "16"}],
                "rejected": [{"role": "user", "content": "9+7?"}, {"role": "assistant", "content": "17"}],
            },
            0.0,
        ),
        ({"instruction": "9+7?", "input": "", "output": "16", "chosen": "16", "rejected": "17"}, 0.0),
        (
            {
                "conversations": [{"from": "human", "value": "9+7?"}],
                "chosen": {"from": "gpt", "value": "16"},
                "rejected": {"from": "gpt", "value": "17"},
            },
            0.0,
        ),
    ],
)
def test_every_form_is_the_same_pair(fields: dict[str, Any], strength: float) -> None:
    (pair,) = parse_pair(fields)
    assert said(pair) == (["9+7?"], "16", "17", strength)


def test_rated_completions_give_a_pair_for_every_difference() -> None:
    completions = [
        {"response": "a", "overall_score": 5},
        {"response": "b", "overall_score": 9.0},
        {"response": "c", "overall_score": 5},
        {"response": "d", "overall_score": None},
    ]
    pairs = parse_pair({"instruction": "q", "completions": completions})
    assert [(pair.chosen, pair.rejected, pair.strength) for pair in pairs] == [("b", "a", 4.0), ("b", "c", 4.0)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "a "}, "both answers are the same"),
        ({"prompt": "q", "chosen": "a", "rejected": " "}, "an answer is empty"),
        ({"prompt": "q", "chosen": "a"}, "a turn is not an object"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 1, "score_rejected": 2},
         "the rejected answer scores higher"),
        ({"chosen": HH + "16", "rejected": "\n\nHuman: Ho\n\nAssistant: 17"}, "prompts differ"),
        ({"chosen": "16", "rejected": "17"}, "not a dialogue"),
        ({"instruction": "q", "completions": [{"response": "a", "overall_score": 1}]},
         "no two completions differ in score"),
        ({"prompt": "q", "chosen": [{"role": "user", "content": "z"}, {"role": "assistant", "content": "a"}],
          "rejected": "b"}, "prompts differ"),
        ({"conversations": [{"from": "gpt", "value": "q"}], "chosen": "a", "rejected": "b"}, "turns out of order"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_pair_says_why(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRow) as caught:
        parse_pair(fields)
    assert caught.value.reason == reason


def test_both_answers_follow_the_same_prompt_and_end() -> None:
    tokenizer = make_tiny_tokenizer()
    (pair,) = parse_pair({"prompt": "9+7?", "chosen": "16", "rejected": "17"})
    encoded = encode_pair(pair, tokenizer)
    assert str(tokenizer.decode(encoded.prompt_ids)).endswith("<|im_start|>assistant\n")
    assert tokenizer.decode(encoded.chosen_ids) == "16<|im_end|>"
    assert encode_pair(replace(pair, chosen="sixteen"), tokenizer).group == encoded.group


def scored(problem: str, ids: list[int], *, correct: bool, reward: float = 0.0) -> ScoredRollout:
    completion = Completion(token_ids=ids, logprobs=[0.0] * len(ids), finish_reason="stop")
    return ScoredRollout(
        rollout=Rollout(
            problem=Problem(id=problem, question=problem, answer="1"),
            prompt_ids=[1],
            completion=completion,
            policy_version=0,
        ),
        steps=[],
        step_scores=[],
        outcome_reward=reward or float(correct),
        components={},
        correct=correct,
    )


def test_rollouts_pair_right_with_wrong_attempts_at_the_same_problem() -> None:
    rollouts = [
        scored("a", [5], correct=True),
        scored("b", [6], correct=False),
        scored("a", [7], correct=False),
        scored("a", [7], correct=False),  # the same attempt again is no further pair
        scored("b", [8], correct=False),
    ]
    (pair,) = pairs_from_rollouts(rollouts, per_problem=9)
    assert (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids, pair.group) == ([1], [5], [7], "a")


def test_which_pairs_are_taken_depends_on_neither_order_nor_company() -> None:
    rollouts = [scored("a", [number], correct=number % 2 == 0) for number in range(8)]
    others = [scored("b", [number], correct=number % 2 == 0) for number in range(8)]
    alone = pairs_from_rollouts(rollouts, per_problem=3, seed=4)
    together = pairs_from_rollouts([*others, *reversed(rollouts)], per_problem=3, seed=4)
    assert len(alone) == 3
    assert [pair for pair in together if pair.group == "a"] == alone


def test_pairs_too_close_in_reward_are_left_out() -> None:
    rollouts = [scored("a", [5], correct=True, reward=0.6), scored("a", [7], correct=False, reward=0.4)]
    assert pairs_from_rollouts(rollouts, min_gap=0.5) == []
    assert pairs_from_rollouts(rollouts, min_gap=0.1)[0].strength == pytest.approx(0.2)
