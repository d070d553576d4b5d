"""The input cut into units of work: ranges of lines, whole files, generated families. The cut changes no result."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from r1ray.config.corpus import CorpusConfig
from r1ray.data.corpus.formats import SUFFIXES
from r1ray.data.files import expand, file_size, is_local
from r1ray.errors import DataError
from r1ray.runs.files import hash_file

GENERATE = "generate:"
HUB = "hf:"
_CHUNK = 1 << 20
_RANGES = (".jsonl", ".ndjson")
"""Files of lines that can be read from any line's beginning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One piece of input, for one task."""

    name: str
    """File as the provenance of its rows names it: relative to the folder that all input files are in."""
    path: str = ""
    """File to read; empty = generate."""
    begin: int = 0
    end: int = 0
    """Bytes of the file; 0 to 0 = all of it."""
    first_line: int = 1
    family: str = ""
    count: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One input file or generated family, as the manifest lists it."""

    name: str
    bytes: int = 0
    sha256: str = ""
    """Of local files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """All that a corpus is made of."""

    units: tuple[Unit, ...]
    sources: tuple[Source, ...]

    @property
    def bytes(self) -> int:
        """Size of the input."""
        return sum(source.bytes for source in self.sources)

    def fingerprint(self) -> str:
        """Names the content of the input."""
        return hashlib.sha256(json.dumps([asdict(one) for one in self.sources]).encode()).hexdigest()


def plan_inputs(config: CorpusConfig) -> Inputs:
    """Look up every input and cut it into units, in the order of precedence: what comes first stays.

    Raises:
        DataError: an input matches nothing, or is of an unknown kind.
    """
    wanted = config.input or tuple(GENERATE + family for family in config.families)
    families = [text.removeprefix(GENERATE) for text in wanted if text.startswith(GENERATE)]
    files = list(dict.fromkeys(file for text in wanted if not text.startswith(GENERATE) for file in _files(text)))
    local = [file for file in files if is_local(file)]
    root = os.path.commonpath([str(Path(file).parent) for file in local]) if local else ""
    units: list[Unit] = []
    sources: list[Source] = []
    for file in files:
        name = Path(file).relative_to(root).as_posix() if file in local else file
        sha256 = hash_file(Path(file)) if file in local else ""
        sources.append(Source(name=name, bytes=file_size(file), sha256=sha256))
        units += _cut(file, name, int(config.unit_mib * 2**20)) if file in local else [Unit(name=name, path=file)]
    for number, family in enumerate(families):
        count = config.count // len(families) + (number < config.count % len(families))
        sources.append(Source(name=GENERATE + family))
        units.append(Unit(name=GENERATE + family, family=family, count=count))
    if not units:
        raise DataError("corpus.input names no file and corpus.families no family: there is nothing to do.")
    return Inputs(units=tuple(units), sources=tuple(sources))


def _files(text: str) -> list[str]:
    if text.startswith(HUB):  # the parquet files that the hub keeps of every data set
        text = f"hf://datasets/{text.removeprefix(HUB)}@refs/convert/parquet/**/*.parquet"
    return expand(text, SUFFIXES)


def _cut(path: str, name: str, size: int) -> list[Unit]:
    """Ranges of whole lines of about this many bytes."""
    if not path.endswith(_RANGES) or Path(path).stat().st_size <= size:
        return [Unit(name=name, path=path)]
    return [
        Unit(name=name, path=path, begin=begin, end=end, first_line=line)
        for begin, end, line in _line_ranges(path, size)
    ]


def _line_ranges(path: str, size: int) -> Iterator[tuple[int, int, int]]:
    """(first byte, byte after the last, number of the first line), each range ending with a line's end."""
    begin, line, lines, place = 0, 1, 0, 0
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            start = 0
            while (cut := chunk.find(b"\n", max(start, begin + size - place))) >= 0:
                lines += chunk.count(b"\n", start, cut + 1)
                yield begin, place + cut + 1, line
                begin, line, lines, start = place + cut + 1, line + lines, 0, cut + 1
            lines += chunk.count(b"\n", start)
            place += len(chunk)
    if place > begin:
        yield begin, place, line
