"""GRPO steps of r1ray beside TRL's GRPOTrainer: same model, prompts, samples, lengths, update and threads, one process.

    python benchmarks/ppo_vs_trl.py --repeats 3

A step of either side generates `samples` completions of exactly `new-tokens` tokens for each problem (end tokens are
switched off), scores them with one reward function, takes advantages within groups, makes one AdamW step on all of
them (token-mean loss, no KL) and has its next generation use the new weights. TRL runs at the fastest of the
micro-batch sizes that it is given; r1ray runs under DeepSpeed ZeRO stage 0, its workers in this process, without Ray.
The sides take turns, step by step.

Before the timed steps r1ray's learner makes TRL's first update from TRL's own samples: `grad_norm_delta` is the
relative distance of the two gradient norms. The last line is one JSON object; its value is the median over rounds of
the ratio of samples per second.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import median_ratio, report
from benchmarks._step import InProcessPool, Seconds, Step, timed_reward_worker, with_watch
from benchmarks._trl import TRLSteps, without_end
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import CriticConfig, PolicyConfig
from r1ray.config.ppo import PPOConfig, SamplingConfig
from r1ray.config.reward import RewardConfig
from r1ray.data.generators.generate import generate
from r1ray.generation.transformers_engine import TransformersEngine
from r1ray.rl.rollout import RolloutWorker
from r1ray.types import Completion, Problem, Rollout, ScoredRollout

TARGET = 2.0
LEARNING_RATE = 1e-6
CLIP_NORM = 1000.0
"""So high that it never binds: both sides compute the norm, and the norms can be compared."""


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    config = job_config(args)
    problems = generate(args.families, count=args.prompts * (args.repeats + 1), max_number=12, seed=0)
    batch_sizes = args.trl_batch_sizes
    if len(batch_sizes) > 1:
        sweep = {size: _trl_alone(config, problems, size) for size in batch_sizes}
        for size, seconds in sweep.items():
            print(f"TRL, {size:2d} samples a micro-batch: {seconds:6.1f} s, first step", flush=True)
        batch_sizes = [min(sweep, key=sweep.__getitem__)]
    trl = TRLSteps(config, digit_share, problems, batch_sizes[0], steps=args.repeats + 1)
    ours = R1RayStep(config)
    rounds = alternate(ours, trl, problems)
    _print_rounds(rounds)
    samples = args.prompts * args.samples
    seconds = {side: [sum(phases.values()) for phases in rounds[side]] for side in rounds}
    report(
        "ppo_vs_trl",
        median_ratio(seconds["trl"], seconds["r1ray"]),
        "x samples/s of TRL's GRPOTrainer",
        TARGET,
        args.repeats,
        **{f"{side}_samples_per_s": round(samples / statistics.median(times), 3) for side, times in seconds.items()},
        trl_batch_size=batch_sizes[0],
        grad_norm_delta=abs(ours.grad_norms[0] / trl.grad_norms[0] - 1),
        prompt_tokens=statistics.mean(ours.prompt_lengths),
        settings=f"{args.policy}, {args.prompts} problems x {args.samples} samples x {args.new_tokens} tokens",
    )


def job_config(args: argparse.Namespace) -> PPOJobConfig:
    """GRPO without a critic, a reference or r1ray's own rewards, on one micro-batch budget."""
    return PPOJobConfig(
        policy=PolicyConfig(path=args.policy),
        critic=CriticConfig(kind="none"),
        sampling=SamplingConfig(max_new_tokens=args.new_tokens),
        reward=RewardConfig(
            outcome_weight=0, step_weight=0, format_weight=0, functions=(f"{Path(__file__).resolve()}:reward",)
        ),
        ppo=PPOConfig(
            algorithm="grpo",
            steps=args.repeats + 2,
            prompts_per_step=args.prompts,
            samples_per_prompt=args.samples,
            whiten=False,
            std_normalize=False,
        ),
        optim=OptimConfig(lr=LEARNING_RATE, max_grad_norm=CLIP_NORM, tokens_per_microbatch=args.tokens_per_microbatch),
    )


def digit_share(text: str) -> float:
    """The reward of both sides: the share of digits among the characters."""
    return sum(character.isdigit() for character in text) / max(1, len(text))


def reward(rollout: Rollout) -> float:
    """`digit_share`, as r1ray asks for it."""
    return digit_share(rollout.completion.text)


