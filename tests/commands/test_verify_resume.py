"""`r1ray verify-resume`: real processes, really killed; and what it says of a run that does not resume right."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from r1ray.commands import verify_resume
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.errors import CheckpointError, ConfigError
from tests.jobs.sft_helpers import tiny_sft
from tests.tiny import make_tiny_policy


@pytest.mark.slow
def test_a_killed_run_is_proved_to_end_with_the_same_bits(tmp_path: Path) -> None:
    policy = make_tiny_policy(tmp_path / "policy", layers=1, hidden=32)
    config = tiny_sft(policy, tmp_path)
    config = replace(config, sft=replace(config.sft, dropout=0.1), resources=ResourcesConfig(threads=1))
    screen = io.StringIO()
    verify_resume.verify(config, tmp_path / "runs", Console(file=screen, width=200))
    said = screen.getvalue()
    assert "undisturbed: 6 steps" in said
    assert "arbitrary step (4): 6 losses and" in said
    assert "end of an epoch (3): 6 losses and" in said
    assert "past the last step (6): 6 losses and" in said


def test_stops_are_in_the_middle_and_at_an_epochs_end() -> None:
    figures = {step: {"train/epoch": step / 4} for step in range(1, 9)}
    assert verify_resume.stops(figures) == {"arbitrary step": 5, "end of an epoch": 4}
    figures = {step: {"train/epoch": step / 4} for step in range(1, 4)}
    assert verify_resume.stops(figures) == {"arbitrary step": 2}


def test_a_difference_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from r1ray.runs import Run
    from r1ray.train import rehearsal

    monkeypatch.setattr(rehearsal, "last_figures", lambda run: {1: {"train/loss": 1.0}, 2: {"train/loss": 2.0}})
    run = Run.create("sft", tiny_sft(tmp_path, tmp_path))
    with pytest.raises(CheckpointError, match=r"step 2 has loss 2\.0; undisturbed it has 2\.0000000000000004"):
        verify_resume._compare(
            "arbitrary step", 1, run, run, {1: {"train/loss": 1.0}, 2: {"train/loss": 2.0000000000000004}}, print
        )


def test_a_job_that_knows_no_rehearsal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ppo jobs cannot be verified; expected one of sft"):
        verify_resume.verify(PPOJobConfig(), tmp_path, Console(file=sys.stderr))
