"""What a policy can be shown: chat rows, problem rows and prompt/response rows, all as one conversation.

{"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}
{"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}]}          ShareGPT
{"question": …, "solution": …, "answer": …}                                              problems, GSM8K, MATH
{"prompt": …, "response": …}        {"instruction": …, "input": …, "output": …}          Alpaca
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r1ray.data.files import RawRow
from r1ray.data.quarantine import QuarantinedRow
from r1ray.data.sift import BadRow, list_field, text_field
from r1ray.data.sources import normalise_row
from r1ray.reasoning.prompts import target_text
from r1ray.reasoning.steps import ANSWER_LINE
from r1ray.types import Problem

ROLES = ("system", "user", "assistant")
_SHAREGPT_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str

    def to_chat(self) -> dict[str, str]:
        """As chat templates read it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """Turns that end with the assistant's; what the assistant says is what is learned."""

    messages: tuple[Message, ...]
    id: str = ""
    """What the row was called, where it had a name."""
    parent: str = ""
    """Of a variant: the `id` of the row that it was made from."""


def parse_conversation(fields: Mapping[str, Any], system: str = "") -> list[Conversation]:
    """The conversation of one row, whichever of the forms it has.

    Args:
        fields: of the row.
        system: system line for rows that bring none; empty = none.

    Raises:
        BadRow: no form fits, or the turns make no conversation.
    """
    if fields.get("messages") is not None:
        messages = chat_messages_of(list_field(fields, "messages"))
    elif fields.get("conversations") is not None:
        messages = chat_messages_of(list_field(fields, "conversations"))
        messages = [*system_message(text_field(fields, "system", required=False)), *messages]
    elif "question" in fields or "problem" in fields:
        messages = _problem_messages(fields)
    else:
        messages = [
            Message(role="user", content=instruction_of(fields)),
            Message(role="assistant", content=text_field(fields, "response", "completion", "output")),
        ]
    if messages[0].role != "system":
        messages = [*system_message(system), *messages]
    check_turns(messages)
    if messages[-1].role != "assistant":
        raise BadRow("does not end with the assistant", f"the last turn is the {messages[-1].role}'s")
    names = {name: value for name in ("id", "parent") if isinstance(value := fields.get(name), str)}
    return [Conversation(messages=tuple(messages), **names)]


def solved_problem(problem: Problem, system: str = "") -> Conversation:
    """A problem and its worked solution, in the form that is trained: numbered steps, then the answer line.

    Raises:
        BadRow: the problem comes without a solution.
    """
    lines = [line.strip() for line in problem.solution.splitlines() if line.strip() and not ANSWER_LINE.match(line)]
    steps = [line.removeprefix(f"{number}. ") for number, line in enumerate(lines, start=1)]  # numbered anew below
    if not steps:
        raise BadRow("no solution", f"problem {problem.id} has an answer alone")
    return Conversation(
        messages=(
            *system_message(system),
            Message(role="user", content=problem.question),
            Message(role="assistant", content=target_text(steps, problem.answer)),
        )
    )


def instruction_of(fields: Mapping[str, Any]) -> str:
    """The prompt of a row with `prompt` or `instruction`, and Alpaca's `input` below it."""
    extra = text_field(fields, "input", required=False) if "instruction" in fields else ""
    instruction = text_field(fields, "prompt", "instruction")
    return f"{instruction}\n\n{extra}" if extra else instruction


def chat_messages_of(turns: Sequence[Any]) -> list[Message]:
    """Turns as `role`/`content` or as ShareGPT's `from`/`value`.

    Raises:
        BadRow: a turn has neither, or an unknown role.
    """
    messages = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise BadRow("a turn is not an object", type(turn).__name__)
        said = turn.get("role", turn.get("from"))
        role = _SHAREGPT_ROLES.get(said) if isinstance(said, str) else None
        if role is None:
            raise BadRow("unknown role", f"{said!r}; expected one of {', '.join(_SHAREGPT_ROLES)}")
        messages.append(Message(role=role, content=text_field(turn, "content", "value")))
    return messages


def check_turns(messages: Sequence[Message]) -> None:
    """A system message first if at all, then user and assistant in turn, the user first.

    Raises:
        BadRow: anything else.
    """
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns:
        raise BadRow("no turns")
    for index, message in enumerate(turns):
        expected = ("user", "assistant")[index % 2]
        if message.role != expected:
            raise BadRow("turns out of order", f"turn {index} is the {message.role}'s, expected the {expected}'s")


def system_message(text: str) -> list[Message]:
    """A system message, unless it would be empty."""
    return [Message(role="system", content=text)] if text else []


def _problem_messages(fields: Mapping[str, Any]) -> list[Message]:
    problem = normalise_row(RawRow(file="", line=0, fields=dict(fields)))
    if isinstance(problem, QuarantinedRow):
        raise BadRow(problem.reason, problem.detail)
    return list(solved_problem(problem).messages)
