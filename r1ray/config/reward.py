"""What earns a reward."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardConfig:
    """Weighted components. Each is logged on its own, unweighted; a weight of 0 turns it off."""

    outcome_weight: float = 1.0
    """For a right final answer."""
    step_weight: float = 0.3
    """For the grounded step checker: a full chain of right steps earns this much in total."""
    adaptive_weight: bool = False
    """Adapt `step_weight` during PPO, by Bayesian optimisation of the held-out gain under it. `evaluation.during`
    training problems are set aside to measure that."""
    adapt_every: int = 3
    """PPO steps between two adaptations."""
    adapt_range: tuple[float, float] = (0.0, 1.0)
    """Least and greatest weight that adaptation may choose."""
    format_weight: float = 0.1
    """For steps and an answer line in the expected form."""
    length_weight: float = 0.0
    """For overlong completions (DAPO's soft punishment, arXiv 2503.14476 section 3.4), 0 down to minus this weight."""
    length_buffer: int = 32
    """Tokens before the limit over which the length punishment grows."""
    process_weight: float = 1.0
    """For the process reward model, where `process_path` names one."""
    process_path: str = ""
    """A process reward model (Hugging Face token classification, or Math-Shepherd style); empty = none."""
    step_placement: str = "place"
    """How step scores become rewards: `place` (each on its last token), `difference` (potential-based), or one
    aggregate on the final token: `min`, `prod`, `mean`, `last`."""
    reuse_numbers: bool = False
    """Whether the step checker lets a given number be an operand more than once."""
    functions: tuple[str, ...] = ()
    """Your own rewards, `module.py:function` or `package.module:function`, with an optional `@weight`. A plain function
    that takes a `Rollout` and returns a float (added to the outcome) or one float per step; it runs in the reward
    workers."""
    grader_seconds: float = 2.0
    """Deadline for grading one answer; beyond it the grader is killed and the answer scores 0, counted."""
    batch_seconds: float = 30.0
    """Deadline for grading one batch of answers."""

    def __post_init__(self) -> None:
        require_choice(
            "reward.step_placement", self.step_placement, ("place", "difference", "min", "prod", "mean", "last")
        )
        require_range("reward.length_buffer", self.length_buffer, 0)
        require_range("reward.adapt_every", self.adapt_every, 1)
        low, high = self.adapt_range
        require(0 <= low < high, "reward.adapt_range", self.adapt_range, "two weights, 0 <= low < high")
        if self.adaptive_weight:
            require_range("reward.step_weight", self.step_weight, low, high)
        require_range("reward.grader_seconds", self.grader_seconds, 0.01)
        require_range("reward.batch_seconds", self.batch_seconds, 0.01)
        for entry in self.functions:
            require(":" in entry, "reward.functions", entry, "`module.py:function` or `package.module:function`")
