"""Which of many signatures are like one of some wanted ones? For takedowns, and for documents that come after a release was made.

Bands only propose here too; what decides is the share of equal columns, an estimate of the Jaccard similarity with a standard error of
sqrt(J (1 - J) / 112): 0.04 at 0.8. Bands of 4 columns miss a pair of similarity 0.8 once in three million times, 0.6 twice in a hundred.
Costs: 1.5 kB a wanted signature; for each one looked up 28 places in a hash table, and a comparison with the wanted ones that share a band with it.
"""

import numpy as np
from numba import njit

from pipeline.dedup.signatures import band_keys

_BANDS, _ROWS = 28, 4
_ENOUGH = 32  # partners found for one signature after which no more are looked for


class Lookup:
    """Some wanted signatures, (wanted, 112) uint32, and for each the least similarity that counts, one number or one each."""

    def __init__(self, wanted: np.ndarray, least: float | np.ndarray) -> None:
        self.wanted = np.array(wanted, np.uint32, order="C")  # a copy: of what cannot be written to, numba would make a kernel of its own
        self.columns = self.wanted.shape[1]
        shares = np.broadcast_to(np.asarray(least, np.float64), len(self.wanted))
        self._least = np.ceil(shares * self.columns - 1e-6).astype(np.int64)
        keys = band_keys(self.wanted, _BANDS, _ROWS).ravel()
        order = np.argsort(keys, kind="stable")
        self._keys, self._owners = keys[order], order // _BANDS
        bits = max(4, int(2 * len(keys)).bit_length())
        self._shift = np.uint64(64 - bits)
        self._slots = np.full(1 << bits, -1, np.int64)
        _fill(self._keys, self._shift, self._slots)

    def partners(self, signature: np.ndarray, most: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The wanted ones that each is most like, best first, the earlier of equals: their numbers, or -1 where there is none, and the estimates,
        or NaN. (signatures, most) int64 and float64"""
        signature = np.ascontiguousarray(signature, np.uint32)
        number = np.full((len(signature), most), -1, np.int64)
        equal = np.zeros((len(signature), most), np.int64)
        if len(signature) and len(self.wanted):
            keys = band_keys(signature, _BANDS, _ROWS)
            _find(signature, keys, self.wanted, self._keys, self._owners, self._slots, self._shift, self._least, number, equal)
        return number, np.where(number >= 0, equal / self.columns, np.nan)


@njit(cache=True, nogil=True)
def _fill(sorted_keys: np.ndarray, shift: np.uint64, slots: np.ndarray) -> None:
    """A hash table: where each key first stands. Half of the slots stay empty."""
    for at in range(len(sorted_keys)):
        if at == 0 or sorted_keys[at] != sorted_keys[at - 1]:
            slot = np.int64(sorted_keys[at] >> shift)
            while slots[slot] >= 0:
                slot = (slot + 1) % len(slots)
            slots[slot] = at


@njit(cache=True, nogil=True)
def _first(key: np.uint64, sorted_keys: np.ndarray, slots: np.ndarray, shift: np.uint64) -> int:
    """Where a key first stands, or -1."""
    slot = np.int64(key >> shift)
    while slots[slot] >= 0:
        if sorted_keys[slots[slot]] == key:
            return slots[slot]
        slot = (slot + 1) % len(slots)
    return -1


@njit(cache=True, nogil=True)
def _find(
    signature: np.ndarray,
    keys: np.ndarray,
    wanted: np.ndarray,
    sorted_keys: np.ndarray,
    owners: np.ndarray,
    slots: np.ndarray,
    shift: np.uint64,
    least: np.ndarray,
    number: np.ndarray,
    equal: np.ndarray,
) -> None:
    met = np.full(len(wanted), -1, np.int64)
    for i in range(len(signature)):
        found = 0
        for band in range(keys.shape[1]):
            at = _first(keys[i, band], sorted_keys, slots, shift)
            while 0 <= at < len(sorted_keys) and sorted_keys[at] == keys[i, band] and found < _ENOUGH:
                w = owners[at]
                at += 1
                if met[w] == i:
                    continue
                met[w] = i
                count = 0
                for column in range(signature.shape[1]):
                    count += signature[i, column] == wanted[w, column]
                if count >= least[w]:
                    found += 1
                    _insert(number[i], equal[i], w, count)


@njit(cache=True, nogil=True)
def _insert(number: np.ndarray, equal: np.ndarray, w: int, count: int) -> None:
    """Put one among the best so far."""
    for place in range(len(number)):
        if number[place] < 0 or count > equal[place] or (count == equal[place] and w < number[place]):
            for later in range(len(number) - 1, place, -1):
                number[later], equal[later] = number[later - 1], equal[later - 1]
            number[place], equal[place] = w, count
            return
