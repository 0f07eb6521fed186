"""Two texts side by side: what they share and where they differ, by word, and by character in Chinese. Costs some 10 ms a pair.

Only the beginning is compared (`_TOKENS`), and long stretches that both share are cut short: a reviewer looks for the difference.
"""

import difflib
import re
from bisect import bisect
from itertools import accumulate

_TOKENS = 1500
_SHOWN = 70  # characters of a shared stretch that stay on either side of what is cut out
# A Han character or kana by itself; a run of other letters or digits; any other sign. White space belongs to what it follows.
_TOKEN = re.compile(r"[぀-ヿ㐀-鿿豈-﫿\U00020000-\U0003ffff]\s*|(?:(?![぀-ヿ㐀-鿿豈-﫿\U00020000-\U0003ffff])\w)+\s*|\W\s*")

Segment = list[str | int]  # ["same" | "differs", text] or ["cut", characters]


def side_by_side(a: str, b: str) -> tuple[list[Segment], list[Segment], bool]:
    """Each text as segments, and whether all of both was compared."""
    left, right = _tokens(a), _tokens(b)
    whole = sum(map(len, left)) == len(a) and sum(map(len, right)) == len(b)
    first: list[Segment] = []
    second: list[Segment] = []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for kind, i, j, k, m in matcher.get_opcodes():
        for out, tokens in ((first, left[i:j]), (second, right[k:m])):
            if kind == "equal":
                out.extend(_shared(tokens))
            elif tokens:
                text = "".join(tokens)
                space = text[len(text.rstrip()) :]
                out.append(["differs", text.rstrip() or space])
                if space and space != text:
                    out.append(["same", space])
    return first, second, whole


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        if len(found) == _TOKENS:
            break
        found.append(match.group())
    return found


def _shared(tokens: list[str]) -> list[Segment]:
    """What both have, its middle left out where it is long; whole tokens stay."""
    ends = list(accumulate(map(len, tokens)))
    head = bisect(ends, _SHOWN)
    tail = max(head, bisect(ends, ends[-1] - _SHOWN))
    cut = ends[tail - 1] - (ends[head - 1] if head else 0) if tail else 0
    if cut < _SHOWN:
        return [["same", "".join(tokens)]]
    return [["same", "".join(tokens[:head])], ["cut", cut], ["same", "".join(tokens[tail:])]]
