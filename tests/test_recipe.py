"""Every fault of a recipe is found before the first document, and says file, line, path, reason and remedy."""

from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from pipeline.recipe import Recipe
from tests.running import FLAGSHIP

# The smallest recipe that is right. Lines are counted in the tests below.
GOOD = """\
name: small
version: "1.0"
seed: 7
sources:
  web:
    reader: warc
    files: crawl/*.warc.gz
  posts:
    reader: jsonl
    files: [posts/*.jsonl]
    domain: en
stages:
  - extract: {for: {source: web}, main_content: true}
  - language: {model: lid176}
  - filter: {name: language, for: {source: web}, bounds: {p_en_or_zh: {min: 0.65}}}
  - filter:
      name: length
      bounds:
        word_count: {min: 50, max: 100_000}
  - deduplicate: {by: id}
  - deduplicate: {by: minhash, threshold: 0.8}
mix:
  shares: {en: 0.6, zh: 0.4}
  max_epochs: {en: 1, zh: 4}
release:
  shard_size: 512MB
  validation: 1e-3
"""


def load(folder: Path, text: str, **inputs: str) -> Recipe:
    path = folder / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return Recipe.load(path, inputs)


def refusal(folder: Path, old: str, new: str) -> str:
    """What is said of the good recipe with one place changed."""
    assert GOOD.count(old) == 1, f"{old!r} must stand once in the recipe"
    with pytest.raises(RecipeError) as caught:
        load(folder, GOOD.replace(old, new))
    message = str(caught.value)
    assert message.startswith(f"{folder}/r.yaml:"), message
    assert "Traceback" not in message and "pydantic" not in message
    return message.removeprefix(f"{folder}/r.yaml:")


def test_the_good_recipe_is_read(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD)
    assert recipe.version == "1.0"
    assert [s.stage for s in recipe.stages] == ["extract", "language", "filter", "filter", "deduplicate", "deduplicate"]
    assert recipe.release.validation == 0.001  # 1e-3 is a number, in YAML 1.2 as for people
    assert recipe.release.shard_size == 512_000_000
    assert recipe.stages[3].model_dump()["bounds"]["word_count"]["max"] == 100_000


