"""The release's own rules: what of a dropped document may be shown, content hashes, row groups, traces."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import shards
from pipeline.store import Store


@pytest.mark.parametrize(
    ("stage", "reason", "withheld"),
    [
        ("opt_out", "opted out", True), ("takedown", "tombstones_by_id == 0", True), ("licences", "licence GPL-3.0-only", True),
        ("sensitive", "sensitive_adult <= 0.2", True), ("mine", "toxic_abuse_mean <= 0.2", True), ("private", "pii_email <= 0", True),
        ("fineweb", "short_line_fraction <= 0.67", False), ("topics", "adulthood <= 1", False), ("mix", "draw < 0.5", False),
    ],
)  # fmt: skip
def test_what_may_not_be_shown(stage: str, reason: str, withheld: bool) -> None:
    assert shards.is_withheld(stage, reason) is withheld


def test_what_other_classifiers_say_is_not_shown_either() -> None:
    names = shards.judging([{"quality": "bundled:quality", "toxic": "my-bert sha256:0"}, {"s": "bundled:sensitive"}])
    assert names == ("s", "toxic")
    assert shards.is_withheld("mine", "toxic <= 0.5", names) and shards.is_withheld("mine", "s_adult <= 0.2", names)
    assert not shards.is_withheld("mine", "quality >= 1", names) and not shards.is_withheld("mine", "sentence_count >= 5", names)


def test_what_is_shown_holds_no_addresses_and_no_long_numbers() -> None:
    given_ = [
        "Write to maria.lopez@gmail.com or call +44 020 7946 0958.",
        "身份证号11010519491231002X，电话13800138000。",
        "On 2026-03-05 there were 12,345 of 678.",
        None,
    ]
    found = shards.shown(pa.array(given_, pa.string())).to_pylist()
    assert found == ["Write to <EMAIL> or call <NUMBER>.", "身份证号<NUMBER>，电话<NUMBER>。", "On 2026-03-05 there were 12,345 of 678.", None]


def rows(texts: list[str], hashes: list[int] | None = None) -> pa.Table:
    """Placed rows of a release, ids by number."""
    n = len(texts)
    fixed = {
        "id": [f"{i:032x}" for i in range(n)], "text": texts, "source": ["s"] * n, "domain": ["en"] * n, "characters": [len(t) for t in texts],
        "text_bytes": [len(t.encode()) for t in texts], "token_count": [1] * n, "repeats": [2] * n, "filter_trace": ["0"] * n, "hash": hashes or list(range(n)),
    }  # fmt: skip
    schema = pa.schema([*shards.RELEASE, pa.field("hash", pa.uint64(), nullable=False)])
    return pa.table([pa.array(fixed[f.name], f.type) if f.name in fixed else pa.nulls(n, f.type) for f in schema], schema=schema)


@given(st.lists(st.text(), max_size=12), st.integers(1, 5))
@settings(deadline=None)
def test_the_content_hash_does_not_depend_on_batches(texts: list[str], size: int) -> None:
    texts = [t.encode("utf-8", "replace").decode() for t in texts]
    table = rows(texts)
    found = shards.Content()
    for i in range(0, len(texts), size):
        found.update(table.slice(i, size))
    ids = hashlib.sha256("".join(f"{i:032x} {len(t.encode())}\n" for i, t in enumerate(texts)).encode())
    both = ids.digest() + hashlib.sha256("".join(texts).encode()).digest()
    assert found.hexdigest() == hashlib.sha256(both).hexdigest()


def written(folder: Path, table: pa.Table, limit: int) -> list[list[str]]:
    """The ids of each row group."""
    shards.write_shard(Store(str(folder)), "a.parquet", [table], limit)
    file = pq.ParquetFile(folder / "a.parquet")
    return [file.read_row_group(g, ["id"]).column("id").to_pylist() for g in range(file.num_row_groups)]


def test_one_row_more_moves_one_end_of_a_row_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hashes = sorted(rng.integers(0, 2**62, 4000).tolist())
    table = rows(["x" * 100] * 4000, hashes)
    before = written(tmp_path / "a", table, 40_000)
    after = written(tmp_path / "b", table.filter(pa.array(np.arange(4000) != 7)), 40_000)
    assert len(before) > 6 and sum(len(g) for g in before) == 4000
    assert after[1:] == before[1:] or after[2:] == before[2:], "the ends meet again at once"


def test_ids_have_a_bloom_filter_and_pages_an_index(tmp_path: Path) -> None:
    shards.write_shard(Store(str(tmp_path)), "a.parquet", [rows(["one", "two"])], 1000)
    column = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).column(0)
    assert column.path_in_schema == "id" and column.has_column_index and column.has_offset_index
    duckdb = pytest.importorskip("duckdb", reason="pyarrow writes bloom filters and does not say where")
    probe = f"select bloom_filter_excludes from parquet_bloom_probe('{tmp_path}/a.parquet', 'id', ?)"
    assert duckdb.execute(probe, [f"{1:032x}"]).fetchall() == [(False,)] and duckdb.execute(probe, ["f" * 32]).fetchall() == [(True,)]


def test_a_trace_names_the_stages_that_were_meant_for_the_row() -> None:
    class Meant:
        def __init__(self, domain: str) -> None:
            self.domain = domain

        def mask(self, table: pa.Table) -> np.ndarray:
            return np.array([d == self.domain for d in table.column("domain").to_pylist()])

    documents = pa.table(
        {
            "text": ["a", "é"],
            "source": ["s", "s"],
            "domain": ["en", "zh"],
            "subdomain": pa.nulls(2, pa.string()),
            "programming_language": pa.nulls(2, pa.string()),
        }
    )
    found = shards.derive(documents, [("one", Meant("en")), ("two", Meant("zh")), ("one", Meant("en"))], "f" * 64)
    assert found.column("filter_trace").to_pylist() == ["ffffffffffff one", "ffffffffffff two"] and found.column("characters").to_pylist() == [1, 1]


def test_signatures_are_null_where_there_is_nothing_to_compare(tmp_path: Path) -> None:
    shards.write_signatures(Store(str(tmp_path)), "s.parquet", [rows(["many words stand here in a row", "…"])])
    first, second = pq.read_table(tmp_path / "s.parquet").column("signature").to_pylist()
    assert len(first) == 448 and second is None
