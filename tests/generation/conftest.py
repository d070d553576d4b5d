"""Tiny random models of every family that the decoder knows, and one that it does not."""

import copy

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from tests.tiny import make_tiny_tokenizer

VOCABULARY = len(make_tiny_tokenizer())
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FAMILIES: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama with biases": LlamaConfig(**SIZES, tie_word_embeddings=False, attention_bias=True, mlp_bias=True),
    "llama 3": LlamaConfig(**SIZES, rope_parameters=LLAMA3_ROPE),
    "llama, all heads": LlamaConfig(**{**SIZES, "num_key_value_heads": 4}),
    "mistral": MistralConfig(**SIZES, sliding_window=None),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=32),
}
OTHERS: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_positions=256, n_embd=32, n_layer=2, n_head=2, eos_token_id=2),
    "mistral with a window": MistralConfig(**SIZES, sliding_window=16),
}


def make_model(name: str, seed: int = 0) -> PreTrainedModel:
    """Weights large enough that distributions are far from flat, norms and biases far from 1 and 0."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(copy.deepcopy((FAMILIES | OTHERS)[name]))
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if "norm" in parameter_name or "bias" in parameter_name or "ln_" in parameter_name:
                    parameter.add_(0.3 * torch.randn_like(parameter))
                else:
                    parameter.mul_(6.0)
    return model.eval()


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level; id 2, `<|im_end|>`, ends a completion."""
    return make_tiny_tokenizer()


@pytest.fixture(scope="session")
def llama() -> PreTrainedModel:
    """A tiny Llama with tied embeddings; tests do not write to it."""
    return make_model("llama")
