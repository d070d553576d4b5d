"""Rows sit beside the other samples of their prompt, wherever their slots are."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from r1ray.generation.layout import Membership

CPU = torch.device("cpu")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_every_row_finds_its_own_cell_in_its_prompts_line(slots: list[int]) -> None:
    slots = [sorted(set(slots)).index(slot) for slot in slots]
    layout = Membership(slots, [3] * len(slots), CPU).layout([0] * len(slots))
    rows = torch.arange(len(slots))
    to_grid = rows if layout.to_grid is None else layout.to_grid
    from_grid = rows if layout.from_grid is None else layout.from_grid
    assert to_grid[from_grid].tolist() == rows.tolist()
    width = len(to_grid) // layout.prompts
    assert (from_grid // width).tolist() == slots
    assert width == max(slots.count(slot) for slot in slots)


def test_rows_in_order_need_no_grid() -> None:
    layout = Membership([0, 0, 1, 1], [3, 3, 3, 3], CPU).layout([2, 2, 2, 2])
    assert layout.to_grid is layout.from_grid is layout.mask is None
    assert (layout.positions.tolist(), layout.columns.tolist()) == ([5, 5, 5, 5], [2, 2, 2, 2])
    assert (layout.width, layout.prompts, layout.prompt_columns) == (3, 2, 3)


def test_mask_shows_a_row_its_prompt_its_past_and_its_new_token() -> None:
    layout = Membership([0, 1], [2, 3], CPU).layout([1, 0])
    assert layout.mask is not None
    visible = layout.mask[:, 0] == 0
    #            prompt (3 columns)  response (2 columns)
    assert visible.tolist() == [[True, True, False, True, True], [True, True, True, True, False]]
    assert layout.positions.tolist() == [3, 3]
