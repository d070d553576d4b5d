"""The API over HTTP: its shapes, its streams and its refusals."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from r1ray.config.serve import ServeEngineConfig
from tests.serve.service import Running, served
from tests.tiny import make_tiny_policy

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "1 + 1"}], "max_tokens": 6, "ignore_eos": True}
TEXT = {"model": "tiny", "prompt": "abcd", "max_tokens": 4, "ignore_eos": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("models")
    amateur = make_tiny_policy(folder / "amateur", seed=4, layers=1, hidden=32)
    engine = ServeEngineConfig(kind="transformers", cache_tokens=2048, amateur=str(amateur))
    with served(make_tiny_policy(folder / "policy"), engine=engine) as running:
        yield running


def post(server: Running, path: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(server.url + path, json=body, headers=headers, timeout=60)


def events(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_chat_is_the_same_whole_and_streamed(server: Running) -> None:
    body = {**CHAT, "seed": 3, "n": 2, "logprobs": True, "top_logprobs": 2}
    whole = post(server, "/v1/chat/completions", body).json()
    streamed = post(server, "/v1/chat/completions", {**body, "stream": True, "stream_options": {"include_usage": True}})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    chunks = events(streamed)
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 12
    for index in (0, 1):
        choice = whole["choices"][index]
        own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == index]
        assert "".join(c["delta"].get("content", "") for c in own) == choice["message"]["content"]
        assert (
            own[0]["delta"]["role"] == "assistant" and own[-1]["finish_reason"] == choice["finish_reason"] == "length"
        )
        scores = [entry for c in own if c["logprobs"] for entry in c["logprobs"]["content"]]
        assert [s["token"] for s in scores] == [s["token"] for s in choice["logprobs"]["content"]]
        assert all(len(entry["top_logprobs"]) == 2 for entry in scores)
    assert whole["choices"][0]["message"] != whole["choices"][1]["message"]
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + 12


def test_a_completion_scores_its_prompt(server: Running) -> None:
    body = {**TEXT, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0}
    for choice in post(server, "/v1/completions", {**body, "prompt": ["abcd", "bc"]}).json()["choices"]:
        scores = choice["logprobs"]
        text = ["abcd", "bc"][choice["index"]]
        assert choice["text"].startswith(text) and "".join(scores["tokens"]) == choice["text"]
        assert scores["token_logprobs"][0] is None and all(value < 0 for value in scores["token_logprobs"][1:])
        assert scores["text_offset"] == list(range(len(text) + 1)) and scores["top_logprobs"][0] is None
    scored = post(server, "/v1/completions", {**body, "max_tokens": 0}).json()["choices"][0]
    assert scored["text"] == "abcd" and len(scored["logprobs"]["tokens"]) == 4


def test_stop_texts_are_cut_off_and_end_the_answer(server: Running) -> None:
    ids = post(server, "/tokenize", {"prompt": "ab"}).json()["tokens"]
    body = {**TEXT, "seed": 1, "max_tokens": 16, "logit_bias": {str(token): 100 for token in ids}}
    free = post(server, "/v1/completions", body).json()["choices"][0]["text"]
    stop = free[7:10]
    cut = post(server, "/v1/completions", {**body, "stop": [stop]}).json()
    assert set(free) == {"a", "b"}
    assert cut["choices"][0]["text"] == free[: free.index(stop)] and cut["choices"][0]["finish_reason"] == "stop"
    assert cut["usage"]["completion_tokens"] == free.index(stop) + 3, "the engine stops with the stop text"
    stream = post(server, "/v1/completions", {**body, "stop": stop, "stream": True})
    assert "".join(c["text"] for chunk in events(stream) for c in chunk["choices"]) == cut["choices"][0]["text"]


def test_contrastive_decoding_chooses_otherwise_and_tells_the_models_own_log_probs(server: Running) -> None:
    body = {**TEXT, "temperature": 0, "max_tokens": 12, "logprobs": 1}
    plain, usual, asked = (
        post(server, "/v1/completions", {**body, "contrastive": value}).json()["choices"][0]
        for value in (None, True, {"beta": 0.5, "alpha": 0.1})
    )
    assert plain["text"] != usual["text"] == asked["text"]
    assert all(
        score <= max(top.values()) <= 0
        for score, top in zip(usual["logprobs"]["token_logprobs"], usual["logprobs"]["top_logprobs"], strict=True)
    )
    assert usual["logprobs"]["token_logprobs"] != plain["logprobs"]["token_logprobs"]


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/v1/chat/completions", {**CHAT, "model": "other"}, 404, "model"),
        ("/v1/chat/completions", {**CHAT, "messages": []}, 400, "messages"),
        ("/v1/chat/completions", {**CHAT, "temperature": 1e9}, 400, "temperature"),
        ("/v1/chat/completions", {**CHAT, "functions": [{}]}, 400, "functions"),
        ("/v1/chat/completions", {**CHAT, "penalty_alpha": 0.5}, 400, "penalty_alpha"),
        ("/v1/chat/completions", {**CHAT, "contrastive": {"alpha": 0}}, 400, "contrastive.Contrastive.alpha"),
        ("/v1/chat/completions", {**CHAT, "max_tokens": 100000}, 400, "max_tokens"),
        ("/v1/chat/completions", {**CHAT, "logit_bias": {"x": 1}}, 400, "logit_bias"),
        ("/v1/chat/completions", {**CHAT, "best_of": 3}, 400, "best_of"),
        ("/v1/chat/completions", {**CHAT, "top_logprobs": 2}, 400, "top_logprobs"),
        ("/v1/chat/completions", {**CHAT, "tool_choice": "required"}, 400, "tool_choice"),
        ("/v1/completions", {**TEXT, "prompt": [99999]}, 400, "prompt"),
        ("/v1/completions", {**TEXT, "prompt": ""}, 400, "prompt"),
        ("/v1/completions", {**TEXT, "suffix": "x"}, 400, "suffix"),
        ("/v1/nothing", {}, 404, None),
        ("/v1/models", {}, 405, None),
    ],
)
def test_refusals_are_error_objects(server: Running, path: str, body: Any, status: int, param: str | None) -> None:
    response = post(server, path, body)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["message"] and error["type"] and error["param"] == param and "code" in error


def test_what_is_no_json_and_what_is_too_large_is_refused_alike(server: Running) -> None:
    broken = httpx.post(server.url + "/v1/completions", content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 400 and broken.json()["error"]["type"] == "invalid_request_error"
    large = httpx.post(server.url + "/v1/completions", content=b"x" * (5 * 2**20))
    assert large.status_code == 413 and large.json()["error"]["code"] == "request_too_large"


def test_tokens_go_there_and_back(server: Running) -> None:
    ids = post(server, "/tokenize", {"prompt": "12 + 3"}).json()["tokens"]
    assert post(server, "/detokenize", {"tokens": ids}).json() == {"prompt": "12 + 3"}
    chat = post(server, "/tokenize", {"messages": CHAT["messages"]}).json()
    assert chat["count"] == post(server, "/v1/chat/completions", CHAT).json()["usage"]["prompt_tokens"]
    assert post(server, "/tokenize", {}).status_code == 400
    described = httpx.get(server.url + "/tokenizer_info", params={"model": "tiny"}).json()
    assert described["eos_token"] == "<|im_end|>" and described["vocab_size"] == 259
    assert "<|im_start|>" in described["chat_template"]
    assert httpx.get(server.url + "/tokenizer_info", params={"model": "other"}).status_code == 404


def test_models_health_and_metrics(server: Running) -> None:
    names = [one["id"] for one in httpx.get(server.url + "/v1/models").json()["data"]]
    assert names[0] == "tiny" and len(names) == 2
    for name in names:
        assert httpx.get(f"{server.url}/v1/models/{name}").json()["id"] == name
        assert post(server, "/v1/completions", {**TEXT, "model": name}).status_code == 200
    assert httpx.get(server.url + "/health").json() == {"status": "ok"}
    text = httpx.get(server.url + "/metrics").text
    assert "r1ray_serve_time_to_first_token_seconds_count" in text and "r1ray_serve_kv_usage 0.0" in text


def test_an_equal_request_is_answered_from_memory_only_if_it_is_deterministic(server: Running) -> None:
    def levels(body: dict[str, Any]) -> list[str]:
        before = dict(server.service._cache.claims)
        answers = [post(server, "/v1/completions", body).json() for _ in range(2)]
        assert answers[0]["id"] != answers[1]["id"]
        after = server.service._cache.claims
        return [level for level in after for _ in range(after[level] - before.get(level, 0))]

    assert sorted(levels({**TEXT, "temperature": 0, "prompt": "cached?"})) == ["l1", "miss"]
    assert levels({**TEXT, "prompt": "cached?"}) == ["off", "off"]


def test_a_client_that_leaves_frees_its_place_within_two_iterations(server: Running) -> None:
    body = {**TEXT, "prompt": "a long answer", "max_tokens": 400, "stream": True}
    iterations = []
    with httpx.stream("POST", server.url + "/v1/completions", json=body, timeout=60) as response:
        for number, _ in enumerate(response.iter_lines()):
            if number > 6:
                break
        iterations.append(server.call(server.runner.load).iterations)
    while server.call(server.runner.load).running:
        time.sleep(0.001)
    assert server.call(server.runner.load).iterations < 300, "the answer was not written to its end"


def test_an_answer_matches_the_schema_that_it_must(server: Running) -> None:
    pytest.importorskip("llguidance")
    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {
        **CHAT,
        "response_format": form,
        "max_tokens": 200,
        "seed": 1,
        "ignore_eos": False,
        "logit_bias": {"202": -50},
    }
    choice = post(server, "/v1/chat/completions", body).json()["choices"][0]
    assert choice["finish_reason"] == "stop" and set(json.loads(choice["message"]["content"])) == {"a"}


def test_a_tool_that_must_be_called_is_called(server: Running) -> None:
    pytest.importorskip("llguidance")
    form = {"type": "object", "properties": {"x": {"enum": [1]}}, "required": ["x"], "additionalProperties": False}
    tool = {"type": "function", "function": {"name": "f", "parameters": form}}
    body = {**CHAT, "tools": [tool], "tool_choice": "required", "max_tokens": 150, "seed": 2, "ignore_eos": False}
    choice = post(server, "/v1/chat/completions", body).json()["choices"][0]
    [call] = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls" and call["function"]["name"] == "f"
    assert json.loads(call["function"]["arguments"]) == {"x": 1}
