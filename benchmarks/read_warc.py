"""Reading WARC: ours against a bare fastwarc loop (the floor) and warcio (the peer), in one run, interleaved, in CPU seconds.

    python ../shared/tools/make_crawl.py /tmp/crawl && python benchmarks/read_warc.py /tmp/crawl/crawl-0000[0-3].warc.gz

All three read every response's payload; ours also decodes charsets, checks every record and builds Arrow batches.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable

from fastwarc.warc import ArchiveIterator, WarcRecordType
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from pipeline.sources import Source, Unit, list_units, read


def ours(unit: Unit) -> int:
    source = Source("web", "warc", (unit.files[0].location,))
    return sum(batch.records.num_rows for batch in read(source, unit))


def floor(unit: Unit) -> int:
    pages = 0
    for record in ArchiveIterator(unit.files[0].location, record_types=WarcRecordType.response, parse_http=True, fsspec_args=False):
        record.reader.read()
        pages += 1
    return pages


def warcio(unit: Unit) -> int:
    pages = 0
    with open(unit.files[0].location, "rb") as handle:
        for record in WarcioIterator(handle):
            if record.rec_type == "response":
                record.content_stream().read()
                pages += 1
    return pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    units = list_units(Source("web", "warc", tuple(args.files)))
    readers: dict[str, Callable[[Unit], int]] = {"ours": ours, "fastwarc": floor, "warcio": warcio}
    seconds: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    for _ in range(args.rounds):
        for unit in units:
            for name, reader in readers.items():
                started = time.process_time()
                pages[name] += reader(unit)
                seconds[name] += time.process_time() - started  # type: ignore[assignment]  # Counter of floats
    for name in readers:
        print(
            f"{name:10} {pages[name] / seconds[name]:8.0f} pages/s   {seconds[name] / seconds['fastwarc'] * pages['fastwarc'] / pages[name]:5.2f} × the floor's time"
        )


if __name__ == "__main__":
    main()
