"""`sample://`: a small world to run the pipeline on, generated on first use, with the truth about every record in it.

`sample://crawl/*.warc.gz`, `sample://code/*.tar`, `sample://social/*.jsonl`, `sample://encyclopaedia/*.jsonl` and
`sample://benchmarks/*.jsonl` are the full sample; `sample://small/…` is one of 300 pages in 12 files. Beside them lie `truth.jsonl` (a row
a record: what it is and what should become of it) and `texts.jsonl` (what extraction should find on each page).

The same bytes on every machine, Python and library version: chance is a hash, and nothing goes through a compressor whose output depends on its
build, so `.warc.gz` holds stored blocks and the code archive is a plain tar (see `sample_bytes.py`). All of it is invented: prose, code,
people, numbers, sites (under .example). Raise `VERSION` when the output changes; a test that pins the tree's hash says when that was forgotten.
"""

import contextlib
import hashlib
import importlib.resources
import json
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import SourceError
from pipeline.sources.sample_bytes import Chance, uuid_of
from pipeline.sources.sample_code import code
from pipeline.sources.sample_crawl import crawl, warc_files
from pipeline.sources.sample_texts import Prose
from pipeline.store import open_data

VERSION = 1

_FOLDERS = ("crawl", "code", "social", "encyclopaedia", "benchmarks")
# files of the crawl, posts and articles of each language, copies among each
_SIZES = {"full": (4, 125, 10), "small": (12, 20, 2)}


def write_sample(folder: Path, small: bool = False) -> None:
    """Write the whole sample, truth included, into `folder`. Some seconds for the full one, under two for the small one."""
    size = "small" if small else "full"
    warcs, posts, copies = _SIZES[size]
    truth: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    benchmarks = [json.loads(line) for line in open_data("sources/sample_data/benchmarks.jsonl").decode().splitlines()]
    _write(folder / "benchmarks" / "invented.jsonl", _lines(benchmarks))
    prose = Prose()
    records = crawl(size, prose, benchmarks)
    for name, content, rows in warc_files(size, records, warcs):
        _write(folder / "crawl" / name, content)
        truth += rows
    texts += [{"id": record.truth["id"], "url": record.url, "text": record.text} for record in records if record.text is not None]
    for name, rows in _told(size, prose, posts, copies):
        content, offsets = b"", []
        for row in rows:
            offsets.append(len(content))
            content += _lines([row["document"]])
        _write(folder / name, content)
        truth += [{**row["truth"], "file": name, "offset": offset, "row": i} for i, (row, offset) in enumerate(zip(rows, offsets, strict=True))]
    for name, content, rows in code(size):
        _write(folder / "code" / name, content)
        truth += [{**row, "file": f"code/{name}"} for row in rows]
    _write(folder / "truth.jsonl", _lines({**_EMPTY, **row} for row in truth))
    _write(folder / "texts.jsonl", _lines(texts))


# The columns of the truth, and what stands in them where nothing is to be said.
_EMPTY: dict[str, Any] = {
    "id": None,  # 32 hex digits, of records with a WARC-Record-ID
    "url": None,  # of code, repository@commit:path
    "file": None,  # in the sample's folder
    "offset": None,  # of the WARC member, of the JSONL line
    "row": None,  # of the JSONL line
    "source": None,  # web, social, encyclopaedia, code
    "class": None,  # which see `sample_plan.CLASSES`
    "expect": None,  # keep, the stage that should drop it, or keep_until:STAGE
    "also": [],  # other stages that would be as right
    "domain": None,
    "language": None,  # of a code file: the programming language
    "kind": None,
    "template": None,
    "charset": None,
    "date": None,
    "group": None,  # id of the original, of a copy of which all but one should go
    "other": None,  # url of the original
    "jaccard": None,  # with the original, on the main text
    "personal": [],
    "benchmark": None,
    "note": None,
}


