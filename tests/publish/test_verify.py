"""`verify` finds every fault planted here, names its file, and finds none in a release that nobody touched.

A fault is planted as carefully as a forger would: manifest, hashes and counts are put right afterwards, so that only the check meant for it can see it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import shards
from pipeline.errors import StoreError
from pipeline.publish import recount
from pipeline.publish.verify import Verified, verify, workers
from tests.running import Finished, World

# Every kind of file that a release may hold, several shards a domain, parts of a domain, and no network to wait for.
RECIPE = """
name: proof
version: "1"
seed: 7
sources:
  social: {{reader: jsonl, files: "{social}", licence: CC0-1.0, columns: {{text: text, url: url, date: date, domain: lang}}, subdomain: social}}
  encyclopaedia: {{reader: jsonl, files: "{encyclopaedia}", licence: CC0-1.0, columns: {{text: text, url: url, date: date, domain: lang}}, subdomain: encyclopaedia}}
  code: {{reader: code, files: "{code}", domain: code}}
stages:
  - scrub: {{for: {{source: code}}}}
  - language: {{for: {{source: [social, encyclopaedia]}}, model: lid176, domains: [en, zh]}}
  - filter: {{name: length, for: {{subdomain: social}}, bounds: {{character_count: {{min: 120}}}}}}
  - licences: {{for: {{domain: code}}, allow: [MIT, Apache-2.0, BSD-2-Clause], unknown: drop}}
  - deduplicate: {{by: id}}
  - deduplicate: {{by: minhash, bands: 16, rows: 7, threshold: 0.8, keep: newest, min_shingles: 8, short: keep}}
  - filter: {{name: lines, for: {{domain: code}}, bounds: {{line_count: {{min: 5}}}}}}
  - downsample: {{for: {{domain: code}}, by: repository, cap: {{"*": 0.20}}}}
mix:
  tokenizer: skypile-65k
  unit: bytes
  shares: {{en: {{social: 0.1, "*": 0.3}}, zh: 0.4, code: 0.2}}
  also_count: {{other: skypile-65k}}
  sample: {{by: language_score, steps: {{0.5: 2, 0.9: 4}}}}
  rehydrate: {{by: language_score, steps: {{0.95: 2}}}}
  max_epochs: {{en: 2, zh: 1, code: 3}}
  schedule:
    - {{name: main, tokens: 0.8}}
    - {{name: code, tokens: 0.2, slices: {{short: {{domain: code, bounds: {{text_bytes: {{max: 2000}}}}, share: {{from: 0.1, to: 0.4, ramp: quadratic}}}}}}}}
release: {{shard_size: 20KB, row_group_size: 8KB, validation: 0.1, removed: 0.5, tombstones: "{tombstones}"}}
"""
TRAIN, OTHER, VALIDATION = "data/zh/zh-00000-of-*.parquet", "data/zh/zh-00001-of-*.parquet", "validation/zh/zh-00000-of-*.parquet"
CODE = "data/code/code-00000-of-*.parquet"
SIGNED = "signatures/train-zh-00000-of-*.parquet"
LEDGER, REMOVED = "ledger/ledger-00000-of-*.parquet", "removed/removed-00000-of-*.parquet"


@pytest.fixture(scope="module")
def sound(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that nobody touched."""
    folder = tmp_path_factory.mktemp("verify")
    taken = json.loads(Path(world.inputs["social"].replace("*", "social-zh")).read_text(encoding="utf-8").splitlines()[0])["url"]
    (folder / "taken.txt").write_text(f"url: {taken}\n")
    (folder / "proof.yaml").write_text(RECIPE.format(**world.inputs, tombstones=folder / "taken.txt"))
    return Path(pipeline.run(pipeline.Recipe.load(folder / "proof.yaml"), folder / "work", here=True).path)


