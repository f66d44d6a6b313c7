# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Stack instructions of the pure engine; `csrc/stack.c` is the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vmmkit.insn._execute import (
    RFLAGS,
    SHADOW_MOV_SS,
    F,
    Handler,
    I,
    Target,
    effective_address,
    read_register,
    read_target,
    target,
    write_register,
    write_target,
)
from vmmkit.insn._flags import DF, IF, STATUS, mask_of
from vmmkit.insn._memory import Context, Span
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import (
    GP,
    RFLAGS_VM,
    SEGMENT,
    SELECTOR,
    SS,
    load_segment,
    locate,
    locate_stack,
    stack_mask,
)

__all__ = ["CR4_VME", "STACK", "VIF", "VIP", "iopl", "move_stack", "pop_span", "push_span"]

RSP, RBP = 4, 5
TF: Final = 1 << 8
RFLAGS_IOPL: Final = 3 << 12
NT: Final = 1 << 14
RF: Final = 1 << 16
AC: Final = 1 << 18
VIF: Final = 1 << 19
VIP: Final = 1 << 20
ID: Final = 1 << 21
CR4_VME: Final = 1 << 0
PUSHA_OVERRUNS: Final = frozenset({7, 9, 11, 13, 15})


def iopl(context: Context) -> int:
    """I/O privilege level in rFLAGS."""
    return context.words[RFLAGS] >> 12 & 3


def _segment_number(context: Context) -> int:
    """PUSH/POP of a fixed segment register: its number stands in opcode bits 5:3."""
    return context.opcode >> 3 & 7


def move_stack(context: Context, change: int) -> int:
    """Return rSP changed by `change`, its bits above the stack's width kept."""
    old, mask = context.words[RSP], stack_mask(context)
    return old & ~mask | old + change & mask


def push_span(context: Context, reserved: int, written: int) -> Span:
    """Locate the `written` bytes that a push of `reserved` bytes writes."""
    pointer = move_stack(context, -reserved) & stack_mask(context)
    return locate_stack(context, pointer, written, write=True)


def _push_value(context: Context, value: int, written: int) -> None:
    """Push an operand of the operand size, of which `written` bytes reach memory."""
    size = context.operand_size
    context.store(push_span(context, size, written), value & mask_of(written))
    context.words[RSP] = move_stack(context, -size)


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
    span = push_span(context, size, size)
    context.store(span, read_target(context, where, size))
    context.words[RSP] = move_stack(context, -size)


def pop_span(context: Context) -> Span:
    """Locate the operand-sized slot at the top of the stack."""
    pointer = context.words[RSP] & stack_mask(context)
    return locate_stack(context, pointer, context.operand_size, write=False)


def _pop(context: Context) -> None:
    size = context.operand_size
    span = pop_span(context)  # the stack is checked before the destination
    pointer = move_stack(context, size)
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


def _frame(context: Context, count: int) -> list[Span]:
    """Locate `count` slots below rSP, in the order they are pushed."""
    size = context.operand_size
    return [push_span(context, size * number, size) for number in range(1, count + 1)]


def _pusha(context: Context) -> None:
    """The whole frame is checked before the first slot is written."""
    # SDM vol. 2B, PUSHA: without protection, stacks that end within the frame at an odd offset.
    if context.real and context.words[RSP] & stack_mask(context) in PUSHA_OVERRUNS:
        raise context.fault(GP)
    size = context.operand_size
    frame = _frame(context, 8)
    values = (read_register(context, number, size) for number in range(8))
    context.store_all(zip(frame, values, strict=True))
    context.words[RSP] = move_stack(context, -8 * size)


def _popa(context: Context) -> None:
    """The slot of rSP is checked like the others and then passed over."""
    size = context.operand_size
    frame = [_stack_slot(context, RSP, number * size) for number in range(8)]
    numbers = (7, 6, 5, RSP, 3, 2, 1, 0)
    slots = [slot for slot in zip(numbers, frame, strict=True) if slot[0] != RSP]
    values = [(number, context.load(span)) for number, span in slots]
    context.words[RSP] = move_stack(context, 8 * size)
    for number, value in values:
        write_register(context, number, size, value)


def _stack_slot(context: Context, register: int, offset: int) -> Span:
    """Locate the operand-sized slot at rSP or rBP plus `offset`, for reading."""
    pointer = context.words[register] + offset & stack_mask(context)
    return locate_stack(context, pointer, context.operand_size, write=False)


