# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PUSHF and POPF (SDM vol. 2B): who may change which flag, virtual-8086 mode and VME."""

import pytest

from insn.machine import (
    GP,
    IF,
    MMIO,
    PAGE_FAULT,
    SS_FAULT,
    STACK,
    VM,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Done, Read, Write

TF, NT, RF, AC, VIF, VIP, ID = (1 << bit for bit in (8, 14, 16, 18, 19, 20, 21))
IOPL = 3 << 12
ARITHMETIC = 0xCD5  # status flags and DF
VME = 1
LOW = ARITHMETIC | TF | NT  # what everybody may change
ALL = LOW | IF | IOPL | AC | ID
FIXED = 2

PUSHES = [
    ("long", "9c", 8, 0x24_0ED7),
    ("long", "669c", 2, 0x0ED7),
    ("compat", "9c", 4, 0x24_0ED7),
    ("pm32", "669c", 2, 0x0ED7),
    ("pm16", "9c", 2, 0x0ED7),
    ("real", "9c", 2, 0x0ED7),
    ("real", "669c", 4, 0x24_0ED7),
]


@pytest.mark.parametrize(("mode", "code", "size", "image"), PUSHES)
def test_pushf(engine, mode, code, size, image):
    """RF is clear in the image, and ends with the instruction."""
    after = {"rsp": STACK - size, (STACK - size, size): image, "rflags": 0x24_0ED7}
    check_case(engine, mode, code, {"rflags": 0x24_0ED7 | RF}, after)


# (mode, code, ring, IOPL, flags that change when all are popped)
CHANGES = [
    ("real", "9d", 0, 0, ALL & 0xFFFF),
    ("real", "669d", 0, 0, ALL),
    ("long", "9d", 0, 0, ALL),
    ("long", "669d", 0, 0, ALL & 0xFFFF),
    ("pm32", "9d", 0, 0, ALL),
    ("compat", "9d", 0, 0, ALL),
    ("long", "9d", 3, 0, LOW | AC | ID),
    ("long", "9d", 3, 3, LOW | AC | ID | IF),
    ("long", "669d", 3, 0, LOW),
    ("long", "669d", 3, 3, LOW | IF),
    ("pm32", "9d", 3, 2, LOW | AC | ID),
    ("pm16", "9d", 3, 3, LOW | IF),
    ("vm86", "9d", 3, 3, LOW | IF),
    ("vm86", "669d", 3, 3, LOW | AC | ID | IF),
]
OPERAND = {"real": 2, "pm16": 2, "vm86": 2, "pm32": 4, "compat": 4, "long": 8}


def machine_at(engine, mode, code, ring, iopl, flags=0):
    machine = Machine(engine, "pm16" if mode == "vm86" else mode, code)
    if ring == 3 and mode != "vm86":
        machine.ring3()
    machine.state.rflags = FIXED | iopl << 12 | flags | (VM if mode == "vm86" else 0)
    return machine


@pytest.mark.parametrize("old", [0, VIF | VIP])
@pytest.mark.parametrize(("mode", "code", "ring", "iopl", "changed"), CHANGES)
def test_popf(engine, mode, code, ring, iopl, changed, old):
    """Set all, then clear all: what may not change does not, and RF is cleared."""
    for image in (0x3F_FFFF & ~VM, 0):
        machine = machine_at(engine, mode, code, ring, iopl, old | RF)
        before = machine.state.rflags
        machine.poke(STACK, image, 8)
        size = {"66": 6 - OPERAND[mode]}.get(code[:2], OPERAND[mode])
        if mode == "long" and code[:2] == "66":
            size = 2
        assert isinstance(machine.step(), Done)
        assert machine.state.rflags == (before & ~changed | image & changed) & ~RF
        assert machine.state.rsp == STACK + size
        assert machine.state.interrupt_shadow == 0


def virtual(engine, code, flags, image=0, vme=VME):
    machine = machine_at(engine, "vm86", code, 3, 0, flags)
    machine.state.cr4 |= vme
    machine.poke(STACK, image, 4)
    return machine


@pytest.mark.parametrize(("flags", "image"), [(0, 0x3002), (VIF, 0x3202), (IF | VIF, 0x3202)])
def test_vme_pushes_vif_as_if(engine, flags, image):
    machine = virtual(engine, "9c", flags)
    assert isinstance(machine.step(), Done)
    assert machine.peek(STACK - 2, 2) == image


@pytest.mark.parametrize(
    ("flags", "image", "after"),
    [
        (0, IF, VIF),
        (VIF, 0, 0),
        (IF | VIF | VIP, 0, IF | VIP),
        (IF, IF | IOPL | 1, IF | VIF | 1),
        (VIF, NT | ARITHMETIC | IF, VIF | NT | ARITHMETIC),
    ],
)
def test_vme_pops_if_as_vif(engine, flags, image, after):
    machine = virtual(engine, "9d", flags, image)
    assert isinstance(machine.step(), Done)
    assert machine.state.rflags == FIXED | VM | after
    assert machine.state.rsp == STACK + 2


VIRTUAL_FAULTS = [
    ("9c", 0, 0, 0),  # without VME
    ("9d", 0, 0, 0),
    ("669c", 0, 0, VME),  # 32-bit images show too much
    ("669d", 0, 0, VME),
    ("9d", VIP, IF, VME),
    ("9d", 0, TF, VME),
]


@pytest.mark.parametrize(("code", "flags", "image", "vme"), VIRTUAL_FAULTS)
def test_virtual_faults(engine, code, flags, image, vme):
    check_fault(virtual(engine, code, flags, image, vme), GP)


def test_pvi_means_nothing_to_popf(engine):
    """SDM vol. 2B, POPF: IF is left alone silently; VIF has no part in it."""
    machine = machine_at(engine, "pm16", "9d", 3, 0, VIF)
    machine.state.cr4 |= 2
    machine.poke(STACK, IF, 2)
    assert isinstance(machine.step(), Done)
    assert machine.state.rflags == FIXED | VIF


FAULTS = [
    ("long", "9c", {"rsp": 1 << 63}, (SS_FAULT,)),
    ("long", "9d", {"rsp": 0x4000_0000}, (PAGE_FAULT, 0, 0x4000_0000)),
    ("long", "9c", {"rsp": 0x4000_0010}, (PAGE_FAULT, 2, 0x4000_0008)),
    ("real", "9d", {"rsp": 0xFFFF}, (SS_FAULT,)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), FAULTS)
def test_faults(engine, mode, code, registers, fault):
    check_fault(Machine(engine, mode, code, registers), *fault)


def test_devices(engine):
    at = {"rsp": MMIO, "rflags": 0x202}
    after = {"rsp": MMIO - 8}
    check_case(engine, "long", "9c", at, after, None, [], [Write(MMIO - 8, 8, 0x202)])
    after = {"rsp": MMIO + 8, "rflags": 0xCD7}
    check_case(engine, "long", "9d", at, after, None, [0xCD7], [Read(MMIO, 8)])
