"""Encoded runs are what StarCoder2's expressions match; the marker of generated files is read in the first five lines only."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import encoded
from pipeline.texts import Texts
from tests.kernels import examples
from tests.kernels.test_utf8 import TEXTS
from tests.twins import slow_text as slow

BYTES = st.lists(
    st.sampled_from(["41", "fF", "0x0a", "\\x41", "\\u12aF", ",", " ", "\n", "\u3000", "\u00a0", "x", "g", "中", "é", "“", "_", "0", "=", "A" * 30]),
    max_size=80,
)


def check(text: str) -> None:
    texts = Texts([text])
    found = encoded.scan(texts.data, texts.offsets)
    assert dict(zip(encoded.ENCODED, found[0].tolist(), strict=True)) == slow.scan(text)


@pytest.mark.parametrize("text", examples.ALL)
def test_equals_the_expressions_on_examples(text: str) -> None:
    check(text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(BYTES.map("".join), BYTES.map(",".join), BYTES.map(" ".join), TEXTS))
def test_equals_the_expressions_on_any_text(text: str) -> None:
    check(text)


@pytest.mark.parametrize("phrase", encoded.GENERATED)
def test_the_marker_counts_in_the_first_five_lines(phrase: str) -> None:
    texts = Texts([f"// {phrase.upper()} by hand", f"1\n2\r\n3\r4\n{phrase}", f"1\n2\r\n3\r4\n5\n{phrase}", "// by hand"])
    assert texts.generated.tolist() == [1, 1, 0, 0]


def test_a_flaw_of_the_published_expression_is_kept() -> None:
    """Bytes of C with a blank after the comma are no match: the bound was published for this expression, not for a better one."""
    texts = Texts(["0x41,0x42,0x43,0x44,0x45,0x46,0x47,0x48", "0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48"])
    assert texts.encoded_characters.tolist() == [39, 0]
