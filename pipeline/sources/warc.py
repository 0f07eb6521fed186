"""WARC files: the HTML and plain-text responses of a crawl (.warc, .warc.gz, .warc.zst, .warc.lz4). fastwarc reads; what it does not say is found here.

fastwarc ends silently in a truncated gzip member and stops at a damaged one. Here the file's tail is checked, damage becomes an unreadable
record with its place, and reading goes on at the next record that can be found. A record's offset is where its gzip member begins; in files
that are not compressed record by record it is the place in the decompressed stream. ARC files are refused with a remedy.
"""

import contextlib
import re
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, BinaryIO, cast

from fastwarc.stream_io import Lz4Reader
from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipeline.rewrite import charset
from pipeline.sources.base import CRASHED, Batch, Builder, InputFile, Source, Unit, hash_id, open_decompressed, open_raw
from pipeline.store import is_url, local_path

VERSION = 1
ENGINES = {"fastwarc": version("fastwarc"), **charset.ENGINES, "charset": str(charset.VERSION)}

MAX_PAGE_BYTES = 64 << 20  # a longer page is unreadable: Common Crawl cuts at 1 MB, browsers give up long before
_MAX_DAMAGES = 1000  # places in one file at which reading is taken up again
_HEADER_BYTES = 1 << 16
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_GZIP = b"\x1f\x8b\x08"
_ODD = re.compile(r"[^a-z0-9.+/_-]")

Quarantine = frozenset[tuple[str, int]]


class Damage(Exception):
    """Reading stopped at `position`. `reason` is None where the damaged record was accounted for already."""

    def __init__(self, position: int, reason: str | None) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


def read(source: Source, unit: Unit, batch_bytes: int, quarantine: Quarantine) -> Iterator[Batch]:
    """See `pipeline.sources.read`."""
    builder = Builder(source, batch_bytes)
    for file in unit.files:
        for _ in records(file, builder, quarantine, Responses(builder, file)):
            yield builder.take()
    yield builder.take()


def records(file: InputFile, builder: Builder, quarantine: Quarantine, handler: "Responses") -> Iterator[None]:
    """Give every record of a file to `handler`; yields whenever the batch is full. Damage goes to the builder."""
    archive = _open(file)
    if archive is None:
        builder.skip("empty file")
        return
    if archive.reason:
        builder.unreadable(file.path, 0, archive.reason)
        return
    position, damages = 0, 0
    while True:
        try:
            yield from _run(archive, position, file, builder, quarantine, handler)
            return
        except Damage as damage:
            if damage.reason:
                builder.unreadable(file.path, damage.position, damage.reason)
            damages += 1
            if damages >= _MAX_DAMAGES:
                builder.unreadable(file.path, damage.position + 1, f"unreadable: gave up at byte {damage.position + 1} after {damages} damaged places")
                return
            following = archive.find(damage.position + 1)
            if following is None:
                return
            position = following


def _run(archive: "_Archive", start: int, file: InputFile, builder: Builder, quarantine: Quarantine, handler: "Responses") -> Iterator[None]:
    """Records from `start` to the end of the file; raises Damage where that is not reached."""
    stream = archive.stream(start)
    last = -1  # where the last record that was begun stands
    whole = True  # whether its payload came in full
    reading = False
    path = file.path
    try:
        for record in ArchiveIterator(stream, parse_http=False, auto_decode="none", fsspec_args=False):
            if handler.pending is not None:
                handler.flush()
                if builder.full:
                    yield
            position = record.stream_pos  # absolute also after a restart: fastwarc asks the stream where it stands
            last = position if position > last else last + 1  # records that share a gzip member still have addresses of their own
            if quarantine and (path, last) in quarantine:
                builder.unreadable(path, last, CRASHED)
                continue
            reading = True
            whole = handler.take(record, last)
            reading = False
            if not whole:
                break
    except OSError as error:
        damage = _damage(archive, last, reading, handler, error)
        if damage.reason is None or archive.rest(damage.position) is not None:
            raise damage from error
        return  # fastwarc asks for a record after a blank line too many
    finally:
        with contextlib.suppress(AttributeError):
            stream.close()
    if not whole:
        handler.lose(f"unreadable: truncated {archive.part} at byte {last}")
        raise Damage(last, None)
    end, problem = archive.end(last)
    if problem:
        if handler.pending is not None:
            handler.lose(f"unreadable: {problem} {archive.part} at byte {last}")
        raise Damage(last, None)
    handler.flush()
    if builder.full:
        yield
    if (rest := archive.rest(end)) is not None:
        raise Damage(end, f"unreadable: {rest} at byte {end}")


