"""Training a vocabulary: ours against the trainer of Hugging Face `tokenizers`, the same texts, in one run; and ours alone on a gigabyte.

    python benchmarks/tokenizer_training.py --text 'text_train/*.jsonl.zst' code/ [--megabytes 20] [--gigabyte 1000] [--cpus 2]
    python benchmarks/tokenizer_training.py --text 'text/*.dev.jsonl.zst' --vocabularies a/tokenizer.json b/tokenizer.json

A text is a row of a *.jsonl.zst, or a file of UTF-8 below a folder or in a *.tar, of at most 2 MB; each different text once. Without the
rule of whole code points the merges must be equal, and the first difference is shown where they are not. Every trainer runs in a process of
its own that reads the texts from an uncompressed Parquet file, batch by batch, so that its peak of memory is its own. With --vocabularies:
bytes per token of each input file for each of them, by our engine.
"""

import argparse
import glob
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
MAX_FILE_BYTES = 2_000_000
ENTRIES = 65_522


def texts_of(path: Path) -> Iterator[str]:
    """The texts of one input, in a fixed order."""
    if path.name.endswith(".jsonl.zst"):
        with path.open("rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8", newline="\n"):
                yield json.loads(line)["text"]
        return
    if path.suffix == ".tar":
        with tarfile.open(path) as archive:
            contents = (archive.extractfile(m).read() for m in archive if m.isfile() and 0 < m.size <= MAX_FILE_BYTES)  # type: ignore[union-attr]  # a file
            yield from decoded(contents)
        return
    files = (p for p in sorted(path.rglob("*")) if p.is_file() and not p.is_symlink() and 0 < p.stat().st_size <= MAX_FILE_BYTES)
    yield from decoded(p.read_bytes() for p in files)


def decoded(contents: Iterator[bytes]) -> Iterator[str]:
    for content in contents:
        if b"\0" not in content:
            try:
                yield content.decode()
            except UnicodeDecodeError:
                continue


def gather(inputs: list[str], limit_bytes: int, out: Path) -> dict[str, int]:
    """Different texts, one of each input in turn, into a Parquet file until there are so many bytes. Returns the bytes of each input."""
    paths = [Path(p) for pattern in inputs for p in (sorted(glob.glob(pattern)) or [pattern])]
    sources = [(path, texts_of(path)) for path in paths]
    taken: dict[str, int] = {}
    seen: set[bytes] = set()
    total = 0
    with pq.ParquetWriter(out, pa.schema([("text", pa.string())]), compression="none", use_dictionary=False) as writer:
        batch: list[str] = []
        held = 0
        while sources and total < limit_bytes:
            for path, texts in list(sources):
                text = next(texts, None)
                if text is None:
                    sources.remove((path, texts))
                    continue
                encoded = text.encode()
                digest = hashlib.sha256(encoded).digest()
                if digest in seen:
                    continue
                seen.add(digest)
                batch.append(text)
                taken[path.name] = taken.get(path.name, 0) + len(encoded)
                total, held = total + len(encoded), held + len(encoded)
                if held > 16 << 20 or total >= limit_bytes:
                    writer.write_table(pa.table({"text": pa.array(batch, pa.string())}))
                    batch, held = [], 0
                if total >= limit_bytes:
                    break
        if batch:
            writer.write_table(pa.table({"text": pa.array(batch, pa.string())}))
    return taken


def batches(path: str) -> Iterator[pa.Array]:
    yield from (group.column("text") for group in pq.ParquetFile(path).iter_batches(batch_size=4096))


