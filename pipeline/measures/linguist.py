"""What a file of source code is: its language, and whether it is generated, vendored, minified or documentation. On GitHub Linguist's names.

Languages, interpreters, aliases and the patterns that tell apart what shares an extension are Linguist's own data (`linguist.json`; see
make_linguist.py). They are asked in its order: mode line, file name, #! line, extension, patterns. Where several languages are left, or a file has no
name that says anything, magika's network reads the content (Google, Apache-2.0; it comes with its weights). Pure functions of name and content;
in batches, since Arrow's RE2 finds Linguist's patterns ten to forty times faster than Python's `re`.
"""

import json
import re
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

VERSION = 2
ENGINES = {"magika": version("magika"), "onnxruntime": version("onnxruntime"), "pyarrow": version("pyarrow")}
READ = 50 * 1024  # bytes that the patterns look at, as in Linguist
_LINES = 5  # at either end of a file, where a mode line may stand
_END = 1000  # bytes of these lines, at most
_TABLE = Path(__file__).parent / "linguist.json"

Text = str | bytes  # bytes are UTF-8


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return data


@cache
def _named(key: str) -> dict[str, tuple[str, ...]]:
    """Lower-cased extensions, interpreters or aliases, or file names as they are -> languages."""
    found: dict[str, list[str]] = {}
    for language, about in _data()["languages"].items():
        names = list(about.get(key, ()))
        if key == "aliases":
            names += [language, language.replace(" ", "-")]
        for name in names:
            held = found.setdefault(name if key == "filenames" else name.lower(), [])
            if language not in held:
                held.append(language)
    return {name: tuple(languages) for name, languages in found.items()}


Rule = tuple[tuple[str, ...], list[tuple[bool, str]]]  # languages, and (wanted, pattern) that must all hold


@cache
def _rules() -> dict[str, tuple[Rule, ...]]:
    """Extension -> Linguist's rules, in its order."""
    return {
        extension.lower(): tuple((tuple(languages), [(wanted, pattern) for wanted, pattern in holds]) for languages, holds in rules)
        for extensions, rules in _data()["heuristics"]
        for extension in extensions
    }


def matches(values: pa.Array, pattern: str) -> np.ndarray:
    """Where a pattern is found, ^ and $ at every line. Arrow's RE2, or Python's `re` for the few patterns that look around. (values,) bool"""
    try:
        return np.asarray(pc.match_substring_regex(values, pattern="(?m)" + pattern).to_numpy(zero_copy_only=False), bool)
    except pa.ArrowInvalid:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # a class such as [[:] is meant as it is written
            slow = re.compile(pattern, re.MULTILINE)
        return np.array([slow.search(_str(v)) is not None for v in values.to_pylist()], bool)


def _str(text: Text) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


def _binary(texts: Sequence[Text], most: int) -> pa.Array:
    """The texts' first bytes."""
    return pa.array([(t.encode("utf-8", "replace") if isinstance(t, str) else t)[:most] for t in texts], pa.binary())


def kind_of(language: str | None) -> str | None:
    """'programming', 'markup', 'data' or 'prose', as Linguist sorts its languages; None for what it does not know."""
    about = _data()["languages"].get(language)
    return None if about is None else str(about["type"])


# --- the language -----------------------------------------------------------------------------------------------------------------

_EMACS = re.compile(r"-\*-(?:[ \t]*(?=[^:;\s]+[ \t]*-\*-)|(?:.*?[ \t;]|(?<=-\*-))mode[ \t]*:[ \t]*)([^:;\s]+?)(?=[ \t;]|(?<![-*])-\*-).*?-\*-", re.IGNORECASE)
_VIM = re.compile(r"(?:(?:^|[ \t])vim?(?:[<=>]?\d+)?|[ \t]ex):.*?[ \t:](?:filetype|ft|syntax)[ \t]*=(\w+)(?=$|\s|:)", re.MULTILINE | re.IGNORECASE)
_SHEBANG = re.compile(r"#!\s*(\S+)([^\n]*)")
_VARIANT = re.compile(r"(?<=file)\.(?!cmake\Z|json\Z|lock\Z|ya?ml\Z|md\Z|txt\Z|py\Z|rb\Z)[\w.-]+\Z")  # Dockerfile.dev, Makefile.am
_PROSE_NAME = re.compile(
    r"(?:licen[cs]e|copying|copyright|notice|readme|change(?:log|s)|news|authors|contributors|maintainers|thanks|todo|install|patents)(?:[-_]\w+)?\Z",
    re.IGNORECASE,
)
_BEHIND = re.compile(r"(?<=\.\w)(\w*)\.(?:in|orig|bak|old|example|sample|dist|default|beta|new|save|tmpl|template)\Z")
_EXEC = re.compile(r"exec (\w+).+\$0.+\$@")


