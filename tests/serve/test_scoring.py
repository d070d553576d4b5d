"""Steps of an answer and their scores, by themselves and in the API."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from r1ray.models.loading import load_tokenizer
from r1ray.serve.scoring import StepScores
from tests.serve.service import served
from tests.tiny import make_tiny_policy, make_tiny_prm

GOOD, BAD = "1 + 1 = 2\n", "what is it\n"


class Direct:
    """A scorer in this process, as the service asks it."""

    def __init__(self, scores: StepScores) -> None:
        self._scores = scores

    async def score(self, prompt_ids: Sequence[int], token_ids: Sequence[int]) -> list[dict[str, Any]]:
        return self._scores.score([(prompt_ids, token_ids)])[0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return make_tiny_policy(folder / "policy"), make_tiny_prm(folder / "prm", steps=45)


def test_each_step_has_its_text_and_score(folders: tuple[Path, Path]) -> None:
    policy, prm = folders
    tokenizer = load_tokenizer(policy)
    answers = [(tokenizer("1 + 1?")["input_ids"], tokenizer(text)["input_ids"]) for text in (GOOD + BAD, "")]
    both, none = StepScores(str(prm), str(policy)).score(answers)
    assert [step["text"] for step in both] == [GOOD.strip(), BAD.strip()] and none == []
    assert 1 >= both[0]["score"] > both[1]["score"] >= 0, "this model likes lines with an equals sign"


def test_the_best_of_several_chats_is_the_one_whose_weakest_step_scores_best(folders: tuple[Path, Path]) -> None:
    policy, prm = folders
    scorer = Direct(StepScores(str(prm), str(policy)))
    body = {"messages": [{"role": "user", "content": "1 + 1"}], "max_tokens": 12, "seed": 4, "ignore_eos": True}
    with served(policy, scorer=scorer) as server:
        url = f"{server.url}/v1/chat/completions"
        every = httpx.post(url, json={**body, "n": 4, "include_steps": True}, timeout=60).json()["choices"]
        best = httpx.post(url, json={**body, "best_of": 4, "include_steps": True}, timeout=60).json()
    worth = {choice["message"]["content"]: min([s["score"] for s in choice["steps"]], default=0.0) for choice in every}
    [choice] = best["choices"]
    assert worth[choice["message"]["content"]] == max(worth.values()) and len(set(worth.values())) > 1
    assert best["usage"]["completion_tokens"] == 48, "those that were not chosen cost tokens too"
