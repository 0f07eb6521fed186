"""`sensitive`: six classes of text that a corpus may not want, in English and Chinese. Examples, training, thresholds, figures.

What it learns from: the written passages and their expansions; COLD (Chinese offensive language) and the Vicomtech forum posts for abuse; pages
of nothing but lexicon entries for what hijacked pages look like; and clean text in windows of every length, prose and half of the clean domains.
A label that nobody gave is unknown (nan) and enters no loss. HateCheck is for testing and never seen.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from classifiers import clean
from classifiers.data import Row, draw, held_out, rows
from classifiers.export import sha256
from classifiers.finetune import Example, FineTuning
from classifiers.lexicons import AT_LEAST, Lexicon, entries
from classifiers.written import Passage, expand, passages
from pipeline.measures.windows import windows

LABELS = ("adult", "gambling", "abuse", "violence", "spam", "political")
DROPPING = LABELS[:5]  # `political` is a topic: tagged, never dropped by the flagship
HERE = Path(__file__).parent
UNKNOWN = math.nan
DOCUMENTS = 999  # of a clean domain, at most: under 1,000, none may be dropped
LOSS = 0.01  # of the flagged validation passages, the share that the student may let go

# Clean sources of negatives: what is not known of them. Laws and government news are political by topic; old novels have violence in them.
CLEAN = {
    "text_train/en-classic-books": ("violence",),
    "text_train/en-docs-news-textbook": (),
    "text_train/en-gov": ("political",),
    "text_train/en-novel": ("violence", "abuse"),
    "text_train/en-transcripts": (),
    "text_train/zh-classical": ("violence",),
    "text_train/zh-docs-infra": (),
    "text_train/zh-docs-language": (),
    "text_train/zh-gov-laws": ("political",),
    "text_train/zh-novel": ("violence", "abuse"),
    "text_train/zh-poetry": (),
    "text_train/zh-textbook-qa": (),
}
# Of the clean domains that may teach: those on public affairs.
PUBLIC = (
    "text/cmrc2018_wiki_zhhans",
    "text/dclm_human_quality_en",
    "text/digitalgov_en",
    "text/drcd_wiki_zhhant",
    "text/laws_zh",
    "text/us_speeches_en",
    "text/wikitext2_en",
)
WINDOWS_EACH = 300
SHORT = "cf"  # parts of the written passages: sentences put together from slots, with abuse alone in view
POSTS = 0.45  # of COLD's posts, by hash: more of them teach abuse little and cost most of the time


def settings(base: str) -> FineTuning:
    return FineTuning("labels", LABELS, base, epochs=1.8, learning_rate=4e-4, batch_tokens=4096, smoothing=0.01)


def target(labels: Sequence[str], unknown: Sequence[str] = ()) -> tuple[float, ...]:
    """A number a label: 1 where it is among `labels`, unknown where it is in `unknown` or named with a question mark, else 0."""
    unknown = (*unknown, *(name[1:] for name in labels if name.startswith("?")))
    if {"adult", "gambling"} & set(labels) and "spam" not in labels:
        unknown = (*unknown, "spam")  # such an advertisement may be spam by its form
    return tuple(1.0 if name in labels else UNKNOWN if name in unknown else 0.0 for name in LABELS)


def written(validation: bool) -> list[Example]:
    """The written passages of one side of the split, expanded."""
    found = []
    for passage, slots in passages(HERE / "written"):
        if passage.validation == validation:
            unknown = ("violence", "political") if passage.part in SHORT else ()  # written with abuse alone in view
            for i, text in enumerate(expand(passage, slots, ways(passage))):
                found.append(Example(text, target(passage.labels, unknown), passage.lang, "written", f"{passage.key}/{i}", weight=1.0 if validation else 2.0))
    return found


def ways(passage: Passage) -> int:
    """How many texts are made of a passage: most where short sentences are put together from slots (`SHORT`), several where a group's name is one."""
    return 12 if passage.part in SHORT else 4 if "{group" in passage.text or "{object" in passage.text else 2


def posts() -> Iterator[Example]:
    """Labelled posts: abuse is known, and little else. Held-out ones are left out."""
    for row in rows("toxicity/cold_zh", "train"):
        if not held_out(row.text) and draw(row.key, "posts") < POSTS:
            yield Example(row.text, target(["abuse"] if int(row.fields["label"]) else [], ("violence", "political")), "zh", "cold", row.key, weight=0.7)
    for row in rows("toxicity/vicomtech_whiteforum_en", "train"):
        if not held_out(row.text) and row.fields["label"] in ("hate", "noHate"):
            hate = row.fields["label"] == "hate"
            yield Example(row.text, target(["abuse"] if hate else [], ("violence", "political")), "en", "vicomtech", row.key, weight=1.5 if hate else 0.5)


