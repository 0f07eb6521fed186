"""UTF-8 bytes -> code points with their properties, words and lines; and the buffers that all this is written to. Compiled.

A text becomes an array of code points with what tables.py says of each, and the list of the few that mean something on their
own (line breaks, ends of sentences, marks that open a span). Flags of 64 code points become the bits of a number, so that words
are found without looking at characters one by one. Here is where word and line are defined; the slow, obvious version of it
all is `tests/twins/slow_text.py`.

    word    A run of letters, digits, other numbers and marks; one apostrophe, hyphen or underscore joins two of them, one point
            or comma two digits; a Han character is a word of its own. Punctuation alone is no word, nor are marks.
    line    What ends in \\n, \\r\\n or \\r.
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"
# numba infers the types of compiled code itself; to mypy every NumPy number in it is a mistake.

import threading
from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.kernels import raw
from pipeline.kernels.tables import CLASS_MASK, CODE_POINTS, DECIMAL, HAN, JOINER, MARK, SEPARATOR, SPACE, SPECIAL, WORD

# uint64 throughout the hottest loops: a signed index costs a test for negative ones, and uint64 with a plain int makes a float.
_0 = np.uint64(0)
_1 = np.uint64(1)
_2 = np.uint64(2)
_3 = np.uint64(3)
_4 = np.uint64(4)
_8 = np.uint64(8)
_HIGH_BITS = np.uint64(0x8080808080808080)
_63 = np.uint64(63)
_64 = np.uint64(64)
_1024 = np.uint64(1024)
_SPECIAL_16 = np.uint16(SPECIAL)
_WORD_16 = np.uint16(WORD)
_JOINER_16 = np.uint16(JOINER)
_SEPARATOR_16 = np.uint16(SEPARATOR)
_DECIMAL_16 = np.uint16(DECIMAL)
_CLASS_16 = np.uint16(CLASS_MASK)
_HAN_16 = np.uint16(HAN)


@njit(cache=True, nogil=True)
def decode(
    data: np.ndarray,
    start: int,
    stop: int,
    table: np.ndarray,
    cp: np.ndarray,
    prop: np.ndarray,
    at: np.ndarray,
) -> int:
    """Write each code point of the UTF-8 bytes `data[start:stop]`, its properties, and the byte (from `start`) where it begins;
    returns how many code points there are.

    Behind them stand 80 entries without properties, and the number of bytes. Bytes that are no UTF-8 cannot come in an Arrow
    string; should they, each that fits nowhere is U+FFFD, and nothing is read outside.
    """
    i = np.uint64(start)
    begin = i
    end = np.uint64(stop)
    n = _0
    while i < end:
        if i + _8 <= end and raw.load_8(data, i) & _HIGH_BITS == _0:
            # A run of ASCII, eight bytes or more, in loops that need no branch (and not so long that it leaves the cache).
            run = i + _8
            limit = min(end, i + _1024)
            while run + _8 <= limit and raw.load_8(data, run) & _HIGH_BITS == _0:
                run += _8
            for k in range(run - i):
                cp[n + k] = data[i + k]
            for k in range(run - i):
                prop[n + k] = table[np.uint64(data[i + k])]
            for k in range(run - i):
                at[n + k] = i + k - begin
            n += run - i
            i = run
        if i >= end:
            break
        lead = data[i]
        at[n] = i - begin
        if lead < 0x80:
            c = np.uint32(lead)
            i += _1
        elif lead >= 0xE0 and lead < 0xF0 and i + _2 < end:
            c = (np.uint32(lead & 0x0F) << np.uint32(12)) | (np.uint32(data[i + _1] & 0x3F) << np.uint32(6)) | np.uint32(data[i + _2] & 0x3F)
            i += _3
        elif lead >= 0xC0 and lead < 0xE0 and i + _1 < end:
            c = (np.uint32(lead & 0x1F) << np.uint32(6)) | np.uint32(data[i + _1] & 0x3F)
            i += _2
        elif lead >= 0xF0 and i + _3 < end:
            c = (
                (np.uint32(lead & 0x07) << np.uint32(18))
                | (np.uint32(data[i + _1] & 0x3F) << np.uint32(12))
                | (np.uint32(data[i + _2] & 0x3F) << np.uint32(6))
                | np.uint32(data[i + _3] & 0x3F)
            )
            i += _4
            if c > 0x10FFFF:
                c = np.uint32(0xFFFD)
        else:
            c = np.uint32(0xFFFD)
            i += _1
        p = table[np.uint64(c)]
        cp[n] = c
        prop[n] = p
        n += _1
    at[n] = end - begin
    for k in range(80):
        prop[n + np.uint64(k)] = 0
    return np.int64(n)


@njit(cache=True, nogil=True)
def list_special(prop: np.ndarray, n: int, special: np.ndarray) -> int:
    """Write where the code points flagged SPECIAL stand; returns how many there are."""
    found = _0
    for block in range(0, n, 64):
        base = np.uint64(block)
        bits = raw.match_64(prop, base, _SPECIAL_16, _SPECIAL_16)
        while bits:
            special[found] = base + raw.lowest_bit(bits)
            found += _1
            bits &= bits - _1
    return np.int64(found)


@njit(cache=True, nogil=True)
def find_words(prop: np.ndarray, n: int, marks: bool, first: np.ndarray, last: np.ndarray) -> int:
    """Write where each word begins and ends (one past it); returns how many there are. `marks` says whether any class is MARK.

    64 code points at a time, a bit each: which stand in a word, which are Han, and where that changes.
    """
    starts = _0
    stops = _0
    word_before = _0  # one bit each: what the code point before the block is
    decimal_before = _0
    inside_before = _0
    han_before = _0
    for block in range(0, n, 64):
        base = np.uint64(block)
        word = raw.match_64(prop, base, _WORD_16, _WORD_16)
        joiner = raw.match_64(prop, base, _JOINER_16, _JOINER_16)
        separator = raw.match_64(prop, base, _SEPARATOR_16, _SEPARATOR_16)
        decimal = raw.match_64(prop, base, _DECIMAL_16, _DECIMAL_16)
        han = raw.match_64(prop, base, _CLASS_16, _HAN_16)
        after = prop[base + _64]
        word_after = np.uint64((after & _WORD_16) != 0) << _63
        decimal_after = np.uint64((after & _DECIMAL_16) != 0) << _63
        inside = (
            word
            | (joiner & (word << _1 | word_before) & (word >> _1 | word_after))
            | (separator & (decimal << _1 | decimal_before) & (decimal >> _1 | decimal_after))
        )
        shifted = inside << _1 | inside_before
        bits = (inside & ~shifted) | han
        while bits:
            first[starts] = base + raw.lowest_bit(bits)
            starts += _1
            bits &= bits - _1
        bits = (shifted & ~inside) | (han << _1 | han_before)
        while bits:
            last[stops] = base + raw.lowest_bit(bits)
            stops += _1
            bits &= bits - _1
        word_before = word >> _63
        decimal_before = decimal >> _63
        inside_before = inside >> _63
        han_before = han >> _63
    last[stops] = n  # of a word that the text ends with
    words = np.int64(starts)
    if marks:  # a word does not begin with a mark, and marks alone are none
        kept = 0
        for w in range(words):
            a = first[w]
            b = last[w]
            while a < b and prop[a] & CLASS_MASK == MARK:
                a += np.uint32(1)
            if a < b:
                first[kept] = a
                last[kept] = b
                kept += 1
        words = kept
    return words


@njit(cache=True, nogil=True)
def next_break(cp: np.ndarray, special: np.ndarray, specials: int, s: int) -> int:
    """The place in `special` of the next line break from `s` on, or `specials`. The \\r of \\r\\n is the break, the \\n is not."""
    while s < specials:
        i = np.int64(special[s])
        if cp[i] == 13 or (cp[i] == 10 and (i == 0 or cp[i - 1] != 13)):
            break
        s += 1
    return s


@njit(cache=True, nogil=True)
def strip(prop: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """The stretch without the whitespace at its ends; start == stop where there is nothing else."""
    while start < stop and prop[start] & CLASS_MASK == SPACE:
        start += 1
    while start < stop and prop[stop - 1] & CLASS_MASK == SPACE:
        stop -= 1
    return start, stop


@njit(cache=True, nogil=True)
def solid(prop: np.ndarray, start: int, stop: int) -> int:
    """Characters but whitespace."""
    total = 0
    for k in range(start, stop):
        total += prop[k] & CLASS_MASK != SPACE
    return total


class Buffers(NamedTuple):
    """What the kernels write while they read one text. An entry a code point, but for the last five."""

    cp: np.ndarray  # the code point
    prop: np.ndarray  # its class and flags
    at: np.ndarray  # the byte where it begins
    special: np.ndarray  # the list of those that are SPECIAL
    kind: np.ndarray  # PROSE, URL, CODE or TEX
    first: np.ndarray  # where each word begins …
    last: np.ndarray  # … and ends
    seen: np.ndarray  # the distinct code points
    hashes: np.ndarray  # of words
    before: np.ndarray  # characters in words before each
    token_hashes: np.ndarray
    tokens_before: np.ndarray
    pairs: np.ndarray  # hashes of two words or tokens in a row
    place: np.ndarray  # where n-grams that may repeat begin
    other_place: np.ndarray  # the next list of these
    key: np.ndarray  # their hashes …
    slots: np.ndarray  # … and their slots in the table
    picked: np.ndarray  # hashes of those that may be the most frequent
    buckets: np.ndarray  # a rough count by hash
    keys: np.ndarray  # a hash table: the key …
    marks: np.ndarray  # … and, in 32 bits each, the stamp that says whether the slot is taken, and a count
    stamp: np.ndarray  # the last stamp used (one number)
    histogram: np.ndarray  # code points in prose and, behind them, in spans; all zero between texts


_KEPT = threading.local()
_KEEP_BYTES = 1 << 24  # buffers for longer texts are given back


def buffers(offsets: np.ndarray) -> Buffers:
    """Buffers for the longest text of a batch, this thread's own, used again for the next batch.

    What is not written is not there: a page of memory comes with the first write to it.
    """
    longest = int(np.diff(offsets).max(initial=0))
    kept: Buffers | None = getattr(_KEPT, "buffers", None)
    if kept is None or kept.cp.size < longest + 80:
        size = max(longest, 1 << 16) + 80  # for what decode writes behind
        slots = 1 << (2 * size - 1).bit_length()
        integers = {
            name: np.empty(size, np.uint32) for name in ("cp", "at", "special", "first", "last", "before", "tokens_before", "place", "other_place", "slots")
        }
        kept = Buffers(
            prop=np.empty(size, np.uint16),
            kind=np.empty(size, np.uint8),
            seen=np.empty(min(size, 2 * CODE_POINTS + 1), np.uint32),
            hashes=np.empty(size, np.uint64),
            token_hashes=np.empty(size, np.uint64),
            pairs=np.empty(size, np.uint64),
            key=np.empty(size, np.uint64),
            picked=np.empty(size, np.uint64),
            buckets=np.empty(2 * slots, np.uint8),
            keys=np.empty(slots, np.uint64),
            marks=np.zeros(slots, np.uint64),
            stamp=np.zeros(1, np.uint64),
            histogram=np.zeros(2 * CODE_POINTS, np.int32) if kept is None else kept.histogram,
            **integers,
        )
    if longest <= _KEEP_BYTES:
        _KEPT.buffers = kept
    return kept
