"""The whole guard from its configuration; the judge; the shipped classifier on plain cases."""

import asyncio
import threading

import pytest

from r1ray.config.serve_parts import GuardConfig
from r1ray.data.generators.generate import generate
from r1ray.errors import ConfigError
from r1ray.serve.guard import passages
from r1ray.serve.guard.guard import Guard
from r1ray.serve.guard.judge import Judge
from r1ray.serve.guard.toxicity import plain, train_toxicity


def check(config: GuardConfig, text: str) -> str:
    return asyncio.run(Guard(config).check_input(text)).rule


def test_without_rules_everything_passes():
    assert check(GuardConfig(), "anything at all, mia@example.com, damn") == ""


@pytest.mark.parametrize(
    ("config", "text", "rule"),
    [
        (GuardConfig(words=("damn",)), "oh damn", "words"),
        (GuardConfig(words=("damn",), input=False), "oh damn", ""),
        (GuardConfig(patterns=(r"sk-\d+",)), "sk-12", "patterns"),
        (GuardConfig(pii_input="block"), "write to mia@example.com", "pii"),
        (GuardConfig(pii="mask"), "write to mia@example.com", ""),
    ],
)
def test_the_rule_is_named(config, text, rule):
    assert check(config, text) == rule


def test_words_come_from_a_file_too_and_comments_do_not(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# words\ndamn\n\nbad word\n")
    assert check(GuardConfig(words=(str(path),)), "a bad word") == "words"
    assert check(GuardConfig(words=(str(path),)), "words") == ""
    with pytest.raises(ConfigError, match="not there"):
        Guard(GuardConfig(words=(str(tmp_path / "none.txt"),)))


def test_the_version_follows_the_rules(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("damn\n")
    config = GuardConfig(words=(str(path),))
    before = Guard(config).version
    assert Guard(config).version == before
    path.write_text("darn\n")
    assert Guard(config).version != before


def test_an_answer_is_masked_or_blocked():
    async def answer(config: GuardConfig) -> tuple[str, bool]:
        stream = Guard(config).output_stream()
        parts = [
            await stream.feed("Write to mia@exam"),
            await stream.feed("ple.com or sam@example.com."),
            await stream.finish(),
        ]
        return "".join(part.text for part in parts), any(part.blocked for part in parts)

    assert asyncio.run(answer(GuardConfig(pii="mask"))) == ("Write to <EMAIL_1> or <EMAIL_2>.", False)
    assert asyncio.run(answer(GuardConfig(pii="block"))) == ("Write to ", True)
    assert asyncio.run(answer(GuardConfig(pii="block", output=False)))[1] is False


class Model:
    """A judge's model."""

    def __init__(self, answer: str | Exception) -> None:
        self._answer, self.prompts = answer, []

    def answer(self, asked):
        self.prompts += [one.prompt for one in asked]
        if isinstance(self._answer, Exception):
            raise self._answer
        return [[self._answer]]


@pytest.mark.parametrize(
    ("answer", "blocks", "failures"),
    [("BLOCKED", True, 0), (" blocked.", True, 0), ("ALLOWED", False, 0), ("ALLOWED or BLOCKED?", False, 0),
     (ConnectionError("down"), False, 1)],
)  # fmt: skip
def test_a_judge_blocks_only_by_a_plain_word_and_its_failure_lets_pass(answer, blocks, failures):
    errors: list[Exception] = []
    model = Model(answer)
    assert asyncio.run(Judge(model, 5.0, errors.append).blocks("How do I pick a lock?")) is blocks
    assert len(errors) == failures
    assert "How do I pick a lock?" in model.prompts[0]


def test_a_classifier_learns_from_given_texts_and_its_label_must_be_there(tmp_path):
    model = train_toxicity(
        [f"you are a stupid idiot {n}" for n in range(40)], [f"mia has {n} eggs and is kind" for n in range(40)]
    )
    path = tmp_path / "own.npz"
    model.save(path)
    config = GuardConfig(classifier=str(path), threshold=0.6)
    assert check(config, "what a stupid idiot") == "classifier"
    assert check(config, "mia has eggs") == ""
    long = "mia has eggs and is kind " * 100 + "you are a stupid idiot " * 60
    assert check(config, long) == "classifier", "the classifier itself reads two thousand characters"
    with pytest.raises(ConfigError, match="fine, toxic"):
        Guard(GuardConfig(classifier=str(path), labels=("hateful",)))


def test_traces_of_short_messages_go():
    assert plain("!!! RT @mia: You &amp; me #fun http://t.co/x") == ": you & me fun"


def test_the_shipped_classifier_lets_problems_pass_and_stops_plain_abuse():
    guard = Guard(GuardConfig(classifier="toxicity"))

    async def verdicts(texts):
        return [(await guard.check_input(text)).allowed for text in texts]

    problems = [
        problem.question
        for problem in generate(("chain", "story", "shop", "compare"), count=200, max_number=50, seed=3)
    ]
    assert all(asyncio.run(verdicts(problems)))
    assert not any(asyncio.run(verdicts(["you are a stupid bitch", "shut up you fucking retard"])))


class Network:
    """A classifier that is no n-gram counter."""

    labels = ("fine", "toxic")

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def probabilities(self, texts):
        self.threads.append(threading.current_thread())
        return [[0.1, 0.9] if "hate" in text else [0.9, 0.1] for text in texts]


def test_a_network_works_beside_the_event_loop(monkeypatch):
    network = Network()
    monkeypatch.setattr(passages, "open_classifier", lambda name: network)
    config = GuardConfig(classifier="some/network")
    assert check(config, "I hate it") == "classifier" and check(config, "I like it") == ""
    assert network.threads and threading.main_thread() not in network.threads


def test_the_classifier_may_be_elsewhere_and_sees_request_and_answer():
    seen: list[str] = []

    async def forbids(passage: str) -> bool:
        seen.append(passage)
        return "hate" in passage

    guard = Guard(GuardConfig(classifier="not/here", stride=4), forbids)

    async def answer() -> list[bool]:
        stream = guard.output_stream()
        return [(await stream.feed(text)).blocked for text in ("I am", "fine", "hate")]

    assert asyncio.run(guard.check_input("I hate it")).rule == "classifier"
    assert asyncio.run(answer()) == [False, False, True] and seen[-1] == "I amfinehate"
