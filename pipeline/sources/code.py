"""Source code: tar archives (.tar, .tar.gz, .tar.zst, .tar.bz2), folders, or files by pattern. A file's text stays what it was, byte for byte.

Links and devices are never followed, version-control folders and binaries are skipped by name of the reason. The repository's name is the
archive's or the folder's; its commit is the one that `git archive` writes into the tar, else unknown. Memory holds one batch and one file.
"""

import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any, cast

from pipeline.rewrite import charset
from pipeline.sources.base import CRASHED, Batch, Builder, InputFile, Source, Unit, hash_id, open_decompressed, open_raw
from pipeline.sources.languages import language_of
from pipeline.sources.units import ARCHIVES, VERSION_CONTROL

VERSION = 1
ENGINES: dict[str, str] = {**charset.ENGINES, "charset": str(charset.VERSION)}

MAX_FILE_BYTES = 8 << 20  # OpenCoder's bound before any rule
_SPDX = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+() -]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


def read(source: Source, unit: Unit, batch_bytes: int, quarantine: frozenset[tuple[str, int]]) -> Iterator[Batch]:
    """See `pipeline.sources.read`."""
    builder = Builder(source, batch_bytes)
    for file in unit.files:
        if file.path.lower().endswith(ARCHIVES):
            for _ in _archive(file, builder, quarantine):
                yield builder.take()
        else:
            _plain_file(file, builder, quarantine)
            if builder.full:
                yield builder.take()
    yield builder.take()


def _plain_file(file: InputFile, builder: Builder, quarantine: frozenset[tuple[str, int]]) -> None:
    if (file.path, 0) in quarantine:
        builder.unreadable(file.path, 0, CRASHED)
        return
    if file.size > MAX_FILE_BYTES:
        builder.skip(f"over {MAX_FILE_BYTES >> 20} MB")
        return
    with open_raw(file) as raw:
        data = raw.read(MAX_FILE_BYTES + 1)
    repository = file.folder
    _add(builder, file.path, 0, repository, "", file.path, data)


def _archive(file: InputFile, builder: Builder, quarantine: frozenset[tuple[str, int]]) -> Iterator[None]:
    position = 0
    with open_decompressed(file) as stream:
        repository = os.path.basename(file.path)
        for ending in ARCHIVES:
            repository = repository[: -len(ending)] if repository.lower().endswith(ending) else repository
        commit = ""
        try:
            with tarfile.open(fileobj=cast(Any, stream), mode="r|", errorlevel=1, encoding="utf-8", errors="backslashreplace") as tar:
                for member in tar:
                    position = member.offset
                    comment = tar.pax_headers.get("comment", "")
                    commit = comment if _COMMIT.match(comment) else commit
                    _member(tar, member, file, builder, quarantine, repository, commit)
                    cast(Any, tar).members = []  # tarfile keeps every header otherwise
                    position = member.offset + 512 + (member.size if member.isreg() else 0)
                    if builder.full:
                        yield
        except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
            what = "truncated" if isinstance(error, EOFError) or "unexpected end" in str(error) else "damaged"
            builder.unreadable(file.path, position, f"unreadable: {what} archive at byte {position} of its content")


def _member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, file: InputFile, builder: Builder, quarantine: frozenset[tuple[str, int]], repository: str, commit: str
) -> None:  # fmt: skip
    if member.isdir():
        return  # a folder is no record
    if not member.isreg():
        builder.skip("link" if member.issym() or member.islnk() else "device")
        return
    path = member.name.removeprefix("./")
    if VERSION_CONTROL.intersection(path.split("/")):
        builder.skip("version control")
    elif quarantine and (file.path, member.offset) in quarantine:
        builder.unreadable(file.path, member.offset, CRASHED)
    elif member.size > MAX_FILE_BYTES:
        builder.skip(f"over {MAX_FILE_BYTES >> 20} MB")
    else:
        handle = tar.extractfile(member)
        data = handle.read() if handle is not None else b""
        if len(data) < member.size:
            raise EOFError
        _add(builder, file.path, member.offset, repository, commit, path, data)


def _add(builder: Builder, file: str, offset: int, repository: str, commit: str, path: str, data: bytes) -> None:
    name = f"{repository}@{commit}:{path}"
    if not data:
        builder.skip("empty")
        return
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        builder.skip("binary")
        return
    text: str | bytes
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text, _ = charset.decode(data)
        if "\ufffd" in text or any(c < " " and c not in "\n\r\t\f\x1b" for c in text):
            builder.unreadable(file, offset, "unreadable: the text's encoding was not found", name)
            return
    found = _SPDX.search(text[:4096])
    licence = found.group(1).strip().removesuffix("*/").strip() if found else None
    builder.add(hash_id(name), file, offset, text=text, url=name, licence=licence, programming_language=language_of(path, text[:200]))
