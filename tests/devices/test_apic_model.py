# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The APICs against small models of their own, under random accesses from all sides."""

import pickle

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from devices.apics import (
    APIC_BASE,
    EOI,
    ESR,
    IRR,
    ISR,
    LEVEL,
    MASKED,
    PPR,
    SVR,
    TMR,
    TPR,
    Pins,
    enabled_cpu,
)
from vmmkit.devices.apic_bus import ApicBus
from vmmkit.devices.lapic import EXTINT, ApicMessage, DeliveryMode

VECTORS = st.one_of(st.sampled_from([0x0F, 0x10, 0x1F, 0x20, 0x31, 0xFF]), st.integers(0, 255))


class NaivePriorities:
    """What a local APIC does with fixed interrupts, told with sets and loops."""

    def __init__(self):
        self.requested, self.in_service, self.levels = set(), set(), set()
        self.tpr = 0
        self.enabled = True
        self.spurious = 0xFF
        self.illegal = False
        self.ended = []

    def accept(self, vector, level):
        if not self.enabled:
            return False
        if vector < 16:
            self.illegal = True
            return True
        self.requested.add(vector)
        self.levels.discard(vector)
        if level:
            self.levels.add(vector)
        return True

    def priority(self):
        highest = max(self.in_service, default=0)
        return self.tpr if self.tpr // 16 >= highest // 16 else highest // 16 * 16

    def pending(self):
        above = [one for one in self.requested if one // 16 > self.priority() // 16]
        return max(above, default=None)

    def acknowledge(self):
        vector = self.pending()
        if vector is None:
            return self.spurious
        self.requested.remove(vector)
        self.in_service.add(vector)
        return vector

    def end(self):
        if self.in_service:
            vector = max(self.in_service)
            self.in_service.remove(vector)
            if vector in self.levels:
                self.ended.append(("eoi", vector))


class PriorityMachine(RuleBasedStateMachine):
    """One local APIC and the naive one."""

    @initialize()
    def start(self):
        self.cpu = enabled_cpu()
        self.naive = NaivePriorities()

    @rule(vector=VECTORS, level=st.booleans(), lowest=st.booleans())
    def message(self, vector, level, lowest):
        mode = DeliveryMode.LOWEST_PRIORITY if lowest else DeliveryMode.FIXED
        accepted = self.cpu.lapic.accept(ApicMessage(vector, mode, level=level))
        assert accepted == self.naive.accept(vector, level)

    @rule(vector=VECTORS)
    def self_ipi(self, vector):
        self.cpu.ipi(1 << 18 | vector)
        if vector >= 16:
            self.naive.accept(vector, level=False)
        else:
            self.naive.illegal = True

    @rule(tpr=st.integers(0, 255))
    def task_priority(self, tpr):
        self.cpu.set(TPR, tpr)
        self.naive.tpr = tpr

    @rule(cr8=st.integers(0, 15))
    def write_cr8(self, cr8):
        self.cpu.lapic.write_cr8(cr8)
        self.naive.tpr = cr8 * 16

    @rule(times=st.integers(1, 3))
    def acknowledge(self, times):
        for _ in range(times):
            expected = self.naive.acknowledge()
            assert self.cpu.lapic.acknowledge(self.cpu.lapic.pending() or 0x20) == expected

    @rule()
    def end(self):
        self.cpu.set(EOI, 0)
        self.naive.end()

    @rule(enabled=st.booleans(), spurious=st.integers(0, 255))
    def spurious_register(self, enabled, spurious):
        self.cpu.set(SVR, enabled << 8 | spurious)
        self.naive.enabled, self.naive.spurious = enabled, spurious

    @rule()
    def error_status(self):
        self.cpu.set(ESR, 0)
        assert (self.cpu.get(ESR) != 0) == self.naive.illegal
        self.naive.illegal = False

    @rule()
    def move_to_another_apic(self):
        saved = pickle.loads(pickle.dumps(self.cpu.lapic.snapshot()))
        heard = self.cpu.heard
        self.cpu = enabled_cpu()
        self.cpu.lapic.restore(saved)
        self.cpu.heard = heard

    @invariant()
    def same_registers(self):
        naive, cpu = self.naive, self.cpu
        assert cpu.lapic.pending() == naive.pending()
        assert cpu.level is (naive.pending() is not None)
        assert cpu.get(PPR) == naive.priority()
        assert cpu.bits(IRR) == sorted(naive.requested)
        assert cpu.bits(ISR) == sorted(naive.in_service)
        assert cpu.bits(TMR) == sorted(naive.levels)
        assert cpu.heard == naive.ended


TestPriorityMachine = PriorityMachine.TestCase


PINS = 4
PIN = st.integers(0, PINS - 1)


class LevelFlowMachine(RuleBasedStateMachine):
    """Two processors, an I/O APIC and level-triggered devices; nobody's interrupt gets lost."""

    @initialize(version=st.sampled_from([0x11, 0x20]))
    def start(self, version):
        self.bus = ApicBus()
        self.cpus = [enabled_cpu(apic_id, self.bus) for apic_id in range(2)]
        self.pins = Pins(self.bus, pins=PINS, version=version)
        self.wants = [False] * PINS
        self.entries = [MASKED | LEVEL | 0x31] * PINS
        for pin in range(PINS):
            self.pins.program(pin, self.entries[pin])
        self.nesting = {cpu: [] for cpu in self.cpus}

    @rule(
        pin=PIN,
        vector=st.sampled_from([0x31, 0x35, 0x41, 0x51]),
        destination=st.sampled_from([0, 1, 0xFF]),
        lowest=st.booleans(),
    )
    def program(self, pin, vector, destination, lowest):
        """Reprogram a pin as drivers do: masked, and while none of its interrupts is on its way."""
        self.write(pin, self.entries[pin] | MASKED)
        self.drain()
        self.entries[pin] = LEVEL | lowest << 8 | vector
        self.pins.program(pin, self.entries[pin], destination)

    def write(self, pin, low):
        self.entries[pin] = low
        self.pins.set(0x10 + 2 * pin, low)

    @rule(pin=PIN, masked=st.booleans())
    def mask(self, pin, masked):
        self.write(pin, self.entries[pin] & ~MASKED | masked * MASKED)

    @rule(pin=PIN, level=st.booleans())
    def device(self, pin, level):
        self.wants[pin] = level
        self.bus.line(pin)(level)

    @rule(cpu=st.integers(0, 1))
    def take(self, cpu):
        cpu = self.cpus[cpu]
        vector = cpu.take()
        if vector is not None:
            self.nesting[cpu].append(vector)

    @rule(cpu=st.integers(0, 1))
    def end(self, cpu):
        cpu = self.cpus[cpu]
        if self.nesting[cpu]:
            self.nesting[cpu].pop()
        cpu.set(EOI, 0)

    @rule(cpu=st.integers(0, 1), tpr=st.sampled_from([0, 0x30, 0x40, 0xF0]))
    def task_priority(self, cpu, tpr):
        self.cpus[cpu].set(TPR, tpr)

    @rule(cpu=st.integers(0, 1), enabled=st.booleans())
    def software_enable(self, cpu, enabled):
        self.cpus[cpu].set(SVR, enabled << 8 | 0xFF)

    @rule()
    def move_everything(self):
        """Save, make a new machine, restore in any order."""
        saved = self.pins.ioapic.snapshot(), [cpu.lapic.snapshot() for cpu in self.cpus]
        nesting = list(self.nesting.values())
        self.bus = ApicBus()
        self.cpus = [enabled_cpu(apic_id, self.bus) for apic_id in range(2)]
        self.pins = Pins(self.bus, pins=PINS, version=self.pins.ioapic.version)
        self.pins.ioapic.restore(saved[0])
        for cpu, state in zip(self.cpus, saved[1], strict=True):
            cpu.lapic.restore(state)
        self.nesting = dict(zip(self.cpus, nesting, strict=True))

    @rule()
    def drain(self):
        """Both processors serve all that they get: every device that may be heard is heard."""
        for cpu in self.cpus:
            cpu.set(SVR, 0x1FF)
            cpu.set(TPR, 0)
            while self.nesting[cpu]:
                self.nesting[cpu].pop()
                cpu.set(EOI, 0)
        for cpu in [*self.cpus * 2 * PINS]:
            while (vector := cpu.take()) is not None:
                self.serve(vector)
                cpu.set(EOI, 0)
        heard = [pin for pin in range(PINS) if not self.entries[pin] & MASKED]
        assert [pin for pin in heard if self.wants[pin]] == []

    def serve(self, vector):
        """Serve one device with this vector; another one must raise it again."""
        for pin in range(PINS):
            if self.wants[pin] and self.entries[pin] & 0xFF == vector:
                return self.device(pin, False)
        return None

    @invariant()
    def remote_irr_has_its_vector_somewhere(self):
        held = {vector for cpu in self.cpus for vector in (*cpu.bits(IRR), *cpu.bits(ISR))}
        for pin in range(PINS):
            entry = self.pins.entry(pin)
            assert not entry & 0x4000 or entry & 0xFF in held
            asserted = self.wants[pin] and not entry & MASKED and entry & LEVEL
            assert not asserted or entry & 0x5000


TestLevelFlowMachine = LevelFlowMachine.TestCase


class NoiseMachine(RuleBasedStateMachine):
    """Whatever the guest writes, nothing raises, and the state is one that can be restored."""

    @initialize(x2apic=st.booleans())
    def start(self, x2apic):
        self.bus = ApicBus()
        self.cpus = [enabled_cpu(apic_id, self.bus, x2apic=x2apic) for apic_id in range(2)]
        self.pins = Pins(self.bus, pins=3)

    @rule(cpu=st.integers(0, 1), offset=st.integers(0, 0x40), value=st.integers(0, 2**32 - 1))
    def page(self, cpu, offset, value):
        self.cpus[cpu].set(offset * 16, value)
        self.cpus[cpu].get(offset * 16)

    @rule(
        cpu=st.integers(0, 1),
        msr=st.one_of(st.integers(0x800, 0x83F), st.sampled_from([0x1B, 0x6E0])),
        value=st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 255)),
    )
    def msr(self, cpu, msr, value):
        self.cpus[cpu].lapic.write_msr(msr, value)
        self.cpus[cpu].lapic.read_msr(msr)

    @rule(cpu=st.integers(0, 1), base=st.sampled_from([0xFEE0_0000, 0xFEE0_0800, 0xFEE0_0C00]))
    def mode(self, cpu, base):
        self.cpus[cpu].lapic.write_msr(APIC_BASE, base)
        self.cpus[cpu].lapic.write_msr(0x80F, 0x1FF)

    @rule(index=st.integers(0, 0x18), value=st.integers(0, 2**32 - 1))
    def ioapic(self, index, value):
        self.pins.set(index, value)
        self.pins.get(index)

    @rule(pin=st.integers(0, 2), level=st.booleans())
    def line(self, pin, level):
        self.bus.line(pin)(level)

    @rule(cpu=st.integers(0, 1), pin=st.sampled_from(["lint0", "lint1"]), level=st.booleans())
    def local_pin(self, cpu, pin, level):
        getattr(self.cpus[cpu].lapic, pin)(level)

    @rule(address=st.integers(0xFEE0_0000, 0xFEEF_FFFF), data=st.integers(0, 2**32 - 1))
    def msi(self, address, data):
        self.bus.msi(address, data)

    @rule(cpu=st.integers(0, 1), time=st.integers(0, 2**40))
    def time(self, cpu, time):
        self.cpus[cpu].now += time
        self.cpus[cpu].lapic.advance()

    @rule(cpu=st.integers(0, 1))
    def take(self, cpu):
        cpu = self.cpus[cpu]
        pending = cpu.lapic.pending()
        vector = cpu.take()
        assert pending in (vector, EXTINT)

    @invariant()
    def the_state_can_be_restored(self):
        for block in (*[cpu.lapic for cpu in self.cpus], self.pins.ioapic):
            saved = block.snapshot()
            block.restore(saved)
            assert block.snapshot() == saved
            assert block.registers()
            assert repr(block)


TestNoiseMachine = NoiseMachine.TestCase
