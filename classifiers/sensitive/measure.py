"""Thresholds and figures of `sensitive`, measured on the network that ships."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers import clean, page
from classifiers.clean import Judge
from classifiers.data import rows
from classifiers.metrics import accuracy, auc, bootstrap, calibration, f1, pr_curve, precision_at_prevalence, threshold_at
from classifiers.sensitive.train import DROPPING, HERE, LABELS, written
from classifiers.ship import markdown_table

FLOOR = 0.3  # no threshold is lower, however clean the clean text
MARGIN = 0.05  # added to the highest clean score, since clean text that nobody measured is a little wilder
CEILING = 0.995  # a threshold above this would never be reached


def domain_scores(found: Mapping[str, tuple[clean.Documents, np.ndarray]], label: str, lang: str) -> dict[str, np.ndarray]:
    """The deciding scores of a label in every clean domain of a language that is a measure for it."""
    i = LABELS.index(label)
    return {name: scores[:, i] for name, (docs, scores) in found.items() if docs.lang == lang and label not in clean.no_measure_for(name)}


def thresholds(found: Mapping[str, tuple[clean.Documents, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Per language and label: at most 0.1 % of every clean domain flagged, none where it has under 1,000 documents, and a margin; 0.5 for the topic."""
    out: dict[str, dict[str, float]] = {}
    for lang in ("en", "zh"):
        out[lang] = {}
        for label in LABELS:
            least = threshold_at(domain_scores(found, label, lang)) if label in DROPPING else 0.0
            out[lang][label] = max(least, round(min(CEILING, max(FLOOR, least + MARGIN)), 4)) if label in DROPPING else 0.5
    return out


def cross_fitted(found: Mapping[str, tuple[clean.Documents, np.ndarray]]) -> dict[str, tuple[int, int]]:
    """(documents that any class drops, documents) of every clean domain, each judged by thresholds that were fixed on the other half of all domains.

    What the thresholds drop of the documents they were fixed on is nought by construction; this is what they drop of others.
    """
    dropped = dict.fromkeys(found, 0)
    for half in (0, 1):
        limits = thresholds({name: (docs, scores[half::2]) for name, (docs, scores) in found.items()})
        for name, (docs, scores) in found.items():
            classes = [c for c in DROPPING if c not in clean.no_measure_for(name)]
            flags = [scores[1 - half :: 2, LABELS.index(c)] >= limits[docs.lang][c] for c in classes]
            dropped[name] += int(np.any(flags, axis=0).sum())
    return {name: (dropped[name], docs.n) for name, (docs, _) in found.items()}


def own_set(judge: Judge) -> tuple[list[Any], np.ndarray]:
    """The validation part of the written set, and its scores."""
    held = [e for e in written(True) if e.key.endswith("/0")]  # one text a passage: its other expansions are no independent witnesses
    return held, judge([e.text for e in held])


def own_figures(held: Sequence[Any], scores: np.ndarray, limits: Mapping[str, Mapping[str, float]], prevalence: float = 0.01) -> list[list[str]]:
    """A row a language and class: n, AUC, recall, precision, F1 with its interval at the shipped threshold, and precision at the web's prevalence."""
    table = []
    for lang in ("en", "zh"):
        for i, label in enumerate(LABELS):
            mine = np.array([e.lang == lang and not np.isnan(e.target[i]) for e in held])  # of what nobody knows, nothing is right or wrong
            truth = np.array([e.target[i] == 1.0 for e in held])[mine]
            score, limit = scores[mine, i], limits[lang][label]
            flagged = score >= limit
            recall = float(flagged[truth].mean()) if truth.any() else float("nan")
            precision = float(truth[flagged].mean()) if flagged.any() else float("nan")
            interval = bootstrap(f1, truth, flagged, seed=1)
            at = precision_at_prevalence(recall, 0.001, prevalence)
            table.append(
                [lang, label, str(int(truth.sum())), f"{auc(score, truth):.3f}", f"{limit:.3f}", f"{recall:.3f}", f"{precision:.3f}",
                 f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})", f"{at:.2f}"]
            )  # fmt: skip
    return table


