"""YAML -> a frozen, checked Recipe. Every fault is found here, before the first document, and says file, line, path, reason and remedy.

YAML is read by the 1.2 rules that people expect: `no` is a word and not False, `1e-4` is a number, `12:30` is text, a date is text.
"""

import contextlib
import difflib
import importlib.resources
import math
import re
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, ValidationError, ValidationInfo, field_serializer, field_validator, model_validator

from pipeline.dedup.tombstones import read_tombstones
from pipeline.errors import ModelError, PlanError, RecipeError
from pipeline.measures import MEASURES
from pipeline.mix import share_at
from pipeline.schema import DOCUMENT
from pipeline.shards import RELEASE
from pipeline.stages import (
    STAGES,
    TEXT_COLUMNS,
    Deduplicate,
    Filter,
    For,
    Language,
    Limits,
    Names,
    OptOut,
    Pack,
    Score,
    Settings,
    Share,
    Stage,
    known_columns,
    label,
)
from pipeline.store import open_model
from pipeline.tokenize.bpe import Bpe

AnySettings = TypeVar("AnySettings", bound=Settings)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


def _quantity(suffix: str, example: str) -> Any:
    def parse(value: Any) -> Any:
        if isinstance(value, str):
            match = re.fullmatch(rf"(\d+(?:\.\d+)?)\s*([KMGT]|(?<!B)B)?{suffix}", value.strip(), re.IGNORECASE)
            if not match:
                raise ValueError(f"'{value}' is not a size; write for example {example}")
            return round(float(match[1]) * _UNITS[(match[2] or "").upper()])
        return value

    return BeforeValidator(parse)


Bytes = Annotated[PositiveInt, _quantity("B", "512MB")]
Tokens = Annotated[PositiveInt, _quantity("", "150B")]


class SourceSettings(Settings):
    """Where documents come from. `domain` and `subdomain` are declarations: `language` then leaves them alone."""

    reader: Literal["warc", "wet", "jsonl", "parquet", "code"]
    files: Names = Field(min_length=1)
    licence: str | None = None
    domain: str | None = None
    subdomain: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    unreadable_files: Literal["stop", "tolerate"] = "stop"
    revision: str = "HEAD"

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str]) -> dict[str, str]:
        ours = ("id", "text", "url", "date", "licence", "domain", "subdomain", "programming_language", "repository", "path", "stars", "repository_files")
        for name in columns:
            if name not in ours:
                raise ValueError(
                    f"'{name}' is not a column of a document{meant(name, ours)}; on the left stand {', '.join(ours)}, on the right the file's own names"
                )
        return columns


class Steps(Settings):
    """A whole number for each value of a column: that of the highest step it reaches, and 1 below the first or where it is null."""

    by: str
    steps: dict[float, Annotated[int, Field(ge=1, le=64)]] = Field(min_length=1)

    @field_validator("steps", mode="before")
    @classmethod
    def _numbers(cls, steps: Any) -> Any:
        if not isinstance(steps, dict):
            return steps
        plain: dict[Any, Any] = {}
        for at, n in steps.items():
            plain[at] = n
            with contextlib.suppress(ValueError, TypeError):  # keys of JSON are words
                if not isinstance(at, bool):
                    plain[float(at)] = plain.pop(at)
        return plain


class Ramp(Settings):
    """A share that moves over a phase: from one value to another, linearly or with the square of the progress."""

    start: Share = Field(alias="from")
    end: Share = Field(alias="to")
    ramp: Literal["constant", "linear", "quadratic"] = "linear"

    @model_validator(mode="after")
    def _moves(self) -> Self:
        if self.ramp == "constant" and self.start != self.end:
            raise ValueError(f"a constant share does not go from {self.start:g} to {self.end:g}; say linear or quadratic, or one number")
        return self

    def mean(self) -> float:
        return self.start + (self.end - self.start) * {"constant": 0.0, "linear": 1 / 2, "quadratic": 1 / 3}[self.ramp]

    def plain(self) -> dict[str, Any]:
        return {"from": self.start, "to": self.end, "ramp": self.ramp}


