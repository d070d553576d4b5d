"""Evaluation with an engine and a judge small enough to follow by hand."""

import pickle
from collections.abc import Sequence
from typing import Any

import pytest

from r1ray.config.evaluation import EvaluationConfig
from r1ray.errors import DataError
from r1ray.evaluation import EvaluationResult, by_family, compare, evaluate, powers_of_two
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.types import Completion, Problem

PROBLEMS = [
    Problem(id=f"p{i}", question=f"{i} + 1?", answer=str(i + 1), family="even" if i % 2 == 0 else "odd")
    for i in range(6)
]


class CountingEngine:
    """Answers `n + 1` for prompt [n]: greedily right for n < `right_below`; of its samples, the first `n` are right."""

    policy_version = 3

    def __init__(self, right_below: int) -> None:
        self._right_below = right_below
        self.asked: list[tuple[Sequence[Prompt], SamplingParams]] = []

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[list[Completion]]:
        self.asked.append((prompts, params))
        return [
            [self._answer(prompt.token_ids[0], sample, params) for sample in range(prompt.samples)]
            for prompt in prompts
        ]

    def _answer(self, n: int, sample: int, params: SamplingParams) -> Completion:
        right = n < self._right_below if params.temperature == 0 else sample < n
        tokens = [1] * (n + 1)
        return Completion(
            token_ids=tokens,
            logprobs=[0.0] * len(tokens),
            finish_reason="length" if n == 5 else "stop",
            text=str(n + 1) if right else "?",
        )

    def load_weights(self, weights: Any, version: int) -> None:
        raise AssertionError("evaluation changes no weights")

    def logprobs(self, prompt_ids: Any, response_ids: Any) -> Any:
        raise AssertionError("evaluation needs no log-probs")


def examine(right_below: int, problems: Sequence[Problem] = PROBLEMS, **config: Any) -> EvaluationResult:
    return run(CountingEngine(right_below), problems, **config)


def run(engine: CountingEngine, problems: Sequence[Problem] = PROBLEMS, **config: Any) -> EvaluationResult:
    return evaluate(
        engine,
        build_prompt=lambda problem: [int(problem.id[1:])],
        problems=problems,
        config=EvaluationConfig(**config),
        judge=lambda problems, texts: [problem.answer == text for problem, text in zip(problems, texts, strict=True)],
    )


def test_accuracy_is_the_share_of_right_greedy_answers() -> None:
    result = examine(right_below=4)
    assert result.correct == [True, True, True, True, False, False]
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.accuracy in result.interval
    assert result.mean_tokens == pytest.approx((1 + 2 + 3 + 4 + 5 + 6) / 6)
    assert result.truncated == pytest.approx(1 / 6)
    assert (result.texts[0], result.policy_version) == ("1", 3)


def test_each_family_has_its_own_accuracy() -> None:
    families = examine(right_below=4).by_family
    assert {name: (one.correct, one.problems) for name, one in families.items()} == {"even": (2, 3), "odd": (2, 3)}
    assert families["odd"].accuracy == pytest.approx(2 / 3)


def test_greedy_alone_asks_the_engine_once_and_without_temperature() -> None:
    engine = CountingEngine(6)
    run(engine, max_new_tokens=17)
    ((prompts, params),) = engine.asked
    assert (params.temperature, params.max_new_tokens) == (0.0, 17)
    assert all(prompt.samples == 1 for prompt in prompts)


def test_pass_at_k_counts_the_right_samples_of_each_problem() -> None:
    # 4 samples; problems 0 to 5 have 0, 1, 2, 3, 4, 4 right ones.
    # pass@1 = (0 + 1 + 2 + 3 + 4 + 4) / 24 = 14/24; pass@4 = 5/6
    # pass@2 = mean of 1 - C(4-c, 2)/6: 0, 1/2, 5/6, 1, 1, 1 -> (13/3) / 6
    result = examine(right_below=0, samples=4, temperature=0.7)
    assert {k: one.value for k, one in result.pass_at_k.items()} == pytest.approx({1: 14 / 24, 2: 13 / 18, 4: 5 / 6})
    assert all(one.value in one.interval for one in result.pass_at_k.values())
    assert result.accuracy == 0


def test_each_problem_draws_from_its_own_stream() -> None:
    engine = CountingEngine(6)
    run(engine, samples=2)
    seeds = [prompt.seed for prompt in engine.asked[1][0]]
    assert len(set(seeds)) == len(PROBLEMS)


def test_two_models_are_paired_on_the_same_problems() -> None:
    test = compare(examine(right_below=2), examine(right_below=5))
    assert (test.gained, test.lost, test.problems) == (3, 0, 6)
    assert test.p_value == pytest.approx(2 / 2**3)


def test_models_that_saw_other_problems_are_not_compared() -> None:
    with pytest.raises(DataError, match=r"6 and 5 problems, of which 1 and 0"):
        compare(examine(2), examine(2, problems=PROBLEMS[:5]))
    with pytest.raises(DataError, match="same order"):
        compare(examine(2), examine(2, problems=PROBLEMS[::-1]))


def test_no_problems_is_an_error_that_says_where_to_look() -> None:
    with pytest.raises(DataError, match=r"evaluation\.problems"):
        examine(2, problems=[])


def test_results_cross_processes() -> None:
    result = examine(right_below=4, samples=2)
    assert pickle.loads(pickle.dumps(result)) == result


def test_metrics_are_named_by_group() -> None:
    metrics = examine(right_below=4, samples=2).metrics()
    assert metrics["evaluation/accuracy"] == pytest.approx(4 / 6)
    assert {"evaluation/accuracy_even", "evaluation/pass_at_2", "evaluation/truncated"} <= set(metrics)


def test_families_need_one_verdict_a_problem() -> None:
    with pytest.raises(ValueError, match="zip"):
        by_family(PROBLEMS, [True])


@pytest.mark.parametrize(("limit", "expected"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4]), (8, [1, 2, 4, 8])])
def test_k_doubles_up_to_the_number_of_samples(limit: int, expected: list[int]) -> None:
    assert powers_of_two(limit) == expected
