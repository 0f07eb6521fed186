"""Source code: git repositories at a commit, tar archives (.tar, .tar.gz, .tar.zst, .tar.bz2), folders, or files by pattern. A file's text stays what
it was, byte for byte.

Nothing is unpacked and no link followed: links, sockets, devices, submodules, version-control folders, pointers to Git LFS, binaries and paths that lead
out of the tree are skipped and counted. The repository's name is the archive's or the repository's path, or the folder's name; its commit is the one that
git or `git archive` says, else unknown. How many files it has is known of git and of whole archives; of a folder it is not said, since one more file would
change all documents of the others. Licences come from the whole repository, so that an archive is read twice; memory holds one batch, one file, the
repository's licence files, and of git the list of a commit's files.
"""

import contextlib
import datetime
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any, cast

from pipeline.errors import SourceError
from pipeline.measures import licences, linguist
from pipeline.rewrite import charset
from pipeline.sources import git
from pipeline.sources.base import CRASHED, Batch, Builder, InputFile, Source, Unit, hash_id, open_decompressed, open_raw
from pipeline.sources.units import ARCHIVES, VERSION_CONTROL

VERSION = 3
ENGINES: dict[str, str] = {
    **charset.ENGINES, "charset": str(charset.VERSION), **linguist.ENGINES, "linguist": str(linguist.VERSION),
    **licences.ENGINES, "licences": str(licences.VERSION), **git.ENGINES,
}  # fmt: skip

MAX_FILE_BYTES = 8 << 20  # OpenCoder's bound before any rule
_LFS = b"version https://git-lfs.github.com/spec/"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


class _Repository:
    """What is known of the repository that is being read: its name, commit, date, number of files and licences."""

    def __init__(self, name: str) -> None:
        self.name, self.commit, self.date = name, "", cast("str | None", None)
        self.files: int | None = None
        self.tree = licences.Tree()

    def look(self, path: str, data: bytes) -> None:
        """A file of the first pass: does it say something about licences?"""
        self.tree.add(path, data.decode("utf-8", "replace"))


def read(source: Source, unit: Unit, batch_bytes: int, quarantine: frozenset[tuple[str, int]]) -> Iterator[Batch]:
    """See `pipeline.sources.read`."""
    builder = Builder(source, batch_bytes)
    folders: dict[str, _Repository] = {}
    for file in unit.files:
        if file.kind == "repository":
            for _ in _git(file, builder, quarantine):
                yield builder.take()
        elif file.kind == "archive":
            for _ in _archive(file, builder, quarantine):
                yield builder.take()
        elif file.kind != "file":
            builder.skip(file.kind)
        else:
            if file.folder not in folders:
                folders[file.folder] = _of_folder(unit, file.folder)
            _plain_file(file, builder, quarantine, folders[file.folder])
            if builder.full:
                yield builder.take()
    yield builder.take()


# --- folders ----------------------------------------------------------------------------------------------------------------------


def _of_folder(unit: Unit, folder: str) -> _Repository:
    """A tree of plain files: the unit's `context` holds the licence files and manifests of the folders above its own."""
    repository = _Repository(folder)
    for file in unit.context:
        if file.folder == folder:
            with open_raw(file) as raw:
                repository.look(file.path, raw.read(licences.LONGEST))
    return repository


def _plain_file(file: InputFile, builder: Builder, quarantine: frozenset[tuple[str, int]], repository: _Repository) -> None:
    if (file.path, 0) in quarantine:
        builder.unreadable(file.path, 0, CRASHED)
        return
    if file.size > MAX_FILE_BYTES:
        builder.skip(f"over {MAX_FILE_BYTES >> 20} MB")
        return
    with open_raw(file) as raw:
        data = raw.read(MAX_FILE_BYTES + 1)
    _add(builder, file.path, 0, repository, file.path, data)


# --- git --------------------------------------------------------------------------------------------------------------------------


def _git(file: InputFile, builder: Builder, quarantine: frozenset[tuple[str, int]]) -> Iterator[None]:
    """The files of a commit, in the order of their paths; a file's offset is its number."""
    try:
        opened = git.open_at(file.location, file.etag)
    except SourceError as error:
        builder.unreadable(file.path, 0, f"unreadable: {str(error).partition(': ')[0]}")
        return
    repository = _Repository(file.path.removesuffix(".git"))
    repository.commit, repository.date = opened.commit, opened.date
    entries = list(opened.files())
    if not any(entry.kind == "damaged" for entry in entries):  # of which one may be a whole folder
        repository.files = sum(entry.kind == "file" for entry in entries)
    for entry in entries:
        if entry.kind == "file" and licences.tells(entry.path, entry.size):
            repository.look(entry.path, opened.data(entry) or b"")
    for number, entry in enumerate(entries):
        if quarantine and (file.path, number) in quarantine:
            builder.unreadable(file.path, number, CRASHED)
        elif entry.kind in ("link", "submodule"):
            builder.skip(entry.kind)
        elif entry.size > MAX_FILE_BYTES:
            builder.skip(f"over {MAX_FILE_BYTES >> 20} MB")
        elif entry.kind == "damaged" or (data := opened.data(entry)) is None:
            builder.unreadable(file.path, number, "unreadable: the object is missing or damaged", f"{repository.name}@{repository.commit}:{entry.path}")
        else:
            _add(builder, file.path, number, repository, entry.path, data)
        if builder.full:
            yield


