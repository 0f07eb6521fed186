"""`verify RELEASE`: everything that a release says of itself, counted anew from its files alone.

File by file: the manifest lists what is there and nothing else; sha256; of every shard rows, tokens, bytes, content hash and columns, the order and the place
of its rows, token counts, repeats, traces, signatures (`recount`). Then across files: ids are unique and not dropped by the ledger; no cluster is on both
sides of the split; shares, statistics, schedule and tables of code are those of the rows; what was read is what was kept and what was dropped.
Not a proof that the stages judged well, nor that the inputs were what the recipe says.

A fault is one sentence, never an exception. Memory: one row group, and 16 bytes an id, twice that while ids are compared.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipeline import shards
from pipeline.errors import ModelError, StoreError
from pipeline.ledger import UNNAMED
from pipeline.mix import by_slice, mixture, schedule, slice_names
from pipeline.planning import FORMAT
from pipeline.publish.recount import FAULTS, ID, Claim, Recount, described, digests, is_among, is_other, recount, said
from pipeline.recipe import Mix, ReleaseSettings, SourceSettings
from pipeline.schema import LEDGER
from pipeline.shards import REMOVED, Slice
from pipeline.stages import STAGES, Score, Takedown, label
from pipeline.store import Store, canonical_json, open_model

SAMPLE = 1000  # documents whose signatures are computed anew
TOLERANCE = 0.001  # of a share whose slice has LARGE tokens; of a smaller one what three of the longest documents make
LARGE = 10_000_000
SENTENCES = 8  # of values in one JSON file, before the rest is counted
_ALWAYS = ("recipe.json", "stats.json", "mixture.json")
# Written beside a release, of its own contents: the card; and what the Hub and its client put there.
_BESIDE = re.compile(r"README(?:\.[\w-]+)?\.md|croissant\.json|figures/.+|\.gitattributes|\.cache/.+")
_SHARD = re.compile(r"(data|validation)/([^/]+)/\2-(\d{5})-of-(\d{5})\.parquet")
_NUMBERED = re.compile(r"(ledger|removed)/\1-(\d{5})-of-(\d{5})\.parquet")


@dataclass(frozen=True)
class Verified:
    """What contradicts the release (empty where nothing does), what was not checked and why, and how much was counted."""

    problems: list[str]
    notes: list[str]
    checked: dict[str, int | float]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(path: str, *, cpus: int = 1, tokens: bool = True) -> Verified:
    """Recount a release. `cpus` processes read shards side by side; without `tokens` nothing is tokenized, which is most of the time.

    StoreError where there is no such folder. Processes are spawned: with `cpus` above 1, a script that calls this needs `if __name__ == "__main__":`.
    """
    store = Store(str(path))
    files = _files(store)
    if not files:
        raise StoreError(f"There is no release at {store.root}: the folder is missing or empty. Give the path of a folder that holds a manifest.json.")
    return _Verification(store, files, cpus, tokens).all()


def _files(store: Store) -> set[str]:
    fs, root = fsspec.core.url_to_fs(store.root)
    return {str(file)[len(root) :].lstrip("/") for file in fs.find(root)} - {""}


@dataclass
class _Verification:
    """One release on its way through the checks, each of which adds sentences."""

    store: Store
    files: set[str]
    cpus: int
    tokens: bool
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    manifest: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the files that the manifest lists and that are there
    recipe: dict[str, Any] = field(default_factory=dict)
    mix: Mix | None = None
    stages: tuple[tuple[str, Any], ...] = ()  # of the recipe, in the order in which traces name them
    judging: tuple[str, ...] = ()
    found: list[Recount] = field(default_factory=list)

    def all(self) -> Verified:
        """Every check in turn; those across files only where all rows could be read."""
        with self.reading("manifest.json"):
            self.listing()
        if "files" not in self.manifest:
            return Verified(self.problems, ["Nothing else was checked, since manifest.json says what there is to check."], {})
        if self.manifest.get("format") != FORMAT:
            other = f"manifest.json: the release is of format {self.manifest.get('format')}, and this program verifies format {FORMAT}"
            return Verified(
                [*self.problems, f"{other}. Verify it with the version that made it."], ["Checksums were compared; nothing else was."], dict(self.checked)
            )
        with self.reading("recipe.json"):
            self.identity()
        with self.reading("manifest.json"):
            self.shards()
        whole = (
            bool(self.found) and all(f.whole for f in self.found) and not any(_SHARD.fullmatch(f) for f in self.manifest["files"].keys() - self.entries.keys())
        )
        if not whole:
            self.notes.append("Not all rows could be read, so they were not compared with mixture.json, stats.json, the ledger and the tables of code.")
        ids = self.unique()
        self.schemas()
        drops = None
        with self.reading("manifest.json"):
            drops = self.ledger(ids if whole else None, self.removed())
        checks: tuple[tuple[str, Callable[[str], None]], ...] = (("mixture.json", self.mixture), ("code.json", self.code), ("schedule.json", self.schedule))
        for file, check in checks if whole and self.mix else ():
            with self.reading(file):
                check(file)
        with self.reading("stats.json"):
            self.stats(drops, whole)
        return Verified(self.problems, self.notes, dict(self.checked))

    @contextmanager
    def reading(self, file: str) -> Iterator[None]:
        """What goes wrong in this block is a problem of that file."""
        try:
            yield
        except FAULTS as error:
            self.problems.append(f"{file} cannot be read as it should be: {said(error)}.")

    def compare(self, file: str, claimed: Any, found: Any, place: str = "") -> None:
        """A sentence for every value, at any depth, that is not what the rows say."""
        wrong = [f"{file}: {where} is {_short(a)}, but it should be {_short(b)}." for where, a, b in _unequal(claimed, found, place)]
        if len(wrong) > SENTENCES:
            wrong[SENTENCES:] = [f"{file}: {len(wrong) - SENTENCES} more values are not those of the rows."]
        self.problems += wrong

    # --- files and identity ---------------------------------------------------------------------------------------------------

    def listing(self) -> None:
        """The manifest lists what is there, and nothing else is. sha256 of all but shards, which `recount` reads."""
        manifest = dict(self.store.read_json("manifest.json"))
        listed = {str(name): dict(entry) for name, entry in manifest["files"].items()}
        self.manifest = {**manifest, "files": listed}
        self.problems += [f"{name} is missing; manifest.json lists it." for name in sorted(listed.keys() - self.files)]
        strange = sorted(name for name in self.files - listed.keys() - {"manifest.json"} if not _BESIDE.fullmatch(name))
        self.problems += [f"{name} is no part of the release: manifest.json does not list it." for name in strange]
        types = {"name": str, "version": str, "fingerprint": str, "tokenizer": str, "pyarrow": str, "engines": dict}
        self.problems += [f"manifest.json does not say its {key}." for key, type_ in types.items() if not isinstance(manifest.get(key), type_)]
        self.entries = {name: entry for name, entry in sorted(listed.items()) if name in self.files}
        wanted = {"ledger": "a file of the ledger", "removed": "a file of removed documents", "data": "a shard"}
        self.problems += [f"manifest.json does not list {what}." for kind, what in wanted.items() if not any(name.startswith(f"{kind}/") for name in listed)]
        self.problems += [f"manifest.json does not list {name}." for name in _ALWAYS if name not in listed]
        for name, entry in self.entries.items():
            if not _SHARD.fullmatch(name):
                with self.reading(name):
                    self.problems += filter(None, [is_other(self.store, name, entry)])
        numbers: dict[tuple[str, str], set[int]] = {}
        for found in filter(None, (_NUMBERED.fullmatch(name) for name in listed)):
            numbers.setdefault((found[1], found[3]), set()).add(int(found[2]))
        for (kind, of), there in numbers.items():
            if there != set(range(int(of))):
                self.problems.append(f"manifest.json lists {len(there)} files of {kind}/ whose names say that there are {int(of)}.")
        self.checked["files"] = len(self.entries)

    def identity(self) -> None:
        """The recipe is the one that the manifest names."""
        self.recipe = dict(self.store.read_json("recipe.json"))
        self.mix = Mix.model_validate(self.recipe["mix"])
        ReleaseSettings.model_validate({**self.recipe["release"], "tombstones": []})  # whose files are not here
        for settings in self.recipe["sources"].values():
            SourceSettings.model_validate(settings)
        if not isinstance(self.recipe["seed"], int):
            raise ValueError(f"its seed is {self.recipe['seed']!r}, not a number")
        for key, value in (("name", self.recipe["name"]), ("version", self.recipe["version"]), ("tokenizer", self.mix.tokenizer)):
            if self.manifest.get(key) != value:
                self.problems.append(f"recipe.json says {key} {value!r}, manifest.json {self.manifest.get(key)!r}.")
        stages = [STAGES[name].model_validate_json(canonical_json(settings)) for item in self.recipe["stages"] for name, settings in item.items()]
        self.judging = shards.judging(stage.columns for stage in stages if isinstance(stage, Score))
        # Those that rewrite text stand first, then what tombstones took.
        taken = [Takedown.model_construct(where=None, unless=None)] if self.recipe["release"].get("tombstones") else []
        ordered = [s for s in stages if s.scope == "text"] + taken + [s for s in stages if s.scope != "text"]
        self.stages = tuple((label(stage), stage) for stage in ordered)

    # --- shards -----------------------------------------------------------------------------------------------------------------

    def shards(self) -> None:
        """Read every shard: first those of validation/, whose clusters the others are held against."""
        places = [(name, found) for name in self.entries if (found := _SHARD.fullmatch(name))]
        slices = self._slices()
        documents = sum(int(self.entries[name].get("rows", 0)) for name, _ in places)
        claims: dict[str, list[Claim]] = {"validation": [], "data": []}
        tokenizers = self._tokenizers()
        for name, found in places:
            signed = slices[found[1], found[2]].signatures(int(found[3])) in self.entries
            claims[found[1]].append(
                Claim(
                    self.store, slices[found[1], found[2]], int(found[3]), self.entries[name], self.recipe.get("seed"), tuple(self.recipe.get("sources", ())), self.mix, self.stages,
                    tokenizers,
                    min(1.0, SAMPLE / max(1, documents)) if signed else None,
                )
            )  # fmt: skip
        with workers(min(self.cpus, len(places))) as each:
            self.found = each(claims["validation"])
            held = np.unique(np.concatenate([np.empty(0, ID), *(f.clusters for f in self.found)]))
            self.found += each([replace(claim, held=held) for claim in claims["data"]])
        asked = self.recipe.get("release", {}).get("signatures", True)
        expected = {s.signatures(i) for s in slices.values() for i in range(s.shards)} if asked else set()
        listed = {name for name in self.manifest["files"] if name.startswith("signatures/")}
        self.problems += [f"{name} should hold signatures, but manifest.json does not list it." for name in sorted(expected - listed)]
        self.problems += [f"{name} holds signatures of no shard of this release." for name in sorted(listed - expected)]
        for f in self.found:
            self.problems += f.problems
            self.checked["shards"] += 1
            self.checked[f"documents of {f.split}"] += f.counts["rows"]
            for key, n in (
                ("tokens", f.counts["tokens"]),
                ("bytes of text", f.counts["text_bytes"]),
                ("signatures", f.signatures or 0),
                ("signatures computed anew", f.signatures_computed),
            ):
                self.checked[key] += n
        if tokenizers and self.tokens:
            self.checked["tokenizers"] = len(tokenizers)

    def _slices(self) -> dict[tuple[str, str], Slice]:
        """Folders of shards by (data or validation, domain), cut as the manifest's bytes of text ask."""
        settings = self.recipe.get("release", {})
        names: dict[tuple[str, str], dict[int, set[int]]] = {}
        sizes: Counter[tuple[str, str]] = Counter()
        for name, entry in self.manifest["files"].items():
            if name.startswith(("data/", "validation/")):
                if (found := _SHARD.fullmatch(name)) is None:
                    self.problems.append(f"{name} is not named as a shard is.")
                    continue
                names.setdefault((found[1], found[2]), {}).setdefault(int(found[4]), set()).add(int(found[3]))
                sizes[found[1], found[2]] += int(entry.get("text_bytes", 0))
        out = {}
        for (folder, domain), numbers in names.items():
            split = "train" if folder == "data" else "validation"
            (planned,) = shards.layout(
                {(split, domain): sizes[folder, domain]}, int(settings.get("shard_size", 1 << 62)), int(settings.get("row_group_size", 1 << 62))
            )
            of = max(numbers)
            if len(numbers) > 1 or numbers[of] != set(range(of)):
                self.problems.append(f"manifest.json lists shards {sorted(numbers[of])} of {folder}/{domain}/, whose names say that there are {of}.")
            elif of != planned.shards and settings:
                self.problems.append(f"{folder}/{domain}/ is cut into {of} shards; its {sizes[folder, domain]:,} bytes of text make {planned.shards}.")
            per_shard = planned.buckets_per_shard if of == planned.shards else max(1, math.ceil(planned.buckets / of))
            out[folder, domain] = Slice(split, domain, of, per_shard, 0)
        return out

    def _tokenizers(self) -> dict[str, str]:
        """Columns of token counts -> the file of the tokenizer that counts them, where it is at hand."""
        if not self.tokens or self.mix is None:
            self.notes.append("Token counts were not compared with the texts.")
            return {}
        out = {}
        for column, name in {"token_count": self.mix.tokenizer, **{f"token_count_{n}": m for n, m in self.mix.also_count.items()}}.items():
            try:
                out[column] = open_model(name if "/" in name else f"bundled:{name}").path
            except ModelError as error:
                self.notes.append(f"{column} was not compared with the texts, since its tokenizer is not at hand: {said(error)}.")
        return out

    def schemas(self) -> None:
        """All shards have the release's columns, then those that the recipe adds, alike in all of them."""
        schemas = [(f.file, f.schema) for f in self.found if f.schema is not None]
        if not schemas:
            return
        common = Counter(schema.to_string() for _, schema in schemas).most_common(1)[0][0]
        usual = next(schema for _, schema in schemas if schema.to_string() == common)
        for file, schema in schemas:
            other = _difference(schema, shards.RELEASE, more=True) or _difference(schema, usual)
            if other:
                self.problems.append(f"{file}: its columns are not those of a release, {other}.")
        with self.reading("recipe.json"):
            scores = [name for item in self.recipe.get("stages", ()) for name in item.get("score", {}).get("columns", ())]
            added = [f"token_count_{name}" for name in (self.mix.also_count if self.mix else ())]
            missing = [n for n in scores if not any(c == n or c.startswith(f"{n}_") for c in usual.names)] + [n for n in added if n not in usual.names]
            self.problems += [f"{schemas[0][0]} and the other shards have no column of '{name}', which recipe.json adds." for name in missing]
        prints = sum((f.fingerprints for f in self.found), Counter())
        if len(prints) > 1 or any(not re.fullmatch("[0-9a-f]{12}", p) for p in prints):
            usual_print = prints.most_common(1)[0][0]
            where = [f.file for f in self.found if set(f.fingerprints) - {usual_print}] or [self.found[0].file]
            self.problems.append(f"{', '.join(where[:4])}: traces begin with another fingerprint of the stages than those of most rows, {usual_print!r}.")

    # --- ids, what was dropped, and the ledger ------------------------------------------------------------------------------------

    def unique(self) -> np.ndarray:
        """All ids, sorted, and a sentence where some stand twice."""
        ids = np.concatenate([np.empty(0, ID), *(f.ids for f in self.found)])
        ids.sort()
        self.checked["ids"] = len(ids)
        twice = np.unique(ids[1:][ids[1:] == ids[:-1]])
        if len(twice):
            places = [(f.file, int(row)) for f in self.found for row in np.flatnonzero(is_among(f.ids, twice))]
            file, row = next((f.file, int(np.argmax(f.ids == twice[0]))) for f in self.found if (f.ids == twice[0]).any())
            name = "?"
            with self.reading(file), self.store.open(file) as handle:
                name = pq.read_table(handle, columns=["id"]).column("id")[row].as_py()
            files = list(dict.fromkeys(f for f, _ in places))
            self.problems.append(f"{' and '.join(files[:4])}: {len(twice):,} ids stand more than once, such as {name}.")
        return ids

    def removed(self) -> dict[bytes, tuple[str, str]]:
        """Rows of removed/ by their digest -> file and id; and a sentence where a text stands that may not be shown."""
        rows: dict[bytes, tuple[str, str]] = {}
        with_text: Counter[str] = Counter()
        shown = _Tally()
        for name, batch in self._batches("removed/", REMOVED):
            with_text[name] += batch.num_rows - batch.column("text").null_count
            for row in batch.set_column(len(LEDGER), "text", pc.is_valid(batch.column("text"))).to_pylist():
                named = row["file"] is None  # by id and reason alone
                rows[_digest(row, _NAMED if named else LEDGER.names)] = (name, str(row["id"]))
                told = row["text"] or any(row[column] is not None for column in ("url", "file", "offset", "value", "other"))
                if told and (named or shards.is_withheld(row["stage"], row["reason"], self.judging)):
                    shown.add(name, f"{row['id']}, dropped by {row['stage']} for {row['reason']!r}")
            self.checked["removed documents"] += batch.num_rows
        self.problems += shown.sentences("rows tell more than id and reason")
        for name, n in with_text.items():
            if self.entries[name].get("with_text") != n:
                self.problems.append(f"{name}: manifest.json says with_text {self.entries[name].get('with_text')}, {n} of its rows have one.")
        return rows

    def ledger(self, ids: np.ndarray | None, removed: dict[bytes, tuple[str, str]]) -> Counter[tuple[str, str, str]] | None:
        """Documents dropped by (stage, domain, reason), None where not all could be read. What was dropped is not released; what was removed was dropped."""
        drops: Counter[tuple[str, str, str]] = Counter()
        final = self._final()
        released, named, strange = _Tally(), _Tally(), _Tally()
        sampled = np.unique(digests(pa.array([i for _, i in removed.values()], pa.string())))
        for name, batch in self._batches("ledger/", LEDGER):
            stages = batch.column("stage").to_pylist()
            drops.update(zip(stages, (d or "other" for d in batch.column("domain").to_pylist()), batch.column("reason").to_pylist(), strict=True))
            print_ = digests(pc.fill_null(batch.column("id"), ""))
            if ids is not None:
                there = batch.filter(pa.array(is_among(print_, ids) & np.array([s in final for s in stages], bool)))
                for row in there.to_pylist():
                    released.add(name, f"{row['id']} ({row['stage']}: {row['reason']})")
            for stage, url, i in zip(stages, *(batch.column(c).to_pylist() for c in ("url", "id")), strict=True):
                if stage == UNNAMED and url is not None:
                    named.add(name, str(i))
            for row in batch.filter(pa.array(is_among(print_, sampled))).to_pylist():
                removed.pop(_digest(row), None)
                removed.pop(_digest(row, _NAMED), None)
            self.checked["ledger rows"] += batch.num_rows
        self.problems += released.sentences("documents that were dropped are released") + named.sentences("documents that were taken down have a URL")
        if self.checked["ledger rows"] != sum(int(e.get("rows", 0)) for name, e in self.manifest["files"].items() if name.startswith("ledger/")):
            self.notes.append("Not all of the ledger could be read, so it was not compared with stats.json and removed/.")
            return None
        for name, i in removed.values():
            strange.add(name, i)
        self.problems += strange.sentences("documents are not in the ledger as they stand here")
        return drops

    def _final(self) -> set[str]:
        """The stages whose drops no copy of a document survives: tombstones, and all that come after repeated ids are gone."""
        unique = next((i for i, (_, s) in enumerate(self.stages) if s.stage == "deduplicate" and s.by == "id" and not s.where and not s.unless), None)
        if unique is None and self.stages:
            self.notes.append("The recipe does not drop repeated ids, so what the ledger lists may be released under the same id.")
        if unique is None:
            return {UNNAMED}
        return {UNNAMED, "mix", *(name for name, stage in self.stages[unique + 1 :] if stage.scope != "text")}

    def _batches(self, folder: str, schema: pa.Schema) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Rows of a folder's files, their columns and numbers checked on the way."""
        for name in (n for n in self.entries if n.startswith(folder)):
            rows = 0
            with self.reading(name), self.store.open(name) as handle, pq.ParquetFile(handle) as parquet:
                if other := _difference(parquet.schema_arrow, schema):
                    self.problems.append(f"{name}: its columns are not those of {folder} {other}.")
                    continue
                for batch in parquet.iter_batches(4096, use_threads=False):
                    batch.validate(full=True)
                    rows += batch.num_rows
                    yield name, batch
                if rows != self.entries[name].get("rows"):
                    self.problems.append(f"{name}: manifest.json says rows {self.entries[name].get('rows')}, it has {rows}.")

    # --- what the tables say ------------------------------------------------------------------------------------------------------

    def mixture(self, file: str) -> None:
        """Shares, tokens, documents and epochs are those of the rows; shares are those wanted, unless a shortage is told."""
        claimed, mix = dict(self.store.read_json(file)), self.mix
        if mix is None:
            return
        unit, asked = mix.unit_name, slice_names(mix)
        parts = [(f.domain, *key, numbers.tolist()) for f in self.found if f.split == "train" for key, numbers in f.parts.items()]
        # What there was to choose from is the one number that a release's rows do not tell; all else follows.
        rows = {name: claimed["domains"][d] if not p else claimed["domains"][d]["parts"][p] for name in asked for d, _, p in [name.partition("/")]}
        there = {name: int(row[f"unique_{unit}_available"]) for name, row in rows.items()}
        expected = {"tokenizer": mix.tokenizer, **mixture(mix, by_slice(parts, mix), there)}
        domains, total = expected["domains"], expected["total"]
        self.compare(file, claimed, expected)
        longest = max(f.longest for f in self.found)
        for name, row in {**domains, **{f"{d}/{p}": row for d in domains for p, row in domains[d].get("parts", {}).items()}}.items():
            if row[f"unique_{unit}"] > row[f"unique_{unit}_available"]:
                self.problems.append(f"{file}: {name} has {row[f'unique_{unit}']:,} {unit}, but {row[f'unique_{unit}_available']:,} are said to be available.")
            if row["epochs"] > row["max_epochs"] * (1 + 1e-9) and not mix.force:
                self.problems.append(f"{file}: {name} is used for {row['epochs']:.4f} epochs; max_epochs is {row['max_epochs']:g}.")
            # Against what the slice was to get, shortages of others included, and not against the share that the recipe asks for.
            least = (TOLERANCE if row[unit] >= LARGE else max(TOLERANCE, 3 * longest / max(1, total))) * total
            if abs(row[unit] - row[f"{unit}_wanted"]) > least and not any(line.startswith(f"{name}: was to have") for line in expected["shortage"]):
                self.problems.append(f"{file}: {name} has {row[unit]:,} {unit}; its budget was {row[f'{unit}_wanted']:,.0f}.")

    def stats(self, drops: Counter[tuple[str, str, str]] | None, whole: bool) -> None:
        """Documents read are those kept and dropped; dropped are those of the ledger; kept are those released."""
        file = "stats.json"
        stats = dict(self.store.read_json(file))
        read, kept = sum(r["documents"] for r in stats["read"]), stats["kept"]
        dropped: Counter[tuple[str, str, str]] = Counter()
        for d in stats["dropped"]:
            dropped[d["stage"], d["domain"], d["reason"]] += int(d["documents"])
        counts = {"too_short_to_compare": stats["too_short_to_compare"], **stats["records"]["skipped"], "html_bytes": stats["records"]["html_bytes"]}
        self.problems += [f"{file}: {key} is {n!r}, which is no count." for key, n in counts.items() if not isinstance(n, int) or n < 0]
        if strange := sorted({str(r["source"]) for r in stats["read"]} - set(self.recipe.get("sources", ()))):
            self.problems.append(f"{file}: documents were read from {', '.join(strange)}, which recipe.json does not name.")
        if read != stats["records"]["documents"]:
            self.problems.append(f"{file}: {stats['records']['documents']:,} records became documents, but {read:,} documents were read.")
        if read != kept + dropped.total():
            self.problems.append(
                f"{file}: {read:,} documents were read, {kept:,} kept and {dropped.total():,} dropped: {read - kept - dropped.total():+,} unaccounted for."
            )
        if drops is not None:
            unreadable = sum(n for (stage, _, _), n in drops.items() if stage == "source")
            if unreadable != stats["records"]["unreadable"]:
                self.problems.append(f"{file}: {stats['records']['unreadable']:,} records were unreadable; the ledger has {unreadable:,} such rows.")
            for key in sorted(dropped.keys() | {k for k in drops if k[0] != "source"}):
                if dropped[key] != drops[key]:
                    self.problems.append(
                        f"{file}: {dropped[key]:,} documents of {key[1]} were dropped by {key[0]} for {key[2]!r}; the ledger has {drops[key]:,} such rows."
                    )
        if unknown := sorted({stage for stage, _, _ in dropped} - set(stats["stages"])):
            self.problems.append(f"{file}: documents were dropped by {', '.join(unknown)}, which its stages do not name.")
        if not whole:
            return
        released: dict[tuple[str, str], dict[str, Any]] = {}
        for f in self.found:
            row = released.setdefault(
                (f.split, f.domain), {"split": f.split, "domain": f.domain, "documents": 0, "files": 0, "tokens": 0, "tokens_with_repeats": 0, "text_bytes": 0}
            )
            row["documents"] += f.counts["rows"]
            row["files"] += 1
            for name in ("tokens", "tokens_with_repeats", "text_bytes"):
                row[name] += f.counts[name]
        rows = sum(row["documents"] for row in released.values())
        if kept != rows:
            self.problems.append(f"{file}: {kept:,} documents were kept, but {rows:,} are released.")
        self.compare(file, {f"{r['split']} {r['domain']}": r for r in stats["released"]}, {f"{s} {d}": row for (s, d), row in released.items()}, "released")

    def code(self, file: str) -> None:
        """Languages, licences and repositories are those of the rows."""
        counts = [
            {"languages": [[*k, *n.tolist()] for k, n in f.languages.items()], "repositories": [[*k, n] for k, n in f.repositories.items()]} for f in self.found
        ]
        expected, attribution = shards.code_tables(counts)
        tables = ("ATTRIBUTION.md", file)
        if not expected["languages"]:
            self.problems += [f"{name} is listed, but no row comes from a repository." for name in tables if name in self.manifest["files"]]
            return
        self.problems += [f"manifest.json does not list {name}, but some rows come from a repository." for name in tables if name not in self.manifest["files"]]
        if file in self.entries:
            claimed = dict(self.store.read_json(file))
            self.compare(file, {k: claimed.get(k) for k in expected}, expected)
        if "ATTRIBUTION.md" in self.entries:
            with self.reading("ATTRIBUTION.md"):
                there, wanted = (text.splitlines() for text in (self.store.read_bytes("ATTRIBUTION.md").decode(), attribution))
                if there != wanted:
                    strange, lacking = (next((line for line in a if line not in set(b)), "nothing") for a, b in ((there, wanted), (wanted, there)))
                    self.problems.append(f"ATTRIBUTION.md: it says {strange!r}, where the rows say {lacking!r}.")

    def schedule(self, file: str) -> None:
        """The phases are those of the recipe, and what they select is what the rows hold."""
        planned = bool(self.mix and self.mix.schedule)
        if planned != (file in self.manifest["files"]):
            self.problems.append(f"{file} {'is not listed, but' if planned else 'is listed, but'} recipe.json {'has a schedule' if planned else 'has none'}.")
        elif planned and file in self.entries:
            total = int(sum(n[2] for f in self.found if f.split == "train" for n in f.parts.values()))
            selected = sum((f.selected for f in self.found), Counter())
            self.compare(file, self.store.read_json(file), schedule(self.mix, total, selected))
            self.checked["phases of the schedule"] = len(self.mix.schedule) if self.mix else 0


