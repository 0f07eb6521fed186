"""Shingles, signatures, sets and keys: equal to the slow twin byte for byte, and statistically what MinHash promises."""

import random

import datasketch
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.kernels import shingles
from tests.twins import slow_shingles as slow

EXAMPLES = [
    "",
    " ",
    "\n。，!",
    "one",
    "One two three four",
    "one two three four five",
    "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.",
    "敏捷的棕色狐狸跳过了懒狗，狗一点也不介意。",
    "七个汉字不够长",
    "漢字轉換，繁體與簡體應該一樣，對不對？",
    "在 Python 3.11 中使用 numba 编译 UTF-8 字节，速度约为 200 MB/s，比 datatrove 快得多。",
    "Ｆｕｌｌ　ｗｉｄｔｈ　ｌｅｔｔｅｒｓ　ｆｏｌｄ　ｔｏ　ＡＳＣＩＩ",
    "for (int i = 0; i < n; i++) { total += values[i]; }",
    "東京都に住んでいる人は、カタカナとｶﾞｷﾞｸﾞも使います。",
    "한국어 문장은 띄어쓰기가 있으므로 어절이 낱말이 된다 그렇지 않은가",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ",
    "café cafe\u0301 naïve Straße ﬁn soft\u00adware zero\u200bwidth",
    "㈱㍿㌀ ﷺ ½ ℡ emoji 😀 and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 letters 𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇𠀈",
    "a" * 5000,
    "a b " * 400 + "汉字" * 700,
    "ﷺ" * 300,  # every code point becomes 18
    "㌀" * 600,  # four single characters each, across the kernel's chunks
    " ".join(map(str, range(1500))),
]

# Text as crawls have it: words, Han, punctuation, odd folds; plus whatever hypothesis comes up with.
pieces = st.one_of(
    st.sampled_from(["word", " ", "汉", "漢", "，", "ﬁ", "É", "\u0301", "\u200b", "ｶﾞ", "ﷺ", "😀", "1", "\n", "Ａ", "한", "ก", "\ufffd", "\x00"]),
    st.characters(exclude_categories=["Cs"]),
)
texts = st.lists(pieces, max_size=60).map("".join)


def check(batch: list[str]) -> None:
    data, offsets = slow.pack([t.encode() for t in batch])
    signature, counts = shingles.signatures(data, offsets)
    values, places = shingles.shingle_sets(data, offsets)
    keys = shingles.text_keys(data, offsets)
    exact = shingles.text_keys(data, offsets, exact=True)
    assert shingles.shingle_counts(data, offsets).tolist() == counts.tolist()
    for i, text in enumerate(batch):
        assert counts[i] == len(slow.windows(text)), text
        assert values[places[i] : places[i + 1]].tolist() == slow.shingle_set(text), text
        assert signature[i].tolist() == slow.signature(text), text
        assert tuple(keys[i].tolist()) == slow.text_key(text), text
        assert tuple(exact[i].tolist()) == slow.exact_key(text.encode()), text


def test_equal_to_the_twin_on_handwritten_texts() -> None:
    check(EXAMPLES)


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, max_size=3))
@example(["가" * 9])
def test_equal_to_the_twin_on_any_text(batch: list[str]) -> None:
    check(batch)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
@example([b"\xe4\xb8", b"\xad\xe4\xb8\xad"])  # a character cut by a text's end: its other half is the next text's, and not ours to read
@example([b"abc\xf0\x9f\x98", b"\x80"])
@example([b"\xed\xa0\x80\xe0\x80\xaf\xc0\xaf\xf4\x90\x80\x80\xff"])  # surrogate, overlong, beyond U+10FFFF
def test_bytes_that_are_not_utf8_separate_and_enter_no_key(batch: list[bytes]) -> None:
    repaired = [b.decode("utf-8", "replace") for b in batch]
    data, offsets = slow.pack(batch)
    values, places = shingles.shingle_sets(data, offsets)
    assert [values[places[i] : places[i + 1]].tolist() for i in range(len(batch))] == [slow.shingle_set(t) for t in repaired]
    assert [tuple(k) for k in shingles.text_keys(data, offsets).tolist()] == [slow.text_key(t) for t in repaired]


def test_cutting_a_batch_changes_nothing() -> None:
    data, offsets = slow.pack([t.encode() for t in EXAMPLES])
    whole = shingles.signatures(data, offsets)[0]
    for i in range(len(EXAMPLES)):
        assert (shingles.signatures(data, offsets[i : i + 2])[0][0] == whole[i]).all()
        alone = slow.pack([EXAMPLES[i].encode()])
        assert (shingles.signatures(*alone)[0][0] == whole[i]).all()
        assert shingles.text_keys(*alone).tolist() == shingles.text_keys(data, offsets[i : i + 2]).tolist()


