"""Units: which files, in which order, under which names; groups and slices that do not move when a file comes."""

import os
import socket

import fsspec
import pytest

from pipeline.errors import PlanError, SourceError
from pipeline.sources import Source, git, list_units, read


def jsonl(*files, **settings):
    return Source("s", "jsonl", tuple(map(str, files)), **settings)


def test_paths_are_relative_to_the_fixed_prefix_and_locations_are_no_identity(tmp_path):
    for base in ("x", "y"):
        for name in ("b/2.jsonl", "a/1.jsonl"):
            path = tmp_path / base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b'{"text": "t"}\n')
    here = list_units(jsonl(tmp_path / "x" / "**" / "*.jsonl"))
    there = list_units(jsonl(tmp_path / "y"))
    assert [f.path for u in here for f in u.files] == ["a/1.jsonl", "b/2.jsonl"]
    assert [u.identity() for u in here] == [u.identity() for u in there]
    assert here != there
    single = list_units(jsonl(tmp_path / "x" / "a" / "1.jsonl"))
    assert single[0].files[0].path == "1.jsonl"


def test_a_changed_file_has_another_identity_and_the_etag_may_be_cached(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n")
    before = list_units(jsonl(path))[0].identity()
    path.write_bytes(b"two\n")
    assert list_units(jsonl(path))[0].identity() != before
    asked = []
    units = list_units(jsonl(path), etags=lambda location, size: asked.append((location, size)) or "E")
    assert units[0].files[0].etag == "E" and asked == [(str(path), 4)]


def test_a_new_file_changes_its_own_group_only(tmp_path):
    for i in range(500):
        (tmp_path / f"{i:04}.jsonl").write_bytes(b'{"text": "t"}\n')
    before = list_units(jsonl(tmp_path))
    (tmp_path / "0250a.jsonl").write_bytes(b'{"text": "t"}\n')
    after = list_units(jsonl(tmp_path))
    assert 2 < len(before) < 40
    assert len({str(u.identity()) for u in after} - {str(u.identity()) for u in before}) <= 2
    assert sum(len(u.files) for u in after) == 501


def test_groups_end_at_their_size_and_archives_are_never_grouped(tmp_path):
    for i in range(10):
        (tmp_path / f"{i}.jsonl").write_bytes(b"x" * 100)
        (tmp_path / f"{i}.warc.gz").write_bytes(b"x")
    assert all(sum(f.size for f in u.files) <= 300 for u in list_units(jsonl(tmp_path), group_bytes=300))
    assert len(list_units(Source("w", "warc", (str(tmp_path),)))) == 10


def test_the_bytes_of_slices_sum_up_to_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * 1000)
    units = list_units(jsonl(path), split_bytes=300, group_bytes=300)
    assert [u.size_bytes for u in units] == [300, 300, 300, 100]
    assert list_units(jsonl(path))[0].size_bytes == 1000


def test_faults_are_found_and_say_what_would_do(tmp_path):
    with pytest.raises(PlanError, match="no file matches"):
        list_units(jsonl(tmp_path / "*.jsonl"))
    with pytest.raises(SourceError, match="there is no file or folder"):
        list_units(jsonl(tmp_path / "absent.jsonl"))
    with pytest.raises(PlanError, match="holds no file"):
        list_units(jsonl(tmp_path))
    with pytest.raises(PlanError, match="names no files"):
        list_units(jsonl())
    with pytest.raises(PlanError, match="no reader 'warcs'"):
        list(read(Source("s", "warcs", ("x",)), None))
    for base in ("x", "y"):
        (tmp_path / base).mkdir()
        (tmp_path / base / "a.jsonl").write_bytes(b"")
    with pytest.raises(PlanError, match="would both be called"):
        list_units(jsonl(tmp_path / "x" / "*.jsonl", tmp_path / "y" / "*.jsonl"))
    assert len(list_units(jsonl(tmp_path / "x" / "*.jsonl", tmp_path / "x"))[0].files) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    with pytest.raises(SourceError, match="cannot be listed"):
        list_units(jsonl(tmp_path))
    folder.chmod(0o700)


