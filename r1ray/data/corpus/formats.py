"""Every format of input as rows of fields: lines, parquet, JSON arrays, CSV, HTML pages and WARC archives."""

import csv
import io
import json
from collections.abc import Iterator
from typing import IO, Any, cast

from r1ray.data.files import (
    LINE_SUFFIXES,
    PARQUET_SUFFIXES,
    RawRow,
    iter_lines,
    open_filesystem,
    parse_line,
    read_rows,
)
from r1ray.data.quarantine import EXCERPT
from r1ray.data.sift import read_records
from r1ray.errors import DataError

CSV_SUFFIXES = (".csv", ".csv.gz")
HTML_SUFFIXES = (".html", ".htm")
WARC_SUFFIXES = (".warc", ".warc.gz")
SUFFIXES = LINE_SUFFIXES + PARQUET_SUFFIXES + CSV_SUFFIXES + HTML_SUFFIXES + WARC_SUFFIXES
_HTML_TYPES = ("text/html", "application/xhtml")


def read_file(path: str, limit: int) -> Iterator[RawRow]:
    """Every row of one file. A file that breaks off gives what came before, then one row of line 0 that says so."""
    if path.endswith(CSV_SUFFIXES + HTML_SUFFIXES + WARC_SUFFIXES):
        read = _read_csv if path.endswith(CSV_SUFFIXES) else _read_html if path.endswith(HTML_SUFFIXES) else _read_warc
        filesystem, inner = open_filesystem(path)
        try:
            with filesystem.open(inner, "rb", compression="infer") as stream:
                yield from read(path, cast(IO[bytes], stream), limit)
        except DataError:
            raise
        except Exception as error:  # parsers of foreign bytes raise what they like
            yield RawRow(
                file=path, line=0, fields={}, reason="unreadable file", detail=f"{type(error).__name__}: {error}"
            )
    elif path.endswith(".json"):
        yield from read_records(path)
    elif path.endswith(PARQUET_SUFFIXES):
        yield from read_rows(path)
    else:
        yield from read_range(path, 0, 0, 1, limit)


def read_range(path: str, begin: int, end: int, first_line: int, limit: int) -> Iterator[RawRow]:
    """The rows of whole lines, from byte `begin` to before byte `end` (0 = the file's end)."""
    filesystem, inner = open_filesystem(path)
    try:
        with filesystem.open(inner, "rb", compression="infer") as stream:
            part = _Part(stream, begin, end) if end else stream
            for line, content in enumerate(iter_lines(cast(IO[bytes], part), limit), start=first_line):
                if line == 1:
                    content = content.removeprefix(b"\xef\xbb\xbf")
                if content.strip():
                    yield parse_line(path, line, content, limit)
    except Exception as error:  # codecs and file systems raise what they like
        yield RawRow(file=path, line=0, fields={}, reason="unreadable file", detail=f"{type(error).__name__}: {error}")


class _Part:
    """Bytes of a file from one place to another."""

    def __init__(self, stream: Any, begin: int, end: int) -> None:
        stream.seek(begin)
        self._stream, self._left = stream, end - begin

    def read(self, size: int) -> bytes:
        chunk: bytes = self._stream.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk


def page_text(content: bytes) -> str:
    """The main text of an HTML page, without menus, scripts and advertisements."""
    from resiliparse.extract.html2text import extract_plain_text  # a C++ library: only where there are pages
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse_from_bytes(content, detect_encoding(content) or "utf-8")
    return str(extract_plain_text(tree, main_content=True, alt_texts=False, noscript=False))


def _read_csv(path: str, stream: IO[bytes], limit: int) -> Iterator[RawRow]:
    csv.field_size_limit(limit)
    text = io.TextIOWrapper(cast(Any, stream), encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _csv_rows(path, csv.reader(text))
    finally:
        text.detach()


def _csv_rows(path: str, reader: Any) -> Iterator[RawRow]:
    names: list[str] = next(reader, [])
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            yield RawRow(file=path, line=reader.line_num, fields={}, reason="not CSV", detail=str(error))
            continue
        if values is None:
            return
        if not values:
            continue
        excerpt = ",".join(values)[:EXCERPT].encode("utf-8", "replace").decode()
        bad = ("", "")
        if len(values) != len(names):
            bad = ("wrong number of columns", f"{len(values)} values for {len(names)} columns")
        elif any("\udc80" <= char <= "\udcff" for value in values for char in value):
            bad = ("not UTF-8", "")
        fields = {} if bad[0] else dict(zip(names, values, strict=True))
        yield RawRow(file=path, line=reader.line_num, fields=fields, reason=bad[0], detail=bad[1], excerpt=excerpt)


def _read_html(path: str, stream: IO[bytes], limit: int) -> Iterator[RawRow]:
    content = stream.read(limit + 1)
    yield _page(path, 1, content, limit, {})


def _read_warc(path: str, stream: IO[bytes], limit: int) -> Iterator[RawRow]:
    """Line = number of the record. Only pages that the server had are rows."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for number, record in enumerate(ArchiveIterator(stream, parse_http=True, record_types=WarcRecordType.response), 1):
        http = record.http_headers
        if http is None or (http.status_code or 0) != 200:
            reason = "no page" if http is None else f"HTTP status {http.status_code}"
            address = record.headers.get("WARC-Target-URI") or ""
            yield RawRow(file=path, line=number, fields={}, reason=reason, excerpt=address)
            continue
        kind = record.http_content_type or ""
        if not kind.startswith(_HTML_TYPES):
            yield RawRow(file=path, line=number, fields={}, reason="not HTML", detail=kind)
            continue
        url = record.headers.get("WARC-Target-URI", "")
        yield _page(path, number, record.reader.read(limit + 1), limit, {"metadata": json.dumps({"url": url})})


def _page(path: str, line: int, content: bytes, limit: int, fields: dict[str, Any]) -> RawRow:
    if len(content) > limit:
        return RawRow(
            file=path, line=line, fields={}, reason="page too long", detail=f"more than {limit / 2**20:g} MiB"
        )
    text = page_text(content)
    if not text.strip():
        excerpt = content[:EXCERPT].decode("utf-8", "replace")
        return RawRow(file=path, line=line, fields={}, reason="page without text", excerpt=excerpt)
    return RawRow(file=path, line=line, fields={"text": text, **fields})
