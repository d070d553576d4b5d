"""Tokens get the colour of their advantage, steps their score, and right and wrong rollouts are both shown."""

import json
from pathlib import Path

import pytest

from r1ray.errors import DataError
from r1ray.report.rollouts import STRONGEST, choose, colour_scale, show
from r1ray.report.samples import SampledStep, SampleRow, append_samples, read_samples
from r1ray.types import Completion, Problem, ReasoningStep, Rollout, ScoredRollout


def row(step: int = 1, correct: bool = True, sample: int = 0, advantages: list[float] | None = None) -> SampleRow:
    return SampleRow(
        step=step,
        policy_version=step - 1,
        problem_id="p",
        family="chain",
        sample=sample,
        question="1 + 1?",
        reference="2",
        text="1 + 1 = 2\nAnswer: 2",
        tokens=["1 + 1", " = 2", "\n", "Answer: 2", ""],
        advantages=[0.5, -1.0, 0.0, 2.0, 2.0] if advantages is None else advantages,
        steps=[SampledStep(start=0, end=9, text="1 + 1 = 2", score=0.3, last_token=1)],
        components={"outcome": 1.0},
        correct=correct,
        finish_reason="stop",
    )


def test_colour_grows_with_the_advantage_and_has_its_sign() -> None:
    pieces = show(row(), scale=2.0).pieces
    assert [piece.sign for piece in pieces] == ["pos", "neg", "", "pos", "pos"]
    assert [piece.opacity for piece in pieces] == pytest.approx(
        [0.25 * STRONGEST, 0.5 * STRONGEST, 0, STRONGEST, STRONGEST], abs=0.006
    )


def test_an_outlier_gets_the_full_colour_and_no_more() -> None:
    assert show(row(advantages=[1e6, -1e6, 0, 0, 0]), scale=1.0).pieces[0].opacity == STRONGEST


def test_a_step_shows_its_score_on_the_token_that_ends_it() -> None:
    pieces = show(row(), scale=1.0).pieces
    assert [piece.score for piece in pieces] == ["", "+0.30", "", "", ""]
    assert pieces[1].score_sign == "pos"


def test_tokens_that_leave_no_mark_are_made_visible() -> None:
    pieces = show(row(), scale=1.0).pieces
    assert [(piece.text, piece.newline) for piece in pieces[2:]] == [("↵", True), ("Answer: 2", False), ("∎", False)]


def test_a_row_without_advantages_is_shown_without_colour() -> None:
    assert {piece.sign for piece in show(row(advantages=[]), scale=1.0).pieces} == {""}


def test_one_outlier_does_not_bleach_the_rest() -> None:
    rows = [row(advantages=[1.0] * 5) for _ in range(30)] + [row(advantages=[1000.0, 1, 1, 1, 1])]
    assert colour_scale(rows) == 1.0
    assert colour_scale([]) == colour_scale([row(advantages=[0.0] * 5)]) == 1.0


def test_the_newest_step_comes_first_and_the_first_step_is_kept() -> None:
    chosen = choose([row(step) for step in range(1, 101)], steps=5)
    steps = [step for step, _ in chosen]
    assert (steps[0], steps[-1], len(steps)) == (100, 1, 5)
    assert steps == sorted(steps, reverse=True)


def test_right_and_wrong_ones_take_turns() -> None:
    rows = [row(correct=True, sample=i) for i in range(5)] + [row(correct=False, sample=5)]
    ((_, shown),) = choose(rows, per_step=3)
    assert [one.correct for one in shown] == [True, False, True]


def test_rows_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    append_samples(path, [row(1)])
    append_samples(path, [row(2, correct=False)])
    assert read_samples(path) == [row(1), row(2, correct=False)]


def test_a_half_written_last_row_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    append_samples(path, [row(1)])
    with path.open("a") as file:
        file.write('{"step": 2, "tok')
    assert read_samples(path) == [row(1)]


def test_a_broken_row_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text("{\n")
    append_samples(path, [row(1)])
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read_samples(path)


def test_a_row_of_another_form_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps({"step": 1}) + "\n")
    with pytest.raises(DataError, match="another form"):
        read_samples(path)


def test_tokens_and_advantages_must_match() -> None:
    with pytest.raises(DataError, match="5 tokens with 2 advantages"):
        row(advantages=[1.0, 2.0])


def test_a_scored_rollout_becomes_a_row() -> None:
    problem = Problem(id="p", question="1 + 1?", answer="2", family="chain")
    completion = Completion(token_ids=[4, 5], logprobs=[-0.1, -0.2], finish_reason="length", text="1 + 1 = 2")
    scored = ScoredRollout(
        rollout=Rollout(problem=problem, prompt_ids=[1], completion=completion, policy_version=7, sample=3),
        steps=[ReasoningStep(text="1 + 1 = 2", start=0, end=9, last_token=1)],
        step_scores=[0.3],
        outcome_reward=1.0,
        components={"outcome": 1.0},
        correct=True,
    )
    made = SampleRow.from_scored(scored, step=8, tokens=["1 + 1", " = 2"], advantages=[0.12345, -1])
    assert (made.step, made.policy_version, made.sample, made.finish_reason) == (8, 7, 3, "length")
    assert made.advantages == [0.1235, -1.0]
    assert made.steps == [SampledStep(start=0, end=9, text="1 + 1 = 2", score=0.3, last_token=1)]
