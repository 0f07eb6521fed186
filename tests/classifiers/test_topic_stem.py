"""The two small models that ship: what they say of themselves is what they are, and how their examples are chosen."""

import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from classifiers import data
from classifiers.stem import train as stem
from classifiers.students import is_test, written
from classifiers.topic import train as topic
from pipeline.errors import ModelError
from pipeline.measures.classifier import Classifier, describe
from pipeline.measures.networks import FasttextScores
from pipeline.store import MODELS

BOTH = pytest.mark.parametrize("module", [topic, stem], ids=["topic", "stem"])
FIVE_MB = 5_000_000


@BOTH
def test_the_bundled_folder_opens_and_is_small(module: ModuleType) -> None:
    about = describe(f"bundled:{module.HERE.name}")
    assert about.kinds == ("fasttext",)
    assert (module.HERE / "model.ftz").stat().st_size <= FIVE_MB
    assert MODELS[module.HERE.name][2] == about.folder.sha256


def test_topic_is_a_choice_of_24_and_stem_one_label_with_a_threshold_a_language() -> None:
    of_topic, of_stem = describe("bundled:topic"), describe("bundled:stem")
    assert (of_topic.task, of_topic.labels, len(of_topic.labels)) == ("choice", topic.TOPICS, 24)
    assert (of_stem.task, of_stem.labels, sorted(of_stem.thresholds)) == ("labels", ("stem",), ["en", "zh"])
    assert all(0.5 <= given["stem"] < 1 for given in of_stem.thresholds.values())


@BOTH
def test_every_label_is_described(module: ModuleType) -> None:
    described = re.findall(r"^\| `(\w+)` \|", (module.HERE / "labels.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(described) == sorted(describe(f"bundled:{module.HERE.name}").labels)


@BOTH
def test_what_taught_it_may_teach_and_stands_in_the_card(module: ModuleType) -> None:
    card = (module.HERE / "card.md").read_text(encoding="utf-8")
    for name in module.SETS:
        assert data.may_train(name), name
        assert f"`{name}`" in card, name


def test_what_is_only_measured_with_never_teaches() -> None:
    outside = [*topic.OUTSIDE, *(name for names in stem.OUTSIDE_CLEAN.values() for name in names)]
    assert outside
    assert not any(data.may_train(name) for name in outside)


@BOTH
def test_the_card_repeats_the_measured_figures(module: ModuleType) -> None:
    card = (module.HERE / "card.md").read_text(encoding="utf-8")
    table = card.partition("<!-- figures")[2].partition("<!-- end of figures -->")[0]
    measured = tomllib.loads((module.HERE / "model.toml").read_text(encoding="utf-8"))["measured"]
    figures = [value for about in measured.values() for key, value in about.items() if key != "n"]
    assert len(figures) >= 6
    for value in figures:
        assert f"| {value:.3f} (" in table, value


@BOTH
def test_mirrored_passages_are_on_one_side(module: ModuleType) -> None:
    rows = written(module.HERE / "written.jsonl")
    side = topic.in_test if module is topic else lambda row: is_test(row["number"])
    sides: dict[tuple[object, int], set[bool]] = {}
    for row in rows:
        sides.setdefault((row.get("label", row.get("stem")), row["number"]), set()).add(side(row))
    assert all(len(s) == 1 for s in sides.values())
    assert 0.27 <= np.mean([side(row) for row in rows]) <= 0.33


def test_obvious_texts_get_their_topic_and_a_blank_one_none() -> None:
    texts = [
        "The patient was given antibiotics for the infection, and the doctor checked her blood pressure.",
        "患者应坚持服用药物，如出现头晕、胸闷等症状应及时到医院就诊。",
        " \n",
    ]
    got = Classifier("bundled:topic")(texts, ["en", "zh", "en"])
    assert got[""].to_pylist() == ["health", "health", None]
    assert got["_model"].to_pylist() == ["fasttext", "fasttext", None]


def test_a_derivation_ranks_above_gossip_in_both_languages() -> None:
    texts = [
        "Let f(x) = x^2. Then f'(x) = 2x by the definition of the derivative, so the slope at x = 3 is 6. Exercise: prove that f is convex.",
        "The actress was seen on the red carpet on Friday with her new husband, and her fans could not stop talking about the dress.",
        "设函数 $f(x)=x^2$，由导数的定义得 $f'(x)=2x$，故在 $x=3$ 处的斜率为6。习题：证明 $f$ 是凸函数。",
        "这位女星周五与新婚丈夫一同亮相红毯，粉丝们对她的礼服议论纷纷，现场气氛十分热闹。",
    ]
    means = Classifier("bundled:stem")(texts, ["en", "en", "zh", "zh"])["_stem_mean"].to_pylist()
    assert min(means[0], means[2]) > 0.5 > max(means[1], means[3])


@BOTH
def test_a_passage_has_the_same_score_alone_and_in_company(module: ModuleType) -> None:
    model = FasttextScores(module.HERE / "model.ftz", describe(f"bundled:{module.HERE.name}").labels)
    texts = [row["text"] for row in written(module.HERE / "written.jsonl")[::20]]
    assert (model(texts) == np.concatenate([model([text]) for text in texts])).all()


# --- how examples are chosen ---


def test_english_keywords_are_found_at_word_boundaries() -> None:
    assert topic.found("An espresso, and a Cheesecake.", "en") == {"espresso", "cheesecake"}
    assert topic.found("espressos cheesecakey", "en") == set()
    assert topic.found("a Hindu\n temple by the lake", "en") == {"hindu temple"}
    assert topic.found("the stand-up barista", "en") == {"stand-up", "barista"}


def test_chinese_keywords_are_the_longest_at_their_place() -> None:
    assert topic.found("被告人上诉", "zh") == {"被告人", "上诉"}
    assert topic.found("被告人与被告", "zh") == {"被告人", "被告"}


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ({"espresso", "barista"}, None),
        ({"espresso", "barista", "brunch"}, "food_and_dining"),
        ({"espresso", "barista", "brunch", "safari"}, "food_and_dining"),
        ({"espresso", "barista", "brunch", "safari", "airbnb"}, None),
        ({"espresso", "barista", "brunch", "cuisine", "safari", "airbnb"}, "food_and_dining"),
        (set(), None),
    ],
)
def test_a_topic_needs_three_keywords_and_twice_as_many_as_the_next(words: set[str], label: str | None) -> None:
    assert topic.topic_of(words, "en") == label


