# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What goes into and comes out of a 16550A: lines, formats, snapshots, and their checks."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntFlag
from typing import Final, NamedTuple

from vmmkit.devices._uart16550_spec import (
    DEFAULT_DIVISOR,
    FCR,
    FIFO_DEPTH,
    IER,
    LCR,
    LSR,
    MCR,
    MSR,
    REFERENCE_CLOCK,
)
from vmmkit.errors import DeviceError

__all__ = [
    "CharacterTimeout",
    "LineError",
    "LineFormat",
    "ModemInput",
    "OutputLine",
    "UartSnapshot",
    "check_bits",
    "check_modem_inputs",
    "check_snapshot",
]


class CharacterTimeout(Enum):
    """Who decides that characters below the trigger level have waited long enough."""

    IMMEDIATE = "immediate"  #: pending as long as such characters wait
    OWNER = "owner"  #: pending after `Uart16550.character_timeout`


class LineError(IntFlag):
    """What can be wrong with a received character; the values are those of LSR."""

    PARITY = LSR.PE.value
    FRAMING = LSR.FE.value
    BREAK = LSR.BI.value


class ModemInput(IntFlag):
    """The modem's lines into the port, set = active; the values are those of MSR."""

    CTS = MSR.CTS.value
    DSR = MSR.DSR.value
    RI = MSR.RI.value
    DCD = MSR.DCD.value


class OutputLine(IntFlag):
    """The port's lines outward, set = active; BREAK is SOUT held at spacing."""

    DTR = MCR.DTR.value
    RTS = MCR.RTS.value
    OUT1 = MCR.OUT1.value
    OUT2 = MCR.OUT2.value
    BREAK = LCR.SET_BREAK.value


class LineFormat(NamedTuple):
    """How characters look on the wire, as the guest programmed LCR and the divisor latch."""

    divisor: int  #: 0-65535; the guest may leave it 0
    word_length: int  #: data bits, 5-8
    parity: str  #: "N", "O", "E", "M" (mark) or "S" (space)
    stop_bits: float  #: 1, 1.5 or 2

    def character_time(self, clock: int = REFERENCE_CLOCK) -> float:
        """Return the seconds one character takes when `clock` Hz feed the baud generator.

        Zero while the guest has left the divisor zero: nothing is programmed yet.
        """
        bits = 1 + self.word_length + (self.parity != "N") + self.stop_bits
        return bits * 16 * self.divisor / clock


class UartSnapshot(NamedTuple):
    """The guest-visible state of a `Uart16550`; integers and tuples only, so it pickles."""

    divisor: int = DEFAULT_DIVISOR
    ier: int = 0
    fcr: int = 0
    lcr: int = 0
    mcr: int = 0
    scr: int = 0
    line_errors: int = 0  #: OE, PE, FE, BI and FIFO_ERROR latched in LSR
    modem_deltas: int = 0  #: low half of MSR
    modem_inputs: int = 0
    receiver_buffer: int = 0  #: what RBR shows while no data is ready
    received: tuple[int, ...] = ()  #: waiting characters; their `LineError` in bits 8-15
    transmit_fifo: tuple[int, ...] = ()
    shift_register: int | None = None
    thre_pending: bool = False
    timed_out: bool = False


_ALL_ERRORS: Final = int(LineError.PARITY | LineError.FRAMING | LineError.BREAK)

# Bits that each integer of a snapshot may have: those its register keeps.
_SNAPSHOT_MASKS: Final = {
    "divisor": 0xFFFF,
    "ier": int(IER.ERBFI | IER.ETBEI | IER.ELSI | IER.EDSSI),
    "fcr": int(FCR.FIFO_ENABLE | FCR.DMA_MODE_SELECT | FCR.RCVR_TRIGGER),
    "lcr": 0xFF,
    "mcr": int(MCR.DTR | MCR.RTS | MCR.OUT1 | MCR.OUT2 | MCR.LOOP),
    "scr": 0xFF,
    "line_errors": int(LSR.OE | LSR.FIFO_ERROR) | _ALL_ERRORS,
    "modem_deltas": int(MSR.DCTS | MSR.DDSR | MSR.TERI | MSR.DDCD),
    "modem_inputs": int(MSR.CTS | MSR.DSR | MSR.RI | MSR.DCD),
    "receiver_buffer": 0xFF,
}


def check_bits(what: str, value: object, mask: int) -> int:
    """Return `value` as an int, or raise `DeviceError` if it is none or leaves `mask`."""
    if not isinstance(value, int) or value & ~mask:
        raise DeviceError(f"16550: {what} is {value!r}; the bits allowed are {mask:#x}")
    return int(value)


def check_modem_inputs(lines: object) -> int:
    """Return `lines` as an int, or raise `DeviceError` if they are no `ModemInput`s."""
    return check_bits("modem_inputs", lines, _SNAPSHOT_MASKS["modem_inputs"])


def _check_characters(what: str, characters: object, mask: int, depth: int) -> None:
    """Refuse what is no tuple of at most `depth` characters."""
    if not isinstance(characters, tuple) or len(characters) > depth:
        raise DeviceError(f"16550: {what} is {characters!r}; at most {depth} characters fit")
    for character in characters:
        check_bits(what, character, mask)


# Contradictions between fields: what is wrong, and when.
_CONTRADICTIONS: Final[tuple[tuple[str, Callable[[UartSnapshot], object]], ...]] = (
    ("fcr has bits without FIFO_ENABLE", lambda s: s.fcr and not s.fcr & FCR.FIFO_ENABLE),
    (
        "FIFO_ERROR without an error in FIFO mode",
        lambda s: s.line_errors & LSR.FIFO_ERROR and not (s.fcr and s.line_errors & _ALL_ERRORS),
    ),
    ("the first of received has errors", lambda s: s.received and s.received[0] > 0xFF),
    ("thre_pending with characters waiting", lambda s: s.thre_pending and s.transmit_fifo),
    (
        "transmit_fifo waits for an empty shift_register",
        lambda s: s.transmit_fifo and s.shift_register is None,
    ),
    (
        "timed_out without characters in FIFO mode",
        lambda s: s.timed_out and not (s.fcr and s.received),
    ),
)


def _check_fields(snapshot: UartSnapshot) -> None:
    """Refuse values that their fields cannot have, each field by itself."""
    for field, mask in _SNAPSHOT_MASKS.items():
        check_bits(field, getattr(snapshot, field), mask)
    for field in ("thre_pending", "timed_out"):
        if not isinstance(getattr(snapshot, field), bool):
            raise DeviceError(f"16550: {field} is {getattr(snapshot, field)!r}, which is no bool")
    depth = FIFO_DEPTH if snapshot.fcr & FCR.FIFO_ENABLE else 1
    _check_characters("received", snapshot.received, _ALL_ERRORS << 8 | 0xFF, depth)
    _check_characters("transmit_fifo", snapshot.transmit_fifo, 0xFF, depth)
    if snapshot.shift_register is not None:
        check_bits("shift_register", snapshot.shift_register, 0xFF)


def check_snapshot(snapshot: object, *, paced: bool) -> UartSnapshot:
    """Return `snapshot` if a port could have produced it, or raise `DeviceError`."""
    if not isinstance(snapshot, UartSnapshot):
        raise DeviceError(f"16550: {snapshot!r} is no UartSnapshot")
    _check_fields(snapshot)
    for wrong, applies in _CONTRADICTIONS:
        if applies(snapshot):
            raise DeviceError(f"16550: no port has this state: {wrong}")
    if snapshot.shift_register is not None and not paced:
        raise DeviceError("16550: the snapshot has characters to send; this port is not paced")
    return snapshot
