"""What is trained in packed rows is what Hugging Face's own classifiers compute, and what is saved opens as one."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from r1ray.algorithms.packing import pack, token_places
from r1ray.config.policy import LoraConfig, PolicyConfig
from r1ray.errors import DataError
from r1ray.models.checkpoint import save_policy
from r1ray.models.policy import policy_state_dict
from r1ray.models.preference_reward import PreferenceRewardModel
from r1ray.models.scorer import Scorer, load_scorer, score_head
from tests.tiny import make_tiny_policy, make_tiny_tokenizer

PROMPTS = [[5, 6, 7], [5, 6, 7], [9, 8]]
ANSWERS = [[10, 11, 12, 13], [14, 15], [16, 17, 18]]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_policy(tmp_path_factory.mktemp("scorer") / "policy")


def with_random_head(scorer: Scorer) -> Scorer:
    head = score_head(scorer.model)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(0)))
    return scorer.eval()


def test_a_new_head_has_no_opinion(policy: Path) -> None:
    scorer = load_scorer(PolicyConfig(path=str(policy)), "process", 2).eval()
    [packed] = pack(PROMPTS, ANSWERS, group=[0, 0, 1], max_tokens=100)
    assert torch.equal(scorer(packed, packed.tails).logits, torch.zeros(3, 2))


def test_packed_logits_are_those_of_each_solution_by_itself(policy: Path, tmp_path: Path) -> None:
    scorer = with_random_head(load_scorer(PolicyConfig(path=str(policy)), "process", 2))
    [packed] = pack(PROMPTS, ANSWERS, group=[0, 0, 1], max_tokens=100)
    asked = [(rollout, token) for rollout, answer in enumerate(ANSWERS) for token in range(len(answer))]
    places = token_places(packed, [rollout for rollout, _ in asked], [token for _, token in asked])
    logits = scorer(packed, places).logits
    save_policy(tmp_path / "prm", scorer.model, make_tiny_tokenizer())
    alone = AutoModelForTokenClassification.from_pretrained(tmp_path / "prm").eval()
    for (rollout, token), found in zip(asked, logits, strict=True):
        ids = torch.tensor([PROMPTS[rollout] + ANSWERS[rollout]])
        expected = alone(ids).logits[0, len(PROMPTS[rollout]) + token]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_token_that_is_not_there_is_refused() -> None:
    [packed] = pack(PROMPTS, ANSWERS, group=[0, 0, 1], max_tokens=100)
    assert packed.input_ids[token_places(packed, [1, 0], [1, 3])].tolist() == [15, 13]
    with pytest.raises(DataError, match="Token 2 of rollout 1"):
        token_places(packed, [1], [2])


def test_a_saved_preference_model_scores_as_it_did_in_training(policy: Path, tmp_path: Path) -> None:
    scorer = with_random_head(load_scorer(PolicyConfig(path=str(policy)), "preference", 1, length_term=True))
    [packed] = pack(PROMPTS, ANSWERS, group=[0, 0, 1], max_tokens=100)
    output = scorer(packed, packed.tails)
    trained = dict(zip(packed.tail_sequence.tolist(), output.logits[:, 0].tolist(), strict=True))
    assert output.length_weight is not None and "length_weight" not in policy_state_dict(scorer.model)
    save_policy(tmp_path / "rm", scorer.model, make_tiny_tokenizer())
    read = PreferenceRewardModel.from_path(str(tmp_path / "rm")).score(PROMPTS, ANSWERS)
    assert read == pytest.approx([trained[index] for index in range(3)], abs=1e-4)
    other = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").eval()
    other.config.pad_token_id = 0
    expected = other(torch.tensor([PROMPTS[2] + ANSWERS[2]])).logits.item()
    assert read[2] == pytest.approx(expected, abs=1e-4)


def test_adapters_leave_the_head_trainable(policy: Path) -> None:
    scorer = load_scorer(PolicyConfig(path=str(policy), lora=LoraConfig(rank=2)), "process", 2)
    trained = {name for name, parameter in scorer.named_parameters() if parameter.requires_grad}
    assert any("lora_" in name for name in trained)
    assert {name.rpartition(".")[2] for name in trained if "score" in name} == {"weight", "bias"}
    assert not any("embed" in name for name in trained)
