"""The CPU engine: UTF-8 in Arrow's buffers to ids, on one thread, with the compiled kernels. No text becomes a Python object.

It is exact for whatever `Bpe.read` takes. Of tokenizers that normalize, texts that may not be NFC are normalized by the installed
`tokenizers`, and those that hold added tokens besides go to the reference. Memory: the tables of words (90 MB, of which few are touched where texts are few),
four bytes for each byte of a batch, and four for each byte of its longest text.
"""

from functools import cached_property

import numpy as np

from pipeline.errors import ModelError
from pipeline.kernels import bpe as kernel
from pipeline.kernels.pieces import LETTER
from pipeline.kernels.raw import frozen, hash_bytes
from pipeline.tokenize.batches import chosen, joined, spliced, valid
from pipeline.tokenize.bpe import Added, Bpe
from pipeline.tokenize.patterns import may_change_under_nfc
from pipeline.tokenize.reference import ReferenceEngine
from pipeline.tokenize.tables import Tables

_LONGEST = 1 << 31  # bytes of a text: places in it have 31 bits
_SLOT_BITS = 20  # words remembered: half of so many
_LONG_SLOT_BITS = 18


class CpuEngine:
    """Encodes on the calling thread. Not to be shared between threads: it remembers words."""

    def __init__(self, bpe: Bpe) -> None:
        self.bpe = bpe
        self._rules = rules(Tables(bpe))
        self._memory = _memory()

    def encode(self, content: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all texts, end to end, and how many each text has; no special tokens are added.

        content: UTF-8, (bytes,) uint8; offsets: (texts + 1,) int64. Bytes that are no UTF-8 count as U+FFFD, as Python's
        `errors="replace"` has it. Returns (tokens,) of the tokenizer's `id_type`, (texts,) int64.
        """
        longest = int(np.diff(offsets).max(initial=0))
        if longest >= _LONGEST:
            raise ModelError(f"A text has {longest:,} bytes; the engines take texts under {_LONGEST:,}. Cut it into parts.")
        content, offsets = valid(content, offsets)
        data, bounds = frozen(content), frozen(offsets)
        added = self._added(data, bounds)
        ids, lengths = self._encode(data, bounds, added)
        if not self.bpe.nfc:
            return ids, lengths
        risky = kernel.texts_with(data, bounds, self._nfc_risk)
        cut = np.zeros(len(lengths), bool)
        cut[np.searchsorted(offsets, added[:, 0], side="right") - 1] = True
        if (rows := np.flatnonzero(risky & cut)).size:  # normalized between the added tokens, not over them
            ids, lengths = spliced(ids, lengths, rows, *self._reference.encode(*joined(chosen(content, offsets, rows))))
        if (rows := np.flatnonzero(risky & ~cut)).size:
            texts = joined([self._normal(text) for text in chosen(content, offsets, rows)])
            ids, lengths = spliced(ids, lengths, rows, *self._encode(frozen(texts[0]), frozen(texts[1]), added[:0]))
        return ids, lengths

    def _encode(self, data: np.ndarray, offsets: np.ndarray, added: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids, lengths = np.empty(len(data) + 8, np.uint32), np.empty(len(offsets) - 1, np.int64)
        count = kernel.encode(data, offsets, added, self._rules, self._memory, ids, lengths)
        return ids[:count].astype(self.bpe.id_type), lengths

    def _normal(self, text: bytes) -> bytes:
        """The NFC of a text, by the Unicode of the installed `tokenizers`, which is not always Python's."""
        from tokenizers.normalizers import NFC

        return str(NFC().normalize_str(text.decode())).encode()

    def _added(self, data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Begin, end and id of the added tokens in the texts: those of the plain text, then those of the normalized text between them."""
        whole = np.stack([offsets[:-1], offsets[1:]], axis=1)
        first = _found(data, whole, self._groups[0])
        if not self._groups[1]:
            return frozen(first)
        cuts = np.sort(np.concatenate([whole.ravel(), first[:, :2].ravel()]), kind="stable").reshape(-1, 2)
        both = np.concatenate([first, _found(data, cuts, self._groups[1])])
        return frozen(both[np.argsort(both[:, 0], kind="stable")])

    @cached_property
    def _groups(self) -> tuple[tuple[Added, ...], tuple[Added, ...]]:
        return tuple(a for a in self.bpe.added if not a.normalized), tuple(a for a in self.bpe.added if a.normalized)

    @cached_property
    def _reference(self) -> ReferenceEngine:
        return ReferenceEngine(self.bpe)

    @cached_property
    def _nfc_risk(self) -> np.ndarray:
        return frozen(may_change_under_nfc())


def _found(data: np.ndarray, bounds: np.ndarray, added: tuple[Added, ...]) -> np.ndarray:
    """Begin, end and id of these tokens in these stretches of bytes. (found, 3) int64"""
    if not added:
        return np.empty((0, 3), np.int64)
    longest = sorted(added, key=lambda a: -len(a.content))
    firsts = np.unique(np.array([a.content[0] for a in longest], np.uint8))
    contents = np.frombuffer(b"".join(a.content for a in longest), np.uint8)
    ends = np.append(0, np.cumsum([len(a.content) for a in longest])).astype(np.int64)
    numbers = np.array([a.id for a in longest], np.int64)
    room = 1024
    while True:
        found = np.empty((room, 3), np.int64)
        count = kernel.find_added(data, frozen(bounds), frozen(firsts), frozen(contents), frozen(ends), frozen(numbers), found)
        if count <= room:
            return found[:count]
        room = count


def _memory() -> kernel.Memory:
    """No words yet. (The kernel makes room for a group of words at once: smaller tables than these bits would not hold one.)"""
    if _SLOT_BITS < 8 or _LONG_SLOT_BITS < 8:
        raise ValueError("the tables of words are too small")
    return kernel.Memory(
        slots=_aligned(kernel.SLOT << _SLOT_BITS),
        shift=np.uint64(64 - _SLOT_BITS),
        pool=np.zeros(1 << _SLOT_BITS, np.uint32),
        counts=np.zeros(2, np.int64),
        long_slots=_aligned(kernel.SLOT << _LONG_SLOT_BITS),
        long_bytes=np.zeros(32 << _LONG_SLOT_BITS, np.uint8),
        long_pool=np.zeros(32 << _LONG_SLOT_BITS, np.uint32),
        long_counts=np.zeros(3, np.int64),
    )


def _aligned(size: int) -> np.ndarray:
    """Zeros that begin where a cache line does: a slot is half of one. (size,) uint64"""
    zeros = np.zeros(size + 8, np.uint64)
    first = -zeros.ctypes.data % 64 // 8
    return zeros[first : first + size]


def rules(tables: Tables) -> kernel.Rules:
    """A tokenizer's tables as the compiled kernels take them."""
    bpe = tables.bpe
    merges, shift = tables.merges
    cuts, cut_shift = tables.cuts
    return kernel.Rules(
        kernel.Cutting(
            kinds=frozen(tables.kinds),
            digits=bpe.pattern.digits,
            web=bpe.pattern.web,
            cuts=frozen(cuts),
            cut_shift=np.uint64(cut_shift),
            straddled=frozen(tables.straddled if tables.straddled.any() else np.empty((0, 0), bool)),
            han=bool((tables.kinds[0x4E00:0xA000] == LETTER).all()),
        ),
        kernel.Merging(
            merges=frozen(merges),
            shift=np.uint64(shift),
            byte_ids=frozen(bpe.byte_ids),
            byte_pairs=frozen(tables.byte_pairs),
            character_ids=frozen(tables.character_ids),
        ),
        _entries(bpe if bpe.whole_words else None),
    )


def _entries(bpe: Bpe | None) -> kernel.Entries:
    """The vocabulary by hash; nothing without one."""
    known = bpe.entries if bpe else {}
    contents = frozen(np.frombuffer(b"".join(known), np.uint8))
    bounds = np.append(0, np.cumsum([len(e) for e in known])).astype(np.int64)
    slots = np.full(1 << (2 * len(known)).bit_length() if known else 0, -1, np.int64)
    for k in range(len(known)):
        slot = int(hash_bytes(contents, bounds[k], bounds[k + 1])) & (len(slots) - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = k
    return kernel.Entries(frozen(slots), contents, frozen(bounds), frozen(np.array(list(known.values()), np.uint32)))
