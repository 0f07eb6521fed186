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

import numpy as np
from numba import njit

from pipeline.kernels import tables
from pipeline.kernels.spans import CODE, PROSE, TEX, URL, find_spans
from pipeline.kernels.tables import (
    ALPHABETIC,
    BULLET,
    CHINESE_STOP,
    CLASS_MASK,
    CLOSER,
    CODE_POINTS,
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
    SPACE,
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
_INDEX = {name: i for i, name in enumerate(COUNTS)}
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
_LOREM = np.array([ord(c) for c in "lorem ipsum"], np.uint32)
_STOPS = np.array(sorted(int.from_bytes(w.encode(), "big") for w in tables.ENGLISH_STOPS), np.uint32)


@njit(cache=True, nogil=True)
def decode(data: np.ndarray, start: int, stop: int, table: np.ndarray, cp: np.ndarray, prop: np.ndarray) -> int:
    """Write the code points of the UTF-8 bytes `data[start:stop]` and their properties; returns how many.

    Bytes that are no UTF-8 cannot come in an Arrow string; should they, a cut sequence is U+FFFD and nothing is read outside.
    """
    i = start
    n = 0
    while i < stop:
        lead = data[i]
        if lead < 0x80:
            cp[n] = lead
            prop[n] = table[lead]
            n += 1
            i += 1
            continue
        if lead >= 0xE0 and lead < 0xF0 and i + 2 < stop:
            c = (np.uint32(lead & 0x0F) << 12) | (np.uint32(data[i + 1] & 0x3F) << 6) | np.uint32(data[i + 2] & 0x3F)
            i += 3
        elif lead >= 0xC0 and lead < 0xE0 and i + 1 < stop:
            c = (np.uint32(lead & 0x1F) << 6) | np.uint32(data[i + 1] & 0x3F)
            i += 2
        elif lead >= 0xF0 and i + 3 < stop:
            c = (
                (np.uint32(lead & 0x07) << 18)
                | (np.uint32(data[i + 1] & 0x3F) << 12)
                | (np.uint32(data[i + 2] & 0x3F) << 6)
                | np.uint32(data[i + 3] & 0x3F)
            )
            i += 4
            if c > 0x10FFFF:
                c = np.uint32(0xFFFD)
        else:
            c = np.uint32(0xFFFD)
            i += 1
        cp[n] = c
        prop[n] = table[c]
        n += 1
    return n


@njit(cache=True, nogil=True)
def find_words(cp: np.ndarray, prop: np.ndarray, n: int, first: np.ndarray, last: np.ndarray, alphabetic: np.ndarray) -> int:
    """Write where each word starts and stops, and whether it holds a letter; returns how many there are."""
    w = 0
    i = 0
    while i < n:
        p = prop[i]
        if p & WORD:
            first[w] = i
            seen = p
            i += 1
            while i < n:
                p = prop[i]
                if p & WORD or p & CLASS_MASK == MARK:
                    seen |= p
                    i += 1
                elif i + 1 < n and prop[i + 1] & WORD and (
                    p & JOINER
                    or (
                        (cp[i] == 46 or cp[i] == 44)
                        and prop[i - 1] & CLASS_MASK == DIGIT
                        and prop[i + 1] & CLASS_MASK == DIGIT
                    )
                ):
                    i += 1
                else:
                    break
            last[w] = i
            alphabetic[w] = (seen & ALPHABETIC) != 0
            w += 1
        elif p & CLASS_MASK == HAN:
            first[w] = i
            i += 1
            while i < n and prop[i] & CLASS_MASK == MARK:
                i += 1
            last[w] = i
            alphabetic[w] = True
            w += 1
        else:
            i += 1
    return w


@njit(cache=True, nogil=True)
def _count_characters(cp: np.ndarray, prop: np.ndarray, kind: np.ndarray, n: int, table: np.ndarray, histogram: np.ndarray, seen: np.ndarray, out: np.ndarray) -> float:
    """Characters by class, for the text and for its prose; returns the entropy of the prose's characters, in nats.

    `histogram` (2 x code points) is all zero before and after.
    """
    distinct = 0
    for i in range(n):
        k = np.int64(cp[i])
        if kind[i] != PROSE:
            k += CODE_POINTS
        if histogram[k] == 0:
            seen[distinct] = k
            distinct += 1
        histogram[k] += 1
    by_class = np.zeros((2, 16), np.int64)
    total = 0.0
    prose = 0
    for d in range(distinct):
        k = seen[d]
        count = np.int64(histogram[k])
        in_span = 0
        if k >= CODE_POINTS:
            in_span = 1
            k -= CODE_POINTS
        p = table[k]
        c = p & CLASS_MASK
        by_class[in_span, c] += count
        if p & UPPER:
            out[C_UPPERCASE] += count
        elif p & LOWER:
            out[C_LOWERCASE] += count
        if k == 0x23 or k == 0xFF03:
            out[C_HASHES] += count
            if not in_span:
                out[P_HASHES] += count
        elif k == 0x7B:
            out[C_CURLY] += count
        elif k == 0xFFFD:
            out[C_REPLACEMENT] += count
        if p & CHINESE_STOP and not (in_span and histogram[k]):  # once, though it stands in prose and in a span
            out[C_CHINESE_STOPS] += 1
        if not in_span and c != SPACE:
            prose += count
            out[P_DISTINCT] += 1
            total += _N_LOG_N[count] if count < _N_LOG_N.size else count * np.log(count)
    for d in range(distinct):
        histogram[seen[d]] = 0
    out[CHARACTERS] = n
    out[C_WHITESPACE] = by_class[0, SPACE] + by_class[1, SPACE]
    out[C_LATIN] = by_class[0, LATIN] + by_class[1, LATIN]
    out[C_HAN] = by_class[0, HAN] + by_class[1, HAN]
    out[C_OTHER_LETTERS] = by_class[0, LETTER] + by_class[1, LETTER]
    out[C_DIGITS] = by_class[0, DIGIT] + by_class[1, DIGIT]
    out[C_NUMBERS] = by_class[0, NUMBER] + by_class[1, NUMBER]
    out[C_MARKS] = by_class[0, MARK] + by_class[1, MARK]
    out[C_PUNCTUATION] = by_class[0, PUNCTUATION] + by_class[1, PUNCTUATION]
    out[C_SYMBOLS] = by_class[0, SYMBOL] + by_class[1, SYMBOL]
    out[C_OTHER] = by_class[0, OTHER] + by_class[1, OTHER]
    out[P_ALL] = prose
    out[P_LATIN] = by_class[0, LATIN]
    out[P_HAN] = by_class[0, HAN]
    out[P_LETTERS] = by_class[0, LATIN] + by_class[0, HAN] + by_class[0, LETTER]
    out[P_DIGITS] = by_class[0, DIGIT]
    out[P_PUNCTUATION] = by_class[0, PUNCTUATION]
    out[P_SYMBOLS] = by_class[0, SYMBOL]
    if prose == 0:
        return 0.0
    return max(0.0, np.log(prose) - total / prose)


@njit(cache=True, nogil=True)
def _is_sentence_end(cp: np.ndarray, prop: np.ndarray, start: int, stop: int, lower_follows: bool) -> bool:
    """Whether a sentence ends in the gap between two words."""
    for i in range(start, stop):
        if prop[i] & SENTENCE:
            if cp[i] > 127:
                return True
            k = i + 1
            while k < stop and prop[k] & (SENTENCE | CLOSER):
                k += 1
            if k < stop and prop[k] & CLASS_MASK == SPACE and not lower_follows:
                return True
    return False


@njit(cache=True, nogil=True)
def _count_words(cp: np.ndarray, prop: np.ndarray, n: int, words: int, first: np.ndarray, last: np.ndarray, alphabetic: np.ndarray, out: np.ndarray) -> None:
    """What is counted in words: lengths, letters, stop words, sentences."""
    characters = 0
    letters = 0
    long_characters = 0
    longest = 0
    hexadecimal = 0
    stops = 0  # one bit a stop word
    sentences = 0
    for w in range(words):
        a = first[w]
        b = last[w]
        length = b - a
        characters += length
        letters += alphabetic[w]
        if length > longest:
            longest = length
        if length > LONG_WORD:
            long_characters += length
        if 2 <= length <= 4 and cp[a] < 128:
            packed = np.uint32(0)
            for k in range(a, b):
                packed = (packed << np.uint32(8)) | (np.uint32(cp[k]) | np.uint32(32)) if cp[k] < 128 else np.uint32(0)
            for s in range(_STOPS.size):
                if packed == _STOPS[s]:
                    stops |= 1 << s
        if length > 2 and cp[a] == 48 and (cp[a + 1] | 32) == 120:
            k = a + 2
            while k < b and (48 <= cp[k] <= 57 or 97 <= (cp[k] | 32) <= 102):
                k += 1
            if k == b:
                hexadecimal += length
        if w + 1 == words or (first[w + 1] > b and _is_sentence_end(cp, prop, b, first[w + 1], prop[first[w + 1]] & LOWER != 0)):
            sentences += 1
    distinct = 0
    while stops:
        distinct += stops & 1
        stops >>= 1
    out[N_WORDS] = words
    out[N_WORD_CHARACTERS] = characters
    out[N_ALPHABETIC] = letters
    out[N_STOPS] = distinct
    out[N_LONG_WORD_CHARACTERS] = long_characters
    out[N_LONGEST_WORD] = longest
    out[N_HEX_CHARACTERS] = hexadecimal
    out[N_SENTENCES] = sentences


@njit(cache=True, nogil=True)
def _ends_with_ellipsis(cp: np.ndarray, start: int, stop: int) -> bool:
    if cp[stop - 1] == 0x2026:
        return True
    return stop - start >= 3 and cp[stop - 1] == cp[stop - 2] == cp[stop - 3] and (cp[stop - 1] == 46 or cp[stop - 1] == 0x3002)


@njit(cache=True, nogil=True)
def _ends_with_read_more(cp: np.ndarray, start: int, stop: int) -> bool:
    while stop > start and np.any(_READ_MORE_TAIL == cp[stop - 1]):
        stop -= 1
    for row in range(_READ_MORE.shape[0]):
        k = 0
        while k < _LONGEST and _READ_MORE[row, k] != 0 and stop - 1 - k >= start:
            c = cp[stop - 1 - k]
            if 65 <= c <= 90:
                c |= np.uint32(32)
            if c != _READ_MORE[row, k]:
                break
            k += 1
        if k == _LONGEST or (k > 0 and _READ_MORE[row, k] == 0):
            return True
    return False


@njit(cache=True, nogil=True)
def _may_end_read_more(c: int) -> bool:
    """Whether a line that ends with this character can end with a "read more" at all: keeps the search off most lines."""
    return c == 101 or c == 69 or c == 0x5F00 or c == 0x591A or c == 0x6587 or c == 0x60C5 or c == 0x958B or c == 46 or c > 0x2000 and (c < 0x4E00 or c > 0x9FFF) or c == 187 or c == 93 or c == 41 or c == 62


@njit(cache=True, nogil=True)
def _count_lines(cp: np.ndarray, prop: np.ndarray, kind: np.ndarray, n: int, out: np.ndarray) -> None:
    """What is counted in lines and paragraphs, and newlines."""
    start = 0
    in_paragraph = False
    while start < n:
        stop = start
        first = -1
        last = -1
        solid = 0
        while stop < n and cp[stop] != 10 and cp[stop] != 13:
            if prop[stop] & CLASS_MASK != SPACE:
                if first < 0:
                    first = stop
                last = stop
                solid += 1
            stop += 1
        length = stop - start
        out[N_ALL_LINES] += 1
        out[N_ALL_LINE_CHARACTERS] += length
        if length > out[N_LONGEST_LINE]:
            out[N_LONGEST_LINE] = length
        if first < 0:
            in_paragraph = False
        else:
            if not in_paragraph:
                out[N_PARAGRAPHS] += 1
                in_paragraph = True
            out[N_LINES] += 1
            out[N_LINE_CHARACTERS] += last + 1 - first
            if last + 1 - first <= SHORT_LINE:
                out[N_SHORT] += 1
                out[N_SHORT_CHARACTERS] += solid
            if prop[first] & BULLET and (
                (cp[first] != 42 and cp[first] != 43) or (first + 1 < n and prop[first + 1] & CLASS_MASK == SPACE)
            ):
                out[N_BULLETS] += 1
            if _ends_with_ellipsis(cp, first, last + 1):
                out[N_ELLIPSIS_LINES] += 1
            if _may_end_read_more(cp[last]) and _ends_with_read_more(cp, first, last + 1):
                out[N_READ_MORE] += 1
            k = last
            while k > first and prop[k] & CLOSER:
                k -= 1
            if prop[k] & TERMINAL:
                out[N_TERMINAL] += 1
        if stop < n:
            out[N_NEWLINES] += 1
            out[P_NEWLINES] += kind[stop] == PROSE
            if cp[stop] == 13 and stop + 1 < n and cp[stop + 1] == 10:
                stop += 1
        start = stop + 1


@njit(cache=True, nogil=True)
def _count_marks(cp: np.ndarray, prop: np.ndarray, kind: np.ndarray, n: int, out: np.ndarray) -> None:
    """Ellipses, 【…】, lorem ipsum, and characters by kind of span."""
    opened = -1
    i = 0
    while i < n:
        c = cp[i]
        out[N_URL] += kind[i] == URL
        out[N_CODE] += kind[i] == CODE
        out[N_TEX] += kind[i] == TEX
        i += 1
        if c == 10:
            opened = -1
        elif c == 0x3010:
            opened = i
        elif c == 0x3011:
            if opened >= 0:
                out[N_BRACKETED] += i - 1 - opened
            opened = -1
        elif (c == 46 or c == 0x2026 or c == 0x3002) and (i == 1 or cp[i - 2] != c):
            run = i
            while run < n and cp[run] == c:
                run += 1
            length = run - i + 1
            ellipses = (length + 1) // 2 if c == 0x2026 else length // 3
            out[N_ELLIPSES] += ellipses
            if kind[i - 1] == PROSE:
                out[P_ELLIPSES] += ellipses
        elif (c == 109 or c == 77) and i >= _LOREM.size:  # the m of "lorem ipsum"
            k = 0
            while k < _LOREM.size and (cp[i - _LOREM.size + k] | np.uint32(32)) == _LOREM[k]:
                k += 1
            out[N_LOREM] += k == _LOREM.size


@njit(cache=True, nogil=True)
def count(data: np.ndarray, offsets: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count everything of COUNTS in each text of a batch, and the entropy of its prose's characters.

    `data` uint8, `offsets` (texts + 1,) int64 into it, `table` = tables.properties().
    Returns (texts, len(COUNTS)) int64 and (texts,) float64.
    """
    texts = offsets.size - 1
    out = np.zeros((texts, len(COUNTS)), np.int64)
    entropy = np.zeros(texts, np.float64)
    longest = 0
    for t in range(texts):
        longest = max(longest, offsets[t + 1] - offsets[t])
    cp = np.empty(longest, np.uint32)
    prop = np.empty(longest, np.uint16)
    kind = np.empty(longest, np.uint8)
    first = np.empty(longest, np.int64)
    last = np.empty(longest, np.int64)
    alphabetic = np.empty(longest, np.bool_)
    histogram = np.zeros(2 * CODE_POINTS, np.int32)
    seen = np.empty(min(longest, 2 * CODE_POINTS), np.int64)
    for t in range(texts):
        row = out[t]
        row[BYTES] = offsets[t + 1] - offsets[t]
        n = decode(data, offsets[t], offsets[t + 1], table, cp, prop)
        find_spans(cp, n, kind)
        entropy[t] = _count_characters(cp, prop, kind, n, table, histogram, seen, row)
        _count_words(cp, prop, n, find_words(cp, prop, n, first, last, alphabetic), first, last, alphabetic, row)
        _count_lines(cp, prop, kind, n, row)
        _count_marks(cp, prop, kind, n, row)
    return out, entropy


def warm() -> None:
    """Compile or load the kernel."""
    count(np.frombuffer(b"one two", np.uint8), np.array([0, 7], np.int64), tables.properties())
