"""From scores of steps, a score of the outcome and the KL to one reward for each token.

    step scores ── place_steps ──► step rewards, each on its step's last token ─┐
                        └────────► one aggregate ─┐                             ├─ token_rewards ─► (B, T)
    outcome ──────────────────────────────────────┴─► the last action token ────┘        + kl_rewards

What splitting a step in two parts of the same total does to the undiscounted return, for scores in [0, 1]:

    place       the same: scores add up. It suits checkers that share a fixed total among the steps. A model that scores
                every step anew would pay for each further step: give it one of the others
    difference  never more: s_j − s_{j−1} telescopes to the last score (potential-based shaping, Ng et al. 1999)
    last        never more: the last score, paid at the end
    min, prod   never more: a further candidate or factor cannot raise them (Lightman et al., arXiv 2305.20050)
    mean        never more: the same total over more steps
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from r1ray.algorithms.kl import k1
from r1ray.algorithms.masked import masked_mean
from r1ray.errors import DataError


def place_steps(
    step_scores: Float[Tensor, "B S"], step_mask: Bool[Tensor, "B S"], placement: str
) -> tuple[Float[Tensor, "B S"], Float[Tensor, " B"]]:
    """What each step earns on its own last token, and what all of them earn on the rollout's last token.

    `placement` is `RewardConfig.step_placement`. Steps are padded on the right. A rollout without steps earns 0.
    """
    scores = torch.where(step_mask, step_scores, 0.0)
    nothing = scores.new_zeros(len(scores))
    if placement == "place":
        return scores, nothing
    if placement == "difference":
        previous = F.pad(scores, (1, 0))[:, :-1]
        return torch.where(step_mask, scores - previous, 0.0), nothing
    return torch.zeros_like(scores), _aggregate(F.pad(scores, (0, 1)), F.pad(step_mask, (0, 1)), placement)


def token_rewards(
    step_rewards: Float[Tensor, "B S"],
    step_ends: Int[Tensor, "B S"],
    step_mask: Bool[Tensor, "B S"],
    final: Float[Tensor, " B"],
    action_mask: Bool[Tensor, "B T"],
) -> Float[Tensor, "B T"]:
    """Each step's reward on its last token, `final` (outcome and aggregate) on the last action token, 0 elsewhere.

    A rollout without action tokens has nowhere to put a reward and gets none. Raises `DataError` where a step ends on a
    token that the policy did not sample.
    """
    ends = torch.where(step_mask, step_ends, 0)
    rewards = torch.zeros_like(action_mask, dtype=final.dtype)
    if not action_mask.any():
        return rewards
    inside = (ends >= 0) & (ends < action_mask.shape[1])
    on_action = inside & action_mask.gather(1, torch.where(inside, ends, 0))
    if not (on_action | ~step_mask).all():
        rollout, step = (~on_action & step_mask).nonzero()[0].tolist()
        raise DataError(
            f"step {step} of rollout {rollout} ends at token {int(ends[rollout, step])}, which the policy did not "
            "sample; rewards go on action tokens alone. Map step ends onto the sampled ids."
        )
    rewards.scatter_add_(1, ends, torch.where(step_mask, step_rewards, 0.0))
    acted = action_mask.any(1)
    return rewards.scatter_add_(1, last_action(action_mask)[:, None], torch.where(acted, final, 0.0)[:, None])


def kl_rewards(
    policy_logprobs: Float[Tensor, "B T"],
    ref_logprobs: Float[Tensor, "B T"],
    action_mask: Bool[Tensor, "B T"],
    kl_coef: float,
) -> Float[Tensor, "B T"]:
    """−β k1 on every action token, without gradient (Ziegler et al., arXiv 1909.08593)."""
    return torch.where(action_mask, -kl_coef * k1(policy_logprobs, ref_logprobs), 0.0).detach()


def last_action(action_mask: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """Index of each row's last action token; 0 for a row without one."""
    positions = torch.arange(action_mask.shape[1], device=action_mask.device)
    return torch.where(action_mask, positions, 0).amax(1)


def _aggregate(
    scores: Float[Tensor, "B columns"], mask: Bool[Tensor, "B columns"], placement: str
) -> Float[Tensor, " B"]:
    """One number for all steps of a rollout. There is at least one column of padding, so that S = 0 needs no care."""
    if placement == "min":
        aggregate = torch.where(mask, scores, torch.inf).amin(1)
    elif placement == "prod":
        aggregate = torch.where(mask, scores, 1.0).prod(1)
    elif placement == "mean":
        aggregate = masked_mean(scores, mask, dim=1)
    elif placement == "last":
        aggregate = scores.gather(1, last_action(mask)[:, None]).squeeze(1)
    else:
        raise DataError(f"step placement is {placement!r}; expected place, difference, min, prod, mean or last.")
    return torch.where(mask.any(1), aggregate, 0.0)
