"""What the actors of the pools hold, as each builds it in its own process. No Ray here, nor anything of the learner: an
actor starts as soon as it has imported what it needs."""

import torch

from r1ray.cluster.threads import set_threads
from r1ray.config.jobs import PPOJobConfig
from r1ray.generation.factory import make_engine
from r1ray.models.loading import decoder, load_tokenizer
from r1ray.models.process_reward import ProcessRewardModel
from r1ray.reasoning.functions import load_functions
from r1ray.reasoning.grading import Grader
from r1ray.rl.reward import RewardWorker
from r1ray.rl.rollout import RolloutWorker


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
        functions=load_functions(config.reward.functions),
    )
