"""A token is where its row's next uniform number falls in the distribution, and nothing else decides it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from r1ray.generation.engine import SamplingParams
from r1ray.generation.sampling import BLOCK, RowSampling, argmax, inverse_cdf, sample, truncate, uniforms

CPU = torch.device("cpu")
SIZES = st.sampled_from([1, 2, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])


def draw(logits: torch.Tensor, numbers: list[float], params: SamplingParams) -> tuple[list[int], torch.Tensor]:
    rows = RowSampling([params] * len(numbers), CPU)
    tokens, logprobs = sample(logits, torch.tensor(numbers, dtype=torch.float64), rows)
    return tokens.tolist(), logprobs


def test_streams_are_a_function_of_seed_sample_and_position() -> None:
    long, short = uniforms(7, 3, 50), uniforms(7, 3, 10)
    assert (long[:10] == short).all()
    assert ((long >= 0) & (long < 1)).all()
    others = [uniforms(7, 4, 10), uniforms(8, 3, 10), uniforms(-1, 3, 10), uniforms(3, 7, 10)]
    assert all((short != other).all() for other in others)


def test_streams_are_uniform_across_samples_and_seeds() -> None:
    numbers = np.concatenate([uniforms(seed, g, 20) for seed in range(50) for g in range(4)])
    assert stats.kstest(numbers, "uniform").pvalue > 0.01


@settings(deadline=None, max_examples=150)
@given(size=SIZES, number=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 2**32 - 1), zeros=st.floats(0, 0.99))
def test_index_is_the_inverse_of_the_cumulative_weight(size: int, number: float, seed: int, zeros: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=size) ** 4 * (rng.random(size) >= zeros)
    weights[rng.integers(size)] += 1.0
    row = torch.tensor(weights, dtype=torch.float32)
    index = int(inverse_cdf(row[None], torch.tensor([number], dtype=torch.float64))[0])
    exact = np.cumsum(row.double().numpy())
    target, slack = number * exact[-1], 1e-6 * exact[-1]
    assert row[index] > 0
    assert exact[index] >= target - slack
    assert exact[index] - float(row[index]) <= target + slack


@pytest.mark.parametrize("size", [3, BLOCK, 2 * BLOCK + 1])
def test_the_largest_number_never_falls_on_a_weight_of_zero(size: int) -> None:
    weights = torch.zeros(1, size)
    weights[0, 1] = 0.1
    for number in (0.0, 0.5, 1 - 2.0**-53):
        assert inverse_cdf(weights, torch.tensor([number], dtype=torch.float64)).tolist() == [1]


def test_numbers_map_to_tokens_as_worked_by_hand() -> None:
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log().expand(5, -1)
    tokens, logprobs = draw(logits, [0.0, 0.49, 0.51, 0.76, 0.99], SamplingParams())  # edges at 0.5, 0.75, 0.875, 1
    assert tokens == [0, 0, 1, 2, 3]
    assert logprobs.exp().tolist() == pytest.approx([0.5, 0.5, 0.25, 0.125, 0.125])


def test_drawn_frequencies_are_the_probabilities() -> None:
    logits = 2.0 * torch.randn(1, 40, generator=torch.Generator().manual_seed(0))
    numbers = np.concatenate([uniforms(seed, 0, 20) for seed in range(500)])
    tokens, _ = draw(logits.expand(len(numbers), -1), numbers.tolist(), SamplingParams())
    observed = np.bincount(tokens, minlength=40)
    expected = logits[0].double().softmax(-1).numpy() * len(numbers)
    common = expected >= 5
    rest = (observed[~common].sum(), expected[~common].sum())
    test = stats.chisquare([*observed[common], rest[0]], [*expected[common], rest[1]])
    assert test.pvalue > 0.01


def test_temperature_divides_the_logits() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    _, logprobs = draw(logits, [0.0], SamplingParams(temperature=0.5))
    assert logprobs[0] == pytest.approx(float((logits / 0.5).log_softmax(-1)[0, 0]))


def test_greedy_takes_the_likeliest_at_temperature_one_logprob_even_beside_sampled_rows() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0]]).expand(2, -1)
    rows = RowSampling([SamplingParams(temperature=0.0), SamplingParams()], CPU)
    tokens, logprobs = sample(logits, torch.tensor([0.0, 0.0], dtype=torch.float64), rows)
    assert tokens.tolist() == [1, 0]
    assert logprobs.tolist() == pytest.approx(logits[0].log_softmax(-1)[[1, 0]].tolist())
    assert draw(logits, [0.0, 0.9], SamplingParams(temperature=0.0))[0] == [1, 1]


def test_logprobs_are_exact_over_a_large_vocabulary() -> None:
    logits = 3.0 * torch.randn(16, 49152, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = draw(logits, list(uniforms(0, 0, 16)), SamplingParams())
    expected = logits.double().log_softmax(-1)[torch.arange(16), tokens].float()
    torch.testing.assert_close(logprobs, expected, atol=3e-6, rtol=0)


@given(size=SIZES, seed=st.integers(0, 2**32 - 1))
def test_argmax_is_the_first_of_the_largest(size: int, seed: int) -> None:
    logits = torch.tensor(np.random.default_rng(seed).integers(-3, 0, (2, size)), dtype=torch.float32)
    assert argmax(logits).tolist() == [row.index(max(row)) for row in logits.tolist()]


def test_a_buffer_is_used_and_changes_nothing() -> None:
    logits, buffer = torch.randn(3, 40, generator=torch.Generator().manual_seed(1)), torch.full((3, 40), torch.nan)
    numbers, rows = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), RowSampling([SamplingParams()] * 3, CPU)
    tokens, logprobs = sample(logits, numbers, rows)
    again, same = sample(logits, numbers, rows, buffer=buffer)
    assert torch.equal(tokens, again)
    assert torch.equal(logprobs, same)
    torch.testing.assert_close(buffer, logits.softmax(-1))


def test_top_k_and_top_p_keep_the_smallest_sets_that_qualify() -> None:
    probabilities = torch.tensor([[0.05, 0.4, 0.15, 0.3, 0.1]])

    def kept(top_k: int, top_p: float) -> list[int]:
        k, p = torch.tensor([top_k]), torch.tensor([top_p])
        return truncate(probabilities, k, p)[0].nonzero().flatten().tolist()

    assert kept(0, 1.0) == [0, 1, 2, 3, 4]
    assert kept(2, 1.0) == [1, 3]
    assert kept(99, 1.0) == [0, 1, 2, 3, 4]
    assert kept(0, 0.6) == [1, 3]  # 0.4 is short of 0.6, 0.4 + 0.3 is not
    assert kept(0, 0.1) == [1]
    assert kept(0, 0.0) == [1]
    assert kept(2, 0.5) == [1]  # of the two kept, 0.4 / 0.7 already holds half of the mass
    assert kept(2, 0.6) == [1, 3]


def test_truncation_changes_what_is_drawn_but_not_the_logprob() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    tokens, logprobs = draw(logits, [0.99], SamplingParams(top_k=2))
    assert tokens == [1]
    assert logprobs.exp().tolist() == pytest.approx([0.3])


def test_rows_may_each_have_their_own_parameters() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log().expand(3, -1)
    params = [SamplingParams(), SamplingParams(top_k=1), SamplingParams(top_p=0.65, temperature=2.0)]
    tokens, _ = sample(logits, torch.full((3,), 0.999, dtype=torch.float64), RowSampling(params, CPU))
    assert tokens.tolist() == [3, 0, 2]  # at temperature 2: 0.325, 0.282, 0.230, …; three reach 0.65


def test_parameters_that_no_row_uses_cost_nothing() -> None:
    rows = RowSampling([SamplingParams(), SamplingParams()], CPU)
    assert rows.temperatures is rows.greedy is rows.top_k is rows.top_p is None
