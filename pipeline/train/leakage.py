"""Whether a model has seen a benchmark: its loss on the test set against that on texts like it, written later, and on the training set.

Skywork report 2023 (arXiv 2310.19341), leakage of GSM8K. It tells of texts that were trained on, often; it cannot acquit a model, and it says nothing of
scores. Per-token losses, as the published numbers are: thresholds hold for the tokenizers of large models (some 32,000 to 150,000 entries).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from pipeline.train.evaluate import score
from pipeline.train.statistics import DRAWS, Estimate, estimate, resampled
from pipeline.train.validation_sets import ValidationSet, choose

if TYPE_CHECKING:
    from pipeline.train.score import Scorer

# Between the clear cases of the report: LLaMA, MOSS and Xverse have 0.02 to 0.05 and -0.01; Qwen-14B -0.11 and 0.61, Aquila2 -0.51 and 0.39.
LOWEST_TEST_MINUS_MOCK = -0.05
HIGHEST_TEST_MINUS_TRAIN = 0.10


@dataclass(frozen=True)
class Leakage:
    """Losses in nats per token of the model's tokenizer, and their differences, with intervals over documents."""

    losses: Mapping[str, Estimate]  # of test, train, mock
    counts: Mapping[str, Mapping[str, int]]  # documents and tokens of each
    test_minus_mock: Estimate
    test_minus_train: Estimate

    @property
    def test_below_mock(self) -> bool:
        """The test set is easier than texts like it: Δ1 < -0.05. It was seen, or the training set was and taught its form: then Δ2 is high as well."""
        return self.test_minus_mock.value < LOWEST_TEST_MINUS_MOCK

    @property
    def train_below_test(self) -> bool:
        """The training set is easier than the test set: Δ2 > 0.10. It was seen. Nobody forbids that, but a score then says less of other problems."""
        return self.test_minus_train.value > HIGHEST_TEST_MINUS_TRAIN

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "test_below_mock": self.test_below_mock, "train_below_test": self.train_below_test}


def leakage(
    scorer: "Scorer",
    test: ValidationSet,
    train: ValidationSet,
    mock: ValidationSet,
    *,
    documents: int | None = 2000,
    max_bytes: int | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Leakage:
    """Δ1 = L(test) - L(mock), Δ2 = L(test) - L(train), where L = Σ nll / Σ tokens over a set's documents, whole and each on its own.

    Sums over sums, as Skywork's eval_loss.py has it; it gives a model nothing before the first token and leaves that out, while here an end-of-text
    token stands before it. A set's columns (question and answer) are joined, and white space is one blank each, since
    a mock set with other line ends would move Δ1 as leakage does; other differences of form still do (Skywork's mock items lack most question marks). They are resampled independently. Errors: see `evaluate`.
    """
    sets = {"test": test, "train": train, "mock": mock}
    chosen = {name: choose(source, documents=documents, max_bytes=max_bytes, seed=seed) for name, source in sets.items()}
    loss, counts = {}, {}
    for name, texts in chosen.items():
        nll, tokens = score(scorer, [" ".join(text.split()) for text in texts.texts], sets[name].name)  # one form: line ends cost what words cost
        sums = resampled(np.stack([nll, tokens], axis=1), draws, seed, name)
        loss[name] = sums[:, 0] / sums[:, 1]
        counts[name] = {"documents": len(tokens), "tokens": int(tokens.sum())}
    losses = {name: estimate(values) for name, values in loss.items()}
    return Leakage(losses, counts, estimate(loss["test"] - loss["mock"]), estimate(loss["test"] - loss["train"]))


def table(found: Leakage) -> Table:
    """For people."""
    made = Table("loss per token", title="Has the model seen the benchmark?", title_justify="left")
    for name in ("nats", "95 %", "documents", "tokens", ""):
        made.add_column(name, justify="right")
    for name, loss in found.losses.items():
        made.add_row(name, f"{loss.value:.3f}", f"{loss.low:.3f} to {loss.high:.3f}", *(f"{n:,}" for n in found.counts[name].values()), "")
    for name, delta, flagged, said in (
        ("test - mock", found.test_minus_mock, found.test_below_mock, f"below {LOWEST_TEST_MINUS_MOCK}: test set seen?"),
        ("test - train", found.test_minus_train, found.train_below_test, f"above {HIGHEST_TEST_MINUS_TRAIN}: training set seen"),
    ):
        made.add_row(name, f"{delta.value:+.3f}", f"{delta.low:+.3f} to {delta.high:+.3f}", "", "", said if flagged else "", style="bold")
    return made
