"""The pieces that serve alone, without a recipe: texts in, a table or an array out. Thin: each names the room that does the work."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import PlanError
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


def classify(texts: TextsLike, model: str, languages: Sequence[str] | None = None) -> pa.Table:
    """A classifier's columns for each text: for `bundled:sensitive` the share of flagged windows and the mean of every label.

    `languages` (en or zh, one a text) choose the thresholds; found by `detect_language` where not given.

    >>> classify(["Derive the formula for the sum of the first n squares, and prove it by induction."], "bundled:stem").column_names
    ['stem', 'stem_mean', 'model']
    """
    from pipeline.measures.classifier import Classifier

    array = _array(texts)
    if languages is None:
        languages = detect_language(array).column("language").to_pylist()
    columns = Classifier(model)(array.to_pylist(), list(languages))
    return pa.table({name.removeprefix("_") or "value": values for name, values in columns.items()})


def train_tokenizer(release: str, out: str, vocabulary: int = 65_536, cpus: int | None = None) -> dict[str, Any]:
    """Train a vocabulary on a release's training documents, each as often as its `repeats` says, into a new or an empty folder.

    Writes `tokenizer.json`, and what it was made from as `summary.json` and `README.md`; returns the summary. Bytes per token are
    counted on the release's validation documents, which are not trained on.
    """
    from pipeline.shards import open_release
    from pipeline.store import Store
    from pipeline.tokenize import TokenCounter, train

    train.check(vocabulary)
    made_from, folder = open_release(release), Store(out)
    if os.path.exists(folder.root) and not os.path.isdir(folder.root):
        raise PlanError(f"{folder.root} is a file; give a new or an empty folder with --out.")
    if there := folder.list():
        raise PlanError(f"{folder.root} holds other things ({', '.join(there[:3])}); give a new or an empty folder with --out.")
    counts = {domain: {"documents": 0, "bytes": 0} for domain in made_from.domains}

    def batches() -> Iterator[tuple[pa.Array, np.ndarray]]:
        for domain in made_from.domains:
            for batch in made_from.documents(domain, columns=["text", "text_bytes", "repeats"]):
                repeats = batch.column("repeats").to_numpy()
                counts[domain]["documents"] += batch.num_rows
                counts[domain]["bytes"] += int((batch.column("text_bytes").to_numpy() * repeats).sum())
                yield batch.column("text"), repeats

    file = train.train(batches(), vocabulary, threads=cpus or os.cpu_count() or 1)
    counter = TokenCounter(file)
    held_out = {}
    for domain in made_from.domains:
        texts = pa.chunked_array([b.column("text") for b in made_from.documents(domain, split="validation", columns=["text"])], pa.string())
        if tokens := int(counter(texts).sum()):
            held_out[domain] = {"bytes": int(pc.sum(pc.binary_length(texts)).as_py()), "tokens": tokens}
    summary = {
        "release": f"{made_from.manifest['name']}@{made_from.manifest['version']}",
        "vocabulary": vocabulary,
        "sha256": hashlib.sha256(file).hexdigest(),
        "size_bytes": len(file),
        "trained_on": counts,
        "validation": held_out,
    }
    folder.write_bytes("README.md", train.readme(summary).encode())
    folder.write_json("summary.json", summary)
    folder.write_bytes("tokenizer.json", file)
    return summary
