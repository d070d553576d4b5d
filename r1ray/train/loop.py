"""The supervised loop: rows by position, micro-batches by an objective, one optimizer step a batch, exactly resumable.

    position ──RowOrder──► rows ──Objective──► micro-batches ──► loss / global count ──► step ──► evaluate? ──► report

Whatever the next step depends on is the engine's state, `state_dict()`, or a function of (seed, step, rank): a run that
was killed and resumed ends with the same bits. Nothing here knows what is learned: SFT and reward models bring an
`Objective`.
"""

import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from r1ray.data.row_order import Position, RowOrder, share_of
from r1ray.errors import DivergenceError
from r1ray.metrics.reductions import Last, Max, Metric, merge_all
from r1ray.train.controls import Controls, LoopConfig
from r1ray.train.engine import TrainEngine
from r1ray.train.gradient_meter import GradientMeter
from r1ray.train.variants import Variants

B = TypeVar("B")
"""A micro-batch, whatever the objective makes of rows."""

VALIDATION_LOSS = "validation/loss"
"""What an evaluation must report for patience to go by."""


class Objective(Protocol[B]):
    """What is learned from rows."""

    def microbatches(self, rows: Sequence[str]) -> list[B]:
        """This rank's rows of one step, by their ids, cut up."""
        ...

    def idle(self) -> B:
        """A small micro-batch whose loss counts for nothing: collectives need every rank to make as many passes."""
        ...

    def count(self, batch: B) -> float:
        """What the loss is a mean over: response tokens, pairs, steps."""
        ...

    def loss(self, engine: TrainEngine, batch: B) -> tuple[Tensor, dict[str, Metric]]:
        """The *sum* of the losses of what counts in `batch`, through `engine.forward`, and figures of interest."""
        ...


