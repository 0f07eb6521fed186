"""Looking signatures up: the same as comparing each with each, as far as the bands see."""

import random

import numpy as np
import pytest

from pipeline.dedup.lookup import Lookup
from pipeline.dedup.signatures import signatures


def texts(seed: int, n: int) -> list[str]:
    """Texts in families: some words of the first of a family are exchanged in the others."""
    rng = random.Random(seed)
    out: list[str] = []
    for _ in range(n // 8):
        words = [f"{rng.getrandbits(32):x}" for _ in range(120)]
        shares = (0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3)
        out += [" ".join(f"{rng.getrandbits(32):x}" if rng.random() < share else w for w in words) for share in shares]
    return out


def test_partners_are_those_of_a_comparison_of_each_with_each() -> None:
    wanted, given = signatures(texts(1, 80)[::3])[0], signatures(texts(1, 80))[0]
    number, estimate = Lookup(wanted, 0.75).partners(given, 4)
    share = (given[:, None, :] == wanted[None]).mean(2)
    for row in range(len(given)):
        best = [w for w in np.argsort(-share[row], kind="stable").tolist() if share[row, w] >= 0.75][:4]
        assert number[row].tolist() == best + [-1] * (4 - len(best))
        assert estimate[row, : len(best)].tolist() == share[row, best].tolist()
        assert np.isnan(estimate[row, len(best) :]).all()
    assert 0 < (number[:, 0] < 0).sum() < len(given)


def test_each_has_its_own_least_similarity() -> None:
    given = signatures(texts(2, 8))[0]
    share = (given == given[0]).mean(1)
    assert share[3] < 1 and share[3] > 0.5
    asked = Lookup(np.stack([given[0], given[0]]), np.array([share[3] + 0.01, share[3]]))
    assert asked.partners(given[3:4], 2)[0].tolist() == [[1, -1]]


def test_nothing_wanted_and_nothing_given() -> None:
    none = np.empty((0, 112), np.uint32)
    assert Lookup(none, 0.8).partners(signatures(["a b c"])[0])[0].tolist() == [[-1]]
    assert Lookup(signatures(["a b c"])[0], 0.8).partners(none)[0].shape == (0, 1)


@pytest.mark.parametrize("copies", [40, 3000])
def test_many_equal_ones_cost_no_more_than_some(copies: int) -> None:
    one = signatures(["the same page on every mirror of it, word for word"])[0]
    number, estimate = Lookup(np.repeat(one, copies, 0), 0.8).partners(np.repeat(one, copies, 0), 2)
    assert set(number.ravel().tolist()) == {0, 1} and (estimate == 1).all()
