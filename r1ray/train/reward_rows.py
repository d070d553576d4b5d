"""What a reward model is trained, watched and examined on: from files of judgements, or from a policy's attempts.

Three parts that share no question: `train`, `validation` (when to stop, the threshold, the length correction) and
`heldout` (the figures that are reported).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from r1ray.algorithms.step_labels import first_error_labels
from r1ray.config.jobs import RewardModelJobConfig
from r1ray.config.reward_model import StepLabelsConfig
from r1ray.data.encoding import Tokenizer
from r1ray.data.ids import problem_id
from r1ray.data.labelled_steps import EncodedSteps, LabelledSolution, encode_steps
from r1ray.data.preferences import EncodedPair, PreferencePair, encode_pair, pairs_from_rollouts, parse_pair
from r1ray.data.quarantine import DataReport, QuarantinedRow
from r1ray.data.sift import sift_files
from r1ray.data.step_datasets import parse_steps
from r1ray.errors import DataError
from r1ray.reasoning.steps import Decode
from r1ray.train.attempts import Attempt
from r1ray.types import Completion, Problem, ReasoningStep, Rollout

T = TypeVar("T")
Rows = dict[str, list[T]]
"""By prompt, everything that is known under it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts(Generic[T]):
    """Rows to train on and to watch training by."""

    train: Rows[T]
    validation: Rows[T]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examinee:
    """A solution with judged steps, as the reward worker would be given it."""

    rollout: Rollout
    steps: list[ReasoningStep]
    first_error: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What a reward model is trained on, and what the result is examined on."""

    parts: Parts[Any]
    validation_examinees: list[Examinee] = field(default_factory=list)
    validation_attempts: list[Attempt] = field(default_factory=list)
    heldout_examinees: list[Examinee] = field(default_factory=list)
    heldout_attempts: list[Attempt] = field(default_factory=list)
    """Of them come best-of-N figures too."""
    heldout_pairs: list[EncodedPair] = field(default_factory=list)
    undecided: int = 0
    """Held-out solutions that cannot be judged and were left out already."""


# ── From files ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFiles:
    """Judged steps from files."""

    parts: Parts[EncodedSteps]
    validation: list[Examinee]
    heldout: list[Examinee]
    undecided: int
    report: DataReport


@dataclass(frozen=True, kw_only=True, slots=True)
class PairFiles:
    """Preference pairs from files."""

    parts: Parts[EncodedPair]
    heldout: list[EncodedPair]
    report: DataReport


def read_step_files(config: RewardModelJobConfig, tokenizer: Tokenizer, decode: Decode) -> StepFiles:
    """Solutions of PRM800K, Math-Shepherd, MR-GSM8K, BIG-bench-Mistake or r1ray's own form, encoded and split.

    Raises:
        DataError: no row can be used, or there are too few questions to hold some out.
    """
    limit, system = config.reward_model.max_tokens, config.problems.system

    def encode(solution: LabelledSolution) -> EncodedSteps:
        encoded = encode_steps(solution, tokenizer, decode, system=system)
        if len(encoded.token_ids) > limit:
            raise DataError(f"{len(encoded.token_ids)} tokens, at most {limit}")
        return encoded

    path = config.reward_model.path
    sifted = sift_files(path, parse_steps)
    solutions, encoded, refused = _encode_all(sifted.items, encode, path)
    groups: Rows[int] = {}
    for index, solution in enumerate(solutions):
        groups.setdefault(problem_id(solution.question), []).append(index)
    train, validation, heldout = split_groups(groups, config)

    def examinees(part: Rows[int]) -> list[Examinee]:
        judged = [solutions[index] for group in part.values() for index in group]
        return [_examinee(one, encode) for one in judged if one.first_error is not None]

    held = examinees(heldout)
    return StepFiles(
        parts=Parts(train=_take(train, encoded), validation=_take(validation, encoded)),
        validation=examinees(validation),
        heldout=held,
        undecided=sum(map(len, heldout.values())) - len(held),
        report=_count(sifted.report, len(encoded), refused),
    )


def read_pair_files(config: RewardModelJobConfig, tokenizer: Tokenizer) -> PairFiles:
    """Pairs of HH, UltraFeedback-like or ShareGPT files, encoded and split.

    Raises:
        DataError: no row can be used, or there are too few prompts to hold some out.
    """
    limit = config.reward_model.max_tokens

    def encode(pair: PreferencePair) -> EncodedPair:
        encoded = encode_pair(pair, tokenizer)
        longest = len(encoded.prompt_ids) + max(len(encoded.chosen_ids), len(encoded.rejected_ids))
        if longest > limit:
            raise DataError(f"{longest} tokens, at most {limit}")
        return encoded

    path = config.reward_model.path
    sifted = sift_files(path, parse_pair)
    _, pairs, refused = _encode_all(sifted.items, encode, path)
    train, validation, heldout = split_groups(group_pairs(pairs), config)
    return PairFiles(
        parts=Parts(train=train, validation=validation),
        heldout=[pair for group in heldout.values() for pair in group],
        report=_count(sifted.report, len(pairs), refused),
    )


def split_groups(groups: Rows[T], config: RewardModelJobConfig) -> tuple[Rows[T], Rows[T], Rows[T]]:
    """Train, validation and held-out groups by the hash of (seed, name), whatever their order. Held out are at most a
    quarter of the groups, an eighth is for validation at most.

    Raises:
        DataError: there are fewer than eight.
    """
    if len(groups) < 8:
        raise DataError(f"{len(groups)} different prompts: at least 8 are needed to hold some out. Give more rows.")
    ranked = sorted(groups, key=lambda name: hashlib.sha256(f"{config.run.seed}:{name}".encode()).digest())
    held = min(config.reward_model.heldout, len(ranked) // 4)
    watched = held + min(config.step_labels.validation, len(ranked) // 8)

    def part(names: Sequence[str]) -> Rows[T]:
        return {name: groups[name] for name in names}

    return part(ranked[watched:]), part(ranked[held:watched]), part(ranked[:held])


# ── From attempts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def monte_carlo_rows(attempts: Sequence[Attempt], config: StepLabelsConfig) -> Rows[EncodedSteps]:
    """Attempts with their Monte-Carlo labels; those without any label left are left out."""
    return _rows((attempt, attempt.encoded(attempt.labels(config))) for attempt in attempts)


def rule_rows(attempts: Sequence[Attempt]) -> Rows[EncodedSteps]:
    """Attempts with the truth by rule, up to the first error; those without a known one are left out."""
    return _rows(
        (attempt, attempt.encoded(first_error_labels(attempt.first_error, len(attempt.steps))))
        for attempt in attempts
        if attempt.first_error is not None and attempt.steps
    )


def attempt_pairs(attempts: Sequence[Attempt], config: RewardModelJobConfig) -> list[EncodedPair]:
    """Right against wrong attempts at the same problem."""
    return pairs_from_rollouts(
        [attempt.scored for attempt in attempts], per_problem=config.preference.pairs_per_problem, seed=config.run.seed
    )


def group_pairs(pairs: Sequence[EncodedPair]) -> Rows[EncodedPair]:
    """Pairs by their prompt."""
    groups: Rows[EncodedPair] = {}
    for pair in pairs:
        groups.setdefault(pair.group, []).append(pair)
    return groups


def _rows(encoded: Iterable[tuple[Attempt, EncodedSteps | None]]) -> Rows[EncodedSteps]:
    rows: Rows[EncodedSteps] = {}
    for attempt, solution in encoded:
        if solution is not None:
            rows.setdefault(attempt.rollout.problem.id, []).append(solution)
    return rows


def row_lengths(rows: Mapping[str, Sequence[EncodedSteps | EncodedPair]]) -> dict[str, int]:
    """Tokens of each row, its prompt counted once: what `RowOrder` deals out by."""
    return {name: sum(_own_tokens(item) for item in group) + _prompt_tokens(group[0]) for name, group in rows.items()}


def _own_tokens(item: EncodedSteps | EncodedPair) -> int:
    if isinstance(item, EncodedSteps):
        return len(item.token_ids) - item.prompt_tokens
    return len(item.chosen_ids) + len(item.rejected_ids)


def _prompt_tokens(item: EncodedSteps | EncodedPair) -> int:
    return item.prompt_tokens if isinstance(item, EncodedSteps) else len(item.prompt_ids)


# ── Helpers ───────────────────────────────────────────────────────────────────────────────────────────────────────────

Item = TypeVar("Item")
Encoded = TypeVar("Encoded")


def _encode_all(
    items: Sequence[Item], encode: Callable[[Item], Encoded], path: str
) -> tuple[list[Item], list[Encoded], list[QuarantinedRow]]:
    """Items that could be encoded, what they became, and the others with the reason."""
    kept: list[Item] = []
    encoded: list[Encoded] = []
    refused: list[QuarantinedRow] = []
    for item in items:
        try:
            encoded.append(encode(item))
            kept.append(item)
        except DataError as error:
            reason = "too long" if "at most" in str(error) else "cannot be encoded"
            refused.append(QuarantinedRow(file=path, line=0, reason=reason, detail=str(error)))
    if not kept:
        raise DataError(
            f"None of the {len(items)} items of {path} can be used; the first: {refused[0]}. Raise "
            "reward_model.max_tokens if they are too long."
        )
    return kept, encoded, refused


def _count(report: DataReport, kept: int, refused: Sequence[QuarantinedRow]) -> DataReport:
    """What became of every item; a row that gave none counts as one."""
    quarantined = (*report.quarantined, *refused)
    return DataReport(rows_in=kept + len(quarantined), kept=kept, quarantined=quarantined)


def _examinee(solution: LabelledSolution, encode: Callable[[LabelledSolution], EncodedSteps]) -> Examinee:
    everything = replace(solution, labels=(1.0,) * len(solution.steps), ratings=())
    encoded = encode(everything)  # a place for every step, judged or not
    start = encoded.prompt_tokens
    response = encoded.token_ids[start:]
    assert solution.first_error is not None
    return Examinee(
        rollout=Rollout(
            problem=Problem(id=problem_id(solution.question), question=solution.question, answer=""),
            prompt_ids=encoded.token_ids[:start],
            completion=Completion(token_ids=response, logprobs=[], finish_reason="stop"),
            policy_version=0,
        ),
        steps=[
            ReasoningStep(text=text, start=0, end=len(text), last_token=position - start)
            for text, position in zip(solution.steps, encoded.positions, strict=True)
        ],
        first_error=solution.first_error,
    )


def _take(groups: Rows[int], items: Sequence[T]) -> Rows[T]:
    return {name: [items[index] for index in indices] for name, indices in groups.items()}
