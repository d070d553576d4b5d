"""Worked solutions of easier problems: all that a policy is ever shown before reinforcement."""

from collections.abc import Collection
from random import Random

from r1ray.config.problems import ColdStartConfig
from r1ray.data.generators.generate import generate
from r1ray.data.generators.spec import parse_spec
from r1ray.errors import DataError
from r1ray.types import Problem

_STREAM = 0x5EED
"""Keeps the draws apart from those of the reinforcement problems, which have the run's seed as well."""


def worked_examples(config: ColdStartConfig, seed: int, exclude_ids: Collection[str] = frozenset()) -> list[Problem]:
    """`config.examples` problems with solutions, families and lengths mixed, in an order that follows from `seed`.

    Args:
        config: easier families, how many examples, and their largest number.
        seed: the run's seed.
        exclude_ids: ids of the training and held-out problems; no example has the question of one of them.

    Raises:
        DataError: a family has no worked solutions, or there are too few problems.
    """
    for text in config.families:
        if parse_spec(text).gym:
            raise DataError(
                f"cold_start.families has {text!r}, which comes without worked solutions; take own families such as "
                "`story:1-2`."
            )
    rng = Random(f"{seed}/cold-start")
    problems = generate(
        config.families, count=config.examples, max_number=config.max_number, seed=seed ^ _STREAM, exclude=exclude_ids
    )
    rng.shuffle(problems)
    return problems
