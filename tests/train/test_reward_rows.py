"""Files of judgements become rows and examinees that share no question."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1ray.config.jobs import RewardModelJobConfig
from r1ray.config.reward_model import RewardModelConfig
from r1ray.errors import DataError
from r1ray.train.reward_rows import read_pair_files, read_step_files, split_groups
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()


def decode(ids: list[int]) -> str:
    return str(TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def job(path: Path, **settings: Any) -> RewardModelJobConfig:
    return RewardModelJobConfig(reward_model=RewardModelConfig(path=str(path), **settings))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mistakes(count: int) -> list[dict[str, Any]]:
    """BIG-bench-Mistake rows: every second has an error in its second step."""
    return [
        {"input": f"Question {i}?", "steps": ["It is so.", "So it is."], "mistake_index": 1 if i % 2 else None}
        for i in range(count)
    ]


def test_judged_steps_are_split_by_question_and_encoded_where_steps_end(tmp_path: Path) -> None:
    files = read_step_files(job(write(tmp_path / "steps.jsonl", mistakes(40)), heldout=6), TOKENIZER, decode)
    train, validation = set(files.parts.train), set(files.parts.validation)
    assert (len(train), len(validation), len(files.heldout)) == (29, 5, 6)
    held = {one.rollout.problem.id for one in files.heldout}
    assert not (train & validation or train & held or validation & held)
    for one in files.heldout:
        assert one.first_error == (1 if int(one.rollout.problem.question.split()[1][:-1]) % 2 else -1)
        ids = one.rollout.completion.token_ids
        assert [decode(ids[: step.last_token + 1]) for step in one.steps] == ["It is so.", "It is so.\nSo it is."]
    wrong = [solution for group in files.parts.train.values() for solution in group if 0.0 in solution.labels]
    assert all(solution.labels == [1.0, 0.0] for solution in wrong) and wrong


def test_bad_and_long_rows_are_set_aside_and_counted(tmp_path: Path) -> None:
    rows = [*mistakes(20), {"input": "?", "steps": [], "mistake_index": None}]
    rows.append({"input": "Long?", "steps": ["x" * 500], "mistake_index": None})
    files = read_step_files(job(write(tmp_path / "steps.jsonl", rows), max_tokens=200), TOKENIZER, decode)
    assert files.report.reasons == {"no steps": 1, "too long": 1}


def test_pairs_are_split_by_prompt(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": f"Say {i // 2}.",
            "chosen": f"Here is {i}.",
            "rejected": "No.",
            "score_chosen": 3,
            "score_rejected": 1,
        }
        for i in range(40)
    ]
    files = read_pair_files(job(write(tmp_path / "pairs.jsonl", rows), kind="preference", heldout=4), TOKENIZER)
    assert all(len(group) == 2 for group in files.parts.train.values())
    assert len(files.heldout) == 8 and all(pair.strength == 2.0 for pair in files.heldout)
    held = {tuple(pair.prompt_ids) for pair in files.heldout}
    assert not held & {tuple(pair.prompt_ids) for group in files.parts.train.values() for pair in group}


def test_the_split_depends_on_the_seed_and_not_on_the_order(tmp_path: Path) -> None:
    config = job(tmp_path)
    groups: dict[str, list[int]] = {str(i): [i] for i in range(64)}
    again = split_groups(dict(reversed(groups.items())), config)
    assert split_groups(groups, config) == again
    other = replace(config, run=replace(config.run, seed=1))
    assert set(split_groups(groups, other)[2]) != set(again[2])
    with pytest.raises(DataError, match="at least 8"):
        split_groups({"a": [1]}, config)
