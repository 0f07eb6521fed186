"""Every stage that a recipe may name, with its settings, its identity and what it does to one batch or asks of a round.

A stage is frozen settings. It declares its scope: `text` (rewrites a record's text), `columns` (adds numbers beside it), `verdict`
(judges a row by itself), `round` (judges rows by other rows) or `pack` (makes one row of several). How units, rounds and files are driven is not its business.
"""

import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, model_validator

from pipeline.errors import ModelError, PlanError
from pipeline.filter import Bound
from pipeline.measures import MEASURES
from pipeline.store import fingerprint, local_path, open_folder, open_model

if TYPE_CHECKING:
    from pipeline.dedup.tombstones import Tombstones


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]  # a name or a list of names
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Strict and frozen: an unknown key is an error, no value is converted behind the user's back."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True, allow_inf_nan=False)


class For(Settings):
    """Which documents a stage applies to; several keys must all hold."""

    source: Names | None = None
    domain: Names | None = None
    subdomain: Names | None = None
    programming_language: Names | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.columns():
            raise ValueError("is empty; name a source, domain, subdomain or programming_language, or leave `for` out")
        return self

    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)

    def mask(self, table: pa.Table | pa.RecordBatch) -> np.ndarray:
        """Which rows are meant. (rows,) bool"""
        mask = np.ones(table.num_rows, bool)
        for name in self.columns():
            mask &= pc.is_in(table.column(name), value_set=pa.array(getattr(self, name), pa.string())).to_numpy(zero_copy_only=False)
        return mask


class Stage(Settings):
    """Common to all stages. `version` is raised by hand whenever the output changes for the same settings."""

    stage: ClassVar[str]
    scope: ClassVar[Literal["text", "columns", "verdict", "round", "pack"]]
    version: ClassVar[int] = 1
    adds: ClassVar[tuple[str, ...]] = ()
    where: For | None = Field(None, alias="for")
    unless: For | None = None  # exceptions to it

    def engines(self) -> dict[str, str]:
        """Libraries and models whose output enters the bytes, with their versions or hashes."""
        return {}

    def added(self) -> tuple[pa.Field, ...]:
        """The columns that this stage adds beside the text."""
        return tuple(pa.field(name, pa.string() if name in TEXT_COLUMNS else pa.float64()) for name in self.adds)

    def reads(self) -> tuple[str, ...]:
        """Columns that must exist before this stage."""
        return tuple(dict.fromkeys(c for some in (self.where, self.unless) if some for c in some.columns()))

    def identity(self) -> dict[str, Any]:
        """What bears identity: name, version, settings, engines."""
        return {"stage": self.stage, "version": self.version, "settings": self.settings(), "engines": self.engines()}

    def settings(self) -> dict[str, Any]:
        """The settings as plain values, without exceptions where there are none."""
        return self.model_dump(mode="json", by_alias=True, exclude={"unless"} if self.unless is None else None)

    def reaches(self, source: str) -> bool:
        """Whether the stage is meant for a source at all, as far as its name says it."""
        wanted = self.where is None or source in (self.where.source or (source,))
        spared = self.unless is not None and self.unless.columns() == ("source",) and source in (self.unless.source or ())
        return wanted and not spared

    def mask(self, table: pa.Table | pa.RecordBatch) -> np.ndarray:
        """Which rows the stage is meant for. (rows,) bool"""
        mask = np.ones(table.num_rows, bool) if self.where is None else self.where.mask(table)
        return mask if self.unless is None else mask & ~self.unless.mask(table)


class Extract(Stage):
    """HTML to text. Documents that bring their text are left alone."""

    stage = "extract"
    scope = "text"
    main_content: bool = True

    def engines(self) -> dict[str, str]:
        from pipeline.rewrite import extract

        return {**extract.ENGINES, "extract": str(extract.VERSION)}

    def rewrite(self, records: pa.Table) -> pa.Table:
        from pipeline.rewrite.extract import extract_batch

        html = records.column("html").combine_chunks()
        pages = pc.is_valid(html)
        if not pc.any(pages).as_py():
            return records
        text = pc.if_else(pages, extract_batch(html, main_content=self.main_content), records.column("text"))
        return records.set_column(records.schema.get_field_index("text"), "text", text)


