"""Llamas of random weights, and rows of random tokens for them: what benchmarks of speed and memory train."""

from typing import Any

import torch
from transformers import LlamaConfig

from r1ray.data.encoding import TokenRow

SHAPES: dict[str, dict[str, Any]] = {
    "toy": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "smollm2-135m": {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
    "tinyllama-1.1b": {
        "vocab_size": 32_000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    },
}


def llama_shape(name: str, **changes: Any) -> LlamaConfig:
    """A shape by its name, with other numbers where they are given."""
    return LlamaConfig(**(SHAPES[name] | changes))


def random_rows(count: int, length: int, vocabulary: int) -> dict[str, TokenRow]:
    """Rows whose tokens are all learned but the first."""
    generator = torch.Generator().manual_seed(0)
    return {
        f"{n:05}": TokenRow(
            token_ids=torch.randint(0, vocabulary, (length,), generator=generator).tolist(),
            response_mask=[False] + [True] * (length - 1),
        )
        for n in range(count)
    }
