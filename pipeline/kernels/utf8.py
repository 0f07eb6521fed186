"""One pass over the UTF-8 bytes of a batch that counts what the rules talk about. Compiled.

A text becomes an array of code points, their properties (tables.py) and the kind of span each stands in (spans.py). From
these come the characters by class (a histogram, so that a class costs nothing more per character), the words and the lines.
Here is where word, line, paragraph, sentence and ellipsis are defined; measures only divide. The slow, obvious version of it
all is `tests/twins/utf8.py`.

    word        A run of letters, digits, other numbers and marks; one apostrophe, hyphen or underscore joins two of them, one
                point or comma two digits; a Han character is a word of its own. Punctuation alone is no word.
    line        What ends in \\n, \\r\\n or \\r. `lines` are those that hold more than whitespace; `all_lines` are all of them.
    paragraph   Lines (not blank) without a blank line between them.
    sentence    Words up to 。！？ or up to . ! ? before whitespace (and no lower-case letter after), or up to the end of the text.
    ellipsis    "..." or "。。。" or one or two "…" (…… is the Chinese one).
"""

import threading
from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.kernels import raw, tables
from pipeline.kernels.spans import CODE, PROSE, TEX, URL, find_spans
from pipeline.kernels.tables import (
    ALPHABETIC,
    CLASS_MASK,
    CLOSER,
    CODE_POINTS,
    DECIMAL,
    DIGIT,
    HAN,
    JOINER,
    LATIN,
    LETTER,
    LOWER,
    MARK,
    NUMBER,
    OTHER,
    PUNCTUATION,
    SENTENCE,
    SEPARATOR,
    SPACE,
    SPECIAL,
    SYMBOL,
    TERMINAL,
    UPPER,
    WORD,
)

SHORT_LINE = 30  # characters; FineWeb
LONG_WORD = 20  # characters; OpenCoder

# The columns of `count`, in order. "prose" is the text without URLs, link targets, code and TeX, and without whitespace.
COUNTS = (
    "bytes",
    "characters",
    "whitespace",
    "latin",
    "han",
    "other_letters",
    "digits",
    "numbers",
    "marks",
    "punctuation",
    "symbols",
    "other",
    "uppercase",
    "lowercase",
    "replacement_characters",
    "hashes",
    "opening_curly_brackets",
    "chinese_stop_words",
    "prose",
    "prose_latin",
    "prose_han",
    "prose_letters",
    "prose_digits",
    "prose_punctuation",
    "prose_symbols",
    "prose_hashes",
    "prose_ellipses",
    "prose_newlines",
    "distinct_prose_characters",
    "url_characters",
    "code_characters",
    "tex_characters",
    "words",
    "word_characters",
    "alphabetic_words",
    "stop_words",
    "long_word_characters",
    "longest_word",
    "hex_word_characters",
    "sentences",
    "ellipses",
    "lorem_ipsum",
    "bracketed_characters",
    "newlines",
    "all_lines",
    "all_line_characters",
    "longest_line",
    "lines",
    "line_characters",
    "paragraphs",
    "bullet_lines",
    "ellipsis_lines",
    "read_more_lines",
    "terminal_lines",
    "short_lines",
    "short_line_characters",
)
(
    BYTES,
    CHARACTERS,
    C_WHITESPACE,
    C_LATIN,
    C_HAN,
    C_OTHER_LETTERS,
    C_DIGITS,
    C_NUMBERS,
    C_MARKS,
    C_PUNCTUATION,
    C_SYMBOLS,
    C_OTHER,
    C_UPPERCASE,
    C_LOWERCASE,
    C_REPLACEMENT,
    C_HASHES,
    C_CURLY,
    C_CHINESE_STOPS,
    P_ALL,
    P_LATIN,
    P_HAN,
    P_LETTERS,
    P_DIGITS,
    P_PUNCTUATION,
    P_SYMBOLS,
    P_HASHES,
    P_ELLIPSES,
    P_NEWLINES,
    P_DISTINCT,
    N_URL,
    N_CODE,
    N_TEX,
    N_WORDS,
    N_WORD_CHARACTERS,
    N_ALPHABETIC,
    N_STOPS,
    N_LONG_WORD_CHARACTERS,
    N_LONGEST_WORD,
    N_HEX_CHARACTERS,
    N_SENTENCES,
    N_ELLIPSES,
    N_LOREM,
    N_BRACKETED,
    N_NEWLINES,
    N_ALL_LINES,
    N_ALL_LINE_CHARACTERS,
    N_LONGEST_LINE,
    N_LINES,
    N_LINE_CHARACTERS,
    N_PARAGRAPHS,
    N_BULLETS,
    N_ELLIPSIS_LINES,
    N_READ_MORE,
    N_TERMINAL,
    N_SHORT,
    N_SHORT_CHARACTERS,
) = range(len(COUNTS))

