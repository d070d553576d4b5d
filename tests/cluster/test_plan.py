"""The plan: sizes that follow from a configuration, and what each kind of worker is thought to need."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from r1ray.cluster.budget import PROCESS, learner_budget, reward_budget, rollout_budget
from r1ray.cluster.plan import make_plan
from r1ray.cluster.shapes import SMOLLM2_135M
from r1ray.config.jobs import PPOJobConfig, TinyJobConfig, TuneJobConfig
from r1ray.config.optim import OptimConfig, ZeroConfig
from r1ray.config.policy import CriticConfig, LoraConfig, PolicyConfig
from r1ray.config.ppo import PPOConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.config.reward import RewardConfig
from r1ray.config.tune import TuneConfig

P = SMOLLM2_135M.params


def test_derived_sizes_follow_from_the_configuration() -> None:
    ppo = PPOConfig(steps=10, prompts_per_step=8, samples_per_prompt=4, epochs=2, minibatches=4)
    sizes = make_plan(PPOJobConfig(ppo=ppo)).sizes
    assert sizes["samples per step"].startswith("32 ")  # 8 · 4
    assert sizes["samples in all"] == "320"  # 32 · 10
    assert sizes["optimizer steps"].startswith("80 ")  # 10 · 2 · 4
    assert sizes["samples per optimizer step"] == "8"  # 32 / 4


def test_a_trial_books_what_a_single_run_does() -> None:
    ppo = make_plan(PPOJobConfig())
    search = make_plan(TuneJobConfig(tune=TuneConfig(job="ppo", trials=7, minutes=30)))
    assert search.bundles() == ppo.bundles()
    assert search.sizes["trials"] == "7 of ppo, none begun after 30 min"
    assert search.sizes["each trial: steps"] == ppo.sizes["steps"]
    assert "reward.step_weight=uniform(0, 1)" in search.sizes["searched"]
    tiny = make_plan(TuneJobConfig())
    assert tiny.bundles() == make_plan(TinyJobConfig()).bundles() == [{"CPU": 1.0, "GPU": 0.0, "memory": PROCESS}]


def test_what_is_required_is_the_sum_over_all_workers() -> None:
    resources = ResourcesConfig(
        learners=2, learner_cpus=1, learner_gpus=1, rollout_workers=3, rollout_cpus=0.5, reward_cpus=2
    )
    plan = make_plan(PPOJobConfig(resources=resources))
    required = plan.required()
    assert required["CPU"] == pytest.approx(2 * 1 + 3 * 0.5 + 1 * 2)
    assert required["GPU"] == 2
    assert len(plan.bundles()) == 6
    assert required["memory"] == sum(bundle["memory"] for bundle in plan.bundles())


def test_a_policy_of_unknown_size_is_planned_without_its_memory() -> None:
    plan = make_plan(PPOJobConfig(policy=PolicyConfig(path="somebody/some-model")))
    assert plan.required()["memory"] == PROCESS  # the reward worker's; nothing is known of the others


def test_the_table_names_every_kind_of_worker_and_every_size() -> None:
    plan = make_plan(PPOJobConfig())
    console = Console(width=140, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(plan.table())
    text = capture.get()
    for word in ("learner", "rollout", "reward", *plan.sizes):
        assert word in text


def test_full_float32_training_holds_weights_gradients_and_two_moments() -> None:
    parts = learner_budget(PPOJobConfig(), SMOLLM2_135M).parts
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (4 * P, 4 * P, 8 * P)
    assert parts["reference"] == 0  # the default has no KL term, so nobody needs a reference


def test_a_kl_term_adds_the_reference_and_lora_takes_it_away_again() -> None:
    config = PPOJobConfig(ppo=PPOConfig(kl_coef=0.01))
    assert learner_budget(config, SMOLLM2_135M).parts["reference"] == 4 * P
    lora = replace(config, policy=PolicyConfig(lora=LoraConfig(rank=8)))
    assert learner_budget(lora, SMOLLM2_135M).parts["reference"] == 0
    assert learner_budget(lora, SMOLLM2_135M).parts["optimizer"] < 8 * P / 10


def test_a_critic_model_doubles_what_is_trained() -> None:
    parts = learner_budget(PPOJobConfig(critic=CriticConfig(kind="model")), SMOLLM2_135M).parts
    assert (parts["weights"], parts["optimizer"]) == (8 * P, 16 * P)


@pytest.mark.parametrize(
    ("stage", "weights", "gradients", "optimizer"),
    [(0, 4 * P, 4 * P, 8 * P), (1, 4 * P, 4 * P, 2 * P), (2, 4 * P, P, 2 * P), (3, P, P, 2 * P)],
)
def test_each_zero_stage_shards_one_thing_more(stage: int, weights: int, gradients: int, optimizer: int) -> None:
    config = PPOJobConfig(zero=ZeroConfig(stage=stage), resources=ResourcesConfig(learners=4))
    parts = learner_budget(config, SMOLLM2_135M).parts
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (weights, gradients, optimizer)


def test_a_gpu_learner_needs_main_memory_for_its_process_and_for_what_is_offloaded() -> None:
    config = PPOJobConfig(
        policy=PolicyConfig(dtype="bfloat16"),
        zero=ZeroConfig(stage=2, offload="optimizer"),
        resources=ResourcesConfig(learner_gpus=1),
    )
    assert learner_budget(config, SMOLLM2_135M).host == PROCESS + 12 * P


@given(tokens=st.integers(1, 1 << 16), more=st.integers(1, 1 << 14))
def test_a_larger_microbatch_never_needs_less(tokens: int, more: int) -> None:
    small, large = (
        learner_budget(PPOJobConfig(optim=OptimConfig(tokens_per_microbatch=n)), SMOLLM2_135M).total
        for n in (tokens, tokens + more)
    )
    assert small < large


def test_gradient_checkpointing_keeps_one_layer_at_a_time() -> None:
    plain, checkpointed = (
        learner_budget(PPOJobConfig(policy=PolicyConfig(gradient_checkpointing=on)), SMOLLM2_135M).parts["activations"]
        for on in (False, True)
    )
    assert checkpointed < plain / 5


def test_the_cache_of_a_rollout_worker_counts_a_shared_prompt_once() -> None:
    # 16 prompts of 512 tokens, 64 rows of 80: (64·80 + 16·512) · 2 · 30 layers · 192 · 4 bytes.
    parts = rollout_budget(PPOJobConfig(), SMOLLM2_135M).parts
    assert parts["KV cache"] == (64 * 80 + 16 * 512) * 2 * 30 * 192 * 4


def test_a_process_reward_model_of_unknown_size_makes_the_reward_workers_budget_unknown() -> None:
    assert reward_budget(PPOJobConfig(reward=RewardConfig(process_path="somebody/some-prm"))) is None
