"""One rank's whole run: cold start, evaluations, PPO, checkpoints, the saved model. No Ray here: who generates, who
scores and who listens are parameters.

    base ──evaluate──► cold start ──evaluate──► PPO … (checkpoint, small evaluations) … ──evaluate──► model/
"""

import functools
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.data.cold_start import worked_examples
from r1ray.data.problem_set import ProblemSet
from r1ray.data.sampler import ProblemSampler
from r1ray.generation.engine import GenerationEngine
from r1ray.metrics.reductions import Metric, reduce_all
from r1ray.models.checkpoint import save_policy
from r1ray.models.loading import decoder, load_policy, load_tokenizer, resolve_model
from r1ray.models.policy import Policy
from r1ray.reasoning.prompts import prompt_ids
from r1ray.rl.examine import evaluations, examine, keep
from r1ray.rl.figures import sample_rows
from r1ray.rl.learner import Learner
from r1ray.rl.loop import Rewards, Rollouts, ScoredBatch, ppo_loop
from r1ray.rl.networks import build_actor_critic, build_reference
from r1ray.rl.step_weight import StepWeight
from r1ray.runs import Run
from r1ray.runs.manifest import owning_run
from r1ray.train.engine import TrainEngine
from r1ray.train.group import RankGroup
from r1ray.train.listener import Listener
from r1ray.train.supervised import Example, train_supervised
from r1ray.types import Problem, ScoredRollout

COLD_START = "cold_start"
"""Folder of the run that holds the cold-started policy: where PPO starts from, and its reference."""
SAMPLES = 8
"""Rollouts written to samples.jsonl each time."""


