"""Writing token shards: each Parquet shard of a release is read row group by row group, encoded, and compared with the release's own counts."""

import contextlib
import hashlib
import os
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import PlanError, StoreError
from pipeline.shards import PART, RELEASE, Release, open_release
from pipeline.store import MODELS, Store, is_url
from pipeline.texts import Texts
from pipeline.token_shards.formats import check_layout, export_tokens
from pipeline.token_shards.read import TokenRelease, open_tokens
from pipeline.token_shards.work import COUNTS, Told, carry_out, tallied
from pipeline.tokenize import Engine, open_engine
from pipeline.tokenize.engine import SHIPPED

SPLITS = {"data": "train", "validation": "validation"}  # a release's folders
EOS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<｜end▁of▁sentence｜>")  # the first that a tokenizer has
_INDEX = ("id", "domain", *PART, "repeats")
_COPIED = ("mixture.json", "schedule.json")


def write_tokens(
    release: str | Path | Release,
    out: str | Path | None = None,
    *,
    tokenizer: str | None = None,
    device: str = "auto",
    cpus: int = 1,
    layouts: Sequence[str] = (),
    append_eos: bool = True,
    progress: Told | None = None,
) -> TokenRelease:
    """Write a release's tokens, or go on where an earlier call was stopped. `tokenizer`: a bundled name, or the path of a tokenizer.json; the release's own by default.

    `out` is `tokens/NAME@VERSION/TOKENIZER` beside the folder of releases by default. `cpus` processes take shards; on a GPU there is one, and `cpus` threads read
    for it. `layouts` are made after it, as by `export_tokens`. Processes are spawned: with `cpus` above 1, a script that calls this needs `if __name__ == "__main__":`.

    StoreError where a document does not have the number of tokens that the release says; PlanError where the folder holds other tokens.

    >>> write_tokens("work/releases/skypile@0.1").path  # doctest: +SKIP
    'work/tokens/skypile@0.1/skypile-65k'
    """
    source = release if isinstance(release, Release) else open_release(str(release))
    files = _shards(source)
    if not sum(entry["rows"] for entry in files.values()):
        raise StoreError(f"The release at {source.path} holds no documents, so there is nothing to tokenize.")
    named = _tokenizer(source, tokenizer)
    engine = _engine(named, device)
    bpe, counted = engine.bpe, _counted(source)
    label = named if named in SHIPPED else f"{_stem(named)}-{bpe.sha256[:8]}"
    store = Store(str(out) if out is not None else _beside(source, label))
    if not store.is_local:
        raise StoreError(f"{store.root}: token shards are to be mapped into memory, so they must lie on a disk of this machine. Name a folder with --out.")
    mine = [column for column, digest in counted.items() if digest == bpe.sha256]
    eos = next((a.id for text in EOS for a in bpe.added if a.content == text.encode()), None)
    for layout in layouts:
        check_layout(layout, append_eos, eos, label)
    who = {
        "layout": "ids",
        "release": f"{source.manifest['name']}@{source.manifest['version']}",
        "release_fingerprint": source.manifest["fingerprint"],
        "release_manifest_sha256": hashlib.sha256(source.store.read_bytes("manifest.json")).hexdigest(),
        "tokenizer": label,
        "tokenizer_sha256": bpe.sha256,
    }
    id_bytes = bpe.id_type.itemsize if mine[:1] == ["token_count"] else 0
    about = {"id_type": bpe.id_type.name, "vocabulary": bpe.vocabulary, "eos": eos, "counted_by": mine[0] if mine else None}
    columns = tuple(dict.fromkeys((*_INDEX, *_selected(source))))
    tasks = [
        _ShardOf(store, source.store, file, entry["rows"], entry["tokens"], id_bytes, named, device, mine[0] if mine else None, columns)
        for file, entry in sorted(files.items(), key=lambda item: (-item[1]["text_bytes"], item[0]))  # the largest first: no process waits long at the end
    ]

    def rest(into: Store) -> dict[str, Any]:
        copies = {"tokenizer.json": bpe.source, **{name: source.store.read_bytes(name) for name in _COPIED if name in source.manifest["files"]}}
        for name, data in copies.items():
            into.write_bytes(name, data)
        return {**about, "files": {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in copies.items()}}

    on_cuda = str(getattr(engine, "device", "cpu")).startswith("cuda")
    carry_out(store, who, tasks, rest, step="tokenize", cpus=1 if on_cuda else cpus, threads=cpus if on_cuda else 1, progress=progress)
    made = open_tokens(store.root)
    for layout in layouts:
        export_tokens(made, layout, append_eos=append_eos, cpus=cpus, progress=progress)
    return made


