"""The tiny job: it learns, it is the same every time, it can be paused, and it tells when it has diverged."""

import io
import math
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from r1ray.config.jobs import TinyJobConfig
from r1ray.config.run import RunConfig
from r1ray.runs import Run
from r1ray.tune.tiny import ALPHABET, TinyTraining, encode, solve, sums, train_tiny
from tests.tune.tiny import SMALL


def figures(config: TinyJobConfig) -> list[dict[str, float]]:
    training, found = TinyTraining(config), []
    while not training.done:
        found.append(training.advance())
    return found


def test_sums_are_split_once_for_all_and_share_nothing() -> None:
    rows, heldout = sums(SMALL.tiny, seed=0)
    assert len(rows) + len(heldout) == 100
    seen = {"".join(ALPHABET[i] for i in row) for row in rows.tolist()}
    assert not seen & {f"{problem.question}={int(problem.answer):02d}" for problem in heldout}
    assert all(eval(row.split("=")[0].lstrip("0") or "0") == int(row.split("=")[1]) for row in list(seen)[:20])
    assert sums(SMALL.tiny, seed=0)[0] is rows


def test_the_same_configuration_gives_the_same_figures_and_another_seed_others() -> None:
    one = figures(SMALL)
    assert [row["steps"] for row in one] == [4, 8, 12]
    assert one == figures(SMALL)
    assert one != figures(replace(SMALL, run=RunConfig(seed=1)))


def test_it_learns_to_add() -> None:
    config = replace(
        SMALL,
        tiny=replace(SMALL.tiny, examples=9600, batch=32, width=32, evaluations=1),
        optim=replace(SMALL.optim, lr=1e-2),
    )
    [found] = figures(config)
    assert found["accuracy"] >= 0.5  # chance is below 0.1
    assert found["low"] < found["accuracy"] < found["high"] or found["accuracy"] == 1.0


def test_a_paused_training_goes_on_to_the_same_end() -> None:
    undisturbed, paused = TinyTraining(SMALL), TinyTraining(SMALL)
    undisturbed.advance()
    paused.advance()
    buffer = io.BytesIO()
    torch.save(paused.state_dict(), buffer)
    figures(replace(SMALL, run=RunConfig(seed=9)))  # another trial in the same worker meanwhile
    resumed = TinyTraining(SMALL)
    resumed.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=False))
    again = [resumed.advance(), resumed.advance()]
    straight = TinyTraining(SMALL)
    assert again == [straight.advance(), straight.advance(), straight.advance()][1:]
    assert resumed.done


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    training = TinyTraining(SMALL)
    with torch.no_grad():
        next(training.model.parameters()).fill_(math.nan)
    assert math.isnan(training.advance()["accuracy"])
    assert training.done


def test_the_job_leaves_a_model_that_transformers_opens(tmp_path: Path) -> None:
    config = replace(SMALL, run=RunConfig(storage=str(tmp_path), name="t"))
    run = Run.create("tiny", config)
    assert train_tiny(config, run)["problems"] == 20
    model = AutoModelForCausalLM.from_pretrained(run.model_path)
    tokenizer = AutoTokenizer.from_pretrained(run.model_path)
    assert tokenizer("3+4=").input_ids == encode("3+4=")
    assert len(solve(model, [encode("3+4=")], 2)[0]) == 2
    assert len(run.metrics_path.read_text().splitlines()) == 3
