"""What a model's folder must say, what becomes of its numbers, and that a text's columns are its own whatever stands beside it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.measures.classifier import Classifier, describe, engines
from pipeline.measures.networks import FasttextScores, OnnxScores
from pipeline.measures.windows import windows
from tests.models import HARMLESS, LABELS, LANGUAGES, SENSITIVE, bundled_files, card, language_files, write_checkpoint, write_model

TEXTS = [
    "",
    " \n",
    "a",
    "b" * 3000,
    HARMLESS,
    HARMLESS * 60,
    "短。",
    "字" * 4000,
    "The committee will meet again on Thursday.",
    "委员会将于星期四再次开会，讨论明年的预算问题。",
]
ANY_LANGUAGE = st.sampled_from(["en", "zh", "other", None])
CASES = st.lists(st.tuples(st.text(st.characters(exclude_categories=("Cs",)), max_size=600), ANY_LANGUAGE), min_size=1, max_size=6)


def rows(columns: dict[str, pa.Array]) -> list[dict[str, Any]]:
    return pa.table(columns).to_pylist()


@pytest.fixture(scope="module")
def bundled() -> Classifier:
    return Classifier(SENSITIVE, limit=4)


# --- a text alone -----------------------------------------------------------------------------------------------------------------


def test_a_text_alone_has_the_columns_that_it_has_in_any_batch(bundled: Classifier) -> None:
    languages = ["en", "zh"] * (len(TEXTS) // 2)
    alone = [rows(bundled([text], [language]))[0] for text, language in zip(TEXTS, languages, strict=True)]
    assert rows(bundled(TEXTS, languages)) == alone
    assert rows(bundled(TEXTS[::-1], languages[::-1])) == alone[::-1]
    for column in ("_" + label for label in LABELS):
        assert all(0 <= row[column] <= 1 and 0 <= row[column + "_mean"] <= 1 for row in alone)


@settings(max_examples=10, deadline=None)
@given(CASES, st.integers(0, 6))
def test_any_text_alone_has_the_columns_that_it_has_in_any_batch(bundled: Classifier, cases: list[tuple[str, str | None]], cut: int) -> None:
    alone = [rows(bundled([text], [language]))[0] for text, language in cases]
    parts = [part for part in (cases[:cut], cases[cut:]) if part]
    assert [row for part in parts for row in rows(bundled([t for t, _ in part], [x for _, x in part]))] == alone
    for row in alone:
        assert all(np.isfinite(value) for value in row.values() if isinstance(value, float))


def test_columns_are_those_that_were_announced(bundled: Classifier, tmp_path: Path) -> None:
    choice = Classifier(write_model(tmp_path, card("choice", LANGUAGES, student=True, network=False), language_files()))
    for classifier in (bundled, choice):
        for texts in (TEXTS, []):
            found, announced = classifier(texts, ["en"] * len(texts)), classifier.described.columns("x")
            assert ["x" + end for end in found] == announced.names
            assert [column.type for column in found.values()] == announced.types
            assert {len(column) for column in found.values()} == {len(texts)}


def test_a_blank_text_is_judged_by_nobody(bundled: Classifier, tmp_path: Path) -> None:
    for row in rows(bundled(["", "\n \u3000", None], ["en", "zh", None])):
        assert row.pop("_model") is None
        assert set(row.values()) == {0.0}
    choice = Classifier(write_model(tmp_path, card("choice", LANGUAGES, student=True, network=False), language_files()))
    assert rows(choice([""], ["en"])) == [{"": None, "_score": None, "_model": None}]


@pytest.mark.parametrize("text", ["a" * 10_000_000, "字" * 3_300_000, "word " * 2_000_000, "\x00" * 10_000_000], ids=lambda text: repr(text[:5]))
def test_ten_megabytes_have_a_defined_score(bundled: Classifier, text: str) -> None:
    (row,) = rows(bundled([text], ["en"]))
    assert row.pop("_model") == "bert"
    assert all(0 <= value <= 1 for value in row.values())


# --- thresholds --------------------------------------------------------------------------------------------------------------------


def thresholds(**languages: float) -> str:
    """A description of a labels model with one threshold a language."""
    plain = card().split("[thresholds.", maxsplit=1)[0]
    return plain + "".join(f"[thresholds.{name}]\n" + "".join(f"{label} = {value}\n" for label in LABELS) for name, value in languages.items())


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return bundled_files()


def test_shares_follow_the_threshold_of_the_language(files: dict[str, bytes], tmp_path: Path) -> None:
    model = Classifier(write_model(tmp_path, thresholds(en=0.0, zh=1.1), files))
    en, zh, unknown, nobody = rows(model([HARMLESS * 20] * 4, ["en", "zh", "fr", None]))
    for label in LABELS:
        assert [row[f"_{label}"] for row in (en, zh)] == [1.0, 0.0]
        assert unknown[f"_{label}"] == nobody[f"_{label}"] == 0.0, "an unknown language has the strictest threshold"
        assert en[f"_{label}_mean"] == zh[f"_{label}_mean"] == unknown[f"_{label}_mean"]


@pytest.mark.parametrize("limit", [None, 5])
def test_columns_are_means_over_windows_and_never_the_maximum(files: dict[str, bytes], limit: int | None, tmp_path: Path) -> None:
    text = "".join(f"{i}. {HARMLESS}" for i in range(60)) + "完全不同的话题：今天的足球比赛以三比二结束。" * 40
    scores, _ = Classifier(write_model(tmp_path / "any", card(), files)).judge(windows(text, int((128 - 2) / 1.2), limit))
    assert len(scores) == limit or len(scores) > 20
    middle = float(scores[:, 0].mean())
    (row,) = rows(Classifier(write_model(tmp_path, thresholds(en=middle, zh=1.1), files), limit=limit)([text], ["en"]))
    for i, label in enumerate(LABELS):
        assert row[f"_{label}_mean"] == pytest.approx(scores[:, i].mean(), rel=1e-12)
        assert row[f"_{label}"] == pytest.approx((scores[:, i] >= middle).mean(), rel=1e-12)
    if limit is None:
        assert 0 < row[f"_{LABELS[0]}"] < 1


# --- choice and cascade -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Folders with a student (which knows languages) and a network (which has as many outputs)."""

    def write(task: str, more: str = "") -> str:
        return write_model(tmp_path_factory.mktemp("both"), card(task, LANGUAGES, student=True, more=more), {**files, **language_files()})

    return write


