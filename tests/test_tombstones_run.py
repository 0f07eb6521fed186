"""What was taken down does not come back: tombstones in a recipe, from a release to the next one."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.dedup.tombstones import Tombstones, read_tombstones
from pipeline.errors import PlanError, RecipeError
from pipeline.inspect.explain import explain
from pipeline.ledger import unreadable_rows
from pipeline.publish.takedown import takedown
from pipeline.schema import UNREADABLE
from pipeline.stages import Takedown
from tests.running import FLAGSHIP, Finished, World


def with_tombstones(folder: Path, file: Path | str, version: str = "0.2") -> Path:
    """The flagship's next version, which names a tombstone file."""
    text = (
        FLAGSHIP.read_text(encoding="utf-8").replace('version: "0.1"', f'version: "{version}"').replace("\nrelease:\n", f"\nrelease:\n  tombstones: {file}\n")
    )
    assert f'"{version}"' in text and str(file) in text
    path = folder / "next.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def rows(release: pipeline.Release) -> dict[str, dict[str, Any]]:
    """Every released row by its id, without what names the stages it went through and what the mix gave it."""
    found = {}
    for split in ("train", "validation"):
        for batch in release.documents(split=split):
            found.update({r["id"]: {k: v for k, v in r.items() if k not in ("filter_trace", "repeats", "cluster", "cluster_size")} for r in batch.to_pylist()})
    return found


def strings(release: pipeline.Release) -> set[str]:
    """Every string that stands in any Parquet file of a release."""
    found: set[str] = set()
    for path in Path(release.path).rglob("*.parquet"):
        table = pq.read_table(path)
        for name in table.column_names:
            if pa.types.is_string(table.schema.field(name).type):
                found.update(v for v in table.column(name).to_pylist() if v is not None)
    return found


def test_a_page_and_its_near_duplicate_leave_and_stay_away(world: World, finished: Finished, tmp_path: Path) -> None:
    before = rows(finished.release)
    copies = [r for r in finished.release.ledger.to_pylist() if r["stage"] == "deduplicate_minhash" and r["source"] == "web" and r["other"] in before]
    copy = copies[0]
    page = before[copy["other"]]
    out = tmp_path / "tombstones.txt"
    found = takedown([page["url"]], [finished.release.path], str(out))
    assert {s.id for s in found.sightings} == {page["id"], copy["id"]}
    # Another crawl gives its documents other ids: then the URL names the page, and the signature its copy.
    kept = [line for line in out.read_text(encoding="utf-8").splitlines(keepends=True) if not line.startswith("id: ")]
    out.write_text("".join(kept), encoding="utf-8")

    work = tmp_path / "work"
    shutil.copytree(finished.work, work)
    recipe = world.recipe(with_tombstones(tmp_path, out))
    plan = pipeline.plan(recipe, work)
    assert [s.name for s in plan.steps[:3]] == ["text", "measures", "takedown"]
    assert all(n == 0 for step, n in plan.to_do().items() if step in ("text", "measures", "language")), "what was measured stays measured"
    release = pipeline.run(recipe, work, here=True)

    after = rows(release)
    assert page["id"] not in after and copy["id"] not in after
    assert {page["url"], copy["url"], page["text"]}.isdisjoint(strings(release)), "no file of the release tells of it"
    drops = {r["id"]: r for r in release.ledger.to_pylist() if r["stage"] == "takedown"}
    assert drops.keys() == {page["id"], copy["id"]}
    assert drops[page["id"]]["reason"] == "tombstones_by_url == 0" and drops[page["id"]]["value"] is None
    assert drops[copy["id"]]["reason"] == "tombstone_similarity < 0.8" and drops[copy["id"]]["value"] == pytest.approx(copy["value"], abs=0.12)
    assert all(r["url"] is None and r["file"] and r["offset"] is not None for r in drops.values())
    assert release.stats["stages"][0] == "takedown"
    assert sum(d["documents"] for d in release.stats["dropped"] if d["stage"] == "takedown") == 2
    assert sum(d["documents"] for d in release.stats["dropped"]) + release.stats["kept"] == release.stats["records"]["documents"]

    # All else is as it was, but for what the mix takes more or less of for it.
    assert all(after[i] == before[i] for i in after.keys() & before.keys())
    verdicts = [Counter((row["id"], row["stage"]) for row in made.ledger.to_pylist()) for made in (finished.release, release)]
    changed = (verdicts[0] - verdicts[1]) + (verdicts[1] - verdicts[0])
    assert {(i, stage) for i, stage in changed if stage != "mix"} == {(page["id"], "takedown"), (copy["id"], "takedown"), (copy["id"], "deduplicate_minhash")}
    assert (after.keys() ^ before.keys()) - {page["id"]} == {i for i, stage in changed if stage == "mix"}

    assert release.store.read_json("recipe.json")["release"]["tombstones"] == [f"tombstones.txt {read_tombstones([str(out)]).print}"], "not its folder"
    told = explain(plan, page["url"])
    assert told.verdict is not None and (told.verdict["stage"], told.verdict["reason"]) == ("takedown", "tombstones_by_url == 0")
    again = takedown([page["url"]], [finished.release.path, release.path], str(tmp_path / "again.txt"))
    assert [s.place for s in again.sightings if s.release == "skypile@0.2"] == ["ledger"] * 2