def languages(paths: Sequence[str], texts: Sequence[Text]) -> list[str | None]:
    """The language of every file; None where neither name nor content says it."""
    left = [_by_name(path, text) for path, text in zip(paths, texts, strict=True)]
    groups: dict[str, list[int]] = {}
    for i, some in enumerate(left):
        if len(some) > 1:
            groups.setdefault(_ending(paths[i]), []).append(i)
    for ending, rows in groups.items():
        for i, some in zip(rows, _by_patterns(_rules().get(ending, ()), [left[i] for i in rows], [texts[i] for i in rows]), strict=True):
            left[i] = some
    return [some[0] if len(some) == 1 else _by_content(some, path, text) for some, path, text in zip(left, paths, texts, strict=True)]


def language_of(path: str, text: Text = "") -> str | None:
    """The language of one file. See `languages`."""
    return languages([path], [text])[0]


def _by_name(path: str, text: Text) -> tuple[str, ...]:
    """The languages that mode line, file name, #! line and extension leave open: one, several, or none where they say nothing."""
    if (said := mode_line(text)) is not None:
        return (said,)
    name = path.rpartition("/")[2]
    if (known := _named("filenames").get(name) or _named("filenames").get(_VARIANT.sub("", name))) is not None:
        return known
    left = _named("extensions").get(_ending(name), ())
    if not left and text[:2] not in ("#!", b"#!") and _PROSE_NAME.match(name):
        return ("Text",)
    program = interpreter(text)
    by_program = _named("interpreters").get(program, ()) if program else ()
    if by_program:
        left = tuple(language for language in left if language in by_program) or (left if len(left) == 1 else by_program)
    if not left and (start := _str(text[:_END]).lstrip().lower()).startswith("<?xml"):
        return ("HTML",) if "<html" in start or "<!doctype html" in start else ("SVG",) if "<svg" in start else ("XML",)
    return left


def _ending(path: str) -> str:
    """The longest known ending of a file's name, lower-cased: `.d.ts` before `.ts`; what is put behind it (`.in`, `.orig`, `.example`) aside.
    '' without; a name such as `.bashrc` has none."""
    name = _BEHIND.sub(r"\1", path.rpartition("/")[2].lower())
    at = name.find(".", 1)
    while at > 0:
        if name[at:] in _named("extensions"):
            return name[at:]
        at = name.find(".", at + 1)
    return ".json" if name.endswith((".js.map", ".css.map", ".mjs.map")) else ""


def _by_patterns(rules: Sequence[Rule], left: Sequence[tuple[str, ...]], texts: Sequence[Text]) -> list[tuple[str, ...]]:
    """What Linguist's rules for one extension leave of each file's languages."""
    found, open_ = list(left), np.arange(len(texts))
    values = _binary(texts, READ)
    for languages_, holds in rules:
        true = np.ones(open_.size, bool)
        for wanted, pattern in holds:
            true &= matches(values.take(pa.array(open_)), pattern) == wanted
        for i in open_[true]:
            found[i] = tuple(language for language in languages_ if language in left[i]) or left[i]
        open_ = open_[~true]
        if not open_.size:
            break
    return found


