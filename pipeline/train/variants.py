"""Variants of a recipe -> releases and their tokens, in one work folder, so that what they have in common is made once.

A filter that is off stays in its recipe with bounds that nothing breaks: all arms then name the same measures, which are computed once, and an arm costs its
comparisons, its rounds and its shards. The recipes are written beside the results as files that `run` takes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.engine import map_tasks, open_engine
from pipeline.errors import PlanError
from pipeline.measures import MEASURES
from pipeline.planning import Artefacts, plan
from pipeline.recipe import Recipe
from pipeline.runner import run
from pipeline.shards import Release
from pipeline.stages import Deduplicate, Filter, Language, Limits, Score, Stage, label
from pipeline.store import Store, fingerprint
from pipeline.tasks import View
from pipeline.timings import Progress
from pipeline.token_shards import TokenRelease, write_tokens
from pipeline.train.ablation_spec import Spec, Variant

_OPEN = Limits(min=-1e300)  # a bound that no measure breaks
_DATATROVE = 1  # raised when what becomes of its documents changes
_CARRIED = ("id", "text", "url", "date", "licence", "domain", "subdomain", "programming_language", "repository", "path", "stars", "repository_files")


@dataclass(frozen=True)
class Arm:
    """A variant as it came out. Counts are of training documents, by domain; `available` is what passed the stages, before the mix took its shares of it."""

    name: str
    release: str  # the folder
    tokens: str  # the folder of token shards
    content: str  # what the tokens are, whatever they are called
    available: Mapping[str, int]  # in the mix's unit
    documents: Mapping[str, int]
    unique_tokens: Mapping[str, int]
    repeated_tokens: Mapping[str, int]  # each document as often as it is used
    shares: Mapping[str, float]  # in the mix's unit

    @property
    def total(self) -> int:
        """Tokens, each document as often as it is used."""
        return sum(self.repeated_tokens.values())


@dataclass
class Workshop:
    """What makes arms: one recipe, one work folder, and how tasks are run."""

    spec: Spec
    work: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    here: bool = False
    cpus: int | None = None
    address: str | None = None
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.store = Store(self.work)
        self.base = self.spec.base(dict(self.inputs))
        self.variants = {**self.spec.variants, **self._each_off()}
        for name, variant in self.spec.variants.items():
            for stage in variant.without:
                if stage != "all" and stage not in removable(self.base):
                    raise self.spec.fault(("variants", name, "without"), f"'{stage}' cannot be taken away; there are all, {', '.join(removable(self.base))}")
        if any(v.datatrove for v in self.variants.values()):
            datatrove_engines()
        self.recipes: dict[tuple[str, int], Recipe] = {}
        self.releases: dict[tuple[str, int], Release] = {}

    def _each_off(self) -> dict[str, Variant]:
        """An arm for every filter, compared with the recipe as it is."""
        filters = [label(s) for s in self.base.stages if isinstance(s, Filter) and not _of_language(s)]
        asked = self.spec.each_filter_off
        wanted = filters if asked is True else list(asked or ())
        for name in wanted:
            if name not in filters:
                raise self.spec.fault(("each_filter_off",), f"the recipe has no filter '{name}'; it has {', '.join(filters)}")
        return {f"no_{n}": Variant(without=(n,), against=self.spec.plain) for n in wanted if f"no_{n}" not in self.spec.variants}

    def arms(self) -> dict[str, tuple[Arm, ...]]:
        """Every arm, made where it is not there yet, in the order of the file; for each seed of training a draw of its documents, where they are drawn.

        They are where an arm is to have as many as another, and where the mix leaves some over. In a crawl a few pages may hold a fifth of all tokens: with one
        draw for all seeds, which side has them would look like a difference. Arms of the same draw are drawn alike.
        """
        made: dict[str, tuple[Arm, ...]] = {}
        for name in dict.fromkeys([*self.spec.order(), *self.variants]):
            variant, first = self.variants[name], self._arm(name, 0)
            drawn = variant.as_many_as or (variant.of and len(made[variant.of]) > 1) or leaves_over(self.releases[name, 0].mixture)
            made[name] = (first, *(self._arm(name, draw) for draw in range(1, len(self.spec.train.seeds) if drawn else 1)))
        return {name: made[name] for name in self.variants}

    def _arm(self, name: str, draw: int) -> Arm:
        recipe = self.recipe(name, draw)
        self.progress.say(f"arm {name}: release {recipe.name}@{recipe.version}")
        release = run(recipe, self.work, here=self.here, cpus=self.cpus, address=self.address, progress=self.progress)
        self.releases[name, draw] = release
        tokens = write_tokens(release, tokenizer=recipe.mix.tokenizer, cpus=1 if self.here else self.cpus or 1, progress=self.progress)
        return arm(name, release, tokens)

    def recipe(self, name: str, draw: int = 0) -> Recipe:
        """The recipe of a draw of an arm; those that it is made of are released."""
        if (name, draw) not in self.recipes:
            variant = self.variants[name]
            base = self.recipe(variant.of, draw) if variant.of else self.base
            mix = self.spec.mixture.model_dump(mode="json", exclude_none=True)
            if variant.schedule is not None:
                mix["schedule"] = [phase.model_dump(mode="json", by_alias=True, exclude_none=True) for phase in variant.schedule]
            if variant.as_many_as:
                like = self.releases.get((variant.as_many_as, draw)) or self.releases[variant.as_many_as, 0]
                mix |= as_many(like.mixture, variant.as_many_as)
            if variant.datatrove:
                folder = self._datatrove(base)
                changed = base.model_copy(update={"stages": (Deduplicate.model_validate({"by": "id"}),)})
                plain = as_plain(changed) | {
                    "sources": {"documents": {"reader": "parquet", "files": f"{folder}/*.parquet", "columns": {c: c for c in _CARRIED}}}
                }
            else:
                plain = as_plain(base.model_copy(update={"stages": without(base, variant.without, _mixed(base, mix))}))
            plain["mix"] |= mix
            plain["release"] |= {"removed": 0, "signatures": False}  # nobody reads them of an arm
            plain["seed"] = self.base.seed + draw
            self.recipes[name, draw] = self._named(f"{name}.draw{draw + 1}" if draw else name, plain)
        return self.recipes[name, draw]

    def _named(self, name: str, plain: dict[str, Any]) -> Recipe:
        """The recipe under a version that says what it is made of, so that a change of a bound or an input is another release beside the first."""
        file = f"ablations/{self.spec.name}/recipes/{name}.yaml"

        def written(said: str) -> Recipe:
            self.store.write_json(file, plain | {"name": f"{self.spec.name}-{name}", "version": said}, sort_keys=False)  # JSON is YAML
            return Recipe.load(self.store.at(file))

        return written(f"{self.base.version}+{plan(written(self.base.version), self.work).release_print[:8]}")

    def _datatrove(self, base: Recipe) -> str:
        """What its filters keep of all that stands before a recipe's mix: a folder of Parquet files, one a unit."""
        todo = plan(base, self.work)
        before = next(i for i, step in enumerate(todo.steps) if step.kind == "mix")
        pages = web_sources(base)
        state = [fingerprint([todo.steps[before - 1].prints[u], unit.source in pages]) for u, unit in enumerate(todo.units)]
        folder = f"ablations/datatrove/{fingerprint([_DATATROVE, datatrove_engines(), sorted(base.mix.shares), state])}"
        jobs = [
            (self.store, f"{folder}/{u:06d}.parquet", todo.artefacts(u, before), tuple(base.mix.shares), unit.source in pages)
            for u, unit in enumerate(todo.units)
        ]
        jobs = [job for job in jobs if not self.store.exists(job[1])]
        if jobs:
            self.progress.say(f"datatrove's FineWeb filters over {len(jobs)} units")
            engine = open_engine(here=self.here, cpus=self.cpus, address=self.address)
            try:
                map_tasks(engine, fineweb_unit, jobs)
            finally:
                engine.close()
        return self.store.at(folder)


