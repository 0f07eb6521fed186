"""Takedown: what is asked for, its copies and near-duplicates are found in every release, and written down once."""

import io
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline.dedup.signatures import shingle_sets, signatures
from pipeline.dedup.tombstones import read_tombstones, signature_version
from pipeline.errors import PipelineError, PlanError, StoreError
from pipeline.publish.takedown import Takedown, releases_in, takedown
from pipeline.schema import LEDGER
from pipeline.shards import REMOVED, SIGNATURES

ROW = pa.schema([("id", pa.string()), ("text", pa.string()), ("url", pa.string())])


def number(i: int) -> str:
    return f"{i:032x}"


def words(seed: int, n: int = 150) -> list[str]:
    rng = random.Random(seed)
    return [f"{rng.getrandbits(32):x}" for _ in range(n)]


def edited(seed: int, exchanged: int) -> str:
    """Text `seed` with so many words of its end exchanged for others."""
    text = words(seed)
    return " ".join(text[: len(text) - exchanged] + words(1000 + exchanged, exchanged)) if exchanged else " ".join(text)


def row(i: int, text: str, url: str | None = None) -> dict[str, Any]:
    return {"id": number(i), "text": text, "url": url or f"https://site{i}.example/page"}


def drop(i: int, reason: str = "word_count >= 50", other: int | None = None, value: float | None = None, url: str | None = None) -> dict[str, Any]:
    return {
        "id": number(i),
        "url": url or f"https://site{i}.example/page",
        "source": "web",
        "domain": "en",
        "file": "f",
        "offset": i,
        "stage": "some_stage",
        "reason": reason,
        "value": value,
        "other": None if other is None else number(other),
    }


def write_release(
    work: Path,
    version: str = "1",
    train: Sequence[dict[str, Any]] = (),
    validation: Sequence[dict[str, Any]] = (),
    ledger: Sequence[dict[str, Any]] = (),
    removed: Sequence[dict[str, Any]] = (),
    stored: str | None = None,
) -> str:
    """A release of a few rows; `stored`: with signatures, which are said to be of this version."""
    folder = work / "releases" / f"corpus@{version}"
    tables = {
        "data/en/en-00000-of-00001.parquet": pa.Table.from_pylist(list(train), schema=ROW),
        "validation/en/en-00000-of-00001.parquet": pa.Table.from_pylist(list(validation), schema=ROW),
        "ledger/ledger-00000-of-00001.parquet": pa.Table.from_pylist(list(ledger), schema=LEDGER),
        "removed/removed-00000-of-00001.parquet": pa.Table.from_pylist(list(removed), schema=REMOVED),
    }
    engines: dict[str, Any] = {"language": {"model": "x"}}
    if stored:
        rows = [*train, *validation]
        values, counts = signatures([r["text"] for r in rows])
        packed = [v.astype("<u4").tobytes() if n else None for v, n in zip(values, counts, strict=True)]
        tables["signatures/train-en-00000-of-00001.parquet"] = pa.table([[r["id"] for r in rows], packed], schema=SIGNATURES)
        engines["deduplicate_minhash"] = dict(zip(("shingles", "fold"), stored.split("."), strict=True))
    for name, table in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name, row_group_size=7, store_schema=False)
    files = {name: {"rows": table.num_rows} for name, table in tables.items()}
    (folder / "manifest.json").write_text(json.dumps({"name": "corpus", "version": version, "engines": engines, "files": files}))
    return str(folder)


def ids(found: Takedown) -> set[int]:
    return {int(s.id, 16) for s in found.sightings}


def page(found: Takedown) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(found)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# --- what is found ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [None, signature_version()])
def test_near_duplicates_are_those_whose_texts_are(tmp_path: Path, stored: str | None) -> None:
    """Around the threshold the estimate is wrong for a third of them; the texts decide."""
    others = [row(100 + n, edited(1, n)) for n in range(60)] + [row(300 + n, " ".join(words(50 + n))) for n in range(40)]
    asked = row(1, edited(1, 0))
    releases = [
        write_release(tmp_path, "1", train=[asked, *others[::2]], stored=stored),
        write_release(tmp_path, "2", train=others[1::4], validation=others[3::4], stored=signature_version()),
    ]
    values, offsets = shingle_sets([asked["text"], *(o["text"] for o in others)])
    sets = [set(values[a:b].tolist()) for a, b in itertools.pairwise(offsets)]
    jaccard = {i: len(sets[0] & s) / len(sets[0] | s) for i, s in enumerate(sets[1:])}
    found = takedown([number(1)], releases, str(tmp_path / "t.txt"))
    assert ids(found) == {1} | {int(others[i]["id"], 16) for i, j in jaccard.items() if j >= 0.8}
    assert sum(0.7 < j < 0.9 for j in jaccard.values()) > 10
    for s in found.sightings:
        if s.id != number(1):
            assert s.why.exact and s.why.other == number(1)
            assert s.why.similarity == pytest.approx(jaccard[next(i for i, o in enumerate(others) if o["id"] == s.id)])
    lower = takedown([number(1)], releases, str(tmp_path / "l.txt"), threshold=0.6)
    assert ids(lower) == {1} | {int(others[i]["id"], 16) for i, j in jaccard.items() if j >= 0.6}


