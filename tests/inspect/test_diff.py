"""Two releases side by side: every document of the difference is explained by the bound that was moved, and the counts are those of a slow count."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.errors import StoreError
from pipeline.inspect import verdicts
from pipeline.inspect.diff import Difference, diff
from tests.running import World, cli, one_paragraph

RECIPE = """
name: fixture
version: "{version}"
sources:
  web: {{reader: warc, files: "sample://small/crawl/*.warc.gz", subdomain: web}}
  social: {{reader: jsonl, files: "sample://small/social/*.jsonl", columns: {{text: text, url: url, date: date, domain: lang}}, subdomain: social}}
stages:
  - extract: {{for: {{source: web}}, main_content: {main}}}
  - normalize: {{for: {{source: [web, social]}}}}
  - language: {{for: {{source: [web, social]}}}}
  - filter: {{name: early, for: {{domain: zh}}, bounds: {{character_count: {{min: {early}}}}}}}
  - deduplicate: {{by: id}}
  - deduplicate: {{by: text}}
  - deduplicate: {{by: minhash, threshold: 0.8, keep: newest}}
  - filter: {{name: late, for: {{domain: en}}, bounds: {{word_count: {{min: {words}}}, stop_word_count: {{min: 2}}}}}}
mix: {{shares: {shares}, max_epochs: {epochs}}}
release: {{validation: {validation}, validation_documents: {held}}}
"""
SETTINGS: dict[str, Any] = {"main": "true", "early": 20, "words": 50, "shares": "{en: 1.0}", "epochs": 1, "validation": 0, "held": 0}


@pytest.fixture(scope="session")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The fixture's recipe with other settings, run in one work folder: only what a setting touches is done again."""
    folder = tmp_path_factory.mktemp("diff")
    done: dict[str, str] = {}

    def make(version: str, inputs: dict[str, str] | None = None, **settings: Any) -> str:
        if version not in done:
            path = folder / f"{version}.yaml"
            path.write_text(RECIPE.format(version=version, **{**SETTINGS, **settings}), encoding="utf-8")
            given = {name: world.inputs[name] for name in ("web", "social")} | (inputs or {})
            done[version] = pipeline.run(pipeline.Recipe.load(path, given), folder / "work", here=True).path
        return done[version]

    return make


@pytest.fixture(scope="session")
def base(made: Callable[..., str]) -> str:
    return made("1")


@pytest.fixture(scope="session")
def stricter(made: Callable[..., str]) -> str:
    """One bound moved, at a stage that nothing follows but a mix that takes everything."""
    return made("2", words=150)


@pytest.fixture(scope="session")
def other(made: Callable[..., str]) -> str:
    """Much moved, and with consequences: early bounds, what is extracted, shares that cut, repeats, validation sets."""
    return made("3", main="false", early=300, words=200, shares="{en: 0.5, zh: 0.5}", epochs="{en: 2, zh: 3}", validation=0.01, held=10)


# --- one bound ------------------------------------------------------------------------------------------------------------------


def test_every_document_is_explained_by_the_bound_that_moved(base: str, stricter: str) -> None:
    found = diff(base, stricter, documents=10_000)
    assert [str(s) for s in found.settings if s.path != ("version",)] == ["stages.late.bounds.word_count.min: 50 -> 150"]
    assert not found.engines and found.text["documents"] == found.repeats["documents"] == 0
    (dropped,) = [c for c in found.changes if c.kind == "dropped"]
    assert dropped.after == {"stage": "late", "reason": "word_count >= 150"} and dropped.domain == "en"
    assert {c.kind for c in found.changes} <= {"dropped", "otherwise"}
    for change in found.changes:
        assert change.because == ("stages.late.bounds.word_count.min: 50 -> 150",)
        assert len(change.examples) == change.documents
        for example in change.examples:
            words = example["value_b"]
            assert 50 <= words < 150 and example["url"]
    gone = {e["id"] for e in dropped.examples}
    assert gone == kept(base).keys() - kept(stricter).keys() and gone
    assert dropped.tokens == sum(kept(base)[i][1] for i in gone) == found.domains["en"]["tokens_only_a"]
    assert found.domains["en"]["only_b"] == 0 and found.domains["en"]["both"] == len(kept(stricter))


