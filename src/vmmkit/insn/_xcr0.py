# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""XGETBV and XSETBV: which state components are switched on; `csrc/xcr0.c` is the same."""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import Handler
from vmmkit.insn._memory import Context
from vmmkit.insn._privilege import (
    FEATURE_BITS,
    LOW_32,
    RCX,
    check_cpl0,
    edx_eax,
    set_edx_eax,
)
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import GP, UD
from vmmkit.insn._vector_operands import CR4, CR4_OSXSAVE, XCR0
from vmmkit.insn._vector_state import in_use

__all__ = ["XCR0_INSTRUCTIONS"]

FEATURES: Final = WORD["features"]
XINUSE: Final = 1  # in ECX of XGETBV
XCR0_X87, XCR0_SSE, XCR0_AVX, XCR0_AVX512 = 1, 2, 4, 0xE0
XCR0_ALWAYS: Final = XCR0_X87 | XCR0_SSE
XCR0_OF_FEATURES: Final = (
    (FEATURE_BITS["AVX"], XCR0_AVX),
    (FEATURE_BITS["AVX512F"], XCR0_AVX512),
    (FEATURE_BITS["PKU"], 1 << 9),
)


def _xgetbv(context: Context) -> None:
    """SDM vol. 2, XGETBV: ECX 1 is XCR0 and XINUSE, where CPUID leaf 0DH.1 has it (with XSAVEC)."""
    words = context.words
    if not words[CR4] & CR4_OSXSAVE:
        raise context.fault(UD)
    value, number = words[XCR0], words[RCX] & LOW_32
    if number == XINUSE and words[FEATURES] & FEATURE_BITS["XSAVEC"]:
        value &= in_use(context)
    elif number:
        raise context.fault(GP)
    set_edx_eax(context, value)


def _is_xcr0(features: int, value: int) -> bool:
    """SDM vol. 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features"."""
    supported = XCR0_ALWAYS
    for feature, bits in XCR0_OF_FEATURES:
        if features & feature:
            supported |= bits
    if value & ~supported or not value & XCR0_X87:
        return False
    if value & XCR0_AVX and not value & XCR0_SSE:
        return False
    return not value & XCR0_AVX512 or value & (XCR0_AVX512 | XCR0_AVX) == XCR0_AVX512 | XCR0_AVX


def _xsetbv(context: Context) -> None:
    words = context.words
    if not words[CR4] & CR4_OSXSAVE:
        raise context.fault(UD)
    check_cpl0(context)
    value = edx_eax(context)
    if words[RCX] & LOW_32 or not _is_xcr0(words[FEATURES], value):
        raise context.fault(GP)
    words[XCR0] = value


XCR0_INSTRUCTIONS: Final[dict[str, Handler]] = {"XGETBV": _xgetbv, "XSETBV": _xsetbv}
