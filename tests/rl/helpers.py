"""A tiny PPO job: its configuration, its networks, rollouts that its policy really sampled, made-up scores for them."""

import copy
import functools
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.config.policy import CriticConfig, LoraConfig, PolicyConfig
from r1ray.config.ppo import PPOConfig, SamplingConfig
from r1ray.generation.engine import SamplingParams
from r1ray.generation.transformers_engine import TransformersEngine
from r1ray.models.loading import load_policy
from r1ray.rl.learner import Learner
from r1ray.rl.networks import ActorCritic, build_actor_critic, build_reference
from r1ray.rl.rollout import RolloutRequest, RolloutWorker
from r1ray.types import FinishReason, Problem, ReasoningStep, Rollout, ScoredRollout
from tests.fakes import TorchEngine

GRADIENT_STEP = OptimConfig(lr=0.1, eps=1.0, betas=(0.0, 0.0), max_grad_norm=0.0, tokens_per_microbatch=100_000)
"""AdamW that moves each weight by lr · g / (|g| + 1), nearly proportional to its gradient: equal weights after one step
mean equal gradients. With the usual eps rounding alone would decide the sign of steps whose gradient is zero."""

PROBLEMS = [Problem(id=f"p{n}", question=f"What is {n} and {7 * n + 3}?" + "." * (5 * n), answer="1") for n in range(6)]


def job(path: Path, *, optim: OptimConfig = GRADIENT_STEP, **ppo: Any) -> PPOJobConfig:
    """A whole configuration for the model at `path`; `critic`, `lora`, `dtype` and `temperature` go to their groups."""
    critic, lora, dtype, temperature = (
        ppo.pop(name, default)
        for name, default in (("critic", "head"), ("lora", 0), ("dtype", "float32"), ("temperature", 1.0))
    )
    ppo.setdefault("gae_lambda", 0.95)  # neither the critic alone nor the return alone
    return PPOJobConfig(
        policy=PolicyConfig(path=str(path), dtype=dtype, lora=LoraConfig(rank=lora)),
        critic=CriticConfig(kind=critic, trunk_gradient=0.5, lr=optim.lr),
        sampling=SamplingConfig(max_new_tokens=12, temperature=temperature),
        ppo=PPOConfig(**ppo),
        optim=optim,
    )


def networks(config: PPOJobConfig) -> ActorCritic:
    """The job's networks, what starts at zero (value head, adapters) with random weights that depend on nothing."""
    relevant = PPOJobConfig(policy=config.policy, critic=config.critic, ppo=config.ppo)
    return copy.deepcopy(_networks(relevant))  # a sixth of the time that reading the files again takes


@functools.cache
def _networks(config: PPOJobConfig) -> ActorCritic:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = build_actor_critic(config, config.policy.path)
        for name, parameter in module.named_parameters():
            if "value_head" in name or "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return module


def make_learner(config: PPOJobConfig, module: ActorCritic | None = None) -> tuple[Learner, ActorCritic]:
    """A learner on plain PyTorch, and its networks (`networks` unless given)."""
    module = networks(config) if module is None else module
    engine = TorchEngine(module, config.optim, total_steps=100, head_lr=config.critic.lr)
    return Learner(engine, build_reference(config, config.policy.path), config), module


def rollout_worker(config: PPOJobConfig) -> RolloutWorker:
    """A worker that holds the starting weights, as version 0."""
    model, tokenizer = load_policy(PolicyConfig(path=config.policy.path))
    return RolloutWorker(TransformersEngine(model, tokenizer), tokenizer, system="")  # type: ignore[arg-type]


def sample(
    worker: RolloutWorker,
    config: PPOJobConfig,
    *,
    samples: int = 4,
    step: int = 0,
    version: int = 0,
    problems: Sequence[Problem] = PROBLEMS,
) -> list[Rollout]:
    """Rollouts of the worker's weights."""
    params = SamplingParams(max_new_tokens=config.sampling.max_new_tokens, temperature=config.sampling.temperature)
    request = RolloutRequest(samples=samples, params=params, version=version, seed=config.run.seed, step=step)
    return worker.generate(problems, request)


def score(rollouts: Sequence[Rollout], seed: int = 0, version: int = 1) -> list[ScoredRollout]:
    """Random steps, scores and outcomes, and the version that a fresh learner has.

    Completions get random lengths, so that rows differ: a prefix of a sample is one, too.
    """
    rng = random.Random(seed)
    scored = []
    for rollout in rollouts:
        whole = rollout.completion
        length = rng.randint(1, len(whole.token_ids))
        reason: FinishReason = rng.choice(("stop", "length"))
        completion = replace(
            whole, token_ids=whole.token_ids[:length], logprobs=whole.logprobs[:length], finish_reason=reason
        )
        ends = sorted(rng.sample(range(length), rng.randint(0, min(3, length))))
        scored.append(
            ScoredRollout(
                rollout=replace(rollout, completion=completion, policy_version=version),
                steps=[ReasoningStep(text="step", start=0, end=1, last_token=end) for end in ends],
                step_scores=[rng.choice((0.0, 0.1, 0.3)) for _ in ends],
                outcome_reward=rng.choice((0.0, 1.0)),
                components={},
                correct=False,
            )
        )
    return scored


def at_version(scored: Sequence[ScoredRollout], version: int) -> list[ScoredRollout]:
    """The same rollouts as if another version had sampled them."""
    return [replace(item, rollout=replace(item.rollout, policy_version=version)) for item in scored]


def weights_of(module: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter."""
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def distance(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """The largest difference between any two weights of one name."""
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)