class Normalize(Stage):
    """Unicode form, control and zero-width characters, line ends, white space. Never full-width punctuation to ASCII."""

    stage = "normalize"
    scope = "text"
    unicode: Literal["NFC", "none"] = "NFC"

    def engines(self) -> dict[str, str]:
        from pipeline.rewrite import normalize

        return {**normalize.ENGINES, "normalize": str(normalize.VERSION)}

    def rewrite(self, records: pa.Table) -> pa.Table:
        from pipeline.rewrite.normalize import normalize_batch

        text = normalize_batch(records.column("text").combine_chunks(), form=self.unicode)
        return records.set_column(records.schema.get_field_index("text"), "text", text)


class Notebooks(Stage):
    """Jupyter notebooks to scripts, with their prose as comments. Their language stays `Jupyter Notebook`."""

    stage = "notebooks"
    scope = "text"

    def engines(self) -> dict[str, str]:
        from pipeline.rewrite import notebook

        return {"notebook": str(notebook.VERSION)}

    def rewrite(self, records: pa.Table) -> pa.Table:
        from pipeline.rewrite.notebook import notebooks_batch

        text = notebooks_batch(records.column("text").combine_chunks(), records.column("programming_language"))
        return records.set_column(records.schema.get_field_index("text"), "text", text)


class Scrub(Stage):
    """Keys, passwords, people's e-mail addresses and public IPs in source code, replaced by <KEY>, <PASSWORD>, <EMAIL> and <IP_ADDRESS>."""

    stage = "scrub"
    scope = "text"

    def engines(self) -> dict[str, str]:
        from pipeline.rewrite import secrets

        return {**secrets.ENGINES, "secrets": str(secrets.VERSION)}

    def rewrite(self, records: pa.Table) -> pa.Table:
        from pipeline.rewrite.secrets import COLUMNS, scrub_batch

        text, counts = scrub_batch(records.column("text").combine_chunks())
        records = records.set_column(records.schema.get_field_index("text"), "text", text)
        for kind, column in COLUMNS.items():
            found = pa.array(counts[kind], pa.int32())
            if column in records.column_names:  # another `scrub` was meant for this source too
                found = pc.add(found, records.column(column))
                records = records.drop_columns([column])
            records = records.append_column(column, found)
        return records


class Language(Stage):
    """fastText language identification. Sets the domain where it is null; leaves rows alone whose declared domain it does not know.

    The domain is the likelier one of `domains`, where together they are likelier than any single other language; else 'other'.
    """

    stage = "language"
    scope = "columns"
    version = 2
    adds = ("language", "language_score", "script", "p_en", "p_zh", "p_en_or_zh")
    model: str = "lid176"
    domains: tuple[Literal["en", "zh"], ...] = Field(("en", "zh"), strict=False)

    def engines(self) -> dict[str, str]:
        from pipeline.measures import language

        return {
            **language.ENGINES,
            "language": str(language.VERSION),
            "model": open_model(f"bundled:{self.model}" if "/" not in self.model else self.model).sha256,
        }


