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
from r1ray.config.sft import (
    AccumulationConfig,
    ClippingConfig,
    LossTrendConfig,
    ParallelConfig,
    PrecisionConfig,
    SFTConfig,
    TransferConfig,
)
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
class SFTJobConfig:
    """`jobs/sft.py`: supervised fine-tuning on worked solutions, conversations or prompt/response rows."""

    run: RunConfig = field(default_factory=lambda: RunConfig(samples_every=0))
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """`policy.dtype` is what evaluations sample in; training has `precision.dtype`."""
    problems: ProblemsConfig = field(default_factory=lambda: ProblemsConfig(families=("chain:2-3",)))
    """What is examined on, and, where `sft.path` is empty, whose worked solutions are learned."""
    sft: SFTConfig = field(default_factory=lambda: SFTConfig(examples=320, validation=32, evaluate_every=10))
    transfer: TransferConfig = field(default_factory=TransferConfig)
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(lr=1e-4, warmup=2, schedule="cosine", tokens_per_microbatch=2048)
    )
    clipping: ClippingConfig = field(default_factory=ClippingConfig)
    accumulation: AccumulationConfig = field(default_factory=AccumulationConfig)
    loss_trend: LossTrendConfig = field(default_factory=LossTrendConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    zero: ZeroConfig = field(default_factory=ZeroConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    """Only its graders' deadlines matter here."""
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    evaluation: EvaluationConfig = field(
        default_factory=lambda: EvaluationConfig(every=10, during=32, max_new_tokens=56)
    )
    """`evaluation.problems` before and after, `evaluation.during` of them every `evaluation.every` optimizer steps."""

    def __post_init__(self) -> None:
        if self.policy.lora.rank and self.transfer.mode == "head":
            raise ConfigError(
                "transfer.mode `head` trains the output head alone, and policy.lora.rank adapters in the layers below "
                "it: set policy.lora.rank to 0, or transfer.mode to `last` or `gradual`."
            )
        if self.policy.gradient_checkpointing and self.parallel.checkpoint_layers:
            raise ConfigError(
                "policy.gradient_checkpointing is parallel.checkpoint_layers 1: set one of them, not both."
            )
        if self.parallel.checkpoint_layers > 1 and self.zero.stage == 3:
            raise ConfigError(
                f"parallel.checkpoint_layers is {self.parallel.checkpoint_layers} at zero.stage 3, which gathers one "
                "layer's weights at a time: set it to 1 or 0, or zero.stage to 2 at most."
            )
        if self.precision.dtype == "float16" and not self.resources.learner_gpus:
            raise ConfigError(
                "precision.dtype `float16` needs a GPU (DeepSpeed refuses it on a CPU without fp16 units): set "
                "resources.learner_gpus to 1, or precision.dtype to `float32` or `bfloat16`."
            )
        for name in ("tensor", "sequence"):
            if (ranks := getattr(self.parallel, name)) > 1:
                raise ConfigError(
                    f"parallel.{name} is {ranks}: the packed attention of training is not split over ranks yet. Set it "
                    "to 1; zero.stage 3 splits the weights, and parallel.checkpoint_layers saves activations."
                )
