"""How long each step took is noted beside the artefacts, summed over runs, and nothing depends on it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import pipeline
from pipeline.engine import Here, Link
from pipeline.timings import Progress, Timed, timings
from tests.running import Finished, World


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[Any] = []

    def begin(self, step: str, total: int) -> None:
        self.lines.append(("begin", step, total))

    def advance(self, step: str, counts: dict[str, Any]) -> None:
        self.lines.append(("advance", step))

    def end(self, step: str) -> None:
        self.lines.append(("end", step))

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_seconds_are_summed_over_runs_and_everything_is_passed_on(world: World, tmp_path: Path) -> None:
    planned = pipeline.plan(world.recipe(), tmp_path)
    assert timings(planned) == {}
    for _ in range(2):
        engine, told = SimpleNamespace(spent=100.0), Told()
        timed = Timed(told, planned, cast(Any, engine))
        timed.begin("text", 2)
        timed.advance("text", {"rows": 10, "seconds": 1.5})
        timed.save()  # as happens every few seconds: nothing is counted twice, or forgotten
        timed.advance("text", {"rows": 5, "seconds": 0.5})
        timed.end("text")
        timed.begin("deduplicate_id", 1)
        engine.spent += 4
        timed.advance("deduplicate_id", {"given": 15, "kept": 14})
        timed.end("deduplicate_id")
        timed.say("so far")
        assert told.lines == [
            ("begin", "text", 2), ("advance", "text"), ("advance", "text"), ("end", "text"),
            ("begin", "deduplicate_id", 1), ("advance", "deduplicate_id"), ("end", "deduplicate_id"), "so far",
        ]  # fmt: skip
    found = timings(planned)
    assert set(found) == {"text", "deduplicate_id"}
    assert (found["text"]["core_seconds"], found["text"]["rows"], found["text"]["tasks"]) == (4.0, 30, 4)
    assert (found["deduplicate_id"]["core_seconds"], found["deduplicate_id"]["rows"]) == (8.0, 30)
    other = pipeline.plan(world.recipe().model_copy(update={"version": "another"}), tmp_path)
    assert timings(other) == found, "the steps are the same"


def test_an_engine_says_what_its_tasks_took() -> None:
    engine, told = Here(), []
    outcome = engine.run([Link(lambda n: {"rows": n})], [[(3,)], [(4,)]], lambda i, j, counts: told.append(counts))
    assert [t["rows"] for t in told] == [3, 4] and all(t["seconds"] >= 0 for t in told)
    assert outcome.results == {(0, 0): {"rows": 3}, (1, 0): {"rows": 4}}, "a result holds no seconds: it may be published"
    assert engine.spent == pytest.approx(sum(t["seconds"] for t in told))


def test_a_run_times_its_steps(world: World, finished: Finished) -> None:
    planned = pipeline.plan(world.recipe(), finished.work)
    found = timings(planned)
    assert set(found) == {step.name for step in planned.steps}
    assert found["text"]["rows"] == finished.release.stats["records"]["documents"]
    assert all(f["core_seconds"] > 0 for f in found.values())
