"""The stages of gpu_stages.py as Triton kernels: same arguments, same results. Imported only by who uses them, since a kernel cannot
be written down without Triton. Under TRITON_INTERPRET=1 they run anywhere, a thousand times slower; that is how they are tested.

One program takes BLOCK bytes or words, one lane one of them, and looks at neighbours by loading them again: they are in L1. Nothing
is exchanged between lanes but sums, so no barrier stands in the common path. What bounds these kernels is the number of instructions
and the latency of gathers, not bandwidth (`gpu_cost.py` counts both), so intermediates of a byte a byte are written without regret:
a classes array costs two bytes of traffic and saves every later kernel the decoding of UTF-8.

Rare long things leave the kernels by a list: runs over RUN bytes (a space after a line end, a Llama-3 number) and words of more than
FAR_IDS ids are finished by the plain stage.
"""

# mypy: disable-error-code="import-untyped,untyped-decorator,no-untyped-def"
# ruff: noqa: N803, E741
# Triton has no stubs, and writes constants of a kernel in capitals.

from typing import Any

import torch
import triton
import triton.language as tl

from pipeline.kernels.pieces import LETTER, NEWLINE, NUMBER, OTHER, SPACE
from pipeline.tokenize import gpu_stages as plain
from pipeline.tokenize import gpu_tables as form
from pipeline.tokenize.gpu_stages import framed
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
    MISS,
    NO_PAIR,
    PIECE,
    RUN,
    SEPARATOR,
    WHOLE,
    WORD,
    DeviceTables,
)
from pipeline.tokenize.tables import MULTIPLIER

BYTES = 256  # bytes a program, of one warp: what votes on branches
BLOCK, WARPS = 1024, 4  # bytes or words a program where there is nothing to vote on
FAR_IDS = 32  # ids of a word that a kernel copies
_TILE = 1024  # tokens in the registers of a program that merges: 1024 // width words

O, L, N, S, NL, E = (tl.constexpr(k) for k in (OTHER, LETTER, NUMBER, SPACE, NEWLINE, EDGE))
_KIND, _LEAD, _FIRST_EDGE, _FRAME, _RUN = (tl.constexpr(x) for x in (KIND, LEAD, FIRST_EDGE, FRAME, RUN))
_WORD, _PIECE, _KEY_BYTES, _WHOLE, _MISS, _LONG = (tl.constexpr(x) for x in (WORD, PIECE, KEY_BYTES, WHOLE, MISS, LONG))
_INLINE, _ID_BITS, _NO_PAIR, _FAR_IDS = (tl.constexpr(x) for x in (INLINE, ID_BITS, NO_PAIR, FAR_IDS))
_ID_MASK = tl.constexpr((1 << ID_BITS) - 1)
_FIBONACCI, _SECOND = tl.constexpr(MULTIPLIER), tl.constexpr(form.SECOND_MULTIPLIER)


# --- what several kernels do -----------------------------------------------------------------------------------------------


@triton.jit
def byte_at(data, at, mask):
    return tl.load(data + at, mask, 0).to(tl.int32)


@triton.jit
def some(mask):
    """Whether any lane is set: a branch around it saves the others what is rare. One warp a program, so it is a vote and no barrier."""
    return tl.max(mask.to(tl.int32), 0) > 0


@triton.jit
def append(items, count, item, mask):
    """Put what few lanes have at the end of a list, in any order."""
    if some(mask):
        rank = tl.cumsum(mask.to(tl.int32), 0)
        tl.store(items + tl.atomic_add(count, tl.max(rank, 0)) + rank - 1, item, mask)


