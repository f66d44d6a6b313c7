# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Far JMP, CALL and RET of the pure engine; `csrc/far.c` is the same.

SDM vol. 2A, CALL and JMP, and vol. 2B, RET. Through code segments and call gates; a task gate or
a TSS passes its checks and is Unsupported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from vmmkit.insn._execute import RIP, Handler
from vmmkit.insn._far_segments import (
    FarSegment,
    FarStack,
    Stores,
    check_code,
    check_offset,
    check_real_offset,
    commit_code,
    commit_stack,
    current_stack,
    drop_data_segments,
    in_long_mode,
    inner_stack,
    is_code,
    load_real_code,
    mark_accessed,
    move_pointer,
    pop_frame,
    push_frame,
    read_segment,
    returned_code,
    returned_stack,
)
from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import Context
from vmmkit.insn._segments import (
    ATTR_DB,
    ATTR_L,
    ATTR_P,
    CS,
    GP,
    NP,
    SEGMENT,
    SELECTOR,
    begin_mode,
    descriptor_address,
    system_load,
)
from vmmkit.insn._transfer import locate_two

__all__ = ["FAR", "check_long_code", "transfers"]

CALL_GATE_16, TASK_GATE, CALL_GATE = 4, 5, 12
TASKS: Final = (1, TASK_GATE, 9)  # available TSSs and the task gate


class _Gate(NamedTuple):
    selector: int
    offset: int
    size: int
    """Bytes of a slot: 2, 4 or 8."""
    parameters: int


def transfers(transfer: Callable[[Context], None]) -> Handler:
    """Have mode and CPL derived afresh from the registers when a transfer is over or stops."""

    def execute(context: Context) -> None:
        try:
            transfer(context)
        finally:
            begin_mode(context)

    return execute


def _far_pointer(context: Context) -> tuple[int, int]:
    size = context.operand_size
    if context.modrm < 0:
        return context.immediate & mask_of(size), context.second_immediate
    first, second = locate_two(context, 2)
    return context.load(first), context.load(second)


def _check_direct(context: Context, code: FarSegment) -> None:
    """A far pointer may lead to code of the same level, or to conforming code of an inner one."""
    if not code.conforming and code.selector & 3 > context.cpl:
        raise context.fault(GP, code.selector & 0xFFFC)
    check_code(context, code, lowest=context.cpl, highest=context.cpl)


def check_long_code(context: Context, code: FarSegment) -> None:
    """#GP(selector) unless a gate of long mode leads to code of 64-bit mode."""
    if in_long_mode(context) and code.attributes & (ATTR_L | ATTR_DB) != ATTR_L:
        raise context.fault(GP, code.selector & 0xFFFC)


def _gate(context: Context, found: FarSegment) -> _Gate:
    """Check and unpack a call gate; the other system descriptors raise or stop."""
    kind, error = found.attributes & 0x1F, found.selector & 0xFFFC
    long_mode, descriptor = in_long_mode(context), found.descriptor
    known = kind == CALL_GATE or (not long_mode and kind in (CALL_GATE_16, *TASKS))
    if not known or found.dpl < max(context.cpl, found.selector & 3):
        raise context.fault(GP, error)
    if not found.attributes & ATTR_P:
        raise context.fault(NP, error)
    if kind in TASKS:
        raise context.unsupported("TASK_SWITCH", context.words[RIP])
    offset = descriptor & 0xFFFF | (descriptor >> 48 << 16 if kind == CALL_GATE else 0)
    parameters = descriptor >> 32 & 0x1F
    if not long_mode:
        return _Gate(descriptor >> 16 & 0xFFFF, offset, 4 if kind == CALL_GATE else 2, parameters)
    # SDM vol. 3A, "IA-32e Mode Call Gates": 16 bytes, whose second type field must be 0.
    address = descriptor_address(context, found.selector, GP, 16)
    upper = system_load(context, address + 8, 8)
    if upper >> 40 & 0x1F:
        raise context.fault(GP, error)
    return _Gate(descriptor >> 16 & 0xFFFF, offset | (upper & 0xFFFF_FFFF) << 32, 8, 0)


