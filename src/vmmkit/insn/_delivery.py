# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Delivery through the IVT and the IDT, and the INT instructions; `csrc/delivery.c` is the same.

SDM vol. 2A, "INT n/INTO/INT3/INT1", and vol. 3A, "Interrupt and Exception Handling". A task gate
passes its checks and is Unsupported.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vmmkit.insn._breakpoints import stop_at_int3
from vmmkit.insn._execute import RFLAGS, RIP, Handler
from vmmkit.insn._far import check_long_code, transfers
from vmmkit.insn._far_segments import (
    TS,
    FarSegment,
    FarStack,
    check_code,
    check_offset,
    check_real_offset,
    commit_code,
    commit_stack,
    current_stack,
    in_long_mode,
    inner_stack,
    load_real_code,
    mark_accessed,
    move_pointer,
    push_frame,
    read_segment,
)
from vmmkit.insn._flags import IF, OF
from vmmkit.insn._memory import EXIT_ADDRESS, EXIT_SIZE, FAULT, Context, Stop
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import (
    ATTR_UNUSABLE,
    ATTRIBUTES,
    BASE,
    CS,
    DS,
    ES,
    FS,
    GP,
    GS,
    NP,
    RFLAGS_VM,
    SEGMENT,
    SELECTOR,
    TR,
    linear_rip,
    set_segment,
    system_load,
)
from vmmkit.insn._stack import AC, CR4_VME, NT, RF, RFLAGS_IOPL, TF, VIF, iopl

__all__ = ["INTERRUPTS", "add_external", "deliver"]

DB, BP, OVERFLOW = 1, 3, 4
IDT: Final = 2  # bit of an error code: the index is one into the IDT
EXT: Final = 1  # bit of an error code: not the doing of the instruction
BS: Final = 1 << 14  # bit of DR6: single step
TASK_GATE: Final = 5
NARROW_GATES: Final = (6, 7)
WIDE_GATES: Final = (14, 15)  # interrupt and trap gate
TYPE_TRAP: Final = 1  # set in the types of trap gates
TSS_IO_BASE: Final = 102
WITH_SELECTOR: Final = range(TS, GP + 1)  # the vectors whose error code has the bits of a selector


class _Gate(NamedTuple):
    selector: int
    offset: int
    size: int
    """Bytes of a slot: 2, 4 or 8."""
    stack: int
    """IST number, else 0."""
    is_trap: bool


def _gate(context: Context, vector: int, *, software: bool) -> _Gate:
    """Check and unpack a gate of the IDT."""
    words, long_mode = context.words, in_long_mode(context)
    size, error = 16 if long_mode else 8, vector * 8 + IDT
    if vector * size + size - 1 > words[WORD["idtr_limit"]]:
        raise context.fault(GP, error)
    address = words[WORD["idtr_base"]] + vector * size
    low = system_load(context, address, 8)
    kind = low >> 40 & 0x1F
    known = kind in WIDE_GATES or (not long_mode and kind in (TASK_GATE, *NARROW_GATES))
    if not known or (software and low >> 45 & 3 < context.cpl):
        raise context.fault(GP, error)
    if not low >> 47 & 1:
        raise context.fault(NP, error)
    if kind == TASK_GATE:
        raise context.unsupported("TASK_SWITCH", words[RIP])
    selector, is_trap = low >> 16 & 0xFFFF, bool(kind & TYPE_TRAP)
    if kind in NARROW_GATES:
        return _Gate(selector, low & 0xFFFF, 2, 0, is_trap)
    offset = low & 0xFFFF | low >> 48 << 16
    if not long_mode:
        return _Gate(selector, offset, 4, 0, is_trap)
    offset |= (system_load(context, address + 8, 8) & 0xFFFF_FFFF) << 32
    return _Gate(selector, offset, 8, low >> 32 & 7, is_trap)


def _handler_code(context: Context, selector: int) -> FarSegment:
    """The code segment of a gate; out of virtual-8086 mode it must be one of level 0."""
    code = read_segment(context, selector)
    check_long_code(context, code)
    outside = code.conforming or code.dpl
    if context.words[RFLAGS] & RFLAGS_VM and outside:
        raise context.fault(GP, selector & 0xFFFC)
    check_code(context, code, lowest=0, highest=context.cpl)
    return code


def _handler_stack(context: Context, level: int, interrupt_stack: int) -> FarStack:
    """The stack of a handler; in long mode aligned to 16 bytes."""
    if level < context.cpl:
        stack = inner_stack(context, level, interrupt_stack)
    else:
        stack = current_stack(context)
        if interrupt_stack:
            stack = stack._replace(pointer=inner_stack(context, level, interrupt_stack).pointer)
    if not in_long_mode(context):
        return stack
    return stack._replace(pointer=stack.pointer & ~15, wide=True)


def _frame(context: Context, rip: int, flags: int, *, switches: bool) -> list[int]:
    """What is pushed, the first first."""
    words = context.words
    frame = [flags, words[SEGMENT + 4 * CS + SELECTOR], rip]
    if switches or in_long_mode(context):
        old = current_stack(context)
        frame = [old.segment.selector, old.pointer, *frame]
    if flags & RFLAGS_VM:
        frame = [words[SEGMENT + 4 * segment + SELECTOR] for segment in (GS, FS, DS, ES)] + frame
    return frame