def _shards(release: Release) -> dict[str, dict[str, int]]:
    """The release's Parquet shards, with the numbers that its manifest says of each."""
    try:
        if not all(isinstance(release.manifest[key], str) for key in ("name", "version", "fingerprint", "tokenizer")):
            raise TypeError("its name, version, fingerprint and tokenizer are not all words")
        listed = {name: entry for name, entry in release.manifest["files"].items() if name.partition("/")[0] in SPLITS}
        return {name: {key: int(entry[key]) for key in ("rows", "tokens", "text_bytes")} for name, entry in listed.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{release.store.at('manifest.json')} is not that of a release ({type(error).__name__}: {error}). Give the folder that `run` printed."
        ) from error


def _tokenizer(release: Release, given: str | None) -> str:
    """A tokenizer as the engines take it: a bundled name, or a path, which has a slash in it."""
    if given is not None:
        return f"./{given}" if "/" not in given and given not in SHIPPED and os.path.isfile(given) else given
    published = str(release.manifest["tokenizer"])
    if "sha256:" in published:
        raise PlanError(f"The release was counted by {published}, a file of its maker's. Give it, or another tokenizer, with --tokenizer PATH.")
    return published


def _stem(path: str) -> str:
    """A file's name for people: `llama3` of `llama3.json` and of `llama3/tokenizer.json`."""
    file = Path(path)
    return file.resolve().parent.name if file.stem == "tokenizer" else file.stem


def _beside(release: Release, label: str) -> str:
    folder = release.path.rstrip("/").rpartition("/")[0]
    work = folder.rpartition("/")[0] if folder.endswith("/releases") else folder
    out = f"{work}/tokens/{release.manifest['name']}@{release.manifest['version']}/{label}"
    if is_url(out):
        raise PlanError(f"{release.path} is no folder of this machine, and tokens are to be mapped into memory: say with --out where they are to lie.")
    return out


def _counted(release: Release) -> dict[str, str]:
    """Columns of token counts -> sha256 of the tokenizer that counted; those that are not known here are left out."""
    mix = release.store.read_json("recipe.json")["mix"] if "recipe.json" in release.manifest["files"] else {}
    named = {"token_count": str(release.manifest["tokenizer"]), **{f"token_count_{name}": str(model) for name, model in (mix.get("also_count") or {}).items()}}
    found = {column: model.rpartition("sha256:")[2] if "sha256:" in model else MODELS.get(model, ("", "", ""))[2] for column, model in named.items()}
    return {column: digest for column, digest in found.items() if digest}


def _selected(release: Release) -> list[str]:
    """The columns that the schedule's bounds are on."""
    if "schedule.json" not in release.manifest["files"]:
        return []
    phases = release.store.read_json("schedule.json")["phases"]
    return sorted({column for phase in phases for some in phase["slices"] for column in some["select"].get("bounds", {})})


@lru_cache(maxsize=1)
def _engine(tokenizer: str, device: str) -> Engine:
    """The engine of this process: it remembers words from shard to shard."""
    return open_engine(tokenizer, device)


