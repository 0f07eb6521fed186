"""JSON lines, plain or compressed (.gz, .zst, .bz2): an own line splitter and orjson a line, so that a line may have any length.

Memory holds one batch and one line, whatever the file's size. A slice of a file reads the lines that start in it. A line that is no JSON, no
UTF-8, or has no text is an unreadable record at its byte offset (in the decompressed stream, where there is one); blank lines are skipped.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, BinaryIO

import orjson

from pipeline.sources.base import CRASHED, LANGUAGES, Batch, Builder, InputFile, Source, Unit, compression, hash_id, open_decompressed

VERSION = 1
ENGINES: dict[str, str] = {**LANGUAGES, "orjson": version("orjson")}

MAX_LINE_BYTES = 512 << 20  # a JSON array of a whole corpus on one line is no JSON lines: it must not take all memory
_BLOCK = 1 << 20
_ALWAYS = {"text": "text", "url": "url", "date": "date"}  # read under their own names unless the recipe maps them
_OUR_COLUMNS = ("text", "id", "url", "date", "licence", "domain", "subdomain", "programming_language", "repository", "path", "stars", "repository_files")
_SURROGATE = re.compile("[\ud800-\udfff]")
_OWN_ID = frozenset("0123456789abcdef")


def read(source: Source, unit: Unit, batch_bytes: int, quarantine: frozenset[tuple[str, int]]) -> Iterator[Batch]:
    """See `pipeline.sources.read`."""
    builder = Builder(source, batch_bytes)
    row = Row(source)
    for file in unit.files:
        with open_decompressed(file) as stream:
            for offset, line in _lines(stream, file, unit.start, unit.end, builder):
                if line is None:
                    pass
                elif quarantine and (file.path, offset) in quarantine:
                    builder.unreadable(file.path, offset, CRASHED)
                elif not line.strip():
                    builder.skip("blank line")
                else:
                    try:
                        value = _parse(line)
                    except ValueError as error:
                        builder.unreadable(file.path, offset, f"unreadable: {error} at byte {offset}")
                    else:
                        if isinstance(value, dict):
                            row.add(builder, file, offset, value)
                        else:
                            builder.unreadable(file.path, offset, f"unreadable: not a JSON object at byte {offset}")
                        del value
                del line
                if builder.full:
                    yield builder.take()
    yield builder.take()


def _parse(line: bytes) -> Any:
    """The line's value; ValueError says what is wrong with it. Python's own parser takes what orjson refuses: NaN, and half of an emoji."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("invalid UTF-8") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("invalid JSON") from None


def _lines(stream: BinaryIO, file: InputFile, start: int, end: int | None, builder: Builder) -> Iterator[tuple[int, bytes | None]]:
    """(offset, line) of the lines that start in [start, end); a line of None was reported to the builder already."""
    position = 0
    if start and not compression(file.path):
        stream.seek(start - 1)  # the byte before says whether a line starts right here
        position = start - 1
    skipping = start > 0  # the line that began before this slice
    parts: list[bytes] = []
    held = 0
    line_start = position
    while True:
        try:
            block = stream.read(_BLOCK)
        except (EOFError, OSError, zlib.error) as error:
            what = "truncated" if isinstance(error, EOFError) else "damaged"
            kind = compression(file.path) or "file"
            builder.unreadable(file.path, position, f"unreadable: {what} {kind} stream at byte {position} of its content")
            yield position, None
            return  # what is left of the last line is part of what could not be read
        if not block:
            break
        begin = 0
        while (found := block.find(b"\n", begin)) >= 0:
            if not skipping:
                if end is not None and line_start >= end:
                    return
                if held + found - begin > MAX_LINE_BYTES:
                    builder.unreadable(file.path, line_start, f"unreadable: a line of over {MAX_LINE_BYTES} bytes at byte {line_start}")
                    yield line_start, None
                elif parts:
                    parts.append(block[begin:found])
                    line = b"".join(parts)
                    parts = []
                    yield line_start, line
                    del line
                else:
                    yield line_start, block[begin:found]
            parts, held, skipping = [], 0, False
            begin = found + 1
            line_start = position + begin
        rest = len(block) - begin
        if rest and not skipping:
            held += rest
            if held <= MAX_LINE_BYTES:
                parts.append(block[begin:])
            else:
                parts = []
        position += len(block)
        if end is not None and line_start >= end and not skipping:
            return
        if end is not None and skipping and position >= end and begin == 0 and position - 1 >= end:
            return  # the line that began before this slice also ends behind it
    if held and not skipping and (end is None or line_start < end):
        if held > MAX_LINE_BYTES:
            builder.unreadable(file.path, line_start, f"unreadable: a line of over {MAX_LINE_BYTES} bytes at byte {line_start}")
            yield line_start, None
        else:
            yield line_start, b"".join(parts)


