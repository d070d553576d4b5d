"""One rank's whole SFT run: examination before, training with validations and checkpoints, the saved model, examination
after. No Ray here: who wraps the network and who listens are parameters."""

import functools
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from r1ray.config.jobs import SFTJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.data.row_order import RowOrder
from r1ray.data.sft_rows import SFTRows
from r1ray.generation.engine import GenerationEngine
from r1ray.metrics.reductions import Last, Metric, reduce_all
from r1ray.models.activation_checkpointing import checkpoint_layers
from r1ray.models.checkpoint import save_policy
from r1ray.models.loading import load_policy, load_tokenizer
from r1ray.models.policy import Policy
from r1ray.reasoning.prompts import prompt_ids
from r1ray.runs import Run
from r1ray.train.controls import LoopConfig
from r1ray.train.engine import TrainEngine
from r1ray.train.examine import evaluations, examine, keep
from r1ray.train.group import RankGroup
from r1ray.train.listener import Listener
from r1ray.train.loop import VALIDATION_LOSS, SupervisedLoop, planned_steps
from r1ray.train.sft import SFTBatch, SFTObjective
from r1ray.train.transfer import transfer_groups
from r1ray.train.variants import Variants
from r1ray.types import Problem

BEST = "best"
"""Folder of the run with the weights of the best validation, where there is patience."""


@dataclass(frozen=True, kw_only=True)
class SFTData:
    """What is learned, and what is examined on."""

    rows: SFTRows
    heldout: list[Problem]


class MakeEngine(Protocol):
    """Puts a module under a training engine."""

    def __call__(
        self, module: nn.Module, optim: OptimConfig, *, total_steps: int, groups: list[dict[str, Any]] | None = None
    ) -> TrainEngine: ...


@dataclass(frozen=True, kw_only=True)
class SFTWorkers:
    """Who works for this rank."""

    make_engine: MakeEngine
    make_generation: Callable[[PolicyConfig], GenerationEngine]
    """An engine with the weights at the policy's path, for examinations; asked on rank 0 alone."""
    meet: Callable[[], None]
    """Waits until every rank is here, however long that takes."""
    report: Callable[[dict[str, float]], None]
    """Called by every rank after every step."""


def loop_config(config: SFTJobConfig) -> LoopConfig:
    """What the loop needs of the job's configuration."""
    sft = config.sft
    return LoopConfig(
        seed=config.run.seed,
        optim=config.optim,
        batch=sft.batch,
        batch_tokens=sft.batch_tokens,
        epochs=sft.epochs,
        max_steps=sft.max_steps,
        evaluate_every=sft.evaluate_every,
        patience=sft.patience,
        min_improvement=sft.min_improvement,
        clipping=config.clipping,
        accumulation=config.accumulation,
        loss_trend=config.loss_trend,
        ranks_a_row=config.parallel.sequence * config.parallel.tensor,
        copies=config.parallel.tensor,
    )


def row_order(rows: SFTRows, seed: int) -> RowOrder:
    """The order in which rows come."""
    lengths = {name: len(row.token_ids) for name, row in rows.train.items()}
    mix = {
        domain: ({name: len(row.token_ids) for name, row in found.items()}, share)
        for domain, (found, share) in rows.domains.items()
    }
    others = {name: len(row.token_ids) for found in rows.variants.values() for name, row in found.items()}
    return RowOrder(lengths, seed, mix, others)


