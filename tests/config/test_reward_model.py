"""Settings of reward models that cannot be are refused before anything starts."""

from typing import Any

import pytest

from r1ray.config.reward_model import AGGREGATES, PreferenceConfig, ProcessConfig, RewardModelConfig, StepLabelsConfig
from r1ray.config.serialise import from_dict, to_dict
from r1ray.errors import ConfigError
from r1ray.reasoning.best_of_n import solution_score


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (RewardModelConfig, {"kind": "outcome"}, "reward_model.kind"),
        (PreferenceConfig, {"label_smoothing": 0.6}, "preference.label_smoothing"),
        (ProcessConfig, {"classes": 4}, "process.classes"),
        (StepLabelsConfig, {"temperature": 0.0}, "step_labels.temperature"),
        (StepLabelsConfig, {"rule": "always"}, "step_labels.rule"),
    ],
)
def test_a_setting_out_of_range_is_named(make: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**settings)


@pytest.mark.parametrize("make", [RewardModelConfig, PreferenceConfig, ProcessConfig, StepLabelsConfig])
def test_every_group_survives_its_json(make: Any) -> None:
    assert from_dict(make(), to_dict(make())) == make()


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_every_aggregate_can_be_computed(aggregate: Any) -> None:
    assert 0 <= solution_score([0.5, 0.25], aggregate) <= 1