def test_content_bears_identity_and_places_and_remarks_do_not(world: World, tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("host: a.example\nurl: http://b.example/\n", encoding="utf-8")
    two.write_text("# moved, with a remark\nurl: HTTP://B.example\nhost: a.example # twice\nhost: a.example\n", encoding="utf-8")
    plans = [pipeline.plan(world.recipe(with_tombstones(tmp_path, file)), tmp_path / "work") for file in (one, two)]
    assert plans[0].release_print == plans[1].release_print
    assert [s.prints for s in plans[0].steps] == [s.prints for s in plans[1].steps]
    two.write_text("host: a.example\n", encoding="utf-8")
    other = pipeline.plan(world.recipe(with_tombstones(tmp_path, two)), tmp_path / "work")
    assert other.release_print != plans[0].release_print
    without = pipeline.plan(world.recipe(), tmp_path / "work")
    assert "takedown" in str(other) and "takedown" not in str(without)
    for name in ("text", "columns", "language"):
        assert [s.prints for s in other.steps if s.kind == name] == [s.prints for s in without.steps if s.kind == name], f"{name} does not depend on it"


def test_tombstones_that_change_while_a_run_is_on_are_noticed(tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text("host: a.example\n", encoding="utf-8")
    stage = Takedown.by((str(file),))
    table = pa.table({"id": ["1", "2"], "url": ["http://a.example/", None]})
    assert stage.broken(table) == ["tombstones_by_host == 0", None]
    file.write_text("host: b.example\n", encoding="utf-8")
    with pytest.raises(PlanError, match=r"have changed since the run was planned. Run again."):
        stage.broken(table)


def test_records_that_could_not_be_read_are_not_told_of_either() -> None:
    unreadable = pa.Table.from_pylist(
        [{"file": "f", "offset": i, "reason": "unreadable: x", "url": url} for i, url in enumerate(["http://a.example/", "http://b.example/", None])],
        schema=UNREADABLE,
    )
    naming = Tombstones(hosts=frozenset(["a.example"])).naming
    assert unreadable_rows(unreadable, "web", naming).column("url").to_pylist() == [None, "http://b.example/", None]
    assert unreadable_rows(unreadable, "web").column("url").to_pylist() == ["http://a.example/", "http://b.example/", None]
    assert unreadable_rows(unreadable.slice(0, 0), "web", naming).num_rows == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "release.tombstones: The tombstone file FILE cannot be read: No such file or directory"),
        ("host: a.example\n\nsomeone\n", "release.tombstones: FILE:3: 'someone' is no tombstone"),
        ("host: https://a.example/\n", "release.tombstones: FILE:1: 'https://a.example/' is no host: write its name alone"),
    ],
)
def test_faults_are_found_before_a_run(world: World, tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "t.txt"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    path = with_tombstones(tmp_path, file)
    line = path.read_text(encoding="utf-8").splitlines().index(f"  tombstones: {file}") + 1
    with pytest.raises(RecipeError) as caught:
        world.recipe(path)
    assert str(caught.value).startswith(f"{path}:{line}: {told.replace('FILE', str(file))}")


def test_the_name_of_its_stage_is_taken(world: World, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(FLAGSHIP.read_text(encoding="utf-8").replace("name: fineweb", "name: takedown"), encoding="utf-8")
    with pytest.raises(RecipeError, match="the name 'takedown' is taken"):
        world.recipe(path)
