"""What a text says more than once. The first occurrence is free; a character that repeats lie over counts once.

Words serve English (Gopher's rules). Tokens of the prose serve Chinese: each Han character and each mark is one, and so is a run
of Latin letters or digits; 8, 10, 13, 16 and 20 of them stand for what five to ten words are. Differences from datatrove are listed in tests/kernels/test_repetition.py.
"""

import numpy as np

from pipeline.texts import Texts, fraction

VERSION = 1


def duplicate_line_fraction(texts: Texts) -> np.ndarray:
    """Lines already seen in the same text, over lines, blank ones aside; 0 if blank. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.duplicate_lines, texts.lines)


def duplicate_line_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in lines already seen, over characters, whitespace aside; 0 if blank. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.duplicate_line_characters, texts.characters - texts.whitespace)


def duplicate_paragraph_fraction(texts: Texts) -> np.ndarray:
    """Paragraphs already seen in the same text, over paragraphs; 0 if blank. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.duplicate_paragraphs, texts.paragraphs)


def duplicate_paragraph_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in paragraphs already seen, over characters, whitespace aside; 0 if blank. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.duplicate_paragraph_characters, texts.characters - texts.whitespace)


def duplicate_prose_line_fraction(texts: Texts) -> np.ndarray:
    """Lines already seen, over lines, those that begin and end in code or TeX aside; 0 without. Gopher 2021, methods.md section 9. (texts,) float64"""
    return fraction(texts.duplicate_prose_lines, texts.prose_lines)


def duplicate_prose_line_character_fraction(texts: Texts) -> np.ndarray:
    """Characters of the prose in such lines already seen, over characters of the prose; 0 without. Gopher 2021, methods.md section 9. (texts,) float64"""
    return fraction(texts.duplicate_prose_line_characters, texts.prose)


def _top_words(texts: Texts, n: int) -> np.ndarray:
    return fraction(texts.top_ngram_characters(n), texts.word_characters)


def top_2gram_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in repeats of the most frequent pair of words, over characters in words; 0 without. Gopher 2021, table A1. (texts,) float64"""
    return _top_words(texts, 2)


def top_3gram_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in repeats of the most frequent 3 words in a row, over characters in words; 0 without. Gopher 2021, table A1. (texts,) float64"""
    return _top_words(texts, 3)


def top_4gram_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in repeats of the most frequent 4 words in a row, over characters in words; 0 without. Gopher 2021, table A1. (texts,) float64"""
    return _top_words(texts, 4)


def _duplicate_words(texts: Texts, n: int) -> np.ndarray:
    return fraction(texts.duplicate_ngram_characters(n), texts.word_characters)


def duplicate_5gram_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 5 words in a row that were seen before, over characters in words; 0 without. Gopher 2021, table A1. (texts,) float64"""
    return _duplicate_words(texts, 5)


def duplicate_6gram_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 6 words in a row that were seen before, over characters in words; 0 without. Gopher 2021, table A1. (texts,) float64"""
    return _duplicate_words(texts, 6)


def duplicate_7gram_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 7 words in a row that were seen before, over characters in words; 0 without. Gopher 2021, table A1. (texts,) float64"""
    return _duplicate_words(texts, 7)


def duplicate_8gram_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 8 words in a row that were seen before, over characters in words; 0 without. Gopher 2021, table A1. (texts,) float64"""
    return _duplicate_words(texts, 8)


def duplicate_9gram_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 9 words in a row that were seen before, over characters in words; 0 without. Gopher 2021, table A1. (texts,) float64"""
    return _duplicate_words(texts, 9)


def duplicate_10gram_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 10 words in a row that were seen before, over characters in words; 0 without. Gopher 2021, table A1. (texts,) float64"""
    return _duplicate_words(texts, 10)


def top_4token_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in repeats of the most frequent 4 tokens in a row, over characters of the prose; 0 without. methods.md, section 9. (texts,) float64"""
    return fraction(texts.top_token_ngram_characters(4), texts.token_characters)


def top_6token_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in repeats of the most frequent 6 tokens in a row, over characters of the prose; 0 without. methods.md, section 9. (texts,) float64"""
    return fraction(texts.top_token_ngram_characters(6), texts.token_characters)


def top_8token_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in repeats of the most frequent 8 tokens in a row, over characters of the prose; 0 without. methods.md, section 9. (texts,) float64"""
    return fraction(texts.top_token_ngram_characters(8), texts.token_characters)


def duplicate_8token_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 8 tokens in a row that were seen before, over characters of the prose; 0 without. methods.md, section 9. (texts,) float64"""
    return fraction(texts.duplicate_token_ngram_characters(8), texts.token_characters)


def duplicate_10token_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 10 tokens in a row that were seen before, over characters of the prose; 0 without. methods.md, section 9. (texts,) float64"""
    return fraction(texts.duplicate_token_ngram_characters(10), texts.token_characters)


def duplicate_13token_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 13 tokens in a row that were seen before, over characters of the prose; 0 without. methods.md, section 9. (texts,) float64"""
    return fraction(texts.duplicate_token_ngram_characters(13), texts.token_characters)


def duplicate_16token_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 16 tokens in a row that were seen before, over characters of the prose; 0 without. methods.md, section 9. (texts,) float64"""
    return fraction(texts.duplicate_token_ngram_characters(16), texts.token_characters)


def duplicate_20token_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in 20 tokens in a row that were seen before, over characters of the prose; 0 without. methods.md, section 9. (texts,) float64"""
    return fraction(texts.duplicate_token_ngram_characters(20), texts.token_characters)