class Limits(Settings):
    """The smallest and the largest value allowed; both belong to what is kept."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("has neither min nor max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: everything would be dropped")
        return self


class Filter(Stage):
    """A named set of bounds on columns. The first broken one, in the order written, is the reason."""

    stage = "filter"
    scope = "verdict"
    name: str
    bounds: dict[str, Limits] = Field(min_length=1)
    missing: Literal["keep", "drop"] | None = None

    def reads(self) -> tuple[str, ...]:
        return (*super().reads(), *self.bounds)

    def bound_list(self) -> list[Bound]:
        return [Bound(column, limits.min, limits.max) for column, limits in self.bounds.items()]

    def identity(self) -> dict[str, Any]:
        # Bounds keep their order in the fingerprint: the first broken one is the reason.
        settings = self.settings()
        settings["bounds"] = [[column, limits] for column, limits in settings["bounds"].items()]
        return {"stage": self.stage, "version": self.version, "settings": settings, "engines": {}}


class Choice(Stage):
    """A verdict on each row alone that is no bound on a number: `broken` says why a row goes."""

    scope = "verdict"

    @property
    def name(self) -> str:
        return self.stage

    def broken(self, table: pa.Table) -> list[str | None]:
        """The reason for each row that does not stay. The table has the columns that `reads` names."""
        raise NotImplementedError

    def judged(self, table: pa.Table) -> tuple[list[str | None], np.ndarray]:
        """The reasons, and the number behind each, or NaN where there is none."""
        return self.broken(table), np.full(table.num_rows, np.nan)


class Licences(Choice):
    """Keep what a licence of the list allows: SPDX ids; of `A OR B` one is enough, of `A AND B` both are needed.

    `unknown`: what becomes of documents without a licence, or with one of which we are less sure than `min_confidence` (1 where an SPDX id is
    written, else the likeness of a licence's text; 0.8 is askalono's bound, 0.5 is a title or first sentence).
    """

    stage = "licences"
    allow: Names = Field(min_length=1)
    unknown: Literal["drop", "keep"] = "drop"
    min_confidence: Share = 0.8

    def reads(self) -> tuple[str, ...]:
        return (*super().reads(), "licence", "licence_confidence")

    def engines(self) -> dict[str, str]:
        from pipeline.measures import licences

        return {"licences": str(licences.VERSION)}

    def broken(self, table: pa.Table) -> list[str | None]:
        from pipeline.measures.licences import is_allowed

        allow = frozenset(self.allow)
        known: dict[str, bool] = {}
        out: list[str | None] = []
        for licence, sure in zip(table.column("licence").to_pylist(), table.column("licence_confidence").to_pylist(), strict=True):
            if licence is None or (sure is not None and sure < self.min_confidence):
                out.append("no licence known" if self.unknown == "drop" else None)
                continue
            if licence not in known:
                known[licence] = is_allowed(licence, allow)
            out.append(None if known[licence] else f"licence {licence}"[:120])
        return out


class OptOut(Choice):
    """Drop the repositories of people who asked for it: text files with a repository (`owner/name`, its bare name, or its address) or an owner (`owner/`)
    a line.

    Case does not matter; `#` begins a remark. Where only one side names the owner, the bare names decide, since a repository too many is better
    dropped than kept. The files' content bears identity, their place does not.
    """

    stage = "opt_out"
    file: Names = Field(min_length=1)

    def reads(self) -> tuple[str, ...]:
        return (*super().reads(), "repository")

    def names(self) -> frozenset[str]:
        """The lists' lines, folded. ModelError where one cannot be read."""
        found: set[str] = set()
        for name in self.file:
            try:
                with open(local_path(name), encoding="utf-8-sig") as opened:
                    lines = [line.partition("#")[0].strip().casefold() for line in opened]
            except (OSError, UnicodeDecodeError) as error:
                raise ModelError(f"The opt-out list {name} cannot be read: {error}.") from error
            found |= {re.sub(r"\Ahttps?://[^/]+/|(?:\.git)?\Z", "", line) for line in lines}
        return frozenset(found - {""})

    def settings(self) -> dict[str, Any]:
        found = super().settings()
        found["file"] = fingerprint(sorted(self.names()))
        return found

    def broken(self, table: pa.Table) -> list[str | None]:
        names = self.names()
        bare = {name.rpartition("/")[2] for name in names} - {""}  # of entries with an owner too, for repositories without one
        out: list[str | None] = []
        for repository in table.column("repository").to_pylist():
            folded = (repository or "").casefold().removesuffix(".git")
            owner, _, name = folded.rpartition("/")
            asked = folded in names or name in names or f"{owner}/" in names or (not owner and name in bare)
            out.append("opted out" if folded and asked else None)
        return out


class Takedown(Choice):
    """Drop what tombstone files name, by id, URL, host, or likeness to a signature, before any other verdict. A recipe names the files under
    `release: {tombstones: …}`; their content bears identity, their place does not.

    What is like a signature is estimated, with a standard error of 0.04 at 0.8: the text taken down is not there to compare with.
    """

    stage = "takedown"
    tombstones: Names = Field(min_length=1)
    content: str

    @classmethod
    def by(cls, files: tuple[str, ...]) -> "Takedown":
        """The stage for some tombstone files. PlanError where one cannot be read."""
        from pipeline.dedup.tombstones import read_tombstones

        places = [os.path.abspath(local_path(name)) for name in files]
        return cls.model_validate({"tombstones": places, "content": read_tombstones(places).print})

    def said(self) -> "Tombstones":
        """What the files say: what they said when the run was planned, or PlanError."""
        from pipeline.dedup.tombstones import read_tombstones

        found = read_tombstones(self.tombstones)
        if found.print != self.content:
            raise PlanError(f"The tombstones ({', '.join(self.tombstones)}) have changed since the run was planned. Run again.")
        return found

    def reads(self) -> tuple[str, ...]:
        return (*super().reads(), "id", "url", *(("text",) if self.said().similar else ()))

    def settings(self) -> dict[str, Any]:
        return {"tombstones": self.content}

    def engines(self) -> dict[str, str]:
        # urlsplit has changed with Python's minor versions.
        found = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
        if self.said().similar:
            from pipeline.kernels import fold, shingles

            found |= {"shingles": str(shingles.VERSION), "fold": str(fold.VERSION)}
        return found

    def broken(self, table: pa.Table) -> list[str | None]:
        return self.judged(table)[0]

    def judged(self, table: pa.Table) -> tuple[list[str | None], np.ndarray]:
        said = self.said()
        named = said.naming(table.column("id"), table.column("url"))
        reasons = [f"tombstones_by_{line.partition(':')[0]} == 0" if line else None for line in named]
        values = np.full(table.num_rows, np.nan)
        if said.similar:
            from pipeline.dedup.signatures import signatures

            signature, shingles = signatures(table.column("text"))
            rows = np.flatnonzero((shingles > 0) & np.array([line is None for line in named], bool))
            partner, likeness = said.lookup.partners(signature[rows])
            values[rows] = likeness[:, 0]
            for row, number in zip(rows.tolist(), partner[:, 0].tolist(), strict=True):
                if number >= 0:
                    reasons[row] = f"tombstone_similarity < {said.similar[number][0]:g}"
        return reasons, values