class ScheduleSlice(Settings):
    """Documents that a phase of the schedule treats apart: by domain, sub-domain, or bounds on a column of the release; and their share of the phase."""

    domain: Names | None = None
    subdomain: Names | None = None
    bounds: dict[str, Limits] = Field(default_factory=dict)
    share: Ramp

    @field_validator("share", mode="before")
    @classmethod
    def _constant(cls, share: Any) -> Any:
        return {"from": float(share), "to": float(share), "ramp": "constant"} if isinstance(share, int | float) and not isinstance(share, bool) else share

    @model_validator(mode="after")
    def _selects(self) -> Self:
        if not (self.domain or self.subdomain or self.bounds):
            raise ValueError("selects nothing: name a domain, a subdomain, or bounds on a column")
        return self

    def selection(self) -> dict[str, Any]:
        """What it selects, as plain values."""
        return {k: v for k, v in self.model_dump(mode="json", exclude={"share"}, exclude_none=True).items() if v}

    def mask(self, rows: pa.Table) -> np.ndarray:
        """Which rows of a release are meant. (rows,) bool"""
        mask = np.ones(rows.num_rows, bool)
        for name in ("domain", "subdomain"):
            if wanted := getattr(self, name):
                mask &= pc.is_in(rows.column(name), value_set=pa.array(wanted, pa.string())).to_numpy(zero_copy_only=False)
        for name, limits in self.bounds.items():
            values = pc.fill_null(rows.column(name).cast(pa.float64()), np.nan).to_numpy()
            mask &= (values >= (-np.inf if limits.min is None else limits.min)) & (values <= (np.inf if limits.max is None else limits.max))
        return mask


class SchedulePhase(Settings):
    """A phase of training: so many tokens (up to 1: a share of the release's), and what is used in other shares than the mix has it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    tokens: Annotated[PositiveFloat, _quantity("", "130B"), BeforeValidator(lambda n: float(n) if isinstance(n, int) and not isinstance(n, bool) else n)]
    slices: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")], ScheduleSlice] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _room(self) -> Self:
        most = max(math.fsum(share_at(s.share.plain(), i / 100) for s in self.slices.values()) for i in range(101))
        if most > 1 + 1e-9:
            raise ValueError(f"its slices take up to {most:.0%} of a batch; leave some of it, at most all")
        return self


class Mix(Settings):
    """What share of the tokens each domain, and each part of a domain, gets, and how often documents may be repeated for it.

    `shares` sum to 1, or to anything where `normalise` is said; a domain's share may be given by its parts: sub-domains, languages of code, or `'*'` for whatever else it holds.
    """

    tokenizer: str = "skypile-65k"
    also_count: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], str] = Field(default_factory=dict)
    unit: str = "tokens"
    normalise: bool = False
    shares: dict[str, PositiveFloat | dict[str, PositiveFloat]] = Field(min_length=1)
    shortage: Literal["refill", "shrink"] = "refill"
    max_epochs: dict[str, PositiveFloat] | PositiveFloat = 1.0
    total: Literal["max"] | Tokens = "max"
    force: bool = False
    sample: Steps | None = None
    rehydrate: Steps | None = None
    schedule: tuple[SchedulePhase, ...] = Field((), strict=False)

    @field_validator("shares")
    @classmethod
    def _parts(cls, shares: dict[str, float | dict[str, float]], info: ValidationInfo) -> dict[str, float | dict[str, float]]:
        for domain, share in shares.items():
            if isinstance(share, dict) and not share:
                raise ValueError(f"{domain} has no parts; give it a share, or name its sub-domains")
            for name in (domain, *(share if isinstance(share, dict) else ())):
                if not name or "/" in name:
                    raise ValueError(f"'{name}' cannot be the name of a slice: `/` stands between a domain and its part in the report")
        total = sum(sum(s.values()) if isinstance(s, dict) else s for s in shares.values())
        if abs(total - 1) > 1e-6 and not info.data.get("normalise"):
            raise ValueError(f"the shares sum to {total:.6g}, not to 1; {'take away' if total > 1 else 'add'} {abs(total - 1):.6g}, or say `normalise: true`")
        return shares

    @model_validator(mode="after")
    def _fits(self) -> Self:
        known = {*self.shares, *(f"{d}/{p}" for d in self.shares for p in self.parts(d))}
        for name in self.max_epochs if isinstance(self.max_epochs, dict) else ():
            if name not in known:
                raise ValueError(f"max_epochs names '{name}', which has no share{meant(name, known)}")
        if self.unit not in ("tokens", "bytes", *self.also_count):
            options = ("tokens", "bytes", *self.also_count)
            raise ValueError(f"the unit '{self.unit}' is not one of {', '.join(options)}{meant(self.unit, options)}; `also_count` adds other tokenizers")
        if self.force and self.total == "max":
            raise ValueError("`force` repeats documents beyond max_epochs until `total` is reached, so it needs a number as `total`")
        selections: dict[str, Any] = {}
        for phase in self.schedule:
            for name, some in phase.slices.items():
                if selections.setdefault(name, some.selection()) != some.selection():
                    raise ValueError(f"the schedule's slice '{name}' selects one thing in one phase and another in {phase.name}; give one of them another name")
        return self

    def domains(self) -> dict[str, float]:
        """The share of each domain; they sum to 1."""
        plain = {d: math.fsum(s.values()) if isinstance(s, dict) else s for d, s in self.shares.items()}
        total = math.fsum(plain.values())
        return {d: s / total for d, s in plain.items()}

    def parts(self, domain: str) -> dict[str, float]:
        """The shares of a domain's parts within it; they sum to 1. Empty where it has none."""
        given = self.shares[domain]
        return {p: s / math.fsum(given.values()) for p, s in given.items()} if isinstance(given, dict) else {}

    def epochs_of(self, name: str) -> float:
        """How often a document of a slice may be used: as said for the slice, else for its domain, else once."""
        if not isinstance(self.max_epochs, dict):
            return self.max_epochs
        return self.max_epochs.get(name, self.max_epochs.get(name.partition("/")[0], 1.0))

    @property
    def unit_name(self) -> str:
        """What a release's tables call the unit."""
        return self.unit if self.unit in ("tokens", "bytes") else f"tokens_{self.unit}"

    @property
    def size_column(self) -> str:
        """The column of a release that shares are counted in."""
        return {"tokens": "token_count", "bytes": "text_bytes"}.get(self.unit, f"token_count_{self.unit}")