def recalls(held: Sequence[Any], scores: np.ndarray, limits: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, dict[str, float]]]:
    """Recall and precision on the own set at the thresholds, by language and label, for model.toml."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for row in own_figures(held, scores, limits):
        out.setdefault(row[0], {})[row[1]] = {"recall": float(row[5]), "precision": float(row[6]), "precision_at_1_percent": float(row[8])}
    return out


def look_alikes(held: Sequence[Any], scores: np.ndarray, limits: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """Look-alikes flagged as anything, by language and by what they look like: files a, d and e hold medicine, law, sex education, crime news,
    casino history, ordinary pages and the like; b, c and f counter-speech, identity mentions, ordinary hostility, news, product pages."""
    table = []
    for lang in ("en", "zh"):
        for parts, name in (("ade", "adult, gambling or spam, and ordinary pages"), ("bcf", "abuse, violence, spam or politics")):
            mine = [k for k, e in enumerate(held) if e.key.split("-")[1] in parts and e.lang == lang and not any(t == 1.0 for t in e.target)]
            flags = [sum(scores[k, LABELS.index(c)] >= limits[lang][c] for k in mine) for c in DROPPING]
            table.append([lang, name, str(len(mine)), *(f"{f} ({f / max(1, len(mine)):.1%})" for f in flags)])
    return table


def hatecheck(judge: Judge, limit: float = 0.5) -> tuple[list[list[str]], list[list[str]]]:
    """HateCheck in English and Mandarin, abuse at 0.5: a row a language, and a row a functionality."""
    total, single = [], []
    i = LABELS.index("abuse")
    for lang, name in (("en", "toxicity/hatecheck_en"), ("zh", "toxicity/multilingual_hatecheck")):
        cases = [r for r in rows(name, "test") if lang == "en" or r.fields.get("lang") == "mandarin"]
        said = judge([r.text for r in cases])[:, i] >= limit
        truth = np.array([str(r.fields["label"]) == "hateful" for r in cases])
        kinds = np.array([str(r.fields.get("functionality", "")) for r in cases])
        worst = 1.0
        for kind in sorted(set(kinds)):
            here = kinds == kind
            right = float((said == truth)[here].mean())
            worst = min(worst, right)
            single.append([lang, kind, str(int(here.sum())), f"{right:.3f}"])
        identity = np.char.find(kinds.astype(str), "ident_") >= 0
        whole = bootstrap(accuracy, truth, said, seed=1)
        false = float(said[identity & ~truth].mean()) if (identity & ~truth).any() else float("nan")
        total.append([lang, str(len(cases)), f"{whole.value:.3f} ({whole.low:.3f} to {whole.high:.3f})", f"{worst:.3f}", f"{false:.3f}"])
    return total, single


def clean_figures(
    found: Mapping[str, tuple[clean.Documents, np.ndarray]], limits: Mapping[str, Mapping[str, float]], crossed: Mapping[str, tuple[int, int]]
) -> list[list[str]]:
    """Documents of every clean domain that each dropping class would drop; last, what thresholds of the other half would drop (`cross_fitted`)."""
    table = []
    for name, (docs, scores) in found.items():
        counts = [int((scores[:, LABELS.index(c)] >= limits[docs.lang][c]).sum()) if c not in clean.no_measure_for(name) else None for c in DROPPING]
        table.append([name, f"{docs.n} (at most {3 / docs.n:.1%})", *("not measured" if c is None else str(c) for c in counts), str(crossed[name][0])])
    return table


def write_review(
    path: Path, held: Sequence[Any], scores: np.ndarray, found: Mapping[str, tuple[clean.Documents, np.ndarray]], limits: Mapping[str, Mapping[str, float]]
) -> None:
    """The page for a person's eye: curves, confusion, calibration, false positives by domain, and the worst documents."""
    curves, reliability, tables = [], [], []
    for i, label in enumerate(LABELS):
        mine = [k for k, e in enumerate(held) if not np.isnan(e.target[i])]
        truth = np.array([held[k].target[i] == 1.0 for k in mine])
        recall, precision, _ = pr_curve(scores[mine, i], truth)
        curves.append(page.Curve(label, recall, precision, int(truth.sum())))
        bins = calibration(scores[mine, i], truth)
        reliability.append(page.Curve(label, bins.mean_score, bins.positive_share, bins.n))
        flagged = np.array([scores[k, i] >= limits[held[k].lang][label] for k in mine])
        matrix = np.array([[int((~truth & ~flagged).sum()), int((~truth & flagged).sum())], [int((truth & ~flagged).sum()), int((truth & flagged).sum())]])
        tables.append(page.Confusion(["other", label], matrix, title=f"{label} at its threshold"))
    bars, worst = [], []
    for name, (docs, deciding) in found.items():
        for label in DROPPING:
            if label in clean.no_measure_for(name):
                continue
            i = LABELS.index(label)
            bars.append(page.Bar(f"{name}: {label}", float((deciding[:, i] >= limits[docs.lang][label]).mean()), docs.n))
            starts = np.searchsorted(docs.owner, np.arange(docs.n))
            worst += [
                (
                    float(deciding[k, i] - limits[docs.lang][label]),
                    docs,
                    k,
                    label,
                    docs.windows[starts[k]] if starts[k] < len(docs.windows) else "",
                    float(deciding[k, i]),
                )
                for k in np.argsort(-deciding[:, i])[:5]
            ]
    worst.sort(key=lambda w: -w[0])
    shown = [page.Document(w[1].keys[w[2]], f"{w[1].name} ({w[3]})", w[1].lang, w[5], "clean", w[4]) for w in worst[:50]]
    sections = [
        page.Section(
            "Precision and recall",
            "The validation part of the written set: passages that no training saw.",
            [page.Chart("Precision over recall", "recall", "precision", curves)],
        ),
        page.Section("Calibration", "", [page.Chart("Share of positives over score", "mean score", "share of positives", reliability, diagonal=True)]),
        page.Section("Confusion", "At the shipped thresholds.", tables),
        page.Section("False positives in clean domains", "", [page.Bars(bars, bound=0.001)]),
        page.Section("The worst documents", "Clean documents nearest to being dropped, or dropped.", [page.Documents(shown)]),
    ]
    page.write_page(path, "sensitive: review", sections)


