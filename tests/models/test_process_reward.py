"""Step scores come from the model's judgement at each step's end, whoever shares the batch."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

from r1ray.errors import ModelError
from r1ray.models.process_reward import ProcessRewardModel
from r1ray.types import Completion, Problem, ReasoningStep, Rollout
from tests.tiny import make_tiny_policy, make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()


def rollout_of(lines: list[str], question: str = "Mia has 3 eggs.") -> tuple[Rollout, list[ReasoningStep]]:
    """A completion with one step a line. The tokenizer is byte-level: character i of ASCII text is token i."""
    text = "".join(line + "\n" for line in lines)
    steps, start = [], 0
    for line in lines:
        end = start + len(line)
        steps.append(ReasoningStep(text=line, start=start, end=end, last_token=end - 1))
        start = end + 1
    ids = TOKENIZER(text).input_ids
    completion = Completion(token_ids=ids, logprobs=[0.0] * len(ids), finish_reason="stop", text=text)
    problem = Problem(id="p", question=question, answer="7")
    prompt = TOKENIZER(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n").input_ids
    return Rollout(problem=problem, prompt_ids=prompt, completion=completion, policy_version=0), steps


def edited(folder: Path, target: Path, **changes: object) -> Path:
    """A copy of a model whose config has `changes`; None removes a key."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not None}
    (target / "config.json").write_text(json.dumps(config))
    return target


@pytest.mark.parametrize("shared", [True, False], ids=["sampled ids", "text of its own"])
def test_trained_model_tells_right_steps_from_wrong_ones(trained_prm: Path, shared: bool) -> None:
    prm = ProcessRewardModel.from_path(str(trained_prm), policy_tokenizer=TOKENIZER if shared else None)
    assert prm.reads_sampled_ids is shared
    rollout, steps = rollout_of(["3 + 4 = 7", "banana bread", "7 - 5 = 2"])
    [[first, second, third]] = prm.score([rollout], [steps])
    assert first > 0.8 and second < 0.2 and third > 0.8


def test_sampled_ids_are_read_as_they_are_at_each_steps_last_token(trained_prm: Path) -> None:
    prm = ProcessRewardModel.from_path(str(trained_prm), policy_tokenizer=TOKENIZER)
    rollout, steps = rollout_of(["3 + 4 = 7", "so it is 7"])
    # "3 + 4 = 7" are tokens 0 to 8 and "so it is 7" 10 to 19, newlines between: judged at 8 and 19 after the prompt.
    assert [step.last_token for step in steps] == [8, 19]
    ids = torch.tensor([rollout.prompt_ids + rollout.completion.token_ids])
    logits = AutoModelForTokenClassification.from_pretrained(trained_prm)(ids).logits[0]
    expected = logits.softmax(-1)[[len(rollout.prompt_ids) + 8, len(rollout.prompt_ids) + 19], 1]
    [scores] = prm.score([rollout], [steps])
    assert scores == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_model_that_judges_separators_never_reads_sampled_ids(trls_prm: Path) -> None:
    # A policy may write two newlines, or none after its last step: the token that it was trained on need not be there.
    prm = ProcessRewardModel.from_path(str(trls_prm), policy_tokenizer=TOKENIZER)
    assert not prm.reads_sampled_ids
    rollout, steps = rollout_of(["3 + 4 = 7", "banana bread", "7 - 5 = 2"])
    [[first, second, third]] = prm.score([rollout], [steps])
    assert first > 0.8 and second < 0.2 and third > 0.8


@pytest.mark.parametrize(("position", "at"), [("separator", [11, 16]), ("step_end", [10, 15])])
def test_own_text_is_laid_out_as_trls_trainer_does(
    trained_prm: Path, tmp_path: Path, position: str, at: list[int]
) -> None:
    layout = {"style": "token_classification", "position": position}
    prm = ProcessRewardModel.from_path(str(edited(trained_prm, tmp_path / "prm", r1ray_prm=layout)))
    rollout, steps = rollout_of(["3 + 4 = 7", "so 7"], question="Q?")
    text = TOKENIZER("Q?3 + 4 = 7\nso 7\n").input_ids  # bos, question, then each step and its separator
    logits = AutoModelForTokenClassification.from_pretrained(trained_prm)(
        torch.tensor([[TOKENIZER.bos_token_id, *text]])
    ).logits[0]
    expected = logits.softmax(-1)[[1 + index for index in at], 1]  # the newlines are characters 11 and 16
    [scores] = prm.score([rollout], [steps])
    assert scores == pytest.approx(expected.tolist(), abs=1e-5)


