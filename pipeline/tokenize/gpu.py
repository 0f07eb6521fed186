"""Texts to the ids of Hugging Face `tokenizers`, on a GPU (Triton kernels), or in plain torch on any device: same stages, same ids.

    GpuEngine(bpe).encode(content, offsets)             # arrays in, arrays out; a batch at a time crosses the bus
    GpuEngine(bpe).encode_on_device(data, bounds)       # tensors in, tensors out, for use inside a pipeline on the GPU

A batch goes through the stages of gpu_stages.py, each a function from tensors to tensors: added tokens are written over, bytes get
classes, pieces and cuts get marks, marks become words, words are looked up in a table that lives as long as the engine, and ids are
written where a prefix sum says. Only words that the table does not hold are merged, each once: lowest rank first, leftmost of
equals, which is the only exact order (merging every pair that ranks below its neighbours at once is not).

What is not done on the device, because it is rare: texts that are not UTF-8 are decoded with replacement first, as Python does;
under NFC, texts that hold a code point which NFC might change go to `tokenizers`; words over LONG_BYTES are merged by a heap.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pipeline.errors import ModelError
from pipeline.kernels.bpe import merge_long
from pipeline.tokenize import gpu_stages as plain
from pipeline.tokenize import gpu_tables as form
from pipeline.tokenize.batches import chosen, joined, replaced, spliced
from pipeline.tokenize.bpe import Bpe
from pipeline.tokenize.gpu_tables import KEY_BYTES, LONG_BYTES, MIDDLE_BYTES, MISS, UNSTABLE, DeviceTables
from pipeline.tokenize.reference import ReferenceEngine

if TYPE_CHECKING:
    import torch

Kernels = Literal["triton", "torch"]

BATCH_BYTES = {"cuda": 256 << 20, "cpu": 8 << 20}  # of text on the device at once: some 10 bytes of memory each, or what a cache holds
SLOTS = {"cuda": 1 << 22, "cpu": 1 << 21}  # of the table of words, 32 bytes each; half of them are used
_LARGEST = (1 << 30) - 4096  # bytes of a batch: places × 2 are int32
_POOL = 1 << 24  # ids and bytes in the pool at which table and pool are emptied, before the next batch


class OnDevice(NamedTuple):
    """Ids of a batch, end to end, where each text's ids begin among them, and the texts whose ids do not count: NFC may change them."""

    ids: "torch.Tensor"  # (ids,) uint16 or int32
    offsets: "torch.Tensor"  # (texts + 1,) int64
    by_reference: "torch.Tensor"  # (some,) int64, usually none


class NotUtf8(ValueError):
    """A batch holds bytes that are not UTF-8."""


