"""Learns the merges of byte-level BPE from counted pieces; compiled, and the same merges as Hugging Face `tokenizers`' trainer.

The most frequent pair of neighbours becomes a symbol, ties going to the smaller (left id, right id); then again. Which pieces
hold a pair is known from lists, so a merge costs what it changes. What one would not guess, and is theirs: counts of a pair
that was merged are not reset, so that it may be merged again (when its left or right symbol came about a second time, by another
merge that makes the same bytes), and then only in the pieces of the list that was popped.

With whole code points, a character is one symbol of the text from the beginning, but has no id yet: it is born when its bytes
have been merged, first to a prefix, then to the whole, and a pair enters the race when both its symbols have ids. That is what
merging bytes would do if only a prefix of a character might meet its next byte, and only whole characters each other. (Where an
entry is made in two ways beside a character that has no id yet the two might part; neither the twin nor 900 texts have shown it.)
"""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"

import numpy as np
from numba import njit

from pipeline.kernels.piece_counts import bytes_of
from pipeline.kernels.raw import hash_bytes, mix

NEVER = np.int32(1 << 30)  # the length of a symbol that cannot be born: too long for every merge
_MOST = 0x7FFFFFFF
LEAST = 2  # a pair that occurs less often is never merged
_GROUP = 1 << 25  # pairs to sort at once
_ONE = np.uint64(1)


# --- the counts of pairs: open addressing, rows of (pair + 1 or 0, count) ---


@njit(cache=True, nogil=True)
def _slot(table: np.ndarray, pair: int) -> int:
    """The row of a pair, or the empty one that it would take."""
    mask = np.uint64(table.shape[0] - 1)
    at = mix(np.uint64(pair)) & mask
    while table[at, 0] != 0 and table[at, 0] != pair + 1:
        at = (at + _ONE) & mask
    return np.int64(at)


@njit(cache=True, nogil=True)
def _with_room(table: np.ndarray, used: int, more: int) -> tuple[np.ndarray, int]:
    """The table, or a larger one without the pairs that are no more, so that `more` pairs fit."""
    if 5 * (used + more) <= 3 * table.shape[0]:
        return table, used
    alive = 0
    for k in range(table.shape[0]):
        alive += table[k, 0] != 0 and table[k, 1] != 0
    size = 1024
    while 2 * (alive + more) > size:
        size *= 2
    larger = np.zeros((size, 2), np.int64)
    for k in range(table.shape[0]):
        if table[k, 0] != 0 and table[k, 1] != 0:
            at = _slot(larger, table[k, 0] - 1)
            larger[at, 0], larger[at, 1] = table[k, 0], table[k, 1]
    return larger, alive


# --- the race: a binary heap of rows (count, order, entry); more first, then the smaller order ---


@njit(cache=True, nogil=True, inline="always")
def _before(heap: np.ndarray, a: int, b: int) -> bool:
    return heap[a, 0] > heap[b, 0] or (heap[a, 0] == heap[b, 0] and heap[a, 1] < heap[b, 1])


@njit(cache=True, nogil=True)
def _sink(heap: np.ndarray, size: int, at: int) -> None:
    count, order, entry = heap[at, 0], heap[at, 1], heap[at, 2]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _before(heap, child + 1, child):
            child += 1
        if count > heap[child, 0] or (count == heap[child, 0] and order <= heap[child, 1]):
            break
        heap[at, 0], heap[at, 1], heap[at, 2] = heap[child, 0], heap[child, 1], heap[child, 2]
        at = child
    heap[at, 0], heap[at, 1], heap[at, 2] = count, order, entry


@njit(cache=True, nogil=True)
def _push(heap: np.ndarray, size: int, count: int, order: int, entry: int) -> None:
    """Into row `size`, which exists, and up."""
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if heap[parent, 0] > count or (heap[parent, 0] == count and heap[parent, 1] < order):
            break
        heap[at, 0], heap[at, 1], heap[at, 2] = heap[parent, 0], heap[parent, 1], heap[parent, 2]
        at = parent
    heap[at, 0], heap[at, 1], heap[at, 2] = count, order, entry


@njit(cache=True, nogil=True)
def _grown(array: np.ndarray, used: int, more: int) -> np.ndarray:
    """The array, or a copy with room for `more` rows."""
    if used + more <= array.shape[0]:
        return array
    larger = np.empty((max(2 * array.shape[0], used + more), array.shape[1]), array.dtype)
    larger[:used] = array[:used]
    return larger


