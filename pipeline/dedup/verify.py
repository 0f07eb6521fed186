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
    _greedy(ranked, places, which[twin], twin, len(counts), threshold, other, similarity)


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
    ranked: np.ndarray, places: np.ndarray, which: np.ndarray, twin: np.ndarray, shingles: int, threshold: float, other: np.ndarray, similarity: np.ndarray
) -> None:
    """`ranked` holds the distinct sets as ascending ranks, rare shingles first; member x has set which[x], that of member twin[x]."""
    longest = 0
    for s in range(len(places) - 1):
        longest += places[s + 1] - places[s] - int(np.ceil(threshold * (places[s + 1] - places[s]) - 1e-6)) + 1
    head = np.full(shingles, -1, np.int64)  # of the list of prefix places of each shingle
    following = np.empty(longest, np.int64)
    entry_member = np.empty(longest, np.int64)
    entry_place = np.empty(longest, np.int64)
    entries = 0
    met = np.full(len(which), -1, np.int64)
    for x in range(len(which)):
        if twin[x] != x and other[twin[x]] == twin[x]:
            if places[which[x] + 1] > places[which[x]]:
                other[x] = twin[x]  # an equal set was kept: nothing can be more similar
            continue
        start, end = places[which[x]], places[which[x] + 1]
        a = end - start
        if a == 0:
            continue
        prefix = a - int(np.ceil(threshold * a - 1e-6)) + 1
        best = 0.0
        for i in range(min(prefix, a)):
            entry = head[ranked[start + i]]
            while entry >= 0:
                y, j = entry_member[entry], entry_place[entry]
                entry = following[entry]
                if met[y] == x:
                    continue
                met[y] = x  # the first shingle that both have, in rank: all others stand behind it
                b = places[which[y] + 1] - places[which[y]]
                needed = _needed(a, b, threshold)
                if min(a - i, b - j) < needed or b < threshold * a - 1e-6 or a < threshold * b - 1e-6:
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
            for i in range(min(prefix, a)):
                entry_member[entries] = x
                entry_place[entries] = i
                following[entries] = head[ranked[start + i]]
                head[ranked[start + i]] = entries
                entries += 1
