"""Weights come out of their buffers as they went in, whatever their types, and shared once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from r1ray.rl.weights import FlatWeights

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64)
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(DTYPES), SHAPES), max_size=8), st.integers(0, 1000))
def test_tensors_of_any_type_and_shape_survive_the_trip(
    kinds: list[tuple[torch.dtype, tuple[int, ...]]], version: int
) -> None:
    generator = torch.Generator().manual_seed(version)
    weights = {
        f"layer{n}": (100 * torch.randn(shape, generator=generator)).to(dtype) for n, (dtype, shape) in enumerate(kinds)
    }
    flat = FlatWeights.of(weights, version)
    found = flat.tensors()
    assert flat.version == version
    assert list(found) == list(weights)
    for name, tensor in weights.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name], tensor)
    assert flat.nbytes == sum(tensor.nbytes for tensor in weights.values())
    assert len(flat.buffers) == len({dtype for dtype, _ in kinds})


def test_bfloat16_keeps_every_bit_even_of_nan_and_infinity() -> None:
    bits = torch.tensor([0x7FC1, 0x7F80, -0x80, 0x0001, -0x8000], dtype=torch.int16)
    found = FlatWeights.of({"w": bits.view(torch.bfloat16)}, 1).tensors()["w"]
    assert torch.equal(found.view(torch.int16), bits)


def test_a_tied_tensor_travels_once_and_comes_back_tied() -> None:
    embedding = nn.Embedding(7, 3)
    head = nn.Linear(3, 7, bias=False)
    head.weight = embedding.weight
    flat = FlatWeights.of({"embedding": embedding.weight, "head": head.weight}, 1)
    assert flat.nbytes == 7 * 3 * 4
    found = flat.tensors()
    assert found["embedding"].data_ptr() == found["head"].data_ptr()
    assert torch.equal(found["head"], head.weight)


def test_views_of_one_storage_that_differ_are_not_taken_for_one() -> None:
    square = torch.arange(9.0).reshape(3, 3)
    found = FlatWeights.of({"w": square, "transposed": square.T, "row": square[0]}, 1).tensors()
    assert torch.equal(found["w"], square)
    assert torch.equal(found["transposed"], square.T)
    assert torch.equal(found["row"], square[0])


def test_buffers_are_copies() -> None:
    weights = {"only": torch.ones(3)}
    flat = FlatWeights.of(weights, 1)
    weights["only"].zero_()
    assert flat.tensors()["only"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_read_only_buffers_are_read_without_a_copy_or_a_warning(dtype: torch.dtype) -> None:
    flat = FlatWeights.of({"w": torch.ones(2, 3, dtype=dtype)}, 1)
    for buffer in flat.buffers.values():
        buffer.setflags(write=False)  # as Ray's object store hands them out
    tensor = flat.tensors()["w"]
    assert torch.equal(tensor, torch.ones(2, 3, dtype=dtype))
    [buffer] = flat.buffers.values()
    assert tensor.data_ptr() == buffer.__array_interface__["data"][0]
    assert isinstance(buffer, np.ndarray)
