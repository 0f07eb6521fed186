"""How much of a text repeats itself: lines, paragraphs, n-grams of words, n-grams of tokens. Compiled, with the counts of utf8.py.

One convention for all of it: characters that lie in something which began earlier in the same text, each counted once, over all
characters; the first occurrence is free. Differs from datatrove on purpose (tests/kernels/test_repetition.py, with examples).

    word     As in utf8.py, of the whole text; what Gopher's rules are about.
    token    Of the prose: a word, or any other character but whitespace. In Chinese that is each character; a run of Latin
             letters or digits is one, so that a product's name or a date is no "repeated 13-gram".
    line     Without the blanks at its ends; blank lines are none. A paragraph is its lines.

The n-grams of a family are taken from short to long, and only places whose shorter n-gram occurs twice go on to the next
length: in prose a few per cent. So nine lengths of word n-grams cost about as much as two. Things are told apart by 64-bit
hashes: one false match in some 10^7 texts of 10^6 words. Tables are used again for the next text and length, under a new stamp.
"""

import numpy as np
from numba import njit

from pipeline.kernels import raw, tables
from pipeline.kernels.spans import PROSE, find_spans
from pipeline.kernels.tables import CLASS_MASK, CODE_POINTS, SPACE
from pipeline.kernels.utf8 import COUNTS, count_text, decode, longest_text, next_break, solid, strip

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
def _ngrams(
    hashes: np.ndarray,  # (units,) uint64, well mixed
    before: np.ndarray,  # (units + 1,): characters before each unit
    units: int,
    levels: np.ndarray,
    top: np.ndarray,
    duplicate: np.ndarray,
    out: np.ndarray,
    keys: np.ndarray,
    marks: np.ndarray,
    stamp: np.uint64,
    place: np.ndarray,
    slots: np.ndarray,
    pairs: np.ndarray,
) -> np.uint64:
    """Characters of repeats per length, into `out`; returns the last stamp used.

    Of the most frequent n-grams the longest is taken, and of those the one that was as frequent first.
    """
    if units < levels[0]:
        return stamp
    for i in range(units - 1):
        pairs[i] = hashes[i] * _A + hashes[i + 1]
    places = 0
    for level in range(levels.size):
        n = levels[level]
        if level == 0:
            places = units - n + 1
            for i in range(places):
                place[i] = i
        else:
            while places and place[places - 1] + n > units:
                places -= 1
        if places == 0:
            break
        stamp += _1
        stamped = stamp << _32
        mask = np.uint64(table_size(places) - 1)
        best = _1
        best_length = np.int64(1) << 62
        best_slot = np.uint32(0)
        end = 0
        covered = 0
        top_column = top[level]
        duplicate_column = duplicate[level]
        for p in range(places):
            i = np.int64(place[p])
            key = pairs[i]
            for k in range(2, n - 1, 2):
                key = key * _B + pairs[i + k]
            if n % 2:
                key = key * _D + pairs[i + n - 2]
            s = _slot(key, keys, marks, stamp, mask)
            mark = marks[s]
            again = mark >> _32 == stamp
            count = (mark & _LOW_32) * np.uint64(again) + _1
            keys[s] = key
            marks[s] = stamped | count
            slots[p] = s
            if top_column >= 0 and count >= best:
                length = np.int64(before[i + n]) - np.int64(before[i])
                if count > best or length > best_length:
                    best = count
                    best_length = length
                    best_slot = np.uint32(s)
            if duplicate_column >= 0 and again:
                covered += np.int64(before[i + n]) - np.int64(before[max(i, end)])
                end = i + n
        if duplicate_column >= 0:
            out[duplicate_column] = covered
        if top_column >= 0 and best > _1:
            covered = 0
            end = 0
            first = True
            for p in range(places):
                if slots[p] == best_slot:
                    i = np.int64(place[p])
                    if not first:
                        covered += np.int64(before[i + n]) - np.int64(before[max(i, end)])
                        end = i + n
                    first = False
            out[top_column] = covered
        kept = 0
        for p in range(places):
            place[kept] = place[p]
            kept += (marks[np.uint64(slots[p])] & _LOW_32) > _1
        places = kept
    return stamp


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
    out: np.ndarray,
) -> np.uint64:
    """Lines and paragraphs that stood earlier in the text; returns the last stamp used."""
    stamp += _1
    # Lines and paragraphs share a table, at most two things a line break and one more; a paragraph's key never means a line.
    mask = np.uint64(table_size(2 * specials + 2) - 1)
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
    return stamp


