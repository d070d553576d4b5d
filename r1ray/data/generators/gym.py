"""Problems of reasoning-gym, each with what its verifier needs to score an answer in another process."""

import json
from collections.abc import Iterator
from difflib import get_close_matches

from r1ray.data.generators.spec import REASONING_GYM
from r1ray.data.ids import problem_id
from r1ray.errors import DataError
from r1ray.reasoning.grading import ENTRY_KEY
from r1ray.types import Problem

TASK_KEY = "reasoning_gym_task"
"""Where a problem's metadata names the task."""


def gym_problems(task: str, size: int, seed: int) -> Iterator[Problem]:
    """`size` problems of one task, some of them perhaps alike.

    A task that accepts many answers may give none as its reference: `answer` is empty then.

    Raises:
        DataError: there is no such task, or it cannot make so many, or its entries do not survive JSON.
    """
    # Only here: it imports sympy, matplotlib and more, which takes seconds.
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if task not in DATASETS:
        near = get_close_matches(task, DATASETS, n=3, cutoff=0.4)
        raise DataError(
            f"reasoning-gym has no task {task!r} among its {len(DATASETS)}. Nearest: {', '.join(near) or 'none'}."
        )
    try:
        dataset = reasoning_gym.create_dataset(task, size=size, seed=seed)
        for index in range(size):
            yield _problem(task, dataset[index])
    # A task may fail in any way of its own: some need settings, some cannot be made in this size.
    except Exception as error:
        raise DataError(
            f"reasoning-gym's task {task!r} could not make {size} problems ({type(error).__name__}: {error}). Lower "
            "problems.count, or take another task."
        ) from error


def _problem(task: str, entry: dict[str, object]) -> Problem:
    question = str(entry["question"]).strip()
    return Problem(
        id=problem_id(question),
        question=question,
        answer="" if entry["answer"] is None else str(entry["answer"]),
        family=f"{REASONING_GYM}/{task}",
        metadata={TASK_KEY: task, ENTRY_KEY: json.dumps(entry)},
    )
