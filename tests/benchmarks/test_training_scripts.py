"""Every benchmark says what it takes, and those of supervised training end with their figures. What they measure is not
judged here."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import sft_mfu

SCRIPTS = sorted(path.stem for path in Path(sft_mfu.__file__).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_begins_with_what_is_measured(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"benchmarks.{script}")
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert not ended.value.code
    assert (module.__doc__ or "?").splitlines()[0].split()[0] in capsys.readouterr().out


def last_line(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def test_utilisation_ends_with_its_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--small", "--no-compile", "--tokens", "32", "--length", "16", "--steps", "1", "--microbatches", "2"]
    monkeypatch.setattr(sys, "argv", ["sft_mfu.py", *tiny, "--profile"])
    sft_mfu.main()
    printed = capsys.readouterr().out
    assert "Self CPU" in printed and "aten::mm" in printed
    assert last_line(printed)["tokens_per_s"] > 0


def test_flops_are_six_a_weight_and_token_and_attentions() -> None:
    config = sft_mfu.llama_shape("toy")
    embedding = 512 * 64
    assert sft_mfu.flops_per_token(config, embedding + 100, length=10) == 6 * 100 + 6 * 2 * 64 * 10