def test_math_shepherd_compares_plus_and_minus_at_each_tag(shepherd_prm: Path) -> None:
    prm = ProcessRewardModel.from_path(str(shepherd_prm), policy_tokenizer=TOKENIZER)
    assert not prm.reads_sampled_ids  # its tags stand between the steps: the sampled ids have none
    rollout, steps = rollout_of(["3 + 4 = 7", "so 7 ки"], question="Q?")  # a step may contain the tag
    text = "Q? 3 + 4 = 7 ки\nso 7 ки ки"
    ids = TOKENIZER(text).input_ids  # each Cyrillic letter is two bytes, so two tokens
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(shepherd_prm)(torch.tensor([ids])).logits[0]
    first = len(TOKENIZER("Q? 3 + 4 = 7 ки").input_ids) - 1
    plus, minus = TOKENIZER("+-").input_ids
    expected = logits[[first, len(ids) - 1]][:, [plus, minus]].softmax(-1)[:, 0]
    [scores] = prm.score([rollout], [steps])
    assert scores == pytest.approx(expected.tolist(), abs=1e-5)


@settings(max_examples=10, deadline=None)
@given(
    lines=st.lists(st.lists(st.text("012=+ ab", min_size=1, max_size=9), max_size=4), min_size=1, max_size=6),
    budget=st.integers(1, 400),
)
@pytest.mark.parametrize("style", ["trained_prm", "shepherd_prm"])
def test_neither_padding_nor_order_nor_company_changes_a_score(
    style: str, lines: list[list[str]], budget: int, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(style)
    prm = ProcessRewardModel.from_path(str(folder), policy_tokenizer=TOKENIZER, tokens_per_batch=budget)
    pairs = [rollout_of(parts) for parts in lines]
    together = prm.score([rollout for rollout, _ in pairs], [steps for _, steps in pairs])
    assert [len(scores) for scores in together] == [len(parts) for parts in lines]
    for (rollout, steps), scores in zip(pairs, together, strict=True):
        assert scores == pytest.approx(prm.score([rollout], [steps])[0], abs=1e-5)


def test_one_class_is_read_through_a_sigmoid(trained_prm: Path, tmp_path: Path) -> None:
    model = AutoModelForTokenClassification.from_pretrained(trained_prm)
    two = model.score.weight.detach().clone(), model.score.bias.detach().clone()
    single = AutoModelForTokenClassification.from_config(
        model.config.__class__.from_dict({**model.config.to_dict(), "num_labels": 1})
    )
    state = model.state_dict()
    # softmax over (a, b) at b is sigmoid(b - a)
    state["score.weight"], state["score.bias"] = (two[0][1:] - two[0][:1]), (two[1][1:] - two[1][:1])
    single.load_state_dict(state)
    single.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    rollout, steps = rollout_of(["3 + 4 = 7", "banana bread"])
    [expected] = ProcessRewardModel.from_path(str(trained_prm)).score([rollout], [steps])
    [scores] = ProcessRewardModel.from_path(str(tmp_path)).score([rollout], [steps])
    assert scores == pytest.approx(expected, abs=1e-5)


def test_rollout_without_steps_has_no_scores(trained_prm: Path) -> None:
    rollout, _ = rollout_of(["3"])
    assert ProcessRewardModel.from_path(str(trained_prm)).score([rollout], [[]]) == [[]]


def test_rollout_longer_than_the_model_reads_is_an_error(trained_prm: Path) -> None:
    rollout, steps = rollout_of(["1" * 600])
    with pytest.raises(ModelError, match="reads at most 512 tokens and a rollout has 6"):
        ProcessRewardModel.from_path(str(trained_prm)).score([rollout], [steps])


def test_token_classifier_needs_no_configuration(trained_prm: Path, tmp_path: Path) -> None:
    plain = edited(trained_prm, tmp_path / "plain", r1ray_prm=None)
    assert ProcessRewardModel.from_path(str(plain)).layout.style == "token_classification"


def test_ordinary_language_model_is_not_taken_for_a_reward_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected a process reward model"):
        ProcessRewardModel.from_path(str(make_tiny_policy(tmp_path / "policy")))


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"style": "outcome"}, "style is 'outcome'"),
        ({"style": "token_classification", "position": "end"}, "position is 'end'; expected separator or step_end"),
        ({"style": "math_shepherd", "tag": "x"}, "r1ray_prm has tag"),
        ({"style": "math_shepherd", "candidates": ["good", "bad"]}, "one token each"),
    ],
)
def test_wrong_configuration_says_what_was_expected(
    shepherd_prm: Path, tmp_path: Path, layout: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        ProcessRewardModel.from_path(str(edited(shepherd_prm, tmp_path / "prm", r1ray_prm=layout)))


def test_more_than_three_classes_are_refused(trained_prm: Path, tmp_path: Path) -> None:
    model = AutoModelForTokenClassification.from_pretrained(trained_prm, num_labels=4, ignore_mismatched_sizes=True)
    model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has 4 classes"):
        ProcessRewardModel.from_path(str(tmp_path))
