"""Plans of formats by layer."""

import re

import pytest

from r1ray.errors import ConfigError, ModelError
from r1ray.quantize.scheme import INT8, SchemePlan, check_groups, int4

PARTS = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)
NAMES = [f"model.layers.{layer}.{part}" for layer in range(12) for part in PARTS]


@pytest.mark.parametrize("odd", ["self_attn.k_proj", "self_attn.q_proj", "mlp.gate_proj", "mlp.up_proj"])
def test_projections_that_run_as_one_matrix_share_a_scheme(odd: str) -> None:
    schemes = dict.fromkeys(NAMES, int4(32)) | {f"model.layers.1.{odd}": INT8}
    with pytest.raises(ModelError, match=r"model\.layers\.1.*must share one scheme"):
        SchemePlan(schemes=schemes)


@pytest.mark.parametrize("alone", ["self_attn.o_proj", "mlp.down_proj"])
def test_what_runs_by_itself_may_differ(alone: str) -> None:
    SchemePlan(schemes=dict.fromkeys(NAMES, int4(32)) | {f"model.layers.1.{alone}": INT8})


def test_every_pattern_finds_its_own_layers_and_no_others() -> None:
    plan = SchemePlan(schemes=dict.fromkeys(NAMES, int4(32))).widened(["model.layers.1.mlp", "model.layers.11.mlp"])
    assert plan.schemes["model.layers.1.mlp.up_proj"] == INT8
    for scheme, patterns in plan.groups():
        matched = {name for name in NAMES for p in patterns if re.match(p.removeprefix("re:"), name)}
        assert matched == {name for name in NAMES if plan.schemes[name] == scheme}


def test_widening_eight_bits_leaves_the_block_out() -> None:
    plan = SchemePlan(schemes=dict.fromkeys(NAMES, INT8)).widened(["model.layers.0.mlp"])
    assert len(plan.schemes) == len(NAMES) - 3
    [(_, patterns)] = plan.groups()
    assert not any(re.match(p.removeprefix("re:"), "model.layers.0.mlp.up_proj") for p in patterns)


def test_a_group_that_does_not_divide_the_rows_names_those_that_do() -> None:
    shapes = {"model.layers.0.mlp.up_proj": (1536, 576)}
    with pytest.raises(ConfigError, match=r"128, which does not divide the 576 columns.*32 or 64"):
        check_groups(shapes, dict.fromkeys(shapes, int4(128)))
    check_groups(shapes, dict.fromkeys(shapes, int4(64)))
