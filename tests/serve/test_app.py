"""The service on Ray Serve: it answers, holds several models in turn, rolls out weights under load, and outlives its
engines."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from r1ray.config.jobs import ServeJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeConfig, ServeEngineConfig
from r1ray.config.serve_parts import GuardConfig
from r1ray.serve.peers import EVERY_S
from tests.tiny import make_tiny_policy, make_tiny_prm

pytestmark = [pytest.mark.ray, pytest.mark.slow]
BODY = {"prompt": "1 + 1", "max_tokens": 40, "ignore_eos": True, "temperature": 0, "cache": False}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ServeJobConfig:
    folder = tmp_path_factory.mktemp("models")
    policy = make_tiny_policy(folder / "policy")
    others = [
        f"{name}={make_tiny_policy(folder / name, seed=seed)}" for seed, name in enumerate(("one", "two", "three"), 1)
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return ServeJobConfig(
        guard=GuardConfig(classifier="toxicity", classifier_replicas=1, output=False),
        policy=PolicyConfig(path=str(policy)),
        engine=ServeEngineConfig(kind="transformers", cache_tokens=2048, threads=1),
        serve=ServeConfig(
            model_name="tiny",
            port=port,
            min_replicas=2,
            max_replicas=2,
            ingresses=2,
            drain_s=5.0,
            models=tuple(others),
            process_path=str(make_tiny_prm(folder / "prm")),
        ),
    )


@pytest.fixture(scope="module")
def url(config: ServeJobConfig, ray_session: None) -> Iterator[str]:
    from ray import serve

    from r1ray.serve.app import start

    yield start(config)
    serve.shutdown()


async def load(url: str, clients: int, each: int, meanwhile: Any) -> list[Any]:
    """What every request of a few clients got while something else happens."""

    async def one(client: httpx.AsyncClient, stream: bool) -> list[Any]:
        found = []
        for _ in range(each):
            answer = await client.post(f"{url}/v1/completions", json={**BODY, "stream": stream})
            if stream:
                found.append((answer.status_code, answer.text.count('"text"') > 1, "error" in answer.text))
            else:
                found.append((answer.status_code, answer.json()["usage"]["completion_tokens"] == 40, False))
        return found

    async with httpx.AsyncClient(timeout=120) as client:
        asked = [one(client, stream=place % 2 == 1) for place in range(clients)]
        _, *answers = await asyncio.gather(asyncio.to_thread(meanwhile), *asked)
    return [found for one_client in answers for found in one_client]


def text(url: str, model: str = "tiny", **more: Any) -> str:
    body = {**BODY, "logprobs": 0, "model": model, **more}
    answer = httpx.post(f"{url}/v1/completions", json=body, timeout=60).json()
    assert "choices" in answer, answer
    return str(answer["choices"][0]["logprobs"]["token_logprobs"])


def test_two_ingresses_count_and_remember_as_one(url: str) -> None:
    def seen(name: str) -> float:
        lines = httpx.get(f"{url}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    asked = 'r1ray_serve_requests_total{path="/v1/completions",status="200"}'
    shared = 'r1ray_serve_cache_lookups_total{level="l3",result="hit"}'
    before = seen(asked)
    answers = {text(url, cache=True) for _ in range(24)}  # each over a connection of its own
    assert len(answers) == 1
    time.sleep(2 * EVERY_S)  # the ingress that is not asked has told the ledger by then
    assert {seen(asked) - before for _ in range(12)} == {24}
    assert seen(shared) == 1, "the other ingress had it from the first one"


def test_two_of_three_models_are_held_and_the_least_recently_used_ends_what_it_runs(url: str) -> None:
    from ray import serve

    from r1ray.serve.app import APP

    holder = serve.get_deployment_handle("Models", APP)

    def loaded() -> list[str]:
        return list(holder.loaded.remote().result(timeout_s=30))

    listed = httpx.get(f"{url}/v1/models", timeout=60).json()["data"]
    assert [one["id"] for one in listed][-3:] == ["one", "two", "three"] and listed[-1]["max_model_len"] == 512
    assert loaded() == [], "nobody asked yet"
    found = {"tiny": text(url), "one": text(url, "one")}
    asked = {**BODY, "model": "one", "stream": True, "max_tokens": 400}
    with httpx.stream("POST", f"{url}/v1/completions", json=asked, timeout=60) as long:
        lines = long.iter_lines()
        next(lines)
        found["two"] = text(url, "two")
        assert loaded() == ["one", "two"]
        found["three"] = text(url, "three")
        rest = list(lines)
    assert "error" not in "".join(rest) and rest[-2] == "data: [DONE]", "it was put away behind its last answer"
    assert loaded() == ["three", "two"] and len(set(found.values())) == 4
    assert text(url, "one") == found["one"] and text(url, "three") == found["three"]
    assert loaded() == ["one", "three"]
    refused = httpx.post(f"{url}/v1/completions", json={**BODY, "model": "four"}, timeout=60)
    assert refused.status_code == 404 and refused.json()["error"]["code"] == "model_not_found"


def test_steps_are_scored_and_requests_judged_beside_the_engines(url: str) -> None:
    newline = {"201": 6}
    body = {"messages": [{"role": "user", "content": "1 + 1"}], "max_tokens": 40, "seed": 1, "include_steps": True}
    answer = httpx.post(
        f"{url}/v1/chat/completions", json={**body, "ignore_eos": True, "logit_bias": newline}, timeout=60
    )
    steps = answer.json()["choices"][0]["steps"]
    assert len(steps) > 1 and all(step["text"] and 0 <= step["score"] <= 1 for step in steps)
    abuse = {**body, "messages": [{"role": "user", "content": "you are a stupid bitch"}]}
    stopped = httpx.post(f"{url}/v1/chat/completions", json=abuse, timeout=60).json()["choices"][0]
    assert answer.json()["choices"][0]["finish_reason"] == "length" and stopped["finish_reason"] == "content_filter"


def test_new_weights_and_a_dead_engine_cost_no_answer(config: ServeJobConfig, url: str, tmp_path: Path) -> None:
    import ray
    from ray import serve

    from r1ray.serve.app import APP, start

    assert httpx.get(f"{url}/health", timeout=60).json() == {"status": "ok"}
    refused = httpx.post(f"{url}/v1/completions", json={"prompt": "a", "max_tokens": 10**6}, timeout=60)
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "context_length_exceeded"
    before = text(url)
    other = make_tiny_policy(tmp_path / "other", seed=9)
    found = asyncio.run(load(url, 6, 4, lambda: start(config, weights=str(other), version=1)))
    assert set(found) == {(200, True, False)}, "rolling out"
    assert text(url) != before

    def kill(kind: str) -> None:
        deployments = serve.status().applications[APP].deployments
        (name,) = (name for name in deployments if name.startswith(kind))
        actors = [a for a in ray.util.list_named_actors(all_namespaces=True) if f"{APP}#{name}#" in a["name"]]
        ray.kill(ray.get_actor(actors[0]["name"], actors[0]["namespace"]))

    found = asyncio.run(load(url, 6, 4, lambda: kill("Engine-")))
    assert set(found) == {(200, True, False)}, "an engine died"
    found = asyncio.run(load(url, 6, 2, lambda: kill("GuardClassifier")))
    assert set(found) == {(200, True, False)}, "the guard's classifier died"
