"""Train `topic`: WebOrganizer's 24 topics for English and Chinese, one small fastText model. About five minutes on one core.

Four kinds of example, all of them open or our own: the written passages; windows of open text in which a topic's keywords stand; windows of
sources that are of one topic by what they are (novels, statutes, manuals); and windows without any keyword, with a topic's keywords planted
in them, for the topics that no open text here is about.
"""

import json
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from classifiers.data import PROSE, TRAIN, draw, rows
from classifiers.metrics import accuracy, bootstrap, macro_f1
from classifiers.ship import markdown_table, pin, write_description, write_figures
from classifiers.students import interval, is_test, train_student, written
from pipeline.measures.networks import FasttextScores
from pipeline.measures.windows import windows

HERE = Path(__file__).parent
LANGUAGES = ("en", "zh")
TOPICS = tuple(json.loads((HERE / "keywords.json").read_text(encoding="utf-8"))["en"])
WINDOW_TOKENS = 210

# Sets whose windows are labelled by keywords, and where the planted ones come from. The toxicity sets are left out (their comments would tie
# a topic to the people that they insult), and so are the single sentences of langid/ (three windows in all).
SETS = (*PROSE, *(name for name in TRAIN if name.startswith("text/")))

# A novel is literature whatever it is about, and a statute is law. By the field `domain`.
KNOWN = {
    "novel": "literature",
    "poetry": "literature",
    "zh_classic_novel": "literature",
    "gov": "crime_and_law",  # zh/gov is statutes; en/gov is left to its keywords, below
    "zh_law": "crime_and_law",
    "docs_language": "software_development",
    "docs_infra": "software_development",
    "docs_web": "software_development",
    "en_tech_blog": "software_development",
}

LEAST_KEYWORDS, TIMES_THE_NEXT = 3, 2
PER_TOPIC = 100  # windows a topic and language, by keywords; as many by source. With 300, novels and manuals drown the rest
PLANTED = 800  # passages a topic and language
WRITTEN_TIMES = 5  # a written passage is seen in one pass
EPOCHS = 5
SEED = 1

# The model, and those that it is measured against, by the kinds of example beside the written passages.
MODELS: dict[str, tuple[str, ...]] = {"model.ftz": ("keywords", "source", "planted"), "not-planted.ftz": ("keywords", "source"), "written-only.ftz": ()}
NAMES = {"not-planted.ftz": "the model without planted keywords", "written-only.ftz": "the model of the written passages alone"}

# What else was labelled with topics, to measure on only: set -> its label -> ours. Labels that are none of ours alone are left out.
OUTSIDE: dict[str, dict[str, str]] = {
    "text/fewclue_tnews_zh": {
        "news_game": "games",
        "news_agriculture": "industrial",
        "news_sports": "sports_and_fitness",
        "news_entertainment": "entertainment",
        "news_travel": "travel",
        "news_finance": "finance_and_business",
        "news_stock": "finance_and_business",
        "news_world": "politics",
        "news_car": "transportation",
        "news_edu": "education_and_jobs",
    },
    "text/zh_topics_gbk_docs": {"体育": "sports_and_fitness", "文学": "literature", "校园": "education_and_jobs"},
}

_WORD = re.compile(r"\w+")

Example = tuple[str, Sequence[str]]


@cache
def keywords(language: str) -> dict[str, str]:
    """keyword -> topic"""
    return {word: topic for topic, words in json.loads((HERE / "keywords.json").read_text(encoding="utf-8"))[language].items() for word in words}


@cache
def _by_first_word() -> dict[str, list[tuple[str, str]]]:
    """An English keyword's first word -> (the keyword, its words with a space around each)."""
    out = defaultdict(list)
    for word in keywords("en"):
        spelled = _WORD.findall(word)
        out[spelled[0]].append((word, f" {' '.join(spelled)} "))
    return dict(out)


@cache
def _han() -> re.Pattern[str]:
    return re.compile("|".join(re.escape(word) for word in sorted(keywords("zh"), key=lambda word: (-len(word), word))))


def found(text: str, language: str) -> set[str]:
    """The distinct keywords in a text: at word boundaries in English; in Chinese the longest at each place, none within another."""
    if language == "zh":
        return set(_han().findall(text.lower()))
    words = _WORD.findall(text.lower())
    line = f" {' '.join(words)} "
    return {word for first in set(words) & _by_first_word().keys() for word, spelled in _by_first_word()[first] if spelled in line}


def topic_of(words: set[str], language: str) -> str | None:
    """The topic of which at least 3 of these keywords are, and at least twice as many as of any other; None otherwise."""
    counts = Counter(keywords(language)[word] for word in words).most_common(2)
    if not counts or counts[0][1] < LEAST_KEYWORDS or (len(counts) == 2 and counts[0][1] < TIMES_THE_NEXT * counts[1][1]):
        return None
    return counts[0][0]