# "Read more" and its Chinese kin, right to left, 0-padded: what a line may end with once arrows and dots are taken off.
READ_MORE = ("read more", "readmore", "展开", "更多", "展开全文", "阅读全文", "查看全文", "查看详情", "閱讀更多", "閱讀全文", "展開")
READ_MORE_TAIL = ".…>»›→≫＞]】)） "
_LONGEST = max(len(phrase) for phrase in READ_MORE)
_READ_MORE = np.zeros((len(READ_MORE), _LONGEST), np.uint32)
for _row, _phrase in enumerate(READ_MORE):
    _READ_MORE[_row, : len(_phrase)] = [ord(c) for c in reversed(_phrase)]
_READ_MORE_LAST = np.unique(_READ_MORE[:, 0])
_READ_MORE_TAIL = np.array(sorted(ord(c) for c in READ_MORE_TAIL), np.uint32)

_N_LOG_N = np.append(0.0, np.arange(1, 1024) * np.log(np.arange(1, 1024)))
_BULLETS = np.array(sorted(ord(c) for c in tables.BULLETS), np.uint32)
_LOREM, _LOREM_SKIP = raw.phrase("lorem ipsum")

# Stop words, found by one multiplication: the table holds each word's bytes where a multiplier, sought once, puts them apart.
_STOP_KEYS = np.zeros(64, np.uint64)
_STOP_BITS = np.zeros(64, np.uint64)
_STOP_SHIFT = np.uint64(58)


def _spread_stop_words() -> np.uint64:
    words = [int.from_bytes(word.encode().ljust(8), "little") for word in tables.ENGLISH_STOPS]
    for multiplier in range(0x9E3779B97F4A7C15, 1 << 64, 2):
        places = [(word * multiplier % (1 << 64)) >> 58 for word in words]
        if len(set(places)) == len(words):
            _STOP_KEYS[places] = words
            _STOP_BITS[places] = [1 << k for k in range(len(words))]
            return np.uint64(multiplier)
    raise AssertionError("no multiplier")


