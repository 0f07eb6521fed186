"""What one worker does: one unit and one step, or one task of one phase. Files in, files out; results are small counts.

Nothing here knows of Ray, of the plan's order or of other tasks. Every function may be run twice, at the same time, or killed: its file
is whole or absent, and its content depends on its arguments alone.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import PlanError, SourceError
from pipeline.filter import judge
from pipeline.measures import measure
from pipeline.planning import Artefacts
from pipeline.rounds import Context, Phase, partition_of, split
from pipeline.schema import DOCUMENT, DROP, REPLACED, UNREADABLE, check, check_conservation
from pipeline.sources import Source, Unit, read
from pipeline.stages import Choice, Filter, Language, Pack, Score, Stage
from pipeline.store import Store
from pipeline.texts import Texts

BATCH_BYTES = 8 << 20  # of text in one batch of an artefact
FLUSH_BYTES = 64 << 20  # of rows that a task holds before it sends them on


# --- reading a unit ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A unit as the steps so far have left it: its text, the columns beside it, and which rows survive."""

    store: Store
    artefacts: Artefacts

    @cached_property
    def rows(self) -> int:
        return int(marker(self.store, self.artefacts.text.removesuffix(".arrow"))["rows"])

    @cached_property
    def alive(self) -> np.ndarray:
        """Which rows no step has dropped. (rows,) bool"""
        alive = np.ones(self.rows, bool)
        for name in self.artefacts.drops:
            dropped = self.store.read_table(name, ["row"]).column("row").to_numpy()
            if not alive[dropped].all():
                raise AssertionError(f"{name}: a row was dropped twice")
            alive[dropped] = False
        return alive

    @cached_property
    def _places(self) -> dict[str, str]:
        """Which artefact holds which column; later ones replace earlier ones (language sets the domain)."""
        places = dict.fromkeys(DOCUMENT.names, self.artefacts.text)
        for name in (*self.artefacts.columns, *self.artefacts.sparse):
            with self.store.reader(name) as reader:
                places.update(dict.fromkeys(reader.schema.names, name))
        return places

    def __contains__(self, column: str) -> bool:
        return column in self._places

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Columns of all rows, dropped ones included; sparse ones are null where they were not computed."""
        arrays: dict[str, pa.ChunkedArray] = {}
        for place in dict.fromkeys(self._places[n] for n in names if n in self._places):
            mine = [n for n in names if self._places.get(n) == place]
            if place in self.artefacts.sparse:
                table = self.store.read_table(place, ["row", *mine])
                where = np.full(self.rows, -1, np.int64)
                where[table.column("row").to_numpy()] = np.arange(table.num_rows)
                table = table.take(pa.array(where, mask=where < 0))
            else:
                table = self.store.read_table(place, mine)
            arrays.update({n: pc.fill_null(table.column(n), "other") if n == "domain" else table.column(n) for n in mine})
        for n in names:
            if n not in arrays:  # a column that no step of this recipe computes (a cluster, where nothing was clustered)
                arrays[n] = pa.chunked_array([pa.nulls(self.rows, pa.string() if n in ("cluster", "language", "script") else pa.float64())])
        return pa.table([arrays[n] for n in names], names=list(names))

    def survivors(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """The surviving documents with the columns named and `unit` and `row`, batch by batch (memory: one batch of text)."""
        light = self.columns([n for n in names if n != "text"])
        alive, start = self.alive, 0
        source = self.store.read_batches(self.artefacts.text, ["text"]) if "text" in names else iter([])
        packed = self.store.read_table(self.artefacts.packed) if self.artefacts.packed and "text" in names else None
        while start < self.rows:
            if "text" in names:
                batch = next(source)
                here, table = batch.num_rows, light.slice(start, batch.num_rows).append_column("text", _with_packs(batch.column("text"), start, packed))
            else:
                here, table = self.rows, light
            keep = alive[start : start + here]
            rows = np.arange(start, start + here, dtype=np.uint32)
            table = table.append_column("unit", pa.array(np.full(here, self.artefacts.unit, np.uint32))).append_column("row", pa.array(rows))
            start += here
            if keep.any():
                yield table if keep.all() else table.filter(pa.array(keep))


def _with_packs(texts: pa.Array, start: int, packed: pa.Table | None) -> pa.Array:
    """The texts of rows `start` and on, those of packs in the place of their first file's."""
    if packed is None or not packed.num_rows:
        return texts
    rows = packed.column("row").to_numpy()
    a, b = np.searchsorted(rows, [start, start + len(texts)])
    if a == b:
        return texts
    mask = np.zeros(len(texts), bool)
    mask[rows[a:b] - start] = True
    return pc.replace_with_mask(texts, pa.array(mask), packed.column("text").slice(a, b - a).combine_chunks())