# (what stands in the good recipe, what stands there instead, how the message begins, what it must name beside)
FAULTS = {
    "unknown key at the top": ("seed: 7", "sead: 7", "3: sead: unknown setting", ["did you mean 'seed'?"]),
    "duplicate key": ("seed: 7", "seed: 7\nseed: 8", "4: seed: this key stands twice, first in line 3", ["Remove one"]),
    "duplicate key deep inside": ("{min: 50, max: 100_000}", "{min: 50, min: 60}", "19: stages[3].filter.bounds.word_count.min: this key stands twice", ["Remove one"]),
    "misspelt setting of a stage": ("main_content: true", "main_contents: true", "13: stages[0].extract.main_contents: unknown setting", ["did you mean 'main_content'?", "known are"]),
    "misspelt side of a bound": ("{min: 50, max: 100_000}", "{minn: 50}", "19: stages[3].filter.bounds.word_count.minn: unknown setting", ["did you mean 'min'?"]),
    "misspelt setting of a source": ("    files: crawl/*.warc.gz", "    file: crawl/*.warc.gz", "", ["sources.web.file", "files"]),
    "wrong type": ("seed: 7", "seed: seven", "3: seed: 'seven' is not a whole number", []),
    "a number in quotes is no number": ("{min: 0.65}", '{min: "0.65"}', "15: stages[2].filter.bounds.p_en_or_zh.min: '0.65' is not a number", []),
    "`no` is a word and no bool": ("main_content: true", "main_content: no", "13: stages[0].extract.main_content: 'no' is not true or false", ["YAML 1.2"]),
    "unquoted version": ('version: "1.0"', "version: 2026.10", "2: version: 2026.1 is a number here", ["quotes", "2026.10 as 2026.1"]),
    "version that is no file name": ('version: "1.0"', 'version: "1/0"', "2: version: ", ["1/0"]),
    "missing name": ("name: small\n", "", "1: name: this setting is needed", []),
    "missing reader": ("    reader: warc\n", "", "5: sources.web.reader: this setting is needed", []),
    "missing mix": ("mix:\n  shares: {en: 0.6, zh: 0.4}\n  max_epochs: {en: 1, zh: 4}\n", "", "1: mix: this setting is needed", []),
    "shares below 1": ("{en: 0.6, zh: 0.4}", "{en: 0.6, zh: 0.3}", "23: mix.shares: the shares sum to 0.9, not to 1; add 0.1", []),
    "shares above 1": ("{en: 0.6, zh: 0.4}", "{en: 0.6, zh: 0.5}", "23: mix.shares: the shares sum to 1.1, not to 1; take away 0.1", []),
    "a share of nothing": ("{en: 0.6, zh: 0.4}", "{en: 1.0, zh: 0}", "23: mix.shares.zh: ", ["0"]),
    "epochs of a domain without share": ("max_epochs: {en: 1, zh: 4}", "max_epochs: {en: 1, zhh: 4}", "", ["mix", "'zhh', which has no share", "did you mean 'zh'?"]),
    "unknown stage": ("  - language: {model: lid176}", "  - langauge: {model: lid176}", "14: stages[1]: unknown stage 'langauge'", ["did you mean 'language'?", "known are extract"]),
    "a stage that is two": ("  - deduplicate: {by: id}", "  - {deduplicate: {by: id}, language: {}}", "20: stages[4]: a stage is one name with its settings", ["such as"]),
    "unknown measure": ("word_count:", "word_cuont:", "19: stages[3].filter.bounds.word_cuont: unknown measure 'word_cuont'", ["did you mean 'word_count'?", "pipeline measures"]),
    "unknown reader": ("reader: warc", "reader: wark", "6: sources.web.reader: 'wark' is not one of warc, wet, jsonl, parquet, code", ["did you mean 'warc'?"]),
    "unknown source in `for`": ("for: {source: web}, main_content", "for: {source: wbe}, main_content", "13: stages[0].extract.for.source: there is no source 'wbe'", ["the sources are web, posts"]),
    "unknown key in `for`": ("for: {source: web}, main_content", "for: {sauce: web}, main_content", "13: stages[0].extract.for.sauce: unknown setting", ["did you mean 'source'?"]),
    "`for` that nobody has": ("for: {source: web}, bounds", "for: {domain: fr}, bounds", "15: stages[2].filter.for.domain: no document will have the domain 'fr'", ["domains here are"]),
    "empty `for`": ("for: {source: web}, bounds", "for: {}, bounds", "15: stages[2].filter.for: is empty", ["leave `for` out"]),
    "a bound without sides": ("{min: 50, max: 100_000}", "{}", "19: stages[3].filter.bounds.word_count: has neither min nor max", []),
    "a bound that nothing meets": ("{min: 50, max: 100_000}", "{min: 50, max: 5}", "19: stages[3].filter.bounds.word_count: min 50 is above max 5", ["everything would be dropped"]),
    "a filter without bounds": ("bounds: {p_en_or_zh: {min: 0.65}}", "bounds: {}", "15: stages[2].filter.bounds: ", ["1"]),
    "a bound that is not finite": ("{min: 50, max: 100_000}", "{min: .nan}", "19: stages[3].filter.bounds.word_count.min: ", [".nan"]),
    "not a size": ("512MB", "512 megs", "26: release.shard_size: '512 megs' is not a size", ["512MB"]),
    "a size of nothing": ("512MB", "0MB", "26: release.shard_size: ", ["0"]),
    "validation of everything": ("validation: 1e-3", "validation: 1", "27: release.validation: ", ["1"]),
    "a column before its stage": ("  - language: {model: lid176}\n", "", "14: stages[1].filter.bounds.p_en_or_zh: 'p_en_or_zh' is a column that the stage `language` adds, and none stands before", []),
    "a nullable column without `for`": ("{name: language, for: {source: web}, bounds", "{name: language, bounds", "15: stages[2].filter.bounds.p_en_or_zh: 'p_en_or_zh' is null for some", ["`for:`", "`missing: keep`"]),
    "two filters of one name": ("name: length", "name: language", "16: stages[3].filter: the name 'language' is taken", ["another name"]),
    "text rewritten after judging": ("  - deduplicate: {by: id}", "  - deduplicate: {by: id}\n  - normalize: {unicode: NFC}", "21: stages[5].normalize: `normalize` rewrites text", ["move it up"]),
    "HTML that nobody extracts": ("  - extract: {for: {source: web}, main_content: true}\n", "", "5: sources.web: its records are HTML, and no `extract` stage", ["add `- extract"]),
    "rows that may not be unique": ("  - deduplicate: {by: id}\n", "", "20: stages[4]: rows of a release are unique", ["deduplicate: {by: id}"]),
    "a setting of another method": ("{by: id}", "{by: id, bands: 16}", "20: stages[4].deduplicate", ["bands is a setting of `by: minhash`", "Remove it"]),
    "more bands than a signature has": ("threshold: 0.8}", "bands: 20, rows: 7}", "21: stages[5].deduplicate: bands x rows is 140, but a signature has 112", []),
    "an unknown column of a document": ("    domain: en\n", "    domain: en\n    columns: {txt: body}\n", "12: sources.posts.columns: 'txt' is not a column of a document", ["did you mean 'text'?"]),
    "no YAML": ("seed: 7", "seed: [7", "", ["this is not valid YAML"]),
    "stages that are no list": ("stages:\n", "stages: all\nnothing:\n", "12: stages: the stages are a list", []),
    "sources that are no mapping": ("sources:\n  web:\n    reader: warc\n    files: crawl/*.warc.gz\n  posts:\n    reader: jsonl\n    files: [posts/*.jsonl]\n    domain: en\n", "sources: [web]\n", "4: sources: ", []),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_with_line_path_and_remedy(fault: str, tmp_path: Path) -> None:
    old, new, begins, names = FAULTS[fault]
    message = refusal(tmp_path, old, new)
    assert message.startswith(begins), message
    for name in names:
        assert name in message, message


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a list\n", "just a word\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"r\.yaml:1: a recipe is a mapping"):
        load(tmp_path, text)


