"""Small makers of problems and rollouts, and tokenizers small enough to read."""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from r1ray.reasoning.steps import Decode
from r1ray.types import Completion, FinishReason, Problem, Rollout

EGGS = "Mia has 9 eggs. Mia gets 7 more. Mia loses 5 eggs. How many eggs does Mia have now?"


def make_problem(
    question: str = EGGS, answer: str = "11", level: int = 2, family: str = "story", **metadata: str
) -> Problem:
    return Problem(id="p", question=question, answer=answer, level=level, family=family, metadata=metadata)


def make_rollout(
    text: str,
    problem: Problem | None = None,
    finish_reason: FinishReason = "stop",
    token_ids: Sequence[int] | None = None,
) -> Rollout:
    """A rollout whose tokens are the characters of its text, unless ids are given."""
    ids = [ord(char) for char in text] if token_ids is None else list(token_ids)
    completion = Completion(token_ids=ids, logprobs=[-0.5] * len(ids), finish_reason=finish_reason, text=text)
    return Rollout(problem=problem or make_problem(), prompt_ids=[1, 2, 3], completion=completion, policy_version=0)


def char_decode(token_ids: list[int]) -> str:
    """A token is a code point; 0 is a special token, which is skipped."""
    return "".join(chr(token) for token in token_ids if token)


def pieces_decode(pieces: Sequence[str]) -> Decode:
    """A token is an index into `pieces`."""
    return lambda token_ids: "".join(pieces[token] for token in token_ids)


def byte_level_tokenizer() -> Tokenizer:
    """A real byte-level BPE with merges of English arithmetic only: other characters take a token for each byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<eos>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(["1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11 eggs and so on"] * 8, trainer)
    return tokenizer
