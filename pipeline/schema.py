"""The Arrow schemas that every room agrees on, and their check. No logic, no I/O.

A *document* is one row of the `text` artefact. A *record* is what a source yields: a document whose text may still be HTML.
A *ledger* row says why a document left. Addresses are (unit, row): row counts the rows of the unit's `text` artefact from 0.
"""

from collections.abc import Iterable

import pyarrow as pa

from pipeline.errors import LostRows, StoreError

DOMAINS = ("en", "zh", "code")  # what the shipped recipes mix; a recipe may name others


def ordered(domains: Iterable[str]) -> list[str]:
    """English, Chinese and code first, then by name."""
    return sorted(domains, key=lambda d: (DOMAINS.index(d) if d in DOMAINS else len(DOMAINS), d))


# How many values of each kind the stage `scrub` replaced by tags; null where no such stage was meant for the document.
REPLACED = pa.schema([pa.field(f"pii_{kind}", pa.int32()) for kind in ("email", "ip_address", "key", "password")])

# id: 32 hex digits (128 bits), stable across runs and renames; file and offset: where the record stood in the input.
DOCUMENT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("url", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("domain", pa.string()),
        pa.field("subdomain", pa.string()),
        pa.field("date", pa.string()),  # ISO 8601, of the crawl or the commit
        pa.field("licence", pa.string()),
        pa.field("programming_language", pa.string()),  # on GitHub Linguist's names; this and the following: of source code
        pa.field("repository", pa.string()),
        pa.field("path", pa.string()),  # in the repository
        pa.field("stars", pa.int64()),
        pa.field("repository_files", pa.int32()),  # regular files in the repository at its commit, before any filter; null where not all were seen
        pa.field("licence_file", pa.string()),  # where `licence` was found: a path in the repository, or null where the record says it
        pa.field("licence_confidence", pa.float64()),  # 1 where an SPDX id is written, else the likeness of a licence's text
        *REPLACED,
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
    ]
)

# A source's row: `html` holds a page (decoded to Unicode) whose text `extract` has still to find; then `text` is null.
RECORD = pa.schema([*(field for field in DOCUMENT if field.name not in REPLACED.names), pa.field("html", pa.string())])

# One row per dropped document of one unit and step, sorted by row. `other` is the id of the document kept in its place.
DROP = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("other", pa.string()),
    ]
)

# The ledger as users read it: never text, never a personal value.
LEDGER = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("domain", pa.string()),
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("other", pa.string()),
    ]
)

# Records of an input that became no document: unreadable ones, with the reason, and where they stood.
UNREADABLE = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("url", pa.string()),
    ]
)


def check(table: pa.Table | pa.RecordBatch, schema: pa.Schema, what: str) -> None:
    """Raise StoreError unless `table` has exactly `schema`'s columns and types and no null where none may be."""
    if not table.schema.equals(schema, check_metadata=False):
        raise StoreError(f"{what}: the columns are {table.schema.to_string()}\nwhere these were expected: {schema.to_string()}")
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise StoreError(f"{what}: column '{field.name}' holds a null")


def check_conservation(given: int, kept: int, dropped: int, what: str) -> None:
    """Raise LostRows unless every row that was given was either kept or dropped."""
    if given != kept + dropped:
        raise LostRows(
            f"{what}: {given} rows in, {kept} kept and {dropped} dropped: {given - kept - dropped:+d} unaccounted for. This is a bug; please report it."
        )
