"""How much of a text repeats itself: lines, paragraphs, n-grams of words, n-grams of tokens. Compiled, with the counts of utf8.py.

One convention for all of it: characters that lie in something which began earlier in the same text, each counted once, over all
characters; the first occurrence is free. Differs from datatrove on purpose (tests/kernels/test_repetition.py, with examples).

    word     As in utf8.py, of the whole text; what Gopher's rules are about.
    token    Of the prose: a word, or any other character but whitespace. In Chinese that is each character; a run of Latin
             letters or digits is one, so that a product's name or a date is no "repeated 13-gram".
    line     Without the blanks at its ends; blank lines are none. A paragraph is its lines.

The n-grams of a family are taken from short to long, and only places whose shorter n-gram may occur twice go on to the next
length: in prose few. Whether it may is told by a rough count (hashes in buckets), which costs a tenth of a hash table; the
table decides where it matters: for what is covered, and for the most frequent n-grams. Things are told apart by 64-bit
hashes: one false match in some 10^7 texts of 10^6 words.
"""

import numpy as np
from numba import njit

from pipeline.kernels import raw, tables
from pipeline.kernels.spans import PROSE
from pipeline.kernels.tables import CLASS_MASK, SPACE
from pipeline.kernels.utf8 import COUNTS, Buffers, buffers, count_text, next_break, solid, strip

TOP_WORDS = (2, 3, 4)  # Gopher, table A1
DUPLICATE_WORDS = (5, 6, 7, 8, 9, 10)
TOP_TOKENS = (4, 6, 8)  # about 2, 3 and 4 Chinese words (methods.md, section 9)
DUPLICATE_TOKENS = (8, 10, 13, 16, 20)

# The columns of `repeats`, in order: characters, but for the two counts of lines and paragraphs.
REPEATS = (
    "duplicate_lines",
    "duplicate_line_characters",
    "duplicate_paragraphs",
    "duplicate_paragraph_characters",
    "token_characters",
    *(f"top_{n}gram_characters" for n in TOP_WORDS),
    *(f"duplicate_{n}gram_characters" for n in DUPLICATE_WORDS),
    *(f"top_{n}token_characters" for n in TOP_TOKENS),
    *(f"duplicate_{n}token_characters" for n in DUPLICATE_TOKENS),
)

# Lengths from short to long, and the column that each fills (-1: none).
_WORD_LEVELS = np.array(sorted({*TOP_WORDS, *DUPLICATE_WORDS}), np.int64)
_WORD_TOP = np.array([REPEATS.index(f"top_{n}gram_characters") if n in TOP_WORDS else -1 for n in _WORD_LEVELS], np.int64)
_WORD_DUPLICATE = np.array(
    [REPEATS.index(f"duplicate_{n}gram_characters") if n in DUPLICATE_WORDS else -1 for n in _WORD_LEVELS], np.int64
)
_TOKEN_LEVELS = np.array(sorted({*TOP_TOKENS, *DUPLICATE_TOKENS}), np.int64)
_TOKEN_TOP = np.array([REPEATS.index(f"top_{n}token_characters") if n in TOP_TOKENS else -1 for n in _TOKEN_LEVELS], np.int64)
_TOKEN_DUPLICATE = np.array(
    [REPEATS.index(f"duplicate_{n}token_characters") if n in DUPLICATE_TOKENS else -1 for n in _TOKEN_LEVELS], np.int64
)
_TOKEN_CHARACTERS = REPEATS.index("token_characters")
_LINES = COUNTS.index("lines")

_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xBF58476D1CE4E5B9)
_D = np.uint64(0xD6E8FEB86659FD93)
_1 = np.uint64(1)
_32 = np.uint64(32)
_LOW_32 = np.uint64(0xFFFFFFFF)


@njit(cache=True, nogil=True)
def _slot(key: np.uint64, keys: np.ndarray, marks: np.ndarray, stamp: np.uint64, mask: np.uint64) -> np.uint64:
    """The slot that holds `key` under this stamp, or the free one where it belongs. A mark is a stamp and a count, 32 bits each."""
    s = key & mask
    while (marks[s] >> _32 == stamp) & (keys[s] != key):
        s = (s + _1) & mask
    return s


@njit(cache=True, nogil=True)
def _seen(key: np.uint64, keys: np.ndarray, marks: np.ndarray, stamp: np.uint64, mask: np.uint64) -> bool:
    """Whether `key` was asked for before under this stamp."""
    s = _slot(key, keys, marks, stamp, mask)
    before = marks[s] >> _32 == stamp
    keys[s] = key
    marks[s] = stamp << _32
    return before


@njit(cache=True, nogil=True)
def table_size(items: int) -> int:
    """Slots for so many things: a power of two, at most half full."""
    size = 16
    while size < 2 * items:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def _key(pairs: np.ndarray, i: int, n: int) -> np.uint64:
    """The hash of the `n` units from `i` on."""
    key = pairs[i]
    for k in range(2, n - 1, 2):
        key = key * _B + pairs[i + k]
    if n % 2:
        key = key * _D + pairs[i + n - 2]
    return key


