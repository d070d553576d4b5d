"""From files and problems to tokenised rows: nothing gets lost, nothing held out is learned."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from r1ray.config.sft import SFTConfig
from r1ray.data.conversations import parse_conversation
from r1ray.data.generators.generate import generate
from r1ray.data.ids import problem_id
from r1ray.data.sft_rows import SFTRows, hold_out, read_sft_rows, row_id
from r1ray.errors import DataError
from r1ray.reasoning.prompts import prompt_ids
from r1ray.types import Problem
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()


def read(config: SFTConfig, problems: list[Problem] | None = None, heldout: frozenset[str] = frozenset()) -> SFTRows:
    return read_sft_rows(config, TOKENIZER, seed=1, system="Think.", problems=lambda: problems or [], heldout=heldout)


def test_worked_solutions_have_the_prompt_that_is_sampled_from() -> None:
    problems = generate(["chain:2-3"], count=12, max_number=9, seed=0)
    rows = read(SFTConfig(examples=10, validation=2), problems)
    assert (len(rows.train), len(rows.validation)) == (10, 2)
    told = {
        tuple(prompt_ids(TOKENIZER, p, "Think.")): [*TOKENIZER(p.solution).input_ids, TOKENIZER.eos_token_id]
        for p in problems
    }
    for row in [*rows.train.values(), *rows.validation.values()]:
        prompt, response = row.split()
        assert told[tuple(prompt)] == response


def test_every_row_of_a_file_is_accounted_for(tmp_path: Path) -> None:
    good = [{"question": f"What is {n} + 1?", "solution": f"{n} + 1 = {n + 1}", "answer": str(n + 1)} for n in range(9)]
    lines = [*map(json.dumps, good), json.dumps(good[0]), "{", json.dumps({"question": "Unsolved?", "answer": "1"})]
    lines.append(json.dumps({"prompt": "p " * 200, "response": "r"}))
    lines.append(json.dumps({"prompt": "Count", "response": "1 2 3 " * 100}))
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    held = generate(["chain:2"], count=1, max_number=9, seed=0)[0]
    held_ids = frozenset({held.id, problem_id("What is 3 + 1?")})
    rows = read(SFTConfig(path=str(tmp_path / "rows.jsonl"), validation=2, max_tokens=150), heldout=held_ids)
    counts = rows.counts
    assert counts == {"rows_in": 14, "kept": 9, "quarantined": 3, "duplicates": 1, "heldout": 1, "cut": 1}
    assert counts["rows_in"] == sum(counts[name] for name in ("kept", "quarantined", "duplicates", "heldout"))
    assert len(rows.train) + len(rows.validation) == 9
    assert {row.reason for row in rows.quarantined} == {"not JSON", "no solution", "prompt too long"}


def test_domains_are_read_beside_and_their_rows_are_not_validated_on(tmp_path: Path) -> None:
    for name in ("main", "medicine"):
        rows = [json.dumps({"prompt": f"{name} {n}?", "response": "Yes."}) for n in range(8)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    found = read(SFTConfig(path=str(tmp_path / "main.jsonl"), mix=(f"{tmp_path}/medicine.jsonl@0.25",), validation=3))
    [(domain, share)] = found.domains.values()
    assert (len(found.train), len(found.validation), len(domain), share) == (5, 3, 8, 0.25)


def test_rows_of_one_prompt_stay_on_one_side() -> None:
    prompts = {f"r{n}": f"p{n // 3}" for n in range(30)}
    held = hold_out(prompts, 7, seed=0)
    assert len(held) == 9  # whole prompts of three rows each
    assert not {prompts[row] for row in held} & {prompts[row] for row in prompts if row not in held}
    assert hold_out(dict(reversed(prompts.items())), 7, seed=0) == held
    assert {tuple(hold_out(prompts, 7, seed=seed)) for seed in range(4)} > {tuple(held)}


def test_too_few_are_said_with_both_numbers(tmp_path: Path) -> None:
    problems = generate(["chain:2-3"], count=4, max_number=9, seed=0)
    with pytest.raises(DataError, match="need 12 problems with worked solutions; there are 4"):
        read(SFTConfig(examples=10, validation=2), problems)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "a", "response": "b"}))
    with pytest.raises(DataError, match=r"1 rows can be used .*holds 2 of them"):
        read(SFTConfig(path=str(tmp_path / "rows.jsonl"), validation=2))


def test_variants_wait_aside_and_those_of_held_out_rows_go(tmp_path: Path) -> None:
    parents = {f"v{n}": f"p{n}" for n in range(6)} | {"w0": "p0", "orphan": "gone"}
    fields = {
        name: {"id": name, "question": f"What is {n} + 1?", "answer": str(n + 1), "solution": f"{n} + 1 = {n + 1}"}
        | ({"parent": parents[name]} if name in parents else {})
        for n, name in enumerate([*(f"p{n}" for n in range(6)), *parents])
    }
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, fields.values())))
    ids = {name: row_id(parse_conversation(row, "Think.")[0]) for name, row in fields.items()}
    config = SFTConfig(path=str(tmp_path / "rows.jsonl"), validation=4)
    plain = read(config)
    assert len(plain.train) + len(plain.validation) == len(fields) and not plain.variants

    aside = read(replace(config, variants="adaptive"))
    held = aside.validation.keys()
    assert held == plain.validation.keys()
    expected: dict[str, set[str]] = {}
    for name, parent in parents.items():
        if ids[name] not in held and ids.get(parent) not in held and parent in ids:
            expected.setdefault(ids[parent], set()).add(ids[name])
    assert {parent: set(found) for parent, found in aside.variants.items()} == expected
    assert aside.counts["variants"] == sum(map(len, expected.values())) >= 2
    originals = {ids[name] for name in fields if name not in parents or name == "orphan"}
    assert aside.train.keys() == originals - held
    assert any(ids[parent] in held for parent in parents.values() if parent in ids), "else nothing had to go"
