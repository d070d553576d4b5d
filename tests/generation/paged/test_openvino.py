"""The OpenVINO network computes what the reference does, packed weights included."""

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from r1ray.config.policy import PolicyConfig
from r1ray.generation.llama_weights import LlamaSpec
from r1ray.generation.paged.model import Piece
from r1ray.models.loading import load_policy
from r1ray.models.packed_weights import PackedMatrix, pack_int8
from tests.tiny import make_tiny_policy

pytest.importorskip("openvino")

from r1ray.generation.paged.openvino_model import OpenVINOModel

IDS = list(range(10, 110))


def packed_in_four_bits(matrix: np.ndarray) -> PackedMatrix:
    """As `Q4_1` has it: offsets that are no multiples of the scale."""
    groups = matrix.reshape(matrix.shape[0], -1, 32)
    low, high = groups.min(-1, keepdims=True), groups.max(-1, keepdims=True)
    scales = (high - low) / 15
    scales[scales == 0] = 1.0
    return PackedMatrix(np.rint((groups - low) / scales).astype(np.uint8), scales, low, bits=4)


@pytest.mark.parametrize("pack", [None, pack_int8, packed_in_four_bits])
def test_logits_are_those_of_transformers_on_the_same_weights(tmp_path: Path, pack: object) -> None:
    model, _ = load_policy(PolicyConfig(path=str(make_tiny_policy(tmp_path))))
    packed = {}
    if pack is not None:
        for name, value in model.named_parameters():
            if value.ndim == 2:
                packed[name] = pack(value.detach().numpy())  # type: ignore[operator]
                with torch.no_grad():
                    value.copy_(torch.from_numpy(packed[name].dense()))
    weights = {name: value.detach() for name, value in model.named_parameters()}
    spec = LlamaSpec.of(model)  # type: ignore[arg-type]
    assert spec is not None
    served = OpenVINOModel(spec, weights, packed, tokens=512, context_length=512, threads=1)
    with torch.inference_mode():
        expected = model(torch.tensor([IDS])).logits[0]
        first = served.forward([Piece(IDS[:40], 0, [3, 1], range(40)), Piece(IDS[:7], 0, [5], [6])]).clone()
        second = served.forward([Piece(IDS[7:8], 7, [5], [0]), Piece(IDS[40:], 40, [3, 1, 2, 0], range(60))]).clone()
    torch.testing.assert_close(torch.cat([first[:40], second[1:]]), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(torch.stack([first[40], second[0]]), expected[6:8], rtol=0, atol=1e-4)
    served.load_weights({**{name: value * 0 for name, value in weights.items()}, **packed})
    served.load_weights({**weights, **packed})
    with torch.inference_mode():
        again = served.forward([Piece(IDS[:40], 0, [3, 1], range(40))])
    torch.testing.assert_close(again, expected[:40], rtol=0, atol=1e-4)


class SignalStack(ctypes.Structure):
    """`stack_t` of sigaltstack(2)."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_signals_have_a_stack_after_the_last_model_is_gone(tmp_path: Path) -> None:
    # Where they have none, the next signal (a Ctrl-C) ends the process with a segmentation fault.
    model, _ = load_policy(PolicyConfig(path=str(make_tiny_policy(tmp_path))))
    spec = LlamaSpec.of(model)  # type: ignore[arg-type]
    assert spec is not None
    weights = {name: value.detach() for name, value in model.named_parameters()}
    served = OpenVINOModel(spec, weights, {}, tokens=512, context_length=512, threads=1)
    del served
    gc.collect()
    stack = SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    ranges = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines()]
    disabled = stack.start is None
    assert disabled or any(int(low, 16) <= stack.start < int(high, 16) for low, high in ranges)
