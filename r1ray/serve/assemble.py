"""From configuration to a service, given where the tokens come from."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from r1ray.config.jobs import ServeJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.errors import ConfigError
from r1ray.serve.access.access import Access
from r1ray.serve.books import Books
from r1ray.serve.cache.answers import AnswerCache
from r1ray.serve.canary.controller import Canary, Outbox
from r1ray.serve.guard.guard import Guard
from r1ray.serve.guard.verdict import Forbids
from r1ray.serve.ledger import LedgerLike
from r1ray.serve.observe import tracing
from r1ray.serve.observe.metrics import ServeMetrics
from r1ray.serve.observe.request_log import RequestLog
from r1ray.serve.peers import Alone, Together
from r1ray.serve.served import ServedModel
from r1ray.serve.service import Service
from r1ray.serve.store.base import Store


def version_name(policy: PolicyConfig) -> str:
    """What a version is called: the last part of its path that says something."""
    parts = [part for part in Path(policy.path).parts if part not in ("model", "/", ".", "..")]
    return (parts[-1] if parts else "model").removesuffix(".gguf")


def version_names(config: ServeJobConfig) -> tuple[str, str]:
    """Of the stable version and of the canary; the latter is empty where there is none."""
    stable = version_name(config.policy)
    canary = version_name(config.canary_policy) if config.canary_policy.path else ""
    return stable, f"{canary}-canary" if canary == stable else canary


def ingress_count(config: ServeJobConfig) -> int:
    """How many processes take requests: one is enough for what a CPU can answer."""
    return config.serve.ingresses or (2 if config.engine.gpus else 1)


def more_models(config: ServeJobConfig) -> dict[str, PolicyConfig]:
    """The policies of `serve.models` by name.

    Raises:
        ConfigError: a name is the service's own, or one of its versions'.
    """
    taken = {config.serve.model_name, *version_names(config)}
    policies = {}
    for name, _, path in (one.partition("=") for one in config.serve.models):
        if name in taken or name.partition(":")[0] in taken:
            raise ConfigError(f"serve.models has {name!r}, which is a name of the policy's already: choose another.")
        policies[name] = replace(config.policy, path=path)
    return policies


def make_service(
    config: ServeJobConfig,
    models: Mapping[str, ServedModel],
    store: Store,
    *,
    grammars: bool,
    others: Mapping[str, ServedModel] | None = None,
    forbids: Forbids | None = None,
    ledger: LedgerLike | None = None,
) -> Service:
    """All parts around the engines.

    Args:
        config: the job's.
        models: named as `version_names` says.
        store: of what replicas share.
        grammars: whether engines can follow grammars.
        others: models that have nothing to do with the first ones, by name.
        forbids: the guard's classifier, where it is not in this process.
        ledger: of several ingresses; None = this is the only one.
    """
    stable, name = version_names(config)
    tracing.configure(config.tracing)
    outbox, metrics = Outbox(), ServeMetrics()
    canary = Canary(config.canary, stable, name, outbox if ledger else None)
    books = Books(metrics, canary, RequestLog(config.request_log))
    peers = Together(metrics, canary, books, outbox, ledger) if ledger else Alone(metrics, canary, books)
    return Service(
        config.serve.model_name or stable,
        models,
        canary=canary,
        access=Access(config.access, store),
        guard=Guard(config.guard, forbids),
        cache=AnswerCache(config.cache, store if config.store.url or ledger is not None else None),
        metrics=metrics,
        books=books,
        peers=peers,
        max_new_tokens=config.serve.max_new_tokens,
        request_seconds=config.serve.request_seconds,
        grammars=grammars,
        others=others or {},
    )
