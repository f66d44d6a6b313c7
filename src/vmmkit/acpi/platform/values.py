# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a platform is told: plain values, which a PCI bus, a memory map or a CPU can be given too.

Ranges are pairs of base and size, as a host bridge's windows are. Each value is checked by itself
here, and against the others when a platform is made of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, TypeVar

import attrs

from vmmkit.acpi.arguments import elements
from vmmkit.errors import PlatformError

__all__ = [
    "FOUR_GIB",
    "Cpu",
    "Ecam",
    "IoApicRange",
    "MemoryRange",
    "Numa",
    "Range",
    "Route",
    "SmiCommand",
    "Windows",
    "routes",
    "windows_of",
]

_Kind = TypeVar("_Kind")

#: Base and size, in bytes or ports.
Range: TypeAlias = tuple[int, int]

#: Device 0-31, pin 0 (INTA#) to 3 (INTD#), and the global system interrupt that it reaches.
Route: TypeAlias = tuple[int, int, int]

FOUR_GIB: Final = 1 << 32
_MEMORY: Final = 1 << 64
_PORTS: Final = 1 << 16
_BUS_SHIFT: Final = 20  # bytes of ECAM for one bus: 32 devices, 8 functions, 4 KiB


def number(what: str, value: object, limit: int) -> int:
    """Return a number from 0 to below `limit`.

    Raises:
        PlatformError: it is none.
    """
    if type(value) is int and 0 <= value < limit:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit:
        return int(value)
    shown = f"{value:#x}" if isinstance(value, int) else repr(value)
    raise PlatformError(f"{what} is {shown}, not a number from 0 to {limit - 1:#x}")


def optional(what: str, value: object, kind: type) -> None:
    """Check that a value is of a class, or `None`.

    Raises:
        PlatformError: it is not.
    """
    if value is not None and not isinstance(value, kind):
        raise PlatformError(f"{what} is a {kind.__name__} or None, not {value!r}")


def listed(what: str, values: Iterable[_Kind], kind: type[_Kind]) -> tuple[_Kind, ...]:
    """Return a tuple of values that are all of a class.

    Raises:
        PlatformError: they are not, or no list.
    """
    found = tuple(values) if isinstance(values, Iterable) else None
    if found is None or not all(isinstance(each, kind) for each in found):
        raise PlatformError(f"{what} is a list of {kind.__name__}, not {values!r}")
    return found


def checked_range(what: str, value: object, limit: int) -> Range:
    """Return base and size of a range that is not empty and ends at or below `limit`.

    Raises:
        PlatformError: it does not.
    """
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise PlatformError(f"{what} is {value!r}, not a pair of base and size")
    base = number(f"the base of {what}", value[0], limit)
    size = number(f"the size of {what}", value[1], limit + 1)
    if not size or base + size > limit:
        raise PlatformError(
            f"{what} has {size:#x} from {base:#x} on, which is empty or leads beyond {limit - 1:#x}"
        )
    return base, size


@attrs.frozen
class Ecam:
    """A window of memory that configuration space is mapped in.

    PCI Express Base Specification, "PCI Express Enhanced Configuration Access Mechanism": 1 MiB
    for each bus, and the bus number is bits of the address.

    Args:
        base: address of the configuration space of `first_bus`.
        segment: PCI segment group, 0 to 65535.
        first_bus: bus number of the first MiB.
        last_bus: bus number of the last one.

    Raises:
        PlatformError: no such buses, or a base whose bits are needed for the bus number.
    """

    base: int
    segment: int = 0
    first_bus: int = 0
    last_bus: int = 255

    def __attrs_post_init__(self) -> None:
        """Check the buses and the alignment."""
        number("the segment of an ECAM window", self.segment, 1 << 16)
        number("the last bus of an ECAM window", self.last_bus, 256)
        number("the first bus of an ECAM window", self.first_bus, self.last_bus + 1)
        checked_range("the ECAM window", (self.base, self.size), _MEMORY)
        alignment = 1 << _BUS_SHIFT + self.last_bus.bit_length()
        if self.bus_zero < 0 or self.bus_zero % alignment:
            raise PlatformError(
                f"the ECAM window at {self.base:#x} for buses {self.first_bus} to {self.last_bus}: "
                f"bus 0 would be at {self.bus_zero:#x}, which is not a multiple of {alignment:#x}"
            )

    @property
    def size(self) -> int:
        """Bytes."""
        return self.last_bus - self.first_bus + 1 << _BUS_SHIFT

    @property
    def bus_zero(self) -> int:
        """Where bus 0 of the segment is or would be: what the MCFG table says."""
        return self.base - (self.first_bus << _BUS_SHIFT)