def _through_idt(
    context: Context, vector: int, rip: int, flags: int, error: int | None, *, software: bool
) -> None:
    gate = _gate(context, vector, software=software)
    code = _handler_code(context, gate.selector)
    level = context.cpl if code.conforming else code.dpl
    switches = level < context.cpl
    frame = _frame(context, rip, flags, switches=switches)
    if error is not None:
        frame.append(error)
    stack = _handler_stack(context, level, gate.stack)
    context.cpl = level
    if gate.size == 8:
        context.mode = 64
    stores = push_frame(context, stack, frame, gate.size)
    check_offset(context, code, gate.offset)
    mark_accessed(context, code, stores)
    if switches:
        mark_accessed(context, stack.segment, stores)
    context.store_all(stores)
    change = -gate.size * len(frame)
    if switches:
        commit_stack(context, stack, change)
    else:
        move_pointer(context, stack, change)
    if flags & RFLAGS_VM:
        for segment in (GS, FS, DS, ES):
            set_segment(context, segment, (0, 0, 0, ATTR_UNUSABLE))
    commit_code(context, code, level, gate.offset)
    cleared = TF | NT | RF | RFLAGS_VM | (0 if gate.is_trap else IF)
    context.words[RFLAGS] &= ~cleared


def _push_real_frame(context: Context, entry: int, rip: int, flags: int) -> None:
    """Push FLAGS, CS and IP, and go where an entry of the IVT says."""
    offset, stack = entry & 0xFFFF, current_stack(context)
    selector = context.words[SEGMENT + 4 * CS + SELECTOR]
    stores = push_frame(context, stack, (flags, selector, rip), 2)
    check_real_offset(context, offset)
    context.store_all(stores)
    move_pointer(context, stack, -6)
    load_real_code(context, entry >> 16, offset)


def _through_ivt(context: Context, vector: int, rip: int, flags: int) -> None:
    words = context.words
    if 4 * vector + 3 > words[WORD["idtr_limit"]]:
        raise context.fault(GP, vector * 8 + IDT)
    entry = system_load(context, words[WORD["idtr_base"]] + 4 * vector, 4)
    _push_real_frame(context, entry, rip, flags)
    words[RFLAGS] &= ~(IF | TF | AC | RF)


def deliver(
    context: Context, vector: int, rip: int, flags: int, error: int | None, *, software: bool
) -> None:
    """Transfer to the handler of `vector`.

    `rip` and `flags` are what is pushed; `error` is pushed in protected mode, unless `None`;
    `software` has the DPL of the gate checked.
    """
    if context.real and not context.words[RFLAGS] & RFLAGS_VM:
        _through_ivt(context, vector, rip, flags)
    else:
        _through_idt(context, vector, rip, flags, error, software=software)
    context.shadow = 0


def add_external(context: Context) -> None:
    """Set EXT in the error code of the fault in the exit record."""
    if context.words[EXIT_ADDRESS] in WITH_SELECTOR:
        context.words[EXIT_SIZE] |= EXT


def _interrupt(context: Context, vector: int, *, software: bool = True) -> None:
    """An INT instruction: it pushes the address after it, and TF does not trap in the handler."""
    flags = context.words[RFLAGS] & ~RF
    deliver(context, vector, context.next_rip, flags, None, software=software)
    context.debug &= ~BS


def _redirected(context: Context, vector: int) -> bool:
    """Whether INT n in virtual-8086 mode goes to the 8086 program's own handler.

    SDM vol. 3B, "Interrupt and Exception Handling in Virtual-8086 Mode": a clear bit in the
    bitmap of 32 bytes below the I/O permission bit map, if CR4.VME is set.
    """
    words, start = context.words, SEGMENT + 4 * TR
    if not words[WORD["cr4"]] & CR4_VME:
        return False
    base, limit, attributes = words[start + BASE : start + ATTRIBUTES + 1]
    if attributes & ATTR_UNUSABLE or limit < TSS_IO_BASE + 1:
        raise context.fault(GP)
    offset = system_load(context, base + TSS_IO_BASE, 2) - 32 + vector // 8
    if offset < 0 or offset > limit:
        raise context.fault(GP)
    return not system_load(context, base + offset, 1) >> (vector & 7) & 1


def _interrupt_8086(context: Context, vector: int) -> None:
    """INT n through the 8086 program's table at 0; below IOPL 3 VIF stands in for IF."""
    words = context.words
    flags, cleared = words[RFLAGS] & ~RF, IF | TF
    if iopl(context) < 3:
        flags = flags & ~IF | RFLAGS_IOPL | (IF if flags & VIF else 0)
        cleared = VIF | TF
    entry = system_load(context, 4 * vector, 4)
    _push_real_frame(context, entry, context.next_rip, flags)
    words[RFLAGS] &= ~(cleared | RF)
    context.debug &= ~BS


def _int(context: Context) -> None:
    vector = context.immediate & 0xFF
    if context.words[RFLAGS] & RFLAGS_VM:
        if _redirected(context, vector):
            _interrupt_8086(context, vector)
            return
        if iopl(context) < 3:
            raise context.fault(GP)
    _interrupt(context, vector)


def _int3(context: Context) -> None:
    """The owner may have it instead."""
    kind = stop_at_int3(context, linear_rip(context))
    if kind:
        raise Stop(kind)
    _interrupt(context, BP)


def _into(context: Context) -> None:
    if context.words[RFLAGS] & OF:
        _interrupt(context, OVERFLOW)


def _int1(context: Context) -> None:
    """ICEBP is delivered as if by hardware: the gate's DPL does not count, and EXT is set."""
    try:
        _interrupt(context, DB, software=False)
    except Stop as stop:
        if stop.kind == FAULT:
            add_external(context)
        raise


INTERRUPTS: Final[dict[str, Handler]] = {
    "INT": transfers(_int),
    "INT3": transfers(_int3),
    "INTO": transfers(_into),
    "INT1": transfers(_int1),
}
