"""The CPU engine gives the ids of Hugging Face `tokenizers`: every pattern, straddling vocabularies, NFC, entries before merges."""

import io
import json
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import __version__ as installed

from pipeline.errors import ModelError
from pipeline.kernels import bpe as kernel
from pipeline.kernels.pieces import mark_pieces
from pipeline.kernels.raw import frozen
from pipeline.store import open_data
from pipeline.tokenize import cpu, encode, engine, open_engine
from pipeline.tokenize.batches import joined
from pipeline.tokenize.bpe import Bpe, byte_characters
from pipeline.tokenize.cpu import CpuEngine, rules
from pipeline.tokenize.patterns import GPT2, LLAMA3, PATTERNS, QWEN2, Pattern, kinds, may_change_under_nfc, probe
from pipeline.tokenize.reference import ReferenceEngine
from pipeline.tokenize.tables import Tables
from tests.tokenize.test_count import DOCUMENTS, SHIPPED

PROSE = [
    "It's the end of the world as we know it, and they'll say I'M fine; we've 1234567 reasons.\r\n\r\n\tAnd   so on... (really?!)\n",
    "中华人民共和国于一九四九年成立，今天天气很好，我们去公园。人民的中国人民银行说：“经济增长5.2%”。他們說繁體中文也可以。",
    "def f(self, x):\n    if x is not None:\n        return self.values[x] + 100  # note\n\n\nclass A(B):\n    pass\n",
    "Ünïcödé Ελληνικά Русский עברית العربية हिन्दी ไทย 日本語カタカナ 한국어 👨‍👩‍👧‍👦 e\u0301",
]


def trained(pattern: Pattern, **changes: object) -> Bpe:
    """A small vocabulary by the reference's own trainer, which lets entries straddle code points."""
    made = Tokenizer(models.BPE())
    if pattern is GPT2:
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern.regex), "isolated"), level])
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=900, min_frequency=1, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    made.train_from_iterator([*PROSE, *DOCUMENTS] * 3, trainer)
    if changes.pop("nfc", False):
        made.normalizer = normalizers.NFC()
        made.add_special_tokens([AddedToken("<|endoftext|>", normalized=False, special=True)])
    else:
        made.add_special_tokens([AddedToken("<|endoftext|>", normalized=False, special=True), AddedToken("<|end", normalized=False, special=True)])
        made.add_tokens([AddedToken("text|><", normalized=True), AddedToken("<E", normalized=True)])
    document = json.loads(made.to_str())
    document["model"] |= changes
    return Bpe.read(json.dumps(document, ensure_ascii=False).encode())


@pytest.fixture(scope="module")
def vocabularies() -> dict[str, Bpe]:
    return {
        "ours": Bpe.read(SHIPPED),
        "gpt2": trained(GPT2),
        "llama3": trained(LLAMA3, ignore_merges=True),
        "qwen2": trained(QWEN2, nfc=True),
    }


@pytest.fixture(scope="module")
def engines(vocabularies) -> list[tuple[CpuEngine, ReferenceEngine]]:
    return [(CpuEngine(bpe), ReferenceEngine(bpe)) for bpe in vocabularies.values()]


def check(engines: list[tuple[CpuEngine, ReferenceEngine]], texts: list[bytes]) -> None:
    for ours, theirs in engines:
        (ids, lengths), (expected, expected_lengths) = ours.encode(*joined(texts)), theirs.encode(*joined(texts))
        assert ids.dtype == expected.dtype == ours.bpe.id_type
        at, there = np.append(0, np.cumsum(lengths)), np.append(0, np.cumsum(expected_lengths))
        for k, text in enumerate(texts):
            assert ids[at[k] : at[k + 1]].tolist() == expected[there[k] : there[k + 1]].tolist(), (ours.bpe.pattern.name, text)


SIGNS = [
    "'s",
    "'S",
    "'ll",
    "'Re",
    "'ſ",
    "'",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\u3000",
    "\x85",
    "1",
    "2345",
    "２",
    "½",
    "a",
    "Zq",
    "the",
    "中",
    "中国",
    "，",
    "!",
    "?!",
    "...",
    "\u0301",
]
SIGNS += [
    "👍",
    "👨‍👩",
    "--------",
    "<|endoftext|>",
    "<|end",
    "text|>",
    "text|><",
    "<E",
    "<EMAIL>",
    "<|",
    "\u088f",
    "\U000323b0",
    "각",
    "\u1100\u1161",
    "\x00",
    "\x1c",
    "K",
    "한국",
]
TEXTS = st.one_of(st.lists(st.sampled_from(SIGNS), max_size=40).map("".join), st.text(max_size=40))


