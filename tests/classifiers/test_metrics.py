"""Every number against a slow twin that follows its definition: all pairs, all thresholds, all cells."""

import doctest
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers import metrics
from classifiers.metrics import (
    accuracy,
    auc,
    average_precision,
    bootstrap,
    calibration,
    confusion,
    expected_calibration_error,
    f1,
    false_positive_rate,
    macro_f1,
    pr_curve,
    precision_at_prevalence,
    recall_at,
    threshold_at,
)

# Tenths make ties; the others make neighbours that a careless rounding would merge.
SCORES = st.one_of(st.integers(0, 10).map(lambda i: i / 10), st.floats(0, 1), st.sampled_from([0.0, 5e-324, 0.7, np.nextafter(0.7, 1), 1.0]))
ROWS = st.lists(st.tuples(SCORES, st.booleans()), max_size=40)
PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)
LABELS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=40)


def columns(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([s for s, _ in rows], np.float64), np.array([t for _, t in rows], bool)


def same(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)


def slow_ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


# --- ranking ---


def slow_auc(scores: np.ndarray, truth: np.ndarray) -> float:
    pairs = [(p, n) for p in scores[truth] for n in scores[~truth]]
    return slow_ratio(sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs), len(pairs))


@settings(deadline=None)
@given(ROWS)
def test_auc_counts_all_pairs(rows: list[tuple[float, bool]]) -> None:
    assert same(auc(*columns(rows)), slow_auc(*columns(rows)))


@settings(deadline=None)
@given(ROWS)
def test_auc_turns_around_with_the_truth_and_sees_only_the_order(rows: list[tuple[float, bool]]) -> None:
    scores, truth = columns(rows)
    assert same(auc(scores, ~truth), 1 - auc(scores, truth))
    order = np.unique(scores, return_inverse=True)[1]
    assert same(auc(order, truth), auc(scores, truth))


def test_auc_of_known_rankings() -> None:
    truth = np.array([0, 0, 1, 1])
    assert auc(np.array([1, 2, 3, 4]), truth) == 1.0
    assert auc(np.array([4, 3, 2, 1]), truth) == 0.0
    assert auc(np.ones(4), truth) == 0.5
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), truth) == 0.75, "scikit-learn's own example"
    assert math.isnan(auc(np.ones(4), np.ones(4)))
    assert math.isnan(auc(np.ones(4), np.zeros(4)))
    assert math.isnan(auc(np.array([]), np.array([])))


@settings(deadline=None)
@given(ROWS)
def test_each_point_of_the_pr_curve_is_one_threshold(rows: list[tuple[float, bool]]) -> None:
    scores, truth = columns(rows)
    recall, precision, thresholds = pr_curve(scores, truth)
    assert thresholds.tolist() == sorted(set(scores.tolist()), reverse=True)
    for r, p, t in zip(recall, precision, thresholds, strict=True):
        flagged = scores >= t
        assert same(r, slow_ratio(int((flagged & truth).sum()), int(truth.sum())))
        assert same(p, (flagged & truth).sum() / flagged.sum())
        assert same(r, recall_at(scores, truth, float(t)))


def slow_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    if not truth.any():
        return math.nan
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        flagged = scores >= threshold
        recall = float((flagged & truth).sum() / truth.sum())
        total += (recall - before) * float((flagged & truth).sum() / flagged.sum())
        before = recall
    return total


@settings(deadline=None)
@given(ROWS)
def test_average_precision_sums_over_all_thresholds(rows: list[tuple[float, bool]]) -> None:
    assert same(average_precision(*columns(rows)), slow_average_precision(*columns(rows)))


def test_average_precision_of_known_rankings() -> None:
    truth = np.array([0, 0, 1, 1])
    assert average_precision(np.array([0.1, 0.4, 0.35, 0.8]), truth) == pytest.approx(0.8333333333), "scikit-learn's own example"
    assert average_precision(np.array([1, 2, 3, 4]), truth) == 1.0
    assert average_precision(np.ones(4), truth) == 0.5, "all tied: the share of positives"


# --- decisions ---


def slow_f1(truth: list[bool], predicted: list[bool]) -> float:
    hits = sum(t and p for t, p in zip(truth, predicted, strict=True))
    if not any(truth) and not any(predicted):
        return math.nan
    if not hits:
        return 0.0
    precision, recall = hits / sum(predicted), hits / sum(truth)
    return 2 * precision * recall / (precision + recall)


