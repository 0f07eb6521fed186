"""Git repositories, bare or with a work tree, read from their objects at a commit: what is checked out does not matter. libgit2 does the reading."""

import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

from pipeline.errors import SourceError

ENGINES = {"pygit2": version("pygit2")}

Kind = Literal["file", "link", "submodule", "damaged"]
_KINDS: dict[int, Kind] = {0o120000: "link", 0o160000: "submodule"}
_TREE = 0o040000
_DAMAGED = (KeyError, ValueError, OSError)  # what libgit2 raises for an object that is not there or does not read


@dataclass(frozen=True)
class Entry:
    """A file of a commit."""

    path: str
    kind: Kind
    size: int
    id: Any


def is_repository(location: str) -> bool:
    """Whether a local folder is a git repository: a bare one, or one with a work tree."""
    if not os.path.isdir(location):
        return False
    inside = os.path.join(location, ".git")
    return os.path.isfile(inside) or _holds_objects(inside) or _holds_objects(location)


def _holds_objects(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, "HEAD")) and all(os.path.isdir(os.path.join(folder, name)) for name in ("objects", "refs"))


class Commit:
    """A commit of an opened repository."""

    def __init__(self, repository: Any, commit: Any) -> None:
        self._repository, self._commit = repository, commit

    @property
    def commit(self) -> str:
        return str(self._commit.id)

    @property
    def date(self) -> str:
        """Of the commit, ISO 8601 in UTC."""
        return datetime.datetime.fromtimestamp(self._commit.commit_time, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def files(self) -> Iterator[Entry]:
        """All entries but folders, in the order of their paths. A folder whose object is missing or damaged is one entry of kind `damaged`."""
        open_: list[tuple[str, Any]] = [("", self._commit.tree_id)]
        while open_:
            folder, at = open_.pop()
            if not isinstance(at, Entry):
                try:
                    below = [self._entry(folder, entry) for entry in self._repository[at]]
                except _DAMAGED:
                    below = [(folder.rstrip("/"), Entry(folder.rstrip("/"), "damaged", 0, None))]
                open_ += reversed(below)
                continue
            yield at

    def _entry(self, folder: str, entry: Any) -> tuple[str, Any]:
        path = folder + entry.raw_name.decode("utf-8", "backslashreplace")
        if entry.filemode == _TREE:
            return path + "/", entry.id
        kind = _KINDS.get(entry.filemode, "file")
        try:
            return path, Entry(path, kind, self._repository.odb.read_header(entry.id)[1] if kind == "file" else 0, entry.id)
        except _DAMAGED:
            return path, Entry(path, "damaged", 0, None)

    def data(self, entry: Entry) -> bytes | None:
        """A file's content; None where its object is damaged."""
        try:
            return bytes(self._repository[entry.id].data)
        except _DAMAGED:
            return None

    @cached_property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(entry.size for entry in self.files())


def open_at(location: str, revision: str) -> Commit:
    """The commit that a revision (branch, tag, commit) names. SourceError where there is none, or where an object is missing."""
    import pygit2

    try:
        repository = pygit2.Repository(location)
        return Commit(repository, repository.revparse_single(revision).peel(pygit2.Commit))
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise SourceError(
            f"The git repository {location} has no commit '{revision}': {error}. Name a branch, tag or commit as the source's `revision`."
        ) from error
