"""Byte-level BPE: text to ids. Compiled. Pieces by pieces.py, cut into words where no entry reaches across, words by a table.

A word of up to 15 bytes is a key of 16: its bytes, and how many there are. The table holds the ids of words that were seen, so
that a word is merged once: lowest rank first, of equals the leftmost, which is the order of the reference. When the table is
half full it is emptied, which bounds its memory and changes no id.
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"
# numba infers the types of compiled code itself; to mypy every NumPy number in it is a mistake.

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.kernels.pieces import piece_end
from pipeline.kernels.raw import hash_bytes, load, load_8, lowest_bit, match_64

_U = np.uint64
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)
_NO_PAIR = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_NO_RANK = np.uint64(0xFFFF_FFFF)
_LOW_32 = np.uint64(0xFFFF_FFFF)
_ID = np.uint64(0x1F_FFFF)  # ids have 21 bits in a slot
_HIGH_BITS = np.uint64(0x8080808080808080)
LONGEST_KEY = 15  # bytes of a word that has a slot
SLOT = 4  # numbers of 64 bits: bytes 0 to 7; bytes 8 to 14 and the length; ids 0 to 2; ids 3 and 4 and how many ids
_INLINE = 5  # ids in a slot; longer rows of ids stand in the pool
_SCAN = 48  # symbols of a word up to which looking at all pairs again is faster than a heap
_WHOLE = np.uint64(0x80) << np.uint64(56)  # marks the key of a whole piece, where entries are looked up before merges


class Rules(NamedTuple):
    """A tokenizer's tables, as pipeline/tokenize/tables.py makes them."""

    kinds: np.ndarray  # (0x110000,) uint8
    digits: int
    web: bool
    byte_ids: np.ndarray  # (256,) uint32
    keys: np.ndarray  # merges: left << 32 | right
    values: np.ndarray  # rank << 32 | made
    shift: np.uint64
    cuts: np.ndarray  # bits of pairs of characters side by side in an entry
    cut_shift: np.uint64
    straddled: np.ndarray  # (256, 256) bool
    entry_slots: np.ndarray  # where entries are looked up before merges: slots by hash, of numbers of entries, -1 where free; else empty
    entry_bytes: np.ndarray
    entry_bounds: np.ndarray  # (entries + 1,) int64
    entry_ids: np.ndarray  # (entries,) uint32


class Memory(NamedTuple):
    """Words that were seen, with their ids. Nobody else may use it at the same time."""

    slots: np.ndarray  # (SLOT * power of two,) uint64; all zero: free
    shift: np.uint64
    pool: np.ndarray  # (numbers,) uint32
    counts: np.ndarray  # slots taken, numbers in the pool. (2,) int64


@njit(cache=True, nogil=True, inline="always")
def _rank_of(left: np.uint64, right: np.uint64, keys: np.ndarray, values: np.ndarray, shift: np.uint64) -> np.uint64:
    """`rank << 32 | made` of two neighbours; all ones: they do not merge."""
    key = left << _U(32) | right
    slot = key * _MULTIPLIER >> shift
    last = _U(keys.size - 1)
    while keys[slot] != key:
        if keys[slot] == _NO_PAIR:
            return _NO_PAIR
        slot = (slot + _U(1)) & last
    return values[slot]


@njit(cache=True, nogil=True)
def _merge_scan(symbols: np.ndarray, n: int, pairs: np.ndarray, keys: np.ndarray, values: np.ndarray, shift: np.uint64) -> int:
    """Merge symbols[:n] in place by looking at every pair; returns how many are left."""
    for k in range(n - 1):
        pairs[k] = _rank_of(symbols[k], symbols[k + 1], keys, values, shift)
    while n > 1:
        best, at = _NO_PAIR, -1
        for k in range(n - 1):
            if pairs[k] >> _U(32) < best >> _U(32):
                best, at = pairs[k], k
        if at < 0:
            break
        symbols[at] = best & _LOW_32
        n -= 1
        for k in range(at + 1, n):
            symbols[k] = symbols[k + 1]
            pairs[k] = pairs[k + 1]
        if at > 0:
            pairs[at - 1] = _rank_of(symbols[at - 1], symbols[at], keys, values, shift)
        if at + 1 < n:
            pairs[at] = _rank_of(symbols[at], symbols[at + 1], keys, values, shift)
    return n


