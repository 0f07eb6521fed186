"""Which bound does each document break first? Comparisons only: what is compared was measured before, bounds stand in the recipe.

A reason is the broken bound itself, `duplicate_line_fraction <= 0.3`, so that it cannot disagree with what was compared.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.errors import RecipeError
from pipeline.measures import MEASURES, measure
from pipeline.texts import Texts


@dataclass(frozen=True)
class Bound:
    """The values of a column that a document may have: min <= value <= max, either of which may be open."""

    column: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Verdicts:
    """One row a document: `bound` is the index of the first bound that it breaks (-1: none), `side` says how, `value` is
    the number that broke it (NaN where nothing broke, or where the value is missing)."""

    bounds: tuple[Bound, ...]
    bound: np.ndarray  # (rows,) int32
    side: np.ndarray  # (rows,) int8: 0 min, 1 max, 2 missing; meaningless where bound is -1
    value: np.ndarray  # (rows,) float64

    @property
    def dropped(self) -> np.ndarray:
        """Which rows break a bound. (rows,) bool"""
        return self.bound >= 0

    def reasons(self) -> list[str | None]:
        """Each row's reason, or None where it keeps to all bounds."""
        names = {(b, s): reason(bound, side) for b, bound in enumerate(self.bounds) for s, side in enumerate(SIDES)}
        return [names[b, s] if b >= 0 else None for b, s in zip(self.bound.tolist(), self.side.tolist(), strict=True)]


Side = Literal["min", "max", "missing"]
SIDES: tuple[Side, Side, Side] = ("min", "max", "missing")


def _number(value: float | None) -> str:
    """The shortest text that reads back as the same number: 50, not 50.0."""
    if value is None:
        return "?"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def reason(bound: Bound, side: Side) -> str:
    """The bound that was broken, as one reads it in the recipe.

    >>> reason(Bound("word_count", min=50), "min")
    'word_count >= 50'
    """
    if side == "missing":
        return f"{bound.column} is missing"
    return f"{bound.column} >= {_number(bound.min)}" if side == "min" else f"{bound.column} <= {_number(bound.max)}"


def judge(
    columns: Mapping[str, Any],
    bounds: Sequence[Bound],
    rows: np.ndarray | None = None,
    missing: Literal["keep", "drop"] | None = None,
) -> Verdicts:
    """The first bound, in the order given, that each row breaks. Bounds are inclusive.

    `rows` (bool) says which rows to judge; the others break nothing. A value that is NaN, or null in an Arrow column, is
    missing: with `drop` it breaks its bound, with `keep` it does not, and with None it must not occur (ValueError:
    the plan should have refused that).
    """
    if not bounds:
        raise ValueError("There is nothing to judge by: give at least one bound.")
    values = [_floats(columns[bound.column]) for bound in bounds]
    size = values[0].size
    first = np.full(size, -1, np.int32)
    side = np.zeros(size, np.int8)
    value = np.full(size, np.nan)
    open_ = np.ones(size, bool) if rows is None else np.asarray(rows, bool).copy()
    for index, (bound, column) in enumerate(zip(bounds, values, strict=True)):
        if column.size != size:
            raise ValueError(f"Column '{bound.column}' has {column.size} rows, '{bounds[0].column}' has {size}.")
        absent = np.isnan(column)
        if missing is None and (absent & open_).any():
            raise ValueError(f"Column '{bound.column}' has missing values: the filter needs missing: keep or missing: drop.")
        low = column < bound.min if bound.min is not None else np.zeros(size, bool)
        high = column > bound.max if bound.max is not None else np.zeros(size, bool)
        gone = absent if missing == "drop" else np.zeros(size, bool)
        broken = open_ & (low | high | gone)
        first[broken] = index
        side[broken] = np.where(gone, 2, np.where(high, 1, 0))[broken]
        value[broken] = column[broken]
        open_ &= ~broken
    return Verdicts(tuple(bounds), first, side, value)


def _floats(column: Any) -> np.ndarray:
    """A column as float64, missing values as NaN; takes NumPy arrays and Arrow ones."""
    if isinstance(column, np.ndarray):
        return column.astype(np.float64, copy=False)
    array: np.ndarray = column.to_numpy(zero_copy_only=False) if hasattr(column, "null_count") else np.asarray(column)
    return array.astype(np.float64)


def bounds_from(mapping: Mapping[str, Mapping[str, float]]) -> tuple[Bound, ...]:
    """`{"word_count": {"min": 50}}`, as a recipe writes it, as bounds. RecipeError for what is neither min nor max."""
    bounds = []
    for column, sides in mapping.items():
        for key in sides:
            if key not in ("min", "max"):
                near = difflib.get_close_matches(str(key), ("min", "max"), 1, 0.3)
                raise RecipeError(f"bounds.{column}.{key}: unknown setting; a bound has min and max" + (f"; did you mean '{near[0]}'?" if near else "."))
        if not sides:
            raise RecipeError(f"bounds.{column}: no bound is given; write {{min: …}} or {{max: …}}, or leave the line out.")
        low, high = sides.get("min"), sides.get("max")
        if low is not None and high is not None and low > high:
            raise RecipeError(f"bounds.{column}: min {_number(low)} is above max {_number(high)}, so every document would be dropped.")
        bounds.append(Bound(column, low, high))
    return tuple(bounds)


def judge_texts(texts: Any, bounds: Mapping[str, Mapping[str, float]]) -> list[str | None]:
    """The first broken bound of each text, or None; for use without a recipe. Columns are names of the catalogue.

    >>> judge_texts(["Too short."], {"word_count": {"min": 50}})
    ['word_count >= 50']
    """
    for column in bounds:
        if column not in MEASURES:
            near = difflib.get_close_matches(column, MEASURES, 1)
            raise RecipeError(f"There is no measure '{column}'" + (f"; did you mean '{near[0]}'?" if near else f". There are: {', '.join(MEASURES)}."))
    batch = texts if isinstance(texts, Texts) else Texts(texts)
    return judge(measure(batch, bounds), bounds_from(bounds)).reasons()
