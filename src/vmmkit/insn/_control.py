# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Stack, branches, ports and flag instructions of the pure engine; `csrc/control.c` is the same."""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import (
    RFLAGS,
    SHADOW_MOV_SS,
    D,
    F,
    Handler,
    I,
    Target,
    effective_address,
    operand_bytes,
    read_register,
    read_target,
    target,
    value_of,
    write_register,
    write_target,
)
from vmmkit.insn._flags import CF, DF, IF, ZF, condition, mask_of
from vmmkit.insn._memory import HALT, PORT_IN, PORT_OUT, Context, Span
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import (
    ATTRIBUTES,
    BASE,
    CR0_PE,
    GP,
    LIMIT,
    RFLAGS_VM,
    SEGMENT,
    SELECTOR,
    SS,
    TR,
    check_branch,
    load_segment,
    locate,
    locate_stack,
    stack_mask,
    system_load,
)

__all__ = ["CONTROL", "check_port"]

RCX, RSP = 1, 4
SHADOW_STI: Final = 1
VIF: Final = 1 << 19
VIP: Final = 1 << 20
CR4_VME: Final = 1 << 0
CR4_PVI: Final = 1 << 1
TSS_IO_BASE: Final = 102  # SDM vol. 3A, "32-Bit Task-State Segment (TSS)" and its 64-bit form
TSS_BUSY_TYPES: Final = (9, 11)  # available and busy 32/64-bit TSS


def _segment_number(context: Context) -> int:
    """PUSH/POP of a fixed segment register: its number stands in opcode bits 5:3."""
    return context.opcode >> 3 & 7


def _move_stack(context: Context, change: int) -> int:
    """Return rSP changed by `change`, its bits above the stack's width kept."""
    old, mask = context.words[RSP], stack_mask(context)
    return old & ~mask | old + change & mask


def _push_span(context: Context, reserved: int, written: int) -> Span:
    pointer = _move_stack(context, -reserved) & stack_mask(context)
    return locate_stack(context, pointer, written, write=True)


def _push_value(context: Context, value: int, written: int) -> None:
    """Push an operand of the operand size, of which `written` bytes reach memory."""
    size = context.operand_size
    context.store(_push_span(context, size, written), value & mask_of(written))
    context.words[RSP] = _move_stack(context, -size)


def _push(context: Context) -> None:
    size = context.operand_size
    if context.row.kinds[0] == F:
        # SDM vol. 2B, PUSH: with a 32-bit operand size recent processors write 16 bits only.
        selector = context.words[SEGMENT + 4 * _segment_number(context) + SELECTOR] & 0xFFFF
        _push_value(context, selector, 2 if size == 4 else size)
        return
    if context.row.kinds[0] == I:
        _push_value(context, context.immediate & mask_of(size), size)
        return
    where = target(context, 0)  # the source is checked before the stack
    span = _push_span(context, size, size)
    context.store(span, read_target(context, where, size))
    context.words[RSP] = _move_stack(context, -size)


def _pop_span(context: Context) -> Span:
    pointer = context.words[RSP] & stack_mask(context)
    return locate_stack(context, pointer, context.operand_size, write=False)


def _pop(context: Context) -> None:
    size = context.operand_size
    span = _pop_span(context)  # the stack is checked before the destination
    pointer = _move_stack(context, size)
    if context.row.kinds[0] == F:
        segment = _segment_number(context)
        load_segment(context, segment, context.load(span) & 0xFFFF)
        context.words[RSP] = pointer
        if segment == SS:
            context.shadow = SHADOW_MOV_SS
        return
    where = _pop_target(context, pointer)
    value = context.load(span)
    if isinstance(where, int):
        context.words[RSP] = pointer
        write_target(context, where, size, value)
    else:
        write_target(context, where, size, value)
        context.words[RSP] = pointer


def _pop_target(context: Context, pointer: int) -> Target:
    """Destination of POP; a memory address that uses rSP sees it already incremented."""
    if 0 <= context.modrm < 0xC0:
        offset = effective_address(context, pointer)
        return locate(context, context.segment, offset, context.operand_size, write=True)
    return target(context, 0)


def _branch(context: Context, destination: int) -> None:
    destination &= mask_of(context.operand_size)
    check_branch(context, destination)
    context.next_rip = destination


def _jump_relative(context: Context) -> None:
    _branch(context, context.next_rip + context.immediate)


def _jcc(context: Context) -> None:
    if condition(context.opcode & 15, context.words[RFLAGS]):
        _jump_relative(context)


def _jmp(context: Context) -> None:
    if context.modrm < 0:
        _jump_relative(context)
    else:
        _branch(context, value_of(context, 0, context.operand_size))


