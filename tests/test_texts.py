"""Texts takes any batch of strings without changing what is counted, and counts once."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.kernels import counting
from pipeline.texts import Texts, fraction

ROWS = ["One two.", None, "", "中文 text", "three\nfour"]
WORDS = [2, 0, 0, 3, 2]


@pytest.mark.parametrize(
    "batch",
    [
        ROWS,
        pa.array(ROWS, pa.string()),
        pa.array(ROWS, pa.large_string()),
        pa.array(ROWS, pa.string_view()),
        pa.array(ROWS).dictionary_encode(),
        pa.chunked_array([ROWS[:2], [], ROWS[2:]], pa.string()),
        pa.chunked_array([ROWS], pa.large_string()),
        pa.array(["before", *ROWS, "after"]).slice(1, 5),
        pa.chunked_array([["before", *ROWS[:3]], [*ROWS[3:], "after"]]).slice(1, 5),
    ],
)
def test_any_column_of_strings(batch: object) -> None:
    texts = Texts(batch)  # type: ignore[arg-type]  # that is what is tested
    assert len(texts) == 5
    assert texts.words.tolist() == WORDS
    assert texts.text(3) == "中文 text"


def test_no_rows() -> None:
    for batch in ([], pa.array([], pa.string()), pa.chunked_array([], pa.string()), pa.array([None, None])):
        texts = Texts(batch)
        assert texts.words.tolist() == [0] * len(texts)
        assert texts.duplicate_lines.tolist() == texts.generated.tolist() == [0] * len(texts)


def test_a_null_with_bytes_behind_it_is_empty() -> None:
    array = pa.array(["abc", "def"])
    validity = pa.py_buffer(bytes([0b10]))
    hidden = pa.Array.from_buffers(pa.string(), 2, [validity, *array.buffers()[1:]])
    assert Texts(hidden).characters.tolist() == [0, 3]


def test_the_bytes_of_an_arrow_array_are_not_copied() -> None:
    array = pa.array(["a" * 1000, "b" * 1000], pa.large_string())
    texts = Texts(array)
    assert texts.data.__array_interface__["data"][0] == array.buffers()[2].address
    assert texts[1:].data is texts.data
    assert texts[1:].characters.tolist() == [1000]


def test_numbers_are_no_texts() -> None:
    with pytest.raises(TypeError, match="int64"):
        Texts(pa.array([1, 2]))
    with pytest.raises(ValueError, match="runs of rows"):
        Texts(["a", "b"])[::2]


def test_counting_happens_once_and_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    count = counting.count
    monkeypatch.setattr(counting, "count", lambda data, offsets: calls.append(1) or count(data, offsets))
    texts = Texts(["a b"])
    assert not calls
    assert texts.words.tolist() == [2]
    assert texts.lines.tolist() == [1]
    assert texts.entropy.tolist() == [pytest.approx(np.log(2))]
    assert len(calls) == 1


def test_finding_repetition_counts_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = Texts(["a b\na b"])
    assert texts.duplicate_lines.tolist() == [1]
    monkeypatch.setattr(counting, "count", None)  # would fail
    assert texts.words.tolist() == [4]


def test_fraction_is_zero_where_there_is_nothing() -> None:
    assert fraction(np.array([1, 0, 3]), np.array([2, 0, 0])).tolist() == [0.5, 0, 0]


def test_threads_share_nothing() -> None:
    """The kernels release the lock and keep buffers per thread: eight threads count the same as one."""
    from concurrent.futures import ThreadPoolExecutor

    batches = [[f"{k} words and {k} words and {k} 个字。" * (k + 1)] * 20 for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda batch: Texts(batch).duplicate_ngram_characters(5).tolist(), batches * 4))
    assert found == [Texts(batch).duplicate_ngram_characters(5).tolist() for batch in batches * 4]