class Deduplicate(Stage):
    """Keep one document of each group that shares an id, a URL, the folded text, or most of its shingles.

    Which one is kept: the earliest in `prefer` (source names), then by `keep` (of repositories with as many stars, the newest), then the smallest id.
    Texts with fewer than `min_shingles` shingles have no meaningful Jaccard: `short` says what becomes of them, and they are counted.
    """

    stage = "deduplicate"
    scope = "round"
    adds = ()
    by: Literal["id", "url", "text", "minhash"]
    keep: Literal["newest", "oldest", "most_stars"] = "newest"
    prefer: Names = ()
    bands: PositiveInt | None = None
    rows: PositiveInt | None = None
    threshold: Share | None = None
    min_shingles: PositiveInt | None = None
    short: Literal["keep", "drop"] | None = None

    @model_validator(mode="after")
    def _settings_of(self) -> Self:
        defaults = {"bands": 16, "rows": 7, "threshold": 0.8, "min_shingles": 8, "short": "keep"}
        for name, default in defaults.items():
            if self.by == "minhash":
                if getattr(self, name) is None:
                    object.__setattr__(self, name, default)
            elif getattr(self, name) is not None:
                raise ValueError(f"{name} is a setting of `by: minhash`; `by: {self.by}` compares whole keys. Remove it")
        if self.by == "minhash" and (self.bands or 0) * (self.rows or 0) > 112:
            raise ValueError(f"bands x rows is {(self.bands or 0) * (self.rows or 0)}, but a signature has 112 values")
        return self

    @property
    def name(self) -> str:
        return f"deduplicate_{self.by}"

    def reads(self) -> tuple[str, ...]:
        return (*super().reads(), *(("stars",) if self.keep == "most_stars" else ()))

    def engines(self) -> dict[str, str]:
        if self.by in ("text", "minhash"):
            from pipeline.kernels import fold, shingles

            return {"shingles": str(shingles.VERSION), "fold": str(fold.VERSION)}
        # urlsplit has changed with Python's minor versions.
        return {"python": f"{sys.version_info.major}.{sys.version_info.minor}"} if self.by == "url" else {}


class Downsample(Stage):
    """Choose what each value of a column takes of the slice's bytes; documents are taken in hash order up to the first that does not fit.

    A value's share is its bytes to the power `temperature` times its `weight`, at least `floor`, at most its `cap`; `'*'` stands for every value not
    named. Nothing is repeated: the total is the largest at which every value with at least 1 % of the slice's bytes reaches its share, and rarer
    ones give what they have. With temperature 1 and no weights, what is under its cap stays whole.
    """

    stage = "downsample"
    scope = "round"
    version = 4
    where: For = Field(alias="for")
    by: Literal["programming_language", "repository", "subdomain", "source", "licence"]
    cap: dict[str, Share] = Field(default_factory=dict)
    weight: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    temperature: Annotated[float, Field(gt=0, le=1)] = 1.0
    floor: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if not self.cap and not self.weight and self.temperature == 1 and not self.floor:
            raise ValueError("chooses nothing: give cap, weight, temperature or floor")
        return self

    @property
    def name(self) -> str:
        return f"downsample_{self.by}"

    def reads(self) -> tuple[str, ...]:
        return (*super().reads(), self.by)


