"""Stand-ins small enough to read: an engine on plain PyTorch, and the loop's workers in this process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from r1ray.config.optim import OptimConfig
from r1ray.generation.engine import SamplingParams
from r1ray.models.policy import Policy, policy_state_dict
from r1ray.rl.figures import batch_metrics, success_rates
from r1ray.rl.loop import ScoredBatch
from r1ray.rl.reward import RewardWorker
from r1ray.rl.rollout import RolloutRequest, RolloutWorker
from r1ray.rl.weights import FlatWeights
from r1ray.train.engine import adamw, learning_rate, parameter_groups
from r1ray.types import Problem, Rollout


class TorchEngine:
    """`TrainEngine` on one process of plain PyTorch."""

    def __init__(
        self,
        module: nn.Module,
        optim: OptimConfig,
        *,
        total_steps: int,
        head_lr: float | None = None,
        device: str = "cpu",
    ) -> None:
        self.module = module.to(device)
        self.device, self.rank, self.world_size = torch.device(device), 0, 1
        self._optim, self._total, self._done = optim, total_steps, 0
        self._optimizer = adamw(parameter_groups(module, optim, head_lr), optim)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self) -> dict[str, float]:
        factor = learning_rate(self._optim, self._done, self._total)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self._optim.max_grad_norm or float("inf"))
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._done += 1
        return {"grad_norm": float(norm), "lr": self._optim.lr * factor}

    def all_reduce(self, value: Tensor) -> Tensor:
        return value

    def all_reduce_max(self, value: int) -> int:
        return value

    def weights(self) -> Mapping[str, Tensor]:
        return policy_state_dict(next(m for m in self.module.modules() if isinstance(m, Policy)))

    def save(self, folder: Path) -> None:
        state = {"module": self.module.state_dict(), "optimizer": self._optimizer.state_dict(), "done": self._done}
        torch.save(state, folder / "engine.pt")

    def load(self, folder: Path) -> None:
        state = torch.load(folder / "engine.pt", weights_only=False)
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._done = state["done"]


class LocalRollouts:
    """`Rollouts` around one worker in this process."""

    def __init__(self, worker: RolloutWorker, params: SamplingParams, samples: int, seed: int = 0) -> None:
        self.worker, self.params, self.samples, self.seed, self.version = worker, params, samples, seed, 0

    def load(self, weights: FlatWeights | None) -> None:
        assert weights is not None
        self.version = self.worker.load_weights(weights)

    def start(self, problems: Sequence[Problem], step: int) -> "Ready":
        request = RolloutRequest(
            samples=self.samples, params=self.params, version=self.version, seed=self.seed, step=step
        )
        return Ready(self.worker.generate(problems, request))


class Ready:
    """Rollouts that are there already."""

    def __init__(self, rollouts: list[Rollout]) -> None:
        self._rollouts = rollouts

    def result(self) -> list[Rollout]:
        return self._rollouts


class LocalRewards:
    """`Rewards` around one worker in this process."""

    def __init__(self, worker: RewardWorker) -> None:
        self.worker = worker

    def score(self, rollouts: list[Rollout], step_weight: float | None = None) -> ScoredBatch:
        scored, counters = self.worker.score(rollouts, step_weight)
        return ScoredBatch(share=scored, success=success_rates(scored), metrics=batch_metrics(scored, counters))