def mode_line(text: Text) -> str | None:
    """The language that an Emacs or Vim mode line in the first or last five lines names."""
    start, end = _str(text[:_END]), _str(text[-_END:])
    if not any(mark in start or mark in end for mark in ("-*-", "vim", "vi:", "ex:", "Vim")):
        return None
    both = "\n".join([*start.split("\n")[:_LINES], *end.split("\n")[-_LINES:]])
    found = _EMACS.search(both) or _VIM.search(both)
    said = _named("aliases").get(found.group(1).lower(), ()) if found else ()
    return said[0] if said else None


def interpreter(text: Text) -> str | None:
    """The program that the #! line names, without its version: `#!/usr/bin/env -S python3.11 -u` -> `python3`."""
    if text[:2] not in ("#!", b"#!"):
        return None
    start = _str(text[:_END])
    line = _SHEBANG.match(start)
    if line is None:
        return None
    program, rest = line.group(1).rpartition("/")[2], line.group(2).split()
    if program == "env":
        program = next((word for word in rest if not word.startswith("-") and "=" not in word), "").rpartition("/")[2]
    if program == "sh" and (handed := _EXEC.search("\n".join(start.split("\n")[:_LINES]))):
        program = handed.group(1)
    return re.sub(r"\.\d+\Z", "", program) or None


# Extensions that several languages share and one has nearly to itself: where the patterns leave it open, nothing else is asked.
_USUAL = {
    ".rs": "Rust", ".pl": "Perl", ".pm": "Perl", ".t": "Perl", ".h": "C", ".ts": "TypeScript", ".sql": "SQL", ".md": "Markdown", ".html": "HTML", ".php": "PHP", ".cs": "C#", ".cfg": "INI",
    ".txt": "Text", ".yml": "YAML", ".yaml": "YAML", ".json": "JSON", ".s": "Assembly", ".inc": "C++", ".f": "Fortran", ".for": "Fortran", ".r": "R", ".pp": "Puppet", ".frag": "GLSL",
    ".sch": "Scheme", ".mm": "Objective-C++", ".cake": "C#", ".asm": "Assembly", ".cp": "C++", ".spec": "RPM Spec", ".gs": "JavaScript", ".v": "Verilog", ".tex": "TeX", ".cls": "TeX",
}  # fmt: skip


# magika's names that are no alias of Linguist's.
_MAGIKA = {
    "asm": "Assembly", "batch": "Batchfile", "bazel": "Starlark", "bib": "BibTeX", "cobol": "COBOL", "cs": "C#", "css": "CSS", "csv": "CSV", "diff": "Diff",
    "erb": "HTML+ERB", "gradle": "Gradle", "hcl": "HCL", "ics": "iCalendar", "ignorefile": "Ignore List", "ini": "INI", "ipynb": "Jupyter Notebook",
    "javaproperties": "Java Properties", "jinja": "Jinja", "jsonl": "JSON", "latex": "TeX", "lisp": "Common Lisp", "m4": "M4", "matlab": "MATLAB",
    "objectivec": "Objective-C", "postscript": "PostScript", "proto": "Protocol Buffer", "po": "Gettext Catalog", "rst": "reStructuredText", "rtf": "Rich Text Format",
    "scss": "SCSS", "srt": "SubRip Text", "svg": "SVG", "tsv": "TSV", "txt": "Text", "txtascii": "Text", "txtutf8": "Text", "vba": "VBA", "verilog": "Verilog",
    "vhdl": "VHDL", "vtt": "WebVTT", "vue": "Vue", "xml": "XML", "zig": "Zig", "gemspec": "Ruby", "gemfile": "Ruby", "htaccess": "ApacheConf",
}  # fmt: skip
_UNKNOWN = {"unknown", "empty", "randombytes", "randomascii", "undefined"}


def by_content(text: Text) -> str | None:
    """What magika's network says of a text alone. None where it is not sure, where it names no language of Linguist's, and for the blank text."""
    if not text.strip():
        return None
    if (said := _at_sight(_str(text[:_SIGHT]))) is not None:
        return said
    label = _label(_ends(text))
    if label in _UNKNOWN:
        return None
    if label in _MAGIKA:
        return _MAGIKA[label]
    return next(iter(_named("aliases").get(label, ())), None)


