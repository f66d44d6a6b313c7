# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""INTx: pins, how bridges swap them, which system interrupt they reach, and who shares it.

A pin is a number here: 0 for INTA# to 3 for INTD#. A global system interrupt (GSI) is what ACPI
calls an input of an I/O APIC.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Self

import attrs

from vmmkit.errors import TopologyError
from vmmkit.pci._outbox import Outbox

__all__ = ["PINS", "IntxRouting", "IntxWire", "IntxWires", "pin_number", "swizzle", "swizzle_up"]

PINS: Final = 4
DEVICES: Final = 32


def pin_number(pin: str) -> int:
    """Return 0 to 3 for `"A"` to `"D"`.

    Raises:
        TopologyError: no such pin.
    """
    if not isinstance(pin, str) or len(pin) != 1 or pin not in "ABCD":
        raise TopologyError(f"an interrupt pin is 'A', 'B', 'C' or 'D', not {pin!r}")
    return ord(pin) - ord("A")


def swizzle(pin: int, device: int) -> int:
    """Return the pin of a bridge that pin `pin` of device `device` behind it is wired to.

    PCI-to-PCI Bridge Architecture Specification, "Interrupt Routing": INTA# of device 0 is INTA#
    of the bridge, and each further device begins one pin later.
    """
    return (pin + device) % PINS


def swizzle_up(pin: int, devices: Iterable[int]) -> int:
    """Return the pin that arrives on the root bus.

    Args:
        pin: of the function that asserts it.
        devices: device numbers on the way up, the function's own first; that of the device on
            the root bus is not among them, because nothing swaps its pins.
    """
    return (pin + sum(devices)) % PINS


def _copied(gsis: Mapping[tuple[int, int], int]) -> Mapping[tuple[int, int], int]:
    return dict(gsis)


def _check_entries(
    _routing: object, _attribute: object, gsis: Mapping[tuple[int, int], int]
) -> None:
    for (device, pin), gsi in gsis.items():
        if not (0 <= device < DEVICES and 0 <= pin < PINS) or gsi < 0:
            raise TopologyError(f"no routing of device {device}, pin {pin} to GSI {gsi}")


@attrs.frozen
class IntxRouting:
    """Which GSI each pin of each device on a root bus reaches.

    Args:
        gsis: GSIs by `(device, pin)`: device 0-31, pin 0-3. Pins without an entry reach none.

    Raises:
        TopologyError: a device, pin or GSI out of range.
    """

    gsis: Mapping[tuple[int, int], int] = attrs.field(converter=_copied, validator=_check_entries)

    @classmethod
    def swizzled(cls, first_gsi: int = 16, links: int = 8) -> Self:
        """Spread pins over `links` consecutive GSIs: number `(device + pin) % links`.

        Neighbouring devices, and the pins of one, so reach different GSIs.

        Raises:
            TopologyError: no links, or a negative GSI.
        """
        if links < 1:
            raise TopologyError(f"pins cannot be spread over {links} links")
        places = ((device, pin) for device in range(DEVICES) for pin in range(PINS))
        return cls({place: first_gsi + sum(place) % links for place in places})

    def gsi(self, device: int, pin: int) -> int | None:
        """Return the GSI of a pin of a device on the root bus, `None` if it reaches none."""
        return self.gsis.get((device, pin))

    def entries(self) -> tuple[tuple[int, int, int], ...]:
        """Return `(device, pin, gsi)` in order: what an ACPI `_PRT` lists."""
        return tuple((*place, gsi) for place, gsi in sorted(self.gsis.items()))


@attrs.define(eq=False)
class IntxWire:
    """One of the sources that share a line; call it with the level it drives.

    Attributes:
        level: what it drives now.
        gsi: where it ends.
    """

    _wires: IntxWires
    gsi: int
    level: bool = attrs.field(default=False, init=False)

    def __call__(self, level: bool, /) -> None:
        """Drive the line, or leave it to the others."""
        self._wires.drive(self, level)


class IntxWires:
    """Lines that several sources share: high as long as at least one of them drives it.

    Args:
        set_gsi: called with a GSI and its new level, on changes only, in order and with no lock
            held.

    Sources may be driven from any thread.
    """

    __slots__ = ("_drivers", "_lock", "_outbox", "set_gsi")

    def __init__(self, set_gsi: Callable[[int, bool], object]) -> None:
        """Start with all lines low."""
        self.set_gsi = set_gsi
        self._drivers: dict[int, int] = {}
        self._lock = threading.Lock()
        self._outbox = Outbox()

    def wire(self, gsi: int | None) -> Callable[[bool], object]:
        """Make a source of the line `gsi`; for `None` one that reaches nothing."""
        return _nowhere if gsi is None else IntxWire(self, gsi)

    def drive(self, wire: IntxWire, level: bool) -> None:
        """Let one source drive its line, or leave it to the others."""
        self.note(wire, level)
        self.deliver()

    def note(self, wire: IntxWire, level: bool) -> None:
        """Do what `drive` does, but let `deliver` make the calls.

        For those who hold a lock while they work out a level: they deliver without it.
        """
        with self._lock:
            if wire.level != level:
                wire.level = bool(level)
                self._count(wire.gsi, 1 if level else -1)

    def deliver(self) -> None:
        """Tell of what changed since, unless another thread is at it."""
        self._outbox.deliver()

    def _count(self, gsi: int, change: int) -> None:
        before = self._drivers.get(gsi, 0)
        self._drivers[gsi] = before + change
        if not before or not before + change:
            self._outbox.put((self._set, (gsi, not before)))

    def _set(self, gsi: int, level: bool) -> None:
        self.set_gsi(gsi, level)

    def drivers(self, gsi: int) -> int:
        """Count the sources that drive a line now."""
        return self._drivers.get(gsi, 0)

    def levels(self) -> dict[int, bool]:
        """Return the level of every line that was ever driven, by GSI."""
        with self._lock:
            return {gsi: bool(count) for gsi, count in sorted(self._drivers.items())}


def _nowhere(_level: bool, /) -> None:
    """Be a wire that ends in the air."""
