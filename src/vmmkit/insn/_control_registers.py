# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Control and debug registers, XCR0 and PKRU; `csrc/control_registers.c` is the same.

SDM vol. 2B, "MOV - Move to/from Control Registers" and "... Debug Registers"; vol. 3A, "Control
Registers", "Paging-Mode Modification", "Initializing IA-32e Mode"; vol. 1, "XCR0".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._execute import (
    Handler,
    operand_bytes,
    read_register,
    target,
    value_of,
    write_register,
    write_target,
)
from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import Context
from vmmkit.insn._page_modes import (
    CR0,
    CR0_PG,
    CR3,
    CR4,
    CR4_LA57,
    CR4_PAE,
    CR4_PKE,
    CR4_PSE,
    CR4_SMEP,
    EFER,
    EFER_LMA,
    ENTRY_ADDRESS,
    ENTRY_P,
    PAGE_MODES,
    PDPTE_RESERVED,
    PKRU,
    physical_bits,
)
from vmmkit.insn._privilege import (
    FEATURE_BITS,
    LOW_32,
    RAX,
    RCX,
    RDX,
    check_cpl0,
    check_umip,
    modrm_reg,
    modrm_rm,
    set_edx_eax,
)
from vmmkit.insn._record import EXIT_KINDS, WORD
from vmmkit.insn._segments import ATTR_L, ATTR_S, ATTRIBUTES, CR0_PE, CS, GP, SEGMENT, TR, UD

__all__ = ["CONTROL_REGISTERS"]

DB: Final = 1
CR2: Final = WORD["cr2"]
TPR: Final = WORD["tpr"]
TPR_THRESHOLD: Final = WORD["tpr_threshold"]
BELOW_THRESHOLD: Final = EXIT_KINDS.index("TPR_BELOW_THRESHOLD")
DR: Final = WORD["dr"]
FEATURES: Final = WORD["features"]

CR0_TS: Final = 1 << 3
CR0_ET: Final = 1 << 4
CR0_NW: Final = 1 << 29
CR0_CD: Final = 1 << 30
CR0_DEFINED: Final = 0xE005_003F
CR0_RELOADS: Final = CR0_PG | CR0_CD | CR0_NW
LMSW_BITS: Final = 0xF
EFER_LME: Final = 1 << 8
TSS_16: Final = (1, 3)  # available and busy
NO_FLUSH: Final = 1 << 63  # of MOV to CR3 with CR4.PCIDE: a hint, never stored

CR4_DE: Final = 1 << 3
CR4_PGE: Final = 1 << 7
CR4_PCIDE: Final = 1 << 17
CR4_OSXSAVE: Final = 1 << 18
CR4_RELOADS: Final = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP
CR4_ALWAYS: Final = 0x1FF  # VME, PVI, TSD, DE, PSE, PAE, MCE, PGE, PCE
CR4_OF_FEATURES: Final = (
    (FEATURE_BITS["FXSR"], 1 << 9),  # OSFXSR
    (FEATURE_BITS["SSE"], 1 << 10),  # OSXMMEXCPT
    (FEATURE_BITS["UMIP"], 1 << 11),
    (FEATURE_BITS["LA57"], CR4_LA57),
    (FEATURE_BITS["FSGSBASE"], 1 << 16),
    (FEATURE_BITS["PCID"], CR4_PCIDE),
    (FEATURE_BITS["XSAVE"], CR4_OSXSAVE),
    (FEATURE_BITS["SMEP"], CR4_SMEP),
    (FEATURE_BITS["SMAP"], 1 << 21),
    (FEATURE_BITS["PKU"], CR4_PKE),
)
CR8_HIGHEST: Final = 15

DR_BITS: Final = {6: (0xE00F, 0xFFFF_0FF0), 7: (0xFFFF_23FF, 0x400)}  # writable, always 1
DR7_GD: Final = 1 << 13
DR6_BD: Final = 1 << 13


def _check_pdptes(context: Context, cr3: int) -> None:
    """#GP(0) for a reserved bit in one of the four PDPTEs that PAE paging loads."""
    reserved = PDPTE_RESERVED | ~ENTRY_ADDRESS & -(1 << 52)
    reserved |= ENTRY_ADDRESS & -(1 << physical_bits(context.words))
    table = cr3 & PAGE_MODES[1].root
    for number in range(4):
        entry = context.load_physical(table + 8 * number, 8)
        if entry & ENTRY_P and entry & reserved:
            raise context.fault(GP)


def _may_activate(words: memoryview) -> bool:
    """Whether CR0.PG may start IA-32e mode, which EFER.LME asks for."""
    cs = words[SEGMENT + 4 * CS + ATTRIBUTES]
    tss = words[SEGMENT + 4 * TR + ATTRIBUTES] & (ATTR_S | 15)
    return bool(words[CR4] & CR4_PAE) and not cs & ATTR_L and tss not in TSS_16


def _efer_with(context: Context, cr0: int) -> int:
    """EFER as turning paging on or off makes it; #GP(0) where that is not allowed."""
    words = context.words
    efer, changed = words[EFER], cr0 ^ words[CR0]
    if changed & cr0 & CR0_PG and efer & EFER_LME:
        if not _may_activate(words):
            raise context.fault(GP)
        return efer | EFER_LMA
    if changed & ~cr0 & CR0_PG:
        if context.mode == 64 or words[CR4] & CR4_PCIDE:
            raise context.fault(GP)
        return efer & ~EFER_LMA
    return efer


