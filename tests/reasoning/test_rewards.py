from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.config.reward import RewardConfig
from r1ray.errors import DataError
from r1ray.reasoning.functions import UserFunction, load_function
from r1ray.reasoning.grading import Grader
from r1ray.reasoning.rewards import call_user_function, format_score, length_penalty, rollout_steps, score_rollouts
from r1ray.types import Rollout, ScoredRollout
from tests.reasoning.helpers import byte_level_tokenizer, char_decode, make_rollout

SOLUTION = "1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11"


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(seconds=20.0) as shared:
        yield shared


def score(
    rollouts: list[Rollout], config: RewardConfig | None = None, **kwargs: Any
) -> tuple[list[ScoredRollout], dict[str, int]]:
    with Grader() as grader:
        return score_rollouts(rollouts, config or RewardConfig(), char_decode, grader, max_new_tokens=80, **kwargs)


def score_one(text: str, config: RewardConfig | None = None, **kwargs: Any) -> ScoredRollout:
    ((scored,), _) = score([make_rollout(text)], config, **kwargs)
    return scored


def test_a_perfect_completion_earns_every_weight_in_full() -> None:
    # Outcome 1.0 and format 0.1 at the end; 0.3 for the steps, half of it on each.
    scored = score_one(SOLUTION)
    assert scored.outcome_reward == pytest.approx(1.0 + 0.1)
    assert scored.step_scores == pytest.approx([0.15, 0.15])
    assert scored.components == {"outcome": 1.0, "step": 1.0, "format": 1.0, "length": 0.0}
    assert scored.correct
    assert [step.last_token for step in scored.steps] == [12, 27]


def test_a_wrong_answer_after_a_false_step() -> None:
    # 9 + 7 = 16 earns 1/2 and 16 - 5 = 12 costs 1/2, each times 0.3; the form is still right.
    scored = score_one("1. 9 + 7 = 16\n2. 16 - 5 = 12\nAnswer: 12")
    assert scored.outcome_reward == pytest.approx(0.1)
    assert scored.step_scores == pytest.approx([0.15, -0.15])
    assert not scored.correct


def test_an_empty_completion_is_scored_zero() -> None:
    scored = score_one("")
    assert (scored.steps, scored.step_scores, scored.outcome_reward, scored.correct) == ([], [], 0.0, False)


def test_a_weight_of_zero_keeps_the_component_in_the_log_and_out_of_the_reward() -> None:
    scored = score_one(SOLUTION, RewardConfig(outcome_weight=1.0, step_weight=0.0, format_weight=0.0))
    assert (scored.outcome_reward, scored.step_scores) == (1.0, [0.0, 0.0])
    assert scored.components["step"] == 1.0


def test_process_scores_are_weighted_and_added_to_the_checkers() -> None:
    # 0.3 · 1/2 + 2.0 · p for each step.
    scored = score_one(SOLUTION, RewardConfig(process_weight=2.0), process_scores=[[0.25, 0.75]])
    assert scored.step_scores == pytest.approx([0.15 + 0.5, 0.15 + 1.5])
    assert scored.components["process"] == pytest.approx(0.5)


def test_process_scores_must_be_one_for_each_step() -> None:
    with pytest.raises(ValueError, match="zip"):
        score_one(SOLUTION, process_scores=[[0.25]])


def test_the_length_component_uses_the_sampling_limit() -> None:
    # 60 tokens, limit 80, buffer 32: 12 over 48, so -12/32.
    scored = score_one("x" * 60, RewardConfig(length_weight=0.5, length_buffer=32))
    assert scored.components["length"] == pytest.approx(-0.375)
    assert scored.outcome_reward == pytest.approx(0.5 * -0.375)


def test_counters_tell_what_the_checker_saw_and_what_was_cut_off() -> None:
    rollouts = [
        make_rollout("1. 9 + 7 = 16\n2. 2 * 2 = 4\n3. 9 + 7 = 16\n4. so\n5. 1 + 1 = 3\nAnswer: 4"),
        make_rollout("1. 9 + 7 = 16\n2. 16 - 5 = 1", finish_reason="length"),
    ]
    _, counters = score(rollouts)
    assert counters == {
        "steps_right": 2,
        "steps_false": 1,
        "steps_ungrounded": 1,
        "steps_repeat": 1,
        "steps_none": 2,
        "truncated": 1,
        "grader_timeouts": 0,
        "grader_crashes": 0,
    }


def test_a_step_that_was_cut_off_is_not_judged() -> None:
    # "16 - 5 = 1" was on its way to 11; had the completion said stop, it would be false.
    cut, whole = (make_rollout("1. 16 - 5 = 1", finish_reason=reason) for reason in ("length", "stop"))
    (scored, judged), _ = score([cut, whole])
    assert scored.step_scores == [0.0]
    assert judged.step_scores == pytest.approx([-0.15])


def test_text_and_offsets_come_from_the_sampled_ids() -> None:
    tokenizer = byte_level_tokenizer()
    ids = [*tokenizer.encode("1. 9 + 7 = 16 🥚\n2. 16 - 5 = 11\nAnswer: 11").ids, tokenizer.token_to_id("<eos>")]
    rollout = make_rollout("", token_ids=ids)
    with Grader() as grader:
        (scored,), _ = score_rollouts([rollout], RewardConfig(), tokenizer.decode, grader, max_new_tokens=80)
    assert scored.rollout.completion.token_ids == ids
    assert scored.rollout.completion.text.endswith("Answer: 11")
    assert scored.outcome_reward == pytest.approx(1.1)
    for step in scored.steps:
        assert tokenizer.decode(ids[: step.last_token + 1]).endswith(step.text)


