"""Which tokens stand in which batch: a pure function of (seed, step), whatever was done before and by however many processes.

A release's schedule parts its documents into cells: documents of one domain that the schedule's slices treat alike. A cell's documents,
each behind a separator and as often as its `repeats` says, stand end to end in the release's order (which is by hash) and are cut into
rows; a pass over them takes the rows in an order by chance, a Feistel permutation of their numbers, so nothing is ever shuffled in memory.
Which cells a batch's rows come from is counted out beforehand: the shares of the schedule, exactly, in every stretch of steps. A later phase goes on in
each cell where the one before it stopped, so its data is fresh. Memory: 16 bytes for each document and repeat; the tokens stay mapped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xxhash

from pipeline.errors import PlanError, StoreError
from pipeline.mix import share_at
from pipeline.recipe import ScheduleSlice
from pipeline.token_shards import TokenRelease, Tokens

_MAIN: list[dict[str, Any]] = [{"name": "main", "tokens": 1.0, "slices": []}]  # the phases of a release without a schedule


@dataclass(frozen=True)
class Phase:
    """A stretch of steps with shares of its own."""

    name: str
    begin: int
    end: int
    slices: tuple[Mapping[str, Any], ...]


class Cell:
    """Documents of a domain that a schedule treats alike, as an endless row of rows."""

    def __init__(self, name: str, tokens: Tokens, documents: np.ndarray, length: int, separator: int, seed: int) -> None:
        """documents: their numbers, in order, as often as a pass has each. (n,) int64"""
        self.name, self.tokens, self.length, self.separator = name, tokens, length, separator
        self.documents = documents
        self.ends = np.cumsum(np.diff(tokens.offsets)[documents] + 1)  # where each one's tokens end, separators included
        self.seed = xxhash.xxh64_intdigest(name.encode(), seed)

    @property
    def size(self) -> int:
        """Tokens of a pass, separators included."""
        return int(self.ends[-1]) if len(self.ends) else 0

    @property
    def rows(self) -> int:
        """Rows of a pass."""
        return -(-self.size // self.length)

    def row(self, number: int) -> np.ndarray:
        """A row and the token behind it: what is read, and what is to be said. (length + 1,)"""
        turn, place = divmod(number, self.rows)
        begin = permuted(place, self.rows, self.seed ^ turn) * self.length
        return self.stretch(begin, begin + self.length + 1)

    def stretch(self, begin: int, end: int) -> np.ndarray:
        """Tokens from one place to another of the pass, which begins anew where it ends. (end - begin,)"""
        out = np.empty(end - begin, np.int64)
        filled = 0
        while filled < len(out):
            at = (begin + filled) % self.size
            k = int(np.searchsorted(self.ends, at, side="right"))
            ids = self.tokens.document(int(self.documents[k]))
            within = at - (int(self.ends[k]) - len(ids) - 1)  # 0: the separator
            if within == 0:
                out[filled] = self.separator
                filled += 1
                within = 1
            piece = ids[within - 1 : within - 1 + len(out) - filled]
            out[filled : filled + len(piece)] = piece
            filled += len(piece)
        return out


class Batches:
    """The batches of a run."""

    def __init__(self, tokens: TokenRelease, *, rows: int, length: int, steps: int, epochs: float, seed: int) -> None:
        """PlanError for a release without training tokens or validation, or whose tokenizer has no end of text; StoreError for ids outside its vocabulary."""
        if tokens.eos is None:
            raise PlanError(f"The tokenizer of {tokens.path} has no end-of-text token that is known, so documents could not be kept apart. Use another one.")
        if not tokens.domains("validation"):
            raise PlanError(
                f"{tokens.path} has no validation documents, so nothing would say whether the loss falls on text that was not trained on. "
                "Make the release with `release: {validation: 0.001}`, and tokenize it again."
            )
        self.tokens, self.rows_per_batch, self.length, self.seed = tokens, rows, length, seed
        self.eos = tokens.eos
        phases: list[dict[str, Any]] = tokens.schedule["phases"] if tokens.schedule else _MAIN
        self.slices = {s["name"]: s["select"] for phase in phases for s in phase["slices"]}
        self.masks: list[frozenset[str]] = []
        self.cells: list[Cell] = []
        for domain in tokens.domains("train"):
            of_domain = tokens.domain(domain)
            index = of_domain.index
            repeats = index.column("repeats").to_numpy()
            selected = {name: ScheduleSlice.model_validate({**select, "share": 0}).mask(index) for name, select in self.slices.items()}
            marks = sum((chosen.astype(np.int64) << i for i, chosen in enumerate(selected.values())), np.zeros(len(of_domain), np.int64))
            for mark in np.unique(marks):
                mask = frozenset(name for i, name in enumerate(selected) if mark >> i & 1)
                here = np.flatnonzero(marks == mark)
                cell = Cell("/".join([domain, *sorted(mask)]), of_domain, repeated(here, repeats[here]), length, self.eos, seed)
                if cell.size:
                    self.cells.append(cell)
                    self.masks.append(mask)
        if not self.cells:
            raise PlanError(f"{tokens.path} holds no training tokens.")
        whole = sum(cell.size for cell in self.cells)
        self.steps = steps or max(len(phases), round(epochs * whole / (rows * length)))
        self.phases = _phases(phases, self.steps)
        self.missing = sorted({s["name"] for p in phases for s in p["slices"]} - set().union(*self.masks))

    @cached_property
    def counts(self) -> np.ndarray:
        """Rows of each cell in all steps before each. (steps + 1, cells) int64"""
        counts = np.zeros((self.steps + 1, len(self.cells)), np.int64)
        owed = np.zeros(len(self.cells))
        for phase in self.phases:
            for step in range(phase.begin, phase.end):
                owed += self.shares(phase, (step + 0.5 - phase.begin) / (phase.end - phase.begin)) * self.rows_per_batch
                given = np.floor(owed + 1e-9).clip(0)
                short = self.rows_per_batch - int(given.sum())
                if short > 0:
                    given[np.argsort(given - owed, kind="stable")[:short]] += 1
                elif short < 0:
                    for k in np.argsort(np.where(given > 0, owed - given, np.inf), kind="stable")[:-short]:
                        given[k] -= 1
                owed -= given
                counts[step + 1] = counts[step] + given.astype(np.int64)
        return counts

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.array([cell.size for cell in self.cells], np.float64)

    def shares(self, phase: Phase, progress: float) -> np.ndarray:
        """The share of each cell at `progress` from 0 to 1 of a phase: a slice's among its cells by their tokens, and the rest among all others. (cells,)"""
        sizes = self._sizes
        shares, free, left = np.zeros(len(sizes)), np.ones(len(sizes), bool), 1.0
        for one in phase.slices:
            mine = free & np.array([one["name"] in mask for mask in self.masks])
            if mine.any():  # what has no documents leaves its share to the rest; `missing` says so
                share = share_at(one["share"], progress)
                shares[mine] = share * sizes[mine] / sizes[mine].sum()
                left -= share
                free &= ~mine
        if free.any():
            shares[free] = max(0.0, left) * sizes[free] / sizes[free].sum()
        if not shares.sum():
            raise PlanError(
                f"The phase '{phase.name}' of the schedule leaves nothing to train on: every document of {self.tokens.path} is in slices of share 0."
            )
        return shares / shares.sum()

    def __call__(self, step: int, process: int = 0, processes: int = 1) -> np.ndarray:
        """What is read and said at a step by one of some processes. (rows / processes, length + 1) int64"""
        before, after = self.counts[step], self.counts[step + 1]
        numbers = [(cell, number) for cell, a, b in zip(self.cells, before, after, strict=True) for number in range(int(a), int(b))]
        batch = np.stack([cell.row(number) for cell, number in numbers[process::processes]])
        if int(batch.max()) >= self.tokens.vocabulary:
            raise StoreError(
                f"{self.tokens.path} holds the id {int(batch.max()):,}, and its vocabulary ends at {self.tokens.vocabulary - 1:,}. Make the tokens anew with `tokenize`."
            )
        return batch

    def epochs(self) -> dict[str, float]:
        """How often the run passes over each cell."""
        return {cell.name: round(int(n) / cell.rows, 4) for cell, n in zip(self.cells, self.counts[-1], strict=True)}


