# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What guests are known to do, and faults known of other implementations, one test each."""

from __future__ import annotations

import pytest

from pci.machine import Machine, label
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.capabilities.msi import Msi

ONES = 0xFFFF_FFFF


def test_openbsd_sizes_with_fffffff0():
    machine = Machine()
    dev = machine.plug(1, MemBar(0, 0x4000), MemBar(2, 1 << 20, width=64), IoBar(4, 32))
    machine.write(dev, 0x10, 4, 0xC000_0000)
    machine.write(dev, 4, 2, 3)
    for offset, wrote, expected in (
        (0x10, 0xFFFF_FFF0, 0xFFFF_C000),
        (0x18, 0xFFFF_FFF0, 0xFFF0_0004),
        (0x20, 0xFFFF_FFFE, 0xFFFF_FFE1),
        (0x24, 0xFFFF_FFF0, 0),
    ):
        before = machine.read(dev, offset)
        machine.write(dev, offset, 4, wrote)
        assert machine.read(dev, offset) == expected
        machine.check()
        machine.write(dev, offset, 4, before)
    assert dev.bar(0).live
    assert dev.bar(0).address == 0xC000_0000


@pytest.mark.parametrize("pattern", [ONES, 0xFFFF_FFF0, 0xFFFF_F800, 0x5555_5555, 0xFFFF_FFFE])
def test_sizing_is_masking_for_any_pattern(pattern):
    machine = Machine()
    dev = machine.plug(1, MemBar(0, 0x1000, prefetchable=True))
    machine.write(dev, 0x10, 4, pattern)
    assert machine.read(dev, 0x10) == pattern & ~0xFFF | 8


def test_windows_rebalances_over_live_bars():
    """New addresses lie over BARs that still decode at their old ones."""
    machine = Machine()
    devices = [machine.plug(at, MemBar(0, 0x1000, read=label(at))) for at in range(1, 5)]
    for at, dev in enumerate(devices):
        machine.write(dev, 0x10, 4, 0xC000_0000 + 0x1000 * at)
        machine.write(dev, 4, 2, 2)
    for at, dev in enumerate(devices):  # everything moves up by one, decoding on, lowest first
        machine.write(dev, 0x10, 4, 0xC000_1000 + 0x1000 * at)
        machine.check()
    assert all(dev.bar(0).live for dev in devices)
    assert [machine.memory.read(0xC000_1000 + 0x1000 * at, 1) for at in range(4)] == [1, 2, 3, 4]
    assert machine.memory.read(0xC000_0000, 4) == ONES


@pytest.mark.parametrize("decoding", [True, False])
def test_two_functions_swap_addresses(decoding):
    machine = Machine()
    one = machine.plug(1, MemBar(0, 0x1000, read=label(1)))
    two = machine.plug(2, MemBar(0, 0x1000, read=label(2)))
    for dev, base in ((one, 0xC000_0000), (two, 0xC000_1000)):
        machine.write(dev, 0x10, 4, base)
        machine.write(dev, 4, 2, 2)
    for dev in (one, two) if not decoding else ():
        machine.write(dev, 4, 2, 0)
    machine.write(one, 0x10, 4, 0xC000_1000)
    machine.check()
    assert not decoding or (one.bar(0).live and not two.bar(0).live)
    assert not decoding or two.bar(0).conflict == str(one.bar(0))
    machine.write(two, 0x10, 4, 0xC000_0000)
    for dev in (one, two) if not decoding else ():
        machine.write(dev, 4, 2, 2)
    assert machine.memory.read(0xC000_0000, 1) == 2
    assert machine.memory.read(0xC000_1000, 1) == 1
    machine.check()


def test_nvidia_firmware_moves_a_bar_while_it_decodes():
    machine = Machine()
    dev = machine.plug(1, MemBar(0, 0x1000, read=label(7)))
    machine.write(dev, 0x10, 4, 0xC000_0000)
    machine.write(dev, 4, 2, 2)
    machine.told.clear()
    machine.write(dev, 0x10, 4, 0xD000_0000)
    assert machine.told == [("moved", "Told", 0, 0xC000_0000, 0xD000_0000)]
    assert machine.memory.read(0xD000_0000, 1) == 7
    assert machine.memory.read(0xC000_0000, 1) == 0xFF


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_64_bit_bar_is_written_in_pieces(size):
    """Each piece takes effect at once; between them the BAR is where the bits say."""
    machine = Machine()
    dev = machine.plug(1, MemBar(2, 0x1_0000, width=64, read=label(9)))
    machine.write(dev, 0x18, 8, 0x40_C000_0000)
    machine.write(dev, 4, 2, 2)
    value = 0x12_8123_0000
    for at in range(0, 8, size):
        machine.write(dev, 0x18 + at, size, value >> 8 * at)
        low, high = machine.read(dev, 0x18), machine.read(dev, 0x1C)
        assert dev.bar(2).address == high << 32 | low & ~0xFFFF
        machine.check()
    assert machine.memory.read(value, 1) == 9


