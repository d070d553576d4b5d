"""Which networks are trained, and from which files."""

from dataclasses import dataclass, field

from r1ray.config.base import require_choice, require_range

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraConfig:
    """Low-rank adapters (arXiv 2106.09685, through peft) instead of training every weight."""

    rank: int = 0
    """Rank of the adapters; 0 = train all weights."""
    alpha: float = 16.0
    """Adapters are scaled by alpha / rank."""
    dropout: float = 0.0
    """Dropout before the adapters."""
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Names of the linear layers that get one."""

    def __post_init__(self) -> None:
        require_range("lora.rank", self.rank, 0)
        require_range("lora.dropout", self.dropout, 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyConfig:
    """The model that reasons."""

    path: str = "smollm2-135m"
    """An alias (`smollm2-135m`), a Hugging Face folder, a run folder (`runs/sft`), a GGUF file, or a hub id."""
    dtype: str = "float32"
    """`float32` or `bfloat16`. On a CPU without bf16 units float32 is 2.6 to 4 times faster."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about 20 % slower."""
    compile: bool = False
    """Let the compiler fuse what lies between the matrix products of a layer in training: worth its minute of start-up
    on a GPU. Needs a C++ compiler."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Train adapters only."""

    def __post_init__(self) -> None:
        require_choice("policy.dtype", self.dtype, DTYPES)


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticConfig:
    """The value model that PPO's advantages lean on."""

    kind: str = "head"
    """`head`: a value head on the policy's trunk; `model`: a network of its own; `none`: for critic-free algorithms."""
    path: str = ""
    """Where a `model` starts from; empty = the policy's own start."""
    lr: float = 1e-3
    """Learning rate of the value head; a critic `model`'s trunk uses `optim.lr`."""
    trunk_gradient: float = 0.0
    """How much of the value loss's gradient reaches the policy's trunk under `head`: 0 = none, 1 = all."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Adapters for a critic `model`."""

    def __post_init__(self) -> None:
        require_choice("critic.kind", self.kind, ("head", "model", "none"))
        require_range("critic.lr", self.lr, 0)
        require_range("critic.trunk_gradient", self.trunk_gradient, 0, 1)
