"""Tombstones: what was taken down, as text files that a person can read and edit, and whether a document is among it.

    # a remark; also after white space behind a line's content
    id: 00112233445566778899aabbccddeeff      a document, by its id
    url: https://example.org/page             whatever stands at this URL, in the form that `deduplicate: {by: url}` compares
    host: example.org                         whatever stands on this host and its subdomains
    signature: v1.1 >=0.8 QUJD…               texts like one whose MinHash signature this is; the text itself stands nowhere

A signature says how alike two texts are, and does not give the text back. It is only comparable with those of its own version.
`python -m pipeline takedown` writes such files; a recipe names them under `release: {tombstones: …}`.
"""

import base64
import binascii
import os
import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup.exact import canonical_url
from pipeline.errors import PlanError
from pipeline.store import fingerprint, local_path

if TYPE_CHECKING:
    from pipeline.dedup.lookup import Lookup

SIGNATURE_BYTES = 448  # 112 values of 4 bytes, the least significant first
REMARK = re.compile(r"(?:\A|\s)#")

_ID = re.compile(r"[0-9a-f]{32}")
_HOST = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)+(?:[a-z]{2,}|xn--[a-z0-9-]+)")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")  # hosts without a name have subdomains neither
_SIGNATURE = re.compile(r"v(\S+)\s+>=(\d(?:\.\d+)?)\s+([A-Za-z0-9+/]+=*)")
_AUTHORITY = r"^[\x00-\x20]*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#]*@)?(?P<host>[^/?#:@]*)"
_ODD = r"[\x00-\x1F\[]"  # what `urlsplit` takes out of a URL, and addresses in brackets: not for a regular expression to understand


