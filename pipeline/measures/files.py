"""Measures of a file of source code that need its path or its language beside its text. Without a path a text is no file: its flags are 0.

Those of one language alone (HTML, JSON) are null for all others, so that a bound on them asks nothing of these. `xml_declaration` alone needs
neither. `tests/twins/slow_code.py` is the slow obvious version.
"""

import html
import re
from functools import cache
from typing import Any

import numpy as np

from pipeline.errors import PlanError
from pipeline.measures import linguist
from pipeline.texts import Texts

VERSION = 100 * linguist.VERSION + 2  # its own, below its tables'
DATA_LANGUAGES = ("JSON", "YAML", "XML", "CSV", "TSV", "TOML", "INI", "JSON5", "JSON with Comments", "GeoJSON", "TopoJSON", "SVG", "Gettext Catalog", "NDJSON")
# Comments, elements that no page shows, and tags, in one pass: what stands in one opens no other. A head holds nothing but these, and need not be closed.
_UNSHOWN = re.compile(
    rb"<(?:!--.*?(?:-->|\Z)|(script|style|title|template|noscript)(?=[\s/>]).*?(?:</\1\s*>|\Z)"
    rb"|[a-z/!?][^<>=]*+(?:=\s*+(?:\"[^\"]*+\"|'[^']*+')?+[^<>=]*+)*+>)",  # > may stand in an attribute's quotes
    re.IGNORECASE | re.DOTALL,
)
_CONFIGURATION = re.compile(
    r"(?:^|/)(?:package|composer|tsconfig[\w.-]*|jsconfig|bower|manifest|renovate|lerna|nx|turbo|angular|firebase|vercel|now|app|deno|biome|devcontainer|launch|settings|tasks|extensions"
    r"|\.?eslintrc|\.?babelrc|\.?prettierrc|\.?stylelintrc|docker-compose[\w.-]*|compose|mkdocs|_config|action|pyproject|Cargo|Pipfile|pom|build|web|AndroidManifest|tox|setup|config|configuration"
    r"|\.[\w-]+rc|[\w.-]*\.config|[\w.-]*[-_.]config|openapi|swagger|schema|[\w.-]*\.schema|values|Chart|kustomization|playbook|\.gitlab-ci|\.travis|appveyor|azure-pipelines|environment|conda)\.?"
    r"(?:json5?|jsonc|ya?ml|xml|toml|ini|cfg)?\Z|(?:^|/)\.(?:github|circleci|vscode|idea|devcontainer)/",
    re.IGNORECASE,
)
_TEXT_NAME = re.compile(r"requirement[^/]*\Z|(?:^|/)(?:readme|notes?|todo|description|cmakelists)(?:\.\w+)?\Z", re.IGNORECASE)
_KEY = re.compile(rb'"((?:\\.|[^"\\\n]){1,80})"\s*:|^[ \t-]*([\w.\x80-\xff-]{1,80}):(?=\s|\Z)|<([a-zA-Z][\w:.-]*)', re.MULTILINE)
_CONFIGURATION_BYTES = 64 << 10  # no hand writes a larger one
_FEW_KEYS = 40


def _files(texts: Texts) -> tuple[np.ndarray, list[str], list[bytes]]:
    """The rows that are files, their paths, and their bytes; asked for by several measures, made once."""
    if (made := texts.__dict__.get("_files")) is not None:
        return made  # type: ignore[no-any-return]
    rows = np.array([i for i, path in enumerate(texts.paths) if path is not None], np.int64)
    made = (rows, [str(texts.paths[i]) for i in rows], [_bytes(texts, i) for i in rows])
    texts.__dict__["_files"] = made
    return made


def _bytes(texts: Texts, row: int, most: int | None = None) -> bytes:
    """A text, or its first `most` bytes."""
    start, stop = int(texts.offsets[row]), int(texts.offsets[row + 1])
    return texts.data[start : stop if most is None else min(stop, start + most)].tobytes()


