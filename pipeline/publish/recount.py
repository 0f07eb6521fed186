"""One shard counted anew from its rows, with its file of signatures: what `verify` compares with the rest of the release.

Says what the rows contradict by themselves (order, place, texts, token counts, repeats, traces) and in what the manifest says of them.
Memory: one row group, and 16 bytes an id. Counting tokens is most of the time.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipeline import shards
from pipeline.errors import PipelineError
from pipeline.mix import selections, slice_names, slices_of
from pipeline.recipe import Mix
from pipeline.rounds import chance
from pipeline.shards import Slice
from pipeline.store import Store
from pipeline.tasks import digest_of

# What reading a damaged file can end in. Of other kinds an error is a bug of ours, and shows its traceback.
FAULTS = (PipelineError, OSError, pa.ArrowException, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError, RecursionError)
ID = "S16"  # xxh3_128 of an id: ids may be any strings, and NumPy sorts these in place
_SAMPLE_SALT = 0x5163
_BATCH_ROWS = 4096
_NEEDED = ("id", "text", "source", "domain", *shards.PART, "cluster", "token_count", "repeats")
_CODE = ("repository", "path", "url", "programming_language", "licence", "licence_file")


@dataclass(frozen=True)
class Claim:
    """A shard before it is read: its place, what the manifest says of it, and what its rows are held against. Small, but for `held`."""

    store: Store
    slice: Slice
    shard: int
    entry: Mapping[str, Any]
    seed: int | None  # of the shuffle; None where the recipe could not be read, as are those below
    sources: tuple[str, ...]
    mix: Mix | None
    stages: tuple[tuple[str, Any], ...]  # label and stage, in the order of the traces
    tokenizers: Mapping[str, str]  # column -> the tokenizer.json that counts it
    sampled: float | None  # share of the rows whose signature is computed anew; None where the release holds no signatures
    held: np.ndarray = field(default_factory=lambda: np.empty(0, ID))  # clusters of the validation rows, sorted

    @property
    def file(self) -> str:
        return self.slice.file(self.shard)

    @property
    def size_column(self) -> str:
        return self.mix.size_column if self.mix else "token_count"


@dataclass
class Recount:
    """What was found in one shard. `whole`: all rows were read; else the numbers are those of a part."""

    file: str
    split: str
    domain: str
    problems: list[str] = field(default_factory=list)
    whole: bool = False
    schema: pa.Schema | None = None
    counts: Counter[str] = field(default_factory=Counter)
    parts: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)  # documents, tokens, the same with repeats, size, the same with repeats
    selected: Counter[str] = field(default_factory=Counter)  # tokens with repeats of the schedule's selections
    longest: int = 0  # size of the largest row, as often as it is used
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, ID))  # in the shard's order
    clusters: np.ndarray = field(default_factory=lambda: np.empty(0, ID))  # of a validation shard
    fingerprints: Counter[str] = field(default_factory=Counter)  # that the traces begin with
    languages: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)  # (language, licence) -> documents, bytes, tokens with repeats
    repositories: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (repository, licence, the file that says so) -> documents
    signatures: int | None = None  # rows of the file of signatures
    signatures_computed: int = 0


def said(error: BaseException) -> str:
    """An error's own words in one line."""
    words = " ".join(str(error).partition(" [type=")[0].split())  # what pydantic says behind that is for programmers
    if isinstance(error, PipelineError):
        words = words.partition(". ")[0]  # the remedy is one for work folders
    words = words.rstrip(".")[:300]
    return words if words and not isinstance(error, LookupError | TypeError | AttributeError) else f"{type(error).__name__}: {words}"


