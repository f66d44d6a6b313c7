# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The ports at CF8H-CFFH against QEMU's, on a 440FX and on a q35 machine.

What QEMU does otherwise, and what the comparison therefore leaves out:

=============================================  ===================================================
QEMU                                           why vmmkit does not
=============================================  ===================================================
The latch keeps bits 30-24 and 1-0, and they   PCI Local Bus Specification 3.0, "Software
read back.                                     Generation of Configuration Transactions": these
                                               bits are read-only and zero.
Bits 1-0 of the latch are ored into the        The same: they are zero, the port tells the byte.
offset, so that a latch that ends in 3 shifts
what CFCh reads.
Reads of less than CF8h's dword give bytes of  The same: any other access passes on as an access
the latch.                                     to I/O ports; here nobody is there.
CF9h is the chipset's reset control.           `ConfigPorts.other` is where a chipset puts it.
=============================================  ===================================================
"""

from __future__ import annotations

import random

import pytest

from qemu.machines import OwnMachine
from vmmkit.devices.edu import Edu

pytestmark = pytest.mark.qemu

STEPS = 4000
ENABLE = 0x8000_0000
KEPT = 0x80FF_FFFC
# Registers of the edu device that are the same on both; test_registers.py is about the others.
SAME = (0x00, 0x08, 0x10, 0x10, 0x14, 0x2C, 0x34, 0x3C, 0x3C)
HARMLESS = 0xF1F1  # without the bits that reset a machine whose CF9h gets them


def machines(start_qemu, machine):
    other, own = start_qemu("-device", "edu,addr=4", machine=machine), OwnMachine()
    own.host.plug(Edu(), 4, enable=False)
    for one in (other, own):
        one.registers().write32(0x10, 0)
        one.io.write(0xCF8, 4, 0)
    return other, own


def a_latch(pick):
    """Mostly the edu device; else somebody who is not there, or nobody."""
    latch = (
        pick.choice((ENABLE, ENABLE, ENABLE, 0)) | 0x2000 | pick.choice(SAME) | pick.randrange(4)
    )
    return latch | pick.choice((0, 0, 0, 0x7F00_0000, 0x100, 0x8000, 0x10_0000))


def data_access(pick):
    size = pick.choice((1, 2, 4))
    return pick.randrange(0xCFC, 0xD01 - size), size


def address_access(pick):
    """An access that begins and ends in CF8h-CFBh but is not a dword at CF8h."""
    size = pick.choice((1, 2))
    return pick.randrange(0xCF8, 0xCFD - size), size


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_random_accesses(start_qemu, machine):
    other, own = machines(start_qemu, machine)
    pick = random.Random(0xCF8)
    compared = 0
    for step in range(STEPS):
        kind = pick.random()
        if kind < 0.3:
            latch = a_latch(pick)
            own.io.write(0xCF8, 4, latch)
            other.io.write(0xCF8, 4, latch & KEPT)
        elif kind < 0.4:
            port, size = address_access(pick)
            value = pick.getrandbits(8 * size) & HARMLESS
            for one in (own, other):
                one.io.write(port, size, value)
                one.io.read(port, size)
        elif kind < 0.6:
            port, size = data_access(pick)
            value = pick.choice((0, -1, pick.getrandbits(8 * size))) & (1 << 8 * size) - 1
            for one in (own, other):
                one.io.write(port, size, value)
        port, size = data_access(pick)
        found = [one.io.read(port, size) for one in (other, own)]
        assert found[0] == found[1], (step, hex(own.host.bridge.config_ports.latch), hex(port))
        assert own.io.read(0xCF8, 4) == other.io.read(0xCF8, 4)
        compared += 2
    assert compared == 2 * STEPS


def test_accesses_beyond_the_ports_take_what_is_there(start_qemu):
    other, own = machines(start_qemu, "q35")
    for port, size in ((0xCFD, 4), (0xCFE, 4), (0xCFF, 2), (0xCFF, 4)):
        for one in (own, other):
            one.io.write(0xCF8, 4, ENABLE | 0x2000)
        assert own.io.read(port, size) == other.io.read(port, size)


@pytest.mark.parametrize(("port", "size"), [(0xCFB, 2), (0xCFA, 4), (0xCFB, 4)])
def test_accesses_across_the_ports_border_reach_config_space(start_qemu, port, size):
    """Their first half is another matter: QEMU shows the latch there, a chipset what it has."""
    other, own = machines(start_qemu, "q35")
    for one in (own, other):
        one.io.write(0xCF8, 4, ENABLE | 0x2000)
    low = 8 * (0xCFC - port)
    assert own.io.read(port, size) >> low == other.io.read(port, size) >> low
    assert own.io.read(port, size) & (1 << low) - 1 == (1 << low) - 1
