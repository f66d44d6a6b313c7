# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Tracing: each access by the names of its registers, and nothing while nobody listens."""

import pytest

from pci.devices import Machine
from vmmkit.pci.bars import IoBar, MemBar
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Reg, RegArray


class Traced(PciDevice):
    """Registers of every kind that has a way of its own through the dispatch."""

    vendor_id, device_id = 0x1234, 1
    regs = MemBar(0, 4096)
    ports = IoBar(1, 16)
    plain = Reg(0, reset=5)
    answer = Reg(4, "ro")
    events = Reg(8, "w1c", reset=0xFF)
    ring = RegArray(0x10, 2)
    bell = Reg(0, "wo", size=1, bar=ports)

    @answer.on_read
    def _answer(self):
        return 42

    @plain.on_write
    def _plain(self, old, new):
        self.irq().pulse()
        self.calls = getattr(self, "calls", 0) + 1


@pytest.fixture
def machine():
    return Machine(Traced(name="traced"))


# direction, offset, size, value, and the line
LINES = [
    ("r", 0, 4, None, "traced: read  4 @ regs+0x0 plain = 0x5"),
    ("r", 4, 4, None, "traced: read  4 @ regs+0x4 answer = 0x2a"),
    ("r", 5, 1, None, "traced: read  1 @ regs+0x5 answer = 0x0"),
    ("r", 0, 8, None, "traced: read  8 @ regs+0x0 plain, answer = 0x2a00000005"),
    ("r", 0x14, 4, None, "traced: read  4 @ regs+0x14 ring[1] = 0x0"),
    ("r", 0x100, 2, None, "traced: read  2 @ regs+0x100 (no register) = 0xffff"),
    ("w", 0, 4, 7, "traced: write 4 @ regs+0x0 plain = 0x7"),
    ("w", 8, 4, 0x0F, "traced: write 4 @ regs+0x8 events = 0xf"),
    ("w", 4, 4, 1, "traced: write 4 @ regs+0x4 answer = 0x1"),
    ("w", 0x0E, 4, 9, "traced: write 4 @ regs+0xe ring[0] = 0x9"),
]


@pytest.mark.parametrize(("way", "offset", "size", "value", "line"), LINES)
def test_line(machine, way, offset, size, value, line):
    lines = []
    machine.device.trace(lambda access: lines.append(str(access)))
    if way == "r":
        machine.read(offset, size)
    else:
        machine.write(offset, value, size)
    assert lines == [line]


def test_records_have_the_parts(machine):
    records = []
    machine.device.trace(records.append)
    machine.write(0x10, 0x0000_0002_0000_0001, 8)
    (record,) = records
    assert record == ("traced", "regs", 0x10, 8, True, 0x2_0000_0001, ("ring[0]", "ring[1]"))
    assert machine.device.ring[1] == 2


def test_a_write_is_told_before_it_takes_effect(machine):
    device, seen = machine.device, []
    device.trace(lambda access: seen.append((device.events, getattr(device, "calls", 0))))
    machine.write(8, 0xFF)
    machine.write(0, 1)
    assert (seen, device.events, device.calls) == ([(0xFF, 0), (0, 0)], 0, 1)


def test_begins_and_ends_in_the_middle(machine):
    records = []
    machine.read(0)
    machine.write(0, 1)
    machine.device.trace(records.append)
    machine.read(0)
    machine.write(0, 2)
    machine.device.trace(None)
    machine.read(0)
    machine.write(0, 3)
    assert [(one.is_write, one.value) for one in records] == [(False, 1), (True, 2)]
    assert machine.device.plain == 3


def test_every_bar_with_registers_is_traced(machine):
    records = []
    machine.device.trace(records.append)
    machine.device.bar(1).declaration.write("cpu", 0, 1, 5)
    assert str(records[0]) == "traced: write 1 @ ports+0x0 bell = 0x5"


class _Meanwhile:
    """A layout that lets something happen while an access is looked up."""

    def __init__(self, layout, happens):
        self.bar, self._layout, self._happens = layout.bar, layout, happens

    def parts(self, offset, size):
        self._happens()
        return self._layout.parts(offset, size)


@pytest.mark.parametrize("is_write", [False, True])
@pytest.mark.parametrize("ends", [False, True])
def test_begins_and_ends_while_another_vcpu_accesses(machine, is_write, ends):
    before, after = [], []
    dispatch = machine.device._dispatches[0]
    layout = dispatch._layout

    def change():
        dispatch._layout = layout
        machine.device.trace(None if ends else after.append)

    machine.device.trace(before.append if ends else None)
    dispatch._layout = _Meanwhile(layout, change)
    for _ in range(2):
        machine.write(0, 1) if is_write else machine.read(0)
    assert (len(before), len(after)) == ((1, 0) if ends else (0, 1))
