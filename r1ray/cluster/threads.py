"""How many threads an active phase may use.

Ray gives an actor as many OpenMP threads as it books CPUs. On a small machine bookings are fractional, because phases
take turns, so each phase sets its threads itself: all cores of the node while it is on, divided among its workers
there.
"""

import os
from pathlib import Path

from r1ray.config.resources import ResourcesConfig

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores(quota_file: Path = CGROUP_QUOTA) -> int:
    """Cores that this process may use: its affinity, and a container's CPU quota where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def phase_threads(resources: ResourcesConfig, workers_on_node: int, cores: int | None = None) -> int:
    """Threads for each of the `workers_on_node` workers of one phase on this node."""
    if resources.threads:
        return resources.threads
    return max(1, (available_cores() if cores is None else cores) // max(1, workers_on_node))


def set_threads(count: int) -> None:
    """Use `count` threads in this process from here on, for PyTorch and for what is started or loaded later."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(count)
    import torch  # its thread pool reads the environment only when it is first imported

    torch.set_num_threads(count)
