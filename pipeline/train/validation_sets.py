"""Validation sets: which documents a model is scored on. The choice depends on the texts and a seed alone, and every model gets the same bytes.

Documents are cut at so many bytes, not tokens, so that models with different tokenizers are scored on the same text. Every row is read, once; memory
holds the chosen documents. What cannot be read is an error and not left out: a set that lacks a document is another set.
"""

import glob
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
import yaml

from pipeline.errors import PlanError, SourceError
from pipeline.sources.base import InputFile, open_decompressed
from pipeline.sources.jsonl import whole_characters

DOCUMENTS = 500
MAX_BYTES = 4096  # about what Skywork takes of a Chinese document: 4,096 // 3 characters of 3 bytes
_JSON_LINES = (".jsonl", ".jsonl.zst", ".jsonl.gz", ".jsonl.bz2")


@dataclass(frozen=True)
class ValidationSet:
    """A domain: local globs of JSON lines (plain, .zst, .gz, .bz2) or Parquet. Several columns are joined by line ends: a question and its answer."""

    name: str
    files: tuple[str, ...]
    columns: tuple[str, ...] = ("text",)
    group: str = ""


@dataclass(frozen=True)
class Chosen:
    """The documents of a set that are scored."""

    keys: np.ndarray  # (documents,) uint64, ascending: the hash of each whole text, by which it was chosen
    texts: tuple[str, ...]  # cut
    read: int  # rows that the files have
    empty: int  # of them without any text


def sets_of(mapping: Mapping[str, Any] | str | Path) -> tuple[ValidationSet, ...]:
    """Sets from {domain: glob} or the path of a YAML file with that; a domain is a glob, a list of globs, or {files, columns, group}.

    The group is what stands before the first `_` of a domain's name unless it is given. PlanError for anything else.
    """
    where = "The validation sets"
    if not isinstance(mapping, Mapping):
        where = str(mapping)
        try:
            mapping = yaml.safe_load(Path(mapping).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise PlanError(f"{where}: the validation sets cannot be read: {error}. Give a YAML file of DOMAIN: GLOB.") from error
    if not isinstance(mapping, Mapping) or not mapping:
        raise PlanError(f"{where}: there must be one domain or more. Write DOMAIN: GLOB for each.")
    found = []
    for name, about in mapping.items():
        said = about if isinstance(about, Mapping) else {"files": about}
        files, columns = _strings(said.get("files")), _strings(said.get("columns", "text"))
        if set(said) - {"files", "columns", "group"} or not files or not columns:
            raise PlanError(f"{where}: {name}: a domain is a glob, a list of globs, or {{files: GLOB, columns: NAME, group: NAME}}; this is {about!r}.")
        found.append(ValidationSet(str(name), files, columns, str(said.get("group", str(name).partition("_")[0]))))
    return tuple(found)


def _strings(value: Any) -> tuple[str, ...]:
    """One or several; nothing where it is anything else."""
    values = [value] if isinstance(value, str) else value
    return tuple(values) if isinstance(values, list | tuple) and all(isinstance(v, str) and v for v in values) else ()


def choose(source: ValidationSet, *, documents: int | None = DOCUMENTS, max_bytes: int | None = MAX_BYTES, seed: int = 0) -> Chosen:
    """The set's first documents by the hash of their whole text (xxh3_64 with the seed), cut; all of them with None. A text that stands twice counts once.

    Neither the order nor the number of the files matters, and the first 100 are among the first 500. Texts of white space alone are left out
    and counted. SourceError, with file and line, for what cannot be read; PlanError for a set of no files or no text.
    """
    if (documents is not None and documents < 1) or (max_bytes is not None and max_bytes < 4) or seed < 0:
        raise PlanError(
            f"{documents} documents, {max_bytes} bytes, seed {seed}: ask for 1 document or more, 4 bytes (a character) or more, and a seed from 0 on."
        )
    kept: dict[int, str] = {}
    read, empty, bar = 0, 0, 1 << 64
    for text in _texts(source):
        read += 1
        if not text.strip():
            empty += 1
            continue
        text = whole_characters(text)  # noqa: PLW2901  # UTF-8 holds no other
        key = xxhash.xxh3_64_intdigest(text.encode(), seed)
        if key < bar:
            kept[key] = text if max_bytes is None else cut(text, max_bytes)
            if documents is not None and len(kept) > 2 * documents:
                kept = {key: kept[key] for key in sorted(kept)[:documents]}
                bar = max(kept) + 1
    if not kept:
        raise PlanError(
            f"The domain '{source.name}' has no text: {read} rows in {', '.join(source.files)}, {empty} of them empty. Give other files, or leave it out."
        )
    keys = sorted(kept)[:documents]
    return Chosen(np.array(keys, np.uint64), tuple(kept[key] for key in keys), read, empty)


def cut(text: str, most: int) -> str:
    """The text's longest beginning of at most so many bytes in UTF-8, and of whole characters (code points)."""
    return text.encode()[:most].decode(errors="ignore")


def _texts(source: ValidationSet) -> Iterator[str]:
    """Every row's text; empty where there is none."""
    files = sorted({file for pattern in source.files for file in glob.glob(pattern, recursive=True)})
    unmatched = [pattern for pattern in source.files if not glob.glob(pattern, recursive=True)]
    if unmatched:
        raise PlanError(f"The domain '{source.name}': no file matches {', '.join(unmatched)} (looked in {Path.cwd()}). Mend the glob, or leave the domain out.")
    for file in files:
        if not file.endswith((".parquet", *_JSON_LINES)):
            raise PlanError(f"The domain '{source.name}': {file} is neither .parquet nor one of {', '.join(_JSON_LINES)}. Convert it, or narrow the glob.")
        for where, row in _parquet(file, source.columns) if file.endswith(".parquet") else _json_lines(file):
            yield "\n".join(_field(where, row, column) for column in source.columns)


def _field(where: str, row: Any, column: str) -> str:
    if not isinstance(row, dict) or column not in row:
        has = f"it has {', '.join(row)}" if isinstance(row, dict) else f"it is a {type(row).__name__}, not an object"
        raise SourceError(f"{where}: there is no column '{column}' for the text; {has}. Name the right one: {{files: GLOB, columns: NAME}}.")
    if not isinstance(row[column], str | None):
        raise SourceError(f"{where}: column '{column}' holds a {type(row[column]).__name__}, not a text. Name the right one: {{files: GLOB, columns: NAME}}.")
    return row[column] or ""


def _json_lines(file: str) -> Iterator[tuple[str, Any]]:
    number = 0
    try:
        with open_decompressed(InputFile(file, file, 0, "")) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{file}:{number}", json.loads(line)
    except (EOFError, OSError, zlib.error, ValueError, RecursionError) as error:
        line_or_file = f"line {number} is no JSON" if isinstance(error, ValueError | RecursionError) else f"behind line {number} the file is damaged"
        raise SourceError(f"{file}:{number}: {line_or_file} ({error}). A set that lacks a document is another set: mend the file.") from error


def _parquet(file: str, columns: Sequence[str]) -> Iterator[tuple[str, Any]]:
    try:
        with pq.ParquetFile(file) as parquet:
            names = parquet.schema_arrow.names
            present = [column for column in columns if column in names]
            if len(present) < len(columns):
                _field(file, dict.fromkeys(names), next(column for column in columns if column not in names))
            for batch in parquet.iter_batches(1024, columns=present, use_threads=False):
                yield from ((file, row) for row in batch.to_pylist())
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read as Parquet ({str(error).splitlines()[0]}). Fetch it again.") from error
