# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Model-specific registers, counters, CPUID and random numbers; `csrc/msr.c` is the same.

The MSRs that instructions of the engine depend on are in the record. Every other one is the
owner's: RDMSR and WRMSR stop with an exit, which the owner answers or refuses. So do CPUID, RDPMC,
RDRAND and RDSEED.

Time is virtual: the time-stamp counter is the number of instructions completed, plus an offset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._execute import Handler, operand_bytes, set_status, write_register
from vmmkit.insn._flags import CF, mask_of
from vmmkit.insn._memory import CPUID, RANDOM, READ_MSR, READ_PMC, WRITE_MSR, Context
from vmmkit.insn._page_modes import CR0, CR0_PG, CR4, EFER, EFER_LMA, EFER_NXE
from vmmkit.insn._privilege import (
    FEATURE_BITS,
    LOW_32,
    RAX,
    RCX,
    RDX,
    check_cpl0,
    edx_eax,
    modrm_rm,
    set_edx_eax,
)
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import BASE, FS, GP, GS, SEGMENT, is_canonical

__all__ = ["MODEL_SPECIFIC"]

RBX: Final = 3
ALL_ONES: Final = (1 << 64) - 1
RETIRED: Final = WORD["retired"]
FEATURES: Final = WORD["features"]
TSC_AUX: Final = WORD["tsc_aux"]
TSC_OFFSET: Final = WORD["tsc_offset"]
TSC_WRITE_EXITS: Final = WORD["tsc_write_exits"]
ANSWER_HIGH: Final = WORD["answer_high"]
REFUSED: Final = WORD["refused"]

CR4_TSD: Final = 1 << 2
CR4_PCE: Final = 1 << 8
EFER_LME: Final = 1 << 8
EFER_OF_FEATURES: Final = (
    (FEATURE_BITS["SYSCALL"], 1),
    (FEATURE_BITS["LM"], EFER_LME),
    (FEATURE_BITS["NX"], EFER_NXE),
)

MSR_TSC: Final = 0x10
PASID_BITS: Final = 0x800F_FFFF
MSR_EFER: Final = 0xC000_0080


def _any(_context: Context, _value: int) -> bool:
    return True


def _narrow(_context: Context, value: int) -> bool:
    return value <= LOW_32


def _memory_types(_context: Context, value: int) -> bool:
    """SDM vol. 3A, "IA32_PAT MSR": eight types, of which 2, 3 and above 7 are reserved."""
    return all(kind in {0, 1, 4, 5, 6, 7} for kind in value.to_bytes(8, "little"))


def _supervisor_components(context: Context, value: int) -> bool:
    """IA32_XSS: no component of the supervisor's is modelled, so no bit may be set."""
    return bool(context.words[FEATURES] & FEATURE_BITS["XSAVES"]) and not value


def _process_address_space(context: Context, value: int) -> bool:
    """IA32_PASID: 20 bits, and bit 31 says that they are valid."""
    return bool(context.words[FEATURES] & FEATURE_BITS["ENQCMD"]) and not value & ~PASID_BITS


# Index: word of the record, and which values WRMSR may give it.
HELD: Final[dict[int, tuple[int, Callable[[Context, int], bool]]]] = {
    0x174: (WORD["sysenter_cs"], _any),
    0x175: (WORD["sysenter_esp"], is_canonical),
    0x176: (WORD["sysenter_eip"], is_canonical),
    0x277: (WORD["pat"], _memory_types),
    0xD93: (WORD["pasid"], _process_address_space),
    0xDA0: (WORD["xss"], _supervisor_components),
    MSR_EFER: (EFER, _any),
    0xC000_0081: (WORD["star"], _any),
    0xC000_0082: (WORD["lstar"], is_canonical),
    0xC000_0083: (WORD["cstar"], is_canonical),
    0xC000_0084: (WORD["sfmask"], _narrow),
    0xC000_0100: (SEGMENT + 4 * FS + BASE, is_canonical),
    0xC000_0101: (SEGMENT + 4 * GS + BASE, is_canonical),
    0xC000_0102: (WORD["kernel_gs_base"], is_canonical),
    0xC000_0103: (TSC_AUX, _narrow),
}


