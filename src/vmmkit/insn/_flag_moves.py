# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Flags as data: SETcc, CMOVcc, LAHF, SAHF of the pure engine; `csrc/flag_moves.c` is the same."""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import (
    RFLAGS,
    Handler,
    read_target,
    set_status,
    target,
    value_of,
    write_target,
)
from vmmkit.insn._flags import AF, CF, PF, SF, ZF, condition
from vmmkit.insn._memory import Context
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import UD
from vmmkit.insn.optable import FEATURES

__all__ = ["FLAG_MOVES"]

RAX: Final = WORD["gpr"]
IN_AH: Final = SF | ZF | AF | PF | CF
ALWAYS_ONE: Final = 2  # bit 1 of RFLAGS
LAHF64: Final = 1 << list(FEATURES).index("LAHF64")


def _setcc(context: Context) -> None:
    holds = condition(context.opcode & 15, context.words[RFLAGS])
    write_target(context, target(context, 0), 1, int(holds))


def _cmovcc(context: Context) -> None:
    """The source is read whatever the condition, and 4 bytes are zero-extended whatever it is."""
    size = context.operand_size
    where, value = target(context, 0), value_of(context, 1, size)
    if not condition(context.opcode & 15, context.words[RFLAGS]):
        value = read_target(context, where, size)
    write_target(context, where, size, value)


def _check_lahf(context: Context) -> None:
    """In 64-bit mode the two have a CPUID bit of their own (SDM vol. 2A, LAHF)."""
    if context.mode == 64 and not context.words[WORD["features"]] & LAHF64:
        raise context.fault(UD)


def _lahf(context: Context) -> None:
    _check_lahf(context)
    flags = context.words[RFLAGS] & IN_AH | ALWAYS_ONE
    context.words[RAX] = context.words[RAX] & ~0xFF00 | flags << 8


def _sahf(context: Context) -> None:
    _check_lahf(context)
    set_status(context, context.words[RAX] >> 8, IN_AH)


FLAG_MOVES: Final[dict[str, Handler]] = {
    "SETCC": _setcc,
    "CMOVCC": _cmovcc,
    "LAHF": _lahf,
    "SAHF": _sahf,
}
