"""Ids and counts are those of Hugging Face `tokenizers`, for any text, in any batch; the tokenizer that ships keeps its promises."""

import importlib.resources
import json
import random
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipeline.errors import ModelError
from pipeline.tokenize import TokenCounter, count, encode

SHIPPED = importlib.resources.files("pipeline").joinpath("tokenize/skypile-65k/tokenizer.json").read_bytes()
REFERENCE = Tokenizer.from_str(SHIPPED.decode())
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"]
SCRUB = ["<EMAIL>", "<PHONE>", "<IDNO>", "<BANKCARD>", "<IP>", "<PLATE>", "<KEY>"]

DOCUMENTS = [
    "",
    "Hello, world! It's 12:30, they'll pay $1,234.56 (or €99).",
    "中华人民共和国于一九四九年成立。GDP增长了5.2%，约合１２６万亿元！",
    "繁體中文與简体混排，「引號」、《書名》……——“quotes”",
    "def f(x):\n    if x > 0:\r\n\t\treturn x ** 2  # 平方\n\n\n",
    " " * 1000 + "x" + "\t" * 77 + "\n" * 300 + "　　段首" + " \n \n ",
    "family 👨‍👩‍👧‍👦 flag 🇨🇳 skin 👍🏽 keycap 1️⃣",
    "e\u0301a\u0308o\u0302\u0323 \u0915\u094d\u0937 \u0e01\u0e33 \u1100\u1161\u11a8 각",
    "\x00\x00nul\x00 \x7f\x85\xa0\u2028\u2029\ufeff\ufffd\ufffe\U0010ffff\ue000",
    "a<|endoftext|>b <|im_start|>user\n你好<|im_end|><|endoftext|><|endoftext",
    "write to <EMAIL>, call <PHONE>; 身份证<IDNO>，<IP><IP> <ip> <EMAIL",
    "'S 'LL it'ſ I'M 'ſa 'K",
    "0123456789" * 30 + "٣४Ⅷ½²",
    "AbCd" * 5000,
    "的" * 5000,
    "!?" * 5000 + "=" * 333,
    "Ünïcödé Ελληνικά Русский עברית العربية हिन्दी ไทย 日本語カタカナ 한국어",
]


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter(SHIPPED)


def ids_of(reference: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in reference.encode_batch_fast(texts, add_special_tokens=False)] if texts else []


def rows(ids: np.ndarray, offsets: np.ndarray) -> list[list[int]]:
    return [ids[begin:end].tolist() for begin, end in pairwise(offsets)]


def test_ids_and_counts_are_those_of_tokenizers(counter):
    expected = ids_of(REFERENCE, DOCUMENTS)
    ids, offsets = encode(DOCUMENTS)
    assert (ids.dtype, offsets.dtype) == (np.uint16, np.int64)
    assert rows(ids, offsets) == expected
    counts = counter(DOCUMENTS)
    assert counts.dtype == np.int64
    assert counts.tolist() == [len(row) for row in expected]


MIXED = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
        st.characters(min_codepoint=0x1F300, max_codepoint=0x1FAFF),
        st.characters(min_codepoint=0x300, max_codepoint=0x36F),
        st.sampled_from(" \t\r\n\u3000\u00a0'’.,!?，。！《》-_=<|>0123456789abcdeilmrstvLSTſ\u088f\U000323b0"),
    ),
    max_size=60,
)
PARTS = st.lists(st.one_of(MIXED, st.sampled_from([*CONTROL, *SCRUB, "'s", "'ll", "\r\n", " " * 40, "hello", "中国", "👍🏽"])), max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PARTS.map("".join), max_size=5))
def test_any_unicode_text(texts):
    assert rows(*encode(texts)) == ids_of(REFERENCE, texts)


def test_any_batching_gives_the_same(counter, monkeypatch):
    whole = counter(DOCUMENTS)
    assert np.concatenate([counter([text]) for text in DOCUMENTS]).tolist() == whole.tolist()
    array = pa.array(DOCUMENTS, pa.string())
    forms = [
        array,
        pa.array(DOCUMENTS, pa.large_string()),
        pa.array(DOCUMENTS, pa.string_view()),
        pa.chunked_array([array[:3], array[3:3], array[3:]]),
        pa.array(["before", *DOCUMENTS, "after"])[1:-1],
    ]
    for form in forms:
        assert counter(form).tolist() == whole.tolist()
    monkeypatch.setattr(count, "BATCH_BYTES", 100)
    assert counter(forms[0]).tolist() == whole.tolist()


