# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PCI devices in a machine: one assembly function for `KvmMachine` and `ThreadedMachine`."""

import pytest

from backends.kvm.machines import EVERY, guest_of
from backends.kvm.test_machine import HLT, OUT, STOP
from backends.kvm.test_machine_interrupts import LEVEL, redirect, repeats, until_taken
from backends.smp import APIC, COUNTS, ENABLE, HANDLERS, apic, dword, store
from vmmkit.devices.edu import Edu
from vmmkit.pci import HostBridge, IntxRouting, MemBar, Msix, PciDevice, RegArray, assign

HOLE, SIZE, ECAM = 0xC000_0000, 0x1000_0000, 0xE000_0000
FIRST_GSI, LINKS = 16, 8
EDU, QUEUES = 3, 4  # device numbers
EDU_REGISTERS, QUEUE_REGISTERS, QUEUE_TABLE = HOLE, HOLE + 0x20_0000, HOLE + 0x21_0000
COMMAND, BAR0, BAR1, MEMORY_AND_MASTER = 4, 0x10, 0x14, 6


class Queues(PciDevice):
    """Two queues with an interrupt each."""

    vendor_id, device_id = 0x1234, 0x0200
    msix = Msix(vectors=2)
    regs = MemBar(0, 4096)
    doorbell = RegArray(0x00, 2, "wo")

    @doorbell.on_write
    def _ring(self, queue, _old, _new):
        self.irq(queue).pulse()


def assemble(machine):
    """Give a machine PCI with two devices; it knows no backend."""
    host = HostBridge(
        machine.mmio,
        machine.pio,
        routing=IntxRouting.swizzled(first_gsi=FIRST_GSI, links=LINKS),
        set_gsi=lambda gsi, level: machine.line(gsi)(level),
        send_msi=lambda address, data, _requester: machine.msi(address, data),
    )
    machine.mmio.add(ECAM, host.ecam.size, host.ecam, name="ECAM")
    machine.pio.add(0xCF8, 8, host.config_ports, name="configuration ports")
    host.bus.attach(Edu(), EDU)
    host.bus.attach(Queues(), QUEUES)
    assign(host, io=[(0x1000, 0xF000)], mem=[(HOLE, SIZE)])
    return host


def config(device, offset):
    """Address of a register in ECAM."""
    return ECAM | device << 15 | offset


def place(device, bar, address):
    """Program a BAR, and let the device decode its memory and be bus master."""
    return store(config(device, bar), address) + store(config(device, COMMAND), MEMORY_AND_MASTER)


@pytest.fixture(params=EVERY)
def kind(request):
    return request.param


def test_a_guest_finds_devices_by_both_ways(kind):
    """CF8H, and ECAM; a BAR is where it was moved to."""
    ports = "b8" + dword(0x8000_0000 | EDU << 11) + "66baf80c ef 66bafc0c ed" + OUT
    ecam = "a1" + dword(config(QUEUES, 0)) + OUT
    moved = place(EDU, BAR0, HOLE + 0x80_0000) + "a1" + dword(HOLE + 0x80_0000) + OUT
    with guest_of(kind, ports + ecam + moved + STOP + HLT) as guest:
        assemble(guest.machine)
        guest.runs_to_its_end()
        assert guest.values() == [0x11E8_1234, 0x0200_1234, 0x0100_00ED]


def test_intx(kind):
    """The pin of the teaching device, level-triggered, acknowledged at the device."""
    gsi = FIRST_GSI + EDU % LINKS
    acknowledge = store(EDU_REGISTERS + 0x64, 0xF)
    handler = "ff05" + dword(COUNTS + 4 * 0x61) + acknowledge + apic(0xB0, 0) + "cf"
    ask = store(EDU_REGISTERS + 0x60, 1)
    code = place(EDU, BAR0, EDU_REGISTERS) + ENABLE + redirect(gsi, LEVEL | 0x61)
    code += ask + until_taken(0x61, 1) + ask + until_taken(0x61, 2)
    with guest_of(kind, code + STOP + HLT) as guest:
        assemble(guest.machine)
        guest.poke(HANDLERS + 32 * 0x61, bytes.fromhex(handler))
        guest.runs_to_its_end()
        assert guest.count(0x61) == 2 or repeats(kind)


def test_msi(kind):
    code = place(EDU, BAR0, EDU_REGISTERS) + ENABLE
    with guest_of(kind, HLT) as guest:
        host = assemble(guest.machine)
        edu = next(one for one in host.functions() if isinstance(one, Edu))
        at = edu.config.msi.offset
        code += store(config(EDU, at + 4), APIC) + store(config(EDU, at + 8), 0)
        code += store(config(EDU, at + 12), 0x63)
        code += "66c705" + dword(config(EDU, at + 2)) + "0100"  # mov word
        code += store(EDU_REGISTERS + 0x60, 1) + until_taken(0x63, 1)
        code += store(EDU_REGISTERS + 0x60, 2) + until_taken(0x63, 2)
        guest.start(0, code + STOP + HLT)
        guest.runs_to_its_end()
        assert guest.count(0x63) == 2


def test_msix(kind):
    """Each queue has its vector; a masked one waits."""
    with guest_of(kind, HLT) as guest:
        host = assemble(guest.machine)
        queues = next(one for one in host.functions() if isinstance(one, Queues))
        code = place(QUEUES, BAR0, QUEUE_REGISTERS) + place(QUEUES, BAR1, QUEUE_TABLE) + ENABLE
        for vector, number in enumerate((0x64, 0x65)):
            entry = QUEUE_TABLE + 16 * vector
            code += store(entry, APIC) + store(entry + 4, 0) + store(entry + 8, number)
            code += store(entry + 12, vector)  # the second is masked
        code += "66c705" + dword(config(QUEUES, queues.config.msix.offset + 2)) + "0080"
        code += store(QUEUE_REGISTERS + 4, 1) + store(QUEUE_REGISTERS, 1) + until_taken(0x64, 1)
        code += "a1" + dword(COUNTS + 4 * 0x65) + OUT + store(QUEUE_TABLE + 28, 0)
        code += until_taken(0x65, 1)
        guest.start(0, code + STOP + HLT)
        guest.runs_to_its_end()
        assert (guest.count(0x64), guest.count(0x65), guest.values()) == (1, 1, [0])


def test_dma(kind):
    """From RAM into the device's buffer and back elsewhere."""
    text = b"by way of the device"
    move = (
        store(EDU_REGISTERS + 0x80, 0x2000) + store(EDU_REGISTERS + 0x88, 0x4_0000)
        + store(EDU_REGISTERS + 0x90, len(text)) + store(EDU_REGISTERS + 0x98, 1)
        + store(EDU_REGISTERS + 0x80, 0x4_0000) + store(EDU_REGISTERS + 0x88, 0x2800)
        + store(EDU_REGISTERS + 0x98, 3)
    )  # fmt: skip
    with guest_of(kind, place(EDU, BAR0, EDU_REGISTERS) + move + STOP + HLT) as guest:
        assemble(guest.machine)
        guest.poke(0x2000, text)
        guest.runs_to_its_end()
        assert guest.ram[0x2800 : 0x2800 + len(text)] == text
