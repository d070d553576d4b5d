"""What is searched, for how long, for which figure, and by which rule."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range

TUNABLE_JOBS = ("ppo", "reward_model", "sft", "tiny")
ACQUISITIONS = ("ei", "poi", "ucb")
LIARS = ("believer", "max", "mean", "min")


@dataclass(frozen=True, kw_only=True, slots=True)
class SearcherConfig:
    """Bayesian optimisation with a Gaussian process (Snoek, Larochelle and Adams, arXiv 1206.2944)."""

    initial_points: int = 5
    """Trials spread evenly over the space before the surrogate guides; results of earlier searches count as such."""
    acquisition: str = "ei"
    """What a guided point maximises: `ei` expected improvement, `poi` probability of it, `ucb` upper confidence bound.
    """
    kappa: float = 2.576
    """Standard deviations above the mean under `ucb`."""
    xi: float = 0.0
    """Improvement that counts as none under `ei` and `poi`, in standard deviations of the results so far."""
    exploration_decay: float = 1.0
    """`kappa` and `xi` are multiplied by this after each guided point; 1 = constant."""
    liar: str = "believer"
    """What a trial that still runs is taken to have reached: `believer` the surrogate's own mean there, or the `max`,
    `mean` or `min` of the results so far. The lower, the further parallel trials keep apart."""
    shrink: bool = False
    """Sequential domain reduction (Stander and Craig, 2002): the searched box closes in on the best point. All
    parameters must be continuous."""

    def __post_init__(self) -> None:
        require_range("searcher.initial_points", self.initial_points, 1)
        require_choice("searcher.acquisition", self.acquisition, ACQUISITIONS)
        require_range("searcher.kappa", self.kappa, 0)
        require_range("searcher.xi", self.xi, 0)
        require(0 < self.exploration_decay <= 1, "searcher.exploration_decay", self.exploration_decay, "0 < decay <= 1")
        require_choice("searcher.liar", self.liar, LIARS)


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneConfig:
    """A search over the configuration of one job."""

    job: str = "tiny"
    """Whose configuration is searched: `tiny` (a transformer trained from nothing in seconds), `ppo`, `sft` or
    `reward_model`."""
    base: str = ""
    """JSON file or run folder with the configuration that every trial starts from; empty = the job's defaults."""
    space: tuple[str, ...] = ()
    """Settings and their ranges, `optim.lr=log(1e-6, 1e-4)`; forms: `uniform(low, high)`, `log(low, high)`,
    `int(low, high[, step])`, `logint(low, high[, step])`, `quantised(low, high, step)`,
    `logquantised(low, high, step)`, `choice(a, b, …)`. Empty = the job's own space in `DEFAULT_SPACES`."""
    trials: int = 25
    """Trials in all, the shipped default's own included."""
    minutes: float = 0.0
    """No trial starts after so many minutes; 0 = no limit."""
    patience: int = 0
    """Stop after so many finished trials without a better one; 0 = never."""
    parallel: int = 0
    """Trials at once; 0 = two on a cluster that has room for them, one on a machine of its own."""
    default_first: bool = True
    """The first trial is the shipped default, where it lies in the space."""
    objective: str = "held_out"
    """What is maximised: `held_out` (verifier accuracy on held-out problems minus `kl_weight` · KL), or a metric key
    that the job reports. Never the training reward: it can be hacked."""
    mode: str = "max"
    """`max` or `min` of the objective."""
    kl_weight: float = 0.05
    """λ of the safe objective: accuracy given up per nat of KL per rollout against the start; 0 = accuracy alone."""
    scheduler: str = "none"
    """`none` runs every trial to its end; `asha` stops weak ones early (arXiv 1810.05934); `hyperband` pauses and
    halves brackets of them (arXiv 1603.06560; `tiny` alone: its trials can be paused)."""
    grace: int = 1
    """Reports of a trial before a scheduler may stop it."""
    warm_start: tuple[str, ...] = ()
    """Folders of earlier searches over the same space whose results count."""

    def __post_init__(self) -> None:
        require_choice("tune.job", self.job, TUNABLE_JOBS)
        for entry in self.space:
            require("=" in entry, "tune.space", entry, "`path=range(…)`, such as `optim.lr=log(1e-6, 1e-4)`")
        require_range("tune.trials", self.trials, 1)
        for name in ("minutes", "patience", "parallel", "kl_weight"):
            require_range(f"tune.{name}", getattr(self, name), 0)
        require(bool(self.objective), "tune.objective", self.objective, "`held_out` or the key of a metric")
        require_choice("tune.mode", self.mode, ("max", "min"))
        require_choice("tune.scheduler", self.scheduler, ("asha", "hyperband", "none"))
        require_range("tune.grace", self.grace, 1)
        if self.scheduler == "hyperband":
            require(self.job == "tiny", "tune.scheduler", self.scheduler, f"`none` or `asha` for {self.job}")


DEFAULT_SPACES: dict[str, tuple[str, ...]] = {
    "ppo": (
        "reward.step_weight=uniform(0, 1)",
        "optim.lr=log(1e-6, 1e-4)",
        "ppo.prompts_per_step=choice(8, 16, 32)",  # times 4 samples: a batch of 32 to 128 rollouts
    ),
    "reward_model": ("optim.lr=log(1e-6, 1e-4)", "optim.weight_decay=uniform(0, 0.1)"),
    "sft": ("optim.lr=log(1e-6, 1e-4)", "sft.batch=choice(32, 64, 128)", "sft.dropout=uniform(0.1, 0.5)"),
    "tiny": (
        "optim.lr=log(1e-4, 1e-1)",
        "tiny.batch=logint(8, 128)",
        "optim.warmup=int(0, 200)",
        "optim.weight_decay=log(1e-3, 1)",
        "tiny.dropout=uniform(0, 0.5)",
    ),
}
"""By job. PPO has no dropout: sampled and trained log-probs must agree."""