def test_the_other_way_round_the_same_documents_come_back(base: str, stricter: str) -> None:
    there, back = diff(base, stricter, documents=10_000), diff(stricter, base, documents=10_000)
    ids = [{e["id"] for c in found.changes if c.kind == kind for e in c.examples} for found, kind in ((there, "dropped"), (back, "restored"))]
    assert ids[0] == ids[1]
    (restored,) = [c for c in back.changes if c.kind == "restored"]
    assert restored.before == {"stage": "late", "reason": "word_count >= 150"}
    assert restored.because == ("stages.late.bounds.word_count.min: 150 -> 50",)


def test_a_bound_that_moved_and_is_still_broken_is_no_change(base: str, stricter: str) -> None:
    """Documents of fewer than 50 words broke `>= 50` before and break `>= 150` now."""
    short = {i for i, v in slow(base).items() if v[0] == "late" and v[1] == "word_count"}
    listed = {e["id"] for c in diff(base, stricter, documents=10_000).changes for e in c.examples}
    assert short and not short & listed


def test_nothing_differs_from_itself(base: str) -> None:
    found = diff(base, base, text=True)
    assert found.same and not found.changes and not found.settings
    assert "same verdict" in str(found)


# --- everything -----------------------------------------------------------------------------------------------------------------


def kept(release: str) -> dict[str, tuple[str, int, int, str]]:
    """id -> (split, tokens, repeats, text)"""
    opened = pipeline.open_release(release)
    return {
        row["id"]: (split, row["token_count"], row["repeats"], row["text"])
        for split in ("train", "validation")
        for batch in opened.documents(split=split)
        for row in batch.to_pylist()
    }


def slow(release: str) -> dict[str, tuple[str, ...]]:
    """The last word on every document, row by row: ("train", domain), or the stage and what its bound measures."""
    opened = pipeline.open_release(release)
    order = {name: i for i, name in enumerate(opened.stats["stages"])}
    found: dict[str, tuple[str, ...]] = {}
    for row in sorted(opened.ledger.to_pylist(), key=lambda r: order.get(r["stage"], -1)):
        if row["id"]:
            found[row["id"]] = (row["stage"], row["reason"].split(" ")[0])
    for split in ("train", "validation"):
        for batch in opened.documents(split=split):
            found.update({row["id"]: (split, row["domain"]) for row in batch.to_pylist()})
    return found


def counted(found: Difference) -> Counter[tuple[tuple[str, ...] | None, tuple[str, ...] | None]]:
    counts: Counter[Any] = Counter()
    for c in found.changes:
        pair = [v and ((v["split"], v["domain"]) if v.get("split") else (v["stage"], v["reason"].split(" ")[0])) for v in (c.before, c.after)]
        counts[tuple(pair)] += c.documents
    return counts


def assert_counts(a: str, b: str, found: Difference) -> None:
    before, after = slow(a), slow(b)
    pairs = Counter((before.get(i), after.get(i)) for i in before.keys() | after.keys())
    assert counted(found) == {p: n for p, n in pairs.items() if p[0] != p[1]}
    one, two = kept(a), kept(b)
    both = one.keys() & two.keys()
    assert sum(d["both"] for d in found.domains.values()) == len(both)
    assert sum(d["only_a"] for d in found.domains.values()) == len(one.keys() - two.keys())
    assert sum(d["tokens_only_b"] for d in found.domains.values()) == sum(two[i][1] for i in two.keys() - one.keys())
    assert found.repeats["documents"] == sum(one[i][2] != two[i][2] for i in both)
    assert found.repeats["tokens_with_repeats"] == [sum(s[i][1] * s[i][2] for i in both) for s in (one, two)]
    assert found.text["documents"] == sum(one[i][3] != two[i][3] for i in both)


