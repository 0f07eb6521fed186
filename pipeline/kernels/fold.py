"""Folding: one spelling for code points that say the same, for duplicate KEYS only. It never enters a document's text.

The fold of a code point is its compatibility decomposition (NFKD), case-folded, without diacritics and invisible marks, in Simplified
characters: Ａ -> a, é -> e, ﬁ -> fi, 漢 -> 汉, ㈱ -> (株), soft hyphen -> nothing. It is taken point by point, without context, so the fold of a
text is the concatenation of the folds, and a cut anywhere changes nothing. Hangul syllables stay whole.

The table ships as `fold.npz` (made by `make_fold.py`), so that keys do not depend on the interpreter's Unicode version. Opened: 4.4 MB, 20 ms.
"""

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pipeline.store import open_data

VERSION = 1  # raise it when a fold or a class changes: every key made with it changes too
CODE_POINTS = 0x110000

# What a folded code point is to the tokens of a text.
SEPARATOR = 0  # punctuation, symbols, emoji, private use: ends a word; stays in the key of the whole text
SPACE = 1  # white space and U+FFFD: ends a word; enters no key
SINGLE = 2  # a character of a script without spaces (Han, kana, Thai, …): a token of its own
WORD = 3  # letters, digits and their marks: a run of them is one token
DROPPED = 4  # invisible: enters nothing, ends nothing
EXPANDS = 5  # folds to several code points, which stand in `expansions`

CLASS_SHIFT = 24
POINT_MASK = (1 << CLASS_SHIFT) - 1


class Fold(NamedTuple):
    """entries: (0x110000,) uint32, folded code point | class << 24; where the class is EXPANDS, the low bits are the place in
    `expansions`, uint32, of a length and as many entries."""

    entries: np.ndarray
    expansions: np.ndarray


@lru_cache(maxsize=1)
def fold_table() -> Fold:
    """The shipped table, opened once a process. Both arrays are read-only."""
    with np.load(io.BytesIO(open_data("kernels/fold.npz"))) as file:
        starts, values, changed = file["class_starts"].astype(np.int64), file["class_values"], file["changed"]
        lengths, folded = file["fold_lengths"].astype(np.int64), file["fold_values"]
    classes = np.repeat(values.astype(np.uint32), np.append(starts[1:], CODE_POINTS) - starts)
    own = np.arange(CODE_POINTS, dtype=np.uint32) | classes << np.uint32(CLASS_SHIFT)  # of a code point that stands for itself

    ends = np.cumsum(lengths)
    entries = own.copy()
    entries[changed[lengths == 0]] = DROPPED << CLASS_SHIFT
    entries[changed[lengths == 1]] = own[folded[ends[lengths == 1] - 1]]
    several = np.flatnonzero(lengths > 1)
    places = np.cumsum(lengths[several] + 1) - (lengths[several] + 1)
    expansions = np.zeros(int((lengths[several] + 1).sum()), np.uint32)
    expansions[places] = lengths[several]
    within = np.ones(len(expansions), bool)
    within[places] = False
    expansions[within] = own[folded[np.repeat(lengths > 1, lengths)]]
    entries[changed[several]] = places.astype(np.uint32) | np.uint32(EXPANDS << CLASS_SHIFT)
    entries.flags.writeable = expansions.flags.writeable = False
    return Fold(entries, expansions)


@lru_cache(maxsize=1)
def _translation() -> dict[int, str]:
    entries, expansions = fold_table()
    classes, points = entries >> CLASS_SHIFT, entries & POINT_MASK
    changed = np.flatnonzero((points != np.arange(CODE_POINTS)) | (classes >= DROPPED))
    result = {}
    for point in changed.tolist():
        if classes[point] == EXPANDS:
            place = int(points[point])
            result[point] = "".join(map(chr, (expansions[place + 1 : place + 1 + int(expansions[place])] & POINT_MASK).tolist()))
        else:
            result[point] = "" if classes[point] == DROPPED else chr(int(points[point]))
    return result


def fold_text(text: str) -> str:
    """The fold of a text: `fold_text("Ｃａｆé 漢字")` is `"cafe 汉字"`. For single strings; the kernels read the table themselves."""
    return text.translate(_translation())