def _ranges(what: str, ranges: Iterable[Range], limit: int) -> tuple[Range, ...]:
    found = elements(what, ranges, PlatformError)
    return tuple([checked_range(what, each, limit) for each in found])


def _io(ranges: Iterable[Range]) -> tuple[Range, ...]:
    return _ranges("an I/O window", ranges, _PORTS)


def _mem(ranges: Iterable[Range]) -> tuple[Range, ...]:
    return _ranges("a memory window", ranges, _MEMORY)


@attrs.frozen
class Windows:
    """What a host bridge lets through to its buses.

    Args:
        io: ranges of ports.
        mem: ranges of memory, below or above 4 GiB.

    Raises:
        PlatformError: a range that is empty, or ends beyond its address space.
    """

    io: tuple[Range, ...] = attrs.field(default=(), converter=_io)
    mem: tuple[Range, ...] = attrs.field(default=(), converter=_mem)


def windows_of(value: Windows | Mapping[str, Iterable[Range]]) -> Windows:
    """Return windows that are given as such, or as `{"io": [...], "mem": [...]}`.

    Raises:
        PlatformError: other keys, or what the class raises.
    """
    if isinstance(value, Windows):
        return value
    if not isinstance(value, Mapping) or not set(value) <= {"io", "mem"}:
        raise PlatformError(f'windows are {{"io": [...], "mem": [...]}}, not {value!r}')
    return Windows(value.get("io", ()), value.get("mem", ()))


def routes(routing: Iterable[Route]) -> tuple[Route, ...]:
    """Return triples of device, pin and GSI that have been checked.

    Raises:
        PlatformError: a device, pin or GSI out of range, or a pin that is listed twice.
    """
    if not isinstance(routing, Iterable):
        raise PlatformError(f"routing is a list of (device, pin, GSI), not {routing!r}")
    rows = [_route(each) for each in routing]
    found: dict[tuple[int, int], int] = {}
    for device, pin, gsi in rows:
        other = found.setdefault((device, pin), gsi)
        if other != gsi:
            raise PlatformError(
                f"device {device}, pin {pin} is routed twice: to GSI {other} and to GSI {gsi}"
            )
    if len(found) != len(rows):
        raise PlatformError("a pin is routed twice to the same GSI")
    return tuple(rows)


def _route(each: Route) -> Route:
    if not isinstance(each, (tuple, list)) or len(each) != 3:
        raise PlatformError(f"a route is (device, pin, GSI), not {each!r}")
    device, pin, gsi = each
    number("the device of a route", device, 32)
    number("the pin of a route", pin, 4)
    number("the GSI of a route", gsi, FOUR_GIB)
    return device, pin, gsi


