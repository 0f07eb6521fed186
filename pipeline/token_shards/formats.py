"""Token shards in the layouts of other trainers: Megatron-LM's `.bin` and `.idx`, and the `.ds` files of datatrove that nanotron's Nanoset reads.

    megatron/train-DOMAIN-00000-of-00003.bin  .idx             give the path without the ending to --data-path
    nanotron/train/DOMAIN/DOMAIN-00000-of-00003.ds  .ds.index  .ds.metadata    give the folder to `dataset_folder`

Both are written from the mapped shards, without tokenizing again. Both trainers cut the stream anywhere and find documents by their last token, so
`eos` is appended to each unless told otherwise. Neither knows `repeats`: each document stands once, and `tokens_with_repeats` in manifest.json is the
weight that a shard or a domain is to have. Memory: a few million tokens, and 8 bytes a document of one shard.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import PlanError, StoreError
from pipeline.store import Store
from pipeline.token_shards.read import TokenRelease, Tokens
from pipeline.token_shards.work import COUNTS, Told, carry_out, tallied

LAYOUTS = ("megatron", "nanotron")
_CHUNK_TOKENS = 4 << 20
_MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
_MEGATRON_TYPES = {"uint16": (8, "<u2"), "uint32": (4, "<i4")}  # id type -> its code, and what it is called there: Megatron has no uint32
_MEGATRON_LONGEST = 2**31 - 1  # lengths are int32


def export_tokens(tokens: TokenRelease, layout: str, *, append_eos: bool = True, cpus: int = 1, progress: Told | None = None) -> str:
    """Write tokens in the layout of `megatron` or `nanotron`, or go on where an earlier call was stopped; the folder, which lies in that of the tokens.

    PlanError for another layout, for a tokenizer without a known end of text, and where the folder was made otherwise.
    """
    check_layout(layout, append_eos, tokens.eos, tokens.tokenizer)
    eos = tokens.eos if append_eos else None
    who = {
        "layout": layout,
        "append_eos": append_eos,
        **{key: tokens.manifest[key] for key in ("release", "tokenizer", "tokenizer_sha256")},
        "tokens_manifest_sha256": hashlib.sha256(tokens.store.read_bytes("manifest.json")).hexdigest(),
    }
    store = tokens.store.sub(layout)
    largest_first = sorted(tokens.manifest["shards"].items(), key=lambda item: (-item[1]["tokens"], item[0]))
    tasks = [_Copy(store, Tokens(tokens.store, tokens.id_type.str, ((name, entry),)), layout, eos, tokens.tokenizer) for name, entry in largest_first]
    about = {"id_type": tokens.id_type.name, "vocabulary": tokens.vocabulary, "eos": eos, "files": {}}
    carry_out(store, who, tasks, lambda _: about, step=layout, cpus=cpus, progress=progress)
    return store.root


def check_layout(layout: str, append_eos: bool, eos: int | None, tokenizer: str) -> None:
    """PlanError for what `export_tokens` would refuse after the tokens are made."""
    if layout not in LAYOUTS:
        raise PlanError(f"There is no layout '{layout}'. There are: {', '.join(LAYOUTS)}.")
    if append_eos and eos is None:
        raise PlanError(f"The tokenizer {tokenizer} has no end of text that is known here, which {layout} expects behind each document. Say --no-append-eos.")


@dataclass(frozen=True)
class _Copy:
    """A shard to be written in another layout."""

    store: Store
    tokens: Tokens  # of that shard alone
    layout: str
    eos: int | None
    tokenizer: str

    @property
    def name(self) -> str:
        return self.tokens.entries[0][0]

    @property
    def bytes_to_write(self) -> int:
        return self.ids * self.id_type.itemsize + len(self.tokens) * 20

    @property
    def ids(self) -> int:
        """How many the file will hold."""
        return self.tokens.tokens + (len(self.tokens) if self.eos is not None else 0)

    @property
    def id_type(self) -> np.dtype:
        return np.dtype(self.tokens.id_type)

    def __call__(self, threads: int) -> dict[str, Any]:  # noqa: ARG002  # a task's signature
        files = _WRITERS[self.layout](self)
        return {**{key: self.tokens.entries[0][1][key] for key in COUNTS}, "ids": self.ids, "files": files}

    def lengths(self) -> np.ndarray:
        """Ids of each document in the file. (documents,) int64"""
        return np.asarray(np.diff(self.tokens.offsets) + (self.eos is not None))

    def chunks(self) -> Iterator[np.ndarray]:
        """The ids of the file, a few million at a time, whole documents."""
        offsets = self.tokens.offsets
        first = 0
        while first < len(self.tokens):
            last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _CHUNK_TOKENS, side="right")) - 1)
            ids = self.tokens.read(int(offsets[first]), int(offsets[last]))
            yield ids if self.eos is None else np.insert(ids, offsets[first + 1 : last + 1] - offsets[first], self.eos)
            first = last


def _megatron(copy: _Copy) -> dict[str, Any]:
    """Megatron-LM, megatron/core/datasets/indexed_dataset.py: ids end to end; an index of lengths, places in bytes, and documents, here of one sequence each."""
    code, type_ = _MEGATRON_TYPES[copy.id_type.name]
    split, _, file = copy.name.split("/")
    names = [f"{split}-{file}.bin", f"{split}-{file}.idx"]
    lengths = copy.lengths()
    if len(lengths) and int(lengths.max()) > _MEGATRON_LONGEST:
        raise StoreError(f"A document of {copy.name} has {int(lengths.max()):,} tokens; Megatron's index holds at most {_MEGATRON_LONGEST:,} of one.")
    with tallied(copy.store, names) as (ids_file, index_file):
        for ids in copy.chunks():
            ids_file.write(ids.astype(type_, copy=False))
        index_file.write(_MEGATRON_MAGIC + struct.pack("<QBQQ", 1, code, len(lengths), len(lengths) + 1))
        index_file.write(lengths.astype("<i4"))
        index_file.write(((np.cumsum(lengths) - lengths) * np.dtype(type_).itemsize).astype("<i8", copy=False))
        index_file.write(np.arange(len(lengths) + 1, dtype="<i8"))
    return {name: file.found() for name, file in zip(names, (ids_file, index_file), strict=True)}


def _nanotron(copy: _Copy) -> dict[str, Any]:
    """datatrove's DocumentTokenizer: ids end to end; `.index`, where each document ends, uint64; `.metadata`, three lines: name|bytes of an id, ids, ids in short."""
    names = [f"{copy.name}.ds", f"{copy.name}.ds.index", f"{copy.name}.ds.metadata"]
    with tallied(copy.store, names) as files:
        for ids in copy.chunks():
            files[0].write(ids)
        files[1].write(np.cumsum(copy.lengths()).astype("<u8"))
        files[2].write(f"{copy.tokenizer}|{copy.id_type.itemsize}\n{copy.ids}\n{_short(copy.ids)}".encode())
    return {name: file.found() for name, file in zip(names, files, strict=True)}


def _short(tokens: int) -> str:
    """A number for people, with T for tokens: 1.23 MT.

    >>> _short(1_234_567)
    '1.23 MT'
    """
    power = min(4, (len(str(tokens)) - 1) // 3)
    return f"{tokens / 1000**power:.3g} {('', 'k', 'M', 'G', 'T')[power]}T"


_WRITERS: dict[str, Callable[[_Copy], dict[str, Any]]] = {"megatron": _megatron, "nanotron": _nanotron}
