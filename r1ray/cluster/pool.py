"""A pool of actors around a plain class: work goes to whoever is idle, and what a lost actor held is issued again.

    pool = ActorPool(RolloutWorker, args=(config,), count=4, num_cpus=0.6, name="rollout")
    rollouts = pool.map("generate", batches, prepare=lambda member: member.run("load_weights", weights, version))

The pool may be pickled into other processes (a learner rank, say). Actors belong to the process that made the pool and
end with it; restarts are Ray's own, so they go on while a learner is being restarted.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ray

from r1ray.cluster.failures import LOST, failure, join
from r1ray.cluster.host import Host, Identity
from r1ray.cluster.pending import PendingMap, Prepare
from r1ray.errors import ResourceError

START_RETRIES = 3
"""How often a worker whose process dies while it is being built is tried again."""


class Member:
    """One worker of a pool, as the pool's user sees it."""

    def __init__(self, actor: Any, name: str) -> None:
        self.actor = actor
        self.name = name
        self.down = False
        """Lost, and not yet seen alive again."""
        self._location: Any = None

    def call(self, method: str, *args: Any) -> Any:
        """Start `worker.method(*args)`; an `ObjectRef` of what it returns. References in `args` arrive as values."""
        return self.actor.call.remote(method, *args)

    def run(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """`worker.method(*args)`, waited for."""
        return ray.get(self.call(method, *args), timeout=timeout)

    def revive(self) -> Any:
        """An `ObjectRef` that resolves once the worker's process is up and the worker built, restarted if need be."""
        # With retries a call waits in the queue of an actor that is being restarted, instead of failing at once. A
        # worker that cannot be built without its process dying uses them up.
        retries = {"max_task_retries": START_RETRIES}
        self._location = self.actor.locate.options(**retries).remote()
        return self.actor.ready.options(**retries).remote()

    @property
    def identity(self) -> Identity | None:
        """The process that the worker was last started in; None if that cannot be known any more."""
        try:
            return None if self._location is None else ray.get(self._location, timeout=5.0)
        except ray.exceptions.RayError:
            return None

    def kill(self) -> None:
        """End the process; Ray starts another in its place."""
        self.down = True
        ray.kill(self.actor, no_restart=False)


class ActorPool:
    """`count` actors, each holding a `factory(*args)`."""

    def __init__(
        self,
        factory: Callable[..., Any],
        *,
        args: tuple[Any, ...] = (),
        count: int = 1,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        name: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Start the actors; `ready` waits for them.

        Args:
            factory: a plain class or function; it is called in each actor, and again after a restart.
            args: what it is called with. References among them arrive as their values.
            num_cpus: CPUs that each actor books; fractions are welcome where phases take turns.
            name: how errors and the dashboard call the workers; the factory's name by default.
            options: further options of `ray.remote`, such as `resources`, `label_selector` or `runtime_env`.
        """
        self.name = name or getattr(factory, "__name__", "worker")
        self.books = {"CPU": num_cpus, "GPU": num_gpus}
        actor_class: Any = ray.remote(type(self.name, (Host,), {})).options(
            num_cpus=num_cpus, num_gpus=num_gpus, max_restarts=-1, max_task_retries=0, **(options or {})
        )
        self.members = [Member(actor_class.remote(factory, *args), f"{self.name} {index}") for index in range(count)]
        self.reissued = 0
        """Calls issued again so far because the actor that had them was lost."""
        self._idle = deque(self.members)
        self._freed = threading.Condition()

    def __len__(self) -> int:
        return len(self.members)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_freed"], state["_idle"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._idle = deque(self.members)
        self._freed = threading.Condition()

    def ready(self, timeout: float = 300.0) -> "ActorPool":
        """Wait until every worker is built, at most `timeout` seconds.

        Raises:
            ResourceError: some did not start in time.
            R1RayError: what building a worker raised, if it is one of r1ray's own.
            WorkerError: building a worker raised anything else, or its process died.
        """
        refs = [member.revive() for member in self.members]
        started, missing = ray.wait(refs, num_returns=len(refs), timeout=timeout)
        for ref, member in zip(refs, self.members, strict=True):
            if ref in started:
                join(member, ref)
        if missing:
            raise ResourceError(
                f"{len(started)} of {len(refs)} `{self.name}` workers started within {timeout:.0f} s. Each books "
                f"{self.books}; free in the cluster: {ray.available_resources()}. Ask for fewer workers, let each book "
                "less, or add nodes."
            )
        return self

    def start(
        self,
        method: str,
        items: Iterable[Any],
        *shared: Any,
        prepare: Prepare | None = None,
        deadline: float | None = None,
        retries: int = 3,
    ) -> PendingMap:
        """Begin `worker.method(item, *shared)` for every item, and return at once; the calls go on in the background.

        Args:
            prepare: called with a `Member` before work goes to a worker that was restarted or that raised
                `StaleWeights`; it brings the worker up to date (`member.run("load_weights", ...)`).
            deadline: seconds that one call may take. A worker that takes longer is killed and its item issued again.
            retries: how often one item is issued again before the map gives up.
        """
        return PendingMap(self, method, list(items), shared, prepare=prepare, deadline=deadline, retries=retries)

    def map(
        self,
        method: str,
        items: Iterable[Any],
        *shared: Any,
        prepare: Prepare | None = None,
        deadline: float | None = None,
        retries: int = 3,
    ) -> list[Any]:
        """`start(...)`, waited for: results in the order of the items."""
        return self.start(method, items, *shared, prepare=prepare, deadline=deadline, retries=retries).result()

    def broadcast(self, method: str, *args: Any, deadline: float | None = None) -> list[Any]:
        """`worker.method(*args)` on every worker at once; None for one that was lost: `prepare` sees to it later."""
        refs = [member.call(method, *args) for member in self.members]
        ended, _ = ray.wait(refs, num_returns=len(refs), timeout=deadline)
        results: list[Any] = []
        for ref, member in zip(refs, self.members, strict=True):
            if ref not in ended:
                member.kill()
                results.append(None)
                continue
            try:
                results.append(ray.get(ref))
            except ray.exceptions.RayTaskError as error:
                raise failure(member, method, error) from None
            except LOST:
                member.down = True
                results.append(None)
        return results

    def close(self) -> None:
        """End the actors for good."""
        for member in self.members:
            ray.kill(member.actor, no_restart=True)

    def acquire(self, timeout: float = 0.0) -> Member | None:
        """Take an idle member, the longest idle first; None if there is none within `timeout` seconds."""
        end = time.monotonic() + timeout
        with self._freed:
            while not self._idle:
                left = end - time.monotonic()
                if left <= 0 or not self._freed.wait(left):
                    return None
            return self._idle.popleft()

    def release(self, member: Member) -> None:
        """Give an acquired member back."""
        with self._freed:
            self._idle.append(member)
            self._freed.notify()
