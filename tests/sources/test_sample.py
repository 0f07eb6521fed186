"""The sample: the same bytes everywhere, everything in it that it promises, and a truth that is true."""

import hashlib
import itertools
import json
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipeline.errors import SourceError
from pipeline.sources import sample
from pipeline.sources.sample_bytes import Chance, gzip_stored, uuid_of
from pipeline.sources.sample_plan import CLASSES
from pipeline.sources.sample_texts import id_number_zh, luhn_number

# Moves only with VERSION or the bundled prose; a change of anything else in it is a mistake.
FULL = "88c7d329e09df027a2c44e2acf5198f07229d72fabb3aaa77a3238db9166bbaf"
SMALL = "a0eea40b5516510e3b07d0d1f31430812922602d89ccec965a1eeba22d93536a"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "small"
    sample.write_sample(folder, small=True)
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "full"
    sample.write_sample(folder)
    return folder


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def slow_shingles(text: str) -> set[str]:
    """Words of 5 or, in Chinese, characters of 8, by another road than the generator's."""
    tokens: list[str] = []
    word = ""
    for character in text.lower() + " ":
        han = "\u3400" <= character <= "\u9fff"
        if han or not character.isalnum():
            if word:
                tokens.append(word)
            word = ""
            if han:
                tokens.append(character)
        else:
            word += character
    width = 8 if sum("\u3400" <= token <= "\u9fff" for token in tokens) * 2 > len(tokens) else 5
    return {"\0".join(tokens[i : i + width]) for i in range(len(tokens) - width + 1)}


def slow_jaccard(first: str, second: str) -> float:
    a, b = slow_shingles(first), slow_shingles(second)
    return len(a & b) / len(a | b)


