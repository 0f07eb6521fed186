"""What an ablation compares, as a YAML file says it: variants of one recipe, a training, validation sets. Nothing is carried out here.

Strict as recipes are: what is unknown is refused with file, line, path and remedy.
"""

import importlib.resources
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, PrivateAttr, model_validator

from pipeline.errors import PipelineError, PlanError, RecipeError
from pipeline.recipe import Recipe, SchedulePhase, Tokens, meant, read_settings
from pipeline.stages import Names, Settings

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


class Variant(Settings):
    """An arm: the recipe, or another arm (`of`), with some of it changed. One that changes nothing is the recipe as it is.

    `without`: filters and rounds that are off, by their names in the ledger; `all` of those that judge quality leaves what is extracted, in a language of the
    mix, of other id and URL, and may be used. `as_many_as`: documents by chance of those that `of` is drawn from, as many tokens of each slice as another arm has.
    `datatrove`: what its FineWeb filters keep of the English web pages of `of`. `against`: the arm that it is compared with; the baseline if none is named.
    """

    of: str | None = None
    without: Names = ()
    as_many_as: str | None = None
    datatrove: Literal["fineweb"] | None = None
    schedule: tuple[SchedulePhase, ...] | None = Field(default=None, strict=False)
    against: str | None = None

    @model_validator(mode="after")
    def _from_something(self) -> Self:
        for key in ("as_many_as", "datatrove"):
            if getattr(self, key) is not None and self.of is None:
                raise ValueError(f"{key} needs `of:`, the variant whose documents are chosen from, such as `of: raw`")
        if self.datatrove and (self.without or self.as_many_as):
            raise ValueError("datatrove judges the documents of `of:` as they are; give `without` or `as_many_as` to a variant of its own")
        return self


class Mixture(Settings):
    """What all arms' mixes have instead of the recipe's own: with the same shares everywhere, what is compared is documents and not the mix."""

    shares: dict[str, PositiveFloat | dict[str, PositiveFloat]] | None = None
    normalise: bool | None = None
    max_epochs: dict[str, PositiveFloat] | PositiveFloat | None = None
    total: Literal["max"] | Tokens | None = None


class Training(Settings):
    """The model that every arm trains, by so many steps, once for each learning rate and seed. `settings` changes others of the configuration.

    Two rates, since tiny models rank data otherwise at a tuned one than at a small one (arXiv 2512.24503), and three seeds, since one says nothing of chance.
    """

    config: str
    steps: PositiveInt
    learning_rates: tuple[PositiveFloat, ...] = Field(strict=False, min_length=1)
    seeds: tuple[int, ...] = Field((1, 2, 3), strict=False, min_length=1)
    settings: dict[str, bool | int | float | str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _once(self) -> Self:
        for key in ("learning_rates", "seeds"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                raise ValueError(f"{key} names one twice, and a trial that is repeated gives the same again")
        for key in ("steps", "learning_rate", "seed"):
            if key in self.settings:
                raise ValueError(f"{key} has a place of its own here: `{key if key == 'steps' else key + 's'}:`")
        return self


class Evaluation(Settings):
    """Validation sets by name, JSON lines with a `text`, that no arm was made of. `groups`: means over some of them, shown beside them, that count for no verdict."""

    sets: dict[Name, Names] = Field(default_factory=dict)
    documents: PositiveInt = 200
    max_bytes: PositiveInt = 2048
    groups: dict[Name, Names] = Field(default_factory=dict)


class Spec(Settings):
    """An ablation. `each_filter_off` adds an arm `no_NAME` for every filter of the recipe (or those named), compared with the arm that changes nothing."""

    name: Name
    recipe: str
    baseline: str
    variants: dict[Name, Variant] = Field(min_length=1)
    each_filter_off: bool | Names = False
    mixture: Mixture = Mixture()
    train: Training
    evaluate: Evaluation = Evaluation()
    _fault: Callable[[tuple[Any, ...], str], RecipeError] | None = PrivateAttr(None)
    _folder: Path = PrivateAttr(Path())

    @classmethod
    def load(cls, path: str | Path) -> "Spec":
        """Read an ablation's file: a path, or the bare name of one that ships (`filters`). RecipeError with file, line, path, reason and remedy."""
        file: Any = Path(path)
        if not file.suffix and not file.is_file() and len(file.parts) == 1:
            file = importlib.resources.files("recipes").joinpath(f"ablations/{path}.yaml")
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"The ablation {path} cannot be read: {error}. Give a YAML file, or the name of one that ships: filters, stem.") from error
        spec, fault = read_settings(cls, str(path), text)
        spec._fault, spec._folder = fault, Path(path).parent
        spec.check()
        return spec

    def fault(self, path: tuple[Any, ...], reason: str) -> PipelineError:
        """What is wrong at a place of the file."""
        return self._fault(path, reason) if self._fault else PlanError(f"{self.name}: {'.'.join(map(str, path))}: {reason}")

    @property
    def plain(self) -> str | None:
        """The arm that changes nothing."""
        return next((name for name, v in self.variants.items() if v == Variant(against=v.against)), None)

    def check(self) -> None:
        """Whether all names are of something, and no arm is made of itself."""
        if self.each_filter_off and self.plain is None:
            raise self.fault(("each_filter_off",), "it compares with the recipe as it is, and no variant is that: add `ours: {}`")
        for key, name in (("baseline", self.baseline), *((k, getattr(v, k)) for v in self.variants.values() for k in ("of", "as_many_as", "against"))):
            if name is not None and name not in self.variants:
                arm = next((n for n, v in self.variants.items() if getattr(v, key, None) == name), None)
                raise self.fault(
                    (key,) if arm is None else ("variants", arm, key),
                    f"there is no variant '{name}'{meant(name, self.variants)}; there are {', '.join(self.variants)}",
                )
        self.order()
        for group, names in self.evaluate.groups.items():
            if group in self.evaluate.sets:
                raise self.fault(("evaluate", "groups", group), "a set has this name too; give the group another one")
            for name in names if self.evaluate.sets else ():
                if name not in self.evaluate.sets:
                    raise self.fault(("evaluate", "groups", group), f"there is no set '{name}'{meant(name, self.evaluate.sets)}")

    def order(self) -> list[str]:
        """The arms, each behind those that it is made of."""
        found: list[str] = []

        def add(name: str, above: tuple[str, ...]) -> None:
            if name in above:
                raise self.fault(("variants", name), f"it is made of itself: {' -> '.join([*above[above.index(name) :], name])}")
            for other in (self.variants[name].of, self.variants[name].as_many_as):
                if other is not None:
                    add(other, (*above, name))
            if name not in found:
                found.append(name)

        for name in self.variants:
            add(name, ())
        return found

    def base(self, inputs: Mapping[str, str] | None = None) -> Recipe:
        """The recipe that the arms are made of. A path is looked for from this file's folder, then from here; a bare name among those that ship."""
        beside = self._folder / self.recipe
        return Recipe.load(beside if Path(self.recipe).suffix and beside.is_file() else self.recipe, inputs)
