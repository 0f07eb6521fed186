"""Encoding: our engines against tiktoken, gigatoken and Hugging Face `tokenizers`, same tokenizer, same texts, ids compared, in one run.

    python benchmarks/tokenizer.py --text en='data/en-*.jsonl.zst' --text zh='data/zh-*.jsonl.zst' --text code=FOLDER [--megabytes 20]
    python benchmarks/tokenizer.py ... --device cuda [--threads 16]     # on a GPU: resident on the device, and from host to host

Peers are measured where they are installed (`pip install tiktoken gigatoken`); who is not is named. Each one encodes texts that it has not
seen since it was made (a crawl is read once) and the same texts again (which is what a benchmark that repeats its text shows: all but
`tokenizers` and tiktoken remember). One thread, CPU time, medians of --repeats. On a GPU: wall time, all peers with --threads.
"""

# ruff: noqa: E402  # libraries read how many threads they may have when they are imported
import os
import sys

_THREADS = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
os.environ |= {"RAYON_NUM_THREADS": _THREADS, "TOKENIZERS_PARALLELISM": "true" if _THREADS != "1" else "false", "OMP_NUM_THREADS": _THREADS}

import argparse
import glob
import hashlib
import io
import json
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.kernels import bpe as kernel
from pipeline.kernels.raw import frozen
from pipeline.tokenize.batches import joined
from pipeline.tokenize.bpe import Bpe
from pipeline.tokenize.cpu import CpuEngine
from pipeline.tokenize.engine import read_tokenizer
from pipeline.tokenize.reference import ReferenceEngine

Run = Callable[[], np.ndarray]


def texts_of(pattern: str) -> Iterator[bytes]:
    """Texts of *.jsonl.zst files, or the files below a folder, in sorted order; of many files the same share of each."""
    for path in map(Path, sorted(glob.glob(pattern))):
        if path.is_dir():
            for file in sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size < 1_000_000):
                content = file.read_bytes()
                if b"\0" not in content:
                    yield content.decode("utf-8", "replace").encode()
        else:
            with path.open("rb") as raw:
                for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8", newline="\n"):
                    yield json.loads(line)["text"].encode()


def sample(pattern: str, limit: int) -> list[bytes]:
    """About `limit` bytes of whole texts, taken evenly from all there are."""
    texts = list(texts_of(pattern))
    if not texts:
        raise SystemExit(f"nothing matches {pattern}")
    step = max(1.0, sum(map(len, texts)) / limit)
    return [texts[int(k * step)] for k in range(int(len(texts) / step))]


def gigatoken(bpe: Bpe) -> Callable[[np.ndarray, np.ndarray], Run]:
    import awkward  # type: ignore[import-untyped]  # no stubs
    from gigatoken import Tokenizer  # type: ignore[import-untyped]

    engine = Tokenizer.from_json(bpe.source)

    def on(content: np.ndarray, offsets: np.ndarray) -> Run:
        characters = awkward.contents.NumpyArray(content, parameters={"__array__": "char"})
        strings = awkward.Array(awkward.contents.ListOffsetArray(awkward.index.Index64(offsets), characters, parameters={"__array__": "string"}))
        return lambda: awkward.to_numpy(awkward.flatten(engine.encode_batch(strings, parallel=_THREADS != "1"), axis=1))

    return on


def tiktoken(bpe: Bpe) -> Callable[[np.ndarray, np.ndarray], Run]:
    import tiktoken as peer  # type: ignore[import-not-found, import-untyped]

    special = {a.content.decode(): a.id for a in bpe.added}
    engine = peer.Encoding("ours", pat_str=bpe.pattern.regex, mergeable_ranks=bpe.entries, special_tokens=special)

    def on(content: np.ndarray, offsets: np.ndarray) -> Run:
        texts = [content[a:b].tobytes().decode() for a, b in pairwise(offsets)]
        return lambda: np.concatenate([np.array(row, np.uint32) for row in engine.encode_batch(texts, num_threads=int(_THREADS), allowed_special="all")])

    return on


def ours(make: Callable[[], Any]) -> Callable[[Bpe], Callable[[np.ndarray, np.ndarray], Run]]:
    def fresh(_bpe: Bpe) -> Callable[[np.ndarray, np.ndarray], Run]:
        engine = make()
        engine.encode(*joined([b"warm"]))
        return lambda content, offsets: lambda: engine.encode(content, offsets)[0]

    return fresh


def timed(run: Run, expected: str, who: str, clock: Callable[[], float]) -> float:
    start = clock()
    ids = run()
    spent = clock() - start
    if digest(ids) != expected:
        raise SystemExit(f"{who}: the ids differ")
    return spent


