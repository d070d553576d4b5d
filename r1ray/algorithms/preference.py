"""The loss of a preference reward model, over pairs of answers to one prompt.

Every pair has one score for each answer, read at its last unmasked token. P pairs are counted like tokens elsewhere: a
sum over the pairs that count, divided by their number in the whole optimizer step (`losses.global_count`).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from r1ray.algorithms.masked import masked_sum


def bradley_terry_loss(
    chosen: Float[Tensor, "*shape"],
    rejected: Float[Tensor, "*shape"],
    mask: Bool[Tensor, "*shape"],
    denominator: Float[Tensor, ""] | float,
    *,
    margin: Float[Tensor, "*shape"] | float = 0.0,
    offset: Float[Tensor, "*shape"] | float = 0.0,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """−Σ log σ(r_chosen − r_rejected − margin + offset) / denominator (InstructGPT, arXiv 2203.02155 equation 1).

    Args:
        chosen, rejected: scores, in nats of preference.
        mask: pairs that count; what lies under 0, even nan, changes nothing.
        denominator: pairs of the whole optimizer step.
        margin: by how much the chosen answer should lead (Llama 2, arXiv 2307.09288 section 3.2.2).
        offset: what speaks for the chosen answer besides its score, and is left out when scoring: the length term
            (`length_bias.length_offset`).
        label_smoothing: share of pairs that are taken to be labelled the wrong way round, 0 to 0.5.
    """
    lead = torch.where(mask, chosen - rejected - margin + offset, 0.0)
    losses = -(1 - label_smoothing) * F.logsigmoid(lead)
    if label_smoothing:
        losses = losses - label_smoothing * F.logsigmoid(-lead)
    return masked_sum(losses, mask) / denominator


def centering_loss(
    chosen: Float[Tensor, "*shape"],
    rejected: Float[Tensor, "*shape"],
    mask: Bool[Tensor, "*shape"],
    denominator: Float[Tensor, ""] | float,
) -> Float[Tensor, ""]:
    """Σ (r_chosen + r_rejected)² / denominator: keeps scores around 0, where Bradley-Terry leaves them free
    (arXiv 2312.09244 section 3). Add a small multiple of it, 0.01 say."""
    return masked_sum(torch.where(mask, chosen + rejected, 0.0).square(), mask) / denominator


def pairs_right(
    chosen: Float[Tensor, "*shape"], rejected: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """How many pairs are ordered as labelled. A tie counts half: a model that scores all alike must not look perfect,
    nor useless."""
    right = (chosen > rejected).float() + 0.5 * (chosen == rejected).float()
    return masked_sum(right, mask)
