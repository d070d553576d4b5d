"""How good a model is on problems that it never trained on, and whether another one is really better.

The engine writes, a judge marks, `r1ray.statistics` says how sure the figure is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from r1ray.config.evaluation import EvaluationConfig
from r1ray.errors import DataError
from r1ray.generation.engine import GenerationEngine, Prompt, SamplingParams
from r1ray.statistics import Interval, PairedTest, mcnemar, pass_at_k_mean, wilson
from r1ray.types import Completion, Problem

PromptBuilder = Callable[[Problem], list[int]]
"""A problem's prompt as token ids: `functools.partial(prompt_ids, tokenizer, system=...)`."""
Judge = Callable[[Sequence[Problem], Sequence[str]], list[bool]]
"""Whether each text ends in the right answer: `functools.partial(is_correct, grader=Grader())`. Deadlines are its own
business."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyResult:
    """Accuracy on the problems of one family."""

    problems: int
    correct: int
    interval: Interval

    @property
    def accuracy(self) -> float:
        return self.correct / self.problems


@dataclass(frozen=True, kw_only=True, slots=True)
class PassAtK:
    """Chance that one of k samples is right, over problems."""

    value: float
    interval: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationResult:
    """What came of examining one model; the lists are in the order of the problems."""

    problem_ids: list[str]
    correct: list[bool]
    """Whether the greedy answer is right."""
    texts: list[str]
    """The greedy answers."""
    interval: Interval
    """Wilson's, 95 %, of `accuracy`."""
    by_family: dict[str, FamilyResult]
    mean_tokens: float
    """Tokens per greedy answer."""
    truncated: float
    """Share of greedy answers that were cut off at `max_new_tokens`."""
    pass_at_k: dict[int, PassAtK]
    """For k = 1, 2, 4 … up to `evaluation.samples`; empty if that is 0."""
    policy_version: int

    @property
    def accuracy(self) -> float:
        """Share of problems whose greedy answer is right."""
        return sum(self.correct) / len(self.correct)

    def metrics(self) -> dict[str, float]:
        """The figures as `evaluation/...` metrics."""
        figures = {"accuracy": self.accuracy, "mean_tokens": self.mean_tokens, "truncated": self.truncated}
        figures |= {f"accuracy_{family}": result.accuracy for family, result in self.by_family.items() if family}
        figures |= {f"pass_at_{k}": result.value for k, result in self.pass_at_k.items()}
        return {f"evaluation/{name}": value for name, value in figures.items()}


def evaluate(
    engine: GenerationEngine,
    build_prompt: PromptBuilder,
    problems: Sequence[Problem],
    config: EvaluationConfig,
    judge: Judge,
    seed: int = 0,
) -> EvaluationResult:
    """Answer every problem greedily and, where `config.samples` asks for it, by sampling for pass@k.

    Takes all `problems` it is given: which and how many is the caller's choice. Raises `DataError` if there are none.
    """
    if not problems:
        raise DataError("Evaluation got no problems: check evaluation.problems and problems.heldout.")
    prompts = [build_prompt(problem) for problem in problems]
    greedy = [answers[0] for answers in _generate(engine, prompts, config, samples=1, temperature=0.0, seed=seed)]
    texts = [completion.text for completion in greedy]
    correct = judge(problems, texts)
    return EvaluationResult(
        problem_ids=[problem.id for problem in problems],
        correct=correct,
        texts=texts,
        interval=wilson(sum(correct), len(correct)),
        by_family=by_family(problems, correct),
        mean_tokens=sum(len(completion.token_ids) for completion in greedy) / len(greedy),
        truncated=sum(completion.finish_reason == "length" for completion in greedy) / len(greedy),
        pass_at_k=_pass_at_k(engine, prompts, problems, config, judge, seed) if config.samples else {},
        policy_version=engine.policy_version,
    )


def compare(before: EvaluationResult, after: EvaluationResult) -> PairedTest:
    """McNemar's test of two models. Raises `DataError` unless both answered the same problems in the same order."""
    if before.problem_ids != after.problem_ids:
        only_before = len(set(before.problem_ids) - set(after.problem_ids))
        only_after = len(set(after.problem_ids) - set(before.problem_ids))
        raise DataError(
            "A paired test needs both models' answers to the same problems in the same order: "
            f"{len(before.problem_ids)} and {len(after.problem_ids)} problems, of which {only_before} and {only_after} "
            "are in one of them alone."
        )
    return mcnemar(before.correct, after.correct)


def by_family(problems: Sequence[Problem], correct: Sequence[bool]) -> dict[str, FamilyResult]:
    """Accuracy of each family, in order of the families' names."""
    groups: dict[str, list[bool]] = {}
    for problem, right in zip(problems, correct, strict=True):
        groups.setdefault(problem.family, []).append(right)
    return {
        family: FamilyResult(problems=len(group), correct=sum(group), interval=wilson(sum(group), len(group)))
        for family, group in sorted(groups.items())
    }


def powers_of_two(limit: int) -> list[int]:
    """1, 2, 4 … up to `limit`."""
    return [1 << i for i in range(limit.bit_length())]


def _pass_at_k(
    engine: GenerationEngine,
    prompts: Sequence[list[int]],
    problems: Sequence[Problem],
    config: EvaluationConfig,
    judge: Judge,
    seed: int,
) -> dict[int, PassAtK]:
    answers = _generate(engine, prompts, config, samples=config.samples, temperature=config.temperature, seed=seed)
    repeated = [problem for problem in problems for _ in range(config.samples)]
    right = judge(repeated, [completion.text for group in answers for completion in group])
    counts = [sum(right[i : i + config.samples]) for i in range(0, len(right), config.samples)]
    results = {}
    for k in powers_of_two(config.samples):
        value, interval = pass_at_k_mean(counts, config.samples, k, seed=seed)
        results[k] = PassAtK(value=value, interval=interval)
    return results


def _generate(
    engine: GenerationEngine,
    prompts: Sequence[list[int]],
    config: EvaluationConfig,
    *,
    samples: int,
    temperature: float,
    seed: int,
) -> list[list[Completion]]:
    # Each prompt has a stream of its own, so that two models are examined under the same draws.
    requests = [Prompt(token_ids=ids, samples=samples, seed=seed + i) for i, ids in enumerate(prompts)]
    return engine.generate(requests, SamplingParams(max_new_tokens=config.max_new_tokens, temperature=temperature))
