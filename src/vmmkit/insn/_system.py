# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Invalidations, waits, SMAP's switch, hypercalls; `csrc/system.c` is the same.

There is neither a TLB nor a cache, so INVLPG, INVPCID, INVD and WBINVD check and do nothing else.
MWAIT goes on at once: the processor may leave it for reasons of its own (SDM vol. 2B, MWAIT).
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import (
    RFLAGS,
    Handler,
    effective_address,
    operand_bytes,
    read_register,
)
from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import HYPERCALL, Context
from vmmkit.insn._page_modes import CR4, RFLAGS_AC
from vmmkit.insn._privilege import RAX, RCX, check_cpl0, modrm_reg
from vmmkit.insn._segments import DS, GP, UD, is_canonical, locate

__all__ = ["SYSTEM"]

CR4_PCIDE: Final = 1 << 17
ONE_ADDRESS, ONE_CONTEXT, LAST_TYPE = 0, 1, 3  # of INVPCID
PCID_BITS: Final = 12
MWAIT_HINTS: Final = 1


def _serialize(_context: Context) -> None:
    """Instructions of this engine are done in order as it is."""


def _read_invpcid(context: Context) -> tuple[int, int]:
    """PCID and linear address."""
    offset, segment = effective_address(context), context.segment
    following = offset + 8 & mask_of(context.address_size)
    low = locate(context, segment, offset, 8, write=False)
    high = locate(context, segment, following, 8, write=False)
    return context.load(low), context.load(high)


def _invpcid(context: Context) -> None:
    check_cpl0(context)
    kind = read_register(context, modrm_reg(context), operand_bytes(context, 0))
    pcid, linear = _read_invpcid(context)
    if kind > LAST_TYPE or pcid >> PCID_BITS:
        raise context.fault(GP)
    if kind in {ONE_ADDRESS, ONE_CONTEXT} and pcid and not context.words[CR4] & CR4_PCIDE:
        raise context.fault(GP)
    if kind == ONE_ADDRESS and not is_canonical(context, linear):
        raise context.fault(GP)


def _check_supervisor(context: Context) -> None:
    """What is #UD, not #GP, above CPL 0."""
    if context.cpl:
        raise context.fault(UD)


def _check_extensions(context: Context, known: int) -> None:
    """#GP(0) for a bit of ECX, in 64-bit mode of RCX, that means nothing."""
    _check_supervisor(context)
    if read_register(context, RCX, 8 if context.mode == 64 else 4) & ~known:
        raise context.fault(GP)


def _monitor(context: Context) -> None:
    """The address is checked like a load of a byte; nothing is monitored."""
    _check_extensions(context, 0)
    segment = context.segment if context.segment >= 0 else DS
    locate(context, segment, context.words[RAX] & mask_of(context.address_size), 1, write=False)


def _mwait(context: Context) -> None:
    _check_extensions(context, MWAIT_HINTS)


def _stac(context: Context) -> None:
    _check_supervisor(context)
    context.words[RFLAGS] |= RFLAGS_AC


def _clac(context: Context) -> None:
    _check_supervisor(context)
    context.words[RFLAGS] &= ~RFLAGS_AC


def _hypercall(_context: Context) -> int:
    return HYPERCALL


SYSTEM: Final[dict[str, Handler]] = {
    **dict.fromkeys(("INVLPG", "INVD", "WBINVD", "WBNOINVD"), check_cpl0),
    **dict.fromkeys(("VMCALL", "VMMCALL"), _hypercall),
    "SERIALIZE": _serialize,
    "INVPCID": _invpcid,
    "MONITOR": _monitor,
    "MWAIT": _mwait,
    "STAC": _stac,
    "CLAC": _clac,
}
