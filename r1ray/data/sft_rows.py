"""What SFT learns from, tokenised: rows of files or worked solutions, domains beside them, a validation set.

Rows are named by what they say, so a row keeps its id wherever it stands, and what stands there twice is learned once.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from r1ray.config.sft import SFTConfig
from r1ray.data.conversations import Conversation, parse_conversation, solved_problem
from r1ray.data.encoding import Tokenizer, TokenRow, cut, encode_conversation
from r1ray.data.ids import problem_id
from r1ray.data.quarantine import EXCERPT, QuarantinedRow
from r1ray.data.sift import BadRow, sift_files
from r1ray.errors import DataError
from r1ray.types import Problem

Rows = dict[str, TokenRow]
"""Tokenised rows by id."""


@dataclass(frozen=True, kw_only=True)
class SFTRows:
    """What is learned, and what it is checked on."""

    train: Rows
    validation: Rows
    domains: dict[str, tuple[Rows, float]] = field(default_factory=dict)
    """(rows, share) of each domain that is mixed in."""
    variants: dict[str, Rows] = field(default_factory=dict)
    """Variants that take a row's place now and then, by its id (`sft.variants adaptive`)."""
    quarantined: tuple[QuarantinedRow, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    """Rows by what became of them: `rows_in`, `kept`, `quarantined`, `duplicates`, `heldout`, `cut`."""


class _Intake:
    """Tokenises conversations, and counts what becomes of them."""

    def __init__(self, config: SFTConfig, tokenizer: Tokenizer, heldout: Collection[str]) -> None:
        self._config, self._tokenizer, self._heldout = config, tokenizer, heldout
        self._seen: set[str] = set()
        self.called: dict[str, tuple[str, str]] = {}
        """What a row and its parent were called, by the row's id."""
        self.quarantined: list[QuarantinedRow] = []
        self.counts = dict.fromkeys(("rows_in", "kept", "quarantined", "duplicates", "heldout", "cut"), 0)

    def file(self, path: str, system: str) -> list[tuple[str, Conversation]]:
        """The conversations of files, and where they stood."""
        sifted = sift_files(path, lambda fields: parse_conversation(fields, system))
        self.quarantined += sifted.report.quarantined
        self.counts["rows_in"] += len(sifted.report.quarantined)
        return [(path, conversation) for conversation in sifted.items]

    def take(self, conversations: Iterable[tuple[str, Conversation]]) -> dict[str, tuple[str, TokenRow]]:
        """(prompt's name, tokens) of each row by its id."""
        taken: dict[str, tuple[str, TokenRow]] = {}
        for place, conversation in conversations:
            self.counts["rows_in"] += 1
            asked = next((m.content for m in conversation.messages if m.role == "user"), "")
            if problem_id(asked) in self._heldout:
                self.counts["heldout"] += 1
                continue
            name = row_id(conversation)
            if name in self._seen:
                self.counts["duplicates"] += 1
                continue
            try:
                row = encode_conversation(conversation, self._tokenizer, turns=self._config.turns)
                if len(row.token_ids) > self._config.max_tokens:
                    row = cut(row, self._config.max_tokens)
                    self.counts["cut"] += 1
            except BadRow as error:
                self.quarantined.append(
                    QuarantinedRow(
                        file=place, line=0, reason=error.reason, detail=error.detail, excerpt=asked[:EXCERPT]
                    )
                )
                continue
            self._seen.add(name)
            self.counts["kept"] += 1
            self.called[name] = (conversation.id, conversation.parent)
            taken[name] = (problem_id(asked), row)
        self.counts["quarantined"] = len(self.quarantined)
        return taken


def read_sft_rows(
    config: SFTConfig,
    tokenizer: Tokenizer,
    *,
    seed: int,
    system: str,
    problems: Callable[[], Sequence[Problem]],
    heldout: Collection[str] = frozenset(),
) -> SFTRows:
    """Read or take what is learned, tokenise it, hold some of it out.

    Args:
        config: where rows come from, how they are cut and mixed.
        tokenizer: the policy's.
        seed: of the validation split.
        system: system line of rows that bring none.
        problems: asked for worked solutions where `config.path` is empty.
        heldout: ids of problems that are examined on; a row that asks one of them is dropped and counted.

    Raises:
        DataError: nothing can be used, or too little to hold out `config.validation` of it.
    """
    intake = _Intake(config, tokenizer, heldout)
    if config.path:
        rows = intake.take(intake.file(config.path, system))
    else:
        wanted = config.examples + config.validation
        worked = [(problem.family, solved_problem(problem, system)) for problem in problems() if problem.solution]
        if len(worked) < wanted:
            raise DataError(
                f"sft.examples {config.examples} and sft.validation {config.validation} need {wanted} problems with "
                f"worked solutions; there are {len(worked)}. Raise problems.count, lower the two, or give sft.path."
            )
        rows = intake.take(worked[:wanted])
    if len(rows) <= config.validation:
        raise DataError(
            f"{len(rows)} rows can be used ({intake.counts}), and sft.validation holds {config.validation} of them "
            "out. Give more rows, or hold fewer out."
        )
    domains = {
        path: ({name: row for name, (_, row) in intake.take(intake.file(path, system)).items()}, share)
        for path, share in config.shards()
    }
    validation = hold_out({name: prompt for name, (prompt, _) in rows.items()}, config.validation, seed)
    train = {name: row for name, (_, row) in rows.items() if name not in validation}
    variants: dict[str, Rows] = {}
    if config.variants == "adaptive":
        train, variants = _set_variants_aside(train, set(validation), intake.called)
        intake.counts["variants"] = sum(map(len, variants.values()))
    return SFTRows(
        train=train,
        validation={name: rows[name][1] for name in validation},
        variants=variants,
        domains=domains,
        quarantined=tuple(intake.quarantined),
        counts=intake.counts,
    )


def _set_variants_aside(
    train: Rows, validation: Collection[str], called: Mapping[str, tuple[str, str]]
) -> tuple[Rows, dict[str, Rows]]:
    """The rows without the variants of others among them, and those variants; variants of what is held out go."""
    originals = {source: name for name, (source, parent) in called.items() if source and not parent}
    kept: Rows = {}
    variants: dict[str, Rows] = {}
    for name, row in train.items():
        original = originals.get(called[name][1], "")
        if not original:  # no variant, or one whose parent is not here
            kept[name] = row
        elif original not in validation:
            variants.setdefault(original, {})[name] = row
    return kept, variants


def row_id(conversation: Conversation) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of what is said."""
    said: list[Any] = [[message.role, message.content] for message in conversation.messages]
    return hashlib.sha256(json.dumps(said).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def hold_out(prompts: dict[str, str], count: int, seed: int) -> list[str]:
    """At least `count` rows, whole prompts at a time, those whose hash of (seed, prompt) is smallest.

    Args:
        prompts: the name of each row's prompt, by the row's id.
        count: of rows.
        seed: of the split.
    """
    by_prompt: dict[str, list[str]] = {}
    for row, prompt in prompts.items():
        by_prompt.setdefault(prompt, []).append(row)
    ranked = sorted(by_prompt, key=lambda prompt: hashlib.sha256(f"{seed}:{prompt}".encode()).digest())
    held: list[str] = []
    for prompt in ranked[:-1]:  # one prompt stays to be learned
        if len(held) >= count:
            break
        held += sorted(by_prompt[prompt])
    return held
