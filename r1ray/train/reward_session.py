"""One rank's training of a reward model: resume, loop, watch, checkpoint, save. Who listens is a parameter: no Ray."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from r1ray.config.jobs import RewardModelJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.data.conversations import Message, system_message
from r1ray.data.encoding import prompt_text
from r1ray.data.row_order import RowOrder
from r1ray.metrics.reductions import Last, Metric, reduce_all
from r1ray.models.checkpoint import save_policy
from r1ray.models.loading import load_tokenizer
from r1ray.models.prm_layout import CONFIG_KEY
from r1ray.models.scorer import load_scorer
from r1ray.models.trunk import base_model
from r1ray.runs import Run
from r1ray.train.controls import LoopConfig
from r1ray.train.engine import TrainEngine, saved_module
from r1ray.train.group import RankGroup
from r1ray.train.listener import Listener
from r1ray.train.loop import VALIDATION_LOSS, Objective, SupervisedLoop, planned_steps
from r1ray.train.reward_objective import PreferenceObjective, ProcessObjective
from r1ray.train.reward_rows import Parts, row_lengths


class MakeEngine(Protocol):
    """Puts a module under a training engine."""

    def __call__(self, module: nn.Module, optim: OptimConfig, *, total_steps: int) -> TrainEngine: ...


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """What this rank needs of the others, and of whoever runs it."""

    rank: int
    world_size: int
    make_engine: MakeEngine
    meet: Callable[[], None]
    """Waits until every rank is here."""
    report: Callable[[dict[str, float]], None]
    """Called by every rank after every step."""


class RewardSession:
    """Everything between rows and a saved reward model, as one rank sees it."""

    def __init__(
        self, config: RewardModelJobConfig, run: Run, rows: Parts[Any], listener: Listener, ranks: Ranks
    ) -> None:
        self._config, self._run, self._rows, self._ranks = config, run, rows, ranks
        self._group = RankGroup(run, listener, ranks.meet, rank=ranks.rank, world_size=ranks.world_size)

    def run(self) -> None:
        """Go from the newest checkpoint, or from the policy's weights, to a saved model or until told to stop."""
        config, settings = self._config, self._config.reward_model
        loop_config = loop_settings(config)
        order = RowOrder(row_lengths(self._rows.train), config.run.seed)
        scorer = load_scorer(
            config.policy,
            "process" if settings.kind == "process" else "preference",
            config.process.classes if settings.kind == "process" else 1,
            length_term=settings.kind == "preference" and config.preference.length_correction == "offset",
        )
        engine = self._ranks.make_engine(scorer, config.optim, total_steps=planned_steps(order, loop_config))
        loop: SupervisedLoop[Any] = SupervisedLoop(engine, self._objective(self._rows.train), order, loop_config)
        self._group.resume(engine, loop)
        watched = self._objective(self._rows.validation) if self._rows.validation else None

        def evaluate(step: int) -> dict[str, Metric]:
            return {} if watched is None else {VALIDATION_LOSS: Last(self._validation_loss(engine, watched))}

        def report(step: int, metrics: dict[str, Metric]) -> bool:
            return self._after_step(step, metrics, loop, engine)

        if loop.run(report, evaluate=evaluate):
            self._save(engine)

    def _objective(self, rows: Any) -> Objective[Any]:
        config = self._config
        budget = config.optim.tokens_per_microbatch
        if config.reward_model.kind == "process":
            return ProcessObjective(rows, classes=config.process.classes, max_tokens=budget)
        return PreferenceObjective(rows, config.preference, max_tokens=budget)

    def _after_step(
        self, step: int, metrics: dict[str, Metric], loop: SupervisedLoop[Any], engine: TrainEngine
    ) -> bool:
        """Report a step and checkpoint where that is due; False to stop."""
        values = reduce_all([self._group.merged(metrics)])
        stop = self._group.told_to_stop("step", (step, values))
        self._ranks.report(values)
        every = self._config.run.checkpoint_every
        if stop or (every and step % every == 0) or (loop.finished and every):
            self._group.checkpoint_loop(step, engine, loop)
        return not stop

    @torch.no_grad()
    def _validation_loss(self, engine: TrainEngine, objective: Objective[Any]) -> float:
        """Mean over all validation rows, the same on every rank."""
        engine.module.eval()
        mine = sorted(self._rows.validation)[engine.rank :: engine.world_size]
        batches = objective.microbatches(mine)
        missing = max(1, engine.all_reduce_max(len(batches))) - len(batches)
        sums = torch.zeros(2, dtype=torch.float64, device=engine.device)
        for batch in batches:
            sums[0] += objective.loss(engine, batch)[0].double()
            sums[1] += objective.count(batch)
        for _ in range(missing):
            objective.loss(engine, objective.idle())
        total, count = engine.all_reduce(sums).tolist()
        return float(total / max(count, 1.0))

    def _save(self, engine: TrainEngine) -> None:
        """Write `model/`, with how it is to be read."""
        weights = engine.weights()
        if self._group.leads:
            model = saved_module(engine.module)
            tokenizer = load_tokenizer(self._config.policy.path)
            if self._config.reward_model.kind == "process":
                setattr(base_model(model).config, CONFIG_KEY, self._layout(tokenizer))
            save_policy(self._run.model_path, model, tokenizer, weights)
        self._group.meet()

    def _layout(self, tokenizer: Any) -> dict[str, Any]:
        """How a reader with another tokenizer lays a question out: as the policy's prompt, less what is put before it
        anyway."""
        question: Sequence[Message] = [
            *system_message(self._config.problems.system),
            Message(role="user", content="{question}"),
        ]
        prompt = prompt_text(question, tokenizer).removeprefix(tokenizer.bos_token or "")
        return {"style": "token_classification", "position": "step_end", "separator": "\n", "prompt": prompt}


def loop_settings(config: RewardModelJobConfig) -> LoopConfig:
    """The job's settings as the supervised loop's."""
    settings = config.reward_model
    return LoopConfig(
        seed=config.run.seed,
        optim=config.optim,
        batch=settings.batch,
        epochs=settings.epochs,
        max_steps=settings.max_steps,
        evaluate_every=settings.evaluate_every,
        patience=settings.patience,
    )


def steps_ahead(rows: Parts[Any], config: RewardModelJobConfig) -> int:
    """Optimizer steps of the whole training."""
    return planned_steps(RowOrder(row_lengths(rows.train), config.run.seed), loop_settings(config))
