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

from pipeline.kernels.pieces import LETTER, OTHER, SPACE, piece_end, starts_ahead
from pipeline.kernels.raw import frozen, hash_bytes, load, load_8, lowest_bit, match_64, prefetch, range_64

_U = np.uint64
_0, _1, _2, _3, _4, _8, _16, _56, _63, _64 = (np.uint64(n) for n in (0, 1, 2, 3, 4, 8, 16, 56, 63, 64))
_NONE = np.uint8(0)
_BLANK = np.uint8(0x20)
_HAN, _HANS = np.uint64(0x4E00), np.uint64(0x5200)
_APOSTROPHE = np.uint64(0x27)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)
_NO_PAIR = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_NO_RANK = np.uint64(0xFFFF_FFFF)
_LOW_32 = np.uint64(0xFFFF_FFFF)
_ID = np.uint64(0x1F_FFFF)  # ids have 21 bits in a slot
NO_ID = 0xFFFF_FFFF
LONGEST_REMEMBERED = 128  # bytes
LONGEST_KEY = 15  # bytes of a word that has a slot
SLOT = 4  # numbers of 64 bits: bytes 0 to 7; bytes 8 to 14 and the length; ids 0 to 2; ids 3 and 4 and how many ids
_AHEAD = 32  # words whose slots are fetched together
_INLINE = 5  # ids in a slot; longer rows of ids stand in the pool
_SCAN = 48  # symbols of a word up to which looking at all pairs again is faster than a heap
_FIRST = np.array([(1 << 8 * min(n, 8)) - 1 for n in range(16)], np.uint64)  # the bytes 0 to 7 of a word of n bytes
_SECOND_EIGHT = np.array([(1 << 8 * max(n - 8, 0)) - 1 for n in range(16)], np.uint64)
_WHOLE = np.uint64(0x80) << np.uint64(56)  # marks the key of a whole piece, where entries are looked up before merges


class Merging(NamedTuple):
    """What turns the bytes of a word into ids, as pipeline/tokenize/tables.py makes it."""

    merges: np.ndarray  # `left << 32 | right` and `rank << 32 | made`, by hash. (slots, 2) uint64
    shift: np.uint64
    byte_ids: np.ndarray  # (256,) uint32
    byte_pairs: np.ndarray  # (256, 256) uint64: what _rank_of says of two bytes
    character_ids: np.ndarray  # (0x110000,) uint32, NO_ID where a character is no token; empty where merging has to begin with bytes


class Cutting(NamedTuple):
    """What cuts a text into words."""

    kinds: np.ndarray  # (0x110000,) uint8
    digits: int
    web: bool
    cuts: np.ndarray  # bits of pairs of characters side by side in an entry
    cut_shift: np.uint64
    straddled: np.ndarray  # (256, 256) bool, or (0, 0) where there is no such place
    han: bool  # U+4E00 to U+9FFF are letters, which saves asking


class Entries(NamedTuple):
    """Where entries are looked up before merges: a vocabulary by hash; all empty where merges alone say."""

    slots: np.ndarray  # numbers of entries by hash, -1 where free
    contents: np.ndarray
    bounds: np.ndarray  # (entries + 1,) int64
    ids: np.ndarray  # (entries,) uint32


class Rules(NamedTuple):
    """A tokenizer."""

    cutting: Cutting
    merging: Merging
    entries: Entries


class Memory(NamedTuple):
    """Words that were seen, with their ids. Nobody else may use it at the same time."""

    slots: np.ndarray  # (SLOT * power of two,) uint64; all zero: free
    shift: np.uint64
    pool: np.ndarray  # ids of words with more than a slot holds. (numbers,) uint32
    counts: np.ndarray  # slots taken, numbers in the pool. (2,) int64
    long_slots: np.ndarray  # longer words: hash, where the bytes are, where the ids are, how many of both. (SLOT * power of two,) uint64
    long_bytes: np.ndarray  # (bytes,) uint8
    long_pool: np.ndarray  # (numbers,) uint32
    long_counts: np.ndarray  # slots, bytes, numbers that are taken. (3,) int64


@njit(cache=True, nogil=True, inline="always")
def _rank_of(left: np.uint64, right: np.uint64, merges: np.ndarray, shift: np.uint64) -> np.uint64:
    """`rank << 32 | made` of two neighbours; all ones: they do not merge."""
    key = left << _U(32) | right
    slot = key * _MULTIPLIER >> shift
    last = _U(len(merges) - 1)
    while merges[slot, 0] != key:
        if merges[slot, 0] == _NO_PAIR:
            return _NO_PAIR
        slot = (slot + _U(1)) & last
    return merges[slot, 1]


