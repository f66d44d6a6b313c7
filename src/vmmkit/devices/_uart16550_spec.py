# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Registers and bits of the 16550A; constants only, no behaviour.

Source: National Semiconductor (now Texas Instruments), "PC16550D Universal Asynchronous
Receiver/Transmitter with FIFOs", chapter "Registers" and its table "Summary of Registers".
Names are the data sheet's; where it numbers a bit (`LSR7`) the enum's comment says so.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

__all__ = [
    "DEFAULT_DIVISOR",
    "FCR",
    "FIFO_DEPTH",
    "IER",
    "IIR",
    "IIR_FIFOS_ENABLED",
    "LCR",
    "LCR_WORD_LENGTH",
    "LSR",
    "MCR",
    "MSR",
    "REFERENCE_CLOCK",
    "REGISTER_COUNT",
    "TRIGGER_LEVELS",
    "Register",
]

REGISTER_COUNT: Final = 8
"""Registers in the window, DLAB aside."""

FIFO_DEPTH: Final = 16
"""Characters that each FIFO holds."""

REFERENCE_CLOCK: Final = 1_843_200
"""The crystal of the PC's serial ports in Hz; the baud rate is clock / (16 x divisor)."""

DEFAULT_DIVISOR: Final = 12
"""9600 baud at `REFERENCE_CLOCK`. The chip leaves the latch undefined when powered on."""


class Register(IntEnum):
    """Offsets of the registers; "Summary of Registers". Two names share some offsets."""

    RBR = 0  #: receiver buffer, read, DLAB = 0
    THR = 0  #: transmitter holding, write, DLAB = 0
    DLL = 0  #: divisor latch, low byte, DLAB = 1
    IER = 1  #: interrupt enable, DLAB = 0
    DLM = 1  #: divisor latch, high byte, DLAB = 1
    IIR = 2  #: interrupt identification, read
    FCR = 2  #: FIFO control, write
    LCR = 3  #: line control
    MCR = 4  #: modem control
    LSR = 5  #: line status, read
    MSR = 6  #: modem status, read
    SCR = 7  #: scratchpad


class IER(IntFlag):
    """Interrupt Enable Register; bits 4-7 are always zero."""

    ERBFI = 0x01  #: received data available, and character timeout
    ETBEI = 0x02  #: transmitter holding register empty
    ELSI = 0x04  #: receiver line status
    EDSSI = 0x08  #: modem status


class IIR(IntEnum):
    """Interrupt Identification Register, bits 0-3; table "Interrupt Control Functions"."""

    LINE_STATUS = 0x06  #: first; ends when LSR is read
    RECEIVED_DATA = 0x04  #: second; ends when the FIFO falls below its trigger level
    CHARACTER_TIMEOUT = 0x0C  #: second, FIFO mode only; ends when RBR is read
    HOLDING_EMPTY = 0x02  #: third; ends when IIR is read and shows it, or THR is written
    MODEM_STATUS = 0x00  #: fourth; ends when MSR is read
    NONE = 0x01  #: nothing is pending


IIR_FIFOS_ENABLED: Final = 0xC0
"""IIR bits 6 and 7: both set in FIFO mode, both clear in 16450 mode."""


class FCR(IntFlag):
    """FIFO Control Register, write only; bits 4 and 5 are reserved."""

    FIFO_ENABLE = 0x01  #: without it no other bit of the same write counts
    RCVR_FIFO_RESET = 0x02  #: clears itself
    XMIT_FIFO_RESET = 0x04  #: clears itself
    DMA_MODE_SELECT = 0x08  #: changes the RXRDY and TXRDY pins only, which are not modelled
    RCVR_TRIGGER = 0xC0  #: index into `TRIGGER_LEVELS`, in bits 6 and 7


TRIGGER_LEVELS: Final = (1, 4, 8, 14)
"""Characters that raise the received data interrupt, by FCR bits 6 and 7."""


class LCR(IntFlag):
    """Line Control Register. Bits 0 and 1 give the word length, see `LCR_WORD_LENGTH`."""

    STB = 0x04  #: two stop bits; one and a half with five-bit words
    PEN = 0x08  #: parity enable
    EPS = 0x10  #: even parity select
    STICK_PARITY = 0x20  #: the parity bit is the complement of EPS
    SET_BREAK = 0x40  #: SOUT is held at spacing
    DLAB = 0x80  #: divisor latch access bit


LCR_WORD_LENGTH: Final = 0x03
"""LCR bits 0 and 1: data bits per character, minus five."""


class MCR(IntFlag):
    """MODEM Control Register; bits 5-7 are always zero."""

    DTR = 0x01  #: data terminal ready
    RTS = 0x02  #: request to send
    OUT1 = 0x04  #: auxiliary output 1
    OUT2 = 0x08  #: auxiliary output 2; lets the interrupt onto a PC's bus
    LOOP = 0x10  #: diagnostic loopback


class LSR(IntFlag):
    """Line Status Register."""

    DR = 0x01  #: data ready
    OE = 0x02  #: overrun error, latched until LSR is read
    PE = 0x04  #: parity error, latched until LSR is read
    FE = 0x08  #: framing error, latched until LSR is read
    BI = 0x10  #: break interrupt, latched until LSR is read
    THRE = 0x20  #: transmitter holding register (or FIFO) empty
    TEMT = 0x40  #: holding register and shift register both empty
    FIFO_ERROR = 0x80  #: LSR7: a PE, FE or BI is in the receiver FIFO; 0 in 16450 mode


class MSR(IntFlag):
    """MODEM Status Register. The low half is cleared when the register is read."""

    DCTS = 0x01  #: CTS changed
    DDSR = 0x02  #: DSR changed
    TERI = 0x04  #: trailing edge of RI: it went from active to inactive
    DDCD = 0x08  #: DCD changed
    CTS = 0x10  #: clear to send; in loopback RTS
    DSR = 0x20  #: data set ready; in loopback DTR
    RI = 0x40  #: ring indicator; in loopback OUT1
    DCD = 0x80  #: data carrier detect; in loopback OUT2
