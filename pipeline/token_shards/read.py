"""Reading token shards: arrays mapped into memory, document by document or end to end. Costs nothing before it is used but a look at every file's size."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from pipeline.errors import StoreError
from pipeline.store import Store

FORMAT = "skypile-tokens-1"
DONE = "done"  # what an unfinished folder keeps beside the files: what it is of, and an entry a shard


@dataclass(frozen=True)
class TokenShard:
    """One shard, mapped into memory."""

    ids: np.ndarray  # (tokens,) uint16 or uint32
    offsets: np.ndarray  # (documents + 1,) int64
    index: pa.Table  # (documents,) id, domain, subdomain, programming_language, repeats, and the columns that a schedule's bounds are on


@dataclass(frozen=True)
class Tokens:
    """The documents of a domain of one split, in the release's order, over all shards. Cheap to pickle: every process maps the files itself."""

    store: Store
    id_type: str
    entries: tuple[tuple[str, Mapping[str, Any]], ...]  # shard -> what the manifest says of it

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def shards(self) -> tuple[TokenShard, ...]:
        return tuple(self._mapped(name, entry) for name, entry in self.entries)

    @cached_property
    def first_documents(self) -> np.ndarray:
        """The number of each shard's first document, and how many there are. (shards + 1,) int64"""
        return np.cumsum([0, *(entry["documents"] for _, entry in self.entries)], dtype=np.int64)

    @cached_property
    def first_tokens(self) -> np.ndarray:
        """The number of each shard's first token, and how many there are. (shards + 1,) int64"""
        return np.cumsum([0, *(entry["tokens"] for _, entry in self.entries)], dtype=np.int64)

    def __len__(self) -> int:
        """Documents."""
        return int(self.first_documents[-1])

    @property
    def tokens(self) -> int:
        return int(self.first_tokens[-1])

    def document(self, number: int) -> np.ndarray:
        """The ids of a document; IndexError where there is none. (tokens,), a view of the file"""
        if not 0 <= number < len(self):
            raise IndexError(f"document {number} of {len(self)}")
        k = int(np.searchsorted(self.first_documents, number, side="right")) - 1
        shard, row = self.shards[k], number - int(self.first_documents[k])
        return shard.ids[shard.offsets[row] : shard.offsets[row + 1]]

    def read(self, begin: int, end: int) -> np.ndarray:
        """Ids from one place to another among all, documents end to end. (end - begin,), a view of the file where one shard holds them"""
        if not 0 <= begin <= end <= self.tokens:
            raise IndexError(f"tokens {begin} to {end} of {self.tokens}")
        found: list[np.ndarray] = []
        for k in range(int(np.searchsorted(self.first_tokens, begin, side="right")) - 1, len(self.shards)):
            at = int(self.first_tokens[k])
            if found and at >= end:
                break
            found.append(self.shards[k].ids[max(0, begin - at) : max(0, end - at)])
        return found[0] if len(found) == 1 else np.concatenate([np.empty(0, self.id_type), *found])

    @cached_property
    def offsets(self) -> np.ndarray:
        """Where each document begins among all tokens, and the last ends. (documents + 1,) int64, in memory where there are several shards"""
        if len(self.shards) == 1:
            return self.shards[0].offsets
        return np.concatenate([np.zeros(1, np.int64), *(s.offsets[1:] + at for s, at in zip(self.shards, self.first_tokens[:-1], strict=True))])

    @cached_property
    def index(self) -> pa.Table:
        """A row a document, mapped: what a schedule's selections look at, and `repeats`."""
        return pa.concat_tables([shard.index for shard in self.shards]) if self.shards else pa.table({})

    def _mapped(self, name: str, entry: Mapping[str, Any]) -> TokenShard:
        try:
            ids, offsets = (_mapped(self.store.at(name + end), type_) for end, type_ in ((".ids", self.id_type), (".offsets", "<i8")))
            index = pa.ipc.open_file(pa.memory_map(self.store.at(f"{name}.arrow"))).read_all()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _damaged(self.store, name, str(error)) from error
        if len(ids) != entry["tokens"] or not len(offsets) == entry["documents"] + 1 == index.num_rows + 1 or offsets[-1] != len(ids):
            raise _damaged(self.store, name, "its files do not belong together")
        return TokenShard(ids, offsets, index)