@njit(cache=True, nogil=True)
def _merge_scan(symbols: np.ndarray, n: int, pairs: np.ndarray, merges: np.ndarray, shift: np.uint64) -> int:
    """Merge symbols[:n] in place by looking at every pair, of which pairs[: n - 1] tells what they make; returns how many are left."""
    while n > 1:
        best, at = _NO_PAIR, -1
        for k in range(n - 1):
            if pairs[k] < best:
                best, at = pairs[k], k
        if at < 0:
            break
        symbols[at] = best & _LOW_32
        n -= 1
        for k in range(at + 1, n):
            symbols[k] = symbols[k + 1]
            pairs[k] = pairs[k + 1]
        if at > 0:
            pairs[at - 1] = _rank_of(symbols[at - 1], symbols[at], merges, shift)
        if at + 1 < n:
            pairs[at] = _rank_of(symbols[at], symbols[at + 1], merges, shift)
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
def merge_long(symbols: np.ndarray, n: int, merges: np.ndarray, shift: np.uint64) -> int:
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
            pairs[k] = _rank_of(symbols[k], symbols[k + 1], merges, shift)
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
            pairs[at] = _rank_of(symbols[at], symbols[after[at]], merges, shift)
            if pairs[at] != _NO_PAIR:
                size = _push(heap, size, (pairs[at] >> _U(32)) << _U(32) | _U(at))
        left = before[at]
        if left >= 0:
            pairs[left] = _rank_of(symbols[left], symbols[at], merges, shift)
            if pairs[left] != _NO_PAIR:
                size = _push(heap, size, (pairs[left] >> _U(32)) << _U(32) | _U(left))
    left_over, k = 0, 0
    while k < n:
        symbols[left_over] = symbols[k]
        left_over += 1
        k = after[k]
    return left_over


@njit(cache=True, nogil=True)
def find_entry(data: np.ndarray, begin: int, end: int, entries: Entries) -> int:
    """The number of the entry that is data[begin:end]; -1: none is."""
    last = _U(entries.slots.size - 1)
    slot = hash_bytes(data, begin, end) & last
    while entries.slots[slot] >= 0:
        entry = entries.slots[slot]
        first = entries.bounds[entry]
        if entries.bounds[entry + 1] - first == end - begin and _same(data, begin, entries.contents, first, end - begin):
            return entry
        slot = (slot + _1) & last
    return -1


@njit(cache=True, nogil=True)
def _same(one: np.ndarray, i: int, other: np.ndarray, j: int, n: int) -> bool:
    """Whether n bytes are the same."""
    k = 0
    while k < n and one[i + k] == other[j + k]:
        k += 1
    return k == n


