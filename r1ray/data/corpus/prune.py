"""What stays beside a corpus: the newest versions, and unfinished work that somebody may still go on with."""

import shutil
import time
from pathlib import Path

from r1ray.data.corpus.publish import current_version
from r1ray.data.versions import VERSIONS, WORK, beside, list_versions

DAY = 24 * 3600.0


def prune(output: Path, keep: int, now: float | None = None) -> list[str]:
    """Remove all but the newest versions, and unfinished work that nothing has touched for a day.

    The version that lies in the output folder is one of those that stay, whenever it was made.

    Args:
        output: the corpus's folder.
        keep: versions that stay; 0 = all.
        now: seconds since the epoch; None = the clock's.

    Returns:
        What was removed: content hashes, and names of the folders of work.
    """
    shown = current_version(output)
    others = [name for name in list_versions(output) if name != shown]
    excess = others[: max(0, len(others) - (keep - bool(shown)))] if keep else []
    for name in excess:
        shutil.rmtree(beside(output) / VERSIONS / name)
    oldest = (time.time() if now is None else now) - DAY
    work = beside(output) / WORK
    stale = [folder for folder in sorted(work.iterdir()) if _touched(folder) < oldest] if work.is_dir() else []
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)
    return [*excess, *(folder.name for folder in stale)]


def _touched(folder: Path) -> float:
    """When a piece last came in: a stage's folder changes with each."""
    return max((path.stat().st_mtime for path in (folder, *folder.iterdir())), default=0.0)
