"""The ledger and the funnel: who left, at which stage, for which broken bound. Conservation is checked wherever rows are counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import LEDGER

UNNAMED = "takedown"  # the stage whose ledger rows have ids, reasons and places in the input, and no URLs


def ledger_rows(documents: pa.Table, drops: pa.Table) -> pa.Table:
    """Drops of one unit with the address of each document. `documents` are all rows of the unit, with LEDGER's first columns."""
    who = documents.take(drops.column("row"))
    if UNNAMED in (stages := drops.column("stage").to_pylist()):  # what was taken down is not told where it stood
        url = pc.if_else(pa.array([stage == UNNAMED for stage in stages]), pa.scalar(None, pa.string()), who.column("url"))
        who = who.set_column(who.column_names.index("url"), "url", url)
    columns = [who.column(n) if n in documents.column_names else drops.column(n) for n in LEDGER.names]
    return pa.table(columns, names=LEDGER.names).cast(LEDGER)


def unreadable_rows(unreadable: pa.Table, source: str, naming: Callable[[pa.ChunkedArray, pa.ChunkedArray], Sequence[str | None]] | None = None) -> pa.Table:
    """Records that became no document, as ledger rows of the stage 'source'. `naming(ids, urls)`: the tombstone that names a record, or None; its URL is not told."""
    n = unreadable.num_rows
    url = unreadable.column("url")
    if naming is not None:
        named = naming(pa.chunked_array([pa.nulls(n, pa.string())]), url)
        url = pc.if_else(pa.array([line is not None for line in named], pa.bool_()), pa.scalar(None, pa.string()), url)
    given = {
        "url": url,
        "file": unreadable.column("file"),
        "offset": unreadable.column("offset"),
        "reason": unreadable.column("reason"),
        "source": pa.array([source] * n, pa.string()),
        "stage": pa.array(["source"] * n, pa.string()),
    }
    return pa.table([given.get(f.name, pa.nulls(n, f.type)) for f in LEDGER], names=LEDGER.names).cast(LEDGER)


def funnel(accounts: Iterable[dict[str, Any]], stages: Sequence[str]) -> dict[str, Any]:
    """Accounts of all units -> documents and bytes by domain: read, dropped by stage (and reason), kept."""
    read: Counter[tuple[str, str]] = Counter()
    read_bytes: Counter[tuple[str, str]] = Counter()
    dropped: Counter[tuple[str, str, str]] = Counter()
    dropped_bytes: Counter[tuple[str, str, str]] = Counter()
    skipped: Counter[str] = Counter()
    unreadable = kept = html = 0
    for account in accounts:
        for source, domain, n, size in account["read"]:
            read[source, domain] += n
            read_bytes[source, domain] += size
        for stage, domain, why, n, size in account["dropped"]:
            dropped[stage, domain, why] += n
            dropped_bytes[stage, domain, why] += size
        skipped.update(account["skipped"])
        unreadable += account["unreadable"]
        kept += account["kept"]
        html += account["html_bytes"]
    order = {s: i for i, s in enumerate(stages)}
    return {
        "records": {"documents": read.total(), "skipped": dict(sorted(skipped.items())), "unreadable": unreadable, "html_bytes": html},
        "read": [{"source": s, "domain": d, "documents": n, "bytes": read_bytes[s, d]} for (s, d), n in sorted(read.items())],
        "dropped": [
            {"stage": s, "domain": d, "reason": w, "documents": n, "bytes": dropped_bytes[s, d, w]}
            for (s, d, w), n in sorted(dropped.items(), key=lambda kv: (order[kv[0][0]], kv[0]))
        ],
        "kept": kept,
        "stages": list(stages),
    }
