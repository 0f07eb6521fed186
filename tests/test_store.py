"""A file of a store is whole or absent, whatever happens to its writer; a work folder has one driver; damage is named."""

import contextlib
import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pipeline
from pipeline.errors import ModelError, StoreError, WorkFolderLocked
from pipeline.store import Store, canonical_json, fingerprint, open_folder, open_model
from tests.models import SENSITIVE, card, write_model
from tests.running import ENVIRONMENT, Finished, World

TABLE = pa.table({"key": pa.array(range(1000), pa.uint64()), "text": [f"row {i}" for i in range(1000)]})


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "work")) if request.param == "local" else Store(f"memory://{tmp_path}/work")


def everything(folder: Path) -> list[str]:
    """Every file under a folder, temporary ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_what_is_written_is_read_back(store: Store) -> None:
    store.write_bytes("a/b.bin", b"\0\1")
    store.write_json("a/c.json", {"b": 1, "a": "字"})
    store.write_table("t.arrow", TABLE)
    assert store.read_bytes("a/b.bin") == b"\0\1"
    assert store.read_json("a/c.json") == {"b": 1, "a": "字"}
    assert store.read_table("t.arrow") == TABLE
    assert store.read_table("t.arrow", ["text", "key"]).column_names == ["text", "key"]
    assert pa.Table.from_batches(store.read_batches("t.arrow", ["key"])) == TABLE.select(["key"])
    assert (store.list("a"), store.list("nowhere"), store.exists("a/b.bin"), store.exists("a/d")) == (["b.bin", "c.json"], [], True, False)


def test_parts_are_read_one_at_a_time(store: Store) -> None:
    parts = [TABLE.slice(0, 10), TABLE.slice(0, 0), TABLE.slice(10)]
    store.write_parts("p.arrow", TABLE.schema, [parts, parts[::-1]])
    assert [store.read_part("p.arrow", i, 3) for i in range(3)] == [pa.concat_tables([a, b]) for a, b in zip(parts, parts[::-1], strict=True)]


def test_removing_and_renaming(store: Store) -> None:
    store.write_bytes("a/b/c", b"1")
    store.rename("a/b", "d/e")
    assert store.read_bytes("d/e/c") == b"1"
    assert not store.exists("a/b/c")
    store.remove("d")
    store.remove("d")  # twice is no fault
    assert not store.exists("d/e/c")


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_a_writer_that_raises_leaves_nothing(store: Store, tmp_path: Path, error: BaseException) -> None:
    store.write_bytes("old", b"old")
    for name in ("new", "old"):
        with pytest.raises(type(error)), store.create(name) as handle:
            handle.write(b"x" * 100_000)
            raise error
    assert (store.list(), store.read_bytes("old")) == (["old"], b"old")
    assert set(everything(tmp_path)) <= {"work/old"}


def test_a_table_whose_batches_raise_leaves_nothing(tmp_path: Path) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from TABLE.to_batches()
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        Store(str(tmp_path)).write_batches("t.arrow", TABLE.schema, batches())
    assert everything(tmp_path) == []


WRITER = """
import sys
from pipeline.store import Store
store = Store(sys.argv[1])
with store.create("big") as handle:
    handle.write(b"x" * 1_000_000)
    handle.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_writer_that_is_killed_leaves_nothing_that_counts(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"writing\n"
        child.kill()
    store = Store(str(tmp_path))
    assert not store.exists("big")
    assert store.list() == []  # its temporary file is not listed, and no name leads to it
    store.write_bytes("big", b"whole")
    assert store.read_bytes("big") == b"whole"
    (left,) = (tmp_path / ".tmp").iterdir()
    with store.lock():
        assert left.exists(), "it could be somebody's who is still writing"
    os.utime(left, (0, 0))
    with store.lock():
        assert everything(tmp_path) == ["big", "lock"]


def test_two_writers_of_one_name_give_one_whole_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with store.create("a") as first:
        first.write(b"one ")
        with store.create("a") as second:
            second.write(b"same")
        first.write(b"more")
    assert store.read_bytes("a") == b"one more"
    assert everything(tmp_path) == ["a"]


# --- full disks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
        if os.geteuid() == 0
        else None
    )
    if mounted is None or mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip() if mounted else 'not root'}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def assert_full_disk_is_told(store: Store, folder: Path) -> None:
    """Three ways of writing too much: each says so in a paragraph and leaves nothing behind."""
    noise = os.urandom(8 << 20)
    table = pa.table({"noise": [noise[i : i + 4096] for i in range(0, len(noise), 4096)]})
    for write in (
        lambda: store.write_bytes("big", noise),
        lambda: store.write_table("big", table),
        lambda: store.write_parts("big", table.schema, [[table, table]]),
    ):
        with pytest.raises(StoreError, match=r"The disk is full: .*/big could not be written\. What was finished is kept: free some space"):
            write()
        assert everything(folder) == ["kept"]
    assert store.read_bytes("kept") == b"1"