@njit(cache=True, nogil=True, inline="always")
def _order(ids: np.ndarray, left: int, right: int) -> int:
    """What decides between equal counts; a pair that waits for a birth comes first, to be put aside."""
    if ids[left] < 0 or ids[right] < 0:
        return -1
    return np.int64(ids[left]) << 32 | np.int64(ids[right])


# --- pieces -> symbols ---


@njit(cache=True, nogil=True)
def count_code_points(rows: np.ndarray, order: np.ndarray, pool: np.ndarray, starts: np.ndarray, code_points: np.ndarray) -> tuple[int, int]:
    """Add up how often each code point occurs in counted pieces; returns the room that `write_symbols` needs for code points, and for
    bytes. (0x110000,) int64
    """
    short = np.empty(16, np.uint8)
    room = room_of_bytes = 0
    for row in order:
        times = np.int64(rows[row, 2])
        data, i, end = bytes_of(rows, row, pool, starts, short)
        parts = 1 + times // _MOST
        room_of_bytes += parts * (2 + end - i)
        room += 2 * parts
        while i < end:
            point, size = _code_point(data, i)
            code_points[point] += times
            room += parts
            i += size
    return room, room_of_bytes


@njit(cache=True, nogil=True, inline="always")
def _code_point(data: np.ndarray, i: int) -> tuple[int, int]:
    lead = np.int64(data[i])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | np.int64(data[i + 1] & 0x3F), 2
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | np.int64(data[i + 1] & 0x3F) << 6 | np.int64(data[i + 2] & 0x3F), 3
    return (lead & 0x07) << 18 | np.int64(data[i + 1] & 0x3F) << 12 | np.int64(data[i + 2] & 0x3F) << 6 | np.int64(data[i + 3] & 0x3F), 4


@njit(cache=True, nogil=True)
def write_symbols(rows: np.ndarray, order: np.ndarray, pool: np.ndarray, starts: np.ndarray, symbol_of: np.ndarray, whole: bool, out: np.ndarray) -> int:
    """Write every counted piece of more than one symbol as (symbols, count, symbol, …); returns how much was written.

    symbol_of: of each code point if `whole`, else of each byte. A piece whose count is beyond int32 is written more than once.
    """
    short = np.empty(16, np.uint8)
    at = 0
    for row in order:
        times = np.int64(rows[row, 2])
        while times > 0:
            data, i, end = bytes_of(rows, row, pool, starts, short)
            head = at
            at += 2
            while i < end:
                point, size = _code_point(data, i) if whole else (np.int64(data[i]), 1)
                out[at] = symbol_of[point]
                at += 1
                i += size
            out[head], out[head + 1] = at - head - 2, min(times, _MOST)
            times -= _MOST
            if out[head] < 2:
                at = head
                break
    return at


# --- the lists of pieces that hold each pair ---


@njit(cache=True, nogil=True)
def _pairs_by_left(text: np.ndarray, symbols: int) -> np.ndarray:
    """How many pairs begin with each symbol. (symbols,) int64"""
    lefts = np.zeros(symbols, np.int64)
    at = 0
    while at < text.size:
        size = text[at]
        for k in range(at + 2, at + 1 + size):
            lefts[text[k]] += 1
        at += 2 + size
    return lefts


@njit(cache=True, nogil=True)
def _gather(text: np.ndarray, first: int, last: int, ends: np.ndarray, group: np.ndarray) -> None:
    """(right, place of the piece) of every pair whose left symbol is in [first, last), by left symbol; ends: where each one's begin, then end."""
    at = 0
    while at < text.size:
        size = text[at]
        for k in range(at + 2, at + 1 + size):
            s = text[k]
            if first <= s < last:
                e = ends[s - first]
                group[e, 0], group[e, 1] = text[k + 1], at
                ends[s - first] = e + 1
        at += 2 + size


