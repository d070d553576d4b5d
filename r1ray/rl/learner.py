"""The learner: scored rollouts in, a better policy out.

rollouts ─► Experience ─► measure (old log-probs, values, reference) ─► advantages ─► PPO epochs ─► step
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from r1ray.algorithms.advantages import explained_variance
from r1ray.algorithms.estimators import ESTIMATORS, Scored
from r1ray.algorithms.experience import Experience, collate, minibatches
from r1ray.algorithms.kl import k3, kl_controller
from r1ray.algorithms.losses import global_count
from r1ray.algorithms.masked import masked_mean, masked_sum
from r1ray.algorithms.packing import PackedBatch, gather, pack, scatter
from r1ray.config.jobs import PPOJobConfig
from r1ray.metrics.reductions import Last, Mean, Metric, Sum
from r1ray.models.policy import Policy, PolicyOutput
from r1ray.rl.checks import check_parity, check_staleness
from r1ray.rl.objective import objective
from r1ray.rl.weights import FlatWeights
from r1ray.train.engine import TrainEngine
from r1ray.train.supervised import equal_count
from r1ray.types import ScoredRollout

MicroBatch = tuple[PackedBatch, bool]
"""A packed batch, and whether it counts: a rank that has fewer than another fills up with idle ones."""


class Learner:
    """One rank's half of PPO: the networks, their engine, and the few numbers that outlive a step."""

    def __init__(self, engine: TrainEngine, reference: Policy | None, config: PPOJobConfig, version: int = 1) -> None:
        """
        Args:
            engine: holds an `ActorCritic`.
            reference: frozen policy of the KL, on the engine's device; None where `ppo.needs_reference` is not set.
            version: policy version of the weights at the start.
        """
        self._engine, self._reference, self._config = engine, reference, config
        self._kl = kl_controller(config.ppo)
        self.version = version
        self.last: Experience | None = None
        """The experience of the newest update, filled in: what samples are shown from."""

        ppo = config.ppo
        self._has_critic = ppo.algorithm == "ppo"
        self._single_update = ppo.epochs * ppo.minibatches == 1
        # The forward pass of a single update gives π_old by itself. Values, the reference's log-probs and the π_old of
        # several updates must be measured before the first.
        self._measures = self._has_critic or reference is not None or not self._single_update
        # A rollout without advantage has no gradient, so no pass is spent on it, unless another term gives it one.
        self._skips_flat = ppo.drop_flat_groups and not self._has_critic and reference is None and ppo.ent_coef == 0

    def update(self, rollouts: Sequence[ScoredRollout]) -> dict[str, Metric]:
        """Learn from this rank's share of a step's rollouts, whole groups at a time; returns its metrics.

        Raises:
            StaleWeights: a rollout is older than `ppo.max_staleness` allows.
            ParityError: rollout and trainer log-probs of one policy version differ beyond reason.
        """
        self._engine.module.train()
        batch = collate(rollouts).to(self._engine.device)
        metrics = check_staleness(batch.policy_version, self.version, self._config.ppo.max_staleness)
        if self._skips_flat:
            batch = self._estimate(batch, metrics)
        micro = self._pack(batch)
        # Where one micro-batch is the whole update, its own forward pass serves as the measurement too.
        graph = self._forward(micro[0][0]) if self._single_update and len(micro) == 1 else None
        if self._measures:
            batch = self._measure(batch, micro, graph, metrics)
        if not self._skips_flat:
            batch = self._estimate(batch, metrics)
        for epoch in range(self._config.ppo.epochs):
            seed = self._config.run.seed * 7919 + self.version * 101 + epoch
            for part in minibatches(batch, self._config.ppo.minibatches, seed) if not self._single_update else [batch]:
                self._optimize(part, micro if self._single_update else self._pack(part), graph, metrics)
        self._follow_reference(batch, metrics)
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

    def _pack(self, batch: Experience) -> list[MicroBatch]:
        """Micro-batches of this rank's rollouts that have something to teach, as many as on every other rank."""
        rows = list(range(len(batch)))
        if self._skips_flat and batch.advantages is not None:
            rows = batch.advantages.any(dim=1).nonzero().flatten().tolist()
        group = batch.group.tolist()
        packed = pack(
            [batch.prompts[row] for row in rows],
            [batch.responses[row] for row in rows],
            group=[group[row] for row in rows],
            max_tokens=self._config.optim.tokens_per_microbatch,
        )
        index = torch.tensor(rows, dtype=torch.long)
        in_batch = [replace(p, sequence=index[p.sequence], tail_sequence=index[p.tail_sequence]) for p in packed]
        return [(p.to(self._engine.device), counts) for p, counts in equal_count(in_batch, self._engine)]

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
        self, batch: Experience, micro: list[MicroBatch], graph: PolicyOutput | None, metrics: dict[str, Metric]
    ) -> Experience:
        """Fill in π_old's log-probs, the critic's values and the reference's log-probs."""
        rollouts, tokens = batch.action_mask.shape
        old, values, reference = torch.zeros(3, rollouts, tokens, device=self._engine.device)
        tails = old.new_zeros(rollouts)
        for packed, counts in micro:
            output = graph if graph is not None else self._forward(packed)
            if not counts:
                continue
            self._check_parity(batch, packed, output, metrics)
            old += scatter(output.logprobs, packed, rollouts, tokens)
            if self._has_critic and output.values is not None and output.tail_values is not None:
                values += scatter(output.values, packed, rollouts, tokens)
                if self._config.ppo.bootstrap_truncated:
                    tails[packed.tail_sequence] = output.tail_values
            if self._reference is not None:
                judged = self._reference(
                    packed, temperature=self._config.sampling.temperature, chunk=self._config.optim.logits_chunk
                )
                reference += scatter(judged.logprobs, packed, rollouts, tokens)
        return replace(
            batch,
            policy_logprobs=old,
            values=values if self._has_critic else None,
            tail_values=tails if self._has_critic else None,
            ref_logprobs=reference if self._reference is not None else None,
        )

    def _check_parity(
        self, batch: Experience, packed: PackedBatch, output: PolicyOutput, metrics: dict[str, Metric]
    ) -> None:
        """Compare with the engine's log-probs, on rollouts of the very weights that the trainer holds."""
        same = (batch.policy_version == self.version)[packed.sequence]
        rollout = gather(batch.rollout_logprobs, packed)
        _merge(
            metrics,
            check_parity(output.logprobs[same], rollout[same], self.version, self._config.ppo.parity_bound),
        )

    def _estimate(self, batch: Experience, metrics: dict[str, Metric]) -> Experience:
        """Advantages and returns, over the whole batch of all ranks."""
        ppo = self._config.ppo
        in_reward = self._kl.value if self._reference is not None and not ppo.kl_in_loss else 0.0
        rewards = Scored.from_experience(batch, placement=self._config.reward.step_placement, kl_coef=in_reward)
        estimate = ESTIMATORS[ppo.algorithm](rewards, ppo, self._engine.all_reduce)
        metrics["reward/return"] = Mean.of(rewards.returns.tolist())
        if batch.values is not None and estimate.returns is not None:
            mask, tokens = batch.action_mask, float(batch.action_mask.sum())
            explained = explained_variance(batch.values, estimate.returns, mask)
            metrics["ppo/explained_variance"] = Mean(float(explained), tokens)
            metrics["ppo/value_mean"] = Mean(float(masked_mean(batch.values, mask)), tokens)
        if self._skips_flat:
            metrics["rollout/dropped_flat"] = Sum(float((~estimate.advantages.any(dim=1)).sum()))
        return replace(batch, advantages=estimate.advantages, returns=estimate.returns)

    # ── From advantages to weights ────────────────────────────────────────────────────────────────────────────────────

    def _optimize(
        self, part: Experience, micro: list[MicroBatch], graph: PolicyOutput | None, metrics: dict[str, Metric]
    ) -> None:
        """One optimizer step over one minibatch."""
        denominator = global_count(
            part.action_mask, all_reduce=self._engine.all_reduce, averaged_over=self._engine.world_size
        )
        for packed, counts in micro:
            output = graph if graph is not None else self._forward(packed)
            if counts:
                if part.policy_logprobs is None:
                    self._check_parity(part, packed, output, metrics)
                loss, found = objective(part, packed, output, denominator, self._config.ppo, self._kl.value)
                _merge(metrics, found)
            else:
                loss = _nothing(output)
            self._engine.backward(loss)
        for name, value in self._engine.step().items():
            metrics[f"optim/{name}"] = Last(value)

    def _follow_reference(self, batch: Experience, metrics: dict[str, Metric]) -> None:
        """Log how far the policy was from the reference, and adapt the coefficient for the next step."""
        if batch.ref_logprobs is None or batch.policy_logprobs is None:
            return
        distance = masked_sum(k3(batch.policy_logprobs, batch.ref_logprobs), batch.action_mask, dim=1)
        metrics["ppo/ref_kl"] = Mean.of(distance.tolist())
        metrics["ppo/kl_coef"] = Last(self._kl.value)
        total, count = self._engine.all_reduce(torch.stack([distance.sum(), distance.new_tensor(len(batch))])).tolist()
        self._kl.update(total / max(1.0, count), int(count))


def _nothing(output: PolicyOutput) -> Tensor:
    """Zero, with a gradient of zero for every weight: collectives in the backward pass need all ranks to make it."""
    total = output.logprobs.sum()
    return 0.0 * (total if output.values is None else total + output.values.sum())


def _merge(into: dict[str, Metric], found: dict[str, Metric]) -> None:
    for key, metric in found.items():
        into[key] = into[key].merge(metric) if key in into else metric