class Pack(Stage):
    """Files of one repository as one document, in the order of their dependencies, each under a line with its path. The last of the stages.

    Of the language that most of its bytes are in, the first file by that order stays and holds the text; the others leave as packed with it. One larger than `max_bytes` makes several.
    Files of a repository that stand in different units (of a huge folder, or in Parquet) are packed with those of their unit.
    """

    stage = "pack"
    scope = "pack"
    where: For = Field(alias="for")
    by: Literal["repository"] = "repository"
    marker: str = "<file_sep>{path}\n"
    max_bytes: PositiveInt = 1_000_000

    def reads(self) -> tuple[str, ...]:
        return (*super().reads(), "repository", "path")

    def engines(self) -> dict[str, str]:
        from pipeline.rewrite import pack

        return {"pack": str(pack.VERSION)}


class Score(Stage):
    """Classifiers judge the survivors: `columns` names for each column its model (`bundled:NAME`, a folder, or `hub:ORG/NAME@COMMIT`).

    `cascade`: which of a model's networks judge, the cheap one first; what it is sure of leaves early. `band`: between which scores of the
    cheap one the other is asked; the model's own where not said. `windows`: how many windows of a long text stand for all of it.
    """

    stage = "score"
    scope = "columns"
    columns: dict[str, str] = Field(min_length=1)
    cascade: Annotated[tuple[Literal["fasttext", "bert"], ...] | None, BeforeValidator(_names)] = Field(None, min_length=1)
    band: Annotated[tuple[float, float] | None, BeforeValidator(_names)] = None
    windows: PositiveInt | Literal["all"] = 8
    precision: Literal["cpu-int8", "cpu-fp32", "cuda-bf16"] = "cpu-int8"

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        for name in self.columns:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in MEASURES:
                raise ValueError(f"a column is called in lower case, digits and underscores, and not as a measure is; '{name}' will not do")
        if self.band is not None and not (self.cascade and len(self.cascade) > 1 and self.band[0] <= self.band[1]):
            raise ValueError("band says between which two scores of the first model of a `cascade: [fasttext, bert]` the second is asked; the lower one first")
        return self

    @property
    def name(self) -> str:
        return f"score_{'+'.join(self.columns)}"

    def added(self) -> tuple[pa.Field, ...]:
        from pipeline.measures.classifier import describe

        return tuple(field for name, model in self.columns.items() for field in describe(model).columns(name))

    def reads(self) -> tuple[str, ...]:
        return (*super().reads(), "domain")

    def hashes(self) -> dict[str, str]:
        """Of every column the sha256 of its model. A model is what its bytes are; the folder that it lies in is no part of it."""
        return {name: open_folder(model).sha256 for name, model in self.columns.items()}

    def engines(self) -> dict[str, str]:
        from pipeline.measures.classifier import engines

        libraries = {k: v for model in self.columns.values() for k, v in engines(model, self.cascade, self.precision).items()}
        return {**libraries, **{f"model of {name}": digest for name, digest in self.hashes().items()}}

    def identity(self) -> dict[str, Any]:
        found = super().identity()
        found["settings"]["columns"] = self.hashes()
        return found


STAGES: dict[str, type[Stage]] = {
    "extract": Extract,
    "normalize": Normalize,
    "notebooks": Notebooks,
    "scrub": Scrub,
    "language": Language,
    "filter": Filter,
    "licences": Licences,
    "opt_out": OptOut,
    "deduplicate": Deduplicate,
    "score": Score,
    "downsample": Downsample,
    "pack": Pack,
}

# Columns that a bound may name, beside the catalogue of measures: what earlier stages add, by stage.
ADDED: Mapping[str, tuple[str, ...]] = {name: stage.adds for name, stage in STAGES.items() if stage.adds}


TEXT_COLUMNS = {"language", "script"}


def known_columns() -> set[str]:
    """Every name that a bound may use in some recipe."""
    return set(MEASURES).union(*ADDED.values()) - TEXT_COLUMNS


def label(stage: Stage) -> str:
    """The name under which a stage appears in the plan, the ledger and the funnel."""
    return str(getattr(stage, "name", stage.stage))


def label_of(kind: str, settings: Mapping[str, Any]) -> str:
    """The same from what a release's recipe.json says of a stage, which another version of this program may have written."""
    if kind in ("deduplicate", "downsample"):
        return f"{kind}_{settings.get('by')}"
    return str(settings.get("name") or (f"score_{'+'.join(settings.get('columns', ()))}" if kind == "score" else kind))
