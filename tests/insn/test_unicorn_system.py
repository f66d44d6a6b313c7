# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Selectors, descriptors and far transfers against Unicorn, an emulator made from QEMU.

Random descriptors, selectors and stacks, in 32-bit protected mode and in 64-bit mode, at CPL 0 and
3: whether there is a fault and which, and registers, selectors and memory if not. Unicorn delivers
nothing, so error codes cannot be compared. What QEMU is known to do otherwise than the SDM says is
not generated, or masked:

* it takes a null SS whose RPL is not CPL, and a null selector for LTR;
* in IA-32e mode LAR and LSL take system descriptors of legacy mode, and LLDT and LTR do not look at
  the type in the upper half of a descriptor;
* far transfers do not mark the descriptor of CS as accessed;
* RETF and IRET look neither at the limit of CS nor at L and D that are both set, a stack segment
  that is not present is #NP, and IRET at CPL 0 leaves VIF and VIP;
* LAR clears bits 19:16, which the SDM leaves undefined.

Unicorn keeps no rights of DS and ES that are written in 64-bit mode, so IRET at CPL 3 drops them.
"""

import random

import pytest
from hypothesis import settings

from insn.kernel import CODE0, CODE3, CODE_OF, DATA0, DATA3, Kernel
from insn.machine import CODE, CODE64, DATA, GDT, HIGH_BASE, LOW, NP, SS_FAULT, STACK
from vmmkit.insn import Fault

unicorn = pytest.importorskip("unicorn", reason="Unicorn is in the bench group")
x86 = pytest.importorskip("unicorn.x86_const")

IN_CI = settings.get_current_profile_name() == "ci"
CASES = 4000 if IN_CI else 800
TARGET, POINTER = 0x2800, DATA + 0x100
GDT_LAST = 0x78
SELECTORS = (
    0,
    8,
    0x10,
    0x1B,
    0x18,
    0x23,
    0x28,
    0x2B,
    0x30,
    0x33,
    0x38,
    0x40,
    0x48,
    0x60,
    0x63,
    0x78,
)
SYSTEM_TYPES = (0, 2, 8, 9, 10, 11, 12, 13)  # alike in both modes, but for gates
FAR = ("ff1b", "ff2b")
SYSTEM_LOADS = ("0f00d0", "0f00d8")
RETURNS = ("cb", "ca0800", "cf", "48cf")
AX, CX, STACKED, POINTED = "ax", "cx", "stacked", "pointed"
# Code to the places that get selectors.
FORMS = {
    **dict.fromkeys(("8ed8", "8ec0", "8ee0", "8ed0", *SYSTEM_LOADS), AX),
    **dict.fromkeys(("0f02c1", "0f03c1", "660f03c1", "0f00e1", "0f00e9"), CX),
    **dict.fromkeys(("0fa1", "0fa9"), STACKED),
    **dict.fromkeys((*FAR, "0fb203", "0fb403"), POINTED),
    **dict.fromkeys(RETURNS, ""),
}
GENERAL = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
UNDEFINED_BY_LAR = 0xF_0000


def register(name):
    return getattr(x86, f"UC_X86_REG_{name.upper()}")


def random_rights(rng):
    """Mostly code and data, mostly present, mostly flat."""
    if rng.random() < 0.3:
        return 0x8000 | rng.choice((0x80, 0xE0, 0)) | rng.choice(SYSTEM_TYPES)
    rights = 0x10 | rng.randrange(16) | rng.randrange(4) << 5 | (0x80 if rng.random() < 0.8 else 0)
    return rights | rng.choice((0xC000, 0xC000, 0xA000, 0x8000))


def selector(rng, code, long_mode):
    """A selector that QEMU has no opinion of its own about."""
    found = rng.choice(SELECTORS)
    if code == "0f00d8" and not found & ~3:
        return GDT_LAST
    return found if found & ~3 or not long_mode else 0


def fill_stack(guest, rng, code):
    """What a return pops: offset, CS, flags for IRET, stack pointer, SS."""
    size = 8 if code == "48cf" else 4
    long_mode = guest.long_mode
    values = [TARGET, selector(rng, code, long_mode)]
    if code.endswith("cf"):
        values.append(2 | rng.randrange(1 << 12) & ~0x102)
    values += [STACK - 0x100, selector(rng, code, long_mode)]
    for number, value in enumerate(values):
        skipped = 8 if code == "ca0800" and number > 1 else 0
        guest.poke(STACK + size * number + skipped, value, size)


def make_guest(rng):
    mode = rng.choice(("pm32", "long"))
    code = rng.choice([code for code in FORMS if mode == "long" or code != "48cf"])
    guest = Kernel(None, mode, code, deliver=False)
    kernel_code = CODE_OF.get(mode, CODE64)
    for index in range(5, 16):
        if index not in {10, 11}:  # TR's own
            guest.descriptor(index, rng.choice((0, 0x100)), 0xFFFFF, random_rights(rng))
    for place, rights in ((CODE0, kernel_code), (DATA0, 0xC093), (CODE3, kernel_code | 0x60)):
        guest.descriptor(place // 8, 0, 0xFFFFF, rights)
    guest.descriptor(DATA3 // 8, 0, 0xFFFFF, 0xC0F3)
    if rng.random() < 0.5:
        guest.user()
    fill(guest, rng, code)
    return guest, code


def fill(guest, rng, code):
    """Put random selectors where the instruction finds them."""
    state, chosen = guest.state, selector(rng, code, guest.long_mode)
    state.rbx, state.rax, state.rcx = POINTER, rng.getrandbits(32), rng.getrandbits(16) << 16
    if FORMS[code] == AX:
        state.rax = chosen
        if code in SYSTEM_LOADS and CODE3 < chosen & 0xF8 < GDT_LAST:
            guest.poke(GDT + (chosen & 0xF8) + 8, 0, 8)
    elif FORMS[code] == CX:
        state.rcx |= chosen
    elif FORMS[code] == STACKED:
        guest.poke(STACK, chosen, 8)
    elif FORMS[code] == POINTED:
        guest.poke(POINTER, TARGET, 4)
        guest.poke(POINTER + 4, chosen, 2)
    else:
        fill_stack(guest, rng, code)


def peer_of(guest):
    """Unicorn with the same registers and memory."""
    state, long_mode = guest.state, guest.long_mode
    peer = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64 if long_mode else unicorn.UC_MODE_32)
    for gpa, ram in ((0, guest.low), (HIGH_BASE, guest.high)):
        peer.mem_map(gpa, len(ram))
        peer.mem_write(gpa, bytes(ram))
    for name in ("cr3", "cr4", "cr0") if long_mode else ():
        peer.reg_write(register(name), getattr(state, name))
    for name in ("gdtr", "idtr"):
        base, limit = getattr(state, f"{name}_base"), getattr(state, f"{name}_limit")
        peer.reg_write(register(name), (0, base, limit, 0))
    task = state.tr
    peer.reg_write(x86.UC_X86_REG_TR, (task.selector, task.base, task.limit, task.attributes << 8))
    if state.cs.selector & 3:
        go_to_ring_3(peer, guest)
    for name in SEGMENTS:
        peer.reg_write(register(name), getattr(state, name).selector)
    width = "r" if long_mode else "e"
    for name in (*GENERAL, "flags"):
        peer.reg_write(register(width + name), getattr(state, f"r{name}"))
    return peer


def go_to_ring_3(peer, guest):
    """By IRET, since a register that is written does not change Unicorn's CPL."""
    state, size = guest.state, 8 if guest.long_mode else 4
    peer.mem_write(CODE, b"\x48\xcf" if guest.long_mode else b"\xcf")
    frame = (TARGET, state.cs.selector, 2, STACK, state.ss.selector)
    peer.mem_write(POINTER, b"".join(value.to_bytes(size, "little") for value in frame))
    for name, selector in (("cs", CODE0), ("ss", DATA0)):
        peer.reg_write(register(name), selector)
    peer.reg_write(register("rsp" if guest.long_mode else "esp"), POINTER)
    peer.emu_start(CODE, LOW, count=1)
    peer.mem_write(0, bytes(guest.low))


