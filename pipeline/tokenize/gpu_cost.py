"""What the GPU engine costs, counted and not timed: instructions of the compiled kernels, bytes that each stage moves, and the bounds.

Triton compiles for a GPU that is not there, so registers, spills and instructions of each kernel are known on any machine. What a
byte of text needs of each stage (words, tokens, misses) is counted by running the engine in plain torch. From both follow two upper
bounds on speed: memory traffic over bandwidth, and instructions over issue slots. They are bounds by counting, not measurements:
latency, and the copies and launches between kernels, come on top.

    python -m pipeline.tokenize.gpu_cost TOKENIZER.json TEXT...        # each TEXT is one document

For skypile-65k on prose of all kinds, 5 and 7 MB: English has 0.212 words and 0.228 tokens a byte, 0.15 % of the words are over
KEY_BYTES, and an empty table misses 4.8 %; Chinese has 0.194 and 0.225, 2.2 % and 11 %. On a warm table that is 28 and 27 bytes of
traffic and some 800 instructions a byte of text (of which `mark` has 424 and `classify` 149, half of them in branches that a block of
ASCII does not take): an H200 at most 170 GB/s by memory and 37 GB/s by instructions. So instructions are what to save.
"""

# mypy: disable-error-code="import-untyped"
# Triton has no stubs.

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.tokenize import gpu_stages as plain
from pipeline.tokenize.bpe import Bpe
from pipeline.tokenize.gpu_tables import KEY_BYTES, UP_TO

H200_BANDWIDTH = 4.8e12  # bytes a second
H200_LANES = 132 * 4 * 32 * 1.755e9  # lanes that can be given an instruction, a second: multiprocessors × schedulers × warp × clock


@dataclass(frozen=True)
class Kernel:
    """One kernel as compiled for a target."""

    name: str
    registers: int  # a thread
    stack_bytes: int  # what did not fit into registers
    instructions: int  # in the code of one thread, every branch counted, loops once
    items: int  # bytes or words that one thread handles

    @property
    def each(self) -> float:
        """Instructions a byte, or a word."""
        return self.instructions / self.items


