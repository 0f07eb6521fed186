"""The counting pass equals its slow twin, and its definitions are what the docstrings of kernels/utf8.py and counting.py say."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import counting, raw, spans, tables, utf8
from pipeline.texts import Texts
from tests.kernels import examples
from tests.twins import slow_text as slow

# Unicode at large, and what the rules look at: pieces that meet in every order.
PIECES = st.sampled_from(
    [
        *("the", "The ", " ", "\n", "\r\n", "\r", "中", "国的", "，", "。", "！", "…", "...", ".", ". ", "?", "”", "'", "-", "_", "12", "3.1", "é"),
        *("\u0301", "\ufe0f", "😀", "①", "\u3000", "#", "{", "[a](b)", "](", "http://a.b/c", "www.x.y,", "://", "`", "```", "~~~", "$", "$$", "\\"),
        *("\\(", "\\)", "\\[", "\\]", "\\begin{a}", "\\end{a}", "* ", "- ", "•", "【", "】", "Read more", "展开", "Lorem Ipsum", "\ufffd", "0x1F"),
        *("a" * 21, "\x00"),
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=60).map("".join))


def counts_of(text: str) -> tuple[dict[str, int], float]:
    texts = Texts([text])
    counts, entropy = counting.count(texts.data, texts.offsets)
    return dict(zip(counting.COUNTS, counts[0].tolist(), strict=True)), float(entropy[0])


def check(text: str) -> None:
    counts, entropy = counts_of(text)
    expected, expected_entropy = slow.count(text)
    assert counts == expected
    assert entropy == pytest.approx(expected_entropy, abs=1e-9)


@pytest.mark.parametrize("text", examples.ALL)
def test_equals_the_twin_on_examples(text: str) -> None:
    check(text)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_equals_the_twin_on_any_text(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop", ["Don't", "stop"]),
        ("it’s well-known snake_case", ["it’s", "well-known", "snake_case"]),
        ("'quoted' -dash- _x_", ["quoted", "dash", "x"]),
        ("a--b", ["a", "b"]),
        ("3.14, 1,000. v1.2", ["3.14", "1,000", "v1.2"]),
        ("example.com", ["example", "com"]),
        ("iPhone15手机", ["iPhone15", "手", "机"]),
        ("!!! ... ——", []),
        ("नमस्ते", ["नमस्ते"]),  # marks belong to the word
        ("❤\ufe0f ok", ["ok"]),  # and are none alone
    ],
)
def test_words(text: str, words: list[str]) -> None:
    prop = np.append(tables.properties()[[ord(c) for c in text]], np.zeros(80, np.uint16))
    first, last = np.zeros(len(text) + 1, np.uint32), np.zeros(len(text) + 1, np.uint32)
    found = utf8.find_words(prop, len(text), True, first, last)
    assert [text[a:b] for a, b in zip(first[:found].tolist(), last[:found].tolist(), strict=True)] == words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("...", 0),
        ("No mark at the end", 1),
        ("One. Two! Three? Four", 4),
        ("It is 3.14, i.e. pi. Yes.", 2),  # no blank after the point; a lower-case letter after it
        ('He said "no." She left.', 2),
        ("一句。两句！三句？", 3),
        ("他说：“好。”她走了。", 2),
        ("他……走了", 1),
        ("Wait... what? Yes", 2),
    ],
)
def test_sentences(text: str, sentences: int) -> None:
    assert Texts([text]).sentences.tolist() == [sentences]


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("见http://a.cn/x，和", "见，和"),
        ("(see https://a.b/c.) end", "(see .) end"),
        ("www.a.com ok", " ok"),
        ('[字](https://a.b) [字](a.png "t")', '[字]() [字]( "t")'),
        ("from $5 to $10", "from $5 to $10"),
        ("so $x+y$ and $$z$$", "so  and "),
        (r"\(a\) \[b\] \begin{eq}c\end{eq} d", "   d"),
        (r"\$5 and \$6", r"\$5 and \$6"),
        ("a `b` ``c ` d`` e", "a   e"),
        ("x\n```py\ncode\n```\ny", "x\n\ny"),
        ("x\n```py\ncode\ny", "x\n```py\ncode\ny"),  # never closed: no fence
        ("x ` y\nz ` w", "x ` y\nz ` w"),  # not over a line's end
    ],
)
def test_spans(text: str, prose: str) -> None:
    kinds = slow.find_spans(text)  # equal to the kernel's, as tested above; here: what it means
    assert "".join(c for c, kind in zip(text, kinds, strict=True) if kind == spans.PROSE) == prose
    solid = sum(not c.isspace() for c in prose)
    assert Texts([text]).prose.tolist() == [solid]


@pytest.mark.parametrize(
    "piece", ["$a ", "`a ", "\\[a", "\\(a", "$$a", "\\begin{a}", "](a", "[a](", "``` ", "```\n", "~~~\n", "://", "http://", "。", ".", " . ", "【", "\\end{"]
)
def test_time_is_linear_in_hostile_text(piece: str) -> None:
    """A search that failed is not made again: a megabyte of openings takes seconds at worst, where a square would take hours."""
    text = piece * (1_000_000 // len(piece))
    assert counts_of(text)[0]["characters"] == len(text)


def test_bytes_that_are_no_utf8_stay_inside() -> None:
    for data in (b"\xff\xfe", b"a\xe4\xb8", b"\xf0\x9f", b"\xc3", b"\xf7\xbf\xbf\xbf", b"\x80\x80"):
        buffer = np.frombuffer(data, np.uint8)
        counts, _ = counting.count(buffer, np.array([0, len(data)], np.int64))
        assert 0 < counts[0, counting.COUNTS.index("characters")] <= len(data)


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 8))
def test_a_hash_is_of_the_bytes_and_of_nothing_around_them(data: bytes, before: int) -> None:
    alone = np.frombuffer(data + b"\0", np.uint8)
    amid = np.frombuffer(b"x" * before + data + b"y" * 20, np.uint8)
    assert raw.hash_bytes(alone, 0, len(data)) == raw.hash_bytes(amid, before, before + len(data))


def test_a_writable_buffer_is_not_compiled_for_anew() -> None:
    compiled = len(counting._count.signatures)
    for data in (np.zeros(3, np.uint8), np.frombuffer(b"abc", np.uint8)):
        for offsets in (np.array([0, 3], np.int64), np.frombuffer(np.array([0, 3], np.int64).tobytes(), np.int64)):
            counting.count(data, offsets)
    assert len(counting._count.signatures) == max(1, compiled)


def test_hashes_of_similar_words_differ() -> None:
    words = sorted({f"{a}{b}" for a in "abcdefgh" * 3 for b in range(3000)})
    buffer = np.frombuffer("".join(words).encode(), np.uint8)
    ends = np.cumsum([0] + [len(word) for word in words]).tolist()
    assert len({raw.hash_bytes(buffer, a, b) for a, b in pairwise(ends)}) == len(words)
