# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Segments and stacks that far transfers go to; `csrc/far_segments.c` is the same.

A transfer first finds and checks the code segment, the stack and every slot of the frame; then it
loads and stores; what it changes in the registers comes last. While it goes through a stack of
another privilege level or width, `cpl` and `mode` of the context are those of that stack, so who
starts a transfer calls `begin_mode` when it is over, however it ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import Context, Span
from vmmkit.insn._page_modes import EFER_LMA, INTENT_SYSTEM, INTENT_WRITE
from vmmkit.insn._paging import locate_linear
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import (
    ATTR_DB,
    ATTR_L,
    ATTR_P,
    ATTR_S,
    ATTR_UNUSABLE,
    ATTRIBUTES,
    BASE,
    CS,
    DS,
    ES,
    FS,
    GP,
    GS,
    LIMIT,
    NP,
    SEGMENT,
    SELECTOR,
    SS,
    STACK_FAULT,
    TR,
    TYPE_ACCESSED,
    TYPE_CODE,
    TYPE_EXPAND_DOWN,
    TYPE_WRITABLE,
    check_type,
    checked_alignment,
    descriptor_address,
    in_limit,
    is_canonical,
    locate_data,
    set_segment,
    system_load,
    unpack,
)

__all__ = [
    "FarSegment",
    "FarStack",
    "Stores",
    "check_code",
    "check_offset",
    "check_real_offset",
    "commit_code",
    "commit_stack",
    "current_stack",
    "drop_data_segments",
    "inner_stack",
    "in_long_mode",
    "is_code",
    "is_wide",
    "load_real_code",
    "mark_accessed",
    "move_pointer",
    "pop_frame",
    "push_frame",
    "read_segment",
    "returned_code",
    "returned_stack",
    "slot",
]

RSP: Final = 4
TS: Final = 10
TYPE_WIDE: Final = 8  # set in the types of 32- and 64-bit TSSs and gates

Stores = list[tuple[Span, int]]


class FarSegment(NamedTuple):
    """A segment as its descriptor says; `address` is the linear address of that."""

    selector: int
    base: int
    limit: int
    attributes: int
    address: int
    descriptor: int

    @property
    def dpl(self) -> int:
        """The privilege level in the descriptor."""
        return self.attributes >> 5 & 3

    @property
    def conforming(self) -> bool:
        """Whether code runs here at its caller's privilege level."""
        return bool(self.attributes & TYPE_EXPAND_DOWN)


class FarStack(NamedTuple):
    """A stack to push to or pop from, and the error code of its #SS."""

    segment: FarSegment
    pointer: int
    wide: bool
    """Whether it is one of 64-bit mode, flat and with 64-bit pointers."""
    error: int

    @property
    def mask(self) -> int:
        """Mask of the width of its pointer."""
        if self.wide:
            return mask_of(8)
        return mask_of(4 if self.segment.attributes & ATTR_DB else 2)


def in_long_mode(context: Context) -> bool:
    """Whether the processor is in 64-bit or compatibility mode."""
    return bool(context.words[WORD["efer"]] & EFER_LMA)


def read_segment(context: Context, selector: int, vector: int = GP) -> FarSegment:
    """Read a descriptor; `vector` is the fault for null (code 0) and beyond the table."""
    if selector & 0xFFFC == 0:
        raise context.fault(vector)
    address = descriptor_address(context, selector, vector)
    descriptor = system_load(context, address, 8)
    return FarSegment(selector, *unpack(descriptor), address, descriptor)


def is_code(segment: FarSegment) -> bool:
    """Whether it is a code segment."""
    return segment.attributes & (ATTR_S | TYPE_CODE) == ATTR_S | TYPE_CODE


def is_wide(context: Context, segment: FarSegment) -> bool:
    """Whether code of this segment runs in 64-bit mode."""
    return in_long_mode(context) and bool(segment.attributes & ATTR_L)


