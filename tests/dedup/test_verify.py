"""Verified verdicts against the quadratic twin, and that large clusters do not become quadratic."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import verify
from pipeline.dedup.verify import verify_cluster
from tests.twins import slow_shingles as slow


def pack(sets: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.zeros(len(sets) + 1, np.int64)
    np.cumsum([len(s) for s in sets], out=offsets[1:])
    return np.array([v for s in sets for v in sorted(s)], np.uint64), offsets


def check(sets: list[set[int]], threshold: float) -> None:
    kept, other, similarity = verify_cluster(*pack(sets), threshold)
    assert list(zip(other.tolist(), similarity.tolist(), strict=True)) == slow.verify(sets, threshold)
    assert kept.tolist() == [o == i for i, o in enumerate(other.tolist())]


small = st.lists(st.sets(st.integers(0, 9), max_size=8), max_size=14)


@settings(deadline=None)
@given(small, st.sampled_from([0.1, 0.5, 0.8, 1.0]))
def test_small_clusters_equal_the_twin(sets: list[set[int]], threshold: float) -> None:
    check(sets, threshold)


@settings(deadline=None)
@given(small, st.sampled_from([0.1, 0.5, 0.8, 1.0]))
def test_the_index_gives_what_all_pairs_give(sets: list[set[int]], threshold: float) -> None:
    original = verify._SMALL
    verify._SMALL = 0
    try:
        check(sets, threshold)
    finally:
        verify._SMALL = original


@pytest.mark.parametrize("threshold", [0.5, 0.75, 0.8, 0.9])
def test_clusters_of_edited_copies_equal_the_twin(threshold: float) -> None:
    rng = np.random.default_rng(7)
    sets: list[set[int]] = []
    for _ in range(6):
        page = rng.integers(0, 2**63, 100).tolist()
        for _ in range(30):
            cut = rng.integers(60, 101)
            sets.append(set(rng.permutation(page)[:cut].tolist()) | set(rng.integers(0, 2**63, rng.integers(0, 12)).tolist()))
    check([sets[i] for i in rng.permutation(len(sets))], threshold)


def test_a_text_goes_for_the_one_that_stays_not_for_a_neighbour_that_left() -> None:
    chain = [set(range(i, i + 20)) for i in range(0, 10, 2)]  # neighbours 18/22, next but one 16/24
    kept, other, similarity = verify_cluster(*pack(chain), 0.8)
    assert kept.tolist() == [True, False, True, False, True]
    assert other.tolist() == [0, 0, 2, 2, 4]
    assert similarity[1] == 18 / 22


def test_offsets_of_a_slice_and_bad_thresholds() -> None:
    values, offsets = pack([{9}, {1, 2}, {1, 2}])
    assert verify_cluster(values, offsets[1:], 0.8)[0].tolist() == [True, False]
    with pytest.raises(ValueError, match="threshold"):
        verify_cluster(values, offsets, 0)


@pytest.mark.parametrize("kind", ["mirrors", "one template"])
def test_twenty_thousand_members_take_no_quadratic_time(kind: str) -> None:
    rng = np.random.default_rng(1)
    n, size = 20_000, 100
    sets = np.tile(rng.integers(0, 2**63, size, dtype=np.uint64), (n, 1))
    if kind == "one template":  # 85 shingles in common, 15 of its own: Jaccard 0.74 with all others, and all stay
        sets[:, :15] = rng.integers(0, 2**63, (n, 15), dtype=np.uint64)
    sets.sort(axis=1)
    offsets = np.arange(n + 1, dtype=np.int64) * size
    verify_cluster(sets[:100].ravel(), offsets[:101], 0.8)
    begin = time.process_time()
    kept, _, _ = verify_cluster(sets.ravel(), offsets, 0.8)
    assert time.process_time() - begin < 10
    assert kept.sum() == (1 if kind == "mirrors" else n)
