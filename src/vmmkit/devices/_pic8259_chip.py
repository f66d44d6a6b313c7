# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""One 8259A; `vmmkit.devices.pic8259` has the theory of operation.

Source: Intel, "8259A Programmable Interrupt Controller (8259A/8259A-2)", named below as "8259A"
with the title of the section.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from vmmkit.devices._byte_window import ByteWindow
from vmmkit.devices._fields import (
    check_integer,
    integer,
    is_callable,
    is_callable_or_none,
    is_flag,
)
from vmmkit.errors import DeviceError
from vmmkit.protocols import InterruptLine

__all__ = ["Pic8259", "PicLine", "PicSnapshot", "check_snapshot"]

# 8259A "Initialization Command Words 1 and 2 (ICW1, ICW2)".
_ICW1: Final = 0x10  # with A0 = 0: this byte starts an initialization
_IC4: Final = 0x01  # ICW4 will follow
_SNGL: Final = 0x02  # the only 8259A: no ICW3
_ADI: Final = 0x04  # MCS-80/85: call addresses four bytes apart instead of eight
_LTIM: Final = 0x08  # level triggered mode
# 8259A "Initialization Command Word 4 (ICW4)". BUF (08h) and M/S (04h) are kept and do nothing.
_UPM: Final = 0x01  # 8086 mode
_AEOI: Final = 0x02
_SFNM: Final = 0x10
_ICW4_KEPT: Final = 0x1F
# 8259A "Operation Control Word 2 (OCW2)": the level stands in bits 0 to 2.
_EOI: Final = 0x20
_SL: Final = 0x40
_R: Final = 0x80
# 8259A "Operation Control Word 3 (OCW3)".
_OCW3: Final = 0x08  # with A0 = 0
_RIS: Final = 0x01
_RR: Final = 0x02
_POLL: Final = 0x04
_SMM: Final = 0x20
_ESMM: Final = 0x40

# `awaited`: which word a write with A0 = 1 is; 2, 3 and 4 are ICWs.
_READY: Final = 0
_POWERED_ON: Final = 1

_SPURIOUS: Final = 7  # 8259A "Interrupt Sequence": the level of a request that is gone
_NO_REQUEST: Final = 0x07  # a poll word without its I bit


def _unconnected(_level: bool, /) -> None:
    """Stand in for a pin that leads nowhere."""


@attrs.frozen
class PicSnapshot:
    """The state of one `Pic8259`; the defaults are those of a chip just powered on."""

    lines: int = attrs.field(default=0, validator=integer(0, 0xFF))  #: levels of IR0-IR7
    edges: int = attrs.field(default=0, validator=integer(0, 0xFF))  #: rose, not acknowledged
    level_triggered: int = attrs.field(default=0, validator=integer(0, 0xFF))  #: see `Pic8259`
    in_service: int = attrs.field(default=0, validator=integer(0, 0xFF))
    mask: int = attrs.field(default=0, validator=integer(0, 0xFF))
    icw1: int = attrs.field(default=0, validator=integer(0, 0xFF))
    icw2: int = attrs.field(default=0, validator=integer(0, 0xFF))
    icw3: int = attrs.field(default=0, validator=integer(0, 0xFF))
    icw4: int = attrs.field(default=0, validator=integer(0, _ICW4_KEPT))
    #: the ICW that comes next: 2, 3 or 4; 1 when powered on, 0 when initialized
    awaited: int = attrs.field(default=_POWERED_ON, validator=integer(0, 4))
    lowest: int = attrs.field(default=7, validator=integer(0, 7))  #: level of lowest priority
    rotate_on_aeoi: bool = attrs.field(default=False, validator=is_flag)
    special_mask: bool = attrs.field(default=False, validator=is_flag)
    read_in_service: bool = attrs.field(default=False, validator=is_flag)
    poll: bool = attrs.field(default=False, validator=is_flag)

    def __attrs_post_init__(self) -> None:
        """Refuse edges without a line: a request ends when its line falls."""
        if self.edges & ~self.lines:
            raise DeviceError(f"PicSnapshot: edges {self.edges:#x} of lines {self.lines:#x}")


