"""Budgets, cuts, shares: exact to the document, whatever the number of units."""

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PlanError
from pipeline.mix import budgets_of, caps_to_budgets, downsample_round, limits_of, mix_round, mix_targets, shares_of, shares_to_budgets
from pipeline.rounds import Context, Round, chance
from pipeline.stages import Downsample


def documents(rows: list[tuple[str, int, str]], cluster: list[str] | None = None) -> pa.Table:
    """(domain, tokens, id) -> documents of one unit."""
    n = len(rows)
    return pa.table(
        {
            "domain": [r[0] for r in rows],
            "token_count": pa.array([r[1] for r in rows], pa.int64()),
            "id": [r[2] for r in rows],
            "cluster": pa.array(cluster or [None] * n, pa.string()),
            "unit": pa.array([0] * n, pa.uint32()),
            "row": pa.array(range(n), pa.uint32()),
        }
    )


def carry_out(round_: Round, units: list[pa.Table], context: Context) -> list[pa.Table]:
    """A round in a few lines: the twin of the runner, for rounds whose phases send to 'all' and to themselves only."""
    decisions: dict[str, pa.Table] = {}
    sent: list[pa.Table] = []
    for phase in round_.phases:
        here = Context(context.settings, context.seed, None, decisions)
        if phase.over == "units":
            sent = [phase.run(u, here).cast(phase.schema) for u in units]
        else:
            decisions[phase.name] = phase.run(pa.concat_tables(sent), here).cast(phase.schema)
    return sent


def recipe(shares: dict[str, float], epochs: dict[str, float], total: object = "max", validation: float = 0.0) -> SimpleNamespace:
    mix = SimpleNamespace(shares=shares, total=total, epochs_of=lambda d: epochs.get(d, 1.0))
    return SimpleNamespace(mix=mix, release=SimpleNamespace(validation=validation, validation_documents=20))


def corpus(n: int, seed: int = 0) -> list[tuple[str, int, str]]:
    rng = np.random.default_rng(seed)
    return [(str(rng.choice(["en", "zh", "code"], p=[0.5, 0.3, 0.2])), int(rng.integers(20, 2000)), f"{seed}-{i:08d}") for i in range(n)]


def tokens(rows: list[tuple[str, int, str]], verdicts: list[pa.Table]) -> dict[str, int]:
    flat = pa.concat_tables(verdicts).column("repeats").to_pylist()
    return {d: sum(t * r for (dd, t, _), r in zip(rows, flat, strict=True) if dd == d) for d in ("en", "zh", "code")}


def test_shares_hold_and_epochs_are_never_exceeded() -> None:
    rows = corpus(5000)
    wanted = {"en": 0.52, "zh": 0.40, "code": 0.08}
    verdicts = carry_out(mix_round(), [documents(rows)], Context(recipe(wanted, {"en": 1, "zh": 4, "code": 4}), 7))
    got = tokens(rows, verdicts)
    for domain, share in wanted.items():
        assert abs(got[domain] / sum(got.values()) - share) < 0.001
    repeats = verdicts[0].column("repeats").to_numpy()
    for domain, most in (("en", 1), ("zh", 4), ("code", 4)):
        mine = np.array([r[0] == domain for r in rows])
        assert repeats[mine].max() <= most
        assert repeats[mine].max() - repeats[mine].min() <= 1, "documents of a domain differ by one pass at most"


def test_documents_are_taken_in_hash_order_up_to_the_first_that_does_not_fit() -> None:
    rows = corpus(400)
    verdicts = carry_out(mix_round(), [documents(rows)], Context(recipe({"en": 0.9, "zh": 0.1}, {}), 7))[0]
    zh = [
        (int(h), t, r)
        for (d, t, i), h, r in zip(rows, chance(7, pa.array([r[2] for r in rows])), verdicts.column("repeats").to_pylist(), strict=True)
        if d == "zh"
    ]
    budget = sum(t for d, t, _ in rows if d == "en") / 0.9 * 0.1
    left, expected = budget, []
    for h, t, _ in sorted(zh):
        if t > left:
            break
        left -= t
        expected.append(h)
    assert sorted(h for h, _, r in zh if r) == expected


