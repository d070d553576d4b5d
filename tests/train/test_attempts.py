"""Sampled solutions: what is known of them, as data and as training rows."""

import json

import pytest

from r1ray.config.reward_model import StepLabelsConfig
from r1ray.reasoning.checker import check_steps
from r1ray.reasoning.steps import find_steps
from r1ray.train.attempts import Attempt, attempt_seed, from_row, to_row
from r1ray.train.prefix_cache import Outcome
from r1ray.train.reward_rows import group_pairs, monte_carlo_rows, row_lengths, rule_rows
from r1ray.types import Completion, Problem, Rollout, ScoredRollout

PROBLEM = Problem(id="p", question="Compute 9 + 7 - 5.", answer="11", level=2)
RIGHT = "1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11"
FALSE = "1. 9 + 7 = 16\n2. 16 - 5 = 12\nAnswer: 12"
NOWHERE = "1. 9 + 7 = 16\n2. 16 - 4 = 12\nAnswer: 12"
OTHER_WAY = "1. 9 + 7 = 16\n2. 16 + 5 = 21\nAnswer: 21"


def attempt(text: str, outcomes: tuple[int, ...] = (), problem: Problem = PROBLEM) -> Attempt:
    """One token a character; each outcome is of four completions."""
    ids = [ord(letter) for letter in text]
    steps = find_steps(text, list(range(1, len(ids) + 1)))
    verdicts = tuple(step.verdict.value for step in check_steps(problem, [step.text for step in steps]))
    completion = Completion(token_ids=ids, logprobs=[-1.0] * len(ids), finish_reason="stop", text=text)
    return Attempt(
        scored=ScoredRollout(
            rollout=Rollout(problem=problem, prompt_ids=[1, 2, 3], completion=completion, policy_version=0),
            steps=steps,
            step_scores=[0.0] * len(steps),
            outcome_reward=1.0 if text == RIGHT else 0.0,
            components={},
            correct=text == RIGHT,
        ),
        verdicts=verdicts,
        outcomes=tuple(Outcome(right=right, samples=4) for right in outcomes),
    )


@pytest.mark.parametrize(
    ("text", "first_error"),
    [(RIGHT, -1), (FALSE, 1), (NOWHERE, 1), (OTHER_WAY, None), ("Answer: 11", None)],
    ids=["right", "false", "out of nowhere", "the wrong operation", "no steps"],
)
def test_truth_by_rule(text: str, first_error: int | None) -> None:
    assert attempt(text).first_error == first_error


def test_an_attempt_survives_its_row_but_for_log_probs() -> None:
    one = attempt(FALSE, (3, 0))
    again = from_row(json.loads(json.dumps(to_row(one))))
    assert again.rollout.completion.logprobs == []
    assert (again.steps, again.verdicts, again.outcomes) == (one.steps, one.verdicts, one.outcomes)
    assert again.rollout.problem == PROBLEM
    assert to_row(again) == to_row(one)


def test_labels_sit_on_the_sampled_ids_where_the_steps_end() -> None:
    rows = monte_carlo_rows([attempt(RIGHT, (3, 4)), attempt(FALSE, (3, 0))], StepLabelsConfig())
    right, false = rows["p"]
    assert (right.labels, false.labels) == ([1.0, 1.0], [1.0, 0.0])
    assert [chr(right.token_ids[position]) for position in right.positions] == ["6", "1"]
    assert right.prompt_tokens == 3 and right.positions[0] == 3 + len("1. 9 + 7 = 16") - 1
    assert row_lengths(rows) == {"p": 3 + len(RIGHT) + len(FALSE)}


def test_contested_labels_leave_and_a_solution_without_any_is_left_out() -> None:
    [kept] = monte_carlo_rows([attempt(FALSE, (3, 2)), attempt("1. 9 + 7 = 15", (4,))], StepLabelsConfig())["p"]
    assert kept.labels == [1.0]


def test_rule_rows_say_right_up_to_the_first_error() -> None:
    rows = rule_rows([attempt(RIGHT), attempt(FALSE), attempt(OTHER_WAY)])
    assert [solution.labels for solution in rows["p"]] == [[1.0, 1.0], [1.0, 0.0]]


def test_a_problem_has_one_stream_of_draws() -> None:
    assert attempt_seed(0, "p") == attempt_seed(0, "p") != attempt_seed(1, "p")
    assert attempt_seed(0, "p") != attempt_seed(0, "q")
    assert group_pairs([]) == {}
