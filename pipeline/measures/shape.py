"""Lengths, lines and words: the shape of a text. Definitions of word and line: kernels/utf8.py; of sentence: kernels/counting.py."""

import numpy as np

from pipeline.texts import Texts, fraction

VERSION = 1


def character_count(texts: Texts) -> np.ndarray:
    """Code points, whitespace included; 0 if empty. (texts,) int64"""
    return texts.characters


def byte_count(texts: Texts) -> np.ndarray:
    """UTF-8 bytes; 0 if empty. (texts,) int64"""
    return texts.bytes


def word_count(texts: Texts) -> np.ndarray:
    """Words, each Han character being one; punctuation alone is no word; 0 if empty. Gopher 2021, table A1. (texts,) int64"""
    return texts.words


def sentence_count(texts: Texts) -> np.ndarray:
    """Sentences; what is left at the end without a mark counts as one; 0 without words. C4, Raffel et al. 2020. (texts,) int64"""
    return texts.sentences


def paragraph_count(texts: Texts) -> np.ndarray:
    """Runs of lines without a blank one between them; 0 if blank. (texts,) int64"""
    return texts.paragraphs


def line_count(texts: Texts) -> np.ndarray:
    """Lines, blank ones included, as an editor counts them; 0 if empty. StarCoder2 2024. (texts,) int64"""
    return texts.all_lines


def text_line_count(texts: Texts) -> np.ndarray:
    """Lines that hold more than whitespace; 0 if blank. (texts,) int64"""
    return texts.lines


def mean_line_length(texts: Texts) -> np.ndarray:
    """Characters per line, breaks excluded, blank lines included; 0 if empty. StarCoder 2023. (texts,) float64"""
    return fraction(texts.all_line_characters, texts.all_lines)


def mean_text_line_length(texts: Texts) -> np.ndarray:
    """Characters per line that holds more than whitespace, blanks at its ends excluded; 0 if blank. ChineseWebText 2023. (texts,) float64"""
    return fraction(texts.line_characters, texts.lines)


def max_line_length(texts: Texts) -> np.ndarray:
    """Characters of the longest line; 0 if empty. StarCoder 2023. (texts,) int64"""
    return texts.longest_line


def mean_word_length(texts: Texts) -> np.ndarray:
    """Characters per word, each Han character being one; 0 without words. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.word_characters, texts.words)


def max_word_length(texts: Texts) -> np.ndarray:
    """Characters of the longest word; 0 without words. C4 as datatrove has it. (texts,) int64"""
    return texts.longest_word


def long_word_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in words of over 20 characters, over characters in words; 0 without words. After OpenCoder 2024. (texts,) float64"""
    return fraction(texts.long_word_characters, texts.word_characters)


def alphabetic_word_fraction(texts: Texts) -> np.ndarray:
    """Words with at least one letter, over words; 0 without words. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.alphabetic_words, texts.words)


def stop_word_count(texts: Texts) -> np.ndarray:
    """How many of the, be, to, of, and, that, have, with occur, in any case; 0 if empty. Gopher 2021, table A1. (texts,) int64"""
    return texts.stop_words


def bullet_line_fraction(texts: Texts) -> np.ndarray:
    """Lines that begin with a bullet, over lines that hold more than whitespace; 0 if blank. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.bullet_lines, texts.lines)


def ellipsis_line_fraction(texts: Texts) -> np.ndarray:
    """Lines that end with an ellipsis, over lines that hold more than whitespace; 0 if blank. Gopher 2021, table A1. (texts,) float64"""
    return fraction(texts.ellipsis_lines, texts.lines)


def read_more_line_fraction(texts: Texts) -> np.ndarray:
    """Lines that end with "read more", 展开, 更多 or their kin, over lines with text; 0 if blank. MAP-NEO 2024. (texts,) float64"""
    return fraction(texts.read_more_lines, texts.lines)


def terminal_punctuation_line_fraction(texts: Texts) -> np.ndarray:
    """Lines that end with . ! ? 。！？；… (closing quotes and brackets aside), over lines with text; 0 if blank. FineWeb 2024. (texts,) float64"""
    return fraction(texts.terminal_lines, texts.lines)


def short_line_fraction(texts: Texts) -> np.ndarray:
    """Lines of at most 30 characters, over lines that hold more than whitespace; 0 if blank. FineWeb 2024. (texts,) float64"""
    return fraction(texts.short_lines, texts.lines)


def short_line_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in lines of at most 30 characters, over all characters but whitespace; 0 if blank. After FineWeb 2024. (texts,) float64"""
    return fraction(texts.short_line_characters, texts.characters - texts.whitespace)


def newline_per_word(texts: Texts) -> np.ndarray:
    """Line breaks per word; 0 without words. FineWeb 2024. (texts,) float64"""
    return fraction(texts.newlines, texts.words)
