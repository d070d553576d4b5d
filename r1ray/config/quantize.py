"""Quantization: which recipe, what it calibrates on, how it recovers, and what the gate demands."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range

RECIPES = (
    "int8",
    "int8-asymmetric",
    "rtn-w4a16",
    "gptq-w4a16",
    "awq-w4a16",
    "mixed",
    "fp8",
    "prune",
    "prune-2-4",
    "qat-int8",
    "qat-int4",
    "distil",
    "gguf-q8_0",
    "gguf-q4_1",
    "gguf-q4_0",
    "gguf-mixed",
)
"""Names of `r1ray/quantize/recipes`; here so that a wrong one is found without loading torch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizeConfig:
    """What is made of the model."""

    recipe: tuple[str, ...] = ("gguf-q8_0",)
    """One or more recipes; several run in parallel on a cluster, one after another on a laptop."""
    group: int = 32
    """Neighbouring weights that share a 4-bit scale (32, 64 or 128); must divide every row. GGUF's is 32."""
    dtype: str = "bfloat16"
    """How what is not quantized (embedding, norms, scales) is stored: `bfloat16`, `float16` or `float32`."""
    calibration: int = 128
    """Rows that GPTQ looks at, drawn from the training rows with the run's seed."""
    calibration_awq: int = 16
    """Rows that AWQ looks at, the first of them. It tries twenty scalings of each layer on every row, so a row costs it
    some twenty times what it costs GPTQ; means of activations need few (arXiv 2306.00978)."""
    calibration_tokens: int = 256
    """Longest of them."""
    sensitivity: int = 8
    """Held-out rows on which each layer's sensitivity is measured; 0 = only where a repair needs it."""
    repair: str = "none"
    """When the gate says no: `layers` gives the most sensitive ones the next wider format, `finetune` trains under the
    quantization on examples like those that were lost; `none` leaves it rejected."""
    repair_rounds: int = 2
    """Most repairs; each widens twice as many layers as the one before."""
    repair_share: float = 0.2
    """Share of blocks (attention or feed-forward of a layer) that the first repair widens."""
    cpus: float = 0
    """CPUs of each recipe's task; 0 = all of a machine's, so that one machine does one recipe at a time."""
    gpus: float = 0
    """GPUs of each recipe's task."""

    def __post_init__(self) -> None:
        require(bool(self.recipe), "quantize.recipe", self.recipe, "a recipe")
        for name in self.recipe:
            require_choice("quantize.recipe", name, RECIPES)
        require(self.group in (32, 64, 128), "quantize.group", self.group, "32, 64 or 128")
        require_choice("quantize.dtype", self.dtype, ("bfloat16", "float16", "float32"))
        require_choice("quantize.repair", self.repair, ("none", "layers", "finetune"))
        for name in ("calibration", "calibration_awq", "calibration_tokens", "repair_rounds"):
            require_range(f"quantize.{name}", getattr(self, name), 1)
        for name in ("sensitivity", "cpus", "gpus"):
            require_range(f"quantize.{name}", getattr(self, name), 0)
        require_range("quantize.repair_share", self.repair_share, 0.01, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryConfig:
    """Training that a recipe does: under quantization, after pruning, or from a teacher. Rows and batches are `sft`'s,
    rates `optim`'s."""

    sparsity: float = 0.5
    """Share of weights that `prune` sets to zero, in each matrix, smallest first; `prune-2-4` is one half."""
    steps: int = 200
    """Optimizer steps; 0 = none (then a pruned model is just pruned)."""
    student_layers: int = 0
    """Layers of a distilled student, taken evenly from its teacher; 0 = half of them."""
    temperature: float = 2.5
    """Of the soft labels of a distilled student's last stage."""
    hidden_steps: int = 100
    """Distillation's first stage: the student's hidden states approach the teacher's (L2)."""
    attention_steps: int = 100
    """Its second: attention maps (KL). The third, soft labels, has `steps`."""

    def __post_init__(self) -> None:
        require_range("recovery.sparsity", self.sparsity, 0, 0.95)
        for name in ("steps", "student_layers", "hidden_steps", "attention_steps"):
            require_range(f"recovery.{name}", getattr(self, name), 0)
        require(self.temperature > 0, "recovery.temperature", self.temperature, "more than 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class GateConfig:
    """What a compressed model must show beside its parent on the same held-out problems."""

    margin: float = 0.03
    """Non-inferiority: the lower 95 % bound of the paired accuracy difference must be above minus this; 0 = not asked.
    It takes some 700 problems to tell."""
    kept: float = 0.0
    """Share of the parent's accuracy that must be kept (0.99, say, where there are 8,000 problems); 0 = not asked."""
    mean_kl: float = 0.01
    """Most KL(parent ‖ artifact) of next-token distributions on held-out solutions, mean in nats; 0 = not asked. Most
    tokens of a solution are certain, so little means much: at 0.046 a policy lost 27 points, see
    docs/quantization.md."""
    rows: int = 64
    """Held-out solutions on which distributions are compared."""
    same_text: float = 0.75
    """Share of `texts` whose greedy text a fresh process, with nothing but transformers, must continue just as the
    engine does; 0 = not asked. Two kernels that sum in another order part at a tie."""
    texts: int = 4
    """Prompts of that check, which also measures memory and speed; 0 = no fresh process."""
    speed_tokens: int = 48
    """Tokens decoded for each of them when speed is measured."""

    def __post_init__(self) -> None:
        for name in ("margin", "kept", "same_text"):
            require_range(f"gate.{name}", getattr(self, name), 0, 1)
        require_range("gate.mean_kl", self.mean_kl, 0)
        require_range("gate.texts", self.texts, 0)
        for name in ("rows", "speed_tokens"):
            require_range(f"gate.{name}", getattr(self, name), 1)
