"""Functions that a user names on the command line: `mymodule.py:score@0.5`, `package.module:function`."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from r1ray.errors import ConfigError

TAKEN = frozenset({"total", "correct", "return", "outcome", "step", "format", "length", "process"})
"""Names that rewards of our own have in the log."""


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A loaded function, its name for the log, and its weight."""

    name: str
    call: Callable[..., Any]
    weight: float = 1.0


def load_functions(specs: Sequence[str]) -> list[UserFunction]:
    """Import each of `specs`.

    Raises:
        ConfigError: one does not load, or its name would stand for two things in the log.
    """
    functions: list[UserFunction] = []
    for spec in specs:
        function = load_function(spec)
        if function.name in TAKEN or function.name in [other.name for other in functions]:
            raise ConfigError(
                f"The reward function of {spec!r} would be logged as `reward/{function.name}`, which is taken. Give it "
                "another name."
            )
        functions.append(function)
    return functions


def load_function(spec: str) -> UserFunction:
    """Import what `module.py:function` or `package.module:function` names, with an optional `@weight`.

    Raises:
        ConfigError: the entry is malformed, or there is no such file, module or function; it says where it looked.
    """
    target, at, weight_text = spec.partition("@")
    module_name, colon, name = target.rpartition(":")
    if not (colon and module_name and name):
        raise ConfigError(
            f"{spec!r} names no function; expected `module.py:function` or `package.module:function`, with an optional "
            "`@weight`."
        )
    try:
        weight = float(weight_text) if at else 1.0
    except ValueError:
        raise ConfigError(
            f"{spec!r} ends with the weight {weight_text!r}; expected a number, as in `{target}@0.5`."
        ) from None
    module = _load_file(Path(module_name), spec) if module_name.endswith(".py") else _import(module_name, spec)
    function = getattr(module, name, None)
    if not callable(function):
        public = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise ConfigError(
            f"{module_name} has no function {name!r} (asked for by {spec!r}); it has {', '.join(public) or 'none'}."
        )
    return UserFunction(name, function, weight)


def _load_file(path: Path, spec: str) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ConfigError(
            f"{spec!r}: there is no file {path}. Give a path from the folder where the job starts, or an absolute one."
        )
    # One module per file, however often it is named; two files of one name stay two modules.
    name = f"r1ray_user_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ConfigError(f"{spec!r}: {path} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"{spec!r}: {path} does not load: {type(error).__name__}: {error}") from error
    return module


def _import(name: str, spec: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ConfigError(
            f"{spec!r}: module {name} does not import: {type(error).__name__}: {error}. Install it, or put its folder "
            "on PYTHONPATH."
        ) from error
