"""What recipes train: under fake quantization, around zeros, from a teacher."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from r1ray.config.quantize import RecoveryConfig
from r1ray.errors import ConfigError
from r1ray.models.rounding import Grid, round_to
from r1ray.quantize.bench import Bench
from r1ray.quantize.compress import linear_layers
from r1ray.quantize.distillation import attention_loss, hidden_loss, soft_label_loss
from r1ray.quantize.distributions import compare
from r1ray.quantize.fake import fake_quantized
from r1ray.quantize.recipe import uniform
from r1ray.quantize.recipes.distil import RECIPE, followed_layers, make_student
from r1ray.quantize.recipes.prune import magnitude_mask, two_of_four_mask
from r1ray.quantize.scheme import INT8, Scheme, int4
from r1ray.quantize.sensitivity import block_sensitivity
from r1ray.quantize.training import learn_from_parent


def test_fake_quantized_layer_computes_with_rounded_numbers_and_comes_back() -> None:
    layer, x = nn.Sequential(nn.Linear(32, 8)), torch.randn(3, 32)
    plain = layer(x)
    rounded = nn.functional.linear(
        round_to(x, INT8.inputs or INT8.weights), round_to(layer[0].weight, INT8.weights), layer[0].bias
    )
    with fake_quantized(layer, {"0": INT8}):
        torch.testing.assert_close(layer(x), rounded)
    assert torch.equal(layer(x), plain)


def test_training_under_quantization_comes_nearer_to_the_parent(bench: Bench) -> None:
    student, parent, rows = bench.network(), bench.network(), bench.solutions(8)
    plan = uniform(student, int4(32))
    with fake_quantized(student, plan.schemes):
        before = compare(parent, student, rows).mean_kl
        losses = learn_from_parent(bench, student, steps=12, what="test")
        after = compare(parent, student, rows).mean_kl
    assert len(losses) == 12
    assert after < before


def test_pruned_weights_stay_zero_while_the_others_learn(bench: Bench) -> None:
    student = bench.network()
    name, layer = next(iter(linear_layers(student).items()))
    mask = two_of_four_mask(layer.weight)
    layer.weight.data *= mask
    before = layer.weight.detach().clone()
    learn_from_parent(bench, student, steps=3, what="test", masks={f"{name}.weight": mask})
    assert torch.equal(layer.weight == 0, mask == 0)
    assert not torch.equal(layer.weight, before)


def test_masks_drop_the_smallest() -> None:
    weight = torch.tensor([[0.1, -3.0, 2.0, 0.5], [4.0, 0.2, -0.3, 1.0]])
    assert magnitude_mask(weight, 0.5).tolist() == [[0, 1, 1, 0], [1, 0, 0, 1]]
    assert two_of_four_mask(weight).tolist() == [[0, 1, 1, 0], [1, 0, 0, 1]]
    assert float(magnitude_mask(torch.ones(10, 10), 0.3).mean()) == pytest.approx(0.7)  # ties too


def test_soft_labels_are_hintons() -> None:
    student, teacher, t = torch.randn(5, 7), torch.randn(5, 7), 2.5
    p, q = (torch.softmax(logits / t, -1) for logits in (teacher, student))
    assert soft_label_loss(student, teacher, t) == pytest.approx(float((p * (p / q).log()).sum() * t * t), rel=1e-4)


def test_what_is_inside_is_compared_where_tokens_are() -> None:
    here = torch.tensor([[True, True, False]])
    hidden, attention = torch.randn(1, 3, 4), torch.rand(1, 2, 3, 3).softmax(-1)
    spoilt, elsewhere = hidden.clone(), attention.clone()
    spoilt[0, 2], elsewhere[0, :, 2] = 9.0, torch.tensor([1.0, 0.0, 0.0])
    assert hidden_loss(spoilt, hidden, here) == 0
    assert attention_loss(elsewhere, attention, here) == pytest.approx(0, abs=1e-6)
    assert hidden_loss(hidden * 0, hidden, here) == pytest.approx(2)  # one for each token
    assert attention_loss(elsewhere, attention, torch.ones(1, 3, dtype=torch.bool)) > 0


def test_a_student_follows_layers_that_are_evenly_spread() -> None:
    assert followed_layers(30, 15) == list(range(1, 30, 2))
    assert followed_layers(30, 4) == [6, 14, 21, 29]


@pytest.mark.parametrize("stage", ["hidden", "attention", "labels"])
def test_each_stage_brings_a_shallow_student_nearer(bench: Bench, stage: str) -> None:
    student = make_student(bench.network(), [1])
    losses = learn_from_parent(bench, student, steps=16, what="test", stage=stage, layers=[1])
    assert sum(losses[-4:]) < sum(losses[:4])


def test_the_block_that_is_hurt_most_comes_first(bench: Bench) -> None:
    parent = bench.network()
    schemes = dict.fromkeys(linear_layers(parent), INT8)
    schemes |= {name: Scheme(weights=Grid(bits=2)) for name in schemes if name.startswith("model.layers.1.mlp.")}
    found = block_sensitivity(parent, schemes, bench.solutions(4))
    assert next(iter(found)) == "model.layers.1.mlp"
    assert len(found) == 4
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert compare(bench.network(), parent, bench.solutions(1)).mean_kl == pytest.approx(0, abs=1e-6)  # left as it was


def test_a_student_must_be_smaller(bench: Bench) -> None:
    same = replace(bench, config=replace(bench.config, recovery=RecoveryConfig(student_layers=2)))
    with pytest.raises(ConfigError, match="expected 1 to 1"):
        RECIPE.build(same, same.folder)
