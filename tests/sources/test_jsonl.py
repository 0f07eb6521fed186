"""JSON lines: any line length, any cut, any damage; the columns that a source maps."""

import gzip
import json

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import Source, list_units, read
from pipeline.sources import jsonl as module


def load(path, split_bytes=256 << 20, batch_bytes=8 << 20, quarantine=frozenset(), **settings_):
    source = Source("s", "jsonl", (str(path),), **settings_)
    rows, unreadable, skipped = [], [], {}
    for unit in list_units(source, split_bytes=split_bytes, group_bytes=split_bytes):
        for batch in read(source, unit, batch_bytes=batch_bytes, quarantine=quarantine):
            rows += batch.records.to_pylist()
            unreadable += batch.unreadable
            for kind, count in batch.skipped.items():
                skipped[kind] = skipped.get(kind, 0) + count
    return rows, unreadable, skipped


def write(tmp_path, data, name="a.jsonl"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_lines_become_documents_with_their_offsets(tmp_path):
    data = b'{"text": "one", "url": "http://a/"}\n\n{"text": "two"}'
    rows, unreadable, skipped = load(write(tmp_path, data))
    assert [(r["text"], r["url"], r["offset"]) for r in rows] == [("one", "http://a/", 0), ("two", None, 37)]
    assert (unreadable, skipped) == ([], {"blank line": 1})


def test_what_cannot_be_read_has_a_reason_and_a_place(tmp_path):
    lines = [b'{"text": "good"}', b'{"text": ', b'{"text": "\xff"}', b'{"txt": "x"}', b'{"text": 3}', b'["text"]', b'{"text": ""}', b"[" * 100_000]
    offsets = [sum(len(x) + 1 for x in lines[:i]) for i in range(len(lines))]
    rows, unreadable, skipped = load(write(tmp_path, b"\n".join(lines) + b"\n"))
    assert len(rows) == 1 and skipped == {"empty": 1}
    assert [(u[1], u[2]) for u in unreadable] == [
        (offsets[1], f"unreadable: invalid JSON at byte {offsets[1]}"),
        (offsets[2], f"unreadable: invalid UTF-8 at byte {offsets[2]}"),
        (offsets[3], "unreadable: no text in field 'text'"),
        (offsets[4], "unreadable: no text in field 'text'"),
        (offsets[5], f"unreadable: not a JSON object at byte {offsets[5]}"),
        (offsets[7], f"unreadable: invalid JSON at byte {offsets[7]}"),
    ]


def test_what_only_python_writes_is_read_too(tmp_path):
    rows, unreadable, _ = load(write(tmp_path, b'{"text": "half \\ud83d", "score": NaN}\n'))
    assert [row["text"] for row in rows] == ["half \ufffd"] and not unreadable


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([b"", b"{bad", b'{"text":"x"}', b'{"text":"' + b"y" * 50 + b'"}', '{"text":"中文"}'.encode()]), max_size=20),
    st.booleans(),
    st.integers(1, 90),
)
def test_slices_read_every_line_once(tmp_path_factory, lines, newline, split):
    path = write(tmp_path_factory.mktemp("slices"), b"\n".join(lines) + (b"\n" if newline else b""))
    assert load(path, split_bytes=split) == load(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compressed_files_and_their_damage(tmp_path, pack):
    data = b"".join(b'{"text": "%d %s"}\n' % (i, hex(hash(str(i)) ** 9).encode()) for i in range(2000))
    name = "a.jsonl.gz" if pack is gzip.compress else "a.jsonl.zst"
    rows, unreadable, _ = load(write(tmp_path, pack(data), name))
    assert len(rows) == 2000 and not unreadable and rows[5]["offset"] == data.index(b'{"text": "5 ')
    rows, unreadable, _ = load(write(tmp_path, pack(data)[:-2000], name))
    assert len(rows) < 2000 and len(unreadable) == 1 and "truncated" in unreadable[0][2]
    broken = bytearray(pack(data))
    broken[0:4] = b"nope"
    rows, unreadable, _ = load(write(tmp_path, bytes(broken), name))
    assert not rows and len(unreadable) == 1 and "damaged" in unreadable[0][2]


def test_two_compressed_parts_are_one_file(tmp_path):
    for pack, name in ((gzip.compress, "a.jsonl.gz"), (zstandard.compress, "a.jsonl.zst")):
        rows, unreadable, _ = load(write(tmp_path, pack(b'{"text": "a"}\n{"te') + pack(b'xt": "b"}\n'), name))
        assert [row["text"] for row in rows] == ["a", "b"] and not unreadable


def test_a_line_longer_than_any_bound_is_unreadable_and_the_next_one_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 3 << 20)
    long = b'{"text": "' + b"x" * (4 << 20) + b'"}\n'
    fine = b'{"text": "' + b"x" * (2 << 20) + b'"}\n'
    rows, unreadable, _ = load(write(tmp_path, long + fine + long.rstrip()))
    assert [len(row["text"]) for row in rows] == [2 << 20]
    assert [u[1] for u in unreadable] == [0, len(long) + len(fine)]


def test_columns_values_and_what_a_source_says_itself(tmp_path):
    line = {"meta": {"url": "http://a/", "lang": "zh-Hans"}, "body": "text", "n": 7, "a.b": "dotted"}
    rows, _, _ = load(
        write(tmp_path, json.dumps(line).encode()),
        columns={"text": "body", "url": "meta.url", "domain": "meta.lang", "id": "n", "subdomain": "a.b", "date": "meta.missing.deeper"},
        values={"domain": {"zh-Hans": "zh"}},
        licence="MIT",
    )
    row = rows[0]
    assert [row[c] for c in ("text", "url", "domain", "subdomain", "licence", "date")] == ["text", "http://a/", "zh", "dotted", "MIT", None]


def test_ids(tmp_path):
    own = "0123456789abcdef0123456789abcdef"
    data = b"".join(json.dumps(x).encode() + b"\n" for x in ({"text": "a", "i": "1"}, {"text": "b", "i": 1}, {"text": "a"}, {"text": "a", "i": own}))
    mapped, _, _ = load(write(tmp_path, data), columns={"id": "i"})
    ids = [row["id"] for row in mapped]
    assert ids[0] == ids[1] and ids[3] == own and len(set(ids)) == 3
    unmapped, _, _ = load(tmp_path / "a.jsonl")
    assert unmapped[0]["id"] == unmapped[2]["id"] == unmapped[3]["id"] == ids[2]


def test_batches_are_bounded_and_a_quarantined_line_is_not_parsed(tmp_path):
    path = write(tmp_path, b"".join(b'{"text": "%s"}\n' % (b"x" * 1000) for _ in range(100)))
    source = Source("s", "jsonl", (str(path),))
    (unit,) = list_units(source)
    batches = list(read(source, unit, batch_bytes=10_000))
    assert len(batches) > 5 and all(b.records.nbytes < 30_000 for b in batches)
    rows, unreadable, _ = load(path, quarantine=frozenset({("a.jsonl", 0)}))
    assert len(rows) == 99 and unreadable == [("a.jsonl", 0, "unreadable: crashed its worker twice", None)]
