"""The loss of a process reward model: token classification at the ends of steps, and nowhere else.

N labelled steps of any number of solutions, with their logits gathered from the token that ends each (one function for
training, evaluation and reinforcement: `reasoning.steps.step_end_indices`). Nothing is shifted: the logits *at* the
step's last token are the judgement on it.

    classes     two-way: wrong, right          three-way (PRM800K): wrong, right, neutral

Class 1 is `right` either way, so one reader scores both.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from r1ray.algorithms.masked import masked_sum
from r1ray.errors import DataError

WRONG, RIGHT, NEUTRAL = 0, 1, 2
"""Classes. A two-way model has the first two."""


def two_way_targets(labels: Float[Tensor, " N"]) -> Float[Tensor, "N 2"]:
    """(1 − y, y) for probabilities y of being right, hard or soft.

    Raises:
        DataError: a label outside [0, 1], −100 for one: unlabelled steps must be left out, not encoded.
    """
    outside = (labels < 0) | (labels > 1) | labels.isnan()
    if outside.any():
        raise DataError(
            f"A step label is {labels[outside][0].item()}; expected 0 to 1. Leave unlabelled steps out of the batch."
        )
    return torch.stack([1 - labels, labels], dim=-1)


def three_way_targets(ratings: Int[Tensor, " N"]) -> Float[Tensor, "N 3"]:
    """One-hot classes of PRM800K's ratings −1, 0, +1.

    Raises:
        DataError: another rating.
    """
    outside = (ratings < -1) | (ratings > 1)
    if outside.any():
        raise DataError(f"A step is rated {ratings[outside][0].item()}; expected -1, 0 or 1.")
    classes = torch.tensor([WRONG, NEUTRAL, RIGHT], device=ratings.device)[ratings + 1]
    return F.one_hot(classes, 3).float()


def step_loss(
    logits: Float[Tensor, "N C"],
    targets: Float[Tensor, "N C"],
    mask: Bool[Tensor, " N"],
    denominator: Float[Tensor, ""] | float,
) -> Float[Tensor, ""]:
    """−Σ_steps Σ_c q_c log softmax(logits)_c / denominator: cross-entropy with hard or soft targets q.

    With two-way targets this is Math-Shepherd's loss over its two candidate tokens (arXiv 2312.08935 equation 2).

    Args:
        mask: steps that count; what lies under 0, even nan, changes nothing.
        denominator: labelled steps of the whole optimizer step (`losses.global_count`).
    """
    kept = torch.where(mask[:, None], logits, 0.0).float()
    return masked_sum(-(targets * kept.log_softmax(-1)).sum(-1), mask) / denominator


def right_probability(logits: Float[Tensor, "N C"]) -> Float[Tensor, " N"]:
    """Probability that each step is right, from one (sigmoid), two or three classes; neutral counts as right (arXiv
    2305.20050 appendix F.2)."""
    classes = logits.shape[-1]
    if classes == 1:
        return logits[:, 0].float().sigmoid()
    if classes not in (2, 3):
        raise DataError(f"A process reward model has {classes} classes; expected 1, 2 (wrong, right) or 3 (+ neutral).")
    return 1 - logits.float().softmax(-1)[:, WRONG]


def steps_right(
    logits: Float[Tensor, "N C"], targets: Float[Tensor, "N C"], mask: Bool[Tensor, " N"]
) -> Float[Tensor, ""]:
    """How many steps get the class that their target makes likeliest."""
    return masked_sum((logits.argmax(-1) == targets.argmax(-1)).float(), mask)
