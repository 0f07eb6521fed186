"""The GPU engine: each stage against its slow twin, each Triton kernel against the plain stage, and all of it against `tokenizers`.

The kernels run where there is a GPU, and elsewhere under Triton's interpreter: `TRITON_INTERPRET=1 pytest tests/tokenize/test_gpu.py`,
which is what one test here does. Another compiles them for an H200, which needs no GPU.
"""

import importlib.resources
import json
import os
import random
import subprocess
import sys
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from pipeline.tokenize import gpu_stages as plain
from pipeline.tokenize import gpu_tables as form
from pipeline.tokenize.bpe import Added, Bpe, byte_characters
from pipeline.tokenize.gpu import GpuEngine, NotUtf8
from pipeline.tokenize.patterns import GPT2, LLAMA3, QWEN2, Pattern
from pipeline.tokenize.tables import Tables
from tests.twins import slow_bpe

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch", reason="the GPU engine needs torch")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
needs_kernels = pytest.mark.skipif(DEVICE == "cpu" and not INTERPRETED, reason="needs a GPU, or TRITON_INTERPRET=1")
ROOT = Path(__file__).parents[2]
SHIPPED = importlib.resources.files("pipeline").joinpath("tokenize/skypile-65k/tokenizer.json").read_bytes()

DOCUMENTS = [
    "",
    "Hello, world! It's 12:30, they'll pay $1,234.56 (or €99).",
    "中华人民共和国于一九四九年成立。GDP增长了5.2%，约合１２６万亿元！",
    "繁體中文與简体混排，「引號」、《書名》……——“quotes”",
    "def f(x):\n    if x > 0:\r\n\t\treturn x ** 2  # 平方\n\n\n",
    " " * 500 + "x" + "\t" * 77 + "\n" * 300 + "　　段首" + " \n \n ",
    "family 👨‍👩‍👧‍👦 flag 🇨🇳 skin 👍🏽 keycap 1️⃣",
    "e\u0301a\u0308o\u0302\u0323 \u0915\u094d\u0937 \u0e01\u0e33 \u1100\u1161\u11a8 각",
    "\x00\x00nul\x00 \x7f\x85\xa0\u2028\u2029\ufeff\ufffd\ufffe\U0010ffff\ue000",
    "a<|endoftext|>b <|im_start|>user\n你好<|im_end|><|endoftext|><|endoftext",
    "write to <EMAIL>, call <PHONE>; 身份证<IDNO>，<IP><IP> <ip> <EMAIL",
    "'S 'LL it'ſ I'M 'ſa 'K'", "x's'", "''s", " 's", "\t's", "!'s", "1's2", "'rex'dd'",
    "0123456789" * 30 + "٣४Ⅷ½²",
    "AbCd" * 500,
    "的" * 1000,
    "!?" * 1000 + "=" * 333,
    "!\r\n" * 3 + "\n" * 100 + "  x \n" + " " * 100 + "\n\t" + "\u3000" * 40 + "y",
    "Ünïcödé Ελληνικά Русский עברית العربية हिन्दी ไทย 日本語カタカナ 한국어",
    "",
]  # fmt: skip
SHORT = [d for d in DOCUMENTS if len(d) < 700]
LINES = [*SHORT, "the quick brown fox jumps over the lazy dog; internationalization, " * 3, "中国人民银行今日发布公告，人民币汇率保持稳定。" * 3]


def trained(pattern: Pattern, whole_words: bool, nfc: bool = False) -> bytes:
    """A vocabulary of some 2,000 for a pattern, with added tokens of both groups, and with entries that no merge makes."""
    tokenizer = Tokenizer(models.BPE())
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(pattern.regex), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(LINES * 5, trainer)
    document = json.loads(tokenizer.to_str())
    document["model"]["ignore_merges"] = whole_words
    signs, vocab = byte_characters(), document["model"]["vocab"]
    for word in (" zq中X", "q" * 20, "é" * 40):  # the engine may not cut them, and must find them
        vocab["".join(signs[byte] for byte in word.encode())] = len(vocab)
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|endoftext|>!", "ab"])
    if not nfc:
        tokenizer.add_tokens([AddedToken(t, normalized=True) for t in ("<EMAIL>", "bc", "中国", "x's", "\n\n")])
    return tokenizer.to_str().encode()


