"""Files are whole or absent, and equal folders have equal hashes."""

import hashlib
import shutil
from pathlib import Path

import pytest

from r1ray.runs.files import hash_file, hash_path, write_json


def test_a_file_hashes_to_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == hash_path(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_equal_folders_have_equal_hashes_wherever_they_lie(tmp_path: Path) -> None:
    one = tmp_path / "one"
    (one / "deep").mkdir(parents=True)
    (one / "deep" / "x").write_text("1")
    (one / "y").write_text("2")
    shutil.copytree(one, tmp_path / "two")
    assert hash_path(one) == hash_path(tmp_path / "two")


@pytest.mark.parametrize("change", ["content", "name", "extra"])
def test_any_change_in_a_folder_changes_its_hash(tmp_path: Path, change: str) -> None:
    (tmp_path / "x").write_text("1")
    before = hash_path(tmp_path)
    if change == "content":
        (tmp_path / "x").write_text("2")
    elif change == "name":
        (tmp_path / "x").rename(tmp_path / "z")
    else:
        (tmp_path / "empty").touch()
    assert hash_path(tmp_path) != before


def test_a_json_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == '{\n  "a": 1\n}\n'
