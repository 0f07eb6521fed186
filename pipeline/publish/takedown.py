"""Takedown: every document that a request names, its copies and near-duplicates in every release, and the tombstones that keep them out.

Named are documents in training and validation rows, in `removed/` and in the ledger: what a version dropped, the next might keep. Copies are those
that the ledger links to them. Near-duplicates are found by signatures: the stored ones where this program can compare them, else made of the texts.
A candidate is verified by the exact Jaccard similarity of the two texts. Where one of them is not at hand (a signature of an earlier tombstone), the estimate
decides, with a margin of two standard errors in favour of taking down.

Releases are immutable: nothing is changed in them. The tombstone file that is written makes the next version do without; withdrawing old
ones is the publisher's act. Nothing written holds a text. Costs: the releases' ids, URLs and signatures are read row group by row group (2 kB a
wanted document in memory), texts only where candidates lie. Near-duplicates of near-duplicates stay.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from pipeline.dedup.lookup import Lookup
from pipeline.dedup.signatures import shingle_sets, signatures
from pipeline.dedup.tombstones import (
    KINDS,
    REMARK,
    SIGNATURE_BYTES,
    Tombstones,
    parse_host,
    parse_id,
    parse_line,
    parse_url,
    read_tombstones,
    signature_version,
)
from pipeline.dedup.verify import verify_cluster
from pipeline.errors import PlanError, StoreError
from pipeline.shards import Release, open_release
from pipeline.store import Store, full_disk_told

_PLACES = {"data": "train", "validation": "validation", "removed": "removed", "ledger": "ledger"}
_HEAD = "# What was taken down, one a line. A recipe that names this file under `release: {tombstones: …}` does without it.\n"
_PARTNERS = 4  # of those that a candidate is most like, so many are compared with it exactly


@dataclass(frozen=True)
class Why:
    """Why a document goes: asked for by id, url or host; a copy, by the ledger; or alike, to a document or to what was asked for."""

    kind: str
    other: str | None = None
    similarity: float | None = None
    exact: bool = True

    def __str__(self) -> str:
        if self.other is None:
            return f"asked for by {self.kind}"
        other = "a text that was given" if self.other.startswith("text:") else self.other  # a path says who asked
        return f"{self.kind} {'to' if self.kind == 'alike' else 'of'} {other}" + (
            "" if self.similarity is None else f", similarity {'' if self.exact else 'about '}{self.similarity:.2f}"
        )


@dataclass(frozen=True)
class Sighting:
    """A document that goes, and where it stands: release, place (train, validation, removed with its text, or ledger) and file."""

    id: str
    release: str
    place: str
    file: str
    why: Why


@dataclass(frozen=True)
class Takedown:
    """What was found and written. Prints as a page."""

    out: str
    sightings: tuple[Sighting, ...]
    unfound: tuple[str, ...]  # requests that no release knows; their lines are written all the same
    added: tuple[str, ...]  # the tombstones that are new in `out`

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(title=f"Taken down: {len({s.id for s in self.sightings}):,} documents", title_justify="left")
        table.add_column("release")
        for place in _PLACES.values():
            table.add_column(place, justify="right")
        counts = Counter((s.release, s.place) for s in self.sightings)
        for release in dict.fromkeys(s.release for s in self.sightings):
            table.add_row(release, *(f"{counts[release, place]:,}" for place in _PLACES.values()))
        yield table
        for i, why in list({s.id: s.why for s in self.sightings}.items())[:20]:
            yield f"  {i}  {why}"
        for request in self.unfound:
            yield f"Found in no release, and kept out of later ones all the same: {request}".replace("[", "\\[")
        yield f"{len(self.added):,} new tombstones in {self.out}".replace("[", "\\[") + (
            ". Name it in the recipe under `release: {tombstones: …}`, raise `version:`, run again, and withdraw the releases that hold its text."
            if self.sightings
            else "."
        )


def takedown(requests: Sequence[str], releases: Sequence[str], out: str, *, threshold: float = 0.8, date: str | None = None) -> Takedown:
    """Find what is asked for, and what is at least `threshold` like it, in some releases; add the tombstones that `out` does not hold yet.

    A request is an id, a URL, a host (its subdomains too), `text:PATH` for the text in a file, a line of a tombstone file, or a file with one of these a line.
    `date` is remarked above the new lines. The same requests and releases once more add nothing.
    Raises PlanError for a request that is none of these, and StoreError for a release that cannot be read. Either way nothing is written.
    """
    if not 0.5 <= threshold <= 1:
        raise PlanError(f"--threshold {threshold:g}: a similarity lies between 0.5 and 1; 0.8 is what the recipes take for a near-duplicate.")
    if date is not None and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
        raise PlanError(f"--date {date}: write it as 2026-12-31.")
    if not releases:
        raise PlanError("There is no release to search. Give the work folder that holds them with --work, or their paths with --release.")
    asked = _Asked()
    for request in requests:
        asked.add(request)
    if not asked.lines and not asked.texts:
        raise PlanError("Nothing is asked for: give an id, a URL, a host, or a file of them.")
    before = read_tombstones([out]) if os.path.exists(out) else Tombstones()
    opened = [open_release(path) for path in releases]

    named, met = _named(opened, asked.said)
    asked.check(met)
    found = {i: Why(kind) for i, kind in named.items()}
    found |= _copies(opened, found, threshold)
    wanted = _Wanted(threshold)
    for release, ids, values in _signatures(opened):
        wanted.add(release, ids, values, found)
    wanted.add_asked(asked)
    pairs = _verified(opened, wanted, list(_candidates(opened, wanted, found)), threshold)
    met |= {why.other for _, why in pairs if why.other}
    alike: dict[str, Why] = {}
    for i, why in pairs:
        if i not in found and (i not in alike or (why.similarity or 0) > (alike[i].similarity or 0)):
            alike[i] = why
    found |= alike
    found |= _copies(opened, alike, threshold, found)

    said = asked.said
    signed = {(threshold, signature) for signature in wanted.signatures()} | set(said.similar)
    tombstones = Tombstones(said.ids | found.keys(), said.urls, said.hosts, tuple(sorted(signed)))
    known = set(before.lines())
    added = tuple(line for line in tombstones.lines() if line not in known)
    if added:
        _write(out, added, found, date)
    return Takedown(out, tuple(_sightings(opened, _packs(opened, found) | found)), tuple(name for name in asked.names() if name not in met), added)


def releases_in(work: str) -> list[str]:
    """The paths of all releases of a work folder, by name."""
    store = Store(work)
    return [store.at(f"releases/{name}") for name in store.list("releases") if store.exists(f"releases/{name}/manifest.json")]


# --- what is asked for ----------------------------------------------------------------------------------------------------------


@dataclass
class _Asked:
    """Requests, taken apart."""

    lines: list[tuple[str, Any]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)  # text:PATH -> what stands there
    guesses: dict[str, str] = field(default_factory=dict)  # a request without a sign of what it is -> the line that it was taken for

    @property
    def said(self) -> Tombstones:
        return Tombstones.of(self.lines)

    def names(self) -> list[str]:
        """What was asked for, one spelling each."""
        return [*(line for line in self.said.lines() if not line.startswith("signature")), *self.texts]

    def add(self, request: str, within: str = "") -> None:
        """One request, or one line of a file of requests (`within` says which)."""
        where = f"{within}: " if within else ""
        request = request.strip()
        try:
            if request.startswith("text:"):
                self.texts[request] = _text(request.removeprefix("text:").strip())
            elif request.partition(":")[0] in KINDS:
                self.lines += [one for one in [parse_line(request)] if one]
            elif re.fullmatch(r"[0-9a-fA-F]{32}", request):
                self.lines.append(("id", parse_id(request)))
            elif "://" in request:
                self.lines.append(("url", parse_url(request)))
            elif not within and os.path.isfile(request):
                self._file(request)
            else:
                self._guess(request)
        except ValueError as error:
            raise PlanError(f"{where}{error}.") from None

    def _file(self, path: str) -> None:
        try:
            with open(path, encoding="utf-8-sig") as opened:
                lines = opened.read().split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"The file of requests {path} cannot be read: {error}. It is text in UTF-8, a request a line.") from error
        for number, line in enumerate(lines, 1):
            if content := REMARK.split(line, maxsplit=1)[0].strip():
                self.add(content, f"{path}:{number}")

    def _guess(self, request: str) -> None:
        """A bare name: of a host, or of a file in a repository, whose URL has no scheme. It must be found, since it may be a file's name misspelt."""
        if "/" in request:
            self.guesses[request] = f"url: {parse_url(request)}"
        else:
            try:
                self.guesses[request] = f"host: {parse_host(request)}"
            except ValueError:
                raise ValueError(
                    f"'{request[:80]}' is no id (32 hex digits), no URL, no host, and no file here; the text of a file is asked for by text:PATH"
                ) from None
        self.lines += [one for one in [parse_line(self.guesses[request])] if one]

    def check(self, met: set[str]) -> None:
        for request, line in self.guesses.items():
            if line not in met:
                raise PlanError(
                    f"'{request}' is no file here, and no document in these releases is called so. A URL begins with https://; if it is meant as it stands, write '{line}'."
                )


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as opened:
            text = opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"The text {path} cannot be read: {error}. It is a text file in UTF-8.") from error
    if not signatures([text])[1][0]:
        raise PlanError(f"The text {path} holds no words: nothing could be compared with it.")
    return text


