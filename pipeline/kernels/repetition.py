"""How much of a text repeats itself: lines, paragraphs, n-grams of words, n-grams of characters. Compiled.

One convention for all of it: characters that lie in something which began earlier in the same text, each counted once, over all
characters; the first occurrence is free. Differs from datatrove on purpose (tests/kernels/test_repetition.py, with examples).

The n-grams of a family are taken from short to long, and only places whose shorter n-gram occurs twice go on to the next
length: in prose a few per cent. So nine lengths of word n-grams cost about as much as two. Things are told apart by 64-bit
hashes: one false match in some 10^7 texts of 10^6 words. Tables are used again for the next text and length, under a new stamp.
"""

import numpy as np
from numba import njit

from pipeline.kernels import tables
from pipeline.kernels.spans import PROSE, find_spans
from pipeline.kernels.tables import CLASS_MASK, SPACE
from pipeline.kernels.utf8 import decode, find_words

TOP_WORDS = (2, 3, 4)  # Gopher, table A1
DUPLICATE_WORDS = (5, 6, 7, 8, 9, 10)
TOP_CHARACTERS = (4, 6, 8)  # about 2, 3 and 4 Chinese words (methods.md, section 9)
DUPLICATE_CHARACTERS = (8, 10, 13, 16, 20)

# The columns of `repeats`, in order.
LINE_REPEATS = ("duplicate_lines", "duplicate_line_characters", "duplicate_paragraphs", "duplicate_paragraph_characters", "solid_characters")
WORD_REPEATS = tuple(f"top_{n}gram_characters" for n in TOP_WORDS) + tuple(f"duplicate_{n}gram_characters" for n in DUPLICATE_WORDS)
CHARACTER_REPEATS = tuple(f"top_{n}character_characters" for n in TOP_CHARACTERS) + tuple(
    f"duplicate_{n}character_characters" for n in DUPLICATE_CHARACTERS
)

_WORD_LEVELS = np.array([2, 3, 4, 5, 6, 7, 8, 9, 10], np.int64)
_WORD_TOP = np.array([0, 1, 2, -1, -1, -1, -1, -1, -1], np.int64)  # the column of each length, -1: not wanted
_WORD_DUPLICATE = np.array([-1, -1, -1, 3, 4, 5, 6, 7, 8], np.int64)
_CHARACTER_LEVELS = np.array([4, 6, 8, 10, 13, 16, 20], np.int64)
_CHARACTER_TOP = np.array([0, 1, 2, -1, -1, -1, -1], np.int64)
_CHARACTER_DUPLICATE = np.array([-1, -1, 3, 4, 5, 6, 7], np.int64)

_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xBF58476D1CE4E5B9)
_C = np.uint64(0x94D049BB133111EB)
_D = np.uint64(0xD6E8FEB86659FD93)


@njit(cache=True, nogil=True)
def _mix(h: np.uint64) -> np.uint64:
    """Spread what differs over all 64 bits (the finisher of splitmix64)."""
    h = (h ^ (h >> np.uint64(30))) * _B
    h = (h ^ (h >> np.uint64(27))) * _C
    return h ^ (h >> np.uint64(31))


@njit(cache=True, nogil=True)
def _find(key: np.uint64, slot_key: np.ndarray, slot_stamp: np.ndarray, stamp: int, mask: int) -> int:
    """The slot that holds `key` under this stamp, or the free one where it belongs."""
    s = np.int64(key & np.uint64(mask))
    while slot_stamp[s] == stamp and slot_key[s] != key:
        s = (s + 1) & mask
    return s


