"""Every bound beside the values that it judged: histograms, and what another threshold would drop. Memory: one unit's numbers.

Columns are read unit by unit; the work folder holds them for every row, dropped ones included.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filter import Bound
from pipeline.inspect.report.ranges import Cut, Ranges
from pipeline.inspect.report.units import KEPT, Judge, Unit
from pipeline.measures import MEASURES, Measure
from pipeline.stages import Deduplicate, Filter, For, Score, Stage, label

RANGES = 120  # of a histogram on the page: so many places a slider can stop at
_STATES = ("others", "only", "passed", "kept")  # of a document that reached a filter; see `Bounds`


@dataclass
class _Measure:
    """One measure of one filter: the values of the documents that reached it, in four kinds a domain, and what its bounds did."""

    bound: Bound
    ranges: Ranges
    missing: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)  # (reason, domain): as the ledger has it


class Bounds:
    """Every filter's measures, and the scores that no filter judges.

    Of the documents that reached a filter and for which it is meant, four kinds: `others` left at it, and break another measure of it too, so
    that this one's bound does not decide; `only` left for this measure alone; `passed` it, and left later; `kept`: passed it, and are in.
    """

    def __init__(self, judges: Sequence[Judge], domains: Sequence[str]) -> None:
        self.judges, self.domains = judges, list(domains)
        self.kinds = [f"{d} {s}" for d in self.domains for s in _STATES]
        self.filters: dict[tuple[int, int], dict[str, Any]] = {}  # by step and turn
        self.measures: dict[tuple[int, int], dict[str, _Measure]] = {}

    def add(self, unit: Unit) -> None:
        """Count one unit."""
        codes = pc.index_in(unit.view.columns(["domain"]).column("domain"), pa.array(self.domains, pa.string())).to_numpy().astype(np.int64) * len(_STATES)
        for i, step in enumerate(unit.plan.steps[: unit.reached]):
            if step.kind == "filter":
                filters = [j for j in self.judges if j.step == i and isinstance(j.stage, Filter)]
                if filters:
                    names = list(dict.fromkeys(c for j in filters if j.stage for c in j.stage.reads()))
                    table = unit.before(i).columns(names or ["id"])
                    for j in filters:
                        self._filter(j, unit, table, codes)
            elif step.kind == "score":
                self._scores(step.stages[0], i, unit, codes)
            elif step.kind == "round" and isinstance(step.stages[0], Deduplicate) and step.stages[0].by == "minhash":
                self._similarity(next(j for j in self.judges if j.step == i), unit, codes)

    def _filter(self, judge: Judge, unit: Unit, table: pa.Table, codes: np.ndarray) -> None:
        stage = judge.stage
        assert isinstance(stage, Filter)
        reached = (unit.left >= judge.number) & stage.mask(table)
        entry, measures = self._entry((judge.step, judge.number), judge.name, "filter", stage, stage.bound_list())
        self._count(entry, unit, reached, codes, judge.number)
        values = {c: pc.fill_null(table.column(c).cast(pa.float64()), np.nan).to_numpy() for c in stage.bounds}
        broken = {b.column: _broken(values[b.column], b, stage.missing == "drop") for b in stage.bound_list()}
        breaks = sum((b.astype(np.int64) for b in broken.values()), np.zeros(len(codes), np.int64))
        here = unit.left == judge.number
        after = np.where(unit.left == KEPT, 3, 2)
        for column, measure in measures.items():
            state = np.where(here, np.where(broken[column] & (breaks == 1), 1, 0), after)
            self._add(measure, values[column], reached, codes + state)
        for why, domain, n in self._reasons(unit, judge, codes):
            column = why.partition(" ")[0]
            if column in measures:
                measures[column].dropped[why, domain] += n

    def _reasons(self, unit: Unit, judge: Judge, codes: np.ndarray) -> Iterator[tuple[str, str, int]]:
        """Why a judge dropped documents, by domain: reason, domain, documents."""
        drops = unit.drops.filter(pc.equal(unit.drops.column("judge"), judge.number))
        domain = pa.array(codes[drops.column("row").to_numpy()] // len(_STATES))
        for row in pa.table({"why": drops.column("reason"), "domain": domain}).group_by(["why", "domain"]).aggregate([([], "count_all")]).to_pylist():
            yield row["why"], self.domains[row["domain"]], row["count_all"]

    def _scores(self, stage: Stage, step: int, unit: Unit, codes: np.ndarray) -> None:
        """Columns of a score that no bound is on: what it would cut off, if there were one."""
        assert isinstance(stage, Score)
        bounded = {c for j in self.judges if isinstance(j.stage, Filter) for c in j.stage.bounds}
        names = [f.name for f in stage.added() if pa.types.is_floating(f.type) and f.name not in bounded]
        if not names:
            return
        table = unit.before(step + 1).columns(list(dict.fromkeys([*names, *stage.reads()])))
        turn = sum(j.step < step for j in self.judges)
        reached = (unit.left >= turn) & stage.mask(table)
        entry, measures = self._entry((step, turn), label(stage), "score", stage, [Bound(n) for n in names])
        self._count(entry, unit, reached, codes, -1)
        after = np.where(unit.left == KEPT, 3, 2)
        for name in names:
            self._add(measures[name], pc.fill_null(table.column(name).cast(pa.float64()), np.nan).to_numpy(), reached, codes + after)

    def _similarity(self, judge: Judge, unit: Unit, codes: np.ndarray) -> None:
        """How alike near-duplicates are to the document that stayed: known of those that left."""
        stage = judge.stage
        assert isinstance(stage, Deduplicate)
        drops = unit.drops.filter(pc.equal(unit.drops.column("judge"), judge.number))
        entry, measures = self._entry((judge.step, judge.number), judge.name, "similarity", stage, [Bound("similarity", max=stage.threshold)])
        self._count(
            entry,
            unit,
            (unit.left >= judge.number) & stage.mask(unit.before(judge.step).columns(list(dict.fromkeys(["id", *stage.reads()])))),
            codes,
            judge.number,
        )
        rows = drops.column("row").to_numpy()
        values = pc.fill_null(drops.column("value"), np.nan).to_numpy()
        self._add(measures["similarity"], values, ~np.isnan(values), codes[rows] + 1)
        for why, domain, n in self._reasons(unit, judge, codes):
            measures["similarity"].dropped[why, domain] += n

    def _entry(self, key: tuple[int, int], name: str, kind: str, stage: Stage, bounds: Sequence[Bound]) -> tuple[dict[str, Any], dict[str, _Measure]]:
        if key not in self.filters:
            where = {k: _meant(w) for k, w in (("for", stage.where), ("unless", stage.unless)) if w is not None}
            self.filters[key] = {
                "name": name,
                "kind": kind,
                **where,
                "missing": getattr(stage, "missing", None),
                "reached": Counter[str](),
                "dropped": Counter[str](),
            }
            below = kind != "similarity"  # a document is a near-duplicate from the threshold on
            self.measures[key] = {
                b.column: _Measure(
                    b,
                    Ranges(
                        len(self.kinds),
                        [
                            *([Cut(b.min, False)] if b.min is not None else []),
                            *([Cut(b.max, below)] if b.max is not None else []),
                        ],
                    ),
                )
                for b in bounds
            }
        return self.filters[key], self.measures[key]

    def _count(self, entry: dict[str, Any], unit: Unit, reached: np.ndarray, codes: np.ndarray, number: int) -> None:
        for name, mask in (("reached", reached), ("dropped", reached & (unit.left == number))):
            found = np.bincount(codes[mask] // len(_STATES), minlength=len(self.domains))
            entry[name].update({d: int(n) for d, n in zip(self.domains, found, strict=True) if n})

    def _add(self, measure: _Measure, values: np.ndarray, reached: np.ndarray, kinds: np.ndarray) -> None:
        given = reached & ~np.isnan(values)
        measure.ranges.add(values[given], kinds[given])
        absent = np.bincount(kinds[reached & np.isnan(values)] // len(_STATES), minlength=len(self.domains))
        measure.missing.update({d: int(n) for d, n in zip(self.domains, absent, strict=True) if n})

    def shown(self) -> list[dict[str, Any]]:
        """The filters in the recipe's order, each with its measures."""
        out = []
        for key in sorted(self.filters):
            measures = []
            for name, m in self.measures[key].items():
                known = MEASURES.get(name)
                about = {"unit": known.unit, "definition": _definition(known)} if known else {}
                dropped: dict[str, dict[str, int]] = {}
                for (why, domain), n in sorted(m.dropped.items()):
                    dropped.setdefault(why, {})[domain] = n
                measures.append(
                    {
                        "name": name,
                        **about,
                        "min": m.bound.min,
                        "max": m.bound.max,
                        "missing": dict(m.missing),
                        "dropped": dropped,
                        **(m.ranges.shown(RANGES, self.kinds) if len(m.ranges.low) else {"low": []}),
                    }
                )
            out.append({**self.filters[key], "measures": measures})
        return out


def _definition(measure: Measure) -> str:
    """What a measure's docstring says, without the shape and type of what it returns."""
    return re.sub(r"\s*\(texts,\) \w+\.?$", "", " ".join((measure.function.__doc__ or "").split()))


def _broken(values: np.ndarray, bound: Bound, missing: bool) -> np.ndarray:
    broken = np.isnan(values) & missing
    if bound.min is not None:
        broken |= values < bound.min
    if bound.max is not None:
        broken |= values > bound.max
    return broken


def _meant(where: For) -> dict[str, list[str]]:
    return {k: list(v) for k, v in where.model_dump().items() if v}
