"""The control of every 4-bit figure here: the default policy's weights come from a Q4_1 file."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from safetensors import safe_open
from transformers import AutoConfig

from r1ray.models.gguf_writer import GgufScheme, write_network
from r1ray.models.loading import load_tokenizer, resolve_model
from r1ray.models.smollm2 import wheel_gguf

LAYERS = 2
"""Enough to see it; all thirty are."""


@pytest.mark.slow
def test_the_default_policy_written_as_q4_1_is_the_file_that_it_came_from(tmp_path: Path) -> None:
    source = wheel_gguf()
    assert source is not None
    folder = resolve_model("smollm2-135m")
    config = AutoConfig.from_pretrained(folder)
    config.num_hidden_layers = LAYERS
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        kept = [
            name
            for name in tensors.keys()  # noqa: SIM118  # it is no mapping
            if ".layers." not in name or int(name.split(".")[2]) < LAYERS
        ]
        weights = {name: tensors.get_tensor(name) for name in kept}
    write_network(config, weights, load_tokenizer(folder), tmp_path / "again.gguf", GgufScheme(linear="q4_1"))
    expected = {tensor.name: tensor for tensor in GGUFReader(source).tensors}
    written = GGUFReader(tmp_path / "again.gguf").tensors
    assert len(written) == 2 + 9 * LAYERS
    for tensor in written:
        assert tensor.tensor_type == expected[tensor.name].tensor_type
        assert np.array_equal(tensor.data, expected[tensor.name].data), tensor.name
