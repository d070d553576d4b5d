"""The packed network says what the plain one says."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM

from r1ray.algorithms.packing import PackedBatch, pack
from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.errors import ModelError
from r1ray.models.loading import load_policy
from r1ray.models.policy import Policy, policy_state_dict
from r1ray.models.value_head import ValueHead

TEMPERATURE = 0.7


@pytest.fixture(scope="module")
def language_model(tiny_policy: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(tiny_policy)


def rollouts(seed: int, groups: list[list[int]]) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """Prompts, responses and groups; `groups[i]` lists the response lengths of group i."""
    rng = torch.Generator().manual_seed(seed)

    def ids(count: int) -> list[int]:
        return torch.randint(0, 259, (count,), generator=rng).tolist()

    prompts, responses, group = [], [], []
    for index, lengths in enumerate(groups):
        prompt = ids(3 + 4 * index)
        for length in lengths:
            prompts.append(prompt)
            responses.append(ids(length))
            group.append(index)
    return prompts, responses, group


def plain_logprobs(model: torch.nn.Module, prompt: list[int], response: list[int]) -> torch.Tensor:
    """(T, V) log-probs of the positions that predict the response, one row by itself, full logits."""
    logits = model(torch.tensor([prompt + response])).logits[0]
    return torch.log_softmax(logits[len(prompt) - 1 : -1] / TEMPERATURE, dim=-1)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 99),
    groups=st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=4), min_size=1, max_size=3),
    share=st.booleans(),
    chunk=st.integers(1, 64),
)
def test_packed_logprobs_and_entropies_are_those_of_separate_rows(
    language_model: torch.nn.Module, seed: int, groups: list[list[int]], share: bool, chunk: int
) -> None:
    prompts, responses, group = rollouts(seed, groups)
    policy = Policy(language_model)
    seen = 0
    for packed in pack(prompts, responses, group=group, max_tokens=80, share_prompt=share):
        with torch.no_grad():
            output = policy(packed, temperature=TEMPERATURE, chunk=chunk)
        for index in set(packed.sequence.tolist()):
            with torch.no_grad():
                expected = plain_logprobs(language_model, prompts[index], responses[index])
            mine = packed.sequence == index
            picked = expected.gather(1, torch.tensor(responses[index])[:, None]).squeeze(1)
            torch.testing.assert_close(output.logprobs[mine], picked, rtol=1e-4, atol=1e-4)
            entropy = -(expected.exp() * expected).sum(-1)
            torch.testing.assert_close(output.entropy[mine], entropy, rtol=1e-4, atol=1e-4)
            seen += 1
    assert seen == len(responses)


def single_batch(share: bool = True) -> tuple[PackedBatch, list[list[int]], list[list[int]]]:
    prompts, responses, group = rollouts(0, [[4, 6, 5], [3, 3]])
    batches = pack(prompts, responses, group=group, max_tokens=500, share_prompt=share)
    assert len(batches) == 1
    return batches[0], prompts, responses


def test_packed_gradients_are_those_of_separate_rows(tiny_policy: Path) -> None:
    packed, prompts, responses = single_batch()
    ours = AutoModelForCausalLM.from_pretrained(tiny_policy)
    Policy(ours)(packed, temperature=TEMPERATURE).logprobs.sum().backward()
    plain = AutoModelForCausalLM.from_pretrained(tiny_policy)
    for prompt, response in zip(prompts, responses, strict=True):
        scores = plain_logprobs(plain, prompt, response)
        scores.gather(1, torch.tensor(response)[:, None]).sum().backward()
    for (name, weight), (_, expected) in zip(ours.named_parameters(), plain.named_parameters(), strict=True):
        assert weight.grad is not None and expected.grad is not None
        torch.testing.assert_close(weight.grad, expected.grad, rtol=1e-3, atol=1e-3, msg=name)


def test_value_head_says_zero_at_first_and_nothing_without_one(language_model: torch.nn.Module) -> None:
    packed, _, responses = single_batch()
    output = Policy(language_model, ValueHead(64))(packed)
    assert output.values.shape == packed.targets.shape and not output.values.any()
    assert output.tail_values.shape == (len(responses),) and not output.tail_values.any()
    bare = Policy(language_model)(packed)
    assert bare.values is None and bare.tail_values is None


def test_value_comes_before_its_token_and_the_tail_after_the_last(language_model: torch.nn.Module) -> None:
    head = ValueHead(64)
    torch.nn.init.normal_(head.out.weight)
    packed, prompts, responses = single_batch()
    with torch.no_grad():
        output = Policy(language_model, head)(packed)
        for index, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            hidden = language_model.model(torch.tensor([prompt + response])).last_hidden_state[0]
            expected = head(hidden[len(prompt) - 1 :])  # T values before tokens, then the one after the last
            torch.testing.assert_close(output.values[packed.sequence == index], expected[:-1], rtol=1e-4, atol=1e-4)
            tail = output.tail_values[packed.tail_sequence == index]
            torch.testing.assert_close(tail, expected[-1:], rtol=1e-4, atol=1e-4)


def trunk_gradient(folder: Path, share: float) -> torch.Tensor:
    """Gradient of the summed values at the last layer's down projection."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    head = ValueHead(64, trunk_gradient=share)
    with torch.no_grad():
        head.up.weight.copy_(torch.linspace(-1, 1, head.up.weight.numel()).view_as(head.up.weight))
        head.up.bias.zero_()
        head.out.weight.fill_(1.0)
    packed, _, _ = single_batch()
    Policy(model, head)(packed).values.sum().backward()
    gradient = model.model.layers[-1].mlp.down_proj.weight.grad
    return torch.zeros(1) if gradient is None else gradient


