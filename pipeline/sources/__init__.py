"""Sources: units of documents out of WARC, WET, JSON lines, Parquet and source code.

`list_units` says what there is to read, in one order on every machine; `read` yields the records of one unit in bounded batches.
How files are grouped or split never changes an id, a record's content or its address (file, offset). A record is a document, is skipped
(it is none: a request, a picture), or is unreadable, with a reason; nothing else can happen to it.
"""

from collections.abc import Iterator
from importlib import import_module

from pipeline.errors import PlanError
from pipeline.sources.base import Batch, InputFile, Source, Unit, Unreadable, content_hash
from pipeline.sources.units import list_units

__all__ = ["READERS", "Batch", "InputFile", "Source", "Unit", "Unreadable", "content_hash", "list_units", "read", "reader_version"]

# reader -> the module whose `read(source, unit, batch_bytes, quarantine)` does it; opened when first asked for
READERS = ("warc", "wet", "jsonl", "parquet", "code")


def read(source: Source, unit: Unit, *, batch_bytes: int = 8 << 20, quarantine: frozenset[tuple[str, int]] = frozenset()) -> Iterator[Batch]:
    """The unit's records, in order, in batches of about `batch_bytes` (one huge document may exceed it); at least one batch, perhaps empty.

    Records at an address in `quarantine` are not decoded: they become unreadable with the reason `unreadable: crashed its worker twice`.
    Raises SourceError where a file cannot be opened at all; a file that opens and is damaged yields unreadable records.
    """
    return _module(source).read(source, unit, batch_bytes, quarantine)  # type: ignore[no-any-return]  # a module chosen by name


def reader_version(source: Source) -> tuple[int, dict[str, str]]:
    """The reader's version and those of the libraries whose output enters the bytes: both belong in the unit's fingerprint."""
    module = _module(source)
    return module.VERSION, dict(module.ENGINES)


def _module(source: Source):  # type: ignore[no-untyped-def]  # a module
    if source.reader not in READERS:
        raise PlanError(f"Source '{source.name}': there is no reader '{source.reader}'. Readers are: {', '.join(READERS)}.")
    return import_module(f"pipeline.sources.{source.reader}")
