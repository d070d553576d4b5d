"""Packed attention is attention of each rollout alone, and a model that has it still computes what it did."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from r1ray.algorithms.packing import pack
from r1ray.errors import ModelError
from r1ray.models.packed_attention import NAME, use_packed_attention
from r1ray.models.trunk import run_trunk

SHAPE: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 24,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize("kv_heads", [1, 2, 3, 6])
def test_query_heads_find_their_key_heads(kv_heads: int) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**SHAPE, "num_key_value_heads": kv_heads})).eval()
    prompt, responses = [3, 1, 4, 1, 5], [[9, 2, 6], [5, 3, 5, 8, 9], [7]]
    alone = [model.model(torch.tensor([prompt + response])).last_hidden_state[0] for response in responses]
    use_packed_attention(model)
    (packed,) = pack([prompt] * 3, responses, group=[0] * 3, max_tokens=64)
    hidden = run_trunk(model.model, packed)
    torch.testing.assert_close(hidden[:5], alone[0][:5])
    torch.testing.assert_close(hidden[5:], torch.cat([row[5:] for row in alone]))


def test_without_a_packed_batch_the_model_computes_what_it_did(tiny_policy: Path) -> None:
    ids = torch.arange(24).view(2, 12)
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    model = AutoModelForCausalLM.from_pretrained(tiny_policy)
    before = model(ids, attention_mask=mask).logits
    use_packed_attention(model)
    assert torch.equal(model(ids, attention_mask=mask).logits, before)


def test_the_choice_is_not_saved_with_the_model(tmp_path: Path) -> None:
    model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    use_packed_attention(model)
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()


def test_a_window_shorter_than_a_rollout_is_an_error() -> None:
    model = MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=4)).eval()
    use_packed_attention(model)
    (fits,) = pack([[1, 2]], [[3, 4]], group=[0], max_tokens=64)
    assert run_trunk(model.model, fits).isfinite().all()
    (longer,) = pack([[1, 2]], [[3, 4, 5]], group=[0], max_tokens=64)
    with pytest.raises(ModelError, match="up to 5 tokens does not fit in this model's attention window of 4"):
        run_trunk(model.model, longer)


def test_a_model_whose_attention_is_its_own_is_refused() -> None:
    with pytest.raises(ModelError, match="The attention of Linear cannot be replaced"):
        use_packed_attention(torch.nn.Linear(2, 2))
