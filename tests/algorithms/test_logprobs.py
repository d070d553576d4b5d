"""`token_logprobs` against `log_softmax` over full logits."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from r1ray.algorithms import logprobs as module
from r1ray.algorithms.logprobs import token_logprobs


def naive(
    hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float = 1.0, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    table = F.log_softmax(F.linear(hidden, weight, bias) / temperature, dim=-1)
    return table.gather(1, targets[:, None]).squeeze(1), -(table.exp() * table).sum(-1)


def draw(count: int, width: int, vocabulary: int, seed: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Hidden states, weight, bias (all leaves), targets, and upstream gradients for both results."""
    rng = torch.Generator().manual_seed(seed)
    leaves = [torch.randn(s, generator=rng, dtype=dtype) for s in ((count, width), (vocabulary, width), (vocabulary,))]
    targets = torch.randint(vocabulary, (count,), generator=rng)
    upstream = [torch.randn(count, generator=rng, dtype=torch.float64) for _ in range(2)]
    return [*(x.requires_grad_() for x in leaves), targets, *upstream]


def test_two_tokens_by_hand() -> None:
    # Identity weight: the logits are the hidden state. softmax([ln 3, 0]) = [3/4, 1/4].
    hidden = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]])
    found, entropy = token_logprobs(hidden, torch.eye(2), torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([math.log(3 / 4), math.log(1 / 4)])
    assert entropy.tolist() == pytest.approx([-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))] * 2)
    # At temperature 2 the logits halve: softmax([ln √3, 0]) = [√3, 1] / (√3 + 1).
    tempered, _ = token_logprobs(hidden, torch.eye(2), torch.tensor([0, 1]), temperature=2.0)
    root = math.sqrt(3)
    assert tempered.tolist() == pytest.approx([math.log(root / (root + 1)), math.log(1 / (root + 1))])


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 9),
    width=st.integers(1, 5),
    vocabulary=st.integers(1, 11),
    chunk=st.integers(1, 12),
    temperature=st.sampled_from([1.0, 0.6, 1.7]),
    with_bias=st.booleans(),
    with_entropy_grad=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_values_and_gradients_equal_those_of_full_logits(
    count: int,
    width: int,
    vocabulary: int,
    chunk: int,
    temperature: float,
    with_bias: bool,
    with_entropy_grad: bool,
    seed: int,
) -> None:
    hidden, weight, bias, targets, up_logprobs, up_entropy = draw(count, width, vocabulary, seed)
    leaves = [hidden, weight, *([bias] if with_bias else [])]
    optional = bias if with_bias else None
    found = token_logprobs(
        hidden,
        weight,
        targets,
        temperature=temperature,
        chunk=chunk,
        bias=optional,
        with_entropy_grad=with_entropy_grad,
    )
    expected = naive(hidden, weight, targets, temperature, optional)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)

    def gradients(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        loss = (pair[0] * up_logprobs).sum()
        if with_entropy_grad:
            loss = loss + (pair[1] * up_entropy).sum()
        return torch.autograd.grad(loss, leaves)

    for ours, theirs in zip(gradients(found), gradients(expected), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("chunk", [3, 100])
@pytest.mark.parametrize("with_entropy_grad", [False, True])
def test_gradients_pass_gradcheck(chunk: int, with_entropy_grad: bool) -> None:
    hidden, weight, bias, targets, *_ = draw(7, 3, 5, seed=0)

    def function(h: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        both = token_logprobs(h, w, targets, temperature=0.8, chunk=chunk, bias=b, with_entropy_grad=with_entropy_grad)
        return both if with_entropy_grad else both[:1]

    assert torch.autograd.gradcheck(function, (hidden, weight, bias))


def test_float32_agrees_to_1e_5_at_a_real_vocabulary() -> None:
    hidden, weight, _, targets, upstream, _ = draw(12, 16, 5000, seed=1, dtype=torch.float32)
    ours, _ = token_logprobs(hidden, weight, targets, chunk=5)
    theirs, _ = naive(hidden, weight, targets)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    for a, b in zip(
        torch.autograd.grad((ours * upstream).sum(), (hidden, weight)),
        torch.autograd.grad((theirs * upstream).sum(), (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_bfloat16_keeps_the_gradient_of_a_nearly_certain_token() -> None:
    # softmax([7, 0]): p = 0.99909. In bfloat16 p is 1, and one-hot − p would vanish; 1 − p = 9.1e-4 must survive.
    hidden = torch.tensor([[7.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    logprobs, entropy = token_logprobs(hidden, torch.eye(2, dtype=torch.bfloat16), torch.tensor([0]))
    assert logprobs.dtype == entropy.dtype == torch.float32
    logprobs.sum().backward()
    rest = math.exp(-7) / (1 + math.exp(-7))
    assert hidden.grad is not None and hidden.grad.dtype == torch.bfloat16
    assert hidden.grad[0].tolist() == pytest.approx([rest, -rest], rel=0.01)


def test_extreme_logits_stay_finite() -> None:
    hidden = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]], requires_grad=True)
    logprobs, entropy = token_logprobs(hidden, torch.eye(2), torch.tensor([1, 1]), with_entropy_grad=True)
    assert logprobs.tolist() == [-1000.0, 0.0]
    assert entropy.tolist() == [0.0, 0.0]
    (logprobs.sum() + entropy.sum()).backward()
    assert hidden.grad is not None and hidden.grad.isfinite().all()


def test_entropy_is_detached_unless_its_gradient_is_asked_for() -> None:
    hidden, weight, _, targets, *_ = draw(4, 3, 5, seed=2)
    assert not token_logprobs(hidden, weight, targets)[1].requires_grad
    assert token_logprobs(hidden, weight, targets, with_entropy_grad=True)[1].requires_grad


def test_a_frozen_weight_gets_no_gradient_and_hidden_still_does() -> None:
    hidden, weight, _, targets, upstream, _ = draw(4, 3, 5, seed=3)
    frozen = weight.detach()
    (token_logprobs(hidden, frozen, targets, chunk=2)[0] * upstream).sum().backward()
    (expected,) = torch.autograd.grad((naive(hidden, frozen, targets)[0] * upstream).sum(), hidden)
    assert frozen.grad is None
    torch.testing.assert_close(hidden.grad, expected)


def test_the_graph_may_be_walked_twice() -> None:
    hidden, weight, _, targets, *_ = draw(4, 3, 5, seed=4)
    loss = token_logprobs(hidden, weight, targets)[0].sum()
    first = torch.autograd.grad(loss, (hidden, weight), retain_graph=True)
    second = torch.autograd.grad(loss, (hidden, weight))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("count", "expected"), [(8, [8]), (20, [8, 8, 4, 8, 8, 4])])
def test_no_more_than_a_chunk_of_logits_is_made_at_once(
    count: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    original = module._logits

    def counted(hidden: Tensor, *rest: object) -> Tensor:
        made.append(len(hidden))
        return original(hidden, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_logits", counted)
    hidden, weight, _, targets, *_ = draw(count, 3, 5, seed=5)
    token_logprobs(hidden, weight, targets, chunk=8)[0].sum().backward()
    # One chunk is kept for the backward pass; several are computed again there.
    assert made == expected


def test_without_gradients_no_residual_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = module._minus_one_hot
    monkeypatch.setattr(module, "_minus_one_hot", lambda *args: made.append(1) or original(*args))
    hidden, weight, _, targets, *_ = draw(4, 3, 5, seed=6)
    with torch.no_grad():
        token_logprobs(hidden, weight, targets)
    assert made == []
    token_logprobs(hidden, weight, targets)
    assert made == [1]


def test_the_result_does_not_depend_on_the_size_of_cache_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, _, targets, *_ = draw(9, 3, 5, seed=7)
    whole = token_logprobs(hidden, weight, targets)
    monkeypatch.setattr(module, "_blocks", lambda logits: module._spans(len(logits), 2))
    for a, b in zip(whole, token_logprobs(hidden, weight, targets), strict=True):
        torch.testing.assert_close(a, b)
