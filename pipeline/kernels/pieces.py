"""Where the pre-tokenizing patterns of byte-level BPE cut a text. Compiled; what the regular expressions mean, without one.

All patterns of pipeline/tokenize/patterns.py need four kinds of code point and at most two code points of look-ahead, but for
runs. `piece_end` is tested against the regular-expression engine of the installed `tokenizers`.
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"

import numpy as np
from numba import njit

OTHER, LETTER, NUMBER, SPACE, NEWLINE = 0, 1, 2, 3, 4  # kinds of code point; SPACE is white space without CR and LF
_APOSTROPHE = 0x27
_BLANK = 0x20


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
def mark_pieces(data: np.ndarray, begin: int, end: int, kinds: np.ndarray, digits: int, web: bool, starts: np.ndarray) -> int:
    """Write where each piece of data[begin:end] begins; returns how many there are. starts: (bytes,) int64"""
    found = 0
    while begin < end:
        starts[found] = begin
        found += 1
        begin = piece_end(data, begin, end, kinds, digits, web)
    return found


def warm() -> None:
    """Compile or load everything here."""
    mark_pieces(np.frombuffer(b"it's", np.uint8), 0, 4, np.zeros(0x110000, np.uint8), 1, True, np.empty(4, np.int64))
