"""The release: shuffled Parquet shards per domain, validation sets, what was removed, signatures, the ledger, and a manifest that proves them.

    NAME@VERSION/
      data/DOMAIN/DOMAIN-00000-of-00003.parquet        training documents, shuffled by hash, unique; `repeats` says how often to use each
      validation/DOMAIN/DOMAIN-00000-of-00001.parquet  held out by cluster; never trained on
      removed/removed-00000-of-00001.parquet           a hashed sample of what was dropped, with its text where that may be shown (`is_withheld`)
      signatures/train-DOMAIN-00000-of-00003.parquet   MinHash signatures of a shard's rows: a later version, or a takedown, finds near-duplicates by them
      ledger/ledger-00000-of-00001.parquet             one row per document that left, and why; never its text
      recipe.json  stats.json  mixture.json            the resolved recipe; the funnel; shares, epochs, shortage
      schedule.json                                    the order in which a trainer is to use the slices, where the recipe's mix has a schedule
      code.json  ATTRIBUTION.md                        of source code: languages and licences; every repository with its licence, where there is code
      manifest.json                                    sha256, rows, tokens and a content hash of every file; written last

The shuffle: a document's place is the hash of (seed, id). Buckets are ranges of that hash and each fits in memory; a shard is consecutive
buckets. Their numbers follow from the documents alone. No clock, host, path or worker number enters a file.
"""

import hashlib
import itertools
import math
import re
from collections import Counter
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
from pipeline.schema import LEDGER, REPLACED
from pipeline.store import Store
from pipeline.texts import Texts

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
        pa.field("repository_files", pa.int32()),
        pa.field("licence_file", pa.string()),
        pa.field("licence_confidence", pa.float64()),
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float64()),
        pa.field("script", pa.string()),
        *REPLACED,
        pa.field("cluster", pa.string()),
        pa.field("cluster_size", pa.int64()),
        pa.field("characters", pa.int64(), nullable=False),
        pa.field("text_bytes", pa.int64(), nullable=False),
        pa.field("token_count", pa.int64(), nullable=False),
        pa.field("repeats", pa.int64(), nullable=False),
        pa.field("filter_trace", pa.string(), nullable=False),  # twelve digits of the stages' fingerprint, then the stages that the row passed
    ]
)
REMOVED = pa.schema([*(field.with_nullable(field.name not in ("source", "stage", "reason")) for field in LEDGER), pa.field("text", pa.string())])
SIGNATURES = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("signature", pa.binary(4 * 112))])  # null: too short to be compared
_PLACE = (pa.field("hash", pa.uint64(), nullable=False), pa.field("slice", pa.int32(), nullable=False))
PART = ("subdomain", "programming_language")  # what tells the parts of a domain
_CUTS = 32  # a row group may end at one row of so many
_SALT = 0x51AFF1E  # the shuffle is independent of the draw that chose the documents


def schema_with(added: Iterable[pa.Field]) -> pa.Schema:
    """The columns of a release whose recipe adds some (classifiers', another tokenizer's counts): they stand at the end."""
    return pa.schema([*RELEASE, *added])


_JUDGED = ("source", "domain", "subdomain", "programming_language")  # what a stage's `for:` may name


def derive(documents: pa.Table, stages: Sequence[Any], fingerprint: str) -> pa.Table:
    """The documents with `characters` and `filter_trace`. `stages`: (label, stage) of the recipe in order, each stage with a `mask(table)`."""
    text = documents.column("text")
    by = documents.select(_JUDGED).append_column("row", pa.array(np.arange(documents.num_rows)))
    kinds = by.group_by(list(_JUDGED), use_threads=False).aggregate([("row", "list")])
    passed = np.full(documents.num_rows, "", object)
    met = [stage.mask(kinds) for _, stage in stages]
    for i, rows in enumerate(kinds.column("row_list").to_pylist()):
        passed[rows] = " ".join(dict.fromkeys([fingerprint[:12], *(name for (name, _), mask in zip(stages, met, strict=True) if mask[i])]))
    return documents.append_column("characters", pc.utf8_length(text).cast(pa.int64())).append_column("filter_trace", pa.array(passed, pa.string()))


_WITHHELD_STAGES = ("opt_out", "takedown", "licences")
_WITHHELD = re.compile(r"(?:^|_)(?:sensitive|adult|gambling|abuse|violence|spam|pii|secrets?|licen[cs]e)(?:_|\b)")
_HARMLESS = ("bundled:quality", "bundled:topic", "bundled:stem")  # what these models say against a text is nobody's secret


