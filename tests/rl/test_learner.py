"""One update: independent of how tokens are cut up, on policy at its first step, refusing rollouts of other weights."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from r1ray.algorithms.packing import pack
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.optim import OptimConfig
from r1ray.errors import ParityError, StaleWeights
from r1ray.metrics.reductions import reduce_all
from r1ray.types import Completion, ScoredRollout
from tests.fakes import TorchEngine
from tests.rl.helpers import (
    GRADIENT_STEP,
    at_version,
    distance,
    job,
    make_learner,
    networks,
    rollout_worker,
    sample,
    score,
    weights_of,
)

ALGORITHMS = [
    ("ppo", "head"),
    ("ppo", "model"),
    ("grpo", "none"),
    ("grpo_process", "none"),
    ("rloo", "none"),
    ("reinforce_pp", "none"),
]


def updated(config: PPOJobConfig, scored: list[ScoredRollout]) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Weights and figures after one update."""
    learner, module = make_learner(config)
    metrics = learner.update(scored)
    return weights_of(module), reduce_all([metrics])


def with_budget(config: PPOJobConfig, tokens: int) -> PPOJobConfig:
    return replace(config, optim=replace(config.optim, tokens_per_microbatch=tokens))


def flat(scored: list[ScoredRollout], problems: set[str]) -> list[ScoredRollout]:
    """Rollouts of these problems earn nothing at all."""
    return [
        replace(s, outcome_reward=0.0, step_scores=[0.0] * len(s.steps)) if s.rollout.problem.id in problems else s
        for s in scored
    ]


def spoiled(scored: list[ScoredRollout], by: float) -> list[ScoredRollout]:
    """The engine said other log-probs."""

    def shift(completion: Completion) -> Completion:
        return replace(completion, logprobs=[logprob - by for logprob in completion.logprobs])

    return [replace(s, rollout=replace(s.rollout, completion=shift(s.rollout.completion))) for s in scored]


def tokens_of(scored: list[ScoredRollout]) -> int:
    return sum(len(s.rollout.completion.token_ids) for s in scored)