def _virtual(context: Context) -> bool:
    """Whether PUSHF and POPF work on VIF: virtual-8086 mode with CR4.VME and IOPL below 3.

    There it is #GP(0) with a 32-bit operand size or without VME (SDM vol. 2B, PUSHF and POPF).
    """
    words = context.words
    if not words[RFLAGS] & RFLAGS_VM or iopl(context) == 3:
        return False
    if context.operand_size != 2 or not words[WORD["cr4"]] & CR4_VME:
        raise context.fault(GP)
    return True


def _pushf(context: Context) -> None:
    flags = context.words[RFLAGS]
    if _virtual(context):
        flags = flags & ~IF | RFLAGS_IOPL | (IF if flags & VIF else 0)
    _push_value(context, flags & ~(RF | RFLAGS_VM), context.operand_size)


def _popf_mask(context: Context) -> int:
    """Flags that POPF takes from the stack (SDM vol. 2B, POPF, the table of effects)."""
    mask = STATUS | TF | DF | NT
    if context.operand_size > 2:
        mask |= AC | ID
    if context.cpl == 0:
        mask |= RFLAGS_IOPL
    if context.cpl <= iopl(context):
        mask |= IF
    return mask


def _popf(context: Context) -> None:
    words = context.words
    mask = _popf_mask(context)
    virtual = _virtual(context)
    value = context.load(pop_span(context))
    if virtual:
        if value & TF or (value & IF and words[RFLAGS] & VIP):
            raise context.fault(GP)
        mask |= VIF
        value |= VIF if value & IF else 0
    words[RFLAGS] = words[RFLAGS] & ~(mask | RF) | value & mask
    words[RSP] = move_stack(context, context.operand_size)


def _addresses(span: Span) -> Iterable[int]:
    return (part.gpa + number for part in span for number in range(part.size))


class _Frame:
    """What ENTER is about to store; its loads must see what it has pushed before them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stores: list[tuple[Span, int]] = []
        self._pending: dict[int, int] = {}

    def push(self, span: Span, value: int) -> None:
        """Note a store."""
        value &= mask_of(self.size)
        self.stores.append((span, value))
        raw = value.to_bytes(self.size, "little")
        self._pending.update(zip(_addresses(span), raw, strict=True))

    def load(self, context: Context, span: Span) -> int:
        """Load, with the bytes that an earlier push puts there."""
        raw = context.load(span).to_bytes(self.size, "little")
        places = zip(_addresses(span), raw, strict=True)
        return int.from_bytes(bytes(self._pending.get(gpa, old) for gpa, old in places), "little")


def _enter(context: Context) -> None:
    """SDM vol. 2A, ENTER: every slot is checked, then the new top of the stack as for a write."""
    size, words = context.operand_size, context.words
    level = context.second_immediate & 31
    slots, display = [push_span(context, size, size)], []
    for number in range(1, level):
        display.append(_stack_slot(context, RBP, -number * size))
        slots.append(push_span(context, (number + 1) * size, size))
    if level:
        slots.append(push_span(context, (level + 1) * size, size))
    reserved = len(slots) * size + (context.immediate & 0xFFFF)
    push_span(context, reserved, size)
    frame_pointer = move_stack(context, -size)
    frame = _Frame(size)
    frame.push(slots[0], words[RBP])
    for slot, place in zip(slots[1:], display, strict=False):
        frame.push(slot, frame.load(context, place))
    if level:
        frame.push(slots[level], frame_pointer)
    context.store_all(frame.stores)
    words[RSP] = move_stack(context, -reserved)
    write_register(context, RBP, size, frame_pointer & mask_of(size))


def _leave(context: Context) -> None:
    size, words = context.operand_size, context.words
    value = context.load(_stack_slot(context, RBP, 0))
    mask = stack_mask(context)
    words[RSP] = words[RSP] & ~mask | words[RBP] + size & mask
    write_register(context, RBP, size, value)


STACK: Final[dict[str, Handler]] = {
    "PUSH": _push,
    "POP": _pop,
    "PUSHA": _pusha,
    "POPA": _popa,
    "PUSHF": _pushf,
    "POPF": _popf,
    "ENTER": _enter,
    "LEAVE": _leave,
}