SOURCES = {
    "skypile-65k": lambda: SHIPPED,
    "gpt2": lambda: trained(GPT2, False),
    "gpt2, whole words": lambda: trained(GPT2, True),
    "llama3": lambda: trained(LLAMA3, False),
    "llama3, whole words": lambda: trained(LLAMA3, True),
    "qwen2": lambda: trained(QWEN2, True),
    "qwen2, NFC": lambda: trained(QWEN2, False, nfc=True),
}
_made: dict[str, tuple[GpuEngine, Tokenizer]] = {}


def made(name: str) -> tuple[GpuEngine, Tokenizer]:
    if name not in _made:
        source = SOURCES[name]()
        _made[name] = GpuEngine(Bpe.read(source), DEVICE, "torch"), Tokenizer.from_str(source.decode())
    return _made[name]


@pytest.fixture(scope="module", params=[*SOURCES])
def vocabulary(request) -> tuple[GpuEngine, Tokenizer]:
    return made(request.param)


def packed(texts: list[str] | list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    content = [t.encode() if isinstance(t, str) else t for t in texts]
    return np.frombuffer(b"".join(content), np.uint8), np.append(0, np.cumsum([len(c) for c in content])).astype(np.int64)


def encode(engine: GpuEngine, texts: list[str] | list[bytes]) -> list[list[int]]:
    ids, lengths = engine.encode(*packed(texts))
    assert (ids.dtype, lengths.dtype, len(lengths), lengths.sum()) == (engine.bpe.id_type, np.int64, len(texts), len(ids))
    return [ids[begin:end].tolist() for begin, end in pairwise(np.append(0, np.cumsum(lengths)))]


def expected(reference: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in reference.encode_batch_fast(texts, add_special_tokens=False)] if texts else []


def buffer(texts: list[str]) -> tuple["torch.Tensor", "torch.Tensor"]:
    content, offsets = packed(texts)
    return plain.lay_out(torch.from_numpy(content.copy()).to(DEVICE), torch.from_numpy(offsets).to(DEVICE))


PARTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.text(st.sampled_from(" \t\r\n\u3000\u00a0'’.,!?，。！《》-_=<|>0123456789abcdeilmrstvLSTſéqz中国人ab"), max_size=30),
        st.sampled_from(["<|endoftext|>", "<|endoftext|>!", "<EMAIL>", "x's", " zq中X", "q" * 20, "é" * 40, "\r\n", " " * 70, "\n" * 70 + " ", "1" * 200]),
    ),
    max_size=6,
).map("".join)


# --- the whole engine ------------------------------------------------------------------------------------------------------


def test_ids_are_those_of_tokenizers(vocabulary):
    engine, reference = vocabulary
    assert encode(engine, DOCUMENTS) == expected(reference, DOCUMENTS)
    assert encode(engine, SHORT) == expected(reference, SHORT)  # now the table holds every word


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(texts=st.lists(PARTS, max_size=20))
def test_any_text(vocabulary, texts):
    engine, reference = vocabulary
    assert encode(engine, texts) == expected(reference, texts)


def test_nothing_in_nothing_out(vocabulary):
    engine, _ = vocabulary
    assert [part.tolist() for part in engine.encode(*packed([]))] == [[], []]
    assert encode(engine, ["", ""]) == [[], []]


def test_any_batching_and_a_table_that_forgets_give_the_same(monkeypatch):
    engine, reference = GpuEngine(Bpe.read(SOURCES["llama3, whole words"]()), DEVICE, "torch"), made("llama3, whole words")[1]
    monkeypatch.setattr(engine, "batch_bytes", 300)
    monkeypatch.setattr("pipeline.tokenize.gpu._POOL", 200)
    assert encode(engine, DOCUMENTS * 2) == expected(reference, DOCUMENTS * 2)


def test_a_full_table_still_gives_every_id(monkeypatch):
    monkeypatch.setattr("pipeline.tokenize.gpu.SLOTS", {"cuda": 64, "cpu": 64})
    engine, reference = GpuEngine(Bpe.read(SHIPPED), DEVICE, "torch"), made("skypile-65k")[1]
    for _ in range(2):
        assert encode(engine, SHORT) == expected(reference, SHORT)
        assert engine.remembered <= 32


