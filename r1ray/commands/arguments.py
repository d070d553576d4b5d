"""From command-line arguments to a whole configuration: a default, a file or an earlier run, and overrides on top."""

from collections.abc import Sequence
from typing import TypeVar

import tyro

from r1ray.config.serialise import differences, from_dict, load_file
from r1ray.errors import ConfigError
from r1ray.runs import Run

C = TypeVar("C")

RESUMABLE = (
    "ppo.steps",
    "sft.epochs",
    "sft.max_steps",
    "reward_model.epochs",
    "reward_model.max_steps",
    "resources.",
    "evaluation.",
    "quantize.recipe",
    "run.checkpoint_every",
    "run.keep_checkpoints",
    "run.samples_every",
    "run.report",
    "tune.trials",
    "tune.minutes",
    "tune.patience",
    "tune.parallel",
)
"""What may change when a run is resumed: how long it goes, who computes it, and what is written. The rest would make
the second half of the run another experiment than the first."""

EPILOGUE = """
Settings are given as --group.field VALUE, over the defaults shown below. Before them:
  --config FILE    start from a JSON file (part of a configuration, or a run's config.json)
  --resume RUN     go on with runs/<name> from its last checkpoint, with its own configuration"""


def parse(default: C, arguments: Sequence[str], prog: str, description: str) -> tuple[C, Run | None]:
    """The configuration that the arguments describe, and the run to resume, if they name one.

    `--help` and what tyro cannot read end the process (code 0 and 2). Raises `ConfigError`.
    """
    remaining, config_file = _take(list(arguments), "--config")
    remaining, resume = _take(remaining, "--resume")
    if config_file is not None and resume is not None:
        raise ConfigError("--config and --resume exclude each other: a resumed run has its own configuration.")
    run = None
    if config_file is not None:
        default = load_file(default, config_file)
    if resume is not None:
        run = Run.open(resume)
        default = from_dict(default, run.config_data())
    config: C = tyro.cli(type(default), default=default, args=remaining, prog=prog, description=description + EPILOGUE)
    if run is not None and not getattr(type(config), "OPEN", False):
        fixed = [name for name in differences(config, default) if not name.startswith(RESUMABLE)]
        if fixed:
            allowed = ", ".join(name + "*" if name.endswith(".") else name for name in RESUMABLE)
            raise ConfigError(
                f"{', '.join(fixed)} cannot change when {run.location} is resumed. These can: {allowed}. "
                f"For anything else start a new run with --config {run.location}."
            )
    return config, run


def _take(arguments: list[str], flag: str) -> tuple[list[str], str | None]:
    """Remove `flag VALUE` or `flag=VALUE`."""
    for i, argument in enumerate(arguments):
        if argument.startswith(flag + "="):
            return arguments[:i] + arguments[i + 1 :], argument.removeprefix(flag + "=")
        if argument == flag:
            if i + 1 == len(arguments):
                raise ConfigError(f"{flag} needs a value: a path.")
            return arguments[:i] + arguments[i + 2 :], arguments[i + 1]
    return arguments, None
