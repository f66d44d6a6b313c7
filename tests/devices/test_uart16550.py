# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The 16550A rule by rule; sections are named as in the PC16550D data sheet."""

import pickle
import tracemalloc
from array import array

import pytest

from vmmkit.devices.uart16550 import (
    CharacterTimeout,
    LineError,
    LineFormat,
    ModemInput,
    OutputLine,
    Uart16550,
    UartSnapshot,
)
from vmmkit.errors import DeviceError

RBR = THR = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR, MCR, LSR, MSR, SCR = 3, 4, 5, 6, 7

NO_INTERRUPT = 0x01
FIFOS_ON = 0xC0
EMPTY = 0x60  # LSR: THRE and TEMT
EIGHT_BITS = 0x03


class Wired:
    """A port whose three outputs are recorded."""

    def __init__(self, **config):
        self.sent = bytearray()
        self.levels = []
        self.lines = []
        self.uart = Uart16550(
            self.sent.append, self.levels.append, drive_outputs=self.lines.append, **config
        )
        self.outb(LCR, EIGHT_BITS)

    def inb(self, offset):
        return self.uart.read(None, offset, 1)

    def outb(self, offset, value):
        self.uart.write(None, offset, 1, value)

    def receive(self, data, **kwargs):
        return self.uart.receive(data, **kwargs)

    def drain(self):
        characters = bytearray()
        while self.inb(LSR) & 1:
            characters.append(self.inb(RBR))
        return bytes(characters)


# -- UART Reset Configuration ------------------------------------------------------------------


def test_first_values():
    fresh = Uart16550(print)
    values = [fresh.read(None, offset, 1) for offset in range(8)]
    assert values == [0, 0, NO_INTERRUPT, 0, 0, EMPTY, 0xB0, 0]


def test_the_divisor_is_never_zero_before_the_guest_writes_it():
    wired = Wired()
    wired.outb(LCR, 0x80)
    assert (wired.inb(DLL), wired.inb(DLM)) == (12, 0)


def test_reset_keeps_divisor_scratchpad_and_modem_lines():
    wired = Wired(modem_inputs=ModemInput.RI)
    wired.outb(LCR, 0x80)
    wired.outb(DLL, 0x34)
    wired.outb(DLM, 0x12)
    wired.outb(LCR, EIGHT_BITS)
    for offset, value in ((SCR, 0x5A), (FCR, 0xC1), (IER, 0x0F), (MCR, 0x0B)):
        wired.outb(offset, value)
    wired.receive(b"abc", errors=LineError.PARITY)
    wired.uart.reset()
    registers = wired.uart.registers()
    assert registers == {
        "RBR": 0,
        "IER": 0,
        "IIR": NO_INTERRUPT,
        "LCR": 0,
        "MCR": 0,
        "LSR": EMPTY,
        "MSR": 0x40,
        "SCR": 0x5A,
        "DLL": 0x34,
        "DLM": 0x12,
    }
    assert wired.levels[-1] is False
    assert wired.lines[-1] == OutputLine(0)


# -- Summary of Registers: which bits are kept -------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "kept"),
    [
        pytest.param(IER, 0x0F, id="IER bits 4-7 are zero"),
        pytest.param(LCR, 0xFF, id="LCR keeps all"),
        pytest.param(MCR, 0x1F, id="MCR bits 5-7 are zero"),
        pytest.param(SCR, 0xFF, id="SCR keeps all"),
    ],
)
@pytest.mark.parametrize("value", [0x00, 0x55, 0x2A, 0x7F])
def test_kept_bits(offset, kept, value):
    wired = Wired()
    wired.outb(offset, value)
    assert wired.inb(offset) == value & kept


@pytest.mark.parametrize("offset", [LSR, MSR])
def test_status_registers_ignore_writes(offset):
    wired = Wired()
    before = wired.uart.registers()
    wired.outb(offset, 0xFF)
    assert wired.uart.registers() == before


def test_dlab_swaps_the_first_two_registers_only():
    wired = Wired()
    wired.outb(IER, 0x05)
    wired.outb(LCR, 0x80 | EIGHT_BITS)
    wired.outb(DLL, 0xCD)
    wired.outb(DLM, 0xAB)
    wired.outb(SCR, 0x11)
    assert [wired.inb(offset) for offset in (DLL, DLM, IIR, SCR)] == [0xCD, 0xAB, 1, 0x11]
    wired.outb(LCR, EIGHT_BITS)
    assert wired.inb(IER) == 0x05
    assert wired.uart.line_format.divisor == 0xABCD
    assert wired.sent == b""


# -- Line Control Register ---------------------------------------------------------------------


@pytest.mark.parametrize(("lcr", "mask"), [(0, 0x1F), (1, 0x3F), (2, 0x7F), (3, 0xFF)])
def test_word_length_masks_both_directions(lcr, mask):
    wired = Wired()
    wired.outb(LCR, lcr)
    wired.outb(THR, 0xFF)
    wired.receive(b"\xff")
    assert (wired.sent[0], wired.inb(RBR)) == (mask, mask)


