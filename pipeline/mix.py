"""The mix: shares, passes, caps and shortage. Which documents a release holds, how often each is used, and which are held out.

A *slice* is a domain (`en`) or, where the recipe gives shares within it, a part of one (`en/web`): by its sub-domain, else by its programming
language, else `*`, whatever the domain holds beside the parts named. A domain's share holds exactly, and with it the total; within a domain a part that has no more to
give at its `max_epochs` leaves the rest to the others, and the release says so; where it is the largest of them, or with `shortage: shrink`, it makes everything smaller.

Documents are drawn by the hash of (seed, id). With `sample` those of a high grade hold several tickets, of which the best counts: the smallest of
k hashes is distributed as a draw of weight k, so this is sampling by weight without replacement, in whole numbers. With `rehydrate` a document counts several times a pass.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.budgets import BINS, BUDGET, CUT, EDGE, available, beyond, budgets, cuts, edge, histogram, merged, passes
from pipeline.errors import PlanError
from pipeline.rounds import VERDICT, Context, Phase, Round, chance

COUNTED = ("documents", "unique tokens", "tokens", "unique size", "size")  # of a slice; those not unique are with repeats, sizes are in the mix's unit
_TICKET = 0x71C4E7  # every further ticket's draw is independent of the first's

# --- slices -----------------------------------------------------------------------------------------------------------------


def slice_names(mix: Any) -> dict[str, float]:
    """Every slice of a mix -> the share of all that it is to have. They sum to 1."""
    return {
        (f"{domain}/{part}" if part else domain): share * within
        for domain, share in mix.domains().items()
        for part, within in (mix.parts(domain) or {"": 1.0}).items()
    }


def slices_of(documents: pa.Table, mix: Any) -> pa.ChunkedArray:
    """The slice of each document; null where the mix has none for it. The table has `domain`, `subdomain`, `programming_language`."""
    domains = documents.column("domain")
    found = pc.if_else(pc.is_in(domains, value_set=pa.array([d for d in mix.domains() if not mix.parts(d)], pa.string())), domains, None)
    for domain in mix.domains():
        if parts := mix.parts(domain):
            names = pa.array([part for part in parts if part != "*"], pa.string())
            named = [
                pc.if_else(pc.is_in(column, value_set=names), column, None)
                for column in (documents.column("subdomain"), documents.column("programming_language"))
            ]
            rest = pa.scalar("*" if "*" in parts else None, pa.string())
            part = pc.binary_join_element_wise(pa.scalar(domain), pc.coalesce(*named, rest), pa.scalar("/"))
            found = pc.if_else(pc.equal(domains, domain), part, found)
    return found.cast(pa.string())


def by_slice(parts: Iterable[tuple[str, str, str, Sequence[int]]], mix: Any) -> dict[str, np.ndarray]:
    """Numbers by (domain, sub-domain, programming language), '' where there is none, added up by slice. What has no slice is left out."""
    rows = list(parts)
    names = ("domain", "subdomain", "programming_language")
    table = pa.table([pa.array([row[k] for row in rows], pa.string()) for k in range(3)], names=list(names))
    found = {name: np.zeros(len(COUNTED), np.int64) for name in slice_names(mix)}
    for name, (*_, numbers) in zip(slices_of(table, mix).to_pylist(), rows, strict=True):
        if name is not None:
            found[name] += np.asarray(numbers, np.int64)
    return found


def _steps(documents: pa.Table, by: Any) -> np.ndarray:
    """What a column's value is worth: the number at the highest step that it reaches; 1 below the first and where it is null. (documents,) int64"""
    if by is None:
        return np.ones(documents.num_rows, np.int64)
    values = pc.fill_null(documents.column(by.by).cast(pa.float64()), -math.inf).to_numpy()
    steps = sorted(by.steps.items())
    worth = np.array([1, *(n for _, n in steps)], np.int64)
    return worth[np.searchsorted([at for at, _ in steps], values, side="right")]