@contextmanager
def workers(cpus: int) -> Iterator[Callable[[Sequence[Claim]], list[Recount]]]:
    """Recounts of claims, in order, by `cpus` processes; here where that is 1."""
    if cpus <= 1:
        yield lambda claims: [recount(claim) for claim in claims]
        return
    with ProcessPoolExecutor(cpus, mp_context=get_context("spawn")) as pool:

        def each(claims: Sequence[Claim]) -> list[Recount]:
            futures: list[Future[Recount]] = []
            with suppress(BrokenProcessPool):
                futures += [pool.submit(recount, claim) for claim in claims]
            out = []
            for i, claim in enumerate(claims):
                try:
                    out.append(futures[i].result())
                except (BrokenProcessPool, IndexError):
                    died = f"{claim.file} was not read, since a process that read shards died. If memory ran out, use fewer --cpus."
                    out.append(Recount(claim.file, claim.slice.split, claim.slice.domain, [died]))
            return out

        yield each


class _Tally:
    """Faults of one kind, counted by file, with the first example of each file."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, file: str, example: str) -> None:
        self._found.setdefault(file, []).append(example)

    def sentences(self, what: str) -> list[str]:
        return [f"{file}: {len(examples):,} {what}, such as {examples[0]}." for file, examples in self._found.items()]


_NAMED = ("id", "source", "domain", "stage", "reason")


def _digest(row: Mapping[str, Any], names: Sequence[str] = LEDGER.names) -> bytes:
    return xxhash.xxh3_128_digest(repr([row[name] for name in names]).encode())


def _difference(schema: pa.Schema, expected: pa.Schema, more: bool = False) -> str:
    """How a schema differs from another, which may have `more` columns behind it; empty where it does not."""
    fields, wanted = ([described(pa.schema([f])) for f in s] for s in (schema, expected))
    missing, strange = [f for f in wanted if f not in fields], [f for f in fields if f not in wanted and not more]
    parts = [f"without {', '.join(missing)}"] * bool(missing) + [f"with {', '.join(strange)}"] * bool(strange)
    return "; ".join(parts) or ("in another order" if fields[: len(wanted)] != wanted else "")


def _unequal(claimed: Any, found: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ, and in what."""
    if isinstance(claimed, Mapping) and isinstance(found, Mapping):
        for key in [*found, *(k for k in claimed if k not in found)]:
            yield from _unequal(claimed.get(key), found.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(claimed, list) and isinstance(found, list) and len(claimed) == len(found):
        for i, (a, b) in enumerate(zip(claimed, found, strict=True)):
            yield from _unequal(a, b, f"{place}[{i}]")
    elif not _same(claimed, found):
        yield place, claimed, found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        return isinstance(a, int | float) and isinstance(b, int | float) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return bool(a == b)


def _short(value: Any) -> str:
    return "missing" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)[:200]
