"""Evaluation without a network: models that are counts of tokens, whose bits are known or can be added up by hand."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelError, PipelineError, PlanError, SourceError, StoreError
from pipeline.store import open_model
from pipeline.tokenize import encode
from pipeline.train.evaluate import Evaluation, difference, evaluate, table
from pipeline.train.leakage import leakage
from pipeline.train.leakage import table as leakage_table
from pipeline.train.statistics import Estimate, bits_per_byte, estimate, normalised_perplexity, resampled
from pipeline.train.validation_sets import ValidationSet, choose, cut, sets_of

TOKENIZER = open_model("skypile-65k").path
VOCABULARY = 65_536
WORDS = ["the", "river", "数据", "质量", "naïve", "emoji 👩‍💻", "e\u0301", "def f(x):", "\n", "1,024", "，而且"]


class Uniform:
    """Every id is as likely as any other."""

    tokenizer = TOKENIZER
    eos = 0

    def nll(self, documents: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.full(len(ids), math.log(VOCABULARY), np.float32) for ids in documents]


class Ngram:
    """p(b | a) = (n(a b) + p(b)) / (n(a) + 1), where p(b) = (n(b) + 1) / (n + V) and a is the three ids before b, or what begins a document."""

    tokenizer = TOKENIZER
    eos = 0

    def __init__(self, texts: Sequence[str]) -> None:
        ids, offsets = encode(list(texts), device="cpu")
        self._one = np.bincount(ids, minlength=VOCABULARY)
        before = np.concatenate([_before(d) for d in np.split(ids, offsets[1:-1])])
        self._contexts, self._grams = np.unique(before, return_counts=True), np.unique(_then(before, ids), return_counts=True)

    def nll(self, documents: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = []
        for ids in documents:
            before = _before(ids)
            p = (self._one[ids] + 1) / (self._one.sum() + VOCABULARY)
            found.append(-np.log((_count(self._grams, _then(before, ids)) + p) / (_count(self._contexts, before) + 1)).astype(np.float32))
        return found


def _then(before: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return before * np.uint64(0x9E3779B97F4A7C15) + ids.astype(np.uint64) + np.uint64(1)


def _before(ids: np.ndarray) -> np.ndarray:
    padded, found = np.concatenate([np.full(3, VOCABULARY), ids]), np.zeros(len(ids), np.uint64)
    for k in range(3):
        found = _then(found, padded[k : k + len(ids)])
    return found


def _count(known: tuple[np.ndarray, np.ndarray], wanted: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(known[0], wanted), len(known[0]) - 1)
    return np.where(known[0][place] == wanted, known[1][place], 0)


def texts_of(seed: int, n: int = 60) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(WORDS[k] for k in rng.integers(0, len(WORDS), size)) for size in rng.integers(1, 60, n)]


def write(path: Path, texts: Sequence[str | None], column: str = "text") -> Path:
    lines = "".join(json.dumps({"id": i, column: text}) + "\n" for i, text in enumerate(texts)).encode()
    if path.suffix == ".parquet":
        pq.write_table(pa.table({column: pa.array(texts, pa.string())}), path, row_group_size=7)
    elif path.suffix == ".zst":  # as `zstd --long=26` writes it
        made = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=26)).compressobj()
        path.write_bytes(made.compress(lines) + made.flush())
    else:
        path.write_bytes(lines)
    return path


def sets(folder: Path, **domains: Sequence[str]) -> tuple[ValidationSet, ...]:
    return sets_of({name: str(write(folder / f"{name}.jsonl", texts)) for name, texts in domains.items()})


# --- which documents ------------------------------------------------------------------------------------------------------


@given(st.text(), st.integers(4, 40))
def test_a_cut_is_the_longest_beginning_that_fits(text: str, most: int) -> None:
    found = cut(text, most)
    assert text.startswith(found)
    assert len(found.encode()) <= most
    assert found == text or len(text[: len(found) + 1].encode()) > most


def test_the_choice_depends_on_nothing_but_the_texts(tmp_path: Path) -> None:
    texts = texts_of(1)
    one = ValidationSet("one", (str(write(tmp_path / "one.jsonl", texts)),))
    for name in ("a.jsonl.zst", "b.parquet"):
        write(tmp_path / name, texts[::-1][: 30 if name[0] == "a" else None])  # copies over both files, in another order
    other = ValidationSet("other", (str(tmp_path / "[ab].*"),))
    chosen, again = choose(one, documents=20, max_bytes=64, seed=7), choose(other, documents=20, max_bytes=64, seed=7)
    assert chosen.texts == again.texts
    assert np.array_equal(chosen.keys, again.keys)
    assert again.read == 90
    assert chosen.texts[:5] == choose(one, documents=5, max_bytes=64, seed=7).texts
    assert set(choose(one, documents=None, max_bytes=None).texts) == set(texts)
    assert chosen.texts != choose(one, documents=20, max_bytes=64, seed=8).texts
    assert {len(t.encode()) for t in chosen.texts} <= set(range(65))


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
def test_empty_texts_are_counted_and_left_out(tmp_path: Path, name: str) -> None:
    chosen = choose(ValidationSet("x", (str(write(tmp_path / name, ["a", None, "", " \n\u3000", "b"])),)))
    assert (sorted(chosen.texts), chosen.read, chosen.empty) == (["a", "b"], 5, 3)


def test_columns_are_joined_by_a_line_end(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"q": "1 + 1?", "a": "2"}\n')
    assert choose(ValidationSet("x", (str(tmp_path / "x.jsonl"),), ("q", "a"))).texts == ("1 + 1?\n2",)


def test_half_of_an_emoji_is_scored_as_a_replacement_character(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a\\ud83d"}\n')
    assert choose(ValidationSet("x", (str(tmp_path / "x.jsonl"),))).texts == ("a\ufffd",)


def test_sets_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "sets.yaml").write_text("zh_news: news/*.jsonl\nmaths: {files: [a.parquet, b.parquet], columns: [question, answer], group: en}\n")
    news, maths = sets_of(tmp_path / "sets.yaml")
    assert news == ValidationSet("zh_news", ("news/*.jsonl",), ("text",), "zh")
    assert maths == ValidationSet("maths", ("a.parquet", "b.parquet"), ("question", "answer"), "en")


BROKEN = b'{"text": "a"}\n\n{"text": \n'
WRONG: dict[str, tuple[str, bytes, type[PipelineError], str]] = {
    "no JSON": ("x.jsonl", BROKEN, SourceError, "x.jsonl:3"),
    "no UTF-8": ("x.jsonl", b'{"text": "\xff"}\n', SourceError, "x.jsonl:1"),
    "no object": ("x.jsonl", b'{"text": "a"}\n[1]\n', SourceError, "x.jsonl:2"),
    "no column": ("x.jsonl", b'{"text": "a"}\n{"content": "a"}\n', SourceError, "x.jsonl:2: there is no column 'text' for the text; it has content"),
    "no string": ("x.jsonl", b'{"text": 3}\n', SourceError, "x.jsonl:1: column 'text' holds a int"),
    "no text": ("x.jsonl", b'{"text": ""}\n{"text": null}\n', PlanError, "2 of them empty"),
    "cut short": ("x.jsonl.zst", zstandard.compress(BROKEN[:15] * 99)[:-4], SourceError, "is damaged"),
    "no Parquet": ("x.parquet", b"PAR1", SourceError, "x.parquet"),
    "unknown format": ("x.txt", b"a", PlanError, "x.txt"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, what: str) -> None:
    name, content, kind, said = WRONG[what]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind) as error:
        choose(ValidationSet("x", (str(tmp_path / name),)))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_column_that_a_parquet_file_lacks(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no column 'text' for the text; it has content"):
        choose(ValidationSet("x", (str(write(tmp_path / "x.parquet", ["a"], "content")),)))


MISTAKES: list[Callable[[Path], Any]] = [
    lambda folder: choose(ValidationSet("x", (str(folder / "*.jsonl"),))),
    lambda folder: choose(ValidationSet("x", (str(write(folder / "x.jsonl", ["a"])), str(folder / "missing.jsonl")))),
    lambda folder: choose(ValidationSet("x", (str(write(folder / "x.jsonl", ["a"])),)), documents=0),
    lambda folder: choose(ValidationSet("x", (str(write(folder / "x.jsonl", ["a"])),)), max_bytes=3),
    lambda folder: sets_of({}),
    lambda folder: sets_of({"x": 3}),
    lambda folder: sets_of({"x": {"files": "a", "colums": "text"}}),
    lambda folder: sets_of(folder / "missing.yaml"),
    lambda folder: evaluate(Uniform(), []),
    lambda folder: evaluate(Uniform(), sets(folder, x=["a"]) * 2),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=range(len(MISTAKES)))
def test_what_cannot_be_asked_for(tmp_path: Path, mistake: Callable[[Path], Any]) -> None:
    with pytest.raises(PlanError):
        mistake(tmp_path)


# --- the numbers ----------------------------------------------------------------------------------------------------------


def test_a_uniform_model_needs_the_logarithm_of_its_vocabulary(tmp_path: Path) -> None:
    found = evaluate(Uniform(), sets(tmp_path, zh_a=texts_of(1), en_b=texts_of(2, 9)), max_bytes=100)
    bits, perplexity = found.bits_per_byte(draws=50), found.perplexity(draws=50)
    for d in found.domains:
        assert bits.domains[d.name].value == pytest.approx(16 * d.tokens.sum() / d.text_bytes.sum(), rel=1e-6)
        assert d.text_bytes.max() <= 100
        assert np.array_equal(d.tokens, d.reference_tokens)
        assert perplexity.domains[d.name].value == pytest.approx(VOCABULARY, rel=1e-5)
        assert perplexity.domains[d.name].error == pytest.approx(0, abs=0.01)  # every document has the same loss, so no draw can differ
    assert perplexity.average.value == pytest.approx(VOCABULARY, rel=1e-5)


def test_another_tokenizer_changes_the_tokens_and_not_the_bytes(tmp_path: Path) -> None:
    tokenizer = json.loads(Path(TOKENIZER).read_bytes())
    letters = [token for token in tokenizer["model"]["vocab"] if len(token) == 1]  # the 256 bytes, as byte-level tokenizers write them
    tokenizer["model"] |= {"vocab": {token: i for i, token in enumerate(letters)}, "merges": []}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer | {"added_tokens": []}))

    class Bytes(Uniform):
        tokenizer = str(tmp_path / "tokenizer.json")

        def nll(self, documents: Sequence[np.ndarray]) -> list[np.ndarray]:
            return [np.full(len(ids), math.log(256), np.float32) for ids in documents]

    chosen = sets(tmp_path, x=texts_of(1))
    of_bytes, of_tokens = evaluate(Bytes(), chosen), evaluate(Uniform(), chosen)
    d = of_bytes.domains[0]
    assert np.array_equal(d.tokens, d.text_bytes)
    assert np.array_equal(d.reference_tokens, of_tokens.domains[0].tokens)
    assert of_bytes.bits_per_byte().macro.value == pytest.approx(8, rel=1e-6)
    losses = [math.log(256) * b / n for b, n in zip(d.text_bytes.tolist(), d.reference_tokens.tolist(), strict=True)]
    assert of_bytes.perplexity().average.value == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-5)
    assert difference(of_tokens, of_bytes).macro.value == pytest.approx(8 - of_tokens.bits_per_byte().macro.value)


def slow_bits(nll: Mapping[str, np.ndarray], sizes: Mapping[str, np.ndarray]) -> tuple[dict[str, float], float, float]:
    domains, each = {}, []
    for name in nll:
        pairs = list(zip(nll[name].tolist(), sizes[name].tolist(), strict=True))
        domains[name] = sum(n for n, _ in pairs) / math.log(2) / sum(b for _, b in pairs)
        each += [n / math.log(2) / b for n, b in pairs]
    return domains, sum(domains.values()) / len(domains), sum(each) / len(each)


def numbers(rng: np.random.Generator, **documents: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    sizes = {name: rng.integers(10, 4096, n) for name, n in documents.items()}
    return {name: sizes[name] * rng.uniform(0.3, 1.5, n) for name, n in documents.items()}, sizes


def test_means_are_those_of_the_slow_twin() -> None:
    nll, sizes = numbers(np.random.default_rng(3), zh_a=40, zh_b=7, en_c=1)
    found = bits_per_byte(nll, sizes, {"zh_a": "zh", "zh_b": "zh", "en_c": "en"}, draws=10)
    domains, macro, documents = slow_bits(nll, sizes)
    assert {name: e.value for name, e in found.domains.items()} == pytest.approx(domains)
    assert (found.macro.value, found.documents.value) == pytest.approx((macro, documents))
    assert found.groups["zh"].value == pytest.approx((domains["zh_a"] + domains["zh_b"]) / 2)
    assert found.groups["en"] == found.domains["en_c"]
    assert found.domains["en_c"].low == found.domains["en_c"].high == found.domains["en_c"].value
    perplexity = normalised_perplexity(nll, sizes, draws=10)
    each = {name: [n / b for n, b in zip(nll[name].tolist(), sizes[name].tolist(), strict=True)] for name in nll}
    assert {name: e.value for name, e in perplexity.domains.items()} == pytest.approx({name: math.exp(sum(x) / len(x)) for name, x in each.items()})
    assert perplexity.average.value == pytest.approx(math.exp(sum(map(sum, each.values())) / 48))


@pytest.mark.parametrize(("documents", "draws"), [(3, 5), (4000, 600)])  # the second takes several rounds
def test_draws_are_those_of_the_slow_twin(documents: int, draws: int) -> None:
    columns = np.random.default_rng(0).uniform(size=(documents, 2))
    found = resampled(columns, draws, 5, "a")
    assert found.shape == (draws + 1, 2)
    assert found[0] == pytest.approx(columns.sum(axis=0))
    whole = np.random.default_rng([5, xxhash.xxh3_64_intdigest(b"a")])
    for row in found[1:]:
        assert row == pytest.approx(columns[whole.integers(0, documents, documents)].sum(axis=0))


def test_the_error_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    found = estimate(resampled(values[:, None], 2000, 0)[:, 0] / 400)
    expected = values.std() / math.sqrt(400)
    assert found.error == pytest.approx(expected, rel=0.08)
    assert (found.value - found.low, found.high - found.value) == pytest.approx((1.96 * expected, 1.96 * expected), rel=0.12)


def test_another_domain_changes_no_interval() -> None:
    nll, sizes = numbers(np.random.default_rng(3), a=40, b=7)
    alone = bits_per_byte({"a": nll["a"]}, sizes, {"a": "x"})
    assert bits_per_byte(nll, sizes, {"a": "x", "b": "x"}).domains["a"] == alone.domains["a"]
    assert bits_per_byte({"a": nll["a"]}, sizes, {"a": "x"}, seed=1).domains["a"] != alone.domains["a"]


# --- models ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Evaluation]:
    """A model that saw little, and one that saw more."""
    chosen = sets(tmp_path_factory.mktemp("sets"), zh_a=texts_of(1), zh_b=texts_of(2), en_c=texts_of(3, 11))
    little, more = (evaluate(Ngram(texts_of(50, n)), chosen, documents=50, max_bytes=256, seed=4) for n in (300, 400))
    return little, more


def test_a_paired_difference_is_far_surer_than_two_intervals(two: tuple[Evaluation, Evaluation]) -> None:
    little, more = two
    a, b, found = little.bits_per_byte(), more.bits_per_byte(), difference(little, more)
    pairs: list[tuple[Estimate, Estimate, Estimate]] = [(a.domains[n], b.domains[n], found.domains[n]) for n in a.domains]
    for x, y, z in [*pairs, (a.macro, b.macro, found.macro), (a.documents, b.documents, found.documents)]:
        assert z.value == pytest.approx(y.value - x.value)
        assert z.low <= z.value <= z.high < 0
        assert z.error < 0.8 * math.hypot(x.error, y.error)
    assert set(difference(little, little).domains.values()) == {Estimate(0, 0, 0, 0)}


def test_evaluations_of_other_documents_are_not_compared(two: tuple[Evaluation, Evaluation], tmp_path: Path) -> None:
    other = evaluate(Uniform(), sets(tmp_path, zh_a=texts_of(1), zh_b=texts_of(2), en_c=texts_of(3, 11)), documents=50, max_bytes=255, seed=4)
    with pytest.raises(PlanError, match="not of the same documents"):
        difference(two[0], other)


def test_a_saved_evaluation_is_the_same_evaluation(two: tuple[Evaluation, Evaluation], tmp_path: Path) -> None:
    for name in ("one", "two"):
        two[0].save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    loaded = Evaluation.load(tmp_path / "one")
    assert loaded.to_dict() == two[0].to_dict() == json.loads((tmp_path / "one.json").read_text())
    assert difference(loaded, two[1]) == difference(*two)
    (tmp_path / "one.npz").write_bytes((tmp_path / "one.npz").read_bytes()[:500])
    for name in ("one", "missing"):
        with pytest.raises(StoreError, match=f"{name}.npz"):
            Evaluation.load(tmp_path / name)


def test_the_table_has_a_row_for_each_domain_and_mean(two: tuple[Evaluation, Evaluation]) -> None:
    made = table(two[0])
    assert list(made.columns[0].cells) == ["zh_a", "zh_b", "en_c", "mean, zh", "mean, en", "mean of domains", "mean of documents"]
    assert list(made.columns[3].cells)[5] == f"{two[0].bits_per_byte().macro.value:.4f}"


def test_a_model_that_diverged_is_no_result(tmp_path: Path) -> None:
    class Diverged(Uniform):
        def nll(self, documents: Sequence[np.ndarray]) -> list[np.ndarray]:
            return [nll * np.nan for nll in super().nll(documents)]

    with pytest.raises(ModelError, match="3 of 3 documents of 'x' are no numbers"):
        evaluate(Diverged(), sets(tmp_path, x=["a", "b", "c"]))


# --- leakage --------------------------------------------------------------------------------------------------------------


def problems(seed: int, n: int = 300) -> list[str]:
    rng = np.random.default_rng(seed)
    names, things = ["Ann", "Bo", "Cai", "Dan", "Eva"], ["apples", "books", "coins", "duck eggs"]
    numbers = rng.integers(2, 99, (n, 3)).tolist()
    chosen = [(names[a], things[b]) for a, b in zip(rng.integers(0, 5, n), rng.integers(0, 4, n), strict=True)]
    return [
        f"{who} has {a} {what}, buys {b} and sells {c}. How many {what} has {who}?\n{a} + {b} - {c} = {a + b - c}\n#### {a + b - c}"
        for (who, what), (a, b, c) in zip(chosen, numbers, strict=True)
    ]


@pytest.mark.parametrize(("seen", "test_below_mock", "train_below_test"), [("nothing", False, False), ("test", True, False), ("train", False, True)])
def test_what_a_model_has_seen_shows(tmp_path: Path, seen: str, test_below_mock: bool, train_below_test: bool) -> None:
    texts = {"test": problems(1), "train": problems(2), "mock": problems(3)}
    found = leakage(Ngram(problems(4) + texts.get(seen, [])), *sets(tmp_path, **texts), draws=200)
    assert (found.test_below_mock, found.train_below_test) == (test_below_mock, train_below_test)
    assert found.test_minus_mock.value == pytest.approx(found.losses["test"].value - found.losses["mock"].value)
    assert found.test_minus_train.value == pytest.approx(found.losses["test"].value - found.losses["train"].value)
    assert (found.test_minus_mock.high < 0) == test_below_mock
    assert json.loads(json.dumps(found.to_dict()))["train_below_test"] == train_below_test
    assert list(leakage_table(found).columns[0].cells) == ["test", "train", "mock", "test - mock", "test - train"]


def test_losses_are_sums_over_sums(tmp_path: Path) -> None:
    texts = problems(1, 30)
    found = leakage(model := Ngram(problems(4)), *sets(tmp_path, test=texts, train=texts, mock=texts), draws=10)
    ids, offsets = encode([" ".join(text.split()) for text in texts], device="cpu")
    nll = model.nll(np.split(ids, offsets[1:-1]))
    assert found.losses["test"].value == pytest.approx(sum(float(n.sum()) for n in nll) / len(ids), rel=1e-5)
    assert found.counts["test"] == {"documents": 30, "tokens": len(ids)}
    assert found.test_minus_mock.value == 0