@njit(cache=True, nogil=True)
def _grams(
    hashes: np.ndarray,  # (units,) uint64, well mixed
    before: np.ndarray,  # (units + 1,) int64: characters before each unit
    units: int,
    levels: np.ndarray,
    top: np.ndarray,
    duplicate: np.ndarray,
    out: np.ndarray,
    slot_key: np.ndarray,
    slot_stamp: np.ndarray,
    slot_count: np.ndarray,
    slot_last: np.ndarray,
    stamp: int,
    place: np.ndarray,
    slot_of: np.ndarray,
    four: np.ndarray,
) -> int:
    """Characters of repeats per length, into `out`; returns the next free stamp."""
    if units < levels[0]:
        return stamp
    for i in range(units - 3):
        four[i] = ((hashes[i] * _A + hashes[i + 1]) * _B + hashes[i + 2]) * _C + hashes[i + 3]
    places = 0
    for level in range(levels.size):
        n = levels[level]
        if units < n:
            break
        if level == 0:
            places = units - n + 1
            for i in range(places):
                place[i] = i
        size = 16
        while size < 2 * places:
            size *= 2
        mask = size - 1
        stamp += 1
        best = 0
        best_length = 0
        end = 0
        covered = 0
        for p in range(places):
            i = np.int64(place[p])
            if i + n > units:
                places = p
                break
            if n == 2:
                key = hashes[i] * _A + hashes[i + 1]
            elif n == 3:
                key = (hashes[i] * _A + hashes[i + 1]) * _B + hashes[i + 2]
            elif n == 4:
                key = four[i]
            elif n <= 8:
                key = four[i] * _D + four[i + n - 4]
            elif n <= 12:
                key = (four[i] * _D + four[i + 4]) * _A + four[i + n - 4]
            elif n <= 16:
                key = ((four[i] * _D + four[i + 4]) * _A + four[i + 8]) * _B + four[i + n - 4]
            else:
                key = (((four[i] * _D + four[i + 4]) * _A + four[i + 8]) * _B + four[i + 12]) * _C + four[i + n - 4]
            key = _mix(key)
            s = _find(key, slot_key, slot_stamp, stamp, mask)
            if slot_stamp[s] != stamp:
                slot_stamp[s] = stamp
                slot_key[s] = key
                slot_count[s] = 1
                slot_last[s] = i + n
                slot_of[p] = s
            else:
                # The second sight marks the slot, whether or not it overlaps the first.
                if i >= slot_last[s]:
                    slot_count[s] += 1
                    slot_last[s] = i + n
                    if top[level] >= 0:
                        count = slot_count[s] & 0x3FFFFFFF
                        length = before[i + n] - before[i]
                        if count > best or (count == best and length > best_length):
                            best = count
                            best_length = length
                slot_count[s] |= 0x40000000
                slot_of[p] = s
                if duplicate[level] >= 0:
                    covered += before[i + n] - before[max(i, end)]
                    end = i + n
        if top[level] >= 0 and best > 1:
            out[top[level]] = (best - 1) * best_length
        if duplicate[level] >= 0:
            out[duplicate[level]] = covered
        kept = 0
        for p in range(places):
            if slot_count[slot_of[p]] & 0x40000000:
                place[kept] = place[p]
                kept += 1
        places = kept
        if places == 0:
            break
    return stamp


@njit(cache=True, nogil=True)
def _lines(
    cp: np.ndarray,
    prop: np.ndarray,
    n: int,
    out: np.ndarray,
    slot_key: np.ndarray,
    slot_stamp: np.ndarray,
    stamp: int,
    mask: int,
) -> int:
    """Lines and paragraphs that stood earlier in the text; returns the next free stamp."""
    line_stamp = stamp + 1
    paragraph_stamp = stamp + 2  # the same table: a paragraph's key never means a line
    paragraph = np.uint64(0)
    paragraph_solid = 0
    paragraphs = 0
    duplicate_lines = 0
    duplicate_line_characters = 0
    duplicate_paragraphs = 0
    duplicate_paragraph_characters = 0
    total = 0
    start = 0
    while start <= n:
        stop = start
        running = np.uint64(0)
        line = np.uint64(0)
        solid = 0
        while stop < n and cp[stop] != 10 and cp[stop] != 13:
            if prop[stop] & CLASS_MASK != SPACE:
                running = (running + np.uint64(cp[stop]) + np.uint64(1)) * _A
                line = running  # blanks after the last one do not enter the line's hash
                solid += 1
            elif solid:
                running = (running + np.uint64(cp[stop]) + np.uint64(1)) * _A
            stop += 1
        if solid:
            total += solid
            paragraph = (paragraph + _mix(line)) * _D
            paragraph_solid += solid
            key = _mix(line)
            s = _find(key, slot_key, slot_stamp, line_stamp, mask)
            if slot_stamp[s] == line_stamp:
                duplicate_lines += 1
                duplicate_line_characters += solid
            else:
                slot_stamp[s] = line_stamp
                slot_key[s] = key
        if stop < n and cp[stop] == 13 and stop + 1 < n and cp[stop + 1] == 10:
            stop += 1
        start = stop + 1
    stamp = paragraph_stamp
    out[0] = duplicate_lines
    out[1] = duplicate_line_characters
    out[4] = total
    # Paragraphs in a second round, so that both can share the table.
    start = 0
    paragraph = np.uint64(0)
    paragraph_solid = 0
    while start <= n:
        stop = start
        running = np.uint64(0)
        line = np.uint64(0)
        solid = 0
        while stop < n and cp[stop] != 10 and cp[stop] != 13:
            if prop[stop] & CLASS_MASK != SPACE:
                running = (running + np.uint64(cp[stop]) + np.uint64(1)) * _A
                line = running
                solid += 1
            elif solid:
                running = (running + np.uint64(cp[stop]) + np.uint64(1)) * _A
            stop += 1
        if solid:
            paragraph = (paragraph + _mix(line)) * _D
            paragraph_solid += solid
        if (not solid or stop >= n) and paragraph_solid:
            paragraphs += 1
            key = _mix(paragraph)
            s = _find(key, slot_key, slot_stamp, paragraph_stamp, mask)
            if slot_stamp[s] == paragraph_stamp:
                duplicate_paragraphs += 1
                duplicate_paragraph_characters += paragraph_solid
            else:
                slot_stamp[s] = paragraph_stamp
                slot_key[s] = key
            paragraph = np.uint64(0)
            paragraph_solid = 0
        if stop < n and cp[stop] == 13 and stop + 1 < n and cp[stop + 1] == 10:
            stop += 1
        start = stop + 1
    out[2] = duplicate_paragraphs
    out[3] = duplicate_paragraph_characters
    return stamp


