"""What a card says of a release, counted from the release's own files: its JSON files, and its Parquet columns without the text. No prose.

Rows are read once, some columns at a time. Memory follows the number of distinct values of a column, not the number of rows.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.schema import ordered
from pipeline.shards import RELEASE, Release

SPLITS = {"train": "data", "validation": "validation"}
WORDS = ("source", "licence", "language", "script", "programming_language")  # columns whose values are counted
WHOLE = ("token_count", "characters", "cluster_size")  # columns whose values are tallied exactly, beside other tokenizers' counts
SHARES = (0.0, 0.05, 0.1, 0.2, 1.0)  # a label's share of windows: none, then at most so much
_BINS = 20
_SPARE = 1 << 20  # distinct values beside those already merged


class Tally:
    """Whole numbers by how often they occur; exact, and merged in any order."""

    def __init__(self) -> None:
        self._new: list[tuple[np.ndarray, np.ndarray]] = []
        self._held = 0

    def add(self, values: np.ndarray) -> None:
        self._new.append(np.unique(values.astype(np.int64), return_counts=True))
        self._held += len(self._new[-1][0])
        if self._held > _SPARE + (len(self._new[0][0]) if len(self._new) > 1 else 0):
            self._merge()

    def _merge(self) -> tuple[np.ndarray, np.ndarray]:
        if len(self._new) != 1:
            values = np.concatenate([np.empty(0, np.int64), *(v for v, _ in self._new)])
            counts = np.concatenate([np.empty(0, np.int64), *(c for _, c in self._new)])
            distinct, place = np.unique(values, return_inverse=True)
            merged = np.zeros(len(distinct), np.int64)
            np.add.at(merged, place, counts)
            self._new, self._held = [(distinct, merged)], len(distinct)
        return self._new[0]

    @property
    def rows(self) -> int:
        return int(self._merge()[1].sum())

    @property
    def total(self) -> int:
        values, counts = self._merge()
        return int((values * counts).sum())

    def quantile(self, share: float) -> int:
        """The smallest value that at least this share of the rows do not exceed; 0 where there are no rows."""
        values, counts = self._merge()
        if not len(values):
            return 0
        return int(values[min(int(np.searchsorted(np.cumsum(counts), share * counts.sum())), len(values) - 1)])

    def within(self, low: int, high: float) -> int:
        """Rows with low <= value <= high."""
        values, counts = self._merge()
        return int(counts[(values >= low) & (values <= high)].sum())


@dataclass
class Spread:
    """A score's values in equal bins from `low` to `high`, and in the bins of SHARES; nulls apart."""

    low: float
    high: float
    bins: np.ndarray = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    shares: np.ndarray = field(default_factory=lambda: np.zeros(len(SHARES), np.int64))
    missing: int = 0
    sums: list[float] = field(default_factory=list)

    def add(self, values: np.ndarray) -> None:
        given = values[~np.isnan(values)]
        self.missing += len(values) - len(given)
        place = np.floor((given - self.low) / (self.high - self.low) * _BINS).astype(np.int64)
        self.bins += np.bincount(np.clip(place, 0, _BINS - 1), minlength=_BINS)
        self.shares += np.bincount(np.minimum(np.searchsorted(SHARES, given, side="left"), len(SHARES) - 1), minlength=len(SHARES))
        self.sums.append(float(given.sum()))

    @property
    def rows(self) -> int:
        return int(self.bins.sum())

    @property
    def mean(self) -> float:
        return math.fsum(self.sums) / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Personal:
    """What `scrub` replaced in one slice."""

    documents: int = 0  # that a scrub ran on
    touched: int = 0  # in which it replaced something
    values: int = 0


@dataclass(frozen=True)
class Scored:
    """A column of a `score` stage. kind: grade, choice or label."""

    name: str
    kind: str
    group: str  # the word in the recipe: `sensitive` for `sensitive_adult`


