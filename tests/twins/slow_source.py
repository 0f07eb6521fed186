"""The slow, obvious version of kernels/source.py: one line and one character at a time."""

import re


def counts(text: str) -> list[int]:
    """The counts of `kernels.source.SOURCE` of one text."""
    characters = long_lines = solid = todo = asserts = imports = 0
    for line in text.split("\n"):
        bare = line.lstrip("".join(map(chr, range(33))))
        if not bare:
            continue
        solid += 1
        outside, found_long, at = "", False, 0
        while at < len(bare):
            if bare[at] in "\"'`" and not (bare[at] == "'" and at and re.match(r"[A-Za-z0-9_\x80-\U0010ffff]", bare[at - 1])):
                close = at + 1
                while close < len(bare) and bare[close] != bare[at]:
                    close += 2 if bare[close] == "\\" else 1
                if close < len(bare):
                    inside = bare[at + 1 : close]
                    characters += len(inside)
                    found_long |= any(len(word) > 20 for word in re.split(r"[\x00-\x20]", inside))
                    outside += "\0" * (close - at + 1)
                    at = close + 1
                    continue
            outside += bare[at]
            at += 1
        long_lines += found_long
        todo += any(word in outside for word in ("TODO", "FIXME", "your code here", "YOUR CODE HERE"))
        asserts += bare.startswith("assert")
        imports += bare.startswith(("import ", "from ", "#include", "using ", "use ", "require"))
    return [characters, long_lines, solid, todo, asserts, imports]