_STOP_MULTIPLIER = _spread_stop_words()
_ASCII_LOWER = np.uint64(0x2020202020202020)

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
_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)
_SPECIAL_16 = np.uint16(SPECIAL)
_WORD_16 = np.uint16(WORD)
_JOINER_16 = np.uint16(JOINER)
_SEPARATOR_16 = np.uint16(SEPARATOR)
_DECIMAL_16 = np.uint16(DECIMAL)
_UPPER_16 = np.uint16(UPPER)
_LOWER_16 = np.uint16(LOWER)
_CLASS_16 = np.uint16(CLASS_MASK)
_HAN_16 = np.uint16(HAN)
_ALL_8 = np.uint8(0xFF)
_PROSE_8 = np.uint8(PROSE)


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
        while i + _8 <= end and raw.load_8(data, i) & _HIGH_BITS == _0:  # eight ASCII characters, in loops that need no branch
            for k in range(8):
                u = np.uint64(k)
                lead = data[i + u]
                cp[n + u] = lead
                prop[n + u] = table[np.uint64(lead)]
            for k in range(8):
                u = np.uint64(k)
                at[n + u] = i + u - begin
            i += _8
            n += _8
        if i >= end:
            break
        lead = data[i]
        at[n] = i - begin
        if lead < 0x80:
            c = np.uint32(lead)
            i += _1
        elif lead >= 0xE0 and lead < 0xF0 and i + _2 < end:
            c = (
                (np.uint32(lead & 0x0F) << np.uint32(12))
                | (np.uint32(data[i + _1] & 0x3F) << np.uint32(6))
                | np.uint32(data[i + _2] & 0x3F)
            )
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
def _count_classes(prop: np.ndarray, kind: np.ndarray, spans: bool, n: int, out: np.ndarray) -> None:
    """Characters by class, for the text and for its prose."""
    whole = np.zeros(16, np.uint64)
    prose = np.zeros(16, np.uint64)
    upper = _0
    lower = _0
    for block in range(0, n, 64):
        base = np.uint64(block)
        here = _ALL_BITS
        if spans:
            here = raw.match_64(kind, base, _ALL_8, _PROSE_8)
        for c in range(SPACE, SYMBOL + 1):
            bits = raw.match_64(prop, base, _CLASS_16, np.uint16(c))
            whole[c] += raw.bit_count(bits)
            if spans:
                prose[c] += raw.bit_count(bits & here)
        upper += raw.bit_count(raw.match_64(prop, base, _UPPER_16, _UPPER_16))
        lower += raw.bit_count(raw.match_64(prop, base, _LOWER_16, _LOWER_16))
        if spans:
            prose[OTHER] += raw.bit_count(raw.match_64(prop, base, _CLASS_16, np.uint16(OTHER)) & here)
    if spans:
        prose[OTHER] -= np.uint64((64 - n % 64) % 64)  # the entries behind the text: no class, and PROSE
    else:
        for c in range(SPACE, SYMBOL + 1):
            prose[c] = whole[c]
    whole[OTHER] = np.uint64(n) - whole.sum()
    if not spans:
        prose[OTHER] = whole[OTHER]
    out[CHARACTERS] = n
    out[C_UPPERCASE] = upper
    out[C_LOWERCASE] = lower
    out[C_WHITESPACE] = whole[SPACE]
    out[C_LATIN] = whole[LATIN]
    out[C_HAN] = whole[HAN]
    out[C_OTHER_LETTERS] = whole[LETTER]
    out[C_DIGITS] = whole[DIGIT]
    out[C_NUMBERS] = whole[NUMBER]
    out[C_MARKS] = whole[MARK]
    out[C_PUNCTUATION] = whole[PUNCTUATION]
    out[C_SYMBOLS] = whole[SYMBOL]
    out[C_OTHER] = whole[OTHER]
    out[P_ALL] = prose.sum() - prose[SPACE]
    out[P_LATIN] = prose[LATIN]
    out[P_HAN] = prose[HAN]
    out[P_LETTERS] = prose[LATIN] + prose[HAN] + prose[LETTER]
    out[P_DIGITS] = prose[DIGIT]
    out[P_PUNCTUATION] = prose[PUNCTUATION]
    out[P_SYMBOLS] = prose[SYMBOL]


@njit(cache=True, nogil=True)
def _count_distinct(cp: np.ndarray, kind: np.ndarray, spans: bool, n: int, table: np.ndarray, histogram: np.ndarray, seen: np.ndarray, out: np.ndarray) -> float:
    """What depends on how often each code point occurs; returns the entropy of the prose's characters, in nats.

    `histogram` (2 x code points) is all zero before and after.
    """
    distinct = _0
    if spans:
        for i in range(n):
            k = np.uint64(cp[i]) + np.uint64(CODE_POINTS) * np.uint64(kind[i] != PROSE)
            seen[distinct] = k
            count = histogram[k]
            distinct += np.uint64(count == 0)
            histogram[k] = count + 1
    else:
        for i in range(n):
            k = np.uint64(cp[i])
            seen[distinct] = k
            count = histogram[k]
            distinct += np.uint64(count == 0)
            histogram[k] = count + 1
    stops = 0
    different = 0
    total = 0.0
    for d in range(np.int64(distinct)):
        k = np.int64(seen[d])
        if k < CODE_POINTS:
            p = table[k]
            stops += p >> 12 & 1
            if p & CLASS_MASK != SPACE:
                count = np.int64(histogram[k])
                different += 1
                total += _N_LOG_N[count] if count < _N_LOG_N.size else count * np.log(count)
        else:
            k -= CODE_POINTS
            stops += (table[k] >> 12 & 1) & (histogram[k] == 0)  # once, though it stands in prose and in a span
    out[C_HASHES] = histogram[0x23] + histogram[0xFF03] + histogram[CODE_POINTS + 0x23] + histogram[CODE_POINTS + 0xFF03]
    out[P_HASHES] = histogram[0x23] + histogram[0xFF03]
    out[C_CURLY] = histogram[0x7B] + histogram[CODE_POINTS + 0x7B]
    out[C_REPLACEMENT] = histogram[0xFFFD] + histogram[CODE_POINTS + 0xFFFD]
    for d in range(np.int64(distinct)):
        histogram[seen[d]] = 0
    out[C_CHINESE_STOPS] = stops
    out[P_DISTINCT] = different
    characters = out[P_ALL]
    if characters == 0:
        return 0.0
    return max(0.0, np.log(characters) - total / characters)