def test_documents_and_prose(engines):
    check(engines, [d.encode() for d in [*DOCUMENTS, *PROSE, *(p * 40 for p in PROSE)]])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(TEXTS, max_size=8))
def test_any_text(engines, texts):
    check(engines, [t.encode() for t in texts])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(st.binary(max_size=24), max_size=5))
def test_bytes_that_are_no_utf8_count_as_replacement_characters(engines, texts):
    check(engines, [*texts, b"\xff\xfeabc\xe4\xbd", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok"])


def test_a_character_cut_by_two_texts_is_no_utf8(engines):
    check(engines, ["中".encode()[:2], "中".encode()[2:], b""])


def test_an_entry_that_no_merge_makes_is_found_as_a_whole_piece(vocabularies):
    document = json.loads(vocabularies["llama3"].source)
    size = len(document["model"]["vocab"])
    document["model"]["vocab"] |= {"ä½łzqx": size, "zq" * 12: size + 1}
    document["added_tokens"] = []
    bpe = Bpe.read(json.dumps(document, ensure_ascii=False).encode())
    check([(CpuEngine(bpe), ReferenceEngine(bpe))], [t.encode() for t in ("你zqx", "x你zqx", "你zqx!", "zq" * 12, "zq" * 13, " 你zqx")])


def test_words_of_any_length(engines):
    random_letters = random.Random(1)
    words = ["a" * n for n in (15, 16, 17, 47, 48, 49, 63, 64, 65, 128, 129, 1023, 1025)]
    words += ["".join(random_letters.choices("aeinrst中国人民", k=n)) for n in (15, 16, 40, 49, 60, 130, 2000)]
    check(engines, [w.encode() for w in [*words, *words, " " * 5000, "-" * 777, "a" * 60_000]])


def test_ascii_where_the_look_at_64_bytes_ends(engines):
    """Runs, contractions and white space moved byte by byte over the edge of a block."""
    tails = ["it's x", "'ll go", "  x", " \n\n  y", "\n \t", "!!\n\n a", "12345 6", "(a)", " (", "''s", "é!", "中", "'ſ"]
    check(engines, [("x" * lead + tail + "w" * 70).encode() for tail in tails for lead in range(50, 66)])
    check(engines, [("x " * (lead // 2) + tail).encode() for tail in tails for lead in range(50, 70)])


def test_what_was_seen_before_changes_nothing(vocabularies, monkeypatch):
    """A table that is emptied every hundred words gives the same ids, full, half full and empty."""
    letters = random.Random(3)
    words = [" ".join("".join(letters.choices("abcdefgh中国人民银行", k=letters.randint(1, 12))) for _ in range(letters.randint(1, 200))) for _ in range(60)]
    long = [" ".join("".join(letters.choices("abcdefgh", k=letters.randint(16, 130))) for _ in range(40)) for _ in range(10)]
    texts = [d.encode() for d in [*DOCUMENTS, *PROSE, *words, *long]] * 2
    monkeypatch.setattr(cpu, "_SLOT_BITS", 8)
    monkeypatch.setattr(cpu, "_LONG_SLOT_BITS", 8)
    check([(CpuEngine(bpe), ReferenceEngine(bpe)) for bpe in vocabularies.values()], texts)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, pattern=st.sampled_from(PATTERNS), behind=st.sampled_from([0, 64]))
def test_pieces_are_those_of_the_regular_expression(text, pattern, behind):
    """With 64 bytes behind the text's end, blocks are looked at; without, code points one by one."""
    data = text.encode()
    starts = np.empty(len(data) + 1, np.int64)
    count = mark_pieces(frozen(np.frombuffer(data + b"x" * behind, np.uint8)), 0, len(data), frozen(kinds()), pattern.digits, pattern.web, starts)
    split = pre_tokenizers.Split(Regex(pattern.regex), "isolated")
    assert [data[a:b].decode() for a, b in pairwise([*starts[:count].tolist(), len(data)])] == [piece for piece, _ in split.pre_tokenize_str(text)]


def test_words_begin_where_pieces_do_and_where_no_entry_reaches(vocabularies):
    for bpe in vocabularies.values():
        tables = Tables(bpe)
        longest = min(64, max(map(len, bpe.entries)))
        text = "".join([*PROSE, *DOCUMENTS]).encode()
        data = frozen(np.frombuffer(text, np.uint8))
        pieces, words = np.empty(len(text) + 1, np.int64), np.empty(len(text) + 65, np.uint32)
        of_pieces = pieces[: mark_pieces(data, 0, len(text), frozen(tables.kinds), bpe.pattern.digits, bpe.pattern.web, pieces)].tolist()
        marked = words[: kernel.mark_words(data, 0, len(text), rules(tables).cutting, words)].tolist()
        assert [w >> 1 for w in marked if w & 1] == of_pieces
        for at in (w >> 1 for w in marked if not w & 1):
            spanning = (text[a:b] for a in range(max(0, at - longest), at) for b in range(at + 1, min(len(text), a + longest) + 1))
            assert not any(part in bpe.entries for part in spanning)


def test_merging_may_begin_with_characters_only_where_that_is_exact(vocabularies):
    assert Tables(vocabularies["gpt2"]).character_ids.size == 0  # its entries straddle
    late = {**{bytes([b]): b for b in range(256)}, b"\xc3\xa9": 256, b"\xc3\xa9a": 257}
    for rows, exact in (([(0xC3, 0xA9, 256), (256, 0x61, 257)], True), ([(256, 0x61, 257), (0xC3, 0xA9, 256)], False)):
        bpe = Bpe("", b"", QWEN2, False, False, late, np.arange(256, dtype=np.uint32), np.array(rows, np.uint32), ())
        assert (Tables(bpe).character_ids.size > 0) == exact


def test_threads_do_not_share_what_they_remember():
    texts = [[random.Random(k).choice(PROSE) * 3 + str(k * n) for n in range(60)] for k in range(4)]
    alone = [encode(some)[0].tolist() for some in texts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert [ids.tolist() for ids, _ in pool.map(encode, texts)] == alone


def test_a_text_of_two_gibibytes_is_refused(vocabularies):
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (1 << 31,), (0,))
    with pytest.raises(ModelError, match="2,147,483,648 bytes"):
        CpuEngine(vocabularies["gpt2"]).encode(huge, np.array([0, 1 << 31]))


def random_tokenizer(seed: int) -> bytes:
    """A tokenizer.json that nobody would train: merges in any order, entries that straddle, holes among ids, added tokens that overlap."""
    chance = random.Random(seed)
    letters, shown = list("ab é中国1 '\n.sS3"), byte_characters()
    vocabulary = {c: b for b, c in enumerate(shown)}
    known = [bytes([b]) for b in set("".join(letters).encode())]
    merges = []
    for _ in range(chance.choice([0, 5, 40, 150])):
        pair = chance.choice(known), chance.choice(known)
        made = pair[0] + pair[1]
        if len(made) <= 24:
            name = "".join(shown[b] for b in made)
            if name not in vocabulary:
                vocabulary[name] = len(vocabulary)
                known.append(made)
            merges.append(["".join(shown[b] for b in part) for part in pair])
    if chance.random() < 0.5:
        chance.shuffle(merges)
    for _ in range(chance.choice([0, 10])):
        vocabulary.setdefault("".join(shown[b] for b in "".join(chance.choices(letters, k=chance.randint(1, 6))).encode()), len(vocabulary))
    size = len(vocabulary)
    if chance.random() < 0.3:
        vocabulary = dict(zip(vocabulary, chance.sample(range(100_000), size), strict=True))
    nfc = chance.random() < 0.3
    contents = {"".join(chance.choices(["a", "b", "é", "中", "<", "\n", " "], k=chance.randint(1, 4))) for _ in range(chance.choice([0, 1, 4]))} - set(
        vocabulary
    )
    odd = {"single_word": False, "lstrip": False, "rstrip": False, "special": False}
    added = [{"id": size + k, "content": c, "normalized": not nfc and chance.random() < 0.5, **odd} for k, c in enumerate(sorted(contents))]
    pattern = chance.choice(PATTERNS)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": pattern is GPT2}
    split = {"type": "Split", "pattern": {"Regex": pattern.regex}, "behavior": "Isolated", "invert": False}
    model = {
        "type": "BPE",
        "vocab": vocabulary,
        "merges": merges,
        "ignore_merges": chance.random() < 0.4,
        "unk_token": None,
        "dropout": None,
        "fuse_unk": False,
    }
    document = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"} if nfc else None, "model": model,
        "pre_tokenizer": level if pattern is GPT2 else {"type": "Sequence", "pretokenizers": [split, level]}, "post_processor": None, "decoder": None,
    }  # fmt: skip
    return json.dumps(document).encode()


@pytest.mark.parametrize("first", [0, 40, 80, 120])
def test_vocabularies_that_nobody_would_train(first):
    for seed in range(first, first + 40):
        chance = random.Random(-seed)
        texts = ["".join(chance.choices([*"ab é中国1 '\n.sS3", *SIGNS], k=chance.choice([0, 1, 3, 20, 70, 200]))) for _ in range(20)]
        bpe = Bpe.read(random_tokenizer(seed))
        check([(CpuEngine(bpe), ReferenceEngine(bpe))], [t.encode() for t in texts])


def test_kinds_are_those_of_the_installed_tokenizers():
    with np.load(io.BytesIO(open_data("tokenize/kinds.npz"))) as stored:
        assert str(stored["version"]) == installed, "run python -m pipeline.tokenize.patterns, and read what changed"
    assert np.array_equal(kinds(), probe())


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_what_is_not_marked_is_its_own_nfc(text):
    risky = may_change_under_nfc()
    kept = "".join(c for c in text if not risky[ord(c)])
    assert normalizers.NFC().normalize_str(kept) == kept


def test_an_engine_is_opened_by_name_or_path(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(SHIPPED)
    by_name, by_path = open_engine("skypile-65k", "cpu"), open_engine(str(path), "reference")
    assert by_name.bpe.sha256 == by_path.bpe.sha256
    for name, message in (("skypile-66k", "neither one that ships"), (str(tmp_path), "neither one that ships"), (str(tmp_path / "no.json"), "no.json")):
        with pytest.raises(ModelError, match=message):
            open_engine(name, "cpu")
    with pytest.raises(ModelError, match="auto, cpu, cuda, reference"):
        open_engine("skypile-65k", "tpu")


def test_cuda_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(engine, "_cuda_lacks", lambda: "torch sees no GPU")
    with pytest.raises(ModelError, match=r"torch sees no GPU\. Use --device cpu"):
        open_engine("skypile-65k", "cuda")
    assert isinstance(open_engine("skypile-65k", "auto"), CpuEngine)


def test_what_cannot_be_exact_is_refused_with_the_reason():
    good = json.loads(SHIPPED)
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": r"\w+"}, "behavior": "Isolated", "invert": False}
    for change, message in [
        ({"model": good["model"] | {"type": "Unigram"}}, "Only byte-level BPE.*Unigram"),
        ({"model": good["model"] | {"dropout": 0.1}}, "dropout: 0.1"),
        ({"model": good["model"] | {"byte_fallback": True}}, "byte_fallback"),
        ({"model": good["model"] | {"end_of_word_suffix": "</w>"}}, "end_of_word_suffix"),
        ({"model": good["model"] | {"vocab": {k: v for k, v in good["model"]["vocab"].items() if k != "Ā"}}}, "lacks 1 of the 256 bytes.*0x00"),
        ({"model": good["model"] | {"vocab": good["model"]["vocab"] | {"中": 70000}}}, "'中', which is not written in byte-level"),
        ({"truncation": {"max_length": 512}}, "truncation"),
        ({"padding": {"strategy": "BatchLongest"}}, "padding"),
        ({"normalizer": {"type": "Lowercase"}}, "Lowercase"),
        ({"normalizer": {"type": "NFC"}, "added_tokens": [{"id": 9, "content": "x", "normalized": True}]}, "normalized: false"),
        ({"added_tokens": [{"id": 9, "content": "x", "lstrip": True}]}, "'x' sets lstrip"),
        ({"added_tokens": [{"id": 65_530, "content": "<new>"}]}, "'<new>' has the id 65530 in the file.*would give it 65522"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]}}, "splits by another"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "Whitespace"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}}, "add_prefix_space"),
        ({"pre_tokenizer": None}, "null"),
    ]:
        with pytest.raises(ModelError, match=message):
            Bpe.read(json.dumps(good | change).encode())
    first, second = list(good["model"]["vocab"])[:2]
    for vocabulary, merges, message in [
        ({"ab": 1 << 21}, [], "'ab' has the id 2097152"),
        ({"ab": -1}, [], "'ab' has the id -1"),
        ({"ab": 256.7}, [], "'ab' has the id 256.7"),
        ({first: 5, second: 5}, [], "the same id"),
        ({}, ["zz qq"], "Merge 0 is 'zz qq', and the vocabulary lacks b'"),
        ({}, ["a b c"], "Merge 0 is 'a b c', and not two entries"),
    ]:
        model = good["model"] | {"vocab": good["model"]["vocab"] | vocabulary, "merges": merges}
        with pytest.raises(ModelError, match=message):
            Bpe.read(json.dumps(good | {"model": model, "added_tokens": []}).encode())
    for bad in (b"", b"[]", b"{}", b"\xff", b'{"model": 3}'):
        with pytest.raises(ModelError, match=r"not a tokenizer\.json"):
            Bpe.read(bad)
