"""Small releases written by hand, with the columns and files of real ones: for what a run of the sample does not hold, such as hostile strings."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.schema import LEDGER
from pipeline.shards import RELEASE

SCORES = pa.schema(
    [
        ("quality", pa.float64()),
        ("quality_bucket", pa.string()),
        ("quality_model", pa.string()),
        ("topic", pa.string()),
        ("topic_score", pa.float64()),
        ("topic_model", pa.string()),
        ("sensitive_adult", pa.float64()),
        ("sensitive_adult_mean", pa.float64()),
        ("sensitive_model", pa.string()),
    ]
)
RECIPE: dict[str, Any] = {
    "name": "small",
    "version": "1.0",
    "seed": 1,
    "policy": "Nothing is dropped for its opinion.",
    "sources": {
        "web": {"reader": "warc", "files": ["*.warc.gz"], "licence": "as found on the web"},
        "code": {"reader": "code", "files": ["*.tar"], "licence": None, "domain": "code"},
    },
    "stages": [
        {"extract": {"for": {"source": ["web"]}}},
        {"scrub": {"for": {"source": ["code"]}}},
        {"filter": {"name": "shape", "for": {"domain": ["en"]}, "bounds": {"word_count": {"min": 50.0}}}},
        {"deduplicate": {"by": "minhash", "threshold": 0.8, "keep": "newest"}},
        {"score": {"columns": {"quality": "bundled:quality", "topic": "bundled:topic", "sensitive": "bundled:sensitive"}, "for": {"domain": ["en", "zh"]}}},
        {"filter": {"name": "sensitive", "bounds": {"sensitive_adult": {"max": 0.2}}}},
    ],
    "mix": {"tokenizer": "skypile-65k", "shares": {"en": 0.5, "zh": 0.4, "code": 0.1}, "max_epochs": 2.0, "total": "max"},
    "release": {"validation": 0.001, "validation_documents": 20, "removed": 0.01},
}


def row(number: int, domain: str, **other: Any) -> dict[str, Any]:
    """A row of data/ or validation/, with all columns."""
    text = f"document {number} " * (number % 7 + 1)
    code = domain == "code"
    known: dict[str, Any] = {
        "id": f"{number:032x}",
        "text": text,
        "url": f"https://site.example/{number}",
        "source": "code" if code else "web",
        "licence": "MIT" if code else "as found on the web",
        "date": f"2026-0{number % 9 + 1}-11T00:00:00Z",
        "domain": domain,
        "subdomain": None if code else "web",
        "programming_language": "Python" if code else None,
        "repository": "owner/name" if code else None,
        "path": f"file{number}.py" if code else None,
        "language": None if code else domain,
        "language_score": None if code else 0.9,
        "script": "Hans" if domain == "zh" else None if code else "",
        **{f"pii_{kind}": (number % 3 if code else None) for kind in ("email", "ip_address", "key", "password")},
        "cluster": f"{number:032x}" if number % 4 == 0 else None,
        "cluster_size": 2 + number % 8 if number % 4 == 0 else None,
        "characters": len(text),
        "text_bytes": len(text.encode()),
        "token_count": 3 * (number % 7 + 1),
        "repeats": 1 + number % 2,
        "filter_trace": "0123456789ab shape",
        "quality": None if code else (number % 50) / 10,
        "quality_bucket": None if code else "middle",
        "quality_model": None if code else "bert",
        "topic": None if code else ("news", "law", "sport")[number % 3],
        "topic_score": None if code else 0.5,
        "topic_model": None if code else "fasttext",
        "sensitive_adult": None if code else (0.0, 0.0, 0.0, 0.125)[number % 4],
        "sensitive_adult_mean": None if code else 0.01,
        "sensitive_model": None if code else "bert",
    }
    return {name: {**known, **other}.get(name) for name in (*RELEASE.names, *SCORES.names)}


def rows_of(domains: tuple[str, ...] = ("en", "zh", "code"), train: int = 30, held: int = 5) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(folder, domain) -> rows."""
    numbers = iter(range(1, 10_000))
    return {
        (folder, domain): [row(next(numbers), domain, **({"repeats": 0} if folder == "validation" else {})) for _ in range(n)]
        for folder, n in (("data", train), ("validation", held))
        for domain in domains
    }