def _call(context: Context) -> None:
    """The pointer's and the stack's pages are checked before the pointer is loaded."""
    size = context.operand_size
    where = target(context, 0) if context.modrm >= 0 else None
    span = _push_span(context, size, size)
    if where is None:
        destination = context.next_rip + context.immediate & mask_of(size)
    else:
        destination = read_target(context, where, size)
    check_branch(context, destination)
    context.store(span, context.next_rip & mask_of(size))
    context.words[RSP] = _move_stack(context, -size)
    context.next_rip = destination


def _ret(context: Context) -> None:
    size = context.operand_size
    destination = context.load(_pop_span(context))
    check_branch(context, destination)
    context.words[RSP] = _move_stack(context, size + (context.immediate & 0xFFFF))
    context.next_rip = destination


def _count(context: Context) -> int:
    return read_register(context, RCX, context.address_size)


def _loop(wanted: int | None) -> Handler:
    """LOOP takes any ZF, LOOPE and LOOPNE want it set or clear."""

    def execute(context: Context) -> None:
        count = _count(context) - 1 & mask_of(context.address_size)
        zero = context.words[RFLAGS] & ZF
        if count and wanted in {None, zero}:
            _jump_relative(context)
        write_register(context, RCX, context.address_size, count)

    return execute


def _jcxz(context: Context) -> None:
    if not _count(context):
        _jump_relative(context)


def _iopl(context: Context) -> int:
    return context.words[RFLAGS] >> 12 & 3


def _bitmap_denies(context: Context, port: int, size: int) -> bool:
    """SDM vol. 1, "I/O Permission Bit Map": two bytes are always read, and must be in the TSS."""
    start = SEGMENT + 4 * TR
    base, limit = context.words[start + BASE], context.words[start + LIMIT]
    if context.words[start + ATTRIBUTES] & 15 not in TSS_BUSY_TYPES or limit < TSS_IO_BASE + 1:
        return True
    map_base = system_load(context, base + TSS_IO_BASE, 2)
    offset = map_base + port // 8
    if offset + 1 > limit:
        return True
    bits = system_load(context, base + offset, 2)
    return bool(bits >> (port & 7) & ((1 << size) - 1))


def check_port(context: Context, port: int, size: int) -> None:
    """#GP(0) unless IOPL or the permission bit map allow all of the port."""
    words = context.words
    if not words[WORD["cr0"]] & CR0_PE:
        return
    trusted = context.cpl <= _iopl(context) and not words[RFLAGS] & RFLAGS_VM
    if not trusted and _bitmap_denies(context, port, size):
        raise context.fault(GP)


def _port(context: Context, place: int) -> int:
    if context.row.kinds[place] == D:
        return context.words[2] & 0xFFFF
    return context.immediate & 0xFF


def _in(context: Context) -> None:
    size, port = operand_bytes(context, 0), _port(context, 1)
    check_port(context, port, size)
    value = context.access(PORT_IN, port, size, 0)
    write_register(context, 0, size, value)


def _out(context: Context) -> None:
    size, port = operand_bytes(context, 1), _port(context, 0)
    check_port(context, port, size)
    context.access(PORT_OUT, port, size, read_register(context, 0, size))


def _hlt(context: Context) -> int:
    if context.cpl:
        raise context.fault(GP)
    return HALT


def _interrupt_flag(context: Context) -> int:
    """IF, or VIF where CR4.VME or PVI says so (SDM vol. 2A, CLI; vol. 2B, STI)."""
    if context.cpl <= _iopl(context):
        return IF
    words = context.words
    extension = CR4_VME if words[RFLAGS] & RFLAGS_VM else CR4_PVI
    if context.cpl == 3 and words[WORD["cr4"]] & extension:
        return VIF
    raise context.fault(GP)


def _cli(context: Context) -> None:
    context.words[RFLAGS] &= ~_interrupt_flag(context)


def _sti(context: Context) -> None:
    flag, words = _interrupt_flag(context), context.words
    if flag == VIF and words[RFLAGS] & VIP:
        raise context.fault(GP)
    if flag == IF and not words[RFLAGS] & IF:
        context.shadow = SHADOW_STI
    words[RFLAGS] |= flag


def _flag(cleared: int, toggled: int) -> Handler:
    def execute(context: Context) -> None:
        context.words[RFLAGS] = context.words[RFLAGS] & ~cleared ^ toggled

    return execute


CONTROL: Final[dict[str, Handler]] = {
    "PUSH": _push,
    "POP": _pop,
    "JCC": _jcc,
    "JMP": _jmp,
    "CALL": _call,
    "RET": _ret,
    "LOOP": _loop(None),
    "LOOPE": _loop(ZF),
    "LOOPNE": _loop(0),
    "JCXZ": _jcxz,
    "IN": _in,
    "OUT": _out,
    "HLT": _hlt,
    "CLI": _cli,
    "STI": _sti,
    "CLC": _flag(CF, 0),
    "STC": _flag(CF, CF),
    "CMC": _flag(0, CF),
    "CLD": _flag(DF, 0),
    "STD": _flag(DF, DF),
}
