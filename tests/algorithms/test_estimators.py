"""Each estimator by hand, and what all of them promise."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from r1ray.algorithms.advantages import gae
from r1ray.algorithms.estimators import ESTIMATORS, Scored
from r1ray.algorithms.experience import Experience
from r1ray.config.ppo import ALGORITHMS, PPOConfig
from r1ray.errors import ConfigError, DataError

PLAIN = PPOConfig(whiten=False, gae_lambda=1.0)


def batch(
    returns: list[float],
    group: list[int],
    *,
    tokens: int = 2,
    steps: list[list[float]] | None = None,
    ends: list[list[int]] | None = None,
    values: Tensor | None = None,
) -> Scored:
    """Rollouts of `tokens` tokens that earn `returns` on the last one, and `steps` on `ends` besides."""
    rows = len(returns)
    width = max(map(len, steps), default=0) if steps else 0
    scores, where, mask = torch.zeros(rows, width), torch.zeros(rows, width, dtype=torch.long), torch.zeros(rows, width)
    rewards = torch.zeros(rows, tokens)
    rewards[:, -1] = torch.tensor(returns)
    for b, (row, at) in enumerate(zip(steps or [], ends or [], strict=True)):
        for j, (score, end) in enumerate(zip(row, at, strict=True)):
            scores[b, j], where[b, j], mask[b, j] = score, end, 1
            rewards[b, end] += score
    return Scored(
        token_rewards=rewards,
        action_mask=torch.ones(rows, tokens, dtype=torch.bool),
        group=torch.tensor(group),
        step_rewards=scores,
        step_ends=where,
        step_mask=mask.bool(),
        values=values,
        bootstrap=torch.zeros(rows),
    )


def estimate(name: str, scored: Scored, config: PPOConfig = PLAIN) -> list[list[float]]:
    return ESTIMATORS[name](scored, config).advantages.tolist()


def test_every_algorithm_of_the_configuration_has_an_estimator() -> None:
    assert set(ESTIMATORS) == set(ALGORITHMS)


def test_grpo_by_hand() -> None:
    # Group 0: returns 1, 3 (mean 2, deviation 1). Group 1: 2, 2, flat. Group 2: one rollout, nothing to compare with.
    scored = batch([1, 3, 2, 2, 9], [0, 0, 1, 1, 2])
    assert estimate("grpo", scored) == [[-1, -1], [1, 1], [0, 0], [0, 0], [0, 0]]
    wide = batch([0, 4, 2, 2, 9], [0, 0, 1, 1, 2])
    assert estimate("grpo", wide) == [[-1, -1], [1, 1], [0, 0], [0, 0], [0, 0]]
    dr_grpo = replace(PLAIN, std_normalize=False)
    assert estimate("grpo", wide, dr_grpo) == [[-2, -2], [2, 2], [0, 0], [0, 0], [0, 0]]


def test_rloo_by_hand() -> None:
    # 1 − (2 + 6) / 2, 2 − (1 + 6) / 2, 6 − (1 + 2) / 2; alone: 0.
    scored = batch([1, 2, 6, 8], [0, 0, 0, 1])
    assert estimate("rloo", scored) == [[-3, -3], [-1.5, -1.5], [4.5, 4.5], [0, 0]]


def test_reinforce_pp_by_hand() -> None:
    scored = batch([1, 3], [0, 0], steps=[[2], [0]], ends=[[0], [0]])  # token rewards [2, 1] and [0, 3]
    assert estimate("reinforce_pp", scored) == [[3, 1], [3, 3]]
    assert estimate("reinforce_pp", scored, replace(PLAIN, gamma=0.5)) == [[2.5, 1], [1.5, 3]]
    # Both returns are 3: the baseline variant takes 3 from every token.
    assert estimate("reinforce_pp", scored, replace(PLAIN, group_baseline=True)) == [[0, -2], [0, 0]]
    whitened = torch.tensor(estimate("reinforce_pp", scored, replace(PLAIN, whiten=True)))
    raw = torch.tensor([[3.0, 1.0], [3.0, 3.0]])
    torch.testing.assert_close(whitened, (raw - raw.mean()) / raw.std(correction=0))


def test_process_supervision_by_hand() -> None:
    # Steps of the group, pooled: 1, 0 | 1, 1, 0, 0 over six rewards: mean 1/2, deviation 1/2 -> ±1.
    # First rollout: +1 at token 0, −1 at 2.  Second: +1, +1, −1, −1 at tokens 0, 1, 2, 3.
    # Â_t sums what ends at t or later: [0, −1, −1, 0] and [0, −1, −2, −1].
    scored = batch([0, 0], [0, 0], tokens=4, steps=[[1, 0], [1, 1, 0, 0]], ends=[[0, 2], [0, 1, 2, 3]])
    assert estimate("grpo_process", scored) == [[0, -1, -1, 0], [0, -1, -2, -1]]
    # With outcomes 0 and 1 beside the steps, section 4.1.2 adds −1 and +1 to every token.
    both = batch([0, 1], [0, 0], tokens=4, steps=[[1, 0], [1, 1, 0, 0]], ends=[[0, 2], [0, 1, 2, 3]])
    assert estimate("grpo_process", both) == [[-1, -2, -2, -1], [1, 0, -1, 0]]


def test_many_mediocre_steps_do_not_beat_one_right_step_under_process_supervision() -> None:
    # Summed, six halves (3.0) beat one right step (1.0); normalised against the group they are below average each.
    steps: list[list[float]] = [[1.0], [1.0, 1.0, 1.0], [0.0], [0.5] * 6]
    scored = batch([0.0] * 4, [0] * 4, tokens=6, steps=steps, ends=[list(range(len(s))) for s in steps])
    right, _, _, mediocre = estimate("grpo_process", scored)
    assert right[0] > 0 > mediocre[0]
    summed, _, _, farmed = estimate("grpo", scored)
    assert farmed[0] > summed[0]  # why grpo's docstring warns


def test_without_steps_process_supervision_is_grpo() -> None:
    scored = batch([1, 3, 5], [0, 0, 0])
    assert estimate("grpo_process", scored) == estimate("grpo", scored)


def test_ppo_is_gae_and_its_returns_are_taken_before_whitening_and_baselines() -> None:
    values = torch.tensor([[0.5, 1.0], [0.0, 2.0]])
    scored = batch([1, 3], [0, 0], values=values)
    expected = gae(scored.token_rewards, values, scored.action_mask, gamma=0.9, lam=0.8, bootstrap=scored.bootstrap)
    config = PPOConfig(whiten=False, gamma=0.9, gae_lambda=0.8)
    found = ESTIMATORS["ppo"](scored, config)
    torch.testing.assert_close(found.advantages, expected[0])
    torch.testing.assert_close(found.returns, expected[1])
    for change in ({"whiten": True}, {"group_baseline": True}):
        torch.testing.assert_close(ESTIMATORS["ppo"](scored, replace(config, **change)).returns, expected[1])
    whitened = ESTIMATORS["ppo"](scored, replace(config, whiten=True)).advantages
    assert whitened.mean().item() == pytest.approx(0, abs=1e-6)
    assert whitened.var(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_ppo_with_a_group_baseline_and_a_blind_critic_is_rloo() -> None:
    scored = batch([1, 2, 6, 8], [0, 0, 0, 1], values=torch.zeros(4, 2))
    found = estimate("ppo", scored, replace(PLAIN, group_baseline=True))
    assert found[:3] == estimate("rloo", scored)[:3]
    assert found[3] == [8, 8]  # alone: the critic's advantage stays


def test_ppo_without_a_critic_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"critic\.kind"):
        estimate("ppo", batch([1], [0]))


@pytest.mark.parametrize("name", ["grpo", "grpo_process", "rloo"])
def test_whitening_gives_flat_groups_no_gradient(name: str) -> None:
    # The first rollout has one token and the second two, so the mean over tokens is not 0 though the group's is.
    scored = batch([1, 3, 2, 2], [0, 0, 1, 1])
    scored.action_mask[0, 0] = False
    whitened = torch.tensor(estimate(name, scored, replace(PLAIN, whiten=True)))
    assert (whitened[2:] == 0).all()
    assert whitened[scored.action_mask].square().mean().item() == pytest.approx(1.0)


def draw(seed: int) -> Scored:
    """Six rollouts in three groups, with gaps, padding and steps."""
    rng = torch.Generator().manual_seed(seed)
    mask = torch.rand(6, 7, generator=rng) < 0.6
    mask[:, 3] = True
    ends = torch.multinomial(mask.float(), 3, replacement=True, generator=rng).sort(1).values
    step_mask = torch.arange(3) < torch.randint(0, 4, (6, 1), generator=rng)
    steps = torch.randn(6, 3, generator=rng) * step_mask
    rewards = torch.zeros(6, 7).scatter_add(1, ends, steps)
    rewards[:, 3] += torch.randn(6, generator=rng)
    return Scored(
        token_rewards=rewards,
        action_mask=mask,
        group=torch.tensor([0, 1, 2, 0, 1, 2]),
        step_rewards=steps,
        step_ends=ends,
        step_mask=step_mask,
        values=torch.randn(6, 7, generator=rng),
        bootstrap=torch.randn(6, generator=rng) * (torch.rand(6, generator=rng) < 0.5),
    )


CONFIGS = [
    PLAIN,
    PPOConfig(),
    PPOConfig(whiten=True, group_baseline=True, std_normalize=False, gamma=0.9),
]


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("poison", [1e9, float("nan")])
def test_what_is_masked_changes_nothing_and_gets_nothing(name: str, config: PPOConfig, poison: float) -> None:
    scored = draw(0)
    assert scored.values is not None
    dirty = replace(
        scored,
        token_rewards=scored.token_rewards.masked_fill(~scored.action_mask, poison),
        values=scored.values.masked_fill(~scored.action_mask, poison),
        step_rewards=scored.step_rewards.masked_fill(~scored.step_mask, poison),
        step_ends=scored.step_ends.masked_fill(~scored.step_mask, 10**6),
    )
    clean, found = ESTIMATORS[name](scored, config), ESTIMATORS[name](dirty, config)
    assert torch.equal(found.advantages, clean.advantages)
    assert (found.advantages[~scored.action_mask] == 0).all()
    if clean.returns is not None:
        assert found.returns is not None and torch.equal(found.returns, clean.returns)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    left=st.integers(0, 3),
    name=st.sampled_from(ALGORITHMS),
    config=st.sampled_from(CONFIGS),
)
def test_padding_on_the_left_moves_the_result_and_nothing_else(
    seed: int, left: int, name: str, config: PPOConfig
) -> None:
    scored = draw(seed)
    assert scored.values is not None

    def moved(x: Tensor, fill: float) -> Tensor:
        return torch.cat([torch.full((6, left), fill, dtype=x.dtype), x], dim=1)

    shifted = replace(
        scored,
        token_rewards=moved(scored.token_rewards, 5.0),
        values=moved(scored.values, 5.0),
        action_mask=moved(scored.action_mask, False),
        step_ends=scored.step_ends + left,
    )
    here, there = (ESTIMATORS[name](s, config).advantages for s in (scored, shifted))
    torch.testing.assert_close(there[:, left:], here)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("config", CONFIGS)
def test_ranks_with_whole_groups_find_what_one_process_finds(name: str, config: PPOConfig) -> None:
    scored = draw(3)
    whole = ESTIMATORS[name](scored, config).advantages
    ranks = [[0, 3], [1, 2, 4, 5]]

    # A reduction over two ranks that run one after the other: each pass records what either adds to the k-th sum and
    # answers with the sums of the pass before. A sum depends on earlier sums alone: after a few passes all are right.
    sums: list[list[Tensor]] = []
    parts: list[Tensor] = []
    for _ in range(4):
        asked: list[list[Tensor]] = []
        parts = []
        for rank in ranks:
            mine: list[Tensor] = []

            def reduce(x: Tensor, mine: list[Tensor] = mine, known: list[list[Tensor]] = sums) -> Tensor:
                mine.append(x.clone())
                return torch.stack(known[len(mine) - 1]).sum(0) if len(mine) <= len(known) else x

            picked = replace(scored, **{f: getattr(scored, f)[rank] for f in Scored.__dataclass_fields__})
            parts.append(ESTIMATORS[name](picked, config, reduce).advantages)
            asked.append(mine)
        sums = [list(pair) for pair in zip(*asked, strict=True)]
    torch.testing.assert_close(parts[0], whole[ranks[0]])
    torch.testing.assert_close(parts[1], whole[ranks[1]])


def experience(**changes: object) -> Experience:
    """Two rollouts of two and one tokens; the second was cut off."""
    plain = Experience(
        prompts=[[1], [1]],
        responses=[[5, 6], [7]],
        group=torch.tensor([0, 0]),
        policy_version=torch.tensor([0, 0]),
        truncated=torch.tensor([False, True]),
        action_mask=torch.tensor([[True, True], [True, False]]),
        rollout_logprobs=torch.zeros(2, 2),
        step_scores=torch.tensor([[0.5], [0.0]]),
        step_ends=torch.tensor([[0], [0]]),
        step_mask=torch.tensor([[True], [False]]),
        outcome=torch.tensor([1.0, 2.0]),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_an_experience_is_scored_token_by_token() -> None:
    logprobs = {"policy_logprobs": torch.tensor([[-1.0, -1.0], [-1.0, 9.0]]), "ref_logprobs": torch.full((2, 2), -2.0)}
    scored = Scored.from_experience(experience(**logprobs), placement="place", kl_coef=0.1)
    # Step 0.5 on token 0, outcome on the last action token, −0.1 · (−1 − −2) on every action token.
    torch.testing.assert_close(scored.token_rewards, torch.tensor([[0.4, 0.9], [1.9, 0.0]]))
    torch.testing.assert_close(scored.returns, torch.tensor([1.3, 1.9]))
    aggregated = Scored.from_experience(experience(), placement="min")
    torch.testing.assert_close(aggregated.token_rewards, torch.tensor([[0.0, 1.5], [2.0, 0.0]]))
    assert (aggregated.step_rewards == 0).all()


def test_only_a_truncated_rollout_is_bootstrapped() -> None:
    critic = {"values": torch.zeros(2, 2), "tail_values": torch.tensor([3.0, 4.0])}
    assert Scored.from_experience(experience(**critic), placement="place").bootstrap.tolist() == [0, 4]
    assert Scored.from_experience(experience(), placement="place").bootstrap.tolist() == [0, 0]


def test_a_critic_without_tail_values_is_refused() -> None:
    with pytest.raises(DataError, match="tail_values"):
        Scored.from_experience(experience(values=torch.zeros(2, 2)), placement="place")


def test_a_kl_without_a_reference_is_refused() -> None:
    with pytest.raises(ConfigError, match="ref_logprobs"):
        Scored.from_experience(experience(policy_logprobs=torch.zeros(2, 2)), placement="place", kl_coef=0.1)
