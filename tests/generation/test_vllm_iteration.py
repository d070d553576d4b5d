"""What vLLM is asked and what becomes of its answers, with a stand-in for its engine."""

from types import SimpleNamespace
from typing import Any

import pytest

from r1ray.errors import DataError
from r1ray.generation.iteration import DecodingParams, EngineRequest
from r1ray.generation.vllm_iteration import VLLMIterationEngine


class StandIn:
    """Answers each request with its last token plus one, `max_tokens` times, one a step."""

    def __init__(self) -> None:
        self.running: dict[str, dict[str, Any]] = {}
        self.aborted: list[str] = []

    def add_request(self, request_id: str, prompt: dict[str, list[int]], params: Any) -> None:
        self.running[request_id] = {"ids": list(prompt["prompt_token_ids"]), "params": params, "drawn": 0}

    def abort_request(self, request_ids: list[str]) -> None:
        self.aborted += request_ids
        for one in request_ids:
            del self.running[one]

    def step(self) -> list[Any]:
        outputs = []
        for name, state in list(self.running.items()):
            token, params = state["ids"][-1] + 1, state["params"]
            scored = [None] + [{token: SimpleNamespace(logprob=-1.0)} for token in state["ids"][1:]]
            state["ids"].append(token)
            state["drawn"] += 1
            last = state["drawn"] == params.max_tokens
            entry = {token: SimpleNamespace(logprob=-0.5), 0: SimpleNamespace(logprob=-0.1)}
            new = SimpleNamespace(
                token_ids=[token],
                logprobs=None if params.logprobs is None else [entry],
                finish_reason="length" if last else None,
            )
            outputs.append(
                SimpleNamespace(
                    request_id=name,
                    outputs=[new],
                    prompt_logprobs=scored,
                    num_cached_tokens=16 if state["drawn"] == 1 else None,
                )
            )
            if last:
                del self.running[name]
        return outputs


@pytest.fixture
def inner() -> StandIn:
    return StandIn()


@pytest.fixture
def engine(inner: StandIn) -> VLLMIterationEngine:
    kinds = SimpleNamespace(RequestOutputKind=SimpleNamespace(DELTA="delta"))
    library = SimpleNamespace(SamplingParams=lambda **options: SimpleNamespace(**options), sampling_params=kinds)
    holder: Any = SimpleNamespace(library=library, llm=SimpleNamespace(llm_engine=inner), policy_version=3)
    return VLLMIterationEngine(holder, context_length=50, cache_tokens=1000)


def test_tokens_scores_and_ends(engine: VLLMIterationEngine, inner: StandIn) -> None:
    params = DecodingParams(max_new_tokens=2, logprobs=True, top_logprobs=1, seed=5, logit_bias={7: 1.0})
    engine.add(EngineRequest(id="a", prompt_ids=[1, 2], params=params))
    assert engine.busy and engine.load().waiting == 1 and inner.running["a"]["params"].logit_bias == {7: 1.0}
    [first] = engine.step()
    assert (first.token_ids, first.cached_tokens, first.finish_reason) == ((3,), 16, None)
    assert first.scores[0].logprob == -0.5 and first.scores[0].top == ((0, -0.1),)
    assert engine.load().running == 1
    [last] = engine.step()
    assert (last.token_ids, last.cached_tokens, last.finish_reason) == ((4,), 0, "length") and not engine.busy


def test_scores_of_a_prompt_alone(engine: VLLMIterationEngine) -> None:
    params = DecodingParams(max_new_tokens=0, logprobs=True, prompt_logprobs=True)
    engine.add(EngineRequest(id="a", prompt_ids=[1, 2, 3], params=params))
    [event] = engine.step()
    assert event.token_ids == () and event.finish_reason == "length" and event.prompt_scores is not None
    assert [score and score.logprob for score in event.prompt_scores] == [None, -1.0, -1.0]


def test_an_answer_goes_on_where_another_engine_stopped(engine: VLLMIterationEngine, inner: StandIn) -> None:
    request = EngineRequest(id="a", prompt_ids=[1], answer_ids=(2, 3), params=DecodingParams(max_new_tokens=5))
    engine.add(request)
    state = inner.running["a"]
    assert state["ids"] == [1, 2, 3] and state["params"].max_tokens == 3
    engine.cancel("a")
    engine.add(EngineRequest(id="a", prompt_ids=[1], params=DecodingParams(max_new_tokens=5)))
    assert inner.running["a"]["params"].seed != state["params"].seed, "or it would draw the first numbers again"


def test_cancelling_and_refusing(engine: VLLMIterationEngine, inner: StandIn) -> None:
    engine.add(EngineRequest(id="a", prompt_ids=[1], params=DecodingParams(max_new_tokens=5)))
    assert engine.cancel("a") and inner.aborted == ["a"] and not engine.busy and not engine.cancel("a")
    with pytest.raises(DataError, match="expected from 1 to 50"):
        engine.add(EngineRequest(id="b", prompt_ids=[1], params=DecodingParams(max_new_tokens=50)))
    with pytest.raises(DataError, match="no grammars"):
        engine.add(EngineRequest(id="b", prompt_ids=[1], params=DecodingParams(max_new_tokens=5), grammar="{}"))
