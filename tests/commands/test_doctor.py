"""The doctor names what is missing, in conflict or unsafe, and what to do about it."""

import os
from pathlib import Path

import pytest

from r1ray.commands.doctor import conflict, packages, ray_token


def states(environ: dict[str, str], home: Path) -> list[tuple[str, str]]:
    return [(finding.state, finding.text) for finding in ray_token(environ, home)]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("secret")
    file.chmod(0o600)
    return file


def test_no_token_is_noted_with_the_command_that_makes_one(tmp_path: Path) -> None:
    ((state, text),) = states({}, tmp_path)
    assert state == "note" and "ray get-auth-token --generate" in text


def test_a_mode_without_a_token_is_bad(tmp_path: Path) -> None:
    ((state, _),) = states({"RAY_AUTH_MODE": "token"}, tmp_path)
    assert state == "bad"


def test_a_token_without_the_mode_says_what_to_export(tmp_path: Path, token: Path) -> None:
    ((state, text),) = states({}, tmp_path)
    assert state == "note" and "export RAY_AUTH_MODE=token" in text


def test_a_token_and_its_mode_are_fine(tmp_path: Path, token: Path) -> None:
    assert [state for state, _ in states({"RAY_AUTH_MODE": "token"}, tmp_path)] == ["ok"]


def test_a_token_that_others_can_read_is_noted_and_never_shown(tmp_path: Path, token: Path) -> None:
    os.chmod(token, 0o644)
    found = states({"RAY_AUTH_MODE": "token"}, tmp_path)
    assert found[0][0] == "note" and "chmod 600" in found[0][1]
    assert all("secret" not in text for _, text in found)


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("compressed-tensors<0.18", "wants compressed-tensors<0.18, 0.19.0 is installed"),
        ("compressed_tensors>=0.19", ""),
        ("absent>=1", ""),
        ("compressed-tensors<0.18; extra == 'old'", ""),
        ("compressed-tensors<0.18; python_version < '3'", ""),
        ("not a requirement ===", ""),
    ],
)
def test_a_conflicting_pair_is_named(requirement: str, expected: str) -> None:
    assert conflict(requirement, {"compressed-tensors": "0.19.0"}) == expected


def test_a_missing_package_is_bad_and_another_version_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def version(name: str) -> str:
        if name == "deepspeed":
            raise importlib.metadata.PackageNotFoundError(name)
        return {"torch": "2.13.0+cpu", "ray": "2.59.0"}.get(name, "1.0")

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = {finding.subject: finding.state for finding in packages()}
    assert (found["deepspeed"], found["torch"], found["ray"], found["rich"]) == ("bad", "ok", "note", "ok")
