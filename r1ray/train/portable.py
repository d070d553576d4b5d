"""A sharded training state as whole tensors by parameter name, so that another number of ranks, or another ZeRO stage,
can go on from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

PORTABLE = "portable.pt"
"""File of a checkpoint that holds it."""
MOMENTS = ("exp_avg", "exp_avg_sq")


def write_portable(folder: Path, module: nn.Module, optimizer: Any, fragments: Any, step: int, rank: int) -> None:
    """Gather one parameter at a time; rank 0 writes. Every rank must call it, after a step has been made.

    Args:
        folder: the checkpoint's.
        module: whose trainable parameters are sharded.
        optimizer: ZeRO's, of stage 1, 2 or 3.
        fragments: `deepspeed.utils`, which knows where each parameter's shards lie.
        step: optimizer steps that are done.
        rank: this one.
    """
    _link(optimizer)
    parameters: dict[str, dict[str, Tensor]] = {}
    for name, parameter in _trained(module):
        whole = {"weight": fragments.safe_get_full_fp32_param(parameter)}
        whole |= {key: fragments.safe_get_full_optimizer_state(parameter, key) for key in MOMENTS}
        if rank == 0:
            parameters[name] = {key: tensor.detach().cpu().clone() for key, tensor in whole.items()}
    if rank == 0:
        adam = next(iter(optimizer.optimizer.state.values()))["step"]
        torch.save({"parameters": parameters, "step": step, "adam_step": float(adam)}, folder / PORTABLE)


def read_portable(folder: Path, module: nn.Module, optimizer: Any, fragments: Any, gathered: Any, rank: int) -> int:
    """Deal what `write_portable` wrote out to this run's shards; returns the optimizer steps that are done.

    Args:
        folder: the checkpoint's.
        module, optimizer, fragments: as in `write_portable`.
        gathered: `deepspeed.zero.GatheredParameters` at stage 3, else None.
        rank: this one.
    """
    state = torch.load(folder / PORTABLE, map_location="cpu", weights_only=True)
    _make_moments(optimizer, state["adam_step"])
    for name, parameter in _trained(module):
        whole: dict[str, Tensor] = state["parameters"][name]
        if gathered is None:
            parameter.data.copy_(whole["weight"])
            fragments.safe_set_full_fp32_param(parameter, whole["weight"].to(parameter.device))
            for key in MOMENTS:
                fragments.safe_set_full_optimizer_state(parameter, whole[key].to(parameter.device), key)
            continue
        with gathered([parameter], modifier_rank=0):
            if rank == 0:
                parameter.data.copy_(whole["weight"])
        fragments.safe_set_local_fp32_param(parameter, _shard(whole["weight"], parameter, rank))
        for key in MOMENTS:
            fragments.safe_set_local_optimizer_state(parameter, _shard(whole[key], parameter, rank), key)
    return int(state["step"])


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)


def _make_moments(optimizer: Any, adam_step: float) -> None:
    """Adam's state of a run that has made no step, zero, and linked to the parameters."""
    adam = optimizer.optimizer
    flat = getattr(optimizer, "single_partition_of_fp32_groups", None) or optimizer.fp32_partitioned_groups_flat
    for partition in flat:
        adam.state[partition] = {
            "step": torch.tensor(adam_step),
            **{key: torch.zeros_like(partition) for key in MOMENTS},
        }
    _link(optimizer)


def _link(optimizer: Any) -> None:
    """Tell the parameters of stage 1 and 2 where their moments lie now: a checkpoint that was read has moved them."""
    if hasattr(optimizer, "_lazy_init_hp_params_optimizer_state"):
        optimizer._hp_optimizer_states_linked = False
        optimizer._lazy_init_hp_params_optimizer_state()


def _shard(whole: Tensor, parameter: Any, rank: int) -> Tensor:
    """Rank's part of a tensor as ZeRO-3 cuts it: flat, the last part padded with zeros."""
    size = parameter.ds_tensor.ds_numel
    flat = whole.flatten()
    part = flat[rank * size : (rank + 1) * size]
    return torch.cat([part, part.new_zeros(size - len(part))]).to(parameter.device)
