"""A model's size comes from the headers of its files."""

import json
import struct
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from r1ray.cluster.shapes import SMOLLM2_135M, model_shape

TINY = LlamaConfig(
    vocab_size=96,
    hidden_size=16,
    intermediate_size=40,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    tie_word_embeddings=True,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    folder = tmp_path_factory.mktemp("tiny")
    model = LlamaForCausalLM(TINY)
    model.save_pretrained(folder)
    return folder, sum(weight.numel() for weight in model.parameters())


def test_a_folder_is_measured_by_the_header_of_its_weights(tiny: tuple[Path, int]) -> None:
    folder, params = tiny
    shape = model_shape(str(folder))
    assert shape is not None
    assert (shape.params, shape.layers, shape.hidden, shape.kv_width, shape.vocab) == (params, 3, 16, 8, 96)


def test_without_weights_the_configuration_gives_the_same_number(tiny: tuple[Path, int], tmp_path: Path) -> None:
    folder, params = tiny
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    shape = model_shape(str(tmp_path))
    assert shape is not None and shape.params == params


def test_a_run_folder_is_measured_by_its_model(tiny: tuple[Path, int], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")  # the run's own configuration
    (tmp_path / "model").symlink_to(tiny[0])
    shape = model_shape(str(tmp_path))
    assert shape is not None and shape.params == tiny[1]


def test_the_alias_is_known_and_the_formula_agrees_with_it(tmp_path: Path) -> None:
    # SmolLM2-135M: 30 layers of 576·(2·576 + 2·192) + 3·576·1536 + 2·576 = 3 540 096, embeddings
    # 49 152·576 = 28 311 552, the last norm 576: 30 · 3 540 096 + 28 311 552 + 576 = 134 515 008.
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "hidden_size": 576,
                "num_hidden_layers": 30,
                "vocab_size": 49_152,
                "intermediate_size": 1536,
                "num_attention_heads": 9,
                "num_key_value_heads": 3,
                "tie_word_embeddings": True,
            }
        )
    )
    assert model_shape("smollm2-135m") == SMOLLM2_135M == model_shape(str(tmp_path))
    assert SMOLLM2_135M.params == 134_515_008


def test_what_nothing_describes_has_no_shape(tmp_path: Path) -> None:
    assert model_shape("somebody/some-model") is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "other"}))
    assert model_shape(str(tmp_path)) is None


def test_adapters_are_counted_by_the_widths_they_join(tiny: tuple[Path, int]) -> None:
    # Rank 2 on q (16 + 16) and v (16 + 8), three layers: 3 · 2 · (32 + 24) = 336.
    shape = model_shape(str(tiny[0]))
    assert shape is not None and shape.adapter_params(2, ("q_proj", "v_proj")) == 336


def test_the_header_of_a_safetensors_file_is_read_without_its_data(tmp_path: Path, tiny: tuple[Path, int]) -> None:
    header = json.dumps(
        {"__metadata__": {}, "w": {"dtype": "F32", "shape": [1000, 1000], "data_offsets": [0, 4_000_000]}}
    )
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode())
    (tmp_path / "config.json").write_text((tiny[0] / "config.json").read_text())
    shape = model_shape(str(tmp_path))
    assert shape is not None and shape.params == 1_000_000
