"""The clean domains: sets of ordinary text by which thresholds are fixed and false positives counted.

Where a set's licence allows it, a hashed half of its documents teaches what ships (`TEACHING`, `teaches`); only the other half measures.

A document's statistic for a bound `share of flagged windows <= SHARE` is the window probability that decides it: the document is dropped by
threshold t exactly where that probability is at least t.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.data import Row, draw, may_train, rows
from pipeline.measures.windows import windows
from pipeline.store import fingerprint

Judge = Callable[[Sequence[str]], np.ndarray]
SHARE = 0.2  # the flagship's bound on the share of flagged windows
WINDOW_TOKENS = 210
LIMIT = 8  # windows of a document, as the `score` stage has it

# Every set of text/ but raw web pages (of which nobody says that they are clean). Which classes a set is no measure for:
# app descriptions are advertisements; speeches, laws and news are political by topic.
DOMAINS: dict[str, tuple[str, ...]] = {
    "text/classic_novels_zh": (),
    "text/cmrc2018_wiki_zhhans": (),
    "text/dclm_human_quality_en": ("spam",),
    "text/digitalgov_en": (),
    "text/drcd_wiki_zhhant": (),
    "text/fewclue_csldcp_zh": (),
    "text/fewclue_iflytek_zh": ("spam", "gambling", "adult"),
    "text/fewclue_tnews_zh": (),
    "text/laws_zh": (),
    "text/oiwiki_zh": (),
    "text/ruanyf_weekly_zh": (),
    "text/rust_blog_en": (),
    "text/skywork_eval_zh_general": (),
    "text/us_speeches_en": (),
    "text/wikitext2_en": (),
    "text/xinwenlianbo_news_zh": (),
    "text/zh_topics_gbk_docs": (),
}

# Those that may teach. Not the novels: there are four, so that chapters of the same book would stand on both sides.
TEACHING = tuple(name for name in DOMAINS if may_train(name) and name != "text/classic_novels_zh")


def no_measure_for(name: str) -> tuple[str, ...]:
    """The classes that a domain is no measure for. A domain from elsewhere, such as a crawl, is one for all."""
    return DOMAINS.get(name, ())


@dataclass(frozen=True)
class Documents:
    """Documents of one domain as windows: texts, and which windows are whose."""

    name: str
    lang: str
    keys: list[str]
    windows: list[str]
    owner: np.ndarray

    @property
    def n(self) -> int:
        return len(self.keys)


def teaches(row: Row) -> bool:
    """Whether a document of a clean domain may teach; if not, it measures. By its title, so that parts and versions of one article stay together."""
    return row.set in TEACHING and draw("".join(str(row.fields.get("title") or row.text).split()), "teaches") < 0.5


def documents(name: str, most: int, limit: int = LIMIT) -> Documents:
    """At most `most` hashed documents of a set that teach nothing, each in its windows."""
    chosen = sorted((r for r in rows(name, "test") if r.text.strip() and not teaches(r)), key=lambda r: draw(r.key, "clean"))[:most]
    return in_windows(name, "zh" if "zh" in name else "en", [(r.key, r.text) for r in chosen], limit)


def in_windows(name: str, lang: str, texts: Sequence[tuple[str, str]], limit: int = LIMIT) -> Documents:
    """(key, text) of a domain as Documents."""
    cut = [windows(text, WINDOW_TOKENS, limit) for _, text in texts]
    owner = np.repeat(np.arange(len(cut)), [len(c) for c in cut])
    return Documents(name, lang, [key for key, _ in texts], [w for c in cut for w in c], owner)


def deciding(scores: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    """Of every document the score of the window that decides it: the k-th highest, k the smallest count that exceeds SHARE. (n, labels)"""
    out = np.zeros((n, scores.shape[1]))
    starts = np.searchsorted(owner, np.arange(n + 1))
    for i in range(n):
        mine = np.sort(scores[starts[i] : starts[i + 1]], axis=0)
        if len(mine):
            out[i] = mine[-(int(np.floor(SHARE * len(mine))) + 1)]
    return out


def score_all(judge: Judge, found: Mapping[str, Documents], cache: Path, of: str) -> dict[str, tuple[Documents, np.ndarray]]:
    """Every domain with its documents' deciding scores, a process a core; `judge` is a function of a module.

    Scores are kept in `cache` and read from there where they are of the same model, `of`, and the same windows.
    """
    identity = {name: fingerprint([of, SHARE, docs.keys, docs.windows]) for name, docs in found.items()}
    scores: dict[str, np.ndarray] = {}
    if cache.exists():
        with np.load(cache) as kept:
            scores = {name: kept[identity[name]] for name in found if identity[name] in kept}
    names = sorted(found.keys() - scores.keys(), key=lambda name: -len(found[name].windows))
    if names:
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            scores |= dict(zip(names, pool.map(_scored, [judge] * len(names), [found[name] for name in names]), strict=True))
        cache.parent.mkdir(parents=True, exist_ok=True)
        kept_now: dict[str, Any] = {identity[name]: scores[name] for name in found}
        np.savez(cache.with_suffix(".tmp.npz"), **kept_now)
        os.replace(cache.with_suffix(".tmp.npz"), cache)
    return {name: (docs, scores[name]) for name, docs in found.items()}


def _scored(judge: Judge, docs: Documents) -> np.ndarray:
    return deciding(judge(docs.windows), docs.owner, docs.n)