def _by_content(left: Sequence[str], path: str, text: Text) -> str | None:
    """Of several languages the one that has the extension nearly to itself; else what the network says, which takes 15 ms a file. Of a name with an
    extension that Linguist does not know, nothing is asked: nine of ten such files are data of one program."""
    if (usual := _USUAL.get(_ending(path))) in left:
        return usual
    if not left and "." in path.rpartition("/")[2].strip("."):
        return None
    said = by_content(text)
    return said if said is not None and (not left or said in left) else min(left) if left else None


_SIGHT = 4000
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(?:ifndef|ifdef|include|pragma)\b", re.MULTILINE)
_CPP = re.compile(r"\bnamespace\s+\w+|\btemplate\s*<|\bclass\s+\w+|\bstd::|^\s*(?:public|private):", re.MULTILINE)
_KEYED = re.compile(r"^\s*(?:[\w.-]+\s*[:=]|[-*#\\%@<\[/|])", re.MULTILINE)


def _at_sight(start: str) -> str | None:
    """C++ headers, which often have no extension, and plain prose: together most files whose name says nothing. None for the rest."""
    if _DIRECTIVE.search(start):
        return "C++" if _CPP.search(start) else None
    lines = [line for line in start.split("\n") if line.strip()]
    marks = sum(start.count(mark) for mark in "{}();=<>$|\\[]&#`*_")
    if lines and len(start) > 40 * len(lines) and 100 * marks < len(start) and 5 * len(_KEYED.findall(start)) < len(lines):
        return "Text"
    return None


def _ends(text: Text) -> bytes:
    """The beginning and the end of a text, of which the network reads 1,024 bytes each."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return data if len(data) < 6000 else data[:3000] + data[-3000:]


@lru_cache(maxsize=4096)
def _label(data: bytes) -> str:
    return str(_magika().identify_bytes(data).output.label)


@cache
def _magika() -> Any:
    from magika import Magika

    return Magika()


# --- what nobody wrote by hand, or wrote elsewhere ------------------------------------------------------------------------------------


def vendored(paths: Sequence[str]) -> np.ndarray:
    """Where others' code is kept, by Linguist's list: `node_modules/`, `vendor/`, `jquery-3.1.js`, … (paths,) bool"""
    return _any(paths, "vendor")


def documentation(paths: Sequence[str]) -> np.ndarray:
    """Documentation and examples, by Linguist's list: `docs/`, `README`, `CHANGELOG`, `examples/`, … (paths,) bool"""
    return _any(paths, "documentation")


def _any(paths: Sequence[str], key: str) -> np.ndarray:
    """Where any of a list's patterns is found. Those that look around go one by one through `re`, the others all at once through RE2."""
    values = pa.array(list(paths), pa.string())
    around = [p for p in _data()[key] if "(?<" in p or "(?=" in p or "(?!" in p]
    found = matches(values, "|".join(f"(?:{p})" for p in _data()[key] if p not in around))
    for pattern in around:
        found |= matches(values, pattern)
    return found


