"""`r1ray chat --policy.path runs/x`: talk to a model in the terminal; its reasoning steps are coloured by what they are
worth."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.text import Text

from r1ray.config.policy import PolicyConfig
from r1ray.config.resources import EngineConfig
from r1ray.errors import DataError
from r1ray.reasoning.checker import StepVerdict, check_steps
from r1ray.reasoning.steps import step_spans
from r1ray.types import Completion, Problem

SYSTEM = "Solve step by step."
HELP = "/system TEXT sets the system line, /reset forgets the conversation, /quit ends."
STYLES = {
    StepVerdict.RIGHT: "green",
    StepVerdict.FALSE: "red",
}
"""Of a step that states arithmetic; any other is cyan."""

Reply = Callable[[list[dict[str, str]]], Completion]
"""From a conversation to the model's next turn."""


@dataclass(frozen=True, kw_only=True)
class ChatArguments:
    """Talk to a model. Steps that compute rightly from what is given are green, false ones red, others cyan."""

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    system: str = ""
    """System line; empty = the one that the run was trained with, or `Solve step by step.`"""
    max_new_tokens: int = 256
    """Longest answer."""
    temperature: float = 0.0
    """0 = greedy."""
    device: str = "auto"
    """`auto`: a GPU where there is one."""


def main(arguments: Sequence[str]) -> None:
    """Parse, load the model, talk."""
    options = tyro.cli(ChatArguments, args=arguments, prog="r1ray chat")
    console = Console()
    with console.status(f"Loading {options.policy.path} ..."):
        reply = make_reply(options)
    console.print(f"[bold]{options.policy.path}[/]  [dim]{HELP}[/]", highlight=False)
    talk(
        reply,
        options.system or trained_system(options.policy.path),
        console,
        lambda: console.input("\n[bold]you ›[/] "),
    )


def make_reply(options: ChatArguments) -> Reply:
    """Load the engine and the tokenizer, and return what answers with them."""
    import torch  # after parsing, so that --help is quick

    from r1ray.generation.engine import Prompt, SamplingParams
    from r1ray.generation.factory import make_engine
    from r1ray.models.loading import load_tokenizer

    device = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    engine, tokenizer = make_engine(options.engine, options.policy, device), load_tokenizer(options.policy.path)
    params = SamplingParams(max_new_tokens=options.max_new_tokens, temperature=options.temperature)

    def reply(messages: list[dict[str, str]]) -> Completion:
        # Another seed each time: asking again is how one sees what else it might have said.
        prompt = Prompt(token_ids=conversation_ids(tokenizer, messages), seed=uuid.uuid4().int % 2**31)
        return engine.generate([prompt], params)[0][0]

    return reply


def conversation_ids(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    """Token ids of a conversation, up to where the model's next turn begins; paragraphs where there is no chat
    template."""
    if not tokenizer.chat_template:
        return list(tokenizer("\n\n".join(message["content"] for message in messages) + "\n")["input_ids"])
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
    return list(ids if isinstance(ids, list) else ids["input_ids"])


def talk(reply: Reply, system: str, console: Console, read: Callable[[], str]) -> None:
    """Questions and answers, until /quit or the end of input."""
    turns: list[dict[str, str]] = []
    while True:
        try:
            said = read().strip()
        except EOFError:
            return
        command, _, argument = said.partition(" ")
        if command in ("/quit", "/exit"):
            return
        if command == "/reset":
            turns = []
            console.print("The conversation is forgotten.", style="dim")
        elif command == "/system":
            system, turns = argument.strip(), []
            console.print(
                f"System line: {system or '(none)'}. The conversation is forgotten.",
                style="dim",
                highlight=False,
                markup=False,
            )
        elif command.startswith("/"):
            console.print(HELP, style="dim", highlight=False)
        elif said:
            turns = [*turns, {"role": "user", "content": said}]
            head = [{"role": "system", "content": system}] if system else []
            try:
                with console.status("thinking ..."):
                    completion = reply(head + turns)
            except DataError as error:  # the conversation no longer fits
                turns = turns[:-1]
                console.print(f"{error} /reset starts anew.", style="red", highlight=False, markup=False)
                continue
            turns.append({"role": "assistant", "content": completion.text})
            console.print(coloured(said, completion))


def coloured(question: str, completion: Completion) -> Text:
    """An answer with its steps in colour and the rest as it is; a cut-off one says so."""
    text = Text(completion.text)
    spans = step_spans(completion.text)
    checked = check_steps(
        Problem(id="", question=question, answer=""), [completion.text[start:end] for start, end in spans]
    )
    for (start, end), step in zip(spans, checked, strict=True):
        text.stylize(STYLES.get(step.verdict, "cyan"), start, end)
    if completion.finish_reason == "length":
        text.append(" … (cut off at --max-new-tokens)", style="dim")
    return text


def trained_system(path: str) -> str:
    """The system line of the run that made a model, if `path` is one."""
    try:
        config = json.loads((Path(path).expanduser() / "config.json").read_text(encoding="utf-8"))
        return str(config["problems"]["system"])
    except (OSError, ValueError, KeyError, TypeError):
        return SYSTEM
