"""Language id: ours against bare fastText on the first 1,000 characters (the floor), in texts a second, and top-1 accuracy of both.

    python benchmarks/language.py [../shared/data]

The floor is one call of fastText's own predict for each text's first 1,000 characters, without spaces around Han characters.
"""

import argparse
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

from pipeline.measures.language import LanguageId

# file, the row's label or None for all rows, the language it should be
SETS = [
    ("langid/lingua_sentences.dev", "en", "en"), ("langid/lingua_sentences.dev", "zh", "zh"), ("langid/lingua_sentences.dev", "ja", "ja"),
    ("langid/lingua_sentences.dev", "ko", "ko"), ("langid/tatoeba.dev", "eng", "en"), ("langid/tatoeba.dev", "cmn", "zh"), ("langid/tatoeba.dev", "jpn", "ja"),
    ("langid/tatoeba.dev", "kor", "ko"), ("langid/ud_cantonese_hk.dev", None, "zh"), ("text/fewclue_iflytek_zh.dev", None, "zh"), ("text/laws_zh.dev", None, "zh"),
    ("text/drcd_wiki_zhhant.dev", None, "zh"), ("text/oiwiki_zh.dev", None, "zh"), ("text/rust_blog_en.dev", None, "en"), ("text/digitalgov_en.dev", None, "en"),
]  # fmt: skip
_BOUND = 0.65


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as handle:
        yield from map(json.loads, io.TextIOWrapper(zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(handle), encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).resolve().parents[2] / "shared/data")
    args = parser.parse_args()
    identify = LanguageId()
    predict = identify._predict
    print(f"{'set':34} {'texts':>6} {'chars':>6}  {'top-1 ours':>10} {'floor':>7}  {'p_en_or_zh >= .65':>17}  {'ours/s':>8} {'floor/s':>8} {'time':>5}")
    total = {"ours": 0.0, "floor": 0.0}
    for file, label, language in SETS:
        texts = [row["text"] for row in rows(args.folder / f"{file}.jsonl.zst") if label is None or row["lang"] == label]
        ours = floor = 0.0
        right = right_floor = kept = 0
        for start in range(0, len(texts), 200):  # interleaved, so that both see the same machine
            part = texts[start : start + 200]
            array = pa.array(part)
            started = time.process_time()
            table = identify(array)
            ours += time.process_time() - started
            started = time.process_time()
            found = [predict(text[:1000].replace("\n", " ") + "\n", 1, 0.0, "strict") for text in part]
            floor += time.process_time() - started
            right += table["language"].to_pylist().count(language)
            right_floor += sum(bool(f) and f[0][1][9:].replace("yue", "zh").replace("wuu", "zh") == language for f in found)
            kept += sum(p >= _BOUND for p in table["p_en_or_zh"].to_pylist())
        n = len(texts)
        total["ours"] += ours
        total["floor"] += floor
        characters = sum(map(len, texts)) // n
        print(
            f"{file.split('/')[1] + ' ' + (label or ''):34} {n:6} {characters:6}  {right / n:10.4f} {right_floor / n:7.4f}  {kept / n:17.4f}  "
            f"{n / ours:8.0f} {n / floor:8.0f} {ours / floor:5.2f}"
        )
    others = [row["text"] for row in rows(args.folder / "langid/lingua_sentences.dev.jsonl.zst") if row["lang"] not in ("en", "zh")]
    kept = sum(p >= _BOUND for p in identify(pa.array(others))["p_en_or_zh"].to_pylist())
    print(f"sentences in 77 other languages kept by p_en_or_zh >= {_BOUND}: {kept / len(others):.4f} of {len(others)}")
    print(f"all: {total['ours'] / total['floor']:.2f} × the floor's time")


if __name__ == "__main__":
    main()
