"""The canary as the ingress sees it: which version answers, what came of it, and what is to be done."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from r1ray.config.serve_parts import CanaryConfig
from r1ray.errors import ConfigError
from r1ray.serve.canary.outcomes import Outcome, Pairing
from r1ray.serve.canary.split import in_share
from r1ray.serve.canary.trial import Decision, Trial


@dataclass(frozen=True, slots=True)
class Choice:
    """Who answers a request."""

    version: str
    shadow: tuple[str, ...] = ()
    """Versions that compute it as well, unseen."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the books say."""

    decision: Decision = "undecided"
    pairs: int = 0
    figures: Mapping[str, str] = field(default_factory=dict)
    """Of each: `good`, `bad` or `open`."""


class TrialBooks(Protocol):
    """Where outcomes go, and what they come to."""

    def record(self, outcome: Outcome) -> None:
        """Book what came of a request."""
        ...

    @property
    def finding(self) -> Finding:
        """What is known now."""
        ...


class OwnBooks:
    """Books of this process's."""

    def __init__(self, config: CanaryConfig, stable: str, canary: str) -> None:
        self._pairing, self._trial = Pairing(stable, canary), Trial(config)

    def record(self, outcome: Outcome) -> None:
        """Book what came of a request."""
        if (pair := self._pairing.add(outcome)) is not None:
            self._trial.add(pair)

    @property
    def finding(self) -> Finding:
        """What the pairs say."""
        return Finding(self._trial.decision, self._trial.pairs, self._trial.reasons)


class Outbox:
    """For books that are kept elsewhere: outcomes wait here until they are taken there."""

    def __init__(self, most: int = 10_000) -> None:
        self._outcomes: deque[Outcome] = deque(maxlen=most)
        self.finding = Finding()
        """As it was last heard."""

    def record(self, outcome: Outcome) -> None:
        """Keep it for the books."""
        self._outcomes.append(outcome)

    def take(self) -> tuple[Outcome, ...]:
        """What has come since the last time."""
        taken = tuple(self._outcomes)
        self._outcomes.clear()
        return taken


class Canary:
    """Two versions, one of which is on trial. Everything but the books is a function of its arguments, so that several
    replicas decide alike.

    Args:
        config: mode, share and error rates.
        stable: version that answers by default.
        canary: version on trial; empty = none.
        books: of the trial; None = this process's own.
    """

    def __init__(self, config: CanaryConfig, stable: str, canary: str = "", books: TrialBooks | None = None) -> None:
        self._config = config
        self.stable, self.canary = stable, canary
        self._books: TrialBooks = books or OwnBooks(config, stable, canary)

    @property
    def ratio(self) -> float:
        """Share of the canary, in percent, while nothing is decided."""
        return self._config.percent

    @property
    def percent(self) -> float:
        """Share of the canary now; 0 once it was rolled back, 100 once it was promoted."""
        if not self.canary or self._config.mode == "off":
            return 0.0
        if self._config.automatic and self.decision() != "undecided":
            return 100.0 if self.decision() == "promote" else 0.0
        return self._config.percent

    def set_ratio(self, percent: float) -> None:
        """Change the share from the next request on. What was observed stays: pairs do not depend on the share."""
        self._config = replace(self._config, percent=percent)

    def choose(self, session: str, forced: str = "") -> Choice:
        """Who answers a session's request.

        Args:
            session: of the user; the same one gets the same answer as long as the share stays.
            forced: version that the request itself names.

        Raises:
            ConfigError: there is no such version.
        """
        if forced:
            if forced not in (self.stable, self.canary):
                known = ", ".join(name for name in (self.stable, self.canary) if name)
                raise ConfigError(f"There is no version {forced!r} of the model; expected one of {known}.")
            return Choice(forced)
        if not in_share(session, self._config.salt, self.percent):
            return Choice(self.stable)
        if self._config.mode == "split" or (self._config.automatic and self.decision() == "promote"):
            return Choice(self.canary)
        return Choice(self.stable, (self.canary,))

    def record(self, outcome: Outcome) -> None:
        """Book what came of a request. Of a shadowed one both halves carry `paired_with`."""
        if self.canary:
            self._books.record(outcome)

    @property
    def finding(self) -> Finding:
        """What the books say."""
        return self._books.finding

    def decision(self) -> Decision:
        """What the figures say."""
        return self.finding.decision

    def state(self) -> Mapping[str, Any]:
        """For operators and metrics."""
        finding = self.finding
        return {
            "mode": self._config.mode,
            "stable": self.stable,
            "canary": self.canary,
            "percent": self.percent,
            "pairs": finding.pairs,
            "decision": finding.decision,
            "figures": dict(finding.figures),
        }