def test_half_of_a_64_bit_bar_may_lie_over_ram():
    machine = Machine()
    machine.mmio.add_ram(0xC000_0000, bytearray(0x1000), name="ram")
    dev = machine.plug(1, MemBar(0, 0x1000, width=64))
    machine.write(dev, 0x10, 8, 0x10_C000_0000)
    machine.write(dev, 4, 2, 2)
    machine.write(dev, 0x14, 4, 0)
    assert (dev.bar(0).live, dev.bar(0).conflict) == (False, "ram")
    machine.write(dev, 0x14, 4, 0x11)
    assert dev.bar(0).live
    machine.check()


def size_as_linux_does(machine, dev, offsets):
    """Per register: decoding off, ones, read, restore, decoding on."""
    for offset in offsets:
        command = machine.read(dev, 4, 2)
        machine.write(dev, 4, 2, command & ~3)
        before = machine.read(dev, offset)
        machine.write(dev, offset, 4, ONES)
        machine.read(dev, offset)
        machine.write(dev, offset, 4, before)
        machine.write(dev, 4, 2, command)


def test_linux_toggles_decoding_seven_times_without_a_memory_slot():
    machine = Machine()
    dev = machine.plug(
        1, MemBar(0, 1 << 24, ram=True), MemBar(2, 1 << 20, width=64, ram=True), Rom()
    )
    machine.write(dev, 0x10, 4, 0xD000_0000)
    machine.write(dev, 0x18, 8, 0x1_0000_0000)
    machine.write(dev, 4, 2, 2)
    size_as_linux_does(machine, dev, [0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x30])
    assert machine.slots == []
    assert len([event for event in machine.told if event[0] == "mapped"]) == 2 * 8
    machine.memory.write(0xD000_0010, 4, 0x1234)
    assert machine.slots == [("added", "Told BAR0")]
    assert machine.mmio.find(0xD000_0000).buffer[0x10:0x12] == b"\x34\x12"
    assert machine.memory.read(0xD000_0010, 4) == 0x1234
    machine.check()


def test_a_dword_write_at_the_head_of_msi_reaches_its_control():
    machine = Machine()
    dev = machine.plug(1, capabilities=[Msi(vectors=4)])
    at = dev.config.find(5)
    head = machine.read(dev, at)
    machine.write(dev, at, 4, head | 0x0001_0000 | ONES & 0xFFFF)
    assert machine.read(dev, at) == head | 0x0001_0000
    assert dev.interrupts.mode == "msi"


@pytest.mark.parametrize("low", [0, 1, 2, 3])
def test_cf8_with_low_bits_set_names_the_same_dword(low):
    machine = Machine()
    machine.plug(1)
    machine.ports.write(0xCF8, 4, 0x8000_0800 | low)
    assert machine.ports.read(0xCF8, 4) == 0x8000_0800
    assert machine.ports.read(0xCFC, 4) == 0x0001_1234
    assert machine.ports.read(0xCFE, 2) == 0x0001


# Defects of a well-known implementation, each of which would show here.


def test_cx1_read_only_registers_cannot_be_written():
    machine = Machine()
    dev = machine.plug(1, capabilities=[Msi()])
    before = [machine.read(dev, at) for at in (0, 8, 0x2C, 0x34)]
    for at in range(0, 0x100, 4):
        machine.write(dev, at, 4, ONES)
        machine.write(dev, at, 4, 0)
    assert [machine.read(dev, at) for at in (0, 8, 0x2C, 0x34)] == before


def test_cx2_two_bars_on_one_address_are_a_legal_state():
    machine = Machine()
    one = machine.plug(1, IoBar(0, 16, read=label(1)), MemBar(1, 0x1000, read=label(1)))
    two = machine.plug(2, IoBar(0, 16, read=label(2)), MemBar(1, 0x1000, read=label(2)))
    for dev in (two, one):
        machine.write(dev, 0x10, 4, 0x2000)
        machine.write(dev, 0x14, 4, 0xC000_0000)
        machine.write(dev, 4, 2, 3)
    assert (machine.ports.read(0x2000, 1), machine.memory.read(0xC000_0000, 1)) == (1, 1)
    machine.write(one, 4, 2, 0)
    assert (machine.ports.read(0x2000, 1), machine.memory.read(0xC000_0000, 1)) == (2, 2)
    machine.check()


