"""An ablation for people: a table in Markdown, and its differences as a picture. The same numbers give the same bytes."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from pipeline.train.verdicts import Difference, bits

if TYPE_CHECKING:
    from pipeline.train.ablate import Ablation

_WIDTH, _ROW, _INK, _LINE = 760, 17, "#7a7f88", "#9aa0aa"  # grey that reads on white and on black, as in the data card's pictures
_COLOURS = ("#3b82c4", "#d9603b", "#4c9f70", "#8e6bbf")  # a learning rate's


def table(found: "Ablation") -> str:
    """What each arm is and cost, bits per byte with standard errors over seeds, differences, verdicts and notes. Markdown."""
    rates = list(next(iter(found.comparisons.values()), {})) or sorted({t.learning_rate for t in found.trials})
    domains = [d.name for d in found.trials[0].evaluation.domains]
    base = found.arms[found.baseline]
    lines = [f"# Ablation {found.name}", "", *(f"- {note}" for note in found.notes), ""]
    kinds = list(base.shares)
    cost = [
        [
            name,
            f"{sum(arm.available.values()):,}",
            f"{sum(arm.available.values()) / max(1, sum(base.available.values())):.1%}",
            f"{sum(arm.documents.values()):,}",
            f"{arm.total:,}",
            *(f"{arm.shares.get(kind, 0.0):.1%}" for kind in kinds),
            f"{sum(t.about.get('seconds', 0.0) for t in found.trials if t.arm == name):,.0f}",
        ]
        for name, arm in found.arms.items()
    ]
    lines += _markdown(["arm", "passed the stages", f"of {found.baseline}", "documents", "tokens", *kinds, "seconds of training"], cost)
    for rate in rates:
        lines += ["", f"## Learning rate {rate:g}", "", "Bits per byte, ± standard error over seeds", ""]
        rows = []
        for name in found.arms:
            values = np.array([[bits(t.evaluation)[domain] for domain in domains] for t in found.of(name, rate)])
            errors = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
            rows.append([name, *(f"{m:.4f}" + (f" ± {errors[i]:.4f}" if errors is not None else "") for i, m in enumerate(values.mean(axis=0)))])
        lines += _markdown(["arm", *domains], rows)
        groups = list(next((c[rate].groups for c in found.comparisons.values()), {}))
        lines += ["", "Differences, ± standard error; **bold** beyond two of them", ""]
        rows = []
        for name, by_rate in found.comparisons.items():
            c = by_rate[rate]
            rows.append([name, found.against[name], *map(_difference, c.domains.values()), *map(_difference, c.groups.values()), c.verdict])
        lines += _markdown(["arm", "against", *domains, *(f"mean of {group}" for group in groups), "verdict"], rows)
    lines += [
        "",
        "## Verdicts",
        "",
        "Better: by over 2 standard errors in two domains or more, and worse by over 1 in none; mixed: some better, some worse; at every learning rate.",
        "",
    ]
    lines += _markdown(["arm", "against", "verdict"], [[name, found.against[name], verdict] for name, verdict in found.verdicts.items()])
    return "\n".join([*lines, ""])


def _difference(d: Difference) -> str:
    shown = f"{d.value:+.4f} ± {d.error:.4f}"
    return f"**{shown}**" if d.is_better or d.is_worse else shown


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    right = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, right, *rows)]


def plot(found: "Ablation") -> str:
    """Differences from what each arm is compared with: a block a domain, a row an arm, a dot a learning rate with a bar of ±2 standard errors. SVG."""
    rates = list(next(iter(found.comparisons.values()), {}))
    rows: list[tuple[str, dict[float, Difference] | None]] = []
    for domain in [d.name for d in found.trials[0].evaluation.domains]:
        rows.append((domain, None))
        rows += [(f"{name} − {found.against[name]}", {rate: c.domains[domain] for rate, c in by_rate.items()}) for name, by_rate in found.comparisons.items()]
    most = max((abs(d.value) + 2 * d.error for _, ds in rows if ds for d in ds.values()), default=0.0) or 1.0
    left = 24 + max((len(name) for name, _ in rows), default=0) * 7.0
    middle, scale = (left + _WIDTH - 20) / 2, (_WIDTH - 20 - left) / 2 / (most * 1.05)
    out = [_words(8, 20, f"{found.name}: differences in bits per byte, ±2 standard errors; left is better", size=14)]
    out += [f'<circle cx="{12 + 130 * i}" cy="37" r="4" fill="{_colour(i)}"/>' + _words(20 + 130 * i, 41, f"rate {rate:g}") for i, rate in enumerate(rates)]
    y = 52
    for name, differences in rows:
        if differences is None:
            y += 6
            out.append(_words(8, y + 12, name, weight="600"))
        else:
            out.append(_words(left - 8, y + 12, name, anchor="end"))
            for i, d in enumerate(differences.values()):
                at, x, reach = y + _ROW * (i + 1) / (len(differences) + 1), middle + d.value * scale, 2 * d.error * scale
                out.append(f'<path d="M{_n(x - reach)} {_n(at)}H{_n(x + reach)}" stroke="{_colour(i)}" stroke-width="1.5"/>')
                out.append(f'<circle cx="{_n(x)}" cy="{_n(at)}" r="3" fill="{_colour(i)}"/>')
        y += _ROW
    out.append(f'<path d="M{_n(middle)} 52V{y}" stroke="{_LINE}"/>')
    for value in (-most, -most / 2, most / 2, most):
        out.append(
            f'<path d="M{_n(middle + value * scale)} {y}v4" stroke="{_LINE}"/>' + _words(middle + value * scale, y + 17, f"{value:+.3g}", anchor="middle")
        )
    size = f'viewBox="0 0 {_WIDTH} {y + 26}" width="{_WIDTH}" height="{y + 26}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="system-ui,sans-serif" font-size="12">'
    return "\n".join([head, f"<title>{escape(found.name)}: differences in bits per byte</title>", *out, "</svg>", ""])


def _words(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, weight: str = "400") -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" fill="{_INK}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">{escape(words)}</text>'


def _colour(i: int) -> str:
    return _COLOURS[i % len(_COLOURS)]


def _n(number: float) -> str:
    """A coordinate with at most one decimal, the same on every machine."""
    return f"{number:.1f}".removesuffix(".0")
