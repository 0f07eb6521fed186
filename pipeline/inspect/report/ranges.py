"""A column's values counted in disjoint ranges: exact at every cut between two ranges, small however many values come, filled unit by unit.

While few values are known, each is a range of its own. Where there are too many, neighbours are joined, never across a bound, so that
what a bound cuts off is exact too. Ranges follow both the values and how many documents there are, so tails and crowds are both resolved.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST = 2048  # ranges while counting
_BARS = 48


@dataclass(frozen=True)
class Cut:
    """A bound's place among the values. `below`: values equal to `at` lie below it (a maximum), else above it (a minimum)."""

    at: float
    below: bool


class Ranges:
    """Counts of a column's values, in `kinds` kinds of documents each. Memory: at most `MOST` ranges."""

    def __init__(self, kinds: int, cuts: Iterable[Cut] = ()) -> None:
        self.cuts = tuple(cuts)
        self.low = np.empty(0)
        self.high = np.empty(0)
        self.counts = np.empty((0, kinds), np.int64)
        self.long_tailed = False  # whether to show it on a logarithmic scale

    def add(self, values: np.ndarray, kinds: np.ndarray) -> None:
        """Count values (finite or infinite, not NaN), each of a kind."""
        if not len(values):
            return
        width = self.counts.shape[1]
        found, place = np.unique(values, return_inverse=True)
        counts = np.bincount(place * width + kinds, minlength=len(found) * width).reshape(-1, width)
        known = np.searchsorted(self.low, found, side="right") - 1
        inside = (known >= 0) & (found <= np.append(self.high, -np.inf)[known])
        np.add.at(self.counts, known[inside], counts[inside])
        low, high = np.concatenate([self.low, found[~inside]]), np.concatenate([self.high, found[~inside]])
        order = np.argsort(low, kind="stable")
        self.low, self.high, self.counts = low[order], high[order], np.concatenate([self.counts, counts[~inside]])[order]
        if len(self.low) > MOST:
            self.thin(MOST // 2)

    def thin(self, most: int) -> None:
        """Join neighbours until there are at most about `most` ranges: half of the resolution goes to the values' scale, half to the documents."""
        if len(self.low) <= most:
            return
        self.long_tailed = self._is_long_tailed()
        self._join(most)

    def _join(self, most: int) -> None:
        total = self.counts.sum(1)
        rank = (np.cumsum(total) - total / 2) / max(1, total.sum())
        scaled = self.scaled((self.low + self.high) / 2)
        span = scaled[-1] - scaled[0]
        place = (rank + (scaled - scaled[0]) / (span or 1.0)) / 2
        group = np.minimum((place * most).astype(np.int64), most - 1) * (len(self.cuts) + 1) + self.sides(self.low)
        first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        self.counts = np.add.reduceat(self.counts, first)
        self.high = self.high[np.append(first[1:], len(self.high)) - 1]
        self.low = self.low[first]

    def sides(self, values: np.ndarray) -> np.ndarray:
        """How many of the cuts lie below each value. (values,) int64"""
        return sum((values > c.at if c.below else values >= c.at for c in self.cuts), np.zeros(len(values), np.int64))

    @property
    def whole(self) -> bool:
        """Whether all values seen, and all bounds, are whole numbers (as far as the ranges' ends say)."""
        ends = np.concatenate([self.low, self.high, [c.at for c in self.cuts]])
        return bool(len(ends)) and bool(np.all(np.isfinite(ends))) and bool(np.all(ends == np.round(ends)))

    def _is_long_tailed(self) -> bool:
        """Whether a logarithmic scale shows more: nothing negative, and the largest value or bound is over 20, and 20 times the median of those above 0."""
        positive = self.low > 0
        largest = max([self.high[-1], *(c.at for c in self.cuts)])
        if not positive.any() or min([self.low[0], *(c.at for c in self.cuts)]) < 0 or largest <= 20:
            return False
        total = np.cumsum(self.counts[positive].sum(1))
        return bool(largest > 20 * self.low[positive][int(np.searchsorted(total, total[-1] / 2))])

    def scaled(self, values: Any) -> np.ndarray:
        """Values on the scale on which they are shown: themselves, or log(1 + value)."""
        limited = np.nan_to_num(np.asarray(values, np.float64), posinf=1e300, neginf=-1e300)
        return np.log1p(np.maximum(limited, 0)) if self.long_tailed else limited

    def shown(self, most: int, kinds: Sequence[str]) -> dict[str, Any]:
        """Bars, ranges and cuts as plain values. Counts by kind, those that are all 0 left out."""
        self.long_tailed = self._is_long_tailed()
        whole = self.whole
        edges, axis = self._edges(whole)
        middle = self.scaled((self.low + self.high) / 2)
        bar = np.clip(np.searchsorted(edges, middle, side="right") - 1, 0, len(edges) - 2)
        for cut in self.cuts:  # a value that equals a bound lies on the bound's side, not on the edge's
            edge = int(np.abs(edges - self.scaled(self._drawn(cut, whole))).argmin())
            beyond = np.arange(len(self.low)) >= self.sides_of(cut)
            bar = np.where(beyond, np.maximum(bar, min(edge, len(edges) - 2)), np.minimum(bar, max(edge - 1, 0)))
        bars = np.zeros((len(edges) - 1, self.counts.shape[1]), np.int64)
        np.add.at(bars, bar, self.counts)
        fine = (self.low, self.high, self.counts)
        if len(self.low) > most:
            self._join(most)
        out = {
            "log": self.long_tailed,
            "whole": whole,
            "axis": [_short(v) for v in (np.expm1(axis) if self.long_tailed else axis)],
            "edges": [round(float(e), 4) for e in (edges - axis[0]) / (axis[1] - axis[0])],
            "bars": {k: bars[:, i].tolist() for i, k in enumerate(kinds) if bars[:, i].any()},
            "low": [_short(v) for v in self.low],
            "high": [_short(v) for v in self.high],
            "counts": {k: self.counts[:, i].tolist() for i, k in enumerate(kinds) if self.counts[:, i].any()},
            "minimum": self._places(False, whole, axis),
            "maximum": self._places(True, whole, axis),
        }
        self.low, self.high, self.counts = fine
        return out

    def _edges(self, whole: bool) -> tuple[np.ndarray, np.ndarray]:
        """Edges of the bars and ends of the axis, on the shown scale. Bounds are edges, so that no bar lies on both sides of one."""
        ends = [self.low[0], self.high[-1], *(c.at for c in self.cuts)]
        if whole and not self.long_tailed and max(ends) - min(ends) <= 60:
            edges = np.arange(np.floor(min(ends)) - 0.5, np.ceil(max(ends)) + 1)
            return edges, np.array([edges[0], edges[-1]])
        first, last = float(self.scaled(min(ends))), float(self.scaled(max(ends)))
        if last - first < 1e-200:  # one value, or as good as one
            first, last = first - 0.5, last + 0.5
        width = (last - first) * 1.04 / _BARS
        anchor = float(self.scaled(self._drawn(self.cuts[0], whole))) if self.cuts else first - width / 2
        start = anchor - np.ceil((anchor - first) / width + 0.25) * width
        edges = start + width * np.arange(np.ceil((last - start) / width + 0.25) + 1)
        for cut in self.cuts:
            place = float(self.scaled(self._drawn(cut, whole)))
            edges[int(np.abs(edges - place).argmin())] = place
        return edges, np.array([edges[0], edges[-1]])

    @staticmethod
    def _drawn(cut: Cut, whole: bool) -> float:
        """Where a cut is drawn: between two whole numbers, not on one of them."""
        return cut.at + (0.5 if cut.below else -0.5) if whole and float(cut.at).is_integer() else cut.at

    def _places(self, below: bool, whole: bool, axis: np.ndarray) -> list[list[float | None]]:
        """Every cut between two ranges, as a minimum (or, `below`, a maximum): the threshold, as short a number as cuts there, and its place on the axis."""
        mine = {self.sides_of(c): c for c in self.cuts if c.below == below}
        lows, highs = np.append(self.low, np.inf), np.append(-np.inf, self.high)
        found: list[float | None] = []
        drawn = np.zeros(len(lows))
        for k, (a, b) in enumerate(zip(highs.tolist(), lows.tolist(), strict=True)):
            at = mine[k].at if k in mine else _between(a, b, below, whole)
            found.append(at)
            if k in mine:
                drawn[k] = self._drawn(mine[k], whole)
            elif 0 < k < len(drawn) - 1:
                drawn[k] = (a + b) / 2 if whole or at is None else at
        place = (self.scaled(drawn) - axis[0]) / (axis[1] - axis[0])
        for k, end in ((0, 0.0), (len(place) - 1, 1.0)):
            if k not in mine:
                place[k] = end
        return [[at, round(x, 4)] for at, x in zip(found, np.clip(place, 0, 1).tolist(), strict=True)]

    def sides_of(self, cut: Cut) -> int:
        """How many ranges lie below a cut."""
        return int(np.searchsorted(self.low, cut.at, side="right" if cut.below else "left"))


def _between(a: float, b: float, below: bool, whole: bool) -> float | None:
    """The shortest number t with a < t <= b (as a maximum: a <= t < b); None where that leaves nothing to cut off."""
    if (below and np.isinf(b)) or (not below and np.isinf(a)):
        return None
    if np.isinf(a):
        return _between(b - (1 if whole else abs(b) * 0.1 + 1e-3), b, below, whole)
    if np.isinf(b):
        return _between(a, a + (1 if whole else abs(a) * 0.1 + 1e-3), below, whole)
    if whole:
        return a if below else b
    for digits in range(1, 17):
        t = float(f"{(a + b) / 2:.{digits}g}")
        if (a <= t < b) if below else (a < t <= b):
            return t
    return a if below else b


def _short(value: float) -> float:
    """Seven digits of it, a whole number as such."""
    limited = float(f"{min(max(float(value), -1e300), 1e300):.7g}")
    return int(limited) if limited.is_integer() and abs(limited) < 1e15 else limited
