"""Supervised training on worked solutions: one worker's loop over the batches it is given."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from r1ray.algorithms.losses import global_count, nll_loss
from r1ray.algorithms.packing import PackedBatch, pack
from r1ray.config.optim import OptimConfig
from r1ray.metrics.reductions import Last, Mean, Metric
from r1ray.train.engine import TrainEngine


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A prompt and the response to learn."""

    prompt_ids: list[int]
    response_ids: list[int]


def train_supervised(
    engine: TrainEngine,
    batches: Iterable[Sequence[Example]],
    config: OptimConfig,
    report: Callable[[int, dict[str, Metric]], None],
) -> None:
    """One optimizer step a batch; the loss is the mean negative log-likelihood over all response tokens of all ranks.

    Args:
        engine: holds a `Policy`.
        batches: this rank's share of each step's examples.
        config: micro-batch budget and logits chunk.
        report: called after each step with its metrics.
    """
    engine.module.train()
    for step, batch in enumerate(batches, start=1):
        micro = equal_count(pack_examples(batch, config.tokens_per_microbatch), engine)
        tokens = sum(len(example.response_ids) for example in batch)
        mask = torch.ones(tokens, dtype=torch.bool, device=engine.device)
        denominator = global_count(mask, all_reduce=engine.all_reduce, averaged_over=engine.world_size)
        total = 0.0
        for packed, counts in micro:
            packed = packed.to(engine.device)
            logprobs = engine.forward(packed, chunk=config.logits_chunk).logprobs
            loss = nll_loss(logprobs, torch.full_like(logprobs, counts, dtype=torch.bool), denominator)
            engine.backward(loss)
            total += float(loss.detach())
        figures = engine.step()
        per_token = total * float(denominator) / tokens if tokens else math.nan
        report(
            step,
            {
                "sft/loss": Mean(per_token, tokens),
                "optim/grad_norm": Last(figures["grad_norm"]),
                "optim/lr": Last(figures["lr"]),
            },
        )


def pack_examples(examples: Sequence[Example], max_tokens: int) -> list[PackedBatch]:
    """Examples as micro-batches; each is a group of its own."""
    return pack(
        [example.prompt_ids for example in examples],
        [example.response_ids for example in examples],
        group=range(len(examples)),
        max_tokens=max_tokens,
    )


def equal_count(micro: list[PackedBatch], engine: TrainEngine) -> list[tuple[PackedBatch, bool]]:
    """The same number of micro-batches on every rank, each with whether it counts: collectives inside forward and
    backward need every rank to make as many. There is at least one, so that every optimizer step has gradients."""
    missing = max(1, engine.all_reduce_max(len(micro))) - len(micro)
    idle = pack([[0]], [[0]], group=[0], max_tokens=2) * missing
    return [(packed, True) for packed in micro] + [(packed, False) for packed in idle]
