"""`r1ray corpus log|diff|checkout|verify|prune`: versions of a corpus."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from r1ray.data.corpus.compare import Difference, compare
from r1ray.data.corpus.prune import prune
from r1ray.data.corpus.publish import current_version, damaged_shards, show_version
from r1ray.data.versions import find_version, list_versions, read_manifest
from r1ray.errors import ConfigError, DataError

USAGE = """usage: r1ray corpus log FOLDER               its versions, oldest first
       r1ray corpus diff A B                 rows, counts and settings that differ; A and B are folders or FOLDER@HASH
       r1ray corpus checkout FOLDER@HASH     make that version the one in the folder
       r1ray corpus verify FOLDER            every shard against its hash
       r1ray corpus prune FOLDER COUNT       remove all but the newest COUNT versions, and work that was left for a day

HASH is the beginning of a content hash. Training reads an older version as --problems.path FOLDER@HASH."""
_ARGUMENTS = {"log": 1, "diff": 2, "checkout": 1, "verify": 1, "prune": 2}


def main(arguments: Sequence[str]) -> None:
    """Parse and do one of the five."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return
    verb, *rest = arguments
    if len(rest) != _ARGUMENTS.get(verb):
        raise ConfigError(f"r1ray corpus {' '.join(arguments)} is not understood.\n{USAGE}")
    console = Console()
    if verb == "log":
        console.print(_log(Path(rest[0]).expanduser()))
    elif verb == "diff":
        _print_difference(console, compare(*rest))
    elif verb == "checkout":
        folder, _, version = rest[0].rpartition("@")
        output = Path(folder).expanduser().absolute()
        show_version(output, find_version(output, version))
        console.print(f"{output} is now {current_version(output)}", highlight=False, soft_wrap=True)
    elif verb == "prune":
        if not rest[1].isdecimal() or rest[1] == "0":
            raise ConfigError(f"r1ray corpus prune: {rest[1]!r} is no count of versions; expected 1 or more.")
        read_manifest(rest[0])
        for name in prune(Path(rest[0]).expanduser().absolute(), int(rest[1])):
            console.print(f"removed {name}", highlight=False, soft_wrap=True)
    else:
        if damaged := damaged_shards(rest[0]):
            raise DataError(f"{rest[0]}: {', '.join(damaged)} are not what the manifest says. Run the job again, or "
                            "`r1ray corpus checkout`.")  # fmt: skip
        console.print(f"{rest[0]}: every shard is what the manifest says", highlight=False, soft_wrap=True)


def _log(output: Path) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "content hash", "rows", "read", "parent"):
        table.add_column(column)
    newest = current_version(output)
    for version in list_versions(output):
        manifest = read_manifest(f"{output}@{version}")
        mark = "▸" if version == newest else ""
        rows, read = f"{manifest['rows']:,}", f"{manifest['funnel']['rows_in']:,}"
        table.add_row(mark, version[:16], rows, read, manifest["parent"][:16])
    return table


def _print_difference(console: Console, found: Difference) -> None:
    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    line(f"{found.before[:16]} → {found.after[:16]}", "bold")
    line(f"rows: {found.same:,} same, {found.added:,} added, {found.removed:,} removed, {found.changed:,} changed")
    for kind, style in (("added", "green"), ("removed", "red"), ("changed", "yellow")):
        for example in found.examples.get(kind, []):
            line(f"  {kind} {example}", style)
    for title, pairs in (("counts", found.counts), ("settings", found.settings)):
        for name, (old, new) in pairs.items():
            line(f"{title}: {name}: {old} → {new}")