def digest(ids: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(ids.astype(np.uint32))).hexdigest()


def stages(bpe: Bpe, content: np.ndarray, offsets: np.ndarray) -> dict[str, float]:
    """Seconds in each stage of the CPU engine, words known."""
    engine = CpuEngine(bpe)
    engine.encode(content, offsets)
    data, bounds, starts = frozen(content), frozen(offsets), np.empty(int(np.diff(offsets).max(initial=0)) + 65, np.uint32)
    spent = {}
    for name, work in {
        "UTF-8 check": lambda: kernel.are_utf8(data, bounds),
        "added tokens": lambda: engine._added(data, bounds),
        "pieces and cuts": lambda: [kernel.mark_words(data, a, b, engine._rules.cutting, starts) for a, b in pairwise(bounds)],
        "all": lambda: engine.encode(content, offsets),
    }.items():
        work()
        begin = time.process_time()
        work()
        spent[name] = time.process_time() - begin
    spent["look-up, merges, ids"] = spent["all"] - sum(v for k, v in spent.items() if k != "all")
    return spent


def resident(bpe: Bpe, content: np.ndarray, offsets: np.ndarray, repeats: int) -> float:
    """Seconds that a GPU needs for texts that lie there already, table of words warm; median, by CUDA events."""
    import torch

    from pipeline.tokenize.gpu import GpuEngine

    engine = GpuEngine(bpe)
    data, bounds = engine.stages.lay_out(torch.from_numpy(content).cuda(), torch.from_numpy(offsets).cuda())
    spent = []
    for _ in range(repeats + 1):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        engine.encode_on_device(data.clone(), bounds)
        end.record()
        torch.cuda.synchronize()
        spent.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(spent[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", required=True, action="append", metavar="NAME=GLOB", help="*.jsonl.zst with a field text, or a folder (repeatable)")
    parser.add_argument("--tokenizer", default="skypile-65k", help="one that ships, or a tokenizer.json")
    parser.add_argument("--megabytes", type=float, default=20.0, help="of each text")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", default="1")
    options = parser.parse_args()

    bpe = read_tokenizer(options.tokenizer)
    clock = time.process_time if options.device == "cpu" and options.threads == "1" else time.perf_counter
    makers: dict[str, Callable[[Bpe], Callable[[np.ndarray, np.ndarray], Run]]] = {"ours, cpu": ours(lambda: CpuEngine(bpe))}
    if options.device == "cuda":
        from pipeline.tokenize.gpu import GpuEngine

        makers["ours, cuda, host to host"] = ours(lambda: GpuEngine(bpe))
    makers |= {"gigatoken": gigatoken, "tiktoken": tiktoken, "tokenizers": ours(lambda: ReferenceEngine(bpe))}
    for name in ("gigatoken", "tiktoken"):
        try:
            makers[name](bpe)
        except ImportError:
            print(f"{name} is not installed, and not measured")
            del makers[name]

    for item in options.text:
        language, _, pattern = item.partition("=")
        content, offsets = joined(sample(pattern, int(options.megabytes * 1e6)))
        content, megabytes = content.copy(), len(content) / 1e6
        ids, _lengths = ReferenceEngine(bpe).encode(content, offsets)
        print(f"\n{language}: {len(offsets) - 1:,} texts, {megabytes:.1f} MB, {len(ids):,} tokens, {megabytes * 1e6 / len(ids):.2f} bytes a token")
        spent: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in makers}
        for _ in range(options.repeats):
            for name, make in makers.items():
                run = make(bpe)(content, offsets)
                for reading in spent[name]:
                    reading.append(timed(run, digest(ids), name, clock))
        base = [statistics.median(r) for r in spent.get("gigatoken", spent["tokenizers"])]
        against = "gigatoken" if "gigatoken" in spent else "tokenizers"
        print(f"{'MB/s':26} {'not seen':>10} {'seen':>10}   of {against}'s")
        for name, readings in spent.items():
            first, again = (statistics.median(r) for r in readings)
            print(f"{name:26} {megabytes / first:10.1f} {megabytes / again:10.1f}   {base[0] / first:6.2f} {base[1] / again:6.2f}")
        if options.device == "cuda":
            print(f"{'ours, cuda, resident':26} {'':10} {megabytes / resident(bpe, content, offsets, options.repeats):10.1f}")
        share = stages(bpe, content, offsets)
        print("time of ours on a CPU, words seen: " + ", ".join(f"{n} {t / share['all']:.0%}" for n, t in share.items() if n != "all"))


if __name__ == "__main__":
    main()
