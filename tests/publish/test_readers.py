"""A release reads with the tools that people have: datasets, polars, duckdb and pyarrow give the same rows, ids and texts, streaming or not."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.publish.card import card
from tests.running import Finished

Rows = list[tuple[str, str]]  # id and text, in the release's order


@pytest.fixture(scope="module")
def release(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> pipeline.Release:
    """The sample's release with its card, whose front matter says which files are which configuration."""
    folder = tmp_path_factory.mktemp("readers") / finished.name
    shutil.copytree(finished.release.path, folder)
    card(folder)
    return pipeline.open_release(str(folder))


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = pytest.importorskip("datasets", reason="datasets is not installed")
    module.disable_progress_bars()
    monkeypatch.setattr(module.config, "HF_DATASETS_CACHE", tmp_path)
    return module


def expected(release: pipeline.Release, domain: str | None = None, split: str = "train") -> Rows:
    return [(row["id"], row["text"]) for batch in release.documents(domain, split, ["id", "text"]) for row in batch.to_pylist()]


def read(rows: Iterable[dict[str, Any]]) -> Rows:
    return [(row["id"], row["text"]) for row in rows]


def shards(release: pipeline.Release, folder: str = "data") -> list[str]:
    return sorted(f"{release.path}/{name}" for name in release.manifest["files"] if name.startswith(f"{folder}/"))


# --- datasets -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streaming"])
def test_datasets_reads_the_shards(release: pipeline.Release, datasets: Any, streaming: bool) -> None:
    files = {"train": shards(release), "validation": shards(release, "validation")}
    found = datasets.load_dataset("parquet", data_files=files, streaming=streaming)
    assert set(found) == {"train", "validation"}
    for split in found:
        assert read(found[split]) == expected(release, split=split)
    if not streaming:
        assert found["train"].column_names == pq.read_schema(shards(release)[0]).names
        assert found["train"].num_rows == sum(release.manifest["files"][f]["rows"] for f in release.manifest["files"] if f.startswith("data/"))


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streaming"])
def test_datasets_reads_the_folder_by_its_card(release: pipeline.Release, datasets: Any, streaming: bool) -> None:
    """One line, as its users write it. Neither the ledger nor the signatures, which have other columns, are in the way."""
    everything = datasets.load_dataset(release.path, split="train", streaming=streaming)
    assert sorted(read(everything)) == sorted(expected(release)), "the card says in which order domains come"
    for domain in release.domains:
        for split in ("train", "validation"):
            assert read(datasets.load_dataset(release.path, domain, split=split, streaming=streaming)) == expected(release, domain, split)
    removed = datasets.load_dataset(release.path, "removed", streaming=streaming)
    (rows,) = (removed[split] for split in removed)
    assert sum(1 for _ in rows) == sum(about["rows"] for name, about in release.manifest["files"].items() if name.startswith("removed/"))


def test_a_stream_can_be_cut_for_workers_and_shuffled(release: pipeline.Release, datasets: Any) -> None:
    """Shards are the unit of splitting, so that workers see every row once, whatever their number."""
    stream = datasets.load_dataset("parquet", data_files={"train": shards(release)}, split="train", streaming=True)
    n = len(shards(release))
    parts = [read(stream.shard(num_shards=n, index=i)) for i in range(n)]
    assert all(parts) and sorted(row for part in parts for row in part) == sorted(expected(release))
    assert sorted(read(stream.shuffle(seed=1, buffer_size=50))) == sorted(expected(release))


def test_types_survive(release: pipeline.Release, datasets: Any) -> None:
    """Numbers as numbers, nulls as nulls: a column that is null throughout a shard has the type that it has elsewhere."""
    found = datasets.load_dataset("parquet", data_files={"train": shards(release)}, split="train")
    table = pa.concat_tables(pq.read_table(f, partitioning=None) for f in shards(release))
    for name in table.column_names:
        assert found.with_format("arrow")[:].column(name).cast(table.schema.field(name).type).to_pylist() == table.column(name).to_pylist()
        assert found.features[name].dtype == str(table.schema.field(name).type).replace("double", "float64")


# --- polars, duckdb, pyarrow ---------------------------------------------------------------------------------------------------------


def test_polars_reads_it(release: pipeline.Release) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    assert polars.read_parquet(shards(release)).select("id", "text").rows() == expected(release)
    lazy = polars.scan_parquet(f"{release.path}/data/zh/*.parquet")
    assert lazy.select("id", "text").collect(engine="streaming").rows() == expected(release, "zh")
    wanted = expected(release, "zh")[-1]
    assert lazy.filter(polars.col("id") == wanted[0]).select("id", "text").collect().rows() == [wanted]


def test_duckdb_reads_it(release: pipeline.Release) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    found = duckdb.execute("SELECT id, text FROM read_parquet(?) ORDER BY filename, file_row_number", [shards(release)])
    assert found.fetchall() == expected(release)
    counted = duckdb.sql(f"SELECT domain, count(*), sum(token_count * repeats) FROM '{release.path}/data/*/*.parquet' GROUP BY ALL ORDER BY ALL").fetchall()
    assert counted == [(d, m["documents"], m["tokens"]) for d, m in sorted(release.mixture["domains"].items())]
    wanted = expected(release, "en")[0]
    assert duckdb.execute(f"SELECT id, text FROM '{release.path}/data/*/*.parquet' WHERE id = ?", [wanted[0]]).fetchall() == [wanted]
    assert duckdb.sql(f"SELECT count(*) FROM '{release.path}/ledger/*.parquet'").fetchall() == [(release.ledger.num_rows,)]


def test_pyarrow_reads_it(release: pipeline.Release) -> None:
    whole = pyarrow.dataset.dataset(f"{release.path}/data", format="parquet")
    assert read(whole.to_table(columns=["id", "text"]).to_pylist()) == expected(release)
    streamed = [row for batch in whole.to_batches(columns=["id", "text"], batch_size=7) for row in batch.to_pylist()]
    assert read(streamed) == expected(release)
    wanted = expected(release, "zh")[0]
    assert read(whole.to_table(columns=["id", "text"], filter=pyarrow.dataset.field("id") == wanted[0]).to_pylist()) == [wanted]


# --- what readers find their way by ---------------------------------------------------------------------------------------------------


def test_a_row_is_found_without_reading_the_rest(release: pipeline.Release) -> None:
    """Page indexes, and a bloom filter on the id, which no statistics can narrow down."""
    for file in [*shards(release), *shards(release, "validation")]:
        meta = pq.ParquetFile(file).metadata
        for i in range(meta.num_row_groups):
            columns = {c.path_in_schema: c for c in (meta.row_group(i).column(k) for k in range(meta.num_columns))}
            assert all(c.has_offset_index for c in columns.values())
            assert all(columns[name].has_column_index for name in ("id", "url", "domain", "token_count"))  # of long texts no least and greatest are kept
            assert columns["id"].bloom_filter_offset and columns["id"].bloom_filter_length
            assert columns["text"].compression == "ZSTD"


def test_the_files_say_nothing_of_the_library_that_wrote_them(release: pipeline.Release) -> None:
    """No Arrow or pandas schema of its own: every reader sees the same types, by Parquet's own words."""
    for file in shards(release):
        assert not pq.ParquetFile(file).metadata.metadata
        assert pq.read_schema(file).field("text").type == pa.string()
