"""From the bytes of a page to Unicode: which encoding is it? No page is lost to a bad byte. Costs a pass over the bytes where they are UTF-8.

In order: a byte order mark; bytes that are valid UTF-8 in a way that chance does not explain; what the HTTP header, then the page itself
(meta, XML declaration) says, where the bytes decode strictly under it; a detector; and, where nothing decodes strictly, the candidate that
replaces the fewest bytes. Labels mean what browsers take them for (gb2312 is gb18030, iso-8859-1 is windows-1252, WHATWG Encoding Standard).
"""

import codecs
import re
import struct
from functools import lru_cache
from importlib.metadata import version

import numpy as np
import pyarrow as pa
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

VERSION = 1
ENGINES = {"resiliparse": version("resiliparse")}

# What Python calls the superset that browsers use. Big5 pages hold Hong Kong characters; Python's `big5` refuses them.
_SUPERSETS = {
    "gb2312": "gb18030", "gbk": "gb18030", "hz": "hz", "big5": "big5hkscs", "shift_jis": "cp932", "euc_kr": "cp949", "iso8859-1": "cp1252", "ascii": "cp1252",
    "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
}  # fmt: skip
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"), (b"\x84\x31\x95\x33", "gb18030"),
)  # fmt: skip
_MULTIBYTE = frozenset({"gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "johab", "utf-8"})
_PRESCAN_BYTES = 1 << 14  # HTML5 says 1024; pages with a long head, or a long comment first, are met beyond it
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_META = re.compile(rb"<meta[\s/]([^>]*)", re.I)
_META_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9_.:\-]+)""", re.I)
_XML = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']\s*([A-Za-z0-9_.:\-]+)""", re.I)
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]+")
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def decode(data: bytes, http_charset: str | None = None) -> tuple[str, str]:
    """The text and the name of the encoding it was read with; bytes that mean nothing become U+FFFD. Never raises. The byte order mark is cut."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace"), name
    if data.isascii() and b"\0" not in data:
        return _decode_ascii(data, http_charset)
    text = _strict(data, "utf-8")
    if text is not None and b"\0" not in data[:_PRESCAN_BYTES]:
        if _surely_utf8(data):
            return text, "utf-8"
        for name in _declared(data, http_charset):  # two or three accidental bytes may look like UTF-8 in a GBK text
            if name != "utf-8" and name in _MULTIBYTE and (other := _strict(data, name)) is not None:
                return other, name
        return text, "utf-8"
    if (wide := _utf16_without_mark(data)) is not None:
        return wide
    candidates = _declared(data, http_charset)
    if len(candidates) > 1 and candidates[0] == "cp1252" and candidates[1] in _MULTIBYTE:
        candidates = [candidates[1], candidates[0], *candidates[2:]]  # iso-8859-1 is what servers say that know nothing
    for name in candidates:
        if (found := _strict(data, name)) is not None:
            return found, name
    guessed = _detect(data)
    for name in guessed:
        if name not in candidates and (found := _strict(data, name)) is not None and not candidates:
            return found, name
    return _least_bad(data, candidates + [name for name in guessed if name not in candidates] or ["cp1252"])


def to_utf8(data: bytes, http_charset: str | None = None) -> tuple[bytes, str]:
    """As `decode`, but as UTF-8 bytes: the same object where the bytes are valid UTF-8 already, which is most of the web."""
    if data.isascii():
        if b"\0" not in data and b"\x1b" not in data and not (b"hz" in (http_charset or "").lower().encode() or b"hz-gb" in data[:_PRESCAN_BYTES].lower()):
            return data, "utf-8"
    elif not data.startswith(codecs.BOM_UTF8) and b"\0" not in data[:_PRESCAN_BYTES] and _plainly_utf8(data, http_charset):
        return data, "utf-8"
    text, name = decode(data, http_charset)
    return text.encode("utf-8", "replace"), name


@lru_cache(maxsize=1024)
def codec_name(label: str) -> str | None:
    """Python's codec for a label as browsers understand it (`GB2312` -> `gb18030`); None for a label that means nothing."""
    label = label.strip().strip("\"'").lower()
    if label in ("hz-gb-2312", "hz"):
        return "hz"
    try:
        mapped = map_encoding_to_html5(label, fallback_utf8=False) or label
        name = codecs.lookup(mapped).name
        if not codecs.lookup(name)._is_text_encoding:
            return None
    except (LookupError, ValueError, TypeError):
        return None
    if name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape"):
        return name if name.startswith("utf-16") else None
    return _SUPERSETS.get(name, name)


def _declared(data: bytes, http_charset: str | None) -> list[str]:
    names: list[str] = []
    for label, from_page in ((http_charset, False), (_prescan(data), True)):
        name = codec_name(label) if label else None
        if name and name.startswith("utf-16"):
            # a meta element that could be read as ASCII is no UTF-16 (HTML5); HTTP may mean either byte order
            name = "utf-8" if from_page else "utf-16-be" if name == "utf-16-be" else "utf-16-le"
        if name and name not in names:
            names.append(name)
    return names


