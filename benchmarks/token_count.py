"""Counting tokens: TokenCounter against Hugging Face `tokenizers`, one thread each, the same texts, in one run.

    python benchmarks/token_count.py --text 'data/*.jsonl.zst' [--megabytes 20]

gigatoken remembers pieces of text, so it is timed twice: on texts that it has not seen (a crawl, read once) and on the same
texts again (what a benchmark that repeats its text would show). Medians of three; counts must be equal.
"""

import os

os.environ["RAYON_NUM_THREADS"] = "1"  # read when the libraries first start their threads
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import glob
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.store import open_data
from pipeline.tokenize import TokenCounter

REPEATS = 3
HF_BATCH = 256  # texts: larger batches only hold more memory


def read(pattern: str, limit_bytes: int) -> list[str]:
    """The first texts of each file, the same bytes of each, in sorted order."""
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise SystemExit(f"no file matches {pattern}")
    texts: list[str] = []
    for path in paths:
        room = limit_bytes // len(paths)
        with open(path, "rb") as raw:
            reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw)
            for line in io.TextIOWrapper(reader, "utf-8", newline="\n"):
                text = json.loads(line)["text"]
                room -= len(text.encode())
                if room < 0:
                    break
                texts.append(text)
    return texts


def seconds(work: Callable[[], np.ndarray], expected: np.ndarray) -> float:
    """CPU time, which is wall time for one thread and does not suffer from neighbours on the machine."""
    start = time.process_time()
    counts = work()
    spent = time.process_time() - start
    if not np.array_equal(counts, expected):
        raise SystemExit("the counts differ")
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", required=True, help="glob of *.jsonl.zst files with a field text")
    parser.add_argument("--megabytes", type=float, default=20.0, help="of text to read in all")
    options = parser.parse_args()

    texts = read(options.text, int(options.megabytes * 1e6))
    column = pa.array(texts, pa.large_string())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    tokenizer_json = open_data("tokenize/skypile-65k/tokenizer.json")
    reference = Tokenizer.from_str(tokenizer_json.decode())

    def huggingface() -> np.ndarray:
        batches = (texts[start : start + HF_BATCH] for start in range(0, len(texts), HF_BATCH))
        return np.array([len(e) for batch in batches for e in reference.encode_batch_fast(batch, add_special_tokens=False)])

    expected = huggingface()
    times: dict[str, list[float]] = {"tokenizers": [], "TokenCounter, first reading": [], "TokenCounter, second reading": []}
    for _ in range(REPEATS):
        counter = TokenCounter(tokenizer_json)
        counter(["start"])
        times["tokenizers"].append(seconds(huggingface, expected))
        times["TokenCounter, first reading"].append(seconds(lambda counter=counter: counter(column), expected))
        times["TokenCounter, second reading"].append(seconds(lambda counter=counter: counter(column), expected))
    print(f"{len(texts):,} texts, {megabytes:.1f} MB, {expected.sum():,} tokens, {megabytes * 1e6 / expected.sum():.2f} bytes a token")
    base = statistics.median(times["tokenizers"])
    for name, spent in times.items():
        median = statistics.median(spent)
        print(f"{name:30} {megabytes / median:8.1f} MB/s   {base / median:6.1f} x")


if __name__ == "__main__":
    main()
