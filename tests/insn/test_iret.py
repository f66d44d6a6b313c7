# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""IRET, IRETD and IRETQ (SDM vol. 2A)."""

import pytest

from insn.kernel import (
    AC,
    CODE,
    CODE0,
    CODE3,
    CODE16_0,
    CONFORMING,
    DATA0,
    DATA3,
    IF,
    IOPL,
    NARROW_STACK,
    NT,
    RF,
    SPARE,
    STACK,
    TF,
    VM,
    Kernel,
)
from insn.machine import CODE32, MMIO, UNUSABLE, check_fault
from insn.test_delivery import virtual_8086
from vmmkit.insn import Done, Read, Segment, Unsupported, UnsupportedReason

NP, SS, GP = 11, 12, 13
VIF, VIP, ID = 1 << 19, 1 << 20, 1 << 21
STATUS_DF = 0xCD5
ALL = STATUS_DF | TF | IF | IOPL | NT | RF | AC | ID | VIF | VIP
TARGET = 0x1800


def returning(engine, mode, code, values, size, registers=None):
    """A machine with values on its stack, the first on top."""
    guest = Kernel(engine, mode, code, registers, deliver=False)
    for number, value in enumerate(values):
        guest.poke(STACK + size * number, value, size)
    return guest


FRAMES = [
    ("real", "cf", 2),
    ("real", "66cf", 4),
    ("pm16", "cf", 2),
    ("pm32", "cf", 4),
    ("pm32", "66cf", 2),
    ("long", "66cf", 2),
    ("long", "cf", 4),
    ("long", "48cf", 8),
    ("compat", "cf", 4),
]


@pytest.mark.parametrize(("mode", "code", "size"), FRAMES)
def test_return_at_the_same_level(engine, mode, code, size):
    selector = {"real": 0x12, "compat": SPARE}.get(mode, CODE0)
    values = [TARGET, selector, 2 | 0x41, STACK + 0x80, DATA0]
    guest = returning(engine, mode, code, values, size)
    assert guest.step() == Done(TARGET, 0)
    state = guest.state
    assert state.cs.selector == selector
    assert state.rflags == 2 | 0x41
    assert state.rsp == (STACK + 0x80 if mode == "long" else STACK + 3 * size)


# (mode, code, size, ring, IOPL, flags that an image of all ones sets)
FLAGS = [
    ("pm32", "cf", 4, 0, 0, ALL),
    ("long", "48cf", 8, 0, 0, ALL),
    ("pm32", "66cf", 2, 0, 0, ALL & 0xFFFF),
    ("pm32", "cf", 4, 3, 0, ALL & ~(IF | IOPL | VIF | VIP)),
    ("pm32", "cf", 4, 3, 3, ALL & ~(IOPL | VIF | VIP)),
    ("long", "48cf", 8, 3, 0, ALL & ~(IF | IOPL | VIF | VIP)),
    ("real", "cf", 2, 0, 0, ALL & 0xFFFF),
    ("real", "66cf", 4, 0, 0, ALL & ~(VIF | VIP)),
]


@pytest.mark.parametrize(("mode", "code", "size", "ring", "iopl", "changed"), FLAGS)
@pytest.mark.parametrize("ones", [False, True])
def test_which_flags_it_loads(engine, mode, code, size, ring, iopl, changed, ones):
    guest = Kernel(engine, mode, code, deliver=False)
    if ring:
        guest.user()
    selector = 0 if mode == "real" else guest.state.cs.selector
    before = 2 | iopl << 12 if ones else 2 | iopl << 12 | (ALL & ~(IOPL | NT | RF))
    image = ALL | 2 if ones else 2
    for number, value in enumerate([TARGET, selector, image, STACK, guest.state.ss.selector]):
        guest.poke(STACK + size * number, value & (1 << 8 * size) - 1, size)
    guest.state.rflags = before
    assert guest.step() == Done(TARGET, 0)
    assert guest.state.rflags == before & ~changed | image & changed