def lengths(text: str, key: str) -> str:
    """A hashed stretch of a window: half of them short, so that length does not tell the classes apart."""
    share = draw(key, "length")
    if share > 0.5:
        return text
    size = max(20, int(len(text) * (0.05 + share)))
    start = int(draw(key, "start") * max(1, len(text) - size))
    return text[start : start + size]


def clean_windows(each: int = WINDOWS_EACH, seed: str = "clean") -> Iterator[tuple[str, str, str, str]]:
    """(key, language, source, window) of clean prose: `each` hashed windows of every source, of different documents where it has so many."""
    for name in CLEAN:
        yield from _windows(name, sorted(rows(name, "train"), key=lambda row: draw(row.key, seed)), each, seed)


def domain_windows(each: int = WINDOWS_EACH, seed: str = "clean") -> Iterator[tuple[str, str, str, str]]:
    """The same of the clean domains that may teach: of the half that measures nothing, and not of pages that people judged bad."""
    for name in clean.TEACHING:
        chosen = (r for r in rows(name, "train") if clean.teaches(r) and r.fields.get("label") != 0)
        yield from _windows(name, sorted(chosen, key=lambda row: draw(row.key, seed)), each, seed)


def _windows(name: str, chosen: Sequence[Row], each: int, seed: str) -> Iterator[tuple[str, str, str, str]]:
    lang = "zh" if "zh" in name else "en"
    cut = [windows(row.text, clean.WINDOW_TOKENS, 6) for row in chosen[:each]]
    pool = [(f"{row.key}/{i}", lang, name, w) for row, ws in zip(chosen, cut, strict=False) for i, w in enumerate(ws)]
    yield from sorted(pool, key=lambda p: draw(p[0], seed + "-window"))[:each]


def unknown_of(source: str) -> tuple[str, ...]:
    """The labels that nobody can rule out for a text of a clean source."""
    return CLEAN[source] if source in CLEAN else (*clean.DOMAINS[source], *(("political",) if source in PUBLIC else ()))


def sentences() -> Iterator[Example]:
    """Short ordinary sentences of both languages, which posts are not."""
    for name, lang, most in (
        ("langid/tatoeba", "eng", 1500),
        ("langid/tatoeba", "cmn", 1500),
        ("langid/lingua_sentences", "en", 500),
        ("langid/lingua_sentences", "zh", 500),
    ):
        chosen = [r for r in rows(name, "train") if r.fields.get("lang") == lang]
        for row in sorted(chosen, key=lambda r: draw(r.key, "sentences"))[:most]:
            yield Example(row.text, target((), ("political", "violence")), "zh" if lang in ("cmn", "zh") else "en", name, row.key, weight=0.7)


def lexicons() -> dict[tuple[str, str], Lexicon]:
    """The lists by (class, language), without the entries that clean documents hold."""
    ordinary: dict[str, list[str]] = {"en": [], "zh": []}
    for name in CLEAN:
        for row in rows(name, "train"):
            if draw(row.key, "prune") < 0.15:
                ordinary[row.lang].append(row.text[:20_000])
    return {
        (label, lang): Lexicon(entries(label, lang), ordinary[lang]) for label, lang in (("adult", "zh"), ("spam", "zh"), ("violence", "zh"), ("adult", "en"))
    }


def stuffed(lists: Mapping[tuple[str, str], Lexicon], each: int = 150) -> Iterator[Example]:
    """Pages of lexicon entries and nothing else: what keyword stuffing looks like."""
    for (label, lang), lexicon in lists.items():
        if label == "violence":
            continue  # names of weapons are no violence
        words = sorted(lexicon.entries)
        print(f"lexicon {label} {lang}: {len(words)} entries kept")
        for i in range(each):
            chance = np.random.default_rng([7, i, len(words)])
            size = int(chance.integers(AT_LEAST + 3, 60))
            separator = (" ", "，", "|", "\n", " - ", "、")[int(chance.integers(6))]
            text = separator.join(words[j] for j in chance.integers(0, len(words), size))
            yield Example(
                text, target([label], ("spam", "adult", "gambling", "violence", "political", "abuse")), lang, f"lexicon-{label}", f"stuffed-{label}-{lang}-{i}"
            )


