# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Modes, segment checks and segment loads; `csrc/segments.c` is the same.

Segment attributes have the layout VMX gives its access rights (SDM vol. 3C, "Guest Register
State"): type in bits 3:0, S 4, DPL 6:5, P 7, L 13, D/B 14, G 15, unusable 16. Limits count bytes.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._breakpoints import WATCHES_DATA, watch
from vmmkit.insn._memory import RAM_LOCK, Context, Span, Stop
from vmmkit.insn._page_modes import (
    CR4_LA57,
    EFER_LMA,
    INTENT_SYSTEM,
    INTENT_WRITE,
    RFLAGS_AC,
)
from vmmkit.insn._paging import locate_linear
from vmmkit.insn._record import WORD

__all__ = [
    "begin_mode",
    "check_branch",
    "check_type",
    "checked_alignment",
    "descriptor_address",
    "find_descriptor",
    "flushed_address",
    "in_limit",
    "linear_address",
    "linear_rip",
    "load_segment",
    "locate",
    "locate_data",
    "locate_stack",
    "locate_system",
    "set_segment",
    "system_load",
    "unpack",
]

RIP: Final = WORD["rip"]

UD: Final = 6
NP: Final = 11
STACK_FAULT: Final = 12
GP: Final = 13
ALIGNMENT: Final = 17

ES, CS, SS, DS, FS, GS, LDTR, TR = range(8)

CR0_PE: Final = 1
CR0_AM: Final = 1 << 18
RFLAGS_VM: Final = 1 << 17

TYPE_ACCESSED: Final = 1
TYPE_WRITABLE: Final = 2  # of data; readable of code
TYPE_EXPAND_DOWN: Final = 4  # of data; conforming of code
TYPE_CODE: Final = 8
ATTR_S: Final = 1 << 4
ATTR_P: Final = 1 << 7
ATTR_L: Final = 1 << 13
ATTR_DB: Final = 1 << 14
ATTR_G: Final = 1 << 15
ATTR_UNUSABLE: Final = 1 << 16

# Address bits that must be 0, by size of the access in bytes: 6 and 10 are far pointers, which need
# 4; vectors above 16 bytes are not checked.
ALIGNMENT_MASKS: Final = {2: 1, 4: 3, 6: 3, 8: 7, 10: 3, 16: 15}

SEGMENT: Final = WORD["segment"]
SELECTOR, BASE, LIMIT, ATTRIBUTES = range(4)


def begin_mode(context: Context) -> None:
    """Derive mode, CPL and canonical width from the registers, once an instruction."""
    words = context.words
    cs = words[SEGMENT + 4 * CS + ATTRIBUTES]
    virtual_86 = bool(words[WORD["rflags"]] & RFLAGS_VM)
    protected = bool(words[WORD["cr0"]] & CR0_PE)
    context.real = not protected or virtual_86
    context.cpl = words[SEGMENT + 4 * SS + ATTRIBUTES] >> 5 & 3
    if context.real:
        context.cpl = 3 if protected else 0
    alignment = words[WORD["cr0"]] & CR0_AM and words[WORD["rflags"]] & RFLAGS_AC
    context.checks_alignment = bool(alignment and context.cpl == 3)
    context.canonical_bits = 57 if words[WORD["cr4"]] & CR4_LA57 else 48
    if words[WORD["efer"]] & EFER_LMA and cs & ATTR_L and not context.real:
        context.mode = 64
    else:
        context.mode = 32 if cs & ATTR_DB and not virtual_86 else 16


def is_canonical(context: Context, linear: int) -> bool:
    """SDM vol. 1, "Canonical Addressing"."""
    high = linear >> (context.canonical_bits - 1)
    return high in (0, (1 << (65 - context.canonical_bits)) - 1)


def _segment_fault(context: Context, segment: int) -> Stop:
    return context.fault(STACK_FAULT if segment == SS else GP)


def in_limit(attributes: int, limit: int, offset: int, last: int) -> bool:
    """SDM vol. 3A, "Limit Checking"; an expand-down segment holds what lies above its limit."""
    expand_down = attributes & (TYPE_CODE | TYPE_EXPAND_DOWN) == TYPE_EXPAND_DOWN
    if expand_down and attributes & ATTR_S:
        upper = 0xFFFF_FFFF if attributes & ATTR_DB else 0xFFFF
        return limit < offset and last <= upper
    return last <= limit


def check_type(context: Context, attributes: int, segment: int, *, write: bool) -> None:
    """SDM vol. 3A, "Type Checking": what protected mode lets a segment be used for."""
    if attributes & ATTR_UNUSABLE:
        raise _segment_fault(context, segment)
    code = attributes & TYPE_CODE
    if write and (code or not attributes & TYPE_WRITABLE):
        raise context.fault(GP)
    if not write and code and not attributes & TYPE_WRITABLE:
        raise context.fault(GP)


def checked_alignment(context: Context, linear: int, size: int) -> int:
    """Return `linear`, or #AC(0) where CR0.AM and RFLAGS.AC ask for it at CPL 3.

    SDM vol. 3A, "Interrupt 17 - Alignment Check Exception (#AC)". That comes after #GP and #SS and
    before #PF, as on the AMD processor the tests ran on: within a class of faults the order is the
    processor's own (SDM vol. 3A, "Priority Among Simultaneous Exceptions and Interrupts").
    """
    if context.checks_alignment and linear & ALIGNMENT_MASKS.get(size, 0):
        raise context.fault(ALIGNMENT)
    return linear


def linear_address(context: Context, segment: int, offset: int, size: int, *, write: bool) -> int:
    """Check an access against its segment and return its linear address."""
    words = context.words
    base = words[SEGMENT + 4 * segment + BASE]
    if context.mode == 64:
        # SDM vol. 3A, "Segmentation in IA-32e Mode": only FS and GS have a base, none a limit.
        linear = offset + base & (1 << 64) - 1 if segment in {FS, GS} else offset
        last = linear + size - 1 & (1 << 64) - 1
        if not (is_canonical(context, linear) and is_canonical(context, last)):
            raise _segment_fault(context, segment)
        return checked_alignment(context, linear, size)
    if not context.real:
        check_type(context, words[SEGMENT + 4 * segment + ATTRIBUTES], segment, write=write)
    return _within_limit(context, segment, offset, size)


def _within_limit(context: Context, segment: int, offset: int, size: int) -> int:
    """Check an access against its segment's limit and return its linear address."""
    start = SEGMENT + 4 * segment
    base, limit, attributes = context.words[start + BASE : start + ATTRIBUTES + 1]
    if not in_limit(attributes, limit, offset, offset + size - 1):
        raise _segment_fault(context, segment)
    return checked_alignment(context, base + offset & 0xFFFF_FFFF, size)


def flushed_address(context: Context, segment: int, offset: int) -> int:
    """As `linear_address` for a byte read, but execute-only segments do as well.

    SDM vol. 2A, CLFLUSH.
    """
    attributes = context.words[SEGMENT + 4 * segment + ATTRIBUTES]
    if context.mode == 64 or context.real or attributes & ATTR_UNUSABLE:
        return linear_address(context, segment, offset, 1, write=False)
    return _within_limit(context, segment, offset, 1)


def linear_rip(context: Context) -> int:
    """Linear address of the instruction."""
    rip = context.words[RIP]
    if context.mode == 64:
        return rip
    return context.words[SEGMENT + 4 * CS + BASE] + rip & 0xFFFF_FFFF


def locate_data(context: Context, linear: int, size: int, *, write: bool) -> Span:
    """Translate an instruction's own data, which breakpoints may watch."""
    if context.watched & WATCHES_DATA:
        watch(context, linear, size, write=write)
    return locate_linear(context, linear, size, INTENT_WRITE if write else 0)


def locate(context: Context, segment: int, offset: int, size: int, *, write: bool) -> Span:
    """Check and translate an access through a segment."""
    linear = linear_address(context, segment, offset, size, write=write)
    return locate_data(context, linear, size, write=write)


def stack_mask(context: Context) -> int:
    """Mask of rSP's width: 8 bytes in 64-bit mode, else by SS.B."""
    if context.mode == 64:
        return (1 << 64) - 1
    return 0xFFFF_FFFF if context.words[SEGMENT + 4 * SS + ATTRIBUTES] & ATTR_DB else 0xFFFF


def locate_stack(context: Context, pointer: int, size: int, *, write: bool) -> Span:
    """Check and translate an access through SS."""
    return locate(context, SS, pointer, size, write=write)


def check_branch(context: Context, target: int) -> None:
    """#GP(0) for a branch target that is not canonical, or beyond the code segment's limit."""
    if context.mode == 64:
        if not is_canonical(context, target):
            raise context.fault(GP)
    elif target > context.words[SEGMENT + 4 * CS + LIMIT]:
        raise context.fault(GP)


def set_segment(context: Context, segment: int, values: tuple[int, int, int, int]) -> None:
    """Set selector, base, limit and attributes."""
    start = SEGMENT + 4 * segment
    for position, value in enumerate(values):
        context.words[start + position] = value


def locate_system(context: Context, linear: int, size: int) -> Span:
    """Locate a part of a descriptor table or the TSS; in long mode canonical addresses only."""
    if context.words[WORD["efer"]] & EFER_LMA:
        ends = linear & (1 << 64) - 1, linear + size - 1 & (1 << 64) - 1
        if not all(is_canonical(context, end) for end in ends):
            raise context.fault(GP)
    return locate_linear(context, linear, size, INTENT_SYSTEM)


def system_load(context: Context, linear: int, size: int) -> int:
    """Load from a descriptor table or the TSS."""
    return context.load(locate_system(context, linear, size))


def _load_null(context: Context, segment: int, selector: int) -> None:
    """A null selector makes a data segment unusable; SS takes one in 64-bit mode below CPL 3."""
    if segment == SS:
        if context.mode != 64 or context.cpl == 3 or selector & 3 != context.cpl:
            raise context.fault(GP)
        set_segment(context, SS, (selector, 0, 0, ATTR_UNUSABLE | context.cpl << 5))
        return
    set_segment(context, segment, (selector, 0, 0, ATTR_UNUSABLE))


def find_descriptor(context: Context, selector: int, size: int = 8) -> int | None:
    """Linear address of a descriptor; `None` beyond its table or without an LDT."""
    words = context.words
    if selector & 4:
        start = SEGMENT + 4 * LDTR
        base, limit = words[start + BASE], words[start + LIMIT]
        if words[start + ATTRIBUTES] & ATTR_UNUSABLE:
            return None
    else:
        base, limit = words[WORD["gdtr_base"]], words[WORD["gdtr_limit"]]
    if (selector & 0xFFF8) + size - 1 > limit:
        return None
    wrap = (1 << 64 if words[WORD["efer"]] & EFER_LMA else 1 << 32) - 1
    return base + (selector & 0xFFF8) & wrap


def descriptor_address(context: Context, selector: int, vector: int = GP, size: int = 8) -> int:
    """Linear address of a descriptor; a fault beyond its table or without an LDT."""
    address = find_descriptor(context, selector, size)
    if address is None:
        raise context.fault(vector, selector & 0xFFFC)
    return address


def _check_descriptor(context: Context, segment: int, selector: int, rights: int) -> None:
    """SDM vol. 2B, MOV: the checks on loading SS or a data segment register."""
    error = selector & 0xFFFC
    dpl, rpl = rights >> 5 & 3, selector & 3
    writable_data = rights & (ATTR_S | TYPE_CODE | TYPE_WRITABLE) == ATTR_S | TYPE_WRITABLE
    if segment == SS:
        if not writable_data or rpl != context.cpl or dpl != context.cpl:
            raise context.fault(GP, error)
        if not rights & ATTR_P:
            raise context.fault(STACK_FAULT, error)
        return
    readable = rights & ATTR_S and (not rights & TYPE_CODE or rights & TYPE_WRITABLE)
    conforming = rights & (TYPE_CODE | TYPE_EXPAND_DOWN) == TYPE_CODE | TYPE_EXPAND_DOWN
    if not readable or (not conforming and (rpl > dpl or context.cpl > dpl)):
        raise context.fault(GP, error)
    if not rights & ATTR_P:
        raise context.fault(NP, error)


def unpack(descriptor: int) -> tuple[int, int, int]:
    """Base, limit in bytes, and attributes of an 8-byte code or data descriptor."""
    base = descriptor >> 16 & 0xFF_FFFF | descriptor >> 56 << 24
    limit = descriptor & 0xFFFF | descriptor >> 32 & 0xF_0000
    attributes = descriptor >> 40 & 0xF0FF
    if attributes & ATTR_G:
        limit = limit << 12 | 0xFFF
    return base, limit, attributes


def load_segment(context: Context, segment: int, selector: int) -> None:
    """Load ES, SS, DS, FS or GS (SDM vol. 2B, MOV; vol. 3A, "Segment Descriptors").

    In real-address and virtual-8086 mode the selector is the base divided by 16.
    """
    if context.real:
        start = SEGMENT + 4 * segment
        context.words[start + SELECTOR] = selector
        context.words[start + BASE] = selector << 4
        return
    if selector & 0xFFFC == 0:
        _load_null(context, segment, selector)
        return
    address = descriptor_address(context, selector)
    with RAM_LOCK:  # SDM vol. 3A, "Automatic Locking": from reading a descriptor to marking it
        base, limit, attributes = unpack(system_load(context, address, 8))
        _check_descriptor(context, segment, selector, attributes)
        if not attributes & TYPE_ACCESSED:
            intent = INTENT_SYSTEM | INTENT_WRITE
            access_byte = attributes & 0xFF | TYPE_ACCESSED
            context.store(locate_linear(context, address + 5, 1, intent), access_byte)
    set_segment(context, segment, (selector, base, limit, attributes | TYPE_ACCESSED))