@pytest.mark.parametrize(
    ("lcr", "expected"),
    [
        (0x03, LineFormat(12, 8, "N", 1)),
        (0x07, LineFormat(12, 8, "N", 2)),
        (0x04, LineFormat(12, 5, "N", 1.5)),
        (0x1A, LineFormat(12, 7, "E", 1)),
        (0x09, LineFormat(12, 6, "O", 1)),
        (0x2B, LineFormat(12, 8, "M", 1)),
        (0x3B, LineFormat(12, 8, "S", 1)),
        (0x33, LineFormat(12, 8, "N", 1)),
    ],
)
def test_line_format(lcr, expected):
    wired = Wired()
    wired.outb(LCR, lcr)
    assert wired.uart.line_format == expected


def test_character_time():
    assert LineFormat(1, 8, "N", 1).character_time() == pytest.approx(10 / 115_200)
    assert LineFormat(12, 7, "E", 2).character_time() == pytest.approx(11 / 9600)
    assert LineFormat(1, 8, "N", 1).character_time(clock=16) == 10
    assert LineFormat(0, 8, "N", 1).character_time() == 0


def test_break_drives_the_line_and_loses_characters():
    wired = Wired()
    wired.outb(LCR, 0x40 | EIGHT_BITS)
    wired.outb(THR, 0x41)
    wired.outb(LCR, EIGHT_BITS)
    wired.outb(THR, 0x42)
    assert wired.lines == [OutputLine.BREAK, OutputLine(0)]
    assert wired.sent == b"B"


# -- Line Status Register ----------------------------------------------------------------------


def test_data_ready_follows_the_fifo():
    wired = Wired()
    wired.outb(FCR, 0x01)
    wired.receive(b"ab")
    seen = [wired.inb(LSR), wired.inb(RBR), wired.inb(LSR), wired.inb(RBR), wired.inb(LSR)]
    assert seen == [EMPTY | 1, 0x61, EMPTY | 1, 0x62, EMPTY]


def test_an_empty_receiver_shows_its_last_character():
    wired = Wired()
    wired.receive(b"z")
    assert [wired.inb(RBR), wired.inb(RBR)] == [0x7A, 0x7A]


def test_overrun_in_16450_mode_replaces_the_character():
    wired = Wired()
    assert wired.receive(b"ab", force=True) == 1
    assert wired.inb(LSR) == EMPTY | 0x03
    assert wired.inb(LSR) == EMPTY | 0x01
    assert wired.drain() == b"b"


def test_overrun_in_fifo_mode_loses_the_newcomer():
    wired = Wired()
    wired.outb(FCR, 0x01)
    assert wired.receive(bytes(range(20)), force=True) == 16
    assert wired.inb(LSR) == EMPTY | 0x03, "OE is shown at once, not when its turn comes"
    assert wired.drain() == bytes(range(16))


def test_without_force_nothing_is_lost():
    wired = Wired()
    wired.outb(FCR, 0x01)
    assert wired.uart.room == 16
    assert wired.receive(b"0123456789") == 10
    assert wired.uart.room == 6
    assert wired.receive(b"0123456789") == 6
    assert wired.receive(b"x") == 0
    assert wired.inb(LSR) == EMPTY | 0x01
    wired.outb(FCR, 0x00)
    assert wired.uart.room == 1
    assert wired.receive(b"xy") == 1
    assert wired.uart.room == 0


@pytest.mark.parametrize(
    ("error", "bit"), [(LineError.PARITY, 0x04), (LineError.FRAMING, 0x08), (LineError.BREAK, 0x10)]
)
@pytest.mark.parametrize("fcr", [0x00, 0x01])
def test_errors_are_read_once(error, bit, fcr):
    wired = Wired()
    wired.outb(FCR, fcr)
    wired.receive(b"a", errors=error)
    lsr7 = 0x80 if fcr else 0
    assert wired.inb(LSR) == EMPTY | 0x01 | bit | lsr7
    assert wired.inb(LSR) == EMPTY | 0x01
    assert wired.inb(RBR) == 0x61


def test_an_error_shows_when_its_character_is_at_the_top():
    wired = Wired()
    wired.outb(FCR, 0x01)
    wired.receive(b"a")
    wired.receive(b"b", errors=LineError.FRAMING)
    wired.receive(b"c")
    assert wired.inb(LSR) == EMPTY | 0x81, "LSR7 sees it below the top"
    assert wired.inb(LSR) == EMPTY | 0x81, "and reading does not clear it there"
    assert wired.inb(RBR) == ord("a")
    assert wired.inb(LSR) == EMPTY | 0x89
    assert wired.inb(LSR) == EMPTY | 0x01
    assert wired.drain() == b"bc"


def test_an_error_outlives_its_character_until_lsr_is_read():
    wired = Wired()
    wired.outb(FCR, 0x01)
    wired.receive(b"a", errors=LineError.PARITY)
    wired.inb(RBR)
    assert wired.inb(LSR) == EMPTY | 0x84
    assert wired.inb(LSR) == EMPTY


def test_break_is_one_zero_character():
    wired = Wired()
    wired.outb(FCR, 0x01)
    assert wired.uart.receive_break()
    assert wired.inb(LSR) == EMPTY | 0x99
    assert wired.drain() == b"\0"