@njit(cache=True, nogil=True)
def _count_words(data: np.ndarray, start: int, cp: np.ndarray, prop: np.ndarray, at: np.ndarray, words: int, first: np.ndarray, last: np.ndarray, out: np.ndarray) -> None:
    """What is counted in words: lengths, letters, stop words."""
    characters = 0
    letters = 0
    long_characters = 0
    longest = 0
    hexadecimal = 0
    stops = _0  # one bit a stop word
    for w in range(words):
        a = np.int64(first[w])
        b = np.int64(last[w])
        length = b - a
        characters += length
        longest = max(longest, length)
        if prop[a] & CLASS_MASK == HAN:
            letters += 1
            continue
        k = a
        while k < b and not prop[k] & ALPHABETIC:
            k += 1
        letters += k < b
        # In lower case, if it was ASCII; what lies behind the word becomes blanks, as in _STOP_KEYS.
        key = raw.load(data, start + np.int64(at[a]), np.int64(at[b]) - np.int64(at[a])) | _ASCII_LOWER
        place = key * _STOP_MULTIPLIER >> _STOP_SHIFT
        stops |= _STOP_BITS[place] * np.uint64(_STOP_KEYS[place] == key)
        if length > LONG_WORD:
            long_characters += length
        if cp[a] == 48 and length > 2 and cp[a + 1] | 32 == 120:
            k = a + 2
            while k < b and (48 <= cp[k] <= 57 or 97 <= cp[k] | 32 <= 102):
                k += 1
            if k == b:
                hexadecimal += length
    distinct = 0
    while stops:
        distinct += 1
        stops &= stops - _1
    out[N_WORDS] = words
    out[N_WORD_CHARACTERS] = characters
    out[N_ALPHABETIC] = letters
    out[N_STOPS] = distinct
    out[N_LONG_WORD_CHARACTERS] = long_characters
    out[N_LONGEST_WORD] = longest
    out[N_HEX_CHARACTERS] = hexadecimal


@njit(cache=True, nogil=True)
def _is_word(p: int) -> bool:
    """Whether a code point with these properties makes a word on its own (a mark does not)."""
    c = p & CLASS_MASK
    return c == HAN or (p & WORD != 0 and c != MARK)


@njit(cache=True, nogil=True)
def _count_sentences(cp: np.ndarray, prop: np.ndarray, n: int, special: np.ndarray, specials: int, words: int, last: np.ndarray, out: np.ndarray) -> None:
    """Sentences: 。！？ after a word end one; so do . ! ? before a blank, unless a lower-case letter comes next."""
    sentences = 0
    fresh = 0  # where the sentence began, or where no word is to be found before
    for s in range(specials):
        i = np.int64(special[s])
        if i < fresh or not prop[i] & SENTENCE:
            continue
        k = i - 1
        while k >= fresh and not _is_word(prop[k]):
            k -= 1
        if k < fresh:
            fresh = i + 1
            continue
        k = i + 1
        while k < n and prop[k] & (SENTENCE | CLOSER):
            k += 1
        if cp[i] < 128:
            if k < n and prop[k] & CLASS_MASK != SPACE:
                continue  # 3.14, e.g., example.com
            follower = k
            while follower < n and not _is_word(prop[follower]):
                follower += 1
            if follower < n and prop[follower] & LOWER:
                continue  # cf. this
        sentences += 1
        fresh = k
    if words and last[words - 1] > fresh:
        sentences += 1
    out[N_SENTENCES] = sentences


