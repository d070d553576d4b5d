"""One rank's whole run: cold start, evaluations, PPO, checkpoints, the saved model. No Ray here: who generates, who
scores and who listens are parameters.

    base ──evaluate──► cold start ──evaluate──► PPO … (checkpoint, small evaluations) … ──evaluate──► model/
"""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.data.cold_start import worked_examples
from r1ray.data.pipeline import load_problems
from r1ray.data.problem_set import ProblemSet
from r1ray.data.sampler import ProblemSampler
from r1ray.evaluation import EvaluationResult, evaluate
from r1ray.generation.engine import GenerationEngine
from r1ray.metrics.reductions import Metric, merge_all, reduce_all
from r1ray.models.checkpoint import save_policy
from r1ray.models.loading import decoder, load_policy, load_tokenizer, resolve_model
from r1ray.models.policy import Policy
from r1ray.reasoning.grading import Grader, is_correct
from r1ray.reasoning.prompts import prompt_ids
from r1ray.rl.figures import sample_rows
from r1ray.rl.learner import Learner
from r1ray.rl.loop import Rewards, Rollouts, ScoredBatch, ppo_loop
from r1ray.rl.networks import build_actor_critic, build_reference
from r1ray.rl.weights import FlatWeights
from r1ray.runs import Run
from r1ray.runs.manifest import owning_run
from r1ray.statistics import mcnemar
from r1ray.train.engine import TrainEngine
from r1ray.train.supervised import Example, train_supervised
from r1ray.types import Problem, ScoredRollout

COLD_START = "cold_start"
"""Folder of the run that holds the cold-started policy: where PPO starts from, and its reference."""
EVALUATIONS = "evaluations.json"
SAMPLES = 8
"""Rollouts written to samples.jsonl each time."""


class Listener(Protocol):
    """Whoever is told how the run goes."""

    def post(self, kind: str, payload: Any = None) -> None:
        """Take note of an event: `note`, `phase`, `step`, `samples`, `resumed`."""
        ...

    def ask(self, kind: str, payload: Any = None) -> bool:
        """Take note, and say whether the run should stop."""
        ...


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
    report: Callable[[dict[str, float]], None]
    """Called by every rank after every step."""