@njit(cache=True, nogil=True)
def repeats(data: np.ndarray, offsets: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeats of lines and paragraphs, of words, and of characters of the prose: three int64 arrays, a row a text."""
    texts = offsets.size - 1
    lines = np.zeros((texts, len(LINE_REPEATS)), np.int64)
    words = np.zeros((texts, len(WORD_REPEATS)), np.int64)
    characters = np.zeros((texts, len(CHARACTER_REPEATS)), np.int64)
    longest = 16
    for t in range(texts):
        longest = max(longest, offsets[t + 1] - offsets[t])
    cp = np.empty(longest, np.uint32)
    prop = np.empty(longest, np.uint16)
    kind = np.empty(longest, np.uint8)
    first = np.empty(longest, np.int64)
    last = np.empty(longest, np.int64)
    alphabetic = np.empty(longest, np.bool_)
    hashes = np.empty(longest, np.uint64)
    four = np.empty(longest, np.uint64)
    before = np.zeros(longest + 1, np.int64)
    place = np.empty(longest, np.int32)
    slot_of = np.empty(longest, np.int32)
    size = 16
    while size < 2 * longest:
        size *= 2
    slot_key = np.empty(size, np.uint64)
    slot_stamp = np.zeros(size, np.int32)
    slot_count = np.empty(size, np.int32)
    slot_last = np.empty(size, np.int32)
    stamp = 0
    for t in range(texts):
        if stamp > 2_000_000_000:
            slot_stamp[:] = 0
            stamp = 0
        n = decode(data, offsets[t], offsets[t + 1], table, cp, prop)
        size = 16
        while size < 2 * n:
            size *= 2
        stamp = _lines(cp, prop, n, lines[t], slot_key, slot_stamp, stamp, size - 1)
        units = find_words(cp, prop, n, first, last, alphabetic)
        for w in range(units):
            h = np.uint64(0)
            for k in range(first[w], last[w]):
                h = (h + np.uint64(cp[k]) + np.uint64(1)) * _A
            hashes[w] = _mix(h)
            before[w + 1] = before[w] + last[w] - first[w]
        stamp = _grams(
            hashes, before, units, _WORD_LEVELS, _WORD_TOP, _WORD_DUPLICATE, words[t], slot_key, slot_stamp, slot_count, slot_last, stamp, place, slot_of, four
        )
        find_spans(cp, n, kind)
        units = 0
        for i in range(n):
            if kind[i] == PROSE and prop[i] & CLASS_MASK != SPACE:
                hashes[units] = _mix(np.uint64(cp[i]) + _A)
                units += 1
                before[units] = units
        stamp = _grams(
            hashes, before, units, _CHARACTER_LEVELS, _CHARACTER_TOP, _CHARACTER_DUPLICATE, characters[t], slot_key, slot_stamp, slot_count, slot_last, stamp, place, slot_of, four
        )
    return lines, words, characters


def warm() -> None:
    """Compile or load the kernel."""
    repeats(np.frombuffer(b"one two", np.uint8), np.array([0, 7], np.int64), tables.properties())
