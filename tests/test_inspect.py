"""explain, plan, plan --probe, measures: what a user asks of a work folder, on a finished run."""

import re

import pyarrow.compute as pc
import pytest

import pipeline
from pipeline.errors import PlanError
from pipeline.inspect.explain import explain
from pipeline.inspect.probe import probe
from pipeline.measures import MEASURES
from tests.running import Finished, World, cli


def dropped(finished: Finished, stage: str) -> dict[str, object]:
    ledger = finished.release.ledger
    rows = ledger.filter(pc.equal(ledger.column("stage"), stage)).to_pylist()
    assert rows, f"the sample has documents that {stage} drops"
    return dict(rows[0])


def test_explain_names_the_broken_bound_as_the_ledger_does(world: World, finished: Finished) -> None:
    row = dropped(finished, "gopher_repetition")
    found = explain(pipeline.plan(world.recipe(), finished.work), str(row["id"]))
    assert found.verdict is not None and found.verdict["reason"] == row["reason"]
    broken = [b for b in found.bounds if not b["holds"]]
    assert broken[0]["filter"] == "gopher_repetition"
    assert f"{broken[0]['measure']} {broken[0]['bound']}" == row["reason"]


def test_explain_names_the_document_that_stayed(world: World, finished: Finished) -> None:
    row = dropped(finished, "deduplicate_minhash")
    found = explain(pipeline.plan(world.recipe(), finished.work), str(row["id"]))
    assert found.verdict is not None
    assert found.verdict["other"] == row["other"] and found.verdict["other_url"]
    assert found.verdict["value"] >= 0.8


def test_explain_by_url_on_the_command_line(world: World, finished: Finished) -> None:
    row = dropped(finished, "deduplicate_text")
    done = cli("explain", "skypile", str(row["url"]), "--work", finished.work, *world.options())
    assert done.returncode == 0, done.stderr
    assert "Out at deduplicate_text" in done.stdout and str(row["other"]) in done.stdout


def test_explain_of_a_kept_document_says_so(world: World, finished: Finished) -> None:
    kept = next(finished.release.documents("zh")).to_pylist()[0]
    found = explain(pipeline.plan(world.recipe(), finished.work), kept["id"])
    assert found.verdict is None and "release" in found.reached
    assert all(b["holds"] for b in found.bounds)
    assert found.columns["token_count"] == kept["token_count"]


def test_explain_of_nothing_is_one_sentence(world: World, finished: Finished) -> None:
    with pytest.raises(PlanError, match="No document has the id"):
        explain(pipeline.plan(world.recipe(), finished.work), "0" * 32)


def test_plan_says_what_is_done(world: World, finished: Finished) -> None:
    done = cli("plan", "skypile", "--work", finished.work, *world.options())
    assert done.returncode == 0 and "to do" not in done.stdout and "word_count >= 50" in done.stdout


def test_a_probe_of_everything_predicts_what_came_out(world: World, finished: Finished) -> None:
    found = probe(pipeline.plan(world.recipe(), finished.work), 1.0)
    stats = finished.release.stats
    assert found.documents == stats["records"]["documents"]
    # What needs other documents or a classifier is not probed.
    rounds = {"mix", "sensitive", *(s for s in stats["stages"] if s.startswith(("deduplicate", "downsample")))}
    out = sum(d["documents"] for d in stats["dropped"] if d["stage"] not in rounds)
    assert sum(found.kept.values()) == found.documents - out


def test_a_small_probe_is_within_its_own_error(world: World, finished: Finished) -> None:
    planned = pipeline.plan(world.recipe(), finished.work)
    whole, part = probe(planned, 1.0), probe(planned, 0.3)
    assert 0 < part.records < whole.records
    assert abs(sum(part.kept.values()) - sum(whole.kept.values())) < 4 * part.kept_error


def test_measures_lists_the_catalogue() -> None:
    done = cli("measures")
    assert done.returncode == 0
    listed = set(re.findall(r"[a-z0-9_]{6,}", done.stdout))
    assert set(MEASURES) <= listed


def test_the_survivor_named_is_no_copy_itself(world: World, finished: Finished) -> None:
    planned = pipeline.plan(world.recipe(), finished.work)
    ledger = finished.release.ledger
    rows = ledger.filter(pc.and_(pc.is_valid(ledger.column("other")), pc.starts_with(ledger.column("stage"), "deduplicate"))).to_pylist()
    out = {row["id"]: row for row in rows if row["id"] != row["other"]}
    for row in [*rows[:4], *(r for r in rows if r["other"] in out)][:12]:
        found = explain(planned, row["id"]).verdict
        if found is not None and found["other"] and found["other"] != row["id"]:
            assert found["survivor"] not in out
            assert found["left"] is None or not found["left"]["stage"].startswith("deduplicate")
