"""What the shipped `sensitive` removes from a crawl, for a person's eye: prevalence, precision, sources, topics, and texts with identity terms.

Pages come from `WORK/pages.jsonl` (a line each: text, and source where known). Every page that would be dropped is written to
`WORK/flagged.jsonl` with `"right": null`: read it, put true or false there, and evaluate again. What was read once is kept, dropped again or not.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from classifiers import clean
from classifiers.sensitive.train import DROPPING, HERE
from classifiers.ship import markdown_table

_COMMON = {"同志", "女的", "男的", "老人", "外地人", "old people", "foreigner", "foreigners"}  # words for much else


def identity_terms(lang: str) -> re.Pattern[str]:
    """The names of groups that the written passages use, as one pattern; Latin ones at word boundaries."""
    names: set[str] = set()
    for part in "bcf":
        slots = json.loads((HERE / "written" / f"slots_{lang}_{part}.json").read_text(encoding="utf-8"))
        names |= {name for slot in ("group", "groups", "group_t") for name in slots.get(slot, ())} - _COMMON
    either = "|".join(re.escape(name) for name in sorted(names, key=lambda n: (-len(n), n)))
    return re.compile(rf"\b(?:{either})\b" if lang == "en" else either, re.IGNORECASE)


def domains(pages: Sequence[dict[str, Any]], flagged_file: Path) -> dict[str, clean.Documents]:
    """The pages as one more domain a language by which thresholds are fixed, less those that a reader called harmful."""
    import pipeline

    harmful = {row["text"][:500] for row in _rows(flagged_file) if row["right"]}
    texts = [page["text"] for page in pages if page["text"][:500] not in harmful]
    languages = pipeline.detect_language(texts).column("language").to_pylist()
    found = {}
    for lang in ("en", "zh"):
        mine = [(key_of(t, "page"), t) for t, of in zip(texts, languages, strict=True) if of == lang]
        if mine:
            found[f"crawl {lang}"] = clean.in_windows(f"crawl {lang}", lang, mine)
    return found


def key_of(text: str, label: str) -> str:
    return hashlib.sha256(f"{label}|{text}".encode()).hexdigest()[:16]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def figures(pages: Sequence[dict[str, Any]], flagged_file: Path) -> str:
    """The card's part on a crawl, as Markdown; writes `flagged_file` anew, with the marks that stood there."""
    import pipeline

    texts = [page["text"] for page in pages]
    languages = pipeline.detect_language(texts).column("language").to_pylist()
    scores = pipeline.classify(texts, "bundled:sensitive", languages)
    topics = pipeline.classify(texts, "bundled:topic", languages).column("value").to_pylist()
    shares = {label: scores.column(label).to_pylist() for label in DROPPING}
    dropped = {label: [i for i, share in enumerate(shares[label]) if share is not None and share > clean.SHARE] for label in DROPPING}
    old = [row for row in _rows(flagged_file) if row["right"] is not None]
    known = {row["key"]: row["right"] for row in old}
    fresh = {key_of(texts[i], label) for label in DROPPING for i in dropped[label]}
    with flagged_file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps({**row, "dropped": False}, ensure_ascii=False) + "\n" for row in old if row["key"] not in fresh)
        for label in DROPPING:
            for i in sorted(dropped[label], key=lambda i: -shares[label][i]):
                key = key_of(texts[i], label)
                row = {
                    "key": key,
                    "label": label,
                    "share": shares[label][i],
                    "right": known.get(key),
                    "dropped": True,
                    "language": languages[i],
                    "text": texts[i][:6000],
                }
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    counts = []
    for label in DROPPING:
        read = [known[k] for i in dropped[label] if (k := key_of(texts[i], label)) in known]
        precision = f"{sum(read) / len(read):.2f}" if read else ""
        prevalence = f"{sum(read) / len(pages):.2%}" if read and len(read) == len(dropped[label]) else ""
        counts.append([label, len(dropped[label]), f"{len(dropped[label]) / len(pages):.2%}", len(read), sum(read), precision, prevalence])
    gone = {i for mine in dropped.values() for i in mine}
    return "\n".join(
        [
            f"{len(pages):,} pages. A page that several classes drop counts for each.\n",
            markdown_table(["class", "dropped", "share of pages", "read by eye", "right", "precision", "prevalence at least"], counts),
            "\nDropped by source and topic, the ten most frequent:\n",
            markdown_table(["class", "source", "topic", "pages"], _by_topic(dropped, pages, topics)),
            "\nPages with identity terms (names of groups, by origin, religion, sex, orientation, disability):\n",
            markdown_table(["language", "pages", "with identity terms", "the same among those kept"], _identity(texts, languages, gone)),
        ]
    )


def _by_topic(dropped: dict[str, list[int]], pages: Sequence[dict[str, Any]], topics: Sequence[str | None]) -> list[list[Any]]:
    counts = Counter((label, str(pages[i].get("source", "")), str(topics[i])) for label, mine in dropped.items() for i in mine)
    return [[*names, n] for names, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:10]]


def _identity(texts: Sequence[str], languages: Sequence[str | None], gone: Iterable[int]) -> list[list[Any]]:
    table = []
    for lang in ("en", "zh"):
        terms, mine = identity_terms(lang), [i for i, of in enumerate(languages) if of == lang]
        named, kept = {i for i in mine if terms.search(texts[i])}, set(mine) - set(gone)
        table.append([lang, len(mine), f"{len(named) / max(1, len(mine)):.2%}", f"{len(named & kept) / max(1, len(kept)):.2%}"])
    return table
