"""Runs with classifiers: the survivors are judged, once each, and a score is a column like another.

Small corpora of our own, so that every document is known; what the bundled weights say of them is asked, never assumed.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pipeline
from pipeline.errors import ModelError, PlanError, RecipeError
from pipeline.measures.classifier import Classifier, describe
from pipeline.planning import plan
from pipeline.store import MODELS, Store
from tests.models import LABELS, LANGUAGES, SENSITIVE, bundled_files, card, language_files, write_model
from tests.running import Finished, World, artefacts, cli, digests

# Short documents, of 6 to 25 words, on matters as different as a classifier could wish; the longer ones begin with them.
SHORT = (
    "The ferry to the island leaves at seven in the morning.",
    "Win big tonight at our casino, free chips, register now, withdraw at once!!!",
    "Parliament votes on the new election law on Tuesday, said the prime minister.",
    "You stupid idiots, nobody wants to read a word of what you write.",
    "CHEAP WATCHES http://shop.example BUY NOW 90% OFF call 555 0100 today",
    "The court heard how the man was stabbed twice in the street at night.",
    "Hot girls are waiting for your call, adults only, first minute free.",
    "Let x be a prime; then by the lemma above its square divides n.",
    "威尼斯人娱乐城 注册送彩金 , 信誉第一 , 提款快 , 客服 24 小时 在线",
    "def main(argv): return 0 if not argv else int(argv[1]) # entry point",
)
LONG = " The office opened at ten, as it had done every day since the war, and nobody thought much of it until the rain came." * 3

RECIPE = """\
name: scored
version: '1'
sources:
  a: {reader: jsonl, files: "DIR/a/*.jsonl", domain: en}
  b: {reader: jsonl, files: "DIR/b/*.jsonl", domain: en}
stages:
  - filter: {name: length, bounds: {word_count: {min: 5}}}
  - deduplicate: {by: id}
  - score: {for: {source: a}, columns: {harm: MODEL}, windows: 1}