def test_nothing_in_nothing_out(counter):
    for nothing in ([], pa.array([], pa.string()), pa.chunked_array([], pa.large_string())):
        assert counter(nothing).tolist() == []
    ids, offsets = encode([])
    assert (ids.tolist(), offsets.tolist()) == ([], [0])
    assert counter(["", "", ""]).tolist() == [0, 0, 0]


def test_a_null_and_bytes_are_refused(counter):
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        counter(pa.array(["a", None]))
    with pytest.raises(TypeError, match="binary, not string"):
        counter(pa.array([b"a"]))


def test_an_unknown_tokenizer_is_refused():
    with pytest.raises(ModelError, match="skypile-65k"):
        encode(["a"], tokenizer="skypile-66k")


def test_letters_of_unicode_17_amid_others(counter):
    texts = ["before", "\u088f's", "it's", "\U000323b0's\U0001f600's", "", "after's"]
    assert rows(*encode(texts)) == ids_of(REFERENCE, texts)
    assert counter(texts).tolist() == [len(row) for row in ids_of(REFERENCE, texts)]


def test_every_code_point_is_of_the_class_that_tokenizers_gives_it():
    """Letter, number, space or sign: told apart by a tokenizer that merges a and ! with the byte after, and b with the byte before."""
    byte_signs = byte_to_sign()
    pairs = [(byte_signs[ord(left)], byte_signs[right]) for left in "a!" for right in range(256)]
    pairs += [(byte_signs[left], byte_signs[ord("b")]) for left in range(256) if left not in b"a!"]
    entries = [*byte_signs.values(), *(left + right for left, right in pairs)]
    witness_json = json.loads(SHIPPED) | {"added_tokens": []}
    witness_json["model"] |= {"vocab": {entry: i for i, entry in enumerate(entries)}, "merges": [" ".join(pair) for pair in pairs]}
    document = json.dumps(witness_json)
    counter, witness = TokenCounter(document.encode()), Tokenizer.from_str(document)

    # Planes 4 to 13 hold nothing and 15 and 16 are private: a sample of each will do. Emoji and Han are in planes 0 to 3.
    dense = [*range(0xD800), *range(0xE000, 0x32000), *range(0x323A0, 0x33500), *range(0xE0000, 0xE0200)]
    sparse = random.Random(0).sample(range(0x33500, 0x110000), 2_000)
    lines = [f"a{c}!{c}b'{c}b\n" for c in map(chr, [*dense, *sparse])]
    texts = ["".join(lines[start : start + 64]) for start in range(0, len(lines), 64)]  # each begins with a letter: they do not touch
    for text, ids, expected in zip(texts, rows(*counter.encode(texts)), ids_of(witness, texts), strict=True):
        assert ids == expected, text


def byte_to_sign() -> dict[int, str]:
    """How byte-level BPE spells bytes: printable ones as themselves, the rest from U+0100 on (GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(rest)}


def test_the_file_is_small_and_the_vocabulary_fits_uint16(counter):
    assert len(SHIPPED) < 5_000_000
    assert REFERENCE.get_vocab_size(with_added_tokens=True) == counter.vocabulary == 65_536
    assert sorted(REFERENCE.get_vocab().values()) == list(range(65_536))


def test_added_tokens_are_there_and_only_control_tokens_are_special():
    added = REFERENCE.get_added_tokens_decoder()
    assert [added[i].content for i in sorted(added)] == CONTROL + SCRUB
    assert [added[i].content for i in sorted(added) if added[i].special] == CONTROL


def test_every_byte_is_a_token_of_its_own():
    vocabulary = REFERENCE.get_vocab()
    assert all(sign in vocabulary for sign in byte_to_sign().values())


def test_texts_come_back():
    texts = [*DOCUMENTS, "".join(chr(point) for point in range(0x3000))]
    for text, ids in zip(texts, rows(*encode(texts)), strict=True):
        assert REFERENCE.decode(ids, skip_special_tokens=False) == text


def test_no_thread_is_started():
    """Workers own their cores."""
    program = (
        "import pathlib\n"
        "from pipeline.tokenize import encode\n"
        "def threads(): return len(list(pathlib.Path('/proc/self/task').iterdir()))\n"
        "encode(['warm'])\n"
        "before = threads()\n"
        "encode(['some words here. ' * 10 for _ in range(100_000)])\n"
        "print(before, threads())\n"
    )
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert out[0] == out[1]