@njit(cache=True, nogil=True)
def _ends_with_ellipsis(cp: np.ndarray, start: int, stop: int) -> bool:
    c = cp[stop - 1]
    if c == 0x2026:
        return True
    return (c == 46 or c == 0x3002) and stop - start >= 3 and cp[stop - 2] == c and cp[stop - 3] == c


@njit(cache=True, nogil=True)
def _is_any(c: int, these: np.ndarray) -> bool:
    for k in range(these.size):
        if these[k] == c:
            return True
    return False


@njit(cache=True, nogil=True)
def _lower(c: int) -> int:
    return c | np.uint32(32) if 65 <= c <= 90 else c


@njit(cache=True, nogil=True)
def _ends_with_read_more(cp: np.ndarray, start: int, stop: int) -> bool:
    while stop > start and _is_any(cp[stop - 1], _READ_MORE_TAIL):
        stop -= 1
    if stop == start or not _is_any(_lower(cp[stop - 1]), _READ_MORE_LAST):
        return False
    for row in range(_READ_MORE.shape[0]):
        k = 0
        while k < _LONGEST and _READ_MORE[row, k] != 0 and stop - 1 - k >= start:
            if _lower(cp[stop - 1 - k]) != _READ_MORE[row, k]:
                break
            k += 1
        if k > 0 and (k == _LONGEST or _READ_MORE[row, k] == 0):
            return True
    return False


@njit(cache=True, nogil=True)
def next_break(cp: np.ndarray, n: int, special: np.ndarray, specials: int, s: int) -> int:
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


@njit(cache=True, nogil=True)
def _count_lines(cp: np.ndarray, prop: np.ndarray, kind: np.ndarray, n: int, special: np.ndarray, specials: int, out: np.ndarray) -> None:
    """What is counted in lines and paragraphs, and line breaks."""
    start = 0
    in_paragraph = False
    s = 0
    while start < n:
        s = next_break(cp, n, special, specials, s)
        stop = np.int64(special[s]) if s < specials else n
        out[N_ALL_LINES] += 1
        out[N_ALL_LINE_CHARACTERS] += stop - start
        out[N_LONGEST_LINE] = max(out[N_LONGEST_LINE], stop - start)
        a, b = strip(prop, start, stop)
        if a == b:
            in_paragraph = False
        else:
            out[N_PARAGRAPHS] += not in_paragraph
            in_paragraph = True
            out[N_LINES] += 1
            out[N_LINE_CHARACTERS] += b - a
            if b - a <= SHORT_LINE:
                out[N_SHORT] += 1
                out[N_SHORT_CHARACTERS] += solid(prop, a, b)
            c = prop[a] & CLASS_MASK
            if (c == PUNCTUATION or c == SYMBOL) and _is_any(cp[a], _BULLETS):
                spaced = a + 1 < n and prop[a + 1] & CLASS_MASK == SPACE
                out[N_BULLETS] += spaced or not (cp[a] == 42 or cp[a] == 43)
            out[N_ELLIPSIS_LINES] += _ends_with_ellipsis(cp, a, b)
            out[N_READ_MORE] += _ends_with_read_more(cp, a, b)
            k = b - 1
            while k > a and prop[k] & CLOSER:
                k -= 1
            out[N_TERMINAL] += prop[k] & TERMINAL != 0
        if stop < n:
            out[N_NEWLINES] += 1
            out[P_NEWLINES] += kind[stop] != CODE and kind[stop] != TEX
            if cp[stop] == 13 and stop + 1 < n and cp[stop + 1] == 10:
                stop += 1
        start = stop + 1
        s += 1