@njit(cache=True, nogil=True)
def _push(heap: np.ndarray, size: int, item: np.uint64) -> int:
    k = size
    while k > 0:
        parent = (k - 1) >> 1
        if heap[parent] <= item:
            break
        heap[k] = heap[parent]
        k = parent
    heap[k] = item
    return size + 1


@njit(cache=True, nogil=True)
def _pop(heap: np.ndarray, size: int) -> int:
    """Take heap[0] out; returns the new size."""
    size -= 1
    item = heap[size]
    k = 0
    while 2 * k + 1 < size:
        child = 2 * k + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= item:
            break
        heap[k] = heap[child]
        k = child
    heap[k] = item
    return size


@njit(cache=True, nogil=True)
def merge_long(symbols: np.ndarray, n: int, keys: np.ndarray, values: np.ndarray, shift: np.uint64) -> int:
    """Merge symbols[:n] in place with a heap of `rank << 32 | place`; returns how many are left. O(n log n) time, 40 bytes a symbol."""
    after = np.empty(n + 1, np.int64)
    before = np.empty(n + 1, np.int64)
    pairs = np.full(n, _NO_PAIR, np.uint64)
    heap = np.empty(3 * n, np.uint64)
    size = 0
    for k in range(n):
        after[k] = k + 1
        before[k] = k - 1
        if k + 1 < n:
            pairs[k] = _rank_of(symbols[k], symbols[k + 1], keys, values, shift)
            if pairs[k] != _NO_PAIR:
                size = _push(heap, size, (pairs[k] >> _U(32)) << _U(32) | _U(k))
    while size > 0:
        at = np.int64(heap[0] & _LOW_32)
        rank = heap[0] >> _U(32)
        size = _pop(heap, size)
        if pairs[at] == _NO_PAIR or pairs[at] >> _U(32) != rank:
            continue  # one of the two has been merged since
        symbols[at] = pairs[at] & _LOW_32
        gone = after[at]
        pairs[gone] = _NO_PAIR
        after[at] = after[gone]
        if after[gone] < n:
            before[after[gone]] = at
        pairs[at] = _NO_PAIR
        if after[at] < n:
            pairs[at] = _rank_of(symbols[at], symbols[after[at]], keys, values, shift)
            if pairs[at] != _NO_PAIR:
                size = _push(heap, size, (pairs[at] >> _U(32)) << _U(32) | _U(at))
        left = before[at]
        if left >= 0:
            pairs[left] = _rank_of(symbols[left], symbols[at], keys, values, shift)
            if pairs[left] != _NO_PAIR:
                size = _push(heap, size, (pairs[left] >> _U(32)) << _U(32) | _U(left))
    left_over, k = 0, 0
    while k < n:
        symbols[left_over] = symbols[k]
        left_over += 1
        k = after[k]
    return left_over


@njit(cache=True, nogil=True)
def find_entry(data: np.ndarray, begin: int, end: int, rules: Rules) -> int:
    """The number of the entry that is data[begin:end]; -1: none is."""
    if rules.entry_slots.size == 0:
        return -1
    last = _U(rules.entry_slots.size - 1)
    slot = hash_bytes(data, begin, end) & last
    while rules.entry_slots[slot] >= 0:
        entry = rules.entry_slots[slot]
        first = rules.entry_bounds[entry]
        n = rules.entry_bounds[entry + 1] - first
        if n == end - begin:
            k = 0
            while k < n and rules.entry_bytes[first + k] == data[begin + k]:
                k += 1
            if k == n:
                return entry
        slot = (slot + _U(1)) & last
    return -1


@njit(cache=True, nogil=True)
def word_ids(data: np.ndarray, begin: int, end: int, whole: bool, rules: Rules, scratch: np.ndarray) -> np.ndarray:
    """The ids of a word by merging its bytes, or as the entry that it is if it is a whole piece. Valid until scratch is used again."""
    if whole:
        entry = find_entry(data, begin, end, rules)
        if entry >= 0:
            scratch[0] = rules.entry_ids[entry]
            return scratch[:1]
    n = end - begin
    byte_ids, keys, values, shift = rules.byte_ids, rules.keys, rules.values, rules.shift
    if n <= _SCAN:
        for k in range(n):
            scratch[k] = byte_ids[data[begin + k]]
        return scratch[: _merge_scan(scratch, n, scratch[_SCAN:], keys, values, shift)]
    symbols = np.empty(n, np.uint64)
    for k in range(n):
        symbols[k] = byte_ids[data[begin + k]]
    return symbols[: merge_long(symbols, n, keys, values, shift)]