GERMAN = "Der Ausschuss tritt am Donnerstag erneut zusammen, um den Haushalt zu beraten. "


def test_a_choice_is_the_likeliest_label_over_all_windows(both: Callable[[str], str]) -> None:
    model = Classifier(both("choice"), cascade=["fasttext"])
    found = rows(model(["The committee will meet again on Thursday. " * 50, GERMAN], ["en", None]))
    assert [row[""] for row in found] == ["en", "de"]
    assert all(0.3 < row["_score"] <= 1 for row in found)
    assert [row["_model"] for row in found] == ["fasttext", "fasttext"]


def test_without_a_cascade_the_network_judges_alone(both: Callable[[str], str]) -> None:
    name = both("choice")
    assert Classifier(name).kinds == ("bert",)
    found = rows(Classifier(name)([GERMAN], ["en"]))
    assert found[0]["_model"] == "bert"
    assert found == rows(Classifier(name, cascade=["bert"])([GERMAN], ["en"]))
    total, _ = Classifier(name).judge([GERMAN])
    assert total.sum() == pytest.approx(1), "a choice is a distribution"


def test_what_the_student_is_sure_of_leaves_early(both: Callable[[str], str]) -> None:
    name = both("choice")
    passages = [GERMAN, HARMLESS, "a", "zzz"]
    student, _ = Classifier(name, cascade=["fasttext"]).judge(passages)
    network, _ = Classifier(name, cascade=["bert"]).judge(passages)
    first = student.max(axis=1)
    for low, high in ((0.0, 1.0), (2.0, 3.0), (float(np.median(first)), 1.0), (0.0, float(np.median(first)))):
        scores, by_network = Classifier(name, cascade=["fasttext", "bert"], band=(low, high)).judge(passages)
        expected = (first >= low) & (first <= high)
        assert by_network.tolist() == expected.tolist()
        assert np.array_equal(scores, np.where(expected[:, None], network, student))


