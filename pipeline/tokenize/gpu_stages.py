"""The GPU engine's stages in plain torch: tensors in, tensors out, on any device. What each one means; triton_kernels.py is faster.

A batch is one buffer of bytes: FRAME × 0xFF, then the documents with one 0xFF before the first, between two and after the last,
then 0xFF up to a multiple of 8 and FRAME more. UTF-8 never has that byte, so nothing that looks at neighbours needs to know where
documents begin, and nothing reads outside the buffer. An added token is written over by 0xFE 0xFD 0xFD …, and is an edge too.

A *piece* is what the pattern cuts off, a *word* what is left of it between cuts (pipeline/tokenize/tables.py). Words cover the
buffer without a gap: edges are words without ids (0xFF), or with one (0xFE). Positions are int32 and count from the buffer's start.

The pattern needs no state machine: whether a piece starts at a code point depends on the one before it, on the one after it, and
on three runs, all of them rare: `mark` says which. Runs are followed byte by byte for RUN bytes, and looked up beyond.
"""

from typing import TYPE_CHECKING

import numpy as np

from pipeline.kernels.pieces import LETTER, NEWLINE, NUMBER, OTHER, SPACE
from pipeline.tokenize.gpu_tables import (
    EDGE,
    FIRST_EDGE,
    FRAME,
    ID_BITS,
    INLINE,
    KEY_BYTES,
    KIND,
    LEAD,
    LONG,
    MIDDLE,
    MISS,
    NO_PAIR,
    PIECE,
    RUN,
    SECOND_MULTIPLIER,
    SEPARATOR,
    TOKEN,
    UP_TO,
    WHOLE,
    WITHIN_TOKEN,
    WORD,
    AddedGroup,
    DeviceTables,
)
from pipeline.tokenize.patterns import Pattern
from pipeline.tokenize.tables import MULTIPLIER

if TYPE_CHECKING:
    import torch

_CHUNK = 1 << 18  # rows of unique words merged at once


# --- 0: one buffer ---------------------------------------------------------------------------------------------------------


