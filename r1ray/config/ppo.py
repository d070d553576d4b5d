"""How rollouts are sampled and how scored rollouts become a policy update."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range
from r1ray.errors import ConfigError

ALGORITHMS = ("ppo", "grpo", "grpo_process", "rloo", "reinforce_pp")


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingConfig:
    """How the policy is sampled."""

    max_new_tokens: int = 80
    """Longest completion; one that reaches it is truncated, and its value is bootstrapped."""
    temperature: float = 1.0
    """Of the sampled distribution, and of every log-prob in the update."""
    top_p: float = 1.0
    """Nucleus mass; 1 = off. Less than 1 makes rollout and trainer log-probs differ."""
    top_k: int = 0
    """0 = off."""

    def __post_init__(self) -> None:
        require_range("sampling.max_new_tokens", self.max_new_tokens, 1)
        require(
            self.temperature > 0, "sampling.temperature", self.temperature, "more than 0: greedy rollouts teach nothing"
        )
        require_range("sampling.top_p", self.top_p, 0, 1)
        require_range("sampling.top_k", self.top_k, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class PPOConfig:
    """The algorithm. Formulas and their sources: docs/design.md."""

    algorithm: str = "ppo"
    """`ppo` (critic, GAE), `grpo`, `grpo_process` (DeepSeekMath's process supervision), `rloo` or `reinforce_pp`."""
    steps: int = 18
    """PPO steps: generate, score, update, publish; 0 = the cold start alone."""
    prompts_per_step: int = 16
    """Problems per step."""
    samples_per_prompt: int = 4
    """Attempts at each problem (G)."""
    epochs: int = 1
    """Passes over one step's rollouts."""
    minibatches: int = 1
    """Optimizer steps per pass."""
    clip_eps: float = 0.2
    """The ratio is kept in [1 - clip_eps, 1 + clip_eps_high]."""
    clip_eps_high: float = 0.0
    """Upper clip (DAPO's clip-higher); 0 = the same as clip_eps."""
    dual_clip: float = 0.0
    """Lower bound c·A of the objective where A < 0 (arXiv 1912.09729), c > 1; 0 = off."""
    gamma: float = 1.0
    """Discount per token."""
    gae_lambda: float = 1.0
    """GAE trade-off: 0 trusts the critic, 1 the sampled return."""
    bootstrap_truncated: bool = False
    """Give a truncated rollout the critic's value of its last state. Off: running out of tokens ends the episode with
    nothing. With it on, a policy can live on the bootstrap and never answer; it did (docs/learning.md)."""
    group_baseline: bool = False
    """Subtract the group's mean from sequence-level advantages as well as the critic's values."""
    whiten: bool = True
    """Advantages to zero mean and unit variance over the whole batch's action tokens."""
    value_clip: float = 0.2
    """The new value stays within this of the old one in the value loss; 0 = off."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    kl_coef: float = 0.0
    """β of the KL against the reference policy, in the reward (k1); 0 = none, and no reference policy is loaded."""
    measure_kl: bool = False
    """Load a reference and log the KL against it even where `kl_coef` is 0; one more pass an update."""
    kl_target: float = 0.0
    """Adapt β towards this KL per rollout (arXiv 1909.08593); 0 = fixed β."""
    kl_horizon: int = 2000
    """Rollouts over which an adaptive β moves by a factor of e at most, per unit of error."""
    kl_in_loss: bool = False
    """Put the KL in the loss (k2's gradient) instead of the reward."""
    std_normalize: bool = True
    """Divide group advantages by the group's standard deviation; off = Dr. GRPO (arXiv 2503.20783)."""
    max_staleness: int = 0
    """Policy versions that a rollout may lag behind: 0 = synchronous; 1 = the next generation overlaps this update."""
    importance_cap: float = 2.0
    """Cap on the importance weight that corrects rollout against trainer log-probs (truncated IS); 0 = no correction.
    """
    parity_bound: float = 0.05
    """Alarm when rollout and trainer log-probs of one policy differ by more than this anywhere."""
    drop_flat_groups: bool = False
    """Spend no pass on rollouts without any advantage: the update is the same. Off where a critic, a KL or an entropy
    term has a gradient for them."""

    @property
    def needs_reference(self) -> bool:
        """Whether a reference policy is loaded."""
        return self.measure_kl or self.kl_coef != 0

    def __post_init__(self) -> None:
        require_choice("ppo.algorithm", self.algorithm, ALGORITHMS)
        for name in ("prompts_per_step", "samples_per_prompt", "epochs", "minibatches", "kl_horizon"):
            require_range(f"ppo.{name}", getattr(self, name), 1)
        require_range("ppo.steps", self.steps, 0)
        require_range("ppo.clip_eps", self.clip_eps, 0, 1)
        require_range("ppo.clip_eps_high", self.clip_eps_high, 0)
        require(self.dual_clip == 0 or self.dual_clip > 1, "ppo.dual_clip", self.dual_clip, "0 (off) or more than 1")
        require_range("ppo.gamma", self.gamma, 0, 1)
        require_range("ppo.gae_lambda", self.gae_lambda, 0, 1)
        for name in (
            "value_clip",
            "vf_coef",
            "ent_coef",
            "kl_coef",
            "kl_target",
            "max_staleness",
            "importance_cap",
            "parity_bound",
        ):
            require_range(f"ppo.{name}", getattr(self, name), 0)
        require(self.max_staleness <= 1, "ppo.max_staleness", self.max_staleness, "0 or 1")
        if self.kl_target and not self.kl_coef:
            raise ConfigError(
                "ppo.kl_target adapts ppo.kl_coef, which is 0: no reference is loaded. Give it a start, 0.05 say."
            )
        rollouts = self.prompts_per_step * self.samples_per_prompt
        if self.prompts_per_step % self.minibatches:
            raise ConfigError(
                f"ppo.minibatches ({self.minibatches}) must divide ppo.prompts_per_step ({self.prompts_per_step}): the "
                "samples of "
                f"one problem stay together. {rollouts} rollouts a step would leave a remainder."
            )
        if self.algorithm in ("grpo", "grpo_process", "rloo") and self.samples_per_prompt < 2:
            raise ConfigError(
                f"ppo.algorithm {self.algorithm} compares the samples of one problem: ppo.samples_per_prompt is "
                f"{self.samples_per_prompt}, it needs at least 2."
            )
