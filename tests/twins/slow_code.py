"""The slow, obvious versions of measures/code.py and measures/files.py: one text at a time, by the parsers of Python's library where it has one.

Written from the docstrings, not from the code. The lists (Linguist's patterns, names of configuration) are read where they stand; what is
counted in literals and runs of data comes from the twins of those kernels.
"""

import ast
import io
import json
import re
import tokenize
import unicodedata
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from math import nan
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from pipeline.measures import linguist
from tests.twins import slow_source, slow_text

# --- code.py: what the text alone says ----------------------------------------------------------------------------------------------


def is_letter(c: str) -> bool:
    return unicodedata.category(c)[0] == "L" or c == "〇"  # a numeral to Unicode, a Han character to whoever reads it


def of_text(text: str) -> dict[str, float]:
    """Every measure of measures/code.py."""
    letters = sum(map(is_letter, text))
    numbers = sum(unicodedata.category(c)[0] == "N" and not is_letter(c) for c in text)
    words = [text[a:b] for a, b in slow_text.find_words(text)]
    runs = slow_text.scan(text)
    strings, long_lines, _, todos, asserts, imports = slow_source.counts(text)
    lines = [line for line in text.split("\n") if any(c > " " for c in line)]

    def share(part: int, whole: int) -> float:
        return part / whole if whole else 0.0

    return {
        "alphabetic_character_fraction": share(letters, len(text)),
        "alphanumeric_character_fraction": share(letters + numbers, len(text)),
        "encoded_data_fraction": share(runs["encoded_characters"], len(text)),
        "longest_encoded_run": runs["longest_encoded_run"],
        "hex_word_character_fraction": share(sum(len(w) for w in words if re.fullmatch("0[xX][0-9a-fA-F]+", w)), len(text)),
        "generated_marker": runs["generated"],
        "replacement_character_fraction": share(text.count("\ufffd"), len(text)),
        "string_character_fraction": share(strings, len(text)),
        "long_string_line_fraction": share(long_lines, len(lines)),
        "todo_line_fraction": share(todos, len(lines)),
        "assert_line_fraction": share(asserts, len(lines)),
        "import_line_fraction": share(imports, len(lines)),
    }


# --- files.py: names ----------------------------------------------------------------------------------------------------------------


@cache
def patterns(key: str) -> list[re.Pattern[str]]:
    """Linguist's list, one by one. ASCII, as in Ruby: a digit is 0 … 9."""
    table = json.loads((Path(linguist.__file__).parent / "linguist.json").read_text(encoding="utf-8"))
    return [re.compile(p, re.MULTILINE | re.ASCII) for p in table[key]]


def minified_file(path: str, text: str) -> bool:
    name = path.rpartition("/")[2].lower()
    kind = name.rpartition(".")[2] if "." in name else ""
    return kind in ("js", "mjs", "cjs", "css") and (".min." in name or len(text) / len(text.split("\n")) > 110)


def vendored_file(path: str) -> bool:
    return any(p.search(path) for p in patterns("vendor"))


def documentation_file(path: str) -> bool:
    return any(p.search(path) for p in patterns("documentation"))


def instructive_text_file(path: str) -> bool:
    """StarCoder2: the name holds "requirement", or is one of these but for its ending."""
    name = PurePosixPath(path.lower())
    return "requirement" in name.name or name.stem in ("readme", "note", "notes", "todo", "description", "cmakelists")


# --- files.py: data -----------------------------------------------------------------------------------------------------------------


def json_keys(text: str) -> list[str]:
    found: list[str] = []

    def take(pairs: list[tuple[str, object]]) -> None:
        found.extend(key for key, _ in pairs)

    json.loads(text, object_pairs_hook=take)
    return found


def yaml_keys(text: str) -> list[str]:
    """Of a plain file: one `key: value` a line, perhaps behind a dash."""
    return [line.split(":")[0].strip(" -") for line in text.split("\n") if ": " in line]


def xml_keys(text: str) -> list[str]:
    return [element.tag for element in ElementTree.fromstring(text).iter()]


KEYS: dict[str, Callable[[str], list[str]]] = {"JSON": json_keys, "YAML": yaml_keys, "XML": xml_keys}


def data_file(language: str | None, text: str, configuration: bool) -> float:
    """The caller says whether the file is called as configuration is."""
    if language in ("CSV", "TSV"):
        return 1.0
    if language not in (*KEYS, "TOML", "INI"):
        return nan
    size = len(text.encode())
    if size > 64 * 1024 or configuration or language in ("TOML", "INI"):
        return float(size > 64 * 1024)
    keys = KEYS[language](text)
    return float((len(keys) >= 40 and len(keys) / len(set(keys)) >= 4) or (size > 400 and sum(c in "0123456789" for c in text) > size / 3))


# --- files.py: markup ---------------------------------------------------------------------------------------------------------------


def xml_declaration(text: str) -> bool:
    return "<?xml version=" in text[:100]


class Page(HTMLParser):
    """What a page shows, and its comments."""

    HIDDEN = ("script", "style", "title", "template", "noscript")

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.depth = 0
        self.shown = ""
        self.comments: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag in self.HIDDEN

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag in self.HIDDEN

    def handle_data(self, data: str) -> None:
        self.shown += "" if self.depth else data

    def handle_comment(self, data: str) -> None:
        self.comments.append(f"<!--{data}-->")


def html_visible_characters(text: str) -> int:
    return sum(not c.isspace() for c in Page(text).shown)


def html_visible_fraction(text: str) -> float:
    solid = sum(not c.isspace() for c in text)
    return html_visible_characters(text) / solid if solid else 0.0


# --- files.py: comments -------------------------------------------------------------------------------------------------------------


def html_comments(text: str) -> list[str]:
    return Page(text).comments


def python_comments(text: str) -> list[str]:
    """By Python itself: the tokens that are comments, and the statements that are nothing but a string in three quotes."""
    found = [token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            literal = ast.get_source_segment(text, node) or ""
            if re.match("[rRuU]?('''|\"\"\")", literal):
                found.append(literal)
    return found


def slash_comments(text: str, quotes: str) -> list[str]:
    """// to the end of the line and /* to */, outside what stands between two of the given quotes."""
    found: list[str] = []
    at = 0
    while at < len(text):
        start = at
        if text.startswith("//", at):
            while at < len(text) and text[at] != "\n":
                at += 1
            found.append(text[start:at])
        elif text.startswith("/*", at):
            at += 2
            while at < len(text) and not text.startswith("*/", at):
                at += 1
            at = min(at + 2, len(text))
            found.append(text[start:at])
        elif text[at] in quotes:
            at += 1
            while text[at] != text[start]:
                at += 2 if text[at] == "\\" else 1
            at += 1
        else:
            at += 1
    return found


def fraction_of(comments: list[str], text: str) -> float:
    return sum(len(c.encode()) for c in comments) / len(text.encode()) if text else 0.0
