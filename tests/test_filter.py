"""A verdict is the first broken bound; a reason is that bound, as one reads it in the recipe."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import RecipeError
from pipeline.filter import Bound, Verdicts, bounds_from, judge, judge_texts, reason

WORDS = Bound("word_count", min=50, max=100_000)
LINES = Bound("duplicate_line_fraction", max=0.3)


def test_reasons_are_the_bounds() -> None:
    assert reason(WORDS, "min") == "word_count >= 50"
    assert reason(Bound("word_count", min=50.0), "min") == "word_count >= 50"
    assert reason(WORDS, "max") == "word_count <= 100000"
    assert reason(LINES, "max") == "duplicate_line_fraction <= 0.3"
    assert reason(Bound("x", min=1e-7), "min") == "x >= 1e-07"
    assert reason(Bound("x", min=-0.5), "min") == "x >= -0.5"
    assert reason(WORDS, "missing") == "word_count is missing"


def columns(words: list[float], lines: list[float]) -> dict[str, np.ndarray]:
    return {"word_count": np.array(words), "duplicate_line_fraction": np.array(lines)}


def rows(verdicts: Verdicts) -> list[tuple[str | None, float]]:
    return list(zip(verdicts.reasons(), verdicts.value.tolist(), strict=True))


def test_the_first_broken_bound_in_the_order_given() -> None:
    verdicts = judge(columns([49, 49, 60, 60], [0.1, 0.9, 0.9, 0.1]), [WORDS, LINES])
    assert verdicts.bound.tolist() == [0, 0, 1, -1]
    assert verdicts.bound.dtype == np.int32
    assert rows(verdicts)[:3] == [("word_count >= 50", 49), ("word_count >= 50", 49), ("duplicate_line_fraction <= 0.3", 0.9)]
    assert rows(verdicts)[3][0] is None
    assert np.isnan(verdicts.value[3])
    assert verdicts.dropped.tolist() == [True, True, True, False]
    assert judge(columns([49], [0.9]), [LINES, WORDS]).reasons() == ["duplicate_line_fraction <= 0.3"]


def test_bounds_are_inclusive() -> None:
    assert not judge(columns([50, 100_000], [0.3, 0.3]), [WORDS, LINES]).dropped.any()
    assert judge(columns([100_001], [0]), [WORDS]).reasons() == ["word_count <= 100000"]


def test_rows_that_are_not_judged_break_nothing() -> None:
    verdicts = judge(columns([1, 1], [0, 0]), [WORDS], rows=np.array([False, True]))
    assert verdicts.reasons() == [None, "word_count >= 50"]


def test_missing_values() -> None:
    given = columns([np.nan, 1], [0, 0])
    assert judge(given, [WORDS], missing="keep").reasons() == [None, "word_count >= 50"]
    assert judge(given, [WORDS], missing="drop").reasons() == ["word_count is missing", "word_count >= 50"]
    assert np.isnan(judge(given, [WORDS], missing="drop").value[0])
    with pytest.raises(ValueError, match="'word_count' has missing values"):
        judge(given, [WORDS])
    assert judge(given, [WORDS], rows=np.array([False, True])).reasons() == [None, "word_count >= 50"]  # not judged, not asked


def test_arrow_columns_with_nulls() -> None:
    given = {"word_count": pa.array([None, 10, 60]), "duplicate_line_fraction": pa.chunked_array([[0.1], [None, 0.5]])}
    assert judge(given, [WORDS, LINES], missing="drop").reasons() == ["word_count is missing", "word_count >= 50", "duplicate_line_fraction <= 0.3"]
    assert judge(given, [WORDS, LINES], missing="keep").reasons() == [None, "word_count >= 50", "duplicate_line_fraction <= 0.3"]


def test_judging_nothing() -> None:
    assert judge(columns([], []), [WORDS]).reasons() == []
    with pytest.raises(ValueError, match="at least one bound"):
        judge(columns([1], [1]), [])
    with pytest.raises(ValueError, match="has 2 rows"):
        judge({"word_count": np.ones(1), "duplicate_line_fraction": np.ones(2)}, [WORDS, LINES])


def test_tightening_a_bound_drops_no_fewer() -> None:
    values = {"x": np.random.default_rng(0).random(1000)}
    dropped = [judge(values, [Bound("x", max=high)]).dropped.sum() for high in np.linspace(1, 0, 11)]
    assert dropped == sorted(dropped)


def test_bounds_as_a_recipe_writes_them() -> None:
    assert bounds_from({"word_count": {"min": 50, "max": 100_000}, "duplicate_line_fraction": {"max": 0.3}}) == (WORDS, LINES)
    with pytest.raises(RecipeError, match="did you mean 'min'"):
        bounds_from({"word_count": {"minn": 50}})
    with pytest.raises(RecipeError, match="no bound is given"):
        bounds_from({"word_count": {}})
    with pytest.raises(RecipeError, match="above max"):
        bounds_from({"word_count": {"min": 5, "max": 4}})


def test_judging_texts_without_a_recipe() -> None:
    assert judge_texts(["Too short.", "word " * 60], {"word_count": {"min": 50}}) == ["word_count >= 50", None]
    with pytest.raises(RecipeError, match="did you mean 'word_count'"):
        judge_texts(["a"], {"wordcount": {"min": 1}})
