"""What must hold of rollouts before they may teach: they are fresh, and engine and trainer agree on their log-probs."""

import math

from jaxtyping import Float, Int
from torch import Tensor

from r1ray.errors import ParityError, StaleWeights
from r1ray.metrics.reductions import Max, Mean, Metric


def check_staleness(policy_version: Int[Tensor, " B"], newest: int, allowed: int) -> dict[str, Metric]:
    """Rollouts are at most `allowed` versions older than `newest`, the learner's own, and none is newer.

    Raises:
        StaleWeights: naming the version that came.
    """
    ages = newest - policy_version
    for age in ages.tolist():
        if not 0 <= age <= allowed:
            raise StaleWeights(
                f"A rollout of policy version {newest - age} reached the learner at version {newest}; "
                f"ppo.max_staleness allows {newest - allowed} to {newest}. Publish the learner's weights before "
                "rollouts are started."
            )
    return {"rollout/staleness": Mean.of(ages.tolist())}


def check_parity(
    policy_logprobs: Float[Tensor, " N"], rollout_logprobs: Float[Tensor, " N"], version: int, bound: float
) -> dict[str, Metric]:
    """How far the engine's log-probs of one policy version are from the trainer's; `bound` 0 only measures.

    Raises:
        ParityError: one differs by more than `bound`, or is NaN.
    """
    gap = (policy_logprobs.detach() - rollout_logprobs).abs()
    if not len(gap):
        return {"rollout/logprob_gap_max": Max(0.0), "rollout/logprob_gap_mean": Mean(math.nan, 0)}
    largest = float(gap.max())
    if bound and not largest <= bound:
        raise ParityError(
            f"Rollout and trainer log-probs of policy version {version} differ by {largest:.3g}; ppo.parity_bound is "
            f"{bound}. The engine holds other weights than it says, computes in another precision (then raise the "
            "bound: about 0.3 for bfloat16), or samples from a truncated distribution (sampling.top_p, top_k)."
        )
    return {"rollout/logprob_gap_max": Max(largest), "rollout/logprob_gap_mean": Mean(float(gap.mean()), len(gap))}