class GpuEngine:
    """Encodes texts with one tokenizer. Not to be shared between threads: it remembers words, up to a bound.

    device is torch's name of one. kernels: "triton" needs a GPU (or TRITON_INTERPRET=1); by default, triton on a GPU, torch elsewhere.
    Raises ModelError for a tokenizer with ids over 20 bits.
    """

    def __init__(self, bpe: Bpe, device: str = "cuda", kernels: Kernels | None = None) -> None:
        kind = device.partition(":")[0]
        self.bpe, self.device = bpe, device
        self.kernels: Kernels = kernels or ("triton" if kind == "cuda" else "torch")
        self.stages: Any = _stages(self.kernels)
        self.tables = DeviceTables.of(bpe, device)
        self.batch_bytes = BATCH_BYTES.get(kind, BATCH_BYTES["cuda"])
        self._words = WordTable(self.tables, self.stages, SLOTS.get(kind, SLOTS["cuda"]), bpe, device)
        self._reference = ReferenceEngine(bpe)

    def encode(self, content: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All ids, end to end, and how many each text has. (bytes,) uint8, (texts + 1,) int64 -> (ids,) bpe.id_type, (texts,) int64

        Text i is content[offsets[i]:offsets[i + 1]]. Raises ModelError for a text of a GiB.
        """
        ids, lengths = [np.empty(0, self.bpe.id_type)], [np.empty(0, np.int64)]
        for first, last in self._batches(offsets):
            some, theirs = self._encode(content[offsets[first] : offsets[last]], offsets[first : last + 1] - offsets[first])
            ids.append(some)
            lengths.append(theirs)
        return np.concatenate(ids), np.concatenate(lengths)

    def encode_on_device(self, data: "torch.Tensor", bounds: "torch.Tensor") -> OnDevice:
        """The same for a batch that lies on the device as gpu_stages.py says (`lay_out` makes it so). data: (bytes,) uint8, which is
        overwritten where added tokens stand; bounds: (texts + 1,) int32, the places of the separators. Raises NotUtf8.
        """
        import torch

        stages, tables = self.stages, self.tables
        self._words.make_room()
        tokens = []
        for group in tables.added:  # the second one in the gaps that the first one has left
            tokens.append(plain.find_added(data, stages.beginnings(data, group.first_two), group))
            plain.hide(data, tokens[-1][0], tokens[-1][2])
        classes, (malformed, edges) = self._classify(data)
        end = int(bounds[-1]) + 1
        if malformed or edges != len(data) - end + form.FRAME + len(bounds) + sum(int(lengths.sum()) for _, _, lengths in tokens):
            raise NotUtf8("A batch holds bytes that are not UTF-8; decode them with replacement first.")
        by_reference = bounds[:0].long()
        if self.bpe.nfc:
            unstable = (classes & UNSTABLE).nonzero().squeeze(1).int()
            by_reference = torch.searchsorted(bounds, unstable).unique() - 1
        starts = stages.word_starts(stages.mark(data, classes, tables), end)
        del classes
        values = stages.look_up(data, starts, self._words.table, self._words.seed, tables.whole_words)
        self._words.resolve(data, starts, values)
        for at, ids, _ in tokens:
            values[torch.searchsorted(starts, at.int() * 2)] = plain.inline(ids)
        ids, offsets = stages.emit(values, self._words.pool, torch.uint16 if self.bpe.id_type == np.uint16 else torch.int32)
        return OnDevice(ids, offsets[torch.searchsorted(starts, bounds * 2)], by_reference)

    @property
    def remembered(self) -> int:
        """Words in the table."""
        return self._words.words

    def _classify(self, data: "torch.Tensor") -> "tuple[torch.Tensor, list[int]]":
        classes, counts = self.stages.classify(data, self.tables)
        return classes, counts.tolist()

    def _batches(self, offsets: np.ndarray) -> Iterator[tuple[int, int]]:
        """Rows of texts that are encoded together: at most batch_bytes, or a single text."""
        sizes = np.diff(offsets)
        if len(sizes) and sizes.max() > _LARGEST:
            raise ModelError(f"Text {int(sizes.argmax())} has {int(sizes.max()):,} bytes; the GPU engine takes {_LARGEST:,}. Cut it, or use the CPU engine.")
        first, texts = 0, len(sizes)
        room = min(self.batch_bytes, _LARGEST // 2)
        while first < texts:
            last = int(np.searchsorted(offsets, offsets[first] + room, side="right")) - 1
            last = min(max(first + 1, last), first + room)
            yield first, last
            first = last

    def _encode(self, content: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One batch; offsets begin at 0."""
        import torch

        there = (torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for x in (_writable(content), offsets.astype(np.int64)))
        try:
            got = self.encode_on_device(*self.stages.lay_out(*there))
        except NotUtf8:
            return self.encode(*replaced(content, offsets))
        ids: np.ndarray = got.ids.cpu().numpy().view(self.bpe.id_type)
        bounds = got.offsets.cpu().numpy()
        lengths, rows = np.diff(bounds), got.by_reference.cpu().numpy()
        if not rows.size:
            return ids, lengths
        return spliced(ids, lengths, rows, *self._reference.encode(*joined(chosen(content, offsets, rows))))


def _stages(kernels: Kernels) -> Any:
    """The module whose functions are the stages."""
    if kernels == "torch":
        return plain
    from pipeline.tokenize import triton_kernels

    return triton_kernels


def _writable(content: np.ndarray) -> np.ndarray:
    """torch warns of tensors over memory that must not be written, though nothing here writes."""
    return content if content.flags.writeable else content.copy()


class WordTable:
    """Values of words that have been seen, and the pool of ids that do not fit into a value.

    A key is the word itself, up to KEY_BYTES bytes; up to MIDDLE_BYTES it is a hash, and the bytes in the pool decide. Longer words are
    merged once in each batch. Whether a word is a whole piece is part of its key, where that matters (`ignore_merges`): then every
    entry is there from the start, so that whatever is not found has to be merged.
    """

    def __init__(self, tables: DeviceTables, stages: Any, slots: int, bpe: Bpe, device: str) -> None:
        import torch

        self.tables, self.stages, self.bpe = tables, stages, bpe
        self.seed = int(tables.seeds[0, 0])
        self.merges: np.ndarray | None = None  # on the host, when the first word over LONG_BYTES comes
        entries = {e: i for e, i in bpe.entries.items() if len(e) <= MIDDLE_BYTES} if bpe.whole_words else {}
        self.long_entries = {e: i for e, i in bpe.entries.items() if len(e) > MIDDLE_BYTES} if bpe.whole_words else {}
        self.table = torch.zeros(max(slots, 1 << (4 * len(entries)).bit_length()), 4, dtype=torch.int64, device=device)
        self.pool = torch.zeros(1 << 16, dtype=torch.int32, device=device)
        self.words = self.pooled = 0
        if entries:
            self._put_entries(entries, device)
        self._fresh = (self.table.cpu().clone(), self.words, self.pooled) if entries else None

    def make_room(self) -> None:
        """Forget all words if there is no room for more."""
        if 2 * self.words < len(self.table) and self.pooled < _POOL:
            return
        self.table.zero_()
        self.words = self.pooled = 0
        if self._fresh:
            self.table.copy_(self._fresh[0])
            self.words, self.pooled = self._fresh[1:]

    def resolve(self, data: "torch.Tensor", starts: "torch.Tensor", values: "torch.Tensor") -> None:
        """Put values in the place of MISS and LONG, and remember them."""
        rest = (values < 0).nonzero().squeeze(1)
        at, lengths, whole = plain.spans(starts, rest, self.tables.whole_words)
        short = lengths <= KEY_BYTES
        middle = ~short & (lengths <= LONG_BYTES)
        for some, merge in ((short, self._short), (middle, self._long)):
            if bool(some.any()):
                values[rest[some]] = merge(data, at[some], lengths[some], whole[some])
        for i in (lengths > LONG_BYTES).nonzero().squeeze(1).tolist():
            values[rest[i]] = self._on_host(data[at[i] : at[i] + lengths[i]].cpu().numpy().tobytes(), bool(whole[i]))

    def _short(self, data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor", whole: "torch.Tensor") -> "torch.Tensor":
        """Values of words up to KEY_BYTES that the table does not hold."""
        first, second = plain.short_keys(data, at, lengths, whole)
        hashes = plain.hashed(first, second, self.seed)
        one, group = plain.unique(first, second, hashes)
        values = self._merged(data, at[one], lengths[one])
        self._remember(first[one], second[one], hashes[one], values)
        return values[group]

    def _long(self, data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor", whole: "torch.Tensor") -> "torch.Tensor":
        """Values of words of KEY_BYTES + 1 to LONG_BYTES."""
        import torch

        first, second = plain.long_keys(data, at, lengths, whole, self.tables)
        hashes = plain.hashed(first, second, self.seed)
        values = torch.full_like(at, MISS)
        middle = (lengths <= MIDDLE_BYTES).nonzero().squeeze(1)
        found = plain.find(self.table, first[middle], second[middle], hashes[middle])
        hit = found != MISS
        values[middle[hit]] = found[hit].where(self._is_there(data, at[middle[hit]], lengths[middle[hit]], found[hit]), MISS)
        left = (values == MISS).nonzero().squeeze(1)
        one, group = plain.unique(first[left], second[left], hashes[left])
        one = left[one]
        same = (lengths[left] == lengths[one][group]) & plain.same_bytes(data, at[left], at[one][group], lengths[left])
        strange = (~same).nonzero().squeeze(1)  # another word has the same hash: merged by itself
        group[strange] = len(one) + torch.arange(len(strange), device=at.device)
        new = self._merged(data, at[torch.cat([one, left[strange]])], lengths[torch.cat([one, left[strange]])])
        kept = (lengths[one] <= MIDDLE_BYTES).nonzero().squeeze(1)
        self._remember(first[one[kept]], second[one[kept]], hashes[one[kept]], new[kept])
        values[left] = new[group]
        if self.long_entries:
            sizes = torch.tensor(sorted({len(e) for e in self.long_entries}), device=at.device)
            for word in ((whole > 0) & torch.isin(lengths, sizes)).nonzero().squeeze(1).tolist():
                number = self.long_entries.get(data[at[word] : at[word] + lengths[word]].cpu().numpy().tobytes())
                if number is not None:
                    values[word] = number << 2 | 1
        return values

    def _is_there(self, data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor", values: "torch.Tensor") -> "torch.Tensor":
        """Whether words of up to MIDDLE_BYTES are those that these values were made for, byte for byte. (words,) bool"""
        import torch

        place = (values >> 31) + plain.counts_of(values)
        same = self.pool[place] == lengths
        ours = plain.long_bytes(data, at, lengths, MIDDLE_BYTES)
        column = torch.arange(ours.shape[1], device=at.device)
        theirs = self.pool[(place[:, None] + 1 + column).clamp(max=len(self.pool) - 1)].long() & 0xFFFF_FFFF
        return same & ((ours == theirs) | (column * 4 >= lengths[:, None])).all(1)

    def _merged(self, data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
        """Values of words that have to be merged; of those whose keys are hashes the bytes go to the pool too."""
        import torch

        values = torch.empty_like(at)
        for rows, width in plain.by_width(lengths):
            ids, counts = self.stages.merge(data, at[rows], lengths[rows], width, self.tables)
            hash_keys = KEY_BYTES + 1 < width <= MIDDLE_BYTES
            values[rows] = self._values(ids, counts, (lengths[rows], plain.long_bytes(data, at[rows], lengths[rows], width)) if hash_keys else None)
        return values

    def _values(self, ids: "torch.Tensor", counts: "torch.Tensor", behind: "tuple[torch.Tensor, torch.Tensor] | None" = None) -> "torch.Tensor":
        """Values of words by their ids; with lengths and bytes, these stand in the pool behind the ids."""
        import torch

        column = torch.arange(ids.shape[1], device=ids.device)
        values = counts.clone()
        for i in range(min(form.INLINE, ids.shape[1])):
            values |= ids[:, i].long().masked_fill(counts <= i, 0) << (2 + form.ID_BITS * i)
        if behind:
            lengths, content = behind
            far = torch.arange(len(ids), device=ids.device)
            rows = torch.cat([ids, lengths[:, None].int(), content.int()], 1)
            used = torch.cat([column < counts[:, None], (lengths > 0)[:, None], torch.arange(content.shape[1], device=ids.device) * 4 < lengths[:, None]], 1)
        else:
            far = (counts > form.INLINE).nonzero().squeeze(1)
            rows, used = ids[far], column < counts[far, None]
        taken = used.sum(1)
        values[far] = plain.pooled(counts[far], self.pooled + taken.cumsum(0) - taken)
        self._append(rows[used])
        return values

    def _append(self, numbers: "torch.Tensor") -> None:
        import torch

        needed = self.pooled + len(numbers)
        if needed > len(self.pool):
            self.pool = torch.cat([self.pool, self.pool.new_zeros(max(needed - len(self.pool), len(self.pool)))])
        self.pool[self.pooled : needed] = numbers
        self.pooled = needed

    def _remember(self, first: "torch.Tensor", second: "torch.Tensor", hashes: "torch.Tensor", values: "torch.Tensor") -> None:
        room = max(0, len(self.table) // 2 - self.words)
        self.stages.insert(self.table, first[:room], second[:room], hashes[:room], values[:room])
        self.words += min(room, len(first))

    def _on_host(self, word: bytes, whole: bool) -> int:
        """The value of a word of any length."""
        import torch

        number = self.long_entries.get(word) if whole else None
        if number is not None:
            return number << 2 | 1
        if self.merges is None:
            self.merges = self.tables.merges.cpu().numpy().view(np.uint64)
        ids = self.bpe.byte_ids[np.frombuffer(word, np.uint8)].astype(np.uint64)
        count, place = merge_long(ids, len(ids), self.merges, np.uint64(self.tables.merge_shift)), self.pooled
        self._append(torch.from_numpy(ids[:count].astype(np.int32)).to(self.pool.device))
        return count << 2 | place << 31

    def _put_entries(self, entries: dict[bytes, int], device: str) -> None:
        """Every entry as a whole piece that is its own id."""
        import torch

        content = b"".join(entries)
        data = torch.frombuffer(bytearray(content + bytes(-len(content) % 8 + form.FRAME)), dtype=torch.uint8).to(device)
        sizes = torch.tensor([len(e) for e in entries], device=device)
        at, ids = sizes.cumsum(0) - sizes, torch.tensor(list(entries.values()), dtype=torch.int32, device=device)[:, None]
        one = torch.ones_like(sizes)
        for rows, keys in (((sizes <= KEY_BYTES), plain.short_keys), ((sizes > KEY_BYTES), self._long_keys)):
            first, second = keys(data, at[rows], sizes[rows], one[rows])
            if keys is plain.short_keys:
                values = self._values(ids[rows], one[rows])
            else:
                values = self._values(ids[rows], one[rows], (sizes[rows], plain.long_bytes(data, at[rows], sizes[rows], MIDDLE_BYTES)))
            self._remember(first, second, plain.hashed(first, second, self.seed), values)

    def _long_keys(self, data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor", whole: "torch.Tensor") -> "tuple[torch.Tensor, ...]":
        return plain.long_keys(data, at, lengths, whole, self.tables)
