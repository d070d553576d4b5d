"""Where runs go: paths that outlast the job, and folders behind URIs."""

import pickle
from pathlib import Path

import pytest

from r1ray.errors import ConfigError
from r1ray.runs.storage import RemoteFolder, resolve_storage


def test_a_relative_path_is_taken_from_the_working_directory(tmp_path: Path) -> None:
    assert resolve_storage("runs", {}, tmp_path) == (str(tmp_path / "runs"), "")


def test_an_absolute_path_and_a_uri_stay_what_they_are(tmp_path: Path) -> None:
    assert resolve_storage("/data/runs/", {}, tmp_path) == ("/data/runs", "")
    assert resolve_storage("file:///data/runs", {}, tmp_path) == ("/data/runs", "")
    assert resolve_storage("s3://bucket/runs/", {}, tmp_path) == ("s3://bucket/runs", "")


@pytest.mark.parametrize(
    ("environ", "cwd"),
    [
        ({"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}, Path("/somewhere")),
        ({}, Path("/tmp/ray/session_1/runtime_resources/working_dir_files/_ray_pkg_1")),
    ],
)
def test_inside_a_ray_job_a_relative_path_is_taken_from_home_and_that_is_said(
    environ: dict[str, str], cwd: Path
) -> None:
    storage, notice = resolve_storage("runs", environ, cwd)
    assert storage == str(Path.home() / "runs")
    assert storage in notice


def test_a_home_path_is_expanded() -> None:
    assert resolve_storage("~/runs", {}, Path("/x"))[0] == str(Path.home() / "runs")


def test_files_go_to_a_remote_folder_and_back(tmp_path: Path) -> None:
    remote = RemoteFolder("memory://bucket/storage-test")
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 5000)
    remote.upload(tmp_path / "a.bin", "deep/er/a.bin")
    again: RemoteFolder = pickle.loads(pickle.dumps(remote))
    again.download("deep/er/a.bin", tmp_path / "back" / "a.bin")
    assert (tmp_path / "back" / "a.bin").read_bytes() == (tmp_path / "a.bin").read_bytes()
    assert remote.folders("deep") == ["er"]
    assert remote.exists("deep/er/a.bin") and not remote.exists("deep/er/b.bin")
    remote.remove_folder("deep")
    assert not remote.exists("deep/er/a.bin")


def test_removing_what_is_not_there_is_no_error() -> None:
    remote = RemoteFolder("memory://bucket/storage-empty")
    remote.remove_file("none")
    remote.remove_folder("none")
    assert remote.folders("none") == []


def test_a_missing_remote_file_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RemoteFolder("memory://bucket/storage-missing").download("none", tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_scheme_is_an_error_that_says_what_is_expected() -> None:
    with pytest.raises(ConfigError, match=r"nowhere://bucket.*Expected a path or a URI"):
        RemoteFolder("nowhere://bucket").exists("x")
