"""UTF-8 bytes -> folded tokens -> 64-bit shingles -> signatures, sets and keys: one compiled pass, no Python object a text.

**Tokens.** Every code point is folded (`fold.py`). A run of letters and digits is one token; a character of a script without spaces (Han, kana,
Thai, …) is one token; everything else separates. Bytes that are not UTF-8 separate too.

**Shingles.** Each token starts one window, whose length depends on that token alone: 5 tokens when it is a word, 8 when it is a single character.
So English gives word 5-grams, Chinese gives character 8-grams, and mixed text gives both, each where it belongs. No property of the whole text enters
(a share of Han above or below one half, say), hence an edit changes the windows that cover it and no others, and two near-identical
texts can never be cut by different rules. A text with tokens but without a whole window has one shingle, made of all its tokens.

**Signature.** One-permutation hashing: a shingle's hash names one of 112 bins and a 32-bit value; a bin keeps the least value. A bin that got none takes
that of another bin, the first non-empty one in an order fixed for each bin (optimal densification, Shrivastava 2017, with permutations as the
probes, so that it ends). P(two signatures agree in a bin) = Jaccard of the two sets of shingles. Cost: one hash a shingle instead of 112.

Costs on one core of 2 GHz: 180 to 340 MB/s from text to signature; see `benchmarks/minhash.py`. Memory: nothing that grows with the text,
but for `shingle_sets`.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit

from pipeline.kernels.fold import CLASS_SHIFT, DROPPED, EXPANDS, POINT_MASK, SINGLE, SPACE, WORD, fold_table

VERSION = 1  # raise it when a signature, a set or a key changes for the same text

BINS = 112  # 16 bands x 7 rows, or 14 x 8
WORD_SHINGLE = 5  # FineWeb's word 5-grams
SINGLE_SHINGLE = 8  # character 8-grams: about FineWeb-2's 5-grams of jieba words, without a segmenter
EMPTY = 0xFFFFFFFF  # every bin of a text without tokens

# Fixed odd constants (splitmix64, xxHash, FNV): they are part of VERSION.
_K1 = np.uint64(0x9E3779B97F4A7C15)
_K2 = np.uint64(0xBF58476D1CE4E5B9)
_K3 = np.uint64(0x94D049BB133111EB)
_K4 = np.uint64(0xC2B2AE3D27D4EB4F)
_LETTER = np.uint64(0xFF51AFD7ED558CCD)  # base of the polynomial over the letters of a word
_BASE = np.uint64(0xD6E8FEB86659FD93)  # base of the polynomial over tokens; 3 mod 4, so that swapped tokens differ in 63 bits
_SEED = np.uint64(0xCBF29CE484222325)
_EXACT = np.uint64(0x165667B19E3779F9)  # keys of exact bytes live apart from keys of folded text
_BASE_5 = np.uint64(pow(0xD6E8FEB86659FD93, WORD_SHINGLE, 1 << 64))
_BASE_8 = np.uint64(pow(0xD6E8FEB86659FD93, SINGLE_SHINGLE, 1 << 64))
_S32 = np.uint64(32)
_S30 = np.uint64(30)
_S27 = np.uint64(27)
_S31 = np.uint64(31)
_BINS = np.uint64(BINS)

_COUNT, _SIGN, _LIST = 0, 1, 2  # what `_scan` does with shingles

_CHUNK = 512  # tokens between two turns of `_windows`: all buffers together stay in the first-level cache
_SLACK = 64  # one code point may fold to 18 tokens
_CARRY = SINGLE_SHINGLE  # tokens before a chunk that its windows may reach back to
_IS_WORD, _IS_SINGLE, _IS_NOTHING = np.uint8(0), np.uint8(1), np.uint8(2)

_CLASS_SHIFT = np.uint32(CLASS_SHIFT)
_POINT_MASK = np.uint32(POINT_MASK)
_ZERO = np.uint64(0)  # uint64 throughout: a signed index costs a test for negative ones, and uint64 with a plain int makes a float
_ONE = np.uint64(1)
_TWO = np.uint64(2)
_THREE = np.uint64(3)
_SIX = np.uint64(6)
_TWELVE = np.uint64(12)
_LOW_4 = np.uint64(15)
_LOW_6 = np.uint64(63)
_FULL = np.uint64(_CHUNK)
_MANY = 64  # filled bins, from which on a walk is cheaper

_jit = njit(cache=True, nogil=True, boundscheck=False)
_inline = njit(cache=True, nogil=True, inline="always")


@_inline
def _mix(h: Any) -> Any:
    """splitmix64's finaliser: every bit of the result depends on every bit of h."""
    h = (h ^ (h >> _S30)) * _K2
    h = (h ^ (h >> _S27)) * _K3
    return h ^ (h >> _S31)


