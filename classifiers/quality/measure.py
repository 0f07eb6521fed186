"""Figures of `quality`: human judgements, the written passages, the clean domains; always beside the student and the baseline of sources."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from classifiers import clean, page
from classifiers.clean import Judge
from classifiers.metrics import auc, bootstrap, calibration
from classifiers.quality.train import human, written
from classifiers.ship import markdown_table
from pipeline.measures.networks import FasttextScores
from pipeline.measures.windows import windows

LEAST = 1.0  # a bound that a recipe may set; the flagship only tags


def means(scores: np.ndarray, docs: clean.Documents) -> np.ndarray:
    """A document's grade: the mean over its windows. (documents,)"""
    return np.asarray(np.bincount(docs.owner, weights=scores, minlength=docs.n) / np.maximum(1, np.bincount(docs.owner, minlength=docs.n)))


def student_grades(path: Path, passages: Sequence[str]) -> np.ndarray:
    """The mean grade under the student's probabilities. (passages,)"""
    found = FasttextScores(path, [str(i) for i in range(6)])(passages)
    return np.asarray(found @ np.arange(6) / np.maximum(found.sum(axis=1), 1e-9))


def source_grades(path: Path, grades: Mapping[str, float], passages: Sequence[str]) -> np.ndarray:
    """What a model that only recognises sources would say: the mean grade of the sources that it takes a passage for. (passages,)"""
    names = sorted(grades)
    found = FasttextScores(path, names)(passages)
    return np.asarray(found @ np.array([grades[n] for n in names]) / np.maximum(found.sum(axis=1), 1e-9))


def band(judge: Judge, student: Path) -> tuple[float, float]:
    """Between which of the student's grades the network is asked: below it and above it, the two disagree about LEAST in at most 1 % of the validation part each."""
    held = [e for e in [*written(True), *human(True)] if e.text.strip()]
    theirs, mine = student_grades(student, [e.text for e in held]), judge([e.text for e in held])[:, 0]
    order = np.sort(theirs)
    lowest = max((t for t in order if np.mean((theirs < t) & (mine >= LEAST)) <= 0.01), default=0.0)
    highest = min((t for t in order if np.mean((theirs > t) & (mine < LEAST)) <= 0.01), default=5.0)
    return (round(float(min(lowest, highest)), 4), round(float(max(lowest, highest)), 4))


def figures(judge: Judge, student: Path, baseline: Path, grades: Mapping[str, float], found: Mapping[str, tuple[clean.Documents, np.ndarray]]) -> str:
    """The card's tables as Markdown."""
    people = list(human(True))
    truth = np.array([e.target[0] == 1.0 for e in people])
    texts = [e.text for e in people]
    sized = [windows(t, clean.WINDOW_TOKENS, clean.LIMIT) for t in texts]
    owner = np.repeat(np.arange(len(sized)), [len(s) for s in sized])
    flat = [w for s in sized for w in s]

    def whole(scores: np.ndarray) -> np.ndarray:
        return np.asarray(np.bincount(owner, weights=scores, minlength=len(sized)) / np.maximum(1, np.bincount(owner, minlength=len(sized))))

    said = {
        "BERT": whole(judge(flat)[:, 0]),
        "fastText student": whole(student_grades(student, flat)),
        "source identity": whole(source_grades(baseline, grades, flat)),
    }
    rows = []
    for name, scores in said.items():
        interval = bootstrap(auc, scores, truth, seed=1)
        rows.append([name, len(truth), f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"])
    held = list(written(True))
    table = []
    for lang in ("en", "zh"):
        mine = [e for e in held if e.lang == lang]
        goal = np.array([e.target[0] for e in mine])
        for name, scores in (
            ("BERT", judge([e.text for e in mine])[:, 0]),
            ("fastText student", student_grades(student, [e.text for e in mine])),
            ("source identity", source_grades(baseline, grades, [e.text for e in mine])),
        ):
            table.append([lang, name, len(mine), f"{np.abs(scores - goal).mean():.2f}", f"{_rank_correlation(scores, goal):.3f}"])
    domains = []
    for name, (docs, graded) in found.items():
        lengths = np.array([len(w) for w in docs.windows])
        short = graded[np.bincount(docs.owner, weights=lengths, minlength=docs.n) < np.median(np.bincount(docs.owner, weights=lengths, minlength=docs.n))]
        domains.append(
            [
                name,
                docs.n,
                f"{graded.mean():.2f}",
                f"{short.mean():.2f}" if len(short) else "",
                f"{np.quantile(graded, 0.05):.2f}",
                int((graded < LEAST).sum()),
            ]
        )
    return "\n".join(
        [
            "### Human judgements of English web pages (DCLM), the half that taught nothing: AUC\n",
            markdown_table(["model", "n", "AUC (95 %)"], rows),
            "\n### Written passages, validation part\n",
            markdown_table(["language", "model", "n", "mean absolute error", "rank correlation"], table),
            f"\n### Clean domains, of those that teach the other half: grades, and documents below {LEAST:g}\n",
            markdown_table(["domain", "n", "mean", "mean of the shorter half", "5 % quantile", f"below {LEAST:g}"], domains),
        ]
    )


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, ties at their mean rank."""

    def ranks(x: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1]) if len(a) > 1 else float("nan")


def write_review(path: Path, judge: Judge, found: Mapping[str, tuple[clean.Documents, np.ndarray]]) -> None:
    """The page for a person's eye: calibration on the written passages, grades by domain, and the clean documents graded worst."""
    held = list(written(True))
    scores = judge([e.text for e in held])[:, 0]
    curves = []
    for lang in ("en", "zh"):
        mine = np.array([e.lang == lang for e in held])
        good = np.array([e.target[0] >= 3 for e in held])[mine]
        bins = calibration(scores[mine] / 5, good)
        curves.append(page.Curve(lang, bins.mean_score, bins.positive_share, bins.n))
    worst = []
    for name, (docs, graded) in found.items():
        first = np.searchsorted(docs.owner, np.arange(docs.n))
        worst += [
            (float(graded[k]), page.Document(docs.keys[k], name, docs.lang, float(graded[k]), "clean", docs.windows[first[k]]))
            for k in np.argsort(graded)[:8]
            if first[k] < len(docs.windows)
        ]
    worst.sort(key=lambda w: w[0])
    bars = [page.Bar(name, float((graded < LEAST).mean()), docs.n) for name, (docs, graded) in found.items()]
    sections = [
        page.Section(
            "Calibration",
            "Share of passages of grade 3 and more, over the grade given (as a fifth).",
            [page.Chart("Calibration", "grade / 5", "share good", curves, diagonal=True)],
        ),
        page.Section("Clean documents below the bound", "", [page.Bars(bars, bound=0.001)]),
        page.Section("The worst documents", "Clean documents with the lowest grades.", [page.Documents([d for _, d in worst[:50]])]),
    ]
    page.write_page(path, "quality: review", sections)
