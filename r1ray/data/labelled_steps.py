"""A solution whose steps are judged: one row type for every step dataset, as text and as token ids."""

from dataclasses import dataclass

from r1ray.algorithms.step_labels import Label, first_error_of
from r1ray.data.conversations import Message, system_message
from r1ray.data.encoding import Tokenizer, encode, prompt_text
from r1ray.errors import DataError
from r1ray.reasoning.steps import Decode, step_end_indices, token_char_ends


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSolution:
    """The steps of one solution, and what is known of each."""

    question: str
    steps: tuple[str, ...]
    labels: tuple[Label, ...]
    """For each step the probability that it is right; None = unlabelled, and left out of the loss."""
    ratings: tuple[int | None, ...] = ()
    """PRM800K's −1, 0, +1 for each step; empty where the dataset has no third class."""
    source: str = ""
    """Dataset: `prm800k`, `math-shepherd`, `mr-gsm8k`, `bigbench-mistake`, `monte-carlo`."""
    answer_correct: bool | None = None
    """Whether the final answer is right; None = not stated."""

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.labels) or (self.ratings and len(self.ratings) != len(self.steps)):
            raise DataError(
                f"{len(self.steps)} steps have {len(self.labels)} labels and {len(self.ratings)} ratings; expected one "
                "each."
            )
        if all(label is None for label in self.labels):
            raise DataError("No step of the solution is labelled: there is nothing to learn in it. Leave it out.")

    @property
    def first_error(self) -> int | None:
        """Index of the first wrong step; −1 = none; None where an unlabelled step leaves it open."""
        return first_error_of(self.labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedSteps:
    """Ids to read, and the L labelled steps in them."""

    token_ids: list[int]
    prompt_tokens: int
    """How many of them pose the question; solutions of one prompt share it."""
    positions: list[int]
    """Index into `token_ids` of the token that ends each labelled step; strictly increasing."""
    labels: list[float]
    ratings: list[int]
    """Empty, or one for each label."""


def encode_steps(
    solution: LabelledSolution, tokenizer: Tokenizer, decode: Decode, *, system: str = "", separator: str = "\n"
) -> EncodedSteps:
    """The question as a prompt and the steps as its answer, judged where a policy's own steps would be.

    `reasoning.steps.step_end_indices` places each label, as it places scores in reinforcement, so what is trained is
    what is read.

    Args:
        decode: ids to text, special tokens skipped and nothing tidied up.
        system: system line of the policy's prompts.
        separator: stands between two steps.

    Raises:
        DataError: the answer does not survive encoding and decoding, or has more steps than tokens.
    """
    prompt = encode(prompt_text([*system_message(system), _user(solution.question)], tokenizer), tokenizer)
    text, spans = "", []
    for index, step in enumerate(solution.steps):
        text += (separator if index else "") + step
        spans.append((len(text) - len(step), len(text)))
    ids = encode(text, tokenizer)
    char_ends = token_char_ends(decode, ids)
    if decode(ids) != text:
        raise DataError(
            f"The tokenizer does not give the solution back as it was, so its steps cannot be placed: {text[:80]!r}."
        )
    ends = step_end_indices(char_ends, spans)
    return place_labels(prompt, ids, ends, solution)


def place_labels(
    prompt_ids: list[int], response_ids: list[int], ends: list[int], solution: LabelledSolution
) -> EncodedSteps:
    """Labels at `ends`, the last token of every step within `response_ids`: for ids that were sampled."""
    labelled = [index for index, label in enumerate(solution.labels) if label is not None]
    return EncodedSteps(
        token_ids=[*prompt_ids, *response_ids],
        prompt_tokens=len(prompt_ids),
        positions=[len(prompt_ids) + ends[index] for index in labelled],
        labels=[label for label in solution.labels if label is not None],
        ratings=_ratings(solution, labelled),
    )


def _ratings(solution: LabelledSolution, labelled: list[int]) -> list[int]:
    ratings = [solution.ratings[index] for index in labelled] if solution.ratings else []
    found = [rating for rating in ratings if rating is not None]
    if len(found) != len(ratings):
        raise DataError("A step has a label and no rating; three-way training needs both or neither.")
    return found


def _user(question: str) -> Message:
    return Message(role="user", content=question)
