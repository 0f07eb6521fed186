"""The WARC reader: what becomes a document, what is skipped, and what every kind of damage costs."""

import gzip
import io
import json
import os
import zlib
from pathlib import Path

import pytest
import zstandard
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.sources import Source, list_units, read

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "warc"
HTML = b"<html><head><title>t</title></head><body><p>Hello world</p></body></html>"


def response(url="http://a.example/", body=HTML, content_type="text/html; charset=utf-8", status="200 OK", headers=(), **warc):
    """Bytes of one response record, not compressed."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=False)
    fields = ([("Content-Type", content_type)] if content_type else []) + list(headers)
    http = StatusAndHeaders(status, fields, protocol="HTTP/1.1")
    record = writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=http, warc_headers_dict=warc)
    writer.write_record(record)
    return out.getvalue()


def other(kind, body=b"x", url="http://a.example/"):
    """Bytes of a record of another type, as short as the format allows."""
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n\r\n"


def page(i, size=2000):
    """A page that does not compress away, so that cuts fall inside of it."""
    return b"<html><body><p>" + os.urandom(size).hex().encode() + str(i).encode() + b"</p></body></html>"


def load(path, reader="warc", batch_bytes=8 << 20, quarantine=frozenset()):
    source = Source("web", reader, (str(path),))
    rows, unreadable, skipped = [], [], {}
    for unit in list_units(source):
        for batch in read(source, unit, batch_bytes=batch_bytes, quarantine=quarantine):
            rows += batch.records.to_pylist()
            unreadable += batch.unreadable
            for kind, count in batch.skipped.items():
                skipped[kind] = skipped.get(kind, 0) + count
    return rows, unreadable, skipped


def write(tmp_path, data, name="a.warc.gz"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def members(*records):
    return [gzip.compress(record, mtime=0) for record in records]


def test_a_page_becomes_a_document_and_all_else_is_counted_by_type(tmp_path):
    records = [
        other("warcinfo"),
        response("http://a.example/1", **{"WARC-Record-ID": "<urn:uuid:0F728363-2d5f-4f5f-b832-9552de1a6037>", "WARC-Date": "2026-01-02T03:04:05Z"}),
        other("request"),
        response("http://a.example/2", status="404 Not Found"),
        response("http://a.example/3", content_type="application/pdf"),
        response("http://a.example/4", body=b""),
        response("<http://a.example/5>", content_type="text/plain", body="schön".encode()),
        response("http://a.example/6", content_type=None, body=b"\x00\x01binary"),
        response("http://a.example/7", content_type=None),
        other("metadata"),
        other("revisit"),
    ]
    rows, unreadable, skipped = load(write(tmp_path, b"".join(members(*records))))
    assert [row["url"] for row in rows] == ["http://a.example/1", "http://a.example/5", "http://a.example/7"]
    first = rows[0]
    assert (first["id"], first["date"], first["file"], first["source"]) == ("0f7283632d5f4f5fb8329552de1a6037", "2026-01-02T03:04:05Z", "a.warc.gz", "web")
    assert first["html"] == HTML.decode() and first["text"] is None
    assert rows[1]["text"] == "schön" and rows[1]["html"] is None
    assert skipped == {
        "warcinfo": 1, "request": 1, "metadata": 1, "revisit": 1, "status 404": 1, "not HTML: application/pdf": 1, "empty": 1, "not HTML: no content type": 1,
    }  # fmt: skip
    assert not unreadable


def test_the_offset_is_where_the_gzip_member_begins(tmp_path):
    parts = members(other("warcinfo"), response("http://a.example/1", body=page(1)), response("http://a.example/2", body=page(2)))
    path = write(tmp_path, b"".join(parts))
    rows, _, _ = load(path)
    assert [row["offset"] for row in rows] == [len(parts[0]), len(parts[0]) + len(parts[1])]
    assert path.read_bytes()[rows[1]["offset"] :][:2] == b"\x1f\x8b"


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "whole.warc.gz", "a.warc.zst", "gzip-by-another-name.warc"])
def test_all_compressions_give_the_same_documents(tmp_path, name):
    records = [other("warcinfo"), *(response(f"http://a.example/{i}", body=page(i)) for i in range(20))]
    plain = b"".join(records)
    data = {
        "a.warc": plain, "a.warc.gz": b"".join(members(*records)), "whole.warc.gz": gzip.compress(plain),
        "a.warc.zst": b"".join(zstandard.ZstdCompressor().compress(r) for r in records), "gzip-by-another-name.warc": b"".join(members(*records)),
    }[name]  # fmt: skip
    rows, unreadable, skipped = load(write(tmp_path, data, name))
    expected, _, _ = load(write(tmp_path, plain, "reference.warc"))
    same = ("id", "url", "html", "date")
    assert [[row[c] for c in same] for row in rows] == [[row[c] for c in same] for row in expected]
    assert (unreadable, skipped) == ([], {"warcinfo": 1})
    assert len({row["offset"] for row in rows}) == 20
    small, _, _ = load(tmp_path / name, batch_bytes=1)
    assert small == rows


def test_without_a_record_id_the_id_is_of_url_date_and_payload(tmp_path):
    def stripped(url, body):
        record = response(url, body=body, **{"WARC-Date": "2026-01-02T03:04:05Z"})
        return b"".join(line for line in record.splitlines(keepends=True) if not line.startswith(b"WARC-Record-ID"))

    data = stripped("http://a.example/", HTML) + stripped("http://a.example/", HTML) + stripped("http://b.example/", HTML)
    rows, unreadable, _ = load(write(tmp_path, data, "a.warc"))
    ids = [row["id"] for row in rows]
    assert not unreadable and len(ids) == 3
    assert ids[0] == ids[1] != ids[2] and all(len(i) == 32 for i in ids)


def test_http_encodings_are_undone_and_broken_ones_lose_only_what_is_broken(tmp_path):
    body = b"<html><body>" + b"A long page. " * 3000 + b"</body></html>"
    packed = gzip.compress(body)
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (body[:1000], body[1000:])) + b"0\r\n\r\n"
    raw = zlib.compressobj(wbits=-15)
    deflated = raw.compress(body) + raw.flush()
    cases = [
        ([("Content-Encoding", "gzip")], packed, body),
        ([("Content-Encoding", "gzip")], body, body),  # decoded by the crawler, header kept
        ([("Content-Encoding", "deflate")], zlib.compress(body), body),
        ([("Content-Encoding", "deflate")], deflated, body),
        ([("Content-Encoding", "zstd")], zstandard.compress(body), body),
        ([("Transfer-Encoding", "chunked")], chunked, body),
        ([("Transfer-Encoding", "chunked")], body, body),
        ([("Transfer-Encoding", "chunked")], chunked.replace(b"\r\n%x\r\n" % (len(body) - 1000), b"\r\nzzz\r\n"), body[:1000]),
        ([("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip")], b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed), body),
    ]
    data = b"".join(members(*(response(f"http://a.example/{i}", body=given, headers=h) for i, (h, given, _) in enumerate(cases))))
    rows, unreadable, _ = load(write(tmp_path, data))
    assert not unreadable
    assert [row["html"] for row in rows] == [wanted.decode() for _, _, wanted in cases]

    cut = response("http://a.example/", body=packed[: len(packed) // 2], headers=[("Content-Encoding", "gzip")])
    rows, unreadable, _ = load(write(tmp_path, gzip.compress(cut)))
    assert not unreadable and body.startswith(rows[0]["html"].encode()) and len(rows[0]["html"]) > 1000
    nothing = response("http://a.example/", body=b"\x1f\x8b\x08garbage", headers=[("Content-Encoding", "gzip")])
    rows, unreadable, _ = load(write(tmp_path, gzip.compress(nothing)))
    assert not rows and unreadable == [("a.warc.gz", 0, "unreadable: broken content encoding in the response at byte 0", "http://a.example/")]


def test_a_decompression_bomb_is_unreadable(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.sources.warc.MAX_PAGE_BYTES", 1 << 20)
    bomb = response("http://a.example/", body=gzip.compress(b"<html>" + b" " * (8 << 20)), headers=[("Content-Encoding", "gzip")])
    rows, unreadable, _ = load(write(tmp_path, gzip.compress(bomb)))
    assert not rows and "decompressed page" in unreadable[0][2]


@pytest.mark.parametrize("where", ["inside", "header", "trailer", "just behind"])
def test_a_truncated_member_is_found(tmp_path, where):
    parts = members(*(response(f"http://a.example/{i}", body=page(i)) for i in range(4)))
    start = sum(map(len, parts[:3]))
    size = start + {"inside": len(parts[3]) // 2, "header": 5, "trailer": len(parts[3]) - 4, "just behind": 0}[where]
    rows, unreadable, _ = load(write(tmp_path, b"".join(parts)[:size]))
    assert len(rows) == 3
    assert [u[1:3] for u in unreadable] == ([] if where == "just behind" else [(start, f"unreadable: truncated gzip member at byte {start}")])


@pytest.mark.parametrize("cut", [0.47, 0.13])
def test_truncation_is_found_in_files_that_are_compressed_as_a_whole(tmp_path, cut):
    plain = b"".join(response(f"http://a.example/{i}", body=page(i)) for i in range(10))
    for name, data in (("a.warc.gz", gzip.compress(plain)), ("a.warc.zst", zstandard.compress(plain)), ("a.warc", plain)):
        rows, unreadable, _ = load(write(tmp_path, data[: int(len(data) * cut)], name))
        assert len(rows) < 10 and len(unreadable) >= 1, name
        assert all("truncated" in u[2] for u in unreadable), (name, unreadable)


def test_damage_in_the_middle_costs_the_damaged_record_only(tmp_path):
    parts = members(*(response(f"http://a.example/{i}", body=page(i)) for i in range(5)))
    data = bytearray(b"".join(parts))
    start = len(parts[0]) + len(parts[1])
    data[start + 500 : start + 520] = bytes(20)
    rows, unreadable, _ = load(write(tmp_path, bytes(data)))
    assert [row["url"][-1] for row in rows] == ["0", "1", "3", "4"]
    assert [u[1:3] for u in unreadable] == [(start, f"unreadable: damaged gzip member at byte {start}")]


def test_a_wrong_checksum_makes_the_record_unreadable(tmp_path):
    parts = members(*(response(f"http://a.example/{i}", body=page(i)) for i in range(3)))
    broken = parts[1][:-8] + b"\0\0\0\0" + parts[1][-4:]
    rows, unreadable, _ = load(write(tmp_path, parts[0] + broken + parts[2]))
    assert [row["url"][-1] for row in rows] == ["0", "2"]
    assert [u[1] for u in unreadable] == [len(parts[0])]


def test_garbage_between_records(tmp_path):
    a, b = (response(f"http://a.example/{i}", body=page(i)) for i in range(2))
    rows, unreadable, _ = load(write(tmp_path, a + b"Donkey Kong country\r\n" + b, "a.warc"))
    assert len(rows) == 2 and len(unreadable) == 1
    x, y = members(a, b)
    rows, unreadable, _ = load(write(tmp_path, x + b"garbage" * 100 + y))
    assert len(rows) == 2 and len(unreadable) == 1
    rows, unreadable, _ = load(write(tmp_path, x + y + bytes(512)))  # padding is none
    assert len(rows) == 2 and not unreadable


def test_a_file_of_random_bytes_is_one_unreadable_record(tmp_path):
    for name, data in (("a.warc.gz", os.urandom(100_000)), ("b.warc.gz", b"\x1f\x8b\x08\x00" + os.urandom(100_000)), ("c.warc", os.urandom(1000))):
        rows, unreadable, _ = load(write(tmp_path, data, name))
        assert not rows and len(unreadable) == 1 and unreadable[0][2].startswith("unreadable: "), name


def test_an_empty_file_and_an_arc_file(tmp_path):
    assert load(write(tmp_path, b"", "a.warc.gz")) == ([], [], {"empty file": 1})
    arc = b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 76\n1 0 InternetArchive\n"
    for data in (arc, gzip.compress(arc)):
        rows, unreadable, _ = load(write(tmp_path, data, "a.arc.gz"))
        assert not rows and "warcio recompress" in unreadable[0][2]


def test_a_response_without_http_is_no_reason_to_stop(tmp_path):
    good = response("http://a.example/1")
    bad = response("http://a.example/0", body=HTML).replace(b"HTTP/1.1 200 OK", b"\xff\xfe\x00\x01garbage ")
    rows, unreadable, skipped = load(write(tmp_path, b"".join(members(bad, good))))
    assert [row["url"] for row in rows] == ["http://a.example/1"]
    assert len(unreadable) + sum(skipped.values()) == 1


def test_a_quarantined_record_is_not_decoded(tmp_path):
    parts = members(*(response(f"http://a.example/{i}", body=page(i)) for i in range(3)))
    rows, unreadable, _ = load(write(tmp_path, b"".join(parts)), quarantine=frozenset({("a.warc.gz", len(parts[0]))}))
    assert [row["url"][-1] for row in rows] == ["0", "2"]
    assert unreadable == [("a.warc.gz", len(parts[0]), "unreadable: crashed its worker twice", None)]


def test_a_page_in_gbk_is_decoded(tmp_path):
    body = "<html><head><meta charset=gb2312></head><body>中文网页，简体。</body></html>".encode("gb18030")
    rows, _, _ = load(write(tmp_path, gzip.compress(response(body=body, content_type="text/html"))))
    assert "中文网页" in rows[0]["html"]


def test_wet_files_give_their_text(tmp_path):
    data = b"".join(members(other("warcinfo"), other("conversion", b"Text der Seite.", "http://a.example/")))
    rows, unreadable, skipped = load(write(tmp_path, data, "a.warc.wet.gz"), reader="wet")
    assert [(row["text"], row["url"], row["html"]) for row in rows] == [("Text der Seite.", "http://a.example/", None)]
    assert (unreadable, skipped) == ([], {"warcinfo": 1})


# (documents, skipped, unreadable) where that differs from what fastwarc counts, or where a reader of ours must do better
EXPECTED = {
    "chatnoir-resiliparse__clipped.warc.gz": (0, 0, 1),
    "warcio.js__example-bad-length.warc": (1, 5, 1),
    "warcio__example-trunc.warc": (1, 3, 1),
    "jwat__invalid-warcfile-record-then-garbage.warc": (1, 0, 1),
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the archives of ../shared/data/warc are not here")
def test_real_archives():
    seen = 0
    for row in map(json.loads, (SHARED / "index.jsonl").read_text().splitlines()):
        name = row["file"]
        if ".paths" in name:
            continue
        rows, unreadable, skipped = load(SHARED / name, "wet" if ".wet" in name else "warc")
        counts = len(rows), sum(skipped.values()), len(unreadable)
        records = (row.get("ref_fastwarc") or {}).get("records")
        if ".arc" in name:
            assert counts == (0, 0, 1), name
        elif name in EXPECTED:
            assert counts == EXPECTED[name], name
        elif records is not None and not row["ref_fastwarc"].get("error"):
            assert sum(counts) >= records, name
        seen += 1
    assert seen > 60
