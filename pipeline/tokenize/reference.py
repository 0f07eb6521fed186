"""The reference engine: Hugging Face `tokenizers`, text by text. Slow, and right by definition; the other engines are held to it."""

from functools import cached_property
from typing import Any

import numpy as np

from pipeline.tokenize.bpe import Bpe

_AT_ONCE = 256  # texts: larger batches only hold more memory


class ReferenceEngine:
    """Encodes as `tokenizers` does, on its own threads (TOKENIZERS_PARALLELISM)."""

    def __init__(self, bpe: Bpe) -> None:
        self.bpe = bpe

    def encode(self, content: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all texts, end to end, and how many each text has; no special tokens are added.

        content: UTF-8, (bytes,) uint8; offsets: (texts + 1,) int64. Bytes that are no UTF-8 count as U+FFFD, as Python's
        `errors="replace"` has it. Returns (tokens,) of the tokenizer's `id_type`, (texts,) int64.
        """
        ids, lengths = [np.empty(0, self.bpe.id_type)], np.zeros(len(offsets) - 1, np.int64)
        for first in range(0, len(lengths), _AT_ONCE):
            rows = range(first, min(first + _AT_ONCE, len(lengths)))
            texts = [content[offsets[row] : offsets[row + 1]].tobytes().decode("utf-8", "replace") for row in rows]
            for row, encoding in zip(rows, self._tokenizer.encode_batch_fast(texts, add_special_tokens=False), strict=True):
                ids.append(np.array(encoding.ids, self.bpe.id_type))
                lengths[row] = len(ids[-1])
        return np.concatenate(ids), lengths

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.bpe.source.decode())
