"""Repetition equals its slow twin; and where it differs from datatrove, it does so for a reason, given here with the example."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import repetition
from pipeline.measures import MEASURES
from pipeline.texts import Texts
from tests.kernels import examples
from tests.kernels.test_utf8 import TEXTS
from tests.twins import slow_text as slow

# Few different words, so that n-grams of all lengths repeat.
REPETITIVE = st.lists(st.sampled_from(["a ", "b ", "cc ", "中", "国", "，", "\n", "\n\n", " ", "d-e ", "1 "]), max_size=120).map("".join)


def check(text: str) -> None:
    texts = Texts([text])
    *_, found = repetition.repeats(texts.data, texts.offsets)
    assert dict(zip(repetition.REPEATS, found[0].tolist(), strict=True)) == slow.repeats(text)


@pytest.mark.parametrize("text", examples.ALL)
def test_equals_the_twin_on_examples(text: str) -> None:
    check(text)


@settings(max_examples=200, deadline=None)
@given(st.one_of(REPETITIVE, TEXTS, st.builds(lambda text, n: text * n, TEXTS, st.integers(2, 4))))
def test_equals_the_twin_on_any_text(text: str) -> None:
    check(text)


def test_equals_the_twin_where_rough_counts_overflow() -> None:
    """More than 255 of one n-gram, and more different ones than buckets tell apart."""
    rng = np.random.default_rng(0)
    words = [f"w{k}" for k in rng.integers(0, 400, 3000)]
    for k in range(0, 2000, 5):
        words[k : k + 2] = ["so", "it"]
    check(" ".join(words))


def test_counting_alone_and_with_repetition_gives_the_same() -> None:
    from pipeline.kernels import counting

    texts = Texts(examples.ALL)
    counts, entropy = counting.count(texts.data, texts.offsets)
    again, entropy_again, _ = repetition.repeats(texts.data, texts.offsets)
    assert (counts == again).all()
    assert (entropy == entropy_again).all()


# --- datatrove's definitions, in its own words (gopher_repetition_filter.py, 0.10) --------------------------------------------


def find_duplicates(x: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    again = [e for e in x if e in seen or seen.add(e)]  # type: ignore[func-returns-value]  # add returns None
    return len(again), sum(map(len, again))


def find_top_duplicate(words: list[str], n: int) -> int:
    gram, count = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1)).most_common(1)[0]
    return len(gram) * count


def find_all_duplicate(words: list[str], n: int) -> int:
    seen, characters, i = set(), 0, 0
    while i < len(words) - n + 1:
        gram = "".join(words[i : i + n])
        if gram in seen:
            characters += len(gram)
            i += n
        else:
            seen.add(gram)
            i += 1
    return characters


def value(name: str, text: str) -> float:
    return float(MEASURES[name].function(Texts([text]))[0])


def test_lines_agree_with_datatrove_where_no_line_is_blank() -> None:
    text = "one line\ntwo lines\none line\nthree\none line"
    lines = re.split("\n+", text)
    assert value("duplicate_line_fraction", text) == find_duplicates(lines)[0] / len(lines)


def test_duplicate_ngrams_agree_with_datatrove_where_a_repeat_is_a_whole_number_of_ngrams() -> None:
    words = list("abcdefghijklmnoabcdez")
    assert find_all_duplicate(words, 5) == 5
    assert value("duplicate_5gram_character_fraction", " ".join(words)) == 5 / 21


def test_differs_a_most_frequent_ngram_that_occurs_once_is_no_repetition() -> None:
    """datatrove counts the top n-gram though nothing occurs twice: short texts, and all of Chinese by characters, look repetitive."""
    text = "every word here is different"
    assert find_top_duplicate(text.split(), 2) / len(text) > 0.2
    assert value("top_2gram_character_fraction", text) == 0


def test_differs_overlapping_ngrams_do_not_count_a_character_twice() -> None:
    """datatrove's share of a text that says one word is 1.65: a fraction above 1 (FineWeb-2 tuned a bound of 1.238 to it)."""
    text = " ".join(["la"] * 100)
    assert find_top_duplicate(text.split(), 2) / len(text) > 1.6
    assert value("top_2gram_character_fraction", text) == 0.99


def test_differs_the_tail_of_a_repeated_passage_is_covered() -> None:
    """Nine words said again: datatrove steps over five and finds no five more, so it sees 5 of the 9."""
    words = list("abcdefghi")
    text = " ".join([*words, "x", "y", *words, "z"])
    assert find_all_duplicate(text.split(), 5) == 5
    assert value("duplicate_5gram_character_fraction", text) == 9 / 21


def test_differs_words_are_not_run_together() -> None:
    """datatrove joins an n-gram without blanks, so "ab c" equals "a bc"."""
    text = "ab c d e f zz a bc d e f"
    assert find_all_duplicate(text.split(), 5) == 6
    assert value("duplicate_5gram_character_fraction", text) == 0


def test_differs_the_blanks_around_a_line_do_not_make_it_another() -> None:
    text = "Home\n  Home\nHome "
    assert find_duplicates(re.split("\n+", text))[0] == 0
    assert value("duplicate_line_fraction", text) == 2 / 3


def test_differs_a_text_that_is_nothing_but_repeats_reaches_one() -> None:
    """datatrove divides characters without blanks by characters with them, so its shares end at about 0.83 in English."""
    text = " ".join(["the same five short words"] * 200)
    assert find_all_duplicate(text.split(), 5) / len(text) < 0.85
    assert value("duplicate_5gram_character_fraction", text) > 0.99


# --- what the Chinese measures are for -----------------------------------------------------------------------------------------


def test_chinese_coverage_counts_characters_after_the_first_occurrence() -> None:
    sentence = "这是一个会被重复的句子而已"  # 13 characters
    text = f"{sentence}，甲乙丙丁。{sentence}。"
    assert value("duplicate_13token_character_fraction", text) == 13 / 33
    assert value("top_8token_character_fraction", text) == 8 / 33


def test_a_url_or_a_name_in_latin_letters_is_no_repetition() -> None:
    text = "请看https://www.example.com/very/long/path/to/a/page.html，再看https://www.example.com/very/long/path/to/a/page.html。"
    assert value("duplicate_8token_character_fraction", text) == 0
    assert value("duplicate_8token_character_fraction", "买iPhone15ProMax手机，卖iPhone15ProMax电脑") == 0
