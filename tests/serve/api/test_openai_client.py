"""OpenAI's own client meets nothing that it does not know."""

from collections.abc import Iterator
from typing import Any

import pytest

from r1ray.config.serve import ServeConfig
from tests.serve.service import Running, served
from tests.tiny import make_tiny_policy

openai = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with served(make_tiny_policy(tmp_path_factory.mktemp("policy"))) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Any:
    return openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0)


def test_chats_streams_completions_and_models(client: Any) -> None:
    asked: Any = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_completion_tokens": 5}
    whole = client.chat.completions.create(**asked, seed=1, logprobs=True, top_logprobs=1, temperature=0.7)
    assert whole.choices[0].message.role == "assistant" and whole.usage.completion_tokens <= 5
    assert len(whole.choices[0].logprobs.content) == whole.usage.completion_tokens
    chunks = list(client.chat.completions.create(**asked, seed=1, temperature=0.7, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert client.completions.create(model="tiny", prompt=["a", "b"], max_tokens=2, n=2).choices[3].index == 3
    assert client.models.list().data[0].id == "tiny" and client.models.retrieve("tiny").id == "tiny"


def test_refusals_are_the_client_s_own_exceptions(client: Any, server: Running) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.completions.create(model="other", prompt="a")
    assert missing.value.code == "model_not_found" and missing.value.param == "model"
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="tiny", prompt="a", max_tokens=10**6)


def test_a_full_queue_is_a_rate_limit_with_a_time_to_come_back(tmp_path: Any) -> None:
    policy = make_tiny_policy(tmp_path / "policy")
    with served(policy, serve=ServeConfig(model_name="tiny", queued_tokens=1)) as full:
        client = openai.OpenAI(base_url=full.url + "/v1", api_key="unused", max_retries=0)
        with pytest.raises(openai.RateLimitError) as refused:
            client.completions.create(model="tiny", prompt=["a", "b"], max_tokens=400, n=4)
    assert refused.value.code == "overloaded" and int(refused.value.response.headers["retry-after"]) >= 1
