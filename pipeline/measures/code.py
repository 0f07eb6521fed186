"""What tells source code from data and from what a machine wrote. Line lengths are in shape.py."""

import numpy as np

from pipeline.texts import Texts, fraction

VERSION = 1


def alphabetic_character_fraction(texts: Texts) -> np.ndarray:
    """Letters over characters, whitespace included; 0 if empty. StarCoder2 2024. (texts,) float64"""
    return fraction(texts.latin + texts.han + texts.other_letters, texts.characters)


def alphanumeric_character_fraction(texts: Texts) -> np.ndarray:
    """Letters, digits and other numbers over characters, whitespace included; 0 if empty. StarCoder 2023. (texts,) float64"""
    return fraction(texts.latin + texts.han + texts.other_letters + texts.digits + texts.numbers, texts.characters)


def encoded_data_fraction(texts: Texts) -> np.ndarray:
    """Characters in runs of base64, hexadecimal or \\u escapes, over characters; 0 if empty. StarCoder2 2024. (texts,) float64"""
    return fraction(texts.encoded_characters, texts.characters)


def longest_encoded_run(texts: Texts) -> np.ndarray:
    """Characters of the longest run of base64, hexadecimal or \\u escapes; 0 without. StarCoder2 2024. (texts,) int64"""
    return texts.longest_encoded_run


def hex_word_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in words such as 0x1F, over characters; 0 if empty. OpenCoder 2024. (texts,) float64"""
    return fraction(texts.hex_word_characters, texts.characters)


def generated_marker(texts: Texts) -> np.ndarray:
    """1 where one of the first five lines says that the file was generated, else 0. StarCoder2 2024. (texts,) int64"""
    return texts.generated


def replacement_character_fraction(texts: Texts) -> np.ndarray:
    """U+FFFD, which a wrong decoding leaves, over characters; 0 if empty. OpenCoder 2024. (texts,) float64"""
    return fraction(texts.replacement_characters, texts.characters)


def string_character_fraction(texts: Texts) -> np.ndarray:
    """Characters in string literals over characters; 0 if empty. OpenCoder 2024. (texts,) float64"""
    return fraction(texts.string_characters, texts.characters)


def long_string_line_fraction(texts: Texts) -> np.ndarray:
    """Lines with a literal that holds a word of over 20 characters, over lines that are not blank; 0 without. OpenCoder 2024. (texts,) float64"""
    return fraction(texts.long_string_lines, texts.solid_lines)


def todo_line_fraction(texts: Texts) -> np.ndarray:
    """Lines with TODO, FIXME or "your code here", over lines that are not blank; 0 without. OpenCoder 2024. (texts,) float64"""
    return fraction(texts.todo_lines, texts.solid_lines)


def assert_line_fraction(texts: Texts) -> np.ndarray:
    """Lines that begin with `assert`, over lines that are not blank; 0 without. OpenCoder 2024. (texts,) float64"""
    return fraction(texts.assert_lines, texts.solid_lines)


def import_line_fraction(texts: Texts) -> np.ndarray:
    """Lines that begin with an import (import, from, #include, using, use, require), over lines that are not blank; 0 without. OpenCoder 2024. (texts,) float64"""
    return fraction(texts.import_lines, texts.solid_lines)
