"""Variants of a recipe: what each arm holds, that the arms differ in nothing else, and that what they share is made once."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline.errors import PlanError
from pipeline.shards import open_release
from pipeline.stages import Filter, label
from pipeline.train import variants
from pipeline.train.ablation_spec import Spec
from pipeline.train.variants import Arm, Workshop
from tests.running import World, artefacts

RECIPE = """
extends: skypile
name: small
version: "1"
sources:
  web: {reader: warc, files: "crawl/*.warc.gz", subdomain: web}
  social: {reader: jsonl, files: "social/*.jsonl", columns: {text: text, url: url, date: date, domain: lang}, subdomain: social}
stages:
  - extract: {for: {source: web}, main_content: true}
  - language: {model: lid176, domains: [en, zh]}
  - filter: {name: language, for: {source: web}, bounds: {p_en_or_zh: {min: 0.65}}}
  - filter: {name: words, for: {domain: en, subdomain: web}, bounds: {word_count: {min: 50}, stop_word_count: {min: 2}}}
  - filter: {name: repeated, for: {domain: en, subdomain: web}, bounds: {duplicate_line_fraction: {max: 0.30}, top_2gram_character_fraction: {max: 0.20}}}
  - filter: {name: shape_zh, for: {domain: zh, subdomain: web}, bounds: {character_count: {min: 200}}}
  - deduplicate: {by: id}
  - deduplicate: {by: url}
  - deduplicate: {by: text}
  - deduplicate: {by: minhash}
mix: {shares: {en: 0.6, zh: 0.4}, max_epochs: 1}
"""
SPEC = """
name: few
recipe: small.yaml
baseline: raw
variants:
  raw: {without: all}
  ours: {}
  random: {as_many_as: ours, of: raw}
  no_words: {without: [words], against: ours}
  again: {as_many_as: ours, of: random}
train: {config: tiny, steps: 3, learning_rates: [1e-2], seeds: [1, 2]}
"""
LEFT = {"source", "language", "deduplicate_id", "deduplicate_url", "mix"}  # what drops documents of every arm


def few(folder: Path, spec: str = SPEC) -> Spec:
    """An ablation's file beside its recipe."""
    (folder / "small.yaml").write_text(RECIPE)
    (folder / "few.yaml").write_text(spec)
    return Spec.load(folder / "few.yaml")


def inputs(world: World) -> dict[str, str]:
    return {name: world.inputs[name] for name in ("web", "social")}


