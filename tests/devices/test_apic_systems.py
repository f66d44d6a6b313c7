# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What operating systems do with the APICs, replayed access by access.

The order is that of Linux: setup of the local APIC and the I/O APIC, calibration of the timer,
start of further processors, shutdown. Each step is named after what it decides.
"""

import pytest

from devices.apics import (
    APIC_BASE,
    CURRENT,
    DFR,
    DIVIDE,
    ENABLE,
    EOI,
    ESR,
    EXTINT_MODE,
    GP,
    ICR,
    ICR_HIGH,
    ID,
    INITIAL,
    IRR,
    ISR,
    LDR,
    LEVEL,
    LOGICAL,
    LVT_ERROR,
    LVT_LINT0,
    LVT_LINT1,
    LVT_PMC,
    LVT_THERMAL,
    LVT_TIMER,
    MASKED,
    NMI_MODE,
    SELF_IPI,
    SVR,
    TPR,
    TSC_DEADLINE,
    VERSION,
    Cpu,
    Pins,
)
from vmmkit.devices.apic_bus import ApicBus

LOCAL_TIMER, ERROR, RESCHEDULE, SPURIOUS = 0xEC, 0xFE, 0xFD, 0xFF
FIRST_DEVICE = 0x30
ONE_SHOT, PERIODIC, DEADLINE = 0, 1 << 17, 2 << 17
DELIVERY_PENDING = 0x1000
REMOTE_IRR = 0x4000


class Kernel:
    """One processor's driver; `read` and `write` reach the registers in either mode."""

    def __init__(self, cpu):
        self.cpu = cpu

    @property
    def x2apic(self):
        return self.cpu.lapic.x2apic_mode

    def read(self, offset):
        value = self.cpu.rdmsr(offset) if self.x2apic else self.cpu.get(offset)
        assert value is not GP
        return value

    def write(self, offset, value):
        if self.x2apic:
            assert self.cpu.wrmsr(offset, value) is None
        else:
            self.cpu.set(offset, value)

    def enter_x2apic_mode(self):
        base = self.cpu.lapic.read_msr(APIC_BASE)
        assert not base & 0x400
        assert self.cpu.lapic.write_msr(APIC_BASE, base | 0x400) is None

    def clear_local_apic(self):
        """Nothing of the firmware's may interrupt from here on."""
        entries = self.read(VERSION) >> 16 & 0xFF
        if entries >= 3:
            self.write(LVT_ERROR, ERROR | MASKED)
        for entry in (LVT_TIMER, LVT_LINT0, LVT_LINT1, LVT_PMC):
            self.write(entry, self.read(entry) | MASKED)
        for entry in (LVT_TIMER, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_PMC, LVT_THERMAL):
            self.write(entry, MASKED)
        self.write(ESR, 0)
        self.read(ESR)

    def setup_local_apic(self, *, first):
        for _ in range(4):
            self.write(ESR, 0)
        if not self.x2apic:
            self.write(DFR, 0xFFFF_FFFF)
            logical = 1 << (self.cpu.lapic.apic_id & 7)
            self.write(LDR, self.read(LDR) & 0x00FF_FFFF | logical << 24)
        self.write(TPR, self.read(TPR) & ~0xFF | 0x10)
        self.drain()
        self.write(SVR, self.read(SVR) & ~0xFF | ENABLE | SPURIOUS)
        self.write(LVT_LINT0, EXTINT_MODE | (0 if first else MASKED))
        self.write(LVT_LINT1, NMI_MODE | (0 if first else MASKED))
        self.write(ESR, 0)
        before = self.read(ESR)
        self.write(LVT_ERROR, ERROR)
        self.write(ESR, 0)
        return before, self.read(ESR)

    def drain(self):
        """End what an earlier system left in service."""
        for word in range(7, -1, -1):
            for _ in range(self.read(ISR + 0x10 * word).bit_count()):
                self.write(EOI, 0)
        assert not any(self.read(IRR + 0x10 * word) for word in range(8))

    def send(self, low, destination):
        if self.x2apic:
            self.write(ICR, destination << 32 | low)
        else:
            assert not self.read(ICR) & DELIVERY_PENDING
            self.write(ICR_HIGH, destination << 24)
            self.write(ICR, low)

    def start(self, destination, page):
        """INIT, then SIPI twice; whether errors were seen decides what the log says."""
        self.write(ESR, 0)
        self.read(ESR)
        self.send(0xC500, destination)
        self.send(0x8500, destination)
        for _ in range(2):
            self.write(ESR, 0)
            self.send(0x600 | page, destination)
            self.write(ESR, 0)
            assert self.read(ESR) & 0xEF == 0

    def calibrate(self):
        """Counts of the timer in ten milliseconds, with the divisor that the driver uses."""
        self.write(LVT_TIMER, LOCAL_TIMER | MASKED)
        self.write(DIVIDE, 3)
        self.write(INITIAL, 0xFFFF_FFFF)
        before = self.read(CURRENT)
        self.cpu.now += 10_000_000
        return before - self.read(CURRENT)

    def shut_down(self):
        """For kexec: no vector, no enable bit, and back to a mode that any system can begin in."""
        self.clear_local_apic()
        self.write(SVR, self.read(SVR) & ~ENABLE)
        if self.x2apic:
            base = self.cpu.lapic.read_msr(APIC_BASE)
            assert self.cpu.lapic.write_msr(APIC_BASE, base & ~0xC00) is None
            assert self.cpu.lapic.write_msr(APIC_BASE, base & ~0x400) is None


