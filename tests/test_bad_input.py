"""Bad input and bad recipes: a clear paragraph or a ledger reason, nothing lost, and an exit status that says when the user must act."""

import ctypes
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline import tasks
from pipeline.errors import SourceError
from pipeline.sources.jsonl import document_id
from pipeline.store import Store
from tests.running import ENVIRONMENT, FLAGSHIP, Finished, World, artefacts, cli, digests

CRASH = "this page kills whoever reads it"

# Found by every Python that the test starts, workers and bisecting children too: `extract_text` aborts the process on the marker.
SITECUSTOMIZE = f"""
import importlib.abc, importlib.util, os, sys

class Saboteur(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "pipeline.rewrite.extract":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            real = module.extract_text
            def extract_text(html, *more, **named):
                if {CRASH!r} in str(html):
                    os.abort()
                return real(html, *more, **named)
            module.extract_text = extract_text
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Saboteur())
"""


def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> str:
    """The paragraph with which the command line ends. In this process: it costs no start."""
    from pipeline.__main__ import main

    monkeypatch.setattr(sys, "argv", ["pipeline", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    assert end.value.code == 1
    assert "Traceback" not in captured.err + captured.out
    assert captured.err.count("Error:") == 1
    return " ".join(captured.err[captured.err.index("Error:") :].split())


Told = Callable[..., str]


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Told:
    return lambda *arguments: told(capsys, monkeypatch, *arguments)


def edited(folder: Path, *changes: tuple[str, str]) -> Path:
    """The flagship with places changed."""
    text = FLAGSHIP.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} must stand once in the flagship"
        text = text.replace(old, new)
    (folder / "r.yaml").write_text(text, encoding="utf-8")
    return folder / "r.yaml"


# --- recipes that cannot be right -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  - extract: {for", "  - extrakt: {for", "stages[0]: unknown stage 'extrakt' (did you mean 'extract'?)"),
        ("main_content: true", "main_kontent: true", "stages[0].extract.main_kontent: unknown setting (did you mean 'main_content'?)"),
        ("{en: 0.52, zh: 0.40, code: 0.08}", "{en: 0.52, zh: 0.40, code: 0.80}", "mix.shares: the shares sum to 1.72, not to 1; take away 0.72"),
    ],
)
def test_a_fault_of_the_recipe_is_one_paragraph(tmp_path: Path, error_of: Told, old: str, new: str, says: str) -> None:
    recipe = edited(tmp_path, (old, new))
    message = error_of("run", recipe, "--work", tmp_path / "work", "--here")
    assert f"{recipe}:" in message
    assert says in message
    assert not (tmp_path / "work").exists(), "nothing was begun"


def test_an_input_option_without_a_name_is_one_paragraph(tmp_path: Path, error_of: Told) -> None:
    assert "--input crawl/*.gz: write NAME=GLOB" in error_of("plan", FLAGSHIP, "--work", tmp_path, "--input", "crawl/*.gz")


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("glob", "says"),
    [
        ("nowhere/a.warc.gz", "Source 'web': there is no file or folder {folder}/nowhere/a.warc.gz. Check the path"),
        ("crawl/*.nothing", "Source 'web': no file matches {folder}/crawl/*.nothing. Check the path and the pattern"),
    ],
)
def test_inputs_that_are_not_there_are_one_paragraph(world: World, tmp_path: Path, error_of: Told, command: str, glob: str, says: str) -> None:
    message = error_of(command, FLAGSHIP, "--work", tmp_path, *world.options(web=f"{world.folder}/{glob}"))
    assert says.format(folder=world.folder) in message


