"""A whole service over a tiny model in this process, behind a real HTTP server."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn

from r1ray.config.jobs import ServeJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeConfig, ServeEngineConfig
from r1ray.generation.paged.factory import make_iteration_engine
from r1ray.serve.api.routes import build_api
from r1ray.serve.assemble import make_service, version_names
from r1ray.serve.runner import EngineRunner
from r1ray.serve.served import ServedModel
from r1ray.serve.service import Service
from r1ray.serve.store.memory import MemoryStore


class Running:
    """A server that answers at `url`."""

    def __init__(self, url: str, service: Service, runner: EngineRunner, loop: asyncio.AbstractEventLoop) -> None:
        self.url, self.service, self.runner, self._loop = url, service, runner, loop

    def call(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine function where the service lives."""
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)


@contextmanager
def served(policy: Path, config: ServeJobConfig | None = None, **parts: Any) -> Iterator[Running]:
    """Start it in a thread; `parts` replace groups of the configuration."""
    small = ServeEngineConfig(kind="transformers", cache_tokens=2048)
    config = config or ServeJobConfig(
        policy=PolicyConfig(path=str(policy)), engine=small, serve=ServeConfig(model_name="tiny")
    )
    grammars, scorer = parts.pop("grammars", True), parts.pop("scorer", None)
    config = replace(config, **parts)
    ready, stop = threading.Event(), threading.Event()
    found: list[Running] = []
    failure: list[BaseException] = []

    async def main() -> None:
        engine, tokenizer = make_iteration_engine(config.engine, config.policy)
        runner = EngineRunner.under(config.serve, engine)
        model = ServedModel.of(
            version_names(config)[0], runner, tokenizer, scorer=scorer, amateur=bool(config.engine.amateur)
        )
        service = make_service(config, {model.version: model}, MemoryStore(2**20), grammars=grammars)
        server = uvicorn.Server(uvicorn.Config(build_api(lambda: service), port=0, log_level="critical"))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        found.append(Running(f"http://127.0.0.1:{port}", service, runner, asyncio.get_running_loop()))
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.should_exit = True
        await task
        await runner.close()

    def work() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failure.append(error)
            ready.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait()
    if failure:
        raise failure[0]
    try:
        yield found[0]
    finally:
        stop.set()
        thread.join(30)