def _damage(archive: "_Archive", last: int, reading: bool, handler: "Responses", error: OSError) -> Damage:
    """What went wrong where: in the record that was being read, in the one that was read last (its checksum), or after it."""
    what = "damaged" if archive.part == "gzip member" else "broken"
    if reading or (last >= 0 and (problem := archive.end(last)[1])):
        if not reading and problem:
            what = problem
        if handler.pending is not None or reading:
            handler.lose(f"unreadable: {what} {archive.part} at byte {last}", last)
        return Damage(last, None)
    handler.flush()
    end = archive.end(last)[0] if last >= 0 else archive.start
    if "decompression" in str(error):
        return Damage(end, f"unreadable: {what} {archive.part} at byte {end}")
    return Damage(end, f"unreadable: no WARC record at byte {end}")


# --- archives: where records begin and end -------------------------------------------------------------------------------


class _Archive:
    """What the three kinds of file have in common."""

    part = "record"
    start = 0
    reason = ""

    def stream(self, position: int) -> Any:
        raise NotImplementedError

    def end(self, position: int) -> tuple[int, str]:
        """Where the record (or gzip member) at `position` ends, and what is wrong with it, if anything: `truncated` or `damaged`."""
        raise NotImplementedError

    def rest(self, position: int) -> str | None:
        """What stands from `position` to the end of the file, if that is no padding."""
        raise NotImplementedError

    def find(self, position: int) -> int | None:
        """Where the next record begins, at or after `position`."""
        raise NotImplementedError


class _Refused(_Archive):
    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Members(_Archive):
    """A gzip member a record, as crawls are written."""

    part = "gzip member"

    def __init__(self, file: InputFile) -> None:
        self.file = file

    def stream(self, position: int) -> Any:
        self.start = position
        if position == 0 and not is_url(self.file.location) and self.file.location.endswith(".gz"):
            return _Path(local_path(self.file.location))  # by another name fastwarc would not look for gzip
        raw = open_raw(self.file)
        raw.seek(position)
        return raw

    def end(self, position: int) -> tuple[int, str]:
        if position < 0:
            return 0, ""
        with open_raw(self.file) as raw:
            raw.seek(position)
            inflate = zlib.decompressobj(31)
            given = 0
            try:
                while not inflate.eof:
                    block = raw.read(1 << 16)
                    if not block:
                        return position, "truncated"
                    given += len(block)
                    out = inflate.decompress(block, 1 << 20)
                    while inflate.unconsumed_tail and not inflate.eof:
                        out = inflate.decompress(inflate.unconsumed_tail, 1 << 20)
                    del out
            except zlib.error:
                return position, "damaged"
            return position + given - len(inflate.unused_data), ""

    def rest(self, position: int) -> str | None:
        with open_raw(self.file) as raw:
            raw.seek(position)
            first = raw.read(3)
            rest = first
            while rest:
                if rest.strip(b"\0\r\n"):
                    return "truncated gzip member" if _GZIP.startswith(first[:3]) else "no gzip member"
                rest = raw.read(1 << 20)
        return None

    def find(self, position: int) -> int | None:
        with open_raw(self.file) as raw:
            for found in _occurrences(raw, _GZIP, position):
                raw.seek(found)
                with contextlib.suppress(zlib.error):
                    if zlib.decompressobj(31).decompress(raw.read(4096), 16).startswith(b"WARC/"):
                        return found
        return None