mix: {shares: {en: 1}}
release: {validation: 0, validation_documents: 0}
"""
COLUMNS = [f"harm_{label}{end}" for label in LABELS for end in ("", "_mean")] + ["harm_model"]
MEAN = f"harm_{LABELS[0]}_mean"


@dataclass(frozen=True)
class Corpus:
    """Two sources on disk, and recipes that read them."""

    folder: Path

    def recipe(self, *changes: tuple[str, str]) -> pipeline.Recipe:
        text = RECIPE.replace("DIR", str(self.folder))
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = self.folder / "r.yaml"
        path.write_text(text.replace("MODEL", SENSITIVE), encoding="utf-8")
        return pipeline.Recipe.load(path)

    def run(self, work: Path, *changes: tuple[str, str], **sizes: int) -> pipeline.Release:
        return pipeline.run(self.recipe(*changes), work, here=True, **sizes)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Ten short and ten longer documents in two files of source a, a copy of one, a fragment; two documents in source b."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = {
        "a/short.jsonl": list(SHORT),
        "a/long.jsonl": [*(text + LONG for text in SHORT), "Too short.", SHORT[0]],
        "b/other.jsonl": ["The library is closed on every second Monday.", "The school is closed on every second Monday."],
    }
    for name, some in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in some), encoding="utf-8")
    return Corpus(folder)


@pytest.fixture(scope="module")
def done(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    work = tmp_path_factory.mktemp("scored") / "work"
    return Finished(work, corpus.run(work))


@pytest.fixture
def copied(done: Finished, tmp_path: Path) -> Path:
    """A copy of the finished work folder, with its times."""
    return Path(shutil.copytree(done.work, tmp_path / "work", symlinks=True))


def documents(release: pipeline.Release, *columns: str) -> list[dict[str, Any]]:
    names = ["id", "source", "text", *columns]
    found = [row for split in ("train", "validation") for batch in release.documents(split=split, columns=names) for row in batch.to_pylist()]
    return sorted(found, key=lambda row: row["text"])


def by_text(release: pipeline.Release, column: str) -> dict[str, Any]:
    return {row["text"]: row[column] for row in documents(release, column)}


# --- what a release holds -----------------------------------------------------------------------------------------------------------


def test_a_release_has_the_columns_of_its_classifiers(done: Finished) -> None:
    found = documents(done.release, *COLUMNS)
    assert len(found) == 22
    scored = [row for row in found if row["source"] == "a"]
    assert len(scored) == 20
    assert len({row[MEAN] for row in scored}) > 1, "what is said of them differs"
    expected = Classifier(SENSITIVE, limit=1)([row["text"] for row in scored], ["en"] * len(scored))
    for end, column in expected.items():
        assert [row["harm" + end] for row in scored] == column.to_pylist(), end


def test_columns_are_null_where_the_stage_does_not_apply(done: Finished) -> None:
    others = [row for row in documents(done.release, *COLUMNS) if row["source"] == "b"]
    assert len(others) == 2
    assert {row[column] for row in others for column in COLUMNS} == {None}


def test_the_columns_stand_at_the_end_and_have_their_types(done: Finished) -> None:
    (batch, *_) = done.release.documents(split="train")
    announced = describe(SENSITIVE).columns("harm")
    assert batch.schema.names[-len(announced) :] == announced.names
    assert [pa.string() if pa.types.is_dictionary(field.type) else field.type for field in batch.schema][-len(announced) :] == announced.types


def known(work: Path) -> dict[str, pa.Table]:
    """What was ever judged, by the file that remembers it."""
    store = Store(str(work))
    return {str(path.relative_to(work)): store.read_table(str(path.relative_to(work))) for path in sorted(work.glob("score-known/*/*.arrow"))}


def test_survivors_only_are_judged(done: Finished) -> None:
    assert sorted(table.num_rows for table in known(done.work).values()) == [20], "neither the fragment, nor the copy, nor the other source"


def test_no_folder_of_a_model_is_named_in_a_plan_of_bundled_ones(corpus: Corpus, done: Finished) -> None:
    for name in done.digests:
        assert str(corpus.folder).encode() not in (Path(done.release.path) / name).read_bytes(), name


# --- again, elsewhere, otherwise -----------------------------------------------------------------------------------------------------


def test_running_again_does_nothing(corpus: Corpus, copied: Path) -> None:
    before = artefacts(copied)
    corpus.run(copied)
    assert artefacts(copied) == before
    assert not any(plan(corpus.recipe(), copied).to_do().values())


@pytest.mark.parametrize("sizes", [{"group_bytes": 1}, {"group_bytes": 1, "split_bytes": 700}], ids=str)
def test_inputs_cut_otherwise_give_the_same_scores(corpus: Corpus, done: Finished, tmp_path: Path, sizes: dict[str, int]) -> None:
    assert len(plan(corpus.recipe(), tmp_path, **sizes).units) > len(plan(corpus.recipe(), tmp_path).units)
    assert digests(corpus.run(tmp_path, **sizes).path) == done.digests


def test_the_command_line_gives_the_same_scores(corpus: Corpus, done: Finished, tmp_path: Path) -> None:
    """In another process, through an engine of its own."""
    corpus.recipe()
    ran = cli("run", corpus.folder / "r.yaml", "--work", tmp_path, "--here")
    assert ran.returncode == 0, ran.stderr
    assert digests(tmp_path / "releases" / done.name) == done.digests


MARK = 0.123456789  # no network says this


def remember_marks(work: Path) -> int:
    """Replace what was judged by a mark, as nobody would judge: where it comes out again, nobody judged again. Returns the rows."""
    ((name, table),) = known(work).items()
    column = table.schema.get_field_index(MEAN)
    Store(str(work)).write_table(name, table.set_column(column, table.schema.field(column), pa.array([MARK] * table.num_rows)))
    return table.num_rows


LOOSER, STRICTER = ("word_count: {min: 5}", "word_count: {min: 1}"), ("word_count: {min: 5}", "word_count: {min: 40}")
MOVED = ("version: '1'", "version: '2'")


def test_a_bound_that_lets_documents_back_in_has_those_judged_alone(corpus: Corpus, copied: Path) -> None:
    rows = remember_marks(copied)
    scores = by_text(corpus.run(copied, LOOSER, MOVED), MEAN)
    assert scores.pop("Too short.") == Classifier(SENSITIVE, limit=1)(["Too short."], ["en"])[f"_{LABELS[0]}_mean"][0].as_py()
    assert sorted(map(str, scores.values())) == [str(MARK)] * rows + ["None"] * 2
    ((_, table),) = known(copied).items()
    assert table.num_rows == rows + 1


def test_a_bound_that_drops_more_has_nobody_judged(corpus: Corpus, copied: Path) -> None:
    remember_marks(copied)
    before = artefacts(copied)
    release = corpus.run(copied, STRICTER, MOVED)
    assert [row[MEAN] for row in documents(release, MEAN)] == [MARK] * 10
    after = artefacts(copied)
    assert {n: t for n, t in after.items() if n.startswith("score-known/")} == {n: t for n, t in before.items() if n.startswith("score-known/")}
    assert {n.split("/")[0] for n in after.keys() - before.keys()} == {"drops", "rounds", "score", "tokens", "releases"}


@pytest.mark.parametrize(
    "change",
    [("windows: 1", "windows: 2"), ("{harm: MODEL}", "{harm: COPY}"), ("for: {source: a}", "for: {source: [a, b]}")],
    ids=lambda change: change[1],
)
def test_another_setting_or_model_is_judged_anew(corpus: Corpus, copied: Path, change: tuple[str, str], tmp_path: Path) -> None:
    old, new = change
    if "COPY" in new:
        new = new.replace("COPY", write_model(tmp_path / "copy", card(), bundled_files()))
    remember_marks(copied)
    scores = [row[MEAN] for row in documents(corpus.run(copied, (old, new), MOVED), MEAN) if row["source"] == "a"]
    assert len(scores) == 20
    assert MARK not in scores


def test_a_setting_after_the_stage_leaves_the_scores_alone(corpus: Corpus, copied: Path) -> None:
    before = {n: t for n, t in artefacts(copied).items() if n.startswith("score")}
    corpus.run(copied, MOVED, ("mix: {shares: {en: 1}}", "mix: {shares: {en: 1}, max_epochs: 2}"))
    assert {n: t for n, t in artefacts(copied).items() if n.startswith("score")} == before


# --- several models -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that chooses a language: a student alone."""
    return write_model(tmp_path_factory.mktemp("languages"), card("choice", LANGUAGES, student=True, network=False), language_files())