def test_a_file_that_vanished_since_the_plan(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "t"}\n')
    source = jsonl(path)
    units = list_units(source)
    path.unlink()
    with pytest.raises(SourceError, match="cannot be opened"):
        list(read(source, units[0]))


def code(*files):
    return Source("c", "code", tuple(map(str, files)))


def test_what_is_no_file_of_code_is_an_input_that_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkdir("in")
    os.mkfifo("in/LICENSE")
    os.symlink("/etc", "in/etc")
    os.symlink("nowhere", "in/gone.tar")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("in/talk.py")
    for files in ("in", "in/*"):
        with pytest.raises(PlanError, match=r"holds no file|no file matches"):
            list_units(code(files))
    (tmp_path / "in" / "a.py").write_bytes(b"x = 1\n")
    kinds = {"LICENSE": "device", "a.py": "file", "etc": "link", "gone.tar": "link", "talk.py": "socket"}
    for files in ("in", "in/*", "in/**"):
        (unit,) = list_units(code(files))
        assert {f.path: f.kind for f in unit.files} == kinds and not unit.context
        (batch,) = read(code(files), unit)
        assert batch.records.num_rows == 1 and batch.skipped == {"device": 1, "link": 2, "socket": 1}
    with pytest.raises(SourceError, match="is a pipe, a socket or a device"):
        list_units(code("in/LICENSE"))


def test_links_of_one_name_are_no_clash_and_one_that_is_named_is_read(tmp_path):
    for base in ("x", "y"):
        (tmp_path / base).mkdir()
        (tmp_path / base / f"{base}.py").write_bytes(b"x = 1\n")
        os.symlink(f"{base}.py", tmp_path / base / "latest.py")
    (unit,) = list_units(code(tmp_path / "x" / "*", tmp_path / "y" / "*"))
    assert [(f.path, f.kind) for f in unit.files] == [("latest.py", "link"), ("latest.py", "link"), ("x.py", "file"), ("y.py", "file")]
    for files in ((tmp_path / "x", tmp_path / "x" / "latest.py"), (tmp_path / "x" / "latest.py", tmp_path / "x")):
        (unit,) = list_units(code(*files))
        assert [(f.path, f.kind) for f in unit.files] == [("latest.py", "file"), ("x.py", "file")]


def test_no_file_is_asked_whether_it_is_a_git_repository(tmp_path, monkeypatch):
    for name in ("a.py", "deep/b.py", "p.tar"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    asked = []
    monkeypatch.setattr(git, "is_repository", lambda location: asked.append(os.path.relpath(location, tmp_path)))
    for files in (tmp_path / "in", tmp_path / "in" / "**" / "*"):
        units = list_units(code(files))
        assert {f.path: f.kind for u in units for f in u.files} == {"a.py": "file", "deep/b.py": "file", "p.tar": "archive"}
        for unit in units:
            list(read(code(files), unit))
    assert {"in", "in/deep"} <= set(asked) and not [path for path in asked if path.endswith((".py", ".tar"))]


def test_other_file_systems():
    fs = fsspec.filesystem("memory")
    fs.pipe("/units-test/in/a.jsonl", b'{"text": "one"}\n')
    fs.pipe("/units-test/in/b.jsonl", b'{"text": "two"}\n')
    for pattern in ("memory://units-test/in/*.jsonl", "memory://units-test/in"):
        source = jsonl(pattern)
        units = list_units(source)
        assert [f.path for u in units for f in u.files] == ["a.jsonl", "b.jsonl"]
        texts = [t for u in units for b in read(source, u) for t in b.records["text"].to_pylist()]
        assert texts == ["one", "two"]
    with pytest.raises((PlanError, SourceError)):
        list_units(jsonl("memory://units-test/none/*.jsonl"))
