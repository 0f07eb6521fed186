"""Shares, repeats, caps and shortage: which documents fill which budget, exact to the document and without a global sort.

Every slice (a domain, a language of code) has a budget in tokens or bytes. Its documents stand in hash order, and are taken up to the
first that does not fit what remains. Found in two passes: mergeable histograms over the top 16 bits of the hash say in which bin the
budget ends, then only that bin's documents are looked at one by one. Nothing depends on units, workers or order.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.errors import PlanError
from pipeline.rounds import VERDICT, Context, Phase, Round, chance

_BIN_SHIFT = np.uint64(48)
_BINS = pa.schema(
    [
        pa.field("slice", pa.string(), nullable=False),
        pa.field("bin", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
    ]
)
# What a slice gets: `full` whole passes over all its documents, and one more over those that fit `rest`; the rest ends in `bin`.
_BUDGET = pa.schema(
    [
        pa.field("slice", pa.string(), nullable=False),
        pa.field("available", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("budget", pa.float64(), nullable=False),
        pa.field("full", pa.int64(), nullable=False),
        pa.field("bin", pa.int64(), nullable=False),
        pa.field("left", pa.float64(), nullable=False),  # what remains of the budget where `bin` begins
        pa.field("binding", pa.bool_(), nullable=False),
    ]
)
_EDGE = pa.schema([*_BUDGET, pa.field("hash", pa.uint64()), pa.field("id", pa.string()), pa.field("size", pa.int64())])
_CUT = pa.schema([*_BUDGET, pa.field("cut", pa.uint64())])  # documents with a hash below `cut` fit; null: none of this bin


def histogram(slices: pa.ChunkedArray, hashes: np.ndarray, sizes: np.ndarray) -> pa.Table:
    """Documents and sizes by slice and hash bin; histograms add up."""
    table = pa.table(
        {
            "slice": slices,
            "bin": pa.array((hashes >> _BIN_SHIFT).astype(np.int64)),
            "documents": pa.array(np.ones(len(hashes), np.int64)),
            "size": pa.array(sizes.astype(np.int64)),
        }
    )
    return _merge(table)


def _merge(table: pa.Table) -> pa.Table:
    merged = table.group_by(["slice", "bin"]).aggregate([("documents", "sum"), ("size", "sum")])
    return pa.table([merged.column(c) for c in ("slice", "bin", "documents_sum", "size_sum")], schema=_BINS).sort_by(
        [("slice", "ascending"), ("bin", "ascending")]
    )


def budgets(bins: pa.Table, wanted: Mapping[str, float], binding: set[str]) -> pa.Table:
    """Budgets per slice in units of size -> full passes, and the bin in which the last pass ends."""
    rows = []
    for name, budget in sorted(wanted.items()):
        mine = bins.filter(pc.equal(bins.column("slice"), name))
        sizes, numbers = mine.column("size").to_numpy(), mine.column("bin").to_numpy()
        available = int(sizes.sum())
        full = (
            int((budget * (1 + 1e-12)) // available) if available else 1
        )  # empty texts cost nothing; a budget of exactly n passes is n, whatever the rounding
        left = max(0.0, budget - full * available)
        before = np.concatenate([[0], np.cumsum(sizes)])
        i = int(np.searchsorted(before, left, side="right")) - 1  # the first bin that does not fit as a whole
        last = i >= len(numbers)
        rows.append(
            {
                "slice": name,
                "available": available,
                "documents": int(mine.column("documents").to_numpy().sum()),
                "budget": float(budget),
                "full": full,
                "bin": -1 if last else int(numbers[i]),
                "left": 0.0 if last else left - float(before[i]),
                "binding": name in binding,
            }
        )
    return pa.Table.from_pylist(rows, schema=_BUDGET)


def _edge(slices: pa.ChunkedArray, hashes: np.ndarray, ids: pa.ChunkedArray, sizes: np.ndarray, plan: pa.Table) -> pa.Table:
    """The documents of the bins in which budgets end."""
    place = pc.index_in(slices, plan.column("slice").combine_chunks())
    ends = plan.column("bin").to_numpy()[pc.fill_null(place, 0).to_numpy()]
    wanted = pa.array(((hashes >> _BIN_SHIFT).astype(np.int64) == ends) & pc.is_valid(place).to_numpy(zero_copy_only=False))
    rows = plan.take(place.filter(wanted))
    for name, column in (("hash", pa.array(hashes)), ("id", ids), ("size", pa.array(sizes.astype(np.int64)))):
        rows = rows.append_column(_EDGE.field(name), column.filter(wanted))
    return rows.cast(_EDGE)


def _cuts(rows: pa.Table, plan_rows: list[dict[str, Any]]) -> pa.Table:
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
    return pa.Table.from_pylist(out, schema=_CUT)


def passes(slices: pa.ChunkedArray, hashes: np.ndarray, cuts: pa.Table) -> np.ndarray:
    """How often each document is used: full passes, and one more where its hash lies before the end of the budget. (documents,) int64"""
    place = pc.fill_null(pc.index_in(slices, cuts.column("slice").combine_chunks()), -1).to_numpy()
    if cuts.num_rows == 0:
        return np.zeros(len(place), np.int64)
    bins, full = cuts.column("bin").to_numpy()[place], cuts.column("full").to_numpy()[place]
    cut = pc.fill_null(cuts.column("cut"), 0).to_numpy().astype(np.uint64)[place]
    mine = (hashes >> _BIN_SHIFT).astype(np.int64)
    partial = (mine < bins) | ((mine == bins) & (hashes < cut))
    return np.where(place < 0, 0, full + partial)


# --- the mix ---------------------------------------------------------------------------------------------------------------

_BOTTOM = pa.schema(
    [
        pa.field("slice", pa.string(), nullable=False),
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("total", pa.int64(), nullable=False),
    ]
)
_HELD = pa.schema([pa.field("slice", pa.string(), nullable=False), pa.field("below", pa.uint64(), nullable=False)])
_MIXED = pa.schema([*VERDICT, pa.field("repeats", pa.int64()), pa.field("split", pa.string())])


def _cluster_hash(documents: pa.Table, seed: int) -> np.ndarray:
    """Chance by cluster, so that no near-duplicate of a validation document is trained on. (documents,) uint64"""
    return chance(seed ^ 0x5DEECE66D, pc.coalesce(documents.column("cluster"), documents.column("id")))


def _bottom(documents: pa.Table, context: Context) -> pa.Table:
    """The smallest cluster hashes of each domain, as many as could be needed, and how many documents the domain has here."""
    table = pa.table({"slice": documents.column("domain"), "hash": pa.array(_cluster_hash(documents, context.seed))})
    grouped = table.group_by(["slice", "hash"]).aggregate([([], "count_all")]).sort_by([("slice", "ascending"), ("hash", "ascending")])
    parts = []
    for name in pc.unique(grouped.column("slice")).to_pylist():
        mine = grouped.filter(pc.equal(grouped.column("slice"), name))
        counts = mine.column("count_all").to_numpy()
        n = int(np.searchsorted(np.cumsum(counts), context.settings.release.validation_documents)) + 1
        total = np.zeros(min(n, len(counts)), np.int64)
        total[0] = counts.sum()
        parts.append(pa.table([mine.column("slice")[:n], mine.column("hash")[:n], mine.column("count_all")[:n], pa.array(total)], schema=_BOTTOM))
    return pa.concat_tables(parts) if parts else _BOTTOM.empty_table()


def _held(rows: pa.Table, context: Context) -> pa.Table:
    """Which hashes are held out: the share asked for, or as many clusters as make the smallest number of documents, at most a tenth."""
    settings = context.settings.release
    out = []
    for name in sorted(context.settings.mix.shares):
        mine = rows.filter(pc.equal(rows.column("slice"), name)).sort_by("hash")
        total = int(mine.column("total").to_numpy().sum())
        wanted = min(settings.validation_documents, total // 10) if settings.validation else 0
        below = int(settings.validation * 2**64)
        if wanted:
            hashes = mine.column("hash").to_numpy()
            n = int(np.searchsorted(np.cumsum(mine.column("documents").to_numpy()), wanted))
            below = max(below, int(hashes[min(n, len(hashes) - 1)]) + 1)
        out.append({"slice": name, "below": below})
    return pa.Table.from_pylist(out, schema=_HELD)


def _is_held(documents: pa.Table, held: pa.Table, seed: int) -> np.ndarray:
    thresholds = held.column("below").to_numpy()
    place = pc.fill_null(pc.index_in(documents.column("domain"), held.column("slice").combine_chunks()), -1).to_numpy()
    below = np.append(thresholds, np.uint64(0))[place]
    # A cluster may hold documents of several domains; where one is held out, all are.
    below[pc.is_valid(documents.column("cluster")).to_numpy(zero_copy_only=False) & (place >= 0)] = thresholds.max(initial=0)
    return _cluster_hash(documents, seed) < below


def _train(documents: pa.Table, context: Context) -> pa.Table:
    return documents.filter(pa.array(~_is_held(documents, context.decisions["held"], context.seed)))


def _mix_histogram(documents: pa.Table, context: Context) -> pa.Table:
    train = _train(documents, context)
    return histogram(train.column("domain"), chance(context.seed, train.column("id")), train.column("token_count").to_numpy())


def _mix_budgets(bins: pa.Table, context: Context) -> pa.Table:
    return budgets(_merge(bins), *mix_targets(_available(bins), context.settings.mix))


def _available(bins: pa.Table) -> dict[str, int]:
    grouped = bins.group_by("slice").aggregate([("size", "sum")])
    return dict(zip(grouped.column("slice").to_pylist(), grouped.column("size_sum").to_pylist(), strict=True))


def mix_targets(available: Mapping[str, int], mix: Any) -> tuple[dict[str, float], set[str]]:
    """Tokens for each domain, and the domains that bind the total: those that have no more to give at `max_epochs`.

    The total is the largest at which every share holds, or the one asked for where that is smaller.
    """
    missing = [d for d in mix.shares if not available.get(d)]
    if missing:
        raise PlanError(
            f"The mix asks for {', '.join(f'{mix.shares[d]:.0%} {d}' for d in missing)}, but no document of {'these domains' if len(missing) > 1 else 'this domain'} is left after the stages: either no source yields any, or the stages drop them all. Add a source, loosen the bounds for that domain, or take the domain out of `mix.shares`."
        )
    largest = {d: available[d] * mix.epochs_of(d) / share for d, share in mix.shares.items()}
    limit = min(largest.values())
    total = limit if mix.total == "max" else min(float(mix.total), limit)
    binding = {d for d, most in largest.items() if most <= total * (1 + 1e-9)}
    return {d: share * total for d, share in mix.shares.items()}, binding


def _mix_edge(documents: pa.Table, context: Context) -> pa.Table:
    train = _train(documents, context)
    return _edge(
        train.column("domain"),
        chance(context.seed, train.column("id")),
        train.column("id"),
        train.column("token_count").to_numpy(),
        context.decisions["budgets"],
    )


def _cut(rows: pa.Table, context: Context) -> pa.Table:
    return _cuts(rows, context.decisions["budgets"].to_pylist())


def _beyond(hashes: np.ndarray, slices: pa.ChunkedArray, cuts: pa.Table) -> tuple[list[str], np.ndarray]:
    """The bound that a document beyond its budget breaks, and its value: its draw, the hash of (seed, id) as a number below 1."""
    share = {
        name: (((bin_ << 48) + (1 << 47)) if cut is None else cut) / 2**64
        for name, bin_, cut in zip(*(cuts.column(c).to_pylist() for c in ("slice", "bin", "cut")), strict=True)
    }
    names = slices.to_pylist()
    reasons = [f"draw < {share[s]:.9f}" if s in share else "mix_share > 0" for s in names]
    return reasons, np.where([s in share for s in names], hashes / 2.0**64, 0.0)


def _mix_verdicts(documents: pa.Table, context: Context) -> pa.Table:
    cuts = context.decisions["cuts"]
    hashes = chance(context.seed, documents.column("id"))
    repeats = passes(documents.column("domain"), hashes, cuts)
    held = _is_held(documents, context.decisions["held"], context.seed)
    repeats[held] = 0
    out = (repeats == 0) & ~held
    reasons, draws = _beyond(hashes, documents.column("domain"), cuts)
    return pa.table(
        {
            "unit": documents.column("unit"),
            "row": documents.column("row"),
            "reason": pa.array(reasons, pa.string(), mask=~out),
            "value": pa.array(draws, mask=~out),
            "other": pa.nulls(len(out), pa.string()),
            "repeats": pa.array(repeats.astype(np.int64)),
            "split": pa.array(np.where(held, "validation", "train")),
        },
        schema=_MIXED,
    )


def mix_round() -> Round:
    """Holds validation documents out, gives every domain its share, and says how often each document is used (`repeats`, `split`)."""
    needs = ("id", "domain", "cluster", "token_count")
    return Round(
        (
            Phase("bottom", "units", _bottom, "all", _BOTTOM, needs),
            Phase("held", "all", _held, "all", _HELD),
            Phase("histogram", "units", _mix_histogram, "all", _BINS, needs),
            Phase("budgets", "all", _mix_budgets, "all", _BUDGET),
            Phase("edge", "units", _mix_edge, "all", _EDGE, needs),
            Phase("cuts", "all", _cut, "all", _CUT),
            Phase("verdicts", "units", _mix_verdicts, "self", _MIXED, needs),
        ),
        columns=("repeats", "split"),
    )


# --- downsample --------------------------------------------------------------------------------------------------------------


def caps_to_budgets(available: Mapping[str, int], cap: Mapping[str, float]) -> dict[str, float]:
    """Bytes that each value may keep so that none is over its cap of what remains: the largest such total, by fixed point.

    Slices under their cap stay whole. Where caps leave no room for a whole (they sum to less than 1 and all bind), nothing is cut
    below the caps' own proportions.
    """
    limit = {name: cap.get(name, cap.get("*", 1.0)) for name in available}
    capped: set[str] = set()
    while True:
        free = sum(size for name, size in available.items() if name not in capped)
        room = 1 - math.fsum(limit[name] for name in capped)  # exact in any order
        if free == 0 or room <= 0:
            total = min((available[n] / limit[n] for n in capped if limit[n]), default=0.0)
            return {name: min(available[name], limit[name] * total) for name in available}
        total = free / room
        over = {name for name in available if name not in capped and available[name] > limit[name] * total}
        if not over:
            return {name: limit[name] * total if name in capped else float(size) for name, size in available.items()}
        capped |= over


SIGNIFICANT = 0.01  # values with less do not hold the others back
_WORTH = 0.01  # of the bytes: a cap for every value that would leave less is not kept to


def limits_of(available: Mapping[str, int], cap: Mapping[str, float]) -> dict[str, float]:
    """The cap of every value that is there. `'*'` is set aside where it cannot be kept to: fewer values than it needs, or the smallest of them
    so small that under 1 % of the bytes would be left (four repositories and one of ten bytes, and no one more than a fifth). Caps by name stay."""
    limit = {name: cap.get(name, cap.get("*", 1.0)) for name in available}
    if "*" not in cap or cap["*"] >= 1:
        return limit
    open_ = sum(size for name, size in available.items() if name not in cap)
    kept = sum(size for name, size in caps_to_budgets(available, cap).items() if name not in cap)
    enough = math.fsum(limit.values()) >= 1 - 1e-9
    return limit if enough and kept >= _WORTH * open_ else {name: cap.get(name, 1.0) for name in available}


def shares_of(available: Mapping[str, int], stage: Any, limits: Mapping[str, float] | None = None) -> dict[str, float]:
    """The share of the bytes that each value is to have: temperature and weights, then floors, then caps, what they take or leave shared by the
    others in proportion. They sum to 1, or to less where caps leave no room for more. `limits` are further caps."""
    names = sorted(name for name, size in available.items() if size > 0)
    mass = {n: available[n] ** stage.temperature * stage.weight.get(n, stage.weight.get("*", 1.0)) for n in names}
    names = [n for n in names if mass[n] > 0]
    caps = limits_of({n: available[n] for n in names}, stage.cap)
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


def shares_to_budgets(available: Mapping[str, int], shares: Mapping[str, float], named: Collection[str] = ()) -> dict[str, float]:
    """Bytes that each value may keep: its share of the largest total at which every significant value has enough; the rare give what they have.

    Significant is what has at least 1 % of the bytes and is to have 1 % of what is kept. Bytes of values whose cap is `named` are left out of that
    account: where data formats are nearly everything, the languages beside them are what matters.
    """
    asked = math.fsum(shares.values())
    whole = sum(size for name, size in available.items() if name not in named) or sum(available.values())
    held = [available[n] / share for n, share in sorted(shares.items()) if share >= SIGNIFICANT * asked > 0 and available[n] >= SIGNIFICANT * whole]
    total = min(held, default=float(sum(available.values())))
    return {name: min(float(size), shares.get(name, 0.0) * total) for name, size in available.items()}


def budgets_of(available: Mapping[str, int], stage: Any) -> dict[str, float]:
    """Bytes of every value of the column that `downsample` keeps."""
    if stage.temperature == 1 and not stage.weight and not stage.floor:
        return caps_to_budgets(available, limits_of(available, stage.cap))
    limits: dict[str, float] = {}
    for _ in range(100):
        shares = shares_of(available, stage, limits)
        found = shares_to_budgets(available, shares, stage.cap.keys())
        whole = math.fsum(found.values())
        # A value that has too little leaves room that would lift the others over their caps: what it has is its cap, and the rest is shared again.
        short = {n: found[n] / whole for n in shares if whole and available[n] <= found[n] < shares[n] * whole / math.fsum(shares.values()) * (1 - 1e-9)}
        if all(abs(limits.get(n, 2.0) - share) < 1e-12 for n, share in short.items()):
            break
        limits |= short
    # What the rounds above left over a cap goes.
    return _within(found, limits_of(available, stage.cap))


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
    wanted = budgets_of(_available(bins), context.settings)
    return budgets(_merge(bins), wanted, {name for name, size in _available(bins).items() if wanted[name] < size})


def _down_edge(documents: pa.Table, context: Context) -> pa.Table:
    mine, slices, hashes = _slice(documents, context)
    return _edge(slices, hashes, mine.column("id"), _bytes(mine), context.decisions["budgets"])


def _down_verdicts(documents: pa.Table, context: Context) -> pa.Table:
    cuts = context.decisions["cuts"]
    mine, slices, hashes = _slice(documents, context)
    out = pa.array(passes(slices, hashes, cuts) == 0)
    reasons, draws = _beyond(hashes, slices, cuts)
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
            Phase("histogram", "units", _down_histogram, "all", _BINS, with_text),
            Phase("budgets", "all", _down_budgets, "all", _BUDGET),
            Phase("edge", "units", _down_edge, "all", _EDGE, with_text),
            Phase("cuts", "all", _cut, "all", _CUT),
            Phase("verdicts", "units", _down_verdicts, "self", VERDICT, needs),
        )
    )
