"""What a PPO job settles before anything starts: absolute paths, where its models and data come from, its problems."""

from dataclasses import replace
from pathlib import Path

from r1ray.config.jobs import PPOJobConfig
from r1ray.reasoning.functions import load_functions
from r1ray.runs import Run
from r1ray.train.prepare import QUARANTINE, data_path, model_path, read_problems, record_models

__all__ = ["QUARANTINE", "absolute_paths", "read_problems", "record_origin", "settle"]


def settle(config: PPOJobConfig, run: Run) -> PPOJobConfig:
    """Check and record what the job starts from; returns the configuration with absolute paths.

    Raises:
        ConfigError: a reward function cannot be loaded, or its name is taken.
        ModelError: there is no model at a path.
        CheckpointError: the run is resumed, and a model that it started from has changed.
    """
    config = absolute_paths(config)
    run.save_config(config)
    load_functions(config.reward.functions)
    record_origin(config, run)
    return config


def absolute_paths(config: PPOJobConfig) -> PPOJobConfig:
    """The configuration with local paths made absolute: workers, and a resumed run, have other working directories."""

    def function(entry: str) -> str:
        file, colon, name = entry.rpartition(":")
        return f"{Path(file).absolute()}{colon}{name}" if file.endswith(".py") else entry

    problems, reward = config.problems, config.reward
    return replace(
        config,
        policy=replace(config.policy, path=model_path(config.policy.path)),
        critic=replace(config.critic, path=model_path(config.critic.path)),
        problems=replace(problems, path=data_path(problems.path), heldout_path=data_path(problems.heldout_path)),
        reward=replace(
            reward, process_path=model_path(reward.process_path), functions=tuple(map(function, reward.functions))
        ),
    )


def record_origin(config: PPOJobConfig, run: Run) -> None:
    """Write the models that the run starts from and the files that it reads into its manifest, with their hashes."""
    models = {"policy": config.policy.path, "critic": config.critic.path, "reward": config.reward.process_path}
    record_models(models, run)
    for name, path in {"problems": config.problems.path, "heldout": config.problems.heldout_path}.items():
        if path:
            run.add_input(name, path)
