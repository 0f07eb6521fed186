"""Documents that share a whole key: the id, the URL, or the folded text. Two phases: by key, then the best of each group stays.

"Best" is a total order that no grouping of inputs can change: the preferred source, the date, the id, and for equal ids the content.
"""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.rounds import ADDRESS, VERDICT, Context, Phase, Round

_KEYED = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("key_low", pa.uint64(), nullable=False),
        pa.field("prefer", pa.int32(), nullable=False),
        pa.field("date", pa.string()),
        pa.field("id", pa.string(), nullable=False),
        pa.field("tie", pa.uint64(), nullable=False),
        *ADDRESS,
    ]
)


def canonical_url(url: str) -> str:
    """The URL without what never changes the page: fragment, default port, case of scheme and host, an empty path. RFC 3986, 6.2."""
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").rstrip(".")
        port = parts.port
    except ValueError:  # not a URL (a bad port or bracket): itself is all we know
        return url.strip()
    if not parts.scheme or not host:
        return url.strip()
    netloc = host if port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f"{host}:{port}"
    return urlunsplit((parts.scheme.lower(), netloc, parts.path or "/", parts.query, ""))


_STARS = 1 << 21  # more than any repository has


def preference(documents: pa.Table, stage: Any) -> np.ndarray:
    """Rank of each document: by its source's place in `prefer`, or after all of them; then, for `most_stars`, by its repository's stars. (documents,) int32"""
    place = pc.fill_null(pc.index_in(documents.column("source"), pa.array(stage.prefer, pa.string())), len(stage.prefer)).to_numpy().astype(np.int64)
    if stage.keep == "most_stars":
        stars = np.nan_to_num(pc.fill_null(documents.column("stars").cast(pa.float64()), 0.0).to_numpy())
        place = place * _STARS + (_STARS - 1 - np.clip(stars, 0, _STARS - 1).astype(np.int64))
    return place.astype(np.int32)


def rank_order(keep: str) -> list[tuple[str, str]]:
    """The sort that puts the document to keep first."""
    return [("prefer", "ascending"), ("date", "ascending" if keep == "oldest" else "descending"), ("id", "ascending"), ("tie", "ascending")]


def _halves(strings: list[str]) -> tuple[np.ndarray, np.ndarray]:
    digests = np.frombuffer(b"".join(xxhash.xxh3_128_digest(s.encode()) for s in strings), ">u8").reshape(-1, 2)
    return digests[:, 0].astype(np.uint64), digests[:, 1].astype(np.uint64)


def _by_key(documents: pa.Table, context: Context) -> pa.Table:
    stage = context.settings
    mask = stage.mask(documents)
    if stage.by == "url":
        mask &= pc.is_valid(documents.column("url")).to_numpy(zero_copy_only=False)
    documents = documents.filter(pa.array(mask))
    tie = np.zeros(documents.num_rows, np.uint64)
    if stage.by == "text":
        from pipeline.dedup.signatures import text_keys

        code = pc.equal(documents.column("domain"), "code").fill_null(False).to_numpy(zero_copy_only=False)
        keys = text_keys(documents.column("text"), exact=code)
        high, low = keys[:, 0], keys[:, 1]
    elif stage.by == "url":
        high, low = _halves([canonical_url(u) for u in documents.column("url").to_pylist()])
    else:
        ids = documents.column("id").to_pylist()
        high, low = _halves(ids)
        # Equal ids with unequal contents: the content decides, then the place, so that grouping inputs otherwise changes nothing.
        contents = zip(
            documents.column("text").to_pylist(),
            documents.column("url").to_pylist(),
            documents.column("source").to_pylist(),
            documents.column("file").to_pylist(),
            documents.column("offset").to_pylist(),
            strict=True,
        )
        tie = np.fromiter((xxhash.xxh3_64_intdigest("\0".join(map(str, c)).encode()) for c in contents), np.uint64, len(ids))
    return pa.table(
        [
            pa.array(high),
            pa.array(low),
            pa.array(preference(documents, stage)),
            documents.column("date"),
            documents.column("id"),
            pa.array(tie),
            documents.column("unit"),
            documents.column("row"),
        ],
        schema=_KEYED,
    )


def _judge(rows: pa.Table, context: Context) -> pa.Table:
    stage = context.settings
    rows = rows.sort_by([("key", "ascending"), ("key_low", "ascending"), *rank_order(stage.keep)])
    high, low = rows.column("key").to_numpy(), rows.column("key_low").to_numpy()
    first = np.ones(len(high), bool)
    first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    best = np.maximum.accumulate(np.where(first, np.arange(len(high)), 0))
    dropped = np.flatnonzero(~first)
    return pa.table(
        {
            "unit": rows.column("unit").take(pa.array(dropped)),
            "row": rows.column("row").take(pa.array(dropped)),
            "reason": pa.array([f"copies_by_{stage.by} <= 1"] * len(dropped), pa.string()),
            "value": pa.array(np.bincount(best, minlength=len(high))[best[dropped]].astype(float)),
            "other": rows.column("id").take(pa.array(best[dropped])),
        },
        schema=VERDICT,
    )


def exact_round(stage: Any) -> Round:
    """The round of `deduplicate: {by: id | url | text}`."""
    needs = {"id": ("text", "url", "file", "offset"), "url": ("url",), "text": ("text", "domain")}[stage.by]
    needs = tuple(dict.fromkeys(("id", "date", "source", *needs, *stage.reads())))
    return Round((Phase("keys", "units", _by_key, "keys", _KEYED, needs), Phase("judge", "keys", _judge, "units", VERDICT)))