def judging(scores: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Of the `columns` of a recipe's score stages, the names under which a model may have found something that is not to be shown."""
    return tuple(sorted(name for columns in scores for name, model in columns.items() if model.partition(" ")[0] not in _HARMLESS))


def is_withheld(stage: str, reason: str, names: Sequence[str] = ()) -> bool:
    """Whether of what was dropped for this only id and reason may be shown: opt-out, takedown, licence, personal data, secrets, adult or abusive text,
    and whatever a classifier other than those of quality, topic and STEM has said (`names`, see `judging`)."""
    column = reason.partition(" ")[0]
    return stage in _WITHHELD_STAGES or _WITHHELD.search(column) is not None or any(column == name or column.startswith(f"{name}_") for name in names)


def scattered(schema: pa.Schema) -> pa.Schema:
    """Rows on their way to their shard: the release's columns, the place in the shuffle, and the slice's number."""
    return pa.schema([*schema, *_PLACE])


_NUMBERS = r"\+?\d{2,4}(?:[ -]\d{2,4})*[ -]\d{3,4}[ -]\d{3,4}|\d{7,}[Xx]?"


def shown(texts: pa.Array) -> pa.Array:
    """Texts of dropped documents as they are published: nobody judged them further, so addresses, keys and long numbers are replaced in all of them."""
    from pipeline.rewrite.secrets import scrub_batch

    replaced, _ = scrub_batch(texts.cast(pa.string()))
    return pc.replace_substring_regex(replaced, _NUMBERS, "<NUMBER>")


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

    def signatures(self, shard: int) -> str:
        return f"signatures/{self.split}-{self.domain}-{shard:05d}-of-{self.shards:05d}.parquet"


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


class Content:
    """A hash of the rows' ids and texts in order. It depends neither on row groups nor on the Parquet writer and its version."""

    def __init__(self) -> None:
        self._ids, self._texts = hashlib.sha256(), hashlib.sha256()

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add rows: their columns `id` and `text`."""
        lengths = pc.binary_length(rows.column("text")).cast(pa.string())
        lines = pc.binary_join_element_wise(rows.column("id"), lengths, pa.scalar(" "))
        self._ids.update("".join(f"{line}\n" for line in lines.to_pylist()).encode())
        text = rows.column("text")
        for chunk in text.chunks if isinstance(text, pa.ChunkedArray) else [text]:
            data, offsets = Texts(chunk).data, Texts(chunk).offsets
            self._texts.update(data[int(offsets[0]) : int(offsets[-1])].data)

    def hexdigest(self) -> str:
        return hashlib.sha256(self._ids.digest() + self._texts.digest()).hexdigest()


def write_shard(
    store: Store,
    name: str,
    buckets: Iterable[pa.Table],
    row_group_size: int,
    schema: pa.Schema = RELEASE,
    size_column: str = "token_count",
    selections: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write one shard from its buckets in order, sorted by hash, in row groups cut where the text reaches `row_group_size`.

    Its counts: rows, tokens, bytes; `parts` by sub-domain and programming language, sizes being of `size_column`; `selected`, tokens with repeats of
    what each of `selections` (with a `mask`) means.
    """
    content = Content()
    counts: Counter[str] = Counter(rows=0, tokens=0, tokens_with_repeats=0, text_bytes=0)
    parts: dict[tuple[str, str], np.ndarray] = {}
    selected: Counter[str] = Counter(dict.fromkeys(selections or {}, 0))
    code = _Code()
    groups = _row_groups(buckets, row_group_size, schema)
    first = next(groups, None)
    bloom = {"id": {"ndv": max(64, first.num_rows if first is not None else 0), "fpp": 0.01}}  # row groups have about as many rows
    with (
        store.create(name) as handle,
        pq.ParquetWriter(handle, schema, use_dictionary=_dictionaries(schema), bloom_filter_options=bloom, **_PARQUET) as writer,
    ):
        for group in itertools.chain([first] if first is not None else [], groups):
            lengths, tokens, repeats, sizes = (group.column(c).to_numpy() for c in ("text_bytes", "token_count", "repeats", size_column))
            content.update(group)
            counts.update(
                {"rows": group.num_rows, "tokens": int(tokens.sum()), "tokens_with_repeats": int((tokens * repeats).sum()), "text_bytes": int(lengths.sum())}
            )
            for key, numbers in sums_by(group, PART, "", np.stack([np.ones_like(tokens), tokens, tokens * repeats, sizes, sizes * repeats])):
                parts[key] = parts.get(key, 0) + numbers
            for selection, some in (selections or {}).items():
                selected[selection] += int((tokens * repeats)[some.mask(group)].sum())
            code.count(group, lengths, tokens * repeats)
            writer.write_table(group, row_group_size=max(1, group.num_rows))
    return {
        **counts,
        "content": content.hexdigest(),
        "parts": [[*key, *numbers.tolist()] for key, numbers in sorted(parts.items())],
        "selected": dict(selected),
        **code.found(),
    }


def sums_by(rows: pa.Table, names: tuple[str, str], missing: str, numbers: np.ndarray) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """Sums of numbers, (kinds, rows), by two columns, whose nulls are called `missing`."""
    table = pa.table(
        [pc.fill_null(rows.column(name), missing) for name in names] + [pa.array(n) for n in numbers], names=[*names, *map(str, range(len(numbers)))]
    )
    for row in table.group_by(list(names), use_threads=False).aggregate([(str(k), "sum") for k in range(len(numbers))]).to_pylist():
        yield (row[names[0]], row[names[1]]), np.array([row[f"{k}_sum"] for k in range(len(numbers))], np.int64)


def repository_at(url: str | None, repository: str, path: str | None) -> str:
    """A file's repository, with its commit where one is known."""
    return (url or repository).removesuffix(f":{path}").removesuffix("@")


def _dictionaries(schema: pa.Schema) -> list[str]:
    """Columns with few values: those known, and words that a recipe's stages add. Hashes, texts and numbers compress better as they are."""
    return [*_DICTIONARIES, *(field.name for field in schema if field.name not in RELEASE.names and pa.types.is_string(field.type))]


def write_signatures(store: Store, name: str, rows: Iterable[pa.Table]) -> dict[str, Any]:
    """The signature of every row of a shard, in its order."""
    from pipeline.dedup.signatures import signatures

    written = 0
    with store.create(name) as handle, pq.ParquetWriter(handle, SIGNATURES, use_dictionary=False, compression="none", store_schema=False) as writer:
        for group in rows:
            values, shingles = signatures(group.column("text"))
            packed = pa.array([v.tobytes() for v in values.astype("<u4")], pa.binary(4 * 112), mask=shingles == 0)
            writer.write_table(pa.table([group.column("id").combine_chunks(), packed], schema=SIGNATURES))
            written += group.num_rows
    return {"rows": written}


def write_removed(store: Store, name: str, rows: pa.Table) -> dict[str, Any]:
    """Write a file of dropped documents, sorted by id."""
    rows = rows.cast(REMOVED).sort_by([("id", "ascending"), ("file", "ascending"), ("offset", "ascending")]).combine_chunks()
    with store.create(name) as handle:
        pq.write_table(rows, handle, compression="zstd", compression_level=3, row_group_size=10_000, write_page_index=True, store_schema=False)
    return {"rows": rows.num_rows, "with_text": rows.num_rows - rows.column("text").null_count}


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
            at = repository_at(url, repository, path)
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


_DICTIONARIES = ("source", "licence", "domain", "subdomain", "programming_language", "repository", "language", "script", "date", "filter_trace")
_PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    "write_page_index": True,
    # Pages of 1 to 4 MB: 1.7 % larger than one zstd stream; the library's 256 kB to 1 MB are 4.6 %.
    "use_content_defined_chunking": {"min_chunk_size": 1 << 20, "max_chunk_size": 4 << 20, "norm_level": 0},
    "data_page_size": 4 << 20,
    "store_schema": False,  # the Arrow schema would repeat what Parquet's says, with this library's own version in it
}


def _row_groups(buckets: Iterable[pa.Table], limit: int, schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows by hash, cut after `limit` bytes of text at the next row whose hash says so: a row more or less in a later version moves one cut, not all."""
    held: pa.Table | None = None
    for bucket in buckets:
        rows = bucket.sort_by([("hash", "ascending"), ("id", "ascending")])
        held = rows if held is None or not held.num_rows else pa.concat_tables([held, rows])
        while (n := _cut_at(held, limit)) is not None:
            yield held.slice(0, n).select(schema.names).combine_chunks()
            held = held.slice(n)
    if held is not None and held.num_rows:
        yield held.select(schema.names).combine_chunks()


def _cut_at(rows: pa.Table, limit: int) -> int | None:
    """Rows of the first row group; None where it has no end yet."""
    ends = np.cumsum(rows.column("text_bytes").to_numpy())
    n = int(np.searchsorted(ends, limit))
    may = np.flatnonzero(rows.column("hash").to_numpy()[n:] % np.uint64(_CUTS) == 0)
    return n + int(may[0]) + 1 if len(may) else None


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
