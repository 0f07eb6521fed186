"""No worker's memory depends on the size of its input: the peak of each stays under 1.5 GB, with a file of 2 GB and with huge records."""

import gzip
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pipeline
from tests.running import command_line, descendants

LIMIT = 1_500_000_000

RECIPE = """\
name: memory
version: "1"
sources:
  big: {reader: READER, files: "FILES", SETTINGS}
stages:
  - extract: {for: {source: big}}
  - normalize: {for: {source: big}}
  - language: {model: lid176}
  - filter: {name: shape, for: {domain: [en, zh]}, bounds: {word_count: {min: 50}, duplicate_line_fraction: {max: 0.5}, duplicate_5gram_character_fraction: {max: 0.9}}}
  - deduplicate: {by: id}
  - deduplicate: {by: text}
  - deduplicate: {by: minhash}
mix:
  shares: {en: 1.0}
"""


def words(chance: random.Random, number: int) -> list[str]:
    """Invented words that look English enough."""
    parts = ["the", "of", "and", "to", "in", "ther", "ing", "land", "ver", "est", "con", "pre", "ly", "ment", "al", "so", "be", "is"]
    return ["the", "of", "and", "to", "that", *("".join(chance.choices(parts, k=chance.randint(1, 3))) for _ in range(number))]


def sentences(chance: random.Random, number: int) -> list[str]:
    vocabulary = words(chance, 20_000)
    return [" ".join(chance.choices(vocabulary, k=chance.randint(6, 24))).capitalize() + "." for _ in range(number)]


def write_jsonl(path: Path, size: int) -> None:
    """Documents of 1 KB to 100 KB, some of 20 MB, none like another."""
    chance = random.Random(2023)
    pool = sentences(chance, 50_000)
    written = number = 0
    with path.open("w", encoding="utf-8") as out:
        while written < size:
            length = 200_000 if number % 20_000 == 19_999 else int(10 * 1.005 ** chance.randint(0, 900))
            text = "\n".join(" ".join(chance.choices(pool, k=5)) for _ in range(max(1, length // 5)))
            written += out.write(json.dumps({"text": text, "url": f"https://big.example/{number}"}) + "\n")
            number += 1


def write_warc(path: Path, pages: list[int]) -> None:
    """Pages of so many bytes, each in a gzip member of its own."""
    chance = random.Random(2024)
    pool = sentences(chance, 20_000)
    with path.open("wb") as out:
        for i, size in enumerate(pages):
            body, length = [], 0
            while length < size:
                body.append("<p>" + " ".join(chance.choices(pool, k=6)) + "</p>\n")
                length += len(body[-1])
            http = ("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><main>" + "".join(body) + "</main></body></html>").encode()
            head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{i:0>12}>\r\nWARC-Target-URI: https://big.example/{i}\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
            out.write(gzip.compress(head.encode() + http + b"\r\n\r\n", 1))


@contextmanager
def peaks() -> Iterator[dict[int, tuple[int, str]]]:
    """The most memory that each Ray worker below this process ever held (VmHWM): pid -> (bytes, name)."""
    found: dict[int, tuple[int, str]] = {}
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for pid in descendants(os.getpid(), b"ray::"):
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                    name = command_line(pid).split(b"\0")[0].decode()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if "VmHWM:" in status:
                    found[pid] = (int(status.split("VmHWM:")[1].split()[0]) * 1024, name)
            time.sleep(0.1)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def assert_small(tmp_path: Path, reader: str, settings: str, file: Path) -> pipeline.Release:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(RECIPE.replace("READER", reader).replace("FILES", str(file)).replace("SETTINGS", settings))
    with peaks() as found:
        release = pipeline.run(pipeline.Recipe.load(recipe), tmp_path / "work", cpus=2)
    most, name = max(found.values())
    print(f"\n{file.name}, {file.stat().st_size / 1e6:,.0f} MB: the largest worker held {most / 1e6:,.0f} MB ({name}); {len(found)} workers")
    assert most < LIMIT
    return release


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_jsonl_of_2_gb_needs_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "big.jsonl"
    write_jsonl(file, 2_000_000_000)
    try:
        release = assert_small(tmp_path, "jsonl", "domain: en", file)
    finally:
        file.unlink()
    assert release.stats["kept"] > 0.9 * release.stats["records"]["documents"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_huge_records_need_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "big.warc.gz"
    write_warc(file, [60_000_000, 50_000_000, 1000, 63_000_000, 300_000_000, 60_000_000, 2000])
    release = assert_small(tmp_path, "warc", "domain: en", file)
    (row,) = [row for row in release.ledger.to_pylist() if row["stage"] == "source"]
    assert row["reason"].startswith("unreadable: a page of 300")
