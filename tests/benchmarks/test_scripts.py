"""The benchmarks run, on a tiny model, and end with one JSON object. What they measure is not judged here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import packing
from tests.tiny import make_tiny_policy

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"name", "value", "unit", "target", "repeats", "machine"}
SMALL = ("--prompts", "2", "--samples", "4", "--new-tokens", "6", "--repeats", "1", "--threads", "1")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_policy(tmp_path_factory.mktemp("policy"))


def last_line(script: str, policy: Path, *arguments: str) -> dict[str, Any]:
    """What a benchmark says at its end. A process of its own: process groups and trainers leave traces."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--policy", str(policy), *SMALL, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, cwd=policy, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return checked(done.stdout, script)


def checked(output: str, script: str) -> dict[str, Any]:
    """The last line, which must have what every benchmark's has."""
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert found.keys() >= KEYS
    assert found["name"] == script.removesuffix(".py")
    assert found["repeats"] == 1
    return found


def test_packing_computes_the_same_with_shared_and_unshared_prompts(
    policy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["packing.py", "--policy", str(policy), *SMALL])
    packing.main()
    found = checked(capsys.readouterr().out, "packing.py")
    assert found["value"] > 0
    assert found["max_logprob_delta"] < 1e-4
    assert found["gradient_delta"] < 1e-4


def test_the_step_breakdown_accounts_for_the_whole_step(policy: Path) -> None:
    found = last_line("step_breakdown.py", policy, "--in-process")
    assert 0 < found["value"] < 100
    assert found["workers"] == "in process"


@pytest.mark.slow
def test_trl_and_r1ray_make_the_same_update_from_the_same_samples(policy: Path) -> None:
    found = last_line("ppo_vs_trl.py", policy, "--trl-batch-sizes", "4", "8")
    assert found["value"] > 0
    assert found["trl_batch_size"] in (4, 8)
    assert found["grad_norm_delta"] < 1e-4