class R1RayStep:
    """r1ray's side."""

    def __init__(self, config: PPOJobConfig) -> None:
        model, tokenizer = without_end(config.policy)
        self.config, self.engine = config, TransformersEngine(model.eval(), tokenizer, max_rows=config.engine.max_rows)
        worker = RolloutWorker(self.engine, tokenizer, config.problems.system)
        rollouts = InProcessPool(with_watch(worker, "complete", "generation"))
        rewards = InProcessPool(timed_reward_worker(config, torch.get_num_threads()))
        self._step = Step(config, rollouts, rewards)
        self._step.rollouts.load(self._step.learner.publish())
        self.grad_norms: list[float] = []
        self.prompt_lengths: list[int] = []

    def __call__(self, problems: Sequence[Problem], number: int) -> Seconds:
        """Generate, score, update, publish; seconds by phase."""
        self._step.take()
        start = time.perf_counter()
        rollouts = self._step.rollouts.start(problems, number).result()
        self._learn(self._step.rewards.score(rollouts).share)
        total = time.perf_counter() - start
        if any(len(rollout.completion.token_ids) != self.config.sampling.max_new_tokens for rollout in rollouts):
            raise AssertionError("r1ray stopped a completion early")
        self.prompt_lengths += [len(rollout.prompt_ids) for rollout in rollouts]
        seconds = self._step.take()
        return {**seconds, "rest": total - sum(seconds.values())}

    def learn_from(self, batch: dict[str, Any]) -> None:
        """Make the update that TRL makes from `batch`, one of its own."""
        rows = [
            (prompt[prompt_mask.bool()].tolist(), completion[completion_mask.bool()].tolist(), float(advantage))
            for prompt, prompt_mask, completion, completion_mask, advantage in zip(
                *(batch[k] for k in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages")),
                strict=True,
            )
        ]
        logprobs = self.engine.logprobs([row[0] for row in rows], [row[1] for row in rows])
        self._learn(
            [
                ScoredRollout(
                    rollout=Rollout(
                        problem=Problem(id=str(prompt), question="", answer=""),
                        prompt_ids=prompt,
                        completion=Completion(token_ids=tokens, logprobs=scores, finish_reason="length"),
                        policy_version=self._step.learner.version,
                    ),
                    steps=[],
                    step_scores=[],
                    outcome_reward=advantage,  # its mean over the group is 0 already
                    components={},
                    correct=False,
                )
                for (prompt, tokens, advantage), scores in zip(rows, logprobs, strict=True)
            ]
        )

    def _learn(self, scored: Sequence[ScoredRollout]) -> None:
        metrics = self._step.learner.update(scored)
        self.grad_norms.append(metrics["optim/grad_norm"].value)
        self._step.rollouts.load(self._step.learner.publish())


def alternate(ours: R1RayStep, trl: TRLSteps, problems: Sequence[Problem]) -> dict[str, list[Seconds]]:
    """A warm-up step of each, then their timed steps in turns; seconds by phase of every timed step."""
    rounds: dict[str, list[Seconds]] = {"r1ray": [], "trl": []}
    size = ours.config.ppo.prompts_per_step

    def after(step: int) -> None:
        batch = trl.last_batch()
        if int(batch["completion_mask"].sum()) != len(batch["advantages"]) * ours.config.sampling.max_new_tokens:
            raise AssertionError("TRL stopped a completion early")
        if step == 0:
            ours.learn_from(batch)
        seconds = ours(problems[step * size : (step + 1) * size], step)
        if step > 0:
            rounds["r1ray"].append(seconds)

    trl.run(after)
    rounds["trl"] = trl.seconds[1:]
    return rounds


def _trl_alone(config: PPOJobConfig, problems: Sequence[Problem], batch_size: int) -> float:
    trl = TRLSteps(config, digit_share, problems, batch_size, steps=1)
    trl.run(lambda _: None)
    return sum(trl.seconds[0].values())


def _print_rounds(rounds: dict[str, list[Seconds]]) -> None:
    for side, steps in rounds.items():
        totals = ", ".join(f"{sum(phases.values()):.1f}" for phases in steps)
        medians = ", ".join(f"{name} {statistics.median(s.get(name, 0.0) for s in steps):.1f}" for name in steps[0])
        print(f"{side:5s} seconds a step: {totals}; medians: {medians}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--families", nargs="+", default=["story:2-3"])
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--tokens-per-microbatch", type=int, default=1024)
    parser.add_argument("--trl-batch-sizes", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