def _jump(context: Context) -> None:
    offset, selector = _far_pointer(context)
    if context.real:
        check_real_offset(context, offset)
        load_real_code(context, selector, offset)
        return
    code, stores = read_segment(context, selector), Stores()
    if is_code(code):
        _check_direct(context, code)
    else:
        gate = _gate(context, code)
        code, offset = read_segment(context, gate.selector), gate.offset
        check_long_code(context, code)
        check_code(context, code, lowest=context.cpl, highest=context.cpl)
    check_offset(context, code, offset)
    mark_accessed(context, code, stores)
    context.store_all(stores)
    commit_code(context, code, context.cpl, offset)


def _return_address(context: Context) -> tuple[int, int]:
    return context.words[SEGMENT + 4 * CS + SELECTOR], context.next_rip


def _call(context: Context) -> None:
    offset, selector = _far_pointer(context)
    size, stack = context.operand_size, current_stack(context)
    if context.real:
        stores = push_frame(context, stack, _return_address(context), size)
        check_real_offset(context, offset)
        context.store_all(stores)
        move_pointer(context, stack, -2 * size)
        load_real_code(context, selector, offset)
        return
    code = read_segment(context, selector)
    if not is_code(code):
        _call_gate(context, _gate(context, code))
        return
    _check_direct(context, code)
    _call_same(context, code, stack, offset, size)


def _call_same(context: Context, code: FarSegment, stack: FarStack, offset: int, size: int) -> None:
    """Call code that runs at the caller's level."""
    stores = push_frame(context, stack, _return_address(context), size)
    check_offset(context, code, offset)
    mark_accessed(context, code, stores)
    context.store_all(stores)
    move_pointer(context, stack, -2 * size)
    commit_code(context, code, context.cpl, offset)


def _call_gate(context: Context, gate: _Gate) -> None:
    code = read_segment(context, gate.selector)
    check_long_code(context, code)
    check_code(context, code, lowest=0, highest=context.cpl)
    if not code.conforming and code.dpl < context.cpl:
        _call_inner(context, code, gate)
        return
    stack = current_stack(context)
    if gate.size == 8:
        context.mode, stack = 64, stack._replace(wide=True)
    _call_same(context, code, stack, gate.offset, gate.size)


def _parameters(context: Context, old: FarStack, gate: _Gate, level: int) -> list[int]:
    """What a gate copies from the caller's stack, read as the caller, the last pushed first."""
    caller, context.cpl = context.cpl, level
    values = pop_frame(context, old, gate.parameters, gate.size)
    context.cpl = caller
    return values[::-1]


def _call_inner(context: Context, code: FarSegment, gate: _Gate) -> None:
    old, level, caller = current_stack(context), code.dpl, context.cpl
    stack = inner_stack(context, level)
    context.cpl = level
    if gate.size == 8:
        context.mode = 64
    # The new stack is checked before the parameters are: their slots are filled in afterwards.
    blank = (old.segment.selector, old.pointer, *[0] * gate.parameters, *_return_address(context))
    stores = push_frame(context, stack, blank, gate.size)
    check_offset(context, code, gate.offset)
    if gate.parameters:
        values = _parameters(context, old, gate, caller)
        stores[2:-2] = [
            (span, value) for (span, _), value in zip(stores[2:-2], values, strict=True)
        ]
    change = -gate.size * len(blank)
    mark_accessed(context, code, stores)
    mark_accessed(context, stack.segment, stores)
    context.store_all(stores)
    commit_stack(context, stack, change)
    commit_code(context, code, level, gate.offset)


def _return(context: Context) -> None:
    size, released = context.operand_size, context.immediate & 0xFFFF
    old = current_stack(context)
    offset, selector = pop_frame(context, old, 2, size)
    selector &= 0xFFFF
    if context.real:
        check_real_offset(context, offset)
        move_pointer(context, old, 2 * size + released)
        load_real_code(context, selector, offset)
        return
    code, level, stores = returned_code(context, selector), selector & 3, Stores()
    outer = level > context.cpl
    if outer:
        pointer, selector = pop_frame(context, old, 2, size, 2 * size + released)
        stack = returned_stack(context, code, selector & 0xFFFF, pointer)
    check_offset(context, code, offset)
    mark_accessed(context, code, stores)
    if outer:
        mark_accessed(context, stack.segment, stores)
    context.store_all(stores)
    if outer:
        commit_stack(context, stack, released)
        drop_data_segments(context, level)
    else:
        move_pointer(context, old, 2 * size + released)
    commit_code(context, code, level, offset)


FAR: Final[dict[str, Handler]] = {
    "JMPF": transfers(_jump),
    "CALLF": transfers(_call),
    "RETF": transfers(_return),
}
