"""The release: shuffled Parquet shards per domain, validation sets, the ledger, statistics and a manifest that proves them.

    NAME@VERSION/
      data/DOMAIN/DOMAIN-00000-of-00003.parquet        training documents, shuffled by hash, unique; `repeats` says how often to use each
      validation/DOMAIN/DOMAIN-00000-of-00001.parquet  held out by cluster; never trained on
      ledger/ledger-00000-of-00001.parquet             one row per document that left, and why; never its text
      recipe.json  stats.json  mixture.json            the resolved recipe; the funnel; shares, epochs, shortage
      code.json  ATTRIBUTION.md                        of source code: languages and licences; every repository with its licence, where there is code
      manifest.json                                    sha256, rows, tokens and a content hash of every file; written last

The shuffle: a document's place is the hash of (seed, id). Buckets are ranges of that hash and each fits in memory; a shard is consecutive
buckets. Their numbers follow from the documents alone. No clock, host, path or worker number enters a file.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import StoreError
from pipeline.rounds import chance
from pipeline.schema import LEDGER
from pipeline.store import Store

RELEASE = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("licence", pa.string()),
        pa.field("date", pa.string()),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("subdomain", pa.string()),
        pa.field("programming_language", pa.string()),
        pa.field("repository", pa.string()),
        pa.field("path", pa.string()),
        pa.field("stars", pa.int64()),
        pa.field("licence_file", pa.string()),
        pa.field("licence_confidence", pa.float64()),
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float64()),
        pa.field("script", pa.string()),
        pa.field("cluster", pa.string()),
        pa.field("cluster_size", pa.int64()),
        pa.field("token_count", pa.int64(), nullable=False),
        pa.field("repeats", pa.int64(), nullable=False),
    ]
)
_PLACE = (pa.field("hash", pa.uint64(), nullable=False), pa.field("slice", pa.int32(), nullable=False))
_SALT = 0x51AFF1E  # the shuffle is independent of the draw that chose the documents


def schema_with(scores: Iterable[pa.Field]) -> pa.Schema:
    """The columns of a release whose recipe has classifiers: theirs stand at the end."""
    return pa.schema([*RELEASE, *scores])


def scattered(schema: pa.Schema) -> pa.Schema:
    """Rows on their way to their shard: the release's columns, the place in the shuffle, and the slice's number."""
    return pa.schema([*schema, *_PLACE])


@dataclass(frozen=True)
class Slice:
    """One folder of Parquet files: a domain of one split, cut into shards of `buckets_per_shard` buckets, beginning at `first_bucket`."""

    split: str
    domain: str
    shards: int
    buckets_per_shard: int
    first_bucket: int

    @property
    def buckets(self) -> int:
        return self.shards * self.buckets_per_shard

    def file(self, shard: int) -> str:
        folder = "data" if self.split == "train" else "validation"
        return f"{folder}/{self.domain}/{self.domain}-{shard:05d}-of-{self.shards:05d}.parquet"


def layout(sizes: Mapping[tuple[str, str], int], shard_size: int, row_group_size: int) -> list[Slice]:
    """Text bytes by (split, domain) -> slices. Shards are even, at most `shard_size` on average; buckets at most a row group or two."""
    slices: list[Slice] = []
    bucket = 0
    for (part, domain), size in sorted(sizes.items()):
        shards = max(1, math.ceil(size / shard_size))
        per_shard = max(1, math.ceil(size / shards / row_group_size))
        slices.append(Slice(part, domain, shards, per_shard, bucket))
        bucket += shards * per_shard
    return slices


def place(documents: pa.Table, seed: int, slices: Iterable[Slice], schema: pa.Schema = RELEASE) -> pa.Table:
    """Documents as rows of the release, each with its place (`hash`) and its slice's number. `documents` has `split` and the schema's columns."""
    number = np.full(documents.num_rows, -1, np.int64)
    for i, s in enumerate(slices):
        mine = pc.and_(pc.equal(documents.column("split"), s.split), pc.equal(documents.column("domain"), s.domain)).to_numpy(zero_copy_only=False)
        number[mine] = i
    if (number < 0).any():
        raise StoreError("A document belongs to no shard: its domain was not counted. This is a bug; please report it.")
    rows = documents.select(schema.names).append_column("hash", pa.array(chance(seed ^ _SALT, documents.column("id"))))
    return rows.append_column("slice", pa.array(number, pa.int32())).cast(scattered(schema))


def bucket_of(rows: pa.Table, slices: Sequence[Slice]) -> np.ndarray:
    """The bucket of each placed row: a range of the hash within its slice. (rows,) int64"""
    first, count = (np.array([getattr(s, name) for s in slices], np.uint64) for name in ("first_bucket", "buckets"))
    number = rows.column("slice").to_numpy()
    return (first[number] + ((rows.column("hash").to_numpy() >> np.uint64(32)) * count[number] >> np.uint64(32))).astype(np.int64)


def write_shard(store: Store, name: str, buckets: Iterable[pa.Table], row_group_size: int, schema: pa.Schema = RELEASE) -> dict[str, Any]:
    """Write one shard from its buckets in order, sorted by hash, in row groups cut where the text reaches `row_group_size`."""
    content = hashlib.sha256()
    counts: dict[str, Any] = {"rows": 0, "tokens": 0, "tokens_with_repeats": 0, "text_bytes": 0}
    code = _Code()
    dictionaries = [*_DICTIONARIES, *(field.name for field in schema if field.name not in RELEASE.names and pa.types.is_string(field.type))]
    with store.create(name) as handle, pq.ParquetWriter(handle, schema, use_dictionary=dictionaries, **_PARQUET) as writer:
        for group in _row_groups(buckets, row_group_size, schema):
            lengths = pc.binary_length(group.column("text")).to_numpy()
            tokens, repeats = group.column("token_count").to_numpy(), group.column("repeats").to_numpy()
            for i, text in zip(group.column("id").to_pylist(), group.column("text").to_pylist(), strict=True):
                data = text.encode()
                content.update(f"{i} {len(data)}\n".encode())
                content.update(data)
            counts["rows"] += group.num_rows
            counts["tokens"] += int(tokens.sum())
            counts["tokens_with_repeats"] += int((tokens * repeats).sum())
            counts["text_bytes"] += int(lengths.sum())
            code.count(group, lengths, tokens * repeats)
            writer.write_table(group, row_group_size=max(1, group.num_rows))
    return {**counts, "content": content.hexdigest(), **code.found()}


class _Code:
    """What a shard holds of source code: by language and licence, and by repository."""

    def __init__(self) -> None:
        self.languages: dict[tuple[str, str], list[int]] = {}
        self.repositories: dict[tuple[str, str, str], int] = {}

    def count(self, rows: pa.Table, lengths: np.ndarray, tokens: np.ndarray) -> None:
        """Add the rows that come from a repository."""
        names = ("repository", "path", "url", "programming_language", "licence", "licence_file")
        columns = [rows.column(name).to_pylist() for name in names]
        for i, (repository, path, url, language, licence, file) in enumerate(zip(*columns, strict=True)):
            if repository is None:
                continue
            held = self.languages.setdefault((language or "unknown", licence or "unknown"), [0, 0, 0])
            for k, n in enumerate((1, int(lengths[i]), int(tokens[i]))):
                held[k] += n
            at = (url or repository).removesuffix(f":{path}").removesuffix("@")  # with the commit, where one is known
            self.repositories[at, licence or "unknown", file or ""] = self.repositories.get((at, licence or "unknown", file or ""), 0) + 1

    def found(self) -> dict[str, Any]:
        """JSON values, sorted; nothing where there is no code."""
        if not self.languages:
            return {}
        return {
            "languages": [[*key, *value] for key, value in sorted(self.languages.items())],
            "repositories": [[*key, value] for key, value in sorted(self.repositories.items())],
        }


def code_tables(counts: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], str]:
    """`code.json` and `ATTRIBUTION.md` of the shards' counts: languages and licences by files, bytes and tokens with repeats; repositories by licence."""
    pairs: dict[tuple[str, str], list[int]] = {}
    repositories: dict[tuple[str, str, str], int] = {}
    for shard in counts:
        for language, licence, *numbers in shard.get("languages", ()):
            pairs[language, licence] = [a + b for a, b in zip(pairs.get((language, licence), [0, 0, 0]), numbers, strict=True)]
        for at, licence, file, documents in shard.get("repositories", ()):
            repositories[licence, at, file] = repositories.get((licence, at, file), 0) + documents
    about: dict[str, Any] = {}
    for name, k in (("languages", 0), ("licences", 1)):
        totals: dict[str, list[int]] = {}
        for key, numbers in pairs.items():
            totals[key[k]] = [a + b for a, b in zip(totals.get(key[k], [0, 0, 0]), numbers, strict=True)]
        whole = sum(n[1] for n in totals.values())
        about[name] = {
            key: {"documents": n[0], "text_bytes": n[1], "tokens_with_repeats": n[2], "share_of_bytes": round(n[1] / whole, 6) if whole else 0.0}
            for key, n in sorted(totals.items(), key=lambda item: (-item[1][1], item[0]))
        }
    lines = [
        "# Attribution",
        "",
        "The repositories whose files are in this release, by licence as it was found: name@commit, the file that says so, files.",
        "",
    ]
    for licence in sorted({licence for licence, _, _ in repositories}):
        lines += [f"## {licence}", ""]
        lines += [f"- {at}{f' ({file})' if file else ''}: {documents}" for (of, at, file), documents in sorted(repositories.items()) if of == licence]
        lines.append("")
    return about, "\n".join(lines)


