"""Training that a recipe does: the supervised loop over the bench's rows, with the parent for a teacher."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from r1ray.config.optim import OptimConfig
from r1ray.data.encoding import TokenRow
from r1ray.data.row_order import RowOrder
from r1ray.metrics.reductions import Metric, reduce_all
from r1ray.quantize.bench import Bench
from r1ray.quantize.distillation import Distillation, Reader
from r1ray.train.controls import LoopConfig
from r1ray.train.loop import SupervisedLoop
from r1ray.train.plain import TorchEngine


class MaskedEngine(TorchEngine):
    """Keeps pruned weights at zero: whatever a step did to them is undone."""

    def __init__(self, module: Reader, optim: OptimConfig, *, masks: Mapping[str, Tensor], **settings: Any) -> None:
        super().__init__(module, optim, **settings)
        self._masks = {module.network.get_parameter(name): mask.to(self.device) for name, mask in masks.items()}

    def step(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        figures = super().step(*args, **kwargs)
        with torch.no_grad():
            for parameter, mask in self._masks.items():
                parameter.mul_(mask)
        return figures


def learn_from_parent(
    bench: Bench,
    student: Any,
    *,
    steps: int,
    what: str,
    stage: str = "labels",
    temperature: float = 1.0,
    layers: Sequence[int] = (),
    masks: Mapping[str, Tensor] | None = None,
    choose: Callable[[str, TokenRow], bool] | None = None,
) -> list[float]:
    """Train `student` in place, float32; returns the loss of each step.

    Args:
        bench: rows, batch sizes and rates.
        student: a causal language model.
        steps: optimizer steps, over as many passes as they take.
        what: for the notes.
        stage: see `Distillation`.
        temperature: of the soft labels.
        layers: see `Distillation`.
        masks: of weights that stay zero, by parameter.
        choose: which rows; None = all.
    """
    if not steps:
        return []
    config, device = bench.config, bench.device
    rows = {name: row for name, row in bench.rows.train.items() if choose is None or choose(name, row)}
    teacher = bench.network()
    for network in (student, teacher):
        network.set_attn_implementation("eager" if stage == "attention" else "sdpa")
    objective = Distillation(
        Reader(teacher.to(device)),
        rows,
        stage=stage,
        temperature=temperature,
        layers=layers,
        tokens_per_microbatch=config.optim.tokens_per_microbatch,
    )
    engine = MaskedEngine(Reader(student), config.optim, masks=masks or {}, total_steps=steps, device=device)
    order = RowOrder({name: len(row.token_ids) for name, row in rows.items()}, config.run.seed)
    batch, batch_tokens = config.sft.batch, config.sft.batch_tokens
    a_pass = order.batches(1, rows=batch, tokens=batch_tokens)
    settings = LoopConfig(
        seed=config.run.seed,
        optim=config.optim,
        batch=batch,
        batch_tokens=batch_tokens,
        epochs=math.ceil(steps / max(1, a_pass)),
        max_steps=steps,
    )
    losses: list[float] = []

    def report(step: int, metrics: dict[str, Metric]) -> bool:
        losses.append(reduce_all([metrics])["train/loss"])
        bench.note(f"{what}: step {step} of {steps}, loss {losses[-1]:.4f}")
        return True

    SupervisedLoop(engine, objective, order, settings).run(report)
    student.to("cpu").eval()
    return losses
