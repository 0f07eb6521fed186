"""Helpers of the tests of whole runs: the flagship pointed at a sample, the command line as a user runs it, digests of a release."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pipeline

ROOT = Path(__file__).parents[1]
FLAGSHIP = ROOT / "recipes" / "skypile.yaml"

# What a child needs to find the package, installed or not.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])), "COLUMNS": "200"}


@dataclass(frozen=True)
class World:
    """A sample on disk, and the flagship's sources pointed at it."""

    folder: Path
    inputs: dict[str, str]

    @classmethod
    def at(cls, folder: Path) -> "World":
        return cls(
            folder,
            {
                "web": f"{folder}/crawl/*.warc.gz",
                "social": f"{folder}/social/*.jsonl",
                "encyclopaedia": f"{folder}/encyclopaedia/*.jsonl",
                "code": f"{folder}/code/*",
            },
        )

    def recipe(self, path: str | Path = FLAGSHIP, **inputs: str) -> pipeline.Recipe:
        return pipeline.Recipe.load(path, {**self.inputs, **inputs})

    def options(self, **inputs: str) -> list[str]:
        """The inputs as the command line takes them."""
        return [part for name, glob in {**self.inputs, **inputs}.items() for part in ("--input", f"{name}={glob}")]

    @property
    def truth(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()]


@dataclass
class Finished:
    """A run that is done: its work folder, which nobody changes, and its release."""

    work: Path
    release: pipeline.Release
    digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.digests = digests(self.release.path)

    @property
    def name(self) -> str:
        """NAME@VERSION."""
        return Path(self.release.path).name


def digests(release: str | Path) -> dict[str, str]:
    """sha256 of every file of a release, by its path."""
    folder = Path(release)
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def artefacts(work: Path) -> dict[str, int]:
    """Modification time of every file that a run keeps, by its path; without the lock and the copy of the sample."""
    return {
        str(p.relative_to(work)): p.stat().st_mtime_ns
        for p in work.rglob("*")
        if p.is_file() and p.name not in ("lock", "timings.json") and "inputs" not in p.parts
    }


def cli(*arguments: str | Path, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m pipeline …` as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def one_paragraph(done: subprocess.CompletedProcess[str]) -> str:
    """The error that a run ended with: exit status 1, a sentence for a person, and no traceback."""
    assert done.returncode == 1, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr and "Traceback" not in done.stdout, done.stderr
    assert done.stderr.count("Error:") == 1, done.stderr
    return " ".join(done.stderr[done.stderr.index("Error:") :].split())


# --- killing ------------------------------------------------------------------------------------------------------------------


def descendants(pid: int, name: bytes = b"") -> list[int]:
    """Living processes below `pid` whose command line begins with `name`."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        todo += below
        found += below
    return [p for p in found if command_line(p).startswith(name)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def processes_of(marker: str) -> list[int]:
    """Living processes with `marker` in their command line or their environment, this one left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if (
                    marker.encode() in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                    and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                ):
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found


class Watch:
    """How far a run has come: the number of files that were ever seen in its work folder. A moment, on a fast machine and on a slow one."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.seen: set[str] = set()

    def files(self) -> int:
        for folder, _, names in os.walk(self.work):
            if "inputs" not in folder and ".tmp" not in folder.split("/"):
                self.seen.update(f"{folder}/{name}" for name in names if not name.startswith(".tmp-"))
        return len(self.seen)

    def wait(self, files: int, going_on: Callable[[], bool]) -> bool:
        """Wait until so many files were seen; False where the run ended before."""
        while self.files() < files:
            if not going_on():
                return False
            time.sleep(0.005)
        return True
