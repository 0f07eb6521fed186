"""The shipped fold table against `unicodedata` and OpenCC, and what folding is for."""

import unicodedata

import numpy as np
import pytest

from pipeline.kernels import fold
from pipeline.store import open_data
from tests.twins import slow_shingles as slow


def made_with() -> list[str]:
    import io

    with np.load(io.BytesIO(open_data("kernels/fold.npz"))) as file:
        return [str(x) for x in file["made_with"]]


same_unicode = pytest.mark.skipif(
    f"unicode {unicodedata.unidata_version}" not in made_with(), reason="the table has another Unicode version than this interpreter"
)


@same_unicode
def test_every_code_point_of_the_planes_in_use_folds_like_unicodedata_and_opencc() -> None:
    points = [*range(0x10000), *range(0x10000, 0x32000, 7), *range(0x1D400, 0x1D800), *range(0x2F800, 0x2FA20), *range(0xE0000, 0xE0200), 0x10FFFF]
    assert [hex(p) for p in points if fold.fold_text(chr(p)) != slow.fold_character(chr(p))] == []


@same_unicode
def test_every_code_point_has_the_class_of_its_category() -> None:
    entries, _ = fold.fold_table()
    names = {fold.SEPARATOR: "separator", fold.SPACE: "space", fold.SINGLE: "single", fold.WORD: "word"}
    wrong = []
    for point in [*range(0x30000), 0x323AF]:
        kind = int(entries[point] >> fold.CLASS_SHIFT)
        if kind in names and slow.kind_of(chr(int(entries[point]) & fold.POINT_MASK)) != names[kind]:
            wrong.append(hex(point))
    assert wrong == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ＡＢＣ１２３，", "abc123,"),
        ("漢字轉換", "汉字转换"),
        ("Straße", "STRASSE"),
        ("ﬁre", "FIRE"),
        ("café", "cafe\u0301"),
        ("ガギグ", "ｶﾞｷﾞｸﾞ"),
        ("soft\u00adware\u200b", "software"),
        ("\ufeffstart", "start"),
        ("㈱", "(株)"),
        ("½", "1⁄2"),
        ("İstanbul", "istanbul"),
        ("Å", "Å"),
        ("한글", "한글"),
    ],
)
def test_spellings_that_say_the_same_fold_alike(one: str, other: str) -> None:
    assert fold.fold_text(one) == fold.fold_text(other)


@pytest.mark.parametrize(("one", "other"), [("干", "千"), ("a", "b"), ("1", "一"), ("，", "。"), ("ا", "ب"), ("กา", "กิ"), ("한", "할")])
def test_what_differs_stays_different(one: str, other: str) -> None:
    assert fold.fold_text(one) != fold.fold_text(other)


def test_folding_twice_changes_nothing() -> None:
    everything = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)
    once = fold.fold_text(everything)
    assert fold.fold_text(once) == once


def test_the_table_ships_small_and_read_only() -> None:
    assert len(open_data("kernels/fold.npz")) < 200_000
    with pytest.raises(ValueError, match="read-only"):
        fold.fold_table().entries[0] = 1
