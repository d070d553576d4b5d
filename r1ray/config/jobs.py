"""One whole configuration a job."""

from dataclasses import dataclass, field
from typing import ClassVar

from r1ray.config.augment import AdaptiveConfig, AugmentConfig
from r1ray.config.classify import DomainConfig, NoiseConfig, SemanticDedupConfig
from r1ray.config.corpus import CleanConfig, CorpusConfig, DecontaminateConfig, DedupConfig, PrivacyConfig
from r1ray.config.evaluation import EvaluationConfig
from r1ray.config.optim import OptimConfig, ZeroConfig
from r1ray.config.policy import CriticConfig, PolicyConfig
from r1ray.config.ppo import PPOConfig, SamplingConfig
from r1ray.config.problems import AS_PARENT, ColdStartConfig, ProblemsConfig
from r1ray.config.quantize import GateConfig, QuantizeConfig, RecoveryConfig
from r1ray.config.resources import EngineConfig, ResourcesConfig
from r1ray.config.reward import RewardConfig
from r1ray.config.reward_model import PreferenceConfig, ProcessConfig, RewardModelConfig, StepLabelsConfig
from r1ray.config.run import RunConfig
from r1ray.config.serve import ServeConfig, ServeEngineConfig
from r1ray.config.serve_parts import (
    AccessConfig,
    CacheConfig,
    CanaryConfig,
    GuardConfig,
    RequestLogConfig,
    StoreConfig,
    TracingConfig,
)
from r1ray.config.sft import (
    AccumulationConfig,
    ClippingConfig,
    LossTrendConfig,
    ParallelConfig,
    PrecisionConfig,
    SFTConfig,
    TransferConfig,
)
from r1ray.config.shards import ShardsConfig
from r1ray.config.synthesize import SynthesizeConfig
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
class SFTJobConfig:
    """`jobs/sft.py`: supervised fine-tuning on worked solutions, conversations or prompt/response rows."""

    run: RunConfig = field(default_factory=lambda: RunConfig(samples_every=0))
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """`policy.dtype` is what evaluations sample in; training has `precision.dtype`."""
    problems: ProblemsConfig = field(default_factory=lambda: ProblemsConfig(families=("chain:2-3",)))
    """What is examined on, and, where `sft.path` is empty, whose worked solutions are learned."""
    sft: SFTConfig = field(default_factory=lambda: SFTConfig(examples=320, validation=32, evaluate_every=10))
    adaptive: AdaptiveConfig = field(default_factory=AdaptiveConfig)
    """How often a variant is learned, under `sft.variants adaptive`."""
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
        self._check_parallel()

    def _check_parallel(self) -> None:
        tensor, sequence, learners = self.parallel.tensor, self.parallel.sequence, self.resources.learners
        if tensor == sequence == 1:
            return
        name, ranks = ("parallel.tensor", tensor) if tensor > 1 else ("parallel.sequence", sequence)
        if tensor > 1 and sequence > 1:
            raise ConfigError(
                f"parallel.tensor is {tensor} and parallel.sequence {sequence}: DeepSpeed gives the ranks of a row one "
                "or the other. Set one of them to 1."
            )
        if learners % ranks:
            raise ConfigError(
                f"{name} is {ranks} and resources.learners {learners}: as many learners share each row, so "
                "resources.learners must be a multiple of it."
            )
        if tensor > 1 and self.zero.stage not in (1, 2):
            raise ConfigError(
                f"parallel.tensor is {tensor} at zero.stage {self.zero.stage}: matrices are split under stages 1 and 2."
            )
        hindered = {
            "accumulation.kind `adaptive`, which measures whole micro-batches on one learner": self.accumulation.kind
            == "adaptive",
            "policy.compile": self.policy.compile,
            "policy.lora.rank above 0": tensor > 1 and self.policy.lora.rank > 0,
        }
        for what, is_set in hindered.items():
            if is_set:
                raise ConfigError(f"{name} is {ranks}, which does not go with {what}: set one of them back.")


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardModelJobConfig:
    """`jobs/reward_model.py`: a model of preferences between answers, or of the steps of a solution."""

    run: RunConfig = field(default_factory=lambda: RunConfig(checkpoint_every=25, samples_every=0))
    reward_model: RewardModelConfig = field(default_factory=RewardModelConfig)
    process: ProcessConfig = field(default_factory=ProcessConfig)
    preference: PreferenceConfig = field(default_factory=PreferenceConfig)
    step_labels: StepLabelsConfig = field(default_factory=StepLabelsConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """Where the reward model starts from; where no `reward_model.path` is given, also who solves the problems."""
    problems: ProblemsConfig = field(default_factory=lambda: ProblemsConfig(families=("chain:2-4",)))
    cold_start: ColdStartConfig = field(default_factory=ColdStartConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=1e-4, warmup=4, schedule="cosine"))
    zero: ZeroConfig = field(default_factory=ZeroConfig)
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizeJobConfig:
    """`jobs/quantize.py`: compressed models, each held against its parent before it is called good."""

    run: RunConfig = field(default_factory=RunConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """The parent."""
    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)
    problems: ProblemsConfig = field(default_factory=lambda: ProblemsConfig(families=(AS_PARENT,), heldout=700))
    """What the gate asks; `as-parent` = the families, or files, of the run that made the policy."""
    sft: SFTConfig = field(default_factory=lambda: SFTConfig(examples=1_000))
    """The rows that recipes calibrate and train on: a corpus (`sft.path`), or worked solutions of `problems`."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(lr=2e-5, warmup=5, schedule="cosine", tokens_per_microbatch=2048)
    )
    engine: EngineConfig = field(default_factory=EngineConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    """Only its graders' deadlines matter here."""
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    """Only `threads` and `wait_seconds` matter here."""
    evaluation: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(problems=700))


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusJobConfig:
    """`jobs/corpus.py`: raw rows in, a clean and versioned corpus out."""

    run: RunConfig = field(default_factory=RunConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    clean: CleanConfig = field(default_factory=CleanConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    domain: DomainConfig = field(default_factory=DomainConfig)
    dedup: DedupConfig = field(default_factory=DedupConfig)
    semantic: SemanticDedupConfig = field(default_factory=SemanticDedupConfig)
    decontaminate: DecontaminateConfig = field(default_factory=DecontaminateConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    synthesize: SynthesizeConfig = field(default_factory=SynthesizeConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """The teacher, where `synthesize.teacher` is `engine`; nothing else uses it, nor `engine`."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    shards: ShardsConfig = field(default_factory=ShardsConfig)

    @property
    def grows(self) -> bool:
        """Whether rows are made from the rows that are read."""
        return bool(self.augment.operators) or self.synthesize.generations > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineJobConfig:
    """`jobs/pipeline.py`: corpus, supervised fine-tuning, process reward model and PPO, one after the other.

    Names, storage and seeds of the stages' runs, and the paths between stages, are the pipeline's: it sets them.
    """

    OPEN: ClassVar[bool] = True
    """A resumed pipeline may change any setting: the stages that depend on it are made anew."""

    run: RunConfig = field(default_factory=RunConfig)
    """Of the pipeline; `run.seed` is every stage's."""
    corpus: CorpusJobConfig = field(
        default_factory=lambda: CorpusJobConfig(
            corpus=CorpusConfig(families=("chain:1-3/plain",), count=480, max_number=9)
        )
    )
    sft: SFTJobConfig = field(
        default_factory=lambda: SFTJobConfig(
            problems=ProblemsConfig(families=("chain:4",)),
            sft=SFTConfig(validation=32, evaluate_every=8),
            evaluation=EvaluationConfig(problems=200, max_new_tokens=64),
        )
    )
    reward_model: RewardModelJobConfig = field(
        default_factory=lambda: RewardModelJobConfig(
            problems=ProblemsConfig(families=("chain:4",)),
            reward_model=RewardModelConfig(heldout=64),
        )
    )
    ppo: PPOJobConfig = field(
        default_factory=lambda: PPOJobConfig(
            reward=RewardConfig(step_weight=0.0, process_weight=0.5, step_placement="mean"),
            evaluation=EvaluationConfig(problems=200, max_new_tokens=64),
        )
    )
    """Steps are judged by the trained model alone, and by their mean: adding steps earns nothing."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeJobConfig:
    """`jobs/serve.py`: an OpenAI-compatible endpoint for a model."""

    run: RunConfig = field(default_factory=lambda: RunConfig(report=False))
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """The model; where its path has a GGUF file, that file's own weights are served."""
    canary_policy: PolicyConfig = field(default_factory=lambda: PolicyConfig(path=""))
    """A second version that `canary` puts on trial; an empty path = none."""
    serve: ServeConfig = field(default_factory=ServeConfig)
    engine: ServeEngineConfig = field(default_factory=ServeEngineConfig)
    access: AccessConfig = field(default_factory=AccessConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    canary: CanaryConfig = field(default_factory=CanaryConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    request_log: RequestLogConfig = field(default_factory=RequestLogConfig)
    tracing: TracingConfig = field(default_factory=TracingConfig)

    def __post_init__(self) -> None:
        if self.canary.mode != "off" and not self.canary_policy.path:
            raise ConfigError("canary.mode needs a second version: give canary_policy.path, or set the mode to `off`.")
