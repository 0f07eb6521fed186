"""Trains the reference tokenizer: a byte-level BPE of 65,536 entries over English, Chinese and code.

Not a stage: it is run by hand, once, and its result ships as `skypile-65k/tokenizer.json`. The result depends on the texts
and on the version of `tokenizers` alone, not on the number of threads. About four minutes and 3 GB on two cores.

    python -m pipeline.tokenize.train --text DIR --code DIR [--code DIR ...] --out DIR
"""

import argparse
import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VOCABULARY = 65_536  # every id fits uint16

# Qwen2's pattern: one digit a piece, letters with at most one sign before them, line ends apart from other space.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
)  # fmt: skip
SCRUB = ("<EMAIL>", "<PHONE>", "<IDNO>", "<BANKCARD>", "<IP>", "<PLATE>", "<KEY>")  # what stands where a personal value stood

MIX = {"en": 0.52, "zh": 0.40, "python": 0.05, "c": 0.03}  # shares of the bytes
KIND_CAP = 0.20  # no kind has more of its language's bytes; a kind is a field `domain`, or a top folder of code
PROSE_WEIGHT = {("zh", "classical"): 0.5, ("zh", "poetry"): 0.5}  # of an even share: nobody writes like that today
MAX_TOKEN_BYTES = 32  # ten Han characters: a longer entry is boilerplate learnt by heart
MAX_CODE_FILE_BYTES = 200_000  # larger files are generated tables
CODE_SUFFIXES = {".py": "python", ".h": "c"}


@dataclass(frozen=True)
class Sample:
    """One document: its language in the mix, its kind, a stable name to draw by, where it is from, and its text."""

    language: str
    kind: str
    name: str
    origin: str
    text: str
    size_bytes: int


def prose(folder: Path) -> Iterator[Sample]:
    """Rows of every *.jsonl.zst in the folder, in sorted order. zh-Hant counts as zh."""
    import zstandard

    for path in sorted(folder.glob("*.jsonl.zst")):
        with path.open("rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8", newline="\n"):
                row = json.loads(line)
                origin = f"{row['source'].split('@')[0]} ({row['licence']})"
                yield Sample(row["lang"][:2], row["domain"], row["id"], origin, row["text"], len(row["text"].encode()))


def code(folder: Path) -> Iterator[Sample]:
    """Python sources and C headers below the folder, in sorted order, without installed packages; a kind is a top folder."""
    for path in sorted(p for suffix in CODE_SUFFIXES for p in folder.rglob(f"*{suffix}") if p.is_file()):
        relative = path.relative_to(folder)
        if "site-packages" in relative.parts or path.stat().st_size > MAX_CODE_FILE_BYTES:
            continue
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue  # test data of the codecs
        top = relative.parts[0] if len(relative.parts) > 1 else "."
        yield Sample(CODE_SUFFIXES[path.suffix], top, relative.as_posix(), f"*{path.suffix}", text, len(text.encode()))


def without_repeats(samples: Iterator[Sample]) -> Iterator[Sample]:
    """The first of every equal text; empty texts are left out."""
    seen: set[bytes] = set()
    for sample in samples:
        digest = hashlib.sha256(sample.text.encode()).digest()
        if sample.text and digest not in seen:
            seen.add(digest)
            yield sample


def shares(available: dict[str, int], weights: dict[str, float], budget: float, cap: float) -> dict[str, float]:
    """Bytes to take of each kind: all rise evenly (times weight, else 1) until empty, capped, or the budget is spent."""

    def at(level: float) -> dict[str, float]:
        return {kind: min(size, cap, level * weights.get(kind, 1.0)) for kind, size in available.items()}

    low, high = 0.0, budget / min(weights.get(kind, 1.0) for kind in available)
    for _ in range(64):
        level = (low + high) / 2
        low, high = (level, high) if sum(at(level).values()) <= budget else (low, level)
    return at(low)


def most_bytes(available: dict[str, int]) -> float:
    """The largest total of which no kind is more than KIND_CAP."""
    total = float(sum(available.values()))
    for _ in range(200):
        total = sum(min(size, KIND_CAP * total) for size in available.values())
    return total


