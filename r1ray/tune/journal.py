"""A search on disk: every question and every answer, in the order in which they came, each there before it counts."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from r1ray.config.jobs import TuneJobConfig
from r1ray.config.tune import TuneConfig
from r1ray.errors import CheckpointError, ConfigError
from r1ray.tune.proposals import Proposals
from r1ray.tune.ranges import Value
from r1ray.tune.space import SearchSpace

JOURNAL = "trials.jsonl"
"""File of a search's folder."""


class Journal:
    """`Proposals` whose every event is a line of a file, so that a search whose driver was killed goes on exactly.

    Since a suggestion follows from the seed, its number and the events before it, replaying the events gives the same
    optimiser. Points that were out when the driver died have no answer: they are handed out again, before any new one.
    Picklable: the file is opened for each line.
    """

    def __init__(self, path: Path, proposals: Proposals) -> None:
        """Start a journal, or read the one at `path` into `proposals`, which must be fresh.

        Raises:
            CheckpointError: the file is of another search, or damaged before its last line.
        """
        self.path, self.proposals = path, proposals
        self.results: list[dict[str, Any]] = []
        """The figures of each answer, in the order in which they came: what `tell` was given, `number` and `values`."""
        self._lost: list[int] = []
        header = {"event": "search", "space": proposals.space.describe(), "seed": proposals.seed}
        if path.exists() and (lines := list(_lines(path))):
            if lines[0] != header:
                raise CheckpointError(f"{path} is of another search: {lines[0]}; this one is {header}.")
            for line in lines[1:]:
                self._replay(line)
            self._lost = sorted(map(int, proposals.pending))
        else:
            self._write(header)

    def inherit(self, values: Mapping[str, Any], result: float | None) -> None:
        """A result of an earlier search."""
        line = {"event": "inherit", "values": dict(values), "result": result}
        self._write(line)
        self._replay(line)

    def ask(self) -> tuple[int, dict[str, Value]]:
        """The next point and its number: one that was lost with the driver, or else a new one."""
        if self._lost:
            number = self._lost.pop(0)
            return number, dict(self.proposals.pending[str(number)])
        number = self.proposals.asked
        values = self.proposals.ask(str(number))
        self._write({"event": "ask", "number": number, "values": values})
        return number, values

    def tell(self, number: int, result: float | None, figures: Mapping[str, Any]) -> dict[str, Any]:
        """What came of a point: the value that is maximised (None = it failed), and whatever else is worth keeping."""
        line = {"event": "tell", "number": number, "result": result, "figures": dict(figures)}
        self._write(line)
        return self._replay(line)

    def _replay(self, line: Mapping[str, Any]) -> dict[str, Any]:
        proposals = self.proposals
        if line["event"] == "inherit":
            proposals.observe(line["values"], line["result"])
        elif line["event"] == "ask":
            proposals.repeat(str(line["number"]), line["values"])
        elif line["event"] == "tell":
            observation = proposals.tell(str(line["number"]), line["result"])
            row = {"number": line["number"], "values": observation.values, "result": observation.result}
            self.results.append(row | line["figures"])
            return self.results[-1]
        return {}

    def _write(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def open_journal(config: TuneJobConfig, folder: Path, space: SearchSpace, base: Any) -> Journal:
    """The journal in the search's folder, or a new one with the results of earlier searches and the default first."""
    proposals = Proposals(space, config.searcher, seed=config.run.seed, first=first_points(config.tune, space, base))
    path = folder / JOURNAL
    fresh = not path.exists()
    journal = Journal(path, proposals)
    if fresh:
        for other in config.tune.warm_start:
            earlier = Path(other) / JOURNAL
            if not earlier.is_file():
                raise ConfigError(f"tune.warm_start names {other}; expected the folder of a search, with {JOURNAL}.")
            for row in Journal(earlier, Proposals(space, seed=_seed_of(earlier))).results:
                journal.inherit(row["values"], row["result"])
    return journal


def first_points(settings: TuneConfig, space: SearchSpace, base: Any) -> list[dict[str, Any]]:
    """The shipped default, where it lies in the space."""
    values: dict[str, Any] = {}
    for path in space.ranges:
        value = base
        for part in path.split("."):
            value = getattr(value, part)
        values[path] = value
    inside = all(span.contains(values[path]) for path, span in space.ranges.items())
    return [values] if settings.default_first and inside else []


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a journal; what a kill left of the last one is cut off the file."""
    whole = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            try:
                yield json.loads(line)
            except ValueError as error:
                raise CheckpointError(f"Line {number} of {path} is not JSON: {error}. Start a new search.") from None
    if whole < path.stat().st_size:
        os.truncate(path, whole)


def _seed_of(journal: Path) -> int:
    with journal.open(encoding="utf-8") as file:
        return int(json.loads(file.readline())["seed"])