def work(trainer: str, path: str, cpus: int, out: str) -> None:
    """One trainer in this process: merges into `out`, seconds and peak memory on standard output."""
    if trainer == "tokenizers":
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

        from pipeline.tokenize.bpe import byte_characters
        from pipeline.tokenize.patterns import QWEN2

        tokenizer = Tokenizer(models.BPE())
        cut, level = pre_tokenizers.Split(Regex(QWEN2.regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, level])
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        settings = trainers.BpeTrainer(vocab_size=ENTRIES, min_frequency=2, initial_alphabet=alphabet, max_token_length=33, show_progress=False)
        begin = time.perf_counter()
        tokenizer.train_from_iterator((text for batch in batches(path) for text in batch.to_pylist()), settings)
        seconds = [time.perf_counter() - begin]
        number = {character: byte for byte, character in enumerate(byte_characters())}
        merges = [[bytes(number[c] for c in part).hex() for part in pair] for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    else:
        from pipeline.tokenize.train import count_pieces, learn

        learn(count_pieces([["warm"], ["it"]], threads=2), 257)  # compiles
        begin = time.perf_counter()
        pieces = count_pieces(batches(path), threads=cpus)
        between = time.perf_counter()
        found = learn(pieces, ENTRIES, whole_code_points=trainer == "ours")
        seconds = [time.perf_counter() - begin, between - begin]
        merges = [[left.hex(), right.hex()] for left, right in found]
    Path(out).write_text(json.dumps(merges))
    print(json.dumps({"seconds": seconds, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "merges": len(merges)}))


def run(trainer: str, path: Path, cpus: int, out: Path) -> dict:
    environment = {**os.environ, "RAYON_NUM_THREADS": str(cpus), "TOKENIZERS_PARALLELISM": "true"}
    command = [sys.executable, __file__, "--work", trainer, str(path), str(cpus), str(out)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(finished.stdout.splitlines()[-1]))


def said(name: str, megabytes: float, n: dict) -> None:
    counting = f" (of which pieces {n['seconds'][1]:.1f} s)" if len(n["seconds"]) > 1 else ""
    print(
        f"{name:34} {n['seconds'][0]:7.1f} s{counting}, {megabytes / n['seconds'][0]:6.1f} MB/s, peak {n['peak_gb']:.2f} GB, {n['merges']:,} merges", flush=True
    )


def against_tokenizers(inputs: list[str], megabytes: float, cpus: int, folder: Path) -> None:
    path = folder / "texts.parquet"
    size = sum(gather(inputs, int(megabytes * 1e6), path).values()) / 1e6
    print(f"{size:.1f} MB of different texts, {ENTRIES:,} entries, {cpus} threads")
    results = {}
    for name, trainer in (("tokenizers", "tokenizers"), ("ours, the same rules", "free"), ("ours, whole code points", "ours")):
        results[trainer] = run(trainer, path, cpus, folder / f"{trainer}.json")
        said(name, size, results[trainer])
    theirs, free, ours = (json.loads((folder / f"{t}.json").read_text()) for t in ("tokenizers", "free", "ours"))
    print(f"ours is {results['tokenizers']['seconds'][0] / results['free']['seconds'][0]:.1f} times as fast; ", end="")
    first = next((k for k, (a, b) in enumerate(zip(theirs, free, strict=False)) if a != b), None)
    if theirs == free:
        print(f"all {len(free):,} merges are equal")
    else:
        k = min(len(theirs), len(free)) if first is None else first
        print(f"the merges differ from {k} on: {theirs[k : k + 1]} there, {free[k : k + 1]} here")
    shared = len({tuple(m) for m in ours} & {tuple(m) for m in free})
    print(f"whole code points: {shared:,} of {len(ours):,} merges are among those without the rule")


def gigabyte(inputs: list[str], megabytes: float, cpus: int, folder: Path) -> None:
    path = folder / "texts.parquet"
    taken = gather(inputs, int(megabytes * 1e6), path)
    size = sum(taken.values()) / 1e6
    print(f"{size:.1f} MB of different texts, {cpus} threads: {', '.join(f'{name} {n / 1e6:.0f}' for name, n in taken.items())}")
    said("ours, whole code points", size, run("ours", path, cpus, folder / "ours.json"))


def bytes_per_token(inputs: list[str], vocabularies: list[str]) -> None:
    from pipeline.texts import Texts
    from pipeline.tokenize.bpe import Bpe
    from pipeline.tokenize.cpu import CpuEngine

    engines = [CpuEngine(Bpe.read(Path(p).read_bytes())) for p in vocabularies]
    print(f"{'':36} {'bytes':>12} " + " ".join(f"{f'({k})':>6}" for k in range(1, len(engines) + 1)))
    for path in [Path(p) for pattern in inputs for p in (sorted(glob.glob(pattern)) or [pattern])]:
        texts = Texts([text for text in texts_of(path) if text])
        size = int(texts.offsets[-1] - texts.offsets[0])
        rates = [size / int(np.sum(engine.encode(texts.data, texts.offsets)[1])) for engine in engines]
        print(f"{path.name:36} {size:12,} " + " ".join(f"{rate:6.3f}" for rate in rates), flush=True)
    for k, p in enumerate(vocabularies, 1):
        print(f"({k}) {p}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", default=[], help="globs of *.jsonl.zst or *.tar, or folders")
    parser.add_argument("--megabytes", type=float, default=20, help="of text for the comparison; 0: none")
    parser.add_argument("--gigabyte", type=float, default=0, help="megabytes of text for ours alone; 0: none")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--vocabularies", nargs="+", default=[], help="tokenizer.json files: bytes per token instead of training")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        trainer, path, cpus, out = options.work
        work(trainer, path, int(cpus), out)
    elif options.vocabularies:
        bytes_per_token(options.text, options.vocabularies)
    else:
        with tempfile.TemporaryDirectory() as folder:
            if options.megabytes:
                against_tokenizers(options.text, options.megabytes, options.cpus, Path(folder))
            if options.gigabyte:
                gigabyte(options.text, options.gigabyte, options.cpus, Path(folder))


if __name__ == "__main__":
    main()
