"""Two ranks that share a step's rollouts make the update that one rank with all of them makes."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from r1ray.metrics.reductions import reduce_all
from r1ray.types import ScoredRollout
from tests.rl.helpers import job, make_learner
from tests.rl.ranks import Case, run_rank

NOT_ADDITIVE = {"ppo/explained_variance"}
"""A ratio of variances: over ranks it is their mean, not that of the whole batch."""


@pytest.mark.slow
def test_two_ranks_equal_one(tiny_policy: Path, scored: list[ScoredRollout], tmp_path: Path) -> None:
    def share(*problems: str) -> list[ScoredRollout]:
        return [s for s in scored if s.rollout.problem.id in problems]

    uneven = (share("p0", "p1", "p3", "p4", "p5"), share("p2"))  # several micro-batches, and one
    empty = (scored, share())
    base = job(tiny_policy, bootstrap_truncated=True)
    base = replace(base, optim=replace(base.optim, tokens_per_microbatch=200, max_grad_norm=0.3))
    grpo = replace(base, ppo=replace(base.ppo, algorithm="grpo"))
    kl = replace(base, ppo=replace(base.ppo, algorithm="rloo", kl_coef=0.5, kl_target=0.1, kl_horizon=240))
    cases = [
        *(Case(f"stage{stage}", base, stage, uneven) for stage in (0, 1, 2, 3)),
        *(Case(f"empty{stage}", base, stage, empty) for stage in (0, 2, 3)),
        Case("critic", replace(base, critic=replace(base.critic, kind="model")), 3, uneven),
        Case("flat", replace(grpo, ppo=replace(grpo.ppo, drop_flat_groups=True)), 2, uneven),
        Case("kl", kl, 1, uneven),
        Case("minibatches", replace(grpo, ppo=replace(grpo.ppo, epochs=2, minibatches=2)), 2, empty),
    ]
    narrow = replace(base, policy=replace(base.policy, dtype="bfloat16"), ppo=replace(base.ppo, parity_bound=0.0))
    rounded = Case("bfloat16", narrow, 2, uneven)
    spawn(run_rank, args=([*cases, rounded], str(tmp_path)), nprocs=2)

    def left_by(case: Case, rank: int) -> Any:
        return pickle.loads((tmp_path / f"{case.name}-{rank}.pkl").read_bytes())

    for case in cases:
        (metrics, state, weights), (other_metrics, other_state, nothing) = left_by(case, 0), left_by(case, 1)
        learner, _ = make_learner(case.config)
        expected = learner.update([s for share in case.shares for s in share])
        published = learner.publish()
        assert published is not None and not nothing
        reference = published.tensors()
        assert weights.keys() == reference.keys()
        difference = max(float((weights[name] - reference[name]).abs().max()) for name in weights)
        assert difference < 1e-5, case.name
        assert state == other_state
        assert state["kl"]["value"] == pytest.approx(learner.state_dict()["kl"]["value"])
        one, two = reduce_all([expected]), reduce_all([metrics, other_metrics])
        for key in one.keys() - NOT_ADDITIVE:
            assert two[key] == pytest.approx(one[key], abs=1e-4), (case.name, key)

    metrics, _, weights = left_by(rounded, 0)
    _, exact = make_learner(base)
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    assert metrics["ppo/ratio_deviation"].value == 0
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(weights[name], exact.policy.model.get_parameter(name).detach().bfloat16())
