# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Operands, moves and arithmetic of the pure engine; `csrc/execute.c` is the same.

Every operation keeps one order: locate, load, compute, store, and only then write registers and
flags. Whatever stops it (a fault, a device access) comes before the first register write, so
stopping leaves the registers as they were and running again is safe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._flags import BINARY, CF, STATUS, decrement, increment, mask_of, negate
from vmmkit.insn._memory import Context, Span
from vmmkit.insn._record import PREFIX_BITS, RIP_BASE, WORD
from vmmkit.insn._segments import SELECTOR, SS, load_segment, locate
from vmmkit.insn.optable import KINDS, TYPE_SIZES

__all__ = [
    "SHADOW_MOV_SS",
    "Handler",
    "MOVES",
    "Target",
    "effective_address",
    "operand_bytes",
    "read_register",
    "read_target",
    "set_status",
    "target",
    "value_of",
    "write_register",
    "write_target",
]

RIP: Final = WORD["rip"]
RFLAGS: Final = WORD["rflags"]
SEGMENT: Final = WORD["segment"]
REX: Final = PREFIX_BITS["REX"]
WRITTEN: Final = 2  # bit of Row.access
SHADOW_MOV_SS: Final = 2

E, G, I, Z, A, D, F, B = (KINDS.index(letter) for letter in "EGIZADFB")  # noqa: E741
ONE, CL = KINDS.index("1"), KINDS.index("c")
RCX: Final = 1

Target = int | Span  # a register number, or located memory
Handler = Callable[[Context], int | None]


def read_register(context: Context, number: int, size: int) -> int:
    """Read a general register; without REX, byte registers 4-7 are AH, CH, DH, BH."""
    if size == 1 and 4 <= number <= 7 and not context.prefixes & REX:
        return context.words[number - 4] >> 8 & 0xFF
    return context.words[number] & mask_of(size)


def write_register(context: Context, number: int, size: int, value: int) -> None:
    """Write a general register.

    SDM vol. 1, "General-Purpose Registers in 64-Bit Mode": 4-byte results are zero-extended, 1- and
    2-byte results leave the other bits.
    """
    words = context.words
    if size >= 4:
        words[number] = value
    elif size == 2:
        words[number] = words[number] & ~0xFFFF | value
    elif 4 <= number <= 7 and not context.prefixes & REX:
        words[number - 4] = words[number - 4] & ~0xFF00 | value << 8
    else:
        words[number] = words[number] & ~0xFF | value


def set_status(context: Context, flags: int, mask: int = STATUS) -> None:
    """Replace the status flags in `mask`."""
    words = context.words
    words[RFLAGS] = words[RFLAGS] & ~mask | flags & mask


def effective_address(context: Context, stack_pointer: int | None = None) -> int:
    """Offset of the ModRM or absolute operand, wrapped at the address size.

    `stack_pointer` stands in for rSP: POP computes its destination after the increment (SDM vol.
    2B, POP).
    """
    words = context.words
    offset = context.displacement
    base = context.reg_base
    if base == 4 and stack_pointer is not None:
        offset += stack_pointer
    elif base == RIP_BASE:
        offset += context.next_rip
    elif base >= 0:
        offset += words[base]
    if context.index >= 0:
        offset += words[context.index] * context.scale
    return offset & mask_of(context.address_size)


def operand_bytes(context: Context, place: int) -> int:
    """Size of operand `place` in bytes."""
    return TYPE_SIZES[context.operand_size][context.row.types[place]]


def target(context: Context, place: int) -> Target:
    """Locate operand `place`: a register number or checked memory."""
    kind = context.row.kinds[place]
    if kind == G:
        return context.modrm >> 3 & 7 | (context.rex & 4) << 1
    if kind == Z:
        return context.opcode & 7 | (context.rex & 1) << 3
    if kind == A:
        return 0
    if kind == B:
        return context.vvvv
    if kind == E and context.modrm >= 0xC0:
        return context.modrm & 7 | (context.rex & 1) << 3
    write = bool(context.row.access & WRITTEN)
    offset = effective_address(context)
    return locate(context, context.segment, offset, operand_bytes(context, place), write=write)


