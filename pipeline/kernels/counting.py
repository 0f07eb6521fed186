"""One pass over a batch that counts what the rules talk about: characters by class, words, sentences, lines, spans. Compiled.

Measures only divide what is counted here. Words and lines are defined in utf8.py, what is prose in spans.py.

    lines        Those that hold more than whitespace; `all_lines` are all of them.
    paragraph    Lines (not blank) without a blank one between them.
    sentence     Words up to 。！？, or up to . ! ? before whitespace (and no lower-case letter after), or up to the end.
    ellipsis     "..." or "。。。" or one or two "…" (…… is the Chinese one).
    short        A line of at most 30 characters (FineWeb). A long word has over 20 (OpenCoder).
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"
# numba infers the types of compiled code itself; to mypy every NumPy number in it is a mistake.

import numpy as np
from numba import njit

from pipeline.kernels import raw, tables
from pipeline.kernels.spans import CODE, PROSE, TEX, URL, find_spans
from pipeline.kernels.tables import (
    ALPHABETIC,
    CLASS_MASK,
    CLOSER,
    CODE_POINTS,
    DIGIT,
    HAN,
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
from pipeline.kernels.utf8 import Buffers, buffers, decode, find_words, list_special, next_break, solid, strip

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
_LOREM = raw.phrase("lorem ipsum")

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
_0 = np.uint64(0)
_1 = np.uint64(1)
_2 = np.uint64(2)
_3 = np.uint64(3)
_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)
_CLASS_16 = np.uint16(CLASS_MASK)
_UPPER_16 = np.uint16(UPPER)
_LOWER_16 = np.uint16(LOWER)
_ALL_8 = np.uint8(0xFF)
_PROSE_8 = np.uint8(PROSE)


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
def _count_distinct(
    cp: np.ndarray, kind: np.ndarray, spans: bool, n: int, table: np.ndarray, histogram: np.ndarray, seen: np.ndarray, out: np.ndarray
) -> float:
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
        # ASCII in four histograms: to count a character again, the last count of it need not have reached memory.
        ascii = np.zeros(512, np.int32)
        for i in range(n):
            k = np.uint64(cp[i])
            if k < 128:
                ascii[(k << _2) + (np.uint64(i) & _3)] += 1
            else:
                seen[distinct] = k
                count = histogram[k]
                distinct += np.uint64(count == 0)
                histogram[k] = count + 1
        for c in range(128):
            count = ascii[4 * c] + ascii[4 * c + 1] + ascii[4 * c + 2] + ascii[4 * c + 3]
            histogram[c] = count
            seen[distinct] = c
            distinct += np.uint64(count > 0)
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
def _count_words(
    data: np.ndarray,
    start: int,
    cp: np.ndarray,
    prop: np.ndarray,
    at: np.ndarray,
    words: int,
    first: np.ndarray,
    last: np.ndarray,
    hashes: np.ndarray,
    before: np.ndarray,
    out: np.ndarray,
) -> None:
    """What is counted in words: lengths, letters, stop words. Leaves each word's hash, and the characters in words before it."""
    characters = 0
    letters = 0
    long_characters = 0
    longest = 0
    hexadecimal = 0
    stops = _0  # one bit a stop word
    for w in range(words):
        a = np.uint64(first[w])
        b = np.uint64(last[w])
        length = np.int64(b - a)
        before[w] = characters
        characters += length
        longest = max(longest, length)
        here = start + np.int64(at[a])
        size = np.int64(at[b]) - np.int64(at[a])
        head = raw.load(data, here, size)
        hashes[w] = raw.hash_8(head, size) if size <= 8 else raw.hash_bytes(data, here, here + size)
        if prop[a] & ALPHABETIC:
            letters += 1
        else:
            k = a + _1
            while k < b and not prop[k] & ALPHABETIC:
                k += _1
            letters += k < b
        # In lower case, if it is ASCII; what lies behind a short word becomes blanks, as in _STOP_KEYS.
        head |= _ASCII_LOWER
        place = head * _STOP_MULTIPLIER >> _STOP_SHIFT
        stops |= _STOP_BITS[place] * np.uint64(_STOP_KEYS[place] == head)
        if length > LONG_WORD:
            long_characters += length
        if cp[a] == 48 and length > 2 and cp[a + _1] | 32 == 120:
            k = a + _2
            while k < b and (48 <= cp[k] <= 57 or 97 <= cp[k] | 32 <= 102):
                k += _1
            if k == b:
                hexadecimal += length
    before[words] = characters
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
    for k in range(these.size):  # noqa: SIM110  # a generator is slow when compiled
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
def _count_lines(cp: np.ndarray, prop: np.ndarray, kind: np.ndarray, n: int, special: np.ndarray, specials: int, out: np.ndarray) -> None:
    """What is counted in lines and paragraphs, and line breaks."""
    start = 0
    in_paragraph = False
    all_lines = characters = longest = lines = line_characters = paragraphs = 0
    short = short_characters = bullets = ellipses = read_more = terminal = breaks = prose_breaks = 0
    s = 0
    while start < n:
        s = next_break(cp, special, specials, s)
        stop = np.int64(special[s]) if s < specials else n
        all_lines += 1
        characters += stop - start
        longest = max(longest, stop - start)
        a, b = strip(prop, start, stop)
        if a == b:
            in_paragraph = False
        else:
            paragraphs += not in_paragraph
            in_paragraph = True
            lines += 1
            line_characters += b - a
            if b - a <= SHORT_LINE:
                short += 1
                short_characters += solid(prop, a, b)
            c = prop[a] & CLASS_MASK
            if c in (PUNCTUATION, SYMBOL) and _is_any(cp[a], _BULLETS):
                spaced = a + 1 < n and prop[a + 1] & CLASS_MASK == SPACE
                bullets += spaced or not (cp[a] == 42 or cp[a] == 43)
            ellipses += _ends_with_ellipsis(cp, a, b)
            read_more += _ends_with_read_more(cp, a, b)
            k = b - 1
            while k > a and prop[k] & CLOSER:
                k -= 1
            terminal += prop[k] & TERMINAL != 0
        if stop < n:
            breaks += 1
            prose_breaks += kind[stop] != CODE and kind[stop] != TEX
            if cp[stop] == 13 and stop + 1 < n and cp[stop + 1] == 10:
                stop += 1
        start = stop + 1
        s += 1
    out[N_ALL_LINES] = all_lines
    out[N_ALL_LINE_CHARACTERS] = characters
    out[N_LONGEST_LINE] = longest
    out[N_LINES] = lines
    out[N_LINE_CHARACTERS] = line_characters
    out[N_PARAGRAPHS] = paragraphs
    out[N_SHORT] = short
    out[N_SHORT_CHARACTERS] = short_characters
    out[N_BULLETS] = bullets
    out[N_ELLIPSIS_LINES] = ellipses
    out[N_READ_MORE] = read_more
    out[N_TERMINAL] = terminal
    out[N_NEWLINES] = breaks
    out[P_NEWLINES] = prose_breaks


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


