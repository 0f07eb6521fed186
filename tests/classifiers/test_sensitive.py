"""What `sensitive` is measured with: thresholds that one half fixes and the other checks, what a crawl loses, and what passages say of unknowns."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from classifiers import clean
from classifiers.data import Row
from classifiers.sensitive import crawl
from classifiers.sensitive.measure import cross_fitted, thresholds
from classifiers.sensitive.train import DROPPING, LABELS, target, unknown_of, ways, written


def domain(name: str, lang: str, scores: np.ndarray) -> tuple[clean.Documents, np.ndarray]:
    n = len(scores)
    return clean.Documents(name, lang, [str(i) for i in range(n)], ["x"] * n, np.arange(n)), scores


def test_thresholds_of_one_half_are_tried_on_the_other() -> None:
    quiet = np.full((100, len(LABELS)), 0.1)
    loud = quiet.copy()
    loud[3, LABELS.index("spam")] = 0.9  # in one half only: the other half's thresholds do not know of it
    pair = quiet.copy()
    pair[[4, 7], LABELS.index("adult")] = 0.8  # in both halves: each knows
    found = {
        "text/rust_blog_en": domain("text/rust_blog_en", "en", loud),
        "text/laws_zh": domain("text/laws_zh", "zh", pair),
        "text/oiwiki_zh": domain("text/oiwiki_zh", "zh", quiet),
    }
    assert cross_fitted(found) == {"text/rust_blog_en": (1, 100), "text/laws_zh": (0, 100), "text/oiwiki_zh": (0, 100)}
    limits = thresholds(found)
    for name, (docs, scores) in found.items():
        for label in DROPPING:
            assert not (scores[:, LABELS.index(label)] >= limits[docs.lang][label]).any(), f"{name}: what fixed the thresholds is not dropped"


def test_half_of_a_domain_teaches_where_its_licence_allows_it() -> None:
    texts = [Row("text/laws_zh", i, f"第 {i} 条", "zh", {}) for i in range(400)]
    assert 150 < sum(map(clean.teaches, texts)) < 250
    assert not any(clean.teaches(Row("text/fewclue_tnews_zh", r.number, r.text, "zh", {})) for r in texts), "for evaluation only"
    assert clean.teaches(texts[0]) == clean.teaches(Row("text/laws_zh", 999, texts[0].text + "\n", "zh", {})), "copies stay together"
    assert "political" in unknown_of("text/laws_zh")
    assert "violence" in unknown_of("text_train/zh-novel")


def test_what_nobody_knows_enters_no_loss() -> None:
    place = {name: i for i, name in enumerate(LABELS)}
    assert target(["spam"])[place["spam"]] == 1.0
    assert target(["spam"])[place["adult"]] == 0.0
    assert math.isnan(target(["adult"])[place["spam"]]), "an advertisement for adults may be spam by its form"
    assert target(["adult", "spam"])[place["spam"]] == 1.0
    assert math.isnan(target(["?violence", "abuse"])[place["violence"]])
    found = written(False)
    assert {t for e in found for t in e.target if not math.isnan(t)} == {0.0, 1.0}
    held = {e.key.rsplit("/", 1)[0] for e in written(True)}
    assert not held & {e.key.rsplit("/", 1)[0] for e in found}


def test_the_same_slots_stand_on_both_sides_of_a_label() -> None:
    """Short sentences are put together from slots, twelve ways each, and a group's name is in as many harmless ones as hateful ones."""
    from classifiers.sensitive.train import HERE
    from classifiers.written import passages

    for lang in ("en", "zh"):
        mine = [p for p, _ in passages(HERE / "written") if p.lang == lang and "-c-" in p.key]
        assert all(ways(p) == 12 for p in mine)
        named = [p for p in mine if "{group" in p.text]
        share = np.mean([p.labels == () for p in named])
        assert 0.25 < share < 0.75, (lang, share)


@pytest.mark.parametrize(("lang", "named", "other"), [("en", "My Muslim neighbour baked bread", "muslin cloth"), ("zh", "楼下的穆斯林邻居", "楼下的面包店")])
def test_identity_terms_are_found_as_words(lang: str, named: str, other: str) -> None:
    assert crawl.identity_terms(lang).search(named)
    assert not crawl.identity_terms(lang).search(other)


def test_a_reader_s_marks_outlive_the_next_measurement(tmp_path: Path) -> None:
    bad = "九曜嘉汇娱乐城官网 注册送彩金88元 百家乐 龙虎斗 时时彩 真人视讯 电子游艺 首存送100% 提款秒到账 代理招募 官方网址 hx558.vip "
    good = "今天我们在公园里散步，看见湖边的柳树都绿了。孩子们在草地上放风筝，老人们坐在长椅上下棋，聊着家常。"
    pages = [{"text": bad * 3, "source": "crawl"}, {"text": good * 5, "source": "crawl"}, {"text": "The committee met on Monday. " * 20}]
    flagged = tmp_path / "flagged.jsonl"
    first = crawl.figures(pages, flagged)
    rows = [json.loads(line) for line in flagged.read_text().splitlines()]
    assert {row["text"][:10] for row in rows} == {bad[:10]}, first
    assert all(row["right"] is None for row in rows)
    for row in rows:
        row["right"] = True
    flagged.write_text("".join(json.dumps(row) + "\n" for row in rows))
    again = crawl.figures(pages, flagged)
    assert [json.loads(line)["right"] for line in flagged.read_text().splitlines()] == [True] * len(rows)
    assert "| gambling | 1 | 33.33% | 1 | 1 | 1.00 | 33.33% |" in again