def draw(samples: list[Sample], budget: float, weights: dict[str, float]) -> list[Sample]:
    """Whole documents of one language, about `budget` bytes, in the order of a hash of their names; KIND_CAP holds."""
    by_kind: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_kind[sample.kind].append(sample)
    for group in by_kind.values():
        group.sort(key=lambda s: (hashlib.sha256(s.name.encode()).digest(), s.name))
    available = {kind: sum(s.size_bytes for s in group) for kind, group in by_kind.items()}

    cap = KIND_CAP * budget
    while True:  # whole documents fall a little short of the budget, and the cap is a share of what they come to
        taken: list[Sample] = []
        for kind, limit in sorted(shares(available, weights, budget, cap).items()):
            room = limit
            for sample in by_kind[kind]:
                if sample.size_bytes <= room:
                    taken.append(sample)
                    room -= sample.size_bytes
        sizes = bytes_by(taken, "kind")
        total = sum(sizes.values())
        if max(sizes.values(), default=0) <= KIND_CAP * total:
            return taken
        cap = KIND_CAP * total


def bytes_by(samples: list[Sample], field: str) -> dict[str, int]:
    """Bytes for each value of a field, by name."""
    counts: Counter[str] = Counter()
    for sample in samples:
        counts[getattr(sample, field)] += sample.size_bytes
    return dict(sorted(counts.items()))


def mix(samples: list[Sample]) -> list[Sample]:
    """The largest sample in the shares MIX that repeats nothing and keeps to KIND_CAP."""
    by_language = {language: [s for s in samples if s.language == language] for language in MIX}
    total = min(most_bytes(bytes_by(group, "kind")) / MIX[language] for language, group in by_language.items())
    taken: list[Sample] = []
    for language, group in by_language.items():
        if language in CODE_SUFFIXES.values():  # between even and in proportion: folders differ a thousandfold
            weights = {kind: size**0.5 for kind, size in bytes_by(group, "kind").items()}
        else:
            weights = {kind: weight for (of, kind), weight in PROSE_WEIGHT.items() if of == language}
        taken += draw(group, MIX[language] * total, weights)
    return taken


def train(texts: Iterator[str]) -> dict:
    """The tokenizer as the object of a `tokenizer.json`: bytes at 0..255, merges, then the added tokens at the end."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    added = len(CONTROL) + len(SCRUB)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - added,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=MAX_TOKEN_BYTES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in CONTROL])
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in SCRUB])
    if tokenizer.get_vocab_size() != VOCABULARY:
        raise SystemExit(f"the texts gave {tokenizer.get_vocab_size():,} entries, not {VOCABULARY:,}; give more text")
    return dict(json.loads(tokenizer.to_str()))


def compact(tokenizer: dict) -> bytes:
    """A `tokenizer.json` without spaces; a merge is "left right", which is shorter than a pair and read by all loaders."""
    merges = [" ".join(pair) for pair in tokenizer["model"]["merges"]]
    model = {**tokenizer["model"], "merges": merges}
    return json.dumps({**tokenizer, "model": model}, ensure_ascii=False, separators=(",", ":")).encode()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.tokenize.train", description=__doc__.split("\n")[0])
    parser.add_argument("--text", type=Path, required=True, help="folder of *.jsonl.zst with id, lang, domain, licence, source, text")
    parser.add_argument("--code", type=Path, required=True, action="append", help="folder of sources; may be given more than once")
    parser.add_argument("--out", type=Path, required=True, help="folder to write tokenizer.json to")
    options = parser.parse_args()

    everything = [*prose(options.text), *(sample for folder in options.code for sample in code(folder))]
    taken = mix(list(without_repeats(iter(everything))))
    del everything
    document = compact(train(sample.text for sample in taken))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tokenizer.json").write_bytes(document)
    summary = {
        "sha256": hashlib.sha256(document).hexdigest(),
        "size_bytes": len(document),
        "documents": len(taken),
        "languages": bytes_by(taken, "language"),
        "kinds": {language: bytes_by([s for s in taken if s.language == language], "kind") for language in MIX},
        "origins": bytes_by(taken, "origin"),
    }
    print(json.dumps(summary, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
