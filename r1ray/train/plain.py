"""A `TrainEngine` on one device of plain PyTorch: no Ray, no DeepSpeed, no process group."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from r1ray.config.optim import OptimConfig
from r1ray.models.policy import policy_state_dict
from r1ray.train.engine import Bound, adamw, learning_rate, parameter_groups, saved_module, set_rates, still_until


class TorchEngine:
    """One rank. In bfloat16 the optimizer keeps float32 copies of the weights, as ZeRO's does."""

    def __init__(
        self,
        module: nn.Module,
        optim: OptimConfig,
        *,
        total_steps: int,
        head_lr: float | None = None,
        device: torch.device | str = "cpu",
        dtype: str = "float32",
        groups: list[dict[str, Any]] | None = None,
    ) -> None:
        """Arguments are those of `ZeroEngine`."""
        self.device, self.rank, self.world_size = torch.device(device), 0, 1
        self.module = module.to(self.device, getattr(torch, dtype))
        self._optim, self._total, self._step = optim, total_steps, 0
        groups = parameter_groups(module, optim, head_lr) if groups is None else groups
        self._trained = [parameter for group in groups for parameter in group["params"]]
        still_until(groups, lambda: self._step)
        self._copies: list[nn.Parameter] = []
        if dtype != "float32":
            copy = {id(p): nn.Parameter(p.detach().float()) for p in self._trained}
            groups = [{**group, "params": [copy[id(p)] for p in group["params"]]} for group in groups]
            self._copies = [copy[id(p)] for p in self._trained]
        self._optimizer = adamw(groups, optim)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward pass."""
        return self.module(*args, **kwargs)

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients."""
        loss.backward()

    def step(self, factor: float | None = None, bound: Bound | None = None) -> dict[str, float]:
        """Clip, update, zero the gradients."""
        factor = learning_rate(self._optim, self._step, self._total) if factor is None else factor
        set_rates(self._optimizer.param_groups, factor, self._step)
        norm = nn.utils.get_total_norm([p.grad for p in self._trained if p.grad is not None])
        limit = self._optim.max_grad_norm if bound is None else bound(float(norm))
        if limit:
            nn.utils.clip_grads_with_norm_(self._trained, limit, norm)
        for copy, parameter in zip(self._copies, self._trained, strict=False):
            copy.grad = None if parameter.grad is None else parameter.grad.float()
        self._optimizer.step()
        with torch.no_grad():
            for copy, parameter in zip(self._copies, self._trained, strict=False):
                parameter.copy_(copy)
        self._optimizer.zero_grad()
        self.module.zero_grad()
        self._step += 1
        return {"grad_norm": float(norm), "lr": self._optim.lr * factor}

    def all_reduce(self, value: Tensor) -> Tensor:
        """There is one rank."""
        return value

    def all_reduce_max(self, value: int) -> int:
        """There is one rank."""
        return value

    def weights(self) -> Mapping[str, Tensor]:
        """The model's weights by their Hugging Face names."""
        return policy_state_dict(saved_module(self.module))

    def save(self, folder: Path) -> None:
        """Write everything to `engine.pt`."""
        copies = [copy.detach() for copy in self._copies]
        torch.save(
            {
                "module": self.module.state_dict(),
                "copies": copies,
                "optimizer": self._optimizer.state_dict(),
                "step": self._step,
            },
            folder / "engine.pt",
        )

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        state = torch.load(folder / "engine.pt", map_location=self.device, weights_only=True)
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        with torch.no_grad():
            for copy, saved in zip(self._copies, state["copies"], strict=True):
                copy.copy_(saved)
        self._step = state["step"]
