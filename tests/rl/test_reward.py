"""The reward worker: every component in the log, and a process reward model whose weights decide what tokens earn."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from r1ray.algorithms.estimators import Scored
from r1ray.algorithms.experience import collate
from r1ray.config.reward import RewardConfig
from r1ray.errors import DataError
from r1ray.models.process_reward import ProcessRewardModel
from r1ray.reasoning.functions import UserFunction
from r1ray.reasoning.grading import Grader
from r1ray.rl.figures import batch_metrics
from r1ray.rl.reward import RewardWorker, StepScorer
from r1ray.types import Completion, Problem, ReasoningStep, Rollout, ScoredRollout
from tests.tiny import make_tiny_prm, make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
PROBLEM = Problem(id="eggs", question="Mia has 9 eggs. Mia gets 7 more, then 5 break. How many now?", answer="11")
RIGHT = "1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11"
HALF = "1. 9 + 7 = 16\n2. banana bread\nAnswer: 16"
EMPTY = ""


def decode(ids: list[int]) -> str:
    return str(TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def rollout(text: str, *, reason: str = "stop", sample: int = 0) -> Rollout:
    """As an engine gives it: ids and no text, the end token sampled where it stopped."""
    ids = TOKENIZER(text).input_ids + ([2] if reason == "stop" else [])
    completion = Completion(token_ids=ids, logprobs=[-1.0] * len(ids), finish_reason=reason)  # type: ignore[arg-type]
    return Rollout(problem=PROBLEM, prompt_ids=[1, 40, 41], completion=completion, policy_version=1, sample=sample)


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as grader:
        yield grader


@pytest.fixture(scope="module")
def prm_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token classifier that has learnt to call lines with an equals sign right."""
    return make_tiny_prm(tmp_path_factory.mktemp("prm") / "prm", steps=45)


def worker(
    grader: Grader, config: RewardConfig, process: StepScorer | None = None, *functions: UserFunction
) -> RewardWorker:
    return RewardWorker(config, decode, grader, max_new_tokens=64, process=process, functions=functions)


def prm_worker(grader: Grader, path: Path, config: RewardConfig | None = None, *, shared: bool = True) -> RewardWorker:
    """`shared`: whether the model reads the ids as they were sampled, or writes the steps down for itself."""
    prm = ProcessRewardModel.from_path(str(path), policy_tokenizer=TOKENIZER if shared else None)
    return worker(grader, config or RewardConfig(process_path=str(path)), prm.score)


def token_rewards(scored: list[ScoredRollout], placement: str = "place") -> torch.Tensor:
    """(B, T): what the learner credits to each token."""
    return Scored.from_experience(collate(scored), placement=placement).token_rewards


def with_flipped_head(path: Path, target: Path) -> Path:
    """The same model with right and wrong exchanged."""
    shutil.copytree(path, target)
    weights = load_file(target / "model.safetensors")
    for name in ("score.weight", "score.bias"):
        weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_a_right_solution_by_hand(grader: Grader) -> None:
    config = RewardConfig(outcome_weight=1.0, step_weight=0.3, format_weight=0.1, length_weight=2.0, length_buffer=32)
    [scored], counters = worker(grader, config).score([rollout(RIGHT)])
    assert scored.rollout.completion.text == RIGHT
    assert scored.correct
    assert [step.text for step in scored.steps] == ["1. 9 + 7 = 16", "2. 16 - 5 = 11"]
    # Byte-level: character i is token i. The steps end with characters 12 and 27.
    assert [step.last_token for step in scored.steps] == [12, 27]
    # 28 + 1 + 10 characters and the end token: 40 tokens, 8 past the 64 - 32 from which length is punished.
    assert scored.components == pytest.approx({"outcome": 1.0, "step": 1.0, "format": 1.0, "length": -8 / 32})
    assert scored.outcome_reward == pytest.approx(1.0 + 0.1 - 2.0 * 0.25)
    assert sum(scored.step_scores) == pytest.approx(0.3)
    assert counters["truncated"] == counters["grader_timeouts"] == 0


def test_an_adapted_step_weight_stands_in_for_the_configured_one(grader: Grader) -> None:
    one = worker(grader, RewardConfig(step_weight=0.3))
    assert sum(one.score([rollout(RIGHT)], 0.8)[0][0].step_scores) == pytest.approx(0.8)
    assert sum(one.score([rollout(RIGHT)])[0][0].step_scores) == pytest.approx(0.3)


