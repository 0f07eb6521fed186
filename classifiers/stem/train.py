"""Train `stem`: exercises, derivations, textbooks, code with explanation; English and Chinese, one small fastText model. Some minutes on one core.

Sources are nearly all of one class (a textbook is STEM, a novel is not), so a figure on them says only that sources can be told apart.
What counts are the passages that were written for it, both classes by one hand, and the sets that no training saw.
"""

import json
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from classifiers.data import Row, draw, held_out, rows
from classifiers.metrics import auc, bootstrap, f1
from classifiers.ship import markdown_table, pin, write_description, write_figures
from classifiers.students import interval, is_test, train_student, written
from classifiers.topic import train as topic
from pipeline.errors import ModelError
from pipeline.measures.networks import FasttextScores
from pipeline.measures.windows import windows

HERE = Path(__file__).parent
LABELS = ("stem",)
LANGUAGES = ("en", "zh")
WINDOW_TOKENS = 210
SETS = (*topic.SETS, "toxicity/cold_zh", "langid/lingua_sentences")

PER_SET = {True: 800, False: 300}  # windows of a set and language that teach, positive and negative
VALIDATION = 0.15  # of documents: they teach nothing, and fix the thresholds
RATE = 0.005  # of the clean validation windows, the share that may be flagged: the mean over sets, so that no large set decides
WRITTEN_TIMES = 10  # a written passage is seen in one pass
SEED = 1

# Topics whose passages are negatives here; the others may well hold an exercise or a derivation.
OTHER_TOPICS = tuple(
    t
    for t in topic.TOPICS
    if t not in ("science_and_technology", "software_development", "education_and_jobs", "electronics_and_hardware", "industrial", "health")
)

# Sets to measure on only, by language: text that is not STEM but for rare documents. (set, value of `domain` or None for all)
OUTSIDE_CLEAN = {
    "zh": ("text/xinwenlianbo_news_zh", "text/fewclue_tnews_zh", "text/fewclue_iflytek_zh", "text/zh_topics_gbk_docs", "text/skywork_eval_zh_general"),
    "en": (),
}

# Maths or code in a window: a TeX command, an equation, or a call, an assignment, an operator of programs.
_WORK = re.compile(
    r"\\[a-z]{3,}|\$[^$\n]{2,}\$|[=<>]\s?\d|\w\([\w, '\".]*\)|\b(?:def|return|import|const|let|var|for|while|func|fn|int|SELECT)\s+\w+|=>|->|::|==|\+=|;\s*$",
    re.MULTILINE,
)

Example = tuple[str, Sequence[str]]


def shows_work(window: str) -> bool:
    """Whether at least four marks of maths or code stand in a window."""
    return len(_WORK.findall(window)) >= 4


def is_stem(row: Row, window: str) -> bool | None:
    """What a window of a source is held to be: True, False, or None where one cannot tell."""
    domain = str(row.fields.get("domain"))
    if domain in ("textbook", "qa", "zh_algorithms_wiki"):
        return True
    if domain in ("docs_language", "docs_web", "docs_infra"):
        if "/releases/" in str(row.fields.get("source")) or ":releases/" in str(row.fields.get("source")):
            return False  # lists of what is new
        return True if domain != "docs_infra" and shows_work(window) else None
    if domain in ("news", "en_tech_blog", "magazine") or row.set in ("text/dclm_human_quality_en", "text/digitalgov_en"):
        return None if shows_work(window) else False
    if row.set in ("text/wikitext2_en", "text/cmrc2018_wiki_zhhans", "text/drcd_wiki_zhhant"):
        sciences = [word for word in topic.found(window, row.lang) if topic.keywords(row.lang)[word] in ("science_and_technology", "software_development")]
        return None if len(sciences) >= 2 or shows_work(window) else False
    return False


Pool = dict[tuple[bool, str, str, bool], list[str]]


def gather() -> Pool:
    """(validation, language, set, is STEM) -> windows of open text, by hash."""
    held: dict[tuple[bool, str, str, bool], list[tuple[float, str]]] = defaultdict(list)
    for name in SETS:
        for row in rows(name, "train"):
            if row.lang not in LANGUAGES or (name.startswith("toxicity/") and held_out(row.text)):
                continue
            validation = draw(row.key, "stem-validation") < VALIDATION
            for i, window in enumerate(windows(row.text, WINDOW_TOKENS)):
                chance = draw(f"{row.key}/{i}", "stem")
                if chance > 0.5:
                    continue
                stem = is_stem(row, window)
                if stem is not None:
                    held[validation, row.lang, name, stem].append((chance, window))
    return {key: [window for _, window in sorted(found)[: 1000 if key[0] else PER_SET[key[3]]]] for key, found in sorted(held.items())}