def test_no_text_and_one_huge_text() -> None:
    assert shingles.signatures(np.zeros(0, np.uint8), np.zeros(1, np.int64))[0].shape == (0, 112)
    words = [f"w{i * 7919 % 100_003}" for i in range(120_000)]
    data, offsets = slow.pack([" ".join(words).encode()])
    signature, counts = shingles.signatures(data, offsets)
    values, _ = shingles.shingle_sets(data, offsets)
    assert counts[0] == len(words) - 4
    assert len(values) == len({tuple(words[i : i + 5]) for i in range(len(words) - 4)})
    assert (signature < 2**32 - 1).all()


def test_offsets_that_leave_the_data_are_refused() -> None:
    with pytest.raises(ValueError, match="offsets"):
        shingles.signatures(np.zeros(3, np.uint8), np.array([0, 4]))


def test_an_edit_touches_only_the_windows_that_cover_it() -> None:
    before = "甲乙丙丁戊己庚辛壬癸" * 3 + "one two three four five six seven eight"
    after = before.replace("three", "third")
    assert len(set(slow.windows(before)) - set(slow.windows(after))) == 3 + 5  # three begin with a word, five with a character


# --- text keys ---


def key(text: str, exact: bool = False) -> list[int]:
    result: list[int] = shingles.text_keys(*slow.pack([text.encode()]), exact=exact)[0].tolist()
    return result


def test_keys_of_prose_ignore_case_width_script_and_white_space_but_not_punctuation() -> None:
    assert key("Let's eat,\nGrandma") == key("let's　ｅａｔ， grandma ")
    assert key("漢字。") == key("汉 字。")
    assert key("let's eat, grandma") != key("let's eat grandma")
    assert key("") == key(" \n") != key(".")


def test_keys_of_code_are_those_of_the_bytes_but_for_line_ends() -> None:
    assert key("if x:\r\n\ty\r", exact=True) == key("if x:\n\ty\n", exact=True)
    assert key("if x:\n\ty\n", exact=True) != key("if x:\n    y\n", exact=True)
    assert key("A", exact=True) != key("a", exact=True)
    assert key("a", exact=True) != key("a")


def test_one_call_may_mix_prose_and_code() -> None:
    data, offsets = slow.pack([b"A b", b"A b"])
    assert shingles.text_keys(data, offsets, np.array([False, True])).tolist() == [key("A b"), key("A b", exact=True)]


# --- what the signature estimates ---


def pair(rng: random.Random, shingle_count: int, jaccard: float, alphabet: str) -> tuple[str, str]:
    """Two texts with about so many shingles each and about so similar: one is the other with its tail replaced."""
    width = 8 if alphabet == "han" else 5
    total = shingle_count + width - 1
    draw = (lambda: chr(rng.randrange(0x4E00, 0x9000))) if alphabet == "han" else (lambda: f"{rng.randrange(1 << 30):x} ")
    common = round(2 * jaccard / (1 + jaccard) * shingle_count) + width - 1
    head = [draw() for _ in range(common)]
    return "".join(head + [draw() for _ in range(total - common)]), "".join(head + [draw() for _ in range(total - common)])


@pytest.mark.parametrize("alphabet", ["latin", "han"])
@pytest.mark.parametrize("shingle_count", [10, 40, 112, 300, 1000])
def test_the_estimate_is_unbiased_with_the_variance_of_minhash(shingle_count: int, alphabet: str) -> None:
    rng = random.Random(shingle_count)
    for target in (0.5, 0.8):
        errors = []
        pairs = [pair(rng, shingle_count, target, alphabet) for _ in range(150)]
        signature, _ = shingles.signatures(*slow.pack([t.encode() for p in pairs for t in p]))
        values, places = shingles.shingle_sets(*slow.pack([t.encode() for p in pairs for t in p]))
        for i in range(len(pairs)):
            a, b = (set(values[places[k] : places[k + 1]].tolist()) for k in (2 * i, 2 * i + 1))
            errors.append((signature[2 * i] == signature[2 * i + 1]).mean() - len(a & b) / len(a | b))
        deviation = (target * (1 - target) / 112) ** 0.5
        assert abs(np.mean(errors)) < 4 * 1.3 * deviation / len(errors) ** 0.5
        assert np.std(errors) < 1.35 * deviation  # texts of about as many shingles as bins share some of them


def test_estimates_agree_with_datasketch() -> None:
    rng = random.Random(5)
    pairs = [pair(rng, rng.choice([20, 100, 400]), rng.choice([0.3, 0.6, 0.9]), rng.choice(["han", "latin"])) for _ in range(40)]
    signature, _ = shingles.signatures(*slow.pack([t.encode() for p in pairs for t in p]))
    ours = (signature[::2] == signature[1::2]).mean(1)
    theirs, exact = [], []
    for a, b in pairs:
        x, y = (datasketch.MinHash(112, seed=1) for _ in range(2))
        x.update_batch(["".join(w).encode() for w in slow.windows(a)])
        y.update_batch(["".join(w).encode() for w in slow.windows(b)])
        theirs.append(x.jaccard(y))
        exact.append(slow.jaccard(a, b))
    assert np.sqrt(np.mean((ours - exact) ** 2)) < 1.4 * np.sqrt(np.mean((np.array(theirs) - exact) ** 2))