def draws(documents: pa.Table, mix: Any, seed: int) -> np.ndarray:
    """The draw of each document: its best ticket. (documents,) uint64"""
    ids = documents.column("id")
    best, tickets = chance(seed, ids), _steps(documents, mix.sample)
    for ticket in range(1, int(tickets.max(initial=1))):
        more = np.flatnonzero(tickets > ticket)
        best[more] = np.minimum(best[more], chance(seed ^ (_TICKET * ticket), ids.take(pa.array(more))))
    return best


def needs(mix: Any) -> tuple[str, ...]:
    """The columns that the mix looks at."""
    by = [some.by for some in (mix.sample, mix.rehydrate) if some is not None]
    return tuple(dict.fromkeys(("id", "domain", "subdomain", "programming_language", "cluster", mix.size_column, *by)))


# --- targets ----------------------------------------------------------------------------------------------------------------


def mix_targets(there: Mapping[str, int], mix: Any) -> tuple[dict[str, float], set[str]]:
    """What each slice gets, in units of size, and the slices that have no more to give at `max_epochs`. `there`: the size of each, every document once.

    The total is the largest at which every domain's share holds and no part of a domain must give more for its others than the largest of them, or the
    one asked for where that is smaller (or `force` is said).
    """
    most = {name: there.get(name, 0) * (math.inf if mix.force and there.get(name) else mix.epochs_of(name)) for name in slice_names(mix)}
    largest = {domain: _largest(mix, domain, most) / share for domain, share in mix.domains().items()}
    missing = [domain for domain in largest if not largest[domain]]
    if missing:
        lacking = [name for name in most if not most[name] and name.partition("/")[0] in missing]
        domains = {d: mix.domains()[d] for d in missing}
        raise PlanError(
            f"The mix asks for {', '.join(f'{share:.0%} {d}' for d, share in domains.items())}, but no document of {'these domains' if len(missing) > 1 else 'this domain'} is left after the stages"
            + (f" ({', '.join(lacking)}: no other part of it may take the place)" if any("/" in name for name in lacking) else "")
            + ": either no source yields any, or the stages drop them all. Add a source, loosen the bounds for that domain, or take the domain out of `mix.shares`."
        )
    limit = min(largest.values())
    total = limit if mix.total == "max" else min(float(mix.total), limit)
    targets: dict[str, float] = {}
    binding: set[str] = {d for d, size in largest.items() if size <= total * (1 + 1e-9)}
    for domain, share in mix.domains().items():
        given = _within(mix, domain, share * total, most)
        targets |= given
        binding |= {name for name in given if "/" in name and given[name] >= most[name] * (1 - 1e-9)}
    return targets, binding


def _largest(mix: Any, domain: str, most: Mapping[str, float]) -> float:
    """The most that a domain can give: until its largest part has no more, or with `shrink` any."""
    parts = mix.parts(domain)
    if not parts:
        return most[domain]
    leading = max(parts.values()) * (1 - 1e-9) if mix.shortage == "refill" else 0.0
    level = min(most[f"{domain}/{part}"] / share for part, share in parts.items() if share >= leading)
    return math.fsum(min(most[f"{domain}/{part}"], level * share) for part, share in parts.items())


def _within(mix: Any, domain: str, target: float, most: Mapping[str, float]) -> dict[str, float]:
    """A domain's target by its parts: each its share, what one lacks by the others in proportion."""
    parts = mix.parts(domain)
    if not parts:
        return {domain: target}
    short: dict[str, float] = {}
    while True:
        free = {part: share for part, share in parts.items() if part not in short}
        left, whole = max(0.0, target - math.fsum(short.values())), math.fsum(free.values())
        given = {part: left * share / whole for part, share in free.items()}
        lacking = {part: most[f"{domain}/{part}"] for part in free if most[f"{domain}/{part}"] < given[part] * (1 - 1e-12)}
        if not lacking:
            return {f"{domain}/{part}": {**short, **given}[part] for part in parts}
        short |= lacking


