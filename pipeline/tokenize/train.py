"""Trains a vocabulary of byte-level BPE: texts in, the content of a `tokenizer.json` out, which `tokenizers` and transformers load.

The merges are those of the trainer of `tokenizers`, with a rule more that can be turned off: no entry straddles a code point.
An entry is whole characters, or the first bytes of one character, so that each character comes about in one way only and no
token ends in the middle of one and goes on in the next. The result depends on the texts alone: not on their order, nor on how
they are cut into batches, nor on the number of threads. Cost: benchmarks/tokenizer_training.py.
"""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeAlias

import numpy as np

from pipeline.errors import PlanError
from pipeline.kernels import merges as kernel
from pipeline.kernels import piece_counts as counting
from pipeline.kernels.raw import frozen
from pipeline.texts import Texts
from pipeline.tokenize.bpe import byte_characters
from pipeline.tokenize.patterns import QWEN2, Pattern, kinds

VOCABULARY = 65_536  # every id fits uint16
MAX_VOCABULARY = 1 << 20
MAX_ENTRY_BYTES = 32  # ten Han characters: a longer entry is boilerplate learnt by heart
CONTROL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
)  # fmt: skip
SCRUB = ("<EMAIL>", "<PHONE>", "<IDNO>", "<BANKCARD>", "<IP>", "<PLATE>", "<KEY>")  # what stands where a personal value stood

Merge: TypeAlias = tuple[bytes, bytes]
Batch: TypeAlias = Any  # texts: a list of strings or an Arrow array; or such texts and how often each counts, (texts,) int64


def train(
    batches: Iterable[Batch], vocabulary: int = VOCABULARY, *, pattern: Pattern = QWEN2, whole_code_points: bool = True,
    max_entry_bytes: int | None = MAX_ENTRY_BYTES, threads: int = 2,
) -> bytes:  # fmt: skip
    """The content of a `tokenizer.json` of exactly `vocabulary` entries: bytes, merges, CONTROL and SCRUB tokens.

    PlanError where the size is out of bounds, and where the texts do not give so many entries.
    """
    check(vocabulary, max_entry_bytes)
    limit = vocabulary - len(CONTROL) - len(SCRUB)
    found = learn(count_pieces(batches, pattern, threads), limit, whole_code_points=whole_code_points, max_entry_bytes=max_entry_bytes)
    made = 256 + len({left + right for left, right in found})
    if made < limit:
        raise PlanError(
            f"The texts gave {made + vocabulary - limit:,} entries, not {vocabulary:,}: no pair of symbols that may be merged occurs twice any more. "
            f"Give more text, or ask for {made + vocabulary - limit:,} entries or fewer (--vocabulary)."
        )
    return document(found, pattern)


def check(vocabulary: int, max_entry_bytes: int | None = MAX_ENTRY_BYTES) -> None:
    """PlanError for sizes that no texts can give."""
    least = 256 + len(CONTROL) + len(SCRUB) + 1
    if not least <= vocabulary <= MAX_VOCABULARY:
        raise PlanError(
            f"A vocabulary of {vocabulary:,} entries cannot be made: 256 bytes, {len(CONTROL) + len(SCRUB)} special tokens and at least one merge are "
            f"{least}, and {MAX_VOCABULARY:,} is the most. Up to {VOCABULARY:,} the ids fit uint16."
        )
    if max_entry_bytes is not None and max_entry_bytes < 4:
        raise PlanError(f"Entries of at most {max_entry_bytes} bytes could not hold every character; give 4 or more, or None.")


# --- pieces ---


