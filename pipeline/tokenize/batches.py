"""Batches of texts as the engines take them, UTF-8 bytes end to end and where each text begins: checked, chosen from, put together."""

import numpy as np

from pipeline.kernels.bpe import are_utf8
from pipeline.kernels.raw import frozen


def spliced(ids: np.ndarray, lengths: np.ndarray, rows: np.ndarray, theirs: np.ndarray, their_lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same ids and lengths, but for these rows (ascending), whose ids are `theirs`."""
    pieces, lengths, bounds, done, taken = [], lengths.copy(), np.append(0, np.cumsum(lengths)), 0, np.append(0, np.cumsum(their_lengths))
    for k, row in enumerate(rows.tolist()):
        pieces += [ids[done : bounds[row]], theirs[taken[k] : taken[k + 1]]]
        done = int(bounds[row + 1])
    lengths[rows] = their_lengths
    return np.concatenate([*pieces, ids[done:]]), lengths


def chosen(content: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> list[bytes]:
    """Some of the texts."""
    return [content[offsets[row] : offsets[row + 1]].tobytes() for row in rows.tolist()]


def joined(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Texts end to end, and where each begins and the last ends."""
    return np.frombuffer(b"".join(texts), np.uint8), np.append(0, np.cumsum([len(t) for t in texts])).astype(np.int64)


def valid(content: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same texts, in which what is no UTF-8 has become U+FFFD, as Python's `errors="replace"` has it. No copy where nothing had to."""
    if are_utf8(frozen(content), frozen(offsets)):
        return content, offsets
    return replaced(content, offsets)


def replaced(content: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All texts decoded as `errors="replace"` has it, and encoded again."""
    return joined([t.decode("utf-8", "replace").encode() for t in chosen(content, offsets, np.arange(len(offsets) - 1))])
