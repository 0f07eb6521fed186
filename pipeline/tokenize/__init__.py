"""Tokens: the tokenizer that ships (skypile-65k), exact counts, and ids. How it was trained is in train.py.

- ``TokenCounter(tokenizer_json)(texts)``: exact counts, (texts,) int64
- ``encode(texts, tokenizer="skypile-65k")``: ids (tokens,) uint16 and offsets (texts + 1,) int64
"""

from functools import lru_cache

import numpy as np

from pipeline.errors import ModelError
from pipeline.store import open_data
from pipeline.tokenize.count import TextColumn, TokenCounter

__all__ = ["TokenCounter", "encode"]

TOKENIZERS = ("skypile-65k",)


def encode(texts: TextColumn, tokenizer: str = "skypile-65k") -> tuple[np.ndarray, np.ndarray]:
    """Ids end to end, and where each text begins and ends among them; no special tokens are added.

    (tokens,) uint16, (texts + 1,) int64. Raises ModelError for a tokenizer that does not ship.
    """
    ids, offsets = _counter(tokenizer).encode(texts)
    return ids.astype(np.uint16), offsets


@lru_cache(maxsize=len(TOKENIZERS))
def _counter(name: str) -> TokenCounter:
    if name not in TOKENIZERS:
        raise ModelError(f"There is no tokenizer '{name}'. There are: {', '.join(TOKENIZERS)}.")
    return TokenCounter(open_data(f"tokenize/{name}/tokenizer.json"))
