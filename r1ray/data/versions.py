"""Versions of a corpus: where each lies, and which one a path such as `corpora/mix@1f3a` means.

corpora/mix/                     the newest version: what training reads, and what DVC tracks
corpora/.mix/versions/<hash>/    every version, its files shared with the newest by hard links
corpora/.mix/  work, <plan>       unfinished work, a folder for each plan
"""

import json
from pathlib import Path
from typing import Any

from r1ray.errors import DataError

SHARDS = "shards"
MANIFEST = "manifest.json"
VERSIONS = "versions"
WORK = "work"


def beside(output: Path) -> Path:
    """The folder of a corpus's versions and unfinished work."""
    return output.parent / f".{output.name}"


def locate(path: str) -> str:
    """The folder that `corpora/mix@<hash>` means; any other path as it is.

    Raises:
        DataError: the corpus has no version, or several, whose hash begins so.
    """
    folder, separator, version = path.rpartition("@")
    if not separator or not version or Path(path).expanduser().exists() or not beside(_local(folder)).is_dir():
        return path
    return str(find_version(_local(folder), version))


def find_version(output: Path, version: str) -> Path:
    """The folder of one version, by the beginning of its content hash."""
    names = list_versions(output)
    found = [name for name in names if name.startswith(version)]
    if len(found) != 1:
        raise DataError(
            f"{output} has {len(found)} versions whose hash begins with {version!r}; expected one of: "
            f"{', '.join(name[:12] for name in names) or 'none'}."
        )
    return beside(output) / VERSIONS / found[0]


def list_versions(output: Path) -> list[str]:
    """Content hashes of a corpus's versions, oldest first."""
    folder = beside(output) / VERSIONS
    found = [path for path in folder.iterdir() if (path / MANIFEST).is_file()] if folder.is_dir() else []
    return [path.name for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))]


def read_manifest(corpus: str | Path) -> dict[str, Any]:
    """The manifest of a corpus, by its folder or `folder@hash`.

    Raises:
        DataError: there is none.
    """
    path = _local(locate(str(corpus))) / MANIFEST
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{corpus} is no corpus: {path} cannot be read ({error}). Expected a folder that "
                        "jobs/corpus.py wrote, such as corpora/mix, or corpora/mix@<hash>.") from error  # fmt: skip
    return data


def _local(path: str) -> Path:
    return Path(path.removeprefix("file://")).expanduser()
