"""From a model's path to an engine that serves it."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeEngineConfig
from r1ray.errors import ConfigError, ModelError
from r1ray.generation.iteration import IterationEngine
from r1ray.generation.llama_weights import LlamaSpec
from r1ray.generation.paged.batcher import PagedEngine
from r1ray.generation.paged.blocks import PAGE
from r1ray.generation.paged.model import PagedModel
from r1ray.generation.paged.rows import RowLimit
from r1ray.generation.paged.transformers_model import TransformersPagedModel
from r1ray.generation.stopping import StopRule, end_tokens
from r1ray.models.gguf import gguf_in
from r1ray.models.loading import load_policy, load_tokenizer, resolve_model
from r1ray.models.packed_weights import PackedMatrix, pack_int8, read_packed
from r1ray.models.smollm2 import ALIASES, wheel_gguf


def make_iteration_engine(
    config: ServeEngineConfig, policy: PolicyConfig
) -> tuple[IterationEngine, PreTrainedTokenizerBase]:
    """The engine that `config.kind` names with the policy's weights, and the policy's tokenizer.

    Raises:
        ConfigError: the engine is not installed, or cannot do what is asked.
        ModelError: there is no model at the path, the engine does not know its architecture, or the amateur has other
            tokens.
    """
    device = "cuda" if config.gpus else "cpu"
    if _is_vllm(config):
        if config.amateur:
            raise ConfigError("engine.amateur is set, but vLLM has no contrastive decoding: leave it empty.")
        return _vllm(config, policy), load_tokenizer(policy.path)
    model, hf, tokenizer = _paged(config, policy, device)
    grammars = None
    if find_spec("llguidance"):
        from r1ray.generation.grammar import grammar_maker  # an extra

        grammars = grammar_maker(tokenizer, model.vocabulary)
    engine = PagedEngine(
        model,
        StopRule(tokenizer, end_tokens(hf, tokenizer)),
        rows=RowLimit(config.min_rows, config.max_rows, config.slow_step_ms / 1000),
        prefill_tokens=config.prefill_tokens,
        prefix_cache=config.prefix_cache,
        grammars=grammars,
        amateur=_amateur(config, policy, device, tokenizer) if config.amateur else None,
    )
    return engine, tokenizer


def _paged(
    config: ServeEngineConfig, policy: PolicyConfig, device: str
) -> tuple[PagedModel, PreTrainedModel, PreTrainedTokenizerBase]:
    loaded, tokenizer = load_policy(policy)
    hf: Any = loaded.to(device).eval()
    spec = LlamaSpec.of(hf)
    if _kind(config, spec) == "openvino":
        return _openvino(config, policy, hf, spec), hf, tokenizer
    return TransformersPagedModel(hf, tokens=config.cache_tokens), hf, tokenizer


def _amateur(
    config: ServeEngineConfig, policy: PolicyConfig, device: str, tokenizer: PreTrainedTokenizerBase
) -> PagedModel:
    model, _, its_own = _paged(config, replace(policy, path=config.amateur), device)
    if its_own.get_vocab() != tokenizer.get_vocab():
        raise ModelError(
            f"engine.amateur {config.amateur} has other tokens than {policy.path}, and contrastive decoding compares "
            f"the two token by token. Give a model with the same tokenizer."
        )
    return model


def context_length(config: ServeEngineConfig, policy: PolicyConfig) -> int:
    """Most tokens of a prompt and its answer, of an engine that is not there yet."""
    network = AutoConfig.from_pretrained(resolve_model(policy.path))
    return min(int(network.max_position_embeddings), -(-config.cache_tokens // PAGE) * PAGE)


def find_gguf(path: str) -> Path | None:
    """The GGUF file that a policy's path means: itself, in a run folder or its `model/`, or the built-in model's."""
    local = Path(path).expanduser()
    if local.is_file() and local.suffix.lower() == ".gguf":
        return local
    if local.is_dir():
        return gguf_in(local / "model") or gguf_in(local)
    return wheel_gguf() if path in ALIASES else None


def _vllm(config: ServeEngineConfig, policy: PolicyConfig) -> IterationEngine:
    from r1ray.generation.vllm_iteration import VLLMIterationEngine  # an extra

    return VLLMIterationEngine(
        resolve_model(policy.path),
        dtype=policy.dtype,
        max_rows=config.max_rows,
        memory=config.memory,
        tensor=config.tensor,
    )


def _openvino(config: ServeEngineConfig, policy: PolicyConfig, hf: Any, spec: LlamaSpec | None) -> PagedModel:
    if not find_spec("openvino"):
        raise ConfigError("engine.kind is `openvino`, which is not installed: `pip install 'r1ray[serve]'`, or `auto`.")
    if spec is None:
        raise ModelError(
            f"engine.kind `openvino` serves Llama-family models; {policy.path} is another. Use `transformers`."
        )
    from r1ray.generation.paged.openvino_model import OpenVINOModel  # an extra

    weights: dict[str, Tensor] = {name: value.detach() for name, value in hf.named_parameters()}
    packed = _packed(config, policy, weights, spec.names.aliases.keys())
    return OpenVINOModel(
        spec,
        weights,
        packed,
        tokens=config.cache_tokens,
        context_length=int(hf.config.max_position_embeddings),
        threads=config.threads,
        cache_precision=config.cache_precision,
        activation_group=config.activation_group,
    )


def describe_weights(config: ServeEngineConfig, policy: PolicyConfig) -> str:
    """How the weights are held: part of what an answer depends on."""
    parts = (config.kind, config.weights, policy.dtype, config.cache_precision, config.activation_group, config.amateur)
    return "/".join(map(str, parts)).rstrip("/")


def read_weights(config: ServeEngineConfig, policy: PolicyConfig) -> Mapping[str, Tensor | PackedMatrix] | Path:
    """What `load_weights` of such an engine takes: the policy's parameters by their Hugging Face names, packed as a new
    engine would have them, or for vLLM the folder."""
    if _is_vllm(config):
        return resolve_model(policy.path)
    loaded, _ = load_policy(policy)
    weights = {name: value.detach() for name, value in loaded.named_parameters()}
    given: dict[str, Any] = dict(weights)
    if _kind(config, LlamaSpec.of(loaded)) == "openvino":  # type: ignore[arg-type]
        given |= {name: one for name, one in _packed(config, policy, weights, ()).items() if name in weights}
    return given


def _is_vllm(config: ServeEngineConfig) -> bool:
    return config.kind == "vllm" or (config.kind == "auto" and config.gpus > 0 and find_spec("vllm") is not None)


def _kind(config: ServeEngineConfig, spec: LlamaSpec | None) -> str:
    if config.kind != "auto":
        return config.kind
    if config.gpus:
        return "transformers"
    return "openvino" if spec is not None and find_spec("openvino") else "transformers"


def _packed(
    config: ServeEngineConfig, policy: PolicyConfig, weights: Mapping[str, Tensor], aliases: Collection[str]
) -> dict[str, PackedMatrix | np.ndarray]:
    """What stands in for some of the weights: a GGUF file's own numbers, or eight bits where they are asked for."""
    gguf = find_gguf(policy.path) if config.weights in ("auto", "file") else None
    if gguf is not None:
        packed = dict(read_packed(gguf))
        if unknown := packed.keys() - weights.keys() - set(aliases) - {"lm_head.weight"}:
            raise ModelError(f"{gguf} has matrices that its model does not: {', '.join(sorted(unknown)[:5])}.")
        return packed
    if config.weights == "int8":
        return {name: pack_int8(value.float().numpy()) for name, value in weights.items() if value.ndim == 2}
    return {}
