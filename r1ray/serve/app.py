"""◆ The service on Ray Serve: an ingress for HTTP, engines that scale by themselves, and what else may be beside them.

client ──HTTP──► Ingress ──request──► Engine-<version>, or Models ──events──► Ingress ──► client
                    ├── StepScorer, GuardClassifier (batches)
                    └── Ledger (where there are several ingresses)
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, cast

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, HTTPOptions, ProxyLocation, RequestRouterConfig
from ray.serve.handle import DeploymentHandle

from r1ray.cluster.connect import connect, disconnect
from r1ray.config.jobs import ServeJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.serialise import from_dict
from r1ray.config.serve import ServeEngineConfig
from r1ray.generation.paged.factory import context_length, describe_weights
from r1ray.models.loading import load_tokenizer, resolve_model, weights_digest
from r1ray.runs import Run
from r1ray.serve.api.routes import build_api
from r1ray.serve.assemble import ingress_count, make_service, more_models, version_name, version_names
from r1ray.serve.batched import WITHOUT_LINES, GuardClassifier, RemoteClassifier, RemoteScorer, StepScorer, batched
from r1ray.serve.door import KEEP_ALIVE_S, Door, free_port
from r1ray.serve.farewell import quiet_end
from r1ray.serve.ledger import Ledger
from r1ray.serve.multiplex import model_holder
from r1ray.serve.remote import RemoteEngine, RemoteLedger
from r1ray.serve.replica import EngineReplica
from r1ray.serve.served import ServedModel
from r1ray.serve.service import Service
from r1ray.serve.store.build import make_store
from r1ray.serve.web import page

APP = "r1ray"
LEAN = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}
"""Of ingresses and engines: one event loop for all that they do, as each change of threads costs a stream's first token
a millisecond or so."""


class Ingress:
    """Where requests come in."""

    async def __init__(  # type: ignore[misc]
        self,
        config: ServeJobConfig,
        engines: dict[str, DeploymentHandle[Any]],
        scorer: DeploymentHandle[Any] | None,
        holder: DeploymentHandle[Any] | None,
        classifier: DeploymentHandle[Any] | None,
        ledger: DeploymentHandle[Any] | None,
    ) -> None:
        paths = dict(zip(version_names(config), (config.policy, config.canary_policy), strict=True))
        models = {}
        for version, handle in engines.items():
            description = await handle.describe.remote()
            tokenizer = await asyncio.to_thread(load_tokenizer, resolve_model(paths[version].path))
            models[version] = ServedModel.of(
                version,
                RemoteEngine(handle, description, sleeps=not config.serve.min_replicas),
                tokenizer,
                system=config.serve.system,
                quantization=description["weights"],
                scorer=RemoteScorer(scorer) if scorer is not None else None,
                amateur=bool(config.engine.amateur),
                weights=await asyncio.to_thread(_digests, paths[version].path, config.engine.amateur),
            )
        others = {}
        for name, policy in (more_models(config) if holder is not None else {}).items():
            description = {"context_length": await asyncio.to_thread(context_length, config.engine, policy)}
            others[name] = ServedModel.of(
                name,
                RemoteEngine(holder.options(multiplexed_model_id=name), description),  # type: ignore[union-attr]
                await asyncio.to_thread(load_tokenizer, policy.path),
                system=config.serve.system,
                quantization=describe_weights(_without_amateur(config.engine), policy),
                weights=await asyncio.to_thread(_digests, policy.path),
            )
        peers = RemoteLedger(ledger) if ledger is not None else None
        self.service: Service = make_service(
            config,
            models,
            make_store(config.store, peers),
            grammars=bool(find_spec("llguidance")),
            others=others,
            forbids=RemoteClassifier(classifier) if classifier is not None else None,
            ledger=peers,
        )
        self._exchanging = asyncio.create_task(self.service.peers.run())
        self._door: Door | None = None
        if config.serve.door == "direct":
            self._door = Door(_web(config, lambda: self.service), config.serve.host, config.serve.port)
            await self._door.open()

    async def __del__(self) -> None:
        """Serve awaits this before it ends a replica."""
        if self._door is not None:
            await self._door.close()
        self._exchanging.cancel()
        await self.service.peers.leave()

    async def reconfigure(self, wanted: dict[str, Any]) -> None:
        """A roll-out: what was remembered of the weights before is not looked at any more."""
        self.service.weights_version = int(wanted["version"])

    async def figures(self) -> dict[str, Any]:
        """For the job's last line."""
        return await self.service.peers.figures()


