"""A conversation in the terminal, with a model that repeats what it was asked."""

import io

from rich.console import Console

from r1ray.commands.chat import HELP, SYSTEM, coloured, talk, trained_system
from r1ray.config.jobs import PPOJobConfig
from r1ray.config.problems import ProblemsConfig
from r1ray.config.run import RunConfig
from r1ray.errors import DataError
from r1ray.runs import Run
from r1ray.types import Completion


def completion(text: str, finish_reason: str = "stop") -> Completion:
    return Completion(token_ids=[1], logprobs=[0.0], finish_reason=finish_reason, text=text)  # type: ignore[arg-type]


def converse(*lines: str, fail_after: int = 99) -> tuple[list[list[tuple[str, str]]], str]:
    """What the model was given at each turn, and what stood on the screen."""
    given: list[list[tuple[str, str]]] = []

    def reply(messages: list[dict[str, str]]) -> Completion:
        if len(messages) > fail_after:
            raise DataError("Prompt 0 has 9000 tokens.")
        given.append([(message["role"], message["content"]) for message in messages])
        return completion(f"heard {messages[-1]['content']}")

    said, out = iter(lines), io.StringIO()

    def read() -> str:
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    talk(reply, "Be brief.", Console(file=out, width=100, color_system=None), read)
    return given, out.getvalue()


def test_each_turn_sees_the_conversation_so_far() -> None:
    given, out = converse("one", "two")
    assert given[1] == [("system", "Be brief."), ("user", "one"), ("assistant", "heard one"), ("user", "two")]
    assert "heard two" in out


def test_reset_forgets_and_keeps_the_system_line() -> None:
    given, _ = converse("one", "/reset", "two")
    assert given[1] == [("system", "Be brief."), ("user", "two")]


def test_system_sets_the_system_line_or_takes_it_away() -> None:
    given, _ = converse("/system Count slowly.", "one", "/system", "two")
    assert given == [[("system", "Count slowly."), ("user", "one")], [("user", "two")]]


def test_quit_ends_and_so_does_the_end_of_input() -> None:
    given, _ = converse("/quit", "never")
    assert given == []


def test_an_empty_line_asks_nothing_and_an_unknown_command_helps() -> None:
    given, out = converse("", "/what")
    assert given == [] and HELP in out


def test_a_conversation_that_no_longer_fits_goes_on_without_the_last_question() -> None:
    given, out = converse("one", "two", "/reset", "three", fail_after=3)
    assert "/reset starts anew" in out
    assert given[-1] == [("system", "Be brief."), ("user", "three")]


def test_steps_are_coloured_by_what_they_are_worth() -> None:
    # 9 and 7 are given: the first step is right, the second is false, the third computes nothing.
    answer = "9 + 7 = 16\n16 + 7 = 20\nSo that is all.\nAnswer: 20"
    text = coloured("Mia has 9 eggs. Mia gets 7 more. How many?", completion(answer))
    assert [(str(span.style), answer[span.start : span.end]) for span in text.spans] == [
        ("green", "9 + 7 = 16"),
        ("red", "16 + 7 = 20"),
        ("cyan", "So that is all."),
    ]


def test_a_cut_off_answer_says_so() -> None:
    assert "cut off" in coloured("?", completion("1 + 1", "length")).plain


def test_the_system_line_is_the_one_the_run_was_trained_with(tmp_path: object) -> None:
    config = PPOJobConfig(run=RunConfig(storage=str(tmp_path)), problems=ProblemsConfig(system="Think."))
    assert trained_system(str(Run.create("ppo", config).folder)) == "Think."
    assert trained_system("smollm2-135m") == SYSTEM
