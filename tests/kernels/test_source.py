"""The pass over literals and lines, against its slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import source
from tests.twins import slow_source

PIECES = [
    "'",
    '"',
    "`",
    "\\",
    "\n",
    " ",
    "a",
    "don't",
    "é",
    "猫",
    "TODO",
    "FIXME",
    "your code here",
    "assert",
    "import ",
    "#include",
    "x" * 21,
    "\t",
    "\r",
    "\0",
    "1",
]


def scan(texts):
    data = [text.encode("utf-8", "replace") for text in texts]
    offsets = np.zeros(len(data) + 1, np.int64)
    np.cumsum([len(d) for d in data], out=offsets[1:])
    return source.scan(np.frombuffer(b"".join(data), np.uint8), offsets)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), max_size=4))
def test_the_kernel_counts_what_the_twin_counts(texts):
    assert scan(texts).tolist() == [slow_source.counts(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 0, 0, 0, 0, 0]),
        ("s = 'ab\\'c' + \"d\"", [6, 0, 1, 0, 0, 0]),
        ("fn f<'a>(x: &'a str) {}", [7, 0, 1, 0, 0, 0]),  # a Rust lifetime is taken for a literal: as the docstring says
        ("# don't\nit's", [0, 0, 2, 0, 0, 0]),
        ("x = 'TODO'  # TODO", [4, 0, 1, 1, 0, 0]),
        ('k = "' + "z" * 21 + '"', [21, 1, 1, 0, 0, 0]),
    ],
)
def test_examples(text, expected):
    assert scan([text])[0].tolist() == expected
