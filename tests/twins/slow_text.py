"""The slow, obvious versions of kernels/spans.py, utf8.py, counting.py, repetition.py and encoded.py: plain Python and `re`, one text at a time.

Written from the definitions, not from the kernels. What a code point is they read from the same table, which is checked on its
own against the interpreter's `unicodedata` (tests/kernels/test_tables.py).
"""

import math
import re
from collections import Counter

from pipeline.kernels import counting, encoded, spans, tables

TABLE = tables.properties()
LETTERS = (tables.LATIN, tables.HAN, tables.LETTER)


def class_of(c: str) -> int:
    return int(TABLE[ord(c)]) & tables.CLASS_MASK


def is_space(c: str) -> bool:
    return class_of(c) == tables.SPACE


# --- spans -----------------------------------------------------------------------------------------------------------------

_URL_CHARACTERS = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in spans.URL_EXCLUDED)


def find_spans(text: str) -> list[int]:
    """PROSE, URL, CODE or TEX for each character: read from left to right, the first span that opens wins."""
    kind = [spans.PROSE] * len(text)
    i = 0
    done = 0
    while i < len(text):
        begin, end, value, resume = _span_at(text, i, done)
        if end is not None:
            kind[begin:end] = [value] * (end - begin)
            i = done = end
        else:
            i = resume
    return kind


def _body(text: str, start: int) -> str:
    end = start
    while end < len(text) and text[end] in _URL_CHARACTERS:
        end += 1
    return text[start:end].rstrip(spans.URL_TAIL)


def _span_at(text: str, i: int, done: int) -> tuple[int, int | None, int, int]:
    """(begin, end or None, kind, where to go on if there is none) for what the character at `i` may open."""
    c = text[i]
    nothing = (i, None, 0, i + 1)
    if c == ":" and text.startswith("://", i):
        for scheme in ("https", "http", "ftp"):
            begin = i - len(scheme)
            if begin >= done and text[begin:i].isascii() and text[begin:i].lower() == scheme:
                body = _body(text, i + 3)
                return (begin, i + 3 + len(body), spans.URL, 0) if body else nothing
        return nothing
    if c == "." and i - 3 >= done and text[i - 3 : i].isascii() and text[i - 3 : i].lower() == "www":
        body = _body(text, i + 1)
        return (i - 3, i + 1 + len(body), spans.URL, 0) if body else nothing
    if c == "]" and text.startswith("](", i):
        target = re.compile(rf"[^) \n\r\t]{{1,{spans.URL_LIMIT - 1}}}(?=[) ])").match(text, i + 2)
        return (i + 2, target.end(), spans.URL, 0) if target else nothing
    if c in "`~":
        run = re.compile(re.escape(c) + "+").match(text, i)
        assert run
        length = run.end() - i
        before = re.split(r"[\n\r]", text[:i])[-1]
        if length >= 3 and len(before) <= 16 and not before.strip(" \t"):
            close = re.compile(r"[\n\r][\n\r \t]*" + re.escape(c) * 3 + r"[^\n\r]*").search(text, run.end())
            return (i, close.end(), spans.CODE, 0) if close else (i, None, 0, run.end())
        if c == "`":
            window = re.split(r"[\n\r]", text[run.end() : run.end() + spans.INLINE_LIMIT])[0]
            for other in re.finditer("`+", window):
                if len(other.group()) == length:
                    return i, run.end() + other.end(), spans.CODE, 0
        return i, None, 0, run.end()
    if c == "$":
        if text.startswith("$$", i):
            close_at = text.find("$$", i + 2, i + 2 + spans.BLOCK_LIMIT)
            return (i, close_at + 2, spans.TEX, 0) if close_at >= 0 else (i, None, 0, i + 2)
        if i + 1 < len(text) and text[i + 1] not in " \n\r":
            line = re.split(r"[\n\r]", text[i + 1 : i + 1 + spans.INLINE_LIMIT])[0]
            for k in range(1, len(line)):
                after = text[i + 2 + k : i + 3 + k]
                if line[k] == "$" and line[k - 1] not in " \\" and not ("0" <= after <= "9" and after):
                    return i, i + 2 + k, spans.TEX, 0
        return nothing
    if c == "\\":
        for opening, closing, limit in (("\\(", "\\)", spans.INLINE_LIMIT), ("\\[", "\\]", spans.BLOCK_LIMIT)):
            if text.startswith(opening, i):
                close_at = text.find(closing, i + 2, i + 2 + limit)
                return (i, close_at + 2, spans.TEX, 0) if close_at >= 0 else (i, None, 0, i + 2)
        if text.startswith("\\begin{", i):
            close_at = text.find("\\end{", i + 7, i + 7 + spans.BLOCK_LIMIT + 4)
            if close_at >= 0:
                stop = close_at + 5
                while stop < len(text) and stop < close_at + 45 and text[stop] not in "}\n\r":
                    stop += 1
                return i, min(len(text), stop + 1), spans.TEX, 0
        return i, None, 0, i + 2
    return nothing