@njit(cache=True, nogil=True, inline="always")
def _code_point(data: np.ndarray, i: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The code point that begins at byte i, and its length."""
    lead = data[i]
    if lead < 0x80:
        return _U(lead), _1
    if lead < 0xE0:
        return _U(lead & 0x1F) << _U(6) | _U(data[i + _1] & 0x3F), _2
    if lead < 0xF0:
        return _U(lead & 0x0F) << _U(12) | _U(data[i + _1] & 0x3F) << _U(6) | _U(data[i + _2] & 0x3F), _3
    return _U(lead & 0x07) << _U(18) | _U(data[i + _1] & 0x3F) << _U(12) | _U(data[i + _2] & 0x3F) << _U(6) | _U(data[i + _3] & 0x3F), _4


@njit(cache=True, nogil=True)
def _symbols(data: np.ndarray, begin: int, end: int, byte_ids: np.ndarray, character_ids: np.ndarray, symbols: np.ndarray) -> int:
    """What merging begins with: the characters that are tokens, and the bytes of all others. Returns how many there are."""
    i, stop, n = _U(begin), _U(end), 0
    if character_ids.size == 0:
        while i < stop:
            symbols[n] = byte_ids[data[i]]
            n += 1
            i += _1
        return n
    while i < stop:
        c, size = _code_point(data, i)
        if character_ids[c] != NO_ID:
            symbols[n] = character_ids[c]
            n += 1
        else:
            for k in range(size):
                symbols[n] = byte_ids[data[i + k]]
                n += 1
        i += size
    return n


@njit(cache=True, nogil=True, inline="always")
def _merge_word(
    data: np.ndarray,
    begin: int,
    end: int,
    merges: np.ndarray,
    shift: np.uint64,
    byte_ids: np.ndarray,
    byte_pairs: np.ndarray,
    character_ids: np.ndarray,
    symbols: np.ndarray,
    pairs: np.ndarray,
) -> int:
    """Write the ids of the word data[begin:end], of at most _SCAN bytes, to symbols; returns how many there are."""
    signs = np.uint8(0)
    for k in range(begin, end):
        signs |= data[k]
    if character_ids.size == 0 or signs < 0x80:
        n = end - begin
        for k in range(n):
            symbols[k] = byte_ids[data[begin + k]]
        for k in range(n - 1):
            pairs[k] = byte_pairs[data[begin + k], data[begin + k + 1]]
    else:
        n = _symbols(data, begin, end, byte_ids, character_ids, symbols)
        for k in range(n - 1):
            pairs[k] = _rank_of(symbols[k], symbols[k + 1], merges, shift)
    return _merge_scan(symbols, n, pairs, merges, shift)


@njit(cache=True, nogil=True)
def _merge_far(data: np.ndarray, begin: int, end: int, merging: Merging, ids: np.ndarray, o: np.uint64) -> np.uint64:
    """Write the ids of a word of any length from ids[o] on; returns where they end."""
    symbols = np.empty(end - begin, np.uint64)
    n = _symbols(data, begin, end, merging.byte_ids, merging.character_ids, symbols)
    n = merge_long(symbols, n, merging.merges, merging.shift)
    for k in range(n):
        ids[o] = symbols[k]
        o += _1
    return o


@njit(cache=True, nogil=True, inline="always")
def _is_cut(left: np.uint64, right: np.uint64, last: int, first: int, cuts: np.ndarray, shift: np.uint64, straddled: np.ndarray) -> bool:
    """Whether no entry reaches from one character to the next. last and first: the bytes that touch."""
    bit = (left << _U(21) | right) * _MULTIPLIER >> shift
    return not (cuts[bit >> _U(6)] >> (bit & _63) & _1) and (straddled.size == 0 or not straddled[last, first])


@njit(cache=True, nogil=True)
def word_end(data: np.ndarray, begin: int, end: int, cuts: np.ndarray, cut_shift: np.uint64, straddled: np.ndarray) -> int:
    """Where the first word of the piece data[begin:end] ends: before the first pair of characters that no entry holds side by side."""
    i, stop = _U(begin), _U(end)
    left, size = _code_point(data, i)
    i += size
    while i < stop:
        right, size = _code_point(data, i)
        if _is_cut(left, right, data[i - _1], data[i], cuts, cut_shift, straddled):
            break
        left = right
        i += size
    return np.int64(i)


@njit(cache=True, nogil=True, inline="always")
def _remember(slots: np.ndarray, slot: np.uint64, low: np.uint64, high: np.uint64, ids: np.ndarray, n: int, pool: np.ndarray, counts: np.ndarray) -> None:
    """Fill a free slot with ids[:n]. counts: slots that are taken, and numbers in the pool."""
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
def mark_words(data: np.ndarray, begin: int, end: int, cutting: Cutting, starts: np.ndarray) -> int:
    """Where each word of data[begin:end], a text of its own, begins; returns how many there are, and writes where the text ends behind them.

    A start is `place << 1 | whether a piece begins there too`, and places count from `begin`. starts: (bytes + 65,) uint32. Words of
    ASCII are whole pieces.
    """
    kinds, digits, web, cuts, cut_shift, straddled, han = cutting
    i, stop, base = _U(begin), _U(end), _U(begin)
    n = _U(0)
    while i < stop:
        bits, settled = starts_ahead(data, i, stop, digits, web)
        if settled:
            while bits:
                starts[n] = (i - base + lowest_bit(bits)) << _1 | _1
                n += _1
                bits &= bits - _1
            i += settled
            continue
        starts[n] = (i - base) << _1 | _1
        n += _1
        # A piece is a run of letters behind one sign at most, or something else.
        left, length = _code_point(data, i)
        kind = kinds[left]
        i += length
        if kind != LETTER:
            joins = i < stop and (kind in (OTHER, SPACE) if web else data[i - _1] == _BLANK)
            if joins and left != _APOSTROPHE:
                right, length = _code_point(data, i)
                if kinds[right] == LETTER:
                    if _is_cut(left, right, data[i - _1], data[i], cuts, cut_shift, straddled):
                        starts[n] = (i - base) << _1
                        n += _1
                    left = right
                    i += length
                    kind = np.uint8(LETTER)
        if kind == LETTER:
            while i < stop:
                right, length = _code_point(data, i)
                if not (han and right - _HAN < _HANS) and kinds[right] != LETTER:
                    break
                if _is_cut(left, right, data[i - _1], data[i], cuts, cut_shift, straddled):
                    starts[n] = (i - base) << _1
                    n += _1
                left = right
                i += length
        else:
            first = starts[n - _1] >> np.uint32(1)
            until = _U(piece_end(data, np.int64(first + base), end, kinds, digits, web))
            while i < until:
                right, length = _code_point(data, i)
                if _is_cut(left, right, data[i - _1], data[i], cuts, cut_shift, straddled):
                    starts[n] = (i - base) << _1
                    n += _1
                left = right
                i += length
    starts[n] = (stop - base) << _1 | _1
    return np.int64(n)


@njit(cache=True, nogil=True)
def _look_up(
    data: np.ndarray, begin: int, starts: np.ndarray, words: int, rules: Rules, memory: Memory, scratch: np.ndarray, ids: np.ndarray, o: np.uint64
) -> np.uint64:
    """Write the ids of marked words from ids[o] on; returns where they end. In loops over a few words each, so that the frequent ones stay small."""
    slots, slot_shift, pool, counts = memory.slots, memory.shift, memory.pool, memory.counts
    long_slots, long_bytes, long_pool, long_counts = memory.long_slots, memory.long_bytes, memory.long_pool, memory.long_counts
    merges, shift, byte_ids, byte_pairs, character_ids = rules.merging
    symbols, pairs = scratch[0], scratch[1]
    last, long_last = _U(slots.size // SLOT - 1), _U(long_slots.size // SLOT - 1)
    by_entry = rules.entries.slots.size > 0
    size, base = _U(data.size), _U(begin)
    keys = np.empty((_AHEAD, 3), np.uint64)
    rare = np.empty(2 * _AHEAD, np.uint64)  # words that the table lacks; behind them those that are too long for it
    for first_word in range(_U(0), _U(words), _U(_AHEAD)):
        ahead = min(_U(_AHEAD), _U(words) - first_word)
        if counts[0] * 2 + _AHEAD > slots.size // SLOT or counts[1] + 16 * _AHEAD > pool.size:
            slots[:] = 0
            counts[:] = 0
        longer, missing = _U(_AHEAD), _0
        for k in range(ahead):  # where all of them are looked for, so that the memory is on its way
            start, stop = _U(starts[first_word + k]), _U(starts[first_word + k + _1])
            i, n = base + (start >> _1), (stop >> _1) - (start >> _1)
            if n > _U(LONGEST_KEY):
                rare[longer] = k
                longer += _1
                keys[k, 2] = _NO_PAIR
                continue
            if i + _16 <= size:
                low, high = load_8(data, i) & _FIRST[n], load_8(data, i + _8) & _SECOND_EIGHT[n]
            else:
                low = load(data, np.int64(i), np.int64(n))
                high = load(data, np.int64(i + _8), np.int64(n - _8)) if n > _8 else _0
            high |= n << _56
            if by_entry and start & stop & _1:
                high |= _WHOLE
            spread = (low ^ high * _SECOND) * _MULTIPLIER
            spread ^= spread >> _U(32)
            slot = (spread * _SECOND >> slot_shift) << _2
            prefetch(slots, slot)
            keys[k, 0] = low
            keys[k, 1] = high
            keys[k, 2] = slot
        for k in range(ahead):
            low, high, slot = keys[k, 0], keys[k, 1], keys[k, 2]
            if slot == _NO_PAIR:
                continue
            while slots[slot] != low or slots[slot + _1] != high:
                if slots[slot + _1] == _0:
                    rare[missing] = k
                    missing += _1
                    break
                slot = ((slot >> _2) + _1 & last) << _2
            keys[k, 2] = slot
        for m in range(missing):
            k = rare[m]
            low, high, slot = keys[k, 0], keys[k, 1], keys[k, 2]
            while slots[slot + _1] != _0 and (slots[slot] != low or slots[slot + _1] != high):
                slot = ((slot >> _2) + _1 & last) << _2
            keys[k, 2] = slot
            if slots[slot + _1] != _0:
                continue  # one before it was the same
            start, stop = starts[first_word + k], starts[first_word + k + _1]
            i, e = np.int64(begin + (start >> np.uint32(1))), np.int64(begin + (stop >> np.uint32(1)))
            entry = find_entry(data, i, e, rules.entries) if by_entry and start & stop & np.uint32(1) else -1
            if entry >= 0:
                symbols[0] = rules.entries.ids[entry]
                made = 1
            else:
                made = _merge_word(data, i, e, merges, shift, byte_ids, byte_pairs, character_ids, symbols, pairs)
            _remember(slots, slot, low, high, symbols, made, pool, counts)
        if longer > _U(_AHEAD):
            if long_counts[0] * 2 + _AHEAD > long_slots.size // SLOT or long_counts[1] + LONGEST_REMEMBERED * _AHEAD > long_bytes.size:
                long_slots[:] = 0
                long_counts[:] = 0
            for m in range(_U(_AHEAD), longer):
                k = rare[m]
                start, stop = starts[first_word + k], starts[first_word + k + _1]
                i, e = np.int64(begin + (start >> np.uint32(1))), np.int64(begin + (stop >> np.uint32(1)))
                if e - i > LONGEST_REMEMBERED:
                    continue
                whole = by_entry and start & stop & np.uint32(1)
                hashed = hash_bytes(data, i, e) << _1 | _U(1 if whole else 0)
                home = (hashed >> _16 & long_last) << _2
                while long_slots[home + _3]:
                    same = long_slots[home] == hashed and long_slots[home + _3] >> _U(32) == _U(e - i)
                    if same and _same(data, i, long_bytes, np.int64(long_slots[home + _1]), e - i):
                        break
                    home = ((home >> _2) + _1 & long_last) << _2
                if not long_slots[home + _3]:
                    found = np.int64(_long_ids(data, i, e, whole, rules, scratch, long_pool, _U(long_counts[2]))) - long_counts[2]
                    long_slots[home] = hashed
                    long_slots[home + _1] = _U(long_counts[1])
                    long_slots[home + _2] = _U(long_counts[2])
                    long_slots[home + _3] = _U(e - i) << _U(32) | _U(found)
                    for p in range(e - i):
                        long_bytes[long_counts[1] + p] = data[i + p]
                    long_counts[0] += 1
                    long_counts[1] += e - i
                    long_counts[2] += found
                keys[k, 0] = long_slots[home + _2]
                keys[k, 1] = long_slots[home + _3] & _LOW_32
        for k in range(ahead):
            slot = keys[k, 2]
            if slot == _NO_PAIR:
                start, stop = starts[first_word + k], starts[first_word + k + _1]
                i, e = np.int64(begin + (start >> np.uint32(1))), np.int64(begin + (stop >> np.uint32(1)))
                if e - i > LONGEST_REMEMBERED:
                    o = _long_ids(data, i, e, by_entry and start & stop & np.uint32(1), rules, scratch, ids, o)
                else:
                    for p in range(keys[k, 1]):
                        ids[o] = long_pool[keys[k, 0] + p]
                        o += _1
                continue
            first, second = slots[slot + _2], slots[slot + _3]
            found = second >> _U(42)
            if found <= _U(_INLINE):
                ids[o] = first & _ID
                ids[o + _1] = first >> _U(21) & _ID
                ids[o + _2] = first >> _U(42)
                if found > _3:
                    ids[o + _3] = second & _ID
                    ids[o + _4] = second >> _U(21) & _ID
                o += found
            else:
                for p in range(found):
                    ids[o] = pool[first + p]
                    o += _1
    return o


@njit(cache=True, nogil=True)
def _long_ids(data: np.ndarray, begin: int, end: int, whole: bool, rules: Rules, scratch: np.ndarray, ids: np.ndarray, o: np.uint64) -> np.uint64:
    """Write the ids of a word of more than 15 bytes from ids[o] on; returns where they end. ASCII has not been cut yet."""
    merges, shift, byte_ids, byte_pairs, character_ids = rules.merging
    cuts, cut_shift, straddled = rules.cutting.cuts, rules.cutting.cut_shift, rules.cutting.straddled
    if whole:
        entry = find_entry(data, begin, end, rules.entries)
        if entry >= 0:
            ids[o] = rules.entries.ids[entry]
            return o + _1
    while begin < end:
        stop = word_end(data, begin, end, cuts, cut_shift, straddled)
        if stop - begin > _SCAN:
            o = _merge_far(data, begin, stop, rules.merging, ids, o)
        else:
            for p in range(_merge_word(data, begin, stop, merges, shift, byte_ids, byte_pairs, character_ids, scratch[0], scratch[1])):
                ids[o] = scratch[0, p]
                o += _1
        begin = stop
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
def are_utf8(data: np.ndarray, offsets: np.ndarray) -> bool:
    """Whether each text is UTF-8: no byte out of place, no code point written too long, no surrogate, none above U+10FFFF."""
    size = _U(data.size)
    for text in range(len(offsets) - 1):
        i, end = _U(offsets[text]), _U(offsets[text + 1])
        while i < end:
            lead = data[i]
            if lead < 0x80:
                if i + _64 <= end and i + _64 <= size:
                    high = range_64(data, i, _NONE, np.uint8(0x80), np.uint8(0x7F))
                    i += lowest_bit(high) if high else _64
                else:
                    i += _1
                continue
            length = _2 if lead < 0xE0 else _3 if lead < 0xF0 else _4
            if lead < 0xC2 or lead > 0xF4 or i + length > end:
                return False
            second = data[i + _1]
            low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
            high_end = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
            if second < low or second > high_end:
                return False
            if (length > _2 and data[i + _2] & 0xC0 != 0x80) or (length > _3 and data[i + _3] & 0xC0 != 0x80):
                return False
            i += length
    return True


@njit(cache=True, nogil=True)
def texts_with(data: np.ndarray, offsets: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Which texts hold a code point that is marked. marked: (0x110000,) bool. (texts,) bool"""
    held = np.zeros(len(offsets) - 1, np.bool_)
    for text in range(len(offsets) - 1):
        i, end = _U(offsets[text]), _U(offsets[text + 1])
        while i < end:
            if data[i] < 0x80:
                i += _1
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
    scratch = np.empty((2, _SCAN + 8), np.uint64)
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    starts = np.empty(longest + 65, np.uint32)
    o = _U(0)
    m = 0
    for text in range(len(offsets) - 1):
        i, before = offsets[text], o
        while m < len(added) and added[m, 0] < offsets[text + 1]:
            words = mark_words(data, i, added[m, 0], rules.cutting, starts)
            o = _look_up(data, i, starts, words, rules, memory, scratch, ids, o)
            ids[o] = added[m, 2]
            o += _U(1)
            i = added[m, 1]
            m += 1
        words = mark_words(data, i, offsets[text + 1], rules.cutting, starts)
        o = _look_up(data, i, starts, words, rules, memory, scratch, ids, o)
        lengths[text] = o - before
    return np.int64(o)


def warm() -> None:
    """Compile or load everything here, by encoding a few words with a tokenizer of bytes alone."""
    data = frozen(np.frombuffer("it's 中国 中国<".encode() + b"-" * 70, np.uint8))
    offsets = frozen(np.array([0, len(data)], np.int64))
    no_ids = frozen(np.zeros(0, np.uint32))
    kinds, bytes_alone = frozen(np.zeros(0x110000, np.uint8)), frozen(np.arange(256, dtype=np.uint32))
    rules = Rules(
        Cutting(kinds, 1, True, frozen(np.zeros(1 << 10, np.uint64)), np.uint64(48), frozen(np.zeros((0, 0), bool)), False),
        Merging(frozen(np.full((16, 2), _NO_PAIR)), np.uint64(60), bytes_alone, frozen(np.full((256, 256), _NO_PAIR)), no_ids),
        Entries(frozen(np.zeros(0, np.int64)), frozen(np.zeros(0, np.uint8)), frozen(np.zeros(1, np.int64)), no_ids),
    )
    memory = Memory(
        np.zeros(SLOT << 8, np.uint64), np.uint64(56), np.zeros(1 << 12, np.uint32), np.zeros(2, np.int64),
        np.zeros(SLOT << 8, np.uint64), np.zeros(1 << 13, np.uint8), np.zeros(1 << 13, np.uint32), np.zeros(3, np.int64),
    )  # fmt: skip
    are_utf8(data, offsets)
    texts_with(data, offsets, frozen(np.zeros(0x110000, bool)))
    found = np.empty((4, 3), np.int64)
    find_added(data, frozen(np.array([[0, len(data)]])), frozen(np.array([0x3C], np.uint8)), data[:1], frozen(np.array([0, 1])), frozen(np.array([9])), found)
    encode(data, offsets, frozen(found[:0]), rules, memory, np.empty(len(data) + 8, np.uint32), np.empty(1, np.int64))
