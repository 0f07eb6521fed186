"""One spelling: each decision of `normalize` as an example, and that doing it twice changes nothing."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PlanError
from pipeline.rewrite.normalize import normalize, normalize_batch


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("e\u0301te\u0301", "été"),
        ("ｆｕｌｌ，width：punctuation！", "ｆｕｌｌ，width：punctuation！"),  # NFC, not NFKC
        ("a\r\nb\rc\u2028d\x85e\x0cf", "a\nb\nc\nd\ne\nf"),
        ("zero\u200bwidth\ufeff \u2060soft\xadhyphen\x00\x1b", "zerowidth softhyphen"),
        ("\u202eevil\u202c \u200fmarks\u200e", "evil marks"),
        ("👩\u200d👧 family", "👩\u200d👧 family"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("wo\u200drd and wo\u200crd", "word and word"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("no\xa0break\u2009thin", "no break thin"),
        ("\u3000\u3000段落一。\n\u3000\u3000段落二。", "段落一。\n段落二。"),
        ("标题\u3000\u3000作者", "标题 作者"),
        ("trailing  \t\nspaces \n", "trailing\nspaces"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("a\n \n\t\n\u3000\nb", "a\n\nb"),
        ("a" + " " * 30 + "b", "a    b"),
        ("def f():\n    return\n\tx", "def f():\n    return\n\tx"),
        ("\n\n  indented", "  indented"),
        ("", ""),
        (" \n\u3000\n", ""),
        (
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f hidden\U000e0041\U000e0042",
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f hidden",
        ),
        ("豈", "豈"),
    ],
)
def test_decisions(given_, wanted):
    assert normalize(given_) == wanted


ODD = " \t\n\r\u3000\u200d\u200c\u200b\u0301e\xa0가👩👧मيक\u2028\x85\x0c\ufeff\U000e0041🏴"


@settings(max_examples=500)
@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(ODD)), max_size=60), st.sampled_from(["NFC", "NFKC", "none"]))
def test_twice_is_once(text, form):
    once = normalize(text, form)
    assert normalize(once, form) == once
    once.encode()
    if form != "none":
        assert unicodedata.is_normalized(form, once)


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=60))
def test_letters_survive(text):
    kept = [c for c in unicodedata.normalize("NFC", text) if c not in "\u115f\u1160"]
    assert [c for c in normalize(text) if c not in "\u115f\u1160"] == kept


def test_batches_and_unknown_forms():
    assert normalize_batch(pa.array(["a \n", None])).to_pylist() == ["a", None]
    with pytest.raises(PlanError, match="no Unicode form 'NFX'"):
        normalize("a", "NFX")
