"""Columns of texts to exact token counts, and to ids, on one thread. The reference is Hugging Face `tokenizers` with its defaults and
no special tokens added; the text `<|endoftext|>` inside a document is one token, as it is there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.tokenize.bpe import Bpe
from pipeline.tokenize.cpu import CpuEngine
from pipeline.tokenize.engine import Engine

BATCH_BYTES = 64 << 20  # of text given to the engine at once: bounds the ids in memory

TextColumn: TypeAlias = pa.Array | pa.ChunkedArray | list[str]


class TokenCounter:
    """Counts tokens of texts, for one tokenizer.json (its content, a path to it, or an engine that has read it).

    Not to be shared between threads. Raises ModelError for a tokenizer that cannot be encoded exactly.
    """

    def __init__(self, tokenizer: bytes | Path | Engine) -> None:
        if isinstance(tokenizer, Path):
            tokenizer = tokenizer.read_bytes()
        self._engine = CpuEngine(Bpe.read(tokenizer)) if isinstance(tokenizer, bytes) else tokenizer

    def __call__(self, texts: TextColumn) -> np.ndarray:
        """Tokens in each text; 0 for the empty text. A null text is a ValueError. (texts,) int64"""
        return np.concatenate([np.empty(0, np.int64), *(self._engine.encode(*run)[1] for run in runs(texts))])

    def encode(self, texts: TextColumn) -> tuple[np.ndarray, np.ndarray]:
        """All ids, end to end, and where each text begins and ends among them. (tokens,) uint16 or uint32, (texts + 1,) int64"""
        ids, lengths = [np.empty(0, self._engine.bpe.id_type)], [np.zeros(1, np.int64)]
        for run in runs(texts):
            of_run = self._engine.encode(*run)
            ids.append(of_run[0])
            lengths.append(of_run[1])
        return np.concatenate(ids), np.cumsum(np.concatenate(lengths))

    @property
    def vocabulary(self) -> int:
        """One more than the largest id."""
        return self._engine.bpe.vocabulary


def runs(texts: TextColumn) -> Iterator[tuple[np.ndarray, np.ndarray]]:
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
