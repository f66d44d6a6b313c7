# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random guests for comparing engines: a processor state, RAM, tables and code.

Everything is drawn from one `random.Random`, which may be a plain seeded one or Hypothesis's, whose
draws shrink. Values are biased to where emulators break: edges of pages, of RAM, of segments, of
the canonical range, and encodings that are in the opcode table.
"""

from insn.machine import (
    AC,
    CODE,
    DATA,
    DATA16,
    DATA32,
    EFER_NXE,
    GDT,
    GPR,
    HIGH_BASE,
    LOW,
    MMIO,
    PAGED,
    PD,
    PD32,
    PDPT,
    PDPT_PAE,
    PML4,
    PML5,
    PT,
    PT32,
    ROM,
    STACK,
    TSS,
    UNUSABLE,
    VM,
    Machine,
)
from oracle.forms import FORMS, opcode_and_tail, uses_vectors, vectors
from vmmkit.insn import WORD, Segment

VECTOR_FORMS = [form for form in FORMS if uses_vectors(form)]
OTHER_FORMS = [form for form in FORMS if not uses_vectors(form)]

LEGACY = (0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
PLACES = (
    *(DATA, DATA + 1, DATA + 0xFFC, DATA + 0xFFF, STACK, MMIO, MMIO + 0xFFD, LOW - 4, LOW - 1),
    *(
        HIGH_BASE - 2,
        HIGH_BASE,
        0x4FFFC,
        ROM,
        ROM + 0xFFE,
        CODE,
        CODE + 0xFFE,
        GDT,
        0,
        1,
        0xFFFE,
        0xFFFF,
    ),
    *(0x1_0000, 0x3FFF_FFFC, 0x4000_0000, 0xFFFF_FFFC, 0xFFFF_FFFF, 1 << 32, (1 << 47) - 4),
    *(1 << 47, (1 << 64) - (1 << 47), (1 << 64) - (1 << 47) - 4, (1 << 64) - 4, (1 << 64) - 1),
    *(1 << 56, (1 << 56) - 2, 1 << 63),
)
SMALL = (0, 1, 2, 3, 4, 8, 0x10, 0x18, 0x1B, 0x20, 0x23, 0x28, 0x2C, 0x3B, 0x7F, 0x80, 0xFF)
ATTRIBUTES = (
    *(DATA32, DATA16, 0xC091, 0xC097, 0x8097, 0xC095, 0xC099, 0xC09B, 0xC0F3, 0xC0FB, 0xC092),
    *(UNUSABLE, UNUSABLE | 0x93, 0x93, 0x13, 0x4093, 0x82, 0x8B),
)
LIMITS = (0xFFFF_FFFF, 0xFFFF, 0, 1, DATA, DATA + 0xFFD, 0x0FFF, 0x1002, 0xFFFE, 0x7FFF_FFFF)
ENTRY_BITS = (
    *(0, 1, 3, 5, 7, 7, 7, 0x83, 0x87, 1 << 63 | 7, 1 << 63 | 1, 0x2007),
    *(0x23, 0x27, 0x63, 0x67, 0xE7, 1 << 51 | 0x67, 5 << 59 | 0x67, 15 << 59 | 7),
)
CONTROL_BITS = (0, 0, 1 << 20, 1 << 21, 1 << 22, 7 << 20)  # SMEP, SMAP, PKE
SYSTEM_BITS = (0, 1 << 2, 1 << 3, 1 << 8, 1 << 11, 1 << 16, 1 << 17, 1 << 18)  # of CR4
MSRS = (0x10, 0x1B, 0x174, 0x176, 0x277, *(0xC000_0080 + n for n in range(5)), 0xC000_0101)
SYSTEM_WORDS = (
    *("star", "lstar", "sfmask", "kernel_gs_base", "sysenter_cs", "sysenter_esp", "sysenter_eip"),
    *("tpr", "dr0", "dr6", "dr7", "tsc_aux", "tsc_offset", "idtr_base", "idtr_limit"),
)
RFLAGS = (2, 0x202, 0xAD7, 0x402, 0x3002, 0x1002, 0x3602, 0x8D7, AC | 2)


def number(rng):
    """A register value."""
    kind = rng.randrange(8)
    if kind < 4:
        return rng.choice(PLACES)
    if kind < 6:
        return rng.choice(SMALL)
    return rng.getrandbits(64 if kind == 6 else 16)


def instruction(rng, mode):
    """One encoding, mostly of what is executed, followed by bytes that may serve as its rest."""
    if rng.randrange(16) == 0:
        return bytes(rng.randrange(256) for _ in range(6))
    prefixes = [rng.choice(LEGACY) for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3)))]
    if mode == "long" and rng.randrange(2):
        prefixes.append(0x40 | rng.randrange(16))
    form = rng.choice(VECTOR_FORMS if rng.randrange(3) == 0 else OTHER_FORMS)
    if form.vex is not None:
        prefixes = []  # most would make it #UD
    return bytes(prefixes) + form.prefix + opcode_and_tail(rng, form, 64 if mode == "long" else 32)


def segment(rng):
    """A segment register with an odd base, limit or type."""
    return Segment(
        rng.choice(SMALL), rng.choice(PLACES), rng.choice(LIMITS), rng.choice(ATTRIBUTES)
    )


def set_segments(rng, machine):
    names = ("es", "ss", "ds", "fs", "gs", "cs", "tr", "ldtr")
    for name in names:
        if rng.randrange(5):
            continue
        found, before = segment(rng), getattr(machine.state, name)
        if name == "cs":  # keep the mode; move the limit
            found = before._replace(limit=rng.choice((CODE + 8, 0xFFFF, 0xFFFF_FFFF)))
        setattr(machine.state, name, found)
    if rng.randrange(2):
        machine.state.tr = Segment(0x28, TSS, rng.choice((0x66, 0x80, 0xFFFF)), 0x8B)


def set_tables(rng, machine):
    """A GDT of plausible descriptors, and a TSS with a permission map."""
    state = machine.state
    for index in range(16):
        limit = rng.choice((0xFFFFF, 0xFFFF, 0, 0x12345))
        machine.descriptor(index, rng.choice(PLACES) & 0xFFFF_FFFF, limit, rng.choice(ATTRIBUTES))
    if rng.randrange(4) == 0:
        state.gdtr_base = rng.choice(PLACES)
    state.gdtr_limit = rng.choice((0x7F, 0x7F, 0x1E, 0xFFFF, 0))
    machine.poke(TSS + 102, rng.choice((0x68, 0x68, 0, 0xFFFF, 0x64)), 2)
    machine.poke(TSS + 0x68, rng.getrandbits(64), 8)


def set_paging(rng, machine):
    """Holes, moved pages, missing rights and reserved bits."""
    for _ in range(rng.randrange(6)):
        page = rng.choice((1, 2, 3, 4, 5, 7, 8, 9, 15, 16, rng.randrange(512)))
        target = rng.choice((page, page, rng.randrange(0x50), 1 << 20)) << 12
        entry = target | rng.choice(ENTRY_BITS)
        machine.poke(PT + 8 * page, entry, 8)
        machine.poke(PT32 + 4 * page, entry & 0xFFFF_FFFF, 4)
    if rng.randrange(6) == 0:
        table = rng.choice((PML4, PDPT, PD, PML5, PDPT_PAE))
        machine.poke(table, machine.peek(table, 8) & ~0xFFF | rng.choice(ENTRY_BITS), 8)
        machine.poke(PD32, PT32 | rng.choice(ENTRY_BITS) & 0xFFF, 4)
    if rng.randrange(8) == 0:
        machine.poke(PML4 + 8 * rng.choice((1, 255, 256, 511)), PDPT | rng.choice(ENTRY_BITS), 8)
    state = machine.state
    state.cr0 |= rng.choice((0, 1 << 16))
    state.efer |= rng.choice((0, EFER_NXE))
    state.cr4 |= rng.choice(CONTROL_BITS)
    state.pkru = rng.getrandbits(32)
    state.maxphyaddr = rng.choice((52, 52, 46, 32))
    if rng.randrange(6) == 0 and machine.mode in {"compat", "long"}:
        state.cr4 |= 1 << 12
        state.cr3 = PML5
    if rng.randrange(12) == 0:
        state.cr3 = MMIO
    if rng.randrange(12) == 0:
        state.cr4 &= ~0x10  # PSE


def set_system(rng, machine):
    """What system instructions look at."""
    state = machine.state
    for name in SYSTEM_WORDS:
        if rng.randrange(3):
            setattr(state, name, number(rng))
    for _ in range(3):
        state.cr4 |= rng.choice(SYSTEM_BITS)
    state.efer |= rng.randrange(2)  # SCE
    if machine.mode == "pm32":
        state.efer |= rng.choice((0, 1 << 8))
    state.features &= ~rng.choice((0, 0, 0, rng.getrandbits(64)))
    if rng.randrange(2):
        state.rcx = rng.choice(MSRS)


def set_vectors(rng, machine):
    """Vector registers, and at times no right to use them."""
    state = machine.state
    start = 8 * WORD["vector"]
    raw = vectors(rng)
    state.record[start : start + len(raw)] = raw
    state.xcr0 = rng.choice((0xE7, 0xE7, 0xE7, 0xE7, 7, 3, 1))
    if rng.randrange(10) == 0:
        state.cr0 |= rng.choice((4, 8))
        state.cr4 &= ~rng.choice((1 << 9, 1 << 18))


def guest(rng):
    """A machine on the pure engine, ready to be copied to another."""
    mode = rng.choice(
        ("real", "pm16", "pm32", "pg32", "pae", "compat", "long", "long", "long", "long")
    )
    machine = Machine("pure", mode)
    state = machine.state
    for name in GPR:
        setattr(state, name, number(rng))
    if rng.randrange(3):
        state.rsp = rng.choice((STACK, STACK - 3, 0x6002, 0x4008, MMIO + 8))
    if rng.randrange(3):
        state.rcx = rng.choice(SMALL)
    state.rflags = rng.choice(RFLAGS) | rng.getrandbits(12) & 0x8D5
    if mode == "pm16" and rng.randrange(3) == 0:
        state.rflags |= VM
    set_tables(rng, machine)
    if rng.randrange(2):
        set_system(rng, machine)
    if mode != "real" and rng.randrange(3) == 0:
        machine.ring3()
    if rng.randrange(2):
        set_segments(rng, machine)
    state.cr0 |= rng.choice((0, 1 << 18))  # AM
    if mode in PAGED:
        set_paging(rng, machine)
    elif rng.randrange(40) == 0 and mode != "real":
        state.cr0 |= 1 << 31
    for place in (DATA, DATA + 0xFF8, STACK, HIGH_BASE):
        machine.poke(place, rng.getrandbits(64), 8)
    code = b"".join(instruction(rng, mode) for _ in range(3))
    state.rip = rng.choice((CODE, CODE, CODE, 0x1FFA, 0x1FFE, LOW - 3))
    machine.poke(state.rip, code[: LOW - state.rip])
    if rng.randrange(30) == 0:
        state.rip = rng.choice(PLACES)
    state.interrupt_shadow = rng.randrange(3)
    set_vectors(rng, machine)
    return machine
