# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The fixed ACPI registers of a PC: events, sleep, and the power management timer.

Theory of operation: the power management registers
---------------------------------------------------
`AcpiPm` is one window of twelve bytes:

======  =======  ==========================================================
offset  size     register
======  =======  ==========================================================
0       2        PM1 status; writing ones clears
2       2        PM1 enable
4       2        PM1 control: SCI_EN, SLP_TYP, SLP_EN
8       4        the timer, 3.579545 MHz, read-only
======  =======  ==========================================================

All of an access is one look at the registers: the timer does not move between its bytes, and a
write has taken effect as a whole before a callable hears of it. The status of the timer is set
whenever its highest bit changes. It is brought up to date by each access, and by `advance`, which
the owner calls when `deadline` has come; there is a deadline only where the change interrupts.

The registers are in ACPI mode from the start unless `acpi_mode` says otherwise; a machine with an
SMI command port calls `set_acpi_mode`. What a sleep type means is the machine's choice, and what
its `_S5` object says.

Source: ACPI Specification, "ACPI Hardware Specification", "Fixed Hardware Registers" and "Power
Management Timer".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import Final

import attrs

from vmmkit.devices._fields import (
    integer,
    is_callable,
    is_callable_or_none,
    is_flag,
)
from vmmkit.errors import DeviceError
from vmmkit.protocols import InterruptLine

__all__ = ["PM_TIMER_HZ", "AcpiPm", "AcpiPmSnapshot", "Pm1Event"]

PM_TIMER_HZ: Final = 3_579_545
"""Rate of the power management timer, in ticks per second."""

_SECOND: Final = 1_000_000_000
_SIZE: Final = 12
_ENABLE_SHIFT: Final = 16  # bits of the window, which is handled as one number
_CONTROL_SHIFT: Final = 32
_TIMER_SHIFT: Final = 64

_SCI_EN: Final = 0x0001
_SLP_EN: Final = 0x2000
_SLP_TYP_SHIFT: Final = 10
_SLP_TYPES: Final = 8
_CONTROL_KEPT: Final = 0x1C02  # SLP_TYP and BM_RLD; GBL_RLS and SLP_EN read zero


class Pm1Event(IntFlag):
    """Bits of the PM1 status register; ACPI Specification, "PM1 Status Registers"."""

    TIMER = 0x0001
    BUS_MASTER = 0x0010
    GLOBAL = 0x0020
    POWER_BUTTON = 0x0100
    SLEEP_BUTTON = 0x0200
    RTC = 0x0400
    WAKE = 0x8000


_EVENTS: Final = sum(Pm1Event)
_TIMER: Final = int(Pm1Event.TIMER)
# ACPI Specification, "PM1 Enable Registers": the others have no enable bit.
_ENABLES: Final = int(
    Pm1Event.TIMER | Pm1Event.GLOBAL | Pm1Event.POWER_BUTTON | Pm1Event.SLEEP_BUTTON | Pm1Event.RTC
)


