"""What the gate lets pass, and what it does not."""

from dataclasses import replace

import pytest

from r1ray.config.quantize import GateConfig
from r1ray.quantize.artifact import figures
from r1ray.quantize.distributions import Divergence
from r1ray.quantize.gate import Examined, Footprint, judge

NEAR = Divergence(perplexity_parent=2.0, perplexity=2.1, mean_kl=0.01, max_kl=0.5, agreement=0.97, tokens=1000)


def answers(right: int, problems: int = 700) -> Examined:
    return Examined(correct=(True,) * right + (False,) * (problems - right), bytes=10)


def test_a_model_that_loses_nothing_passes_every_demand() -> None:
    assert judge(answers(350), answers(350), NEAR, GateConfig(kept=0.99)).accepted


@pytest.mark.parametrize(("lost", "passes"), [(3, True), (60, False)])
def test_the_lower_bound_of_the_difference_decides(lost: int, passes: bool) -> None:
    verdict = judge(answers(350), answers(350 - lost), NEAR, GateConfig())
    assert verdict.accepted is passes
    assert verdict.word == ("accepted" if passes else "rejected")


def test_few_problems_prove_nothing() -> None:
    """Equal answers, but the interval of 40 problems is wider than the margin."""
    assert not judge(answers(20, 40), answers(20, 40), NEAR, GateConfig()).accepted


def test_distant_distributions_are_refused_at_equal_accuracy() -> None:
    verdict = judge(answers(350), answers(350), replace(NEAR, mean_kl=0.2), GateConfig())
    assert not verdict.accepted
    assert "KL 0.2000" in verdict.reasons[0]


def test_not_a_number_is_no_pass() -> None:
    nan = replace(NEAR, mean_kl=float("nan"), perplexity=float("inf"))
    assert len(judge(answers(350), answers(350), nan, GateConfig()).reasons) == 2


def test_share_kept_is_asked_only_where_it_is_set() -> None:
    before, after = answers(4000, 8000), answers(3950, 8000)
    assert judge(before, after, NEAR, GateConfig()).accepted
    assert not judge(before, after, NEAR, GateConfig(kept=0.99)).accepted


def test_a_fresh_process_must_say_what_the_engine_says() -> None:
    other = replace(
        answers(350), footprint=Footprint(resident=1, tokens_per_s=1.0, texts=("a", "b")), engine_texts=("a", "c")
    )
    assert not judge(answers(350), other, NEAR, GateConfig(same_text=1.0)).accepted
    assert judge(answers(350), other, NEAR, GateConfig(same_text=0.5)).accepted
    assert figures(answers(350), other, NEAR, base_bytes=20)["same_text"] == 0.5
