"""Which script a text is written in, by its characters."""

import numpy as np

from pipeline.texts import Texts, fraction

VERSION = 1


def han_fraction(texts: Texts) -> np.ndarray:
    """Han characters over letters (Han included) of the prose; 0 without letters. ChineseWebText 2023, methods.md section 9. (texts,) float64"""
    return fraction(texts.prose_han, texts.prose_letters)


def latin_fraction(texts: Texts) -> np.ndarray:
    """Latin letters over letters (Han included) of the prose; 0 without letters. (texts,) float64"""
    return fraction(texts.prose_latin, texts.prose_letters)


def han_count(texts: Texts) -> np.ndarray:
    """Han characters of the whole text; 0 if empty. (texts,) int64"""
    return texts.han


def chinese_stop_word_count(texts: Texts) -> np.ndarray:
    """How many of 46 Chinese function characters (的 了 是 …) occur; 0 if empty. After FineWeb-2 2025, methods.md section 9. (texts,) int64"""
    return texts.chinese_stop_words
