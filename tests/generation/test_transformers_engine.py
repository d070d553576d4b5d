"""The embedded engine gives what the Hugging Face model gives, and nothing depends on what shares the batch."""

import random
from collections.abc import Sequence

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from r1ray.errors import DataError, ModelError
from r1ray.generation.decoder import LlamaDecoder
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.fallback import FallbackDecoder
from r1ray.generation.transformers_engine import TransformersEngine
from r1ray.types import Completion
from tests.generation.conftest import FAMILIES, OTHERS, VOCABULARY, make_model

TOLERANCE = 2e-5
SAMPLED = SamplingParams(max_new_tokens=12)
GREEDY = SamplingParams(max_new_tokens=12, temperature=0.0)


def make_prompts(count: int, *, samples: int = 2, seed: int = 0) -> list[Prompt]:
    """Ragged prompts of 1 to 14 ids, none of them special."""
    rng = random.Random(seed)
    lengths = [rng.randint(1, 14) for _ in range(count)]
    return [
        Prompt(token_ids=[rng.randrange(3, VOCABULARY) for _ in range(length)], samples=samples, seed=seed + index)
        for index, length in enumerate(lengths)
    ]


@torch.no_grad()
def forward_logprobs(model: PreTrainedModel, prompt: Sequence[int], response: Sequence[int]) -> torch.Tensor:
    """What the trainer would compute: one plain forward, no cache, no padding."""
    logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(response)[:, None]).squeeze(-1)


def assert_parity(model: PreTrainedModel, prompts: list[Prompt], results: list[list[Completion]]) -> None:
    for prompt, group in zip(prompts, results, strict=True):
        assert len(group) == prompt.samples
        for completion in group:
            expected = forward_logprobs(model, prompt.token_ids, completion.token_ids)
            torch.testing.assert_close(torch.tensor(completion.logprobs), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_logprobs_of_sampled_tokens_are_the_models_own(family: str, tokenizer: PreTrainedTokenizerFast) -> None:
    model = make_model(family)
    engine = TransformersEngine(model, tokenizer, max_rows=5)
    prompts = make_prompts(5)
    results = engine.generate(prompts, SAMPLED)
    assert_parity(model, prompts, results)
    pairs = [(p.token_ids, c) for p, group in zip(prompts, results, strict=True) for c in group]
    forced = engine.logprobs([ids for ids, _ in pairs], [c.token_ids for _, c in pairs])
    for scores, (_, completion) in zip(forced, pairs, strict=True):
        assert scores == pytest.approx(completion.logprobs, abs=TOLERANCE)


def test_in_bfloat16_logprobs_stay_as_near_as_that_type_allows(tokenizer: PreTrainedTokenizerFast) -> None:
    exact, low = make_model("qwen3"), make_model("qwen3").bfloat16()
    prompts = make_prompts(5)
    for prompt, group in zip(prompts, TransformersEngine(low, tokenizer).generate(prompts, SAMPLED), strict=True):
        for completion in group:
            expected = forward_logprobs(exact, prompt.token_ids, completion.token_ids)
            torch.testing.assert_close(torch.tensor(completion.logprobs), expected, atol=0.1, rtol=0)


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_greedy_tokens_are_those_of_generate(family: str, tokenizer: PreTrainedTokenizerFast) -> None:
    model = make_model(family)
    prompts = make_prompts(4, samples=1)
    results = TransformersEngine(model, tokenizer, max_rows=3).generate(prompts, GREEDY)
    for prompt, (completion,) in zip(prompts, results, strict=True):
        ids = torch.tensor([prompt.token_ids])
        expected = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=2
        )
        assert completion.token_ids == expected[0, ids.shape[1] :].tolist()


def test_only_llama_families_take_the_decoder(tokenizer: PreTrainedTokenizerFast) -> None:
    for family in FAMILIES:
        assert isinstance(TransformersEngine(make_model(family), tokenizer)._decoder, LlamaDecoder), family
    for family in OTHERS:
        assert isinstance(TransformersEngine(make_model(family), tokenizer)._decoder, FallbackDecoder), family


