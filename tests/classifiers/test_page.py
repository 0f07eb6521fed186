"""The page loads nothing, escapes everything, and says so where there is nothing to show. Read as a browser would, by html.parser."""

import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers import metrics
from classifiers.page import NOTHING, Bar, Bars, Chart, Confusion, Curve, Document, Documents, Section, Table, render, write_page

HOSTILE = (
    "<script>alert(1)</script><img src=http://evil.example/x onerror='a()'> </style></svg>"
    "\"double\" 'single' & &amp; \x00 \x1b[31m \x7f \x85 \ud800 \u202eevil\u202c"
)
ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "nav", "a", "section", "p", "div", "span", "bdi", "small", "ul", "li"}
ALLOWED |= {"table", "tr", "th", "td", "details", "summary", "svg", "line", "polyline", "circle", "text", "rect"}
VOID = {"meta"}
LOADING = {"src", "href", "srcset", "data", "action", "formaction", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """Every element with its attributes, the text of the page, and whether each end tag closes the element that is open."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.feed(source)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open[-1:] != ["style"] else ""

    def all(self, tag: str, kind: str = "") -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag and kind in ["", *(attrs.get("class") or "").split(" ")]]


def parsed(*sections: Section, title: str = "A page") -> Page:
    return Page(render(title, sections))


def everything(say: Callable[[], str], number: float) -> list[Section]:
    """Two sections with every part: what `say` gives in every place for texts, one number in every place for numbers."""
    curve = Curve(say(), [0.0, number, 1.0], [1.0, 0.5, number], [3, 2, 1])
    return [
        Section(
            say(),
            say(),
            [
                Chart(say(), say(), say(), [curve, Curve(say(), [0.1, 0.2], [0.3, 0.4], 7)], diagonal=True),
                Chart(say(), say(), say(), [curve], x_range=None, y_range=None),
                Confusion([say(), "b"], [[1, 2], [3, 4]], say()),
                Table([say(), "number"], [[say(), number], [None, 1]], say()),
                Bars([Bar(say(), number, 3), Bar("b", 0.5, 0)], number, say()),
                Documents([Document(say(), say(), say(), number, say(), say())], say()),
            ],
        ),
        Section(say()),
    ]


def assert_harmless(page: Page) -> None:
    for tag, attrs in page.elements:
        assert tag in ALLOWED, tag
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in LOADING or (value or "").startswith("#"), (tag, name, value)
            assert "url(" not in (value or "") or name == "aria-label", (tag, name, value)


def test_the_page_loads_nothing_from_outside() -> None:
    source = render("t", everything(lambda: "https://example.org/picture.png", 0.5))
    page = Page(source)
    assert_harmless(page)
    style = re.findall(r"<style>(.*?)</style>", source, re.S)
    assert len(style) == 1
    assert "url(" not in style[0] and "@import" not in style[0]
    policy = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert {f"#{attrs['id']}" for attrs in page.all("section")} == {attrs["href"] for attrs in page.all("a")}


def test_hostile_text_is_text_everywhere() -> None:
    source = render(HOSTILE, everything(lambda: HOSTILE, 0.5))
    page = Page(source)
    assert_harmless(page)
    times = page.text.count("<script>alert(1)</script>")
    assert times > 20  # and once the end is cut off: a bar's name is short, and whole only in its tooltip
    assert page.text.count("\"double\" 'single' & &amp; ⟨U+0000⟩ ⟨U+001B⟩[31m ⟨U+007F⟩ ⟨U+0085⟩ ⟨U+D800⟩ ⟨U+202E⟩evil⟨U+202C⟩") == times - 1
    assert not re.search(r"[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]", source)
    assert source.encode()


def test_no_text_is_lost() -> None:
    said: list[str] = []

    def say() -> str:
        said.append(f"text-{len(said)}.")
        return said[-1]

    page = parsed(*everything(say, 0.5), title=say())
    assert len(said) > 20
    assert [text for text in said if text not in page.text] == []


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=())), st.floats())
def test_no_text_and_no_number_breaks_the_page(text: str, number: float) -> None:
    source = render(text, everything(lambda: text, number))
    assert_harmless(Page(source))
    assert not re.search(r'="[^"]*\b(nan|inf)\b[^"]*"', re.sub(r'aria-label="[^"]*"', "", source))


def test_every_document_is_folded_cut_and_preceded_by_a_warning() -> None:
    documents = [Document(f"set#{i}", "forum", "zh", 0.9, True, "傻" * 500) for i in range(50)]
    page = parsed(Section("Worst", parts=[Documents(documents)]))
    assert len(page.all("details")) == 50
    assert not any("open" in attrs for attrs in page.all("details"))
    assert page.text.count("傻") == 50 * 400
    assert "(100 more characters)" in page.text
    assert page.text.index("offensive text: folded by default") < page.text.index("set#0")


def test_an_excerpt_is_cut_before_it_is_escaped() -> None:
    page = parsed(Section("Worst", parts=[Documents([Document("k", "d", "en", 1.0, False, "&" * 401)])]))
    assert page.text.count("&") == 400


def points(page: Page) -> list[list[tuple[float, float]]]:
    runs = [attrs["points"] or "" for attrs in page.all("polyline")]
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in run.split())] for run in runs]


def test_nan_is_a_gap_in_its_curve() -> None:
    x, y = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.1, 0.2, math.nan, 0.4, math.inf, 0.6]
    runs = points(parsed(Section("s", parts=[Chart("c", "x", "y", [Curve("a", x, y)])])))
    assert [len(run) for run in runs] == [2, 2, 2], "two points, then one alone, drawn as a dot, then another"
    assert runs[1][0] == runs[1][1] and runs[2][0] == runs[2][1]


def test_points_lie_where_the_axes_say() -> None:
    page = parsed(Section("s", parts=[Chart("c", "x", "y", [Curve("a", [0, 0.5, 1], [0, 0.5, 1])])]))
    (left, bottom), middle, (right, top) = points(page)[0]
    assert left < right and top < bottom
    assert middle == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=0.1)
    axes = page.all("line", "axis")
    assert [float(axes[0][k] or "") for k in ("x1", "y1", "x2", "y2")] == [left, bottom, right, bottom]
    assert all(f"{tick:.1f}" in page.text for tick in np.arange(0, 1.01, 0.2))


def test_points_outside_widen_the_axes() -> None:
    page = parsed(Section("s", parts=[Chart("c", "x", "y", [Curve("a", [0, 30000], [-2.0, 4.0])])]))
    assert "30,000" in page.text and "-2" in page.text
    assert all(0 <= x <= 420 and 0 <= y <= 300 for run in points(page) for x, y in run)


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(0, 1e9), st.integers(-8, 8))
def test_any_range_has_a_few_round_ticks(low: float, span: float, power: int) -> None:
    ends = [low * 10.0**power, (low + span) * 10.0**power]
    page = parsed(Section("s", parts=[Chart("c", "x", "y", [Curve("a", ends, ends)], x_range=None, y_range=None)]))
    assert 4 <= len(page.all("line", "grid")) <= 16


def test_a_long_curve_is_thinned_but_keeps_its_shape_and_its_ends() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(100_000) < 0.3
    recall, precision, _ = metrics.pr_curve(truth + rng.normal(0, 1, truth.size), truth)
    source = render("t", [Section("s", parts=[Chart("c", "recall", "precision", [Curve("a", recall, precision)])])])
    assert len(source) < 60_000
    (run,) = points(Page(source))
    ((left, _), (right, last)), (top, bottom) = (run[0], run[-1]), (10, 256)
    assert right - left == pytest.approx(420 - 16 - left, abs=0.2)
    assert last == pytest.approx(bottom - (bottom - top) * float(precision[-1]), abs=0.2)


def test_a_chart_names_its_curves_and_shows_what_stands_behind_their_points() -> None:
    table = metrics.calibration(np.array([0.1, 0.2, 0.9]), np.array([0, 1, 1]), 2)
    curves = [Curve("ours", table.mean_score, table.positive_share, table.n), Curve("theirs", [0.5], [0.5], 1234)]
    page = parsed(Section("s", parts=[Chart("Calibration", "mean score", "share of positives", curves, diagonal=True)]))
    assert len(page.all("circle", "mark")) == 2, "marks where n is known point by point"
    assert len(page.all("line", "diagonal")) == 1
    assert "ours n = 3" in page.text and "theirs n = 1,234" in page.text
    assert "0.1500" in page.text, "the numbers are in a table too"
    dashes = [attrs.get("stroke-dasharray") for attrs in page.all("polyline")]
    assert len(set(dashes)) == 2, "curves differ in more than their colour"


def test_bars_beyond_the_bound_stand_out() -> None:
    bars = Bars([Bar("wiki", 0.0002, 9000), Bar("forum", 0.003, 1500), Bar("law", 0.001, 2000), Bar("new", math.nan, 0)], 0.001)
    page = parsed(Section("s", parts=[bars]))
    assert [attrs["class"] for attrs in page.all("rect") if attrs["class"] != "track"] == ["bar", "bar beyond", "bar"]
    widths = [float(attrs["width"] or "") for attrs in page.all("rect", "bar")]
    assert widths[1] / widths[2] == pytest.approx(3, abs=0.02)
    assert all(text in page.text for text in ("0.02 % of 9,000", "0.3 % of 1,500", "bound 0.1 %", "– of 0"))


def test_a_confusion_shows_counts_and_shares_of_the_true_class() -> None:
    page = parsed(Section("s", parts=[Confusion(["clean", "toxic"], np.array([[990, 10], [25, 75]]))]))
    assert re.sub(r"\s+", " ", page.text).count("99.0 %") == 1
    assert "75.0 %" in page.text and "1,000" in page.text
    depths = [(attrs["style"] or "") for attrs in page.all("td") if "style" in attrs]
    assert depths == ["--depth:0.594", "--depth:0.006", "--depth:0.150", "--depth:0.450"]


def test_tables_print_numbers_for_readers() -> None:
    rows = [["a", 12345, 0.973123, None, True], ["b", np.int64(7), np.float64(1.0), math.nan, False], ["c", 0, 0.00001234, 12.345, np.bool_(True)]]
    page = parsed(Section("s", parts=[Table(["name", "n", "auc", "x", "passes"], rows)]))
    assert all(text in page.text for text in ("12,345", "0.9731", "1.23e-05", "12.3", "–", "yes", "no"))
    assert "nan" not in page.text and "None" not in page.text
    assert [attrs.get("class") for attrs in page.all("th")] == [None, "right", "right", "right", None]


EMPTY = {
    "no section": [],
    "an empty section": [Section("s")],
    "a chart without curves": [Section("s", parts=[Chart("c", "x", "y", [])])],
    "a curve without points": [Section("s", parts=[Chart("c", "x", "y", [Curve("a", [], [], [])])])],
    "a curve of NaN": [Section("s", parts=[Chart("c", "x", "y", [Curve("a", [math.nan], [1.0])])])],
    "a confusion without classes": [Section("s", parts=[Confusion([], [])])],
    "a confusion without rows": [Section("s", parts=[Confusion("ab", metrics.confusion(np.array([]), np.array([]), "ab"))])],
    "a table without rows": [Section("s", parts=[Table(["a"], [])])],
    "no bars": [Section("s", parts=[Bars([], 0.001)])],
    "no documents": [Section("s", parts=[Documents([])])],
    "a document without text": [Section("s", parts=[Documents([Document("k", "d", "en", 0.5, None, "")])])],
}


@pytest.mark.parametrize("sections", EMPTY.values(), ids=EMPTY.keys())
def test_where_there_is_nothing_the_page_says_so_once(sections: list[Section]) -> None:
    page = parsed(*sections)
    assert page.text.count(NOTHING) == 1
    assert not page.all("svg")


def test_a_full_page_does_not_say_so() -> None:
    assert NOTHING not in parsed(everything(lambda: "text", 0.5)[0]).text


def test_what_does_not_fit_together_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="Curve 'a'"):
        Curve("a", [1, 2], [1])
    with pytest.raises(ValueError, match="Curve 'a'"):
        Curve("a", [1, 2], [1, 2], [3])
    with pytest.raises(ValueError, match="2 classes"):
        Confusion("ab", [[1, 2]])
    with pytest.raises(ValueError, match="row 1 has 1 cells"):
        Table(["a", "b"], [[1, 2], [1]])


def test_the_same_page_is_the_same_bytes_and_no_half_file_stays(tmp_path: Path) -> None:
    one, other = tmp_path / "new" / "folder" / "page.html", tmp_path / "other.html"
    for path in (one, one, other):
        write_page(path, "Größe 大小", everything(lambda: "文", 0.5))
    assert one.read_bytes() == other.read_bytes() == render("Größe 大小", everything(lambda: "文", 0.5)).encode()
    assert [p.name for p in one.parent.iterdir()] == ["page.html"]


def test_paragraphs_follow_empty_lines() -> None:
    page = parsed(Section("s", "one\ntwo\n\n\nthree\n"))
    assert len(page.all("p")) == 2
    assert "one\ntwo" in page.text


def test_light_dark_and_phone() -> None:
    source = render("t", [])
    assert "color-scheme: light dark" in source and "@media (prefers-color-scheme: dark)" in source
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in Page(source).all("meta")
    used = set(re.findall(r"var\((--[a-z0-9]+)\)", source)) - {"--depth"}
    light, dark = (set(re.findall(r"(--[a-z0-9]+):", block)) for block in re.findall(r":root \{(.*?)\}", source, re.S))
    assert used <= light
    assert light == dark, "every colour has its dark one"
