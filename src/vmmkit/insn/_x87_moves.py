# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Loads, stores and exchanges of the x87 unit; `csrc/x87_moves.c` is the same.

SDM vol. 1, "x87 FPU Instruction Set". An empty register that is read gives the indefinite NaN
where #IA is masked; so does a push onto a register that is not empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._execute import Handler, operand_bytes
from vmmkit.insn._memory import Context
from vmmkit.insn._vector_operands import TAG
from vmmkit.insn._vector_state import CONTROL
from vmmkit.insn._x87_formats import (
    C1,
    DE,
    INDEFINITE,
    Extended,
    from_decimal,
    from_integer,
    from_real,
    indefinite_decimal,
    indefinite_integer,
    indefinite_real,
    to_decimal,
    to_integer,
    to_real,
)
from vmmkit.insn._x87_stack import (
    STACK_FAULT,
    check_x87,
    finish,
    is_empty,
    is_kept_back,
    load_memory,
    locate_memory,
    move_top,
    pop,
    push,
    read,
    store_memory,
    top,
    write,
)

__all__ = ["X87_MOVES"]

TO_ZERO: Final = 3 << 10  # rounding control
SIGN: Final = 0x8000

Decoder = Callable[[int, int], tuple[Extended, int]]
Encoder = Callable[[Extended, int, int], tuple[int, int]]

# Significand cut off, exponent, and whether rounding to nearest adds one (SDM vol. 2A, FLD1/...).
CONSTANTS: Final = {
    "FLD1": (0x8000_0000_0000_0000, 0x3FFF, 0),
    "FLDL2T": (0xD49A_784B_CD1B_8AFE, 0x4000, 0),
    "FLDL2E": (0xB8AA_3B29_5C17_F0BB, 0x3FFF, 1),
    "FLDPI": (0xC90F_DAA2_2168_C234, 0x4000, 1),
    "FLDLG2": (0x9A20_9A84_FBCF_F798, 0x3FFD, 1),
    "FLDLN2": (0xB172_17F7_D1CF_79AB, 0x3FFE, 1),
}
EXACT: Final = "FLD1"


def _index(context: Context) -> int:
    return context.modrm & 7


def _push_result(context: Context, value: Extended, flags: int) -> None:
    """A denormal number is pushed even where #D is not masked, as observed.

    Underflow comes before overflow (SDM vol. 1, "Floating-Point Exception Priority").
    """
    if flags != STACK_FAULT and not is_empty(context, 7):
        value, flags = INDEFINITE, STACK_FAULT | C1
    kept_back = is_kept_back(context, flags & ~DE)
    finish(context, flags)
    if not kept_back:
        push(context, value)


def _load(decode: Decoder) -> Handler:
    def execute(context: Context) -> None:
        check_x87(context)
        size = operand_bytes(context, 0)
        _push_result(context, *decode(load_memory(context, size), size))

    return execute


_load_real = _load(from_real)


def _fld(context: Context) -> None:
    if context.modrm < 0xC0:
        _load_real(context)
        return
    check_x87(context)
    empty = is_empty(context, _index(context))
    value = INDEFINITE if empty else read(context, _index(context))
    _push_result(context, value, STACK_FAULT if empty else 0)


def _constant(mnemonic: str) -> Handler:
    significand, exponent, nearest = CONSTANTS[mnemonic]
    rounding = (0, 0, 0, 0) if mnemonic == EXACT else (nearest, 0, 1, 0)

    def execute(context: Context) -> None:
        check_x87(context)
        mode = context.words[CONTROL] >> 10 & 3
        _push_result(context, Extended(significand + rounding[mode], exponent), 0)

    return execute


def _fldz(context: Context) -> None:
    check_x87(context)
    _push_result(context, Extended(0, 0), 0)


def _store(
    encode: Encoder, indefinite: Callable[[int], int], *, pops: bool, truncates: bool = False
) -> Handler:
    def execute(context: Context) -> None:
        check_x87(context)
        size = operand_bytes(context, 0)
        span = locate_memory(context, size, write=True)
        control = context.words[CONTROL] | (TO_ZERO if truncates else 0)
        number, flags = indefinite(size), STACK_FAULT
        if not is_empty(context, 0):
            number, flags = encode(read(context, 0), size, control)
        kept_back = is_kept_back(context, flags)
        if not kept_back:
            store_memory(context, span, size, number)
        finish(context, flags)
        if pops and not kept_back:
            pop(context)

    return execute


def _fst(*, pops: bool, checks: bool = True) -> Handler:
    """Without `checks` an empty register raises nothing, and is not moved."""
    to_memory = _store(to_real, indefinite_real, pops=pops)

    def execute(context: Context) -> None:
        if context.modrm < 0xC0:
            to_memory(context)
            return
        check_x87(context)
        empty = is_empty(context, 0)
        value = INDEFINITE if empty else read(context, 0)
        flags = STACK_FAULT if empty and checks else 0
        kept_back = is_kept_back(context, flags)
        finish(context, flags)
        if not kept_back and (checks or not empty):
            write(context, _index(context), value)
        if pops and not kept_back:
            pop(context)

    return execute


def _fxch(context: Context) -> None:
    check_x87(context)
    numbers = 0, _index(context)
    empty = [is_empty(context, number) for number in numbers]
    flags = STACK_FAULT if any(empty) else 0
    a, b = (
        INDEFINITE if gone else read(context, number)
        for number, gone in zip(numbers, empty, strict=True)
    )
    kept_back = is_kept_back(context, flags)
    finish(context, flags)
    if not kept_back:
        write(context, numbers[1], a)
        write(context, 0, b)


def _of_top(change: Callable[[int], int]) -> Handler:
    """FCHS and FABS: the sign, of whatever there is."""

    def execute(context: Context) -> None:
        check_x87(context)
        empty, value = is_empty(context, 0), read(context, 0)
        value = INDEFINITE if empty else value._replace(exponent=change(value.exponent))
        flags = STACK_FAULT if empty else 0
        kept_back = is_kept_back(context, flags)
        finish(context, flags)
        if not kept_back:
            write(context, 0, value)

    return execute


def _ffree(*, pops: bool) -> Handler:
    def execute(context: Context) -> None:
        check_x87(context)
        context.words[TAG] &= ~(1 << (top(context) + _index(context) & 7))
        finish(context, 0)
        if pops:
            pop(context)

    return execute


def _turn(step: int) -> Handler:
    def execute(context: Context) -> None:
        check_x87(context)
        finish(context, 0)
        move_top(context, step)

    return execute


X87_MOVES: Final[dict[str, Handler]] = {
    "FLD": _fld,
    "FILD": _load(from_integer),
    "FBLD": _load(from_decimal),
    **{mnemonic: _constant(mnemonic) for mnemonic in CONSTANTS},
    "FLDZ": _fldz,
    "FST": _fst(pops=False),
    "FSTP": _fst(pops=True),
    "FSTPNCE": _fst(pops=True, checks=False),
    "FIST": _store(to_integer, indefinite_integer, pops=False),
    "FISTP": _store(to_integer, indefinite_integer, pops=True),
    "FISTTP": _store(to_integer, indefinite_integer, pops=True, truncates=True),
    "FBSTP": _store(to_decimal, indefinite_decimal, pops=True),
    "FXCH": _fxch,
    "FCHS": _of_top(lambda exponent: exponent ^ SIGN),
    "FABS": _of_top(lambda exponent: exponent & ~SIGN),
    "FFREE": _ffree(pops=False),
    "FFREEP": _ffree(pops=True),
    "FINCSTP": _turn(1),
    "FDECSTP": _turn(-1),
}
