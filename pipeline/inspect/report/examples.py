"""Documents to show: of each reason, of each domain's kept ones, and pairs of near-duplicates. A sample by hash, the same every time.

Texts are read of the documents that are shown, and those stand in at most `UNITS` units and in units that alone hold a rare reason. Text that was
dropped for what must not be shown (`shards.is_withheld`), or is a copy of such a text, is not read at all.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inspect.report.difference import side_by_side
from pipeline.inspect.report.units import KEPT, Judge, Unit
from pipeline.planning import Plan
from pipeline.rounds import chance
from pipeline.shards import is_withheld, judging
from pipeline.stages import Deduplicate, Score

UNITS = 64  # examples come from so many units, chosen by hash, where these have enough of them
REASONS = 150  # with examples; the commonest ones
EXCERPT = 600  # characters of an example
COMPARED = 8000  # characters of each of two near-duplicates
PAIRS = 24
BYTES = 1_800_000  # of all examples; beyond it there are fewer of each reason
_SEED = 0x5EE4


@dataclass(order=True)
class _Pick:
    """A document that may be shown. Those with the smallest hash are, of chosen units first."""

    far: bool
    hash: int
    unit: int
    row: int
    drop: dict[str, Any] | None = field(default=None, compare=False)


class Examples:
    """Documents to show: of each reason, of each domain's kept ones, and pairs of near-duplicates."""

    def __init__(self, plan: Plan, units: Sequence[int], judges: Sequence[Judge], domains: Sequence[str], most: int) -> None:
        self.plan, self.units, self.judges, self.most = plan, units, judges, most
        self.judging = judging(stage.columns for stage in plan.recipe.stages if isinstance(stage, Score))
        self.near = {j.number for j in judges if isinstance(j.stage, Deduplicate) and j.stage.by == "minhash"}
        names = pa.array([plan.steps[0].prints[u] for u in units], pa.string())
        self.first = {units[i] for i in np.argsort(chance(_SEED, names), kind="stable")[:UNITS].tolist()} if units else set()
        self.picks: dict[tuple[int, str], list[_Pick]] = {}
        self.kept: dict[str, list[_Pick]] = {d: [] for d in domains}
        self.near_picks: list[_Pick] = []
        self.counts: Counter[tuple[int, str]] = Counter()
        self.unreadable: list[dict[str, Any]] = []

    def add(self, unit: Unit) -> None:
        """Look through one unit."""
        ids = unit.view.columns(["id", "domain"])
        hashes = chance(_SEED, ids.column("id"))
        far = unit.number not in self.first
        if unit.drops.num_rows:
            reasons = unit.drops.column("reason").combine_chunks().dictionary_encode()
            judge, why = unit.drops.column("judge").to_numpy(), reasons.indices.to_numpy()
            mine = hashes[unit.drops.column("row").to_numpy()]
            order = np.lexsort((mine, why, judge))
            first = np.flatnonzero(np.r_[True, (np.diff(judge[order]) != 0) | (np.diff(why[order]) != 0)])
            for start, end in zip(first.tolist(), [*first[1:].tolist(), len(order)], strict=True):
                key = (int(judge[order[start]]), reasons.dictionary[int(why[order[start]])].as_py())
                most = max(self.most, 3 * PAIRS) if key[0] in self.near else self.most
                chosen = unit.drops.take(pa.array(order[start : min(end, start + most)])).to_pylist()
                picks = [_Pick(far, int(hashes[d["row"]]), unit.number, d["row"], d) for d in chosen]
                self.counts[key] += end - start
                self.picks[key] = _smallest([*self.picks.get(key, ()), *picks[: self.most]], self.most)
                if key[0] in self.near:
                    self.near_picks = _smallest([*self.near_picks, *picks], 3 * PAIRS)
        for domain, picks in self.kept.items():
            rows = np.flatnonzero((unit.left == KEPT) & pc.equal(ids.column("domain"), domain).to_numpy())
            rows = rows[np.argsort(hashes[rows], kind="stable")[: self.most]]
            self.kept[domain] = _smallest([*picks, *(_Pick(far, int(hashes[r]), unit.number, int(r)) for r in rows)], self.most)
        if len(self.unreadable) < self.most:
            name = unit.view.artefacts.text.removesuffix(".arrow") + ".unreadable.arrow"
            for row in self.plan.store.read_table(name).slice(0, self.most - len(self.unreadable)).to_pylist():
                self.unreadable.append(
                    {
                        "stage": "source",
                        "reason": row["reason"],
                        "address": f"{row['file']}:{row['offset']}",  # no URL: it may have been taken down
                        "domain": "",
                        "withheld": "no text",
                    }
                )

    def examples(self) -> dict[str, Any]:
        """Dropped and kept documents, and how many reasons and examples were left out for the page's size."""
        common = sorted(self.counts, key=lambda k: (-self.counts[k], k))
        dropped = [p for key in sorted(common[:REASONS]) for p in self.picks[key]]
        fates = self._fates(p.drop["other"] for p in dropped if p.drop and p.drop["other"])
        hidden = {id(p): is_hidden(p.drop, self.judges, fates, self.judging) for p in dropped if p.drop}
        kept = [p for picks in self.kept.values() for p in picks]
        shown = self._described([*dropped, *kept], {k for k, v in hidden.items() if v})
        turns: Counter[tuple[str, str]] = Counter()
        for told in shown:  # of each reason the first, then of each the second, so that whoever reads on sees all kinds
            key = (told["stage"], told["reason"] or told["domain"])
            told["turn"] = turns[key]
            turns[key] += 1
        shown.sort(key=lambda told: told["turn"])
        most = self.most
        while most > 1 and len(json.dumps(shown, ensure_ascii=False).encode()) > BYTES:
            most -= 1
            shown = [told for told in shown if told["turn"] < most]
        for told in shown:
            del told["turn"]
        counts = [[self.judges[k[0]].name, k[1], self.counts[k]] for k in sorted(common[:REASONS])]
        return {"documents": [*shown, *self.unreadable], "reasons": counts, "left_out": len(common[REASONS:]), "each": most}

    def _described(self, picks: Sequence[_Pick], hidden: set[int]) -> list[dict[str, Any]]:
        names = ("id", "url", "file", "offset", "source", "domain", "subdomain", "language", "split", "repeats", "token_count", "quality", "topic")
        out: dict[int, dict[str, Any]] = {}
        for u in sorted({p.unit for p in picks}):
            unit, mine = Unit(self.plan, u, self.judges), [p for p in picks if p.unit == u]
            table = unit.view.columns([n for n in names if n in unit.view])
            rows = dict(zip((p.row for p in mine), table.take(pa.array([p.row for p in mine])).to_pylist(), strict=True))
            texts = unit.texts([p.row for p in mine if id(p) not in hidden], EXCERPT)
            for p in mine:
                row, drop = rows[p.row], p.drop
                told: dict[str, Any] = {"id": row["id"], "stage": self.judges[drop["judge"]].name if drop else "", "reason": drop["reason"] if drop else ""}
                told["domain"] = row["domain"]
                if drop:
                    told |= {"value": _rounded(drop["value"]), "other": drop["other"]}
                if id(p) in hidden:
                    told["withheld"] = "hidden"
                else:
                    told["address"] = row["url"] or f"{row['file']}:{row['offset']}"
                    told["text"], told["characters"] = texts[p.row]
                    told |= {n: _rounded(row[n]) for n in names[6:] if row.get(n) is not None and not drop}
                out[id(p)] = {k: v for k, v in told.items() if v is not None}
        return [out[id(p)] for p in picks]

    def pairs(self) -> list[dict[str, Any]]:
        """Near-duplicates beside the document that they are too like."""
        fates = self._fates(p.drop["other"] for p in self.near_picks if p.drop and p.drop["other"])
        usable = [p for p in self.near_picks if p.drop and p.drop["other"] in fates and not is_hidden(p.drop, self.judges, fates, self.judging)][:PAIRS]
        texts: dict[tuple[int, int], tuple[str, int]] = {}
        about: dict[tuple[int, int], dict[str, Any]] = {}
        places = sorted({(p.unit, p.row) for p in usable} | {(fates[p.drop["other"]].unit, fates[p.drop["other"]].row) for p in usable if p.drop})
        names = ("id", "url", "file", "offset", "source", "domain", "date", "cluster_size")
        for u in sorted({u for u, _ in places}):
            unit, rows = Unit(self.plan, u, self.judges), [row for v, row in places if v == u]
            texts.update({(u, row): text for row, text in unit.texts(rows, COMPARED).items()})
            table = unit.view.columns([n for n in names if n in unit.view]).take(pa.array(rows))
            about.update({(u, row): found for row, found in zip(rows, table.to_pylist(), strict=True)})
        out = []
        for p in usable:
            assert p.drop is not None
            fate = fates[p.drop["other"]]
            here, there = (p.unit, p.row), (fate.unit, fate.row)
            first, second, whole = side_by_side(texts[there][0], texts[here][0])
            sides = [
                {
                    "id": a["id"],
                    "address": a["url"] or f"{a['file']}:{a['offset']}",
                    "source": a["source"],
                    "date": a["date"],
                    "characters": texts[at][1],
                    "text": text,
                }
                for a, at, text in ((about[there], there, first), (about[here], here, second))
            ]
            left = {"stage": self.judges[fate.drop["judge"]].name, "reason": fate.drop["reason"]} if fate.drop else None
            whole = whole and all(texts[at][1] <= COMPARED for at in (here, there))
            out.append(
                {
                    "stage": self.judges[p.drop["judge"]].name,
                    "domain": about[here]["domain"],
                    "similarity": _rounded(p.drop["value"]),
                    "cluster_size": about[here].get("cluster_size"),
                    "whole": whole,
                    "left": left,
                    "kept": sides[0],
                    "dropped": sides[1],
                }
            )
        return out

    def _fates(self, wanted: Iterable[str]) -> "dict[str, Fate]":
        """What became of documents, and of those that they left for in turn. Reads the ids of all units, at most a few times."""
        fates: dict[str, Fate] = {}
        ask = set(wanted)
        for _ in range(_CHAIN):
            for fate in self._find(ask - fates.keys()):
                known = fates.get(fate.id)
                if known is None or fate.left > known.left:  # an id may stand in the input more than once: the one that got furthest
                    fates[fate.id] = fate
            ask = {f.drop["other"] for f in fates.values() if f.drop and f.drop["other"]} - fates.keys()
            if not ask:
                break
        return fates

    def _find(self, wanted: set[str]) -> "Iterator[Fate]":
        if not wanted:
            return
        values = pa.array(sorted(wanted), pa.string())
        for u in self.units:
            unit = Unit(self.plan, u, self.judges)
            ids = self.plan.store.read_table(unit.view.artefacts.text, ["id"]).column("id")
            rows = pc.indices_nonzero(pc.is_in(ids, value_set=values)).to_pylist()
            if rows:
                drops = {d["row"]: d for d in unit.drops.filter(pc.is_in(unit.drops.column("row"), value_set=pa.array(rows, pa.uint32()))).to_pylist()}
                for row in rows:
                    yield Fate(ids[row].as_py(), u, row, int(unit.left[row]), drops.get(row))


_CHAIN = 5


@dataclass(frozen=True)
class Fate:
    """Where a document stands, and how it left, if it did."""

    id: str
    unit: int
    row: int
    left: int
    drop: dict[str, Any] | None


def is_hidden(drop: dict[str, Any], judges: Sequence[Judge], fates: dict[str, Fate], names: Sequence[str] = ()) -> bool:
    """Whether a dropped text may not be shown: for its own reason, or because a copy of it left for such a reason, or may have."""
    seen: set[str] = set()
    at: dict[str, Any] | None = drop
    while at is not None:
        if is_withheld(judges[at["judge"]].name, at["reason"], names):
            return True
        other = at["other"]
        if other is None or other in seen:
            return False
        seen.add(other)
        if other not in fates:
            return True
        at = fates[other].drop
    return False


def _smallest(picks: list[_Pick], most: int) -> list[_Pick]:
    return sorted(picks)[:most]


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
