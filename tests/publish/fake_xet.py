"""Xet's files as a client uploads them, read: shards (which file is made of what) and xorbs (the chunks themselves).

The formats are those of hf_xet 1.8 as seen on the wire; what is not needed to put a file together (hashes of chunks, verification) is skipped.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


def xet_hex(raw: bytes) -> str:
    """Xet writes a hash as four little-endian numbers of 64 bits."""
    return "".join(f"{n:016x}" for n in struct.unpack("<4Q", raw))


@dataclass(frozen=True)
class Term:
    """A run of chunks of a xorb."""

    xorb: str
    size: int
    first: int
    end: int


@dataclass(frozen=True)
class XetFile:
    hash: str
    sha256: str
    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        return sum(t.size for t in self.terms)

    def read(self, xorbs: dict[str, bytes]) -> bytes:
        found = []
        for term in self.terms:
            data = b"".join(chunk for _, _, chunk in list(chunks(xorbs[term.xorb]))[term.first : term.end])
            if len(data) != term.size:
                raise ValueError(f"a term of {len(data)} bytes says that it has {term.size}")
            found.append(data)
        return b"".join(found)


def chunks(xorb: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The chunks of a serialised xorb: where each begins and ends in it, and its content."""
    at = 0
    while at < len(xorb) and xorb[at : at + 7] != b"XETBLOB":
        version, scheme = xorb[at], xorb[at + 4]
        packed, size = int.from_bytes(xorb[at + 1 : at + 4], "little"), int.from_bytes(xorb[at + 5 : at + 8], "little")
        body = xorb[at + 8 : at + 8 + packed]
        if version != 0 or len(body) != packed or scheme > 2:
            raise ValueError(f"not a xorb: chunk header {xorb[at : at + 8].hex()} at byte {at}")
        data = body if scheme == 0 else bytes(pa.decompress(body, size, codec="lz4", asbytes=True))
        if scheme == 2:  # bytes were sorted by their place in a word of four
            lanes = np.frombuffer(data, np.uint8)
            whole = np.empty(size, np.uint8)
            start = 0
            for lane in range(4):
                n = len(range(lane, size, 4))
                whole[lane::4] = lanes[start : start + n]
                start += n
            data = whole.tobytes()
        yield at, at + 8 + packed, data
        at += 8 + packed


def files_of_shard(shard: bytes) -> list[XetFile]:
    """The first section of a shard: files, each with its terms and its sha256."""
    if not shard.startswith(b"HFRepoMetaData\0") or len(shard) % 48:
        raise ValueError("not a shard")
    rows = [shard[i : i + 48] for i in range(0, len(shard), 48)][1:]
    found, at = [], 0
    while rows[at][:32] != b"\xff" * 32:
        flags, n = struct.unpack_from("<II", rows[at], 32)
        if flags != 0xC0000000:
            raise ValueError("a file of a shard without verification or without its sha256")
        terms = []
        for row in rows[at + 1 : at + 1 + n]:
            _, size, first, end = struct.unpack_from("<4I", row, 32)
            terms.append(Term(xet_hex(row[:32]), size, first, end))
        extra = rows[at + 1 + 2 * n]
        found.append(XetFile(xet_hex(rows[at][:32]), xet_hex(extra[:32]), tuple(terms)))
        at += 2 + 2 * n
    return found
