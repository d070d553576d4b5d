"""Augmentation that follows the loss: variants take their parents' places, more often while much is to learn."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from r1ray.config.augment import AdaptiveConfig
from r1ray.data.adaptive import TrainingSignal


class Variants:
    """Which row is learned where one with variants is due. Every rank holds the same, fed with losses that are the same
    on every rank; draws are a function of (seed, step)."""

    def __init__(self, of: Mapping[str, Iterable[str]], config: AdaptiveConfig, seed: int) -> None:
        """
        Args:
            of: the variants of a row, by its id.
            config: probability of a variant, by the smoothed training loss.
            seed: of the draws.
        """
        self._of = {row: found for row, variants in of.items() if (found := sorted(variants))}
        self._seed, self._signal = seed, TrainingSignal(config)

    def instead_of(self, rows: Sequence[str], step: int) -> list[str]:
        """The rows of a step, or variants of them."""
        random, probability = Random(f"{self._seed}/variants/{step}"), self._signal.probability()
        return [
            random.choice(self._of[row]) if row in self._of and random.random() < probability else row for row in rows
        ]

    def observe(self, loss: float) -> None:
        """Take in a step's training loss, nats a token."""
        self._signal.observe(loss)

    def figures(self) -> dict[str, float]:
        """For the log."""
        return self._signal.figures()

    def state_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return self._signal.state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._signal.restore(state)