@njit(cache=True, nogil=True, inline="always")
def _code_point(data: np.ndarray, i: int) -> tuple[np.uint64, int]:
    """The code point that begins at byte i, and its length."""
    lead = data[i]
    if lead < 0x80:
        return _U(lead), 1
    if lead < 0xE0:
        return _U(lead & 0x1F) << _U(6) | _U(data[i + 1] & 0x3F), 2
    if lead < 0xF0:
        return _U(lead & 0x0F) << _U(12) | _U(data[i + 1] & 0x3F) << _U(6) | _U(data[i + 2] & 0x3F), 3
    return _U(lead & 0x07) << _U(18) | _U(data[i + 1] & 0x3F) << _U(12) | _U(data[i + 2] & 0x3F) << _U(6) | _U(data[i + 3] & 0x3F), 4


@njit(cache=True, nogil=True)
def word_end(data: np.ndarray, i: int, end: int, cuts: np.ndarray, cut_shift: np.uint64, straddled: np.ndarray) -> int:
    """Where the first word of the piece data[i:end] ends: before the first pair of characters that no entry holds side by side."""
    left, size = _code_point(data, i)
    i += size
    while i < end:
        right, size = _code_point(data, i)
        bit = (left << _U(21) | right) * _MULTIPLIER >> cut_shift
        if not (cuts[bit >> _U(6)] >> (bit & _U(63)) & _U(1)) and not straddled[data[i - 1], data[i]]:
            return i
        left = right
        i += size
    return i


@njit(cache=True, nogil=True)
def _remember(
    slots: np.ndarray, slot: np.uint64, low: np.uint64, high: np.uint64, ids: np.ndarray, pool: np.ndarray, counts: np.ndarray
) -> None:
    """Fill a free slot. counts: slots that are taken, and numbers in the pool."""
    n = len(ids)
    first, second = _U(0), _U(n) << _U(42)
    if n <= _INLINE:
        for k in range(min(n, 3)):
            first |= ids[k] << _U(21 * k)
        for k in range(3, n):
            second |= ids[k] << _U(21 * (k - 3))
    else:
        first = _U(counts[1])
        for k in range(n):
            pool[counts[1] + k] = ids[k]
        counts[1] += n
    slots[slot] = low
    slots[slot + _U(1)] = high
    slots[slot + _U(2)] = first
    slots[slot + _U(3)] = second
    counts[0] += 1


