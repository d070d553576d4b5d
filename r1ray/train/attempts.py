"""Solutions that a policy sampled, and all that is known of them: answers graded, steps checked, prefixes completed.

One record for what a reward model learns from and for what it is examined on. Nothing here knows Ray.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from r1ray.algorithms.step_labels import Label
from r1ray.config.reward_model import StepLabelsConfig
from r1ray.data.labelled_steps import EncodedSteps, LabelledSolution, place_labels
from r1ray.reasoning.checker import StepVerdict
from r1ray.reasoning.first_error import NO_ERROR
from r1ray.train.prefix_cache import Outcome
from r1ray.train.step_labels import StepJudgements
from r1ray.types import Completion, Problem, ReasoningStep, Rollout, ScoredRollout

ERRORS = (StepVerdict.FALSE, StepVerdict.UNGROUNDED)
"""What makes a step of a generated problem wrong: it is untrue, or about numbers that nothing gave."""
_RULES = {StepVerdict.FALSE: False, StepVerdict.RIGHT: True}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One solution to one problem."""

    scored: ScoredRollout
    verdicts: tuple[str, ...]
    """The step checker's, one a step."""
    outcomes: tuple[Outcome | None, ...] = ()
    """Of the completions from each step's prefix; empty where no step was labelled."""

    @property
    def rollout(self) -> Rollout:
        return self.scored.rollout

    @property
    def steps(self) -> list[ReasoningStep]:
        return self.scored.steps

    @property
    def first_error(self) -> int | None:
        """Truth by rule: the first step that is false or out of nowhere; −1 where there is none and the answer is
        right; None where every step passes and the answer is wrong all the same: the checker does not know which
        operation the problem asked for."""
        for index, verdict in enumerate(self.verdicts):
            if verdict in ERRORS:
                return index
        return NO_ERROR if self.scored.correct and self.steps else None

    def labels(self, config: StepLabelsConfig) -> list[Label]:
        """Monte-Carlo labels under the configured rule, one a step."""
        judged = StepJudgements(
            rollout=self.rollout,
            steps=self.steps,
            outcomes=list(self.outcomes),
            rule=[_RULES.get(StepVerdict(verdict)) for verdict in self.verdicts],
        )
        return judged.labels(config)

    def encoded(self, labels: Sequence[Label]) -> EncodedSteps | None:
        """The sampled ids with `labels` at the steps' last tokens; None where no step has one."""
        if all(label is None for label in labels):
            return None
        solution = LabelledSolution(
            question=self.rollout.problem.question,
            steps=tuple(step.text for step in self.steps),
            labels=tuple(labels),
            source="monte-carlo",
            answer_correct=self.scored.correct,
        )
        ends = [step.last_token for step in self.steps]
        return place_labels(self.rollout.prompt_ids, self.rollout.completion.token_ids, ends, solution)


def to_row(attempt: Attempt) -> dict[str, Any]:
    """Plain data. What was sampled with which probability is of no use here, and left out."""
    rollout = attempt.rollout
    slim = replace(rollout, completion=replace(rollout.completion, logprobs=[]))
    return asdict(replace(attempt, scored=replace(attempt.scored, rollout=slim)))


def from_row(row: Mapping[str, Any]) -> Attempt:
    """What `to_row` wrote."""
    scored, rollout = row["scored"], row["scored"]["rollout"]
    return Attempt(
        scored=ScoredRollout(
            **{
                **scored,
                "steps": [ReasoningStep(**step) for step in scored["steps"]],
                "rollout": Rollout(
                    **{
                        **rollout,
                        "problem": Problem(**rollout["problem"]),
                        "completion": Completion(**rollout["completion"]),
                    }
                ),
            }
        ),
        verdicts=tuple(row["verdicts"]),
        outcomes=tuple(None if outcome is None else Outcome(**outcome) for outcome in row["outcomes"]),
    )


def attempt_seed(seed: int, problem_id: str) -> int:
    """One stream of draws for each problem, whoever samples it, 63 bits."""
    digest = hashlib.blake2b(f"{seed}/attempts/{problem_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
