"""PPO on Ray: pools of rollout and reward actors, a Ray Train group of learners, and the driver that watches them.

       driver ── Ray Train ──► learner ranks (Session) ──► rollout pool, reward pool
         ▲                          │
         └───────── mailbox ◄───────┘        steps, samples, notes; back: stop

The pools belong to the driver and outlive a restart of the learners. The only module of this room that imports Ray.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
import torch
from ray.train.collective import broadcast_from_rank_zero
from rich.console import Console

from r1ray.algorithms.packing import balance
from r1ray.cluster.connect import connect
from r1ray.cluster.mailbox import Mailbox
from r1ray.cluster.metrics_sink import RayMetricsSink
from r1ray.cluster.pending import PendingMap
from r1ray.cluster.plan import make_plan
from r1ray.cluster.pool import ActorPool, Member
from r1ray.cluster.preflight import wait_until_fits
from r1ray.cluster.threads import phase_threads, set_threads
from r1ray.config.jobs import PPOJobConfig
from r1ray.errors import R1RayError
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.factory import make_engine
from r1ray.models.loading import decoder, load_tokenizer
from r1ray.models.process_reward import ProcessRewardModel
from r1ray.progress import ConsoleView
from r1ray.reasoning.functions import load_function
from r1ray.reasoning.grading import Grader
from r1ray.rl.figures import batch_metrics, success_rates
from r1ray.rl.loop import ScoredBatch
from r1ray.rl.reward import RewardWorker
from r1ray.rl.rollout import RolloutRequest, RolloutWorker
from r1ray.rl.session import Session, Workers, summary
from r1ray.rl.watch import Watcher
from r1ray.rl.weights import FlatWeights
from r1ray.runs import Run
from r1ray.train.trainer import WorkerContext, fit
from r1ray.train.zero import ZeroEngine
from r1ray.types import Completion, Problem, Rollout, ScoredRollout

POLL_SECONDS = 0.5


def train_ppo(config: PPOJobConfig, run: Run) -> dict[str, Any]:
    """The verb of `jobs/ppo.py`: train in the run's folder, on the cluster at hand; returns the headline figures."""
    config = absolute_paths(config)
    connect()
    plan = make_plan(config)
    Console().print(plan.table())
    wait_until_fits(plan, config.resources.wait_seconds)
    with ConsoleView(f"PPO · {run.name}", config.ppo.steps) as view:
        mailbox = Mailbox()
        pools = start_pools(config)
        watcher = Watcher(run, config, view, [RayMetricsSink(run.name)])
        try:
            _drive(config, run, pools, mailbox, watcher)
        finally:
            watcher.close()
            for pool in pools.values():
                pool.close()
    return summary(run.folder)


def _drive(config: PPOJobConfig, run: Run, pools: Mapping[str, ActorPool], mailbox: Mailbox, watcher: Watcher) -> None:
    """Run the learner group in a thread, and hear what it has to say until it ends. Ctrl-C lets it finish its step."""
    failure: list[BaseException] = []
    payload = {"config": config, "run": run, "pools": dict(pools), "mailbox": mailbox}

    def work() -> None:
        try:
            fit(_learn, payload, config.resources, storage=str(run.folder / "ray_train"), name=run.name)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="ray-train", daemon=True)
    thread.start()
    interrupted = False
    while thread.is_alive():
        try:
            thread.join(POLL_SECONDS)
            if watcher.take(mailbox.take()):
                mailbox.stop()
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            watcher.note("Stopping after this step, with a checkpoint. Ctrl-C again stops at once.")
            mailbox.stop()
    watcher.take(mailbox.take())
    watcher.raise_error()
    if interrupted:
        raise KeyboardInterrupt
    if failure:
        raise failure[0]


