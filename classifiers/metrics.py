"""How good a classifier is: pure functions of scores, truths and predictions, in numpy. Nothing here reads a file or draws a picture.

Scores are numbers that rise with the positive class; a document is flagged where score >= threshold. Truths are bool, or 0 and 1. A number
that the documents do not define (a recall without positives) is NaN, never a flattering 0 or 1. Every function refuses arrays of unequal
lengths and NaN among the scores (ValueError). Sorting is the whole cost: 10^6 documents take under a second, 1000 resamples of 10^4 a second or two.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A statistic and the 95 % interval of its resamples."""

    value: float
    low: float
    high: float


class Calibration(NamedTuple):
    """One row a bin of scores; the two shares are NaN where a bin holds no document."""

    mean_score: np.ndarray  # (bins,) float64
    positive_share: np.ndarray  # (bins,) float64
    n: np.ndarray  # (bins,) int64


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """The chance that a random positive scores above a random negative, ties counting half: the area under the ROC curve.

    Exact: pairs are counted in integers. NaN without positives or without negatives. Mann and Whitney 1947.

    >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    scores, truth = _scored(scores, truth)
    values, place = np.unique(scores, return_inverse=True)
    positives = np.bincount(place[truth], minlength=values.size).astype(np.int64)
    negatives = np.bincount(place[~truth], minlength=values.size).astype(np.int64)
    below = np.cumsum(negatives) - negatives
    half_pairs = int((positives * (2 * below + negatives)).sum())
    return _ratio(half_pairs, 2 * int(positives.sum()) * int(negatives.sum()))


def pr_curve(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(recall, precision, thresholds), one point a distinct score, thresholds falling: what one gets by flagging score >= threshold.

    Three (distinct scores,) float64 arrays; empty without documents. Without positives every recall is NaN. No point is made up at
    recall 0, where no threshold lies.
    """
    scores, truth = _scored(scores, truth)
    order = np.argsort(-scores, kind="stable")
    thresholds = scores[order]
    last = np.flatnonzero(np.append(thresholds[1:] != thresholds[:-1], True)) if thresholds.size else np.empty(0, np.int64)
    hits = np.cumsum(truth[order])[last]
    positives = int(truth.sum())
    recall = hits / positives if positives else np.full(last.size, np.nan)
    return recall, hits / (last + 1), thresholds[last]


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Precision, weighted by the recall that each threshold adds; no interpolation (as scikit-learn has it). NaN without positives."""
    recall, precision, _ = pr_curve(scores, truth)
    return float((np.diff(recall, prepend=0.0) * precision).sum()) if recall.size else math.nan


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Rows whose label was predicted, over all rows; NaN without rows. Labels of any kind, (rows,)."""
    truth, predicted = _rows(truth, predicted)
    return _ratio(int((truth == predicted).sum()), truth.size)


def f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Twice the hits over the positives plus the flagged: the harmonic mean of precision and recall. (rows,) bool both.

    NaN where nothing is positive and nothing is flagged; 0.0 where one side has some and there is no hit.
    """
    truth, predicted = _flags(truth, "truth"), _flags(predicted, "predicted")
    _rows(truth, predicted)
    return _ratio(2 * int((truth & predicted).sum()), int(truth.sum()) + int(predicted.sum()))


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[Any]) -> np.ndarray:
    """Rows by true class and predicted class: cell [t, p] counts rows of class t that were called p. (classes, classes) int64.

    All zero without rows. ValueError for a label that is not among the classes, so that every row is in one cell.
    """
    truth, predicted = _rows(truth, predicted)
    size = len(classes)
    cells = _codes(truth, classes, "truth") * size + _codes(predicted, classes, "predicted")
    return np.bincount(cells, minlength=size * size).astype(np.int64).reshape(size, size)


def macro_f1(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[Any]) -> float:
    """The mean F1 of the classes that occur in the truth or in the predictions, each counting the same; NaN without rows.

    A class that occurs in neither has no F1 and is left out (scikit-learn's `average="macro"` does the same when it finds the classes
    itself). ValueError for a label that is not among the classes.
    """
    table = confusion(truth, predicted, classes)
    marks = table.sum(axis=0) + table.sum(axis=1)
    occurs = marks > 0
    return float((2 * table.diagonal()[occurs] / marks[occurs]).mean()) if occurs.any() else math.nan


def false_positive_rate(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Negatives that were flagged, over all negatives; NaN without negatives. (rows,) bool both."""
    truth, predicted = _flags(truth, "truth"), _flags(predicted, "predicted")
    _rows(truth, predicted)
    return _ratio(int((~truth & predicted).sum()), int((~truth).sum()))