def test_labels_are_judged_by_both_together_and_what_left_early_is_not_flagged(both: Callable[[str], str]) -> None:
    """However sure the student is of a label, the network is asked too; what it sees no label in leaves with its own probabilities, unflagged."""
    name = both("labels")
    passages = [GERMAN, HARMLESS, "a", "zzz"]
    student = FasttextScores(f"{name}/student.ftz", LANGUAGES)(passages)
    network = OnnxScores(f"{name}/model.onnx", f"{name}/tokenizer.json", LANGUAGES, 256)(passages)
    odds = [np.log(np.clip(p, 1e-4, 1 - 1e-4) / (1 - np.clip(p, 1e-4, 1 - 1e-4))) for p in (student, 1 / (1 + np.exp(-network)))]
    both_say = 1 / (1 + np.exp(-(odds[0] + odds[1]) / 2))
    for low in (0.0, float(np.median(student.max(axis=1))), 2.0):
        model = Classifier(name, cascade=["fasttext", "bert"], band=(low, 3.0))
        scores, by_network = model.judge(passages)
        asked = student.max(axis=1) >= low
        assert by_network.tolist() == asked.tolist()
        assert np.allclose(scores, np.where(asked[:, None], both_say, student), atol=1e-12)
        for row, left in zip(rows(model(passages, [None] * 4)), ~asked, strict=True):
            assert not left or not any(row[f"_{label}"] for label in LANGUAGES)
    assert Classifier(name).judge(passages)[1].all(), "without a cascade nothing leaves early"
    for alone in ("fasttext", "bert"):
        with pytest.raises(ModelError, match="its thresholds are those of its models together"):
            Classifier(name, cascade=[alone])


def test_the_model_column_says_who_judged(both: Callable[[str], str]) -> None:
    name = both("choice")
    parts = [GERMAN * 6, "zq xv wk jj " * 60]
    student = Classifier(name, cascade=["fasttext"])
    low, high = sorted(float(student.judge([part])[0].max()) for part in parts)
    cascade = Classifier(name, cascade=["fasttext", "bert"], band=(0.0, (low + high) / 2))
    found = rows(cascade(["".join(parts), parts[0], parts[1], ""], [None] * 4))
    assert [row["_model"] for row in found] == ["both", "fasttext", "bert", None]


def test_the_band_is_the_models_own_where_none_is_said(both: Callable[[str], str]) -> None:
    name = both("choice", "[cascade]\nband = [0.25, 0.75]")
    assert describe(name).band == Classifier(name, cascade=["fasttext", "bert"]).band == (0.25, 0.75)
    assert Classifier(name, cascade=["fasttext", "bert"], band=(0.1, 0.2)).band == (0.1, 0.2)
    assert describe(both("choice")).band == (0.0, 1.0)


def test_a_cascade_of_what_a_model_does_not_have_is_refused() -> None:
    about = describe(SENSITIVE)
    missing = [kind for kind in ("fasttext", "bert", "gpt") if kind not in about.kinds]
    with pytest.raises(ModelError, match=rf"{SENSITIVE} has no {' and no '.join(missing)} model; it has {', '.join(about.kinds)}\."):
        Classifier(SENSITIVE, cascade=("fasttext", "bert", "gpt"))  # type: ignore[arg-type]  # that is the point


