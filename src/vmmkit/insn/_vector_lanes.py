# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What vector instructions compute, lane by lane; `csrc/vector_lanes.c` is the same.

The functions are those of `opcodes.vector_operations`. A lane is an integer from 0 on.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Final, Literal

__all__ = ["BLOCKS", "LANES", "join", "saturated", "saturated_unsigned", "signed", "split"]

CODES: Final[dict[int, Literal["B", "H", "I", "Q"]]] = {1: "B", 2: "H", 4: "I", 8: "Q"}

LaneFunction = Callable[[int, int, int], int]
"""Lanes of the two sources and the lane's width in bits, to a lane."""
BlockFunction = Callable[[memoryview, memoryview, int, int, int], int]
"""Lanes of the two sources' blocks, immediate, place, number of the block, to a lane."""


def split(value: int, lane: int, width: int) -> memoryview:
    """Lanes of a vector, lowest first."""
    return memoryview(value.to_bytes(width, "little")).cast(CODES[lane])


def join(lanes: Sequence[int], lane: int) -> int:
    """The vector of some lanes."""
    return int.from_bytes(array(CODES[lane], lanes).tobytes(), "little")


def signed(value: int, bits: int) -> int:
    """A lane as a two's complement number."""
    sign = 1 << bits - 1
    return (value ^ sign) - sign


def saturated(value: int, bits: int) -> int:
    """The nearest signed number of `bits`, as a lane."""
    sign = 1 << bits - 1
    return max(-sign, min(sign - 1, value)) & (1 << bits) - 1


def saturated_unsigned(value: int, bits: int) -> int:
    """The nearest unsigned number of `bits`."""
    return max(0, min((1 << bits) - 1, value))


def _on_signed(operation: Callable[[int, int], int]) -> LaneFunction:
    def compute(a: int, b: int, bits: int) -> int:
        return operation(signed(a, bits), signed(b, bits)) & (1 << bits) - 1

    return compute


def _saturating(operation: Callable[[int, int], int]) -> LaneFunction:
    return lambda a, b, bits: saturated(operation(signed(a, bits), signed(b, bits)), bits)


def _parts(value: int, bits: int, part: int) -> list[int]:
    return [value >> at & (1 << part) - 1 for at in range(0, bits, part)]


def _multiply_add(a: int, b: int, bits: int) -> int:
    pairs = zip(_parts(a, bits, 16), _parts(b, bits, 16), strict=True)
    return sum(signed(x, 16) * signed(y, 16) for x, y in pairs) & (1 << bits) - 1


def _multiply_add_bytes(a: int, b: int, bits: int) -> int:
    pairs = zip(_parts(a, bits, 8), _parts(b, bits, 8), strict=True)
    return saturated(sum(x * signed(y, 8) for x, y in pairs), bits)


def _sum_differences(a: int, b: int, bits: int) -> int:
    return sum(abs(x - y) for x, y in zip(_parts(a, bits, 8), _parts(b, bits, 8), strict=True))


def _sign(a: int, b: int, bits: int) -> int:
    if not b:
        return 0
    return -a & (1 << bits) - 1 if b >> bits - 1 else a


def _shift_signed(a: int, b: int, bits: int) -> int:
    return signed(a, bits) >> min(b, bits - 1) & (1 << bits) - 1


def _rotate_left(a: int, b: int, bits: int) -> int:
    b %= bits
    return (a << b | a >> bits - b) & (1 << bits) - 1


LANES: Final[dict[str, LaneFunction]] = {
    "ADD": lambda a, b, bits: a + b & (1 << bits) - 1,
    "SUBTRACT": lambda a, b, bits: a - b & (1 << bits) - 1,
    "ADD_SIGNED": _saturating(lambda a, b: a + b),
    "ADD_UNSIGNED": lambda a, b, bits: saturated_unsigned(a + b, bits),
    "SUBTRACT_SIGNED": _saturating(lambda a, b: a - b),
    "SUBTRACT_UNSIGNED": lambda a, b, bits: saturated_unsigned(a - b, bits),
    "MINIMUM_SIGNED": _on_signed(min),
    "MINIMUM_UNSIGNED": lambda a, b, _: min(a, b),
    "MAXIMUM_SIGNED": _on_signed(max),
    "MAXIMUM_UNSIGNED": lambda a, b, _: max(a, b),
    "AVERAGE": lambda a, b, _: a + b + 1 >> 1,
    "EQUAL": lambda a, b, bits: (1 << bits) - 1 if a == b else 0,
    "GREATER": _on_signed(lambda a, b: -(a > b)),
    "AND": lambda a, b, _: a & b,
    "AND_NOT": lambda a, b, _: ~a & b,
    "OR": lambda a, b, _: a | b,
    "XOR": lambda a, b, _: a ^ b,
    "COMMON": lambda a, b, _: a & b,
    "NOTHING_COMMON": lambda a, b, _: not a & b,
    "MULTIPLY_LOW": lambda a, b, bits: a * b & (1 << bits) - 1,
    "MULTIPLY_HIGH_SIGNED": _on_signed(lambda a, b: a * b >> 16),
    "MULTIPLY_HIGH_UNSIGNED": lambda a, b, _: a * b >> 16,
    "MULTIPLY_ROUNDED": _on_signed(lambda a, b: (a * b >> 14) + 1 >> 1),
    "MULTIPLY_EVEN_SIGNED": lambda a, b, bits: (
        signed(a & 0xFFFF_FFFF, 32) * signed(b & 0xFFFF_FFFF, 32) & (1 << bits) - 1
    ),
    "MULTIPLY_EVEN_UNSIGNED": lambda a, b, _: (a & 0xFFFF_FFFF) * (b & 0xFFFF_FFFF),
    "MULTIPLY_ADD": _multiply_add,
    "MULTIPLY_ADD_BYTES": _multiply_add_bytes,
    "SUM_DIFFERENCES": _sum_differences,
    "SIGN": _sign,
    "ABSOLUTE": lambda _, b, bits: abs(signed(b, bits)),
    "SHIFT_LEFT": lambda a, b, bits: a << b & (1 << bits) - 1 if b < bits else 0,
    "SHIFT_RIGHT": lambda a, b, bits: a >> b if b < bits else 0,
    "SHIFT_SIGNED": _shift_signed,
    "ROTATE_LEFT": _rotate_left,
    "ROTATE_RIGHT": lambda a, b, bits: _rotate_left(a, -b, bits),
}