@_inline
def _decode(b0: Any, b1: Any, b2: Any, b3: Any, room: Any) -> Any:
    """The code point of a byte >= 0x80 with the three after it, of which `room` - 1 are the text's own, and the bytes it takes;
    (0xFFFD, 1) where they are not UTF-8. Scalars only: an array handed to an inlined function costs two atomic operations a call."""
    point: Any = np.int64(0xFFFD)
    size: Any = np.int64(1)
    c1 = np.int64(b1) ^ 0x80
    c2 = np.int64(b2) ^ 0x80
    if 0xE0 <= b0 <= 0xEF:
        p = (np.int64(b0) & 15) << 12 | c1 << 6 | c2
        if room > 2 and (c1 | c2) < 0x40 and p >= 0x800 and (p < 0xD800 or p > 0xDFFF):
            point = p
            size = 3
    elif 0xC2 <= b0 <= 0xDF:
        if room > 1 and c1 < 0x40:
            point = (np.int64(b0) & 31) << 6 | c1
            size = 2
    elif 0xF0 <= b0 <= 0xF4:
        c3 = np.int64(b3) ^ 0x80
        p = (np.int64(b0) & 7) << 18 | c1 << 12 | c2 << 6 | c3
        if room > 3 and (c1 | c2 | c3) < 0x40 and 0x10000 <= p <= 0x10FFFF:
            point = p
            size = 4
    return point, size


@_jit
def _windows(tokens: np.ndarray, kinds: np.ndarray, n: int, polys: np.ndarray, hashes: np.ndarray) -> int:
    """Hashes of the windows that end in a chunk of `n` tokens; how many there are. At most two end with a token: the one that a word
    began 5 tokens ago, and the one that a single character began 8 ago.

    polys[8 + i] is the polynomial of all tokens up to i, so the difference of two is that of a window. The 8 before a chunk are carried in
    front of it, like the kinds of the 8 tokens: `kinds` is (8 + chunk,) from the start.
    """
    poly = polys[_CARRY - 1]
    for i in range(n):
        token = tokens[i] * _K1
        poly = poly * _BASE + (token ^ (token >> _S32))
        polys[_CARRY + i] = poly
    m = 0
    for i in range(n):  # without branches: mixed text would mispredict every other token
        hashes[m] = polys[_CARRY + i] - polys[_CARRY + i - WORD_SHINGLE] * _BASE_5
        m += kinds[_CARRY + i - WORD_SHINGLE + 1] == _IS_WORD
        hashes[m] = polys[_CARRY + i] - polys[_CARRY + i - SINGLE_SHINGLE] * _BASE_8
        m += kinds[_CARRY + i - SINGLE_SHINGLE + 1] == _IS_SINGLE
    for i in range(m):
        hashes[i] = _mix(hashes[i])
    for i in range(_CARRY):
        polys[i] = polys[n + i]
        kinds[i] = kinds[n + i]
    return m