@attrs.frozen
class AcpiPmSnapshot:
    """The state of an `AcpiPm`; the defaults are those of a device just made."""

    #: nanoseconds since the device was made or reset, without times between snapshots and restores
    time: int = attrs.field(default=0, validator=integer(0, None))
    status: int = attrs.field(default=0, validator=integer(0, _EVENTS))
    enable: int = attrs.field(default=0, validator=integer(0, _ENABLES))
    control: int = attrs.field(default=_SCI_EN, validator=integer(0, _CONTROL_KEPT | _SCI_EN))
    #: how often the timer's highest bit has changed, as far as the status tells of it
    half_periods: int = attrs.field(default=0, validator=integer(0, None))


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class AcpiPm:
    """PM1 event and control registers and the power management timer, in a window of `size` bytes.

    Args:
        clock: returns the virtual time in nanoseconds.
        sci: called with the new level of the system control interrupt; on changes only.
        sleep: called with SLP_TYP (0-7) when the guest sets SLP_EN.
        timer_bits: 24, or 32 for tables whose FADT has TMR_VAL_EXT.
        acpi_mode: whether SCI_EN is set from the start.

    Raises:
        DeviceError: an argument of another kind or outside of its range.

    `read` and `write` fit `vmmkit.protocols.MmioDevice`, `deadline` and `advance` what machines
    take as timed. Guest input never raises. Calls must not overlap in time.
    """

    clock: Callable[[], int] = attrs.field(validator=is_callable)
    sci: InterruptLine | None = attrs.field(default=None, validator=is_callable_or_none)
    sleep: Callable[[int], object] | None = attrs.field(default=None, validator=is_callable_or_none)
    timer_bits: int = attrs.field(default=24, kw_only=True)
    acpi_mode: bool = attrs.field(default=True, kw_only=True, validator=is_flag)
    _status: int = attrs.field(default=0, init=False)
    _enable: int = attrs.field(default=0, init=False)
    _control: int = attrs.field(default=0, init=False)
    _half_periods: int = attrs.field(default=0, init=False)
    _origin: int = attrs.field(default=0, init=False)  # what `clock` showed at time zero
    _level: bool = attrs.field(default=False, init=False)  # what `sci` heard last

    @timer_bits.validator
    def _check_timer_bits(self, _attribute: object, value: object) -> None:
        if value not in (24, 32):
            raise DeviceError(f"AcpiPm: timer_bits is {value!r}; 24 and 32 are possible")

    def __attrs_post_init__(self) -> None:
        """Begin as after a reset."""
        self.reset()

    @property
    def size(self) -> int:
        """Bytes of the register window."""
        return _SIZE

    # -- the guest's side ------------------------------------------------------------------------

    def read(self, _vcpu: object, offset: int, size: int, /) -> int:
        """Return the `size` bytes at `offset`; bytes beyond the window are ones."""
        self._catch_up()
        window = (
            self._status
            | self._enable << _ENABLE_SHIFT
            | self._control << _CONTROL_SHIFT
            | self._timer() << _TIMER_SHIFT
            | ~0 << 8 * _SIZE
        )
        return window >> 8 * offset & (1 << 8 * size) - 1

    def write(self, _vcpu: object, offset: int, size: int, value: int, /) -> None:
        """Take the low `size` bytes of `value` at `offset`."""
        self._catch_up()
        lanes = (1 << 8 * size) - 1
        written, lanes = (value & lanes) << 8 * offset, lanes << 8 * offset
        self._status &= ~written
        enables = lanes >> _ENABLE_SHIFT & _ENABLES
        self._enable = self._enable & ~enables | written >> _ENABLE_SHIFT & enables
        control = lanes >> _CONTROL_SHIFT & _CONTROL_KEPT
        self._control = self._control & ~control | written >> _CONTROL_SHIFT & control
        self._update()
        if written >> _CONTROL_SHIFT & _SLP_EN and self.sleep is not None:
            self.sleep(self._control >> _SLP_TYP_SHIFT & _SLP_TYPES - 1)

    # -- the owner's side ------------------------------------------------------------------------

    def raise_event(self, event: Pm1Event | int) -> None:
        """Set bits of the status, such as `Pm1Event.POWER_BUTTON`: the guest hears if it wants.

        Raises:
            DeviceError: bits beyond `Pm1Event`.
        """
        if not isinstance(event, int) or event & ~_EVENTS:
            raise DeviceError(f"AcpiPm: event is {event!r}; bits of Pm1Event are possible")
        self._status |= int(event)
        self._update()

    def set_acpi_mode(self, on: bool) -> None:
        """Set or clear SCI_EN, as a system's write to its SMI command port does."""
        self._control = self._control & ~_SCI_EN | (_SCI_EN if on else 0)
        self._update()

    def deadline(self) -> int | None:
        """Return the virtual time at which the timer interrupts next, or `None`."""
        wanted = self._enable & _TIMER and self._control & _SCI_EN
        if not wanted or self._status & _TIMER:
            return None
        ticks = self._half_periods + 1 << self.timer_bits - 1
        return self._origin + -(-ticks * _SECOND // PM_TIMER_HZ)  # rounded up

    def advance(self) -> None:
        """Bring the status of the timer up to date."""
        self._catch_up()
        self._update()

    def reset(self) -> None:
        """Return to the state after power-up, with the timer at zero."""
        self._status = self._enable = self._half_periods = 0
        self._control = _SCI_EN if self.acpi_mode else 0
        self._origin = self.clock()
        self._update()

    def snapshot(self) -> AcpiPmSnapshot:
        """Return the state."""
        return AcpiPmSnapshot(
            self.clock() - self._origin,
            self._status,
            self._enable,
            self._control,
            self._half_periods,
        )

    def restore(self, snapshot: AcpiPmSnapshot) -> None:
        """Take the state of `snapshot`.

        Raises:
            DeviceError: this is no snapshot.
        """
        if not isinstance(snapshot, AcpiPmSnapshot):
            raise DeviceError(f"AcpiPm: {snapshot!r} is no AcpiPmSnapshot")
        self._origin = self.clock() - snapshot.time
        self._status, self._enable = snapshot.status, snapshot.enable
        self._control, self._half_periods = snapshot.control, snapshot.half_periods
        self._update()

    def __repr__(self) -> str:
        """Show the registers, for debuggers."""
        return f"<AcpiPm {self._status:04x} {self._enable:04x} {self._control:04x}>"

    # -- inside ----------------------------------------------------------------------------------

    def _ticks(self) -> int:
        return (self.clock() - self._origin) * PM_TIMER_HZ // _SECOND

    def _timer(self) -> int:
        return self._ticks() & (1 << self.timer_bits) - 1

    def _catch_up(self) -> None:
        """Set the timer's status if its highest bit has changed since the last look."""
        half_periods = self._ticks() >> self.timer_bits - 1
        if half_periods != self._half_periods:
            self._half_periods = half_periods
            self._status |= _TIMER

    def _update(self) -> None:
        """Drive the interrupt."""
        level = bool(self._control & _SCI_EN and self._status & self._enable)
        if level != self._level:
            self._level = level
            if self.sci is not None:
                self.sci(level)
