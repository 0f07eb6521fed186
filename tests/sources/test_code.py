"""Source code out of archives and folders: byte for byte, and nothing that is no text."""

import io
import os
import subprocess
import tarfile

import pytest
import zstandard

from pipeline.errors import SourceError
from pipeline.measures.linguist import language_of
from pipeline.sources import Source, list_units, read

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
    assert not unreadable and skipped == {"binary": 1, "empty": 1, "link": 1}


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
        ("run", "#!/bin/sh\n", "Shell"), ("run", "#! /usr/bin/env -S node --x\n", "JavaScript"), ("run", "hello", "Text"), ("run", " \n", None), ("f.m", "function y = f(x)", "MATLAB"),
        ("f.m", "#import <Foundation/Foundation.h>", "Objective-C"), (".gitignore", "", "Ignore List"), ("a.unknown", "", None), ("a.ipynb", "", "Jupyter Notebook"),
    ],
)  # fmt: skip
def test_languages(path, beginning, language):
    assert language_of(path, beginning) == language


# --- git --------------------------------------------------------------------------------------------------------------------------

MIT = """MIT License

Copyright (c) 2021 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def commit(folder, files, *, links=(), submodule=None):
    """A repository with one commit of exactly these files, written by libgit2; (its id, the repository)."""
    import pygit2

    repository = pygit2.init_repository(str(folder), bare=folder.name.endswith(".git"))

    def tree(entries, depth=""):
        builder = repository.TreeBuilder()
        for name in sorted({path.split("/")[0] for path in entries}):
            below = {path.split("/", 1)[1]: data for path, data in entries.items() if path.startswith(name + "/")}
            if below:
                builder.insert(name, tree(below, f"{depth}{name}/"), pygit2.enums.FileMode.TREE)
            else:
                mode = pygit2.enums.FileMode.LINK if depth + name in links else pygit2.enums.FileMode.BLOB
                builder.insert(name, repository.create_blob(entries[name]), mode)
        if submodule and not depth:
            builder.insert(submodule, pygit2.Oid(hex="1" * 40), pygit2.enums.FileMode.COMMIT)
        return builder.write()

    who = pygit2.Signature("T", "t@example.com", 1700000000, 0)
    made = repository.create_commit("HEAD", who, who, "x", tree(files), [] if repository.is_empty else [repository.head.target])
    return str(made), repository


@pytest.mark.parametrize("name", ["project.git", "project"])
def test_a_repository_is_read_at_its_commit(tmp_path, name):
    files = {
        "src/a.py": b"print(1)\n", "LICENSE": MIT.encode(), "weights.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "picture.png": b"\x89PNG\0", "way/out": b"../../etc/passwd", "empty": b"",
    }  # fmt: skip
    head, _ = commit(tmp_path / name, files, links=("way/out",), submodule="theirs")
    (tmp_path / name / "unsaved.py").write_bytes(b"not in the commit\n")
    rows, unreadable, skipped = load(tmp_path / name)
    assert {row["path"]: row["text"].encode() for row in rows} == {path: files[path] for path in ("LICENSE", "src/a.py")}
    assert {row["url"] for row in rows} == {f"project@{head}:src/a.py", f"project@{head}:LICENSE"}
    code = next(row for row in rows if row["path"] == "src/a.py")
    assert (code["repository"], code["licence"], code["licence_file"], code["date"]) == ("project", "MIT", "LICENSE", "2023-11-14T22:13:20Z")
    assert code["programming_language"] == "Python" and code["licence_confidence"] > 0.9
    assert not unreadable and skipped == {"Git LFS pointer": 1, "binary": 1, "link": 1, "empty": 1, "submodule": 1}
    gone, unreadable, _ = load(tmp_path / name, quarantine=frozenset({(code["file"], code["offset"])}))
    assert len(gone) == 1 and unreadable[0][1] == code["offset"]


def test_a_folder_of_repositories_and_a_revision(tmp_path):
    first, _ = commit(tmp_path / "all" / "one.git", {"a.c": b"int a;\n"})
    second, _ = commit(tmp_path / "all" / "one.git", {"b.c": b"int b;\n"})
    commit(tmp_path / "all" / "deep" / "two", {"c.go": b"package c\n"})
    (tmp_path / "all" / "loose.rs").write_text("fn main() {}\n")
    for files in (tmp_path / "all",), (tmp_path / "all" / "*.git", tmp_path / "all" / "deep" / "*", tmp_path / "all" / "*.rs"):
        rows, _, _ = load(*files)
        assert {(row["repository"].rpartition("/")[2], row["path"]) for row in rows} >= {("one", "b.c"), ("two", "c.go")} and len(rows) == 3
    assert {row["repository"] for row in load(tmp_path / "all")[0]} == {"one", "deep/two", "all"}, "owners are seen, and two repositories of one name are two"
    units = {revision: list_units(Source("c", "code", (str(tmp_path / "all" / "one.git"),), revision=revision)) for revision in ("HEAD", first[:10])}
    assert units["HEAD"][0].files[0].etag == second and units[first[:10]][0].files[0].etag == first
    with pytest.raises(SourceError, match="has no commit 'nowhere'"):
        list_units(Source("c", "code", (str(tmp_path / "all" / "one.git"),), revision="nowhere"))


# --- licences of a tree -------------------------------------------------------------------------------------------------------------

LICENSED = {
    "a.py": b"x = 1\n",
    "vendor/gpl/COPYING": b"GNU GENERAL PUBLIC LICENSE\nVersion 2, June 1991\n",
    "vendor/gpl/deep/b.c": b"int b;\n",
    "vendor/gpl/c.c": b"/* SPDX-License-Identifier: (BSD-3-Clause OR GPL-2.0) */\nint c;\n",
    "lib/gpl.c": b"/* This library is free software: GNU Lesser General Public License as published by the Free Software Foundation */\\nint g;\\n",
    "js/package.json": b'{"name": "j", "license": "ISC"}',
    "js/index.js": b"module.exports = 1;\n",
    "LICENSE": MIT.encode(),  # last, in an archive
}
EXPECTED = {
    "a.py": "MIT",
    "lib/gpl.c": "LGPL-2.1-or-later",
    "vendor/gpl/deep/b.c": "GPL-2.0-only",
    "vendor/gpl/c.c": "(BSD-3-Clause OR GPL-2.0-only)",
    "js/index.js": "ISC",
    "LICENSE": "MIT",
}


def written(folder, form, files):
    """A repository of these files as a folder, an archive with them in this order, or a commit; where it is."""
    where = folder / {"folder": "p", "tar": "p.tar", "git": "p.git"}[form]
    if form == "git":
        commit(where, files)
    elif form == "tar":
        with tarfile.open(where, "w") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    else:
        for name, data in files.items():
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            (where / name).write_bytes(data)
    return where


@pytest.mark.parametrize("form", ["folder", "tar", "git"])
def test_the_nearest_licence_upward_wins(tmp_path, form):
    rows, _, _ = load(written(tmp_path, form, LICENSED))
    assert {row["path"]: row["licence"] for row in rows if row["path"] in EXPECTED} == EXPECTED


@pytest.mark.parametrize("form", ["folder", "tar", "git"])
def test_a_notice_counts_only_for_what_it_says(tmp_path, form):
    files = {
        "LICENSE": MIT.encode(), "NOTICE": b"Project\nCopyright 2020 Somebody\n", "a.py": b"x = 1\n", "in/NOTICE.txt": b"Thanks to all.\n", "in/b.py": b"y = 2\n",
        "lib/NOTICE.md": b"Lib\n\nLicensed under the Apache License, Version 2.0.\n\nThis product includes X, released under the MIT license.\n", "lib/c.py": b"z = 3\n",
    }  # fmt: skip
    rows, _, _ = load(written(tmp_path, form, files))
    by_path = {row["path"]: (row["licence"], row["licence_file"]) for row in rows}
    assert by_path.pop("lib/c.py") == by_path.pop("lib/NOTICE.md") == ("Apache-2.0", "lib/NOTICE.md")
    assert set(by_path.values()) == {("MIT", "LICENSE")} and len(by_path) == 5


@pytest.mark.parametrize(("form", "number"), [("folder", None), ("tar", 4), ("git", 4)])
def test_the_files_of_a_repository_are_counted_before_any_filter(tmp_path, form, number):
    files = {"a.py": b"x = 1\n", "deep/b.py": b"y = 2\n", "empty": b"", "picture.png": b"\x89PNG\0"}
    rows, _, _ = load(written(tmp_path, form, files))
    assert [row["repository_files"] for row in rows] == [number, number]


def test_a_damaged_repository_does_not_say_how_many_files_it_has(tmp_path):
    tar = written(tmp_path, "tar", {"a.py": b"x = 1\n", "b.py": b"y" * 5000})
    tar.write_bytes(tar.read_bytes()[:3000])
    _, repository = commit(tmp_path / "p.git", {"a.py": b"x = 1\n", "b.py": b"y = 2\n"})
    gone = str(repository.revparse_single("HEAD:b.py").id)
    (tmp_path / "p.git" / "objects" / gone[:2] / gone[2:]).unlink()
    for where in (tar, tmp_path / "p.git"):
        rows, unreadable, _ = load(where)
        assert [(row["path"], row["repository_files"]) for row in rows] == [("a.py", None)] and len(unreadable) == 1


def test_version_control_in_an_archive_is_no_part_of_the_repository(tree, tmp_path):
    rows, _, _ = load(tarred(tree, tmp_path / "project.tar"))
    assert {row["repository_files"] for row in rows} == {len(FILES) - 1}


def test_a_licence_that_changes_changes_the_units_that_it_covers(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.py").write_text("x = 1\n")
    (tmp_path / "p" / "LICENSE").write_text(MIT)
    source = Source("c", "code", (str(tmp_path / "p" / "*.py"), str(tmp_path / "p" / "LICENSE")))
    (before,) = (unit.identity() for unit in list_units(source))
    (tmp_path / "p" / "LICENSE").write_text("All rights reserved.\n")
    (after,) = (unit.identity() for unit in list_units(source))
    assert before != after


def test_a_path_that_leads_out_of_the_tree_is_no_document(tmp_path):
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        for name in ("../../etc/cron.d/x.py", "/etc/x.py", "in/side.py"):
            info = tarfile.TarInfo(name)
            info.size = 6
            tar.addfile(info, io.BytesIO(b"x = 1\n"))
    rows, _, skipped = load(tmp_path / "p.tar")
    assert [row["path"] for row in rows] == ["in/side.py"] and skipped == {"path out of the tree": 2}


# --- damaged repositories, and other ways out -------------------------------------------------------------------------------------------


def test_a_repository_without_a_commit_among_others_is_reported(tmp_path):
    import pygit2

    commit(tmp_path / "all" / "good.git", {"a.py": b"x = 1\n"})
    pygit2.init_repository(str(tmp_path / "all" / "empty.git"), bare=True)
    (tmp_path / "all" / "broken").mkdir()
    (tmp_path / "all" / "broken" / ".git").write_text("gitdir: /nowhere\n")
    rows, unreadable, _ = load(tmp_path / "all")
    assert [row["path"] for row in rows] == ["a.py"]
    assert sorted(u[0] for u in unreadable) == ["broken", "empty.git"] and all(u[2].startswith("unreadable: ") for u in unreadable)
    with pytest.raises(SourceError):
        load(tmp_path / "all" / "empty.git")


def test_a_missing_object_costs_its_file_alone(tmp_path):
    _, repository = commit(tmp_path / "p.git", {"a.py": b"x = 1\n", "b.py": b"y = 2\n", "LICENSE": MIT.encode()})
    for name in ("a.py", "LICENSE"):
        gone = str(repository.revparse_single(f"HEAD:{name}").id)
        (tmp_path / "p.git" / "objects" / gone[:2] / gone[2:]).unlink()
    rows, unreadable, _ = load(tmp_path / "p.git")
    assert [row["path"] for row in rows] == ["b.py"] and rows[0]["licence"] is None
    assert sorted(u[3].rpartition(":")[2] for u in unreadable) == ["LICENSE", "a.py"]


def test_a_deep_tree_is_read(tmp_path):
    commit(tmp_path / "p.git", {"/".join("d" * 300) + "/a.py": b"x = 1\n"})
    assert len(load(tmp_path / "p.git")[0]) == 1


def test_an_archive_with_an_impossible_time_keeps_its_licences(tmp_path):
    with tarfile.open(tmp_path / "p.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "a" * 40}) as tar:
        for name, data, mtime in (("a.py", b"x = 1\n", 1e300), ("b.py", b"x = 2\n", 1e13), ("LICENSE", MIT.encode(), 0)):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), mtime
            tar.addfile(info, io.BytesIO(data))
    rows, _, _ = load(tmp_path / "p.tar")
    assert {row["licence"] for row in rows} == {"MIT"} and len(rows) == 3


def test_links_to_repositories_elsewhere_are_not_followed(tmp_path):
    commit(tmp_path / "outside" / "r", {"a.py": b"x = 1\n"})
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.py").write_text("y = 2\n")
    os.symlink(tmp_path / "outside" / "r", tmp_path / "in" / "link")
    os.symlink("/etc/hostname", tmp_path / "in" / "host.py")
    for files in (tmp_path / "in", tmp_path / "in" / "*"):
        assert [row["path"] for row in load(files)[0]] == ["b.py"]


def test_grouping_changes_no_licence_and_an_edited_manifest_its_own_units_alone(tmp_path):
    for name, data in {"LICENSE": MIT, "a/a.py": "x = 1\n", "a/package.json": '{"license": "ISC"}', "b/b.py": "y = 2\n"}.items():
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_text(data)
    source = Source("c", "code", (str(tmp_path / "p"),), domain="code")

    def licences(group_bytes):
        return {r["path"]: r["licence"] for u in list_units(source, group_bytes=group_bytes) for batch in read(source, u) for r in batch.records.to_pylist()}

    assert licences(1) == licences(1 << 20) == {"LICENSE": "MIT", "a/a.py": "ISC", "a/package.json": "ISC", "b/b.py": "MIT"}
    before = {u.files[0].path: u.identity() for u in list_units(source, group_bytes=1)}
    (tmp_path / "p" / "a" / "package.json").write_text('{"license": "MIT"}')
    after = {u.files[0].path: u.identity() for u in list_units(source, group_bytes=1)}
    assert {path for path in before if before[path] != after[path]} == {"a/a.py", "a/package.json"}


def test_parquet_like_the_stacks(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "content": ["fn main() {}\n", "int a;\n", "x = 1\n"],
            "max_stars_repo_name": ["o/r", "o/r", "p/q"],
            "max_stars_repo_path": ["src/main.rs", "a.h", "b.py"],
            "max_stars_repo_licenses": [["mit"], ["apache-2.0", "GPL-2.0"], []],
            "max_stars_count": pa.array([12.0, None, 1e300], pa.float64()),
            "files": pa.array([7, None, 1 << 31], pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "stack.parquet")
    columns = {
        name: f"max_stars_{theirs}" for name, theirs in (("repository", "repo_name"), ("path", "repo_path"), ("licence", "repo_licenses"), ("stars", "count"))
    }
    source = Source("s", "parquet", (str(tmp_path / "*.parquet"),), domain="code", columns={"text": "content", "repository_files": "files", **columns})
    rows = [row for unit in list_units(source) for batch in read(source, unit) for row in batch.records.to_pylist()]
    assert [row["programming_language"] for row in rows] == ["Rust", "C", "Python"], "found, where no column says it"
    assert [row["licence"] for row in rows] == ["MIT", "Apache-2.0 AND GPL-2.0-only", None]
    assert [(row["repository"], row["path"], row["stars"]) for row in rows] == [("o/r", "src/main.rs", 12), ("o/r", "a.h", None), ("p/q", "b.py", None)]
    assert [row["repository_files"] for row in rows] == [7, None, None]