def test_an_unquoted_version_that_yaml_reads_as_a_date_is_text(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD.replace('"1.0"', "2026-12-01")).version == "2026-12-01"


def test_a_missing_recipe_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere\.yaml does not exist \(looked in .*\)\. A bare name, such as `skypile`"):
        Recipe.load(tmp_path / "nowhere.yaml")


def test_a_recipe_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.load(tmp_path / "r.yaml")


def test_a_bare_name_finds_what_ships_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Recipe.load("skypile") == Recipe.load(FLAGSHIP)
    with pytest.raises(RecipeError, match=r"no recipe 'skypiel' \(did you mean 'skypile'\?\)\. Recipes that ship: skypile"):
        Recipe.load("skypiel")


def test_inputs_replace_the_files_of_a_source(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD, web="a/*.warc.gz,s3://b/*.warc.gz")
    assert recipe.sources["web"].files == ("a/*.warc.gz", "s3://b/*.warc.gz")
    assert recipe.sources["posts"] == load(tmp_path, GOOD).sources["posts"]
    with pytest.raises(RecipeError, match=r"--input wbe=…: the recipe .* has no source 'wbe' \(did you mean 'web'\?\); its sources are web, posts"):
        load(tmp_path, GOOD, wbe="a")


def test_inputs_do_not_hide_a_fault_of_the_recipe(tmp_path: Path) -> None:
    for sources in ("sources: [web]\n", "sources: {web: crawl}\n"):
        head, tail = GOOD.split("sources:\n", maxsplit=1)[0], GOOD[GOOD.index("stages:\n") :]
        with pytest.raises(RecipeError, match=r"r\.yaml:4: sources"):
            load(tmp_path, head + sources + tail, web="a/*.warc.gz")


def test_the_flagship_loads_and_survives_its_own_dump() -> None:
    recipe = Recipe.load(FLAGSHIP)
    assert recipe.mix.shares == {"en": 0.52, "zh": 0.40, "code": 0.08}
    assert {s.stage for s in recipe.stages} >= {"extract", "normalize", "language", "filter", "deduplicate", "downsample"}
    assert recipe.dump()["sources"]["web"]["reader"] == "warc"
    assert len(recipe.dump()["stages"]) == len(recipe.stages)


def test_a_recipe_is_frozen() -> None:
    recipe = Recipe.load(FLAGSHIP)
    with pytest.raises(Exception, match="frozen"):
        recipe.seed = 1  # type: ignore[misc]  # that is the point
