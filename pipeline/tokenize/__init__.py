"""Tokens: the tokenizer that ships (skypile-65k), exact counts, and ids, by three engines that agree on every id.

- ``TokenCounter(tokenizer_json)(texts)``: exact counts, (texts,) int64
- ``encode(texts, tokenizer="skypile-65k", device="auto")``: ids and offsets
- ``open_engine(tokenizer, device)``: an engine, for UTF-8 bytes and offsets as Arrow holds them

    bpe.py        a tokenizer.json as arrays; what cannot be exact is refused      patterns.py   what cuts a text into pieces
    reference.py  Hugging Face `tokenizers`                                        tables.py     what the engines look things up in
    cpu.py        compiled for the CPU (pipeline/kernels/bpe.py)                   train.py      makes a vocabulary
    gpu.py        torch tensors and Triton kernels                                 count.py      columns of texts
    engine.py     the door to the three                                            batches.py    what all of them do with a batch
"""

from functools import lru_cache
from threading import local

import numpy as np

from pipeline.tokenize.count import TextColumn, TokenCounter
from pipeline.tokenize.engine import DEVICES, Engine, open_engine

__all__ = ["DEVICES", "Engine", "TokenCounter", "encode", "open_engine"]


def encode(texts: TextColumn, tokenizer: str = "skypile-65k", device: str = "auto") -> tuple[np.ndarray, np.ndarray]:
    """Ids end to end, and where each text begins and ends among them; no special tokens are added.

    `tokenizer` is one that ships or a path to a tokenizer.json, `device` one of auto, cpu, cuda, reference; all give the same ids.
    (tokens,) uint16 or uint32, (texts + 1,) int64. Raises ModelError for a tokenizer or device that is not there.
    """
    if not hasattr(_ENGINES, "counter"):
        _ENGINES.counter = lru_cache(maxsize=4)(_counter)
    return _ENGINES.counter(tokenizer, device).encode(texts)  # type: ignore[no-any-return]  # a thread's attributes have no types


_ENGINES = local()  # an engine remembers words: one for each thread


def _counter(tokenizer: str, device: str) -> TokenCounter:
    return TokenCounter(open_engine(tokenizer, device))
