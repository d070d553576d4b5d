"""Which weights move, from when on, and how fast: head only, the last layers, or layer by layer from the top (ULMFiT,
arXiv 1801.06146 section 3)."""

import re
from typing import Any

from torch import nn

from r1ray.config.optim import OptimConfig
from r1ray.config.sft import TransferConfig
from r1ray.errors import ModelError
from r1ray.models.policy import Policy
from r1ray.models.trunk import find_head
from r1ray.train.engine import parameter_groups

_LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")


def transfer_groups(policy: Policy, optim: OptimConfig, transfer: TransferConfig) -> list[dict[str, Any]]:
    """Freeze what never moves, and part the rest into optimizer groups with their rates and, under `gradual`, the step
    at which each begins to move (`starts_at`).

    Raises:
        ModelError: the network's layers cannot be told apart by the names of its parameters, or nothing would move.
    """
    if transfer.mode == "all" and transfer.layer_decay == 1:
        return parameter_groups(policy, optim)
    depths = parameter_depths(policy)
    reach = {"all": None, "head": 0, "last": transfer.layers, "gradual": transfer.layers or None}[transfer.mode]
    members: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in policy.named_parameters():
        depth = depths[name]
        if reach is not None and depth > reach:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            members.setdefault((depth, parameter.ndim >= 2), []).append(parameter)
    if not members:
        raise ModelError(f"transfer.mode `{transfer.mode}` leaves this network nothing to train.")
    return [
        {
            "params": parameters,
            "lr": optim.lr * transfer.layer_decay**depth,
            "weight_decay": optim.weight_decay if decays else 0.0,
            "starts_at": depth * transfer.unfreeze_every if transfer.mode == "gradual" else 0,
        }
        for (depth, decays), parameters in sorted(members.items(), key=lambda item: item[0])
    ]


def parameter_depths(policy: Policy) -> dict[str, int]:
    """How far each parameter lies below the output: 0 the head (a tied embedding with it) and the last norm, 1 the last
    layer, …; an embedding of its own lies below the first layer.

    Raises:
        ModelError: no parameter's name has a layer in it.
    """
    found = {name: _LAYER.search(name) for name, _ in policy.named_parameters()}
    numbers = [int(match.group(1)) for match in found.values() if match]
    if not numbers:
        raise ModelError("The layers of this network cannot be told by its parameters' names; use transfer.mode `all`.")
    layers = max(numbers) + 1
    head = {id(parameter) for parameter in find_head(policy.model).parameters()}
    depths = {}
    for name, parameter in policy.named_parameters():
        match = found[name]
        if match:
            depths[name] = layers - int(match.group(1))
        else:
            depths[name] = 0 if id(parameter) in head or parameter.ndim < 2 else layers + 1
    return depths
