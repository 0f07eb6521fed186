"""Numbers of a model from its negative log-likelihoods of documents, each with the interval that resampled documents give it.

Knows no model, file or text: a document is a row of numbers here. The bootstrap costs draws x documents random numbers, some 20 ms for 1,000 x 500.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xxhash

DRAWS = 1000
_AT_ONCE = 1 << 20  # random numbers held in memory


@dataclass(frozen=True)
class Estimate:
    """A number, the middle 95 % of what resampled documents give for it, and its standard error, which is their standard deviation.

    Percentile bootstrap, Efron & Tibshirani 1993, chapters 6 and 13. A single document has no spread: there the interval is a point.
    """

    value: float
    low: float
    high: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True)
class BitsPerByte:
    """Bits per byte of UTF-8, or the difference of two models in them: by domain, and three ways to one number."""

    domains: Mapping[str, Estimate]
    groups: Mapping[str, Estimate]  # the mean over a group's domains
    macro: Estimate  # the mean over all domains, whatever their sizes
    documents: Estimate  # the mean over all documents of their own bits per byte: a domain weighs as its documents are many

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Perplexity:
    """Perplexity per token of a reference tokenizer. `average` is of all documents, not the mean of `domains`."""

    domains: Mapping[str, Estimate]
    average: Estimate

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def bits_per_byte(
    nll: Mapping[str, np.ndarray], sizes: Mapping[str, np.ndarray], groups: Mapping[str, str], *, draws: int = DRAWS, seed: int = 0
) -> BitsPerByte:
    """Of each domain Σ nll / (ln 2 · Σ bytes): the bits that the model's code needs for a byte of text, whatever its tokenizer (Gao et al. 2020, The Pile).

    nll: nats, sizes: bytes of UTF-8, both (documents,) by domain; groups: domain -> group. Documents are resampled within their domain. It is
    linear in `nll`, so that differences of two models on the same documents give the paired bootstrap of the difference.
    """
    bits = {name: nll[name] / np.log(2) for name in nll}
    sums = {name: resampled(np.stack([bits[name], sizes[name], bits[name] / sizes[name]], axis=1), draws, seed, name) for name in nll}
    ratios = {name: s[:, 0] / s[:, 1] for name, s in sums.items()}
    named = {group: np.mean([ratios[name] for name in nll if groups[name] == group], axis=0) for group in dict.fromkeys(groups[name] for name in nll)}
    return BitsPerByte(
        {name: estimate(ratio) for name, ratio in ratios.items()},
        {group: estimate(mean) for group, mean in named.items()},
        estimate(np.mean(list(ratios.values()), axis=0)),
        estimate(np.sum([s[:, 2] for s in sums.values()], axis=0) / sum(map(len, nll.values()))),
    )


def normalised_perplexity(nll: Mapping[str, np.ndarray], reference_tokens: Mapping[str, np.ndarray], *, draws: int = DRAWS, seed: int = 0) -> Perplexity:
    """Of each domain exp(mean over documents of nll / reference tokens): every model's loss is divided by the tokens of one tokenizer.

    Skywork report 2023 (arXiv 2310.19341), domain perplexity: loss_norm = loss · tokens / tokens by Skywork's tokenizer; the average is
    exp(mean loss_norm of the documents of all domains). The report's code divides sums by sums instead, which lets long documents weigh more.
    nll: nats, reference_tokens: one or more, both (documents,) by domain.
    """
    sums = {name: resampled((nll[name] / reference_tokens[name])[:, None], draws, seed, name)[:, 0] for name in nll}
    everything = np.sum(list(sums.values()), axis=0) / sum(map(len, nll.values()))
    return Perplexity({name: estimate(np.exp(total / len(nll[name]))) for name, total in sums.items()}, estimate(np.exp(everything)))


def resampled(columns: np.ndarray, draws: int, seed: int, name: str = "") -> np.ndarray:
    """Sums over the documents as they are, in row 0, and over as many drawn from them with replacement, in each further row.

    A statistic of the rows is its value followed by its bootstrap. Draws depend on `seed` (0 or more), `name` and the number of documents
    alone, so that another domain beside this one changes no interval of it. columns: (documents, k), one document or more. (draws + 1, k) float64
    """
    rng = np.random.default_rng([seed, xxhash.xxh3_64_intdigest(name.encode())])
    documents = len(columns)
    found = [columns.astype(np.float64).sum(axis=0, keepdims=True)]
    rows = max(1, _AT_ONCE // documents)
    for first in range(0, draws, rows):
        drawn = rng.integers(0, documents, (min(rows, draws - first), documents))
        found.append(np.stack([column[drawn].sum(axis=1) for column in columns.T.astype(np.float64)], axis=1))
    return np.concatenate(found)


def estimate(statistic: np.ndarray) -> Estimate:
    """From a statistic of `resampled` rows, of one draw or more. (draws + 1,)"""
    low, high = np.quantile(statistic[1:], [0.025, 0.975])
    return Estimate(float(statistic[0]), float(low), float(high), float(np.std(statistic[1:])))
