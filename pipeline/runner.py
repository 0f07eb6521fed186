"""Carries a plan out: unit steps as chains, rounds phase by phase, then the release. Resuming is running again.

The driver holds counts and names, never documents. What is done is known by its file alone; what a kill left half done has no name.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipeline import shards, tasks
from pipeline.dedup.exact import exact_round
from pipeline.dedup.minhash import minhash_round
from pipeline.downsample import downsample_round
from pipeline.engine import Engine, Link, map_tasks, open_engine
from pipeline.errors import ReleaseExists, SourceError, TaskFailed
from pipeline.ledger import funnel, ledger_rows, unreadable_rows
from pipeline.mix import by_slice, mix_round, mixture, schedule, selections
from pipeline.planning import (
    FORMAT,
    Artefacts,
    Plan,
    Step,
    plan,
    published_tokenizer,
    quarantine_key,
    read_quarantine,
    release_engines,
    release_fingerprint,
    tokenizers_of,
)
from pipeline.quarantine import find_crashing
from pipeline.recipe import Recipe
from pipeline.rounds import Context, Round, chance, partition_of, partitions_for
from pipeline.schema import LEDGER, check_conservation
from pipeline.shards import Release, Slice, open_release
from pipeline.stages import Deduplicate, Licences, OptOut, Score, Stage, label
from pipeline.store import Store, fingerprint
from pipeline.timings import Progress, Timed

_UNEXPLAINED = 3
_REMOVED_SALT = 0x4E3D0DED  # the sample of what was dropped is independent of every other draw


def run(
    recipe: Recipe,
    work: str | Path = "work",
    *,
    cpus: int | None = None,
    address: str | None = None,
    here: bool = False,
    dashboard: bool = False,
    progress: Progress | None = None,
    group_bytes: int | None = None,
    split_bytes: int | None = None,
) -> Release:
    """Make the recipe's release in a work folder, and redo nothing that is done.

    Raises WorkFolderLocked, ReleaseExists, PlanError, SourceError (inputs that could not be opened: all else is done by then) and
    StoreError (a full disk). Whatever was finished stays, and the next run goes on from there.
    """
    store = Store(str(work))
    progress = progress or Progress()
    with store.lock():
        engine: Engine | None = None
        unexplained: Counter[tuple[str, int]] = Counter()
        try:
            while True:
                todo = plan(recipe, work, group_bytes=group_bytes, split_bytes=split_bytes)
                _check_release(todo)
                if todo.step_done(len(todo.steps) - 1):
                    store.remove(_building(todo))  # where a kill came right after the release was done
                    return open_release(store.at(f"releases/{todo.release_name}"))
                engine = engine or open_engine(here=here, cpus=cpus, address=address, dashboard=dashboard)
                run_ = _Run(todo, engine, Timed(progress, todo, engine), unexplained=unexplained)
                if run_.all():
                    return open_release(store.at(f"releases/{todo.release_name}"))
                # Records were quarantined, which changes what their units are made of: plan again, and do what that touches.
        finally:
            if engine is not None:
                engine.close()


def _building(todo: Plan) -> str:
    """The folder in which a release is made before it gets its name."""
    return f"releases/.tmp-{todo.steps[-1].print}"


def _check_release(todo: Plan) -> None:
    existing = release_fingerprint(todo.store, todo.release_name)
    folder = f"releases/{todo.release_name}"
    if existing is None and todo.store.list(folder):
        raise ReleaseExists(
            f"{todo.store.at(folder)} holds files but no manifest.json: it is not a release that this work folder made. Move it away or remove it."
        )
    if existing is not None and existing != todo.release_print:
        changes = todo.changes()
        raise ReleaseExists(
            f"The release {todo.release_name} exists in {todo.store.root} and was made of something else"
            + (f" ({'; '.join(changes[:3])})" if changes else "")
            + f". A release is immutable: raise `version:` in the recipe, or remove {todo.store.at('releases/' + todo.release_name)}."
        )


@dataclass
class _Run:
    plan: Plan
    engine: Engine
    progress: Progress
    unexplained: Counter[tuple[str, int]] = field(default_factory=Counter)  # how often a unit killed its workers and no record of it was to blame

    @property
    def store(self) -> Store:
        return self.plan.store

    def all(self) -> bool:
        """Carry out every step. False where records were quarantined and the plan has to be made again."""
        steps = self.plan.steps
        self.store.write_json("last_run.json", {"recipe": self.plan.recipe.dump(), "inputs": self.plan.inputs()})
        i = 0
        while i < len(steps):
            if steps[i].per_unit:
                end = next(j for j in range(i, len(steps)) if not steps[j].per_unit)
                if not self.units(range(i, end)):
                    return False
                i = end
                continue
            if steps[i].kind == "release":
                self.release(i)
            else:
                self.round(i)
            i += 1
        return True

    # --- per-unit steps ---------------------------------------------------------------------------------------------------

    def units(self, steps: range) -> bool:
        """A run of per-unit steps, each unit going through them without waiting for the others."""
        plan_ = self.plan
        items = [[self._arguments(s, u) if not plan_.done(s, u) else None for s in steps] for u in range(len(plan_.units))]
        todo = [u for u, item in enumerate(items) if any(a is not None for a in item)]
        if todo:
            for s in steps:
                self.progress.begin(plan_.steps[s].name, sum(items[u][s - steps.start] is not None for u in todo))
            outcome = self.engine.run(
                [self._link(plan_.steps[s]) for s in steps],
                [items[u] for u in todo],
                lambda i, j, counts: self.progress.advance(plan_.steps[steps[j]].name, {**counts, "input": plan_.units[todo[i]].size_bytes}),
                stop_early=False,
            )
            for s in steps:
                self.progress.end(plan_.steps[s].name)
            if outcome.crashed:
                self._quarantine([todo[i] for i in outcome.crashed])
                return False
            self._stop_on([outcome.errors[i] for i in sorted(outcome.errors)])
        return True

    def _link(self, step: Step) -> Link:
        if step.kind == "language":
            return Link(make=partial(tasks.LanguageStep, step.stages[0]))  # type: ignore[arg-type]  # a language step holds a Language
        if step.kind == "score":
            stage: Any = step.stages[0]
            return Link(make=partial(tasks.ScoreStep, stage), gpu=stage.precision.startswith("cuda"))
        if step.kind == "tokens":
            return Link(make=partial(tasks.TokenStep, tokenizers_of(self.plan.recipe)))
        calls: dict[str, Callable[..., dict[str, Any]]] = {
            "text": tasks.make_text,
            "columns": tasks.make_columns,
            "filter": tasks.make_drops,
            "pack": tasks.make_packs,
        }
        return Link(calls[step.kind])

    def _arguments(self, s: int, u: int) -> tuple[Any, ...]:
        step, unit = self.plan.steps[s], self.plan.units[u]
        name = step.artefact(u)
        if step.kind == "text":
            return (
                self.store,
                name,
                self.plan.sources[unit.source],
                unit,
                step.stages,
                self.plan.quarantine[u],
                self.plan.recipe.sources[unit.source].unreadable_files == "tolerate",
            )
        before = self.plan.artefacts(u, s)
        if step.kind == "columns":
            return (self.store, name, before, step.measures)
        if step.kind in ("filter", "pack"):
            return (self.store, name, before, step.stages)
        if step.kind in ("score", "tokens"):
            known = fingerprint([step.identity, self._described(s, u)])
            return (self.store, name, before, f"{step.kind}-known/{known[:2]}/{known}.arrow")
        return (self.store, name, before)

    def _described(self, s: int, u: int) -> list[str]:
        """What a document of a unit is, whatever was judged before step `s`: its text, and for a score the language that chooses thresholds."""
        steps = self.plan.steps
        return [t.prints[u] for t in steps[:s] if t.kind in ("text", "pack") or (t.kind == "language" and steps[s].kind == "score")]

    def _stop_on(self, errors: Sequence[Exception]) -> None:
        """Errors of units: the inputs that could not be opened, in one list, after all else was done."""
        unopened = [e for e in errors if isinstance(e, SourceError)]
        others = [e for e in errors if not isinstance(e, SourceError)]
        if others:
            raise others[0]
        if unopened:
            listed = "\n".join(f"  {e}" for e in unopened[:20])
            raise SourceError(
                f"{len(unopened)} input files could not be opened; all other units are done.\n{listed}\nMend or remove them and run again, or set `unreadable_files: tolerate` in their source."
            )

    def _quarantine(self, crashed: Sequence[int]) -> None:
        """Find the records that kill a worker, by bisection in processes of their own, and note them down."""
        listed = read_quarantine(self.store)
        for u in crashed:
            unit = self.plan.units[u]
            self.progress.say(f"{unit.files[0].path} killed its worker twice; looking for the record that does it")
            found = find_crashing(self.plan, u)
            if not found:  # killed from outside, perhaps: it is tried again, but not for ever
                self.unexplained[unit.files[0].path, unit.start] += 1
                self.progress.say("no record does so by itself; the unit is tried again")
            if self.unexplained[unit.files[0].path, unit.start] >= _UNEXPLAINED:
                raise TaskFailed(
                    f"The unit {unit.files[0].path} of source '{unit.source}' killed {2 * _UNEXPLAINED} workers, but no single record of it does so alone. If memory ran out, use fewer --cpus; else please report it."
                )
            keys = {f.path: quarantine_key(f) for f in unit.files}
            for file, offset in found:
                places = listed.setdefault(unit.source, {}).setdefault(keys[file], [])
                places[:] = sorted({*places, offset})
                self.progress.say(f"quarantined: {file} at {offset}")
        self.store.write_json("quarantine.json", listed)

    # --- rounds ------------------------------------------------------------------------------------------------------------

    def round(self, s: int) -> None:
        """One round, phase by phase; its temporary files go when every unit has its verdicts."""
        step = self.plan.steps[s]
        done = f"rounds/{step.print}.json"
        if self.store.exists(done):
            self.store.remove(f"rounds/{step.print}")  # where a kill came between the last two lines below
            return
        settings: Any = step.stages[0] if step.stages else self.plan.recipe
        kind = _round_of(step, settings)
        n = len(self.plan.units)
        before = [self.plan.artefacts(u, s) for u in range(n)]
        self.progress.begin(step.name, len(kind.phases) + 1)
        folder = f"rounds/{step.print}"
        given: tasks.Exchange | None = None
        given_rows = 0
        decisions: dict[str, pa.Table] = {}
        for number, phase in enumerate(kind.phases):
            from_units = phase.over == "units" and given is not None and kind.phases[number - 1].to == "units"
            rows_in = given_rows if given is not None and (from_units or phase.over != "units") else self._alive(s)
            parts = {"keys": partitions_for(rows_in, phase.weight), "units": n, "self": 1, "all": 1}[phase.to]
            count = n if phase.over == "units" else given.parts if given is not None else 1
            out = tasks.Exchange(f"{folder}/{number}-{phase.name}", count, parts, own=phase.to == "self")
            context = Context(settings, self.plan.recipe.seed, None, dict(decisions))
            call: Callable[..., dict[str, Any]] = tasks.run_over_unit if phase.over == "units" else tasks.run_over_part
            arguments = [
                (self.store, out, t, phase, before[t], context, given if from_units else None)
                if phase.over == "units"
                else (self.store, out, t, phase, context, given)
                for t in range(count)
            ]
            given_rows = sum(r["rows"] for r in self._once(call, arguments, [out.file(t) for t in range(count)]))
            given = out
            if phase.over == "all" and phase.to == "all":
                decisions[phase.name] = out.read(self.store, 0)
            self.progress.advance(step.name, {})
        assert given is not None
        collected = [(self.store, step.artefact(u), step.name, given, before[u], kind.columns) for u in range(n) if not self.plan.done(s, u)]
        map_tasks(self.engine, tasks.collect, collected)
        markers = [tasks.marker(self.store, step.artefact(u)) for u in range(n)]
        self.progress.advance(step.name, {"given": sum(m["given"] for m in markers), "kept": sum(m["kept"] for m in markers)})
        self.store.write_json(
            done,
            {
                "given": sum(m["given"] for m in markers),
                "kept": sum(m["kept"] for m in markers),
                "short": sum(m.get("short", 0) for m in markers),
                "decisions": {k: v.to_pylist() for k, v in decisions.items()},
            },
        )
        self.store.remove(folder)
        self.progress.end(step.name)

    def _once(self, call: Callable[..., dict[str, Any]], arguments: Sequence[tuple[Any, ...]], marks: Sequence[str]) -> list[dict[str, Any]]:
        """Tasks whose results are kept under `marks`: those that have one are not run again."""
        todo = [i for i, mark in enumerate(marks) if not self.store.exists(mark + ".json")]
        found = dict(zip(todo, map_tasks(self.engine, tasks.marked, [(self.store, marks[i], call, *arguments[i]) for i in todo]), strict=True))
        return [found[i] if i in found else tasks.marker(self.store, mark) for i, mark in enumerate(marks)]

    def _alive(self, s: int) -> int:
        """Survivors before step `s`: what sizes the partitions of its first phase."""
        for t in range(s - 1, -1, -1):
            if self.plan.steps[t].kind in ("filter", "round", "mix", "pack"):
                return sum(tasks.marker(self.store, self.plan.steps[t].artefact(u))["kept"] for u in range(len(self.plan.units)))
        return sum(tasks.marker(self.store, self.plan.steps[0].artefact(u))["rows"] for u in range(len(self.plan.units)))

    # --- release -----------------------------------------------------------------------------------------------------------

    def release(self, s: int) -> None:
        """Account for every row, scatter, write shards and ledger, then the manifest; rename into place."""
        plan_, store, recipe = self.plan, self.store, self.plan.recipe
        n = len(plan_.units)
        stages = [label(st) for step in plan_.steps for st in step.stages if step.kind in ("filter", "round", "pack")] + ["mix"]
        before = [plan_.artefacts(u, s) for u in range(n)]
        name, building = "release", _building(plan_)
        self.progress.begin(name, 4)
        accounts = self._once(account_unit, [(store, before[u], stages) for u in range(n)], [f"{building}/accounts/{u:06d}" for u in range(n)])
        self.progress.advance(name, {})
        writing = _writing(plan_, accounts)
        slices = writing.slices
        ledger_parts = max(1, -(-sum(sum(d[3] for d in a["dropped"]) + a["unreadable"] for a in accounts) // 500_000))
        documents = tasks.Exchange(f"{building}/scatter", n, sum(sl.buckets for sl in slices))
        ledger = tasks.Exchange(f"{building}/ledger-rows", n, ledger_parts)
        removed = tasks.Exchange(f"{building}/removed-rows", n, writing.removed_parts)
        jobs: list[tuple[Any, ...]] = [(store, documents, ledger, removed, u, before[u], writing, plan_.units[u].source) for u in range(n)]
        scattered = self._once(scatter_unit, jobs, [documents.file(u) for u in range(n)])
        for u, (sent, account) in enumerate(zip(scattered, accounts, strict=True)):
            given = sum(r[2] for r in account["read"])
            check_conservation(given + account["unreadable"], sent["documents"], sent["dropped"], f"unit {u} of the release")
        self.progress.advance(name, {})
        out = f"{building}/out"
        shard_jobs = [(sl, shard) for sl in slices for shard in range(sl.shards)]
        files = self._once(
            write_shard, [(store, documents, out, writing, sl, shard) for sl, shard in shard_jobs], [f"{building}/written/{sl.file(k)}" for sl, k in shard_jobs]
        )
        if recipe.release.signatures:
            files += self._once(
                write_signatures, [(store, out, sl, shard) for sl, shard in shard_jobs], [f"{building}/written/{sl.signatures(k)}" for sl, k in shard_jobs]
            )
        for exchange, write, kind in ((ledger, write_ledger, "ledger"), (removed, write_removed, "removed")):
            files += self._once(
                write, [(store, exchange, out, p) for p in range(exchange.parts)], [f"{building}/written/{kind}-{p:05d}" for p in range(exchange.parts)]
            )
        written = {str(r.pop("file")): r for r in files}
        rows = {kind: sum(r["rows"] for f, r in written.items() if f.startswith(kind)) for kind in (("data/", "validation/"), ("ledger/",))}
        check_conservation(sum(s["documents"] for s in scattered), rows["data/", "validation/"], 0, "shards")
        check_conservation(sum(s["dropped"] for s in scattered), rows["ledger/",], 0, "ledger")
        self.progress.advance(name, {})
        self._finish(out, written, accounts, stages)
        final = f"releases/{plan_.release_name}"
        store.rename(out, final)
        store.remove(building)
        self.progress.advance(name, {})
        self.progress.end(name)

    def _finish(self, out: str, written: dict[str, Any], accounts: list[dict[str, Any]], stages: list[str]) -> None:
        plan_, store = self.plan, self.store
        stats = funnel(accounts, stages)
        rounds = {step.name: store.read_json(f"rounds/{step.print}.json") for step in plan_.steps if step.kind in ("round", "mix")}
        stats["too_short_to_compare"] = sum(r["short"] for r in rounds.values())
        stats["released"] = _totals(written)
        mixed = _mixture(plan_.recipe, rounds["mix"]["decisions"], written)
        engines = {label(st): st.engines() for step in plan_.steps for st in step.stages if st.engines()}
        about: dict[str, Any] = {"recipe.json": _published(plan_.recipe), "stats.json": stats, "mixture.json": mixed}
        if plan_.recipe.mix.schedule:
            selected: Counter[str] = Counter()
            for counts in written.values():
                selected.update(counts.get("selected", {}))
            about["schedule.json"] = schedule(plan_.recipe.mix, sum(d["tokens"] for d in mixed["domains"].values()), selected)
        code, attribution = shards.code_tables(written.values())
        if code["languages"]:
            about["code.json"] = {**code, "asked": _asked(rounds)}
            store.write_bytes(f"{out}/ATTRIBUTION.md", attribution.encode())
        engines |= release_engines(plan_.recipe)
        for file, value in about.items():
            store.write_json(f"{out}/{file}", value, sort_keys=file != "recipe.json")  # of whose bounds the order says which is the reason
        extra = [*about, *(["ATTRIBUTION.md"] if code["languages"] else [])]
        counted = {file: {k: v for k, v in r.items() if k not in _TALLIES} for file, r in written.items()}
        files = {**counted, **{file: {"sha256": tasks.digest_of(store, f"{out}/{file}")} for file in extra}}
        store.write_json(
            f"{out}/manifest.json",
            {
                "name": plan_.recipe.name,
                "version": plan_.recipe.version,
                "format": FORMAT,
                "fingerprint": plan_.release_print,
                "engines": engines,
                "pyarrow": pa.__version__,
                "tokenizer": published_tokenizer(plan_.recipe.mix.tokenizer),
                "files": files,
            },
        )


def _round_of(step: Step, settings: Any) -> Round:
    if step.kind == "mix":
        return mix_round(settings.mix)
    if isinstance(settings, Deduplicate):
        return minhash_round(settings) if settings.by == "minhash" else exact_round(settings)
    return downsample_round(settings)


def _published(recipe: Recipe) -> dict[str, Any]:
    """The recipe as a release shows it: a source's files as NAME/*, since where they lay and how they were found is no part of what it is."""

    plain = recipe.dump()
    for name, source in plain["sources"].items():
        source["files"] = [f"{name}/*"]
    for item, stage in zip(plain["stages"], recipe.stages, strict=True):
        if isinstance(stage, Score):
            hashes = stage.hashes()
            item[stage.stage]["columns"] = {n: m if ":" in m else f"{Path(m).name} sha256:{hashes[n]}" for n, m in stage.columns.items()}
        if isinstance(stage, OptOut):
            item[stage.stage]["file"] = [f"sha256:{stage.settings()['file']}"]
    plain["mix"]["tokenizer"] = published_tokenizer(recipe.mix.tokenizer)
    plain["mix"]["also_count"] = {name: published_tokenizer(model) for name, model in recipe.mix.also_count.items()}
    return plain