@dataclass(frozen=True)
class TokenRelease:
    """A release's tokens. `open_tokens` makes one."""

    store: Store
    manifest: Mapping[str, Any]

    @property
    def path(self) -> str:
        return self.store.root

    @property
    def tokenizer(self) -> str:
        """Its name, for people; `manifest["tokenizer_sha256"]` says which it is, and `tokenizer.json` lies in the folder."""
        return str(self.manifest["tokenizer"])

    @property
    def vocabulary(self) -> int:
        """One more than the largest id that the tokenizer has."""
        return int(self.manifest["vocabulary"])

    @property
    def eos(self) -> int | None:
        """The id that ends a document, which no shard holds between documents; None where the tokenizer has none that is known."""
        return cast(int | None, self.manifest["eos"])

    @property
    def id_type(self) -> np.dtype:
        """uint16 or uint32, little-endian."""
        return np.dtype(self.manifest["id_type"]).newbyteorder("<")

    def domains(self, split: str = "train") -> list[str]:
        return sorted(self.manifest["counts"].get(split, {}))

    def domain(self, name: str, split: str = "train") -> Tokens:
        """The documents of a domain, `train` or `validation`. KeyError for one that is not there."""
        if name not in self.manifest["counts"].get(split, {}):
            raise KeyError(f"{self.path} holds no {split} tokens of '{name}'; there are {', '.join(self.domains(split)) or 'none at all'}")
        entries = tuple((shard, e) for shard, e in sorted(self.manifest["shards"].items()) if shard.startswith(f"{split}/{name}/"))
        return Tokens(self.store, self.id_type.str, entries)

    @cached_property
    def mixture(self) -> dict[str, Any]:
        """The release's shares and epochs."""
        return dict(self.store.read_json("mixture.json"))

    @cached_property
    def schedule(self) -> dict[str, Any]:
        """The release's order for a trainer; empty where its mix has none."""
        return dict(self.store.read_json("schedule.json")) if "schedule.json" in self.manifest["files"] else {}


def open_tokens(path: str | Path, *, hashes: bool = False) -> TokenRelease:
    """Open a folder of token shards; nothing is read before it is used. With `hashes` every file's sha256 is compared first.

    StoreError where there is none, and where a file is missing or of another size.

    >>> tokens = open_tokens("work/tokens/skypile@0.1/skypile-65k")  # doctest: +SKIP
    >>> tokens.domain("zh").document(0)  # doctest: +SKIP
    memmap([ 4712, 35001,   387], dtype=uint16)
    """
    store = Store(str(path))
    if not store.is_local:
        raise StoreError(f"{path}: token shards are mapped into memory, so they must lie on a disk of this machine. Copy the folder here.")
    manifest = manifest_of(store)
    if manifest is None:
        going_on = store.exists(DONE)
        raise StoreError(
            f"{store.root} is not finished: run the same `tokenize` again." if going_on else f"There are no tokens at {store.root} (it has no manifest.json)."
        )
    if manifest["layout"] != "ids":
        raise StoreError(f"{store.root} is a copy in the layout of {manifest['layout']}. Open the folder above it.")
    wrong = [name for name, file in files_of(manifest).items() if size_of(store, name) != file["bytes"]]
    wrong = wrong or [name for name, file in (files_of(manifest) if hashes else {}).items() if sha256_of(store, name) != file["sha256"]]
    if wrong:
        how = "is missing" if size_of(store, wrong[0]) is None else "is not the file that was written"
        raise _damaged(store, wrong[0], f"it {how}" + (f", as are {len(wrong) - 1} others" if len(wrong) > 1 else ""))
    return TokenRelease(store, manifest)


def manifest_of(store: Store) -> dict[str, Any] | None:
    """The manifest of a folder of tokens; None where there is none yet. StoreError where it is something else's."""
    if not store.exists("manifest.json"):
        return None
    found = store.read_json("manifest.json")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        kind = f"of the format {found['format']}" if _is_of_tokens(found) else "something else"
        raise StoreError(f"{store.root} holds {kind}, not tokens of the format {FORMAT}. Give the folder that `tokenize` printed, or make the tokens anew.")
    return found


def holds_tokens(store: Store) -> bool:
    """Whether a folder is one of tokens, of this format or of another version's."""
    return store.exists("manifest.json") and _is_of_tokens(store.read_json("manifest.json"))


def _is_of_tokens(manifest: Any) -> bool:
    return isinstance(manifest, dict) and str(manifest.get("format")).startswith("skypile-tokens")


def files_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Every file that a manifest lists."""
    return {**manifest.get("files", {}), **{name: file for entry in manifest["shards"].values() for name, file in entry["files"].items()}}


def size_of(store: Store, name: str) -> int | None:
    try:
        return os.path.getsize(store.at(name))
    except OSError:
        return None


def sha256_of(store: Store, name: str) -> str:
    digest = hashlib.sha256()
    with store.open(name) as handle:
        while chunk := handle.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def _mapped(path: str, type_: str) -> np.ndarray:
    return np.memmap(path, type_, "r") if os.path.getsize(path) else np.empty(0, type_)  # nothing cannot be mapped


def _damaged(store: Store, name: str, what: str) -> StoreError:
    return StoreError(f"{store.at(name)} is damaged: {what}. Remove it if it is there, and run the same `tokenize` again, which makes it anew.")