@_jit
def _into_bins(hashes: np.ndarray, m: int, bins: np.ndarray) -> None:
    for i in range(m):
        h = hashes[i]
        place = ((h >> _S32) * _BINS) >> _S32
        bins[place] = min(bins[place], np.uint32(h))


@_jit
def _scan(
    data: np.ndarray,
    start: int,
    stop: int,
    entries: np.ndarray,
    expansions: np.ndarray,
    ascii_values: np.ndarray,
    ascii_bases: np.ndarray,
    tokens: np.ndarray,
    kinds: np.ndarray,
    polys: np.ndarray,
    hashes: np.ndarray,
    mode: int,
    bins: np.ndarray,
    out: np.ndarray,
) -> int:
    """One text: tokens into chunks, chunks into shingles; `mode` says what becomes of these. Returns how many there are, with repetitions.

    A word's hash is the polynomial of its folded letters. The loops over ASCII and over Han do not branch on what a character is (a word's end is
    a coin toss to the processor: 20 cycles where 6 letters cost 24): they write the token always, and move on when it was one.
    """
    last: Any = len(data) - 1
    end = np.uint64(stop)
    at = np.uint64(start)
    n = _ZERO  # tokens in the chunk
    word = _ZERO
    in_word = _ZERO  # 1 while a word is open
    count: Any = 0
    seen: Any = 0
    polys[:_CARRY] = 0
    kinds[:_CARRY] = _IS_NOTHING
    while True:
        while at < end and n < _FULL:  # ASCII
            byte = data[at]
            if byte >= 0x80:
                break
            value = ascii_values[byte]
            tokens[n] = word
            kinds[n + np.uint64(_CARRY)] = _IS_WORD
            is_word = np.uint64(value != _ZERO)
            n += in_word & (is_word ^ _ONE)
            word = word * ascii_bases[byte] + value
            in_word = is_word
            at += _ONE
        while n < _FULL and at + _TWO < end and 0xE1 <= data[at] <= 0xEC:  # three bytes, mostly Han
            b1 = np.uint64(data[at + _ONE] ^ 0x80)
            b2 = np.uint64(data[at + _TWO] ^ 0x80)
            if b1 | b2 > _LOW_6:
                break
            entry = entries[(np.uint64(data[at]) & _LOW_4) << _TWELVE | b1 << _SIX | b2]
            kind = entry >> _CLASS_SHIFT
            if kind > SINGLE:
                break
            tokens[n] = word
            kinds[n + np.uint64(_CARRY)] = _IS_WORD
            n += in_word
            in_word = _ZERO
            word = _ZERO
            tokens[n] = np.uint64(entry)
            kinds[n + np.uint64(_CARRY)] = _IS_SINGLE
            n += np.uint64(kind == SINGLE)
            at += _THREE
        if at < end and n < _FULL and data[at] >= 0x80:  # whatever else, one code point
            i: Any = np.int64(at)
            point, size = _decode(data[i], data[min(i + 1, last)], data[min(i + 2, last)], data[min(i + 3, last)], stop - i)
            at += np.uint64(size)
            entry = entries[point]
            left: Any = 1
            step: Any = 0
            if entry >> _CLASS_SHIFT == EXPANDS:
                step = np.int64(entry & _POINT_MASK)
                left = np.int64(expansions[step])
                step += 1
                entry = expansions[step]
            while True:
                kind = entry >> _CLASS_SHIFT
                if kind == WORD:
                    word = word * _LETTER + np.uint64(entry)
                    in_word = _ONE
                elif kind != DROPPED:
                    tokens[n] = word
                    kinds[n + np.uint64(_CARRY)] = _IS_WORD
                    n += in_word
                    in_word = _ZERO
                    word = _ZERO
                    if kind == SINGLE:
                        tokens[n] = np.uint64(entry)
                        kinds[n + np.uint64(_CARRY)] = _IS_SINGLE
                        n += _ONE
                left -= 1
                if left == 0:
                    break
                step += 1
                entry = expansions[step]
        if n < _FULL and at < end:
            continue
        if at >= end and in_word != _ZERO:
            tokens[n] = word
            kinds[n + np.uint64(_CARRY)] = _IS_WORD
            n += _ONE
            in_word = _ZERO
        m = _windows(tokens, kinds, int(n), polys, hashes)
        seen += np.int64(n)
        if at >= end and count + m == 0 and seen > 0:
            hashes[0] = _mix(polys[_CARRY - 1])  # no whole window: the shingle of all tokens
            m = 1
        if mode == _SIGN:
            _into_bins(hashes, m, bins)
        elif mode == _LIST:
            for j in range(m):
                out[count + j] = hashes[j]
        count += m
        n = _ZERO
        if at >= end:
            return count


