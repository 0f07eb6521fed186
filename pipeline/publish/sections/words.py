"""What the sections share: names as Markdown, rows by domain, stages as the funnel calls them, and counts that more than one section needs."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.publish.facts import SHARES, Facts, Scored
from pipeline.publish.markdown import code, count

Say = Callable[[str, str], str]  # (English, Chinese) -> the card's language
SMALL = 10_000_000  # tokens; a release with fewer is for looking at
MOST = 12  # rows of a table that could be long


def word(name: str | None) -> str:
    """A name as it is where it cannot be markup, else as a code span."""
    return name if name and re.fullmatch(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*", name) else code(name)


def tokenizer(facts: Facts) -> str:
    """The tokenizer's name, without the folder that it lies in."""
    return PurePosixPath(str(facts.release.manifest["tokenizer"])).name


def listed(items: Sequence[str], say: Say) -> str:
    """a, b and c."""
    return say(", ", "、").join(items[:-1]) + (say(" and ", "和") if len(items) > 1 else "") + "".join(items[-1:])


def columns_of(domains: Sequence[str], say: Say) -> list[str]:
    return [*map(word, domains), say("all", "合计")]


def by_domain(counts: Mapping[str, int], domains: Sequence[str]) -> list[str]:
    return [count(counts.get(d, 0)) for d in domains] + [count(sum(counts.get(d, 0) for d in domains))]


def word_in_code(name: str) -> str:
    """A name that may stand between quotes in a code block."""
    return "".join(c for c in name if c.isprintable() and c not in "\"'`\\")


def scope(settings: Mapping[str, Any]) -> str:
    parts = [f"{k}={','.join(map(str, v))}" for k, v in (settings.get("for") or {}).items() if v]
    spared = [f"{k}={','.join(map(str, v))}" for k, v in (settings.get("unless") or {}).items() if v]
    return " ".join([*map(code, parts), *(f"¬{code(s)}" for s in spared)]) or "–"


def asked(kind: str, settings: Mapping[str, Any]) -> str:
    """Bounds as the recipe has them, or the settings that are not about whom."""
    if kind == "filter":
        sides = (("min", ">="), ("max", "<="))
        found = [f"{name} {sign} {v[side]:.12g}" for name, v in settings.get("bounds", {}).items() for side, sign in sides if v.get(side) is not None]
    else:
        # Files of names are private: whoever asked to be left out is not listed.
        left = {k: v for k, v in settings.items() if k not in ("for", "unless", "name", "by", "file", "against") and v not in (None, {}, [])}
        found = [f"{k}: {_setting(v)}" for k, v in left.items()]
    return ", ".join(code(words, 1000) for words in found) or "–"


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_setting(v)}" for k, v in value.items())
    return ", ".join(map(_setting, value)) if isinstance(value, list) else f"{value:.12g}" if isinstance(value, float) else str(value)


def unscrubbed(f: Facts) -> list[tuple[str, str, int]]:
    """(source, domain, documents) where no `scrub` ran, or not on all."""
    held = f.counted.words.get("source", Counter())
    scopes = [s.get("for") or {} for kind, s in f.stages if kind == "scrub"]
    out = []
    for (domain, source), rows in sorted(held.items(), key=lambda kv: (kv[0][1] or "", kv[0][0])):
        if any(name == "pii_email" for name, _, _ in f.counted.personal):
            done = f.counted.personal[("pii_email", domain, source or "")].documents
        else:
            met = [s for s in scopes if set(s) <= {"source", "domain"} and source in s.get("source", [source]) and domain in s.get("domain", [domain])]
            done = rows if met else 0
        if done < rows:
            out.append((source or "", domain, rows - done))
    return out


def flagged(f: Facts) -> list[tuple[Scored, list[int], int, int]]:
    """For every label: rows by SHARES, rows whose value is null, and documents that a bound on it dropped."""
    out = []
    for score in f.scores:
        if score.kind == "label":
            spreads = [s for (name, _), s in f.counted.spreads.items() if name == score.name]
            rows = [sum(int(s.shares[i]) for s in spreads) for i in range(len(SHARES))]
            gone = sum(n for _, reason, _, n in f.reasons() if reason.split(" ")[0] == score.name)
            out.append((score, rows, sum(s.missing for s in spreads), gone))
    return out