def _tsc(words: memoryview) -> int:
    return words[RETIRED] + words[TSC_OFFSET] & ALL_ONES


def _ask(context: Context, kind: int, index: int, value: int = 0) -> int:
    """Ask the owner; #GP(0) when it refuses."""
    answer = context.access(kind, index, 0, value)
    if context.words[REFUSED]:
        context.words[REFUSED] = 0
        raise context.fault(GP)
    return answer


def _rdmsr(context: Context) -> None:
    check_cpl0(context)
    words = context.words
    index = words[RCX] & LOW_32
    if index == MSR_TSC:
        value = _tsc(words)
    elif index in HELD:
        value = words[HELD[index][0]]
    else:
        value = _ask(context, READ_MSR, index)
    set_edx_eax(context, value)


def _checked_efer(context: Context, value: int) -> int:
    """LMA is the processor's own; LME stays as it is while paging is on."""
    words = context.words
    allowed = EFER_LMA
    for feature, bit in EFER_OF_FEATURES:
        if words[FEATURES] & feature:
            allowed |= bit
    if value & ~allowed or (words[CR0] & CR0_PG and (value ^ words[EFER]) & EFER_LME):
        raise context.fault(GP)
    return value & ~EFER_LMA | words[EFER] & EFER_LMA


def _write_held(context: Context, index: int, value: int) -> None:
    word, accepts = HELD[index]
    if not accepts(context, value):
        raise context.fault(GP)
    if index == MSR_EFER:
        value = _checked_efer(context, value)
    context.words[word] = value


def _wrmsr(context: Context) -> None:
    check_cpl0(context)
    words = context.words
    index, value = words[RCX] & LOW_32, edx_eax(context)
    if index == MSR_TSC and not words[TSC_WRITE_EXITS]:
        words[TSC_OFFSET] = value - words[RETIRED] & ALL_ONES
    elif index in HELD:
        _write_held(context, index, value)
    else:
        _ask(context, WRITE_MSR, index, value)


def _rdtsc(context: Context) -> None:
    if context.cpl and context.words[CR4] & CR4_TSD:
        raise context.fault(GP)
    set_edx_eax(context, _tsc(context.words))


def _rdtscp(context: Context) -> None:
    _rdtsc(context)
    context.words[RCX] = context.words[TSC_AUX] & LOW_32


def _rdpid(context: Context) -> None:
    size = operand_bytes(context, 0)
    write_register(context, modrm_rm(context), size, context.words[TSC_AUX] & mask_of(size))


def _rdpmc(context: Context) -> None:
    if context.cpl and not context.words[CR4] & CR4_PCE:
        raise context.fault(GP)
    set_edx_eax(context, _ask(context, READ_PMC, context.words[RCX] & LOW_32))


def _cpuid(context: Context) -> None:
    words = context.words
    low = context.access(CPUID, words[RAX] & LOW_32, words[RCX] & LOW_32, 0)
    high = words[ANSWER_HIGH]
    words[RAX], words[RBX] = low & LOW_32, low >> 32
    words[RCX], words[RDX] = high & LOW_32, high >> 32


def _random(seed: int) -> Handler:
    """RDRAND and RDSEED: without a number the register is 0 and CF is clear."""

    def execute(context: Context) -> None:
        words, size = context.words, context.operand_size
        value = context.access(RANDOM, 0, size, seed) & mask_of(size)
        refused, words[REFUSED] = words[REFUSED], 0
        write_register(context, modrm_rm(context), size, 0 if refused else value)
        set_status(context, 0 if refused else CF)

    return execute


MODEL_SPECIFIC: Final[dict[str, Handler]] = {
    "RDMSR": _rdmsr,
    "WRMSR": _wrmsr,
    "RDTSC": _rdtsc,
    "RDTSCP": _rdtscp,
    "RDPID": _rdpid,
    "RDPMC": _rdpmc,
    "CPUID": _cpuid,
    "RDRAND": _random(0),
    "RDSEED": _random(1),
}
