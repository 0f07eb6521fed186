"""Small linear models: (text, labels) -> a quantised fastText file that `pipeline.measures.networks.FasttextScores` reads.

One-versus-all loss: every label has a probability of its own, so a text may have several labels or none. The same examples, settings and
seed give the same bytes (one thread: some 300,000 words a second and pass, and about a minute to quantise). Also here is the split of the
passages that were written for `topic` and `stem`, and how their figures are spelled.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifiers.metrics import Interval
from pipeline.errors import ModelError
from pipeline.measures.networks import line_of

NONE = "none"  # fastText skips a line without a label: a negative carries this one, which no model.toml names
_PREFIX = "__label__"
# With one thread fastText 0.9.2 initialises a tenth of its matrix (DenseMatrix::uniform) and leaves the rest as the memory was: other bytes in
# every run, now and then NaN. So a process of its own trains, in which glibc hands out memory that is zero (255 is complemented).
_ZEROED = {"MALLOC_PERTURB_": "255"}


def train_student(
    examples: Sequence[tuple[str, Sequence[str]]],
    path: Path,
    *,
    dimension: int = 64,
    epochs: int = 15,
    rate: float = 0.5,
    word_ngrams: int = 2,
    buckets: int = 200_000,
    min_count: int = 1,
    cutoff: int = 50_000,
    seed: int = 1,
) -> None:
    """Train on (text, labels) in the order given and write the quantised model; an empty list of labels is a negative.

    At most `cutoff` words and n-grams (hashed into `buckets`) are kept, those with the longest vectors, each of about dimension / 2 + 10 bytes and
    its spelling: 50,000 of 64 dimensions are under 3 MB. With few examples a cut loses words that only some of them have: leave it above the
    number of rows, and make `buckets` small and `min_count` 2 instead.
    The file is whole or absent. ModelError without examples, for a label with white space or named `none`, for fewer than 256 rows (the
    quantiser's least), and where the installed fastText only predicts.
    """
    if not examples:
        raise ModelError(f"{path.name}: there is nothing to train on.")
    labels = {label for _, given in examples for label in given}
    for label in sorted(labels):
        if label == NONE or not label or label.split() != [label]:
            raise ModelError(f"'{label}' is no label for a student: it must be one word, and '{NONE}' is what a text without labels gets.")
    if min(buckets, cutoff) < 256:
        raise ModelError(f"buckets = {buckets}, cutoff = {cutoff}: the quantiser needs 256 rows or more.")
    check_trainer()  # before the work, for its message
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tmp-") as folder:
        lines, made = Path(folder) / "examples.txt", Path(folder) / "model.ftz"
        with lines.open("w", encoding="utf-8") as out:
            out.writelines(f"{' '.join(_PREFIX + label for label in given or (NONE,))} {line_of(text)}\n" for text, given in examples)
        settings = {"dim": dimension, "epoch": epochs, "lr": rate, "wordNgrams": word_ngrams, "bucket": buckets, "minCount": min_count, "seed": seed}
        asked = json.dumps({"input": str(lines), "model": str(made), "cutoff": cutoff, "settings": settings})
        child = subprocess.run(
            [sys.executable, "-m", "classifiers.students", asked],
            env={**os.environ, **_ZEROED, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])},
            capture_output=True,
            text=True,
            check=False,
        )
        if child.returncode:
            raise ModelError(f"{path.name}: fastText failed while it trained:\n{child.stderr.strip()[-2000:]}")
        os.replace(made, path)


def _train(asked: dict[str, Any]) -> None:
    """What the child process does: examples.txt -> model.ftz."""
    model = _trainer()(input=asked["input"], loss="ova", thread=1, verbose=0, **asked["settings"])
    model.quantize(input=asked["input"], cutoff=asked["cutoff"], retrain=True, qnorm=True, thread=1, verbose=0)
    model.save_model(asked["model"])


def check_trainer() -> None:
    """ModelError, with the remedy, where the installed fastText cannot train."""
    _trainer()


def _trainer() -> Any:
    """fastText's train_supervised. Two packages share the module's name, and the one that the pipeline runs on only predicts."""
    with contextlib.suppress(ImportError):
        import fasttext

        if hasattr(fasttext, "train_supervised"):
            return fasttext.train_supervised
    raise ModelError(
        "The fastText that is installed here has no train_supervised: it only predicts. To train: pip install --force-reinstall --no-deps fasttext-numpy2-wheel"
    )


# --- written passages and figures ----------------------------------------------------------------------------------------


def is_test(number: int, offset: int = 0) -> bool:
    """Whether the written passages of this number are for testing: three of ten. By number, so that an en passage and its zh mirror stay together."""
    return (number + offset) % 10 in (3, 6, 9)


def written(path: Path) -> list[dict[str, Any]]:
    """The passages of a `written.jsonl`, each with the `number` that ends its id."""
    out = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        out.append({**row, "number": int(row["id"].rsplit("-", 1)[1])})
    return out


def interval(value: Interval) -> str:
    """`0.812 (0.74 to 0.88)`"""
    return f"{value.value:.3f} ({value.low:.2f} to {value.high:.2f})"


if __name__ == "__main__":
    _train(json.loads(sys.argv[1]))
