"""The measures of files against their slow twins, on files as they are written; and that a file is judged alone."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.measures import MEASURES, measure
from pipeline.texts import Texts
from tests.twins import slow_code as slow

NAMES = [name for name, entry in MEASURES.items() if entry.family == "files"]
UNPARSED = [name for name in NAMES if name != "syntax_error_fraction"]  # what the core alone can measure
OF_A_PATH = ["generated_file", "minified_file", "vendored_file", "documentation_file", "instructive_text_file"]
WRITTEN = [json.loads(line) for line in (Path(__file__).parent.parent / "data" / "generated.jsonl").read_text(encoding="utf-8").splitlines()]

File = tuple[str | None, str | None, str | None]  # path, language, text


def columns(files: list[File], names: list[str]) -> dict[str, list[float]]:
    paths, languages, texts = ([file[k] for file in files] for k in range(3))
    return {name: column.tolist() for name, column in measure(Texts(texts, paths, languages), names).items()}


def one(name: str, text: str, language: str | None = None, path: str | None = "f") -> float:
    return columns([(path, language, text)], [name])[name][0]


def same(found: dict[str, list[float]], expected: dict[str, list[float]]) -> bool:
    return all(np.array_equal(found[name], expected[name], equal_nan=True) for name in found)


ASCII = st.characters(min_codepoint=32, max_codepoint=126)


# --- names --------------------------------------------------------------------------------------------------------------------------

FOLDERS = [
    *("src", "vendor", "Vendor", "node_modules", "third_party", "3rd-Party", "docs", "Docs", "doc", "_build", "man", "examples", "Demo", "test"),
    *("fixtures", "dist", "cache", "env", ".github", "extjs", "a b", "中文", "jquery-ui", "R", "data"),
]
FILE_NAMES = [
    *("main.py", "jquery.js", "jquery-3.1.1.js", "jquery-3.1.x.js", "jquery-ui-1.2.min.js", "a-min.css", "min.js", "bootstrap-theme.2.css"),
    *("d3.v4.js", "react-dom.js", "reactive.js", "index.d.ts", "README", "ReadMe.md", "readme.txt", "LICENSE-MIT", "LICENSE", "License.txt"),
    *("CHANGELOG.rst", "CHANGES", "changes.py", "Vagrantfile", "Jenkinsfile", "gradlew.bat", ".gitignore", "my import.css", "prototype-1.js"),
    *("knockout-3.4.2.js", "libtool.m4", "Requirements-dev.txt", "prerequirement", "notes.org", "note", "TODO.md", "todo.list.md"),
    *("description.html", "CMakeLists.txt", "CMakeLists.txt.in", "unreadme.md", "_readme", "CITATION.cff"),
]
PATHS = st.builds(lambda folders, name: "/".join([*folders, name]), st.lists(st.sampled_from(FOLDERS), max_size=4), st.sampled_from(FILE_NAMES))


def check_paths(paths: list[str]) -> None:
    found = columns([(path, None, "x") for path in paths], ["vendored_file", "documentation_file", "instructive_text_file"])
    for k, path in enumerate(paths):
        expected = (slow.vendored_file(path), slow.documentation_file(path), slow.instructive_text_file(path))
        assert tuple(column[k] for column in found.values()) == expected, path


def test_lists_of_paths_are_what_their_patterns_find_one_by_one() -> None:
    check_paths([f"{folder}/{name}" for folder in FOLDERS for name in FILE_NAMES] + FILE_NAMES)


@settings(max_examples=25, deadline=None)
@given(st.lists(PATHS, min_size=10, max_size=30))
def test_lists_of_any_paths(paths: list[str]) -> None:
    check_paths(paths)


@pytest.mark.parametrize(("name", "key"), [("vendored_file", "vendor"), ("documentation_file", "documentation")])
def test_each_pattern_of_a_list_is_asked(name: str, key: str) -> None:
    @settings(max_examples=1, deadline=None)
    @given(st.tuples(*[st.from_regex(pattern, alphabet=ASCII) for pattern in slow.patterns(key)]))
    def check(paths: tuple[str, ...]) -> None:
        assert columns([(path, None, "") for path in paths], [name])[name] == [1] * len(paths)

    check()


SCRIPTS = st.tuples(
    st.sampled_from(["a.js", "b/A.CSS", "c.mjs", "d.cjs", "x.min.js", "X.MIN.css", "a.min/b.js", "a.min.py", "e.ts", "js", "f.js.txt"]),
    st.lists(st.integers(0, 330), max_size=4),
)


@settings(max_examples=80, deadline=None)
@given(SCRIPTS, st.sampled_from(["\n", "\r\n"]))
def test_minified_file(script: tuple[str, list[int]], end: str) -> None:
    path, lengths = script
    text = end.join("x" * length for length in lengths)
    assert one("minified_file", text, path=path) == slow.minified_file(path, text)


def test_minified_is_a_matter_of_characters_in_every_script() -> None:
    assert one("minified_file", ("'按钮': '" + "点击这里提交您的订单并且等待确认" * 3 + "',\n") * 9, path="zh.js") == 0


# --- data ---------------------------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["id", "name", "姓名", "x-y", "a.b", "ключ", "first_name", "k9"])
VALUES = st.sampled_from([1, 3.14159265, 20240101, "word", "两个 字", "2024-01-01", True, None, ["a", 1]])
RECORDS = st.tuples(st.lists(st.dictionaries(WORDS, VALUES, min_size=1, max_size=5), min_size=1, max_size=3), st.sampled_from([1, 2, 5, 20, 40])).map(
    lambda some: some[0] * some[1]
)


def yaml(records: list[dict[str, object]]) -> str:
    return "".join(f"{'- ' if k == 0 else '  '}{key}: {value}\n" for record in records for k, (key, value) in enumerate(record.items()))


def xml(records: list[dict[str, object]]) -> str:
    rows = "".join(f"<row>{''.join(f'<k{len(key)}>{value}</k{len(key)}>' for key, value in record.items())}</row>\n" for record in records)
    return f"<rows>\n{rows}</rows>\n"


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.booleans())
def test_data_file(records: list[dict[str, object]], escaped: bool) -> None:
    written = {
        "JSON": json.dumps(records, ensure_ascii=escaped, indent=escaped or None),
        "YAML": yaml(records),
        "XML": xml(records),
        "TOML": "a = 12345678\n" * len(records),
        "CSV": "a,b\n",
    }
    for language, text in written.items():
        for path, configuration in (("a/rows", False), ("a/package.json", True), (None, False)):
            expected = slow.data_file(language, text, configuration) if path else math.nan
            assert one("data_file", text, language, path) == pytest.approx(expected, nan_ok=True), (language, path)


@pytest.mark.parametrize(
    "path",
    [
        *("package.json", "a/tsconfig.build.json", "docker-compose.prod.yml", ".github/a/b.yml", ".eslintrc.json", ".swcrc", "web.config"),
        *("my-config.json", "Chart.yaml", "Cargo.toml"),
    ],
)
def test_what_is_called_configuration_is_data_from_64_kilobytes_on(path: str) -> None:
    keys = '{"a": 1}\n' * 50
    for size, expected in ((len(keys), 0), (1 << 16, 0), ((1 << 16) + 1, 1)):
        assert one("data_file", keys.ljust(size), "JSON", path) == expected == slow.data_file("JSON", "[" + " " * (size - 2) + "]", True)
    assert one("data_file", keys, "JSON", "locales/en.json") == 1, "of another name it is data"


@pytest.mark.parametrize(("keys", "copies", "data"), [(10, 4, 1), (10, 3, 0), (11, 4, 1), (9, 4, 0), (41, 1, 0), (1, 39, 0)])
def test_keys_that_come_four_times_are_those_of_records(keys: int, copies: int, data: int) -> None:
    text = json.dumps([{f"k{'x' * k}": "" for k in range(keys)}] * copies)
    assert one("data_file", text, "JSON") == data == slow.data_file("JSON", text, False)


def test_data_is_asked_of_formats_of_data_alone() -> None:
    for language in ("Python", "Markdown", "HTML", None):
        assert math.isnan(one("data_file", "a: 1\n" * 99, language)) and math.isnan(slow.data_file(language, "a: 1\n" * 99, False))


# --- markup -------------------------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.text(st.sampled_from("a \ufeff中😀\n"), max_size=110), st.sampled_from(["<?xml version='1.0'?>", "<?xml version =", "<?XML version="]))
def test_xml_declaration(before: str, declaration: str) -> None:
    text = before + declaration
    assert one("xml_declaration", text) == one("xml_declaration", text, path=None) == slow.xml_declaration(text)


@pytest.mark.parametrize("before", [86, 87])
@pytest.mark.parametrize("character", "x中😀")
def test_the_declaration_stands_whole_in_the_first_100_characters(before: int, character: str) -> None:
    text = character * before + "<?xml version='1.0'?>"
    assert one("xml_declaration", text) == slow.xml_declaration(text) == (before == 86)


SHOWN = st.sampled_from(
    [
        *("word", " ", "\n", "中文 字", "\u3000", "\u00a0", "\x1c", "a < b > c", "'quoted\"", "&amp;", "&nbsp;", "&#x4e2d;", "&#20013;", "&rightarrow;"),
        *("&nosuch;", "5 &", "😀"),
    ]
)
ATTRIBUTES = st.sampled_from(
    [
        *("", " hidden", " id=a", ' title="a > b"', " title='x<y'", ' data-x="<script>"', ' alt = "it\'s &quot;"', " onclick='f(\"</p>\")'"),
        *(' href="/?a=1&b=2"', "\n  class=''"),
    ]
)
HIDDEN = st.sampled_from(
    [
        *("<!-- <p>no</p> 不 -->", "<!-- > <script> -->", "<script>if (a < b && c > d) x = '</p>';</script>", "<SCRIPT type='a'>no</Script\n>"),
        "<style>p > a {color: red}</style>",
        *("<title>不 &amp;</title>", "<noscript><img src=x>no</noscript>", "<template id='t'><b>no</b></template>", "<br/>", '<img src="a>b.png">'),
        "<meta charset=utf-8>",
    ]
)
TAGS = st.sampled_from(["p", "div", "B", "style-guide", "header", "titles", "script-x", "h1", "td"])


def within(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda tag, attributes, some: f"<{tag}{attributes}>{' '.join(some)}</{tag}>", TAGS, ATTRIBUTES, st.lists(inner, max_size=5))


LEAVES = st.one_of(SHOWN, HIDDEN)
PAGES = st.builds(
    lambda start, body: start + body,
    st.sampled_from(["", "<!DOCTYPE html>", "<html><head><title>t</title></head><body>", "<html><head><meta a='>'><title>t</title><body>"]),
    within(st.one_of(LEAVES, within(LEAVES))),
)


@settings(max_examples=120, deadline=None)
@given(PAGES)
def test_html_equals_the_librarys_parser(text: str) -> None:
    found = columns([("a.html", "HTML", text)], ["html_visible_characters", "html_visible_fraction", "comment_character_fraction"])
    assert found["html_visible_characters"] == [slow.html_visible_characters(text)]
    assert found["html_visible_fraction"] == [pytest.approx(slow.html_visible_fraction(text))]
    assert found["comment_character_fraction"] == [pytest.approx(slow.fraction_of(slow.html_comments(text), text))]
    assert 0 <= found["html_visible_fraction"][0] <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""), ("<!DOCTYPE html><title>no</title><p>yes<p>也", "yes也"), ("<html><head><title>no</title><body>a head left open", "aheadleftopen"),
        ("<script>left open", ""),
        ("a<!-- left open", "a"), ("1 < 2 &amp;&amp; 3 > 2", "1<2&&3>2"), ('<a title="2 > 1">x</a>', "x"), ("<p title='left open>x</p>", "x"),
        ("&nbsp;&#8195;\u3000x", "x"), ("<p", "<p"),
    ],
)  # fmt: skip
def test_what_a_page_shows(text: str, shown: str) -> None:
    assert one("html_visible_characters", text, "HTML") == len(shown)
    assert math.isnan(one("html_visible_characters", text, "XML")) and math.isnan(one("html_visible_fraction", text))


# --- comments -----------------------------------------------------------------------------------------------------------------------

PYTHON = st.lists(
    st.sampled_from(
        [
            *("x = 1", '# it\'s "one" 注释', "", "x = 'it # no'  # yes", 's = "\\" # no"', "u = '' # c", "f(a,  # c\n  b)", "v = 'a\\\n# no'"),
            *('"""doc # one"""', "'''it's\n\n\"\"\"\n'''"),
            *('y = """a # b\n# no\n"""', 'z = """\n\'\'\'\n""" # yes', "w = r'''\\\\'''", 'q = """\\"""# no"""', 'p = """a ""b"" c"""'),
            "def f():\n    \"\"\"Doc '''\n    # x\n    \"\"\"\n    return '''\n# no\n'''",
            *(
                'class A:\n\tr"""raw \\d"""  # and\n\tb = 1',
                "if x:\n  u'''两行\n字'''\nelse:\n  pass",
                "@d  # c\ndef g(): pass",
                'f(\n"""# a\n""",\n1)',
                'y = (\n """a""")',
                'y = \\\n"""a"""',
            ),
        ]
    ),
    max_size=8,
).map("\n".join)
C = [
    *("int a = 1;\n", 'char *s = "// no";', " // it's \"one\" `注释`\n", "/* ' \" ` // \n */", "/**/", "/* // */", "// /* \n", "c = '\"';",
    "c = '\\'';", 's = "a\\\\"; // yes\n', 's = "\\" /* no */";'),
    *("a = b / c * d;\n", "#include <a/b.h>\n", "/***/", "\n\n", "x *= 2; /*/ one */", "“”", "url = 'http://a.b';"),
]  # fmt: skip
TICKED = [*C, "t = `a // no\n' b`;", "t = `\\`//no`;", "/x/.test(y);\n"]
VERILOG = ["`timescale 1ns/1ps\n", "`define X 8'hFF // it's\n", "4'b0", '$display("// no");', "/* ` ' */", "// one `two\n", "assign a = b / c;\n", '"\\"//no"']
ENDS = st.sampled_from(["", "/* left open", "// left open", "\\"])


