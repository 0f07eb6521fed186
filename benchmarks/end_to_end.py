"""WARC to verdicts, end to end, on one core: the flagship's web part against a bare loop of its libraries and against datatrove's FineWeb pipeline.

    python ../shared/tools/make_crawl.py CRAWL
    python benchmarks/end_to_end.py --crawl CRAWL [--first 3 --files 2] [--repeats 3] [--split] [--peers-python /opt/peers/bin/python] [--without-datatrove]

- ours: plan, text (read, decode, extract, normalize), all measures of every row, language, all filters of recipes/skypile.yaml for web pages; every
  artefact written to disk and marked; engine `Here`, as `--here` runs it. Kernels are compiled and loaded before the clock starts; the
  language model is loaded within it.
- bare loop: fastwarc, resiliparse with the same settings, lid.176 on the first 1,000 characters, Han spaced; nothing normalised, measured, judged or written.
- datatrove: benchmarks/peers/datatrove_fineweb.py, in an environment of its own that this script makes where it is missing; with trafilatura, as
  FineWeb was made, and again with our extractor. Lists and models are loaded before its clock starts.

A page is an HTML response that a side's reader takes (datatrove's refuses what libmagic does not call HTML, and what it cannot decode); a second is a second of CPU time of all threads and child processes: on a quiet
machine that is wall time, on a shared one it is not. The default files are crawl-00003 and -00004: 800 pages, 109 MB. All sides read the same files; ours
and the bare loop take turns, and medians count; datatrove runs once each.
"""

import os