def read_target(context: Context, where: Target, size: int) -> int:
    """Load from a register or from located memory."""
    if isinstance(where, int):
        return read_register(context, where, size)
    return context.load(where)


def write_target(context: Context, where: Target, size: int, value: int) -> None:
    """Store to located memory or to a register; for a register this is the commit."""
    if isinstance(where, int):
        write_register(context, where, size, value)
    else:
        context.store(where, value)


def value_of(context: Context, place: int, size: int) -> int:
    """Value of operand `place`, an immediate included, cut to `size` bytes."""
    kind = context.row.kinds[place]
    if kind == I:
        return context.immediate & mask_of(size)
    if kind == ONE:
        return 1
    if kind == CL:
        return context.words[RCX] & 0xFF
    return read_target(context, target(context, place), size)


def _binary(mnemonic: str) -> Handler:
    operation, writes = BINARY[mnemonic]

    def execute(context: Context) -> None:
        size = operand_bytes(context, 0)
        where = target(context, 0)
        right = value_of(context, 1, size)
        left = read_target(context, where, size)
        result, flags = operation(left, right, context.words[RFLAGS] & CF, size)
        if writes:
            write_target(context, where, size, result)
        set_status(context, flags)

    return execute


def _invert(value: int, size: int) -> tuple[int, int]:
    return value ^ mask_of(size), 0


def _unary(operation: Callable[[int, int], tuple[int, int]], mask: int) -> Handler:
    def execute(context: Context) -> None:
        size = operand_bytes(context, 0)
        where = target(context, 0)
        result, flags = operation(read_target(context, where, size), size)
        write_target(context, where, size, result)
        set_status(context, flags, mask)

    return execute


def _mov(context: Context) -> None:
    size = operand_bytes(context, 0)
    where = target(context, 0)
    write_target(context, where, size, value_of(context, 1, size))


def _movzx(context: Context) -> None:
    value = value_of(context, 1, operand_bytes(context, 1))
    write_target(context, target(context, 0), context.operand_size, value)


def _movsx(context: Context) -> None:
    size = operand_bytes(context, 1)
    value = value_of(context, 1, size)
    sign = 1 << 8 * size - 1
    extended = (value ^ sign) - sign & mask_of(context.operand_size)
    write_target(context, target(context, 0), context.operand_size, extended)


def _mov_from_segment(context: Context) -> None:
    # SDM vol. 2B, MOV: 2 bytes to memory, zero-extended to a register.
    selector = context.words[SEGMENT + 4 * (context.modrm >> 3 & 7) + SELECTOR] & 0xFFFF
    size = context.operand_size if context.modrm >= 0xC0 else 2
    write_target(context, target(context, 0), size, selector)


def _mov_to_segment(context: Context) -> None:
    segment = context.modrm >> 3 & 7
    load_segment(context, segment, value_of(context, 1, 2))
    if segment == SS:
        context.shadow = SHADOW_MOV_SS


def _lea(context: Context) -> None:
    value = effective_address(context) & mask_of(context.operand_size)
    write_target(context, target(context, 0), context.operand_size, value)


def _xchg(context: Context) -> None:
    size = operand_bytes(context, 0)
    where, register = target(context, 0), target(context, 1)
    first, second = read_target(context, where, size), read_target(context, register, size)
    write_target(context, where, size, second)
    write_target(context, register, size, first)


def _nop(_context: Context) -> None:
    """NOP, PAUSE and the multi-byte NOP: the memory operand is not touched."""


MOVES: Final[dict[str, Handler]] = {
    **{mnemonic: _binary(mnemonic) for mnemonic in BINARY},
    "INC": _unary(increment, STATUS & ~CF),
    "DEC": _unary(decrement, STATUS & ~CF),
    "NEG": _unary(negate, STATUS),
    "NOT": _unary(_invert, 0),
    "MOV": _mov,
    "MOVZX": _movzx,
    "MOVSX": _movsx,
    "MOVSXD": _movsx,
    "MOVFROMSEG": _mov_from_segment,
    "MOVTOSEG": _mov_to_segment,
    "LEA": _lea,
    "XCHG": _xchg,
    "NOP": _nop,
    "PAUSE": _nop,
}
