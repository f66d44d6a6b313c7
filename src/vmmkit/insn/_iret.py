# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""IRET of the pure engine; `csrc/iret.c` is the same.

SDM vol. 2A, "IRET/IRETD/IRETQ". The return from a nested task (RFLAGS.NT) is Unsupported.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import RFLAGS, Handler
from vmmkit.insn._far import transfers
from vmmkit.insn._far_segments import (
    Stores,
    check_offset,
    check_real_offset,
    commit_code,
    commit_stack,
    current_stack,
    drop_data_segments,
    in_long_mode,
    load_real_code,
    mark_accessed,
    move_pointer,
    pop_frame,
    returned_code,
    returned_stack,
)
from vmmkit.insn._flags import DF, IF, STATUS
from vmmkit.insn._memory import FAULT, Context, Stop
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import CS, DS, ES, FS, GP, GS, RFLAGS_VM, SS, set_segment
from vmmkit.insn._stack import (
    AC,
    CR4_VME,
    ID,
    NT,
    RF,
    RFLAGS_IOPL,
    RSP,
    TF,
    VIF,
    VIP,
    iopl,
)

__all__ = ["IRET"]

RIP: Final = WORD["rip"]
NMI_BLOCKED: Final = WORD["nmi_blocked"]
ALWAYS: Final = STATUS | TF | DF | NT
VIRTUAL_8086: Final = 0xF3  # present, DPL 3, data, writable, accessed


def _load_flags(context: Context, image: int, mask: int) -> None:
    """Replace the flags in `mask`; RF stays as loaded for one instruction."""
    words = context.words
    words[RFLAGS] = words[RFLAGS] & ~(mask | RF) | image & mask
    context.keeps_rf = True


def _wide_flags(context: Context) -> int:
    return RF | AC | ID if context.operand_size > 2 else 0


def _protected_mask(context: Context) -> int:
    """What protected mode and the CPL before the return let IRET change."""
    mask = ALWAYS | _wide_flags(context)
    if context.cpl <= iopl(context):
        mask |= IF
    if context.cpl == 0:
        mask |= RFLAGS_IOPL | (VIF | VIP if context.operand_size > 2 else 0)
    return mask


def _return_real(context: Context) -> None:
    """Return in real-address mode, or in virtual-8086 mode by IOPL or CR4.VME."""
    size, words, old = context.operand_size, context.words, current_stack(context)
    virtual = bool(words[RFLAGS] & RFLAGS_VM)
    extended = virtual and iopl(context) < 3
    if extended and (size != 2 or not words[WORD["cr4"]] & CR4_VME):
        raise context.fault(GP)
    offset, selector, image = pop_frame(context, old, 3, size)
    check_real_offset(context, offset)
    mask = ALWAYS | IF | _wide_flags(context) | (0 if virtual else RFLAGS_IOPL)
    if extended:
        if image & TF or (image & IF and words[RFLAGS] & VIP):
            raise context.fault(GP)
        mask = mask & ~IF | VIF
        image = image & ~VIF | (VIF if image & IF else 0)
    move_pointer(context, old, 3 * size)
    load_real_code(context, selector & 0xFFFF, offset)
    _load_flags(context, image, mask)


def _return_to_virtual_8086(context: Context, offset: int, selector: int, image: int) -> None:
    """Six more values are popped: ESP, SS, ES, DS, FS, GS."""
    values = pop_frame(context, current_stack(context), 6, 4, 12)
    if offset > 0xFFFF:
        raise context.fault(GP)
    selectors = (selector, *values[1:])
    for segment, value in zip((CS, SS, ES, DS, FS, GS), selectors, strict=True):
        real = value & 0xFFFF
        set_segment(context, segment, (real, real << 4, 0xFFFF, VIRTUAL_8086))
    context.words[RSP] = values[0]
    context.next_rip = offset
    mask = ALWAYS | RF | AC | ID | IF | RFLAGS_IOPL | VIF | VIP | RFLAGS_VM
    _load_flags(context, image, mask)


def _return_protected(context: Context) -> None:
    size, old, stores = context.operand_size, current_stack(context), Stores()
    offset, selector, image = pop_frame(context, old, 3, size)
    selector &= 0xFFFF
    legacy = not in_long_mode(context) and size == 4
    if image & RFLAGS_VM and context.cpl == 0 and legacy:
        _return_to_virtual_8086(context, offset, selector, image)
        return
    code, level = returned_code(context, selector), selector & 3
    # 64-bit mode pops the stack pointer whether or not the level changes.
    switches, outer = level > context.cpl or context.mode == 64, level > context.cpl
    if switches:
        pointer, selector = pop_frame(context, old, 2, size, 3 * size)
        stack = returned_stack(context, code, selector & 0xFFFF, pointer)
    check_offset(context, code, offset)
    mark_accessed(context, code, stores)
    if switches:
        mark_accessed(context, stack.segment, stores)
    context.store_all(stores)
    mask = _protected_mask(context)
    if switches:
        commit_stack(context, stack, 0)
    else:
        move_pointer(context, old, 3 * size)
    if outer:
        drop_data_segments(context, level)
    commit_code(context, code, level, offset)
    _load_flags(context, image, mask)


def _return(context: Context) -> None:
    words = context.words
    if context.real:
        _return_real(context)
    elif not words[RFLAGS] & NT:
        _return_protected(context)
    elif in_long_mode(context):
        raise context.fault(GP)
    else:
        raise context.unsupported("TASK_SWITCH", words[RIP])


def _iret(context: Context) -> None:
    """NMIs are unblocked even by an IRET that faults.

    SDM vol. 3A, "Handling Multiple NMIs".
    """
    try:
        _return(context)
    except Stop as stop:
        if stop.kind == FAULT:
            context.words[NMI_BLOCKED] = 0
        raise
    context.words[NMI_BLOCKED] = 0


IRET: Final[dict[str, Handler]] = {"IRET": transfers(_iret)}