def figures(
    judge: Judge, found: Mapping[str, tuple[clean.Documents, np.ndarray]], limits: Mapping[str, Mapping[str, float]]
) -> tuple[str, list[Any], np.ndarray]:
    """The card's tables as Markdown, with the own set and its scores."""
    held, scores = own_set(judge)
    total, single = hatecheck(judge)
    crossed = cross_fitted(found)
    parts = [
        "### Own set, validation part, at the shipped thresholds\n",
        markdown_table(
            [
                "language",
                "class",
                "positives",
                "AUC",
                "threshold",
                "recall",
                "precision",
                "F1 (95 %)",
                "precision if 1 % of pages are such, and 0.1 % of the others flagged",
            ],
            own_figures(held, scores, limits),
        ),
        "\n### Look-alikes that would be flagged\n",
        markdown_table(["language", "look like", "n", *DROPPING], look_alikes(held, scores, limits)),
        "\n### Clean domains: documents that each class would drop\n",
        markdown_table(
            ["domain", "n (what 0 of n says, 95 %)", *DROPPING, "any, by thresholds fixed on the other half"], clean_figures(found, limits, crossed)
        ),
        f"\nOver all domains, thresholds fixed on one half drop {sum(d for d, _ in crossed.values())} of {sum(n for _, n in crossed.values()):,} documents of the other.",
        "\n### HateCheck, abuse at 0.5\n",
        markdown_table(["language", "n", "accuracy (95 %)", "worst functionality", "identity mentions flagged"], total),
        "",
        markdown_table(["language", "functionality", "n", "accuracy"], single),
    ]
    return "\n".join(parts), held, scores


def shipped_limits(folder: Path = HERE) -> dict[str, dict[str, float]]:
    return dict(tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))["thresholds"])
