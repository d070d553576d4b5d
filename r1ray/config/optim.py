"""The optimizer, the ZeRO engine under it, and how a batch is cut up."""

from dataclasses import dataclass

from r1ray.config.base import require, require_choice, require_range


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """AdamW and the micro-batch budget."""

    lr: float = 1e-5
    """Peak learning rate."""
    warmup: int = 0
    """Optimizer steps of linear warm-up."""
    schedule: str = "constant"
    """After the warm-up: `constant`, `linear`, `cosine`, or `wsd` (stable, then a linear decay)."""
    decay_fraction: float = 0.2
    """Share of all steps over which `wsd` decays."""
    floor: float = 0.0
    """Share of the peak that the schedule ends at."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's moment decays."""
    eps: float = 1e-8
    """AdamW's denominator floor."""
    max_grad_norm: float = 1.0
    """Global gradient norm is clipped to this; 0 = off."""
    tokens_per_microbatch: int = 4608
    """Most tokens (prompt and padding included) in one forward and backward pass."""
    logits_chunk: int = 4096
    """Most tokens whose full-vocabulary logits exist at once."""

    def __post_init__(self) -> None:
        require_range("optim.lr", self.lr, 0)
        require_range("optim.warmup", self.warmup, 0)
        require_choice("optim.schedule", self.schedule, ("constant", "linear", "cosine", "wsd"))
        require_range("optim.decay_fraction", self.decay_fraction, 0, 1)
        require_range("optim.floor", self.floor, 0, 1)
        require_range("optim.max_grad_norm", self.max_grad_norm, 0)
        require_range("optim.tokens_per_microbatch", self.tokens_per_microbatch, 1)
        require_range("optim.logits_chunk", self.logits_chunk, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroConfig:
    """DeepSpeed ZeRO (arXiv 1910.02054)."""

    stage: int = 0
    """0 shards nothing; 1 optimizer state; 2 gradients too; 3 weights too. On one rank every stage above 0 only costs.
    """
    offload: str = "none"
    """Keep on the CPU: `none`, `optimizer`, or `all` (optimizer and weights; stage 3)."""
    portable: bool = True
    """Above stage 0, write checkpoints a second time as whole tensors, so that a resumed run may have another number of
    learners. Rank 0 holds 12 bytes a trained weight meanwhile."""

    def __post_init__(self) -> None:
        require(self.stage in (0, 1, 2, 3), "zero.stage", self.stage, "0, 1, 2 or 3")
        require_choice("zero.offload", self.offload, ("none", "optimizer", "all"))
        require(
            self.offload != "all" or self.stage == 3,
            "zero.offload",
            self.offload,
            "`none` or `optimizer` below stage 3",
        )
        require(self.offload == "none" or self.stage > 0, "zero.offload", self.offload, "`none` at stage 0")
