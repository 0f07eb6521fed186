"""Recipe -> steps, each with a fingerprint per unit; what is done, what is to do, and what changed since the last run.

A step is either per unit (text, columns, language, filter, tokens) or a round over all units. Every (unit, step) has a fingerprint made
of what the step says and of the fingerprints it builds on; artefacts are stored under it, so that existence means "done with exactly
this", and a moved bound, a replaced file or another model redoes what it touches and nothing else.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from pipeline.errors import SourceError
from pipeline.filter import SIDES, reason
from pipeline.kernels import fold, shingles
from pipeline.measures import MEASURES
from pipeline.recipe import Recipe
from pipeline.rewrite import secrets
from pipeline.sources import InputFile, Source, Unit, content_hash, list_units, reader_version
from pipeline.stages import Deduplicate, Downsample, Filter, For, Language, Pack, Score, Stage, Takedown, label
from pipeline.store import Store, fingerprint, full_disk_told, open_model

FORMAT = 3  # of artefacts and releases; raised when their layout changes

Kind = Literal["text", "columns", "language", "filter", "score", "pack", "tokens", "round", "mix", "release"]


@dataclass(frozen=True)
class Artefacts:
    """What there is of one unit before some step: names in the store. Small: it travels with every task."""

    unit: int
    text: str
    columns: tuple[str, ...] = ()  # row for row beside the text
    sparse: tuple[str, ...] = ()  # for some rows only, with a `row` column
    drops: tuple[str, ...] = ()
    packed: str | None = None  # texts in the place of some rows' own: repositories as one document


@dataclass(frozen=True)
class Step:
    """One step of the plan: its kind, the stages it carries out, and where each unit's artefact lies."""

    kind: Kind
    name: str
    stages: tuple[Stage, ...] = ()
    measures: tuple[str, ...] = ()
    prints: tuple[str, ...] = ()  # one fingerprint a unit
    print: str = ""  # of the whole step, for rounds and the release
    identity: Any = None

    @property
    def per_unit(self) -> bool:
        return self.kind in ("text", "columns", "language", "filter", "score", "pack", "tokens")

    def artefact(self, unit: int) -> str:
        folder = "drops" if self.kind in ("filter", "round", "mix", "pack") else self.kind
        return f"{folder}/{self.prints[unit][:2]}/{self.prints[unit]}"


@dataclass(frozen=True)
class Plan:
    """Steps in order, units, and where they are kept. Prints as a tree."""

    recipe: Recipe
    store: Store
    units: tuple[Unit, ...]
    sources: Mapping[str, Source]
    steps: tuple[Step, ...]
    missing: tuple[str, ...] = ()  # inputs that could not be opened at all
    before: dict[str, Any] = field(default_factory=dict)  # what the last run in this work folder was asked
    quarantine: tuple[frozenset[tuple[str, int]], ...] = ()  # of each unit: (file, offset) of the records that alone killed their worker twice

    @property
    def release_name(self) -> str:
        return f"{self.recipe.name}@{self.recipe.version}"

    @property
    def release_print(self) -> str:
        """What the release is made of: all steps and all inputs, however these were cut into units."""
        inputs = sorted(
            {
                fingerprint([u.source, f.path, f.size, f.etag, *([f.folder] if self.sources[u.source].reader == "code" else [])])
                for u in self.units
                for f in u.files
            }
        )
        quarantine = sorted({(u.source, *place) for u, places in zip(self.units, self.quarantine, strict=True) for place in places})
        return fingerprint([[s.identity for s in self.steps], {n: _declared(s) for n, s in self.sources.items()}, inputs, quarantine])

    def artefacts(self, unit: int, step: int) -> Artefacts:
        """What steps before `step` made of a unit."""
        found = Artefacts(unit, self.steps[0].artefact(unit) + ".arrow")
        columns, sparse, drops = [], [], []
        packed = None
        for s in self.steps[1:step]:
            name = s.artefact(unit)
            if s.kind in ("columns", "language"):
                columns.append(name + ".arrow")
            elif s.kind in ("score", "tokens"):
                sparse.append(name + ".arrow")
            elif s.kind in ("filter", "round", "mix", "pack"):
                drops.append(name + ".arrow")
                if s.kind == "pack":
                    packed = name + ".text.arrow"
                if s.kind == "mix" or (s.kind == "round" and isinstance(s.stages[0], Deduplicate) and s.stages[0].by == "minhash"):
                    sparse.append(name + ".sparse.arrow")
        return Artefacts(found.unit, found.text, tuple(columns), tuple(sparse), tuple(drops), packed)

    def done(self, step: int, unit: int) -> bool:
        """Whether a unit's artefact of a step is there, whole."""
        return self.store.exists(self.steps[step].artefact(unit) + ".json")

    def step_done(self, step: int) -> bool:
        s = self.steps[step]
        if s.kind == "release":
            return release_fingerprint(self.store, self.release_name) == self.release_print
        if not s.per_unit:
            return self.store.exists(f"rounds/{s.print}.json")
        return all(self.done(step, u) for u in range(len(self.units)))

    def to_do(self) -> dict[str, int]:
        """Units (or 1 for a round) that each step has still to do."""
        return {
            s.name: (sum(not self.done(i, u) for u in range(len(self.units))) if s.per_unit else int(not self.step_done(i))) for i, s in enumerate(self.steps)
        }

    def changes(self) -> list[str]:
        """What the recipe says otherwise than at the last run in this work folder."""
        return _differences(self.before.get("recipe"), self.recipe.dump()) + _input_changes(self.before.get("inputs"), self.inputs())

    def inputs(self) -> dict[str, str]:
        return {f"{f.path} ({u.source})": f.etag for u in self.units for f in u.files}

    def __str__(self) -> str:
        size = sum(f.size for f in {f.location: f for u in self.units for f in u.files}.values())
        lines = [f"{self.release_name}: {len(self.units)} units, {size / 1e6:,.1f} MB of input, work folder {self.store.root}"]
        lines += [f"  changed since the last run: {c}" for c in self.changes()]
        to_do = self.to_do()
        for i, step in enumerate(self.steps):
            turn = "└─" if i == len(self.steps) - 1 else "├─"
            left = to_do[step.name]
            state = "done" if not left else "to do" if not step.per_unit else f"{left} of {len(self.units)} units to do"
            mark = fingerprint(list(step.prints))[:12] if step.per_unit else step.print[:12]
            lines.append(f"  {turn} {step.name:<24} {step.kind:<9} {mark}  {state}")
            for stage in step.stages if step.kind in ("text", "filter") else ():
                lines.append(f"  │    {label(stage)}: {_short(_settings(stage))}")
        return "\n".join(lines)


