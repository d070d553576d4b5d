"""Which problems the gate asks where the settings do not say."""

import json
from pathlib import Path

import pytest

from r1ray.config.jobs import QuantizeJobConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.quantize.problems import parents_problems

ASKED = QuantizeJobConfig().problems


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A pipeline's run with a stage in it that made a model."""
    stage = tmp_path / "pipe" / "ppo"
    (stage / "model").mkdir(parents=True)
    (stage / "model" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (stage.parent / "manifest.json").write_text(json.dumps({"job": "pipeline"}))
    (stage.parent / "config.json").write_text(json.dumps({"ppo": {"problems": {"families": ["shop:2-3"]}}}))
    _write(stage, {"families": ["chain:2-3", "story:2-3"], "max_number": 9, "heldout": 50, "count": 500})
    return stage


def _write(run: Path, problems: dict[str, object]) -> None:
    (run / "manifest.json").write_text(json.dumps({"job": "ppo"}))
    (run / "config.json").write_text(json.dumps({"problems": problems}))


@pytest.mark.parametrize("below", ["", "model"])
def test_the_run_that_made_the_policy_says_what_it_was_about(stage: Path, below: str) -> None:
    found, why = parents_problems(ASKED, str(stage / below))
    assert (found.families, found.max_number) == (("chain:2-3", "story:2-3"), 9)
    assert (found.heldout, found.count) == (ASKED.heldout, ASKED.count)
    assert "chain:2-3, story:2-3" in why
    assert str(stage) in why


def test_what_is_set_wins(stage: Path) -> None:
    set_one = ProblemsConfig(families=("shop:2-3",))
    assert parents_problems(set_one, str(stage)) == (set_one, "shop:2-3, as set")
    file = ProblemsConfig(path="mine.jsonl", families=ASKED.families)
    assert parents_problems(file, str(stage)) == (file, "mine.jsonl, as set")
    found, _ = parents_problems(ProblemsConfig(families=ASKED.families, max_number=30), str(stage))
    assert (found.families, found.max_number) == (("chain:2-3", "story:2-3"), 30)


def test_a_run_on_files_hands_these_on(stage: Path) -> None:
    _write(stage, {"path": "/data/train.jsonl", "heldout_path": "/data/test.jsonl", "families": ["chain:4"]})
    found, why = parents_problems(ASKED, str(stage))
    assert (found.path, found.heldout_path) == ("/data/train.jsonl", "/data/test.jsonl")
    assert "/data/train.jsonl" in why


def test_a_model_of_no_run_is_asked_the_default(stage: Path, tmp_path: Path) -> None:
    plain = (stage / "model").rename(tmp_path / "plain")
    found, why = parents_problems(ASKED, str(plain))
    assert found.families == ProblemsConfig().families
    assert "by default" in why