# --- reading releases -------------------------------------------------------------------------------------------------------------


def _groups(release: Release, folders: Iterable[str], columns: list[str]) -> Iterator[tuple[str, pq.ParquetFile, int, pa.Table]]:
    """Some columns of every row group of some folders' files: file, the open file, the group's number, its columns."""
    chosen = tuple(f"{folder}/" for folder in folders)
    for name in sorted(release.manifest["files"]):
        if name.startswith(chosen):
            with release.store.open(name) as handle:
                try:
                    opened = pq.ParquetFile(handle)
                    for number in range(opened.num_row_groups):
                        yield name, opened, number, opened.read_row_group(number, columns)
                except (pa.ArrowException, OSError) as error:
                    raise StoreError(f"{release.store.at(name)} is damaged ({error}). Fetch the release again; `verify` says what else is.") from error


def _named(opened: Sequence[Release], said: Tombstones) -> tuple[dict[str, str], set[str]]:
    """Documents that are named outright: id -> by what; and the lines that name some."""
    found: dict[str, str] = {}
    met: set[str] = set()
    for release in opened:
        for _, _, _, group in _groups(release, _PLACES, ["id", "url"]):
            for i, line in zip(group.column("id").to_pylist(), said.naming(group.column("id"), group.column("url")), strict=True):
                if line is not None:
                    met.add(line)
                    if i is not None:  # records that could not be read have none
                        found.setdefault(i, line.partition(":")[0])
    return found, met


