# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Descriptor-table registers, LDT and task registers, probes of selectors; `csrc/descriptors.c`.

SDM vol. 2, the instructions' own pages; vol. 3A, "Segment Descriptor Tables in IA-32e Mode" and
"System Descriptor Types".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vmmkit.insn._execute import (
    RFLAGS,
    Handler,
    effective_address,
    target,
    value_of,
    write_register,
    write_target,
)
from vmmkit.insn._flags import ZF, mask_of
from vmmkit.insn._memory import RAM_LOCK, Context, Span
from vmmkit.insn._page_modes import EFER, EFER_LMA, INTENT_SYSTEM, INTENT_WRITE
from vmmkit.insn._paging import locate_linear
from vmmkit.insn._privilege import check_cpl0, check_protected, check_umip, modrm_reg
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import (
    ATTR_P,
    ATTR_S,
    ATTR_UNUSABLE,
    GP,
    LDTR,
    NP,
    SEGMENT,
    SELECTOR,
    TR,
    TYPE_CODE,
    TYPE_EXPAND_DOWN,
    TYPE_WRITABLE,
    descriptor_address,
    find_descriptor,
    is_canonical,
    locate,
    locate_system,
    set_segment,
    system_load,
    unpack,
)

__all__ = ["DESCRIPTORS"]

GDTR_BASE: Final = WORD["gdtr_base"]
GDTR_LIMIT: Final = WORD["gdtr_limit"]
IDTR_BASE: Final = WORD["idtr_base"]
IDTR_LIMIT: Final = WORD["idtr_limit"]
ALL_ONES: Final = (1 << 64) - 1
BASE_24: Final = 0xFF_FFFF
CONFORMING: Final = ATTR_S | TYPE_CODE | TYPE_EXPAND_DOWN

# System descriptor types, as sets of bits: outside of IA-32e mode and in it.
TYPE_LDT: Final = 2
TYPE_TSS_16, TYPE_TSS = 1, 9
TYPE_BUSY: Final = 2
AVAILABLE_TSS: Final = (1 << TYPE_TSS_16 | 1 << TYPE_TSS, 1 << TYPE_TSS)
LDT_TYPES: Final = (1 << TYPE_LDT, 1 << TYPE_LDT)
LAR_TYPES: Final = (0x1A3E, 0x1A04)
LSL_TYPES: Final = (0x0A0E, 0x0A04)
LAR_MASK: Final = 0x00FF_FF00  # the SDM leaves bits 19:16 undefined; processors give the limit's


def _locate_table(context: Context, *, write: bool) -> tuple[Span, Span]:
    """Limit and base of a pseudo-descriptor; the offset wraps between them."""
    offset, size = effective_address(context), 8 if context.mode == 64 else 4
    following = offset + 2 & mask_of(context.address_size)
    limit = locate(context, context.segment, offset, 2, write=write)
    return limit, locate(context, context.segment, following, size, write=write)


def _store_table(base: int, limit: int) -> Handler:
    """The base is stored whole, whatever the operand size."""

    def execute(context: Context) -> None:
        check_umip(context)
        words = context.words
        where, behind = _locate_table(context, write=True)
        value = words[base] & mask_of(8 if context.mode == 64 else 4)
        context.store_all(((where, words[limit] & 0xFFFF), (behind, value)))

    return execute


def _load_table(base: int, limit: int) -> Handler:
    """With 16-bit operands the base has 24 bits."""

    def execute(context: Context) -> None:
        check_cpl0(context)
        where, behind = _locate_table(context, write=False)
        size, start = context.load(where), context.load(behind)
        if context.operand_size == 2:
            start &= BASE_24
        if context.mode == 64 and not is_canonical(context, start):
            raise context.fault(GP)
        context.words[limit], context.words[base] = size, start

    return execute


def _store_selector(segment: int) -> Handler:
    """SLDT and STR: 2 bytes to memory, zero-extended to a register."""

    def execute(context: Context) -> None:
        check_protected(context)
        check_umip(context)
        size = context.operand_size if context.modrm >= 0xC0 else 2
        selector = context.words[SEGMENT + 4 * segment + SELECTOR] & 0xFFFF
        write_target(context, target(context, 0), size, selector)

    return execute


def _in_ia32e(context: Context) -> int:
    """Which of a pair of type sets counts."""
    return int(bool(context.words[EFER] & EFER_LMA))


class _SystemDescriptor(NamedTuple):
    """A descriptor, and where it was read."""

    address: int
    value: int
    base: int
    limit: int
    attributes: int
    read: Span


def _load_system(context: Context, selector: int, types: tuple[int, int]) -> _SystemDescriptor:
    """A present GDT descriptor of one of `types`.

    In IA-32e mode it has 16 bytes: bits 63:32 of the base, and a type that must be 0.
    """
    error, wide = selector & 0xFFFC, _in_ia32e(context)
    if selector & 4 or (wide and (selector & 0xFFF8) + 15 > context.words[GDTR_LIMIT]):
        raise context.fault(GP, error)
    address = descriptor_address(context, selector)
    read = locate_system(context, address, 8)
    descriptor = context.load(read)
    upper = system_load(context, address + 8 & ALL_ONES, 8) if wide else 0
    base, limit, attributes = unpack(descriptor)
    base |= (upper & 0xFFFF_FFFF) << 32
    if attributes & ATTR_S or not types[wide] >> (attributes & 15) & 1:
        raise context.fault(GP, error)
    if not attributes & ATTR_P:
        raise context.fault(NP, error)
    if upper >> 40 & 0x1F or not is_canonical(context, base):
        raise context.fault(GP, error)
    return _SystemDescriptor(address, descriptor, base, limit, attributes, read)


