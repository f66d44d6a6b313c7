# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What operating systems do to find and drive a 16550A, replayed register by register.

The order of accesses is that of Linux's 8250 driver: its detection, its port start-up and its
interrupt service. Each step is named after what it decides.
"""

import pytest

from vmmkit.devices.uart16550 import CharacterTimeout, OutputLine, Uart16550

DATA, IER, IIR, FCR, LCR, MCR, LSR, MSR, SCR = 0, 1, 2, 2, 3, 4, 5, 6, 7
DLAB = 0x80
EXTENDED_REGISTERS = 0xBF  # the LCR value that opens a second page on 16650 and later chips
LOOP, OUT2, RTS = 0x10, 0x08, 0x02


class Driver:
    """The accesses a driver makes; every method leaves the port as it found it."""

    def __init__(self, uart):
        self.uart = uart

    def inb(self, register):
        return self.uart.read("vcpu0", register << self.uart.register_shift, 1)

    def outb(self, register, value):
        self.uart.write("vcpu0", register << self.uart.register_shift, 1, value)

    def has_interrupt_enable_register(self):
        """Four bits that can be cleared and set; an empty bus fails this."""
        saved = self.inb(IER)
        seen = []
        for value in (0x00, 0x0F):
            self.outb(IER, value)
            seen.append(self.inb(IER) & 0x0F)
        self.outb(IER, saved)
        return seen == [0x00, 0x0F]

    def has_loopback(self):
        """RTS and OUT2 come back as CTS and DCD."""
        saved = self.inb(MCR)
        self.outb(MCR, LOOP | OUT2 | RTS)
        lines = self.inb(MSR) & 0xF0
        self.outb(MCR, saved)
        return lines == 0x90

    def has_scratchpad(self):
        seen = []
        for value in (0xA5, 0x5A):
            self.outb(SCR, value)
            seen.append(self.inb(SCR))
        return seen == [0xA5, 0x5A]

    def fifo_bits(self):
        """IIR bits 6 and 7 after the FIFOs were asked for: 3 is a 16550A or better."""
        self.outb(LCR, EXTENDED_REGISTERS)
        self.outb(FCR, 0)  # would be the extended features register of a later chip
        self.outb(LCR, 0)
        self.outb(FCR, 0x01)
        return self.inb(IIR) >> 6

    def has_extended_features(self, page):
        """A register behind LCR=`page` that reads zero is the EFR of a 16650."""
        self.outb(LCR, page)
        found = self.inb(FCR) == 0
        self.outb(LCR, 0)
        return found

    def is_superio(self):
        """National's later chips show MCR's loop bit in bank 2, at the place of IIR."""
        differs = []
        mcr = self.inb(MCR)
        for flip in (0, LOOP):
            self.outb(LCR, 0)
            self.outb(MCR, mcr ^ flip)
            self.outb(LCR, 0xE0)
            differs.append((self.inb(IIR) ^ mcr) & LOOP != 0)
        self.outb(LCR, 0)
        self.outb(MCR, mcr)
        return differs == [False, True]

    def is_16750(self):
        """A 64-byte FIFO, switched on by FCR bit 5 while DLAB is set, shows in IIR bit 5."""
        seen = []
        for lcr in (0, DLAB):
            self.outb(LCR, lcr)
            self.outb(FCR, 0x21)
            seen.append(self.inb(IIR) >> 5)
            self.outb(FCR, 0x01)
        self.outb(LCR, 0)
        return seen == [6, 7]

    def is_xscale(self):
        """An enable bit for the whole unit, in IER bit 6, that can be set and cleared."""
        saved = self.inb(IER)
        self.outb(IER, saved & ~0x40)
        cleared = not self.inb(IER) & 0x40
        self.outb(IER, saved | 0x40)
        stuck = self.inb(IER) & 0x40
        self.outb(IER, saved)
        return bool(cleared and stuck)

    def fifo_depth(self):
        """Characters that come back of 256 sent in loopback."""
        lcr, mcr = self.inb(LCR), self.inb(MCR)
        self.outb(LCR, 0)
        self.outb(FCR, 0x07)
        self.outb(MCR, LOOP)
        self.set_divisor(1)
        self.outb(LCR, 0x03)
        for count in range(256):
            self.outb(DATA, count)
        depth = 0
        while self.inb(LSR) & 1 and depth < 256:
            self.inb(DATA)
            depth += 1
        self.outb(FCR, 0x01)
        self.outb(MCR, mcr)
        self.outb(LCR, lcr)
        return depth

    def set_divisor(self, divisor):
        lcr = self.inb(LCR)
        self.outb(LCR, lcr | DLAB)
        self.outb(0, divisor & 0xFF)
        self.outb(1, divisor >> 8)
        self.outb(LCR, lcr)

    def identify(self):
        """Return the chip's name as the driver would print it."""
        if not self.has_interrupt_enable_register() or not self.has_loopback():
            return "unknown"
        kind = {0: "8250 or 16450", 1: "unknown", 2: "16550", 3: "16550A"}[self.fifo_bits()]
        if kind == "8250 or 16450":
            return "16450" if self.has_scratchpad() else "8250"
        tests = {
            "16650": lambda: self.has_extended_features(DLAB),
            "16650V2": lambda: self.has_extended_features(EXTENDED_REGISTERS),
            "NS16550A": self.is_superio,
            "16750": self.is_16750,
            "XScale": self.is_xscale,
        }
        return next((name for name, test in tests.items() if test()), kind)

    def clear_fifos(self):
        for value in (0x01, 0x07, 0x00):
            self.outb(FCR, value)

    def clear_status(self):
        for register in (LSR, DATA, IIR, MSR):
            self.inb(register)

    def start_up(self):
        """Open the port; return the transmitter bugs that the driver would work around."""
        self.clear_fifos()
        self.clear_status()
        assert self.inb(LSR) != 0xFF, "nobody is there"
        bugs = set()
        if self.rearmed_interrupts() == [True, False]:
            bugs.add("THRE not raised again")
        self.outb(LCR, 0x03)
        self.outb(MCR, OUT2)
        self.outb(IER, 0x02)
        lsr, iir = self.inb(LSR), self.inb(IIR)
        self.outb(IER, 0)
        if lsr & 0x40 and iir & 1:
            bugs.add("THRE not raised when enabled")
        self.clear_status()
        self.outb(FCR, 0x81)
        self.outb(IER, 0x05)
        return bugs

    def rearmed_interrupts(self):
        """Enable the transmitter's interrupt twice; tell each time whether IIR showed one."""
        shown = []
        for _ in range(2):
            self.outb(IER, 0x02)
            shown.append(self.inb(IIR) & 1 == 0)
            self.outb(IER, 0)
        return shown

    def service(self, outgoing=b""):
        """Serve one interrupt: take what arrived, send up to a FIFO; return what arrived."""
        arrived = bytearray()
        pending = bytearray(outgoing)
        while not self.inb(IIR) & 1:
            while self.inb(LSR) & 1:
                arrived.append(self.inb(DATA))
            if self.inb(LSR) & 0x20:
                for character in pending[:16]:
                    self.outb(DATA, character)
                del pending[:16]
                if not pending:
                    self.outb(IER, self.inb(IER) & ~0x02)
            self.inb(MSR)
        return bytes(arrived)