def test_break_needs_room():
    wired = Wired()
    wired.receive(b"a")
    assert not wired.uart.receive_break()
    assert wired.inb(LSR) == EMPTY | 0x01
    assert not wired.uart.receive_break(force=True)
    assert wired.inb(LSR) == EMPTY | 0x1B


def test_an_emptied_fifo_has_no_error_in_it():
    wired = Wired()
    wired.outb(FCR, 0x01)
    wired.receive(b"ab", errors=LineError.PARITY)
    wired.outb(FCR, 0x03)
    assert wired.inb(LSR) == EMPTY | 0x04, "PE stays until it is read, LSR7 speaks of the FIFO"
    assert wired.inb(LSR) == EMPTY


def test_an_error_of_16450_mode_is_not_in_the_fifo():
    wired = Wired()
    wired.receive(b"a", errors=LineError.PARITY)
    wired.outb(FCR, 0x01)
    assert wired.inb(LSR) == EMPTY | 0x04


# -- FIFO Control Register ---------------------------------------------------------------------


def test_iir_tells_that_fifos_are_on():
    wired = Wired()
    wired.outb(FCR, 0x01)
    assert wired.inb(IIR) == FIFOS_ON | NO_INTERRUPT
    wired.outb(FCR, 0x00)
    assert wired.inb(IIR) == NO_INTERRUPT


@pytest.mark.parametrize("fcr", [0x02, 0x06, 0xC0, 0xCE])
def test_without_bit_0_nothing_is_programmed(fcr):
    wired = Wired()
    wired.receive(b"a")
    wired.outb(FCR, fcr)
    assert wired.inb(IIR) == NO_INTERRUPT
    assert wired.drain() == b"a"


@pytest.mark.parametrize(("first", "second"), [(0x00, 0x01), (0x01, 0x00)])
def test_changing_the_mode_empties_the_fifos(first, second):
    wired = Wired()
    wired.outb(FCR, first)
    wired.receive(b"a")
    wired.outb(FCR, second)
    assert wired.drain() == b""


def test_receiver_reset_clears_itself():
    wired = Wired()
    wired.outb(FCR, 0x01)
    wired.receive(b"abc")
    wired.outb(FCR, 0x03)
    assert wired.drain() == b""
    wired.receive(b"d")
    wired.outb(FCR, 0x01)
    assert wired.drain() == b"d"


def test_transmitter_reset_keeps_the_shift_register():
    wired = Wired(paced=True)
    wired.outb(FCR, 0x01)
    for character in b"abc":
        wired.outb(THR, character)
    assert wired.inb(LSR) == 0
    wired.outb(FCR, 0x05)
    assert wired.inb(LSR) == 0x20
    assert wired.uart.shift_out()
    assert not wired.uart.shift_out()
    assert wired.sent == b"a"
    assert wired.inb(LSR) == EMPTY


@pytest.mark.parametrize(("fcr", "level"), [(0x01, 1), (0x41, 4), (0x81, 8), (0xC1, 14)])
def test_trigger_levels(fcr, level):
    wired = Wired(timeout=CharacterTimeout.OWNER)
    wired.outb(FCR, fcr)
    wired.outb(IER, 0x01)
    wired.receive(bytes(level - 1))
    assert wired.levels == []
    wired.receive(b"x")
    assert wired.levels == [True]
    assert wired.inb(IIR) == FIFOS_ON | 0x04
    wired.inb(RBR)
    assert wired.levels == [True, False]


# -- FIFO Interrupt Mode Operation: character timeout ------------------------------------------


def test_timeout_is_immediate_by_default():
    wired = Wired()
    wired.outb(FCR, 0x81)
    wired.outb(IER, 0x01)
    wired.receive(b"ab")
    assert wired.inb(IIR) == FIFOS_ON | 0x0C
    wired.inb(RBR)
    assert wired.inb(IIR) == FIFOS_ON | 0x0C, "one character is left: it must not be forgotten"
    wired.inb(RBR)
    assert wired.inb(IIR) == FIFOS_ON | NO_INTERRUPT
    assert wired.levels == [True, False]


def test_timeout_by_the_owner():
    wired = Wired(timeout=CharacterTimeout.OWNER)
    wired.outb(FCR, 0x81)
    wired.outb(IER, 0x01)
    assert not wired.uart.character_timeout(), "nothing waits"
    wired.receive(b"ab")
    assert wired.inb(IIR) == FIFOS_ON | NO_INTERRUPT
    assert wired.uart.character_timeout()
    assert wired.inb(IIR) == FIFOS_ON | 0x0C
    wired.inb(RBR)
    assert wired.inb(IIR) == FIFOS_ON | NO_INTERRUPT
    assert wired.levels == [True, False]


def test_timeout_does_not_exist_in_16450_mode():
    wired = Wired(timeout=CharacterTimeout.OWNER)
    wired.outb(IER, 0x01)
    wired.receive(b"a")
    assert not wired.uart.character_timeout()
    assert wired.inb(IIR) == 0x04