def test_signatures_of_another_version_are_made_anew(tmp_path: Path) -> None:
    release = write_release(tmp_path, train=[row(1, edited(1, 0)), row(2, edited(1, 3)), row(3, edited(2, 0))], stored="0.7")
    table = pa.table([[number(i) for i in (1, 2, 3)], [b"\1" * 448] * 3], schema=SIGNATURES)  # all alike
    pq.write_table(table, f"{release}/signatures/train-en-00000-of-00001.parquet", store_schema=False)
    assert ids(takedown([number(1)], [release], str(tmp_path / "t.txt"))) == {1, 2}


def test_short_texts_and_texts_without_words(tmp_path: Path) -> None:
    rows = [row(1, "a short post"), row(2, "A short post!"), row(3, "a short poem"), row(4, "…"), row(5, "…"), row(6, "")]
    release = write_release(tmp_path, train=rows, stored=signature_version())
    assert ids(takedown([number(1)], [release], str(tmp_path / "t.txt"))) == {1, 2}
    assert ids(takedown([number(4)], [release], str(tmp_path / "u.txt"))) == {4}, "nothing is like what has no words"


def test_copies_are_followed_through_the_ledger(tmp_path: Path) -> None:
    ledger = [
        drop(2, "copies_by_url <= 1", other=1, value=2.0),
        drop(3, "similarity < 0.8", other=2, value=0.9),  # of one that left itself
        drop(4, "similarity < 0.8", other=3, value=0.81),
        drop(5, "similarity < 0.6", other=1, value=0.7),  # by a recipe that asked for less
        drop(6, "packed with its repository", other=1),
        drop(7),
        drop(8, "copies_by_text <= 1", other=9, value=2.0),
    ]
    release = write_release(tmp_path, train=[row(1, edited(1, 0)), row(9, edited(9, 0))], ledger=ledger)
    for asked in (1, 2, 3, 4):
        found = takedown([number(asked)], [release], str(tmp_path / f"{asked}.txt"))
        assert ids(found) == {1, 2, 3, 4}
    assert str({int(s.id, 16): s.why for s in found.sightings}[3]) == f"copy of {number(4)}, similarity 0.81"
    assert ids(takedown([number(7)], [release], str(tmp_path / "7.txt"))) == {7}, "what a version dropped, the next might keep"


def test_copies_of_near_duplicates_go_too_and_what_is_like_those_stays(tmp_path: Path) -> None:
    further = " ".join([*words(5, 10), *edited(1, 12).split()[10:]])
    one = write_release(tmp_path, "1", train=[row(1, edited(1, 0)), row(2, edited(1, 12)), row(3, further)])
    two = write_release(tmp_path, "2", ledger=[drop(4, "copies_by_text <= 1", other=2, value=2.0)])
    assert ids(takedown([number(1)], [one, two], str(tmp_path / "t.txt"))) == {1, 2, 4}
    assert ids(takedown([number(2)], [one], str(tmp_path / "u.txt"))) == {1, 2, 3}, "else the test says nothing"


def test_what_was_removed_is_searched_and_its_texts_are_compared(tmp_path: Path) -> None:
    removed = [
        {**drop(1), "text": edited(1, 0)},
        {**drop(2), "text": edited(1, 2)},
        {**drop(3), "text": None},
        {**drop(4), "id": None, "text": None},
        {**drop(5), "text": edited(5, 0)},
    ]
    release = write_release(tmp_path, train=[row(6, edited(1, 4))], removed=removed, ledger=[drop(i) for i in (1, 2, 3, 4, 5)], stored=signature_version())
    found = takedown([number(1)], [release], str(tmp_path / "t.txt"))
    assert {(int(s.id, 16), s.place) for s in found.sightings} == {(1, "removed"), (1, "ledger"), (2, "removed"), (2, "ledger"), (6, "train")}