@njit(cache=True, nogil=True)
def count_text(data: np.ndarray, start: int, stop: int, table: np.ndarray, b: Buffers, out: np.ndarray) -> tuple[int, int, int, float]:
    """Decode one text and count it into its row `out`.

    Leaves the buffers cp, prop, at, special, kind, first, last, hashes and before; returns how many code points, special ones and words there
    are, and the entropy.
    """
    n = decode(data, start, stop, table, b.cp, b.prop, b.at)
    specials = list_special(b.prop, n, b.special)
    spans = find_spans(b.cp, n, b.special, specials, b.kind)
    out[BYTES] = stop - start
    _count_classes(b.prop, b.kind, spans, n, out)
    entropy = _count_distinct(b.cp, b.kind, spans, n, table, b.histogram, b.seen, out)
    words = find_words(b.prop, n, out[C_MARKS] > 0, b.first, b.last)
    _count_words(data, start, b.cp, b.prop, b.at, words, b.first, b.last, b.hashes, b.before, out)
    _count_sentences(b.cp, b.prop, n, b.special, specials, words, b.last, out)
    _count_lines(b.cp, b.prop, b.kind, n, b.special, specials, out)
    _count_marks(b.cp, b.kind, n, b.special, specials, out)
    if spans:
        for block in range(0, n, 64):
            out[N_URL] += raw.bit_count(raw.match_64(b.kind, np.uint64(block), _ALL_8, np.uint8(URL)))
            out[N_CODE] += raw.bit_count(raw.match_64(b.kind, np.uint64(block), _ALL_8, np.uint8(CODE)))
            out[N_TEX] += raw.bit_count(raw.match_64(b.kind, np.uint64(block), _ALL_8, np.uint8(TEX)))
    found = raw.find(data, start, stop, _LOREM)
    while found >= 0:
        out[N_LOREM] += 1
        found = raw.find(data, found + _LOREM.size, stop, _LOREM)
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
    _count(raw.frozen(data), raw.frozen(offsets), tables.properties(), buffers(offsets), out, entropy)
    return out, entropy


def warm() -> None:
    """Compile or load the kernel."""
    count(np.frombuffer(b"one two", np.uint8), np.array([0, 7], np.int64))