# --- words, sentences, lines -------------------------------------------------------------------------------------------------


def find_words(text: str) -> list[tuple[int, int]]:
    """(begin, end) of each word."""
    flags = [int(TABLE[ord(c)]) for c in text]

    def is_word(i: int) -> bool:
        return 0 <= i < len(text) and bool(flags[i] & tables.WORD)

    def is_digit(i: int) -> bool:
        return 0 <= i < len(text) and class_of(text[i]) == tables.DIGIT

    def in_word(i: int) -> bool:
        joins = text[i] in tables.JOINERS and is_word(i - 1) and is_word(i + 1)
        separates = text[i] in tables.SEPARATORS and is_digit(i - 1) and is_digit(i + 1)
        return is_word(i) or joins or separates

    words = []
    i = 0
    while i < len(text):
        if class_of(text[i]) == tables.HAN:
            words.append((i, i + 1))
            i += 1
        elif in_word(i):
            end = i
            while end < len(text) and in_word(end):
                end += 1
            while i < end and class_of(text[i]) == tables.MARK:
                i += 1
            if i < end:
                words.append((i, end))
            i = end
        else:
            i += 1
    return words


def _makes_word(c: str) -> bool:
    return class_of(c) in (tables.LATIN, tables.HAN, tables.LETTER, tables.DIGIT, tables.NUMBER)


def count_sentences(text: str) -> int:
    sentences = 0
    rest = text
    while any(_makes_word(c) for c in rest):
        cut = None
        for i, c in enumerate(rest):
            if c not in tables.SENTENCE_ENDS or not any(_makes_word(d) for d in rest[:i]):
                continue
            k = i + 1
            while k < len(rest) and (rest[k] in tables.SENTENCE_ENDS or rest[k] in tables.CLOSERS):
                k += 1
            follower = next((d for d in rest[k:] if _makes_word(d)), "")
            lower = bool(follower) and bool(int(TABLE[ord(follower)]) & tables.LOWER)
            if not c.isascii() or ((k == len(rest) or is_space(rest[k])) and not lower):
                cut = k
                break
        sentences += 1
        if cut is None:
            break
        rest = rest[cut:]
    return sentences


def strip(line: str) -> str:
    start, stop = 0, len(line)
    while start < stop and is_space(line[start]):
        start += 1
    while start < stop and is_space(line[stop - 1]):
        stop -= 1
    return line[start:stop]


def all_lines(text: str) -> list[str]:
    """Lines without their breaks; a break at the end opens no line."""
    lines = re.split(r"\r\n|\n|\r", text)
    return lines[:-1] if lines[-1] == "" else lines


def solid(text: str) -> int:
    return sum(not is_space(c) for c in text)


def paragraphs(text: str) -> list[list[str]]:
    """The stripped lines of each paragraph."""
    found: list[list[str]] = []
    fresh = True
    for line in map(strip, all_lines(text)):
        if not line:
            fresh = True
        elif fresh:
            found.append([line])
            fresh = False
        else:
            found[-1].append(line)
    return found


