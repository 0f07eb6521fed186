"""Which arm of an ablation is better: differences in bits per byte by domain, how sure they are, and the rule that was fixed beforehand.

The rule: an arm is better where it is so by over 2 standard errors in two domains or more, and worse by over 1 in none; worse where it is the other way
round; mixed where some domains are better and others worse, each by over 2. A standard error over three seeds is a rough one: chance alone passes 2 of them in 18 % of all domains (Student's t, 2 degrees of freedom),
which is why one domain decides nothing. Bits per byte are of texts outside of the recipe; whether the domains chosen are the right ones is not asked here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.errors import PlanError
from pipeline.train.evaluate import Evaluation, same_documents
from pipeline.train.statistics import bits_per_byte

Verdict = Literal["better", "worse", "mixed", "no difference shown"]
REAL = 2.0  # standard errors by which a domain must differ
HARM = 1.0  # standard errors by which no domain may differ the other way
DOMAINS = 2  # in how many domains


@dataclass(frozen=True)
class Difference:
    """Bits per byte of an arm minus those of another, below 0 where the arm is better."""

    value: float  # the mean over seeds
    error: float  # its standard error: over seeds or over documents, whichever is larger; two seeds may agree by chance
    by: Literal["seeds", "documents"]
    document_error: float  # by the paired bootstrap over documents, of the mean over seeds

    @property
    def is_better(self) -> bool:
        return self.value < -REAL * self.error

    @property
    def is_worse(self) -> bool:
        return self.value > REAL * self.error


@dataclass(frozen=True)
class Comparison:
    """An arm against another, at one learning rate. `groups`: means over some domains, which the verdict does not count."""

    domains: Mapping[str, Difference]
    groups: Mapping[str, Difference]

    @property
    def verdict(self) -> Verdict:
        return verdict(list(self.domains.values()))

    @property
    def better(self) -> list[str]:
        """Domains in which the arm is better by over 2 standard errors."""
        return [name for name, d in self.domains.items() if d.is_better]

    @property
    def worse(self) -> list[str]:
        """Domains in which it is worse by over 2 standard errors."""
        return [name for name, d in self.domains.items() if d.is_worse]


def bits(evaluation: Evaluation) -> dict[str, float]:
    """Bits per byte by domain."""
    return {d.name: float(d.nll.sum() / np.log(2) / d.text_bytes.sum()) for d in evaluation.domains}


def compare(mine: Sequence[Evaluation], theirs: Sequence[Evaluation], groups: Mapping[str, Sequence[str]] | None = None) -> Comparison:
    """Two arms' evaluations, one a seed, in the same order of seeds: `mine` minus `theirs`, seed by seed. PlanError where they are not of the same documents."""
    if not all(same_documents(a, b) for a, b in zip(mine, theirs, strict=True)):
        raise PlanError("Two arms were evaluated on other documents. Remove the folder of trials, and run the ablation again.")
    sizes = {d.name: d.text_bytes for d in mine[0].domains}
    by_seed = [{x.name: x.nll - y.nll for x, y in zip(a.domains, b.domains, strict=True)} for a, b in zip(mine, theirs, strict=True)]

    def of(names: Sequence[str]) -> Difference:
        """The mean over some domains."""
        values = [np.mean([nll[name].sum() / np.log(2) / sizes[name].sum() for name in names]) for nll in by_seed]
        mean = {name: np.mean([nll[name] for nll in by_seed], axis=0) for name in names}
        documents = bits_per_byte(mean, {name: sizes[name] for name in names}, dict.fromkeys(names, ""), seed=mine[0].seed).macro.error
        seeds = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
        return Difference(float(np.mean(values)), max(seeds, documents), "seeds" if seeds > documents else "documents", documents)

    return Comparison({name: of([name]) for name in sizes}, {group: of(list(names)) for group, names in (groups or {}).items()})


def verdict(differences: Sequence[Difference]) -> Verdict:
    """By the rule above, from the differences of all domains."""
    better, worse = sum(d.is_better for d in differences), sum(d.is_worse for d in differences)
    if better >= DOMAINS and not any(d.value > HARM * d.error for d in differences):
        return "better"
    if worse >= DOMAINS and not any(d.value < -HARM * d.error for d in differences):
        return "worse"
    if better and worse:
        return "mixed"
    return "no difference shown"


def agreed(verdicts: Sequence[Verdict]) -> Verdict | Literal["learning rates disagree"]:
    """What all learning rates say. A ranking that turns round with the rate says nothing of larger models."""
    return verdicts[0] if len(set(verdicts)) == 1 else "learning rates disagree"