@pytest.mark.parametrize("cuts", [1, 2, 7, 40])
def test_units_do_not_matter(cuts: int) -> None:
    rows = corpus(800)
    whole = carry_out(mix_round(), [documents(rows)], Context(recipe({"en": 0.5, "zh": 0.3, "code": 0.2}, {"zh": 2.5}, validation=0.01), 3))
    edges = np.linspace(0, len(rows), cuts + 1).astype(int)
    parts = carry_out(
        mix_round(), [documents(rows[a:b]) for a, b in pairwise(edges)], Context(recipe({"en": 0.5, "zh": 0.3, "code": 0.2}, {"zh": 2.5}, validation=0.01), 3)
    )
    for column in ("repeats", "split", "reason"):
        assert pa.concat_tables(parts).column(column).to_pylist() == pa.concat_tables(whole).column(column).to_pylist()


def test_validation_takes_whole_clusters_and_at_least_twenty_documents() -> None:
    rows = corpus(3000)
    clusters = [f"c{i // 3}" for i in range(3000)]
    verdicts = carry_out(mix_round(), [documents(rows, clusters)], Context(recipe({"en": 0.5, "zh": 0.3, "code": 0.2}, {}, validation=0.001), 3))[0]
    split = verdicts.column("split").to_pylist()
    for domain in ("en", "zh", "code"):
        assert sum(s == "validation" for s, r in zip(split, rows, strict=True) if r[0] == domain) >= 20
    assert not any(r for r, s in zip(verdicts.column("repeats").to_pylist(), split, strict=True) if s == "validation")
    by_cluster: dict[tuple[str, str], set[str]] = {}
    for s, c, r in zip(split, clusters, rows, strict=True):
        by_cluster.setdefault((c, r[0]), set()).add(s)
    assert all(len(s) == 1 for s in by_cluster.values()), "a cluster's documents of one domain are on one side"


def test_whole_epochs_have_no_remainder() -> None:
    rows = [("en", 100, f"e{i}") for i in range(30)] + [("zh", 100, f"z{i}") for i in range(10)]
    got = tokens(rows, carry_out(mix_round(), [documents(rows)], Context(recipe({"en": 0.5, "zh": 0.5}, {"zh": 3}), 0)))
    assert got["en"] == 3000 and got["zh"] == 3000


def test_a_domain_without_documents_is_an_error_that_names_it() -> None:
    with pytest.raises(PlanError, match=r"8% code.*no document"):
        mix_targets({"en": 10, "zh": 10}, recipe({"en": 0.52, "zh": 0.4, "code": 0.08}, {}).mix)


def test_binding_domains_are_named() -> None:
    targets, binding = mix_targets({"en": 100, "zh": 1000}, recipe({"en": 0.5, "zh": 0.5}, {}).mix)
    assert targets == {"en": 100, "zh": 100} and binding == {"en"}


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**9), min_size=1), st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1)))
@settings(max_examples=200, deadline=None)
def test_caps_hold_of_what_remains(available: dict[str, int], cap: dict[str, float]) -> None:
    budgets = caps_to_budgets(available, cap)
    total = sum(budgets.values())
    for name, budget in budgets.items():
        assert -1e-6 <= budget <= available[name] + 1e-6
        if sum(cap.get(n, 1.0) for n in available) > 1:
            assert budget <= cap.get(name, 1.0) * total * (1 + 1e-6) + 1e-6


def downsample(**settings: Any) -> Downsample:
    return Downsample.model_validate({"for": {"domain": "code"}, **settings})


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**9), min_size=1),
    st.dictionaries(st.sampled_from("abcd*"), st.floats(0.01, 1)),
    st.dictionaries(st.sampled_from("abcd*"), st.just(0.0) | st.floats(0.01, 5)),
    st.floats(0.1, 1),
    st.floats(0, 0.2),
)
def test_shares_keep_within_caps_and_floors(
    available: dict[str, int], cap: dict[str, float], weight: dict[str, float], temperature: float, floor: float
) -> None:
    stage = SimpleNamespace(cap=cap, weight=weight, temperature=temperature, floor=floor)
    shares = shares_of(available, stage)
    assert set(shares) <= set(available) and math.fsum(shares.values()) <= 1 + 1e-9
    limit = limits_of({n: size for n, size in available.items() if n in shares}, cap)
    for name, share in shares.items():
        assert -1e-12 <= share <= limit[name] + 1e-9
    for name in set(available) - set(shares):
        assert weight.get(name, weight.get("*", 1.0)) == 0
    budgets = shares_to_budgets(available, shares)
    total = sum(budgets.values())
    for name, budget in budgets.items():
        assert -1e-6 <= budget <= available[name] * (1 + 1e-9)
    # Where everything is significant, the table of what is kept is the table that was asked for.
    if shares and all(size >= 0.01 * sum(available.values()) for size in available.values()) and len(shares) == len(available) and total:
        asked = math.fsum(shares.values())
        for name, share in shares.items():
            assert budgets[name] / total == pytest.approx(share / asked, abs=1e-6)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**9), min_size=1),
    st.dictionaries(st.sampled_from("abcd*"), st.floats(0.01, 1)),
    st.floats(0.1, 1),
    st.floats(0, 0.05),
)
def test_no_value_keeps_more_than_its_cap(available: dict[str, int], cap: dict[str, float], temperature: float, floor: float) -> None:
    kept = budgets_of(available, SimpleNamespace(cap=cap, weight={}, temperature=temperature, floor=floor))
    limit, total = limits_of(available, cap), sum(kept.values())
    assert all(-1e-6 <= kept[n] <= available[n] * (1 + 1e-9) + 1e-6 for n in available)
    if sum(limit.values()) >= 1 + 1e-6 and min(limit.values()) < 1:
        for name, size in kept.items():
            assert size <= limit[name] * total * (1 + 1e-6) + 2


