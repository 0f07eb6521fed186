"""A vocabulary is that of the trainer of `tokenizers`, but for the rule of whole code points; other programs read it; its texts alone decide it."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.errors import PlanError, StoreError
from pipeline.tokenize.bpe import Bpe, byte_characters
from pipeline.tokenize.patterns import GPT2, LLAMA3, PATTERNS, QWEN2, Pattern
from pipeline.tokenize.train import CONTROL, SCRUB, check, count_pieces, document, learn, train
from tests.twins.slow_bpe_train import is_partial, slow_merges

ADDED = len(CONTROL) + len(SCRUB)
BYTES = {character: byte for byte, character in enumerate(byte_characters())}
BYTE_ORDER = sorted(range(256), key=lambda byte: byte_characters()[byte])

ENGLISH = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CHINESE = (Path(__file__).parents[2] / "README.zh-CN.md").read_text(encoding="utf-8")
CODE = Path(__file__).read_text(encoding="utf-8")
MIXED = [ENGLISH, CHINESE, CODE, "naïve 😀😁 ½ Ünïcödé हिन्दी ไทย 한국어 " * 3, "", "啊" * 40]


def peer(texts: list[str], limit: int, pattern: Pattern = QWEN2, max_bytes: int | None = None) -> list[tuple[bytes, bytes]]:
    """The merges of the trainer of `tokenizers`."""
    tokenizer = Tokenizer(models.BPE())
    cut, level = pre_tokenizers.Split(Regex(pattern.regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, level])
    trainer = trainers.BpeTrainer(
        vocab_size=limit, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        max_token_length=max_bytes and max_bytes + 1,  # its bound is the first length that is too long
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(bytes(BYTES[c] for c in left), bytes(BYTES[c] for c in right)) for left, right in merges]


def ours(texts: list[str], limit: int, pattern: Pattern = QWEN2, max_bytes: int | None = None, whole: bool = False) -> list[tuple[bytes, bytes]]:
    return learn(count_pieces([texts], pattern), limit, whole_code_points=whole, max_entry_bytes=max_bytes)


def pieces_of(texts: list[str]) -> Counter[str]:
    split = pre_tokenizers.Split(Regex(QWEN2.regex), "isolated")
    return Counter(piece for text in texts for piece, _ in split.pre_tokenize_str(text))


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.name)
@pytest.mark.parametrize("text", [ENGLISH, CHINESE, CODE], ids=["english", "chinese", "code"])
def test_without_the_rule_the_merges_are_those_of_tokenizers(text, pattern):
    assert ours([text], 1_200, pattern) == peer([text], 1_200, pattern)


@pytest.mark.parametrize("max_bytes", [4, 7, 32, None])
def test_entries_of_bounded_length_too(max_bytes):
    assert ours(MIXED, 3_000, max_bytes=max_bytes) == peer(MIXED, 3_000, max_bytes=max_bytes)


def test_until_no_pair_occurs_twice():
    texts = ["abcabcab abab cabcab", "aaaaa aaaaaaa", "bcbcbcb 了了了了了"]
    assert ours(texts, 5_000) == peer(texts, 5_000)


def test_with_the_rule_what_it_does_not_touch_is_equal():
    ascii_only = [text.encode("ascii", "ignore").decode() for text in (ENGLISH, CODE)]
    assert ours(ascii_only, 1_500, whole=True) == peer(ascii_only, 1_500)


FEW = st.lists(st.lists(st.text("ab é中丐丑😀😁", max_size=30).map(lambda t: t * 2), max_size=6).map("".join), max_size=4)
FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FAST
@given(FEW, st.sampled_from([257, 262, 280, 400]), st.sampled_from([4, 6, None]))
def test_few_symbols_and_many_ties(texts, limit, max_bytes):
    assert ours(texts, limit, max_bytes=max_bytes) == peer(texts, limit, max_bytes=max_bytes)


@FAST
@given(FEW, st.sampled_from([257, 262, 280, 400]), st.sampled_from([4, 6, 32]))
def test_the_rule_is_that_of_the_slow_twin(texts, limit, max_bytes):
    expected = slow_merges(pieces_of(texts), limit, BYTE_ORDER, max_bytes=max_bytes)
    assert ours(texts, limit, max_bytes=max_bytes, whole=True) == expected


def test_the_rule_is_that_of_the_slow_twin_on_prose():
    texts = [CHINESE[:6_000], MIXED[3]]
    assert ours(texts, 900, max_bytes=32, whole=True) == slow_merges(pieces_of(texts), 900, BYTE_ORDER)


def test_no_entry_straddles_a_code_point():
    for left, right in ours(MIXED, 2_000, whole=True):
        made = left + right
        if is_partial(made):
            assert not is_partial(made + _rest(made)), made
            assert len((made + _rest(made)).decode()) == 1, made
        elif is_partial(left):
            assert len(made.decode()) == 1, made


def _rest(prefix: bytes) -> bytes:
    """Bytes that make a character of the first bytes of one."""
    size = 2 if prefix[0] < 0xE0 else 3 if prefix[0] < 0xF0 else 4
    tails = ([b"\x80"] * 3, [b"\xbf"] * 3, [b"\xa0", b"\x80", b"\x80"], [b"\x90", b"\x80", b"\x80"])
    return next((b"".join(tail[: size - len(prefix)]) for tail in tails if not is_partial(prefix + b"".join(tail[: size - len(prefix)]))), b"")


def test_threads_batches_and_order_change_no_byte():
    whole = train([MIXED], 1_000, threads=1)
    assert train([[text] for text in reversed(MIXED)], 1_000, threads=2) == whole
    assert train(iter([pa.array(MIXED[:2]), pa.chunked_array([MIXED[2:4], MIXED[4:]])]), 1_000, threads=3) == whole
    assert train([pa.array(["before", *MIXED], pa.large_string())[1:]], 1_000) == whole


def test_weights_count_as_repeats():
    assert train([(MIXED, np.array([2, 1, 3, 1, 5, 0]))], 800) == train([[MIXED[k] for k in (0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 4, 4)]], 800)


def test_a_count_beyond_32_bits():
    texts = ["abab", "cdcd cdcd", "efef"]
    assert learn(count_pieces([(texts, np.array([5 << 31, 1 << 31, 3]))]), 262)[:3] == [(b"a", b"b"), (b"ab", b"ab"), (b"c", b"d")]


def test_many_different_pieces():
    """Storage grows, and two tables become one."""
    numbers = np.random.default_rng(0).integers(0, 1 << 60, 60_000)
    words = [
        f" {'x' * (number % 20)}{chr(0x4E00 + int(number) % 20_000)}{number:x}".translate(str.maketrans("0123456789", "ghijklmnop"))
        for number in numbers.tolist()
    ]
    one, two = count_pieces([words]), count_pieces([words[:35_000], words[25_000:35_000], words[25_000:]], threads=2)
    assert learn(one, 2_000) != []
    again = count_pieces([words, words[25_000:35_000], words[25_000:35_000]])
    assert learn(two, 2_000) == learn(again, 2_000)


@pytest.fixture(scope="module")
def made() -> bytes:
    return train([MIXED], 1_500)


def test_the_file_is_read_by_tokenizers(made):
    reference = Tokenizer.from_str(made.decode())
    assert reference.get_vocab_size() == 1_500
    assert sorted(reference.get_vocab().values()) == list(range(1_500))
    assert [reference.id_to_token(1_500 - ADDED + k) for k in range(ADDED)] == [*CONTROL, *SCRUB]
    assert [token for token in (*CONTROL, *SCRUB) if reference.get_added_tokens_decoder()[reference.token_to_id(token)].special] == list(CONTROL)
    for text in [*MIXED, "<|endoftext|>a<KEY>b", "\x00\x7f\u07ff\uffff\U0010ffff"]:
        assert reference.decode(reference.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


def test_a_byte_is_its_own_id(made):
    assert Bpe.read(made).byte_ids.tolist() == list(range(256))


@pytest.mark.parametrize("pattern", [GPT2, LLAMA3, QWEN2], ids=lambda p: p.name)
def test_our_engines_read_it(pattern):
    bpe = Bpe.read(train([MIXED], 600, pattern=pattern))
    assert (bpe.vocabulary, bpe.id_type, len(bpe.merges)) == (600, np.uint16, 600 - 256 - ADDED)
    assert bpe.pattern == pattern
    assert bpe.merges[:, 2].tolist() == sorted(bpe.merges[:, 2].tolist())


def test_transformers_read_it(made, tmp_path):
    transformers = pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_bytes(made)
    loaded = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    text = "Read by others: 中文 <|im_end|> 12"
    assert loaded(text)["input_ids"] == Tokenizer.from_str(made.decode()).encode(text).ids
    assert loaded.decode(loaded(text)["input_ids"]) == text


def test_too_little_text_says_how_many_entries_it_gave():
    with pytest.raises(PlanError, match=r"gave 273 entries, not 1,000.*ask for 273 entries or fewer"):
        train([["abcd abcd", "xyz"]], 1_000)
    assert Bpe.read(train([["abcd abcd", "xyz"]], 273)).vocabulary == 273
    with pytest.raises(PlanError, match="gave 270 entries"):
        train([], 1_000)


@pytest.mark.parametrize("vocabulary", [-1, 0, 270, (1 << 20) + 1])
def test_a_size_out_of_bounds_is_refused_before_any_text_is_read(vocabulary):
    def batches():
        raise AssertionError("read")
        yield

    with pytest.raises(PlanError, match="at least one merge are 271"):
        train(batches(), vocabulary)


def test_entries_must_hold_a_character():
    with pytest.raises(PlanError, match="4 or more"):
        check(1_000, 3)


def test_a_fault_in_a_thread_comes_through():
    def batches():
        yield ["fine"]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        train(batches(), 300, threads=2)


def test_an_empty_document_of_merges():
    assert Bpe.read(document([])).vocabulary == 256 + ADDED


def test_the_command_says_what_is_wrong(tmp_path):
    result = CliRunner().invoke(app, ["tokenizer", "train", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, StoreError)
    assert "There is no release at" in str(result.exception)
    result = CliRunner().invoke(app, ["tokenizer", "train", str(tmp_path), "--out", str(tmp_path / "out"), "--vocabulary", "270"])
    assert isinstance(result.exception, PlanError)
    assert not (tmp_path / "out").exists()
