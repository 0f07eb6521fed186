"""Texts to train and to measure on, read from the shared data folder, with what their licences allow.

Nothing is copied into the project. Every set is named here once, with its use: `train` may teach what ships, `test` may not. Reading a
`test` set for training raises, so that a card's list of sources cannot be wrong. Held-out parts are drawn by a hash of a row's key.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import zstandard

from pipeline.errors import SourceError

Use = Literal["train", "test"]

# Sets that may teach what ships: permissive, public domain or share-alike (MANIFEST.md says which; the cards repeat it with attribution).
TRAIN = (
    "text_train/*",
    "text/dclm_human_quality_en",
    "text/digitalgov_en",
    "text/cmrc2018_wiki_zhhans",
    "text/drcd_wiki_zhhant",
    "text/laws_zh",
    "text/oiwiki_zh",
    "text/rust_blog_en",
    "text/us_speeches_en",
    "text/wikitext2_en",
    "text/classic_novels_zh",
    "toxicity/cold_zh",
    "toxicity/vicomtech_whiteforum_en",
    "langid/tatoeba",
    "langid/lingua_sentences",
)


# Prose under permissive licences, source by source.
PROSE = (
    "text_train/en-classic-books",
    "text_train/en-docs-news-textbook",
    "text_train/en-gov",
    "text_train/en-novel",
    "text_train/en-transcripts",
    "text_train/zh-classical",
    "text_train/zh-docs-infra",
    "text_train/zh-docs-language",
    "text_train/zh-gov-laws",
    "text_train/zh-novel",
    "text_train/zh-poetry",
    "text_train/zh-textbook-qa",
)


@dataclass(frozen=True)
class Row:
    """One text of a set: its place (`set#number`), its language, and every other field as the set has it."""

    set: str
    number: int
    text: str
    lang: str
    fields: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.set}#{self.number}"


def root() -> Path:
    """The folder of shared data: $SKYPILE_DATA, else `../shared/data` beside the checkout. SourceError where there is none."""
    place = Path(os.environ.get("SKYPILE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (place / "MANIFEST.md").exists():
        raise SourceError(f"There is no training data at {place}. Set SKYPILE_DATA to the folder that holds MANIFEST.md.")
    return place


def may_train(name: str) -> bool:
    """Whether a set's licence lets it teach what ships."""
    return name in TRAIN or any(t.endswith("/*") and name.startswith(t[:-1]) for t in TRAIN)


def rows(name: str, use: Use) -> Iterator[Row]:
    """The rows of `folder/set`, in the file's order. SourceError where the set may not be used so, or is not there."""
    if use == "train" and not may_train(name):
        raise SourceError(f"{name} is for evaluation only: nothing that ships may be trained on it.")
    folder, stem = name.split("/")
    files = sorted((root() / folder).glob(f"{stem}*.jsonl.zst"))
    if not files:
        raise SourceError(f"{name}: no such set in {root()}")
    for path in files:
        with path.open("rb") as raw, zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw) as stream:
            for number, line in enumerate(io.TextIOWrapper(stream, "utf-8")):
                fields = json.loads(line)
                text = fields.pop("text", "") or ""
                lang = str(fields.get("lang") or ("zh" if "zh" in stem else "en"))
                yield Row(name, number, text, "zh" if lang.startswith(("zh", "cmn", "mandarin")) else lang, fields)


HELD_OUT = 0.15


def held_out(text: str) -> bool:
    """Whether a labelled text belongs to our own validation part: no model sees it, not even unlabelled. By text, so that copies stay together."""
    return draw("".join(text.split()), "held-out") < HELD_OUT


def draw(key: str, seed: str) -> float:
    """A number in [0, 1) that depends on the key and the seed alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{key}".encode()).digest()[:7], "big") / (1 << 56)
