import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.data.epochs import EpochStream
from r1ray.data.sampler import ProblemSampler
from r1ray.errors import CheckpointError, DataError
from r1ray.types import Problem


def make_problems(count: int, levels: int = 1) -> list[Problem]:
    return [
        Problem(id=f"{number:04d}", question="", answer="", family="story", level=1 + number % levels)
        for number in range(count)
    ]


def ids(problems: list[Problem]) -> list[str]:
    return [problem.id for problem in problems]


sizes = st.integers(1, 40)
batch_sizes = st.integers(1, 20)


@given(sizes, batch_sizes, st.integers(0, 3), st.randoms())
def test_a_batch_is_a_function_of_seed_and_step_whatever_the_order_of_problems_and_calls(count, size, seed, rng):
    problems = make_problems(count)
    shuffled = list(problems)
    rng.shuffle(shuffled)
    forward, anyhow = ProblemSampler(problems, size, seed), ProblemSampler(shuffled, size, seed)
    expected = [ids(forward.batch(step)) for step in range(8)]
    for step in rng.sample(range(8), 8):
        assert ids(anyhow.batch(step)) == expected[step]


@given(sizes, batch_sizes, st.integers(0, 3))
def test_every_problem_comes_once_an_epoch_and_never_twice_in_a_batch(count, size, seed):
    sampler = ProblemSampler(make_problems(count), size, seed)
    batches = [ids(sampler.batch(step)) for step in range(3 * count)]
    for batch in batches:
        assert len(batch) == size
        # ceil(size / count) is the least that a batch larger than the set can do.
        assert max(Counter(batch).values()) <= -(-size // count)
    if size == 1:
        for epoch in range(3):
            seen = [batch[0] for batch in batches[epoch * count : (epoch + 1) * count]]
            assert sorted(seen) == ids(make_problems(count))
    drawn = Counter(key for batch in batches for key in batch)
    # 3·count batches of `size` are 3·size whole epochs.
    assert set(drawn.values()) == {3 * size}


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 3))
def test_in_an_epoch_stream_equal_ids_are_at_least_the_spacing_apart(count, spacing, seed):
    stream = EpochStream([str(number) for number in range(count)], spacing=spacing, seed=str(seed))
    row = stream.take(0, 5 * count)
    for epoch in range(5):
        assert len(set(row[epoch * count : (epoch + 1) * count])) == count
    last: dict[str, int] = {}
    for position, key in enumerate(row):
        assert position - last.get(key, -count) >= min(spacing, count)
        last[key] = position


def test_epochs_have_different_orders():
    stream = EpochStream([str(number) for number in range(50)], spacing=8, seed="0")
    assert stream.take(0, 50) != stream.take(50, 50)


rates = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@settings(max_examples=50)
@given(st.integers(4, 40), batch_sizes, st.integers(0, 8), st.booleans(), st.booleans(), st.data())
def test_resuming_at_any_step_gives_the_same_remaining_batches(count, size, stop, curriculum, ahead, data):
    """With `ahead`, the next batch was drawn before the checkpoint, as overlapped generation does."""
    problems = make_problems(count, levels=3)
    observed = data.draw(st.lists(rates, min_size=9, max_size=9))

    def run(sampler: ProblemSampler, first: int, last: int) -> list[list[str]]:
        batches = []
        for step in range(first, last):
            batch = ids(sampler.batch(step))
            if ahead:
                sampler.batch(step + 1)
            sampler.observe(batch, [observed[step] * int(key) / count for key in batch])
            batches.append(batch)
        return batches

    whole = ProblemSampler(problems, size, 7, curriculum=curriculum)
    run(whole, 0, stop)
    state = json.loads(json.dumps(whole.state()))
    resumed = ProblemSampler(problems[::-1], size, 7, curriculum=curriculum)
    resumed.restore(state)
    assert run(resumed, stop, 9) == run(whole, stop, 9)
    assert resumed.state() == whole.state()


@given(st.integers(1, 40), batch_sizes, st.integers(1, 5), st.lists(rates, min_size=6, max_size=6))
def test_the_curriculum_fills_every_batch_without_repeats_where_it_can(count, size, levels, observed):
    sampler = ProblemSampler(make_problems(count, levels), size, 0, curriculum=True)
    for step, rate in enumerate(observed):
        batch = ids(sampler.batch(step))
        assert len(batch) == size
        if size <= count:
            assert len(set(batch)) == size
        sampler.observe(batch, [rate] * size)


def test_the_curriculum_prefers_what_is_solved_sometimes():
    """Level 1 always solved, level 2 half the time, level 3 never: weights 0.05, 0.30, 0.05, so 3/4 are of level 2."""
    sampler = ProblemSampler(make_problems(300, levels=3), 16, 0, curriculum=True)
    success = {1: 1.0, 2: 0.5, 3: 0.0}
    drawn: Counter[int] = Counter()
    for step in range(60):
        batch = sampler.batch(step)
        sampler.observe(ids(batch), [success[problem.level] for problem in batch])
        if step >= 20:
            drawn.update(problem.level for problem in batch)
    assert 0.7 < drawn[2] / drawn.total() < 0.8
    assert min(drawn[1], drawn[3]) > 0.08 * drawn.total()
    assert sampler.success_rates["story/2"] == pytest.approx(0.5)


def test_equal_success_draws_each_bucket_by_its_size():
    """30 problems of level 1 and 10 of level 2: a batch of 8 takes 6 and 2."""
    problems = [Problem(id=str(n), question="", answer="", family="chain", level=1 if n < 30 else 2) for n in range(40)]
    sampler = ProblemSampler(problems, 8, 0, curriculum=True)
    for step in range(10):
        assert Counter(problem.level for problem in sampler.batch(step)) == {1: 6, 2: 2}


def test_success_rates_follow_what_is_observed():
    """From 0.5, two problems at 1.0: 0.9² · 0.5 + (1 - 0.9²) · 1.0 = 0.405 + 0.19 = 0.595."""
    sampler = ProblemSampler(make_problems(4), 2, 0)
    sampler.observe(["0000", "0001"], [1.0, 1.0])
    assert sampler.success_rates == {"all": pytest.approx(0.595)}


def test_other_problems_are_refused_on_restore():
    state = ProblemSampler(make_problems(10), 4, 0).state()
    with pytest.raises(CheckpointError, match=r"10 with fingerprint .* these are 11"):
        ProblemSampler(make_problems(11), 4, 0).restore(state)


@pytest.mark.parametrize(
    ("size", "seed", "curriculum", "named"),
    [(5, 0, False, "prompts_per_step = 4"), (4, 1, False, "seed = 0"), (4, 0, True, "curriculum = False")],
)
def test_other_settings_are_refused_on_restore(size, seed, curriculum, named):
    state = ProblemSampler(make_problems(10), 4, 0).state()
    with pytest.raises(CheckpointError, match=named):
        ProblemSampler(make_problems(10), size, seed, curriculum=curriculum).restore(state)


def test_no_problems_equal_ids_and_unknown_ids_are_refused():
    with pytest.raises(DataError, match="got 0"):
        ProblemSampler([], 4, 0)
    with pytest.raises(DataError, match="got 2 with 1 ids"):
        ProblemSampler(make_problems(1) * 2, 4, 0)
    with pytest.raises(DataError, match="'unknown'"):
        ProblemSampler(make_problems(3), 4, 0).observe(["unknown"], [0.5])