@settings(max_examples=100, deadline=None)
@given(PYTHON)
def test_comments_of_python_are_what_python_says(text: str) -> None:
    assert one("comment_character_fraction", text, "Python") == pytest.approx(slow.fraction_of(slow.python_comments(text + "\n"), text))


def written_in(pieces: list[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda some, end: "".join(some) + end, st.lists(st.sampled_from(pieces), max_size=15), ENDS)


@settings(max_examples=100, deadline=None)
@given(written_in(C), written_in(TICKED), written_in(VERILOG))
def test_comments_of_the_family_of_c(c: str, ticked: str, verilog: str) -> None:
    for text, quotes, languages in ((c, "'\"", ("C", "Java")), (ticked, "'\"`", ("JavaScript", "Go")), (verilog, '"', ("Verilog", "SystemVerilog"))):
        for language in languages:
            assert one("comment_character_fraction", text, language) == pytest.approx(slow.fraction_of(slow.slash_comments(text, quotes), text)), language


@pytest.mark.parametrize(
    ("language", "text", "comments"),
    [
        ("Shell", 'if [ $# -gt 1 ]; then # yes\n  a=${b##*/} c="# no" # 也\nfi\n', ["# yes", "# 也"]), ("Ruby", 'puts "#{a}" # yes\n', ["# yes"]),
        ("YAML", "a: '''#''' # yes\n# yes\n", ["# yes", "# yes"]),
        ("TOML", 'a = """\n# no\n""" # yes\n', ["# yes"]), ("Elixir", '@doc """\n# no\n"""\n# yes\n', ["# yes"]),
        ("MATLAB", "fprintf('%d%%\\n', x'); \ny = x'; % it's\n", ["% it's"]),
        ("Erlang", 'io:format("~p %"), \'%\'. % yes\n', ["% yes"]), ("TeX", "don't 5\\% % yes\n", ["% yes"]), ("Lua", "a = '--' -- yes\n", ["-- yes"]),
        ("Haskell", "f x = x - 1 {- a\n-} -- b\n", ["{- a\n-}", "-- b"]),
        ("SQL", "select '--' /* a */ from b; -- c", ["/* a */", "-- c"]), ("Emacs Lisp", '(a "; no") ; yes\n', ["; yes"]),
        ("XML", "<a><!-- b\n --></a>", ["<!-- b\n -->"]), ("C", "", []),
        ("Python", 'f(\n    """an argument""",\n)\nx = [\n  """a""",\n  \'\'\'b\'\'\'\n] # yes\n', ["# yes"]),
        ("Python", '"%s" % (  # yes\n  """an argument"""\n)', ["# yes", '"""an argument"""']),  # no parser: after a comment it counts as a docstring
    ],
)  # fmt: skip
def test_comments_by_language(language: str, text: str, comments: list[str]) -> None:
    assert one("comment_character_fraction", text, language) == pytest.approx(slow.fraction_of(comments, text))
    assert math.isnan(one("comment_character_fraction", text, "Jupyter Notebook")) and math.isnan(one("comment_character_fraction", text))


# --- syntax -------------------------------------------------------------------------------------------------------------------------

WHOLE = {
    "C": "#include <stdio.h>\nint main(void) {\n  return 0;\n}\n",
    "Python": "def f(x: int) -> int:\n    return x + 1\n",
    "JavaScript": "const f = (x) => `a${x}`;\n",
    "Go": "package a\n\nfunc F() int {\n\treturn 1\n}\n",
    "Rust": "fn f<'a>(x: &'a str) -> &'a str {\n    x\n}\n",
    "Java": "class A {\n  int f() { return 1; }\n}\n",
    "JSON": '{"a": [1, "中"]}\n',
    "Shell": "for i in 1 2; do\n  echo \"$i\"\ndone\n",
}  # fmt: skip


@pytest.mark.parametrize("language", WHOLE)
def test_syntax_errors(language: str) -> None:
    pytest.importorskip("tree_sitter_language_pack")
    text = WHOLE[language]
    middle = text.index("\n") + 1 if text.count("\n") > 1 else len(text) // 2
    broken = text[:middle] + "} ) \x01 ] ((" + text[middle:]
    found = [one("syntax_error_fraction", t, language) for t in (text, text * 3 if language != "JSON" else text, broken, "", "x" * ((1 << 20) + 1))]
    assert found[:2] == [0, 0] and 0 < found[2] <= 1 and math.isnan(found[3]) and math.isnan(found[4])
    assert one("syntax_error_fraction", "int a", "C") == 1 / 5, "a mark that is missing is one byte"
    assert math.isnan(one("syntax_error_fraction", text, "Fortran")) and math.isnan(one("syntax_error_fraction", text))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.text(st.sampled_from("(){}<>[]=\"'`;:#a1 \n中"), min_size=1, max_size=12))