@_jit
def _shingles(
    data: np.ndarray,
    offsets: np.ndarray,
    entries: np.ndarray,
    expansions: np.ndarray,
    mode: int,
    probes: np.ndarray,
    ranks: np.ndarray,
    signature: np.ndarray,
    out: np.ndarray,
    counts: np.ndarray,
) -> None:
    """All texts. _COUNT fills `counts`; _SIGN `signature` and `counts`; _LIST writes the shingles of all texts in a row into `out`, and `counts`."""
    tokens = np.empty(_CHUNK + _SLACK, np.uint64)
    kinds = np.empty(_CARRY + _CHUNK + _SLACK, np.uint8)
    polys = np.empty(_CARRY + _CHUNK + _SLACK, np.uint64)
    hashes = np.empty(2 * (_CHUNK + _SLACK), np.uint64)
    filled = np.empty(BINS + 1, np.int64)
    holes = np.empty(BINS + 1, np.int64)
    empty = np.empty(BINS, np.bool_)
    best = np.empty(BINS, np.uint16)
    ascii_values = np.zeros(256, np.uint64)
    ascii_bases = np.zeros(256, np.uint64)
    for c in range(128):
        if entries[c] >> _CLASS_SHIFT == WORD:
            ascii_values[c] = entries[c]
            ascii_bases[c] = _LETTER
    total = 0
    for text in range(len(offsets) - 1):
        bins = signature[text] if mode == _SIGN else signature[0]
        if mode == _SIGN:
            bins[:] = EMPTY
        n = _scan(data, offsets[text], offsets[text + 1], entries, expansions, ascii_values, ascii_bases, tokens, kinds, polys, hashes, mode, bins, out[total:])
        counts[text] = n
        if mode == _LIST:
            total += n
        if mode == _SIGN and n > 0:
            _densify(bins, probes, ranks, filled, holes, empty, best)


@_jit
def _densify(bins: np.ndarray, probes: np.ndarray, ranks: np.ndarray, filled: np.ndarray, holes: np.ndarray, empty: np.ndarray, best: np.ndarray) -> None:
    """Give every empty bin the value of the non-empty bin that comes first in its own order. Two ways to the same choice."""
    n = 0
    left = 0
    for i in range(BINS):
        is_empty = bins[i] == EMPTY
        empty[i] = is_empty
        holes[left] = i
        left += is_empty
        filled[n] = i
        n += not is_empty
    if n in (BINS, 0):
        return
    if n > _MANY:  # walk along the orders of the few empty bins: some BINS / n steps each
        for k in range(left):
            i = holes[k]
            step = 0
            while empty[probes[i, step]]:
                step += 1
            bins[i] = bins[probes[i, step]]
        return
    best[:] = 0xFFFF
    for k in range(n):  # the least rank over the few that hold a value, for all bins at once
        row = ranks[filled[k]]
        for i in range(BINS):
            best[i] = min(best[i], row[i])
    for k in range(left):
        i = holes[k]
        bins[i] = bins[best[i] & 0xFF]