def test_received_data_is_shown_before_the_timeout():
    wired = Wired(timeout=CharacterTimeout.OWNER)
    wired.outb(FCR, 0x41)
    wired.outb(IER, 0x01)
    wired.receive(b"abcd")
    wired.uart.character_timeout()
    assert wired.inb(IIR) == FIFOS_ON | 0x04


# -- Interrupt Identification Register ---------------------------------------------------------


def test_priorities_from_first_to_last():
    wired = Wired()
    wired.receive(b"a", errors=LineError.PARITY)
    wired.uart.set_modem_inputs(ModemInput(0))
    wired.outb(IER, 0x0F)
    assert wired.inb(IIR) == 0x06
    assert wired.inb(IIR) == 0x06, "reading IIR clears nothing but the transmitter's source"
    wired.inb(LSR)
    assert wired.inb(IIR) == 0x04
    wired.inb(RBR)
    assert wired.inb(IIR) == 0x02
    assert wired.inb(IIR) == 0x00
    wired.inb(MSR)
    assert wired.inb(IIR) == NO_INTERRUPT
    assert wired.levels == [True, False]


@pytest.mark.parametrize(
    ("ier", "iir"), [(0x00, 0x01), (0x01, 0x04), (0x02, 0x02), (0x04, 0x06), (0x08, 0x00)]
)
def test_each_source_has_its_enable(ier, iir):
    wired = Wired()
    wired.receive(b"a", errors=LineError.PARITY)
    wired.uart.set_modem_inputs(ModemInput(0))
    wired.outb(IER, ier)
    assert wired.inb(IIR) == iir


def test_overrun_alone_is_a_line_status_interrupt():
    wired = Wired()
    wired.outb(IER, 0x04)
    wired.receive(b"ab", force=True)
    assert wired.inb(IIR) == 0x06
    wired.inb(LSR)
    assert wired.levels == [True, False]


def test_enabling_the_transmitter_source_raises_it():
    wired = Wired()
    wired.outb(IER, 0x02)
    assert wired.inb(IIR) == 0x02
    assert wired.inb(IIR) == NO_INTERRUPT
    wired.outb(IER, 0x02)
    assert wired.inb(IIR) == NO_INTERRUPT, "it was enabled already"
    wired.outb(IER, 0x00)
    wired.outb(IER, 0x02)
    assert wired.inb(IIR) == 0x02
    assert wired.levels == [True, False, True, False]


def test_reading_iir_for_another_source_keeps_the_transmitter_pending():
    wired = Wired()
    wired.outb(IER, 0x03)
    wired.receive(b"a")
    assert [wired.inb(IIR), wired.inb(RBR), wired.inb(IIR)] == [0x04, 0x61, 0x02]


def test_each_sent_character_makes_an_edge():
    wired = Wired()
    wired.outb(IER, 0x02)
    for character in b"ok":
        wired.outb(THR, character)
    assert wired.levels == [True, False, True, False, True]
    assert wired.sent == b"ok"


def test_paced_transmitter_interrupts_when_the_fifo_is_empty():
    wired = Wired(paced=True)
    wired.outb(FCR, 0x01)
    wired.outb(IER, 0x02)
    assert wired.inb(IIR) == FIFOS_ON | 0x02
    wired.outb(THR, ord("a"))
    assert (wired.inb(LSR), wired.inb(IIR)) == (0x20, FIFOS_ON | 0x02)
    wired.outb(THR, ord("b"))
    assert (wired.inb(LSR), wired.inb(IIR)) == (0x00, FIFOS_ON | NO_INTERRUPT)
    wired.uart.shift_out()
    assert (wired.inb(LSR), wired.inb(IIR)) == (0x20, FIFOS_ON | 0x02)
    wired.uart.shift_out()
    assert (wired.inb(LSR), wired.sent) == (EMPTY, b"ab")


def test_a_character_that_leaves_others_waiting_raises_nothing():
    wired = Wired(paced=True)
    wired.outb(FCR, 0x01)
    for character in b"abc":
        wired.outb(THR, character)
    wired.outb(IER, 0x02)
    wired.uart.shift_out()
    assert wired.levels == []
    wired.uart.shift_out()
    assert wired.levels == [True]


def test_enabling_the_source_while_characters_wait_raises_nothing():
    wired = Wired(paced=True)
    wired.outb(THR, 0x31)
    wired.outb(THR, 0x32)
    wired.outb(IER, 0x02)
    assert wired.levels == []
    wired.uart.shift_out()
    assert wired.levels == [True]


def test_writing_too_much_to_the_transmitter():
    wired = Wired(paced=True)
    for character in b"abc":
        wired.outb(THR, character)
    while wired.uart.shift_out():
        pass
    assert wired.sent == b"ac", "16450 mode overwrites the holding register"
    wired.sent.clear()
    wired.outb(FCR, 0x01)
    for character in range(20):
        wired.outb(THR, character)
    while wired.uart.shift_out():
        pass
    assert wired.sent == bytes(range(17)), "16 in the FIFO and one in the shift register"


def test_changing_fcr0_raises_the_transmitter_source_at_once():
    wired = Wired()
    wired.outb(IER, 0x02)
    wired.inb(IIR)
    wired.outb(FCR, 0x01)
    assert wired.inb(IIR) == FIFOS_ON | 0x02


