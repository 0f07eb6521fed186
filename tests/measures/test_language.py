"""Language: the right one, the same one in any batch, and a script for Chinese."""

import io
import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from pipeline.measures.language import LanguageId, sample, script_of, spaced

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "langid"


@pytest.fixture(scope="module")
def identify():
    return LanguageId()


TEXTS = {
    "en": "The committee will meet again on Thursday to discuss the budget for the coming year.",
    "zh": "委员会将于星期四再次开会，讨论明年的预算问题。",
    "ja": "委員会は木曜日に再び会合を開き、来年度の予算について議論します。",
    "ko": "위원회는 목요일에 다시 만나 내년 예산을 논의할 예정이다.",
    "de": "Der Ausschuss tritt am Donnerstag erneut zusammen, um den Haushalt zu beraten.",
}


def test_languages_and_probabilities(identify):
    table = identify(pa.array(list(TEXTS.values())))
    assert table["language"].to_pylist() == list(TEXTS)
    en, zh, both = (table[c].to_pylist() for c in ("p_en", "p_zh", "p_en_or_zh"))
    assert en[0] > 0.8 and zh[1] > 0.9 and max(both[2:]) < 0.3
    assert all(0 <= p <= 1 for p in en + zh + both) and both[0] == pytest.approx(min(en[0] + zh[0], 1))


def test_cantonese_and_japanese_without_kana_are_chinese(identify):
    table = identify(pa.array(["佢哋喺度做緊乜嘢呀？我都唔知點解會咁樣。", "日本語"]))
    assert table["language"].to_pylist() == ["zh", "zh"]


def test_a_text_is_judged_alone(identify):
    texts = [t * n for t in TEXTS.values() for n in (1, 40)]
    together = identify(pa.array(texts)).to_pylist()
    assert together == [identify(pa.array([t])).to_pylist()[0] for t in texts] == identify(pa.array(texts[::-1])).to_pylist()[::-1]


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000", None])
def test_texts_without_a_letter(identify, text):
    row = identify(pa.array([text], pa.string())).to_pylist()[0]
    assert row == {"language": None, "language_score": 0.0, "script": "", "p_en": 0.0, "p_zh": 0.0, "p_en_or_zh": 0.0}


@pytest.mark.parametrize("text", ["\0", "12345", "\ufffd", "!!!", "\U0001f600", "a" * 100_000, "\x1c\x85"])
def test_odd_texts_have_finite_numbers(identify, text):
    row = identify(pa.array([text])).to_pylist()[0]
    assert 0 <= row["language_score"] <= 1 and 0 <= row["p_en_or_zh"] <= 1


def test_script():
    assert script_of("这是简体中文") == "Hans"
    assert script_of("這是繁體中文") == "Hant"
    assert script_of("这是简体這是繁體") == "mixed"
    assert script_of("中文 and 日文") == ""


def test_a_space_around_each_han_character():
    assert spaced("你好world再见").split() == ["你", "好", "world", "再", "见"]
    assert spaced("abc").strip() == "abc" and spaced("") == ""
    assert spaced("𠀀x").split() == ["𠀀", "x"]


def test_long_texts_are_sampled_at_three_places():
    text = "a" * 5000 + "b" * 5000 + "c" * 5000
    seen = sample(text)
    assert len(seen) == 602 and {"a", "b", "c"} <= set(seen)
    assert sample("short\ntext") == "short text"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sentences of ../shared/data/langid are not here")
def test_accuracy_on_sentences(identify):
    texts = defaultdict(list)
    with open(SHARED / "lingua_sentences.dev.jsonl.zst", "rb") as handle:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(handle), encoding="utf-8"):
            row = json.loads(line)
            if row["lang"] in ("en", "zh", "ja", "ko"):
                texts[row["lang"]].append(row["text"])
    for language, least in (("en", 0.995), ("zh", 0.995), ("ja", 0.995), ("ko", 0.985)):
        found = identify(pa.array(texts[language]))["language"].to_pylist()
        assert found.count(language) / len(found) >= least, language
