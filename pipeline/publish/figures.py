"""The card's pictures: SVG by hand, the same bytes for the same numbers. No script, no font, no background: grey letters read on white and on black.

Labels are in English and Chinese at once, so that both cards show the same pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from unicodedata import east_asian_width

WIDTH = 760
_INK = "#7a7f88"  # as far from white as from black: contrast 4 and more on both
_LINE = "#9aa0aa"
COLOURS = {"en": "#3b82c4", "zh": "#d9603b", "code": "#4c9f70"}
_OTHERS = ("#8e6bbf", "#c29a2e", "#5aa5a8", "#b0647f")
_FONT = "system-ui,-apple-system,'Segoe UI','PingFang SC','Noto Sans CJK SC','Microsoft YaHei',sans-serif"
_ROW = 22


@dataclass(frozen=True)
class Bar:
    """One row: its name, its parts as (slice, value), and what stands behind it. `mark`: a value shown as a line across."""

    name: str
    parts: tuple[tuple[str, float], ...]
    note: str = ""
    mark: float | None = None


def colour(name: str, names: Sequence[str]) -> str:
    """A slice's colour: English, Chinese and code have their own, the others by their order."""
    others = [n for n in names if n not in COLOURS]
    return COLOURS.get(name) or _OTHERS[others.index(name) % len(_OTHERS)]


def width_of(text: str, size: int = 12) -> float:
    """About how wide a text is: the font is the reader's."""
    return sum(1.0 if east_asian_width(c) in "WF" else 0.62 for c in text) * size


def bars(title: tuple[str, str], rows: Sequence[Bar], slices: Sequence[str], *, limit: float | None = None) -> str:
    """Horizontal stacked bars, one row each, from 0 to `limit` or the largest."""
    left = max((width_of(_short(row.name)) for row in rows), default=0) + 14
    right = max((width_of(row.note) for row in rows), default=0) + 12
    most = limit or max((sum(v for _, v in row.parts) for row in rows), default=0) or 1
    scale = (WIDTH - left - right) / most
    out, y = [], _top(slices)
    for row in rows:
        x = left
        out.append(_text(left - 8, y + 14, _short(row.name), anchor="end"))
        for name, value in row.parts:
            if value > 0:
                out.append(f'<rect x="{_n(x)}" y="{y + 3}" width="{_n(max(value * scale, 0.5))}" height="{_ROW - 7}" fill="{colour(name, slices)}"/>')
                x += value * scale
        if row.mark is not None:
            at = _n(left + row.mark * scale)
            out.append(f'<path d="M{at} {y}V{y + _ROW - 1}" stroke="{_INK}" stroke-width="2.5"/>')
            x = max(x, left + row.mark * scale)
        out.append(_text(x + 6, y + 14, row.note))
        y += _ROW
    out.append(f'<path d="M{_n(left)} {_top(slices)}V{y}" stroke="{_LINE}"/>')
    return _svg(title, slices, out, y + 8)


def histograms(title: tuple[str, str], counts: Mapping[str, Sequence[int]], ticks: Sequence[tuple[int, str]], axis: str) -> str:
    """One small histogram a slice, side by side: the same bins, each to its own height. `ticks`: (edge, label)."""
    names = list(counts)
    gap, base, high = 30, _top(names) + 132, 112
    each = (WIDTH - gap * (len(names) + 1)) / max(len(names), 1)
    out = []
    for i, name in enumerate(names):
        values, x0 = counts[name], gap + i * (each + gap)
        step, most = each / max(len(values), 1), max(values, default=0) or 1
        for k, value in enumerate(values):
            if value:
                h = max(value / most * high, 1)
                out.append(f'<rect x="{_n(x0 + k * step)}" y="{_n(base - h)}" width="{_n(max(step - 1, 0.5))}" height="{_n(h)}" fill="{colour(name, names)}"/>')
        out.append(f'<path d="M{_n(x0)} {base}h{_n(each)}" stroke="{_LINE}"/>')
        for edge, label in ticks:
            at = x0 + edge * step
            out.append(f'<path d="M{_n(at)} {base}v4" stroke="{_LINE}"/>' + _text(at, base + 17, label, anchor="middle", size=11))
        out.append(_text(x0 + each, base - high - 8, f"n = {sum(values):,}", anchor="end", size=11))
    out.append(_text(WIDTH / 2, base + 36, axis, anchor="middle", size=11))
    return _svg(title, names, out, base + 46)


def _top(slices: Sequence[str]) -> int:
    return 58 if slices else 36


def _svg(title: tuple[str, str], slices: Sequence[str], body: Sequence[str], height: float) -> str:
    words = " · ".join(title)
    head = [_text(8, 20, words, size=14, weight="600")]
    x = 8.0
    for name in slices:
        head.append(f'<rect x="{_n(x)}" y="33" width="11" height="11" rx="2" fill="{colour(name, slices)}"/>' + _text(x + 16, 43, _short(name)))
        x += 16 + width_of(_short(name)) + 18
    size = f'viewBox="0 0 {WIDTH} {_n(height)}" width="{WIDTH}" height="{_n(height)}"'
    about = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_FONT}" font-size="12">'
    return "\n".join([about, f"<title>{_escaped(words)}</title>", *head, *body, "</svg>", ""])


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, weight: str = "") -> str:
    if not words:
        return ""
    more = (
        (f' text-anchor="{anchor}"' if anchor != "start" else "")
        + (f' font-size="{size}"' if size != 12 else "")
        + (f' font-weight="{weight}"' if weight else "")
    )
    return f'<text x="{_n(x)}" y="{_n(y)}" fill="{_INK}"{more}>{_escaped(words)}</text>'


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"


def _escaped(words: str) -> str:
    """Text that cannot end its element, without what XML forbids."""
    return escape("".join(c if c.isprintable() else " " for c in words))


def _n(number: float) -> str:
    """A coordinate with at most one decimal, the same on every machine."""
    return f"{number:.1f}".removesuffix(".0")
