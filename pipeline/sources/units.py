"""From a source's globs, paths and URLs to units: which files there are, how tiny ones are grouped and huge ones split. Reads no records.

Grouping: tiny files of JSON lines, Parquet or a code tree, sorted by path; a group ends where hash(path) mod 64 (1,024 for code, whose files are
smaller) is 0, so that a new file changes its own group only, or at `group_bytes`. Splitting: uncompressed JSON lines by bytes, Parquet by row groups.
Archives and git repositories are neither. Links, sockets and devices among files of code are inputs that are counted and never opened.
"""

import itertools
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import fsspec
import xxhash

from pipeline.errors import PlanError, SourceError
from pipeline.measures.licences import tells
from pipeline.sources import git
from pipeline.sources.base import InputFile, Kind, Source, Unit, compression, content_hash
from pipeline.store import is_url, local_path

_TINY_BYTES = 16 << 20  # larger files are units of their own
_GROUP_FILES = 20_000  # and so many files end a group too: an address book, not a bound that a normal group meets

# What a reader takes from a folder that is given without a pattern.
_ENDINGS = {
    "warc": (".warc", ".warc.gz", ".warc.zst", ".warc.lz4", ".arc", ".arc.gz"),
    "wet": (".wet", ".wet.gz", ".wet.zst", ".warc.wet", ".warc.wet.gz"),
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.zst", ".jsonl.bz2", ".ndjson", ".ndjson.gz", ".ndjson.zst", ".json.gz", ".json.zst", ".json"),
    "parquet": (".parquet",),
}
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2")
VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".bzr", "CVS", "_darcs", ".jj"})


def list_units(source: Source, *, group_bytes: int = 256 << 20, split_bytes: int = 256 << 20, etags: Callable[[str, int], str] | None = None) -> list[Unit]:
    """The source's units, sorted by path and position. The same files give the same units on any machine, in any order of listing.

    `etags(location, size)` gives a local file's hash of content (`content_hash`, perhaps behind a cache). Raises PlanError for a pattern that
    matches nothing, SourceError for a file that is missing or a folder that cannot be listed.
    """
    hashed = etags or content_hash
    files = _find(source)
    missing = [i for i, file in enumerate(files) if not file.etag]
    with ThreadPoolExecutor(4) as pool:
        for i, etag in zip(missing, pool.map(lambda i: hashed(files[i].location, files[i].size), missing), strict=True):
            files[i] = replace(files[i], etag=etag)
    return list(_units(source, files, group_bytes, split_bytes))


def _printable(path: str) -> str:
    """A path as valid Unicode: bytes of a file name that are no UTF-8 become `\\xff`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _units(source: Source, files: list[InputFile], group_bytes: int, split_bytes: int) -> Iterator[Unit]:
    singles: list[Unit] = []
    tiny: list[InputFile] = []
    told = _told(source, files)
    for file in files:
        archive = file.kind in ("archive", "repository")
        if source.reader in ("jsonl", "parquet", "code") and not archive and file.size <= min(_TINY_BYTES, group_bytes):
            tiny.append(file)
        elif file.size > split_bytes and source.reader == "jsonl" and not compression(file.path):
            cuts = [*range(0, file.size, split_bytes), file.size]
            singles += [Unit(source.name, (file,), a, b, b - a) for a, b in itertools.pairwise(cuts)]
        elif file.size > split_bytes and source.reader == "parquet":
            singles += [Unit(source.name, (file,), a, b, size) for a, b, size in _row_group_cuts(file, split_bytes)]
        else:
            singles.append(Unit(source.name, (file,)) if archive else _unit(source, (file,), told))
    groups: list[Unit] = []
    group: list[InputFile] = []
    total = 0
    for file in tiny:
        group.append(file)
        total += file.size
        if xxhash.xxh3_64_intdigest(file.path.encode()) % (1024 if source.reader == "code" else 64) == 0 or total >= group_bytes or len(group) >= _GROUP_FILES:
            groups.append(_unit(source, group, told))
            group, total = [], 0
    if group:
        groups.append(_unit(source, group, told))
    yield from sorted(singles + groups, key=lambda unit: (unit.files[0].path, unit.start))


def _told(source: Source, files: Sequence[InputFile]) -> dict[tuple[str, str], list[InputFile]]:
    """(root, folder) -> the licence files and manifests in it, of a code source's plain files."""
    found: dict[tuple[str, str], list[InputFile]] = {}
    for file in files if source.reader == "code" else ():
        if file.kind == "file" and tells(file.path, file.size):
            folder = file.path.rpartition("/")[0]
            for where in {folder, folder.rpartition("/")[0]} if re.search(r"(?:^|/)licen[cs]es\Z", folder, re.IGNORECASE) else (folder,):
                found.setdefault((file.folder, where), []).append(file)
    return found