def lay_out(content: "torch.Tensor", offsets: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """The buffer of a batch, and where its separators stand. (bytes,) uint8 and (texts + 1,) int64 -> uint8, (texts + 1,) int32"""
    import torch

    texts, size = len(offsets) - 1, len(content)
    bounds = offsets + torch.arange(FRAME, FRAME + texts + 1, device=offsets.device)
    data = torch.full((framed(size, texts),), SEPARATOR, dtype=torch.uint8, device=content.device)
    inside = torch.zeros(data.shape, dtype=torch.bool, device=content.device)
    inside[FRAME : FRAME + size + texts + 1] = True
    inside[bounds] = False
    data.masked_scatter_(inside, content)
    return data, bounds.int()


def framed(size: int, texts: int) -> int:
    """The length of the buffer for texts of `size` bytes."""
    return (2 * FRAME + size + texts + 1 + 7) // 8 * 8


# --- 1: added tokens -------------------------------------------------------------------------------------------------------


def beginnings(data: "torch.Tensor", first_two: "torch.Tensor") -> "torch.Tensor":
    """Where two bytes stand with which some token begins, from left to right. (found,) int64"""
    return first_two.index_select(0, data[:-1].int() << 8 | data[1:]).nonzero().squeeze(1)


def find_added(data: "torch.Tensor", at: "torch.Tensor", group: AddedGroup) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Places, ids and lengths in bytes of the tokens of a group, from left to right, given its `beginnings`. (found,) int64, int32, int64"""
    import torch

    ids = torch.full((len(at),), -1, dtype=torch.int32, device=data.device)
    lengths = torch.zeros_like(at)
    for length, tokens, theirs in group.by_length:
        rest = (ids < 0).nonzero().squeeze(1)
        rest = rest[at[rest] + length <= len(data)]
        for column in range(length):  # a few columns leave little to compare
            if len(rest) == 0 or (column > 3 and len(rest) < 4096):
                break
            here = data[at[rest] + column]
            wanted = torch.zeros(256, dtype=torch.bool, device=data.device)
            wanted[tokens[:, column].long()] = True
            rest = rest[wanted.index_select(0, here.int())]
        for some in rest.split(4096):
            bytes_there = data[at[some, None] + torch.arange(length, device=data.device)]
            same = (bytes_there[:, None, :] == tokens[None]).all(2)
            which, hit = same.int().argmax(1), same.any(1)
            ids[some[hit]] = theirs[which[hit]]
            lengths[some[hit]] = length
    found = ids >= 0
    at, ids, lengths = at[found], ids[found], lengths[found]
    if group.overlap and len(at) > 1:
        kept = torch.from_numpy(_leftmost(at.cpu().numpy(), lengths.cpu().numpy())).to(at.device)
        at, ids, lengths = at[kept], ids[kept], lengths[kept]
    return at, ids, lengths


def _leftmost(at: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Which matches are left when each one taken hides those that begin inside it. (matches,) bool"""
    kept, free = np.zeros(len(at), bool), 0
    for i, (begin, length) in enumerate(zip(at.tolist(), lengths.tolist(), strict=True)):
        if begin >= free:
            kept[i], free = True, begin + length
    return kept


def hide(data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor") -> None:
    """Write edges over added tokens, in place."""
    data[ragged(at, lengths)] = WITHIN_TOKEN
    data[at] = TOKEN


# --- 2: kinds --------------------------------------------------------------------------------------------------------------


def code_points(data: "torch.Tensor", at: "torch.Tensor") -> "torch.Tensor":
    """The code points that begin at these places. int64"""
    lead, second, third, fourth = (data[at + i].long() for i in range(4))
    tail = (second & 0x3F) << 6 | third & 0x3F
    three = (lead & 0x0F) << 12 | tail
    four = (lead & 0x07) << 18 | tail << 6 | fourth & 0x3F
    two = (lead & 0x1F) << 6 | second & 0x3F
    return lead.where(lead < 0x80, two.where(lead < 0xE0, three.where(lead < 0xF0, four.clamp(max=0x10FFFF))))


def classify(data: "torch.Tensor", tables: DeviceTables) -> "tuple[torch.Tensor, torch.Tensor]":
    """The class of each byte (every byte of a code point says its kind), and two counts: what is not UTF-8 (0: nothing; else any
    number), and bytes that are edges, frame included. (bytes,) uint8, (2,) int64
    """
    import torch

    classes = tables.byte_classes.index_select(0, data.int())
    at = ((data >= 0xC0) & (data < FIRST_EDGE)).nonzero().squeeze(1)
    lead, second = data[at], data[at + 1]
    three, four = lead >= 0xE0, lead >= 0xF0
    found = tables.kinds[code_points(data, at)]
    classes[at] = found | LEAD
    classes[at + 1] = found
    classes[at[three] + 2] = found[three]
    classes[at[four] + 3] = found[four]
    bad = (second & 0xC0 != 0x80) | (lead < 0xC2)
    bad |= (data[at[three] + 2] & 0xC0 != 0x80).any() | (data[at[four] + 3] & 0xC0 != 0x80).any()
    bad |= ((lead == 0xE0) & (second < 0xA0)) | ((lead == 0xED) & (second > 0x9F)) | ((lead == 0xF0) & (second < 0x90)) | ((lead == 0xF4) & (second > 0x8F))
    loose = (data & 0xC0 == 0x80).sum() - (len(at) + three.sum() + four.sum())  # continuation bytes that follow no lead
    return classes, torch.stack([bad.sum() + loose.abs(), (data >= FIRST_EDGE).sum()])


# --- 3 and 4: pieces and words ---------------------------------------------------------------------------------------------


def mark(data: "torch.Tensor", classes: "torch.Tensor", tables: DeviceTables) -> "torch.Tensor":
    """PIECE where a piece starts, WORD where only a cut is, 0 elsewhere; edges are pieces. (bytes,) uint8, 0 in the frame"""
    import torch

    marks = PIECE * piece_starts(data, classes, tables.pattern).to(torch.uint8)
    look = tables.pairs.index_select(0, data[:-1].int() << 8 | data[1:])
    look = look * (marks[1:] == 0)
    marks[1:] |= look & 1  # WORD
    at = 1 + (look == 2).nonzero().squeeze(1)
    before = _before(classes, at)
    bit = _shr((code_points(data, before) << 21 | code_points(data, at)) * _signed(MULTIPLIER), tables.cut_shift)
    held = tables.cuts[bit >> 6] >> (bit & 63) & 1
    marks[at[held == 0]] = WORD
    return marks


def piece_starts(data: "torch.Tensor", classes: "torch.Tensor", pattern: Pattern) -> "torch.Tensor":
    r"""Where pieces start, edges included. (bytes,) bool

    Said for a code point at place i by the kind before it (k[i-1], since every byte of a code point says its kind):

    - other: unless the one before is another, or the blank, which always joins what follows it
    - letter: unless after a letter, or joined: by the blank (GPT-2), by any white space but line ends, or by the start of a piece
      of others, which is then one sign before letters (web). But after a contraction, whose apostrophe starts a piece of others
    - number: GPT-2: unless after a number or the blank; Qwen2: always; Llama-3: every third of a run (the first run scan)
    - a line end (web): after a letter, a number or an edge; others take line ends that follow them, and `\s*[\r\n]+` does
    - white space: when it begins a run; when it is the last of one and something follows (it may join that); and, web, after the
      last line end of a run. So a space after a line end needs to know whether others took those line ends (the second scan, back
      over line ends), and whether one more line end comes in the run (the third, ahead over spaces)
    """
    n = slice(FRAME, len(data) - FRAME)
    before = slice(FRAME - 1, len(data) - FRAME - 1)
    after = slice(FRAME + 1, len(data) - FRAME + 1)
    starts = (classes == (EDGE | LEAD)).clone()
    starts[:FRAME] = starts[len(data) - FRAME :] = False  # what pads to a multiple of 8 is cut off by `word_starts`
    k, lead, p, blank = classes[n] & KIND, (classes[n] & LEAD) != 0, classes[before] & KIND, data[before] == 0x20
    other = (k == OTHER) & lead & (p != OTHER) & ~blank
    starts[n] |= other
    if pattern.web:
        starts[n] |= (k == LETTER) & lead & (p != LETTER) & (p != SPACE)
        starts[n] |= (k == NEWLINE) & ((p == LETTER) | (p == NUMBER) | (p == EDGE))
        at = FRAME + ((k == LETTER) & lead & (p == OTHER)).nonzero().squeeze(1)
        starts[at] = ~starts[_before(classes, at)]
        space = k == SPACE
        follows = classes[after] & KIND
        starts[n] |= space & lead & ((p != SPACE) & (p != NEWLINE) | ~_white(follows) & (follows != EDGE))
        at = FRAME + (space & lead & (data[n] >= 0x80)).nonzero().squeeze(1)  # the last of a run, when it has more than one byte
        follows = classes[_after(classes, at)] & KIND
        p_there = classes[at - 1] & KIND
        starts[at] = ~_white(p_there) | ~_white(follows) & (follows != EDGE)
        at = FRAME + (space & lead & (p == NEWLINE)).nonzero().squeeze(1)
        starts[at] |= _starts_after_line_end(classes, at)
    else:
        starts[n] |= (k == LETTER) & lead & (p != LETTER) & ~blank
        white = _white(k)
        follows = classes[after] & KIND
        starts[n] |= white & lead & (~_white(p) | ~_white(follows) & (follows != EDGE))
        at = FRAME + (white & lead & (data[n] >= 0x80)).nonzero().squeeze(1)
        follows = classes[_after(classes, at)] & KIND
        starts[at] = ~_white(classes[at - 1] & KIND) | ~_white(follows) & (follows != EDGE)
    number = (k == NUMBER) & lead
    if pattern.digits == 0:
        starts[n] |= number & (p != NUMBER) & ~blank
    elif pattern.digits == 1:
        starts[n] |= number
    else:
        at = FRAME + number.nonzero().squeeze(1)
        starts[at] = _place_in_run(classes, at) % pattern.digits == 0
    _contractions(data, classes, starts, pattern.web)
    return starts


def _white(k: "torch.Tensor") -> "torch.Tensor":
    return (k == SPACE) | (k == NEWLINE)


def _before(classes: "torch.Tensor", at: "torch.Tensor") -> "torch.Tensor":
    """Where the code points before these places begin."""
    one = ((classes[at - 1] & LEAD) == 0).long()
    two = one & ((classes[at - 2] & LEAD) == 0)
    three = two & ((classes[at - 3] & LEAD) == 0)
    return at - 1 - one - two - three


def _after(classes: "torch.Tensor", at: "torch.Tensor") -> "torch.Tensor":
    """Where the code points after these places begin."""
    one = ((classes[at + 1] & LEAD) == 0).long()
    two = one & ((classes[at + 2] & LEAD) == 0)
    three = two & ((classes[at + 3] & LEAD) == 0)
    return at + 1 + one + two + three


def _run(classes: "torch.Tensor", at: "torch.Tensor", kind: int, step: int) -> "torch.Tensor":
    """The first byte at or beyond each place that is not of this kind; the frame ends every run."""
    import torch

    at, active = at.clone(), torch.arange(len(at), device=at.device)
    for _ in range(RUN):
        active = active[(classes[at[active]] & KIND) == kind]
        if len(active) == 0:
            return at
        at[active] += step
    ends = ((classes & KIND) != kind).nonzero().squeeze(1)
    found = torch.searchsorted(ends, at[active], right=step < 0)
    at[active] = ends[found - 1 if step < 0 else found]
    return at


def _starts_after_line_end(classes: "torch.Tensor", at: "torch.Tensor") -> "torch.Tensor":
    """Whether white space right after a line end starts a piece (web), as far as the two runs decide. (places,) bool"""
    taken = (classes[_run(classes, at - 1, NEWLINE, -1)] & KIND) == OTHER
    return taken | ((classes[_run(classes, at, SPACE, 1)] & KIND) != NEWLINE)


def starts_after_runs(classes: "torch.Tensor", at: "torch.Tensor", pattern: Pattern) -> "torch.Tensor":
    """Whether pieces start at places where only a run, of any length, decides. (places,) bool"""
    import torch

    starts = _starts_after_line_end(classes, at)
    number = ((classes[at] & KIND) == NUMBER).nonzero().squeeze(1)
    if len(number):
        numbers = ((classes & (KIND | LEAD)) == (NUMBER | LEAD)).nonzero().squeeze(1)
        place = _place_in_run(classes, numbers)[torch.searchsorted(numbers, at[number])]
        starts[number] = place % pattern.digits == 0
    return starts


def _place_in_run(classes: "torch.Tensor", at: "torch.Tensor") -> "torch.Tensor":
    """How many numbers stand before these in their runs; `at` holds all the numbers."""
    import torch

    index = torch.arange(len(at), device=at.device)
    first = (classes[at - 1] & KIND) != NUMBER
    return index - (index * first).cummax(0).values if len(at) else index


def _contractions(data: "torch.Tensor", classes: "torch.Tensor", starts: "torch.Tensor", any_case: bool) -> None:
    """Mend the starts around 's, 't, 're, 've, 'm, 'll and 'd, in place: the first letter starts no piece, and a letter after it does."""
    at = ((data == 0x27) & starts).nonzero().squeeze(1)
    fold = 0x20 if any_case else 0
    one, two = data[at + 1], data[at + 2]
    long_s = (one == 0xC5) & (two == 0xBF) & any_case
    one, two = one | fold, two | fold
    short = (one == 0x73) | (one == 0x74) | (one == 0x6D) | (one == 0x64)
    long = ((one == 0x72) | (one == 0x76)) & (two == 0x65) | (one == 0x6C) & (two == 0x6C) | long_s & ~short
    at, end = at[short | long], (at + 2 + long.long())[short | long]
    starts[at + 1] = False
    end = end[classes[end] & (KIND | LEAD) == LETTER | LEAD]
    starts[end] = True


def word_starts(marks: "torch.Tensor", end: int) -> "torch.Tensor":
    """Where words start in [FRAME, end), as place × 2, plus 1 for a piece; and `end`, as a piece. (words + 1,) int32"""
    import torch

    at = FRAME + marks[FRAME:end].nonzero().squeeze(1)
    pieces = (marks[at] == PIECE).int()
    return torch.cat([at.int() * 2 + pieces, torch.tensor([2 * end + 1], dtype=torch.int32, device=marks.device)])


# --- 5 and 6: keys, and the table of words ---------------------------------------------------------------------------------


def short_keys(data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor", whole: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Words of 1 to KEY_BYTES bytes as two int64: their bytes, zeros, and `length | WHOLE` as the last byte. Little-endian."""
    import torch

    content = data.view(torch.int64)
    word, shift = at >> 3, (at & 7) << 3
    a, b, c = content[word], content[word + 1], content[word + 2]
    masks = torch.tensor([(1 << 8 * n) - 1 for n in range(8)] + [-1] * 8, device=data.device)
    low_bits = (1 << (63 - shift) << 1) - 1
    first = ((a >> shift) & low_bits | b << 1 << (63 - shift)) & masks[lengths]
    second = ((b >> shift) & low_bits | c << 1 << (63 - shift)) & masks[(lengths - 8).clamp(min=0)]
    return first, second | (lengths + WHOLE * whole) << 56


def long_keys(data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor", whole: "torch.Tensor", tables: DeviceTables) -> "tuple[torch.Tensor, ...]":
    """Longer words as two int64 like the others, but of hashes; the last byte is MIDDLE, and WHOLE. Equal words have equal keys."""
    import torch

    first, second = torch.empty_like(at), torch.empty_like(at)
    for rows, width in by_width(lengths):
        words = long_bytes(data, at[rows], lengths[rows], width)
        seeds = tables.seeds[:, : 1 + width // 4]
        mixed = words * seeds[:, None, 1:]  # (2, words, width // 4)
        mixed ^= _shr(mixed, 29)
        first[rows], second[rows] = (mixed * seeds[:, None, :1]).sum(2) + lengths[rows] * seeds[:, :1]
    return _mix(first, 0), _shr(_mix(second, 0), 8) | (MIDDLE | WHOLE * whole) << 56


def by_width(lengths: "torch.Tensor") -> "list[tuple[torch.Tensor, int]]":
    """Rows of words of about one length, few enough to lie side by side, and the width that holds them."""
    found, below = [], 0
    for up_to in UP_TO:
        width = 1 << (up_to - 1).bit_length()
        rows = ((lengths > below) & (lengths <= up_to)).nonzero().squeeze(1)
        found += [(some, width) for some in rows.split(max(1, _CHUNK * 16 // width)) if len(some)]
        below = up_to
    return found


def long_bytes(data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor", width: int) -> "torch.Tensor":
    """The bytes of words, zeros behind them, four to a number. (words, width // 4) int64 below 2**32"""
    import torch

    column = torch.arange(width, device=data.device)
    there = data[(at[:, None] + column).clamp(max=len(data) - 1)].masked_fill(column >= lengths[:, None], 0)
    return there.contiguous().view(torch.int32).long() & 0xFFFF_FFFF


def same_bytes(data: "torch.Tensor", a: "torch.Tensor", b: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
    """Whether the words of these lengths at a and at b are the same. (words,) bool"""
    import torch

    same = torch.ones(len(a), dtype=torch.bool, device=data.device)
    for rows, width in by_width(lengths):
        column = torch.arange(width, device=data.device)
        last = len(data) - 1
        differ = data[(a[rows, None] + column).clamp(max=last)] != data[(b[rows, None] + column).clamp(max=last)]
        same[rows] = ~(differ & (column < lengths[rows, None])).any(1)
    return same


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x


def _shr(x: "torch.Tensor", bits: int) -> "torch.Tensor":
    """x >> bits of unsigned numbers."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: "torch.Tensor", seed: "int | torch.Tensor") -> "torch.Tensor":
    x = (x ^ seed) * _signed(MULTIPLIER)
    return (x ^ _shr(x, 32)) * _signed(SECOND_MULTIPLIER)


def hashed(first: "torch.Tensor", second: "torch.Tensor", seed: int) -> "torch.Tensor":
    """A hash of keys; its high bits are the slot."""
    return _mix(_mix(first, seed) ^ second, seed)


def find(table: "torch.Tensor", first: "torch.Tensor", second: "torch.Tensor", hashes: "torch.Tensor") -> "torch.Tensor":
    """The values of keys in an open-addressing table with linear probing, or MISS. (keys,) int64

    table: (slots, 4) int64: the key, its value, and who claims the slot; slots is a power of two, and a slot is free where the key's second half is 0.
    """
    import torch

    values = torch.full_like(first, MISS)
    slots = _shr(hashes, 64 - (len(table).bit_length() - 1))
    pending = torch.arange(len(first), device=first.device)
    while len(pending):
        rows = table[slots[pending]]
        hit = (rows[:, 0] == first[pending]) & (rows[:, 1] == second[pending])
        values[pending[hit]] = rows[hit, 2]
        pending = pending[~hit & (rows[:, 1] != 0)]
        slots[pending] = (slots[pending] + 1) & (len(table) - 1)
    return values


def insert(table: "torch.Tensor", first: "torch.Tensor", second: "torch.Tensor", hashes: "torch.Tensor", values: "torch.Tensor") -> None:
    """Put keys that are not there, each once, into the table, in place. There must be room."""
    import torch

    slots = _shr(hashes, 64 - (len(table).bit_length() - 1))
    pending = torch.arange(len(first), device=first.device)
    rows = torch.stack([first, second, values, pending + 1], 1)
    while len(pending):
        at = slots[pending]
        free = table[at, 1] == 0
        table[at[free], 3] = pending[free] + 1
        won = free & (table[at, 3] == pending + 1)
        table[at[won]] = rows[pending[won]]
        pending = pending[~won]
        slots[pending] = (slots[pending] + 1) & (len(table) - 1)


def look_up(data: "torch.Tensor", starts: "torch.Tensor", table: "torch.Tensor", seed: int, whole_words: bool) -> "torch.Tensor":
    """The value of each word: 0 for edges, LONG for words over KEY_BYTES, MISS for those that the table does not hold. (words,) int64"""
    import torch

    at, lengths, whole = spans(starts, torch.arange(len(starts) - 1, device=starts.device), whole_words)
    edge = data[at] >= FIRST_EDGE
    values = torch.where(edge, 0, LONG)
    short = ((lengths <= KEY_BYTES) & ~edge).nonzero().squeeze(1)
    first, second = short_keys(data, at[short], lengths[short], whole[short])
    values[short] = find(table, first, second, hashed(first, second, seed))
    return values


def spans(starts: "torch.Tensor", words: "torch.Tensor", whole_words: bool) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Place and length of these words, and whether each is to be looked up as a whole piece. (words,) int64, int64, int64 of 0 and 1"""
    begin, end = starts[words].long(), starts[words + 1].long()
    return begin >> 1, (end >> 1) - (begin >> 1), begin & end & int(whole_words)


def unique(first: "torch.Tensor", second: "torch.Tensor", hashes: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """One row of each key (a key may come twice, should two keys share 64 bits of hash), and for each row the place among those."""
    import torch

    order = hashes.argsort()
    a, b = first[order], second[order]
    new = torch.ones(len(order), dtype=torch.bool, device=order.device)
    new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    group = torch.empty_like(order)
    group[order] = new.cumsum(0) - 1
    return order[new], group


# --- merging ---------------------------------------------------------------------------------------------------------------


def find_merges(left: "torch.Tensor", right: "torch.Tensor", tables: DeviceTables) -> "torch.Tensor":
    """What two tokens make, as `rank << 32 | id`, or NO_PAIR. int64"""
    import torch

    keys = left.long() << 32 | right
    slots = _shr(keys * _signed(MULTIPLIER), tables.merge_shift)
    values = torch.full_like(keys, NO_PAIR)
    pending = torch.arange(len(keys), device=keys.device)
    while len(pending):
        rows = tables.merges[slots[pending]]
        hit = rows[:, 0] == keys[pending]
        values[pending[hit]] = rows[hit, 1]
        pending = pending[~hit & (rows[:, 0] != -1)]
        slots[pending] = (slots[pending] + 1) & (len(tables.merges) - 1)
    return values


def merge(data: "torch.Tensor", at: "torch.Tensor", lengths: "torch.Tensor", width: int, tables: DeviceTables) -> "tuple[torch.Tensor, torch.Tensor]":
    """Ids of words of at most `width` bytes: of all neighbours that merge those of lowest rank do, the leftmost first, until none is
    left. (words, width) int32, of which the first (words,) int64 count
    """
    import torch

    all_ids, counts = torch.zeros(len(at), width, dtype=torch.int32, device=data.device), lengths.clone()
    column = torch.arange(width, device=data.device)
    for chunk in torch.arange(len(at), device=data.device).split(max(1, _CHUNK * 8 // width)):
        rows = chunk
        inside = column < lengths[rows, None]
        there = data[(at[rows, None] + column).clamp(max=len(data) - 1)].masked_fill(~inside, 0)
        ids = tables.byte_ids.index_select(0, there.int().reshape(-1)).reshape(-1, width)
        pairs = torch.full(ids.shape, NO_PAIR, device=data.device)  # what the token at each column and the next one make
        row, place = inside[:, 1:].nonzero(as_tuple=True)
        pairs[row, place] = find_merges(ids[row, place], ids[row, place + 1], tables)
        left = lengths[rows]
        while len(rows):
            best, place = pairs.min(1)  # ranks differ, so that equals are one pair at several places, of which min names the first
            active = best != NO_PAIR
            if not bool(active.all()):
                all_ids[rows], counts[rows] = ids, left  # whole now, or written again later
                rows, ids, pairs, left, best, place = (x[active] for x in (rows, ids, pairs, left, best, place))
            source = (column + (column > place[:, None])).clamp(max=width - 1)
            ids, pairs = ids.gather(1, source), pairs.gather(1, source)
            ids.scatter_(1, place[:, None], (best[:, None] & 0xFFFF_FFFF).int())
            left = left - 1
            for shift in (0, 1):  # what has been made meets its right neighbour, and its left one
                here = place - shift
                row = (here >= 0).nonzero().squeeze(1)
                pairs[row, here[row]] = NO_PAIR
                row = row[here[row] + 1 < left[row]]
                here = here[row]
                pairs[row, here] = find_merges(ids[row, here], ids[row, here + 1], tables)
    return all_ids, counts


# --- 7: ids out ------------------------------------------------------------------------------------------------------------


def inline(ids: "torch.Tensor") -> "torch.Tensor":
    """The value of words of one token each."""
    return ids.long() << 2 | 1


def counts_of(values: "torch.Tensor") -> "torch.Tensor":
    """How many ids a value stands for. int64"""
    tag = values & 3
    return tag.where(tag > 0, (values >> 2) & 0x1FFF_FFFF)


def pooled(counts: "torch.Tensor", places: "torch.Tensor") -> "torch.Tensor":
    """The value of words whose ids stand in the pool."""
    return counts << 2 | places << 31


def emit(values: "torch.Tensor", pool: "torch.Tensor", dtype: "torch.dtype") -> "tuple[torch.Tensor, torch.Tensor]":
    """Ids of all words, end to end, and how many stand before each word, and in all. (ids,) dtype, (words + 1,) int64

    A value is its count (1 to INLINE) in 2 bits and so many ids of ID_BITS; or 0 there, a count in 29 bits, a place in the pool in 31.
    """
    import torch

    counts = counts_of(values)
    offsets = torch.zeros(len(values) + 1, dtype=torch.int64, device=values.device)
    torch.cumsum(counts, 0, out=offsets[1:])
    ids = torch.empty(int(offsets[-1]), dtype=torch.int32, device=values.device)
    tag = values & 3
    for i in range(INLINE):
        have = (tag > i).nonzero().squeeze(1)
        ids[offsets[have] + i] = (values[have] >> (2 + ID_BITS * i) & ((1 << ID_BITS) - 1)).int()
    far = ((tag == 0) & (values != 0)).nonzero().squeeze(1)
    ids[ragged(offsets[far], counts[far])] = pool[ragged(values[far] >> 31, counts[far])]
    return ids.to(dtype), offsets


def ragged(places: "torch.Tensor", counts: "torch.Tensor") -> "torch.Tensor":
    """place, place + 1, …, `count` numbers for each place. int64"""
    import torch

    ends = counts.cumsum(0)
    inside = torch.arange(int(ends[-1]) if len(ends) else 0, device=places.device)
    return (places - ends + counts).repeat_interleave(counts) + inside
