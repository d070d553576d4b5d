"""Versions of a corpus: kept side by side, compared, and gone back to."""

import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from r1ray.cli import dispatch
from r1ray.commands.corpus import main
from r1ray.config.problems import ProblemsConfig
from r1ray.data.corpus.compare import compare
from r1ray.data.corpus.prune import DAY, prune
from r1ray.data.corpus.publish import damaged_shards
from r1ray.data.files import expand
from r1ray.data.problem_set import build_problem_set
from r1ray.data.versions import list_versions, locate, read_manifest
from r1ray.errors import ConfigError, DataError
from tests.data.corpus.helpers import job, make, problem_lines, write_lines


@pytest.fixture
def twice(tmp_path: Path) -> tuple[Path, str, str]:
    """A corpus of 20 problems, then of another 20, of which 15 are the same; its folder and the two hashes."""
    lines = problem_lines(25)
    source = write_lines(tmp_path / "raw.jsonl", lines[:20])
    first = make(job(tmp_path, source))["manifest"]["content_hash"]
    write_lines(source, [*lines[:15], *lines[20:]])
    second = make(job(tmp_path, source))["manifest"]["content_hash"]
    return tmp_path / "mix", first, second


def test_a_new_version_names_its_parent_and_leaves_it_readable(twice: tuple[Path, str, str]) -> None:
    folder, first, second = twice
    assert list_versions(folder) == [first, second]
    assert read_manifest(folder)["content_hash"] == second and read_manifest(folder)["parent"] == first
    ids = {version: {problem.id for path in expand(f"{folder}@{version[:8]}") for problem in
                     build_problem_set(ProblemsConfig(path=path, heldout=1), seed=0).train}
           for version in (first, second)}  # fmt: skip
    assert len(ids[first] & ids[second]) >= 13 and len(ids[first] ^ ids[second]) >= 8


def test_rows_added_and_removed_are_counted_and_shown(twice: tuple[Path, str, str]) -> None:
    folder, first, second = twice
    found = compare(f"{folder}@{first[:10]}", str(folder))
    assert (found.same, found.added, found.removed, found.changed) == (15, 5, 5, 0)
    assert len(found.examples["added"]) == 5 and found.settings == {}
    assert compare(str(folder), f"{folder}@{second[:6]}").same == 20


def test_settings_and_counts_that_differ_are_named(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "raw.jsonl", [*problem_lines(4), {"oops": 1}])
    make(job(tmp_path / "a", source))
    source.write_text(source.read_text().replace('{"oops": 1}\n', ""))
    make(job(tmp_path / "b", source, shard_rows=2))
    found = compare(str(tmp_path / "a" / "mix"), str(tmp_path / "b" / "mix"))
    assert found.settings["corpus.shard_rows"] == (20_000, 2)
    assert found.counts["quarantined: no known field"] == (1, 0)
    assert (found.same, found.added, found.removed) == (4, 0, 0)


def test_going_back_is_checkout_and_the_shards_are_those_of_that_hash(
    twice: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, first, second = twice
    main(["checkout", f"{folder}@{first[:12]}"])
    assert read_manifest(folder)["content_hash"] == first and damaged_shards(folder) == []
    main(["log", str(folder)])
    main(["diff", f"{folder}@{second[:8]}", str(folder)])
    main(["verify", str(folder)])
    printed = capsys.readouterr().out
    assert first[:16] in printed and "5 added" in printed and "every shard is what" in printed


def test_a_damaged_shard_is_found(twice: tuple[Path, str, str]) -> None:
    folder, _, _ = twice
    shard = next((folder / "shards").iterdir())
    table = pq.read_table(shard)
    shard.unlink()
    pq.write_table(table.slice(1), shard)
    assert damaged_shards(folder) == [shard.name]
    with pytest.raises(DataError, match="not what the manifest says"):
        main(["verify", str(folder)])


def test_a_version_that_is_not_there_is_named_with_those_that_are(twice: tuple[Path, str, str]) -> None:
    folder, first, _ = twice
    with pytest.raises(DataError, match=first[:12]):
        locate(f"{folder}@nothing")
    assert locate("s3@bucket/x") == "s3@bucket/x"


def test_an_output_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mix").mkdir()
    (tmp_path / "mix" / "thesis.tex").write_text("precious")
    with pytest.raises(DataError, match="holds no corpus"):
        make(job(tmp_path, count=5))
    assert (tmp_path / "mix" / "thesis.tex").read_text() == "precious"


def test_r1ray_knows_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    dispatch(["corpus", "--help"])
    assert "r1ray corpus prune FOLDER COUNT" in capsys.readouterr().out


def test_what_is_not_understood_prints_the_usage() -> None:
    with pytest.raises(ConfigError, match="usage"):
        main(["diff", "one"])


def test_only_the_newest_versions_stay_and_the_one_that_is_shown(twice: tuple[Path, str, str]) -> None:
    folder, first, second = twice
    main(["checkout", f"{folder}@{first[:12]}"])
    main(["prune", str(folder), "1"])
    assert list_versions(folder) == [first] and read_manifest(folder)["content_hash"] == first
    assert damaged_shards(folder) == [] and second not in list_versions(folder)
    with pytest.raises(ConfigError, match="no count of versions"):
        main(["prune", str(folder), "0"])


def test_a_job_that_keeps_two_versions_removes_the_third(tmp_path: Path) -> None:
    hashes = [make(job(tmp_path, count=count, keep=2))["manifest"]["content_hash"] for count in (5, 6, 7)]
    assert list_versions(tmp_path / "mix") == hashes[1:]


def test_unfinished_work_goes_after_a_day(twice: tuple[Path, str, str]) -> None:
    folder, _, _ = twice
    left = folder.parent / f".{folder.name}" / "work" / "0123456789abcdef"
    (left / "read" / "000000").mkdir(parents=True)
    assert prune(folder, 0) == [] and left.is_dir()
    assert prune(folder, 0, now=time.time() + DAY + 60) == [left.name] and not left.exists()
