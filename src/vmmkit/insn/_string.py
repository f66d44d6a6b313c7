# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""String instructions with REP, REPE and REPNE of the pure engine; `csrc/string.c` is the same.

Each element is an instruction of its own as far as committing goes: rSI, rDI, rCX and the flags
move with it, and the replay log starts empty for the next one. A batch ends after a bounded number
of elements with RIP still at the instruction, so that a long REP cannot keep its caller waiting.

An element function is told how many elements it may do at once and returns how many it has done;
all but MOVS and STOS in RAM do one. A block that the caller has done counts without the function
being called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._control import check_port
from vmmkit.insn._execute import (
    RFLAGS,
    Handler,
    operand_bytes,
    read_register,
    set_status,
    write_register,
)
from vmmkit.insn._flags import DF, ZF, mask_of, subtract
from vmmkit.insn._memory import (
    BLOCK_ANSWER,
    BUDGET,
    LOG_COUNT,
    PORT_BLOCK_IN,
    PORT_BLOCK_OUT,
    PORT_IN,
    PORT_OUT,
    Context,
)
from vmmkit.insn._record import PREFIX_BITS, WORD
from vmmkit.insn._segments import DS, ES
from vmmkit.insn._string_runs import Side, fill_run, locate_side, move_run, offer_port
from vmmkit.insn.optable import KINDS

__all__ = ["STRING"]

RAX, RCX, RDX, RSI, RDI = 0, 1, 2, 6, 7
RETIRED: Final = WORD["retired"]
REPNE: Final = PREFIX_BITS["REPNE"]
REPEATED: Final = PREFIX_BITS["REP"] | REPNE  # alike, but for CMPS and SCAS
# The operands that move, by their kinds in the opcode table.
MOVING: Final = {KINDS.index("X"): RSI, KINDS.index("Y"): RDI}

Element = Callable[[Context, int], int]


def _source(context: Context, size: int, most: int = 1) -> Side:
    segment = context.segment if context.segment >= 0 else DS
    return locate_side(context, segment, RSI, size, write=False, most=most)


def _target(context: Context, size: int, most: int = 1, *, write: bool) -> Side:
    return locate_side(context, ES, RDI, size, write=write, most=most)


def _movs(context: Context, most: int) -> int:
    size = operand_bytes(context, 0)
    source = _source(context, size, most)
    target = _target(context, size, most, write=True)
    count = min(source.run, target.run)
    if count > 1 and move_run(context, source, target, size, count):
        return count
    context.store(target.span, context.load(source.span))
    return 1


def _stos(context: Context, most: int) -> int:
    size = operand_bytes(context, 0)
    target, value = _target(context, size, most, write=True), read_register(context, RAX, size)
    if target.run > 1 and fill_run(context, target, value, size):
        return target.run
    context.store(target.span, value)
    return 1


def _lods(context: Context, _most: int) -> int:
    size = operand_bytes(context, 0)
    write_register(context, RAX, size, context.load(_source(context, size).span))
    return 1


def _cmps(context: Context, _most: int) -> int:
    """ES:[rDI] is checked and read first, as observed on Intel processors."""
    size = operand_bytes(context, 0)
    target = _target(context, size, write=False)
    source = _source(context, size)
    right = context.load(target.span)
    _, flags = subtract(context.load(source.span), right, 0, size)
    set_status(context, flags)
    return 1


def _scas(context: Context, _most: int) -> int:
    size = operand_bytes(context, 0)
    right = context.load(_target(context, size, write=False).span)
    _, flags = subtract(read_register(context, RAX, size), right, 0, size)
    set_status(context, flags)
    return 1


def _checked_port(context: Context, size: int) -> int:
    """The port in DX; the permission to use it is checked before memory is."""
    port = context.words[RDX] & 0xFFFF
    check_port(context, port, size)
    return port


def _ins(context: Context, most: int) -> int:
    size = operand_bytes(context, 0)
    port = _checked_port(context, size)
    target = _target(context, size, most, write=True)
    offer_port(context, PORT_BLOCK_IN, port, target, size)
    context.store(target.span, context.access(PORT_IN, port, size, 0))
    return 1


def _outs(context: Context, most: int) -> int:
    size = operand_bytes(context, 1)
    port = _checked_port(context, size)
    source = _source(context, size, most)
    offer_port(context, PORT_BLOCK_OUT, port, source, size)
    context.access(PORT_OUT, port, size, context.load(source.span))
    return 1


def _move_on(context: Context, count: int) -> None:
    """Move rSI and rDI past `count` elements."""
    width, kinds = context.address_size, context.row.kinds
    for place in (0, 1):
        register = MOVING.get(kinds[place])
        if register is not None:
            change = operand_bytes(context, place) * count
            if context.words[RFLAGS] & DF:
                change = -change
            moved = read_register(context, register, width) + change & mask_of(width)
            write_register(context, register, width, moved)


def _longest(context: Context, count: int) -> int:
    """How many elements may be done at once.

    One where its block was refused, and one where it has accesses behind it: it was begun by itself
    (at the end of a batch, say), and must not turn into a block when it is gone on with.
    """
    if context.words[BLOCK_ANSWER] or context.words[LOG_COUNT]:
        return 1
    return min(count, context.batch - context.elements + 1)


def _ended(context: Context, *, compares: bool) -> bool:
    """REPE ends CMPS and SCAS when ZF is clear, REPNE when it is set."""
    if not compares:
        return False
    return bool(context.words[RFLAGS] & ZF) == bool(context.prefixes & REPNE)


def _string(element: Element, *, compares: bool = False, port_place: int = -1) -> Handler:
    """Handler of a string instruction.

    `port_place` is the place of the memory operand of INS and OUTS, whose permission is checked
    even where the count is 0, as observed.
    """

    def execute(context: Context) -> int | None:
        if not context.prefixes & REPEATED:
            _move_on(context, element(context, 1))
            return None
        words, width = context.words, context.address_size
        count = read_register(context, RCX, width)
        if not count and port_place >= 0:
            _checked_port(context, operand_bytes(context, port_place))
            context.hit = 0  # nothing is accessed
        while count:
            done = min(max(words[BLOCK_ANSWER] - 1, 0), count)
            if not done:
                done = element(context, _longest(context, count))
            _move_on(context, done)
            count -= done
            write_register(context, RCX, width, count)
            context.forget_accesses()
            last = not count or _ended(context, compares=compares)
            words[RETIRED] = words[RETIRED] + done - last & mask_of(8)
            if last:
                break
            context.elements += done
            if context.elements > context.batch:
                return BUDGET
        return None

    return execute


STRING: Final[dict[str, Handler]] = {
    "MOVS": _string(_movs),
    "STOS": _string(_stos),
    "LODS": _string(_lods),
    "CMPS": _string(_cmps, compares=True),
    "SCAS": _string(_scas, compares=True),
    "INS": _string(_ins, port_place=0),
    "OUTS": _string(_outs, port_place=1),
}
