"""A classifier as a stage uses it: texts -> windows -> the student and the network -> a few columns a text.

A model is a folder with a `model.toml` (task, labels, files by sha256, thresholds by language), or any checkpoint of transformers.
By its task it adds columns to a text; NAME is the recipe's word for it:

    labels   NAME_LABEL        the share of the text's windows whose probability reaches the label's threshold for the text's language
             NAME_LABEL_mean   the mean probability over windows. Never the maximum: one false alarm in a thousand would lose every long book
    grade    NAME              0 to 5, the mean over windows; NAME_bucket: tail, middle or head
    choice   NAME              the likeliest label over all windows; NAME_score: its mean probability
    all      NAME_model        which model judged: fasttext, bert, or both (some windows left early)

A blank text has no window: its shares, means and grade are 0, its choice is null, and nobody judged it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pipeline.errors import ModelError
from pipeline.measures import networks
from pipeline.measures.networks import FasttextScores, OnnxScores, Precision, TorchScores
from pipeline.measures.windows import VERSION as WINDOWS_VERSION
from pipeline.measures.windows import windows
from pipeline.store import ModelFolder, open_folder

VERSION = 1
Task = Literal["labels", "grade", "choice"]
Kind = Literal["fasttext", "bert"]
TOP_GRADE = 5.0
_LONG_SPACE = re.compile(r"\s{20,}")  # a page of blanks is no passage, and a tokenizer would read every one
_LONGEST_CUT = 1.2  # a window may be a fifth longer than asked, where its cut fell at a sentence


@dataclass(frozen=True)
class Description:
    """What is known of a model before its weights are loaded."""

    folder: ModelFolder
    task: Task
    labels: tuple[str, ...]
    kinds: tuple[Kind, ...]  # in the order of their cost
    max_length: int
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)  # language -> label -> probability
    band: tuple[float, float] = (0.0, 1.0)  # between these the student is unsure
    buckets: tuple[float, float] = (0.0, 0.0)  # grades from which a text is middle, and head

    def columns(self, name: str) -> pa.Schema:
        """The columns that the model adds under a name."""
        if self.task == "labels":
            fields = [pa.field(f"{name}_{label}{end}", pa.float64()) for label in self.labels for end in ("", "_mean")]
        elif self.task == "grade":
            fields = [pa.field(name, pa.float64()), pa.field(f"{name}_bucket", pa.string())]
        else:
            fields = [pa.field(name, pa.string()), pa.field(f"{name}_score", pa.float64())]
        return pa.schema([*fields, pa.field(f"{name}_model", pa.string())])


def describe(name: str) -> Description:
    """Read what a model's folder says of it; ModelError where that is not enough to run it."""
    folder = open_folder(name)
    if not folder.card:
        return _foreign(folder)
    card = folder.card
    for key in ("task", "labels"):
        if key not in card:
            raise ModelError(f"{folder.path}/model.toml says nothing of '{key}'.")
    if card["task"] not in ("labels", "grade", "choice"):
        raise ModelError(f"{folder.path}/model.toml: task is '{card['task']}'; it must be labels, grade or choice.")
    labels, kinds = tuple(card["labels"]), tuple(k for k in ("fasttext", "bert") if k in card)
    if not kinds:
        raise ModelError(f"{folder.path}/model.toml describes neither a [fasttext] nor a [bert] model.")
    for kind in kinds:
        for key in ("file", *(("tokenizer",) if kind == "bert" else ())):
            if card[kind].get(key) not in card.get("files", {}):
                raise ModelError(f"{folder.path}/model.toml: [{kind}] names the {key} '{card[kind].get(key)}', which [files] does not list with its sha256.")
    thresholds: dict[str, dict[str, float]] = card.get("thresholds", {})
    if card["task"] == "labels":
        if not thresholds:
            raise ModelError(f"{folder.path}/model.toml has no [thresholds.LANGUAGE].")
        for language, given in thresholds.items():
            if not isinstance(given, dict):
                raise ModelError(f"{folder.path}/model.toml: thresholds stand by language, as in [thresholds.en]; '{language}' is none.")
            missing = [label for label in labels if label not in given]
            if missing:
                raise ModelError(f"{folder.path}/model.toml: [thresholds.{language}] says nothing of {', '.join(missing)}; every label needs a threshold.")
    band = card.get("cascade", {}).get("band", [0.0, TOP_GRADE if card["task"] == "grade" else 1.0])
    buckets = card.get("grade", {})
    if card["task"] == "grade" and (len(labels) != 1 or not {"middle", "head"} <= buckets.keys()):
        raise ModelError(f"{folder.path}/model.toml: a grade has one label, and [grade] says from where on it is `middle` and `head`.")
    return Description(
        folder,
        card["task"],
        labels,
        kinds,
        int(card.get("bert", {}).get("max_length", card.get("max_length", 256))),
        thresholds,
        (float(band[0]), float(band[1])),
        (float(buckets.get("middle", 0.0)), float(buckets.get("head", 0.0))),
    )


