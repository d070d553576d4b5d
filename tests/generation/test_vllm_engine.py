"""What vLLM is sent and what is made of its answers, against a stand-in that has vLLM's interface."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from r1ray.config.policy import PolicyConfig
from r1ray.config.resources import EngineConfig
from r1ray.errors import ConfigError, ModelError, StaleWeights
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.factory import make_engine
from r1ray.generation.vllm_engine import VLLMEngine
from tests.tiny import make_tiny_policy, make_tiny_tokenizer


class FakeLLM:
    """Answers each request with its seed's last digits as token ids; keeps what it was called with."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.requests: list[tuple[list[int], SimpleNamespace]] = []
        self.loaded: dict[str, torch.Tensor] = {}
        self.loaded_through = ""
        self.prefix_cache_emptied = 0
        self.idle = True

    def generate(
        self, prompts: list[dict[str, list[int]]], params: list[SimpleNamespace], *, use_tqdm: bool
    ) -> list[Any]:
        assert not use_tqdm
        answers = []
        for prompt, one in zip(prompts, params, strict=True):
            ids = prompt["prompt_token_ids"]
            self.requests.append((ids, one))
            tokens = [3 + getattr(one, "seed", 0) % 200, 2]
            logprobs = [{token: SimpleNamespace(logprob=-float(token))} for token in tokens]
            prompt_logprobs = [None, *({token: SimpleNamespace(logprob=-float(token))} for token in ids[1:])]
            output = SimpleNamespace(token_ids=tokens, logprobs=logprobs, finish_reason="stop")
            answers.append(SimpleNamespace(outputs=[output], prompt_logprobs=prompt_logprobs))
        return answers

    def apply_model(self, function: Any) -> None:
        self.loaded_through = "apply_model"
        function(SimpleNamespace(load_weights=self._load))

    def collective_rpc(self, method: str, kwargs: dict[str, Any]) -> None:
        assert method == "reload_weights"
        self.loaded_through = "reload_weights"
        self._load(kwargs["weights_iterator"])

    def reset_prefix_cache(self) -> bool:
        self.prefix_cache_emptied += self.idle
        return self.idle

    def _load(self, weights: Any) -> None:
        self.loaded = dict(weights)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_policy(tmp_path_factory.mktemp("vllm"))


@pytest.fixture
def fake_vllm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module: Any = ModuleType("vllm")
    module.LLM, module.SamplingParams = FakeLLM, SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    yield


def make_vllm(policy: Path, device: str = "cpu") -> VLLMEngine:
    return VLLMEngine(policy, dtype="float32", device=torch.device(device), max_rows=32, memory=0.3)


@pytest.mark.usefixtures("fake_vllm")
def test_factory_starts_vllm_in_this_process_with_the_configured_limits(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    engine = make_engine(EngineConfig(kind="vllm", max_rows=32, memory=0.3), PolicyConfig(path=str(policy)), "cpu")
    assert isinstance(engine, VLLMEngine)
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert engine._llm.options == {
        "model": str(policy),
        "dtype": "float32",
        "max_num_seqs": 32,
        "gpu_memory_utilization": 0.3,
        "enable_prefix_caching": True,
        "logprobs_mode": "processed_logprobs",
        "seed": 0,
    }


@pytest.mark.usefixtures("fake_vllm")
def test_every_sample_is_a_request_with_a_seed_of_its_own(policy: Path) -> None:
    engine = make_vllm(policy)
    prompts = [Prompt(token_ids=[5, 6], samples=2, seed=1), Prompt(token_ids=[7], samples=1, seed=2)]
    params = SamplingParams(max_new_tokens=9, temperature=0.7, top_p=0.9, top_k=4, stop=("!",))
    results = engine.generate(prompts, params)
    assert [len(group) for group in results] == [2, 1]
    requests = engine._llm.requests
    assert [ids for ids, _ in requests] == [[5, 6], [5, 6], [7]]
    seeds = [one.seed for _, one in requests]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**63 for seed in seeds)
    sent = vars(requests[0][1]) | {"seed": None}
    assert sent == {
        "max_tokens": 9,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 4,
        "seed": None,
        "logprobs": 0,
        "stop": ["!"],
        "detokenize": True,
    }
    again = make_vllm(policy)
    again.generate(prompts[1:], params)
    assert again._llm.requests[0][1].seed == seeds[2]


@pytest.mark.usefixtures("fake_vllm")
def test_completions_carry_tokens_logprobs_and_our_own_text(policy: Path) -> None:
    engine = make_vllm(policy)
    ((completion,),) = engine.generate([Prompt(token_ids=[5])], SamplingParams())
    first = completion.token_ids[0]
    assert completion.token_ids == [first, 2]
    assert completion.logprobs == [-float(first), -2.0]
    assert completion.finish_reason == "stop"
    assert completion.text == make_tiny_tokenizer().decode([first])
    assert engine._llm.requests[0][1].detokenize is False


@pytest.mark.usefixtures("fake_vllm")
def test_logprobs_are_those_of_the_response_alone(policy: Path) -> None:
    engine = make_vllm(policy)
    assert engine.logprobs([[5, 6], [7]], [[8, 9], []]) == [[-8.0, -9.0], []]
    ids, params = engine._llm.requests[0]
    assert ids == [5, 6, 8, 9]
    assert (params.prompt_logprobs, params.max_tokens) == (0, 1)


@pytest.mark.usefixtures("fake_vllm")
@pytest.mark.parametrize(("device", "way"), [("cpu", "reload_weights"), ("cuda", "apply_model")])
def test_new_weights_bring_the_tied_head_and_empty_the_prefix_cache(policy: Path, device: str, way: str) -> None:
    engine = make_vllm(policy, device)
    weights = dict(AutoModelForCausalLM.from_pretrained(policy).named_parameters())
    assert "lm_head.weight" not in weights
    engine.load_weights(weights, version=5)
    assert engine._llm.loaded_through == way
    assert engine._llm.loaded.keys() == weights.keys() | {"lm_head.weight"}
    assert engine._llm.loaded["lm_head.weight"] is weights["model.embed_tokens.weight"]
    assert engine._llm.prefix_cache_emptied == 1
    assert engine.policy_version == 5


@pytest.mark.usefixtures("fake_vllm")
def test_weights_that_vllm_would_skip_in_silence_are_refused(policy: Path) -> None:
    engine = make_vllm(policy)
    weights = dict(AutoModelForCausalLM.from_pretrained(policy).named_parameters())
    del weights["model.norm.weight"]
    with pytest.raises(ModelError, match=r"missing: model\.norm\.weight"):
        engine.load_weights(weights, version=1)
    assert not engine._llm.loaded
    assert engine.policy_version == 0


@pytest.mark.usefixtures("fake_vllm")
def test_a_prefix_cache_that_stays_is_an_error(policy: Path) -> None:
    engine = make_vllm(policy)
    engine._llm.idle = False
    with pytest.raises(StaleWeights, match="prefix cache"):
        engine.load_weights(dict(AutoModelForCausalLM.from_pretrained(policy).named_parameters()), version=1)
    assert engine.policy_version == 0


def test_without_vllm_the_error_names_the_extra(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"r1ray\[vllm\]"):
        make_vllm(policy)
