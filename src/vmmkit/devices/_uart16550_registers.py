# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The guest's side of a 16550A: the eight registers, and the pins that follow from them.

`RegisterFile` holds the whole state and answers register accesses. `vmmkit.devices.uart16550`
adds the owner's side to it and has the theory of operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from vmmkit.devices._uart16550_halves import Receiver, Transmitter
from vmmkit.devices._uart16550_spec import (
    DEFAULT_DIVISOR,
    FCR,
    IER,
    IIR,
    IIR_FIFOS_ENABLED,
    LCR,
    LCR_WORD_LENGTH,
    MCR,
    MSR,
    REGISTER_COUNT,
)
from vmmkit.devices._uart16550_values import (
    CharacterTimeout,
    ModemInput,
    OutputLine,
    check_modem_inputs,
)
from vmmkit.errors import DeviceError
from vmmkit.protocols import InterruptLine

__all__ = ["RegisterFile"]

# Plain integers: an operation on an IntFlag costs ten times as much, and these run per access.
_FIFO_ENABLE: Final = int(FCR.FIFO_ENABLE)
_FCR_KEPT: Final = int(FCR.FIFO_ENABLE | FCR.DMA_MODE_SELECT | FCR.RCVR_TRIGGER)
_RESET_RECEIVER: Final = int(FCR.RCVR_FIFO_RESET)
_RESET_TRANSMITTER: Final = int(FCR.XMIT_FIFO_RESET)
_DLAB: Final = int(LCR.DLAB)
_SET_BREAK: Final = int(LCR.SET_BREAK)
_LOOP: Final = int(MCR.LOOP)
_OUT2: Final = int(MCR.OUT2)
_MCR_OUTPUTS: Final = int(MCR.DTR | MCR.RTS | MCR.OUT1 | MCR.OUT2)
_ERBFI: Final = int(IER.ERBFI)
_ETBEI: Final = int(IER.ETBEI)
_ELSI: Final = int(IER.ELSI)
_EDSSI: Final = int(IER.EDSSI)
_IER_KEPT: Final = _ERBFI | _ETBEI | _ELSI | _EDSSI
_RECEIVED_DATA: Final = int(IIR.RECEIVED_DATA)
_CHARACTER_TIMEOUT: Final = int(IIR.CHARACTER_TIMEOUT)
_HOLDING_EMPTY: Final = int(IIR.HOLDING_EMPTY)
_RI: Final = int(MSR.RI)
_MAKE_ROOM: Final = (2, 4)  # the registers FCR and MCR

# PC16550D "Interrupt Identification Register": the rank of the four sources.
_RANKED: Final = (
    (_ELSI, IIR.LINE_STATUS),
    (_ERBFI, IIR.RECEIVED_DATA),
    (_ETBEI, IIR.HOLDING_EMPTY),
    (_EDSSI, IIR.MODEM_STATUS),
)
# Identification by the set of pending sources, which are numbered as IER enables them.
_HIGHEST: Final = tuple(
    int(next((code for bit, code in _RANKED if pending & bit), IIR.NONE)) for pending in range(16)
)

# PC16550D "MODEM Control Register", loopback: which input each output drives.
_LOOPED: Final = (
    (MCR.RTS, MSR.CTS),
    (MCR.DTR, MSR.DSR),
    (MCR.OUT1, MSR.RI),
    (MCR.OUT2, MSR.DCD),
)
_LOOPED_INPUTS: Final = tuple(
    sum(int(line) for output, line in _LOOPED if outputs & output) for outputs in range(16)
)


def _unconnected(_value: int, /) -> None:
    """Stand in for a pin that leads nowhere."""


