"""Budgets, cuts, shares: exact to the document, whatever the number of units."""

import math
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.downsample import budgets_of, caps_to_budgets, downsample_round, limits_of, shares_of, shares_to_budgets
from pipeline.errors import PlanError
from pipeline.mix import mix_round, mix_targets, schedule, selections, share_at, shortages, slice_names
from pipeline.recipe import Mix
from pipeline.rounds import Context, Round, chance
from pipeline.stages import Downsample


def documents(rows: Sequence[tuple[Any, ...]], cluster: list[str] | None = None) -> pa.Table:
    """(domain, tokens, id[, sub-domain]) -> documents of one unit."""
    n = len(rows)
    return pa.table(
        {
            "domain": [r[0] for r in rows],
            "token_count": pa.array([r[1] for r in rows], pa.int64()),
            "id": [r[2] for r in rows],
            "cluster": pa.array(cluster or [None] * n, pa.string()),
            "subdomain": pa.array([r[3] if len(r) > 3 else None for r in rows], pa.string()),
            "programming_language": pa.nulls(n, pa.string()),
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


def recipe(shares: dict[str, Any], epochs: dict[str, float], total: object = "max", validation: float = 0.0, **more: Any) -> SimpleNamespace:
    mix = Mix.model_validate(
        {"shares": shares, "max_epochs": {k: float(v) for k, v in epochs.items() if k.partition("/")[0] in shares}, "total": total, **more}
    )
    return SimpleNamespace(mix=mix, release=SimpleNamespace(validation=validation, validation_documents=20))


def mixed(units: list[pa.Table], context: Context) -> list[pa.Table]:
    return carry_out(mix_round(context.settings.mix), units, context)


def corpus(n: int, seed: int = 0) -> list[tuple[str, int, str]]:
    rng = np.random.default_rng(seed)
    return [(str(rng.choice(["en", "zh", "code"], p=[0.5, 0.3, 0.2])), int(rng.integers(20, 2000)), f"{seed}-{i:08d}") for i in range(n)]


def tokens(rows: list[tuple[str, int, str]], verdicts: list[pa.Table]) -> dict[str, int]:
    flat = pa.concat_tables(verdicts).column("repeats").to_pylist()
    return {d: sum(t * r for (dd, t, _), r in zip(rows, flat, strict=True) if dd == d) for d in ("en", "zh", "code")}


def test_shares_hold_and_epochs_are_never_exceeded() -> None:
    rows = corpus(5000)
    wanted = {"en": 0.52, "zh": 0.40, "code": 0.08}
    verdicts = mixed([documents(rows)], Context(recipe(wanted, {"en": 1, "zh": 4, "code": 4}), 7))
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
    verdicts = mixed([documents(rows)], Context(recipe({"en": 0.9, "zh": 0.1}, {}), 7))[0]
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
    whole = mixed([documents(rows)], Context(recipe({"en": 0.5, "zh": 0.3, "code": 0.2}, {"zh": 2.5}, validation=0.01), 3))
    edges = np.linspace(0, len(rows), cuts + 1).astype(int)
    parts = mixed([documents(rows[a:b]) for a, b in pairwise(edges)], Context(recipe({"en": 0.5, "zh": 0.3, "code": 0.2}, {"zh": 2.5}, validation=0.01), 3))
    for column in ("repeats", "split", "reason"):
        assert pa.concat_tables(parts).column(column).to_pylist() == pa.concat_tables(whole).column(column).to_pylist()


def test_validation_takes_whole_clusters_and_at_least_twenty_documents() -> None:
    rows = corpus(3000)
    clusters = [f"c{i // 3}" for i in range(3000)]
    verdicts = mixed([documents(rows, clusters)], Context(recipe({"en": 0.5, "zh": 0.3, "code": 0.2}, {}, validation=0.001), 3))[0]
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
    got = tokens(rows, mixed([documents(rows)], Context(recipe({"en": 0.5, "zh": 0.5}, {"zh": 3}), 0)))
    assert got["en"] == 3000 and got["zh"] == 3000


PARTS = {"en": {"web": 0.4, "books": 0.2}, "zh": {"web": 0.3, "*": 0.1}}


def many(seed: int = 0, **sizes: int) -> list[tuple[str, int, str, str]]:
    """So many documents of each `domain_part`."""
    rng = np.random.default_rng(seed)
    return [(name.split("_")[0], int(rng.integers(20, 400)), f"{name}-{i:06d}", name.split("_")[1]) for name, n in sizes.items() for i in range(n)]


def by_part(rows: Sequence[tuple[Any, ...]], repeats: Sequence[int]) -> dict[str, int]:
    out: dict[str, int] = {}
    for (domain, size, _, part), n in zip(rows, repeats, strict=True):
        out[f"{domain}/{part}"] = out.get(f"{domain}/{part}", 0) + size * n
    return out


def test_parts_of_a_domain_get_their_shares() -> None:
    rows = many(en_web=4000, en_books=4000, zh_web=4000, zh_posts=3000, zh_law=1000)
    got = by_part(rows, mixed([documents(rows)], Context(recipe(PARTS, {}, total=500_000), 5))[0].column("repeats").to_pylist())
    total = sum(got.values())
    for name, share in {"en/web": 0.4, "en/books": 0.2, "zh/web": 0.3}.items():
        assert abs(got[name] / total - share) < 0.001
    assert abs((got["zh/posts"] + got["zh/law"]) / total - 0.1) < 0.001, "* is whatever else the domain holds"


def test_what_a_part_lacks_the_others_of_its_domain_give_and_the_report_says_so() -> None:
    rows = many(en_web=4000, en_books=100, zh_web=4000, zh_posts=4000)
    asked = recipe(PARTS, {"en": 1, "en/books": 4}, total=500_000)
    got = by_part(rows, mixed([documents(rows)], Context(asked, 5))[0].column("repeats").to_pylist())
    there = by_part(rows, [1] * len(rows))
    assert got["en/books"] == 4 * there["en/books"], "all of it, four times"
    assert abs((got["en/web"] + got["en/books"]) / sum(got.values()) - 0.6) < 0.001, "the domain's share holds"
    named = {"en/web": there["en/web"], "en/books": there["en/books"], "zh/web": there["zh/web"], "zh/*": there["zh/posts"]}
    targets, binding = mix_targets(named, asked.mix)
    (said,) = shortages(asked.mix, targets, named)
    assert said.startswith("en/books: wanted 20.00%, had ") and said.endswith(" at 4 epochs; the rest went to en/web") and binding == {"en/books"}


def test_shrink_keeps_the_parts_shares_and_makes_less() -> None:
    there = {"en/web": 1000, "en/books": 10, "zh/web": 1000, "zh/*": 1000}
    targets, _ = mix_targets(there, recipe(PARTS, {}, shortage="shrink").mix)
    assert targets == pytest.approx({"en/web": 20, "en/books": 10, "zh/web": 15, "zh/*": 5})
    with pytest.raises(PlanError, match="en/books"):
        mix_targets({**there, "en/books": 0}, recipe(PARTS, {}, shortage="shrink").mix)


def test_a_language_of_code_may_be_a_part() -> None:
    rows = documents([("code", 10, f"c{i}", None) for i in range(1000)])
    rows = rows.set_column(rows.schema.get_field_index("programming_language"), "programming_language", pa.array(["Python", "C", None, "Go"] * 250))
    verdicts = mixed([rows], Context(recipe({"code": {"Python": 0.5, "*": 0.5}}, {}), 1))[0]
    kept = verdicts.filter(pa.array(verdicts.column("repeats").to_numpy() > 0)).column("row").to_pylist()
    assert sum(rows.column("programming_language")[r].as_py() == "Python" for r in kept) == 250 and len(kept) == 500


def test_documents_of_a_part_without_a_share_leave() -> None:
    rows = many(en_web=10, en_blogs=10)
    assert "validation" not in mixed([documents(rows)], Context(recipe({"en": {"web": 1.0}}, {}, validation=0.9), 5))[0].column("split").to_pylist()[10:]
    verdicts = mixed([documents(rows)], Context(recipe({"en": {"web": 1.0}}, {}), 5))[0]
    assert verdicts.column("repeats").to_pylist() == [1] * 10 + [0] * 10 and set(verdicts.column("reason").to_pylist()[10:]) == {"mix_share > 0"}


def test_force_goes_beyond_max_epochs_and_nothing_else_does() -> None:
    rows = many(en_web=50, zh_web=50)
    size = sum(r[1] for r in rows)
    plain = mixed([documents(rows)], Context(recipe({"en": 0.5, "zh": 0.5}, {"en": 2, "zh": 2}, total=10 * size), 5))[0].column("repeats").to_numpy()
    forced = (
        mixed([documents(rows)], Context(recipe({"en": 0.5, "zh": 0.5}, {"en": 2, "zh": 2}, total=10 * size, force=True), 5))[0].column("repeats").to_numpy()
    )
    assert plain.max() == 2
    assert abs(by_part(rows, forced)["en/web"] - 5 * size) < 400 and forced.max() > 8


def graded(rows: Sequence[tuple[Any, ...]], column: str, values: list[float | None]) -> pa.Table:
    return documents(rows).append_column(column, pa.array(values, pa.float64()))


def test_tickets_make_a_document_likelier_by_their_number() -> None:
    """Among equally many documents of weight 4 and 1, drawing few, four in five drawn are of weight 4; the twin draws one by one, without replacement."""
    rows = [("en", 10, f"e{i}") for i in range(20_000)]
    table = graded(rows, "quality", [4.0 if i % 2 else None for i in range(20_000)])
    asked = recipe({"en": 1.0}, {}, total=10_000, sample={"by": "quality", "steps": {3: 4}})
    verdicts = mixed([table], Context(asked, 11))[0].column("repeats").to_numpy()
    rng, weights = np.random.default_rng(0), np.array([1.0, 4.0] * 10_000)
    twin = rng.choice(20_000, verdicts.sum(), replace=False, p=weights / weights.sum())
    assert verdicts.sum() == 1000
    assert verdicts[1::2].sum() / verdicts.sum() == pytest.approx((twin % 2).mean(), abs=0.03)


def test_rehydration_counts_a_document_several_times_a_pass_and_never_above_max_epochs() -> None:
    rows = [("en", 10, f"e{i}") for i in range(300)]
    table = graded(rows, "cluster_size", [10.0] * 100 + [2.0] * 100 + [None] * 100)
    steps = {"by": "cluster_size", "steps": {2: 2, 5: 3}}
    once = mixed([table], Context(recipe({"en": 1.0}, {"en": 3}, total=6000, rehydrate=steps), 1))[0].column("repeats").to_numpy()
    assert [once[:100].min(), once[100:200].min(), once[200:].min()] == [3, 2, 1] and once.sum() == 600
    most = mixed([table], Context(recipe({"en": 1.0}, {"en": 3}, rehydrate=steps), 1))[0].column("repeats").to_numpy()
    assert (most == 3).all(), "all that max_epochs allows"
    part = mixed([table], Context(recipe({"en": 1.0}, {"en": 3}, total=7000, rehydrate=steps), 1))[0].column("repeats").to_numpy()
    assert part.sum() == 700 and part.max() == 3 and set(part[200:]) == {1, 2}


@given(
    st.lists(st.tuples(st.sampled_from(["en", "zh"]), st.integers(0, 500), st.integers(1, 4)), min_size=2, max_size=60),
    st.floats(0.5, 6),
    st.floats(0.1, 0.9),
    st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_budgets_are_filled_up_to_the_first_document_that_does_not_fit(sized: list[tuple[str, int, int]], epochs: float, share: float, cuts: int) -> None:
    rows = [(domain, size, f"{i}") for i, (domain, size, _) in enumerate(sized)]
    asked = recipe({"en": share, "zh": 1 - share}, {"en": epochs, "zh": epochs}, rehydrate={"by": "cluster_size", "steps": {2: 2, 3: 3, 4: 4}})
    table = graded(rows, "cluster_size", [float(w) for _, _, w in sized])
    sizes = {d: sum(size for domain, size, _ in sized if domain == d) for d in ("en", "zh")}
    if not all(sizes.values()):
        return
    edges = np.linspace(0, len(rows), cuts + 1).astype(int)
    verdicts = mixed([table.slice(a, b - a) for a, b in pairwise(edges)], Context(asked, 3))
    repeats = pa.concat_tables(verdicts).column("repeats").to_numpy()
    targets, _ = mix_targets(sizes, asked.mix)
    weights = np.array([w for _, _, w in sized])
    assert (repeats <= math.ceil(epochs)).all()
    for domain in ("en", "zh"):
        mine = np.array([r[0] == domain for r in rows])
        used = int(sum(r[1] * n for r, n in zip(rows, repeats, strict=True) if r[0] == domain))
        assert used <= targets[domain] * (1 + 1e-9) + 1e-6
        # Short of the target by less than what the largest step of one document would add.
        largest = max(r[1] * min(w, math.ceil(epochs)) for r, w in zip(rows, weights, strict=True) if r[0] == domain)
        assert used > targets[domain] * (1 - 1e-9) - largest - 1e-6 or (repeats[mine] == math.ceil(epochs)).all()


def test_shares_may_be_normalised() -> None:
    mix = Mix.model_validate({"shares": {"en": {"web": 39.8, "books": 3.6}, "code": 8.0}, "normalise": True})
    assert slice_names(mix) == pytest.approx({"en/web": 39.8 / 51.4, "en/books": 3.6 / 51.4, "code": 8 / 51.4})


def test_a_quadratic_ramp_from_a_tenth_to_four_tenths_means_a_fifth() -> None:
    stem = {"bounds": {"stem": {"min": 0.5}}, "share": {"from": 0.1, "to": 0.4, "ramp": "quadratic"}}
    mix = Mix.model_validate(
        {"shares": {"en": 1.0}, "schedule": [{"name": "main", "tokens": 0.9}, {"name": "stage2", "tokens": 0.1, "slices": {"stem": stem}}]}
    )
    found = schedule(mix, 1_000_000, {"stem": 15_000})
    assert list(selections(mix)) == ["stem"] and found["total"] == 1_000_000
    (only,) = found["phases"][1]["slices"]
    assert only["mean"] == pytest.approx(0.2) and only["tokens"] == 20_000 and found["phases"][1]["rest"]["tokens"] == 80_000
    assert found["shortage"] == ["stem is to give 20,000 tokens in all phases and has 15,000: 1.33 times over"]
    share = only["share"]
    assert np.mean([share_at(share, t) for t in np.linspace(0, 1, 10_001)]) == pytest.approx(0.2, abs=1e-4)
    assert share_at({**share, "ramp": "linear"}, 0.5) == pytest.approx(0.25) and share_at({**share, "ramp": "constant"}, 0.9) == 0.1


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
    verdicts = mixed([documents(rows)], Context(recipe({"code": 0.5, "en": 0.5}, {}), 5))[0]
    used = [languages[i] for i, r in zip(kept, verdicts.column("repeats").to_pylist(), strict=False) if r]
    assert len(used) == 300 and used.count("JSON") / len(used) < 0.12


def test_a_small_domain_does_not_hold_out_the_clusters_of_large_ones() -> None:
    rows = [("en", 10, f"e{i}") for i in range(20_000)] + [("zh", 10, f"z{i}") for i in range(200)]
    clusters = [f"c{i // 2}" if i % 5 < 2 else None for i in range(20_000)] + [None] * 200
    split = mixed([documents(rows, clusters)], Context(recipe({"en": 0.5, "zh": 0.5}, {}, validation=0.001), 3))[0].column("split").to_pylist()  # type: ignore[arg-type]
    held = [s == "validation" for s in split]
    assert 20 <= sum(held[:20_000]) < 60 and sum(held[20_000:]) == 20


def test_ramps_that_always_fit_are_let_through_and_contradictions_are_not() -> None:
    def phases(**slices: Any) -> Mix:
        named = {name: {"domain": "en", "share": share} for name, share in slices.items()}
        return Mix.model_validate({"shares": {"en": 1.0}, "schedule": [{"name": "x", "tokens": 1.0, "slices": named}]})

    phases(a={"from": 1.0, "to": 0.0}, b={"from": 0.0, "to": 1.0})
    for bad in ({"a": 0.6, "b": 0.5}, {"a": {"from": 0.1, "to": 0.4, "ramp": "constant"}}):
        with pytest.raises(ValidationError):
            phases(**bad)


def test_a_budget_that_no_document_fits_is_told() -> None:
    mix = recipe({"en": 1.0}, {}, total=50).mix
    assert shortages(mix, {"en": 50.0}, {"en": 1000}, {"en": 0}) == ["en: was to have 50 tokens, has 0: its next document is larger than what was left"]


def test_validation_by_cluster_holds_across_domains() -> None:
    rows = [("zh", 100, f"z{i}") for i in range(300)] + [("en", 100, f"e{i}") for i in range(3000)]
    clusters = [f"c{i}" for i in range(300)] + [f"c{i}" if i < 300 else None for i in range(3000)]
    split = mixed([documents(rows, clusters)], Context(recipe({"en": 0.5, "zh": 0.5}, {}, validation=0.001), 3))[0].column("split").to_pylist()  # type: ignore[arg-type]
    held = {c for c, s in zip(clusters, split, strict=True) if s == "validation" and c}
    trained = {c for c, s in zip(clusters, split, strict=True) if s == "train" and c}
    assert held and not held & trained