def _prescan(data: bytes) -> str | None:
    """The encoding that the page itself declares: meta charset, meta http-equiv, or the XML declaration. Misspelt declarations count where they
    name an encoding: what HTML5 ignores is still the best hint there is."""
    head = data[:_PRESCAN_BYTES]
    if (xml := _XML.search(head)) is not None:
        return xml.group(1).decode("ascii")
    if b"charset" not in head and b"CHARSET" not in head and b"harset" not in head.lower():
        return None
    for meta in _META.finditer(_COMMENT.sub(b"", head)):
        found = _META_CHARSET.search(meta.group(1))
        if found is not None and codec_name(label := found.group(1).decode("ascii")):
            return label
    return None


def _strict(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (UnicodeDecodeError, LookupError):
        return None


def _surely_utf8(data: bytes) -> bool:
    """Whether valid UTF-8 holds three multi-byte characters, which another encoding's bytes do by chance once in thousands of texts."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) >= 0xC2)) >= 3


def _plainly_utf8(data: bytes, http_charset: str | None) -> bool:
    """As `_strict(data, "utf-8")` and `_surely_utf8` in one, by Arrow's validator, which is four times as fast as decoding."""
    array = pa.Array.from_buffers(pa.large_string(), 1, [None, pa.py_buffer(struct.pack("<qq", 0, len(data))), pa.py_buffer(data)])
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return http_charset in ("utf-8", "UTF-8") or _surely_utf8(data)


def _decode_ascii(data: bytes, http_charset: str | None) -> tuple[str, str]:
    """Seven-bit bytes: ASCII, but for the two encodings that hide behind it."""
    if b"\x1b$" in data and (text := _strict(data, "iso2022_jp_ext")) is not None:
        return text, "iso2022_jp"
    if b"\x1b$)C" in data and (text := _strict(data, "iso2022_kr")) is not None:
        return text, "iso2022_kr"
    if b"~{" in data and "hz" in _declared(data, http_charset) and (text := _strict(data, "hz")) is not None:
        return text, "hz"
    return data.decode("ascii"), "utf-8"


def _utf16_without_mark(data: bytes) -> tuple[str, str] | None:
    """UTF-16 that does not say so: control bytes where no 8-bit text has any (the zero of every Latin letter), and text once decoded."""
    sample = data[: 1 << 14]
    sample = sample[: len(sample) & ~1]
    if len(sample) < 4 or len(_NOT_TEXT.findall(sample)) * 100 < len(sample):
        return None
    for name in ("utf-32-le", "utf-32-be"):  # three of its four bytes are nearly always zero: nothing else decodes
        if len(data) % 4 == 0 and sample.count(b"\0") * 2 >= len(sample) and (text := _strict(data, name)) is not None:
            return text, name
    best: tuple[float, str] = (0.0, "")
    for name in ("utf-16-le", "utf-16-be"):
        text = sample.decode(name, "replace")
        usual = sum(
            1
            for c in text
            if "\x20" <= c < "\x7f"
            or c in "\n\r\t"
            or "\xa0" <= c < "\u0600"
            or "\u3000" <= c < "\ua000"
            or "\uac00" <= c < "\ud7b0"
            or "\uff00" <= c < "\ufff0"
        )
        plain = sum(1 for c in text if c in ' \n\r\t，。、的<>/="')  # no text is without
        if usual >= 0.97 * len(text) and plain >= 0.02 * len(text):
            best = max(best, (usual / len(text) + plain / len(text), name))
    return (data.decode(best[1], "replace"), best[1]) if best[1] else None


def _detect(data: bytes) -> list[str]:
    """What the detector says, then the encodings that it is known to confuse it with."""
    names: list[str] = []
    label = detect_encoding(data, html5_compatible=False)
    name = codec_name(label) if label else None
    if name:
        names.append(name)
    if name in ("big5hkscs", "euc_tw", None):
        names += ["big5hkscs"]
    if name in ("gb18030", None):
        names += ["gb18030"]
    names += ["cp1252"]
    return list(dict.fromkeys(n for n in names if not n.startswith("utf-16")))


def _least_bad(data: bytes, names: list[str]) -> tuple[str, str]:
    """The first of the names under which under 2 % is bad, else the one that replaces the fewest characters. A page in UTF-8 with one torn character stays UTF-8."""
    best: tuple[int, str, str] | None = None
    for name in dict.fromkeys(["utf-8", *names] if _mostly_utf8(data) else names):
        text = data.decode(name, "replace")
        bad = text.count("\ufffd")
        if bad * 50 <= len(text):  # windows-1252 knows nearly all bytes: fewest alone would always choose it
            return text, name
        if best is None or bad < best[0]:
            best = (bad, text, name)
    assert best is not None
    return best[1], best[2]


def _mostly_utf8(data: bytes) -> bool:
    """Whether over nine in ten of the multi-byte characters are good UTF-8."""
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    return bad * 10 <= len(_UTF8_SEQUENCE.findall(data))