def plan(recipe: Recipe, work: str | Path = "work", *, group_bytes: int | None = None, split_bytes: int | None = None) -> Plan:
    """Find the inputs, cut them into units, and give every step its fingerprint. Reads inputs only to hash them (cached by path, size and time).

    Raises PlanError or SourceError where a glob matches nothing or a folder cannot be read.
    """
    store = Store(str(work))
    sources, units = _units(recipe, store, group_bytes, split_bytes)
    listed = read_quarantine(store)
    quarantine = tuple(frozenset((f.path, o) for f in unit.files for o in listed.get(unit.source, {}).get(quarantine_key(f), ())) for unit in units)
    steps = _steps(recipe, units, sources, quarantine)
    before = store.read_json("last_run.json") if store.exists("last_run.json") else {}
    return Plan(recipe, store, tuple(units), sources, tuple(steps), before=before, quarantine=quarantine)


def read_quarantine(store: Store) -> dict[str, dict[str, list[int]]]:
    """The list of records that alone killed their worker twice: source -> file and its content -> offsets."""
    return dict(store.read_json("quarantine.json")) if store.exists("quarantine.json") else {}


def quarantine_key(file: InputFile) -> str:
    """A file of the quarantine: another content under the same path is another file."""
    return f"{file.path} {file.etag}"


def release_fingerprint(store: Store, name: str) -> str | None:
    """What the release of this name in the work folder was made of, or None where there is none."""
    path = f"releases/{name}/manifest.json"
    return store.read_json(path)["fingerprint"] if store.exists(path) else None


# --- units -----------------------------------------------------------------------------------------------------------------


def _units(recipe: Recipe, store: Store, group_bytes: int | None, split_bytes: int | None) -> tuple[dict[str, Source], list[Unit]]:
    etags = _Etags(store)
    sizes = {k: v for k, v in (("group_bytes", group_bytes), ("split_bytes", split_bytes)) if v is not None}
    sources, units = {}, []
    for name, settings in recipe.sources.items():
        files = tuple(_sample(f, store) for f in settings.files)
        sources[name] = Source(
            name, settings.reader, files, settings.licence, settings.domain, settings.subdomain, settings.columns, settings.values, settings.revision
        )
        units += list_units(sources[name], etags=etags, **sizes)
    etags.save()
    return sources, units


def _sample(files: str, store: Store) -> str:
    if not files.startswith("sample://"):
        return files
    from pipeline.sources.sample import locate

    cache = Path(store.at("inputs")) if store.is_local else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "skypile"
    with full_disk_told(str(cache)):
        return locate(files, cache)


