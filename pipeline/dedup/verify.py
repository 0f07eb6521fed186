"""Which members of a candidate cluster are near-duplicates of one that stays? Exact Jaccard, greedy in the order of preference.

MinHash only proposes; here every drop is proven. A member leaves when its exact Jaccard similarity with a member already kept reaches the
threshold, so nothing leaves because of a chain of ever less similar copies, nor because of a text that left itself.

Costs. Up to 24 members: all pairs that their sizes allow. More: the prefix filter with positions (PPJoin, Xiao et al. 2011): shingles are ranked by how
many members have them, rare first; a pair at the threshold must share one of the first |x| - ceil(t|x|) + 1 of each. So 100,000 mirrors
of one page cost one comparison each, and 100,000 pages of one template that differ by more than the threshold hardly ever meet.
"""

import numpy as np
from numba import njit

_SMALL = 24  # members; below, ranking costs more than it saves


def verify_cluster(values: np.ndarray, offsets: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Greedy verdicts over members in the order of preference, best first. (members,) each:

    kept: bool. other: int64, the member kept in its place (for a kept one, itself): the most similar kept one before it, the earlier of equals.
    similarity: float64, the exact Jaccard with `other`; 1 for a kept one. Member i's set is values[offsets[i] : offsets[i + 1]], sorted and distinct (`shingle_sets`);
    offsets need not begin at 0. An empty set is similar to nothing. ValueError for a threshold outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"a Jaccard threshold lies in (0, 1], not at {threshold}")
    values, offsets = np.ascontiguousarray(values, np.uint64), np.ascontiguousarray(offsets, np.int64)
    n = len(offsets) - 1
    other = np.arange(n, dtype=np.int64)
    similarity = np.ones(n, np.float64)
    if n <= _SMALL:
        _pairs(values, offsets, threshold, other, similarity)
    else:
        _indexed(values, offsets, threshold, other, similarity)
    return other == np.arange(n), other, similarity


