"""One whole configuration a job."""

from dataclasses import dataclass, field

from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.optim import OptimConfig, ZeroConfig
from r1ray.config.policy import CriticConfig, PolicyConfig
from r1ray.config.ppo import PPOConfig, SamplingConfig
from r1ray.config.problems import ColdStartConfig, ProblemsConfig
from r1ray.config.resources import EngineConfig, ResourcesConfig
from r1ray.config.reward import RewardConfig
from r1ray.config.run import RunConfig
from r1ray.config.tiny import TinyConfig
from r1ray.config.tune import SearcherConfig, TuneConfig
from r1ray.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class PPOJobConfig:
    """`jobs/ppo.py`: cold start, then PPO with stepwise rewards."""

    run: RunConfig = field(default_factory=RunConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    critic: CriticConfig = field(default_factory=CriticConfig)
    problems: ProblemsConfig = field(default_factory=ProblemsConfig)
    cold_start: ColdStartConfig = field(default_factory=ColdStartConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    zero: ZeroConfig = field(default_factory=ZeroConfig)
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        if self.ppo.algorithm == "ppo" and self.critic.kind == "none":
            raise ConfigError(
                "ppo.algorithm `ppo` needs a critic: set critic.kind to `head` or `model`, or choose `grpo`, `rloo` …"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateJobConfig:
    """`jobs/evaluate.py`: one model, or two paired on the same problems."""

    run: RunConfig = field(default_factory=RunConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    baseline: PolicyConfig = field(default_factory=lambda: PolicyConfig(path=""))
    """A second model on the same problems; an empty path = none."""
    problems: ProblemsConfig = field(default_factory=ProblemsConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyJobConfig:
    """`jobs/tiny.py`: a tiny transformer trained from nothing on generated arithmetic."""

    run: RunConfig = field(default_factory=RunConfig)
    tiny: TinyConfig = field(default_factory=TinyConfig)
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(lr=1e-3, warmup=20, schedule="cosine", weight_decay=0.01)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneJobConfig:
    """`jobs/tune.py`: a search over the configuration of another job."""

    run: RunConfig = field(default_factory=RunConfig)
    tune: TuneConfig = field(default_factory=TuneConfig)
    searcher: SearcherConfig = field(default_factory=SearcherConfig)
