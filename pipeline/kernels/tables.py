"""What each code point is: one table for all kernels, the same whatever Python runs.

`classes.npz` holds the general classes as runs of code points, from the Unicode version named in it (the interpreter's own
`unicodedata` changes with the interpreter, and with it the bytes of a corpus). `python -m pipeline.kernels.tables` writes it
again and needs `unicodedata2`. The marks that rules talk about (bullets, closing quotes, …) are rules, not Unicode, and
stand here as text. Loading costs 10 ms, once a process.
"""

import io
from functools import lru_cache

import numpy as np

from pipeline.store import open_data

# The class of a code point: the low four bits of its entry.
OTHER, SPACE, LATIN, HAN, LETTER, DIGIT, NUMBER, MARK, PUNCTUATION, SYMBOL = range(10)
CLASS_MASK = 0xF
# Flags above the class.
UPPER = 0x10
LOWER = 0x20
WORD = 0x40  # stands in a word: letters but Han, digits, other numbers, marks
JOINER = 0x80  # stands between two of those in one word: don’t, well-known, snake_case
TERMINAL = 0x100  # may end a line of prose
SENTENCE = 0x200  # may end a sentence
CLOSER = 0x400  # closing quote or bracket, which may follow a terminal mark
SEPARATOR = 0x800  # stands between two digits in one word: 3.14, 1,000
CHINESE_STOP = 0x1000
ALPHABETIC = 0x2000  # Latin, Han and other letters
SPECIAL = 0x4000  # decode lists where these stand: line breaks, what may end a sentence, what may open a span
DECIMAL = 0x8000  # digits

JOINERS = "'’-‐‑_\u00ad\u200c\u200d"  # the last three: soft hyphen and the zero-width (non-)joiners
SEPARATORS = ".,"
TERMINALS = ".!?。！？；…．｡‼⁇⁈⁉؟۔।॥"
SENTENCE_ENDS = ".!?。！？｡؟۔।॥"
CLOSERS = "\"'”’)]}）】」』》〉›»｝］〕＂＇"
SPECIALS = "\n\r【】…:`~$\\]" + SENTENCE_ENDS
# Gopher says "bullet point"; datatrove takes • and -, RedPajama-V2 and MAP-NEO the geometric ones. An asterisk or a plus counts
# only with a space after it (**bold**), which the kernel looks after.
BULLETS = "•-‣◦●○■□▪▫▶◀◆◇·–➢※*+"
CHINESE_STOPS = "的了是在和有我他这也就不人都一到说要会中为与而被由对以于因但或上着之其這們後為與於個"
ENGLISH_STOPS = ("the", "be", "to", "of", "and", "that", "have", "with")

CODE_POINTS = 0x110000


def _classes() -> tuple[np.ndarray, np.ndarray, str]:
    with np.load(io.BytesIO(open_data("kernels/classes.npz"))) as stored:
        return stored["start"], stored["value"], str(stored["unicode_version"])


@lru_cache(maxsize=1)
def unicode_version() -> str:
    """The Unicode version whose classes the kernels use; it bears identity."""
    return _classes()[2]


@lru_cache(maxsize=1)
def properties() -> np.ndarray:
    """Class and flags of every code point. (0x110000,) uint16, not writable."""
    start, value, _ = _classes()
    table = np.repeat(value, np.diff(np.append(start, CODE_POINTS))).astype(np.uint16)
    kind = table & CLASS_MASK
    table[np.isin(kind, (LATIN, LETTER, DIGIT, NUMBER, MARK))] |= WORD
    table[np.isin(kind, (LATIN, LETTER, HAN))] |= ALPHABETIC
    table[kind == DIGIT] |= DECIMAL
    for marks, flag in (
        (JOINERS, JOINER),
        (TERMINALS, TERMINAL),
        (SENTENCE_ENDS, SENTENCE),
        (CLOSERS, CLOSER),
        (SEPARATORS, SEPARATOR),
        (SPECIALS, SPECIAL),
        (CHINESE_STOPS, CHINESE_STOP),
    ):
        table[[ord(mark) for mark in marks]] |= flag
    table.flags.writeable = False
    return table


def _class_of(code_point: int, unicode: object) -> int:
    """The stored byte of one code point: its class, and whether it is upper or lower case. `unicode` is a unicodedata module."""
    character = chr(code_point)
    category: str = unicode.category(character)  # type: ignore[attr-defined]  # a module passed as a value
    name: str = unicode.name(character, "")  # type: ignore[attr-defined]
    if category in ("Zs", "Zl", "Zp") or character in "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85":  # what str.isspace says
        return SPACE
    if name.startswith(("CJK UNIFIED IDEOGRAPH-", "CJK COMPATIBILITY IDEOGRAPH-")) or character in "々〇":
        return HAN
    if category[0] == "L":
        case = UPPER if category in ("Lu", "Lt") else LOWER if category == "Ll" else 0
        return (LATIN if "LATIN " in name else LETTER) | case
    if category == "Nd":
        return DIGIT
    return {"N": NUMBER, "M": MARK, "P": PUNCTUATION, "S": SYMBOL}.get(category[0], OTHER)


def write_classes(path: str) -> None:
    """Write `classes.npz` from unicodedata2 (its version goes into the file)."""
    import unicodedata2  # type: ignore[import-not-found]  # for whoever writes the table only

    value = np.array([_class_of(c, unicodedata2) for c in range(CODE_POINTS)], np.uint8)
    start = np.flatnonzero(np.append(True, value[1:] != value[:-1])).astype(np.uint32)
    np.savez_compressed(path, start=start, value=value[start], unicode_version=np.array(unicodedata2.unidata_version))


if __name__ == "__main__":
    import pathlib

    write_classes(str(pathlib.Path(__file__).with_name("classes.npz")))