# -- MODEM Control and Status Registers --------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "msr"),
    [
        pytest.param(0x00, 0x10, 0x11, id="CTS comes"),
        pytest.param(0x10, 0x00, 0x01, id="CTS goes"),
        pytest.param(0x00, 0x20, 0x22, id="DSR comes"),
        pytest.param(0x20, 0x00, 0x02, id="DSR goes"),
        pytest.param(0x00, 0x40, 0x40, id="RI comes: no delta"),
        pytest.param(0x40, 0x00, 0x04, id="RI goes: TERI"),
        pytest.param(0x00, 0x80, 0x88, id="DCD comes"),
        pytest.param(0x80, 0x00, 0x08, id="DCD goes"),
        pytest.param(0xF0, 0xF0, 0xF0, id="nothing changes"),
        pytest.param(0xF0, 0x00, 0x0F, id="all go"),
        pytest.param(0x00, 0xF0, 0xFB, id="all come"),
    ],
)
def test_delta_bits(before, after, msr):
    wired = Wired(modem_inputs=before)
    wired.outb(IER, 0x08)
    wired.uart.set_modem_inputs(after)
    assert wired.levels == ([True] if msr & 0x0F else [])
    assert wired.inb(MSR) == msr
    assert wired.inb(MSR) == msr & 0xF0
    assert wired.levels == ([True, False] if msr & 0x0F else [])
    assert wired.uart.modem_inputs == after


def test_outputs_follow_mcr():
    wired = Wired()
    wired.outb(MCR, 0x0B)
    wired.outb(MCR, 0x0B)
    wired.outb(MCR, 0x04)
    assert wired.lines == [
        OutputLine.DTR | OutputLine.RTS | OutputLine.OUT2,
        OutputLine.OUT1,
    ]
    assert wired.uart.outputs == OutputLine.OUT1


@pytest.mark.parametrize(
    ("mcr", "msr"),
    [(0x10, 0x00), (0x11, 0x20), (0x12, 0x10), (0x14, 0x40), (0x18, 0x80), (0x1A, 0x90)],
)
def test_loopback_turns_outputs_into_inputs(mcr, msr):
    wired = Wired(modem_inputs=0xF0 ^ msr)
    wired.outb(MCR, 0x0F)
    wired.outb(MCR, mcr)
    assert wired.inb(MSR) & 0xF0 == msr
    assert wired.uart.outputs == OutputLine(0)
    wired.outb(MCR, 0x00)
    assert wired.inb(MSR) & 0xF0 == 0xF0 ^ msr


def test_loopback_modem_interrupts_come_from_mcr():
    wired = Wired(modem_inputs=0)
    wired.outb(MCR, 0x14)
    wired.outb(IER, 0x08)
    wired.uart.set_modem_inputs(0xF0)
    assert wired.levels == [], "the modem is disconnected"
    wired.outb(MCR, 0x10)
    assert wired.levels == [True]
    assert wired.inb(MSR) == 0x04


def test_loopback_returns_characters():
    wired = Wired()
    wired.outb(FCR, 0x01)
    wired.outb(MCR, 0x10)
    wired.outb(IER, 0x01)
    for character in b"loop":
        wired.outb(THR, character)
    assert wired.sent == b""
    assert wired.levels == [True]
    assert wired.drain() == b"loop"
    assert wired.levels == [True, False]


def test_loopback_receives_as_many_bits_as_the_word_has_when_it_arrives():
    uart = Uart16550(transmit=print, paced=True)
    for register, value in ((LCR, 0x03), (MCR, 0x10), (THR, 0x25), (LCR, 0x00)):
        uart.write("cpu", register, 1, value)
    uart.shift_out()
    assert uart.registers()["RBR"] == 0x05


@pytest.mark.parametrize("force", [False, True])
def test_loopback_disconnects_the_receiver(force):
    wired = Wired()
    wired.outb(MCR, 0x10)
    assert wired.uart.room == 0
    assert wired.receive(b"ab", force=force) == 0
    assert wired.inb(LSR) == EMPTY


def test_loopback_can_fill_the_fifo_and_no_more():
    """The way drivers measure a FIFO."""
    wired = Wired()
    wired.outb(FCR, 0x01)
    wired.outb(MCR, 0x10)
    for character in range(256):
        wired.outb(THR, character)
    assert wired.inb(LSR) == EMPTY | 0x03
    assert wired.drain() == bytes(range(16))


def test_out2_lets_interrupts_through():
    wired = Wired(out2_gate=True)
    wired.outb(IER, 0x02)
    assert wired.levels == []
    assert wired.uart.registers()["IIR"] == 0x02, "the gate is outside of the chip"
    wired.outb(MCR, 0x08)
    wired.outb(MCR, 0x18)
    wired.outb(MCR, 0x08)
    assert wired.levels == [True, False, True]


# -- Windows and access sizes ------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_register_shift(shift):
    wired = Wired(register_shift=shift)
    uart = wired.uart
    assert uart.size == 8 << shift
    uart.write(None, SCR << shift, 1, 0xA5)
    assert uart.read(None, SCR << shift, 1) == 0xA5
    assert uart.read(None, LSR << shift, 1) == EMPTY