def test_what_is_broken_is_at_most_all(language: str, text: str) -> None:
    pytest.importorskip("tree_sitter_language_pack")
    assert 0 <= one("syntax_error_fraction", text, language) <= 1


# --- a file is judged alone ---------------------------------------------------------------------------------------------------------

FILES: list[File] = [
    ("src/a.py", "Python", '"""Doc."""\nx = 1  # one\n'), ("src/a.py", None, "x = 1\n"), ("a.html", "HTML", "<head><title>t</title><p>中&nbsp;b"),
    ("b.html", "HTML", "<!-- left open"), (None, "HTML", "<p>a"),
    ("c.json", "JSON", '[{"a": 1}]' * 60), (None, "JSON", '[{"a": 1}]' * 60), ("package.json", "JSON", '[{"a": 1}]' * 60), ("d.csv", "CSV", "a,b\n"),
    ("docs/e.md", "Markdown", "# e\n"), ("empty.py", "Python", ""),
    ("null.js", "JavaScript", None), ("vendor/f.js", "JavaScript", "/* f */" + "x;" * 99),
    ("g.go", "Go", "// Code generated by g. DO NOT EDIT.\npackage g\n"), ("README", "Text", "<?xml version='1.0'?>"), (None, None, "x"),
    *[(r["path"], None, r["text"]) for r in WRITTEN[::8]],
]  # fmt: skip


