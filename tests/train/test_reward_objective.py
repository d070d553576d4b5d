"""Losses of reward models do not depend on how rows are cut up, and agree with their formulas."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from r1ray.config.optim import OptimConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.reward_model import PreferenceConfig
from r1ray.data.labelled_steps import EncodedSteps
from r1ray.data.preferences import EncodedPair
from r1ray.errors import DataError
from r1ray.models.scorer import load_scorer, score_head
from r1ray.train.plain import TorchEngine
from r1ray.train.reward_objective import PreferenceObjective, ProcessObjective, cut_up
from tests.tiny import make_tiny_policy


def solution(prompt: list[int], answer: list[int], ends: list[int], labels: list[float]) -> EncodedSteps:
    return EncodedSteps(
        token_ids=[*prompt, *answer],
        prompt_tokens=len(prompt),
        positions=[len(prompt) + end for end in ends],
        labels=labels,
        ratings=[1 if label > 0.5 else -1 for label in labels],
    )


STEPS = {
    "a": [
        solution([5, 6, 7], [10, 11, 12, 13], [1, 3], [1.0, 0.0]),
        solution([5, 6, 7], [20, 21], [1], [0.25]),
    ],
    "b": [solution([9, 8], [30, 31, 32], [0, 2], [1.0, 1.0])],
}
PAIRS = {
    "a": [
        EncodedPair(prompt_ids=[5, 6], chosen_ids=[10, 11, 12], rejected_ids=[13], strength=2.0, group="a"),
        EncodedPair(prompt_ids=[5, 6], chosen_ids=[10, 11, 12], rejected_ids=[14, 15], strength=0.0, group="a"),
    ],
    "b": [EncodedPair(prompt_ids=[7, 8, 9], chosen_ids=[16], rejected_ids=[17, 18], strength=1.0, group="b")],
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_policy(tmp_path_factory.mktemp("objective") / "policy")


def engine_of(policy: Path, kind: str, classes: int, length_term: bool = False) -> TorchEngine:
    scorer = load_scorer(PolicyConfig(path=str(policy)), kind, classes, length_term=length_term)  # type: ignore[arg-type]
    head = score_head(scorer.model)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(0)))
        if scorer.length_weight is not None:
            scorer.length_weight.fill_(0.5)
    return TorchEngine(scorer, OptimConfig(), total_steps=1)


def summed(engine: TorchEngine, objective: object, rows: list[str]) -> tuple[float, float, torch.Tensor, int]:
    """Loss, count, gradient of the head, number of micro-batches."""
    engine.module.zero_grad()
    batches = objective.microbatches(rows)  # type: ignore[attr-defined]
    loss = count = 0.0
    for batch in batches:
        part, _ = objective.loss(engine, batch)  # type: ignore[attr-defined]
        part.backward()
        loss, count = loss + float(part.detach()), count + objective.count(batch)  # type: ignore[attr-defined]
    gradient = score_head(engine.module.model).weight.grad  # type: ignore[arg-type]
    assert gradient is not None
    return loss, count, gradient.clone(), len(batches)


def test_step_losses_are_cross_entropies_at_the_steps_last_tokens(policy: Path) -> None:
    engine = engine_of(policy, "process", 2)
    loss, count, _, _ = summed(engine, ProcessObjective(STEPS, classes=2, max_tokens=100), ["a", "b"])
    expected = 0.0
    for one in (*STEPS["a"], *STEPS["b"]):
        logits = engine.module.model(torch.tensor([one.token_ids])).logits[0, one.positions]  # type: ignore[operator]
        labels = torch.tensor(one.labels)
        expected += F.cross_entropy(logits, torch.stack([1 - labels, labels], -1), reduction="sum").item()
    assert count == 5
    assert loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["process", "three", "preference"])
def test_loss_and_gradient_do_not_depend_on_the_cut(policy: Path, kind: str) -> None:
    def objective(max_tokens: int) -> ProcessObjective | PreferenceObjective:
        if kind == "preference":
            return PreferenceObjective(PAIRS, PreferenceConfig(margin=0.5), max_tokens=max_tokens)
        return ProcessObjective(STEPS, classes=3 if kind == "three" else 2, max_tokens=max_tokens)

    engine = (
        engine_of(policy, "preference", 1, length_term=True)
        if kind == "preference"
        else engine_of(policy, "process", 3 if kind == "three" else 2)
    )
    whole, cut = (summed(engine, objective(size), ["a", "b"]) for size in (100, 1))
    assert (whole[3], cut[3]) == (1, 3)
    assert whole[1] == cut[1]
    assert whole[0] == pytest.approx(cut[0], rel=1e-4)
    torch.testing.assert_close(whole[2], cut[2], atol=1e-4, rtol=1e-3)


def test_preferences_are_bradley_terry_with_margin_length_term_and_centering(policy: Path) -> None:
    config = PreferenceConfig(margin=0.5, centering=0.1)
    engine = engine_of(policy, "preference", 1, length_term=True)
    loss, count, _, _ = summed(engine, PreferenceObjective(PAIRS, config, max_tokens=100), ["a", "b"])

    def score(prompt: list[int], answer: list[int]) -> torch.Tensor:
        model = engine.module.model
        hidden = model.model(torch.tensor([prompt + answer])).last_hidden_state[0, -1]  # type: ignore[operator, union-attr]
        return model.score(hidden)[0]  # type: ignore[operator, union-attr]

    pairs = [*PAIRS["a"], *PAIRS["b"]]
    differences = torch.tensor([float(len(p.chosen_ids) - len(p.rejected_ids)) for p in pairs])
    scale, expected = differences.std(correction=0), torch.zeros(())
    for pair, difference in zip(pairs, differences, strict=True):
        good, bad = score(pair.prompt_ids, pair.chosen_ids), score(pair.prompt_ids, pair.rejected_ids)
        lead = good - bad - 0.5 * pair.strength + 0.5 * torch.tanh(difference / scale)
        expected = expected - F.logsigmoid(lead) + 0.1 * (good + bad) ** 2
    assert count == 3
    assert loss == pytest.approx(float(expected), rel=1e-4)


def test_an_idle_pass_has_a_loss_to_be_multiplied_by_zero(policy: Path) -> None:
    process = ProcessObjective(STEPS, classes=2, max_tokens=100)
    loss, _ = process.loss(engine_of(policy, "process", 2), process.idle())
    assert torch.isfinite(loss)
    preference = PreferenceObjective(PAIRS, PreferenceConfig(), max_tokens=100)
    loss, _ = preference.loss(engine_of(policy, "preference", 1), preference.idle())
    assert torch.isfinite(loss)


def test_three_classes_need_ratings() -> None:
    bare = EncodedSteps(token_ids=[1, 2], prompt_tokens=1, positions=[1], labels=[1.0], ratings=[])
    with pytest.raises(DataError, match=r"process\.classes 2"):
        ProcessObjective({"a": [bare]}, classes=3, max_tokens=10)


def test_parts_are_cut_within_the_budget_and_a_shared_prompt_counts_once() -> None:
    items = [("a", 10, 5), ("a", 10, 5), ("b", 10, 5), ("b", 10, 30)]
    assert cut_up(items, 20) == [[0, 1], [2], [3]]
    assert cut_up(items, 35) == [[0, 1, 2], [3]]
    assert cut_up(items, 1000) == [[0, 1, 2, 3]]