def records(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted((folder / "crawl").glob("*.warc.gz")):
        with path.open("rb") as handle:
            for record in ArchiveIterator(handle, auto_decode="none"):
                yield path.name, record


# --- the bytes


def test_the_small_sample_has_the_same_bytes_each_time(small: Path, tmp_path: Path) -> None:
    sample.write_sample(tmp_path / "again", small=True)
    assert tree_hash(tmp_path / "again") == tree_hash(small) == SMALL


def test_the_full_sample_has_the_pinned_bytes(full: Path) -> None:
    assert tree_hash(full) == FULL


def test_chance_is_splitmix64() -> None:
    chance = Chance()
    chance._state = 1234567  # the published values for this seed
    assert [chance.bits() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_stored_gzip_is_gzip() -> None:
    import gzip

    for data in (b"", b"x", bytes(range(256)) * 700):
        assert gzip.decompress(gzip_stored(data)) == data


# --- what is in it


def test_the_full_sample_has_its_parts(full: Path) -> None:
    truth = rows_of(full / "truth.jsonl")
    numbers = Counter(row["class"] for row in truth)
    assert len(list((full / "crawl").glob("*.warc.gz"))) == 4
    assert sum(numbers[name] for name in CLASSES) >= 3000
    assert {name: numbers[name] for name in CLASSES} == {name: counts[0] for name, counts in CLASSES.items()}
    assert len({row["template"] for row in truth if row["template"]}) >= 12
    assert {"utf-8", "gbk", "gb18030", "gb2312", "big5", "iso-8859-1", "windows-1252", "utf-16"} <= {row["charset"] for row in truth}
    assert len(rows_of(full / "benchmarks" / "invented.jsonl")) == 60
    for source in ("social", "encyclopaedia"):
        for language in ("en", "zh"):
            assert len(rows_of(full / source / f"{source}-{language}.jsonl")) >= 125
    programs = [row["language"] for row in truth if row["class"] == "code_program"]
    assert len(programs) == 40 and len(set(programs)) == 8


def test_the_small_sample_has_300_pages_in_12_files_and_every_class(small: Path) -> None:
    truth = rows_of(small / "truth.jsonl")
    numbers = Counter(row["class"] for row in truth)
    assert len(list((small / "crawl").glob("*.warc.gz"))) == 12
    assert sum(numbers[name] for name in CLASSES) == 300
    assert all(numbers[name] > 0 for name in CLASSES)
    assert {row["expect"] for row in truth} >= {"keep", "unreadable", "skipped", "language", "rules", "url", "id", "text", "near"}


def test_every_record_stands_where_the_truth_says(small: Path) -> None:
    truth = {(Path(row["file"]).name, row["offset"]): row for row in rows_of(small / "truth.jsonl") if row["source"] == "web"}
    seen = 0
    for name, record in records(small):
        row = truth[name, record.stream_pos]
        assert record.headers["WARC-Record-ID"].strip("<>").removeprefix("urn:uuid:").replace("-", "") == row["id"]
        assert record.headers.get("WARC-Target-URI") == row["url"]
        assert (record.record_type == WarcRecordType.response) == (row["class"] in CLASSES)
        seen += 1
    assert seen == len(truth) or seen == len(truth) - 1  # a reader may refuse the record that ends in the middle


def test_lines_and_members_stand_where_the_truth_says(small: Path) -> None:
    for row in rows_of(small / "truth.jsonl"):
        if row["row"] is not None:
            with (small / row["file"]).open("rb") as handle:
                handle.seek(row["offset"])
                assert json.loads(handle.readline())["url"] == row["url"]
    members = {}
    for path in (small / "code").glob("*.tar"):
        with tarfile.open(path) as archive:
            members |= {f"{path.stem}@{archive.pax_headers['comment']}:{member.name}": member.offset for member in archive.getmembers()}
    assert members == {row["url"]: row["offset"] for row in rows_of(small / "truth.jsonl") if row["source"] == "code"}


def test_no_code_is_over_16_kilobytes(full: Path) -> None:
    for path in (full / "code").glob("*.tar"):
        with tarfile.open(path) as archive:
            assert all(0 < member.size <= 16 * 1024 for member in archive.getmembers())


# --- the truth


def test_near_duplicates_have_the_jaccard_that_is_stated(full: Path) -> None:
    texts = {row["url"]: row["text"] for row in rows_of(full / "texts.jsonl")}
    near = [row for row in rows_of(full / "truth.jsonl") if row["class"].startswith("near_")]
    for row in near[::3]:
        stated = row["jaccard"]
        assert slow_jaccard(texts[row["url"]], texts[row["other"]]) == pytest.approx(stated, abs=0.002)
        assert abs(stated - int(row["class"][-2:]) / 100) < 0.07
        assert (stated >= 0.83) == (row["expect"] == "near")


def test_distinct_pages_stay_distinct(full: Path) -> None:
    texts = {row["url"]: row["text"] for row in rows_of(full / "texts.jsonl")}
    pages = [row for row in rows_of(full / "truth.jsonl") if row["class"].startswith("article_")]
    by_kind = defaultdict(list)
    for row in pages:
        by_kind[row["language"], row["kind"] if row["language"] != "zh-Hant" else None].append(slow_shingles(texts[row["url"]]))
    for shingled in by_kind.values():
        for a, b in itertools.combinations(shingled[:40], 2):
            assert len(a & b) / len(a | b) < 0.5


def test_copies_name_an_original_that_is_there_and_kept(full: Path) -> None:
    truth = rows_of(full / "truth.jsonl")
    by_key = {key: row for row in truth if not row["other"] for key in (row["id"], row["url"]) if key}
    for row in truth:
        if row["group"] and row["other"]:
            original = by_key[row["group"]]
            assert original["url"] == row["other"]
            assert original["expect"] in ("keep", "keep_until:licence")


def test_personal_numbers_pass_their_checks_and_belong_to_nobody() -> None:
    for i in range(50):
        card, identity = luhn_number(Chance("card", i)), id_number_zh(Chance("identity", i))
        doubled = [int(d) * 2 if i % 2 else int(d) for i, d in enumerate(reversed(card))]
        assert sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0
        weights = [pow(2, 17 - i, 11) for i in range(17)]
        assert "10X98765432"[sum(int(d) * w for d, w in zip(identity, weights, strict=False)) % 11] == identity[17]
        assert identity[14:17] == "000"


# --- finding it


def test_locate_generates_once_and_leaves_nothing_else(tmp_path: Path) -> None:
    pattern = sample.locate("sample://small/crawl/*.warc.gz", tmp_path)
    files = sorted(Path(pattern).parent.glob("*.warc.gz"))
    assert len(files) == 12
    before = [path.stat().st_mtime_ns for path in files]
    assert sample.locate("sample://small/social/*.jsonl", tmp_path).endswith("/small/social/*.jsonl")
    assert [path.stat().st_mtime_ns for path in files] == before
    assert [path.name for path in files[0].parents[2].iterdir()] == ["small"]


@pytest.mark.parametrize("url", ["sample://crawls/*.gz", "sample://../x", "sample://small/../full/crawl/x", "s3://bucket/x", "sample://"])
def test_locate_refuses_what_there_is_not(url: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such part"):
        sample.locate(url, tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- scoring


def row(name: str, expect: str = "keep", **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "url": f"u/{name}",
        "file": "crawl/a.warc.gz",
        "offset": ord(name[0]),
        "expect": expect,
        "also": [],
        "group": None,
        "other": None,
        **more,
    }


def dropped(name: str, stage: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "url": f"u/{name}", "file": "a.warc.gz", "offset": 0, "stage": stage, "reason": "a bound", **more}


def scored(truth: list[dict[str, Any]], ledger: list[dict[str, Any]], kept: set[str], **more: Any) -> dict[str, tuple[float | None, float | None]]:
    return {line["stage"]: (line["precision"], line["recall"]) for line in sample.score(truth, ledger, kept, **more).to_pylist()}


def test_a_perfect_run_scores_one() -> None:
    truth = [row("a"), row("b", "language"), row("c", "rules"), row("d", "near", group="a", other="u/a"), row("e", "skipped")]
    ledger = [dropped("b", "language"), dropped("c", "gopher"), dropped("d", "deduplicate_minhash")]
    found = scored(truth, ledger, {"a"})
    assert all(found[stage] == (1.0, 1.0) for stage in ("keep", "language", "rules", "near", "skipped"))
    assert found["url"] == (None, None)


def test_errors_lower_precision_and_recall_where_they_belong() -> None:
    truth = [row("a"), row("b"), row("c", "rules"), row("d", "rules")]
    found = scored(truth, [dropped("b", "gopher"), dropped("c", "gopher")], {"a", "d"})
    assert found["rules"] == (0.5, 0.5)
    assert found["keep"] == (0.5, 0.5)


def test_another_stage_may_be_as_right() -> None:
    found = scored([row("a", "rules", also=["language"])], [dropped("a", "language")], set())
    assert found["rules"][1] == 1.0 and found["language"] == (1.0, None)


def test_which_copy_stays_is_free_but_one_must_go() -> None:
    truth = [row("a"), row("b", "text", group="a", other="u/a")]
    assert scored(truth, [dropped("a", "deduplicate_text")], {"b"})["text"] == (1.0, 1.0)
    assert scored(truth, [], {"a", "b"})["text"] == (None, 0.0)


def test_a_repeated_id_is_told_apart_by_its_url() -> None:
    truth = [row("a"), {**row("a", "id", group="a", other="u/a"), "url": "u/other", "offset": 7}]
    assert scored(truth, [dropped("a", "deduplicate_id", url="u/other")], {"a"})["id"] == (1.0, 1.0)
    assert scored(truth, [dropped("a", "deduplicate_id")], {"a"})["id"] == (1.0, 1.0)


def test_what_only_a_later_stage_finds_is_expected_once_it_runs() -> None:
    truth = [row("a", "keep_until:sensitive")]
    assert scored(truth, [], {"a"})["keep"] == (1.0, 1.0)
    late = scored(truth, [], {"a"}, ran=("rules", "sensitive"))
    assert late["sensitive"] == (None, 0.0) and late["keep"] == (0.0, None)


def test_a_row_that_is_nowhere_is_lost() -> None:
    table = sample.score([row("a"), row("b", "unreadable")], [], set())
    lost = next(line for line in table.to_pylist() if line["stage"] == "lost")
    assert lost["found"] == 2


def test_an_unreadable_record_is_found_by_its_place() -> None:
    ledger = [{"id": None, "url": None, "file": "a.warc.gz", "offset": ord("a"), "stage": "web", "reason": "unreadable: truncated gzip member at byte 97"}]
    assert scored([row("a", "unreadable")], ledger, set())["unreadable"] == (1.0, 1.0)


def test_tables_are_taken_as_well_as_lists() -> None:
    truth, ledger = [row("a"), row("b", "rules")], [dropped("b", "gopher")]
    assert sample.score(pa.Table.from_pylist(truth), pa.Table.from_pylist(ledger), {"a"}).equals(sample.score(truth, ledger, {"a"}))


def test_ids_are_uuids_of_version_4() -> None:
    assert uuid_of("x")[14] == "4" and uuid_of("x")[19] in "89ab" and uuid_of("x") == uuid_of("x") != uuid_of("y")
