"""Near-duplicates across all units: bands -> edges to each bucket's best -> clusters -> shingle sets -> verified verdicts.

MinHash only proposes. A document leaves when its exact Jaccard similarity with a document that stays reaches the threshold, and the
ledger names both. Texts with too few shingles are not compared: `short` says what becomes of them; their cluster_size is 0.
Memory: the edges of documents that share a bucket with another one (16 bytes each) are held by one task; all else is partitioned.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup.clusters import components
from pipeline.dedup.exact import preference, rank_order
from pipeline.dedup.signatures import band_keys, shingle_sets, signatures
from pipeline.dedup.verify import verify_cluster
from pipeline.rounds import ADDRESS, VERDICT, Context, Phase, Round

_RANK = [
    pa.field("prefer", pa.int32(), nullable=False),
    pa.field("date", pa.string()),
    pa.field("id", pa.string(), nullable=False),
    pa.field("tie", pa.uint64(), nullable=False),
]
_BANDS = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("short", pa.bool_(), nullable=False), *_RANK, *ADDRESS])
_EDGES = pa.schema([pa.field("a", pa.uint64(), nullable=False), pa.field("b", pa.uint64(), nullable=False)])  # a == b: a short text
_CLUSTERED = pa.schema([*ADDRESS, pa.field("cluster", pa.uint64(), nullable=False), pa.field("short", pa.bool_(), nullable=False)])
_SETS = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("cluster", pa.uint64(), nullable=False),
        pa.field("short", pa.bool_(), nullable=False),
        *_RANK,
        *ADDRESS,
        pa.field("shingles", pa.large_list(pa.uint64())),
    ]
)
_VERDICT = pa.schema([*VERDICT, pa.field("cluster", pa.string()), pa.field("cluster_size", pa.int64())])
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads addresses over the key space


def _address(table: pa.Table) -> np.ndarray:
    return (table.column("unit").to_numpy().astype(np.uint64) << np.uint64(32)) | table.column("row").to_numpy().astype(np.uint64)


def _rank_columns(documents: pa.Table, stage: Any) -> dict[str, Any]:
    return {
        "prefer": pa.array(preference(documents, stage)),
        "date": documents.column("date"),
        "id": documents.column("id"),
        "tie": pa.array(np.zeros(documents.num_rows, np.uint64)),
    }


def _bands(documents: pa.Table, context: Context) -> pa.Table:
    stage = context.settings
    documents = documents.filter(pa.array(stage.mask(documents)))
    signature, shingle_counts = signatures(documents.column("text"))
    short = shingle_counts < stage.min_shingles
    keys = band_keys(signature, stage.bands, stage.rows)
    # A short text sends one row, under a key of its own, so that it is counted; the others one a band.
    row = np.concatenate([np.flatnonzero(short), np.repeat(np.flatnonzero(~short), stage.bands)])
    key = np.concatenate([_address(documents)[short] * _SPREAD, keys[~short].ravel()])
    given = pa.table(
        {
            "key": pa.array(np.zeros(documents.num_rows, np.uint64)),
            "short": pa.array(short),
            **_rank_columns(documents, stage),
            "unit": documents.column("unit"),
            "row": documents.column("row"),
        },
        schema=_BANDS,
    )
    return given.take(pa.array(row)).set_column(0, _BANDS.field("key"), pa.array(key))


def _edges(rows: pa.Table, context: Context) -> pa.Table:
    rows = rows.sort_by([("key", "ascending"), ("short", "ascending"), *rank_order(context.settings.keep)])
    key, address = rows.column("key").to_numpy(), _address(rows)
    short = rows.column("short").to_numpy(zero_copy_only=False)
    first = np.ones(len(key), bool)
    first[1:] = (key[1:] != key[:-1]) | short[1:]
    best = address[np.maximum.accumulate(np.where(first, np.arange(len(key)), 0))]
    wanted = ~first | short
    pairs = np.unique(np.stack([best[wanted], address[wanted]], 1), axis=0) if wanted.any() else np.empty((0, 2), np.uint64)
    return pa.table([pa.array(pairs[:, 0]), pa.array(pairs[:, 1])], schema=_EDGES)


def _clusters(edges: pa.Table, _context: Context) -> pa.Table:
    a, b = edges.column("a").to_numpy(), edges.column("b").to_numpy()
    loop = a == b
    nodes, labels = components(a[~loop], b[~loop])
    address = np.concatenate([nodes, a[loop]])
    return pa.table(
        [
            pa.array((address >> np.uint64(32)).astype(np.uint32)),
            pa.array(address.astype(np.uint32)),
            pa.array(np.concatenate([labels, a[loop]])),
            pa.array(np.arange(len(address)) >= len(nodes)),
        ],
        schema=_CLUSTERED,
    )


def _sets(documents: pa.Table, context: Context) -> pa.Table:
    assert context.previous is not None
    members = context.previous.sort_by("row")
    wanted, rows = members.column("row").to_numpy(), documents.column("row").to_numpy()
    documents = documents.filter(pa.array(np.isin(rows, wanted)))
    place = np.searchsorted(wanted, documents.column("row").to_numpy())
    members = members.take(pa.array(place))
    short = members.column("short").to_numpy(zero_copy_only=False)
    cluster = members.column("cluster").to_numpy()
    text = pc.if_else(pa.array(short), pa.scalar("", documents.column("text").type), documents.column("text"))
    values, offsets = shingle_sets(text)
    shingles = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values))
    return pa.table(
        {
            "key": pa.array(cluster * _SPREAD),
            "cluster": pa.array(cluster),
            "short": pa.array(short),
            **_rank_columns(documents, context.settings),
            "unit": documents.column("unit"),
            "row": documents.column("row"),
            "shingles": shingles,
        },
        schema=_SETS,
    )


def _verify(rows: pa.Table, context: Context) -> pa.Table:
    stage = context.settings
    rows = rows.sort_by([("cluster", "ascending"), *rank_order(stage.keep)]).combine_chunks()
    cluster = rows.column("cluster").to_numpy()
    short = rows.column("short").to_numpy(zero_copy_only=False)
    ids = rows.column("id").to_pylist()
    shingles = rows.column("shingles").chunk(0) if rows.num_rows else pa.array([], _SETS.field("shingles").type)
    values, offsets = shingles.values.to_numpy(), shingles.offsets.to_numpy()
    reasons: list[str | None] = [None] * len(ids)
    similarity, sizes = np.full(len(ids), np.nan), np.zeros(len(ids), np.int64)
    others: list[str | None] = [None] * len(ids)
    heads: list[str | None] = [None] * len(ids)
    starts = np.flatnonzero(np.r_[True, cluster[1:] != cluster[:-1]]) if len(ids) else np.empty(0, np.int64)
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(ids)], strict=len(ids) > 0):  # no rows: no cluster, and one end
        if short[start]:
            if stage.short == "drop":
                reasons[start] = f"shingle_count >= {stage.min_shingles}"
            continue
        kept, other, score = verify_cluster(values, offsets[start : end + 1], stage.threshold)
        sizes[start:end] = np.bincount(other, minlength=end - start)[other]  # the copies of the one that stays, itself included
        for i in range(end - start):
            heads[start + i] = ids[start]
            if not kept[i]:
                reasons[start + i] = f"similarity < {stage.threshold:g}"
                similarity[start + i], others[start + i] = score[i], ids[start + int(other[i])]
    return pa.table(
        {
            "unit": rows.column("unit"),
            "row": rows.column("row"),
            "reason": pa.array(reasons, pa.string()),
            "value": pa.array(similarity, from_pandas=True),
            "other": pa.array(others, pa.string()),
            "cluster": pa.array(heads, pa.string()),
            "cluster_size": pa.array(sizes),
        },
        schema=_VERDICT,
    )


def minhash_round(stage: Any) -> Round:
    """The round of `deduplicate: {by: minhash}`. Adds `cluster` (the id of the best document among all that share buckets) and
    `cluster_size` (the documents that the one kept stands for, itself included); null where a document shares no bucket with another."""
    needs = tuple(dict.fromkeys(("id", "date", "source", "text", *stage.reads())))
    return Round(
        (
            Phase("bands", "units", _bands, "keys", _BANDS, needs, weight=80 * stage.bands),
            Phase("edges", "keys", _edges, "all", _EDGES),
            Phase("clusters", "all", _clusters, "units", _CLUSTERED),
            Phase("sets", "units", _sets, "keys", _SETS, needs, weight=16_000),
            Phase("verify", "keys", _verify, "units", _VERDICT),
        ),
        columns=("cluster", "cluster_size"),
    )