class _Path(str):
    """A path that fastwarc opens itself, which is faster than a Python file."""


class _Plain(_Archive):
    """WARC that is not compressed, or compressed as a whole (or by frames): addresses are places in the decompressed stream."""

    def __init__(self, file: InputFile, opener: Any) -> None:
        self.file = file
        self.opener = opener  # () -> stream of decompressed bytes
        self.seekable = opener is open_raw
        self.current: _Counted | None = None

    def _at(self, position: int) -> "_Counted":
        raw = self.opener(self.file)
        if self.seekable:
            raw.seek(position)
            return _Counted(raw, position)
        stream = _Counted(raw, 0)
        while stream.total < position and stream.read(min(1 << 20, position - stream.total)):
            pass
        return stream

    def stream(self, position: int) -> Any:
        self.start = position
        self.current = self._at(position)
        return self.current

    def end(self, position: int) -> tuple[int, str]:
        """By the record's own header: fastwarc has checked that the payload is there, when it is asked for."""
        if position < 0:
            return self.start, ""
        current = self.current
        if current is not None and position >= current.total - len(current.tail):
            head = bytes(current.tail[len(current.tail) - (current.total - position) :][:_HEADER_BYTES])
        else:
            with contextlib.closing(self._at(position)) as stream:
                head = stream.read(_HEADER_BYTES)
        header = re.match(rb".*?\r?\n\r?\n", head, re.S)
        length = re.search(rb"^content-length:\s*(\d+)", header.group(), re.I | re.M) if header else None
        if header is None:
            return position, "truncated"
        return position + header.end() + (int(length.group(1)) if length else 0), ""

    def rest(self, position: int) -> str | None:
        with contextlib.closing(self._at(position)) as stream:
            first = stream.read(1 << 16)
            rest = first.strip(b"\0\r\n")
            if stream.error:
                return f"{stream.error} (byte of the decompressed stream)"
            if not rest:
                return None
            return "truncated record" if rest.startswith(b"WARC/") or b"WARC/".startswith(rest[:5]) else "no WARC record"

    def find(self, position: int) -> int | None:
        with contextlib.closing(self._at(position)) as stream:
            for found in _occurrences(stream, b"\nWARC/", 0):
                return position + found + 1
        return None


class _Counted:
    """A stream that counts what it gave and ends, instead of raising, where its bytes are damaged; `error` then says how."""

    _TAIL = 1 << 20

    def __init__(self, raw: BinaryIO, total: int) -> None:
        self.raw = raw
        self.total = total
        self.tail = bytearray()
        self.error = ""

    def read(self, size: int = -1) -> bytes:
        try:
            block = self.raw.read(size if size and size > 0 else 1 << 20)
        except EOFError:
            self.error, block = "truncated compressed stream", b""
        except (OSError, zlib.error):
            self.error, block = "damaged compressed stream", b""
        self.total += len(block)
        self.tail += block
        if len(self.tail) > 2 * self._TAIL:
            del self.tail[: -self._TAIL]
        return block

    def tell(self) -> int:
        return self.total

    def close(self) -> None:
        self.raw.close()


def _open(file: InputFile) -> _Archive | None:
    """The kind of archive by its first bytes, whatever its name; None where it is empty."""
    with open_raw(file) as raw:
        head = raw.read(_HEADER_BYTES)
    if not head:
        return None
    if head.startswith(b"\x1f\x8b"):
        with contextlib.suppress(zlib.error):
            plain = zlib.decompressobj(31).decompress(head, 64)
            if plain.startswith(b"filedesc:"):
                return _arc()
        if _record_a_member(file):
            return _Members(file)
        return _Plain(file, _open_gzip)
    if head.startswith(b"\x28\xb5\x2f\xfd") or 0x184D2A50 <= int.from_bytes(head[:4], "little") <= 0x184D2A5F:
        return _Plain(file, _open_zstd)
    if head.startswith(b"\x04\x22\x4d\x18"):
        return _Plain(file, lambda f: cast(BinaryIO, _Lz4(open_raw(f))))
    if head.startswith(b"filedesc:"):
        return _arc()
    if not re.search(rb"(?:\A|\n)WARC/", head[:_HEADER_BYTES]):
        return _Refused("unreadable: no WARC record at byte 0: the file is neither WARC nor gzip, zstd or lz4 of it")
    return _Plain(file, open_raw)