def exception_of(peer):
    """Execute one instruction; the vector of its exception, `None` without one."""
    vectors = []

    def note(_peer, vector, _data):
        vectors.append(vector)
        peer.emu_stop()

    peer.hook_add(unicorn.UC_HOOK_INTR, note)
    peer.emu_start(CODE, LOW, count=1)
    return vectors[0] if vectors else None


def ours(guest, code):
    state = guest.state
    found = {name: getattr(state, f"r{name}") for name in (*GENERAL, "ip", "flags")}
    found |= {name: getattr(state, name).selector for name in SEGMENTS}
    return compared(found, bytes(guest.low), code)


def theirs(peer, guest, code):
    width = "r" if guest.long_mode else "e"
    names = (*GENERAL, "ip", "flags")
    found = {name: peer.reg_read(register(width + name)) for name in names}
    found |= {name: peer.reg_read(register(name)) for name in SEGMENTS}
    return compared(found, bytes(peer.mem_read(0, LOW)), code)


def compared(registers, memory, code):
    """What has to be equal."""
    if code in (*RETURNS, *FAR):
        memory = memory[:GDT] + memory[GDT + 0x80 :]
    if code.startswith("0f02"):
        registers["ax"] &= ~UNDEFINED_BY_LAR
    return registers, memory


def known_types_only(guest, code):
    """Whether LAR and LSL were not asked for a system descriptor in IA-32e mode."""
    if not guest.long_mode or code not in {"0f02c1", "0f03c1", "660f03c1"}:
        return True
    return bool(guest.peek(GDT + (guest.state.rcx & 0xFFF8) + 5, 1) & 0x10)


def described(guest, code):
    """What matters, for a failure."""
    state = guest.state
    table = [f"{guest.peek(GDT + 8 * index, 8):016x}" for index in range(16)]
    stack = [f"{guest.peek(STACK + 4 * index, 4):x}" for index in range(10)]
    where = f"{code} {guest.mode} CPL {state.cs.selector & 3} rax {state.rax:x} rcx {state.rcx:x}"
    return f"{where} pointer {guest.peek(POINTER, 8):x} stack {stack} GDT {table}"


def test_selectors_and_far_transfers():
    rng, agreed = random.Random(0x5E6), 0
    for _ in range(CASES):
        guest, code = make_guest(rng)
        if not known_types_only(guest, code):
            continue
        peer, why, user = peer_of(guest), described(guest, code), guest.state.cs.selector & 3
        vector, outcome = exception_of(peer), guest.step()
        if isinstance(outcome, Fault):
            vectors = {outcome.vector}
            if code in RETURNS and outcome.vector == SS_FAULT:
                vectors.add(NP)
            assert vector in vectors, why
            continue
        if type(outcome).__name__ == "Unsupported":  # a TSS
            continue
        assert vector is None, why
        mine, others = ours(guest, code), theirs(peer, guest, code)
        if user and guest.long_mode and code.endswith("cf"):
            others[0].update(ds=mine[0]["ds"], es=mine[0]["es"])
        assert mine[0] == others[0], why
        assert mine[1] == others[1], why
        agreed += 1
    assert agreed > CASES / 5