def arm(name: str, release: Release, tokens: TokenRelease) -> Arm:
    """What a release and its tokens say of themselves."""
    domains = release.mixture["domains"]
    counts = tokens.manifest["counts"].get("train", {})
    schedule = tokens.manifest["files"].get("schedule.json", {}).get("sha256")
    shards = {shard: {file.rpartition(".")[2]: told["sha256"] for file, told in e["files"].items()} for shard, e in tokens.manifest["shards"].items()}
    content = fingerprint({"tokenizer": tokens.manifest["tokenizer_sha256"], "eos": tokens.eos, "shards": shards, "schedule": schedule})
    return Arm(
        name,
        release.path,
        tokens.path,
        content,
        {d: about[f"unique_{release.mixture['unit']}_available"] for d, about in domains.items()},
        {d: counts.get(d, {}).get("documents", 0) for d in domains},
        {d: counts.get(d, {}).get("tokens", 0) for d in domains},
        {d: counts.get(d, {}).get("tokens_with_repeats", 0) for d in domains},
        {d: about["share"] for d, about in domains.items()},
    )


# --- recipes ----------------------------------------------------------------------------------------------------------------


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as `Recipe.load` takes it."""
    plain = recipe.dump()
    plain["release"]["tombstones"] = list(recipe.release.tombstones)  # which `dump` has by what they say
    return plain


def _of_language(stage: Stage) -> bool:
    return isinstance(stage, Filter) and set(stage.bounds) <= set(Language.adds)


def removable(recipe: Recipe) -> list[str]:
    """Stages that an arm may do without: verdicts and rounds, but for unique ids, which every release has."""
    return [label(s) for s in recipe.stages if s.scope in ("verdict", "round") and not (isinstance(s, Deduplicate) and s.by == "id")]


def judges_quality(stage: Stage) -> bool:
    """Whether `without: all` means a stage. Not the language, which makes the domains; nor licences and opt-outs, which are a matter of law; nor repeated
    ids and URLs, which are one document; nor `downsample`, which is a matter of the mix."""
    if isinstance(stage, Deduplicate):
        return stage.by in ("text", "minhash")
    return isinstance(stage, Score) or (isinstance(stage, Filter) and not _of_language(stage))


def _mixed(recipe: Recipe, changes: Mapping[str, Any]) -> set[str]:
    """Columns that a mix looks at, which no arm can do without."""
    mix = {**recipe.mix.model_dump(mode="json", by_alias=True), **changes}
    steps = {mix[key]["by"] for key in ("sample", "rehydrate") if mix[key]}
    return steps | {column for phase in mix["schedule"] for some in phase["slices"].values() for column in some.get("bounds", {})}


def without(recipe: Recipe, names: Sequence[str], needed: Iterable[str] = ()) -> tuple[Stage, ...]:
    """The stages with some off. A filter on measures keeps them and loses its bounds; a classifier whose columns are `needed` stays, whatever is off."""
    wanted = set(needed)
    out: list[Stage] = []
    for stage in recipe.stages:
        off = label(stage) in names or ("all" in names and judges_quality(stage))
        if not off or (isinstance(stage, Score) and wanted & {f.name for f in stage.added()}):
            out.append(stage)
        elif isinstance(stage, Filter) and (measured := [c for c in stage.bounds if c in MEASURES]):
            out.append(stage.model_copy(update={"bounds": dict.fromkeys(measured, _OPEN), "missing": "keep"}))
    return tuple(out)


def leaves_over(mixture: Mapping[str, Any]) -> bool:
    """Whether a mix had more than it used: over a hundredth, since whole documents seldom fill a share."""
    unit = mixture["unit"]
    used, there = (sum(about[f"unique_{unit}{end}"] for about in mixture["domains"].values()) for end in ("", "_available"))
    return bool(there > 1.01 * used)


def as_many(mixture: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A mix that gives every slice as many tokens as a release's has. PlanError where that release uses documents more than once: nobody's keep rate is over 1."""
    unit = mixture["unit"]
    shares: dict[str, Any] = {}
    for domain, about in mixture["domains"].items():
        if about[unit] != about[f"unique_{unit}"]:
            raise PlanError(
                f"The arm '{name}' uses documents of {domain} more than once, so no sample by chance has as many tokens of as many documents. "
                "Add `mixture: {max_epochs: 1}` to the ablation, or raise what there is of that domain."
            )
        parts = {part: of_part[unit] for part, of_part in about.get("parts", {}).items() if of_part[unit]}
        shares[domain] = parts or about[unit]
    return {"shares": shares, "normalise": True, "max_epochs": 1.0, "total": sum(about[unit] for about in mixture["domains"].values())}


