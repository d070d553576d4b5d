"""Guardrails as the ingress sees them: one check of the request, one stream for each answer."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from r1ray.config.serve_parts import GuardConfig
from r1ray.errors import ConfigError
from r1ray.serve.guard.judge import Judge, remote_judge
from r1ray.serve.guard.passages import PassageClassifier
from r1ray.serve.guard.patterns import Patterns
from r1ray.serve.guard.personal import PersonalData
from r1ray.serve.guard.stream import OutputStream
from r1ray.serve.guard.verdict import PASSED, Forbids, Rule, Verdict
from r1ray.serve.guard.words import WordList

_MESSAGE = "The request was stopped by the service's content filter (rule: {rule})."


class Guard:
    """Every rule of a configuration, loaded once.

    Args:
        config: what is not let through.
        forbids: the classifier, where it is not in this process.

    Raises:
        ConfigError: a pattern is none, or a label is not the classifier's.
        DataError, ModelError: the classifier cannot be read.
    """

    def __init__(self, config: GuardConfig, forbids: Forbids | None = None) -> None:
        self._config = config
        words, patterns = _entries(config.words), _entries(config.patterns)
        self._rules: list[Rule] = [*([WordList(words)] if words else []), *([Patterns(patterns)] if patterns else [])]
        self._personal = PersonalData(config.pii_detectors)
        self._forbids = forbids if forbids is not None or not config.classifier else _here(PassageClassifier(config))
        self._judge: Judge | None = None
        if config.judge_url:
            self._judge = remote_judge(config.judge_url, config.judge_model, config.judge_timeout_s, self._judge_failed)
        self.failures: Counter[str] = Counter()
        """Checks that gave no verdict, by error; the request passed."""
        content = json.dumps([asdict(config), words, patterns], sort_keys=True)
        self.version = hashlib.sha256(content.encode()).hexdigest()[:12]
        """Changes with the rules."""

    async def check_input(self, text: str) -> Verdict:
        """Whether the request is answered. The cheap rules come first."""
        if not self._config.input:
            return PASSED
        for rule in self._rules:
            if rule.scan(text, 0, True).hit is not None:
                return _blocked(rule.name)
        if self._config.pii_input == "block" and self._personal.spans(text):
            return _blocked("pii")
        if self._forbids is not None and any(await asyncio.gather(*map(self._forbids, _windows(text)))):
            return _blocked("classifier")
        if self._judge is not None and await self._judge.blocks(text):
            return _blocked("judge")
        return PASSED

    def output_stream(self) -> OutputStream:
        """For one answer."""
        if not self._config.output:
            return OutputStream(())
        blocks = [self._personal] if self._config.pii == "block" else []
        return OutputStream(
            [*self._rules, *blocks],
            self._personal if self._config.pii == "mask" else None,
            self._forbids,
            self._config.stride,
        )

    def _judge_failed(self, error: Exception) -> None:
        self.failures[type(error).__name__] += 1


def _here(classifier: PassageClassifier) -> Forbids:
    """In this process: a network in a thread, so that other answers go on meanwhile."""

    async def forbids(passage: str) -> bool:
        if classifier.quick:
            return classifier.forbids([passage])[0]
        return (await asyncio.to_thread(classifier.forbids, [passage]))[0]

    return forbids


def _blocked(rule: str) -> Verdict:
    return Verdict(False, rule, _MESSAGE.format(rule=rule))


def _windows(text: str, width: int = 2000) -> Iterable[str]:
    """A classifier reads the head of a text alone; what stands further down must not escape it."""
    return (text[start : start + width] for start in range(0, max(1, len(text)), width - width // 4))


def _entries(given: Iterable[str]) -> list[str]:
    """Entries as they are, or the lines of a file. Lines that begin with `#` are comments."""
    entries: list[str] = []
    for one in given:
        path = Path(one).expanduser()
        if len(one) < 1000 and path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            entries += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        elif "/" in one and one.endswith(".txt"):
            raise ConfigError(f"guard: {one} is not there. Expected a file with one entry a line, or an entry itself.")
        else:
            entries.append(one)
    return entries
