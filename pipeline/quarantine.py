"""Which records kill their worker? Found by bisection, in processes of their own.

A unit that killed two workers is cut in halves, each run through the text stages and the measures in a fresh process, until single
records are left; one that kills its own process twice is quarantined: the source then skips it, and the ledger says so.
"""

import json
import pickle
import subprocess
import sys
from typing import Any

import pyarrow as pa

from pipeline import tasks
from pipeline.measures import measure
from pipeline.planning import Plan
from pipeline.sources import Batch, Source, Unit, read
from pipeline.stages import Language, Stage
from pipeline.texts import Texts

_ERROR = 3  # exit status of a child that raised: a fault that the ordinary run reports by itself


def find_crashing(plan: Plan, u: int, timeout_seconds: float = 900) -> list[tuple[str, int]]:
    """The records of a unit that kill a process of their own, twice each. (file, offset) of each; empty where none does so alone."""
    measures = next((s.measures for s in plan.steps if s.kind == "columns"), ())
    unit = plan.units[u]
    language = next((s for s in plan.recipe.stages if isinstance(s, Language)), None)
    job = pickle.dumps((plan.sources[unit.source], unit, plan.quarantine[u], plan.steps[0].stages, language, measures))

    def child(*arguments: str) -> subprocess.CompletedProcess[bytes] | None:
        try:
            return subprocess.run(
                [sys.executable, "-m", "pipeline.quarantine", *arguments], input=job, capture_output=True, timeout=timeout_seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return None

    def dies(a: int, b: int) -> bool:
        done = child(str(a), str(b))
        if done is None:  # time is a verdict on a single record only: many may just be many
            return True
        return done.returncode not in (0, _ERROR)

    listing = child("list")
    if listing is None or listing.returncode:
        return []  # reading alone kills: no record can be left out
    places = [(str(file), int(offset)) for file, offset in json.loads(listing.stdout)]
    found, todo = [], [(0, len(places))]
    while todo:
        a, b = todo.pop()
        if a >= b or not dies(a, b):
            continue
        if b - a > 1:
            middle = (a + b) // 2
            todo += [(middle, b), (a, middle)]
        elif dies(a, b):
            found.append(places[a])
    return found


def _places(batch: Batch) -> list[list[Any]]:
    return [list(p) for p in zip(batch.records.column("file").to_pylist(), batch.records.column("offset").to_pylist(), strict=True)]


def _try(
    source: Source,
    unit: Unit,
    quarantine: frozenset[tuple[str, int]],
    stages: tuple[Stage, ...],
    language: Language | None,
    measures: tuple[str, ...],
    a: int,
    b: int,
) -> None:
    """Records a to b of a unit through everything that a unit's own steps do to them."""
    identify = tasks.LanguageStep(language) if language else None
    start = 0
    for batch in read(source, unit, quarantine=quarantine):
        if start >= b:
            break
        here = batch.records.slice(max(0, a - start), max(0, min(b - start, batch.records.num_rows) - max(0, a - start)))
        start += batch.records.num_rows
        for table in tasks.rewritten(here, source, stages, {"documents": 0, "html_bytes": 0, "text_bytes": 0}):
            measure(Texts.of(table), measures)
            if identify:
                identify.identified(pa.RecordBatch.from_pydict({n: table.column(n).combine_chunks() for n in table.column_names}))


def main() -> int:
    """The child: `list` prints every record's place, `A B` tries records A to B. The job comes by standard input."""
    source, unit, quarantine, stages, language, measures = pickle.loads(sys.stdin.buffer.read())  # written by our own parent
    try:
        if sys.argv[1] == "list":
            print(json.dumps([place for batch in read(source, unit, quarantine=quarantine) for place in _places(batch)]))
        else:
            _try(source, unit, quarantine, stages, language, measures, int(sys.argv[1]), int(sys.argv[2]))
    except Exception as error:  # reported by the ordinary run, with its own words
        print(error, file=sys.stderr)
        return _ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
