"""Where a text is not prose: URLs and link targets, code, TeX. Compiled, over the code points of one text.

Chinese rules (Han share, symbols, repetition) are measured without these spans: on raw text the same bounds lose 37 % of
clean laws, 83 % of an algorithms wiki and 94 % of forum posts (methods.md, section 9). This is a scanner with bounded
look-ahead, not a Markdown parser: what is doubtful stays prose. Cost: linear, whatever the input.
"""

import numpy as np
from numba import njit

PROSE, URL, CODE, TEX = range(4)

# A delimiter that is not closed within this many characters is no delimiter. Inline ones also end with the line.
INLINE_LIMIT = 500
BLOCK_LIMIT = 5000
URL_LIMIT = 2000

_TRIGGER = np.zeros(128, np.uint8)
_TRIGGER[[ord(c) for c in ":.`~$\\]"]] = 1
_URL_CHARACTER = np.zeros(128, np.uint8)  # printable ASCII but quotes and brackets: 网址http://x.com，详情 ends at the comma
_URL_CHARACTER[0x21:0x7F] = 1
_URL_CHARACTER[[ord(c) for c in "\"<>[]\\^`{|}"]] = 0
_URL_TAIL = np.zeros(128, np.uint8)  # …and these do not end one: (see http://x.com/a.)
_URL_TAIL[[ord(c) for c in ".,;:!?')*_~"]] = 1


@njit(cache=True, nogil=True)
def _mark(kind: np.ndarray, start: int, stop: int, value: int) -> None:
    for k in range(start, stop):
        kind[k] = value


@njit(cache=True, nogil=True)
def _url_end(cp: np.ndarray, n: int, start: int) -> int:
    """One past the last character of the URL whose first non-scheme character is at `start`."""
    i = start
    while i < n and cp[i] < 128 and _URL_CHARACTER[cp[i]]:
        i += 1
    while i > start and _URL_TAIL[cp[i - 1]]:
        i -= 1
    return i


@njit(cache=True, nogil=True)
def _at_line_start(cp: np.ndarray, i: int) -> bool:
    """Whether only blanks stand before `i` on its line."""
    k = i - 1
    while k >= 0 and i - k <= 16 and (cp[k] == 32 or cp[k] == 9):
        k -= 1
    return k < 0 or cp[k] == 10 or cp[k] == 13


@njit(cache=True, nogil=True)
def _find_fence(cp: np.ndarray, n: int, start: int, mark: int) -> int:
    """One past the next line that begins with three `mark`s, or -1."""
    i = start
    while i < n:
        while i < n and cp[i] != 10 and cp[i] != 13:
            i += 1
        while i < n and (cp[i] == 10 or cp[i] == 13 or cp[i] == 32 or cp[i] == 9):
            i += 1
        if i + 2 < n and cp[i] == mark and cp[i + 1] == mark and cp[i + 2] == mark:
            while i < n and cp[i] != 10 and cp[i] != 13:
                i += 1
            return i
    return -1


@njit(cache=True, nogil=True)
def _find_pair(cp: np.ndarray, n: int, start: int, limit: int, first: int, second: int) -> int:
    """Where `first` is next followed by `second`, at most `limit` characters on, or -1."""
    stop = min(n - 1, start + limit)
    for i in range(start, stop):
        if cp[i] == first and cp[i + 1] == second:
            return i
    return -1


@njit(cache=True, nogil=True)
def _find_end_of_environment(cp: np.ndarray, n: int, start: int) -> int:
    r"""One past the closing brace of the next `\end{…}`, or -1."""
    stop = min(n - 5, start + BLOCK_LIMIT)
    for i in range(start, stop):
        if cp[i] == 92 and cp[i + 1] == 101 and cp[i + 2] == 110 and cp[i + 3] == 100 and cp[i + 4] == 123:
            k = i + 5
            while k < n and k < i + 45 and cp[k] != 125 and cp[k] != 10:
                k += 1
            return min(n, k + 1)
    return -1