def _foreign(folder: ModelFolder) -> Description:
    """A checkpoint as transformers writes it: one output is a grade, several are labels or a choice, by its problem_type."""
    if folder.revision is None and not (Path(folder.path) / "config.json").exists():
        raise ModelError(f"{folder.path} holds neither a model.toml nor a config.json: it is no model that can be opened here.")
    try:
        from transformers import AutoConfig
    except ModuleNotFoundError as error:
        raise ModelError(f"{folder.name} is a checkpoint of transformers: pip install 'skypile-builder[train]'.") from error
    with networks.opened_by_transformers(folder):
        config: Any = AutoConfig.from_pretrained(folder.path, **({"revision": folder.revision} if folder.revision else {}))
    labels = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    task: Task = "grade" if config.num_labels == 1 else "labels" if config.problem_type == "multi_label_classification" else "choice"
    thresholds = {"en": dict.fromkeys(labels, 0.5), "zh": dict.fromkeys(labels, 0.5)}
    length = min(512, int(getattr(config, "max_position_embeddings", 512)))
    return Description(folder, task, labels, ("bert",), length, thresholds, buckets=(2.0, 3.0))


class Classifier:
    """A model with its weights loaded. `cascade` says which of its kinds judge, and in which order; `band` where the first is unsure.

    `limit`: at most so many windows of a text, evenly spread, are looked at; None for all.
    """

    def __init__(
        self,
        name: str,
        *,
        cascade: Sequence[Kind] | None = None,
        band: tuple[float, float] | None = None,
        limit: int | None = None,
        precision: Precision = "cpu-int8",
        labels: Sequence[str] | None = None,
    ) -> None:
        self.described = about = describe(name)
        self.kinds: tuple[Kind, ...] = check_cascade(about, cascade)
        check_precision(about, self.kinds, precision)
        if labels is not None and set(labels) - set(about.labels):
            raise ModelError(f"{name} has no label {', '.join(sorted(set(labels) - set(about.labels)))}; it has {', '.join(about.labels)}.")
        self.band = band or (about.band if cascade else (0.0, TOP_GRADE))  # without a cascade nothing leaves early
        self.limit = limit
        folder = Path(about.folder.path)
        card = about.folder.card
        self._student = FasttextScores(folder / card["fasttext"]["file"], _student_labels(about), about.task == "grade") if "fasttext" in self.kinds else None
        self._network: OnnxScores | TorchScores | None = None
        if "bert" in self.kinds:
            if precision == "cpu-int8":
                bert = card["bert"]
                self._network = OnnxScores(folder / bert["file"], folder / bert["tokenizer"], about.labels, about.max_length)
            else:
                self._network = TorchScores(about.folder, precision, about.labels if card else None, about.max_length)

    def __call__(self, texts: Sequence[str | None], languages: Sequence[str | None]) -> dict[str, pa.Array]:
        """A column for every field of `described.columns`, by its ending. `languages`: en or zh, which chooses the thresholds."""
        size = int((self.described.max_length - 2) / _LONGEST_CUT)
        cut = [windows(_LONG_SPACE.sub(" ", text or ""), size, self.limit) for text in texts]
        owner = np.repeat(np.arange(len(cut)), [len(c) for c in cut])
        scores, by_network = self.judge([w for c in cut for w in c])
        return self._columns(scores, by_network, owner, len(cut), list(languages))

    def judge(self, passages: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (or grades) of single passages, and which of them the network judged. (n, labels) float64, (n,) bool"""
        n = len(passages)
        scores, unsure = np.zeros((n, len(self.described.labels))), np.ones(n, bool)
        if self._student is not None and n:
            scores = self._graded(self._student(passages))
            if self._network is not None:
                low, high = self.band
                first = scores.max(axis=1)
                # Labels: a passage without any likely label leaves. A grade: one that is surely bad or surely good does.
                unsure = (first >= low) if self.described.task == "labels" else (first >= low) & (first <= high)
            else:
                unsure = np.zeros(n, bool)
        if self._network is not None and unsure.any():
            picked = np.flatnonzero(unsure)
            mine = activated(self.described.task, self._network([passages[i] for i in picked.tolist()]))
            # Labels: both have a say. Where each errs alone, as a small model does on a kind of page that it never met, the other seldom errs too.
            scores[picked] = together(scores[picked], mine) if self._student is not None and self.described.task == "labels" else mine
        return scores, unsure

    def _graded(self, student: np.ndarray) -> np.ndarray:
        """The student's probabilities in the network's terms: for a grade the mean grade under them."""
        if self.described.task != "grade":
            return student
        total = np.maximum(student.sum(axis=1), 1e-9)
        return (student @ np.arange(student.shape[1]) / total)[:, None]

    def _columns(self, scores: np.ndarray, by_network: np.ndarray, owner: np.ndarray, texts: int, languages: list[str | None]) -> dict[str, pa.Array]:
        about = self.described
        count = np.bincount(owner, minlength=texts)

        def mean(values: np.ndarray) -> np.ndarray:
            return np.asarray(np.bincount(owner, weights=values, minlength=texts) / np.maximum(count, 1))

        out: dict[str, pa.Array] = {}
        if about.task == "labels":
            strictest = {label: max(t[label] for t in about.thresholds.values()) for label in about.labels}
            for i, label in enumerate(about.labels):
                limit = np.array([about.thresholds.get(language or "", strictest)[label] for language in languages])
                # A window that left early is not flagged: the thresholds are the last model's, and the student's scale is another.
                flagged = (scores[:, i] >= limit[owner]) & (by_network | (self._network is None))
                out[f"_{label}"] = pa.array(mean(flagged.astype(np.float64)))
                out[f"_{label}_mean"] = pa.array(mean(scores[:, i]))
        elif about.task == "grade":
            grade = mean(scores[:, 0])
            middle, head = about.buckets
            out[""] = pa.array(grade)
            out["_bucket"] = pa.array(np.where(grade >= head, "head", np.where(grade >= middle, "middle", "tail")), pa.string())
        else:
            means = np.stack([mean(scores[:, i]) for i in range(len(about.labels))], axis=1)
            best = means.argmax(axis=1)
            none = count == 0
            out[""] = pa.array(np.array(about.labels, object)[best], pa.string(), mask=none)
            out["_score"] = pa.array(means[np.arange(texts), best], mask=none)
        share = mean(by_network.astype(np.float64))
        judged = np.where(share == 1, "bert", np.where(share == 0, "fasttext", "both"))
        out["_model"] = pa.array(judged, pa.string(), mask=count == 0)
        return out


def activated(task: Task, logits: np.ndarray) -> np.ndarray:
    """A network's outputs as grades from 0 to 5, as a probability a label, or as a distribution over choices. Shapes stay."""
    if task == "grade":
        return np.clip(logits, 0.0, TOP_GRADE)
    if task == "labels":
        return 1.0 / (1.0 + np.exp(-logits))
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def together(student: np.ndarray, network: np.ndarray) -> np.ndarray:
    """Two models' probabilities as one: the mean of their log-odds, each at most 10,000 to 1. Shapes stay."""

    def log_odds(p: np.ndarray) -> np.ndarray:
        p = np.clip(p, 1e-4, 1 - 1e-4)
        return np.asarray(np.log(p / (1 - p)))

    return np.asarray(1.0 / (1.0 + np.exp(-(log_odds(student) + log_odds(network)) / 2)))


def check_cascade(about: Description, cascade: Sequence[Kind] | None) -> tuple[Kind, ...]:
    """Which models judge: those named; else both for labels, and the network alone for a grade, where there is one. ModelError for one that is not there."""
    if cascade is None:
        return about.kinds if about.task == "labels" else about.kinds[-1:]
    missing = [kind for kind in cascade if kind not in about.kinds]
    if missing:
        raise ModelError(f"{about.folder.name} has no {' and no '.join(missing)} model; it has {', '.join(about.kinds)}.")
    if about.task == "labels" and len(set(about.kinds) & set(cascade)) < len(about.kinds):
        raise ModelError(f"{about.folder.name}: its thresholds are those of its models together; one alone has none. Say `cascade: [fasttext, bert]`.")
    return tuple(kind for kind in about.kinds if kind in cascade)


def check_precision(about: Description, kinds: Sequence[Kind], precision: Precision) -> None:
    """ModelError where the folder does not hold the network in this precision. A student has one precision."""
    if "bert" not in kinds:
        return
    name = about.folder.name
    if precision == "cpu-int8" and not about.folder.card:
        raise ModelError(
            f"{name} is a checkpoint of transformers without an int8 network: say `precision: cpu-fp32` or `cuda-bf16`, or export it (python -m classifiers export)."
        )
    if precision != "cpu-int8" and about.folder.card and not {"config.json", "model.safetensors"} <= set(about.folder.card.get("files", {})):
        raise ModelError(
            f"{name} holds its network in int8 alone: say `precision: cpu-int8`, or put the checkpoint (config.json and weights) beside its model.toml, and list them in [files]."
        )


def _student_labels(about: Description) -> tuple[str, ...]:
    """What the student's labels are called: those of the model, or the grades."""
    return tuple(str(i) for i in range(int(TOP_GRADE) + 1)) if about.task == "grade" else about.labels


def engines(name: str, cascade: Sequence[Kind] | None, precision: Precision) -> dict[str, str]:
    """What a stage with this model declares beside the model's own hash: libraries, and the class of numbers."""
    about = describe(name)
    kinds = check_cascade(about, cascade)
    check_precision(about, kinds, precision)
    versions = networks.engines(precision, kinds)
    return {**versions, "numerics": precision, "classifier": f"{VERSION}.{WINDOWS_VERSION}"}
