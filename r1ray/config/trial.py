"""What the trials of a search start from, and over what it searches."""

from typing import Any

from r1ray.config.serialise import config_classes, load_file
from r1ray.config.tune import DEFAULT_SPACES, TuneConfig
from r1ray.errors import ConfigError


def trial_config(tune: TuneConfig) -> Any:
    """The job's configuration: its defaults, under what `tune.base` changes. `ConfigError` if this r1ray lacks it."""
    classes = config_classes()
    if tune.job not in classes:
        there = ", ".join(name for name in DEFAULT_SPACES if name in classes)
        raise ConfigError(f"tune.job is {tune.job!r}, and there is no such job yet; expected one of {there}.")
    default = classes[tune.job]()
    return load_file(default, tune.base) if tune.base else default


def trial_space(tune: TuneConfig) -> tuple[str, ...]:
    """The entries of the searched space."""
    return tune.space or DEFAULT_SPACES[tune.job]