def plain_lists(each: int = 12) -> Iterator[Example]:
    """Lists of harmless things: names, contents, links, keywords of clean prose. Without them a list of 150 contributors' names passed for every
    class at once, since the only lists that the model had met were stuffed pages."""
    for key, lang, source, window in clean_windows(each * 2, "lists"):
        chance = np.random.default_rng(int(draw(key, "list") * 2**48))
        names = re.findall(r"[A-Z][a-z]+(?: [A-Z][a-z]+)*", window) if chance.random() < 0.5 else []
        items = (
            names if len(names) >= 8 else ([window[i : i + int(chance.integers(2, 9))] for i in range(0, len(window), 9)] if lang == "zh" else window.split())
        )
        lead, separator = (("- ", "\n"), ("", "\n"), ("", " | "), ("", ", "), ("", " "), ("* ", "\n"))[int(chance.integers(6))]
        order = chance.permutation(len(items)) if chance.random() < 0.5 else np.arange(len(items))
        yield Example(separator.join(lead + items[i].strip() for i in order), target((), CLEAN[source]), lang, "plain-lists", key)


def examples(lists: Mapping[tuple[str, str], Lexicon]) -> list[Example]:
    """Everything that the shipped model is trained on."""
    found = [*written(False), *posts(), *sentences(), *stuffed(lists), *plain_lists()]
    found += [_clean_example(key, lang, source, lengths(window, key), lists) for key, lang, source, window in [*clean_windows(), *domain_windows()]]
    return found


def _clean_example(key: str, lang: str, source: str, text: str, lists: Mapping[tuple[str, str], Lexicon], weight: float = 1.0) -> Example:
    """Clean text as a negative. A list proposes and never judges: where it finds three of its entries, nobody knows, and the label stays out."""
    proposed = [label for (label, of), lexicon in lists.items() if of == lang and lexicon.hits(text) >= AT_LEAST]
    return Example(text, target((), (*unknown_of(source), *proposed)), lang, source, key, weight)


def balanced(found: Sequence[Example]) -> list[Example]:
    """Fewer of what is plentiful, and more weight on what is rare. Among all examples one in eighty is an advertisement for adults, one in seven is
    abuse: after one pass over all of them the network ranked the rare classes well enough and gave none of them a score above a half."""
    kept: list[Example] = []
    plenty: dict[str, list[Example]] = {"short sentences": [], "written": [], "posts, sentences and clean windows": []}
    for e in found:
        if any(t == 1.0 for t, name in zip(e.target, LABELS, strict=True) if name != "abuse"):
            kept.append(replace(e, weight=4.0 if e.source == "written" else 1.0))
        elif e.source == "written":
            plenty["short sentences" if "-c-" in e.key else "written"].append(e)
        else:
            plenty["posts, sentences and clean windows"].append(e)
    for most, group in zip((4000, 3000, 5500), plenty.values(), strict=True):
        kept += sorted(group, key=lambda e: draw(e.key, "balanced"))[:most]
    return kept


# --- the three commands ---------------------------------------------------------------------------------------------------------


def train(work: Path, base: str) -> None:
    """Fine-tune the network, once more with the clean windows that it took for something else, and train the student."""
    from classifiers.finetune import fine_tune
    from classifiers.students import check_trainer
    from pipeline.measures.classifier import activated

    check_trainer()  # before the hours, not after
    lists = lexicons()
    found = examples(lists)
    plain = settings(base)
    tuned = fine_tune(plain, found, work / "first")
    mined = [_clean_example(*where, lists, 2.0) for where in [*clean_windows(300, "mine"), *domain_windows(300, "mine")]]
    scores = activated(plain.task, tuned([e.text for e in mined]))
    known = ~np.isnan(np.array([e.target for e in mined]))
    hard = [e for e, s in zip(mined, (scores * known)[:, :5].max(axis=1), strict=True) if s > 0.1]
    print(f"{len(hard)} of {len(mined)} clean windows scored above 0.1", flush=True)
    again = [*balanced(found), *hard * 2, *(e for e in found if e.source == "plain-lists")]
    tuned = fine_tune(replace(plain, base=str(_saved(tuned, work / "first-model")), epochs=4.0, learning_rate=3e-4), again, work / "second")
    tuned.save(work / "model")
    train_students(work)


