"""From a recipe to a verdict: what is written, what is refused, what a repair does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader

from r1ray.config.quantize import GateConfig, QuantizeConfig
from r1ray.models.checkpoint import verify_files
from r1ray.quantize import work
from r1ray.quantize.bench import Bench
from r1ray.quantize.gate import Examined
from r1ray.quantize.recipe import Built
from r1ray.quantize.recipes import RECIPES
from r1ray.runs.manifest import describe


@pytest.fixture
def parent(bench: Bench) -> Examined:
    return work.examine_parent(bench)


def test_artifact_links_its_parent_and_says_what_it_takes(bench: Bench, parent: Examined) -> None:
    told = work.run_recipe(bench, "gguf-q8_0", parent)
    folder = Path(told["folder"])
    on_disk = json.loads((folder / "artifact.json").read_text())
    assert on_disk["verdict"] == "accepted"
    assert on_disk["parent"] == describe(bench.parent)
    assert on_disk["figures"]["bytes"] == (folder / "model.gguf").stat().st_size
    assert on_disk["figures"]["base_dtype"] == "bfloat16"
    assert 0 < on_disk["figures"]["mean_kl"] < 0.05
    assert "llama.cpp" in on_disk["runs_on"]
    verify_files(folder, on_disk["files"])


def test_wrong_scales_are_caught(bench: Bench, parent: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file, but the scales of one matrix are twice what they should be."""
    sound = RECIPES["gguf-q8_0"]

    def build(bench: Bench, out: Path) -> Built:
        built = sound.build(bench, out)
        tensor = next(t for t in GGUFReader(built.model, "r+").tensors if t.name == "blk.0.ffn_down.weight")
        scales = tensor.data.reshape(-1, 34)[:, :2]  # a block of Q8_0: a float16, then 32 int8
        scales[:] = (scales.copy().view(np.float16) * 2).view(np.uint8)
        return built

    monkeypatch.setitem(work.RECIPES, "gguf-q8_0", replace(sound, build=build))
    told = work.run_recipe(bench, "gguf-q8_0", parent)
    assert told["verdict"] == "rejected"
    assert "next-token KL" in told["reasons"][0]


def test_repair_widens_the_most_sensitive_blocks_until_the_gate_agrees(bench: Bench, parent: Examined) -> None:
    strict = replace(
        bench.config,
        gate=GateConfig(margin=0, texts=0, rows=4, mean_kl=0.01),
        quantize=QuantizeConfig(repair="layers", repair_rounds=3, repair_share=0.5, sensitivity=4),
    )
    bench = replace(bench, config=strict)
    told = work.run_recipe(bench, "gguf-q4_0", parent)
    first = json.loads((bench.folder / "gguf-q4_0" / "artifact.json").read_text())
    assert first["verdict"] == "rejected"
    assert told["verdict"] == "accepted"
    assert told["repairs"] >= 1
    widened = told["details"]["widened"]
    assert widened == list(first["sensitivity"])[: len(widened)]
    assert told["figures"]["mean_kl"] < first["figures"]["mean_kl"]
    assert told["figures"]["bytes"] > first["figures"]["bytes"]


def test_a_pruned_and_a_distilled_model_are_plain_folders(bench: Bench, parent: Examined) -> None:
    pruned = work.run_recipe(bench, "prune", parent)
    assert pruned["details"]["zeros"] == pytest.approx(0.5, abs=0.01)
    student = work.run_recipe(bench, "distil", parent)
    assert student["figures"]["bytes"] < pruned["figures"]["bytes"]
    assert set(student["details"]["losses"]) == {"hidden", "attention", "labels"}


@pytest.mark.slow
def test_a_fresh_process_says_what_the_engine_says(bench: Bench) -> None:
    bench = replace(bench, config=replace(bench.config, gate=GateConfig(texts=2, speed_tokens=6)))
    found = work.examine_parent(bench)
    assert found.footprint is not None
    assert found.footprint.texts == found.engine_texts
    assert found.footprint.tokens_per_s > 0
    assert found.footprint.resident > 0
