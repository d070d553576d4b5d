"""Augmentation follows the loss, mixing follows difficulty, and both survive a checkpoint and an actor's process."""

import json
import math

import pytest
import ray

from r1ray.config.augment import AdaptiveConfig, AugmentConfig
from r1ray.data.adaptive import TrainingSignal, difficulty_shares, probability, rate_of_loss
from r1ray.data.augment.rows import Augmenter
from r1ray.errors import CheckpointError, ConfigError, DataError
from tests.data.augment.rows import generated_rows

CONFIG = AdaptiveConfig()


@pytest.mark.parametrize(
    ("loss", "expected"), [(None, 0.3), (0.81, 0.45), (0.8, 0.3), (0.5, 0.3), (0.3, 0.3), (0.29, 0.21)]
)
def test_probability_is_raised_while_the_loss_is_high_and_lowered_once_it_is_low(
    loss: float | None, expected: float
) -> None:
    assert probability(loss, CONFIG) == pytest.approx(expected)


def test_probability_never_exceeds_one() -> None:
    assert probability(5.0, AdaptiveConfig(base=0.9)) == 1.0


def test_one_outlier_changes_nothing_and_a_trend_does() -> None:
    signal = TrainingSignal(CONFIG)
    for _ in range(20):
        signal.observe(0.5)
    assert signal.observe(2.0) == pytest.approx(0.3), "0.65 on average"
    for _ in range(30):
        signal.observe(2.0)
    assert (signal.probability(), signal.strength()) == (pytest.approx(0.45), pytest.approx(1.5))
    for _ in range(60):
        signal.observe(0.05)
    assert (signal.probability(), signal.strength()) == (pytest.approx(0.21), pytest.approx(0.7))


def test_a_loss_that_is_no_number_is_passed_over() -> None:
    signal = TrainingSignal(CONFIG, {"a": 1})
    signal.observe(1.0)
    signal.observe(math.nan, {"a": math.inf})
    assert signal.figures() == {"augment/loss": 1.0, "augment/probability": 0.3 * 1.5, "augment/share/a": 1.0}


def test_shares_favour_what_is_neither_solved_nor_hopeless() -> None:
    shares = difficulty_shares(
        {"easy": 100, "middle": 100, "hard": 100, "new": 100}, {"easy": 1, "middle": 0.4, "hard": 0}
    )
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["new"] > shares["middle"] > shares["easy"] == shares["hard"] > 0
    assert difficulty_shares({"a": 10, "b": 30}, {})["b"] == pytest.approx(0.75), "in proportion where nothing is known"
    with pytest.raises(DataError, match="nothing to mix"):
        difficulty_shares({}, {})


def test_bucket_losses_move_the_mix() -> None:
    signal = TrainingSignal(CONFIG, {"easy": 50, "hard": 50})
    for _ in range(40):
        signal.observe(0.5, {"easy": 0.01, "hard": 0.7})
    assert signal.shares()["hard"] > 3 * signal.shares()["easy"]
    assert rate_of_loss(0.0) == 1.0 and rate_of_loss(math.log(2)) == pytest.approx(0.5)
    with pytest.raises(DataError, match="'other' is none of easy, hard"):
        signal.observe_rates(["other"], [0.5])


def test_a_restored_signal_goes_on_as_if_nothing_had_happened() -> None:
    one, other = TrainingSignal(CONFIG, {"a": 3, "b": 4}), TrainingSignal(CONFIG, {"a": 3, "b": 4})
    for step in range(10):
        one.observe(1.0 / (step + 1), {"a": 0.1 * step, "b": 0.2})
    other.restore(json.loads(json.dumps(one.state())))
    assert one.observe(0.9, {"a": 0.5}) == other.observe(0.9, {"a": 0.5})
    assert one.state() == other.state()
    with pytest.raises(CheckpointError, match="buckets"):
        TrainingSignal(CONFIG, {"a": 3}).restore(one.state())


def test_thresholds_must_be_in_order() -> None:
    with pytest.raises(ConfigError, match=r"adaptive\.low"):
        AdaptiveConfig(low=0.9)


def test_the_signal_decides_how_many_rows_are_augmented() -> None:
    rows = generated_rows("story", count=200)
    augmenter, signal = Augmenter(AugmentConfig(operators=("typos",))), TrainingSignal(CONFIG)
    signal.observe(0.1)
    few = augmenter.rows(rows, signal.strength())
    for _ in range(50):
        signal.observe(3.0)
    many = augmenter.rows(rows, signal.strength())
    assert 1.5 * len(few) < len(many)
    assert {row["id"] for row in few} < {row["id"] for row in many}


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_as_an_actor_it_is_fed_by_one_process_and_read_by_another() -> None:
    @ray.remote(num_cpus=0)
    def train(signal: ray.actor.ActorHandle) -> None:
        for _ in range(30):
            ray.get(signal.observe.remote(1.5, {"story": 0.7}))

    signal = ray.remote(num_cpus=0)(TrainingSignal).remote(CONFIG, {"story": 10, "chain": 10})
    ray.get(train.remote(signal))
    assert ray.get(signal.probability.remote()) == pytest.approx(0.45)
    assert set(ray.get(signal.shares.remote())) == {"story", "chain"}
    ray.kill(signal)
