"""datatrove's FineWeb pipeline (its examples/fineweb.py, up to dedup) over some WARC files, one task in this process; prints one line of JSON.

Runs in the environment of the peers, started by benchmarks/end_to_end.py. Nothing is downloaded, and where the example leaves room, the choice favours datatrove:
- the URL lists ship with it, but tldextract asks the network for public suffixes: its own snapshot is used;
- LanguageFilter has its model from the file given (lid.176.ftz, the one that ours uses), not from dl.fbaipublicfiles.com, and keeps English only, so
  that Chinese pages cost no rule anything, whereas ours measures and judges both;
- English words come from a blank spaCy pipeline, datatrove's own choice: no data is needed;
- lists, models and tokenizers are loaded, and trafilatura imported, before the clock starts (some pages go through all steps).
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import trafilatura  # noqa: F401  # before the extractor forks: a page after a timeout would pay for it within its second
from datatrove.data import Document
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.extractors.base import BaseExtractor
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter, LanguageFilter, URLFilter
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from fasttext.FastText import _FastText
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree
from tldextract import TLDExtract

COUNTED = ("total", "forwarded", "dropped", "timeout", "broken_process", "clean_error")


class Resiliparse(BaseExtractor):
    """The extractor of ours in datatrove's place for one, sandbox process and timeout included; settings as in pipeline/rewrite/extract.py."""

    name = "Resiliparse"

    def __init__(self, timeout: float = 1) -> None:
        super().__init__(timeout)

    def extract(self, text: str) -> str:
        return extract_plain_text(
            HTMLTree.parse(text), preserve_formatting=True, main_content=True, list_bullets=True, alt_texts=False, links=False, form_fields=False,
            noscript=False, comments=True, post_meta=True,
        )  # fmt: skip


def steps(extractor: str, model: str, out: Path) -> list:
    """The example's steps after the reader, each with its writer of what it drops."""

    def dropped(name: str) -> JsonlWriter:
        return JsonlWriter(str(out / "removed" / name))

    urls = URLFilter(exclusion_writer=dropped("1_url"))
    urls.tldextractor = TLDExtract(suffix_list_urls=(), cache_dir=None)
    language = LanguageFilter("en", exclusion_writer=JsonlWriter(str(out / "2_non_english"), output_filename="${language}/${rank}.jsonl.gz"))
    language.model._model = _FastText(model)
    return [
        urls,
        Resiliparse() if extractor == "resiliparse" else Trafilatura(favour_precision=True),
        language,
        GopherRepetitionFilter(exclusion_writer=dropped("3_gopher_rep")),
        GopherQualityFilter(exclusion_writer=dropped("4_gopher_qual")),
        C4QualityFilter(filter_no_terminal_punct=False, exclusion_writer=dropped("5_c4")),
        FineWebQualityFilter(exclusion_writer=dropped("6_fineweb_qual")),
    ]


def cpu_seconds() -> float:
    """Of this process and of the extractor's processes, which have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def drain(pipeline: list) -> int:
    """What LocalPipelineExecutor does with one task: every step takes the generator of the one before. Documents that came out."""
    data = None
    for step in pipeline:
        data = step(data, 0, 1)
    return sum(1 for _ in data)


def warm(middle: list, out: Path) -> None:
    """A page of running prose through every filter, and the steps' lists and models with it."""
    prose = "\n".join(f"The people of the {n}. house went to the river with all that they have, and it was a good day to be there." for n in range(40))
    html = "<html><body><main>" + "".join(f"<p>{line}</p>" for line in prose.split("\n")) + "</main></body></html>"
    drain([lambda _d, _r, _w: iter([Document(text=html, id="warm", metadata={"url": "https://example.org/a"})]), *middle, JsonlWriter(str(out / "warm"))])
    for step in middle:
        if not isinstance(step, BaseExtractor):
            step.filter(Document(text=prose, id="warm", metadata={"url": "https://example.org/a"}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--extractor", choices=("trafilatura", "resiliparse"), required=True)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out, crawl = Path(folder), Path(folder) / "crawl"
        crawl.mkdir()
        for file in options.files:
            (crawl / file.name).symlink_to(file.resolve())
        middle = steps(options.extractor, options.model, out)
        warm(middle, out)
        reader = WarcReader(str(crawl))
        cpu, wall = cpu_seconds(), time.perf_counter()
        before = [(step.stats.time_stats.total, {name: stat.total for name, stat in step.stats.stats.items()}) for step in middle]
        kept = drain([reader, *middle, JsonlWriter(str(out / "output"))])
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        counts: list[tuple[str, float, dict[str, int]]] = [("Reader", reader.stats.time_stats.total, {})]
        for step, (seconds, was) in zip(middle, before, strict=True):
            now = {name: int(stat.total - was.get(name, 0)) for name, stat in step.stats.stats.items() if name in COUNTED}
            counts.append((step.name.split(" ", 1)[-1], step.stats.time_stats.total - seconds, {name: n for name, n in now.items() if n}))
        print(json.dumps({"pages": counts[1][2].get("total", 0), "kept": kept, "wall": wall, "cpu": cpu, "steps": counts}))


if __name__ == "__main__":
    main()
