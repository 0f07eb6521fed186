"""`plan --probe 0.001`: run a hashed thousandth of every input through the per-unit stages, and predict time, disk, memory and yield.

Which records are probed is a hash of their id, so the same ones are probed each time. Files are sampled first where there are many.
Reading is timed apart, since a probe reads more than it works on. The error is the standard error over the units that were probed.
"""

import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from rich.table import Table

from pipeline import tasks
from pipeline.downsample import budgets_of
from pipeline.errors import PlanError
from pipeline.filter import judge
from pipeline.measures import measure
from pipeline.mix import mix_targets, shortages, slice_names, slices_of
from pipeline.planning import Plan, tokenizers_of
from pipeline.rounds import chance
from pipeline.sources import Unit, read
from pipeline.stages import Choice, Downsample, Filter, Language
from pipeline.texts import Texts

_SEED = 0x9B0BE
_UNITS = 64  # at least so many units are looked into, where there are so many


@dataclass
class Probe:
    """What a probe found, scaled to the whole input. Seconds are of one core unless said otherwise."""

    share: float
    units_probed: int
    units: int
    records: int
    documents: float
    kept: dict[str, float]
    kept_error: float
    text_bytes: float
    seconds: float
    seconds_error: float
    cpus: int
    disk_bytes: float
    peak_bytes: int
    code_bytes: dict[str, int] = field(default_factory=dict)  # by language, before duplicates go
    downsample: Downsample | None = None
    mix: Any = None
    slices: dict[str, int] = field(default_factory=dict)  # of the mix, in its unit, before duplicates go

    def shares(self) -> Table:
        """What the mix will make of what there is: tokens (or bytes) of each slice, epochs, and what will not come out as asked."""
        unit, asked = self.mix.unit, slice_names(self.mix)
        table = Table(title=f"Mix expected, in {unit}, before duplicates and model scores drop any", title_justify="left")
        for name in ("slice", "there", "wanted", "share", unit, "epochs", "at most"):
            table.add_column(name, justify="left" if name == "slice" else "right")
        try:
            targets, _ = mix_targets(self.slices, self.mix)
        except PlanError as error:
            table.caption = str(error)
            return table
        total = sum(targets.values())
        for name, target in targets.items():
            there = self.slices.get(name, 0)
            row = (
                f"{there:,}",
                f"{asked[name]:.2%}",
                f"{target / total:.2%}",
                f"{target:,.0f}",
                f"{target / there:.2f}" if there else "",
                f"{self.mix.epochs_of(name):g}",
            )
            table.add_row(name, *row)
        table.caption, table.caption_justify = "\n".join(shortages(self.mix, targets, self.slices)), "left"
        return table

    def languages(self) -> Table | None:
        """Of source code, what there is of each language and what `downsample` will make of it; None where nothing chooses languages."""
        if self.downsample is None or not self.code_bytes:
            return None
        whole, wanted = sum(self.code_bytes.values()), budgets_of(self.code_bytes, self.downsample)
        total = sum(wanted.values())
        table = Table(title="Code: languages expected, before duplicates go", title_justify="left")
        for name in ("language", "there", "share", "kept", "share of what is kept"):
            table.add_column(name, justify="left" if name == "language" else "right")
        for name, size in sorted(self.code_bytes.items(), key=lambda item: (-item[1], item[0])):
            table.add_row(
                name, f"{size / 1e6:,.2f} MB", f"{size / max(1, whole):.2%}", f"{wanted[name] / 1e6:,.2f} MB", f"{wanted[name] / total:.2%}" if total else ""
            )
        return table

    def table(self) -> Table:
        table = Table(
            title=f"Probe of {self.share:g}: {self.records:,} records in {self.units_probed} of {self.units} units", title_justify="left", show_header=False
        )
        kept = sum(self.kept.values())
        rows = [
            ("documents", f"{self.documents:,.0f}"),
            ("kept by the per-unit stages", f"{kept:,.0f} ± {self.kept_error:,.0f} ({kept / max(1, self.documents):.1%})"),
            *((f"  {domain}", f"{n:,.0f}") for domain, n in sorted(self.kept.items())),
            ("text kept on the way", f"{self.text_bytes / 1e6:,.1f} MB"),
            ("time of the per-unit stages", f"{self.seconds / self.cpus:,.1f} ± {self.seconds_error / self.cpus:,.1f} s on {self.cpus} cores"),
            ("disk for the work folder", f"about {self.disk_bytes / 1e6:,.1f} MB"),
            ("memory of a worker", f"{self.peak_bytes / 1e6:,.0f} MB at its peak so far"),
        ]
        for row in rows:
            table.add_row(*row)
        table.caption = "Rounds (duplicates, mix, shards) come on top: about a tenth of the time, and as much disk again as the text."
        return table


