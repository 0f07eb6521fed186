"""Word lists that propose, and never judge alone: open lists hold everyday words (an adult list that hits 40 % of classic chapters).

An entry that occurs in over 0.1 % of the clean documents of its language is pruned; a passage is proposed where at least three distinct
entries of one class occur in it. Latin entries need word boundaries.
"""

import re
from collections import Counter
from collections.abc import Iterable

from classifiers.data import root

AT_LEAST = 3
PRUNED_ABOVE = 0.001
_LONGEST = 8  # characters of a Chinese entry; longer ones are sentences
_FILES = {
    ("adult", "zh"): ("lexicon_konsheng/色情词库.txt", "lexicon_konsheng/色情类型.txt", "lexicon_ldnoobw/zh.txt"),
    ("adult", "en"): ("lexicon_ldnoobw/en.txt",),
    ("spam", "zh"): ("lexicon_konsheng/广告类型.txt",),
    ("violence", "zh"): ("lexicon_konsheng/涉枪涉爆.txt",),
}


def entries(label: str, lang: str) -> set[str]:
    """The raw entries of a class in a language, lower-cased, of at least two characters."""
    found: set[str] = set()
    for file in _FILES.get((label, lang), ()):
        text = (root() / "toxicity" / file).read_text(encoding="utf-8", errors="replace")
        found |= {e.strip().lower() for e in re.split(r"[,，\n\r\t]", text)}
    return {e for e in found if len(e) >= 2}


class Lexicon:
    """The pruned entries of a class; `hits(text)` counts the distinct ones that occur. Found by intersecting sets, so that the list's length costs nothing."""

    def __init__(self, raw: Iterable[str], clean: Iterable[str]) -> None:
        self.entries = {" ".join(e.split()) for e in raw}
        seen: Counter[str] = Counter()
        documents = 0
        for text in clean:
            documents += 1
            seen.update(self.found(text))
        self.entries = {e for e in self.entries if seen[e] <= PRUNED_ABOVE * documents}

    def found(self, text: str) -> set[str]:
        """The distinct entries that occur in a text."""
        lower = text.lower()
        latin = re.findall(r"[a-z0-9]+", lower)
        grams = {" ".join(latin[i : i + n]) for n in range(1, 4) for i in range(len(latin) - n + 1)}
        for run in re.findall(r"[^\W_a-z0-9]+", lower):
            grams |= {run[i : i + n] for n in range(2, _LONGEST + 1) for i in range(len(run) - n + 1)}
        return grams & self.entries

    def hits(self, text: str) -> int:
        return len(self.found(text))
