"""Signatures, bands, shingle sets and whole-text keys of Arrow strings, lists of str, or `Texts`: the kernels' front door for rounds.

What a shingle is, and why, stands in `kernels/shingles.py`. Pure; some 200 MB of text a second and core.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.kernels import shingles
from pipeline.texts import Texts

TextsLike: TypeAlias = Texts | Sequence[str] | pa.Array | pa.ChunkedArray

_K1 = np.uint64(0x9E3779B97F4A7C15)
_K2 = np.uint64(0xBF58476D1CE4E5B9)
_S29 = np.uint64(29)
_S32 = np.uint64(32)


def _buffers(texts: TextsLike) -> tuple[np.ndarray, np.ndarray]:
    texts = texts if isinstance(texts, Texts) else Texts(texts)
    return texts.data, texts.offsets


def signatures(texts: TextsLike) -> tuple[np.ndarray, np.ndarray]:
    """MinHash signatures, (texts, 112) uint32, and shingles of each text, repetitions counted, (texts,) int64.

    P(two texts agree in a column) = Jaccard of their shingle sets. Without tokens: 0 shingles, and 2^32 - 1 everywhere, so keep those out of bands.
    """
    return shingles.signatures(*_buffers(texts))


def shingle_sets(texts: TextsLike) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct shingles: set i is values[offsets[i] : offsets[i + 1]]. values (total,) uint64, offsets (texts + 1,) int64."""
    return shingles.shingle_sets(*_buffers(texts))


def text_keys(texts: TextsLike, exact: bool | np.ndarray = False) -> np.ndarray:
    """128-bit keys of whole texts, (texts, 2) uint64. Prose: folded, without white space. `exact` (one bool, or one a text), for code: bytes, line ends alike."""
    return shingles.text_keys(*_buffers(texts), exact=exact)


def band_keys(signature: np.ndarray, bands: int = 16, rows: int = 7) -> np.ndarray:
    """One 64-bit key a band, the band's number mixed in: texts that share a key are candidates. (texts, bands) uint64

    P(candidates | Jaccard J) = 1 - (1 - J^rows)^bands: for 16 x 7 it is 0.977 at J = 0.8, 0.01 at 0.35; for 14 x 8, 0.924 at 0.8.
    ValueError where the signature has fewer than bands x rows columns (the first are used).
    """
    if bands < 1 or rows < 1 or bands * rows > signature.shape[1]:
        raise ValueError(f"{bands} bands x {rows} rows need {bands * rows} columns, a signature has {signature.shape[1]}")
    keys = np.empty((len(signature), bands), np.uint64)
    _band_keys(np.ascontiguousarray(signature, np.uint32), bands, rows, keys)
    return keys


@njit(cache=True, nogil=True)
def _band_keys(signature: np.ndarray, bands: int, rows: int, keys: np.ndarray) -> None:
    for text in range(len(signature)):
        for band in range(bands):
            h = np.uint64(band + 1) * _K1
            for row in range(rows):
                h = (h ^ np.uint64(signature[text, band * rows + row])) * _K2
                h ^= h >> _S29
            h *= _K1
            keys[text, band] = h ^ (h >> _S32)
