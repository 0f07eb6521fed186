"""Bands: keys are local to a band, and candidates are found as often as the formula says."""

import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.dedup.signatures import band_keys, shingle_sets, signatures, text_keys


def test_lists_arrow_arrays_and_slices_agree() -> None:
    texts = ["one two three four five six", "汉字" * 9, ""]
    whole, counts = signatures(texts)
    assert counts.tolist() == [2, 11, 0]
    for given in (pa.array(texts), pa.array(texts, pa.large_string()), pa.chunked_array([texts[:1], texts[1:]]), pa.array(["x", *texts])[1:]):
        assert (signatures(given)[0] == whole).all()
        assert shingle_sets(given)[1].tolist() == shingle_sets(texts)[1].tolist()
        assert (text_keys(given) == text_keys(texts)).all()


def test_a_key_depends_on_its_own_rows_and_band_only() -> None:
    signature = np.arange(2 * 112, dtype=np.uint32).reshape(2, 112)
    signature[1] = signature[0]
    signature[1, 8] += 1
    keys = band_keys(signature)
    assert keys.shape == (2, 16)
    assert (keys[0] == keys[1]).tolist() == [band != 1 for band in range(16)]
    assert len(set(band_keys(np.zeros((1, 112), np.uint32))[0].tolist())) == 16  # equal rows, other band


def test_more_bands_than_the_signature_has_are_refused() -> None:
    with pytest.raises(ValueError, match="17 bands x 7 rows need 119"):
        band_keys(np.zeros((1, 112), np.uint32), 17, 7)


@pytest.mark.parametrize(("shingle_count", "jaccard"), [(30, 0.8), (120, 0.8), (600, 0.8), (600, 0.5)])
def test_candidates_are_found_as_often_as_the_formula_says(shingle_count: int, jaccard: float) -> None:
    rng = random.Random(shingle_count)
    common = round(2 * jaccard / (1 + jaccard) * shingle_count)
    texts = []
    for _ in range(600):
        head = [f"{rng.getrandbits(40):x}" for _ in range(common + 4)]
        texts += [" ".join(head + [f"{rng.getrandbits(40):x}" for _ in range(shingle_count - common)]) for _ in range(2)]
    keys = band_keys(signatures(texts)[0])
    found = (keys[::2] == keys[1::2]).any(1).mean()
    true = common / (2 * shingle_count - common)
    expected = 1 - (1 - true**7) ** 16
    assert abs(found - expected) < 4 * (expected * (1 - expected) / 600) ** 0.5 + 0.01