def count(text: str) -> tuple[dict[str, int], float]:
    """Every count of counting.COUNTS, and the entropy."""
    kind = find_spans(text)
    prose = [c for c, k in zip(text, kind, strict=True) if k == spans.PROSE and not is_space(c)]
    words = [text[a:b] for a, b in find_words(text)]
    lines = [strip(line) for line in all_lines(text)]
    full = [line for line in lines if line]
    raw_lines = all_lines(text)

    def of_class(*classes: int, among: str | list[str] = text) -> int:
        return sum(class_of(c) in classes for c in among)

    def case(flag: int) -> int:
        return sum(bool(int(TABLE[ord(c)]) & flag) for c in text)

    def ellipses(only_prose: bool) -> int:
        total = 0
        for run in re.finditer(r"\.+|…+|。+", text):
            if only_prose and kind[run.start()] != spans.PROSE:
                continue
            size = len(run.group())
            total += (size + 1) // 2 if run.group()[0] == "…" else size // 3
        return total

    def bullet(line: str) -> bool:
        return line[0] in tables.BULLETS and (line[0] not in "*+" or bool(re.match(r".[ ]", line)) or (len(line) > 1 and is_space(line[1])))

    def alone_bullet(raw: str) -> bool:  # "*" and nothing after it but the break, which is whitespace
        line = strip(raw)
        return len(line) == 1 and line in "*+"

    def read_more(line: str) -> bool:
        line = line.rstrip(counting.READ_MORE_TAIL)
        line = "".join(c.lower() if c.isascii() else c for c in line)
        return line.endswith(counting.READ_MORE)

    def terminal(line: str) -> bool:
        k = len(line) - 1
        while k > 0 and line[k] in tables.CLOSERS:
            k -= 1
        return line[k] in tables.TERMINALS

    breaks = list(re.finditer(r"\r\n|\n|\r", text))
    bullets = 0
    for number, raw in enumerate(raw_lines):
        line = strip(raw)
        if not line:
            continue
        if alone_bullet(raw):
            bullets += number < len(breaks) or len(raw.rstrip("*+")) < len(raw) - 1 or raw[-1] not in "*+"
        else:
            bullets += bullet(line)
    short = [line for line in full if len(line) <= counting.SHORT_LINE]
    bracketed = sum(len(m.group(1)) for m in re.finditer(r"【([^【】\n\r]*)】", text))
    counts = {
        "bytes": len(text.encode()),
        "characters": len(text),
        "whitespace": of_class(tables.SPACE),
        "latin": of_class(tables.LATIN),
        "han": of_class(tables.HAN),
        "other_letters": of_class(tables.LETTER),
        "digits": of_class(tables.DIGIT),
        "numbers": of_class(tables.NUMBER),
        "marks": of_class(tables.MARK),
        "punctuation": of_class(tables.PUNCTUATION),
        "symbols": of_class(tables.SYMBOL),
        "other": of_class(tables.OTHER),
        "uppercase": case(tables.UPPER),
        "lowercase": case(tables.LOWER),
        "replacement_characters": text.count("\ufffd"),
        "hashes": text.count("#") + text.count("＃"),
        "opening_curly_brackets": text.count("{"),
        "chinese_stop_words": len(set(text) & set(tables.CHINESE_STOPS)),
        "prose": len(prose),
        "prose_latin": of_class(tables.LATIN, among=prose),
        "prose_han": of_class(tables.HAN, among=prose),
        "prose_letters": of_class(*LETTERS, among=prose),
        "prose_digits": of_class(tables.DIGIT, among=prose),
        "prose_punctuation": of_class(tables.PUNCTUATION, among=prose),
        "prose_symbols": of_class(tables.SYMBOL, among=prose),
        "prose_hashes": prose.count("#") + prose.count("＃"),
        "prose_ellipses": ellipses(only_prose=True),
        "prose_newlines": sum(kind[m.start()] not in (spans.CODE, spans.TEX) for m in breaks),
        "distinct_prose_characters": len(set(prose)),
        "url_characters": kind.count(spans.URL),
        "code_characters": kind.count(spans.CODE),
        "tex_characters": kind.count(spans.TEX),
        "words": len(words),
        "word_characters": sum(map(len, words)),
        "alphabetic_words": sum(any(class_of(c) in LETTERS for c in word) for word in words),
        "stop_words": len({word.lower() for word in words if word.isascii()} & set(tables.ENGLISH_STOPS)),
        "long_word_characters": sum(len(word) for word in words if len(word) > counting.LONG_WORD),
        "longest_word": max(map(len, words), default=0),
        "hex_word_characters": sum(len(word) for word in words if re.fullmatch(r"0[xX][0-9a-fA-F]+", word)),
        "sentences": count_sentences(text),
        "ellipses": ellipses(only_prose=False),
        "lorem_ipsum": len(re.findall("lorem ipsum", text, re.IGNORECASE | re.ASCII)),
        "bracketed_characters": bracketed,
        "newlines": len(breaks),
        "all_lines": len(raw_lines),
        "all_line_characters": sum(map(len, raw_lines)),
        "longest_line": max(map(len, raw_lines), default=0),
        "lines": len(full),
        "line_characters": sum(map(len, full)),
        "paragraphs": len(paragraphs(text)),
        "bullet_lines": bullets,
        "ellipsis_lines": sum(line.endswith(("...", "…", "。。。")) for line in full),
        "read_more_lines": sum(map(read_more, full)),
        "terminal_lines": sum(map(terminal, full)),
        "short_lines": len(short),
        "short_line_characters": sum(map(solid, short)),
    }
    frequencies = [n / len(prose) for n in Counter(prose).values()]
    return counts, -sum(p * math.log(p) for p in frequencies)


# --- repetition --------------------------------------------------------------------------------------------------------------


def tokens(text: str) -> list[str]:
    """Words that begin in the prose, and every other character of the prose but whitespace."""
    kind = find_spans(text)
    words = dict(find_words(text))
    found = []
    i = 0
    while i < len(text):
        end = words.get(i, i + 1)
        if kind[i] == spans.PROSE and (i in words or not is_space(text[i])):
            found.append(text[i:end])
        i = end
    return found


