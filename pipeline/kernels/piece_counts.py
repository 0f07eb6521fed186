"""Counts the pieces that a pre-tokenizing pattern cuts texts into: how often does each different piece occur?

A table of open addressing with rows (key, key, count). Pieces of at most 15 bytes are their own key, with their size in the last
byte, so that most pieces cost one place in memory. A longer one has its hash and its number, and its bytes lie in a pool; equal
hashes are compared byte by byte. When something is full, `count_pieces` stops before the piece that did not fit, and goes on
after the caller has given it more room.
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"

import numpy as np
from numba import njit

from pipeline.kernels.pieces import piece_end, starts_ahead
from pipeline.kernels.raw import hash_bytes, load, load_8, lowest_bit, mix

FOUND, LONG, POOL, TEXT, BYTE = 0, 1, 2, 3, 4  # entries of `state`: rows taken, long pieces, bytes of the pool in use, the text and the byte to go on at
_SHORT = 15
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_56 = np.uint64(56)
IS_LONG = np.uint64(0xFF) << _56
NUMBER = (_ONE << _56) - _ONE


@njit(cache=True, nogil=True)
def _same(data: np.ndarray, start: int, pool: np.ndarray, at: int, size: int) -> bool:
    k = 0
    while k + 8 <= size:
        if load_8(data, np.uint64(start + k)) != load_8(pool, np.uint64(at + k)):
            return False
        k += 8
    while k < size:
        if data[start + k] != pool[at + k]:
            return False
        k += 1
    return True


@njit(cache=True, nogil=True, inline="always")
def _short_hash(first: np.uint64, second: np.uint64) -> np.uint64:
    return mix(first ^ mix(second))


@njit(cache=True, nogil=True, inline="always")
def _has_room(rows: np.ndarray, state: np.ndarray) -> bool:
    return 10 * (state[FOUND] + 1) <= 7 * rows.shape[0]


@njit(cache=True, nogil=True)
def _add_short(first: np.uint64, second: np.uint64, times: int, rows: np.ndarray, state: np.ndarray) -> bool:
    mask = np.uint64(rows.shape[0] - 1)
    at = _short_hash(first, second) & mask
    while rows[at, 1] != _ZERO:
        if rows[at, 0] == first and rows[at, 1] == second:
            rows[at, 2] += np.uint64(times)
            return True
        at = (at + _ONE) & mask
    if not _has_room(rows, state):
        return False
    rows[at, 0], rows[at, 1], rows[at, 2] = first, second, np.uint64(times)
    state[FOUND] += 1
    return True


@njit(cache=True, nogil=True)
def _add_long(data: np.ndarray, start: int, stop: int, times: int, rows: np.ndarray, pool: np.ndarray, starts: np.ndarray, state: np.ndarray) -> bool:
    size = stop - start
    h = hash_bytes(data, start, stop)
    mask = np.uint64(rows.shape[0] - 1)
    at = h & mask
    while rows[at, 1] != _ZERO:
        if rows[at, 0] == h and rows[at, 1] >= IS_LONG:
            piece = np.int64(rows[at, 1] & NUMBER)
            if starts[piece + 1] - starts[piece] == size and _same(data, start, pool, starts[piece], size):
                rows[at, 2] += np.uint64(times)
                return True
        at = (at + _ONE) & mask
    found, used = state[LONG], state[POOL]
    if not _has_room(rows, state) or found + 1 >= starts.size or used + size > pool.size:
        return False
    for k in range(size):
        pool[used + k] = data[start + k]
    starts[found + 1] = used + size
    rows[at, 0], rows[at, 1], rows[at, 2] = h, IS_LONG | np.uint64(found), np.uint64(times)
    state[FOUND] += 1
    state[LONG], state[POOL] = found + 1, used + size
    return True


@njit(cache=True, nogil=True)
def _count(data: np.ndarray, at: int, stop: int, times: int, rows: np.ndarray, pool: np.ndarray, starts: np.ndarray, state: np.ndarray) -> bool:
    size = stop - at
    if size > _SHORT:
        return _add_long(data, at, stop, times, rows, pool, starts, state)
    second = np.uint64(size) << _56
    if size > 8:
        second |= load(data, at + 8, size - 8)
    return _add_short(load(data, at, size), second, times, rows, state)


@njit(cache=True, nogil=True)
def count_pieces(
    data: np.ndarray, offsets: np.ndarray, weights: np.ndarray, kinds: np.ndarray, digits: int, web: bool,
    rows: np.ndarray, pool: np.ndarray, starts: np.ndarray, state: np.ndarray,
) -> bool:  # fmt: skip
    """Count the pieces of texts, each as often as its text's weight says; False: storage is full, give more and call again.

    rows: (a power of two, 3) uint64, starts: (room + 1,) int64, state: (5,) int64
    """
    while state[TEXT] < offsets.size - 1:
        text = state[TEXT]
        end, times = offsets[text + 1], weights[text]
        at = max(offsets[text], state[BYTE])
        while at < end and times > 0:
            bits, settled = starts_ahead(data, np.uint64(at), np.uint64(end), digits, web)
            begin = at
            at = begin + np.int64(settled) if settled else piece_end(data, begin, end, kinds, digits, web)
            while begin < at:
                bits &= bits - _ONE  # its own
                stop = at
                if settled and bits:
                    stop = at - np.int64(settled) + np.int64(lowest_bit(bits))
                if not _count(data, begin, stop, times, rows, pool, starts, state):
                    state[BYTE] = begin
                    return False
                begin = stop
        state[TEXT] = text + 1
    return True


@njit(cache=True, nogil=True)
def add_pieces(
    their_rows: np.ndarray, their_pool: np.ndarray, their_starts: np.ndarray, rows: np.ndarray, pool: np.ndarray, starts: np.ndarray, state: np.ndarray
) -> bool:
    """Add the counts of another table, of which state[TEXT] is the next row. False: storage is full, give more and call again."""
    while state[TEXT] < their_rows.shape[0]:
        row = state[TEXT]
        second, times = their_rows[row, 1], np.int64(their_rows[row, 2])
        if second >= IS_LONG:
            piece = np.int64(second & NUMBER)
            counted = _add_long(their_pool, their_starts[piece], their_starts[piece + 1], times, rows, pool, starts, state)
        else:
            counted = second == _ZERO or _add_short(their_rows[row, 0], second, times, rows, state)
        if not counted:
            return False
        state[TEXT] = row + 1
    return True


@njit(cache=True, nogil=True)
def rehash(rows: np.ndarray, larger: np.ndarray) -> None:
    """Put all rows into an empty table, which has room for them."""
    mask = np.uint64(larger.shape[0] - 1)
    for row in range(rows.shape[0]):
        first, second = rows[row, 0], rows[row, 1]
        if second == _ZERO:
            continue
        at = (first if second >= IS_LONG else _short_hash(first, second)) & mask
        while larger[at, 1] != _ZERO:
            at = (at + _ONE) & mask
        larger[at, 0], larger[at, 1], larger[at, 2] = first, second, rows[row, 2]


@njit(cache=True, nogil=True)
def bytes_of(rows: np.ndarray, row: int, pool: np.ndarray, starts: np.ndarray, short: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Where the bytes of a row's piece are: an array, begin and end; of a short piece, `short`, which is written. (16,) uint8"""
    second = rows[row, 1]
    if second >= IS_LONG:
        piece = np.int64(second & NUMBER)
        return pool, starts[piece], starts[piece + 1]
    size = np.int64(second >> _56)
    for k in range(size):
        word = rows[row, 0] if k < 8 else second
        short[k] = np.uint8((word >> np.uint64(8 * (k & 7))) & np.uint64(0xFF))
    return short, 0, size


def warm() -> None:
    """Compile or load everything here."""
    text, offsets, ones = np.frombuffer(b"it's", np.uint8), np.array([0, 4], np.int64), np.ones(1, np.int64)
    rows, pool, starts, state = np.zeros((16, 3), np.uint64), np.empty(8, np.uint8), np.zeros(5, np.int64), np.zeros(5, np.int64)
    count_pieces(text, offsets, ones, np.zeros(0x110000, np.uint8), 1, True, rows, pool, starts, state)
    add_pieces(rows[:0], pool, starts, rows, pool, starts, state)
    rehash(rows, np.zeros((16, 3), np.uint64))