def _copies(opened: Sequence[Release], ids: Iterable[str], threshold: float, known: Iterable[str] = ()) -> dict[str, Why]:
    """What the ledgers link to some documents as a copy, in either direction and from copy to copy: each was compared when it was dropped."""
    found: dict[str, Why] = {}
    frontier = set(ids)
    seen = frontier.union(known)
    while frontier:
        fresh: dict[str, Why] = {}
        asked = pa.array(sorted(frontier), pa.string())
        for release in opened:
            for _, _, _, group in _groups(release, ["ledger"], ["id", "reason", "value", "other"]):
                near = pc.and_(pc.starts_with(group.column("reason"), "similarity <"), pc.greater_equal(group.column("value"), threshold))
                linked = pc.or_kleene(pc.starts_with(group.column("reason"), "copies_by_"), near)
                touched = pc.or_(pc.is_in(group.column("id"), value_set=asked), pc.is_in(group.column("other"), value_set=asked))
                for row in group.filter(pc.and_kleene(linked, touched)).to_pylist():
                    similarity = row["value"] if row["reason"].startswith("similarity") else None
                    for one, other in ((row["id"], row["other"]), (row["other"], row["id"])):
                        if other in frontier and one is not None and one not in seen:
                            fresh.setdefault(one, Why("copy", other, similarity))
        seen |= fresh.keys()
        found |= fresh
        frontier = set(fresh)
    return found


def _packs(opened: Sequence[Release], found: dict[str, Why]) -> dict[str, Why]:
    """Rows that hold the text of a file that goes, packed with its repository. They are told of; the next version packs what is left."""
    asked = pa.array(sorted(found), pa.string())
    holders: dict[str, Why] = {}
    for release in opened:
        for _, _, _, group in _groups(release, ["ledger"], ["id", "stage", "other"]):
            for row in group.filter(pc.and_(pc.equal(group.column("stage"), "pack"), pc.is_in(group.column("id"), value_set=asked))).to_pylist():
                holders.setdefault(row["other"], Why("pack", row["id"]))
    return holders