def test_a_full_disk_is_an_error_for_people(small_disk: Path) -> None:
    store = Store(str(small_disk))
    store.write_bytes("kept", b"1")
    assert_full_disk_is_told(store, small_disk)


def test_a_full_disk_is_noticed_wherever_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write, a close, a rename, a new folder: each may be the one that finds no space."""
    store = Store(str(tmp_path))
    store.write_bytes("kept", b"1")

    def full(*arguments: object, **names: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for function in ("os.replace", "os.makedirs", "builtins.open"):
        with monkeypatch.context() as patch:
            patch.setattr(function, full)
            with pytest.raises(StoreError, match="The disk is full"):
                store.write_bytes("a/big", b"2")
    for code in (errno.EDQUOT, errno.EFBIG):
        with pytest.raises(StoreError, match="The disk is full"), store.create("big"):
            raise OSError(code, os.strerror(code))
    assert everything(tmp_path) == ["kept"]


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes("kept", b"1")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        assert_full_disk_is_told(store, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_folder_that_may_not_be_written_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match=r"file/a cannot be written: .*--work"):
        Store(str(tmp_path / "file")).write_bytes("a", b"")
    with pytest.raises(StoreError, match=r"cannot be written: .*--work"), Store(str(tmp_path / "file")).lock():
        pass


# --- damage ---------------------------------------------------------------------------------------------------------------


def test_a_missing_file_says_what_would_do(store: Store) -> None:
    for read in (store.read_bytes, store.read_table, store.read_json):
        with pytest.raises(StoreError, match=r"is missing.*run again"):
            read("nowhere")


@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_a_damaged_table_is_named(tmp_path: Path, damage: str) -> None:
    store = Store(str(tmp_path))
    store.write_table("t.arrow", TABLE)
    good = store.read_bytes("t.arrow")
    store.write_bytes("t.arrow", {"cut": good[: len(good) // 2], "noise": b"\x07" * 5000, "empty": b""}[damage])
    with pytest.raises(StoreError, match=r"t\.arrow is damaged .* Remove it and run again"):
        store.read_table("t.arrow")
    with pytest.raises(StoreError, match=r"t\.arrow is damaged"):
        list(store.read_batches("t.arrow", ["text"]))


def test_damaged_json_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes("last_run.json", b'{"recipe": ')
    with pytest.raises(StoreError, match=r"last_run\.json is damaged .* Remove it and run again"):
        store.read_json("last_run.json")


# --- the lock -------------------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pipeline.store import Store
with Store(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock of a work folder."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"held\n"
            yield child
        finally:
            child.kill()


def test_a_second_driver_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with (
        holder(tmp_path) as child,
        pytest.raises(WorkFolderLocked, match=rf"process {child.pid}\) is at work in {tmp_path}\. Wait for it, .*--work"),
        Store(str(tmp_path)).lock(),
    ):
        pass


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    with holder(tmp_path) as child:
        child.kill()
        child.wait()
        with Store(str(tmp_path)).lock():
            assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


def test_children_of_the_holder_do_not_keep_the_lock(tmp_path: Path) -> None:
    with Store(str(tmp_path)).lock():
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with Store(str(tmp_path)).lock():
            pass
    finally:
        child.kill()
        child.wait()


# --- other places -----------------------------------------------------------------------------------------------------------


def test_a_run_in_an_object_store_gives_the_same_release(world: World, tmp_path: Path, finished: Finished) -> None:
    """`memory://` stands for any fsspec file system: no rename, no lock, no local path."""
    release = pipeline.run(world.recipe(), f"memory://{tmp_path}/work", here=True)
    store = Store(release.path)
    found = {name: hashlib.sha256(store.read_bytes(name)).hexdigest() for name in [*release.manifest["files"], "manifest.json"]}
    assert found == finished.digests

    def written() -> dict[str, Any]:
        """When each file of the work folder was made."""
        return {
            Path(path).relative_to(tmp_path / "work").as_posix(): info["created"] for path, info in store._fs().find(f"{tmp_path}/work", detail=True).items()
        }

    before = written()
    assert before.keys() >= {"last_run.json"}
    pipeline.run(world.recipe(), f"memory://{tmp_path}/work", here=True)
    after = written()
    assert {name for name in after if after[name] != before.get(name)} <= {"last_run.json"}


# --- identity ---------------------------------------------------------------------------------------------------------------


def test_equal_values_have_one_spelling_and_one_fingerprint() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "字"}) == '{"a":"字","b":[1,2.5]}'
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
    assert len(fingerprint(None)) == 32
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


def test_a_model_is_what_its_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(b"1")
    first = open_model(str(path))
    assert len(first.sha256) == 64
    with pytest.raises(ModelError, match=r"no bundled model 'lid177'.*Bundled are:.*lid176"):
        open_model("bundled:lid177")
    with pytest.raises(ModelError, match="cannot be read"):
        open_model(str(tmp_path / "nowhere.bin"))
    assert open_model("bundled:lid176").sha256.startswith("8f3472cf")


# --- models of several files ----------------------------------------------------------------------------------------------------

FILES = {"model.onnx": b"network", "tokenizer.json": b"tokenizer"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_folder_of_a_model_is_read_and_checked(tmp_path: Path) -> None:
    found = open_folder(write_model(tmp_path, card(), FILES))
    assert (found.name, found.path, found.revision) == (str(tmp_path), str(tmp_path), None)
    assert found.card["files"].keys() == FILES.keys()
    assert found.sha256 == hashlib.sha256((tmp_path / "model.toml").read_bytes()).hexdigest()


def test_a_bundled_folder_is_pinned_by_its_description() -> None:
    found = open_folder(SENSITIVE)
    assert found.sha256 == open_model(SENSITIVE).sha256
    assert Path(found.path, "model.toml").exists()
    with pytest.raises(ModelError, match=r"There is no bundled model 'sensitiv'\. Bundled are: .*sensitive"):
        open_folder("bundled:sensitiv")


def test_a_model_is_the_same_wherever_its_folder_lies(tmp_path: Path) -> None:
    one, two = (open_folder(write_model(tmp_path / name, card(), FILES)) for name in ("one", "two"))
    assert one.sha256 == two.sha256 != open_folder(write_model(tmp_path / "three", card(threshold=0.6), FILES)).sha256


def test_another_file_than_the_one_described_is_refused(tmp_path: Path) -> None:
    name = write_model(tmp_path, card(), FILES)
    (tmp_path / "model.onnx").write_bytes(b"another")
    was, now = (hashlib.sha256(content).hexdigest() for content in (b"network", b"another"))
    with pytest.raises(
        ModelError,
        match=rf"{tmp_path}/model\.onnx has sha256 {now}, but model\.toml says {was}: it is another file .* Fetch it again, or export the model anew",
    ):
        open_folder(name)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    name = write_model(tmp_path, card(), FILES)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=rf"The model in {tmp_path} lists tokenizer\.json, which cannot be read: No such file"):
        open_folder(name)


def test_a_description_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text("task = labels")
    with pytest.raises(ModelError, match=rf"{tmp_path}/model\.toml cannot be read: "):
        open_folder(str(tmp_path))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"{tmp_path}/nowhere: there is no such folder\. A model is bundled:NAME, a local folder, or hub:ORG/NAME@COMMIT"):
        open_folder(f"{tmp_path}/nowhere")


@pytest.mark.parametrize("name", ["hub:a/b", "hub:a/b@main", f"hub:a/b@{COMMIT[:12]}", f"hub:a/b@{COMMIT.upper()}", f"hub:b@{COMMIT}", f"hub:a/b/c@{COMMIT}"])
def test_a_model_of_the_hub_needs_a_commit(name: str) -> None:
    with pytest.raises(ModelError, match=rf"^{name}: a model of the Hub is named hub:ORG/NAME@COMMIT, with the 40 hex digits of a commit: a branch may change"):
        open_folder(name)


def test_a_model_of_the_hub_is_its_name_and_commit() -> None:
    found = open_folder(f"hub:a/b@{COMMIT}")
    assert (found.path, found.revision, found.card) == ("a/b", COMMIT, {})
    assert found.sha256 != open_folder(f"hub:a/b@{COMMIT[::-1]}").sha256


def checkpoint(folder: Path, weights: str) -> str:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / weights).write_bytes(folder.name.encode())
    return str(folder)


@pytest.mark.parametrize(
    "weights",
    [
        "model.safetensors",
        "pytorch_model.bin",
    ],
)
def test_other_weights_of_a_checkpoint_are_another_model(weights: str, tmp_path: Path) -> None:
    one, two = (open_folder(checkpoint(tmp_path / name, weights)) for name in ("one", "two"))
    assert one.sha256 != two.sha256
