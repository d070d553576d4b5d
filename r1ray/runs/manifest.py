"""What a manifest says about where a run came from: versions, commit, hashes of inputs and parents."""

import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import r1ray
from r1ray.runs.files import hash_path

PACKAGES = ("torch", "ray", "transformers", "deepspeed", "peft", "vllm")


def versions() -> dict[str, str]:
    """Versions of Python, r1ray and the libraries that a result depends on, as far as they are installed."""
    found = {"python": platform.python_version(), "r1ray": r1ray.__version__}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Commit of the checkout that this package runs from, with `+changes` if files differ; None outside a checkout."""
    root = Path(r1ray.__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        # An installed package can lie inside somebody else's repository; that one's commit says nothing about r1ray.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return None
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def describe(path: str | Path) -> dict[str, Any]:
    """An entry for an input or parent: where it is, its hash, and the run that made it, if one did.

    `path` may be an alias or hub id, which has no hash of its own.
    """
    local = Path(path).expanduser()
    if not local.exists():
        return {"path": str(path)}
    local = local.resolve()
    if is_run(local) and (local / "model").is_dir():
        local /= "model"  # the rest of a run folder changes with every look at it
    entry = {"path": str(local), "sha256": hash_path(local)}
    if run := owning_run(local):
        entry["run"] = str(run)
    return entry


def owning_run(path: Path) -> Path | None:
    """The run folder that `path` is, or lies in."""
    return next((folder for folder in (path, *path.parents) if is_run(folder)), None)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder: it holds a manifest that names its job."""
    try:
        return "job" in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