@dataclass(frozen=True)
class _ShardOf:
    """A shard of the release, to be written as tokens."""

    store: Store
    release: Store
    file: str
    rows: int
    tokens: int  # by the release's own tokenizer
    id_bytes: int  # 0 where another tokenizer makes another number of them
    tokenizer: str
    device: str
    counted: str | None  # the column that says how many tokens each document has by this tokenizer
    columns: tuple[str, ...]  # of the index

    @property
    def name(self) -> str:
        folder, domain, file = self.file.split("/")
        return f"{SPLITS[folder]}/{domain}/{file.removesuffix('.parquet')}"

    @property
    def bytes_to_write(self) -> int:
        """Ids where their number is known, offsets, and the index at some 100 bytes a row."""
        return self.tokens * self.id_bytes + self.rows * 108

    def __call__(self, threads: int) -> dict[str, Any]:
        engine = _engine(self.tokenizer, self.device)
        counts = Counter(dict.fromkeys(COUNTS, 0))
        names = [self.name + end for end in (".ids", ".offsets", ".arrow")]
        with contextlib.closing(self._groups(threads)) as groups, tallied(self.store, names) as (ids_file, offsets_file, index_file):
            offsets_file.write(np.zeros(1, "<i8"))
            writer = None
            for group in groups:
                index = group.select(self.columns).combine_chunks()
                writer = writer or pa.ipc.new_file(index_file, index.schema)
                lengths = [np.empty(0, np.int64)]
                for batch in group.select(["text"]).to_batches():
                    texts = Texts(batch.column("text"))
                    first, last = int(texts.offsets[0]), int(texts.offsets[-1])
                    ids, some = engine.encode(texts.data[first:last], texts.offsets - first)
                    ids_file.write(ids.astype(engine.bpe.id_type.newbyteorder("<"), copy=False))
                    lengths.append(some)
                    counts["text_bytes"] += last - first
                tokens = np.concatenate(lengths)
                self._compare(group, tokens, counts["documents"])
                offsets_file.write((counts["tokens"] + np.cumsum(tokens)).astype("<i8", copy=False))
                counts.update(
                    {"documents": len(tokens), "tokens": int(tokens.sum()), "tokens_with_repeats": int((tokens * group.column("repeats").to_numpy()).sum())}
                )
                writer.write_table(index)
            if writer:
                writer.close()
            if counts["documents"] != self.rows:
                raise StoreError(
                    f"{self.release.at(self.file)} has {counts['documents']:,} rows, where its manifest.json says {self.rows:,}. `verify` says more."
                )
        return {**counts, "made_of": self.file, "files": {name: file.found() for name, file in zip(names, (ids_file, offsets_file, index_file), strict=True)}}

    def _groups(self, threads: int) -> Generator[pa.Table, None, None]:
        """Row groups in order, read ahead by `threads` where there are several."""
        needed = list(dict.fromkeys((*self.columns, "text", *([self.counted] if self.counted else []))))
        with self._reading() as parquet:
            there = parquet.schema_arrow
            groups, empty = parquet.num_row_groups, there.empty_table()
        missing = [n for n in needed if n not in there.names or (n in RELEASE.names and there.field(n).type != RELEASE.field(n).type)]
        if missing:
            raise StoreError(
                f"{self.release.at(self.file)} has no column {' and no column '.join(missing)} of the right type: it is no shard of a release that can be tokenized."
            )
        if not groups:
            yield empty
        elif threads <= 1:
            with self._reading() as parquet:
                for k in range(groups):
                    yield self._checked(parquet, k, needed)
        else:
            with ThreadPoolExecutor(threads) as pool:
                ahead = deque(pool.submit(self._group, k, needed) for k in range(min(threads, groups)))
                for k in range(groups):
                    if k + threads < groups:
                        ahead.append(pool.submit(self._group, k + threads, needed))
                    yield ahead.popleft().result()

    def _group(self, number: int, needed: list[str]) -> pa.Table:
        with self._reading() as parquet:
            return self._checked(parquet, number, needed)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[pq.ParquetFile]:
        """The shard, open."""
        with self.release.open(self.file) as handle:
            with self._blamed():
                parquet = pq.ParquetFile(handle)
            yield parquet

    @contextlib.contextmanager
    def _blamed(self) -> Iterator[None]:
        """Whatever is wrong with the shard, as a StoreError that names it."""
        try:
            yield
        except (OSError, ValueError, pa.ArrowException) as error:
            raise StoreError(
                f"{self.release.at(self.file)} cannot be read: {' '.join(str(error).split())[:300]}. `verify` says what else is wrong with the release."
            ) from error

    def _checked(self, parquet: pq.ParquetFile, number: int, needed: list[str]) -> pa.Table:
        """A row group whose texts are UTF-8."""
        with self._blamed():
            group = parquet.read_row_group(number, columns=needed, use_threads=False)
            group.select(["id", "text"]).validate(full=True)
            if group.column("text").null_count or group.column("repeats").null_count:
                raise ValueError("some texts or repeats are null")
            return group

    def _compare(self, group: pa.Table, tokens: np.ndarray, before: int) -> None:
        """What was written is what the release says."""
        if self.counted is None:
            return
        said = group.column(self.counted).to_numpy()
        wrong = np.flatnonzero(said != tokens)
        if len(wrong):
            row = int(wrong[0])
            raise StoreError(
                f"{self.release.at(self.file)}: row {before + row} ({group.column('id')[row]}) has {tokens[row]:,} tokens, but its {self.counted} is {said[row]:,}. "
                "Either the text was changed behind the release, or another version counts otherwise: `verify` tells which. Nothing of this shard was kept."
            )
