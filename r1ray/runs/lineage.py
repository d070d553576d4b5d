"""Where a run came from: its chain of parents, read from manifests and checked by their hashes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1ray.runs.files import hash_path


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A model or run in a chain of descent."""

    role: str
    """What it was to its child: policy, critic, reward ...; empty for the run itself."""
    path: str
    state: str
    """`intact`; `changed`: its content is not what the child started from; `missing`; `named`: an alias or hub id, no
    hash."""
    manifest: dict[str, Any]
    """The manifest of the run that made it; empty if no run did."""
    parents: tuple["Ancestor", ...]


def lineage(folder: Path) -> Ancestor:
    """The run in `folder` with all its ancestors: models that it started from, and data that other runs made."""
    return Ancestor("", str(folder), "intact", (data := _manifest(folder)), _parents(data, seen=(str(folder),)))


def _parents(manifest: dict[str, Any], seen: tuple[str, ...]) -> tuple[Ancestor, ...]:
    found = []
    made = {name: entry for name, entry in manifest.get("inputs", {}).items() if entry.get("run")}
    for role, entry in (made | manifest.get("parents", {})).items():
        run = entry.get("run", "")
        data = _manifest(Path(run)) if run and run not in seen else {}
        found.append(
            Ancestor(role, entry.get("source") or entry["path"], _state(entry), data, _parents(data, (*seen, run)))
        )
    return tuple(found)


def _state(entry: dict[str, Any]) -> str:
    if "sha256" not in entry:
        return "named"
    path = Path(entry["path"])
    if not path.exists():
        return "missing"
    return "intact" if hash_path(path) == entry["sha256"] else "changed"


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return data
    except (OSError, ValueError):
        return {}