class Pieces:
    """How often each piece occurs in the texts so far; what `pipeline.kernels.piece_counts` fills. Not to be shared between threads."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern, self._kinds = pattern, frozen(kinds())
        self.clear()

    def add(self, texts: Any, times: np.ndarray | None = None) -> None:
        """Count the pieces of texts, each as often as `times` says. (texts,) int64, once where it is None"""
        batch = Texts(texts)
        data, offsets = frozen(batch.data), frozen(batch.offsets)
        weights = frozen(np.ones(len(batch), np.int64) if times is None else times)
        self._begin()
        while not counting.count_pieces(data, offsets, weights, self._kinds, self.pattern.digits, self.pattern.web, *self._storage):
            self._grow(int(np.diff(offsets).max()))

    def add_pieces(self, other: "Pieces") -> None:
        """Add what another one has counted."""
        self._begin()
        while not counting.add_pieces(other.rows, other.pool, other.starts, *self._storage):
            self._grow(other.pool.size)

    def clear(self) -> None:
        """Forget everything, and free the memory."""
        self.rows, self.pool, self.starts = np.zeros((1 << 14, 3), np.uint64), np.empty(1 << 18, np.uint8), np.zeros(1 << 13, np.int64)
        self._state = np.zeros(5, np.int64)

    @property
    def order(self) -> np.ndarray:
        """The rows that are taken: of short pieces the frequent ones first, then long ones as they came. What is near in time is near in memory."""
        taken = np.flatnonzero(self.rows[:, 1])
        long = self.rows[taken, 1] >= counting.IS_LONG
        short_rows = taken[~long]
        long_rows = np.empty(int(self._state[counting.LONG]), np.int64)
        long_rows[(self.rows[taken[long], 1] & counting.NUMBER).astype(np.int64)] = taken[long]
        by_count = np.argsort(-self.rows[short_rows, 2].astype(np.int64), kind="stable")
        return np.concatenate([short_rows[by_count], long_rows])

    @property
    def _storage(self) -> tuple[np.ndarray, ...]:
        return self.rows, self.pool, self.starts, self._state

    def _begin(self) -> None:
        self._state[counting.TEXT] = self._state[counting.BYTE] = 0

    def _grow(self, longest_bytes: int) -> None:
        """Whatever is full, twice as large."""
        if 10 * (self._state[counting.FOUND] + 1) > 7 * len(self.rows):
            larger = np.zeros((2 * len(self.rows), 3), np.uint64)
            counting.rehash(self.rows, larger)
            self.rows = larger
        if self._state[counting.LONG] + 1 >= len(self.starts):
            self.starts = np.concatenate([self.starts, np.zeros(len(self.starts), np.int64)])
        used = int(self._state[counting.POOL])
        if used + longest_bytes > len(self.pool):
            pool = np.empty(max(2 * len(self.pool), used + longest_bytes), np.uint8)  # what is not written costs no memory
            pool[:used] = self.pool[:used]
            self.pool = pool


def count_pieces(batches: Iterable[Batch], pattern: Pattern = QWEN2, threads: int = 1) -> Pieces:
    """The pieces of all texts. Every thread takes the next batch when it has counted one."""
    batches, lock = iter(batches), Lock()

    def count() -> Pieces:
        pieces = Pieces(pattern)
        for texts, times in _shared(batches, lock):
            pieces.add(texts, times)
        return pieces

    if threads == 1:
        return count()
    with ThreadPoolExecutor(threads) as pool:
        first, *others = [future.result() for future in [pool.submit(count) for _ in range(threads)]]
    while others:
        first.add_pieces(others.pop())
    return first


def _shared(batches: Iterator[Batch], lock: Lock) -> Iterator[tuple[Any, np.ndarray | None]]:
    while True:
        with lock:
            try:
                batch = next(batches)
            except StopIteration:
                return
        yield batch if isinstance(batch, tuple) else (batch, None)


# --- merges ---


class _Symbols:
    """What the text is made of before the first merge: bytes in the order of their characters, then characters and their first bytes."""

    def __init__(self, code_points: np.ndarray) -> None:
        """code_points: how often each occurs, those below 128 left out; all 0 where bytes are the symbols. (0x110000,) int64"""
        order = _byte_order()
        rank = {byte: symbol for symbol, byte in enumerate(order)}
        self.contents = [bytes([byte]) for byte in order]
        born_of, first_child, next_child, counts = [(-1, -1)] * 256, [-1] * 256, [-1] * 256, [0] * 256
        of_bytes = {content: symbol for symbol, content in enumerate(self.contents)}
        self.of_code_point = np.full(0x110000, -1, np.int32)
        self.of_code_point[:256] = [rank[byte] for byte in range(256)]
        for code_point in np.flatnonzero(code_points).tolist():
            character = chr(code_point).encode()
            for size in range(2, len(character) + 1):
                prefix = character[:size]
                if prefix not in of_bytes:
                    parent, symbol = of_bytes[prefix[:-1]], len(self.contents)
                    of_bytes[prefix] = symbol
                    self.contents.append(prefix)
                    born_of.append((parent, rank[prefix[-1]]))
                    next_child.append(first_child[parent])
                    first_child.append(-1)
                    first_child[parent] = symbol
                    counts.append(0)
                counts[of_bytes[prefix]] += int(code_points[code_point])
            self.of_code_point[code_point] = of_bytes[character]
        self.born_of, self.counts = np.array(born_of, np.int32), np.array(counts, np.int64)
        self.first_child, self.next_child = np.array(first_child, np.int32), np.array(next_child, np.int32)


def _byte_order() -> list[int]:
    """The bytes in the order of the characters that stand for them: the order of ids, by which `tokenizers` breaks ties."""
    characters = byte_characters()
    return sorted(range(256), key=lambda byte: characters[byte])


def learn(pieces: Pieces, limit: int, *, whole_code_points: bool = True, max_entry_bytes: int | None = MAX_ENTRY_BYTES) -> list[Merge]:
    """The merges in order, until there are `limit` entries, bytes included, or no pair occurs twice. The pieces are used up.

    Ties go to the pair whose left, then right entry is older; bytes are older than all others, in the order of their characters.
    """
    rows = pieces.rows, pieces.order, pieces.pool, pieces.starts
    code_points = np.zeros(0x110000, np.int64)
    room, room_of_bytes = kernel.count_code_points(*rows, code_points)
    code_points[:128] = 0
    symbols = _Symbols(code_points if whole_code_points else np.zeros(0x110000, np.int64))
    size = room if whole_code_points else room_of_bytes
    if size >= 1 << 31:
        raise PlanError(f"The texts have {size:,} symbols in different pieces, and more than {1 << 31:,} cannot be numbered; give less text.")
    text = np.empty(size, np.int32)
    text = text[: kernel.write_symbols(*rows, symbols.of_code_point, whole_code_points, text)]
    del rows
    pieces.clear()

    given = len(symbols.contents)
    ids, lengths, starts = np.full(given + limit, -1, np.int32), np.zeros(given + limit, np.int32), np.zeros(given + limit + 1, np.int64)
    ids[:256] = np.arange(256)
    lengths[:given] = [len(content) for content in symbols.contents]
    starts[1 : given + 1] = np.cumsum(lengths[:given])
    contents = np.zeros(int(starts[given]) + 16 * limit, np.uint8)
    contents[: starts[given]] = np.frombuffer(b"".join(symbols.contents), np.uint8)
    rare = np.flatnonzero(symbols.counts < kernel.LEAST)
    lengths[rare[rare >= 256]] = kernel.NEVER
    tree = symbols.born_of, symbols.first_child, symbols.next_child, symbols.counts
    longest = 1 << 28 if max_entry_bytes is None else max_entry_bytes
    table = kernel.learn(text, ids, lengths, contents, starts, *tree, given, 256, limit, longest)

    made = list(symbols.contents)
    found: dict[Merge, None] = {}
    for left, right, new in table.tolist():
        if new == len(made):
            made.append(made[left] + made[right])
        found.pop((made[left], made[right]), None)  # of a pair that was merged twice, `tokenizers` keeps the later place
        found[made[left], made[right]] = None
    return list(found)


# --- the file ---


def document(found: list[Merge], pattern: Pattern = QWEN2) -> bytes:
    """A `tokenizer.json` of these merges. A byte is its own id, then come entries in the order of their first merge, CONTROL and SCRUB."""
    characters = byte_characters()

    def shown(entry: bytes) -> str:
        return "".join(characters[byte] for byte in entry)

    entries = dict.fromkeys(bytes([byte]) for byte in range(256))
    entries.update(dict.fromkeys(left + right for left, right in found))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern.regex}, "behavior": "Isolated", "invert": False}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": len(entries) + i, "content": token, **flags, "special": token in CONTROL} for i, token in enumerate(CONTROL + SCRUB)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {shown(entry): number for number, entry in enumerate(entries)},
            "merges": [f"{shown(left)} {shown(right)}" for left, right in found],  # shorter than a pair, and read by all loaders
        },
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def readme(summary: dict[str, Any]) -> str:
    """What a tokenizer is and what it was made from, in words; `pipeline.library.train_tokenizer` makes the summary."""
    size, trained_on, held_out = summary["vocabulary"], summary["trained_on"], summary["validation"]
    control = size - len(CONTROL) - len(SCRUB)
    total = sum(n["bytes"] for n in trained_on.values()) or 1
    rows = []
    for domain, n in trained_on.items():
        rate = f"{held_out[domain]['bytes'] / held_out[domain]['tokens']:.2f}" if domain in held_out else ""
        rows.append(f"| {domain} | {n['documents']:,} | {n['bytes']:,} | {n['bytes'] / total:.1%} | {rate} |")
    return "\n".join(
        [
            f"# A vocabulary of {size:,} entries",
            "",
            f"A byte-level BPE, trained on the release {summary['release']}. No entry straddles a code point.",
            "",
            f"- `tokenizer.json`: {summary['size_bytes']:,} bytes, sha256 `{summary['sha256']}`",
            f"- ids 0 to 255: the single bytes; 256 to {control - 1}: merges, in order; {control} to {control + len(CONTROL) - 1}: control tokens; "
            f"{control + len(CONTROL)} to {size - 1}: scrub tags",
            f"- control tokens (special): {', '.join(f'`{token}`' for token in CONTROL)}",
            f"- scrub tags (not special, so that decoding shows them): {', '.join(f'`{token}`' for token in SCRUB)}",
            "",
            "| domain | documents | bytes, with repeats | share | bytes per token of its validation documents |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )
