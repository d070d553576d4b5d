"""A pipeline does what is missing and nothing else, and its lineage says what came from what."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from r1ray.commands.lineage import tree
from r1ray.config.run import RunConfig
from r1ray.errors import DataError
from r1ray.pipeline import Stage, run_pipeline, stage_key
from r1ray.report import render_report
from r1ray.runs import Run
from r1ray.runs.lineage import lineage
from r1ray.train.examine import EVALUATIONS

DONE: list[str] = []
"""Stages whose work was done, in order."""


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """A stage that writes its value and what it was given."""

    run: RunConfig = field(default_factory=lambda: RunConfig(report=False))
    value: int = 1
    path: str = ""
    given: str = ""
    fail: bool = False


@dataclass(frozen=True, kw_only=True)
class Config:
    """Two stages, as `PipelineJobConfig` has four."""

    run: RunConfig = field(default_factory=RunConfig)
    sft: StageConfig = field(default_factory=StageConfig)
    ppo: StageConfig = field(default_factory=StageConfig)


def work(config: StageConfig, run: Run) -> dict[str, Any]:
    """The verb of both stages; a resumed run says so in its summary."""
    DONE.append(run.job)
    if config.fail:
        raise DataError("asked to fail")
    given = Path(config.given).read_text() if config.given else ""
    if config.given:
        run.add_parent("policy", Path(config.given).parent)
    run.model_path.mkdir(exist_ok=True)
    (run.model_path / "weights").write_text(f"{given}{config.value}")
    right = {"sft": {"before": [0, 0, 0], "after": [1, 0, 0]}, "ppo": {"after": [1, 1, 0, 0]}}[run.job]
    kept = {
        name: {"problem_ids": list("abcd")[: len(correct)], "correct": list(map(bool, correct))}
        for name, correct in right.items()
    }
    (run.folder / EVALUATIONS).write_text(json.dumps(kept))
    return {"value": config.value, "resumed": run.resumed}


def feed(config: StageConfig, outputs: Mapping[str, Path], folder: Path) -> StageConfig:
    return replace(config, given=str(outputs["sft"] / "weights"))


STAGES = (
    Stage(job="sft", verb=work, needs=(), feed=lambda config, outputs, folder: config),  # type: ignore[arg-type]
    Stage(job="ppo", verb=work, needs=("sft",), feed=feed),  # type: ignore[arg-type]
)


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(run=RunConfig(storage=str(tmp_path), name="whole"))


def go(config: Config, run: Run | None = None) -> tuple[Run, dict[str, Any], list[str]]:
    """The run, its summary, and the stages whose work was done."""
    DONE.clear()
    run = Run.create("pipeline", config) if run is None else run
    summary = run_pipeline(config, run, STAGES)  # type: ignore[arg-type]
    return run, summary, list(DONE)


def test_every_stage_is_fed_with_what_the_one_before_left(config: Config) -> None:
    run, summary, done = go(config)
    assert done == ["sft", "ppo"]
    assert (run.folder / "ppo" / "model" / "weights").read_text() == "11"
    assert [one["stage"] for one in summary["stages"]] == ["sft", "ppo"]


def test_accuracies_are_on_the_problems_that_every_policy_was_given(config: Config) -> None:
    _, summary, _ = go(config)
    table = {row["stage"]: row for row in summary["table"]}
    assert [(name, row["accuracy"], row["problems"]) for name, row in table.items()] == [
        ("base", 0.0, 3),
        ("sft", pytest.approx(1 / 3), 3),
        ("ppo", pytest.approx(2 / 3), 3),
    ]
    assert summary["accuracy_ppo"] == pytest.approx(2 / 3) and summary["problems"] == 3
    assert table["base"]["p_value"] is None and table["ppo"]["p_value"] == 1.0


def test_finished_stages_are_skipped(config: Config) -> None:
    run, first, _ = go(config)
    _, second, done = go(config, run)
    assert done == []
    assert second["stages"] == first["stages"]


def test_a_change_is_made_anew_with_what_depends_on_it_and_nothing_else(config: Config) -> None:
    run, _, _ = go(config)
    changed = replace(config, ppo=replace(config.ppo, value=7))
    assert go(changed, run)[2] == ["ppo"]
    assert (run.folder / "ppo-2" / "model" / "weights").read_text() == "17"
    assert (run.folder / "ppo" / "model" / "weights").read_text() == "11"
    assert go(replace(changed, sft=replace(config.sft, value=3)), run)[2] == ["sft", "ppo"]
    assert (run.folder / "ppo-3" / "model" / "weights").read_text() == "37"


def test_the_same_output_from_other_settings_changes_nothing_further_on(config: Config, tmp_path: Path) -> None:
    run, _, _ = go(config)
    (tmp_path / "named").write_text("x")
    assert go(replace(config, sft=replace(config.sft, path=str(tmp_path / "named"))), run)[2] == ["sft"]


def test_a_file_that_a_setting_names_counts_by_its_content(config: Config, tmp_path: Path) -> None:
    file, moved = tmp_path / "rows.jsonl", tmp_path / "moved.jsonl"
    file.write_text("one")
    moved.write_text("one")
    keys = [stage_key(replace(config.sft, path=str(path)), {}, 0) for path in (file, moved)]
    assert keys[0] == keys[1]
    file.write_text("two")
    assert stage_key(replace(config.sft, path=str(file)), {}, 0) != keys[0]
    assert stage_key(config.sft, {"corpus": "a"}, 0) != stage_key(config.sft, {"corpus": "b"}, 0)
    assert stage_key(config.sft, {}, 0) != stage_key(config.sft, {}, 1)


def test_a_damaged_output_is_made_anew(config: Config) -> None:
    run, _, _ = go(config)
    (run.folder / "sft" / "model" / "weights").write_text("tampered")
    _, _, done = go(config, run)
    assert done == ["sft"]  # its output is what it was, so what follows stands


def test_a_stage_that_failed_goes_on_in_its_own_folder(config: Config) -> None:
    run = Run.create("pipeline", config)
    failing = replace(config, ppo=replace(config.ppo, fail=True))
    with pytest.raises(DataError, match="asked to fail"):
        go(failing, run)
    assert DONE == ["sft", "ppo"]
    DONE.clear()
    with pytest.raises(DataError):
        run_pipeline(failing, run, STAGES)  # type: ignore[arg-type]
    assert DONE == ["ppo"] and not (run.folder / "ppo-2").exists()
    assert Run.open(run.folder / "ppo").manifest()["resumed"]


def test_the_lineage_of_the_whole_and_of_a_stage(config: Config) -> None:
    run, _, _ = go(config)
    whole = lineage(run.folder)
    assert [(one.role, one.state, one.manifest["job"]) for one in whole.parents] == [
        ("sft", "intact", "sft"),
        ("ppo", "intact", "ppo"),
    ]
    [policy] = whole.parents[1].parents
    assert (policy.role, policy.manifest["job"], policy.state) == ("policy", "sft", "intact")
    assert len(tree(whole).children) == 2
    (run.folder / "sft" / "model" / "weights").write_text("tampered")
    assert lineage(run.folder / "ppo").parents[0].state == "changed"


def test_the_report_has_the_table(config: Config) -> None:
    run, summary, _ = go(config)
    run.finish(summary)
    page = render_report(run.folder).read_text()
    assert "<h2>Stages</h2>" in page and "33.3 %" in page and "66.7 %" in page
