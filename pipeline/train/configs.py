"""What is trained and how: shapes of models, settings of a run, and the named ones. Numbers only; nothing here imports torch."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError
from pydantic.dataclasses import dataclass

from pipeline.errors import PlanError

_STRICT = ConfigDict(strict=True, extra="forbid")
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config=_STRICT)
class Shape:
    """A decoder of the LLaMA family (Touvron et al. 2023), pre-norm, with untied embeddings."""

    layers: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    hidden: PositiveInt  # of the feed-forward layer; SwiGLU has three matrices of width x hidden
    kv_heads: NonNegativeInt = 0  # grouped-query attention (Ainslie et al. 2023); 0: as many as heads
    qk_norm: bool = False  # RMSNorm of each head's queries and keys (Dehghani et al. 2023)
    vocabulary: PositiveInt = 65_536
    rope_theta: PositiveFloat = 10_000.0
    norm_epsilon: PositiveFloat = 1e-6
    init_std: PositiveFloat = 0.02

    def __post_init__(self) -> None:
        if self.width % self.heads or self.heads % self.key_heads or self.head_width % 2:
            raise PlanError(f"A width of {self.width} does not part into {self.heads} heads over {self.key_heads} of keys, each of an even width.")

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def key_heads(self) -> int:
        return self.kv_heads or self.heads

    @property
    def block_parameters(self) -> int:
        """Parameters that are no embedding: matrices of all layers, and norms."""
        attention = 2 * self.width * self.head_width * (self.heads + self.key_heads)
        norms = 2 * self.width + (2 * self.head_width if self.qk_norm else 0)
        return self.layers * (attention + 3 * self.width * self.hidden + norms) + self.width

    @property
    def parameters(self) -> int:
        """All of them, both embeddings included."""
        return self.block_parameters + 2 * self.vocabulary * self.width

    def flops_per_token(self, length: int) -> float:
        """Floating-point operations of forward and backward, for MFU: 6 a parameter that is multiplied with, and attention over half of `length`
        (causal). PaLM, Chowdhery et al. 2022, appendix B, which counts all of `length`."""
        return 6 * (self.block_parameters + self.vocabulary * self.width) + 6 * self.layers * self.width * length


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """A run. What bears identity is `identity`; how many processes share the work does not stand here."""

    shape: Shape
    name: str = "custom"
    steps: NonNegativeInt = 0  # 0: as many as the release's schedule has tokens for, `epochs` times
    epochs: PositiveFloat = 1.0
    batch_tokens: PositiveInt = 16_384
    sequence_length: PositiveInt = 256
    rows_at_once: NonNegativeInt = 0  # rows of a batch in one forward pass of one process; 0: all of them
    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: PositiveFloat = 3e-3  # Muon's is scaled to AdamW's root mean square (Liu et al. 2025), so that one number serves both
    embedding_learning_rate: PositiveFloat = 3e-3  # of embeddings, head and norms
    rate: Literal["phases", "wsd"] = "phases"  # see schedule.rate_at
    warmup: Share = 0.05  # share of the first phase (phases) or of the run (wsd)
    decay: Share = 0.2  # share of the run that the rate falls in (wsd)
    final_rate: Share = 0.1  # what it falls to, as a share of its peak
    momentum: Share = 0.95
    betas: tuple[Share, Share] = (0.9, 0.95)
    weight_decay: NonNegativeFloat = 0.1
    clip: PositiveFloat = 1.0
    seed: NonNegativeInt = 20231030
    checkpoint_every: NonNegativeInt = 0  # steps; 0: five times a run
    keep_checkpoints: PositiveInt = 2
    validate_tokens: PositiveInt = 65_536  # of every domain of the release's own validation set, at every checkpoint
    compile: bool = True  # on a GPU

    def __post_init__(self) -> None:
        if self.batch_tokens % self.sequence_length:
            raise PlanError(f"A batch of {self.batch_tokens:,} tokens is no whole number of rows of {self.sequence_length:,}.")

    @property
    def rows(self) -> int:
        """Rows of a batch."""
        return self.batch_tokens // self.sequence_length

    @property
    def identity(self) -> dict[str, Any]:
        """What the parameters that come out depend on: all but what is shown and kept on the way."""
        return {k: v for k, v in self.plain().items() if k not in ("name", "checkpoint_every", "keep_checkpoints", "validate_tokens", "compile")}

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "betas": list(self.betas)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Settings":
        """From what `plain` gave."""
        return cls(**{**plain, "shape": Shape(**plain["shape"]), "betas": tuple(plain["betas"])})


def _settings(name: str, layers: int, width: int, heads: int, hidden: int, *, shape: Mapping[str, Any] = {}, **more: Any) -> Settings:
    return Settings(Shape(layers, width, heads, hidden, **{"qk_norm": True, **shape}), name, **more)


# Named after their parameters without embeddings. Learning rates fall with size as DataDecide's do (2025) but are not tuned; Skywork-13B's is the report's.
CONFIGS: dict[str, Settings] = {
    "tiny": _settings("tiny", 5, 128, 4, 352, steps=80, batch_tokens=2_048, sequence_length=256, validate_tokens=4_096, learning_rate=1e-2, embedding_learning_rate=1e-2),
    "4m": _settings("4m", 7, 224, 7, 608, batch_tokens=8_192, sequence_length=256, learning_rate=8e-3, embedding_learning_rate=8e-3),
    "10m": _settings("10m", 8, 320, 5, 864, batch_tokens=32_768, sequence_length=512, learning_rate=5e-3, embedding_learning_rate=5e-3),
    "50m": _settings("50m", 10, 640, 5, 1_792, batch_tokens=262_144, sequence_length=1_024, learning_rate=3e-3, rows_at_once=128),
    "124m": _settings("124m", 18, 768, 6, 2_048, batch_tokens=524_288, sequence_length=2_048, learning_rate=3e-3, rows_at_once=64),
    "350m": _settings("350m", 28, 1_024, 8, 2_752, batch_tokens=524_288, sequence_length=2_048, learning_rate=2e-3, rows_at_once=16),
    "1b": _settings("1b", 20, 2_048, 16, 5_504, batch_tokens=1_048_576, sequence_length=2_048, learning_rate=1e-3, rows_at_once=8),
    # Skywork-13B as its report has it (Wei et al. 2023, tables 3 and 4): 13.85 B parameters, batches of 16.8 M tokens.
    "skywork-13b": _settings(
        "skywork-13b", 52, 4_608, 36, 12_288, shape={"qk_norm": False, "init_std": 0.01}, batch_tokens=16_777_216, sequence_length=4_096, rows_at_once=1,
        optimizer="adamw", learning_rate=6e-4, embedding_learning_rate=6e-4,
    ),
}  # fmt: skip


def parsed(items: Iterable[str]) -> dict[str, Any]:
    """Settings as a command line has them, NAME=VALUE each: JSON where it is some (1e-3 is a number to JSON, and none to YAML), else a word."""
    found: dict[str, Any] = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not sign:
            raise PlanError(f"--set {item}: write NAME=VALUE, such as --set steps=200.")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def settings(name: str, **changes: Any) -> Settings:
    """A named configuration, with some settings (or, by its fields' names, of its shape) changed. PlanError for a name that is unknown.

    >>> settings("tiny", steps=10, layers=2).shape.layers
    2
    """
    if name not in CONFIGS:
        raise PlanError(f"There is no configuration '{name}'. There are: {', '.join(CONFIGS)}.")
    of_shape = {f.name for f in fields(Shape)}
    known = of_shape | {f.name for f in fields(Settings)}
    if unknown := sorted(changes.keys() - known | changes.keys() & {"shape", "name"}):
        raise PlanError(f"'{unknown[0]}' is no setting of training. There are: {', '.join(sorted(known - {'shape', 'name'}))}.")
    base = CONFIGS[name]
    try:
        shape = replace(base.shape, **{k: v for k, v in changes.items() if k in of_shape})
        others: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in changes.items() if k not in of_shape}
        return replace(base, shape=shape, **others)
    except ValidationError as error:
        first = error.errors()[0]
        raise PlanError(f"The setting {'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}.") from None
