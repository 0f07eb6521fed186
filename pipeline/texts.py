"""Texts: one batch of UTF-8 texts with what is counted in it, computed once and shared by all measures.

It holds the bytes of an Arrow string array and int64 offsets into them, without a copy where Arrow allows it. Counting is
lazy: asking for `texts.words` runs the pass that counts everything (kernels/counting.py) and keeps the result; repetition and
encoded data are passes of their own. No thresholds, no fractions but the helper, no models. Cost: DESIGN's budget, and
some 700 bytes of counts a text.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.kernels import counting, encoded, repetition, source


class _Column:
    """An attribute that is a column of a lazily computed table, such as `texts.words`. (texts,) int64"""

    def __init__(self, table: str, index: int, doc: str) -> None:
        self.table, self.index, self.__doc__ = table, index, doc

    def __get__(self, texts: Any, owner: type | None = None) -> np.ndarray:
        if texts is None:
            return self  # type: ignore[return-value]  # the class itself was asked, by a documentation tool
        column: np.ndarray = getattr(texts, self.table)[:, self.index]
        return column


def _count(name: str, doc: str) -> Any:
    return _Column("_counts", counting.COUNTS.index(name), doc)


def _repeat(name: str, doc: str) -> Any:
    return _Column("_repeats", repetition.REPEATS.index(name), doc)


def _line_repeat(name: str, doc: str) -> Any:
    return _Column("_line_repeats", repetition.REPEATS.index(name), doc)


def _encoded_count(name: str, doc: str) -> Any:
    return _Column("_encoded", encoded.ENCODED.index(name), doc)


def _source_count(name: str, doc: str) -> Any:
    return _Column("_source", source.SOURCE.index(name), doc)


class Texts:
    """A batch of texts. Null counts as the empty text. Files of source code may come with their paths and languages, for the measures that ask.

    >>> texts = Texts(["Two words", "两个字"])
    >>> texts.words
    array([2, 3])
    """

    def __init__(
        self, texts: "pa.Array | pa.ChunkedArray | Sequence[str | None]", paths: "Sequence[str | None] | None" = None,
        languages: "Sequence[str | None] | None" = None,
    ) -> None:  # fmt: skip
        self.data, self.offsets = _buffers(texts)
        self.paths = list(paths) if paths is not None else [None] * len(self)
        self.languages = list(languages) if languages is not None else [None] * len(self)

    @classmethod
    def of(cls, table: "pa.Table | pa.RecordBatch") -> "Texts":
        """The texts of documents, with their paths and languages."""
        return cls(table.column("text"), table.column("path").to_pylist(), table.column("programming_language").to_pylist())

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, rows: slice) -> "Texts":
        """The texts of a slice (step 1), sharing the bytes."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError("Texts can be cut into runs of rows only: texts[start:stop].")
        part = object.__new__(Texts)
        part.data, part.offsets = self.data, self.offsets[start : max(start, stop) + 1]
        part.paths, part.languages = self.paths[rows], self.languages[rows]
        return part

    def text(self, row: int) -> str:
        """One text as a Python string."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode("utf-8", "replace")

    # --- the passes ---

    @cached_property
    def _count_pass(self) -> tuple[np.ndarray, np.ndarray]:
        for done in ("_repeat_pass", "_line_pass"):  # which have counted already
            if done in self.__dict__:
                return tuple(self.__dict__[done][:2])
        return counting.count(self.data, self.offsets)

    @cached_property
    def _line_pass(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts, and what repeats by lines and paragraphs: a third of the cost of `_repeat_pass`."""
        return self._repeat_pass if "_repeat_pass" in self.__dict__ else repetition.repeats(self.data, self.offsets, ngrams=False)

    @cached_property
    def _repeat_pass(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return repetition.repeats(self.data, self.offsets)

    @property
    def _counts(self) -> np.ndarray:
        return self._count_pass[0]

    @property
    def _repeats(self) -> np.ndarray:
        return self._repeat_pass[2]

    @property
    def _line_repeats(self) -> np.ndarray:
        return self._line_pass[2]

    @cached_property
    def _encoded(self) -> np.ndarray:
        return encoded.scan(self.data, self.offsets)

    @cached_property
    def _source(self) -> np.ndarray:
        return source.scan(self.data, self.offsets)

    # --- characters (Unicode code points) ---

    bytes = _count("bytes", "UTF-8 bytes.")
    characters = _count("characters", "Code points.")
    whitespace = _count("whitespace", "Characters that str.isspace() calls space.")
    latin = _count("latin", "Letters of the Latin script.")
    han = _count("han", "Han ideographs, unified and compatibility, and 々 and 〇.")
    other_letters = _count("other_letters", "Letters neither Latin nor Han.")
    digits = _count("digits", "Decimal digits of any script (Nd).")
    numbers = _count("numbers", "Other numbers, such as ½ and ① (Nl, No).")
    marks = _count("marks", "Combining marks (M).")
    punctuation = _count("punctuation", "Punctuation (P).")
    symbols = _count("symbols", "Symbols (S).")
    other = _count("other", "Controls, format characters, unassigned code points (C).")
    uppercase = _count("uppercase", "Upper-case and title-case letters.")
    lowercase = _count("lowercase", "Lower-case letters.")
    replacement_characters = _count("replacement_characters", "U+FFFD, what a wrong decoding leaves.")
    hashes = _count("hashes", "# and ＃.")
    opening_curly_brackets = _count("opening_curly_brackets", "{")
    bracketed_characters = _count("bracketed_characters", "Characters between 【 and 】 on one line.")
    chinese_stop_words = _count("chinese_stop_words", "Distinct ones of 46 Chinese function characters (kernels/tables.py).")

    # --- prose: characters that are neither whitespace nor in a URL, a link's target, code or TeX ---

    prose = _count("prose", "Characters of the prose.")
    prose_latin = _count("prose_latin", "Latin letters of the prose.")
    prose_han = _count("prose_han", "Han characters of the prose.")
    prose_letters = _count("prose_letters", "Letters of the prose, Han included.")
    prose_digits = _count("prose_digits", "Digits of the prose.")
    prose_punctuation = _count("prose_punctuation", "Punctuation of the prose.")
    prose_symbols = _count("prose_symbols", "Symbols of the prose.")
    prose_hashes = _count("prose_hashes", "# and ＃ of the prose.")
    prose_ellipses = _count("prose_ellipses", "Ellipses of the prose.")
    prose_newlines = _count("prose_newlines", "Line breaks outside code and TeX.")
    distinct_prose_characters = _count("distinct_prose_characters", "Different characters of the prose.")
    url_characters = _count("url_characters", "Characters in URLs and link targets.")
    code_characters = _count("code_characters", "Characters in fenced and inline code, delimiters included.")
    tex_characters = _count("tex_characters", "Characters in TeX, delimiters included.")

    @property
    def entropy(self) -> np.ndarray:
        """Entropy of the prose's characters, in nats; 0 where there are none. (texts,) float64"""
        return self._count_pass[1]

    # --- words (defined in kernels/utf8.py) and sentences (kernels/counting.py) ---

    words = _count("words", "Words; each Han character is one.")
    word_characters = _count("word_characters", "Characters in words.")
    alphabetic_words = _count("alphabetic_words", "Words with at least one letter.")
    stop_words = _count("stop_words", "Distinct ones of: the be to of and that have with.")
    long_word_characters = _count("long_word_characters", "Characters in words of over 20 characters.")
    longest_word = _count("longest_word", "Characters of the longest word.")
    hex_word_characters = _count("hex_word_characters", "Characters in words such as 0x1F.")
    sentences = _count("sentences", "Sentences.")
    ellipses = _count("ellipses", "Ellipses.")
    lorem_ipsum = _count("lorem_ipsum", "Occurrences of 'lorem ipsum', in any case.")

    # --- lines and paragraphs ---

    newlines = _count("newlines", "Line breaks.")
    all_lines = _count("all_lines", "Lines, blank ones included.")
    all_line_characters = _count("all_line_characters", "Characters in lines, breaks excluded.")
    longest_line = _count("longest_line", "Characters of the longest line.")
    lines = _count("lines", "Lines that hold more than whitespace.")
    line_characters = _count("line_characters", "Characters of those lines, from the first solid one to the last.")
    paragraphs = _count("paragraphs", "Runs of lines without a blank one between them.")
    bullet_lines = _count("bullet_lines", "Lines that begin with a bullet.")
    ellipsis_lines = _count("ellipsis_lines", "Lines that end with an ellipsis.")
    read_more_lines = _count("read_more_lines", "Lines that end with 'read more', 展开, 更多 and the like.")
    terminal_lines = _count("terminal_lines", "Lines that end with a terminal mark, closing quotes and brackets aside.")
    short_lines = _count("short_lines", "Lines of at most 30 characters.")
    short_line_characters = _count("short_line_characters", "Characters but whitespace in short lines.")

    # --- repetition: what began earlier in the same text ---

    duplicate_lines = _line_repeat("duplicate_lines", "Lines seen before.")
    duplicate_line_characters = _line_repeat("duplicate_line_characters", "Characters but whitespace in lines seen before.")
    duplicate_paragraphs = _line_repeat("duplicate_paragraphs", "Paragraphs seen before.")
    duplicate_paragraph_characters = _line_repeat("duplicate_paragraph_characters", "Characters but whitespace in them.")

    prose_lines = _line_repeat("prose_lines", "Lines that do not both begin and end in code or TeX.")
    duplicate_prose_lines = _line_repeat("duplicate_prose_lines", "Lines of prose seen before.")
    duplicate_prose_line_characters = _line_repeat("duplicate_prose_line_characters", "Characters of the prose in lines of prose seen before.")
    token_characters = _repeat("token_characters", "Characters of the prose, by its tokens: words, and other characters one by one.")

    def top_ngram_characters(self, n: int) -> np.ndarray:
        """Characters in repeats of the most frequent n-gram of words, n in 2, 3, 4. (texts,) int64"""
        return self._repeated(f"top_{n}gram_characters")

    def duplicate_ngram_characters(self, n: int) -> np.ndarray:
        """Characters in n-grams of words seen before, each once, n in 5 … 10. (texts,) int64"""
        return self._repeated(f"duplicate_{n}gram_characters")

    def top_token_ngram_characters(self, n: int) -> np.ndarray:
        """Characters in repeats of the prose's most frequent n-gram of tokens, n in 4, 6, 8. (texts,) int64"""
        return self._repeated(f"top_{n}token_characters")

    def duplicate_token_ngram_characters(self, n: int) -> np.ndarray:
        """Characters of the prose in n-grams of tokens seen before, each once, n in 8, 10, 13, 16, 20. (texts,) int64"""
        return self._repeated(f"duplicate_{n}token_characters")

    def _repeated(self, name: str) -> np.ndarray:
        return self._repeats[:, repetition.REPEATS.index(name)]

    # --- data and machines (defined in kernels/encoded.py) ---

    encoded_characters = _encoded_count("encoded_characters", "Characters in runs of base64, hexadecimal or \\u escapes.")
    longest_encoded_run = _encoded_count("longest_encoded_run", "Characters of the longest such run.")
    generated = _encoded_count("generated", "1 where one of the first five lines says that the file was generated.")

    # --- source code (defined in kernels/source.py) ---

    string_characters = _source_count("string_characters", "Characters in string literals.")
    long_string_lines = _source_count("long_string_lines", "Lines with a literal that holds a word of over 20 characters.")
    solid_lines = _source_count("solid_lines", "Lines that hold more than white space; \\n alone breaks a line here.")
    todo_lines = _source_count("todo_lines", "Lines with TODO, FIXME or 'your code here'.")
    assert_lines = _source_count("assert_lines", "Lines that begin with an assertion.")
    import_lines = _source_count("import_lines", "Lines that begin with an import.")


def fraction(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, and 0 where whole is 0. (texts,) float64"""
    return np.divide(part, whole, out=np.zeros(len(part), np.float64), where=whole != 0)


def _buffers(texts: Any) -> tuple[np.ndarray, np.ndarray]:
    """The bytes (uint8) and the int64 offsets into them of any sequence of strings."""
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        texts = pa.array(texts, pa.large_string())
    if pa.types.is_dictionary(texts.type) or pa.types.is_string_view(texts.type) or pa.types.is_null(texts.type):
        texts = texts.cast(pa.large_string())
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise TypeError(f"Texts are strings, not {texts.type}.")
    if isinstance(texts, pa.ChunkedArray):
        if texts.num_chunks == 1:
            texts = texts.chunk(0)
        else:  # large: together they may exceed the 2 GB that 32-bit offsets reach
            texts = pa.concat_arrays(texts.cast(pa.large_string()).chunks) if texts.num_chunks else pa.array([], pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")
    _, offsets, data = texts.buffers()
    width = np.dtype(np.int32 if pa.types.is_string(texts.type) else np.int64)
    if offsets is None or offsets.size == 0:
        at = np.zeros(1, np.int64)
    else:
        at = np.frombuffer(offsets, width)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64, copy=False)
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8), at
