"""Parquet: row groups, mapped columns, damage."""

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SourceError
from pipeline.sources import Source, list_units, read


def load(path, quarantine=frozenset(), split_bytes=256 << 20, batch_bytes=8 << 20, **settings):
    source = Source("s", "parquet", (str(path),), **settings)
    rows, unreadable = [], []
    units = list_units(source, split_bytes=split_bytes, group_bytes=split_bytes)
    for unit in units:
        for batch in read(source, unit, batch_bytes=batch_bytes, quarantine=quarantine):
            rows += batch.records.to_pylist()
            unreadable += batch.unreadable
    return rows, unreadable, units


def test_rows_are_the_same_however_the_file_is_split(tmp_path):
    path = tmp_path / "a.parquet"
    texts = [f"text {i} " * 50 for i in range(1000)]
    table = pa.table(
        {"content": texts, "m": [{"url": f"http://a/{i}"} for i in range(1000)], "date": [datetime.datetime(2026, 1, 2)] * 1000, "junk": range(1000)}
    )
    pq.write_table(table, path, row_group_size=100)
    columns = {"text": "content", "url": "m.url"}
    rows, unreadable, units = load(path, columns=columns)
    assert len(units) == 1 and not unreadable
    assert [row["text"] for row in rows] == texts and [row["offset"] for row in rows] == list(range(1000))
    assert rows[3]["url"] == "http://a/3" and rows[3]["date"] == "2026-01-02T00:00:00"
    split, _, units = load(path, columns=columns, split_bytes=12_000, batch_bytes=1000)
    assert len(units) > 2 and split == rows
    kept, unreadable, _ = load(path, columns=columns, quarantine=frozenset({("a.parquet", 7)}))
    assert len(kept) == 999 and unreadable[0][1] == 7


def test_a_missing_text_column_is_the_recipes_fault_and_a_null_is_the_rows(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["x", None]}), path)
    with pytest.raises(SourceError, match=r"no column 'text'.*body.*columns"):
        load(path)
    rows, unreadable, _ = load(path, columns={"text": "body"})
    assert len(rows) == 1 and unreadable == [("a.parquet", 1, "unreadable: no text in field 'body'", None)]


def test_a_truncated_file_is_one_unreadable_record(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"] * 1000}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    for split in (256 << 20, 100):
        rows, unreadable, _ = load(path, split_bytes=split)
        assert not rows and len(unreadable) == 1 and "not a whole Parquet file" in unreadable[0][2]


def test_a_damaged_row_group_costs_itself_only(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"{i} " * 500 for i in range(300)]}), path, row_group_size=100, compression="zstd", use_dictionary=False)
    about = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    end = about.data_page_offset + about.total_compressed_size
    data[end - 200 : end] = b"\xff" * 200
    path.write_bytes(data)
    rows, unreadable, _ = load(path)
    assert {row["offset"] for row in rows} >= set(range(100)) | set(range(200, 300)) and len(unreadable) == 1
