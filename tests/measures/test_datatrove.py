"""datatrove as an oracle: where its definitions are the published ones, ours give the same; where they differ, ours is on the side that
tests/kernels/test_repetition.py says. Skipped where datatrove is not installed (it is an optional extra; benchmarks have it in an environment of their own)."""

import re

import numpy as np
import pytest

from pipeline.measures import MEASURES, measure
from pipeline.texts import Texts
from tests.kernels import examples
from tests.twins import slow_text as slow

repetition = pytest.importorskip("datatrove.pipeline.filters.gopher_repetition_filter", reason="datatrove is not installed")

SENTENCES = [
    "The people of the town have been to the river with all that they own.",
    "It is a fine day to be out and about, said the old man.",
    "Nobody had seen the boats leave that morning.",
    "What could they do but wait for the evening to come?",
]


def prose(seed: int) -> str:
    """Lines of whole sentences, some said again; no blank lines, single blanks between words."""
    rng = np.random.default_rng(seed)
    return "\n".join(" ".join(rng.choice(SENTENCES, rng.integers(1, 4)).tolist()) for _ in range(rng.integers(3, 12)))


TEXTS = [prose(seed) for seed in range(40)]
COLUMNS = measure(Texts([*TEXTS, *examples.ALL]), MEASURES)


def words_of(text: str) -> list[str]:
    return [text[a:b] for a, b in slow.find_words(text)]


@pytest.mark.parametrize("row", range(len(TEXTS)))
def test_lines_are_the_same_in_prose(row: int) -> None:
    text = TEXTS[row]
    lines = re.split("\n+", text)
    duplicates, _ = repetition.find_duplicates(lines)
    assert COLUMNS["duplicate_line_fraction"][row] == duplicates / len(lines)
    assert COLUMNS["bullet_line_fraction"][row] == sum(s.lstrip().startswith(("•", "-")) for s in lines) / len(lines)
    assert COLUMNS["ellipsis_line_fraction"][row] == sum(s.rstrip().endswith(("...", "…")) for s in lines) / len(lines)
    assert COLUMNS["short_line_fraction"][row] == sum(len(s) <= 30 for s in lines) / len(lines)


@pytest.mark.parametrize("row", range(len(TEXTS) + len(examples.ALL)))
def test_ngrams_cover_no_less_than_datatrove_counts_and_no_more_than_there_is(row: int) -> None:
    words = words_of([*TEXTS, *examples.ALL][row])
    numbers = {word: chr(0x4E00 + k) for k, word in enumerate(dict.fromkeys(words))}  # one character a word: joined, they stay apart
    units = [numbers[word] for word in words]
    for n in range(5, 11):
        theirs = repetition.find_all_duplicate(units, n)
        ours = slow.duplicate_characters(units, n)
        assert theirs <= ours <= len(units)
        if theirs == 0:
            assert ours == 0
    if words:
        characters = sum(map(len, words))
        assert COLUMNS["duplicate_5gram_character_fraction"][row] == slow.duplicate_characters(words, 5) / characters


def test_the_whole_filter_agrees_on_running_english() -> None:
    """Gopher's quality filter, all rules at once, with its own word tokenizer: the same texts are kept."""
    pytest.importorskip("spacy", reason="datatrove's English words need spaCy")
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter

    from pipeline.filter import judge_texts

    bounds = {
        "word_count": {"min": 50, "max": 100_000},
        "mean_word_length": {"min": 3, "max": 10},
        "hash_per_word": {"max": 0.1},
        "ellipsis_per_word": {"max": 0.1},
        "bullet_line_fraction": {"max": 0.9},
        "ellipsis_line_fraction": {"max": 0.3},
        "alphabetic_word_fraction": {"min": 0.8},
        "stop_word_count": {"min": 2},
    }
    texts = [
        *TEXTS,
        *(f"# {'# '.join(text.split())}" for text in TEXTS[:5]),
        *(text.replace(".", "...") for text in TEXTS[:5]),
        *(text[:200] for text in TEXTS[:5]),
    ]
    rules = GopherQualityFilter()
    theirs = [rules.filter(Document(text=text, id="")) is True for text in texts]
    assert [found is None for found in judge_texts(texts, bounds)] == theirs
    assert 0 < sum(theirs) < len(theirs)