def _lldt(context: Context) -> None:
    """A null selector makes the LDT unusable."""
    check_protected(context)
    check_cpl0(context)
    selector = value_of(context, 0, 2)
    if not selector & 0xFFFC:
        set_segment(context, LDTR, (selector, 0, 0, ATTR_UNUSABLE))
        return
    found = _load_system(context, selector, LDT_TYPES)
    set_segment(context, LDTR, (selector, found.base, found.limit, found.attributes))


def _is_same_ram(first: Span, second: Span) -> bool:
    """Whether two spans of one linear range are the same RAM."""
    return all(
        one.piece is not None and one.piece is other.piece and one.gpa == other.gpa
        for one, other in zip(first, second, strict=True)
    )


def _mark_busy(context: Context, found: _SystemDescriptor) -> bool:
    """Store the descriptor as busy, or not if it is no longer what was read.

    So it is when it is part of the page-table entry that this store marks as dirty.
    """
    where = locate_linear(context, found.address, 8, INTENT_SYSTEM | INTENT_WRITE)
    if _is_same_ram(where, found.read) and context.load(where) != found.value:
        return False
    context.store(where, found.value | TYPE_BUSY << 40)
    return True


def _load_task(context: Context) -> bool:
    selector = value_of(context, 0, 2)
    if not selector & 0xFFFC:
        raise context.fault(GP)
    with RAM_LOCK:
        found = _load_system(context, selector, AVAILABLE_TSS)
        if not _mark_busy(context, found):
            return False
    parts = found.base, found.limit, found.attributes | TYPE_BUSY
    set_segment(context, TR, (selector, *parts))
    return True


def _ltr(context: Context) -> None:
    """The descriptor is marked as busy by a locked read-modify-write."""
    check_protected(context)
    check_cpl0(context)
    while not _load_task(context):
        context.start_over()


def _probe(context: Context, place: int, types: tuple[int, int]) -> int | None:
    """The descriptor that the selector in operand `place` names; `None` if it may not be seen.

    That is one beyond its table, a system descriptor of none of `types`, or one of a DPL below CPL
    or RPL, save conforming code.
    """
    check_protected(context)
    selector = value_of(context, place, 2)
    address = find_descriptor(context, selector) if selector & 0xFFFC else None
    if address is None:
        return None
    descriptor = system_load(context, address, 8)
    rights = descriptor >> 40
    if not rights & ATTR_S and not types[_in_ia32e(context)] >> (rights & 15) & 1:
        return None
    reaches = rights >> 5 & 3 >= max(context.cpl, selector & 3)
    return descriptor if reaches or rights & CONFORMING == CONFORMING else None


def _set_zf(context: Context, *, found: bool) -> None:
    flags = context.words[RFLAGS] & ~ZF
    context.words[RFLAGS] = flags | ZF if found else flags


def _lar(context: Context) -> None:
    descriptor = _probe(context, 1, LAR_TYPES)
    if descriptor is not None:
        size = context.operand_size
        rights = descriptor >> 32 & LAR_MASK & mask_of(size)
        write_register(context, modrm_reg(context), size, rights)
    _set_zf(context, found=descriptor is not None)


def _lsl(context: Context) -> None:
    descriptor = _probe(context, 1, LSL_TYPES)
    if descriptor is not None:
        size = context.operand_size
        limit = unpack(descriptor)[1] & mask_of(size)
        write_register(context, modrm_reg(context), size, limit)
    _set_zf(context, found=descriptor is not None)


def _verr(context: Context) -> None:
    descriptor = _probe(context, 0, (0, 0))
    rights = 0 if descriptor is None else descriptor >> 40
    readable = rights & ATTR_S and (not rights & TYPE_CODE or rights & TYPE_WRITABLE)
    _set_zf(context, found=bool(readable))


def _verw(context: Context) -> None:
    descriptor = _probe(context, 0, (0, 0))
    rights = 0 if descriptor is None else descriptor >> 40
    writable = rights & (ATTR_S | TYPE_CODE | TYPE_WRITABLE) == ATTR_S | TYPE_WRITABLE
    _set_zf(context, found=writable)


DESCRIPTORS: Final[dict[str, Handler]] = {
    "SGDT": _store_table(GDTR_BASE, GDTR_LIMIT),
    "SIDT": _store_table(IDTR_BASE, IDTR_LIMIT),
    "LGDT": _load_table(GDTR_BASE, GDTR_LIMIT),
    "LIDT": _load_table(IDTR_BASE, IDTR_LIMIT),
    "SLDT": _store_selector(LDTR),
    "STR": _store_selector(TR),
    "LLDT": _lldt,
    "LTR": _ltr,
    "LAR": _lar,
    "LSL": _lsl,
    "VERR": _verr,
    "VERW": _verw,
}
