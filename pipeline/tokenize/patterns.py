"""The pre-tokenizing patterns that the engines know: GPT-2's, Llama-3's (and cl100k's), Qwen2's (and ours).

A pattern is a regular expression that cuts text into pieces, and merges never leave a piece. All three speak of four kinds of
code point: letters, numbers, white space (of which line ends are special) and the rest. Which code point is of which kind is
not ours to say: it is what the regular-expression engine inside the installed `tokenizers` says, so `kinds()` holds what that
engine answered for every code point. The answers for one version ship in `kinds.npz`; another version is asked anew (4 s).

    python -m pipeline.tokenize.patterns        # ask the installed version, and write kinds.npz
"""

import io
import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.kernels.pieces import LETTER, NEWLINE, NUMBER, OTHER, SPACE
from pipeline.store import open_data

_REGEX = {LETTER: r"\p{L}", NUMBER: r"\p{N}", SPACE: r"\s", NEWLINE: r"[\r\n]"}  # a later one wins
_AT_ONCE = 65_536


@dataclass(frozen=True)
class Pattern:
    """A pattern by what distinguishes it; `pipeline.kernels.pieces.piece_end` is what it means."""

    name: str
    regex: str
    digits: int  # numbers in one piece at most; 0: no limit
    web: bool  # the later family: any one sign before letters, line ends in pieces of their own, contractions in any case


GPT2 = Pattern("gpt2", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", 0, False)
LLAMA3 = Pattern(
    "llama3",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    3,
    True,
)
QWEN2 = Pattern(
    "qwen2",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    1,
    True,
)
PATTERNS = (GPT2, LLAMA3, QWEN2)


@lru_cache(maxsize=1)
def kinds() -> np.ndarray:
    """The kind of every code point, as the installed `tokenizers` sees it; surrogates are OTHER. (0x110000,) uint8"""
    from tokenizers import __version__

    with np.load(io.BytesIO(open_data("tokenize/kinds.npz"))) as stored:
        return np.asarray(stored["kinds"]) if str(stored["version"]) == __version__ else probe()


def probe() -> np.ndarray:
    """`kinds()`, asked of the installed `tokenizers`, code point by code point."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    answer = np.full(0x110000, OTHER, np.uint8)
    everything = [*range(0xD800), *range(0xE000, 0x110000)]
    for kind, regex in _REGEX.items():
        only = Split(Regex(regex), "removed", invert=True)
        for start in range(0, len(everything), _AT_ONCE):
            text = "".join(map(chr, everything[start : start + _AT_ONCE]))
            for found, _ in only.pre_tokenize_str(text):
                answer[[ord(c) for c in found]] = kind
    return answer


@lru_cache(maxsize=1)
def may_change_under_nfc() -> np.ndarray:
    """Code points without which a text is its own NFC, by a wide margin: combining marks, what composes with a neighbour, what
    decomposes, and what this Python's Unicode does not know yet. (0x110000,) bool
    """
    at = np.zeros(0x110000, bool)
    for code_point in [*range(0x80, 0xD800), *range(0xE000, 0x110000)]:
        c = chr(code_point)
        at[code_point] = unicodedata.combining(c) != 0 or unicodedata.category(c) in ("Mn", "Mc", "Cn") or unicodedata.normalize("NFC", c) != c
    at[0x1160:0x1200] = True  # vowels and finals of Hangul join what stands before them
    at[0xFDD0:0xFDF0] = False  # never to be assigned
    return at


def main() -> None:
    from tokenizers import __version__

    path = Path(__file__).with_name("kinds.npz")
    np.savez_compressed(path, kinds=probe(), version=np.array(__version__))
    sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes, tokenizers {__version__}\n")


if __name__ == "__main__":
    main()
