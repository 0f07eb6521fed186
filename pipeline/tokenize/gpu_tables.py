"""What the GPU engine's stages agree on: the bytes, classes, marks, keys and values that pass between them, and the tables on the device.

The stages are in gpu_stages.py, which says what each one means.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ModelError
from pipeline.tokenize.bpe import Added, Bpe
from pipeline.tokenize.patterns import Pattern, may_change_under_nfc
from pipeline.tokenize.tables import MULTIPLIER, Tables

if TYPE_CHECKING:
    import torch

FRAME = 32  # bytes of 0xFF around a batch
SEPARATOR, TOKEN, WITHIN_TOKEN = 0xFF, 0xFE, 0xFD  # bytes that UTF-8 never has
FIRST_EDGE = 0xF5  # every byte from here on is none of UTF-8

KIND, LEAD, UNSTABLE = 7, 8, 16  # a class: the kind of the code point, is this its first byte, may NFC change it
EDGE = 5  # a sixth kind

WORD, PIECE = 1, 3  # marks: a word starts here; a piece (and a word)
RUN = 64  # bytes that a run is followed

KEY_BYTES = 15  # longer words have hashes for keys
MIDDLE_BYTES = 64  # longer words are merged anew in each batch
LONG_BYTES = 1024  # longer words go to the host
WHOLE = 0x80  # in the length byte of a key: the word is a whole piece, and whole pieces are looked up
MIDDLE = 0x40  # in the length byte of a key: the key is a hash
INLINE, ID_BITS = 3, 20  # ids that a value holds, and their width; more of them stand in the pool
MISS, LONG = -1, -2  # for a value: not in the memo; too long for an exact key
UP_TO = (8, KEY_BYTES, 32, MIDDLE_BYTES, 256, LONG_BYTES)  # bytes of words that are merged together
SECOND_MULTIPLIER = 0xD6E8_FEB8_6659_FD93  # of hashes of words; odd, from splitmix's relatives
NO_PAIR = (1 << 63) - 1  # behind every `rank << 32 | id`


@dataclass(frozen=True, eq=False)
class DeviceTables:
    """What the stages look things up in, on the device. Sizes in bytes for skypile-65k stand at the right."""

    pattern: Pattern
    byte_classes: "torch.Tensor"  # (256,) uint8
    kinds: "torch.Tensor"  # (0x110000,) uint8: the kind, and UNSTABLE                     1.1 MB, of which text touches little
    pairs: "torch.Tensor"  # (65536,) uint8, bytes before and at a place: 0 no cut, 1 cut, 2 look at the code points    64 kB
    cuts: "torch.Tensor"  # (words,) int64: bits of Tables.cuts                            32 kB
    cut_shift: int
    merges: "torch.Tensor"  # (slots, 2) int64: left << 32 | right (-1: free), rank << 32 | made     2.1 MB
    merge_shift: int
    byte_ids: "torch.Tensor"  # (256,) int32
    whole_words: bool
    seeds: "torch.Tensor"  # (2, 1 + LONG_BYTES // 4) int64, odd: of the hashes of long words
    added: "tuple[AddedGroup, ...]"  # in the order in which they are looked for

    @classmethod
    def of(cls, bpe: Bpe, device: str) -> "DeviceTables":
        """Raises ModelError for ids over 20 bits."""
        import torch

        if bpe.vocabulary > 1 << ID_BITS:
            raise ModelError(f"The GPU engine knows ids below {1 << ID_BITS:,}; this tokenizer has one of {bpe.vocabulary - 1:,}. Use the CPU engine.")
        tables = Tables(bpe)
        cuts, cut_shift, pairs = _cuts(tables)
        merges, merge_shift = tables.merges

        def put(array: np.ndarray) -> "torch.Tensor":
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        chance = np.random.default_rng(int(bpe.sha256[:16], 16))
        seeds = chance.integers(-(1 << 63), (1 << 63) - 1, (2, 1 + LONG_BYTES // 4), np.int64) | 1
        groups = (tuple(a for a in bpe.added if a.normalized == normalized) for normalized in (False, True))
        return cls(
            pattern=bpe.pattern,
            byte_classes=put(_byte_classes(tables.kinds)),
            kinds=put(tables.kinds | (UNSTABLE * may_change_under_nfc()).astype(np.uint8) if bpe.nfc else tables.kinds),
            pairs=put(pairs),
            cuts=put(cuts.view(np.int64)),
            cut_shift=cut_shift,
            merges=put(merges.view(np.int64)),
            merge_shift=merge_shift,
            byte_ids=put(bpe.byte_ids.astype(np.int32)),
            whole_words=bpe.whole_words,
            seeds=put(seeds),
            added=tuple(AddedGroup.of(group, device) for group in groups if group),
        )


def _byte_classes(kinds: np.ndarray) -> np.ndarray:
    """The class of a byte that stands alone; of longer code points only what is first. (256,) uint8"""
    classes = np.zeros(256, np.uint8)
    classes[:0x80] = kinds[:0x80] | LEAD
    classes[0xC0:FIRST_EDGE] = LEAD
    classes[FIRST_EDGE:] = EDGE | LEAD
    classes[WITHIN_TOKEN] = EDGE
    return classes


def _cuts(tables: Tables) -> tuple[np.ndarray, int, np.ndarray]:
    """Tables.cuts, and what the two bytes at a place already say."""
    words, shift = tables.cuts
    bits = np.unpackbits(words.view(np.uint8), bitorder="little").astype(bool)
    pairs = np.full((256, 256), 2, np.uint8)
    for c in range(0x80):
        pairs[c, :0x80] = [not bits[_bit(c, d, shift)] for d in range(0x80)]
    pairs[tables.straddled] = 0
    pairs[:, 0x80:0xC0] = 0  # inside a code point
    pairs[FIRST_EDGE:] = pairs[:, FIRST_EDGE:] = 0  # marked anyway
    return words, shift, pairs.reshape(-1)


def _bit(c: int, d: int, shift: int) -> int:
    return ((c << 21 | d) * MULTIPLIER & 0xFFFF_FFFF_FFFF_FFFF) >> shift


@dataclass(frozen=True, eq=False)
class AddedGroup:
    """Tokens that are looked for together: of those that begin at one place the longest, of those that overlap the leftmost."""

    first_two: "torch.Tensor"  # (65536,) bool: does some token begin so, `first << 8 | second`
    by_length: "tuple[tuple[int, torch.Tensor, torch.Tensor], ...]"  # from long to short: (tokens, length) uint8, (tokens,) int32
    overlap: bool  # whether one may begin inside another

    @classmethod
    def of(cls, tokens: tuple[Added, ...], device: str) -> "AddedGroup":
        import torch

        first_two = torch.zeros(256, 256, dtype=torch.bool)
        for token in tokens:
            if len(token.content) > 1:
                first_two[token.content[0], token.content[1]] = True
            else:
                first_two[token.content[0]] = True
        by_length = []
        for length in sorted({len(t.content) for t in tokens}, reverse=True):
            those = {t.content: t.id for t in tokens if len(t.content) == length}
            rows = torch.tensor([list(content) for content in those], dtype=torch.uint8, device=device)
            by_length.append((length, rows, torch.tensor(list(those.values()), dtype=torch.int32, device=device)))
        return cls(first_two.reshape(-1).to(device), tuple(by_length), _overlap([t.content for t in tokens]))


def _overlap(tokens: list[bytes]) -> bool:
    beginnings = {t[:n] for t in tokens for n in range(1, len(t) + 1)}
    whole = set(tokens)
    for token in tokens:
        for start in range(1, len(token)):
            rest = token[start:]
            if rest in beginnings or any(rest[:n] in whole for n in range(1, len(rest))):
                return True
    return False