def train_students(work: Path) -> None:
    """The student: the same examples, one-versus-all, nothing pruned. What nobody knows of an example, the network says."""
    from classifiers.finetune import load
    from classifiers.students import train_student
    from pipeline.measures.classifier import activated

    found = examples(lexicons())
    known = np.array([e.target for e in found])
    asked = np.flatnonzero(np.isnan(known).any(axis=1))
    said = activated("labels", load(settings(str(work / "model")))([found[i].text for i in asked]))
    known[asked] = np.where(np.isnan(known[asked]), said, known[asked])
    spread = [
        (e.text, [name for name, t in zip(LABELS, row, strict=True) if t >= 0.5])
        for e, row in zip(found, known, strict=True)
        for _ in range(round(max(1.0, e.weight)))
    ]
    train_student(spread, work / "student.ftz", dimension=32, epochs=10, buckets=100_000, min_count=2, cutoff=1_000_000)


def _saved(tuned: Any, folder: Path) -> Path:
    tuned.save(folder)
    return folder


def judge(passages: Sequence[str]) -> np.ndarray:
    """Probabilities under the two models that ship, together. (passages, labels)"""
    from pipeline.measures.classifier import activated, together
    from pipeline.measures.networks import FasttextScores, OnnxScores

    network = OnnxScores(HERE / "model.onnx", HERE / "tokenizer.json", LABELS, 256)
    return together(FasttextScores(HERE / "student.ftz", LABELS)(passages), activated("labels", network(passages)))


def _pages(work: Path) -> list[dict[str, Any]]:
    """Pages of a crawl, where somebody put some there."""
    path = work / "pages.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _clean_scores(work: Path) -> dict[str, tuple[clean.Documents, np.ndarray]]:
    """The clean domains, and the crawl as one more, with what the shipped model says of them."""
    from classifiers.sensitive import crawl

    found = {name: clean.documents(name, DOCUMENTS) for name in clean.DOMAINS} | crawl.domains(_pages(work), work / "flagged.jsonl")
    return clean.score_all(judge, found, work / "clean.npz", " ".join(sha256(HERE / name) for name in ("model.onnx", "tokenizer.json", "student.ftz")))


def export(work: Path) -> None:
    """The int8 network and the student into the folder that ships, thresholds by the clean domains, the band, model.toml, and its pin."""
    import shutil

    from classifiers.finetune import load
    from classifiers.sensitive import measure
    from classifiers.ship import write_network

    tuned = load(settings(str(work / "model")))
    calibration = [*(e.text for e in written(False) if e.key.endswith("/0")), *(w for _, _, _, w in clean_windows(20, "calibration"))]
    write_network(tuned, HERE, calibration)
    shutil.copyfile(work / "student.ftz", HERE / "student.ftz")
    found = _clean_scores(work)
    describe(measure.thresholds(found), [w for docs, _ in found.values() for w in docs.windows[:400]])


def describe(limits: Mapping[str, Mapping[str, float]], clean_texts: Sequence[str]) -> None:
    """Write model.toml and its pin: thresholds, the student's band, and what was measured with them on the own set."""
    from classifiers.sensitive import measure
    from classifiers.ship import pin, write_description
    from pipeline.measures.networks import FasttextScores

    held, scores = measure.own_set(judge)
    flags = np.array([any(s >= limits[e.lang][name] for s, name in zip(row, LABELS, strict=True)) for e, row in zip(held, scores, strict=True)])
    student = FasttextScores(HERE / "student.ftz", LABELS)
    sure = student([e.text for e in held]).max(axis=1)
    low = float(np.quantile(sure[flags], LOSS)) if flags.any() else 0.0
    about = {
        "name": "sensitive", "task": "labels", "labels": list(LABELS), "licence": "CC-BY-SA-4.0", "max_length": 256,
        "bert": {"file": "model.onnx", "tokenizer": "tokenizer.json"},
        "fasttext": {"file": "student.ftz"},
        "cascade": {"band": [round(low, 6), 1.0], "recall_lost": LOSS, "clean_windows_that_leave_early": round(float((student(clean_texts).max(axis=1) < low).mean()), 4)},
        "thresholds": limits,
        "measured": measure.recalls(held, scores, limits),
    }  # fmt: skip
    pin("sensitive", write_description(HERE, about, ["model.onnx", "tokenizer.json", "student.ftz"]))


def evaluate(work: Path) -> None:
    """Measure what ships: the card's tables and the review page; and what it removes of `work/pages.jsonl`, where there is one."""
    from classifiers.sensitive import crawl, measure
    from classifiers.ship import write_figures

    limits = measure.shipped_limits()
    found = _clean_scores(work)
    text, held, scores = measure.figures(judge, found, limits)
    pages = _pages(work)
    if pages:
        text += "\n\n### A crawl\n\n" + crawl.figures(pages, work / "flagged.jsonl")
    write_figures(HERE / "card.md", text)
    measure.write_review(work / "review.html", held, scores, found, limits)
    print(text)
