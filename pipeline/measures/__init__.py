"""The catalogue of measures: a pure function from a batch of texts to one number per text.

Measures never decide: bounds stand in the recipe, and `pipeline/filter.py` compares. Adding one costs a function in one of
the families (shape, symbols, repetition, script, code, files), a line here, and a row in tests/measures. Measures that hold a model
(language, perplexity, classifier scores) are classes with `__call__(texts)` and are not in this list: they need settings.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.measures import code, files, repetition, script, shape, symbols
from pipeline.texts import Texts

GOPHER = "Gopher, Rae et al. 2021, table A1"
C4 = "C4, Raffel et al. 2020"
FINEWEB = "FineWeb, Penedo et al. 2024"
STARCODER2 = "StarCoder2, Lozhkov et al. 2024"
STARCODER = "StarCoder, Li et al. 2023"
OPENCODER = "OpenCoder, Huang et al. 2024"
MAP_NEO = "MAP-NEO, Zhang et al. 2024"
CHINESE_WEB_TEXT = "ChineseWebText, Chen et al. 2023"
NEMO = "NeMo Curator"
DCLM = "DCLM, Li et al. 2024"
LINGUIST = "GitHub Linguist"
OWN = "SkyPile builder"


@dataclass(frozen=True)
class Measure:
    """One column: the function that fills it, the unit of its numbers, and where its definition was published."""

    function: Callable[[Texts], np.ndarray]
    unit: str
    source: str
    nullable: bool = False

    @property
    def family(self) -> str:
        """The module that the function stands in: shape, symbols, repetition, script, code or files."""
        return self.function.__module__.rsplit(".", 1)[-1]

    @property
    def version(self) -> int:
        """The family's version: raised by hand when a number of it changes for the same text. It bears identity."""
        version: int = sys.modules[self.function.__module__].VERSION  # type: ignore[attr-defined]  # each family has one
        return version