def gradient(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> torch.Tensor:
    """One weight's gradient g, from the step lr · g / (|g| + 1) that `GRADIENT_STEP` made of it."""
    name = "policy.model.model.norm.weight"
    step = (before[name] - after[name]) / GRADIENT_STEP.lr
    return step / (1 - step.abs())


# ── How the tokens are cut up ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("algorithm", "critic"), ALGORITHMS)
def test_the_update_does_not_depend_on_the_microbatch_budget(
    algorithm: str, critic: str, tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    config = job(tiny_policy, algorithm=algorithm, critic=critic, bootstrap_truncated=True, ent_coef=0.01)
    at_once, figures = updated(config, scored)
    assert distance(at_once, weights_of(networks(config))) > 1e-3  # the update is no trifle beside the tolerance
    in_parts, figures_in_parts = updated(with_budget(config, 60), scored)
    assert distance(at_once, in_parts) < 1e-5
    assert figures_in_parts.keys() == figures.keys()
    assert all(figures_in_parts[key] == pytest.approx(figures[key], abs=1e-4) for key in figures)


@pytest.mark.parametrize(("algorithm", "critic"), [("ppo", "head"), ("grpo", "none")])
def test_several_updates_do_not_depend_on_it_either(
    algorithm: str, critic: str, tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    config = job(tiny_policy, algorithm=algorithm, critic=critic, epochs=2, minibatches=3, prompts_per_step=6)
    at_once, _ = updated(config, scored)
    in_parts, _ = updated(with_budget(config, 60), scored)
    assert distance(at_once, in_parts) < 1e-4


def test_the_order_of_rollouts_changes_nothing(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    config = job(tiny_policy, critic="model")
    forwards, _ = updated(config, scored)
    backwards, _ = updated(config, scored[::-1])
    assert distance(forwards, backwards) < 1e-5


# ── The first inner step, and those after it ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize(("algorithm", "budget"), [("ppo", 100_000), ("ppo", 100), ("grpo", 100_000), ("grpo", 100)])
def test_the_first_inner_step_is_on_policy(algorithm: str, budget: int, temperature: float, tiny_policy: Path) -> None:
    config = with_budget(job(tiny_policy, algorithm=algorithm, temperature=temperature), budget)
    rollouts = score(sample(rollout_worker(config), config))
    _, figures = updated(config, rollouts)
    assert figures["ppo/ratio_deviation"] < 1e-4
    assert figures["ppo/clip_fraction"] == 0
    assert figures["rollout/logprob_gap_max"] < 1e-3


def test_later_inner_steps_move_away_and_are_clipped(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    optim = replace(GRADIENT_STEP, lr=3e-3, eps=1e-8)
    config = job(tiny_policy, epochs=4, minibatches=2, prompts_per_step=6, clip_eps=0.05, optim=optim)
    learner, _ = make_learner(config)
    metrics = learner.update(scored)
    figures = reduce_all([metrics])
    assert figures["ppo/ratio_deviation"] > 0.05
    assert 0 < figures["ppo/clip_fraction"] < 1
    # Every epoch sees every token: the means are over 4 epochs of all tokens.
    assert metrics["ppo/clip_fraction"].weight == 4 * tokens_of(scored)  # type: ignore[attr-defined]
    assert learner.version == 2


def test_more_minibatches_than_groups_still_take_every_step(
    tiny_policy: Path, scored: list[ScoredRollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    norms = []
    step = TorchEngine.step

    def noted(engine: TorchEngine) -> dict[str, float]:
        figures = step(engine)
        norms.append(figures["grad_norm"])
        return figures

    monkeypatch.setattr(TorchEngine, "step", noted)
    config = job(tiny_policy, algorithm="grpo", minibatches=4, prompts_per_step=4)
    updated(config, [s for s in scored if s.rollout.problem.id in ("p0", "p1")])
    assert len(norms) == 4
    assert sorted(norm > 0 for norm in norms) == [False, False, True, True]


# ── KL ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("in_loss", [False, True])
def test_the_kl_against_an_identical_reference_is_zero_and_changes_nothing(
    in_loss: bool, tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    without, _ = updated(job(tiny_policy, algorithm="grpo"), scored)
    config = job(tiny_policy, algorithm="grpo", kl_coef=0.5, kl_in_loss=in_loss)
    weights, figures = updated(config, scored)
    assert figures["ppo/ref_kl"] == pytest.approx(0, abs=1e-6)
    assert figures["ppo/kl_coef"] == 0.5
    assert distance(weights, without) < 1e-5


def test_a_kl_that_is_only_measured_is_logged_and_changes_nothing(
    tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    without, silent = updated(job(tiny_policy, algorithm="rloo", minibatches=2), scored)
    weights, figures = updated(job(tiny_policy, algorithm="rloo", minibatches=2, measure_kl=True), scored)
    assert "ppo/ref_kl" not in silent
    assert figures["ppo/ref_kl"] == pytest.approx(0, abs=1e-6)
    assert distance(weights, without) == 0


@pytest.mark.parametrize(("algorithm", "in_loss"), [("ppo", False), ("rloo", True)])
def test_the_kl_penalty_moves_the_policy_towards_the_reference(
    algorithm: str, in_loss: bool, tiny_policy: Path
) -> None:
    optim = OptimConfig(lr=1e-2, tokens_per_microbatch=100_000)
    config = job(
        tiny_policy, algorithm=algorithm, kl_coef=1.0, kl_in_loss=in_loss, vf_coef=0.0, optim=optim, parity_bound=0
    )
    learner, module = make_learner(config)
    worker = rollout_worker(config)
    with torch.no_grad():  # the policy has strayed from the reference, and nothing is rewarded
        generator = torch.Generator().manual_seed(0)
        for parameter in module.policy.model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    distances = []
    for step in range(8):
        weights = learner.publish()
        assert weights is not None
        worker.load_weights(weights)
        rollouts = sample(worker, config, samples=16, step=step, version=learner.version)
        silent = flat(score(rollouts, version=learner.version), {s.problem.id for s in rollouts})
        distances.append(reduce_all([learner.update(silent)])["ppo/ref_kl"])
    assert sum(distances[-3:]) / 3 < 0.85 * distances[0]


def test_an_adaptive_coefficient_survives_a_restart(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    config = job(tiny_policy, algorithm="grpo", kl_coef=0.5, kl_target=0.1, kl_horizon=240)
    learner, _ = make_learner(config)
    learner.update(scored)
    # No KL at all is as far below the target as counts: β ← 0.5 · (1 − 0.2 · 24 / 240).
    assert learner.state_dict() == {"version": 2, "kl": {"value": pytest.approx(0.49)}}
    other, _ = make_learner(config)
    other.load_state_dict(json.loads(json.dumps(learner.state_dict())))
    assert other.state_dict() == learner.state_dict()
    assert other.version == 2


# ── Groups that teach nothing ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("algorithm", ["grpo", "grpo_process", "rloo", "reinforce_pp"])
@pytest.mark.parametrize(("budget", "epochs", "minibatches"), [(100_000, 1, 1), (60, 2, 3)])
def test_dropping_flat_groups_saves_passes_and_gives_the_same_weights(
    budget: int, epochs: int, minibatches: int, algorithm: str, tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    config = with_budget(
        job(tiny_policy, algorithm=algorithm, epochs=epochs, minibatches=minibatches, prompts_per_step=6), budget
    )
    rollouts = flat(scored, {"p1", "p2", "p5"})
    kept, _ = updated(config, rollouts)
    dropped, figures = updated(replace(config, ppo=replace(config.ppo, drop_flat_groups=True)), rollouts)
    assert distance(kept, dropped) < 1e-5
    if algorithm != "reinforce_pp":  # it has no group baseline: there, earning nothing is worse than average
        assert 12 <= figures["rollout/dropped_flat"] < 24


def test_tokens_without_advantage_count_in_the_denominator(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    rollouts = flat(scored, {"p1", "p2", "p5"})
    config = job(tiny_policy, algorithm="grpo", whiten=False, drop_flat_groups=True)
    everything, _ = updated(config, rollouts)
    alone, _ = updated(config, [s for s in rollouts if s.rollout.problem.id not in ("p1", "p2", "p5")])
    start = weights_of(networks(config))
    share = tokens_of(rollouts[:4] + rollouts[12:20]) / tokens_of(rollouts)  # p0, p3 and p4
    torch.testing.assert_close(gradient(start, everything), gradient(start, alone) * share, rtol=1e-3, atol=1e-6)


def test_a_step_without_any_advantage_moves_nothing(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    config = job(tiny_policy, algorithm="grpo", drop_flat_groups=True)
    weights, figures = updated(config, flat(scored, {s.rollout.problem.id for s in scored}))
    assert figures["rollout/dropped_flat"] == len(scored)
    assert figures["optim/grad_norm"] == 0
    assert distance(weights, weights_of(networks(config))) == 0


@pytest.mark.parametrize("extra", [{"ent_coef": 0.1}, {"kl_coef": 0.1, "kl_in_loss": True}, {"kl_coef": 0.1}])
def test_no_group_is_dropped_where_another_term_has_a_gradient_for_it(
    extra: dict[str, Any], tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    rollouts = flat(scored, {"p1", "p2"})
    kept, _ = updated(job(tiny_policy, algorithm="grpo", **extra), rollouts)
    dropped, _ = updated(job(tiny_policy, algorithm="grpo", drop_flat_groups=True, **extra), rollouts)
    assert distance(kept, dropped) == 0


def test_samples_are_shown_with_their_own_advantages_when_groups_are_dropped(
    tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    learner, _ = make_learner(job(tiny_policy, algorithm="grpo", drop_flat_groups=True))
    learner.update(flat(scored, {"p0"}))
    assert learner.last is not None and learner.last.advantages is not None
    assert learner.last.responses == [s.rollout.completion.token_ids for s in scored]
    assert not learner.last.advantages[:4].any()
    assert learner.last.advantages[4:].any()


# ── Rollouts of other weights ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("staleness", "version", "fine"), [(0, 1, True), (0, 0, False), (1, 0, True), (1, 2, False)])
def test_rollouts_outside_the_window_of_versions_are_refused(
    staleness: int, version: int, fine: bool, tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    learner, module = make_learner(job(tiny_policy, max_staleness=staleness))
    before = weights_of(module)
    mixed = [*scored[:20], *at_version(scored[20:], version)]
    if fine:
        figures = reduce_all([learner.update(mixed)])
        assert figures["rollout/staleness"] == pytest.approx((1 - version) * 4 / 24)
        return
    with pytest.raises(StaleWeights, match=f"version {version} reached the learner at version 1"):
        learner.update(mixed)
    assert distance(before, weights_of(module)) == 0
    assert learner.version == 1


@pytest.mark.parametrize(("algorithm", "epochs"), [("ppo", 1), ("grpo", 1), ("grpo", 2)])
def test_rollouts_of_other_weights_under_the_same_version_raise_an_alarm(
    algorithm: str, epochs: int, tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    learner, module = make_learner(job(tiny_policy, algorithm=algorithm, epochs=epochs))
    with torch.no_grad():
        module.policy.model.get_input_embeddings().weight.mul_(1.05)  # type: ignore[operator]
    with pytest.raises(ParityError, match=r"policy version 1 differ by .*ppo\.parity_bound is 0\.05"):
        learner.update(scored)


def test_stale_rollouts_are_not_held_to_parity_but_corrected(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    shifted = at_version(spoiled(scored, by=0.5), 0)
    plain = job(tiny_policy, algorithm="grpo", max_staleness=1)
    with_weights, figures = updated(plain, shifted)
    assert figures["rollout/logprob_gap_max"] == 0  # none of them is of the learner's own version
    # Every token is e^0.5 likelier now than when it was sampled: corrected gradients are e^0.5 times as large.
    scaled = replace(plain, ppo=replace(plain.ppo, importance_cap=0.0))
    without, _ = updated(scaled, shifted)
    start = weights_of(networks(plain))
    torch.testing.assert_close(
        gradient(start, with_weights), gradient(start, without) * math.exp(0.5), rtol=1e-3, atol=1e-5
    )
    capped, _ = updated(replace(plain, ppo=replace(plain.ppo, importance_cap=1.0)), shifted)
    assert distance(capped, without) < 1e-6


# ── The terms of the objective ────────────────────────────────────────────────────────────────────────────────────────


def test_truncated_rollouts_are_bootstrapped_only_on_demand(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    def returns(**ppo: Any) -> torch.Tensor:
        learner, _ = make_learner(job(tiny_policy, gae_lambda=1.0, **ppo))
        learner.update(scored)
        assert learner.last is not None and learner.last.returns is not None
        return learner.last.returns[:, 0]

    earned = torch.tensor([s.outcome_reward + sum(s.step_scores) for s in scored])
    truncated = torch.tensor([s.rollout.completion.finish_reason == "length" for s in scored])
    assert truncated.any() and not truncated.all()
    torch.testing.assert_close(returns(), earned)  # λ = γ = 1: the return before the first token is all that is earned
    bootstrapped = returns(bootstrap_truncated=True)
    torch.testing.assert_close(bootstrapped[~truncated], earned[~truncated])
    assert ((bootstrapped - earned)[truncated].abs() > 1e-4).all()


def test_the_bootstrap_is_the_critics_value_after_the_last_token(
    tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    config = job(tiny_policy, critic="model", bootstrap_truncated=True)
    learner, _ = make_learner(config)
    learner.update(scored)
    assert learner.last is not None and learner.last.tail_values is not None
    module = networks(config)
    for index in (0, 7):
        rollout = scored[index].rollout
        response = [*rollout.completion.token_ids, 0]  # the value before one more token
        [packed] = pack([rollout.prompt_ids], [response], group=[0], max_tokens=10**6)
        with torch.no_grad():
            expected = module(packed).values[-1]
        torch.testing.assert_close(learner.last.tail_values[index], expected, rtol=1e-4, atol=1e-5)


def test_an_entropy_bonus_raises_the_entropy(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    def entropy_after(ent_coef: float) -> float:
        config = job(tiny_policy, algorithm="grpo", ent_coef=ent_coef, parity_bound=0)
        learner, _ = make_learner(config)
        silent = flat(scored, {s.rollout.problem.id for s in scored})
        for _ in range(3):
            figures = reduce_all([learner.update(at_version(silent, learner.version))])
        return figures["ppo/entropy"]

    assert entropy_after(0.0) < entropy_after(0.1) - 0.01


def test_a_critic_of_its_own_leaves_the_policy_alone(tiny_policy: Path, scored: list[ScoredRollout]) -> None:
    config = job(tiny_policy, critic="model")
    silenced = replace(config, ppo=replace(config.ppo, vf_coef=0.0))
    with_values, _ = updated(config, scored)
    without, _ = updated(silenced, scored)
    policy = [name for name in with_values if name.startswith("policy.")]
    assert all(torch.equal(with_values[name], without[name]) for name in policy)
    assert not torch.equal(with_values["critic.value_head.out.weight"], without["critic.value_head.out.weight"])


# ── What is trained and what is published ─────────────────────────────────────────────────────────────────────────────


def test_lora_trains_the_adapters_alone_and_publishes_them_merged(
    tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    config = job(tiny_policy, lora=4, critic="none", algorithm="grpo", parity_bound=0)
    learner, module = make_learner(config)
    before = weights_of(module)
    learner.update(scored)
    after = weights_of(module)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if ".lora_" in name}
    published = learner.publish()
    assert published is not None and published.version == 2
    weights = published.tensors()
    assert not any("lora" in name or "base_layer" in name for name in weights)
    plain = networks(job(tiny_policy, critic="none", algorithm="grpo"))
    [packed] = pack([scored[0].rollout.prompt_ids], [[5, 6, 7]], group=[0], max_tokens=1000)
    with torch.no_grad():
        unadapted, adapted = plain(packed).logprobs, module(packed).logprobs
        plain.policy.model.load_state_dict(weights)
        assert (unadapted - adapted).abs().max() > 0.01
        torch.testing.assert_close(plain(packed).logprobs, adapted, rtol=1e-4, atol=1e-4)


def test_published_weights_are_stamped_and_do_not_change_under_the_reader(
    tiny_policy: Path, scored: list[ScoredRollout]
) -> None:
    learner, module = make_learner(job(tiny_policy, algorithm="grpo"))
    first = learner.publish()
    learner.update(scored)
    second = learner.publish()
    assert first is not None and second is not None
    assert (first.version, second.version) == (1, 2)
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(first.tensors()[name], second.tensors()[name])
    assert torch.equal(second.tensors()[name], module.policy.model.get_parameter(name).detach())
