"""Counting values in ranges: exact at every cut, whatever was joined and however the values came."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inspect.report import ranges
from pipeline.inspect.report.ranges import Cut, Ranges


def counted(values: np.ndarray, kinds: np.ndarray, cuts: list[Cut], parts: int = 1) -> Ranges:
    found = Ranges(2, cuts)
    for mine in np.array_split(np.arange(len(values)), parts):
        found.add(values[mine], kinds[mine])
    return found


NUMBERS = st.one_of(st.integers(-5, 40).map(float), st.floats(-3, 3), st.sampled_from([0.0, 1e-9, 0.3, 0.30000000000000004, 1e6, 1e12]))


@settings(max_examples=200, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=300), NUMBERS, st.booleans(), st.integers(1, 4), st.integers(2, 30))
def test_every_cut_counts_exactly(given_: list[float], bound: float, below: bool, parts: int, most: int) -> None:
    values = np.array(given_)
    kinds = np.arange(len(values)) % 2
    found = counted(values, kinds, [Cut(bound, below)], parts)
    shown = found.shown(most, ["a", "b"])
    sums = np.sum([np.concatenate([[0], np.cumsum(shown["counts"].get(k, [0] * len(shown["low"])))]) for k in "ab"], axis=0)
    for places, under in ((shown["minimum"], lambda t: values < t), (shown["maximum"], lambda t: values <= t)):
        assert [p[1] for p in places] == sorted(p[1] for p in places)
        for k, (threshold, _) in enumerate(places):
            if threshold is None:
                assert k == (0 if places is shown["minimum"] else len(places) - 1)
            else:
                assert sums[k] == under(threshold).sum()
    mine = shown["maximum"] if below else shown["minimum"]
    assert bound in [p[0] for p in mine], "the recipe's own bound is a place to stop at"
    bars = np.sum([shown["bars"].get(k, [0] * (len(shown["edges"]) - 1)) for k in "ab"], axis=0)
    assert bars.sum() == len(values)
    assert len(shown["edges"]) == len(bars) + 1 and shown["edges"] == sorted(shown["edges"])


def test_a_bar_lies_on_one_side_of_the_bound() -> None:
    values = np.array([0.0] * 90 + [0.9] * 7 + [0.90001] * 3)
    shown = counted(values, np.zeros(100, np.int64), [Cut(0.9, below=True)]).shown(120, ["a", "b"])
    at = next(x for t, x in shown["maximum"] if t == 0.9)
    edge = int(np.abs(np.array(shown["edges"]) - at).argmin())
    assert sum(shown["bars"]["a"][:edge]) == 97


def test_many_values_are_joined_never_across_a_bound() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.lognormal(4, 2, 60_000), [50.0] * 5])
    kinds = rng.integers(0, 2, len(values))
    found = counted(values, kinds, [Cut(50, False), Cut(1000, True)], parts=9)
    assert len(found.low) <= ranges.MOST
    assert found.counts.sum() == len(values)
    shown = found.shown(120, ["a", "b"])
    assert 60 <= len(shown["low"]) <= 125 and shown["log"]
    sums = [0, *np.cumsum(np.array(shown["counts"]["a"]) + np.array(shown["counts"]["b"])).tolist()]
    assert sums[[p[0] for p in shown["minimum"]].index(50)] == (values < 50).sum()
    assert sums[[p[0] for p in shown["maximum"]].index(1000)] == (values <= 1000).sum()
    assert all(len(str(p[0])) < 9 for p in shown["minimum"] if p[0] is not None), "thresholds are short numbers"


def test_whole_numbers_are_cut_between_and_shown_one_by_one() -> None:
    shown = counted(np.array([0.0, 1, 1, 2, 5]), np.zeros(5, np.int64), [Cut(2, False)]).shown(120, ["a", "b"])
    assert shown["whole"] and shown["bars"]["a"] == [1, 2, 1, 0, 0, 1]
    assert [p[0] for p in shown["minimum"]] == [None, 1, 2, 5, 6]
    assert [p[0] for p in shown["maximum"]] == [-1, 0, 1, 2, None]