def test_hosts_urls_and_records_without_id(tmp_path: Path) -> None:
    rows = [
        row(1, edited(1, 0), "https://www.site.example/a"),
        row(2, edited(2, 0), "http://site.example/b"),
        row(3, edited(3, 0), "http://mysite.example/b"),
        row(4, edited(4, 0), "repo@12:src/a.c"),
        row(5, edited(2, 1), "http://mirror.example/"),
    ]
    ledger = [drop(6, url="http://old.site.example/"), {**drop(7, url="http://site.example/broken"), "id": None, "stage": "source"}]
    release = write_release(tmp_path, train=rows[:3], validation=rows[3:], ledger=ledger)
    found = takedown(["Site.Example"], [release], str(tmp_path / "t.txt"))
    assert ids(found) == {1, 2, 5, 6} and not found.unfound
    assert "corpus@1" in page(found) and f"alike to {number(2)}, similarity 0.9" in page(found)
    assert ids(takedown(["repo@12:src/a.c"], [release], str(tmp_path / "u.txt"))) == {4}
    assert ids(takedown(["HTTPS://www.site.example:443/a#x"], [release], str(tmp_path / "v.txt"))) == {1}


def test_a_text_is_asked_for_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "letter of someone.txt").write_text(edited(1, 1), encoding="utf-8")
    asked = f"text:{tmp_path}/letter of someone.txt"
    release = write_release(tmp_path, train=[row(1, edited(1, 0)), row(2, edited(2, 0))])
    found = takedown([asked], [release], str(tmp_path / "t.txt"))
    assert ids(found) == {1} and found.unfound == ()
    written = (tmp_path / "t.txt").read_text()
    assert "someone" not in written and words(1)[0] not in written, "neither the path nor the text"
    assert f"id: {number(1)}  # alike to a text that was given, similarity 0.9" in written
    assert takedown([asked, number(1)], [release], str(tmp_path / "u.txt")).unfound == (), "it was found, though it was named as well"
    (tmp_path / "letter of someone.txt").write_text(edited(7, 0), encoding="utf-8")
    other = takedown([asked], [release], str(tmp_path / "v.txt"))
    assert other.unfound == (asked,) and [line.partition(":")[0] for line in other.added] == ["signature"]


def test_a_tombstone_file_is_a_file_of_requests(tmp_path: Path) -> None:
    """A new release is searched for what was taken down before: of what is like a signature the estimate decides, as no text is there."""
    old = write_release(tmp_path, "1", train=[row(1, edited(1, 0))])
    first = tmp_path / "first.txt"
    takedown([number(1), "https://gone.example/x"], [old], str(first))
    new = write_release(tmp_path, "2", train=[row(2, edited(1, 3)), row(3, edited(1, 75)), row(4, edited(4, 0), "https://gone.example/x")])
    found = takedown([str(first)], [new], str(tmp_path / "second.txt"))
    assert ids(found) == {2, 4}
    why = {int(s.id, 16): s.why for s in found.sightings}[2]
    assert not why.exact and str(why).startswith("alike to a signature, similarity about 0.")
    assert set(read_tombstones([str(first)]).lines()) < set(read_tombstones([str(tmp_path / "second.txt")]).lines())


# --- what is written ------------------------------------------------------------------------------------------------------------


def test_once_more_adds_nothing(tmp_path: Path) -> None:
    releases = [
        write_release(tmp_path, "1", train=[row(1, edited(1, 0)), row(2, edited(1, 2))], ledger=[drop(3, "copies_by_text <= 1", other=2, value=2.0)]),
        write_release(tmp_path, "2", validation=[row(1, edited(1, 0))], stored=signature_version()),
    ]
    out = tmp_path / "t.txt"
    first = takedown(["https://site1.example/page"], releases, str(out), date="2026-11-22")
    written = out.read_text()
    assert written.splitlines()[:4] == [
        "# What was taken down, one a line. A recipe that names this file under `release: {tombstones: …}` does without it.",
        "# 2026-11-22",
        "url: https://site1.example/page",
        f"id: {number(1)}  # asked for by url",
    ]
    assert [line.partition(":")[0] for line in first.added] == ["url", "id", "id", "id", "signature"]
    assert set(first.added) == set(read_tombstones([str(out)]).lines())
    again = takedown(["https://site1.example/page"], releases, str(out), date="2026-11-23")
    assert again.added == () and out.read_text() == written and again.sightings == first.sightings
    assert "0 new tombstones" in page(again)
    other = tmp_path / "other.txt"
    takedown(["https://site1.example/page"], releases[::-1], str(other), date="2026-11-22")
    assert other.read_text() == written, "the order of releases does not matter"


