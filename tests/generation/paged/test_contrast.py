"""Contrastive decoding chooses what a direct computation with both models chooses."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from r1ray.config.policy import PolicyConfig
from r1ray.config.serve import ServeEngineConfig
from r1ray.errors import DataError, ModelError
from r1ray.generation.engine import SamplingParams
from r1ray.generation.iteration import Contrast, DecodingParams, EngineEvent, EngineRequest
from r1ray.generation.paged.factory import make_iteration_engine
from r1ray.generation.sampling import RowSampling, sample, uniforms
from r1ray.models.loading import load_policy
from tests.tiny import make_tiny_policy

PROMPT = list(range(20, 90))
ASKED = DecodingParams(
    max_new_tokens=12, seed=5, logprobs=True, ignore_end=True, contrast=Contrast(beta=0.8, alpha=0.05)
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return make_tiny_policy(folder / "model"), make_tiny_policy(folder / "amateur", seed=4, layers=1, hidden=32)


def answers(engine: object, *requests: EngineRequest) -> dict[str, list[EngineEvent]]:
    for request in requests:
        engine.add(request)  # type: ignore[attr-defined]
    found: dict[str, list[EngineEvent]] = {request.id: [] for request in requests}
    while engine.busy:  # type: ignore[attr-defined]
        for event in engine.step():  # type: ignore[attr-defined]
            found[event.id].append(event)
    return found


def tokens(events: list[EngineEvent]) -> list[int]:
    return [token for event in events for token in event.token_ids]


def logprobs(folder: Path, ids: list[int]) -> Tensor:
    model, _ = load_policy(PolicyConfig(path=str(folder)))
    with torch.inference_mode():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].float(), -1)


def directly(folders: tuple[Path, Path], params: DecodingParams) -> tuple[list[int], list[float]]:
    """Both models on the whole text for every token, and the paper's formula."""
    ids, scores = list(PROMPT), []
    numbers, contrast = uniforms(params.seed, params.sample, params.max_new_tokens), params.contrast
    assert contrast is not None
    for step in range(params.max_new_tokens):
        own, amateur = (logprobs(folder, ids) for folder in folders)
        score = (1 + contrast.beta) * own - contrast.beta * amateur
        score[own < own.max() + math.log(contrast.alpha)] = -math.inf
        row = RowSampling([SamplingParams(temperature=params.temperature)], score.device)
        token = int(sample(score[None], torch.tensor(numbers[step : step + 1]), row)[0])
        ids.append(token)
        scores.append(float(own[token]))
    return ids[len(PROMPT) :], scores


@pytest.mark.parametrize("kind", ["transformers", "openvino"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_are_those_of_both_models_side_by_side(
    folders: tuple[Path, Path], kind: str, temperature: float
) -> None:
    if kind == "openvino":
        pytest.importorskip("openvino")
    model, amateur = folders
    config = ServeEngineConfig(kind=kind, amateur=str(amateur), cache_tokens=1024, threads=1, prefill_tokens=30)
    engine, _ = make_iteration_engine(config, PolicyConfig(path=str(model)))
    params = replace(ASKED, temperature=temperature)
    plain = replace(params, contrast=None)
    found = answers(
        engine,
        EngineRequest(id="plain", prompt_ids=PROMPT, params=plain),
        EngineRequest(id="asked", prompt_ids=PROMPT, params=params),
        EngineRequest(
            id="nothing off", prompt_ids=PROMPT, params=replace(params, contrast=Contrast(beta=0, alpha=1e-9))
        ),
    )
    expected, own = directly(folders, params)
    assert tokens(found["asked"]) == expected != tokens(found["plain"]) == tokens(found["nothing off"])
    scores = [score.logprob for event in found["asked"] for score in event.scores]
    torch.testing.assert_close(torch.tensor(scores), torch.tensor(own), rtol=0, atol=1e-4)
    assert found["asked"][0].cached_tokens == 0, "the plain request's pages hold nothing of the amateur's"
    [again] = answers(engine, EngineRequest(id="again", prompt_ids=PROMPT, params=params)).values()
    assert again[0].cached_tokens == 64 and tokens(again) == expected


def test_biases_act_once_and_rule_out_and_in(folders: tuple[Path, Path]) -> None:
    model, amateur = folders
    config = ServeEngineConfig(kind="transformers", amateur=str(amateur), cache_tokens=1024)
    engine, _ = make_iteration_engine(config, PolicyConfig(path=str(model)))
    greedy = replace(ASKED, temperature=0.0)
    expected, _ = directly(folders, greedy)
    found = answers(
        engine,
        EngineRequest(id="in", prompt_ids=PROMPT, params=replace(greedy, logit_bias={65: 100.0})),
        EngineRequest(id="out", prompt_ids=PROMPT, params=replace(greedy, logit_bias={expected[0]: -100.0})),
    )
    assert tokens(found["in"]) == [65] * 12 and tokens(found["out"])[0] != expected[0]


def test_without_an_amateur_that_fits_it_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    model, _ = folders
    config = ServeEngineConfig(kind="transformers", cache_tokens=1024)
    engine, tokenizer = make_iteration_engine(config, PolicyConfig(path=str(model)))
    with pytest.raises(DataError, match="amateur"):
        engine.add(EngineRequest(id="a", prompt_ids=PROMPT, params=ASKED))
    other = make_tiny_policy(tmp_path / "other")
    tokenizer.add_tokens(["<another>"])
    tokenizer.save_pretrained(other)
    with pytest.raises(ModelError, match="other tokens"):
        make_iteration_engine(replace(config, amateur=str(other)), PolicyConfig(path=str(model)))