class Session:
    """Everything between a configuration and a trained policy, as one rank sees it."""

    def __init__(
        self, config: PPOJobConfig, run: Run, workers: Workers, listener: Listener, *, rank: int, world_size: int
    ) -> None:
        self._config, self._run, self._workers, self._listener = config, run, workers, listener
        self._rank, self._world_size = rank, world_size
        self._tokenizer = load_tokenizer(config.policy.path)
        self._prompt = functools.partial(prompt_ids, self._tokenizer, system=config.problems.system)
        self._last_share: Sequence[ScoredRollout] = ()

    def run(self) -> None:
        """Go from wherever the run folder stands to its end."""
        torch.manual_seed(self._config.run.seed + self._rank)
        problems = load_problems(self._config.problems, self._config.run.seed, lambda p: len(self._prompt(p)))
        start = self._start(problems)
        self._reinforce(problems, start)

    # ── Before PPO ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, problems: ProblemSet) -> str:
        """Examine the base model and give it its cold start, unless that has been done; returns where PPO starts from."""
        base = str(resolve_model(self._config.policy.path))
        held = problems.heldout
        trained_before = owning_run(Path(base)) is not None
        if self._config.cold_start.examples == 0 or trained_before:
            self._examine("cold_start", held)
            return base
        folder = self._run.folder / COLD_START
        if not folder.exists():
            self._examine("base", held)
            self._cold_start(problems, folder)
            self._examine("cold_start", held)
        return str(folder)

    def _cold_start(self, problems: ProblemSet, folder: Path) -> None:
        """Supervised training on worked solutions of easier problems, saved to `folder`."""
        settings = self._config.cold_start
        self._listener.post("phase", "cold start")
        seen = {problem.id for problem in (*problems.train, *problems.heldout)}
        examples = [self._example(p) for p in worked_examples(settings, self._config.run.seed, seen)]
        batches = [
            examples[i : i + settings.batch][self._rank :: self._world_size]
            for _ in range(settings.epochs)
            for i in range(0, len(examples), settings.batch)
        ]
        optim = replace(self._config.optim, lr=settings.lr, schedule="cosine", warmup=0, weight_decay=0.0)
        model, _ = load_policy(self._config.policy)
        engine = self._workers.make_engine(Policy(model), optim, total_steps=len(batches))

        def report(step: int, metrics: dict[str, Metric]) -> None:
            values = reduce_all([metrics])
            self._listener.post("phase", f"cold start {step}/{len(batches)}, loss {values['sft/loss']:.3f}")

        train_supervised(engine, batches, optim, report)
        weights = engine.weights()
        if self._rank == 0:
            save_policy(folder, engine.module, self._tokenizer, weights)
            self._workers.rollouts.load(FlatWeights.of(weights, version=1))
        self._barrier()

    def _example(self, problem: Problem) -> Example:
        ids = self._tokenizer(problem.solution, add_special_tokens=False)["input_ids"]
        return Example(prompt_ids=self._prompt(problem), response_ids=[*ids, int(self._tokenizer.eos_token_id)])

    # ── PPO ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _reinforce(self, problems: ProblemSet, start: str) -> None:
        """PPO from the newest checkpoint, or from `start`."""
        config = self._config
        checkpoint = self._run.checkpoints.latest(lambda text: self._listener.post("note", text))
        module = build_actor_critic(config, start)
        engine = self._workers.make_engine(
            module,
            config.optim,
            total_steps=config.ppo.steps * config.ppo.epochs * config.ppo.minibatches,
            head_lr=config.critic.lr,
        )
        reference = build_reference(config, start)
        learner = Learner(engine, reference.to(engine.device) if reference is not None else None, config)
        train = [replace(problem, solution="") for problem in problems.train]
        sampler = ProblemSampler(
            train, config.ppo.prompts_per_step, config.run.seed, curriculum=config.problems.curriculum
        )
        done = 0
        if checkpoint is not None:
            state = checkpoint.info
            engine.load(checkpoint.path)
            learner.load_state_dict(state["learner"])
            sampler.restore(state["sampler"])
            done = checkpoint.step
            self._listener.post("note", f"Resumed at step {done}.")
        self._listener.post("resumed", done)

        def report(step: int, metrics: dict[str, Metric]) -> bool:
            return self._after_step(step, metrics, learner, sampler, engine, problems)

        done = ppo_loop(
            sampler, self._workers.rollouts, _Remember(self._workers.rewards, self), learner, report, config.ppo, done
        )
        if done >= config.ppo.steps:
            self._finish(problems, engine)

    def _after_step(
        self,
        step: int,
        metrics: dict[str, Metric],
        learner: Learner,
        sampler: ProblemSampler,
        engine: TrainEngine,
        problems: ProblemSet,
    ) -> bool:
        """Report a step, checkpoint and examine where that is due; False to stop."""
        config = self._config
        values = reduce_all([self._merged(metrics)])
        tokens, seconds = values.get("rollout/tokens", 0.0), values["time/step"]
        values["throughput/generated_tokens_per_s"] = tokens / max(values["time/generate"], 1e-9)
        values["throughput/samples_per_s"] = config.ppo.prompts_per_step * config.ppo.samples_per_prompt / seconds
        values |= {f"rollout/success_{bucket}": rate for bucket, rate in sampler.success_rates.items()}
        if config.evaluation.every and step % config.evaluation.every == 0 and step < config.ppo.steps:
            result = self._examine("during", problems.heldout[: config.evaluation.during], keep=False)
            values |= result.metrics() if result is not None else {}
        if self._rank == 0 and config.run.samples_every and step % config.run.samples_every == 0:
            rows = sample_rows(self._last_share, learner.last, decoder(self._tokenizer), step, SAMPLES)
            self._listener.post("samples", rows)
        stop = self._listener.ask("step", (step, values)) if self._rank == 0 else False
        stop = self._agree(stop)
        self._workers.report(values)
        every = config.run.checkpoint_every
        if stop or step == config.ppo.steps or (every and step % every == 0):
            self._checkpoint(step, learner, sampler, engine)
        return not stop

    def _checkpoint(self, step: int, learner: Learner, sampler: ProblemSampler, engine: TrainEngine) -> None:
        checkpoints = self._run.checkpoints
        if self._rank == 0:
            checkpoints.begin(step)
        self._barrier()
        engine.save(checkpoints.pending(step))
        self._barrier()
        if self._rank == 0:
            checkpoints.commit(step, {"learner": learner.state_dict(), "sampler": sampler.state()})
        self._barrier()

    def _finish(self, problems: ProblemSet, engine: TrainEngine) -> None:
        """Save the model and examine it."""
        weights = engine.weights()
        if self._rank == 0:
            save_policy(self._run.model_path, engine.module.policy, self._tokenizer, weights)  # type: ignore[arg-type]
        self._examine("after", problems.heldout, samples=self._config.evaluation.samples)
        self._barrier()

    # ── Evaluations ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _examine(
        self, name: str, held: Sequence[Problem], *, keep: bool = True, samples: int = 0
    ) -> EvaluationResult | None:
        """Accuracy of the engines' present weights, on rank 0; kept in the run folder under `name`, and done once."""
        settings = self._config.evaluation
        path = self._run.folder / EVALUATIONS
        known = json.loads(path.read_text()) if path.exists() else {}
        if self._rank or not settings.problems or (keep and name in known):
            return None
        self._listener.post("phase", f"evaluation: {name.replace('_', ' ')}")
        reward = self._config.reward
        with Grader(seconds=reward.grader_seconds, batch_seconds=reward.batch_seconds) as grader:
            result = evaluate(
                self._workers.engine,
                self._prompt,
                held[: settings.problems],
                replace(settings, samples=samples),
                functools.partial(is_correct, grader=grader),
                seed=self._config.run.seed,
            )
        if keep:
            known[name] = {
                "accuracy": result.accuracy,
                "interval": asdict(result.interval),
                "correct": result.correct,
                "problem_ids": result.problem_ids,
                "mean_tokens": result.mean_tokens,
                "truncated": result.truncated,
                "pass_at_k": {str(k): passed.value for k, passed in result.pass_at_k.items()},
                "texts": result.texts[:SAMPLES],
            }
            path.write_text(json.dumps(known))
            low, high = result.interval.low, result.interval.high
            self._listener.post(
                "note",
                f"Held-out accuracy, {name.replace('_', ' ')}: {result.accuracy:.1%} ({low:.1%} to {high:.1%}, "
                f"{len(result.correct)} problems)",
            )
        return result

    # ── Between ranks ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _merged(self, metrics: dict[str, Metric]) -> dict[str, Metric]:
        if self._world_size == 1:
            return metrics
        everyone: list[Any] = [None] * self._world_size
        dist.all_gather_object(everyone, metrics)
        return merge_all(everyone)

    def _agree(self, stop: bool) -> bool:
        """What rank 0 says."""
        if self._world_size == 1:
            return stop
        said = [stop]
        dist.broadcast_object_list(said, src=0)
        return bool(said[0])

    def _barrier(self) -> None:
        if self._world_size > 1:
            dist.barrier()

    def remember(self, share: Sequence[ScoredRollout]) -> None:
        """Keep the step's rollouts for `samples.jsonl`."""
        self._last_share = share


class _Remember:
    """`Rewards` that shows what it scored to the session."""

    def __init__(self, rewards: Rewards, session: Session) -> None:
        self._rewards, self._session = rewards, session

    def score(self, rollouts: Any) -> ScoredBatch:
        """Score, and remember this rank's share."""
        batch = self._rewards.score(rollouts)
        self._session.remember(batch.share)
        return batch


def summary(folder: Path) -> dict[str, Any]:
    """Headline figures of a run from its evaluations: three accuracies, and McNemar's p of the last two."""
    path = folder / EVALUATIONS
    known = json.loads(path.read_text()) if path.exists() else {}
    figures: dict[str, Any] = {
        f"accuracy_{name}": known[name]["accuracy"] for name in ("base", "cold_start", "after") if name in known
    }
    if "cold_start" in known and "after" in known:
        test = mcnemar(known["cold_start"]["correct"], known["after"]["correct"])
        figures |= {"p_value": test.p_value, "problems": len(known["after"]["correct"])}
    if "after" in known and known["after"]["pass_at_k"]:
        figures |= {f"pass_at_{k}": value for k, value in known["after"]["pass_at_k"].items()}
    return figures