def _unpack_high(a: memoryview, b: memoryview, _imm: int, place: int, _block: int) -> int:
    return (b if place & 1 else a)[(len(a) + place) // 2]


def _shuffle_two(a: memoryview, b: memoryview, imm: int, place: int, block: int) -> int:
    source = b if place >= len(a) // 2 else a
    if len(a) == 2:
        return source[imm >> 2 * block + place & 1]
    return source[imm >> 2 * place & 3]


def _shuffle_low(_a: memoryview, b: memoryview, imm: int, place: int, _block: int) -> int:
    return b[imm >> 2 * place & 3] if place < 4 else b[place]


def _shuffle_high(_a: memoryview, b: memoryview, imm: int, place: int, _block: int) -> int:
    return b[4 + (imm >> 2 * (place - 4) & 3)] if place >= 4 else b[place]


def _shuffle_bytes(a: memoryview, b: memoryview, _imm: int, place: int, _block: int) -> int:
    return 0 if b[place] & 0x80 else a[b[place] & len(a) - 1]


def _align(a: memoryview, b: memoryview, imm: int, place: int, _block: int) -> int:
    at = imm + place
    if at < len(a):
        return b[at]
    return a[at - len(a)] if at < 2 * len(a) else 0


def _packed(a: memoryview, b: memoryview, place: int) -> tuple[int, int]:
    """The two lanes of `place` in a pack's sources as one signed number; bits of a result lane."""
    bits, half = 8 * a.itemsize, len(a) // 2
    source, at = (b, place - half) if place >= half else (a, place)
    return signed(source[2 * at] | source[2 * at + 1] << bits, 2 * bits), bits


def _blend(a: memoryview, b: memoryview, imm: int, place: int, block: int) -> int:
    return (b if imm >> (block * len(a) + place & 7) & 1 else a)[place]


def _paired(operation: Callable[[int, int], int], *, saturates: bool) -> BlockFunction:
    """Neighbours of one source, those of the first in the lower half."""

    def compute(a: memoryview, b: memoryview, _imm: int, place: int, _block: int) -> int:
        bits, half = 8 * a.itemsize, len(a) // 2
        source, at = (b, place - half) if place >= half else (a, place)
        result = operation(signed(source[2 * at], bits), signed(source[2 * at + 1], bits))
        return saturated(result, bits) if saturates else result & (1 << bits) - 1

    return compute


def _byte(lanes: memoryview, at: int) -> int:
    return int(lanes[at // 2]) >> 8 * (at & 1) & 0xFF


def _sum_blocks(a: memoryview, b: memoryview, imm: int, place: int, block: int) -> int:
    """MPSADBW: four bytes of the last source against those from `place` on of the first."""
    control = imm >> 3 * block
    first, other = (control & 4) + place, 4 * (control & 3)
    return sum(abs(_byte(a, first + at) - _byte(b, other + at)) for at in range(4))


BLOCKS: Final[dict[str, BlockFunction]] = {
    "UNPACK_LOW": lambda a, b, _imm, place, _: (b if place & 1 else a)[place // 2],
    "UNPACK_HIGH": _unpack_high,
    "SHUFFLE": lambda _a, b, imm, place, _: b[imm >> 2 * place & 3],
    "SHUFFLE_LOW": _shuffle_low,
    "SHUFFLE_HIGH": _shuffle_high,
    "SHUFFLE_TWO": _shuffle_two,
    "SHUFFLE_BYTES": _shuffle_bytes,
    "ALIGN": _align,
    "BYTES_LEFT": lambda _a, b, imm, place, _: b[place - imm] if place >= imm else 0,
    "BYTES_RIGHT": lambda _a, b, imm, place, _: b[place + imm] if place + imm < 16 else 0,
    "PACK_SIGNED": lambda a, b, _imm, place, _: saturated(*_packed(a, b, place)),
    "PACK_UNSIGNED": lambda a, b, _imm, place, _: saturated_unsigned(*_packed(a, b, place)),
    "DUPLICATE_LOW": lambda _a, b, _imm, place, _: b[place & ~1],
    "DUPLICATE_HIGH": lambda _a, b, _imm, place, _: b[place | 1],
    "BLEND": _blend,
    "ADD_PAIRS": _paired(lambda x, y: x + y, saturates=False),
    "ADD_PAIRS_SIGNED": _paired(lambda x, y: x + y, saturates=True),
    "SUBTRACT_PAIRS": _paired(lambda x, y: x - y, saturates=False),
    "SUBTRACT_PAIRS_SIGNED": _paired(lambda x, y: x - y, saturates=True),
    "SUM_BLOCKS": _sum_blocks,
}
