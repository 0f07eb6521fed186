"""The last word on every document of two releases, joined by id. From their files alone: columns of numbers, never texts unless asked.

Every row of data/, validation/ and the ledger becomes 41 bytes: the id, a number for the verdict, tokens, repeats and a hash of what the
text is like. Where these are more than `AT_ONCE` rows, they are parted by a hash of the id into temporary files, each joined by itself: files
are read once, memory is about 100 bytes times `AT_ONCE` whatever the releases' size, and the temporary files take 41 bytes a row.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipeline.errors import StoreError
from pipeline.rounds import partition_of
from pipeline.shards import Release
from pipeline.store import full_disk_told

AT_ONCE = 6_000_000  # rows of both releases together that are joined at a time
SIZES = ("token_count", "text_bytes", "characters")  # what tells another text where texts are not read

_ROW = np.dtype(
    [("high", "u8"), ("low", "u8"), ("content", "u8"), ("tokens", "i8"), ("code", "i4"), ("repeats", "i4"), ("side", "u1")]
)  # packed: it is written to temporary files as it is
_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Verdict:
    """What became of a document: kept in a split, or dropped by a stage for a reason."""

    domain: str
    split: str | None = None  # train or validation where it was kept
    stage: str = ""
    reason: str = ""

    @property
    def kept(self) -> bool:
        return self.split is not None

    @property
    def measure(self) -> str:
        """What the broken bound is about: `word_count` of `word_count >= 50`; a reason that is no bound, as it is."""
        name, *bound = self.reason.split(" ")
        return name if bound and bound[0] in (">=", "<=", "<", ">", "is") else self.reason

    @property
    def place(self) -> tuple[str, str, str]:
        """Two verdicts with the same place differ in nothing but the number at which a bound stands."""
        return (self.split or "", self.stage, self.domain if self.kept else self.measure)

    @property
    def order(self) -> tuple[str, ...]:
        """By which verdicts are listed."""
        return (*self.place, self.reason, self.domain)

    def plain(self) -> dict[str, str]:
        """As JSON has it."""
        return {"split": self.split or "", "domain": self.domain} if self.kept else {"stage": self.stage, "reason": self.reason}


@dataclass
class Group:
    """Documents with the same verdict in A, and the same in B. Pairs are (of A, of B)."""

    documents: int = 0
    tokens: tuple[int, int] = (0, 0)
    tokens_with_repeats: tuple[int, int] = (0, 0)
    other_repeats: int = 0
    other_text: int = 0
    examples: list[str] = field(default_factory=list)
    other_repeats_examples: list[str] = field(default_factory=list)
    other_text_examples: list[str] = field(default_factory=list)

    def add(self, more: "Group", most: int) -> None:
        """Add a group of other documents; of the examples those with the lowest ids stay."""
        for name in ("documents", "other_repeats", "other_text"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        for name in ("tokens", "tokens_with_repeats"):
            (a, b), (c, d) = getattr(self, name), getattr(more, name)
            setattr(self, name, (a + c, b + d))
        for name in ("examples", "other_repeats_examples", "other_text_examples"):
            setattr(self, name, sorted(getattr(self, name) + getattr(more, name))[:most])


@dataclass
class Joined:
    """All pairs of verdicts that occur, None where a release never saw the document."""

    groups: dict[tuple[Verdict | None, Verdict | None], Group]
    without_id: tuple[int, int]  # records that became no document: the ledger's rows without an id
    repeated: tuple[int, int]  # further rows of an id that has one already: copies that went by `deduplicate: {by: id}`


@dataclass
class Side:
    """A release as rows of numbers; the numbers of its verdicts are given out as they are met."""

    release: Release
    number: int
    codes: dict[Verdict, int] = field(default_factory=dict)
    without_id: int = 0

    @cached_property
    def _order(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.release.stats["stages"])}

    def files(self, *folders: str) -> list[str]:
        """The Parquet files of some folders, in order."""
        return sorted(f for f in self.release.manifest["files"] if f.split("/")[0] in folders and f.endswith(".parquet"))

    def rows_in_all(self) -> int:
        return sum(self.release.manifest["files"][f]["rows"] for f in self.files("data", "validation", "ledger"))

    def columns(self) -> set[str]:
        """The columns of the documents."""
        found = [set(self._schema(f)) for f in self.files("data", "validation")[:1]]
        return found[0] if found else set(SIZES)

    def _schema(self, file: str) -> list[str]:
        with self.release.store.open(file) as handle:
            return list(pq.ParquetFile(handle).schema_arrow.names)

    def batches(self, file: str, columns: Iterable[str]) -> Iterator[pa.RecordBatch]:
        """A file's batches, of some columns. StoreError where it cannot be read."""
        try:
            with self.release.store.open(file) as handle:
                yield from pq.ParquetFile(handle).iter_batches(columns=list(columns))
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(
                f"{self.release.store.at(file)} cannot be read ({error}). See what is wrong: python -m pipeline verify {self.release.path}"
            ) from error

    def verdict(self, row: dict[str, Any]) -> Verdict:
        """The verdict that a row of `find` stands for."""
        return Verdict(row["domain"] or "other", row.get("split"), row.get("stage", ""), row.get("reason", ""))

    def rank(self, verdict: Verdict) -> tuple[bool, int, str, str]:
        """The last word has the lowest: kept, else the stage that it got furthest to."""
        return (not verdict.kept, -self._order.get(verdict.stage, -1), verdict.reason, verdict.domain)

    def ranks(self) -> np.ndarray:
        """The place of every code in that order. (codes,) int64"""
        places = {v: i for i, v in enumerate(sorted(self.codes, key=self.rank))}
        return np.array([places[v] for v in self.codes], np.int64)

    def _code(self, verdict: Verdict) -> int:
        return self.codes.setdefault(verdict, len(self.codes))

    def rows(self, sizes: tuple[str, ...], text: bool) -> Iterator[np.ndarray]:
        """Every row with an id, some ten thousand at a time. (rows,) _ROW"""
        for file in self.files("data", "validation"):
            code = self._code(Verdict(file.split("/")[1], "train" if file.startswith("data/") else "validation"))
            for batch in self.batches(file, dict.fromkeys(["id", "token_count", "repeats", *sizes, *(["text"] if text else [])])):
                rows = self._empty(batch.column("id"), file)
                rows["code"] = code
                rows["tokens"] = batch.column("token_count").to_numpy()
                rows["repeats"] = batch.column("repeats").to_numpy()
                for name in sizes:
                    rows["content"] = (rows["content"] ^ batch.column(name).to_numpy().astype(np.uint64)) * _MIX
                if text:
                    rows["content"] = np.fromiter((xxhash.xxh3_64_intdigest(t.as_buffer()) for t in batch.column("text")), np.uint64, len(rows))
                yield rows
        for file in self.files("ledger"):
            for batch in self.batches(file, ("id", "domain", "stage", "reason")):
                known = batch.filter(pc.is_valid(batch.column("id")))
                self.without_id += batch.num_rows - known.num_rows
                rows = self._empty(known.column("id"), file)
                rows["code"] = self._ledger_codes(known)
                yield rows

    def _empty(self, ids: pa.Array, file: str) -> np.ndarray:
        rows = np.zeros(len(ids), _ROW)
        rows["side"] = self.number
        rows["high"], rows["low"] = _halves(ids, self.release.store.at(file))
        return rows

    def _ledger_codes(self, batch: pa.RecordBatch) -> np.ndarray:
        parts = [pc.fill_null(batch.column(c), "other").dictionary_encode() for c in ("domain", "stage", "reason")]
        key = np.zeros(batch.num_rows, np.int64)
        for part in parts:
            key = key * max(1, len(part.dictionary)) + part.indices.to_numpy()
        keys, first, where = np.unique(key, return_index=True, return_inverse=True)
        codes = np.zeros(len(keys), np.int64)
        for i, row in enumerate(first.tolist()):
            domain, stage, reason = (part[row].as_py() for part in parts)
            codes[i] = self._code(Verdict(domain, None, stage, reason))
        return codes[where]

    def find(self, ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
        """All rows of some documents, as plain values: where kept, `split`; where dropped, `stage`, `reason`, `value`, `other`."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        found: dict[str, list[dict[str, Any]]] = {i: [] for i in wanted.to_pylist()}
        for file in self.files("data", "validation", "ledger") if found else ():
            folder, domain = file.split("/")[:2]
            kept = {} if folder == "ledger" else {"split": "train" if folder == "data" else "validation", "domain": domain}
            for batch in self.batches(file, ("id", "url", "token_count", "repeats") if kept else ("id", "url", "domain", "stage", "reason", "value", "other")):
                for row in batch.filter(pc.is_in(batch.column("id"), value_set=wanted)).to_pylist():
                    found[row["id"]].append({**row, **kept})
        return found


def join(a: Release, b: Release, text: bool = False, examples: int = 0) -> tuple[Joined, Side, Side, tuple[str, ...]]:
    """Join the verdicts of two releases; also both sides, to look documents up, and what texts were compared by.

    Raises StoreError for a file that is missing or damaged, and for ids that are not 32 hex digits.
    """
    sides = (Side(a, 0), Side(b, 1))
    common = sides[0].columns() & sides[1].columns()
    same_tokenizer = a.manifest["tokenizer"] == b.manifest["tokenizer"]
    sizes = () if text else tuple(c for c in SIZES if c in common and (c != "token_count" or same_tokenizer))
    parts = max(1, -(-sum(s.rows_in_all() for s in sides) // AT_ONCE))
    joined = Joined({}, (0, 0), (0, 0))
    rows = (some for side in sides for some in side.rows(sizes, text))
    for part in _parted(rows, parts):
        _join(part, sides, joined, examples)
    joined.without_id = (sides[0].without_id, sides[1].without_id)
    return joined, *sides, ("text",) if text else sizes


def _parted(batches: Iterable[np.ndarray], parts: int) -> Iterator[np.ndarray]:
    """The rows in `parts` parts by a hash of the id, one after the other."""
    if parts == 1:
        held = list(batches)
        yield np.concatenate(held) if held else np.zeros(0, _ROW)
        return
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="skypile-diff-"))
        with full_disk_told(folder):
            files = [stack.enter_context(open(f"{folder}/{i}", "w+b")) for i in range(parts)]
            for rows in batches:
                part = partition_of((rows["high"] ^ rows["low"]) * _MIX, parts)
                for i in range(parts):
                    files[i].write(rows[part == i].tobytes())
            for file in files:
                file.flush()
        for file in files:
            file.seek(0)
            yield np.fromfile(file, _ROW)


def _join(rows: np.ndarray, sides: tuple[Side, Side], joined: Joined, most: int) -> None:
    """Add all documents of `rows` to the groups they belong to."""
    ranks = [side.ranks() for side in sides]
    last = np.zeros(len(rows), np.int64)
    for side, ranked in enumerate(ranks):
        mine = rows["side"] == side
        last[mine] = (side << 40) + ranked[rows["code"][mine]]
    rows = rows[np.lexsort((last, rows["low"], rows["high"]))]
    begins = np.ones(len(rows), bool)  # of a document
    begins[1:] = (rows["high"][1:] != rows["high"][:-1]) | (rows["low"][1:] != rows["low"][:-1])
    first = begins.copy()  # the last word of a release on it
    first[1:] |= rows["side"][1:] != rows["side"][:-1]
    extra = np.bincount(rows["side"][~first], minlength=2).tolist()
    joined.repeated = (joined.repeated[0] + extra[0], joined.repeated[1] + extra[1])
    rows, begins = rows[first], begins[first]
    start = np.flatnonzero(begins)
    two = np.append(~begins, False)[start + 1] if len(start) else np.zeros(0, bool)
    in_b = rows["side"][start] == 1
    at = (np.where(in_b, -1, start), np.where(in_b, start, np.where(two, start + 1, -1)))
    code_a, code_b = (np.where(i < 0, 0, rows["code"][i] + 1) if len(rows) else i for i in at)
    pairs, group = np.unique(code_a.astype(np.int64) * (len(sides[1].codes) + 1) + code_b, return_inverse=True)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(pairs)))
    names = [[None, *side.codes] for side in sides]
    for pair, begin, end in zip(pairs.tolist(), [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        mine = order[begin:end]
        a, b = (rows[i[mine]] if i[mine[0]] >= 0 else None for i in at)
        key = (names[0][pair // len(names[1])], names[1][pair % len(names[1])])
        joined.groups.setdefault(key, Group()).add(_group(a, b, most), most)


def _group(a: np.ndarray | None, b: np.ndarray | None, most: int) -> Group:
    """The documents whose rows are `a` in A and `b` in B (None: in none), in order of their ids."""
    given = a if a is not None else b
    assert given is not None
    tokens = [0 if side is None else int(side["tokens"].sum()) for side in (a, b)]
    repeated = [0 if side is None else int((side["tokens"] * side["repeats"]).sum()) for side in (a, b)]
    found = Group(len(given), (tokens[0], tokens[1]), (repeated[0], repeated[1]), examples=_ids(given[:most]))
    if a is not None and b is not None:
        repeats, content = a["repeats"] != b["repeats"], a["content"] != b["content"]
        found.other_repeats, found.other_text = int(repeats.sum()), int(content.sum())
        found.other_repeats_examples, found.other_text_examples = _ids(given[repeats][:most]), _ids(given[content][:most])
    return found


def _ids(rows: np.ndarray) -> list[str]:
    return [f"{high:016x}{low:016x}" for high, low in zip(rows["high"].tolist(), rows["low"].tolist(), strict=True)]


def _halves(ids: pa.Array, file: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids of 32 hex digits as two numbers. (ids,) uint64, twice"""
    ids = ids.cast(pa.string())
    if not pc.all(pc.equal(pc.binary_length(ids), 32), min_count=0).as_py():
        raise StoreError(f"{file}: there are ids that are not 32 hex digits: no version of this pipeline wrote them.")
    data = np.frombuffer(ids.buffers()[2] or b"", np.uint8)
    first = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset] if len(ids) else 0
    digits = _HEX[data[first : first + 32 * len(ids)]].reshape(-1, 32)
    if (digits > 15).any():
        raise StoreError(f"{file}: there are ids that are not 32 hex digits: no version of this pipeline wrote them.")
    whole = np.ascontiguousarray(digits[:, ::2] << 4 | digits[:, 1::2]).view(">u8").astype(np.uint64)
    return whole[:, 0], whole[:, 1]
