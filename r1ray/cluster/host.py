"""The actor's side of a pool: one plain object in a process of its own, and where it leaves its last words."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Which process a worker lives in."""

    pid: int
    node_id: str
    stderr: str
    """Path, on that node, of the file that the process's stderr goes to; empty where it is unknown."""


class Host:
    """Holds the worker that `factory` builds.

    The worker is built by `ready`, not by the constructor: what building it raises then arrives as the error it was,
    and Ray does not bury the actor. After a restart `ready` builds it anew.
    """

    def __init__(self, factory: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        self._build = partial(factory, *args, **kwargs)
        self._worker: Any = None

    def locate(self) -> Identity:
        """Where the worker lives, whether it is built or not."""
        stderr = os.path.realpath("/proc/self/fd/2")
        return Identity(
            pid=os.getpid(),
            node_id=_node_id(),
            stderr=stderr if os.path.isfile(stderr) else "",
        )

    def ready(self) -> None:
        """Build the worker if it is not there."""
        if self._worker is None:
            self._worker = self._build()

    def call(self, method: str, /, *args: Any) -> Any:
        """`worker.method(*args)`."""
        self.ready()
        return getattr(self._worker, method)(*args)


def read_tail(path: str, lines: int) -> str:
    """The last `lines` lines of a file; empty if it cannot be read."""
    try:
        with open(path, errors="replace") as file:
            return "".join(deque(file, maxlen=lines)).strip()
    except OSError:
        return ""


def stderr_tail(identity: Identity | None, lines: int = 20, timeout: float = 10.0) -> str:
    """What a worker last wrote to stderr, read where it lived; empty if that node is gone or silent."""
    if identity is None or not identity.stderr:
        return ""
    if identity.node_id == _node_id():
        return read_tail(identity.stderr, lines)
    there = NodeAffinitySchedulingStrategy(node_id=identity.node_id, soft=False)
    reader = ray.remote(read_tail).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    try:
        return str(ray.get(reader.remote(identity.stderr, lines), timeout=timeout))
    except ray.exceptions.RayError:
        return ""


def _node_id() -> str:
    return str(ray.get_runtime_context().get_node_id())
