"""Writing and mixing a release.

    python benchmarks/release.py write FOLDER...        text files (one a document) or *.jsonl with a `text`: MB of text a second and core, and the size beside `zstd -3`
    python benchmarks/release.py mix [--documents N]    N short documents in 20 units through mix, shuffle and shards with Ray: seconds, and memory of all processes

Writing: one process, medians of five, all columns, beside a bare `pyarrow.parquet.write_table` of id and text alone. Mixing: reading and counting
tokens are not counted; memory is the largest sum of what the driver's and the workers' processes hold for themselves (Pss), Ray's own services apart.
"""

import argparse
import io
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

import pipeline
from pipeline import shards
from pipeline.dedup.signatures import signatures
from pipeline.store import Store
from pipeline.timings import timings


def texts_of(folders: list[Path], most: int) -> list[str]:
    """Documents up to `most` bytes of text."""
    found: list[str] = []
    size = 0
    for file in sorted(f for folder in folders for f in ([folder] if folder.is_file() else folder.rglob("*")) if f.is_file()):
        if file.suffix == ".parquet":
            new = [t for t in pq.read_table(file, columns=["text"]).column("text").to_pylist() if t]
        elif file.name.endswith((".jsonl", ".jsonl.zst")):
            data = file.read_bytes() if file.suffix == ".jsonl" else zstandard.ZstdDecompressor().stream_reader(file.read_bytes()).read()
            new = [json.loads(line)["text"] for line in data.split(b"\n") if line]
        elif file.suffix in (".txt", ".md"):
            new = [part for part in file.read_text(encoding="utf-8", errors="replace").split("\n\n\n") if part]
        else:
            continue
        for text in new:
            found.append(text)
            size += len(text.encode())
            if size >= most:
                return found
    return found


