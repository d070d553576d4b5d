"""From a problem to the messages, and the token ids, that ask for a solution; and the form in which one is written."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from r1ray.types import Problem


class ChatTokenizer(Protocol):
    """What prompts need of a Hugging Face tokenizer."""

    chat_template: Any

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any:
        """Messages to text or ids, by the model's own template."""
        ...

    def __call__(self, text: str) -> Any:
        """Text to a mapping with `input_ids`."""
        ...


def chat_messages(problem: Problem, system: str) -> list[dict[str, str]]:
    """The conversation that poses a problem: a system message, unless it is empty, and the question."""
    messages = [{"role": "system", "content": system}] if system else []
    return [*messages, {"role": "user", "content": problem.question}]


def prompt_ids(tokenizer: ChatTokenizer, problem: Problem, system: str) -> list[int]:
    """Token ids of the posed problem, up to the place where the model's own words begin.

    A tokenizer without a chat template (a base model's) gets the system line, the question and a newline.
    """
    if not tokenizer.chat_template:
        paragraphs = [system, problem.question] if system else [problem.question]
        return [int(token) for token in tokenizer("\n\n".join(paragraphs) + "\n")["input_ids"]]
    ids = tokenizer.apply_chat_template(chat_messages(problem, system), add_generation_prompt=True, tokenize=True)
    # transformers 5 returns a BatchEncoding by default, 4 a plain list.
    if isinstance(ids, Mapping) or hasattr(ids, "input_ids"):
        ids = ids["input_ids"]
    return [int(token) for token in ids]


def target_text(steps: Sequence[str], answer: str) -> str:
    r"""A worked solution in the form that is trained: numbered steps, one a line, then the answer line.

    >>> target_text(["9 + 7 = 16", "16 - 5 = 11"], "11")
    '1. 9 + 7 = 16\n2. 16 - 5 = 11\nAnswer: 11'
    """
    lines = [f"{number}. {step.strip()}" for number, step in enumerate(steps, start=1)]
    return "\n".join([*lines, f"Answer: {answer.strip()}"])
