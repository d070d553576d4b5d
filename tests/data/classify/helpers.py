"""Readable texts, made on the spot."""

from random import Random

from r1ray.data.generators.generate import generate

_SUBJECTS = ["the teacher", "my neighbour", "a young doctor", "the old captain", "her brother", "the committee"]
_VERBS = ["carried", "found", "described", "sold", "repaired", "painted", "forgot", "counted", "opened", "borrowed"]
_OBJECTS = ["a wooden box", "the long report", "seven apples", "an open letter", "the broken clock", "two bicycles"]
_ENDS = ["in the morning", "after the meeting", "without a word", "near the river", "before the winter came"]


def prose(count: int, seed: int = 0) -> list[str]:
    """Stories of a few sentences."""
    draw = Random(seed)

    def sentence() -> str:
        parts = map(draw.choice, (_SUBJECTS, _VERBS, _OBJECTS, _ENDS))
        return " ".join(parts).capitalize() + "."

    return [" ".join(sentence() for _ in range(draw.randint(2, 6))) for _ in range(count)]


def problems(count: int, seed: int = 0) -> list[str]:
    """Word problems with their solutions."""
    found = generate(("story:2-3", "shop:1-2"), count=count, max_number=60, seed=seed)
    return [f"{problem.question}\n{problem.solution}" for problem in found]
