"""MinHash signatures from text, MB/s on one core: ours, datatrove, rensa and datasketch on the same texts in one run.

    python benchmarks/minhash.py --text 'TEXTS/*.jsonl.zst' [--megabytes 4] [--peers-python /opt/peers/bin/python]

112 hashes each. datatrove is called as its own first step does (`get_shingles`, `get_signature`; its disk writes are left out) with its word tokenizer of
the language, 16 x 7. rensa and datasketch take shingles, so Python makes them: word 5-grams and character 8-grams, the cheapest way.
Peers run in an environment of their own, made when it is missing. Medians of three; processor time of one thread.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries first start their threads
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["RAYON_NUM_THREADS"] = "1"

import argparse
import glob
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPEATS = 3
HASHES = 112
NEEDED = ("datatrove[processing,multilingual]", "rensa", "datasketch", "jieba", "orjson")


def megabytes_per_second(work: Callable[[list[str]], object], texts: list[str]) -> float:
    """Median of three, after one call on a few texts that pays for imports and compilation."""
    work(texts[:3])
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        work(texts)
        seconds.append(time.process_time() - start)
    return sum(len(t.encode()) for t in texts) / 1e6 / statistics.median(seconds)


def shingles(text: str) -> list[str]:
    """What rensa and datasketch are given: the cheapest shingles that Python makes, without folding or dropping punctuation."""
    if len(text.encode()) > 1.5 * len(text):
        text = "".join(text.split())
        return [text[i : i + 8] for i in range(max(len(text) - 7, 1))]
    words = text.lower().split()
    return [" ".join(words[i : i + 5]) for i in range(max(len(words) - 4, 1))]


def peers(groups: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    """Run in the peers' environment. name -> language -> MB/s"""
    import datasketch
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from rensa import RMinHash

    def datatrove_step(language: str) -> Callable[[list[str]], object]:
        with tempfile.TemporaryDirectory() as folder:
            step = MinhashDedupSignature(folder, MinhashConfig(num_buckets=16, hashes_per_bucket=7), language={"en": "eng", "zh": "cmn_Hani"}[language])

        def work(texts: list[str]) -> object:
            made = (step.get_shingles(t) for t in texts)
            return [step.get_signature(s) for s in made if s.size]

        return work

    def rensa_digests(texts: list[str]) -> object:
        return RMinHash.digest_matrix_from_token_sets(map(shingles, texts), HASHES, 1)

    def datasketch_digests(texts: list[str]) -> object:
        found = []
        for text in texts:
            one = datasketch.MinHash(num_perm=HASHES, seed=1)
            one.update_batch([s.encode() for s in shingles(text)])
            found.append(one.digest())
        return found

    result: dict[str, dict[str, float]] = {"datatrove": {}, "datasketch": {}, "rensa": {}}
    for language, texts in groups.items():
        result["datatrove"][language] = megabytes_per_second(datatrove_step(language), texts)
        result["datasketch"][language] = megabytes_per_second(datasketch_digests, texts)
        result["rensa"][language] = megabytes_per_second(rensa_digests, texts)
    return result


def read(pattern: str, limit_bytes: int) -> dict[str, list[str]]:
    """Texts by language, the first of each file in sorted order: half the bytes English, half Chinese as far as the files go."""
    import zstandard

    paths = sorted(glob.glob(pattern))
    if not paths:
        raise SystemExit(f"no file matches {pattern}")
    groups: dict[str, list[str]] = {"en": [], "zh": []}
    for path in paths:
        room = limit_bytes // len(paths)
        with open(path, "rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw), "utf-8", newline="\n"):
                text = json.loads(line)["text"]
                room -= len(text.encode())
                if room < 0:
                    break
                groups["zh" if len(text.encode()) > 1.5 * len(text) else "en"].append(text)
    return {language: texts for language, texts in groups.items() if texts}


def ensure_peers(python: str) -> None:
    """Make the peers' environment where there is none, and add what it lacks."""
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", str(Path(python).parents[1])], check=True)
    if subprocess.run([python, "-c", "import datatrove.pipeline.dedup, rensa, datasketch, jieba, spacy"], capture_output=True, check=False).returncode:
        subprocess.run([python, "-m", "pip", "install", "-q", *NEEDED], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--text", help="glob of *.jsonl.zst files with a field text")
    parser.add_argument("--megabytes", type=float, default=4.0, help="of text to read in all")
    parser.add_argument("--peers-python", default="/opt/peers/bin/python", help="interpreter of the environment that holds the peers; made if missing")
    parser.add_argument("--as-peer", help=argparse.SUPPRESS)  # the file of texts: this process is the peers'
    options = parser.parse_args()
    if options.as_peer:
        print(json.dumps(peers(json.loads(Path(options.as_peer).read_text(encoding="utf-8")))))
        return
    if not options.text:
        parser.error("--text is needed")

    sys.path.insert(0, str(Path(__file__).parents[1]))
    import pyarrow as pa

    from pipeline.dedup.signatures import signatures

    groups = read(options.text, int(options.megabytes * 1e6))
    ensure_peers(options.peers_python)
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(groups, file)
        file.flush()
        answer = subprocess.run([options.peers_python, __file__, "--as-peer", file.name], check=True, stdout=subprocess.PIPE, text=True)
    speeds = json.loads(answer.stdout.splitlines()[-1])
    columns = {language: pa.array(texts, pa.large_string()) for language, texts in groups.items()}
    ours = {}
    for language, texts in groups.items():
        ours[language] = megabytes_per_second(lambda some, column=columns[language]: signatures(column[: len(some)]), texts)
    speeds["ours"] = ours

    sizes = {language: sum(len(t.encode()) for t in texts) / 1e6 for language, texts in groups.items()}
    for speed in speeds.values():
        speed["all"] = sum(sizes.values()) / sum(sizes[language] / speed[language] for language in groups)
    print(", ".join(f"{language}: {len(groups[language]):,} texts, {sizes[language]:.1f} MB" for language in groups))
    print(f"{'MB/s, one core':16}" + "".join(f"{c:>10}" for c in [*groups, "all"]) + f"{'ours is':>12}")
    for name, speed in speeds.items():
        print(f"{name:16}" + "".join(f"{speed[c]:10.2f}" for c in [*groups, "all"]) + f"{speeds['ours']['all'] / speed['all']:10.1f} x")


if __name__ == "__main__":
    main()
