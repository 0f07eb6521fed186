"""Decoding: what is declared, what can be told without, and that no page is lost to a bad byte."""

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rewrite.charset import codec_name, decode, to_utf8

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "html" / "html5lib_encoding"
CHINESE = "中文网页的正文，说的是一件平常的小事。我们在这里写得长一些，好让探测器有所依据。"
TRADITIONAL = "中文網頁的正文，說的是一件平常的小事。我們在這裡寫得長一些，好讓偵測器有所依據。"
JAPANESE = "これは日本語の文章です。文字コードを調べるために書かれました。"


@pytest.mark.parametrize(
    ("data", "http", "text", "encoding"),
    [
        (b"plain ascii", None, "plain ascii", "utf-8"),
        (codecs.BOM_UTF8 + CHINESE.encode(), "gbk", CHINESE, "utf-8"),
        (codecs.BOM_UTF16_LE + CHINESE.encode("utf-16-le"), None, CHINESE, "utf-16-le"),
        (codecs.BOM_UTF16_BE + CHINESE.encode("utf-16-be"), "utf-8", CHINESE, "utf-16-be"),
        (("<p>" + CHINESE + "</p>\n").encode("utf-16-le"), None, "<p>" + CHINESE + "</p>\n", "utf-16-le"),
        (("<p>Latin text only</p>").encode("utf-16-be"), None, "<p>Latin text only</p>", "utf-16-be"),
        (("<p>" + CHINESE + "</p>").encode("utf-32-le"), None, "<p>" + CHINESE + "</p>", "utf-32-le"),
        (CHINESE.encode("gb18030"), "gb2312", CHINESE, "gb18030"),
        (CHINESE.encode("gb18030"), None, CHINESE, "gb18030"),
        (b'<meta charset="GBK">' + CHINESE.encode("gb18030"), "iso-8859-1", '<meta charset="GBK">' + CHINESE, "gb18030"),
        (b"<meta http-equiv='Content-Type' content='text/html; charset=big5'>" + TRADITIONAL.encode("big5hkscs"), None, None, "big5hkscs"),
        (TRADITIONAL.encode("big5"), None, TRADITIONAL, "big5hkscs"),
        ("香港嘅㗎字".encode("big5hkscs"), "big5", "香港嘅㗎字", "big5hkscs"),
        (b'<?xml version="1.0" encoding="Shift_JIS"?>' + JAPANESE.encode("cp932"), None, None, "cp932"),
        (JAPANESE.encode("euc_jp"), None, JAPANESE, "euc_jp"),
        (JAPANESE.encode("iso2022_jp"), None, JAPANESE, "iso2022_jp"),
        ("curly \u201cquotes\u201d and \u20ac".encode("cp1252"), "iso-8859-1", "curly \u201cquotes\u201d and \u20ac", "cp1252"),
        (CHINESE.encode(), "iso-8859-1", CHINESE, "utf-8"),  # a server that knows nothing
        ("été".encode(), "utf-8", "été", "utf-8"),
        (b"<!-- <meta charset=gbk> --><meta charset=utf-8>" + CHINESE.encode(), None, None, "utf-8"),
        ("Привет, как дела? Это обычный русский текст.".encode("koi8-r"), "koi8-r", "Привет, как дела? Это обычный русский текст.", "koi8-r"),
    ],
)
def test_the_encoding_is_found(data, http, text, encoding):
    found, name = decode(data, http)
    assert name == encoding
    if text is not None:
        assert found == text
    assert to_utf8(data, http)[0] == found.encode()


def test_a_bad_byte_costs_one_character_not_the_page():
    text, name = decode(CHINESE.encode()[:-1] + b" end", None)
    assert name == "utf-8" and text.count("\ufffd") == 1 and text.startswith(CHINESE[:-1])
    text, name = decode(CHINESE.encode("gb18030") + b"\xff" + CHINESE.encode("gb18030"), "gbk")
    assert name == "gb18030" and text.count("\ufffd") == 1 and text.count(CHINESE) == 2


def test_labels_mean_what_browsers_take_them_for():
    labels = ["GB2312", "gbk", "x-gbk", "big5", "latin1", "us-ascii", "Shift_JIS", "euc-kr", "utf8", '"UTF-8"', "nonsense", "", "zlib", "base64"]
    assert [codec_name(label) for label in labels] == [
        "gb18030", "gb18030", "gb18030", "big5hkscs", "cp1252", "cp1252", "cp932", "cp949", "utf-8", "utf-8", None, None, None, None,
    ]  # fmt: skip


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "gbk", "utf-16", "nonsense", "iso-2022-jp", "hz-gb-2312"]))
def test_anything_decodes_to_valid_unicode(data, http):
    text, _ = decode(data, http)
    text.encode()
    assert to_utf8(data, http)[0].decode() == text or data.isascii()


@given(st.text(max_size=200))
def test_utf8_stays_what_it_is(text):
    data = ("三个字" + text).replace("\0", "").encode()
    assert to_utf8(data) == (data, "utf-8")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the tests of html5lib are not here")
def test_html5lib_prescan():
    """Every declaration that html5lib's own tests find is found. (Where HTML5 finds none, a misspelt one may still count here.)"""
    cases = 0
    for path in sorted(SHARED.glob("tests*.dat")):
        for block in path.read_bytes().split(b"#data\n")[1:]:
            data, _, rest = block.partition(b"\n#encoding\n")
            wanted = codec_name(rest.split(b"\n")[0].decode())
            if wanted not in ("cp1252", "utf-8", None):
                cases += 1
                assert decode(data + b"\n\xe9\xe8\n")[1] == wanted, data  # two bytes that are no UTF-8, so that the declaration decides
    assert cases > 20