def make_release(
    folder: Path,
    rows: dict[tuple[str, str], list[dict[str, Any]]] | None = None,
    *,
    recipe: dict[str, Any] | None = RECIPE,
    schema: pa.Schema | None = None,
    dropped: list[dict[str, Any]] | None = None,
    skipped: dict[str, int] | None = None,
    shortage: list[str] | None = None,
    code: dict[str, Any] | None = None,
    removed: list[dict[str, Any]] | None = None,
    domains: dict[str, Any] | None = None,
    schedule: dict[str, Any] | None = None,
) -> Path:
    """Write a release; what it says of itself follows from the rows and the drops."""
    rows = rows_of() if rows is None else rows
    schema = pa.schema([*RELEASE, *SCORES]) if schema is None else schema
    if dropped is None:
        dropped = [
            {"stage": "shape", "domain": "en", "reason": "word_count >= 50", "documents": 7, "bytes": 70},
            {"stage": "deduplicate_minhash", "domain": "en", "reason": "similarity < 0.8", "documents": 4, "bytes": 9},
            {"stage": "sensitive", "domain": "zh", "reason": "sensitive_adult <= 0.2", "documents": 3, "bytes": 30},
        ]
    files: dict[str, dict[str, Any]] = {}

    def write(name: str, table: pa.Table) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name, compression="zstd", store_schema=False)
        files[name] = {"rows": table.num_rows}

    for (place, domain), some in rows.items():
        table = pa.Table.from_pylist(some, schema=schema)
        write(f"{place}/{domain}/{domain}-00000-of-00001.parquet", table)
    if removed is not None:
        write("removed/removed-00000-of-00001.parquet", pa.Table.from_pylist(removed, schema=pa.schema([*LEDGER, pa.field("text", pa.string())])))
    write("ledger/ledger-00000-of-00001.parquet", LEDGER.empty_table())
    released = [
        {
            "split": "train" if place == "data" else "validation",
            "domain": domain,
            "documents": len(some),
            "tokens": sum(r["token_count"] for r in some),
            "tokens_with_repeats": sum(r["token_count"] * r["repeats"] for r in some),
            "text_bytes": sum(len(r["text"].encode()) for r in some),
            "files": 1,
        }
        for (place, domain), some in rows.items()
    ]
    kept: dict[tuple[str, str], int] = {}
    for some in rows.values():
        for r in some:
            kept[r["source"], r["domain"]] = kept.get((r["source"], r["domain"]), 0) + 1
    gone: dict[str, int] = {}
    for d in dropped:
        gone[d["domain"]] = gone.get(d["domain"], 0) + d["documents"]
    read = [{"source": s, "domain": d, "documents": n + gone.pop(d, 0), "bytes": 100 * n} for (s, d), n in kept.items()]
    read += [{"source": "web", "domain": d, "documents": n, "bytes": n} for d, n in gone.items()]
    total = sum(r["tokens_with_repeats"] for r in released)
    shares = (recipe or RECIPE)["mix"]["shares"]
    written = {
        "stats.json": {
            "records": {"documents": sum(r["documents"] for r in read), "skipped": skipped or {"request": 4}, "unreadable": 1, "html_bytes": 9},
            "read": read,
            "dropped": dropped,
            "kept": sum(map(len, rows.values())),
            "stages": list(dict.fromkeys(["shape", "deduplicate_minhash", "sensitive", "mix", *(d["stage"] for d in dropped)])),
            "too_short_to_compare": 0,
            "released": released,
        },
        "mixture.json": {
            "tokenizer": "skypile-65k",
            "unit": "tokens",
            "total": total,
            "total_wanted": "max",
            "binding": [],
            "shortage": shortage or [],
            "domains": domains
            or {
                r["domain"]: {
                    "share_wanted": shares.get(r["domain"], 0.0),
                    "share": r["tokens_with_repeats"] / total,
                    "tokens": r["tokens_with_repeats"],
                    "tokens_wanted": 0.0,
                    "unique_tokens": r["tokens"],
                    "unique_tokens_available": r["tokens"],
                    "documents": r["documents"],
                    "epochs": 1.5,
                    "max_epochs": 2.0,
                    "binding": r["domain"] == "en",
                }
                for r in released
                if r["split"] == "train"
            },
        },
        **({"recipe.json": recipe} if recipe is not None else {}),
        **({"code.json": code} if code is not None else {}),
        **({"schedule.json": schedule} if schedule is not None else {}),
    }
    for name, value in written.items():
        (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        files[name] = {}
    for name, entry in files.items():
        entry["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    plain = recipe or RECIPE
    manifest = {"name": plain["name"], "version": plain["version"], "fingerprint": "f" * 32, "engines": {"extract": {"resiliparse": "2.0.1"}}}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "pyarrow": "26.0.1", "tokenizer": "skypile-65k", "files": files}), encoding="utf-8")
    return folder