@pytest.fixture(params=[False, True], ids=["xAPIC", "x2APIC"])
def kernel(request):
    kernel = Kernel(Cpu())
    kernel.clear_local_apic()
    if request.param:
        kernel.enter_x2apic_mode()
    assert kernel.setup_local_apic(first=True) == (0, 0)
    return kernel


def test_the_version_is_believed(kernel):
    version = kernel.read(VERSION)
    assert 0x10 <= version & 0xFF <= 0x1F
    assert version >> 16 & 0xFF == 6


def test_the_pic_and_the_nmi_button_are_wired(kernel):
    kernel.cpu.lapic.lint0(True)
    assert kernel.cpu.take() == 0x20
    kernel.cpu.lapic.lint0(False)
    kernel.cpu.lapic.lint1(True)
    assert kernel.cpu.heard[-2:] == ["inta", "nmi"]


def test_calibration_and_ticks(kernel):
    counts = kernel.calibrate()
    assert counts == 10_000_000 // 16
    kernel.write(LVT_TIMER, PERIODIC | LOCAL_TIMER)
    kernel.write(DIVIDE, 3)
    kernel.write(INITIAL, counts // 10)
    start, ticks = kernel.cpu.now, []
    for _ in range(50):
        kernel.cpu.now = kernel.cpu.lapic.deadline()
        kernel.cpu.lapic.advance()
        assert kernel.cpu.take() == LOCAL_TIMER
        kernel.write(EOI, 0)
        ticks.append(kernel.cpu.now - start)
    assert ticks == [1_000_000 * tick for tick in range(1, 51)]


def test_deadline_clock_events(kernel):
    kernel.write(LVT_TIMER, DEADLINE | LOCAL_TIMER)
    for delta in (1000, 1, 50_000):
        now = kernel.cpu.lapic.tsc
        kernel.cpu.lapic.write_msr(TSC_DEADLINE, now + delta)
        kernel.cpu.now = kernel.cpu.lapic.deadline()
        kernel.cpu.lapic.advance()
        assert kernel.cpu.lapic.tsc == now + delta
        assert kernel.cpu.take() == LOCAL_TIMER
        kernel.write(EOI, 0)


def test_shutdown_and_another_system(kernel):
    kernel.cpu.lapic.lint1(True)
    kernel.shut_down()
    assert kernel.cpu.lapic.page == 0xFEE0_0000
    kernel.clear_local_apic()
    assert kernel.setup_local_apic(first=True) == (0, 0)


def test_what_a_crashed_system_left_in_service(kernel):
    for vector in (0x35, 0x61, 0x72, 0xF1):
        kernel.write(SELF_IPI, vector) if kernel.x2apic else kernel.send(vector, 0)
        kernel.write(TPR, 0)
        assert kernel.cpu.take() == vector
    kernel.drain()
    assert [kernel.read(ISR + 0x10 * word) for word in range(8)] == [0] * 8


# -- Several processors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x2apic", "ids"),
    [(False, [0, 1, 2, 3]), (True, [0, 1, 17, 300, 0x1_0005])],
    ids=["xAPIC", "x2APIC"],
)
def test_start_of_all_processors(x2apic, ids):
    bus = ApicBus()
    kernels = {apic_id: Kernel(Cpu(apic_id, bus)) for apic_id in ids}
    boot = kernels[0]
    if x2apic:
        boot.enter_x2apic_mode()
    boot.setup_local_apic(first=True)
    for apic_id in ids[1:]:
        other = kernels[apic_id]
        assert other.cpu.lapic.waits_for_sipi
        boot.start(apic_id, 0x9A)
        assert [one for one in other.cpu.heard if one[0] != "page"] == ["init", ("sipi", 0x9A)]
        assert not other.cpu.lapic.waits_for_sipi
        if x2apic:
            other.enter_x2apic_mode()
        assert other.read(ID) >> (0 if x2apic else 24) == apic_id
        other.setup_local_apic(first=False)
    assert "init" not in boot.cpu.heard

    # Each can reach each, by physical and by logical destination, and all the others at once.
    for sender in kernels.values():
        for apic_id, receiver in kernels.items():
            logical = receiver.read(LDR) >> (0 if x2apic else 24)
            for low, destination in ((0, apic_id), (LOGICAL, logical)):
                sender.send(low | RESCHEDULE, destination)
                assert receiver.cpu.take() == RESCHEDULE
                receiver.write(EOI, 0)
        sender.send(3 << 18 | RESCHEDULE, 0)
        took = [apic_id for apic_id, one in kernels.items() if one.cpu.take() == RESCHEDULE]
        assert took == [apic_id for apic_id in ids if kernels[apic_id] is not sender]
        for apic_id in took:
            kernels[apic_id].write(EOI, 0)


