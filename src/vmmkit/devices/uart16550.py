# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A 16550A serial port: the whole register model, and nothing around it.

Theory of operation
-------------------
`Uart16550` is one state machine. The guest drives it through `read` and `write`, the owner (the
monitor) through `receive`, `set_modem_inputs` and a few more. It owns no clock, no thread, no
lock and no file: what it wants done leaves through four callables that the owner hands in.

* `transmit(character)`: the guest sent a character.
* `interrupt(level)`: the INTR pin changed. Called on changes only.
* `drive_outputs(lines)`: DTR, RTS, OUT1, OUT2 or the break condition changed.
* `ready()`: there is more room for input than before: the guest took a character, emptied the
  FIFO, turned it on or left loopback, or a reset or a snapshot did so. An owner that had more
  than `receive` took offers the rest then.

Each is called after the state is complete, so it may call back into the port (an echo peer calls
`receive` from `transmit`, a synchronous interrupt controller runs the guest's handler from
`interrupt`) or take a snapshot. A character is handed out before the pin tells of it, so that a
handler's next character cannot overtake it. An exception out of a callable leaves the port
consistent: the other callables are still called, then it leaves the access, whose result (the
character that a read took) and remaining bytes are lost. Calls must not overlap in time: a
monitor with several vCPU threads puts one lock around the port.

Interrupts. Four sources stand at the bits of IER that enable them; what is pending is one
4-bit number, `_HIGHEST` maps it to the identification that IIR shows, and the pin is high while
the number is not zero. It is recomputed after every change and never kept beside the state.
The transmitter's source is the only one with a memory of its own (`thre_pending`): it is set when
the holding register becomes empty and when IER enables it while empty; it ends when IIR is read
and shows it, or THR is written. The three others end with their cause.

Receiver. Every character stands in the FIFO with its own parity, framing and break bits. They
move into the latched bits of LSR when the character reaches the top, and leave by a read of LSR.
16450 mode is a FIFO of one character with trigger level one and another overrun rule.

Time. Without a clock two things need a decision:

* Transmission. Each character leaves while THR is written; LSR then reads "empty" again. With
  `paced=True` characters wait in the FIFO and the owner calls `shift_out` once per character time.
* Character timeout, which the chip raises after four character times of silence. By default it is
  pending whenever the FIFO holds less than the trigger level, as if the silence were over as soon
  as `receive` returns. Drivers that rely on the timeout for short input (Linux's 8250 driver
  sets a trigger level of 8) therefore see every character, and a driver that takes one character
  per interrupt gets another one. With `timeout=CharacterTimeout.OWNER` nothing is raised until
  the owner calls `character_timeout`.

