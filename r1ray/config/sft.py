"""Supervised fine-tuning: what is learned from, which weights move, in which precision, and when it is enough."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range
from r1ray.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SFTConfig:
    """The examples and the passes over them."""

    path: str = ""
    """File, folder, glob or URI of chat, problem or prompt/response rows; empty = worked solutions of `problems`."""
    mix: tuple[str, ...] = ()
    """Further shards that are mixed in, `path@weight`: domain adaptation. A weight is the share of examples drawn from
    the shard; the rest comes from `path`."""
    examples: int = 2_000
    """Worked solutions that are generated where `path` is empty."""
    validation: int = 64
    """Examples held out for the validation loss; split by the hash of the prompt."""
    epochs: int = 1
    """Passes over the examples."""
    max_steps: int = 0
    """Most optimizer steps; 0 = as many as the epochs take."""
    batch: int = 16
    """Examples per optimizer step, over all ranks; 0 = by `batch_tokens`."""
    batch_tokens: int = 0
    """Tokens per optimizer step, over all ranks, instead of a number of examples; 0 = off."""
    max_tokens: int = 1024
    """Longer examples are cut at the end, and counted."""
    turns: str = "all"
    """Which of the assistant's turns are learned: `all` or the `last`."""
    packing: bool = True
    """Several examples to a row, with positions and attention of their own; off = one example to a row."""
    variants: str = "rows"
    """Augmented variants in a corpus: `rows` like any other, or `adaptive`: now and then one is learned in its parent's
    place, as often as the loss asks (`adaptive.*`), and the epoch is the parents alone."""
    label_smoothing: float = 0.0
    """Share of probability that is spread over the vocabulary; 0 = off."""
    dropout: float = 0.0
    """Dropout of attention weights; 0 = off."""
    evaluate_every: int = 25
    """Optimizer steps between validations; 0 = only before and after."""
    patience: int = 0
    """Validations without improvement after which training stops, and the best weights are kept; 0 = never."""
    min_improvement: float = 0.0
    """By how many nats a token a validation loss must undercut the best one to count as better."""

    def __post_init__(self) -> None:
        for name in ("examples", "validation", "epochs", "max_tokens"):
            require_range(f"sft.{name}", getattr(self, name), 1)
        for name in ("max_steps", "batch", "batch_tokens", "evaluate_every", "patience", "min_improvement"):
            require_range(f"sft.{name}", getattr(self, name), 0)
        require_range("sft.label_smoothing", self.label_smoothing, 0, 1)
        require_range("sft.dropout", self.dropout, 0, 1)
        require_choice("sft.turns", self.turns, ("all", "last"))
        require_choice("sft.variants", self.variants, ("rows", "adaptive"))
        if bool(self.batch) == bool(self.batch_tokens):
            raise ConfigError(
                f"sft.batch is {self.batch} and sft.batch_tokens {self.batch_tokens}: set exactly one, the other to 0."
            )
        if sum(weight for _, weight in self.shards()) >= 1:
            raise ConfigError(f"sft.mix weighs {self.mix}; the weights must leave a share to sft.path: sum below 1.")

    def shards(self) -> list[tuple[str, float]]:
        """(path, weight) of each shard in `mix`."""
        parsed = []
        for entry in self.mix:
            path, separator, weight = entry.rpartition("@")
            valid = bool(separator and path) and weight.replace(".", "", 1).isdigit() and 0 < float(weight) < 1
            require(valid, "sft.mix", entry, "`path@weight` with a weight between 0 and 1, `medicine.jsonl@0.2` say")
            parsed.append((path, float(weight)))
        return parsed


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferConfig:
    """Which weights move, and from when on."""

    mode: str = "all"
    """`all` weights; `head` (everything else frozen); `last` (head and the last `layers` layers); `gradual` (head
    first, then a layer more every `unfreeze_every` steps, from the top: ULMFiT, arXiv 1801.06146 section 3.3)."""
    layers: int = 4
    """Under `last`: how many. Under `gradual`: the most that are unfrozen; 0 = all in the end."""
    unfreeze_every: int = 50
    """Optimizer steps between two layers under `gradual`."""
    layer_decay: float = 1.0
    """Each layer below learns at this times the rate of the one above (ULMFiT's discriminative rates); 1 = alike."""

    def __post_init__(self) -> None:
        require_choice("transfer.mode", self.mode, ("all", "head", "last", "gradual"))
        require_range("transfer.layers", self.layers, 0)
        require_range("transfer.unfreeze_every", self.unfreeze_every, 1)
        require(0 < self.layer_decay <= 1, "transfer.layer_decay", self.layer_decay, "more than 0 and at most 1")
        if self.mode == "last" and not self.layers:
            raise ConfigError(
                "transfer.layers is 0 under `last`; take transfer.mode `head`, or give a number of layers."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionConfig:
    """Number format of the forward and backward pass; the optimizer keeps float32."""

    dtype: str = "float32"
    """`float32`, `bfloat16`, or `float16` with dynamic loss scaling."""
    initial_scale_power: int = 16
    """Loss scaling under `float16` begins at 2 to this power."""
    scale_window: int = 1000
    """Steps without overflow after which the scale is doubled."""
    min_scale: float = 1.0
    """The scale is not halved below this; an overflow there ends the run."""

    def __post_init__(self) -> None:
        require_choice("precision.dtype", self.dtype, ("float32", "bfloat16", "float16"))
        require_range("precision.initial_scale_power", self.initial_scale_power, 0, 32)
        require_range("precision.scale_window", self.scale_window, 1)
        require_range("precision.min_scale", self.min_scale, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class AccumulationConfig:
    """How many micro-batches make up an optimizer step."""

    kind: str = "fixed"
    """`fixed`: as many as the batch takes; `adaptive`: by the measured gradient noise scale (arXiv 1812.06162)."""
    low: int = 16
    """Fewest micro-batches under `adaptive`."""
    high: int = 128
    """Most micro-batches under `adaptive`."""
    decay: float = 0.95
    """Of the noise estimate's moving averages, per optimizer step."""

    def __post_init__(self) -> None:
        require_choice("accumulation.kind", self.kind, ("fixed", "adaptive"))
        require_range("accumulation.low", self.low, 2)  # one micro-batch alone measures no noise
        require_range("accumulation.high", self.high, self.low)
        require_range("accumulation.decay", self.decay, 0, 0.9999)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClippingConfig:
    """What a gradient is scaled down to."""

    kind: str = "norm"
    """`norm`: `optim.max_grad_norm`; `history`: by mean and variance of the norms before (ZClip, arXiv 2504.02507)."""
    threshold: float = 2.5
    """Standard deviations above the mean from which a norm is clipped, under `history`."""
    decay: float = 0.97
    """Of the moving mean and variance, per optimizer step."""
    warmup: int = 25
    """Optimizer steps that only fill the history, and are clipped at `optim.max_grad_norm`."""

    def __post_init__(self) -> None:
        require_choice("clipping.kind", self.kind, ("norm", "history"))
        require(self.threshold > 0, "clipping.threshold", self.threshold, "more than 0")
        require_range("clipping.decay", self.decay, 0, 0.9999)
        require_range("clipping.warmup", self.warmup, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossTrendConfig:
    """Cut the learning rate when the training loss stops falling, on top of the schedule."""

    window: int = 0
    """Optimizer steps whose slope is looked at; 0 = off."""
    cut: float = 0.5
    """What the rate is multiplied by."""
    floor: float = 0.01
    """Least product of all cuts."""

    def __post_init__(self) -> None:
        require(self.window == 0 or self.window >= 3, "loss_trend.window", self.window, "0 (off) or at least 3")
        require(0 < self.cut < 1, "loss_trend.cut", self.cut, "between 0 and 1")
        require_range("loss_trend.floor", self.floor, 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ParallelConfig:
    """How one example is shared by several ranks, through DeepSpeed."""

    tensor: int = 1
    """Ranks that share each matrix of the layers (AutoTP); 1 = off. At ZeRO stages 1 and 2."""
    sequence: int = 1
    """Ranks that share each row's tokens (Ulysses, arXiv 2309.14509); 1 = off. Must divide the attention heads, and
    divide the key heads or be divided by them."""
    checkpoint_layers: int = 0
    """Activation checkpointing: keep the input of every k-th layer and recompute the layers between; 0 = keep all."""

    def __post_init__(self) -> None:
        require_range("parallel.tensor", self.tensor, 1)
        require_range("parallel.sequence", self.sequence, 1)
        require_range("parallel.checkpoint_layers", self.checkpoint_layers, 0)