def passages(test: bool) -> list[Example]:
    """The written passages of one side of the split."""
    return [(row["text"], LABELS if row["stem"] else ()) for row in written(HERE / "written.jsonl") if is_test(row["number"]) == test]


def others(test: bool, language: str | None = None) -> list[Example]:
    """The passages of `topic` that are surely not STEM, by its own split."""
    found = written(topic.HERE / "written.jsonl")
    return [(row["text"], ()) for row in found if row["label"] in OTHER_TOPICS and topic.in_test(row) == test and language in (None, row["lang"])]


def examples(pool: Pool) -> list[Example]:
    """What the student is trained on, in an order that the texts alone decide."""
    out = (passages(False) + others(False)) * WRITTEN_TIMES
    for (validation, _, _, stem), found in pool.items():
        if not validation:
            out += [(window, LABELS if stem else ()) for window in found]
    return [out[i] for i in np.random.default_rng(SEED).permutation(len(out))]


def student(given: Sequence[Example], path: Path) -> None:
    """Nothing is pruned: some 70,000 rows of 32 dimensions."""
    train_student(given, path, dimension=32, epochs=5, rate=0.5, word_ngrams=2, buckets=50_000, min_count=2, cutoff=200_000, seed=SEED)


def train(work: Path, base: str = "") -> None:  # noqa: ARG001  # a linear model has no base
    """`work/model.ftz`, one of the sources alone to measure against, and the validation windows that fix the thresholds."""
    work.mkdir(parents=True, exist_ok=True)
    pool = gather()
    student(examples(pool), work / "model.ftz")
    sources = [(window, LABELS if stem else ()) for (validation, _, _, stem), found in pool.items() if not validation for window in found]
    student([sources[i] for i in np.random.default_rng(SEED).permutation(len(sources))], work / "sources-only.ftz")
    kept = [
        {"validation": v, "lang": lang, "set": name, "stem": stem, "n": len(found), "windows": found if v else []}
        for (v, lang, name, stem), found in pool.items()
    ]
    (work / "windows.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1), encoding="utf-8")


def export(work: Path) -> None:
    """The model into the folder that ships, its thresholds, model.toml, its pin in the store, and the card's table."""
    shutil.copyfile(work / "model.ftz", HERE / "model.ftz")
    limits = thresholds(FasttextScores(HERE / "model.ftz", LABELS), work)
    card = {
        "name": "stem",
        "task": "labels",
        "labels": list(LABELS),
        "languages": list(LANGUAGES),
        "licence": "CC-BY-SA-4.0",
        "max_length": 256,
        "fasttext": {"file": "model.ftz"},
        "thresholds": {language: {"stem": limit} for language, limit in limits.items()},
        "measured": figures(work, limits),
    }
    pin("stem", write_description(HERE, card, ["model.ftz"]))


def evaluate(work: Path) -> None:
    """Measure the shipped model at its thresholds and write the card's table."""
    from pipeline.measures.classifier import describe

    figures(work, {language: given["stem"] for language, given in describe(str(HERE)).thresholds.items()})


def thresholds(model: FasttextScores, work: Path) -> dict[str, float]:
    """By language the least threshold, of two digits and at least 0.5, at which the mean over sets of the clean windows flagged is at most RATE."""
    out = {}
    for language in LANGUAGES:
        scores = [model(k["windows"])[:, 0] for k in _validation(work, language) if not k["stem"] and k["windows"]]
        if not scores:
            raise ModelError(f"{work / 'windows.json'} has no clean {language} window: no threshold can be fixed. Train again.")
        steps = [step / 100 for step in range(50, 100)]
        out[language] = next((t for t in steps if np.mean([(found >= t).mean() for found in scores]) <= RATE), steps[-1])
    return out


def _validation(work: Path, language: str) -> list[dict]:
    return [k for k in json.loads((work / "windows.json").read_text(encoding="utf-8")) if k["validation"] and k["lang"] == language]


def figures(work: Path, limits: Mapping[str, float]) -> dict[str, dict[str, float | int]]:
    """The table of the card; returns what model.toml repeats of it."""
    model = FasttextScores(HERE / "model.ftz", LABELS)
    table: list[tuple[str, int, str]] = []
    measured: dict[str, dict[str, float | int]] = {}

    def score(what: str, statistic: Callable[..., float], *arrays: np.ndarray) -> float:
        value = bootstrap(statistic, *arrays, seed=SEED)
        table.append((what, len(arrays[0]), interval(value)))
        return round(value.value, 4)

    def share(flags: np.ndarray) -> float:
        return float(flags.mean())

    mine = [row for row in written(HERE / "written.jsonl") if is_test(row["number"])]
    for language in LANGUAGES:
        limit = limits[language]
        texts = [row["text"] for row in mine if row["lang"] == language]
        truth = np.array([row["stem"] for row in mine if row["lang"] == language])
        got = model(texts)[:, 0]
        about: dict[str, float | int] = {"n": len(texts)}
        about["auc"] = score(f"{language}, written test passages: AUC", auc, got, truth)
        about["f1"] = score(f"{language}, the same at the threshold {limit:.2f}: F1", f1, truth, got >= limit)
        about["recall"] = score(f"{language}, the same: recall", share, got[truth] >= limit)
        about["false_positives"] = score(f"{language}, the same: false positives", share, got[~truth] >= limit)
        score(f"{language}, baseline: marks of maths and code counted: AUC", auc, np.array([float(len(_WORK.findall(t))) for t in texts]), truth)
        if (work / "sources-only.ftz").exists():
            score(
                f"{language}, a model of the sources without written passages: AUC", auc, FasttextScores(work / "sources-only.ftz", LABELS)(texts)[:, 0], truth
            )
        further = model([text for text, _ in others(True, language)])[:, 0]
        score(f"{language}, test passages of 18 other topics: false positives", share, further >= limit)
        kept = _validation(work, language)
        both = np.concatenate([model(k["windows"])[:, 0] for k in kept])
        which = np.concatenate([np.full(k["n"], k["stem"]) for k in kept])
        score(f"{language}, validation windows of the sources: AUC (baseline by source: {_by_source(kept):.3f})", auc, both, which)
        score(f"{language}, the same: recall", share, both[which] >= limit)
        score(f"{language}, the same: false positives (the threshold was fixed on these)", share, both[~which] >= limit)
        for name in OUTSIDE_CLEAN[language]:
            flagged = _documents(model, [row.text for row in rows(name, "test")]) >= limit
            measured[name.split("/")[1]] = {"n": len(flagged), "flagged": score(f"`{name.split('/')[1]}`, documents whose mean is flagged", share, flagged)}
        measured[f"written_{language}"] = about
    web = list(rows("text/en_web_and_domains_mix", "test"))
    for domains in (("commoncrawl", "c4"), ("stackexchange",), ("arxiv",), ("patents", "nih")):
        flagged = _documents(model, [row.text for row in web if row.fields["domain"] in domains]) >= limits["en"]
        measured[f"en_web_{domains[0]}"] = {
            "n": len(flagged),
            "flagged": score(f"`en_web_and_domains_mix`, {' and '.join(domains)}: documents whose mean is flagged", share, flagged),
        }
    write_figures(HERE / "card.md", markdown_table(["what", "n", "value (95 %)"], table))
    return measured


def _documents(model: FasttextScores, texts: Sequence[str]) -> np.ndarray:
    """The mean over each text's windows, at most sixteen of them. (texts,)"""
    return np.array([model(windows(text, WINDOW_TOKENS, 16))[:, 0].mean() if text.strip() else 0.0 for text in texts])


def _by_source(kept: Sequence[Mapping]) -> float:
    """The AUC of a classifier that knows a window's set and nothing else: the share of STEM in the set."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for k in kept:
        counts[k["set"]][int(k["stem"])] += k["n"]
    scores = [counts[k["set"]][1] / sum(counts[k["set"]]) for k in kept for _ in range(k["n"])]
    return auc(np.array(scores), np.array([k["stem"] for k in kept for _ in range(k["n"])]))


def main(work: Path) -> None:
    """Build the examples, train, measure, and write what ships."""
    train(work)
    export(work)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
