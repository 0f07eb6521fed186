"""Token shards: the ids of `tokenizers`, as many as the release says, in the same files however they were made; what is wrong is said."""

import errno
import hashlib
import json
import pickle
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

import pipeline
from pipeline import shards
from pipeline.errors import ModelError, PipelineError, PlanError, StoreError, WorkFolderLocked
from pipeline.recipe import ScheduleSlice
from pipeline.store import Store, open_model
from pipeline.token_shards import TokenRelease, export_tokens, open_tokens, work, write_tokens
from pipeline.tokenize.bpe import Bpe
from pipeline.tokenize.engine import _cuda_lacks
from tests.running import ENVIRONMENT, Finished, cli, one_paragraph, processes_of

OURS = Path(open_model("bundled:skypile-65k").path)
FILE = "data/en/en-00001-of-00003.parquet"
PIECES = [
    "The quick brown fox. ",
    "它说：“不行！”",
    "def f(x):\n    return x\n",
    "\u088f's ",
    "👩‍💻 ",
    "a<|endoftext|>b ",
    "e\u0301 ",
    "  \t\n\n",
    "0123456789 ",
]
SCHEDULE = {"name": "stem", "select": {"domain": ["en"], "bounds": {"stem_stem": {"min": 0.5}}}, "share": {"from": 0.1, "to": 0.4, "ramp": "quadratic"}}


def texts_of(domain: str, n: int) -> list[str]:
    rng = np.random.default_rng(len(domain) + n)
    found = ["".join(PIECES[k] for k in rng.integers(0, len(PIECES), size)) for size in rng.integers(1, 40, n)]
    return [*found[:-1], "long " * 3000]


def shard_of(store: Store, file: str, domain: str, texts: list[str], tokenizer: Tokenizer) -> dict[str, Any]:
    """Write a shard of a release; what the manifest says of it."""
    schema = shards.schema_with([pa.field("stem_stem", pa.float64())])
    held_out = file.startswith("validation/")
    fixed: dict[str, Callable[[int], Any]] = {
        "id": lambda i: hashlib.md5(f"{file}{i}".encode()).hexdigest(), "text": lambda i: texts[i], "source": lambda i: "web", "domain": lambda i: domain,
        "subdomain": lambda i: ("web", "books", None)[i % 3], "programming_language": lambda i: "Python" if domain == "code" else None,
        "characters": lambda i: len(texts[i]), "text_bytes": lambda i: len(texts[i].encode()),
        "token_count": lambda i: len(tokenizer.encode(texts[i], add_special_tokens=False).ids), "repeats": lambda i: 0 if held_out else 1 + i % 3,
        "filter_trace": lambda i: "0", "stem_stem": lambda i: None if i % 5 == 0 else (i % 10) / 10, "hash": lambda i: 32 * i,
    }  # fmt: skip
    fields = [*schema, pa.field("hash", pa.uint64())]
    table = pa.table([pa.array([fixed.get(f.name, lambda i: None)(i) for i in range(len(texts))], f.type) for f in fields], schema=pa.schema(fields))
    entry = shards.write_shard(store, file, [table], 4000, schema)
    return {key: entry[key] for key in ("rows", "tokens", "tokens_with_repeats", "text_bytes", "content")}


