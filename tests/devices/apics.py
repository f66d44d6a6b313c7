# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Local APICs on a bus, with everything they call written down; shared by the APIC tests."""

from vmmkit.devices.apic_bus import ApicBus
from vmmkit.devices.ioapic import IoApic
from vmmkit.devices.lapic import ApicFault, Lapic

GP = ApicFault.GENERAL_PROTECTION

# Registers by offset in the page.
ID, VERSION, TPR, APR, PPR, EOI = 0x20, 0x30, 0x80, 0x90, 0xA0, 0xB0
LDR, DFR, SVR, ISR, TMR, IRR, ESR = 0xD0, 0xE0, 0xF0, 0x100, 0x180, 0x200, 0x280
ICR, ICR_HIGH = 0x300, 0x310
LVT_CMCI, LVT_TIMER, LVT_THERMAL, LVT_PMC = 0x2F0, 0x320, 0x330, 0x340
LVT_LINT0, LVT_LINT1, LVT_ERROR = 0x350, 0x360, 0x370
INITIAL, CURRENT, DIVIDE, SELF_IPI = 0x380, 0x390, 0x3E0, 0x3F0

APIC_BASE, TSC_DEADLINE = 0x1B, 0x6E0
ENABLE = 0x100  # SVR
MASKED = 0x1_0000
LEVEL = 0x8000
LOGICAL = 0x800
EXTINT_MODE, NMI_MODE, INIT_MODE, SMI_MODE = 0x700, 0x400, 0x500, 0x200


class Cpu:
    """A local APIC as its guest and its owner see it."""

    def __init__(self, apic_id=0, bus=None, clock=None, **config):
        self.bus = ApicBus() if bus is None else bus
        self.now = 0
        self.heard = []  # what the APIC told its owner, in order
        self.level = False
        self.pic_vector = 0x20
        config.setdefault("bsp", apic_id == 0)
        self.lapic = Lapic(
            apic_id,
            (lambda: self.now) if clock is None else clock,
            send=self.bus.deliver,
            broadcast_eoi=self.on_eoi,
            reconfigured=self.bus.retry,
            interrupt=self.on_interrupt,
            nmi=lambda: self.heard.append("nmi"),
            smi=lambda: self.heard.append("smi"),
            init=lambda: self.heard.append("init"),
            sipi=lambda vector: self.heard.append(("sipi", vector)),
            pic_acknowledge=self.on_acknowledge,
            relocate=lambda page: self.heard.append(("page", page)),
            **config,
        )
        self.bus.attach(self.lapic)

    def on_interrupt(self, level):
        assert level is not self.level
        self.level = level
        assert level is (self.lapic.pending() is not None)

    def on_eoi(self, vector):
        self.heard.append(("eoi", vector))
        self.bus.broadcast_eoi(vector)

    def on_acknowledge(self):
        self.heard.append("inta")
        return self.pic_vector

    def get(self, offset):
        return self.lapic.read("vcpu", offset, 4)

    def set(self, offset, value):
        self.lapic.write("vcpu", offset, 4, value)

    def rdmsr(self, offset):
        return self.lapic.read_msr(0x800 + (offset >> 4))

    def wrmsr(self, offset, value):
        return self.lapic.write_msr(0x800 + (offset >> 4), value)

    def bits(self, offset):
        """The vectors whose bits are set in IRR, ISR or TMR."""
        words = [self.get(offset + 0x10 * number) for number in range(8)]
        return [vector for vector in range(256) if words[vector // 32] >> vector % 32 & 1]

    def take(self):
        """Take the pending interrupt; return its vector, or None."""
        pending = self.lapic.pending()
        return None if pending is None else self.lapic.acknowledge(pending)

    def ipi(self, low, destination=0):
        self.set(ICR_HIGH, destination << 24)
        self.set(ICR, low)


def enabled_cpu(apic_id=0, bus=None, **config):
    cpu = Cpu(apic_id, bus, **config)
    cpu.set(SVR, ENABLE | 0xFF)
    return cpu


def x2apic_cpu(apic_id=0, bus=None, **config):
    cpu = Cpu(apic_id, bus, **config)
    base = cpu.lapic.read_msr(APIC_BASE)
    assert cpu.lapic.write_msr(APIC_BASE, base | 0x400) is None
    assert cpu.wrmsr(SVR, ENABLE | 0xFF) is None
    cpu.heard.clear()
    return cpu


class Pins:
    """An I/O APIC as its guest and its devices see it."""

    def __init__(self, bus, **config):
        self.ioapic = IoApic(bus.deliver, **config)
        bus.attach_ioapic(self.ioapic)

    def get(self, index):
        self.ioapic.write("vcpu", 0x00, 4, index)
        return self.ioapic.read("vcpu", 0x10, 4)

    def set(self, index, value):
        self.ioapic.write("vcpu", 0x00, 4, index)
        self.ioapic.write("vcpu", 0x10, 4, value)

    def entry(self, pin):
        return self.get(0x10 + 2 * pin) | self.get(0x11 + 2 * pin) << 32

    def program(self, pin, low, destination=0):
        self.set(0x11 + 2 * pin, destination << 24)
        self.set(0x10 + 2 * pin, low)
