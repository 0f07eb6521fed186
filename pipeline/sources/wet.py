"""WET files: the text that Common Crawl took out of its pages (conversion records). All else is as in `warc.py`."""

from collections.abc import Iterator
from typing import Any

from fastwarc.warc import WarcRecordType

from pipeline.rewrite import charset
from pipeline.sources import warc
from pipeline.sources.base import Batch, Builder, Source, Unit

VERSION = 1
ENGINES = warc.ENGINES


def read(source: Source, unit: Unit, batch_bytes: int, quarantine: warc.Quarantine) -> Iterator[Batch]:
    """See `pipeline.sources.read`."""
    builder = Builder(source, batch_bytes)
    for file in unit.files:
        for _ in warc.records(file, builder, quarantine, Conversions(builder, file)):
            yield builder.take()
    yield builder.take()


class Conversions(warc.Responses):
    """Takes the texts out of conversion records."""

    def take(self, record: Any, offset: int) -> bool:
        if record.record_type != WarcRecordType.conversion:
            self.builder.skip(warc.type_name(record.record_type))
            return True
        headers = record.headers
        url = warc.target(headers)
        media = (headers.get("Content-Type") or "text/plain").partition(";")[0].strip().lower()
        if media != "text/plain":
            self.builder.skip("conversion, not text")
            return True
        length = record.content_length
        if length > warc.MAX_PAGE_BYTES:
            self.builder.unreadable(self.file, offset, f"unreadable: a text of {length} bytes at byte {offset}", url)
            return True
        data = record.reader.read()
        if not data.strip():
            self.builder.skip("empty")
        else:
            text, _ = charset.to_utf8(data, "utf-8")
            date = headers.get("WARC-Date")
            self.pending = offset, {"id": warc.record_id(headers.get("WARC-Record-ID"), url, date, data), "url": url, "date": date, "text": text}
        return len(data) >= length
