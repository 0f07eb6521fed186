"""Source code out of archives and folders: byte for byte, and nothing that is no text."""

import io
import os
import subprocess
import tarfile

import pytest
import zstandard

from pipeline.sources import Source, list_units, read
from pipeline.sources.languages import language_of

FILES = {
    "src/main.py": b"# SPDX-License-Identifier: Apache-2.0\nif x:\n\tpass  \r\n\n\n",
    "Makefile": b"all:\n\ttrue\n",
    "tool": b"#!/usr/bin/env python3\nprint()\n",
    "gbk.c": "/* 这是一个用国标编码写的注释，编译器不在乎它的内容。 */ int main(void) { return 0; }\n".encode("gb18030"),
    "image.png": b"\x89PNG\0\0",
    "empty.txt": b"",
    ".git/config": b"[core]\n",
}


def load(*files, quarantine=frozenset(), batch_bytes=8 << 20):
    source = Source("c", "code", tuple(map(str, files)), domain="code")
    rows, unreadable, skipped = [], [], {}
    for unit in list_units(source):
        for batch in read(source, unit, quarantine=quarantine, batch_bytes=batch_bytes):
            rows += batch.records.to_pylist()
            unreadable += batch.unreadable
            for kind, count in batch.skipped.items():
                skipped[kind] = skipped.get(kind, 0) + count
    return rows, unreadable, skipped


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "project"
    for name, data in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    os.symlink("/etc/passwd", root / "link.py")
    return root


def tarred(tree, path):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as tar:
        for name in sorted(os.listdir(tree)):
            tar.add(tree / name, name)
        device = tarfile.TarInfo("dev/null")
        device.type = tarfile.CHRTYPE
        tar.addfile(device)
    return path


def test_a_folder(tree):
    rows, unreadable, skipped = load(tree)
    by_path = {row["file"]: row for row in rows}
    assert set(by_path) == {"src/main.py", "Makefile", "tool", "gbk.c"}
    assert by_path["src/main.py"]["text"].encode() == FILES["src/main.py"]
    assert [by_path[p]["programming_language"] for p in ("src/main.py", "Makefile", "tool", "gbk.c")] == ["Python", "Makefile", "Python", "C"]
    assert by_path["src/main.py"]["licence"] == "Apache-2.0" and by_path["Makefile"]["licence"] is None
    assert by_path["src/main.py"]["url"] == "project@:src/main.py" and by_path["src/main.py"]["domain"] == "code"
    assert "国标编码" in by_path["gbk.c"]["text"]
    assert not unreadable and skipped == {"binary": 1, "empty": 1}


@pytest.mark.parametrize("name", ["project.tar", "project.tar.gz", "project.tgz", "project.tar.zst"])
def test_an_archive_gives_the_documents_of_its_folder(tree, tmp_path, name):
    path = tarred(tree, tmp_path / name.replace(".zst", ""))
    if name.endswith(".zst"):
        path = tmp_path / name
        path.write_bytes(zstandard.compress((tmp_path / "project.tar").read_bytes()))
    rows, unreadable, skipped = load(path)
    expected, _, _ = load(tree)
    assert {(r["id"], r["text"], r["url"]) for r in rows} == {(r["id"], r["text"], r["url"]) for r in expected}
    assert not unreadable and skipped == {"binary": 1, "empty": 1, "link": 1, "device": 1, "version control": 1}
    assert load(path, batch_bytes=1)[0] == rows
    gone = rows[1]
    kept, unreadable, _ = load(path, quarantine=frozenset({(gone["file"], gone["offset"])}))
    assert len(kept) == len(rows) - 1 and unreadable[0][1] == gone["offset"]


def test_a_truncated_archive_keeps_what_came_before(tree, tmp_path):
    path = tarred(tree, tmp_path / "project.tar")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    rows, unreadable, _ = load(path)
    assert len(unreadable) == 1 and "archive at byte" in unreadable[0][2] and len(rows) < 4
    path = tmp_path / "noise.tar.gz"
    path.write_bytes(os.urandom(5000))
    rows, unreadable, _ = load(path)
    assert not rows and len(unreadable) == 1


def test_huge_files_are_skipped_and_unknown_bytes_unreadable(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in (("big.json", b" " * (9 << 20)), ("odd.c", bytes(range(128, 160)) * 3 + b"\x01\x02"), ("a.rs", b"fn main() {}\n")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path = tmp_path / "r.tar"
    path.write_bytes(buffer.getvalue())
    rows, unreadable, skipped = load(path)
    assert [row["programming_language"] for row in rows] == ["Rust"]
    assert skipped == {"over 8 MB": 1} and len(unreadable) == 1


def test_the_commit_of_git_archive_enters_the_id(tree, tmp_path):
    git = ["git", "-C", str(tree), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    (tree / ".git" / "config").unlink()
    (tree / ".git").rmdir()
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["archive", "-o", str(tmp_path / "p.tar"), "HEAD"]):
        if subprocess.run(git + command, capture_output=True, check=False).returncode:
            pytest.skip("git cannot commit here")
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, check=True, text=True).stdout.strip()
    rows, _, _ = load(tmp_path / "p.tar")
    assert {row["url"] for row in rows} >= {f"p@{head}:src/main.py"}


@pytest.mark.parametrize(
    ("path", "beginning", "language"),
    [
        ("a/b.cpp", "", "C++"), ("x.TS", "", "TypeScript"), ("CMakeLists.txt", "", "CMake"), ("notes.txt", "", "Text"), ("Dockerfile.dev", "", "Dockerfile"),
        ("run", "#!/bin/sh\n", "Shell"), ("run", "#! /usr/bin/env -S node --x\n", "JavaScript"), ("run", "hello", None), ("f.m", "function y = f(x)", "MATLAB"),
        ("f.m", "#import <Foundation/Foundation.h>", "Objective-C"), (".gitignore", "", "Ignore List"), ("a.unknown", "", None), ("a.ipynb", "", "Jupyter Notebook"),
    ],
)  # fmt: skip
def test_languages(path, beginning, language):
    assert language_of(path, beginning) == language
