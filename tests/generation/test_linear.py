"""Packed or plain, a layer multiplies any number of rows like `F.linear` does."""

import pytest
import torch
import torch.nn.functional as F

from r1ray.generation import linear
from r1ray.generation.linear import PACK_ROWS, Linear


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 5, PACK_ROWS, PACK_ROWS + 3, 1000])
def test_products_are_those_of_linear(packed: bool, bias: bool, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not packed:
        monkeypatch.setattr(linear, "mkl_packing_works", lambda: False)
    generator = torch.Generator().manual_seed(rows)
    weight, x = torch.randn(37, 50, generator=generator), torch.randn(rows, 50, generator=generator)
    offset = torch.randn(37, generator=generator) if bias else None
    torch.testing.assert_close(Linear(weight, offset)(x), F.linear(x, weight, offset), atol=1e-5, rtol=1e-5)


def test_low_precision_stays_in_its_type() -> None:
    weight = torch.randn(8, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    x = torch.ones(3, 6, dtype=torch.bfloat16)
    assert torch.equal(Linear(weight)(x), F.linear(x, weight))