@pytest.fixture(params=[0, 2], ids=["ports", "spaced by four"])
def wired(request):
    """Return a driver, and lists of characters sent and interrupt levels."""
    sent, levels = bytearray(), []
    uart = Uart16550(sent.append, levels.append, register_shift=request.param, out2_gate=True)
    return Driver(uart), sent, levels


def test_it_is_a_16550a(wired):
    driver, sent, _ = wired
    before = driver.uart.registers()
    assert driver.identify() == "16550A"
    driver.outb(FCR, 0)
    driver.outb(MCR, 0)
    driver.clear_status()
    assert driver.uart.registers() == before
    assert sent == b""


def test_each_test_by_itself(wired):
    driver, _, _ = wired
    assert driver.has_scratchpad()
    assert driver.fifo_bits() == 3
    assert driver.fifo_depth() == 16


def test_an_empty_bus_is_no_16550a():
    class Nobody:
        register_shift = 0

        def read(self, vcpu, offset, size):
            return 0xFF

        def write(self, vcpu, offset, size, value):
            pass

    assert Driver(Nobody()).identify() == "unknown"


def test_detection_makes_no_break_that_lasts():
    lines = []
    driver = Driver(Uart16550(print, drive_outputs=lines.append))
    driver.identify()
    assert lines[-1] == OutputLine(0)


def test_start_up_finds_no_bugs(wired):
    driver, _, levels = wired
    assert driver.identify() == "16550A"
    assert driver.start_up() == set()
    assert driver.uart.read(None, LSR << driver.uart.register_shift, 1) == 0x60
    assert levels[-1:] in ([], [False])


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 16])
def test_input_of_any_length_arrives(wired, length):
    driver, _, levels = wired
    driver.start_up()
    text = bytes(range(0x41, 0x41 + length))
    assert driver.uart.receive(text) == length
    assert levels[-1] is True
    assert driver.service() == text
    assert levels[-1] is False


def test_short_input_needs_the_owner_when_the_owner_has_a_clock():
    levels = []
    driver = Driver(Uart16550(print, levels.append, timeout=CharacterTimeout.OWNER))
    driver.start_up()
    levels.clear()
    driver.uart.receive(b"ls\n")
    assert levels == []
    driver.uart.character_timeout()
    assert levels == [True]
    assert driver.service() == b"ls\n"
    assert levels == [True, False]


def test_output_by_interrupts(wired):
    driver, sent, levels = wired
    driver.start_up()
    driver.outb(IER, 0x07)
    assert levels[-1] is True
    text = b"forty characters of console output\r\n...."
    driver.service(text)
    assert sent == text
    assert levels[-1] is False


def test_long_input_is_fed_as_room_appears(wired):
    driver, _, _ = wired
    driver.start_up()
    text = bytes(range(256)) * 4
    waiting, arrived = text, b""
    while waiting:
        waiting = waiting[driver.uart.receive(waiting) :]
        arrived += driver.service()
    assert arrived == text


def test_polled_console(wired):
    """An early console: no interrupts, wait for THRE before each character."""
    driver, sent, levels = wired
    driver.outb(LCR, 0x03)
    driver.set_divisor(1)
    for character in b"early\r\n":
        while not driver.inb(LSR) & 0x20:
            pass
        driver.outb(DATA, character)
    assert sent == b"early\r\n"
    assert levels == []
    assert driver.uart.line_format.divisor == 1
