"""`downsample`: which share of a slice's bytes each value of a column may keep (caps, weights, temperature, floors), and the round that chooses."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.budgets import BINS, BUDGET, CUT, EDGE, available, beyond, budgets, cuts, edge, histogram, merged, passes
from pipeline.rounds import VERDICT, Context, Phase, Round, chance


def caps_to_budgets(sizes: Mapping[str, int], cap: Mapping[str, float]) -> dict[str, float]:
    """Bytes that each value may keep so that none is over its cap of what remains: the largest such total, by fixed point.

    Slices under their cap stay whole. Where caps leave no room for a whole (they sum to less than 1 and all bind), nothing is cut
    below the caps' own proportions.
    """
    limit = {name: cap.get(name, cap.get("*", 1.0)) for name in sizes}
    capped: set[str] = set()
    while True:
        free = sum(size for name, size in sizes.items() if name not in capped)
        room = 1 - math.fsum(limit[name] for name in capped)  # exact in any order
        if free == 0 or room <= 0:
            total = min((sizes[n] / limit[n] for n in capped if limit[n]), default=0.0)
            return {name: min(sizes[name], limit[name] * total) for name in sizes}
        total = free / room
        over = {name for name in sizes if name not in capped and sizes[name] > limit[name] * total}
        if not over:
            return {name: limit[name] * total if name in capped else float(size) for name, size in sizes.items()}
        capped |= over


SIGNIFICANT = 0.01  # values with less do not hold the others back
_WORTH = 0.01  # of the bytes: a cap for every value that would leave less is not kept to


def limits_of(sizes: Mapping[str, int], cap: Mapping[str, float]) -> dict[str, float]:
    """The cap of every value that is there. `'*'` is set aside where it cannot be kept to: fewer values than it needs, or the smallest of them
    so small that under 1 % of the bytes would be left (four repositories and one of ten bytes, and no one more than a fifth). Caps by name stay."""
    limit = {name: cap.get(name, cap.get("*", 1.0)) for name in sizes}
    if "*" not in cap or cap["*"] >= 1:
        return limit
    open_ = sum(size for name, size in sizes.items() if name not in cap)
    kept = sum(size for name, size in caps_to_budgets(sizes, cap).items() if name not in cap)
    enough = math.fsum(limit.values()) >= 1 - 1e-9
    return limit if enough and kept >= _WORTH * open_ else {name: cap.get(name, 1.0) for name in sizes}


def shares_of(sizes: Mapping[str, int], stage: Any, limits: Mapping[str, float] | None = None) -> dict[str, float]:
    """The share of the bytes that each value is to have: temperature and weights, then floors, then caps, what they take or leave shared by the
    others in proportion. They sum to 1, or to less where caps leave no room for more. `limits` are further caps."""
    names = sorted(name for name, size in sizes.items() if size > 0)
    mass = {n: sizes[n] ** stage.temperature * stage.weight.get(n, stage.weight.get("*", 1.0)) for n in names}
    names = [n for n in names if mass[n] > 0]
    caps = limits_of({n: sizes[n] for n in names}, stage.cap)
    high = {n: min(caps[n], (limits or {}).get(n, 1.0)) for n in names}
    low = {n: min(stage.floor, 1 / len(names), high[n]) for n in names}
    fixed: dict[str, float] = {}
    while True:
        free = [n for n in names if n not in fixed]
        room = max(0.0, 1 - math.fsum(fixed.values()))
        total = math.fsum(mass[n] for n in free)
        given = {n: room * mass[n] / total if total else 0.0 for n in free}
        # Those furthest off are settled first: a cap that is filled makes the others larger, a floor that is met makes them smaller.
        over = math.fsum(given[n] - high[n] for n in free if given[n] > high[n])
        under = math.fsum(low[n] - given[n] for n in free if given[n] < low[n])
        if not over and not under:
            return fixed | given
        settled = {n: high[n] for n in free if given[n] > high[n]} if over >= under else {n: low[n] for n in free if given[n] < low[n]}
        fixed |= settled


def shares_to_budgets(sizes: Mapping[str, int], shares: Mapping[str, float], named: Collection[str] = ()) -> dict[str, float]:
    """Bytes that each value may keep: its share of the largest total at which every significant value has enough; the rare give what they have.

    Significant is what has at least 1 % of the bytes and is to have 1 % of what is kept. Bytes of values whose cap is `named` are left out of that
    account: where data formats are nearly everything, the languages beside them are what matters.
    """
    asked = math.fsum(shares.values())
    whole = sum(size for name, size in sizes.items() if name not in named) or sum(sizes.values())
    held = [sizes[n] / share for n, share in sorted(shares.items()) if share >= SIGNIFICANT * asked > 0 and sizes[n] >= SIGNIFICANT * whole]
    total = min(held, default=float(sum(sizes.values())))
    return {name: min(float(size), shares.get(name, 0.0) * total) for name, size in sizes.items()}


def budgets_of(sizes: Mapping[str, int], stage: Any) -> dict[str, float]:
    """Bytes of every value of the column that `downsample` keeps."""
    if stage.temperature == 1 and not stage.weight and not stage.floor:
        return caps_to_budgets(sizes, limits_of(sizes, stage.cap))
    limits: dict[str, float] = {}
    for _ in range(100):
        shares = shares_of(sizes, stage, limits)
        found = shares_to_budgets(sizes, shares, stage.cap.keys())
        whole = math.fsum(found.values())
        # A value that has too little leaves room that would lift the others over their caps: what it has is its cap, and the rest is shared again.
        short = {n: found[n] / whole for n in shares if whole and sizes[n] <= found[n] < shares[n] * whole / math.fsum(shares.values()) * (1 - 1e-9)}
        if all(abs(limits.get(n, 2.0) - share) < 1e-12 for n, share in short.items()):
            break
        limits |= short
    # What the rounds above left over a cap goes.
    return _within(found, limits_of(sizes, stage.cap))


def _within(found: Mapping[str, float], limit: Mapping[str, float]) -> dict[str, float]:
    """Budgets with none over its cap of what remains, where caps leave room for that."""
    if math.fsum(limit[n] for n, size in found.items() if size > 0) < 1:
        return dict(found)
    whole = {n: round(size) for n, size in found.items()}
    return {n: min(found[n], size) for n, size in caps_to_budgets(whole, limit).items()}


def _slice(documents: pa.Table, context: Context) -> tuple[pa.Table, pa.ChunkedArray, np.ndarray]:
    stage = context.settings
    mine = documents.filter(pa.array(stage.mask(documents)))
    # A draw of its own for every stage: were it the mix's, the mix would take first what was kept here, and undo the caps.
    salt = xxhash.xxh3_64_intdigest(stage.name.encode())
    return mine, pc.fill_null(mine.column(stage.by), "none"), chance(context.seed ^ salt, mine.column("id"))


def _bytes(documents: pa.Table) -> np.ndarray:
    return pc.binary_length(documents.column("text")).to_numpy()


def _down_histogram(documents: pa.Table, context: Context) -> pa.Table:
    mine, slices, hashes = _slice(documents, context)
    return histogram(slices, hashes, _bytes(mine))


def _down_budgets(bins: pa.Table, context: Context) -> pa.Table:
    return budgets(merged(bins), budgets_of(available(bins), context.settings))


def _down_edge(documents: pa.Table, context: Context) -> pa.Table:
    mine, slices, hashes = _slice(documents, context)
    return edge(slices, hashes, mine.column("id"), _bytes(mine), context.decisions["budgets"])


def _down_cuts(rows: pa.Table, context: Context) -> pa.Table:
    return cuts(rows, context.decisions["budgets"].to_pylist())


def _down_verdicts(documents: pa.Table, context: Context) -> pa.Table:
    found = context.decisions["cuts"]
    mine, slices, hashes = _slice(documents, context)
    out = pa.array(passes(slices, hashes, found) == 0)
    reasons, draws = beyond(hashes, slices, found)
    dropped = mine.filter(out)
    return pa.table(
        [
            dropped.column("unit"),
            dropped.column("row"),
            pa.array(reasons, pa.string()).filter(out),
            pa.array(draws).filter(out),
            pa.nulls(dropped.num_rows, pa.string()),
        ],
        schema=VERDICT,
    )


def downsample_round(stage: Any) -> Round:
    """The round of `downsample`: caps on what each value of a column takes of the slice's bytes."""
    needs = tuple(dict.fromkeys(("id", *stage.reads())))
    with_text = (*needs, "text")
    return Round(
        (
            Phase("histogram", "units", _down_histogram, "all", BINS, with_text),
            Phase("budgets", "all", _down_budgets, "all", BUDGET),
            Phase("edge", "units", _down_edge, "all", EDGE, with_text),
            Phase("cuts", "all", _down_cuts, "all", CUT),
            Phase("verdicts", "units", _down_verdicts, "self", VERDICT, needs),
        )
    )
