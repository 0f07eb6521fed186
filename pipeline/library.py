"""The pieces that serve alone, without a recipe: texts in, a table or an array out. Thin: each names the room that does the work."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.texts import Texts

TextsLike: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray


def _array(texts: TextsLike) -> pa.Array:
    if isinstance(texts, pa.ChunkedArray):
        return texts.combine_chunks()
    return texts if isinstance(texts, pa.Array) else pa.array(list(texts), pa.string())


def detect_language(texts: TextsLike, model: str = "bundled:lid176") -> pa.Table:
    """Language, its score, script (Hans, Hant, mixed), and p_en, p_zh, p_en_or_zh of each text, by fastText.

    >>> detect_language(["Where is the library?", "图书馆在哪里？"]).column("language").to_pylist()
    ['en', 'zh']
    """
    from pipeline.measures.language import LanguageId

    return LanguageId(model)(_array(texts))


def measure(texts: TextsLike, names: Sequence[str]) -> pa.Table:
    """A column a measure, a row a text. `python -m pipeline measures` lists them. KeyError for an unknown name.

    >>> measure(["one two three"], ["word_count"]).to_pylist()
    [{'word_count': 3.0}]
    """
    from pipeline.measures import measure as of

    values = of(Texts(_array(texts)), list(names))
    return pa.table({n: pa.array(np.asarray(values[n], np.float64), from_pandas=True) for n in names})


def judge(texts: TextsLike, bounds: Mapping[str, Mapping[str, float]]) -> list[str | None]:
    """The first bound that each text breaks, or None.

    >>> judge(["one two three"], {"word_count": {"min": 50}})
    ['word_count >= 50']
    """
    from pipeline.filter import judge_texts

    result: list[Any] = judge_texts(_array(texts), bounds)
    return result


def signatures(texts: TextsLike) -> np.ndarray:
    """MinHash signatures over folded shingles. (texts, 112) uint32

    >>> signatures(["the quick brown fox jumps over the lazy dog"]).shape
    (1, 112)
    """
    from pipeline.dedup.signatures import signatures as of

    return of(_array(texts))[0]
