"""Eight bytes at a time: loads, hashes and searches in a buffer of bytes, for the other kernels. Nothing here knows Unicode."""

# mypy: disable-error-code="assignment,arg-type,return-value,index,operator,call-overload,misc"
# numba infers the types of compiled code itself; to mypy every NumPy number in it is a mistake.

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no stubs
from numba import njit, types
from numba.extending import intrinsic as _numba_intrinsic

intrinsic: Any = _numba_intrinsic  # to mypy a call lacks the typing context, which numba passes

_ONE = np.uint64(1)
_TWO = np.uint64(2)
_EIGHT = np.uint64(8)
_UPPER = np.uint8(0xDF)  # takes the case off an ASCII letter
_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xBF58476D1CE4E5B9)
_C = np.uint64(0x94D049BB133111EB)
_29 = np.uint64(29)
_32 = np.uint64(32)


@intrinsic
def load_8(_typing: Any, data: Any, _at: Any) -> Any:
    """The eight bytes from a place on as one little-endian number, aligned or not. The caller sees to it that they exist."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        word = builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()))
        word.align = 1
        return word

    return types.uint64(data, types.uint64), generate


@intrinsic
def match_64(_typing: Any, array: Any, _at: Any, _mask: Any, _value: Any) -> Any:
    """For the 64 entries of an array from a place on: which have `entry & mask == value`? One bit each, the first one lowest. They must exist.

    Said in vectors of LLVM's, so that it becomes a handful of instructions on any processor.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = context.make_array(signature.args[0])(context, builder, arguments[0])
        width = ir.IntType(signature.args[0].dtype.bitwidth)
        vector = ir.VectorType(width, 64)
        address = builder.gep(values.data, [arguments[1]])
        entries = builder.load(builder.bitcast(address, vector.as_pointer()))
        entries.align = 1

        def splat(number: Any) -> Any:
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
            return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

        same = builder.icmp_unsigned("==", builder.and_(entries, splat(arguments[2])), splat(arguments[3]))
        return builder.bitcast(same, ir.IntType(64))

    return types.uint64(array, types.uint64, array.dtype, array.dtype), generate