class ReleaseSettings(Settings):
    """How the corpus is written."""

    shard_size: Bytes = 512_000_000
    row_group_size: Bytes = 32_000_000
    removed: Annotated[float, Field(ge=0, le=1)] = 0.01
    removed_documents: Annotated[int, Field(ge=0)] = 20
    signatures: bool = True
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.001
    validation_documents: Annotated[int, Field(ge=0)] = 20
    tombstones: Names = ()  # files of what was taken down, as `takedown` writes them

    @field_validator("tombstones")
    @classmethod
    def _readable(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        try:
            read_tombstones(files)
        except PlanError as error:
            raise ValueError(str(error)) from None
        return files

    @field_serializer("tombstones", when_used="json")
    def _told(self, files: tuple[str, ...]) -> list[str]:
        """Names and what they say: where they lie is nobody's business."""
        return [f"{Path(file).name} {read_tombstones([file]).print}" for file in files]


class Recipe(Settings):
    """One corpus: sources, stages in order, mix and release. What it says bears identity; what it does not say must not change a byte.

    `extends: NAME|PATH` takes every top-level key that a recipe does not have from another.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
    seed: int = 0
    policy: str | None = None
    sources: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], SourceSettings] = Field(min_length=1)
    stages: tuple[Stage, ...]
    mix: Mix
    release: ReleaseSettings = ReleaseSettings()

    @classmethod
    def load(cls, path: str | Path, inputs: Mapping[str, str] | None = None) -> "Recipe":
        """Read a recipe: a path, or the bare name of one that ships (`skypile`). `inputs` replaces the files of sources by name.

        Raises RecipeError with file, line, path, reason and remedy.
        """
        name, text = _find(path)
        return _load(name, text, dict(inputs or {}))

    def dump(self) -> dict[str, Any]:
        """The resolved recipe, defaults filled in, as plain values."""
        plain = self.model_dump(mode="json", by_alias=True, exclude={"stages"})
        plain["stages"] = [{stage.stage: stage.model_dump(mode="json", by_alias=True, exclude_none=True)} for stage in self.stages]
        return plain


# --- finding and reading --------------------------------------------------------------------------------------------------


def _find(path: str | Path) -> tuple[str, str]:
    file = Path(path)
    if not file.suffix and not file.is_file() and len(file.parts) == 1:  # a bare name: one that ships
        shipped = importlib.resources.files("recipes")
        try:
            return f"{file}.yaml", shipped.joinpath(f"{file}.yaml").read_text(encoding="utf-8")
        except FileNotFoundError:
            names = sorted(p.name.removesuffix(".yaml") for p in shipped.iterdir() if p.name.endswith(".yaml"))
            raise RecipeError(
                f"There is no recipe '{path}'{meant(str(path), names)}. Recipes that ship: {', '.join(names)}; or give the path of a YAML file."
            ) from None
    try:
        return str(path), file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"The recipe {path} does not exist (looked in {Path.cwd()}). A bare name, such as `skypile`, finds the recipes that ship.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error}.") from error


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema; duplicate keys refused."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in [
    ("bool", r"true|false|True|False|TRUE|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
    ("merge", r"<<", "<"),
]:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), [c for c in _first if c != "\0"] + ([""] if "\0" in _first else [])
    )
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(str(loader.construct_scalar(node)).replace("_", "")))  # type: ignore[arg-type]  # a scalar, by its tag


class _Positions(dict[tuple[Hashable, ...], str]):
    """Path in the document -> file and line (from 1)."""

    def line(self, path: tuple[Hashable, ...]) -> str:
        while path and path not in self:
            path = path[:-1]
        return self[path]


def _positions(node: yaml.Node, name: str, path: tuple[Hashable, ...] = (), out: _Positions | None = None) -> _Positions:
    out = _Positions() if out is None else out
    out.setdefault(path, f"{name}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise RecipeError(
                    f"{name}:{line}: {_dotted((*path, key.value))}: this key stands twice, first in line {seen[key.value]}; YAML would keep only the last. Remove one."
                )
            seen[key.value] = line
            out[(*path, key.value)] = f"{name}:{line}"
            _positions(value, name, (*path, key.value), out)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _positions(item, name, (*path, i), out)
    return out


def _dotted(path: tuple[Any, ...]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "the recipe"


def meant(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, [str(k) for k in known], n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _parsed(name: str, text: str, seen: tuple[str, ...] = ()) -> tuple[dict[str, Any], _Positions]:
    """A recipe's keys as they stand, those of the recipe that it `extends` where it has none of its own, and where they stand."""
    try:
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RecipeError(
            f"{name}:{mark.line + 1 if mark else 1}: this is not valid YAML: {error.problem or error.context}. Mind the indentation, and quote text that holds ': ' or begins with a special sign."
        ) from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}:1: this is not valid YAML: {error}") from None
    if not isinstance(node, yaml.MappingNode):
        raise RecipeError(
            f"{name}:1: a recipe is a mapping with name, version, sources, stages and mix; this file holds {'nothing' if node is None else 'something else'}."
        )
    where = _positions(node, name)
    try:
        raw = _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RecipeError(f"{name}:{mark.line + 1 if mark else 1}: {error.problem or error.context}.") from None
    base = raw.pop("extends", None)
    if base is None:
        return raw, where
    if not isinstance(base, str):
        raise RecipeError(f"{where.line(('extends',))}: extends: name one recipe, by its path or, if it ships, its bare name")
    found, inside = _find(Path(name).parent / base if Path(base).suffix else base)
    if found in (*seen, name):
        raise RecipeError(f"{where.line(('extends',))}: extends: recipes extend one another in a circle: {' -> '.join([*seen, name, found])}")
    inherited, there = _parsed(found, inside, (*seen, name))
    for path, line in there.items():
        if path and path[0] not in raw:
            where[path] = line
    return {**inherited, **raw}, where