@pytest.mark.parametrize(("mode", "code", "size"), [("pm32", "cf", 4), ("long", "48cf", 8)])
def test_return_to_ring_3(engine, mode, code, size):
    values = [TARGET, CODE3 | 3, 2 | IF, 0x6F00, DATA3 | 3]
    guest = returning(engine, mode, code, values, size)
    guest.state.ds = Segment(CONFORMING, 0, 0xFFFF_FFFF, 0xC09F)
    guest.state.es = Segment(DATA3, 0, 0xFFFF_FFFF, 0xC0F3)
    assert guest.step() == Done(TARGET, 0)
    state = guest.state
    assert (state.cs.selector, state.ss.selector, state.rsp) == (CODE3 | 3, DATA3 | 3, 0x6F00)
    assert state.rflags == 2 | IF
    null = Segment(0, 0, 0, UNUSABLE)
    assert (state.fs, state.gs) == (null, null)  # data of ring 0
    assert (state.ds.selector, state.es.selector) == (CONFORMING, DATA3)


def test_to_compatibility_mode_and_back_to_64_bits(engine):
    guest = Kernel(engine, "long", "48cf", deliver=False)
    guest.descriptor(SPARE // 8, 0, 0xFFFFF, CODE32 | 0x60)
    for number, value in enumerate([TARGET, SPARE | 3, 2, 0x6F00, DATA3 | 3]):
        guest.poke(STACK + 8 * number, value, 8)
    guest.step()
    assert (guest.state.mode, guest.state.rip) == (32, TARGET)


def test_the_null_stack_of_64_bit_mode(engine):
    guest = returning(engine, "long", "48cf", [TARGET, CODE0, 2, 0x6F00, 0], 8)
    guest.step()
    assert (guest.state.ss.selector, guest.state.ss.attributes) == (0, UNUSABLE)
    check_fault(returning(engine, "long", "48cf", [TARGET, CODE3 | 3, 2, 0x6F00, 3], 8), GP)
    check_fault(returning(engine, "long", "48cf", [TARGET, CODE0, 2, 0x6F00, 1], 8), GP)


def test_a_narrow_stack_keeps_the_upper_half(engine):
    guest = returning(engine, "pm32", "cf", [TARGET, CODE3 | 3, 2, 0x1234_6F00, SPARE | 3], 4)
    guest.descriptor(SPARE // 8, 0, 0xFFFF, 0x80F3)
    guest.state.ss = Segment(NARROW_STACK, 0, 0xFFFF_FFFF, 0xC093)
    guest.step()
    assert guest.state.rsp == 0x6F00  # over the upper half of STACK, 0


FAULTS = [
    ("null", [TARGET, 0, 2], GP, 0),
    ("beyond the GDT", [TARGET, 0x200, 2], GP, 0x200),
    ("data", [TARGET, DATA0, 2], GP, DATA0),
    ("DPL above RPL", [TARGET, CODE3, 2], GP, CODE3),
    ("DPL below RPL", [TARGET, CODE0 | 3, 2], GP, CODE0),
    ("conforming, DPL above RPL", [TARGET, SPARE, 2], GP, SPARE),
    ("SS null", [TARGET, CODE3 | 3, 2, 0, 3], GP, 0),
    ("SS beyond the GDT", [TARGET, CODE3 | 3, 2, 0, 0x203], GP, 0x200),
    ("SS of another RPL", [TARGET, CODE3 | 3, 2, 0, DATA3], GP, DATA3),
    ("SS of another DPL", [TARGET, CODE3 | 3, 2, 0, DATA0 | 3], GP, DATA0),
    ("SS code", [TARGET, CODE3 | 3, 2, 0, CODE3 | 3], GP, CODE3),
    ("beyond the segment", [0x1_0000, CODE16_0, 2], GP, 0),
]


@pytest.mark.parametrize(("why", "values", "vector", "error"), FAULTS)
def test_faults(engine, why, values, vector, error):
    guest = returning(engine, "pm32", "cf", values, 4)
    guest.descriptor(SPARE // 8, 0, 0xFFFFF, 0xC0FF)
    guest.descriptor(CODE16_0 // 8, 0, 0xFFFF, 0x9B)
    check_fault(guest, vector, error)


def test_not_present(engine):
    guest = returning(engine, "pm32", "cf", [TARGET, CODE3 | 3, 2, 0, DATA3 | 3], 4)
    guest.descriptor(CODE3 // 8, 0, 0xFFFFF, 0xC07B)
    check_fault(guest, NP, CODE3)
    guest = returning(engine, "pm32", "cf", [TARGET, CODE3 | 3, 2, 0, DATA3 | 3], 4)
    guest.descriptor(DATA3 // 8, 0, 0xFFFFF, 0xC073)
    check_fault(guest, SS, DATA3)


def test_no_way_inwards(engine):
    guest = Kernel(engine, "pm32", "cf", deliver=False).user()
    for number, value in enumerate([TARGET, CODE0, 2]):
        guest.poke(STACK + 4 * number, value, 4)
    check_fault(guest, GP, CODE0)


def test_not_canonical(engine):
    check_fault(returning(engine, "long", "48cf", [1 << 47, CODE0, 2, STACK, DATA0], 8), GP)


def test_nested_tasks(engine):
    guest = returning(engine, "pm32", "cf", [TARGET, CODE0, 2], 4, {"rflags": 2 | NT})
    assert guest.step() == Unsupported(guest.step().code, UnsupportedReason.TASK_SWITCH, CODE)
    check_fault(returning(engine, "long", "48cf", [TARGET], 8, {"rflags": 2 | NT}), GP)


def test_to_virtual_8086_mode(engine):
    values = [0x1234, 0x111, VM | 2 | IF | IOPL, 0x5678, 0x222, 0x333, 0x444, 0x555, 0x666]
    guest = returning(engine, "pm32", "cf", values, 4)
    assert guest.step() == Done(0x1234, 0)
    state = guest.state
    assert (state.rsp, state.rflags, state.mode) == (0x5678, VM | 2 | IF | IOPL, 16)
    selectors = dict(zip(("cs", "ss", "es", "ds", "fs", "gs"), (0x111, *values[4:]), strict=True))
    for name, selector in selectors.items():
        assert getattr(state, name) == Segment(selector, selector << 4, 0xFFFF, 0xF3)


def test_vm_is_ignored_in_ring_3_and_in_long_mode(engine):
    guest = Kernel(engine, "pm32", "cf", deliver=False).user()
    for number, value in enumerate([TARGET, CODE3 | 3, VM | 2]):
        guest.poke(STACK + 4 * number, value, 4)
    guest.step()
    assert guest.state.rflags == 2
    guest = returning(engine, "long", "48cf", [TARGET, CODE0, VM | 2, STACK, DATA0], 8)
    guest.step()
    assert guest.state.rflags == 2


# (IOPL, CR4.VME, code, image, flags before, flags after); `None` is #GP(0).
VIRTUAL = [
    (3, 0, "cf", IF | IOPL, 0, IF | IOPL),
    (3, 0, "66cf", VIF | VIP | AC, 0, AC | IOPL),
    (0, 0, "cf", 0, 0, None),
    (0, 1, "66cf", 0, 0, None),
    (0, 1, "cf", IF | IOPL, 0, VIF),
    (0, 1, "cf", 0, VIF | IF, IF),
    (0, 1, "cf", TF, 0, None),
    (0, 1, "cf", IF, VIP, None),
]


@pytest.mark.parametrize(("iopl", "vme", "code", "image", "flags", "after"), VIRTUAL)
def test_in_virtual_8086_mode(engine, iopl, vme, code, image, flags, after):
    guest = virtual_8086(engine, code, iopl << 12 | flags, cr4=vme)
    guest.cpu = guest.cpu_on(engine)
    size = 2 if code == "cf" else 4
    for number, value in enumerate([TARGET, 0x12, image | 2]):
        guest.poke(STACK + size * number, value & (1 << 8 * size) - 1, size)
    if after is None:
        check_fault(guest, GP)
        return
    assert guest.step() == Done(TARGET, 0)
    assert guest.state.rflags == VM | 2 | after
    assert guest.state.cs.base == 0x120


def test_stack_at_a_device(engine):
    guest = Kernel(engine, "pm32", "cf", {"rsp": MMIO}, deliver=False)
    accesses, outcome = guest.finish([TARGET, CODE3 | 3, 2, 0x6F00, DATA3 | 3])
    assert accesses == [Read(MMIO + 4 * number, 4) for number in range(5)]
    assert outcome == Done(TARGET, 0)


def test_descriptors_are_marked_as_accessed(engine):
    guest = returning(engine, "pm32", "cf", [TARGET, CODE3 | 3, 2, 0x6F00, DATA3 | 3], 4)
    guest.descriptor(CODE3 // 8, 0, 0xFFFFF, 0xC0FA)
    guest.descriptor(DATA3 // 8, 0, 0xFFFFF, 0xC0F2)
    guest.step()
    assert guest.peek(0x5000 + CODE3 + 5, 1) == 0xFB
    assert guest.peek(0x5000 + DATA3 + 5, 1) == 0xF3
    assert guest.state.cs.attributes == 0xC0FB