@njit(cache=True, nogil=True)
def repeats(data: np.ndarray, offsets: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What utf8.count returns, and REPEATS of each text: (texts, len(REPEATS)) int64. One decoding serves both."""
    texts = offsets.size - 1
    out = np.zeros((texts, len(COUNTS)), np.int64)
    entropy = np.zeros(texts, np.float64)
    repeated = np.zeros((texts, len(REPEATS)), np.int64)
    size = longest_text(offsets)
    cp = np.empty(size, np.uint32)
    prop = np.empty(size, np.uint16)
    at = np.empty(size, np.uint32)
    special = np.empty(size, np.uint32)
    kind = np.empty(size, np.uint8)
    inside = np.empty(size, np.uint16)
    first = np.empty(size, np.uint32)
    last = np.empty(size, np.uint32)
    histogram = np.zeros(2 * CODE_POINTS, np.int32)
    seen = np.empty(min(size, 2 * CODE_POINTS) + 1, np.uint32)
    hashes = np.empty(size, np.uint64)
    pairs = np.empty(size, np.uint64)
    before = np.zeros(size, np.uint32)
    token_hashes = np.empty(size, np.uint64)
    tokens_before = np.zeros(size, np.uint32)
    place = np.empty(size, np.uint32)
    slots = np.empty(size, np.uint32)
    keys = np.empty(table_size(2 * size), np.uint64)
    marks = np.zeros(keys.size, np.uint64)
    stamp = np.uint64(0)  # 32 bits of it are used: some 10^8 texts a call
    for t in range(texts):
        row = repeated[t]
        start = offsets[t]
        n, specials = decode(data, start, offsets[t + 1], table, cp, prop, at, special)
        spans = find_spans(cp, n, special, specials, kind)
        words, entropy[t] = count_text(
            data, start, offsets[t + 1], n, specials, spans, table, cp, prop, at, special, kind, inside, first, last, histogram, seen, out[t]
        )
        stamp = _lines(data, start, cp, prop, at, n, special, specials, keys, marks, stamp, row)
        tokens = 0
        gap = 0
        for w in range(words + 1):
            a = np.int64(first[w]) if w < words else n
            for k in range(gap, a):
                if prop[k] & CLASS_MASK != SPACE and kind[k] == PROSE:
                    token_hashes[tokens] = raw.mix(np.uint64(cp[k]) + _A)
                    tokens_before[tokens + 1] = tokens_before[tokens] + np.uint32(1)
                    tokens += 1
            if w == words:
                break
            gap = np.int64(last[w])
            h = raw.hash_bytes(data, start + np.int64(at[a]), start + np.int64(at[gap]))
            hashes[w] = h
            before[w + 1] = before[w] + np.uint32(gap - a)
            if kind[a] == PROSE:
                token_hashes[tokens] = h
                tokens_before[tokens + 1] = tokens_before[tokens] + np.uint32(gap - a)
                tokens += 1
        row[_TOKEN_CHARACTERS] = tokens_before[tokens]
        stamp = _ngrams(hashes, before, words, _WORD_LEVELS, _WORD_TOP, _WORD_DUPLICATE, row, keys, marks, stamp, place, slots, pairs)
        stamp = _ngrams(
            token_hashes, tokens_before, tokens, _TOKEN_LEVELS, _TOKEN_TOP, _TOKEN_DUPLICATE, row, keys, marks, stamp, place, slots, pairs
        )
    return out, entropy, repeated


def warm() -> None:
    """Compile or load the kernel."""
    repeats(np.frombuffer(b"one two", np.uint8), np.array([0, 7], np.int64), tables.properties())