@attrs.frozen
class Cpu:
    """A processor.

    Args:
        apic_id: of its local APIC, 32 bits without the last value.
        uid: what the MADT and its device in the namespace agree on; the APIC id by default.
        enabled: can be used from the start.
        online_capable: is not enabled, but may become so while the guest runs.
        proximity_domain: for the SRAT, where `numa` is given.

    Raises:
        PlatformError: a number out of range, or both enabled and online capable.
    """

    apic_id: int
    uid: int = attrs.field(default=attrs.Factory(lambda cpu: cpu.apic_id, takes_self=True))
    enabled: bool = True
    online_capable: bool = attrs.field(default=False, kw_only=True)
    proximity_domain: int = attrs.field(default=0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Check the numbers; the last of each means all processors."""
        number("the APIC id of a processor", self.apic_id, FOUR_GIB - 1)
        if self.uid is not self.apic_id:
            number("the UID of a processor", self.uid, FOUR_GIB - 1)
        number("the proximity domain of a processor", self.proximity_domain, FOUR_GIB)
        if self.enabled and self.online_capable:
            raise PlatformError(
                f"the processor with APIC id {self.apic_id} is enabled already; online capable is "
                "for those that are not"
            )


@attrs.frozen
class IoApicRange:
    """An I/O APIC and the global system interrupts of its inputs.

    Args:
        address: of its registers, below 4 GiB.
        first_gsi: that of input 0.
        inputs: how many, 1 to 240.
        io_apic_id: its APIC id.

    Raises:
        PlatformError: a number out of range.
    """

    address: int = 0xFEC0_0000
    first_gsi: int = 0
    inputs: int = 24
    io_apic_id: int = 0

    def __attrs_post_init__(self) -> None:
        """Check the numbers."""
        number("the address of an I/O APIC", self.address, FOUR_GIB)
        number("the first GSI of an I/O APIC", self.first_gsi, FOUR_GIB - 240)
        number("the id of an I/O APIC", self.io_apic_id, 256)
        if not number("the number of inputs of an I/O APIC", self.inputs, 241):
            raise PlatformError("an I/O APIC without inputs")

    @property
    def gsis(self) -> range:
        """The global system interrupts."""
        return range(self.first_gsi, self.first_gsi + self.inputs)


@attrs.frozen
class SmiCommand:
    """The port that an operating system asks the firmware for ACPI mode at.

    A monitor whose power management registers are always in ACPI mode (SCI_EN reads 1) has none.

    Args:
        port: of one byte.
        acpi_enable: what is written to begin.
        acpi_disable: what is written to end.

    Raises:
        PlatformError: a number out of range.
    """

    port: int = 0xB2
    acpi_enable: int = 2
    acpi_disable: int = 3

    def __attrs_post_init__(self) -> None:
        """Check the numbers."""
        if not number("the SMI command port", self.port, _PORTS):
            raise PlatformError("the SMI command port is 0, which says that there is none")
        number("the command that enables ACPI", self.acpi_enable, 256)
        number("the command that disables ACPI", self.acpi_disable, 256)


@attrs.frozen
class MemoryRange:
    """Guest RAM of one proximity domain.

    Args:
        base: address.
        size: bytes.
        proximity_domain: number.
        hot_pluggable: it may come and go.

    Raises:
        PlatformError: an empty range, or a number out of range.
    """

    base: int
    size: int
    proximity_domain: int = 0
    hot_pluggable: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Check the numbers."""
        checked_range("memory of a proximity domain", (self.base, self.size), _MEMORY)
        number("the proximity domain of memory", self.proximity_domain, FOUR_GIB)


def _memory(values: Iterable[MemoryRange]) -> tuple[MemoryRange, ...]:
    return listed("the memory of proximity domains", values, MemoryRange)


def _rows(distances: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
    rows = elements("the distances", distances, PlatformError)
    return tuple([elements("a row of distances", row, PlatformError) for row in rows])


@attrs.frozen
class Numa:
    """Which memory is near, and how far the rest is. Processors say their domain themselves.

    Args:
        memory: ranges.
        distances: a row for each domain, 10 to itself; empty: no SLIT is made.
        host_bridge: domain of the preset's PCI host bridge; `None`: not said.
    """

    memory: tuple[MemoryRange, ...] = attrs.field(converter=_memory)
    distances: tuple[tuple[int, ...], ...] = attrs.field(default=(), converter=_rows)
    host_bridge: int | None = attrs.field(default=None, kw_only=True)
