"""compressed-tensors folders by llm-compressor: what transformers computes with them, and what our engine does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from r1ray.config.quantize import GateConfig, QuantizeConfig, RecoveryConfig
from r1ray.data.encoding import TokenRow
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.transformers_engine import TransformersEngine
from r1ray.models.loading import load_network
from r1ray.quantize import work
from r1ray.quantize.bench import Bench
from r1ray.quantize.distributions import compare
from r1ray.quantize.recipes import RECIPES

pytest.importorskip("llmcompressor", reason="the extra `quantize` is not installed")

NAMES = ("int8", "int8-asymmetric", "rtn-w4a16", "gptq-w4a16", "awq-w4a16", "mixed", "fp8", "qat-int4")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_transformers_and_our_engine_compute_the_same(bench: Bench, tmp_path: Path, name: str) -> None:
    folder = work.fresh(tmp_path / name)
    built = RECIPES[name].build(bench, folder)
    assert built.model == folder
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ours = load_network(AutoModelForCausalLM, folder, dtype="float32")
    prompt = list(range(10, 40))
    with torch.no_grad():
        torch.testing.assert_close(ours(torch.tensor([prompt])).logits, theirs(torch.tensor([prompt])).logits)
    wanted = theirs.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0, len(prompt) :].tolist()
    engine = TransformersEngine(ours, bench.tokenizer)
    [[answer]] = engine.generate([Prompt(token_ids=prompt)], SamplingParams(max_new_tokens=8, temperature=0.0))
    assert answer.token_ids == wanted


@pytest.mark.slow
def test_mixed_stores_feed_forward_in_four_bits_and_attention_in_eight(bench: Bench, tmp_path: Path) -> None:
    folder = work.fresh(tmp_path / "mixed")
    RECIPES["mixed"].build(bench, folder)
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        names = set(tensors.keys())
        assert tensors.get_tensor("model.layers.0.self_attn.q_proj.weight").dtype == torch.int8
        packed = tensors.get_tensor("model.layers.0.mlp.up_proj.weight_packed")
    assert packed.dtype == torch.int32
    assert packed.shape == (128, 64 // 8)  # eight codes to a word
    assert "model.layers.0.mlp.up_proj.weight" not in names


@pytest.mark.slow
def test_gptq_is_nearer_to_the_parent_than_rounding(bench: Bench, tmp_path: Path) -> None:
    """On the calibration rows themselves, where GPTQ minimises each layer's error."""
    rows = [
        TokenRow(token_ids=ids, response_mask=[False] + [True] * (len(ids) - 1)) for ids in bench.calibration("gptq")
    ]
    apart = {}
    for name in ("rtn-w4a16", "gptq-w4a16"):
        folder = work.fresh(tmp_path / name)
        RECIPES[name].build(bench, folder)
        apart[name] = compare(bench.network(), bench.network(folder), rows).mean_kl
    assert apart["gptq-w4a16"] < apart["rtn-w4a16"]


@pytest.mark.slow
@pytest.mark.parametrize("repair", ["layers", "finetune"])
def test_a_repair_comes_nearer_to_the_parent(bench: Bench, repair: str) -> None:
    strict = replace(
        bench.config,
        gate=GateConfig(margin=0, texts=0, rows=4, mean_kl=1e-4),
        quantize=QuantizeConfig(repair=repair, repair_rounds=1, repair_share=0.5, sensitivity=4),
        recovery=RecoveryConfig(steps=16),
    )
    bench = replace(bench, config=strict)
    told = work.run_recipe(bench, "rtn-w4a16", work.examine_parent(bench))
    first = json.loads((bench.folder / "rtn-w4a16" / "artifact.json").read_text())
    assert (first["verdict"], told["repairs"]) == ("rejected", 1)
    assert told["figures"]["mean_kl"] < first["figures"]["mean_kl"]
    assert told["details"]["layers"] == ({"W4A16": 7, "W8A8": 7} if repair == "layers" else {"W4A16": 14})
