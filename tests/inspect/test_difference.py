"""Two texts side by side: by word, by character in Chinese, with what both share cut short."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect.report.difference import side_by_side


def differing(segments: list[list[str | int]]) -> list[str]:
    return [str(text) for kind, text in segments if kind == "differs"]


def test_words_differ_as_words_and_characters_as_characters() -> None:
    a, b, whole = side_by_side("It was far enough to walk. 监测不能停。", "It was far too much to walk. 监测无法停。")
    assert whole
    assert differing(a) == ["enough", "不能"] and differing(b) == ["too much", "无法"]


def test_equal_texts_do_not_differ() -> None:
    a, b, whole = side_by_side("the same. " * 600, "the same. " * 600)
    assert a == b and not differing(a) and [kind for kind, _ in a] == ["same", "cut", "same"]
    assert not whole, "only the beginning is compared"


@given(st.text(max_size=400), st.text(max_size=400))
def test_nothing_is_lost(a: str, b: str) -> None:
    for text, segments in zip((a, b), side_by_side(a, b)[:2], strict=True):
        assert sum(n if isinstance(n, int) else len(n) for _, n in segments) == len(text)
        if all(kind != "cut" for kind, _ in segments):
            assert "".join(str(s) for _, s in segments) == text