@njit(cache=True, nogil=True)
def _most_frequent(b: Buffers, before: np.ndarray, n: int, places: int, most: int, mask: np.uint64) -> int:
    """Characters in repeats of the most frequent n-gram: of those the longest, and of those the one that was as frequent first.

    `most` is the highest rough count. Only places with rough counts near it are counted exactly; should none of them be as
    frequent as that promised, the rest follow.
    """
    pairs, place, slots, buckets, keys, marks = b.pairs, b.place, b.slots, b.buckets, b.keys, b.marks
    floor = most // 2 + 1
    while True:
        candidates = 0
        for p in range(places):
            slots[candidates] = place[p]
            candidates += buckets[_key(pairs, np.int64(place[p]), n) & mask] >= floor
        b.stamp[0] += _1
        stamp = b.stamp[0]
        table_mask = np.uint64(table_size(candidates) - 1)
        best = _1
        best_length = np.int64(0)
        best_key = np.uint64(0)
        for c in range(candidates):
            i = np.int64(slots[c])
            key = _key(pairs, i, n)
            s = _slot(key, keys, marks, stamp, table_mask)
            mark = marks[s]
            count = (mark & _LOW_32) * np.uint64(mark >> _32 == stamp) + _1
            keys[s] = key
            marks[s] = stamp << _32 | count
            if count >= best and count > _1:
                length = np.int64(before[i + n]) - np.int64(before[i])
                if count > best or length > best_length:
                    best = count
                    best_length = length
                    best_key = key
        if np.int64(best) >= floor or floor <= 2:
            break
        floor = max(2, np.int64(best))
    covered = 0
    if best > _1:
        end = -1  # the first one is free
        for c in range(candidates):
            i = np.int64(slots[c])
            if _key(pairs, i, n) == best_key:
                if end >= 0:
                    covered += np.int64(before[i + n]) - np.int64(before[max(i, end)])
                    end = i + n
                else:
                    end = 0
    return covered


@njit(cache=True, nogil=True)
def _covered(b: Buffers, before: np.ndarray, n: int, places: int) -> tuple[int, int]:
    """Characters in n-grams that began earlier, each once; and how many places are left, which occur twice for certain."""
    pairs, place, slots, keys, marks = b.pairs, b.place, b.slots, b.keys, b.marks
    b.stamp[0] += _1
    stamp = b.stamp[0]
    mask = np.uint64(table_size(places) - 1)
    end = 0
    covered = 0
    for p in range(places):
        i = np.int64(place[p])
        key = _key(pairs, i, n)
        s = _slot(key, keys, marks, stamp, mask)
        mark = marks[s]
        again = mark >> _32 == stamp
        keys[s] = key
        marks[s] = stamp << _32 | np.uint64(again)
        slots[p] = s
        if again:
            covered += np.int64(before[i + n]) - np.int64(before[max(i, end)])
            end = i + n
    kept = 0
    for p in range(places):
        place[kept] = place[p]
        kept += np.int64(marks[np.uint64(slots[p])] & _1)
    return covered, kept


@njit(cache=True, nogil=True)
def _ngrams(b: Buffers, hashes: np.ndarray, before: np.ndarray, units: int, levels: np.ndarray, top: np.ndarray, duplicate: np.ndarray, out: np.ndarray) -> None:
    """Characters of repeats per length, into `out`. `hashes` (units,) well mixed; `before` (units + 1,): characters before each."""
    if units <= levels[0]:
        return
    pairs, place, buckets = b.pairs, b.place, b.buckets
    for i in range(units - 1):
        pairs[i] = hashes[i] * _A + hashes[i + 1]
    places = units - levels[0] + 1
    for i in range(places):
        place[i] = i
    for level in range(levels.size):
        n = levels[level]
        while places and np.int64(place[places - 1]) + n > units:
            places -= 1
        if places < 2:
            break
        if duplicate[level] < 0 or places > 64:
            # The rough count. Eight buckets a place: one in eight of the lonely n-grams goes on for nothing.
            mask = np.uint64(4 * table_size(places) - 1)
            buckets[: np.int64(mask) + 1] = 0
            most = 0
            for p in range(places):
                bucket = _key(pairs, np.int64(place[p]), n) & mask
                count = np.int64(buckets[bucket]) + 1
                buckets[bucket] = min(count, 255)
                most = max(most, count)
            if most < 2:
                break
            if top[level] >= 0:
                out[top[level]] = _most_frequent(b, before, n, places, min(most, 255), mask)
            kept = 0
            for p in range(places):
                i = place[p]
                place[kept] = i
                kept += buckets[_key(pairs, np.int64(i), n) & mask] > 1
            places = kept
        elif top[level] >= 0:
            mask = np.uint64(0)
            buckets[0] = 255
            out[top[level]] = _most_frequent(b, before, n, places, 2, mask)
        if duplicate[level] >= 0:
            out[duplicate[level]], places = _covered(b, before, n, places)