def test_stopping_the_others():
    """NMI to all but oneself, then INIT: they wait for a start-up message again."""
    bus = ApicBus()
    kernels = [Kernel(Cpu(apic_id, bus)) for apic_id in range(3)]
    for kernel in kernels:
        kernel.setup_local_apic(first=False)
    for other in kernels[1:]:
        kernels[0].start(other.cpu.lapic.apic_id, 0x10)
        other.cpu.heard.clear()
    kernels[0].send(3 << 18 | 0x4400, 0)
    kernels[0].send(3 << 18 | 0x4500, 0)
    assert [kernel.cpu.heard for kernel in kernels] == [[], ["nmi", "init"], ["nmi", "init"]]
    assert [kernel.cpu.lapic.waits_for_sipi for kernel in kernels] == [False, True, True]


# -- I/O APIC ----------------------------------------------------------------------------------


class Board:
    """A booted processor and its I/O APIC, after the driver masked all pins."""

    def __init__(self, version):
        self.bus = ApicBus()
        self.kernel = Kernel(Cpu(0, self.bus))
        self.kernel.setup_local_apic(first=True)
        self.pins = Pins(self.bus, version=version)
        assert self.pins.get(1) & 0xFF == version
        self.count = (self.pins.get(1) >> 16 & 0xFF) + 1
        for pin in range(self.count):
            self.clear(pin)

    def clear(self, pin):
        """Mask, and end a level-triggered interrupt that the firmware left half-way."""
        entry = self.pins.entry(pin)
        if not entry & MASKED:
            self.pins.set(0x10 + 2 * pin, entry & 0xFFFF_FFFF | MASKED)
            entry = self.pins.entry(pin)
        if entry & REMOTE_IRR:
            self.end_at_the_pin(pin, entry)
        self.pins.program(pin, MASKED)
        assert self.pins.entry(pin) == MASKED

    def end_at_the_pin(self, pin, entry):
        if self.pins.get(1) & 0xFF >= 0x20:
            self.pins.ioapic.write("vcpu0", 0x40, 4, entry & 0xFF)
            return
        low = entry & 0xFFFF_FFFF
        self.pins.set(0x10 + 2 * pin, low & ~LEVEL | MASKED)
        self.pins.set(0x10 + 2 * pin, low)