def _indexed(values: np.ndarray, offsets: np.ndarray, threshold: float, other: np.ndarray, similarity: np.ndarray) -> None:
    """Rank the shingles of the distinct sets by frequency, then go through the members with an index of prefixes."""
    twin = _twins(values, offsets)
    distinct = np.flatnonzero(twin == np.arange(len(twin)))
    sizes = np.diff(offsets)[distinct]
    places = np.zeros(len(distinct) + 1, np.int64)
    np.cumsum(sizes, out=places[1:])
    gather = np.arange(places[-1]) + np.repeat(offsets[:-1][distinct] - places[:-1], sizes)
    _, inverse, counts = np.unique(values[gather], return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int32)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts), dtype=np.int32)
    ranked = rank[inverse]
    for first, last in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        ranked[first:last].sort()
    which = np.empty(len(twin), np.int64)
    which[distinct] = np.arange(len(distinct))

    # The index: one list for each shingle and class of sizes (steps of 3 %), so that a probe passes by all sets that are too large or too small for it.
    prefixes = np.where(sizes > 0, sizes - np.ceil(threshold * sizes - 1e-6).astype(np.int64) + 1, 0).clip(max=sizes)
    prefix_places = np.zeros(len(distinct) + 1, np.int64)
    np.cumsum(prefixes, out=prefix_places[1:])
    entries = ranked[np.arange(prefix_places[-1]) + np.repeat(places[:-1] - prefix_places[:-1], prefixes)].astype(np.int64)
    classes = (np.log(np.maximum(sizes, 1)) / np.log(1.03)).astype(np.int64)
    least, greatest = np.full(classes.max() + 1, np.iinfo(np.int64).max), np.zeros(classes.max() + 1, np.int64)
    np.minimum.at(least, classes, sizes)
    np.maximum.at(greatest, classes, sizes)
    lists, list_of = np.unique(entries * len(least) + np.repeat(classes, prefixes), return_inverse=True)
    list_class = lists % len(least)
    first_list = np.searchsorted(lists // len(least), np.arange(len(counts) + 1))
    lonely = int(np.searchsorted(np.sort(counts), 2))  # shingles of one set only: they rank first, and nothing meets in them
    _greedy(
        ranked, places, which[twin], twin, prefix_places, list_of, first_list, least[list_class], greatest[list_class], lonely, threshold, other, similarity
    )


def _twins(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """For each set the first one that is equal to it. (members,) int64"""
    n = len(offsets) - 1
    hashes = np.empty(n, np.uint64)
    _hash_sets(values, offsets, hashes)
    order = np.argsort(hashes, kind="stable")
    twin = np.arange(n, dtype=np.int64)
    _match(values, offsets, hashes, order, twin)
    return twin


@njit(cache=True, nogil=True)
def _hash_sets(values: np.ndarray, offsets: np.ndarray, hashes: np.ndarray) -> None:
    for i in range(len(hashes)):
        h = np.uint64(offsets[i + 1] - offsets[i])
        for k in range(offsets[i], offsets[i + 1]):
            h = (h ^ values[k]) * np.uint64(0x9E3779B97F4A7C15)
            h ^= h >> np.uint64(32)
        hashes[i] = h


@njit(cache=True, nogil=True)
def _match(values: np.ndarray, offsets: np.ndarray, hashes: np.ndarray, order: np.ndarray, twin: np.ndarray) -> None:
    head = order[0] if len(order) else 0
    for k in range(1, len(order)):
        i = order[k]
        if hashes[i] != hashes[head]:
            head = i
            continue
        size = offsets[i + 1] - offsets[i]
        equal = size == offsets[head + 1] - offsets[head]
        j = 0
        while equal and j < size:
            equal = values[offsets[i] + j] == values[offsets[head] + j]
            j += 1
        if equal:  # else: a chance collision, and i is taken for a set of its own
            twin[i] = head


@njit(cache=True, nogil=True)
def _overlap(values: np.ndarray, i: int, i_end: int, j: int, j_end: int, needed: int) -> int:
    """Common values of two sorted runs; -1 as soon as they cannot reach `needed`."""
    found = 0
    while i < i_end and j < j_end:
        a, b = values[i], values[j]
        found += a == b
        i += a <= b
        j += b <= a
        if found + min(i_end - i, j_end - j) < needed:
            return -1
    return found if found >= needed else -1


@njit(cache=True, nogil=True)
def _needed(a: int, b: int, threshold: float) -> int:
    """The least overlap that could reach the threshold, or one less: rounding must never cost a pair, the quotient itself decides."""
    return int(np.ceil(threshold / (1 + threshold) * (a + b) - 1e-6))


@njit(cache=True, nogil=True)
def _pairs(values: np.ndarray, offsets: np.ndarray, threshold: float, other: np.ndarray, similarity: np.ndarray) -> None:
    for x in range(len(other)):
        a = offsets[x + 1] - offsets[x]
        best = 0.0
        for y in range(x):
            b = offsets[y + 1] - offsets[y]
            if other[y] != y or a == 0 or b == 0 or b < threshold * a - 1e-6 or a < threshold * b - 1e-6:
                continue
            found = _overlap(values, offsets[x], offsets[x + 1], offsets[y], offsets[y + 1], _needed(a, b, threshold))
            if found > 0 and found / (a + b - found) >= threshold and found / (a + b - found) > best:
                best = found / (a + b - found)
                other[x] = y
                similarity[x] = best


@njit(cache=True, nogil=True)
def _greedy(
    ranked: np.ndarray,
    places: np.ndarray,
    which: np.ndarray,
    twin: np.ndarray,
    prefix_places: np.ndarray,
    list_of: np.ndarray,
    first_list: np.ndarray,
    list_least: np.ndarray,
    list_greatest: np.ndarray,
    lonely: int,
    threshold: float,
    other: np.ndarray,
    similarity: np.ndarray,
) -> None:
    """`ranked` holds the distinct sets as ascending ranks, rare shingles first; member x has set which[x], that of member twin[x].

    Entry prefix_places[s] + i, the i-th shingle of set s, belongs to list list_of[entry]; shingle r has the lists first_list[r] to first_list[r + 1],
    of sets with list_least to list_greatest shingles.
    """
    head = np.full(len(list_least), -1, np.int64)
    following = np.empty(len(list_of), np.int64)
    owner = np.empty(len(list_of), np.int64)
    met = np.full(len(which), -1, np.int64)
    for x in range(len(which)):
        start, end = places[which[x]], places[which[x] + 1]
        a = end - start
        if a == 0:
            continue
        if twin[x] != x and other[twin[x]] == twin[x]:
            other[x] = twin[x]  # an equal set was kept: nothing can be more similar
            continue
        entry = prefix_places[which[x]]
        prefix = prefix_places[which[x] + 1] - entry
        smallest = int(np.ceil(threshold * a - 1e-6))
        best = 0.0
        for i in range(prefix):
            shingle = ranked[start + i]
            if shingle < lonely:
                continue
            largest = int(np.floor((a - i) * (1 + threshold) / threshold - a + 1e-6))  # a set that first meets this one here has no more
            for k in range(first_list[shingle], first_list[shingle + 1]):
                if list_least[k] > largest or list_greatest[k] < smallest:
                    continue
                at = head[k]
                while at >= 0:
                    y = owner[at]
                    j = at - prefix_places[which[y]]
                    at = following[at]
                    if met[y] == x:
                        continue
                    met[y] = x  # the first shingle that both have, in rank: all others stand behind it
                    b = places[which[y] + 1] - places[which[y]]
                    needed = _needed(a, b, threshold)
                    if min(a - i, b - j) < needed or b < smallest or a < threshold * b - 1e-6:
                        continue
                    found = _overlap(ranked, start + i, end, places[which[y]] + j, places[which[y] + 1], needed)
                    if found <= 0:
                        continue
                    score = found / (a + b - found)
                    if score >= threshold and (score > best or (score == best and y < other[x])):
                        best = score
                        other[x] = y
                        similarity[x] = score
        if best == 0.0:
            for i in range(prefix):
                if ranked[start + i] >= lonely:
                    owner[entry + i] = x
                    following[entry + i] = head[list_of[entry + i]]
                    head[list_of[entry + i]] = entry + i
