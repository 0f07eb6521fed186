"""Which documents fill which budget, exact to the document and without a global sort: what the mix and `downsample` share.

Every slice (a domain, a part of it, a language of code) has a budget in tokens or bytes. Its documents stand in hash order, and are taken up to the
first that does not fit what remains. Found in two passes: mergeable histograms over the top 16 bits of the hash say in which bin the
budget ends, then only that bin's documents are looked at one by one. Nothing depends on units, workers or order.

A budget above what there is takes several passes over all documents. In each a document counts `weight` times (1 but where the mix
rehydrates), until it has been used `most` times (0: as often as it takes).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_BIN_SHIFT = np.uint64(48)
BINS = pa.schema(
    [
        pa.field("slice", pa.string(), nullable=False),
        pa.field("weight", pa.int64(), nullable=False),
        pa.field("bin", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
    ]
)
# What a slice gets: `full` whole passes over all its documents, and one more over those that fit the rest, which ends in `bin`.
BUDGET = pa.schema(
    [
        pa.field("slice", pa.string(), nullable=False),
        pa.field("available", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("budget", pa.float64(), nullable=False),
        pa.field("most", pa.int64(), nullable=False),
        pa.field("full", pa.int64(), nullable=False),
        pa.field("bin", pa.int64(), nullable=False),
        pa.field("left", pa.float64(), nullable=False),  # what remains of the budget where `bin` begins
    ]
)
EDGE = pa.schema([*BUDGET, pa.field("hash", pa.uint64()), pa.field("id", pa.string()), pa.field("size", pa.int64())])
CUT = pa.schema([*BUDGET, pa.field("cut", pa.uint64())])  # documents with a hash below `cut` fit; null: none of this bin


def histogram(slices: pa.ChunkedArray, hashes: np.ndarray, sizes: np.ndarray, weights: np.ndarray | None = None) -> pa.Table:
    """Documents and sizes by slice, weight and hash bin; histograms add up."""
    table = pa.table(
        {
            "slice": slices,
            "weight": pa.array(np.ones(len(hashes), np.int64) if weights is None else weights.astype(np.int64)),
            "bin": pa.array((hashes >> _BIN_SHIFT).astype(np.int64)),
            "documents": pa.array(np.ones(len(hashes), np.int64)),
            "size": pa.array(sizes.astype(np.int64)),
        }
    )
    return merged(table)


def merged(table: pa.Table) -> pa.Table:
    """Histograms added up."""
    by = ["slice", "weight", "bin"]
    found = table.group_by(by).aggregate([("documents", "sum"), ("size", "sum")])
    return pa.table([found.column(c) for c in (*by, "documents_sum", "size_sum")], schema=BINS).sort_by([(name, "ascending") for name in by])


def available(bins: pa.Table) -> dict[str, int]:
    """The size of each slice, every document once."""
    grouped = bins.group_by("slice").aggregate([("size", "sum")])
    return dict(zip(grouped.column("slice").to_pylist(), grouped.column("size_sum").to_pylist(), strict=True))


def _uses(weight: np.ndarray, most: int | np.ndarray, passes: int | np.ndarray) -> np.ndarray:
    """How often documents are used in so many whole passes."""
    many = weight * passes
    return np.where(np.asarray(most) > 0, np.minimum(many, most), many)


def budgets(bins: pa.Table, wanted: Mapping[str, float], most: Mapping[str, int] | None = None) -> pa.Table:
    """Budgets per slice in units of size -> full passes, and the bin in which the last pass ends."""
    rows = []
    for name, budget in sorted(wanted.items()):
        mine = bins.filter(pc.equal(bins.column("slice"), name))
        sizes, numbers, weights = (mine.column(c).to_numpy() for c in ("size", "bin", "weight"))
        limit = (most or {}).get(name, 0)
        full, used = _passes(sizes, weights, limit, budget)
        left = max(0.0, budget - used)
        here = np.bincount(numbers, sizes * (_uses(weights, limit, full + 1) - _uses(weights, limit, full))) if len(sizes) else np.zeros(0)
        before = np.concatenate([[0.0], np.cumsum(here)])
        i = int(np.searchsorted(before, left, side="right")) - 1  # the first bin that does not fit as a whole
        last = i >= len(here)
        rows.append(
            {
                "slice": name,
                "available": int(sizes.sum()),
                "documents": int(mine.column("documents").to_numpy().sum()),
                "budget": float(budget),
                "most": limit,
                "full": full,
                "bin": -1 if last else i,
                "left": 0.0 if last else left - float(before[i]),
            }
        )
    return pa.Table.from_pylist(rows, schema=BUDGET)


def _passes(sizes: np.ndarray, weights: np.ndarray, most: int, budget: float) -> tuple[int, float]:
    """Whole passes that fit a budget, and what they take. Of documents without a size, one; a budget of exactly n passes is n, whatever the rounding."""
    budget *= 1 + 1e-12
    once = float((sizes * _uses(weights, most, 1)).sum())
    if not once:
        return 1, 0.0
    if not most:
        return int(budget // once), float(budget // once) * once
    full, used = 0, 0.0
    while full < most and (more := float((sizes * _uses(weights, most, full + 1)).sum())) <= budget:
        full, used = full + 1, more
    return full, used


def edge(slices: pa.ChunkedArray, hashes: np.ndarray, ids: pa.ChunkedArray, sizes: np.ndarray, plan: pa.Table, weights: np.ndarray | None = None) -> pa.Table:
    """The documents of the bins in which budgets end, with the size that one more pass would add."""
    place = pc.index_in(slices, plan.column("slice").combine_chunks())
    at = pc.fill_null(place, 0).to_numpy()
    ends, full, most = (plan.column(c).to_numpy()[at] for c in ("bin", "full", "most"))
    weights = np.ones(len(sizes), np.int64) if weights is None else weights
    added = sizes.astype(np.int64) * (_uses(weights, most, full + 1) - _uses(weights, most, full))
    wanted = pa.array(((hashes >> _BIN_SHIFT).astype(np.int64) == ends) & pc.is_valid(place).to_numpy(zero_copy_only=False))
    rows = plan.take(place.filter(wanted))
    for name, column in (("hash", pa.array(hashes)), ("id", ids), ("size", pa.array(added))):
        rows = rows.append_column(EDGE.field(name), column.filter(wanted))
    return rows.cast(EDGE)


def cuts(rows: pa.Table, plan_rows: list[dict[str, Any]]) -> pa.Table:
    """Where in its last bin each slice's budget ends."""
    out = []
    for plan in plan_rows:
        mine = rows.filter(pc.and_(pc.equal(rows.column("slice"), plan["slice"]), pc.is_valid(rows.column("hash")))).sort_by(
            [("hash", "ascending"), ("id", "ascending")]
        )
        fits = np.cumsum(mine.column("size").to_numpy()) <= plan["left"]
        n = int(np.argmin(fits)) if not fits.all() else len(fits)
        hashes = mine.column("hash").to_numpy()
        cut = int(hashes[n]) if n < len(hashes) else int(hashes[-1]) + 1 if len(hashes) else None
        out.append({**plan, "cut": cut})
    return pa.Table.from_pylist(out, schema=CUT)


