"""`quality`: a grade from 0 to 5 for a passage of English or Chinese. Examples, and the baseline that knows sources only.

The rubric is in labels.md. What it learns from: written passages of every grade whose subjects are the same in all grades; prose that may be
trained on, graded by its kind; share-alike encyclopaedias; human judgements of English web pages (DCLM); and text spoilt on purpose: shuffled,
repeated, misread, cut to link lists, stuffed with menus. The spoilt text is made of the same prose, so that its subject does not give it away.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers import clean
from classifiers.data import draw, held_out, rows
from classifiers.finetune import Example, FineTuning
from classifiers.sensitive import train as sensitive
from pipeline.measures.windows import windows

HERE = Path(__file__).parent
WINDOWS_EACH = 150
SMALL: dict[str, Any] = {"dimension": 32, "epochs": 8, "buckets": 100_000, "min_count": 2, "cutoff": 1_000_000}  # nothing pruned: about 4 MB

# The grade of a source's prose: its kind, by the rubric; single rows differ, and the regression may say so.
KINDS = {
    "text_train/en-classic-books": 3.8,
    "text_train/en-docs-news-textbook": 4.3,
    "text_train/en-gov": 4.0,
    "text_train/en-novel": 3.5,
    "text_train/en-transcripts": 3.0,
    "text_train/zh-classical": 3.8,
    "text_train/zh-docs-infra": 4.2,
    "text_train/zh-docs-language": 4.2,
    "text_train/zh-gov-laws": 4.0,
    "text_train/zh-novel": 3.5,
    "text_train/zh-poetry": 3.2,
    "text_train/zh-textbook-qa": 4.5,
}
ENCYCLOPAEDIAS = ("text/cmrc2018_wiki_zhhans", "text/drcd_wiki_zhhant", "text/wikitext2_en")


def settings(base: str) -> FineTuning:
    return FineTuning("grade", ("quality",), base, epochs=3.0, learning_rate=4e-4, batch_tokens=4096)


def _grade(text: str, grade: float, lang: str, source: str, key: str, weight: float = 1.0) -> Example:
    return Example(text, (grade,), lang, source, key, weight)


def written(validation: bool) -> Iterator[Example]:
    """Written passages; English and Chinese ones of one number share a subject, so a number is on one side only."""
    for line in (HERE / "written.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if (draw(row["id"].rsplit("-", 1)[1], "quality-written") < 0.25) == validation:
            yield _grade(row["text"], float(row["grade"]), row["lang"], "written", row["id"], 2.0)
    low = {"spam": 0.3, "gambling": 0.0, "adult": 0.3}
    for e in sensitive.written(validation):
        labels = [name for name, t in zip(sensitive.LABELS, e.target, strict=True) if t == 1.0]
        if e.key.endswith("/0") and labels and labels[0] in low:
            yield _grade(e.text, low[labels[0]], e.lang, f"written-{labels[0]}", e.key)
        elif e.key.endswith("/0") and not labels and len(e.text) > (60 if e.lang == "zh" else 200):
            yield _grade(e.text, 3.0, e.lang, "written-look-alike", e.key)


def human(validation: bool) -> Iterator[Example]:
    """DCLM's pages with a human majority label, whole: half of them teach, the other half asks."""
    for row in rows("text/dclm_human_quality_en", "train"):
        if clean.teaches(row) != validation:
            keep = int(row.fields["label"]) == 1
            if validation:
                yield _grade(row.text, float(keep), "en", "dclm", row.key)
            else:
                for i, window in enumerate(windows(row.text, 210, 4)):
                    yield _grade(window, 3.8 if keep else 1.8, "en", "dclm", f"{row.key}/{i}", 1.5)


def prose() -> Iterator[Example]:
    """Windows of prose by kind, whole or in part, and paragraphs of encyclopaedias (half of them: the rest is left to measure on)."""
    for key, lang, source, window in sensitive.clean_windows(WINDOWS_EACH, "quality"):
        yield _grade(sensitive.lengths(window, key), KINDS[source], lang, source, key)
    for name in ENCYCLOPAEDIAS:
        chosen = [r for r in rows(name, "train") if clean.teaches(r)]
        for row in sorted(chosen, key=lambda r: draw(r.key, "quality"))[:200]:
            for window in windows(row.text, 210, 2):
                yield _grade(window, 4.8, "zh" if "zh" in name else "en", name, row.key)