def lists(like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Room for a list, and its length, 0."""
    return torch.empty(len(like), dtype=torch.int32, device=like.device), torch.zeros(1, dtype=torch.int32, device=like.device)


# --- 0: one buffer ---------------------------------------------------------------------------------------------------------


@triton.jit
def lay_out_kernel(content, offsets, first_texts, data, size, BLOCK: tl.constexpr):
    """Copy bytes, each moved on by one for every text that has begun. first_texts[p]: texts that begin at or before block p."""
    block = tl.program_id(0)
    i = block * BLOCK + tl.arange(0, BLOCK)
    inside = i < size
    text, last = tl.load(first_texts + block), tl.load(first_texts + block + 1)
    moved = tl.zeros([BLOCK], tl.int32) + text
    while text < last:
        moved += (i >= tl.load(offsets + text)).to(tl.int32)
        text += 1
    tl.store(data + _FRAME + i + moved, tl.load(content + i, inside), inside)


def lay_out(content: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    texts, size = len(offsets) - 1, len(content)
    data = torch.empty(framed(size, texts), dtype=torch.uint8, device=content.device)
    bounds = (offsets + torch.arange(FRAME, FRAME + texts + 1, device=offsets.device)).int()
    data[:FRAME] = data[-FRAME - 8 :] = data[bounds] = SEPARATOR
    blocks = triton.cdiv(size, BLOCK)
    if blocks:
        edges = torch.arange(blocks + 1, device=content.device) * BLOCK
        lay_out_kernel[(blocks,)](content, offsets, torch.searchsorted(offsets, edges, right=True, out_int32=True), data, size, BLOCK=BLOCK, num_warps=WARPS)
    return data, bounds


# --- 1: added tokens -------------------------------------------------------------------------------------------------------


@triton.jit
def beginnings_kernel(data, first_two, found, count, size, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    pair = byte_at(data, i, i < size - 1) << 8 | byte_at(data, i + 1, i < size - 1)
    append(found, count, i, (tl.load(first_two + pair) != 0) & (i < size - 1))


def beginnings(data: torch.Tensor, first_two: torch.Tensor) -> torch.Tensor:
    found, count = lists(data)
    beginnings_kernel[(triton.cdiv(len(data), BYTES),)](data, first_two.view(torch.uint8), found, count, len(data), BLOCK=BYTES, num_warps=1)
    return found[: int(count)].sort().values.long()


# --- 2: kinds --------------------------------------------------------------------------------------------------------------


@triton.jit
def decoded(lead, second, third, fourth):
    """The code point of these bytes, of which those beyond its end do not matter. int32"""
    tail = (second & 0x3F) << 6 | third & 0x3F
    three = (lead & 0x0F) << 12 | tail
    four = tl.minimum((lead & 0x07) << 18 | tail << 6 | fourth & 0x3F, 0x10FFFF)
    return tl.where(lead < 0x80, lead, tl.where(lead < 0xE0, (lead & 0x1F) << 6 | second & 0x3F, tl.where(lead < 0xF0, three, four)))


@triton.jit
def classify_kernel(data, classes, counts, byte_classes, kinds, size, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < size
    byte = tl.load(data + i, inside, 0x20).to(tl.int32)
    found = tl.load(byte_classes + byte)
    if some(byte >= 0x80):  # the rest is for blocks that are not ASCII, and loads for lanes that are not
        long = (byte >= 0x80) & (byte < _FIRST_EDGE)
        tail = long & (byte < 0xC0)
        one = byte_at(data, i - 1, tail)
        tail_1 = tail & (one & 0xC0 == 0x80)
        two = byte_at(data, i - 2, tail_1)
        tail_2 = tail_1 & (two & 0xC0 == 0x80)
        three = byte_at(data, i - 3, tail_2)
        ahead, ahead_2, ahead_3 = byte_at(data, i + 1, long), byte_at(data, i + 2, long), byte_at(data, i + 3, long)
        lead = tl.where(tail_2, three, tl.where(tail_1, two, tl.where(tail, one, byte)))
        second = tl.where(tail_2, two, tl.where(tail_1, one, tl.where(tail, byte, ahead)))
        third = tl.where(tail_2, one, tl.where(tail_1, byte, tl.where(tail, ahead, ahead_2)))
        fourth = tl.where(tail_2, byte, tl.where(tail_1, ahead, tl.where(tail, ahead_2, ahead_3)))
        wrong = (lead < tl.where(tail_2, 0xF0, tl.where(tail_1, 0xE0, 0xC2))) | (lead >= _FIRST_EDGE) | (second & 0xC0 != 0x80)
        wrong |= (lead >= 0xE0) & (third & 0xC0 != 0x80) | (lead >= 0xF0) & (fourth & 0xC0 != 0x80)
        wrong |= (lead == 0xE0) & (second < 0xA0) | (lead == 0xED) & (second > 0x9F) | (lead == 0xF0) & (second < 0x90) | (lead == 0xF4) & (second > 0x8F)
        found |= tl.load(kinds + decoded(lead, second, third, fourth), long & ~wrong, 0)
        malformed = tl.sum((long & wrong).to(tl.int64), 0)
        if malformed > 0:
            tl.atomic_add(counts, malformed)
        edges = tl.sum((byte >= _FIRST_EDGE).to(tl.int64), 0)
        if edges > 0:
            tl.atomic_add(counts + 1, edges)
    tl.store(classes + i, found, inside)


def classify(data: torch.Tensor, tables: DeviceTables) -> tuple[torch.Tensor, torch.Tensor]:
    classes, counts = torch.empty_like(data), torch.zeros(2, dtype=torch.int64, device=data.device)
    grid = (triton.cdiv(len(data), BYTES),)
    classify_kernel[grid](data, classes, counts, tables.byte_classes, tables.kinds, len(data), BLOCK=BYTES, num_warps=1)
    return classes, counts


# --- 3 and 4: pieces and words ---------------------------------------------------------------------------------------------


@triton.jit
def is_white(k):
    return (k == S) | (k == NL)


@triton.jit
def opens(data, classes, at, mask):
    """Whether an OTHER that begins at these places starts a piece."""
    k = tl.load(classes + at - 1, mask, 0) & _KIND
    return mask & (k != O) & (tl.load(data + at - 1, mask, 0x20) != 0x20)


@triton.jit
def short_ending(a):
    return (a == 0x73) | (a == 0x74) | (a == 0x6D) | (a == 0x64)


@triton.jit
def long_ending(a, b):
    return ((a == 0x72) | (a == 0x76)) & (b == 0x65) | (a == 0x6C) & (b == 0x6C)


@triton.jit
def mark_kernel(data, classes, pairs, cuts, marks, far, far_count, end, cut_shift, WEB: tl.constexpr, DIGITS: tl.constexpr, BLOCK: tl.constexpr):
    """What `piece_starts` says, then cuts where no piece starts. Places whose run is over RUN bytes go to `far`, taken for no start."""
    i = _FRAME + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < end
    here = byte_at(classes, i, inside)
    k, lead = here & _KIND, (here & _LEAD) != 0
    p = byte_at(classes, i - 1, inside) & _KIND
    byte, before = byte_at(data, i, inside), byte_at(data, i - 1, inside)
    blank = before == 0x20
    letter, white, number = lead & (k == L), lead & is_white(k), lead & (k == N)
    start = lead & (k == E) | lead & (k == O) & (p != O) & ~blank
    unknown = i < 0  # none

    # letters, and contractions around them
    fold: tl.constexpr = 0x20 if WEB else 0
    if WEB:
        start |= letter & (p != L) & (p != S) & (p != O)
    else:
        start |= letter & (p != L) & ~blank
    signed = letter & (p == O)
    if some(signed):
        if WEB:
            one = signed & (tl.load(classes + i - 1, signed, _LEAD) & _LEAD == 0)
            two = one & (tl.load(classes + i - 2, one, _LEAD) & _LEAD == 0)
            three = two & (tl.load(classes + i - 3, two, _LEAD) & _LEAD == 0)
            start |= signed & ~opens(data, classes, i - 1 - one.to(tl.int32) - two.to(tl.int32) - three.to(tl.int32), signed)
        else:
            contracted = signed & (before == 0x27)
            contracted = contracted & (short_ending(byte) | long_ending(byte, tl.load(data + i + 1, contracted, 0)))
            start &= ~opens(data, classes, i - 1, contracted)
    second, third = byte_at(data, i - 2, inside), byte_at(data, i - 3, inside)
    quoted = letter & ((second == 0x27) | (third == 0x27))
    if some(quoted):
        ended_short = quoted & (second == 0x27) & short_ending(before | fold)
        ended_long = quoted & (third == 0x27) & long_ending(second | fold, before | fold)
        if WEB:
            ended_long |= quoted & (third == 0x27) & (second == 0xC5) & (before == 0xBF)
        start |= opens(data, classes, i - 2, ended_short) | opens(data, classes, i - 3, ended_long)

    # white space
    size = tl.where(byte < 0x80, 1, tl.where(byte < 0xE0, 2, 3))  # no white space has four bytes
    follows = tl.load(classes + i + size, white, E) & _KIND
    last = ~is_white(follows) & (follows != E)
    if WEB:
        space = white & (k == S)
        start |= white & (k == NL) & ((p == L) | (p == N) | (p == E)) | space & (~is_white(p) | last)
        asked = space & (p == NL) & ~last
        if some(asked):
            j, going, steps = i - 1, asked, 0
            while (steps < _RUN) & some(going):  # back over line ends
                j = tl.where(going, j - 1, j)
                going = going & (tl.load(classes + j, going, 0) & _KIND == NL)
                steps += 1
            unknown |= going
            taken = asked & ~going & (tl.load(classes + j, asked, E) & _KIND == O)
            start |= taken
            asked = asked & ~going & ~taken
            j, going, steps = i, asked, 0
            while (steps < _RUN) & some(going):  # ahead over spaces
                j = tl.where(going, j + 1, j)
                going = going & (tl.load(classes + j, going, 0) & _KIND == S)
                steps += 1
            unknown |= going
            start |= asked & ~going & (tl.load(classes + j, asked, NL) & _KIND != NL)
    else:
        start |= white & (~is_white(p) | last)

    # numbers
    if DIGITS == 0:
        start |= number & (p != N) & ~blank
    elif DIGITS == 1:
        start |= number
    else:
        j, going, steps, place = i - 1, number & (p == N), 0, i * 0
        while (steps < _RUN) & some(going):
            c = tl.load(classes + j, going, 0)
            going = going & (c & _KIND == N)
            place += (going & (c & _LEAD != 0)).to(tl.int32)
            j = tl.where(going, j - 1, j)
            steps += 1
        unknown |= going
        start |= number & ~going & (place % DIGITS == 0)

    # cuts
    look = tl.load(pairs + (before << 8 | byte), inside & lead & ~start, 0)
    cut = look == 1
    look = look == 2
    if some(look):
        fourth = byte_at(data, i - 4, look)
        two, three, four = before >= 0x80, second & 0xC0 == 0x80, third & 0xC0 == 0x80  # bytes that the code point before has, at least
        three = two & three
        four = three & four
        left = decoded(
            tl.where(four, fourth, tl.where(three, third, tl.where(two, second, before))),
            tl.where(four, third, tl.where(three, second, before)),
            tl.where(four, second, before),
            before,
        )
        right = decoded(byte, byte_at(data, i + 1, look), byte_at(data, i + 2, look), byte_at(data, i + 3, look))
        bit = ((left.to(tl.uint64) << 21 | right.to(tl.uint64)) * _FIBONACCI >> cut_shift.to(tl.uint64)).to(tl.int32)
        held = tl.load(cuts + (bit >> 6), look, -1) >> (bit & 63).to(tl.int64) & 1
        cut |= look & (held == 0)
    tl.store(marks + i, tl.where(start, _PIECE, tl.where(cut, _WORD, 0)).to(tl.uint8), inside)
    append(far, far_count, i, unknown)


def mark(data: torch.Tensor, classes: torch.Tensor, tables: DeviceTables) -> torch.Tensor:
    marks, end = torch.empty_like(data), len(data) - FRAME
    marks[:FRAME] = marks[end:] = 0
    far, far_count = lists(data)
    pattern = tables.pattern
    mark_kernel[(triton.cdiv(end - FRAME, BYTES),)](
        data,
        classes,
        tables.pairs,
        tables.cuts,
        marks,
        far,
        far_count,
        end,
        tables.cut_shift,
        WEB=pattern.web,
        DIGITS=pattern.digits,
        BLOCK=BYTES,
        num_warps=1,
    )
    if rest := int(far_count):
        at = far[:rest].long()
        marks[at[plain.starts_after_runs(classes, at, pattern)]] = PIECE
    return marks


@triton.jit
def count_words_kernel(marks, counts, end, BLOCK: tl.constexpr):
    i = _FRAME + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(counts + tl.program_id(0), tl.sum((tl.load(marks + i, i < end, 0) != 0).to(tl.int32), 0))


@triton.jit
def write_words_kernel(marks, ends, starts, end, BLOCK: tl.constexpr):
    """ends[p]: words in blocks up to p."""
    i = _FRAME + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    m = tl.load(marks + i, i < end, 0)
    word = (m != 0).to(tl.int32)
    place = tl.load(ends + tl.program_id(0)) - tl.sum(word, 0) + tl.cumsum(word, 0) - 1
    tl.store(starts + place, i * 2 + (m == _PIECE).to(tl.int32), m != 0)


def word_starts(marks: torch.Tensor, end: int) -> torch.Tensor:
    grid = (triton.cdiv(end - FRAME, BLOCK),)
    counts = torch.empty(grid, dtype=torch.int32, device=marks.device)
    count_words_kernel[grid](marks, counts, end, BLOCK=BLOCK, num_warps=WARPS)
    ends = counts.cumsum(0, dtype=torch.int32)
    starts = torch.empty(int(ends[-1]) + 1, dtype=torch.int32, device=marks.device)
    write_words_kernel[grid](marks, ends, starts, end, BLOCK=BLOCK, num_warps=WARPS)
    starts[-1] = 2 * end + 1
    return starts


# --- 5 and 6: keys, and the table of words ---------------------------------------------------------------------------------


@triton.jit
def mixed(x, seed):
    x = (x ^ seed) * _FIBONACCI
    return (x ^ x >> 32) * _SECOND


@triton.jit
def low_bytes(number):
    """A mask of so many bytes, 0 to 8."""
    bits = tl.minimum(number, 7).to(tl.uint64) * 8
    one = tl.full([1], 1, tl.uint64)
    return tl.where(number >= 8, ~(one - one), (one << bits) - one)


@triton.jit
def look_up_kernel(data, starts, table, values, words, slot_shift, mask, seed, WHOLE_WORDS: tl.constexpr, BLOCK: tl.constexpr):
    w = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = w < words
    start, after = tl.load(starts + w, inside, 0), tl.load(starts + w + 1, inside, 0)
    at = start >> 1
    length = (after >> 1) - at
    first_byte = tl.load(data + at, inside, 0xFF)
    edge = first_byte >= _FIRST_EDGE
    short = inside & ~edge & (length <= _KEY_BYTES)
    content = data.to(tl.pointer_type(tl.uint64))
    word, shift = at >> 3, ((at & 7) << 3).to(tl.uint64)
    a, b = tl.load(content + word, short, 0), tl.load(content + word + 1, short, 0)
    c = tl.load(content + word + 2, short & ((at & 7) + length > 16), 0)
    first = (a >> shift | b << 1 << (63 - shift)) & low_bytes(length)
    second = (b >> shift | c << 1 << (63 - shift)) & low_bytes(tl.maximum(length - 8, 0))
    tag = length
    if WHOLE_WORDS:
        tag += _WHOLE * (start & after & 1)
    second |= tag.to(tl.uint64) << 56
    slot = (mixed(mixed(first, seed.to(tl.uint64)) ^ second, seed.to(tl.uint64)) >> slot_shift.to(tl.uint64)).to(tl.int64)
    value = tl.where(edge, tl.zeros([BLOCK], tl.int64), tl.where(short, _MISS, _LONG).to(tl.int64))
    rows = table.to(tl.pointer_type(tl.uint64))
    going = short
    while some(going):
        there = tl.load(rows + slot * 4 + 1, going, 0)
        hit = going & (there == second) & (tl.load(rows + slot * 4, going, 0) == first)
        value = tl.where(hit, tl.load(table + slot * 4 + 2, hit, 0), value)
        going = going & ~hit & (there != 0)
        slot = (slot + 1) & mask
    tl.store(values + w, value, inside)


def look_up(data: torch.Tensor, starts: torch.Tensor, table: torch.Tensor, seed: int, whole_words: bool) -> torch.Tensor:
    words = len(starts) - 1
    values = torch.empty(words, dtype=torch.int64, device=data.device)
    grid = (triton.cdiv(words, BLOCK),)
    look_up_kernel[grid](data, starts, table, values, words, slot_shift(table), len(table) - 1, seed, WHOLE_WORDS=whole_words, BLOCK=BLOCK, num_warps=WARPS)
    return values


def slot_shift(table: torch.Tensor) -> int:
    """What makes a slot of a hash."""
    return 64 - (len(table).bit_length() - 1)


@triton.jit
def insert_kernel(table, first, second, hashes, values, keys, slot_shift, mask, BLOCK: tl.constexpr):
    """Every lane claims a free slot by an atomic exchange, then writes its row: keys differ, so nobody reads what another writes."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    going = i < keys
    a, b, value = tl.load(first + i, going, 0), tl.load(second + i, going, 0), tl.load(values + i, going, 0)
    slot = (tl.load(hashes + i, going, 0).to(tl.uint64, bitcast=True) >> slot_shift.to(tl.uint64)).to(tl.int64)
    while some(going):
        taken = tl.atomic_xchg(table + slot * 4 + 3, 1 + tl.zeros([BLOCK], tl.int64), going)
        won = going & (taken == 0)
        tl.store(table + slot * 4, a, won)
        tl.store(table + slot * 4 + 1, b, won)
        tl.store(table + slot * 4 + 2, value, won)
        going = going & ~won
        slot = (slot + 1) & mask


def insert(table: torch.Tensor, first: torch.Tensor, second: torch.Tensor, hashes: torch.Tensor, values: torch.Tensor) -> None:
    if len(first):
        grid = (triton.cdiv(len(first), BLOCK),)
        insert_kernel[grid](
            table, first.contiguous(), second.contiguous(), hashes.contiguous(), values.contiguous(), len(first), slot_shift(table),
            len(table) - 1, BLOCK=BLOCK, num_warps=WARPS,
        )  # fmt: skip


# --- merging ---------------------------------------------------------------------------------------------------------------


@triton.jit
def merged_pair(left, right, merges, shift, mask, going):
    """`rank << 32 | id` of what two tokens make, or NO_PAIR."""
    key = left.to(tl.int64) << 32 | right.to(tl.int64)
    slot = (key.to(tl.uint64, bitcast=True) * _FIBONACCI >> shift.to(tl.uint64)).to(tl.int64)
    value = tl.zeros_like(key) + _NO_PAIR
    while tl.max(tl.ravel(going.to(tl.int32)), 0) > 0:
        there = tl.load(merges + slot * 2, going, -1)
        hit = going & (there == key)
        value = tl.where(hit, tl.load(merges + slot * 2 + 1, hit, 0), value)
        going = going & ~hit & (there != -1)
        slot = (slot + 1) & mask
    return value


@triton.jit
def merge_kernel(data, at, lengths, byte_ids, merges, shift, mask, all_ids, counts, words, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """ROWS words in registers, a token a lane. A step merges one pair of every word that still has one, and asks for two new ones."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < words
    start, left = tl.load(at + row, inside, 0), tl.load(lengths + row, inside, 0).to(tl.int32)
    column = tl.arange(0, WIDTH)[None, :] + tl.zeros([ROWS, 1], tl.int32)
    byte = tl.load(data + start[:, None] + column, column < left[:, None], 0)
    ids = tl.load(byte_ids + byte.to(tl.int32), column < left[:, None], 0)
    ahead = tl.minimum(column + 1, WIDTH - 1)
    pairs = merged_pair(ids, tl.gather(ids, ahead, 1), merges, shift, mask, column + 1 < left[:, None])
    best = tl.min(pairs, 1)
    while tl.min(best, 0) != _NO_PAIR:
        active = best != _NO_PAIR
        place = tl.min(tl.where(pairs == best[:, None], column, WIDTH), 1)
        place = tl.where(active, place, WIDTH)[:, None]
        source = tl.minimum(column + (column > place).to(tl.int32), WIDTH - 1)
        ids = tl.where(column == place, (best & 0xFFFF_FFFF).to(tl.int32)[:, None], tl.gather(ids, source, 1))
        left -= active.to(tl.int32)
        pairs = tl.gather(pairs, source, 1)
        new = (column == place) | (column + 1 == place)
        joined = merged_pair(ids, tl.gather(ids, ahead, 1), merges, shift, mask, new & (column + 1 < left[:, None]))
        pairs = tl.where(new | (column + 1 >= left[:, None]), joined, pairs)
        best = tl.min(pairs, 1)
    tl.store(all_ids + row[:, None].to(tl.int64) * WIDTH + column, ids, inside[:, None])
    tl.store(counts + row, left.to(tl.int64), inside)


def merge(data: torch.Tensor, at: torch.Tensor, lengths: torch.Tensor, width: int, tables: DeviceTables) -> tuple[torch.Tensor, torch.Tensor]:
    words = len(at)
    ids, counts = torch.empty(words, width, dtype=torch.int32, device=data.device), torch.empty(words, dtype=torch.int64, device=data.device)
    rows = merge_rows(width)
    if words:
        merge_kernel[(triton.cdiv(words, rows),)](
            data, at, lengths, tables.byte_ids, tables.merges, tables.merge_shift, len(tables.merges) - 1, ids, counts, words,
            ROWS=rows, WIDTH=width, num_warps=WARPS,
        )  # fmt: skip
    return ids, counts


def merge_rows(width: int) -> int:
    """Words a program."""
    return max(1, _TILE // width)


# --- 7: ids out ------------------------------------------------------------------------------------------------------------


@triton.jit
def ids_in(value):
    tag = (value & 3).to(tl.int32)
    return tl.where(tag > 0, tag, (value >> 2 & 0x1FFF_FFFF).to(tl.int32))


@triton.jit
def count_ids_kernel(values, counts, words, BLOCK: tl.constexpr):
    w = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(counts + tl.program_id(0), tl.sum(ids_in(tl.load(values + w, w < words, 0)), 0))


@triton.jit
def emit_kernel(values, ends, pool, ids, offsets, far, far_count, words, BLOCK: tl.constexpr):
    """ends[p]: ids in blocks up to p."""
    w = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = w < words
    value = tl.load(values + w, inside, 0)
    count, tag = ids_in(value), (value & 3).to(tl.int32)
    place = tl.load(ends + tl.program_id(0)) - tl.sum(count, 0) + tl.cumsum(count, 0) - count
    tl.store(offsets + w, place, inside)
    for i in tl.static_range(_INLINE):
        tl.store(ids + place + i, (value >> (2 + _ID_BITS * i) & _ID_MASK).to(ids.dtype.element_ty), inside & (tag > i))
    pooled = inside & (tag == 0) & (count > 0)
    source, near = (value >> 31).to(tl.int64), tl.where(pooled & (count <= _FAR_IDS), count, 0)
    most, i = tl.max(near, 0), 0
    while i < most:
        tl.store(ids + place + i, tl.load(pool + source + i, i < near, 0).to(ids.dtype.element_ty), i < near)
        i += 1
    append(far, far_count, w, pooled & (count > _FAR_IDS))


def emit(values: torch.Tensor, pool: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    words, device = len(values), values.device
    grid = (triton.cdiv(words, BLOCK),)
    counts = torch.empty(grid, dtype=torch.int32, device=device)
    count_ids_kernel[grid](values, counts, words, BLOCK=BLOCK, num_warps=WARPS)
    ends = counts.cumsum(0, dtype=torch.int32)
    total = int(ends[-1])
    ids, offsets = torch.empty(total, dtype=dtype, device=device), torch.empty(words + 1, dtype=torch.int32, device=device)
    far, far_count = lists(values)
    written: Any = ids.view(torch.int16) if dtype == torch.uint16 else ids
    emit_kernel[grid](values, ends, pool, written, offsets, far, far_count, words, BLOCK=BLOCK, num_warps=WARPS)
    offsets[-1] = total
    if rest := int(far_count):
        w = far[:rest].long()
        number = plain.counts_of(values[w])
        to, source = plain.ragged(offsets[w].long(), number), plain.ragged(values[w] >> 31, number)
        written[to] = pool[source].to(written.dtype)
    return ids, offsets.long()
