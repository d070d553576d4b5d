"""The connection to Ray: the cluster that is there, or a local one.

`RAY_ADDRESS` names a cluster, and `ray job submit` sets it for its job; `ray start` on this machine leaves word of
another; failing both, a local Ray starts and ends with this process. A cluster may ask for a token
(`RAY_AUTH_MODE=token`); a local Ray always does, and writes it to `~/.ray/auth_token` for everyone to read, so its mode
is tightened here.
"""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from r1ray.errors import ResourceError

QUIET = {
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # Ray Train would print each line of a worker a second time
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # where no GPU is booked, leave CUDA_VISIBLE_DEVICES alone
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Read by Ray when it is imported or starts workers. What the user's environment says goes first."""

QUIET_LOCAL = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # this machine is not preempted, and the watcher complains on stderr
}

AUTH_HELP = (
    "If it asks for a token, this process did not show the right one. On the machine that started the cluster: `ray "
    "get-auth-token --generate` once; then `export RAY_AUTH_MODE=token` before `ray start`, `ray job submit` and "
    "this command. From another machine, copy the token to ~/.ray/auth_token or export it as RAY_AUTH_TOKEN."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """What this process is connected to."""

    address: str
    dashboard: str
    """URL of the dashboard, or empty."""
    local: bool
    """Whether this process started it; it then ends with `disconnect` or with this process."""
    resources: dict[str, float]
    """What the cluster has in all: `CPU`, `GPU`, `memory` …"""


def connect(quiet: bool = True, dashboard: bool = True, announce: bool = True) -> Connection:
    """Join the cluster that the environment names, or start a local Ray; a process that is connected stays connected.

    Args:
        quiet: keep Ray's own log lines, and what workers print, off this console; they stay in Ray's session folder.
        dashboard: whether a local Ray comes with its dashboard.
        announce: print the dashboard's address.

    Raises:
        ResourceError: the cluster that is named cannot be reached, or refuses this process's token.
    """
    if quiet:
        _set_defaults(QUIET)
    import ray  # after the environment that it reads

    options: dict[str, Any] = {"log_to_driver": not quiet, "logging_level": "ERROR" if quiet else "INFO"}
    connected = ray.is_initialized()
    with _own_sigterm():
        context: Any = ray.init(ignore_reinit_error=True, **options) if connected else _join(options)
        local = context is None
        if context is None:
            context = _start(options, dashboard, quiet)
    url = f"http://{context.dashboard_url}" if context.dashboard_url else ""
    if url and announce and not connected:
        print(f"Ray dashboard: {url}", flush=True)
    return Connection(
        address=context.address_info["gcs_address"], dashboard=url, local=local, resources=ray.cluster_resources()
    )


def disconnect() -> None:
    """Leave the cluster; a local Ray ends."""
    import ray

    ray.shutdown()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray puts a handler there that ends the process on the spot, past every `finally`; put back what was."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _join(options: dict[str, Any]) -> Any:
    """Connect to the cluster that `RAY_ADDRESS` or an earlier `ray start` names; None if there is none."""
    import ray

    named = os.environ.get("RAY_ADDRESS", "")
    address = named if named not in ("", "auto") else _last_started()
    if address in ("", "local"):
        return None
    if "://" in address:
        raise ResourceError(
            f"RAY_ADDRESS is {address}; expected host:port of a cluster that this machine belongs to. To run on "
            f"another one, submit the job: `ray job submit --address {address} --working-dir . -- python jobs/ppo.py`."
        )
    if not _answers(address):  # asked here, because Ray itself would try for minutes
        if named:
            raise ResourceError(
                f"No Ray cluster answers at RAY_ADDRESS={address}. Start it (`ray start --head`), correct RAY_ADDRESS, "
                "or unset it to run on this machine alone."
            )
        return None
    try:
        return ray.init(address="auto", **options)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise ResourceError(
            f"The Ray cluster at {address} did not let this process in. {AUTH_HELP}\n({error})"
        ) from None


def _last_started() -> str:
    """Address of the cluster that `ray start` last started on this machine, where Ray leaves it; it may be gone."""
    try:
        return Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster").read_text().strip()
    except OSError:
        return ""


def _answers(address: str, timeout: float = 5.0) -> bool:
    """Whether something listens there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=timeout).close()
    except (OSError, ValueError):
        return False
    return True


def _start(options: dict[str, Any], dashboard: bool, quiet: bool) -> Any:
    """Start a local Ray."""
    import ray

    if quiet:
        _set_defaults(QUIET_LOCAL)
    folder = Path.home() / ".ray"
    with contextlib.suppress(OSError):  # a folder of one's own before Ray writes a token into it that others may read
        folder.mkdir(mode=0o700, exist_ok=True)
    context = ray.init(
        address="local", include_dashboard=dashboard, object_store_memory=object_store_bytes(), **options
    )
    with contextlib.suppress(OSError):
        (folder / "auth_token").chmod(0o600)
    return context


def _set_defaults(environment: dict[str, str]) -> None:
    for name, value in environment.items():
        os.environ.setdefault(name, value)


def object_store_bytes(memory: int | None = None) -> int:
    """Shared memory for a local Ray's objects: a fifth of the machine's, from 256 MiB to 4 GiB.

    Ray's own default is 30 % of all memory. Here only weights and rollouts pass through it, a few copies at a time, and
    what it holds is memory that the models do not have.
    """
    total = psutil.virtual_memory().total if memory is None else memory
    return int(min(max(total // 5, 256 * 2**20), 4 * 2**30))