# Names that only tools write: lock files, projects' metadata, compiled interfaces. Linguist's `generated?` knows most of them.
_MADE_NAME = re.compile(
    r"(?:^|/)(?:[\w.-]*package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.ya?ml|bun\.lockb?|deno\.lock|composer\.lock|Cargo\.lock|poetry\.lock"
    r"|uv\.lock|pdm\.lock|pixi\.lock|Pipfile\.lock|Gemfile\.lock|Podfile\.lock|Package\.resolved|Gopkg\.lock|glide\.lock|go\.sum|mix\.lock|pubspec\.lock"
    r"|flake\.lock|conan\.lock|\.terraform\.lock\.hcl|MODULE\.bazel\.lock|\w*esy\.lock(?:/index\.json)?|gradlew(?:\.bat)?|mvnw(?:\.cmd)?|aclocal\.m4|ltmain\.sh|CMakeCache\.txt"
    r"|R\.java|BuildConfig\.java|autoload_(?:classmap|namespaces|psr4|real|static|files)\.php|\.pnp\.[cm]?js|ppport\.h|(?:Julia)?Manifest(?:-v\d+\.\d+)?\.toml"
    r"|tags|TAGS)$"
    r"|(?:^|/)(?:\.idea|Pods|Carthage/Build|Godeps|htmlcov|__generated__|__snapshots__|xcuserdata)/"
    r"|\.(?:[dD]esigner\.(?:cs|vb)|feature\.cs|g\.cs|g\.i\.cs|g\.dart|freezed\.dart|gr\.dart|pb\.go|pb\.gw\.go|pb\.(?:h|cc|c|swift|dart|validate\.go)"
    r"|pbxproj|nib|xcworkspacedata|xcuserstate|zep\.(?:c|h|php)|bs\.js|snap|suo|(?:js|css|mjs)\.map|generated\.\w+|gen\.(?:go|ts|js|rs|cs|java))$"
    r"|_(?:pb2(?:_grpc)?\.pyi?|pb\.(?:js|d\.ts|rb)|grpc_pb\.(?:js|d\.ts)|tlb\.pas|generated\.\w+|gen\.go)$"
    r"|(?:^|/)(?:zz_generated[\w.]+|(?:moc|qrc)_\w+\.cpp|ui_\w+\.h)$"
)
# How a line of a comment begins, in most languages, and of what tools write in its stead: <?xml, a page's <meta, a docstring.
_COMMENT = re.compile(
    r"""\s*(?://|/\*|\*|#|--|;|%|<!--|<\?|\(\*|\{-|'|\.\\"|\"\"\"|!|@rem\b|rem\b|dnl\b|=|<[\w-]+|@|\[|:|\\)""",
    re.IGNORECASE,
)
_THING = (
    r"(?:files?|code|sources?|scripts?|documents?|headers?|class(?:es)?|modules?|makefile|schema|tables?|page|output|bindings?|stubs?|parser|lexer|client"
    r"|config(?:uration)?|package|constants?|data|types?|definitions?|declarations?|manifest|migration|project|snapshot|list|lockfile)"
)
_BY = r"(?:by|from|with|using|via|through)"
_MADE_LINE = re.compile(
    r"code generated by\b(?! this)|@generated\b|<auto-?generated|\b(?:machine|computer|tool)[ -]generated\b"
    rf"|\b(?:auto-?|automatically[ -])generated\b(?=\W*$|[^\w]*\s*(?:{_BY}|on|at|and|code|{_THING}|do not|don't|please)\b|\W+\S+\W*$)"
    rf"|\b{_THING} (?:(?:is|was|has been|were|are|have been) )?(?:\(?\w+\)? )?(?:auto-?|automatically[ -])?generated(?: automatically)?(?: (?:on|at) \S+(?: \S+)?)? {_BY}\b(?! (?:this|a|an|hand|people|the (?:user|client|server|program))\b)"
    rf"|\b(?:this|the following) {_THING} (?:is|was|has been|were|are) (?:\w+ )?(?:auto-?|automatically )?generated\b"
    rf"|\bgenerated automatically {_BY}\b|\bautomatically (?:created|produced|built|written|maintained|updated) by\b|\bthis is an? (?:auto)?-?generated\b"
    rf"|^\W*(?:auto-?|automatically )?(?:generated|compiled|dumped|exported)(?: automatically)?(?: (?:on|at) [\d:./ -]+)? {_BY}\b(?! (?:this|a|an|hand|people|default)\b)"
    r"|^\W*[\w.-]+ generated (?:by|from)\b|\(generated by\b|\bsource code generated on\b"
    r"|^\W*(?:creator|generator|generated[ -]by|producedby|autogen)\s*[:=(]"
    r"|\bwas generated by\b|\b(?:sql|database|postgresql|mysql|mariadb) dump\b|\bmade by GNU Bison\b|\bscanner generated by\b|\bstatistics generated by\b"
    r"|由[^，。,.]{1,30}(?:生成|产生|產生)|(?:文件|代码|代碼|檔案|程式碼|脚本)(?:是|为|為|由)?(?:自动|自動|机器|機器)生成|(?:自动|自動)生成[^，。]{0,8}[，。,.!！ ]*(?:请|請|不要|勿|切勿|do not)|自動生成された(?:ファイル|コード)",
    re.IGNORECASE,
)
_HANDS_OFF = re.compile(
    r"\b(?:do not|don't|never|not (?:be|to be|intended)|should not|must not)\b.{0,30}\b(?:edit|modif\w+|chang\w+|touch|alter)|请勿|請勿|不要(?:手动|手動)?(?:修改|编辑|編輯)",
    re.IGNORECASE,
)
_MADE_AGAIN = re.compile(r"generat|overwritten|re-?created|\bwill be lost\b|生成", re.IGNORECASE)
_MARKED_LINES = 30
_BEGINNING = 4000  # bytes
# Every line that `_MADE_LINE` finds, or `_HANDS_OFF` with `_MADE_AGAIN`, holds one of these: RE2 tells most files by their absence.
_WORDS = r"(?i)generat|overwritten|re-?created|be lost|produced|compiled by|built by|made by|dump|exported|creator|maintained by|updated by|created (?:by|from|with|using|via)|written (?:by|from|with|using)|autogen|生成|产生|產生"
_LINE_WORDS = (
    "generat",
    "creat",
    "produced",
    "compiled",
    "built",
    "made",
    "dump",
    "export",
    "written",
    "maintained",
    "updated",
    "autogen",
    "lost",
    "生成",
    "产生",
    "產生",
)
_CODE_LINES = 3  # of code that may stand before the comment: a package clause, <?php, "use strict"
_TEMPLATES = (".tmpl", ".tpl", ".j2", ".jinja", ".jinja2", ".tt", ".erb", ".mustache", ".hbs", ".handlebars", ".ejs", ".gotmpl", ".twig", ".liquid")
_PROSE = (".md", ".markdown", ".rst", ".txt", ".adoc", ".tex", ".org")  # they write about generated files
_SOURCE_MAP = re.compile(r"^\s*(?://|/\*)[#@]\s*source(?:Mapping)?URL=", re.MULTILINE)
_MINIFIED = (".js", ".mjs", ".cjs", ".css")
_DRAWN = re.compile(
    r"xmlns:(?:inkscape|sodipodi|serif|sketch|xodm)=|^%%Creator: |<!-- (?:Generator|Generated by|Created with)\b|<meta name=\"?generator|<dc:title>Matplotlib"
    r"|<title>(?:JSDoc: |Code coverage report|LCOV - )|<\?plantuml|data-diagram-type=|contentScriptType=",
    re.IGNORECASE | re.MULTILINE,
)
# Compiled and bundled scripts: webpack, Parcel, Browserify, Babel and TypeScript, Elm, Emscripten, Scala.js, GWT, wasm-bindgen.
_BUNDLED = re.compile(
    r"webpackBootstrap|__webpack_require__|parcelRequire|modules are defined as an array\n|function [ro]\(e,n,t\)|^Object\.defineProperty\(exports, \"__esModule\"|\.nocache\b|sendStats\("
    r"|^function F\(arity, fun, wrapper\)|^// The Module object: Our interface to the outside world|\$linkingInfo|__wbg_|^\(function\(scope\)\{|goog\.provide\(",
    re.MULTILINE,
)
# How files begin that only tools write: Unity, Flex and Ragel and Menhir (#line), ctags, Xcode, STM32, KiCad, Interface Builder.
_BEGINNINGS = (
    "fileFormatVersion: ", "%YAML 1.1\n%TAG !u! tag:unity3d.com", "!_TAG_", "// !$*UTF8*$!", "#MicroXplorer Configuration", "(export (version", "# 1 \"", "{-# OPTIONS_GHC -w #-}",
    "\n#line ", "#line ", "// $ANTLR", "/* A Bison parser", "# SOME DESCRIPTIVE TITLE.",
)  # fmt: skip
_TOLD = (
    r"yysccsid|^@(?:javax\.annotation\.(?:processing\.)?)?Generated\(|^# Created by: The Resource Compiler for PyQt|controller-gen\.kubebuilder\.io/version|^# Source: \S+/templates/\S+$|<document type=\"com\.apple\.InterfaceBuilder|^Revision ID: \w+\nRevises: |github\.com/GeertJohan/go\.rice/embedded"
    r"|^/\* Smarty version |^use Twig\\Template;|A helper file for Laravel, to provide autocomplete|\"identityHash\": \"[0-9a-f]{32}\"|<testsuite [^>]*tests=|\{\s*\"(?:data\"\s*:\s*\{\s*\"__schema|__schema)\""
    r"|MenhirLib\.StaticVersion|^import \{ TypedDocumentNode as DocumentNode \}|^import \* as runtime from '(?:\./runtime|@prisma/client/runtime)|^_Shape = typing\.Tuple\[int, \.\.\.\]|^unsigned (?:char|int) \w+(?:\[\]|_len) =|`ifdef RANDOMIZE_REG_INIT"
)


