"""A critic of its own starts from the policy's weights, without its head."""

from pathlib import Path

import pytest
import torch

from r1ray.algorithms.packing import PackedBatch, pack
from r1ray.config.policy import CriticConfig, LoraConfig, PolicyConfig
from r1ray.errors import ModelError
from r1ray.models.critic import load_critic

PROMPT, RESPONSES = [5, 6, 7], [[8, 9, 10, 11], [12, 13]]


@pytest.fixture
def packed() -> PackedBatch:
    [batch] = pack([PROMPT, PROMPT], RESPONSES, group=[0, 0], max_tokens=64)
    return batch


def test_values_are_zero_at_first_one_for_each_token_and_tail(tiny_policy: Path, packed: PackedBatch) -> None:
    output = load_critic(CriticConfig(kind="model"), PolicyConfig(path=str(tiny_policy)))(packed)
    assert output.values.shape == (6,) and output.tail_values.shape == (2,)
    assert not output.values.any() and not output.tail_values.any()


def test_shared_prompt_gives_the_values_of_separate_rows(tiny_policy: Path, packed: PackedBatch) -> None:
    critic = load_critic(CriticConfig(kind="model"), PolicyConfig(path=str(tiny_policy)))
    torch.nn.init.normal_(critic.value_head.out.weight)
    [separate] = pack([PROMPT, PROMPT], RESPONSES, group=[0, 0], max_tokens=64, share_prompt=False)
    with torch.no_grad():
        ours, theirs = critic(packed), critic(separate)
    order, their_order = (torch.argsort(batch.sequence * 100 + batch.token) for batch in (packed, separate))
    torch.testing.assert_close(ours.values[order], theirs.values[their_order], rtol=1e-4, atol=1e-4)
    tails, their_tails = (torch.argsort(batch.tail_sequence) for batch in (packed, separate))
    torch.testing.assert_close(ours.tail_values[tails], theirs.tail_values[their_tails], rtol=1e-4, atol=1e-4)


def test_whole_trunk_trains_without_adapters_and_only_they_and_the_head_with_them(
    tiny_policy: Path, packed: PackedBatch
) -> None:
    policy = PolicyConfig(path=str(tiny_policy))
    full = load_critic(CriticConfig(kind="model"), policy)
    assert all(weight.requires_grad for weight in full.parameters())
    adapted = load_critic(CriticConfig(kind="model", lora=LoraConfig(rank=2)), policy)
    trained = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert all("lora_" in name or name.startswith("value_head.") for name in trained)
    torch.nn.init.normal_(adapted.value_head.out.weight)
    adapted(packed).values.sum().backward()
    moved = {name for name, weight in adapted.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert any("lora_B" in name for name in moved)


def test_path_of_its_own_is_taken_before_the_policys(tiny_policy: Path) -> None:
    with pytest.raises(ModelError, match="no-such-critic"):
        load_critic(CriticConfig(kind="model", path="no-such-critic"), PolicyConfig(path=str(tiny_policy)))
