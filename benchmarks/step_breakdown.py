"""Where the time of a PPO step goes: the job's own loop, pools, learner and configuration.

    python benchmarks/step_breakdown.py --repeats 3

Rollout and reward workers are Ray actors, as in the job, and weights travel through Ray's object store; the learner is
this process instead of a Ray Train worker. With `--in-process` there is no Ray. Generation and reward are measured
inside the workers, the passes and the optimizer inside the learner; all else is what a step costs besides: handing
problems out, collecting rollouts, collating, packing, advantages, losses, metrics, publishing and loading weights. What
a job does between steps (samples, checkpoints, evaluations) is left out.

The last line is one JSON object; its value is the median over steps of the share outside, in percent.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from benchmarks._step import InProcessPool, Seconds, Step, timed_reward_worker, timed_rollout_worker
from r1ray.config.jobs import PPOJobConfig
from r1ray.data.generators.generate import generate
from r1ray.data.sampler import ProblemSampler
from r1ray.metrics.reductions import Metric
from r1ray.rl.loop import ppo_loop
from r1ray.types import Problem

TARGET = 3.0
INSIDE = ("generation", "reward", "forward", "backward", "optimizer")


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    config = job_config(args)
    problems = generate(config.problems.families, count=256, max_number=config.problems.max_number, seed=0)
    with_pools = in_process if args.in_process else on_ray
    steps = with_pools(config, lambda step: measure(config, step, problems))[1:]  # the first one warms up
    shares = [100 * outside(seconds) / seconds["step"] for seconds in steps]
    _print_table(steps)
    ppo = config.ppo
    report(
        "step_breakdown",
        statistics.median(shares),
        "% of a step outside generation, reward, passes and optimizer",
        TARGET,
        args.repeats,
        seconds_a_step=round(statistics.median(seconds["step"] for seconds in steps), 2),
        shares=[round(share, 2) for share in shares],
        workers="in process" if args.in_process else "Ray actors",
        settings=f"{config.policy.path}, {ppo.algorithm}, {ppo.prompts_per_step} problems x {ppo.samples_per_prompt} "
        f"samples x at most {config.sampling.max_new_tokens} tokens",
    )


def job_config(args: argparse.Namespace) -> PPOJobConfig:
    """`jobs/ppo.py`'s default, with what the command line asks for."""
    default = PPOJobConfig()
    return replace(
        default,
        policy=replace(default.policy, path=args.policy),
        problems=replace(default.problems, families=tuple(args.families)),
        sampling=replace(default.sampling, max_new_tokens=args.new_tokens),
        ppo=replace(
            default.ppo, steps=args.repeats + 1, prompts_per_step=args.prompts, samples_per_prompt=args.samples
        ),
        resources=replace(default.resources, threads=args.threads),
    )


def in_process(config: PPOJobConfig, use: Callable[[Step], list[Seconds]]) -> list[Seconds]:
    """Use a step whose workers live in this process."""
    threads = config.resources.threads
    rollouts, rewards = timed_rollout_worker(config, threads), timed_reward_worker(config, threads)
    return use(Step(config, InProcessPool(rollouts), InProcessPool(rewards)))


def on_ray(config: PPOJobConfig, use: Callable[[Step], list[Seconds]]) -> list[Seconds]:
    """Use a step whose workers are actors."""
    import ray

    from r1ray.cluster.connect import connect, disconnect
    from r1ray.cluster.pool import ActorPool

    connect(dashboard=False)
    try:
        shared: dict[str, Any] = {"args": (config, config.resources.threads)}
        rollouts = ActorPool(timed_rollout_worker, num_cpus=config.resources.rollout_cpus, name="rollout", **shared)
        rewards = ActorPool(timed_reward_worker, num_cpus=config.resources.reward_cpus, name="reward", **shared)
        return use(Step(config, rollouts.ready(), rewards.ready(), ray.put))
    finally:
        disconnect()


def measure(config: PPOJobConfig, step: Step, problems: Sequence[Problem]) -> list[Seconds]:
    """Run the loop; seconds of every step by part, those outside under the loop's phases."""
    sampler = ProblemSampler(problems, config.ppo.prompts_per_step, 0, curriculum=config.problems.curriculum)
    steps: list[Seconds] = []

    def after(_: int, metrics: dict[str, Metric]) -> bool:
        inside = step.take()
        phase = {name: metrics[f"time/{name}"].value for name in ("generate", "score", "update", "publish", "step")}
        passes = sum(inside[name] for name in ("forward", "backward", "optimizer"))
        steps.append(
            {
                **inside,
                "hand out, collect": phase["generate"] - inside["generation"],
                "collect scores": phase["score"] - inside["reward"],
                "collate … metrics": phase["update"] - passes,
                "publish, load": phase["publish"],
                "loop": phase["step"] - sum(phase[name] for name in ("generate", "score", "update", "publish")),
                "step": phase["step"],
            }
        )
        return True

    ppo_loop(sampler, step.rollouts, step.rewards, step.learner, after, config.ppo)
    return steps


def outside(seconds: Seconds) -> float:
    """What a step spent besides its work."""
    return seconds["step"] - sum(seconds[name] for name in INSIDE)


def _print_table(steps: Sequence[Seconds]) -> None:
    print(f"{'part':20s} {'seconds':>8s} {'share':>7s}   medians over {len(steps)} steps")
    for name in steps[0]:
        share = statistics.median(100 * seconds[name] / seconds["step"] for seconds in steps)
        print(f"{name:20s} {statistics.median(seconds[name] for seconds in steps):8.3f} {share:6.2f}%")


def _arguments() -> argparse.Namespace:
    default = PPOJobConfig()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--policy", default=default.policy.path)
    parser.add_argument("--families", nargs="+", default=default.problems.families)
    parser.add_argument("--prompts", type=int, default=default.ppo.prompts_per_step)
    parser.add_argument("--samples", type=int, default=default.ppo.samples_per_prompt)
    parser.add_argument("--new-tokens", type=int, default=default.sampling.max_new_tokens)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--in-process", action="store_true", help="workers in this process instead of Ray actors")
    return parser.parse_args()


if __name__ == "__main__":
    main()
