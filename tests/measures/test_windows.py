"""Windows are the text again, none is much longer than asked, and looking at a few of many costs little."""

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.measures.windows import windows

ASKED = 20  # tokens a window, in most tests: so few that short texts have many
PIECES = st.sampled_from(
    ["word", " ", "\n", "\n\n", "。", ". ", "!", "字", "汉字", "12", "，", "\u3000", "\t", "x" * 60, "字" * 30, "😀", "é", "ㄱ", "\u200b", " " * 50]
)
TEXTS = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=120).map("".join))


def cost(character: str) -> float:
    """What the module says of characters, one at a time: the slow twin of its table."""
    code = ord(character)
    if character in " \n\t\r":
        return 0.0
    if character.isascii():
        return 0.5 if character.isdigit() else 1.0 if 0x21 <= code < 0x7F and not character.isalnum() else 0.25
    if code >= 0x2000:
        return 1.0
    return 0.5 if 0x1100 <= code < 0x1200 else 0.3


def estimate(text: str) -> float:
    return sum(map(cost, text))


def in_order(found: list[str]) -> re.Pattern[str]:
    """The windows in a row, with nothing but white space lost between them."""
    return re.compile(r"\s*?" + r"\s*?".join(map(re.escape, found)) + r"\s*?")


@given(TEXTS)
@example("a" + "\n" * 500 + "b" * 500)
def test_windows_put_together_are_the_text_but_for_blank_ones(text: str) -> None:
    found = windows(text, ASKED)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert in_order(found).fullmatch(text) or not text.strip()
    assert all(window.strip() for window in found)
    expected = math.ceil(estimate(text) / ASKED - 1e-4)
    if len(found) >= expected:  # none was blank
        assert "".join(found) == text or not text.strip()


@given(st.text(alphabet=st.characters(exclude_categories=("Z", "C")), max_size=400))
def test_without_white_space_nothing_is_lost(text: str) -> None:
    assert "".join(windows(text, ASKED)) == text


@given(TEXTS)
@example("a" * 42 + "\n" + "字" * 26 + ".")  # the end of a line far back in tokens, though near in characters
def test_no_window_is_over_a_quarter_longer_than_asked(text: str) -> None:
    for window in windows(text, ASKED):
        assert estimate(window) <= 1.25 * ASKED + 1e-4


@given(TEXTS, st.integers(1, 8))
def test_a_limit_holds_and_chooses_among_all_windows(text: str, limit: int) -> None:
    every, some = windows(text, ASKED), windows(text, ASKED, limit)
    assert len(some) <= limit
    assert in_some_order(some, every)
    if len(every) <= limit and math.ceil(estimate(text) / ASKED) <= limit:
        assert some == every


def in_some_order(some: list[str], every: list[str]) -> bool:
    rest = iter(every)
    return all(any(window == other for other in rest) for window in some)


def test_chosen_windows_are_spread_over_the_text() -> None:
    text = "".join(f"Sentence {i} of a long book. " for i in range(1000))
    some = windows(text, 60, 10)
    places = [text.index(window) / len(text) for window in some]
    assert len(some) == 10
    for i, place in enumerate(places):
        assert i / 10 <= place + 0.01 and place < (i + 1) / 10


@pytest.mark.parametrize("text", ["", " ", "\n\n\t\r\n", "\u3000\u2003", " " * 100_000])
def test_a_blank_text_has_no_window(text: str) -> None:
    assert windows(text, ASKED) == windows(text, ASKED, 4) == []


def test_a_short_text_is_its_own_window() -> None:
    assert windows(" One line.\n", 200) == [" One line.\n"]


def test_cuts_fall_after_sentences_where_they_can() -> None:
    text = "这是一个句子，它不算太长。" * 200
    assert all(window.endswith("。") for window in windows(text, 100))
    text = "This is a sentence of eight words or so. " * 200
    found = windows(text, 100)
    assert all(window.rstrip().endswith(".") for window in found)
    assert len(found) > 10


def test_version_numbers_and_prices_are_no_ends_of_sentences() -> None:
    text = "pay 3.14 or 2.71 " * 300
    assert not [window for window in windows(text, 50) if window.endswith(".")]


def test_words_are_not_cut_where_white_space_is_near() -> None:
    text = "alphabetical ordering " * 300
    assert {word for window in windows(text, 40) for word in window.split()} == {"alphabetical", "ordering"}


def test_windows_are_of_about_equal_length() -> None:
    text = "".join(f"{i} 字word, " for i in range(3000))
    lengths = [estimate(window) for window in windows(text, 100)]
    assert min(lengths) > 60
    assert max(lengths) <= 125


@pytest.mark.timeout(60)  # hours, were it not linear
@pytest.mark.parametrize("character", ["a", "字", ".", "0", "\u200b", "😀", "\x00", "。"])
def test_three_megabytes_of_one_character_cost_what_is_looked_at(character: str) -> None:
    text = character * 3_000_000
    found = windows(text, 200, 16)
    assert len(found) == 16
    assert sum(map(estimate, found)) <= 16 * 200 * 1.25


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["a" + " " * 3_000_000, "\n" * 1_500_000 + "字" * 500 + "\n" * 1_500_000, "ab " * 1_000_000], ids=["spaces", "lines", "words"])
def test_three_megabytes_of_white_space_are_cut_in_time(text: str) -> None:
    found = windows(text, 200, 16)
    assert 1 <= len(found) <= 16