def build(config: ServeJobConfig, *, weights: str = "", version: int = 0) -> serve.Application:
    """The application of a configuration.

    Args:
        config: the job's.
        weights: path whose weights the engines are to have now; empty = the policy's own.
        version: of those weights.
    """
    policies = dict(zip(version_names(config), (config.policy, config.canary_policy), strict=True))
    engines = {
        name: _engine(config, policy, f"Engine-{name}", weights if name == version_names(config)[0] else "", version)
        for name, policy in policies.items()
        if name
    }
    scorer = None
    if config.serve.process_path:
        scorer = batched(StepScorer, config.serve.process_replicas).bind(config.serve.process_path, config.policy.path)
    classifier = None
    if config.guard.classifier and config.guard.classifier_replicas:
        classifier = batched(GuardClassifier, config.guard.classifier_replicas).bind(config.guard)
    ledger = None
    if ingress_count(config) > 1:
        kept = (config.canary, *version_names(config))
        ledger = serve.deployment(
            Ledger,
            name="Ledger",
            max_ongoing_requests=1024,
            logging_config=WITHOUT_LINES,
            ray_actor_options={"num_cpus": 0.1},
        )
        ledger = _pinned(ledger, *kept).bind(*kept)
    policies = more_models(config)
    holder = _holder(config, policies) if policies else None
    direct = config.serve.door == "direct"
    here = {f"node:{ray.util.get_node_ip_address()}": 0.001} if direct else {}  # where `serve.port` is looked for
    ingress = serve.deployment(
        Ingress if direct else serve.ingress(lambda: _web(config, _service_of_replica))(Ingress),
        name="Ingress",
        num_replicas=ingress_count(config),
        max_ongoing_requests=1024,
        user_config={"version": version},
        graceful_shutdown_timeout_s=config.serve.drain_s,
        graceful_shutdown_wait_loop_s=0.5,
        ray_actor_options={"num_cpus": 0.1, "resources": here, "runtime_env": {"env_vars": LEAN}},
    )
    return _pinned(ingress, config).bind(config, engines, scorer, holder, classifier, ledger)  # type: ignore[no-any-return]


def _web(config: ServeJobConfig, service: Callable[[], Service]) -> FastAPI:
    return build_api(service, max_bytes=int(config.access.body_mib * 2**20), page=page)


def _digests(*paths: str) -> str:
    return "+".join(weights_digest(path) for path in paths if path)


def _service_of_replica() -> Service:
    ingress: Any = serve.get_replica_context().servable_object
    return cast(Service, ingress.service)


def _engine(config: ServeJobConfig, policy: PolicyConfig, name: str, weights: str, version: int) -> Any:
    knobs = config.serve
    scaled: dict[str, Any] = {"num_replicas": knobs.max_replicas}
    if knobs.min_replicas != knobs.max_replicas:
        scaled = {
            "autoscaling_config": AutoscalingConfig(
                min_replicas=knobs.min_replicas,
                max_replicas=knobs.max_replicas,
                initial_replicas=max(1, knobs.min_replicas),
                upscale_delay_s=2.0,
                downscale_delay_s=knobs.downscale_delay_s,
                look_back_period_s=5.0,
                metrics_interval_s=1.0,
                policy=AutoscalingPolicy(
                    policy_function="r1ray.serve.scaling:EngineScaling",
                    policy_kwargs={
                        "target_tokens": knobs.target_queued_tokens,
                        "target_first_token_s": knobs.target_first_token_s,
                    },
                ),
            )
        }
    if knobs.max_replicas > 1:
        router: Any = "r1ray.serve.routing:PrefixRouter"
        scaled["request_router_config"] = RequestRouterConfig(request_router_class=router)
    deployment = serve.deployment(
        EngineReplica,
        name=name,
        user_config={"weights": weights or policy.path, "version": version},
        **_lasting(config),
        **scaled,
    )
    return _pinned(deployment, config.engine, policy, knobs).bind(config.engine, policy, knobs)


def _holder(config: ServeJobConfig, policies: Mapping[str, PolicyConfig]) -> Any:
    knobs, engine = config.serve, _without_amateur(config.engine)
    deployment = serve.deployment(
        model_holder(knobs.models_per_replica), name="Models", num_replicas=knobs.model_replicas, **_lasting(config)
    )
    return _pinned(deployment, engine, policies, knobs).bind(engine, policies, knobs)


