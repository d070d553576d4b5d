import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.data.generators import chain, compare, shop, story, words
from r1ray.data.generators.generate import FAMILIES, generate
from r1ray.data.generators.spec import FamilySpec, parse_spec
from r1ray.data.generators.words import Words
from r1ray.data.ids import problem_id
from r1ray.errors import DataError
from r1ray.reasoning.checker import step_scores

STEP = re.compile(r"(\d+)\. (\d+) ([-+*]) (\d+) = (\d+)")
MODULES = {"chain": chain, "story": story, "shop": shop, "compare": compare}

draws = {
    "family": st.sampled_from(sorted(FAMILIES)),
    "level": st.integers(1, 6),
    "max_number": st.integers(2, 30),
    "seed": st.integers(0, 2**32),
    "wording": st.sampled_from(["plain", "varied", "all"]),
}


def one(family: str, level: int, max_number: int, seed: int, wording: str):
    return generate([f"{family}:{level}/{wording}"], count=1, max_number=max_number, seed=seed)[0]


def parse(solution: str) -> tuple[list[tuple[int, str, int, int]], str]:
    """Steps as (left, operation, right, result), and the answer, of a text in exactly the trained form."""
    *lines, last = solution.split("\n")
    steps = []
    for number, line in enumerate(lines, start=1):
        match = STEP.fullmatch(line)
        assert match is not None and int(match[1]) == number, line
        steps.append((int(match[2]), match[3], int(match[4]), int(match[5])))
    assert last.startswith("Answer: ")
    return steps, last.removeprefix("Answer: ")


@given(**draws)
def test_every_step_is_true_and_grounded_and_the_last_one_is_the_answer(family, level, max_number, seed, wording):
    problem = one(family, level, max_number, seed, wording)
    steps, answer = parse(problem.solution)
    at_hand = Counter(map(int, re.findall(r"\d+", problem.question)))
    assert all(2 <= number <= max_number for number in at_hand)
    for left, operation, right, result in steps:
        assert result == {"+": left + right, "-": left - right, "*": left * right}[operation]
        assert result >= (0 if family == "chain" else 1)
        at_hand.subtract([left, right])
        assert min(at_hand.values()) >= 0, f"{left} {operation} {right} uses a number that is not there"
        at_hand[result] += 1
    # Every given number was used: what is left is the last result alone.
    assert +at_hand == Counter([int(answer)])
    assert answer == problem.answer
    assert problem.level == level == len(steps)
    assert problem.family == family and problem.id == problem_id(problem.question)


@given(**draws)
def test_the_step_checker_gives_every_own_solution_its_full_score(family, level, max_number, seed, wording):
    problem = one(family, level, max_number, seed, wording)
    *steps, _ = problem.solution.split("\n")
    assert sum(step_scores(problem, steps)) == pytest.approx(1.0)


