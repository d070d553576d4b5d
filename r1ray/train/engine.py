"""What a training loop asks of the machinery under it: forward, backward, step, and the collectives in between.

`zero.ZeroEngine` is the real one. The loops know only this Protocol, so a test can run them on plain PyTorch.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from r1ray.config.optim import OptimConfig


class TrainEngine(Protocol):
    """A module, its optimizer and the ranks that share it."""

    module: nn.Module
    device: torch.device
    rank: int
    world_size: int

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward pass, with whatever hooks the engine needs around it."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients. They are averaged over ranks; `algorithms.losses.global_count` undoes that."""
        ...

    def step(self) -> dict[str, float]:
        """Clip, update, zero the gradients; returns `grad_norm` and `lr`."""
        ...

    def all_reduce(self, value: Tensor) -> Tensor:
        """Sum over ranks."""
        ...

    def all_reduce_max(self, value: int) -> int:
        """The largest over ranks."""
        ...

    def weights(self) -> Mapping[str, Tensor]:
        """The policy's weights by their Hugging Face names, whole (gathered under ZeRO-3, where ranks other than 0 may
        get none). Every rank must call it."""
        ...

    def save(self, folder: Path) -> None:
        """Write weights, optimizer and schedule. Every rank must call it."""
        ...

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. Every rank must call it."""
        ...


def learning_rate(config: OptimConfig, step: int, total: int) -> float:
    """Factor on every peak learning rate at optimizer step `step` (0-based) of `total`."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, total - config.warmup))
    if config.schedule == "linear":
        return 1.0 - progress
    if config.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    return 1.0


def parameter_groups(module: nn.Module, config: OptimConfig, head_lr: float | None = None) -> list[dict[str, Any]]:
    """Trainable parameters as optimizer groups: matrices decay, vectors do not, a value head learns at its own rate."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            key = ("value_head" in name, parameter.ndim >= 2)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": head_lr if is_head and head_lr is not None else config.lr,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (is_head, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def adamw(groups: Iterable[dict[str, Any]], config: OptimConfig) -> torch.optim.AdamW:
    """Fused AdamW over `parameter_groups`."""
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)
    for group in optimizer.param_groups:
        group["peak_lr"] = group["lr"]
    return optimizer