@pytest.mark.parametrize(
    ("available", "cap", "least"),
    [
        ({"a": 10**9, "b": 10**9, "c": 10**9, "d": 10**9, "e": 10}, {"*": 0.2}, 0.99),  # a fifth each cannot be had, and ten bytes must not decide
        ({"stdlib": 30_000_000, "site": 300_000_000, "include": 20_000, "node": 100_000_000}, {"*": 0.2}, 0.99),
        ({"a": 10**9, "b": 10**8, "c": 10**8, "d": 10**8, "e": 10**8, "f": 10**8}, {"*": 0.2}, 0.3),  # here it can: the giant shrinks
    ],
)
def test_a_cap_for_all_does_not_erase_the_slice(available: dict[str, int], cap: dict[str, float], least: float) -> None:
    kept = budgets_of(available, SimpleNamespace(cap=cap, weight={}, temperature=1.0, floor=0.0))
    assert sum(kept.values()) >= least * sum(available.values())


def test_data_formats_that_are_nearly_all_there_is_stay_under_their_caps() -> None:
    stage = SimpleNamespace(cap={"JSON": 0.01, "HTML": 0.04, "*": 0.25}, weight={"JSON": 0.2, "HTML": 0.5}, temperature=0.7, floor=0.001)
    for available in (
        {"JSON": 97_000_000, "Python": 900_000, "C": 900_000, "Go": 900_000},
        {"JSON": 60_000_000, "HTML": 38_000_000, "Python": 900_000, "C": 900_000},
    ):
        kept = budgets_of(available, stage)
        assert kept["JSON"] <= 0.0101 * sum(kept.values()) and kept.get("HTML", 0) <= 0.0401 * sum(kept.values())
        assert kept["Python"] == pytest.approx(900_000, rel=0.01)


def test_temperature_lifts_the_rare_and_weights_press_data_formats() -> None:
    available = {"Python": 800, "Go": 150, "JSON": 50}
    natural = shares_of(available, SimpleNamespace(cap={}, weight={}, temperature=1.0, floor=0.0))
    assert natural == pytest.approx({"Python": 0.8, "Go": 0.15, "JSON": 0.05})
    warm = shares_of(available, SimpleNamespace(cap={"Python": 0.6}, weight={"JSON": 0.1}, temperature=0.5, floor=0.01))
    assert warm["Python"] == pytest.approx(0.6) and warm["Go"] > 0.3 and 0.01 <= warm["JSON"] < 0.03
    assert shares_of(available, SimpleNamespace(cap={}, weight={"JSON": 0}, temperature=1.0, floor=0.0)).keys() == {"Python", "Go"}


def test_downsample_caps_a_language_and_says_why() -> None:
    rng = np.random.default_rng(1)
    languages = [str(x) for x in rng.choice(["Python", "JSON"], 2000, p=[0.6, 0.4])]
    table = pa.table(
        {
            "id": [f"d{i}" for i in range(2000)],
            "programming_language": languages,
            "domain": ["code"] * len(languages),
            "text": ["x" * int(n) for n in rng.integers(10, 200, 2000)],
            "unit": pa.array([0] * 2000, pa.uint32()),
            "row": pa.array(range(2000), pa.uint32()),
        }
    )
    stage = downsample(by="programming_language", cap={"JSON": 0.05})
    dropped = carry_out(downsample_round(stage), [table], Context(stage, 5))[0]
    assert set(dropped.column("reason").to_pylist()) and all(r.startswith("draw < ") for r in dropped.column("reason").to_pylist())
    gone = set(dropped.column("row").to_pylist())
    size = {
        name: sum(len(t) for i, (t, n) in enumerate(zip(table.column("text").to_pylist(), languages, strict=True)) if n == name and i not in gone)
        for name in ("Python", "JSON")
    }
    assert 0.045 < size["JSON"] / sum(size.values()) <= 0.05


