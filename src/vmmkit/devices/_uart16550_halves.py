# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The receiver and the transmitter of a 16550A: FIFOs, errors and their bits of LSR.

Both are plain state with no way out: they call nothing, and `Uart16550` asks them after each
change. A half in 16450 mode is the same half with a FIFO of one character.

A waiting character is one integer, its errors in bits 8-15 where LSR has them in bits 0-7. When a
character reaches the top of the FIFO its errors move into `line_errors`, the latch that LSR shows;
so the top itself never carries any, and an error further down still counts for LSR7.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

from vmmkit.devices._uart16550_spec import FIFO_DEPTH, LSR, TRIGGER_LEVELS

__all__ = ["Receiver", "Transmitter"]

# Plain integers: an operation on an IntFlag costs ten times as much, and these run per access.
_OVERRUN: Final = int(LSR.OE)
_DATA_READY: Final = int(LSR.DR)
_THRE: Final = int(LSR.THRE)
_TEMT: Final = int(LSR.TEMT)
_FIFO_ERROR: Final = int(LSR.FIFO_ERROR)


@attrs.define(eq=False)
class Receiver:
    """Characters that arrived, until the guest reads them.

    Attributes:
        owner_timeout: the character timeout needs `timed_out`; else it is pending at once.
        fifo: FIFO mode rather than 16450 mode.
        trigger: characters that raise the received data interrupt; 1 in 16450 mode.
        characters: waiting, oldest first.
        line_errors: OE, PE, FE and BI as LSR shows them; and LSR7 once an error of the FIFO is
            among them, until LSR is read or the FIFO is emptied.
        buffer: what RBR shows when nothing waits.
        timed_out: the owner reported silence since the last read.
    """

    owner_timeout: bool
    fifo: bool = False
    trigger: int = 1
    characters: deque[int] = attrs.field(factory=deque)
    line_errors: int = 0
    buffer: int = 0
    timed_out: bool = False

    @property
    def depth(self) -> int:
        """Characters that fit."""
        return FIFO_DEPTH if self.fifo else 1

    @property
    def pending(self) -> bool:
        """Whether received data or a character timeout asks for an interrupt."""
        waiting = len(self.characters)
        return waiting >= self.trigger or (
            waiting > 0 and (self.timed_out or not self.owner_timeout)
        )

    @property
    def below_trigger(self) -> bool:
        """Whether only the character timeout can be what asks; never true in 16450 mode."""
        return len(self.characters) < self.trigger

    def accept(self, character: int, errors: int) -> None:
        """Let a character arrive, with its PE, FE and BI.

        PC16550D "Line Status Register", bit 1: in FIFO mode the newcomer of a full FIFO is lost;
        in 16450 mode it replaces the unread one. Both set OE at once.
        """
        if len(self.characters) >= self.depth:
            self.line_errors |= _OVERRUN
            if self.fifo:
                return
            self.characters.clear()
        self.characters.append(character | errors << 8)
        self._reveal()

    def take(self) -> int:
        """Read RBR: remove and return the oldest character, or show the last one again."""
        self.timed_out = False
        if self.characters:
            self.buffer = self.characters.popleft()
            self._reveal()
        return self.buffer

    def _reveal(self) -> None:
        """Latch the errors of the character at the top."""
        if self.characters and self.characters[0] > 0xFF:
            self.line_errors |= self.characters[0] >> 8 | (_FIFO_ERROR if self.fifo else 0)
            self.characters[0] &= 0xFF

    @property
    def status(self) -> int:
        """LSR bits 0-4 and 7.

        LSR7 stays while an error is in the FIFO, that is: came to the top and LSR was not read
        since, or below the top. In 16450 mode it is 0.
        """
        status = self.line_errors
        if self.characters:
            status |= _DATA_READY
            if self.fifo and any(entry > 0xFF for entry in self.characters):
                status |= _FIFO_ERROR
        return status

    def clear(self) -> None:
        """Empty the FIFO, which ends LSR7; the latched errors stay until LSR is read."""
        self.characters.clear()
        self.line_errors &= ~_FIFO_ERROR
        self.timed_out = False

    def set_mode(self, *, fifo: bool, trigger_index: int) -> None:
        """Follow FCR bits 0, 6 and 7."""
        self.fifo = fifo
        self.trigger = TRIGGER_LEVELS[trigger_index] if fifo else 1


@attrs.define(eq=False)
class Transmitter:
    """Characters on their way out: the holding register or FIFO, and the shift register.

    Attributes:
        fifo: FIFO mode rather than 16450 mode.
        characters: in the FIFO or holding register, oldest first.
        shift_register: the character being sent.
        thre_pending: the holding register became empty and the guest was not told yet.
    """

    fifo: bool = False
    characters: deque[int] = attrs.field(factory=deque)
    shift_register: int | None = None
    thre_pending: bool = False

    def put(self, character: int) -> None:
        """Write THR, which ends the pending interrupt.

        A full FIFO drops the character, a full holding register is overwritten: the data sheet
        tells software not to do this and leaves the outcome open.
        """
        self.thre_pending = False
        if not self.fifo:
            self.characters.clear()
        if len(self.characters) < FIFO_DEPTH:
            self.characters.append(character)

    def load(self) -> None:
        """Move the next character into the shift register if that is free."""
        if self.shift_register is None and self.characters:
            self.shift_register = self.characters.popleft()
            self.thre_pending = not self.characters

    def finish(self) -> int | None:
        """Return the character in the shift register, if any, and start the next one."""
        character, self.shift_register = self.shift_register, None
        self.load()
        return character

    @property
    def status(self) -> int:
        """LSR bits 5 and 6."""
        if self.characters:
            return 0
        return _THRE if self.shift_register is not None else _THRE | _TEMT

    def clear(self) -> None:
        """Empty the FIFO, not the shift register; that makes it "empty" anew."""
        self.characters.clear()
        self.thre_pending = True