@pytest.mark.parametrize(
    ("shift", "offset", "size", "expected"),
    [
        pytest.param(0, SCR, 2, 0xFF77, id="past the window: ones"),
        pytest.param(0, LCR, 4, 0xB0_60_0A_03, id="four registers"),
        pytest.param(0, 0, 8, 0x77_B0_60_0A_03_01_05_00, id="all registers"),
        pytest.param(0, 8, 4, 0xFFFFFFFF, id="outside"),
        pytest.param(0, -1, 1, 0xFF, id="before the window"),
        pytest.param(2, LSR << 2, 4, EMPTY, id="spaced: zeros above the register"),
        pytest.param(2, LCR << 2, 8, 0x0A_00000003, id="spaced: two registers"),
        pytest.param(2, (LSR << 2) + 1, 1, 0, id="spaced: padding byte"),
        pytest.param(2, 30, 4, 0xFFFF0000, id="spaced: across the last byte"),
    ],
)
def test_wide_reads(shift, offset, size, expected):
    wired = Wired(register_shift=shift)
    for register, value in ((LCR, EIGHT_BITS), (IER, 0x05), (MCR, 0x0A), (SCR, 0x77)):
        wired.uart.write(None, register << shift, 1, value)
    assert wired.uart.read(None, offset, size) == expected


def test_wide_writes_go_lowest_first():
    wired = Wired()
    wired.outb(LCR, 0x83)
    wired.uart.write(None, DLL, 2, 0x0180)
    assert wired.uart.line_format.divisor == 0x0180
    wired.uart.write(None, LCR, 4, 0xFFFF_0B_03)
    assert wired.uart.outputs == OutputLine.DTR | OutputLine.RTS | OutputLine.OUT2
    wired.uart.write(None, SCR, 4, 0x112233_44)
    assert wired.inb(SCR) == 0x44


# -- The owner's callables ---------------------------------------------------------------------


def test_a_peer_may_answer_from_within_transmit():
    wired = Wired()
    uart = Uart16550(lambda character: uart.receive(bytes([character])), wired.levels.append)
    uart.write(None, LCR, 1, EIGHT_BITS)
    uart.write(None, IER, 1, 0x01)
    uart.write(None, THR, 1, 0x61)
    assert wired.levels == [True]
    assert uart.read(None, RBR, 1) == 0x61


def test_a_callable_that_raises_leaves_the_port_usable():
    def refuse(character):
        raise OSError(character)

    wired = Wired()
    uart = Uart16550(refuse, wired.levels.append)
    uart.write(None, IER, 1, 0x02)
    uart.write(None, LCR, 1, EIGHT_BITS)
    with pytest.raises(OSError, match="65"):
        uart.write(None, THR, 1, 65)
    assert uart.read(None, LSR, 1) == EMPTY
    assert wired.levels == [True, False, True]


class Faulty:
    """A port whose `interrupt` raises at the levels listed, and `snapshot`s itself first."""

    def __init__(self, *, raises=(), **config):
        self.sent, self.levels, self.lines, self.saved = bytearray(), [], [], []
        self.raises = raises
        self.uart = Uart16550(
            self.transmit, self.interrupt, drive_outputs=self.drive_outputs, **config
        )

    def transmit(self, character):
        self.sent.append(character)
        self.saved.append(self.uart.snapshot())

    def interrupt(self, level):
        self.levels.append(level)
        self.saved.append(self.uart.snapshot())
        if level in self.raises:
            raise OSError(level)

    def drive_outputs(self, lines):
        self.lines.append(lines)
        self.saved.append(self.uart.snapshot())

    def outb(self, offset, value):
        self.uart.write(None, offset, 1, value)


def ready_to_send(**config):
    """Return a `Faulty` port with the transmitter's interrupt pending; it does not raise yet."""
    faulty = Faulty(**config)
    faulty.outb(LCR, EIGHT_BITS)
    faulty.outb(IER, 0x02)
    return faulty


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("edge", [False, True])
def test_a_handler_within_interrupt_keeps_the_order(loop, edge):
    text, sent = bytearray(b"ABCD"), bytearray()

    def handler(level):
        if level is edge and text:
            uart.write(None, THR, 1, text.pop(0))

    uart = Uart16550(sent.append, handler)
    for offset, value in ((LCR, EIGHT_BITS), (FCR, 0x01), (MCR, 0x10 if loop else 0)):
        uart.write(None, offset, 1, value)
    uart.write(None, IER, 1, 0x02)
    while text:
        uart.write(None, THR, 1, text.pop(0))
    if loop:
        sent = bytearray(uart.read(None, RBR, 1) for _ in range(4))
    assert sent == b"ABCD"


def test_a_handler_within_interrupt_keeps_the_order_of_a_paced_port():
    text, sent = bytearray(b"BCD"), bytearray()

    def handler(level):
        if level and text:
            uart.write(None, THR, 1, text.pop(0))
            uart.shift_out()

    uart = Uart16550(sent.append, handler, paced=True)
    uart.write(None, LCR, 1, EIGHT_BITS)
    uart.write(None, THR, 1, ord("A"))
    uart.write(None, IER, 1, 0x02)
    while uart.shift_out():
        pass
    assert sent == b"ABCD"


