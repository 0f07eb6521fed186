"""Where the pre-tokenizing patterns of byte-level BPE cut a text. Compiled; what the regular expressions mean, without one.

All patterns of pipeline/tokenize/patterns.py need four kinds of code point and at most two code points of look-ahead, but for
runs. `piece_end` is tested against the regular-expression engine of the installed `tokenizers`.
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"

import numpy as np
from numba import njit

from pipeline.kernels.raw import highest_bit, lowest_bit, match_64, range_64

OTHER, LETTER, NUMBER, SPACE, NEWLINE = 0, 1, 2, 3, 4  # kinds of code point; SPACE is white space without CR and LF
_APOSTROPHE = 0x27
_BLANK = 0x20
_0, _1, _2, _3, _4, _64 = (np.uint64(n) for n in (0, 1, 2, 3, 4, 64))
_NONE = np.uint8(0)
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@njit(cache=True, nogil=True, inline="always")
def kind_at(data: np.ndarray, i: int, kinds: np.ndarray) -> tuple[int, int]:
    """The kind of the code point that begins at byte i, and its length in bytes. The text is valid UTF-8."""
    lead = data[i]
    if lead < 0x80:
        return kinds[lead], 1
    if lead < 0xE0:
        return kinds[(lead & 0x1F) << 6 | data[i + 1] & 0x3F], 2
    if lead < 0xF0:
        return kinds[(lead & 0x0F) << 12 | (data[i + 1] & 0x3F) << 6 | data[i + 2] & 0x3F], 3
    return kinds[(lead & 0x07) << 18 | (data[i + 1] & 0x3F) << 12 | (data[i + 2] & 0x3F) << 6 | data[i + 3] & 0x3F], 4


@njit(cache=True, nogil=True)
def _run_end(data: np.ndarray, i: int, end: int, kinds: np.ndarray, kind: int, limit: int) -> int:
    """Where a run of one kind ends that has come to byte i; at most `limit` code points further (0: no limit)."""
    taken = 0
    while i < end and (limit == 0 or taken < limit):
        here, size = kind_at(data, i, kinds)
        if here != kind:
            break
        i += size
        taken += 1
    return i


@njit(cache=True, nogil=True)
def _contraction(data: np.ndarray, i: int, end: int, any_case: bool) -> int:
    """The length of 's, 't, 're, 've, 'm, 'll or 'd at the apostrophe at byte i; 0: there is none."""
    if i + 1 >= end:
        return 0
    fold = 0x20 if any_case else 0
    first = data[i + 1] | fold
    if first == 0x73 or first == 0x74 or first == 0x6D or first == 0x64:  # s t m d
        return 2
    if i + 2 >= end:
        return 0
    if any_case and data[i + 1] == 0xC5 and data[i + 2] == 0xBF:  # the long s is an s in another case
        return 3
    second = data[i + 2] | fold
    if (second == 0x65 and (first == 0x72 or first == 0x76)) or (first == 0x6C and second == 0x6C):  # re ve ll
        return 3
    return 0


@njit(cache=True, nogil=True)
def _space_end(data: np.ndarray, i: int, end: int, kinds: np.ndarray, web: bool) -> int:
    r"""Where a piece of white space ends that begins at byte i: `\s*[\r\n]+` (web), else `\s+(?!\S)`, else `\s+`."""
    last = newline_end = i
    start, taken = i, 0
    while i < end:
        here, size = kind_at(data, i, kinds)
        if here < SPACE:
            break
        last = i
        i += size
        taken += 1
        if here == NEWLINE:
            newline_end = i
    if web and newline_end > start:
        return newline_end
    return last if i < end and taken > 1 else i


@njit(cache=True, nogil=True)
def piece_end(data: np.ndarray, i: int, end: int, kinds: np.ndarray, digits: int, web: bool) -> int:
    """Where the piece ends that begins at byte i of data[:end], which is valid UTF-8; `end` is the end of the text."""
    kind, size = kind_at(data, i, kinds)
    if kind == LETTER:
        return _run_end(data, i + size, end, kinds, LETTER, 0)
    if kind == NUMBER:
        if digits == 1:
            return i + size
        return _run_end(data, i + size, end, kinds, NUMBER, digits - 1 if digits else 0)
    if data[i] == _APOSTROPHE:
        contraction = _contraction(data, i, end, web)
        if contraction:
            return i + contraction
    after = i + size
    if after < end and (kind != NEWLINE if web else data[i] == _BLANK):
        next_kind, next_size = kind_at(data, after, kinds)
        if next_kind == LETTER:
            return _run_end(data, after + next_size, end, kinds, LETTER, 0)
        if next_kind == NUMBER and not web:
            return _run_end(data, after + next_size, end, kinds, NUMBER, 0)
        if next_kind == OTHER and (kind == OTHER or data[i] == _BLANK):
            kind = OTHER
            after += next_size
    if kind == OTHER:
        after = _run_end(data, after, end, kinds, OTHER, 0)
        return _run_end(data, after, end, kinds, NEWLINE, 0) if web else after
    return _space_end(data, i, end, kinds, web)


