"""The learner: scored rollouts in, a better policy out.

    rollouts ─► Experience ─► measure (old log-probs, values, reference) ─► advantages ─► PPO epochs ─► step
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from r1ray.algorithms.advantages import flat_groups
from r1ray.algorithms.estimators import ESTIMATORS, Scored
from r1ray.algorithms.experience import Experience, collate, minibatches
from r1ray.algorithms.kl import k3, kl_controller
from r1ray.algorithms.losses import (
    PolicyDiagnostics,
    entropy_bonus,
    global_count,
    importance_weights,
    kl_loss,
    policy_loss,
    value_loss,
)
from r1ray.algorithms.masked import masked_sum
from r1ray.algorithms.packing import PackedBatch, gather, pack, scatter
from r1ray.config.jobs import PPOJobConfig
from r1ray.errors import ParityError, StaleWeights
from r1ray.metrics.reductions import Last, Max, Mean, Metric, Sum
from r1ray.models.policy import Policy, PolicyOutput
from r1ray.rl.weights import FlatWeights
from r1ray.train.engine import TrainEngine
from r1ray.train.supervised import equal_count
from r1ray.types import ScoredRollout


class Learner:
    """One rank's half of PPO: the networks, their engine, and the few numbers that outlive a step."""

    def __init__(
        self, engine: TrainEngine, reference: Policy | None, config: PPOJobConfig, version: int = 1
    ) -> None:
        """
        Args:
            engine: holds an `ActorCritic`.
            reference: frozen policy of the KL, on the engine's device; None where `ppo.kl_coef` is 0.
            version: policy version of the weights at the start.
        """
        self._engine, self._reference, self._config = engine, reference, config
        self._kl = kl_controller(config.ppo)
        self.version = version
        self.last: Experience | None = None
        """The experience of the newest update, filled in: what samples are shown from."""

    def update(self, rollouts: Sequence[ScoredRollout]) -> dict[str, Metric]:
        """Learn from this rank's share of a step's rollouts, whole groups at a time; returns its metrics.

        Raises:
            StaleWeights: a rollout is older than `ppo.max_staleness` allows.
            ParityError: rollout and trainer log-probs of one policy version differ beyond reason.
        """
        self._engine.module.train()
        batch = collate(rollouts).to(self._engine.device)
        metrics = self._check_staleness(batch)
        if self._config.ppo.drop_flat_groups and self._config.ppo.algorithm != "ppo":
            batch = self._drop_flat(batch, metrics)
        once = self._config.ppo.epochs * self._config.ppo.minibatches == 1
        parts = self._pack(batch)
        # When one micro-batch is the whole update, its own forward pass gives the old log-probs and values.
        graph = self._forward(parts[0][0]) if once and len(parts) == 1 else None
        batch = self._measure(batch, parts, graph)
        metrics |= self._parity(batch)
        batch = self._estimate(batch, metrics)
        for epoch in range(self._config.ppo.epochs):
            seed = self._config.run.seed * 7919 + self.version * 101 + epoch
            for part in [batch] if once else minibatches(batch, self._config.ppo.minibatches, seed):
                self._optimize(part, parts if once else self._pack(part), graph, metrics)
        self.version += 1
        self.last = batch
        return metrics

    def publish(self) -> FlatWeights | None:
        """The policy's weights as they are now, stamped with their version; None on ranks other than 0."""
        weights = self._engine.weights()
        return FlatWeights.of(weights, self.version) if self._engine.rank == 0 else None

    def state_dict(self) -> dict[str, Any]:
        """What must outlive this process beside the engine's own state; JSON-serialisable."""
        return {"version": self.version, "kl": self._kl.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.version = state["version"]
        self._kl.load_state_dict(state["kl"])

    # ── From rollouts to advantages ───────────────────────────────────────────────────────────────────────────────────

    def _check_staleness(self, batch: Experience) -> dict[str, Metric]:
        ages = self.version - batch.policy_version
        if len(batch) and int(ages.max()) > self._config.ppo.max_staleness:
            raise StaleWeights(
                f"A rollout of policy version {int(batch.policy_version.min())} reached the learner at version {self.version}; "
                f"ppo.max_staleness allows {self._config.ppo.max_staleness}. Its weights were not published in time."
            )
        return {"rollout/staleness": Mean(float(ages.float().mean()) if len(batch) else math.nan, len(batch))}

    def _drop_flat(self, batch: Experience, metrics: dict[str, Metric]) -> Experience:
        """Leave out rollouts that a group baseline gives an advantage of zero."""
        returns = Scored.from_experience(batch, placement=self._config.reward.step_placement).returns
        keep = (~flat_groups(returns, batch.group)).nonzero().flatten().tolist()
        metrics["rollout/dropped_flat"] = Sum(float(len(batch) - len(keep)))
        return batch.select(keep)

    def _pack(self, batch: Experience) -> list[tuple[PackedBatch, bool]]:
        """Micro-batches of this rank, as many as on every other, each with whether it counts."""
        micro = pack(
            batch.prompts, batch.responses, group=batch.group.tolist(), max_tokens=self._config.optim.tokens_per_microbatch
        )
        return [(packed.to(self._engine.device), counts) for packed, counts in equal_count(micro, self._engine)]

    def _forward(self, packed: PackedBatch) -> PolicyOutput:
        output: PolicyOutput = self._engine.forward(
            packed,
            temperature=self._config.sampling.temperature,
            chunk=self._config.optim.logits_chunk,
            entropy_grad=self._config.ppo.ent_coef > 0,
        )
        return output

    @torch.no_grad()
    def _measure(
        self, batch: Experience, parts: list[tuple[PackedBatch, bool]], graph: PolicyOutput | None
    ) -> Experience:
        """Fill in old log-probs and values, and the reference's log-probs."""
        rollouts, tokens = batch.action_mask.shape
        zeros = torch.zeros(rollouts, tokens, device=self._engine.device)
        old, values, reference = zeros, zeros.clone(), zeros.clone()
        tails = zeros.new_zeros(rollouts)
        # On-policy, first and only pass: π_old is the very forward that trains, so no pass is spent on it; a critic's values
        # are needed before the loss, and cost one.
        needed = self._config.ppo.algorithm == "ppo" or self._config.ppo.epochs * self._config.ppo.minibatches > 1
        needed = needed or bool(self._config.ppo.kl_coef) or self._config.ppo.max_staleness > 0
        for packed, counts in parts:
            if graph is None and not needed:
                break
            output = graph if graph is not None else self._forward(packed)
            if not counts:
                continue
            old = old + scatter(output.logprobs.float(), packed, rollouts, tokens)
            if output.values is not None and output.tail_values is not None:
                values = values + scatter(output.values, packed, rollouts, tokens)
                if self._config.ppo.bootstrap_truncated:
                    tails[packed.tail_sequence] = output.tail_values
            if self._reference is not None:
                judged = self._reference(
                    packed, temperature=self._config.sampling.temperature, chunk=self._config.optim.logits_chunk
                )
                reference = reference + scatter(judged.logprobs.float(), packed, rollouts, tokens)
        known = graph is not None or needed
        critic = self._config.ppo.algorithm == "ppo"
        return replace(
            batch,
            policy_logprobs=old if known else None,
            values=values if critic else None,
            tail_values=tails if critic else None,
            ref_logprobs=reference if self._reference is not None else None,
        )

    def _parity(self, batch: Experience) -> dict[str, Metric]:
        """How far the engine's log-probs are from the trainer's on the same policy, and the alarm."""
        if batch.policy_logprobs is None:
            return {}
        current = (batch.policy_version == self.version)[:, None] & batch.action_mask
        gap = torch.where(current, (batch.policy_logprobs - batch.rollout_logprobs).abs(), 0.0)
        largest = float(gap.max()) if gap.numel() else 0.0
        return self._alarm(largest, float(gap.sum()), int(current.sum()))

    def _alarm(self, largest: float, total: float, tokens: int) -> dict[str, Metric]:
        bound = self._config.ppo.parity_bound
        if bound and not largest <= bound:
            raise ParityError(
                f"Rollout and trainer log-probs of policy version {self.version} differ by {largest:.3g}; ppo.parity_bound is {bound}. "
                "The engine holds other weights than it says, computes in another precision (then raise the bound: about 0.3 for "
                "bfloat16), or samples from a truncated distribution (sampling.top_p, top_k)."
            )
        return {
            "rollout/logprob_gap_max": Max(largest),
            "rollout/logprob_gap_mean": Mean(total / tokens if tokens else math.nan, tokens),
        }

    def _estimate(self, batch: Experience, metrics: dict[str, Metric]) -> Experience:
        """Advantages and returns, over the whole batch of all ranks."""
        ppo = self._config.ppo
        in_reward = self._kl.value if self._reference is not None and not ppo.kl_in_loss else 0.0
        rewards = Scored.from_experience(batch, placement=self._config.reward.step_placement, kl_coef=in_reward)
        estimate = ESTIMATORS[ppo.algorithm](rewards, ppo, self._engine.all_reduce)
        mask = batch.action_mask
        metrics["reward/return"] = Mean.of(rewards.returns.tolist())
        if batch.ref_logprobs is not None and batch.policy_logprobs is not None:
            per_rollout = masked_sum(k3(batch.policy_logprobs, batch.ref_logprobs), mask, dim=1)
            metrics["ppo/ref_kl"] = Mean.of(per_rollout.tolist())
            metrics["ppo/kl_coef"] = Last(self._kl.value)
            total = self._engine.all_reduce(torch.stack([per_rollout.sum(), per_rollout.new_tensor(float(len(batch)))]))
            self._kl.update(float(total[0] / total[1].clamp(min=1)), int(total[1]))
        if batch.values is not None and estimate.returns is not None and mask.any():
            residual, target = (estimate.returns - batch.values)[mask], estimate.returns[mask]
            variance = float(target.var(unbiased=False))
            explained = 1 - float(residual.var(unbiased=False)) / variance if variance > 0 else math.nan
            metrics["ppo/explained_variance"] = Mean(explained, float(mask.sum()))
            metrics["ppo/value_mean"] = Mean(float(batch.values[mask].mean()), float(mask.sum()))
        return replace(batch, advantages=estimate.advantages, returns=estimate.returns)

    # ── From advantages to weights ────────────────────────────────────────────────────────────────────────────────────

    def _optimize(
        self,
        part: Experience,
        micro: list[tuple[PackedBatch, bool]],
        graph: PolicyOutput | None,
        metrics: dict[str, Metric],
    ) -> None:
        """One optimizer step over one minibatch."""
        denominator = global_count(
            part.action_mask, all_reduce=self._engine.all_reduce, averaged_over=self._engine.world_size
        )
        for packed, counts in micro:
            output = graph if graph is not None else self._forward(packed)
            if counts:
                loss = self._loss(part, packed, output, denominator, metrics)
            else:
                loss = 0.0 * (output.logprobs.sum() + (output.values.sum() if output.values is not None else 0.0))
            self._engine.backward(loss)
        for name, value in self._engine.step().items():
            metrics[f"optim/{name}"] = Last(value)

    def _loss(
        self,
        part: Experience,
        packed: PackedBatch,
        output: PolicyOutput,
        denominator: Tensor,
        metrics: dict[str, Metric],
    ) -> Tensor:
        """PPO's loss on one micro-batch, whose tokens lie flat: everything of shape (N,)."""
        ppo = self._config.ppo
        assert part.advantages is not None
        rollout = gather(part.rollout_logprobs, packed)
        policy = output.logprobs.float()
        if part.policy_logprobs is None:
            old = policy.detach()
            _merge(metrics, self._flat_parity(policy.detach(), rollout))
        else:
            old = gather(part.policy_logprobs, packed)
        mask = torch.ones_like(policy, dtype=torch.bool)
        weights = importance_weights(old, rollout, ppo.importance_cap) if ppo.importance_cap else None
        loss, seen = policy_loss(
            policy, old, gather(part.advantages, packed), mask, ppo, denominator, importance_weights=weights
        )
        found = _policy_metrics(seen, float(loss.detach()), denominator)
        tokens = float(len(policy))
        found["ppo/entropy"] = Mean(float(output.entropy.mean()) if len(policy) else math.nan, tokens)
        if ppo.ent_coef:
            loss = loss - ppo.ent_coef * entropy_bonus(output.entropy, mask, denominator)
        if part.returns is not None and part.values is not None and output.values is not None:
            value = value_loss(
                output.values, gather(part.values, packed), gather(part.returns, packed), mask, ppo.value_clip, denominator
            )
            found["ppo/value_loss"] = Mean(float(value.detach()) * float(denominator) / max(1.0, tokens), tokens)
            loss = loss + ppo.vf_coef * value
        if ppo.kl_in_loss and part.ref_logprobs is not None:
            loss = loss + self._kl.value * kl_loss(policy, gather(part.ref_logprobs, packed), mask, denominator)
        _merge(metrics, found)
        return loss

    def _flat_parity(self, policy: Tensor, rollout: Tensor) -> dict[str, Metric]:
        if self._config.ppo.max_staleness or not len(policy):
            return {}
        gap = (policy - rollout).abs()
        return self._alarm(float(gap.max()), float(gap.sum()), len(policy))


def _policy_metrics(seen: PolicyDiagnostics, loss: float, denominator: Tensor) -> dict[str, Metric]:
    tokens = float(seen.tokens)
    each = max(1.0, tokens)
    return {
        "ppo/policy_loss": Mean(loss * float(denominator) / each, tokens),
        "ppo/policy_kl": Mean(float(seen.policy_kl) / each, tokens),
        "ppo/clip_fraction": Mean(float(seen.clipped) / each, tokens),
        "ppo/ratio_deviation": Max(float(seen.ratio_deviation)),
    }


def _merge(into: dict[str, Metric], found: dict[str, Metric]) -> None:
    for key, metric in found.items():
        into[key] = into[key].merge(metric) if key in into else metric
