"""One HTML page that reviews a classifier: curves, confusions, tables, bars and the documents it got most wrong. It measures nothing.

The page is one file that loads nothing: inline style, inline SVG drawn here, no script, and a policy that forbids the browser the rest. It
follows the reader's light or dark scheme and fits a phone. Everything that comes from outside is escaped; control characters become visible
signs. The same input gives the same bytes. A page costs milliseconds; a curve of 10^6 points some seconds, and yet few kilobytes: points that
would fall on each other are left out of the drawing.
"""

import html
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NOTHING = "nothing to show"
EXCERPT_CHARACTERS = 400


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of a chart. A point whose x or y is NaN or infinite is a gap. ValueError for unequal lengths.

    `n` is how many documents stand behind each point (as many as points: they get marks, and the chart a table), or behind the whole curve
    (one number: it stands in the legend).
    """

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    n: Sequence[int] | np.ndarray | int | None = None

    def __post_init__(self) -> None:
        lengths = [len(self.x), len(self.y), *([] if self.counts is None else [len(self.counts)])]
        if len(set(lengths)) > 1:
            raise ValueError(f"Curve '{self.name}': x, y and n have the lengths {lengths}; each point needs all of them.")

    @property
    def counts(self) -> list[int] | None:
        """Documents behind each point, where that is known."""
        return None if self.n is None or isinstance(self.n, int | np.integer) else [int(n) for n in self.n]


@dataclass(frozen=True, eq=False)
class Chart:
    """Curves on common axes. A range is what the axis shows at the least; points outside widen it; None is as wide as the points.

    `diagonal` draws y = x, on which a calibrated classifier lies.
    """

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    x_range: tuple[float, float] | None = (0.0, 1.0)
    y_range: tuple[float, float] | None = (0.0, 1.0)
    diagonal: bool = False


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts by true class (rows) and predicted class (columns), as `metrics.confusion` gives them. ValueError where it is not square."""

    classes: Sequence[Any]
    matrix: np.ndarray | Sequence[Sequence[int]]
    title: str = "Confusion"

    def __post_init__(self) -> None:
        if [len(row) for row in self.matrix] != [len(self.classes)] * len(self.classes):
            raise ValueError(f"Confusion '{self.title}': {len(self.classes)} classes need as many rows and columns.")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of texts and numbers; numbers stand right, None and NaN are a dash. ValueError for a row of another length than the headers."""

    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.headers):
                raise ValueError(f"Table '{self.title}': row {number} has {len(row)} cells, there are {len(self.headers)} headers.")


@dataclass(frozen=True)
class Bar:
    """A share (0.001 is shown as 0.1 %) and how many documents it is a share of."""

    name: str
    value: float
    n: int


@dataclass(frozen=True, eq=False)
class Bars:
    """Shares by domain, false positives say, and the bound that none of them should pass: bars beyond it stand out."""

    bars: Sequence[Bar]
    bound: float | None = None
    title: str = "False positives by domain"


@dataclass(frozen=True)
class Document:
    """A document to look at; of its text the page shows the first 400 characters."""

    key: str
    domain: str
    lang: str
    score: float
    truth: Any
    text: str


@dataclass(frozen=True, eq=False)
class Documents:
    """Documents, in the order given, each folded until the reader opens it."""

    documents: Sequence[Document]
    title: str = "The worst documents"


Part = Chart | Confusion | Table | Bars | Documents


@dataclass(frozen=True, eq=False)
class Section:
    """A heading, what to say under it (an empty line begins a paragraph), and what to show."""

    title: str
    text: str = ""
    parts: Sequence[Part] = ()


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Writes the page, whole or not at all; makes its folder. Without sections the page says that there is nothing to show."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(render(title, sections).encode())
    os.replace(part, path)


def render(title: str, sections: Sequence[Section]) -> str:
    """The page as a text."""
    links = "".join(f'<a href="#section-{i}">{_text(s.title)}</a>' for i, s in enumerate(sections, 1))
    nav = f"<nav>{links}</nav>\n" if len(sections) > 1 else ""
    body = "".join(_section(i, s) for i, s in enumerate(sections, 1))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n"
        f"{nav}{body or _nothing()}</body>\n</html>\n"
    )


def _section(number: int, section: Section) -> str:
    paragraphs = "".join(f"<p>{_text(p.strip())}</p>\n" for p in re.split(r"\n\s*\n", section.text) if p.strip())
    parts = "".join(_part(part) for part in section.parts)
    grid = f'<div class="parts">\n{parts}</div>\n' if parts else ""
    return f'<section id="section-{number}">\n<h2>{_text(section.title)}</h2>\n{paragraphs + grid or _nothing()}</section>\n'


def _part(part: Part) -> str:
    """A part under its title; wide ones take a row of their own, the others stand beside each other where there is room."""
    wide = False
    match part:
        case Chart():
            body = _chart(part)
        case Confusion():
            body = _confusion(part)
        case Bars():
            body = _bars(part)
        case Table():
            body, wide = _table(part.headers, part.rows), len(part.headers) > 4
        case Documents():
            body, wide = _documents(part), True
    heading = f"<h3>{_text(part.title)}</h3>\n" if part.title else ""
    return f'<div class="part{" wide" if wide else ""}">\n{heading}{body}</div>\n'


# --- Charts. A picture is 420 units wide on every screen, so that its letters stay readable on a phone. ---

WIDTH, HEIGHT = 420.0, 300.0
RIGHT, TOP, BOTTOM = 16.0, 10.0, 44.0  # the left edge leaves room for the longest label
COLOURS = 6  # then they begin again, with another dash
DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class _Axis:
    """A range of numbers laid on a range of the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """(place, label) at about five round numbers: 1, 2 or 5 times a power of ten apart."""
        rough = (self.high - self.low) / 5
        power = math.floor(math.log10(rough))
        step = next(m for m in (1, 2, 5, 10) if m * 10.0**power >= rough * 0.999) * 10.0**power
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        plain = digits <= 6 and max(abs(self.low), abs(self.high)) < 1e6
        return [(self(i * step), f"{i * step:,.{digits}f}" if plain else f"{i * step:.4g}") for i in range(first, last + 1)]