class Pool:
    """Windows by key, of which those with the lowest draws are kept."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, ...], list[tuple[float, str]]] = defaultdict(list)

    def add(self, key: tuple[str, ...], name: str, text: str) -> None:
        self._held[key].append((draw(name, "topic"), text))

    def take(self, key: tuple[str, ...], most: int) -> list[str]:
        return [text for _, text in sorted(self._held.get(key, []))[:most]]

    def count(self, key: tuple[str, ...]) -> int:
        return len(self._held.get(key, []))


def gather() -> Pool:
    """Every window of SETS that may serve: ("keywords", language, topic), ("source", language, topic), ("plain", language)."""
    pool = Pool()
    for name in SETS:
        for row in rows(name, "train"):
            domain = str(row.fields.get("domain"))
            known = KNOWN.get(domain) if not (row.lang == "en" and domain == "gov") else None
            for i, window in enumerate(windows(row.text, WINDOW_TOKENS)):
                place = f"{row.key}/{i}"
                if known is not None:
                    if draw(place, "topic") < 0.1:  # thousands of each: a tenth is enough to choose from
                        pool.add(("source", row.lang, known), place, window)
                    continue
                words = found(window, row.lang)
                topic = topic_of(words, row.lang)
                if topic is not None:
                    pool.add(("keywords", row.lang, topic), place, window)
                elif not words and domain != "classical" and draw(place, "topic") < 0.3:
                    pool.add(("plain", row.lang), place, window)
    return pool


def planted(plain: Sequence[str], language: str, topic: str, n: int) -> Iterator[str]:
    """`n` passages of 10 to 60 words (or 20 to 120 Han characters) of plain windows, with 3 to 7 keywords of a topic among them."""
    chance = np.random.default_rng([SEED, LANGUAGES.index(language), TOPICS.index(topic)])
    words = [word for word, its in keywords(language).items() if its == topic]
    for _ in range(n):
        units = plain[int(chance.integers(len(plain)))].split() if language == "en" else list("".join(plain[int(chance.integers(len(plain)))].split()))
        length = int(chance.integers(10, 61)) * (1 if language == "en" else 2)
        start = int(chance.integers(max(1, len(units) - length)))
        units = units[start : start + length]
        for word in chance.choice(words, int(chance.integers(3, 8)), replace=False):
            units.insert(int(chance.integers(len(units) + 1)), str(word))
        yield (" " if language == "en" else "").join(units)


def in_test(row: Mapping[str, object]) -> bool:
    """Whether a written passage is for testing: by its topic and number, so that its mirror in the other language is there too."""
    return is_test(int(str(row["number"])), TOPICS.index(str(row["label"])))


def examples(pool: Pool, passages: Sequence[Mapping[str, str]], kinds: Sequence[str] = ("keywords", "source", "planted")) -> list[Example]:
    """What the student is trained on, in an order that the texts alone decide. `kinds`: which of the three kinds stand beside the passages."""
    out: list[tuple[str, str]] = [(row["text"], row["label"]) for row in passages] * WRITTEN_TIMES
    for language in LANGUAGES:
        plain = pool.take(("plain", language), 4000)
        for topic in TOPICS:
            for kind in ("keywords", "source"):
                if kind in kinds:
                    out += [(text, topic) for text in pool.take((kind, language, topic), PER_TOPIC)]
            if "planted" in kinds:
                out += [(text, topic) for text in planted(plain, language, topic, PLANTED)]
    order = np.random.default_rng(SEED).permutation(len(out))
    return [(out[i][0], (out[i][1],)) for i in order]


def student(given: Sequence[Example], path: Path, epochs: int = EPOCHS) -> None:
    """Settings chosen on a quarter of the training passages. Nothing is pruned: some 65,000 rows of 32 dimensions, 2.4 MB."""
    train_student(given, path, dimension=32, epochs=epochs, rate=0.5, word_ngrams=2, buckets=50_000, min_count=2, cutoff=200_000, seed=SEED)


def predicted(model: FasttextScores, texts: Sequence[str]) -> np.ndarray:
    return np.array(TOPICS, object)[model(texts).argmax(axis=1)]


def by_keywords(texts: Sequence[str], language: str) -> np.ndarray:
    """The baseline without a model: the topic of which most keywords stand in the text; the first topic where none does."""
    out = []
    for text in texts:
        counts = Counter(keywords(language)[word] for word in found(text, language))
        out.append(max(TOPICS, key=lambda topic: counts[topic]))
    return np.array(out, object)


def train(work: Path, base: str = "") -> None:  # noqa: ARG001  # a linear model has no base
    """The model, and two that know less, to measure against: `work/model.ftz`, and one a kind of example left out."""
    work.mkdir(parents=True, exist_ok=True)
    learnt = [row for row in written(HERE / "written.jsonl") if not in_test(row)]
    pool = gather()
    given = {file: examples(pool, learnt, kinds) for file, kinds in MODELS.items()}
    for file, mine in given.items():  # the smaller ones as many examples in all
        student(mine, work / file, EPOCHS * len(given["model.ftz"]) // len(mine))
    counts = {
        f"{language} {kind}": {topic: min(PER_TOPIC, pool.count((kind, language, topic))) for topic in TOPICS if pool.count((kind, language, topic))}
        for language in LANGUAGES
        for kind in ("keywords", "source")
    }
    (work / "counts.json").write_text(json.dumps(counts, indent=1), encoding="utf-8")


def export(work: Path) -> None:
    """The model into the folder that ships, model.toml with its figures, its pin in the store, and the card's table."""
    shutil.copyfile(work / "model.ftz", HERE / "model.ftz")
    card = {
        "name": "topic",
        "task": "choice",
        "labels": list(TOPICS),
        "languages": list(LANGUAGES),
        "licence": "CC-BY-SA-4.0",
        "max_length": 256,
        "fasttext": {"file": "model.ftz"},
        "measured": evaluate(work),
    }
    pin("topic", write_description(HERE, card, ["model.ftz"]))


