"""near_duplicates against brute force over all pairs."""

import random

from pipeline.dedup.near import near_duplicates
from tests.twins import slow_shingles as slow


def corpus(rng: random.Random) -> list[str]:
    """Some hundred short texts, en, zh and mixed, in families of copies with more or fewer edits."""
    texts = []
    for family in range(60):
        draw = [
            lambda: f"{rng.getrandbits(24):x} ",
            lambda: chr(rng.randrange(0x4E00, 0x9000)),
            lambda: rng.choice([f" {rng.getrandbits(24):x} ", chr(rng.randrange(0x4E00, 0x9000))]),
        ][family % 3]
        page = [draw() for _ in range(rng.randrange(10, 120))]
        texts.append("".join(page))
        for _ in range(rng.randrange(5)):
            copy = list(page)
            for _ in range(rng.randrange(4)):
                copy[rng.randrange(len(copy))] = draw()
            texts.append("".join(copy))
    rng.shuffle(texts)
    return texts


def test_equals_brute_force_but_for_pairs_that_bands_may_miss() -> None:
    texts = corpus(random.Random(11))
    table = near_duplicates(texts, threshold=0.8)
    kept, similarity = table.column("kept").to_pylist(), table.column("similarity").to_pylist()
    windows = [set(slow.windows(t)) for t in texts]
    codes = {w: i for i, w in enumerate({w for s in windows for w in s})}
    truth = slow.verify([{codes[w] for w in s} for s in windows], 0.8)
    assert len(texts) > 150
    assert sum(k != i for i, k in enumerate(kept)) > 30
    agree = sum(k == t for k, (t, _) in zip(kept, truth, strict=True))
    assert agree >= 0.98 * len(texts)  # 16 bands x 7 rows find 0.977 of the pairs right at the threshold, nearly all above
    for i, (k, s) in enumerate(zip(kept, similarity, strict=True)):  # and whatever was dropped was rightly dropped
        assert k <= i
        assert kept[k] == k
        assert s == (slow.jaccard(texts[i], texts[k]) if k != i else 1.0)
        assert k == i or s >= 0.8


def test_the_first_given_stays_and_sizes_count_its_copies() -> None:
    page = "All human beings are born free and equal in dignity and rights."
    table = near_duplicates(["另一段文字，完全不同。", page, page.upper(), page + "\n", ""])
    assert table.column("kept").to_pylist() == [0, 1, 1, 1, 4]
    assert table.column("cluster_size").to_pylist() == [1, 3, 3, 3, 1]


def test_texts_without_enough_shingles_stay() -> None:
    assert near_duplicates(["same", "same", "", ""]).column("kept").to_pylist() == [0, 0, 2, 3]
    assert near_duplicates(["same", "same", "", ""], min_shingles=8).column("kept").to_pylist() == [0, 1, 2, 3]


def test_no_texts() -> None:
    assert near_duplicates([]).num_rows == 0
