"""What a person sees while a run goes on: live bars on a terminal, a plain line every 30 seconds elsewhere."""

import sys
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from pipeline.timings import Progress

_EVERY_SECONDS = 30.0


class Shown(Progress):
    """Progress on standard error: a bar a step with documents and bytes a second, kept and dropped, and the time left."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr)
        self.bars: Bars | None = None
        self.tasks: dict[str, Any] = {}
        self.counts: dict[str, Counter[str]] = {}
        self.totals: dict[str, int] = {}
        self.finished: Counter[str] = Counter()
        self.since: dict[str, float] = {}
        self.last = time.monotonic()

    def __enter__(self) -> "Shown":
        if self.console.is_terminal:
            columns = [
                TextColumn("{task.description:<28}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rates]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            ]
            self.bars = Bars(*columns, console=self.console, transient=False)
            self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bars:
            self.bars.stop()

    def begin(self, step: str, total: int) -> None:
        if not total:
            return
        self.counts[step], self.totals[step], self.since[step] = Counter(), total, time.monotonic()
        self.finished[step] = 0
        if self.bars:
            self.tasks[step] = self.bars.add_task(step, total=total, rates="")

    def advance(self, step: str, counts: dict[str, Any]) -> None:
        if step not in self.totals:
            return
        self.finished[step] += 1
        self.counts[step].update({k: v for k, v in counts.items() if isinstance(v, int)})
        if self.bars:
            self.bars.update(self.tasks[step], completed=self.finished[step], rates=self._rates(step))
        elif time.monotonic() - self.last > _EVERY_SECONDS:
            self.last = time.monotonic()
            spent = time.monotonic() - self.since[step]
            left = spent / self.finished[step] * (self.totals[step] - self.finished[step])
            said = [f"{step}: {self.finished[step]} of {self.totals[step]}", self._rates(step), f"about {left:.0f} s left"]
            self.say(", ".join(filter(None, said)))

    def end(self, step: str) -> None:
        if not self.bars and step in self.totals:
            self.say(f"{step}: {self.totals[step]} of {self.totals[step]} in {time.monotonic() - self.since[step]:.1f} s, {self._rates(step)}".rstrip(", "))

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _rates(self, step: str) -> str:
        counts, spent = self.counts[step], max(1e-3, time.monotonic() - self.since[step])
        shown = []
        documents = counts["rows"] or counts["given"]
        if documents:
            shown.append(f"{documents / spent:,.0f} documents/s")
        if counts["input"] and counts["rows"]:
            shown.append(f"{counts['input'] / spent / 1e6:,.1f} MB/s")
        if counts["given"]:
            shown.append(f"kept {counts['kept']:,}, dropped {counts['given'] - counts['kept']:,}")
        return " ".join(shown)
