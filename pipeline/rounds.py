"""Rounds: how a stage that judges documents by other documents is written down. Data only; the runner carries it out.

A round is a list of phases. A phase runs once per unit, once per partition of keys, or once for all, and hands its rows on by key,
by unit, or to everybody. Between two phases every task writes one indexed file, whatever the number of partitions.
The last phase yields verdicts: a row per document that has something to say of, with a null reason where the document stays.

`unit` and `row` address a document inside one run; no key, order or verdict may depend on them (ids and contents decide).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import xxhash

ADDRESS = [pa.field("unit", pa.uint32(), nullable=False), pa.field("row", pa.uint32(), nullable=False)]

# What the last phase of a round says of a document. Rounds add columns of their own behind these (cluster, repeats, …).
VERDICT = pa.schema([*ADDRESS, pa.field("reason", pa.string()), pa.field("value", pa.float64()), pa.field("other", pa.string())])

PARTITION_BYTES = 64_000_000


@dataclass(frozen=True)
class Phase:
    """One phase of a round.

    over   'units': run(documents, context), documents being the survivors of one unit with the columns in `needs`, `unit` and `row`;
           'keys' or 'all': run(rows, context), rows being what the previous phase sent to this partition, or all of it.
    to     'keys': by the uint64 column `key`; 'units': by the column `unit`; 'self': verdicts of a 'units' phase on its own unit;
           'all': to one task. What an 'all' phase yields under to='all' is a decision: a small table that every later phase finds
           in `context.decisions`.
    weight the bytes that one row given to this phase sends on, roughly: it sizes the partitions, never the result.

    A 'units' phase is called once per batch of documents, and its rows are concatenated.
    """

    name: str
    over: Literal["units", "keys", "all"]
    run: Callable[[pa.Table, "Context"], pa.Table]
    to: Literal["keys", "units", "self", "all"]
    schema: pa.Schema
    needs: tuple[str, ...] = ()
    weight: int = 64


@dataclass(frozen=True)
class Context:
    """What a phase may know beside its rows: settings, seed, what the previous phase sent to this unit, and what 'all' phases decided."""

    settings: Any
    seed: int
    previous: pa.Table | None = None
    decisions: Mapping[str, pa.Table] = field(default_factory=dict)  # by the name of the phase


@dataclass(frozen=True)
class Round:
    """A global stage as phases. `columns` are those that its verdicts carry beside VERDICT's, kept for the survivors they name."""

    phases: tuple[Phase, ...]
    columns: tuple[str, ...] = ()


def chance(seed: int, ids: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """The one source of chance: xxh3_64 of each id under a seed, uniform over uint64. (ids,) uint64"""
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(i.encode(), seed) for i in ids.to_pylist()), np.uint64, len(ids))


def partition_of(keys: np.ndarray, partitions: int) -> np.ndarray:
    """Which of `partitions` ranges of the key space each uint64 key falls into. (keys,) int64"""
    return ((keys >> np.uint64(32)) * np.uint64(partitions) >> np.uint64(32)).astype(np.int64)


def split(table: pa.Table, part: np.ndarray, parts: int) -> list[pa.Table]:
    """Cut a table into `parts` tables by a partition number per row; the order within each stays. Empty ones included."""
    order = np.argsort(part, kind="stable")
    ends = np.searchsorted(part[order], np.arange(parts), side="right")
    sorted_table = table.take(pa.array(order))
    return [sorted_table.slice(start, end - start) for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]


def partitions_for(rows: int, weight: int) -> int:
    """How many partitions a keyed exchange uses: a function of the data alone, never of the machine."""
    return max(1, min(4096, -(-rows * weight // PARTITION_BYTES)))
