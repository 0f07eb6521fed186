"""Passages written for the project, their slots, and their expansions.

A passage is one piece of writing with slots in braces; `expand` fills them by hash, so that a name or a place cannot become the mark of a
class. Expansions stay with their passage on one side of the split: the validation part asks about writings that no training saw.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from classifiers.data import draw

VALIDATION = 0.25


@dataclass(frozen=True)
class Passage:
    """One written passage: its labels (none: a look-alike, or harmless; `?spam`: nobody knows), what it is about, and its text with slots."""

    key: str
    lang: str
    labels: tuple[str, ...]
    about: str
    text: str

    @property
    def part(self) -> str:
        """The file's letter: a adult and gambling, b the other labels, c and f short sentences put together from slots, d and e pages of all kinds."""
        return self.key.split("-")[1]

    @property
    def validation(self) -> bool:
        return draw(self.key, "written") < VALIDATION


def passages(folder: Path) -> list[tuple[Passage, dict[str, list[str]]]]:
    """Every passage of `folder/*.jsonl` with the slots of its file."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        lang, part = path.stem.split("_")
        slots = json.loads((folder / f"slots_{lang}{'' if part == 'a' else '_' + part}.json").read_text(encoding="utf-8"))
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.append((Passage(row["id"], lang, tuple(row["labels"]), row["about"], row["text"]), slots))
    return found


# Names that only one class's passages hold would be its mark: half of the time they are drawn from these instead.
_MIXED: dict[str, Sequence[str]] = {
    "casino": ("casino", "adult_site", "brand"),
    "adult_site": ("casino", "adult_site", "brand"),
    "brand": ("brand", "casino", "adult_site", "brandtw", "asite", "shop", "company"),
    "asite": ("asite", "brand", "shop"),
    "asitetw": ("asitetw", "brandtw"),
}


def expand(passage: Passage, slots: dict[str, list[str]], n: int) -> list[str]:
    """The passage's text with its slots filled, `n` ways (one where it has none). A slot keeps its value within a text."""
    if "{" not in passage.text:
        return [passage.text]
    out = []
    for i in range(n):
        chosen: dict[str, str] = {}

        def fill(match: re.Match[str], i: int = i, chosen: dict[str, str] = chosen) -> str:
            slot = match[1]
            if slot not in chosen:
                names = [s for s in _MIXED.get(slot, (slot,)) if s in slots]
                pool = names[int(draw(f"{passage.key} {slot} {i}", "pool") * len(names))] if draw(f"{passage.key} {slot} {i}", "mix") < 0.5 else slot
                values = slots[pool]
                chosen[slot] = values[int(draw(f"{passage.key} {slot} {i}", "slot") * len(values))]
            return chosen[slot]

        text = re.sub(r"\{(\w+)\}", fill, passage.text)
        out.append(re.sub(r"(^|[.!?]\s+)([a-z])", lambda m: m[1] + m[2].upper(), text) if re.match(r"\{(groups|objects)\}", passage.text) else text)
    return out
