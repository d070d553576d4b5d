"""Which row of a decode step sits where: in its response slot, and in a grid beside the other samples of its prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Which row of a decode step sits where. R rows stand in a grid of P prompts times at most W rows each."""

    positions: Tensor
    """(R,) position of each row's new token in its sequence."""
    columns: Tensor
    """(R,) column of the response store that takes the row's new keys and values."""
    width: int
    """Response columns in use, the new ones included."""
    prompts: int
    """P: prompt slots in use."""
    prompt_columns: int
    """Prompt columns in use."""
    to_grid: Tensor | None
    """(P·W,) row that fills each grid cell (empty cells repeat some row); `None` if rows fill the grid in order."""
    from_grid: Tensor | None
    """(R,) grid cell of each row; `None` with `to_grid`."""
    mask: Tensor | None
    """(R, 1, prompt_columns + width): -inf where a row has no such column, else 0; `None` if every row has all."""


class Membership:
    """What of a step's layout stays the same until a row joins or leaves."""

    def __init__(self, prompt_slots: Sequence[int], prompt_lengths: Sequence[int], device: torch.device) -> None:
        """Slot and length of each row's prompt; every slot up to the highest has at least one row."""
        rows = range(len(prompt_slots))
        members: list[list[int]] = [[] for _ in range(max(prompt_slots) + 1)]
        for row in rows:
            members[prompt_slots[row]].append(row)
        width = max(map(len, members))
        cells = [row for group in members for row in group + [group[0]] * (width - len(group))]
        cell_of = {row: slot * width + place for slot, group in enumerate(members) for place, row in enumerate(group)}
        in_order = cells == list(rows)
        self._prompts = len(members)
        self._to_grid = None if in_order else torch.tensor(cells, device=device)
        self._from_grid = None if in_order else torch.tensor([cell_of[row] for row in rows], device=device)
        self._lengths = torch.tensor(prompt_lengths, device=device)
        self._prompt_columns = max(prompt_lengths)
        self._ragged = min(prompt_lengths) < self._prompt_columns

    def layout(self, ages: Sequence[int]) -> Layout:
        """The layout of a step in which row r has `ages[r]` response tokens stored and adds one."""
        age = torch.tensor(ages, device=self._lengths.device)
        width = max(ages) + 1
        mask = None
        if self._ragged or min(ages) + 1 < width:
            column = torch.arange(self._prompt_columns + width, device=age.device)
            own = column - self._prompt_columns
            visible = torch.where(own < 0, column < self._lengths[:, None], own <= age[:, None])
            mask = torch.zeros(visible.shape, device=age.device).masked_fill_(~visible, -torch.inf)[:, None]
        return Layout(
            positions=self._lengths + age,
            columns=age,
            width=width,
            prompts=self._prompts,
            prompt_columns=self._prompt_columns,
            to_grid=self._to_grid,
            from_grid=self._from_grid,
            mask=mask,
        )
