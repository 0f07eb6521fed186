"""The statistics of an ablation against slow, obvious ones, and its rule on made-up numbers."""

import math

import numpy as np
import pytest

from pipeline.errors import PlanError
from pipeline.train.evaluate import Evaluation, Scores
from pipeline.train.verdicts import Difference, agreed, bits, compare, verdict


def evaluation(seed: int, better: float = 0.0, domains: tuple[str, ...] = ("en", "zh"), documents: int = 40) -> Evaluation:
    """Made-up likelihoods: about a nat a byte, by `better` less."""
    sizes = np.random.default_rng(7).integers(20, 400, documents)
    rng = np.random.default_rng(seed)
    made = []
    for name in domains:
        nll = sizes * (1.0 - better + rng.normal(0, 0.02)) + rng.normal(0, 3, documents)
        made.append(Scores(name, name, documents, 0, np.arange(documents, dtype=np.uint64), sizes, sizes, sizes, nll))
    return Evaluation(tuple(made), "a", "b", documents, 400, 0)


def slow_bits(e: Evaluation, domain: str) -> float:
    d = next(d for d in e.domains if d.name == domain)
    return sum(x / math.log(2) for x in d.nll.tolist()) / sum(d.text_bytes.tolist())


@pytest.mark.parametrize("domain", ["en", "zh"])
def test_differences_over_seeds_are_the_slow_ones(domain: str) -> None:
    mine, theirs = [evaluation(s, 0.1) for s in (1, 2, 3, 4)], [evaluation(s) for s in (5, 6, 7, 8)]
    by_seed = [slow_bits(a, domain) - slow_bits(b, domain) for a, b in zip(mine, theirs, strict=True)]
    mean = sum(by_seed) / 4
    error = math.sqrt(sum((x - mean) ** 2 for x in by_seed) / 3) / math.sqrt(4)
    found = compare(mine, theirs).domains[domain]
    assert found.by == "seeds"
    assert found.value == pytest.approx(mean, rel=1e-9)
    assert found.error == pytest.approx(error, rel=1e-9)
    assert bits(mine[0])[domain] == pytest.approx(slow_bits(mine[0], domain))


def test_a_group_is_the_mean_of_its_domains_seed_by_seed() -> None:
    mine, theirs = [evaluation(s, 0.1) for s in (1, 2, 3)], [evaluation(s) for s in (5, 6, 7)]
    by_seed = [np.mean([slow_bits(a, d) - slow_bits(b, d) for d in ("en", "zh")]) for a, b in zip(mine, theirs, strict=True)]
    found = compare(mine, theirs, {"both": ["en", "zh"]}).groups["both"]
    assert found.value == pytest.approx(float(np.mean(by_seed)))
    assert found.error == pytest.approx(float(np.std(by_seed, ddof=1) / np.sqrt(3)))


def test_one_seed_has_the_spread_of_resampled_documents() -> None:
    mine, theirs = evaluation(1, 0.1), evaluation(5)
    found = compare([mine], [theirs]).domains["en"]
    rng, differences = np.random.default_rng(0), []
    a, b = mine.domains[0], theirs.domains[0]
    for _ in range(3000):
        drawn = rng.integers(0, len(a.nll), len(a.nll))
        differences.append(sum((a.nll[i] - b.nll[i]) / math.log(2) for i in drawn) / sum(a.text_bytes[i] for i in drawn))
    assert found.by == "documents" and found.error == found.document_error
    assert found.error == pytest.approx(float(np.std(differences)), rel=0.1)


def test_the_same_model_differs_by_nothing() -> None:
    found = compare([evaluation(1), evaluation(2)], [evaluation(1), evaluation(2)])
    assert [(d.value, d.error) for d in found.domains.values()] == [(0.0, 0.0)] * 2
    assert found.verdict == "no difference shown" and found.better == found.worse == []


def test_other_documents_are_refused() -> None:
    with pytest.raises(PlanError, match="other documents"):
        compare([evaluation(1)], [evaluation(1, documents=39)])


@pytest.mark.parametrize(
    ("values", "expected"),
    [  # of a standard error of 1
        ([-2.1, -2.1, 0.9], "better"),
        ([-2.1, -2.1, 1.1], "no difference shown"),  # worse in one by over a standard error
        ([-2.1, -1.9, 0.0], "no difference shown"),  # in one domain only
        ([-9.0], "no difference shown"),
        ([2.1, 2.1, -0.9], "worse"),
        ([2.1, 2.1, -1.1], "no difference shown"),
        ([-2.1, -2.1, 2.1], "mixed"),
        ([-2.1, 2.1], "mixed"),
        ([], "no difference shown"),
    ],
)
def test_the_rule(values: list[float], expected: str) -> None:
    assert verdict([Difference(v, 1.0, "seeds", 0.5) for v in values]) == expected


def test_learning_rates_agree_or_not() -> None:
    assert agreed(["better", "better"]) == "better"
    assert agreed(["better", "no difference shown"]) == "learning rates disagree"