def _axis(values: list[float], at_least: tuple[float, float] | None, start: float, end: float) -> _Axis:
    low, high = min([*values, *(at_least or ())]), max([*values, *(at_least or ())])
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):  # one value: give it room
        room = max(abs(low), abs(high)) / 2 or 0.5
        low, high = low - room, high + room
    return _Axis(low, high, start, end)


def _drawable(value: float) -> bool:
    return math.isfinite(value) and abs(value) < 1e100


def _points(curve: Curve) -> list[tuple[float, float] | None]:
    """The curve's points, None where one cannot be drawn."""
    pairs = zip(map(float, curve.x), map(float, curve.y), strict=True)
    return [(x, y) if _drawable(x) and _drawable(y) else None for x, y in pairs]


def _chart(chart: Chart) -> str:
    curves = [(curve, _points(curve)) for curve in chart.curves]
    drawn = [point for _, points in curves for point in points if point]
    if not drawn:
        return _nothing()
    up = _axis([y for _, y in drawn], chart.y_range, HEIGHT - BOTTOM, TOP)
    across = _axis([x for x, _ in drawn], chart.x_range, 26 + 7.0 * max(len(label) for _, label in up.ticks()), WIDTH - RIGHT)
    out = [_frame(across, up, chart.x_label, chart.y_label)]
    if chart.diagonal:
        low, high = max(across.low, up.low), min(across.high, up.high)
        if low < high:
            out.append(_line(across(low), up(low), across(high), up(high), "diagonal"))
    most = max((n for curve, _ in curves for n in curve.counts or ()), default=0)
    for index, (curve, points) in enumerate(curves):
        out += [f'<polyline class="curve c{index % COLOURS}"{_dash(index)} points="{run}"/>\n' for run in _runs(points, across, up)]
        for point, n in zip(points, curve.counts or (), strict=False):
            if point:
                radius = 2.5 + 3.5 * math.sqrt(max(n, 0) / most) if most > 0 else 2.5
                said = f"{curve.name}: {chart.x_label} {_number(point[0])}, {chart.y_label} {_number(point[1])}, {_number(n)} documents"
                out.append(
                    f'<circle class="mark c{index % COLOURS}" cx="{across(point[0]):.1f}" cy="{up(point[1]):.1f}" r="{radius:.1f}">'
                    f"<title>{_text(said)}</title></circle>\n"
                )
    return _svg(HEIGHT, chart.title or chart.y_label, "".join(out)) + _legend(chart.curves) + _numbers(chart)


