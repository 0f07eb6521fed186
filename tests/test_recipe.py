"""Every fault of a recipe is found before the first document, and says file, line, path, reason and remedy."""

from pathlib import Path

import pytest

import pipeline
from pipeline.errors import RecipeError
from pipeline.recipe import Recipe
from tests.models import LABELS, SENSITIVE, card, language_files, write_model
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
    with pytest.raises(RecipeError, match=r"no recipe 'skypiel' \(did you mean 'skypile'\?\)\. Recipes that ship: code, skypile"):
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


# --- classifiers ------------------------------------------------------------------------------------------------------------------

SCORED = GOOD.replace("  - deduplicate: {by: id}\n", "  - deduplicate: {by: id}\n  - score: {columns: {harm: CHOICE}}\n")
LANGUAGES = ("en", "zh", "de")


@pytest.fixture(scope="module")
def choice(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a model that chooses among labels: its column holds words."""
    return write_model(tmp_path_factory.mktemp("choice"), card("choice", LANGUAGES, student=True, network=False), language_files())


@pytest.fixture
def grading(tmp_path: Path) -> str:
    """The folder of a model that grades: its column holds a number, and the bucket's a word."""
    description = card("grade", ["quality"], student=True, network=False, more="[grade]\nmiddle = 2\nhead = 3")
    return write_model(tmp_path / "grading", description, {"student.ftz": b"not opened here"})


def test_a_recipe_with_classifiers_is_read(choice: str, grading: str, tmp_path: Path) -> None:
    stages = (
        f'  - score: {{columns: {{harm: "{SENSITIVE}", language_of: {choice}}}, windows: all}}\n'
        f"  - score: {{for: {{domain: en}}, columns: {{quality: {grading}}}, cascade: fasttext}}\n"
        f"  - filter: {{name: harm, missing: keep, bounds: {{harm_{LABELS[0]}: {{max: 0.1}}, language_of_score: {{min: 0.1}}, quality: {{min: 1}}}}}}\n"
    )
    recipe = load(tmp_path, GOOD.replace("  - deduplicate: {by: id}\n", "  - deduplicate: {by: id}\n" + stages))
    assert [s.stage for s in recipe.stages[4:8]] == ["deduplicate", "score", "score", "filter"]
    assert [f.name for f in recipe.stages[5].added()][-4:] == ["harm_model", "language_of", "language_of_score", "language_of_model"]
    assert [f.name for f in recipe.stages[6].added()] == ["quality", "quality_bucket", "quality_model"]
    assert recipe.stages[6].model_dump()["cascade"] == ("fasttext",)


SCORE = "score: {columns: {harm: CHOICE}"
TWICE = "  - score: {columns: {harm: CHOICE}}\n"
BOUND = "  - filter: {name: late, missing: keep, bounds: {COLUMN: {min: 0.1}}}\n"
IS_THERE = "is there already; give this one another name"

# (what stands in the recipe with a classifier, what stands there instead, how the message begins, what it must name beside)
SCORE_FAULTS = {
    "a band without cascade": (SCORE, SCORE + ", band: [0.1, 0.9]", "21: stages[5].score: band says between which two scores", ["cascade: [fasttext, bert]"]),
    "a band of one model": (SCORE, SCORE + ", cascade: fasttext, band: [0.1, 0.9]", "21: stages[5].score: band says between which two scores", []),
    "a band upside down": (SCORE, SCORE + ", cascade: [fasttext, bert], band: [0.9, 0.1]", "21: stages[5].score: band says", ["the lower one first"]),
    "half a band": (SCORE, SCORE + ", cascade: [fasttext, bert], band: [0.9]", "21: stages[5].score.band", []),
    "unknown kind in a cascade": (SCORE, SCORE + ", cascade: [fasttxt, bert]", "21: stages[5].score.cascade[0]: 'fasttxt' is not one of fasttext, bert", ["did you mean 'fasttext'?"]),
    "unknown precision": (SCORE, SCORE + ", precision: cpu-int4", "21: stages[5].score.precision: 'cpu-int4' is not one of cpu-int8, cpu-fp32, cuda-bf16", ["did you mean"]),
    "no windows": (SCORE, SCORE + ", windows: 0", "21: stages[5].score.windows", ["0"]),
    "misspelt setting": (SCORE, SCORE + ", window: 4", "21: stages[5].score.window: unknown setting", ["did you mean 'windows'?"]),
    "no columns": ("{columns: {harm: CHOICE}}", "{columns: {}}", "21: stages[5].score.columns", []),
    "a column in capitals": ("harm:", "Harm:", "21: stages[5].score", ["lower case", "'Harm' will not do"]),
    "a column called as a measure": ("harm:", "word_count:", "21: stages[5].score", ["'word_count' will not do"]),
    "a column called as one that is there": ("harm:", "p_en:", "21: stages[5].score.columns: the column 'p_en' is there already", ["another name"]),
    "a column called domain": ("harm:", "domain:", "21: stages[5].score.columns: the column 'domain' is there already", []),
    "one column of two stages": (TWICE, TWICE * 2, "22: stages[6].score.columns: the column 'harm' is there already", ["another name"]),
    "one column of two models": ("{harm: CHOICE}", "{harm: CHOICE, harm_score: CHOICE}", "21: stages[5].score.columns: the column 'harm_score' is there already", []),
    "one name twice": ("{harm: CHOICE}", "{harm: CHOICE, harm: CHOICE}", "21: stages[5].score.columns.harm: this key stands twice", ["Remove one"]),
    "a bundled model that is none": ("CHOICE", "bundled:sensitiv", "21: stages[5].score.columns: There is no bundled model 'sensitiv'", ["Bundled are"]),
    "a folder that is not there": ("CHOICE", "models/none", "21: stages[5].score.columns: models/none: there is no such folder", ["hub:ORG/NAME@COMMIT"]),
    "a branch of the Hub": ("CHOICE", "hub:a/b@main", "21: stages[5].score.columns: hub:a/b@main: a model of the Hub is named", ["40 hex digits"]),
    "judged before ids are unique": ("  - deduplicate: {by: id}\n" + TWICE, TWICE + "  - deduplicate: {by: id}\n", "20: stages[4].score: models judge survivors", ["`- deduplicate: {by: id}`", "move it down"]),
    "a bound on words": (TWICE, TWICE + BOUND.replace("COLUMN", "harm"), "22: stages[6].filter.bounds.harm: 'harm' holds words, and a bound compares numbers", ["harm_score"]),
    "a bound on who judged": (TWICE, TWICE + BOUND.replace("COLUMN", "harm_model"), "22: stages[6].filter.bounds.harm_model: 'harm_model' holds words", ["numbers here are harm_score"]),
    "a bound on a misspelt score": (TWICE, TWICE + BOUND.replace("COLUMN", "harm_scores"), "22: stages[6].filter.bounds.harm_scores: unknown measure 'harm_scores'", ["did you mean 'harm_score'?"]),
    "a bound on the script": (TWICE, TWICE + BOUND.replace("COLUMN", "script"), "22: stages[6].filter.bounds.script: 'script' holds words", []),
    "a nullable score": (TWICE, TWICE + BOUND.replace("COLUMN", "harm_score").replace("missing: keep, ", ""), "22: stages[6].filter.bounds.harm_score: 'harm_score' is null for some", ["`for:`", "`missing: keep`"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", SCORE_FAULTS)
def test_a_fault_of_a_classifier_is_refused_with_line_path_and_remedy(fault: str, choice: str, tmp_path: Path) -> None:
    old, new, begins, names = SCORE_FAULTS[fault]
    assert SCORED.count(old) == 1
    load(tmp_path, SCORED.replace("CHOICE", choice))
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, SCORED.replace(old, new).replace("CHOICE", choice))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/r.yaml:{begins}"), message
    for name in names:
        assert name in message, message


RESERVED = (
    "id",
    "url",
    "source",
    "licence",
    "subdomain",
    "date",
    "file",
    "offset",
    "cluster",
    "token_count",
    "repeats",
    "split",
    "row",
    "unit",
    "hash",
    "slice",
)


@pytest.mark.parametrize("name", RESERVED)
def test_a_column_may_not_be_called_as_one_of_the_release(name: str, grading: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=rf"21: stages\[5\]\.score\.columns: the column '{name}' {IS_THERE}"):
        load(tmp_path, SCORED.replace("harm:", f"{name}:").replace("CHOICE", grading))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (", cascade: [fasttext, bert]", "has no bert model; it has fasttext"),
        pytest.param(", cascade: bert", "has no bert model; it has fasttext", id="the other one"),
    ],
)
def test_a_model_that_cannot_run_as_asked_is_refused_with_its_line(settings: str, said: str, choice: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=rf"r\.yaml:21: stages\[5\]\.score.*{said}"):
        load(tmp_path, SCORED.replace(SCORE, SCORE + settings).replace("CHOICE", choice))


def test_a_score_before_its_stage_is_called_so(choice: str, tmp_path: Path) -> None:
    early = BOUND.replace("COLUMN", "harm_score") + TWICE
    with pytest.raises(
        RecipeError, match=r"21: stages\[5\]\.filter\.bounds\.harm_score: 'harm_score' is a column that the stage `score` adds, and none stands before"
    ):
        load(tmp_path, SCORED.replace(TWICE, early).replace("CHOICE", choice))


def test_a_folder_called_as_a_recipe_that_ships_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Recipe.load("code").name == "code"


def test_a_recipe_may_extend_another_and_faults_say_which_file(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text('extends: base.yaml\nname: mine\nversion: "2"\n', encoding="utf-8")
    base, mine = Recipe.load(tmp_path / "base.yaml"), Recipe.load(tmp_path / "mine.yaml")
    assert mine.name == "mine" and {**mine.dump(), "name": base.name, "version": base.version} == base.dump()
    (tmp_path / "mine.yaml").write_text('extends: base.yaml\nname: mine\nversion: "2"\nmix:\n  shares: {en: 2}\n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"mine\.yaml:5: mix\.shares: "):
        Recipe.load(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\n", encoding="utf-8")
    (tmp_path / "base.yaml").write_text(GOOD.replace("release:", "relaese:"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"base\.yaml:\d+: relaese: unknown setting"):
        Recipe.load(tmp_path / "mine.yaml")
    (tmp_path / "base.yaml").write_text("extends: mine.yaml\nname: base\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="circle"):
        Recipe.load(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text("extends: nothing.yaml\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"nothing\.yaml does not exist"):
        Recipe.load(tmp_path / "mine.yaml")


def test_every_shipped_recipe_loads() -> None:
    shipped = Path(pipeline.__file__).parent.parent / "recipes"
    for file in shipped.glob("*.yaml"):
        Recipe.load(file)
        assert Recipe.load(file.stem).name


def test_a_tokenizer_that_cannot_be_exact_is_refused_before_anything_runs(tmp_path):
    other = tmp_path / "tokenizer.json"
    other.write_text('{"model": {"type": "WordPiece", "vocab": {}}}')
    message = refusal(tmp_path, "mix:\n", f"mix:\n  tokenizer: {other}\n")
    assert message.startswith("23: mix.tokenizer: Only byte-level BPE can be encoded exactly; this tokenizer's model is WordPiece")
    also = refusal(tmp_path, "mix:\n", f"mix:\n  also_count: {{other: {other}}}\n")
    assert also.startswith("23: mix.also_count.other: Only byte-level BPE")
