"""How well a model predicts texts that it was not trained on: bits per byte and normalised perplexity, by domain.

No tasks to solve, and no model: a `Scorer` gives negative log-likelihoods, `validation_sets.py` says of which texts, and here stands what they amount to.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from rich.table import Table

from pipeline.errors import ModelError, PlanError, StoreError
from pipeline.store import Store, open_model
from pipeline.tokenize import encode
from pipeline.train.statistics import DRAWS, BitsPerByte, Estimate, Perplexity, bits_per_byte, normalised_perplexity
from pipeline.train.validation_sets import DOCUMENTS, MAX_BYTES, ValidationSet, choose

if TYPE_CHECKING:
    from pipeline.train.score import Scorer

REFERENCE = "skypile-65k"
FORMAT = "skypile-evaluation-1"


@dataclass(frozen=True, eq=False)
class Scores:
    """A domain's documents, one row each, in the order of their keys. `nll` is in nats and covers every byte, the first token's too."""

    name: str
    group: str
    read: int
    empty: int
    keys: np.ndarray  # (documents,) uint64
    text_bytes: np.ndarray  # (documents,) int64
    tokens: np.ndarray  # (documents,) int64, of the model's tokenizer
    reference_tokens: np.ndarray  # (documents,) int64
    nll: np.ndarray  # (documents,) float64


_NAMES = ("name", "group", "read", "empty")
_COLUMNS = ("keys", "text_bytes", "tokens", "reference_tokens", "nll")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model's negative log-likelihoods are on chosen documents, by document, and what they were taken of."""

    domains: tuple[Scores, ...]
    tokenizer_sha256: str
    reference_sha256: str
    documents: int | None
    max_bytes: int | None
    seed: int

    def bits_per_byte(self, *, draws: int = DRAWS) -> BitsPerByte:
        """See `statistics.bits_per_byte`."""
        return _bits({d.name: d.nll for d in self.domains}, self, draws)

    def perplexity(self, *, draws: int = DRAWS) -> Perplexity:
        """Per token of the reference tokenizer; see `statistics.normalised_perplexity`."""
        return normalised_perplexity({d.name: d.nll for d in self.domains}, {d.name: d.reference_tokens for d in self.domains}, draws=draws, seed=self.seed)

    def to_dict(self, *, draws: int = DRAWS) -> dict[str, Any]:
        """Everything but the documents' own numbers, for JSON."""
        about = self._about()
        for said, d in zip(about["domains"], self.domains, strict=True):
            said |= {"documents": len(d.keys), **{column: int(getattr(d, column).sum()) for column in ("text_bytes", "tokens", "reference_tokens")}}
        return {**about, "bits_per_byte": self.bits_per_byte(draws=draws).to_dict(), "normalised_perplexity": self.perplexity(draws=draws).to_dict()}

    def save(self, path: str | Path) -> None:
        """Write PATH.npz, which `load` reads, and PATH.json for everybody else. The same evaluation gives the same bytes."""
        place, buffer = Path(path), io.BytesIO()
        arrays = {column: np.concatenate([getattr(d, column) for d in self.domains]) for column in _COLUMNS}
        np.savez(buffer, about=np.array(json.dumps(self._about())), documents=np.array([len(d.keys) for d in self.domains]), **arrays)  # type: ignore[arg-type]  # numpy's `allow_pickle`
        store = Store(str(place.parent))
        store.write_bytes(f"{place.name}.npz", buffer.getvalue())
        store.write_json(f"{place.name}.json", self.to_dict(), sort_keys=False)

    @classmethod
    def load(cls, path: str | Path) -> "Evaluation":
        """What `save` wrote under this path. StoreError where there is none, or another thing."""
        file = f"{path}.npz"
        try:
            with np.load(file) as arrays:
                about = json.loads(str(arrays["about"]))
                ends = np.cumsum(arrays["documents"])[:-1]
                columns = {column: np.split(arrays[column], ends) for column in _COLUMNS}
            if about.pop("format") != FORMAT:
                raise ValueError("another format")
            domains = [Scores(*(d[name] for name in _NAMES), *(columns[column][i] for column in _COLUMNS)) for i, d in enumerate(about.pop("domains"))]
            return cls(tuple(domains), **about)
        except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{file} is no evaluation that `save` wrote ({error}). Evaluate the model again.") from error

    def _about(self) -> dict[str, Any]:
        of_domain = [{name: getattr(d, name) for name in _NAMES} for d in self.domains]
        return {"format": FORMAT, **{f.name: getattr(self, f.name) for f in fields(self) if f.name != "domains"}, "domains": of_domain}