@njit(cache=True, nogil=True)
def find_spans(cp: np.ndarray, n: int, kind: np.ndarray) -> None:
    """Write PROSE, URL, CODE or TEX for each of the text's `n` code points into `kind`. (n,) uint8"""
    for k in range(n):
        kind[k] = PROSE
    done = 0  # everything before is decided
    i = 0
    no_tick_fence = False
    no_wave_fence = False
    open_until = np.zeros(4, np.int64)  # per closing mark: none is to be found before this place
    while i < n:
        c = cp[i]
        if c >= 128 or not _TRIGGER[c]:
            i += 1
            continue
        if c == 58:  # ':' of http://, https://, ftp://
            if i + 3 < n and cp[i + 1] == 47 and cp[i + 2] == 47:
                start = i
                while start > done and i - start < 6 and cp[start - 1] < 128 and 97 <= (cp[start - 1] | 32) <= 122:
                    start -= 1
                stop = _url_end(cp, n, i + 3)
                if start < i and stop > i + 3:
                    _mark(kind, start, stop, URL)
                    done = stop
                    i = stop
                    continue
            i += 1
        elif c == 46:  # '.' of www.
            if i - 3 >= done and (cp[i - 1] | 32) == 119 and (cp[i - 2] | 32) == 119 and (cp[i - 3] | 32) == 119:
                stop = _url_end(cp, n, i + 1)
                if stop > i + 1:
                    _mark(kind, i - 3, stop, URL)
                    done = stop
                    i = stop
                    continue
            i += 1
        elif c == 93:  # ']' of [text](target) or [text](target "title")
            if i + 1 < n and cp[i + 1] == 40:
                stop = i + 2
                limit = min(n, i + 2 + URL_LIMIT)
                while stop < limit and cp[stop] != 41 and cp[stop] != 32 and cp[stop] != 10 and cp[stop] != 13 and cp[stop] != 9:
                    stop += 1
                if stop < limit and (cp[stop] == 41 or cp[stop] == 32):
                    _mark(kind, i + 2, stop, URL)
                    done = stop
                    i = stop
                    continue
            i += 1
        elif c == 96 or c == 126:  # '`' and '~'
            run = i
            while run < n and cp[run] == c:
                run += 1
            length = run - i
            stop = -1
            if length >= 3 and _at_line_start(cp, i):
                if not (no_tick_fence if c == 96 else no_wave_fence):
                    stop = _find_fence(cp, n, run, c)
                    if stop < 0 and c == 96:
                        no_tick_fence = True
                    elif stop < 0:
                        no_wave_fence = True
            elif c == 96:  # inline: the next run of as many, on the same line
                k = run
                limit = min(n, run + INLINE_LIMIT)
                while k < limit and cp[k] != 10 and cp[k] != 13:
                    if cp[k] != 96:
                        k += 1
                        continue
                    close = k
                    while k < limit and cp[k] == 96:
                        k += 1
                    if k - close == length:
                        stop = k
                        break
            if stop > 0:
                _mark(kind, i, stop, CODE)
                done = stop
                i = stop
            else:
                i = run
        elif c == 36:  # '$'
            stop = -1
            if i + 1 < n and cp[i + 1] == 36:
                close = -1
                if open_until[0] < i + 2 + BLOCK_LIMIT:
                    close = _find_pair(cp, n, max(i + 2, open_until[0]), i + 2 + BLOCK_LIMIT - max(i + 2, open_until[0]), 36, 36)
                    if close < 0:
                        open_until[0] = i + 1 + BLOCK_LIMIT
                if close >= 0:
                    stop = close + 2
                else:
                    i += 1
            elif i + 1 < n and cp[i + 1] != 32 and cp[i + 1] != 10 and cp[i + 1] != 13:
                # As in Pandoc: nothing blank right inside, no digit right after ("from $5 to $10" is money).
                k = i + 1
                limit = min(n, i + 1 + INLINE_LIMIT)
                while k < limit and cp[k] != 10 and cp[k] != 13:
                    if cp[k] == 36 and cp[k - 1] != 32 and cp[k - 1] != 92 and not (k + 1 < n and 48 <= cp[k + 1] <= 57):
                        stop = k + 1
                        break
                    k += 1
            if stop > 0:
                _mark(kind, i, stop, TEX)
                done = stop
                i = stop
            else:
                i += 1
        else:  # '\\'
            stop = -1
            step = 2  # the character after a backslash is not a delimiter of its own: \$ \` \\
            if i + 1 < n and (cp[i + 1] == 40 or cp[i + 1] == 91):  # \( … \)  \[ … \]
                which = 1 if cp[i + 1] == 40 else 2
                reach = INLINE_LIMIT if which == 1 else BLOCK_LIMIT
                begin = max(i + 2, open_until[which])
                close = _find_pair(cp, n, begin, i + 2 + reach - begin, 92, cp[i + 1] + (1 if which == 1 else 2))
                if close >= 0:
                    stop = close + 2
                else:
                    open_until[which] = max(open_until[which], i + 1 + reach)
            elif i + 6 < n and cp[i + 1] == 98 and cp[i + 2] == 101 and cp[i + 3] == 103 and cp[i + 4] == 105 and cp[i + 5] == 110 and cp[i + 6] == 123:
                begin = max(i + 7, open_until[3])
                if begin < i + 7 + BLOCK_LIMIT:
                    stop = _find_end_of_environment(cp, n, begin)
                    if stop < 0:
                        open_until[3] = begin + BLOCK_LIMIT
            if stop > 0:
                _mark(kind, i, stop, TEX)
                done = stop
                i = stop
            else:
                i += step