def rows_of(texts: list[str]) -> tuple[pa.Table, pa.Schema]:
    """Rows of a release with all its columns, as a crawl fills them."""
    n = len(texts)
    rng = np.random.default_rng(0)
    fixed: dict[str, Any] = {
        "id": [f"{i:032x}" for i in rng.integers(0, 2**63, n).tolist()], "text": texts, "url": [f"https://site{i % 997}.example/{i}/page.html" for i in range(n)],
        "source": ["web"] * n, "licence": ["as found on the web"] * n, "date": [f"2026-0{1 + i % 9}-1{i % 10}T00:00:00Z" for i in range(n)], "domain": ["en"] * n, "subdomain": ["web"] * n,
        "language": ["en"] * n, "language_score": rng.random(n), "script": [None] * n, "cluster": [None] * n, "cluster_size": rng.integers(1, 4, n),
        "characters": [len(t) for t in texts], "text_bytes": [len(t.encode()) for t in texts], "token_count": [len(t) // 4 + 1 for t in texts], "repeats": [1] * n, "filter_trace": ["0" * 12 + " extract normalize language gopher"] * n,
        "quality": rng.random(n) * 5, "sensitive_adult": rng.random(n), "topic": ["science"] * n, "hash": np.sort(rng.integers(0, 2**63, n).astype(np.uint64)),
    }  # fmt: skip
    added = [pa.field("quality", pa.float64()), pa.field("sensitive_adult", pa.float64()), pa.field("topic", pa.string())]
    schema = shards.schema_with(added)
    columns = [pa.array(fixed[f.name], f.type) if f.name in fixed else pa.nulls(n, f.type) for f in schema]
    placed = pa.schema([*schema, pa.field("hash", pa.uint64(), nullable=False)])
    return pa.table([*columns, pa.array(fixed["hash"])], schema=placed), schema


def median(call: Callable[[], object], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def write(folders: list[Path], most: int) -> None:
    texts = texts_of(folders, most)
    table, schema = rows_of(texts)
    size = sum(len(t.encode()) for t in texts)
    compressed = sum(len(zstandard.ZstdCompressor(level=3).compress("".join(texts[i : i + 10_000]).encode())) for i in range(0, len(texts), 10_000))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        per_bucket = max(1, len(texts) // 20)

        def ours() -> None:
            buckets = (table.slice(i, per_bucket) for i in range(0, table.num_rows, per_bucket))
            shards.write_shard(store, "a.parquet", buckets, 32_000_000, schema)

        def bare() -> None:
            pq.write_table(table.select(["id", "text"]), io.BytesIO(), compression="zstd", compression_level=3, use_dictionary=False, row_group_size=10_000)

        rates = {
            "a shard, all columns": median(ours),
            "bare pyarrow, id and text": median(bare),
            "zstd -3 alone": median(
                lambda: [zstandard.ZstdCompressor(level=3).compress("".join(texts[i : i + 10_000]).encode()) for i in range(0, len(texts), 10_000)]
            ),
            "signatures": median(lambda: [signatures(table.column("text").slice(i, 2000)) for i in range(0, len(texts), 2000)], 3),
        }
        print(f"{len(texts):,} documents, {size / 1e6:.1f} MB of text\n\n| work | MB/s |\n|---|---|")
        for name, seconds in rates.items():
            print(f"| {name} | {size / 1e6 / seconds:.0f} |")
        file = pq.ParquetFile(f"{folder}/a.parquet")
        column = schema.get_field_index("text")
        text = sum(file.metadata.row_group(g).column(column).total_compressed_size for g in range(file.num_row_groups))
        whole = Path(folder, "a.parquet").stat().st_size
        print(
            f"\n| size | bytes | of zstd -3 |\n|---|---|---|\n| zstd -3 of the text | {compressed:,} | 1 |\n| the column `text` | {text:,} | {text / compressed:.3f} |"
        )
        print(f"| the whole file, {len(schema)} columns, index and bloom filter | {whole:,} | {whole / compressed:.3f} |\n\n{file.num_row_groups} row groups")


def _pss() -> Iterator[tuple[str, int]]:
    """Memory of this process and of Ray's workers, kB."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if "benchmarks/release.py" in command or command.startswith("ray::"):
                    line = next(ln for ln in (folder / "smaps_rollup").read_text().splitlines() if ln.startswith("Pss:"))
                    yield command, int(line.split()[1])
            except (OSError, StopIteration):
                continue


def mix(documents: int, folder: Path, cpus: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    words = {
        "en": ["the", "river", "runs", "under", "an", "old", "bridge", "where", "people", "meet", "after", "work", "and", "talk", "about", "the", "weather"],
        "zh": list("河水从老桥下流过人们下班后在那里见面谈论天气和收成今年的雨来得很早"),
    }
    rng = np.random.default_rng(1)
    for u in range(20):
        file = folder / f"part-{u:02d}.jsonl"
        if not file.exists():
            lines = []
            for i in range(documents // 20):
                domain = "en" if i % 2 else "zh"
                text = (" " if domain == "en" else "").join(rng.choice(words[domain], 12).tolist())
                lines.append(json.dumps({"text": f"{u} {i} {text}", "domain": domain}, ensure_ascii=False))
            file.write_text("\n".join(lines), encoding="utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        'name: bench\nversion: "1"\nsources:\n  posts: {reader: jsonl, files: "' + str(folder) + '/part-*.jsonl", columns: {text: text, domain: domain}}\n'
        "stages:\n  - deduplicate: {by: id}\nmix:\n  shares: {en: 0.6, zh: 0.4}\n  max_epochs: {en: 1, zh: 4}\nrelease: {signatures: false, removed: 0}\n",
        encoding="utf-8",
    )
    peak, running = [0, 0], [True]

    def watch() -> None:
        while running[0]:
            found = list(_pss())
            peak[0] = max(peak[0], sum(kb for _, kb in found))
            peak[1] = max(peak[1], max((kb for _, kb in found), default=0))
            time.sleep(0.5)

    threading.Thread(target=watch, daemon=True).start()
    release = pipeline.run(pipeline.Recipe.load(recipe), folder / "work", cpus=cpus)
    running[0] = False
    took = {name: found["wall_seconds"] for name, found in timings(pipeline.plan(pipeline.Recipe.load(recipe), folder / "work")).items()}
    rows = sum(r["documents"] for r in release.stats["released"])
    print(f"{documents:,} documents in, {rows:,} released\n\n| step | seconds |\n|---|---|")
    for name, seconds in took.items():
        print(f"| {name} | {seconds:.1f} |")
    print(f"| **mix and release** | **{took['mix'] + took['release']:.1f}** |")
    print(f"\nlargest sum of all processes {peak[0] / 1e6:.2f} GB, largest process {peak[1] / 1e6:.2f} GB (whole run)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("write")
    first.add_argument("folders", nargs="+", type=Path)
    first.add_argument("--most", type=int, default=100_000_000, help="bytes of text")
    second = commands.add_parser("mix")
    second.add_argument("--documents", type=int, default=10_000_000)
    second.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "benchmark-mix")
    second.add_argument("--cpus", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(arguments.folders, arguments.most)
    else:
        mix(arguments.documents, arguments.folder, arguments.cpus)


if __name__ == "__main__":
    main()