class Row:
    """From a record of named fields to a document, by the source's `columns` and `values`. Serves JSON lines and Parquet alike."""

    def __init__(self, source: Source) -> None:
        self.fields = {ours: theirs for ours, theirs in {**_ALWAYS, **source.columns}.items() if ours in _OUR_COLUMNS}
        self.values: Mapping[str, Mapping[str, str]] = source.values
        self.paths = {ours: theirs.split(".") for ours, theirs in self.fields.items()}
        self.others = [name for name in self.fields if name not in ("text", "id")]

    def get(self, value: Mapping[str, Any], ours: str) -> Any:
        theirs = self.fields[ours]
        if theirs in value:  # a field whose own name holds a dot comes before the path
            return value[theirs]
        found: Any = value
        for part in self.paths[ours]:
            if not isinstance(found, Mapping):
                return None
            found = found.get(part)
        return found

    def add(self, builder: Builder, file: InputFile, offset: int, value: Mapping[str, Any]) -> None:
        text = self.get(value, "text")
        columns: dict[str, Any] = {name: as_text(self.get(value, name)) for name in self.others}
        url = columns.get("url")
        for name, bits in (("stars", 63), ("repository_files", 31)):
            if name in columns:
                columns[name] = whole_number(columns[name], bits)
        if "licence" in columns and isinstance(several := self.get(value, "licence"), list):
            columns["licence"] = " AND ".join(str(one) for one in several if one) or None  # as The Stack lists them: all that the repository has
        if columns.get("licence") and ("path" in columns or "repository" in columns):
            from pipeline.measures.licences import normal  # of source code: as SPDX writes it

            columns["licence"] = normal(columns["licence"])
        if not isinstance(text, str):
            builder.unreadable(file.path, offset, f"unreadable: no text in field '{self.fields['text']}'", url)
            return
        if not text:
            builder.skip("empty")
            return
        text = whole_characters(text)
        for name, renames in self.values.items():
            if columns.get(name) in renames:
                columns[name] = renames[columns[name] or ""]
        given = as_text(self.get(value, "id")) if "id" in self.fields else None
        builder.add(document_id(given, url, text), file.path, offset, text=text, **columns)


def document_id(given: str | None, url: str | None, text: str) -> str:
    """A mapped id, hashed unless it is one of ours already; else the hash of URL and text."""
    if given:
        return given if len(given) == 32 and _OWN_ID.issuperset(given) else hash_id("id", given)
    return hash_id(url or "", text)


def whole_number(text: str | None, bits: int) -> int | None:
    """A count, of which files of Parquet often make a float where some are missing; None for what is none, or has more bits."""
    try:
        found = int(float(text)) if text is not None else None
    except (ValueError, OverflowError):
        return None
    return found if found is not None and abs(found) < 1 << bits else None


def whole_characters(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which JSON can spell and UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def as_text(value: Any) -> str | None:
    """A field as a string: numbers and dates in their usual spelling, lists and objects not at all."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, (bool, list, dict, bytes)):
        return None
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)
