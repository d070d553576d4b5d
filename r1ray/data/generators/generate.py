"""From family specs to distinct problems, the same ones for the same seed."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from random import Random

from r1ray.data.generators.chain import chain
from r1ray.data.generators.compare import compare
from r1ray.data.generators.gym import gym_problems
from r1ray.data.generators.shop import shop
from r1ray.data.generators.spec import REASONING_GYM, FamilySpec, parse_spec
from r1ray.data.generators.story import story
from r1ray.data.generators.worked import Family
from r1ray.data.ids import problem_id
from r1ray.errors import DataError
from r1ray.reasoning.prompts import target_text
from r1ray.types import Problem

FAMILIES: dict[str, Family] = {"chain": chain, "story": story, "shop": shop, "compare": compare}
"""Own families by name. A new one is a `Family` and a line here."""

_PATIENCE = 200
"""Draws in a row without a new question after which a level counts as used up."""
_GYM_SURPLUS = 2
"""reasoning-gym problems drawn for each one wanted, since its questions may repeat."""


def generate(
    families: Sequence[str], *, count: int, max_number: int, seed: int, exclude: Collection[str] = frozenset()
) -> list[Problem]:
    """`count` problems with different normalised questions, none with an id in `exclude`.

    Families take turns, and within a family its levels; a level with no more questions leaves its turns to the others.
    Every (family, level) draws from a random stream of its own, so another family beside it changes only the turns.

    Args:
        families: specs as in `problems.families`: `chain:3-4`, `story:2-3/plain`, `reasoning-gym/leg_counting`.
        count: how many problems.
        max_number: largest number that a problem of an own family gives; the smallest is 2.
        seed: every draw follows from it.
        exclude: ids that must not occur.

    Raises:
        DataError: a family is unknown, or all together have fewer than `count` different questions.
    """
    share = -(-count // len(families))
    queues = [deque(_streams(parse_spec(text), share, max_number, seed)) for text in families]
    seen = set(exclude)
    problems: list[Problem] = []
    while len(problems) < count:
        if not any(queues):
            raise DataError(
                f"{', '.join(families)} with numbers up to {max_number} have about {len(problems)} different "
                f"questions{' that are not excluded' if exclude else ''}; {count} were asked for. Lower the count, "
                "raise max_number, or add families."
            )
        for queue in queues:
            if not queue or len(problems) == count:
                continue
            problem = _next_new(queue[0], seen)
            if problem is None:
                queue.popleft()
            else:
                seen.add(problem.id)
                problems.append(problem)
                queue.rotate(-1)
    return problems


def _next_new(stream: Iterator[Problem], seen: Collection[str]) -> Problem | None:
    for _, problem in zip(range(_PATIENCE), stream, strict=False):
        if problem.id not in seen:
            return problem
    return None


def _streams(spec: FamilySpec, share: int, max_number: int, seed: int) -> list[Iterator[Problem]]:
    """One stream of problems a level."""
    if spec.gym:
        return [gym_problems(spec.name, share * _GYM_SURPLUS, seed)]
    if spec.name not in FAMILIES:
        near = get_close_matches(spec.name, FAMILIES, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(
            f"There is no problem family {spec.name!r}: {hint}Own families are {', '.join(sorted(FAMILIES))}; "
            f"others are written `{REASONING_GYM}/<task>`."
        )
    return [_own_problems(spec, level, max_number, seed) for level in range(spec.low, spec.high + 1)]


def _own_problems(spec: FamilySpec, level: int, max_number: int, seed: int) -> Iterator[Problem]:
    """Without end."""
    make = FAMILIES[spec.name]
    rng = Random(f"{seed}/{spec.name}/{level}/{spec.wording}")
    while True:
        worked = make(rng, level, max_number, spec.wording)
        yield Problem(
            id=problem_id(worked.question),
            question=worked.question,
            answer=str(worked.answer),
            family=spec.name,
            level=level,
            solution=target_text(worked.steps, str(worked.answer)),
        )