def test_long_words():
    engine, reference = made("gpt2")
    texts = ["a" * 100_000, "a" * 1024, "a" * 1025, "ab" * 500, "q" * 20, "é" * 40, *("th" * n for n in (7, 8, 16, 31, 32, 33, 128, 129))]
    assert encode(engine, texts) == expected(reference, texts)


def test_text_that_is_not_utf8_is_decoded_with_replacement(vocabulary):
    engine, reference = vocabulary
    chance = random.Random(0)
    texts = [
        b"ok",
        b"\xff\xfe\xfd",
        b"a\xc3",
        b"\xe4\xb8",
        b"\xf0\x9f\x91",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xf4\x90\x80\x80",
        b"\x80 \xbf",
        b"",
        b"\xe4\xb8\xad",
    ]
    texts += [bytes(chance.choices(b"a \x80\xbf\xc2\xe4\xb8\xad\xf0\x9f\x91\x8d\xff", k=8)) for _ in range(50)]
    for some in ([t] for t in texts):
        assert encode(engine, some) == expected(reference, [t.decode(errors="replace") for t in some])
    assert encode(engine, texts) == expected(reference, [t.decode(errors="replace") for t in texts])
    with pytest.raises(NotUtf8):
        engine.encode_on_device(*plain.lay_out(torch.tensor([0xFF], dtype=torch.uint8, device=DEVICE), torch.tensor([0, 1], device=DEVICE)))


def test_on_the_device():
    engine, reference = made("qwen2, NFC")
    texts = ["plain", "e\u0301", "", "a<|endoftext|>"]
    got = engine.encode_on_device(*buffer(texts))
    assert got.by_reference.tolist() == [1]
    ids, want = [got.ids[a:b].tolist() for a, b in pairwise(got.offsets.tolist())], expected(reference, texts)
    assert [ids[i] for i in (0, 2, 3)] == [want[i] for i in (0, 2, 3)]


# --- stages against their twins --------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abcd<", max_size=12).map(str.encode), min_size=1, max_size=5), st.lists(st.text("abcd<", min_size=1, max_size=4), max_size=6))
def test_added_tokens(texts, contents):
    tokens = [Added(c.encode(), 7 + i, False) for i, c in enumerate(dict.fromkeys(contents))]
    if not tokens:
        return
    data, bounds = buffer([t.decode() for t in texts])
    group = form.AddedGroup.of(tuple(tokens), DEVICE)
    at, ids, lengths = (x.tolist() for x in plain.find_added(data, plain.beginnings(data, group.first_two), group))
    found = dict(zip(at, zip(ids, lengths, strict=True), strict=True))
    for begin, text in zip(bounds.tolist(), texts, strict=False):
        here = begin + 1
        for part in slow_bpe.split_at(text, tokens):
            if isinstance(part, int):
                number, length = found.pop(here)
                assert number == part
                here += length
            else:
                here += len(part)
    assert not found


def test_kinds():
    engine, _ = made("skypile-65k")
    data, bounds = buffer(DOCUMENTS)
    classes, counts = plain.classify(data, engine.tables)
    assert counts.tolist() == [0, int((data == 0xFF).sum())]
    for begin, text in zip(bounds.tolist(), DOCUMENTS, strict=False):
        here = classes[begin + 1 : begin + 1 + len(text.encode())].tolist()
        assert [(c & form.KIND, bool(c & form.LEAD)) for c in here] == slow_bpe.kind_of_bytes(text)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=12).map(lambda b: bytes(x if x < 0xF5 else 0xE4 for x in b)) | st.text(max_size=5).map(str.encode))
def test_what_is_not_utf8_is_noticed(content):
    engine, _ = made("skypile-65k")
    data, _ = plain.lay_out(torch.tensor(list(content), dtype=torch.uint8, device=DEVICE), torch.tensor([0, len(content)], device=DEVICE))
    try:
        content.decode()
        sound = True
    except UnicodeDecodeError:
        sound = False
    assert (int(plain.classify(data, engine.tables)[1][0]) == 0) == sound