Source of every register rule: "PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs",
named below as "PC16550D" with the title of the section.
"""

from __future__ import annotations

from typing import Final

import attrs

from vmmkit.devices._uart16550_registers import RegisterFile
from vmmkit.devices._uart16550_spec import (
    IIR_FIFOS_ENABLED,
    LCR,
    LCR_WORD_LENGTH,
    LSR,
    MCR,
    REGISTER_COUNT,
)
from vmmkit.devices._uart16550_values import (
    CharacterTimeout,
    LineError,
    LineFormat,
    ModemInput,
    OutputLine,
    UartSnapshot,
    check_bits,
    check_modem_inputs,
    check_snapshot,
)
from vmmkit.errors import DeviceError

__all__ = [
    "CharacterTimeout",
    "LineError",
    "LineFormat",
    "ModemInput",
    "OutputLine",
    "Uart16550",
    "UartSnapshot",
]

_LOOP: Final = int(MCR.LOOP)
_CHARACTER_ERRORS: Final = int(LSR.PE | LSR.FE | LSR.BI)
_PARITY_LETTERS: Final = "OEMS"  # by LCR bits 4 (even) and 5 (stick), with parity enabled


def _leading_bytes(data: bytes | bytearray | memoryview, limit: int | None) -> bytes:
    """Return at most `limit` bytes of `data`, whatever its item size and shape.

    No view of `data` outlives the call: the owner may resize a bytearray from a callable.
    """
    with memoryview(data) as view:
        try:
            with view.cast("B") as octets:
                return octets[:limit].tobytes()
        except (TypeError, ValueError):  # not contiguous, or items that `cast` does not know
            return view.tobytes()[:limit]


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Uart16550(RegisterFile):
    """One 16550A, to be plugged into a port or memory window of `size` bytes.

    Args:
        transmit: called with each character (0-255) that leaves SOUT. Not called in loopback,
            nor while the guest holds the line in break, since nothing then reaches the wire.
        interrupt: called with the new level of INTR.
        register_shift: 0-3; registers stand 1, 2, 4 or 8 bytes apart.
        out2_gate: let INTR through only while the OUT2 pin is active. Serial cards of PCs are
            wired so, and their drivers set OUT2. Loopback turns the pin off, and so INTR.
        paced: keep characters until `shift_out` is called, instead of sending at once.
        timeout: who raises the character timeout.
        drive_outputs: called with all `OutputLine`s when one changed.
        ready: called when `room` has grown; for an owner with more input, which calls `receive`.
        modem_inputs: the modem's lines at first; by default a peer is present and ready.

    Raises:
        DeviceError: an argument outside of its range.

    `read` and `write` fit `vmmkit.protocols.MmioDevice`. Each byte of an access is a bus cycle of
    its own, lowest address first: with `register_shift=0` a word access reaches two neighbouring
    registers, with all their side effects. Bytes between spaced registers read zero, bytes beyond
    the window read all ones, writes to both are dropped. Guest input never raises.

    The configuration is fixed once the port exists.
    """

    @property
    def size(self) -> int:
        """Bytes of the register window: 8, 16, 32 or 64."""
        return REGISTER_COUNT << self.register_shift

    def receive(
        self,
        data: bytes | bytearray | memoryview,
        *,
        errors: LineError | int = 0,
        force: bool = False,
    ) -> int:
        """Let characters arrive at SIN; return how many the guest can read.

        Args:
            data: the characters, one a byte also where a memoryview has larger items; bits
                beyond the guest's word length are dropped.
            errors: what is wrong with each of them.
            force: let all arrive even without room, as a peer does that knows no flow control.
                What does not fit is lost and sets the overrun bit: the newest characters in
                FIFO mode, the older one in 16450 mode. In loopback all are lost, silently.

        Without `force` as many as `room` are taken, and the rest is the caller's to offer again.

        Raises:
            DeviceError: `data` is no bytes, or `errors` has bits beyond `LineError`.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise DeviceError(f"16550: receive takes bytes, not {data!r}")
        flaws = check_bits("errors", errors, _CHARACTER_ERRORS)
        room = self.room
        if self._mcr & _LOOP or not (room or force):
            return 0
        characters = _leading_bytes(data, None if force else room)
        for character in characters:
            self._receiver.accept(character & self._word_mask, flaws)
        self._update_interrupt()
        return min(len(characters), room)

    def receive_break(self, *, force: bool = False) -> bool:
        """Let a break arrive: one zero character, flagged break and framing error.

        A break has no stop bit, so it meets the definition of a framing error too; PC16550D
        "Line Status Register" loads one character however long the break lasts. Returns false
        if there was no room (see `receive` for `force`).
        """
        return self.receive(b"\0", errors=LineError.BREAK | LineError.FRAMING, force=force) == 1

    def character_timeout(self) -> bool:
        """Tell the port that four character times passed in silence; return whether it matters.

        Raises:
            DeviceError: the port was made with `CharacterTimeout.IMMEDIATE`.
        """
        if self.timeout is not CharacterTimeout.OWNER:
            raise DeviceError("16550: character_timeout is for ports with CharacterTimeout.OWNER")
        receiver = self._receiver
        receiver.timed_out = receiver.fifo and bool(receiver.characters)
        self._update_interrupt()
        return receiver.timed_out

    def shift_out(self) -> bool:
        """Let the transmitter finish one character; return false if it had none.

        Raises:
            DeviceError: the port was made without `paced`.
        """
        if not self.paced:
            raise DeviceError("16550: shift_out is for ports with paced=True")
        finished = self._transmitter.shift_register is not None
        self._deliver(self._finish())
        return finished

    @property
    def modem_inputs(self) -> ModemInput:
        """The modem's lines, whether or not loopback hides them from the guest."""
        return ModemInput(self._modem_inputs)

    def set_modem_inputs(self, lines: ModemInput | int) -> None:
        """Set all four of the modem's lines; changes raise the delta bits of MSR.

        Raises:
            DeviceError: bits that are no `ModemInput`.
        """
        before = self._modem_status_lines()
        self._modem_inputs = check_modem_inputs(lines)
        self._note_modem_change(before)
        self._update_interrupt()

    @property
    def outputs(self) -> OutputLine:
        """The lines outward; all inactive in loopback."""
        return OutputLine(self._output_lines())

    @property
    def line_format(self) -> LineFormat:
        """What the guest programmed into LCR and the divisor latch."""
        lcr, word_length = self._lcr, 5 + (self._lcr & LCR_WORD_LENGTH)
        stop_bits = (1.5 if word_length == 5 else 2) if lcr & LCR.STB else 1
        parity = _PARITY_LETTERS[lcr >> 4 & 3] if lcr & LCR.PEN else "N"
        return LineFormat(self._divisor, word_length, parity, stop_bits)

    def reset(self) -> None:
        """Pulse the MR pin.

        PC16550D "UART Reset Configuration": all registers but the divisor latch, SCR and the
        state of the modem's lines go to their first values.
        """
        kept = UartSnapshot(divisor=self._divisor, scr=self._scr, modem_inputs=self._modem_inputs)
        self._load(kept)

    def snapshot(self) -> UartSnapshot:
        """Return all guest-visible state; the configuration is not part of it."""
        receiver, transmitter = self._receiver, self._transmitter
        return UartSnapshot(
            divisor=self._divisor,
            ier=self._ier,
            fcr=self._fcr,
            lcr=self._lcr,
            mcr=self._mcr,
            scr=self._scr,
            line_errors=receiver.line_errors,
            modem_deltas=self._modem_deltas,
            modem_inputs=self._modem_inputs,
            receiver_buffer=receiver.buffer,
            received=tuple(receiver.characters),
            transmit_fifo=tuple(transmitter.characters),
            shift_register=transmitter.shift_register,
            thre_pending=transmitter.thre_pending,
            timed_out=receiver.timed_out,
        )

    def restore(self, snapshot: UartSnapshot) -> None:
        """Take the state of `snapshot`; the pins are driven where they differ from it.

        Raises:
            DeviceError: no snapshot, or one that no port can have; the port is unchanged then.
        """
        self._load(check_snapshot(snapshot, paced=self.paced))

    def _load(self, state: UartSnapshot) -> None:
        receiver, transmitter, room = self._receiver, self._transmitter, self.room
        self._divisor, self._ier, self._scr = state.divisor, state.ier, state.scr
        self._lcr, self._mcr = state.lcr, state.mcr
        self._set_fifo_control(state.fcr)
        self._modem_inputs, self._modem_deltas = state.modem_inputs, state.modem_deltas
        receiver.characters.clear()
        receiver.characters.extend(state.received)
        receiver.line_errors, receiver.buffer = state.line_errors, state.receiver_buffer
        receiver.timed_out = state.timed_out
        transmitter.characters.clear()
        transmitter.characters.extend(state.transmit_fifo)
        transmitter.shift_register = state.shift_register
        transmitter.thre_pending = state.thre_pending
        try:
            self._update_pins()
        finally:
            self._tell_of_room(room)

    def registers(self) -> dict[str, int]:
        """Return what the guest would read, by register name and without side effects."""
        receiver = self._receiver
        return {
            "RBR": receiver.characters[0] if receiver.characters else receiver.buffer,
            "IER": self._ier,
            "IIR": self._identification() | (IIR_FIFOS_ENABLED if self._fcr else 0),
            "LCR": self._lcr,
            "MCR": self._mcr,
            "LSR": receiver.status | self._transmitter.status,
            "MSR": self._modem_status_lines() | self._modem_deltas,
            "SCR": self._scr,
            "DLL": self._divisor & 0xFF,
            "DLM": self._divisor >> 8,
        }

    def __repr__(self) -> str:
        """Show the registers, for debuggers."""
        shown = " ".join(f"{name}={value:02x}" for name, value in self.registers().items())
        return f"<Uart16550 {shown}>"
