"""A checkpoint is complete or does not count; the newest whole one is the latest."""

import pickle
import shutil
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1ray.errors import CheckpointError
from r1ray.runs.checkpoints import MANIFEST, Checkpoints
from r1ray.runs.storage import RemoteFolder


@pytest.fixture(params=["local", "remote"])
def checkpoints(request: pytest.FixtureRequest, tmp_path: Path) -> Checkpoints:
    """Checkpoints on a disk, and the same with a remote mirror."""
    remote = RemoteFolder(f"memory://bucket/{uuid.uuid4().hex}/checkpoints") if request.param == "remote" else None
    return Checkpoints(tmp_path / "checkpoints", keep=2, remote=remote)


def write(checkpoints: Checkpoints, step: int, content: str = "weights") -> Path:
    with checkpoints.write(step, {"kl_coef": 0.1}) as folder:
        (folder / "optimizer").mkdir()
        (folder / "model.bin").write_text(f"{content} {step}")
        (folder / "optimizer" / "rank-0.bin").write_text(f"moments {step}")
    return checkpoints.folder / f"step-{step:06d}"


def test_what_is_written_is_found_again(checkpoints: Checkpoints) -> None:
    write(checkpoints, 10)
    found = checkpoints.latest()
    assert found is not None
    assert (found.step, found.info) == (10, {"kl_coef": 0.1})
    assert (found.path / "model.bin").read_text() == "weights 10"
    assert (found.path / "optimizer" / "rank-0.bin").read_text() == "moments 10"


def test_no_checkpoint_is_none(checkpoints: Checkpoints) -> None:
    assert checkpoints.latest() is None


def test_the_newest_is_the_latest_by_number_not_by_name(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=5)
    for step in (999_999, 1_000_000, 20):
        write(checkpoints, step)
    found = checkpoints.latest()
    assert found is not None and found.step == 1_000_000


def test_only_the_newest_are_kept(checkpoints: Checkpoints) -> None:
    for step in (10, 20, 30, 40):
        write(checkpoints, step)
    assert checkpoints.steps() == [30, 40]


def test_an_exception_while_writing_leaves_no_checkpoint(checkpoints: Checkpoints) -> None:
    write(checkpoints, 10)
    with pytest.raises(OSError, match="disk full"), checkpoints.write(20) as folder:
        (folder / "model.bin").write_text("half")
        raise OSError("disk full")
    found = checkpoints.latest()
    assert found is not None and found.step == 10


def test_what_an_interrupted_attempt_left_does_not_get_into_the_next(checkpoints: Checkpoints) -> None:
    (checkpoints.begin(10) / "stale.bin").write_text("from before the crash")
    write(checkpoints, 10)
    assert not (checkpoints.load(10).path / "stale.bin").exists()
    assert list(checkpoints.folder.glob(".pending-*")) == []


def test_a_step_can_be_written_again(checkpoints: Checkpoints) -> None:
    write(checkpoints, 10, "first")
    write(checkpoints, 10, "second")
    assert (checkpoints.load(10).path / "model.bin").read_text() == "second 10"


def test_an_empty_checkpoint_is_refused(checkpoints: Checkpoints) -> None:
    checkpoints.begin(10)
    with pytest.raises(CheckpointError, match="at least one file"):
        checkpoints.commit(10)


def damage(path: Path, how: str) -> None:
    file = path / "model.bin"
    if how == "flipped":
        data = bytearray(file.read_bytes())
        data[0] ^= 1
        file.write_bytes(data)
    elif how == "truncated":
        file.write_bytes(file.read_bytes()[:-1])
    elif how == "missing":
        file.unlink()
    elif how == "no manifest":
        (path / MANIFEST).unlink()
    elif how == "half manifest":
        (path / MANIFEST).write_text((path / MANIFEST).read_text()[:-20])


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing", "no manifest", "half manifest"])
def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path: Path, how: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    write(checkpoints, 10)
    damage(write(checkpoints, 20), how)
    said: list[str] = []
    found = checkpoints.latest(said.append)
    assert found is not None and found.step == 10
    assert len(said) == 1
    assert "step-000020" in said[0] and "Using step-000010 instead" in said[0]


def test_if_every_checkpoint_is_damaged_that_is_said(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    damage(write(checkpoints, 10), "flipped")
    said: list[str] = []
    assert checkpoints.latest(said.append) is None
    assert "No complete checkpoint is left" in said[0]


@given(position=st.integers(0, 400), bit=st.integers(0, 7))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_of_any_file_is_found(tmp_path: Path, position: int, bit: int) -> None:
    folder = tmp_path / uuid.uuid4().hex
    checkpoints = Checkpoints(folder)
    path = write(checkpoints, 10)
    files = sorted(file for file in path.rglob("*.bin"))
    file = files[position % len(files)]
    data = bytearray(file.read_bytes())
    data[position % len(data)] ^= 1 << bit
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="not what was written"):
        checkpoints.load(10)


def remote_pair(tmp_path: Path) -> tuple[Checkpoints, Checkpoints]:
    """The same remote run seen from two machines."""
    remote = RemoteFolder(f"memory://bucket/{uuid.uuid4().hex}/checkpoints")
    return Checkpoints(tmp_path / "here", remote=remote), Checkpoints(tmp_path / "there", remote=remote)


def test_another_machine_finds_a_remote_checkpoint(tmp_path: Path) -> None:
    here, there = remote_pair(tmp_path)
    write(here, 10)
    found = there.latest()
    assert found is not None
    assert (found.path / "optimizer" / "rank-0.bin").read_text() == "moments 10"
    assert found.path.is_relative_to(tmp_path / "there")


def test_an_upload_that_breaks_off_leaves_the_earlier_checkpoint_as_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = remote_pair(tmp_path)
    write(here, 10)
    uploaded = RemoteFolder.upload

    def break_off(self: RemoteFolder, local: Path, name: str) -> None:
        if name.endswith(MANIFEST):
            raise OSError("connection reset")
        uploaded(self, local, name)

    monkeypatch.setattr(RemoteFolder, "upload", break_off)
    with pytest.raises(OSError, match="connection reset"):
        write(here, 20)
    monkeypatch.undo()
    said: list[str] = []
    found = there.latest(said.append)
    assert found is not None and found.step == 10
    assert "step-000020" in said[0] and "incomplete" in said[0]


def test_a_damaged_remote_file_is_found(tmp_path: Path) -> None:
    here, there = remote_pair(tmp_path)
    write(here, 10)
    write(here, 20)
    (tmp_path / "wrong").write_text("something else")
    assert here.remote is not None
    here.remote.upload(tmp_path / "wrong", "step-000020/model.bin")
    found = there.latest(lambda _: None)
    assert found is not None and found.step == 10


def test_ranks_on_two_disks_make_one_remote_checkpoint(tmp_path: Path) -> None:
    here, there = remote_pair(tmp_path)
    (here.begin(10) / "rank-0.bin").write_text("zero")
    (there.begin(10) / "rank-1.bin").write_text("one")
    here.commit(10, elsewhere=[there.upload(10)])
    for side in (here, there):
        shutil.rmtree(side.folder)
        found = side.latest()
        assert found is not None
        assert sorted(path.name for path in found.path.glob("*.bin")) == ["rank-0.bin", "rank-1.bin"]


def test_checkpoints_travel_to_the_learner_ranks(checkpoints: Checkpoints) -> None:
    write(checkpoints, 10)
    found = pickle.loads(pickle.dumps(checkpoints)).latest()
    assert found is not None and found.step == 10