@settings(deadline=None)
@given(PAIRS)
def test_decisions_are_counted_one_by_one(rows: list[tuple[bool, bool]]) -> None:
    truth, predicted = [t for t, _ in rows], [p for _, p in rows]
    assert same(accuracy(np.array(truth), np.array(predicted)), slow_ratio(sum(t == p for t, p in rows), len(rows)))
    assert same(f1(np.array(truth), np.array(predicted)), slow_f1(truth, predicted))
    negatives = [p for t, p in rows if not t]
    assert same(false_positive_rate(np.array(truth), np.array(predicted)), slow_ratio(sum(negatives), len(negatives)))


@settings(deadline=None)
@given(LABELS)
def test_every_row_is_in_one_cell_and_macro_f1_is_the_mean_of_f1(rows: list[tuple[str, str]]) -> None:
    truth, predicted = np.array([t for t, _ in rows], "U1"), np.array([p for _, p in rows], "U1")
    table = confusion(truth, predicted, "abc")
    assert table.tolist() == [[sum(row == (t, p) for row in rows) for p in "abc"] for t in "abc"]
    each = [slow_f1((truth == c).tolist(), (predicted == c).tolist()) for c in "abc"]
    defined = [value for value in each if not math.isnan(value)]
    assert same(macro_f1(truth, predicted, "abc"), slow_ratio(sum(defined), len(defined)))


def test_known_decisions() -> None:
    assert macro_f1(np.array([0, 1, 2, 0, 1, 2]), np.array([0, 2, 1, 0, 0, 1]), range(3)) == pytest.approx(0.26666666), "scikit-learn's own example"
    assert macro_f1(np.array([0, 0]), np.array([0, 0]), range(3)) == 1.0, "classes that do not occur are left out"
    assert f1(np.array([True, True]), np.array([False, False])) == 0.0
    assert confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), (1, 0)).tolist() == [[1, 0], [1, 1]], "in the order of the classes given"


def test_a_label_that_is_no_class_is_refused_not_lost() -> None:
    with pytest.raises(ValueError, match="'d'"):
        confusion(np.array(["a", "d"]), np.array(["a", "a"]), "abc")
    with pytest.raises(ValueError, match="`predicted` has"):
        macro_f1(np.array([0]), np.array([7]), range(3))
    with pytest.raises(ValueError, match="distinct"):
        confusion(np.array([0]), np.array([0]), (0, 0))


@settings(deadline=None)
@given(ROWS, SCORES)
def test_recall_at_counts_the_threshold_itself(rows: list[tuple[float, bool]], threshold: float) -> None:
    positives = [s for s, t in rows if t]
    assert same(recall_at(*columns(rows), threshold), slow_ratio(sum(s >= threshold for s in positives), len(positives)))


def test_recall_at_compares_in_float64() -> None:
    assert recall_at(np.array([0.7], np.float32), np.array([True]), 0.7) == 0.0, "float32's 0.7 is 0.699999988"


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_precision_at_the_prevalence_of_the_test_set_is_its_precision(hits: int, missed: int, false: int, quiet: int) -> None:
    positives, negatives = hits + missed, false + quiet
    if not positives or not negatives:
        return
    got = precision_at_prevalence(hits / positives, false / negatives, positives / (positives + negatives))
    assert same(got, slow_ratio(hits, hits + false))


def test_precision_falls_with_the_prevalence() -> None:
    values = [precision_at_prevalence(0.9, 0.01, prevalence) for prevalence in (0.5, 0.1, 0.01, 0.001)]
    assert all(a > b for a, b in pairwise(values))
    assert values[-1] == pytest.approx(0.0009 / (0.0009 + 0.00999))
    assert math.isnan(precision_at_prevalence(0.0, 0.0, 0.1))
    assert math.isnan(precision_at_prevalence(math.nan, 0.1, 0.1))
    with pytest.raises(ValueError, match="prevalence is"):
        precision_at_prevalence(0.5, 0.5, 1.5)


# --- probabilities ---