class SupervisedLoop(Generic[B]):
    """One rank's loop.

    >>> loop = SupervisedLoop(engine, objective, order, config)
    >>> loop.load_state_dict(checkpoint.info["loop"])  # and engine.load(checkpoint.path), to go on
    >>> loop.run(report, evaluate=evaluate)
    """

    def __init__(
        self,
        engine: TrainEngine,
        objective: Objective[B],
        order: RowOrder,
        config: LoopConfig,
        variants: Variants | None = None,
    ) -> None:
        """
        Args:
            engine: made for `planned_steps(order, config)` optimizer steps.
            objective: what is learned.
            order: of the rows.
            config: sizes and controllers.
            variants: take rows' places.
        """
        self._engine, self._objective, self._order, self._config = engine, objective, order, config
        self.total_steps = planned_steps(order, config)
        """Optimizer steps of the whole run; under adaptive accumulation, how many there would be of the smallest."""
        self._controls, self._variants = Controls(config, self.total_steps), variants
        self._meter = GradientMeter(engine.module) if config.adaptive else None
        self.step = 0
        """Optimizer steps that are done."""
        self.position = Position()
        """Where the next batch begins."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        full = self.position.epoch >= self._config.epochs
        most = self._config.max_steps
        return full or bool(most and self.step >= most) or self._controls.stopping.stop

    @property
    def improved(self) -> bool:
        """Whether the newest evaluation was the best so far."""
        return self._controls.stopping.waited == 0

    def run(
        self,
        report: Callable[[int, dict[str, Metric]], bool],
        *,
        evaluate: Callable[[int], dict[str, Metric]] | None = None,
        on_best: Callable[[int], None] | None = None,
    ) -> bool:
        """Train to the end, or until `report` says stop; returns whether the end was reached.

        Args:
            report: called by every rank after each step, with this rank's figures; False to stop. What `state_dict()`
                says in there is what a checkpoint after this step must hold.
            evaluate: called by every rank when an evaluation is due, before `report`, which gets its figures too; the
                same on every rank, with `validation/loss` among them if there is patience to go by.
            on_best: called by every rank when that loss is the best so far, before `report`.
        """
        while not self.finished:
            started = time.monotonic()
            metrics = self._train_step()
            metrics["time/train"] = Last(time.monotonic() - started)
            if evaluate is not None and self._due():
                found = evaluate(self.step)
                metrics |= found
                best = VALIDATION_LOSS in found and self._controls.stopping.update(found[VALIDATION_LOSS].value)
                if best and on_best is not None:
                    on_best(self.step)
            metrics["time/step"] = Last(time.monotonic() - started)
            if not report(self.step, metrics):
                return self.finished
        return True

    def state_dict(self) -> dict[str, Any]:
        """What must outlive this process beside the engine's own state; JSON-serialisable, the same on every rank."""
        return {
            "step": self.step,
            "position": [self.position.epoch, self.position.offset],
            "order": self._order.state(),
            "controls": self._controls.state_dict(),
            **({} if self._variants is None else {"variants": self._variants.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            CheckpointError: the rows are others than they were.
        """
        self._order.check(state["order"])
        self.step = int(state["step"])
        self.position = Position(*state["position"])
        self._controls.load_state_dict(state["controls"])
        if self._variants is not None:
            self._variants.load_state_dict(state["variants"])

    def _due(self) -> bool:
        every = self._config.evaluate_every
        return self.finished or bool(every and self.step % every == 0)

    def _train_step(self) -> dict[str, Metric]:
        """One optimizer step over the next batch."""
        engine, objective = self._engine, self._objective
        engine.module.train()
        stream = engine.rank // self._config.copies
        torch.manual_seed(draw_seed(self._config.seed, self.step, stream))  # dropout's draws need no state
        rows, after = self._order.take(self.position, **self._controls.batch_size())
        if self._variants is not None:
            rows = self._variants.instead_of(rows, self.step)
        sharing = self._config.ranks_a_row
        mine = share_of(rows, self._order.length, engine.rank // sharing, engine.world_size // sharing)
        batches = objective.microbatches(mine)
        counts = [objective.count(batch) for batch in batches]
        missing = max(1, engine.all_reduce_max(len(batches))) - len(batches)
        total = self._sum([sum(counts)])[0]
        denominator = max(total, 1.0) / engine.world_size  # gradients are averaged over ranks, see `global_count`

        found: list[dict[str, Metric]] = []
        summed = 0.0
        for batch, count in zip(batches, counts, strict=True):
            loss, metrics = objective.loss(engine, batch)
            if self._meter is not None:
                self._meter.begin(weight=denominator / max(count, 1.0), size=count)
            engine.backward(loss / denominator)
            summed += float(loss.detach())
            found.append(metrics)
        for _ in range(missing):
            loss, _ = objective.loss(engine, objective.idle())
            if self._meter is not None:
                self._meter.pause()
            engine.backward(loss * 0.0)

        rate = self._controls.rate(self.step, self._order.fraction(self.position, self._config.epochs))
        figures = engine.step(rate, self._controls.bound)
        mean = self._sum([summed])[0] / max(total, 1.0)
        if not math.isfinite(mean):
            raise DivergenceError(
                f"The training loss of step {self.step + 1} is {mean}. Lower optim.lr, or train in another precision; "
                "the newest checkpoint is from before."
            )
        self._controls.observe_loss(mean)
        if self._variants is not None:
            self._variants.observe(mean)
        if self._meter is not None:
            self._observe_noise(figures["grad_norm"], total)
        self.step, self.position = self.step + 1, after
        return {
            "train/loss": Last(mean),
            "train/epoch": Last(self._order.fraction(after, self._config.epochs) * self._config.epochs),
            "train/rows": Last(float(len(rows))),
            "train/counted": Last(total / self._config.copies),
            "train/tokens": Last(float(sum(map(self._order.length, rows)))),
            "train/microbatches": Max(float(len(batches) + missing)),
            **{f"optim/{name}": Last(value) for name, value in figures.items()},
            **{name: Last(value) for name, value in self._controls.figures().items()},
            **{name: Last(value) for name, value in (self._variants.figures() if self._variants else {}).items()},
            **merge_all(found),
        }

    def _observe_noise(self, norm: float, total: float) -> None:
        assert self._meter is not None
        squares, sizes, number = self._sum(list(self._meter.take()))
        if number:
            self._controls.observe_noise(squares / number, norm * norm, sizes / number, total)

    def _sum(self, values: list[float]) -> list[float]:
        """Over ranks."""
        if self._engine.world_size == 1:
            return values
        summed = self._engine.all_reduce(torch.tensor(values, dtype=torch.float64, device=self._engine.device))
        return [float(value) for value in summed]


def planned_steps(order: RowOrder, config: LoopConfig) -> int:
    """Optimizer steps that the schedule spans: those of all epochs, `max_steps` at most."""
    steps = order.batches(config.epochs, **Controls(config, 1).batch_size())
    return min(steps, config.max_steps) if config.max_steps else steps


def draw_seed(seed: int, step: int, rank: int) -> int:
    """A random stream for each (run, step, rank)."""
    return zlib.crc32(f"{seed}/{step}/{rank}".encode())
