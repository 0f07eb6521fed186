"""What stands in the string literals, comments and lines of source code, in one pass over the bytes, for all languages alike.

A literal is what stands between two equal quotes (' " `) on one line, \\ escaping the next character; an apostrophe between letters opens none, nor
does one whose partner is missing. That is no parser: of a language with other rules (a Rust lifetime, a regular expression) some characters are
counted wrong, and shares of a file hardly move. `tests/twins/slow_source.py` is the slow obvious version.
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"
# numba infers the types of compiled code itself; to mypy every NumPy number in it is a mistake.

import numpy as np
from numba import njit

from pipeline.kernels import raw

SOURCE = ("string_characters", "long_string_lines", "solid_lines", "todo_lines", "assert_lines", "import_lines")
LONG_STRING_WORD = 20  # OpenCoder: a word of more than so many characters in a literal is likely data


def _word(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


_TODO = (_word("TODO"), _word("FIXME"), _word("your code here"), _word("YOUR CODE HERE"))
_ASSERT = _word("assert")
_IMPORTS = (_word("import "), _word("from "), _word("#include"), _word("using "), _word("use "), _word("require"))


@njit(cache=True, nogil=True)
def _at(data: np.ndarray, at: int, stop: int, word: np.ndarray) -> bool:
    if at + word.size > stop:
        return False
    for j in range(word.size):  # noqa: SIM110  # no generator in compiled code
        if data[at + j] != word[j]:
            return False
    return True


@njit(cache=True, nogil=True)
def _letter(byte: int) -> bool:
    return 65 <= byte <= 90 or 97 <= byte <= 122 or 48 <= byte <= 57 or byte == 95 or byte >= 128


_PLAIN, _QUOTE, _MARK_, _LINE = 0, 1, 2, 3
_KIND = np.zeros(256, np.uint8)
_KIND[[34, 39, 96]] = _QUOTE
_KIND[[ord(c) for c in "TFyY"]] = _MARK_  # with what a mark begins
_KIND[10] = _LINE
_FIRST = np.zeros(256, np.bool_)  # with what an assertion or an import begins
_FIRST[[word[0] for word in (_ASSERT, *_IMPORTS)]] = True


@njit(cache=True, nogil=True)
def _closing(data: np.ndarray, at: int, stop: int) -> int:
    """The quote that closes the literal opened at `at`, or -1 where the line has none."""
    k = at + 1
    while k < stop and data[k] != 10:
        if data[k] == 92:
            k += 1
            if k < stop and data[k] == 10:
                return -1
        elif data[k] == data[at]:
            return k
        k += 1
    return -1


@njit(cache=True, nogil=True)
def _marked(data: np.ndarray, at: int, stop: int, todo: tuple) -> bool:
    """Whether one of the marks stands here. Its second letter is looked at first: most bytes that could begin one do not."""
    if at + 1 >= stop or not (data[at + 1] == 79 or data[at + 1] == 73 or data[at + 1] == 111):  # O, I, o
        return False
    for word in todo:  # noqa: SIM110  # no generator in compiled code
        if _at(data, at, stop, word):
            return True
    return False


@njit(cache=True, nogil=True)
def _scan(data: np.ndarray, offsets: np.ndarray, todo: tuple, assertion: np.ndarray, imports: tuple, out: np.ndarray) -> None:
    for t in range(offsets.size - 1):
        stop = offsets[t + 1]
        k = offsets[t]
        while k < stop:
            while k < stop and data[k] <= 32:  # blank lines too
                k += 1
            if k >= stop:
                break
            first = k
            out[t, 2] += 1
            if _FIRST[data[k]]:
                out[t, 4] += _at(data, k, stop, assertion)
                for word in imports:
                    if _at(data, k, stop, word):
                        out[t, 5] += 1
                        break
            long_word = False
            marked = False
            while k < stop:
                kind = _KIND[data[k]]
                if kind == _PLAIN:
                    k += 1
                    continue
                if kind == _LINE:
                    break
                if kind == _MARK_:
                    marked = marked or _marked(data, k, stop, todo)
                elif not (data[k] == 39 and k > first and _letter(data[k - 1])):
                    close = _closing(data, k, stop)
                    if close > 0:
                        size = 0
                        longest = 0
                        characters = 0
                        for j in range(k + 1, close):
                            c = data[j]
                            whole = c & 0xC0 != 0x80
                            characters += whole
                            size = 0 if c <= 32 else size + whole
                            longest = max(longest, size)
                        out[t, 0] += characters
                        long_word = long_word or longest > LONG_STRING_WORD
                        k = close
                k += 1
            out[t, 1] += long_word
            out[t, 3] += marked


def scan(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The counts of SOURCE. (texts, 6) int64"""
    out = np.zeros((offsets.size - 1, len(SOURCE)), np.int64)
    _scan(raw.frozen(data), raw.frozen(offsets), _TODO, _ASSERT, _IMPORTS, out)
    return out


def warm() -> None:
    """Compile or load the kernel."""
    scan(np.frombuffer(b"x = 'one two'", np.uint8), np.array([0, 13], np.int64))