# name -> what fills the column. The name is the function's.
MEASURES: dict[str, Measure] = {
    # shape
    "character_count": Measure(shape.character_count, "characters", OWN),
    "byte_count": Measure(shape.byte_count, "bytes", OWN),
    "word_count": Measure(shape.word_count, "words", GOPHER),
    "sentence_count": Measure(shape.sentence_count, "sentences", C4),
    "paragraph_count": Measure(shape.paragraph_count, "paragraphs", OWN),
    "line_count": Measure(shape.line_count, "lines", STARCODER2),
    "text_line_count": Measure(shape.text_line_count, "lines", OWN),
    "mean_line_length": Measure(shape.mean_line_length, "characters per line", STARCODER),
    "mean_text_line_length": Measure(shape.mean_text_line_length, "characters per line", CHINESE_WEB_TEXT),
    "max_line_length": Measure(shape.max_line_length, "characters", STARCODER),
    "mean_word_length": Measure(shape.mean_word_length, "characters per word", GOPHER),
    "max_word_length": Measure(shape.max_word_length, "characters", C4),
    "long_word_character_fraction": Measure(shape.long_word_character_fraction, "of characters in words", OPENCODER),
    "alphabetic_word_fraction": Measure(shape.alphabetic_word_fraction, "of words", GOPHER),
    "stop_word_count": Measure(shape.stop_word_count, "distinct words", GOPHER),
    "bullet_line_fraction": Measure(shape.bullet_line_fraction, "of lines", GOPHER),
    "ellipsis_line_fraction": Measure(shape.ellipsis_line_fraction, "of lines", GOPHER),
    "read_more_line_fraction": Measure(shape.read_more_line_fraction, "of lines", MAP_NEO),
    "terminal_punctuation_line_fraction": Measure(shape.terminal_punctuation_line_fraction, "of lines", FINEWEB),
    "short_line_fraction": Measure(shape.short_line_fraction, "of lines", FINEWEB),
    "short_line_character_fraction": Measure(shape.short_line_character_fraction, "of characters", FINEWEB),
    "newline_per_word": Measure(shape.newline_per_word, "line breaks per word", FINEWEB),
    # symbols
    "hash_per_word": Measure(symbols.hash_per_word, "hashes per word", GOPHER),
    "ellipsis_per_word": Measure(symbols.ellipsis_per_word, "ellipses per word", GOPHER),
    "hash_per_100_characters": Measure(symbols.hash_per_100_characters, "hashes per 100 characters of prose", MAP_NEO),
    "ellipsis_per_100_characters": Measure(symbols.ellipsis_per_100_characters, "ellipses per 100 characters of prose", MAP_NEO),
    "newline_per_100_characters": Measure(symbols.newline_per_100_characters, "line breaks per 100 characters of prose", OWN),
    "opening_curly_bracket_count": Measure(symbols.opening_curly_bracket_count, "brackets", C4),
    "lorem_ipsum_count": Measure(symbols.lorem_ipsum_count, "occurrences", C4),
    "lenticular_bracket_fraction": Measure(symbols.lenticular_bracket_fraction, "of characters", MAP_NEO),
    "digit_fraction": Measure(symbols.digit_fraction, "of characters", OPENCODER),
    "prose_digit_fraction": Measure(symbols.prose_digit_fraction, "of characters of prose", MAP_NEO),
    "prose_symbol_fraction": Measure(symbols.prose_symbol_fraction, "of characters of prose", OWN),
    "whitespace_fraction": Measure(symbols.whitespace_fraction, "of characters", NEMO),
    "url_character_fraction": Measure(symbols.url_character_fraction, "of characters", NEMO),
    "code_character_fraction": Measure(symbols.code_character_fraction, "of characters", OWN),
    "tex_character_fraction": Measure(symbols.tex_character_fraction, "of characters", OWN),
    "uppercase_letter_fraction": Measure(symbols.uppercase_letter_fraction, "of letters with case", DCLM),
    "character_entropy": Measure(symbols.character_entropy, "nats", MAP_NEO),
    # repetition
    "duplicate_line_fraction": Measure(repetition.duplicate_line_fraction, "of lines", GOPHER),
    "duplicate_line_character_fraction": Measure(repetition.duplicate_line_character_fraction, "of characters", GOPHER),
    "duplicate_paragraph_fraction": Measure(repetition.duplicate_paragraph_fraction, "of paragraphs", GOPHER),
    "duplicate_paragraph_character_fraction": Measure(repetition.duplicate_paragraph_character_fraction, "of characters", GOPHER),
    "duplicate_prose_line_fraction": Measure(repetition.duplicate_prose_line_fraction, "of lines of prose", GOPHER),
    "duplicate_prose_line_character_fraction": Measure(repetition.duplicate_prose_line_character_fraction, "of characters of prose", GOPHER),
    "top_2gram_character_fraction": Measure(repetition.top_2gram_character_fraction, "of characters in words", GOPHER),
    "top_3gram_character_fraction": Measure(repetition.top_3gram_character_fraction, "of characters in words", GOPHER),
    "top_4gram_character_fraction": Measure(repetition.top_4gram_character_fraction, "of characters in words", GOPHER),
    "duplicate_5gram_character_fraction": Measure(repetition.duplicate_5gram_character_fraction, "of characters in words", GOPHER),
    "duplicate_6gram_character_fraction": Measure(repetition.duplicate_6gram_character_fraction, "of characters in words", GOPHER),
    "duplicate_7gram_character_fraction": Measure(repetition.duplicate_7gram_character_fraction, "of characters in words", GOPHER),
    "duplicate_8gram_character_fraction": Measure(repetition.duplicate_8gram_character_fraction, "of characters in words", GOPHER),
    "duplicate_9gram_character_fraction": Measure(repetition.duplicate_9gram_character_fraction, "of characters in words", GOPHER),
    "duplicate_10gram_character_fraction": Measure(repetition.duplicate_10gram_character_fraction, "of characters in words", GOPHER),
    "top_4token_character_fraction": Measure(repetition.top_4token_character_fraction, "of characters of prose", MAP_NEO),
    "top_6token_character_fraction": Measure(repetition.top_6token_character_fraction, "of characters of prose", MAP_NEO),
    "top_8token_character_fraction": Measure(repetition.top_8token_character_fraction, "of characters of prose", MAP_NEO),
    "duplicate_8token_character_fraction": Measure(repetition.duplicate_8token_character_fraction, "of characters of prose", OWN),
    "duplicate_10token_character_fraction": Measure(repetition.duplicate_10token_character_fraction, "of characters of prose", OWN),
    "duplicate_13token_character_fraction": Measure(repetition.duplicate_13token_character_fraction, "of characters of prose", CHINESE_WEB_TEXT),
    "duplicate_16token_character_fraction": Measure(repetition.duplicate_16token_character_fraction, "of characters of prose", OWN),
    "duplicate_20token_character_fraction": Measure(repetition.duplicate_20token_character_fraction, "of characters of prose", OWN),
    # script
    "han_fraction": Measure(script.han_fraction, "of letters of prose", CHINESE_WEB_TEXT),
    "latin_fraction": Measure(script.latin_fraction, "of letters of prose", OWN),
    "han_count": Measure(script.han_count, "characters", OWN),
    "chinese_stop_word_count": Measure(script.chinese_stop_word_count, "distinct characters", "FineWeb-2, Penedo et al. 2025"),
    # code
    "alphabetic_character_fraction": Measure(code.alphabetic_character_fraction, "of characters", STARCODER2),
    "alphanumeric_character_fraction": Measure(code.alphanumeric_character_fraction, "of characters", STARCODER),
    "encoded_data_fraction": Measure(code.encoded_data_fraction, "of characters", STARCODER2),
    "longest_encoded_run": Measure(code.longest_encoded_run, "characters", STARCODER2),
    "hex_word_character_fraction": Measure(code.hex_word_character_fraction, "of characters", OPENCODER),
    "generated_marker": Measure(code.generated_marker, "0 or 1", STARCODER2),
    "replacement_character_fraction": Measure(code.replacement_character_fraction, "of characters", OPENCODER),
    "string_character_fraction": Measure(code.string_character_fraction, "of characters", OPENCODER),
    "long_string_line_fraction": Measure(code.long_string_line_fraction, "of lines", OPENCODER),
    "todo_line_fraction": Measure(code.todo_line_fraction, "of lines", OPENCODER),
    "assert_line_fraction": Measure(code.assert_line_fraction, "of lines", OPENCODER),
    "import_line_fraction": Measure(code.import_line_fraction, "of lines", OPENCODER),
    # files: what needs a path or a language
    "generated_file": Measure(files.generated_file, "0 or 1", LINGUIST),
    "minified_file": Measure(files.minified_file, "0 or 1", LINGUIST),
    "vendored_file": Measure(files.vendored_file, "0 or 1", LINGUIST),
    "documentation_file": Measure(files.documentation_file, "0 or 1", LINGUIST),
    "instructive_text_file": Measure(files.instructive_text_file, "0 or 1", STARCODER2),
    "data_file": Measure(files.data_file, "0 or 1", OWN, nullable=True),
    "xml_declaration": Measure(files.xml_declaration, "0 or 1", STARCODER),
    "html_visible_characters": Measure(files.html_visible_characters, "characters", STARCODER, nullable=True),
    "html_visible_fraction": Measure(files.html_visible_fraction, "of characters", STARCODER, nullable=True),
    "comment_character_fraction": Measure(files.comment_character_fraction, "of bytes", OPENCODER, nullable=True),
    "syntax_error_fraction": Measure(files.syntax_error_fraction, "of bytes", "tree-sitter", nullable=True),
}


def measure(texts: Texts, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The chosen columns of the catalogue, in the order asked. KeyError for a name that is not in it.

    >>> measure(Texts(["One two three."]), ["word_count"])
    {'word_count': array([3])}
    """
    wanted = list(names)
    # Finding repeated n-grams finds repeated lines on its way, and these count everything else: asked for in this order, it saves decodings.
    order = sorted(dict.fromkeys(wanted), key=lambda name: (MEASURES[name].family != "repetition", "gram" not in name and "token" not in name))
    columns = {name: MEASURES[name].function(texts) for name in order}
    return {name: columns[name] for name in wanted}
