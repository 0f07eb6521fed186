"""Near-duplicates of texts in memory: the pipeline's round (`dedup/minhash.py`) without files, for notebooks and libraries.

Memory: about 1 kB a text, and the shingle sets of the candidates (8 bytes a shingle). For what does not fit, run the recipe stage.
"""

import numpy as np
import pyarrow as pa

from pipeline.dedup.clusters import components
from pipeline.dedup.signatures import TextsLike, band_keys, shingle_sets, signatures
from pipeline.dedup.verify import verify_cluster
from pipeline.texts import Texts


def near_duplicates(texts: TextsLike, threshold: float = 0.8, bands: int = 16, rows: int = 7, min_shingles: int = 1) -> pa.Table:
    """For each text the one to keep in its place; among near-duplicates the first given stays. A row a text:

    kept: int64, the index of the text kept for it (its own where it stays itself). similarity: float64, their exact Jaccard over folded
    shingles (1 with itself). cluster_size: int64, the texts that share this `kept`.
    Texts with fewer than `min_shingles` shingles are not compared, nor are texts without any; they stay.

    >>> near_duplicates(["The quick brown fox jumps over the dog", "THE QUICK BROWN FOX JUMPS OVER THE DOG!", "Something else"]).column("kept").to_pylist()
    [0, 0, 2]
    """
    texts = texts if isinstance(texts, Texts) else Texts(texts)
    n = len(texts)
    kept, similarity = np.arange(n, dtype=np.int64), np.ones(n, np.float64)
    signature, counts = signatures(texts)
    rows_used = np.flatnonzero(counts >= max(min_shingles, 1))
    first, later = _edges(band_keys(signature[rows_used], bands, rows))
    nodes, labels = components(rows_used[first], rows_used[later])
    order = np.lexsort((nodes, labels))  # by cluster, then as given
    members, labels = nodes[order].astype(np.int64), labels[order]
    values, offsets = shingle_sets(_take(texts, members))
    ends = np.append(np.flatnonzero(labels[1:] != labels[:-1]) + 1, len(labels))
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        _, other, score = verify_cluster(values, offsets[start : end + 1], threshold)
        kept[members[start:end]] = members[start:end][other]
        similarity[members[start:end]] = score
    return pa.table({"kept": kept, "similarity": similarity, "cluster_size": np.bincount(kept, minlength=n)[kept].astype(np.int64)})


def _edges(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the first text of each bucket to every other one in it: a star holds a bucket together with the fewest edges."""
    pairs = [np.empty((0, 2), np.int64)]
    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band], kind="stable")
        key = keys[order, band]
        begins = np.ones(len(key), bool)
        begins[1:] = key[1:] != key[:-1]
        best = order[np.maximum.accumulate(np.where(begins, np.arange(len(key)), 0))]
        pairs.append(np.stack([best[~begins], order[~begins]], 1))
    edges = np.concatenate(pairs)
    return edges[:, 0], edges[:, 1]


def _take(texts: Texts, rows: np.ndarray) -> Texts:
    """The texts of some rows."""
    lengths = (texts.offsets[1:] - texts.offsets[:-1])[rows]
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    part = texts[0:0]
    part.data = np.concatenate([np.zeros(0, np.uint8), *(texts.data[a : a + n] for a, n in zip(texts.offsets[rows].tolist(), lengths.tolist(), strict=True))])
    part.offsets = offsets
    return part
