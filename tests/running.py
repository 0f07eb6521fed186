"""Helpers of the tests of whole runs: the flagship pointed at a sample, the command line as a user runs it, digests of a release."""

import hashlib
import json
import os
import subprocess
import sys
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
        return cls(folder, {"web": f"{folder}/crawl/*.warc.gz", "social": f"{folder}/social/*.jsonl", "encyclopaedia": f"{folder}/encyclopaedia/*.jsonl", "code": f"{folder}/code/*"})

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


def digests(release: str | Path) -> dict[str, str]:
    """sha256 of every file of a release, by its path."""
    folder = Path(release)
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def artefacts(work: Path) -> dict[str, int]:
    """Modification time of every file that a run keeps, by its path; without the lock and the copy of the sample."""
    return {str(p.relative_to(work)): p.stat().st_mtime_ns for p in work.rglob("*") if p.is_file() and p.name != "lock" and "inputs" not in p.parts}


def cli(*arguments: str | Path, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m pipeline …` as a user runs it."""
    return subprocess.run([sys.executable, "-m", "pipeline", *map(str, arguments)], env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=timeout, check=False)


def one_paragraph(done: subprocess.CompletedProcess[str]) -> str:
    """The error that a run ended with: exit status 1, a sentence for a person, and no traceback."""
    assert done.returncode == 1, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr and "Traceback" not in done.stdout, done.stderr
    assert done.stderr.count("Error:") == 1, done.stderr
    return " ".join(done.stderr[done.stderr.index("Error:") :].split())
