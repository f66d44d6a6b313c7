# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Checks and registers that system instructions share; `csrc/privilege.c` is the same."""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import write_register
from vmmkit.insn._memory import Context
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import GP, UD
from vmmkit.insn.optable import FEATURES

__all__ = [
    "FEATURE_BITS",
    "check_cpl0",
    "check_protected",
    "check_umip",
    "edx_eax",
    "modrm_reg",
    "modrm_rm",
    "set_edx_eax",
]

CR4: Final = WORD["cr4"]
CR4_UMIP: Final = 1 << 11
RAX, RCX, RDX = 0, 1, 2
LOW_32: Final = 0xFFFF_FFFF

FEATURE_BITS: Final = {name: 1 << number for number, name in enumerate(FEATURES)}


def check_cpl0(context: Context) -> None:
    """#GP(0) above CPL 0, virtual-8086 mode included."""
    if context.cpl:
        raise context.fault(GP)


def check_protected(context: Context) -> None:
    """#UD in real-address and virtual-8086 mode, where selectors have no descriptors."""
    if context.real:
        raise context.fault(UD)


def check_umip(context: Context) -> None:
    """#GP(0) where CR4.UMIP hides system registers from applications."""
    if context.cpl and context.words[CR4] & CR4_UMIP:
        raise context.fault(GP)


def modrm_reg(context: Context) -> int:
    """Register number in ModRM.reg."""
    return context.modrm >> 3 & 7 | (context.rex & 4) << 1


def modrm_rm(context: Context) -> int:
    """Register number in ModRM.rm."""
    return context.modrm & 7 | (context.rex & 1) << 3


def edx_eax(context: Context) -> int:
    """EDX:EAX."""
    words = context.words
    return (words[RDX] & LOW_32) << 32 | words[RAX] & LOW_32


def set_edx_eax(context: Context, value: int) -> None:
    """Set EDX:EAX; as all 32-bit results they are zero-extended."""
    write_register(context, RAX, 4, value & LOW_32)
    write_register(context, RDX, 4, value >> 32)
