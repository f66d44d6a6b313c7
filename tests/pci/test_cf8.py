# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The ports at CF8H and CFCH, corner by corner."""

from __future__ import annotations

import pytest

from pci.machine import Machine

ONES = 0xFFFF_FFFF


def machine():
    made = Machine()
    made.plug(1)
    return made


class Other:
    """What a chipset has between the config ports."""

    def __init__(self):
        self.seen = []

    def read(self, vcpu, offset, size):
        self.seen.append((offset, size))
        return 0x5A

    def write(self, vcpu, offset, size, value):
        self.seen.append((offset, size, value))


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (0x8000_0800, 0x8000_0800),
        (0xFFFF_FFFF, 0x80FF_FFFC),
        (0x0000_0000, 0),
        (0x7F00_0003, 0),
        (0x8000_0803, 0x8000_0800),
    ],
)
def test_the_latch_keeps_what_it_has_bits_for(written, kept):
    made = machine()
    made.ports.write(0xCF8, 4, written)
    assert made.ports.read(0xCF8, 4) == kept == made.host.config_ports.latch


@pytest.mark.parametrize(
    ("port", "size"), [(0xCF8, 1), (0xCF8, 2), (0xCF9, 1), (0xCFA, 2), (0xCFB, 1), (0xCF9, 2)]
)
def test_no_dword_no_latch(port, size):
    made = machine()
    made.ports.write(0xCF8, 4, 0x8000_0800)
    made.ports.write(port, size, 0)
    assert made.ports.read(port, size) == (1 << 8 * size) - 1
    assert made.host.config_ports.latch == 0x8000_0800
    other = made.host.config_ports.other = Other()
    made.ports.write(port, size, 6)
    assert made.ports.read(port, size) == 0x5A
    assert other.seen == [(port - 0xCF8, size, 6), (port - 0xCF8, size)]
    assert made.host.config_ports.latch == 0x8000_0800


@pytest.mark.parametrize(
    ("port", "size", "value"),
    [
        (0xCFC, 4, 0x0001_1234),
        (0xCFC, 2, 0x1234),
        (0xCFE, 2, 0x0001),
        (0xCFD, 2, 0x0112),
        (0xCFD, 1, 0x12),
        (0xCFF, 1, 0),
    ],
)
def test_reads_of_any_lanes(port, size, value):
    made = machine()
    made.ports.write(0xCF8, 4, 0x8000_0800)
    assert made.ports.read(port, size) == value


def test_writes_of_any_lanes():
    made = machine()
    made.ports.write(0xCF8, 4, 0x8000_083C)
    made.ports.write(0xCFC, 1, 0x55)
    assert made.ports.read(0xCFC, 1) == 0x55
    made.ports.write(0xCFC, 4, 0xAA)
    assert made.ports.read(0xCFC, 4) == 0xAA
    made.ports.write(0xCFD, 2, 0xFFFF)  # the pin and the byte behind are read-only
    assert made.ports.read(0xCFC, 4) == 0xAA


def test_accesses_beyond_the_last_port_end_there():
    """A map cuts these before; without one, the missing bytes are ones and drop."""
    made = machine()
    device = made.host.config_ports
    device.write(None, 0, 4, 0x8000_083C)
    device.write(None, 4, 8, 0x1122_3344)
    assert device.read(None, 4, 8) == 0xFFFF_FFFF_0000_0044
    assert device.read(None, 6, 4) == 0xFFFF_0000
    device.write(None, 0, 4, 0)
    assert device.read(None, 4, 8) == (1 << 64) - 1
    assert made.ports.read(0xCFE, 4) == ONES


@pytest.mark.parametrize("latch", [0x0000_0800, 0x8000_1000, 0x8001_0800, 0x80FF_0800, 0x8000_0900])
def test_disabled_or_nobody_there(latch):
    made = machine()
    made.ports.write(0xCF8, 4, latch)
    made.ports.write(0xCFC, 4, 0)
    assert [made.ports.read(0xCFC, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, ONES]


def test_a_reset_clears_the_latch():
    made = machine()
    made.ports.write(0xCF8, 4, 0x8000_0800)
    made.host.reset()
    assert made.ports.read(0xCF8, 4) == 0


def test_an_access_across_both_ports_is_two():
    made = machine()
    other = made.host.config_ports.other = Other()
    made.ports.write(0xCF8, 4, 0x8000_0804)
    made.ports.write(0xCFA, 4, 0x0007_1234)
    assert other.seen == [(2, 2, 0x1234)]
    assert made.ports.read(0xCFC, 2) == 7
    assert made.ports.read(0xCFB, 2) == 0x075A
    assert other.seen[1:] == [(3, 1)]
    assert made.host.config_ports.latch == 0x8000_0804
