"""Promotion and roll-back: error rates by simulation, least and greatest numbers of pairs, figures that veto."""

import random
from dataclasses import replace

import pytest

from r1ray.config.serve_parts import CanaryConfig
from r1ray.serve.canary.trial import Pair, Trial

CONFIG = CanaryConfig(mode="shadow", minimum=20, quality_margin=0.1, alpha=0.1, beta=0.1, maximum=0)


def simulate(
    config: CanaryConfig, *, good=(0.8, 0.8), slower: float = 1.0, kl: float = 0.1, seed: int, pairs: int = 400
):
    rng, trial = random.Random(seed), Trial(config)
    for _ in range(pairs):
        if trial.decision != "undecided":
            break
        trial.add(
            Pair(
                stable_good=float(rng.random() < good[0]),
                canary_good=float(rng.random() < good[1]),
                stable_s=rng.lognormvariate(0, 0.3),
                canary_s=slower * rng.lognormvariate(0, 0.3),
                kl=rng.expovariate(1 / kl) if kl else 0.0,
            )
        )
    return trial


def share(decision: str, runs: int = 120, **how) -> float:
    return sum(simulate(CONFIG, seed=seed, **how).decision == decision for seed in range(runs)) / runs


NOISE = 3 * (0.1 * 0.9 / 120) ** 0.5


@pytest.mark.parametrize(
    "how",
    [{"good": (0.8, 0.7)}, {"slower": 1.2}, {"kl": 0.52}],
    ids=["worse answers by the margin", "slower by the ratio", "as far away as the limit"],
)
def test_a_version_that_is_bad_in_one_figure_is_promoted_no_more_often_than_alpha(how):
    # kl 0.52: what is cut at the cap lowers the mean of an exponential below its parameter
    assert share("promote", **how) <= CONFIG.alpha + NOISE


def test_a_version_that_is_as_good_is_rolled_back_no_more_often_than_beta():
    assert share("roll_back", slower=1.2) <= CONFIG.beta + NOISE
    assert share("roll_back") <= CONFIG.beta + NOISE


def test_what_is_clearly_good_is_promoted_and_what_is_clearly_bad_is_rolled_back():
    assert share("promote", runs=40, good=(0.7, 0.9)) > 0.9
    assert share("roll_back", runs=40, good=(0.9, 0.6)) > 0.9
    assert share("roll_back", runs=40, slower=2.0) > 0.9
    assert share("roll_back", runs=40, kl=2.0) > 0.9


def test_nothing_is_decided_before_the_least_number_of_pairs():
    trial = simulate(replace(CONFIG, minimum=100), good=(1.0, 0.0), seed=0, pairs=99)
    assert (trial.decision, trial.reasons["quality"]) == ("undecided", "bad")
    trial.add(Pair(stable_good=1, canary_good=0, stable_s=1, canary_s=1, kl=0.0))
    assert trial.decision == "roll_back"


def test_without_proof_the_canary_goes_at_the_greatest_number_of_pairs():
    trial = simulate(replace(CONFIG, maximum=60, alpha=1e-9, beta=1e-9), seed=0)
    assert (trial.pairs, trial.decision) == (60, "roll_back")


def test_a_distance_that_was_never_measured_forbids_promotion():
    trial = Trial(CONFIG)
    for _ in range(400):
        trial.add(Pair(stable_good=1, canary_good=1, stable_s=1, canary_s=1))
    assert (trial.decision, trial.reasons) == ("undecided", {"quality": "good", "latency": "good", "kl": "open"})


def test_a_decision_stands():
    trial = simulate(CONFIG, good=(0.9, 0.2), seed=0)
    assert trial.decision == "roll_back"
    for _ in range(300):
        trial.add(Pair(stable_good=0, canary_good=1, stable_s=1, canary_s=0.1, kl=0.0))
    assert trial.decision == "roll_back"