@_jit
def _distinct(values: np.ndarray, places: np.ndarray) -> int:
    """Squeeze repetitions out of sorted slices, in place; `places` becomes the new offsets. Returns the new total."""
    total = 0
    first = places[0]
    for text in range(len(places) - 1):
        last = places[text + 1]
        begin = total
        places[text] = begin
        for i in range(first, last):
            if total == begin or values[i] != values[total - 1]:
                values[total] = values[i]
                total += 1
        first = last
    places[len(places) - 1] = total
    return total


@_jit
def _exact_key(data: np.ndarray, at: int, stop: int, key: np.ndarray) -> None:
    a, b, length = _EXACT, _EXACT ^ _K4, 0
    for i in range(at, stop):
        byte = data[i]
        if byte == 13:
            if i + 1 < stop and data[i + 1] == 10:
                continue  # \r\n counts once, as \n
            byte = np.uint8(10)
        c = np.uint64(byte)
        a = (a ^ c) * _K1
        b = (b ^ c) * _K3
        a ^= a >> _S32
        b ^= b >> _S31
        length += 1
    key[0] = _mix(a + np.uint64(length))
    key[1] = _mix(b ^ np.uint64(length))


@_jit
def _folded_key(data: np.ndarray, at: int, stop: int, entries: np.ndarray, expansions: np.ndarray, key: np.ndarray) -> None:
    last: Any = len(data) - 1
    a, b, length = _SEED, _K4, 0
    while at < stop:
        byte = data[at]
        if byte < 0x80:
            entry = entries[byte]
            at += 1
        else:
            point, size = _decode(byte, data[min(at + 1, last)], data[min(at + 2, last)], data[min(at + 3, last)], stop - at)
            at += size
            entry = entries[point]
        place: Any = 0
        left: Any = 1
        if entry >> _CLASS_SHIFT == EXPANDS:
            place = np.int64(entry & _POINT_MASK)
            left = np.int64(expansions[place])
            place += 1
            entry = expansions[place]
        while True:
            kind = entry >> _CLASS_SHIFT
            if kind not in (SPACE, DROPPED):
                c = np.uint64(entry & _POINT_MASK)
                a = (a ^ c) * _K1
                b = (b ^ c) * _K3
                a ^= a >> _S32  # without it the hash is a polynomial mod 2^64, and anybody can write two texts that collide
                b ^= b >> _S31
                length += 1
            left -= 1
            if left == 0:
                break
            place += 1
            entry = expansions[place]
    key[0] = _mix(a + np.uint64(length))
    key[1] = _mix(b ^ np.uint64(length))


@_jit
def _keys(data: np.ndarray, offsets: np.ndarray, exact: np.ndarray, entries: np.ndarray, expansions: np.ndarray, out: np.ndarray) -> None:
    for text in range(len(offsets) - 1):
        if exact[text]:
            _exact_key(data, offsets[text], offsets[text + 1], out[text])
        else:
            _folded_key(data, offsets[text], offsets[text + 1], entries, expansions, out[text])


@lru_cache(maxsize=1)
def probe_orders() -> tuple[np.ndarray, np.ndarray]:
    """The order in which each bin looks at the bins when it is empty, (112, 112) uint8, and its inverse, (112, 112) uint16: ranks[j, i] is
    256 x the place of bin j in the order of bin i, + j. Order i sorts the bins by a hash of (i, j), itself first; fixed for ever."""
    with np.errstate(over="ignore"):
        h = np.arange(1, BINS * BINS + 1, dtype=np.uint64) * _K1
        h = (h ^ (h >> _S30)) * _K2
        h = (h ^ (h >> _S27)) * _K3
        h = (h ^ (h >> _S31)).reshape(BINS, BINS)
    np.fill_diagonal(h, 0)
    probes = np.argsort(h, axis=1, kind="stable").astype(np.uint8)
    ranks = np.empty((BINS, BINS), np.uint16)
    np.put_along_axis(ranks, probes.astype(np.int64), np.arange(BINS, dtype=np.uint16)[None, :].repeat(BINS, 0), axis=1)
    return probes, np.ascontiguousarray(ranks.T) * np.uint16(256) + np.arange(BINS, dtype=np.uint16)[:, None]