def shortages(mix: Any, targets: Mapping[str, float], there: Mapping[str, int], got: Mapping[str, int] | None = None) -> list[str]:
    """What did not come out as the recipe asked, a sentence each. `got`: what each slice has in the end."""
    total = math.fsum(targets.values())
    asked = slice_names(mix)
    out = []
    for name, share in asked.items():
        domain, _, part = name.partition("/")
        share_got = targets[name] / total if total else 0.0
        if part and share_got < share * (1 - 1e-6):
            took = [other for other in targets if other.startswith(f"{domain}/") and targets[other] > asked[other] * total * (1 + 1e-6)]
            had = f"had {share_got:.2%} at {mix.epochs_of(name):g} epochs" if there.get(name) else "had nothing"
            out.append(f"{name}: wanted {share:.2%}, {had}; the rest went to {', '.join(took)}")
    if mix.total != "max" and total < 0.999 * mix.total:
        largest = {d: _largest(mix, d, {n: there.get(n, 0) * mix.epochs_of(n) for n in asked}) / s for d, s in mix.domains().items()}
        fewest = min(largest, key=lambda d: largest[d])
        out.append(f"wanted {mix.total:,} {mix.unit_name}, had {total:,.0f} at these shares: {fewest} has no more at max_epochs")
    for name, size in (got or {}).items():
        if size < 0.99 * targets[name]:
            out.append(f"{name}: was to have {targets[name]:,.0f} {mix.unit_name}, has {size:,}: its next document is larger than what was left")
    return out


def mixture(mix: Any, got: Mapping[str, np.ndarray], there: Mapping[str, int]) -> dict[str, Any]:
    """`mixture.json` but for the tokenizer's name: what was wanted, what there was, what came out, and what stood in the way.

    `got`: COUNTED of each slice, `there`: its size, every document once. Shares are of `unit` x repeats; so is what is called by its name.
    """
    unit, asked = mix.unit_name, slice_names(mix)
    targets, binding = mix_targets(there, mix)
    total = int(sum(numbers[-1] for numbers in got.values()))

    def about(name: str, names: Sequence[str], share: float) -> dict[str, Any]:
        documents, unique_tokens, tokens, unique, size = (int(n) for n in np.sum([got[n] for n in names], axis=0))
        most = sum(there[n] for n in names)
        return {
            "share_wanted": share,
            "share": size / total if total else 0.0,
            "documents": documents,
            "unique_tokens": unique_tokens,
            "tokens": tokens,
            f"unique_{unit}": unique,
            unit: size,
            f"{unit}_wanted": math.fsum(targets[n] for n in names),
            f"unique_{unit}_available": most,
            "epochs": size / most if most else 0.0,
            "max_epochs": max(mix.epochs_of(n) for n in names),
            "binding": name in binding,
        }

    domains: dict[str, Any] = {}
    for domain, share in mix.domains().items():
        parts = {part: f"{domain}/{part}" for part in mix.parts(domain)}
        domains[domain] = about(domain, list(parts.values()) or [domain], share)
        if parts:
            domains[domain]["parts"] = {part: about(name, [name], asked[name]) for part, name in parts.items()}
    return {
        "also_counted": sorted(mix.also_count),
        "unit": unit,
        "total": total,
        "total_wanted": mix.total,
        "binding": sorted(domain for domain, found in domains.items() if found["binding"]),
        "shortage": shortages(mix, targets, there, {name: int(numbers[-1]) for name, numbers in got.items()}),
        "domains": domains,
    }


# --- schedules ----------------------------------------------------------------------------------------------------------------


def share_at(share: Mapping[str, Any], progress: float) -> float:
    """The share of a slice of a schedule's phase, at `progress` from 0 to 1 of it: constant, linear, or quadratic from `from` to `to`.

    A quadratic ramp from 0.10 to 0.40 has a mean of 0.20 (SkyPile's second stage); a linear one would have 0.25.

    >>> share_at({"from": 0.1, "to": 0.4, "ramp": "quadratic"}, 0.5)
    0.175
    """
    power = {"constant": 0, "linear": 1, "quadratic": 2}[share["ramp"]]
    return float(share["from"] + (share["to"] - share["from"]) * (progress**power if power else 0))


