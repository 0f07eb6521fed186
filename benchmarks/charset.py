"""Charset detection: ours against resiliparse's detector alone, on byte strings of known encoding (../shared/data/html/encoding_chardet), none declared.

    python benchmarks/charset.py [../shared/data/html/encoding_chardet.dev.jsonl.zst]

A row is right where the decoded text is the same; `same but for mapping` are supersets that browsers use (gb18030 for gb2312) with over 99 % equal characters.
"""

import argparse
import base64
import io
import json
import time
from collections import Counter
from pathlib import Path

import zstandard
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from pipeline.rewrite.charset import decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", default=Path(__file__).resolve().parents[2] / "shared/data/html/encoding_chardet.dev.jsonl.zst")
    args = parser.parse_args()
    with open(args.file, "rb") as handle:
        data = [json.loads(line) for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(handle), encoding="utf-8")]
    engines = {"ours": lambda raw: decode(raw), "resiliparse": lambda raw: (bytes_to_str(raw, name := detect_encoding(raw)), name)}
    for engine, function in engines.items():
        result: Counter[str] = Counter()
        wrong: Counter[str] = Counter()
        started = time.process_time()
        for row in data:
            raw, named = base64.b64decode(row["bytes_b64"]), row["encoding"].removesuffix("-slovak").replace("maccyrillic", "mac-cyrillic")
            try:
                gold = raw.decode(named, "replace").lstrip("\ufeff")
            except LookupError:
                result["no such codec in Python"] += 1
                continue
            text, name = function(raw)
            text = text.lstrip("\ufeff")
            if text == gold:
                result["right"] += 1
            elif len(text) == len(gold) and sum(a != b for a, b in zip(text, gold, strict=True)) <= 0.01 * len(gold):
                result["same but for mapping"] += 1
            else:
                result["wrong"] += 1
                wrong[f"{row['encoding']} read as {name}"] += 1
        print(f"{engine:12} {dict(result)}  {time.process_time() - started:.2f} s\n{'':12} {dict(wrong)}")


if __name__ == "__main__":
    main()