@pytest.fixture(params=[0x11, 0x20], ids=["82093AA", "20H"])
def board(request):
    return Board(request.param)


def test_the_pins_are_counted(board):
    assert board.count == 24


def test_the_timer_interrupt_works_through_the_ioapic(board):
    """Ticks of the PIT, an edge at pin 2: some of them must arrive."""
    board.pins.program(2, FIRST_DEVICE, 0)
    ticks = 0
    for _ in range(10):
        board.bus.line(2)(True)
        board.bus.line(2)(False)
        ticks += board.kernel.cpu.take() == FIRST_DEVICE
        board.kernel.write(EOI, 0)
    assert ticks == 10


def test_a_level_interrupt_that_firmware_left_behind(board):
    board.pins.program(11, LEVEL | FIRST_DEVICE)
    board.bus.line(11)(True)
    assert board.kernel.cpu.take() == FIRST_DEVICE
    board.clear(11)
    board.pins.program(11, LEVEL | FIRST_DEVICE + 0x10)
    assert board.kernel.cpu.take() == FIRST_DEVICE + 0x10


def test_a_threaded_interrupt(board):
    """Masked and ended at once, served later, unmasked at the end."""
    board.pins.program(11, LEVEL | FIRST_DEVICE)
    line = board.bus.line(11)
    for _ in range(3):
        line(True)
        assert board.kernel.cpu.take() == FIRST_DEVICE
        board.pins.set(0x26, MASKED | LEVEL | FIRST_DEVICE)
        board.kernel.write(EOI, 0)
        assert board.kernel.cpu.take() is None
        line(False)
        board.pins.set(0x26, LEVEL | FIRST_DEVICE)
        assert board.kernel.cpu.take() is None


def test_directed_eoi(board):
    """With broadcasts suppressed the driver ends the interrupt at the I/O APIC itself."""
    board.kernel.write(SVR, 0x1000 | ENABLE | SPURIOUS)
    board.pins.program(11, LEVEL | FIRST_DEVICE)
    board.bus.line(11)(True)
    assert board.kernel.cpu.take() == FIRST_DEVICE
    board.kernel.write(EOI, 0)
    assert board.kernel.cpu.take() is None
    board.end_at_the_pin(11, board.pins.entry(11))
    assert board.kernel.cpu.take() == FIRST_DEVICE


def test_moving_an_interrupt_to_another_processor(board):
    other = Kernel(Cpu(1, board.bus))
    other.setup_local_apic(first=False)
    board.pins.program(11, LEVEL | FIRST_DEVICE, 0)
    line = board.bus.line(11)
    line(True)
    assert board.kernel.cpu.take() == FIRST_DEVICE
    board.pins.set(0x26, MASKED | LEVEL | FIRST_DEVICE)
    board.pins.program(11, LEVEL | FIRST_DEVICE, 1)
    board.kernel.write(EOI, 0)
    assert (board.kernel.cpu.take(), other.cpu.take()) == (None, FIRST_DEVICE)