class _Etags:
    """xxh3_128 of a local file's content, remembered by path, size and modification time so that planning again reads nothing."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.known: dict[str, list[Any]] = store.read_json("etags.json") if store.exists("etags.json") else {}
        self.fresh = False

    def __call__(self, location: str, size: int) -> str:
        try:
            modified = os.stat(location).st_mtime_ns
        except OSError:
            return "unreadable"
        known = self.known.get(location)
        if known and known[:2] == [size, modified]:
            return str(known[2])
        try:
            etag = content_hash(location, size)
        except SourceError:  # reading it fails again when its turn comes; the run then does all else before it stops
            return "unreadable"
        self.known[location] = [size, modified, etag]
        self.fresh = True
        return etag

    def save(self) -> None:
        if self.fresh:
            self.store.write_json("etags.json", self.known)


# --- steps -----------------------------------------------------------------------------------------------------------------


def _steps(recipe: Recipe, units: list[Unit], sources: Mapping[str, Source], quarantine: Sequence[frozenset[tuple[str, int]]]) -> list[Step]:
    ordered = [s for s in recipe.stages if s.scope != "text"]
    if recipe.release.tombstones:
        ordered.insert(0, Takedown.by(recipe.release.tombstones))
    names = tuple(sorted({c for s in ordered if isinstance(s, Filter) for c in s.bounds if c in MEASURES}))
    steps = [_text_step(recipe, units, sources, quarantine)]
    # `state` is everything that says what a unit's survivors and columns are: the fingerprint that the next judging step builds on.
    state = list(steps[0].prints)
    if names:
        identity = {"measures": {n: MEASURES[n].version for n in names}, "format": FORMAT}
        steps.append(Step("columns", "measures", (), names, tuple(fingerprint([identity, p]) for p in steps[0].prints), identity=identity))
        state = [fingerprint([a, b]) for a, b in zip(state, steps[-1].prints, strict=True)]
    i = 0
    while i < len(ordered):
        stage = ordered[i]
        if stage.scope == "verdict":
            run: list[Stage] = [stage]
            while not isinstance(stage, Takedown) and i + len(run) < len(ordered) and ordered[i + len(run)].scope == "verdict":
                run.append(ordered[i + len(run)])
            identity = {"stages": [s.identity() for s in run], "format": FORMAT}
            step = Step("filter", label(run[0]) if len(run) == 1 else f"filters {label(run[0])} … {label(run[-1])}", tuple(run), identity=identity)
        elif isinstance(stage, Language):
            run = []
            step = Step("language", label(stage), (stage,), identity={"stages": [stage.identity()], "format": FORMAT})
        elif isinstance(stage, Score):
            run = []
            step = Step("score", label(stage), (stage,), identity={"stages": [stage.identity()], "format": FORMAT})
        elif isinstance(stage, Pack):
            run = []
            step = Step("pack", label(stage), (stage,), identity={"stages": [stage.identity()], "format": FORMAT})
        else:
            run = []
            assert isinstance(stage, Deduplicate | Downsample)
            step = Step(
                "round",
                label(stage),
                (stage,),
                identity={"stages": [stage.identity()], "seed": recipe.seed if isinstance(stage, Downsample) else 0, "format": FORMAT},
            )
        i += max(1, len(run))
        # Language reads the text alone, whatever was judged before it.
        steps.append(_printed(step, list(steps[0].prints) if step.kind == "language" else state))
        state = [fingerprint([a, b]) for a, b in zip(state, steps[-1].prints, strict=True)]
    hashes = {column: open_model(model).sha256 for column, model in tokenizers_of(recipe).items()}
    steps.append(
        _printed(
            Step(
                "tokens",
                "count tokens",
                identity={"tokenizers": hashes, "engines": {"tokenizers": version("tokenizers")}, "format": FORMAT},
            ),
            state,
        )
    )
    state = [fingerprint([a, b]) for a, b in zip(state, steps[-1].prints, strict=True)]
    plain = recipe.dump()
    bare = {k: v for k, v in plain["mix"].items() if k not in ("tokenizer", "also_count")}  # whose hashes the tokens' step has
    mix = {"mix": bare, "seed": recipe.seed, "validation": [recipe.release.validation, recipe.release.validation_documents], "format": FORMAT}
    steps.append(_printed(Step("mix", "mix", identity=mix), state))
    release = {
        "recipe": {
            **{k: plain[k] for k in ("name", "version", "policy", "seed")},
            "mix": {
                **bare,
                "tokenizer": published_tokenizer(recipe.mix.tokenizer),
                "also_count": [published_tokenizer(m) for m in recipe.mix.also_count.values()],
            },
            "engines": release_engines(recipe),
            "release": {k: v for k, v in plain["release"].items() if k != "tombstones"},  # of which a step of their own says all
        },
        "stages": [s.identity() for s in recipe.stages],
        "licences": {n: s.licence for n, s in recipe.sources.items()},
        "pyarrow": pa.__version__,
        "format": FORMAT,
    }
    steps.append(_printed(Step("release", "release", identity=release), [fingerprint([a, b]) for a, b in zip(state, steps[-1].prints, strict=True)]))
    return steps


def published_tokenizer(model: str) -> str:
    """A tokenizer as a release names it: a bundled one by its name, a file by its name and content."""
    return f"{Path(model).name} sha256:{open_model(model).sha256}" if "/" in model else model


def release_engines(recipe: Recipe) -> dict[str, dict[str, str]]:
    """Versions of what writes a release itself: the replacement of secrets in `removed/`, and signatures."""
    found = {"removed": {**secrets.ENGINES, "secrets": str(secrets.VERSION)}} if recipe.release.removed else {}
    return {**found, **({"signatures": {"shingles": str(shingles.VERSION), "fold": str(fold.VERSION)}} if recipe.release.signatures else {})}


def tokenizers_of(recipe: Recipe) -> dict[str, str]:
    """Columns of token counts -> the models that count: the mix's own first."""
    named = {"token_count": recipe.mix.tokenizer, **{f"token_count_{name}": model for name, model in recipe.mix.also_count.items()}}
    return {column: model if "/" in model else f"bundled:{model}" for column, model in named.items()}