def _frame(across: _Axis, up: _Axis, x_label: str, y_label: str) -> str:
    """Grid, ticks and the names of the axes."""
    out = []
    for place, label in across.ticks():
        out.append(_line(place, up.start, place, up.end, "grid") + _label(place, up.start + 15, label, "middle"))
    for place, label in up.ticks():
        out.append(_line(across.start, place, across.end, place, "grid") + _label(across.start - 6, place + 4, label, "end"))
    middle = (up.start + up.end) / 2
    out.append(_line(across.start, up.start, across.end, up.start, "axis") + _line(across.start, up.start, across.start, up.end, "axis"))
    out.append(_label((across.start + across.end) / 2, HEIGHT - 8, x_label, "middle", "name"))
    out.append(f'<text class="name" text-anchor="middle" transform="translate(12 {middle:.1f}) rotate(-90)">{_text(y_label)}</text>\n')
    return "".join(out)


def _runs(points: list[tuple[float, float] | None], across: _Axis, up: _Axis) -> list[str]:
    """The unbroken runs of a curve as SVG points; of points within half a unit of the last one drawn, only a run's last is kept."""
    runs: list[list[tuple[float, float]]] = [[]]
    skipped: tuple[float, float] | None = None
    for point in [*points, None]:
        if point is None:
            if skipped:
                runs[-1].append(skipped)
            runs.append([])
            skipped = None
            continue
        here = across(point[0]), up(point[1])
        if runs[-1] and max(abs(here[0] - runs[-1][-1][0]), abs(here[1] - runs[-1][-1][1])) < 0.5:
            skipped = here
        else:
            runs[-1].append(here)
            skipped = None
    # A run of one point is drawn as a dot: a line of no length with round ends.
    return [" ".join(f"{x:.1f},{y:.1f}" for x, y in (run if len(run) > 1 else run * 2)) for run in runs if run]


def _legend(curves: Sequence[Curve]) -> str:
    out = []
    for index, curve in enumerate(curves):
        n = sum(curve.counts) if curve.counts is not None else curve.n
        swatch = f'<line class="curve c{index % COLOURS}"{_dash(index)} x1="1" y1="5" x2="27" y2="5"/>'
        count = "" if n is None else f' <span class="soft count">n = {_number(n)}</span>'
        out.append(f'<li><svg class="swatch" viewBox="0 0 28 10" aria-hidden="true">{swatch}</svg> {_text(curve.name)}{count}</li>')
    return f'<ul class="legend">{"".join(out)}</ul>\n'


def _numbers(chart: Chart) -> str:
    """The points that have marks, as tables under a fold: a phone shows no tooltips."""
    out = []
    for curve in chart.curves:
        if curve.counts is not None:
            rows = list(zip(map(float, curve.x), map(float, curve.y), curve.counts, strict=True))
            out.append(f"<p>{_text(curve.name)}</p>\n{_table([chart.x_label, chart.y_label, 'n'], rows)}")
    return f"<details><summary>the numbers</summary>\n{''.join(out)}</details>\n" if out else ""


def _bars(part: Bars) -> str:
    """A bar a line, its name and number above it; the axis begins at 0."""
    if not part.bars:
        return _nothing()
    bound = part.bound if part.bound is not None and _drawable(part.bound) and part.bound > 0 else None
    values = [bar.value if _drawable(bar.value) and bar.value > 0 else 0.0 for bar in part.bars]
    top = 1.08 * max([*values, bound or 0.0]) or 1.0
    across = _Axis(0.0, top, 1.0, WIDTH - 1.0)
    head, line = (18.0 if bound is not None else 4.0), 32.0
    height = head + line * len(part.bars)
    out = []
    for index, (bar, value) in enumerate(zip(part.bars, values, strict=True)):
        y = head + line * index
        beyond = part.bound is not None and bar.value > part.bound
        name = bar.name if _columns(bar.name) <= 30 else _shorten(bar.name, 29) + "…"
        out.append(_label(1, y + 12, name, "start", "name"))
        out.append(_label(WIDTH - 1, y + 12, f"{_percent(bar.value)} of {_number(bar.n)}", "end", "over" if beyond else ""))
        out.append(f'<rect class="track" x="1" y="{y + 17:.1f}" width="{WIDTH - 2:.1f}" height="8" rx="2"/>\n')
        if value > 0:
            width = max(across(value) - 1, 1.0)
            out.append(
                f'<rect class="{"bar beyond" if beyond else "bar"}" x="1" y="{y + 17:.1f}" width="{width:.1f}" height="8" rx="2">'
                f"<title>{_text(bar.name)}: {_percent(bar.value)} of {_number(bar.n)}</title></rect>\n"
            )
    if bound is not None:
        place = across(bound)
        out += [_line(place, head + line * i + 15, place, head + line * i + 27, "bound") for i in range(len(part.bars))]
        anchor = "end" if place > WIDTH * 0.7 else "start" if place < WIDTH * 0.3 else "middle"
        out.append(_label(place, 12, f"bound {_percent(bound)}", anchor))
    return _svg(height, part.title or "bars", "".join(out))