@dataclass
class Forger:
    """A copy of the release, and ways to change it without leaving marks."""

    folder: Path

    def at(self, pattern: str) -> Path:
        """The one file that a pattern means."""
        (file,) = self.folder.glob(pattern)
        return file

    def name(self, pattern: str) -> str:
        return str(self.at(pattern).relative_to(self.folder))

    def json(self, file: str, change: Callable[[Any], Any]) -> None:
        """Change a JSON file, in place or by what `change` returns, and put its hash right."""
        value = json.loads((self.folder / file).read_text(encoding="utf-8"))
        value = change(value) or value
        (self.folder / file).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        if file != "manifest.json":
            self.claim(file)

    def claim(self, pattern: str, **counts: Any) -> None:
        """Let the manifest say of a file the hash it has, and what else is given."""
        file, digest = self.name(pattern), hashlib.sha256(self.at(pattern).read_bytes()).hexdigest()
        self.json("manifest.json", lambda m: m["files"].setdefault(file, {}).update({"sha256": digest, **counts}))

    def forget(self, pattern: str) -> None:
        """Remove a file, from the folder and from the manifest."""
        file = self.name(pattern)
        (self.folder / file).unlink()
        self.json("manifest.json", lambda m: m["files"].pop(file) and None)

    def bytes(self, pattern: str, change: Callable[[bytearray], Any], claim: bool = True) -> None:
        file = self.at(pattern)
        data = bytearray(file.read_bytes())
        change(data)
        file.write_bytes(data)
        if claim:
            self.claim(pattern)

    def rows(self, pattern: str, change: Callable[[pa.Table], pa.Table], content: bool = True) -> None:
        """Change the rows of a Parquet file, and put right all that the manifest says of it (but the content hash, if so asked)."""
        table = change(pq.read_table(self.at(pattern)))
        pq.write_table(table, self.at(pattern), store_schema=False)
        counts: dict[str, Any] = {"rows": table.num_rows}
        if pattern.startswith(("data", "validation")):
            tokens, repeats = (table.column(c).to_numpy() for c in ("token_count", "repeats"))
            size = pc.sum(pc.binary_length(table.column("text"))).as_py()
            counts |= {"tokens": int(tokens.sum()), "tokens_with_repeats": int((tokens * repeats).sum()), "text_bytes": size}
            if content:
                found = shards.Content()
                found.update(table)
                counts["content"] = found.hexdigest()
        if pattern == REMOVED:
            counts["with_text"] = table.num_rows - table.column("text").null_count
        self.claim(pattern, **counts)

    def read(self, pattern: str) -> pa.Table:
        return pq.read_table(self.at(pattern))

    def move(self, row: int, given: str, to: str, **values: Any) -> None:
        """Take a row from one shard and put it where its hash belongs in another."""
        moved = self.read(given).slice(row, 1)
        for name, value in values.items():
            moved = put(moved, name, [value])
        self.rows(given, lambda t: t.take([i for i in range(t.num_rows) if i != row]))
        self.rows(to, lambda t: in_order(pa.concat_tables([t, moved])))


def put(table: pa.Table, column: str, values: Any) -> pa.Table:
    """The table with other values in a column."""
    at = table.schema.get_field_index(column)
    return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))