def like_anybody() -> None:
    """In a child that is about to start: even root now minds permissions (prctl PR_CAPBSET_DROP of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH)."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        libc.prctl(24, 1)
        libc.prctl(24, 2)


@pytest.mark.parametrize("files", ["crawl/*.warc.gz", "crawl"])
def test_a_folder_that_may_not_be_listed_is_one_paragraph(tmp_path: Path, files: str) -> None:
    (tmp_path / "crawl").mkdir(mode=0)
    command = [sys.executable, "-m", "pipeline", "plan", str(FLAGSHIP), "--work", str(tmp_path / "work"), "--input", f"web={tmp_path}/{files}"]
    done = subprocess.run(command, env=ENVIRONMENT, preexec_fn=like_anybody, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"Source 'web': the folder {tmp_path}/crawl cannot be listed" in " ".join(done.stderr.split())
    assert "Check its permissions." in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_work_folder_that_may_not_be_written_is_one_paragraph(world: World, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir(mode=0o500)
    command = [sys.executable, "-m", "pipeline", "run", str(FLAGSHIP), "--work", str(tmp_path / "work"), "--here", *world.options()]
    done = subprocess.run(command, env=ENVIRONMENT, preexec_fn=like_anybody, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"{tmp_path / 'work' / 'lock'} cannot be written: Permission denied." in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_domain_without_documents_is_one_paragraph(world: World, finished: Finished, tmp_path: Path, error_of: Told) -> None:
    work = shutil.copytree(finished.work, tmp_path / "work")
    recipe = edited(
        tmp_path,
        ("{en: 0.52, zh: 0.40, code: 0.08}", "{en: 0.52, zh: 0.40, fr: 0.08}"),
        ("{en: 1, zh: 4, code: 4}", "{en: 1, zh: 4}"),
        ('version: "', 'version: "fr-'),
    )
    message = error_of("run", recipe, "--work", work, "--here", *world.options())
    assert "The mix asks for 8% fr, but no document of this domain is left" in message
    assert "take the domain out of `mix.shares`" in message


# --- work folders ----------------------------------------------------------------------------------------------------------------


def test_a_second_driver_is_one_paragraph(world: World, tmp_path: Path, error_of: Told) -> None:
    with Store(str(tmp_path)).lock():
        assert f"Another run (process {os.getpid()}) is at work in {tmp_path}." in error_of("run", FLAGSHIP, "--work", tmp_path, "--here", *world.options())


def test_a_version_that_exists_with_other_content_is_one_paragraph(world: World, finished: Finished, tmp_path: Path, error_of: Told) -> None:
    work = shutil.copytree(finished.work, tmp_path / "work")
    recipe = edited(tmp_path, ("word_count: {min: 50, max: 100_000}", "word_count: {min: 51, max: 100_000}"))
    message = error_of("run", recipe, "--work", work, "--here", *world.options())
    assert f"The release {finished.name} exists in {work} and was made of something else" in message
    assert "word_count.min: 50.0 -> 51.0" in message
    assert "raise `version:` in the recipe" in message
    assert digests(work / "releases" / finished.name) == finished.digests, "what was published stays as it was"


def test_a_folder_that_is_no_release_is_not_overwritten(world: World, tmp_path: Path, error_of: Told) -> None:
    own = tmp_path / "releases" / f"skypile@{world.recipe().version}" / "notes.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert "holds files but no manifest.json" in error_of("run", FLAGSHIP, "--work", tmp_path, "--here", *world.options())
    assert own.read_text() == "mine"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
        if os.geteuid() == 0
        else None
    )
    if mounted is None or mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip() if mounted else 'not root'}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_loses_nothing(world: World, finished: Finished, small_disk: Path, error_of: Told) -> None:
    """One paragraph each time it is full, with more done each time it grew, and in the end the same bytes."""
    done = []
    for size in ("1m", "2m", "3m"):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(small_disk)], check=True)
        message = error_of("run", FLAGSHIP, "--work", small_disk, "--here", *world.options())
        assert f"The disk is full: {small_disk}/" in message
        assert "free some space, or move the work folder, and run again" in message
        assert not [name for name in artefacts(small_disk) if ".tmp" in name]
        done.append(len([name for name in artefacts(small_disk) if name.endswith(".json")]))
    assert done == sorted(done)
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert digests(pipeline.run(world.recipe(), small_disk, here=True).path) == finished.digests


def test_a_full_disk_is_told_by_workers_too(world: World, small_disk: Path) -> None:
    done = cli("run", FLAGSHIP, "--work", small_disk, "--cpus", "2", *world.options())
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert f"Error: The disk is full: {small_disk}/" in " ".join(done.stderr.split())


def test_a_file_that_cannot_be_opened_stops_the_run_when_all_else_is_done(
    world: World, tmp_path: Path, error_of: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tasks.read

    def read(source: Any, unit: Any, **more: Any) -> Iterator[Any]:
        if unit.files[0].path == "sample-00003.warc.gz":
            raise SourceError("sample-00003.warc.gz cannot be opened: Permission denied.")
        yield from real(source, unit, **more)

    monkeypatch.setattr(tasks, "read", read)
    message = error_of("run", FLAGSHIP, "--work", tmp_path, "--here", *world.options())
    assert "1 input files could not be opened; all other units are done. sample-00003.warc.gz cannot be opened: Permission denied." in message
    assert "unreadable_files: tolerate" in message
    to_do = pipeline.plan(world.recipe(), tmp_path).to_do()
    assert (to_do["text"], to_do["measures"], to_do["language"]) == (1, 1, 1)
    tolerant = edited(
        tmp_path,
        ("    licence: as found on the web; see the data card\n", "    licence: as found on the web; see the data card\n    unreadable_files: tolerate\n"),
    )
    release = pipeline.run(world.recipe(tolerant), tmp_path, here=True)
    (row,) = [row for row in release.ledger.to_pylist() if row["file"] == "sample-00003.warc.gz"]
    assert (row["stage"], row["reason"]) == ("source", "unreadable: the file cannot be opened")


# --- damaged and hostile files: one run of them all ---------------------------------------------------------------------------------

PAGE = (
    "<html><body><main>"
    + "".join(f"<p>Paragraph {i}: the ferry to the island leaves at {i} in the morning, and it is the only one.</p>" for i in range(9))
    + "</main></body></html>"
)


def warc(*pages: tuple[str, str]) -> bytes:
    """A WARC file, not compressed, of (WARC-Record-ID's last digits, page)."""
    out = b""
    for i, html in pages:
        http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}".encode()
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{i:0>12}>\r\nWARC-Target-URI: https://bad.example/{i}\r\nWARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
        out += head.encode() + http + b"\r\n\r\n"
    return out