def _load(name: str, text: str, inputs: dict[str, str]) -> Recipe:
    raw, where = _parsed(name, text)

    def fault(path: tuple[Any, ...], reason: str) -> RecipeError:
        return RecipeError(f"{where.line(path)}: {_dotted(path)}: {reason}")

    declared: Any = raw.get("sources")
    for source, files in inputs.items() if isinstance(declared, dict) else ():  # else the check below says what is wrong with them
        if source not in declared:
            raise RecipeError(
                f"--input {source}=…: the recipe {name} has no source '{source}'{meant(source, declared)}; its sources are {', '.join(declared)}."
            )
        if isinstance(declared[source], dict):
            declared[source]["files"] = files.split(",") if isinstance(files, str) else files
    stages = raw.get("stages")
    if not isinstance(stages, list):
        raise fault(("stages",), "the stages are a list, each item one stage: `- filter: {…}`")
    parsed = [_stage(item, i, fault) for i, item in enumerate(stages)]
    try:
        recipe = Recipe.model_validate({**raw, "stages": ()})
    except ValidationError as error:
        raise _first_fault(error, Recipe, raw, (), fault) from None
    recipe = recipe.model_copy(update={"stages": tuple(parsed)})
    _check_whole(recipe, fault)
    return recipe


def read_settings(model: type[AnySettings], name: str, text: str) -> tuple[AnySettings, Callable[[tuple[Any, ...], str], RecipeError]]:
    """Settings of any kind out of YAML, read as recipes are; and what makes of a path in them and a reason an error that names file and line.

    Raises RecipeError with file, line, path, reason and remedy.
    """
    raw, where = _parsed(name, text)

    def fault(path: tuple[Any, ...], reason: str) -> RecipeError:
        return RecipeError(f"{where.line(path)}: {_dotted(path)}: {reason}")

    try:
        return model.model_validate(raw), fault
    except ValidationError as error:
        raise _first_fault(error, model, raw, (), fault) from None