def check_code(context: Context, segment: FarSegment, *, lowest: int, highest: int) -> None:
    """Code, of a DPL from `lowest` to `highest`, of a width that there is, and present.

    A conforming segment may have any DPL up to `highest`.
    """
    error = segment.selector & 0xFFFC
    both = ATTR_L | ATTR_DB
    ambiguous = in_long_mode(context) and segment.attributes & both == both
    if not is_code(segment) or ambiguous or segment.dpl > highest:
        raise context.fault(GP, error)
    if segment.dpl < lowest and not segment.conforming:
        raise context.fault(GP, error)
    if not segment.attributes & ATTR_P:
        raise context.fault(NP, error)


def check_offset(context: Context, segment: FarSegment, offset: int) -> None:
    """#GP(0) for an offset beyond the segment, or not canonical in 64-bit mode."""
    if is_wide(context, segment):
        if not is_canonical(context, offset):
            raise context.fault(GP)
    elif offset > segment.limit:
        raise context.fault(GP)


def mark_accessed(context: Context, segment: FarSegment, stores: Stores) -> None:
    """Add the store that marks a descriptor as accessed, unless it is."""
    if not segment.attributes & (TYPE_ACCESSED | ATTR_UNUSABLE):
        intent = INTENT_SYSTEM | INTENT_WRITE
        span = locate_linear(context, segment.address + 5, 1, intent)
        stores.append((span, segment.attributes & 0xFF | TYPE_ACCESSED))


def current_stack(context: Context) -> FarStack:
    """The stack in use."""
    start = SEGMENT + 4 * SS
    selector, base, limit, attributes = context.words[start : start + 4]
    segment = FarSegment(selector, base, limit, attributes, 0, 0)
    return FarStack(segment, context.words[RSP], context.mode == 64, 0)


def _tss_stack(context: Context, level: int, interrupt_stack: int) -> tuple[int, int]:
    """Selector and pointer for a privilege level, by the width of the TSS.

    SDM vol. 3A, "Task-State Segment (TSS)" in its three forms.
    """
    start = SEGMENT + 4 * TR
    selector, base, limit, attributes = context.words[start : start + 4]
    if in_long_mode(context):
        offset = 28 + 8 * interrupt_stack if interrupt_stack else 4 + 8 * level
        size, last = 8, 7
    else:
        size = 4 if attributes & TYPE_WIDE else 2
        offset = 2 * size * level + size
        last = size + 1
    if attributes & ATTR_UNUSABLE or offset + last > limit:
        raise context.fault(TS, selector & 0xFFFC)
    pointer = system_load(context, base + offset, size)
    if size == 8:
        return level, pointer  # a null selector: 64-bit mode needs no more
    return system_load(context, base + offset + size, 2), pointer


def _check_stack(context: Context, segment: FarSegment, level: int, vector: int) -> None:
    error = segment.selector & 0xFFFC
    writable = segment.attributes & (ATTR_S | TYPE_CODE | TYPE_WRITABLE) == ATTR_S | TYPE_WRITABLE
    if segment.selector & 3 != level or segment.dpl != level or not writable:
        raise context.fault(vector, error)
    if not segment.attributes & ATTR_P:
        raise context.fault(STACK_FAULT, error)


def _null_stack(level: int) -> FarSegment:
    return FarSegment(level, 0, 0, ATTR_UNUSABLE | level << 5, 0, 0)


def inner_stack(context: Context, level: int, interrupt_stack: int = 0) -> FarStack:
    """The stack that the TSS names for privilege level `level`, or for an IST number."""
    selector, pointer = _tss_stack(context, level, interrupt_stack)
    if in_long_mode(context):
        return FarStack(_null_stack(level), pointer, wide=True, error=0)
    segment = read_segment(context, selector, TS)
    _check_stack(context, segment, level, TS)
    return FarStack(segment, pointer, wide=False, error=selector & 0xFFFC)


def returned_code(context: Context, selector: int) -> FarSegment:
    """The code that a return has popped, of the level its selector asks for: never an inner one."""
    segment, level = read_segment(context, selector), selector & 3
    if level < context.cpl:
        raise context.fault(GP, selector & 0xFFFC)
    check_code(context, segment, lowest=level, highest=level)
    return segment


def returned_stack(context: Context, code: FarSegment, selector: int, pointer: int) -> FarStack:
    """The stack that a return to `code` has popped; null will do for 64-bit code below CPL 3."""
    level, wide = code.selector & 3, is_wide(context, code)
    if selector & 0xFFFC == 0 and wide and level != 3 and selector & 3 == level:
        return FarStack(_null_stack(level), pointer, wide, 0)
    segment = read_segment(context, selector)
    _check_stack(context, segment, level, GP)
    return FarStack(segment, pointer, wide, 0)


