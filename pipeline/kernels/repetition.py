"""How much of a text repeats itself: lines, paragraphs, n-grams of words, n-grams of tokens. Compiled, with the counts of counting.py.

One convention for all of it: characters that lie in something which began earlier in the same text, each counted once, over all
characters; the first occurrence is free. Differs from datatrove on purpose (tests/kernels/test_repetition.py, with examples).

    word     As in utf8.py, of the whole text; what Gopher's rules are about.
    token    Of the prose: a word, or any other character but whitespace. In Chinese that is each character; a run of Latin
             letters or digits is one, so that a product's name or a date is no "repeated 13-gram".
    line     Without the blanks at its ends; blank lines are none. A paragraph is its lines. A line of prose is one that does not
             both begin and end in code or TeX: the braces of a code block repeat, and say nothing.

The n-grams of a family are taken from short to long, and only places whose shorter n-gram may occur twice go on to the next
length: in prose few. Whether it may is told by a rough count (hashes in buckets), which costs a tenth of a hash table; the
table decides where it matters: for what is covered, and for the most frequent n-grams. Things are told apart by 64-bit
hashes: one false match in some 10^7 texts of 10^6 words.
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"
# numba infers the types of compiled code itself; to mypy every NumPy number in it is a mistake.

import numpy as np
from numba import njit

from pipeline.kernels import raw, tables
from pipeline.kernels.counting import COUNTS, count_text
from pipeline.kernels.spans import PROSE, URL
from pipeline.kernels.tables import CLASS_MASK, SPACE
from pipeline.kernels.utf8 import Buffers, buffers, next_break, solid, strip

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
    "prose_lines",
    "duplicate_prose_lines",
    "duplicate_prose_line_characters",
    "token_characters",
    *(f"top_{n}gram_characters" for n in TOP_WORDS),
    *(f"duplicate_{n}gram_characters" for n in DUPLICATE_WORDS),
    *(f"top_{n}token_characters" for n in TOP_TOKENS),
    *(f"duplicate_{n}token_characters" for n in DUPLICATE_TOKENS),
)

# Lengths from short to long, and the column that each fills (-1: none).
_WORD_LEVELS = np.array(sorted({*TOP_WORDS, *DUPLICATE_WORDS}), np.int64)
_WORD_TOP = np.array([REPEATS.index(f"top_{n}gram_characters") if n in TOP_WORDS else -1 for n in _WORD_LEVELS], np.int64)
_WORD_DUPLICATE = np.array([REPEATS.index(f"duplicate_{n}gram_characters") if n in DUPLICATE_WORDS else -1 for n in _WORD_LEVELS], np.int64)
_TOKEN_LEVELS = np.array(sorted({*TOP_TOKENS, *DUPLICATE_TOKENS}), np.int64)
_TOKEN_TOP = np.array([REPEATS.index(f"top_{n}token_characters") if n in TOP_TOKENS else -1 for n in _TOKEN_LEVELS], np.int64)
_TOKEN_DUPLICATE = np.array([REPEATS.index(f"duplicate_{n}token_characters") if n in DUPLICATE_TOKENS else -1 for n in _TOKEN_LEVELS], np.int64)
_TOKEN_CHARACTERS = REPEATS.index("token_characters")
_LINES = COUNTS.index("lines")
_LINE_COLUMN = REPEATS.index("duplicate_lines")  # and the six after it

_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xBF58476D1CE4E5B9)
_D = np.uint64(0xD6E8FEB86659FD93)
_0 = np.uint64(0)
_1 = np.uint64(1)
_2 = np.uint64(2)
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
def _write_keys(pairs: np.ndarray, place: np.ndarray, places: int, n: int, key: np.ndarray) -> None:
    """The hash of the `n` units from each place on."""
    if n == 3:
        for p in range(places):
            i = np.uint64(place[p])
            key[p] = pairs[i] * _D + pairs[i + _1]
    elif n == 4:
        for p in range(places):
            i = np.uint64(place[p])
            key[p] = pairs[i] * _B + pairs[i + _2]
    else:
        for p in range(places):
            i = np.int64(place[p])
            h = pairs[i]
            for k in range(2, n - 1, 2):
                h = h * _B + pairs[i + k]
            if n % 2:
                h = h * _D + pairs[i + n - 2]
            key[p] = h


@njit(cache=True, nogil=True)
def _rough_counts(key: np.ndarray, places: int, buckets: np.ndarray, mask: np.uint64) -> int:
    """Count keys in buckets, up to 255 each; returns the highest count."""
    raw.clear(buckets, np.int64(mask) + 1)
    most = np.uint8(0)
    for p in range(places):
        bucket = key[p] & mask
        count = buckets[bucket]
        most = max(most, count)
        buckets[bucket] = count + np.uint8(count != 255)
    return min(255, np.int64(most) + 1)


@njit(cache=True, nogil=True)
def _most_frequent(
    before: np.ndarray,
    n: int,
    place: np.ndarray,
    key: np.ndarray,
    places: int,
    keys: np.ndarray,
    marks: np.ndarray,
    stamp: np.uint64,
) -> tuple[int, int]:
    """How often the most frequent of these n-grams occurs, and the characters in its repeats.

    Of the most frequent ones the longest, and of those the one that was as frequent first.
    """
    mask = np.uint64(table_size(places) - 1)
    best = _1
    best_length = np.int64(0)
    best_key = _0
    for p in range(places):
        s = _slot(key[p], keys, marks, stamp, mask)
        mark = marks[s]
        count = (mark & _LOW_32) * np.uint64(mark >> _32 == stamp) + _1
        keys[s] = key[p]
        marks[s] = stamp << _32 | count
        if count >= best and count > _1:
            i = np.int64(place[p])
            length = np.int64(before[i + n]) - np.int64(before[i])
            if count > best or length > best_length:
                best = count
                best_length = length
                best_key = key[p]
    covered = 0
    if best > _1:
        end = -1  # the first one is free
        for p in range(places):
            if key[p] == best_key:
                i = np.int64(place[p])
                if end >= 0:
                    covered += np.int64(before[i + n]) - np.int64(before[max(i, end)])
                    end = i + n
                else:
                    end = 0
    return np.int64(best), covered


@njit(cache=True, nogil=True)
def _covered(
    before: np.ndarray,
    n: int,
    place: np.ndarray,
    key: np.ndarray,
    places: int,
    slots: np.ndarray,
    keys: np.ndarray,
    marks: np.ndarray,
    stamp: np.uint64,
) -> tuple[int, int]:
    """Characters in n-grams that began earlier, each once; and how many places are left, which occur twice for certain."""
    mask = np.uint64(table_size(places) - 1)
    end = 0
    covered = 0
    for p in range(places):
        s = _slot(key[p], keys, marks, stamp, mask)
        again = marks[s] >> _32 == stamp
        keys[s] = key[p]
        marks[s] = stamp << _32 | np.uint64(again)
        slots[p] = s
        if again:
            i = np.int64(place[p])
            covered += np.int64(before[i + n]) - np.int64(before[max(i, end)])
            end = i + n
    kept = 0
    for p in range(places):
        place[kept] = place[p]
        kept += np.int64(marks[np.uint64(slots[p])] & _1)
    return covered, kept


@njit(cache=True, nogil=True)
def _ngrams(
    hashes: np.ndarray,  # (units,) uint64, well mixed
    before: np.ndarray,  # (units + 1,): characters before each
    units: int,
    levels: np.ndarray,
    top: np.ndarray,
    duplicate: np.ndarray,
    out: np.ndarray,
    b: Buffers,
) -> None:
    """Characters of repeats per length, into `out`. The first length is 2 or 4, and one whose most frequent n-gram is wanted."""
    pairs, place, key, slots, picked, buckets, keys, marks = b.pairs, b.place, b.key, b.slots, b.picked, b.buckets, b.keys, b.marks
    other = b.other_place
    n = levels[0]
    places = units - n + 1
    if places < 2:
        return
    for i in range(units - 1):
        pairs[i] = hashes[i] * _A + hashes[i + 1]
    if n == 2:
        key = pairs
    else:
        for i in range(places):
            key[i] = pairs[i] * _B + pairs[i + 2]
    for level in range(levels.size):
        if level > 0:
            n = levels[level]
            while places and np.int64(place[places - 1]) + n > units:
                places -= 1
            key = b.key
            _write_keys(pairs, place, places, n, key)
        if places < 2:
            break
        if top[level] >= 0:
            # Four to eight buckets a place: one in six of the lonely n-grams goes on for nothing.
            mask = np.uint64(2 * table_size(places) - 1)
            most = _rough_counts(key, places, buckets, mask)
            if most < 2:
                break
            # First only the fullest buckets are counted exactly. Should several n-grams share them, so that none is as frequent as
            # that, the best found is a floor: all buckets with as many hold whatever is as frequent or more.
            kept = _0
            chosen = _0
            for p in range(places):
                k = key[p]
                i = np.uint32(p) if level == 0 else place[p]
                count = np.int64(buckets[k & mask])
                other[kept] = i
                slots[chosen] = i
                picked[chosen] = k
                kept += np.uint64(count > 1)
                chosen += np.uint64(count == most)
            place, other = other, place
            places = np.int64(kept)
            b.stamp[0] += _1
            best, out[top[level]] = _most_frequent(before, n, slots, picked, np.int64(chosen), keys, marks, b.stamp[0])
            if best < most and most > 2:
                floor = max(2, best)
                key = b.key
                _write_keys(pairs, place, places, n, key)
                chosen = _0
                for p in range(places):
                    slots[chosen] = place[p]
                    picked[chosen] = key[p]
                    chosen += np.uint64(np.int64(buckets[key[p] & mask]) >= floor)
                b.stamp[0] += _1
                best, out[top[level]] = _most_frequent(before, n, slots, picked, np.int64(chosen), keys, marks, b.stamp[0])
        if duplicate[level] >= 0 and places:
            if top[level] >= 0:
                key = b.key
                _write_keys(pairs, place, places, n, key)
            b.stamp[0] += _1
            out[duplicate[level]], places = _covered(before, n, place, key, places, slots, keys, marks, b.stamp[0])


@njit(cache=True, nogil=True)
def _solid_prose(prop: np.ndarray, kind: np.ndarray, start: int, stop: int) -> int:
    """Characters of the prose but whitespace."""
    total = 0
    for k in range(start, stop):
        total += (prop[k] & CLASS_MASK != SPACE) & (kind[k] == PROSE)
    return total


@njit(cache=True, nogil=True)
def _lines(data: np.ndarray, start_byte: int, n: int, specials: int, lines: int, b: Buffers, out: np.ndarray) -> None:
    """Lines and paragraphs that stood earlier in the text."""
    cp, prop, at, kind, special, keys, marks = b.cp, b.prop, b.at, b.kind, b.special, b.keys, b.marks
    stamp = b.stamp[0]
    # Both share a table; a paragraph's key never means a line.
    mask = np.uint64(table_size(2 * lines) - 1)
    duplicates = duplicate_characters = blocks = block_characters = prose = prose_duplicates = prose_characters = 0
    paragraph = _0
    paragraph_start = 0
    in_paragraph = False
    start = 0
    s = 0
    while start <= n:
        s = next_break(cp, special, specials, s)
        stop = np.int64(special[s]) if s < specials else n
        first, last = strip(prop, start, stop)
        if first < last:
            key = raw.hash_bytes(data, start_byte + np.int64(at[first]), start_byte + np.int64(at[last]))
            if not in_paragraph:
                in_paragraph = True
                paragraph = _D
                paragraph_start = first
            paragraph = (paragraph ^ key) * _B
            is_prose = kind[first] <= URL or kind[last - 1] <= URL
            prose += is_prose
            if _seen(key, keys, marks, stamp, mask):
                duplicates += 1
                duplicate_characters += solid(prop, first, last)
                if is_prose:
                    prose_duplicates += 1
                    prose_characters += _solid_prose(prop, kind, first, last)
        if in_paragraph and (first == last or stop >= n):
            if _seen(raw.mix(paragraph), keys, marks, stamp, mask):
                blocks += 1
                block_characters += solid(prop, paragraph_start, stop)
            in_paragraph = False
        if stop < n and cp[stop] == 13 and stop + 1 < n and cp[stop + 1] == 10:
            stop += 1
        start = stop + 1
        s += 1
    out[_LINE_COLUMN] = duplicates
    out[_LINE_COLUMN + 1] = duplicate_characters
    out[_LINE_COLUMN + 2] = blocks
    out[_LINE_COLUMN + 3] = block_characters
    out[_LINE_COLUMN + 4] = prose
    out[_LINE_COLUMN + 5] = prose_duplicates
    out[_LINE_COLUMN + 6] = prose_characters


@njit(cache=True, nogil=True)
def _find_tokens(
    cp: np.ndarray,
    prop: np.ndarray,
    kind: np.ndarray,
    n: int,
    words: int,
    first: np.ndarray,
    last: np.ndarray,
    hashes: np.ndarray,
    token_hashes: np.ndarray,
    before: np.ndarray,
) -> int:
    """Write the hashes of tokens, and the characters before each; returns how many there are."""
    tokens = _0
    gap = _0
    characters = np.uint32(0)
    for w in range(words + 1):
        a = np.uint64(first[w]) if w < words else np.uint64(n)
        for k in range(gap, a):
            if prop[k] & CLASS_MASK != SPACE and kind[k] == PROSE:
                token_hashes[tokens] = raw.mix(np.uint64(cp[k]) + _A)
                before[tokens] = characters
                characters += np.uint32(1)
                tokens += _1
        if w == words:
            break
        gap = np.uint64(last[w])
        token_hashes[tokens] = hashes[w]
        before[tokens] = characters
        prose = kind[a] == PROSE
        characters += np.uint32(gap - a) * np.uint32(prose)
        tokens += np.uint64(prose)
    before[tokens] = characters
    return np.int64(tokens)


@njit(cache=True, nogil=True)
def _repeats(
    data: np.ndarray, offsets: np.ndarray, table: np.ndarray, b: Buffers, out: np.ndarray, entropy: np.ndarray, repeated: np.ndarray, ngrams: bool
) -> None:
    for t in range(offsets.size - 1):
        start = offsets[t]
        n, specials, words, entropy[t] = count_text(data, start, offsets[t + 1], table, b, out[t])
        if b.stamp[0] > np.uint64(0xFFFF0000):  # 32 bits of a mark are the stamp: after some 10^8 texts, begin again
            b.marks[:] = 0
            b.stamp[0] = 0
        b.stamp[0] += _1
        _lines(data, start, n, specials, out[t, _LINES], b, repeated[t])
        if ngrams:
            tokens = _find_tokens(b.cp, b.prop, b.kind, n, words, b.first, b.last, b.hashes, b.token_hashes, b.tokens_before)
            repeated[t, _TOKEN_CHARACTERS] = b.tokens_before[tokens]
            _ngrams(b.hashes, b.before, words, _WORD_LEVELS, _WORD_TOP, _WORD_DUPLICATE, repeated[t], b)
            _ngrams(b.token_hashes, b.tokens_before, tokens, _TOKEN_LEVELS, _TOKEN_TOP, _TOKEN_DUPLICATE, repeated[t], b)


def repeats(data: np.ndarray, offsets: np.ndarray, ngrams: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What counting.count returns, and REPEATS of each text: (texts, len(REPEATS)) int64. One decoding serves both.

    Without `ngrams`, which take most of the time, the columns of lines and paragraphs alone are filled."""
    out = np.zeros((offsets.size - 1, len(COUNTS)), np.int64)
    entropy = np.zeros(offsets.size - 1, np.float64)
    repeated = np.zeros((offsets.size - 1, len(REPEATS)), np.int64)
    _repeats(raw.frozen(data), raw.frozen(offsets), tables.properties(), buffers(offsets), out, entropy, repeated, ngrams)
    return out, entropy, repeated


def warm() -> None:
    """Compile or load the kernel."""
    repeats(np.frombuffer(b"one two", np.uint8), np.array([0, 7], np.int64))