def is_minified(path: str, text: Text) -> bool:
    """JavaScript or CSS with over 110 characters a line on average (Linguist), or named `.min.`."""
    name = path.lower()
    if not name.endswith(_MINIFIED):
        return False
    if ".min." in name.rpartition("/")[2]:
        return True
    lines = (text.count("\n") if isinstance(text, str) else text.count(b"\n")) + 1
    return len(text) > 110 * lines and len(_str(text)) > 110 * lines  # characters: Chinese has three bytes each


def generated(paths: Sequence[str], texts: Sequence[Text]) -> np.ndarray:
    """Where a tool wrote the file: by its name, by what it says of itself in the comments that it begins with, or by its form. (files,) bool

    After Linguist's `generated?` and StarCoder2's five markers, with more wordings, and in Chinese. What says so further down, in a literal or in a
    template, belongs to a generator.
    """
    names = pa.array(list(paths), pa.string())
    beginnings = _binary(texts, _BEGINNING)
    found = matches(names, _MADE_NAME.pattern)
    found |= np.array([is_minified(path, text) for path, text in zip(paths, texts, strict=True)], bool)
    told = matches(beginnings, _TOLD)
    asked = matches(beginnings, _WORDS) | told
    by_name = matches(names, r"(?i)\.(?:[cm]?js|css|ya?ml|map|svg|e?ps|html?)$")
    for i in np.flatnonzero(~found & (asked | by_name)).tolist():
        found[i] = _says_so(paths[i].lower(), _str(texts[i][:_BEGINNING]), _str(texts[i][-400:]), bool(told[i]))
    starts = pc.binary_slice(beginnings, 0, 40)
    for start in _BEGINNINGS:
        found |= np.asarray(pc.starts_with(starts, pattern=start.encode()).to_numpy(zero_copy_only=False), bool)
    return found


