# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Who holds which addresses, ports and interrupts of a platform; conflicts name both holders."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final

from vmmkit.acpi.arguments import instance
from vmmkit.acpi.platform.values import FOUR_GIB, IoApicRange, checked_range, number
from vmmkit.acpi.tables.madt import (
    InterruptSourceOverride,
    MpsIntiFlags,
    Polarity,
    TriggerMode,
)
from vmmkit.errors import PlatformError

__all__ = ["ISA_INTERRUPTS", "Interrupts", "Ranges"]

#: How many interrupts an ISA bus has.
ISA_INTERRUPTS: Final = 16


class Ranges:
    """Ranges of one address space that may not overlap.

    Args:
        space: what errors call it.
        limit: its size.
    """

    def __init__(self, space: str, limit: int) -> None:
        """Start with all of it free."""
        self._space, self._limit = space, limit
        self._bases: list[int] = []
        self._held: list[tuple[int, int, str]] = []

    def claim(self, holder: str, base: int, size: int) -> None:
        """Take a range.

        Raises:
            PlatformError: it is empty, leads beyond the space, or somebody has part of it.
        """
        checked_range(holder, (base, size), self._limit)
        place = bisect_right(self._bases, base + size - 1)
        if place and base < sum(self._held[place - 1][:2]):
            other_base, other_size, other = self._held[place - 1]
            raise PlatformError(
                f"{holder} at {base:#x} to {base + size - 1:#x} and {other} at {other_base:#x} to "
                f"{other_base + other_size - 1:#x} overlap in {self._space}"
            )
        self._bases.insert(place, base)
        self._held.insert(place, (base, size, holder))


class Interrupts:
    """Which global system interrupts are in use, and how.

    Args:
        io_apics: whose inputs there are.
        redirected: GSI by ISA interrupt, for those that are not the same number.

    Raises:
        PlatformError: two I/O APICs with an id or a GSI in common, or two ISA interrupts that
            reach one GSI.
    """

    def __init__(self, io_apics: Iterable[IoApicRange], redirected: Mapping[int, int]) -> None:
        """Start with all of them free."""
        self._io_apics = tuple(sorted(io_apics, key=lambda io_apic: io_apic.first_gsi))
        self._redirected = _checked(redirected)
        self._held: dict[int, tuple[bool, str]] = {}
        self._active_low: set[int] = set()
        for lower, upper in zip(self._io_apics, self._io_apics[1:], strict=False):
            if upper.first_gsi in lower.gsis:
                raise PlatformError(
                    f"the I/O APICs at {lower.address:#x} and {upper.address:#x} both have GSI "
                    f"{upper.first_gsi}"
                )
        _check_unique_ids(self._io_apics)
        for source, gsi in self._redirected.items():
            if self._io_apics:
                self._check_input(f"the redirected ISA interrupt {source}", gsi)

    def claim(self, holder: str, gsi: int, *, level: bool, active_low: bool = False) -> None:
        """Use an interrupt: alone if it is edge triggered, else with others.

        Args:
            holder: who.
            gsi: the interrupt.
            level: it is level triggered.
            active_low: it is, as that of a PCI pin, active low.

        Raises:
            PlatformError: no I/O APIC has it, it is in use in another way, or it is a level and
                the ISA interrupt of its number is redirected: no override could say so.
        """
        self._check_input(holder, gsi)
        if level and self._redirected.get(self.source_of(gsi), gsi) != gsi:
            raise PlatformError(
                f"{holder} has GSI {gsi}, but ISA interrupt {gsi} is redirected to GSI "
                f"{self._redirected[gsi]}"
            )
        other_level, other = self._held.setdefault(gsi, (level, holder))
        if other != holder and not (level and other_level):
            ways = ("edge", "level")
            raise PlatformError(
                f"GSI {gsi} is {ways[level]} triggered for {holder} and {ways[other_level]} "
                f"triggered for {other}; only level triggered ones can be shared"
            )
        if active_low:
            self._active_low.add(gsi)

    def _check_input(self, holder: str, gsi: int) -> None:
        if not isinstance(gsi, int) or not any(gsi in io_apic.gsis for io_apic in self._io_apics):
            inputs = ", ".join(f"{one.gsis[0]} to {one.gsis[-1]}" for one in self._io_apics)
            raise PlatformError(f"{holder} has GSI {gsi!r}; the I/O APICs have {inputs or 'none'}")

    def claim_isa(self, holder: str, interrupt: int, *, level: bool = False) -> None:
        """Use an ISA interrupt, which may reach a GSI of another number."""
        self.claim(holder, self.gsi_of(interrupt), level=level)

    def gsi_of(self, interrupt: int) -> int:
        """Return the GSI of an ISA interrupt."""
        return self._redirected.get(interrupt, interrupt)

    def source_of(self, gsi: int) -> int:
        """Return the ISA interrupt that is wired to a GSI, or the GSI if none is."""
        return next((source for source, each in self._redirected.items() if each == gsi), gsi)

    def overrides(self) -> list[InterruptSourceOverride]:
        """Return MADT entries for ISA interrupts that are not what they are on an ISA bus.

        There they are edge triggered, active high, and reach the GSI of the same number. An
        operating system takes an interrupt of PCI for level triggered by itself, but not if
        its number is that of an ISA interrupt.
        """
        wanted = {gsi for gsi in self._held if gsi < ISA_INTERRUPTS} | {*self._redirected.values()}
        found = [(self.source_of(gsi), gsi, self._wiring(gsi)) for gsi in wanted]
        return [
            InterruptSourceOverride(*each)
            for each in sorted(found)
            if each[0] != each[1] or each[2]
        ]

    def _wiring(self, gsi: int) -> MpsIntiFlags:
        if not self._held.get(gsi, (False, ""))[0]:
            return MpsIntiFlags.of()
        polarity = Polarity.ACTIVE_LOW if gsi in self._active_low else Polarity.ACTIVE_HIGH
        return MpsIntiFlags.of(polarity, TriggerMode.LEVEL)


def _check_unique_ids(io_apics: Iterable[IoApicRange]) -> None:
    found: dict[int, IoApicRange] = {}
    for io_apic in io_apics:
        other = found.setdefault(io_apic.io_apic_id, io_apic)
        if other is not io_apic:
            raise PlatformError(
                f"the I/O APICs at {other.address:#x} and {io_apic.address:#x} both have id "
                f"{io_apic.io_apic_id}"
            )


def _checked(redirected: Mapping[int, int]) -> dict[int, int]:
    instance("redirected", redirected, Mapping, PlatformError)  # type: ignore[type-abstract]
    found: dict[int, int] = {}
    for source, gsi in redirected.items():
        number("an ISA interrupt that is redirected", source, ISA_INTERRUPTS)
        number(f"the GSI of ISA interrupt {source}", gsi, FOUR_GIB)
        if gsi in found.values():
            raise PlatformError(f"two ISA interrupts are redirected to GSI {gsi}")
        found[source] = gsi
    return found
