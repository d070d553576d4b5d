"""PPO on Ray: pools of rollout and reward actors, a Ray Train group of learners, and the driver that watches them.

       driver ── Ray Train ──► learner ranks (Session) ──► rollout pool, reward pool
         ▲                          │
         └───────── mailbox ◄───────┘        steps, samples, notes; back: stop

The pools belong to the driver and outlive a restart of the learners. The only module of this room that imports Ray.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import ray
from rich.console import Console

from r1ray.cluster.connect import connect
from r1ray.cluster.mailbox import Mailbox
from r1ray.cluster.metrics_sink import RayMetricsSink
from r1ray.cluster.plan import make_plan
from r1ray.cluster.pool import ActorPool
from r1ray.cluster.preflight import wait_until_fits
from r1ray.cluster.threads import phase_threads
from r1ray.config.jobs import PPOJobConfig
from r1ray.errors import R1RayError
from r1ray.progress import ConsoleView
from r1ray.rl.examine import summary
from r1ray.rl.factories import make_reward_worker, make_rollout_worker
from r1ray.rl.pools import PoolEngine, PoolRewards, PoolRollouts
from r1ray.rl.prepare import read_problems, settle
from r1ray.rl.session import Session, Workers
from r1ray.runs import Run
from r1ray.train.drive import drive
from r1ray.train.trainer import WorkerContext
from r1ray.train.watch import Watcher
from r1ray.train.zero import ZeroEngine

START_SECONDS = 1200.0
"""How long the pools may take to start; after a restart of the learners they may have to finish old calls first."""


def train_ppo(config: PPOJobConfig, run: Run) -> dict[str, Any]:
    """The verb of `jobs/ppo.py`: train in the run's folder, on the cluster at hand; returns the headline figures."""
    config = settle(config, run)
    connect()
    console = Console()
    problems = read_problems(config, run, partial(console.print, highlight=False, markup=False, soft_wrap=True))
    plan = make_plan(config)
    console.print(plan.table())
    wait_until_fits(plan, config.resources.wait_seconds)
    with ConsoleView(f"PPO · {run.name}", config.ppo.steps) as view:
        watcher = Watcher(run, view, [RayMetricsSink(run.name)])
        pools = start_pools(config)
        mailbox = Mailbox()
        payload = {"config": config, "run": run, "problems": ray.put(problems), "pools": pools, "mailbox": mailbox}
        try:
            drive(learn, payload, watcher, run=run, resources=config.resources, mailbox=mailbox)
        finally:
            watcher.close()
            for pool in pools.values():
                pool.close()
    return summary(run.folder)


def learn(payload: Mapping[str, Any], context: WorkerContext) -> None:
    """One learner rank, from its start to its end; Ray Train calls it again after a failure."""
    config, run, pools, mailbox = (payload[key] for key in ("config", "run", "pools", "mailbox"))
    if mailbox.ask("started", context.rank):
        return
    rollouts = PoolRollouts(pools["rollout"], config, context.rank, share=ray.put)
    workers = Workers(
        rollouts=rollouts,
        rewards=PoolRewards(pools["reward"], context.rank, context.world_size, context.scatter),
        engine=PoolEngine(rollouts),
        make_engine=partial(ZeroEngine, zero=config.zero, dtype=config.policy.dtype, device=context.device),
        meet=context.meet,
        report=context.report,
    )
    try:
        if context.rank == 0:
            for pool in pools.values():
                pool.ready(START_SECONDS)  # what a worker cannot be built for is said now, not after the cold start
        problems = ray.get(payload["problems"])
        Session(config, run, problems, workers, mailbox, rank=context.rank, world_size=context.world_size).run()
    except R1RayError as error:
        # A mistake of ours or the user's: running into it again would not help, so the driver hears of it and nobody
        # restarts.
        mailbox.ask("error", error)
        if context.world_size > 1:
            raise  # the other ranks are waiting in a collective


# ── The pools ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def start_pools(config: PPOJobConfig) -> dict[str, ActorPool]:
    """Start the rollout and reward actors, without waiting for them."""
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
