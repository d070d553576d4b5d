"""Augmentation of rows: which operator is applied to which row, and the variants with their lineage."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from r1ray.config.augment import AugmentConfig
from r1ray.data.augment.registry import make_operators
from r1ray.data.augment.variant import Check, Operator, Row, Variant, stream_of, variant_id

_WEAKEST: tuple[Check, ...] = ("rejected", "unverified", "verified")


class Augmenter:
    """Makes variants of rows; holds what the operators need, so that it is built once a process.

    A row's variants are a function of the configuration, the row and, under `mixing`, the pool: how rows are parted
    into batches, and which others are there, changes nothing.

    Args:
        config: operators and their probabilities.
        pool: rows that `mixing` may mix with.
        operators: others than the configuration's, by name.
    """

    def __init__(
        self, config: AugmentConfig, pool: Sequence[Row] = (), operators: Mapping[str, Operator] | None = None
    ) -> None:
        self._config = config
        self._operators = dict(operators) if operators is not None else make_operators(config, pool)
        self._probabilities = {name: config.probabilities().get(name, config.probability) for name in self._operators}

    def variants(self, rows: Sequence[Row], strength: float = 1.0) -> list[Variant]:
        """Every attempt at these rows, rejected ones as well, in the order of the rows.

        Args:
            rows: each with an `id`.
            strength: factor on every probability (`adaptive.py`). A row that is augmented at one strength gets the
                same variants at a higher one, and perhaps more.
        """
        found: list[list[Variant]] = [[] for _ in rows]
        for copy in range(self._config.copies):
            if self._config.compose:
                self._composed(rows, copy, strength, found)
                continue
            for name, operator in self._operators.items():
                chosen = [index for index, row in enumerate(rows) if self._drawn(row, name, copy, strength)]
                edits = operator(
                    [rows[index] for index in chosen],
                    [stream_of(self._config.seed + copy, name, str(rows[index]["id"])) for index in chosen],
                )
                for index, edit in zip(chosen, edits, strict=True):
                    fields = _applied(rows[index], edit.fields, edit.drop) if edit.fields else {}
                    found[index].append(self._variant(rows[index], name, copy, fields, edit.check, edit.reason))
        return [variant for variants in found for variant in variants]

    def rows(self, rows: Sequence[Row], strength: float = 1.0) -> list[dict[str, Any]]:
        """The variants that may be used, as rows with their lineage. The given rows are not among them."""
        kept = ("verified",) if self._config.keep == "verified" else ("verified", "unverified")
        return [variant.to_row() for variant in self.variants(rows, strength) if variant.check in kept]

    def _composed(self, rows: Sequence[Row], copy: int, strength: float, found: list[list[Variant]]) -> None:
        """One variant a row: what was drawn is applied in order, and what is inapplicable is passed over.

        The chain is as sure as its weakest part.
        """
        now: list[dict[str, Any]] = [dict(row) for row in rows]
        applied: list[list[str]] = [[] for _ in rows]
        checks: list[list[tuple[Check, str]]] = [[] for _ in rows]
        for name, operator in self._operators.items():
            chosen = [index for index, row in enumerate(rows) if self._drawn(row, name, copy, strength)]
            edits = operator(
                [now[index] for index in chosen],
                [stream_of(self._config.seed + copy, name, str(rows[index]["id"])) for index in chosen],
            )
            for index, edit in zip(chosen, edits, strict=True):
                if edit.check != "rejected":
                    now[index] = _applied(now[index], edit.fields, edit.drop)
                    applied[index].append(name)
                    checks[index].append((edit.check, edit.reason))
        for index, names in enumerate(applied):
            if names:
                check, _ = min(checks[index], key=lambda check: _WEAKEST.index(check[0]))
                reason = "; ".join(dict.fromkeys(reason for _, reason in checks[index]))
                found[index].append(self._variant(rows[index], "+".join(names), copy, now[index], check, reason))

    def _drawn(self, row: Row, name: str, copy: int, strength: float) -> bool:
        draw = stream_of(self._config.seed + copy, f"{name}?", str(row["id"])).random()
        return draw < self._probabilities[name] * strength

    def _variant(self, row: Row, name: str, copy: int, fields: dict[str, Any], check: Check, reason: str) -> Variant:
        parent, seed = str(row["id"]), self._config.seed + copy
        return Variant(
            id=variant_id(parent, name, seed), parent=parent, operator=name, seed=seed, check=check, reason=reason,
            row=fields,
        )  # fmt: skip


def augment_rows(
    rows: Sequence[Row], config: AugmentConfig, *, pool: Sequence[Row] = (), strength: float = 1.0
) -> list[dict[str, Any]]:
    """Variants of these rows as rows, each with `id`, `parent`, `operator`, `augment_seed`, `check`, `check_reason`.

    Where batches are many, build one `Augmenter` and ask it for `rows`.
    """
    return Augmenter(config, pool).rows(rows, strength)


def tally(variants: Sequence[Variant]) -> dict[str, dict[str, int]]:
    """For each operator how many variants were verified, unverified and rejected, and the latter's reasons."""
    table: dict[str, Counter[str]] = {}
    for variant in variants:
        counts = table.setdefault(variant.operator, Counter())
        counts[variant.check] += 1
        if variant.check == "rejected":
            counts[f"rejected: {variant.reason}"] += 1
    return {name: dict(counts) for name, counts in table.items()}


def _applied(row: Row, fields: Mapping[str, Any], drop: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in {**row, **fields}.items() if name not in drop}
