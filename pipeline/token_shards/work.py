"""Work on folders of token shards: a task a shard, whole or absent, by several processes, going on where it was killed. Knows nothing of tokens."""

import contextlib
import hashlib
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from pipeline.errors import PlanError, StoreError, TaskFailed, WorkFolderLocked
from pipeline.store import Store
from pipeline.token_shards.read import DONE, FORMAT, files_of, manifest_of, size_of

COUNTS = ("documents", "tokens", "tokens_with_repeats", "text_bytes")


class Told(Protocol):
    """Who is told of progress: `pipeline.inspect.progress.Shown` is one."""

    def begin(self, step: str, total: int) -> None: ...
    def advance(self, step: str, counts: dict[str, Any]) -> None: ...
    def end(self, step: str) -> None: ...


class Task(Protocol):
    """One shard's work: pickled to a process, done whole or not at all."""

    @property
    def name(self) -> str: ...
    @property
    def store(self) -> Store: ...
    @property
    def bytes_to_write(self) -> int: ...  # about, at most; 0 where it is not known
    def __call__(self, threads: int) -> dict[str, Any]:
        """Write the files; the shard's entry in the manifest: counts, and `files` with sha256 and bytes."""
        ...


def carry_out(
    store: Store,
    who: Mapping[str, Any],
    tasks: Sequence[Task],
    rest: Callable[[Store], Mapping[str, Any]],
    *,
    step: str,
    cpus: int = 1,
    threads: int = 1,
    progress: Told | None = None,
) -> None:
    """Make a folder of shards complete: what is done is kept, the rest is made by `cpus` processes, and manifest.json comes last.

    `who` says what the folder holds, and is compared with what is there; `rest` writes what else is to be there, and says what the manifest is to hold beside.
    """
    _check_ours(store)
    with _as_out(), store.lock(), _swept(store):
        manifest = manifest_of(store)
        here = manifest or (store.read_json(f"{DONE}/who.json") if store.exists(f"{DONE}/who.json") else None)
        other = {k: here.get(k) for k in who if here.get(k) != who[k]} if here else {}
        if here and other:
            raise PlanError(
                f"{store.root} holds the tokens of {here['release']} by {here['tokenizer']} ({_apart(here, other)}), and {who['release']} by {who['tokenizer']} "
                f"({_apart(who, other)}) was asked for. Give another folder with --out, or remove that one."
            )
        entries: dict[str, Any] = dict(manifest["shards"]) if manifest else {}
        entries |= {t.name: store.read_json(_mark(t.name)) for t in tasks if store.exists(_mark(t.name))}
        entries = {t.name: entries[t.name] for t in tasks if t.name in entries and _is_whole(store, entries[t.name])}
        todo = [t for t in tasks if t.name not in entries]
        if manifest and not todo and all(size_of(store, n) == f["bytes"] for n, f in files_of(manifest).items()):
            store.remove(DONE)
            return
        _room(store, sum(t.bytes_to_write for t in todo))
        store.write_json(f"{DONE}/who.json", dict(who))
        if progress:
            progress.begin(step, len(todo))
        for name, entry in _each(todo, cpus, threads):
            entries[name] = entry
            if progress:
                progress.advance(step, {"rows": entry["documents"], "input": entry["text_bytes"]})
        if progress:
            progress.end(step)
        counts: dict[str, dict[str, Counter[str]]] = {}
        for name, entry in entries.items():
            split, domain, _ = name.split("/")
            counts.setdefault(split, {}).setdefault(domain, Counter()).update({"shards": 1, **{k: entry[k] for k in COUNTS}})
        store.write_json("manifest.json", {"format": FORMAT, **who, "counts": counts, "shards": entries, **rest(store)})
        store.remove(DONE)


def _check_ours(store: Store) -> None:
    """PlanError for a folder that holds anything but tokens, or tokens that were begun: what is half-written is removed there."""
    if not store.exists(f"{DONE}/who.json") and manifest_of(store) is None:
        others = [name for name in store.list() if name != "lock"]
        if others:
            raise PlanError(f"{store.root} holds other things ({', '.join(others[:3])}). Give a new or an empty folder with --out.")


@contextlib.contextmanager
def _swept(store: Store) -> Iterator[None]:
    """Nothing half-written stays, of writers that were killed or that are stopped now: nobody else writes here."""
    store.remove(".tmp")
    try:
        yield
    finally:
        store.remove(".tmp")


def _mark(name: str) -> str:
    return f"{DONE}/{name.replace('/', '-')}.json"


def _apart(side: Mapping[str, Any], keys: Iterable[str]) -> str:
    return ", ".join(f"{key} {str(side.get(key))[:16]}" for key in sorted(keys))


def _is_whole(store: Store, entry: Mapping[str, Any]) -> bool:
    return all(size_of(store, name) == file["bytes"] for name, file in entry["files"].items())


def _room(store: Store, wanted: int) -> None:
    """Fail before the first document where the disk has no room for all of them."""
    free = shutil.disk_usage(store.root).free
    if wanted > free:
        raise StoreError(
            f"{wanted / 1e9:,.1f} GB are still to be written to {store.root}, which has room for {free / 1e9:,.1f} GB. Free some, or give another disk with --out."
        )


@contextlib.contextmanager
def _as_out() -> Iterator[None]:
    """The store's errors speak of --work; here the folder is named by --out."""
    try:
        yield
    except (StoreError, WorkFolderLocked) as error:
        if "--work" in str(error):
            raise type(error)(str(error).replace("another work folder with --work", "another folder with --out").replace("--work", "--out")) from error
        raise


def _each(tasks: Sequence[Task], cpus: int, threads: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries as tasks are done. Processes are spawned; where one fails, the others are stopped: what they had not finished is made next time."""
    if min(cpus, len(tasks)) <= 1:
        for task in tasks:
            yield _marked(task, threads)
        return
    others = set(active_children())
    pool = ProcessPoolExecutor(min(cpus, len(tasks)), mp_context=get_context("spawn"), initializer=_alone)
    try:
        futures = [pool.submit(_marked, task, 1) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    except BaseException as error:
        for process in set(active_children()) - others:
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise TaskFailed(
                "A process that wrote tokens died, perhaps since memory ran out. What was finished is kept: run again, with fewer --cpus if so."
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _marked(task: Task, threads: int) -> tuple[str, dict[str, Any]]:
    """Do a task and leave a note that it is done."""
    entry = task(threads)
    task.store.write_json(_mark(task.name), entry)
    return task.name, entry


def _alone() -> None:
    """A process of the pool: one thread each, and none that outlives a driver that was killed."""
    os.environ.update({"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    pa.set_cpu_count(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's, which stops these
    driver = parent_process()

    def watch() -> None:
        if driver is not None:
            driver.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Tallied:
    """A file that notes the sha256 and the size of what is written to it; Arrow may write to it too."""

    closed = False

    def __init__(self, handle: BinaryIO) -> None:
        self._handle, self._hash, self._bytes = handle, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._handle.write(view)
        self._hash.update(view)
        self._bytes += len(view)
        return len(view)

    def tell(self) -> int:
        return self._bytes

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def found(self) -> dict[str, Any]:
        return {"bytes": self._bytes, "sha256": self._hash.hexdigest()}


@contextlib.contextmanager
def tallied(store: Store, names: Sequence[str]) -> Iterator[list[Tallied]]:
    """Files that appear when the block ends well, none of them otherwise."""
    with contextlib.ExitStack() as stack:
        yield [Tallied(stack.enter_context(store.create(name))) for name in names]