def _printed(step: Step, state: list[str]) -> Step:
    """Give a step its fingerprints: per-unit ones from each unit's own state, rounds from the state of all."""
    if step.per_unit:
        prints, whole = tuple(fingerprint([step.identity, s]) for s in state), ""
    else:
        whole = fingerprint([step.identity, state])
        prints = tuple(fingerprint([whole, s, u]) for u, s in enumerate(state))
    return Step(step.kind, step.name, step.stages, step.measures, prints, whole, step.identity)


def _text_step(recipe: Recipe, units: list[Unit], sources: Mapping[str, Source], quarantine: Sequence[frozenset[tuple[str, int]]]) -> Step:
    stages = tuple(s for s in recipe.stages if s.scope == "text")
    prints = []
    for unit, skipped in zip(units, quarantine, strict=True):
        source = sources[unit.source]
        mine = [s.identity() for s in stages if s.reaches(unit.source)]
        prints.append(
            fingerprint(
                {
                    "source": _declared(source),
                    "unit": unit.identity(),
                    "folders": _folders(source, unit),
                    "stages": mine,
                    "quarantine": sorted(skipped),
                    "format": FORMAT,
                }
            )
        )
    return Step("text", "text", stages, (), tuple(prints), identity={"stages": [s.identity() for s in stages]})


def _folders(source: Source, unit: Unit) -> list[str]:
    """Names of folders that enter ids: of code trees, where they stand for the repository."""
    return sorted({f.folder for f in unit.files if f.kind == "file"}) if source.reader == "code" else []


def _declared(source: Source) -> dict[str, Any]:
    """What a source says that enters its documents; where its files lie does not."""
    plain = {k: getattr(source, k) for k in ("name", "reader", "licence", "domain", "subdomain")}
    return {**plain, "columns": dict(source.columns), "values": {k: dict(v) for k, v in source.values.items()}, "version": reader_version(source)}


# --- what changed --------------------------------------------------------------------------------------------------------------


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if old is None or old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [d for k in {**old, **new} for d in _differences(old.get(k, "(nothing)"), new.get(k, "(nothing)"), f"{path}.{k}".lstrip("."))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i, (a, b) in enumerate(zip(old, new, strict=True)) for d in _differences(a, b, f"{path}[{i}]")]
    return [f"{path}: {_short(old)} -> {_short(new)}"]


def _input_changes(old: dict[str, str] | None, new: dict[str, str]) -> list[str]:
    if old is None:
        return []
    out = [
        f"{len(names)} input files {what}, such as {sorted(names)[0]}"
        for what, names in (
            ("added", new.keys() - old.keys()),
            ("removed", old.keys() - new.keys()),
            ("replaced", {n for n in new.keys() & old.keys() if new[n] != old[n]}),
        )
        if names
    ]
    return out


def _rows(some: For) -> str:
    return "".join(f" {k}={','.join(v)}" for k, v in some.model_dump().items() if v)


def _settings(stage: Stage) -> str:
    """A stage's settings on one line: for a filter, what must hold."""
    where = _rows(stage.where) if stage.where else " all documents"
    where += f" unless{_rows(stage.unless)}" if stage.unless else ""
    if isinstance(stage, Filter):
        held = [reason(b, side) for b in stage.bound_list() for side in SIDES[:2] if getattr(b, side) is not None]
        return f"{', '.join(held)} for{where}"
    return f"{', '.join(f'{k}={v}' for k, v in stage.model_dump(mode='json', exclude={'where', 'unless'}, exclude_none=True).items())} for{where}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 110 else text[:107] + "…"
