"""How long each step took: `timings.json` in the work folder. It bears no identity, enters no release, and nothing depends on it.

Per step the seconds that its tasks occupied a core, summed over all runs of this very step (its stages, settings and versions) in this work
folder, with the documents and tasks they were for. A step that was there already costs nothing and adds nothing.
"""

import time
from typing import Any

from pipeline.engine import Engine
from pipeline.planning import Plan, Step
from pipeline.store import Store, fingerprint

_FILE = "timings.json"
_EVERY_SECONDS = 10.0


class Progress:
    """What the command line shows: told of every finished task. This one is silent."""

    def begin(self, step: str, total: int) -> None: ...
    def advance(self, step: str, counts: dict[str, Any]) -> None: ...
    def end(self, step: str) -> None: ...
    def say(self, text: str) -> None: ...


class Timed(Progress):
    """Progress that notes down what it sees, and passes it on to `shown`."""

    def __init__(self, shown: Progress, plan: Plan, engine: Engine) -> None:
        self.shown, self.engine, self.store = shown, engine, plan.store
        self.keys = {step.name: _key(step) for step in plan.steps}
        self.began: dict[str, tuple[float, float]] = {}  # seconds on the clock, and core-seconds that the engine had spent
        self.fresh: dict[str, dict[str, float]] = {}  # what is not in the file yet
        self.told: set[str] = set()  # steps whose tasks come with their seconds
        self.saved = time.monotonic()

    def begin(self, step: str, total: int) -> None:
        if total:
            self.began[step] = (time.monotonic(), self.engine.spent)
        self.shown.begin(step, total)

    def advance(self, step: str, counts: dict[str, Any]) -> None:
        self._add(step, tasks=1, rows=counts.get("rows") or counts.get("given") or 0)
        if "seconds" in counts:
            self.told.add(step)
            self._add(step, core_seconds=counts["seconds"])
        self.shown.advance(step, counts)
        if time.monotonic() - self.saved > _EVERY_SECONDS:
            self.save()

    def end(self, step: str) -> None:
        if step in self.began:
            wall, spent = self.began.pop(step)
            self._add(step, wall_seconds=time.monotonic() - wall)
            if step not in self.told:  # a round: nobody tells of its tasks one by one, and nothing else runs beside it
                self._add(step, core_seconds=self.engine.spent - spent)
            self.save()
        self.shown.end(step)

    def say(self, text: str) -> None:
        self.shown.say(text)

    def _add(self, step: str, **values: float) -> None:
        fresh = self.fresh.setdefault(step, {})
        for name, value in values.items():
            fresh[name] = fresh.get(name, 0) + value

    def save(self) -> None:
        """Add what is new to the file."""
        known = _read(self.store)
        for step, fresh in self.fresh.items():
            held = known.setdefault(self.keys[step], {"step": step})
            for name, value in fresh.items():
                held[name] = round(held.get(name, 0) + value, 3)
        self.fresh.clear()
        self.store.write_json(_FILE, known)
        self.saved = time.monotonic()


def timings(plan: Plan) -> dict[str, dict[str, Any]]:
    """What is known of the plan's steps, by name: core_seconds, wall_seconds, rows, tasks. Steps that were never timed are not in it."""
    known = _read(plan.store)
    return {step.name: {k: v for k, v in known[_key(step)].items() if k != "step"} for step in plan.steps if _key(step) in known}


def _key(step: Step) -> str:
    return fingerprint([step.kind, step.name, step.identity])


def _read(store: Store) -> dict[str, Any]:
    found = store.read_json(_FILE) if store.exists(_FILE) else {}
    return dict(found)
