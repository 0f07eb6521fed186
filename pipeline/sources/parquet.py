"""Parquet files, by row group: a unit holds whole ones, memory one batch of rows. A row's offset is its number in the file."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import SourceError
from pipeline.sources.base import CRASHED, LANGUAGES, Batch, Builder, InputFile, Source, Unit, open_raw
from pipeline.sources.jsonl import Row

VERSION = 1
ENGINES: dict[str, str] = {**LANGUAGES, "pyarrow": version("pyarrow")}

_DAMAGED = (pa.ArrowException, OSError, UnicodeDecodeError)


def read(source: Source, unit: Unit, batch_bytes: int, quarantine: frozenset[tuple[str, int]]) -> Iterator[Batch]:
    """See `pipeline.sources.read`. Raises SourceError where the file has no column for the text, since that is the recipe's fault."""
    builder = Builder(source, batch_bytes)
    row = Row(source)
    for file in unit.files:
        with open_raw(file) as raw:
            try:
                parquet = pq.ParquetFile(raw)
            except _DAMAGED as error:
                builder.unreadable(file.path, 0, f"unreadable: not a whole Parquet file ({_first_line(error)})")
                continue
            for _ in _rows(source, unit, file, parquet, row, builder, batch_bytes, quarantine):
                yield builder.take()
    yield builder.take()


def _rows(
    source: Source, unit: Unit, file: InputFile, parquet: pq.ParquetFile, row: Row, builder: Builder, batch_bytes: int, quarantine: frozenset[tuple[str, int]]
) -> Iterator[None]:  # fmt: skip
    columns = _columns(source, file, parquet, row)
    metadata = parquet.metadata
    end = metadata.num_row_groups if unit.end is None else min(unit.end, metadata.num_row_groups)
    offset = sum(metadata.row_group(i).num_rows for i in range(unit.start))
    for group in range(unit.start, end):
        about = metadata.row_group(group)
        rows = max(1, min(1 << 16, about.num_rows * batch_bytes // max(1, about.total_byte_size)))
        first, following = offset, offset + about.num_rows
        try:
            for batch in parquet.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=False):
                for value in batch.to_pylist():
                    if quarantine and (file.path, offset) in quarantine:
                        builder.unreadable(file.path, offset, CRASHED)
                    else:
                        row.add(builder, file, offset, value)
                    offset += 1
                    if builder.full:
                        yield
        except _DAMAGED as error:
            builder.unreadable(
                file.path, offset, f"unreadable: damaged row group {group} of rows {first} to {following - 1}, from row {offset} on ({_first_line(error)})"
            )
        offset = following


def _columns(source: Source, file: InputFile, parquet: pq.ParquetFile, row: Row) -> list[str]:
    """The file's columns that the source asks for; dotted paths name fields of nested ones."""
    names = set(parquet.schema_arrow.names)
    wanted = [theirs for theirs in row.fields.values() if theirs in names or theirs.split(".")[0] in names]
    text = row.fields["text"]
    if text not in wanted:
        raise SourceError(
            f"Source '{source.name}': {file.location} has no column '{text}' for the text; it has {', '.join(sorted(names))}. Map it in the recipe: columns: {{text: NAME}}."
        )
    return wanted


def _first_line(error: Any) -> str:
    """An error of Arrow without the places in memory and in files that it may name after its first line."""
    return str(error).partition("\n")[0][:160]


def row_group_bytes(file: InputFile) -> list[int]:
    """The uncompressed size of each row group; empty where the file cannot be read (which reading it will report)."""
    with open_raw(file) as raw:
        try:
            metadata = pq.ParquetFile(raw).metadata
        except _DAMAGED:
            return []
        return [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