def _check_callable(_uart: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a callable that is none (an attrs validator)."""
    if not callable(value):
        raise DeviceError(f"16550: {attribute.name} is {value!r}, which cannot be called")


def _check_shift(_uart: object, _attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a register spacing that no bus uses (an attrs validator)."""
    if not isinstance(value, int) or not 0 <= value <= 3:
        raise DeviceError(f"16550: register_shift is {value!r}; 0, 1, 2 and 3 are possible")


def _check_flag(_uart: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no bool: "no" would count as true (an attrs validator)."""
    if not isinstance(value, bool):
        raise DeviceError(f"16550: {attribute.name} is {value!r}; True and False are possible")


def _check_timeout(_uart: object, _attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no `CharacterTimeout` (an attrs validator)."""
    if not isinstance(value, CharacterTimeout):
        raise DeviceError(f"16550: timeout is {value!r}, which is no CharacterTimeout")


# NO_OP: attrs' hooks on assignment would be looked up on every change of guest state.
@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class RegisterFile:
    """State and registers of one 16550A; `Uart16550` documents the arguments."""

    transmit: Callable[[int], object] = attrs.field(validator=_check_callable)
    interrupt: InterruptLine = attrs.field(default=_unconnected, validator=_check_callable)
    register_shift: int = attrs.field(default=0, validator=_check_shift, kw_only=True)
    out2_gate: bool = attrs.field(default=False, validator=_check_flag, kw_only=True)
    paced: bool = attrs.field(default=False, validator=_check_flag, kw_only=True)
    timeout: CharacterTimeout = attrs.field(
        default=CharacterTimeout.IMMEDIATE, validator=_check_timeout, kw_only=True
    )
    drive_outputs: Callable[[OutputLine], object] = attrs.field(
        default=_unconnected, validator=_check_callable, kw_only=True
    )
    ready: Callable[[], object] | None = attrs.field(
        default=None, validator=attrs.validators.optional(_check_callable), kw_only=True
    )
    _modem_inputs: int = attrs.field(
        default=ModemInput.CTS | ModemInput.DSR | ModemInput.DCD,
        converter=check_modem_inputs,
        kw_only=True,
    )

    _divisor: int = attrs.field(default=DEFAULT_DIVISOR, init=False)
    _ier: int = attrs.field(default=0, init=False)
    _fcr: int = attrs.field(default=0, init=False)
    _lcr: int = attrs.field(default=0, init=False)
    _mcr: int = attrs.field(default=0, init=False)
    _scr: int = attrs.field(default=0, init=False)
    _modem_deltas: int = attrs.field(default=0, init=False)
    _receiver: Receiver = attrs.field(init=False)
    _transmitter: Transmitter = attrs.field(factory=Transmitter, init=False)
    _level: bool = attrs.field(default=False, init=False)  # what `interrupt` heard last
    _driven: int = attrs.field(default=0, init=False)  # what `drive_outputs` heard last
    _reads: tuple[Callable[[], int], ...] = attrs.field(init=False)
    _writes: tuple[Callable[[int], None], ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Bind the register tables; PC16550D "Summary of Registers" gives the order."""
        self._receiver = Receiver(self.timeout is CharacterTimeout.OWNER)
        self._reads = (
            self._read_data,
            self._read_enable,
            self._read_identification,
            lambda: self._lcr,
            lambda: self._mcr,
            self._read_line_status,
            self._read_modem_status,
            lambda: self._scr,
        )
        self._writes = (
            self._write_data,
            self._write_enable,
            self._write_fifo_control,
            self._write_line_control,
            self._write_modem_control,
            _unconnected,  # LSR: for the maker's tests only
            _unconnected,  # MSR: read only
            self._write_scratchpad,
        )
        if self.ready is not None:  # others do not pay for it
            taking, *reads = self._reads
            self._reads = (self._noting_room(taking), *reads)
            self._writes = tuple(
                self._noting_room(write) if index in _MAKE_ROOM else write
                for index, write in enumerate(self._writes)
            )

    def _noting_room(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """Return the access to a register that may make room."""

        def access(*value: int) -> Any:
            before = self.room
            try:
                return change(*value)
            finally:
                self._tell_of_room(before)

        return access

    def _tell_of_room(self, before: int) -> None:
        """Call `ready` if there is more room than before."""
        if self.ready is not None and self.room > before:
            self.ready()

    @property
    def room(self) -> int:
        """Characters that `receive` would take now; 0 in loopback, where SIN is cut off."""
        if self._mcr & _LOOP:
            return 0
        return self._receiver.depth - len(self._receiver.characters)

    def read(self, _vcpu: object, offset: int, size: int, /) -> int:
        """Return the `size` bytes at `offset`, little-endian; see the class for wide accesses."""
        if size == 1:
            return self._read_byte(offset)
        return sum(self._read_byte(offset + lane) << 8 * lane for lane in range(size))

    def write(self, _vcpu: object, offset: int, size: int, value: int, /) -> None:
        """Write the `size` low bytes of `value` at `offset`, lowest address first."""
        for lane in range(size):
            self._write_byte(offset + lane, value >> 8 * lane & 0xFF)

    def _read_byte(self, offset: int) -> int:
        index = offset >> self.register_shift
        if not 0 <= index < REGISTER_COUNT:
            return 0xFF
        return self._reads[index]() if index << self.register_shift == offset else 0

    def _write_byte(self, offset: int, value: int) -> None:
        index = offset >> self.register_shift
        if 0 <= index < REGISTER_COUNT and index << self.register_shift == offset:
            self._writes[index](value)

    # -- registers -------------------------------------------------------------------------

    @property
    def _word_mask(self) -> int:
        """Data bits of one character (LCR bits 0 and 1)."""
        return 0xFF >> 3 - (self._lcr & LCR_WORD_LENGTH)

    def _read_data(self) -> int:
        if self._lcr & _DLAB:
            return self._divisor & 0xFF
        character = self._receiver.take()
        self._update_interrupt()
        return character

    def _write_data(self, value: int) -> None:
        if self._lcr & _DLAB:
            self._divisor = self._divisor & 0xFF00 | value
            return
        transmitter = self._transmitter
        transmitter.put(value & self._word_mask)
        # The pin falls before it rises again, so that an edge-triggered controller sees both. It
        # is told afterwards: between `put` and `load` there is no state to call out from.
        falls = self._level and not self._interrupt_level()
        transmitter.load()
        self._deliver(None if self.paced else self._finish(), falls=falls)

    def _read_enable(self) -> int:
        return self._divisor >> 8 if self._lcr & _DLAB else self._ier

    def _write_enable(self, value: int) -> None:
        if self._lcr & _DLAB:
            self._divisor = value << 8 | self._divisor & 0xFF
            return
        # Enabling the source while THR is empty raises it, whatever was acknowledged before;
        # drivers start their transmission that way.
        if value & ~self._ier & _ETBEI and not self._transmitter.characters:
            self._transmitter.thre_pending = True
        self._ier = value & _IER_KEPT
        self._update_interrupt()

    def _read_identification(self) -> int:
        code = self._identification()
        if code == _HOLDING_EMPTY:
            self._transmitter.thre_pending = False
            self._update_interrupt()
        return code | (IIR_FIFOS_ENABLED if self._fcr else 0)

    def _write_fifo_control(self, value: int) -> None:
        # PC16550D "FIFO Control Register": without bit 0 the others are not programmed, and a
        # change of bit 0 empties both FIFOs. The first THRE interrupt after it is immediate.
        value = value if value & _FIFO_ENABLE else 0
        if (value ^ self._fcr) & _FIFO_ENABLE:
            value |= _RESET_RECEIVER | _RESET_TRANSMITTER
        if value & _RESET_RECEIVER:
            self._receiver.clear()
        if value & _RESET_TRANSMITTER:
            self._transmitter.clear()
        self._set_fifo_control(value & _FCR_KEPT)
        self._update_interrupt()

    def _set_fifo_control(self, fcr: int) -> None:
        self._fcr = fcr
        self._transmitter.fifo = fifo = bool(fcr & _FIFO_ENABLE)
        self._receiver.set_mode(fifo=fifo, trigger_index=fcr >> 6)

    def _write_line_control(self, value: int) -> None:
        self._lcr = value
        self._update_outputs()

    def _write_modem_control(self, value: int) -> None:
        before = self._modem_status_lines()
        self._mcr = value & (_MCR_OUTPUTS | _LOOP)
        self._note_modem_change(before)
        self._update_pins()

    def _read_line_status(self) -> int:
        status = self._receiver.status | self._transmitter.status
        if self._receiver.line_errors:
            self._receiver.line_errors = 0
            self._update_interrupt()
        return status

    def _read_modem_status(self) -> int:
        status = self._modem_status_lines() | self._modem_deltas
        if self._modem_deltas:
            self._modem_deltas = 0
            self._update_interrupt()
        return status

    def _write_scratchpad(self, value: int) -> None:
        self._scr = value

    # -- what follows from the state -------------------------------------------------------

    def _pending(self) -> int:
        """The enabled sources that ask for an interrupt, numbered as in IER."""
        if not self._ier:  # a polled console, where each character asks this twice
            return 0
        return self._ier & (
            (_ERBFI if self._receiver.pending else 0)
            | (_ETBEI if self._transmitter.thre_pending else 0)
            | (_ELSI if self._receiver.line_errors else 0)
            | (_EDSSI if self._modem_deltas else 0)
        )

    def _identification(self) -> int:
        """IIR bits 0-3.

        The data sheet ranks received data and character timeout alike; with both pending the
        former is shown.
        """
        code = _HIGHEST[self._pending()]
        if code == _RECEIVED_DATA and self._receiver.below_trigger:
            return _CHARACTER_TIMEOUT
        return code

    def _interrupt_level(self) -> bool:
        """The level of INTR that the state asks for."""
        level = self._pending() != 0
        return level and (not self.out2_gate or self._output_lines() & _OUT2 != 0)

    def _drive_interrupt(self, level: bool) -> None:
        """Drive INTR if that changes its level."""
        if level != self._level:
            self._level = level
            self.interrupt(level)

    def _update_interrupt(self) -> None:
        """Drive INTR as the state asks for."""
        self._drive_interrupt(self._interrupt_level())

    def _output_lines(self) -> int:
        """The lines outward; loopback forces the pins inactive and SOUT to marking."""
        if self._mcr & _LOOP:
            return 0
        return self._mcr & _MCR_OUTPUTS | self._lcr & _SET_BREAK

    def _update_outputs(self) -> None:
        """Drive the lines outward if one changed."""
        lines = self._output_lines()
        if lines != self._driven:
            self._driven = lines
            self.drive_outputs(OutputLine(lines))

    def _update_pins(self) -> None:
        """Drive all pins; the second callable is called even if the first one raises."""
        try:
            self._update_interrupt()
        finally:
            self._update_outputs()

    def _modem_status_lines(self) -> int:
        """The high half of MSR: the modem's lines, or in loopback our own outputs."""
        if self._mcr & _LOOP:
            return _LOOPED_INPUTS[self._mcr & _MCR_OUTPUTS]
        return self._modem_inputs

    def _note_modem_change(self, before: int) -> None:
        """Set the delta bits for what changed since `before`.

        PC16550D "MODEM Status Register": each line has its delta four bits lower; RI has one
        only for its trailing edge.
        """
        now = self._modem_status_lines()
        self._modem_deltas |= ((before ^ now) & ~(now & _RI)) >> 4

    def _finish(self) -> int | None:
        """End the character in the shift register; return it if it goes out on the wire.

        In loopback it arrives at the receiver instead; in break it is lost.
        """
        character = self._transmitter.finish()
        if character is None or not self._mcr & _LOOP:
            return None if self._lcr & _SET_BREAK else character
        # The receiver assembles as many bits as LCR says now, whatever it said to the transmitter.
        self._receiver.accept(character & self._word_mask, 0)
        return None

    def _deliver(self, character: int | None, *, falls: bool = False) -> None:
        """Tell the owner of a complete change: the character first, then the pin.

        An interrupt handler that runs within `interrupt` may write the next character, which
        must not overtake this one. Each callable is called whatever the one before it raised.

        Args:
            character: what goes out on the wire, if anything.
            falls: the pin was high and fell, whatever level it has now.
        """
        try:
            if character is not None:
                self.transmit(character)
        finally:
            try:
                if falls:
                    self._drive_interrupt(False)
            finally:
                self._update_interrupt()
