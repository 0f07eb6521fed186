"""Which language a text is in, by fastText's lid.176: one number a language asked for, and the script of Chinese text.

600 characters are looked at: the whole of a short text, three windows (begin, middle, end) of a long one, since the first lines of a page are often
its menu. A space is put around each Han character, without which lid.176 calls some ordinary Chinese "ja" or "vi" (on 450 Chinese sentences top-1 rises
from 0.949 to 0.998), and Japanese without a single kana counts as Chinese. So do Cantonese and Wu. A text's numbers do not depend on those beside it.
"""

import re
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.store import open_data, open_model

VERSION = 1
ENGINES = {"fasttext-predict": version("fasttext-predict")}

SAMPLE_CHARACTERS = 600  # of Chinese they cost as much as 1,000 unspaced ones; no set of ../shared/data/langid is told apart better by more
_WINDOW = 200
_TOP = 8  # a language beyond the first eight has under 1/9
_FLOOR = 0.005  # a smaller probability is given as 0
_CHINESE = frozenset({"zh", "yue", "wuu"})
_KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d]")
_SURE_SHARE = 0.9  # of the characters that only one script has

COLUMNS = pa.schema(
    [
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float64()),
        pa.field("script", pa.string()),
        pa.field("p_en", pa.float64()),
        pa.field("p_zh", pa.float64()),
        pa.field("p_en_or_zh", pa.float64()),
    ]
)


class LanguageId:
    """Texts -> language (ISO 639 code as lid.176 has it; null for a text without a letter), its score, the script of Chinese, and p(en), p(zh), their sum.

    script: `Hans`, `Hant`, `mixed`, or empty where the text is not Chinese or has no character that only one of them has.
    """

    def __init__(self, model: str = "bundled:lid176") -> None:
        import fasttext

        self.model = open_model(model)
        self._predict: Any = fasttext.load_model(self.model.path).f.predict

    def __call__(self, texts: pa.Array) -> pa.Table:
        columns: dict[str, list[Any]] = {name: [] for name in COLUMNS.names}
        for text in texts.to_pylist():
            row = self.one(text or "")
            for name, value in zip(COLUMNS.names, row, strict=True):
                columns[name].append(value)
        return pa.table(columns, COLUMNS)

    def one(self, text: str) -> tuple[str | None, float, str, float, float, float]:
        """The columns of one text."""
        seen = sample(text)
        if not seen:
            return None, 0.0, "", 0.0, 0.0, 0.0
        codes = None if seen.isascii() else np.frombuffer(seen.encode("utf-32-le"), np.uint32)
        line = seen if codes is None else _spaced(seen, codes)
        found = self._predict(line + "\n", _TOP, _FLOOR, "strict")
        english = chinese = best = 0.0
        language = None
        for score, label in found:
            name = label[9:]
            if name in _CHINESE or (name == "ja" and codes is not None and _KANA.search(seen) is None):
                chinese += score
            else:
                if name == "en":
                    english = score
                if score > best:
                    best, language = score, name
        if chinese > best:
            best, language = chinese, "zh"
        # fastText's probabilities sum to 1.00001 now and then
        return (
            language,
            min(best, 1.0),
            _script(codes) if language == "zh" and codes is not None else "",
            min(english, 1.0),
            min(chinese, 1.0),
            min(english + chinese, 1.0),
        )


def sample(text: str) -> str:
    """The characters that are looked at, on one line."""
    if len(text) > SAMPLE_CHARACTERS:
        middle = (len(text) - _WINDOW) // 2
        text = f"{text[:_WINDOW]} {text[middle : middle + _WINDOW]} {text[-_WINDOW:]}"
    return " ".join(text.split())


def spaced(text: str) -> str:
    """The text with a space around each Han character."""
    return _spaced(text, np.frombuffer(text.encode("utf-32-le"), np.uint32))


def script_of(text: str) -> str:
    """`Hans`, `Hant` or `mixed`, by the characters that only one of them has; empty where there is none."""
    return _script(np.frombuffer(text.encode("utf-32-le"), np.uint32))


def _spaced(text: str, codes: np.ndarray) -> str:
    han = _han_table()[np.minimum(codes >> 8, 0x3FF)]
    if not han.any():
        return text
    before = han.copy()  # a space stands before a Han character too where none stands after the one before it
    before[0] = False
    before[1:] &= ~han[:-1]
    places = np.arange(len(codes)) + np.cumsum(before)
    places[1:] += np.cumsum(han)[:-1]
    out = np.full(len(codes) + int(han.sum()) + int(before.sum()), 32, np.uint32)
    out[places] = codes
    return out.tobytes().decode("utf-32-le")


def _script(codes: np.ndarray) -> str:
    _, hans, hant = np.bincount(_script_table()[np.minimum(codes, 0xFFFF)], minlength=3)
    if hans + hant == 0:
        return ""
    share = hans / (hans + hant)
    return "Hans" if share >= _SURE_SHARE else "Hant" if share <= 1 - _SURE_SHARE else "mixed"


@lru_cache(maxsize=1)
def _han_table() -> np.ndarray:
    """Code point >> 8 -> whether these 256 are Han (the few others in U+4DC0-4DFF and U+FB00 are not worth a finer table)."""
    table = np.zeros(0x400, bool)
    table[0x34:0xA0] = table[0xF9:0xFB] = table[0x200:0x400] = True
    return table


@lru_cache(maxsize=1)
def _script_table() -> np.ndarray:
    """Code point -> 1 for characters of simplified Chinese only, 2 of traditional only, else 0. Made by benchmarks/make_script_table.py from OpenCC's."""
    table = np.zeros(1 << 16, np.uint8)
    hans, hant = open_data("measures/script_characters.txt").decode().split("\n")[:2]
    table[[ord(c) for c in hans]] = 1
    table[[ord(c) for c in hant]] = 2
    return table