def schedule(mix: Any, total: int, there: Mapping[str, int]) -> dict[str, Any]:
    """`schedule.json`: the phases in order, the tokens of each, and how its slices' shares run. `there`: tokens with repeats of every selection.

    What no slice selects is `rest`, which takes what the others leave.
    """
    there = {name: there.get(name, 0) for name in selections(mix)}  # what selects nothing is said too
    phases: list[dict[str, Any]] = []
    asked: Counter[str] = Counter()
    for phase in mix.schedule:
        tokens = round(phase.tokens * total) if phase.tokens <= 1 else round(phase.tokens)
        slices = []
        for name, some in phase.slices.items():
            mean = some.share.mean()
            asked[name] += round(mean * tokens)
            slices.append({"name": name, "select": some.selection(), "share": some.share.plain(), "mean": round(mean, 9), "tokens": round(mean * tokens)})
        rest = 1 - math.fsum(s["mean"] for s in slices)
        phases.append({"name": phase.name, "tokens": tokens, "slices": slices, "rest": {"mean": round(rest, 9), "tokens": round(rest * tokens)}})
    whole = sum(phase["tokens"] for phase in phases)
    short = [
        f"{name} is to give {size:,} tokens in all phases and has {f'{there[name]:,}' if there[name] else 'none'}"
        + (f": {size / there[name]:.2f} times over" if there[name] else "")
        for name, size in asked.items()
        if size > there[name]
    ]
    if whole > total:
        short.append(f"the phases are to have {whole:,} tokens and the release has {total:,}: {whole / max(1, total):.2f} times over")
    return {"unit": "tokens", "total": whole, "available": {"all": total, **there}, "phases": phases, "shortage": short}


def selections(mix: Any) -> dict[str, Any]:
    """The selections of a schedule's phases by name; those of one name are alike (the recipe is refused otherwise)."""
    return {name: some for phase in mix.schedule for name, some in phase.slices.items()}


# --- the round ------------------------------------------------------------------------------------------------------------------

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


_CLUSTERED = "/clustered"  # behind a domain's name: those of its documents that stand in a cluster


