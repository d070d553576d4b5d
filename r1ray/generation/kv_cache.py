"""Preallocated keys and values: one store for prompts (a slot a prompt), one for responses (a slot a row).

Keys lie transposed, (..., head_dim, columns): the products of a decode step then stream both stores in order, which on
a CPU is twice as fast as the usual layout.
"""

import torch


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

    def reserve(self, slots: int, columns: int, *, most_slots: int, most_columns: int) -> None:
        """Make room for at least `slots` and `columns`, keeping what is there; growth doubles up to the limits."""
        if slots <= self.slots and columns <= self.columns:
            return
        slots, columns = _grown(self.slots, slots, most_slots), _grown(self.columns, columns, most_columns)
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


def _grown(now: int, needed: int, most: int) -> int:
    return now if needed <= now else max(needed, min(2 * now, most))
