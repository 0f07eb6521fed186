"""Texts to exact token counts, and to ids, with gigatoken on one thread.

The reference is Hugging Face `tokenizers` with its defaults and no special tokens added; the same tokens come out here, with
one exception mended below. The text `<|endoftext|>` inside a document is one token, as it is there.

gigatoken remembers every piece that it has seen and never forgets. That is where its speed comes from and what it costs: the
first reading of English runs at half the speed of the second, of Chinese (whose pieces are clauses, seldom seen twice) at a
sixth (benchmarks/token_count.py), and memory grows by two to five bytes for each new byte of text, so the engine is replaced
now and then. `parallel=False` keeps it on the calling thread.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

BATCH_BYTES = 64 << 20  # of text given to the engine at once: bounds the ids in memory
REPLACE_AFTER_BYTES = 256 << 20  # of text per engine: bounds its memory of pieces (some 1.5 GB of them on random Han)

# Where gigatoken 0.10 and tokenizers 0.23 part: gigatoken knows the letters and numbers of Unicode 17, tokenizers only those
# of Unicode 16, to which these are signs. The smallest case is "\u088f's", where "'s" is split off after a letter alone.
# Texts that hold one of these go to `tokenizers`. tests/tokenize/test_count.py compares every code point.
UNICODE_17 = np.array([
    (0x088F, 0x088F), (0x0C5C, 0x0C5C), (0x0CDC, 0x0CDC), (0xA7CE, 0xA7CF), (0xA7D2, 0xA7D2), (0xA7D4, 0xA7D4), (0xA7F1, 0xA7F1),
    (0x10940, 0x10959), (0x10EC5, 0x10EC7), (0x11DB0, 0x11DDB), (0x11DE0, 0x11DE9), (0x16EA0, 0x16EB8), (0x16EBB, 0x16ED3),
    (0x16FF2, 0x16FF6), (0x187F8, 0x187FF), (0x18D09, 0x18D1E), (0x18D80, 0x18DF2), (0x1E6C0, 0x1E6DE), (0x1E6E0, 0x1E6E2),
    (0x1E6E4, 0x1E6E5), (0x1E6E7, 0x1E6ED), (0x1E6F0, 0x1E6F4), (0x1E6FE, 0x1E6FF), (0x2B73A, 0x2B73F), (0x2CEA2, 0x2CEAD),
    (0x323B0, 0x33479),
])  # fmt: skip

TextColumn: TypeAlias = pa.Array | pa.ChunkedArray | list[str]


class TokenCounter:
    """Counts tokens of texts as Hugging Face `tokenizers` would, for one tokenizer.json (its content, or a path to it).

    Not to be shared between threads. Raises ValueError for a tokenizer that gigatoken does not know how to split for.
    """

    def __init__(self, tokenizer_json: bytes | Path) -> None:
        self._json = tokenizer_json if isinstance(tokenizer_json, bytes) else tokenizer_json.read_bytes()
        self._reference: Any = None
        self._replace_engine()

    def __call__(self, texts: TextColumn) -> np.ndarray:
        """Tokens in each text; 0 for the empty text. A null text is a ValueError. (texts,) int64"""
        return np.concatenate([np.empty(0, np.int64), *(lengths for _, lengths in self._batches(texts))])

    def encode(self, texts: TextColumn) -> tuple[np.ndarray, np.ndarray]:
        """All ids, end to end, and where each text begins and ends among them. (tokens,) uint32, (texts + 1,) int64"""
        all_ids, all_lengths = [np.empty(0, np.uint32)], [np.zeros(1, np.int64)]
        for ids, lengths in self._batches(texts):
            all_ids.append(ids)
            all_lengths.append(lengths)
        return np.concatenate(all_ids), np.cumsum(np.concatenate(all_lengths))

    @property
    def vocabulary(self) -> int:
        """One more than the largest id."""
        return int(self._engine.vocab_size)

    def _replace_engine(self) -> None:
        from gigatoken import Tokenizer

        self._engine: Any = None  # free the old one first
        self._engine = Tokenizer.from_json(self._json)
        self._seen_bytes = 0

    def _batches(self, texts: TextColumn) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids and lengths of one run of texts after the other."""
        for content, offsets in _runs(texts):
            if self._seen_bytes > REPLACE_AFTER_BYTES:
                self._replace_engine()
            self._seen_bytes += len(content)
            yield self._mend(content, offsets, *self._run(content, offsets))

    def _run(self, content: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """gigatoken's ids and lengths. Awkward arrays are views, so neither texts nor ids pass through Python objects."""
        import awkward  # type: ignore[import-untyped]  # no stubs; it comes with gigatoken

        characters = awkward.contents.NumpyArray(content, parameters={"__array__": "char"})
        strings = awkward.Array(awkward.contents.ListOffsetArray(awkward.index.Index64(offsets), characters, parameters={"__array__": "string"}))
        rows = self._engine.encode_batch(strings, parallel=False)
        return awkward.to_numpy(awkward.flatten(rows, axis=1)), awkward.to_numpy(awkward.num(rows, axis=1))

    def _mend(self, content: np.ndarray, offsets: np.ndarray, ids: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same with the texts that gigatoken splits otherwise encoded by the reference."""
        apart = np.unique(np.searchsorted(offsets, _unicode_17_at(content), side="right") - 1)
        if len(apart) == 0:
            return ids, lengths
        pieces, lengths, bounds = [], lengths.copy(), np.append(0, np.cumsum(lengths))
        done = 0
        for row in apart:
            text = content[offsets[row] : offsets[row + 1]].tobytes().decode()
            mended = np.array(self._refer(text), np.uint32)
            pieces += [ids[done : bounds[row]], mended]
            lengths[row] = len(mended)
            done = bounds[row + 1]
        return np.concatenate([*pieces, ids[done:]]), lengths

    def _refer(self, text: str) -> list[int]:
        from tokenizers import Tokenizer

        if self._reference is None:
            self._reference = Tokenizer.from_str(self._json.decode())
        return list(self._reference.encode(text, add_special_tokens=False).ids)


def _runs(texts: TextColumn) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """UTF-8 bytes and offsets (from 0, int64) of runs of whole texts: at most BATCH_BYTES, or a single text. No copies."""
    if isinstance(texts, list):
        texts = pa.array(texts, pa.large_string())
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null, and null has no token count; fill or drop them first")
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        if len(chunk) == 0:
            continue
        if not (pa.types.is_string(chunk.type) or pa.types.is_large_string(chunk.type) or pa.types.is_string_view(chunk.type)):
            raise TypeError(f"texts are {chunk.type}, not string; binary would have to be decoded first")
        large = chunk.cast(pa.large_string())
        _, offset_buffer, data = large.buffers()
        offsets = np.frombuffer(offset_buffer, np.int64, len(large) + 1, large.offset * 8)
        content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        first = 0
        while first < len(large):
            last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + BATCH_BYTES, side="right")) - 1)
            yield content[offsets[first] : offsets[last]], offsets[first : last + 1] - offsets[first]
            first = last


def _code_points(content: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The code points of three or four bytes that begin at these places."""
    lead, second, third = (content[at + i].astype(np.int64) for i in range(3))
    three = (lead & 0x0F) << 12 | (second & 0x3F) << 6 | third & 0x3F
    fourth = content[np.minimum(at + 3, len(content) - 1)].astype(np.int64)
    four = (lead & 0x07) << 18 | (second & 0x3F) << 12 | (third & 0x3F) << 6 | fourth & 0x3F
    code_points: np.ndarray = np.where(lead >= 0xF0, four, three)
    return code_points


def _utf8_heads(ranges: np.ndarray) -> np.ndarray:
    """Which first two bytes, as one number, some code point of the ranges begins with. (65536,) bool"""
    heads = np.zeros(65_536, bool)
    for first, last in ranges:
        for code_point in {*range(first, last, 64), last}:
            head = chr(code_point).encode()
            heads[head[0] << 8 | head[1]] = True
    return heads


_HEADS = _utf8_heads(UNICODE_17)
_LEADS = np.unique(np.flatnonzero(_HEADS) >> 8).astype(np.uint8)  # E0, EA, F0: rare in Chinese and English


def _unicode_17_at(content: np.ndarray) -> np.ndarray:
    """Where a code point of UNICODE_17 begins, in bytes."""
    found = []
    for start in range(0, len(content), 1 << 18):  # a piece that stays in the cache: three comparisons at full speed
        piece = content[start : start + (1 << 18)]
        mask = piece == _LEADS[0]
        for lead in _LEADS[1:]:
            mask |= piece == lead
        found.append(np.flatnonzero(mask) + start)
    at: np.ndarray = np.concatenate([np.empty(0, np.int64), *found])
    at = at[_HEADS[content[at].astype(np.int64) << 8 | content[at + 1]]]
    code_points = _code_points(content, at)
    place = np.searchsorted(UNICODE_17[:, 0], code_points, side="right") - 1
    inside: np.ndarray = at[(place >= 0) & (code_points <= UNICODE_17[place, 1])]
    return inside
