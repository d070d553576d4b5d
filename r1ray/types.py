"""The nouns that cross processes: lists and strings, no tensors.

Problem ──generate──► Rollout(problem, completion, policy_version) ──score──► ScoredRollout(rollout, steps, scores)
"""

from dataclasses import dataclass, field
from typing import Literal

FinishReason = Literal["stop", "length", "cancelled"]
"""Why a completion ended: it said so (`stop`), it ran out of tokens (`length`), or its caller left (`cancelled`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A question with a checkable answer.

    Example: Problem(id="story-2-1f3a", question="Mia has 9 eggs. Mia gets 7 more. How many eggs does Mia have now?",
    answer="16", family="story", level=1)
    """

    id: str
    """Stable and unique: a hash of the normalised question, so that train and held-out sets cannot share one."""
    question: str
    answer: str
    """Reference answer, as text: `16`, `3/4`, `x^2`."""
    family: str = ""
    """Which generator or file it came from: `story`, `chain`, `reasoning-gym/leg_counting`, `gsm8k`."""
    level: int = 0
    """Number of steps that a direct solution takes; 0 = unknown."""
    solution: str = ""
    """Worked solution, or empty. Only supervised training may read it; reinforcement sees the answer alone."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Whatever a verifier needs beyond the answer, as strings (JSON where structured)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasoningStep:
    """One step of a chain of thought, as a span of the completion."""

    text: str
    start: int
    """Offset of the step's first character in the completion's text."""
    end: int
    """Offset just past the step's last character."""
    last_token: int
    """Index, within the completion's `token_ids`, of the token that ends the step: where its score is placed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What a policy sampled after a prompt. `token_ids` are the ids as sampled, never decoded and encoded again."""

    token_ids: list[int]
    logprobs: list[float]
    """`logprobs[t]` scores `token_ids[t]` given all before it, under the distribution that it was sampled from."""
    finish_reason: FinishReason
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One sampled attempt at one problem."""

    problem: Problem
    prompt_ids: list[int]
    completion: Completion
    policy_version: int
    """Which publication of the policy's weights sampled it. Staleness is a subtraction."""
    sample: int = 0
    """Which of the G attempts at this problem it is: 0 … G-1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredRollout:
    """A rollout with a reward for its outcome and a score for each of its steps."""

    rollout: Rollout
    steps: list[ReasoningStep]
    step_scores: list[float]
    """Weighted score of each step (same length as `steps`); each is placed on that step's `last_token`."""
    outcome_reward: float
    """Weighted sum of everything that judges the completion as a whole; placed on its last token."""
    components: dict[str, float]
    """Every component on its own and unweighted (`outcome`, `step`, `format`, `length`, `process`, the user's), for the
    log."""
    correct: bool
    """Whether the final answer is right, as the verifier sees it: what evaluation counts."""