@settings(deadline=None)
@given(ROWS, st.integers(1, 12))
def test_calibration_puts_every_document_in_one_bin(rows: list[tuple[float, bool]], bins: int) -> None:
    table = calibration(*columns(rows), bins)
    error = 0.0
    for index in range(bins):
        mine = [(s, t) for s, t in rows if min(math.floor(s * bins), bins - 1) == index]
        assert table.n[index] == len(mine)
        mean, share = slow_ratio(sum(s for s, _ in mine), len(mine)), slow_ratio(sum(t for _, t in mine), len(mine))
        assert same(table.mean_score[index], mean)
        assert same(table.positive_share[index], share)
        error += abs(mean - share) * len(mine) if mine else 0.0
    assert same(expected_calibration_error(*columns(rows), bins), slow_ratio(error, len(rows)))


def test_known_calibrations() -> None:
    scores, truth = np.array([0.25] * 4 + [1.0, 0.0]), np.array([1, 0, 0, 0, 1, 0])
    assert expected_calibration_error(scores, truth) == 0.0
    assert expected_calibration_error(scores, 1 - truth) == pytest.approx((4 * 0.5 + 1 + 1) / 6)
    assert calibration(scores, truth).n.tolist() == [1, 0, 4, 0, 0, 0, 0, 0, 0, 1]
    with pytest.raises(ValueError, match="probabilities"):
        calibration(np.array([1.5]), np.array([1]))
    with pytest.raises(ValueError, match="bins"):
        calibration(scores, truth, 0)


# --- intervals ---


def test_a_bootstrap_is_decided_by_its_seed_and_holds_its_value() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.5
    scores = np.where(truth, 0.6, 0.4) + rng.normal(0, 0.2, 400)
    first = bootstrap(auc, scores, truth, n=200, seed=1)
    assert first == bootstrap(auc, scores, truth, n=200, seed=1)
    assert first != bootstrap(auc, scores, truth, n=200, seed=2)
    assert first.value == auc(scores, truth)
    assert 0.5 < first.low < first.value < first.high < 1


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    x = np.random.default_rng(3).normal(0, 1, 900)
    value, low, high = bootstrap(np.mean, x, seed=4)
    assert (high - low) == pytest.approx(2 * 1.96 * x.std() / 30, rel=0.1)
    assert (low + high) / 2 == pytest.approx(value, abs=0.01)


def test_a_bootstrap_takes_the_same_rows_of_every_array() -> None:
    x = np.arange(50.0)
    assert bootstrap(lambda a, b: float((a - b).mean()), x, x + 1, n=50, seed=0) == (-1.0, -1.0, -1.0)


def test_undefined_resamples_are_left_out() -> None:
    truth = np.zeros(30, bool)
    truth[0] = True  # a third of the resamples draw no positive
    value, low, high = bootstrap(auc, np.arange(30.0), truth, n=100, seed=0)
    assert value == 0.0
    assert not math.isnan(low) and not math.isnan(high)
    assert all(math.isnan(number) for number in bootstrap(auc, np.arange(30.0), np.zeros(30, bool), n=10, seed=0))
    assert all(math.isnan(number) for number in bootstrap(np.mean, np.array([]), n=10, seed=0))
    with pytest.raises(ValueError, match="at least one array"):
        bootstrap(auc, seed=0)
    with pytest.raises(ValueError, match="at least one resample"):
        bootstrap(auc, np.ones(2), truth[:2], n=0, seed=0)


# --- thresholds ---

FLOATS = st.sampled_from([np.float64, np.float32, np.float16])
DOMAINS = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.lists(SCORES, max_size=30), FLOATS), max_size=4)


def holds(threshold: float, domains: dict[str, np.ndarray], rate: float, small: int) -> bool:
    """The promise itself, compared as a caller would: a Python float against an array of whatever width."""
    counts = {name: (int((scores >= threshold).sum()), scores.size) for name, scores in domains.items() if scores.size}
    return all(flagged == 0 if size < small else flagged / size <= rate for flagged, size in counts.values())


@settings(max_examples=300, deadline=None)
@given(DOMAINS, st.sampled_from([0.0, 0.05, 0.1, 0.29, 1 / 3, 0.5, 1.0]), st.sampled_from([0, 5, 10, 1000]))
def test_a_threshold_keeps_its_promise_and_no_smaller_one_does(drawn: dict[str, tuple[list[float], type]], rate: float, small: int) -> None:
    domains: dict[str, np.ndarray] = {name: np.array(scores, dtype) for name, (scores, dtype) in drawn.items()}
    threshold = threshold_at(domains, rate, small)
    assert holds(threshold, domains, rate, small)
    if threshold > 0:
        narrowest = min((scores.dtype for scores in domains.values()), key=lambda d: d.itemsize)
        smaller = float(np.nextafter(np.asarray(threshold, narrowest), narrowest.type(-np.inf)))
        assert smaller < threshold
        assert not holds(smaller, domains, rate, small)