@dataclass(frozen=True)
class Tombstones:
    """What the lines of some tombstone files say together."""

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()  # canonical
    hosts: frozenset[str] = frozenset()  # in ASCII, lower case
    similar: tuple[tuple[float, bytes], ...] = ()  # the least similarity that counts, and the signature; sorted

    @classmethod
    def of(cls, parsed: Iterable[tuple[str, Any]]) -> "Tombstones":
        """Lines taken apart, together."""
        found: dict[str, set[Any]] = {kind: set() for kind in _PARSE}
        for kind, value in parsed:
            found[kind].add(value)
        return cls(frozenset(found["id"]), frozenset(found["url"]), frozenset(found["host"]), tuple(sorted(found["signature"])))

    def lines(self) -> list[str]:
        """The lines that say this, each in its one spelling, in order."""
        return [
            *(f"host: {host}" for host in sorted(self.hosts)),
            *(f"url: {url}" for url in sorted(self.urls)),
            *(f"id: {i}" for i in sorted(self.ids)),
            *(f"signature: v{signature_version()} >={least:g} {base64.b64encode(signature).decode()}" for least, signature in self.similar),
        ]

    @cached_property
    def print(self) -> str:
        """What it says, whatever the files are called and whatever is remarked in them."""
        return fingerprint(self.lines())

    @cached_property
    def lookup(self) -> "Lookup":
        """The signatures, ready to be asked."""
        from pipeline.dedup.lookup import Lookup

        wanted = np.frombuffer(b"".join(signature for _, signature in self.similar), "<u4").reshape(-1, SIGNATURE_BYTES // 4)
        return Lookup(wanted, np.array([least for least, _ in self.similar]))

    def naming(self, ids: pa.Array | pa.ChunkedArray, urls: pa.Array | pa.ChunkedArray) -> list[str | None]:
        """The line that names each document, by id, URL or host in this order, or None."""
        out: list[str | None] = [None] * len(ids)
        asked = pc.fill_null(pc.is_in(ids, value_set=pa.array(sorted(self.ids), pa.string())), False).to_numpy(zero_copy_only=False)
        if self.urls or self.hosts:
            asked = asked | self._near(urls)
        rows = np.flatnonzero(asked)
        for row, i, url in zip(rows.tolist(), ids.take(pa.array(rows)).to_pylist(), urls.take(pa.array(rows)).to_pylist(), strict=True):
            out[row] = f"id: {i}" if i in self.ids else self._address(url) if url else None
        return out

    def _address(self, url: str) -> str | None:
        canonical = canonical_url(url)
        if canonical in self.urls:
            return f"url: {canonical}"
        host = _within(host_of(canonical), self.hosts)
        return f"host: {host}" if host else None

    def _near(self, urls: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """URLs that may be meant, by their hosts: taking each apart as `_address` does costs several times as much. (urls,) bool"""
        hosts = pc.struct_field(pc.extract_regex(urls, _AUTHORITY), "host")
        asked = self.hosts | {host_of(url) for url in self.urls}
        meant = [host for host in pc.unique(hosts).to_pylist() if host is not None and _within(_ascii(host.rstrip(".")), asked)]
        near = pc.or_(pc.is_in(hosts, value_set=pa.array(meant, pa.string())), pc.fill_null(pc.match_substring_regex(urls, _ODD), False))
        if "" in asked:  # URLs without a host: of files in repositories
            near = pc.or_(near, pc.and_(pc.is_null(hosts), pc.is_valid(urls)))
        return near.to_numpy(zero_copy_only=False)


def _within(host: str, hosts: Set[str]) -> str:
    """The host among some that is this one or that it is a subdomain of; empty where there is none."""
    while host and host not in hosts:
        host = host.partition(".")[2]
    return host


def host_of(url: str) -> str:
    """A URL's host in ASCII and lower case, as names beyond ASCII are looked up; empty where there is none."""
    try:
        return _ascii((urlsplit(url.strip()).hostname or "").rstrip("."))
    except ValueError:
        return ""


def _ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return host.encode("idna").decode().lower()
    except UnicodeError:
        return host.lower()


def parse_line(line: str) -> tuple[str, Any] | None:
    """A line's kind and what it names; None for one that says nothing. ValueError, with a remedy, for what is no tombstone."""
    content = REMARK.split(line, maxsplit=1)[0].strip()
    kind, _, value = (part.strip() for part in content.partition(":"))
    if content and kind not in _PARSE:
        raise ValueError(f"'{content[:80]}' is no tombstone: a line is `id: …`, `url: …`, `host: …` or `signature: …`, and a remark begins with #")
    return (kind, _PARSE[kind](value)) if content else None


def parse_id(value: str) -> str:
    """An id as documents have it. ValueError for what is none; so too the following."""
    if not _ID.fullmatch(value.lower()):
        raise ValueError(f"'{value[:80]}' is no id: an id is 32 hex digits")
    return value.lower()


def parse_url(value: str) -> str:
    """A URL in its canonical form."""
    if not value or not value.isprintable() or REMARK.search(value):
        raise ValueError(f"'{value[:80]}' cannot stand in a line: a URL has no line ends, and ' #' begins a remark. Take the document down by its id")
    return canonical_url(value)


def parse_host(value: str) -> str:
    """A host's name in ASCII and lower case."""
    host = _ascii(value.rstrip("."))
    if not _HOST.fullmatch(host) and not _ADDRESS.fullmatch(host):
        raise ValueError(f"'{value[:80]}' is no host: write its name alone, such as example.org, without https:// and without a path")
    return host


def _parse_signature(value: str) -> tuple[float, bytes]:
    match = _SIGNATURE.fullmatch(value)
    try:
        signature = base64.b64decode(match[3], validate=True) if match else b""
    except binascii.Error:
        signature = b""
    if not match or len(signature) != SIGNATURE_BYTES or not 0 < float(match[2]) <= 1:
        raise ValueError(f"'signature: {value[:30]}…' is damaged: it reads v{signature_version()} >=0.8 and 448 bytes in base64. Run the takedown again")
    if match[1] != signature_version():
        raise ValueError(
            f"its signature is of version {match[1]}, and this program compares those of version {signature_version()}: remove the line and run the takedown again"
        )
    return float(match[2]), signature


_PARSE: dict[str, Any] = {"id": parse_id, "url": parse_url, "host": parse_host, "signature": _parse_signature}
KINDS = frozenset(_PARSE)


def signature_version() -> str:
    """Which signatures can be compared: the versions of shingles and folding."""
    from pipeline.kernels import fold, shingles

    return f"{shingles.VERSION}.{fold.VERSION}"


def read_tombstones(files: Sequence[str]) -> Tombstones:
    """What some files say together; kept until one of them changes. PlanError, with file, line and remedy, for what cannot be read."""
    stamps = []
    for name in files:
        try:
            status = os.stat(local_path(name))
        except OSError as error:
            raise PlanError(f"The tombstone file {name} cannot be read: {error.strerror}. `python -m pipeline takedown` writes one.") from error
        stamps.append((name, status.st_size, status.st_mtime_ns))
    return _read(tuple(stamps))


@lru_cache(maxsize=8)
def _read(stamps: tuple[tuple[str, int, int], ...]) -> Tombstones:
    parsed: list[tuple[str, Any] | None] = []
    for name, _, _ in stamps:
        try:
            with open(local_path(name), encoding="utf-8-sig") as opened:
                lines = opened.read().split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"The tombstone file {name} cannot be read: {error}. It is text in UTF-8, a tombstone a line.") from error
        for number, line in enumerate(lines, 1):
            try:
                parsed.append(parse_line(line))
            except ValueError as error:
                raise PlanError(f"{name}:{number}: {error}.") from None
    return Tombstones.of(one for one in parsed if one is not None)
