"""The paged engine with the reference network: what an answer is does not depend on what shares its batch."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from r1ray.config.policy import PolicyConfig
from r1ray.errors import DataError
from r1ray.generation.iteration import DecodingParams, EngineEvent, EngineRequest
from r1ray.generation.paged.batcher import PagedEngine
from r1ray.generation.paged.rows import RowLimit
from r1ray.generation.paged.transformers_model import TransformersPagedModel
from r1ray.generation.stopping import StopRule
from r1ray.models.loading import load_policy
from tests.tiny import make_tiny_policy

PROMPT = list(range(20, 90))
PARAMS = DecodingParams(max_new_tokens=8, seed=7, logprobs=True, ignore_end=True)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def engine(policy: Path) -> Iterator[PagedEngine]:
    yield make(policy)


def make(policy: Path, tokens: int = 1024, **options: object) -> PagedEngine:
    model, tokenizer = load_policy(PolicyConfig(path=str(policy)))
    paged = TransformersPagedModel(model, tokens=tokens)  # type: ignore[arg-type]
    rows = options.pop("rows", RowLimit(8, 8))
    return PagedEngine(paged, StopRule(tokenizer, {2}), rows=rows, **options)  # type: ignore[arg-type]


def run(engine: PagedEngine, *requests: EngineRequest) -> dict[str, list[EngineEvent]]:
    for request in requests:
        engine.add(request)
    events: dict[str, list[EngineEvent]] = {request.id: [] for request in requests}
    while engine.busy:
        for event in engine.step():
            events[event.id].append(event)
    return events


def tokens(events: Sequence[EngineEvent]) -> list[int]:
    return [token for event in events for token in event.token_ids]


def logprobs(events: Sequence[EngineEvent]) -> list[float]:
    return [score.logprob for event in events for score in event.scores]


def test_an_answer_is_the_same_alone_in_company_and_from_a_warm_cache(engine: PagedEngine) -> None:
    wanted = EngineRequest(id="wanted", prompt_ids=PROMPT, params=PARAMS)
    alone = run(engine, wanted)["wanted"]
    assert alone[0].cached_tokens == 0 and len(tokens(alone)) == 8 and alone[-1].finish_reason == "length"
    warm = run(engine, replace(wanted, id="warm"))["warm"]
    assert warm[0].cached_tokens == 64, "two pages of 32"
    others = [EngineRequest(id=str(n), prompt_ids=PROMPT[n:], params=replace(PARAMS, seed=n)) for n in range(5)]
    company = run(engine, *others, replace(wanted, id="company"))["company"]
    assert tokens(alone) == tokens(warm) == tokens(company)
    for found in (warm, company):
        torch.testing.assert_close(torch.tensor(logprobs(found)), torch.tensor(logprobs(alone)), rtol=0, atol=1e-3)


def test_requests_with_one_prefix_that_arrive_together_compute_it_once(engine: PagedEngine) -> None:
    asked = [EngineRequest(id=str(n), prompt_ids=PROMPT, params=replace(PARAMS, sample=n)) for n in range(3)]
    events = run(engine, *asked)
    assert [events[str(n)][0].cached_tokens for n in range(3)] == [0, 64, 64]
    assert len({tuple(tokens(events[str(n)])) for n in range(3)}) == 3, "samples draw from streams of their own"


def test_long_prompts_are_read_in_pieces_and_score_as_a_whole(policy: Path) -> None:
    asked = replace(PARAMS, max_new_tokens=2, prompt_logprobs=True, top_logprobs=2)
    request = EngineRequest(id="a", prompt_ids=PROMPT, params=asked)
    pieces = run(make(policy, prefill_tokens=13), request)["a"]
    scores = pieces[0].prompt_scores
    assert scores is not None and len(scores) == len(PROMPT) and scores[0] is None
    model, _ = load_policy(PolicyConfig(path=str(policy)))
    with torch.inference_mode():
        whole = torch.log_softmax(model(torch.tensor([PROMPT])).logits[0].float(), -1)
    expected = [float(whole[place, token]) for place, token in enumerate(PROMPT[1:])]
    found = [score.logprob for score in scores[1:] if score is not None]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=0, atol=1e-4)
    assert all(score is None or len(score.top) == 2 for score in scores)


def test_nothing_but_scores_is_asked_for(engine: PagedEngine) -> None:
    asked = replace(PARAMS, max_new_tokens=0, prompt_logprobs=True)
    [event] = run(engine, EngineRequest(id="a", prompt_ids=PROMPT, params=asked))["a"]
    assert event.token_ids == () and event.finish_reason == "length" and len(event.prompt_scores or ()) == len(PROMPT)


def test_a_cancelled_request_frees_its_pages_at_once(engine: PagedEngine) -> None:
    free = engine.load().free_tokens
    engine.add(EngineRequest(id="a", prompt_ids=PROMPT, params=PARAMS))
    engine.step()
    assert engine.load().free_tokens < free and engine.load().running == 1
    assert engine.cancel("a") and not engine.busy and engine.load().free_tokens == free
    assert not engine.cancel("a")


def test_requests_wait_until_their_longest_answer_fits(policy: Path) -> None:
    engine = make(policy, tokens=128)
    asked = [EngineRequest(id=str(n), prompt_ids=PROMPT, params=replace(PARAMS, seed=n)) for n in range(3)]
    for request in asked:
        engine.add(request)
    most = 0
    while engine.busy:
        engine.step()
        most = max(most, engine.load().running)
    assert most == 2, "of four pages two are shared, and each has a third of its own: the last has to wait"
    with pytest.raises(DataError, match="at most 128 fit"):
        engine.add(EngineRequest(id="x", prompt_ids=PROMPT, params=replace(PARAMS, max_new_tokens=100)))


def test_another_engine_goes_on_with_an_answer(engine: PagedEngine) -> None:
    request = EngineRequest(id="a", prompt_ids=PROMPT, params=PARAMS)
    whole = tokens(run(engine, request)["a"])
    rest = run(engine, replace(request, id="b", answer_ids=tuple(whole[:3])))["b"]
    assert tokens(rest) == whole[3:]


def test_biases_and_penalties_change_the_draw(engine: PagedEngine) -> None:
    greedy = replace(PARAMS, temperature=0.0)
    forced = replace(greedy, logit_bias={65: 100.0})
    banned = replace(forced, frequency_penalty=2.0, logit_bias={65: 20.0, 66: 19.0})
    events = run(
        engine,
        EngineRequest(id="forced", prompt_ids=PROMPT, params=forced),
        EngineRequest(id="banned", prompt_ids=PROMPT, params=banned),
    )
    assert tokens(events["forced"]) == [65] * 8
    assert 65 in tokens(events["banned"]) and len(set(tokens(events["banned"]))) > 1


def test_new_weights_answer_otherwise_and_reuse_nothing(policy: Path, tmp_path: Path) -> None:
    engine = make(policy)
    request = EngineRequest(id="a", prompt_ids=PROMPT, params=PARAMS)
    old = run(engine, request)["a"]
    other, _ = load_policy(PolicyConfig(path=str(make_tiny_policy(tmp_path / "other", seed=5))))
    engine.load_weights(dict(other.named_parameters()), 3)
    new = run(engine, replace(request, id="b"))["b"]
    assert engine.version == 3 and new[0].cached_tokens == 0 and logprobs(new)[0] != logprobs(old)[0]


def test_rows_grow_under_load_and_shrink_after_it() -> None:
    rows = RowLimit(8, 32, slow_step=1.0)
    for expected in (16, 32, 32):
        rows.after_step(0.1, running=rows.now, waiting=5)
        assert rows.now == expected
    rows.after_step(2.0, running=32, waiting=5)
    assert rows.now == 24
    for _ in range(3):
        rows.after_step(0.1, running=1, waiting=0)
    assert rows.now == 8