@njit(cache=True, nogil=True)
def _lines(
    data: np.ndarray,
    start_byte: int,
    cp: np.ndarray,
    prop: np.ndarray,
    at: np.ndarray,
    n: int,
    special: np.ndarray,
    specials: int,
    keys: np.ndarray,
    marks: np.ndarray,
    stamp: np.uint64,
    lines: int,
    out: np.ndarray,
) -> None:
    """Lines and paragraphs that stood earlier in the text."""
    # Both share a table, and no text has more of them than characters; a paragraph's key never means a line.
    mask = np.uint64(table_size(2 * lines) - 1)
    paragraph = np.uint64(0)
    paragraph_start = 0
    in_paragraph = False
    start = 0
    s = 0
    while start <= n:
        s = next_break(cp, n, special, specials, s)
        stop = np.int64(special[s]) if s < specials else n
        a, b = strip(prop, start, stop)
        if a < b:
            key = raw.hash_bytes(data, start_byte + np.int64(at[a]), start_byte + np.int64(at[b]))
            if not in_paragraph:
                in_paragraph = True
                paragraph = _D
                paragraph_start = a
            paragraph = (paragraph ^ key) * _B
            if _seen(key, keys, marks, stamp, mask):
                out[0] += 1
                out[1] += solid(prop, a, b)
        if in_paragraph and (a == b or stop >= n):
            if _seen(raw.mix(paragraph), keys, marks, stamp, mask):
                out[2] += 1
                out[3] += solid(prop, paragraph_start, stop)
            in_paragraph = False
        if stop < n and cp[stop] == 13 and stop + 1 < n and cp[stop + 1] == 10:
            stop += 1
        start = stop + 1
        s += 1


@njit(cache=True, nogil=True)
def _find_tokens(data: np.ndarray, start: int, n: int, words: int, b: Buffers) -> int:
    """Write the hashes of words and of tokens, and the characters before each; returns how many tokens there are."""
    cp, prop, at, kind, first, last = b.cp, b.prop, b.at, b.kind, b.first, b.last
    tokens = 0
    gap = 0
    b.before[0] = 0
    b.tokens_before[0] = 0
    for w in range(words + 1):
        a = np.int64(first[w]) if w < words else n
        for k in range(gap, a):
            if prop[k] & CLASS_MASK != SPACE and kind[k] == PROSE:
                b.token_hashes[tokens] = raw.mix(np.uint64(cp[k]) + _A)
                b.tokens_before[tokens + 1] = b.tokens_before[tokens] + np.uint32(1)
                tokens += 1
        if w == words:
            break
        gap = np.int64(last[w])
        if gap - a == 1:
            h = raw.mix(np.uint64(cp[a]) + _A)
        else:
            h = raw.hash_bytes(data, start + np.int64(at[a]), start + np.int64(at[gap]))
        b.hashes[w] = h
        b.before[w + 1] = b.before[w] + np.uint32(gap - a)
        if kind[a] == PROSE:
            b.token_hashes[tokens] = h
            b.tokens_before[tokens + 1] = b.tokens_before[tokens] + np.uint32(gap - a)
            tokens += 1
    return tokens


@njit(cache=True, nogil=True)
def _repeats(
    data: np.ndarray, offsets: np.ndarray, table: np.ndarray, b: Buffers, out: np.ndarray, entropy: np.ndarray, repeated: np.ndarray
) -> None:
    for t in range(offsets.size - 1):
        start = offsets[t]
        n, specials, words, entropy[t] = count_text(data, start, offsets[t + 1], table, b, out[t])
        if b.stamp[0] > np.uint64(0xFFFF0000):  # 32 bits of a mark are the stamp: after some 10^8 texts, begin again
            b.marks[:] = 0
            b.stamp[0] = 0
        b.stamp[0] += _1
        _lines(data, start, b.cp, b.prop, b.at, n, b.special, specials, b.keys, b.marks, b.stamp[0], out[t, _LINES], repeated[t])
        tokens = _find_tokens(data, start, n, words, b)
        repeated[t, _TOKEN_CHARACTERS] = b.tokens_before[tokens]
        _ngrams(b, b.hashes, b.before, words, _WORD_LEVELS, _WORD_TOP, _WORD_DUPLICATE, repeated[t])
        _ngrams(b, b.token_hashes, b.tokens_before, tokens, _TOKEN_LEVELS, _TOKEN_TOP, _TOKEN_DUPLICATE, repeated[t])


def repeats(data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What utf8.count returns, and REPEATS of each text: (texts, len(REPEATS)) int64. One decoding serves both."""
    out = np.zeros((offsets.size - 1, len(COUNTS)), np.int64)
    entropy = np.zeros(offsets.size - 1, np.float64)
    repeated = np.zeros((offsets.size - 1, len(REPEATS)), np.int64)
    _repeats(data, offsets, tables.properties(), buffers(offsets), out, entropy, repeated)
    return out, entropy, repeated


def warm() -> None:
    """Compile or load the kernel."""
    repeats(np.frombuffer(b"one two", np.uint8), np.array([0, 7], np.int64))
