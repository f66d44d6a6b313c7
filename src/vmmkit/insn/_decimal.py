# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The decimal adjustments and SALC, none of them in 64-bit mode; `csrc/decimal.c` is the same.

SDM vol. 2A, AAA, AAD, AAM, AAS, DAA, DAS. What they leave undefined: OF is clear, AF and CF
of AAD and AAM are clear, and SF, ZF and PF of AAA and AAS are those of AL.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import RFLAGS, Handler, read_register, set_status, write_register
from vmmkit.insn._flags import AF, CF, logic_flags
from vmmkit.insn._memory import Context
from vmmkit.insn._record import WORD

__all__ = ["DECIMAL"]

RAX: Final = WORD["gpr"]
DE: Final = 0


def _unpacked(sign: int) -> Handler:
    """AAA and AAS: one digit in AL, the carry into AH."""

    def execute(context: Context) -> None:
        value = read_register(context, RAX, 2)
        carries = value & 0xF > 9 or context.words[RFLAGS] & AF
        if carries:
            value += sign * 0x106
        value &= 0xFF0F
        write_register(context, RAX, 2, value)
        set_status(context, logic_flags(value & 0xFF, 1) | (AF | CF if carries else 0))

    return execute


def _packed(sign: int) -> Handler:
    """DAA and DAS: two digits in AL; both corrections go by AL and CF as they were."""

    def execute(context: Context) -> None:
        old, before = read_register(context, RAX, 1), context.words[RFLAGS]
        value, flags = old, before & CF
        if old & 0xF > 9 or before & AF:
            value += sign * 6
            flags |= AF | (CF if value != value & 0xFF else 0)
        if old > 0x99 or before & CF:
            value += sign * 0x60
            flags |= CF
        value &= 0xFF
        write_register(context, RAX, 1, value)
        set_status(context, logic_flags(value, 1) | flags)

    return execute


def _aam(context: Context) -> None:
    base = context.immediate & 0xFF
    if not base:
        raise context.fault(DE)
    high, low = divmod(read_register(context, RAX, 1), base)
    write_register(context, RAX, 2, high << 8 | low)
    set_status(context, logic_flags(low, 1))


def _aad(context: Context) -> None:
    value = read_register(context, RAX, 2)
    low = value + (value >> 8) * (context.immediate & 0xFF) & 0xFF
    write_register(context, RAX, 2, low)
    set_status(context, logic_flags(low, 1))


def _salc(context: Context) -> None:
    write_register(context, RAX, 1, 0xFF if context.words[RFLAGS] & CF else 0)


DECIMAL: Final[dict[str, Handler]] = {
    "AAA": _unpacked(1),
    "AAS": _unpacked(-1),
    "DAA": _packed(1),
    "DAS": _packed(-1),
    "AAM": _aam,
    "AAD": _aad,
    "SALC": _salc,
}
