"""What all readers share: Source, InputFile, Unit, Batch, the builder of bounded batches, and the ways to open a file. No format is known here."""

import bz2
import gzip
import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, cast

import fsspec
import numpy as np
import pyarrow as pa
import xxhash
import zstandard

from pipeline.errors import SourceError
from pipeline.measures import linguist
from pipeline.schema import RECORD
from pipeline.store import is_url, local_path

CRASHED = "unreadable: crashed its worker twice"

# What an input is, as the listing found it. Archives and git repositories, links, sockets and devices (and pipes) are told apart where code is read.
Kind = Literal["file", "archive", "repository", "link", "socket", "device"]

# A row is (file, offset, reason, url), as schema.UNREADABLE has it.
Unreadable = tuple[str, int, str, str | None]

# What finds the languages of files of code, for readers whose rows may be some (`Builder`).
LANGUAGES = {**linguist.ENGINES, "linguist": str(linguist.VERSION)}

_MOST_UNREADABLE_IN_A_BATCH = 10_000  # so that a file of nothing but bad lines stays within the memory of a batch
_ZSTD_WINDOW = 2**31  # zstd --long=31


@dataclass(frozen=True)
class Source:
    """A source as the recipe declares it. What it holds is plain values, checked where the recipe is read.

    `columns` maps our column to the input's field, a dotted path allowed (`meta.url`); without it `text`, `url` and `date` are read
    under their own names and nothing else is, since an `id` that counts from 1 in every file, or a `domain` that is a host name, would do harm.
    `values` renames what was found: `{"domain": {"zh-Hans": "zh"}}`. `licence`, `domain`, `subdomain` stand where a record says nothing.
    `revision` is the branch, tag or commit at which git repositories are read.
    """

    name: str
    reader: str
    files: tuple[str, ...]
    licence: str | None = None
    domain: str | None = None
    subdomain: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    revision: str = "HEAD"


