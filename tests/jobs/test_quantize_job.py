"""`jobs/quantize.py` as a user runs it: recipes as Ray tasks, a verdict, an exit code."""

import contextlib
import io
import json
from pathlib import Path

import pytest

from r1ray.cli import run
from r1ray.generation.paged.factory import find_gguf
from r1ray.models.loading import resolve_model
from tests.jobs.helpers import keep_signals
from tests.quantize.tiny import tiny_quantize

VERB = "r1ray.quantize.jobs:quantize"


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_good_and_bad_recipes_side_by_side_then_a_bad_one_alone(policy: Path, tmp_path: Path) -> None:
    config = tiny_quantize(policy, tmp_path)

    def job(name: str, *recipes: str, kl: str) -> tuple[int, dict[str, object]]:
        out, err, code = io.StringIO(), io.StringIO(), 0
        arguments = ["--run.name", name, "--run.report", "--gate.mean-kl", kl, "--quantize.cpus", "2"]
        arguments += ["--quantize.recipe", *recipes]
        with keep_signals(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                run(VERB, config, arguments=arguments)
            except SystemExit as ended:
                code = int(ended.code or 0)
        assert out.getvalue(), err.getvalue()
        return code, json.loads(out.getvalue().splitlines()[-1])

    code, summary = job("both", "gguf-q8_0", "prune-2-4", kl="0.05")
    assert code == 0
    assert (summary["accepted"], summary["rejected"]) == (["gguf-q8_0"], ["prune-2-4"])
    assert (summary["recipe"], summary["verdict"], summary["base_dtype"]) == ("gguf-q8_0", "accepted", "bfloat16")
    page = (tmp_path / "both" / "report.html").read_text()
    assert "prune-2-4" in page
    assert "rejected" in page
    manifest = json.loads((tmp_path / "both" / "manifest.json").read_text())
    assert manifest["parents"]["policy"]["path"] == str(policy)

    assert (found := find_gguf(str(tmp_path / "both"))) and found.resolve() == Path(str(summary["model"])).resolve()
    assert (resolve_model(str(tmp_path / "both")) / "config.json").is_file()  # for every other job

    code, summary = job("alone", "gguf-q8_0", kl="1e-9")
    assert code == 1
    assert summary["verdict"] == "rejected"
    assert Path(str(summary["model"])).exists()  # marked, not removed
    assert not (tmp_path / "alone" / "model").exists()
