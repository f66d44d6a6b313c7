# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Comparisons of the x87 unit and moves by condition; `csrc/x87_compare.c` is the same.

SDM vol. 2A, FCOM, FCOMI, FUCOM, FICOM, FTST, FXAM and FCMOVcc.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._execute import RFLAGS, Handler, operand_bytes
from vmmkit.insn._flags import CF, PF, STATUS, ZF
from vmmkit.insn._memory import Context
from vmmkit.insn._vector_operands import STATUS_WORD
from vmmkit.insn._x87_formats import (
    DE,
    IE,
    INDEFINITE,
    Extended,
    from_integer,
    from_real,
    kind_of,
    order,
)
from vmmkit.insn._x87_stack import (
    STACK_FAULT,
    check_x87,
    finish,
    is_empty,
    is_kept_back,
    load_memory,
    pop,
    read,
    write,
)

__all__ = ["X87_COMPARE"]

C0, C1, C2, C3 = 0x100, 0x200, 0x400, 0x4000
CONDITION: Final = C0 | C2 | C3
# By order: condition codes, and flags of RFLAGS.
CODES: Final = {None: CONDITION, -1: C0, 0: C3, 1: 0}
FLAGS: Final = {None: ZF | PF | CF, -1: CF, 0: ZF, 1: 0}
# FXAM, by kind of number.
CLASSES: Final = (C3, C3 | C2, C2, C2 | C0, C0, C0, 0)
EMPTY: Final = C3 | C0
# FCMOVcc moves where a flag among these is set, FCMOVNcc where none is.
CONDITIONS: Final = {"B": CF, "E": ZF, "BE": CF | ZF, "U": PF}

Decoder = Callable[[int, int], tuple[Extended, int]]
Commit = Callable[[Context, int | None], None]


def _set_codes(context: Context, found: int | None) -> None:
    words = context.words
    words[STATUS_WORD] = words[STATUS_WORD] & ~CONDITION | CODES[found]


def _set_flags(context: Context, found: int | None) -> None:
    context.words[RFLAGS] = context.words[RFLAGS] & ~STATUS | FLAGS[found]


def _other(
    context: Context, decode: Callable[[int, int], tuple[Extended, int]]
) -> tuple[Extended, int, bool]:
    """What ST(0) is compared with, what loading it raises, and whether it is an empty register."""
    if context.modrm < 0xC0:
        size = operand_bytes(context, 0)
        return *decode(load_memory(context, size), size), False
    number = context.modrm & 7
    return read(context, number), 0, is_empty(context, number)


def _compare(
    *,
    quiet: bool = False,
    pops: int = 0,
    commit: Commit = _set_codes,
    decode: Decoder = from_real,
) -> Handler:
    def execute(context: Context) -> None:
        check_x87(context)
        value, flags, empty = _other(context, decode)
        found = None
        if empty or is_empty(context, 0):
            flags = STACK_FAULT
        else:
            found, raised = order(read(context, 0), value, quiet=quiet)
            flags = raised | flags & (IE if found is None else IE | DE)
        kept_back = is_kept_back(context, flags)
        finish(context, flags)
        if kept_back:
            return
        commit(context, found)
        for _ in range(pops):
            pop(context)

    return execute


def _ftst(context: Context) -> None:
    check_x87(context)
    found, flags = None, STACK_FAULT
    if not is_empty(context, 0):
        found, flags = order(read(context, 0), Extended(0, 0), quiet=False)
    kept_back = is_kept_back(context, flags)
    finish(context, flags)
    if not kept_back:
        _set_codes(context, found)


def _fxam(context: Context) -> None:
    check_x87(context)
    value = read(context, 0)
    codes = EMPTY if is_empty(context, 0) else CLASSES[kind_of(value)]
    finish(context, C1 if value.exponent >> 15 else 0)
    words = context.words
    words[STATUS_WORD] = words[STATUS_WORD] & ~CONDITION | codes


def _fcmov(flag: int, *, negated: bool) -> Handler:
    def execute(context: Context) -> None:
        check_x87(context)
        number = context.modrm & 7
        empty = is_empty(context, 0) or is_empty(context, number)
        value, flags = (INDEFINITE, STACK_FAULT) if empty else (read(context, number), 0)
        moves = empty or bool(context.words[RFLAGS] & flag) != negated
        kept_back = is_kept_back(context, flags)
        finish(context, flags if empty else context.words[STATUS_WORD] & C1)
        if moves and not kept_back:
            write(context, 0, value)

    return execute


X87_COMPARE: Final[dict[str, Handler]] = {
    "FCOM": _compare(),
    "FCOMP": _compare(pops=1),
    "FCOMPP": _compare(pops=2),
    "FUCOM": _compare(quiet=True),
    "FUCOMP": _compare(quiet=True, pops=1),
    "FUCOMPP": _compare(quiet=True, pops=2),
    "FICOM": _compare(decode=from_integer),
    "FICOMP": _compare(decode=from_integer, pops=1),
    "FCOMI": _compare(commit=_set_flags),
    "FCOMIP": _compare(commit=_set_flags, pops=1),
    "FUCOMI": _compare(commit=_set_flags, quiet=True),
    "FUCOMIP": _compare(commit=_set_flags, quiet=True, pops=1),
    "FTST": _ftst,
    "FXAM": _fxam,
    **{
        f"FCMOV{'N' if negated else ''}{condition}": _fcmov(flag, negated=negated)
        for condition, flag in CONDITIONS.items()
        for negated in (False, True)
    },
}
