"""The reward worker: rollouts in, a score for the outcome and for every reasoning step out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from r1ray.config.reward import RewardConfig
from r1ray.reasoning.functions import UserFunction
from r1ray.reasoning.grading import Grader
from r1ray.reasoning.rewards import rollout_steps, score_rollouts, with_text
from r1ray.reasoning.steps import Decode
from r1ray.types import ReasoningStep, Rollout, ScoredRollout


class StepScorer(Protocol):
    """A process reward model, as a reward worker sees it."""

    def __call__(self, rollouts: Sequence[Rollout], steps: Sequence[list[ReasoningStep]]) -> list[list[float]]:
        """One score for each step of each rollout."""
        ...


class RewardWorker:
    """Rule-based components, the user's functions and, where there is one, a process reward model."""

    def __init__(
        self,
        config: RewardConfig,
        decode: Decode,
        grader: Grader,
        *,
        max_new_tokens: int,
        process: StepScorer | None = None,
        functions: Sequence[UserFunction] = (),
    ) -> None:
        """
        Args:
            decode: token ids to text, of the policy's tokenizer.
            grader: settles final answers at a deadline.
            max_new_tokens: the limit that completions were sampled under.
            process: scores each step of each rollout in one go.
            functions: the user's own rewards.
        """
        self._config, self._decode, self._grader = config, decode, grader
        self._max_new_tokens, self._process, self._functions = max_new_tokens, process, functions

    def score(
        self, rollouts: Sequence[Rollout], step_weight: float | None = None
    ) -> tuple[list[ScoredRollout], dict[str, int]]:
        """Scored rollouts in order, and counters over them (`truncated`, `grader_timeouts`, `steps_right` …).

        `step_weight` in place of the configured one, where it is adapted.
        """
        config = self._config if step_weight is None else replace(self._config, step_weight=step_weight)
        process_scores = None
        if self._process is not None:
            rollouts = [with_text(rollout, self._decode) for rollout in rollouts]
            process_scores = self._process(rollouts, [rollout_steps(rollout, self._decode) for rollout in rollouts])
        return score_rollouts(
            rollouts,
            config,
            self._decode,
            self._grader,
            max_new_tokens=self._max_new_tokens,
            process_scores=process_scores,
            functions=self._functions,
        )