def _svg(height: float, name: str, body: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{_text(name)}">\n{body}</svg>\n'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>\n'


def _label(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text{of_kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_text(text)}</text>\n'


def _dash(index: int) -> str:
    dash = DASHES[index % len(DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


# --- Tables and documents ---


def _table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows or not headers:
        return _nothing()
    columns = [[row[i] for row in rows] for i in range(len(headers))]
    cells = [[_cell(value) for value in column] for column in columns]
    right = [' class="right"' if all(_is_number(v) or v is None for v in column) else "" for column in columns]
    # A column is as wide as its longest cell, up to 18 letters: without that a phone breaks every word.
    room = [min(18, max(map(_columns, column))) for column in cells]
    head = "".join(f'<th{side} style="min-width:{w}ch">{_text(h)}</th>' for h, side, w in zip(headers, right, room, strict=True))
    lines = "".join("<tr>" + "".join(f"<td{side}>{cell}</td>" for side, cell in zip(right, row, strict=True)) + "</tr>\n" for row in zip(*cells, strict=True))
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{lines}</table></div>\n'


def _confusion(part: Confusion) -> str:
    """Counts, and under each its share of the true class; the deeper the shade the larger the share."""
    matrix = np.asarray(part.matrix, dtype=np.float64)
    if not matrix.size or not np.nan_to_num(matrix).any():
        return _nothing()
    head = "".join(f'<th class="right">{_text(c)}</th>' for c in part.classes)
    out = [f'<tr><th class="soft">true ↓ predicted →</th>{head}<th class="right soft">n</th></tr>\n']
    for index, (name, row) in enumerate(zip(part.classes, matrix, strict=True)):
        total = float(np.nansum(row))
        cells = []
        for place, count in enumerate(row):
            share = float(count) / total if total else math.nan
            depth = 0.6 * share if 0 <= share <= 1 else 0.0
            kind = "hit" if place == index else "miss"
            small = "–" if math.isnan(share) else f"{100 * share:.1f} %"
            cells.append(f'<td class="right {kind}" style="--depth:{depth:.3f}">{_number(float(count))}<small>{small}</small></td>')
        out.append(f'<tr><th>{_text(name)}</th>{"".join(cells)}<td class="right soft">{_number(total)}</td></tr>\n')
    return f'<div class="scroll"><table class="confusion">\n{"".join(out)}</table></div>\n'


def _documents(part: Documents) -> str:
    if not part.documents:
        return _nothing()
    out = ['<p class="soft">offensive text: folded by default</p>\n']
    for document in part.documents:
        cut = document.text[:EXCERPT_CHARACTERS]
        left = len(document.text) - len(cut)
        more = f'<p class="soft">… ({_number(left)} more characters)</p>' if left else ""
        out.append(
            f'<details class="document"><summary><span class="score">{_cell(document.score)}</span> '
            f"<bdi>{_text(document.domain)}</bdi> <bdi>{_text(document.lang)}</bdi> "
            f'<span class="soft">truth:</span> <bdi>{_cell(document.truth)}</bdi> <bdi class="key">{_text(document.key)}</bdi></summary>\n'
            f'<div class="excerpt" dir="auto">{_text(cut) if cut else _nothing().strip()}</div>{more}</details>\n'
        )
    return "".join(out)


def _nothing() -> str:
    return f'<p class="nothing">{NOTHING}</p>\n'


# --- Texts and numbers ---

# What HTML forbids or a reader cannot see: C0 (but tab and line feed), DEL, C1, lone surrogates, bidi controls, noncharacters
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")


def _text(value: Any) -> str:
    """Any text as HTML, in an element or a quoted attribute; what cannot be seen becomes a visible sign."""
    return html.escape(_UNSEEN.sub(_visible, str(value)), quote=True)


def _visible(found: re.Match[str]) -> str:
    """NUL becomes ⟨U+0000⟩: letters, as few fonts have the signs that Unicode keeps for this."""
    return f"⟨U+{ord(found.group()):04X}⟩"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    """A number, a dash for None, yes or no, or a text."""
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return _number(value) if _is_number(value) else _text(value)


def _number(value: Any) -> str:
    """1,234 and 0.9731; four decimals below ten, so that a column of shares lines up; a dash for NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, int) or (math.isfinite(value) and float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    return f"{value:.3g}" if size < 1e-3 or size >= 1e9 else f"{value:.4f}" if size < 10 else f"{value:,.1f}"


def _percent(share: float) -> str:
    """0.0012 -> '0.12 %'."""
    return f"{100 * share:.3g} %" if math.isfinite(share) else "–"


def _columns(text: str) -> int:
    """How wide a text is, in Latin letters; a Han character takes two."""
    return sum(2 if ord(c) >= 0x1100 else 1 for c in text)


def _shorten(text: str, columns: int) -> str:
    while _columns(text) > columns:
        text = text[:-1]
    return text


_STYLE = """\
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --soft: #5d6772; --rule: #d9dee3; --panel: #f5f7f9; --bad: #b3261e;
  --hit: 0, 114, 178; --miss: 213, 94, 0;
  --c0: #0072b2; --c1: #c04f00; --c2: #008563; --c3: #a8508c; --c4: #8a6a00; --c5: #3b4a59; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e4e8ec; --soft: #98a3ae; --rule: #333a41; --panel: #1d2125; --bad: #ff8a80;
    --hit: 70, 160, 230; --miss: 240, 130, 50;
    --c0: #58b4f0; --c1: #f2914a; --c2: #3cc79f; --c3: #e293c6; --c4: #dcbc45; --c5: #b8c4d0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
h1, h2, h3, p, summary, td, li { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 0 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; white-space: pre-line; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; }
a { color: var(--c0); }
.parts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.6rem 2.2rem; margin-top: 1rem; }
.part { min-width: 0; }
.wide { grid-column: 1 / -1; }
.soft, .nothing { color: var(--soft); font-weight: normal; }
.nothing { font-style: italic; }
svg { display: block; width: 100%; max-width: 36rem; height: auto; overflow: visible; }
svg text { font-size: 11.5px; fill: var(--soft); }
svg text.name { font-size: 12.5px; fill: var(--ink); }
svg text.over { fill: var(--bad); }
.grid { stroke: var(--rule); stroke-width: .7; }
.axis { stroke: var(--soft); stroke-width: 1; }
.diagonal { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.mark { stroke: var(--paper); stroke-width: 1; }
.track { fill: var(--panel); }
.bar { fill: var(--c0); }
.beyond { fill: var(--bad); }
.bound { stroke: var(--ink); stroke-width: 1.4; }
.curve.c0 { stroke: var(--c0); } .curve.c1 { stroke: var(--c1); } .curve.c2 { stroke: var(--c2); }
.curve.c3 { stroke: var(--c3); } .curve.c4 { stroke: var(--c4); } .curve.c5 { stroke: var(--c5); }
.mark.c0 { fill: var(--c0); } .mark.c1 { fill: var(--c1); } .mark.c2 { fill: var(--c2); }
.mark.c3 { fill: var(--c3); } .mark.c4 { fill: var(--c4); } .mark.c5 { fill: var(--c5); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; padding: 0; margin: .3rem 0 .5rem; font-size: .875rem; }
.count { white-space: nowrap; }
.swatch { display: inline-block; width: 28px; height: 10px; vertical-align: middle; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; box-sizing: content-box; }
.right { text-align: right; white-space: nowrap; }
.confusion small { display: block; color: var(--soft); }
.hit { background: rgba(var(--hit), var(--depth)); }
.miss { background: rgba(var(--miss), var(--depth)); }
.hit small, .miss small { color: inherit; opacity: .8; }
summary { cursor: pointer; padding: .35rem 0; font-size: .875rem; }
.document { border-bottom: 1px solid var(--rule); }
.score { display: inline-block; min-width: 3.6rem; font-weight: 600; font-variant-numeric: tabular-nums; }
bdi { display: inline-block; max-width: 100%; background: var(--panel); border-radius: .3rem; padding: 0 .4rem; }
.key { color: var(--soft); font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .8rem; background: none; }
.excerpt { white-space: pre-wrap; overflow-wrap: anywhere; overflow: hidden; background: var(--panel); border-left: 3px solid var(--rule);
  padding: .6rem .8rem; margin: .2rem 0 .6rem; font-size: .9rem; }
"""