def passes(slices: pa.ChunkedArray, hashes: np.ndarray, found: pa.Table, weights: np.ndarray | None = None) -> np.ndarray:
    """How often each document is used: full passes, and one more where its hash lies before the end of the budget. (documents,) int64"""
    place = pc.fill_null(pc.index_in(slices, found.column("slice").combine_chunks()), -1).to_numpy()
    if found.num_rows == 0:
        return np.zeros(len(place), np.int64)
    bins, full, most = (found.column(c).to_numpy()[place] for c in ("bin", "full", "most"))
    cut = pc.fill_null(found.column("cut"), 0).to_numpy().astype(np.uint64)[place]
    mine = (hashes >> _BIN_SHIFT).astype(np.int64)
    partial = (mine < bins) | ((mine == bins) & (hashes < cut))
    return np.where(place < 0, 0, _uses(np.ones(len(place), np.int64) if weights is None else weights, most, full + partial))


def beyond(hashes: np.ndarray, slices: pa.ChunkedArray, found: pa.Table) -> tuple[list[str], np.ndarray]:
    """The bound that a document beyond its budget breaks, and its value: its draw, the hash of (seed, id) as a number below 1."""
    share = {
        name: (((bin_ << 48) + (1 << 47)) if cut is None else cut) / 2**64
        for name, bin_, cut in zip(*(found.column(c).to_pylist() for c in ("slice", "bin", "cut")), strict=True)
    }
    names = slices.to_pylist()
    reasons = [f"draw < {share[s]:.9f}" if s in share else "mix_share > 0" for s in names]
    return reasons, np.where([s in share for s in names], hashes / 2.0**64, 0.0)