def lines_with_prose(text: str) -> list[tuple[str, bool, int]]:
    """Each line that is not blank: stripped; whether it does not both begin and end in code or TeX; its characters of prose."""
    kind = find_spans(text)
    found = []
    for match in re.finditer(r"[^\n\r]+", text):
        line = strip(match.group())
        if line:
            begin = match.start() + match.group().index(line)
            kinds = kind[begin : begin + len(line)]
            inside = kinds[0] in (spans.CODE, spans.TEX) and kinds[-1] in (spans.CODE, spans.TEX)
            found.append((line, not inside, sum(k == spans.PROSE and not is_space(c) for c, k in zip(line, kinds, strict=True))))
    return found


def duplicate_items(items: list) -> list:
    """Those that stood in the list before."""
    return [item for k, item in enumerate(items) if item in items[:k]]


def top_characters(units: list[str], n: int) -> int:
    """Characters in all but the first occurrence of the most frequent n-gram (of those the longest, of those the first there)."""
    grams = [tuple(units[i : i + n]) for i in range(len(units) - n + 1)]
    counts: Counter = Counter()
    best, best_rank = None, (1, 0)
    for gram in grams:
        counts[gram] += 1
        rank = (counts[gram], sum(map(len, gram)))
        if counts[gram] > 1 and rank > best_rank:
            best, best_rank = gram, rank
    places = [i for i, gram in enumerate(grams) if gram == best][1:]
    return sum(len(units[k]) for k in {k for i in places for k in range(i, i + n)})


def duplicate_characters(units: list[str], n: int) -> int:
    """Characters in n-grams that began earlier, each once."""
    grams = [tuple(units[i : i + n]) for i in range(len(units) - n + 1)]
    seen: set[tuple[str, ...]] = set()
    covered: set[int] = set()
    for i, gram in enumerate(grams):
        if gram in seen:
            covered.update(range(i, i + n))
        seen.add(gram)
    return sum(len(units[k]) for k in covered)


def repeats(text: str) -> dict[str, int]:
    """Every column of repetition.REPEATS."""
    lines = [strip(line) for line in all_lines(text) if strip(line)]
    blocks = paragraphs(text)
    repeated_lines = duplicate_items(lines)
    repeated_blocks = duplicate_items(blocks)
    words = [text[a:b] for a, b in find_words(text)]
    units = tokens(text)
    entries = lines_with_prose(text)
    again = [entry for k, entry in enumerate(entries) if entry[0] in [earlier for earlier, _, _ in entries[:k]]]
    found = {
        "duplicate_lines": len(repeated_lines),
        "duplicate_line_characters": sum(map(solid, repeated_lines)),
        "duplicate_paragraphs": len(repeated_blocks),
        "duplicate_paragraph_characters": sum(solid(line) for block in repeated_blocks for line in block),
        "prose_lines": sum(is_prose for _, is_prose, _ in entries),
        "duplicate_prose_lines": sum(is_prose for _, is_prose, _ in again),
        "duplicate_prose_line_characters": sum(characters for _, is_prose, characters in again if is_prose),
        "token_characters": sum(map(len, units)),
    }
    found |= {f"top_{n}gram_characters": top_characters(words, n) for n in (2, 3, 4)}
    found |= {f"duplicate_{n}gram_characters": duplicate_characters(words, n) for n in range(5, 11)}
    found |= {f"top_{n}token_characters": top_characters(units, n) for n in (4, 6, 8)}
    found |= {f"duplicate_{n}token_characters": duplicate_characters(units, n) for n in (8, 10, 13, 16, 20)}
    return found


# --- encoded data --------------------------------------------------------------------------------------------------------------

EXPRESSIONS = (
    re.compile(r"[a-zA-Z0-9+/\n=]{64,}"),
    re.compile(r"(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}"),
    re.compile(r"(?:\\u[0-9a-fA-F]{4}){8,}"),
)


def scan(text: str) -> dict[str, int]:
    """Every column of encoded.ENCODED."""
    matches = [match.span() for expression in EXPRESSIONS for match in expression.finditer(text)]
    head = "\n".join(re.split(r"\r\n|\n|\r", text)[: encoded.GENERATED_LINES])
    head = "".join(c.lower() if c.isascii() else c for c in head)
    return {
        "encoded_characters": len({i for a, b in matches for i in range(a, b)}),
        "longest_encoded_run": max((b - a for a, b in matches), default=0),
        "generated": int(any(phrase in head for phrase in encoded.GENERATED)),
    }