_DICTIONARIES = ("source", "licence", "domain", "subdomain", "programming_language", "language", "script", "date")
_PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    "write_page_index": True,
    "use_content_defined_chunking": True,
    "store_schema": False,  # the Arrow schema would repeat what Parquet's says, with this library's own version in it
}


def _row_groups(buckets: Iterable[pa.Table], limit: int, schema: pa.Schema) -> Iterator[pa.Table]:
    held: pa.Table | None = None
    for bucket in buckets:
        rows = bucket.sort_by([("hash", "ascending"), ("id", "ascending")]).select(schema.names)
        held = rows if held is None or not held.num_rows else pa.concat_tables([held, rows])
        ends = np.cumsum(pc.binary_length(held.column("text")).to_numpy())
        while len(ends) and ends[-1] >= limit:
            n = int(np.searchsorted(ends, limit)) + 1
            yield held.slice(0, n).combine_chunks()
            held, ends = held.slice(n), ends[n:] - ends[n - 1]
    if held is not None and held.num_rows:
        yield held.combine_chunks()


def write_ledger(store: Store, name: str, rows: pa.Table) -> dict[str, Any]:
    """Write one file of the ledger, sorted by where the records stood in the input."""
    rows = (
        rows.cast(LEDGER)
        .sort_by([("source", "ascending"), ("file", "ascending"), ("offset", "ascending"), ("stage", "ascending"), ("id", "ascending")])
        .combine_chunks()
    )
    with store.create(name) as handle:
        pq.write_table(rows, handle, compression="zstd", row_group_size=500_000, write_page_index=True, store_schema=False)
    return {"rows": rows.num_rows}