def _flags(texts: Texts, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
    out = np.zeros(len(texts), np.int64)
    out[rows] = found
    return out


def generated_file(texts: Texts) -> np.ndarray:
    """1 where a tool wrote the file, by its name, its first comments or its form, else 0 (`linguist.generated`). (texts,) int64"""
    rows, paths, data = _files(texts)
    return _flags(texts, rows, linguist.generated(paths, data))


def minified_file(texts: Texts) -> np.ndarray:
    """1 for JavaScript or CSS with over 110 characters a line, or named .min., else 0 (Linguist). (texts,) int64"""
    rows, paths, data = _files(texts)
    return _flags(texts, rows, np.array([linguist.is_minified(p, d) for p, d in zip(paths, data, strict=True)], bool))


def vendored_file(texts: Texts) -> np.ndarray:
    """1 where the path is one of those in which others' code is kept, else 0 (Linguist's vendor.yml). (texts,) int64"""
    rows, paths, _ = _files(texts)
    return _flags(texts, rows, linguist.vendored(paths))


def documentation_file(texts: Texts) -> np.ndarray:
    """1 where the path is one of documentation or examples, else 0 (Linguist's documentation.yml). (texts,) int64"""
    rows, paths, _ = _files(texts)
    return _flags(texts, rows, linguist.documentation(paths))


def instructive_text_file(texts: Texts) -> np.ndarray:
    """1 for a file called as instructions are (requirements, readme, notes, todo, description, CMakeLists), else 0. StarCoder2 2024. (texts,) int64"""
    rows, paths, _ = _files(texts)
    return _flags(texts, rows, np.array([_TEXT_NAME.search(p) is not None for p in paths], bool))


def data_file(texts: Texts) -> np.ndarray:
    """1 for a file in a data format that holds records rather than configuration, else 0; null in other languages. (texts,) float64

    Records are CSV and the like, and files over 64 kB. Of the others, what is called so is configuration (package.json, docker-compose.yml), as
    are TOML and INI; the rest are records where 40 keys or more come four times on average, or where a third of over 400 bytes are digits."""
    out = np.full(len(texts), np.nan)
    for i, language in enumerate(texts.languages):
        if language in DATA_LANGUAGES and texts.paths[i] is not None:
            out[i] = _is_data(str(texts.paths[i]), str(language), _bytes(texts, i))
    return out


def _is_data(path: str, language: str, data: bytes) -> bool:
    if language in ("CSV", "TSV", "SVG", "GeoJSON", "TopoJSON", "NDJSON"):
        return True
    if _CONFIGURATION.search(path):
        return len(data) > _CONFIGURATION_BYTES
    if len(data) > _CONFIGURATION_BYTES:
        return True
    if language in ("TOML", "INI", "JSON with Comments"):
        return False
    keys = [m.group(m.lastindex or 0) for m in _KEY.finditer(data)]
    digits = sum(data.count(d) for d in b"0123456789")
    return (len(keys) >= _FEW_KEYS and len(keys) >= 4 * len(set(keys))) or (len(data) > 400 and 3 * digits > len(data))


def xml_declaration(texts: Texts) -> np.ndarray:
    """1 where `<?xml version=` stands in the first 100 characters, else 0. StarCoder 2023. (texts,) int64"""
    return np.array(["<?xml version=" in _bytes(texts, i, 400).decode("utf-8", "ignore")[:100] for i in range(len(texts))], np.int64)


def html_visible_characters(texts: Texts) -> np.ndarray:
    """Characters that a browser shows of an HTML file, white space not counted; null in other languages. StarCoder 2023. (texts,) float64

    What stands in no tag, comment, title, script, style, template or noscript; references such as &amp; are what they stand for."""
    return _visible(texts)


def html_visible_fraction(texts: Texts) -> np.ndarray:
    """The same over the file's characters but white space; null in other languages. StarCoder 2023. (texts,) float64"""
    solid = (texts.characters - texts.whitespace).astype(float)
    return np.divide(_visible(texts), solid, out=np.where(np.isnan(_visible(texts)), np.nan, 0.0), where=solid > 0)


def _visible(texts: Texts) -> np.ndarray:
    found: np.ndarray | None = texts.__dict__.get("_visible")  # asked for twice, computed once
    if found is None:
        found = np.full(len(texts), np.nan)
        for i, language in enumerate(texts.languages):
            if language == "HTML":
                shown = html.unescape(_UNSHOWN.sub(b" ", _bytes(texts, i)).decode("utf-8", "replace"))
                found[i] = len("".join(shown.split()))
        texts.__dict__["_visible"] = found
    return found


# --- comments -----------------------------------------------------------------------------------------------------------------------

_DOUBLE = rb'"(?:\\.|[^"\\\n])*"'
_STRINGS = _DOUBLE + rb"|'(?:\\.|[^'\\\n])*'"
_TRIPLE = rb'(?:"""[^"\\]*+(?:(?:\\.?|"(?!""))[^"\\]*+)*+(?:"""|\Z)' + rb"|'''[^'\\]*+(?:(?:\\.?|'(?!''))[^'\\]*+)*+(?:'''|\Z))"
_SLASHES = rb"|(//[^\n]*|/\*.*?(?:\*/|\Z))"
_COMMENTS = {
    "slashes": re.compile(_STRINGS + rb"|`(?:\\.|[^`\\])*`" + _SLASHES, re.DOTALL),
    "slashes alone": re.compile(_DOUBLE + _SLASHES, re.DOTALL),  # ' and ` quote nothing in 4'b0 and `define
    "docstrings": re.compile(  # what follows one of ( [ { , = + \ is a value
        rb"^[ \t]*+([rRuU]?" + _TRIPLE + rb")|[(\[{,=+\\]\s*+" + _TRIPLE + rb"|" + _TRIPLE + rb"|" + _STRINGS + rb"|(#[^\n]*)", re.DOTALL | re.MULTILINE
    ),
    "hash": re.compile(_STRINGS + rb"|\$(?:#|\{[^}\n]{0,200}+\})|(#[^\n]*)", re.DOTALL),  # the shell's $# and ${name#prefix} are none
    "dashes": re.compile(_STRINGS + rb"|(--[^\n]*|/\*.*?(?:\*/|\Z)|\{-.*?(?:-\}|\Z))", re.DOTALL),
    "percent": re.compile(rb"\\%|(%[^\n]*)"),
    "percent, quotes": re.compile(_DOUBLE + rb"|(?<![\w\])}.'])'(?:''|[^'\n])*'|(%[^\n]*)", re.DOTALL),  # x' is MATLAB's transpose
    "semicolon": re.compile(_STRINGS + rb"|(;[^\n]*)"),
    "markup": re.compile(rb"(<!--.*?(?:-->|\Z))", re.DOTALL),
}
_SYNTAX_OF = {
    language: syntax
    for syntax, languages in {
        "slashes": "C,C++,C#,Java,JavaScript,TypeScript,TSX,Go,Rust,Kotlin,Swift,Scala,Dart,PHP,Objective-C,Objective-C++,Cuda,GLSL,Groovy,CSS,SCSS,Less,Zig,Solidity,Protocol Buffer,D",
        "slashes alone": "Verilog,SystemVerilog",
        "docstrings": "Python,Starlark,Cython,Julia,Elixir,Nim,TOML",
        "hash": "Ruby,Shell,Perl,R,YAML,Makefile,CMake,Dockerfile,Nix,Tcl,PowerShell,Crystal,Awk,HCL",
        "dashes": "SQL,PLSQL,PLpgSQL,TSQL,Lua,Haskell,Ada,VHDL,Elm",
        "percent": "TeX,PostScript,BibTeX",
        "percent, quotes": "MATLAB,Erlang,Prolog",
        "semicolon": "Common Lisp,Emacs Lisp,Scheme,Clojure,Racket,Assembly,LLVM,INI",
        "markup": "HTML,XML,SVG,Vue,XSLT",
    }.items()
    for language in languages.split(",")
}


def comment_character_fraction(texts: Texts) -> np.ndarray:
    """Bytes in comments and Python's docstrings over all; null for languages whose comments are not known here. OpenCoder 2024. (texts,) float64

    By the comment marks of nine families of languages, literals left out; no parser: a docstring is what begins a line with three
    quotes and follows no bracket, comma or sign."""
    out = np.full(len(texts), np.nan)
    for i, language in enumerate(texts.languages):
        if language in _SYNTAX_OF:
            data = _bytes(texts, i)
            found = sum(m.end(m.lastindex) - m.start(m.lastindex) for m in _COMMENTS[_SYNTAX_OF[language]].finditer(data) if m.lastindex)
            out[i] = found / len(data) if data else 0.0
    return out


# --- syntax -------------------------------------------------------------------------------------------------------------------------

# Linguist's names -> tree-sitter grammars of the pinned pack. Not those whose files are rarely whole (templates, dialects of SQL).
GRAMMARS = {
    "C": "c", "C++": "cpp", "C#": "csharp", "Python": "python", "JavaScript": "javascript", "TypeScript": "typescript", "TSX": "tsx", "Java": "java", "Go": "go",
    "Rust": "rust", "Ruby": "ruby", "PHP": "php", "Shell": "bash", "Lua": "lua", "Kotlin": "kotlin", "Swift": "swift", "Scala": "scala", "R": "r", "Julia": "julia",
    "Haskell": "haskell", "OCaml": "ocaml", "Elixir": "elixir", "Erlang": "erlang", "Dart": "dart", "Zig": "zig", "JSON": "json", "YAML": "yaml", "TOML": "toml",
    "CSS": "css", "SCSS": "scss", "XML": "xml", "CMake": "cmake", "Dockerfile": "dockerfile", "Protocol Buffer": "proto", "GraphQL": "graphql",
}  # fmt: skip
_LONGEST_PARSED = 1 << 20  # bytes


def syntax_error_fraction(texts: Texts) -> np.ndarray:
    """Bytes in what the language's grammar cannot read, over all; null without a grammar, for the empty file and over 1 MB. tree-sitter. (texts,) float64

    Grammars are pinned (`tree-sitter-language-pack` of one version, the extra `syntax`): an interpreter's own parser changes with its version.
    It reads some 5 MB/s, a fifth of what all other measures take."""
    out = np.full(len(texts), np.nan)
    for i, language in enumerate(texts.languages):
        size = int(texts.offsets[i + 1] - texts.offsets[i])
        if language in GRAMMARS and 0 < size <= _LONGEST_PARSED:
            out[i] = _broken(_parser(GRAMMARS[language]).parse(_bytes(texts, i)).root_node) / size
    return out


def _broken(root: Any) -> int:
    """Bytes under the topmost ERROR nodes; a MISSING one counts as one byte."""
    found, open_ = 0, [root]
    while open_:  # no recursion: data nests as deep as it likes
        node = open_.pop()
        if node.is_error:
            found += int(node.end_byte - node.start_byte)
        elif node.is_missing:
            found += 1
        elif node.has_error:
            open_ += node.children
    return found


@cache
def _parser(grammar: str) -> Any:
    try:
        from tree_sitter_language_pack import get_parser
    except ModuleNotFoundError as error:
        raise PlanError("syntax_error_fraction needs grammars: pip install 'skypile-builder[syntax]', or take the bound out of the recipe.") from error
    return get_parser(grammar)  # type: ignore[arg-type]  # one of its literals