def test_counts_are_those_of_a_slow_count(base: str, stricter: str, other: str) -> None:
    for a, b in ((base, stricter), (base, other), (other, stricter)):
        assert_counts(a, b, diff(a, b, text=True))
    found = diff(base, other, text=True)
    assert {c.kind for c in found.changes} >= {"dropped", "restored", "otherwise", "moved"}
    assert found.text["documents"] and found.repeats["documents"]


def test_parts_make_no_difference(base: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = diff(base, other, text=True, documents=3).to_dict()
    monkeypatch.setattr(verdicts, "AT_ONCE", 100)
    assert diff(base, other, text=True, documents=3).to_dict() == whole


def test_causes_are_those_that_could_be(base: str, other: str) -> None:
    """A tighter bound lets nobody in; where the deciding stage is as it was, another text may be why."""
    found = diff(base, other).changes
    for change in found:
        if change.kind == "restored" and change.before is not None and change.before["stage"] in ("early", "late"):
            assert change.because == ("stages.extract.main_content: true -> false",)
        if change.kind == "dropped":
            assert change.because == ("stages.late.bounds.word_count.min: 50 -> 200",)
    because = {s for c in found for s in c.because}
    assert "stages.early.bounds.character_count.min: 20 -> 300" in because and "mix.shares.zh: (nothing) -> 0.5" in because


def test_consequences_name_the_copy_that_stayed(world: World, made: Callable[..., str], base: str) -> None:
    """Half of the crawl is not there: copies that had lost against it now stay. No setting did that, and releases do not say what files were read."""
    fewer = made("4", {"web": f"{world.folder}/crawl/sample-0000[0-5].warc.gz"})
    assert_counts(base, fewer, diff(base, fewer, text=True))
    found = diff(base, fewer, documents=1000)
    assert {c.kind for c in found.changes} == {"gone", "restored", "otherwise"}
    for change in found.changes:
        assert not change.because
        if change.kind != "gone":
            assert change.before is not None and change.before["stage"].startswith("deduplicate")
        if change.kind == "restored":
            assert all(e["other_a"] and e["other_b"] is None for e in change.examples), "what stayed in its place was not seen this time"
    assert {c.kind for c in diff(fewer, base).changes} == {"new", "dropped", "otherwise"}


def test_sizes_tell_other_texts_where_texts_are_not_read(base: str, other: str) -> None:
    quick, thorough = diff(base, other), diff(base, other, text=True)
    assert "token_count" in quick.text["compared_by"] and thorough.text["compared_by"] == ["text"]
    assert 0.9 * thorough.text["documents"] <= quick.text["documents"] <= thorough.text["documents"]


# --- how it is shown -------------------------------------------------------------------------------------------------------------


def test_it_prints_and_it_is_json(base: str, other: str) -> None:
    found = diff(base, other, documents=2)
    shown = str(found)
    for part in ("fixture@1", "fixture@3", "Verdicts that changed", "early: character_count >= 300", "20 -> 300", "http"):
        assert part in shown
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain == json.loads(json.dumps(diff(base, other, documents=2).to_dict()))
    assert {s["path"]: s["new"] for s in plain["recipe"]}["stages.extract.main_content"] == "false"
    assert plain["shares"]["zh"]["share_wanted"] == [0, 0.5]


def test_on_the_command_line(base: str, stricter: str, tmp_path: Path) -> None:
    done = cli("diff", base, stricter, "--json", "--documents", "1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(diff(base, stricter, documents=1).to_dict()))
    assert "word_count.min: 50 -> 150" in cli("diff", base, stricter, "--text").stdout
    assert "There is no release" in one_paragraph(cli("diff", base, tmp_path))


def test_a_place_without_a_release_is_one_sentence(base: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no release"):
        diff(base, str(tmp_path))
