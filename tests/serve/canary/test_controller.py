"""Who answers, what is compared with what, and a share that changes while the service runs."""

import math
import random

import pytest

from r1ray.config.serve_parts import CanaryConfig
from r1ray.errors import ConfigError
from r1ray.serve.canary.controller import Canary, Choice
from r1ray.serve.canary.outcomes import Outcome, Pairing, kl_per_token


def outcome(version: str, number: int, ok: bool = True, **more) -> Outcome:
    return Outcome(version=version, request_id=f"r{number}", ok=ok, **{"seconds": 1.0, "tokens": 10, **more})


def test_the_share_changes_from_the_next_request_on():
    canary = Canary(CanaryConfig(mode="split", percent=0), "v1", "v2")
    assert {canary.choose(f"u{n}").version for n in range(200)} == {"v1"}
    canary.set_ratio(50)
    assert {canary.choose(f"u{n}").version for n in range(200)} == {"v1", "v2"}
    with pytest.raises(ConfigError, match="percent"):
        canary.set_ratio(101)


def test_in_the_shadow_the_stable_version_answers():
    canary = Canary(CanaryConfig(mode="shadow", percent=100), "v1", "v2")
    assert canary.choose("mia") == Choice("v1", ("v2",))


def test_a_request_may_name_its_version_but_only_one_that_is_there():
    canary = Canary(CanaryConfig(mode="split", percent=0), "v1", "v2")
    assert canary.choose("mia", forced="v2") == Choice("v2")
    with pytest.raises(ConfigError, match=r"'v3'.*v1, v2"):
        canary.choose("mia", forced="v3")


def test_a_canary_that_failed_gets_no_more_traffic():
    canary = Canary(CanaryConfig(mode="split", percent=100), "v1", "v2")
    for number in range(200):
        canary.record(outcome("v1", number))
        canary.record(outcome("v2", number, ok=False))
    assert canary.decision() == "roll_back"
    assert canary.choose("mia") == Choice("v1")
    assert canary.state()["figures"]["quality"] == "bad"


@pytest.mark.parametrize("automatic", [True, False])
def test_a_canary_that_was_shown_to_be_good_answers_everyone_if_that_is_wanted(automatic):
    canary = Canary(CanaryConfig(mode="shadow", percent=1, automatic=automatic), "v1", "v2")
    for number in range(400):
        shared = {"paired_with": f"r{number}", "logprobs": [-1.0]}
        canary.record(outcome("v1", number, **shared))
        canary.record(outcome("v2", number, **shared))
    assert canary.decision() == "promote"
    assert canary.percent == (100 if automatic else 1)
    assert {canary.choose(f"u{n}") for n in range(20)} == ({Choice("v2")} if automatic else {Choice("v1")})


def test_in_a_split_no_answer_counts_twice():
    pairing = Pairing("v1", "v2")
    pairs = [
        pairing.add(entry)
        for entry in [
            outcome("v2", 0),
            outcome("v1", 1),
            outcome("v1", 2, ok=False),
            outcome("v2", 3, seconds=3.0),
            outcome("v2", 4),
            outcome("v0", 5),
        ]
    ]
    (pair,) = [pair for pair in pairs if pair is not None]
    assert (pair.stable_good, pair.canary_good) == (0.5, 1.0)
    assert pair.canary_s / pair.stable_s == pytest.approx(3.0)


@pytest.mark.parametrize("first", ["v1", "v2"])
def test_a_shadowed_request_is_compared_with_itself_whoever_is_ready_first(first):
    pairing = Pairing("v1", "v2")
    halves = {
        "v1": outcome("v1", 1, paired_with="r1", logprobs=[-1.0, -2.0]),
        "v2": outcome("v2", 2, ok=False, paired_with="r1", logprobs=[-1.5, -1.0]),
    }
    second = "v2" if first == "v1" else "v1"
    assert pairing.add(halves[first]) is None
    pair = pairing.add(halves[second])
    assert pair is not None
    assert (pair.stable_good, pair.canary_good) == (1.0, 0.0)
    assert pair.kl == pytest.approx(kl_per_token([-1.0, -2.0], [-1.5, -1.0]))


def test_the_distance_is_unbiased_and_never_negative():
    stable, canary = [0.5, 0.3, 0.2], [0.4, 0.2, 0.4]
    truth = sum(p * math.log(p / q) for p, q in zip(stable, canary, strict=True))
    rng = random.Random(0)
    drawn = rng.choices(range(3), stable, k=40000)
    estimates = [kl_per_token([math.log(stable[d])], [math.log(canary[d])]) for d in drawn]
    assert min(estimates) >= 0
    assert sum(estimates) / len(estimates) == pytest.approx(truth, rel=0.05)
    assert kl_per_token([-1.0], [-1.0]) == 0
    assert kl_per_token([-1.0], []) is None
