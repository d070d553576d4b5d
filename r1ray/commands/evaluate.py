"""The verb of `jobs/evaluate.py`: one model on held-out problems, or two of them paired. Runs in this process, without
Ray."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from r1ray.config.jobs import EvaluateJobConfig
from r1ray.config.policy import PolicyConfig
from r1ray.config.serialise import to_dict
from r1ray.data.problem_set import build_problem_set
from r1ray.evaluation import EvaluationResult, compare, evaluate
from r1ray.generation.factory import make_engine
from r1ray.metrics.sinks import JsonlSink
from r1ray.models.loading import load_tokenizer, resolve_model
from r1ray.reasoning.grading import Grader, is_correct
from r1ray.reasoning.prompts import prompt_ids
from r1ray.runs import Run
from r1ray.runs import manifest as origin
from r1ray.types import Problem


def evaluate_models(config: EvaluateJobConfig, run: Run) -> dict[str, Any]:
    """Examine `policy` and, if it is given, `baseline` on the same held-out problems; returns the headline figures."""
    if config.resources.threads:
        torch.set_num_threads(config.resources.threads)
    for policy in (config.policy, config.baseline):
        if notice := split_notice(policy.path, config):
            Console(stderr=True).print(notice, style="yellow", highlight=False, soft_wrap=True)
    wanted = config.evaluation.problems
    problems_config = dataclasses.replace(config.problems, heldout=max(wanted, config.problems.heldout))
    problems = build_problem_set(problems_config, config.run.seed).heldout[:wanted]
    if config.problems.path:
        run.add_input("problems", config.problems.path)
    baseline = _examine("baseline", config.baseline, problems, config, run) if config.baseline.path else None
    result = _examine("policy", config.policy, problems, config, run)
    _write_answers(run, problems, result, baseline)
    with contextlib.closing(JsonlSink(run.metrics_path)) as sink:
        sink.write(0, result.metrics())
    _print_table(result, baseline)
    figures: dict[str, Any] = {"accuracy": result.accuracy, "problems": len(problems)}
    figures |= {f"pass_at_{k}": passed.value for k, passed in result.pass_at_k.items()}
    if baseline is not None:
        test = compare(baseline, result)
        figures = {"accuracy_baseline": baseline.accuracy, **figures, "p_value": test.p_value}
        figures |= {"difference_low": test.interval.low, "difference_high": test.interval.high}
    return figures


def split_notice(path: str, config: EvaluateJobConfig) -> str:
    """What to say if `path` is a run that was trained under another split: it may have seen what is held out here."""
    trained_in = origin.owning_run(Path(path).expanduser().resolve()) if path else None
    if trained_in is None:
        return ""
    trained = json.loads((trained_in / "config.json").read_text(encoding="utf-8"))
    mine = to_dict(config)
    pairs = {"run.seed": (trained["run"]["seed"], mine["run"]["seed"])}
    pairs |= {
        f"problems.{key}": (value, mine["problems"].get(key)) for key, value in trained.get("problems", {}).items()
    }
    if changed := [f"{key} {here!r}, there {there!r}" for key, (there, here) in pairs.items() if here != there]:
        return f"{path} may have been trained on some of these problems, as its run was set up otherwise: " + "; ".join(
            changed
        )
    return ""


def _examine(
    role: str, policy: PolicyConfig, problems: Sequence[Problem], config: EvaluateJobConfig, run: Run
) -> EvaluationResult:
    folder = resolve_model(policy.path)
    run.add_parent(role, folder, source=policy.path)
    engine = make_engine(config.engine, policy, "cuda" if torch.cuda.is_available() else "cpu")
    build_prompt = functools.partial(prompt_ids, load_tokenizer(folder), system=config.problems.system)
    with Grader(seconds=config.reward.grader_seconds, batch_seconds=config.reward.batch_seconds) as grader:
        judge = functools.partial(is_correct, grader=grader)
        return evaluate(engine, build_prompt, problems, config.evaluation, judge, seed=config.run.seed)


def _write_answers(
    run: Run, problems: Sequence[Problem], result: EvaluationResult, baseline: EvaluationResult | None
) -> None:
    """`answers.jsonl`: every problem with what was answered, to look at what went wrong."""
    with (run.folder / "answers.jsonl").open("w", encoding="utf-8") as file:
        for i, problem in enumerate(problems):
            row: dict[str, Any] = {
                "problem_id": problem.id,
                "family": problem.family,
                "question": problem.question,
                "reference": problem.answer,
            }
            row |= {"text": result.texts[i], "correct": result.correct[i]}
            if baseline is not None:
                row |= {"baseline_text": baseline.texts[i], "baseline_correct": baseline.correct[i]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _print_table(result: EvaluationResult, baseline: EvaluationResult | None) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("family", "problems", "accuracy", "95 % interval", *(["baseline"] if baseline else [])):
        table.add_column(column, justify="left" if column == "family" else "right")
    for family, one in result.by_family.items():
        before = [f"{baseline.by_family[family].accuracy:.1%}"] if baseline else []
        table.add_row(
            family,
            str(one.problems),
            f"{one.accuracy:.1%}",
            f"{one.interval.low:.1%} – {one.interval.high:.1%}",
            *before,
        )
    total = [f"{baseline.accuracy:.1%}"] if baseline else []
    table.add_row(
        "all",
        str(len(result.correct)),
        f"{result.accuracy:.1%}",
        f"{result.interval.low:.1%} – {result.interval.high:.1%}",
        *total,
    )
    Console().print(table)
