"""The table of code points: one named Unicode version, the same as the interpreter's where that one knows a character."""

import unicodedata

import numpy as np

from pipeline.kernels import tables


def test_the_unicode_version_is_named() -> None:
    assert tables.unicode_version() == "18.0.0"


def test_classes_agree_with_the_interpreter_for_every_character_it_knows() -> None:
    stored = tables.properties() & (tables.CLASS_MASK | tables.UPPER | tables.LOWER)
    known = [c for c in range(tables.CODE_POINTS) if unicodedata.category(chr(c)) != "Cn"]
    other = [c for c in known if stored[c] != tables._class_of(c, unicodedata)]
    # Unicode 16 made the pharyngeal fricative, a letter without case until then, a lower-case one.
    assert [hex(c) for c in other] == ["0x295"]


def test_whitespace_is_what_python_calls_so() -> None:
    stored = tables.properties() & tables.CLASS_MASK
    assert np.flatnonzero(stored == tables.SPACE).tolist() == [c for c in range(tables.CODE_POINTS) if chr(c).isspace()]


def test_scripts_and_marks() -> None:
    table = tables.properties()
    expected = {
        "a": tables.LATIN,
        "É": tables.LATIN,
        "ａ": tables.LATIN,
        "中": tables.HAN,
        "々": tables.HAN,
        "〇": tables.HAN,
        "𠀀": tables.HAN,
        "豈": tables.HAN,
        "あ": tables.LETTER,
        "д": tables.LETTER,
        "7": tables.DIGIT,
        "٣": tables.DIGIT,
        "½": tables.NUMBER,
        "\u0301": tables.MARK,
        "，": tables.PUNCTUATION,
        "+": tables.SYMBOL,
        "😀": tables.SYMBOL,
        "\u200b": tables.OTHER,
        "\u3000": tables.SPACE,
    }
    assert {c: int(table[ord(c)]) & tables.CLASS_MASK for c in expected} == expected


def test_the_list_of_chinese_stop_words_names_each_once() -> None:
    assert len(tables.CHINESE_STOPS) == len(set(tables.CHINESE_STOPS))
    assert all(table & tables.CHINESE_STOP for table in tables.properties()[[ord(c) for c in tables.CHINESE_STOPS]])