def _arc() -> _Archive:
    return _Refused("unreadable: an ARC file, which is not read; `warcio recompress in.arc.gz out.warc.gz` makes a WARC file of it")


def _open_gzip(file: InputFile) -> BinaryIO:
    return open_decompressed(InputFile("_.gz", file.location, file.size, ""))


def _open_zstd(file: InputFile) -> BinaryIO:
    return open_decompressed(InputFile("_.zst", file.location, file.size, ""))


class _Lz4:
    """fastwarc's lz4 decoder as a file."""

    def __init__(self, raw: BinaryIO) -> None:
        self.raw = raw
        self.reader = Lz4Reader(raw)

    def read(self, size: int) -> bytes:
        return bytes(self.reader.read(size))

    def close(self) -> None:
        self.raw.close()


def _record_a_member(file: InputFile) -> bool:
    """Whether the first gzip member ends with the first record (false too where that cannot be read)."""
    with open_raw(file) as raw:
        inflate, out, total, expected = zlib.decompressobj(31), b"", 0, -1
        try:
            while not inflate.eof:
                block = inflate.unconsumed_tail or raw.read(1 << 16)
                if not block:
                    break
                piece = inflate.decompress(block, 1 << 20)
                total += len(piece)
                if expected < 0:
                    out += piece
                    header = re.match(rb".*?\r?\n\r?\n", out[:_HEADER_BYTES], re.S)
                    length = re.search(rb"^content-length:\s*(\d+)", header.group(), re.I | re.M) if header else None
                    if header and length:
                        expected = header.end() + int(length.group(1)) + 16
                    elif len(out) > _HEADER_BYTES:
                        return False
                if 0 <= expected < total:
                    return False
        except zlib.error:
            return True  # damage in the first member: the others are found again by their own beginnings
    return True


def _occurrences(stream: Any, what: bytes, start: int) -> Iterator[int]:
    """Where `what` stands in a stream, from `start` on. The consumer may seek in between."""
    kept = b""
    position = start
    seekable = not isinstance(stream, _Counted)
    while True:
        if seekable:
            stream.seek(position + len(kept))
        block = stream.read(1 << 20)
        if not block:
            return
        data = kept + block
        found = data.find(what)
        while found >= 0:
            yield position + found
            found = data.find(what, found + 1)
        kept = data[-(len(what) - 1) :]
        position += len(data) - len(kept)


# --- records: which are documents ----------------------------------------------------------------------------------------