@njit(cache=True, nogil=True)
def _encode_segment(
    data: np.ndarray, i: int, end: int, rules: Rules, memory: Memory, scratch: np.ndarray, ids: np.ndarray, o: np.uint64
) -> np.uint64:
    """Write the ids of data[i:end], a text of its own, from ids[o] on; returns where they end."""
    kinds, digits, web, cuts, cut_shift, straddled = rules.kinds, rules.digits, rules.web, rules.cuts, rules.cut_shift, rules.straddled
    slots, slot_shift, pool, counts = memory.slots, memory.shift, memory.pool, memory.counts
    by_entry = rules.entry_slots.size > 0
    last = _U(slots.size // SLOT - 1)
    size = data.size
    while i < end:
        start, stop = i, piece_end(data, i, end, kinds, digits, web)
        while i < stop:
            n = stop - i
            high = _U(0)
            if n <= LONGEST_KEY:
                if i + 16 <= size:
                    low = load_8(data, _U(i))
                    if n <= 8:
                        low &= _NO_PAIR >> _U(64 - 8 * n)
                    else:
                        high = load_8(data, _U(i + 8)) & _NO_PAIR >> _U(128 - 8 * n)
                else:
                    low = load(data, i, n)
                    if n > 8:
                        high = load(data, i + 8, n - 8)
            e = stop
            if n > LONGEST_KEY or (low | high) & _HIGH_BITS:
                e = word_end(data, i, stop, cuts, cut_shift, straddled)
                n = e - i
                if n > LONGEST_KEY:
                    for token in word_ids(data, i, e, i == start and e == stop, rules, scratch):
                        ids[o] = token
                        o += _U(1)
                    i = e
                    continue
                low = load(data, i, n)
                high = load(data, i + 8, n - 8) if n > 8 else _U(0)
            high |= _U(n) << _U(56)
            whole = i == start and e == stop
            if by_entry and whole:
                high |= _WHOLE
            spread = (low ^ high * _SECOND) * _MULTIPLIER
            spread ^= spread >> _U(32)
            slot = (spread * _SECOND >> slot_shift) * _U(SLOT)
            while slots[slot] != low or slots[slot + _U(1)] != high:
                if slots[slot + _U(1)] == _U(0):
                    if counts[0] * 2 > slots.size // SLOT or counts[1] + 16 > pool.size:
                        slots[:] = 0
                        counts[:] = 0
                        slot = (spread * _SECOND >> slot_shift) * _U(SLOT)
                    _remember(slots, slot, low, high, word_ids(data, i, e, whole, rules, scratch), pool, counts)
                    break
                slot = (slot // _U(SLOT) + _U(1) & last) * _U(SLOT)
            first, second = slots[slot + _U(2)], slots[slot + _U(3)]
            found = second >> _U(42)
            if found <= _U(_INLINE):
                ids[o] = first & _ID
                ids[o + _U(1)] = first >> _U(21) & _ID
                ids[o + _U(2)] = first >> _U(42)
                if found > _U(3):
                    ids[o + _U(3)] = second & _ID
                    ids[o + _U(4)] = second >> _U(21) & _ID
                o += found
            else:
                for k in range(found):
                    ids[o] = pool[first + _U(k)]
                    o += _U(1)
            i = e
    return o


@njit(cache=True, nogil=True)
def find_added(
    data: np.ndarray, bounds: np.ndarray, firsts: np.ndarray, contents: np.ndarray, content_bounds: np.ndarray, ids: np.ndarray, found: np.ndarray
) -> int:
    """Where added tokens stand in data[begin:end] of each row of bounds: the leftmost, of those the longest, none over another.

    Contents stand end to end, the longest first. Writes begin, end and id of as many as `found`, (n, 3) int64, has room for; returns
    how many there are.
    """
    n = 0
    for row in range(len(bounds)):
        i, end = bounds[row, 0], bounds[row, 1]
        while i < end:
            i = _next_of(data, i, end, firsts)
            if i >= end:
                break
            for token in range(len(ids)):
                first, size = content_bounds[token], content_bounds[token + 1] - content_bounds[token]
                k = 0
                while k < size and i + k < end and data[i + k] == contents[first + k]:
                    k += 1
                if k == size:
                    if n < len(found):
                        found[n, 0], found[n, 1], found[n, 2] = i, i + size, ids[token]
                    n += 1
                    i += size - 1
                    break
            i += 1
    return n


@njit(cache=True, nogil=True)
def _next_of(data: np.ndarray, i: int, end: int, firsts: np.ndarray) -> int:
    """The next place of one of these bytes."""
    while i + 64 <= end:
        bits = _U(0)
        for k in range(len(firsts)):
            bits |= match_64(data, _U(i), np.uint8(0xFF), firsts[k])
        if bits:
            return i + np.int64(lowest_bit(bits))
        i += 64
    while i < end:
        for k in range(len(firsts)):
            if data[i] == firsts[k]:
                return i
        i += 1
    return end


@njit(cache=True, nogil=True)
def texts_with(data: np.ndarray, offsets: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Which texts hold a code point that is marked. marked: (0x110000,) bool. (texts,) bool"""
    held = np.zeros(len(offsets) - 1, np.bool_)
    for text in range(len(offsets) - 1):
        i, end = offsets[text], offsets[text + 1]
        while i < end:
            if data[i] < 0x80:
                i += 1
                continue
            c, size = _code_point(data, i)
            if marked[c]:
                held[text] = True
                break
            i += size
    return held


@njit(cache=True, nogil=True)
def encode(data: np.ndarray, offsets: np.ndarray, added: np.ndarray, rules: Rules, memory: Memory, ids: np.ndarray, lengths: np.ndarray) -> int:
    """Ids of valid UTF-8 texts, end to end, and how many each text has; returns how many there are.

    added: begin, end and id of the added tokens in the texts, in order, (n, 3) int64. ids: (bytes + 8,) uint32; lengths: (texts,) int64.
    """
    scratch = np.empty(2 * _SCAN + 8, np.uint64)
    o = _U(0)
    m = 0
    for text in range(len(offsets) - 1):
        i, before = offsets[text], o
        while m < len(added) and added[m, 0] < offsets[text + 1]:
            o = _encode_segment(data, i, added[m, 0], rules, memory, scratch, ids, o)
            ids[o] = added[m, 2]
            o += _U(1)
            i = added[m, 1]
            m += 1
        o = _encode_segment(data, i, offsets[text + 1], rules, memory, scratch, ids, o)
        lengths[text] = o - before
    return np.int64(o)
