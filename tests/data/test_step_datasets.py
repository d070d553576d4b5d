"""The four public formats, in rows of their shape, and what is wrong with broken ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from r1ray.data.labelled_steps import LabelledSolution
from r1ray.data.sift import BadRow, sift_files
from r1ray.data.step_datasets import parse_steps


def rated(text: str, rating: int | None) -> dict[str, Any]:
    return {"text": text, "rating": rating, "flagged": False}


def prm800k(*steps: dict[str, Any], finish: str = "found_error") -> dict[str, Any]:
    return {
        "question": {"problem": "9 + 7 - 5?", "ground_truth_answer": "11"},
        "label": {"steps": list(steps), "finish_reason": finish},
    }


def step(*completions: dict[str, Any], chosen: int | None = 0, human: Any = None) -> dict[str, Any]:
    return {"completions": list(completions), "human_completion": human, "chosen_completion": chosen}


def shepherd(**changes: str) -> dict[str, str]:
    row = {
        "input": "9 + 7 - 5? Step 1: 9 + 7 = 16 ки\nStep 2: 16 - 5 = 12 ки\nThe answer is 12 ки",
        "label": "9 + 7 - 5? Step 1: 9 + 7 = 16 +\nStep 2: 16 - 5 = 12 -\nThe answer is 12 -",
        "task": "GSM8K",
    }
    return row | changes


def mr_gsm8k(**changes: Any) -> dict[str, Any]:
    return {
        "question": "9 + 7 - 5?",
        "model_output_steps": ["Step 1: 9 + 7 = 16", "Step 2: 16 - 5 = 12", "Step 3: So 12."],
        "model_output_answer_correctness": "wrong",
        "model_output_solution_correctness": "wrong",
        "model_output_solution_first_error_step": 2,
    } | changes


def mistake(**changes: Any) -> dict[str, Any]:
    return {
        "input": "9 + 7 - 5 =",
        "steps": ["9 + 7 = 16", "16 - 5 = 12"],
        "answer": "12",
        "target": "11",
        "mistake_index": 1,
    } | changes


def parsed(fields: dict[str, Any]) -> LabelledSolution:
    (solution,) = parse_steps(fields)
    return solution


def test_prm800k_follows_the_labellers_path_to_the_first_error() -> None:
    solution = parsed(
        prm800k(
            step(rated("bad", -1), rated("9 + 7 = 16", 1), chosen=1),
            step(chosen=None, human=rated("Then take 5 off.", None)),
            step(rated("It is a number.", 0)),
            step(rated("fine", 1), rated("16 - 5 = 12", -1), chosen=None),
        )
    )
    assert solution.question == "9 + 7 - 5?"
    assert solution.steps == ("9 + 7 = 16", "Then take 5 off.", "It is a number.", "16 - 5 = 12")
    assert solution.ratings == (1, None, 0, -1)
    assert solution.labels == (1.0, None, 1.0, 0.0)


def test_what_follows_a_chosen_error_is_unlabelled() -> None:
    solution = parsed(prm800k(step(rated("a", 1)), step(rated("b", -1)), step(rated("c", 1)), finish="solution"))
    assert solution.labels == (1.0, 0.0, None)
    assert solution.first_error == 1


def test_math_shepherds_marks_stand_where_the_tags_are() -> None:
    solution = parsed(shepherd())
    assert solution.question == "9 + 7 - 5?"
    assert solution.steps == ("Step 1: 9 + 7 = 16", "Step 2: 16 - 5 = 12", "The answer is 12")
    assert solution.labels == (1.0, 0.0, 0.0)


def test_a_minus_in_a_step_is_no_mark() -> None:
    row = {"input": "q Step 1: 3 - 1 + 2 ки", "label": "q Step 1: 3 - 1 + 2 +"}
    assert parsed(row).labels == (1.0,)


def test_mr_gsm8k_counts_from_one() -> None:
    solution = parsed(mr_gsm8k())
    assert solution.labels == (1.0, 0.0, None)
    assert (solution.first_error, solution.answer_correct) == (1, False)
    right = parsed(mr_gsm8k(model_output_solution_correctness="correct", model_output_solution_first_error_step="N/A"))
    assert right.first_error == -1
    assert parsed(mr_gsm8k(model_output_solution_first_error_step="3")).first_error == 2


def test_bigbench_mistake_counts_from_zero() -> None:
    assert parsed(mistake()).first_error == 1
    assert parsed(mistake()).answer_correct is False
    assert parsed(mistake(mistake_index=None)).labels == (1.0, 1.0)


def test_own_rows_are_read_back() -> None:
    solution = parsed({"question": "q", "steps": ["a", "b"], "labels": [0.5, None], "source": "monte-carlo"})
    assert (solution.labels, solution.source) == ((0.5, None), "monte-carlo")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"anything": 1}, "unknown step format"),
        (prm800k(step(rated("a", 1)), finish="bad_problem"), "not judged to its end"),
        (prm800k(step(rated("a", 3))), "unknown rating"),
        (prm800k(step(rated("a", True))), "unknown rating"),
        (prm800k(step(rated("a", 1), chosen=4)), "chosen completion missing"),
        (prm800k(step(chosen=None)), "a step without completions"),
        (prm800k(step(rated("a", None))), "labels do not fit the steps"),
        (prm800k(), "no steps"),
        (shepherd(label="another text +"), "input and label differ"),
        (shepherd(input="9 + 7 ки", label="9 + 7 +"), "no steps"),
        (shepherd(input="no tag"), "input and label differ"),
        (mr_gsm8k(model_output_solution_first_error_step=4), "first error outside the solution"),
        (mr_gsm8k(model_output_solution_first_error_step=0), "first error outside the solution"),
        (mr_gsm8k(model_output_solution_first_error_step="N/A"), "first error is not a number"),
        (mr_gsm8k(model_output_solution_correctness="maybe"), "unknown verdict"),
        (mr_gsm8k(model_output_steps=[]), "no model_output_steps"),
        (mistake(mistake_index=2), "first error outside the solution"),
        (mistake(mistake_index=-1), "first error outside the solution"),
        (mistake(mistake_index=True), "first error is not a number"),
        (mistake(steps=["a", " "]), "an empty step"),
        (mistake(input=" "), "no input"),
        ({"question": "q", "steps": ["a"], "labels": [-100]}, "a label is not a probability"),
        ({"question": "q", "steps": ["a"], "labels": [True]}, "a label is not a probability"),
        ({"question": "q", "steps": ["a", "b"], "labels": [1.0]}, "labels do not fit the steps"),
    ],
)
def test_a_broken_row_says_what_is_wrong(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRow) as caught:
        parse_steps(fields)
    assert caught.value.reason == reason


def test_formats_may_share_a_file_and_broken_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "steps.json"
    path.write_text(json.dumps([shepherd(), mr_gsm8k(), mistake(mistake_index=9), mistake()]))
    sifted = sift_files(str(path), parse_steps)
    assert [solution.source for solution in sifted.items] == ["math-shepherd", "mr-gsm8k", "bigbench-mistake"]
    assert sifted.report.reasons == {"first error outside the solution": 1}