def _stage(item: Any, i: int, fault: Any) -> Stage:
    path: tuple[Any, ...] = ("stages", i)
    if isinstance(item, str):
        item = {item: None}
    if not isinstance(item, dict) or len(item) != 1:
        raise fault(path, "a stage is one name with its settings, such as `- normalize: {unicode: NFC}`")
    ((kind, settings),) = item.items()
    if kind not in STAGES:
        raise fault(path, f"unknown stage '{kind}'{meant(str(kind), STAGES)}; known are {', '.join(STAGES)}")
    try:
        return STAGES[kind].model_validate({} if settings is None else settings)
    except ValidationError as error:
        raise _first_fault(error, STAGES[kind], settings, (*path, kind), fault) from None


def _first_fault(error: ValidationError, model: type[Settings], raw: Any, path: tuple[Any, ...], fault: Any) -> RecipeError:
    """One fault at a time, the first in the order of the fields: later ones are often its consequences."""
    first = error.errors()[0]
    place = [
        p for p in first["loc"] if not (isinstance(p, str) and (p in ("[key]",) or p.startswith(("function-", "literal[", "constrained-", "dict[", "tuple["))))
    ]
    while place and not _present(raw, place[:-1]):  # a name of pydantic's own, of a union's branch
        place.pop()
    kind, value = first["type"], first.get("input")
    at = _model_at(model, place[:-1])
    names = [field.alias or n for n, field in at.model_fields.items()] if at else []
    if kind == "extra_forbidden":
        reason = f"unknown setting{meant(str(place[-1]), names)}" + (f"; known are {', '.join(names)}" if names else "")
    elif kind == "missing":
        reason = "this setting is needed" + (" and has no default" if place else "")
    elif kind.startswith("value_error"):
        reason = str(first["msg"]).removeprefix("Value error, ")
    elif kind == "string_type" and isinstance(value, (int, float)):
        reason = f'{value!r} is a number here, and must be text: put it in quotes, as in "{value}" (YAML reads 2026.10 as 2026.1)'
    elif kind == "bool_type":
        reason = f"{value!r} is not true or false (YAML 1.2 knows only those two words)"
    elif kind in ("float_type", "int_type", "float_parsing", "int_parsing"):
        reason = f"{value!r} is not a {'whole ' if kind.startswith('int') else ''}number"
    elif kind == "literal_error":
        options = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        reason = f"{value!r} is not one of {', '.join(options)}{meant(str(value), options)}"
    else:
        reason = f"{first['msg'][0].lower()}{first['msg'][1:]}" + (f" (it is {value!r})" if isinstance(value, (str, int, float)) else "")
    return fault((*path, *place), reason)


def _present(raw: Any, place: list[Any]) -> bool:
    for p in place:
        try:
            raw = raw[p]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _model_at(model: type[Settings], place: list[Any]) -> type[Settings] | None:
    """The settings class that stands at a path, for the names that would have been right there."""
    annotation: Any = model
    for p in place:
        if getattr(annotation, "__origin__", None) is dict:
            annotation = annotation.__args__[1]
            continue
        here = _settings_in(annotation)
        field = next((f for n, f in here.model_fields.items() if p in (n, f.alias)), None) if here else None
        if field is None:
            return None
        annotation = field.annotation
    return None if getattr(annotation, "__origin__", None) is dict else _settings_in(annotation)


