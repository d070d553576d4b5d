"""From the configuration to a train and a held-out set, with a report on every row. Who reads is a parameter.

families ──generate──┐
files ──read─────────┴─► problems + quarantine ─► too long? ─► split ─► ProblemSet(train, heldout, report)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from r1ray.config.problems import ProblemsConfig
from r1ray.data.files import expand, read_rows
from r1ray.data.generators.generate import generate
from r1ray.data.ids import dataset_fingerprint
from r1ray.data.quarantine import EXCERPT, DataReport, QuarantinedRow, describe
from r1ray.data.sources import normalise_row
from r1ray.data.split import Split, split, split_by_file
from r1ray.errors import DataError
from r1ray.types import Problem

Rows = tuple[list[Problem], list[QuarantinedRow]]
"""What could be used, and what could not."""
ReadFiles = Callable[[Sequence[str]], Rows]
"""From file paths, globs already expanded, to their rows."""
PromptLength = Callable[[Problem], int]
"""Tokens of the prompt that poses a problem."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemSet:
    """What is trained on, what is examined on, and what became of every row."""

    train: list[Problem]
    heldout: list[Problem]
    report: DataReport

    @property
    def fingerprint(self) -> str:
        """Names the training set, whatever its order; the sampler's state carries it."""
        return dataset_fingerprint(problem.id for problem in self.train)


def read_files(paths: Sequence[str]) -> Rows:
    """Read files one after another in this process."""
    return sort_rows(normalise_row(row) for path in paths for row in read_rows(path))


def sort_rows(rows: Iterable[Problem | QuarantinedRow]) -> Rows:
    """Part the rows that could be used from the others."""
    problems: list[Problem] = []
    quarantined: list[QuarantinedRow] = []
    for row in rows:
        if isinstance(row, Problem):
            problems.append(row)
        else:
            quarantined.append(row)
    return problems, quarantined


def build_problem_set(
    config: ProblemsConfig, seed: int, *, read: ReadFiles = read_files, prompt_length: PromptLength | None = None
) -> ProblemSet:
    """Generate or read, set aside what cannot be used, split.

    Args:
        config: which problems, and how many are held out.
        seed: draws the generated problems and the split.
        read: how files are read.
        prompt_length: counts the tokens of a prompt; without it no prompt is too long.

    Raises:
        DataError: a path matches nothing, no row can be used, or too few problems are left.
    """
    if config.path:
        problems, quarantined = _load(config.path, config, read, prompt_length)
    else:
        generated = generate(config.families, count=config.count, max_number=config.max_number, seed=seed)
        problems, quarantined = _part_by_length(generated, config.max_prompt_tokens, prompt_length)
        _require_some(problems, quarantined, ", ".join(config.families))
    rows_in = len(problems) + len(quarantined)
    if config.heldout_path:
        heldout, heldout_quarantined = _load(config.heldout_path, config, read, prompt_length)
        rows_in += len(heldout) + len(heldout_quarantined)
        quarantined += heldout_quarantined
        parts = split_by_file(problems, heldout, seed)
    else:
        parts = split(problems, config.heldout, seed)
    return ProblemSet(train=parts.train, heldout=parts.heldout, report=_report(rows_in, parts, quarantined))


def _load(path: str, config: ProblemsConfig, read: ReadFiles, prompt_length: PromptLength | None) -> Rows:
    problems, quarantined = read(expand(path))
    problems, too_long = _part_by_length(problems, config.max_prompt_tokens, prompt_length)
    _require_some(problems, quarantined + too_long, path)
    return problems, quarantined + too_long


def _part_by_length(problems: list[Problem], limit: int, prompt_length: PromptLength | None) -> Rows:
    if prompt_length is None:
        return problems, []

    def check(problem: Problem) -> Problem | QuarantinedRow:
        length = prompt_length(problem)
        if length <= limit:
            return problem
        return QuarantinedRow(
            file=problem.family,
            line=0,
            reason="prompt too long",
            detail=f"{length} tokens, at most {limit}",
            excerpt=problem.question[:EXCERPT],
        )

    return sort_rows(map(check, problems))


def _require_some(problems: Sequence[Problem], quarantined: Sequence[QuarantinedRow], source: str) -> None:
    if not problems:
        found = describe(quarantined) if quarantined else "There are no rows."
        raise DataError(
            f"Nothing in {source} can be used: {len(quarantined)} rows, all set aside. {found} Expected one JSON "
            "object a line (or parquet rows) with `question` and `answer`."
        )


def _report(rows_in: int, parts: Split, quarantined: Sequence[QuarantinedRow]) -> DataReport:
    return DataReport(
        rows_in=rows_in,
        kept=len(parts.train) + len(parts.heldout),
        quarantined=tuple(quarantined),
        duplicates=parts.duplicates,
        leaked=parts.leaked,
    )