@njit(cache=True, nogil=True)
def _ascii_starts(data: np.ndarray, i: np.uint64, known: np.uint64, stop: np.uint64, digits: int, web: bool) -> np.uint64:
    """Where pieces begin among `known` (1 to 64) ASCII bytes, the first of which begins one; one bit each, the first one lowest.

    The text ends at byte `stop`. Where it goes on behind these bytes, so may the last piece.
    """
    at_end = i + known == stop
    valid = _ALL >> (_64 - known)
    letter = range_64(data, i, np.uint8(0x20), np.uint8(0x61), np.uint8(25)) & valid
    number = range_64(data, i, _NONE, np.uint8(0x30), np.uint8(9)) & valid
    blank = match_64(data, i, np.uint8(0xFF), np.uint8(0x20)) & valid
    white = (range_64(data, i, _NONE, np.uint8(9), np.uint8(4)) | blank) & valid
    other = valid & ~(letter | number | white)
    newline = (match_64(data, i, np.uint8(0xFF), np.uint8(10)) | match_64(data, i, np.uint8(0xFF), np.uint8(13))) & valid
    after_blank = blank << _1
    other_start = other & ~(other << _1) & ~after_blank
    single = other_start & ~(other >> _1)
    letter_start = letter & ~(letter << _1)
    if web:
        starts = letter_start & ~((white & ~newline) << _1) & ~(single << _1)
        if digits == 1:
            starts |= number
        else:
            group = number & ~(number << _1)
            while group:
                starts |= group
                group = group << _3 & number & number << _1 & number << _2
        absorbed = newline & ~(newline + (newline & other << _1))
        white &= ~absorbed
    else:
        starts = (letter_start | number & ~(number << _1)) & ~after_blank
    runs = white & ~(white << _1)
    starts |= other_start | runs | _1
    quotes = single & match_64(data, i, np.uint8(0xFF), np.uint8(0x27))
    while quotes:
        at = lowest_bit(quotes)
        size = np.uint64(_contraction(data, np.int64(i + at), np.int64(stop), web))
        if size:
            starts &= ~(_2 << at)
            if at + size < _64:
                starts |= letter & _1 << at + size
        quotes &= quotes - _1
    runs &= white >> _1
    while runs:
        at = lowest_bit(runs)
        rest = ~(white >> at)
        size = lowest_bit(rest) if rest else _64 - at
        within = (_ALL >> (_64 - size)) << at
        lines = newline & within
        after = at + size
        open_end = after == known
        if open_end and not at_end:
            break  # who knows how it goes on
        if web and lines:
            at = highest_bit(lines) + _1
            if at < after:
                starts |= _1 << at
        if not open_end and after - at > _1:
            starts |= _1 << (after - _1)
        runs &= runs - _1
    return starts & valid


@njit(cache=True, nogil=True)
def starts_ahead(data: np.ndarray, i: np.uint64, stop: np.uint64, digits: int, web: bool) -> tuple[np.uint64, np.uint64]:
    """Where pieces begin among the ASCII bytes from a piece's begin on, at most 64, one bit each; and how many bytes these pieces have.

    0 bytes: nothing can be said of so many at once; ask `piece_end`. The text ends at byte `stop`.
    """
    if i + _64 > np.uint64(data.size):
        return _0, _0
    high = range_64(data, i, _NONE, np.uint8(0x80), np.uint8(0x7F))
    known = lowest_bit(high) if high else _64
    if stop - i <= known:
        return _ascii_starts(data, i, stop - i, stop, digits, web), stop - i
    if known < _4:
        return _0, _0
    bits = _ascii_starts(data, i, known, stop, digits, web)
    last = highest_bit(bits)  # how far this piece goes is not known
    return bits ^ (_1 << last), last


@njit(cache=True, nogil=True)
def mark_pieces(data: np.ndarray, begin: int, end: int, kinds: np.ndarray, digits: int, web: bool, starts: np.ndarray) -> int:
    """Write where each piece of data[begin:end] begins; returns how many there are. starts: (bytes,) int64"""
    found, stop = 0, np.uint64(end)
    while begin < end:
        bits, settled = starts_ahead(data, np.uint64(begin), stop, digits, web)
        while bits:
            starts[found] = begin + np.int64(lowest_bit(bits))
            found += 1
            bits &= bits - _1
        if settled:
            begin += np.int64(settled)
        else:
            starts[found] = begin
            found += 1
            begin = piece_end(data, begin, end, kinds, digits, web)
    return found


def warm() -> None:
    """Compile or load everything here."""
    mark_pieces(np.frombuffer(b"it's", np.uint8), 0, 4, np.zeros(0x110000, np.uint8), 1, True, np.empty(4, np.int64))