def validation(tokens: TokenRelease, length: int, most: int) -> dict[str, np.ndarray]:
    """Rows of the release's own validation documents by domain, in order, of at most so many tokens. (rows, length + 1) each"""
    found = {}
    for domain in tokens.domains("validation"):
        held = tokens.domain(domain, "validation")
        if held.tokens:
            cell = Cell(domain, held, np.arange(len(held)), length, tokens.eos or 0, 0)
            found[domain] = np.stack([cell.stretch(n * length, (n + 1) * length + 1) for n in range(max(1, min(cell.size, most) // length))])
    return found


def repeated(documents: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    """Numbers of documents as often as each is to be used: all once, then those that are used twice, and so on. (sum of repeats,) int64"""
    return np.concatenate([documents[repeats > n] for n in range(int(repeats.max(initial=0)))] or [documents[:0]])


def _phases(phases: list[dict[str, Any]], steps: int) -> list[Phase]:
    """Phases by their steps: in proportion to their tokens, at least one each."""
    weights = np.cumsum([0, *(phase["tokens"] for phase in phases)], dtype=np.float64)
    edges = [round(steps * w / weights[-1]) for w in weights]
    for k in range(1, len(edges)):
        edges[k] = min(max(edges[k], edges[k - 1] + 1), steps - (len(edges) - 1 - k))
    return [Phase(p["name"], a, b, tuple(p["slices"])) for p, a, b in zip(phases, edges[:-1], edges[1:], strict=True)]


def permuted(place: int, size: int, seed: int) -> int:
    """Where a place stands in the order by chance of `size` places: a Feistel network over the next power of four, walked until it lands inside
    (Black and Rogaway 2002). O(1)."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    while True:
        left, right = place >> half, place & low
        for turn in range(4):
            left, right = right, left ^ xxhash.xxh64_intdigest(right.to_bytes(8, "little"), seed & (2**64 - 1) ^ turn) & low
        place = left << half | right
        if place < size:
            return place
