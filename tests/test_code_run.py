"""The recipe for source code, whole: what it keeps, what it says of it, and repositories as one document."""

import json
import re
import tarfile
from pathlib import Path

import pytest

import pipeline
from tests.running import ROOT, World

CODE = ROOT / "recipes" / "code.yaml"


def rows(release: pipeline.Release, *columns: str) -> list[dict[str, object]]:
    splits = ("train", "validation")
    return [row for split in splits if release.domains for batch in release.documents(split=split, columns=list(columns)) for row in batch.to_pylist()]


@pytest.fixture(scope="module")
def files(world: World, tmp_path_factory: pytest.TempPathFactory) -> pipeline.Release:
    recipe = pipeline.Recipe.load(CODE, {"code": world.inputs["code"]})
    return pipeline.run(recipe, work=tmp_path_factory.mktemp("code"), here=True)


def test_the_release_says_what_code_it_holds(files: pipeline.Release) -> None:
    found = rows(files, "repository", "path", "licence", "licence_file", "licence_confidence", "programming_language", "text")
    assert found and all(row["licence"] in ("MIT", "Apache-2.0", "BSD-2-Clause") and row["repository"] and row["path"] for row in found)
    about = files.code
    assert sum(n["documents"] for n in about["languages"].values()) == sum(n["documents"] for n in about["licences"].values()) == len(found)
    assert about["languages"]["Python"]["text_bytes"] == sum(len(str(r["text"]).encode()) for r in found if r["programming_language"] == "Python")
    assert sum(about["asked"].values()) == pytest.approx(1, abs=1e-4)
    attribution = files.store.read_bytes("ATTRIBUTION.md").decode()
    assert {re.sub(r"@.*", "", line[2:]) for line in attribution.splitlines() if line.startswith("- ")} == {row["repository"] for row in found}
    assert files.manifest["files"].keys() >= {"code.json", "ATTRIBUTION.md"}
    stages = {row["stage"] for row in files.ledger.to_pylist()}
    assert {"licences", "code_origin"} <= stages or {"code_origin"} <= stages


def test_the_release_says_how_many_files_a_repository_has(world: World, files: pipeline.Release) -> None:
    held = {}
    for path in (world.folder / "code").iterdir():
        with tarfile.open(path) as archive:
            held[path.name.partition(".tar")[0]] = sum(member.isfile() for member in archive)
    found = {row["repository"]: row["repository_files"] for row in rows(files, "repository", "repository_files")}
    assert found and found.items() <= held.items()


def test_packed_repositories_hold_every_file_once(world: World, files: pipeline.Release, tmp_path: Path) -> None:
    text = CODE.read_text(encoding="utf-8").replace("\nmix:\n", "\n  - pack: {for: {domain: code}}\n\nmix:\n")
    (tmp_path / "packed.yaml").write_text(text, encoding="utf-8")
    packed = pipeline.run(pipeline.Recipe.load(tmp_path / "packed.yaml", {"code": world.inputs["code"]}), work=tmp_path / "work", here=True)
    whole = "".join(str(row["text"]) for row in rows(packed, "text"))
    single = rows(files, "path", "text")
    assert whole.count("<file_sep>") == len(single) > len(rows(packed, "text"))
    for row in single:
        assert f"<file_sep>{row['path']}\n{row['text']}" in whole
    gone = [row for row in packed.ledger.to_pylist() if row["stage"] == "pack"]
    ids = {row["id"] for row in rows(packed, "id")}
    assert len(gone) + len(ids) == len(single) and {row["other"] for row in gone} <= ids
    assert sum(d["documents"] for d in packed.stats["dropped"] if d["stage"] == "pack") == len(gone)
    assert json.dumps(packed.code) != json.dumps(files.code)
