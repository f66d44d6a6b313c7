# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What VEX, EVEX and REX2 prefixes say; `csrc/decode_prefix.c` is the same.

SDM vol. 2A, "Intel Advanced Vector Extensions (Intel AVX)" (VEX) and "Intel AVX-512 Encoding"
(EVEX), and the architecture specification of Intel Advanced Performance Extensions (REX2). Each
says which opcode map follows and carries the bits of a REX prefix, most of them inverted; outside
64-bit mode there are eight registers and the bits that would name more are ignored.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vmmkit.insn._record import MASK_BITS, REX_BITS
from vmmkit.insn.optable import EVEX_MAPS, VEX_MAPS

__all__ = ["REX2_REFUSED", "VectorPrefix", "evex", "vex2", "vex3"]

B, X, R, W = (REX_BITS[name] for name in "BXRW")
R4: Final = REX_BITS["R4"]
MAPS_OF_VEX: Final = {1: VEX_MAPS["0F"], 2: VEX_MAPS["0F38"], 3: VEX_MAPS["0F3A"]}
MAPS_OF_EVEX: Final = {
    1: EVEX_MAPS["0F"],
    2: EVEX_MAPS["0F38"],
    3: EVEX_MAPS["0F3A"],
    5: EVEX_MAPS["MAP5"],
    6: EVEX_MAPS["MAP6"],
}

# Rows of the opcode map (bits 7:4 of the opcode, as bits) that REX2 may not stand before, by map;
# the prefixes among the one-byte opcodes are refused one by one.
REX2_REFUSED: Final = (1 << 0x4 | 1 << 0x7 | 1 << 0xA | 1 << 0xE, 1 << 0x3 | 1 << 0x8)


class VectorPrefix(NamedTuple):
    """A VEX or EVEX prefix, taken apart."""

    map: int
    """Number of the opcode map in the table, -1 for one that is not there."""
    rex: int
    prefix: int
    """Number of the mandatory prefix in `optable.PREFIXES`."""
    vvvv: int
    length: int
    """0 for 128 bits, 1 for 256, 2 for 512, 3 reserved."""
    mask: int


def _registers(inverted: int, mode: int) -> int:
    """R, X and B from bits 7:5, inverted; there are none outside 64-bit mode."""
    if mode != 64:
        return 0
    low = ~inverted >> 5
    return (low & 4) | (low & 2) | (low & 1)


def vex2(first: int, mode: int) -> VectorPrefix:
    """The byte after C5: R vvvv L pp."""
    rex = R if mode == 64 and not first & 0x80 else 0
    vvvv = ~first >> 3 & 15
    return VectorPrefix(MAPS_OF_VEX[1], rex, first & 3, vvvv, first >> 2 & 1, 0)


def vex3(first: int, second: int, mode: int) -> VectorPrefix:
    """The bytes after C4: R X B mmmmm, W vvvv L pp."""
    rex = _registers(first, mode) | (W if second & 0x80 else 0)
    number = MAPS_OF_VEX.get(first & 31, -1)
    return VectorPrefix(number, rex, second & 3, ~second >> 3 & 15, second >> 2 & 1, 0)


def evex(first: int, second: int, third: int, mode: int) -> VectorPrefix:
    """The bytes after 62: R X B R' 0 mmm, W vvvv 1 pp, z L'L b V' aaa."""
    rex = _registers(first, mode) | (W if second & 0x80 else 0)
    if mode == 64 and not first & 0x10:
        rex |= R4
    vvvv = ~second >> 3 & 15 | (0 if third & 8 else 16)
    mask = third & 7
    mask |= MASK_BITS["Z"] if third & 0x80 else 0
    mask |= MASK_BITS["B"] if third & 0x10 else 0
    valid = not first & 8 and second & 4
    number = MAPS_OF_EVEX.get(first & 7, -1) if valid else -1
    return VectorPrefix(number, rex, second & 3, vvvv, third >> 5 & 3, mask)
