"""Reward models: preferences between answers, judgements on steps, and where the judgements come from."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range

AGGREGATES = ("min", "prod", "mean", "last")


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardModelConfig:
    """What both kinds share."""

    kind: str = "process"
    """`process`: a score for every step; `preference`: one for an answer."""
    path: str = ""
    """File, folder, glob or URI of preference pairs or judged steps; empty = from rollouts of the policy."""
    epochs: int = 3
    """Passes over the rows."""
    max_steps: int = 0
    """Most optimizer steps; 0 = as many as the epochs take."""
    batch: int = 4
    """Prompts per optimizer step, over all ranks, each with all its pairs or solutions."""
    max_tokens: int = 1024
    """Longer pairs or solutions are quarantined, and counted: a score at a cut answer's end means nothing."""
    heldout: int = 120
    """Problems whose rows are held out, a quarter of a file's at most; split by the hash of the question."""
    evaluate_every: int = 25
    """Optimizer steps between evaluations; 0 = only before and after."""
    patience: int = 0
    """Evaluations without improvement after which training stops; 0 = never."""
    bins: int = 10
    """Bins of the reliability plot and the calibration error."""

    def __post_init__(self) -> None:
        require_choice("reward_model.kind", self.kind, ("preference", "process"))
        for name in ("epochs", "batch", "max_tokens", "heldout", "bins"):
            require_range(f"reward_model.{name}", getattr(self, name), 1)
        for name in ("max_steps", "evaluate_every", "patience"):
            require_range(f"reward_model.{name}", getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceConfig:
    """Bradley-Terry over pairs."""

    margin: float = 0.0
    """Nats by which the chosen answer should lead for each unit of stated strength (Llama 2, arXiv 2307.09288 section
    3.2.2); 0 = off."""
    label_smoothing: float = 0.0
    """Share of pairs taken to be labelled the wrong way round; 0 = off."""
    centering: float = 0.01
    """Weight of the term that keeps scores around 0 (arXiv 2312.09244); 0 = off."""
    length_correction: str = "none"
    """`none`; `offset`: a learned length term takes up in training what length explains (arXiv 2404.04475); `posthoc`:
    the slope of score on length is subtracted afterwards (arXiv 2409.17407)."""
    pairs_per_problem: int = 2
    """Most pairs of one problem that are made from rollouts."""

    def __post_init__(self) -> None:
        for name in ("margin", "centering"):
            require_range(f"preference.{name}", getattr(self, name), 0)
        require_range("preference.label_smoothing", self.label_smoothing, 0, 0.5)
        require_range("preference.pairs_per_problem", self.pairs_per_problem, 1)
        require_choice("preference.length_correction", self.length_correction, ("none", "offset", "posthoc"))


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessConfig:
    """Token classification at step ends."""

    classes: int = 2
    """2: wrong, right (hard or soft labels); 3: wrong, right, neutral (PRM800K's ratings)."""
    aggregate: str = "min"
    """How step scores become one score for best-of-N: `min`, `prod`, `mean` or `last`."""
    threshold: float = 0.0
    """A step below this probability is called wrong; 0 = the one with the highest F1 on validation problems."""
    best_of: int = 4
    """Samples per held-out problem for best-of-N; 0 = not measured."""

    def __post_init__(self) -> None:
        require(self.classes in (2, 3), "process.classes", self.classes, "2 or 3")
        require_choice("process.aggregate", self.aggregate, AGGREGATES)
        require_range("process.threshold", self.threshold, 0, 1)
        require_range("process.best_of", self.best_of, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLabelsConfig:
    """The Monte-Carlo step labeller (Math-Shepherd, arXiv 2312.08935 section 3.3), and the solutions that it labels."""

    problems: int = 80
    """Training problems that the policy is asked to solve; their steps are labelled, or their attempts paired."""
    samples: int = 4
    """Solutions of each."""
    validation: int = 32
    """Further problems, with as many solutions each, on which training is watched and the threshold is chosen."""
    problems_per_task: int = 16
    """Problems that one Ray Data task samples and labels; what is done is not done again by a resumed run."""
    completions: int = 4
    """Completions from every step prefix."""
    kind: str = "hard"
    """`hard`: 1 if any completion ends right; `soft`: the share that does."""
    rule: str = "consensus"
    """What the step checker's verdicts do: `consensus` drops labels that it contradicts; `prefer` takes its verdict
    wherever it has one, and spends no completions there; `none` ignores it."""
    max_new_tokens: int = 80
    """Longest completion of a prefix."""
    temperature: float = 1.0
    """Of the sampled completions; 1 = the policy as it is."""
    top_p: float = 1.0
    """Nucleus mass; 1 = off."""
    prefixes_per_batch: int = 64
    """Prefixes sampled, graded and written to the cache at once: what a killed run loses at most."""
    seed: int = 0
    """Of the completions; part of the cache's key."""

    def __post_init__(self) -> None:
        for name in ("problems", "samples", "validation", "problems_per_task", "completions", "max_new_tokens"):
            require_range(f"step_labels.{name}", getattr(self, name), 1)
        require_range("step_labels.prefixes_per_batch", self.prefixes_per_batch, 1)
        require_choice("step_labels.kind", self.kind, ("hard", "soft"))
        require_choice("step_labels.rule", self.rule, ("consensus", "prefer", "none"))
        require(
            self.temperature > 0,
            "step_labels.temperature",
            self.temperature,
            "more than 0: equal completions say one thing",
        )
        require_range("step_labels.top_p", self.top_p, 0, 1)