def slow_marks(text: str, engine: GpuEngine, tables: Tables) -> list[int]:
    marks = []
    for piece in slow_bpe.pieces(text, engine.bpe):
        for i, word in enumerate(slow_bpe.words(piece, tables)):
            marks += [form.WORD if i else form.PIECE] + [0] * (len(word) - 1)
    return marks


tables_of = lru_cache(Tables)


def check_marks(engine: GpuEngine, texts: list[str]) -> None:
    data, bounds = buffer(texts)
    marks, tables = plain.mark(data, plain.classify(data, engine.tables)[0], engine.tables), tables_of(engine.bpe)
    for begin, text in zip(bounds.tolist(), texts, strict=False):
        assert marks[begin : begin + 1 + len(text.encode())].tolist() == [form.PIECE, *slow_marks(text, engine, tables)], text
    end = int(bounds[-1]) + 1
    starts = plain.word_starts(marks, end).tolist()
    assert starts == [2 * i + (m == form.PIECE) for i, m in enumerate(marks.tolist()) if m and i < end] + [2 * end + 1]


@pytest.mark.parametrize("name", ["gpt2", "llama3", "skypile-65k"])
def test_pieces_and_cuts(name):
    check_marks(made(name)[0], DOCUMENTS)


@pytest.mark.parametrize("name", ["gpt2", "llama3", "skypile-65k"])
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(PARTS, min_size=1, max_size=10))
def test_pieces_and_cuts_of_any_text(name, texts):
    check_marks(made(name)[0], texts)


WORDS = [w.encode() for w in ("a", "th", " the", " quick", "中国人民", "internationalization", "é" * 40, "ab" * 60, "x\x00", "\x00", "=" * 64, "银行" * 20)]


def laid(words: list[bytes]) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """A buffer of words, their places and lengths."""
    sizes = torch.tensor([len(w) for w in words], device=DEVICE)
    data = torch.frombuffer(bytearray(b"".join(words) + bytes(-sum(map(len, words)) % 8 + form.FRAME)), dtype=torch.uint8).to(DEVICE)
    return data, sizes.cumsum(0) - sizes, sizes


@pytest.mark.parametrize("name", ["gpt2", "skypile-65k"])
def test_merging(name):
    engine, _ = made(name)
    data, at, sizes = laid(WORDS)
    for rows, width in plain.by_width(sizes):
        ids, counts = plain.merge(data, at[rows], sizes[rows], width, engine.tables)
        for row, some, n in zip(rows.tolist(), ids.tolist(), counts.tolist(), strict=True):
            assert some[:n] == slow_bpe.merged(WORDS[row], engine.bpe)


def test_keys_of_words():
    engine, _ = made("skypile-65k")
    chance = random.Random(1)
    words = list({bytes(chance.choices(b"\x00a\xff", k=n)) for n in [*range(1, 16), *range(1, 16)] for _ in range(9)})
    data, at, sizes = laid(words)
    for whole in (0, 1):
        first, second = plain.short_keys(data, at, sizes, torch.full_like(sizes, whole))
        for word, a, b in zip(words, first.tolist(), second.tolist(), strict=True):
            assert np.array([a, b]).tobytes() == word.ljust(15, b"\x00") + bytes([len(word) | form.WHOLE * whole])
    words = [bytes(chance.choices(b"ab", k=n)) for n in (16, 17, 63, 64, 65, 300, 1024) for _ in range(4)] * 2
    data, at, sizes = laid(words)
    first, second = (x.tolist() for x in plain.long_keys(data, at, sizes, torch.zeros_like(sizes), engine.tables))
    assert len(set(zip(first, second, strict=True))) == len(set(words))
    half = len(words) // 2
    assert (first[:half], second[:half]) == (first[half:], second[half:])
    assert plain.same_bytes(data, at, at.roll(1), torch.minimum(sizes, sizes.roll(1))).tolist() == [
        a[: min(len(a), len(b))] == b[: min(len(a), len(b))] for a, b in zip(words, words[-1:] + words[:-1], strict=True)
    ]


