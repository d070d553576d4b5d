"""Stores grow without losing what they hold."""

import torch

from r1ray.generation.kv_cache import KVStore


def make_store() -> KVStore:
    return KVStore(layers=2, heads=3, head_dim=4, dtype=torch.float32, device=torch.device("cpu"))


def test_growth_keeps_what_is_stored_and_zeroes_the_rest() -> None:
    store = make_store()
    store.reserve(2, 3, most_slots=8, most_columns=10)
    store.keys.copy_(torch.arange(store.keys.numel()).view_as(store.keys))
    store.values.copy_(torch.arange(store.values.numel()).view_as(store.values))
    keys, values = store.keys.clone(), store.values.clone()
    store.reserve(3, 4, most_slots=8, most_columns=10)
    assert (store.slots, store.columns) == (4, 6)  # doubled
    assert torch.equal(store.keys[:, :2, ..., :3], keys)
    assert torch.equal(store.values[:, :2, :, :3], values)
    assert store.keys[:, 2:].count_nonzero() == store.keys[..., 3:].count_nonzero() == 0
    assert store.values[:, 2:].count_nonzero() == store.values[:, :, :, 3:].count_nonzero() == 0


def test_growth_doubles_up_to_the_limits_and_never_shrinks() -> None:
    store = make_store()
    store.reserve(5, 5, most_slots=6, most_columns=7)
    assert (store.slots, store.columns) == (5, 5)
    store.reserve(6, 6, most_slots=6, most_columns=7)
    assert (store.slots, store.columns) == (6, 7)
    store.reserve(1, 1, most_slots=1, most_columns=1)
    assert (store.slots, store.columns) == (6, 7)
    store.reserve(6, 9, most_slots=6, most_columns=7)
    assert store.columns == 9


def test_move_copies_one_slot_of_every_layer() -> None:
    store = make_store()
    store.reserve(3, 2, most_slots=3, most_columns=2)
    store.keys[:, 2], store.values[:, 2] = 7.0, 8.0
    store.move(2, 0)
    assert (store.keys[:, 0] == 7).all()
    assert (store.values[:, 0] == 8).all()
    assert store.keys[:, 1].count_nonzero() == 0
