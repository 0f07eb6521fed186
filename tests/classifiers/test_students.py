"""A student learns, forgets nothing by chance, and takes no text for an instruction. Training needs fasttext-numpy2-wheel."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from classifiers.metrics import Interval
from classifiers.students import interval, is_test, train_student, written
from pipeline.errors import ModelError
from pipeline.measures.networks import FasttextScores, line_of

pytestmark = pytest.mark.train

SMALL = {"dimension": 8, "epochs": 20, "buckets": 1000, "cutoff": 5000}
Example = tuple[str, Sequence[str]]


@pytest.fixture
def trainer() -> None:
    """Skips where the installed fastText only predicts."""
    fasttext = pytest.importorskip("fasttext")
    if not hasattr(fasttext, "train_supervised"):
        pytest.skip("the installed fastText has no train_supervised")


def some(n: int = 200) -> list[Example]:
    """Cats, dogs, both, and neither, one after the other."""
    texts: list[Example] = [
        ("The cat purrs on the {} sofa, 猫在叫。", ["cat"]),
        ("A dog barks at the {} gate, 狗在叫。", ["dog"]),
        ("The cat purrs while the dog barks, {}.", ["cat", "dog"]),
        ("Rain falls on the {} roof, 下雨了。", []),
    ]
    return [(texts[i % 4][0].format(f"w{i % 40}"), texts[i % 4][1]) for i in range(n)]


def test_a_student_tells_labels_apart_and_gives_a_negative_none(tmp_path: Path, trainer: None) -> None:
    train_student(some(), tmp_path / "m.ftz", **SMALL)
    got = FasttextScores(tmp_path / "m.ftz", ("cat", "dog"))(
        ["The cat purrs on the sofa", "A dog barks at the gate", "Rain falls on the roof", "cat purrs dog barks"]
    )
    assert (got >= 0.5).tolist() == [[True, False], [False, True], [False, False], [True, True]]


def test_the_same_examples_give_the_same_bytes_whatever_the_process_did_before(tmp_path: Path, trainer: None) -> None:
    train_student(some(), tmp_path / "a.ftz", **SMALL)
    dirt = [np.full(20_000, 3.3) for _ in range(50)]
    del dirt
    train_student(some(), tmp_path / "b.ftz", **SMALL)
    train_student(some(), tmp_path / "c.ftz", **{**SMALL, "seed": 2})
    digests = [hashlib.sha256((tmp_path / f"{name}.ftz").read_bytes()).hexdigest() for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_words_of_fasttext_in_a_text_are_neither_labels_nor_ends_of_lines(tmp_path: Path, trainer: None) -> None:
    assert line_of("A </s> b\n__label__dog c").split() == ["a", "b", "dog", "c"]
    hostile = [(text.replace("sofa", "sofa __label__evil </s>\n__label__dog"), labels) for text, labels in some()]
    train_student(hostile, tmp_path / "m.ftz", **SMALL)
    with pytest.raises(ModelError, match="no label evil"):
        FasttextScores(tmp_path / "m.ftz", ("cat", "dog", "evil"))
    model = FasttextScores(tmp_path / "m.ftz", ("cat", "dog"))
    assert (model(["The cat purrs on the w1"])[0] >= 0.5).tolist() == [True, False]


def test_a_lone_surrogate_does_not_stop_the_training(tmp_path: Path, trainer: None) -> None:
    train_student([("cat \ud800 purrs", ["cat"]), *some()], tmp_path / "m.ftz", **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["m.ftz"]


def test_the_cut_bounds_the_file(tmp_path: Path, trainer: None) -> None:
    many: list[Example] = [(" ".join(f"word{i}x{j}" for j in range(20)), ["odd"] if i % 2 else []) for i in range(500)]
    train_student(many, tmp_path / "cut.ftz", **{**SMALL, "epochs": 2, "cutoff": 500})
    train_student(many, tmp_path / "whole.ftz", **{**SMALL, "epochs": 2, "cutoff": 50_000})
    assert (tmp_path / "cut.ftz").stat().st_size < (tmp_path / "whole.ftz").stat().st_size / 5


@pytest.mark.parametrize(
    ("examples", "settings", "reason"),
    [
        ([], {}, "nothing to train on"),
        ([("a", ["two words"])], {}, "one word"),
        ([("a", ["none"])], {}, "what a text without labels gets"),
        ([("a", ["x"])], {"buckets": 100}, "256"),
    ],
)
def test_bad_examples_are_refused(tmp_path: Path, examples: list[Example], settings: dict[str, int], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        train_student(examples, tmp_path / "m.ftz", **settings)
    assert not list(tmp_path.iterdir())


def test_a_fasttext_that_only_predicts_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fasttext", ModuleType("fasttext"))
    with pytest.raises(ModelError, match=r"no train_supervised.*fasttext-numpy2-wheel"):
        train_student(some(), tmp_path / "m.ftz", **SMALL)


def test_a_failure_of_the_child_is_told_and_leaves_no_file(tmp_path: Path, trainer: None) -> None:
    with pytest.raises(ModelError, match="fastText failed while it trained"):
        train_student(some(), tmp_path / "m.ftz", rate=1e30, **SMALL)  # which ends in NaN
    assert not list(tmp_path.iterdir())


def test_the_split_is_three_of_ten_numbers() -> None:
    assert [n for n in range(1, 21) if is_test(n)] == [3, 6, 9, 13, 16, 19]
    assert {sum(is_test(n, offset) for n in range(1, 9)) for offset in range(10)} == {2, 3}


def test_a_passage_has_the_number_of_its_id(tmp_path: Path) -> None:
    (tmp_path / "w.jsonl").write_text('{"id": "stem-en-07", "text": "x"}\n{"id": "topic-zh-art_and_design-12", "text": "y"}\n', encoding="utf-8")
    assert [row["number"] for row in written(tmp_path / "w.jsonl")] == [7, 12]


def test_an_interval_is_spelled_with_its_bounds() -> None:
    assert interval(Interval(0.81234, 0.7, 0.899)) == "0.812 (0.70 to 0.90)"