def test_cx3_an_access_across_the_end_of_a_bar_reaches_its_handler_inside_only():
    machine = Machine()
    seen = []
    dev = machine.plug(1, MemBar(0, 0x1000, read=lambda _v, at, size: seen.append((at, size)) or 0))
    machine.write(dev, 0x10, 4, 0xC000_0000)
    machine.write(dev, 4, 2, 2)
    assert machine.memory.read(0xC000_0FFE, 4) == 0xFFFF_0000
    assert seen == [(0xFFE, 2)]


def test_cx4_a_bar_without_a_place_says_so():
    machine = Machine()
    dev = machine.plug(1, MemBar(0, 0x1000))
    machine.write(dev, 0x10, 4, 0xE000_0000)  # where ECAM is
    machine.write(dev, 4, 2, 2)
    assert repr(dev.bar(0)) == "<Bar Told BAR0 mem32 0x1000 at 0xe0000000 blocked by 'ecam'>"


def test_cx5_a_masked_message_is_not_lost():
    sent = []
    machine = Machine(send_msi=lambda *message: sent.append(message))
    dev = machine.plug(3, capabilities=[Msi(maskable=True)])
    at = dev.config.find(5)
    machine.write(dev, at + 4, 4, 0xFEE0_0000)
    machine.write(dev, at + 8, 4, 0x1)  # the upper half of the address counts
    machine.write(dev, at + 12, 2, 0x41)
    machine.write(dev, at + 16, 4, 1)
    machine.write(dev, at + 2, 2, 1)
    machine.write(dev, 4, 2, 4)
    dev.interrupts.vector(0).pulse()
    assert sent == []
    machine.write(dev, at + 16, 4, 0)
    assert sent == [(0x1_FEE0_0000, 0x41, 0x18)]


def test_cx6_each_segment_has_its_own_latch():
    one, two = Machine(), Machine()
    one.ports.write(0xCF8, 4, 0x8000_0800)
    assert (one.ports.read(0xCF8, 4), two.ports.read(0xCF8, 4)) == (0x8000_0800, 0)


def test_cx7_bus_mastering_gates_dma_and_messages():
    sent = []
    machine = Machine(send_msi=lambda *message: sent.append(message))
    machine.mmio.add_ram(0, bytearray(b"data" * 0x400), name="ram")
    dev = machine.plug(1, capabilities=[Msi()])
    machine.write(dev, dev.config.find(5) + 2, 2, 1)
    dev.interrupts.vector(0).pulse()
    assert (dev.dma.read(0, 4), sent) == (b"\xff" * 4, [])
    machine.write(dev, 4, 2, 4)
    assert dev.dma.read(0, 4) == b"data"
    assert len(sent) == 1


def test_cx8_bridges_segments_and_extended_space_exist():
    """Each has its own tests; here that they go together."""
    machine = Machine(segment=3, first_bus=0x10, last_bus=0x1F)
    bridge = machine.plug_bridge(1)
    machine_offset = (bridge.bdf - 0x1000 << 12) + 0xE000_0000
    machine.memory.write(machine_offset + 0x18, 4, 0x1F1110)
    dev = machine.plug(0, bus=bridge.secondary)
    assert dev.bdf == 0x1100
    assert machine.memory.read(0xE000_0000 + (0x100 << 12), 4) == 0x0000_1234
    assert machine.memory.read(0xE000_0000 + (0x100 << 12) + 0x100, 4) == 0
    machine.host.bus.detach(bridge)
    machine.check()


def test_cx9_a_dword_write_of_command_keeps_the_read_only_bits():
    machine = Machine()
    dev = machine.plug(1, capabilities=[Msi()])
    status = machine.read(dev, 6, 2)
    machine.write(dev, 4, 4, ONES)
    assert machine.read(dev, 6, 2) == status
    assert machine.read(dev, 4, 2) & 0x80 == 0


def test_cx10_an_io_bar_may_be_put_on_ports_that_are_taken():
    machine = Machine()
    machine.pio.add(0x60, 5, read=label(0x1C), name="keyboard")
    dev = machine.plug(1, IoBar(0, 16, read=label(2)))
    machine.write(dev, 0x10, 4, 0x60)
    machine.write(dev, 4, 2, 1)
    assert (machine.ports.read(0x60, 1), dev.bar(0).conflict) == (0x1C, "keyboard")
    machine.write(dev, 0x10, 4, 0x1_0060)
    assert dev.bar(0).address is None  # ports have 16 bits
    machine.check()
