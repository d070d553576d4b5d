"""The two teachers: an OpenAI-compatible endpoint over HTTP, and an engine in this process."""

from pathlib import Path

import pytest

from r1ray.config.policy import PolicyConfig
from r1ray.config.resources import EngineConfig
from r1ray.config.synthesize import SynthesizeConfig
from r1ray.data.synthesize.endpoint import ChatTranslator, OpenAIEndpoint
from r1ray.data.synthesize.factory import make_teacher
from r1ray.data.synthesize.teacher import Asked
from r1ray.errors import ConfigError, WorkerError
from tests.data.synthesize.teachers import served
from tests.tiny import make_tiny_policy


def test_an_endpoint_is_asked_once_a_sample_and_answers_in_order() -> None:
    with served() as (url, requests):
        endpoint = OpenAIEndpoint(base_url=url, model="m", api_key="secret", temperature=0.2, max_tokens=9)
        found = endpoint.answer([Asked(prompt=f"Compute {n} + 1.", samples=2, seed=10 * n) for n in range(1, 6)])
    assert found == [[f"{n} + 1 = {n + 1}\nAnswer: {n + 1}"] * 2 for n in range(1, 6)]
    assert sorted(request["seed"] for request in requests) == [10, 11, 20, 21, 30, 31, 40, 41, 50, 51]
    assert {request["path"] for request in requests} == {"/v1/chat/completions"}
    assert requests[0]["model"] == "m" and requests[0]["temperature"] == 0.2 and requests[0]["max_tokens"] == 9
    assert {request["authorization"] for request in requests} == {"Bearer secret"}


def test_a_busy_or_failing_endpoint_is_asked_again_after_a_pause() -> None:
    pauses: list[float] = []
    with served(429, 500, 503) as (url, requests):
        endpoint = OpenAIEndpoint(base_url=url, model="m", requests=1, sleep=pauses.append)
        assert endpoint.answer([Asked(prompt="Compute 2 + 1.")]) == [["2 + 1 = 3\nAnswer: 3"]]
    assert pauses == [7, 2, 4], "what Retry-After says, then twice as long each time"
    assert len(requests) == 4 and requests[0]["authorization"] is None


def test_an_endpoint_that_goes_on_failing_or_is_not_there_is_an_error() -> None:
    with served(500, 500) as (url, _):
        endpoint = OpenAIEndpoint(base_url=url, model="m", retries=1, sleep=lambda _: None)
        with pytest.raises(WorkerError, match=r"2 attempts; the last: HTTP 500.*start again"):
            endpoint.answer([Asked(prompt="Compute 2 + 1.")])
    with pytest.raises(WorkerError, match="Is the server up"):
        endpoint.answer([Asked(prompt="Compute 2 + 1.")])


def test_a_refusal_is_not_repeated() -> None:
    with served(404) as (url, requests):
        with pytest.raises(ConfigError, match=r"refuses the request for model 'm' \(HTTP 404"):
            OpenAIEndpoint(base_url=url, model="m").answer([Asked(prompt="Compute 2 + 1.")])
        assert len(requests) == 1


def test_something_else_than_a_chat_endpoint_is_recognised() -> None:
    with served(reply={"detail": "hello"}) as (url, _), pytest.raises(WorkerError, match="as an OpenAI chat endpoint"):
        OpenAIEndpoint(base_url=url, model="m").answer([Asked(prompt="Compute 2 + 1.")])


def test_a_served_model_translates() -> None:
    reply = {"choices": [{"message": {"content": "dos\nmanzanas"}}]}
    with served(reply=reply) as (url, requests):
        translator = ChatTranslator(OpenAIEndpoint(base_url=url, model="m"))
        assert translator.there(["two apples"]) == ["dos manzanas"]
        translator.back(["dos manzanas"])
    assert [("Spanish" in r["messages"][0]["content"]) for r in requests] == [True, False]


def test_the_policy_itself_is_a_teacher_and_its_answers_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    policy = PolicyConfig(path=str(make_tiny_policy(tmp_path)))
    config = SynthesizeConfig(teacher="engine", max_new_tokens=8)
    teacher = make_teacher(config, policy, EngineConfig())
    assert teacher is not None and teacher.name == policy.path
    asked = [Asked(prompt=f"Compute {n} + 1.", samples=2, seed=n) for n in range(3)]
    together = teacher.answer(asked)
    assert [len(samples) for samples in together] == [2, 2, 2]
    assert together[2] == teacher.answer(asked[2:])[0]
    assert together[0][0] != together[0][1]


def test_no_teacher_is_made_where_none_is_named() -> None:
    assert make_teacher(SynthesizeConfig(), PolicyConfig(), EngineConfig()) is None
    endpoint = make_teacher(SynthesizeConfig(teacher="http://h/v1", model="m"), PolicyConfig(), EngineConfig())
    assert isinstance(endpoint, OpenAIEndpoint) and endpoint.name == "m"