# --- datatrove ----------------------------------------------------------------------------------------------------------------


def datatrove_engines() -> dict[str, str]:
    """Versions of what FineWeb's filters are made of here. PlanError where they are not installed."""
    try:
        return {name: version(name) for name in ("datatrove", "spacy")}
    except PackageNotFoundError as error:
        raise PlanError(
            f"A variant says `datatrove: fineweb`, and {error.name} is not installed. `pip install 'skypile-builder[datatrove]'` adds both datatrove and spaCy, or take the variant out."
        ) from None


def web_sources(recipe: Recipe) -> set[str]:
    """The sources whose documents FineWeb's rules are for: crawls, and what is declared as web; all where there is none."""
    return {n for n, s in recipe.sources.items() if s.reader in ("warc", "wet") or s.subdomain == "web"} or set(recipe.sources)


def fineweb_unit(store: Store, name: str, artefacts: Artefacts, domains: Sequence[str], judged: bool) -> dict[str, Any]:
    """A unit's documents before the mix, the English ones as FineWeb's filters leave them: C4's takes lines out of some. Others pass as they are.

    FineWeb-2's thresholds for Chinese are no part of datatrove, so Chinese stays as the arm has it.
    """
    keep = fineweb_filters() if judged else None
    view, counts = View(store, artefacts), {"given": 0, "kept": 0}
    writer = None
    with store.create(name) as handle:
        for batch in view.survivors(_CARRIED):
            given = batch.select(_CARRIED).filter(pc.is_in(batch.column("domain"), value_set=pa.array(domains)))
            kept = given if keep is None else _left(given, keep)
            writer = writer or pq.ParquetWriter(handle, kept.schema, compression="zstd")
            writer.write_table(kept.cast(writer.schema))
            counts["given"] += given.num_rows
            counts["kept"] += kept.num_rows
        if writer is None:
            pq.write_table(pa.table({column: pa.array([], pa.string()) for column in _CARRIED}), handle)
        else:
            writer.close()
    return counts


def _left(documents: pa.Table, keep: Callable[[str], str | None]) -> pa.Table:
    """The documents whose text something is left of, with that; those that are not English as they are."""
    pairs = zip(documents.column("text").to_pylist(), documents.column("domain").to_pylist(), strict=True)
    texts = pa.array([keep(text) if domain == "en" else text for text, domain in pairs], pa.string())
    return documents.set_column(_CARRIED.index("text"), "text", texts).filter(pc.is_valid(texts))


@lru_cache(maxsize=1)  # spaCy's pipeline and rules take a second
def fineweb_filters() -> Callable[[str], str | None]:
    """datatrove's filters in FineWeb's order with its settings (examples/fineweb.py): a text -> what is left of it, or None."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

    rules = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(filter_no_terminal_punct=False), FineWebQualityFilter()]

    def kept(text: str) -> str | None:
        document = Document(text=text, id="", metadata={})
        passed = bool(text.strip()) and all(rule.filter(document) is True for rule in rules)  # a blank text divides by nothing in the first
        return str(document.text) if passed else None

    return kept