def _unit(source: Source, files: Sequence[InputFile], told: dict[tuple[str, str], list[InputFile]]) -> Unit:
    """A unit of whole files, with what the folders above them say of licences."""
    context: dict[str, InputFile] = {}
    for root, folder in {(f.folder, f.path.rpartition("/")[0]) for f in files} if told else ():
        above = folder
        while True:
            context |= {f.path: f for f in told.get((root, above), ())}
            if not above:
                break
            above = above.rpartition("/")[0]
    return Unit(source.name, tuple(files), context=tuple(context[path] for path in sorted(context)))


def _row_group_cuts(file: InputFile, split_bytes: int) -> list[tuple[int, int, int]]:
    """(first row group, the one after the last, their share of the file's bytes)."""
    from pipeline.sources.parquet import row_group_bytes

    cuts, start, total = [], 0, 0
    sizes = row_group_bytes(file)
    for i, size in enumerate(sizes):
        total += size
        if total >= split_bytes or i == len(sizes) - 1:
            cuts.append((start, i + 1, file.size * total // max(1, sum(sizes))))
            start, total = i + 1, 0
    return cuts or [(0, 0, file.size)]  # damaged: one unit, whose reading reports it


# --- finding files -------------------------------------------------------------------------------------------------------

_Found = tuple[str, int, str, Kind]  # location, size, etag or "", what it is
_COUNTED = frozenset({"link", "socket", "device"})  # and not read


def _find(source: Source) -> list[InputFile]:
    """All inputs, sorted by path. A path that two patterns give to different files is an error; one file under two patterns counts once."""
    found: dict[str, tuple[str, InputFile]] = {}
    places: dict[str, str] = {}
    if not source.files:
        raise PlanError(f"Source '{source.name}' names no files. Give at least one path, folder or pattern under `files`.")
    for pattern in source.files:
        matches = _remote(source, pattern) if is_url(pattern) else _local(source, local_path(pattern))
        for path, (location, size, etag, kind) in sorted(matches.items()):
            if location in found and (kind in _COUNTED or found[location][1].kind not in _COUNTED):
                continue  # but a link that a pattern met is read where it is named outright
            if kind not in _COUNTED and (other := places.setdefault(path, location)) != location:
                raise PlanError(
                    f"Source '{source.name}': {other} and {location} would both be called '{path}', and an address must name one file. "
                    "Use one pattern over their common folder, or make them two sources."
                )
            found[location] = path, InputFile(_printable(path), location, size, etag, kind)
    return [file for _, file in sorted(found.values(), key=lambda pair: pair[0])]


def _has_magic(text: str) -> bool:
    return any(c in text for c in "*?[")


def _fixed_prefix(pattern: str) -> str:
    """The folders of a pattern before the first one with a wildcard."""
    parts = pattern.split("/")
    first = next(i for i, part in enumerate(parts) if _has_magic(part))
    return "/".join(parts[:first])


def _wanted(source: Source, path: str) -> bool:
    parts = path.split("/")
    if any(part.startswith(".tmp-") for part in parts):
        return False
    if source.reader == "code":
        return not VERSION_CONTROL.intersection(parts)
    return parts[-1].lower().endswith(_ENDINGS[source.reader]) and not parts[-1].startswith(".")


def _nothing(source: Source, pattern: str) -> PlanError:
    return PlanError(
        f"Source '{source.name}': no file matches {pattern}. Check the path and the pattern (`**` goes through all folders), or remove the source."
    )


def _local(source: Source, pattern: str) -> dict[str, _Found]:
    pattern = os.path.expanduser(pattern)
    if source.reader == "code" and git.is_repository(pattern):
        return {os.path.basename(os.path.abspath(pattern)): _commit(source, pattern)}
    if os.path.isdir(pattern):  # first of all: a folder's name may hold a bracket
        matches = dict(_walk(source, pattern))
        if source.reader == "code":
            matches |= {path: _commit(source, os.path.join(pattern, path), among_others=True) for path in _repositories(pattern)}
        if all(kind in _COUNTED for *_, kind in matches.values()):
            raise PlanError(
                f"Source '{source.name}': the folder {pattern} holds no file that the reader '{source.reader}' takes. Name the files by a pattern, such as {pattern}/**/*."
            )
        return matches
    if os.path.lexists(pattern):
        return {os.path.basename(pattern): _named(source, pattern)}
    if not _has_magic(pattern):
        raise SourceError(f"Source '{source.name}': there is no file or folder {pattern}. Check the path, or remove it from the recipe's `files`.")
    prefix = _fixed_prefix(os.path.abspath(pattern))
    if os.path.isdir(prefix) and not os.access(prefix, os.R_OK | os.X_OK):
        raise SourceError(f"Source '{source.name}': the folder {prefix} cannot be listed. Check its permissions.")
    matches = {}
    for location in fsspec.filesystem("file").glob(os.path.abspath(pattern)):
        path = os.path.relpath(location, prefix or "/")
        if (found := _met(source, path, location)) is None:
            if source.reader == "code" and git.is_repository(location):
                matches[path] = _commit(source, location, among_others=True)
        elif source.reader != "code" or not VERSION_CONTROL.intersection(path.split("/")):
            matches[path] = found
    if all(kind in _COUNTED for *_, kind in matches.values()):
        raise _nothing(source, pattern)
    return matches


def _walk(source: Source, folder: str) -> Iterator[tuple[str, _Found]]:
    """What lies under a folder, by its path in it; links are not followed where code is read, so that no tree is left or read twice."""
    code = source.reader == "code"

    def refuse(error: OSError) -> None:
        raise SourceError(f"Source '{source.name}': the folder {error.filename} cannot be listed: {error.strerror}. Check its permissions.") from error

    for here, folders, names in os.walk(folder, onerror=refuse, followlinks=False):
        names += [f for f in folders if code and os.path.islink(os.path.join(here, f))]
        folders[:] = sorted(f for f in folders if f not in VERSION_CONTROL and not (code and git.is_repository(os.path.join(here, f))))
        for name in names:
            location = os.path.join(here, name)
            path = os.path.relpath(location, folder)
            if _wanted(source, path) and (found := _met(source, path, location)) is not None:
                yield path, found


def _repositories(folder: str) -> Iterator[str]:
    """Git repositories below a folder, relative; none within another."""
    for here, folders, _ in os.walk(folder, followlinks=False):
        folders[:] = [f for f in folders if not os.path.islink(os.path.join(here, f))]
        found = sorted(f for f in folders if f not in VERSION_CONTROL and git.is_repository(os.path.join(here, f)))
        folders[:] = sorted(set(folders) - set(found) - VERSION_CONTROL)
        yield from (os.path.relpath(os.path.join(here, f), folder) for f in found)


def _commit(source: Source, location: str, among_others: bool = False) -> _Found:
    """A git repository as one input: its commit says what it holds. Among others, one without a commit is an input whose reading reports it."""
    try:
        opened = git.open_at(location, source.revision)
        return os.path.abspath(location), opened.size_bytes, opened.commit, "repository"
    except SourceError:
        if not among_others:
            raise
        return os.path.abspath(location), 0, f"no commit {source.revision}", "repository"


def _kind(source: Source, path: str) -> Kind:
    return "archive" if source.reader == "code" and path.lower().endswith(ARCHIVES) else "file"


def _met(source: Source, path: str, location: str) -> _Found | None:
    """What a folder or a pattern gives: a file, or, where code is read, what is none and is counted. None for folders and what cannot be looked at."""
    code = source.reader == "code"
    try:
        about = os.lstat(location) if code else os.stat(location)
    except OSError:
        return None
    if stat.S_ISREG(about.st_mode):
        return os.path.abspath(location), about.st_size, "", _kind(source, path)
    if not code or stat.S_ISDIR(about.st_mode):
        return None
    kind: Kind = "link" if stat.S_ISLNK(about.st_mode) else "socket" if stat.S_ISSOCK(about.st_mode) else "device"
    return os.path.abspath(location), 0, kind, kind


def _named(source: Source, location: str) -> _Found:
    """A file that the recipe names outright; a link to it is followed."""
    try:
        about = os.stat(location)
    except OSError as error:
        raise SourceError(f"Source '{source.name}': {location} cannot be opened: {error.strerror}.") from error
    if not stat.S_ISREG(about.st_mode):
        raise SourceError(f"Source '{source.name}': {location} is a pipe, a socket or a device, not a file. Remove it from the recipe's `files`.")
    return os.path.abspath(location), about.st_size, "", _kind(source, location)


def _remote(source: Source, pattern: str) -> dict[str, _Found]:
    try:
        fs, root = fsspec.core.url_to_fs(pattern)
        fs.invalidate_cache()
        if _has_magic(root):
            infos = fs.glob(root, detail=True)
            prefix = _fixed_prefix(root)
            entries = {name: info for name, info in infos.items() if info["type"] == "file"}
        elif fs.isdir(root):
            prefix = root.rstrip("/")
            infos = fs.find(root, detail=True)
            entries = {name: info for name, info in infos.items() if _wanted(source, name[len(prefix) :].lstrip("/"))}
        else:
            prefix = root.rpartition("/")[0]
            entries = {root: fs.info(root)}
    except (OSError, ValueError, ImportError) as error:
        raise SourceError(
            f"Source '{source.name}': {pattern} cannot be listed: {error or type(error).__name__}. Check the address, the network and the credentials."
        ) from error
    if not entries:
        raise _nothing(source, pattern)
    matches = {}
    for name, info in entries.items():
        path = name[len(prefix) :].lstrip("/") if prefix else name.lstrip("/")
        matches[path] = (fs.unstrip_protocol(name), int(info.get("size") or 0), _etag(info), _kind(source, path))
    return matches


def _etag(info: dict[str, Any]) -> str:
    """What the store itself says of the content; empty where it says nothing, and then the content is hashed."""
    for key in ("ETag", "etag", "md5Hash", "content_md5", "checksum"):
        if info.get(key):
            return str(info[key]).strip('"')
    return ""