def is_generated(path: str, text: Text) -> bool:
    """See `generated`."""
    return bool(generated([path], [text])[0])


def _says_so(name: str, beginning: str, end: str, told: bool) -> bool:
    before, code = "", 0
    for line in beginning.split("\n")[:_MARKED_LINES] if not name.endswith(_TEMPLATES) else ():
        if _COMMENT.match(line):
            near = before + " " + line
            lower = near.lower()
            if not any(word in lower for word in _LINE_WORDS):
                before = line
                continue
            if _MADE_LINE.search(line) or (_HANDS_OFF.search(near) and _MADE_AGAIN.search(near)):
                return not name.endswith(_PROSE)
            before = line
        elif line.strip():
            code += 1
            if code > _CODE_LINES:
                break
    return told or _by_form(name, beginning, end)


def _by_form(name: str, beginning: str, end: str) -> bool:
    """What has no marker, or one that only its tool writes: bundles, compiled scripts, parsers, recorded requests, drawn pictures."""
    if name.endswith(_MINIFIED) and (_SOURCE_MAP.search(end) or _BUNDLED.search(beginning)):
        return True
    if name.endswith((".yml", ".yaml")) and "recorded_with: VCR" in end:
        return True
    if name.endswith(".map") and beginning[:20].lstrip("{ \n").startswith('"version"'):
        return True
    return name.endswith((".svg", ".ps", ".eps", ".html", ".htm")) and _DRAWN.search(beginning) is not None