def slot(context: Context, stack: FarStack, offset: int, size: int, *, write: bool) -> Span:
    """Check and translate `size` bytes at `offset` from the stack pointer, which may be negative.

    `cpl` and `mode` of the context must be those that the stack is used with.
    """
    pointer = stack.pointer + offset & stack.mask
    last = pointer + size - 1
    if stack.wide:
        linear = pointer
        if not (is_canonical(context, linear) and is_canonical(context, last & mask_of(8))):
            raise context.fault(STACK_FAULT, stack.error)
    else:
        segment = stack.segment
        if not context.real:
            check_type(context, segment.attributes, SS, write=write)
        if not in_limit(segment.attributes, segment.limit, pointer, last):
            raise context.fault(STACK_FAULT, stack.error)
        linear = segment.base + pointer & mask_of(4)
    if context.cpl == 3:
        checked_alignment(context, linear, size)
    return locate_data(context, linear, size, write=write)


def commit_code(context: Context, segment: FarSegment, level: int, offset: int) -> None:
    """Load CS at a privilege level, and go to `offset` in it."""
    selector = segment.selector & ~3 | level
    attributes = segment.attributes | TYPE_ACCESSED
    set_segment(context, CS, (selector, segment.base, segment.limit, attributes))
    context.next_rip = offset


def move_pointer(context: Context, stack: FarStack, change: int) -> None:
    """Set rSP to the stack's pointer, moved; a 16-bit stack leaves the upper bits."""
    mask, words = stack.mask, context.words
    kept = ~mask & mask_of(8) if mask == mask_of(2) else 0
    words[RSP] = words[RSP] & kept | stack.pointer + change & mask


def commit_stack(context: Context, stack: FarStack, change: int) -> None:
    """Load SS of another stack, and rSP with its pointer moved."""
    segment = stack.segment
    accessed = 0 if segment.attributes & ATTR_UNUSABLE else TYPE_ACCESSED
    attributes = segment.attributes | accessed
    set_segment(context, SS, (segment.selector, segment.base, segment.limit, attributes))
    move_pointer(context, stack, change)


def push_frame(context: Context, stack: FarStack, values: Iterable[int], size: int) -> Stores:
    """Locate the slots of values of `size` bytes, in the order they are pushed."""
    return [
        (slot(context, stack, -size * (number + 1), size, write=True), value & mask_of(size))
        for number, value in enumerate(values)
    ]


def pop_frame(context: Context, stack: FarStack, count: int, size: int, skip: int = 0) -> list[int]:
    """Pop `count` values of `size` bytes from `skip` bytes above the pointer; all checked first."""
    spans = [
        slot(context, stack, skip + size * number, size, write=False) for number in range(count)
    ]
    return [context.load(span) for span in spans]


def drop_data_segments(context: Context, level: int) -> None:
    """Make null the data segments that code at an outer level may not use.

    SDM vol. 2B, RET: after a return to `level`, data and non-conforming code of a lower DPL.
    """
    for segment in (ES, FS, GS, DS):
        start = SEGMENT + 4 * segment
        attributes = context.words[start + ATTRIBUTES]
        conforming = attributes & TYPE_CODE and attributes & TYPE_EXPAND_DOWN
        if attributes & ATTR_UNUSABLE or conforming or attributes >> 5 & 3 >= level:
            continue
        set_segment(context, segment, (0, 0, 0, ATTR_UNUSABLE))


def load_real_code(context: Context, selector: int, offset: int) -> None:
    """Go to `selector`:`offset` in real-address or virtual-8086 mode; its checks are made."""
    start = SEGMENT + 4 * CS
    context.words[start + SELECTOR] = selector
    context.words[start + BASE] = selector << 4
    context.next_rip = offset


def check_real_offset(context: Context, offset: int) -> None:
    """#GP(0) beyond the limit of CS, which a far transfer without descriptors keeps."""
    if offset > context.words[SEGMENT + 4 * CS + LIMIT]:
        raise context.fault(GP)
