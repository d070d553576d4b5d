"""The service in one process without Ray, for `serve_load.py`: what it answers faster is what Ray Serve costs.

python benchmarks/_plain_server.py --serve.port 18101 --engine.threads 2 --cache.no-enabled
"""

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from r1ray.config.jobs import ServeJobConfig
from r1ray.generation.paged.factory import describe_weights, make_iteration_engine
from r1ray.models.loading import resolve_model
from r1ray.serve.api.routes import build_api
from r1ray.serve.assemble import make_service, version_names
from r1ray.serve.door import Door, free_port
from r1ray.serve.runner import EngineRunner
from r1ray.serve.served import ServedModel
from r1ray.serve.store.build import make_store


async def main(config: ServeJobConfig) -> None:
    """Serve until the process is ended."""
    engine, tokenizer = make_iteration_engine(config.engine, config.policy)
    runner = EngineRunner.under(config.serve, engine)
    model = ServedModel.of(
        version_names(config)[0], runner, tokenizer, quantization=describe_weights(config.engine, config.policy)
    )
    service = make_service(
        config, {model.version: model}, make_store(config.store), grammars=bool(find_spec("llguidance"))
    )
    app = build_api(lambda: service, max_bytes=int(config.access.body_mib * 2**20))
    door = Door(app, config.serve.host, free_port(config.serve.host, config.serve.port))
    await door.open()
    print(f"{resolve_model(config.policy.path)} at http://{config.serve.host}:{config.serve.port}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(tyro.cli(ServeJobConfig)))