class SFTSession:
    """Everything between a configuration and a fine-tuned policy, as one rank sees it."""

    def __init__(
        self,
        config: SFTJobConfig,
        run: Run,
        data: SFTData,
        workers: SFTWorkers,
        listener: Listener,
        *,
        rank: int,
        world_size: int,
    ) -> None:
        self._config, self._run, self._data, self._workers = config, run, data, workers
        self._group = RankGroup(run, listener, workers.meet, rank=rank, world_size=world_size)
        self._tokenizer = load_tokenizer(config.policy.path)
        self._prompt = functools.partial(prompt_ids, self._tokenizer, system=config.problems.system)
        self._generation: GenerationEngine | None = None
        sharing = config.parallel.sequence * config.parallel.tensor
        self._mine = sorted(data.rows.validation)[rank // sharing :: world_size // sharing]

    def run(self) -> None:
        """Go from wherever the run folder stands to its end, or until the listener says stop."""
        config = self._config
        torch.manual_seed(config.run.seed)
        self._examine("before", Path(config.policy.path))
        if self._group.told_to_stop("phase", "loading the policy"):
            return
        engine, loop, objective = self._assemble()
        self._group.resume(engine, loop)

        def report(step: int, metrics: dict[str, Metric]) -> bool:
            return self._after_step(step, metrics, loop, engine)

        done = loop.run(
            report,
            evaluate=lambda step: self._validate(step, loop, engine, objective),
            on_best=functools.partial(self._save, engine, self._run.folder / BEST) if config.sft.patience else None,
        )
        if done:
            self._finish(engine)

    def _assemble(self) -> tuple[TrainEngine, SupervisedLoop[SFTBatch], SFTObjective]:
        """The network under its engine, and the loop over its rows."""
        config, rows = self._config, self._data.rows
        started = time.monotonic()
        loading = replace(config.policy, dtype="bfloat16" if config.precision.dtype == "bfloat16" else "float32")
        model, _ = load_policy(loading, dropout=config.sft.dropout)
        if config.parallel.checkpoint_layers:
            checkpoint_layers(model, config.parallel.checkpoint_layers)
        policy = Policy(model)
        groups = transfer_groups(policy, config.optim, config.transfer)
        order, settings = row_order(rows, config.run.seed), loop_config(config)
        loaded = time.monotonic()
        engine = self._workers.make_engine(
            policy, config.optim, total_steps=planned_steps(order, settings), groups=groups
        )
        everything = rows.train | rows.validation
        for found, _ in rows.domains.values():
            everything |= found
        for found in rows.variants.values():
            everything |= found
        objective = SFTObjective(
            everything,
            tokens_per_microbatch=config.optim.tokens_per_microbatch,
            logits_chunk=config.optim.logits_chunk,
            packing=config.sft.packing,
            label_smoothing=config.sft.label_smoothing,
            share=(self._group.rank % config.parallel.sequence, config.parallel.sequence),
        )
        variants = Variants(rows.variants, config.adaptive, config.run.seed) if rows.variants else None
        loop = SupervisedLoop(engine, objective, order, settings, variants)
        self._group.listener.post(
            "note",
            f"Policy loaded in {loaded - started:.1f} s, training engine ready after another "
            f"{time.monotonic() - loaded:.1f} s; {loop.total_steps} steps over {order.rows_per_epoch:,} rows an epoch.",
        )
        return engine, loop, objective

    # ── Along the way ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _after_step(
        self, step: int, metrics: dict[str, Metric], loop: SupervisedLoop[SFTBatch], engine: TrainEngine
    ) -> bool:
        """Report a step, checkpoint where that is due; False to stop."""
        values = reduce_all([self._group.merged(metrics)])
        values["throughput/tokens_per_s"] = values.pop("train/tokens") / values["time/train"]
        values["throughput/rows_per_s"] = values["train/rows"] / values["time/train"]
        stop = self._group.told_to_stop("step", (step, values))
        self._workers.report(values)
        every = self._config.run.checkpoint_every
        if stop or loop.finished or (every and step % every == 0):
            self._group.checkpoint_loop(step, engine, loop)
        return not stop

    def _validate(
        self, step: int, loop: SupervisedLoop[SFTBatch], engine: TrainEngine, objective: SFTObjective
    ) -> dict[str, Metric]:
        """Validation loss and perplexity; and, where it is due, accuracy on a few held-out problems."""
        self._group.listener.post("phase", "validation")
        loss = objective.negative_log_likelihood(engine, self._mine)
        metrics: dict[str, Metric] = {
            VALIDATION_LOSS: Last(loss),
            "validation/perplexity": Last(math.exp(min(loss, 50.0))),
        }
        every = self._config.evaluation.every
        if every and step % every == 0 and not loop.finished:
            metrics |= self._glance(step, engine)
        self._group.listener.post("phase", "training")
        return metrics

    def _glance(self, step: int, engine: TrainEngine) -> dict[str, Metric]:
        """Accuracy on the first few held-out problems, on rank 0 while the others wait."""
        settings = self._config.evaluation
        held = self._data.heldout[: min(settings.during, settings.problems)]
        if not held:
            return {}
        weights = engine.weights()
        figures: dict[str, Metric] = {}
        if self._group.leads:
            self._group.listener.post("phase", f"evaluation on {len(held)} problems")
            result = examine(self._engine_with(weights, step), self._prompt, held, self._config)
            figures = {name: Last(value) for name, value in result.metrics().items()}
        self._group.meet()
        return figures

    # ── Before and after ──────────────────────────────────────────────────────────────────────────────────────────────

    def _finish(self, engine: TrainEngine) -> None:
        """Save the model, the best one where there is patience, and examine it."""
        best, target = self._run.folder / BEST, self._run.model_path
        if not (self._config.sft.patience and best.exists()):
            self._save(engine, target)
        elif self._group.leads:
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(best, target)
        self._group.meet()
        self._examine("after", target, samples=self._config.evaluation.samples)

    def _save(self, engine: TrainEngine, folder: Path, step: int = 0) -> None:
        weights = engine.weights()
        if self._group.leads:
            save_policy(folder, engine.module, self._tokenizer, weights)
        self._group.meet()

    def _examine(self, name: str, path: Path, samples: int = 0) -> None:
        """Accuracy of the model at `path` on held-out problems, on rank 0 while the others wait; kept in the run folder
        under `name`, and made once."""
        problems = self._data.heldout[: self._config.evaluation.problems]
        if self._group.leads and problems and name not in evaluations(self._run.folder):
            self._group.listener.post("note", f"Answering {len(problems)} held-out problems, {name} training …")
            self._generation = None  # one set of weights at a time
            engine = self._workers.make_generation(replace(self._config.policy, path=str(path)))
            result = examine(engine, self._prompt, problems, self._config, samples)
            keep(self._run.folder, name, result)
            low, high = result.interval.low, result.interval.high
            self._group.listener.post(
                "note",
                f"Held-out accuracy, {name}: {result.accuracy:.1%} ({low:.1%} to {high:.1%}, "
                f"{len(result.correct)} problems)",
            )
            self._generation = engine
        self._group.meet()

    def _engine_with(self, weights: Mapping[str, Tensor], step: int) -> GenerationEngine:
        """The engine of examinations, with the weights of a step."""
        if self._generation is None:
            self._generation = self._workers.make_generation(self._config.policy)
        self._generation.load_weights(weights, step)
        return self._generation
