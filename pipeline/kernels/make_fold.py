"""Makes `fold.npz`, the table that `fold.py` opens: `python -m pipeline.kernels.make_fold`. Run by hand, never at run time.

A new Unicode or OpenCC version may change the table, and with it every duplicate key: raise `fold.VERSION` when it does.
"""

import sys
import unicodedata
from importlib.metadata import version
from pathlib import Path

import numpy as np
import opencc

from pipeline.kernels.fold import CODE_POINTS, DROPPED, SEPARATOR, SINGLE, SPACE, WORD

# Marks that only decorate a letter: Latin, Greek and Cyrillic diacritics, and the two of kana. Without them the composed and
# the decomposed spelling agree, as do half-width and full-width kana. Indic and Arabic vowel signs stay: they are letters' equals.
DECORATION = {*range(0x300, 0x370), 0x3099, 0x309A}

# Scripts written without spaces: a run of their letters is a sentence, not a word, so every character is a token.
UNSPACED = (
    (0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x19E0, 0x19FF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F),  # Thai, Lao, Tibetan, Burmese, Khmer
    (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x302F), (0x3031, 0x3035), (0x3038, 0x303C), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF),  # Han
    (0x3040, 0x30FF), (0x3100, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0xA000, 0xA4CF),  # kana, bopomofo, Yi
    (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFD),  # kana and Han of the supplementary planes, those of later Unicode versions too
)  # fmt: skip


def is_unspaced(code_point: int) -> bool:
    return any(first <= code_point <= last for first, last in UNSPACED)


def class_of(code_point: int) -> int:
    """What a folded code point is to the tokens: SPACE, SEPARATOR, WORD, SINGLE or DROPPED."""
    character = chr(code_point)
    category = unicodedata.category(character)
    if category == "Cf" or code_point == 0x34F or 0xFE00 <= code_point <= 0xFE0F or 0xE0000 <= code_point <= 0xE0FFF or code_point in DECORATION:
        return DROPPED  # zero-width spaces and joiners, soft hyphens, BOM, variation selectors: invisible, and noise between copies
    if character.isspace() or code_point == 0xFFFD:  # U+FFFD stands for bytes that were lost: it separates words and enters no key
        return SPACE
    if category[0] in "LNM" or (code_point >= 0x20000 and category == "Cn" and is_unspaced(code_point)):
        return SINGLE if is_unspaced(code_point) else WORD
    return SEPARATOR


def fold_of(code_point: int, simplify: dict[str, str]) -> str:
    """The fold of one code point: compatibility decomposition, case folding, decoration off, Simplified characters. 0 to 18 code points."""
    if 0xD800 <= code_point <= 0xDFFF:
        return "\ufffd"
    text = chr(code_point)
    before = None
    while text != before:  # ẞ, the Kelvin sign or compatibility ideographs take two turns
        before = text
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if class_of(ord(c)) != DROPPED).casefold()
        text = unicodedata.normalize("NFC", text)  # Hangul syllables whole again
        text = "".join(simplify.get(c, c) for c in text)
    return text


def simplified() -> dict[str, str]:
    """Traditional -> Simplified, character by character (OpenCC t2s): the phrase rules would make the fold of a character depend on its neighbours."""
    characters = [chr(c) for c in range(0x2E80, CODE_POINTS) if is_unspaced(c) and unicodedata.category(chr(c))[0] == "L"]
    converted = opencc.OpenCC("t2s").convert("\n".join(characters)).split("\n")
    return {a: b for a, b in zip(characters, converted, strict=True) if a != b}


def make() -> dict[str, np.ndarray]:
    simplify = simplified()
    folds = {c: fold_of(c, simplify) for c in range(CODE_POINTS)}
    changed = [c for c, f in folds.items() if f != chr(c)]
    classes = np.array([SEPARATOR if 0xD800 <= c <= 0xDFFF else class_of(c) for c in range(CODE_POINTS)], np.uint8)
    starts = np.flatnonzero(np.diff(classes, prepend=255)).astype(np.uint32)
    return {
        "class_starts": starts,
        "class_values": classes[starts],
        "changed": np.array(changed, np.uint32),
        "fold_lengths": np.array([len(folds[c]) for c in changed], np.uint8),
        "fold_values": np.array([ord(x) for c in changed for x in folds[c]], np.uint32),
        "made_with": np.array([f"unicode {unicodedata.unidata_version}", f"opencc {version('opencc')}"]),
    }


if __name__ == "__main__":
    target = Path(__file__).with_name("fold.npz")
    np.savez_compressed(target, **make())  # type: ignore[arg-type]  # numpy's stub takes the keywords for allow_pickle
    sys.stdout.write(f"{target}: {target.stat().st_size} bytes\n")