def test_files_alone_in_any_order_and_in_parts_of_a_batch_are_the_same() -> None:
    whole = columns(FILES, UNPARSED)
    alone = [columns([file], UNPARSED) for file in FILES]
    assert same(whole, {name: [row[name][0] for row in alone] for name in UNPARSED})
    assert 0 < sum(whole["generated_file"]) < len(FILES)
    order = random.Random(5).sample(range(len(FILES)), len(FILES))
    assert same(columns([FILES[i] for i in order], UNPARSED), {name: [whole[name][i] for i in order] for name in UNPARSED})
    paths, languages, texts = ([file[k] for file in FILES] for k in range(3))
    batch = Texts(texts, paths, languages)
    measure(batch, UNPARSED)  # what a batch remembers is not its parts'
    part = {name: column.tolist() for name, column in measure(batch[3:20], UNPARSED).items()}
    assert same(part, {name: whole[name][3:20] for name in UNPARSED})


def test_without_a_path_a_text_is_no_file() -> None:
    bare = [(None, language, text) for _, language, text in FILES]
    found = columns(bare, UNPARSED)
    assert all(not any(found[name]) for name in OF_A_PATH)
    assert all(math.isnan(value) for value in found["data_file"])
    named = columns([(path, None, text) for path, _, text in FILES], NAMES)
    assert all(math.isnan(value) for name in NAMES if MEASURES[name].nullable for value in named[name]), "of no language"
    rest = ["xml_declaration", "html_visible_characters", "html_visible_fraction", "comment_character_fraction"]
    assert same({name: found[name] for name in rest}, columns(FILES, rest)), "these need no path"