def post(text: str, i: int) -> bytes:
    return json.dumps({"text": text, "lang": "en", "url": f"https://bad.example/post/{i}", "date": "2026-01-01"}).encode()


@pytest.fixture(scope="module")
def hostile(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, pipeline.Release, subprocess.CompletedProcess[str]]:
    """The small sample with every kind of bad file among it, run by the command line on two cores, and the page that kills its worker."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(world.folder, folder / "sample")
    bad = World.at(folder / "sample")
    crawl, social = bad.folder / "crawl", bad.folder / "social"
    whole = (crawl / "sample-00004.warc.gz").read_bytes()
    (crawl / "sample-00004.warc.gz").write_bytes(whole[: len(whole) * 2 // 3])
    (crawl / "noise.warc.gz").write_bytes(random.Random(1).randbytes(200_000))
    (crawl / "empty.warc.gz").write_bytes(b"")
    (crawl / "killer.warc.gz").write_bytes(
        warc(
            ("1", PAGE),
            ("2", PAGE.replace("ferry", CRASH)),
            ("3", PAGE.replace("island", "village")),
            ("4", "<p>\udcff broken".encode("utf-8", "surrogateescape").decode("latin-1")),
        )
    )
    words = [f"w{i}" for i in range(1000)]
    (social / "huge.jsonl").write_bytes(post(" ".join(random.Random(2).choices(words, k=11_000_000)), 1) + b"\n")
    (social / "empty.jsonl").write_bytes(b"")
    (social / "invalid.jsonl").write_bytes(
        b'{"text": "not \xff\xfe UTF-8", "lang": "en"}\n'
        + post("A post that stands between two broken lines, and is sound.", 2)
        + b'\n{"text": "cut\n\n[1, 2]\n{"lang": "en"}\n'
    )
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    done = cli(
        "run",
        FLAGSHIP,
        "--work",
        folder / "work",
        "--cpus",
        "2",
        *bad.options(),
        PYTHONPATH=f"{folder}/site{os.pathsep}{ENVIRONMENT['PYTHONPATH']}",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return bad, pipeline.open_release(str(next((folder / "work" / "releases").iterdir()))), done


Hostile = tuple[World, pipeline.Release, subprocess.CompletedProcess[str]]


def reasons(hostile: Hostile, file: str) -> list[tuple[int, str]]:
    """(offset, reason) of the records of a file that could not be read."""
    return [(row["offset"], row["reason"]) for row in hostile[1].ledger.to_pylist() if row["file"] == file and row["stage"] == "source"]


def everyone(release: pipeline.Release) -> Counter[str]:
    """How often each id is released or dropped."""
    found: Counter[str] = Counter(row["id"] for row in release.ledger.to_pylist() if row["id"])
    for split in ("train", "validation"):
        for batch in release.documents(split=split, columns=["id"]):
            found.update(batch.column("id").to_pylist())
    return found


def test_a_warc_cut_in_the_middle_keeps_what_is_whole(hostile: Hostile, finished: Finished) -> None:
    ((offset, reason),) = reasons(hostile, "sample-00004.warc.gz")
    assert reason == f"unreadable: truncated gzip member at byte {offset}"
    before = [row for row in finished.release.ledger.to_pylist() if row["file"] == "sample-00004.warc.gz" and row["offset"] < offset]
    after = [row for row in hostile[1].ledger.to_pylist() if row["file"] == "sample-00004.warc.gz" and row["offset"] < offset]
    filters = {"language", "gopher_quality", "gopher_repetition", "fineweb", "shape_zh", "symbols_zh", "repetition_zh"}
    assert [(r["id"], r["reason"]) for r in before if r["stage"] in filters] == [(r["id"], r["reason"]) for r in after if r["stage"] in filters]


def test_a_warc_of_random_bytes_is_one_unreadable_record(hostile: Hostile) -> None:
    assert [(o, r.startswith("unreadable: no WARC record at byte 0")) for o, r in reasons(hostile, "noise.warc.gz")] == [(0, True)]


def test_empty_files_are_counted(hostile: Hostile) -> None:
    assert hostile[1].stats["records"]["skipped"]["empty file"] >= 1
    assert reasons(hostile, "empty.warc.gz") == reasons(hostile, "empty.jsonl") == []


def test_broken_lines_lose_only_themselves(hostile: Hostile) -> None:
    found = reasons(hostile, "invalid.jsonl")
    assert [reason.split(" at byte")[0] for _, reason in found] == [
        "unreadable: invalid UTF-8",
        "unreadable: invalid JSON",
        "unreadable: not a JSON object",
        "unreadable: no text in field 'text'",
    ]
    content = (hostile[0].folder / "social" / "invalid.jsonl").read_bytes()
    assert all(offset == 0 or content[offset - 1 : offset] == b"\n" for offset, _ in found)
    sound = json.loads(content.splitlines()[1])
    assert everyone(hostile[1])[document_id(None, sound["url"], sound["text"])] == 1


def test_a_document_of_50_mb_on_one_line_is_judged_like_any_other(hostile: Hostile) -> None:
    size = (hostile[0].folder / "social" / "huge.jsonl").stat().st_size
    assert size > 50_000_000
    (row,) = [row for row in hostile[1].ledger.to_pylist() if row["file"] == "huge.jsonl"]
    assert row["stage"] != "source"
    assert row["offset"] == 0


def test_a_record_that_crashes_its_worker_is_quarantined_alone(hostile: Hostile) -> None:
    _, release, done = hostile
    ((offset, reason),) = reasons(hostile, "killer.warc.gz")
    assert reason == "unreadable: crashed its worker twice"
    assert offset == len(warc(("1", PAGE)))
    assert "killer.warc.gz killed its worker twice; looking for the record that does it" in done.stderr
    assert f"quarantined: killer.warc.gz at {offset}" in done.stderr
    counts = everyone(release)
    assert [counts[f"{i:0>32}"] for i in (1, 2, 3, 4)] == [1, 0, 1, 1]


def test_nothing_else_is_lost(hostile: Hostile, finished: Finished) -> None:
    lost = everyone(finished.release) - everyone(hostile[1])
    cut = reasons(hostile, "sample-00004.warc.gz")[0][0]
    behind = {row["id"] for row in hostile[0].truth if row["file"] == "crawl/sample-00004.warc.gz" and row["offset"] >= cut}
    assert lost.keys() <= behind
    assert max(everyone(hostile[1]).values()) == max(everyone(finished.release).values())