def probe(plan: Plan, share: float, cpus: int = 1) -> Probe:
    """Probe a plan. Nothing is written."""
    units = _chosen(plan, share)
    inner = min(1.0, share * len(plan.units) / len(units))
    language = next((s for s in plan.recipe.stages if isinstance(s, Language)), None)
    step = tasks.LanguageStep(language) if language else None
    tokens = tasks.TokenStep(tokenizers_of(plan.recipe))
    measures = next((s.measures for s in plan.steps if s.kind == "columns"), ())
    _work(plan, units[0], 0.0, step, measures, tokens)  # loads models and kernels, which the whole run does once
    per_unit = [_work(plan, unit, inner, step, measures, tokens) for unit in units]
    scale = len(plan.units) / len(units)
    kept: Counter[str] = Counter()
    code: Counter[str] = Counter()
    slices: Counter[str] = Counter()
    for found in per_unit:
        code.update(found.code)
        slices.update(found.slices)
        for domain, n in found.kept.items():
            kept[domain] += n
    seconds = [f.reading + f.working / inner for f in per_unit]
    totals = [sum(f.kept.values()) / inner for f in per_unit]
    n = len(units)
    # Between-unit spread, and the binomial error of judging a share of the records.
    spread = sqrt(n) * float(np.std(totals, ddof=1)) if 1 < n < len(plan.units) else 0.0
    counted = sum(totals) * inner
    error = scale * sqrt(spread**2 + counted * (1 - inner) / inner**2)
    text = sum(f.text_bytes for f in per_unit) / inner * scale
    seconds_spread = (
        sqrt(n) * float(np.std(seconds, ddof=1))
        if 1 < n < len(plan.units)
        else sum(f.working for f in per_unit) / inner * (1 - inner) / max(1.0, sqrt(sum(f.probed for f in per_unit)))
    )
    return Probe(
        share,
        n,
        len(plan.units),
        sum(f.probed for f in per_unit),
        sum(f.documents for f in per_unit) * scale,
        {d: c / inner * scale for d, c in kept.items()},
        error,
        text,
        sum(seconds) * scale,
        seconds_spread * scale,
        cpus,
        text * 1.5,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        {name: round(size / inner * scale) for name, size in sorted(code.items())},
        _by_language(plan),
        plan.recipe.mix,
        {name: round(size / inner * scale) for name, size in sorted(slices.items())},
    )


@dataclass
class _Found:
    reading: float = 0.0
    working: float = 0.0
    documents: int = 0
    probed: int = 0
    text_bytes: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    code: Counter[str] = field(default_factory=Counter)
    slices: Counter[str] = field(default_factory=Counter)


def _by_language(plan: Plan) -> Downsample | None:
    """The stage that chooses languages of code, where there is one."""
    return next((s for s in plan.recipe.stages if isinstance(s, Downsample) and s.by == "programming_language"), None)


def _chosen(plan: Plan, share: float) -> list[Unit]:
    order = sorted(plan.units, key=lambda u: xxhash.xxh3_64_intdigest(f"{u.source}\0{u.files[0].path}\0{u.start}".encode(), _SEED))
    return order[: max(1, min(len(order), max(_UNITS, round(share * len(order)))))]


def _work(plan: Plan, unit: Unit, share: float, language: tasks.LanguageStep | None, measures: tuple[str, ...], tokens: tasks.TokenStep) -> _Found:
    found = _Found()
    source, stages = plan.sources[unit.source], plan.steps[0].stages
    start = time.perf_counter()
    for batch in read(source, unit):
        chosen = pa.array(chance(_SEED, batch.records.column("id")) < np.uint64(min(share * 2**64, 2**64 - 1)))
        here = batch.records.filter(chosen)
        now = time.perf_counter()
        found.reading += now - start
        found.documents += batch.records.num_rows
        found.probed += here.num_rows
        for table in tasks.rewritten(here, source, stages, {"documents": 0, "html_bytes": 0, "text_bytes": 0}):
            _judge(plan, table, language, measures, tokens, found)
        start = time.perf_counter()
        found.working += start - now
    found.reading += time.perf_counter() - start
    return found


def _judge(plan: Plan, table: pa.Table, language: tasks.LanguageStep | None, measures: tuple[str, ...], tokens: tasks.TokenStep, found: _Found) -> None:
    found.text_bytes += table.column("text").nbytes
    columns = {k: np.asarray(v, float) for k, v in measure(Texts.of(table), measures).items()}
    if language:
        identified = language.identified(pa.RecordBatch.from_pydict({n: table.column(n).combine_chunks() for n in table.column_names}))
        table = table.set_column(table.schema.get_field_index("domain"), "domain", identified.column("domain"))
        columns.update({c: identified.column(c).to_numpy() for c in ("language_score", "p_en", "p_zh", "p_en_or_zh")})
    alive = np.ones(table.num_rows, bool)
    for stage in plan.recipe.stages:
        if isinstance(stage, Filter) and all(c in columns for c in stage.bounds):
            alive &= judge(columns, stage.bound_list(), rows=alive & stage.mask(table), missing=stage.missing or "keep").bound < 0
        elif isinstance(stage, Choice):
            alive[tasks.refused(stage, table, alive & stage.mask(table))[0]] = False
    if (down := _by_language(plan)) is not None:
        chosen = alive & down.mask(table)
        sizes = pc.binary_length(table.column("text")).to_numpy()
        for name, keep, size in zip(table.column("programming_language").to_pylist(), chosen.tolist(), sizes.tolist(), strict=True):
            if keep:
                found.code[name or "none"] += size
    mix, kept = plan.recipe.mix, table.filter(pa.array(alive))
    if kept.num_rows:
        counts = dict(zip(("text_bytes", *tokens.tokenizers), tokens.counts(kept), strict=True))
        for name, size in zip(slices_of(kept, mix).to_pylist(), counts[mix.size_column].to_pylist(), strict=True):
            if name is not None:
                found.slices[name] += size
    for domain, keep in zip(table.column("domain").to_pylist(), alive.tolist(), strict=True):
        if keep:
            found.kept[domain or "other"] += 1
