"""The slow, obvious versions of the stages of byte-level BPE: plain Python, one text at a time, written from the definitions.

Pieces come from the regular-expression engine of the installed `tokenizers`, and merging from the two sentences that define it.
"""

from functools import lru_cache
from itertools import pairwise

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from pipeline.tokenize.bpe import Added, Bpe
from pipeline.tokenize.patterns import kinds
from pipeline.tokenize.tables import MULTIPLIER, Tables

Part = bytes | int  # text, or the id of an added token


def split_at(text: bytes, tokens: list[Added]) -> list[Part]:
    """Text cut at added tokens: from left to right, of those that begin at one place the longest."""
    parts: list[Part] = []
    begin = i = 0
    while i < len(text):
        here = [t for t in tokens if text.startswith(t.content, i)]
        if here:
            longest = max(here, key=lambda t: len(t.content))
            parts += [text[begin:i], longest.id]
            i = begin = i + len(longest.content)
        else:
            i += 1
    return [part for part in [*parts, text[begin:]] if part != b""]


def segments(text: bytes, bpe: Bpe) -> list[Part]:
    """Text cut at added tokens: first at those that are not looked for in normalized text, then at the others, in the gaps."""
    parts: list[Part] = [text]
    for normalized in (False, True):
        tokens = [t for t in bpe.added if t.normalized == normalized]
        parts = [new for part in parts for new in (split_at(part, tokens) if isinstance(part, bytes) else [part])]
    return parts


def kind_of_bytes(text: str) -> list[tuple[int, bool]]:
    """For each byte the kind of its code point, and whether it is its first."""
    table = kinds()
    return [(int(table[ord(c)]), i == 0) for c in text for i in range(len(c.encode()))]


def pieces(text: str, bpe: Bpe) -> list[str]:
    """What the pattern cuts a segment into."""
    return [piece for piece, _ in Split(Regex(bpe.pattern.regex), "isolated").pre_tokenize_str(text)]


def words(piece: str, tables: Tables) -> list[bytes]:
    """A piece cut between neighbours that no entry holds, as far as the table of bits knows."""
    found = [piece[0].encode()]
    bits, shift = tables.cuts
    for left, right in pairwise(piece):
        bit = ((ord(left) << 21 | ord(right)) * MULTIPLIER % 2**64) >> shift
        held = int(bits[bit // 64]) >> bit % 64 & 1 or tables.straddled[left.encode()[-1], right.encode()[0]]
        if held:
            found[-1] += right.encode()
        else:
            found.append(right.encode())
    return found


@lru_cache(maxsize=8)
def ranks_of(bpe: Bpe) -> dict[tuple[int, int], tuple[int, int]]:
    """Left and right -> rank and what is made."""
    return {(left, right): (rank, made) for rank, (left, right, made) in enumerate(bpe.merges.tolist())}


def merged(word: bytes, bpe: Bpe) -> list[int]:
    """Of all neighbours that merge those of the lowest rank do, the leftmost of equals first, until none is left."""
    ranks = ranks_of(bpe)
    ids = [int(bpe.byte_ids[byte]) for byte in word]
    while True:
        can = [(*ranks[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in ranks]
        if not can:
            return ids
        _, made, i = min(can, key=lambda c: (c[0], c[2]))
        ids[i : i + 2] = [made]


def encode(text: str, bpe: Bpe) -> list[int]:
    """Ids of a text that NFC does not change, without any cut."""
    ids: list[int] = []
    for part in segments(text.encode(), bpe):
        if isinstance(part, int):
            ids.append(part)
            continue
        for piece in pieces(part.decode(), bpe):
            whole = bpe.entries.get(piece.encode()) if bpe.whole_words else None
            ids += merged(piece.encode(), bpe) if whole is None else [whole]
    return ids
