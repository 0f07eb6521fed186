"""What the sample is made with: chance, gzip, WARC and tar, written out so that the bytes are the same on every machine.

Not for real input: `warc.py` and `code.py` read that. Nothing here depends on the version of Python or of a library: `random` may
change its methods, zlib and zstd their output with each release (zlib-ng, Intel's and Apple's builds differ today), tarfile its headers.
So chance is splitmix64, gzip members hold *stored* (uncompressed) blocks, which every reader accepts and no encoder can write
otherwise, and tar headers are filled in by hand. Costs: the files are as large as their content.
"""

import base64
import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


class Chance:
    """A stream of chance that is a function of its key alone: splitmix64 (Steele, Lea, Flood 2014), seeded by blake2b of the key.

    >>> Chance("page", 7).below(100) == Chance("page", 7).below(100)
    True
    """

    def __init__(self, *key: object) -> None:
        name = "/".join(str(part) for part in key)
        self._state = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")

    def bits(self) -> int:
        """64 even bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """An integer from 0 to bound - 1. By multiplication, so biased by at most bound / 2**64."""
        return (self.bits() * bound) >> 64

    def between(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + self.below(high - low + 1)

    def happens(self, percent: int) -> bool:
        """True in `percent` of 100 cases."""
        return self.below(100) < percent

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def shuffled(self, items: Iterable[T]) -> list[T]:
        """A new list in another order (Fisher and Yates)."""
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.below(i + 1)
            out[i], out[j] = out[j], out[i]
        return out

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items in any order, or all of them where there are fewer."""
        out = list(items)
        count = min(count, len(out))
        for i in range(count):
            j = i + self.below(len(out) - i)
            out[i], out[j] = out[j], out[i]
        return out[:count]

    def digits(self, count: int) -> str:
        return "".join(str(self.below(10)) for _ in range(count))


def gzip_stored(data: bytes) -> bytes:
    """One gzip member (RFC 1952) of stored deflate blocks (RFC 1951, 3.2.4): no time, no name, no compression."""
    blocks = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"]
    for start in range(0, max(len(data), 1), 0xFFFF):
        block = data[start : start + 0xFFFF]
        last = start + 0xFFFF >= len(data)
        blocks.append(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
    blocks.append(struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))
    return b"".join(blocks)


def chunked(data: bytes, chance: Chance) -> bytes:
    """The HTTP/1.1 chunked transfer coding of a body, in pieces of some kilobytes."""
    pieces = []
    start = 0
    while start < len(data):
        piece = data[start : start + chance.between(1500, 6000)]
        pieces.append(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        start += len(piece)
    return b"".join(pieces) + b"0\r\n\r\n"


def uuid_of(*key: object) -> str:
    """A version 4 UUID that is a function of its key."""
    digest = bytearray(hashlib.blake2b("/".join(str(part) for part in key).encode(), digest_size=16).digest())
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def warc_record(kind: str, record_id: str, date: str, content_type: str, block: bytes, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """One WARC/1.1 record. `record_id` is a bare UUID."""
    fields = [
        ("WARC-Type", kind),
        ("WARC-Record-ID", f"<urn:uuid:{record_id}>"),
        ("WARC-Date", date),
        *headers,
        ("Content-Type", content_type),
        ("WARC-Block-Digest", "sha1:" + base64.b32encode(hashlib.sha1(block).digest()).decode()),
        ("Content-Length", str(len(block))),
    ]
    head = "WARC/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    return head.encode() + block + b"\r\n\r\n"


def http_response(status: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """An HTTP/1.1 response as it came over the wire."""
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    return head.encode("latin-1") + body


def tar(files: Iterable[tuple[str, bytes]], seconds: int, comment: str) -> bytes:
    """A ustar archive of (path, content) in the order given, all of one time, with a comment where `git archive` writes the commit. Paths of at most 100 bytes."""
    text = f" comment={comment}\n"
    length = len(text) + 2  # of two digits, which count themselves
    out = [_tar_member("pax_global_header", f"{length}{text}".encode(), seconds, b"g")]
    out += [_tar_member(path, content, seconds, b"0") for path, content in files]
    return b"".join(out) + bytes(1024)


def tar_size(content: bytes) -> int:
    """Bytes that a member of this content takes up."""
    return 512 + (len(content) + 511) // 512 * 512


def _tar_member(path: str, content: bytes, seconds: int, kind: bytes) -> bytes:
    name = path.encode()
    if len(name) > 100:
        raise ValueError(f"{path}: too long for the name field of a ustar header")
    # name, mode, user, group, size, time
    before = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + f"{len(content):011o}\0{seconds:011o}\0".encode()
    # type, link, magic and version, user and group name, device numbers, prefix
    after = (kind + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2).ljust(356, b"\0")
    checksum = sum(before) + 8 * 0x20 + sum(after)  # the checksum field counts as eight spaces
    return before + f"{checksum:06o}\0 ".encode() + after + content + bytes(-len(content) % 512)