@dataclass(frozen=True)
class InputFile:
    """A file of a source: `path` is relative to the glob's fixed prefix and bears identity, `location` says where it is today and does not.

    `kind` follows from the path and the etag. What is a link, a socket or a device is an input so that it is counted, and is never opened.
    """

    path: str
    location: str
    size: int
    etag: str
    kind: Kind = "file"

    @property
    def folder(self) -> str:
        """The name of the folder that `path` is relative to. A code tree's is its repository's name, and enters ids; no other reader looks at it."""
        return self.location.replace("\\", "/").removesuffix("/" + self.path).rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class Unit:
    """The atom of work: one file, a slice of a huge one (bytes for JSON lines, row groups for Parquet), or several tiny files.

    `context`: files that are read for what they say of the others, as licences do of the files below them. They enter the identity too.
    """

    source: str
    files: tuple[InputFile, ...]
    start: int = 0
    end: int | None = None
    slice_bytes: int | None = field(default=None, compare=False)  # of a slice, for estimates; no part of its identity
    context: tuple[InputFile, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The bytes of input in this unit, for progress and estimates."""
        return sum(file.size for file in self.files) if self.slice_bytes is None else self.slice_bytes

    def identity(self) -> Any:
        """What of this unit enters fingerprints, as a JSON value: never a location, a host or a time."""
        about = {"files": [[file.path, file.size, file.etag] for file in self.files], "slice": [self.start, self.end]}
        return about | ({"context": [[file.path, file.size, file.etag] for file in self.context]} if self.context else {})


@dataclass
class Batch:
    """Some records of one unit, in order. Every record of the input is in exactly one of the three."""

    records: pa.RecordBatch
    unreadable: list[Unreadable] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)


def hash_id(*parts: str | bytes) -> str:
    """A document's id: the first 128 bits of the sha256 of the parts joined by line ends, as 32 hex digits."""
    digest = hashlib.sha256()
    for i, part in enumerate(parts):
        if i:
            digest.update(b"\n")
        digest.update(part.encode("utf-8", "replace") if isinstance(part, str) else part)
    return digest.hexdigest()[:32]


class Builder:
    """Collects records until a batch is full. `add` and `unreadable` return nothing; ask `full` after each, then `take`."""

    def __init__(self, source: Source, batch_bytes: int) -> None:
        self.source = source
        self._limit = batch_bytes
        self._start()

    def _start(self) -> None:
        self._bytes = 0
        self._columns: dict[str, list[Any]] = {name: [] for name in RECORD.names if name != "source"}
        self._unreadable: list[Unreadable] = []
        self._skipped: dict[str, int] = {}

    def add(
        self, id: str, file: str, offset: int, *, text: str | bytes | None = None, html: str | bytes | None = None, url: str | None = None,
        date: str | None = None, domain: str | None = None, subdomain: str | None = None, licence: str | None = None,
        programming_language: str | None = None, repository: str | None = None, path: str | None = None, stars: int | None = None,
        repository_files: int | None = None, licence_file: str | None = None, licence_confidence: float | None = None,
    ) -> None:  # fmt: skip
        """One document. Texts given as bytes are valid UTF-8 already. Of a file of code with a path, the language is found where none is given."""
        source, columns = self.source, self._columns
        columns["id"].append(id)
        columns["text"].append(text)
        columns["html"].append(html)
        columns["url"].append(url)
        columns["date"].append(date)
        columns["domain"].append(domain if domain is not None else source.domain)
        columns["subdomain"].append(subdomain if subdomain is not None else source.subdomain)
        columns["licence"].append(licence if licence is not None else source.licence)
        columns["programming_language"].append(programming_language)
        columns["repository"].append(repository)
        columns["path"].append(path)
        columns["stars"].append(stars)
        columns["repository_files"].append(repository_files)
        columns["licence_file"].append(licence_file)
        columns["licence_confidence"].append(licence_confidence)
        columns["file"].append(file)
        columns["offset"].append(offset)
        self._bytes += 200 + (len(text) if text is not None else 0) + (len(html) if html is not None else 0)

    def unreadable(self, file: str, offset: int, reason: str, url: str | None = None) -> None:
        """One record that cannot be read; `reason` begins with `unreadable: `."""
        self._unreadable.append((file, offset, reason, url))

    def skip(self, kind: str, count: int = 1) -> None:
        """Records that are no documents."""
        self._skipped[kind] = self._skipped.get(kind, 0) + count

    @property
    def full(self) -> bool:
        return self._bytes >= self._limit or len(self._unreadable) >= _MOST_UNREADABLE_IN_A_BATCH

    @property
    def empty(self) -> bool:
        return not (self._columns["id"] or self._unreadable or self._skipped)

    def take(self) -> Batch:
        """The batch collected so far; a new one begins."""
        rows = len(self._columns["id"])
        self._find_languages()
        arrays = []
        for name in RECORD.names:
            if name == "source":
                arrays.append(pa.array([self.source.name] * rows, pa.string()))
            elif name in ("text", "html"):
                arrays.append(_texts(self._columns[name]))
            else:
                arrays.append(_array(self._columns[name], RECORD.field(name).type))
        batch = Batch(pa.RecordBatch.from_arrays(arrays, schema=RECORD), self._unreadable, self._skipped)
        self._start()
        return batch

    def _find_languages(self) -> None:
        """The languages of all files of the batch at once, which is what makes finding them cheap."""
        paths, found = self._columns["path"], self._columns["programming_language"]
        rows = [i for i, (path, language) in enumerate(zip(paths, found, strict=True)) if path is not None and language is None]
        if rows:
            for i, language in zip(rows, linguist.languages([paths[i] for i in rows], [self._columns["text"][i] for i in rows]), strict=True):
                found[i] = language


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        array = pa.array(values, kind)
    except UnicodeEncodeError:  # a lone surrogate (JSON can spell one): no UTF-8 text may hold it
        array = pa.array([v.encode("utf-8", "replace") if isinstance(v, str) else v for v in values], kind)
    return _one(array)


def _texts(values: list[str | bytes | None]) -> pa.Array:
    """Texts whose bytes are known to be UTF-8: joined once and not checked again, which would cost as much as all the rest of a batch."""
    parts = [v if v.__class__ is bytes else b"" if v is None else _encoded(v) for v in values]
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    if offsets[-1] >= 1 << 31:
        raise SourceError("A batch of records holds over 2 GB of text: one document of this size cannot be handled.")
    nulls = sum(1 for v in values if v is None)
    validity = pa.array([v is not None for v in values]).buffers()[1] if nulls else None
    data = pa.py_buffer(b"".join(parts))
    return pa.StringArray.from_buffers(len(parts), pa.py_buffer(offsets.astype(np.int32)), data, validity, nulls)


def _encoded(text: str | bytes) -> bytes:
    return text.encode("utf-8", "replace") if isinstance(text, str) else text


def _one(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):  # pyarrow cuts arrays of over 2 GB by itself; batches are far smaller
        raise SourceError("A batch of records holds over 2 GB of text: one document of this size cannot be handled.")
    return array


# --- opening -------------------------------------------------------------------------------------------------------------


def open_raw(file: InputFile) -> BinaryIO:
    """The file's bytes as they are stored. Raises SourceError where it cannot be opened at all."""
    try:
        if is_url(file.location):
            return cast(BinaryIO, fsspec.open(file.location, "rb").open())
        return open(local_path(file.location), "rb")
    except OSError as error:
        raise SourceError(
            f"{file.location} cannot be opened: {error.strerror or error}. If it was moved or removed since the plan was made, plan again."
        ) from error


def compression(path: str) -> str:
    """`gzip`, `zstd`, `bzip2` or an empty string, by the name's ending."""
    ending = os.path.splitext(path)[1].lower()
    return {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bzip2"}.get(ending, "")


def open_decompressed(file: InputFile) -> BinaryIO:
    """The file's content as a stream; several gzip members or zstd frames are read as one."""
    raw = open_raw(file)
    kind = compression(file.path)
    if kind == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if kind == "zstd":
        return cast(BinaryIO, io.BufferedReader(_ZstdStream(raw), 1 << 20))
    if kind == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(raw))
    return raw


class _ZstdStream(io.RawIOBase):
    """Zstd frames as one stream. python-zstandard's own reader ends silently in a truncated frame; this one raises EOFError, as gzip does."""

    _FEED = 4096  # at most 32,768 times as much comes out of it: a hostile frame costs 128 MB, not all there is

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame: Any = None
        self._input = memoryview(b"")
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            if not self._input:
                self._input = memoryview(self._raw.read(1 << 20))
                if not self._input:
                    if self._frame is not None:
                        raise EOFError("truncated zstd frame")
                    return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
            given, self._input = self._input[: self._FEED], self._input[self._FEED :]
            try:
                self._output = memoryview(self._frame.decompress(given))
            except zstandard.ZstdError as error:
                raise OSError(f"damaged zstd frame ({error})") from error
            if self._frame.eof:
                left = self._frame.unused_data
                if left:
                    self._input = memoryview(left + bytes(self._input))
                self._frame = None
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


def content_hash(location: str, size: int) -> str:  # noqa: ARG001  # the signature of `etags`, where a cache needs the size
    """xxh3_128 of a file's content, 32 hex digits. A GB takes about a second; keep what it says by (location, size, mtime)."""
    digest = xxhash.xxh3_128()
    try:
        with fsspec.open(location, "rb") if is_url(location) else open(local_path(location), "rb") as handle:
            while block := handle.read(4 << 20):
                digest.update(block)
    except OSError as error:
        raise SourceError(f"{location} cannot be read: {error.strerror or error}. Check its permissions, or leave it out of the recipe's `files`.") from error
    return digest.hexdigest()