def _bottom(documents: pa.Table, context: Context) -> pa.Table:
    """The smallest cluster hashes of each domain, as many as could be needed, and how many documents it has here; of documents with a slice, those
    in a cluster apart."""
    documents = documents.filter(pc.is_valid(slices_of(documents, context.settings.mix)))
    apart = pc.if_else(pc.is_valid(documents.column("cluster")), _CLUSTERED, "")
    names = pc.binary_join_element_wise(documents.column("domain"), apart, "")
    table = pa.table({"slice": names, "hash": pa.array(_cluster_hash(documents, context.seed))})
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
    """Which hashes are held out: the share asked for, or as many clusters as make the smallest number of documents, at most a tenth.

    A cluster may hold documents of several domains; where one is held out, all are. So clusters have one bound for all domains: the plain share, unless
    a domain has too few documents outside of clusters.
    """
    settings = context.settings.release
    plain = int(settings.validation * 2**64)
    found, common = [], plain
    for name in sorted(context.settings.mix.domains()):
        alone = rows.filter(pc.equal(rows.column("slice"), name)).sort_by("hash")
        both = rows.filter(pc.is_in(rows.column("slice"), value_set=pa.array([name, name + _CLUSTERED]))).sort_by("hash")
        wanted = min(settings.validation_documents, int(both.column("total").to_numpy().sum()) // 10) if settings.validation else 0
        below = plain
        if wanted:
            enough = int(alone.column("total").to_numpy().sum()) >= wanted
            mine = alone if enough else both
            hashes = mine.column("hash").to_numpy()
            n = int(np.searchsorted(np.cumsum(mine.column("documents").to_numpy()), wanted))
            below = max(below, int(hashes[min(n, len(hashes) - 1)]) + 1)
            common = common if enough else max(common, below)
        found.append({"slice": name, "below": below})
    return pa.Table.from_pylist([*found, {"slice": _CLUSTERED, "below": common}], schema=_HELD)


def _is_held(documents: pa.Table, context: Context) -> np.ndarray:
    """Which of some documents with a slice are held out. (documents,) bool"""
    held = context.decisions["held"]
    clustered = pc.is_valid(documents.column("cluster"))
    place = pc.index_in(pc.if_else(clustered, _CLUSTERED, documents.column("domain")), held.column("slice").combine_chunks())
    below = np.append(held.column("below").to_numpy(), np.uint64(0))[pc.fill_null(place, -1).to_numpy()]
    return _cluster_hash(documents, context.seed) < below


def _train(documents: pa.Table, context: Context) -> pa.Table:
    """Documents with a slice that are not held out."""
    documents = documents.filter(pc.is_valid(slices_of(documents, context.settings.mix)))
    return documents.filter(pa.array(~_is_held(documents, context)))


def _asked(train: pa.Table, context: Context) -> tuple[pa.ChunkedArray, np.ndarray, np.ndarray, np.ndarray]:
    """Of training documents: slice, draw, size, and how often each counts in a pass. Those without a slice have none."""
    mix = context.settings.mix
    sizes = train.column(mix.size_column).to_numpy()
    return slices_of(train, mix), draws(train, mix, context.seed), sizes, _steps(train, mix.rehydrate)


def _mix_histogram(documents: pa.Table, context: Context) -> pa.Table:
    train = _train(documents, context)
    slices, hashes, sizes, weights = _asked(train, context)
    return histogram(slices, hashes, sizes, weights)


def _mix_budgets(bins: pa.Table, context: Context) -> pa.Table:
    mix = context.settings.mix
    wanted, _ = mix_targets(available(bins), mix)
    most = {name: 0 if mix.force else math.ceil(mix.epochs_of(name)) for name in wanted}
    return budgets(merged(bins), wanted, most)


def _mix_edge(documents: pa.Table, context: Context) -> pa.Table:
    train = _train(documents, context)
    slices, hashes, sizes, weights = _asked(train, context)
    return edge(slices, hashes, train.column("id"), sizes, context.decisions["budgets"], weights)


def _mix_cuts(rows: pa.Table, context: Context) -> pa.Table:
    return cuts(rows, context.decisions["budgets"].to_pylist())


def _mix_verdicts(documents: pa.Table, context: Context) -> pa.Table:
    found = context.decisions["cuts"]
    slices, hashes, _, weights = _asked(documents, context)
    repeats = passes(slices, hashes, found, weights)
    held = _is_held(documents, context) & pc.is_valid(slices).to_numpy(zero_copy_only=False)
    repeats[held] = 0
    out = (repeats == 0) & ~held
    reasons, drawn = beyond(hashes, slices, found)
    return pa.table(
        {
            "unit": documents.column("unit"),
            "row": documents.column("row"),
            "reason": pa.array(reasons, pa.string(), mask=~out),
            "value": pa.array(drawn, mask=~out),
            "other": pa.nulls(len(out), pa.string()),
            "repeats": pa.array(repeats.astype(np.int64)),
            "split": pa.array(np.where(held, "validation", "train")),
        },
        schema=_MIXED,
    )


def mix_round(mix: Any) -> Round:
    """Holds validation documents out, gives every slice its share, and says how often each document is used (`repeats`, `split`)."""
    looked = needs(mix)
    return Round(
        (
            Phase("bottom", "units", _bottom, "all", _BOTTOM, looked),
            Phase("held", "all", _held, "all", _HELD),
            Phase("histogram", "units", _mix_histogram, "all", BINS, looked),
            Phase("budgets", "all", _mix_budgets, "all", BUDGET),
            Phase("edge", "units", _mix_edge, "all", EDGE, looked),
            Phase("cuts", "all", _mix_cuts, "all", CUT),
            Phase("verdicts", "units", _mix_verdicts, "self", _MIXED, looked),
        ),
        columns=("repeats", "split"),
    )
