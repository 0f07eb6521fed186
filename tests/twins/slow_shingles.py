"""The slow obvious version of kernels/fold.py and kernels/shingles.py: strings, lists and sets, no arrays, no tricks.

It takes folding from `unicodedata` and OpenCC rather than from the shipped table, so it holds only under the Unicode version of the table.
"""

import unicodedata
from functools import cache, lru_cache

import numpy as np
import opencc

M64 = (1 << 64) - 1
K1, K2, K3, K4 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xC2B2AE3D27D4EB4F
LETTER, BASE, SEED, EXACT = 0xFF51AFD7ED558CCD, 0xD6E8FEB86659FD93, 0xCBF29CE484222325, 0x165667B19E3779F9
SINGLE, WORD = 2, 3

_t2s = opencc.OpenCC("t2s")
_SCRIPTS_WITHOUT_SPACES = (
    "CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "CJK RADICAL", "KANGXI", "IDEOGRAPHIC ", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO ", "TIBETAN", "MYANMAR",
    "KHMER", "YI ", "HANGZHOU", "VERTICAL KANA", "VERTICAL IDEOGRAPHIC", "MASU", "HENTAIGANA", "HANGUL SINGLE DOT", "HANGUL DOUBLE DOT",
)  # fmt: skip


def is_invisible(c: str) -> bool:
    """Format characters and variation selectors."""
    return unicodedata.category(c) == "Cf" or c == "\u034f" or "\ufe00" <= c <= "\ufe0f" or 0xE0000 <= ord(c) <= 0xE0FFF


def is_diacritic(c: str) -> bool:
    return "\u0300" <= c <= "\u036f" or c in "\u3099\u309a"


@cache
def fold_character(c: str) -> str:
    if "\ud800" <= c <= "\udfff":
        return "\ufffd"
    before = None
    while before != c:
        before = c
        c = unicodedata.normalize("NFKD", c)
        c = "".join(x for x in c if not is_diacritic(x) and not is_invisible(x)).casefold()
        c = "".join(_t2s.convert(x) if unicodedata.category(x)[0] == "L" else x for x in unicodedata.normalize("NFC", c))
    return c


def fold(text: str) -> str:
    return "".join(map(fold_character, text))


@cache
def kind_of(c: str) -> str:
    """What a folded character is: word, single, space, or separator."""
    category = unicodedata.category(c)
    if category[0] in "LNM":
        name = unicodedata.name(c, "")
        return "single" if name.startswith(_SCRIPTS_WITHOUT_SPACES) and "TALLY" not in name else "word"
    if 0x20000 <= ord(c) <= 0x3FFFD and category == "Cn":
        return "single"  # Han of a later Unicode version
    return "space" if c.isspace() or c == "\ufffd" else "separator"


def tokens(text: str) -> list[tuple[str, str]]:
    """(kind, token) in the order of the text."""
    found: list[tuple[str, str]] = []
    word = ""
    for c in fold(text) + " ":
        if kind_of(c) == "word":
            word += c
            continue
        if word:
            found.append(("word", word))
            word = ""
        if kind_of(c) == "single":
            found.append(("single", c))
    return found


@lru_cache(maxsize=4096)
def windows(text: str) -> list[tuple[str, ...]]:
    """The shingles as tuples of tokens: 5 from a word on, 8 from a single character on; all tokens where that gives none."""
    all_tokens = tokens(text)
    ends = [i + (5 if kind == "word" else 8) for i, (kind, _) in enumerate(all_tokens)]
    found = [(i, end) for i, end in enumerate(ends) if end <= len(all_tokens)]
    if not found and all_tokens:
        found = [(0, len(all_tokens))]
    return [tuple(t for _, t in all_tokens[a:b]) for a, b in sorted(found, key=lambda w: (w[1], -w[0]))]


def jaccard(a: str, b: str) -> float:
    """Exact, over tuples of tokens: no hash enters it."""
    x, y = set(windows(a)), set(windows(b))
    return len(x & y) / len(x | y) if x and y else 0.0


def mix(h: int) -> int:
    h = ((h ^ (h >> 30)) * K2) & M64
    h = ((h ^ (h >> 27)) * K3) & M64
    return h ^ (h >> 31)


@lru_cache(maxsize=100_000)
def hash_window(window: tuple[str, ...]) -> int:
    total = 0
    for token in window:
        h = 0
        for c in token:
            h = (h * LETTER + ((SINGLE if kind_of(c) == "single" else WORD) << 24 | ord(c))) & M64
        h = (h * K1) & M64
        total = (total * BASE + (h ^ (h >> 32))) & M64
    return mix(total)


def shingle_set(text: str) -> list[int]:
    return sorted({hash_window(w) for w in windows(text)})


@cache
def probe_order(i: int, bins: int) -> list[int]:
    """The order in which an empty bin looks at the bins: itself, then by a hash."""
    return sorted(range(bins), key=lambda j: 0 if i == j else mix(((i * bins + j + 1) * K1) & M64))


def signature(text: str, bins: int = 112) -> list[int]:
    """One-permutation MinHash; an empty bin takes the value of the bin that comes first in its own order among those that are not empty."""
    least: dict[int, int] = {}
    for w in windows(text):
        h = hash_window(w)
        place = ((h >> 32) * bins) >> 32
        least[place] = min(least.get(place, 0xFFFFFFFF), h & 0xFFFFFFFF)
    if not least:
        return [0xFFFFFFFF] * bins
    return [least[next(j for j in probe_order(i, bins) if j in least)] for i in range(bins)]


def _two_lanes(values: list[int], a: int, b: int) -> tuple[int, int]:
    for v in values:
        a = ((a ^ v) * K1) & M64
        b = ((b ^ v) * K3) & M64
        a ^= a >> 32
        b ^= b >> 31
    return mix((a + len(values)) & M64), mix(b ^ len(values))


def text_key(text: str) -> tuple[int, int]:
    return _two_lanes([ord(c) for c in fold(text) if kind_of(c) != "space"], SEED, K4)


def exact_key(data: bytes) -> tuple[int, int]:
    return _two_lanes(list(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")), EXACT, EXACT ^ K4)


def verify(sets: list[set[int]], threshold: float) -> list[tuple[int, float]]:
    """(the member kept in its place, similarity) of each, greedy, quadratic."""
    result: list[tuple[int, float]] = []
    for x, one in enumerate(sets):
        best, best_score = x, 0.0
        for y in range(x):
            if result[y][0] == y and one and sets[y]:
                score = len(one & sets[y]) / len(one | sets[y])
                if score >= threshold and score > best_score:
                    best, best_score = y, score
        result.append((best, best_score if best != x else 1.0))
    return result


def pack(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The kernels' interface: all bytes in a row, and where each text begins."""
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(t) for t in texts], out=offsets[1:])
    return np.frombuffer(b"".join(texts), np.uint8), offsets
