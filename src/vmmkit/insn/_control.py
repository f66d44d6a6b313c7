# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Branches, ports and flag instructions of the pure engine; `csrc/control.c` is the same."""

from __future__ import annotations

from typing import Final

from vmmkit.insn._breakpoints import watch_port
from vmmkit.insn._execute import (
    RFLAGS,
    D,
    Handler,
    operand_bytes,
    read_register,
    read_target,
    target,
    value_of,
    write_register,
)
from vmmkit.insn._flags import CF, DF, IF, ZF, condition, mask_of
from vmmkit.insn._memory import HALT, PORT_IN, PORT_OUT, Context
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import (
    ATTRIBUTES,
    BASE,
    CR0_PE,
    GP,
    LIMIT,
    RFLAGS_VM,
    SEGMENT,
    TR,
    check_branch,
    system_load,
)
from vmmkit.insn._stack import CR4_VME, RSP, VIF, VIP, iopl, move_stack, pop_span, push_span

__all__ = ["CONTROL", "check_port"]

RCX: Final = 1
SHADOW_STI: Final = 1
CR4_PVI: Final = 1 << 1
TSS_IO_BASE: Final = 102  # SDM vol. 3A, "32-Bit Task-State Segment (TSS)" and its 64-bit form
TSS_BUSY_TYPES: Final = (9, 11)  # available and busy 32/64-bit TSS


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
    span = push_span(context, size, size)
    if where is None:
        destination = context.next_rip + context.immediate & mask_of(size)
    else:
        destination = read_target(context, where, size)
    check_branch(context, destination)
    context.store(span, context.next_rip & mask_of(size))
    context.words[RSP] = move_stack(context, -size)
    context.next_rip = destination


def _ret(context: Context) -> None:
    size = context.operand_size
    destination = context.load(pop_span(context))
    check_branch(context, destination)
    context.words[RSP] = move_stack(context, size + (context.immediate & 0xFFFF))
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
    if context.watched:
        watch_port(context, port, size)
    if not words[WORD["cr0"]] & CR0_PE:
        return
    trusted = context.cpl <= iopl(context) and not words[RFLAGS] & RFLAGS_VM
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
    if context.cpl <= iopl(context):
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
