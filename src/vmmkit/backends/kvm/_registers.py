# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""General, segment, control and debug registers: a vCPU's record and the kernel's structures.

Layouts: "The Definitive KVM API Documentation", KVM_GET_REGS, KVM_GET_SREGS and KVM_GET_DEBUGREGS.
Every function takes the record as its bytes and as 64-bit words, and the structure the same way;
the structure may be a buffer of an ioctl, or lie in the page that the vCPU shares with the kernel.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

from vmmkit.backends.kvm._spec import (
    CONTROL,
    DTABLE,
    SEGMENT,
    SREGS_CONTROL,
    SREGS_GDT,
    SREGS_IDT,
    SREGS_INTERRUPT_BITMAP,
)
from vmmkit.insn import WORD

__all__ = [
    "pull_debug",
    "pull_general",
    "pull_system",
    "push_debug",
    "push_general",
    "push_system",
]

WORD_BYTES: Final = 8
# Of the eight oldest registers KVM has another order than instructions have.
FIRST: Final = Struct("<8Q")
R8, RIP, RFLAGS = 8, WORD["rip"], WORD["rflags"]
SEGMENT_PLACE: Final = WORD_BYTES * WORD["segment"]
SEGMENT_WORDS: Final = Struct("<4Q")
# Of the segments of struct kvm_sregs (cs, ds, es, fs, gs, ss, tr, ldt) the numbers in the record
# (es, cs, ss, ds, fs, gs, ldtr, tr).
SEGMENT_ORDER: Final = (1, 3, 0, 4, 5, 2, 7, 6)
TABLES: Final = Struct("<4Q")
TABLE_PLACE: Final = WORD_BYTES * WORD["gdtr_base"]
CONTROLS: Final = Struct("<5Q")
CONTROL_PLACE: Final = WORD_BYTES * WORD["cr0"]
TPR: Final = WORD["tpr"]
DR: Final = WORD["dr"]
NO_BITMAP: Final = bytes(32)


def pull_general(record: bytearray, words: memoryview, regs: memoryview) -> None:
    """Fill the record from struct kvm_regs, given as 64-bit words."""
    rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp = regs[:8].tolist()
    FIRST.pack_into(record, 0, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi)
    words[R8 : RFLAGS + 1] = regs[R8:18]


def push_general(words: memoryview, regs: memoryview) -> None:
    """Fill struct kvm_regs, given as 64-bit words, from the record."""
    rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi = words[:8].tolist()
    for number, value in enumerate((rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp)):
        regs[number] = value
    regs[R8:18] = words[R8 : RFLAGS + 1]


@lru_cache(maxsize=4096)
def _segment_words(raw: bytes) -> bytes:
    """Make a record's segment of a struct kvm_segment."""
    base, limit, selector, kind, present, dpl, db, s, long, g, avl, unusable = SEGMENT.unpack(raw)
    attributes = kind | s << 4 | dpl << 5 | present << 7 | avl << 12 | long << 13 | db << 14
    return SEGMENT_WORDS.pack(selector, base, limit, attributes | g << 15 | unusable << 16)


@lru_cache(maxsize=4096)
def _segment_raw(packed: bytes) -> bytes:
    """Make a struct kvm_segment of a record's segment."""
    selector, base, limit, bits = SEGMENT_WORDS.unpack(packed)
    flags = (bits >> place & 1 for place in (14, 4, 13, 15, 12, 16))
    kind, present, dpl = bits & 15, bits >> 7 & 1, bits >> 5 & 3
    return SEGMENT.pack(base, limit, selector, kind, present, dpl, *flags)


def pull_system(record: bytearray, words: memoryview, sregs: memoryview) -> None:
    """Fill the record from struct kvm_sregs, given as bytes."""
    raw = bytes(sregs)
    for place, number in enumerate(SEGMENT_ORDER):
        start = SEGMENT_PLACE + SEGMENT_WORDS.size * number
        found = raw[SEGMENT.size * place : SEGMENT.size * (place + 1)]
        record[start : start + SEGMENT_WORDS.size] = _segment_words(found)
    gdt, idt = DTABLE.unpack_from(raw, SREGS_GDT), DTABLE.unpack_from(raw, SREGS_IDT)
    TABLES.pack_into(record, TABLE_PLACE, *gdt, *idt)
    cr0, cr2, cr3, cr4, cr8, efer, _apic_base = CONTROL.unpack_from(raw, SREGS_CONTROL)
    CONTROLS.pack_into(record, CONTROL_PLACE, cr0, cr2, cr3, cr4, efer)
    if words[TPR] >> 4 != cr8:  # the sub-class is no part of CR8
        words[TPR] = cr8 << 4


def push_system(record: bytearray, words: memoryview, sregs: memoryview) -> None:
    """Fill struct kvm_sregs, given as bytes, from the record; its apic_base stays.

    Its bitmap of interrupts becomes empty: struct kvm_vcpu_events has what is being delivered.
    """
    for place, number in enumerate(SEGMENT_ORDER):
        start = SEGMENT_PLACE + SEGMENT_WORDS.size * number
        raw = _segment_raw(bytes(record[start : start + SEGMENT_WORDS.size]))
        sregs[SEGMENT.size * place : SEGMENT.size * (place + 1)] = raw
    gdt_base, gdt_limit, idt_base, idt_limit = TABLES.unpack_from(record, TABLE_PLACE)
    DTABLE.pack_into(sregs, SREGS_GDT, gdt_base, gdt_limit & 0xFFFF)
    DTABLE.pack_into(sregs, SREGS_IDT, idt_base, idt_limit & 0xFFFF)
    apic_base = CONTROL.unpack_from(sregs, SREGS_CONTROL)[6]
    cr0, cr2, cr3, cr4, efer = CONTROLS.unpack_from(record, CONTROL_PLACE)
    task = words[TPR] >> 4 & 15
    CONTROL.pack_into(sregs, SREGS_CONTROL, cr0, cr2, cr3, cr4, task, efer, apic_base)
    sregs[SREGS_INTERRUPT_BITMAP : SREGS_INTERRUPT_BITMAP + len(NO_BITMAP)] = NO_BITMAP


def pull_debug(words: memoryview, registers: memoryview) -> None:
    """Fill the record from struct kvm_debugregs, given as 64-bit words."""
    words[DR : DR + 4] = registers[:4]
    words[DR + 6 : DR + 8] = registers[4:6]


def push_debug(words: memoryview, registers: memoryview) -> None:
    """Fill struct kvm_debugregs, given as 64-bit words, from the record."""
    registers[:4] = words[DR : DR + 4]
    registers[4:6] = words[DR + 6 : DR + 8]