def test_words_of_one_hash_are_told_apart(monkeypatch):
    """Hashes that say nothing: the bytes decide, in the batch and in the table."""
    same = plain.long_keys

    def blind(*args):
        first, second = same(*args)
        return torch.zeros_like(first), torch.full_like(second, form.MIDDLE << 56)

    monkeypatch.setattr(plain, "long_keys", blind)
    engine, reference = GpuEngine(Bpe.read(SHIPPED), DEVICE, "torch"), made("skypile-65k")[1]
    texts = [" internationalization", " internationalizations", " misunderstandings", "=" * 100, "=" * 99]
    for some in (texts[:3], texts, texts[::-1]):
        assert encode(engine, some) == expected(reference, some)


def test_table_of_words():
    table = torch.zeros(64, 4, dtype=torch.int64, device=DEVICE)
    first, second = torch.arange(32, device=DEVICE), torch.arange(32, device=DEVICE) % 3 + 1
    hashes = torch.full_like(first, -1)  # all of them want the last slot
    plain.insert(table, first[:31], second[:31], hashes[:31], first[:31] * 10)
    assert plain.find(table, first, second, hashes).tolist() == [*(first[:31] * 10).tolist(), form.MISS]
    assert plain.find(table, first, second + 1, hashes).tolist() == [form.MISS] * 32
    one, group = plain.unique(first % 5, second * 0 + 1, first % 2)
    assert ((first % 5)[one][group] == first % 5).all()