@njit(cache=True, nogil=True)
def _count_marks(cp: np.ndarray, kind: np.ndarray, n: int, special: np.ndarray, specials: int, out: np.ndarray) -> None:
    """Ellipses, and what stands between 【 and 】."""
    opened = -1
    for s in range(specials):
        i = np.int64(special[s])
        c = cp[i]
        if c == 10 or c == 13:
            opened = -1
        elif c == 0x3010:
            opened = i
        elif c == 0x3011:
            if opened >= 0:
                out[N_BRACKETED] += i - opened - 1
            opened = -1
        elif (c == 46 or c == 0x2026 or c == 0x3002) and (i == 0 or cp[i - 1] != c):
            run = i + 1
            while run < n and cp[run] == c:
                run += 1
            ellipses = (run - i + 1) // 2 if c == 0x2026 else (run - i) // 3
            out[N_ELLIPSES] += ellipses
            if kind[i] == PROSE:
                out[P_ELLIPSES] += ellipses


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
    key: np.ndarray  # their hashes …
    slots: np.ndarray  # … and their slots in the table
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
        integers = {name: np.empty(size, np.uint32) for name in ("cp", "at", "special", "first", "last", "before", "tokens_before", "place", "slots")}
        kept = Buffers(
            prop=np.empty(size, np.uint16),
            kind=np.empty(size, np.uint8),
            seen=np.empty(min(size, 2 * CODE_POINTS + 1), np.uint32),
            hashes=np.empty(size, np.uint64),
            token_hashes=np.empty(size, np.uint64),
            pairs=np.empty(size, np.uint64),
            key=np.empty(size, np.uint64),
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


@njit(cache=True, nogil=True)
def count_text(data: np.ndarray, start: int, stop: int, table: np.ndarray, b: Buffers, out: np.ndarray) -> tuple[int, int, int, float]:
    """Decode one text and count it into its row `out`.

    Leaves the buffers cp, prop, at, special, kind, first and last; returns how many code points, special ones and words there
    are, and the entropy.
    """
    n = decode(data, start, stop, table, b.cp, b.prop, b.at)
    specials = list_special(b.prop, n, b.special)
    spans = find_spans(b.cp, n, b.special, specials, b.kind)
    out[BYTES] = stop - start
    _count_classes(b.prop, b.kind, spans, n, out)
    entropy = _count_distinct(b.cp, b.kind, spans, n, table, b.histogram, b.seen, out)
    words = find_words(b.prop, n, out[C_MARKS] > 0, b.first, b.last)
    _count_words(data, start, b.cp, b.prop, b.at, words, b.first, b.last, out)
    _count_sentences(b.cp, b.prop, n, b.special, specials, words, b.last, out)
    _count_lines(b.cp, b.prop, b.kind, n, b.special, specials, out)
    _count_marks(b.cp, b.kind, n, b.special, specials, out)
    if spans:
        for block in range(0, n, 64):
            out[N_URL] += raw.bit_count(raw.match_64(b.kind, np.uint64(block), _ALL_8, np.uint8(URL)))
            out[N_CODE] += raw.bit_count(raw.match_64(b.kind, np.uint64(block), _ALL_8, np.uint8(CODE)))
            out[N_TEX] += raw.bit_count(raw.match_64(b.kind, np.uint64(block), _ALL_8, np.uint8(TEX)))
    found = raw.find(data, start, stop, _LOREM, _LOREM_SKIP)
    while found >= 0:
        out[N_LOREM] += 1
        found = raw.find(data, found + _LOREM.size, stop, _LOREM, _LOREM_SKIP)
    return n, specials, words, entropy


@njit(cache=True, nogil=True)
def _count(data: np.ndarray, offsets: np.ndarray, table: np.ndarray, b: Buffers, out: np.ndarray, entropy: np.ndarray) -> None:
    for t in range(offsets.size - 1):
        _, _, _, entropy[t] = count_text(data, offsets[t], offsets[t + 1], table, b, out[t])


def count(data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count everything of COUNTS in each text of a batch, and the entropy of its prose's characters.

    `data` uint8, `offsets` (texts + 1,) int64 into it. Returns (texts, len(COUNTS)) int64 and (texts,) float64.
    """
    out = np.zeros((offsets.size - 1, len(COUNTS)), np.int64)
    entropy = np.zeros(offsets.size - 1, np.float64)
    _count(data, offsets, tables.properties(), buffers(offsets), out, entropy)
    return out, entropy


def warm() -> None:
    """Compile or load the kernel."""
    count(np.frombuffer(b"one two", np.uint8), np.array([0, 7], np.int64))