def _signatures(opened: Sequence[Release]) -> Iterator[tuple[int, list[str], np.ndarray]]:
    """Ids and signatures of all rows that have texts, in parts: number of the release, ids, (ids, 112) uint32."""
    for number, release in enumerate(opened):
        stored = _are_stored(release)
        for _, _, _, group in _groups(release, ["signatures"] if stored else [], ["id", "signature"]):
            rows = group.filter(pc.is_valid(group.column("signature"))).combine_chunks()
            if rows.num_rows:
                yield number, rows.column("id").to_pylist(), _matrix(rows.column("signature").chunk(0))
        for _, _, _, group in _groups(release, ["removed"] if stored else ["data", "validation", "removed"], ["id", "text"]):
            rows = group.filter(pc.and_(pc.is_valid(group.column("text")), pc.is_valid(group.column("id"))))
            if rows.num_rows:
                values, shingles = signatures(rows.column("text"))
                told = shingles > 0
                yield number, rows.column("id").filter(pa.array(told)).to_pylist(), values[told]


def _matrix(packed: pa.FixedSizeBinaryArray) -> np.ndarray:
    data = np.frombuffer(packed.buffers()[1], np.uint8)[packed.offset * SIGNATURE_BYTES :][: len(packed) * SIGNATURE_BYTES]
    return data.view("<u4").reshape(-1, SIGNATURE_BYTES // 4).astype(np.uint32)


def _engines(release: Release) -> list[dict[str, str]]:
    return [made for made in release.manifest.get("engines", {}).values() if isinstance(made, dict)]


def _are_stored(release: Release) -> bool:
    """Whether the release has a signature of every row, of the version that is made here."""
    rows: Counter[str] = Counter()
    for name, about in release.manifest["files"].items():
        rows[name.partition("/")[0]] += about.get("rows", 0)
    versions = {f"{made['shingles']}.{made['fold']}" for made in _engines(release) if {"shingles", "fold"} <= made.keys()}
    return versions == {signature_version()} and 0 < rows["signatures"] == rows["data"] + rows["validation"]


# --- near-duplicates ----------------------------------------------------------------------------------------------------------------


class _Wanted:
    """The signatures of what is taken down, and whose they are: a row of a release, a text that was given, or a bare signature."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.owners: list[tuple[int, str] | str | None] = []
        self.rows: list[bytes] = []
        self.least: list[float] = []
        self.texts = False
        self._seen: set[tuple[str, bytes]] = set()

    def add(self, release: int, ids: list[str], values: np.ndarray, found: dict[str, Why]) -> None:
        for row, i in enumerate(ids):
            if i in found:
                self._add((release, i), values[row].astype("<u4").tobytes(), i, _lowered(self.threshold, 3))

    def add_asked(self, asked: _Asked) -> None:
        for name, text in asked.texts.items():
            self.texts = True
            self._add(name, signatures([text])[0][0].astype("<u4").tobytes(), name, _lowered(self.threshold, 3))
        for least, signature in asked.said.similar:
            self._add(None, signature, "", _lowered(least, 2))

    def _add(self, owner: tuple[int, str] | str | None, signature: bytes, name: str, least: float) -> None:
        if (name, signature) not in self._seen:  # most releases have the same text under the same id
            self._seen.add((name, signature))
            self.owners.append(owner)
            self.rows.append(signature)
            self.least.append(least)

    def signatures(self) -> list[bytes]:
        """Of the rows and texts, each once."""
        return sorted({row for owner, row in zip(self.owners, self.rows, strict=True) if owner is not None})

    def lookup(self) -> Lookup:
        return Lookup(np.frombuffer(b"".join(self.rows), "<u4").reshape(-1, SIGNATURE_BYTES // 4), np.array(self.least))


def _lowered(threshold: float, errors: float) -> float:
    """A threshold less some standard errors of the estimate: three where texts decide in the end, two where nothing else does."""
    return threshold - errors * math.sqrt(threshold * (1 - threshold) / (SIGNATURE_BYTES // 4))


@dataclass(frozen=True)
class _Candidate:
    release: int
    id: str
    partner: int  # its number in _Wanted
    estimate: float


def _candidates(opened: Sequence[Release], wanted: _Wanted, found: dict[str, Why]) -> Iterator[_Candidate]:
    if not wanted.rows:
        return
    lookup = wanted.lookup()
    for release, ids, values in _signatures(opened):
        rows = np.flatnonzero([wanted.texts or i not in found for i in ids])  # a text may be that of a document that was named too
        partners, estimates = lookup.partners(values[rows], _PARTNERS)
        for row, place in np.argwhere(partners >= 0).tolist():
            yield _Candidate(release, ids[rows[row]], int(partners[row, place]), float(estimates[row, place]))


def _verified(opened: Sequence[Release], wanted: _Wanted, candidates: Sequence[_Candidate], threshold: float) -> list[tuple[str, Why]]:
    """Candidates that are alike, and to what, by their texts where both are at hand. Memory: the shingles of those texts."""
    needed: set[tuple[int, str]] = set()
    for c in candidates:
        owner = wanted.owners[c.partner]
        if owner is not None:
            needed.add((c.release, c.id))
        if isinstance(owner, tuple):
            needed.add(owner)
    sets = dict(_sets(opened, needed))
    found: list[tuple[str, Why]] = []
    for c in candidates:
        owner = wanted.owners[c.partner]
        if isinstance(owner, str) and owner not in sets:
            sets[owner] = shingle_sets([_text(owner.removeprefix("text:").strip())])[0]
        similarity = c.estimate if owner is None else _jaccard(sets[owner], sets[c.release, c.id], threshold)
        if similarity is not None:
            other = owner[1] if isinstance(owner, tuple) else owner or "a signature"
            found.append((c.id, Why("alike", other, similarity, exact=owner is not None)))
    return found


def _jaccard(a: np.ndarray, b: np.ndarray, threshold: float) -> float | None:
    """The exact similarity of two sets of shingles where it reaches the threshold."""
    kept, _, score = verify_cluster(np.concatenate([a, b]), np.array([0, len(a), len(a) + len(b)]), threshold)
    return None if kept[1] else float(score[1])


def _sets(opened: Sequence[Release], needed: set[tuple[int, str]]) -> Iterator[tuple[tuple[int, str] | str, np.ndarray]]:
    """The shingles of some rows' texts."""
    for number, release in enumerate(opened):
        asked = pa.array(sorted(i for of, i in needed if of == number), pa.string())
        for name, file, group, ids in _groups(release, ["data", "validation", "removed"] if len(asked) else [], ["id"]):
            rows = pc.is_in(ids.column("id"), value_set=asked)
            if pc.any(rows).as_py():
                try:
                    texts = file.read_row_group(group, ["id", "text"]).filter(rows)
                except (pa.ArrowException, OSError) as error:
                    raise StoreError(f"{release.store.at(name)} is damaged ({error}). Fetch the release again; `verify` says what else is.") from error
                texts = texts.filter(pc.is_valid(texts.column("text")))
                values, offsets = shingle_sets(texts.column("text"))
                for row, i in enumerate(texts.column("id").to_pylist()):
                    yield (number, i), values[offsets[row] : offsets[row + 1]].copy()


# --- what comes of it -----------------------------------------------------------------------------------------------------------------


def _sightings(opened: Sequence[Release], found: dict[str, Why]) -> Iterator[Sighting]:
    asked = pa.array(sorted(found), pa.string())
    for release in opened:
        name = f"{release.manifest['name']}@{release.manifest['version']}"
        for folder, place in _PLACES.items():
            for file, _, _, group in _groups(release, [folder], ["id", "text"] if place == "removed" else ["id"]):
                there = pc.is_in(group.column("id"), value_set=asked)
                if place == "removed":
                    there = pc.and_(there, pc.is_valid(group.column("text")))
                for i in group.column("id").filter(there).to_pylist():
                    yield Sighting(i, name, place, file, found[i])


def _write(out: str, added: Sequence[str], found: dict[str, Why], date: str | None) -> None:
    """Add lines behind what the file holds; whole or not at all."""
    lines = [f"# {date}"] if date else []
    for line in added:
        why = found.get(line.removeprefix("id: "))
        lines.append(f"{line}  # {why}" if why and line.startswith("id: ") else line)
    try:
        with full_disk_told(out):
            before = _HEAD
            if os.path.exists(out):
                with open(out, encoding="utf-8", newline="") as opened:
                    before = opened.read()
                before += "" if before.endswith("\n") or not before else "\n"
            with open(f"{out}.tmp-{os.getpid()}", "w", encoding="utf-8", newline="") as handle:
                handle.write(before + "\n".join(lines) + "\n")
            os.replace(f"{out}.tmp-{os.getpid()}", out)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror or error}. Give another place with --out.") from error