def release_at(folder: Path, tokenizer: Path = OURS, name: str = "skypile-65k", also: str | None = None) -> pipeline.Release:
    """A release of three domains, one of them in three shards, each of several row groups."""
    store, counter = Store(str(folder)), Tokenizer.from_file(str(tokenizer))
    plan = [(f"data/en/en-0000{k}-of-00003.parquet", "en", 12 + k) for k in range(3)]
    plan += [("data/code/code-00000-of-00001.parquet", "code", 9), ("data/zh/zh-00000-of-00001.parquet", "zh", 10)]
    plan += [("validation/en/en-00000-of-00001.parquet", "en", 5)]
    files: dict[str, Any] = {file: shard_of(store, file, domain, texts_of(domain, n), counter) for file, domain, n in plan}
    mix = {"tokenizer": name, "also_count": {"other": also} if also else {}}
    for file, value in (
        ("recipe.json", {"mix": mix}),
        ("mixture.json", {"domains": {}}),
        ("schedule.json", {"phases": [{"name": "main", "slices": []}, {"name": "stage2", "slices": [SCHEDULE]}]}),
    ):
        store.write_json(file, value)
        files[file] = {}
    store.write_json("manifest.json", {"name": "small", "version": "1.0", "fingerprint": "0" * 32, "tokenizer": name, "files": files})
    return pipeline.open_release(str(folder))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> pipeline.Release:
    return release_at(tmp_path_factory.mktemp("token_shards") / "work" / "releases" / "small@1.0")


@pytest.fixture(scope="module")
def made(release: pipeline.Release) -> TokenRelease:
    return write_tokens(release)


def contents(folder: str | Path) -> dict[str, str]:
    root = Path(folder)
    found = {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(root.rglob("*")) if p.is_file() and p.name != "lock"}
    assert not any(name.startswith((".tmp", "done")) for name in found)
    return found


def rows(release: pipeline.Release, domain: str, split: str = "train") -> list[dict[str, Any]]:
    return [row for batch in release.documents(domain, split) for row in batch.to_pylist()]


# --- what is in them ----------------------------------------------------------------------------------------------------------


def test_ids_are_those_of_tokenizers_and_as_many_as_the_release_says(release: pipeline.Release, made: TokenRelease) -> None:
    reference = Tokenizer.from_file(str(OURS))
    for split, domain in (("train", "en"), ("train", "zh"), ("train", "code"), ("validation", "en")):
        tokens, expected = made.domain(domain, split), rows(release, domain, split)
        assert len(tokens) == len(expected) == tokens.index.num_rows
        for k, row in enumerate(expected):
            assert tokens.document(k).tolist() == reference.encode(row["text"], add_special_tokens=False).ids
            assert len(tokens.document(k)) == row["token_count"]
        assert tokens.index.to_pylist() == [{name: row[name] for name in tokens.index.column_names} for row in expected], "row for row the release's"
    assert made.domains() == ["code", "en", "zh"] and made.domains("validation") == ["en"]
    assert made.id_type == np.dtype("<u2") and made.vocabulary == 65_536 and made.eos == reference.token_to_id("<|endoftext|>")


def test_counts_are_those_of_the_release(release: pipeline.Release, made: TokenRelease) -> None:
    for shard, entry in made.manifest["shards"].items():
        theirs = release.manifest["files"][entry["made_of"]]
        assert {key: entry[key] for key in ("tokens", "tokens_with_repeats", "text_bytes")} == {key: theirs[key] for key in entry if key in theirs}, shard
    assert made.manifest["counts"]["train"]["en"]["shards"] == 3 and made.manifest["counted_by"] == "token_count"


def test_everything_is_mapped_and_reading_crosses_shards(made: TokenRelease) -> None:
    tokens = made.domain("en")
    whole = np.concatenate([tokens.document(k) for k in range(len(tokens))])
    assert isinstance(tokens.shards[0].ids, np.memmap) and tokens.shards[0].ids.base is not None and isinstance(tokens.shards[0].offsets, np.memmap)
    assert tokens.tokens == len(whole) == tokens.offsets[-1] and len(tokens.offsets) == len(tokens) + 1
    cuts = sorted({0, 1, *tokens.first_tokens.tolist(), *(int(t) + d for t in tokens.first_tokens[1:-1] for d in (-1, 1)), tokens.tokens})
    for begin in cuts:
        for end in (c for c in cuts if c >= begin):
            assert (tokens.read(begin, end) == whole[begin:end]).all()
    assert np.shares_memory(tokens.read(2, 9), tokens.shards[0].ids), "no copy within a shard"
    for wrong in (lambda: tokens.document(len(tokens)), lambda: tokens.document(-1), lambda: tokens.read(0, tokens.tokens + 1)):
        with pytest.raises(IndexError):
            wrong()
    with pytest.raises(KeyError, match="fr"):
        made.domain("fr")


