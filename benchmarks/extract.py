"""HTML to text: ours against bare resiliparse (the floor), in pages a second, and the F1 of both on the gold pages of ../shared/data/html.

    python benchmarks/extract.py [../shared/data/html] [--rows 300]

F1 is of bags of words (Han and kana: of characters) against each page's main text, averaged over pages. Times are CPU seconds, interleaved page by page.
"""

import argparse
import base64
import io
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from resiliparse.extract.html2text import extract_plain_text

from pipeline.rewrite.charset import decode
from pipeline.rewrite.extract import extract_text

SETS = [
    "wcxb_dev-0",
    "wcxb_dev-1",
    "wcxb_dev-2",
    "wcxb_dev-3",
    "wcxb_dev-4",
    "scrapinghub.dev",
    "readability_tests.dev",
    "newspaper4k_tests",
    "zh_main_text.dev",
]
_TOKEN = re.compile(r"[^\W_\u3040-\u30ff\u3400-\u9fff]+|[\u3040-\u30ff\u3400-\u9fff]")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as handle:
        yield from map(json.loads, io.TextIOWrapper(zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(handle), encoding="utf-8"))


def scores(found: str, gold: str) -> tuple[float, float, float]:
    """F1, precision, recall of two texts as bags of words."""
    a, b = Counter(_TOKEN.findall(found)), Counter(_TOKEN.findall(gold))
    common = (a & b).total()
    if not common:
        return 0.0, 0.0, 0.0
    precision, recall = common / a.total(), common / b.total()
    return 2 * precision * recall / (precision + recall), precision, recall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).resolve().parents[2] / "shared/data/html")
    parser.add_argument("--rows", type=int, default=10**9, help="pages of each set")
    args = parser.parse_args()
    engines = {
        "ours": extract_text,
        "resiliparse": lambda html: extract_plain_text(html, preserve_formatting=True, main_content=True),
    }
    seconds: dict[str, float] = defaultdict(float)
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for name in SETS:
        for i, row in enumerate(rows(args.folder / f"{name}.jsonl.zst")):
            if i >= args.rows or not row.get("main_text"):
                continue
            html = row.get("html") or decode(base64.b64decode(row["html_b64"]))[0]
            for engine, extract in engines.items():
                started = time.process_time()
                text = extract(html)
                seconds[engine] += time.process_time() - started
                found[engine, name].append(scores(text, row["main_text"]))
    print(f"{'set':24} {'pages':>5}  " + "  ".join(f"{engine + ' F1 (P, R)':>26}" for engine in engines))
    for name in [*SETS, "all"]:
        line = []
        for engine in engines:
            values = [v for (e, s), vs in found.items() if e == engine and name in (s, "all") for v in vs]
            f1, precision, recall = (sum(v[k] for v in values) / max(1, len(values)) for k in range(3))
            line.append(f"{f1:10.4f} ({precision:.3f}, {recall:.3f})")
        print(f"{name:24} {len(values):5}  " + "  ".join(f"{cell:>26}" for cell in line))
    for engine, spent in seconds.items():
        print(f"{engine:12} {len(values) / spent:6.0f} pages/s   {spent / seconds['resiliparse']:.2f} × the floor's time")


if __name__ == "__main__":
    main()
