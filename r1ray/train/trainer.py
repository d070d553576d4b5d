"""Ray Train around a worker function: placement, process group, restarts. The only module of this room that imports
Ray."""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray
import ray.train
import ray.train.collective
import torch
import torch.distributed as dist
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from r1ray.cluster.threads import phase_threads, set_threads
from r1ray.config.resources import ResourcesConfig
from r1ray.errors import R1RayError, WorkerError

Worker = Callable[[Mapping[str, Any], "WorkerContext"], None]
"""What each rank runs: its payload, and who it is. It is called again, from its beginning, after a failure."""

POLL_SECONDS = "0.2"
"""How often Ray Train's controller asks the ranks. A rank that reports waits until it was asked, and at Ray's own 2 s a
quick step takes two seconds."""
JOIN_SECONDS = 600
"""How long ranks wait for each other in a collective before the run fails with the rank's name instead of hanging."""


_CALLBACKS: list[Any] = []


@contextlib.contextmanager
def report_through(*callbacks: Any) -> Iterator[None]:
    """Every `fit` of this process, in whichever thread, hands its reports to these callbacks of Ray Train as well: how
    a trial of Ray Tune hears of the run that it drives, whatever the job."""
    _CALLBACKS.extend(callbacks)
    try:
        yield
    finally:
        del _CALLBACKS[len(_CALLBACKS) - len(callbacks) :]


class WorkerContext:
    """Who this rank is, and its line to Ray Train."""

    def __init__(self) -> None:
        context = ray.train.get_context()
        self.rank: int = context.get_world_rank()
        self.world_size: int = context.get_world_size()
        self.local_world_size: int = context.get_local_world_size()
        self.device: torch.device = get_device()

    def report(self, metrics: Mapping[str, float]) -> None:
        """Show figures on the dashboard's Train page; every rank must call it."""
        ray.train.report(dict(metrics))

    def meet(self) -> None:
        """Wait until every rank is here, however long that takes, and without keeping a GPU busy with waiting."""
        if self.world_size > 1:
            ray.train.collective.barrier()

    def scatter(self, parts: Sequence[Any] | None) -> Any:
        """This rank's part of what rank 0 deals out; every rank must call it, the others with None."""
        if parts is not None and self.world_size == 1:
            return parts[0]
        # Ray's own broadcast would keep every object that is sent by reference until the worker ends.
        self.meet()
        mine: list[Any] = [None]
        dist.scatter_object_list(mine, None if parts is None else list(parts), src=0)
        return mine[0]


def fit(worker: Worker, payload: Mapping[str, Any], resources: ResourcesConfig, *, storage: str, name: str) -> None:
    """Run `worker` on every rank of a learner group until all return; restart the group from the worker's own
    checkpoints.

    Args:
        worker: a module-level function.
        payload: what it is given; picklable.
        resources: ranks, what each books, how often the group may be restarted.
        storage: folder or URI in which Ray Train keeps its own notes on the run.
        name: of the run on the dashboard.

    Raises:
        R1RayError: what a rank raised, if it is one of r1ray's own and restarts did not help.
        WorkerError: anything else that ended the group.
    """
    gpus = resources.learner_gpus
    booked = {"CPU": resources.learner_cpus} | ({"GPU": gpus} if gpus else {})
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", POLL_SECONDS)
    trainer = TorchTrainer(
        _run_worker,
        train_loop_config={"worker": worker, "payload": payload, "resources": resources},
        scaling_config=ScalingConfig(num_workers=resources.learners, use_gpu=gpus > 0, resources_per_worker=booked),
        run_config=RunConfig(  # type: ignore[call-arg]  # its stubs are those of the older Ray Train
            name=name,
            storage_path=storage,
            failure_config=FailureConfig(max_failures=resources.max_failures),
            worker_runtime_env={"env_vars": _worker_environment()},
            callbacks=list(_CALLBACKS),
            **_quiet(),
        ),
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo", timeout_s=JOIN_SECONDS),
    )
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit()
    except WorkerGroupError as error:
        raise own_error(error.worker_failures) from None
    except ControllerError as error:
        raise WorkerError(f"Ray Train could not run the learner group: {error}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_ctrl_c)  # Ray Train puts a handler of its own there, and leaves it


def share(data: Any) -> Any:
    """Put data where every rank can read it; returns what `fetch` takes."""
    return ray.put(data)


def fetch(shared: Any) -> Any:
    """What was shared."""
    return ray.get(shared)


def _run_worker(config: dict[str, Any]) -> None:
    context = WorkerContext()
    set_threads(phase_threads(config["resources"], context.local_world_size))
    config["worker"](config["payload"], context)


def own_error(failures: Mapping[int, BaseException]) -> R1RayError:
    """One of r1ray's own errors among the ranks' failures, or a `WorkerError` that shows them all."""
    for failure in failures.values():
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, R1RayError):
                return cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    said = "\n".join(f"rank {rank}: {failure}" for rank, failure in failures.items())
    return WorkerError(f"The learner group failed, and its restarts are used up:\n{said}")


def _worker_environment() -> dict[str, str]:
    """Settings of glibc's allocator, where the user has none.

    Every update allocates and frees the same gigabytes of activations. By default each thread has an arena of its own,
    whose freed tensors are no use to another's, and what is free goes back to the kernel, to be had again page by page:
    a sixth of an update on two cores. So: one arena, that keeps what it has, in large pages.
    """
    wanted = {
        "MALLOC_ARENA_MAX": "1",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432"
        ":glibc.malloc.trim_threshold=1099511627776:glibc.malloc.top_pad=268435456",
    }
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def _quiet() -> dict[str, Any]:
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    return {"logging_config": LoggingConfig(log_level="ERROR")}
