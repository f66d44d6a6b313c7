# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Results and status flags of the integer operations; `csrc/flags.c` is the same.

Every function takes operands already cut to `size` bytes and returns the result, cut likewise, and
the six status flags (SDM vol. 1, "Status Flags"). AF after a logical operation is undefined in the
SDM (vol. 1, appendix "EFLAGS Cross-Reference"); both engines clear it, as observed on hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = [
    "AF",
    "BINARY",
    "CF",
    "DF",
    "IF",
    "OF",
    "PF",
    "SF",
    "STATUS",
    "ZF",
    "condition",
    "decrement",
    "increment",
    "logic_flags",
    "mask_of",
    "negate",
]

CF: Final = 0x001
PF: Final = 0x004
AF: Final = 0x010
ZF: Final = 0x040
SF: Final = 0x080
IF: Final = 0x200
DF: Final = 0x400
OF: Final = 0x800
STATUS: Final = CF | PF | AF | ZF | SF | OF

# (a, b, carry flag, size) to (result, flags)
BinaryOperation = Callable[[int, int, int, int], tuple[int, int]]

# PF is set for an even number of ones in the low byte.
PARITY: Final = tuple(0 if value.bit_count() & 1 else PF for value in range(256))


def mask_of(size: int) -> int:
    """All ones of `size` bytes."""
    return (1 << 8 * size) - 1


def logic_flags(result: int, size: int) -> int:
    """SF, ZF and PF of a result; CF, OF and AF clear."""
    zero = 0 if result else ZF
    sign = result >> (8 * size - 1) << 7
    return PARITY[result & 0xFF] | zero | sign


def add(a: int, b: int, carry: int, size: int) -> tuple[int, int]:
    """Return a + b + carry."""
    total = a + b + carry
    result = total & mask_of(size)
    carries = CF if total != result else 0
    overflow = ((a ^ result) & (b ^ result)) >> (8 * size - 1) << 11
    return result, logic_flags(result, size) | carries | (a ^ b ^ result) & AF | overflow


def subtract(a: int, b: int, borrow: int, size: int) -> tuple[int, int]:
    """Return a - b - borrow."""
    result = (a - b - borrow) & mask_of(size)
    carries = CF if a < b + borrow else 0
    overflow = ((a ^ b) & (a ^ result)) >> (8 * size - 1) << 11
    return result, logic_flags(result, size) | carries | (a ^ b ^ result) & AF | overflow


def _logic(operation: Callable[[int, int], int]) -> BinaryOperation:
    def apply(a: int, b: int, _carry: int, size: int) -> tuple[int, int]:
        result = operation(a, b)
        return result, logic_flags(result, size)

    return apply


# mnemonic: (operation, whether it writes its result)
BINARY: Final[dict[str, tuple[BinaryOperation, bool]]] = {
    "ADD": (lambda a, b, _carry, size: add(a, b, 0, size), True),
    "OR": (_logic(int.__or__), True),
    "ADC": (add, True),
    "SBB": (subtract, True),
    "AND": (_logic(int.__and__), True),
    "SUB": (lambda a, b, _carry, size: subtract(a, b, 0, size), True),
    "XOR": (_logic(int.__xor__), True),
    "CMP": (lambda a, b, _carry, size: subtract(a, b, 0, size), False),
    "TEST": (_logic(int.__and__), False),
}


def increment(a: int, size: int) -> tuple[int, int]:
    """INC: as ADD 1, but CF is not among the flags returned."""
    result, flags = add(a, 1, 0, size)
    return result, flags & ~CF


def decrement(a: int, size: int) -> tuple[int, int]:
    """DEC: as SUB 1, but CF is not among the flags returned."""
    result, flags = subtract(a, 1, 0, size)
    return result, flags & ~CF


def negate(a: int, size: int) -> tuple[int, int]:
    """NEG: 0 - a; CF tells whether a was not zero."""
    return subtract(0, a, 0, size)


def condition(code: int, flags: int) -> bool:
    """SDM vol. 1, appendix "EFLAGS Condition Codes": bit 0 of the code inverts."""
    sign_differs = bool(flags & SF) != bool(flags & OF)
    holds = (
        flags & OF,
        flags & CF,
        flags & ZF,
        flags & (CF | ZF),
        flags & SF,
        flags & PF,
        sign_differs,
        sign_differs or flags & ZF,
    )[code >> 1]
    return bool(holds) != bool(code & 1)