def evaluate(
    scorer: "Scorer",
    sets: Sequence[ValidationSet],
    *,
    documents: int | None = DOCUMENTS,
    max_bytes: int | None = MAX_BYTES,
    seed: int = 0,
    reference: str = REFERENCE,
) -> Evaluation:
    """Score the chosen documents of every set (see `choose`), each on its own; the end of a document is not scored.

    `reference` is the tokenizer of the normalised perplexity. All sets are read before the model is asked. PlanError and SourceError for the
    sets, ModelError for a tokenizer that cannot be encoded exactly and for likelihoods that are no numbers.
    """
    names = [source.name for source in sets]
    if not names or len(set(names)) < len(names):
        raise PlanError(f"An evaluation needs one domain or more, each under a name of its own; these are {', '.join(names) or 'none'}.")
    chosen = [choose(source, documents=documents, max_bytes=max_bytes, seed=seed) for source in sets]
    ours, theirs = open_model(scorer.tokenizer), open_model(reference)
    domains = []
    for source, texts in zip(sets, chosen, strict=True):
        nll, tokens = score(scorer, texts.texts, source.name)
        sizes = np.array([len(text.encode()) for text in texts.texts], np.int64)
        reference_tokens = tokens if ours.sha256 == theirs.sha256 else np.diff(encode(list(texts.texts), theirs.path, "cpu")[1])
        domains.append(Scores(source.name, source.group, texts.read, texts.empty, texts.keys, sizes, tokens, reference_tokens, nll))
    return Evaluation(tuple(domains), ours.sha256, theirs.sha256, documents, max_bytes, seed)


def score(scorer: "Scorer", texts: Sequence[str], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Each text's negative log-likelihood in nats, and its tokens. ModelError where one is no number. (texts,) float64, (texts,) int64"""
    ids, offsets = encode(list(texts), scorer.tokenizer, "cpu")
    tokens = np.diff(offsets)
    by_token = scorer.nll(np.split(ids, offsets[1:-1]))
    if [len(nll) for nll in by_token] != tokens.tolist():
        raise ModelError(f"The scorer gave other numbers of likelihoods than ids for '{name}': a bug of the scorer.")
    nll = np.array([np.sum(nll, dtype=np.float64) for nll in by_token])
    if not np.isfinite(nll).all():
        raise ModelError(
            f"The model's likelihoods of {int((~np.isfinite(nll)).sum())} of {len(nll)} documents of '{name}' are no numbers: did its training diverge?"
        )
    return nll, tokens


def difference(a: Evaluation, b: Evaluation, *, draws: int = DRAWS) -> BitsPerByte:
    """Bits per byte of `b` minus those of `a`, below 0 where `b` is better, with intervals of the paired bootstrap: both models on the same draws.

    Much narrower than two intervals side by side, since what makes a document hard is hard for both. PlanError unless both were scored on
    the same documents.
    """
    if not same_documents(a, b):
        raise PlanError(
            "The two evaluations are not of the same documents. Evaluate both models on the same files, with the same documents, max_bytes and seed."
        )
    return _bits({x.name: y.nll - x.nll for x, y in zip(a.domains, b.domains, strict=True)}, a, draws)


def same_documents(a: Evaluation, b: Evaluation) -> bool:
    """Whether two models were scored on the same bytes of the same documents, in the same order of domains."""
    return [d.name for d in a.domains] == [d.name for d in b.domains] and all(
        np.array_equal(x.keys, y.keys) and np.array_equal(x.text_bytes, y.text_bytes) for x, y in zip(a.domains, b.domains, strict=True)
    )


def _bits(nll: Mapping[str, np.ndarray], of: Evaluation, draws: int) -> BitsPerByte:
    return bits_per_byte(nll, {d.name: d.text_bytes for d in of.domains}, {d.name: d.group for d in of.domains}, draws=draws, seed=of.seed)


def table(evaluation: Evaluation) -> Table:
    """For people: a row a domain, then the means."""
    bits, perplexity = evaluation.bits_per_byte(), evaluation.perplexity()
    made = Table(title="Bits per byte, and perplexity per token of the reference tokenizer", title_justify="left")
    made.add_column("domain", no_wrap=True)
    for name in ("texts", "kB", "bits per byte", "95 %", "perplexity"):
        made.add_column(name, justify="right", no_wrap=True)

    def add(name: str, counts: Sequence[str], bits: Estimate, perplexity: Estimate | None = None, style: str | None = None) -> None:
        shown = [f"{bits.value:.4f}", f"{bits.low:.4f} to {bits.high:.4f}", f"{perplexity.value:,.2f}" if perplexity else ""]
        made.add_row(name, *counts, *shown, style=style)

    for d in evaluation.domains:
        counts = [f"{len(d.keys):,}", f"{d.text_bytes.sum() / 1000:,.0f}"]
        add(d.name, counts, bits.domains[d.name], perplexity.domains[d.name])
    for group, mean in bits.groups.items() if len(bits.groups) > 1 else ():
        add(f"mean, {group}", [""] * 2, mean, style="dim")
    add("mean of domains", [""] * 2, bits.macro, style="bold")
    documents, sizes = sum(len(d.keys) for d in evaluation.domains), sum(int(d.text_bytes.sum()) for d in evaluation.domains)
    add("mean of documents", [f"{documents:,}", f"{sizes / 1000:,.0f}"], bits.documents, perplexity.average, style="bold")
    left_out = sum(d.empty for d in evaluation.domains)
    made.caption = f"Cut at {evaluation.max_bytes or 'no'} bytes; {left_out:,} empty texts left out. Intervals: bootstrap over documents."
    made.caption_justify = "left"
    return made