def test_two_models_of_one_stage_and_of_two_say_the_same(corpus: Corpus, done: Finished, languages: str, tmp_path: Path) -> None:
    one = f"- score: {{for: {{source: a}}, columns: {{harm: MODEL, speech: {languages}}}, windows: 1}}"
    two = f"- score: {{for: {{source: a}}, columns: {{harm: MODEL}}, windows: 1}}\n  - score: {{columns: {{speech: {languages}}}, windows: 1}}"
    old = "- score: {for: {source: a}, columns: {harm: MODEL}, windows: 1}"
    together, apart = (corpus.run(tmp_path / str(i), (old, new)) for i, new in enumerate((one, two)))
    for release in (together, apart):
        assert documents(release, *COLUMNS) == documents(done.release, *COLUMNS), "a neighbour changes nothing"
    speech = {row["id"]: row for row in documents(apart, "speech", "speech_score", "speech_model")}
    assert {(row["text"], row["speech"], row["speech_model"]) for row in speech.values()} >= {(SHORT[0], "en", "fasttext"), (SHORT[8], "zh", "fasttext")}
    for row in documents(together, "speech", "speech_score", "speech_model"):
        assert row == speech[row["id"]] if row["source"] == "a" else row["speech"] is row["speech_score"] is row["speech_model"] is None


def test_a_cascade_says_who_judged_whom(corpus: Corpus, tmp_path: Path) -> None:
    name = write_model(tmp_path / "both", card("choice", LANGUAGES, student=True), {**bundled_files(), **language_files()})
    student = Classifier(name, cascade=["fasttext"], limit=1)
    high = student([SHORT[0]], ["en"])["_score"][0].as_py()  # surer than this is sure enough
    columns = f"columns: {{harm: {name}}}, cascade: [fasttext, bert], band: [0.0, {high}], windows: 1"
    judged = by_text(corpus.run(tmp_path / "work", ("for: {source: a}, columns: {harm: MODEL}, windows: 1", columns)), "harm_model")
    assert judged == {text: "bert" if student([text], ["en"])["_score"][0].as_py() <= high else "fasttext" for text in judged}
    assert set(judged.values()) == {"bert", "fasttext"}


