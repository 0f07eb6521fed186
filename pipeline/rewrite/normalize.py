"""One spelling for text that looks the same, so that measures, hashes and tokens agree. Web text only: code never passes through here.

In this order: line ends become LF; control and zero-width characters go; Unicode form (NFC); spaces; ends of lines; blank lines. Full-width
punctuation stays what it is (NFKC would turn ， into ,). Decisions that one may wonder about:

- ZWJ and ZWNJ stay between two emoji and between two letters of a script that spells with them (Arabic and Persian, Indic scripts, Khmer, Burmese).
- Every other kind of space (no-break, thin, em) becomes a plain one. The ideographic space goes where it indents a paragraph, as it does in
  most Chinese web pages and in no corpus that is trained on, and is one plain space elsewhere.
- Indentation stays, up to 32 spaces: pages hold code. Runs of spaces within a line are cut at 4; one blank line at most stands between lines.
- Bidirectional controls and soft hyphens go; variation selectors stay (emoji, Han variants).
"""

import re
import unicodedata

import pyarrow as pa

from pipeline.errors import PlanError

VERSION = 1
ENGINES = {"unicode": unicodedata.unidata_version}

FORMS = ("NFC", "NFKC", "none")

_REMOVED = re.compile(  # a class alone, which re searches by itself; with an alternative beside it, it tries both at every character
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff0-\ufffb\ufffe\uffff]+"
)
_TAG = re.compile("[\U000e0000-\U000e007f]")
_TAGS = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+")  # tags, but for the flags of England, Scotland and Wales
_LINE_END = re.compile("[\r\x0b\x0c\x85\u2028\u2029]")
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPELLED = "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\ufb50-\ufdcf\ufe70-\ufefc"
_EMOJI = "\u00a9\u00ae\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff"
_JOINERS = re.compile(
    f"(?<![{_SPELLED}{_EMOJI}])[\u200c\u200d]+|[\u200c\u200d]+(?![{_SPELLED}{_EMOJI}])"
    f"|(?<=[{_EMOJI}])\u200c+|(?<=[{_EMOJI}])\u200d+(?=[{_SPELLED}])|(?<=[{_SPELLED}])[\u200c\u200d]+(?=[{_EMOJI}])"
)
_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f]")
_INDENT_IDEOGRAPHIC = re.compile("^[ \t\u3000]*\u3000[ \t\u3000]*", re.M)
_IDEOGRAPHIC = re.compile(" *\u3000[ \u3000]*")
_TRAILING = re.compile("[ \t]+\n")
_DEEP_INDENT = re.compile("^ {33,}", re.M)
_LONG_RUN = re.compile("(?<=[^ \n]) {5,}")
_BLANK_LINES = re.compile("\n{3,}")
_UNUSUAL = re.compile(
    "[^\t\n\x20-\x7e\xa1-\xac\xae-\u02ff\u0370-\u05ff\u2010-\u2027\u2030-\u205e\u20a0-\u20ff\u2100-\u2125\u212c-\u2328\u232b-\u2aff\u2e80-\u2fdf\u3001-\u3029\u3030-\u3098"
    "\u309b-\ua66e\uac00-\ud7a3\uff01-\uffee]"
)  # what any step before the spaces may touch is in here, with much that none does: the usual text takes one search


def normalize(text: str, form: str = "NFC") -> str:
    """The text in its one spelling; normalizing twice is normalizing once. Raises PlanError for a form that is not in FORMS.

    >>> normalize("\\u3000\\u3000中文，\\u200b e\\u0301\\xa0x  \\r\\n\\r\\n\\r\\n\\r\\nend ")
    '中文， é x\\n\\nend'
    """
    if form not in FORMS:
        raise PlanError(f"normalize: there is no Unicode form '{form}'. Forms are: {', '.join(FORMS)}; NFC is the one that changes nothing one sees.")
    if not text.isascii() or not text.isprintable():
        if _UNUSUAL.search(text) is not None:
            if _LINE_END.search(text) is not None:
                text = _LINE_ENDS.sub("\n", text)
            if _TAG.search(text) is not None:  # before the rest goes, which may stand between a flag and a tag
                text = _TAGS.sub("", text)
            text = _REMOVED.sub("", text)
            if "\u200d" in text or "\u200c" in text:
                text = _JOINERS.sub("", text)
        if form != "none" and not unicodedata.is_normalized(form, text):  # type: ignore[arg-type]  # one of the two
            text = unicodedata.normalize(form, text)  # type: ignore[arg-type]
        if not text.isascii():
            text = _SPACES.sub(" ", text)
            if "\u3000" in text:
                text = _IDEOGRAPHIC.sub(" ", _INDENT_IDEOGRAPHIC.sub("", text))
    if " \n" in text or "\t\n" in text:
        text = _TRAILING.sub("\n", text)
    if "     " in text:
        text = _LONG_RUN.sub("    ", _DEEP_INDENT.sub(" " * 32, text))
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip("\n").rstrip(" \t\n")


def normalize_batch(texts: pa.Array, form: str = "NFC") -> pa.Array:
    """Every text normalized, in order; null stays null."""
    return pa.array([None if text is None else normalize(text, form) for text in texts.to_pylist()], pa.string())