def _settings_in(annotation: Any) -> type[Settings] | None:
    return next((t for t in _types(annotation) if isinstance(t, type) and issubclass(t, Settings)), None)


def _types(annotation: Any) -> list[Any]:
    inner = getattr(annotation, "__args__", None)
    return [t for a in inner for t in _types(a)] if inner else [annotation]


# --- what only the whole can tell -----------------------------------------------------------------------------------------


def _check_whole(recipe: Recipe, fault: Any) -> None:
    added: dict[str, int] = {}
    seen: dict[str, int] = {}
    languages = any(isinstance(s, Language) for s in recipe.stages)
    columns = _TAKEN | set(MEASURES) | (set() if languages else set(Language.adds))
    texts = set(TEXT_COLUMNS)
    later = _later(recipe)
    judged = False
    for i, stage in enumerate(recipe.stages):
        path: tuple[Any, ...] = ("stages", i, stage.stage)
        name = label(stage)
        if stage.scope in ("verdict", "round"):
            if name in seen or name in ("source", "mix", "takedown"):
                other = f"stages[{seen[name]}] has it too" if name in seen else "the ledger uses it itself"
                raise fault(path, f"the name '{name}' is taken: {other}, and the ledger could not tell them apart. Give this one another name")
            seen[name] = i
        _check_for(recipe, stage.where, (*path, "for"), fault)
        _check_for(recipe, stage.unless, (*path, "unless"), fault)
        if stage.scope == "text":
            if judged:
                raise fault(path, f"`{stage.stage}` rewrites text, so it stands before `language`, filters and rounds; move it up")
            if any(some and set(some.columns()) - {"source"} for some in (stage.where, stage.unless)):
                raise fault((*path, "for"), f"`{stage.stage}` runs before domains are known; only `source` can be named here")
        else:
            judged = True
        if isinstance(stage, Language) and any(isinstance(s, Language) for s in recipe.stages[:i]):
            raise fault(path, "there is a `language` stage already; one identifies all documents that it is meant for, so widen its `for:`")
        if isinstance(stage, Filter):
            for column in stage.bounds:
                _check_column(stage, column, (*path, "bounds", column), added, texts, later, fault)
        if isinstance(stage, Pack) and i != len(recipe.stages) - 1:
            raise fault(path, "`pack` makes one document of a repository's files, which no later stage could judge by themselves; move it to the end")
        if isinstance(stage, Score) and not any(isinstance(s, Deduplicate) and s.by == "id" for s in recipe.stages[:i]):
            raise fault(path, "models judge survivors: `score` stands after `- deduplicate: {by: id}`; move it down")
        try:
            fields = stage.added()
            stage.identity()
        except ModelError as error:
            raise fault((*path, "file" if isinstance(stage, OptOut) else "columns"), str(error)) from None
        for field in fields:
            if field.name in columns:
                raise fault((*path, "columns"), f"the column '{field.name}' is there already; give this one another name")
            columns.add(field.name)
            if not pa.types.is_string(field.type):
                added[field.name] = i
            else:
                texts.add(field.name)
    for name, source in recipe.sources.items():
        if source.reader == "warc" and not any(s.stage == "extract" and s.reaches(name) for s in recipe.stages):
            raise fault(
                ("sources", name),
                "its records are HTML, and no `extract` stage applies to it; add `- extract: {for: {source: " + name + "}}` as the first stage",
            )
        if source.domain is None and "domain" not in source.columns and not any(isinstance(s, Language) for s in recipe.stages):
            raise fault(("sources", name), "its domain is not known: declare `domain:`, map a column to it, or add a `language` stage")
    _check_mix(recipe, set(added), fault)
    rounds = [(i, s) for i, s in enumerate(recipe.stages) if s.scope == "round"]
    if not rounds or not (isinstance(rounds[0][1], Deduplicate) and rounds[0][1].by == "id" and rounds[0][1].where is None and rounds[0][1].unless is None):
        where = ("stages", rounds[0][0]) if rounds else ("stages",)
        raise fault(
            where, "rows of a release are unique, so `- deduplicate: {by: id}`, for all documents, must be the first of the stages that compare documents"
        )


