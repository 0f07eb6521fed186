"""From a page's HTML to its text: resiliparse with the settings that score best on gold pages (`benchmarks/extract.py` prints the F1).

Not a second opinion on charsets (`charset.py`) nor a cleaner of text (`normalize.py`). Guarded by bytes and depth, never by seconds: resiliparse
2.0.1 does not crash on deep nesting (a million open elements: tested), but its main-content rules take time that grows with the square of
nested div and article elements (100,000: over a minute), so that a page that nests deeper is extracted without those rules.

Its main-content rules find almost nothing on one page in ten (a listing, a thread, a page of unusual make). There, all visible text but navigation is
taken: F1 on 1,716 gold pages rises from 0.80 to 0.84. Comments and the lines about author and date are left out; with them it is 0.836.
"""

import re
from importlib.metadata import version
from typing import Any

import pyarrow as pa
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from pipeline.rewrite import charset

VERSION = 1
ENGINES = {"resiliparse": version("resiliparse")}

MAX_HTML_CHARACTERS = 4_000_000  # what follows is not looked at: four times what Common Crawl keeps of a page
MAX_TAGS = 300_000  # likewise: some hostile pages cost lexbor 50 µs and 1 kB a tag
MAX_DEPTH = 512  # of div or article; Blink nests no deeper either
_SETTINGS: dict[str, Any] = {
    "preserve_formatting": True, "list_bullets": True, "alt_texts": False, "links": False, "form_fields": False, "noscript": False, "comments": False, "post_meta": False,
}  # fmt: skip
_NAVIGATION = ["nav", "footer", "aside", "header", "form", "[role=navigation]", "[role=banner]", "[role=contentinfo]"]
_SHORT_BYTES = 800  # a main text below it is doubted; bytes, since 300 Han characters are an article
_SHARE_OF_WHOLE = 0.3  # and given up where the page has over three times as much
_BLOCKS = re.compile(r"<(/?)(?:div|article)\b", re.I)


def extract_text(html: str | bytes, main_content: bool = True) -> str:
    """The page's text: paragraphs as lines, list items with a bullet; the main content, or all that is visible. Empty where there is none.

    Bytes are decoded first (`charset.decode`). Never raises for any input; a page of over 4 million characters or 300,000 tags is cut there.

    >>> extract_text("<html><body><nav>Home</nav><main><p>Hello world.</p></main></body></html>")
    'Hello world.'
    """
    if isinstance(html, bytes):
        html, _ = charset.decode(html)
    if len(html) > MAX_TAGS:
        html = _cut(html[:MAX_HTML_CHARACTERS])
    try:
        tree = HTMLTree.parse(html)
        if not main_content:
            return extract_plain_text(tree, **_SETTINGS)
        text = "" if _nested_deeper(tree, html, MAX_DEPTH) else extract_plain_text(tree, main_content=True, **_SETTINGS)
        if len(text) < _SHORT_BYTES and len(text.encode("utf-8", "replace")) < _SHORT_BYTES:
            whole = extract_plain_text(tree, skip_elements=_NAVIGATION, **_SETTINGS)
            if len(text) < _SHARE_OF_WHOLE * len(whole):
                return whole
        return text
    except (ValueError, RuntimeError):  # resiliparse's HTMLParserException among them: a page that cannot be parsed has no text
        return ""


def extract_batch(html: pa.Array, main_content: bool = True) -> pa.Array:
    """The text of every page, in order; null where there is no HTML."""
    return pa.array([None if page is None else extract_text(page, main_content) for page in html.to_pylist()], pa.string())


def _cut(html: str) -> str:
    """The page up to its 300,000th tag, or all of it."""
    if html.count("<") <= MAX_TAGS:
        return html
    return "<".join(html.split("<", MAX_TAGS)[:MAX_TAGS])


def _nested_deeper(tree: HTMLTree, html: str, limit: int) -> bool:
    """Whether div or article elements nest deeper than `limit`: asked of the tree how many there are, and of the source only where there are more."""
    if tree.document is None or len(tree.document.query_selector_all("div,article")) <= limit:
        return False
    depth = 0
    for match in _BLOCKS.finditer(html):
        if not match.group(1):
            depth += 1
            if depth > limit:
                return True
        elif depth:
            depth -= 1
    return False
