"""The objective: accuracy less the price of its KL, with the interval of what was counted."""

import math

import pytest

from r1ray.config.tune import TuneConfig
from r1ray.errors import ConfigError
from r1ray.statistics import wilson
from r1ray.tune.objective import worth


def test_every_nat_costs_what_the_weight_says() -> None:
    found = worth(TuneConfig(kl_weight=0.05), {"evaluation/accuracy": 0.6, "ppo/ref_kl": 2.0, "problems": 50})
    assert found.objective == pytest.approx(0.6 - 0.05 * 2.0)
    interval = wilson(30, 50)
    assert (found.low, found.high) == pytest.approx((interval.low - 0.1, interval.high - 0.1))
    assert (found.accuracy, found.kl, found.problems) == (0.6, 2.0, 50)


def test_training_rewards_are_never_looked_at() -> None:
    rich = {"reward/total": 9.0, "reward/correct": 1.0, "accuracy": 0.1}
    assert worth(TuneConfig(), rich).objective == 0.1
    assert math.isnan(worth(TuneConfig(), {"reward/total": 9.0}).objective)


def test_without_a_reference_accuracy_stands_alone() -> None:
    found = worth(TuneConfig(), {"accuracy_after": 0.4, "problems": 10})
    assert (found.objective, found.kl) == (0.4, None)


def test_a_reward_model_is_worth_its_agreement() -> None:
    assert worth(TuneConfig(job="reward_model"), {"metric": "step accuracy", "value": 0.8}).objective == 0.8


@pytest.mark.parametrize("accuracy", [math.nan, None])
def test_what_is_no_number_has_no_worth_and_no_interval(accuracy: float | None) -> None:
    found = worth(TuneConfig(), {"accuracy": accuracy, "problems": 10})
    assert math.isnan(found.objective)
    assert found.low is None


def test_any_metric_may_be_the_objective_by_its_name() -> None:
    tune = TuneConfig(objective="train/loss", mode="min")
    assert worth(tune, {"train/loss": 0.25}).figures() == {"objective": 0.25}
    with pytest.raises(ConfigError, match=r"train/loss.*reported accuracy"):
        worth(tune, {"accuracy": 1.0})
