"""What the engines look things up in, made once from a tokenizer: merges by pair, and pairs of characters that no entry holds.

A cut between two neighbouring characters is exact where no entry holds the two side by side: merges only ever make entries, so
none can join what stands left of the cut to what stands right of it. Pieces, Chinese clauses above all, fall into short words
that way, and words repeat. The pairs are kept in a table of bits by hash: two pairs that share a bit only cost a cut.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.tokenize.bpe import Bpe
from pipeline.tokenize.patterns import kinds

MULTIPLIER = 0x9E3779B97F4A7C15  # Fibonacci hashing: the high bits of key × this, modulo 2**64
NO_PAIR = 0xFFFF_FFFF_FFFF_FFFF
_BITS_A_PAIR = 12  # of the table of cuts, at least: then at most one cut in twelve is passed over


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of one tokenizer."""

    bpe: Bpe

    @cached_property
    def kinds(self) -> np.ndarray:
        """The kind of each code point. (0x110000,) uint8"""
        return kinds()

    @cached_property
    def merges(self) -> tuple[np.ndarray, np.ndarray, int]:
        """An open-addressing table with linear probing: keys `left << 32 | right` (NO_PAIR where free), values `rank << 32 | made`,
        and the shift that makes a slot of key × MULTIPLIER. At most half full. (slots,) uint64, (slots,) uint64
        """
        merges = self.bpe.merges.astype(np.uint64)
        size = 1 << max(4, int(2 * len(merges) - 1).bit_length())
        shift = 64 - (size.bit_length() - 1)
        keys, values = np.full(size, NO_PAIR, np.uint64), np.zeros(size, np.uint64)
        wanted = merges[:, 0] << np.uint64(32) | merges[:, 1]
        slots = (wanted * np.uint64(MULTIPLIER) >> np.uint64(shift)).tolist()
        for rank, (key, slot) in enumerate(zip(wanted.tolist(), slots, strict=True)):
            while int(keys[slot]) != NO_PAIR:
                slot = (slot + 1) & (size - 1)
            keys[slot] = key
            values[slot] = rank << 32 | int(merges[rank, 2])
        return keys, values, shift

    @cached_property
    def cuts(self) -> tuple[np.ndarray, int]:
        """Bits that are set for pairs of code points `c << 21 | d` that some entry holds side by side, and the shift that makes the
        number of a bit of pair × MULTIPLIER. Bit k is bit k % 64 of word k // 64. (words,) uint64
        """
        pairs = np.unique(np.array([c << 21 | d for c, d in self._neighbours[0]], np.uint64))
        size = 1 << max(16, int(_BITS_A_PAIR * len(pairs)).bit_length())
        shift = 64 - (size.bit_length() - 1)
        at = pairs * np.uint64(MULTIPLIER) >> np.uint64(shift)
        bits = np.zeros(size, bool)
        bits[at.astype(np.int64)] = True
        return np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64), shift

    @cached_property
    def straddled(self) -> np.ndarray:
        """Last byte of a character and first byte of the next: True where some entry holds the two, and lacks a part of either
        character. There is never a cut at such a place. All False for a vocabulary of whole code points. (256, 256) bool
        """
        table = np.zeros((256, 256), bool)
        for last, first in self._neighbours[1]:
            table[last, first] = True
        return table

    @cached_property
    def _neighbours(self) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        """Pairs of whole code points side by side in entries that merges make; and, where one is not whole, the bytes that touch."""
        whole: set[tuple[int, int]] = set()
        touching: set[tuple[int, int]] = set()
        names = {number: entry for entry, number in self.bpe.entries.items()}
        for number in np.unique(self.bpe.merges[:, 2]).tolist():
            parts = characters(names[number])
            for left, right in zip(parts, parts[1:], strict=False):
                if is_whole(left) and is_whole(right):
                    whole.add((ord(left.decode()), ord(right.decode())))
                else:
                    touching.add((left[-1], right[0]))
        return whole, touching


def characters(entry: bytes) -> list[bytes]:
    """An entry cut where code points begin: before every byte that is not a continuation byte."""
    starts = [i for i, byte in enumerate(entry) if i == 0 or byte & 0xC0 != 0x80]
    return [entry[a:b] for a, b in zip(starts, [*starts[1:], len(entry)], strict=True)]


def is_whole(part: bytes) -> bool:
    """Whether bytes are one whole code point."""
    try:
        return len(part.decode()) == 1
    except UnicodeDecodeError:
        return False
