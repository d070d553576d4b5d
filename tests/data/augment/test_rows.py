"""Variants of rows: lineage, determinism, composition, and the other kinds of rows."""

import json
from pathlib import Path
from random import Random

import pytest

from r1ray.config.augment import OPERATORS, AugmentConfig
from r1ray.config.corpus import DedupConfig
from r1ray.data.augment.mixing import mixing
from r1ray.data.augment.registry import make_operator
from r1ray.data.augment.rows import Augmenter, augment_rows, tally
from r1ray.data.augment.step_negatives import drop_step, shuffle_steps
from r1ray.data.augment.variant import Edit, Inapplicable, Row, attempt, each
from r1ray.data.augment.window import time_window
from r1ray.data.dedup.rows import deduplicate
from r1ray.data.step_datasets import parse_steps
from r1ray.errors import ConfigError
from tests.data.augment.rows import BAKER, generated_rows
from tests.data.synthesize.teachers import served

TEXT_FREE = ("parameters", "numeric", "inversion", "counterexample", "typos", "swap", "drop_step", "shuffle_steps")


def test_a_rows_variants_depend_on_seed_and_id_and_on_nothing_else() -> None:
    rows = [*generated_rows("story", "chain", count=20), BAKER]
    config = AugmentConfig(operators=TEXT_FREE, probability=0.5, seed=7)
    together = Augmenter(config).rows(rows)
    one_by_one = [variant for row in rows for variant in augment_rows([row], config)]
    assert sorted(map(json.dumps, together)) == sorted(map(json.dumps, one_by_one))
    backwards = augment_rows(rows[::-1], config)
    assert sorted(map(json.dumps, together)) == sorted(map(json.dumps, backwards))
    other = augment_rows(rows, AugmentConfig(operators=TEXT_FREE, probability=0.5, seed=8))
    assert {json.dumps(row) for row in other}.isdisjoint(map(json.dumps, together))


def test_every_variant_says_where_it_comes_from() -> None:
    rows = generated_rows("story", count=30)
    variants = Augmenter(AugmentConfig(operators=TEXT_FREE, probability=1.0)).variants(rows)
    assert len(variants) == len(rows) * len(TEXT_FREE)
    assert len({variant.id for variant in variants}) == len(variants)
    for variant in variants:
        row = variant.to_row()
        assert row["parent"] in {parent["id"] for parent in rows}
        assert row["operator"] in TEXT_FREE
        assert row["check"] in ("verified", "unverified", "rejected") and row["check_reason"]
    counts = tally(variants)
    assert all(
        sum(counts[name].get(check, 0) for check in ("verified", "unverified", "rejected")) == len(rows)
        for name in TEXT_FREE
    )


def test_probabilities_and_strength_say_how_often() -> None:
    rows = generated_rows("story", count=300)
    config = AugmentConfig(operators=("typos@0.3", "swap@0"))
    weak, normal, strong = (Augmenter(config).variants(rows, strength) for strength in (0.7, 1.0, 1.5))
    assert {variant.operator for variant in normal} == {"typos"}
    assert 60 < len(normal) < 120
    ids = [{variant.id for variant in variants} for variants in (weak, normal, strong)]
    assert ids[0] < ids[1] < ids[2], "more strength adds variants and changes none"


def test_composition_applies_in_order_and_is_as_sure_as_its_weakest_part() -> None:
    rows = generated_rows("chain:2", "story:2", count=40)
    names = ("parameters", "typos")
    variants = Augmenter(AugmentConfig(operators=names, probability=1.0, compose=True)).variants(rows)
    assert len({variant.parent for variant in variants}) == len(variants) <= len(rows)
    single = {
        variant.parent: variant
        for variant in Augmenter(AugmentConfig(operators=("parameters",), probability=1.0)).variants(rows)
    }
    both = [variant for variant in variants if variant.operator == "parameters+typos"]
    assert len(both) > 20
    for variant in both:
        assert variant.check == "unverified"
        assert variant.row["answer"] == single[variant.parent].row["answer"]
        assert variant.row["question"] != single[variant.parent].row["question"]


def test_only_verified_variants_are_kept_where_that_is_asked() -> None:
    config = AugmentConfig(operators=("parameters", "typos"), probability=1.0, keep="verified")
    assert {row["operator"] for row in augment_rows([BAKER], config)} == {"parameters"}


def test_several_copies_are_different_attempts() -> None:
    rows = augment_rows([BAKER], AugmentConfig(operators=("parameters",), probability=1.0, copies=6))
    assert len(rows) == 6 and len({row["question"] for row in rows}) > 3 and len({row["id"] for row in rows}) == 6


