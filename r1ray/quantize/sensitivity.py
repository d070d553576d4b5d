"""How much each block of a model suffers from its format alone: the KL to the parent with that one block quantized."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from r1ray.data.encoding import TokenRow
from r1ray.quantize.distributions import batches, logprobs_at, padded
from r1ray.quantize.fake import fake_quantized
from r1ray.quantize.scheme import Scheme


@torch.inference_mode()
def block_sensitivity(
    parent: Any,
    schemes: Mapping[str, Scheme],
    rows: Sequence[TokenRow],
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, float]:
    """Mean next-token KL, in nats, of each block (`model.layers.3.mlp`: what stands before a layer's last name), most
    sensitive first.

    Args:
        parent: a causal language model, left as it was.
        schemes: of its linear layers.
        rows: on whose response tokens distributions are compared.
        note: told of the progress.
    """
    inputs = [padded(batch)[:2] for batch in batches(rows, 2048)]
    reference = [logprobs_at(parent, *one) for one in inputs]
    blocks: dict[str, dict[str, Scheme]] = {}
    for name, scheme in schemes.items():
        blocks.setdefault(name.rpartition(".")[0], {})[name] = scheme
    found = {}
    for number, (block, members) in enumerate(blocks.items(), start=1):
        note(f"sensitivity: block {number} of {len(blocks)}")
        with fake_quantized(parent, members):
            found[block] = _mean_kl(parent, inputs, reference)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _mean_kl(model: Any, inputs: Sequence[tuple[Tensor, Tensor]], reference: Sequence[Tensor]) -> float:
    total, count = 0.0, 0
    for one, theirs in zip(inputs, reference, strict=True):
        ours = logprobs_at(model, *one)
        total += float((theirs.exp() * (theirs - ours)).sum())
        count += len(theirs)
    return total / count