def _learn(payload: Mapping[str, Any], context: WorkerContext) -> None:
    """One learner rank."""
    config, run, pools, mailbox = (payload[key] for key in ("config", "run", "pools", "mailbox"))
    if mailbox.ask("started", context.rank):
        return
    rollouts = PoolRollouts(pools["rollout"], config, context.rank)
    workers = Workers(
        rollouts=rollouts,
        rewards=PoolRewards(pools["reward"], context),
        engine=PoolEngine(rollouts),
        make_engine=partial(ZeroEngine, zero=config.zero, dtype=config.policy.dtype, device=context.device),
        report=context.report,
    )
    try:
        Session(config, run, workers, mailbox, rank=context.rank, world_size=context.world_size).run()
    except R1RayError as error:
        # A mistake of ours or the user's: running into it again would not help, so the driver hears of it and nobody
        # restarts.
        mailbox.ask("error", error)
        if context.world_size > 1:
            raise  # the other ranks are waiting in a collective


# ── The pools ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def start_pools(config: PPOJobConfig) -> dict[str, ActorPool]:
    """Start the rollout and reward actors; the first call to each waits for it."""
    resources = config.resources
    nodes = max(1, sum(node["Alive"] for node in ray.nodes()))

    def pool(name: str, factory: Any, count: int, cpus: float, gpus: float) -> ActorPool:
        threads = phase_threads(resources, math.ceil(count / nodes))
        return ActorPool(factory, args=(config, threads), count=count, num_cpus=cpus, num_gpus=gpus, name=name)

    return {
        "rollout": pool(
            "rollout", make_rollout_worker, resources.rollout_workers, resources.rollout_cpus, resources.rollout_gpus
        ),
        "reward": pool(
            "reward", make_reward_worker, resources.reward_workers, resources.reward_cpus, resources.reward_gpus
        ),
    }


def make_rollout_worker(config: PPOJobConfig, threads: int) -> RolloutWorker:
    """An engine with the policy's starting weights (version 0), in the actor that calls this."""
    set_threads(threads)
    device = "cuda" if config.resources.rollout_gpus and torch.cuda.is_available() else "cpu"
    engine = make_engine(config.engine, config.policy, device)
    return RolloutWorker(engine, load_tokenizer(config.policy.path), config.problems.system)


def make_reward_worker(config: PPOJobConfig, threads: int) -> RewardWorker:
    """Graders, checkers and the process reward model, in the actor that calls this."""
    set_threads(threads)
    tokenizer = load_tokenizer(config.policy.path)
    process = None
    if config.reward.process_path:
        device = "cuda" if config.resources.reward_gpus and torch.cuda.is_available() else "cpu"
        process = ProcessRewardModel.from_path(config.reward.process_path, device, policy_tokenizer=tokenizer).score
    return RewardWorker(
        config.reward,
        decoder(tokenizer),
        Grader(seconds=config.reward.grader_seconds, batch_seconds=config.reward.batch_seconds),
        max_new_tokens=config.sampling.max_new_tokens,
        process=process,
        functions=[load_function(entry) for entry in config.reward.functions],
    )


class PoolRollouts:
    """`Rollouts` on a pool. Rank 0 does the work; the other ranks only keep in step."""

    def __init__(self, pool: ActorPool, config: PPOJobConfig, rank: int) -> None:
        self.pool, self._config, self._rank = pool, config, rank
        self.version = 0
        self._weights: Any = None

    def load(self, weights: FlatWeights | None) -> None:
        """Put the weights into shared memory once, and have every engine take them."""
        if weights is None:
            return
        self._weights, self.version = ray.put(weights), weights.version
        self.pool.broadcast("load_weights", self._weights)

    def start(self, problems: Sequence[Problem], step: int) -> "PoolPending":
        """Deal the problems out to the engines."""
        if self._rank:
            return PoolPending(None)
        config = self._config
        request = RolloutRequest(
            samples=config.ppo.samples_per_prompt,
            params=SamplingParams(
                max_new_tokens=config.sampling.max_new_tokens,
                temperature=config.sampling.temperature,
                top_p=config.sampling.top_p,
                top_k=config.sampling.top_k,
            ),
            version=self.version,
            seed=config.run.seed,
            step=step,
        )
        shards = _deal(problems, len(self.pool))
        return PoolPending(self.pool.start("generate", shards, request, prepare=self.prepare))

    def prepare(self, member: Member) -> None:
        """Bring a restarted or stale engine up to date."""
        if self._weights is not None:
            member.run("load_weights", self._weights)