def recall_at(scores: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    """Positives whose score is at least the threshold, over all positives; NaN without positives.

    Compared in float64, as `pipeline.filter` does: a float32 score of 0.7 is below a threshold of 0.7.
    """
    scores, truth = _scored(scores, truth)
    return _ratio(int((scores[truth] >= threshold).sum()), int(truth.sum()))


def precision_at_prevalence(recall: float, false_positive_rate: float, prevalence: float) -> float:
    """The share of flagged documents that are positive, in a corpus where `prevalence` of all documents are. Bayes' rule.

    A test set is half positive, a crawl is not: this says what a threshold means there. NaN where nothing would be flagged, or where a
    rate is NaN; ValueError for a number outside [0, 1].

    >>> round(precision_at_prevalence(0.8, 0.001, 0.01), 3)
    0.89
    """
    for name, share in (("recall", recall), ("false_positive_rate", false_positive_rate), ("prevalence", prevalence)):
        if not (math.isnan(share) or 0 <= share <= 1):
            raise ValueError(f"{name} is {share}: it must be a share, from 0 to 1.")
    return _ratio(recall * prevalence, recall * prevalence + false_positive_rate * (1 - prevalence))


def calibration(scores: np.ndarray, truth: np.ndarray, bins: int = 10) -> Calibration:
    """Does a score of 0.8 mean 80 %? Mean score and share of positives in `bins` equal parts of [0, 1]; 1.0 belongs to the last.

    A document's bin is floor(score * bins). ValueError for scores outside [0, 1].
    """
    scores, truth = _scored(scores, truth)
    if bins < 1:
        raise ValueError(f"bins is {bins}: there must be at least one.")
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(f"Scores reach from {scores.min()} to {scores.max()}: only probabilities, from 0 to 1, can be calibrated.")
    place = np.minimum((scores * bins).astype(np.int64), bins - 1)
    n = np.bincount(place, minlength=bins).astype(np.int64)
    total = np.bincount(place, weights=scores, minlength=bins)
    positives = np.bincount(place, weights=truth, minlength=bins)
    some = n > 0
    mean_score = np.divide(total, n, out=np.full(bins, np.nan), where=some)
    positive_share = np.divide(positives, n, out=np.full(bins, np.nan), where=some)
    return Calibration(mean_score, positive_share, n)


def expected_calibration_error(scores: np.ndarray, truth: np.ndarray, bins: int = 10) -> float:
    """The distance between a bin's mean score and its share of positives, averaged over documents; NaN without documents.

    Of two classes, by the positive's score. Naeini et al. 2015. ValueError as `calibration`.
    """
    table = calibration(scores, truth, bins)
    gaps = np.nan_to_num(np.abs(table.mean_score - table.positive_share))
    return _ratio(float((gaps * table.n).sum()), int(table.n.sum()))


def bootstrap(statistic: Callable[..., float], *arrays: np.ndarray, n: int = 1000, seed: int) -> Interval:
    """A statistic of the rows and the 2.5th and 97.5th percentile of it over `n` resamples of as many rows, drawn with replacement.

    Each resample takes the same rows of every array, so a difference of two classifiers on the same rows is a statistic too. The seed
    decides the resamples. Those that leave the statistic undefined (NaN: no positive was drawn) are left out; all NaN without rows.
    Efron 1979.
    """
    if not arrays:
        raise ValueError("There is nothing to resample: give at least one array.")
    if n < 1:
        raise ValueError(f"n is {n}: there must be at least one resample.")
    rows = _rows(*arrays)
    size = len(rows[0])
    if not size:
        return Interval(math.nan, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    values = np.empty(n)
    for index in range(n):
        drawn = rng.integers(0, size, size)
        values[index] = statistic(*(array[drawn] for array in rows))
    values = values[~np.isnan(values)]
    low, high = np.percentile(values, (2.5, 97.5)) if values.size else (math.nan, math.nan)
    return Interval(float(statistic(*rows)), float(low), float(high))


def threshold_at(scores_by_domain: Mapping[str, np.ndarray], rate: float = 0.001, small: int = 1000) -> float:
    """The smallest threshold, from 0.0 up, that flags (score >= threshold) at most `rate` of the documents of every domain.

    In a domain of fewer than `small` documents it flags none: there one document is already more than the rate can tell. Give it clean
    documents, and `rate` bounds the false positives. 0.0 without domains; a domain without documents asks for nothing. ValueError for
    scores that are not finite.

    The threshold is the next number above a score, in the narrowest float type among the domains (integers count as float64): in float64
    that number would round back onto the score where numpy compares it with float32, and flag what it must not.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is {rate}: it must be a share, from 0 to 1.")
    domains = {name: _floats(scores) for name, scores in scores_by_domain.items()}
    narrowest = min((scores.dtype for scores in domains.values()), key=lambda dtype: dtype.itemsize, default=np.dtype(np.float64))
    threshold = 0.0
    for name, scores in domains.items():
        if not np.isfinite(scores).all():
            raise ValueError(f"Domain '{name}' has scores that are NaN or infinite: no threshold can be promised.")
        allowed = 0 if scores.size < max(small, 1) else _most(scores.size, rate)
        if allowed < scores.size:
            worst = np.sort(scores)[scores.size - 1 - allowed]  # the highest score that must not be flagged
            threshold = max(threshold, _above(float(worst), narrowest))
    return threshold


def _most(size: int, rate: float) -> int:
    """The largest count whose share of `size` is at most `rate`, by the same division that a reader would check it with."""
    count = min(size, int(size * rate) + 1)  # 0.29 * 100 is 28.999999999999996, and yet 29 / 100 <= 0.29
    while count / size > rate:
        count -= 1
    return count


def _above(score: float, dtype: np.dtype) -> float:
    """The smallest number of a float type that is above a score."""
    with np.errstate(over="ignore"):
        near = np.asarray(score, dtype)
        return float(near) if float(near) > score else float(np.nextafter(near, np.asarray(np.inf, dtype)))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _floats(scores: np.ndarray) -> np.ndarray:
    """One axis of floats, in their own width; what is not float becomes float64."""
    scores = np.asarray(scores)
    if scores.ndim != 1:
        raise ValueError(f"Scores have the shape {scores.shape}: they must be (documents,).")
    return scores if scores.dtype.kind == "f" and scores.dtype.itemsize <= 8 else scores.astype(np.float64)


def _flags(marks: np.ndarray, name: str) -> np.ndarray:
    """bool, or 0 and 1, as bool. ValueError for anything else: a class number of 2 is not a 'yes'."""
    marks = np.asarray(marks)
    if marks.dtype == np.bool_ or marks.size == 0:
        return marks.astype(bool)
    if marks.dtype.kind not in "iuf" or not np.isin(marks, (0, 1)).all():
        raise ValueError(f"`{name}` must be bool, or 0 and 1.")
    return marks.astype(bool)


def _rows(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays as numpy ones; ValueError unless they have as many rows each."""
    as_arrays = tuple(np.asarray(array) for array in arrays)
    if any(array.ndim == 0 for array in as_arrays) or len({len(array) for array in as_arrays}) != 1:
        raise ValueError(f"Arrays of the shapes {[array.shape for array in as_arrays]}: each must have one entry a row.")
    return as_arrays


def _scored(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores as float64 without NaN, and as many truths as bool."""
    scores, truth = _rows(_floats(scores).astype(np.float64, copy=False), _flags(truth, "truth"))
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} of {scores.size} scores are NaN: score these documents or leave them out.")
    return scores, truth


def _codes(labels: np.ndarray, classes: Sequence[Any], name: str) -> np.ndarray:
    """Each label's place among the classes. (rows,) int64"""
    if len(set(classes)) != len(classes):
        raise ValueError(f"The classes {list(classes)} are not distinct.")
    codes = np.full(len(labels), -1, np.int64)
    for index, label in enumerate(classes):
        codes[labels == label] = index
    if (codes < 0).any():
        raise ValueError(f"`{name}` has {labels[codes < 0][0]!r}, which is not among the classes {list(classes)}.")
    return codes
