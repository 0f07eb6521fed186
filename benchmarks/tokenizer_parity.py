"""The gate: no id of the CPU engine (or of the GPU engine in plain torch) differs from Hugging Face `tokenizers`. Prints what was compared.

    python benchmarks/tokenizer_parity.py --data FOLDER --code FOLDER [--tokenizer FILE ...] [--strings 10_000_000] [--engine cpu|torch] [--cpus 2]

Vocabularies: the one that ships, those named, and three trained here on some of the text, with the patterns of GPT-2, Llama 3 and Qwen2, the
last two without the rule of whole code points. Texts: every string of every *.jsonl.zst below the data folder, and whatever else lies there,
unpacked and read as UTF-8 with replacement; 200 MB of English, Chinese, code, and the three shuffled into each other; strings put together of
what patterns trip over, or of random code points and bytes; a megabyte of one letter. The tests in tests/tokenize are the short form.
"""

import os

os.environ |= {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

import argparse
import contextlib
import gzip
import io
import json
import random
import signal
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.store import open_data
from pipeline.tokenize.batches import joined
from pipeline.tokenize.bpe import Bpe
from pipeline.tokenize.cpu import CpuEngine
from pipeline.tokenize.patterns import GPT2, LLAMA3, QWEN2
from pipeline.tokenize.reference import ReferenceEngine
from pipeline.tokenize.train import train

BATCH_BYTES = 1_000_000
KIND_BYTES = 50_000_000  # of each of en, zh, code, mixed
TRAIN_BYTES = 12_000_000
SIGNS = [
    "'s", "'S", "'t", "'re", "'Re", "'ve", "'m", "'ll", "'LL", "'d", "'ſ", "'K", "''", "'", "’s", " ", "  ", "    ", "\n", "\n\n", "\r\n", "\r", "\t", "\v", "\f",
    "\u3000", "\x85", "\xa0", "\u2028", "\u200b", "\u200d", "\ufeff", "\x1c", "\x00", "\x7f", "1", "23", "456", "7890123", "２", "Ⅷ", "½", "²", "٣", "a", "b", "Zq", "the",
    " hello", "WORLD", "ß", "ﬆ", "İ", "K", "é", "e\u0301", "\u0301", "\u0323", "中", "文", "中国", "人民", "的", "，", "。", "《", "》", "！", "!", "?", "...", "--", "--------",
    "__", "==", "(", ")", "{", "};", "</", "http://", "👍", "👍🏽", "👨\u200d👩\u200d👧", "🇨🇳", "1️⃣", "Ünï", "Ελλ", "Рус", "עבר", "العربية", "हिन्दी", "ไทย", "日本", "カタ",
    "한국", "각", "\u1100\u1161\u11a8", "\u088f", "\U000323b0", "\ue000", "\U0010ffff", "<|endoftext|>", "<|im_start|>", "<|im_end", "<EMAIL>", "<EMAIL", "<KEY>", "<|", "|>",
]  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Texts that are compared in one task: where they come from, and which share of them this task reads."""

    kind: str
    path: str
    share: int
    of: int


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_in(inner)


def rows_of(path: Path) -> Iterator[Any]:
    with path.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8", newline="\n"):
            yield json.loads(line)


def file_texts(path: Path) -> Iterator[bytes]:
    """All text of one file."""
    if path.name.endswith(".jsonl.zst"):
        for row in rows_of(path):
            for text in strings_in(row):
                yield text.encode()
        return
    content = path.read_bytes()
    with contextlib.suppress(EOFError, OSError, zlib.error):  # archives that are damaged on purpose: their bytes as they are
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        elif path.suffix == ".zst":
            content = zstandard.ZstdDecompressor().stream_reader(content).read()
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]  # what is cut or is no UTF-8 is part of the test


def kind_texts(folder: Path, code: Path, kind: str) -> Iterator[bytes]:
    """Texts of one kind, up to KIND_BYTES."""
    if kind == "mixed":
        parts = [[t for _, t in zip(range(3000), kind_texts(folder, code, k), strict=False)] for k in ("en", "zh", "code")]
        rng, size = random.Random(2), 0
        while size < KIND_BYTES:
            pieces = []
            for _ in range(rng.randint(2, 30)):
                text = rng.choice(rng.choice(parts)) or b" "
                at = rng.randrange(len(text))
                pieces.append(text[at : at + rng.randint(1, 400)])  # cut anywhere, inside a character too
            yield b"".join(pieces)
            size += sum(map(len, pieces))
        return
    size = 0
    if kind == "code":
        texts: Iterator[bytes] = (
            p.read_bytes()
            for p in sorted(code.rglob("*"))
            if p.is_file() and not p.is_symlink() and p.suffix in (".py", ".h", ".js", ".c", ".ts", ".md", ".json")
        )
    else:
        texts = (row["text"].encode() for path in sorted(folder.rglob(f"text_train/{kind}-*.jsonl.zst")) for row in rows_of(path))
    for text in texts:
        yield text
        size += len(text)
        if size > KIND_BYTES:
            return


def fuzzed(seed: int, count: int) -> Iterator[bytes]:
    """Strings that patterns trip over: 3 of 4 of SIGNS, the others of random code points, of bytes, and of one sign often."""
    rng = random.Random(seed)
    signs = [s.encode() for s in SIGNS]
    scripts = [
        (0x20, 0x7F),
        (0, 0x300),
        (0x300, 0x1000),
        (0x1000, 0x3000),
        (0x3000, 0xA000),
        (0xA000, 0xD800),
        (0xE000, 0x10000),
        (0x10000, 0x20000),
        (0x1F000, 0x20000),
        (0x20000, 0x110000),
    ]
    for _ in range(count):
        way = rng.random()
        if way < 0.75:
            yield b"".join(rng.choices(signs, k=int(rng.expovariate(0.12))))
        elif way < 0.9:
            low, high = rng.choice(scripts)
            yield "".join(map(chr, (rng.randrange(low, high) for _ in range(int(rng.expovariate(0.1)))))).encode("utf-8", "replace")
        elif way < 0.96:
            yield rng.randbytes(int(rng.expovariate(0.1)))
        else:
            yield rng.choice(signs) * int(rng.expovariate(0.02))


def texts_of(part: Part, code: str) -> Iterator[bytes]:
    if part.kind == "file":
        yield from islice(file_texts(Path(part.path)), part.share, None, part.of)
    elif part.kind == "strings":
        yield from fuzzed(part.share, part.of)
    elif part.kind == "letter":
        yield from (b"a" * 1_000_000, "的".encode() * 333_333, b" " * 1_000_000, b"ab" * 500_000)
    else:
        yield from islice(kind_texts(Path(part.path), Path(code), part.kind), part.share, None, part.of)


_ENGINES: dict[tuple[str, str], tuple[Any, ReferenceEngine]] = {}


def compare(part: Part, tokenizer: str, code: str, engine: str) -> tuple[int, int, int, list[str]]:
    """Texts, bytes, tokens, and the first differences."""
    if (tokenizer, engine) not in _ENGINES:
        bpe = Bpe.read(Path(tokenizer).read_bytes())
        if engine == "torch":
            from pipeline.tokenize.gpu import GpuEngine

            _ENGINES[tokenizer, engine] = (GpuEngine(bpe, "cpu"), ReferenceEngine(bpe))
        else:
            _ENGINES[tokenizer, engine] = (CpuEngine(bpe), ReferenceEngine(bpe))
    tested, reference = _ENGINES[tokenizer, engine]
    done, size, tokens, faults = 0, 0, 0, []
    texts = texts_of(part, code)
    while True:
        batch: list[bytes] = []
        room = BATCH_BYTES
        for text in texts:
            batch.append(text)
            room -= len(text) + 20
            if room < 0:
                break
        if not batch:
            return done, size, tokens, faults
        arrays = joined(batch)
        (ids, lengths), (expected, right) = tested.encode(*arrays), reference.encode(*arrays)
        if not (np.array_equal(ids, expected) and np.array_equal(lengths, right)):
            at, there = np.append(0, np.cumsum(lengths)), np.append(0, np.cumsum(right))
            faults += [repr(t[:200]) for k, t in enumerate(batch) if not np.array_equal(ids[at[k] : at[k + 1]], expected[there[k] : there[k + 1]])][:3]
        done, size, tokens = done + len(batch), size + sum(map(len, batch)), tokens + len(expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder whose text is all compared, with text_train/{en,zh}-*.jsonl.zst")
    parser.add_argument("--code", type=Path, required=True, help="folder of source code")
    parser.add_argument("--leave", action="append", default=[], help="files to leave alone, by name (repeatable)")
    parser.add_argument("--tokenizer", action="append", default=[], help="more tokenizer.json files (repeatable)")
    parser.add_argument("--strings", type=int, default=10_000_000, help="fuzzed strings, over all vocabularies")
    parser.add_argument("--only", action="append", default=[], help="file, kinds, strings, letter (repeatable; all by default)")
    parser.add_argument("--begin", type=int, default=0, help="the first task, where an earlier run was stopped (the order is always the same)")
    parser.add_argument("--engine", choices=("cpu", "torch"), default="cpu")
    parser.add_argument("--cpus", type=int, default=2)
    options = parser.parse_args()
    wanted = set(options.only) or {"file", "kinds", "strings", "letter"}

    with tempfile.TemporaryDirectory() as scratch:
        vocabularies = {"skypile-65k": Path(scratch) / "skypile-65k.json"}
        vocabularies["skypile-65k"].write_bytes(open_data("tokenize/skypile-65k/tokenizer.json"))
        some: list[str] = []
        for kind in ("en", "zh", "code"):
            size = 0
            for text in kind_texts(options.data, options.code, kind):
                some.append(text.decode("utf-8", "replace"))
                size += len(text)
                if size > TRAIN_BYTES:
                    break
        for pattern in (GPT2, LLAMA3, QWEN2):
            path = Path(scratch) / f"{pattern.name}.json"
            path.write_bytes(train([some], 32_768, pattern=pattern, whole_code_points=pattern is GPT2, threads=options.cpus))
            vocabularies[f"trained here, {pattern.name}"] = path
        vocabularies |= {p: Path(p) for p in options.tokenizer}

        tasks = []
        for name, path in vocabularies.items():
            parts = []
            if "file" in wanted:
                files = [p for p in sorted(options.data.rglob("*")) if p.is_file() and p.name not in options.leave]
                parts += [Part("file", str(p), k, max(1, p.stat().st_size >> 22)) for p in files for k in range(max(1, p.stat().st_size >> 22))]
            if "kinds" in wanted:
                parts += [Part(kind, str(options.data), k, 4) for kind in ("en", "zh", "code", "mixed") for k in range(4)]
            if "strings" in wanted:
                at_once = 100_000
                parts += [Part("strings", "", 1000 * len(tasks) + k, at_once) for k in range(options.strings // len(vocabularies) // at_once)]
            if "letter" in wanted:
                parts.append(Part("letter", "", 0, 1))
            tasks += [(part, name, path) for part in parts]

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        random.Random(1).shuffle(tasks)  # what was stopped early has seen something of everything
        tasks = tasks[options.begin :]
        totals: dict[tuple[str, str], list[int]] = {}
        begin, bad, n = time.perf_counter(), 0, 0
        pool = ProcessPoolExecutor(options.cpus)
        try:
            running = {pool.submit(compare, part, str(path), str(options.code), options.engine): (part, name) for part, name, path in tasks}
            for n, future in enumerate(as_completed(running), 1):
                part, name = running[future]
                *counts, faults = future.result()
                total = totals.setdefault((name, part.kind), [0, 0, 0])
                for k, count in enumerate(counts):
                    total[k] += count
                bad += len(faults)
                for fault in faults:
                    print(f"DIFFERS {name} {part}: {fault}", flush=True)
                if n % 50 == 0:
                    print(f"{n} of {len(running)} tasks, {time.perf_counter() - begin:.0f} s, {bad} differences", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print(f"stopped after {n} of {len(tasks)} tasks")
        pool.shutdown(wait=False, cancel_futures=True)
        for (name, kind), (texts, size, tokens) in sorted(totals.items()):
            print(f"{name:28} {kind:8} {texts:12,} texts {size / 1e6:10.1f} MB {tokens:14,} tokens")
        all_of = [sum(t[k] for t in totals.values()) for k in range(3)]
        print(f"all: {all_of[0]:,} texts, {all_of[1] / 1e6:,.1f} MB, {all_of[2]:,} tokens, {bad} texts shown that differ")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