def test_the_trained_prm_tells_steps_apart_and_its_scores_land_on_the_tokens_that_end_them(
    grader: Grader, prm_path: Path
) -> None:
    config = RewardConfig(
        outcome_weight=0, step_weight=0, format_weight=0, process_weight=2.0, process_path=str(prm_path)
    )
    rollouts = [rollout(RIGHT), rollout(HALF, sample=1)]
    scored, _ = prm_worker(grader, prm_path, config, shared=False).score(rollouts)
    rewards = token_rewards(scored)
    assert scored[1].steps[1].text == "2. banana bread"
    assert rewards[1, scored[1].steps[0].last_token] > 1.6 > 0.4 > rewards[1, scored[1].steps[1].last_token]
    for row, item in enumerate(scored):
        ends = [step.last_token for step in item.steps]
        assert rewards[row, ends].tolist() == pytest.approx(item.step_scores)
        assert int((rewards[row] != 0).sum()) == len(ends)
        assert item.components["process"] == pytest.approx(sum(item.step_scores) / 2.0 / len(ends))


@pytest.mark.parametrize("shared", [True, False], ids=["sampled ids", "text of its own"])
@pytest.mark.parametrize("placement", ["place", "difference", "min", "mean"])
def test_other_prm_weights_give_other_token_rewards(
    placement: str, shared: bool, grader: Grader, prm_path: Path, tmp_path: Path
) -> None:
    rollouts = [rollout(RIGHT), rollout(HALF, sample=1)]
    flipped_path = with_flipped_head(prm_path, tmp_path / "flipped")
    trained, _ = prm_worker(grader, prm_path, shared=shared).score(rollouts)
    flipped, _ = prm_worker(grader, flipped_path, shared=shared).score(rollouts)
    again, _ = prm_worker(grader, prm_path, shared=shared).score(rollouts)
    assert again == trained
    assert [item.outcome_reward for item in flipped] == [item.outcome_reward for item in trained]
    before, after = token_rewards(trained, placement), token_rewards(flipped, placement)
    changed = (before - after).abs() > 0.05
    assert changed[0].any()  # two right steps became two wrong ones; a right and a wrong one may keep their mean
    ends = torch.zeros_like(changed)
    for row, item in enumerate(trained):
        last = len(item.rollout.completion.token_ids) - 1
        ends[row, [step.last_token for step in item.steps] if placement in ("place", "difference") else [last]] = True
    assert not (changed & ~ends).any()


def test_what_shares_the_batch_changes_no_score(grader: Grader, prm_path: Path) -> None:
    judge = prm_worker(grader, prm_path)
    rollouts = [rollout(RIGHT), rollout(HALF, sample=1), rollout(EMPTY, sample=2)]
    together, _ = judge.score(rollouts)
    for index, one in enumerate(rollouts):
        [alone], _ = judge.score([one])
        assert alone.step_scores == pytest.approx(together[index].step_scores, abs=1e-5)
    assert together[2].steps == [] and together[2].components["process"] == 0.0


def test_every_component_is_logged_unweighted(grader: Grader, prm_path: Path) -> None:
    config = RewardConfig(process_path=str(prm_path), process_weight=0.5, length_weight=1.0, length_buffer=64)
    prm = ProcessRewardModel.from_path(str(prm_path), policy_tokenizer=TOKENIZER)
    brevity = UserFunction("brevity", lambda item: -float(len(item.completion.token_ids)), weight=0.01)
    shout = UserFunction("shout", lambda item: [2.0] * item.completion.text.count(". "), weight=0.1)
    scored, counters = worker(grader, config, prm.score, brevity, shout).score([rollout(RIGHT), rollout(HALF)])
    figures = {key: metric.value for key, metric in batch_metrics(scored, counters).items()}
    assert figures["reward/outcome"] == 0.5
    assert figures["reward/brevity"] == -(len(RIGHT) + 1 + len(HALF) + 1) / 2
    assert figures["reward/shout"] == 4.0
    assert {f"reward/{name}" for name in ("step", "format", "length", "process")} <= figures.keys()
    assert figures["reward/process"] == pytest.approx(sum(item.components["process"] for item in scored) / 2)
    assert figures["reward/count_steps_right"] == counters["steps_right"] == 3


def test_a_truncated_rollout_is_counted_and_its_text_still_decoded(grader: Grader) -> None:
    [scored], counters = worker(grader, RewardConfig()).score([rollout("1. 9 + 7 = 1", reason="length")])
    assert counters["truncated"] == 1
    assert not scored.correct
    assert [step.text for step in scored.steps] == ["1. 9 + 7 = 1"]
    assert scored.step_scores == [0.0]  # a cut-off step is not judged


def test_a_process_model_that_drops_a_score_is_found_out(grader: Grader) -> None:
    def forgetful(rollouts: Sequence[Rollout], steps: Sequence[list[ReasoningStep]]) -> list[list[float]]:
        return [[0.5] * (len(parts) - 1) for parts in steps]

    with pytest.raises(ValueError, match="shorter"):
        worker(grader, RewardConfig(), forgetful).score([rollout(RIGHT)])


def test_a_mistaken_user_function_is_named_with_its_problem(grader: Grader) -> None:
    broken = UserFunction("broken", lambda item: float("nan"))
    with pytest.raises(DataError, match=r"'broken' on problem eggs returned nan"):
        worker(grader, RewardConfig(), None, broken).score([rollout(RIGHT)])
