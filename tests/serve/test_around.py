"""A whole service without Ray, over an engine whose answers are known: what stands around the engine, together."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from r1ray.config.jobs import ServeJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeConfig
from r1ray.config.serve_parts import (
    AccessConfig,
    CacheConfig,
    CanaryConfig,
    GuardConfig,
    RequestLogConfig,
)
from r1ray.generation.iteration import EngineEvent, EngineLoad, EngineRequest, TokenScore
from r1ray.serve.access.keys import KeyRing
from r1ray.serve.api.routes import build_api
from r1ray.serve.assemble import make_service, more_models
from r1ray.serve.served import ServedModel
from r1ray.serve.service import Service
from r1ray.serve.store.memory import MemoryStore
from r1ray.serve.web import page
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
USERS = [f"u{number}" for number in range(20)]
ASK = {"model": "stable", "messages": [{"role": "user", "content": "How many eggs?"}], "temperature": 0}


class Parrot:
    """Says the same to everyone, a character a token."""

    context_length = 512
    version = 0

    def __init__(self, text: str) -> None:
        self.ids, self.asked, self.seconds = TOKENIZER(text)["input_ids"], 0, 0.0

    async def generate(self, request: EngineRequest) -> AsyncGenerator[list[EngineEvent], None]:
        self.asked += 1
        if request.params.prompt_logprobs and not request.params.max_new_tokens:
            scores = (None, *[TokenScore(logprob=-1.0)] * (len(request.prompt_ids) - 1))
            yield [EngineEvent(id=request.id, token_ids=(), prompt_scores=scores, finish_reason="length")]
            return
        ids = self.ids[: request.params.max_new_tokens]
        for place, token in enumerate(ids):
            await asyncio.sleep(self.seconds)
            last = "stop" if place == len(self.ids) - 1 else "length" if place == len(ids) - 1 else None
            score = (TokenScore(logprob=-1.0),)
            yield [
                EngineEvent(id=request.id, token_ids=(token,), scores=score, finish_reason=last, version=self.version)
            ]

    async def load(self) -> EngineLoad | None:
        return None

    async def check(self) -> None:
        pass


def make_client(says: str = "9 + 7 = 16", **parts: Any) -> tuple[TestClient, dict[str, Parrot], Service]:
    """`parts` replace groups of the configuration; a `canary` is a second version, `serve.models` are others."""
    engines = {"stable": Parrot(says)}
    if "canary" in parts:
        parts["canary_policy"] = PolicyConfig(path="canary")
        engines["canary"] = Parrot("9 + 7 = 17")
    config = replace(ServeJobConfig(policy=PolicyConfig(path="stable")), **parts)
    models = {name: ServedModel.of(name, engine, TOKENIZER) for name, engine in engines.items()}
    others = {}
    for name in more_models(config):
        engines[name] = Parrot(f"I am {name}")
        others[name] = ServedModel.of(name, engines[name], TOKENIZER)
    service = make_service(config, models, MemoryStore(), grammars=False, others=others)
    client = TestClient(build_api(lambda: service, page=page), raise_server_exceptions=False)
    return client, engines, service


def streamed(client: TestClient, **more: Any) -> list[dict[str, Any]]:
    response = client.post("/v1/chat/completions", json={**ASK, "stream": True, **more})
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_warm_answer_equals_the_cold_one_and_needs_no_engine():
    client, engines, _ = make_client()
    cold, warm = (client.post("/v1/chat/completions", json=ASK).json() for _ in range(2))
    assert cold["choices"] == warm["choices"]
    assert cold["usage"] == warm["usage"]
    assert engines["stable"].asked == 1
    pieces = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in streamed(client))
    assert pieces == cold["choices"][0]["message"]["content"] == "9 + 7 = 16"
    assert engines["stable"].asked == 1, "a stream is answered from the same memory"
    client.post("/v1/chat/completions", json={**ASK, "max_tokens": 3})
    client.post("/v1/chat/completions", json={**ASK, "temperature": 1})
    assert engines["stable"].asked == 3
    for _ in range(2):
        client.post("/v1/chat/completions", json={**ASK, "temperature": 1, "cache": True})
        client.post("/v1/chat/completions", json={**ASK, "cache": False})
    assert engines["stable"].asked == 6


def test_a_roll_out_makes_remembered_answers_unreachable_and_keeps_none_of_the_weights_before():
    client, engines, service = make_client()
    client.post("/v1/chat/completions", json=ASK)
    service.weights_version = 1  # the ingress knows first; the engine still has the weights before
    for _ in range(2):
        client.post("/v1/chat/completions", json=ASK)
    assert engines["stable"].asked == 3
    engines["stable"].version = 1
    for _ in range(3):
        client.post("/v1/chat/completions", json=ASK)
    assert engines["stable"].asked == 4


def test_answers_of_other_files_under_the_same_name_are_not_remembered():
    client, engines, service = make_client()
    client.post("/v1/chat/completions", json=ASK)
    service.models = {name: replace(model, weights="other") for name, model in service.models.items()}
    for _ in range(2):
        client.post("/v1/chat/completions", json=ASK)
    assert engines["stable"].asked == 2


def test_an_answer_that_takes_too_long_ends_whole_or_streamed():
    client, engines, _ = make_client("x" * 400, serve=ServeConfig(request_seconds=0.3))
    engines["stable"].seconds = 0.05
    whole = client.post("/v1/chat/completions", json=ASK)
    assert (whole.status_code, whole.json()["error"]["type"]) == (408, "timeout")
    assert streamed(client)[-1]["error"]["type"] == "timeout"


def test_without_the_cache_every_request_is_computed():
    client, engines, _ = make_client(cache=CacheConfig(enabled=False))
    for _ in range(2):
        client.post("/v1/chat/completions", json=ASK)
    assert engines["stable"].asked == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_forbidden_request_is_filtered_and_no_engine_is_asked(stream):
    client, engines, _ = make_client(guard=GuardConfig(words=("bomb",)))
    ask = {"messages": [{"role": "user", "content": "a bomb, please"}]}
    if stream:
        reason = [c["choices"][0]["finish_reason"] for c in streamed(client, **ask) if c["choices"]][-1]
    else:
        reason = client.post("/v1/chat/completions", json={**ASK, **ask}).json()["choices"][0]["finish_reason"]
    assert reason == "content_filter"
    assert engines["stable"].asked == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_forbidden_word_of_an_answer_is_never_sent(stream):
    client, _, _ = make_client("take a bomb and go", guard=GuardConfig(words=("bomb",)))
    if stream:
        chunks = [chunk["choices"][0] for chunk in streamed(client) if chunk["choices"]]
        text = "".join(chunk["delta"].get("content") or "" for chunk in chunks)
        reason = chunks[-1]["finish_reason"]
    else:
        choice = client.post("/v1/chat/completions", json=ASK).json()["choices"][0]
        text, reason = choice["message"]["content"], choice["finish_reason"]
    assert (text, reason) == ("take a ", "content_filter")


def test_only_known_keys_come_in_and_rates_are_kept(tmp_path):
    path = tmp_path / "keys.json"
    _, secret = KeyRing(path).add("mia", requests_per_minute=2)
    client, _, _ = make_client(access=AccessConfig(keys=str(path)))
    refused = client.post("/v1/chat/completions", json=ASK)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    headers = {"Authorization": f"Bearer {secret}"}
    found = [client.post("/v1/chat/completions", json=ASK, headers=headers) for _ in range(3)]
    assert [response.status_code for response in found] == [200, 200, 429]
    assert int(found[2].headers["retry-after"]) > 0
    assert found[2].json()["error"]["type"] == "rate_limit_error"
    assert client.get("/admin/canary", headers=headers).status_code == 403


def test_other_models_answer_under_their_names_and_take_no_part_in_roll_outs():
    more = ServeConfig(models=("small=a", "large=b"))
    client, engines, service = make_client(serve=more, canary=CanaryConfig(mode="split", percent=100))
    service.weights_version = 3
    names = [one["id"] for one in client.get("/v1/models").json()["data"]]
    assert names == ["stable", "stable:stable", "stable:canary", "small", "large"]
    for name in ("small", "large", "small", "large"):
        found = client.post("/v1/chat/completions", json={**ASK, "model": name})
        assert found.json()["choices"][0]["message"]["content"] == f"I am {name}"
        assert found.json()["model"] == found.headers["x-model-version"] == name
    assert engines["small"].asked == engines["large"].asked == 1, "the second answer of each is remembered"
    assert service.canary.state()["pairs"] == engines["canary"].asked == 0
    for body, headers in (({"model": "medium"}, {}), ({"model": "small"}, {"x-model-version": "canary"})):
        missing = client.post("/v1/chat/completions", json={**ASK, **body}, headers=headers)
        assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"


def test_contrastive_decoding_without_an_amateur_is_refused_and_no_engine_asked():
    client, engines, _ = make_client()
    refused = client.post("/v1/chat/completions", json={**ASK, "contrastive": {}})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "contrastive"
    assert "--engine.amateur" in refused.json()["error"]["message"] and engines["stable"].asked == 0
    assert client.post("/v1/chat/completions", json={**ASK, "contrastive": False}).status_code == 200


def test_a_body_beyond_the_bound_is_refused():
    client, _, _ = make_client()
    response = client.post("/v1/chat/completions", content=b" " * (5 * 2**20))
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")


def admin(tmp_path: Path) -> tuple[AccessConfig, dict[str, str]]:
    _, secret = KeyRing(tmp_path / "keys.json").add("boss", admin=True)
    return AccessConfig(keys=str(tmp_path / "keys.json")), {"Authorization": f"Bearer {secret}"}


def test_the_split_is_by_user_and_its_share_changes_while_the_service_runs(tmp_path):
    access, headers = admin(tmp_path)
    client, _, _ = make_client(access=access, canary=CanaryConfig(mode="split", percent=0))

    def versions() -> dict[str, str]:
        asked = [client.post("/v1/chat/completions", json={**ASK, "user": user}, headers=headers) for user in USERS]
        return {user: response.headers["x-model-version"] for user, response in zip(USERS, asked, strict=True)}

    assert set(versions().values()) == {"stable"}
    assert client.post("/admin/canary", json={"percent": 50}, headers=headers).json()["percent"] == 50
    half = versions()
    assert set(half.values()) == {"stable", "canary"}
    assert versions() == half, "nobody changes sides"


def test_versions_do_not_answer_for_each_other_from_memory():
    client, _, _ = make_client(canary=CanaryConfig(mode="split", percent=0))
    answers = [
        client.post("/v1/chat/completions", json=ASK, headers={"x-model-version": version}).json()
        for version in ("stable", "canary", "stable")
    ]
    assert [a["choices"][0]["message"]["content"] for a in answers] == ["9 + 7 = 16", "9 + 7 = 17", "9 + 7 = 16"]


def test_in_the_shadow_the_stable_version_answers_and_pairs_are_judged():
    client, engines, service = make_client(
        cache=CacheConfig(enabled=False), canary=CanaryConfig(mode="shadow", percent=100, minimum=3)
    )
    with client:  # one event loop, in which shadows can end
        for _ in range(6):
            response = client.post("/v1/chat/completions", json=ASK)
            assert response.headers["x-model-version"] == "stable"
            assert response.json()["choices"][0]["message"]["content"] == "9 + 7 = 16"
        client.get("/health")
    assert engines["canary"].asked == 12, "each request is written and scored"
    assert service.canary.state()["pairs"] == 6


def test_what_was_asked_is_logged_only_if_wanted_and_everything_is_counted(tmp_path):
    client, _, _ = make_client(request_log=RequestLogConfig(path=str(tmp_path), prompts=True))
    for _ in range(2):
        client.post("/v1/chat/completions", json=ASK)
    client.get("/nothing")
    lines = [json.loads(line) for line in next(tmp_path.iterdir()).read_text().splitlines()]
    assert [(line["text"], line["cache"], line["version"]) for line in lines] == [
        ("How many eggs?", "miss", "stable"),
        ("How many eggs?", "l1", "stable"),
    ]
    metrics = client.get("/metrics").text
    assert 'r1ray_serve_requests_total{path="/v1/chat/completions",status="200"} 2.0' in metrics
    assert 'r1ray_serve_requests_total{path="other",status="404"} 1.0' in metrics
    assert 'r1ray_serve_cache_lookups_total{level="l1",result="hit"} 1.0' in metrics
    assert 'r1ray_serve_tokens_total{kind="new"} 10.0' in metrics


def test_the_page_is_there():
    client, _, _ = make_client()
    assert "<title>r1ray</title>" in client.get("/").text
