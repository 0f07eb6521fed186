"""Batches: a pure function of seed and step, in the shares of the schedule, every document as often as it is to be used."""

import pickle
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from pipeline.errors import PlanError, StoreError
from pipeline.token_shards import TokenRelease, open_tokens
from pipeline.train.configs import settings
from pipeline.train.data import Batches, Cell, Phase, _phases, permuted, repeated, validation
from pipeline.train.schedule import rate_at
from tests.train.trained import PHASES, tokens_at


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenRelease:
    return tokens_at(tmp_path_factory.mktemp("data") / "work")


def batches(tokens: TokenRelease, **changes: Any) -> Batches:
    return Batches(tokens, **{"rows": 8, "length": 64, "steps": 40, "epochs": 1.0, "seed": 7, **changes})


def test_a_batch_depends_on_seed_and_step_alone(tokens: TokenRelease) -> None:
    one, other = batches(tokens), batches(pickle.loads(pickle.dumps(open_tokens(tokens.path))))
    backwards = {step: other(step) for step in reversed(range(40))}
    for step in range(40):
        assert np.array_equal(one(step), backwards[step])
    assert not np.array_equal(one(3), batches(tokens, seed=8)(3))


def test_processes_share_a_batch(tokens: TokenRelease) -> None:
    made = batches(tokens)
    for step in (0, 39):
        parts = [made(step, process, 4) for process in range(4)]
        assert sorted(np.concatenate(parts).tolist()) == sorted(made(step).tolist())


def test_a_row_is_what_stands_in_the_release(tokens: TokenRelease) -> None:
    """Every stretch between two separators is a stretch of a document, and what is to be said is the next token."""
    documents = [tokens.domain(d).document(k).tolist() for d in tokens.domains() for k in range(len(tokens.domain(d)))]
    whole = [" ".join(map(str, d)) + " " for d in documents]
    for row in batches(tokens)(5).tolist():
        at = [-1, *(i for i, id_ in enumerate(row) if id_ == tokens.eos), len(row)]
        for begin, end in pairwise(at):
            stretch = " ".join(map(str, row[begin + 1 : end]))
            assert any((" " + w).find(" " + stretch + " ") >= 0 for w in whole) or not stretch


def test_a_pass_has_every_document_as_often_as_it_repeats(tokens: TokenRelease) -> None:
    zh = tokens.domain("zh")
    repeats = zh.index.column("repeats").to_numpy()
    cell = Cell("zh", zh, repeated(np.arange(len(zh)), repeats), 64, 0, 1)
    assert cell.size == int(((np.diff(zh.offsets) + 1) * repeats).sum())
    rows = sorted((cell.row(number) for number in range(cell.rows)), key=bytes)
    straight = sorted((cell.stretch(k * 64, k * 64 + 65) for k in range(cell.rows)), key=bytes)
    assert all(map(np.array_equal, rows, straight)), "a pass takes each row once"
    again = [cell.row(number) for number in range(cell.rows, 2 * cell.rows)]
    assert sorted(map(bytes, again)) == [bytes(r) for r in straight]
    assert [bytes(r) for r in again] != [bytes(cell.row(n)) for n in range(cell.rows)], "in another order the second time"


def test_shares_are_those_of_the_schedule(tokens: TokenRelease) -> None:
    made = batches(tokens, steps=400)
    assert [(p.name, p.begin, p.end) for p in made.phases] == [("stage1", 0, 300), ("stage2", 300, 400)]
    assert (np.diff(made.counts, axis=0).sum(1) == 8).all()
    stem = np.array(["stem" in mask for mask in made.masks])
    second = made.counts[400] - made.counts[300]
    assert abs(second[stem].sum() / second.sum() - 0.2) < 0.01  # the mean of 0.1 + 0.3 t^2
    late = made.counts[400] - made.counts[390]
    assert 0.35 <= late[stem].sum() / late.sum() <= 0.42
    sizes = np.array([cell.size for cell in made.cells])
    first = made.counts[300] / made.counts[300].sum()
    assert np.abs(first - sizes / sizes.sum()).max() < 0.002, "without slices as many as there are"
    for step in (17, 250):
        assert np.abs(made.counts[step] - step * 8 * sizes / sizes.sum()).max() <= 1.01, "in every stretch of steps"


@settings_of(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(1, 2000), min_size=1, max_size=6),
    st.lists(st.sampled_from([0.0, 0.03, 0.3, 0.9]), min_size=1, max_size=4),
    st.integers(1, 5),
)
def test_every_batch_is_full_and_no_row_is_given_back(sizes: list[int], shares: list[float], rows: int) -> None:
    """Whatever the cells and the phases: small cells, few rows, a slice whose share falls to nothing."""
    made = object.__new__(Batches)
    made.cells = [SimpleNamespace(size=size) for size in sizes]  # type: ignore[misc]  # what counting looks at
    made.masks = [frozenset({"a"} if k % 2 else {}) for k in range(len(sizes))]
    made.rows_per_batch, made.steps = rows, 10 * len(shares)
    slices = [({"name": "a", "share": {"from": share, "to": share, "ramp": "constant"}},) for share in shares]
    made.phases = [Phase(str(k), 10 * k, 10 * k + 10, one) for k, one in enumerate(slices)]
    given_out = np.diff(made.counts, axis=0)
    assert given_out.min() >= 0 and (given_out.sum(1) == rows).all()