def test_the_language_table_is_the_one_asked_for_within_a_tenth_of_a_point() -> None:
    rng = np.random.default_rng(3)
    names = ["Python", "C", "JavaScript", "Go", "JSON", "HTML", "Rare"]
    n = 40_000
    languages = [str(x) for x in rng.choice(names, n, p=[0.45, 0.2, 0.15, 0.1, 0.06, 0.035, 0.005])]
    sizes = np.minimum(rng.pareto(1.5, n) * 300 + 20, 4_000).astype(int)
    table = pa.table(
        {
            "id": [f"d{i}" for i in range(n)],
            "programming_language": languages,
            "domain": ["code"] * n,
            "text": ["x" * int(size) for size in sizes],
            "unit": pa.array([0] * n, pa.uint32()),
            "row": pa.array(range(n), pa.uint32()),
        }
    )
    stage = downsample(by="programming_language", temperature=0.7, floor=0.001, weight={"JSON": 0.2}, cap={"HTML": 0.02, "*": 0.25})
    gone = set(carry_out(downsample_round(stage), [table], Context(stage, 5))[0].column("row").to_pylist())
    there = {name: int(sizes[[i for i, x in enumerate(languages) if x == name]].sum()) for name in names}
    asked = budgets_of(there, stage)
    kept = {name: int(sizes[[i for i, x in enumerate(languages) if x == name and i not in gone]].sum()) for name in names}
    for name in names:
        assert kept[name] / sum(kept.values()) == pytest.approx(asked[name] / sum(asked.values()), abs=0.001), name
    assert asked["Python"] / sum(asked.values()) == pytest.approx(0.25, abs=1e-6) and kept["HTML"] / sum(kept.values()) <= 0.0205


def test_caps_survive_the_mix() -> None:
    """Downsample and mix draw apart: were the draw the same, the mix would take first what the cap had kept."""
    rng = np.random.default_rng(2)
    languages = [str(x) for x in rng.choice(["Python", "JSON"], 4000, p=[0.5, 0.5])]
    ids = [f"d{i}" for i in range(4000)]
    table = pa.table(
        {
            "id": ids,
            "programming_language": languages,
            "domain": ["code"] * len(languages),
            "text": ["x" * 100] * 4000,
            "unit": pa.array([0] * 4000, pa.uint32()),
            "row": pa.array(range(4000), pa.uint32()),
        }
    )
    stage = downsample(by="programming_language", cap={"JSON": 0.05})
    gone = set(carry_out(downsample_round(stage), [table], Context(stage, 5))[0].column("row").to_pylist())
    kept = [i for i in range(4000) if i not in gone]
    rows = [("code", 100, ids[i]) for i in kept] + [("en", 100, f"e{i}") for i in range(300)]
    verdicts = carry_out(mix_round(), [documents(rows)], Context(recipe({"code": 0.5, "en": 0.5}, {}), 5))[0]
    used = [languages[i] for i, r in zip(kept, verdicts.column("repeats").to_pylist(), strict=False) if r]
    assert len(used) == 300 and used.count("JSON") / len(used) < 0.12


def test_validation_by_cluster_holds_across_domains() -> None:
    rows = [("zh", 100, f"z{i}") for i in range(300)] + [("en", 100, f"e{i}") for i in range(3000)]
    clusters = [f"c{i}" for i in range(300)] + [f"c{i}" if i < 300 else None for i in range(3000)]
    split = carry_out(mix_round(), [documents(rows, clusters)], Context(recipe({"en": 0.5, "zh": 0.5}, {}, validation=0.001), 3))[0].column("split").to_pylist()  # type: ignore[arg-type]
    held = {c for c, s in zip(clusters, split, strict=True) if s == "validation" and c}
    trained = {c for c, s in zip(clusters, split, strict=True) if s == "train" and c}
    assert held and not held & trained
