"""What vLLM is asked and what becomes of its answers, with a stand-in for its engine."""

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from r1ray.errors import DataError, ModelError, StaleWeights, WorkerError
from r1ray.generation.grammar import json_schema_grammar
from r1ray.generation.iteration import DecodingParams, EngineRequest
from r1ray.generation.vllm_iteration import VLLMIterationEngine
from r1ray.generation.vllm_worker import WorkerExtension
from tests.tiny import make_tiny_policy


class StandIn:
    """Answers each request with its last token plus one, `max_tokens` times, one a step."""

    def __init__(self) -> None:
        self.running: dict[str, dict[str, Any]] = {}
        self.aborted: list[str] = []
        self.engine_core = SimpleNamespace(outputs_queue=queue.Queue())
        self.model_config = SimpleNamespace(max_model_len=50)
        self.vllm_config = SimpleNamespace(cache_config=SimpleNamespace(num_gpu_blocks=100, block_size=16))

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


class Worker(WorkerExtension):
    """In vLLM's place: keeps the weights that it is given."""

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}
        self.reload_weights = lambda weights_iterator: self.weights.update(weights_iterator)


class StandInLLM:
    """`vllm.LLM`, with one worker in this process."""

    def __init__(self, **options: Any) -> None:
        self.options, self.llm_engine, self.worker, self.idle = options, StandIn(), Worker(), True

    def collective_rpc(self, method: str, args: tuple[Any, ...] = ()) -> list[Any]:
        return [] if method == "end_with" else [getattr(self.worker, method)(*args)]

    def reset_prefix_cache(self, *, reset_running_requests: bool) -> bool:
        assert reset_running_requests
        return self.idle


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_policy(tmp_path_factory.mktemp("vllm_iteration"))


@pytest.fixture
def engine(policy: Path, monkeypatch: pytest.MonkeyPatch) -> VLLMIterationEngine:
    def structured(**options: Any) -> SimpleNamespace:
        return SimpleNamespace(**options)

    modules: dict[str, Any] = {name: ModuleType(name) for name in ("vllm", "vllm.v1", "vllm.v1.engine")}
    modules["vllm"].LLM, modules["vllm"].SamplingParams = StandInLLM, lambda **options: SimpleNamespace(**options)
    modules["vllm"].sampling_params = SimpleNamespace(
        RequestOutputKind=SimpleNamespace(DELTA="delta"), StructuredOutputsParams=structured
    )
    modules["vllm.v1.engine"].EngineCoreOutputs = lambda: "nothing"
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    return VLLMIterationEngine(policy, dtype="float32", max_rows=32, memory=0.3)


@pytest.fixture
def inner(engine: VLLMIterationEngine) -> StandIn:
    found: StandIn = engine._engine
    return found


def test_vllm_has_a_process_of_its_own(engine: VLLMIterationEngine, policy: Path) -> None:
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "1"
    options = engine._llm.options
    assert (options["model"], options["max_num_seqs"], options["gpu_memory_utilization"]) == (str(policy), 32, 0.3)
    assert options["worker_extension_cls"] == f"{WorkerExtension.__module__}.{WorkerExtension.__qualname__}"
    assert engine.load().total_tokens == 1600 and engine.context_length == 50


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


def test_a_grammar_is_handed_on_as_its_schema(engine: VLLMIterationEngine, inner: StandIn) -> None:
    grammar = json_schema_grammar('{"type": "integer"}')
    engine.add(EngineRequest(id="a", prompt_ids=[1], params=DecodingParams(max_new_tokens=5), grammar=grammar))
    assert json.loads(inner.running["a"]["params"].structured_outputs.json) == {"type": "integer"}
    begun = EngineRequest(
        id="b", prompt_ids=[1], answer_ids=(2,), params=DecodingParams(max_new_tokens=5), grammar=grammar
    )
    with pytest.raises(WorkerError, match="cannot go on"):
        engine.add(begun)


def test_new_weights_come_from_files_with_the_tied_head(
    engine: VLLMIterationEngine, policy: Path, tmp_path: Path
) -> None:
    stored = load_file(policy / "model.safetensors")
    changed = {name: value + 1 for name, value in stored.items()}
    (tmp_path / "config.json").write_bytes((policy / "config.json").read_bytes())
    save_file(changed, tmp_path / "model.safetensors")
    engine.load_weights(tmp_path, 7)
    taken = engine._llm.worker.weights
    assert taken.keys() == stored.keys() | {"lm_head.weight"} and "lm_head.weight" not in stored
    assert torch.equal(taken["lm_head.weight"], changed["model.embed_tokens.weight"])
    engine.add(EngineRequest(id="a", prompt_ids=[1], params=DecodingParams(max_new_tokens=1)))
    assert engine.step()[0].version == engine.version == 7


def test_weights_of_another_network_or_a_cache_that_stays_are_refused(
    engine: VLLMIterationEngine, policy: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="no \\*\\.safetensors"):
        engine.load_weights(tmp_path, 1)
    stored = load_file(policy / "model.safetensors")
    del stored["model.norm.weight"]
    save_file(stored, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.norm\.weight"):
        engine.load_weights(tmp_path, 1)
    assert not engine._llm.worker.weights
    engine._llm.idle = False
    with pytest.raises(StaleWeights, match="prefix cache"):
        engine.load_weights(policy, 1)
    assert engine.version == 0


def test_a_step_that_waits_can_be_woken(engine: VLLMIterationEngine, inner: StandIn) -> None:
    engine.wake()
    assert inner.engine_core.outputs_queue.get_nowait() == "nothing"


KEEPER = """
import os, sys, time
from r1ray.generation.vllm_worker import WorkerExtension
WorkerExtension().end_with(int(sys.argv[1]))
print("watching", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("end", [lambda owner: owner.kill(), lambda owner: owner.terminate()], ids=["kill", "term"])
def test_a_worker_ends_with_its_owner(end: Callable[[Any], None]) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    worker = subprocess.Popen([sys.executable, "-c", KEEPER, str(owner.pid)], stdout=subprocess.PIPE)
    try:
        assert worker.stdout is not None and worker.stdout.readline() == b"watching\n"
        end(owner)
        owner.wait(10)
        assert worker.wait(10) == -signal.SIGKILL
    finally:
        worker.kill()
        owner.kill()


def test_cancelling_and_refusing(engine: VLLMIterationEngine, inner: StandIn) -> None:
    engine.add(EngineRequest(id="a", prompt_ids=[1], params=DecodingParams(max_new_tokens=5)))
    assert engine.cancel("a") and inner.aborted == ["a"] and not engine.busy and not engine.cancel("a")
    with pytest.raises(DataError, match="expected from 1 to 50"):
        engine.add(EngineRequest(id="b", prompt_ids=[1], params=DecodingParams(max_new_tokens=50)))