def _asked(rounds: Mapping[str, Any]) -> dict[str, float]:
    """The share of the code's bytes that `downsample` asked for each language; empty where no stage does."""
    found = rounds.get("downsample_programming_language")
    rows = found["decisions"]["budgets"] if found else []
    whole = sum(row["budget"] for row in rows)
    return {row["slice"]: round(row["budget"] / whole, 6) for row in sorted(rows, key=lambda r: (-r["budget"], r["slice"]))} if whole else {}


def _totals(written: dict[str, Any]) -> list[dict[str, Any]]:
    totals: dict[tuple[str, str], dict[str, Any]] = {}
    for file, counts in sorted(written.items()):
        if file.startswith(("data/", "validation/")):
            part, domain = ("train" if file.startswith("data/") else "validation"), file.split("/")[1]
            total = totals.setdefault(
                (part, domain), {"split": part, "domain": domain, "documents": 0, "tokens": 0, "tokens_with_repeats": 0, "text_bytes": 0, "files": 0}
            )
            total["documents"] += counts["rows"]
            total["files"] += 1
            for key in ("tokens", "tokens_with_repeats", "text_bytes"):
                total[key] += counts[key]
    return list(totals.values())


def _mixture(recipe: Recipe, decisions: dict[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """What was wanted, what there was, what came out, and what stood in the way."""
    parts = [(f.split("/")[1], *part[:2], part[2:]) for f, counts in written.items() if f.startswith("data/") for part in counts["parts"]]
    got = by_slice(parts, recipe.mix)
    assert sum(n[0] for n in got.values()) == sum(numbers[0] for *_, numbers in parts), "a document without a slice was released"
    there = {cut["slice"]: cut["available"] for cut in decisions["cuts"]}
    return {"tokenizer": published_tokenizer(recipe.mix.tokenizer), **mixture(recipe.mix, got, there)}


# --- tasks of the release -----------------------------------------------------------------------------------------------------

_TALLIES = ("languages", "repositories", "parts", "selected")  # of shards, for the release's own tables


@dataclass(frozen=True)
class _Writing:
    """What the tasks of a release have in common."""

    seed: int
    slices: tuple[Slice, ...]
    schema: pa.Schema
    stages: tuple[tuple[str, Stage], ...]  # those that a row's trace names
    fingerprint: str  # of these stages
    recipe: Recipe
    removed_below: Mapping[str, int]  # stage -> the hash below which what it dropped is in the sample
    removed_parts: int
    judging: tuple[str, ...]  # names of scores that may say what is not to be shown


def _writing(plan_: Plan, accounts: Sequence[Mapping[str, Any]]) -> _Writing:
    recipe = plan_.recipe
    sizes: Counter[tuple[str, str]] = Counter()
    dropped: Counter[str] = Counter()
    for account in accounts:
        for part, domain, size in account["released"]:
            sizes[part, domain] += size
        for stage, _, _, n, _ in account["dropped"]:
            dropped[stage] += n
    settings = recipe.release
    added = [field for step in plan_.steps if step.kind == "score" for field in step.stages[0].added()]
    added += [pa.field(column, pa.int64(), nullable=False) for column in tokenizers_of(recipe) if column not in shards.RELEASE.names]
    # The share asked for, and of each stage enough for a person to judge it.
    share = {stage: max(settings.removed, min(1.0, settings.removed_documents / n)) if settings.removed else 0.0 for stage, n in dropped.items()}
    return _Writing(
        recipe.seed,
        tuple(shards.layout(sizes, settings.shard_size, settings.row_group_size)),
        shards.schema_with(added),
        tuple((label(stage), stage) for step in plan_.steps for stage in step.stages),
        fingerprint([stage.identity() for stage in recipe.stages]),
        recipe,
        {stage: min(2**64 - 1, int(share[stage] * 2**64)) for stage in share},
        max(1, -(-round(sum(share[stage] * n for stage, n in dropped.items())) // 100_000)),
        shards.judging(stage.columns for stage in recipe.stages if isinstance(stage, Score)),
    )


def account_unit(store: Store, artefacts: Artefacts, stages: Sequence[str]) -> dict[str, Any]:
    """A unit's account, and the text bytes it sends to each (split, domain)."""
    counts = tasks.account(store, artefacts, stages)
    view = tasks.View(store, artefacts)
    rows = view.columns(["split", "domain", "text_bytes"]).filter(pa.array(view.alive))
    released = rows.group_by(["split", "domain"]).aggregate([("text_bytes", "sum")]).to_pylist()
    return {**counts, "released": sorted([r["split"], r["domain"], r["text_bytes_sum"]] for r in released)}


def scatter_unit(
    store: Store, documents: tasks.Exchange, ledger: tasks.Exchange, removed: tasks.Exchange, task: int, artefacts: Artefacts, writing: _Writing, source: str
) -> dict[str, Any]:
    """One unit's documents by bucket, its ledger rows by file, and what of them is in the sample of removed documents."""
    view, schema = tasks.View(store, artefacts), writing.schema
    stored = [name for name in schema.names if name not in ("characters", "filter_trace")]
    placed = (
        shards.place(shards.derive(batch, writing.stages, writing.fingerprint), writing.seed, writing.slices, schema)
        for batch in view.survivors([*stored, "split"])
    )
    rows = documents.write(store, task, shards.scattered(schema), placed, lambda table: shards.bucket_of(table, writing.slices))
    who = view.columns(["id", "url", "source", "domain", "file", "offset"])
    gone = [ledger_rows(who, store.read_table(name)) for name in artefacts.drops]
    taken_down: Any = dict(writing.stages).get("takedown")
    unreadable = store.read_table(artefacts.text.removesuffix(".arrow") + ".unreadable.arrow")
    gone.append(unreadable_rows(unreadable, source, taken_down.said().naming if taken_down else None))

    def part_of(out: pa.Table, parts: int) -> np.ndarray:
        keys = (
            xxhash.xxh3_64_intdigest(f"{file}\0{offset}".encode())
            for file, offset in zip(*(out.column(c).to_pylist() for c in ("file", "offset")), strict=True)
        )
        return partition_of(np.fromiter(keys, np.uint64, out.num_rows), parts)

    dropped = ledger.write(store, task, LEDGER, gone, lambda out: part_of(out, ledger.parts))
    sample = removed_rows(view, writing)
    removed.write(store, task, shards.REMOVED, sample, lambda out: part_of(out, removed.parts))
    return {"documents": rows, "dropped": dropped}


def removed_rows(view: tasks.View, writing: _Writing) -> Iterator[pa.Table]:
    """The sample of a unit's dropped documents, with the text where it may be shown. Memory: a batch of text."""
    store, artefacts = view.store, view.artefacts
    drops = pa.concat_tables([store.read_table(name) for name in artefacts.drops]) if artefacts.drops else None
    if drops is None or not drops.num_rows:
        return
    who = view.columns(list(dict.fromkeys((*LEDGER.names[:6], "repository", "licence", "licence_confidence", "subdomain", "programming_language"))))
    below = np.array([writing.removed_below[stage] for stage in drops.column("stage").to_pylist()], np.uint64)
    ids = who.column("id").take(drops.column("row"))
    drops = drops.filter(pa.array(chance(writing.seed ^ _REMOVED_SALT, ids) < below)).sort_by("row")
    rows, start = drops.column("row").to_numpy(), 0
    table = ledger_rows(who, drops).cast(pa.schema(list(shards.REMOVED)[:-1]))
    named, quiet = _unshown(who.take(drops.column("row")), drops, writing)
    for name in ("url", "file", "offset", "value", "other"):
        column = table.column(name)
        table = table.set_column(table.column_names.index(name), table.schema.field(name), pc.if_else(pa.array(named), pa.scalar(None, column.type), column))
    for batch in store.read_batches(artefacts.text, ["text"]):
        a, b = np.searchsorted(rows, [start, start + batch.num_rows])
        if a < b:
            texts = pc.if_else(pa.array(quiet[a:b]), None, batch.column("text").take(pa.array(rows[a:b] - start)))
            yield table.slice(a, b - a).append_column("text", shards.shown(texts)).cast(shards.REMOVED)
        start += batch.num_rows


def _unshown(owners: pa.Table, drops: pa.Table, writing: _Writing) -> tuple[np.ndarray, np.ndarray]:
    """Of dropped documents those of which only id and reason are shown, and those whose text is not. (drops,) bool each

    Whatever dropped a document first, opt-outs and licences hold for it; and a copy may be one of a text that left for its content.
    """
    stages, reasons = drops.column("stage").to_pylist(), drops.column("reason").to_pylist()
    named = np.array([shards.is_withheld(stage, reason, writing.judging) for stage, reason in zip(stages, reasons, strict=True)], bool)
    for _, stage in writing.stages:
        if isinstance(stage, OptOut | Licences):
            named |= stage.mask(owners) & np.array([said is not None for said in stage.broken(owners)], bool)
    unlicensed = pc.and_(pc.is_valid(owners.column("repository")), pc.is_null(owners.column("licence"))).to_numpy(zero_copy_only=False)
    copies = np.array([stage.startswith("deduplicate_") for stage in stages], bool)
    return named, named | unlicensed | copies


def write_shard(store: Store, given: tasks.Exchange, out: str, writing: _Writing, slice_: Slice, shard: int) -> dict[str, Any]:
    """One Parquet shard out of its buckets."""
    first, file, mix = slice_.first_bucket + shard * slice_.buckets_per_shard, slice_.file(shard), writing.recipe.mix
    buckets = (given.read(store, b) for b in range(first, first + slice_.buckets_per_shard))
    counts = shards.write_shard(store, f"{out}/{file}", buckets, writing.recipe.release.row_group_size, writing.schema, mix.size_column, selections(mix))
    return {"file": file, **counts, "sha256": tasks.digest_of(store, f"{out}/{file}")}


def write_signatures(store: Store, out: str, slice_: Slice, shard: int) -> dict[str, Any]:
    """The signatures of a shard that is written."""
    file = slice_.signatures(shard)
    with store.open(f"{out}/{slice_.file(shard)}") as handle:
        rows = (pa.Table.from_batches([batch]) for batch in pq.ParquetFile(handle).iter_batches(2_000, columns=["id", "text"]))
        counts = shards.write_signatures(store, f"{out}/{file}", rows)
    return {"file": file, **counts, "sha256": tasks.digest_of(store, f"{out}/{file}")}


def write_ledger(store: Store, given: tasks.Exchange, out: str, part: int) -> dict[str, Any]:
    """One Parquet file of the ledger."""
    file = f"ledger/ledger-{part:05d}-of-{given.parts:05d}.parquet"
    counts = shards.write_ledger(store, f"{out}/{file}", given.read(store, part))
    return {"file": file, **counts, "sha256": tasks.digest_of(store, f"{out}/{file}")}


def write_removed(store: Store, given: tasks.Exchange, out: str, part: int) -> dict[str, Any]:
    """One Parquet file of the sample of removed documents."""
    file = f"removed/removed-{part:05d}-of-{given.parts:05d}.parquet"
    counts = shards.write_removed(store, f"{out}/{file}", given.read(store, part))
    return {"file": file, **counts, "sha256": tasks.digest_of(store, f"{out}/{file}")}
