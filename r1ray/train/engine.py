"""What a training loop asks of the machinery under it: forward, backward, step, and the collectives in between.

`zero.ZeroEngine` is the real one. The loops know only this Protocol, so a test can run them on plain PyTorch.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from r1ray.algorithms.schedules import schedule_factor
from r1ray.config.optim import OptimConfig
from r1ray.models.policy import Policy
from r1ray.models.scorer import Scorer

Bound = Callable[[float], float]
"""From this step's gradient norm to the norm that it is scaled down to; 0 = as it is."""


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

    def step(self, factor: float | None = None, bound: Bound | None = None) -> dict[str, float]:
        """Clip, update, zero the gradients; returns `grad_norm` (before clipping) and `lr`.

        Args:
            factor: on every peak learning rate; None = as `optim.schedule` has it at this step.
            bound: asked once, for the norm to clip at; None = `optim.max_grad_norm`.
        """
        ...

    def all_reduce(self, value: Tensor) -> Tensor:
        """Sum over ranks."""
        ...

    def all_reduce_max(self, value: int) -> int:
        """The largest over ranks."""
        ...

    def weights(self) -> Mapping[str, Tensor]:
        """The weights of `saved_module` by their Hugging Face names, whole (gathered under ZeRO-3, where ranks other
        than 0 may get none). Every rank must call it."""
        ...

    def save(self, folder: Path) -> None:
        """Write weights, optimizer and schedule. Every rank must call it."""
        ...

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. Every rank must call it."""
        ...


def learning_rate(config: OptimConfig, step: int, total: int) -> float:
    """Factor on every peak learning rate at optimizer step `step` (0-based) of `total`."""
    return schedule_factor(
        config.schedule, step, total, warmup=config.warmup, decay_fraction=config.decay_fraction, floor=config.floor
    )


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


def saved_module(module: nn.Module) -> nn.Module:
    """The part of what an engine trains that is saved as the model: the `Policy` in it, the network that a `Scorer`
    reads, or else all of it."""
    part = next((part for part in module.modules() if isinstance(part, Policy | Scorer)), module)
    return part.model if isinstance(part, Scorer) else part


def set_rates(groups: Iterable[dict[str, Any]], factor: float, step: int) -> None:
    """Set each group's learning rate for optimizer step `step`: `factor` times its peak, 0 before it may move
    (`starts_at`, see `train.transfer`)."""
    for group in groups:
        group["lr"] = group["peak_lr"] * factor if step >= group.get("starts_at", 0) else 0.0


def still_until(groups: Iterable[dict[str, Any]], step: Callable[[], int]) -> None:
    """Let no gradient reach the parameters of a group before its `starts_at`: neither the norm that is clipped nor
    Adam's moments know of them until then."""

    def hold(starts_at: int) -> Callable[[Tensor], Tensor | None]:
        return lambda gradient: torch.zeros_like(gradient) if step() < starts_at else None

    for group in groups:
        if starts_at := group.get("starts_at", 0):
            for parameter in group["params"]:
                parameter.register_hook(hold(starts_at))
