"""HTML to text: what is kept, and that no page can hang or kill a worker."""

import time

import pyarrow as pa
import pytest

from pipeline.rewrite.extract import MAX_TAGS, extract_batch, extract_text

PARAGRAPHS = "".join(f"<p>This is paragraph number {i} of the article, with enough words to count as prose.</p>" for i in range(20))
PAGE = f"<html><head><title>t</title><script>var x = 1;</script></head><body><nav><a href=/>Home</a></nav><main><h1>Title</h1>{PARAGRAPHS}</main><footer>Imprint</footer></body></html>"


def test_main_content_leaves_out_navigation_and_scripts():
    text = extract_text(PAGE)
    assert text.splitlines()[0] == "Title" and text.count("paragraph number") == 20
    assert all(word not in text for word in ("Home", "Imprint", "var x"))
    assert "Imprint" in extract_text(PAGE, main_content=False)


def test_bytes_are_decoded_first():
    assert "中文正文" in extract_text(f"<html><meta charset=gbk><body><p>{'中文正文，' * 50}</p></body></html>".encode("gb18030"))


@pytest.mark.parametrize("page", ["", " ", "text only", "<", "<p", "\0", "<html></html>", "<!---->", "<p>\ufffd</p>"])
def test_odd_pages_give_some_text_or_none(page):
    assert isinstance(extract_text(page), str)


def test_a_short_page_is_not_lost_to_the_main_content_rules():
    assert "Only this" in extract_text("<html><body><div class=sidebar-wrapper><div>Only this sentence is here, and it is the page.</div></div></body></html>")


@pytest.mark.parametrize(
    "tag", ["<div>", "<DIV class=x>", "<article>", "<b>", "<b><p>", "<table><tr><td>", "<ul><li>", "<a/>x", "<svg>", "<p", "<!--", "&amp;"]
)
def test_deep_nesting_neither_kills_nor_hangs(tag):
    started = time.process_time()
    assert isinstance(extract_text("<html><body>" + tag * 50_000 + "hello world"), str)
    assert time.process_time() - started < 20  # without the guard nested div elements take minutes


def test_a_huge_page_is_cut():
    text = extract_text("<html><body>" + "<p>x</p>" * (MAX_TAGS * 2), main_content=False)
    assert 0 < text.count("x") <= MAX_TAGS


def test_batches_keep_order_and_nulls():
    batch = extract_batch(pa.array([PAGE, None, ""]))
    assert batch.type == pa.string() and batch.to_pylist() == [extract_text(PAGE), None, ""]