def _told(size: str, prose: Prose, number: int, copies: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(file, rows with document and truth) of the social and encyclopaedia sources, each language in a file of its own."""
    for source in ("social", "encyclopaedia"):
        for language in ("en", "zh"):
            rows = []
            for i in range(number):
                chance = Chance(size, source, language, i)
                if source == "social":
                    text, kind = prose.post(language, chance), "post"
                    url = f"https://{chance.pick(('square', 'plaza', 'commons'))}.example/{language}/{chance.digits(7)}"
                else:
                    body = prose.draw(language, ("encyclopaedia", "science", "history")[i % 3], chance, chance.between(3, 6))
                    text, kind = body.text(), body.kind
                    url = f"https://{language}.lexicon.example/entry/{chance.digits(6)}"
                rows.append(
                    _row(source=source, language=language, kind=kind, date=f"2026-{chance.between(5, 9):02d}-{chance.between(1, 28):02d}", url=url, text=text)
                )
            for i in range(copies):
                chance = Chance(size, source, language, "copy", i)
                document, truth = rows[i]["document"], rows[i]["truth"]
                truth["group"] = truth["url"]
                url = f"{document['url']}-{chance.digits(3)}"
                copy = _row(
                    source=source,
                    language=language,
                    kind=truth["kind"],
                    date=f"2026-{chance.between(1, 4):02d}-{chance.between(1, 28):02d}",
                    url=url,
                    text=document["text"],
                )
                copy["truth"].update(
                    {"class": f"{truth['class']}_copy", "expect": "text", "also": ["near"], "group": truth["url"], "other": truth["url"], "jaccard": 1.0}
                )
                rows.append(copy)
            yield f"{source}/{source}-{language}.jsonl", Chance(size, source, language, "order").shuffled(rows)


def _row(*, source: str, language: str, kind: str, date: str, url: str, text: str) -> dict[str, Any]:
    return {
        "document": {"text": text, "lang": language, "url": url, "date": date},
        "truth": {
            "url": url,
            "source": source,
            "class": "post" if source == "social" else "entry",
            "expect": "keep",
            "domain": language,
            "language": language,
            "kind": kind,
            "date": date,
        },
    }


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# --- finding it ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def sample_hash() -> str:
    """16 hex digits of the generator's version and of its data files: the name of the folder that holds the sample."""
    digest = hashlib.sha256(f"{VERSION}".encode())
    for entry in sorted(importlib.resources.files("pipeline").joinpath("sources/sample_data").iterdir(), key=lambda entry: entry.name):
        if entry.is_file():
            digest.update(entry.name.encode() + b"\0" + hashlib.sha256(entry.read_bytes()).digest())
    return digest.hexdigest()[:16]


def locate(url: str, cache: Path) -> str:
    """The local glob behind `sample://crawl/*.warc.gz` or `sample://small/crawl/*.warc.gz`, generated under `cache` unless it lies there.

    Two processes may ask at once: each generates in a folder of its own, and the first to be done gives its name. Raises SourceError for
    what the sample does not hold.
    """
    pattern = url.removeprefix("sample://")
    size = "full"
    if pattern.startswith("small/"):
        size, pattern = "small", pattern.removeprefix("small/")
    if not url.startswith("sample://") or pattern.split("/", 1)[0] not in (*_FOLDERS, "truth.jsonl", "texts.jsonl") or ".." in pattern:
        raise SourceError(
            f"{url}: there is no such part of the sample. It holds "
            + ", ".join(f"sample://{name}/" for name in _FOLDERS)
            + ", each of them under sample://small/ as well, truth.jsonl and texts.jsonl."
        )
    folder = Path(cache) / f"sample-{sample_hash()}" / size
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.parent / f".tmp-{size}-{uuid.uuid4().hex}"
        try:
            write_sample(temporary, small=size == "small")
            with contextlib.suppress(OSError):  # another process was first; its files are the same
                os.rename(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        if not folder.exists():
            raise SourceError(f"The sample could not be put into {folder}. Is there space, and may this user write there?")
    return str(folder / pattern)


# --- scoring a run -------------------------------------------------------------------------------------------------------

_SCORE = pa.schema(
    [
        pa.field("stage", pa.string()),  # keep, lost, or a stage of the truth
        pa.field("expected", pa.int64()),  # rows that should end here
        pa.field("found", pa.int64()),  # rows that ended here
        pa.field("right", pa.int64()),  # of those found, the ones for which that is right
        pa.field("met", pa.int64()),  # of those expected, the ones that ended here or where it is as right
        pa.field("precision", pa.float64()),  # right / found; null where none was found
        pa.field("recall", pa.float64()),  # met / expected; null where none was expected
    ]
)


# How the ledger's stages are called in the truth. What is not here and is no deduplication is a filter: `rules`. What the mix left over was kept until then.
_STAGES = {
    "language": "language",
    "decontaminate": "contaminated",
    "sensitive": "sensitive",
    "spam": "spam",
    "quality": "quality",
    "scrub": "contact",
    "licence": "licence",
    "downsample": "keep",
    "mix": "keep",
}
_BY = {"id": "id", "url": "url", "text": "text", "minhash": "near"}


def truth_stage(stage: str, reason: str = "") -> str:
    """The truth's word for a ledger row.

    >>> truth_stage("deduplicate_minhash"), truth_stage("gopher", "word_count >= 50"), truth_stage("web", "unreadable: truncated")
    ('near', 'rules', 'unreadable')
    """
    for word in ("unreadable", "skipped"):
        if stage.startswith(word) or reason.startswith(word):
            return word
    if stage.startswith("dedup"):
        return _BY.get(stage.rsplit("_", 1)[-1], "text")
    return next((meaning for name, meaning in _STAGES.items() if stage.startswith(name)), "rules")


def outcomes(
    truth: Sequence[Mapping[str, Any]],
    ledger: Iterable[Mapping[str, Any]],
    kept: Collection[str],
    stage_of: Callable[[str, str], str] = truth_stage,
) -> list[str]:
    """Where each row of the truth ended: `keep`, a stage, or `lost`, in step with `truth`.

    A row is found by id and url, by url alone where either side has no id, or by file and offset. Among copies of one original all but one should go, and which one
    stays is the run's to choose: where a copy stayed and its original went for the copy's reason, they change places.
    """
    found: dict[tuple[Any, Any], str] = {}
    for row in ledger:
        stage = stage_of(row["stage"], row["reason"])
        found[_base_name(row), row.get("offset")] = stage
        if row.get("url"):
            found[row.get("id"), row["url"]] = stage
            found.setdefault(("any", row["url"]), stage)
    kept = set(kept)
    ended = []
    for row in truth:
        keys: list[tuple[Any, Any]] = [(row.get("id"), row.get("url")), (_base_name(row), row.get("offset")), (None, row.get("url"))]
        if row.get("id") is None:
            keys.append(("any", row.get("url")))
        dropped = next((found[key] for key in keys if key in found), None)
        if dropped:
            ended.append(dropped)
        elif row.get("id") in kept or row.get("url") in kept:
            ended.append("keep")
        else:  # what is skipped by its type is counted, but named by no ledger row
            ended.append("skipped" if row["expect"] == "skipped" or "skipped" in row["also"] else "lost")
    originals = {key: i for i, row in enumerate(truth) if not row.get("other") for key in (row.get("id"), row.get("url")) if key}
    for i, row in enumerate(truth):
        if row.get("other") and row.get("group") and ended[i] == "keep" and row["group"] in originals:
            original = originals[row["group"]]
            if ended[original] in (row["expect"], *row["also"]):
                ended[i], ended[original] = ended[original], ended[i]
    return ended


def _base_name(row: Mapping[str, Any]) -> str:
    return str(row.get("file")).rsplit("/", 1)[-1]


def score(
    truth_rows: Sequence[Mapping[str, Any]] | pa.Table,
    ledger_rows: Iterable[Mapping[str, Any]] | pa.Table,
    kept_ids: Collection[str],
    ran: Collection[str] = ("unreadable", "skipped", "language", "rules", "licence", "url", "id", "text", "near"),
    stage_of: Callable[[str, str], str] = truth_stage,
) -> pa.Table:
    """Precision and recall of every stage on the sample, `keep` and `lost` among them.

    `ran` names the stages of the run: what only a stage that did not run could have found should have been kept. `kept_ids` holds the ids of web pages, and of the other sources the urls (`repository@commit:path` of code): their ids are the readers' affair.
    """
    truth = truth_rows.to_pylist() if isinstance(truth_rows, pa.Table) else list(truth_rows)
    ledger = ledger_rows.to_pylist() if isinstance(ledger_rows, pa.Table) else ledger_rows
    ended = outcomes(truth, ledger, kept_ids, stage_of)
    counts: dict[str, list[int]] = {}

    def count(stage: str, column: int) -> None:
        counts.setdefault(stage, [0, 0, 0, 0])[column] += 1

    for row, end in zip(truth, ended, strict=True):
        expect = row["expect"]
        right = {expect, *row["also"]}
        if expect.startswith("keep_until:"):
            stage = expect.removeprefix("keep_until:")
            expect = stage if stage in ran else "keep"
            right = {expect, *row["also"], stage}
        count(expect, 0)
        count(end, 1)
        if end in right:
            count(end, 2)
            count(expect, 3)
    order = ("keep", *ran, *sorted(set(counts) - {"keep", "lost", *ran}), "lost")
    rows = []
    for stage in order:
        expected, found, right_ones, met = counts.get(stage, [0, 0, 0, 0])
        rows.append((stage, expected, found, right_ones, met, right_ones / found if found else None, met / expected if expected else None))
    return pa.Table.from_arrays([pa.array([row[i] for row in rows], type=_SCORE.field(i).type) for i in range(len(_SCORE))], schema=_SCORE)


__all__ = ["VERSION", "locate", "outcomes", "sample_hash", "score", "truth_stage", "uuid_of", "write_sample"]
