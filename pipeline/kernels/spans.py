"""Where a text is not prose: URLs and link targets, code, TeX. Compiled, over the code points of one text.

Chinese rules (Han share, symbols, repetition) are measured without these spans: on raw text the same bounds lose 37 % of
clean laws, 83 % of an algorithms wiki and 94 % of forum posts (methods.md, section 9). This is a scanner with bounded
look-ahead, not a Markdown parser: what is doubtful stays prose.

    URL     (http|https|ftp)://… or www.…, up to a blank, a quote, a bracket or a character that is not ASCII, without
            .,;:!?')*_~ at its end; and the target in [text](target) and [text](target "title")
    CODE    lines between two that begin with ``` (or ~~~), these included; `…` on one line, at most 500 characters
    TEX     $$…$$ and \\[…\\] and \\begin{…}…\\end{…}, at most 5000 characters; $…$ and \\(…\\), at most 500, $…$ on one line with
            nothing blank right inside and no digit right after ("from $5 to $10" is money)

Cost: next to nothing without such marks, and linear whatever the input: a search that failed is not made twice.
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"
# numba infers the types of compiled code itself; to mypy every NumPy number in it is a mistake.

import numpy as np
from numba import njit

from pipeline.kernels import raw

PROSE, URL, CODE, TEX = range(4)

# A delimiter that is not closed within this many characters is no delimiter. Inline ones also end with the line.
INLINE_LIMIT = 500
BLOCK_LIMIT = 5000
URL_LIMIT = 2000

URL_EXCLUDED = '"<>[]\\^`{|}'
URL_TAIL = ".,;:!?')*_~"
_URL_CHARACTER = np.zeros(128, np.uint8)  # printable ASCII but quotes and brackets: 网址http://x.com，详情 ends at the comma
_URL_CHARACTER[0x21:0x7F] = 1
_URL_CHARACTER[[ord(c) for c in URL_EXCLUDED]] = 0
_URL_TAIL = np.zeros(128, np.uint8)  # …and these do not end one: (see http://x.com/a.)
_URL_TAIL[[ord(c) for c in URL_TAIL]] = 1


@njit(cache=True, nogil=True)
def _url_end(cp: np.ndarray, n: int, start: int) -> int:
    """One past the last character of the URL whose part after the scheme begins at `start`."""
    i = start
    while i < n and cp[i] < 128 and _URL_CHARACTER[cp[i]]:
        i += 1
    while i > start and _URL_TAIL[cp[i - 1]]:
        i -= 1
    return i


@njit(cache=True, nogil=True)
def _scheme_start(cp: np.ndarray, floor: int, colon: int) -> int:
    """Where http, https or ftp (in any case) before `colon` begins, or -1."""
    i = colon
    if i - floor >= 5 and cp[i - 1] | 32 == 115:  # https
        i -= 1
    if i - floor >= 4 and cp[i - 1] | 32 == 112 and cp[i - 2] | 32 == 116 and cp[i - 3] | 32 == 116 and cp[i - 4] | 32 == 104:
        return i - 4
    if i == colon and i - floor >= 3 and cp[i - 1] | 32 == 112 and cp[i - 2] | 32 == 116 and cp[i - 3] | 32 == 102:
        return i - 3
    return -1


@njit(cache=True, nogil=True)
def _at_line_start(cp: np.ndarray, i: int) -> bool:
    """Whether at most 16 blanks, and nothing else, stand before `i` on its line."""
    k = i - 1
    while k >= 0 and i - k <= 16 and (cp[k] == 32 or cp[k] == 9):
        k -= 1
    return k < 0 or cp[k] == 10 or cp[k] == 13


@njit(cache=True, nogil=True)
def _find_fence(cp: np.ndarray, n: int, start: int, mark: int) -> int:
    """The end of the next line that begins (blanks aside) with three `mark`s, or -1."""
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
def _find_pair(cp: np.ndarray, start: int, stop: int, first: int, second: int) -> int:
    """Where in [start, stop) `first` stands with `second` after it, or -1."""
    for i in range(start, stop - 1):
        if cp[i] == first and cp[i + 1] == second:
            return i
    return -1


@njit(cache=True, nogil=True)
def _find_end_of_environment(cp: np.ndarray, n: int, start: int, stop: int) -> int:
    r"""One past the closing brace of the next `\end{…}` that begins in [start, stop), or -1."""
    for i in range(start, min(stop, n - 4)):
        if cp[i] == 92 and cp[i + 1] == 101 and cp[i + 2] == 110 and cp[i + 3] == 100 and cp[i + 4] == 123:
            k = i + 5
            while k < n and k < i + 45 and cp[k] != 125 and cp[k] != 10 and cp[k] != 13:
                k += 1
            return min(n, k + 1)
    return -1


@njit(cache=True, nogil=True)
def _inline_code_end(cp: np.ndarray, n: int, run: int, length: int) -> int:
    """One past the next run of exactly `length` backticks on the same line, or -1."""
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
            return k
    return -1


@njit(cache=True, nogil=True)
def _inline_tex_end(cp: np.ndarray, n: int, start: int) -> int:
    """One past the dollar that closes the one before `start`, or -1."""
    limit = min(n, start + INLINE_LIMIT)
    k = start
    while k < limit and cp[k] != 10 and cp[k] != 13:
        if cp[k] == 36 and k > start and cp[k - 1] != 32 and cp[k - 1] != 92 and not (k + 1 < n and 48 <= cp[k + 1] <= 57):
            return k + 1
        k += 1
    return -1


@njit(cache=True, nogil=True)
def find_spans(cp: np.ndarray, n: int, special: np.ndarray, specials: int, kind: np.ndarray) -> bool:
    """Write PROSE, URL, CODE or TEX for each of the `n` code points into `kind`; says whether there is anything but prose.

    `special` lists, in order, where the marks stand that may open a span (and others, which are passed over).
    """
    raw.clear(kind, n + 64)  # PROSE
    found = False
    done = 0  # where the last span ended
    skip = 0  # marks before this place open nothing
    no_tick_fence = False
    no_wave_fence = False
    searched = np.zeros(4, np.int64)  # how far \) \] $$ \end were looked for in vain
    for s in range(specials):
        i = np.int64(special[s])
        if i < skip:
            continue
        c = cp[i]
        start = i
        stop = -1
        value = TEX
        if c == 58:  # ':' of http://
            if i + 3 < n and cp[i + 1] == 47 and cp[i + 2] == 47:
                start = _scheme_start(cp, done, i)
                if start >= 0:
                    stop = _url_end(cp, n, i + 3)
                    value = URL
                    if stop == i + 3:
                        stop = -1
        elif c == 46:  # '.' of www.
            if i - 3 >= done and cp[i - 1] | 32 == 119 and cp[i - 2] | 32 == 119 and cp[i - 3] | 32 == 119:
                start = i - 3
                stop = _url_end(cp, n, i + 1)
                value = URL
                if stop == i + 1:
                    stop = -1
        elif c == 93:  # ']' of [text](target)
            if i + 1 < n and cp[i + 1] == 40:
                start = i + 2
                k = start
                limit = min(n, start + URL_LIMIT)
                while k < limit and cp[k] != 41 and cp[k] != 32 and cp[k] != 10 and cp[k] != 13 and cp[k] != 9:
                    k += 1
                if start < k < limit and (cp[k] == 41 or cp[k] == 32):
                    stop = k
                    value = URL
        elif c == 96 or c == 126:  # '`' and '~'
            run = i
            while run < n and cp[run] == c:
                run += 1
            value = CODE
            skip = run
            if run - i >= 3 and _at_line_start(cp, i):
                if c == 96 and not no_tick_fence:
                    stop = _find_fence(cp, n, run, c)
                    no_tick_fence = stop < 0
                elif c == 126 and not no_wave_fence:
                    stop = _find_fence(cp, n, run, c)
                    no_wave_fence = stop < 0
            elif c == 96:
                stop = _inline_code_end(cp, n, run, run - i)
        elif c == 36:  # '$'
            if i + 1 < n and cp[i + 1] == 36:
                skip = i + 2
                limit = min(n, i + 2 + BLOCK_LIMIT)
                close = _find_pair(cp, max(i + 2, searched[0]), limit, 36, 36)
                if close >= 0:
                    stop = close + 2
                else:
                    searched[0] = max(searched[0], limit - 1)
            elif i + 1 < n and cp[i + 1] != 32 and cp[i + 1] != 10 and cp[i + 1] != 13:
                stop = _inline_tex_end(cp, n, i + 1)
        elif c == 92:  # '\\'; what stands after it is no delimiter of its own: \$ \` \\
            skip = i + 2
            if i + 1 < n and (cp[i + 1] == 40 or cp[i + 1] == 91):
                which = 1 if cp[i + 1] == 40 else 2
                limit = min(n, i + 2 + (INLINE_LIMIT if which == 1 else BLOCK_LIMIT))
                close = _find_pair(cp, max(i + 2, searched[which]), limit, 92, 41 if which == 1 else 93)
                if close >= 0:
                    stop = close + 2
                else:
                    searched[which] = max(searched[which], limit - 1)
            elif i + 6 < n and cp[i + 1] == 98 and cp[i + 2] == 101 and cp[i + 3] == 103 and cp[i + 4] == 105 and cp[i + 5] == 110 and cp[i + 6] == 123:
                limit = i + 7 + BLOCK_LIMIT
                stop = _find_end_of_environment(cp, n, max(i + 7, searched[3]), limit)
                if stop < 0:
                    searched[3] = max(searched[3], min(limit, n - 4))
        if stop > 0:
            for k in range(start, stop):
                kind[k] = value
            done = stop
            skip = stop
            found = True
    return found