@given(level=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_a_chain_is_worth_what_python_says(level, seed):
    problem = one("chain", level, 12, seed, "all")
    expression = re.search(r"\d+(?: [-+] \d+)+", problem.question)
    assert expression is not None
    assert int(problem.answer) == eval(expression[0])


@given(level=st.integers(1, 5), seed=st.integers(0, 2**32), wording=st.sampled_from(["plain", "varied"]))
def test_a_story_is_worth_its_gains_minus_its_losses(level, seed, wording):
    """Read from the sentences alone, by their verbs."""
    problem = one("story", level, 12, seed, wording)
    losses = ("loses", "gives away", "sells", "hands", "break", "drops", "stolen")
    first, *changes, _ = re.split(r"(?<=\.) ", problem.question)
    total = int(re.findall(r"\d+", first)[0])
    for sentence in changes:
        (number,) = map(int, re.findall(r"\d+", sentence))
        total += -number if any(verb in sentence for verb in losses) else number
        assert total > 0
    assert total == int(problem.answer)


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_problems_and_another_one_others(seed):
    specs = ("story:1-2", "shop:2-3", "compare:2", "chain:3/plain")
    first = generate(specs, count=12, max_number=12, seed=seed)
    assert generate(specs, count=12, max_number=12, seed=seed) == first
    assert generate(specs, count=12, max_number=12, seed=seed + 1) != first


def test_families_and_levels_take_turns():
    problems = generate(("chain:3-4", "story:3-3"), count=40, max_number=12, seed=0)
    assert Counter((p.family, p.level) for p in problems) == {("chain", 3): 10, ("chain", 4): 10, ("story", 3): 20}
    assert len({p.id for p in problems}) == 40


def test_another_family_beside_it_does_not_change_a_family():
    alone = generate(("story:2",), count=10, max_number=12, seed=0)
    beside = generate(("chain:3", "story:2"), count=20, max_number=12, seed=0)
    assert [p for p in beside if p.family == "story"] == alone


def test_a_level_that_is_used_up_leaves_its_turns_to_the_others():
    """With numbers up to 3 `chain:1/plain` has a + b four times, and 2 - 2, 3 - 2, 3 - 3: seven questions."""
    problems = generate(("chain:1-3/plain",), count=60, max_number=3, seed=0)
    assert Counter(p.level for p in problems)[1] == 7
    assert len({p.id for p in problems}) == 60


def test_more_than_there_are_is_refused_with_the_number():
    with pytest.raises(DataError, match=r"about 7 different questions; 8 were asked for"):
        generate(("chain:1/plain",), count=8, max_number=3, seed=0)


def test_excluded_ids_do_not_come():
    first = generate(("chain:1/plain",), count=3, max_number=3, seed=0)
    rest = generate(("chain:1/plain",), count=4, max_number=3, seed=1, exclude={p.id for p in first})
    assert len({p.id for p in first + rest}) == 7


def vocabulary(module: object) -> list[Words]:
    return [value for value in vars(module).values() if isinstance(value, Words)]


@pytest.mark.parametrize("module", [words, *MODULES.values()], ids=lambda module: module.__name__.rpartition(".")[2])
def test_plain_and_varied_words_share_nothing(module):
    """Names and things are compared as they are, sentences without what is filled in."""
    for choices in vocabulary(module):
        plain, varied = (
            {re.sub(r"\{\w+\}", "_", text).casefold() for text in part} for part in (choices.plain, choices.varied)
        )
        assert plain and varied and not plain & varied


def test_plain_problems_use_plain_words_only_and_the_default_uses_both():
    starts = [p.question for p in generate(("story:2/plain",), count=100, max_number=12, seed=0)]
    assert all(re.match(r"\w+ has \d+ ", question) for question in starts)
    assert all(question.split()[0] in words.NAMES.plain for question in starts)
    mixed = [p.question for p in generate(("story:2",), count=200, max_number=12, seed=0)]
    unseen = sum("How many" in q and "have now?" not in q for q in mixed)
    assert 50 < unseen < 190


def test_a_story_is_short():
    longest = max(len(p.question.split()) for p in generate(("story:3",), count=300, max_number=12, seed=0))
    assert longest <= 40


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("chain:3-4", FamilySpec(name="chain", low=3, high=4)),
        ("story:2", FamilySpec(name="story", low=2, high=2)),
        ("story:2-3/plain", FamilySpec(name="story", low=2, high=3, wording="plain")),
        ("shop", FamilySpec(name="shop", low=1, high=3)),
        ("compare/varied", FamilySpec(name="compare", low=1, high=3, wording="varied")),
        ("reasoning-gym/leg_counting", FamilySpec(name="leg_counting", gym=True)),
    ],
)
def test_a_spec_says_name_levels_and_wording(text, spec):
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chain:4-3", "4 to 3 steps"),
        ("chain:0", "0 to 0 steps"),
        ("story:2/simple", "wording 'simple'.*plain, varied, all"),
        ("chain:a", "not understood"),
        ("", "not understood"),
        ("sotry:2", "did you mean 'story'"),
        ("compare:20/plain", "at most 11 steps"),
        ("reasoning-gym/leg_countin", "no task 'leg_countin'.*leg_counting"),
        ("reasoning-gym/composite", "could not make"),
    ],
)
def test_a_wrong_spec_is_refused_with_what_would_be_right(text, message):
    with pytest.raises(DataError, match=message):
        generate((text,), count=1, max_number=9, seed=0)


def test_a_reasoning_gym_problem_carries_what_its_verifier_needs():
    from reasoning_gym import get_score_answer_fn

    problems = generate(("reasoning-gym/leg_counting", "reasoning-gym/countdown"), count=6, max_number=9, seed=0)
    assert Counter(p.family for p in problems) == {"reasoning-gym/leg_counting": 3, "reasoning-gym/countdown": 3}
    assert generate(("reasoning-gym/leg_counting",), count=3, max_number=9, seed=0) == problems[::2]
    for problem in problems:
        entry = json.loads(problem.metadata["reasoning_gym_entry"])
        score = get_score_answer_fn(problem.metadata["reasoning_gym_task"])
        assert entry["question"].strip() == problem.question
        assert score(problem.answer, entry) == 1.0
        assert score("no idea", entry) < 1.0