def _check_mix(recipe: Recipe, added: set[str], fault: Any) -> None:
    mix = recipe.mix
    clustered = any(isinstance(stage, Deduplicate) and stage.by == "minhash" for stage in recipe.stages)
    numbers = added | ({"cluster_size"} if clustered else set())
    for key, by in (("sample", mix.sample), ("rehydrate", mix.rehydrate)):
        if by is not None and by.by not in numbers:
            raise fault(
                ("mix", key, "by"), f"'{by.by}' is no number that a stage of this recipe adds{meant(by.by, numbers)}; there are {', '.join(sorted(numbers))}"
            )
    if mix.rehydrate is not None and not mix.force and all(mix.epochs_of(name) <= 1 for d in mix.shares for name in (d, *(f"{d}/{p}" for p in mix.parts(d)))):
        raise fault(("mix", "rehydrate"), "it does nothing where no document may be used twice; raise `max_epochs`, which is the most that any is used")
    columns = added | {field.name for field in RELEASE if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)}
    for i, phase in enumerate(mix.schedule):
        for name, some in phase.slices.items():
            for domain in some.domain or ():
                if domain not in mix.shares:
                    raise fault(("mix", "schedule", i, "slices", name, "domain"), f"'{domain}' has no share in this mix{meant(domain, mix.shares)}")
            for column in some.bounds:
                if column not in columns:
                    raise fault(("mix", "schedule", i, "slices", name, "bounds", column), f"'{column}' is no number that a release has{meant(column, columns)}")
    for name, model in {"tokenizer": mix.tokenizer, **mix.also_count}.items():
        try:
            found = open_model(model if "/" in model else f"bundled:{model}")
            if "/" in model:
                Bpe.read(Path(found.path).read_bytes())  # what could not be counted exactly is refused before the first document
        except ModelError as error:
            raise fault(("mix", "also_count", name) if name in mix.also_count else ("mix", "tokenizer"), str(error)) from None


# Columns of a document, of a release, and of rows on their way: no classifier may use their names.
_TAKEN = {*DOCUMENT.names, *RELEASE.names, "split", "unit", "row", "hash", "slice", "html"} - set(Language.adds)


def _later(recipe: Recipe) -> dict[str, str]:
    """Every column that some stage adds -> the stage's kind."""
    found: dict[str, str] = {}
    for stage in recipe.stages:
        with contextlib.suppress(ModelError):  # told of where its stage is checked
            found.update({field.name: stage.stage for field in stage.added()})
    return found


def _check_for(recipe: Recipe, where: For | None, path: tuple[Any, ...], fault: Any) -> None:
    if where is None:
        return
    for name in where.source or ():
        if name not in recipe.sources:
            raise fault((*path, "source"), f"there is no source '{name}'{meant(name, recipe.sources)}; the sources are {', '.join(recipe.sources)}")
    domains = set(recipe.mix.shares) | {s.domain for s in recipe.sources.values() if s.domain} | {"en", "zh", "other"}
    mapped = any("domain" in s.columns for s in recipe.sources.values())
    for name in where.domain or ():
        if name not in domains and not mapped:
            raise fault((*path, "domain"), f"no document will have the domain '{name}'{meant(name, domains)}; domains here are {', '.join(sorted(domains))}")


def _check_column(stage: Filter, column: str, path: tuple[Any, ...], added: dict[str, int], texts: set[str], later: dict[str, str], fault: Any) -> None:
    if column in MEASURES:
        nullable = MEASURES[column].nullable
    elif column in added:
        nullable = True  # a model's columns are null where its stage did not apply
    elif column in texts:
        raise fault(path, f"'{column}' holds words, and a bound compares numbers; numbers here are {', '.join(sorted(added)) or 'none'}")
    elif column in known_columns() or column in later:
        stage_name = later.get(column) or next(n for n, s in STAGES.items() if column in s.adds)
        raise fault(path, f"'{column}' is a column that the stage `{stage_name}` adds, and none stands before this filter")
    else:
        raise fault(path, f"unknown measure '{column}'{meant(column, known_columns() | set(added))}; `python -m pipeline measures` lists them")
    if nullable and stage.where is None and stage.missing is None:
        raise fault(
            path,
            f"'{column}' is null for some documents; say which are meant with `for:`, or what becomes of the others with `missing: keep` or `missing: drop`",
        )