def marker(store: Store, name: str) -> dict[str, Any]:
    """The small file that says that an artefact is complete, and what it holds."""
    return dict(json.loads(store.read_bytes(name + ".json")))


def _mark(store: Store, name: str, **counts: Any) -> dict[str, Any]:
    store.write_json(name + ".json", counts)
    return counts


def marked(store: Store, name: str, call: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """A task whose result is kept as the marker of `name`, so that running again need not do it again."""
    return _mark(store, name, **call(*arguments))


# --- per-unit steps -----------------------------------------------------------------------------------------------------------


def coalesce(tables: Iterator[pa.Table], limit: int = BATCH_BYTES) -> Iterator[pa.Table]:
    """Join small batches until they hold about `limit` bytes; where batches end never shows in any result."""
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        held.append(table)
        size += table.nbytes
        if size >= limit:
            yield pa.concat_tables(held).combine_chunks()
            held, size = [], 0
    if held:
        yield pa.concat_tables(held).combine_chunks()


def make_text(
    store: Store, name: str, source: Source, unit: Unit, stages: Sequence[Stage], quarantine: frozenset[tuple[str, int]], tolerate: bool = False
) -> dict[str, Any]:
    """Read a unit, extract and normalise: the `text` artefact, and the list of what could not be read.

    A file that cannot be opened at all is a SourceError, or, where the recipe tolerates it, one more unreadable row.
    """
    skipped: Counter[str] = Counter()
    unreadable: list[tuple[str, int, str, str | None]] = []
    seen = {"documents": 0, "text_bytes": 0, "html_bytes": 0, "changed": 0}

    def documents() -> Iterator[pa.Table]:
        for part in [replace(unit, files=(file,)) for file in unit.files] if tolerate else [unit]:
            try:
                for batch in read(source, part, quarantine=quarantine):
                    unreadable.extend(batch.unreadable)
                    skipped.update(batch.skipped)
                    yield from rewritten(batch.records, source, stages, seen)
            except SourceError:
                if not tolerate:
                    raise
                unreadable.append((part.files[0].path, 0, "unreadable: the file cannot be opened", None))

    rows = store.write_batches(name + ".arrow", DOCUMENT, coalesce(documents()))
    check_conservation(seen["documents"], rows, 0, f"text of {unit.files[0].path}")
    store.write_table(name + ".unreadable.arrow", pa.Table.from_pylist([dict(zip(UNREADABLE.names, u, strict=True)) for u in unreadable], schema=UNREADABLE))
    return _mark(store, name, rows=rows, skipped=dict(sorted(skipped.items())), unreadable=len(unreadable), input_bytes=unit.size_bytes, **seen)


def rewritten(records: pa.RecordBatch, source: Source, stages: Sequence[Stage], seen: dict[str, int]) -> Iterator[pa.Table]:
    """One batch of records through the text stages that apply to its source."""
    table = pa.Table.from_batches([records])
    if not table.num_rows:
        return
    seen["documents"] += table.num_rows
    seen["html_bytes"] += pc.sum(pc.binary_length(table.column("html"))).as_py() or 0
    for stage in stages:
        if stage.reaches(source.name):
            table = stage.rewrite(table)  # type: ignore[attr-defined]  # what scope 'text' promises
    for field in REPLACED:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    table = table.select(DOCUMENT.names)
    text = pc.fill_null(table.column("text"), "")
    table = table.set_column(DOCUMENT.get_field_index("text"), "text", text).cast(DOCUMENT)
    check(table, DOCUMENT, f"documents of {source.name}")
    seen["text_bytes"] += pc.sum(pc.binary_length(table.column("text"))).as_py() or 0
    yield table


def make_columns(store: Store, name: str, artefacts: Artefacts, measures: Sequence[str]) -> dict[str, Any]:
    """Every measure that the recipe names, for every row: the `columns` artefact."""
    schema = pa.schema([pa.field(m, pa.float64()) for m in measures])

    def tables() -> Iterator[pa.Table]:
        for batch in store.read_batches(artefacts.text, ["text", "path", "programming_language"]):
            values = measure(Texts.of(batch), measures)
            yield pa.table([pa.array(np.asarray(values[m], np.float64), from_pandas=True) for m in measures], schema=schema)

    rows = store.write_batches(name + ".arrow", schema, tables())
    return _mark(store, name, rows=rows)


_LANGUAGE = pa.schema(
    [
        ("language", pa.string()),
        ("language_score", pa.float64()),
        ("script", pa.string()),
        ("p_en", pa.float64()),
        ("p_zh", pa.float64()),
        ("p_en_or_zh", pa.float64()),
        ("domain", pa.string()),
    ]
)


class LanguageStep:
    """The `language` stage with its model loaded. One an actor."""

    def __init__(self, stage: Language) -> None:
        from pipeline.measures.language import LanguageId

        self.stage = stage
        self.identify = LanguageId(f"bundled:{stage.model}" if "/" not in stage.model else stage.model)

    def __call__(self, store: Store, name: str, artefacts: Artefacts) -> dict[str, Any]:
        rows = store.write_batches(
            name + ".arrow",
            _LANGUAGE,
            map(self.identified, store.read_batches(artefacts.text, ["text", "source", "domain", "subdomain", "programming_language"])),
        )
        return _mark(store, name, rows=rows)

    def identified(self, batch: pa.RecordBatch) -> pa.Table:
        """Language columns of a batch; null where the stage does not apply. Domains already known are kept."""
        declared = batch.column("domain")
        known = pc.is_in(declared, value_set=pa.array(self.stage.domains)).to_numpy(zero_copy_only=False)
        wanted = self.stage.mask(batch) & (known | pc.is_null(declared).to_numpy(zero_copy_only=False))
        found = self.identify(batch.column("text").filter(pa.array(wanted)))
        place = np.where(wanted, np.cumsum(wanted) - 1, -1)
        found = found.take(pa.array(place, mask=place < 0))
        guessed = pc.if_else(pa.array(wanted), self._domain(found), pa.scalar(None, pa.string()))
        return found.select(_LANGUAGE.names[:-1]).append_column("domain", pc.coalesce(declared, guessed)).cast(_LANGUAGE)

    def _domain(self, found: pa.Table) -> pa.Array:
        share = {"en": found.column("p_en"), "zh": found.column("p_zh")}
        columns = [np.nan_to_num(share[d].to_numpy()) for d in self.stage.domains]
        total = np.sum(columns, axis=0)
        top = pc.fill_null(found.column("language"), "").to_numpy(zero_copy_only=False)
        score = np.nan_to_num(found.column("language_score").to_numpy())
        best = np.array(self.stage.domains, object)[np.argmax(columns, axis=0)]
        mine = (np.isin(top, self.stage.domains) | (total >= score)) & (total > 0)
        return pa.array(np.where(mine, best, "other"), pa.string())


def make_drops(store: Store, name: str, artefacts: Artefacts, stages: Sequence[Filter | Choice]) -> dict[str, Any]:
    """Judge the survivors by some filters in turn: one drop a row at most, by the first bound or list that it breaks."""
    view = View(store, artefacts)
    alive = view.alive.copy()
    table = view.columns(list(dict.fromkeys(c for s in stages for c in s.reads() if c != "text")))
    parts = []
    for stage in stages:
        wanted = alive & stage.mask(table)
        if isinstance(stage, Filter):
            rows, reasons, values = _beyond_bounds(stage, table, wanted)
        elif "text" in stage.reads():
            rows, reasons, values = _refused_by_text(stage, view, wanted)
        else:
            rows, reasons, values = refused(stage, table, wanted)
        alive[rows] = False
        parts.append(
            pa.table(
                [
                    rows.astype(np.uint32),
                    pa.array([stage.name] * len(rows), pa.string()),
                    pa.array(reasons, pa.string()),
                    pa.array(values, pa.float64(), from_pandas=True),
                    pa.nulls(len(rows), pa.string()),
                ],
                schema=DROP,
            )
        )
    return write_drops(store, name, pa.concat_tables(parts), int(view.alive.sum()))


def _beyond_bounds(stage: Filter, table: pa.Table, wanted: np.ndarray) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The rows that break a bound, which, and by what value."""
    bounds = stage.bound_list()
    values = {c: pc.fill_null(table.column(c).cast(pa.float64()), np.nan).to_numpy() for c in stage.bounds}
    for bound in bounds if stage.missing is None else ():
        if nulls := int(np.isnan(values[bound.column][wanted]).sum()):
            raise PlanError(
                f"filter '{stage.name}': {bound.column} is null for {nulls} of the documents that it is meant for (the stage that adds it left them alone). Narrow its `for:`, or say `missing: keep` or `missing: drop`."
            )
    verdicts = judge(values, bounds, rows=wanted, missing=stage.missing)
    rows = np.flatnonzero(verdicts.dropped)
    return rows, [r for r in verdicts.reasons() if r is not None], verdicts.value[rows]


def refused(stage: Choice, table: pa.Table, wanted: np.ndarray) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The rows that a list refuses, why, and the number behind it."""
    asked = np.flatnonzero(wanted)
    reasons, values = stage.judged(table.take(pa.array(asked)))
    gone = np.array([reason is not None for reason in reasons], bool)
    return asked[gone], [reason for reason in reasons if reason is not None], values[gone]


def _refused_by_text(stage: Choice, view: View, wanted: np.ndarray) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The same for a stage that reads texts: batch by batch."""
    found: list[tuple[np.ndarray, list[str], np.ndarray]] = []
    for batch in view.survivors(stage.reads()):
        place = batch.column("row").to_numpy()
        rows, reasons, values = refused(stage, batch, wanted[place])
        found.append((place[rows].astype(np.int64), reasons, values))
    rows, values = (np.concatenate([np.empty(0, kind), *(f[i] for f in found)]) for i, kind in ((0, np.int64), (2, np.float64)))
    return rows, [reason for _, reasons, _ in found for reason in reasons], values


_PACKED = pa.schema([pa.field("row", pa.uint32(), nullable=False), pa.field("text", pa.string(), nullable=False)])


def make_packs(store: Store, name: str, artefacts: Artefacts, stages: Sequence[Pack]) -> dict[str, Any]:
    """The survivors of each repository as one document: their text beside the drops, in a file of its own. Memory: the unit's source code."""
    from pipeline.rewrite.pack import packs

    view, (stage,) = View(store, artefacts), stages
    repositories: dict[str, list[tuple[str, int, str, str, str]]] = {}
    names = ("repository", "path", "row", "id", "text", "programming_language")
    for batch in view.survivors(list(dict.fromkeys(("id", "text", "programming_language", *stage.reads())))):
        mine = batch.filter(pa.array(stage.mask(batch)))
        for repository, path, row, i, text, language in zip(*(mine.column(c).to_pylist() for c in names), strict=True):
            if repository is not None and path is not None:
                repositories.setdefault(repository, []).append((path, row, i, text, language or ""))
    texts: list[tuple[int, str]] = []
    drops: list[tuple[int, str]] = []
    for files in repositories.values():
        files.sort()
        for members, text in packs([f[0] for f in files], [f[3] for f in files], stage.marker, stage.max_bytes):
            sizes: Counter[str] = Counter()
            for m in members:
                sizes[files[m][4]] += len(files[m][3])
            main = min(sizes, key=lambda language: (-sizes[language], language))
            first = next(files[m] for m in members if files[m][4] == main)
            texts.append((first[1], text))
            drops += [(files[m][1], first[2]) for m in members if files[m] is not first]
    texts.sort()
    drops.sort()
    store.write_table(name + ".text.arrow", pa.table([[r for r, _ in texts], [t for _, t in texts]], schema=_PACKED))
    n = len(drops)
    gone = [
        pa.array([row for row, _ in drops], pa.uint32()),
        pa.array(["pack"] * n, pa.string()),
        pa.array(["packed with its repository"] * n, pa.string()),
        pa.nulls(n, pa.float64()),
        pa.array([other for _, other in drops], pa.string()),
    ]
    return write_drops(store, name, pa.table(gone, schema=DROP), int(view.alive.sum()))


def write_drops(store: Store, name: str, drops: pa.Table, given: int, **counts: Any) -> dict[str, Any]:
    """Write a unit's drops of one step, sorted by row, and mark it."""
    store.write_table(name + ".arrow", drops.sort_by("row"))
    dropped = Counter(drops.column("stage").to_pylist())
    check_conservation(given, given - drops.num_rows, sum(dropped.values()), name)
    return _mark(store, name, given=given, kept=given - drops.num_rows, dropped=dict(sorted(dropped.items())), **counts)


class TokenStep:
    """Exact token counts of the survivors under the mix's tokenizers, and their bytes. One an actor. `tokenizers`: column -> model."""

    def __init__(self, tokenizers: Mapping[str, str]) -> None:
        self.tokenizers = tokenizers

    @cached_property
    def counters(self) -> list[Callable[[pa.ChunkedArray], np.ndarray]]:
        """The counters, loaded when there is something to count: it takes seconds."""
        from pathlib import Path

        from pipeline.store import open_model
        from pipeline.tokenize import TokenCounter

        return [TokenCounter(Path(open_model(model).path)) for model in self.tokenizers.values()]

    def __call__(self, store: Store, name: str, artefacts: Artefacts, known: str) -> dict[str, Any]:
        """Counts of the survivors; those that an earlier run counted under the same tokenizers stand in `known`, and are not counted again."""
        schema = pa.schema([("row", pa.uint32()), ("text_bytes", pa.int64()), *((column, pa.int64()) for column in self.tokenizers)])
        counted = remembered(store, name, artefacts, known, schema, ["text"], self.counts)
        return _mark(store, name, rows=counted.num_rows, tokens=pc.sum(counted.column("token_count")).as_py() or 0)

    def counts(self, batch: pa.Table) -> list[pa.Array]:
        """Bytes and tokens of a batch's texts."""
        text = batch.column("text")
        return [pc.binary_length(text).cast(pa.int64()), *(pa.array(count(text)) for count in self.counters)]


class ScoreStep:
    """The `score` stage: its classifiers, each loaded when the first text needs it. One an actor."""

    def __init__(self, stage: Score) -> None:
        self.stage = stage

    @cached_property
    def classifiers(self) -> dict[str, Any]:
        from pipeline.measures.classifier import Classifier

        stage, limit = self.stage, None if self.stage.windows == "all" else self.stage.windows
        return {
            name: Classifier(model, cascade=stage.cascade, band=stage.band, limit=limit, precision=stage.precision) for name, model in stage.columns.items()
        }

    def __call__(self, store: Store, name: str, artefacts: Artefacts, known: str) -> dict[str, Any]:
        """Scores of the survivors that the stage is meant for; null for the others. What an earlier run judged stands in `known`."""
        schema = pa.schema([("row", pa.uint32()), *self.stage.added()])
        needs = list(dict.fromkeys(("text", *self.stage.reads())))
        scored = remembered(store, name, artefacts, known, schema, needs, self.scored, self.stage.mask)
        return _mark(store, name, rows=scored.num_rows)

    def scored(self, batch: pa.Table) -> list[pa.Array]:
        """The stage's columns of a batch, in order."""
        texts, domains = batch.column("text").to_pylist(), batch.column("domain").to_pylist()
        columns: list[pa.Array] = []
        for classifier in self.classifiers.values():
            columns += classifier(texts, domains).values()
        return columns


def remembered(
    store: Store,
    name: str,
    artefacts: Artefacts,
    known: str,
    schema: pa.Schema,
    needs: Sequence[str],
    compute: Callable[[pa.Table], Sequence[pa.Array | pa.ChunkedArray]],
    meant: Callable[[pa.Table], np.ndarray] | None = None,
) -> pa.Table:
    """Columns of the survivors that cost much: computed for those of them that `known` does not hold, and noted down there.

    Writes and returns the sparse artefact: `row` and the columns of the survivors that are meant. Moving a bound brings a few documents
    back; only those are computed anew.
    """
    view = View(store, artefacts)
    before = store.read_table(known) if store.exists(known) else schema.empty_table()
    place = np.full(view.rows, -1, np.int64)
    place[before.column("row").to_numpy()] = np.arange(before.num_rows)
    wanted = view.alive.copy()
    if meant is not None:
        wanted &= meant(view.columns([n for n in needs if n != "text"]))
    fresh = wanted & (place < 0)
    if fresh.any():
        parts = [before]
        for batch in view.survivors(needs):
            chosen = batch.filter(pa.array(fresh[batch.column("row").to_numpy()]))
            if chosen.num_rows:
                parts.append(pa.table([chosen.column("row"), *compute(chosen)], names=schema.names).cast(schema))
        before = pa.concat_tables(parts).sort_by("row")
        store.write_table(known, before)
        place[before.column("row").to_numpy()] = np.arange(before.num_rows)
    found = before.take(pa.array(place[wanted]))
    store.write_table(name + ".arrow", found)
    return found


# --- rounds -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exchange:
    """Where the tasks of one phase wrote what they send on: one file a task, `parts` record batches in each.

    `own`: every task wrote for itself, so that part i is all of file i, and nobody has to open the others'.
    """

    folder: str
    tasks: int
    parts: int
    own: bool = False

    def file(self, task: int) -> str:
        return f"{self.folder}/{task:06d}.arrow"

    def read(self, store: Store, part: int) -> pa.Table:
        if self.own:
            return store.read_part(self.file(part), 0, 1)
        return pa.concat_tables([store.read_part(self.file(t), part, self.parts) for t in range(self.tasks)]).combine_chunks()

    def write(self, store: Store, task: int, schema: pa.Schema, tables: Iterable[pa.Table], part_of: Callable[[pa.Table], np.ndarray]) -> int:
        """Write what a task sends on, cut by `part_of` (a partition number per row). Memory: some 64 MB, whatever comes. Returns the rows."""
        rows = 0

        def flushes() -> Iterator[list[pa.Table]]:
            nonlocal rows
            for table in coalesce(iter(tables), FLUSH_BYTES):
                rows += table.num_rows
                yield split(table, part_of(table), self.parts) if self.parts > 1 else [table]

        store.write_parts(self.file(task), schema, flushes())
        return rows


def _send(store: Store, out: Exchange, task: int, phase: Phase, tables: Iterable[pa.Table]) -> dict[str, Any]:
    def part_of(rows: pa.Table) -> np.ndarray:
        return partition_of(rows.column("key").to_numpy(), out.parts) if phase.to == "keys" else rows.column("unit").to_numpy().astype(np.int64)

    return {"rows": out.write(store, task, phase.schema, (t.cast(phase.schema) for t in tables), part_of)}


def run_over_unit(store: Store, out: Exchange, task: int, phase: Phase, artefacts: Artefacts, context: Context, given: Exchange | None) -> dict[str, Any]:
    """A 'units' phase on one unit: its survivors, batch by batch."""
    if given is not None:
        context = Context(context.settings, context.seed, given.read(store, task), context.decisions)
        if context.previous is not None and context.previous.num_rows == 0:
            return _send(store, out, task, phase, [])
    return _send(store, out, task, phase, (phase.run(batch, context) for batch in View(store, artefacts).survivors(phase.needs)))


def run_over_part(store: Store, out: Exchange, task: int, phase: Phase, context: Context, given: Exchange) -> dict[str, Any]:
    """A 'keys' or 'all' phase on one partition."""
    return _send(store, out, task, phase, [phase.run(given.read(store, task), context)])


def collect(store: Store, name: str, stage: str, given: Exchange, artefacts: Artefacts, columns: Sequence[str]) -> dict[str, Any]:
    """The verdicts on one unit -> its drops, and the columns that the round adds for those it names."""
    verdicts = given.read(store, artefacts.unit).sort_by("row")
    view = View(store, artefacts)
    rows = verdicts.column("row").to_numpy()
    if len(np.unique(rows)) != len(rows) or not view.alive[rows].all():
        raise AssertionError(f"{stage}: two verdicts on one row, or one on a row that had left")
    if columns:
        store.write_table(name + ".sparse.arrow", verdicts.select(["row", *columns]))
    out = verdicts.filter(pc.is_valid(verdicts.column("reason")))
    drops = pa.table(
        [out.column("row"), pa.array([stage] * out.num_rows, pa.string()), out.column("reason"), out.column("value"), out.column("other")], schema=DROP
    )
    # Documents with too few shingles to be compared are in a cluster of size 0.
    short = int(pc.sum(pc.equal(verdicts.column("cluster_size"), 0)).as_py() or 0) if "cluster_size" in columns else 0
    return write_drops(store, name, drops, int(view.alive.sum()), short=short)


# --- accounts -----------------------------------------------------------------------------------------------------------------


def account(store: Store, artefacts: Artefacts, stage_order: Sequence[str]) -> dict[str, Any]:
    """One unit's part of the funnel: documents and bytes by domain, read and dropped by stage and reason; conservation checked.

    Domains are the final ones, so that a column of the funnel adds up.
    """
    view = View(store, artefacts)
    table = view.columns(["source", "domain"])
    size = np.concatenate([np.empty(0, np.int64), *(pc.binary_length(b.column("text")).to_numpy() for b in store.read_batches(artefacts.text, ["text"]))])
    source = table.column("source").to_pylist()
    domain = [d or "other" for d in table.column("domain").to_pylist()]
    read_: Counter[tuple[str, str]] = Counter(zip(source, domain, strict=True))
    read_bytes: Counter[tuple[str, str]] = Counter()
    for key, n in zip(zip(source, domain, strict=True), size.tolist(), strict=True):
        read_bytes[key] += n
    dropped: Counter[tuple[str, str, str]] = Counter()
    dropped_bytes: Counter[tuple[str, str, str]] = Counter()
    total = 0
    for name in artefacts.drops:
        drops = store.read_table(name, ["row", "stage", "reason"])
        total += drops.num_rows
        for row, stage, why in zip(*(drops.column(c).to_pylist() for c in ("row", "stage", "reason")), strict=True):
            dropped[stage, domain[row], why] += 1
            dropped_bytes[stage, domain[row], why] += int(size[row])
    check_conservation(view.rows, int(view.alive.sum()), total, f"unit {artefacts.unit}")
    text = marker(store, artefacts.text.removesuffix(".arrow"))
    return {
        "read": [[*k, n, read_bytes[k]] for k, n in sorted(read_.items())],
        "dropped": [[*k, n, dropped_bytes[k]] for k, n in sorted(dropped.items(), key=lambda kv: (stage_order.index(kv[0][0]), kv[0]))],
        "kept": int(view.alive.sum()),
        "skipped": text["skipped"],
        "unreadable": text["unreadable"],
        "html_bytes": text["html_bytes"],
    }


def digest_of(store: Store, name: str) -> str:
    """sha256 of a file of the store."""
    digest = hashlib.sha256()
    with store.open(name) as handle:
        while chunk := handle.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()
