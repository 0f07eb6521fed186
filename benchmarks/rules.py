"""Rule measures, MB/s of text on one core: every measure of the catalogue for every row, against datatrove's four filters, in one run.

    python benchmarks/rules.py --text 'TEXTS/*.jsonl.zst' [--megabytes 8] [--peers-python /opt/peers/bin/python]

Ours: all of MEASURES (Gopher, C4, FineWeb, the Chinese and the code rules) for all rows, from an Arrow column, in batches of
some 4 MB. datatrove: GopherRepetitionFilter, GopherQualityFilter, C4QualityFilter and FineWebQualityFilter, each called on every
row, as a number for every row needs; and, more favourably, one after the other as its pipelines do, where a row that one drops
costs the next ones nothing. English words come from a blank spaCy pipeline, its own choice. Chinese rows get its English
filters too: its Chinese word tokenizer (jieba in spaCy) is slower still.

Half English and half Chinese by bytes, rows taken evenly from all files. Processor time of one thread; medians of ours and of
theirs. datatrove lives in an environment of its own, made where it is missing.
"""

import argparse
import glob
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

OURS_REPEATS = 7
THEIR_REPEATS = 3
BATCH_BYTES = 4_000_000
REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median processor time."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return statistics.median(found)


def datatrove(groups: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    """Run in the peers' environment. group -> {each, in_turn} -> seconds"""
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

    filters = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(filter_no_terminal_punct=False), FineWebQualityFilter()]

    def each(texts: list[str]) -> None:
        for text in texts:
            for rules in filters:
                rules.filter(Document(text=text, id="", metadata={}))  # a new one: C4 cuts lines out of it

    def in_turn(texts: list[str]) -> None:
        for text in texts:
            document = Document(text=text, id="", metadata={})
            for rules in filters:
                if rules.filter(document) is not True:
                    break

    each(groups["en"][:3])  # loads spaCy
    return {
        name: {"each": seconds(lambda t=texts: each(t), THEIR_REPEATS), "in_turn": seconds(lambda t=texts: in_turn(t), THEIR_REPEATS)}
        for name, texts in groups.items()
    }


def ours(groups: dict[str, list[str]]) -> dict[str, float]:
    """group -> seconds"""
    import pyarrow as pa

    from pipeline import kernels
    from pipeline.measures import MEASURES, measure
    from pipeline.texts import Texts

    kernels.warm()
    found = {}
    for name, texts in groups.items():
        rows = max(1, len(texts) * BATCH_BYTES // size(texts))
        batches = [pa.array(texts[i : i + rows], pa.large_string()) for i in range(0, len(texts), rows)]
        found[name] = seconds(lambda b=batches: [measure(Texts(batch), MEASURES) for batch in b], OURS_REPEATS)
    return found


def size(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def read(pattern: str, megabytes: float) -> dict[str, list[str]]:
    """Up to half of `megabytes` of English and of Chinese, in an order that depends on nothing but the files."""
    import pyarrow as pa

    rows = []
    for file in sorted(glob.glob(pattern)):
        with pa.input_stream(file, compression="detect") as stream:
            rows += [json.loads(line)["text"] for line in stream.read().splitlines()]
    random.Random(0).shuffle(rows)
    groups: dict[str, list[str]] = {"en": [], "zh": []}
    left = dict.fromkeys(groups, megabytes * 5e5)
    for text in rows:
        name = "zh" if len(text.encode()) > 1.5 * len(text) else "en"
        if left[name] > 0:
            groups[name].append(text)
            left[name] -= len(text.encode())
    if not all(groups.values()):
        sys.exit(f"{pattern}: holds no English or no Chinese text")
    both = groups["en"] + groups["zh"]
    random.Random(1).shuffle(both)
    return groups | {"mixed": both}


def ensure_peers(python: str) -> None:
    """Make the peers' environment where there is none, and add what it lacks."""
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", str(Path(python).parents[1])], check=True)
    if subprocess.run([python, "-c", "import datatrove, spacy"], check=False, capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--text", required=True, help="glob of .jsonl.zst files with a field 'text'")
    parser.add_argument("--megabytes", type=float, default=8, help="of text; datatrove gets an eighth of it")
    parser.add_argument("--peers-python", default="/opt/peers/bin/python", help="interpreter of the environment that holds datatrove; made if missing")
    parser.add_argument("--as-peer", help=argparse.SUPPRESS)  # the file of texts: this process is the peers'
    options = parser.parse_args()
    if options.as_peer:
        print(json.dumps(datatrove(json.loads(Path(options.as_peer).read_text(encoding="utf-8")))))
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    groups = read(options.text, options.megabytes)
    few = {name: texts[: max(3, len(texts) // 8)] for name, texts in groups.items()}
    before = ours(groups)
    ensure_peers(options.peers_python)
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(few, file)
        file.flush()
        answer = subprocess.run([options.peers_python, __file__, "--as-peer", file.name], check=True, stdout=subprocess.PIPE, text=True)
    theirs = json.loads(answer.stdout.splitlines()[-1])
    after = ours(groups)  # again: the machine may have had other work meanwhile
    print(f"{'':8}{'rows':>7}{'MB':>7}{'ours MB/s':>12}{'datatrove, all rows':>21}{'in turn':>9}{'ratio':>8}")
    for name, texts in groups.items():
        speed = size(texts) / 1e6 / min(before[name], after[name])
        each, in_turn = (size(few[name]) / 1e6 / theirs[name][way] for way in ("each", "in_turn"))
        print(f"{name:8}{len(texts):7}{size(texts) / 1e6:7.1f}{speed:12.1f}{each:21.2f}{in_turn:9.2f}{speed / each:8.0f}")


if __name__ == "__main__":
    main()