def test_deduplication_keeps_variants_beside_their_parent() -> None:
    config = AugmentConfig(operators=("parameters", "numeric"), probability=1.0)
    rows = [{**BAKER, "parent": ""}, *augment_rows([BAKER], config)]
    assert len(rows) == 3
    verdicts = deduplicate(
        [f"{row['question']}\n{row['answer']}" for row in rows],
        [row["id"] for row in rows],
        [row["parent"] for row in rows],
        DedupConfig(threshold=0.3),
    )
    assert verdicts == [None, None, None]


def test_an_operator_of_ones_own_takes_part() -> None:
    def shout(row: Row, stream: Random) -> Edit:
        if "text" not in row:
            raise Inapplicable("no text")
        return Edit(fields={"text": str(row["text"]).upper()}, reason="shouted")

    augmenter = Augmenter(AugmentConfig(probability=1.0), operators={"shout": each(shout)})
    loud, none = augmenter.variants([{"id": "1", "text": "hey"}, {"id": "2"}])
    assert (loud.row["text"], loud.check) == ("HEY", "unverified")
    assert (none.row, none.check, none.reason) == ({}, "rejected", "no text")


@pytest.mark.parametrize("operator", [drop_step, shuffle_steps])
def test_the_labelled_error_is_the_first_step_that_needs_what_is_not_there(operator: object) -> None:
    rows = generated_rows("chain:3-4", "shop:3", count=40)
    edits = [(row, attempt(operator, row, Random(3))) for row in rows]
    made = [(row, edit) for row, edit in edits if edit.check == "verified"]
    assert len(made) > 25
    for row, edit in made:
        (solution,) = parse_steps(edit.fields)
        there = set(str(row["question"]).replace(".", " ").replace("?", " ").split())
        for step, label in zip(solution.steps, solution.labels, strict=True):
            work, _, result = step.partition(" = ")
            grounded = all(number in there for number in work.split() if number.isdigit())
            assert grounded == (label == 1.0)
            if label != 1.0:
                break
            there.add(result)
        assert solution.first_error >= 0
        assert {"answer", "solution"} == set(edit.drop)


def test_a_window_is_a_part_of_its_series_and_the_target_follows_it() -> None:
    row = {"id": "s", "series": [3, 1, 4, 1, 5, 9, 2, 6]}
    starts = set()
    for seed in range(30):
        fields = attempt(time_window, row, Random(seed)).fields
        start = fields["window_start"]
        assert [*fields["series"], fields["target"]] == row["series"][start : start + 5]
        starts.add(start)
    assert starts == {0, 1, 2, 3}
    assert attempt(time_window, {"id": "s", "series": [1, 2, 3, 4]}, Random(0)).reason == "the series is too short"


def test_a_mixture_lies_between_a_row_and_a_near_one_of_its_class() -> None:
    pool = [{"id": str(n), "features": {"a": float(n), "b": 100.0 * n}, "label": n % 2} for n in range(40)]
    operator = mixing(pool)
    for seed in range(20):
        (edit,) = operator([pool[20]], [Random(seed)])
        a, b = edit.fields["features"]["a"], edit.fields["features"]["b"]
        assert 100 * a == pytest.approx(b), "on the line between two rows"
        assert 14 <= a <= 26, "one of the five nearest of the same class"
    lonely = {"id": "x", "features": {"a": 1.0, "b": 2.0}, "label": "other"}
    assert operator([lonely], [Random(0)])[0].reason == "no other row of its class"


def test_the_registry_has_every_operator_that_the_configuration_names(tmp_path: Path) -> None:
    for name in OPERATORS:
        if name not in ("synonyms", "back_translation", "masked"):
            assert callable(make_operator(name, AugmentConfig()))
    assert len(OPERATORS) >= 12


def test_a_served_model_translates_back_and_forth() -> None:
    reply = {"choices": [{"message": {"content": BAKER["question"].replace("sells", "vends")}}]}
    with served(reply=reply) as (url, requests):
        config = AugmentConfig(operators=("back_translation@1",), translator=f"chat:{url},m")
        (variant,) = augment_rows([BAKER], config)
    assert "vends 48 rolls" in variant["question"] and len(requests) == 2
    assert {request["temperature"] for request in requests} == {0.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"operators": ("typo",)}, "augment.operators"),
        ({"operators": ("typos@2",)}, "name@probability"),
        ({"operators": ("typos", "typos@0.1")}, "every name once"),
        ({"operators": ("masked",)}, "masked_model"),
        ({"translator": "deepl:a,b"}, "augment.translator"),
        ({"probability": 1.5}, "augment.probability"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AugmentConfig(**settings)  # type: ignore[arg-type]
