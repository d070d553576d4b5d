"""Labels for the steps of sampled solutions, by completing every prefix N times and by the step checker.

    prompt step₁ │ → 8 completions, 6 right → hard 1, soft .75        checker: right       consensus: keep
    prompt step₁ step₂ │ → 8 completions, 1 right → hard 1            checker: false       consensus: drop

Tokens in, tokens out: a prefix is the prompt's ids and the sampled ids up to a step's last token. Nothing here knows
Ray; whoever holds a `GenerationEngine` may label.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from r1ray.algorithms.step_labels import Kind, Label, consensus, monte_carlo_label, prefer_rule, until_first_error
from r1ray.config.reward_model import StepLabelsConfig
from r1ray.data.labelled_steps import LabelledSolution
from r1ray.generation.engine import GenerationEngine, Prompt, SamplingParams
from r1ray.reasoning.checker import StepVerdict
from r1ray.reasoning.rewards import checked_steps
from r1ray.reasoning.steps import Decode
from r1ray.train.prefix_cache import Outcome, PrefixCache, prefix_key
from r1ray.types import Problem, ReasoningStep, Rollout

Grade = Callable[[Sequence[Problem], Sequence[str]], list[bool]]
"""Problems and whole completions' texts to whether each final answer is right: `grading.is_correct` with its grader."""
_RULES = {StepVerdict.FALSE: False, StepVerdict.RIGHT: True}
"""The checker decides on false and on grounded right statements; on the other verdicts it has no opinion."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepJudgements:
    """All that was found out about the steps of one solution."""

    rollout: Rollout
    steps: list[ReasoningStep]
    outcomes: list[Outcome | None]
    """Of the completions from each step's prefix; None where none were spent."""
    rule: list[bool | None]
    """The checker's verdict on each step; None = it cannot decide."""

    def labels(self, config: StepLabelsConfig) -> list[Label]:
        """One label a step, None after the first wrong one."""
        sampled: list[Label] = [
            None if outcome is None else monte_carlo_label(outcome.right, outcome.samples, _kind(config))
            for outcome in self.outcomes
        ]
        combine = {"consensus": consensus, "prefer": prefer_rule}.get(config.rule)
        return until_first_error(combine(sampled, self.rule) if combine else sampled)

    def solution(self, config: StepLabelsConfig, *, answer_correct: bool | None = None) -> LabelledSolution | None:
        """As a row of a step dataset; None where no label is left."""
        labels = self.labels(config)
        if all(label is None for label in labels):
            return None
        return LabelledSolution(
            question=self.rollout.problem.question,
            steps=tuple(step.text for step in self.steps),
            labels=tuple(labels),
            source="monte-carlo",
            answer_correct=answer_correct,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LabellingCost:
    """What labelling took."""

    prefixes: int
    """Different prefixes that were asked for."""
    cached: int
    """Of them, those that the cache knew."""
    tokens: int
    """Tokens sampled."""


class StepLabeller:
    """Completes prefixes, grades the completions and remembers the outcomes."""

    def __init__(
        self,
        engine: GenerationEngine,
        decode: Decode,
        grade: Grade,
        config: StepLabelsConfig,
        *,
        policy: str,
        cache: PrefixCache | None = None,
        stop: tuple[str, ...] = (),
    ) -> None:
        """
        Args:
            engine: holds the policy that completes.
            decode: ids to text, special tokens skipped and nothing tidied up.
            grade: whether final answers are right.
            config: how many completions, and what becomes of them.
            policy: names the policy's weights (their hash): outcomes of another policy are not taken from the cache.
            cache: where outcomes are kept; None = in memory.
            stop: texts that end a completion.
        """
        self._engine, self._decode, self._grade, self._config = engine, decode, grade, config
        self._policy = policy
        self._cache = PrefixCache() if cache is None else cache
        self._params = SamplingParams(
            max_new_tokens=config.max_new_tokens, temperature=config.temperature, top_p=config.top_p, stop=stop
        )
        self._tokens = 0

    def judge(
        self, rollouts: Sequence[Rollout], steps: Sequence[Sequence[ReasoningStep]]
    ) -> tuple[list[StepJudgements], LabellingCost]:
        """Judge every step of every solution. The result depends neither on the order of the solutions, nor on how they
        are batched, nor on what the cache knew already.

        Args:
            rollouts: solutions, right or wrong.
            steps: of each, as `reasoning.steps.find_steps` gives them.
        """
        rules = [_rule(rollout, parts) for rollout, parts in zip(rollouts, steps, strict=True)]
        wanted = [
            [self._key(rollout, step) if self._asked(rule, index) else None for index, step in enumerate(parts)]
            for rollout, parts, rule in zip(rollouts, steps, rules, strict=True)
        ]
        prefixes = {
            key: (rollout, step)
            for rollout, parts, keys in zip(rollouts, steps, wanted, strict=True)
            for step, key in zip(parts, keys, strict=True)
            if key is not None
        }
        missing = [key for key in prefixes if self._cache.get(key) is None]
        before = self._tokens
        for start in range(0, len(missing), self._config.prefixes_per_batch):
            batch = missing[start : start + self._config.prefixes_per_batch]
            self._cache.add(self._sample({key: prefixes[key] for key in batch}))
        judgements = [
            StepJudgements(
                rollout=rollout,
                steps=list(parts),
                outcomes=[None if key is None else self._cache.get(key) for key in keys],
                rule=rule,
            )
            for rollout, parts, keys, rule in zip(rollouts, steps, wanted, rules, strict=True)
        ]
        cost = LabellingCost(prefixes=len(prefixes), cached=len(prefixes) - len(missing), tokens=self._tokens - before)
        return judgements, cost

    def _asked(self, rule: Sequence[bool | None], index: int) -> bool:
        """Whether completions of this prefix could change a label: not after a false step, nor, under `prefer`, where
        the rule decides."""
        if self._config.rule == "none":
            return True
        return False not in rule[:index] and (self._config.rule == "consensus" or rule[index] is None)

    def _key(self, rollout: Rollout, step: ReasoningStep) -> str:
        return prefix_key(
            {
                "policy": self._policy,
                "problem": rollout.problem.id,
                "answer": rollout.problem.answer,
                "prefix": _prefix(rollout, step),
                "completions": self._config.completions,
                "max_new_tokens": self._params.max_new_tokens,
                "temperature": self._params.temperature,
                "top_p": self._params.top_p,
                "stop": self._params.stop,
                "seed": self._config.seed,
            }
        )

    def _sample(self, batch: Mapping[str, tuple[Rollout, ReasoningStep]]) -> dict[str, Outcome]:
        count = self._config.completions
        prompts = [
            # The seed comes from the key, so a prefix is completed alike whatever shares its batch.
            Prompt(token_ids=_prefix(rollout, step), samples=count, seed=int(key[:15], 16))
            for key, (rollout, step) in batch.items()
        ]
        completions = self._engine.generate(prompts, self._params)
        problems: list[Problem] = []
        texts: list[str] = []
        for (rollout, step), group in zip(batch.values(), completions, strict=True):
            begun = rollout.completion.token_ids[: step.last_token + 1]
            for completion in group:
                self._tokens += len(completion.token_ids)
                problems.append(rollout.problem)
                texts.append(self._decode([*begun, *completion.token_ids]))
        right = self._grade(problems, texts)
        return {
            key: Outcome(right=sum(right[index * count : (index + 1) * count]), samples=count)
            for index, key in enumerate(batch)
        }


def _prefix(rollout: Rollout, step: ReasoningStep) -> list[int]:
    return [*rollout.prompt_ids, *rollout.completion.token_ids[: step.last_token + 1]]


def _rule(rollout: Rollout, steps: Sequence[ReasoningStep]) -> list[bool | None]:
    return [_RULES.get(step.verdict) for step in checked_steps(rollout, steps)]


def _kind(config: StepLabelsConfig) -> Kind:
    return "hard" if config.kind == "hard" else "soft"