def test_decoder_and_fallback_sample_alike(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    engine, prompts = TransformersEngine(llama, tokenizer, max_rows=4), make_prompts(5)
    own = engine.generate(prompts, SAMPLED)
    plain = FallbackDecoder(llama).complete(prompts, SAMPLED, engine._stop_rule, max_rows=4)
    assert [[c.token_ids for c in group] for group in own] == [[c.token_ids for c in group] for group in plain]


@pytest.mark.parametrize("max_rows", [1, 3, 64])
def test_tokens_do_not_depend_on_what_shares_the_batch(
    max_rows: int, llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    prompts = make_prompts(7, samples=3)
    together = TransformersEngine(llama, tokenizer, max_rows=max_rows).generate(prompts, SAMPLED)
    alone = TransformersEngine(llama, tokenizer, max_rows=8)
    for prompt, group in zip(prompts, together, strict=True):
        (expected,) = alone.generate([prompt], SAMPLED)
        assert [c.token_ids for c in group] == [c.token_ids for c in expected]


def test_samples_differ_from_each_other_and_from_those_of_another_seed(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine, ids = TransformersEngine(llama, tokenizer), [5, 6, 7]
    prompts = [Prompt(token_ids=ids, samples=4, seed=seed) for seed in (1, 2, 1)]
    one, two, again = engine.generate(prompts, SAMPLED)
    assert len({tuple(c.token_ids) for c in one + two}) == 8
    assert [c.token_ids for c in one] == [c.token_ids for c in again]


def test_completions_end_at_the_end_token_or_at_the_limit(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    params = SamplingParams(max_new_tokens=60)
    results = TransformersEngine(llama, tokenizer, max_rows=16).generate(make_prompts(8, samples=4), params)
    completions = [completion for group in results for completion in group]
    for completion in completions:
        stopped = completion.finish_reason == "stop"
        assert (completion.token_ids[-1] == 2) == stopped
        assert 2 not in completion.token_ids[:-1]
        assert len(completion.token_ids) == len(completion.logprobs) <= 60
        assert stopped or len(completion.token_ids) == 60
        assert completion.text == tokenizer.decode(completion.token_ids, skip_special_tokens=True)
    assert {completion.finish_reason for completion in completions} == {"stop", "length"}


def test_stop_text_ends_a_completion_and_stays(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    engine, (prompt,) = TransformersEngine(llama, tokenizer), make_prompts(1, samples=1)
    ((free,),) = engine.generate([prompt], GREEDY)
    stop = tokenizer.decode(free.token_ids[3:5])
    ((stopped,),) = engine.generate([prompt], SamplingParams(max_new_tokens=12, temperature=0.0, stop=("never", stop)))
    first = next(n for n in range(1, 13) if stop in tokenizer.decode(free.token_ids[:n]))
    assert stopped.token_ids == free.token_ids[:first]
    assert stopped.finish_reason == "stop"
    assert stopped.text.endswith(stop)


def test_logprobs_are_of_the_tempered_distribution(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    (prompt,) = make_prompts(1)
    ((completion, _),) = TransformersEngine(llama, tokenizer).generate(
        [prompt], SamplingParams(max_new_tokens=5, temperature=0.5)
    )
    with torch.no_grad():
        logits = llama(torch.tensor([prompt.token_ids + completion.token_ids])).logits
    expected = (
        (logits[0, len(prompt.token_ids) - 1 : -1] / 0.5)
        .log_softmax(-1)
        .gather(-1, torch.tensor(completion.token_ids)[:, None])
        .squeeze(-1)
    )
    torch.testing.assert_close(torch.tensor(completion.logprobs), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_new_weights_change_the_logprobs_and_the_version(family: str, tokenizer: PreTrainedTokenizerFast) -> None:
    old, new = make_model(family, seed=0), make_model(family, seed=1)
    new_logprobs = forward_logprobs(new, [5, 6], [7, 8, 9])
    engine = TransformersEngine(old, tokenizer)
    (before,) = engine.logprobs([[5, 6]], [[7, 8, 9]])
    assert engine.policy_version == 0
    engine.load_weights(dict(new.named_parameters()), version=3)
    (after,) = engine.logprobs([[5, 6]], [[7, 8, 9]])
    assert engine.policy_version == 3
    assert after == pytest.approx(new_logprobs.tolist(), abs=TOLERANCE)
    assert after != pytest.approx(before, abs=1e-2)
    prompts = make_prompts(3)
    assert_parity(new, prompts, engine.generate(prompts, SAMPLED))


def test_a_tied_head_follows_the_embedding_and_may_be_sent_along(
    llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    new = make_model("llama", seed=1)
    assert new.lm_head.weight is new.model.embed_tokens.weight
    for weights in (dict(new.named_parameters()), new.state_dict()):
        engine = TransformersEngine(llama, tokenizer)
        engine.load_weights(weights, version=1)
        (scores,) = engine.logprobs([[5, 6]], [[7, 8]])
        assert scores == pytest.approx(forward_logprobs(new, [5, 6], [7, 8]).tolist(), abs=TOLERANCE)
    with pytest.raises(ModelError, match="ties lm_head"):
        engine.load_weights({**new.state_dict(), "lm_head.weight": torch.zeros(VOCABULARY, 48)}, version=2)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_weights_that_do_not_fit_are_named_and_change_nothing(family: str, tokenizer: PreTrainedTokenizerFast) -> None:
    engine = TransformersEngine(make_model(family), tokenizer)
    before = engine.logprobs([[5]], [[6, 7]])
    weights = dict(make_model(family, seed=1).named_parameters())
    names = list(weights)
    weights["model.typo"] = weights.pop(names[1])
    weights[names[2]] = weights[names[2]][:-1]
    with pytest.raises(ModelError) as error:
        engine.load_weights(weights, version=1)
    for part in (f"missing: {names[1]}", "unknown: model.typo", f"wrong shape: {names[2]}"):
        assert part in str(error.value)
    assert engine.logprobs([[5]], [[6, 7]]) == before
    assert engine.policy_version == 0


def test_trained_weights_do_not_leak_in_before_they_are_loaded(tokenizer: PreTrainedTokenizerFast) -> None:
    model = make_model("llama")
    engine = TransformersEngine(model, tokenizer)
    before = engine.logprobs([[5]], [[6, 7]])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    assert engine.logprobs([[5]], [[6, 7]]) == before


def test_more_samples_than_rows_are_all_drawn(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = Prompt(token_ids=[9, 8, 7], samples=7, seed=4)
    (few,) = TransformersEngine(llama, tokenizer, max_rows=3).generate([prompt], SAMPLED)
    (many,) = TransformersEngine(llama, tokenizer, max_rows=50).generate([prompt], SAMPLED)
    assert [c.token_ids for c in few] == [c.token_ids for c in many]
    assert len(few) == 7


def test_prompts_that_do_not_fit_are_refused(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    engine = TransformersEngine(llama, tokenizer)
    with pytest.raises(DataError, match="Prompt 1 has no tokens"):
        engine.generate([Prompt(token_ids=[5]), Prompt(token_ids=[])], SAMPLED)
    with pytest.raises(DataError, match="Prompt 0 has 250 tokens; with max_new_tokens 12"):
        engine.generate([Prompt(token_ids=[5] * 250)], SAMPLED)


def test_nothing_asked_is_nothing_given(llama: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    engine = TransformersEngine(llama, tokenizer)
    assert engine.generate([], SAMPLED) == []
    assert engine.logprobs([], []) == []
    assert engine.logprobs([[5], [6]], [[], [7]])[0] == []


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_diverged_weights_are_reported_not_sampled(family: str, tokenizer: PreTrainedTokenizerFast) -> None:
    engine = TransformersEngine(make_model(family), tokenizer)
    broken = {name: torch.full_like(p, torch.nan) for name, p in make_model(family).named_parameters()}
    engine.load_weights(broken, version=1)
    with pytest.raises(ModelError, match="NaN"):
        engine.generate(make_prompts(2), SAMPLED)
