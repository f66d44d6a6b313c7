# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random guests with tables of their own, which make sense but for one or two things.

Gates, descriptors, task states, stacks and page tables are spoilt: tables at devices, page tables
that lead to themselves, to each other, to devices, beyond RAM and to its last page.
"""

from insn.kernel import CODE, GDT, IDT, TSS, TSS16, TSS32, Kernel
from insn.machine import (
    CODE16,
    CODE32,
    CODE64,
    DATA,
    HIGH,
    HIGH_BASE,
    MMIO,
    PD,
    PD32,
    PDPT,
    PDPT_PAE,
    PML4,
    PT,
    PT32,
    ROM,
    STACK,
)

__all__ = ["KINDS", "kernel"]

KINDS = ("real", "pm16", "pm32", "pg32", "pae", "compat", "long")
FORMS = (
    "cd30", "cd80", "cc", "ce", "f1", "cf", "66cf", "48cf", "cb", "66cb", "48cb", "ca0400", "9a",
    "ea", "ff1b", "ff2b", "48ff1b", "48ff2b", "66ff1b", "66ff2b", "8ed0", "fb", "f4",
    "0f0b", "f7f1", "8b03", "a4", "f3a4", "f3aa", "9d", "90", "0f07", "e480", "17", "6a01",
    "62", "e680", "40",
)  # fmt: skip
SELECTORS = (
    0,
    3,
    8,
    11,
    16,
    24,
    27,
    32,
    35,
    40,
    43,
    48,
    56,
    59,
    64,
    72,
    80,
    96,
    99,
    96,
    99,
    112,
    0x7C,
    0x200,
)
SYSTEM_KINDS = (0x8C, 0xEC, 0x84, 0xE4, 0x85, 0x89, 0x81, 0x8B, 0x0C, 0x92, 0x9A, 0x9E, 0xFA, 0xF2)
SYSTEM_FORMS = (
    "0f05", "480f07", "0f34", "0f35", "480f35", "0f01f8", "0f0113", "0f011b", "0f0103", "0f00d8",
    "0f20d0", "0f20d8", "0f20e0", "440f20c0", "0f01ee", "0f01ef", "0f01ef", "0f22d8", "0f22c0",
    "0f00d0", "0f00c8", "0f20c0", "0f22c0", "0f22d8", "0f22e0", "440f22c0", "0f23f8", "0f21f0",
    "0f30", "0f30", "0f30", "0f32", "0f32", "0f33", "0f31", "0fa2", "0fc7f0", "0f02c0", "0f03c0",
    "0f00e0", "0f00e8",
    "0fb403", "0fb20b", "f30f6f03", "f30f7f03", "62f17e486f03", "62f17e487f03", "c5fe7f03",
    "0fae03", "0fae0b", "0fae23", "0fae2b", "0fc723", "480fc70b", "f0480fc70b", "f00fb103",
    "f0ff03", "0f01f9", "0f013b", "660f388203", "0f01d0", "0f01d1", "f30faed8", "f30faec0",
    "0f06", "0f09", "d903", "dbe3", "9b", "0fc71b", "c804001f", "2ec503", "0f01cb", "07", "cc",
    "9c", "9d", "0f0133", "0f01e0", "0f01c1", "c90f", "f30f01e8",
)  # fmt: skip
DEVICE = (MMIO, ROM, 0x51000)
TABLES = (PML4, PDPT, PD, PT, PD32, PT32, PDPT_PAE)
LAST_PAGE, BEYOND = HIGH_BASE + HIGH - 0x1000, 1 << 45
MSRS = (0xDA0, 0x10, 0x1B, 0x174, 0x175, 0x176, 0x277, 0xC000_0080, 0xC000_0081, 0xC000_0082,
        0xC000_0084, 0xC000_0100, 0xC000_0102, 0xC000_0103, 0x1234)  # fmt: skip
FLAGS = (0x100, 0x200, 0x800, 0x3000, 0x4000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000)


def spoil_paging(rng, machine):
    """Let an entry of a page table lead where none should."""
    table, wide = rng.choice(TABLES), machine.mode != "pg32"
    place = table + (8 if wide else 4) * rng.choice((0, 0, 0, 1, 3, 4, 5, 6, 7, 9, 0x40, 0x50))
    to = rng.choice((MMIO & ~0xFFF, table & ~0xFFF, rng.choice(TABLES), LAST_PAGE, BEYOND, ROM))
    entry = to & ~0xFFF | rng.choice((1, 3, 7, 7, 0x67, 0xE7, 0x27))
    machine.poke(place, entry if wide else entry & 0xFFFF_FFFF, 8 if wide else 4)


def spoil_entry_points(rng, machine):
    """Set what system calls, task states and LDTs are found by."""
    state = machine.state
    state.ldtr = (0x70, rng.choice((GDT, GDT, MMIO)), rng.choice((0x5F, 7)), 0x82)
    state.star = rng.choice((8, 3, 0x33)) << 48 | rng.choice((8, 0, 16)) << 32
    state.lstar = state.cstar = rng.choice((CODE, 0x4000, 1 << 46, MMIO))
    state.sfmask = rng.getrandbits(22)
    state.sysenter_cs, state.sysenter_eip = rng.choice((0, 8, 11)), rng.choice((CODE, 1 << 46))
    state.sysenter_esp, state.kernel_gs_base = STACK, DATA
    state.efer |= 1
    machine.poke(GDT + 0x50, (TSS & 0xFFFF) << 16 | 0x67 | rng.choice((0x89, 0x81)) << 40, 8)
    machine.poke(GDT + 0x58, 0, 8)
    kind, target = rng.choice((0x8C, 0xEC, 0xEC, 0xE4, 0xE5)), rng.choice((8, 8, *SELECTORS))
    gate = 0x4000 | target << 16 | rng.choice((0, 1, 3, 31)) << 32 | kind << 40
    machine.poke(GDT + 0x60, gate, 16)
    machine.poke(GDT + 0x70, (GDT & 0xFFFF) << 16 | 0x5F | 0x82 << 40, 16)
    state.gdtr_limit = 0x7F


def alias(rng, machine):
    """Let a table that delivery reads be a page table, too."""
    state, place = machine.state, rng.choice(TABLES) + 8 * rng.randrange(8)
    match rng.randrange(3):
        case 0:
            state.gdtr_base, state.gdtr_limit = place, 0x7F
        case 1:
            state.idtr_base = place
        case _:
            state.tr = (0x50, place, 0xFF, TSS32)


def virtual_8086(rng, machine):
    """Go to virtual-8086 mode, at times with its extensions and a map of redirected interrupts."""
    state = machine.user().state
    state.rflags |= 0x2_0000
    for name in ("cs", "ss", "ds", "es", "fs", "gs"):
        selector = rng.choice((0, 0, 0x10))
        setattr(state, name, (selector, selector << 4, 0xFFFF, 0xF3))
    state.cs = (0, 0, 0xFFFF, 0xF3)
    if rng.random() < 0.6:
        state.cr4 |= 1
        state.rflags |= rng.choice((0, 0x3000, 1 << 19, 1 << 20))
        state.tr = (0x50, TSS, rng.choice((0x100, 0x67, 0x88)), TSS32)
        machine.poke(TSS + 102, rng.choice((0x88, 0x88, 0x1F, 0xFFFF)), 2)
        machine.poke(4 * 0x30, rng.choice((0x4000, 0x100_4000)), 4)
        machine.poke(CODE, bytes.fromhex(rng.choice(("cd30", "cd30", "cf", "9d", "fb"))))


def spoil(rng, machine):
    """Change one thing that delivery reads."""
    state = machine.state
    match rng.randrange(16):
        case 0:
            machine.poke(IDT + 8 * rng.randrange(0x200), rng.getrandbits(64), 8)
        case 1:
            machine.poke(GDT + 8 * rng.randrange(1, 12), rng.getrandbits(64), 8)
        case 2:
            machine.poke(TSS + rng.randrange(0x60), rng.choice((0, STACK, MMIO, 1 << 47)), 8)
        case 3:
            state.tr = (
                0x50,
                TSS,
                rng.choice((3, 7, 11, 0x67)),
                rng.choice((TSS16, TSS32, 1 << 16)),
            )
        case 4:
            state.rsp = rng.choice((0, 2, 7, MMIO, MMIO + 8, STACK + 1, 0x8004, 1 << 47, 1 << 31))
        case 5:
            state.idtr_base = rng.choice(DEVICE)
        case 6:
            state.gdtr_base = rng.choice(DEVICE)
        case 7:
            state.tr = (0x50, rng.choice(DEVICE), 0x67, TSS32)
        case 8:
            state.idtr_limit = rng.choice((0, 7, 0x1FF))
        case 9:
            kind = rng.choice((5, 6, 7, 14, 15, 12, rng.randrange(32)))
            vector = rng.choice((0x30, 0x80, 1, 3, 4, 6, 8, 10, 11, 12, 13, 14, 0))
            dpl, present = rng.randrange(4), rng.random() < 0.9
            if machine.mode != "real":
                selector, ist = rng.choice(SELECTORS), rng.choice((0, 0, 1, 2, 7))
                machine.gate(vector, kind, selector=selector, dpl=dpl, p=present, ist=ist)
        case 10:
            attributes = rng.choice((CODE16, CODE32, CODE64, *SYSTEM_KINDS)) ^ rng.choice((0, 0x60))
            machine.descriptor(rng.randrange(1, 12), rng.choice((0, 0x10)), 0xFFFFF, attributes)
        case 11 | 12:
            spoil_paging(rng, machine)
        case 13:
            spoil_entry_points(rng, machine)
        case 14:
            alias(rng, machine)
        case _:
            linear = rng.choice((IDT, GDT, 0x6000, STACK - 8, 0x4000, DATA)) & ~0xFFF
            if machine.mode in {"pg32", "pae", "long", "compat"}:
                machine.pte(linear, linear | rng.choice((0, 1, 3, 5, 7)), rng.choice((0, 0x60)))


def far_frame(rng, machine):
    """Something to return to, and a far pointer."""
    size = rng.choice((2, 4, 8))
    top = machine.state.rsp
    if 0x1000 < top < 0x7F00:
        values = (
            CODE, rng.choice(SELECTORS), 2 | rng.getrandbits(20) & sum(FLAGS), STACK - 0x100,
            *(rng.choice(SELECTORS) for _ in range(5)),
        )  # fmt: skip
        if rng.random() < 0.3:
            values = (CODE, 27, STACK - 0x100, 35)  # RET to ring 3
        for number, value in enumerate(values):
            machine.poke(top + size * number, value & (1 << 8 * size) - 1, size)
    machine.poke(DATA, CODE, size)
    machine.poke(DATA + size, rng.choice(SELECTORS), 2)


def prepare_system(rng, machine):
    """Registers and memory that system instructions take their operands from."""
    state = machine.vectors().state
    state.rcx, state.rdx = rng.choice((*MSRS, 0, 1, 0x1000)), rng.choice((0, 7, 1 << 46))
    state.rax = rng.choice((*SELECTORS, 1, 0xE7, 0x8005_0033, 0x8000_0011, state.cr3, state.cr4))
    state.cr4 |= rng.choice((0, 1 << 16, 0x100, 1 << 11, 1 << 22, 1 << 22))
    machine.poke(DATA, rng.choice((0xFFFF, 0x7F, 3)), 2)
    machine.poke(DATA + 2, rng.choice((GDT, IDT, MMIO, 1 << 47)), 8)
    if rng.random() < 0.7:
        spoil_entry_points(rng, machine)


def through_gate(rng, machine):
    """A far CALL or JMP through a call gate, mostly from ring 3 to ring 0."""
    gate = 0x4000 | rng.choice((8, 8, 8, 8, *SELECTORS)) << 16 | rng.choice((0, 1, 31)) << 32
    machine.poke(GDT + 0x60, gate | rng.choice((0xEC, 0xEC, 0xE4, 0xCC, 0x6C)) << 40, 16)
    size = rng.choice((4, 4, 2))
    machine.poke(DATA, CODE, size)
    machine.poke(DATA + size, rng.choice((0x63, 0x63, 0x60)), 2)
    machine.poke(CODE, bytes.fromhex(rng.choice(("ff1b", "ff1b", "ff2b", "66ff1b"))))
    machine.state.rbx = DATA
    if machine.mode != "real" and rng.random() < 0.8 and not machine.state.rflags & 0x2_0000:
        machine.user()


def kernel(rng):
    """A random machine; it makes sense but for one or two things."""
    machine = Kernel("pure", rng.choice(KINDS), "")
    state = machine.state
    choices = rng.choice((FORMS, FORMS, SYSTEM_FORMS))
    code = bytes.fromhex(rng.choice(choices))
    pointer = CODE.to_bytes(rng.choice((2, 4)), "little")
    tail = pointer + rng.choice(SELECTORS).to_bytes(2, "little") if code in b"\x9a\xea" else b""
    machine.poke(CODE, code + tail + bytes.fromhex(rng.choice(choices)) * 6)
    state.rbx, state.rax = rng.choice((DATA, DATA, MMIO)), rng.choice(SELECTORS)
    state.rsi, state.rdi, state.rcx = DATA, DATA + 0x100, rng.randrange(4)
    if choices is SYSTEM_FORMS:
        prepare_system(rng, machine)
    state.rflags = 2 | sum(flag for flag in FLAGS if rng.random() < 0.15)
    if machine.mode != "real":
        state.rflags &= ~0x2_0000
        if machine.mode in {"pm16", "pm32"} and rng.random() < 0.15:
            virtual_8086(rng, machine)
        elif rng.random() < 0.5:
            machine.user()
        if rng.random() < 0.2:
            state.cr0 |= 1 << 18
    if rng.random() < 0.3:
        spoil_entry_points(rng, machine)
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        spoil(rng, machine)
    far_frame(rng, machine)
    if rng.random() < 0.1:
        through_gate(rng, machine)
    if rng.random() < 0.3:
        state.dr7 = rng.getrandbits(8) | rng.getrandbits(16) << 16
        state.dr0, state.dr1, state.dr2 = CODE + rng.randrange(4), DATA, STACK - 8
        state.cr4 |= rng.getrandbits(1) << 3
    return machine
