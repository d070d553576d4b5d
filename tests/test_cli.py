"""What a user of a job sees: a run folder, one JSON line at the end, clear errors, and the right exit code."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from r1ray.cli import COMMANDS, dispatch, load_verb, run
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.ppo import PPOConfig
from r1ray.errors import ConfigError, ResourceError
from r1ray.runs import Run


def start(verb: Any, tmp_path: Path, *arguments: str) -> int:
    """Run a verb as a job file does; returns the exit code."""
    try:
        run(verb, PPOJobConfig(), "PPO.", arguments=["--run.storage", str(tmp_path), "--run.name", "x", *arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.fixture(autouse=True)
def keep_signal_handler() -> Any:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def work(config: PPOJobConfig, run: Run) -> dict[str, Any]:
    assert config.run.name == run.name
    run.metrics_path.write_text('{"step": 1, "reward/total": 0.5}\n')
    return {"accuracy_after": 0.5, "steps": config.ppo.steps}


def test_the_last_line_is_the_summary_and_the_manifest_has_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(work, tmp_path, "--ppo.steps", "7") == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["run"], summary["accuracy_after"], summary["steps"]) == (str(tmp_path / "x"), 0.5, 7)
    assert summary["minutes"] >= 0
    manifest = Run.open(tmp_path / "x").manifest()
    assert (manifest["status"], manifest["job"], manifest["summary"]) == ("done", "ppo", summary)


def test_a_finished_run_has_a_report_unless_that_is_off(tmp_path: Path) -> None:
    start(work, tmp_path / "on")
    start(work, tmp_path / "off", "--run.no-report")
    assert (tmp_path / "on" / "x" / "report.html").exists()
    assert not (tmp_path / "off" / "x" / "report.html").exists()


def test_a_report_that_cannot_be_drawn_does_not_cost_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken_samples(config: PPOJobConfig, run: Run) -> dict[str, Any]:
        run.samples_path.write_text("{}\n")
        return work(config, run)

    assert start(broken_samples, tmp_path) == 0
    captured = capsys.readouterr()
    assert "report.html could not be written" in captured.err
    assert json.loads(captured.out.splitlines()[-1])["accuracy_after"] == 0.5


@pytest.mark.parametrize(
    ("error", "code", "name"), [(ResourceError, 1, "ResourceError"), (ConfigError, 2, "ConfigError")]
)
def test_an_expected_error_is_one_message_without_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: type[Exception], code: int, name: str
) -> None:
    def fail(config: PPOJobConfig, run: Run) -> dict[str, Any]:
        raise error("needs [2] GPUs; there are 0.")

    assert start(fail, tmp_path) == code
    captured = capsys.readouterr().err
    assert f"{name}: needs [2] GPUs; there are 0." in captured
    assert "Traceback" not in captured
    assert Run.open(tmp_path / "x").manifest()["status"] == "failed"


def test_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: PPOJobConfig, run: Run) -> dict[str, Any]:
        raise ResourceError("needs 2 GPUs")

    monkeypatch.setenv("R1RAY_DEBUG", "1")
    with pytest.raises(ResourceError):
        start(fail, tmp_path)


def test_an_error_that_came_through_a_worker_shows_its_own_message_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Wrapped(ResourceError):
        cause = ResourceError("no GPU")

    def fail(config: PPOJobConfig, run: Run) -> dict[str, Any]:
        raise Wrapped("a long remote traceback")

    assert start(fail, tmp_path) == 1
    assert capsys.readouterr().err.strip().endswith("ResourceError: no GPU")


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(config: PPOJobConfig, run: Run) -> dict[str, Any]:
        work(config, run)
        raise KeyboardInterrupt

    assert start(interrupted, tmp_path) == 130
    assert f"--resume {tmp_path / 'x'}" in capsys.readouterr().err
    assert Run.open(tmp_path / "x").manifest()["status"] == "interrupted"
    assert (tmp_path / "x" / "report.html").exists()


def test_a_resumed_job_goes_on_in_its_own_folder(tmp_path: Path) -> None:
    start(work, tmp_path, "--ppo.gamma", "0.9")
    seen: list[tuple[bool, float, int]] = []

    def again(config: PPOJobConfig, run: Run) -> dict[str, Any]:
        seen.append((run.resumed, config.ppo.gamma, config.ppo.steps))
        return {}

    run(again, PPOJobConfig(ppo=PPOConfig(gamma=0.1)), arguments=["--resume", str(tmp_path / "x"), "--ppo.steps", "30"])
    assert seen == [(True, 0.9, 30)]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert Run.open(tmp_path / "x").config_data()["ppo"]["steps"] == 30


def test_a_verb_is_found_by_its_name() -> None:
    found: object = load_verb("r1ray.cli:load_verb")
    assert found is load_verb


def test_an_unknown_command_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean `r1ray doctor`"):
        dispatch(["docter"])


def test_the_command_without_arguments_lists_its_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    dispatch([])
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_report_and_lineage_open_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(work, tmp_path, "--run.no-report")
    Run.open(tmp_path / "x").add_parent("policy", "smollm2-135m")
    dispatch(["report", str(tmp_path / "x")])
    dispatch(["lineage", str(tmp_path / "x")])
    assert (tmp_path / "x" / "report.html").exists()
    out = capsys.readouterr().out
    assert "policy: smollm2-135m" in out and "accuracy_after 0.5" in out


def job_file(tmp_path: Path, body: str) -> list[str]:
    """A job file on disk, as a command."""
    file = tmp_path / "job.py"
    file.write_text(
        textwrap.dedent(f"""
        import sys
        from r1ray.cli import run
        from r1ray.config.jobs import PPOJobConfig

        def verb(config, run):
            {body}

        if __name__ == "__main__":
            run(verb, default=PPOJobConfig(), description="A job.")
        """)
    )
    return [sys.executable, str(file), "--run.storage", str(tmp_path), "--run.name", "x"]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_help_needs_neither_torch_nor_ray(tmp_path: Path) -> None:
    command = job_file(tmp_path, "pass")
    code = f"""
import runpy, sys
sys.argv = {[command[1], "--help"]!r}
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert not {{"torch", "ray", "transformers"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--ppo.clip-eps" in done.stdout


def test_a_terminated_job_is_marked_as_interrupted(tmp_path: Path) -> None:
    # `ray job stop` sends SIGTERM.
    command = job_file(tmp_path, "print('ready', flush=True); import time; time.sleep(60)")
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    assert Run.open(tmp_path / "x").manifest()["status"] == "interrupted"