def edit(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    values = table.column(column).to_pylist()
    values[row] = value(values[row]) if callable(value) else value
    return put(table, column, values)


def in_order(table: pa.Table) -> pa.Table:
    """Rows as the shuffle orders them."""
    placed = shards.place(table.select(["id"]).append_column("split", pa.array(["train"] * table.num_rows)).append_column("domain", pa.array(["zh"] * table.num_rows)),
        7, [shards.Slice("train", "zh", 1, 1, 0)], pa.schema([shards.RELEASE.field("id")]))  # fmt: skip
    return table.take(np.argsort(placed.column("hash").to_numpy(), kind="stable"))


def swap(table: pa.Table, a: int = 0, b: int = 1) -> pa.Table:
    order = list(range(table.num_rows))
    order[a], order[b] = order[b], order[a]
    return table.take(order)


# --- the faults: how each is planted, the file that the sentence must name, and words that it must say ------------------------


def copy_validation_row(f: Forger) -> None:
    row = put(f.read(VALIDATION).slice(0, 1), "repeats", [1])
    f.rows(TRAIN, lambda t: in_order(pa.concat_tables([t, row])))


def share_a_cluster(f: Forger) -> None:
    held = f.read(VALIDATION).to_pylist()[0]
    f.rows(TRAIN, lambda t: edit(t, "cluster", 0, held["cluster"] or held["id"]))


def invalid_utf8(f: Forger) -> None:
    """A byte that begins no character, in a text that Parquet takes as it is."""

    def change(table: pa.Table) -> pa.Table:
        texts = [t.encode() for t in table.column("text").to_pylist()]
        texts[0] = b"\xff" + texts[0][1:]
        binary = pa.array(texts, pa.binary())
        at = table.schema.get_field_index("text")
        return table.set_column(at, table.schema.field(at), pa.StringArray.from_buffers(len(texts), binary.buffers()[1], binary.buffers()[2]))

    f.rows(TRAIN, change)


def drop_what_is_released(f: Forger) -> None:
    i = f.read(TRAIN).column("id")[0].as_py()
    f.rows(LEDGER, lambda t: edit(t, "id", t.column("stage").to_pylist().index("downsample_repository"), i))


def show_what_is_withheld(f: Forger) -> None:
    f.rows(REMOVED, lambda t: edit(t, "text", t.column("stage").to_pylist().index("licences"), "somebody's code"))


def name_what_was_taken_down(f: Forger) -> None:
    f.rows(LEDGER, lambda t: edit(t, "url", t.column("stage").to_pylist().index("takedown"), "https://example.org/"))


def move_to_a_small_language(f: Forger) -> None:
    f.rows(CODE, lambda t: edit(t, "programming_language", 0, "Brainfuck"))


def tell_of_another_licence(f: Forger) -> None:
    f.bytes("ATTRIBUTION.md", lambda data: data.__setitem__(slice(None), data.replace(b"(LICENSE)", b"(COPYING)", 1)))


def count_dropped(value: int) -> Callable[[Any], None]:
    def change(stats: Any) -> None:
        stats["dropped"][0]["documents"] += value

    return change


FAULTS: dict[str, tuple[Callable[[Forger], Any], str, str]] = {
    # files
    "a flipped byte": (lambda f: f.bytes(TRAIN, lambda d: d.__setitem__(len(d) // 2, d[len(d) // 2] ^ 1), claim=False), TRAIN, "sha256"),
    "a flipped byte of the ledger": (lambda f: f.bytes(LEDGER, lambda d: d.__setitem__(99, d[99] ^ 1), claim=False), LEDGER, "sha256"),
    "a missing shard": (lambda f: f.at(TRAIN).unlink(), "data/zh/zh-00000", "is missing"),
    "a missing shard that the manifest forgot": (lambda f: f.forget(TRAIN), "data/zh/", "shards"),
    "a stray shard": (lambda f: shutil.copy(f.at(TRAIN), f.folder / "data/zh/more.parquet"), "data/zh/more.parquet", "no part of the release"),
    "a stray note": (lambda f: (f.folder / "notes.txt").write_text("x"), "notes.txt", "no part of the release"),
    "a truncated shard": (lambda f: f.bytes(TRAIN, lambda d: d.__delitem__(slice(len(d) // 2, None))), TRAIN, "cannot be read whole"),
    "an empty shard": (lambda f: f.bytes(TRAIN, lambda d: d.clear()), TRAIN, "cannot be read whole"),
    "a truncated ledger": (lambda f: f.bytes(LEDGER, lambda d: d.__delitem__(slice(len(d) // 2, None))), LEDGER, "cannot be read"),
    "no manifest": (lambda f: (f.folder / "manifest.json").unlink(), "manifest.json", "missing"),
    "a manifest that is no JSON": (lambda f: (f.folder / "manifest.json").write_text("{"), "manifest.json", "cannot be read"),
    "a manifest of another shape": (lambda f: f.json("manifest.json", lambda m: {**m, "files": [1]}), "manifest.json", "cannot be read"),
    "statistics of another shape": (lambda f: f.json("stats.json", lambda s: {"kept": "all"}), "stats.json", "cannot be read"),
    "no removed documents": (lambda f: f.forget(REMOVED), "manifest.json", "removed"),
    "no file of signatures": (lambda f: f.forget(SIGNED), "signatures/train-zh-00000", "does not list it"),
    # what the manifest says
    "wrong rows": (lambda f: f.claim(TRAIN, rows=3), TRAIN, "rows 3"),
    "wrong tokens": (lambda f: f.claim(TRAIN, tokens=3), TRAIN, "tokens 3"),
    "wrong tokens with repeats": (lambda f: f.claim(TRAIN, tokens_with_repeats=3), TRAIN, "tokens_with_repeats 3"),
    "wrong bytes": (lambda f: f.claim(TRAIN, text_bytes=3), TRAIN, "text_bytes 3"),
    "wrong rows of the ledger": (lambda f: f.claim(LEDGER, rows=3), LEDGER, "rows 3"),
    "another version": (lambda f: f.json("manifest.json", lambda m: {**m, "version": "2"}), "recipe.json", "version"),
    "another tokenizer": (lambda f: f.json("manifest.json", lambda m: {**m, "tokenizer": "gpt2"}), "recipe.json", "tokenizer"),
    # rows
    "another text": (lambda f: f.rows(TRAIN, lambda t: edit(t, "text", 0, lambda s: s[::-1]), content=False), TRAIN, "content hash"),
    "another id": (lambda f: f.rows(TRAIN, lambda t: edit(t, "id", 0, "0" * 32), content=False), TRAIN, "content hash"),
    "an id twice": (lambda f: f.rows(TRAIN, lambda t: t.take([0, *range(t.num_rows)])), TRAIN, "more than once"),
    "rows out of order": (lambda f: f.rows(TRAIN, swap), TRAIN, "shuffle"),
    "a row of another shard": (lambda f: f.move(0, OTHER, TRAIN), TRAIN, "another shard"),
    "a row of another domain": (lambda f: f.move(0, CODE, TRAIN), TRAIN, "another domain"),
    "a validation row trained on": (copy_validation_row, TRAIN, "validation/ holds out"),
    "a validation row that stands twice": (copy_validation_row, VALIDATION, "more than once"),
    "a near-duplicate trained on": (share_a_cluster, TRAIN, "validation/ holds out"),
    "too many tokens": (lambda f: f.rows(TRAIN, lambda t: edit(t, "token_count", 0, lambda n: n + 1)), TRAIN, "wrong value of token_count"),
    "too many characters": (lambda f: f.rows(TRAIN, lambda t: edit(t, "characters", 0, lambda n: n + 1)), TRAIN, "wrong value of characters"),
    "too many bytes": (lambda f: f.rows(TRAIN, lambda t: edit(t, "text_bytes", 0, lambda n: n + 1)), TRAIN, "wrong value of text_bytes"),
    "repeats above max_epochs": (lambda f: f.rows(TRAIN, lambda t: edit(t, "repeats", 0, 2)), TRAIN, "max_epochs"),
    "a training row that is never used": (lambda f: f.rows(TRAIN, lambda t: edit(t, "repeats", 0, 0)), TRAIN, "repeats below 1"),
    "a validation row that is used": (lambda f: f.rows(VALIDATION, lambda t: edit(t, "repeats", 0, 1)), VALIDATION, "held out"),
    "an empty text": (lambda f: f.rows(TRAIN, lambda t: edit(t, "text", 0, "")), TRAIN, "empty text"),
    "an empty id": (lambda f: f.rows(TRAIN, lambda t: edit(t, "id", 0, "")), TRAIN, "empty id"),
    "a text that is not UTF-8": (invalid_utf8, TRAIN, "cannot be read whole"),
    "a trace of other stages": (lambda f: f.rows(TRAIN, lambda t: edit(t, "filter_trace", 0, lambda s: s.replace("language ", ""))), TRAIN, "filter_trace"),
    "a trace of another recipe": (lambda f: f.rows(TRAIN, lambda t: edit(t, "filter_trace", 0, lambda s: "0" * 12 + s[12:])), TRAIN, "fingerprint"),
    # columns
    "a column less": (lambda f: f.rows(TRAIN, lambda t: t.drop_columns(["url"])), TRAIN, "without url: string"),
    "a column less of those that the recipe adds": (lambda f: f.rows(TRAIN, lambda t: t.drop_columns(["token_count_other"])), TRAIN, "without token_count_other"),
    "too many tokens of another tokenizer": (lambda f: f.rows(TRAIN, lambda t: edit(t, "token_count_other", 0, lambda n: n + 1)), TRAIN, "wrong value of token_count_other"),
    "a column more": (lambda f: f.rows(TRAIN, lambda t: t.append_column("x", t.column("url"))), TRAIN, "with x: string"),
    "columns in another order": (lambda f: f.rows(TRAIN, lambda t: t.select(sorted(t.column_names))), TRAIN, "another order"),
    "no texts": (lambda f: pq.write_table(f.read(TRAIN).drop_columns(["text"]), f.at(TRAIN)) or f.claim(TRAIN), TRAIN, "no column text"),
    "a column that may be null": (lambda f: f.rows(TRAIN, lambda t: t.cast(pa.schema([field.with_nullable(True) for field in t.schema]))), TRAIN, "source: string not null"),
    "a null where none may be": (lambda f: f.rows(TRAIN, lambda t: edit(t.cast(pa.schema([x.with_nullable(True) for x in t.schema])), "source", 0, None)), TRAIN, "nulls"),
    # signatures
    "a signature less": (lambda f: f.rows(SIGNED, lambda t: t.slice(1)), SIGNED, "signatures, but"),
    "another signature": (lambda f: f.rows(SIGNED, lambda t: edit(t, "signature", 1, bytes(448))), SIGNED, "first row 1"),
    "signatures out of order": (lambda f: f.rows(SIGNED, swap), SIGNED, "another document"),
    # shares, statistics, tables
    "a wrong share": (lambda f: f.json("mixture.json", lambda m: m["domains"]["zh"].update(share=0.5)), "mixture.json", "domains.zh.share is 0.5"),
    "a wrong share of a part": (lambda f: f.json("mixture.json", lambda m: m["domains"]["en"]["parts"]["social"].update(share=0.5)), "mixture.json", "en.parts.social.share"),
    "wrong epochs": (lambda f: f.json("mixture.json", lambda m: m["domains"]["en"].update(epochs=9.0)), "mixture.json", "domains.en.epochs"),
    "more wanted than asked": (lambda f: f.json("mixture.json", lambda m: m["domains"]["zh"].update(bytes_wanted=9.0)), "mixture.json", "domains.zh.bytes_wanted"),
    "a shortage that is none": (lambda f: f.json("mixture.json", lambda m: {**m, "shortage": ["zh had too little"]}), "mixture.json", "shortage is"),
    "more used than there was": (lambda f: f.json("mixture.json", lambda m: m["domains"]["zh"].update(unique_bytes_available=9)), "mixture.json", "9 are said to be available"),
    "a wrong total": (lambda f: f.json("mixture.json", lambda m: {**m, "total": 1}), "mixture.json", "total is 1"),
    "a domain left out": (lambda f: f.json("mixture.json", lambda m: m["domains"].pop("en") and None), "mixture.json", "cannot be read"),
    "other shares than the recipe's": (lambda f: f.json("recipe.json", lambda r: r["mix"]["shares"].update(zh=0.3, code=0.3)), "mixture.json", "share_wanted"),
    "shares not as wanted": (lambda f: f.json("recipe.json", lambda r: r["mix"]["shares"].update(zh=0.1, code=0.5)), "mixture.json", "its budget was"),
    "another seed": (lambda f: f.json("recipe.json", lambda r: {**r, "seed": 8}), TRAIN, "shuffle"),
    "no seed": (lambda f: f.json("recipe.json", lambda r: {**r, "seed": None}), "recipe.json", "seed"),
    "a source less": (lambda f: f.json("recipe.json", lambda r: r["sources"].pop("code") and None), CODE, "recipe.json does not name"),
    "a source that is none": (lambda f: f.json("recipe.json", lambda r: r["sources"].update(code=None)), "recipe.json", "cannot be read"),
    "no engines": (lambda f: f.json("manifest.json", lambda m: m.pop("engines") and None), "manifest.json", "engines"),
    "another size of shards": (lambda f: f.json("recipe.json", lambda r: r["release"].update(shard_size=10**9)), "data/zh/", "is cut into"),
    "another stage": (lambda f: f.json("recipe.json", lambda r: r["stages"].pop(2) and None), TRAIN, "filter_trace"),
    "a recipe of another shape": (lambda f: f.json("recipe.json", lambda r: {**r, "mix": 3}), "recipe.json", "cannot be read"),
    "one document dropped less": (lambda f: f.json("stats.json", count_dropped(-1)), "stats.json", "unaccounted for"),
    "one document dropped more, by the ledger": (lambda f: f.json("stats.json", count_dropped(1)), "stats.json", "the ledger has"),
    "one document kept more": (lambda f: f.json("stats.json", lambda s: {**s, "kept": s["kept"] + 1}), "stats.json", "are released"),
    "one record more": (lambda f: f.json("stats.json", lambda s: s["records"].update(documents=1)), "stats.json", "records became documents"),
    "one unreadable record more": (lambda f: f.json("stats.json", lambda s: s["records"].update(unreadable=99)), "stats.json", "99 records were unreadable"),
    "released otherwise": (lambda f: f.json("stats.json", lambda s: s["released"][0].update(tokens=1)), "stats.json", "tokens is 1"),
    "a ledger row less": (lambda f: f.rows(LEDGER, lambda t: t.slice(1)), "stats.json", "the ledger has"),
    "a released document in the ledger": (drop_what_is_released, LEDGER, "are released"),
    "a URL of what was taken down": (name_what_was_taken_down, LEDGER, "taken down"),
    "a text that may not be shown": (show_what_is_withheld, REMOVED, "rows tell more than id and reason"),
    "a removed document that nobody dropped": (lambda f: f.rows(REMOVED, lambda t: edit(t, "id", 0, "0" * 32)), REMOVED, "not in the ledger"),
    "fewer removed documents with a text": (lambda f: f.claim(REMOVED, with_text=1), REMOVED, "with_text 1"),
    "wrong columns of removed documents": (lambda f: f.rows(REMOVED, lambda t: t.drop_columns(["reason"])), REMOVED, "without reason"),
    "a wrong language": (move_to_a_small_language, "code.json", "Brainfuck"),
    "a wrong licence": (lambda f: f.json("code.json", lambda c: c["licences"]["MIT"].update(documents=1)), "code.json", "licences.MIT.documents is 1"),
    "a wrong attribution": (tell_of_another_licence, "ATTRIBUTION.md", "(COPYING)"),
    "no attribution": (lambda f: f.forget("ATTRIBUTION.md"), "manifest.json", "ATTRIBUTION.md"),
    "a share above one": (lambda f: f.json("schedule.json", lambda s: s["phases"][1]["slices"][0].update(mean=1.2)), "schedule.json", "mean is 1.2"),
    "no schedule": (lambda f: f.forget("schedule.json"), "schedule.json", "not listed"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_its_file_named(sound: Path, tmp_path: Path, fault: str) -> None:
    plant, file, words = FAULTS[fault]
    shutil.copytree(sound, tmp_path / "release")
    forger = Forger(tmp_path / "release")
    named = forger.name(file) if "*" in file else file
    plant(forger)
    found = verify(str(forger.folder), tokens="token_count" in words)
    assert not found.ok
    assert any(named in p and words in p for p in found.problems), "\n".join(found.problems)
    assert all(p.endswith(".") and "\n" not in p for p in found.problems), found.problems


def test_an_untouched_release_has_no_fault(sound: Path) -> None:
    found = verify(str(sound))
    assert found.problems == [] and found.notes == []
    release = pipeline.open_release(str(sound))
    assert found.checked["ids"] == release.stats["kept"] == found.checked["signatures"] == found.checked["signatures computed anew"]
    assert found.checked["ledger rows"] == release.ledger.num_rows > 0 < found.checked["removed documents"]
    assert all(len(list(sound.glob(f"data/{domain}/*"))) > 1 for domain in ("en", "zh", "code"))
    stages = set(release.ledger.column("stage").to_pylist())
    assert {"takedown", "licences", "length", "deduplicate_minhash", "downsample_repository"} <= stages


def test_the_flagship_has_no_fault(finished: Finished) -> None:
    assert verify(finished.release.path) == Verified([], [], verify(finished.release.path).checked)


def test_the_card_is_not_a_fault(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "release")
    for file in ("README.md", "README.zh-CN.md", "croissant.json", "figures/funnel.svg", ".gitattributes"):
        (tmp_path / "release" / file).parent.mkdir(exist_ok=True)
        (tmp_path / "release" / file).write_text("written afterwards")
    assert verify(str(tmp_path / "release"), tokens=False).ok


def test_processes_change_nothing(sound: Path) -> None:
    assert verify(str(sound), cpus=2, tokens=False) == verify(str(sound), tokens=False)


class Deadly:
    """A claim that kills the process that is given it."""

    file, slice = "data/zh/zh-00000-of-00001.parquet", shards.Slice("train", "zh", 1, 1, 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def test_a_process_that_dies_is_told_of_and_not_waited_for() -> None:
    with workers(2) as each:
        for _ in range(2):
            (found,) = each([Deadly()])  # type: ignore[list-item]  # the claim is never looked at
            assert not found.whole and "a process that read shards died" in found.problems[0] and Deadly.file in found.problems[0]


def test_without_tokens_it_is_said(sound: Path) -> None:
    (note,) = verify(str(sound), tokens=False).notes
    assert "Token counts" in note


def test_a_tokenizer_that_is_not_at_hand_is_no_fault_and_is_said(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "release")
    forger, gone = Forger(tmp_path / "release"), "/nowhere/tokenizer.json"
    forger.json("recipe.json", lambda r: r["mix"].update(tokenizer=gone))
    forger.json("mixture.json", lambda m: {**m, "tokenizer": gone})
    forger.json("manifest.json", lambda m: {**m, "tokenizer": gone})
    found = verify(str(forger.folder))
    assert found.problems == []
    assert "not at hand" in found.notes[0] and gone in found.notes[0]


def test_ids_that_may_repeat_are_no_fault_of_the_ledger(sound: Path, tmp_path: Path) -> None:
    """Before repeated ids are dropped, another copy of a document may have left for a reason of its own."""
    shutil.copytree(sound, tmp_path / "release")
    forger = Forger(tmp_path / "release")
    i = forger.read(TRAIN).column("id")[0].as_py()
    forger.rows(LEDGER, lambda t: edit(t, "id", t.column("stage").to_pylist().index("length"), i))
    assert not [p for p in verify(str(forger.folder), tokens=False).problems if p.startswith("ledger/")]


def test_a_fault_of_many_rows_is_one_sentence(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "release")
    forger = Forger(tmp_path / "release")
    forger.rows(TRAIN, lambda t: put(t, "characters", pc.add(t.column("characters"), 1).to_pylist()))
    n = forger.read(TRAIN).num_rows
    (problem,) = verify(str(forger.folder), tokens=False).problems
    assert f"{n:,} of {n:,} rows have a wrong value of characters" in problem


MUTATIONS = 4
JUNK = (None, -1, "x", [], {}, [None], {"x": "y"}, 10**400, float("nan"))


def mutated(value: Any, rng: np.random.Generator) -> Any:
    """The value with something in it, at any depth, replaced, taken out or added."""
    if isinstance(value, dict | list) and value and rng.random() < 0.8:
        copy = dict(value) if isinstance(value, dict) else list(value)
        key = list(value)[rng.integers(len(value))] if isinstance(value, dict) else int(rng.integers(len(value)))
        if rng.random() < 0.2:
            del copy[key]
        else:
            copy[key] = mutated(copy[key], rng)
        return copy
    return JUNK[rng.integers(len(JUNK))]


@pytest.mark.parametrize("file", ["manifest.json", "recipe.json", "stats.json", "mixture.json", "code.json", "schedule.json"])
def test_no_json_makes_it_fail(sound: Path, tmp_path: Path, file: str) -> None:
    rng = np.random.default_rng(len(file))
    for _ in range(MUTATIONS):
        shutil.copytree(sound, tmp_path / "release", dirs_exist_ok=True)
        forger = Forger(tmp_path / "release")
        forger.json(file, lambda value: mutated(value, rng))
        for problem in verify(str(forger.folder), tokens=False).problems:
            assert problem.endswith(".")


def test_there_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing or empty"):
        verify(str(tmp_path / "nothing"))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_membership_is_that_of_a_set(count: int) -> None:
    rng = np.random.default_rng(count)
    held, asked = (np.array([rng.bytes(16) for _ in range(n)], recount.ID) for n in (count, 40))
    asked = np.concatenate([asked, held])
    assert recount.is_among(asked, np.unique(held)).tolist() == [a in set(held.tolist()) for a in asked.tolist()]
