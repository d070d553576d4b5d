"""Rows are refilled from the queue, slots stay contiguous, and a prompt is prefilled once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from r1ray.generation.decoder import LlamaDecoder
from r1ray.generation.engine import Prompt, SamplingParams
from r1ray.generation.llama_weights import LlamaSpec
from r1ray.generation.scheduler import Finished, Scheduler, _chunks
from r1ray.generation.stopping import StopRule
from tests.generation.conftest import make_model
from tests.tiny import make_tiny_tokenizer


class Watched(LlamaDecoder):
    """Counts rows per step and prompts per prefill."""

    def load(self, named):  # type: ignore[no-untyped-def]
        super().load(named)
        self.rows: list[int] = []
        self.prefilled: list[int] = []

    def prefill(self, tokens, store=None, first_slot=0):  # type: ignore[no-untyped-def]
        self.prefilled.append(tokens.shape[0])
        return super().prefill(tokens, store, first_slot)

    def decode(self, tokens, layout, prompts, responses):  # type: ignore[no-untyped-def]
        self.rows.append(tokens.shape[0])
        return super().decode(tokens, layout, prompts, responses)


def make_decoder(model: PreTrainedModel) -> Watched:
    spec = LlamaSpec.of(model)
    assert spec is not None
    return Watched(spec, dict(model.named_parameters()), torch.float32, torch.device("cpu"))


@pytest.fixture
def decoder(llama: PreTrainedModel) -> Watched:
    return make_decoder(llama)


def drain(scheduler: Scheduler) -> list[Finished]:
    finished = []
    while scheduler.busy:
        finished += scheduler.step()
    return finished


def test_a_prompt_is_prefilled_once_for_all_its_samples(decoder: Watched, tokenizer: PreTrainedTokenizerFast) -> None:
    scheduler = Scheduler(decoder, StopRule(tokenizer, ()), max_rows=8)
    for seed in range(2):
        scheduler.add(Prompt(token_ids=[5, 6, 7], samples=4, seed=seed), SamplingParams(max_new_tokens=4))
    assert len(drain(scheduler)) == 8
    assert decoder.prefilled == [2]
    assert decoder.rows == [8, 8, 8]  # the first of four tokens comes from the prefill


def test_rows_that_end_are_dropped_and_waiting_prompts_take_their_place(
    decoder: Watched, tokenizer: PreTrainedTokenizerFast
) -> None:
    scheduler = Scheduler(decoder, StopRule(tokenizer, ()), max_rows=3)
    lengths = (2, 5, 3, 3)
    requests = [
        scheduler.add(Prompt(token_ids=[5, 6], seed=seed), SamplingParams(max_new_tokens=length))
        for seed, length in enumerate(lengths)
    ]
    finished = drain(scheduler)
    # Three start; after one decode step the first is done and the fourth joins; then lengths 3, 5 and 3 run out.
    assert decoder.rows == [3, 3, 2, 1]
    assert decoder.prefilled == [3, 1]
    assert {f.request: len(f.completion.token_ids) for f in finished} == dict(zip(requests, lengths, strict=True))


def test_rows_with_different_parameters_share_a_batch(decoder: Watched, tokenizer: PreTrainedTokenizerFast) -> None:
    def run(params: list[SamplingParams]) -> dict[int, list[int]]:
        scheduler = Scheduler(decoder, StopRule(tokenizer, ()), max_rows=8)
        for one in params:
            scheduler.add(Prompt(token_ids=[9, 8, 7], seed=3), one)
        return {f.request: f.completion.token_ids for f in drain(scheduler)}

    params = [
        SamplingParams(max_new_tokens=6),
        SamplingParams(max_new_tokens=6, temperature=0.0),
        SamplingParams(max_new_tokens=6, temperature=2.0, top_k=5),
    ]
    together = run(params)
    assert [together[i] for i in range(3)] == [run([one])[0] for one in params]


@settings(deadline=None, max_examples=25)
@given(
    requests=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 9)), min_size=1, max_size=7),
    max_rows=st.integers(1, 9),
)
def test_whatever_joins_and_leaves_each_row_gets_its_own_logprobs(
    requests: list[tuple[int, int, int]], max_rows: int
) -> None:
    model, tokenizer = make_model("llama"), make_tiny_tokenizer()
    scheduler = Scheduler(make_decoder(model), StopRule(tokenizer, {2, 11, 12, 13, 14}), max_rows=max_rows)
    prompts = {}
    for seed, (length, samples, new) in enumerate(requests):
        prompt = Prompt(token_ids=[20 + (7 * seed + i) % 200 for i in range(length)], samples=samples, seed=seed)
        prompts[scheduler.add(prompt, SamplingParams(max_new_tokens=new))] = prompt
    finished = drain(scheduler)
    expected = [(request, sample) for request, prompt in prompts.items() for sample in range(prompt.samples)]
    assert sorted((f.request, f.sample) for f in finished) == expected
    for one in finished:
        prompt_ids, ids = prompts[one.request].token_ids, one.completion.token_ids
        with torch.no_grad():
            logits = model(torch.tensor([prompt_ids + ids])).logits[0, len(prompt_ids) - 1 : -1]
        logprobs = logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None]).squeeze(-1)
        torch.testing.assert_close(torch.tensor(one.completion.logprobs), logprobs, atol=2e-5, rtol=0)


def test_long_prompts_are_prefilled_in_several_passes() -> None:
    assert _chunks([[0] * 4, [0] * 3, [0] * 9, [0] * 2], budget=8) == [[[0] * 4, [0] * 3], [[0] * 9], [[0] * 2]]
