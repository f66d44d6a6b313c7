# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fast system calls, FS and GS bases; `csrc/syscalls.c` is the same.

SDM vol. 2B. Where the vendors differ these are Intel's: SYSCALL and SYSRET in 64-bit mode only,
SYSENTER and SYSEXIT in IA-32e mode too, and SYSRET to a non-canonical address faults at CPL 0.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._delivery import BS
from vmmkit.insn._execute import RFLAGS, Handler, operand_bytes, read_register, write_register
from vmmkit.insn._flags import IF, mask_of
from vmmkit.insn._memory import Context
from vmmkit.insn._page_modes import CR0, CR4, EFER, EFER_LMA
from vmmkit.insn._privilege import LOW_32, RCX, RDX, check_cpl0, modrm_rm
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import (
    BASE,
    CR0_PE,
    CS,
    FS,
    GP,
    GS,
    RFLAGS_VM,
    SEGMENT,
    SS,
    UD,
    is_canonical,
    set_segment,
)
from vmmkit.insn._stack import TF

__all__ = ["SYSCALLS"]

RSP, R11 = 4, 11
STAR: Final = WORD["star"]
LSTAR: Final = WORD["lstar"]
SFMASK: Final = WORD["sfmask"]
KERNEL_GS_BASE: Final = WORD["kernel_gs_base"]
SYSENTER_CS: Final = WORD["sysenter_cs"]
SYSENTER_ESP: Final = WORD["sysenter_esp"]
SYSENTER_EIP: Final = WORD["sysenter_eip"]
FS_BASE: Final = SEGMENT + 4 * FS + BASE
GS_BASE: Final = SEGMENT + 4 * GS + BASE

EFER_SCE: Final = 1
CR4_FSGSBASE: Final = 1 << 16
RFLAGS_RF: Final = 1 << 16
RFLAGS_ALWAYS: Final = 2
RFLAGS_SYSRET: Final = 0x3C_7FD7
FLAT_LIMIT: Final = 0xFFFF_FFFF
CODE_32, CODE_64, DATA_32 = 0xC09B, 0xA09B, 0xC093


def _set_flat(context: Context, code: int, stack: int, attributes: int, ring: int) -> None:
    """Flat CS and SS for `ring` 0 or 3: no descriptor is read."""
    dpl = ring << 5
    set_segment(context, CS, (code & 0xFFFC | ring, 0, FLAT_LIMIT, attributes | dpl))
    set_segment(context, SS, (stack & 0xFFFC | ring, 0, FLAT_LIMIT, DATA_32 | dpl))


def _set_flags_and_trap(context: Context, flags: int) -> None:
    """Set RFLAGS; a single-step trap goes by the TF that SYSCALL or SYSRET leaves.

    A kernel that masks TF is not stopped at its first instruction, and user code that is returned
    to with TF is stopped before its first.
    """
    context.words[RFLAGS] = flags | RFLAGS_ALWAYS
    context.debug = context.debug & ~BS | (BS if flags & TF else 0)


def _check_syscall(context: Context) -> None:
    if context.mode != 64 or not context.words[EFER] & EFER_SCE:
        raise context.fault(UD)


def _syscall(context: Context) -> None:
    _check_syscall(context)
    words = context.words
    selector = words[STAR] >> 32 & 0xFFFC
    flags = words[RFLAGS] & ~RFLAGS_RF
    words[RCX], words[R11] = context.next_rip, flags
    _set_flags_and_trap(context, flags & ~words[SFMASK])
    _set_flat(context, selector, selector + 8, CODE_64, 0)
    context.next_rip = words[LSTAR]


def _sysret(context: Context) -> None:
    _check_syscall(context)
    check_cpl0(context)
    words = context.words
    selector, wide = words[STAR] >> 48, context.operand_size == 8
    if wide and not is_canonical(context, words[RCX]):
        raise context.fault(GP)
    _set_flags_and_trap(context, words[R11] & RFLAGS_SYSRET)
    if wide:
        _set_flat(context, selector + 16, selector + 8, CODE_64, 3)
        context.next_rip = words[RCX]
    else:
        _set_flat(context, selector, selector + 8, CODE_32, 3)
        context.next_rip = words[RCX] & LOW_32


def _sysenter_selector(context: Context) -> int:
    """#GP(0) in real-address mode and without a code segment; virtual-8086 mode may enter."""
    selector = context.words[SYSENTER_CS] & 0xFFFC
    if not context.words[CR0] & CR0_PE or not selector:
        raise context.fault(GP)
    return selector


def _sysenter(context: Context) -> None:
    words, selector = context.words, _sysenter_selector(context)
    long_mode = words[EFER] & EFER_LMA
    width = mask_of(8 if long_mode else 4)
    words[RFLAGS] &= ~(RFLAGS_VM | IF | RFLAGS_RF)
    _set_flat(context, selector, selector + 8, CODE_64 if long_mode else CODE_32, 0)
    words[RSP] = words[SYSENTER_ESP] & width
    context.next_rip = words[SYSENTER_EIP] & width


def _sysexit(context: Context) -> None:
    words, selector = context.words, _sysenter_selector(context)
    check_cpl0(context)
    wide = context.operand_size == 8
    if wide and not (is_canonical(context, words[RCX]) and is_canonical(context, words[RDX])):
        raise context.fault(GP)
    if wide:
        _set_flat(context, selector + 32, selector + 40, CODE_64, 3)
    else:
        _set_flat(context, selector + 16, selector + 24, CODE_32, 3)
    width = mask_of(8 if wide else 4)
    words[RSP], context.next_rip = words[RCX] & width, words[RDX] & width


def _swapgs(context: Context) -> None:
    check_cpl0(context)
    words = context.words
    words[GS_BASE], words[KERNEL_GS_BASE] = words[KERNEL_GS_BASE], words[GS_BASE]


def _check_fsgsbase(context: Context) -> None:
    if not context.words[CR4] & CR4_FSGSBASE:
        raise context.fault(UD)


def _read_base(word: int) -> Handler:
    def execute(context: Context) -> None:
        _check_fsgsbase(context)
        size = operand_bytes(context, 0)
        write_register(context, modrm_rm(context), size, context.words[word] & mask_of(size))

    return execute


def _write_base(word: int) -> Handler:
    def execute(context: Context) -> None:
        _check_fsgsbase(context)
        value = read_register(context, modrm_rm(context), operand_bytes(context, 0))
        if not is_canonical(context, value):
            raise context.fault(GP)
        context.words[word] = value

    return execute


SYSCALLS: Final[dict[str, Handler]] = {
    "SYSCALL": _syscall,
    "SYSRET": _sysret,
    "SYSENTER": _sysenter,
    "SYSEXIT": _sysexit,
    "SWAPGS": _swapgs,
    "RDFSBASE": _read_base(FS_BASE),
    "RDGSBASE": _read_base(GS_BASE),
    "WRFSBASE": _write_base(FS_BASE),
    "WRGSBASE": _write_base(GS_BASE),
}
