# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Control of the x87 unit; `csrc/x87.c` is the same.

SDM vol. 1, "x87 FPU Control Instructions".
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import Handler, effective_address, target, write_target
from vmmkit.insn._memory import Context
from vmmkit.insn._segments import UD, locate
from vmmkit.insn._vector_operands import (
    CR0,
    CR0_EM,
    CR0_MP,
    CR0_NE,
    CR0_TS,
    MF,
    NM,
    STATUS_ES,
    STATUS_WORD,
    TAG,
    enter_mmx,
)
from vmmkit.insn._vector_state import (
    CONTROL,
    X87_CONTROL_BITS,
    X87_CONTROL_ONE,
    initialize_x87,
    summarized,
)
from vmmkit.insn._x87_compare import X87_COMPARE
from vmmkit.insn._x87_environment import X87_ENVIRONMENT
from vmmkit.insn._x87_formats import C1
from vmmkit.insn._x87_moves import X87_MOVES
from vmmkit.insn._x87_stack import check_x87, finish

__all__ = ["X87"]

EXCEPTIONS: Final = 0x80FF  # B, ES, SF and the six exceptions


def _fninit(context: Context) -> None:
    check_x87(context, waits=False)
    initialize_x87(context.words)


def _fnclex(context: Context) -> None:
    check_x87(context, waits=False)
    context.words[STATUS_WORD] &= ~EXCEPTIONS


def _fnstcw(context: Context) -> None:
    check_x87(context, waits=False)
    span = locate(context, context.segment, effective_address(context), 2, write=True)
    context.store(span, context.words[CONTROL] & 0xFFFF)


def _fnstsw(context: Context) -> None:
    """To memory or AX."""
    check_x87(context, waits=False)
    write_target(context, target(context, 0), 2, context.words[STATUS_WORD] & 0xFFFF)


def _fldcw(context: Context) -> None:
    check_x87(context)
    words = context.words
    span = locate(context, context.segment, effective_address(context), 2, write=False)
    words[CONTROL] = context.load(span) & X87_CONTROL_BITS | X87_CONTROL_ONE
    words[STATUS_WORD] = summarized(words[STATUS_WORD], words[CONTROL])


def _fwait(context: Context) -> None:
    """#NM for TS only where MP is set; EM has no say."""
    words = context.words
    if words[CR0] & (CR0_MP | CR0_TS) == CR0_MP | CR0_TS:
        raise context.fault(NM)
    if words[STATUS_WORD] & STATUS_ES and words[CR0] & CR0_NE:
        raise context.fault(MF)


def _fnop(context: Context) -> None:
    """No control instruction: it moves the instruction pointer (SDM vol. 2A, FNOP)."""
    check_x87(context)
    finish(context, context.words[STATUS_WORD] & C1)


def _nothing(context: Context) -> None:
    """What the 8087 and the 80287 had a use for."""
    check_x87(context, waits=False)


def _emms(context: Context) -> None:
    """Every register empty, the top of the stack 0; #UD rather than #NM for EM."""
    if context.words[CR0] & CR0_EM:
        raise context.fault(UD)
    check_x87(context)
    enter_mmx(context)
    context.words[TAG] = 0


X87: Final[dict[str, Handler]] = {
    "FNINIT": _fninit,
    "FNCLEX": _fnclex,
    "FNSTCW": _fnstcw,
    "FNSTSW": _fnstsw,
    "FLDCW": _fldcw,
    "FWAIT": _fwait,
    "FNOP": _fnop,
    "FNENI": _nothing,
    "FNDISI": _nothing,
    "FNSETPM": _nothing,
    "EMMS": _emms,
    **X87_MOVES,
    **X87_COMPARE,
    **X87_ENVIRONMENT,
}