@pytest.mark.parametrize(
    "text",
    [
        "1. 9 + 7 = 16\nAnswer: 16",
        "1. so\n2. on\n3. and\nAnswer: x^2",
        "1. a\nAnswer: 16\n",
    ],
)
def test_numbered_steps_and_one_answer_line_are_the_form(text: str) -> None:
    assert format_score(make_rollout(text)) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Answer: 16",
        "1. 9 + 7 = 16",
        "1. 9 + 7 = 16\nAnswer:",
        "9 + 7 = 16\nAnswer: 16",
        "2. 9 + 7 = 16\nAnswer: 16",
        "1. a\n3. b\nAnswer: 16",
        "1. a\n1. b\nAnswer: 16",
        "1. a\nb\n2. c\nAnswer: 16",
        "1. a\n\n2. b\nAnswer: 16",
        "1. a\nAnswer: 16\nAnswer: 17",
        "1. a\n2. Answer: 3\nAnswer: 16",
        "1. a\nAnswer: 16\n2. b",
        "1. a\nAnswer: 16\nI am sure.",
        "1.\nAnswer: 16",
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert format_score(make_rollout(text)) == 0.0


def test_a_truncated_completion_has_no_form() -> None:
    assert format_score(make_rollout("1. a\nAnswer: 16", finish_reason="length")) == 0.0


@pytest.mark.parametrize(
    ("length", "penalty"),
    [(0, 0.0), (48, 0.0), (49, -1 / 32), (64, -0.5), (80, -1.0), (200, -1.0)],
)
def test_the_length_penalty_is_daposs(length: int, penalty: float) -> None:
    # L_max 80, L_cache 32: 0 up to 48, then (48 - length) / 32, then -1.
    assert length_penalty(length, 80, 32) == pytest.approx(penalty)


def test_without_a_buffer_only_what_is_over_the_limit_is_punished() -> None:
    assert [length_penalty(length, 80, 0) for length in (79, 80, 81)] == [0.0, 0.0, -1.0]


@given(st.integers(0, 300), st.integers(1, 200), st.integers(0, 200))
def test_a_longer_completion_is_never_punished_less(length: int, limit: int, buffer: int) -> None:
    assert -1 <= length_penalty(length + 1, limit, buffer) <= length_penalty(length, limit, buffer) <= 0


def test_a_users_float_joins_the_outcome_and_a_users_list_joins_the_steps() -> None:
    whole = UserFunction("brevity", lambda rollout: -len(rollout.completion.text) / 100, 2.0)
    each = UserFunction("spread", lambda rollout: [1.0, 2.0], 0.1)
    scored = score_one(SOLUTION, functions=[whole, each])
    # 39 characters: 1.1 + 2.0 · (-0.39); steps 0.15 + 0.1 and 0.15 + 0.2.
    assert len(SOLUTION) == 39
    assert scored.outcome_reward == pytest.approx(1.1 - 0.78)
    assert scored.step_scores == pytest.approx([0.25, 0.35])
    assert (scored.components["brevity"], scored.components["spread"]) == (pytest.approx(-0.39), 3.0)


def test_a_function_named_on_the_command_line_is_a_reward(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def polite(rollout):\n    return float('please' in rollout.completion.text)\n")
    scored = score_one("please", functions=[load_function(f"{tmp_path}/mine.py:polite@0.5")])
    assert (scored.outcome_reward, scored.components["polite"]) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda rollout: None, "returned None; expected a float, or a list of one float for each step"),
        (lambda rollout: "good", "returned 'good'; expected a float"),
        (lambda rollout: {"a": 1}, "returned {'a': 1}; expected a float"),
        (lambda rollout: [1.0, None], r"returned \[1.0, None\]; expected a float"),
        (lambda rollout: [1.0, 2.0, 3.0], "returned 3 step scores; the completion has 2 steps"),
        (lambda rollout: float("nan"), "returned nan; expected finite numbers"),
        (lambda rollout: rollout.nothing, "raised AttributeError"),
    ],
)
def test_what_a_users_function_may_not_return_is_refused_by_name(
    function: Callable[[Rollout], Any], message: str
) -> None:
    with pytest.raises(DataError, match=f"Reward function 'mine' on problem p {message}"):
        call_user_function(UserFunction("mine", function), make_rollout(SOLUTION), steps=2)


def test_numpy_values_are_as_good_as_floats() -> None:
    import numpy as np

    rollout = make_rollout(SOLUTION)
    assert call_user_function(UserFunction("mine", lambda _: np.float32(0.5)), rollout, steps=2) == 0.5
    assert call_user_function(UserFunction("mine", lambda _: np.array(0.5)), rollout, steps=2) == 0.5
    assert call_user_function(UserFunction("mine", lambda _: np.array([0.5, 1.0])), rollout, steps=2) == [0.5, 1.0]


def test_the_steps_of_a_rollout_are_those_that_are_scored() -> None:
    rollout = make_rollout(SOLUTION)
    assert rollout_steps(rollout, char_decode) == score_one(SOLUTION).steps


@given(st.text(alphabet="1234567890. +-=\nAnswer:", max_size=80), st.sampled_from(["stop", "length"]))
def test_scores_are_aligned_with_steps_and_bounded_for_any_text(grader: Grader, text: str, finish_reason: Any) -> None:
    rollout = make_rollout(text, finish_reason=finish_reason)
    (scored,), _ = score_rollouts([rollout], RewardConfig(), char_decode, grader, max_new_tokens=80)
    assert len(scored.steps) == len(scored.step_scores)
    assert -0.3 - 1e-9 <= sum(scored.step_scores) <= 0.3 + 1e-9
    assert 0 <= scored.outcome_reward <= 1.1