def test_what_is_pickled_is_the_way_to_the_files(made: TokenRelease) -> None:
    tokens = made.domain("en")
    whole = tokens.read(0, tokens.tokens)
    packed = pickle.dumps(tokens)
    assert len(packed) < 4000 and (pickle.loads(packed).read(0, tokens.tokens) == whole).all()


def test_a_schedule_can_be_followed(release: pipeline.Release, made: TokenRelease) -> None:
    (some,) = [s for phase in made.schedule["phases"] for s in phase["slices"]]
    chosen = ScheduleSlice.model_validate({**some["select"], "share": some["share"]}, strict=False).mask(made.domain("en").index)
    expected = [(row["stem_stem"] or 0) >= 0.5 for row in rows(release, "en")]
    assert chosen.tolist() == expected and 0 < sum(expected) < len(expected)
    assert made.mixture == release.mixture


def test_the_folder_stands_alone(made: TokenRelease) -> None:
    assert hashlib.sha256(Path(made.path, "tokenizer.json").read_bytes()).hexdigest() == made.manifest["tokenizer_sha256"]
    text = Path(made.path, "manifest.json").read_text(encoding="utf-8")
    assert str(Path(made.path).parents[2]) not in text, "no path of this machine"
    assert made.path.endswith("work/tokens/small@1.0/skypile-65k"), "beside the releases"
    assert pipeline.open_tokens(made.path).manifest == made.manifest == open_tokens(made.path, hashes=True).manifest


def test_a_run_of_the_flagship(finished: Finished, tmp_path: Path) -> None:
    tokens = write_tokens(finished.release, tmp_path)
    said = {(r["split"], r["domain"]): r for r in finished.release.stats["released"]}
    for (split, domain), row in said.items():
        found = tokens.manifest["counts"][split][domain]
        assert {key: found[key] for key in ("documents", "tokens", "tokens_with_repeats", "text_bytes")} == {key: row[key] for key in found if key in row}


# --- the same files -------------------------------------------------------------------------------------------------------------


def test_the_same_files_by_the_reference(release: pipeline.Release, made: TokenRelease, tmp_path: Path) -> None:
    write_tokens(release, tmp_path / "slow", device="reference")
    assert contents(tmp_path / "slow") == contents(made.path)


def test_the_same_files_when_row_groups_are_read_ahead(release: pipeline.Release, made: TokenRelease, tmp_path: Path) -> None:
    """As a GPU has them read."""
    for name in made.manifest["shards"]:
        (task,) = [t for t in _tasks(release, tmp_path) if t.name == name]
        assert task(3)["files"] == made.manifest["shards"][name]["files"]


def _tasks(release: pipeline.Release, out: Path) -> list[Any]:
    seen: list[Any] = []
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(work, "_each", lambda tasks, cpus, threads: iter(seen.extend(tasks) or ()))
        write_tokens(release, out)
    return seen


KILLED = """
import os, signal, sys
from pipeline.token_shards import write_tokens

class Kill:
    def begin(self, step, total): ...
    def end(self, step): ...
    def advance(self, step, counts):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    write_tokens(sys.argv[1], sys.argv[2], cpus=int(sys.argv[3]), progress=Kill())
"""


@pytest.mark.parametrize("cpus", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_and_run_again(release: pipeline.Release, made: TokenRelease, tmp_path: Path, cpus: int) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, tmp_path / "killed.py", release.path, out, str(cpus)], env={**ENVIRONMENT, "MARK": str(tmp_path)}, check=False, timeout=120
    )
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(StoreError, match="not finished"):
        open_tokens(out)
    for _ in range(200):
        if not processes_of(str(tmp_path)):
            break
        time.sleep(0.05)
    assert not processes_of(str(tmp_path)), "no process outlives its driver"
    first = {p: p.stat().st_mtime_ns for p in out.rglob("*.ids")}
    assert 1 <= len(first) <= cpus + 1
    write_tokens(release, out, cpus=cpus)
    marked = [p for p in first if (p.with_suffix(".offsets")).exists()]
    assert [p for p in marked if p.stat().st_mtime_ns == first[p]], "what was done was kept"
    assert contents(out) == contents(made.path)


