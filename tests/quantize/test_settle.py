"""What the job settles before anything is made, in a new run and in a resumed one."""

import dataclasses
from pathlib import Path

from r1ray.commands.arguments import parse
from r1ray.config.jobs import QuantizeJobConfig
from r1ray.config.problems import AS_PARENT, ProblemsConfig
from r1ray.quantize.jobs import settle
from r1ray.runs import Run
from tests.quantize.tiny import tiny_quantize


def test_a_resumed_run_takes_more_recipes_and_keeps_its_problems(policy: Path, tmp_path: Path) -> None:
    config = tiny_quantize(policy, tmp_path, problems=ProblemsConfig(families=(AS_PARENT,), count=80, heldout=8))
    run = Run.create("quantize", config)
    said: list[str] = []
    first = settle(config, run, [], said.append)
    assert said == [f"Problems: chain:4, by default: no run that names its problems made {policy}."]
    assert first.problems.families == ("chain:4",)

    again, found = parse(
        QuantizeJobConfig(), ["--resume", run.location, "--quantize.recipe", "fp8"], prog="quantize", description=""
    )
    assert found is not None
    assert again == dataclasses.replace(first, quantize=dataclasses.replace(first.quantize, recipe=("fp8",)))
    settled = settle(again, Run.resume(found.location), ["gguf-q8_0"], said.append)
    assert settled.quantize.recipe == ("gguf-q8_0", "fp8")
    assert said[-1] == "Problems: chain:4, as set."
    assert settled.problems == first.problems