def posts() -> Iterator[Example]:
    """Short posts: chatty fragments, alone or several in a row as a thread's page has them."""
    for name, lang in (("toxicity/cold_zh", "zh"), ("toxicity/vicomtech_whiteforum_en", "en")):
        texts = [r.text for r in sorted(rows(name, "train"), key=lambda r: draw(r.key, "quality")) if not held_out(r.text)][:900]
        for i in range(0, len(texts), 3):
            count = 1 + i % 3
            yield _grade("\n".join(texts[i : i + count]), 2.0, lang, name, f"{name}#{i}", 0.7)


def spoilt(each: int = 55) -> Iterator[Example]:
    """Prose of every source, spoilt in eight ways; the same hash chooses the prose, so each way meets all sources."""
    menus = _menu_lines()
    for key, lang, _source, window in sensitive.clean_windows(each, "spoilt"):
        chance = np.random.default_rng(int(draw(key, "spoil") * 2**48))
        way = int(chance.integers(8))
        grade, text = _spoil(way, window, lang, menus[lang], chance)
        yield _grade(text, grade, lang, f"spoilt-{WAYS[way]}", key)
        # and once more as a menu page: lines of boilerplate alone
        lines = [menus[lang][int(i)] for i in chance.integers(0, len(menus[lang]), int(chance.integers(6, 40)))]
        yield _grade("\n".join(lines), 1.0, lang, "spoilt-menu", key + "/menu", 0.5)


WAYS = ("shuffled", "keywords", "repeated", "misread", "links", "stuffed", "cut", "digits")


def _menu_lines() -> dict[str, list[str]]:
    """Lines of the written boilerplate passages (grade 1), by language."""
    found: dict[str, list[str]] = {"en": [], "zh": []}
    for e in written(False):
        if e.source == "written" and e.target == (1.0,):
            found[e.lang] += [line.strip() for line in e.text.replace(" | ", "\n").replace("｜", "\n").splitlines() if line.strip()]
    return found


