"""One unit of a run as far as it has come: its columns, what was dropped of it, and by which judge. It reads, and decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.planning import Plan
from pipeline.stages import Stage
from pipeline.tasks import View

KEPT = np.int16(32767)  # `left` of a document that is still in


@dataclass(frozen=True)
class Judge:
    """One stage that drops documents. `number`: its turn."""

    number: int
    step: int
    stage: Stage | None  # None for the mix
    name: str


@dataclass
class Unit:
    """One unit as far as it has come."""

    plan: Plan
    number: int
    judges: Sequence[Judge]

    @cached_property
    def reached(self) -> int:
        """The first step that the unit has not been through."""
        done = 1
        while done < len(self.plan.steps) - 1 and self.plan.done(done, self.number):
            done += 1
        return done

    @cached_property
    def view(self) -> View:
        return View(self.plan.store, self.plan.artefacts(self.number, self.reached))

    def before(self, step: int) -> View:
        """The unit as a step found it."""
        return View(self.plan.store, self.plan.artefacts(self.number, step))

    @cached_property
    def drops(self) -> pa.Table:
        """Everything that was dropped so far, and the number of the judge that did it."""
        parts = []
        for name in self.view.artefacts.drops:
            drops = self.plan.store.read_table(name)
            mine = {j.name: j.number for j in self.judges if self.plan.steps[j.step].artefact(self.number) + ".arrow" == name}
            place = pc.index_in(drops.column("stage"), pa.array(list(mine), pa.string())).to_numpy()
            numbers = np.array(list(mine.values()), np.int16)[place]
            parts.append(drops.append_column("judge", pa.array(numbers, pa.int16())))
        return pa.concat_tables(parts) if parts else pa.table({"row": pa.array([], pa.uint32()), "judge": pa.array([], pa.int16())})

    @cached_property
    def left(self) -> np.ndarray:
        """The number of the judge that dropped each row, or KEPT. (rows,) int16"""
        left = np.full(self.view.rows, KEPT, np.int16)
        left[self.drops.column("row").to_numpy()] = self.drops.column("judge").to_numpy()
        return left

    def texts(self, rows: Sequence[int], most: int) -> dict[int, tuple[str, int]]:
        """The beginning of some rows' texts, and how many characters the whole has. Memory: one batch."""
        found: dict[int, tuple[str, int]] = {}
        wanted, start = np.unique(np.array(rows, np.int64)), 0
        packed = self.plan.store.read_table(self.view.artefacts.packed) if self.view.artefacts.packed else None
        instead = dict(zip(*(packed.column(c).to_pylist() for c in ("row", "text")), strict=True)) if packed is not None else {}
        for batch in self.plan.store.read_batches(self.view.artefacts.text, ["text"]):
            for row in wanted[(wanted >= start) & (wanted < start + batch.num_rows)].tolist():
                text = instead.get(row, batch.column("text")[row - start].as_py()) if self.left[row] == KEPT else batch.column("text")[row - start].as_py()
                found[row] = (text[:most], len(text))
            start += batch.num_rows
        return found