def test_lines_are_added_behind_what_stands_there(tmp_path: Path) -> None:
    release = write_release(tmp_path, train=[row(1, edited(1, 0)), row(2, edited(2, 0))])
    out = tmp_path / "t.txt"
    out.write_bytes(f"# by hand\r\nhost: a.example\r\nid: {number(1)} # known".encode())
    found = takedown([number(1), number(2)], [release], str(out))
    written = out.read_bytes().decode()
    assert written.startswith(f"# by hand\r\nhost: a.example\r\nid: {number(1)} # known\nid: {number(2)}  # asked for by id\nsignature: ")
    assert len(found.added) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["releases", "t.txt"], "nothing else is left lying there"


def test_what_is_found_nowhere_is_kept_out_all_the_same(tmp_path: Path) -> None:
    release = write_release(tmp_path, train=[row(1, edited(1, 0))])
    requests = tmp_path / "requests.txt"
    requests.write_text(f"# of November\n{number(77)}\n\nhttps://new.example/[x]   # a remark\nhost: new.example\n", encoding="utf-8")
    found = takedown([str(requests)], [release], str(tmp_path / "t.txt"))
    assert found.sightings == () and set(found.unfound) == set(found.added) == {f"id: {number(77)}", "url: https://new.example/[x]", "host: new.example"}
    assert "https://new.example/[x]" in page(found)


# --- faults -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ("requests.txt", r"'requests.txt' is no id \(32 hex digits\), no URL|'requests.txt' is no file here"),
        ("some words", r"'some words' is no id \(32 hex digits\), no URL, no host, and no file here; the text of a file is asked for by text:PATH"),
        ("lists/requests", "'lists/requests' is no file here, and no document in these releases is called so.*write 'url: lists/requests'"),
        ("site.example", "'site.example' is no file here, .* write 'host: site.example'"),
        ("id: 123", "'123' is no id"),
        ("host: example", "'example' is no host"),
        ("text:none.txt", "The text none.txt cannot be read"),
        ("text:EMPTY", "holds no words"),
        ("FILE", r"bad.txt:2: 'Dear all' is no id"),
        ("EMPTY", "Nothing is asked for"),
    ],
)
def test_a_request_that_is_none_is_refused_before_anything_is_written(tmp_path: Path, request_: str, told: str) -> None:
    (tmp_path / "bad.txt").write_text(f"{number(1)}\nDear all\n", encoding="utf-8")
    (tmp_path / "empty.txt").write_text("\n# … \n", encoding="utf-8")
    release = write_release(tmp_path, train=[row(1, edited(1, 0), "https://elsewhere.example/")])
    asked = request_.replace("FILE", str(tmp_path / "bad.txt")).replace("EMPTY", str(tmp_path / "empty.txt"))
    if request_ == "text:EMPTY":
        (tmp_path / "empty.txt").write_text("… —\n", encoding="utf-8")
    with pytest.raises(PlanError, match=told):
        takedown([asked], [release], str(tmp_path / "t.txt"))
    assert not (tmp_path / "t.txt").exists()


def test_other_faults(tmp_path: Path) -> None:
    release = write_release(tmp_path, train=[row(1, edited(1, 0))])
    out = str(tmp_path / "t.txt")
    faults: list[tuple[str, type[PipelineError], list[str], list[str], str, dict[str, Any]]] = [
        ("0.5 and 1", PlanError, [number(1)], [release], out, {"threshold": 0.3}),
        ("write it as 2026-12-31", PlanError, [number(1)], [release], out, {"date": "yesterday"}),
        ("no release to search", PlanError, [number(1)], [], out, {}),
        ("There is no release at", StoreError, [number(1)], [str(tmp_path)], out, {}),
        ("cannot be written: No such file", StoreError, [number(1)], [release], str(tmp_path / "none" / "t.txt"), {}),
        (r"bad.txt:1: 'x' is no tombstone", PlanError, [number(1)], [release], str(tmp_path / "bad.txt"), {}),
    ]
    (tmp_path / "bad.txt").write_text("x\n")
    for told, kind, requests, releases, where, options in faults:
        with pytest.raises(kind, match=told):
            takedown(requests, releases, where, **options)
    assert (tmp_path / "bad.txt").read_text() == "x\n"
    shard = Path(release) / "data/en/en-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"en-00000-of-00001.parquet is damaged"):
        takedown([number(1)], [release], out)
    shard.unlink()
    with pytest.raises(StoreError, match="is missing"):
        takedown([number(1)], [release], out)
    assert not Path(out).exists()


def test_the_releases_of_a_work_folder(tmp_path: Path) -> None:
    assert releases_in(str(tmp_path)) == []
    made = [write_release(tmp_path, version) for version in ("2", "1")]
    (tmp_path / "releases" / "half").mkdir()
    assert releases_in(str(tmp_path)) == sorted(made)