@pytest.mark.parametrize("level", [False, True])
def test_an_interrupt_that_raises_loses_no_character(level):
    faulty = ready_to_send()
    faulty.raises = (level,)
    with pytest.raises(OSError, match=str(level)):
        faulty.outb(THR, ord("a"))
    assert faulty.sent == b"a"
    assert faulty.levels == [True, False, True]
    assert faulty.uart.registers()["LSR"] == EMPTY
    faulty.uart.restore(faulty.uart.snapshot())


@pytest.mark.parametrize("level", [False, True])
def test_an_interrupt_that_raises_does_not_wedge_a_paced_port(level):
    faulty = ready_to_send(paced=True)
    faulty.raises = (level,)
    with pytest.raises(OSError, match=str(level)):
        faulty.outb(THR, ord("a"))
    assert faulty.levels == [True, False, True]
    assert faulty.uart.registers()["LSR"] == 0x20
    faulty.uart.restore(faulty.uart.snapshot())
    assert faulty.uart.shift_out()
    assert faulty.sent == b"a"


def test_a_paced_character_is_sent_though_interrupt_raises():
    faulty = Faulty(paced=True, raises=(True,))
    faulty.outb(LCR, EIGHT_BITS)
    faulty.outb(THR, ord("a"))
    faulty.outb(THR, ord("b"))
    faulty.outb(IER, 0x02)
    with pytest.raises(OSError, match="True"):
        faulty.uart.shift_out()
    assert faulty.sent == b"a"


@pytest.mark.parametrize("paced", [False, True])
def test_each_callable_sees_a_state_that_can_be_restored(paced):
    faulty = ready_to_send(paced=paced)
    faulty.outb(FCR, 0x01)
    faulty.outb(MCR, 0x0B)
    for character in b"abc":
        faulty.outb(THR, character)
    while paced and faulty.uart.shift_out():
        pass
    assert faulty.sent == b"abc"
    assert False in faulty.levels
    for saved in faulty.saved:
        other = Uart16550(print, paced=paced)
        other.restore(saved)
        assert other.snapshot() == saved


def test_outputs_follow_mcr_though_interrupt_raises():
    faulty = ready_to_send(out2_gate=True)
    faulty.raises = (False, True)
    with pytest.raises(OSError, match="True"):
        faulty.outb(MCR, 0x08)
    with pytest.raises(OSError, match="False"):
        faulty.outb(MCR, 0x01)
    assert faulty.lines == [OutputLine.OUT2, OutputLine.DTR]


@pytest.mark.parametrize("how", ["reset", "restore"])
def test_outputs_follow_a_new_state_though_interrupt_raises(how):
    faulty = ready_to_send()
    faulty.outb(MCR, 0x01)
    faulty.raises = (False,)
    arguments = {"reset": (), "restore": (UartSnapshot(),)}[how]
    with pytest.raises(OSError, match="False"):
        getattr(faulty.uart, how)(*arguments)
    assert faulty.lines == [OutputLine.DTR, OutputLine(0)]


def test_the_wires_may_stay_unconnected():
    uart = Uart16550(bytearray().append)
    for offset in range(8):
        uart.write(None, offset, 1, 0x1F)
    assert uart.receive(b"a", force=True) == 0


# -- Snapshots ---------------------------------------------------------------------------------


def busy():
    """Return a port with something in every field of its snapshot."""
    wired = Wired(paced=True, timeout=CharacterTimeout.OWNER)
    wired.outb(LCR, 0x83)
    wired.uart.write(None, DLL, 2, 0x1234)
    wired.outb(LCR, 0x43)
    wired.outb(FCR, 0x89)
    wired.outb(IER, 0x0D)
    wired.outb(MCR, 0x0B)
    wired.outb(SCR, 0x99)
    for character in b"xyz":
        wired.outb(THR, character)
    wired.receive(b"a", errors=LineError.PARITY)
    wired.receive(b"bc", errors=LineError.FRAMING)
    wired.inb(RBR)
    wired.uart.character_timeout()
    wired.uart.set_modem_inputs(ModemInput.RI)
    return wired


def test_snapshot_round_trip():
    first, second = busy(), Wired(paced=True, timeout=CharacterTimeout.OWNER)
    saved = pickle.loads(pickle.dumps(first.uart.snapshot()))
    second.uart.restore(saved)
    assert second.uart.snapshot() == first.uart.snapshot() == saved
    assert second.uart.registers() == first.uart.registers()
    assert second.levels == [True]
    assert second.lines == [first.lines[-1]]
    assert second.drain() == first.drain() == b"bc"


def test_a_snapshot_is_plain():
    plain = (int, bool, type(None))
    for field in busy().uart.snapshot():
        parts = field if isinstance(field, tuple) else (field,)
        assert {type(part) for part in parts} <= set(plain)


