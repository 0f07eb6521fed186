"""A step is redone when what it says, or what it builds on, is another; and nothing else is."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.measures import shape
from pipeline.planning import Plan, plan, quarantine_key
from pipeline.recipe import Recipe
from tests.running import FLAGSHIP, Finished, World

RECIPE = """\
name: small
version: "1"
sources:
  a: {reader: jsonl, files: "DIR/a/*.jsonl", domain: en}
  b: {reader: jsonl, files: "DIR/b/*.jsonl", domain: zh}
stages:
  - normalize: {for: {source: a}}
  - language: {model: lid176}
  - filter: {name: length, for: {domain: en}, bounds: {word_count: {min: 50}}}
  - deduplicate: {by: id}
  - filter: {name: late, bounds: {character_count: {max: 9000}}}
  - deduplicate: {by: minhash}
mix:
  shares: {en: 0.6, zh: 0.4}
"""
FILES = {"a/one.jsonl": "1", "a/two.jsonl": "2", "b/one.jsonl": "3"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three input files; one unit each, because they are larger than a group of 100 bytes."""
    for name, text in FILES.items():
        write(tmp_path / name, text)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"text": "' + text * 150 + '"}\n')


def planned(folder: Path, *changes: tuple[str, str]) -> Plan:
    text = RECIPE.replace("DIR", str(folder))
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "r.yaml").write_text(text)
    return plan(Recipe.load(folder / "r.yaml"), folder / "work", group_bytes=100)


def prints(p: Plan) -> dict[str, dict[str, str]]:
    """step -> unit's file -> fingerprint."""
    return {s.name: {f"{u.source}/{u.files[0].path}": f for u, f in zip(p.units, s.prints, strict=True)} for s in p.steps}


def touched(before: Plan, after: Plan) -> dict[str, set[str]]:
    """step -> units that both plans have and whose fingerprints differ; steps with none left out."""
    old, new = prints(before), prints(after)
    differing = {name: {u for u in old[name].keys() & new[name].keys() if old[name][u] != new[name][u]} for name in new if name in old}
    return {name: units for name, units in differing.items() if units}


ALL = {"a/one.jsonl", "a/two.jsonl", "b/one.jsonl"}
STEPS = ["text", "measures", "language", "length", "deduplicate_id", "late", "deduplicate_minhash", "count tokens", "mix", "release"]


def following(step: str) -> dict[str, set[str]]:
    return dict.fromkeys(STEPS[STEPS.index(step) :], ALL)