def test_share_of_the_value_gradient_that_reaches_the_trunk(tiny_policy: Path) -> None:
    whole = trunk_gradient(tiny_policy, 1.0)
    assert whole.abs().max() > 0
    torch.testing.assert_close(trunk_gradient(tiny_policy, 0.25), 0.25 * whole)
    assert not trunk_gradient(tiny_policy, 0.0).any()


def test_values_are_float32_over_a_bfloat16_trunk(tiny_policy: Path) -> None:
    model, _ = load_policy(PolicyConfig(path=str(tiny_policy), dtype="bfloat16"))
    packed, _, _ = single_batch()
    output = Policy(model, ValueHead(64))(packed)
    assert output.values.dtype == output.logprobs.dtype == torch.float32


def test_head_weight_is_declared_as_read_from_outside(language_model: torch.nn.Module) -> None:
    policy = Policy(language_model)
    [(reader, weight)] = policy.external_parameters()
    assert reader is policy and weight is language_model.lm_head.weight


def test_model_that_caps_its_logits_is_refused() -> None:
    sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "head_dim": 4}
    capped = Gemma2ForCausalLM(Gemma2Config(**sizes, num_attention_heads=2, num_key_value_heads=1))
    with pytest.raises(ModelError, match="final_logit_softcapping"):
        Policy(capped)


def test_state_dict_has_hugging_face_names_and_the_tied_head(language_model: torch.nn.Module) -> None:
    weights = policy_state_dict(Policy(language_model, ValueHead(64)))
    assert weights.keys() == language_model.state_dict().keys()
    assert weights["lm_head.weight"].data_ptr() == weights["model.embed_tokens.weight"].data_ptr()
    assert not any(weight.requires_grad for weight in weights.values())


def test_adapters_are_merged_as_peft_merges_them_and_the_model_stays_as_it_is(tiny_policy: Path) -> None:
    adapted, _ = load_policy(PolicyConfig(path=str(tiny_policy), lora=LoraConfig(rank=4, alpha=8)))
    assert isinstance(adapted, PeftModel)
    torch.manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:  # zero at first: an adapter that does nothing would hide a wrong merge
            torch.nn.init.normal_(weight, std=0.1)
    packed, _, _ = single_batch()
    before = Policy(adapted)(packed).logprobs
    weights = {name: weight.clone() for name, weight in policy_state_dict(Policy(adapted)).items()}
    torch.testing.assert_close(Policy(adapted)(packed).logprobs, before, rtol=0, atol=0)

    merged = adapted.merge_and_unload()
    assert weights.keys() == merged.state_dict().keys()
    for name, weight in merged.state_dict().items():
        torch.testing.assert_close(weights[name], weight)
    torch.testing.assert_close(Policy(merged)(packed).logprobs, before, rtol=1e-4, atol=1e-4)
