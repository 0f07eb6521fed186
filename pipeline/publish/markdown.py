"""Markdown that says what was meant: tables, numbers, and foreign strings that cannot become markup.

What comes from pages, licences or recipes goes through `code` (names, reasons) or `plain` (prose), never into a card as it is.
"""

import re
from collections.abc import Iterable, Sequence

_LONGEST = 120


def code(text: str | None, longest: int = _LONGEST) -> str:
    """A foreign string as a code span on one line: no HTML, no link, no table cell of its own. A dash where there is none."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())
    if not words:
        return "–"
    words = words if len(words) <= longest else words[: longest - 1] + "…"
    return f"`{words.replace('`', 'ˋ').replace('|', '¦')}`"


def plain(text: str, longest: int = 2000) -> str:
    """Foreign prose on one line: every sign that Markdown or HTML reads is an entity, also those that begin a list, and those that make a link."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:longest]
    begins = re.match(r"(?:[-+=]|\d+[.)])", words)
    at = begins.end() - 1 if begins else -1
    return "".join(f"&#{ord(c)};" if c in "&<>\\`*_[]#|~$@" or i == at or words.startswith("://", i) else c for i, c in enumerate(words))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1) -> list[str]:
    """A table; columns from `numbers_from` on stand to the right. Nothing where there are no rows."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    if not body:
        return []
    rule = ["---" if i < numbers_from else "---:" for i in range(len(header))]
    return [f"| {' | '.join(header)} |", f"| {' | '.join(rule)} |", *body, ""]


def count(number: int) -> str:
    """12,345"""
    return f"{number:,}"


def share(part: float, whole: float = 1) -> str:
    """12.34%, and a dash of nothing."""
    return f"{part / whole:.2%}" if whole else "–"


def size(number: int) -> str:
    """Bytes in decimal units: 12.3 MB."""
    value, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if value < 999.5 or unit == "PB":
            break
        value /= 1000
    return f"{value:.0f} B" if unit == "B" else f"{value:.3g} {unit}"