def _checked(data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The kernels trust their offsets, so they are looked at here: sliced Arrow arrays need not begin at 0."""
    data = np.ascontiguousarray(data, np.uint8)
    offsets = np.ascontiguousarray(offsets, np.int64)
    if len(offsets) == 0 or offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any():
        raise ValueError(f"offsets must be rising places in the {len(data)} bytes of data, one more than there are texts")
    return data, offsets


def _run(data: np.ndarray, offsets: np.ndarray, mode: int, signature: np.ndarray, out: np.ndarray) -> np.ndarray:
    counts = np.empty(len(offsets) - 1, np.int64)
    _shingles(data, offsets, *fold_table(), mode, *probe_orders(), signature, out, counts)
    return counts


def signatures(data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """MinHash signatures, (texts, 112) uint32, and the number of shingles of each text, with repetitions, (texts,) int64.

    Two texts agree in a bin with a probability equal to the Jaccard similarity of their shingle sets. A text without tokens has 0 shingles and
    EMPTY in all bins: leave it out of bands, since all such texts agree.
    """
    data, offsets = _checked(data, offsets)
    out = np.empty((len(offsets) - 1, BINS), np.uint32)
    return out, _run(data, offsets, _SIGN, out, np.empty(0, np.uint64))


def shingle_counts(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Shingles of each text, with repetitions; 0 without tokens. (texts,) int64"""
    data, offsets = _checked(data, offsets)
    return _run(data, offsets, _COUNT, np.empty((1, BINS), np.uint32), np.empty(0, np.uint64))


def shingle_sets(data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The set of shingles of each text, sorted, for an exact Jaccard: values (total,) uint64 and offsets (texts + 1,) int64.

    Set i is values[offsets[i] : offsets[i + 1]]; empty without tokens. Memory: 8 bytes a shingle, about the size of English text, 8/3 of Chinese.
    """
    data, offsets = _checked(data, offsets)
    places = np.zeros(len(offsets), np.int64)
    np.cumsum(shingle_counts(data, offsets), out=places[1:])
    values = np.empty(places[-1], np.uint64)
    _run(data, offsets, _LIST, np.empty((1, BINS), np.uint32), values)
    for first, last in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        values[first:last].sort()  # numpy's vectorised sort, some ten times numba's
    total = _distinct(values, places)
    return values[:total].copy(), places


def text_keys(data: np.ndarray, offsets: np.ndarray, exact: bool | np.ndarray = False) -> np.ndarray:
    """A 128-bit hash of each whole text: equal texts have equal keys. (texts, 2) uint64

    Prose: of the folded text without white space and invisible characters, punctuation kept; so re-wrapped, full-width or Traditional copies agree, and
    "let's eat, grandma" differs from "let's eat grandma". `exact` (one bool, or one a text), for code: of the bytes as they are, but \\r\\n and
    \\r count as \\n. An exact and a folded key never agree.
    Not cryptographic: it keeps chance collisions away (2^-128 a pair), not an adversary with patience.
    """
    data, offsets = _checked(data, offsets)
    n = len(offsets) - 1
    out = np.empty((n, 2), np.uint64)
    _keys(data, offsets, np.ascontiguousarray(np.broadcast_to(np.asarray(exact, bool), n)), *fold_table(), out)
    return out


def warm() -> None:
    """Compile, or load from the cache, everything here."""
    data, offsets = np.frombuffer("a b c d e f 汉字".encode(), np.uint8), np.array([0, 11, 18])
    signatures(data, offsets)
    shingle_sets(data, offsets)
    text_keys(data, offsets)