# --- reading a release ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Release:
    """A published, immutable corpus. `open_release` makes one; everything is read from its files alone."""

    store: Store

    @property
    def path(self) -> str:
        return self.store.root

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return dict(self.store.read_json("manifest.json"))

    @cached_property
    def stats(self) -> dict[str, Any]:
        """The funnel: documents and bytes read, dropped by stage, domain and reason, and kept."""
        return dict(self.store.read_json("stats.json"))

    @cached_property
    def code(self) -> dict[str, Any]:
        """Languages and licences of the source code, and what `downsample` asked for; empty where there is none."""
        return dict(self.store.read_json("code.json")) if "code.json" in self.manifest["files"] else {}

    @cached_property
    def mixture(self) -> dict[str, Any]:
        """Shares wanted and reached, unique tokens, epochs, and what bound the total."""
        return dict(self.store.read_json("mixture.json"))

    @property
    def ledger(self) -> pa.Table:
        """Every document that left: address, stage, reason, value, other document."""
        files = [f for f in self.manifest["files"] if f.startswith("ledger/")]
        return pa.concat_tables([self._read(f) for f in sorted(files)]) if files else LEDGER.empty_table()

    @property
    def domains(self) -> list[str]:
        return sorted({f.split("/")[1] for f in self.manifest["files"] if f.startswith("data/")})

    def documents(self, domain: str | None = None, split: str = "train", columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The documents of a domain (or of all) in the release's order, batch by batch."""
        folder = "data" if split == "train" else "validation"
        for file in sorted(self.manifest["files"]):
            if file.startswith(f"{folder}/{domain}/" if domain else f"{folder}/"):
                with self.store.open(file) as handle:
                    yield from pq.ParquetFile(handle).iter_batches(columns=columns)

    def _read(self, file: str) -> pa.Table:
        with self.store.open(file) as handle:
            return pq.read_table(pa.BufferReader(handle.read()))


def open_release(path: str) -> Release:
    """Open a release by its path. StoreError where there is none."""
    release = Release(Store(str(path)))
    if not release.store.exists("manifest.json"):
        raise StoreError(f"There is no release at {release.path} (it has no manifest.json).")
    return release