def test_labels_that_are_asked_for_and_not_there_are_named() -> None:
    assert Classifier(SENSITIVE, labels=LABELS[:2])
    with pytest.raises(ModelError, match=rf"{SENSITIVE} has no label colour, shape; it has {', '.join(LABELS)}\."):
        Classifier(SENSITIVE, labels=(LABELS[0], "shape", "colour"))


# --- descriptions --------------------------------------------------------------------------------------------------------------------

FILES = {"model.onnx": b"network", "tokenizer.json": b"tokenizer"}
GRADE = "[grade]\nmiddle = 2.0\nhead = 3.0\n"
# fault -> (description, what is said of it)
FAULTS = {
    "no task": (card().replace("task =", "taks ="), r"model\.toml says nothing of 'task'\."),
    "no labels": (card().replace("labels =", "label ="), r"model\.toml says nothing of 'labels'\."),
    "unknown task": (card("lables"), r"model\.toml: task is 'lables'; it must be labels, grade or choice\."),
    "no network": (card(network=False), r"model\.toml describes neither a \[fasttext\] nor a \[bert\] model\."),
    "a file that is not listed": (
        card().replace('"model.onnx"', '"other.onnx"'),
        r"\[bert\] names the file 'other\.onnx', which \[files\] does not list with its sha256",
    ),
    "no tokenizer": (card().replace("tokenizer =", "#"), r"\[bert\] names the tokenizer 'None', which \[files\] does not list"),
    "no thresholds": (card().split("[thresholds", maxsplit=1)[0], r"model\.toml has no \[thresholds\.LANGUAGE\]\."),
    "a label without threshold": (
        card()[::-1].replace(f"{LABELS[0]} = "[::-1], "other = "[::-1], 1)[::-1],
        rf"\[thresholds\.zh\] says nothing of {LABELS[0]}; every label needs a threshold",
    ),
    "thresholds without language": (
        card().split("[thresholds", maxsplit=1)[0] + "[thresholds]\n" + "".join(f"{label} = 0.5\n" for label in LABELS),
        rf"thresholds stand by language, as in \[thresholds\.en\]; '{LABELS[0]}' is none",
    ),
    "a grade with several labels": (card("grade", more=GRADE), r"a grade has one label, and \[grade\] says from where on it is `middle` and `head`"),
    "a grade without buckets": (card("grade", ["quality"]), r"a grade has one label, and \[grade\] says from where on it is `middle` and `head`"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_description_that_does_not_suffice_is_refused(fault: str, tmp_path: Path) -> None:
    text, message = FAULTS[fault]
    name = write_model(tmp_path, text, FILES)
    with pytest.raises(ModelError, match=message) as caught:
        describe(name)
    assert str(tmp_path) in str(caught.value)


def test_a_good_description_is_read(tmp_path: Path) -> None:
    about = describe(write_model(tmp_path, card(), FILES))
    assert (about.task, about.labels, about.kinds, about.max_length) == ("labels", LABELS, ("bert",), 128)
    assert about.thresholds == {language: dict.fromkeys(LABELS, 0.5) for language in ("en", "zh")}
    assert about.columns("s").names == [f"s_{label}{end}" for label in LABELS for end in ("", "_mean")] + ["s_model"]


def test_a_grade_is_described_by_one_number_and_its_bucket(tmp_path: Path) -> None:
    about = describe(write_model(tmp_path, card("grade", ["quality"], more=GRADE), FILES))
    assert about.columns("quality") == pa.schema([("quality", pa.float64()), ("quality_bucket", pa.string()), ("quality_model", pa.string())])
    assert about.buckets == (2.0, 3.0)
    assert about.band == (0.0, 5.0)


def test_a_network_that_does_not_fit_the_labels_is_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    name = write_model(tmp_path, card("choice", ["one", "two"]), files)
    with pytest.raises(ModelError, match=rf"{tmp_path}/model\.onnx gives {len(LABELS)} numbers a passage, but its model\.toml names 2 labels: one, two"):
        Classifier(name)


def test_a_student_that_does_not_know_the_labels_is_refused(tmp_path: Path) -> None:
    name = write_model(tmp_path, card("choice", ["en", "no_language"], student=True, network=False), language_files())
    with pytest.raises(ModelError, match=rf"{tmp_path}/student\.ftz knows no label no_language, which its model\.toml names"):
        Classifier(name)


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"{tmp_path} holds neither a model\.toml nor a config\.json: it is no model that can be opened here"):
        describe(str(tmp_path))


@pytest.mark.parametrize("precision", ["cpu-fp32", "cuda-bf16"])
def test_a_precision_that_the_folder_does_not_hold_is_refused(precision: Any, files: dict[str, bytes], tmp_path: Path) -> None:
    name = write_model(tmp_path, card(), files)
    for ask in (lambda: Classifier(name, precision=precision), lambda: engines(name, None, precision)):
        with pytest.raises(ModelError, match=rf"{tmp_path} holds its network in int8 alone: say `precision: cpu-int8`, or put the checkpoint"):
            ask()


# --- identity ------------------------------------------------------------------------------------------------------------------------


def test_engines_are_those_of_the_models_that_judge(both: Callable[[str], str]) -> None:
    name = both("choice")
    student, network, cascade = (engines(name, kinds, "cpu-int8") for kinds in (["fasttext"], None, ["fasttext", "bert"]))
    common = {"numerics", "classifier"}
    assert student.keys() == common | {"fasttext-predict"}
    assert network.keys() == common | {"onnxruntime", "tokenizers"}
    assert cascade.keys() == student.keys() | network.keys()
    assert cascade["numerics"] == "cpu-int8"
    with pytest.raises(ModelError, match=r"has no gpt model"):
        engines(name, ["gpt"], "cpu-int8")  # type: ignore[list-item]  # that is the point


# --- checkpoints of transformers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Write a tiny random BERT with these labels, as anybody's save_pretrained does."""
    return partial(write_checkpoint, tmp_path / "checkpoint")


def logits(folder: Path, passages: list[str]) -> np.ndarray:
    """What transformers itself says of passages, one at a time."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        given = [tokenizer(passage, truncation=True, max_length=64, return_tensors="pt") for passage in passages]
        return np.concatenate([model(**tokens).logits.numpy() for tokens in given]).astype(np.float64)


def kept(folder: Path) -> dict[str, bytes]:
    """The checkpoint's own files, and something for the int8 network that is not opened."""
    return {"model.onnx": b"network", **{name: (folder / name).read_bytes() for name in ("tokenizer.json", "config.json", "model.safetensors")}}


PASSAGES = [GERMAN, HARMLESS, "a", "字" * 200, "\x00"]


@pytest.mark.train
def test_several_labels_of_a_checkpoint_are_sigmoids_of_its_logits(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("calm", "loud", "odd", problem_type="multi_label_classification")
    model = Classifier(str(folder), precision="cpu-fp32")
    assert (model.described.task, model.described.labels) == ("labels", ("calm", "loud", "odd"))
    expected = 1 / (1 + np.exp(-logits(folder, PASSAGES)))
    scores, by_network = model.judge(PASSAGES)
    assert np.abs(scores - expected).max() < 1e-5
    assert by_network.all()
    short = [GERMAN, "a"]
    for row, mean in zip(rows(model(short, ["en", None])), 1 / (1 + np.exp(-logits(folder, short))), strict=True):
        assert [row[f"_{label}_mean"] for label in ("calm", "loud", "odd")] == pytest.approx(mean.tolist(), abs=1e-5)
        assert [row[f"_{label}"] for label in ("calm", "loud", "odd")] == (mean >= 0.5).tolist()


@pytest.mark.train
def test_a_choice_of_a_checkpoint_is_a_softmax_of_its_logits(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("calm", "loud", "odd")
    model = Classifier(str(folder), precision="cpu-fp32")
    assert model.described.task == "choice"
    raised = np.exp(logits(folder, PASSAGES))
    assert np.abs(model.judge(PASSAGES)[0] - raised / raised.sum(axis=1, keepdims=True)).max() < 1e-5


@pytest.mark.train
def test_one_output_of_a_checkpoint_is_a_grade_from_0_to_5(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("grade")
    model = Classifier(str(folder), precision="cpu-fp32")
    assert model.described.task == "grade"
    expected = np.clip(logits(folder, PASSAGES), 0, 5)
    assert np.abs(model.judge(PASSAGES)[0] - expected).max() < 1e-5
    for row, grade in zip(rows(model([GERMAN, "a"], [None, None])), np.clip(logits(folder, [GERMAN, "a"]), 0, 5)[:, 0], strict=True):
        assert row[""] == pytest.approx(grade, abs=1e-5)
        assert row["_bucket"] == ("head" if row[""] >= 3 else "middle" if row[""] >= 2 else "tail")


@pytest.mark.train
def test_buckets_begin_where_the_description_says(checkpoint: Callable[..., Path]) -> None:
    """A checkpoint beside a model.toml: the network in full precision."""
    folder = checkpoint("quality")
    texts = [GERMAN[:n] for n in range(3, len(GERMAN), 4)] + [HARMLESS[:n] for n in range(3, len(HARMLESS), 4)]
    grades = np.clip(logits(folder, texts), 0, 5)[:, 0]
    inner = np.unique(grades[(grades > 0) & (grades < 5)])
    assert len(inner) > 4
    middle, head = (float((inner[i] + inner[i + 1]) / 2) for i in (len(inner) // 3, 2 * len(inner) // 3))
    write_model(folder, card("grade", ["quality"], more=f"[grade]\nmiddle = {middle}\nhead = {head}"), kept(folder))
    found = Classifier(str(folder), precision="cpu-fp32")(texts, ["en"] * len(texts))["_bucket"].to_pylist()
    assert found == np.where(grades >= head, "head", np.where(grades >= middle, "middle", "tail")).tolist()
    assert set(found) == {"head", "middle", "tail"}


@pytest.mark.train
def test_a_checkpoint_whose_labels_are_not_those_described_is_refused(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("calm", "loud")
    write_model(folder, card("choice", ["loud", "calm"]), kept(folder))
    with pytest.raises(ModelError, match=rf"The checkpoint {folder} has the labels calm, loud, where loud, calm were expected"):
        Classifier(str(folder), precision="cpu-fp32")


@pytest.mark.train
def test_a_checkpoint_has_no_int8_network(checkpoint: Callable[..., Path]) -> None:
    folder = str(checkpoint("calm", "loud"))
    for ask in (lambda: Classifier(folder), lambda: engines(folder, None, "cpu-int8")):
        with pytest.raises(
            ModelError, match=rf"{folder} is a checkpoint of transformers without an int8 network: say `precision: cpu-fp32` or `cuda-bf16`, or export it"
        ):
            ask()


@pytest.mark.train
@pytest.mark.parametrize("config", ["{", '{"model_type": "no_such_model"}'], ids=["no json", "unknown kind"])
def test_a_config_that_transformers_cannot_read_is_named(config: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelError, match=rf"transformers cannot open the checkpoint {tmp_path}: "):
        describe(str(tmp_path))


@pytest.mark.train
def test_a_hub_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    pytest.importorskip("transformers")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    with pytest.raises(
        ModelError, match=rf"transformers cannot open the checkpoint nobody/nothing at {commit}: .*Is the Hub reachable, and is there such a commit\?"
    ):
        describe(f"hub:nobody/nothing@{commit}")