def _lasting(config: ServeJobConfig) -> dict[str, Any]:
    """Options of deployments with engines."""
    return {
        "max_ongoing_requests": 1024,  # an engine has a queue of its own, in tokens
        "graceful_shutdown_timeout_s": config.serve.drain_s,
        "graceful_shutdown_wait_loop_s": 0.5,
        "health_check_period_s": 2.0,
        "health_check_timeout_s": 30.0,
        "logging_config": WITHOUT_LINES,
        "max_surge_percent": 100,  # a new version is up before the old one goes
        "ray_actor_options": {
            "num_cpus": 0.4,
            "num_gpus": config.engine.gpus,
            "runtime_env": {"env_vars": LEAN | _thread_limits(config)},
        },
    }


def _without_amateur(engine: ServeEngineConfig) -> ServeEngineConfig:
    """For other models: the amateur is the policy's, and may have other tokens than they."""
    return replace(engine, amateur="")


def _pinned(deployment: Any, *settings: Any) -> Any:
    """With a version that is a function of its settings: Serve would invent one, and restart everything on each `run`,
    where only `user_config` has changed and a `reconfigure` is enough."""
    deployment._version = hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
    return deployment


def _thread_limits(config: ServeJobConfig) -> dict[str, str]:
    """Torch would take the one thread that Ray allows a fraction of a CPU; the engine is meant to have them all."""
    return {"OMP_NUM_THREADS": str(config.engine.threads or os.cpu_count() or 1)}


def build_app(arguments: dict[str, str]) -> serve.Application:
    """For `serve run r1ray.serve.app:build_app policy.path=runs/quantized engine.kind=openvino`: settings as on the
    job's command line. `model=` is short for `policy.path=`."""
    data: dict[str, Any] = {}
    for name, value in arguments.items():
        *groups, field = ("policy.path" if name == "model" else name).replace("-", "_").split(".")
        place = data
        for group in groups:
            place = place.setdefault(group, {})
        with contextlib.suppress(ValueError, TypeError):
            value = json.loads(value)  # numbers, true and false; anything else is text
        place[field] = value
    data.setdefault("serve", {}).setdefault("door", "proxy")  # `serve run` has started one
    return build(from_dict(ServeJobConfig(), data))


def start(config: ServeJobConfig, *, weights: str = "", version: int = 0) -> str:
    """Start the service, or roll a change out to the one that runs; returns its address when it answers."""
    proxies = ProxyLocation.HeadOnly if config.serve.door == "proxy" else ProxyLocation.Disabled
    options = HTTPOptions(
        host=config.serve.host, port=config.serve.port, location=proxies, keep_alive_timeout_s=KEEP_ALIVE_S
    )
    serve.start(http_options=options)
    serve.run(build(config, weights=weights, version=version), name=APP, route_prefix="/")
    return f"http://{config.serve.host}:{config.serve.port}"


def serve_model(config: ServeJobConfig, run: Run) -> dict[str, Any]:
    """The verb of `jobs/serve.py`: serve until Ctrl-C, SIGTERM or `serve.seconds`; returns the headline figures.

    SIGHUP rolls out what `policy.path` holds by then, without a lost request.
    """
    for role, policy in {"policy": config.policy, **more_models(config)}.items():
        run.add_parent(role, resolve_model(policy.path), source=policy.path)
    config = replace(config, serve=replace(config.serve, port=free_port(config.serve.host, config.serve.port)))
    os.environ.setdefault("RAY_worker_niceness", "0")  # a local Ray's workers would stand back for everything else
    connect()
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    address = start(config)
    name = config.serve.model_name or version_name(config.policy)
    print(f"Serving {name} at {address}/v1 (page: {address}/, metrics: {address}/metrics)", flush=True)
    renew = [False]
    signal.signal(signal.SIGHUP, lambda *_: renew.__setitem__(0, True))
    began, version = time.monotonic(), 0
    figures: dict[str, Any] = {}
    try:
        while not config.serve.seconds or time.monotonic() - began < config.serve.seconds:
            time.sleep(0.2)
            if renew[0]:
                renew[0], version = False, version + 1
                start(config, version=version)
    except KeyboardInterrupt:
        pass  # how a service ends
    finally:
        with contextlib.suppress(Exception):
            figures = serve.get_app_handle(APP).figures.remote().result(timeout_s=10)
        with quiet_end():
            serve.shutdown()
            disconnect()
    return figures