def digests(strings: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """xxh3_128 of each string. (n,) S16"""
    return np.frombuffer(b"".join(xxhash.xxh3_128_digest(s.encode()) for s in strings.to_pylist()), ID)


def is_among(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Which values a sorted array holds. (values,) bool"""
    if not len(ordered):
        return np.zeros(len(values), bool)
    found: np.ndarray = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    return found


def is_other(store: Store, file: str, entry: Mapping[str, Any]) -> str | None:
    """The sentence that says so where a file is another one than the manifest lists."""
    found, claimed = digest_of(store, file), str(entry.get("sha256"))
    return None if found == claimed else f"{file}: its sha256 is {found[:16]}…, but manifest.json says {claimed[:16]}…."


def described(schema: pa.Schema) -> str:
    """A schema's columns in one line."""
    return ", ".join(f"{f.name}: {f.type}{'' if f.nullable else ' not null'}" for f in schema)


def recount(claim: Claim) -> Recount:
    """Read a shard and its signatures. What cannot be read is a problem, never an exception."""
    found = Recount(claim.file, claim.slice.split, claim.slice.domain)
    rows = _Rows(claim, found)
    try:
        if (sentence := is_other(claim.store, claim.file, claim.entry)) is not None:
            found.problems.append(sentence)
        with claim.store.open(claim.file) as handle, pq.ParquetFile(handle) as parquet:
            found.schema = parquet.schema_arrow.remove_metadata()
            if rows.readable(found.schema):
                for batch in parquet.iter_batches(_BATCH_ROWS, use_threads=False):
                    rows.read(batch)
                rows.end()
    except FAULTS as error:
        found.problems.append(f"{claim.file} cannot be read whole: {said(error)}.")
    found.ids = np.concatenate([np.empty(0, ID), *rows.ids])
    found.problems += rows.sentences()
    if found.whole and claim.sampled is not None:
        file = claim.slice.signatures(claim.shard)
        try:
            found.problems += _signature_faults(claim, file, rows.sampled, found)
        except FAULTS as error:
            found.problems.append(f"{file} cannot be read whole: {said(error)}.")
    return found


class _Rows:
    """The pass over a shard's rows: counts what is there, and gathers faults by kind with the first example of each."""

    def __init__(self, claim: Claim, found: Recount) -> None:
        self.claim, self.found = claim, found
        self.ids: list[np.ndarray] = []
        self.sampled: dict[int, bytes | None] = {}  # row -> its signature, computed
        self._content = shards.Content()
        self._selections = selections(claim.mix) if claim.mix else {}
        self._last: tuple[int, str] = (0, "")
        self._faults: dict[str, list[Any]] = {}

    def readable(self, schema: pa.Schema) -> bool:
        """Whether the columns that all else rests on are there, of their types."""
        wrong = [n for n in dict.fromkeys((*_NEEDED, self.claim.size_column)) if n not in schema.names or schema.field(n).type != _type_of(n)]
        if wrong:
            self.found.problems.append(f"{self.claim.file}: its rows were not read, since it has no column {' and no column '.join(wrong)} of the right type.")
        return not wrong

    def read(self, batch: pa.RecordBatch) -> None:
        """Check some rows, and add them to the counts."""
        batch.validate(full=True)  # UTF-8 above all
        for name in _NEEDED:
            if batch.column(name).null_count and not shards.RELEASE.field(name).nullable:
                raise ValueError(f"column {name} holds {batch.column(name).null_count:,} nulls")
        if not batch.num_rows:
            return
        self._place(batch)
        self._texts(batch)
        self._repeats(batch)
        self._sums(batch)
        self._clusters(batch)
        self._sample(batch)
        self._content.update(batch)
        self.ids.append(digests(batch.column("id")))
        self.found.counts["rows"] += batch.num_rows

    def end(self) -> None:
        """All rows were read: compare their sums with the manifest's."""
        entry, found = self.claim.entry, self.found
        found.whole = True
        for key in ("rows", "tokens", "tokens_with_repeats", "text_bytes"):
            if entry.get(key) != found.counts[key]:
                found.problems.append(f"{found.file}: manifest.json says {key} {entry.get(key)}, its rows say {found.counts[key]}.")
        if entry.get("content") != self._content.hexdigest():
            found.problems.append(
                f"{found.file}: its ids and texts are not those that manifest.json gives the content hash of, {str(entry.get('content'))[:16]}…."
            )

    def sentences(self) -> list[str]:
        """One sentence a kind of fault."""
        rows = self.found.counts["rows"]
        return [f"{self.claim.file}: {n:,} of {rows:,} rows {what}, first row {row} ({name}){more}." for what, (n, row, name, more) in self._faults.items()]

    def _flag(self, batch: pa.RecordBatch, bad: np.ndarray, what: str, **values: Any) -> None:
        if bad.any():
            first = int(np.argmax(bad))
            more = "".join(f", {name} {v[first]}" for name, v in values.items())
            fault = self._faults.setdefault(what, [0, self.found.counts["rows"] + first, batch.column("id")[first].as_py(), more])
            fault[0] += int(bad.sum())

    def _place(self, batch: pa.RecordBatch) -> None:
        """The domain is the folder's, the order is the shuffle's, and the hash lies in the shard's buckets."""
        slice_, n = self.claim.slice, batch.num_rows
        self._flag(batch, pc.not_equal(batch.column("domain"), slice_.domain).to_numpy(zero_copy_only=False), "are of another domain than their folder")
        if self.claim.seed is None:
            return
        known = pc.is_in(batch.column("source"), value_set=pa.array(self.claim.sources, pa.string()))
        self._flag(batch, ~known.to_numpy(zero_copy_only=False), "are of a source that recipe.json does not name", source=batch.column("source"))
        given = pa.table({"id": batch.column("id"), "split": pa.array([slice_.split] * n), "domain": pa.array([slice_.domain] * n)})
        placed = shards.place(given, self.claim.seed, [slice_], pa.schema([shards.RELEASE.field("id")]))
        hashes, ids = placed.column("hash").to_numpy(), batch.column("id").to_pylist()
        early = np.append((int(hashes[0]), ids[0]) < self._last, hashes[1:] < hashes[:-1])
        for i in np.flatnonzero(hashes[1:] == hashes[:-1]) + 1:
            early[i] = ids[i] < ids[i - 1]
        self._last = (int(hashes[-1]), ids[-1])
        self._flag(batch, early, "stand after a row that the shuffle puts behind them")
        shard = (shards.bucket_of(placed, [slice_]) - slice_.first_bucket) // slice_.buckets_per_shard
        self._flag(batch, shard != self.claim.shard, "belong to another shard by their hash", shard=shard)

    def _texts(self, batch: pa.RecordBatch) -> None:
        """Texts are there, and what is said of them is right."""
        text = batch.column("text")
        counted: dict[str, np.ndarray] = {"text_bytes": pc.binary_length(text).to_numpy(), "characters": pc.utf8_length(text).to_numpy()}
        self._flag(batch, pc.binary_length(batch.column("id")).to_numpy() == 0, "have an empty id")
        self._flag(batch, counted["text_bytes"] == 0, "have an empty text")
        counted |= {column: _counter(path)(text) for column, path in self.claim.tokenizers.items()}
        for name, numbers in counted.items():
            if name in batch.schema.names:
                stored = pc.fill_null(batch.column(name), -1).to_numpy()
                self._flag(batch, stored != numbers, f"have a wrong value of {name}", stored=stored, counted=numbers)
        if self.claim.stages and "filter_trace" in batch.schema.names:
            traces = batch.column("filter_trace").to_pylist()
            prints = [(trace or "").partition(" ")[0] for trace in traces]
            self.found.fingerprints.update(prints)
            right = (
                shards.derive(pa.Table.from_batches([batch.select(["source", "domain", *shards.PART, "text"])]), self.claim.stages, prints[0])
                .column("filter_trace")
                .to_pylist()
            )
            same = {pair: _passed(pair[0]) == _passed(pair[1] or "") for pair in set(zip(right, traces, strict=True))}
            wrong = np.array([not same[pair] for pair in zip(right, traces, strict=True)])
            self._flag(batch, wrong, "have a filter_trace that does not follow from recipe.json", stored=traces, expected=right)

    def _repeats(self, batch: pa.RecordBatch) -> None:
        """Held-out rows are never used, the others at least once and at most as often as the mix allows."""
        repeats, mix = batch.column("repeats").to_numpy(), self.claim.mix
        if self.claim.slice.split != "train":
            self._flag(batch, repeats != 0, "are held out, but have repeats", repeats=repeats)
            return
        self._flag(batch, repeats < 1, "are to be trained on, but have repeats below 1", repeats=repeats)
        if mix is None:
            return
        names = slices_of(batch, mix).to_pylist()
        self._flag(batch, np.array([name is None for name in names]), "belong to no slice of recipe.json's mix")
        limits = {name: math.inf if mix.force else math.ceil(mix.epochs_of(name)) for name in slice_names(mix)}
        most = np.array([limits.get(name, math.inf) for name in names])
        self._flag(batch, repeats > most, "have repeats above max_epochs", repeats=repeats, at_most=most)

    def _sums(self, batch: pa.RecordBatch) -> None:
        """Sums of all, of the parts of the domain, of the schedule's selections, and of source code."""
        found = self.found
        tokens, repeats, sizes = (batch.column(c).to_numpy() for c in ("token_count", "repeats", self.claim.size_column))
        lengths = pc.binary_length(batch.column("text")).to_numpy().astype(np.int64)
        found.counts.update({"tokens": int(tokens.sum()), "tokens_with_repeats": int((tokens * repeats).sum()), "text_bytes": int(lengths.sum())})
        found.longest = max(found.longest, int((sizes * np.maximum(repeats, 1)).max()))
        for key, part in shards.sums_by(batch, shards.PART, "", np.stack([np.ones_like(tokens), tokens, tokens * repeats, sizes, sizes * repeats])):
            found.parts[key] = found.parts.get(key, 0) + part
        for name, some in self._selections.items():
            found.selected[name] += int((tokens * repeats)[some.mask(batch)].sum())
        if set(_CODE) <= set(batch.schema.names):
            code = pc.is_valid(batch.column("repository")).to_numpy(zero_copy_only=False)
            rows = batch.filter(pa.array(code))
            for key, part in shards.sums_by(
                rows, ("programming_language", "licence"), "unknown", np.stack([np.ones_like(tokens), lengths, tokens * repeats])[:, code]
            ):
                found.languages[key] = found.languages.get(key, 0) + part
            for row in rows.select(_CODE).to_pylist():
                at = shards.repository_at(row["url"], row["repository"], row["path"])
                found.repositories[at, row["licence"] or "unknown", row["licence_file"] or ""] += 1

    def _clusters(self, batch: pa.RecordBatch) -> None:
        """No near-duplicate of a validation row is trained on."""
        clusters = digests(pc.coalesce(batch.column("cluster"), batch.column("id")))
        if self.claim.slice.split == "train":
            self._flag(batch, is_among(clusters, self.claim.held), "are trained on, but of a cluster that validation/ holds out")
        else:
            self.found.clusters = np.union1d(self.found.clusters, clusters)

    def _sample(self, batch: pa.RecordBatch) -> None:
        """Signatures of a hashed sample."""
        from pipeline.dedup.signatures import signatures

        if self.claim.sampled is None:
            return
        chosen = np.flatnonzero(chance(_SAMPLE_SALT, batch.column("id")) < self.claim.sampled * 2.0**64)
        if len(chosen):
            values, shingles = signatures(batch.column("text").take(pa.array(chosen)))
            for row, value, n in zip(chosen.tolist(), values.astype("<u4"), shingles.tolist(), strict=True):
                self.sampled[self.found.counts["rows"] + row] = value.tobytes() if n else None


def _signature_faults(claim: Claim, file: str, sampled: Mapping[int, bytes | None], found: Recount) -> list[str]:
    """The stored signatures are those of this shard's rows, in its order, and right where they were computed anew."""
    strange: list[int] = []
    wrong: list[int] = []
    at = 0
    with claim.store.open(file) as handle, pq.ParquetFile(handle) as parquet:
        if not parquet.schema_arrow.remove_metadata().equals(shards.SIGNATURES):
            return [f"{file}: its columns are {described(parquet.schema_arrow)}, where {described(shards.SIGNATURES)} are expected."]
        for batch in parquet.iter_batches(_BATCH_ROWS, use_threads=False):
            here = found.ids[at : at + batch.num_rows]
            strange += (np.flatnonzero(digests(batch.column("id"))[: len(here)] != here)[:1] + at).tolist()
            computed = [row for row in range(at, at + batch.num_rows) if row in sampled]
            wrong += [row for row in computed if batch.column("signature")[row - at].as_py() != sampled[row]]
            found.signatures_computed += len(computed)
            at += batch.num_rows
    found.signatures = at
    out = [f"{file}: it holds {at:,} signatures, but {claim.file} has {found.counts['rows']:,} rows."] if at != found.counts["rows"] else []
    if strange:
        out.append(f"{file}: row {strange[0]} is of another document than row {strange[0]} of {claim.file}.")
    elif wrong:
        out.append(f"{file}: of {found.signatures_computed:,} signatures computed anew {len(wrong):,} are not those stored, first row {wrong[0]}.")
    return out


def _passed(trace: str) -> list[str]:
    """The stages of a trace. A `score` stage is named after its columns, whose order recipe.json, its keys sorted, does not keep."""
    return ["score_" + "+".join(sorted(name[6:].split("+"))) if name.startswith("score_") else name for name in trace.split(" ")[1:]]


def _type_of(column: str) -> pa.DataType:
    """The type of a column of the release; counts of other tokenizers are as the mix's own."""
    return shards.RELEASE.field(column if column in shards.RELEASE.names else "token_count").type


@lru_cache(maxsize=4)
def _counter(path: str) -> Any:
    from pipeline.tokenize import TokenCounter

    return TokenCounter(Path(path))
