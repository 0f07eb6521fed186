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

Kind = Literal["file", "link", "submodule"]
_KINDS: dict[int, Kind] = {0o120000: "link", 0o160000: "submodule"}
_TREE = 0o040000


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
        """All entries but folders, in git's order."""
        yield from self._walk(self._commit.tree, "")

    def _walk(self, tree: Any, folder: str) -> Iterator[Entry]:
        for entry in tree:
            path = folder + (entry.raw_name.decode("utf-8", "backslashreplace"))
            if entry.filemode == _TREE:
                yield from self._walk(self._repository[entry.id], path + "/")
            else:
                kind = _KINDS.get(entry.filemode, "file")
                yield Entry(path, kind, self._repository.odb.read_header(entry.id)[1] if kind == "file" else 0, entry.id)

    def data(self, entry: Entry) -> bytes:
        """A file's content."""
        return bytes(self._repository[entry.id].data)

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
