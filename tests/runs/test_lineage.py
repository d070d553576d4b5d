"""The chain of parents is followed through manifests, and every link is checked."""

from pathlib import Path

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.run import RunConfig
from r1ray.runs import Run
from r1ray.runs.lineage import lineage


def make(storage: Path, name: str, parent: str | Path, source: str = "") -> Run:
    run = Run.create("ppo", PPOJobConfig(run=RunConfig(storage=str(storage), name=name)))
    run.model_path.mkdir()
    (run.model_path / "model.safetensors").write_text(f"weights of {name}")
    run.add_parent("policy", parent, source)
    return run


def test_the_chain_leads_back_to_the_first_model(tmp_path: Path) -> None:
    first = make(tmp_path, "first", "smollm2-135m")
    second = make(tmp_path, "second", first.folder)
    third = make(tmp_path, "third", second.model_path, source="runs/second")
    top = lineage(third.folder)
    (parent,) = top.parents
    (grandparent,) = parent.parents
    (origin,) = grandparent.parents
    assert (parent.path, parent.state, parent.manifest["name"]) == ("runs/second", "intact", "second")
    assert (grandparent.state, grandparent.manifest["name"]) == ("intact", "first")
    assert (origin.path, origin.state, origin.parents) == ("smollm2-135m", "named", ())


def test_a_parent_that_is_no_longer_what_it_was_is_found_out(tmp_path: Path) -> None:
    first = make(tmp_path, "first", "smollm2-135m")
    second = make(tmp_path, "second", first.folder)
    (first.model_path / "model.safetensors").write_text("retrained")
    assert lineage(second.folder).parents[0].state == "changed"


def test_a_parent_that_is_gone_is_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "x").touch()
    run = make(tmp_path, "run", tmp_path / "model")
    (tmp_path / "model" / "x").unlink()
    (tmp_path / "model").rmdir()
    assert lineage(run.folder).parents[0].state == "missing"


def test_writing_a_report_into_the_parents_folder_does_not_change_the_parent(tmp_path: Path) -> None:
    first = make(tmp_path, "first", "smollm2-135m")
    second = make(tmp_path, "second", first.folder)
    first.report_path.write_text("<html>")
    assert lineage(second.folder).parents[0].state == "intact"


def test_a_run_that_is_its_own_ancestor_ends(tmp_path: Path) -> None:
    run = make(tmp_path, "run", "smollm2-135m")
    run.add_parent("policy", run.folder)
    assert lineage(run.folder).parents[0].parents == ()
