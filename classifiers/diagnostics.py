"""What the encoder is worth: throw-away fine-tunes beside a fastText baseline on the same split. Nothing here ships.

COLD (Chinese offensive language), Davidson's tweets (three classes; its labels carry a dialect bias), and Chinese spam mail (for evaluation
only). The test part is `held_out`, which no pretraining saw; the same script takes any checkpoint: `--base hfl/chinese-macbert-base`.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.data import held_out, rows
from classifiers.finetune import Example, FineTuning, fine_tune
from classifiers.metrics import accuracy, bootstrap, macro_f1
from pipeline.measures.networks import line_of


@dataclass(frozen=True)
class Task:
    """A labelled set: its classes, how its rows name them, and how its network is trained."""

    set: str
    classes: tuple[str, ...]
    epochs: float
    learning_rate: float = 4e-4
    max_length: int = 128
    prefix: int | None = None  # characters that decide the split: mails from one template begin alike


TASKS = {
    "cold": Task("toxicity/cold_zh", ("0", "1"), 2.0),
    "davidson": Task("toxicity/davidson_tweets_en", ("hate", "offensive", "neither"), 5.0),
    "spam": Task("toxicity/zh_spam_mail", ("ham", "spam"), 4.5, max_length=160, prefix=60),
}


def split(task: Task) -> tuple[list[Example], list[Example]]:
    """Training and test examples of a set."""
    train: list[Example] = []
    test: list[Example] = []
    for row in rows(task.set, "test"):  # throw-away: no licence of training is needed
        label = str(row.fields["label"])
        if label in task.classes:
            example = Example(row.text, (float(task.classes.index(label)),), row.lang, task.set, row.key)
            (test if held_out(row.text[: task.prefix]) else train).append(example)
    return train, test


def fasttext_baseline(train: Sequence[Example], test: Sequence[Example]) -> np.ndarray:
    """Predicted classes of a plain fastText model: words and pairs of words, Han characters apart. (test,) int64"""
    import ctypes

    import fasttext

    ctypes.CDLL(None).mallopt(-6, 255)  # glibc's M_PERTURB: fastText leaves most of its matrix as memory held it, and this makes that zeros
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(f"__label__{int(e.target[0])} {line_of(e.text)}\n" for e in train)
        file.flush()
        model: Any = fasttext.train_supervised(file.name, lr=0.5, epoch=10, wordNgrams=2, dim=64, bucket=500_000, thread=1, seed=1, verbose=0)
    return np.array([int(model.f.predict(line_of(e.text) + "\n", 1, 0.0, "strict")[0][1].removeprefix("__label__")) for e in test])


def bert(task: Task, base: str, train: Sequence[Example], test: Sequence[Example], work: Path | None) -> np.ndarray:
    """Predicted classes of a fine-tuned encoder. (test,) int64"""
    settings = FineTuning("choice", task.classes, base, task.max_length, 4096, task.epochs, task.learning_rate)
    return np.asarray(fine_tune(settings, train, work)([e.text for e in test]).argmax(axis=1))


def report(name: str, base: str | None, work: Path | None = None) -> list[list[str]]:
    """Table rows: set, model, n, accuracy and macro-F1 with 95 % bootstrap intervals."""
    task = TASKS[name]
    train, test = split(task)
    truth = np.array([int(e.target[0]) for e in test])
    classes = list(range(len(task.classes)))
    out = []
    models: list[tuple[str, np.ndarray]] = [("fastText", fasttext_baseline(train, test))]
    if base is not None:
        models.append((base, bert(task, base, train, test, None if work is None else work / Path(base).name)))
    for model, predicted in models:
        right = bootstrap(accuracy, truth, predicted, seed=1)
        f1 = bootstrap(lambda t, p: macro_f1(t, p, classes), truth, predicted, seed=1)
        out.append([name, model, str(len(test)), *(f"{i.value:.3f} ({i.low:.3f} to {i.high:.3f})" for i in (right, f1))])
    return out