def _spoil(way: int, text: str, lang: str, menus: Sequence[str], chance: np.random.Generator) -> tuple[float, str]:
    words = list(text) if lang == "zh" else text.split()
    join = "" if lang == "zh" else " "
    n = max(1, len(words))
    if way == 0:  # word order lost
        return 0.3, join.join(words[i] for i in chance.permutation(len(words)))
    if way == 1:  # a list of keywords
        size = 2 if lang == "zh" else 1
        picks = [join.join(words[i : i + size]) for i in chance.integers(0, n, 60)]
        return 0.0, ("，", ",", " ", "\n", " | ")[int(chance.integers(5))].join(p.strip() for p in picks if p.strip())
    if way == 2:  # one stretch over and over
        start = int(chance.integers(0, n))
        return 0.5, join.join(words[start : start + max(8, n // 12)] * 10)[: len(text)]
    if way == 3:  # misread characters
        letters = list(text)
        noise = "~^|_#*§¤�il1Oo0rnm" if lang == "en" else "囗�口日曰□〇卩乚#*|"
        for i in np.flatnonzero(chance.random(len(letters)) < 0.18):
            letters[i] = noise[int(chance.integers(len(noise)))]
        return 0.7, "".join(letters)
    if way == 4:  # headlines of a link list
        size = 18 if lang == "zh" else 9
        heads = [join.join(words[i : i + size]).strip() for i in range(0, len(words), size * 2)]
        more = "[更多]" if lang == "zh" else "Read more »"
        return 1.3, "\n".join(f"{h}… {more}" if chance.random() < 0.5 else f"{int(chance.integers(1, 13))}-{int(chance.integers(1, 29))} {h}" for h in heads)
    if way == 5:  # prose between menus
        lines = text.splitlines() or [text]
        out = []
        for line in lines:
            out += [menus[int(i)] for i in chance.integers(0, len(menus), int(chance.integers(2, 6)))]
            out.append(line[: max(30, len(line) // 2)])
        return 2.0, "\n".join(out)
    if way == 6:  # broken off
        return 2.3, text[: max(25, len(text) // 9)].rstrip() + ("……展开全文" if lang == "zh" else " ... [continue reading]")
    numbers = ["".join(str(int(d)) for d in chance.integers(0, 10, int(chance.integers(2, 9)))) for _ in range(60)]
    return 0.5, ("\t", " ", "\n")[int(chance.integers(3))].join(w for pair in zip(numbers, words[:60], strict=False) for w in pair)


def examples() -> list[Example]:
    """Everything that the shipped model is trained on."""
    return [*written(False), *human(False), *prose(), *posts(), *spoilt()]


def rounded(found: Sequence[Example]) -> list[tuple[str, list[str]]]:
    """Examples as the student learns them: the nearest whole grade as its label."""
    return [(e.text, [str(round(min(5.0, max(0.0, e.target[0]))))]) for e in found]


def sources(found: Sequence[Example]) -> tuple[list[tuple[str, list[str]]], dict[str, float]]:
    """For the baseline that recognises sources and nothing else: examples labelled with their source, and the mean grade of each."""
    grades: dict[str, list[float]] = {}
    for e in found:
        grades.setdefault(e.source, []).append(e.target[0])
    names = {source: f"s{i}" for i, source in enumerate(sorted(grades))}
    return [(e.text, [names[e.source]]) for e in found], {names[s]: float(np.mean(g)) for s, g in grades.items()}


# --- the three commands ---------------------------------------------------------------------------------------------------------


def train(work: Path, base: str) -> None:
    """The teacher (BERT), then its student and the baseline of sources."""
    from classifiers.finetune import fine_tune
    from classifiers.students import check_trainer

    check_trainer()  # before the hours, not after
    fine_tune(settings(base), examples(), work / "first").save(work / "model")
    train_students(work)


def train_students(work: Path) -> None:
    """The student, which learns the teacher's grades beside the labels; and a model that only learns to tell sources apart, to compare with."""
    from classifiers.finetune import load
    from classifiers.students import train_student

    found = examples()
    spread = [e for e in found for _ in range(round(max(1.0, e.weight)))]
    taught = [(key, lang, window) for key, lang, _, window in sensitive.clean_windows(60, "taught")]
    grades = np.clip(load(settings(str(work / "model")))([w for _, _, w in taught])[:, 0], 0.0, 5.0)
    spread += [_grade(w, float(g), lang, "taught", key) for (key, lang, w), g in zip(taught, grades, strict=True)]
    train_student(rounded(spread), work / "student.ftz", **SMALL)
    train_student(sources(found)[0], work / "sources.ftz", **SMALL)


def judge(passages: Sequence[str]) -> np.ndarray:
    """Grades under the network that ships. (passages, 1)"""
    from pipeline.measures.networks import OnnxScores

    return np.clip(OnnxScores(HERE / "model.onnx", HERE / "tokenizer.json", ("quality",), 256)(passages), 0.0, 5.0)


def export(work: Path) -> None:
    """The int8 network, the student and the baseline of sources into the folder that ships; the band, the buckets, model.toml, its pin."""
    import shutil

    from classifiers.finetune import load
    from classifiers.quality import measure
    from classifiers.ship import pin, write_description, write_network

    write_network(load(settings(str(work / "model"))), HERE, [e.text for e in examples()])
    shutil.copyfile(work / "student.ftz", HERE / "student.ftz")
    about = {
        "name": "quality", "task": "grade", "labels": ["quality"], "licence": "CC-BY-SA-4.0", "max_length": 256,
        "bert": {"file": "model.onnx", "tokenizer": "tokenizer.json"},
        "fasttext": {"file": "student.ftz"},
        "grade": {"middle": 2.0, "head": 3.5},
        "cascade": {"band": list(measure.band(judge, HERE / "student.ftz"))},
    }  # fmt: skip
    pin("quality", write_description(HERE, about, ["model.onnx", "tokenizer.json", "student.ftz"]))


def evaluate(work: Path) -> None:
    """Measure what ships, beside the student and the baseline of sources (which lies in the work folder): the card's tables and the review page."""
    from classifiers.quality import measure
    from classifiers.ship import write_figures

    domains = {name: clean.documents(name, 200) for name in clean.DOMAINS}
    graded = {name: (docs, measure.means(judge(docs.windows)[:, 0], docs)) for name, docs in domains.items()}
    text = measure.figures(judge, HERE / "student.ftz", work / "sources.ftz", sources(examples())[1], graded)
    write_figures(HERE / "card.md", text)
    measure.write_review(work / "review.html", judge, graded)
    print(text)
