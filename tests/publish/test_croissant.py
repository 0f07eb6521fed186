"""croissant.json: mlcroissant finds no fault in it, reads the rows by it, and its checksums are those of the files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.publish.card import card
from pipeline.publish.croissant import CONFORMS_TO, croissant
from pipeline.publish.facts import Facts
from pipeline.shards import open_release
from tests.publish.releases import RECIPE, make_release, row, rows_of

mlc = pytest.importorskip("mlcroissant")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with its card, and something removed."""
    removed = [{"id": "1", "source": "web", "file": "a", "offset": 0, "stage": "shape", "reason": "word_count >= 50"}]
    folder = make_release(tmp_path_factory.mktemp("croissant") / "small@1.0", removed=removed)
    card(folder)
    return folder


@pytest.fixture(scope="module")
def said(made: Path) -> dict[str, Any]:
    return dict(json.loads((made / "croissant.json").read_text(encoding="utf-8")))


def test_mlcroissant_finds_no_fault(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = mlc.Dataset(jsonld=str(made / "croissant.json"))
    issues = data.metadata.ctx.issues
    assert not issues.errors and not issues.warnings, issues.report()
    assert "not standard" not in caplog.text
    assert data.metadata.ctx.is_v1_1() and list(data.metadata.conforms_to) == list(CONFORMS_TO)


def test_mlcroissant_finds_no_fault_in_hostile_strings(tmp_path: Path) -> None:
    bad = '"}] <script> \u202e \n {"@id": "x"}'
    rows = {("data", "en"): [row(i, "en", licence=bad, date=(bad, "2026-02-31", "0000-00-00", None)[i % 4]) for i in range(5)]}
    recipe = {**RECIPE, "sources": {"web": {"reader": bad, "files": [bad], "licence": bad}}}
    folder = make_release(tmp_path / "bad@1.0", rows, recipe=recipe)
    (folder / "croissant.json").write_text(croissant(Facts(open_release(str(folder))), creator=bad), encoding="utf-8")
    issues = mlc.Dataset(jsonld=str(folder / "croissant.json")).metadata.ctx.issues
    assert not issues.errors


def test_it_reads_the_rows(made: Path) -> None:
    data = mlc.Dataset(jsonld=str(made / "croissant.json"))
    for name, folder in (("train-zh", "data/zh"), ("validation-code", "validation/code"), ("removed", "removed")):
        rows = list(data.records(name))
        ids = [i for file in sorted(made.glob(f"{folder}/*.parquet")) for i in pq.read_table(file).column("id").to_pylist()]
        assert [r[f"{name}/id"].decode() for r in rows] == ids and ids


def test_every_file_of_the_release_is_there_with_its_checksum(made: Path, said: dict[str, Any]) -> None:
    files = {f["contentUrl"]: f for f in said["distribution"] if f["@type"] == "cr:FileObject"}
    assert set(files) == set(json.loads((made / "manifest.json").read_text(encoding="utf-8"))["files"])
    for name, file in files.items():
        content = (made / name).read_bytes()
        assert (file["sha256"], file["contentSize"]) == (hashlib.sha256(content).hexdigest(), f"{len(content)} B")


def test_every_split_of_a_domain_is_a_set_with_the_columns_of_its_files(made: Path, said: dict[str, Any]) -> None:
    sets = {s["@id"]: s["includes"] for s in said["distribution"] if s["@type"] == "cr:FileSet"}
    assert sets == {
        **{
            f"files-{split}-{d}": f"{folder}/{d}/*.parquet" for split, folder in (("train", "data"), ("validation", "validation")) for d in ("en", "zh", "code")
        },
        "files-removed": "removed/*.parquet",
        "files-ledger": "ledger/*.parquet",
    }
    for records in said["recordSet"]:
        (file,) = made.glob(sets[f"files-{records['@id']}"])
        schema = pq.read_schema(file)
        assert [f["name"] for f in records["field"]] == schema.names
        kinds = {f["name"]: f["dataType"] for f in records["field"]}
        if "token_count" in kinds:
            assert (kinds["token_count"], kinds["quality"], kinds["text"]) == ("sc:Integer", "sc:Float", "sc:Text")
        assert all(f["description"] for f in records["field"])


def test_the_responsible_part_says_what_is_known(made: Path, said: dict[str, Any]) -> None:
    metadata = mlc.Dataset(jsonld=str(made / "croissant.json")).metadata
    for name in [
        "data_collection",
        "data_collection_type",
        "data_preprocessing_protocol",
        "data_annotation_protocol",
        "personal_sensitive_information",
        "data_biases",
        "data_limitations",
        "data_use_cases",
        "data_release_maintenance_plan",
        "machine_annotation_tools",
        "data_collection_timeframe",
    ]:
        assert getattr(metadata, name), f"{name} is empty"
    assert "sources web" in said["rai:personalSensitiveInformation"][0], "the web was not scrubbed"
    assert said["rai:dataCollectionType"] == ["Web Scraping", "Secondary Data analysis"]


def test_no_clock(made: Path, said: dict[str, Any], tmp_path: Path) -> None:
    dates = [d for file in made.glob("*/*/*.parquet") for d in pq.read_table(file, columns=["date"]).column("date").to_pylist()]
    assert said["datePublished"] == max(dates)[:10]
    facts = Facts(open_release(str(made)))
    given = json.loads(croissant(facts, repo="org/name", creator="Somebody", published="2026-12-01"))
    assert (given["datePublished"], given["url"], given["creator"]["name"]) == ("2026-12-01", "https://huggingface.co/datasets/org/name", "Somebody")
    undated = {key: [{**r, "date": None} for r in some] for key, some in rows_of().items()}
    assert "datePublished" not in json.loads(croissant(Facts(open_release(str(make_release(tmp_path / "undated@1.0", undated))))))


@pytest.mark.parametrize(
    ("version", "semantic"), [("0.1", "0.1.0"), ("2026.12", "2026.12.0"), ("1.2.3", "1.2.3"), ("1", "1.0.0"), ("2026.08", "2026.08"), ("a-b", "a-b")]
)
def test_versions_are_semantic_where_they_can_be(version: str, semantic: str, tmp_path: Path) -> None:
    folder = make_release(tmp_path / "v", {("data", "en"): [row(1, "en")]}, recipe={**RECIPE, "version": version})
    assert json.loads(croissant(Facts(open_release(str(folder)))))["version"] == semantic