def test_planted_passages_hold_keywords_of_their_topic_alone_and_are_the_same_every_time() -> None:
    plain = ["one two three four five six seven eight nine ten eleven twelve " * 3]
    made = list(topic.planted(plain, "en", "travel", 20))
    assert made == list(topic.planted(plain, "en", "travel", 20))
    for text in made:
        assert {topic.keywords("en")[word] for word in topic.found(text, "en")} == {"travel"}
    assert all(len(topic.found(text, "zh")) >= 2 for text in topic.planted(["一二三四五六七八九十" * 9], "zh", "travel", 20))


@pytest.mark.parametrize(
    ("set_name", "fields", "window", "expected"),
    [
        ("text_train/zh-textbook-qa", {"domain": "textbook"}, "词", True),
        ("text_train/zh-docs-infra", {"domain": "docs_infra", "source": "pingcap/docs-cn@1:releases/release-6.2.0.md"}, "词", False),
        ("text_train/zh-docs-infra", {"domain": "docs_infra", "source": "apache/apisix@1:docs/a.md"}, "词", None),
        ("text_train/en-docs-news-textbook", {"domain": "docs_language"}, "x = 1\ny = f(x)\nimport os\nreturn y", True),
        ("text_train/en-docs-news-textbook", {"domain": "docs_language"}, "Install it.", None),
        ("text/wikitext2_en", {"domain": "en_encyclopedia"}, "A fossil of the species was found.", None),
        ("text/wikitext2_en", {"domain": "en_encyclopedia"}, "The song was released in May.", False),
        ("text_train/en-novel", {"domain": "novel"}, "He whispered.", False),
    ],
)
def test_a_source_says_what_its_windows_are_or_that_one_cannot_tell(set_name: str, fields: dict[str, str], window: str, expected: bool | None) -> None:
    row = data.Row(set_name, 0, window, "zh" if "zh" in set_name else "en", fields)
    assert stem.is_stem(row, window) is expected


def test_the_thresholds_hold_the_mean_rate_over_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = np.append(np.full(199, 0.1), 0.7)  # one of 200 is 0.5 %
    kept = [{"validation": True, "lang": lang, "set": "a", "stem": False, "n": 200, "windows": ["w"]} for lang in ("en", "zh")]
    (tmp_path / "windows.json").write_text(json.dumps(kept), encoding="utf-8")
    assert stem.thresholds(lambda _: clean[:, None], tmp_path) == {"en": 0.5, "zh": 0.5}
    monkeypatch.setattr(stem, "RATE", 0.004)
    assert stem.thresholds(lambda _: clean[:, None], tmp_path) == {"en": 0.71, "zh": 0.71}
    (tmp_path / "windows.json").write_text(json.dumps(kept[:1]), encoding="utf-8")
    with pytest.raises(ModelError, match="no clean zh window"):
        stem.thresholds(lambda _: clean[:, None], tmp_path)