@settings(deadline=None)
@given(st.lists(SCORES, min_size=1, max_size=40), st.integers(0, 10))
def test_one_domain_against_all_candidates(scores: list[float], tenths: int) -> None:
    domain = {"a": np.array(scores)}
    candidates = sorted({0.0, *(float(np.nextafter(s, np.inf)) for s in scores)})
    assert threshold_at(domain, tenths / 10, 0) == next(t for t in candidates if holds(t, domain, tenths / 10, 0))


def test_known_thresholds() -> None:
    scores = np.arange(1000) / 1000
    assert threshold_at({"clean": scores}) == np.nextafter(0.998, 1), "one in a thousand may be flagged"
    assert threshold_at({"clean": scores[:999]}) == np.nextafter(0.998, 1), "none of 999 may"
    assert threshold_at({"clean": scores, "odd": np.array([0.9999])}) == np.nextafter(0.9999, 1), "the worst domain decides"
    assert threshold_at({"clean": np.full(1000, 0.3)}) == np.nextafter(0.3, 1), "ties are flagged together or not at all"
    assert threshold_at({"clean": np.array([1.0])}) == np.nextafter(1.0, 2), "above every probability: nothing is flagged"
    assert threshold_at({"clean": np.arange(100) / 100}, rate=0.29, small=0) == np.nextafter(0.70, 1), "though 0.29 * 100 < 29"


def test_thresholds_of_nothing() -> None:
    assert threshold_at({}) == 0.0
    assert threshold_at({"empty": np.array([])}) == 0.0
    assert threshold_at({"empty": np.array([]), "one": np.array([0.5])}) == np.nextafter(0.5, 1)
    assert threshold_at({"all": np.ones(5)}, rate=1.0, small=0) == 0.0


def test_a_threshold_over_float32_scores_does_not_round_back_onto_them() -> None:
    scores = np.array([0.7], np.float32)
    assert scores >= float(np.nextafter(float(scores[0]), 1.0)), "the trap: numpy compares a Python float in float32"
    assert not (scores >= threshold_at({"a": scores})).any()
    mixed = {"a": scores, "b": np.array([float(scores[0]) + 1e-12])}
    assert holds(threshold_at(mixed), mixed, 0.001, 1000)


def test_a_threshold_is_refused_where_it_could_promise_nothing() -> None:
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="Domain 'news'"):
            threshold_at({"news": np.array([0.1, bad])})
    with pytest.raises(ValueError, match="rate is -1"):
        threshold_at({}, rate=-1)


# --- what all refuse ---


@pytest.mark.parametrize("of_scores", [auc, average_precision, pr_curve, calibration, expected_calibration_error])
def test_scores_must_be_numbers_one_a_document(of_scores: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        of_scores(np.array([0.5, math.nan]), np.array([True, False]))
    with pytest.raises(ValueError, match="one entry a row"):
        of_scores(np.array([0.5, 0.6]), np.array([True]))
    with pytest.raises(ValueError, match="must be bool"):
        of_scores(np.array([0.5, 0.6]), np.array([1, 2]))
    with pytest.raises(ValueError, match="shape"):
        of_scores(np.ones((2, 2)), np.array([True, False]))


@pytest.mark.parametrize("of_flags", [accuracy, f1, false_positive_rate])
def test_decisions_must_be_as_many_as_truths(of_flags: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match="one entry a row"):
        of_flags(np.array([True, False]), np.array([True]))
    assert math.isnan(of_flags(np.array([]), np.array([])))


def test_empty_tables_have_their_shapes() -> None:
    nothing = np.array([])
    assert [a.shape for a in pr_curve(nothing, nothing)] == [(0,)] * 3
    assert confusion(nothing, nothing, "ab").tolist() == [[0, 0], [0, 0]]
    assert calibration(nothing, nothing, 4).n.tolist() == [0] * 4
    assert math.isnan(macro_f1(nothing, nothing, "ab"))
    assert math.isnan(recall_at(nothing, nothing, 0.5))
    assert math.isnan(expected_calibration_error(nothing, nothing))
    assert math.isnan(average_precision(nothing, nothing))


def test_the_examples_in_the_docstrings() -> None:
    result = doctest.testmod(metrics)
    assert result.attempted and not result.failed
