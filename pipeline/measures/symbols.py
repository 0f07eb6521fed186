"""Marks, digits and brackets, over words or over characters. "Prose" leaves out URLs, link targets, code and TeX."""

import numpy as np

from pipeline.texts import Texts, fraction

VERSION = 1


def hash_per_word(texts: Texts) -> np.ndarray:
    """# and ＃ per word; 0 without words. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.hashes, texts.words)


def ellipsis_per_word(texts: Texts) -> np.ndarray:
    """Ellipses per word; 0 without words. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.ellipses, texts.words)


def hash_per_100_characters(texts: Texts) -> np.ndarray:
    """# and ＃ per 100 characters of the prose; 0 without prose. After MAP-NEO 2024. (texts,) float64"""
    return 100 * fraction(texts.prose_hashes, texts.prose)


def ellipsis_per_100_characters(texts: Texts) -> np.ndarray:
    """Ellipses per 100 characters of the prose; 0 without prose. After MAP-NEO 2024. (texts,) float64"""
    return 100 * fraction(texts.prose_ellipses, texts.prose)


def newline_per_100_characters(texts: Texts) -> np.ndarray:
    """Line breaks outside code and TeX per 100 characters of the prose; 0 without prose. methods.md, section 9. (texts,) float64"""
    return 100 * fraction(texts.prose_newlines, texts.prose)


def opening_curly_bracket_count(texts: Texts) -> np.ndarray:
    """How often { stands in the text; 0 if empty. C4, Raffel et al. 2020. (texts,) int64"""
    return texts.opening_curly_brackets


def lorem_ipsum_count(texts: Texts) -> np.ndarray:
    """How often "lorem ipsum" stands in the text, in any case; 0 if empty. C4, Raffel et al. 2020. (texts,) int64"""
    return texts.lorem_ipsum


def lenticular_bracket_fraction(texts: Texts) -> np.ndarray:
    """Characters between 【 and 】 on one line, over characters but whitespace; 0 if blank. MAP-NEO 2024. (texts,) float64"""
    return fraction(texts.bracketed_characters, texts.characters - texts.whitespace)


def digit_fraction(texts: Texts) -> np.ndarray:
    """Digits over characters, whitespace included; 0 if empty. OpenCoder 2024. (texts,) float64"""
    return fraction(texts.digits, texts.characters)


def prose_digit_fraction(texts: Texts) -> np.ndarray:
    """Digits of the prose over its characters but whitespace; 0 without prose. After MAP-NEO 2024. (texts,) float64"""
    return fraction(texts.prose_digits, texts.prose)


def prose_symbol_fraction(texts: Texts) -> np.ndarray:
    """Punctuation and symbols of the prose over its characters but whitespace; 0 without prose. methods.md, section 9. (texts,) float64"""
    return fraction(texts.prose_punctuation + texts.prose_symbols, texts.prose)


def whitespace_fraction(texts: Texts) -> np.ndarray:
    """Whitespace over characters; 0 if empty. NeMo Curator, OpenCoder 2024. (texts,) float64"""
    return fraction(texts.whitespace, texts.characters)


def url_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in URLs and link targets, over characters but whitespace; 0 if blank. NeMo Curator. (texts,) float64"""
    return fraction(texts.url_characters, texts.characters - texts.whitespace)


def code_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in fenced and inline code, over characters; 0 if empty. (texts,) float64"""
    return fraction(texts.code_characters, texts.characters)


def tex_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in TeX, over characters; 0 if empty. (texts,) float64"""
    return fraction(texts.tex_characters, texts.characters)


def uppercase_letter_fraction(texts: Texts) -> np.ndarray:
    """Upper-case letters over letters that have case; 0 without them. After DCLM 2024. (texts,) float64"""
    return fraction(texts.uppercase, texts.uppercase + texts.lowercase)


def character_entropy(texts: Texts) -> np.ndarray:
    """Entropy of the characters of the prose, whitespace excluded; 0 without prose. MAP-NEO 2024. (texts,) float64, nats"""
    return texts.entropy