# --- archives ---------------------------------------------------------------------------------------------------------------------


def _archive(file: InputFile, builder: Builder, quarantine: frozenset[tuple[str, int]]) -> Iterator[None]:
    name = file.path
    for ending in ARCHIVES:
        name = name[: -len(ending)] if name.lower().endswith(ending) else name
    repository = _Repository(name)
    files = 0
    try:
        for tar, member in _members(file):
            _about(tar, member, repository)
            files += member.isreg() and not VERSION_CONTROL.intersection(member.name.split("/"))
        repository.files = files
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError):
        pass  # the second pass reports it, with the place
    position = 0
    try:
        for tar, member in _members(file):
            position = member.offset
            _member(tar, member, file, builder, quarantine, repository)
            position = member.offset + 512 + (member.size if member.isreg() else 0)
            if builder.full:
                yield
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        what = "truncated" if isinstance(error, EOFError) or "unexpected end" in str(error) else "damaged"
        builder.unreadable(file.path, position, f"unreadable: {what} archive at byte {position} of its content")


def _members(file: InputFile) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    with (
        open_decompressed(file) as stream,
        tarfile.open(fileobj=cast(Any, stream), mode="r|", errorlevel=1, encoding="utf-8", errors="backslashreplace") as tar,
    ):
        for member in tar:
            yield tar, member
            cast(Any, tar).members = []  # tarfile keeps every header otherwise


def _about(tar: tarfile.TarFile, member: tarfile.TarInfo, repository: _Repository) -> None:
    """A member of the first pass: the commit, and what says something about licences."""
    if _COMMIT.match(comment := tar.pax_headers.get("comment", "")):
        repository.commit = comment
        with contextlib.suppress(ValueError, OverflowError, OSError):  # a time that no calendar has
            repository.date = datetime.datetime.fromtimestamp(int(member.mtime), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = member.name.removeprefix("./")
    if member.isreg() and licences.tells(path, member.size):
        handle = tar.extractfile(member)
        repository.look(path, handle.read() if handle is not None else b"")


def _member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, file: InputFile, builder: Builder, quarantine: frozenset[tuple[str, int]], repository: _Repository
) -> None:
    if member.isdir():
        return  # a folder is no record
    if not member.isreg():
        builder.skip("link" if member.issym() or member.islnk() else "device")
        return
    path = member.name.removeprefix("./")
    if quarantine and (file.path, member.offset) in quarantine:
        builder.unreadable(file.path, member.offset, CRASHED)
    elif member.size > MAX_FILE_BYTES:
        builder.skip(f"over {MAX_FILE_BYTES >> 20} MB")
    else:
        handle = tar.extractfile(member)
        data = handle.read() if handle is not None else b""
        if len(data) < member.size:
            raise EOFError
        _add(builder, file.path, member.offset, repository, path, data)


# --- a file -----------------------------------------------------------------------------------------------------------------------


def _add(builder: Builder, file: str, offset: int, repository: _Repository, path: str, data: bytes) -> None:
    parts = path.split("/")
    if VERSION_CONTROL.intersection(parts):
        builder.skip("version control")
        return
    if path.startswith("/") or ".." in parts:
        builder.skip("path out of the tree")
        return
    if not data:
        builder.skip("empty")
        return
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        builder.skip("binary")
        return
    if data.startswith(_LFS):
        builder.skip("Git LFS pointer")
        return
    name = f"{repository.name}@{repository.commit}:{path}"
    text: str | bytes = data
    try:
        beginning = data.decode("utf-8")
    except UnicodeDecodeError:
        text, _ = charset.decode(data)
        beginning = text
        if "\ufffd" in text or any(c < " " and c not in "\n\r\t\f\x1b" for c in text):
            builder.unreadable(file, offset, "unreadable: the text's encoding was not found", name)
            return
    found = _licence(repository, path, beginning)
    builder.add(
        hash_id(name), file, offset, text=text, url=name, date=repository.date, repository=repository.name, path=path, repository_files=repository.files,
        licence=found.spdx if found else None, licence_file=found.file if found else None, licence_confidence=found.confidence if found else None,
    )  # fmt: skip


def _licence(repository: _Repository, path: str, text: str) -> licences.Licence | None:
    """What the file says of itself, else what its repository says of it. A licence's own text says nothing of itself that its folder does not."""
    if (stated := licences.of_header(text)) is not None:
        return licences.Licence(stated, path, 1.0)
    if not licences.names_licence(path) and (noted := licences.of_notice(text)) is not None:
        return licences.Licence(noted, path, licences.NOTICE_CONFIDENCE)
    return repository.tree.of(path)