os.environ.update({"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})  # as in workers; read when the libraries are first imported

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any

import fasttext
import pyarrow as pa
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from resiliparse.parse.html import HTMLTree

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline import kernels, tasks
from pipeline.engine import Here, Link
from pipeline.measures import language
from pipeline.measures.language import spaced
from pipeline.planning import plan
from pipeline.recipe import Recipe
from pipeline.rewrite import charset, extract, normalize
from pipeline.store import Store, open_model

PEERS = Path(__file__).parent / "peers"
TIMES_DATATROVE, OF_BARE_LOOP = 20, 0.7  # what ours must reach


@dataclass
class Run:
    """One side's run over the files."""

    pages: int
    kept: int
    wall: float
    cpu: float

    @property
    def rate(self) -> float:
        """Pages per second of CPU."""
        return self.pages / self.cpu


def timed(pages: int, work: Callable[[], int]) -> Run:
    wall, cpu = time.perf_counter(), time.process_time()
    kept = work()
    return Run(pages, kept, time.perf_counter() - wall, time.process_time() - cpu)


def median(runs: list[Run]) -> Run:
    return Run(runs[0].pages, runs[0].kept, statistics.median(r.wall for r in runs), statistics.median(r.cpu for r in runs))


# --- ours and the bare loop ---------------------------------------------------------------------------------------------------


def ours(files: list[Path]) -> int:
    """The flagship on these files and no other source, up to its first round. Documents that no filter dropped."""
    recipe = Recipe.load("skypile", inputs={"web": ",".join(map(str, files))})
    recipe = recipe.model_copy(update={"sources": {"web": recipe.sources["web"]}})
    with tempfile.TemporaryDirectory() as work:
        todo = plan(recipe, work)
        steps = todo.steps[: next(i for i, s in enumerate(todo.steps) if not s.per_unit)]
        links = [
            Link(make=partial(tasks.LanguageStep, s.stages[0]))
            if s.kind == "language"
            else Link({"text": tasks.make_text, "columns": tasks.make_columns, "filter": tasks.make_drops}[s.kind])
            for s in steps
        ]  # type: ignore[arg-type]  # a language step holds a Language

        def arguments(s: int, u: int) -> tuple[Any, ...]:
            step, unit, before = steps[s], todo.units[u], todo.artefacts(u, s)
            if step.kind == "text":
                return todo.store, step.artefact(u), todo.sources[unit.source], unit, step.stages, frozenset()
            return (todo.store, step.artefact(u), before, *{"columns": (step.measures,), "language": (), "filter": (step.stages,)}[step.kind])

        items = [[arguments(s, u) for s in range(len(steps))] for u in range(len(todo.units))]
        outcome = Here().run(links, items, lambda i, j, result: None)
        return sum(outcome.results[u, len(steps) - 1]["kept"] for u in range(len(items)))


def bare_loop(files: list[Path], predict: Any) -> int:
    """The libraries and nothing else. Pages of which lid.176 says that they are English or Chinese."""
    kept = 0
    for file in files:
        for record in ArchiveIterator(str(file), record_types=WarcRecordType.response, parse_http=True, fsspec_args=False):
            body = record.reader.read()
            tree = HTMLTree.parse(bytes_to_str(body, record.http_charset or detect_encoding(body) or "utf-8"))  # a tenth faster than parse_from_bytes
            text = extract_plain_text(
                tree, preserve_formatting=True, main_content=True, list_bullets=True, alt_texts=False, links=False, form_fields=False, noscript=False,
                comments=True, post_meta=True,
            )  # fmt: skip
            found = predict(spaced(" ".join(text[:1000].split())) + "\n", 8, 0.005, "strict")
            kept += sum(score for score, label in found if label in ("__label__en", "__label__zh")) >= 0.65
    return kept


def count_pages(files: list[Path]) -> tuple[int, float]:
    """HTML responses in the files, and MB of HTML in them."""
    pages = size = 0
    for file in files:
        for record in ArchiveIterator(str(file), record_types=WarcRecordType.response, parse_http=True, fsspec_args=False):
            if record.http_content_type in ("text/html", "application/xhtml+xml"):
                pages += 1
                size += len(record.reader.read())
    return pages, size / 1e6


# --- where the time goes ------------------------------------------------------------------------------------------------------


class Split:
    """CPU seconds by part, each without the parts that it calls."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.inside: list[str] = ["plan and the rest"]
        self.since = time.process_time()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._turn()
        self.inside.append(name)
        try:
            yield
        finally:
            self._turn()
            self.inside.pop()

    def _turn(self) -> None:
        now = time.process_time()
        self.seconds[self.inside[-1]] += now - self.since
        self.since = now

    def of(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return call

    def of_generator(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Iterator[Any]:
            given = iter(function(*args, **kwargs))
            while True:
                with self.part(name):
                    value = next(given, None)
                if value is None:
                    return
                yield value

        return call


def split_of(files: list[Path]) -> dict[str, float]:
    """One run of ours with a clock around every part. Parts are replaced by name for its time: none of them knows."""
    split = Split()
    parts: list[tuple[Any, str, str]] = [
        (tasks, "read", "read WARC"),
        (charset, "to_utf8", "charset"),
        (extract, "extract_batch", "extract"),
        (normalize, "normalize_batch", "normalize"),
        (tasks, "measure", "measures"),
        (language.LanguageId, "__call__", "language"),
        (language.LanguageId, "__init__", "load the language model"),
        (tasks, "make_drops", "filters"),
        (Store, "write_batches", "write"),
        (Store, "write_bytes", "write"),
        (Store, "read_batches", "read artefacts"),
    ]
    before = [getattr(owner, name) for owner, name, _ in parts]
    for (owner, name, part), function in zip(parts, before, strict=True):
        setattr(owner, name, (split.of_generator if name in ("read", "read_batches") else split.of)(part, function))
    try:
        ours(files)
    finally:
        for (owner, name, _), function in zip(parts, before, strict=True):
            setattr(owner, name, function)
    split._turn()
    return dict(split.seconds)


# --- datatrove ----------------------------------------------------------------------------------------------------------------


def ensure_peers(python: Path) -> None:
    """Make the peers' environment, or complete it, where something is missing."""
    wanted = "import datatrove, trafilatura, warcio, cchardet, magic, ahocorasick, tldextract, fasteners, fasttext, spacy, orjson, resiliparse"
    if python.exists() and subprocess.run([python, "-c", wanted], capture_output=True, check=False).returncode == 0:
        return
    print(f"installing benchmarks/peers/requirements.txt in {python.parents[1]}", flush=True)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", PEERS / "requirements.txt"], check=True)


def datatrove(python: Path, extractor: str, files: list[Path]) -> tuple[Run, dict[str, Any]]:
    command = [str(python), str(PEERS / "datatrove_fineweb.py"), "--model", open_model("bundled:lid176").path, "--extractor", extractor, *map(str, files)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"datatrove's pipeline failed in {python}:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Run(found["pages"], found["kept"], found["wall"], found["cpu"]), found


# --- the table ----------------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--crawl", type=Path, required=True, help="a folder of crawl-*.warc.gz, as make_crawl.py writes it")
    parser.add_argument("--first", type=int, default=3, help="the first file to read, from 0")
    parser.add_argument("--files", type=int, default=2, help="how many files to read")
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours and of the bare loop")
    parser.add_argument("--split", action="store_true", help="also say where the time of ours goes")
    parser.add_argument("--peers-python", type=Path, default=Path("/opt/peers/bin/python"))
    parser.add_argument("--without-datatrove", action="store_true")
    options = parser.parse_args()

    files = sorted(options.crawl.glob("*.warc.gz"))[options.first : options.first + options.files]
    if not files:
        raise SystemExit(f"there is no file number {options.first} in {options.crawl}/*.warc.gz; make them with ../shared/tools/make_crawl.py")
    pages, megabytes = count_pages(files)
    print(
        f"{', '.join(f.name for f in files)}: {pages} pages, {megabytes:.1f} MB of HTML. Seconds are of CPU; kernels are compiled and loaded before the clock starts.",
        flush=True,
    )

    pa.set_cpu_count(1)
    kernels.warm()
    predict = fasttext.load_model(open_model("bundled:lid176").path).f.predict
    ours(files[:1])  # imports, page cache
    bare_loop(files[:1], predict)
    runs: dict[str, list[Run]] = {"ours": [], "bare loop": []}
    for _ in range(options.repeats):
        runs["ours"].append(timed(pages, partial(ours, files)))
        runs["bare loop"].append(timed(pages, partial(bare_loop, files, predict)))
    found = {name: median(of) for name, of in runs.items()}
    steps: dict[str, list[Any]] = {}
    if not options.without_datatrove:
        ensure_peers(options.peers_python)
        for name, extractor in (("datatrove, trafilatura", "trafilatura"), ("datatrove, our extractor", "resiliparse")):
            found[name], told = datatrove(options.peers_python, extractor, files)
            steps[name] = told["steps"]

    mine = found["ours"]
    print(f"\n{'':26}{'pages':>7}{'kept':>6}{'wall s':>9}{'cpu s':>9}{'pages/s':>9}{'ours is':>10}{'by wall':>10}")
    for name, run in found.items():
        by_wall = mine.pages / mine.wall / (run.pages / run.wall)
        print(f"{name:26}{run.pages:>7}{run.kept:>6}{run.wall:>9.2f}{run.cpu:>9.2f}{run.rate:>9.1f}{mine.rate / run.rate:>9.2f}x{by_wall:>9.2f}x")
    print("kept: by ours after all filters, English and Chinese; by the bare loop after language alone; by datatrove after all filters, English only.")
    for name, counts in steps.items():
        print(
            f"{name}, by step: " + "; ".join(f"{step} {seconds:.1f} s ({', '.join(f'{v} {k}' for k, v in count.items())})" for step, seconds, count in counts)
        )

    print()
    say(f"at least {OF_BARE_LOOP} of the bare loop's pages per second", mine.rate / found["bare loop"].rate, OF_BARE_LOOP)
    for name, run in found.items():
        if name.startswith("datatrove"):
            say(f"at least {TIMES_DATATROVE} times the pages per second of {name}", mine.rate / run.rate, TIMES_DATATROVE)

    if options.split:
        seconds = split_of(files)
        total = sum(seconds.values())
        print(f"\nours, by part ({total:.2f} s of CPU)")
        for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
            print(f"  {name:26}{spent:>8.3f} s{spent / total:>8.1%}{pages / spent if spent > 1e-4 else float('inf'):>12.0f} pages/s")


def say(what: str, reached: float, wanted: float) -> None:
    print(f"target {'met' if reached >= wanted else 'not met'}: {what}: {reached:.2f}")


if __name__ == "__main__":
    main()