def test_where_a_model_lies_is_no_part_of_a_release(corpus: Corpus, languages: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    found = []
    for place in (here, there):
        shutil.copytree(languages, place / "model")
        found.append(digests(corpus.run(place / "work", ("{harm: MODEL}", f"{{speech: {place}/model}}")).path))
    assert found[0] == found[1]


# --- bounds on scores --------------------------------------------------------------------------------------------------------------------


def test_a_bound_on_a_score_drops_what_breaks_it_and_says_so(corpus: Corpus, done: Finished, copied: Path) -> None:
    scores = sorted({row[MEAN] for row in documents(done.release, MEAN) if row["source"] == "a"})
    limit = scores[(len(scores) - 1) // 2]
    late = f"windows: 1}}\n  - filter: {{name: harm, missing: keep, bounds: {{harm_{LABELS[0]}: {{max: 1}}, {MEAN}: {{max: {limit!r}}}}}}}"
    release = corpus.run(copied, ("windows: 1}", late), MOVED)
    over = {row["id"]: row[MEAN] for row in documents(done.release, MEAN) if row["source"] == "a" and row[MEAN] > limit}
    gone = {row["id"]: row for row in release.ledger.to_pylist() if row["stage"] == "harm"}
    assert gone.keys() == over.keys()
    assert over
    for name, row in gone.items():
        assert (row["reason"], row["value"]) == (f"{MEAN} <= {limit!r}", over[name])
    left = documents(release, MEAN)
    assert len(left) == 22 - len(over)
    assert sum(row[MEAN] is None for row in left) == 2, "what was not judged is kept, as `missing: keep` says"


def test_a_bound_on_a_share_of_flagged_windows(corpus: Corpus, tmp_path: Path) -> None:
    """With a threshold that every text reaches, and one that none does."""
    for threshold, expected in ((0.0, 2), (1.1, 22)):
        model = write_model(tmp_path / str(threshold), card(threshold=threshold), bundled_files())
        stages = f"{{harm: {model}}}, windows: 1}}\n  - filter: {{name: harm, for: {{source: a}}, bounds: {{harm_{LABELS[-1]}: {{max: 0.5}}}}}}"
        release = corpus.run(tmp_path / f"work{threshold}", ("{harm: MODEL}, windows: 1}", stages))
        assert len(documents(release)) == expected
        reasons = {row["reason"] for row in release.ledger.to_pylist() if row["stage"] == "harm"}
        assert reasons == ({f"harm_{LABELS[-1]} <= 0.5"} if expected == 2 else set())


def test_a_bound_that_meets_documents_without_score_says_what_to_do(corpus: Corpus, copied: Path) -> None:
    late = f"windows: 1}}\n  - filter: {{name: harm, for: {{domain: en}}, bounds: {{{MEAN}: {{max: 1}}}}}}"
    with pytest.raises(PlanError, match=rf"filter 'harm': {MEAN} is null for 2 of the documents .* say `missing: keep` or `missing: drop`"):
        corpus.run(copied, ("windows: 1}", late), MOVED)


# --- models that do not fit ---------------------------------------------------------------------------------------------------------------


def test_a_network_that_does_not_fit_ends_the_run_with_a_paragraph(corpus: Corpus, tmp_path: Path) -> None:
    name = write_model(tmp_path / "model", card("choice", ["one", "two"]), bundled_files())
    with pytest.raises(ModelError, match=rf"{name}/model\.onnx gives {len(LABELS)} numbers a passage, but its model\.toml names 2 labels"):
        corpus.run(tmp_path / "work", ("{harm: MODEL}", f"{{harm: {name}}}"))


def test_a_cascade_of_what_is_not_there_ends_the_plan(corpus: Corpus, languages: str, tmp_path: Path) -> None:
    change = ("{harm: MODEL}", f"{{harm: {languages}}}, cascade: [fasttext, bert]")
    with pytest.raises((ModelError, RecipeError), match=rf"{languages} has no bert model; it has fasttext"):
        plan(corpus.recipe(change), tmp_path / "work")


# --- the sample -----------------------------------------------------------------------------------------------------------------------------


STUDENTS = ("topic", "stem", "quality")  # models that ship with a student, as soon as they ship


@pytest.fixture(scope="module")
def sampled(world: World, tmp_path_factory: pytest.TempPathFactory) -> pipeline.Release:
    """Posts of the sample, in both languages, through every student that ships."""
    names = [name for name in STUDENTS if name in MODELS]
    if not names:
        pytest.skip("no bundled student ships yet")
    folder = tmp_path_factory.mktemp("sampled")
    columns = ", ".join(f"{name}: bundled:{name}" for name in names)
    (folder / "r.yaml").write_text(
        "name: posts\nversion: '1'\nsources:\n"
        f"  social: {{reader: jsonl, files: '{world.inputs['social']}', columns: {{text: text, url: url, domain: lang}}, subdomain: social}}\n"
        f"stages:\n  - deduplicate: {{by: id}}\n  - score: {{columns: {{{columns}}}, cascade: fasttext}}\n"
        "mix: {shares: {en: 0.5, zh: 0.5}, max_epochs: 4}\n"
    )
    return pipeline.run(pipeline.Recipe.load(folder / "r.yaml"), folder / "work", here=True)


@pytest.mark.parametrize("name", STUDENTS)
def test_students_that_ship_judge_the_sample(sampled: pipeline.Release, name: str) -> None:
    if name not in MODELS:
        pytest.skip(f"bundled:{name} does not ship yet")
    about = describe(f"bundled:{name}")
    columns = about.columns(name)
    found = documents(sampled, *columns.names)
    assert len(found) > 5
    expected = Classifier(f"bundled:{name}", cascade=["fasttext"], limit=16)
    domains = by_text(sampled, "domain")
    for row in found:
        alone = expected([row["text"]], [domains[row["text"]]])
        assert {name + end: column[0].as_py() for end, column in alone.items()} == {column: row[column] for column in columns.names}
        assert row[f"{name}_model"] == "fasttext"
        if about.task == "choice":
            assert row[name] in about.labels