def _set_cr0(context: Context, value: int) -> None:
    """Undefined bits below 32 are ignored, ET is always 1."""
    words = context.words
    if value >> 32 or value & (CR0_PG | CR0_PE) == CR0_PG or value & (CR0_NW | CR0_CD) == CR0_NW:
        raise context.fault(GP)
    value = value & CR0_DEFINED | CR0_ET
    efer = _efer_with(context, value)
    pae = value & CR0_PG and words[CR4] & CR4_PAE and not efer & EFER_LMA
    if pae and (value ^ words[CR0]) & CR0_RELOADS:
        _check_pdptes(context, words[CR3])
    words[CR0], words[EFER] = value, efer


def _set_cr2(context: Context, value: int) -> None:
    context.words[CR2] = value


def _set_cr3(context: Context, value: int) -> None:
    words = context.words
    cr4 = words[CR4]
    if cr4 & CR4_PCIDE:
        value &= ~NO_FLUSH
    if value >> physical_bits(words):
        raise context.fault(GP)
    if words[CR0] & CR0_PG and cr4 & CR4_PAE and not words[EFER] & EFER_LMA:
        _check_pdptes(context, value)
    words[CR3] = value


def _cr4_allowed(features: int) -> int:
    allowed = CR4_ALWAYS
    for feature, bits in CR4_OF_FEATURES:
        if features & feature:
            allowed |= bits
    return allowed


def _set_cr4(context: Context, value: int) -> None:
    words = context.words
    changed, long_mode = value ^ words[CR4], words[EFER] & EFER_LMA
    if value & ~_cr4_allowed(words[FEATURES]):
        raise context.fault(GP)
    if long_mode and (changed & CR4_LA57 or not value & CR4_PAE):
        raise context.fault(GP)
    if changed & value & CR4_PCIDE and (not long_mode or words[CR3] & 0xFFF):
        raise context.fault(GP)
    pae = words[CR0] & CR0_PG and value & CR4_PAE and not long_mode
    if pae and changed & CR4_RELOADS:
        _check_pdptes(context, words[CR3])
    words[CR4] = value


def _set_cr8(context: Context, value: int) -> int | None:
    """The task priority's sub-class becomes zero."""
    if value > CR8_HIGHEST:
        raise context.fault(GP)
    context.words[TPR] = value << 4
    return BELOW_THRESHOLD if value < context.words[TPR_THRESHOLD] else None


CONTROL_WORDS: Final = {0: CR0, 2: CR2, 3: CR3, 4: CR4}
SETTERS: Final[dict[int, Callable[[Context, int], int | None]]] = {
    0: _set_cr0,
    2: _set_cr2,
    3: _set_cr3,
    4: _set_cr4,
    8: _set_cr8,
}


def _mov_from_cr(context: Context) -> None:
    check_cpl0(context)
    size = operand_bytes(context, 0)
    number, words = modrm_reg(context), context.words
    value = words[TPR] >> 4 & CR8_HIGHEST if number == 8 else words[CONTROL_WORDS[number]]
    write_register(context, modrm_rm(context), size, value & mask_of(size))


def _mov_to_cr(context: Context) -> int | None:
    check_cpl0(context)
    value = read_register(context, modrm_rm(context), operand_bytes(context, 1))
    return SETTERS[modrm_reg(context)](context, value)


def _debug_register(context: Context) -> int:
    """Number of the debug register, once it may be accessed.

    SDM vol. 3B, "Debug Registers DR4 and DR5": with CR4.DE they are #UD, else DR6 and DR7.
    """
    words, number = context.words, modrm_reg(context)
    if number in {4, 5}:
        if words[CR4] & CR4_DE:
            raise context.fault(UD)
        number += 2
    check_cpl0(context)
    if words[DR + 7] & DR7_GD:
        raise context.fault(DB, 0, DR6_BD)
    return number


def _mov_from_dr(context: Context) -> None:
    number, size = _debug_register(context), operand_bytes(context, 0)
    write_register(context, modrm_rm(context), size, context.words[DR + number] & mask_of(size))


def _mov_to_dr(context: Context) -> None:
    number = _debug_register(context)
    value = read_register(context, modrm_rm(context), operand_bytes(context, 1))
    if number >= 6:
        if value >> 32:
            raise context.fault(GP)
        writable, ones = DR_BITS[number]
        value = value & writable | ones
    context.words[DR + number] = value


def _clts(context: Context) -> None:
    check_cpl0(context)
    context.words[CR0] &= ~CR0_TS


def _lmsw(context: Context) -> None:
    """PE, MP, EM and TS; PE can be set but not cleared."""
    check_cpl0(context)
    value = value_of(context, 0, 2) & LMSW_BITS
    context.words[CR0] = context.words[CR0] & ~(LMSW_BITS & ~CR0_PE) | value


def _smsw(context: Context) -> None:
    check_umip(context)
    size = context.operand_size if context.modrm >= 0xC0 else 2
    write_target(context, target(context, 0), size, context.words[CR0] & mask_of(size))


def _check_pkru(context: Context) -> None:
    if not context.words[CR4] & CR4_PKE:
        raise context.fault(UD)
    if context.words[RCX] & LOW_32:
        raise context.fault(GP)


def _rdpkru(context: Context) -> None:
    _check_pkru(context)
    set_edx_eax(context, context.words[PKRU] & LOW_32)


def _wrpkru(context: Context) -> None:
    _check_pkru(context)
    if context.words[RDX] & LOW_32:
        raise context.fault(GP)
    context.words[PKRU] = context.words[RAX] & LOW_32


CONTROL_REGISTERS: Final[dict[str, Handler]] = {
    "MOVFROMCR": _mov_from_cr,
    "MOVTOCR": _mov_to_cr,
    "MOVFROMDR": _mov_from_dr,
    "MOVTODR": _mov_to_dr,
    "CLTS": _clts,
    "LMSW": _lmsw,
    "SMSW": _smsw,
    "RDPKRU": _rdpkru,
    "WRPKRU": _wrpkru,
}
