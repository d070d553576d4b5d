"""The run folder: claimed once, true about its status, found again by path and by URI."""

import dataclasses
import json
import pickle
import uuid
from datetime import datetime
from pathlib import Path

import pytest

import r1ray
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.run import RunConfig
from r1ray.config.serialise import from_dict
from r1ray.errors import ConfigError
from r1ray.runs import Run
from r1ray.runs.run import resolved_config

NOON = datetime(2026, 1, 2, 3, 4, 5)


def config(storage: object, **run: object) -> PPOJobConfig:
    return PPOJobConfig(run=RunConfig(storage=str(storage), **run))  # type: ignore[arg-type]


@pytest.fixture(params=["local", "remote"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("R1RAY_CACHE", str(tmp_path / "cache"))
    return f"memory://bucket/{uuid.uuid4().hex}/runs" if request.param == "remote" else str(tmp_path / "runs")


def test_a_run_is_named_after_its_job_and_start(storage: str) -> None:
    run = Run.create("ppo", config(storage), now=NOON)
    assert run.name == "ppo-20260102-030405"
    assert run.location == f"{storage}/ppo-20260102-030405"


def test_two_runs_of_one_second_get_two_folders(storage: str) -> None:
    first, second = (Run.create("ppo", config(storage), now=NOON) for _ in range(2))
    assert (first.name, second.name) == ("ppo-20260102-030405", "ppo-20260102-030405-2")


def test_a_given_name_is_taken_only_once(storage: str) -> None:
    Run.create("ppo", config(storage, name="mine"))
    with pytest.raises(ConfigError, match=r"exists already.*--resume"):
        Run.create("ppo", config(storage, name="mine"))


@pytest.mark.parametrize("name", ["a/b", "..", "."])
def test_a_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="plain name"):
        Run.create("ppo", config(tmp_path, name=name))


def test_the_stored_configuration_is_the_resolved_one(storage: str) -> None:
    given = config(storage, seed=7)
    run = Run.create("ppo", given, now=NOON)
    stored = from_dict(PPOJobConfig(), run.config_data())
    assert stored == resolved_config(run, given)
    assert stored.run == RunConfig(storage=storage, name=run.name, seed=7)


def test_a_relative_storage_is_absolute_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run.create("ppo", config("runs"), now=NOON)
    monkeypatch.chdir("/")
    assert run.folder == tmp_path / "runs" / run.name
    assert run.config_data()["run"]["storage"] == str(tmp_path / "runs")


def test_the_manifest_says_where_the_run_came_from(storage: str, tmp_path: Path) -> None:
    (tmp_path / "gsm8k.jsonl").write_text("{}")
    run = Run.create("ppo", config(storage, seed=3), now=NOON)
    run.add_input("problems", tmp_path / "gsm8k.jsonl")
    run.add_parent("policy", "smollm2-135m")
    manifest = run.manifest()
    assert (manifest["job"], manifest["status"], manifest["seed"]) == ("ppo", "running", 3)
    assert manifest["versions"]["r1ray"] == r1ray.__version__
    assert {"python", "torch", "ray", "transformers", "deepspeed"} <= set(manifest["versions"])
    assert len(manifest["inputs"]["problems"]["sha256"]) == 64
    assert manifest["parents"]["policy"] == {"path": "smollm2-135m"}


def test_the_status_follows_how_the_work_ends(storage: str) -> None:
    def end(error: type[BaseException] | None) -> dict[str, object]:
        run = Run.create("ppo", config(storage))
        try:
            with run:
                if error is not None:
                    raise error("because")
        except BaseException as raised:
            assert type(raised) is error
        return Run.open(run.location).manifest()

    assert end(None)["status"] == "done"
    assert end(KeyboardInterrupt)["status"] == "interrupted"
    assert end(SystemExit)["status"] == "interrupted"
    failed = end(ValueError)
    assert (failed["status"], failed["error"]) == ("failed", "ValueError: because")


def test_finish_records_the_summary(storage: str) -> None:
    with Run.create("ppo", config(storage)) as run:
        run.finish({"accuracy_after": 0.5}, metrics={"reward/total": 1.0})
    manifest = Run.open(run.location).manifest()
    assert (manifest["status"], manifest["summary"], manifest["metrics"]) == (
        "done",
        {"accuracy_after": 0.5},
        {"reward/total": 1.0},
    )


def test_a_resumed_run_is_the_same_folder_with_its_own_settings(storage: str) -> None:
    run = Run.create("ppo", config(storage, keep_checkpoints=5))
    with run.checkpoints.write(10) as folder:
        (folder / "x").write_text("1")
    again = Run.resume(run.location)
    assert (again.location, again.job, again.keep_checkpoints, again.resumed) == (run.location, "ppo", 5, True)
    found = again.checkpoints.latest()
    assert found is not None and found.step == 10
    assert len(again.manifest()["resumed"]) == 1


def test_a_remote_run_is_opened_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1RAY_CACHE", str(tmp_path / "here"))
    with Run.create("ppo", config(f"memory://bucket/{uuid.uuid4().hex}")) as run:
        run.metrics_path.write_text('{"step": 1}\n')
        run.model_path.mkdir()
        (run.model_path / "config.json").write_text("{}")
    monkeypatch.setenv("R1RAY_CACHE", str(tmp_path / "there"))
    opened = Run.open(run.location)
    assert opened.folder.is_relative_to(tmp_path / "there")
    assert opened.metrics_path.read_text() == '{"step": 1}\n'
    assert run.remote is not None and run.remote.exists("model/config.json")


def test_opening_what_is_no_run_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No run at .*manifest\.json"):
        Run.open(tmp_path)


def test_another_programs_manifest_does_not_make_a_run(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"name": "an app"}))
    with pytest.raises(ConfigError):
        Run.open(tmp_path)


def test_a_run_travels_to_workers(tmp_path: Path) -> None:
    run = Run.create("ppo", config(tmp_path))
    assert pickle.loads(pickle.dumps(run)) == run


def test_a_moved_run_folder_resumes_where_it_is_now(tmp_path: Path) -> None:
    run = Run.create("ppo", config(tmp_path / "old", name="x"))
    (tmp_path / "new").mkdir()
    run.folder.rename(tmp_path / "new" / "x")
    moved = Run.resume(tmp_path / "new" / "x")
    stored = from_dict(PPOJobConfig(), moved.config_data())
    assert resolved_config(moved, stored).run == dataclasses.replace(stored.run, storage=str(tmp_path / "new"))
