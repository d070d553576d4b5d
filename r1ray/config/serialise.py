"""Configurations as plain data: to JSON and back, compared, and read with an eye for typing mistakes."""

import dataclasses
import difflib
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from r1ray.errors import ConfigError

C = TypeVar("C")


def job_name(config: Any) -> str:
    """The job that a configuration (or its class) belongs to: `PPOJobConfig` -> `ppo`, `RewardModelJobConfig` ->
    `reward_model`."""
    name = (config if isinstance(config, type) else type(config)).__name__
    stem = re.sub(r"(Job)?Config$", "", name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", stem).lower()


def config_classes() -> dict[str, type[Any]]:
    """Every job's configuration class by the job's name."""
    from r1ray.config import jobs  # here, so that the parts below can be used by a stage's own configuration file

    return {job_name(value): value for name, value in vars(jobs).items() if name.endswith("JobConfig")}


def to_dict(config: Any) -> dict[str, Any]:
    """Nested dictionaries that JSON can hold."""
    return typing.cast("dict[str, Any]", json.loads(json.dumps(dataclasses.asdict(config))))


def from_dict(default: C, data: Mapping[str, Any]) -> C:
    """`default` with every value that `data` names; keys that `data` leaves out keep the default's value.

    Raises `ConfigError` for an unknown key (naming the nearest right one) and for a value of the wrong type.
    """
    settings = [name for name, _ in flatten(default)]
    groups = dict.fromkeys(name.rpartition(".")[0] for name in settings if "." in name)
    return typing.cast("C", _build(default, data, prefix="", known=[*settings, *groups]))


def load_file(default: C, path: str | Path) -> C:
    """`default` with the values of a JSON file: a hand-written part of a configuration, or a run's whole
    `config.json`."""
    path = Path(path).expanduser()
    if path.is_dir():
        path = path / "config.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"--config {path}: no such file. Expected a JSON file with any of the settings that --help shows."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path} is not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise ConfigError(
            f"--config {path} holds a {type(data).__name__}; expected an object such as {{'ppo': {{'steps': 10}}}}."
        )
    return from_dict(default, data)


def flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted name, in order of declaration: ("ppo.steps", 20), ..."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from flatten(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, value


def differences(config: C, default: C) -> dict[str, tuple[Any, Any]]:
    """Settings that differ, by dotted name: (value in `config`, value in `default`)."""
    defaults = dict(flatten(default))
    return {name: (value, defaults.get(name)) for name, value in flatten(config) if value != defaults.get(name)}


def nearest(name: str, known: typing.Collection[str]) -> str | None:
    """The known name that `name` was most likely meant to be: by its whole spelling, or by its last part alone."""
    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.75):
        return close[0]
    leaves = {candidate.rpartition(".")[2]: candidate for candidate in known}
    close = difflib.get_close_matches(name.rpartition(".")[2], leaves, n=1, cutoff=0.75)
    return leaves[close[0]] if close else None


def _build(default: Any, data: Mapping[str, Any], prefix: str, known: list[str]) -> Any:
    hints = typing.get_type_hints(type(default))
    changes: dict[str, Any] = {}
    for key, value in data.items():
        name = prefix + key
        if key not in hints:
            suggestion = nearest(name, known)
            hint = f" Did you mean {suggestion}?" if suggestion else " --help lists every setting."
            raise ConfigError(f"Unknown setting {name}.{hint}")
        current = getattr(default, key)
        if dataclasses.is_dataclass(current):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{name} is {value!r}; expected an object with its settings.")
            changes[key] = _build(current, value, f"{name}.", known)
        else:
            changes[key] = _convert(value, hints[key], name)
    return dataclasses.replace(default, **changes)


def _convert(value: Any, hint: Any, name: str) -> Any:
    """`value`, as JSON spells it, in the type that the field declares."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            try:
                return _convert(value, option, name)
            except ConfigError:
                continue
    elif origin is tuple:
        if isinstance(value, (list, tuple)):
            kinds = [arguments[0]] * len(value) if arguments[1:] == (Ellipsis,) else list(arguments)
            if len(kinds) == len(value):
                return tuple(
                    _convert(item, kind, f"{name}[{i}]")
                    for i, (item, kind) in enumerate(zip(value, kinds, strict=True))
                )
    elif origin is dict:
        if isinstance(value, Mapping):
            return {key: _convert(item, arguments[1], f"{name}.{key}") for key, item in value.items()}
    elif origin is typing.Literal:
        if value in arguments:
            return value
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif hint is type(None):
        if value is None:
            return None
    elif isinstance(hint, type) and isinstance(value, hint):
        return value
    expected = hint.__name__ if isinstance(hint, type) and not arguments else str(hint).replace("typing.", "")
    raise ConfigError(f"{name} is {value!r}; expected {expected}.")