def kernels(capability: int = 90, listed: bool = True) -> list[Kernel]:
    """Every kernel with its real constants, compiled for a GPU that need not be there. Not listed: instructions are 0, and it is quick."""
    from triton import compile as build
    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    found = []
    for name, function, types, constants, warps, items in _sources():
        signature = {a: types.get(a, "constexpr") for a in function.arg_names}
        built = build(ASTSource(function, signature, constants), GPUTarget("cuda", capability, 32), {"num_warps": warps})
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            Path(file.name).write_bytes(built.asm["cubin"])
            asked = ["-res-usage", "-sass"] if listed else ["-res-usage"]
            said = subprocess.run([knobs.nvidia.cuobjdump.path, *asked, file.name], check=True, capture_output=True, text=True).stdout
        operations = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d\s+)?([A-Z][A-Z0-9_]+)", said)
        registers, stack = (int(re.search(rf"{key}:(\d+)", said)[1]) for key in ("REG", "STACK"))  # type: ignore[index]  # both are always there
        found.append(Kernel(name, registers, stack, sum(o != "NOP" for o in operations), items // (32 * warps)))
    return found


def _sources() -> list[tuple[str, Any, dict[str, str], dict[str, Any], int, int]]:
    """Name, kernel, types of arguments, constants, warps, and items a program."""
    from pipeline.tokenize import triton_kernels as k

    b, i, n = "*u8", "*i32", "*i64"
    one, many = ({"BLOCK": k.BYTES}, 1, k.BYTES), ({"BLOCK": k.BLOCK}, k.WARPS, k.BLOCK)
    marks = {"data": b, "classes": b, "pairs": b, "cuts": n, "marks": b, "far": i, "far_count": i, "end": "i32", "cut_shift": "i32"}
    looks = {"data": b, "starts": i, "table": n, "values": n, "words": "i32", "slot_shift": "i32", "mask": "i32", "seed": "i64"}
    merges = {"data": b, "at": n, "lengths": n, "byte_ids": i, "merges": n, "shift": "i32", "mask": "i32", "all_ids": i, "counts": n, "words": "i32"}
    emits = {"values": n, "ends": i, "pool": i, "offsets": i, "far": i, "far_count": i, "words": "i32"}
    inserts = {"table": n, "first": n, "second": n, "hashes": n, "values": n, "keys": "i32", "slot_shift": "i32", "mask": "i32"}
    widths = [1 << (up_to - 1).bit_length() for up_to in UP_TO]
    found: list[tuple[str, Any, dict[str, str], dict[str, Any], int, int]] = [
        ("lay_out", k.lay_out_kernel, {"content": b, "offsets": n, "first_texts": i, "data": b, "size": "i32"}, *many),
        ("beginnings", k.beginnings_kernel, {"data": b, "first_two": b, "found": i, "count": i, "size": "i32"}, *one),
        ("classify", k.classify_kernel, {"data": b, "classes": b, "counts": n, "byte_classes": b, "kinds": b, "size": "i32"}, *one),
        ("count_words", k.count_words_kernel, {"marks": b, "counts": i, "end": "i32"}, *many),
        ("write_words", k.write_words_kernel, {"marks": b, "ends": i, "starts": i, "end": "i32"}, *many),
        ("insert", k.insert_kernel, inserts, *many),
        ("count_ids", k.count_ids_kernel, {"values": n, "counts": i, "words": "i32"}, *many),
    ]
    for name, web, digits in (("gpt2", False, 0), ("llama3", True, 3), ("qwen2", True, 1)):
        found.append((f"mark, {name}", k.mark_kernel, marks, {"WEB": web, "DIGITS": digits, **one[0]}, *one[1:]))
    cases = (("words", False), ("whole words", True))
    found += [(f"look_up, {name}", k.look_up_kernel, looks, {"WHOLE_WORDS": whole, **many[0]}, *many[1:]) for name, whole in cases]
    for width in widths:
        rows = k.merge_rows(width)
        found.append((f"merge, {width} bytes", k.merge_kernel, merges, {"ROWS": rows, "WIDTH": width}, k.WARPS, rows * width))
    found += [(f"emit, {ids[1:]}", k.emit_kernel, {**emits, "ids": ids}, *many) for ids in ("*i16", "*i32")]
    return found


@dataclass(frozen=True)
class Counts:
    """What a byte of text asks of the engine."""

    words: float  # a byte
    tokens: float  # a byte
    long: float  # words over KEY_BYTES, over all words
    first_misses: float  # words that an empty table has to merge, over all words
    id_bytes: int


def count(bpe: Bpe, content: np.ndarray, offsets: np.ndarray) -> Counts:
    """Counted by the engine in plain torch, on the CPU."""
    import torch

    from pipeline.tokenize.gpu import GpuEngine

    engine = GpuEngine(bpe, "cpu")
    ids, _ = engine.encode(content, offsets)
    data, bounds = plain.lay_out(torch.from_numpy(np.array(content)), torch.from_numpy(offsets.astype(np.int64)))
    starts = plain.word_starts(plain.mark(data, plain.classify(data, engine.tables)[0], engine.tables), int(bounds[-1]) + 1)
    words = len(starts) - 1
    _, lengths, _ = plain.spans(starts, torch.arange(words), False)
    size = max(1, len(content))
    return Counts(words / size, len(ids) / size, float((lengths > KEY_BYTES).sum()) / words, engine.remembered / words, bpe.id_type.itemsize)


def traffic(c: Counts) -> dict[str, float]:
    """Bytes of memory traffic a byte of text, by stage, on a warm table; a sector of 32 bytes for each word looked up, as if from memory."""
    w = c.words
    return {
        "lay_out": 2,
        "beginnings": 1,
        "classify": 1 + 1,
        "mark": 2 + 1,
        "word_starts": 1 + 1 + 4 * w,
        "look_up": 1 + 4 * w + 32 * w + 8 * w,
        "resolve": (8 + 1 + 2) * w,  # to find out that nothing is missing
        "emit": 8 * w + 8 * w + 4 * w + c.tokens * c.id_bytes,
    }


def issue(c: Counts, pattern: str, built: list[Kernel]) -> dict[str, float]:
    """Instructions a byte of text, by stage, every branch taken and every loop once."""
    each = {k.name: k.each for k in built}
    return {
        "lay_out": each["lay_out"],
        "beginnings": each["beginnings"],
        "classify": each["classify"],
        "mark": each[f"mark, {pattern}"],
        "word_starts": each["count_words"] + each["write_words"],
        "look_up": each["look_up, words"] * c.words,
        "resolve": 8 * c.words,  # three elementwise passes of torch
        "emit": (each["count_ids"] + each[f"emit, {'i16' if c.id_bytes == 2 else 'i32'}"]) * c.words,
    }


def main() -> None:
    bpe = Bpe.read(Path(sys.argv[1]).read_bytes())
    texts = [Path(name).read_bytes() for name in sys.argv[2:]]
    c = count(bpe, np.frombuffer(b"".join(texts), np.uint8), np.append(0, np.cumsum([len(t) for t in texts])))
    built = kernels()
    for kernel in built:
        sys.stdout.write(f"{kernel.name:22} {kernel.registers:4} registers {kernel.stack_bytes:3} on the stack {kernel.each:7.1f} instructions each\n")
    sys.stdout.write(f"{c}\n")
    moved, issued = traffic(c), issue(c, bpe.pattern.name, built)
    for stage in moved:
        sys.stdout.write(f"{stage:12} {moved[stage]:6.2f} bytes {issued[stage]:7.1f} instructions a byte of text\n")
    memory, slots = H200_BANDWIDTH / sum(moved.values()) / 1e9, H200_LANES / sum(issued.values()) / 1e9
    sys.stdout.write(f"an H200 at most, by counting: {memory:.0f} GB/s by memory, {slots:.0f} GB/s by instructions\n")


if __name__ == "__main__":
    main()
