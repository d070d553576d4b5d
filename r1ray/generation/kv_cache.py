"""Preallocated keys and values: one store for prompts (a slot a prompt), one for responses (a slot a row).

Keys lie transposed, (..., head_dim, columns), because the products of a decode step then stream both stores in order: twice as
fast as the usual layout on a CPU.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


class KVStore:
    """Keys (L, slots, heads, head_dim, columns) and values (L, slots, heads, columns, head_dim) of every layer."""

    def __init__(self, layers: int, heads: int, head_dim: int, dtype: torch.dtype, device: torch.device) -> None:
        self.keys = torch.zeros(layers, 0, heads, head_dim, 0, dtype=dtype, device=device)
        self.values = torch.zeros(layers, 0, heads, 0, head_dim, dtype=dtype, device=device)

    @property
    def slots(self) -> int:
        return self.keys.shape[1]

    @property
    def columns(self) -> int:
        return self.keys.shape[-1]

    def reserve(self, slots: int, columns: int, limit: int | None = None) -> None:
        """Make room for at least this much, keeping what is there. Columns double up to `limit`, so that growth stays rare."""
        if slots <= self.slots and columns <= self.columns:
            return
        if columns > self.columns:
            columns = max(columns, min(2 * self.columns, limit or columns))
        slots, columns = max(slots, self.slots), max(columns, self.columns)
        layers, old_slots, heads, head_dim, old_columns = self.keys.shape
        # Zeros, not uninitialised memory: a masked column has weight 0, and 0 times a stray NaN would still be NaN.
        keys = self.keys.new_zeros(layers, slots, heads, head_dim, columns)
        values = self.values.new_zeros(layers, slots, heads, columns, head_dim)
        keys[:, :old_slots, ..., :old_columns] = self.keys
        values[:, :old_slots, :, :old_columns] = self.values
        self.keys, self.values = keys, values

    def move(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        self.keys[:, target] = self.keys[:, source]
        self.values[:, target] = self.values[:, source]


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
    """(R, 1, prompt_columns + width), added to the scores: -inf where the row has no such column; `None` if all have all."""
