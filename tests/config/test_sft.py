"""Settings at odds with each other are refused before anything starts."""

from typing import Any

import pytest

from r1ray.config.jobs import SFTJobConfig
from r1ray.config.resources import ResourcesConfig
from r1ray.config.serialise import from_dict, to_dict
from r1ray.config.sft import (
    AccumulationConfig,
    ClippingConfig,
    LossTrendConfig,
    ParallelConfig,
    PrecisionConfig,
    SFTConfig,
    TransferConfig,
)
from r1ray.errors import ConfigError

ALL = (
    SFTConfig,
    TransferConfig,
    PrecisionConfig,
    AccumulationConfig,
    ClippingConfig,
    LossTrendConfig,
    ParallelConfig,
)


TWO = ResourcesConfig(learners=2)


def test_shards_are_paths_with_weights() -> None:
    assert SFTConfig(mix=("medicine.jsonl@0.2", "s3://a@b/law@0.05")).shards() == [
        ("medicine.jsonl", 0.2),
        ("s3://a@b/law", 0.05),
    ]


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (SFTConfig, {"batch": 16, "batch_tokens": 4096}, "exactly one"),
        (SFTConfig, {"batch": 0}, "exactly one"),
        (SFTConfig, {"mix": ("a.jsonl",)}, "path@weight"),
        (SFTConfig, {"mix": ("a@0.6", "b@0.5")}, "sum below 1"),
        (SFTConfig, {"turns": "first"}, "sft.turns"),
        (TransferConfig, {"mode": "last", "layers": 0}, "transfer.layers"),
        (TransferConfig, {"layer_decay": 0.0}, "transfer.layer_decay"),
        (PrecisionConfig, {"dtype": "float8"}, "precision.dtype"),
        (AccumulationConfig, {"low": 64, "high": 32}, "accumulation.high"),
        (ClippingConfig, {"threshold": 0.0}, "clipping.threshold"),
        (LossTrendConfig, {"window": 2}, "loss_trend.window"),
        (ParallelConfig, {"tensor": 0}, "parallel.tensor"),
    ],
)
def test_a_setting_out_of_range_is_named(make: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parallel": ParallelConfig(sequence=2)}, "parallel.sequence is 2 and resources.learners 1"),
        ({"parallel": ParallelConfig(tensor=2), "resources": TWO}, "parallel.tensor is 2 at zero.stage 0"),
        ({"parallel": ParallelConfig(tensor=2, sequence=2), "resources": TWO}, "one or the other"),
        (
            {
                "parallel": ParallelConfig(sequence=2),
                "resources": TWO,
                "accumulation": AccumulationConfig(kind="adaptive"),
            },
            "does not go with accumulation.kind",
        ),
    ],
)
def test_learners_that_cannot_share_rows_are_told_why(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SFTJobConfig(**settings)
    assert SFTJobConfig(parallel=ParallelConfig(sequence=2), resources=TWO).parallel.sequence == 2


@pytest.mark.parametrize("make", ALL)
def test_every_group_survives_its_json(make: Any) -> None:
    assert from_dict(make(), to_dict(make())) == make()
