"""What a teacher is: something that answers prompts, several times each; and the engine that runs in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from r1ray.data.conversations import Message
from r1ray.data.encoding import Tokenizer, encode, prompt_text
from r1ray.generation.engine import GenerationEngine, Prompt, SamplingParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One prompt for the teacher."""

    prompt: str
    samples: int = 1
    seed: int = 0
    """The same prompt, samples and seed ask for the same answers, as far as the teacher can promise it."""


class Teacher(Protocol):
    """Answers prompts."""

    @property
    def name(self) -> str:
        """What the provenance of a row says."""
        ...

    def answer(self, asked: Sequence[Asked]) -> list[list[str]]:
        """For each prompt its samples, in order."""
        ...


class EngineTeacher:
    """A `GenerationEngine` of this process as teacher.

    Args:
        engine: holds the weights.
        tokenizer: theirs.
        params: temperature and longest answer.
        name: of the model.
    """

    def __init__(
        self, engine: GenerationEngine, tokenizer: Tokenizer, params: SamplingParams, name: str = "engine"
    ) -> None:
        self._engine, self._tokenizer, self._params, self._name = engine, tokenizer, params, name

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    def answer(self, asked: Sequence[Asked]) -> list[list[str]]:
        """One batch. A sample depends on its prompt, its number and the seed, not on what else is in the batch."""
        prompts = [
            Prompt(
                token_ids=encode(
                    prompt_text([Message(role="user", content=one.prompt)], self._tokenizer), self._tokenizer
                ),
                samples=one.samples,
                seed=one.seed,
            )
            for one in asked
        ]
        found = self._engine.generate(prompts, self._params)
        return [[completion.text for completion in completions] for completions in found]