@njit(cache=True, nogil=True)
def _all_lists(
    text: np.ndarray, lefts: np.ndarray, lengths: np.ndarray, ids: np.ndarray, lists: np.ndarray, max_bytes: int
) -> tuple[np.ndarray, int, np.ndarray, int, np.ndarray, int, np.ndarray, int, int]:
    """The counts of all pairs, and the race (not yet a heap), entries, lists, and rare pairs to begin with; each with how much is in use."""
    symbols = lefts.size
    table, used = np.zeros((1 << 12, 2), np.int64), 0
    heap, heap_size = np.empty((1 << 12, 3), np.int64), 0
    entries, entries_used = np.empty((1 << 12, 3), np.int64), 0
    aside, aside_used = np.empty((1 << 12, 2), np.int64), 0
    lists_used = np.int64(0)
    weight, listed, last_place = np.zeros(symbols, np.int64), np.zeros(symbols, np.int64), np.empty(symbols, np.int32)
    touched = np.empty(symbols, np.int32)
    first = 0
    while first < symbols:  # a group of left symbols at a time: bounds the memory
        last, in_group = first, np.int64(0)
        while last < symbols and (last == first or in_group + lefts[last] <= _GROUP):
            in_group += lefts[last]
            last += 1
        group = np.empty((in_group, 2), np.int32)
        ends = np.cumsum(lefts[first:last]) - lefts[first:last]
        if in_group:
            _gather(text, first, last, ends, group)
        begin = np.int64(0)
        for left in range(first, last):
            end = ends[left - first]
            n_touched = 0
            for e in range(begin, end):
                right, place = group[e, 0], group[e, 1]
                if weight[right] == 0:
                    touched[n_touched] = right
                    n_touched += 1
                    listed[right], last_place[right] = 0, -1
                weight[right] += text[place + 1]
                if last_place[right] != place:
                    last_place[right] = place
                    listed[right] += 1
            table, used = _with_room(table, used, n_touched)
            heap = _grown(heap, heap_size, n_touched)
            entries = _grown(entries, entries_used, n_touched)
            aside = _grown(aside, aside_used, n_touched)
            for t in range(n_touched):
                right = touched[t]
                count, places = weight[right], listed[right]
                weight[right], listed[right] = 0, -1  # from here on where the next of the list goes; -1: it has none
                if lengths[left] + lengths[right] > max_bytes:
                    continue
                pair = np.int64(left) << 32 | np.int64(right)
                s = _slot(table, pair)
                table[s, 0], table[s, 1] = pair + 1, count
                used += 1
                if count < LEAST and places == 1:
                    aside[aside_used, 0], aside[aside_used, 1] = pair, last_place[right]
                    aside_used += 1
                    continue
                entries[entries_used, 0], entries[entries_used, 1], entries[entries_used, 2] = pair, lists_used, places
                heap[heap_size, 0], heap[heap_size, 1], heap[heap_size, 2] = count, _order(ids, left, right), entries_used
                heap_size += 1
                entries_used += 1
                listed[right], last_place[right] = lists_used, -1
                lists_used += places
            for e in range(begin, end):
                right, place = group[e, 0], group[e, 1]
                if listed[right] >= 0 and last_place[right] != place:
                    last_place[right] = place
                    lists[listed[right]] = place
                    listed[right] += 1
            begin = end
        first = last
    return table, used, heap, heap_size, entries, entries_used, aside, aside_used, lists_used


# --- the merges ---


