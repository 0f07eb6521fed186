"""What the engines look things up in, made once from a tokenizer: merges by pair, and pairs of characters that no entry holds.

A cut between two neighbouring characters is exact where no entry holds the two side by side: merges only ever make entries, so
none can join what stands left of the cut to what stands right of it. Pieces, Chinese clauses above all, fall into short words
that way, and words repeat. The pairs are kept in a table of bits by hash: two pairs that share a bit only cost a cut.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from pipeline.kernels.bpe import NO_ID
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
    def merges(self) -> tuple[np.ndarray, int]:
        """An open-addressing table with linear probing: `left << 32 | right` (NO_PAIR where free) and `rank << 32 | made`, side by side
        since they are read together; and the shift that makes a slot of key × MULTIPLIER. At most half full. (slots, 2) uint64
        """
        merges = self.bpe.merges.astype(np.uint64)
        size = 1 << max(4, int(2 * len(merges) - 1).bit_length())
        shift = 64 - (size.bit_length() - 1)
        table = np.zeros((size, 2), np.uint64)
        table[:, 0] = NO_PAIR
        wanted = merges[:, 0] << np.uint64(32) | merges[:, 1]
        taken: set[int] = set()
        for rank, home in enumerate((wanted * np.uint64(MULTIPLIER) >> np.uint64(shift)).tolist()):
            slot = home
            while slot in taken:
                slot = (slot + 1) & (size - 1)
            taken.add(slot)
            table[slot] = wanted[rank], rank << 32 | int(merges[rank, 2])
        return table, shift

    @cached_property
    def byte_pairs(self) -> np.ndarray:
        """What two bytes make, as a value of `merges`; all ones where they do not merge. (256, 256) uint64"""
        table = np.full((256, 256), NO_PAIR, np.uint64)
        byte_of = {number: byte for byte, number in enumerate(self.bpe.byte_ids.tolist())}
        for rank, (left, right, made) in enumerate(self.bpe.merges.tolist()):
            if left in byte_of and right in byte_of:
                table[byte_of[left], byte_of[right]] = rank << 32 | made
        return table

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
    def character_ids(self) -> np.ndarray:
        """The token that each code point is when it stands alone, NO_ID where it is several; (0x110000,) uint32.

        Merging may begin with these instead of bytes where that is exact: no entry holds a part of a character beside anything else,
        and no merge that uses a character comes before those that make it. Empty where one of the two does not hold.
        """
        if self.straddled.any():
            return np.empty(0, np.uint32)
        ranks = {(left, right): (rank, made) for rank, (left, right, made) in enumerate(self.bpe.merges.tolist())}
        alone = np.full(0x110000, NO_ID, np.uint32)
        alone[:128] = self.bpe.byte_ids[:128]
        done: dict[int, int] = {}  # token of one character -> the rank at which it is made
        for entry, number in self.bpe.entries.items():
            if 1 < len(entry) <= 4 and is_whole(entry):
                ids, last = _merged(self.bpe.byte_ids[list(entry)].tolist(), ranks)
                if ids == [number]:
                    alone[ord(entry.decode())] = number
                    done[number] = last
        if any(done.get(part, -1) >= rank for rank, row in enumerate(self.bpe.merges.tolist()) for part in row[:2]):
            return np.empty(0, np.uint32)
        return alone

    @cached_property
    def _neighbours(self) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        """Pairs of whole code points side by side in entries that merges make (or a whole piece may be, where entries come first); and,
        where one of the two is not whole, the bytes that touch.
        """
        whole: set[tuple[int, int]] = set()
        touching: set[tuple[int, int]] = set()
        names = {number: entry for entry, number in self.bpe.entries.items()}
        made = names.values() if self.bpe.whole_words else (names[number] for number in np.unique(self.bpe.merges[:, 2]).tolist())
        for entry in made:
            parts = characters(entry)
            for left, right in pairwise(parts):
                if is_whole(left) and is_whole(right):
                    whole.add((ord(left.decode()), ord(right.decode())))
                else:
                    touching.add((left[-1], right[0]))
        return whole, touching


def _merged(ids: list[int], ranks: dict[tuple[int, int], tuple[int, int]]) -> tuple[list[int], int]:
    """Ids after all merges, lowest rank first, of equals the leftmost; and the last rank, -1 without any."""
    last = -1
    while len(ids) > 1:
        (rank, made), at = min((ranks.get(pair, (len(ranks), -1)), k) for k, pair in enumerate(pairwise(ids)))
        if made < 0:
            break
        ids = [*ids[:at], made, *ids[at + 2 :]]
        last = max(last, rank)
    return ids, last


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
