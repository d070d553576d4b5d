"""The words of the stories, in two sets that share none: the plain ones are those of the cold start."""

from dataclasses import dataclass
from random import Random

from r1ray.data.generators.spec import Wording
from r1ray.errors import DataError


@dataclass(frozen=True, slots=True)
class Words:
    """Alternatives for one place in a text."""

    plain: tuple[str, ...]
    varied: tuple[str, ...]

    def of(self, wording: Wording) -> tuple[str, ...]:
        """All that this wording may use."""
        if wording == "all":
            return self.plain + self.varied
        return self.plain if wording == "plain" else self.varied

    def pick(self, rng: Random, wording: Wording) -> str:
        """One of them."""
        return rng.choice(self.of(wording))

    def sample(self, rng: Random, wording: Wording, count: int) -> list[str]:
        """`count` different ones.

        Raises:
            DataError: there are fewer.
        """
        words = self.of(wording)
        if count > len(words):
            raise DataError(
                f"A problem of so many steps needs {count} different names; there are {len(words)}. Ask for at most "
                f"{len(words) - 1} steps."
            )
        return rng.sample(words, count)


NAMES = Words(
    plain=("Mia", "Tom", "Ann", "Ben", "Sam", "Eva", "Leo", "Kim", "Max", "Zoe", "Dan", "Amy"),
    varied=(
        "Omar",
        "Nina",
        "Ravi",
        "Sofia",
        "Jack",
        "Lucy",
        "Ivan",
        "Aisha",
        "Peter",
        "Maya",
        "Carlos",
        "Emma",
        "Rosa",
    ),
)
OBJECTS = Words(
    plain=("eggs", "apples", "pens", "books", "coins", "cups", "balls", "cards"),
    varied=("stamps", "shells", "marbles", "stickers", "tickets", "cookies", "beads", "candles", "flowers", "stones"),
)