def evaluate(work: Path) -> dict[str, dict[str, float | int]]:
    """Measure the shipped model beside its baselines and write the card's table; returns the figures that model.toml repeats."""
    test = [row for row in written(HERE / "written.jsonl") if in_test(row)]
    model = FasttextScores(HERE / "model.ftz", TOPICS)
    less = {NAMES[file]: FasttextScores(work / file, TOPICS) for file in MODELS if file in NAMES and (work / file).exists()}
    table: list[tuple[str, int, str]] = []
    measured: dict[str, dict[str, float | int]] = {}

    def score(what: str, statistic: Callable[..., float], *arrays: np.ndarray) -> float:
        value = bootstrap(statistic, *arrays, seed=SEED)
        table.append((what, len(arrays[0]), interval(value)))
        return round(value.value, 3)

    def macro(truth: np.ndarray, guess: np.ndarray) -> float:
        return macro_f1(truth, guess, TOPICS)

    for language in LANGUAGES:
        mine = [row for row in test if row["lang"] == language]
        texts, truth = [row["text"] for row in mine], np.array([row["label"] for row in mine], object)
        guess = predicted(model, texts)
        measured[f"written_{language}"] = {
            "n": len(mine),
            "accuracy": score(f"{language}, written test passages: accuracy", accuracy, truth, guess),
            "macro_f1": score(f"{language}, written test passages: macro-F1", macro, truth, guess),
        }
        score(f"{language}, baseline: the topic with the most keywords: accuracy", accuracy, truth, by_keywords(texts, language))
        for what, other in less.items():
            score(f"{language}, {what}: accuracy", accuracy, truth, predicted(other, texts))
    for name, ours in OUTSIDE.items():
        chosen = [row for row in rows(name, "test") if row.fields["label"] in ours]
        texts, truth = [row.text for row in chosen], np.array([ours[row.fields["label"]] for row in chosen], object)
        its = set(ours.values())
        scores = model(texts)
        guess = np.array(TOPICS, object)[scores.argmax(axis=1)]
        only = np.array(TOPICS, object)[np.where([topic in its for topic in TOPICS], scores, -1.0).argmax(axis=1)]
        short = name.split("/")[1]
        measured[short] = {"n": len(chosen), "accuracy": score(f"`{short}`, {len(its)} topics: accuracy, any of the 24 guessed", accuracy, truth, guess)}
        score(f"`{short}`: accuracy, one of its {len(its)} guessed", accuracy, truth, only)
        score(f"`{short}`, baseline: the most keywords of its {len(its)}, else its commonest", accuracy, truth, _commonest(texts, truth, its))
        for what, other in less.items():
            score(f"`{short}`, {what}: any of the 24 guessed", accuracy, truth, predicted(other, texts))
    write_figures(HERE / "card.md", markdown_table(["what", "n", "value (95 %)"], table))
    return measured


def main(work: Path) -> None:
    """Build the examples, train, measure, and write what ships."""
    train(work)
    export(work)


def _commonest(texts: Sequence[str], truth: np.ndarray, topics: set[str]) -> np.ndarray:
    """The keyword baseline among some topics; where no keyword stands, the commonest topic of the set."""
    common = Counter(truth.tolist()).most_common(1)[0][0]
    out = []
    for text in texts:
        counts = Counter(its for word in sorted(found(text, "zh")) if (its := keywords("zh")[word]) in topics)
        out.append(counts.most_common(1)[0][0] if counts else common)
    return np.array(out, object)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