def test_a_phase_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    every = {"name": "all", "select": {"domain": ["en", "zh", "code"]}, "share": {"from": 0, "to": 0, "ramp": "constant"}}
    made = batches(tokens_at(tmp_path / "work", [{"name": "main", "tokens": 1, "slices": [every]}]))
    with pytest.raises(PlanError, match="The phase 'main' of the schedule leaves nothing"):
        made(0)


def test_a_later_phase_goes_on_with_fresh_rows(tokens: TokenRelease) -> None:
    made = batches(tokens)
    taken = Counter((k, int(n)) for step in range(40) for k in range(len(made.cells)) for n in range(made.counts[step][k], made.counts[step + 1][k]))
    assert max(taken.values()) == 1


def test_steps_follow_from_the_tokens(tokens: TokenRelease) -> None:
    made = batches(tokens, steps=0, epochs=2.0)
    assert made.steps == round(2 * sum(cell.size for cell in made.cells) / 512)
    assert all(1.8 < n < 2.2 for n in batches(tokens_without_schedule(tokens), steps=0, epochs=2.0).epochs().values())


def tokens_without_schedule(tokens: TokenRelease) -> TokenRelease:
    files = {name: file for name, file in tokens.manifest["files"].items() if name != "schedule.json"}
    return TokenRelease(tokens.store, {**tokens.manifest, "files": files})


def test_a_slice_without_documents_is_named(tmp_path: Path) -> None:
    none = {"name": "law", "select": {"subdomain": ["law"]}, "share": {"from": 0.5, "to": 0.5, "ramp": "constant"}}
    made = batches(tokens_at(tmp_path / "work", [{"name": "main", "tokens": 1, "slices": [none]}]))
    assert made.missing == ["law"]
    assert (np.diff(made.counts, axis=0).sum(1) == 8).all()


def test_what_cannot_be_trained_on_is_refused(tokens: TokenRelease) -> None:
    counts = {"train": tokens.manifest["counts"]["train"]}
    with pytest.raises(PlanError, match="no validation documents"):
        batches(TokenRelease(tokens.store, {**tokens.manifest, "counts": counts}))
    with pytest.raises(PlanError, match="no end-of-text token"):
        batches(TokenRelease(tokens.store, {**tokens.manifest, "eos": None}))
    with pytest.raises(StoreError, match="its vocabulary ends at 99"):
        batches(TokenRelease(tokens.store, {**tokens.manifest, "vocabulary": 100}))(0)


def test_validation_rows_are_the_held_out_documents_in_order(tokens: TokenRelease) -> None:
    found = validation(tokens, 32, 96)
    assert list(found) == ["en"] and found["en"].shape == (3, 33)
    first = tokens.domain("en", "validation").document(0)[:32]
    assert found["en"][0].tolist() == [tokens.eos, *first.tolist()]


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_the_order_by_chance_is_a_permutation(size: int, seed: int) -> None:
    places = range(size) if size < 300 else range(0, size, 7)
    found = [permuted(place, size, seed) for place in places]
    assert len(set(found)) == len(found)
    assert all(0 <= place < size for place in found)


def test_the_order_by_chance_spreads() -> None:
    found = np.array([permuted(place, 10_000, 3) for place in range(10_000)])
    assert abs(np.corrcoef(found, np.arange(10_000))[0, 1]) < 0.03
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.03


def test_rates() -> None:
    phases = _phases(PHASES, 400)
    report = settings("tiny", warmup=0.1, final_rate=0.1)
    rates = [rate_at(step, report, phases) for step in range(400)]
    assert rates[0] == pytest.approx(1 / 30) and max(rates) == rates[29] == 1.0
    assert rates[299] == pytest.approx(0.1, abs=1e-3) and set(rates[300:]) == {0.1}
    assert all(a >= b for a, b in pairwise(rates[29:]))
    stable = settings("tiny", rate="wsd", warmup=0.1, decay=0.25, final_rate=0.1)
    rates = [rate_at(step, stable, phases) for step in range(400)]
    never = settings("tiny", rate="wsd", warmup=0.1, decay=0.0)
    assert rate_at(399, never, phases) == 1.0
    assert set(rates[39:300]) == {1.0} and rates[-1] == pytest.approx(0.1) and rates[350] == pytest.approx(1 - 0.9 * 51 / 100)
