"""Merges of byte-level BPE as `tokenizers` learns them, one pair at a time, in plain Python; and the rule of whole code points."""

import heapq
from collections import Counter
from itertools import pairwise


def is_partial(entry: bytes) -> bool:
    """Whether some character of it is not whole."""
    try:
        entry.decode()
    except UnicodeDecodeError:
        return True
    return False


def may_merge(left: bytes, right: bytes, whole_code_points: bool, max_bytes: int) -> bool:
    """Whole characters with whole characters; or the first bytes of one with its next byte. Characters themselves may have any size."""
    if whole_code_points and (is_partial(left) or is_partial(right)):
        size = 2 if 0xC2 <= left[0] < 0xE0 else 3 if 0xE0 <= left[0] < 0xF0 else 4 if left[0] >= 0xF0 else 0
        return is_partial(left) and len(left) < size and len(right) == 1 and 0x80 <= right[0] < 0xC0
    return len(left) + len(right) <= max_bytes


def slow_merges(pieces: dict[str, int], limit: int, byte_order: list[int], *, whole_code_points: bool = True, max_bytes: int = 32) -> list[tuple[bytes, bytes]]:
    """The merges in order, until `limit` entries are there or no pair occurs twice. byte_order: the ids of the bytes."""
    ids = {bytes([byte]): number for number, byte in enumerate(byte_order)}
    words = [([bytes([byte]) for byte in piece.encode()], times) for piece, times in pieces.items()]
    counts: Counter[tuple[bytes, bytes]] = Counter()
    holding: dict[tuple[bytes, bytes], set[int]] = {}
    for number, (word, times) in enumerate(words):
        for pair in pairwise(word):
            if may_merge(*pair, whole_code_points, max_bytes):
                counts[pair] += times
                holding.setdefault(pair, set()).add(number)
    race: list = []

    def enter(pair: tuple[bytes, bytes], numbers: set[int]) -> None:
        heapq.heappush(race, (-counts[pair], ids[pair[0]], ids[pair[1]], len(race), pair, numbers))

    for pair, numbers in holding.items():
        enter(pair, numbers)
    merges = []
    while race and len(ids) < limit:
        negative, _, _, _, pair, numbers = heapq.heappop(race)
        if -negative != counts[pair]:
            enter(pair, numbers)
            continue
        if counts[pair] < 2:
            break
        left, right = pair
        made = left + right
        ids.setdefault(made, len(ids))
        merges.append(pair)
        changed: dict[tuple[bytes, bytes], set[int]] = {}
        for number in sorted(numbers):
            word, times = words[number]
            k = 0
            while k + 1 < len(word):
                if (word[k], word[k + 1]) == pair:
                    neighbours = []
                    if k > 0:
                        counts[word[k - 1], left] -= times
                        neighbours.append((word[k - 1], made))
                    if k + 2 < len(word):
                        counts[right, word[k + 2]] -= times
                        neighbours.append((made, word[k + 2]))
                    for new in neighbours:
                        if may_merge(*new, whole_code_points, max_bytes):
                            counts[new] += times
                            changed.setdefault(new, set()).add(number)
                    word[k : k + 2] = [made]
                k += 1
        for new, some in changed.items():
            if counts[new] > 0:
                enter(new, some)
    return list(dict.fromkeys(reversed(merges)))[::-1]  # of a pair that was merged twice, the later place