class Responses:
    """Takes the documents out of response records. The last one waits in `pending` until its gzip member has proved sound."""

    def __init__(self, builder: Builder, file: InputFile) -> None:
        self.builder = builder
        self.file = file.path
        self.pending: tuple[int, dict[str, Any]] | None = None

    def flush(self) -> None:
        """The pending document is sound."""
        if self.pending is not None:
            offset, row = self.pending
            self.pending = None
            self.builder.add(file=self.file, offset=offset, **row)

    def lose(self, reason: str, offset: int = -1) -> None:
        """The pending document, or the record at `offset` that was being read, is lost."""
        url = None
        if self.pending is not None:
            offset, row = self.pending
            url = row.get("url")
            self.pending = None
        if offset >= 0:
            self.builder.unreadable(self.file, offset, reason, url)

    def take(self, record: Any, offset: int) -> bool:
        """Look at one record; False where its payload ends before its time (the caller says how that came)."""
        kind = record.record_type
        if kind == WarcRecordType.response:
            return self.response(record, offset)
        if kind == WarcRecordType.resource:
            return self.resource(record, offset)
        self.builder.skip(type_name(kind))
        return True

    def response(self, record: Any, offset: int) -> bool:
        headers = record.headers
        url = target(headers)
        try:
            record.parse_http()
            http = record.http_headers
        except OSError:
            self.builder.unreadable(self.file, offset, f"unreadable: no HTTP header in the response at byte {offset}", url)
            return True
        if http is None:
            self.builder.skip("not HTTP")
            return True
        status = http.status_code
        if status != 200:
            self.builder.skip(f"status {status if status is not None and 100 <= status <= 999 else 'none'}")
            return True
        media = record.http_content_type
        if media is not None and media not in _HTML_TYPES and media != "text/plain":
            media = media.lower().strip()
            if media not in _HTML_TYPES and media != "text/plain":
                self.builder.skip(f"not HTML: {_ODD.sub('', media)[:60] or 'unnamed'}")
                return True
        length = record.content_length
        if length > MAX_PAGE_BYTES:
            self.builder.unreadable(self.file, offset, f"unreadable: a page of {length} bytes at byte {offset}", url)
            return True
        data = record.reader.read()
        whole = len(data) >= length
        transfer, content = http.get("Transfer-Encoding"), http.get("Content-Encoding")
        if transfer or content:
            decoded = http_body(data, transfer or "", content or "")
            if isinstance(decoded, str):
                if whole:
                    self.builder.unreadable(self.file, offset, f"unreadable: {decoded} in the response at byte {offset}", url)
                else:
                    self.pending = offset, {"url": url}
                return whole
            data = decoded
        self.page(headers, offset, url, media, record.http_charset, data)
        return whole

    def resource(self, record: Any, offset: int) -> bool:
        """A page stored without its HTTP header."""
        headers = record.headers
        media, _, rest = (headers.get("Content-Type") or "").partition(";")
        media = media.strip().lower()
        if media not in _HTML_TYPES and media != "text/plain":
            self.builder.skip("resource")
            return True
        length = record.content_length
        if length > MAX_PAGE_BYTES:
            self.builder.unreadable(self.file, offset, f"unreadable: a page of {length} bytes at byte {offset}", target(headers))
            return True
        data = record.reader.read()
        label = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", rest, re.I)
        self.page(headers, offset, target(headers), media, label.group(1) if label else None, data)
        return len(data) >= length

    def page(self, headers: Any, offset: int, url: str | None, media: str | None, label: str | None, data: bytes) -> None:
        if not data:
            self.builder.skip("empty")
            return
        if media is None:
            if not _looks_like_html(data):
                self.builder.skip("not HTML: no content type")
                return
        elif media == "text/html" and data.startswith(b"%PDF-"):
            self.builder.skip("not HTML: application/pdf")
            return
        text, _ = charset.to_utf8(data, label)
        date = headers.get("WARC-Date")
        self.pending = (
            offset,
            {
                "id": record_id(headers.get("WARC-Record-ID"), url, date, data),
                "url": url,
                "date": date,
                "text" if media == "text/plain" else "html": text,
            },
        )


def target(headers: Any) -> str | None:
    """The page's address; wget writes it in angle brackets."""
    url = headers.get("WARC-Target-URI")
    return url.strip().strip("<>") or None if url else None


def record_id(urn: str | None, url: str | None, date: str | None, payload: bytes) -> str:
    """The uuid of the WARC-Record-ID, else its hash; without one the hash of URL, date and payload."""
    if urn:
        digits = urn[10:46].replace("-", "").lower()
        if len(digits) == 32 and urn.startswith("<urn:uuid:"):
            with contextlib.suppress(ValueError):
                int(digits, 16)
                return digits
        return hash_id(urn)
    return hash_id(url or "", date or "", payload)