@intrinsic
def range_64(_typing: Any, array: Any, _at: Any, _or: Any, _low: Any, _span: Any) -> Any:
    """For the 64 bytes from a place on: which have `(byte | or) - low <= span`, modulo 256? One bit each, the first one lowest. They must exist."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = context.make_array(signature.args[0])(context, builder, arguments[0])
        vector = ir.VectorType(ir.IntType(8), 64)
        address = builder.gep(values.data, [arguments[1]])
        entries = builder.load(builder.bitcast(address, vector.as_pointer()))
        entries.align = 1

        def splat(number: Any) -> Any:
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
            return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

        shifted = builder.sub(builder.or_(entries, splat(arguments[2])), splat(arguments[3]))
        return builder.bitcast(builder.icmp_unsigned("<=", shifted, splat(arguments[4])), ir.IntType(64))

    return types.uint64(array, types.uint64, types.uint8, types.uint8, types.uint8), generate


@intrinsic
def prefetch(_typing: Any, array: Any, _at: Any) -> Any:
    """Ask for an entry of an array that will be read soon."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(values.data, [arguments[1]]), ir.IntType(8).as_pointer())
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), i32, i32, i32])
        call = builder.module.globals.get("llvm.prefetch.p0i8") or ir.Function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(call, [address, ir.Constant(i32, 0), ir.Constant(i32, 3), ir.Constant(i32, 1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


@intrinsic
def highest_bit(_typing: Any, _bits: Any) -> Any:
    """The place of the highest bit set; there is one."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.sub(ir.Constant(ir.IntType(64), 63), zeros)

    return types.uint64(types.uint64), generate


@intrinsic
def lowest_bit(_typing: Any, _bits: Any) -> Any:
    """The place of the lowest bit set; there is one."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@intrinsic
def bit_count(_typing: Any, _bits: Any) -> Any:
    """How many bits are set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit(cache=True, nogil=True)
def clear(array: np.ndarray, size: int) -> None:
    """Zero the first `size` entries (assigning to a slice is ten times slower here)."""
    for k in range(size):
        array[k] = 0


@njit(cache=True, nogil=True)
def mix(h: np.uint64) -> np.uint64:
    """Spread what differs over all 64 bits (the finisher of splitmix64)."""
    h = (h ^ (h >> np.uint64(30))) * _B
    h = (h ^ (h >> np.uint64(27))) * _C
    return h ^ (h >> np.uint64(31))


@njit(cache=True, nogil=True)
def load(data: np.ndarray, start: int, length: int) -> np.uint64:
    """At most eight bytes as one number, zeros where `length` ends; never reads outside the buffer."""
    if start + 8 <= data.size:
        word = load_8(data, np.uint64(start))
        return word if length >= 8 else word & ((_ONE << np.uint64(8 * length)) - _ONE)
    word = np.uint64(0)
    for k in range(min(length, 8)):
        word |= np.uint64(data[start + k]) << np.uint64(8 * k)
    return word


@njit(cache=True, nogil=True)
def hash_bytes(data: np.ndarray, start: int, stop: int) -> np.uint64:
    """A 64-bit hash of `data[start:stop]`, well spread in all its bits."""
    h = np.uint64(stop - start) * _A
    while stop - start > 8:
        h = (h ^ load_8(data, np.uint64(start))) * _C
        h ^= h >> _32
        start += 8
    return _finish(h, load(data, start, stop - start))


@njit(cache=True, nogil=True)
def hash_8(word: np.uint64, size: int) -> np.uint64:
    """`hash_bytes` of at most eight bytes that were loaded already."""
    return _finish(np.uint64(size) * _A, word)


@njit(cache=True, nogil=True)
def _finish(h: np.uint64, word: np.uint64) -> np.uint64:
    h = (h ^ word) * _B
    h ^= h >> _29
    h *= _C
    return h ^ (h >> _32)


@njit(cache=True, nogil=True)
def find(data: np.ndarray, start: int, stop: int, phrase: np.ndarray) -> int:
    """Where `phrase` (ASCII, lower case, its first three letters no marks) next stands in `data[start:stop]`, in any case, or -1.

    Asks 64 places at once whether the first three letters stand there, which they hardly ever do.
    """
    size = phrase.size
    one, two, three = phrase[0] & _UPPER, phrase[1] & _UPPER, phrase[2] & _UPPER
    at = start
    while at + 66 <= data.size and at + size <= stop:
        base = np.uint64(at)
        bits = match_64(data, base, _UPPER, one) & match_64(data, base + _ONE, _UPPER, two) & match_64(data, base + _TWO, _UPPER, three)
        while bits:
            here = at + np.int64(lowest_bit(bits))
            if here + size <= stop and _stands_at(data, here, phrase):
                return here
            bits &= bits - _ONE
        at += 64
    while at + size <= stop:
        if _stands_at(data, at, phrase):
            return at
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _stands_at(data: np.ndarray, at: int, phrase: np.ndarray) -> bool:
    k = 0
    while k < phrase.size and _lower(data[at + k]) == phrase[k]:
        k += 1
    return k == phrase.size


@njit(cache=True, nogil=True)
def _lower(byte: int) -> int:
    return byte | 32 if 65 <= byte <= 90 else byte


def frozen(array: np.ndarray) -> np.ndarray:
    """The same array, aligned and not writable: to numba a writable one is another type, and would be compiled for once more."""
    array = np.require(array, requirements=["C", "A"]).view()
    array.flags.writeable = False
    return array


def phrase(text: str) -> np.ndarray:
    """A phrase as `find` takes it."""
    return np.frombuffer(text.encode(), np.uint8).copy()
