"""How another engine's answers are held against a compressed model's own."""

import json
from pathlib import Path

import pytest

from benchmarks._artifacts import Reference
from tests.tiny import make_tiny_policy


def test_equal_answers_leave_no_gap_and_another_token_leaves_what_it_costs(tmp_path: Path) -> None:
    model = make_tiny_policy(tmp_path / "run" / "model")
    (tmp_path / "run" / "manifest.json").write_text(json.dumps({"job": "quantize"}))
    problems = {"families": ["chain:4"], "system": "Think."}
    (tmp_path / "run" / "config.json").write_text(json.dumps({"problems": problems}))
    reference = Reference.of(model, questions=3, new_tokens=5)
    assert len(reference.prompts) == len(reference.answers) == 3
    assert reference.gaps(reference.answers) == []

    other = [list(answer) for answer in reference.answers]
    other[1][2] += 1 if other[1][2] == 0 else -1
    [gap] = reference.gaps(other)
    assert gap > 0  # the model's own token was the likelier one
    with pytest.raises(ValueError, match="end by different rules"):
        reference.gaps([answer[:-1] for answer in reference.answers])
