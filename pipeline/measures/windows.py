"""A text as windows that a model can judge: whole passages of about as many tokens as it reads at once.

A window is cut before the model's own tokenizer sees it, by what characters cost on average in a bilingual WordPiece vocabulary: a Han
character, a kana or a syllable block is a token, four letters are one. So a text of 10 MB costs no more than the windows that are looked at.
"""

import re

import numpy as np

VERSION = 1

_END = re.compile(r"[\n。！？!?；]|[.;](?=\s)")


def _costs() -> np.ndarray:
    """Tokens a character, by code point below U+3000; every other is one token. Means over en and zh text under the bundled vocabulary."""
    table = np.full(0x3000, 0.3, np.float32)
    table[:0x80] = 0.25
    table[[ord(c) for c in " \n\t\r"]] = 0.0
    table[[c for c in range(0x21, 0x7F) if not chr(c).isalnum()]] = 1.0
    table[ord("0") : ord("9") + 1] = 0.5
    table[0x1100:0x1200] = 0.5
    table[0x2000:0x3000] = 1.0
    return table


_COSTS = _costs()


def windows(text: str, tokens: int, limit: int | None = None) -> list[str]:
    """Cut a text into windows of about equal length, each of at most 1.2 times `tokens` tokens by estimate; none for a blank text.

    Cuts fall at the end of a line or sentence where one is near (in the last fifth), else at white space, else anywhere. With `limit`, that many windows
    evenly spread over the text stand for all.
    """
    if not text.strip():
        return []
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    ends = np.cumsum(np.where(codes < 0x3000, _COSTS[np.minimum(codes, 0x2FFF)], np.float32(1.0)), dtype=np.float64)
    count = max(1, int(np.ceil(ends[-1] / tokens)))
    if count == 1:
        return [text]
    marks = np.arange(1, count)
    places = [0, *(int(p) for p in np.searchsorted(ends, ends[-1] / count * marks)), len(text)]
    earliest = [0, *(int(p) for p in np.searchsorted(ends, ends[-1] / count * (marks - 0.2)))]
    chosen = range(count) if limit is None or count <= limit else [int((i + 0.5) * count / limit) for i in range(limit)]
    out = []
    for i in chosen:
        window = text[_cut(text, places, earliest, i) : _cut(text, places, earliest, i + 1)]
        if window.strip():
            out.append(window)
    return out


def _cut(text: str, places: list[int], earliest: list[int], i: int) -> int:
    """Where the cut near `places[i]` falls: at most a fifth of a window's tokens earlier."""
    place = places[i]
    if i in (0, len(places) - 1):
        return place
    near = text[earliest[i] : place]
    ends = [m.end() for m in _END.finditer(near)]
    if ends:
        return earliest[i] + ends[-1]
    space = max(near.rfind(" "), near.rfind("\n"), near.rfind("\u3000"))
    return earliest[i] + space + 1 if space >= 0 else place
