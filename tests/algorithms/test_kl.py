"""KL estimators against the exact KL, and the coefficient's arithmetic."""

import math

import pytest
import torch

from r1ray.algorithms.kl import AdaptiveKL, FixedKL, k1, k2, k3, kl_controller
from r1ray.config.ppo import PPOConfig

POLICY = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
REFERENCE = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)


def test_values_by_hand() -> None:
    # Policy 1/2, reference 1/4: d = ln 2.
    d = math.log(2)
    policy, ref = torch.tensor([math.log(1 / 2)]), torch.tensor([math.log(1 / 4)])
    assert k1(policy, ref).item() == pytest.approx(d)
    assert k2(policy, ref).item() == pytest.approx(d * d / 2)
    assert k3(policy, ref).item() == pytest.approx(1 / 2 - 1 + d)  # exp(−ln 2) − 1 + ln 2


@pytest.mark.parametrize("estimator", [k1, k3])
def test_k1_and_k3_are_unbiased(estimator: object) -> None:
    exact = (POLICY * (POLICY / REFERENCE).log()).sum()
    expectation = (POLICY * estimator(POLICY.log(), REFERENCE.log())).sum()  # type: ignore[operator]
    torch.testing.assert_close(expectation, exact)


def test_k3_is_never_negative() -> None:
    policy, ref = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)) * 3
    assert (k3(policy, ref) >= 0).all()


def test_the_expected_gradient_of_k2_is_that_of_the_kl_and_k1s_is_nothing() -> None:
    def table(logits: torch.Tensor) -> torch.Tensor:
        return logits.log_softmax(-1)

    logits = POLICY.log().requires_grad_()
    exact = (table(logits).exp() * (table(logits) - REFERENCE.log())).sum()
    (expected,) = torch.autograd.grad(exact, logits)

    def sampled(estimator: object) -> torch.Tensor:
        """E over tokens sampled from the policy, whose probabilities carry no gradient."""
        loss = (POLICY * estimator(table(logits), REFERENCE.log())).sum()  # type: ignore[operator]
        return torch.autograd.grad(loss, logits)[0]

    torch.testing.assert_close(sampled(k2), expected)
    torch.testing.assert_close(sampled(k1), torch.zeros(3, dtype=torch.float64))
    assert not torch.allclose(sampled(k3), expected, atol=1e-2)


def test_adaptive_kl_by_hand() -> None:
    controller = AdaptiveKL(0.1, target=6.0, horizon=1000)
    controller.update(6.6, n=100)  # error 0.1: 0.1 · (1 + 0.1 · 100 / 1000) = 0.101
    assert controller.value == pytest.approx(0.101)
    controller.update(60.0, n=500)  # error clipped to 0.2: 0.101 · (1 + 0.2 · 0.5) = 0.1111
    assert controller.value == pytest.approx(0.1111)
    controller.update(0.0, n=500)  # error clipped to −0.2: 0.1111 · 0.9
    assert controller.value == pytest.approx(0.09999)


def test_a_fixed_coefficient_stays() -> None:
    controller = FixedKL(0.05)
    controller.update(100.0, n=100)
    assert controller.value == 0.05


@pytest.mark.parametrize("target", [0.0, 3.0])
def test_the_coefficient_survives_a_checkpoint(target: float) -> None:
    config = PPOConfig(kl_coef=0.2, kl_target=target, kl_horizon=100)
    before, after = kl_controller(config), kl_controller(config)
    before.update(9.0, n=50)
    after.load_state_dict(before.state_dict())
    assert after.value == before.value
    for controller in (before, after):
        controller.update(1.0, n=10)
    assert after.value == before.value


def test_the_configuration_chooses_the_controller() -> None:
    assert type(kl_controller(PPOConfig(kl_coef=0.1))) is FixedKL
    assert type(kl_controller(PPOConfig(kl_coef=0.1, kl_target=2.0))) is AdaptiveKL
