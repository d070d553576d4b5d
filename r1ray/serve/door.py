"""The port of an ingress: HTTP goes straight into the process that answers it, without a proxy before it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from r1ray.errors import ResourceError

KEEP_ALIVE_S = 75
"""How long an idle connection stays open: longer than clients keep theirs (5 s in httpx and OpenAI's client), as a
request that is sent into a connection while the server closes it is lost."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's business, not the server's."""
        yield


class Door:
    """Serves an ASGI application. Several processes may share a port: the kernel gives each its part of the
    connections, and one that is replaced hands over without a gap."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        self._socket = _bound(host, port, shared=True)
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
        self._server = _Server(uvicorn.Config(app, timeout_keep_alive=KEEP_ALIVE_S, **quiet))
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Returns when requests are answered."""
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started and not self._serving.done():
            await asyncio.sleep(0.01)
        if self._serving.done():
            self._serving.result()

    async def close(self) -> None:
        """Take no more connections; returns when those that are open have got their answers."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


def free_port(host: str, port: int) -> int:
    """The port, or any free one for 0.

    Raises:
        ResourceError: somebody listens there. Two services that share a port by accident would answer in turns.
    """
    with _bound(host, port, shared=False) as found:
        number: int = found.getsockname()[1]
    return number


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared and hasattr(socket, "SO_REUSEPORT"):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise ResourceError(
            f"{host}:{port} cannot be listened on ({error.strerror}). Give another one with --serve.host and "
            "--serve.port (0 = any that is free), or end what uses it."
        ) from error
    return found