@dataclass
class Facts:
    """A release as a card sees it. Everything is counted when it is first asked for."""

    release: Release

    # --- from the JSON files --------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return _bare(self.release.manifest["name"])

    @property
    def version(self) -> str:
        return _bare(self.release.manifest["version"])

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe; empty in a release without one."""
        return dict(self.release.store.read_json("recipe.json")) if "recipe.json" in self.release.manifest["files"] else {}

    @cached_property
    def stages(self) -> list[tuple[str, dict[str, Any]]]:
        """(kind, settings) of every stage in order."""
        return [(kind, settings or {}) for stage in self.recipe.get("stages", []) for kind, settings in stage.items()]

    @cached_property
    def domains(self) -> list[str]:
        """Domains that have rows: en, zh and code first."""
        return ordered({r["domain"] for r in self.release.stats["released"]})

    @cached_property
    def read_domains(self) -> list[str]:
        """Domains of what was read; those of rows, and those that no row of the release has."""
        return ordered({r["domain"] for r in self.release.stats["read"]} | set(self.domains))

    def released(self, split: str, key: str, domain: str | None = None) -> int:
        """A sum over stats.released: documents, tokens, tokens_with_repeats, text_bytes, files."""
        return sum(r[key] for r in self.release.stats["released"] if r["split"] == split and domain in (None, r["domain"]))

    @property
    def documents(self) -> int:
        return sum(self.released(split, "documents") for split in SPLITS)

    def read(self, domain: str | None = None, source: str | None = None, key: str = "documents") -> int:
        return sum(r[key] for r in self.release.stats["read"] if domain in (None, r["domain"]) and source in (None, r["source"]))

    def dropped(self, stage: str | None = None, domain: str | None = None, reason: str | None = None) -> int:
        return sum(
            d["documents"]
            for d in self.release.stats["dropped"]
            if stage in (None, d["stage"]) and domain in (None, d["domain"]) and reason in (None, d["reason"])
        )

    @cached_property
    def reached(self) -> dict[str, int]:
        """Documents that each stage was given."""
        left, found = self.read(), {}
        for stage in self.release.stats["stages"]:
            found[stage] = left
            left -= self.dropped(stage)
        return found

    def reasons(self) -> list[tuple[str, str, str, int]]:
        """(stage, reason, domain, documents), most frequent first. Draws of the mix and of `downsample` are one reason a domain."""
        counts: Counter[tuple[str, str, str]] = Counter()
        for d in self.release.stats["dropped"]:
            counts[d["stage"], re.sub(r"^draw < [\d.]+$", "draw", d["reason"]), d["domain"]] += d["documents"]
        return [(*key, n) for key, n in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))]

    def files(self, folder: str) -> list[str]:
        return sorted(f for f in self.release.manifest["files"] if f.startswith(f"{folder}/"))

    def rows_of(self, folder: str) -> int:
        return sum(self.release.manifest["files"][f].get("rows", 0) for f in self.files(folder))

    # --- from the Parquet files -------------------------------------------------------------------------------------------------

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of data/ and validation/."""
        for folder in SPLITS.values():
            for file in self.files(folder):
                return self.schema_of(file)
        return RELEASE

    def schema_of(self, file: str) -> pa.Schema:
        with self.release.store.open(file) as handle, pq.ParquetFile(handle) as parquet:
            return parquet.schema_arrow.remove_metadata()

    @cached_property
    def scores(self) -> list[Scored]:
        """The columns that classifiers wrote, without their means, buckets and models."""
        names = set(self.schema.names)
        groups = sorted((c for kind, settings in self.stages if kind == "score" for c in settings.get("columns", {})), key=len, reverse=True)
        found = []
        for item in self.schema:
            group = next((g for g in groups if item.name == g or item.name.startswith(f"{g}_")), None)
            if group is None or item.name in RELEASE.names:
                continue
            if item.name == group and re.fullmatch(r"[a-z][a-z0-9_]*", group):
                found.append(Scored(item.name, "choice" if pa.types.is_string(item.type) else "grade", group))
            elif f"{item.name}_mean" in names:
                found.append(Scored(item.name, "label", group))
        return found

    @cached_property
    def filled(self) -> dict[str, float]:
        """The share of rows in which a column is not null, by the statistics of the Parquet files."""
        rows, nulls = 0, Counter[str]()
        for file in [f for folder in SPLITS.values() for f in self.files(folder)]:
            with self.release.store.open(file) as handle, pq.ParquetFile(handle) as parquet:
                rows += parquet.metadata.num_rows
                nulls += _nulls(parquet)
        return {name: 1 - nulls[name] / rows if rows else 0.0 for name in self.schema.names}

    @cached_property
    def removed_without_text(self) -> int:
        """Rows of removed/ whose text is withheld."""
        count = 0
        for file in self.files("removed"):
            with self.release.store.open(file) as handle, pq.ParquetFile(handle) as parquet:
                count += _nulls(parquet)["text"]
        return count

    @cached_property
    def counted(self) -> "Counted":
        """One pass over all columns that are counted."""
        found = Counted({s.name: self._range(s.name) for s in self.scores if s.kind != "choice"})
        words = [w for w in (*WORDS, *(s.name for s in self.scores if s.kind == "choice")) if w in self.schema.names]
        whole = [w for w in self.schema.names if w in WHOLE or w.startswith("token_count_")]
        personal = [w for w in self.schema.names if w.startswith("pii_")]
        columns = [*words, *whole, *personal, *found.ranges, *(["date"] if "date" in self.schema.names else [])]
        for domain, batch in self._batches(columns):
            found.add(domain, batch, words, whole, personal)
        return found

    def _batches(self, columns: Sequence[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
        for folder in SPLITS.values():
            for file in self.files(folder):
                with self.release.store.open(file) as handle, pq.ParquetFile(handle) as parquet:
                    for batch in parquet.iter_batches(columns=list(dict.fromkeys(columns))):
                        yield file.split("/")[1], batch

    def _range(self, column: str) -> tuple[float, float]:
        """0 to 1, 0 to 5, or the whole numbers around what there is."""
        low, high = 0.0, 1.0
        for file in [f for folder in SPLITS.values() for f in self.files(folder)]:
            with self.release.store.open(file) as handle, pq.ParquetFile(handle) as parquet:
                for chunk in _chunks(parquet, column):
                    if chunk is not None and chunk.has_min_max and math.isfinite(chunk.min) and math.isfinite(chunk.max):
                        low, high = min(low, chunk.min), max(high, chunk.max)
        if low >= 0 and high <= 5:
            return 0.0, 1.0 if high <= 1 else 5.0
        return float(math.floor(low)), float(math.ceil(high))


class Counted:
    """Counts by domain of the columns of all rows, training and validation together."""

    def __init__(self, ranges: dict[str, tuple[float, float]]) -> None:
        self.ranges = ranges
        self.words: dict[str, Counter[tuple[str, str | None]]] = {}
        self.tokens: Counter[tuple[str, str | None]] = Counter()  # by source
        self.whole: dict[tuple[str, str], Tally] = {}
        self.spreads: dict[tuple[str, str], Spread] = {}
        self.personal: dict[tuple[str, str, str], Personal] = {}  # (column, domain, source)
        self.first: dict[str, str] = {}
        self.last: dict[str, str] = {}

    def add(self, domain: str, batch: pa.RecordBatch, words: Sequence[str], whole: Sequence[str], personal: Sequence[str]) -> None:
        for name in words:
            counts = self.words.setdefault(name, Counter())
            for item in pc.value_counts(batch.column(name)).to_pylist():
                counts[domain, item["values"]] += item["counts"]
        sources = batch.column("source")
        held = pa.table({"source": sources, "tokens": batch.column("token_count")}).group_by("source").aggregate([("tokens", "sum")])
        for source, n in zip(held.column("source").to_pylist(), held.column("tokens_sum").to_pylist(), strict=True):
            self.tokens[domain, source] += n or 0
        for name in whole:
            self.whole.setdefault((name, domain), Tally()).add(pc.drop_null(batch.column(name)).to_numpy(zero_copy_only=False))
        for name, (low, high) in self.ranges.items():
            values = pc.fill_null(batch.column(name).cast(pa.float64()), math.nan).to_numpy(zero_copy_only=False)
            self.spreads.setdefault((name, domain), Spread(low, high)).add(values)
        for name in personal:
            self._personal(name, domain, sources, batch.column(name))
        if "date" in batch.schema.names:
            dates = sorted({d for value in pc.unique(batch.column("date")).to_pylist() if value and _is_date(d := value[:10])})
            if dates:
                self.first[domain] = min(*dates, self.first.get(domain, dates[0]))
                self.last[domain] = max(*dates, self.last.get(domain, dates[0]))

    def _personal(self, name: str, domain: str, sources: pa.Array, values: pa.Array) -> None:
        for source in pc.unique(sources).to_pylist():
            mine = values.filter(pc.equal(sources, source))
            before = self.personal.get((name, domain, source), Personal())
            self.personal[name, domain, source] = Personal(
                before.documents + len(mine) - mine.null_count,
                before.touched + (pc.sum(pc.greater(mine, 0)).as_py() or 0),
                before.values + (pc.sum(mine).as_py() or 0),
            )

    def column(self, name: str) -> list[tuple[str | None, Counter[str]]]:
        """The values of a column with their documents by domain, most frequent first."""
        by: dict[str | None, Counter[str]] = {}
        for (domain, value), n in self.words.get(name, Counter()).items():
            by.setdefault(value, Counter())[domain] += n
        return sorted(by.items(), key=lambda item: (-item[1].total(), item[0] is None, item[0] or ""))

    def newest(self) -> str | None:
        """The newest date of any document, YYYY-MM-DD."""
        return max(self.last.values(), default=None)

    def oldest(self) -> str | None:
        return min(self.first.values(), default=None)


def _is_date(value: str) -> bool:
    """Whether it is YYYY-MM-DD of a day that there is."""
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _bare(name: str) -> str:
    """A name or a version with the signs that a recipe may give it, and no others: it stands in code blocks."""
    return re.sub(r"[^A-Za-z0-9_.+-]", "", name)


def _chunks(parquet: pq.ParquetFile, column: str) -> Iterator[Any]:
    """The statistics of a column's chunks."""
    names = [parquet.metadata.schema.column(i).path for i in range(parquet.metadata.num_columns)]
    for group in range(parquet.metadata.num_row_groups):
        yield parquet.metadata.row_group(group).column(names.index(column)).statistics


def _nulls(parquet: pq.ParquetFile) -> Counter[str]:
    """Nulls of every column of a file."""
    found = Counter[str]()
    for group in range(parquet.metadata.num_row_groups):
        for i in range(parquet.metadata.num_columns):
            chunk = parquet.metadata.row_group(group).column(i)
            if chunk.statistics is not None and chunk.statistics.has_null_count:
                found[chunk.path_in_schema] += chunk.statistics.null_count
    return found