class PoolPending:
    """Rollouts under way on a pool."""

    def __init__(self, pending: PendingMap | None) -> None:
        self._pending = pending

    def result(self) -> list[Rollout]:
        """Wait for them; empty on ranks other than 0."""
        return [] if self._pending is None else [rollout for shard in self._pending.result() for rollout in shard]


class PoolRewards:
    """`Rewards` on a pool: rank 0 has the rollouts scored, and every rank gets its share of whole groups."""

    def __init__(self, pool: ActorPool, context: WorkerContext) -> None:
        self._pool, self._context = pool, context

    def score(self, rollouts: list[Rollout]) -> ScoredBatch:
        """Score on the pool, then deal out by length."""
        rank, ranks = self._context.rank, self._context.world_size
        shares: Any = None
        batch = ScoredBatch(share=[], success={})
        if rank == 0:
            batch = self._score(rollouts)
            if ranks == 1:
                return batch
            shares = ray.put([ray.put((share, batch.success)) for share in _shares(batch.share, ranks)])
        shares = broadcast_from_rank_zero(shares)
        share, success = ray.get(ray.get(shares)[rank])
        return ScoredBatch(share=share, success=success, metrics=batch.metrics)

    def _score(self, rollouts: list[Rollout]) -> ScoredBatch:
        results = self._pool.map("score", _deal(rollouts, len(self._pool)))
        scored = [item for shard, _ in results for item in shard]
        counters: dict[str, int] = {}
        for _, counted in results:
            for name, count in counted.items():
                counters[name] = counters.get(name, 0) + count
        return ScoredBatch(share=scored, success=success_rates(scored), metrics=batch_metrics(scored, counters))


class PoolEngine:
    """The rollout pool as one `GenerationEngine`, for evaluations."""

    def __init__(self, rollouts: PoolRollouts) -> None:
        self._rollouts = rollouts

    @property
    def policy_version(self) -> int:
        """Version of the newest weights."""
        return self._rollouts.version

    def generate(self, prompts: Sequence[Prompt], params: SamplingParams) -> list[list[Completion]]:
        """Each engine takes a part of the prompts."""
        pool, rollouts = self._rollouts.pool, self._rollouts
        parts = pool.map("complete", _deal(prompts, len(pool)), params, rollouts.version, prepare=rollouts.prepare)
        return [completions for part in parts for completions in part]

    def load_weights(self, weights: Mapping[str, torch.Tensor], version: int) -> None:
        """Hand weights to every engine."""
        self._rollouts.load(FlatWeights.of(weights, version))

    def logprobs(self, prompt_ids: Sequence[Sequence[int]], response_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """From the first engine."""
        scores: list[list[float]] = self._rollouts.pool.members[0].run("logprobs", prompt_ids, response_ids)
        return scores


def _deal(items: Sequence[Any], parts: int) -> list[list[Any]]:
    """Consecutive parts of near-equal size, none empty."""
    size = math.ceil(len(items) / max(1, parts)) or 1
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def _shares(scored: Sequence[ScoredRollout], ranks: int) -> list[list[ScoredRollout]]:
    """Whole groups for each rank, near-equal in tokens."""
    names: dict[str, int] = {}
    group = [names.setdefault(item.rollout.problem.id, len(names)) for item in scored]
    lengths = [len(item.rollout.completion.token_ids) for item in scored]
    return [[scored[i] for i in indices] for indices in balance(lengths, ranks, group=group)]


def absolute_paths(config: PPOJobConfig) -> PPOJobConfig:
    """The configuration with local paths made absolute: actors have other working directories."""

    def absolute(path: str) -> str:
        return str(Path(path).absolute()) if path and Path(path).exists() else path

    functions = tuple(
        f"{Path(entry.rpartition(':')[0]).absolute()}:{entry.rpartition(':')[2]}" if ".py:" in entry else entry
        for entry in config.reward.functions
    )
    return replace(
        config,
        policy=replace(config.policy, path=absolute(config.policy.path)),
        critic=replace(config.critic, path=absolute(config.critic.path)),
        reward=replace(config.reward, process_path=absolute(config.reward.process_path), functions=functions),
    )
