"""distil: a student with fewer layers, taught in three stages: hidden states, attention maps, soft labels."""

import copy
from pathlib import Path
from typing import Any

import torch

from r1ray.errors import ConfigError
from r1ray.models.checkpoint import save_policy
from r1ray.quantize.bench import Bench
from r1ray.quantize.recipe import ANYWHERE, VLLM, Built, Recipe
from r1ray.quantize.training import learn_from_parent


def followed_layers(teacher: int, student: int) -> list[int]:
    """The teacher's layer that each of the student's follows and starts from: evenly spread, the last among them."""
    return [((i + 1) * teacher) // student - 1 for i in range(student)]


def make_student(teacher: Any, layers: list[int]) -> Any:
    """The teacher with these of its layers alone, weights copied."""
    student = copy.deepcopy(teacher)
    decoder = student.get_decoder()
    decoder.layers = torch.nn.ModuleList(decoder.layers[i] for i in layers)
    for number, layer in enumerate(decoder.layers):
        layer.self_attn.layer_idx = number
    student.config.num_hidden_layers = len(layers)
    if getattr(student.config, "layer_types", None):
        student.config.layer_types = [student.config.layer_types[i] for i in layers]
    return student


def _build(bench: Bench, out: Path) -> Built:
    settings, teacher = bench.config.recovery, bench.network()
    depth = teacher.config.num_hidden_layers
    wanted = settings.student_layers or depth // 2
    if not 0 < wanted < depth:
        raise ConfigError(f"recovery.student_layers is {wanted}; expected 1 to {depth - 1}, fewer than the teacher's.")
    layers = followed_layers(depth, wanted)
    student = make_student(teacher, layers)
    losses = {}
    for stage, steps in (
        ("hidden", settings.hidden_steps),
        ("attention", settings.attention_steps),
        ("labels", settings.steps),
    ):
        losses[stage] = learn_from_parent(
            bench,
            student,
            steps=steps,
            what=f"distillation, {stage}",
            stage=stage,
            temperature=settings.temperature,
            layers=layers,
        )
    student.set_attn_implementation("sdpa")
    save_policy(out, student.to(getattr(torch, bench.config.quantize.dtype)), bench.tokenizer)
    return Built(model=out, details={"layers_followed": layers, "losses": losses})


RECIPE = Recipe(name="distil", summary="a student with fewer layers", runs_on=(ANYWHERE, VLLM), build=_build)