class MakeEngine(Protocol):
    """Puts a module under a training engine."""

    def __call__(
        self, module: nn.Module, optim: OptimConfig, *, total_steps: int, head_lr: float | None = None
    ) -> TrainEngine: ...


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who works for this rank."""

    rollouts: Rollouts
    rewards: Rewards
    engine: GenerationEngine
    """The same engines that `rollouts` drives, for evaluations (rank 0 asks it alone)."""
    make_engine: MakeEngine
    meet: Callable[[], None]
    """Waits until every rank is here, however long that takes."""
    report: Callable[[dict[str, float]], None]
    """Called by every rank after every step."""


class Session:
    """Everything between a configuration and a trained policy, as one rank sees it."""

    def __init__(
        self,
        config: PPOJobConfig,
        run: Run,
        problems: ProblemSet,
        workers: Workers,
        listener: Listener,
        *,
        rank: int,
        world_size: int,
    ) -> None:
        self._config, self._run, self._problems, self._workers = config, run, problems, workers
        self._group = RankGroup(run, listener, workers.meet, rank=rank, world_size=world_size)
        self._tokenizer = load_tokenizer(config.policy.path)
        self._prompt = functools.partial(prompt_ids, self._tokenizer, system=config.problems.system)
        self._last_share: Sequence[ScoredRollout] = ()
        self.step_weight = StepWeight(config.reward, config.run.seed) if config.reward.adaptive_weight else None
        """Adapts the weight of the step reward; None where it is fixed. Only rank 0's counts: it alone has scores
        made."""

    def run(self) -> None:
        """Go from wherever the run folder stands to its end, or until the listener says stop."""
        torch.manual_seed(self._config.run.seed + self._group.rank)
        start = self._start()
        if not self._group.told_to_stop("phase", "loading the learner"):
            self._reinforce(start)

    # ── Before PPO ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> str:
        """Examine the base model and give it its cold start, unless that has been done; returns where PPO starts."""
        base = resolve_model(self._config.policy.path)
        if self._config.cold_start.examples == 0 or owning_run(base) is not None:
            return str(base)
        folder = self._run.folder / COLD_START
        if not folder.exists():
            self._examine("base", self._config.evaluation.base)
            self._cold_start(folder)
            gc.collect()  # a DeepSpeed engine is a cycle of references, as large as the one that comes next
        return str(folder)

    def _cold_start(self, folder: Path) -> None:
        """Supervised training on worked solutions of easier problems, saved to `folder`."""
        settings = self._config.cold_start
        self._group.listener.post("phase", "cold start")
        seen = {problem.id for problem in (*self._problems.train, *self._problems.heldout)}
        examples = [self._example(p) for p in worked_examples(settings, self._config.run.seed, seen)]
        batches = [
            examples[i : i + settings.batch][self._group.rank :: self._group.world_size]
            for _ in range(settings.epochs)
            for i in range(0, len(examples), settings.batch)
        ]
        optim = replace(self._config.optim, lr=settings.lr, schedule="cosine", warmup=0, weight_decay=0.0)
        model, _ = load_policy(self._config.policy)
        engine = self._workers.make_engine(Policy(model), optim, total_steps=len(batches))

        def report(step: int, metrics: dict[str, Metric]) -> None:
            values = reduce_all([metrics])
            self._group.listener.post("phase", f"cold start {step}/{len(batches)}, loss {values['sft/loss']:.3f}")

        train_supervised(engine, batches, optim, report)
        weights = engine.weights()
        if self._group.leads:
            save_policy(folder, engine.module, self._tokenizer, weights)
        self._group.meet()

    def _example(self, problem: Problem) -> Example:
        ids = self._tokenizer(problem.solution, add_special_tokens=False)["input_ids"]
        return Example(prompt_ids=self._prompt(problem), response_ids=[*ids, int(self._tokenizer.eos_token_id)])

    # ── PPO ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _reinforce(self, start: str) -> None:
        """PPO from the newest checkpoint, or from `start`."""
        config = self._config
        checkpoint = self._group.newest_checkpoint()
        module = build_actor_critic(config, start)
        engine = self._workers.make_engine(
            module,
            config.optim,
            total_steps=config.ppo.steps * config.ppo.epochs * config.ppo.minibatches,
            head_lr=config.critic.lr,
        )
        reference = build_reference(config, start)
        learner = Learner(engine, reference.to(engine.device) if reference is not None else None, config)
        train = [replace(problem, solution="") for problem in self._problems.train[self._probes :]]
        sampler = ProblemSampler(
            train, config.ppo.prompts_per_step, config.run.seed, curriculum=config.problems.curriculum
        )
        done = 0
        if checkpoint is not None:
            state = checkpoint.info
            engine.load(checkpoint.path)
            learner.load_state_dict(state["learner"])
            sampler.restore(state["sampler"])
            if self.step_weight is not None:
                self.step_weight.load_state_dict(state["step_weight"])
            done = checkpoint.step
            self._group.listener.post("note", f"Resumed at step {done}.")
        if done == 0:
            self._workers.rollouts.load(learner.publish())
            self._examine("cold_start", self._config.evaluation.problems)
            self._adapt()
        self._group.listener.post("resumed", done)

        def report(step: int, metrics: dict[str, Metric]) -> bool:
            return self._after_step(step, metrics, learner, sampler, engine)

        done = ppo_loop(
            sampler, self._workers.rollouts, _Remember(self._workers.rewards, self), learner, report, config.ppo, done
        )
        if done >= config.ppo.steps:
            self._finish(engine)

    def _after_step(
        self, step: int, metrics: dict[str, Metric], learner: Learner, sampler: ProblemSampler, engine: TrainEngine
    ) -> bool:
        """Report a step, checkpoint and examine where that is due; False to stop."""
        config = self._config
        values = reduce_all([self._group.merged(metrics)])
        tokens, seconds = values.get("rollout/tokens", 0.0), values["time/step"]
        values["throughput/generated_tokens_per_s"] = tokens / max(values["time/generate"], 1e-9)
        values["throughput/samples_per_s"] = config.ppo.prompts_per_step * config.ppo.samples_per_prompt / seconds
        values |= {f"rollout/success_{bucket}": rate for bucket, rate in sampler.success_rates.items()}
        values |= self._glance(step)
        if self.step_weight is not None and step % config.reward.adapt_every == 0 and step < config.ppo.steps:
            values |= self._adapt()
        if self._group.leads and config.run.samples_every and step % config.run.samples_every == 0:
            rows = sample_rows(self._last_share, learner.last, decoder(self._tokenizer), step, SAMPLES)
            self._group.listener.post("samples", rows)
        stop = self._group.told_to_stop("step", (step, values))
        self._workers.report(values)
        every = config.run.checkpoint_every
        if stop or step == config.ppo.steps or (every and step % every == 0):
            self._group.checkpoint(step, engine, lambda: self._state(learner, sampler))
        return not stop

    def _state(self, learner: Learner, sampler: ProblemSampler) -> dict[str, Any]:
        """What a checkpoint must hold beside the engine's own."""
        state = {"learner": learner.state_dict(), "sampler": sampler.state()}
        if self.step_weight is not None:
            state["step_weight"] = self.step_weight.state_dict()
        return state

    def _finish(self, engine: TrainEngine) -> None:
        """Save the model and examine it."""
        weights = engine.weights()
        if self._group.leads:
            save_policy(self._run.model_path, engine.module.policy, self._tokenizer, weights)  # type: ignore[arg-type]
        self._examine("after", self._config.evaluation.problems, samples=self._config.evaluation.samples)

    # ── Evaluations ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _examine(self, name: str, count: int, *, samples: int = 0) -> None:
        """Accuracy of the engines' present weights on the first `count` held-out problems, on rank 0 while the others
        wait; kept in the run folder under `name`, and made once for these weights."""
        folder, engine = self._run.folder, self._workers.engine
        problems = self._problems.heldout[: min(count, self._config.evaluation.problems)]
        made = evaluations(folder).get(name, {}).get("policy_version") == engine.policy_version
        if self._group.leads and problems and not made:
            self._group.listener.post("phase", f"evaluation: {name.replace('_', ' ')}")
            result = examine(engine, self._prompt, problems, self._config, samples)
            keep(folder, name, result)
            low, high = result.interval.low, result.interval.high
            self._group.listener.post(
                "note",
                f"Held-out accuracy, {name.replace('_', ' ')}: {result.accuracy:.1%} ({low:.1%} to {high:.1%}, "
                f"{len(result.correct)} problems)",
            )
        self._group.meet()

    def _glance(self, step: int) -> dict[str, float]:
        """Figures of a small evaluation, on rank 0, where one is due after `step`."""
        settings = self._config.evaluation
        figures: dict[str, float] = {}
        due = settings.problems and settings.every and step % settings.every == 0 and step < self._config.ppo.steps
        if not due:
            return figures
        if self._group.leads:
            held = self._problems.heldout[: settings.during]
            figures = examine(self._workers.engine, self._prompt, held, self._config).metrics()
        self._group.meet()
        return figures

    @property
    def _probes(self) -> int:
        """How many training problems are set aside to adapt the step weight by: evaluations get others."""
        return min(self._config.evaluation.during, len(self._problems.train) // 2) if self.step_weight else 0

    def _adapt(self) -> dict[str, float]:
        """Measure what the step weight in use has brought, and settle the next, on rank 0 while the others wait."""
        figures: dict[str, float] = {}
        if self.step_weight is not None and self._probes:
            if self._group.leads:
                probes = self._problems.train[: self._probes]
                found = examine(self._workers.engine, self._prompt, probes, self._config)
                figures = self.step_weight.observe(found.accuracy)
            self._group.meet()
        return figures

    def remember(self, share: Sequence[ScoredRollout]) -> None:
        """Keep the step's rollouts for `samples.jsonl`."""
        self._last_share = share


class _Remember:
    """`Rewards` that shows what it scored to the session."""

    def __init__(self, rewards: Rewards, session: Session) -> None:
        self._rewards, self._session = rewards, session

    def score(self, rollouts: Any, step_weight: float | None = None) -> ScoredBatch:
        """Score, with the step weight of the moment, and remember this rank's share."""
        adapted = self._session.step_weight
        batch = self._rewards.score(rollouts, step_weight if adapted is None else adapted.value)
        self._session.remember(batch.share)
        return batch