def values_of(rows: list[list[int]]) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Values and pool that stand for these ids."""
    values, pool = [], [0]
    for row in rows:
        if 0 < len(row) <= form.INLINE:
            values.append(len(row) | sum(number << (2 + form.ID_BITS * i) for i, number in enumerate(row)))
        else:
            values.append(len(row) << 2 | len(pool) << 31 if row else 0)
            pool += row
    return torch.tensor(values, device=DEVICE), torch.tensor(pool, dtype=torch.int32, device=DEVICE)


ROWS = [[5], [], [1, 2, 3], [65535, 0], [9, 8, 7, 6], list(range(200)), [], [4] * 32, [3] * 33]


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int32])
def test_ids_out(dtype):
    ids, offsets = plain.emit(*values_of(ROWS), dtype)
    assert (ids.dtype, ids.tolist()) == (dtype, [number for row in ROWS for number in row])
    assert offsets.tolist() == [0, *np.cumsum([len(row) for row in ROWS]).tolist()]


# --- kernels against plain stages ------------------------------------------------------------------------------------------


@pytest.fixture
def kernels(monkeypatch):
    """The module of the kernels; under the interpreter a program costs more than its lanes, so that programs are larger."""
    pytest.importorskip("triton", reason="the kernels need triton")
    from pipeline.tokenize import triton_kernels

    if INTERPRETED:
        for name, size in (("BYTES", 1024), ("BLOCK", 512), ("_TILE", 4096)):
            monkeypatch.setattr(triton_kernels, name, size)
    return triton_kernels


def same(ours, theirs) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


@needs_kernels
@pytest.mark.parametrize("texts", [SHORT, [], ["", ""], ["x" * 5000]], ids=["many", "none", "empty", "one"])
def test_kernel_lay_out(kernels, texts):
    content, offsets = (torch.from_numpy(x.copy()).to(DEVICE) for x in packed(texts))
    same(kernels.lay_out(content, offsets), plain.lay_out(content, offsets))


@needs_kernels
def test_kernel_beginnings(kernels):
    engine, _ = made("llama3")
    data, _ = buffer(SHORT)
    for group in engine.tables.added:
        same([kernels.beginnings(data, group.first_two)], [plain.beginnings(data, group.first_two)])


@needs_kernels
def test_kernel_classify(kernels):
    engine, _ = made("qwen2, NFC")
    data, _ = buffer(SHORT)
    same(kernels.classify(data, engine.tables), plain.classify(data, engine.tables))
    for bad in (b"\xe4\xb8", b"\x80", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"a\xc3a", b"\xf0\x9f\x91a", b"\xc3\xbf\xbf"):
        data, _ = plain.lay_out(torch.tensor(list(bad), dtype=torch.uint8, device=DEVICE), torch.tensor([0, len(bad)], device=DEVICE))
        assert int(kernels.classify(data, engine.tables)[1][0]) > 0


@needs_kernels
@pytest.mark.parametrize("name", ["gpt2", "llama3", "skypile-65k"])
def test_kernel_mark_and_word_starts(kernels, name):
    engine, _ = made(name)
    data, bounds = buffer(SHORT)
    classes, _ = plain.classify(data, engine.tables)
    marks = plain.mark(data, classes, engine.tables)
    same([kernels.mark(data, classes, engine.tables)], [marks])
    end = int(bounds[-1]) + 1
    same([kernels.word_starts(marks, end)], [plain.word_starts(marks, end)])


@needs_kernels
@pytest.mark.parametrize("name", ["llama3", "llama3, whole words"])
def test_kernel_look_up_and_insert(kernels, name):
    engine, _ = made(name)
    data, bounds = buffer(SHORT)
    starts = plain.word_starts(plain.mark(data, plain.classify(data, engine.tables)[0], engine.tables), int(bounds[-1]) + 1)
    at, lengths, whole = plain.spans(starts, torch.arange(len(starts) - 1, device=DEVICE), engine.tables.whole_words)
    short = ((lengths <= form.KEY_BYTES) & (data[at] < form.FIRST_EDGE)).nonzero().squeeze(1)[::2]
    first, second = plain.short_keys(data, at[short], lengths[short], whole[short])
    one, _ = plain.unique(first, second, plain.hashed(first, second, 5))
    first, second = first[one], second[one]
    table, theirs = (torch.zeros(1 << (2 * len(one)).bit_length(), 4, dtype=torch.int64, device=DEVICE) for _ in range(2))
    for put, where in ((kernels.insert, table), (plain.insert, theirs)):
        put(where, first, second, plain.hashed(first, second, 5), torch.arange(len(one), device=DEVICE))
    got = [look(data, starts, where, 5, engine.tables.whole_words) for look, where in ((kernels.look_up, table), (plain.look_up, theirs))]
    same(got[:1], got[1:])
    assert {form.MISS, form.LONG, 0, 1} <= set(got[0].tolist())


@needs_kernels
def test_kernel_merge(kernels):
    engine, _ = made("gpt2")
    data, at, sizes = laid(WORDS)
    for rows, width in plain.by_width(sizes):
        ids, counts = kernels.merge(data, at[rows], sizes[rows], width, engine.tables)
        for row, some, n in zip(rows.tolist(), ids.tolist(), counts.tolist(), strict=True):
            assert some[:n] == slow_bpe.merged(WORDS[row], engine.bpe)


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.uint16, torch.int32])
def test_kernel_emit(kernels, dtype):
    values, pool = values_of(ROWS * 70)
    same(kernels.emit(values, pool, dtype), plain.emit(values, pool, dtype))


@needs_kernels
def test_kernels_together(kernels):
    engine, reference = GpuEngine(made("llama3, whole words")[0].bpe, DEVICE, "triton"), made("llama3, whole words")[1]
    texts = ["it's 1234567!\n\n  x 中国<EMAIL>", " zq中X" + "q" * 20, "a<|endoftext|>", ""]
    for _ in range(2):
        assert encode(engine, texts) == expected(reference, texts)


@pytest.mark.skipif(INTERPRETED or DEVICE == "cuda", reason="this is what it starts, or the kernels have run already")
def test_the_kernels_under_the_interpreter():
    pytest.importorskip("triton", reason="the kernels need triton")
    command = [sys.executable, "-m", "pytest", "-k", "test_kernel", "-p", "no:cacheprovider", "-n", "0", __file__]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:]
    assert "15 passed" in run.stdout, run.stdout[-2000:]


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels are not compiled")
def test_the_kernels_compile_for_an_h200():
    pytest.importorskip("triton", reason="the kernels need triton")
    from pipeline.tokenize import gpu_cost

    built = gpu_cost.kernels(listed=False)
    assert len(built) == 20
    for kernel in built:
        assert kernel.stack_bytes == 0, f"{kernel.name} spills {kernel.stack_bytes} bytes a thread"
        assert 0 < kernel.registers < 255