def http_body(data: bytes, transfer: str, content: str) -> bytes | str:
    """The payload without its HTTP encodings: as much as can be decoded, or what is wrong where nothing can."""
    if "chunked" in transfer.lower():
        data = _dechunk(data)
    for coding in reversed([c.strip().lower() for c in content.split(",")]):
        if coding in ("gzip", "x-gzip", "deflate"):
            data_or = _inflate(data, coding)
        elif coding == "br":
            data_or = _unbrotli(data)
        elif coding == "zstd" and data.startswith(b"\x28\xb5\x2f\xfd"):
            data_or = _unzstd(data)
        else:
            continue
        if isinstance(data_or, str):
            return data_or
        data = data_or
    return data


def _dechunk(data: bytes) -> bytes:
    """The chunks that are there. Data that is not chunked after all, as crawlers often store it, is given back as it is."""
    parts: list[bytes] = []
    position = 0
    while position < len(data):
        line_end = data.find(b"\n", position, position + 1024)
        size_text = data[position : line_end if line_end >= 0 else position].split(b";")[0].strip()
        try:
            size = int(size_text, 16) if not size_text.startswith((b"-", b"+", b"0x")) else -1
        except ValueError:
            size = -1
        if size < 0:
            if not parts:
                return data
            break  # what follows the broken chunk has no bounds; what came before is whole
        if size == 0:
            break
        parts.append(data[line_end + 1 : line_end + 1 + size])
        position = line_end + 1 + size
        if data[position : position + 2] == b"\r\n":
            position += 2
        elif data[position : position + 1] == b"\n":
            position += 1
    return b"".join(parts)


def _inflate(data: bytes, coding: str) -> bytes | str:
    if coding != "deflate" and not data.startswith(b"\x1f\x8b"):
        return data  # decoded already, the header kept: common in archives
    for bits in (31,) if coding != "deflate" else (15, -15):
        stream = zlib.decompressobj(bits)
        out = bytearray()
        for start in range(0, len(data), 4096):  # by pieces, so that all up to the broken byte is kept
            piece = data[start : start + 4096]
            try:
                while piece:
                    out += stream.decompress(piece, 1 << 20)
                    piece = stream.unconsumed_tail
                    if len(out) > MAX_PAGE_BYTES:
                        return f"over {MAX_PAGE_BYTES} bytes of decompressed page"
            except zlib.error:
                for i in range(len(piece)):  # and the broken piece byte by byte
                    with contextlib.suppress(zlib.error):
                        out += stream.decompress(piece[i : i + 1], 1 << 20)
                        continue
                    break
                break
            if stream.eof:
                break
        if out:
            return bytes(out)
    return "broken content encoding" if coding != "deflate" or not _looks_like_html(data) else data


def _unbrotli(data: bytes) -> bytes | str:
    if _looks_like_html(data):
        return data
    from fastwarc.stream_io import BrotliReader

    return _drain(BrotliReader, data)


def _unzstd(data: bytes) -> bytes | str:
    from fastwarc.stream_io import ZstdReader

    return _drain(ZstdReader, data)


def _drain(reader: Any, data: bytes) -> bytes | str:
    import io

    out = bytearray()
    with contextlib.suppress(OSError):
        stream = reader(io.BytesIO(data))
        while block := stream.read(1 << 16):
            out += block
            if len(out) > MAX_PAGE_BYTES:
                return f"over {MAX_PAGE_BYTES} bytes of decompressed page"
    return bytes(out) or "broken content encoding"


def _looks_like_html(data: bytes) -> bool:
    """For responses without a content type: a tag that only HTML has, near the beginning."""
    return re.search(rb"<(?:!doctype\s+html|html|head|body|title|meta|div|p|h1|table)\b", data[:2048], re.I) is not None


def type_name(kind: Any) -> str:
    return str(kind).rsplit(".", 1)[-1].lower()