def test_what_was_removed_is_made_anew_and_nothing_else(release: pipeline.Release, tmp_path: Path) -> None:
    made = write_tokens(release, tmp_path)
    before, times = contents(tmp_path), {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.ids")}
    gone, short = Path(made.path, "train/en/en-00001-of-00003.ids"), Path(made.path, "train/zh/zh-00000-of-00001.arrow")
    gone.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"is damaged.*as are 1 others.*same `tokenize` again"):
        open_tokens(tmp_path)
    write_tokens(release, tmp_path)
    again = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.ids")}
    assert contents(tmp_path) == before
    assert {p for p in times if times[p] != again[p]} == {gone, short.with_suffix(".ids")}
    write_tokens(release, tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.ids")} == again, "nothing to do"
    gone.write_bytes(bytes([gone.read_bytes()[0] ^ 1]) + gone.read_bytes()[1:])
    open_tokens(tmp_path)
    with pytest.raises(StoreError, match=r"en-00001-of-00003\.ids is damaged: it is not the file that was written"):
        open_tokens(tmp_path, hashes=True)


# --- other tokenizers --------------------------------------------------------------------------------------------------------------


def small_tokenizer(path: Path, far: int | None = None) -> Path:
    """A byte-level BPE of a few merges; `far`: an added token with that id. It has no end of text."""
    from tokenizers import decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(PIECES * 5, trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    about = json.loads(made.to_str())
    if far is not None:
        token = {"id": far, "content": "<|far|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        about["added_tokens"] = [token]
        about["model"]["vocab"]["<|far|>"] = far  # the reference numbers other added tokens itself
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about), encoding="utf-8")
    return path


def test_another_tokenizer_with_wide_ids(release: pipeline.Release, tmp_path: Path) -> None:
    other = small_tokenizer(tmp_path / "wide" / "tokenizer.json", far=70_000)
    found = write_tokens(release, tokenizer=str(other))
    assert found.id_type == np.dtype("<u4") and found.vocabulary == 70_001 and found.eos is None and found.manifest["counted_by"] is None
    assert Path(found.path).name == f"wide-{hashlib.sha256(other.read_bytes()).hexdigest()[:8]}"
    reference = Tokenizer.from_file(str(other))
    assert found.domain("zh").document(3).tolist() == reference.encode(rows(release, "zh")[3]["text"], add_special_tokens=False).ids
    with pytest.raises(PlanError, match="--no-append-eos"):
        write_tokens(release, tokenizer=str(other), layouts=["megatron"])


def test_a_release_counted_by_a_file_needs_the_file(tmp_path: Path) -> None:
    own, other = small_tokenizer(tmp_path / "own.json"), tmp_path / "ours.json"
    other.write_bytes(OURS.read_bytes())
    published = [f"{p.name} sha256:{hashlib.sha256(p.read_bytes()).hexdigest()}" for p in (own, other)]
    source = release_at(tmp_path / "r", own, *published)
    with pytest.raises(PlanError, match=r"own\.json sha256:.*--tokenizer PATH"):
        write_tokens(source)
    assert write_tokens(source, tokenizer=str(own)).manifest["counted_by"] == "token_count"
    with pytest.raises(StoreError, match="no column token_count_other"):
        write_tokens(source, tokenizer=str(other))


# --- other layouts -----------------------------------------------------------------------------------------------------------------


def read_megatron(prefix: Path) -> list[list[int]]:
    """Documents, read by the layout that Megatron-LM publishes: header, one length and one place a sequence, the sequences that documents begin with."""
    index, data = prefix.with_suffix(".idx").read_bytes(), prefix.with_suffix(".bin").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, bounds = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    type_ = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f8", 7: "<f4", 8: "<u2"}[code]
    at = 9 + 8 + 1 + 8 + 8
    lengths = np.frombuffer(index, "<i4", sequences, at)
    places = np.frombuffer(index, "<i8", sequences, at + 4 * sequences)
    documents = np.frombuffer(index, "<i8", bounds, at + 12 * sequences)
    assert len(index) == at + 12 * sequences + 8 * bounds and documents[0] == 0 and documents[-1] == sequences
    read = [np.frombuffer(data, type_, n, p).tolist() for n, p in zip(lengths, places, strict=True)]
    assert sum(map(len, read)) * np.dtype(type_).itemsize == len(data)
    return [[i for part in read[a:b] for i in part] for a, b in pairwise(documents)]


def read_nanotron(path: Path) -> list[list[int]]:
    """Documents, read by the layout that datatrove writes."""
    name, count, people = Path(f"{path}.metadata").read_text().split("\n")
    ids = np.fromfile(path, {"2": "<u2", "4": "<u4"}[name.rpartition("|")[2]])
    ends = np.fromfile(f"{path}.index", "<u8").astype(np.int64)
    assert len(ids) == int(count) == ends[-1] and people.endswith("T")
    return [part.tolist() for part in np.split(ids, ends[:-1])]


@pytest.mark.parametrize("append_eos", [True, False])
def test_layouts_of_other_trainers(release: pipeline.Release, tmp_path: Path, append_eos: bool) -> None:
    found = write_tokens(release, tmp_path, layouts=["megatron", "nanotron"], append_eos=append_eos)
    for name, entry in found.manifest["shards"].items():
        split, domain, file = name.split("/")
        first = int(file.split("-")[1])
        tokens = found.domain(domain, split)
        numbers = range(tokens.first_documents[first], tokens.first_documents[first + 1])
        expected = [tokens.document(k).tolist() + [found.eos] * append_eos for k in numbers]
        assert len(expected) == entry["documents"]
        assert read_megatron(tmp_path / "megatron" / f"{split}-{file}") == expected
        assert read_nanotron(tmp_path / "nanotron" / split / domain / f"{file}.ds") == expected
    for layout in ("megatron", "nanotron"):
        about = json.loads((tmp_path / layout / "manifest.json").read_text())
        assert about["append_eos"] is append_eos and about["eos"] == (found.eos if append_eos else None)
        with pytest.raises(StoreError, match=f"layout of {layout}"):
            open_tokens(tmp_path / layout)
    before = contents(tmp_path)
    (tmp_path / "nanotron/train/zh/zh-00000-of-00001.ds.index").unlink()
    export_tokens(found, "nanotron", append_eos=append_eos)
    assert contents(tmp_path) == before
    with pytest.raises(PlanError, match="append_eos"):
        export_tokens(found, "megatron", append_eos=not append_eos)
    with pytest.raises(PlanError, match="megatron, nanotron"):
        export_tokens(found, "numpy")


def test_wide_ids_and_long_streams_in_other_layouts(release: pipeline.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.token_shards.formats._CHUNK_TOKENS", 100)
    other = small_tokenizer(tmp_path / "wide.json", far=70_000)
    found = write_tokens(release, tmp_path / "out", tokenizer=str(other), layouts=["megatron", "nanotron"], append_eos=False)
    expected = [found.domain("zh").document(k).tolist() for k in range(10)]
    assert read_megatron(tmp_path / "out/megatron/train-zh-00000-of-00001") == expected
    assert read_nanotron(tmp_path / "out/nanotron/train/zh/zh-00000-of-00001.ds") == expected


# --- what is wrong is said ------------------------------------------------------------------------------------------------------


def edited(tmp_path: Path, release: pipeline.Release, file: str, edit: Callable[[pa.Table], pa.Table]) -> Path:
    """A copy of the release with one shard written again."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(release.path, copy)
    table = edit(pq.read_table(copy / file))
    pq.write_table(table, copy / file, row_group_size=5)
    return copy


def test_a_document_with_another_number_of_tokens_stops_it(release: pipeline.Release, tmp_path: Path) -> None:
    def edit(table: pa.Table) -> pa.Table:
        counts = table.column("token_count").to_numpy().copy()
        counts[7] += 1
        return table.set_column(table.schema.get_field_index("token_count"), "token_count", pa.array(counts))

    copy = edited(tmp_path, release, FILE, edit)
    id_ = pq.read_table(copy / FILE).column("id")[7].as_py()
    with pytest.raises(StoreError, match=rf"{FILE}: row 7 \({id_}\) has [\d,]+ tokens, but its token_count is"):
        write_tokens(str(copy), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("en-00001-of-00003.*")), "nothing of the shard was kept"
    assert not (tmp_path / "out/manifest.json").exists()


def no_utf8(n: int) -> pa.Array:
    return pa.Array.from_buffers(pa.string(), n, pa.array([b"\xff"] * n, pa.binary()).buffers())


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda table: table.slice(1), r"has 12 rows, where its manifest.json says 13"),
        (lambda table: table.drop_columns(["repeats", "stem_stem"]), r"has no column repeats and no column stem_stem"),
        (lambda table: table.set_column(1, "text", pa.array([b"\xff"] * len(table), pa.binary())), r"has no column text of the right type"),
        (lambda table: table.set_column(1, "text", no_utf8(len(table))), r"cannot be read: .*UTF8"),
    ],
)
def test_a_shard_that_is_not_the_releases(release: pipeline.Release, tmp_path: Path, edit: Callable[[pa.Table], pa.Table], said: str) -> None:
    with pytest.raises(StoreError, match=rf"{FILE} {said}"):
        write_tokens(str(edited(tmp_path, release, FILE, edit)), tmp_path / "out")


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: b"", lambda data: data[:50] + bytes(2000) + data[2050:]])
def test_a_damaged_shard_is_named(release: pipeline.Release, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    copy = edited(tmp_path, release, FILE, lambda table: table)
    (copy / FILE).write_bytes(damage((copy / FILE).read_bytes()))
    with pytest.raises(StoreError, match=rf"{FILE} cannot be read"):
        write_tokens(str(copy), tmp_path / "out")


def test_what_is_no_release(release: pipeline.Release, made: TokenRelease, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no release at"):
        write_tokens(str(tmp_path / "nowhere"))
    with pytest.raises(StoreError, match="is not that of a release"):
        write_tokens(made.path)
    (tmp_path / "empty").mkdir()
    manifest = {**release.manifest, "files": {"recipe.json": {}}}
    (tmp_path / "empty/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="holds no documents"):
        write_tokens(str(tmp_path / "empty"))


def test_a_folder_that_holds_something_else_is_left_alone(release: pipeline.Release, made: TokenRelease, tmp_path: Path) -> None:
    other = small_tokenizer(tmp_path / "other.json")
    with pytest.raises(PlanError, match=r"holds the tokens of small@1.0 by skypile-65k .*--out"):
        write_tokens(release, made.path, tokenizer=str(other))
    with pytest.raises(StoreError, match="holds something else"):
        write_tokens(release, release.path)
    assert not Path(release.path, "train").exists()
    changed = edited(tmp_path, release, FILE, lambda table: table)
    (changed / "manifest.json").write_text((changed / "manifest.json").read_text().replace("0" * 32, "1" * 32))
    with pytest.raises(PlanError, match="release_fingerprint 1111"):
        write_tokens(str(changed), made.path)
    with pytest.raises(StoreError, match="no tokens at"):
        open_tokens(tmp_path)


def test_a_second_driver_is_refused(release: pipeline.Release, tmp_path: Path) -> None:
    with Store(str(tmp_path)).lock(), pytest.raises(WorkFolderLocked, match=r"at work in .*--out"):
        write_tokens(release, tmp_path)


def test_no_room(release: pipeline.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
        with pytest.raises(StoreError, match="GB are still to be written"):
            write_tokens(release, tmp_path)
        assert not list(tmp_path.rglob("*.ids"))

    def full(self: work.Tallied, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(work.Tallied, "write", full)
        with pytest.raises(StoreError, match="disk is full"):
            write_tokens(release, tmp_path)
    assert not list(tmp_path.rglob("*.ids")) and not (tmp_path / ".tmp").exists()
    write_tokens(release, tmp_path)


def test_tokenizers_and_devices_that_are_not_there(release: pipeline.Release, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="skypile-66k"):
        write_tokens(release, tmp_path, tokenizer="skypile-66k")
    with pytest.raises(PipelineError, match=r"nowhere/tokenizer\.json"):
        write_tokens(release, tmp_path, tokenizer="nowhere/tokenizer.json")
    if _cuda_lacks():
        with pytest.raises(PipelineError, match=r"(?i)cuda"):
            write_tokens(release, tmp_path, device="cuda")
    with pytest.raises(PipelineError):
        write_tokens(release, tmp_path, device="tpu")
    assert not list(tmp_path.iterdir()), "before anything was written"
    with pytest.raises(StoreError, match="--out"):
        write_tokens(release, "memory://tokens")


# --- the command line ---------------------------------------------------------------------------------------------------------------


def test_the_command(release: pipeline.Release, made: TokenRelease, tmp_path: Path) -> None:
    """By two processes, whose files are those of one."""
    out = tmp_path / "out"
    done = cli("tokenize", release.path, "--out", out, "--cpus", "2")
    assert done.returncode == 0, done.stderr
    assert f"{made.domain('en').tokens:,}" in done.stdout and "Every document has as many as its token_count says." in done.stdout
    assert f"Tokens: {out}\n" in done.stdout
    assert contents(out) == contents(made.path)
    done = cli("tokenize", release.path, "--out", out, "--format", "megatron")
    assert f"Tokens: {out}/megatron\n" in done.stdout and (out / "megatron/train-zh-00000-of-00001.idx").exists()


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    assert "nowhere" in one_paragraph(cli("tokenize", tmp_path / "nowhere"))


def test_folders_of_others_are_left_alone(release: pipeline.Release, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / ".tmp").mkdir(parents=True)
    (mine / "done").mkdir()
    (mine / ".tmp" / "a").write_text("a")
    (mine / "done" / "b").write_text("b")
    with pytest.raises(PlanError, match=r"holds other things \(done\).*--out"):
        write_tokens(release, mine)
    assert (mine / ".tmp" / "a").exists() and (mine / "done" / "b").exists()


def test_a_vocabulary_trained_on_a_release(release: pipeline.Release, tmp_path: Path) -> None:
    from pipeline.library import train_tokenizer

    summary = train_tokenizer(str(release.store.root), str(tmp_path / "a"), 340, cpus=1)
    assert train_tokenizer(str(release.store.root), str(tmp_path / "b"), 340, cpus=2) == summary
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    file = tmp_path / "a" / "tokenizer.json"
    assert summary["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() and Bpe.read(file.read_bytes()).vocabulary == 340
    texts = {domain: rows(release, domain) for domain in ("en", "zh", "code")}
    assert {d: v["documents"] for d, v in summary["trained_on"].items()} == {d: len(r) for d, r in texts.items()}
    assert summary["trained_on"]["zh"]["bytes"] == sum(len(r["text"].encode()) * r["repeats"] for r in texts["zh"])
    held_out = [row for batch in release.documents("en", split="validation") for row in batch.to_pylist()]
    reference = Tokenizer.from_file(str(file))
    assert summary["validation"] == {
        "en": {
            "bytes": sum(len(r["text"].encode()) for r in held_out),
            "tokens": sum(len(reference.encode(r["text"], add_special_tokens=False).ids) for r in held_out),
        }
    }
    with pytest.raises(PlanError, match=r"holds other things \(README.md"):
        train_tokenizer(str(release.store.root), str(tmp_path / "a"), 340)