@pytest.fixture(scope="module")
def shop(world: World, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("variants")
    return Workshop(few(folder), str(folder / "work"), inputs(world), here=True)


@pytest.fixture(scope="module")
def draws(shop: Workshop) -> dict[str, tuple[Arm, ...]]:
    return shop.arms()


@pytest.fixture(scope="module")
def arms(draws: dict[str, tuple[Arm, ...]]) -> dict[str, Arm]:
    return {name: drawn[0] for name, drawn in draws.items()}


def texts_of(arm: Arm) -> dict[str, str]:
    """A release's documents, validation included: id -> text."""
    release = open_release(arm.release)
    return {
        row["id"]: row["text"] for split in ("train", "validation") for b in release.documents(split=split, columns=["id", "text"]) for row in b.to_pylist()
    }


def dropped(arm: Arm) -> dict[str, set[str]]:
    """Ids that left, by stage."""
    found: dict[str, set[str]] = {}
    for row in open_release(arm.release).ledger.select(["stage", "id"]).to_pylist():
        found.setdefault(row["stage"], set()).add(row["id"])
    return found


def test_raw_keeps_what_the_recipe_drops(arms: dict[str, Arm]) -> None:
    raw, ours = dropped(arms["raw"]), dropped(arms["ours"])
    assert set(raw) <= LEFT
    assert {"words", "shape_zh", "deduplicate_minhash"} <= set(ours)
    assert raw["language"] == ours["language"]
    kept_by_raw = set(texts_of(arms["raw"])) | raw["mix"]
    assert ours["words"] | ours["shape_zh"] | ours["deduplicate_minhash"] <= kept_by_raw | raw["deduplicate_url"]
    assert sum(arms["raw"].available.values()) > sum(arms["ours"].available.values())


def test_an_arm_without_a_filter_keeps_what_only_that_filter_drops(arms: dict[str, Arm]) -> None:
    ours, mine = dropped(arms["ours"]), dropped(arms["no_words"])
    assert "words" not in mine
    gone = set().union(*mine.values())
    assert ours["words"] - gone, "nothing came back"
    assert mine["repeated"] >= ours["repeated"]  # what `words` had dropped before it


@pytest.mark.parametrize("name", ["raw", "ours", "random", "no_words"])
def test_shares_are_the_same_in_every_arm_to_the_document(arms: dict[str, Arm], name: str) -> None:
    release = open_release(arms[name].release)
    largest = max(n for b in release.documents(columns=["token_count"]) for n in b.column("token_count").to_pylist())
    for domain, share in {"en": 0.6, "zh": 0.4}.items():
        assert abs(arms[name].shares[domain] - share) <= 2 * largest / arms[name].total


def test_the_random_arm_has_as_many_tokens_as_the_other_of_documents_of_raw(arms: dict[str, Arm]) -> None:
    assert set(texts_of(arms["random"])) <= set(texts_of(arms["raw"]))
    for domain, tokens in arms["ours"].unique_tokens.items():
        batches = open_release(arms["raw"].release).documents(domain, columns=["token_count"])
        largest = max(n for b in batches for n in b.column("token_count").to_pylist())
        assert tokens - largest <= arms["random"].unique_tokens[domain] <= tokens
    assert arms["random"].content != arms["ours"].content


def test_what_is_drawn_is_drawn_anew_for_every_seed(draws: dict[str, tuple[Arm, ...]]) -> None:
    """Arms of the same draw alike: a control by chance is of the documents that raw has in that draw, and drawn of itself it is itself."""
    texts = {name: [set(texts_of(arm)) for arm in drawn] for name, drawn in draws.items()}
    assert [len(drawn) for drawn in draws.values()] == [2] * len(draws)
    for name, (first, second) in draws.items():
        assert texts[name][0] != texts[name][1], name
        assert abs(first.total - second.total) < 0.2 * first.total
    for k in range(2):
        assert texts["again"][k] == texts["random"][k] <= texts["raw"][k]


def test_a_mix_that_uses_all_is_not_drawn() -> None:
    about = {"unique_tokens": 995, "unique_tokens_available": 1000}
    assert not variants.leaves_over({"unit": "tokens", "domains": {"en": about}})
    assert variants.leaves_over({"unit": "tokens", "domains": {"en": about, "zh": {**about, "unique_tokens_available": 1100}}})


def test_texts_and_measures_are_made_once_for_all_arms(shop: Workshop, arms: dict[str, Arm]) -> None:
    kinds = Counter(name.split("/")[0] for name in artefacts(Path(shop.work)) if name.endswith(".arrow") and ".unreadable" not in name)
    assert kinds["text"] == kinds["columns"] == kinds["language"] > 0


def test_a_second_time_nothing_is_made(shop: Workshop, draws: dict[str, tuple[Arm, ...]], world: World) -> None:
    before = artefacts(Path(shop.work) / "releases") | artefacts(Path(shop.work) / "tokens")
    again = Workshop(shop.spec, shop.work, inputs(world), here=True).arms()
    assert again == draws
    assert artefacts(Path(shop.work) / "releases") | artefacts(Path(shop.work) / "tokens") == before


def test_a_bound_that_moves_makes_another_release_beside_the_first(shop: Workshop, arms: dict[str, Arm], world: World, tmp_path: Path) -> None:
    few(tmp_path)
    (tmp_path / "small.yaml").write_text(RECIPE.replace("min: 50", "min: 60"))
    moved = Workshop(Spec.load(tmp_path / "few.yaml"), shop.work, inputs(world), here=True)
    assert moved.recipe("raw").version == shop.recipe("raw").version, "raw has no bound to move"
    assert moved.recipe("ours").version != shop.recipe("ours").version


def test_a_filter_that_is_off_measures_on_and_drops_nothing(shop: Workshop) -> None:
    stages = variants.without(shop.base, ["words"])
    mine = next(s for s in stages if label(s) == "words")
    assert isinstance(mine, Filter)
    assert set(mine.bounds) == {"word_count", "stop_word_count"} and mine.missing == "keep"
    assert all(limits.min == -1e300 and limits.max is None for limits in mine.bounds.values())


def test_without_all_leaves_law_languages_and_what_the_mix_looks_at(world: World) -> None:
    recipe = world.recipe()
    left = [label(s) for s in variants.without(recipe, ["all"]) if s.scope != "text" and not (isinstance(s, Filter) and s.missing == "keep")]
    assert left == ["language", "language", "licences", "deduplicate_id", "deduplicate_url", "downsample_repository", "downsample_programming_language"]
    kept = [label(s) for s in variants.without(recipe, ["all"], needed={"stem_stem"})]
    assert "score_topic+stem" in kept and "score_quality" not in kept


def test_as_many_as_an_arm_that_repeats_is_refused() -> None:
    repeated = {"unit": "tokens", "domains": {"zh": {"tokens": 8, "unique_tokens": 2}}}
    with pytest.raises(PlanError, match="max_epochs: 1"):
        variants.as_many(repeated, "ours")
    parts = {"unit": "tokens", "domains": {"en": {"tokens": 5, "unique_tokens": 5, "parts": {"web": {"tokens": 5}, "books": {"tokens": 0}}}}}
    assert variants.as_many(parts, "ours") == {"shares": {"en": {"web": 5}}, "normalise": True, "max_epochs": 1.0, "total": 5}


def test_datatrove_s_filters_judge_english_pages_and_leave_the_rest(world: World, shop: Workshop, arms: dict[str, Arm], tmp_path: Path) -> None:
    pytest.importorskip("datatrove", reason="datatrove is not installed")
    pytest.importorskip("spacy", reason="datatrove's English words need spaCy")
    spec = few(tmp_path, SPEC[: SPEC.index("  ours:")] + "  fineweb: {datatrove: fineweb, of: raw}\n" + SPEC[SPEC.index("train:") :])
    made = {name: drawn[0] for name, drawn in Workshop(spec, shop.work, inputs(world), here=True).arms().items()}
    keep = variants.fineweb_filters()
    rows = {row["id"]: row for b in open_release(made["raw"].release).documents(columns=["id", "text", "source", "domain"]) for row in b.to_pylist()}
    found = texts_of(made["fineweb"])
    judged = {i: keep(row["text"]) for i, row in rows.items() if row["source"] == "web" and row["domain"] == "en"}
    assert 0 < sum(text is None for text in judged.values()) < len(judged)
    for i, text in found.items():
        if i in rows:
            assert text == judged.get(i, rows[i]["text"])
    assert not found.keys() & {i for i, text in judged.items() if text is None}
    assert {row["id"] for row in rows.values() if row["domain"] == "zh"} & found.keys()
    assert made["fineweb"].available["zh"] >= made["raw"].available["zh"] * 0.8  # but for what is held out


def test_a_missing_datatrove_is_told_before_anything_is_made(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise variants.PackageNotFoundError(name)

    monkeypatch.setattr(variants, "version", missing)
    spec = few(tmp_path, SPEC.replace("  ours: {}", "  ours: {}\n  fineweb: {datatrove: fineweb, of: raw}"))
    with pytest.raises(PlanError, match="pip install"):
        Workshop(spec, str(tmp_path / "work"), inputs(world), here=True)


def test_the_ablations_that_ship_fit_the_flagship(world: World, tmp_path: Path) -> None:
    stem = Workshop(Spec.load("stem"), str(tmp_path), world.inputs, here=True)
    merged, plain = (stem.recipe(name).mix.schedule for name in ("merged", "stem_20"))
    amounts = [sum(phase.tokens * phase.slices["stem"].share.mean() for phase in schedule) for schedule in (merged, plain)]
    assert amounts[0] == pytest.approx(amounts[1]), "as many STEM tokens in another place"
    filters = Workshop(Spec.load("filters"), str(tmp_path), world.inputs, here=True) if _has_datatrove() else None
    if filters:
        off = {name.removeprefix("no_") for name, v in filters.variants.items() if v.against == "ours"}
        named = {label(s) for s in filters.base.stages if isinstance(s, Filter)}
        assert off == named - {"language"} | {"near_duplicates"}


def _has_datatrove() -> bool:
    try:
        variants.datatrove_engines()
    except PlanError:
        return False
    return True