def test_the_same_recipe_and_inputs_give_the_same_plan(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = planned(folder)
    assert [s.name for s in first.steps] == STEPS
    assert touched(first, planned(folder)) == {}
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.copytree(folder, elsewhere)
    assert touched(first, planned(elsewhere)) == {}, "where files lie is no part of what they are"
    assert first.release_print == planned(elsewhere).release_print


@pytest.mark.parametrize(
    ("change", "from_step"),
    [
        (("{min: 50}", "{min: 51}"), "length"),
        (("{min: 50}", "{min: 49}"), "length"),
        (("{max: 9000}", "{max: 8000}"), "late"),
        (("name: late", "name: later"), "late"),
        (("by: minhash", "by: minhash, threshold: 0.7"), "deduplicate_minhash"),
        (("zh: 0.4}", "zh: 0.4}\n  max_epochs: 2"), "mix"),
        (("en: 0.6, zh: 0.4", "en: 0.5, zh: 0.5"), "mix"),
        (('version: "1"', 'version: "1"\nseed: 5'), "mix"),
        (('version: "1"', 'version: "2"'), "release"),
        (("zh: 0.4}", "zh: 0.4}\nrelease: {shard_size: 1MB}"), "release"),
    ],
    ids=lambda value: value[1].replace("\n", " ") if isinstance(value, tuple) else value,
)
def test_a_moved_setting_touches_its_step_and_what_follows(folder: Path, change: tuple[str, str], from_step: str) -> None:
    before, after = planned(folder), planned(folder, change)
    expected = following(from_step)
    if from_step == "late" and "name" in change[0]:
        expected.pop("late")  # it has another name
    assert touched(before, after) == expected
    assert before.release_print != after.release_print


def test_a_default_that_is_written_out_touches_nothing(folder: Path) -> None:
    assert touched(planned(folder), planned(folder, ("by: minhash", "by: minhash, threshold: 0.8, bands: 16, rows: 7, keep: newest"))) == {}


def test_text_is_made_again_only_where_its_stage_applies(folder: Path) -> None:
    after = touched(planned(folder), planned(folder, ("for: {source: a}}", "for: {source: a}, unicode: none}")))
    for step in ("text", "measures", "language", "length"):
        assert after[step] == {"a/one.jsonl", "a/two.jsonl"}, step
    assert after["deduplicate_id"] == ALL  # a round knows all documents


def test_another_measure_touches_the_columns_and_no_text(folder: Path) -> None:
    after = touched(planned(folder), planned(folder, ("{word_count: {min: 50}}", "{word_count: {min: 50}, line_count: {min: 1}}")))
    assert after.keys() == set(STEPS) - {"text", "language"}


def test_another_version_of_a_measure_touches_the_columns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned(folder)
    monkeypatch.setattr(shape, "VERSION", shape.VERSION + 1)
    assert touched(before, planned(folder)).keys() == set(STEPS) - {"text", "language"}


def test_a_new_file_costs_its_own_units(folder: Path) -> None:
    before = planned(folder)
    write(folder / "a/three.jsonl", "4")
    after = planned(folder)
    assert len(after.units) == len(before.units) + 1
    assert touched(before, after).keys() == set(STEPS[STEPS.index("deduplicate_id") :])
    assert before.release_print != after.release_print


def test_a_replaced_file_of_the_same_size_is_seen(folder: Path) -> None:
    before = planned(folder)
    write(folder / "a/two.jsonl", "9")
    after = planned(folder)
    assert before.units[1].files[0].size == after.units[1].files[0].size
    assert touched(before, after)["text"] == touched(before, after)["length"] == {"a/two.jsonl"}


def test_a_file_that_was_only_touched_is_the_same(folder: Path) -> None:
    before = planned(folder)
    os.utime(folder / "a/two.jsonl", (1, 1))
    assert touched(before, planned(folder)) == {}


def test_the_order_of_files_says_nothing(folder: Path) -> None:
    before = planned(folder, ("DIR/a/*.jsonl".replace("DIR", str(folder)), f"{folder}/a/*.jsonl"))
    for order in ("[one, two]", "[two, one]"):
        names = order.strip("[]").split(", ")
        after = planned(folder, (f'"{folder}/a/*.jsonl"', "[" + ", ".join(f"{folder}/a/{n}.jsonl" for n in names) + "]"))
        assert touched(before, after) == {}


def test_how_files_are_cut_into_units_is_no_part_of_the_release(folder: Path) -> None:
    recipe = planned(folder).recipe
    cut = [plan(recipe, folder / "work", **sizes) for sizes in ({}, {"group_bytes": 100}, {"group_bytes": 100, "split_bytes": 60})]
    assert [len(p.units) for p in cut] == [2, 3, 9]
    assert len({p.release_print for p in cut}) == 1


def test_quarantine_is_an_input(folder: Path) -> None:
    before = planned(folder)
    before.store.write_json("quarantine.json", {"a": {quarantine_key(before.units[1].files[0]): [0]}})
    after = planned(folder)
    assert touched(before, after)["text"] == {"a/two.jsonl"}
    assert after.quarantine == (frozenset(), frozenset({("two.jsonl", 0)}), frozenset())
    assert before.release_print != after.release_print
    write(folder / "a/two.jsonl", "8")
    assert not any(planned(folder).quarantine), "another content under the same name is another file"


def test_another_model_is_seen_by_its_hash(folder: Path) -> None:
    from pipeline.store import open_model

    copy = folder / "tokenizer.json"
    copy.write_bytes(Path(open_model("skypile-65k").path).read_bytes())
    before = planned(folder, ("mix:\n", f"mix:\n  tokenizer: {copy}\n"))
    copy.write_bytes(copy.read_bytes() + b"\n")
    open_model.cache_clear()
    assert touched(before, planned(folder, ("mix:\n", f"mix:\n  tokenizer: {copy}\n"))).keys() == {"count tokens", "mix", "release"}


# --- what `plan` says ---------------------------------------------------------------------------------------------------------


def test_a_new_plan_says_what_is_to_do(folder: Path) -> None:
    p = planned(folder)
    assert p.to_do() == {
        **dict.fromkeys(["text", "measures", "language", "length", "late", "count tokens"], 3),
        **dict.fromkeys(["deduplicate_id", "deduplicate_minhash", "mix", "release"], 1),
    }
    shown = str(p)
    assert shown.startswith(f"small@1: 3 units, 0.0 MB of input, work folder {folder}/work")
    assert shown.count("3 of 3 units to do") == 6
    assert shown.count("to do") == 10
    assert "changed" not in shown
    assert "length: word_count >= 50" in shown


def test_a_finished_plan_says_that_all_is_done(world: World, finished: Finished) -> None:
    p = plan(world.recipe(), finished.work)
    assert set(p.to_do().values()) == {0}
    assert "to do" not in str(p)
    assert p.changes() == []


def test_what_changed_is_named(world: World, finished: Finished, tmp_path: Path) -> None:
    text = FLAGSHIP.read_text(encoding="utf-8")
    (tmp_path / "r.yaml").write_text(text.replace("word_count: {min: 50, max: 100_000}", "word_count: {min: 40, max: 100_000}"), encoding="utf-8")
    p = plan(world.recipe(tmp_path / "r.yaml"), finished.work)
    (change,) = p.changes()
    assert change.endswith("filter.bounds.word_count.min: 50.0 -> 40.0")
    assert change.startswith("stages[")
    assert f"changed since the last run: {change}" in str(p)
    undone = {name for name, n in p.to_do().items() if n}
    assert not undone & {"text", "measures", "language"}
    assert any(name.startswith("filters ") for name in undone)
    fewer = World(world.folder, {**world.inputs, "web": f"{world.folder}/crawl/*[0-4].warc.gz"})
    assert "5 input files removed, such as sample-00005.warc.gz (web)" in plan(fewer.recipe(), finished.work).changes()