@njit(cache=True, nogil=True)
def learn(
    text: np.ndarray, ids: np.ndarray, lengths: np.ndarray, strings: np.ndarray, string_starts: np.ndarray,
    born_of: np.ndarray, first_child: np.ndarray, next_child: np.ndarray, node_counts: np.ndarray,
    symbols: int, next_id: int, limit: int, max_bytes: int,
) -> np.ndarray:  # fmt: skip
    """The merges in order, rows of (left, right, made) symbols, until `limit` ids are given. (merges, 3) int32

    text: what `write_symbols` wrote; it is used up. By symbol, with room for limit more: ids (-1: not born), lengths in bytes,
    where its bytes are in `strings`. A symbol below a character's lead byte, in the tree of their bytes: born_of (prefix, byte),
    first_child and next_child (-1: none), node_counts.
    """
    merges = np.empty((limit - next_id + 16, 3), np.int32)
    made = 0
    room = ids.size

    capacity = 1024
    while capacity < 4 * limit:
        capacity *= 2
    known = np.full(capacity, -1, np.int32)  # bytes of made symbols -> symbol
    known_mask = np.uint64(known.size - 1)

    weight_left, weight_right = np.zeros(room, np.int64), np.zeros(room, np.int64)
    listed_left, listed_right = np.zeros(room, np.int64), np.zeros(room, np.int64)
    last_left, last_right = np.full(room, -1, np.int32), np.full(room, -1, np.int32)
    touched_left, touched_right = np.empty(room, np.int32), np.empty(room, np.int32)
    slots = np.empty(2 * room, np.int64)
    events = np.empty((1024, 2), np.int32)
    events_right = np.empty((1024, 2), np.int32)

    aside_lists, aside_lists_used = np.empty((16, 4), np.int64), 0  # the same with lists: pair, begin, size, count
    waits = np.full(room, -1, np.int64)  # by symbol: the first entry that waits for its birth
    waits_next = np.empty((1 << 12, 1), np.int64)

    # An event of a merge takes a symbol away and adds two to lists; what is never written costs no memory.
    lefts = _pairs_by_left(text, symbols)
    total = lefts.sum()
    lists = np.empty(3 * total + 16, np.int32)
    table, used, heap, heap_size, entries, entries_used, aside, aside_used, lists_used = _all_lists(text, lefts, lengths, ids, lists, max_bytes)
    free_entry = np.int64(-1)

    # --- the first bytes of characters ---
    for node in range(symbols):
        if born_of[node, 0] >= 0 and born_of[node, 0] < 256 and node_counts[node] >= 1:
            heap = _grown(heap, heap_size, 1)
            entries = _grown(entries, entries_used, 1)
            entries[entries_used, 0], entries[entries_used, 1], entries[entries_used, 2] = 0, node, -1
            heap[heap_size, 0], heap[heap_size, 1] = node_counts[node], _order(ids, born_of[node, 0], born_of[node, 1])
            heap[heap_size, 2] = entries_used
            heap_size += 1
            entries_used += 1
    for k in range(heap_size // 2 - 1, -1, -1):
        _sink(heap, heap_size, k)

    exhausted = False
    while next_id < limit:
        if not exhausted and (heap_size == 0 or heap[0, 0] < LEAST):
            # They too would look at the rare pairs now, whose counts may have risen since.
            exhausted = True
            heap = _grown(heap, heap_size, aside_used + aside_lists_used)
            entries = _grown(entries, entries_used, aside_used + aside_lists_used)
            lists_more = np.empty(lists_used + aside_used + 3 * total + 16, np.int32)
            lists_more[:lists_used] = lists[:lists_used]
            lists = lists_more
            for k in range(aside_used + aside_lists_used):
                count = np.int64(1)
                if k < aside_used:
                    entries[entries_used, 0], entries[entries_used, 1], entries[entries_used, 2] = aside[k, 0], lists_used, 1
                    lists[lists_used] = aside[k, 1]
                    lists_used += 1
                else:
                    for c in range(3):
                        entries[entries_used, c] = aside_lists[k - aside_used, c]
                    count = aside_lists[k - aside_used, 3]
                left, right = entries[entries_used, 0] >> 32, entries[entries_used, 0] & 0xFFFFFFFF
                _push(heap, heap_size, count, _order(ids, left, right), entries_used)
                heap_size += 1
                entries_used += 1
            aside_used = aside_lists_used = 0
        if heap_size == 0:
            break

        # --- the first of the race ---
        count, order, entry = heap[0, 0], heap[0, 1], heap[0, 2]
        heap_size -= 1
        if heap_size:
            heap[0, 0], heap[0, 1], heap[0, 2] = heap[heap_size, 0], heap[heap_size, 1], heap[heap_size, 2]
            _sink(heap, heap_size, 0)
        pair, begin, size = entries[entry, 0], entries[entry, 1], entries[entry, 2]

        if size < 0:  # a prefix of a character, or a character
            if count < LEAST:
                break
            node = begin
            ids[node] = next_id
            next_id += 1
            merges = _grown(merges, made, 1)
            merges[made, 0], merges[made, 1], merges[made, 2] = born_of[node, 0], born_of[node, 1], node
            made += 1
            child = first_child[node]
            while child >= 0:
                heap = _grown(heap, heap_size, 1)
                entries = _grown(entries, entries_used, 1)
                entries[entries_used, 0], entries[entries_used, 1], entries[entries_used, 2] = 0, child, -1
                _push(heap, heap_size, node_counts[child], _order(ids, node, born_of[child, 1]), entries_used)
                heap_size += 1
                entries_used += 1
                child = next_child[child]
            waiting, waits[node] = waits[node], -1
            while waiting >= 0:
                later = waits_next[waiting, 0]
                left, right = entries[waiting, 0] >> 32, entries[waiting, 0] & 0xFFFFFFFF
                now = table[_slot(table, entries[waiting, 0]), 1]
                heap = _grown(heap, heap_size, 1)
                _push(heap, heap_size, now, _order(ids, left, right), waiting)
                heap_size += 1
                waiting = later
            continue

        left, right = pair >> 32, pair & 0xFFFFFFFF
        now = np.int64(0)
        s = _slot(table, pair)
        if table[s, 0] != 0:
            now = table[s, 1]
        if now != count:
            if now < LEAST and not exhausted:
                aside_lists = _grown(aside_lists, aside_lists_used, 1)
                for c in range(3):
                    aside_lists[aside_lists_used, c] = entries[entry, c]
                aside_lists[aside_lists_used, 3] = now
                aside_lists_used += 1
                entries[entry, 0], free_entry = free_entry, entry
            else:
                _push(heap, heap_size, now, _order(ids, left, right), entry)
                heap_size += 1
            continue
        if order < 0:
            if ids[left] >= 0 and ids[right] >= 0:
                _push(heap, heap_size, count, _order(ids, left, right), entry)
                heap_size += 1
            else:
                unborn = right if ids[left] >= 0 else left
                waits_next = _grown(waits_next, waits_next.shape[0], max(0, entry + 1 - waits_next.shape[0]))
                waits_next[entry, 0], waits[unborn] = waits[unborn], entry
            continue
        if count < LEAST:
            break

        # --- the symbol that they make, new or known ---
        length = lengths[left] + lengths[right]
        end = string_starts[symbols]
        if end + length > strings.size:
            strings = np.concatenate((strings, np.empty(strings.size + length, np.uint8)))
        for k in range(lengths[left]):
            strings[end + k] = strings[string_starts[left] + k]
        for k in range(lengths[right]):
            strings[end + lengths[left] + k] = strings[string_starts[right] + k]
        h = hash_bytes(strings, end, end + length) & known_mask
        new = np.int64(-1)
        while known[h] >= 0:
            other = known[h]
            if lengths[other] == length:
                k = 0
                while k < length and strings[string_starts[other] + k] == strings[end + k]:
                    k += 1
                if k == length:
                    new = np.int64(other)
                    break
            h = (h + _ONE) & known_mask
        if new < 0:
            new = symbols
            known[h] = new
            ids[new] = next_id
            lengths[new] = length
            string_starts[new + 1] = end + length
            symbols += 1
            next_id += 1
        merges = _grown(merges, made, 1)
        merges[made, 0], merges[made, 1], merges[made, 2] = left, right, new
        made += 1

        # --- every piece of the list: replace the pair, and note who stood beside it ---
        longest = max_bytes - length
        n_left = n_right = 0
        found_left = found_right = 0
        for e in range(begin, begin + size):
            place = lists[e]
            stop = place + 2 + text[place]
            i = place + 2
            while i + 1 < stop and not (text[i] == left and text[i + 1] == right):
                i += 1
            if i + 1 >= stop:
                continue
            times = np.int64(text[place + 1])
            events = _grown(events, found_left, text[place])
            events_right = _grown(events_right, found_right, text[place])
            j = i
            while i < stop:
                if i + 1 < stop and text[i] == left and text[i + 1] == right:
                    if j > place + 2:
                        p = text[j - 1]
                        if weight_left[p] == 0:
                            touched_left[n_left] = p
                            n_left += 1
                        weight_left[p] += times
                        if last_left[p] != place and lengths[p] <= longest:
                            last_left[p] = place
                            listed_left[p] += 1
                            events[found_left, 0], events[found_left, 1] = p, place
                            found_left += 1
                    text[j] = new
                    i += 2
                    if i < stop:
                        p = text[i]
                        if weight_right[p] == 0:
                            touched_right[n_right] = p
                            n_right += 1
                        weight_right[p] += times
                        if last_right[p] != place and lengths[p] <= longest:
                            last_right[p] = place
                            listed_right[p] += 1
                            events_right[found_right, 0], events_right[found_right, 1] = p, place
                            found_right += 1
                else:
                    text[j] = text[i]
                    i += 1
                j += 1
            text[place] = j - place - 2
        entries[entry, 0], free_entry = free_entry, entry

        # --- counts: the old neighbours' pairs lose, the new ones' gain ---
        table, used = _with_room(table, used, n_left + n_right)
        for t in range(n_left + n_right):  # gains first: what a pair gains and loses in one merge must meet
            p = np.int64(touched_left[t] if t < n_left else touched_right[t - n_left])
            if t < n_left and listed_left[p]:
                pair, gain = p << 32 | new, weight_left[p]
            elif t >= n_left and listed_right[p]:
                pair, gain = new << 32 | p, weight_right[p]
            else:
                continue
            s = _slot(table, pair)
            used += table[s, 0] == 0
            table[s, 0] = pair + 1
            table[s, 1] += gain
            slots[t] = s
        for t in range(n_left):
            s = _slot(table, np.int64(touched_left[t]) << 32 | left)
            if table[s, 0] != 0:
                table[s, 1] -= weight_left[touched_left[t]]
        for t in range(n_right):
            s = _slot(table, right << 32 | np.int64(touched_right[t]))
            if table[s, 0] != 0:
                table[s, 1] -= weight_right[touched_right[t]]

        # --- the new pairs enter the race, each with its list ---
        heap = _grown(heap, heap_size, n_left + n_right)
        entries = _grown(entries, entries_used, n_left + n_right)
        aside = _grown(aside, aside_used, n_left + n_right)
        twice = listed_left[new] > 0 and listed_right[new] > 0  # the pair of the new symbol and itself has one list of both
        for t in range(n_left + n_right):
            from_left = t < n_left
            p = np.int64(touched_left[t] if from_left else touched_right[t - n_left])
            listed = listed_left[p] if from_left else listed_right[p]
            if listed == 0:
                continue
            if p == new and twice:
                if not from_left:
                    continue
                listed = listed_left[p] + listed_right[p]
            count = table[slots[t], 1]
            pair = p << 32 | new if from_left else new << 32 | p
            keep = count >= LEAST or (exhausted and count > 0)
            if keep or (count > 0 and listed > 1):
                if keep:
                    entry = free_entry
                    if entry < 0:
                        entry = np.int64(entries_used)
                        entries_used += 1
                    else:
                        free_entry = entries[entry, 0]
                    entries[entry, 0], entries[entry, 1], entries[entry, 2] = pair, lists_used, listed
                    order = _order(ids, p, new) if from_left else _order(ids, new, p)
                    _push(heap, heap_size, count, order, entry)
                    heap_size += 1
                else:
                    aside_lists = _grown(aside_lists, aside_lists_used, 1)
                    aside_lists[aside_lists_used, 0], aside_lists[aside_lists_used, 1] = pair, lists_used
                    aside_lists[aside_lists_used, 2], aside_lists[aside_lists_used, 3] = listed, count
                    aside_lists_used += 1
                if from_left:
                    if p == new and twice:
                        listed_right[p] = lists_used + listed_left[p]
                    listed_left[p] = lists_used
                else:
                    listed_right[p] = lists_used
                lists_used += listed
            else:
                if count > 0:
                    aside[aside_used, 0], aside[aside_used, 1] = pair, last_left[p] if from_left else last_right[p]
                    aside_used += 1
                if from_left:
                    listed_left[p] = -1
                if not from_left or (p == new and twice):
                    listed_right[p] = -1
        for e in range(found_left):
            p = events[e, 0]
            if listed_left[p] >= 0:
                lists[listed_left[p]] = events[e, 1]
                listed_left[p] += 1
        for e in range(found_right):
            p = events_right[e, 0]
            if listed_right[p] >= 0:
                lists[listed_right[p]] = events_right[e, 1]
                listed_right[p] += 1
        for t in range(n_left):
            p = touched_left[t]
            weight_left[p], listed_left[p], last_left[p] = 0, 0, -1
        for t in range(n_right):
            p = touched_right[t]
            weight_right[p], listed_right[p], last_right[p] = 0, 0, -1
    return merges[:made]


def warm() -> None:
    """Compile or load everything here."""
    rows, pool, starts = np.zeros((16, 3), np.uint64), np.empty(8, np.uint8), np.zeros(2, np.int64)
    rows[0, 0], rows[0, 1], rows[0, 2] = int.from_bytes(b"abab", "little"), 4 << 56, 1
    order, text = np.zeros(1, np.int64), np.empty(16, np.int32)
    count_code_points(rows, order, pool, starts, np.zeros(0x110000, np.int64))
    used = write_symbols(rows, order, pool, starts, np.arange(256, dtype=np.int32), True, text)
    room = 256 + 4
    ids, lengths, string_starts = np.arange(room, dtype=np.int32), np.ones(room, np.int32), np.arange(room + 1)
    nothing = np.full(256, -1, np.int32)
    learn(
        text[:used],
        ids,
        lengths,
        np.zeros(1024, np.uint8),
        string_starts,
        np.full((256, 2), -1, np.int32),
        nothing,
        nothing,
        np.zeros(256, np.int64),
        256,
        256,
        258,
        32,
    )