_FIELDS: Final = tuple(field.name for field in attrs.fields(PicSnapshot))


def check_snapshot(snapshot: object, *, slave: bool) -> PicSnapshot:
    """Return `snapshot`, or raise `DeviceError` if no such chip can have it."""
    if not isinstance(snapshot, PicSnapshot):
        raise DeviceError(f"8259A: {snapshot!r} is no PicSnapshot")
    if slave and snapshot.icw3 > 7:
        raise DeviceError(f"8259A: icw3 is {snapshot.icw3:#x}; slaves have identities 0-7")
    return snapshot


@attrs.frozen(repr=False)
class PicLine:
    """One interrupt request input; it fits `vmmkit.protocols.InterruptLine`."""

    pic: Pic8259
    number: int  #: 0-7

    def __call__(self, level: bool, /) -> None:
        """Drive the input to `level`."""
        self.pic.drive_line(self.number, level)

    def __repr__(self) -> str:
        """Show the number, for debuggers."""
        return f"<PicLine IR{self.number}>"


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Pic8259(ByteWindow):
    """One 8259A, to be plugged into a port window of two bytes (A0 = 0 and A0 = 1).

    Args:
        interrupt: called with the new level of INT, on changes only.
        slave: the SP pin. ICW3 is an identity if true, a set of inputs with slaves if not.
        cascade: called when an input is acknowledged that ICW3 gives a slave, with the number
            of that input (0-7); returns the vector. Without it all inputs are alike.

    Raises:
        DeviceError: an argument of another kind.

    `read` and `write` fit `vmmkit.protocols.MmioDevice`; each byte of a wide access is an access
    of its own, lowest address first. Guest input never raises.
    """

    interrupt: InterruptLine = attrs.field(default=_unconnected, validator=is_callable)
    slave: bool = attrs.field(default=False, validator=is_flag, kw_only=True)
    cascade: Callable[[int], int] | None = attrs.field(
        default=None, validator=is_callable_or_none, kw_only=True
    )
    _lines: int = attrs.field(default=0, init=False)
    _edges: int = attrs.field(default=0, init=False)
    _level_triggered: int = attrs.field(default=0, init=False)
    _in_service: int = attrs.field(default=0, init=False)
    _mask: int = attrs.field(default=0, init=False)
    _icw1: int = attrs.field(default=0, init=False)
    _icw2: int = attrs.field(default=0, init=False)
    _icw3: int = attrs.field(default=0, init=False)
    _icw4: int = attrs.field(default=0, init=False)
    _awaited: int = attrs.field(default=_POWERED_ON, init=False)
    _lowest: int = attrs.field(default=7, init=False)
    _rotate_on_aeoi: bool = attrs.field(default=False, init=False)
    _special_mask: bool = attrs.field(default=False, init=False)
    _read_in_service: bool = attrs.field(default=False, init=False)
    _poll: bool = attrs.field(default=False, init=False)
    _level: bool = attrs.field(default=False, init=False)  # what `interrupt` heard last

    @property
    def size(self) -> int:
        """Bytes of the register window."""
        return 2

    # -- the owner's side ------------------------------------------------------------------

    def line(self, number: int) -> PicLine:
        """Return input `number` (0-7) as a callable that takes its level.

        Raises:
            DeviceError: there is no such input.
        """
        return PicLine(self, check_integer("8259A: the input", number, 0, 7))

    def drive_line(self, number: int, level: bool) -> None:
        """Drive input `number` (0-7) to `level`; `line` returns the same as a callable."""
        bit = 1 << check_integer("8259A: the input", number, 0, 7)
        if not level:
            self._lines &= ~bit
            self._edges &= ~bit
        elif not self._lines & bit:
            self._lines |= bit
            self._edges |= bit
        self._update_interrupt()

    @property
    def interrupting(self) -> bool:
        """The level of INT, as `interrupt` heard it last."""
        return self._level

    @property
    def identity(self) -> int:
        """What a slave's ICW3 holds: the master's input (0-7) whose number it answers to."""
        return self._icw3 & 7

    @property
    def level_triggered(self) -> int:
        """Inputs that are level triggered whatever ICW1 says, one a bit: a chipset's ELCR."""
        return self._level_triggered

    @level_triggered.setter
    def level_triggered(self, inputs: int) -> None:
        """Set them; INT follows.

        Raises:
            DeviceError: no integer of eight bits.
        """
        self._level_triggered = check_integer("8259A: level_triggered", inputs, 0, 0xFF)
        self._update_interrupt()

    def acknowledge(self) -> int:
        """Answer the processor's INTA pulses; return the vector it takes.

        With nothing to acknowledge, as when a line fell in the meantime, that is the vector of
        IR7, and no in-service bit is set: 8259A "Interrupt Sequence". In MCS-80/85 mode it is
        the byte that an 8086 would take, the second of the CALL: the low byte of its address.
        """
        level = self._resolve()
        if level is None:
            return self._bus_byte(_SPURIOUS)
        falls = self._take(level)
        try:
            if self.cascade is not None and self._slaves() >> level & 1:
                return self.cascade(level)
            return self._bus_byte(level)
        finally:
            self._deliver(falls=falls)

    def reset(self) -> None:
        """Return to the state of a chip just powered on; its input lines are as they are."""
        self.restore(PicSnapshot(lines=self._lines))

    def snapshot(self) -> PicSnapshot:
        """Return the whole state."""
        return PicSnapshot(**{name: getattr(self, f"_{name}") for name in _FIELDS})

    def restore(self, snapshot: PicSnapshot) -> None:
        """Take the state of `snapshot`; INT is driven where it differs.

        Raises:
            DeviceError: no snapshot, or one that this chip cannot have; nothing changes then.
        """
        self._load(check_snapshot(snapshot, slave=self.slave))
        self._update_interrupt()

    def _load(self, state: PicSnapshot) -> None:
        for name in _FIELDS:
            setattr(self, f"_{name}", getattr(state, name))

    def registers(self) -> dict[str, int]:
        """Return the registers by name, without the side effects of reading."""
        return {
            "IRR": self._requests(),
            "ISR": self._in_service,
            "IMR": self._mask,
            "ICW1": self._icw1,
            "ICW2": self._icw2,
            "ICW3": self._icw3,
            "ICW4": self._icw4,
        }

    def __repr__(self) -> str:
        """Show the registers, for debuggers."""
        shown = " ".join(f"{name}={value:02x}" for name, value in self.registers().items())
        return f"<Pic8259 {shown}>"

    # -- requests and priorities -----------------------------------------------------------

    def _requests(self) -> int:
        """IRR: 8259A "Edge and Level Triggered Modes".

        In both modes a request ends with its line: an edge that nobody acknowledged in time is
        the cause of a spurious IR7.
        """
        by_level = 0xFF if self._icw1 & _LTIM else self._level_triggered
        return self._edges & ~by_level | self._lines & by_level

    def _slaves(self) -> int:
        """Inputs with slaves, one a bit: 8259A "Initialization Command Word 3 (ICW3)"."""
        return 0 if self.slave or self._icw1 & _SNGL else self._icw3

    def _resolve(self) -> int | None:
        """Return the level to be served next, or `None`: 8259A "Fully Nested Mode".

        A level in service locks out itself and all below. In special mask mode only if it is not
        masked ("Special Mask Mode"); in the special fully nested mode an input with a slave does
        not lock out itself ("The Special Fully Nested Mode").
        """
        requests = self._requests() & ~self._mask
        if not requests or self._awaited != _READY:
            return None
        serving = self._in_service & ~(self._mask if self._special_mask else 0)
        again = requests & self._slaves() if self._icw4 & _SFNM else 0
        for level in self._ranked():
            bit = 1 << level
            if requests & bit and (not serving & bit or again & bit):
                return level
            if serving & bit:
                return None
        return None

    def _ranked(self) -> list[int]:
        """The eight levels, highest priority first."""
        return [self._lowest + rank & 7 for rank in range(1, 9)]

    def _take(self, level: int) -> bool:
        """Put `level` into service; return whether INT falls in between.

        INT falls at the first INTA pulse unless a higher level came meanwhile. With AEOI it
        may rise again at the last: a master that listens to edges must see both.
        """
        self._in_service |= 1 << level
        self._edges &= ~(1 << level)
        falls = self._level and self._resolve() is None
        if self._icw4 & _AEOI:
            self._in_service &= ~(1 << level)
            if self._rotate_on_aeoi:
                self._lowest = level
        return falls

    def _bus_byte(self, level: int) -> int:
        """8259A "Interrupt Sequence Outputs": the second byte that INTA pulses read."""
        if self._icw4 & _UPM:
            return self._icw2 & 0xF8 | level
        if self._icw1 & _ADI:
            return self._icw1 & 0xE0 | level << 2
        return self._icw1 & 0xC0 | level << 3

    def _drive_interrupt(self, level: bool) -> None:
        if level != self._level:
            self._level = level
            self.interrupt(level)

    def _update_interrupt(self) -> None:
        self._drive_interrupt(self._resolve() is not None)

    def _deliver(self, *, falls: bool) -> None:
        try:
            if falls:
                self._drive_interrupt(False)
        finally:
            self._update_interrupt()

    # -- the guest's side ------------------------------------------------------------------

    def _read_byte(self, offset: int) -> int:
        if self._poll:
            return self._read_poll()
        if offset:
            return self._mask
        return self._in_service if self._read_in_service else self._requests()

    def _read_poll(self) -> int:
        """8259A "Poll Command": the read after it acknowledges, whatever its address."""
        self._poll = False
        level = self._resolve()
        if level is None:
            return _NO_REQUEST
        self._deliver(falls=self._take(level))
        return 0x80 | level

    def _write_byte(self, offset: int, value: int) -> None:
        if offset:
            self._write_data(value)
        elif value & _ICW1:
            self._begin_initialization(value)
        elif value & _OCW3:
            self._write_ocw3(value)
        else:
            self._write_ocw2(value)
        self._update_interrupt()

    def _begin_initialization(self, icw1: int) -> None:
        """8259A "Initialization Command Words 1 and 2 (ICW1, ICW2)": what ICW1 clears."""
        cleared = PicSnapshot(
            lines=self._lines,
            level_triggered=self._level_triggered,
            icw1=icw1,
            icw2=self._icw2,
            icw3=7 if self.slave else 0,
            awaited=2,
        )
        self._load(cleared)

    def _write_data(self, value: int) -> None:
        if self._awaited == 2:
            self._icw2 = value
            self._await(3)
        elif self._awaited == 3:
            self._icw3 = value & 7 if self.slave else value
            self._await(4)
        elif self._awaited == 4:
            self._icw4 = value & _ICW4_KEPT
            self._await(_READY)
        else:
            self._mask = value

    def _await(self, word: int) -> None:
        """Wait for ICW `word`, or the next one that ICW1 announced."""
        if word == 3 and self._icw1 & _SNGL:
            word = 4
        if word == 4 and not self._icw1 & _IC4:
            word = _READY
        self._awaited = word

    def _write_ocw2(self, value: int) -> None:
        """8259A "Operation Control Word 2 (OCW2)"; SL without EOI and R is no operation."""
        if value & _EOI:
            level = value & 7 if value & _SL else self._served()
            if level is not None:
                self._in_service &= ~(1 << level)
                if value & _R:
                    self._lowest = level
        elif not value & _SL:
            self._rotate_on_aeoi = bool(value & _R)
        elif value & _R:
            self._lowest = value & 7

    def _served(self) -> int | None:
        """The level that a non-specific EOI ends: 8259A "End of Interrupt (EOI)".

        It is the highest in service; levels masked in special mask mode are left alone.
        """
        serving = self._in_service & ~(self._mask if self._special_mask else 0)
        return next((level for level in self._ranked() if serving >> level & 1), None)

    def _write_ocw3(self, value: int) -> None:
        if value & _ESMM:
            self._special_mask = bool(value & _SMM)
        if value & _RR:
            self._read_in_service = bool(value & _RIS)
        self._poll = bool(value & _POLL)