@pytest.mark.parametrize(
    "change",
    [
        {"divisor": 0x10000},
        {"ier": 0x10},
        {"fcr": 0x02},
        {"fcr": 0xC0},
        {"lcr": -1},
        {"mcr": 0x20},
        {"scr": "x"},
        {"line_errors": 0x01},
        {"line_errors": 0x84},
        {"fcr": 0x01, "line_errors": 0x82},
        {"modem_deltas": 0x10},
        {"modem_inputs": 0x01},
        {"receiver_buffer": 0x100},
        {"received": (1, 2)},
        {"received": [1]},
        {"received": (0x100,)},
        {"fcr": 0x01, "received": (0,) * 17},
        {"fcr": 0x01, "received": (0, 0x0200)},
        {"fcr": 0x01, "received": (0x0400,)},
        {"transmit_fifo": (1,)},
        {"transmit_fifo": (1,), "shift_register": 1, "thre_pending": True},
        {"shift_register": 0x100},
        {"thre_pending": 1},
        {"timed_out": 2},
        {"timed_out": True},
        {"timed_out": True, "received": (1,)},
    ],
    ids=str,
)
def test_impossible_snapshots_are_refused(change):
    wired = Wired(paced=True, timeout=CharacterTimeout.OWNER)
    before = wired.uart.snapshot()
    with pytest.raises(DeviceError, match="16550"):
        wired.uart.restore(UartSnapshot()._replace(**change))
    assert wired.uart.snapshot() == before


def test_a_port_that_is_not_paced_takes_no_waiting_characters():
    with pytest.raises(DeviceError, match="not paced"):
        Wired().uart.restore(UartSnapshot(shift_register=0x41))


def test_no_snapshot_at_all():
    with pytest.raises(DeviceError, match="no UartSnapshot"):
        Wired().uart.restore((1, 2, 3))


# -- Mistakes of the owner ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"transmit": None},
        {"interrupt": 4},
        {"drive_outputs": "dtr"},
        {"register_shift": 4},
        {"register_shift": -1},
        {"register_shift": 1.0},
        {"timeout": "immediate"},
        {"paced": "no"},
        {"paced": 1},
        {"out2_gate": None},
        {"modem_inputs": 0x01},
        {"modem_inputs": None},
    ],
    ids=str,
)
def test_wrong_configuration(config):
    with pytest.raises(DeviceError, match=f"16550: {next(iter(config))}"):
        Uart16550(**{"transmit": print} | config)


@pytest.mark.parametrize(
    ("method", "arguments", "options"),
    [
        ("receive", ("text",), {}),
        ("receive", (65,), {}),
        ("receive", ([65],), {}),
        ("receive", (b"a",), {"errors": 0x02}),
        ("receive", (b"a",), {"errors": None}),
        ("set_modem_inputs", (0x08,), {}),
        ("set_modem_inputs", ("CTS",), {}),
        ("character_timeout", (), {}),
        ("shift_out", (), {}),
    ],
)
def test_wrong_calls(method, arguments, options):
    wired = Wired()
    before = wired.uart.snapshot()
    with pytest.raises(DeviceError, match="16550"):
        getattr(wired.uart, method)(*arguments, **options)
    assert wired.uart.snapshot() == before


@pytest.mark.parametrize("data", [b"a", bytearray(b"a"), memoryview(b"a")])
def test_any_bytes_can_be_received(data):
    wired = Wired()
    assert wired.receive(data) == 1
    assert wired.drain() == b"a"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(memoryview(array("H", [0x4141, 0x4242])), b"AABB", id="larger items"),
        pytest.param(memoryview(b"AxBx")[::2], b"AB", id="not contiguous"),
        pytest.param(memoryview(b"ABCD").cast("B", (2, 2)), b"ABCD", id="two dimensions"),
        pytest.param(memoryview(b""), b"", id="empty"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_received_views_are_counted_in_bytes(data, expected, force):
    wired = Wired()
    wired.outb(FCR, 0x01)
    assert wired.receive(data, force=force) == len(expected)
    assert wired.drain() == expected


def test_a_view_with_larger_items_stops_at_the_room():
    wired = Wired()
    wired.outb(FCR, 0x01)
    assert wired.receive(memoryview(array("I", [65, 66]))) == 8
    assert wired.receive(memoryview(array("I", [65] * 8))) == 8
    assert wired.inb(LSR) == EMPTY | 0x01


@pytest.mark.parametrize("waiting", [b"", b"a"])
def test_only_what_fits_is_copied(waiting):
    wired = Wired()
    wired.receive(waiting)
    data = bytearray(1 << 20)
    tracemalloc.start()
    try:
        assert wired.receive(data) == 1 - len(waiting)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(data) // 4


def test_interrupt_may_resize_what_is_being_received():
    data = bytearray(b"abc")
    uart = Uart16550(print, lambda _level: data.clear())
    uart.write(None, IER, 1, 0x01)
    assert uart.receive(data) == 1
    assert data == b""


# -- Inspection --------------------------------------------------------------------------------


def test_registers_have_no_side_effects():
    wired = busy()
    before = wired.uart.snapshot()
    assert wired.uart.registers() == wired.uart.registers()
    assert wired.uart.snapshot() == before


def test_repr_shows_the_registers():
    assert repr(Wired().uart) == (
        "<Uart16550 RBR=00 IER=00 IIR=01 LCR=03 MCR=00 LSR=60 MSR=b0 SCR=00 DLL=0c DLM=00>"
    )
